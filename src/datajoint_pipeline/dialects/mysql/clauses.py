"""Clauses of MySQL's ALTER TABLE, and the cheapest algorithm that each can have.

Which one that is stands in the server's manual, "Online DDL Operations", and was tried on the servers: columns
are added, dropped and renamed INSTANT; indexes, nullability, order and primary key are INPLACE; types are COPY.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ...schema.model import TableName
from ..base import Dialect
from ..introspection import Place
from ..steps import Column, Step, words
from .effects import Altered, Clause, Renamed
from .texts import noted

#: Algorithms from the cheapest; REBUILD is INPLACE, and writes the whole table.
INSTANT, INPLACE, REBUILD, COPY = range(4)


def renaming(dialect: Dialect, moves: Iterable[Renamed]) -> str:
    """Give the statement that renames tables, one after the other, as a whole or not at all."""

    def full(place: Place) -> str:
        return ".".join(map(dialect.quote, place))

    return f"RENAME TABLE {', '.join(f'{full(move.old)} TO {full(move.new)}' for move in moves)}"


@dataclass
class Clauses:
    """Clauses of ALTER TABLE that may run as one statement.

    Parameters
    ----------
    sql, words : list of str
        The clauses, and what each does, for people.
    effects : list of Clause
        What each makes of the table.
    rank : int
        The dearest algorithm that one of them needs.
    counted : bool
        Whether the server counts them: a table bears 64 instant additions and removals of columns (MySQL 9: 255) before
        it is rebuilt.
    computed : bool
        Whether an index over an expression comes or goes. The server keeps a column for it, which goes with no other
        clause unless the table is copied.
    """

    sql: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    effects: list[Clause] = field(default_factory=list)
    rank: int = INSTANT
    counted: bool = False
    computed: bool = False

    def add(self, sql: str, rank: int, phrase: str, effect: Clause) -> None:
        """Add a clause, with the algorithm that it needs and what it makes of the table."""
        self.sql.append(sql)
        self.effects.append(effect)
        self.rank = max(self.rank, rank)
        self.words.append(phrase)


def alter(dialect: Dialect, name: TableName, *groups: Clauses) -> list[Step]:
    """Make one step of groups of clauses, and none where there is no clause."""
    sql = [clause for group in groups for clause in group.sql]
    if not sql:
        return []
    rank = max(group.rank for group in groups)
    if rank == INPLACE and any(group.counted for group in groups):
        rank = REBUILD  # columns are not added and dropped instantly then
    if len(sql) > 1 and any(group.computed for group in groups):
        rank = COPY
    algorithm = ("INSTANT", "INPLACE", "INPLACE", "COPY")[rank]
    # The server takes INSTANT by itself, and another one where a table has had too many of them.
    if rank != INSTANT or not any(group.counted for group in groups):
        sql.append(f"ALGORITHM = {algorithm}")
    return [
        Step(
            f"ALTER TABLE {dialect.full(name)}\n  " + ",\n  ".join(sql),
            (name,),
            words([phrase for group in groups for phrase in group.words], name),
            rewrites=rank >= REBUILD,
            lock="writes" if rank == COPY else "brief",
            algorithm=algorithm,
            effects=(Altered(dialect.place(name), tuple(effect for group in groups for effect in group.effects)),),
        )
    ]


def definition(dialect: Dialect, column: Column, name: str | None = None) -> str:
    """Give the definition of a column, under another name if one is given."""
    if column.nullable:
        rest = "NULL DEFAULT NULL"
    else:
        rest = "NOT NULL" + (f" DEFAULT {column.default}" if column.default is not None else "")
    noted(column.name, f"{column.sql}{column.default or ''}")
    comment = f" COMMENT {noted(column.name, column.comment)}" if column.comment else ""
    return f"{dialect.quote(name or column.name)} {column.sql} {rest}{comment}"
