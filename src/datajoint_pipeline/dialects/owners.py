"""Who owns what on PostgreSQL, where everything in a schema should belong to one role. MySQL has no owners."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..internals.connection import login, postgresql_version
from ..quoting import quoted

if TYPE_CHECKING:
    import datajoint as dj


@dataclass(frozen=True)
class Owner:
    """The role that everything in a schema should belong to.

    Parameters
    ----------
    role : str
        Its name.
    settable : bool
        Whether the account of this session may become this role.
    usable : bool
        Whether the session has the rights of this role as it is.
    superuser : bool
        Whether it may do anything, so that nobody should be given it.
    member : bool
        Whether the account is one of its members already, but perhaps without the right to become it or to have its
        rights, which each membership says since PostgreSQL 16; before that it is False.
    """

    role: str
    settable: bool
    usable: bool
    superuser: bool
    member: bool

    @property
    def option(self) -> str:
        """What a grant of this role needs behind it; a membership that is there keeps what it was given with."""
        return " WITH INHERIT TRUE, SET TRUE" if self.member else ""


@dataclass(frozen=True)
class Stray:
    """A table, an enum type or the audit's function that belongs to another role than it should; ``usable`` is as in
    :class:`Owner`.
    """

    database: str
    name: str
    kind: str
    holder: str
    usable: bool


# That is the schema's owner. But where an administrator made a schema for an account that then made all of its tables,
# they are in one hand, and it would lose them. Job tables are whose worker came first.
_OWNERS = """
SELECT n.nspname, r.rolname, pg_has_role(session_user, r.oid, '{set}'), pg_has_role(r.oid, 'USAGE'), r.rolsuper,
    {grants} AND pg_has_role(session_user, r.oid, 'MEMBER')
FROM pg_catalog.pg_namespace n
LEFT JOIN LATERAL (
    SELECT min(c.relowner) AS only FROM pg_catalog.pg_class c
    WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p') AND LEFT(c.relname, 2) <> '~~'
    HAVING min(c.relowner) = max(c.relowner)
) t ON true
LEFT JOIN pg_catalog.pg_roles u ON u.oid = t.only AND NOT u.rolsuper
JOIN pg_catalog.pg_roles r ON r.oid = COALESCE(u.oid, n.nspowner)
WHERE n.nspname IN ({marks})
"""

_STRAYS = """
SELECT n.nspname, f.name, f.kind, pg_get_userbyid(f.holder), pg_has_role(f.holder, 'USAGE')
FROM (VALUES {pairs}) o(database, role)
JOIN pg_catalog.pg_namespace n ON n.nspname = o.database
JOIN (
    SELECT c.relnamespace, c.relname, 'TABLE', c.relowner FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'p')
    UNION ALL
    SELECT t.typnamespace, t.typname, 'TYPE', t.typowner FROM pg_catalog.pg_type t WHERE t.typtype = 'e'
    UNION ALL
    SELECT p.pronamespace, p.proname, 'FUNCTION', p.proowner FROM pg_catalog.pg_proc p
    WHERE p.proname = '~audit' AND p.pronargs = 0
) f(namespace, name, kind, holder) ON f.namespace = n.oid
WHERE pg_get_userbyid(f.holder) <> o.role AND (LEFT(f.name, 2) <> '~~' OR pg_get_userbyid(f.holder) = current_user)
ORDER BY 1, 2
"""


def of(connection: dj.Connection, databases: Iterable[str]) -> dict[str, Owner]:
    """Find the owner of each database that exists; of none on MySQL."""
    names = tuple(databases)
    if connection.adapter.backend != "postgresql" or not names:
        return {}
    # Before 16, whoever is a member of a role may become it.
    grants = postgresql_version(connection) >= 16
    query = _OWNERS.format(set="SET" if grants else "MEMBER", grants=grants, marks=", ".join(["%s"] * len(names)))
    rows = connection.query(query, names, reconnect=False).fetchall()
    return {database: Owner(*owner) for database, *owner in rows}


def asking(connection: dj.Connection, database: str) -> str:
    """Say how the account of this session gets the rights on a schema that it lacks."""
    return uninherited(connection, database) or "Ask for the rights that docs/access.md lists."


def uninherited(connection: dj.Connection, database: str) -> str:
    """Say how an account gets the rights of a schema's owner that it may only become; nothing where that is not so.

    Commands that change something become the owner. Those that only read, and the lab's code, do not.
    """
    owner = of(connection, [database]).get(database)
    if owner is None or owner.superuser or owner.usable or not owner.settable:
        return ""
    account = quoted(connection, login(connection))
    grant = f"GRANT {quoted(connection, owner.role)} TO {account} WITH INHERIT TRUE"
    return (
        f"This account may become {owner.role}, which has them, but does not inherit them: have an administrator of "
        f"the server say: {grant if owner.member else f'ALTER ROLE {account} INHERIT'}."
    )


def strays(connection: dj.Connection, owned: Mapping[str, Owner]) -> list[Stray]:
    """Find what belongs to somebody else than what :func:`of` gave, but for job tables that others made."""
    if not owned:
        return []
    query = _STRAYS.format(pairs=", ".join(["(%s, %s)"] * len(owned)))
    pairs = tuple(text for database, owner in owned.items() for text in (database, owner.role))
    return [Stray(*row) for row in connection.query(query, pairs, reconnect=False).fetchall()]


def giving(connection: dj.Connection, stray: Stray, role: str) -> str:
    """Give the statement that gives something to a role."""
    full = quoted(connection, stray.database, stray.name) + "()" * (stray.kind == "FUNCTION")
    return f"ALTER {stray.kind} {full} OWNER TO {quoted(connection, role)}"


def keeping(connection: dj.Connection, stray: Stray) -> Iterator[str]:
    """Give the statement that lets whoever had a table work on with it; only its owner writes a record."""
    if stray.kind == "TABLE" and not stray.name.startswith("~"):
        full = quoted(connection, stray.database, stray.name)
        yield f"GRANT SELECT, INSERT, UPDATE, DELETE, REFERENCES ON {full} TO {quoted(connection, stray.holder)}"
