"""Lowers to PostgreSQL 15 to 18: the steps of a migration are one transaction, done as a whole or not at all.

A column is added at the end of a table here and never moved. Where an attribute has its place elsewhere, the table is
built anew and the rows are copied; rights, owner and replica identity go with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from ...internals.adapters import adapter
from ...schema.model import ForeignKey, Index, Table, TableName
from ...schema.naming import unused
from ...schema.notation import is_text, normal_default, path_of
from ..base import Dialect, Guards, no_guards
from ..constraints import IndexName, Place, plan
from ..steps import Alteration, Change, Column, ExpressionFill, LiteralFill, Obstacles, ParentFill, Step
from . import enums
from .alter import Altering
from .rebuild import Rebuild

_NUMBER = re.compile(r"(small|big)?int(eger)?$|int(8|16|32|64)$|float|double|real|decimal|numeric")
_MOMENT = re.compile(r"date|timestamp")


class PostgreSQL(Dialect):
    """Statements for PostgreSQL."""

    backend = "postgresql"

    failing = "SELECT 1 / CASE WHEN found = 0 THEN 1 ELSE 0 END FROM ({}) AS probe(found)"

    session = ("SET standard_conforming_strings = on", "SET lock_timeout = '%ds'")

    def quote(self, name: str) -> str:
        self.refuse_too_long(name)
        return '"' + name.replace('"', '""') + '"'

    def literal(self, text: str) -> str:
        return "'" + text.replace("'", "''") + "'"

    def as_text(self, expression: str) -> str:
        return f"{expression}::text"

    def as_number(self, expression: str) -> str:
        return f"{expression}::int"

    def joined(self, own: Table, fill: ParentFill, alias: str, pairs: list[tuple[str, str, str]]) -> str:
        """What joins a row of a table, as ``c``, to its parent's, which may be of another type by now: the parent's
        attribute, ours as it was called, and as it is."""
        enums = self._names.table(self.place(fill.parent)).enums
        parts = []
        for theirs, was, ours in pairs:
            known = [(tables, tables.get(fill.parent), theirs) for tables in (self._before, self._after)]
            known.append((self._before, own, was))
            cores = {self.column(tables, t, t.attribute[a]).core for tables, t, a in known if t and a in t.attribute}
            left, right = f"{alias}.{self.quote(theirs)}", f"c.{self.quote(ours)}"
            text = theirs in enums or len(cores) > 1
            parts.append(f"{left}::text = {right}::text" if text else f"{left} = {right}")
        return " AND ".join(parts)

    def value(self, core: str, text: str) -> str:
        text = normal_default(core, text)
        if re.match(r"date|time", core) and text.upper().startswith("CURRENT_TIMESTAMP"):
            return text
        return text if text.startswith("(") and not is_text(core) else self.literal(text)

    def _sql_type(self, core: str, schema: str) -> str:
        if core.startswith("enum("):
            return f"{self.quote(self._databases.get(schema, schema))}.{self.quote(enums.name_and_values(core)[0])}"
        try:
            return str(adapter("postgresql").core_type_to_sql(core))
        except ValueError:
            return {"double": "real", "float": "double precision", "numeric(10,0)": "numeric"}.get(core, core)

    def _inherited_type(self, core: str, schema: str) -> str:
        # DataJoint is told no precision of a parent's moments.
        return re.sub(r"^(time(?:stamp)?)\(\d\)", r"\1", self._sql_type(core, schema))

    def _as_is(self, name: TableName, column: Column) -> Column:
        # Where an enum's type is, and what it is called, depends on who came first.
        type_ = self._names.table(self.place(name)).enums.get(column.name)
        return replace(column, sql=".".join(map(self.quote, type_))) if type_ else column

    def _comment(self, marker: str, comment: str, *, inherited: bool) -> str:
        if inherited:
            return ""
        # DataJoint escapes comments for MySQL, and so they stay.
        comment = comment.replace("\\", "\\\\").replace('"', '\\"')
        return f":{marker}:{comment}".replace("\\'", "\\\\'") if marker else comment

    def _converts(self, column: str, was: Column, will: Column) -> str | None:
        both = (was.core, will.core)
        for family in (_NUMBER, _MOMENT):
            if all(family.match(core) for core in both):
                return None
        if is_text(will.core) and not will.core.startswith("enum"):
            return None
        if will.core == "bool" and _NUMBER.match(was.core):
            return f"{column}::integer::boolean"
        if was.core == "bool" and _NUMBER.match(will.core):
            return f"{column}::integer::{will.sql}"
        return f"{column}::text::{will.sql}"

    def unique_id(self, column: Column) -> str:
        return "gen_random_uuid()" if column.core == "uuid" else "gen_random_uuid()::text"

    def cast(self, column: Column, expression: str) -> str:
        # Enums of one name may be of two types.
        return f"{expression}::text::{column.sql}" if column.core.startswith("enum(") else expression

    def taken_up(self, table: Table) -> list[Step]:
        return enums.taken_up(self, table)

    def typed(self, value: str, core: str) -> str:
        return value if core.startswith("enum") else f"{value}::{self._sql_type(core, '')}"

    def one_each(self, key: Mapping[str, str], more: Mapping[str, str], source: str) -> str:
        group = [expression for expression in key.values() if expression.startswith("c.")]
        first, end = (f"DISTINCT ON ({', '.join(group)}) ", "") if group else ("", "\nLIMIT 1")
        return f"SELECT {first}{', '.join([*key.values(), *more.values()])}\n{source}{end}"

    # --- Tables ------------------------------------------------------------------------------------------------------

    def create_schema(self, name: str) -> list[Step]:
        database = self._databases.get(name, name)
        return [Step(f"CREATE SCHEMA IF NOT EXISTS {self.quote(database)}", (), f"make the schema {name}")]

    def create_table(self, table: Table, *, foreign_keys: bool = True) -> list[Step]:
        if not foreign_keys:
            table = replace(table, foreign_keys=())
        columns = list(self.columns(self._after, table).values())
        steps = enums.make(self, table, columns)
        steps += self._make(table.name, self.full(table.name), columns, table.primary_key)
        own = self._names.table(self.place(table.name))
        own.primary_key = self._constraint_name(table.name, (), "pkey")
        steps[-1] = replace(steps[-1], sql=steps[-1].sql.replace("CONSTRAINT ?", self._constraint(own.primary_key)))
        for key in table.keys_in_order:
            steps += self._add_key(table.name, key)
        steps += [step for index in self.expected(table) for step in self._add_index(table.name, index)]
        return steps + self._comments(table, columns)

    def _constraint(self, name: str) -> str:
        return f"CONSTRAINT {self.quote(name)}"

    def _make(self, name: TableName, full: str, columns: list[Column], key: tuple[str, ...]) -> list[Step]:
        parts = [self._definition(column) for column in columns]
        body = ",\n  ".join([*parts, f"CONSTRAINT ? PRIMARY KEY ({self.listed(key)})"])
        self._names.table(self.place(name)).columns = [column.name for column in columns]
        return [Step(f"CREATE TABLE {full} (\n  {body}\n)", (name,), f"make {name}")]

    def _definition(self, column: Column) -> str:
        if column.nullable:
            rest = "DEFAULT NULL"
        else:
            rest = "NOT NULL" + (f" DEFAULT {column.default}" if column.default is not None else "")
        return f"{self.quote(column.name)} {column.sql} {rest}"

    def _comments(self, table: Table, columns: list[Column]) -> list[Step]:
        steps = []
        if table.comment:
            steps.append(self._comment_on(table.name, f"TABLE {self.full(table.name)}", table.comment))
        for column in columns:
            if column.comment:
                steps.append(self._comment_on_column(table.name, column))
        return steps

    def _comment_on_column(self, name: TableName, column: Column) -> Step:
        on = f"COLUMN {self.full(name)}.{self.quote(column.name)}"
        text = self.literal(column.comment) if column.comment else "NULL"
        return Step(f"COMMENT ON {on} IS {text}", (name,), f"note what {column.name} is in {name}")

    def _comment_on(self, name: TableName, on: str, comment: str) -> Step:
        text = self.literal(comment.replace("\\", "\\\\")) if comment else "NULL"
        return Step(f"COMMENT ON {on} IS {text}", (name,), f"change the comment in {name}")

    def drop_table(self, name: TableName) -> list[Step]:
        gone = self._names.tables.pop(self.place(name), None)
        types = sorted(set(gone.enums.values())) if gone else []
        return [Step(f"DROP TABLE {self.full(name)}", (name,), f"drop {name}"), *enums.drop(self, name, types)]

    def rename_table(self, old: TableName, new: TableName) -> list[Step]:
        (database, table), place = self.place(old), self.place(new)
        steps = self._rename_names(old, new)
        rename, move = f"RENAME TO {self.quote(place[1])}", f"SET SCHEMA {self.quote(place[0])}"
        if database != place[0] and place[1] in self._names.in_use(database) - {table}:
            between = ".".join(map(self.quote, (place[0], table)))
            changes = [f"ALTER TABLE {self.full(old)} {move}", f"ALTER TABLE {between} {rename}"]
        else:
            between = ".".join(map(self.quote, (database, place[1])))
            changes = [f"ALTER TABLE {self.full(old)} {rename}", f"ALTER TABLE {between} {move}"]
        wanted = [table != place[1], database != place[0]]
        for sql in changes:
            if wanted["SET SCHEMA" in sql]:
                steps.append(Step(sql, (new,), f"rename {old} to {new}"))
        self._names.rename_table((database, table), place)
        self._moved[old] = new
        return steps + enums.move(self, new, database)

    def _rename_names(self, old: TableName, new: TableName) -> list[Step]:
        """Give indexes and constraints the names that the server would give, so that the old ones are free."""
        (database, table), place = self.place(old), self.place(new)
        own, steps = self._names.table((database, table)), list[Step]()
        taken = self._names.in_use(database) | self._names.in_use(place[0])

        def renamed(name: str) -> str:
            if name.startswith(f"idx_{table}_"):
                return unused(f"idx_{place[1]}_{name[len(table) + 5 :]}", taken)
            return unused(place[1] + name[len(table) :], taken) if name.startswith(f"{table}_") else name

        def step(name: str, to: str, before: str, between: str = " RENAME TO ") -> None:
            taken.add(to)
            if to != name:
                sql = f"{before}{self.quote(name)}{between}{self.quote(to)}"
                steps.append(Step(sql, (new,), f"rename {name} to {to}"))

        in_schema = f"ALTER INDEX {self.quote(database)}."
        key = renamed(own.primary_key)
        step(own.primary_key, key, in_schema)
        own.primary_key = key
        for number, index in enumerate(own.indexes):
            own.indexes[number] = replace(index, name=renamed(index.name))
            step(index.name, own.indexes[number].name, in_schema)
        for number, reference in enumerate(own.foreign_keys):
            own.foreign_keys[number] = replace(reference, name=renamed(reference.name))
            constraint = f"ALTER TABLE {self.full(old)} RENAME CONSTRAINT "
            step(reference.name, own.foreign_keys[number].name, constraint, " TO ")
        return steps

    # --- Indexes and foreign keys ------------------------------------------------------------------------------------

    def _add_index(self, name: TableName, index: Index) -> list[Step]:
        place = self.place(name)
        columns = "_".join(re.sub(r"\W+", "_", column) for column in index.columns)[:30]
        known = IndexName(unused(f"idx_{place[1]}_{columns}", self._names.in_use(place[0])), index)
        self._names.table(place).indexes.append(known)
        parts = ", ".join(map(self._indexed, index.columns))
        kind = "UNIQUE INDEX" if index.unique else "INDEX"
        sql = f"CREATE {kind} {self.quote(known.name)} ON {self.full(name)} ({parts})"
        return [Step(sql, (name,), f"add {kind.lower()} ({', '.join(index.columns)}) to {name}", lock="writes")]

    def _indexed(self, text: str) -> str:
        if path := path_of(text):
            parts = ", ".join(self.literal(part) for part in re.findall(r"[^.\[\]]+", path[1]))
            value = f"jsonb_extract_path_text({self.quote(path[0])}, {parts})"
            type_ = path[2].replace("signed", "bigint").replace("decimal", "numeric")
            return f"(({value})::{type_})" if type_ else f"({value})"
        if text.startswith("("):
            return text
        match = re.fullmatch(r"(\w+)( desc)?", text)
        return self.quote(match[1]) + (match[2] or "").upper() if match else self.quote(text)

    def _drop_index(self, name: TableName, index: Index) -> list[Step]:
        place = self.place(name)
        own = self._names.table(place)
        found = next((known for known in own.indexes if known.index == index), None)
        if found is None:
            return []
        own.indexes.remove(found)
        sql = f"DROP INDEX {'.'.join(map(self.quote, (place[0], found.name)))}"
        return [Step(sql, (name,), f"drop index ({', '.join(index.columns)}) of {name}")]

    def _reindex(self, name: TableName, before: list[Index], after: list[Index]) -> list[Step]:
        gone, come = plan(before, after)
        steps = [step for index in gone for step in self._drop_index(name, index)]
        return steps + [step for index in come for step in self._add_index(name, index)]

    def _constraint_name(self, name: TableName, columns: tuple[str, ...], label: str) -> str:
        database, table = self.place(name)
        middle = "".join(f"_{column}" for column in columns)
        room = 63 - len(label) - 1
        while len(table.encode()) + len(middle.encode()) > room:
            table, middle = (table[:-1], middle) if len(table) >= len(middle) else (table, middle[:-1])
        return unused(f"{table}{middle}_{label}", self._names.in_use(database))

    def _add_key(self, name: TableName, key: ForeignKey) -> list[Step]:
        constraint = self._constraint_name(name, key.attributes, "fkey")
        self._names.table(self.place(name)).foreign_keys.append(self._key_name(key, constraint))
        sql = f"ALTER TABLE {self.full(name)} ADD {self._constraint(constraint)} {self._references(key)}"
        phrase = f"add foreign key ({', '.join(key.attributes)}) to {key.parent} in {name}"
        return [Step(sql, (name,), phrase, lock="writes")]

    def add_foreign_key(self, table: Table, key: ForeignKey) -> list[Step]:
        without = self._without(table, key)
        target = self.expected(replace(without, foreign_keys=(*without.foreign_keys, key)))
        return [*self._reindex(table.name, self.expected(without), target), *self._add_key(table.name, key)]

    def drop_foreign_key(self, table: Table, key: ForeignKey) -> list[Step]:
        place, without = self.place(table.name), self._without(table, key)
        found = self._names.key(place, key.attributes, self.place(key.parent))
        self._names.table(place).foreign_keys.remove(found)
        sql = f"ALTER TABLE {self.full(table.name)} DROP {self._constraint(found.name)}"
        before = self.expected(replace(without, foreign_keys=(*without.foreign_keys, key)))
        phrase = f"drop foreign key ({', '.join(key.attributes)}) to {key.parent} in {table.name}"
        return [Step(sql, (table.name,), phrase), *self._reindex(table.name, before, self.expected(without))]

    # --- Alterations -------------------------------------------------------------------------------------------------

    def obstacles(self, alteration: Alteration) -> Obstacles:
        change = self.change(alteration)
        moved = {change.old[name] for name in change.retyped | set(alteration.converts)}
        moved |= set(enums.reordered(self, alteration, change))
        gone, before = {*moved, *change.dropped, *change.kept}, alteration.before
        rebuild = self._rebuilds(change, before)
        key = change.table.primary_key != alteration.after.primary_key
        return Obstacles(
            tuple(reference for reference in before.foreign_keys if gone & set(reference.attributes)),
            incoming=rebuild or key or bool(moved & set(before.primary_key)),
            rebuild=rebuild,
        )

    def _rebuilds(self, change: Change, before: Table) -> bool:
        """Whether attributes would not be in their order: what is added comes to stand at the end."""
        new = {old: name for name, old in change.old.items()}
        now = [new[a.name] for a in before.attributes if a.name in new]
        now += [name for name in change.will if name not in change.was]
        return [n for n in now if not n.startswith("_")] != [n for n in change.will if not n.startswith("_")]

    def alter_table(self, alteration: Alteration, guards: Guards = no_guards) -> list[Step]:
        steps, name = [], alteration.after.name
        if alteration.before.name != name:
            steps = self.rename_table(alteration.before.name, name)
            alteration = replace(alteration, before=replace(alteration.before, name=name))
        steps += guards(self, alteration)
        steps += enums.put_aside(self, alteration, self.change(alteration))
        change = self.change(alteration)
        known = self._names.table(self.place(name))
        used = dict(known.enums)
        steps += enums.make(self, alteration.after, [c for c in change.will.values() if self._new_type(c, change)])
        if self._rebuilds(change, alteration.before):
            steps += Rebuild(self, alteration, change).steps()
        else:
            steps += Altering(self, alteration, change).steps()
        aside = {new: used[old] for old, new in change.kept.items() if old in used}
        stay = {n: t for n, t in known.enums.items() if n in change.will and change.will[n].core.startswith("enum(")}
        known.enums = stay | aside
        return steps + enums.drop(self, name, sorted(set(used.values()) - set(known.enums.values())))

    def _new_type(self, column: Column, change: Change) -> bool:
        return column.name not in change.was or change.was[column.name].sql != column.sql

    def _follow(self, change: Change, place: Place, indexes: list[IndexName]) -> None:
        super()._follow(change, place, indexes)
        renamed = {old: new for new, old in change.old.items()}
        columns = [replace(i.index, columns=tuple(renamed.get(c, c) for c in i.index.columns)) for i in indexes]
        named = zip(indexes, columns, strict=True)
        self._names.table(place).indexes = [replace(known, index=index) for known, index in named]

    def _fill(self, column: Column, fill: object) -> str:
        if isinstance(fill, LiteralFill):
            return f"CAST({self.value(column.core, fill.value)} AS {column.sql})"
        assert isinstance(fill, ExpressionFill)
        return f"({fill.postgresql})"
