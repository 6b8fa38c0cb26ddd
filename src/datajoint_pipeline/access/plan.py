"""What separates a server from what is wanted: two differences of two sets, as statements with reasons.

Only what is ours is taken back: rights of roles that we marked, memberships in them, and rights in the pipeline's
databases of accounts that we made. Everything else is listed and left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ..dialects.rights import (
    GRANT_OPTION,
    PUBLIC,
    Acts,
    Default,
    Encrypted,
    Expires,
    Fact,
    FutureRight,
    Login,
    MakesRoles,
    Mark,
    Member,
    Owns,
    Right,
    Role,
    Server,
    Standing,
)
from ..errors import ExitCode, PipelineError, worst
from . import further
from .audit import Audit
from .model import ENVIRONMENTS, ROLES, Access
from .names import OWNER, Names
from .wanted import Reasons, belonging, wanted

#: How many days before its end a password is told of.
_SOON = 14

#: How many reasons of one statement are told.
_SHOWN = 4

#: What does not change anything.
_READS = frozenset({"SELECT", "USAGE", "REFERENCES", "SHOW VIEW", "EXECUTE", "CONNECT"})


@dataclass(frozen=True)
class Line:
    """A statement to run, the reason for it, and whether it takes something back."""

    sql: str
    reason: str
    revokes: bool
    facts: tuple[Fact, ...] = field(compare=False)

    @property
    def kind(self) -> str:
        """Give ``account``, ``role``, ``grant``, ``owner`` or ``revoke``."""
        if self.revokes:
            return "revoke"
        match self.facts[0]:
            case Login() | Expires() | Encrypted():
                return "account"
            case Role():
                return "role"
            case Owns():
                return "owner"
        return "grant"


@dataclass(frozen=True)
class AccessPlan:
    """What `access apply` would do.

    Parameters
    ----------
    lines : tuple of Line
        Statements in the order in which they run. On MySQL grants come first, so that nobody is without a right
        meanwhile.
    others : tuple of str
        In words, what accounts have that are not in ``access.toml`` and not ours. It is left.
    notes : tuple of str
        What a person should know, and no statement mends.
    missing_schemas : tuple of str
        Schemas that are not there yet, so that nothing could be given on their tables.
    audit : Audit
        Which tables are to be audited, and which no more.
    audits : bool
        Whether any table is audited or is to be, so that ``audit`` is worth asking for.
    """

    lines: tuple[Line, ...]
    others: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    missing_schemas: tuple[str, ...] = ()
    audit: Audit = field(default_factory=Audit)
    audits: bool = field(default=False, compare=False)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Give every note, those on audited tables too."""
        return (*self.notes, *self.audit.notes)

    @property
    def is_empty(self) -> bool:
        """Tell whether `access apply` has nothing to do."""
        return not self.lines and not self.audit

    @property
    def grants(self) -> tuple[Line, ...]:
        """Give the statements that something is missing for."""
        return tuple(line for line in self.lines if not line.revokes)

    @property
    def revokes(self) -> tuple[Line, ...]:
        """Give the statements that take back what nobody wrote down."""
        return tuple(line for line in self.lines if line.revokes)

    @property
    def exit_code(self) -> ExitCode:
        """Give what `access check` returns: 3 where a right is missing, 4 where there is one that nobody wrote down."""
        taken = any(isinstance(fact, Owns) for line in self.grants for fact in line.facts)
        drifted = bool(self.revokes or self.others or taken or self.audit.ended or self.audit.mended)
        pending = bool(self.grants or self.audit.begun)
        return worst([*([ExitCode.PENDING] if pending else []), *([ExitCode.DRIFT] if drifted else [])])

    def as_dict(self) -> dict[str, object]:
        """Give the plan for ``--json``."""
        return {
            "statements": [{"sql": line.sql, "kind": line.kind, "reason": line.reason} for line in self.lines],
            "others": list(self.others),
            "notes": list(self.remarks),
            "audit": list(self.audit.words),
        }


def make(
    server: Server,
    standing: Standing,
    access: Access,
    names: Names,
    databases: Mapping[str, str],
    branches: Collection[Mapping[str, str]] = (),
) -> AccessPlan:
    """Compare what is wanted with how things stand.

    Parameters
    ----------
    server : Server
        Writes the statements.
    standing : Standing
        What it read.
    access : Access
        What ``access.toml`` says.
    names : Names
        The roles of the environment.
    databases : mapping
        Name on the server of each schema.
    branches : collection of mapping
        The same of each git branch that has schemas of its own.

    Raises
    ------
    PipelineError
        If a role cannot be made, as somebody else's account has its name.
    """
    _refuse_taken(names, access, standing)
    wants = wanted(access, names, databases, standing.tables, roles_there=frozenset(standing.marks))
    owners = {(f.database, f.name, f.kind): f.owner for f in standing.facts if isinstance(f, Owns)}
    places = {*databases.values(), *(database for branch in branches for database in branch.values())}
    owners = {thing: holder for thing, holder in owners.items() if thing[0] in places}
    for branch in branches:
        wants = further.rights(access, names, branch, standing.tables) | wants
    if names.owned:
        wants |= belonging(names, owners, _movable(access, names, standing))
    others = {name for name in standing.names if name not in standing.marks}
    wants = {
        fact: why for fact, why in wants.items() if not (isinstance(fact, Expires | Encrypted) and fact.login in others)
    }
    missing = {fact for fact in wants if not server.holds(fact, standing)}
    extra = {
        fact: reason for fact in standing.facts - set(wants) if (reason := _unwanted(fact, access, names, standing))
    }
    extra = {fact: reason for fact, reason in extra.items() if _ours(fact, names, standing, places)}
    marks = names.marks | {account.login: Mark(names.pipeline) for account in access.accounts}
    grants = list(server.grants(missing, standing, marks))
    revokes = list(server.revokes(set(extra), standing))
    giving = [Line(s.sql, joined(s.facts, wants), s.revokes, s.facts) for s in grants]
    taking = [Line(s.sql, joined(s.facts, extra), s.revokes, s.facts) for s in revokes]
    lines = [*taking, *giving] if server.revokes_first else [*giving, *taking]
    there = {database for database, _, kind in owners if kind == "SCHEMA"} | {d for d, _ in standing.tables.tables}
    return AccessPlan(
        tuple(lines),
        (
            *_others(access, names, standing, places, set(extra)),
            *_other_owners(access, names, standing, owners),
        ),
        (*_notes(access, names, standing), *_login_notes(access, names, standing, asks_for_tls=server.asks_for_tls)),
        tuple(schema for schema, database in databases.items() if database not in there),
    )


def joined(facts: Collection[Fact], reasons: Reasons) -> str:
    """Give the reasons of a statement, each once and in the same order every time; of many, the first few."""
    every = list(dict.fromkeys(reasons[fact] for fact in sorted(facts, key=repr) if fact in reasons))
    more = [f"and {len(every) - _SHOWN} more of the kind"] if len(every) > _SHOWN + 1 else []
    return "; ".join([*(every[:_SHOWN] if more else every), *more])


def _refuse_taken(names: Names, access: Access, standing: Standing) -> None:
    roles = {names.of(role, env): role for env in ENVIRONMENTS for role in (*ROLES, OWNER)}
    for account in access.accounts:
        if account.login in roles:
            raise PipelineError(
                f"access.toml, line {account.line}, has {account.login} as a login, which is the name of a role.",
                f"A login of that name would have all that the {roles[account.login]} role may. Nothing was changed.",
                "Give the account another login.",
            )
    for name, mark in names.marks.items():
        if name in standing.names and standing.marks.get(name) != mark:
            raise PipelineError(
                f"There is an account or role {name} on this server that is not this pipeline's.",
                f"The rights of a {mark.role} would be given to a role of that name. Nothing was changed.",
                "Rename it, or give this pipeline another prefix.",
            )
    for account in access.accounts:
        mark_there = standing.marks.get(account.login)
        if mark_there is not None and mark_there.role:
            raise PipelineError(
                f"{account.login} is a role on this server, and access.toml, line {account.line}, has it as a login.",
                "The account could not be told from the role. Nothing was changed.",
                "Give the account another login.",
            )


# --- What is not wanted ----------------------------------------------------------------------------------------------


def _unwanted(fact: Fact, access: Access, names: Names, standing: Standing) -> str:
    """Say why something that is there should not be; empty where it may stay."""
    roles = names.marks
    match fact:
        case Right():
            role = roles.get(fact.holder)
            what = "owner role" if role and role.role == "owner" else f"{role.role} role" if role else ""
            if fact in standing.orphans:
                table_is_there = (fact.database, fact.table) in standing.tables.tables
                gone = _what(fact if table_is_there else replace(fact, column=""))
                return f"{gone} is not there; one made under that name later would inherit the right"
            if fact.verbatim and fact.database in standing.covering:
                return (
                    f"the pattern {fact.database} covers databases of the pipeline; only the right of the pattern "
                    "that fits best counts, so it can take others away"
                )
            if not role:
                return f"{fact.holder} has {fact.privilege} {_on(fact)} directly; people only have roles"
            return f"nothing gives the {what} {fact.privilege} {_on(fact)}"
        case Member():
            if fact.admin and Member(fact.role, fact.member) not in standing.facts:
                return ""
            ours = roles.get(fact.role)
            name = ours.role if ours else fact.role
            known = {account.login: account.name for account in access.accounts}
            who = known.get(fact.member, fact.member)
            if fact.admin:
                return f"{who} may give {name} to others, and nobody wrote that down"
            return f"{who} has {name}, and access.toml does not say so"
        case Default():
            return f"{fact.role} is no role of {fact.member} any longer"
        case Acts():
            return f"{fact.login} no longer makes tables here"
        case FutureRight():
            where = f" in {fact.database}" if fact.database else ""
            return f"nobody wrote down that {fact.holder} gets {fact.privilege} on what {fact.owner} makes{where}"
        case MakesRoles():
            if any(account.login == fact.login and "admin" in account.roles.values() for account in access.accounts):
                return ""  # of an environment that is on this server under another name
            return f"{fact.login} is not an admin, but may make accounts"
    return ""


def _ours(fact: Fact, names: Names, standing: Standing, databases: Collection[str]) -> bool:
    """Tell whether something that is not wanted is ours to take back."""
    roles = names.marks
    made = _made(names, standing)
    match fact:
        case Right():
            if fact.holder in roles:
                return True
            return fact.holder in made and _here(fact, standing, databases)
        case Member():
            if fact.member in standing.superusers:
                return False
            return fact.role in roles or fact.member in roles
        case Default():
            return fact.role in roles and fact.member not in roles
        case Acts():
            return fact.role == names.owner
        case FutureRight():
            return fact.owner == names.owner or fact.holder in roles
        case MakesRoles():
            return fact.login in made
    return False


def _movable(access: Access, names: Names, standing: Standing) -> frozenset[str]:
    """Give those whose things are given to the owner: whom we know, and administrators of the server."""
    ours = {name for name, mark in standing.marks.items() if mark.pipeline == names.pipeline}
    return frozenset({*ours, *(account.login for account in access.accounts), *standing.superusers, standing.user})


# --- What is left ----------------------------------------------------------------------------------------------------


def _others(
    access: Access, names: Names, standing: Standing, databases: Collection[str], taken: Collection[Fact]
) -> list[str]:
    """Say what others have in the pipeline's databases."""
    known, found = {*access.others, *names.marks}, dict[tuple[str, str], list[str]]()
    for fact in sorted(fact for fact in standing.facts if isinstance(fact, Right)):
        holder = fact.holder
        if holder in known or fact in taken or not _here(fact, standing, databases):
            continue
        mark = standing.marks.get(holder)
        if mark is not None and mark.role and (fact.privilege in _READS or not fact.database):
            continue  # another pipeline's, or another environment's, that refers to this one
        if not fact.database and names.owned and fact.privilege in ("CONNECT", "TEMPORARY"):
            continue
        place = "everywhere" if not fact.database else ".".join(filter(None, (fact.database, fact.table, fact.column)))
        found.setdefault((holder, place), []).append(fact.privilege)
    lines = []
    for (holder, place), privileges in found.items():
        who = f"the anonymous account {holder}" if holder.startswith("@") else holder
        who = "everybody (PUBLIC)" if holder == PUBLIC else who
        lines.append(f"{who} has {', '.join(privileges)} on {place}")
    made, foreign = _made(names, standing), {*standing.marks, *access.others}
    for member in sorted(fact for fact in standing.facts if isinstance(fact, Member) and not fact.admin):
        if member.member in made - {*access.others} and (member.role in made or member.role not in foreign):
            lines.append(f"{member.member} has {member.role}, and access.toml does not say so")
    lines += [one.words for one in sorted(standing.bypasses) if one.holder not in access.others]
    return lines


def _made(names: Names, standing: Standing) -> set[str]:
    """Give the accounts that this pipeline made."""
    return {name for name, mark in standing.marks.items() if mark.pipeline == names.pipeline and not mark.role}


def _other_owners(
    access: Access, names: Names, standing: Standing, owners: Mapping[tuple[str, str, str], str]
) -> list[str]:
    """Say what belongs to somebody who may not simply lose it."""
    known = {names.owner, *access.others, *_movable(access, names, standing)}
    found: dict[str, list[str]] = {}
    for (database, name, kind), holder in sorted(owners.items()):
        if holder not in known:
            found.setdefault(holder, []).append(f"{kind.lower()} {'.'.join(filter(None, (database, name)))}")
    lines = []
    for holder, things in found.items():
        more = f" and {len(things) - 3} more" if len(things) > 3 else ""
        what = f"{', '.join(things[:3])}{more}"
        lines.append(f"{holder} owns {what}; say ALTER … OWNER TO {names.owner}, or name {holder} in the file")
    return lines


def _notes(access: Access, names: Names, standing: Standing) -> list[str]:
    notes = []
    listed = {account.login for account in access.accounts}
    for name, mark in sorted(standing.marks.items()):
        if mark.pipeline == names.pipeline and not mark.role and name not in listed:
            notes.append(
                f"The account {name} was made for this pipeline and is no longer in access.toml: access remove {name}."
            )
    for name in sorted(name for name in standing.names if "@" in name and name not in {*listed, *access.others}):
        login, _, host = name.rpartition("@")
        if not login or login in listed:
            who = f"{login} of access.toml" if login else "any account of access.toml"
            notes.append(
                f"There is an account {login or '(anonymous)'} for {host} alone: whoever logs in from there as {who} "
                "gets that one instead."
            )
    for account in access.accounts:
        if account.login in standing.names and account.login not in standing.marks and account.role(names.environment):
            more = access.tls is not None or account.password_days is not None
            left = (
                "what it has beside its role, its password and how it logs in are"
                if more
                else "what it has beside its role is"
            )
            notes.append(f"{account.login} was not made by this pipeline: {left} left.")
    return notes


def _login_notes(access: Access, names: Names, standing: Standing, *, asks_for_tls: bool) -> Iterator[str]:
    """Say which passwords are to be renewed, and what asks for TLS where that is not a matter of accounts."""
    for account in access.accounts:
        password = standing.passwords.get(account.login)
        if password is None or account.role(names.environment) is None:
            continue
        limit = account.password_days if account.login in standing.marks else None
        if password.left is not None and password.left <= 0:
            yield f"The password of {account.name} has expired; access rotate {account.login} gives a new one."
        elif limit and password.age is not None and password.age > limit:
            yield (
                f"The password of {account.name} is {password.age:.0f} days old, so that it expires at once; "
                f"access rotate {account.login} gives a new one."
            )
        elif password.left is not None and password.left <= _SOON:
            yield f"The password of {account.name} expires in {password.left:.0f} days: access rotate {account.login}."
    if access.tls and not asks_for_tls:
        yield (
            "PostgreSQL cannot ask an account for TLS; pg_hba.conf does. Put there, before other lines: "
            f"hostnossl all +{names.of('viewer')} all reject"
        )


def _here(right: Right, standing: Standing, databases: Collection[str]) -> bool:
    """Tell whether a right is on something of the pipeline, on everything, or on what says who has which rights."""
    if right.verbatim:
        return right.database in standing.covering
    return right.database in ("", "mysql") or right.database in databases


def _on(right: Right) -> str:
    place = ".".join(filter(None, (right.database, right.table, right.column)))
    return f"on {place}" if place else "on everything" if right.privilege != GRANT_OPTION else "everywhere"


def _what(right: Right) -> str:
    return ".".join(filter(None, (right.database, right.table, right.column)))
