"""What lowering takes and gives: the change of one table, and the statements that bring it about.

Values only; :mod:`mysql` and :mod:`postgresql` turn an :class:`Alteration` into steps, whoever runs them knows no SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ..schema.model import ForeignKey, Index, Table, TableName


@dataclass(frozen=True)
class Step:
    """One statement; on MySQL it is done or not done, nothing between.

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
    locks : tuple of str
        On MySQL, where rows that others wrote since the steps before have to be seen to: the tables that nobody else
        changes from ``first`` until it is done, as ``LOCK TABLES`` takes them.
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
    locks: tuple[str, ...] = ()

    def alone(self, first: Iterable[str], *locks: str) -> Step:
        """The step with statements before it, and with tables that others do not write to meanwhile."""
        locked = tuple(dict.fromkeys([*self.locks, *locks]))
        return replace(self, first=(*first, *self.first), locks=locked, lock="all")


def with_rows(rows: list[Step], steps: list[Step], *locks: str) -> list[Step]:
    """Steps that rely on what others have done to rows, which is done once more with the first of them, and alone."""
    if not rows or not steps:
        return steps
    return [steps[0].alone([step.sql for step in rows], *locks), *steps[1:]]


@dataclass(frozen=True)
class LiteralFill:
    """Existing rows get a value, as a definition writes a default, without quotes."""

    value: str


@dataclass(frozen=True)
class GeneratedFill:
    """Existing rows get a value each: ``number``, counted in the order of their key, or ``uuid``."""

    kind: str


@dataclass(frozen=True)
class ParentFill:
    """Existing rows get what the row of another table has that they belong to.

    Parameters
    ----------
    parent : TableName
        That table, as it is called afterwards.
    attribute : tuple of (str, str)
        What is taken, by its name before (empty where it is new) and afterwards.
    pairs : tuple of (str, str, str)
        What joins them: the other table's attribute by its name before and afterwards, and ours by its name before.
    unique : bool
        Whether no more than one row can match.
    """

    parent: TableName
    attribute: tuple[str, str]
    pairs: tuple[tuple[str, str, str], ...]
    unique: bool


@dataclass(frozen=True)
class ExpressionFill:
    """Existing rows get what an SQL expression over the row says, in the words of either server."""

    mysql: str = ""
    postgresql: str = ""


ColumnFill = LiteralFill | ParentFill | ExpressionFill | GeneratedFill


def _nothing() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True)
class Alteration:
    """The change of one table, its own foreign keys aside.

    Parameters
    ----------
    before, after : Table
        The table; the names differ where it is renamed or moved. Every attribute of ``before`` that is neither renamed
        nor in ``after`` goes, hidden ones too.
    renamed : mapping
        New name of each renamed attribute.
    fills : mapping
        What existing rows get for attributes that are added, or become required.
    converts : mapping
        By attribute (new name), an SQL expression for the new value where a plain conversion is not meant.
    kept : tuple of str
        Attributes that go and are only put aside: hidden as ``_dropped_<name>`` and made nullable.
    lossy : tuple of str
        Attributes (new names) whose values may change without a word: no step makes sure that they do not.
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
        ``null``, ``long``, ``range``, ``rounding``, ``value``, ``duplicate``, ``parent``, ``missing`` or ``dropped``.
    attributes : tuple of str
        Whose values, by their names before the alteration.
    sql : str
        Gives one number.
    words : str
        What is counted: ``values of weight that would be rounded``.
    silent : bool
        Whether the server would go on without a word.
    later : bool
        Whether it may speak of what is still to be made.
    unsure : bool
        Whether the lab's own statements come first, and may change the answer.
    """

    kind: str
    attributes: tuple[str, ...]
    sql: str
    words: str
    silent: bool = False
    later: bool = False
    unsure: bool = False


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
        Whether the table is built anew, row by row.
    """

    own: tuple[ForeignKey, ...] = ()
    incoming: bool = False
    rebuild: bool = False


@dataclass(frozen=True)
class Column:
    """An attribute as a server has it: ``sql`` is its type there, ``core`` the type in DataJoint's words."""

    name: str
    sql: str
    core: str
    nullable: bool
    default: str | None
    comment: str


@dataclass
class Change:
    """An alteration, column by column. ``was`` and ``will`` have the columns by their names afterwards."""

    table: Table  # before, with the names of after
    after: Table
    was: dict[str, Column]
    will: dict[str, Column]
    old: dict[str, str]  # names before of the columns that stay
    dropped: list[str]
    kept: dict[str, str]  # names before, and what those columns are called when they are put aside
    retyped: set[str] = field(default_factory=set)
    indexes: list[Index] = field(default_factory=list)  # expected before, with the names of after
    target: list[Index] = field(default_factory=list)


def words(phrases: list[str], table: TableName) -> str:
    """Say what a step does: ``add weight, drop colour in ephys.recording``."""
    return f"{', '.join(dict.fromkeys(phrases)) or 'change'} in {table}"
