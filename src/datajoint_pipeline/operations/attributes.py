"""Operations on the attributes of a table: add, drop, rename, alter, and bring into another order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..schema.compatibility import changes_codec, family
from ..schema.definition import write_attribute
from ..schema.model import Attribute, Table, TableName
from ..schema.notation import enum_values
from ..schema.values import Fill, Sql
from .base import MAJOR, MINOR, PATCH, Operation, sorted_indexes, sorted_keys, with_table
from .origins import Origins
from .rendering import call, filling, names, string
from .state import LineContext, Tables
from .stores import left_behind, stored


@dataclass(frozen=True)
class AddAttribute(Operation):
    """Add an attribute behind another one, or at the front.

    ``fill`` is what existing rows get where the attribute is required. ``hidden`` is the soft-deleted attribute that
    comes back as this one, with its values.
    """

    attribute: Attribute
    after: str | None = None
    fill: Fill | None = None
    hidden: str = ""

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        if self.attribute.name in table.attribute:
            raise self.refusal(f"it has an attribute {self.attribute.name}")
        names = [attribute.name for attribute in table.attributes]
        self.refuse_lacking(table, [self.after] if self.after is not None else ())
        place = 0 if self.after is None else names.index(self.after) + 1
        attributes = (*table.attributes[:place], self.attribute, *table.attributes[place:])
        shown = tuple(attribute for attribute in attributes if attribute.name != self.hidden)
        return with_table(tables, replace(table, attributes=shown))

    def inverse(self, tables: Tables) -> Operation:
        return DropAttribute(self.table, self.attribute.name)

    def describe(self) -> str:
        return f"{self.title}: + {write_attribute(self.attribute)}"

    def deviation(self) -> str:
        return f"{self.title} has an attribute {self.attribute.name} that the code does not have."

    def bump(self) -> str:
        return MINOR

    def render(self, context: LineContext, *, ask: bool = False) -> str:
        more = [f"after={string(self.after)}", *filling(self.fill, context, ask=ask)]
        return call("AddAttribute", [context.title(self.table), write_attribute(self.attribute)], more)

    def follow(self, origins: Origins, tables: Tables) -> None:
        if self.fill is not None:
            origins.fills[self.table, self.attribute.name] = self.fill
        if self.hidden:
            sources = origins.attributes.setdefault(self.table, {})
            sources[self.attribute.name] = sources.get(self.hidden, self.hidden)


@dataclass(frozen=True)
class DropAttribute(Operation):
    """Take an attribute away. No key or index may hold it."""

    attribute: str

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        self.refuse_lacking(table, [self.attribute])
        if self.attribute in table.primary_key:
            raise self.refusal(f"{self.attribute} is part of the primary key")
        kept = tuple(attribute for attribute in table.attributes if attribute.name != self.attribute)
        return with_table(tables, replace(table, attributes=kept))

    def inverse(self, tables: Tables) -> Operation:
        table = self.found(tables)
        names = [attribute.name for attribute in table.attributes]
        place = names.index(self.attribute)
        return AddAttribute(self.table, table.attribute[self.attribute], names[place - 1] if place else None)

    def describe(self) -> str:
        return f"{self.title}: - {self.attribute}"

    def deviation(self) -> str:
        return f"{self.title} lacks the attribute {self.attribute}."

    def bump(self) -> str:
        return MAJOR

    def render(self, context: LineContext, *, ask: bool = False) -> str:
        return call("DropAttribute", [context.title(self.table), self.attribute])

    def notices(self, tables: Tables) -> Iterator[tuple[str, str]]:
        yield from left_behind(self.table, stored(self.found(tables)) & {self.attribute})
        yield "drop-attribute", f"{self.title}.{self.attribute} goes out of sight; purge would delete it."


@dataclass(frozen=True)
class RenameAttribute(Operation):
    """Give an attribute another name, in the table's keys and indexes too, and where foreign keys lead to it."""

    old: str
    new: str

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        self.refuse_lacking(table, [self.old])
        if self.new in table.attribute:
            raise self.refusal(f"it has an attribute {self.new}")

        def names(old: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(self.new if name == self.old else name for name in old)

        changed = replace(
            table,
            attributes=tuple(replace(a, name=self.new) if a.name == self.old else a for a in table.attributes),
            primary_key=names(table.primary_key),
            foreign_keys=sorted_keys([replace(key, attributes=names(key.attributes)) for key in table.foreign_keys]),
            indexes=sorted_indexes([replace(index, columns=names(index.columns)) for index in table.indexes]),
        )
        after = with_table(tables, changed)
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

    def describe(self) -> str:
        return f"{self.title}: {self.old} is called {self.new} now"

    def deviation(self) -> str:
        return f"{self.title} calls the attribute {self.old} {self.new}."

    def bump(self) -> str:
        return MAJOR

    def render(self, context: LineContext, *, ask: bool = False) -> str:
        return call("RenameAttribute", [context.title(self.table), self.old, self.new])

    def follow(self, origins: Origins, tables: Tables) -> None:
        origins.rename_attribute(self.table, self.old, self.new)

    def notices(self, tables: Tables) -> Iterator[tuple[str, str]]:
        yield "rename", f"Code that still uses the old name of something in {self.title} will fail."


@dataclass(frozen=True)
class AlterAttribute(Operation):
    """Change type, default, nullability, comment of an attribute, or whether a foreign key brings it.

    ``fill`` is what rows without a value get; ``using`` computes new values where a conversion is not what is meant.
    ``kept`` is the soft-deleted attribute that has the values of before the migration which this takes back.
    """

    before: Attribute
    after: Attribute
    fill: Fill | None = None
    using: Sql | None = None
    kept: str = ""

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        self.refuse_lacking(table, [self.before.name])
        if table.attribute[self.before.name] != self.before:
            raise self.refusal(f"{self.before.name} is not as the migration expects it")
        attributes = tuple(self.after if a.name == self.before.name else a for a in table.attributes)
        return with_table(tables, replace(table, attributes=attributes))

    def inverse(self, tables: Tables) -> Operation:
        return AlterAttribute(self.table, self.after, self.before)

    def describe(self) -> str:
        return f"{self.title}: {write_attribute(self.before)}  →  {write_attribute(self.after)}"

    def deviation(self) -> str:
        return f"{self.title} has {_as_line(self.after)} instead of {_as_line(self.before)}."

    def bump(self) -> str:
        before, after = self.before, self.after
        if before.type == after.type or before.inherited or after.inherited:
            return PATCH if before.nullable == after.nullable else MINOR
        if before.type.startswith("enum") and after.type.startswith("enum"):  # code may still write a value that goes
            return MAJOR if {*enum_values(before.type)} - {*enum_values(after.type)} else MINOR
        return MINOR if family(before.type) == family(after.type) else MAJOR

    def render(self, context: LineContext, *, ask: bool = False) -> str:
        more = [*filling(self.fill, context, ask=ask), *([f"using={self.using!r}"] if self.using else [])]
        return call("AlterAttribute", [context.title(self.table), write_attribute(self.after)], more)

    def follow(self, origins: Origins, tables: Tables) -> None:
        if self.fill is not None:
            origins.fills[self.table, self.after.name] = self.fill
        if self.using is not None:
            origins.converts[self.table, self.after.name] = self.using

    def notices(self, tables: Tables) -> Iterator[tuple[str, str]]:
        if changes_codec(self.before.type, self.after.type):
            yield from left_behind(self.table, stored(self.found(tables)) & {self.before.name})

    @property
    def changes_rows(self) -> bool:
        return self.using is not None


@dataclass(frozen=True)
class OrderAttributes(Operation):
    """Bring the attributes of a table into another order."""

    order: tuple[str, ...]

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        self.refuse_lacking(table, self.order)
        rest = [a for a in table.attributes if a.name not in self.order]
        if left := [a.name for a in rest if not a.hidden]:
            raise self.refusal(f"it also has an attribute {left[0]}")
        attributes = (*(table.attribute[name] for name in self.order), *rest)
        return with_table(tables, replace(table, attributes=attributes))

    def inverse(self, tables: Tables) -> Operation:
        return OrderAttributes(self.table, tuple(attribute.name for attribute in self.found(tables).attributes))

    def describe(self) -> str:
        return f"{self.title}: its attributes are in another order"

    def deviation(self) -> str:
        return f"{self.title} has its attributes in another order."

    def bump(self) -> str:
        return PATCH

    def render(self, context: LineContext, *, ask: bool = False) -> str:
        return call("OrderAttributes", [context.title(self.table)], [names(self.order)])


def _as_line(attribute: Attribute) -> str:
    """Give an attribute as a line of a definition, in a sentence."""
    odd = attribute.nullable and attribute.default is not None  # to DataJoint, what may be null is null by default
    type_ = "(inherited)" if attribute.inherited and not attribute.type else attribute.type
    # How a type is spelled says nothing of how it is stored.
    plain = replace(attribute, type=type_, nullable=attribute.nullable and not odd, spelling="")
    return f"`{write_attribute(plain)}`{' (nullable)' * odd}"
