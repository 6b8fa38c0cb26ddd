"""Rights in the schemas of a git branch, ``dev_<branch>_…``: whoever has a role in ``dev`` has the same there.

MySQL gives rights on schemas by their names, so that a new one is nobody's but the server's administrator's; a pattern
would cover the schemas of other pipelines too. On PostgreSQL, what the owner role of ``dev`` makes can be read at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..dialects.rights import Fact, Owns, Right
from . import further
from .apply import Where
from .plan import Line, joined


def grants(where: Where, databases: Mapping[str, str]) -> tuple[Line, ...]:
    """Give the statements that give the roles of ``dev`` in further schemas what they have in those of ``dev``.

    Parameters
    ----------
    where : Where
        The pipeline on its server, whatever its environment.
    databases : mapping
        Name on the server of each schema of the branch, in dependency order. They need not be there; rights by table,
        such as an operator's, are given on the tables that are.

    Returns
    -------
    tuple of Line
        In the order in which they run; none for what is given already, nor where `access apply` never ran for ``dev``.
        On MySQL they take an account with GRANT OPTION on these schemas, such as the server's administrator; on
        PostgreSQL that of a developer is enough.
    """
    names = where.names_of(further.ENVIRONMENT)
    standing = where.server.read(tuple(databases.values()), [], names.pipeline)
    there = {name for name, mark in standing.marks.items() if names.marks.get(name) == mark}
    wants = further.rights(where.access, names, databases, standing.tables)
    wants |= further.owned(names, databases.values(), standing)
    missing = {fact for fact in wants if _holder(fact) in there and fact not in standing.facts}
    statements = where.server.grants(missing, standing, names.marks)
    return tuple(Line(s.sql, joined(s.facts, wants), s.revokes, s.facts) for s in statements)


def revokes(where: Where, databases: Collection[str]) -> tuple[Line, ...]:
    """Give the statements that take from the roles of ``dev`` whatever they have in some databases, there or dropped.

    MySQL keeps rights on a schema that is gone, for the next one of that name. PostgreSQL does not, so that nothing is
    to be done there after a schema was dropped.
    """
    names = where.names_of(further.ENVIRONMENT)
    standing = where.server.read(tuple(databases), [], names.pipeline)
    taken = {
        fact
        for fact in standing.facts
        if isinstance(fact, Right) and fact.holder in names.marks and fact.database in databases
    }
    reason = "the branch needs the schema no more"
    return tuple(Line(s.sql, reason, s.revokes, s.facts) for s in where.server.revokes(taken, standing))


def _holder(fact: Fact) -> str:
    return fact.holder if isinstance(fact, Right) else fact.owner if isinstance(fact, Owns) else ""
