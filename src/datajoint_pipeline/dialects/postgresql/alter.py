"""Changes a table of PostgreSQL where it is: columns and keys first, then values of rows, then what needs values."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ...schema.model import TableName
from ..constraints import plan
from ..steps import Alteration, Change, Column, GeneratedFill, LiteralFill, ParentFill, Step, words

if TYPE_CHECKING:
    from .dialect import PostgreSQL


class Altering:
    """One table whose attributes are in their order, or are added behind the others."""

    def __init__(self, dialect: PostgreSQL, alteration: Alteration, change: Change) -> None:
        self.dialect, self.alteration, self.change = dialect, alteration, change

    def steps(self) -> list[Step]:
        """The steps."""
        alteration, change = self.alteration, self.change
        name, full = alteration.after.name, self.dialect.full(alteration.after.name)
        own = self.dialect._names.table(self.dialect.place(name))
        back = change.old
        gone, come = plan(change.indexes, change.target)
        steps = []
        for index in gone:
            steps += self.dialect._drop_index(
                name, replace(index, columns=tuple(back.get(c, c) for c in index.columns))
            )
        names = {old: new for new, old in change.old.items() if old != new} | change.kept
        steps += self._rename_columns(name, names)
        self.dialect._follow(change, self.dialect.place(name), own.indexes)
        steps += self._rename_keys(name, set(names.values()))
        now, late = self._clauses(alteration, change)
        steps += self._one(name, full, now)
        steps += self._updates(alteration, change)
        steps += self._one(name, full, late)
        steps += [step for index in come for step in self.dialect._add_index(name, index)]
        return steps + self._comment_changes(alteration, change)

    def _rename_columns(self, name: TableName, names: dict[str, str]) -> list[Step]:
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
        """Foreign keys are called after their columns, and DataJoint goes through them in the order of their names."""
        steps, keys = [], self.dialect._names.table(self.dialect.place(name)).foreign_keys
        for number, key in enumerate(keys):
            if renamed & set(key.attributes):
                keys[number] = replace(key, name=self.dialect._constraint_name(name, key.attributes, "fkey"))
                names = f"{self.dialect.quote(key.name)} TO {self.dialect.quote(keys[number].name)}"
                sql = f"ALTER TABLE {self.dialect.full(name)} RENAME CONSTRAINT {names}"
                steps.append(Step(sql, (name,), f"rename {key.name} to {keys[number].name} in {name}"))
        return steps

    def _one(self, name: TableName, full: str, clauses: list[tuple[str, str, str]]) -> list[Step]:
        if not clauses:
            return []
        sql = f"ALTER TABLE {full}\n  " + ",\n  ".join(sql for sql, _, _ in clauses)
        kinds = {kind for _, _, kind in clauses}
        lock = "all" if kinds & {"writes the table", "reads the table"} else "brief"
        phrase = words([phrase for _, phrase, _ in clauses], name)
        return [Step(sql, (name,), phrase, rewrites="writes the table" in kinds, lock=lock)]

    def _clauses(self, alteration: Alteration, change: Change) -> tuple[list[tuple[str, str, str]], ...]:
        """Clauses of ALTER TABLE before and after rows get their values: each with words, and what it costs."""
        now, late, own = list[tuple[str, str, str]](), list[tuple[str, str, str]](), change.after.primary_key
        known = self.dialect._names.table(self.dialect.place(change.after.name))
        rekeyed = change.table.primary_key != own
        if rekeyed:
            now.append((f"DROP {self.dialect._constraint(known.primary_key)}", "change the primary key", ""))
        now += [(f"DROP COLUMN {self.dialect.quote(name)}", f"drop {name}", "") for name in change.dropped]
        for old, aside in change.kept.items():
            now.append((f"ALTER COLUMN {self.dialect.quote(aside)} DROP NOT NULL", f"put {old} aside", ""))
            now.append((f"ALTER COLUMN {self.dialect.quote(aside)} DROP DEFAULT", f"put {old} aside", ""))
        for name, column in change.will.items():
            if name in change.was:
                self._change_column(alteration, change, name, now, late)
                continue
            fill = alteration.fills.get(name)
            first = column
            if isinstance(fill, LiteralFill):
                first = replace(column, default=self.dialect.value(column.core, fill.value), nullable=False)
            elif fill is not None:
                first = replace(column, nullable=True)
            if first.default is not None and first.default != column.default:
                late.append((self._default(name, column.default), f"change the default of {name}", ""))
            if first.nullable != column.nullable:
                late += self._null(name, column)
                if first.nullable:  # the server keeps a null of a type with a size as a default
                    late.append((self._default(name, column.default), f"change the default of {name}", ""))
            now.append((f"ADD COLUMN {self.dialect._definition(first)}", f"add {name}", ""))
        if rekeyed:
            del known.primary_key  # its name is free again
            known.primary_key = self.dialect._constraint_name(change.after.name, (), "pkey")
            key = f"ADD {self.dialect._constraint(known.primary_key)} PRIMARY KEY ({self.dialect.listed(own)})"
            late.append((key, "change the primary key", "reads the table"))
        return now, late

    def _default(self, name: str, default: str | None) -> str:
        change = "DROP DEFAULT" if default is None else f"SET DEFAULT {default}"
        return f"ALTER COLUMN {self.dialect.quote(name)} {change}"

    def _null(self, name: str, column: Column) -> list[tuple[str, str, str]]:
        if column.nullable:
            return [(f"ALTER COLUMN {self.dialect.quote(name)} DROP NOT NULL", f"let {name} be null", "")]
        return [(f"ALTER COLUMN {self.dialect.quote(name)} SET NOT NULL", f"require {name}", "reads the table")]

    def _change_column(
        self,
        alteration: Alteration,
        change: Change,
        name: str,
        now: list[tuple[str, str, str]],
        late: list[tuple[str, str, str]],
    ) -> None:
        was, will = change.was[name], change.will[name]
        retyped = name in change.retyped or name in alteration.converts
        if retyped:
            if was.default is not None or was.nullable:  # a null is of the old type, too
                now.append((self._default(name, None), f"change {name}", ""))
            expression = alteration.converts.get(name) or self.dialect._converts(self.dialect.quote(name), was, will)
            using = f" USING {expression}" if expression else ""
            sql = f"ALTER COLUMN {self.dialect.quote(name)} TYPE {will.sql}{using}"
            now.append((sql, f"change {name}", "" if _wider(was, will) else "writes the table"))
        # The server keeps a null of a type with a size as a default.
        if will.default != (None if retyped else was.default) or (was.nullable and not will.nullable and not retyped):
            now.append((self._default(name, will.default), f"change the default of {name}", ""))
        if was.nullable != will.nullable:
            (late if name in alteration.fills else now).extend(self._null(name, will))

    def _updates(self, alteration: Alteration, change: Change) -> list[Step]:
        steps, full, table = [], self.dialect.full(change.after.name), change.after.name
        for name, column in change.will.items():
            fill, new = alteration.fills.get(name), name not in change.was
            if fill is None or (isinstance(fill, LiteralFill) and new) or not (new or change.was[name].nullable):
                continue
            condition = "" if new else f"c.{self.dialect.quote(name)} IS NULL"
            source, words_ = "", f"fill {name} in {table}"
            if isinstance(fill, ParentFill):
                renamed = {old: now for now, old in change.old.items()} | change.kept
                theirs, pairs = self.dialect.from_parent(fill)
                quote = self.dialect.quote
                named = [(key, ours, renamed[ours]) for key, ours in pairs]
                on = self.dialect.joined(alteration.before, fill, "p", named)
                value, parent = f"p.{quote(theirs)}", self.dialect.full(fill.parent)
                if fill.unique:
                    source, condition = f" FROM {parent} p", " AND ".join(filter(None, [on, condition]))
                else:
                    value = f"(SELECT {value} FROM {parent} p WHERE {on})"
            elif isinstance(fill, GeneratedFill) and fill.kind == "number":
                renamed = {old: now for now, old in change.old.items()} | change.kept
                key = self.dialect.listed([renamed.get(a, a) for a in alteration.before.primary_key])
                numbered = f"SELECT ctid AS place, row_number() OVER (ORDER BY {key}) AS number FROM {full}"
                source, value = f" FROM ({numbered}) n", "n.number"
                condition = " AND ".join(filter(None, ["n.place = c.ctid", condition]))
            elif isinstance(fill, GeneratedFill):
                value = self.dialect.unique_id(column)
            else:
                value = self.dialect._fill(column, fill)
            where = f" WHERE {condition}" if condition else ""
            sql = f"UPDATE {full} c SET {self.dialect.quote(name)} = {value}{source}{where}"
            steps.append(Step(sql, (table,), words_, rewrites=True, lock="writes"))
        return steps

    def _comment_changes(self, alteration: Alteration, change: Change) -> list[Step]:
        name, steps = alteration.after.name, list[Step]()
        if alteration.before.comment != alteration.after.comment:
            steps.append(self.dialect._comment_on(name, f"TABLE {self.dialect.full(name)}", alteration.after.comment))
        for column in change.will.values():
            if column.comment != (change.was[column.name].comment if column.name in change.was else ""):
                steps.append(self.dialect._comment_on_column(name, column))
        return steps


def _wider(was: Column, will: Column) -> bool:
    """Whether the server takes values as they are for values of the other type."""
    old, new = (re.fullmatch(r"varchar\((\d+)\)", column.sql) for column in (was, will))
    if old and (will.sql == "text" or (new and int(new[1]) >= int(old[1]))):
        return True
    old, new = (re.fullmatch(r"numeric\((\d+),(\d+)\)", column.sql.replace(" ", "")) for column in (was, will))
    if old and new and old[2] == new[2] and int(new[1]) >= int(old[1]):
        return True
    old, new = (re.fullmatch(r"timestamp(?:\((\d)\))?", column.sql) for column in (was, will))
    return bool(old and new and int(new[1] or 6) >= int(old[1] or 6))
