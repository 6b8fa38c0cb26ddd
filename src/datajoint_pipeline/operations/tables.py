"""Operations on whole tables: make, drop, rename, and change the comment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..schema import definition
from ..schema.model import TIERS, Table, TableName, table_name
from .base import MAJOR, MINOR, PATCH, Operation, named, sorted_keys, title_from, with_table
from .origins import Origins
from .rendering import block, call
from .state import LineContext, Tables
from .stores import left_behind, stored

#: What the hidden attributes begin with that say when a row was computed, and who entered one.
_OF_COMPUTED, _OF_ENTERED = "_job_", "_prov"


@dataclass(frozen=True)
class CreateTable(Operation):
    """Make a table, its foreign keys included. ``hidden`` is the soft-deleted one that it is made of, with its rows."""

    definition: Table
    hidden: TableName | None = None

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        if self.table in tables:
            raise self.refusal("there is a table of that name")
        keys = (name for key in self.definition.foreign_keys for name in key.attributes)
        indexes = (name for index in self.definition.indexes for name in named(index))
        self.refuse_lacking(self.definition, [*self.definition.primary_key, *keys, *indexes])
        return with_table(tables, self.definition)

    def inverse(self, tables: Tables) -> Operation:
        return DropTable(self.table)

    def describe(self) -> str:
        return f"{self.title}: a new table ({self.definition.tier})"

    def deviation(self) -> str:
        return f"{self.title} is a table that the code does not have."

    def bump(self) -> str:
        return MINOR

    def render(self, context: LineContext, *, ask: bool = False) -> str:
        context.titles.add(self.definition.name)
        return f"CreateTable({block(definition.write_table(self.definition, context.titles))})"

    def follow(self, origins: Origins, tables: Tables) -> None:
        if self.hidden is not None:
            origins.hidden[self.table] = self.hidden


@dataclass(frozen=True)
class DropTable(Operation):
    """Take a table away. What refers to it has to go too, perhaps in another schema's migration (:func:`dangling`)."""

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        self.found(tables)
        return {name: table for name, table in tables.items() if name != self.table}

    def inverse(self, tables: Tables) -> Operation:
        return CreateTable(self.table, self.found(tables))

    def describe(self) -> str:
        return f"{self.title}: the table goes"

    def deviation(self) -> str:
        return f"{self.title} is missing."

    def bump(self) -> str:
        return MAJOR

    def render(self, context: LineContext, *, ask: bool = False) -> str:
        return call("DropTable", [context.title(self.table)])

    def notices(self, tables: Tables) -> Iterator[tuple[str, str]]:
        yield from left_behind(self.table, stored(self.found(tables)))
        yield "drop-table", f"{self.title} goes out of sight; purge would delete its rows."


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

    def describe(self) -> str:
        if self._keeps_class:
            return f"{self.title}: its tier is {_tier(self.to)} now"
        return f"{self.title}: is called {title_from(self.to, self.table.schema)} now"

    def deviation(self) -> str:
        return f"{self.title} is of the tier {_tier(self.to)} instead of {_tier(self.table)}."

    def bump(self) -> str:
        return MAJOR

    def render(self, context: LineContext, *, ask: bool = False) -> str:
        name = context.title(self.table)
        if self._keeps_class and "__" not in self.table.table.lstrip("_#"):
            tier = next(tier for prefix, tier in TIERS.items() if self.to.table.startswith(prefix))
            return call("ChangeTier", [name, tier])
        return call("RenameTable", [name, self._new_name(context)])

    def follow(self, origins: Origins, tables: Tables) -> None:
        origins.rename_tables(self.names(tables))

    def notices(self, tables: Tables) -> Iterator[tuple[str, str]]:
        here = self.table.schema
        if self.to.schema != here:
            for name in sorted(name for name in self.names(tables) if stored(tables[name])):
                title = definition.title(name)
                yield (
                    "objects",
                    f"Objects of {title} stay with {here}: collect garbage of both schemas at once, or never.",
                )
        yield "rename", f"Code that still uses the old name of something in {self.title} will fail."
        if stay := self._left(self.found(tables)):
            kept = f"{', '.join(stay)} with their values"
            yield "rename", f"{self.title} keeps {kept}; DataJoint writes nothing more there."

    def _left(self, table: Table) -> list[str]:
        """Give the hidden attributes that DataJoint fills in tables of the tier before, and no longer."""
        computed = [_tier(name) in ("Imported", "Computed") for name in (self.table, self.to)]
        begins = _OF_COMPUTED if computed == [True, False] else _OF_ENTERED if computed == [False, True] else None
        return [a.name for a in table.attributes if begins and a.name.startswith(begins)]

    @property
    def _keeps_class(self) -> bool:
        """Say whether only the tier changes."""
        return (self.table.schema, self.title) == (self.to.schema, definition.title(self.to))

    def _new_name(self, context: LineContext) -> str:
        """Give the new name as a line has it: the class, or the name on the server where the class is unclear."""
        new, old_tier = self.to, context.tables[self.table].tier
        title = definition.title(new)
        master = None if "__" not in new.table.lstrip("_#") else new.table[: -len(new.table.rpartition("__")[2]) - 2]
        tier = "Part" if master is not None else old_tier
        clear = tier == old_tier and table_name(tier, title.rpartition(".")[2], master) == new.table
        known = master is None or TableName(new.schema, master) in context.tables
        name = title if clear and known else new.table
        return name if new.schema == context.schema else f"{new.schema}.{name}"


@dataclass(frozen=True)
class ChangeComment(Operation):
    """Change the comment of a table."""

    before: str
    after: str

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        return with_table(tables, replace(self.found(tables), comment=self.after))

    def inverse(self, tables: Tables) -> Operation:
        return ChangeComment(self.table, self.after, self.before)

    def describe(self) -> str:
        return f"{self.title}: its comment is now {self.after!r}"

    def deviation(self) -> str:
        return f"{self.title} has the comment {self.after!r} instead of {self.before!r}."

    def bump(self) -> str:
        return PATCH

    def render(self, context: LineContext, *, ask: bool = False) -> str:
        return call("ChangeComment", [context.title(self.table), self.after])


def _tier(name: TableName) -> str:
    return Table(name, (), ()).tier
