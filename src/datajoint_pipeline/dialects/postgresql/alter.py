"""Changes a table of PostgreSQL where it is: columns and keys first, then values of rows, then what needs values."""

from __future__ import annotations

import re
from dataclasses import replace

from ...schema.model import TableName
from ..base import Dialect
from ..constraints import index_changes
from ..steps import Alteration, Change, Column, GeneratedFill, LiteralFill, ParentFill, Step, words
from . import indexes, primary_keys
from .columns import comment_on_column, comment_on_table, definition, join_to_parent

#: A clause of ALTER TABLE, with words, and what it costs: ``writes the table``, ``reads the table`` or nothing.
Clause = tuple[str, str, str]


class TableAlteration:
    """The steps for one table whose attributes are in their order, or are added behind the others.

    Parameters
    ----------
    dialect : Dialect
        PostgreSQL's; its names follow the alteration.
    alteration : Alteration
        What changes. The table has its new name already, its columns have their old ones.
    change : Change
        The same, column by column.
    """

    def __init__(self, dialect: Dialect, alteration: Alteration, change: Change) -> None:
        self.dialect, self.alteration, self.change = dialect, alteration, change

    def steps(self) -> list[Step]:
        """Give the steps."""
        alteration, change = self.alteration, self.change
        name, full = alteration.after.name, self.dialect.full(alteration.after.name)
        known = self.dialect.names.table(self.dialect.place(name))
        dropped, added = index_changes(change.indexes, change.target)
        steps = []
        for index in dropped:
            steps += indexes.drop(self.dialect, name, replace(index, columns=change.before(index.columns)))
        names = renames(change)
        steps += self._rename_columns(name, names)
        self.dialect.follow(change, self.dialect.place(name), known.indexes)
        steps += self._rename_keys(name, set(names.values()))
        rekeyed = change.table.primary_key != change.after.primary_key
        first, late = self._clauses(alteration, change, rekeyed=rekeyed)
        steps += [primary_keys.note(self.dialect, name, known.primary_key)] if rekeyed else []
        steps += self._one(name, full, first)
        steps += self._updates(alteration, change)
        steps += self._one(name, full, late)
        steps += [primary_keys.give(name)] if rekeyed else []
        steps += [step for index in added for step in indexes.add(self.dialect, name, index)]
        return steps + self._comment_changes(alteration, change)

    def _rename_columns(self, name: TableName, names: dict[str, str]) -> list[Step]:
        """Rename columns, in an order in which each new name is free."""
        steps, waiting = [], dict(names)
        while waiting:
            old = next((old for old in waiting if waiting[old] not in waiting), None)
            if old is None:  # names that are exchanged
                old = next(iter(waiting))
                waiting["~"] = waiting.pop(old)
                new = "~"
            else:
                new = waiting.pop(old)
            columns = f"{self.dialect.quote(old)} TO {self.dialect.quote(new)}"
            sql = f"ALTER TABLE {self.dialect.full(name)} RENAME COLUMN {columns}"
            steps.append(Step(sql, (name,), f"rename {old} to {new} in {name}"))
        return steps

    def _rename_keys(self, name: TableName, renamed: set[str]) -> list[Step]:
        """Rename the foreign keys of renamed columns.

        They are called after their columns, and DataJoint goes through them in the order of their names.
        """
        steps, keys = [], self.dialect.names.table(self.dialect.place(name)).foreign_keys
        for number, key in enumerate(keys):
            if renamed & set(key.attributes):
                keys[number] = replace(key, name=indexes.constraint_name(self.dialect, name, key.attributes, "fkey"))
                names = f"{self.dialect.quote(key.name)} TO {self.dialect.quote(keys[number].name)}"
                sql = f"ALTER TABLE {self.dialect.full(name)} RENAME CONSTRAINT {names}"
                steps.append(Step(sql, (name,), f"rename {key.name} to {keys[number].name} in {name}"))
        return steps

    def _one(self, name: TableName, full: str, clauses: list[Clause]) -> list[Step]:
        """Make one step of clauses, and none where there is no clause."""
        if not clauses:
            return []
        sql = f"ALTER TABLE {full}\n  " + ",\n  ".join(sql for sql, _, _ in clauses)
        kinds = {kind for _, _, kind in clauses}
        lock = "all" if kinds & {"writes the table", "reads the table"} else "brief"
        phrase = words([phrase for _, phrase, _ in clauses], name)
        return [Step(sql, (name,), phrase, rewrites="writes the table" in kinds, lock=lock)]

    def _clauses(self, alteration: Alteration, change: Change, *, rekeyed: bool) -> tuple[list[Clause], ...]:
        """Give the clauses before rows get their values, and those after it."""
        first, late, key = list[Clause](), list[Clause](), change.after.primary_key
        known = self.dialect.names.table(self.dialect.place(change.after.name))
        if rekeyed:
            first.append((f"DROP {indexes.constraint(self.dialect, known.primary_key)}", "change the primary key", ""))
        first += [(f"DROP COLUMN {self.dialect.quote(name)}", f"drop {name}", "") for name in change.dropped]
        for old, retained in change.kept.items():
            first.append((f"ALTER COLUMN {self.dialect.quote(retained)} DROP NOT NULL", f"soft-delete {old}", ""))
            first.append((f"ALTER COLUMN {self.dialect.quote(retained)} DROP DEFAULT", f"soft-delete {old}", ""))
        for name, column in change.will.items():
            if name in change.was:
                self._change_column(alteration, change, name, first, late)
                continue
            fill = alteration.fills.get(name)
            new = column
            if isinstance(fill, LiteralFill):
                new = replace(column, default=self.dialect.value(column.core, fill.value), nullable=False)
            elif fill is not None:
                new = replace(column, nullable=True)
            if new.default is not None and new.default != column.default:
                late.append((self._default(name, column.default), f"change the default of {name}", ""))
            if new.nullable != column.nullable:
                late += self._null(name, column)
                if new.nullable:  # the server keeps a null of a type with a size as a default
                    late.append((self._default(name, column.default), f"change the default of {name}", ""))
            first.append((f"ADD COLUMN {definition(self.dialect, new)}", f"add {name}", ""))
        if rekeyed:
            del known.primary_key  # its name is free again
            known.primary_key = indexes.constraint_name(self.dialect, change.after.name, (), "pkey")
            sql = f"ADD {indexes.constraint(self.dialect, known.primary_key)} PRIMARY KEY ({self.dialect.listed(key)})"
            late.append((sql, "change the primary key", "reads the table"))
        return first, late

    def _default(self, name: str, default: str | None) -> str:
        """Give the clause that sets or drops the default of a column."""
        change = "DROP DEFAULT" if default is None else f"SET DEFAULT {default}"
        return f"ALTER COLUMN {self.dialect.quote(name)} {change}"

    def _null(self, name: str, column: Column) -> list[Clause]:
        """Give the clause that makes a column nullable or required."""
        if column.nullable:
            return [(f"ALTER COLUMN {self.dialect.quote(name)} DROP NOT NULL", f"let {name} be null", "")]
        return [(f"ALTER COLUMN {self.dialect.quote(name)} SET NOT NULL", f"require {name}", "reads the table")]

    def _change_column(
        self,
        alteration: Alteration,
        change: Change,
        name: str,
        first: list[Clause],
        late: list[Clause],
    ) -> None:
        """Add the clauses for a column that stays."""
        was, will = change.was[name], change.will[name]
        retyped = name in change.retyped or name in alteration.converts
        if retyped:
            if was.default is not None or was.nullable:  # a null is of the old type, too
                first.append((self._default(name, None), f"change {name}", ""))
            given = alteration.converts.get(name)
            expression = (
                self.dialect.cast(will, f"({given})")
                if given
                else self.dialect.conversion(self.dialect.quote(name), was, will)
            )
            using = f" USING {expression}" if expression else ""
            sql = f"ALTER COLUMN {self.dialect.quote(name)} TYPE {will.sql}{using}"
            first.append((sql, f"change {name}", "" if _wider(was, will) else "writes the table"))
        # The server keeps a null of a type with a size as a default.
        if will.default != (None if retyped else was.default) or (was.nullable and not will.nullable and not retyped):
            first.append((self._default(name, will.default), f"change the default of {name}", ""))
        if was.nullable != will.nullable:
            (late if name in alteration.fills else first).extend(self._null(name, will))

    def _updates(self, alteration: Alteration, change: Change) -> list[Step]:
        """Give rows their values."""
        steps, full, table = [], self.dialect.full(change.after.name), change.after.name
        for name, column in change.will.items():
            fill, added = alteration.fills.get(name), name not in change.was
            if fill is None or (isinstance(fill, LiteralFill) and added) or not (added or change.was[name].nullable):
                continue
            condition = "" if added else f"c.{self.dialect.quote(name)} IS NULL"
            source, words_ = "", f"fill {name} in {table}"
            if isinstance(fill, ParentFill):
                renamed = {old: new for new, old in change.old.items()} | change.kept
                theirs, pairs = self.dialect.from_parent(fill)
                quote = self.dialect.quote
                named = [(key, ours, renamed[ours]) for key, ours in pairs]
                on = join_to_parent(self.dialect, alteration.before, fill, "p", named)
                value, parent = f"p.{quote(theirs)}", self.dialect.full(fill.parent)
                if fill.unique:
                    source, condition = f" FROM {parent} p", " AND ".join(filter(None, [on, condition]))
                else:
                    value = f"(SELECT {value} FROM {parent} p WHERE {on})"
                value = self.dialect.cast(column, value)
            elif isinstance(fill, GeneratedFill) and fill.kind == "number":
                renamed = {old: new for new, old in change.old.items()} | change.kept
                key = self.dialect.listed([renamed.get(a, a) for a in alteration.before.primary_key])
                after = self.dialect.numbered(column, self.dialect.quote(name), change.old.get(name, ""))
                number = f"{after}row_number() OVER (ORDER BY {key})"
                # Of another partition, or a table that inherits, a row may have the same ctid.
                numbered = f"SELECT tableoid AS part, ctid AS place, {number} AS number FROM {full}"
                source, value = f" FROM ({numbered}) n", "n.number"
                condition = " AND ".join(filter(None, ["n.part = c.tableoid AND n.place = c.ctid", condition]))
            elif isinstance(fill, GeneratedFill):
                value = self.dialect.unique_id(column)
            else:
                value = self.dialect.fill_value(column, fill) or "NULL"
            where = f" WHERE {condition}" if condition else ""
            sql = f"UPDATE {full} c SET {self.dialect.quote(name)} = {value}{source}{where}"
            steps.append(Step(sql, (table,), words_, rewrites=True, lock="writes"))
        return steps

    def _comment_changes(self, alteration: Alteration, change: Change) -> list[Step]:
        """Change the comments that are others afterwards."""
        name, steps = alteration.after.name, list[Step]()
        if alteration.before.comment != alteration.after.comment:
            steps.append(comment_on_table(self.dialect, name, alteration.after.comment))
        for column in change.will.values():
            if column.comment != (change.was[column.name].comment if column.name in change.was else ""):
                steps.append(comment_on_column(self.dialect, name, column))
        return steps


def renames(change: Change) -> dict[str, str]:
    """Give the names that columns have once they are renamed, by their names before."""
    return {old: name for name, old in change.renamed.items()} | change.kept


def _wider(was: Column, will: Column) -> bool:
    """Tell whether the server takes values as they are for values of the other type."""
    old, new = (re.fullmatch(r"varchar\((\d+)\)", column.sql) for column in (was, will))
    if old and (will.sql == "text" or (new and int(new[1]) >= int(old[1]))):
        return True
    old, new = (re.fullmatch(r"numeric\((\d+),(\d+)\)", column.sql.replace(" ", "")) for column in (was, will))
    if old and new and old[2] == new[2] and int(new[1]) >= int(old[1]):
        return True
    old, new = (re.fullmatch(r"timestamp(?:\((\d)\))?", column.sql) for column in (was, will))
    return bool(old and new and int(new[1] or 6) >= int(old[1] or 6))
