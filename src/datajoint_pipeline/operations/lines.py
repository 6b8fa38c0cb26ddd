"""The vocabulary of migration files: one line an operation, with tables named as the code names them.

A line is not yet an operation: which table ``Recording`` is, and what its attribute was before, is known once the lines
before it are done. Written and read back, an operation is the same.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from ..schema import definition as text
from ..schema import values
from ..schema.model import TIERS, TableName, table_name
from ..schema.values import ASK, NUMBER, PARENT, UUID, Fill, Filling, From, Sql
from . import data
from . import structure as ops
from .state import LineContext

__all__ = [
    "ASK",
    "NUMBER",
    "PARENT",
    "UUID",
    "AddAttribute",
    "AddForeignKey",
    "AddIndex",
    "AlterAttribute",
    "ChangeComment",
    "ChangePrimaryKey",
    "ChangeTier",
    "CreateTable",
    "Decide",
    "DropAttribute",
    "DropForeignKey",
    "DropIndex",
    "DropTable",
    "From",
    "InsertRows",
    "OrderAttributes",
    "RebuildTable",
    "RenameAttribute",
    "RenameTable",
    "RunPython",
    "RunSQL",
    "Sql",
]


#: What a fill can be.
_FILLS = 'a value, From("Table", "attribute"), PARENT, NUMBER, UUID or Sql(...)'


class Line(ABC):
    """One line of ``operations`` in a migration file.

    Raises
    ------
    TypeError
        If an argument is none that it can have.
    """

    def __post_init__(self) -> None:
        for name, hint in _hints(type(self)).items():
            if not _fits(value := getattr(self, name), hint):
                raise TypeError(f"{name} of {type(self).__name__} is {value!r} and should be {_words(hint)}")

    @property
    def question(self) -> str:
        """Give what a person still has to decide before this can run; empty where nothing is open."""
        asks = getattr(self, "fill", None) is ASK or ASK in (getattr(self, "missing", None) or {}).values()
        return f"which value {self._asks()}" if asks else ""

    @property
    def answer(self) -> str:
        """Give what to do about the question."""
        return f"Write it in the place of {ASK!r}: {_FILLS}; or run revise --again with --fill."

    def _asks(self) -> str:
        """Name what the question is about: the rows, and the attribute as the line has it."""
        missing = getattr(self, "missing", None) or {}
        names = [name for name, value in missing.items() if value is ASK]
        table = getattr(self, "table", "")
        if missing:
            parent = next(iter(getattr(self, "key", "").removeprefix("->").split()), "")
            return f"new rows of {parent}, made for those of {table}, get for {' and '.join(names)}"
        (name, *_) = re.split("[:=]", getattr(self, "definition", ""))
        return f"existing rows of {table} get for {name.strip()}"

    @abstractmethod
    def operation(self, context: LineContext) -> ops.Operation | None:
        """Give the operation; None for a line that is only for people."""


#: What arguments can be, and how that is called. Of anything else, as what rows get, most can be read as a text.
_KINDS: dict[Any, str] = {
    str: "a text in quotes",
    bool: "True or False",
    Sql: 'Sql(mysql="...", postgresql="...")',
    Sequence: "a list",
    Mapping: "a dictionary",
    Callable: "a function",
    NoneType: "None",
}

_hints = cache(get_type_hints)


def _fits(value: object, hint: Any) -> bool:
    """Tell whether an argument is what its annotation says."""
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if kind not in _KINDS:
        return True
    if not isinstance(value, kind) or (kind is Sequence and isinstance(value, str)):
        return False
    if isinstance(value, Mapping):
        return all(_fits(name, parts[0]) and _fits(one, parts[1]) for name, one in value.items())
    return not isinstance(value, Sequence) or all(_fits(one, parts[0]) for one in value if parts)


def _words(hint: Any) -> str:
    """Say what an annotation asks for."""
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return " or ".join(map(_words, parts))
    inner = _words(parts[-1]) if kind in (Sequence, Mapping) and parts else ""
    return f"{_KINDS.get(kind, 'a value')}{f', each {inner}' if inner else ''}"


# --- Tables ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CreateTable(Line):
    """Make a table; ``definition`` is a block as snapshots have it."""

    definition: str

    def operation(self, context: LineContext) -> ops.Operation:
        tables = text.read_tables(self.definition, context.schema, context.titles)
        if len(tables) != 1:
            raise text.unreadable(self.definition.strip().partition("\n")[0], "one table")
        return ops.CreateTable(tables[0].name, tables[0])


@dataclass(frozen=True)
class DropTable(Line):
    """Drop a table softly: it keeps its rows, hidden, until ``purge``."""

    table: str

    def operation(self, context: LineContext) -> ops.Operation:
        return ops.DropTable(context.table(self.table))


@dataclass(frozen=True)
class RenameTable(Line):
    """Give a table another class name or schema (``imaging.Scan``); its parts follow."""

    table: str
    to: str

    def operation(self, context: LineContext) -> ops.Operation:
        old = context.table(self.table)
        schema, dot, name = self.to.rpartition(".")
        above = ""
        if dot and schema[:1].isupper():
            above, schema = schema, context.schema
        elif "." in schema:
            schema, _, above = schema.partition(".")
        schema = schema or context.schema
        if not name[:1].isupper():
            return ops.RenameTable(old, TableName(schema, name))
        tier = context.tables[old].tier if old in context.tables else "Manual"
        master = context.titles.find(above, schema).table if above else None
        if (tier == "Part") != bool(above):
            raise text.unreadable(repr(self), "Master.Part for a part, Table for any other table")
        return ops.RenameTable(old, TableName(schema, table_name(tier, name, master)))


@dataclass(frozen=True)
class ChangeTier(Line):
    """Make a table ``Manual``, ``Lookup``, ``Imported`` or ``Computed``."""

    table: str
    tier: str

    def operation(self, context: LineContext) -> ops.Operation:
        old = context.table(self.table)
        prefixes = {tier: prefix for prefix, tier in TIERS.items()}
        if self.tier not in prefixes or "__" in old.table.lstrip("_#"):
            raise text.unreadable(repr(self), f"one of {', '.join(prefixes)}, and not a part")
        return ops.RenameTable(old, TableName(old.schema, prefixes[self.tier] + old.table.lstrip("_#")))


@dataclass(frozen=True)
class ChangeComment(Line):
    """Change the comment of a table."""

    table: str
    comment: str

    def operation(self, context: LineContext) -> ops.Operation:
        name = context.table(self.table)
        before = context.tables[name].comment if name in context.tables else ""
        return ops.ChangeComment(name, before, self.comment)


# --- Attributes --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AddAttribute(Line):
    """Add an attribute behind the one that ``after`` names; at the front where that is None."""

    table: str
    definition: str
    after: str | None = None
    fill: Filling = None

    def operation(self, context: LineContext) -> ops.Operation:
        attribute = text.read_attribute(self.definition)
        return ops.AddAttribute(context.table(self.table), attribute, self.after, values.fill(self.fill, context.table))


@dataclass(frozen=True)
class DropAttribute(Line):
    """Drop an attribute softly: its values stay, hidden, until ``purge``."""

    table: str
    attribute: str

    def operation(self, context: LineContext) -> ops.Operation:
        return ops.DropAttribute(context.table(self.table), self.attribute)


@dataclass(frozen=True)
class RenameAttribute(Line):
    """Give an attribute another name."""

    table: str
    old: str
    new: str

    def operation(self, context: LineContext) -> ops.Operation:
        return ops.RenameAttribute(context.table(self.table), self.old, self.new)


@dataclass(frozen=True)
class AlterAttribute(Line):
    """Change type, default, nullability or comment; ``fill`` for rows without a value, ``using`` computes new ones."""

    table: str
    definition: str
    fill: Filling = None
    using: Sql | None = None

    @property
    def question(self) -> str:
        return ""  # rows without a value are counted before anything runs; where there are none, nothing is open

    def operation(self, context: LineContext) -> ops.Operation:
        after = text.read_attribute(self.definition)
        before = context.attribute(self.table, after.name)
        return ops.AlterAttribute(
            context.table(self.table), before, after, values.fill(self.fill, context.table), self.using
        )


@dataclass(frozen=True)
class OrderAttributes(Line):
    """Bring the attributes of a table into this order."""

    table: str
    order: Sequence[str]

    def operation(self, context: LineContext) -> ops.Operation:
        return ops.OrderAttributes(context.table(self.table), tuple(self.order))


# --- Keys and indexes --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ChangePrimaryKey(Line):
    """Make other attributes the primary key."""

    table: str
    key: Sequence[str]

    def operation(self, context: LineContext) -> ops.Operation:
        name = context.table(self.table)
        before = context.tables[name].primary_key if name in context.tables else ()
        return ops.ChangePrimaryKey(name, before, tuple(self.key))


@dataclass(frozen=True)
class AddForeignKey(Line):
    """Add a foreign key: ``-> session.Session (session_id)``; ``online`` as for an index.

    With ``missing``, rows of the other table are put in where a row refers to one that is not there; it says what they
    get, by attribute, where they have no default and the row that needs them gives up no attribute of that name: a
    value, or ``From(table, attribute)`` for what the row has that needs them. Where
    those rows refer to rows that are not there either, the tables that get them are named in ``also``; a table that the
    same migration makes gets them anyway.
    """

    table: str
    key: str
    missing: Mapping[str, Filling] | None = None
    also: Sequence[str] = ()
    online: bool = field(default=False, repr=False, kw_only=True)

    def operation(self, context: LineContext) -> ops.Operation:
        key = text.read_foreign_key(self.key, context.titles, context.schema)
        given = None
        if self.missing is not None:
            given = tuple((name, self._given(value, context)) for name, value in self.missing.items())
        also = tuple(context.table(name) for name in self.also)
        added = ops.AddForeignKey(context.table(self.table), key, given, also)
        return ops.Online(added.table, added) if self.online else added

    @staticmethod
    def _given(value: Filling, context: LineContext) -> str | Fill | None:
        found = values.fill(value, context.table) if isinstance(value, From) else None
        return found or (None if value is ASK else str(value))


@dataclass(frozen=True)
class DropForeignKey(Line):
    """Drop a foreign key; the values of its attributes stay."""

    table: str
    key: str

    def operation(self, context: LineContext) -> ops.Operation:
        key = text.read_foreign_key(self.key, context.titles, context.schema)
        return ops.DropForeignKey(context.table(self.table), key)


@dataclass(frozen=True)
class AddIndex(Line):
    """Add an index: ``unique index (name)``; ``online`` for a table that others cannot wait for meanwhile."""

    table: str
    index: str
    online: bool = field(default=False, repr=False, kw_only=True)

    def operation(self, context: LineContext) -> ops.Operation:
        added = ops.AddIndex(context.table(self.table), text.read_index(self.index))
        return ops.Online(added.table, added) if self.online else added


@dataclass(frozen=True)
class DropIndex(Line):
    """Drop an index."""

    table: str
    index: str

    def operation(self, context: LineContext) -> ops.Operation:
        return ops.DropIndex(context.table(self.table), text.read_index(self.index))


# --- Data --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class InsertRows(Line):
    """Give a table rows, those that it does not have: ``InsertRows("Species", [{"species": "mouse"}])``."""

    table: str
    rows: Sequence[Mapping[str, values.Value]]

    def operation(self, context: LineContext) -> ops.Operation:
        return data.InsertRows(context.table(self.table), tuple(tuple(row.items()) for row in self.rows))


@dataclass(frozen=True)
class RebuildTable(Line):
    """Compute attributes anew from the row: ``RebuildTable("Scan", {"depth": Sql(mysql="...", postgresql="...")})``."""

    table: str
    values: Mapping[str, Sql]

    def operation(self, context: LineContext) -> ops.Operation:
        return data.RebuildTable(context.table(self.table), tuple(self.values.items()))


@dataclass(frozen=True)
class RunSQL(Line):
    """Run statements of one's own. ``{schema}`` stands for the database of a schema: ``UPDATE {ephys}.recording ...``.

    A semicolon ends each. ``check`` is a query that gives a true value once this is done; without it, it may run twice
    after a crash.
    """

    words: str
    mysql: str = ""
    postgresql: str = ""
    check: Sql | None = None
    back: Sql | None = None

    def operation(self, context: LineContext) -> ops.Operation:
        if not (self.mysql or self.postgresql):
            raise text.unreadable(repr(self), 'RunSQL("what it does", mysql="...", postgresql="...").')
        sql = Sql(self.mysql, self.postgresql)
        return data.RunSQL(TableName(context.schema, ""), sql, self.check, self.words, self.back)


@dataclass(frozen=True)
class RunPython(Line):
    """Run Python in batches.

    ``check(connection, databases)`` says whether it is all done. ``run(connection, databases)`` does one batch and
    returns whether anything is left; it is called until nothing is. On MySQL each batch is a transaction of its own.
    ``databases`` has the name on the server of each schema.
    """

    words: str
    check: Callable[..., bool] = field(compare=False)
    run: Callable[..., bool] = field(compare=False)

    def operation(self, context: LineContext) -> ops.Operation:
        return data.RunPython(TableName(context.schema, ""), self.words, self.check, self.run)


@dataclass(frozen=True)
class Decide(Line):
    """A question that only a person can answer; a migration with it refuses to run."""

    text: str

    @property
    def question(self) -> str:
        return self.text

    @property
    def answer(self) -> str:
        return "Edit the file."

    def operation(self, context: LineContext) -> None:
        return None
