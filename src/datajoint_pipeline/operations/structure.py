"""The operations of a migration: one class each, with what it does to the tables and its inverse.

An operation knows tables as plain values (:mod:`schema.model`) and nothing of databases. It states what is to be; how a
server gets there is for the layers above. Applied in order to the tables of one snapshot, the operations of a migration
give those of the next.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ..errors import PipelineError
from ..schema.model import Attribute, ForeignKey, Index, Table, TableName
from ..schema.values import Fill, Missing, Sql

#: Every table of a pipeline by where it is.
Tables = Mapping[TableName, Table]

#: What stands before the name of an attribute that is soft-deleted: dropped, and kept until `purge`.
SOFT_DELETED_ATTRIBUTE = "_dropped_"


@dataclass(frozen=True)
class Operation(ABC):
    """A change of the tables; ``table`` is the one that it is about, by its name before the change."""

    table: TableName

    @abstractmethod
    def apply(self, tables: Tables) -> dict[TableName, Table]:
        """Give the tables after the operation; raise :class:`PipelineError` where it does not fit them."""

    @abstractmethod
    def inverse(self, tables: Tables) -> Operation:
        """Give the operation that undoes this one, given the tables before this one."""

    def found(self, tables: Tables) -> Table:
        """Give its table; raise where there is none."""
        if self.table not in tables:
            raise self.refusal(f"there is no table {self.table}")
        return tables[self.table]

    def refusal(self, why: str) -> PipelineError:
        """Give the error for tables that the operation does not fit."""
        return PipelineError(
            f"{type(self).__name__} cannot be applied to {self.table}.",
            f"At this point {why}.",
            "The migration does not continue the one before it; make it anew with revise.",
        )


def _with(tables: Tables, table: Table) -> dict[TableName, Table]:
    """Give the tables with one of them replaced or added."""
    return {**tables, table.name: table}


def sorted_keys(keys: Iterable[ForeignKey]) -> tuple[ForeignKey, ...]:
    """Sort foreign keys as a table has them."""
    return tuple(sorted(keys, key=lambda key: (key.parent.schema, key.parent.table, key.attributes)))


def _sorted_indexes(indexes: list[Index]) -> tuple[Index, ...]:
    return tuple(sorted(indexes, key=lambda index: (index.columns, index.unique)))


# --- Tables ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CreateTable(Operation):
    """Make a table, its foreign keys included."""

    definition: Table

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        if self.table in tables:
            raise self.refusal("there is a table of that name")
        return _with(tables, self.definition)

    def inverse(self, tables: Tables) -> Operation:
        return DropTable(self.table)


@dataclass(frozen=True)
class DropTable(Operation):
    """Take a table away. What refers to it has to go too, perhaps in another schema's migration (:func:`dangling`)."""

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        self.found(tables)
        return {name: table for name, table in tables.items() if name != self.table}

    def inverse(self, tables: Tables) -> Operation:
        return CreateTable(self.table, self.found(tables))


@dataclass(frozen=True)
class RenameTable(Operation):
    """Give a table another name, tier or schema; its parts follow, and foreign keys that lead to it."""

    to: TableName

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        self.found(tables)
        names = self.names(tables)
        for name in names.values():
            if name in tables and name not in names:
                raise self.refusal(f"there is a table {name} already")
        return {
            names.get(name, name): replace(
                table,
                name=names.get(name, name),
                foreign_keys=sorted_keys(
                    [replace(key, parent=names.get(key.parent, key.parent)) for key in table.foreign_keys]
                ),
            )
            for name, table in tables.items()
        }

    def names(self, tables: Tables) -> dict[TableName, TableName]:
        """Give the new names of the table and of its parts, by their old ones."""
        names = {self.table: self.to}
        for table in tables.values():
            if table.master == self.table and self.to.table.lstrip("_#").find("__") < 0:
                part = table.name.table.removeprefix(self.table.table)
                names[table.name] = TableName(self.to.schema, self.to.table + part)
        return names

    def inverse(self, tables: Tables) -> Operation:
        return RenameTable(self.to, self.table)


@dataclass(frozen=True)
class ChangeComment(Operation):
    """Change the comment of a table."""

    before: str
    after: str

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        return _with(tables, replace(self.found(tables), comment=self.after))

    def inverse(self, tables: Tables) -> Operation:
        return ChangeComment(self.table, self.after, self.before)


# --- Attributes --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AddAttribute(Operation):
    """Add an attribute behind another one, or at the front.

    ``fill`` is what existing rows get where the attribute is required.
    """

    attribute: Attribute
    after: str | None = None
    fill: Fill | None = None

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        if self.attribute.name in table.attribute:
            raise self.refusal(f"it has an attribute {self.attribute.name}")
        names = [attribute.name for attribute in table.attributes]
        if self.after is not None and self.after not in names:
            raise self.refusal(f"it has no attribute {self.after}")
        place = 0 if self.after is None else names.index(self.after) + 1
        attributes = (*table.attributes[:place], self.attribute, *table.attributes[place:])
        return _with(tables, replace(table, attributes=attributes))

    def inverse(self, tables: Tables) -> Operation:
        return DropAttribute(self.table, self.attribute.name)


@dataclass(frozen=True)
class DropAttribute(Operation):
    """Take an attribute away. No key or index may hold it."""

    attribute: str

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        if self.attribute not in table.attribute:
            raise self.refusal(f"it has no attribute {self.attribute}")
        if self.attribute in table.primary_key:
            raise self.refusal(f"{self.attribute} is part of the primary key")
        kept = tuple(attribute for attribute in table.attributes if attribute.name != self.attribute)
        return _with(tables, replace(table, attributes=kept))

    def inverse(self, tables: Tables) -> Operation:
        table = self.found(tables)
        names = [attribute.name for attribute in table.attributes]
        place = names.index(self.attribute)
        return AddAttribute(self.table, table.attribute[self.attribute], names[place - 1] if place else None)


@dataclass(frozen=True)
class RenameAttribute(Operation):
    """Give an attribute another name, in the table's keys and indexes too, and where foreign keys lead to it."""

    old: str
    new: str

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        if self.old not in table.attribute or self.new in table.attribute:
            missing = self.old not in table.attribute
            raise self.refusal(f"it has no attribute {self.old}" if missing else f"it has an attribute {self.new}")

        def names(old: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(self.new if name == self.old else name for name in old)

        changed = replace(
            table,
            attributes=tuple(replace(a, name=self.new) if a.name == self.old else a for a in table.attributes),
            primary_key=names(table.primary_key),
            foreign_keys=sorted_keys([replace(key, attributes=names(key.attributes)) for key in table.foreign_keys]),
            indexes=_sorted_indexes([replace(index, columns=names(index.columns)) for index in table.indexes]),
        )
        after = _with(tables, changed)
        for child in after.values():
            if any(key.parent == self.table for key in child.foreign_keys):
                keys = [
                    replace(key, parent_attributes=names(key.parent_attributes)) if key.parent == self.table else key
                    for key in child.foreign_keys
                ]
                after[child.name] = replace(child, foreign_keys=sorted_keys(keys))
        return after

    def inverse(self, tables: Tables) -> Operation:
        return RenameAttribute(self.table, self.new, self.old)


@dataclass(frozen=True)
class AlterAttribute(Operation):
    """Change type, default, nullability, comment of an attribute, or whether a foreign key brings it.

    ``fill`` is what rows without a value get; ``using`` computes new values where a conversion is not what is meant.
    """

    before: Attribute
    after: Attribute
    fill: Fill | None = None
    using: Sql | None = None

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        if table.attribute.get(self.before.name) != self.before:
            raise self.refusal(f"{self.before.name} is not as the migration expects it")
        attributes = tuple(self.after if a.name == self.before.name else a for a in table.attributes)
        return _with(tables, replace(table, attributes=attributes))

    def inverse(self, tables: Tables) -> Operation:
        return AlterAttribute(self.table, self.after, self.before)


@dataclass(frozen=True)
class OrderAttributes(Operation):
    """Bring the attributes of a table into another order."""

    order: tuple[str, ...]

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        rest = [a for a in table.attributes if a.name not in self.order]
        if not set(self.order) <= set(table.attribute) or not all(a.hidden for a in rest):
            raise self.refusal("it has other attributes")
        attributes = (*(table.attribute[name] for name in self.order), *rest)
        return _with(tables, replace(table, attributes=attributes))

    def inverse(self, tables: Tables) -> Operation:
        return OrderAttributes(self.table, tuple(attribute.name for attribute in self.found(tables).attributes))


# --- Keys and indexes --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ChangePrimaryKey(Operation):
    """Make other attributes of a table its primary key."""

    before: tuple[str, ...]
    after: tuple[str, ...]

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        if table.primary_key != self.before:
            raise self.refusal(f"its primary key is ({', '.join(table.primary_key)})")
        if not set(self.after) <= set(table.attribute):
            raise self.refusal("it lacks an attribute of the new primary key")
        return _with(tables, replace(table, primary_key=self.after))

    def inverse(self, tables: Tables) -> Operation:
        return ChangePrimaryKey(self.table, self.after, self.before)


@dataclass(frozen=True)
class AddForeignKey(Operation):
    """Let attributes of a table refer to the primary key of another.

    ``missing`` is what rows of the other table get, by attribute, that are put in where a row refers to none; without
    it a row that refers to none is refused.
    """

    key: ForeignKey
    missing: Missing = None

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        if self.key in table.foreign_keys or not set(self.key.attributes) <= set(table.attribute):
            raise self.refusal("it has that foreign key, or lacks an attribute of it")
        return _with(tables, replace(table, foreign_keys=sorted_keys([*table.foreign_keys, self.key])))

    def inverse(self, tables: Tables) -> Operation:
        return DropForeignKey(self.table, self.key)


@dataclass(frozen=True)
class DropForeignKey(Operation):
    """Let attributes of a table no longer refer to another; their values stay."""

    key: ForeignKey

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        if self.key not in table.foreign_keys:
            raise self.refusal("it has no such foreign key")
        return _with(tables, replace(table, foreign_keys=tuple(k for k in table.foreign_keys if k != self.key)))

    def inverse(self, tables: Tables) -> Operation:
        return AddForeignKey(self.table, self.key)


@dataclass(frozen=True)
class AddIndex(Operation):
    """Add an index, or the rule that values are unique."""

    index: Index

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        return _with(tables, replace(table, indexes=_sorted_indexes([*table.indexes, self.index])))

    def inverse(self, tables: Tables) -> Operation:
        return DropIndex(self.table, self.index)


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
        return _with(tables, replace(table, indexes=tuple(left)))

    def inverse(self, tables: Tables) -> Operation:
        return AddIndex(self.table, self.index)


def apply(operations: Iterable[Operation], tables: Tables) -> dict[TableName, Table]:
    """Give the tables after all operations, applied in order."""
    after = dict(tables)
    for operation in operations:
        after = operation.apply(after)
    return after


def inverse(operations: Iterable[Operation], tables: Tables) -> list[Operation]:
    """Give the operations that undo these, given the tables before the first."""
    back: list[Operation] = []
    for operation in operations:
        back.insert(0, operation.inverse(tables))
        tables = operation.apply(tables)
    return back
