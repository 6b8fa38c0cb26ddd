"""Rights on MySQL: read from the grant tables, never from ``SHOW GRANTS``; one spelling of a database, no patterns."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ... import server_errors
from ...quoting import quote
from ..rights import (
    GRANT_OPTION,
    PUBLIC,
    Bypass,
    Default,
    Encrypted,
    Expires,
    Fact,
    Login,
    Mark,
    Member,
    Password,
    Place,
    Right,
    Role,
    Server,
    Standing,
    Statement,
    Table,
    Tables,
    Unseen,
    grouped,
    upstream,
)

#: Columns of ``mysql.db`` and what statements call them.
_DATABASE_RIGHTS = {
    "select": "SELECT",
    "insert": "INSERT",
    "update": "UPDATE",
    "delete": "DELETE",
    "create": "CREATE",
    "drop": "DROP",
    "grant": GRANT_OPTION,
    "references": "REFERENCES",
    "index": "INDEX",
    "alter": "ALTER",
    "create_tmp_table": "CREATE TEMPORARY TABLES",
    "lock_tables": "LOCK TABLES",
    "create_view": "CREATE VIEW",
    "show_view": "SHOW VIEW",
    "create_routine": "CREATE ROUTINE",
    "alter_routine": "ALTER ROUTINE",
    "execute": "EXECUTE",
    "event": "EVENT",
    "trigger": "TRIGGER",
}

#: Names in the sets of ``mysql.tables_priv`` that statements call otherwise.
_TABLE_RIGHTS = {"GRANT": GRANT_OPTION}

#: Who is somebody: an account for any host has its name alone.
_HOLDER = "IF(host = '%', user, CONCAT(user, '@', host))"

#: Accounts of the server itself.
_OWN = ("root", "mysql.sys", "mysql.session", "mysql.infoschema")


class MySQLRights(Server):
    """The rights on a server of MySQL. Roles and accounts of ours are for any host."""

    backend = "mysql"
    longest = 32
    asks_for_tls = True

    # --- Reading -----------------------------------------------------------------------------------------------------

    def read(self, databases: Collection[str], logins: Collection[str], pipeline: str) -> Standing:
        ((literal, user, mandatory),) = self._rows(
            "SELECT @@GLOBAL.partial_revokes, CURRENT_USER(), @@GLOBAL.mandatory_roles"
        )
        try:
            marks, names, facts, passwords, opened = self._accounts(logins)
            database_rows = self._rows(
                f"SELECT {_HOLDER}, db, {', '.join(f'{name}_priv' for name in _DATABASE_RIGHTS)} FROM mysql.db"
            )
            table_rows = self._rows(f"SELECT {_HOLDER}, db, table_name, table_priv FROM mysql.tables_priv")
            column_rows = self._rows(
                f"SELECT {_HOLDER}, db, table_name, column_name, column_priv FROM mysql.columns_priv"
            )
            members = self._rows(
                "SELECT 'member', from_user, from_host, to_user, to_host, with_admin_option FROM mysql.role_edges "
                "UNION ALL SELECT 'default', default_role_user, default_role_host, user, host, 'N' "
                "FROM mysql.default_roles UNION ALL SELECT 'proxy', proxied_user, proxied_host, user, host, 'N' "
                "FROM mysql.proxies_priv UNION ALL SELECT LOWER(routine_type), db, routine_name, user, host, 'N' "
                "FROM mysql.procs_priv"
            )
        except Exception as error:
            raise _blind(error, str(user)) from error
        there, tables = self._tables(databases)
        ours = {name for name, mark in marks.items() if mark.pipeline == pipeline} | set(logins)
        facts |= {Role(name) for name, mark in marks.items() if mark.pipeline == pipeline and mark.role}
        facts |= {Login(name) for name in logins if name in names and not (name in marks and marks[name].new)}
        known = {*databases, *upstream(tables, databases), "mysql", "performance_schema"}
        spelled = {self.spelled(name, literal=bool(literal)): name for name in known}
        watched = {name.lower() for name in databases}
        covering = set()
        for holder, database, *given in database_rows:
            name = spelled.get(database)
            if any(_fits(database, one, literal=bool(literal)) for one in databases):
                covering |= {database} if name is None else set()
            elif holder not in ours:
                continue
            else:
                name = name or self._exact(database, literal=bool(literal))
            for privilege, given_one in zip(_DATABASE_RIGHTS.values(), given, strict=True):
                if given_one == "Y":
                    facts.add(Right(holder, privilege, name or database, verbatim=name is None))
        for holder, database, table, privileges in table_rows:
            if holder in ours or database.lower() in watched:
                for word in filter(None, privileges.split(",")):
                    facts.add(Right(holder, _TABLE_RIGHTS.get(word.upper(), word.upper()), database, table))
        for holder, database, table, column, privileges in column_rows:
            if holder in ours or database.lower() in watched:
                for word in filter(None, privileges.split(",")):
                    facts.add(Right(holder, word.upper(), database, table, column))
        bypasses = {
            Bypass(name, f"{name} can log in; ALTER USER {_account(name)} ACCOUNT LOCK")
            for name in opened
            if marks[name].pipeline == pipeline
        }
        for name, mark in marks.items():
            if (
                mark.pipeline == pipeline
                and mark.role
                and re.search(rf"(^|[`,\s]){re.escape(name)}($|[`@,\s])", mandatory)
            ):
                words = "everybody has it whatever else is granted; take it out of that setting"
                bypasses.add(Bypass(PUBLIC, f"{name} stands in mandatory_roles, so that {words}"))
        for kind, role, role_host, member, member_host, admin in members:
            if kind not in ("member", "default"):
                holder = _named(member if kind == "proxy" else _as_meant(member), member_host)
                if holder in marks and marks[holder].pipeline == pipeline:
                    bypasses.add(Bypass(holder, _of_no_table(kind, role, role_host, holder)))
                continue
            role, member = _named(role, role_host), _named(member, member_host)
            if role not in ours and member not in ours:
                continue
            facts.add(Member(role, member) if kind == "member" else Default(role, member))
            if admin == "Y":
                facts.add(Member(role, member, admin=True))
        for grantee, privilege, grantable in self._rows(
            "SELECT grantee, privilege_type, is_grantable FROM information_schema.user_privileges "
            "WHERE privilege_type <> 'USAGE'"
        ):
            holder = _named(*_split(grantee))
            if holder in ours:
                facts.add(Right(holder, privilege))
                if grantable == "YES":
                    facts.add(Right(holder, GRANT_OPTION))
        facts = {
            fact
            for fact in facts
            if not (isinstance(fact, Right) and fact.holder.split("@")[0] in _OWN and fact.holder not in ours)
        }
        return Standing(
            facts=frozenset(facts),
            marks=marks,
            names=names,
            superusers=frozenset(name for name in names if name.split("@")[0] in _OWN),
            tables=tables,
            databases=there,
            orphans=frozenset(
                fact
                for fact in facts
                if isinstance(fact, Right)
                and fact.table
                and fact.database in databases
                and (
                    (fact.database, fact.table) not in tables.tables
                    or (fact.column and fact.column not in tables.tables[fact.database, fact.table].columns)
                )
            ),
            covering=frozenset(covering),
            literal=bool(literal),
            user=str(user).rpartition("@")[0],
            passwords=passwords,
            bypasses=frozenset(bypasses),
        )

    def _accounts(
        self, logins: Collection[str]
    ) -> tuple[dict[str, Mark], frozenset[str], set[Fact], dict[str, Password], set[str]]:
        """Give marks and names of all accounts; how some of them log in; and which of those that are roles can."""
        marks, names, facts, passwords = dict[str, Mark](), set[str](), set[Fact](), dict[str, Password]()
        opened = set[str]()
        for user, host, attribute, lifetime, tls, age, left, locked in self._rows(
            f"SELECT a.user, a.host, a.attribute, u.password_lifetime, u.ssl_type, {password_age('u')}, "
            f"{password_left('u')}, u.account_locked FROM information_schema.user_attributes a "
            "LEFT JOIN mysql.user u ON u.user = a.user AND u.host = a.host"
        ):
            name = _named(user, host)
            names.add(name)
            if name in logins:
                passwords[name] = Password(*(None if days is None else float(days) for days in (age, left)))
                facts |= set() if lifetime is None else {Expires(name, int(lifetime))}
                facts.add(Encrypted(name, required=bool(tls)))
            content = json.loads(attribute) if attribute else {}
            if isinstance(content, dict) and content.get("managed_by"):
                words = {key: str(content.get(key) or "") for key in ("environment", "role")}
                marks[name] = Mark(str(content["managed_by"]), **words, new=bool(content.get("new")))
                opened |= {name} if words["role"] and locked == "N" else set()
        return marks, frozenset(names), facts, passwords, opened

    def _tables(self, databases: Collection[str]) -> tuple[frozenset[str], Tables]:
        parents = {
            ((str(a), str(b)), (str(c), str(d)))
            for a, b, c, d in self._rows(
                "SELECT DISTINCT constraint_schema, table_name, unique_constraint_schema, referenced_table_name "
                "FROM information_schema.referential_constraints"
            )
        }
        there, found = set[str](), dict[Place, Table]()
        if databases:
            marks = ", ".join(["%s"] * len(databases))
            for database, table, columns in self._rows(
                "SELECT s.schema_name, t.table_name, (SELECT JSON_ARRAYAGG(JSON_ARRAY(c.ordinal_position, "
                "c.column_name, c.column_key)) FROM information_schema.columns c WHERE c.table_schema = "
                "t.table_schema AND c.table_name = t.table_name) FROM information_schema.schemata s "
                "LEFT JOIN information_schema.tables t ON t.table_schema = s.schema_name "
                f"AND t.table_type = 'BASE TABLE' WHERE s.schema_name IN ({marks})",
                *databases,
            ):
                there.add(str(database))
                if table is None:
                    continue
                listed = sorted(json.loads(columns or "[]"))
                found[str(database), str(table)] = Table(
                    tuple(name for _, name, _ in listed), tuple(name for _, name, key in listed if key == "PRI")
                )
        return frozenset(there), Tables(found, frozenset(parents))

    # --- Statements --------------------------------------------------------------------------------------------------

    def spelled(self, database: str, *, literal: bool) -> str:
        """Give the name of a database as a right on all of it has to have it.

        ``_`` and ``%`` stand for others unless a backslash is before them; with ``partial_revokes`` nothing does.
        """
        return database if literal else re.sub(r"([\\_%])", r"\\\1", database)

    def _exact(self, spelling: str, *, literal: bool) -> str | None:
        """Give the one database that a right is spelled for; None for a pattern."""
        name = spelling if literal else re.sub(r"\\(.)", r"\1", spelling)
        return name if self.spelled(name, literal=literal) == spelling else None

    def grants(self, facts: Collection[Fact], standing: Standing, marks: Mapping[str, Mark]) -> Iterator[Statement]:
        for role in sorted(fact for fact in facts if isinstance(fact, Role)):
            # What CREATE ROLE makes, but with its mark in the same statement: a role without one would not be ours.
            yield Statement(
                f"CREATE USER {_account(role.name)} IDENTIFIED WITH caching_sha2_password AS '' PASSWORD EXPIRE "
                f"ACCOUNT LOCK ATTRIBUTE {_attribute(marks[role.name])}",
                (role,),
            )
        for login in sorted(fact for fact in facts if isinstance(fact, Login)):
            verb = "ALTER" if login.name in standing.names else "CREATE"
            attribute = _attribute(marks[login.name])
            sql = f"{verb} USER {_account(login.name)} IDENTIFIED BY RANDOM PASSWORD ATTRIBUTE {attribute}"
            yield Statement(sql, (login,))
        for tls in sorted(fact for fact in facts if isinstance(fact, Encrypted)):
            yield Statement(f"ALTER USER {_account(tls.login)} REQUIRE {'SSL' if tls.required else 'NONE'}", (tls,))
        for expiry in sorted(fact for fact in facts if isinstance(fact, Expires)):
            when = f"INTERVAL {expiry.days} DAY" if expiry.days else "NEVER"
            yield Statement(f"ALTER USER {_account(expiry.login)} PASSWORD EXPIRE {when}", (expiry,))
        members = {fact for fact in facts if isinstance(fact, Member)}
        for member in sorted(members):
            plain = Member(member.role, member.member)
            if member.admin or Member(member.role, member.member, admin=True) not in members:
                option = " WITH ADMIN OPTION" if member.admin else ""
                sql = f"GRANT {_account(member.role)} TO {_account(member.member)}{option}"
                yield Statement(sql, tuple({plain, member} & members))
        for name, defaults in _by_member(fact for fact in facts if isinstance(fact, Default)).items():
            kept = {f.role for f in standing.facts if isinstance(f, Default) and f.member == name}
            roles = ", ".join(_account(role) for role in sorted(kept | {default.role for default in defaults}))
            yield Statement(f"SET DEFAULT ROLE {roles} TO {_account(name)}", tuple(defaults))
        for rights in grouped([fact for fact in facts if isinstance(fact, Right)]).values():
            passing = any(right.privilege == GRANT_OPTION for right in rights)
            listed = _listed([right for right in rights if right.privilege != GRANT_OPTION]) or "USAGE"
            option = " WITH GRANT OPTION" if passing else ""
            where = self._where(rights[0], standing)
            yield Statement(f"GRANT {listed} ON {where} TO {_account(rights[0].holder)}{option}", tuple(rights))

    def revokes(self, facts: Collection[Fact], standing: Standing) -> Iterator[Statement]:
        for rights in grouped([fact for fact in facts if isinstance(fact, Right)]).values():
            where, holder = self._where(rights[0], standing), _account(rights[0].holder)
            # The option is taken back on its own: the server would take it for a privilege of the list.
            for some in (
                [right for right in rights if right.privilege != GRANT_OPTION],
                [right for right in rights if right.privilege == GRANT_OPTION],
            ):
                if some:
                    sql = f"REVOKE IF EXISTS {_listed(some)} ON {where} FROM {holder} IGNORE UNKNOWN USER"
                    yield Statement(sql, tuple(some), revokes=True)
        taken = {fact for fact in facts if isinstance(fact, Default | Member)}
        for name, members in _by_member(fact for fact in taken if isinstance(fact, Member)).items():
            for member in members:
                if member.admin and Member(member.role, member.member) not in taken:
                    # There is no statement that takes the option alone.
                    yield from self._without_option(member, standing)
                elif not member.admin:
                    gone: tuple[Fact, ...] = (member, Default(member.role, name))
                    sql = f"REVOKE IF EXISTS {_account(member.role)} FROM {_account(name)} IGNORE UNKNOWN USER"
                    yield Statement(sql, gone, revokes=True)
        for name, defaults in _by_member(fact for fact in taken if isinstance(fact, Default)).items():
            left = [default for default in defaults if Member(default.role, name) not in taken]
            if not left:
                continue
            kept = {f.role for f in standing.facts if isinstance(f, Default) and f.member == name and f not in taken}
            roles = ", ".join(_account(role) for role in sorted(kept)) or "NONE"
            yield Statement(f"SET DEFAULT ROLE {roles} TO {_account(name)}", tuple(left), revokes=True)
        for role in sorted(fact for fact in facts if isinstance(fact, Role)):
            yield Statement(f"DROP ROLE IF EXISTS {_account(role.name)}", (role,), revokes=True)

    def _without_option(self, member: Member, standing: Standing) -> Iterator[Statement]:
        role, name = _account(member.role), _account(member.member)
        yield Statement(f"REVOKE {role} FROM {name}", (member,), revokes=True)
        yield Statement(f"GRANT {role} TO {name}", (member,), revokes=True)
        kept = {f.role for f in standing.facts if isinstance(f, Default) and f.member == member.member}
        if kept:
            roles = ", ".join(_account(other) for other in sorted(kept))
            yield Statement(f"SET DEFAULT ROLE {roles} TO {name}", (member,), revokes=True)

    def _where(self, right: Right, standing: Standing) -> str:
        if right.table:  # which MySQL takes literally
            return quote(self.backend, right.database, right.table)
        if not right.database:
            return "*.*"
        name = right.database if right.verbatim else self.spelled(right.database, literal=standing.literal)
        return f"{quote(self.backend, name)}.*"

    def borrow(self, roles: Collection[str]) -> list[str]:
        return []  # here rights go with the account

    def give_back(self, roles: Collection[str]) -> None:
        """Do nothing: nothing was borrowed."""

    # --- Accounts ----------------------------------------------------------------------------------------------------

    def new_password(self, login: str, mark: Mark, keeper: str) -> str:
        account = _account(login)
        there = self._rows("SELECT 1 FROM mysql.user WHERE user = %s AND host = '%%'", login)
        verb = f"ALTER USER {account}" if there else f"CREATE USER {account}"
        attribute = _attribute(mark, new=True)
        rows = self._rows(f"{verb} IDENTIFIED BY RANDOM PASSWORD ACCOUNT LOCK ATTRIBUTE {attribute}")
        return str(rows[0][2])

    def hand_over(self, login: str) -> None:
        self._rows(f"ALTER USER {_account(login)} ACCOUNT UNLOCK ATTRIBUTE '{{\"new\": null}}'")


def password_age(alias: str) -> str:
    """Give the expression for how many days old the password of a row of ``mysql.user`` is."""
    return f"TIMESTAMPDIFF(SECOND, {alias}.password_last_changed, NOW()) / 86400"


def password_left(alias: str) -> str:
    """Give the expression for how many days it is still valid: NULL for ever, 0 or less once it is void."""
    days = f"COALESCE({alias}.password_lifetime, @@GLOBAL.default_password_lifetime)"
    return f"IF({alias}.password_expired = 'Y', 0, IF({days} > 0, {days} - {password_age(alias)}, NULL))"


def _as_meant(user: str) -> str:
    """Give the account of a row of ``mysql.procs_priv``, where the server writes UTF-8 as if it were Latin-1."""
    try:
        return user.encode("cp1252").decode()
    except UnicodeError:
        return user


def _of_no_table(kind: str, first: str, second: str, holder: str) -> str:
    """Say what an account or role may be, or which routine it may run."""
    if kind == "proxy":
        proxied = f"{quote('mysql', first)}@{quote('mysql', second)}"
        return f"{holder} may log in as {_named(first, second)}; REVOKE PROXY ON {proxied} FROM {_account(holder)}"
    routine = f"{kind.upper()} {quote('mysql', first, second)}"
    undo = f"REVOKE ALL PRIVILEGES ON {routine} FROM {_account(holder)}"
    return f"{holder} has rights on the {kind} {first}.{second}; {undo}"


def _blind(error: Exception, user: str) -> Exception:
    if server_errors.of(error) is not server_errors.ACCESS:
        return error
    return Unseen(
        f"{user} may not see who has which rights on this server.",
        f"{server_errors.reason(error)}. Nothing was changed.",
        "Run this as the administrator of the server, or as an admin of access.toml.",
    )


def _fits(pattern: str, database: str, *, literal: bool) -> bool:
    """Tell whether MySQL takes a pattern for a database."""
    if literal:
        return pattern.lower() == database.lower()
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    words = {"%": ".*", "_": "."}
    expression = "".join(words.get(part) or re.escape(part[-1]) for part in parts)
    return re.fullmatch(expression, database, re.IGNORECASE | re.DOTALL) is not None


def _named(user: Any, host: Any) -> str:
    return str(user) if host == "%" else f"{user}@{host}"


def _split(grantee: str) -> tuple[str, str]:
    """Give user and host of ``'user'@'host'``, whose quotes the server does not double."""
    user, _, host = grantee.rpartition("'@'")
    return user[1:], host[:-1]


def _account(name: str) -> str:
    return f"{quote('mysql', name)}@{quote('mysql', '%')}"


def _attribute(mark: Mark, *, new: bool = False) -> str:
    content = {"managed_by": mark.pipeline, "environment": mark.environment, "role": mark.role}
    words: dict[str, object] = {key: value for key, value in content.items() if value}
    text = json.dumps({**words, **({"new": True} if new else {})}, ensure_ascii=True)
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def _listed(rights: list[Right]) -> str:
    """Give privileges as a statement lists them, those on columns with the names of these."""
    columns: dict[str, list[str]] = {}
    for right in rights:
        columns.setdefault(right.privilege, [])
        if right.column:
            columns[right.privilege].append(quote("mysql", right.column))
    return ", ".join(f"{name} ({', '.join(names)})" if names else name for name, names in columns.items())


def _by_member(facts: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for fact in sorted(facts):
        found.setdefault(fact.member, []).append(fact)
    return found
