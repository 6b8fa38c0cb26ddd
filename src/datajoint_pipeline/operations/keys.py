"""Operations on the keys and indexes of a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..schema import definition
from ..schema.model import ForeignKey, Index, Table, TableName
from ..schema.values import Fill, Missing, write
from .base import MAJOR, MINOR, PATCH, Operation, named, sorted_indexes, sorted_keys, title_from, with_table
from .origins import Origins
from .rendering import call, names, string
from .state import LineContext, Tables


@dataclass(frozen=True)
class ChangePrimaryKey(Operation):
    """Make other attributes of a table its primary key."""

    before: tuple[str, ...]
    after: tuple[str, ...]

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        if table.primary_key != self.before:
            raise self.refusal(f"its primary key is ({', '.join(table.primary_key)})")
        self.refuse_lacking(table, self.after)
        return with_table(tables, replace(table, primary_key=self.after))

    def inverse(self, tables: Tables) -> Operation:
        return ChangePrimaryKey(self.table, self.after, self.before)

    def describe(self) -> str:
        return f"{self.title}: its primary key is ({', '.join(self.after)}) now"

    def deviation(self) -> str:
        has = f"has the primary key ({', '.join(self.after)})" if self.after else "has no primary key"
        return f"{self.title} {has} instead of ({', '.join(self.before)})."

    def bump(self) -> str:
        return MAJOR

    def render(self, context: LineContext, *, ask: bool = False) -> str:
        return call("ChangePrimaryKey", [context.title(self.table)], [names(self.after)])

    def notices(self, tables: Tables) -> Iterator[tuple[str, str]]:
        yield "primary-key", f"The primary key of {self.title} changes, and with it every table below."


@dataclass(frozen=True)
class AddForeignKey(Operation):
    """Let attributes of a table refer to the primary key of another.

    ``missing`` is what rows of the other table get, by attribute, that are put in where a row refers to none; without
    it a row that refers to none is refused. ``also`` are tables above it that are there and get the rows that those
    refer to.
    """

    key: ForeignKey
    missing: Missing = None
    also: tuple[TableName, ...] = ()

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        if self.key in table.foreign_keys or not set(self.key.attributes) <= set(table.attribute):
            raise self.refusal("it has that foreign key, or lacks an attribute of it")
        return with_table(tables, replace(table, foreign_keys=sorted_keys([*table.foreign_keys, self.key])))

    def inverse(self, tables: Tables) -> Operation:
        return DropForeignKey(self.table, self.key)

    def describe(self) -> str:
        return f"{self.title}: + {_arrow(self)}"

    def deviation(self) -> str:
        return f"{self.title} has a foreign key {_to(self.key)} that the code does not have."

    def bump(self) -> str:
        return MINOR

    def render(self, context: LineContext, *, ask: bool = False, online: bool = False) -> str:
        more = []
        if self.missing is not None:
            given = (f"{string(name)}: {_given(value, context)}" for name, value in self.missing)
            more = ["missing={" + ", ".join(given) + "}"]
        if self.also:
            more.append(f"also=[{', '.join(string(context.title(name)) for name in self.also)}]")
        arguments = [context.title(self.table), _line(self.key, context)]
        return call("AddForeignKey", arguments, [*more, *["online=True"] * online])

    def follow(self, origins: Origins, tables: Tables) -> None:
        if self.missing is not None:
            given = {attribute: value for attribute, value in self.missing if value is not None}
            origins.missing[self.table, self.key] = given
            origins.also[self.table, self.key] = frozenset(self.also)


@dataclass(frozen=True)
class DropForeignKey(Operation):
    """Let attributes of a table no longer refer to another; their values stay."""

    key: ForeignKey

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        if self.key not in table.foreign_keys:
            raise self.refusal("it has no such foreign key")
        return with_table(tables, replace(table, foreign_keys=tuple(k for k in table.foreign_keys if k != self.key)))

    def inverse(self, tables: Tables) -> Operation:
        return AddForeignKey(self.table, self.key)

    def describe(self) -> str:
        return f"{self.title}: - {_arrow(self)}"

    def deviation(self) -> str:
        return f"{self.title} lacks the foreign key {_to(self.key)}."

    def bump(self) -> str:
        return MINOR

    def render(self, context: LineContext, *, ask: bool = False) -> str:
        return call("DropForeignKey", [context.title(self.table), _line(self.key, context)])


@dataclass(frozen=True)
class AddIndex(Operation):
    """Add an index, or the rule that values are unique."""

    index: Index

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        self.refuse_lacking(table, named(self.index))
        return with_table(tables, replace(table, indexes=sorted_indexes([*table.indexes, self.index])))

    def inverse(self, tables: Tables) -> Operation:
        return DropIndex(self.table, self.index)

    def describe(self) -> str:
        return f"{self.title}: + {definition.write_index(self.index)}"

    def deviation(self) -> str:
        return f"{self.title} has {_kind(self.index)} that the code does not have."

    def bump(self) -> str:
        return PATCH

    def render(self, context: LineContext, *, ask: bool = False, online: bool = False) -> str:
        arguments = [context.title(self.table), definition.write_index(self.index)]
        return call("AddIndex", arguments, ["online=True"] * online)


@dataclass(frozen=True)
class DropIndex(Operation):
    """Take an index away, or the rule that values are unique."""

    index: Index

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        if self.index not in table.indexes:
            raise self.refusal("it has no such index")
        left = list(table.indexes)
        left.remove(self.index)
        return with_table(tables, replace(table, indexes=tuple(left)))

    def inverse(self, tables: Tables) -> Operation:
        return AddIndex(self.table, self.index)

    def describe(self) -> str:
        return f"{self.title}: - {definition.write_index(self.index)}"

    def deviation(self) -> str:
        return f"{self.title} lacks {_kind(self.index)}."

    def bump(self) -> str:
        return PATCH

    def render(self, context: LineContext, *, ask: bool = False) -> str:
        return call("DropIndex", [context.title(self.table), definition.write_index(self.index)])


@dataclass(frozen=True)
class Online(Operation):
    """Add an index or a foreign key while others go on reading and writing the table."""

    operation: AddIndex | AddForeignKey

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        return self.operation.apply(tables)

    def inverse(self, tables: Tables) -> Operation:
        return self.operation.inverse(tables)

    def describe(self) -> str:
        return self.operation.describe()

    def deviation(self) -> str:
        return self.operation.deviation()

    def bump(self) -> str:
        return self.operation.bump()

    def render(self, context: LineContext, *, ask: bool = False) -> str:
        return self.operation.render(context, ask=ask, online=True)

    def follow(self, origins: Origins, tables: Tables) -> None:
        self.operation.follow(origins, tables)


def _given(value: str | Fill | None, context: LineContext) -> str:
    if isinstance(value, Fill):
        return write(value, context.title, string)
    return "ASK" if value is None else string(value)


def _line(key: ForeignKey, context: LineContext) -> str:
    return definition.write_foreign_key(key, context.titles, context.schema)


def _arrow(operation: AddForeignKey | DropForeignKey) -> str:
    """Give a foreign key as a reader of the table's schema would write it, without the parent's attributes."""
    key = operation.key
    return f"-> {title_from(key.parent, operation.table.schema)} ({', '.join(key.attributes)})"


def _to(key: ForeignKey) -> str:
    return f"({', '.join(key.attributes)}) to {key.parent.schema}.{definition.title(key.parent)}"


def _kind(index: Index) -> str:
    return f"{'a unique index' if index.unique else 'an index'} ({', '.join(index.columns)})"
