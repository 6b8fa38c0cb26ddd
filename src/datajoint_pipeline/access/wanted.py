"""The rights that should be: a function of the roles, the tables with their tiers, and the foreign keys.

No server is asked and no statement is written here. Every right has a reason that stands beside its statement. Hidden
tables have no tier, so nobody below developer gets a right to write ``~lineage`` or the journal. What DataJoint needs
for which operation was measured on both servers; where a comment says so, a lesser right fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..dialects.rights import (
    GRANT_OPTION,
    Acts,
    Default,
    Encrypted,
    Expires,
    Fact,
    FutureRight,
    Login,
    MakesRoles,
    Member,
    Owns,
    Place,
    Right,
    Role,
    Table,
    Tables,
    upstream,
)
from ..internals.job_tables import PREFIX as JOBS
from ..schema.model import TIERS
from .model import ENVIRONMENTS, ROLES, Access, Account
from .names import OWNER, Names

#: What DataJoint writes into rows that it computed, once they are there.
JOB_COLUMNS = ("_job_start_time", "_job_duration", "_job_version")

#: All that making and changing tables takes on MySQL, and reading and writing them.
EVERYTHING = (
    *("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER"),
    *("CREATE TEMPORARY TABLES", "LOCK TABLES", "CREATE VIEW", "SHOW VIEW", "TRIGGER"),
)

#: What an admin of MySQL needs on the whole server to make accounts and to give roles to them.
_ADMINISTRATION = ("CREATE USER", "ROLE_ADMIN", "CONNECTION_ADMIN")

Reasons = dict[Fact, str]


def wanted(
    access: Access,
    names: Names,
    databases: Mapping[str, str],
    tables: Tables,
    *,
    roles_there: frozenset[str] = frozenset(),
) -> Reasons:
    """Give every right that should be, with its reason.

    Parameters
    ----------
    access : Access
        What ``access.toml`` says.
    names : Names
        The roles of the environment.
    databases : mapping
        Name on the server of each schema, in dependency order; they need not be there.
    tables : Tables
        What is in them, hidden tables too, and what they refer to.
    roles_there : frozenset of str
        Roles that are there already; those of dev or prod beside them are given what goes beyond their own.
    """
    found: Reasons = {}
    for facts in (
        _roles(names, roles_there),
        _accounts(access, names),
        _reading(names, databases, tables),
        _analyst(access, names, databases, tables),
        _operator(access, names, databases, tables),
        _owning(names, databases, tables) if names.owned else _changing(names, databases, tables),
    ):
        for fact, reason in facts:
            found.setdefault(fact, reason)
    return found


def tier(table: str) -> str:
    """Give the tier of a table by its name on the server: that of the master, for a part; empty for a hidden one."""
    if table.startswith("~"):
        return ""
    return next(tier for prefix, tier in TIERS.items() if table.startswith(prefix))


# --- Roles and people ------------------------------------------------------------------------------------------------


def _roles(names: Names, there: frozenset[str]) -> Iterator[tuple[Fact, str]]:
    env = names.environment
    for name, mark in names.marks.items():
        if mark.role == OWNER:
            yield Role(name), f"everything in {env} belongs to one role, so that whoever is given it can change tables"
            continue
        yield Role(name), f"what {_article(mark.role)} of {env} may do is given to this role, and the role to people"
    for role in ROLES:
        if role != "viewer":
            yield Member(names.of("viewer"), names.of(role)), f"{_article(role)} reads all that a viewer does"
    if names.owned:
        owner = names.owner
        yield Member(names.of("viewer"), owner), "whoever makes tables reads what they refer to"
        yield Member(owner, names.of("admin")), "an admin changes tables, which only their owner may"
        for name, mark in names.marks.items():
            if mark.role != "admin":
                yield Member(name, names.of("admin")), f"an admin gives {mark.role} to people"
                yield Member(name, names.of("admin"), admin=True), f"an admin gives {mark.role} to people"
        if names.develops:
            reason = f"a developer changes tables of {env}, which only their owner may"
            yield Member(owner, names.of("developer")), reason
        beyond = Member(names.of("viewer", "prod"), names.of("owner", "dev"))
        if (
            env in ENVIRONMENTS
            and beyond.role in there | names.marks.keys()
            and beyond.member in there | names.marks.keys()
        ):
            yield beyond, "who works as the owner of dev still reads prod"


def _accounts(access: Access, names: Names) -> Iterator[tuple[Fact, str]]:
    env = names.environment
    for account in access.accounts:
        role = account.role(env)
        if role is None:
            continue
        who = f"{account.name} is {_article(role)} of {env} (access.toml, line {account.line})"
        yield Login(account.login), who
        if account.password_days is not None:
            how_long = f"is valid for {_days(account.password_days)}" if account.password_days else "does not expire"
            yield (
                Expires(account.login, account.password_days),
                f"a password of {account.name} {how_long} (access.toml)",
            )
        if access.tls is not None and not names.owned:
            how = "only logs in over TLS" if access.tls else "may log in without TLS"
            yield Encrypted(account.login, access.tls), f"{account.name} {how} (accounts.tls of access.toml)"
        yield Member(names.of(role), account.login), who
        if not names.owned:
            yield Default(names.of(role), account.login), f"{who}; a role does nothing until it is active"
            continue
        if any(account.role(other) == "admin" for other in names.beside):
            yield MakesRoles(account.login), f"{account.name} is an admin, and makes accounts"
        if _acts(role, account, names):
            reason = "so that what is made belongs to the owner, and all who may change it can"
            yield Acts(account.login, names.owner), f"{account.name} makes tables; {reason}"


def _acts(role: str, account: Account, names: Names) -> bool:
    """Tell whether somebody is the owner of an environment in each session.

    There is one database for dev and prod, so it is dev's for who makes tables there; but then not where
    the person has more than a viewer's rights on prod, which the owner of dev does not have. No owner has rights in an
    environment of ``environments.toml`` in the same database, or in dev and prod as that one's owner.
    """
    own = ENVIRONMENTS if names.environment in ENVIRONMENTS else (names.environment,)
    if any(account.role(other) for other in names.sharing if other not in own):
        return False
    if names.environment not in ENVIRONMENTS:
        return role == "admin" or (names.develops and role == "developer")
    dev, prod = account.role("dev"), account.role("prod")
    makes_in_dev = dev in ("developer", "admin")
    if names.environment == "dev":
        return makes_in_dev and prod in (None, "viewer", "developer")
    return role == "admin" and not makes_in_dev


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"


def _article(role: str) -> str:
    return f"{'an' if role[0] in 'aeiou' else 'a'} {role}"


# --- Reading ---------------------------------------------------------------------------------------------------------


def _reading(names: Names, databases: Mapping[str, str], tables: Tables) -> Iterator[tuple[Fact, str]]:
    viewer, schemas = names.of("viewer"), {database: schema for schema, database in databases.items()}
    above = upstream(tables, databases.values())
    why = {database: f"a viewer reads {schema}" for database, schema in schemas.items()}
    why |= {database: f"tables of the pipeline refer to {database}, directly or not" for database in sorted(above)}
    if not names.owned:
        for database, reason in why.items():
            yield Right(viewer, "SELECT", database), reason
        return
    for database in sorted({database for database, _ in tables.tables} & set(why)):
        yield Right(viewer, "USAGE", database), why[database]
    for (database, table), what in sorted(tables.tables.items()):
        if database not in why:
            continue
        yield Right(viewer, "SELECT", database, table), why[database]
        column = shown_by(what)
        if column and (not table.startswith("~") or table.startswith(JOBS)):
            # DataJoint looks keys up where the server hides them from who may only SELECT. A right to refer to the
            # whole table would let a viewer block its deletes with a table of their own.
            reason = "DataJoint finds the primary key only with a right beyond SELECT; this one lets nobody refer to it"
            yield Right(viewer, "REFERENCES", database, table, column), reason
    for kind, privilege in (("SCHEMAS", "USAGE"), ("TABLES", "SELECT")):
        yield FutureRight(names.owner, viewer, privilege, kind), "a viewer reads what will be made, too"


def shown_by(table: Table) -> str:
    """Give the column that a right to refer to makes a table's key visible: one that nothing can refer to, if possible.

    A foreign key refers to a whole primary key: a column beside it, or one of several, is not enough to make one.
    """
    beside = [column for column in table.columns if column not in table.key]
    return (beside or list(table.columns) or [""])[0]


# --- Writing ---------------------------------------------------------------------------------------------------------


def _analyst(access: Access, names: Names, databases: Mapping[str, str], tables: Tables) -> Iterator[tuple[Fact, str]]:
    for schema in access.analyst_schemas:
        database = databases.get(schema, "")
        for place in _tables_of(database, tables):
            if tier(place[1]) or place[1].startswith(JOBS):
                for privilege in ("INSERT", "UPDATE", "DELETE"):
                    yield Right(names.of("analyst"), privilege, *place), f"an analyst writes to {schema}"


def _operator(access: Access, names: Names, databases: Mapping[str, str], tables: Tables) -> Iterator[tuple[Fact, str]]:
    operator = names.of("operator")
    for schema, database in databases.items():
        for place in _tables_of(database, tables):
            table = place[1]
            if table.startswith(JOBS):
                for privilege in ("INSERT", "UPDATE", "DELETE"):
                    yield Right(operator, privilege, *place), "an operator's workers share the jobs"
            elif tier(table) in ("Imported", "Computed"):
                for privilege in ("INSERT", "DELETE"):
                    yield Right(operator, privilege, *place), f"an operator populates {tier(table)} tables"
                for column in JOB_COLUMNS:
                    if column in tables.tables[place].columns:
                        # Without these, populate fails once the row is committed.
                        yield (
                            Right(operator, "UPDATE", *place, column),
                            "populate notes when and by which version a row was made",
                        )
            elif tier(table) == "Manual":
                yield Right(operator, "INSERT", *place), "an operator enters what was recorded"
                if schema in access.operator_deletes:
                    yield (
                        Right(operator, "DELETE", *place),
                        f"operators may delete in {schema} (exceptions.operator of access.toml)",
                    )


def _tables_of(database: str, tables: Tables) -> list[Place]:
    return sorted(place for place in tables.tables if place[0] == database)


# --- Changing --------------------------------------------------------------------------------------------------------


def _changing(names: Names, databases: Mapping[str, str], tables: Tables) -> Iterator[tuple[Fact, str]]:
    """Give the rights of who makes tables on MySQL."""
    makers = ("developer", "admin") if names.develops else ("admin",)
    for role in makers:
        for database in databases.values():
            for privilege in EVERYTHING:
                yield (
                    Right(names.of(role), privilege, database),
                    f"{_article(role)} makes and changes all of {database}",
                )
        for place in _outer_parents(databases, tables):
            reason = f"whoever makes tables that refer to {'.'.join(place)} needs it"
            yield Right(names.of(role), "REFERENCES", *place), reason
    admin = names.of("admin")
    for database in databases.values():
        yield Right(admin, GRANT_OPTION, database), "an admin gives these rights to roles"
    for privilege in _ADMINISTRATION:
        yield Right(admin, privilege), "an admin makes accounts, gives them roles, and ends their sessions"
    yield Right(admin, "SELECT", "mysql"), "an admin compares what is written down with what the server has"
    yield Right(admin, "SELECT", "performance_schema"), "an admin sees the sessions of an account, to end them"


def _owning(names: Names, databases: Mapping[str, str], tables: Tables) -> Iterator[tuple[Fact, str]]:
    """Give the rights of who owns tables on PostgreSQL."""
    yield Right(names.owner, "CREATE"), "the owner makes schemas"
    for place in _outer_parents(databases, tables):
        reason = f"whoever makes tables that refer to {'.'.join(place)} needs it"
        yield Right(names.owner, "REFERENCES", *place), reason


def _outer_parents(databases: Mapping[str, str], tables: Tables) -> list[Place]:
    ours = set(databases.values())
    return sorted({parent for child, parent in tables.parents if child[0] in ours and parent[0] not in ours})


def belonging(names: Names, owners: Mapping[tuple[str, str, str], str], movable: frozenset[str]) -> Reasons:
    """Give what should belong to the owner, of what belongs to it or to somebody who may lose it.

    Parameters
    ----------
    names : Names
        The roles of the environment.
    owners : mapping
        Who has each thing now, by database, name and kind.
    movable : frozenset of str
        Whose things are given to the owner.
    """
    return {
        Owns(names.owner, *thing): f"it belongs to {holder}; only the owner of all could change it"
        for thing, holder in owners.items()
        if holder in movable or holder == names.owner
    }
