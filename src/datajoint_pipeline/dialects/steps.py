"""What a dialect takes and gives: the change of one table, and the statements that make it.

Values only. A :class:`Dialect` turns an :class:`Alteration` into steps; whoever runs them need not know their SQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from ..schema.model import ForeignKey, Index, Table, TableName

#: What may stand before a statement.
_BEFORE = r"(?:\s|/\*.*?\*/|--[^\n]*\n|#[^\n]*\n)*"

#: A statement that changes rows alone; which, is its first group.
ROWS = re.compile(rf"{_BEFORE}(INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE | re.DOTALL)

#: A statement of MySQL that changes the shape of no table, whatever functions it calls.
NO_SHAPES = re.compile(
    rf"{_BEFORE}(?:(?:INSERT|UPDATE|DELETE|REPLACE|SELECT|WITH|DO)\b|SET\s+@(?!@))", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True)
class Clearing:
    """What is done on MySQL where another table stands in the place of one that is to be made.

    Parameters
    ----------
    needed : str
        A query that gives a true value where one does.
    statements : tuple of str
        What takes it away.
    locks : tuple of str
        The tables that nobody else changes meanwhile, as ``LOCK TABLES`` takes them.
    """

    needed: str
    statements: tuple[str, ...]
    locks: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """One statement. On MySQL it is done or not done, with nothing in between.

    Parameters
    ----------
    sql : str
        To be sent as it stands where there are no arguments (``args=None``: a ``%`` is a ``%``).
    tables : tuple of TableName
        Whose shape or rows it changes, as they are called afterwards.
    words : str
        What it does, for people: ``add weight in ephys.Recording``.
    arguments : tuple
        Values for the placeholders.
    rewrites : bool
        Whether the server writes the whole table anew.
    lock : str
        What others have to wait with while it runs: ``brief`` nothing for long, ``writes``, or ``all``.
    algorithm : str
        On MySQL ``INSTANT``, ``INPLACE`` or ``COPY``, as the statement asks for.
    check : str
        On PostgreSQL, where the statement has to run outside of any transaction: a query that gives a true value once
        it is done.
    first : tuple of str
        What is sent before it then.
    back : tuple of str, optional
        What drops all of it then, however much of it is there; None where it drops something itself.
    locks : tuple of str
        On MySQL, where rows that others wrote since the steps before have to be seen to: the tables that nobody else
        changes from ``first`` until it is done, as ``LOCK TABLES`` takes them.
    open : bool
        On MySQL, whether others may go on writing with the code of before: what it adds is new, and what it fills is
        filled again under the locks.
    orphans : tuple
        On MySQL, which rows it fails for where they have no parent: of which table and which parent, what tells them
        apart, and ``FROM`` where they are.
    done : str
        Of a table that nothing is compared of, as that of jobs: a query that gives a true value once it is done.
    clearing : Clearing, optional
        Of a table that is made and that others may make meanwhile: what is done about that.
    effects : tuple of Effect
        On MySQL, what it makes of the tables (:mod:`mysql.effects`).
    """

    sql: str
    tables: tuple[TableName, ...]
    words: str
    arguments: tuple[object, ...] = ()
    rewrites: bool = False
    lock: str = "brief"
    algorithm: str = ""
    check: str = ""
    first: tuple[str, ...] = ()
    back: tuple[str, ...] | None = None
    locks: tuple[str, ...] = ()
    open: bool = False
    orphans: tuple[tuple[str, str, str, str], ...] = ()
    done: str = ""
    clearing: Clearing | None = None
    effects: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def checks(self) -> bool:
        """Say whether every row is held against the foreign keys of its table, as MySQL does where it copies it."""
        return self.algorithm == "COPY"

    def alone(self, first: Iterable[str], *locks: str) -> Step:
        """Give the step with statements before it, under locks that keep others from writing meanwhile."""
        locked = tuple(dict.fromkeys([*self.locks, *locks]))
        return replace(self, first=(*first, *self.first), locks=locked, lock="all")


def with_rows(rows: list[Step], steps: list[Step], *locks: str) -> list[Step]:
    """Give steps that rely on what ``rows`` did, which the first of them does once more under locks."""
    if not rows or not steps:
        return steps
    return [steps[0].alone([step.sql for step in rows], *locks), *steps[1:]]


@dataclass(frozen=True)
class LiteralFill:
    """Existing rows get a value, as a definition writes a default, but without quotes."""

    value: str


@dataclass(frozen=True)
class GeneratedFill:
    """Each existing row gets a value of its own: ``number``, counted in the order of the key, or ``uuid``."""

    kind: str


@dataclass(frozen=True)
class ParentFill:
    """Each existing row gets a value of the row of another table that it belongs to.

    Parameters
    ----------
    parent : TableName
        That table, by its name afterwards.
    attribute : tuple of (str, str)
        What is taken, by its names before (empty where it is new) and afterwards.
    pairs : tuple of (str, str, str)
        What joins them: the other table's attribute by its names before and afterwards, and ours by its name before.
    unique : bool
        Whether no more than one row can match.
    """

    parent: TableName
    attribute: tuple[str, str]
    pairs: tuple[tuple[str, str, str], ...]
    unique: bool


@dataclass(frozen=True)
class ExpressionFill:
    """Existing rows get the value of an SQL expression over the row, which either server has in its own words."""

    mysql: str = ""
    postgresql: str = ""


ColumnFill = LiteralFill | ParentFill | ExpressionFill | GeneratedFill


def _nothing() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True)
class Alteration:
    """The change of one table, apart from its own foreign keys.

    Parameters
    ----------
    before, after : Table
        The table; the names differ where it is renamed or moved. Every attribute of ``before`` that is neither renamed
        nor in ``after`` is dropped, hidden ones too.
    renamed : mapping
        By name before, the name afterwards of each renamed attribute.
    fills : mapping
        By name afterwards, what existing rows get for attributes that are added, or become required.
    converts : mapping
        By name afterwards, an SQL expression for the new value where a plain conversion is not meant.
    kept : tuple of str
        Attributes, by name before, that are only soft-deleted: hidden as ``_dropped_<name>`` and made nullable.
    lossy : tuple of str
        Attributes, by name afterwards, whose values may change: no step makes sure that they do not.
    """

    before: Table
    after: Table
    renamed: Mapping[str, str] = field(default_factory=_nothing)
    fills: Mapping[str, ColumnFill] = field(default_factory=dict)
    converts: Mapping[str, str] = field(default_factory=_nothing)
    kept: tuple[str, ...] = ()
    lossy: tuple[str, ...] = ()


@dataclass(frozen=True)
class Probe:
    """A query that counts what an alteration would lose, or what makes a server refuse it; no row should be counted.

    Parameters
    ----------
    kind : str
        ``null``, ``long``, ``range``, ``rounding``, ``value``, ``duplicate``, ``merge``, ``parent``, ``missing`` or
        ``dropped``; ``object`` and ``named`` of what hangs on the table and DataJoint does not know: what stands in the
        way, and what is only to be known; ``fires`` of what the lab has run for each row; ``using`` of an expression of
        the lab's, which is tried; ``entry`` of rows that an index cannot have; ``jobs`` of DataJoint's that are lost.
    attributes : tuple of str
        Whose values, by their names before the alteration.
    sql : str
        Gives one number; of objects also their names.
    words : str
        What is counted: ``values of weight that would be rounded``.
    silent : bool
        Whether the server would change or drop values without an error.
    later : bool
        Whether it may name what is still to be made.
    unsure : bool
        Whether the lab's own statements come first, and may change the answer.
    example : str
        Of values that would be merged, gives one row: the key that they have in common, and two of them.
    trial : tuple of str
        Instead of a query, statements that leave nothing behind; the last takes away what the others made. What the
        server refuses of them it would refuse of the alteration. With a query, they are tried where it counts anything.
    lacks : str
        What rows that are counted do not have, where something else than their own values can help: ``value`` for an
        attribute that is new, ``parent`` for a row that they refer to; ``row`` for one that a foreign key of before
        leads to, so that nothing that the migration says can put it in.
    """

    kind: str
    attributes: tuple[str, ...]
    sql: str
    words: str
    silent: bool = False
    later: bool = False
    unsure: bool = False
    example: str = ""
    trial: tuple[str, ...] = ()
    lacks: str = ""


@dataclass(frozen=True)
class NewKey:
    """Another primary key of a table that no foreign key leads to or from, as DataJoint's tables of jobs are.

    Parameters
    ----------
    dropped : tuple of str
        The columns of the key that it has.
    columns : mapping of str to Column
        Those of the new key, by name.
    values : mapping of str to str
        What each row gets for them, over the row as ``j`` and those that it is joined to.
    joins : tuple of (str, str)
        Each table with its alias, quoted, and the condition of its row.
    doubtful : str
        The condition of rows, as ``j``, that get none of their own; empty where all do.
    others, index : tuple of str
        The other columns, and those of the index.
    table : str
        The table whose jobs they are, as it is named by then.
    """

    dropped: tuple[str, ...]
    columns: Mapping[str, Column]
    values: Mapping[str, str]
    joins: tuple[tuple[str, str], ...]
    doubtful: str
    others: tuple[str, ...]
    index: tuple[str, ...]
    table: str


@dataclass(frozen=True)
class Obstacles:
    """Foreign keys that have to be dropped before an alteration and can be added again after it.

    Parameters
    ----------
    own : tuple of ForeignKey
        Of the table itself, as ``before`` has them.
    incoming : bool
        Those of other tables that lead to this one.
    rebuild : bool
        Whether the table is built anew and its rows are copied.
    """

    own: tuple[ForeignKey, ...] = ()
    incoming: bool = False
    rebuild: bool = False


@dataclass(frozen=True)
class Column:
    """An attribute as a server has it: ``sql`` is its type there, ``core`` the core or native type of DataJoint's."""

    name: str
    sql: str
    core: str
    nullable: bool
    default: str | None
    comment: str


@dataclass
class Change:
    """An alteration, column by column.

    Parameters
    ----------
    table : Table
        The table before, with the names that its attributes have afterwards.
    after : Table
        The table afterwards.
    was, will : dict of str to Column
        The columns before and afterwards, both by name afterwards.
    old : dict
        By name afterwards, the name before of the columns that stay.
    dropped : list of str
        Names before of the columns that are dropped.
    kept : dict
        By name before, the name of each column that is soft-deleted (``_dropped_<name>``).
    retyped : set of str
        Names afterwards of the columns that get another type.
    indexes, target : list of Index
        The indexes that DataJoint makes before, and afterwards; both with the names of afterwards.
    """

    table: Table
    after: Table
    was: dict[str, Column]
    will: dict[str, Column]
    old: dict[str, str]
    dropped: list[str]
    kept: dict[str, str]
    retyped: set[str] = field(default_factory=set)
    indexes: list[Index] = field(default_factory=list)
    target: list[Index] = field(default_factory=list)

    @property
    def gone(self) -> set[str]:
        """Give the names before of columns that are called so no longer: dropped, soft-deleted or renamed."""
        return {*self.dropped, *self.kept, *self.renamed.values()}

    def before(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        """Give the names before of what an index has, by their names afterwards or once they are soft-deleted."""
        names = {**self.old, **{hidden: name for name, hidden in self.kept.items()}}
        return tuple(names.get(column, column) for column in columns)

    @property
    def renamed(self) -> dict[str, str]:
        """Give the names before of the columns that are renamed, by their names afterwards."""
        return {name: old for name, old in self.old.items() if name != old}


def words(phrases: list[str], table: TableName) -> str:
    """Say what a step does: ``add weight, drop colour in ephys.recording``."""
    return f"{', '.join(dict.fromkeys(phrases)) or 'change'} in {table}"
