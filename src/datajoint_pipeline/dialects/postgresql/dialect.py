"""The dialect of PostgreSQL 15 to 18: the steps of a migration are one transaction, done as a whole or not at all.

A column is added at the end of a table here and never moved. Where an attribute has its place elsewhere, the table is
built anew and the rows are copied; rights, owner and replica identity go with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from ...internals.adapters import adapter
from ...operations.structure import Tables
from ...schema import notation
from ...schema.model import Attribute, ForeignKey, Index, Table, TableName
from ...schema.naming import unused
from ...schema.notation import is_text, normal_default
from ..base import Dialect, Guards, no_guards, without
from ..constraints import IndexName, Place
from ..conversions import Loss, kind_of, real_kind
from ..steps import Alteration, Change, Column, ColumnFill, ExpressionFill, LiteralFill, NewKey, Obstacles, Probe, Step
from . import auditing, dependents, enums, indexes, jobs, texts, untaken, waiting
from .alter import TableAlteration, renames
from .columns import comment_on_table, comments, make_table
from .conversions import PostgreSQLConversion, exactly, held, of_bytes
from .online import online
from .rebuild import Rebuild

_NUMBER = re.compile(r"(small|big)?int(eger)?$|int(8|16|32|64)$|float|double|real|decimal|numeric")
_MOMENT = re.compile(r"date|timestamp")

#: Bytes of the head of an entry of a B-tree, and of the length of a value that is so long that the table has it
#: elsewhere, where its size is told without.
_ENTRY_HEAD = 12


class PostgreSQL(Dialect):
    """Statements for PostgreSQL."""

    backend = "postgresql"

    auditing = auditing

    longest_entry = 2704  # of a page of 8 KiB

    failing = "SELECT 1 / CASE WHEN found = 0 THEN 1 ELSE 0 END FROM ({}) AS probe(found)"

    #: Digits of floats, names in what the catalogue shows, bytes and moments as text, and what ``= NULL`` means. And no
    #: schema called like the account: whoever may make schemas could make one, with operators that stand in its
    #: statements for those of the server and do what they like with its rights.
    exact = (
        "SET extra_float_digits = 1; SET quote_all_identifiers = off; SET bytea_output = 'hex'; "
        "SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET standard_conforming_strings = on; "
        "SET transform_null_equals = off; SET array_nulls = on; "
        "SELECT pg_catalog.set_config('search_path', pg_catalog.rtrim(pg_catalog.regexp_replace("
        "pg_catalog.current_setting('search_path'), '\"?[$]user\"? *,? *', '', 'g'), ', '), false)"
    )

    no_limit = (
        "; SET statement_timeout = 0; SELECT pg_catalog.set_config(name, '0', false) "
        "FROM pg_catalog.pg_settings WHERE name = 'idle_session_timeout'"  # before version 14 there is none
    )

    #: With any other isolation a table would be copied without the rows that were written before it was locked. Rows
    #: that a policy hides could be neither counted nor kept, so the server is to refuse. What is built anew is to be
    #: where the database is. Not every version has all.
    changing: Mapping[str, str | int] = {
        "TimeZone": "UTC",
        "row_security": "off",
        "default_transaction_isolation": "read committed",
        "statement_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "idle_session_timeout": "0",
        "transaction_timeout": "0",
        "default_tablespace": "",
    }

    #: With another value, which an administrator may give a role, rows without their parents would be taken.
    restricted: Mapping[str, tuple[str | int, str, str]] = {
        "session_replication_role": (
            "origin",
            "Foreign keys would not be checked, and triggers would not run.",
            "Ask an admin to take it off: ALTER ROLE ... RESET session_replication_role; or use another account.",
        ),
    }

    session = ("SET standard_conforming_strings = on", "SET lock_timeout = '%ds'")

    def literal(self, text: str) -> str:
        return texts.literal(text)

    def too_long_for_index(self, values: Iterable[str]) -> str:
        sizes = " + ".join(f"COALESCE(pg_column_size({value}), 0)" for value in values)
        return f"{_ENTRY_HEAD} + {sizes} > {self.longest_entry}" if sizes else ""

    def as_text(self, expression: str) -> str:
        return f"{expression}::text"

    def rounded(self, column: str, kind: str, places: int) -> str:
        # To whole numbers a float is rounded as such, to others by its decimal digits.
        binary = {"single": "float32", "double": "float64"}.get(kind, "")
        return f"ROUND({column})" if binary and not places else f"ROUND({exactly(column, binary)}, {places})"

    def single(self, column: str) -> str:
        known = held(column, single=True)
        return f"CASE WHEN {known} THEN {column}::real::double precision ELSE {column}::double precision END"

    def to_fraction(self, column: str, core: str, digits: int) -> str:
        return f"{column}::{'time' if kind_of(core) == 'clock' else 'timestamp'}({digits})"

    def as_number(self, expression: str) -> str:
        return f"{expression}::int"

    def value(self, core: str, text: str) -> str:
        text = normal_default(core, text)
        if re.match(r"date|time", core) and text.upper().startswith("CURRENT_TIMESTAMP"):
            return text
        return text if text.startswith("(") and not is_text(core) else self.literal(text)

    def _sql_type(self, core: str, schema: str) -> str:
        if core.startswith("enum("):
            return f"{self.quote(self.databases.get(schema, schema))}.{self.quote(enums.name_and_values(core)[0])}"
        try:
            return str(adapter("postgresql").core_type_to_sql(core))
        except ValueError:
            return {"double": "real", "float": "double precision", "numeric(10,0)": "numeric"}.get(core, core)

    def _inherited_type(self, core: str, schema: str) -> str:
        # DataJoint does not learn the precision of a parent's moments.
        return re.sub(r"^(time(?:stamp)?)\(\d\)", r"\1", self._sql_type(core, schema))

    def column(self, tables: Tables, table: Table, attribute: Attribute) -> Column:
        return enums.inherited(self, table, attribute, super().column(tables, table, attribute))

    def _as_is(self, name: TableName, column: Column) -> Column:
        # Where an enum's type is, and what it is called, depends on who came first.
        type_ = self.names.table(self.place(name)).enums.get(column.name)
        return replace(column, sql=".".join(map(self.quote, type_))) if type_ else column

    def _still(self, column: Column, was: Column | None) -> Column:
        return column if was is None else enums.still(self, column, was)

    def _comment(self, marker: str, comment: str, *, inherited: bool) -> str:
        if inherited:
            return ""
        # DataJoint escapes comments for MySQL, and so they stay.
        comment = notation.escape(comment).replace('"', '\\"')
        return f":{marker}:{comment}".replace("\\'", "\\\\'") if marker else comment

    def conversion(self, column: str, was: Column, will: Column) -> str | None:
        if real_kind(was.core) in ("single", "double") and real_kind(will.core) == "decimal":
            return f"{exactly(column, was.core)}::{will.sql}"
        both = (was.core, will.core)
        for family in (_NUMBER, _MOMENT):
            if all(family.match(core) for core in both):
                return None
        if will.sql == "bytea" != was.sql:  # a cast of a text reads escapes, and of a uuid there is none
            return f"uuid_send({column})" if was.core == "uuid" else f"convert_to({column}::text, 'UTF8')"
        if is_text(will.core) and not will.core.startswith("enum"):
            if was.sql == "bytea":
                return of_bytes(column)
            return self.text_of(column, was.core) if was.core == "bool" else None
        if will.core == "bool" and _NUMBER.match(was.core):
            return f"{column}::integer::boolean"
        if was.core == "bool" and _NUMBER.match(will.core):
            return f"{column}::integer::{will.sql}"
        if was.core == "bool" and will.core.startswith("enum"):
            return f"{self.text_of(column, was.core)}::{will.sql}"
        return f"{column}::text::{will.sql}"

    def losses(self, column: str, old: str, new: str, collation: str = "") -> Iterator[Loss]:
        return PostgreSQLConversion(column, old, new, self.version).losses()

    def read(self, column: str, old: str, new: str) -> str:
        return PostgreSQLConversion(column, old, new, self.version).read

    def text_of(self, column: str, core: str) -> str:
        return PostgreSQLConversion(column, core, core).as_text

    def unique_id(self, column: Column) -> str:
        return "gen_random_uuid()" if column.core == "uuid" else "gen_random_uuid()::text"

    def cast(self, column: Column, expression: str) -> str:
        # Enums of one name may be of two types.
        return f"{expression}::text::{column.sql}" if column.core.startswith("enum(") else expression

    def restored_table(self, table: Table) -> list[Step]:
        return enums.restore(self, table)

    def typed(self, value: str, core: str) -> str:
        return value if core.startswith("enum") else f"{value}::{self._sql_type(core, '')}"

    def one_each(self, key: Mapping[str, str], more: Mapping[str, str], source: str) -> str:
        group = [expression for expression in key.values() if expression.startswith("c.")]
        first, end = (f"DISTINCT ON ({', '.join(group)}) ", "") if group else ("", "\nLIMIT 1")
        return f"SELECT {first}{', '.join([*key.values(), *more.values()])}\n{source}{end}"

    # --- Tables ------------------------------------------------------------------------------------------------------

    def create_schema(self, name: str) -> list[Step]:
        database = self.databases.get(name, name)
        return [Step(f"CREATE SCHEMA IF NOT EXISTS {self.quote(database)}", (), f"make the schema {name}")]

    def create_table(self, table: Table, *, foreign_keys: bool = True) -> list[Step]:
        if not foreign_keys:
            table = replace(table, foreign_keys=())
        columns = list(self.columns(self.after, table).values())
        untaken.refuse(str(table.name), columns)
        steps = enums.make_room(self, table, columns)
        columns = enums.apart(self, table, columns)
        steps += enums.make(self, table, columns)
        known = self.names.table(self.place(table.name))
        known.primary_key = indexes.constraint_name(self, table.name, (), "pkey")
        full, key = self.full(table.name), table.primary_key
        steps.append(make_table(self, table.name, full, columns, key, known.primary_key))
        steps += [indexes.add_key(self, table.name, key) for key in table.keys_in_order]
        steps += [step for index in self.expected(table) for step in indexes.add(self, table.name, index)]
        return steps + comments(self, table, columns)

    def refuse_unmade(self, tables: Tables, table: Table) -> None:
        super().refuse_unmade(tables, table)
        untaken.refuse(str(table.name), self.columns(tables, table).values())

    def drop_table(self, name: TableName) -> list[Step]:
        known = self.names.tables.pop(self.place(name), None)
        types = sorted(set(known.enums.values())) if known else []
        return [Step(f"DROP TABLE {self.full(name)}", (name,), f"drop {name}"), *enums.drop(self, name, types)]

    def rename_table(self, old: TableName, new: TableName) -> list[Step]:
        (database, table), place = self.place(old), self.place(new)
        steps = self._rename_names(old, new)
        rename, move = f"RENAME TO {self.quote(place[1])}", f"SET SCHEMA {self.quote(place[0])}"
        if database != place[0] and place[1] in self.names.in_use(database) - {table}:
            between = ".".join(map(self.quote, (place[0], table)))
            changes = [f"ALTER TABLE {self.full(old)} {move}", f"ALTER TABLE {between} {rename}"]
        else:
            between = ".".join(map(self.quote, (database, place[1])))
            changes = [f"ALTER TABLE {self.full(old)} {rename}", f"ALTER TABLE {between} {move}"]
        wanted = [table != place[1], database != place[0]]
        for sql in changes:
            if wanted["SET SCHEMA" in sql]:
                steps.append(Step(sql, (new,), f"rename {old} to {new}"))
        self.names.rename_table((database, table), place)
        self.moved[old] = new
        return steps + enums.move(self, new, database)

    def _rename_names(self, old: TableName, new: TableName) -> list[Step]:
        """Give indexes and constraints the names that the server would give, so that the old ones are free."""
        (database, table), place = self.place(old), self.place(new)
        known, steps = self.names.table((database, table)), list[Step]()
        # Cut to its length, the name of an index may be that of its table.
        taken = self.names.in_use(database) | self.names.in_use(place[0]) | {place[1]}

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
        key = renamed(known.primary_key)
        step(known.primary_key, key, in_schema)
        known.primary_key = key
        for number, index in enumerate(known.indexes):
            known.indexes[number] = replace(index, name=renamed(index.name))
            step(index.name, known.indexes[number].name, in_schema)
        for number, reference in enumerate(known.foreign_keys):
            known.foreign_keys[number] = replace(reference, name=renamed(reference.name))
            constraint = f"ALTER TABLE {self.full(old)} RENAME CONSTRAINT "
            step(reference.name, known.foreign_keys[number].name, constraint, " TO ")
        return steps

    def change_key(self, old: TableName, new: TableName, key: NewKey, title: str) -> list[Step]:
        return list(jobs.change_key(self, old, new, key, title))

    def change_comment(self, name: TableName, comment: str) -> Step:
        return comment_on_table(self, name, comment)

    # --- Indexes and foreign keys ------------------------------------------------------------------------------------

    def add_foreign_key(self, table: Table, key: ForeignKey) -> list[Step]:
        rest = without(table, key)
        target = self.expected(replace(rest, foreign_keys=(*rest.foreign_keys, key)))
        steps = indexes.reindex(self, table.name, self.expected(rest), target)
        return [*steps, indexes.add_key(self, table.name, key)]

    def drop_foreign_key(self, table: Table, key: ForeignKey) -> list[Step]:
        place, rest = self.place(table.name), without(table, key)
        found = self.names.key(place, key.attributes, self.place(key.parent))
        self.names.table(place).foreign_keys.remove(found)
        sql = f"ALTER TABLE {self.full(table.name)} DROP {indexes.constraint(self, found.name)}"
        before = self.expected(replace(rest, foreign_keys=(*rest.foreign_keys, key)))
        phrase = f"drop foreign key ({', '.join(key.attributes)}) to {key.parent} in {table.name}"
        return [Step(sql, (table.name,), phrase), *indexes.reindex(self, table.name, before, self.expected(rest))]

    def add_foreign_key_online(self, table: Table, key: ForeignKey) -> list[Step]:
        return list(online(self, table.name, self.add_foreign_key(table, key)))

    def add_index_online(self, table: Table, index: Index) -> list[Step]:
        return list(online(self, table.name, indexes.add(self, table.name, index)))

    def keep_out(
        self,
        steps: list[Step],
        before: Tables,
        after: Tables,
        valued: Mapping[TableName, set[TableName]],
        renamed: Mapping[TableName, TableName],
    ) -> list[Step]:
        return waiting.keep_out(self, steps, before, valued, renamed)

    # --- Alterations -------------------------------------------------------------------------------------------------

    def obstacles(self, alteration: Alteration) -> Obstacles:
        change = self.change(alteration)
        moved = {change.old[name] for name in change.retyped | set(alteration.converts)}
        moved |= set(enums.reordered(self, alteration, change))
        changed, before = {*moved, *change.dropped, *change.kept}, alteration.before
        rebuild = self._rebuilds(change, before)
        key = change.table.primary_key != alteration.after.primary_key
        return Obstacles(
            tuple(reference for reference in before.foreign_keys if changed & set(reference.attributes)),
            incoming=rebuild or key or bool(moved & set(before.primary_key)),
            rebuild=rebuild,
        )

    def _rebuilds(self, change: Change, before: Table) -> bool:
        """Tell whether attributes would not be in their order: a column that is added stands at the end."""
        new = {old: name for name, old in change.old.items()}
        standing = [new[a.name] for a in before.attributes if a.name in new]
        standing += [name for name in change.will if name not in change.was]
        visible = [name for name in change.will if not name.startswith("_")]
        return [name for name in standing if not name.startswith("_")] != visible

    def firing(self, table: TableName, given: set[str], where: str = "") -> Iterator[Probe]:
        return dependents.updating(self, table, given)

    def putting_in(self, table: TableName) -> Iterator[Probe]:
        return dependents.inserting(self, table)

    def renaming(self, table: TableName, to: TableName | None) -> Iterator[Probe]:
        return dependents.functions(self, table, set())

    def deleting(self, table: TableName, column: str) -> Iterator[Probe]:
        return dependents.of_deleted(self, table, column)

    def trial(self, alteration: Alteration, change: Change, name: str) -> tuple[str, ...]:
        column, full = change.will[name], self.full(alteration.before.name)
        if column.core.startswith("enum("):
            return ()  # the type may be still to be made
        place, null = '"~try"', "" if column.nullable else " NOT NULL"
        make = f"CREATE TEMPORARY TABLE {place} ({self.quote(column.name)} {column.sql}{null})"
        if not self._rebuilds(change, alteration.before):
            names = renames(change)
            known = self.names.table(self.place(alteration.before.name)).columns
            listed = (f"{self.quote(old)} AS {self.quote(names.get(old, old))}" for old in known)
            full = f"(SELECT {', '.join(listed)} FROM {full}) AS c"
        called = self._calling(alteration, change)
        expression = called.converts.get(name) or self.fill_value(column, called.fills.get(name))
        fill = f"INSERT INTO {place} SELECT ({expression}) FROM {full}"
        body = f"BEGIN {make}; EXECUTE {texts.literal(fill)}; DROP TABLE {place}; END"
        return texts.block(body), "SELECT 1"  # for nothing is left of a statement that failed

    def _calling(self, alteration: Alteration, change: Change) -> Alteration:
        """Give an alteration whose expressions may call columns by their names before and afterwards."""
        if self._rebuilds(change, alteration.before):
            return self.calling(alteration, change.renamed)
        # Columns are renamed first, and a conversion takes no query: it has the names of afterwards alone.
        return replace(self.calling(alteration, renames(change)), converts=alteration.converts)

    def dependents(self, alteration: Alteration, change: Change) -> Iterator[Probe]:
        return dependents.probes(self, alteration, change, rebuild=self._rebuilds(change, alteration.before))

    def alter_table(self, alteration: Alteration, guards: Guards = no_guards) -> list[Step]:
        steps, name = [], alteration.after.name
        if alteration.before.name != name:
            steps = self.rename_table(alteration.before.name, name)
            alteration = replace(alteration, before=replace(alteration.before, name=name))
        steps += guards(self, alteration)
        change = self.change(alteration)
        moved = enums.reordered(self, alteration, change)
        new = [c for c in change.will.values() if change.old.get(c.name) in moved or self._new_type(c, change)]
        steps += enums.make_room(self, alteration.after, new)
        change = self.change(alteration)
        known = self.names.table(self.place(name))
        used = dict(known.enums)
        untaken.refuse(str(name), [c for c in change.will.values() if self._new_type(c, change)])
        new = enums.apart(self, alteration.after, [c for c in change.will.values() if self._new_type(c, change)])
        change = replace(change, will={**change.will, **{column.name: column for column in new}})
        steps += enums.make(self, alteration.after, new)
        alteration = self._calling(alteration, change)
        if self._rebuilds(change, alteration.before):
            steps += Rebuild(self, alteration, change).steps()
        else:
            steps += TableAlteration(self, alteration, change).steps()
        retained = {new: used[old] for old, new in change.kept.items() if old in used}
        stay = {n: t for n, t in known.enums.items() if n in change.will and change.will[n].core.startswith("enum(")}
        known.enums = stay | retained
        return steps + enums.drop(self, name, sorted(set(used.values()) - set(known.enums.values())))

    def _new_type(self, column: Column, change: Change) -> bool:
        return column.name not in change.was or change.was[column.name].sql != column.sql

    def follow(self, change: Change, place: Place, indexes: list[IndexName]) -> None:
        super().follow(change, place, indexes)
        renamed = {old: new for new, old in change.old.items()}
        columns = [replace(i.index, columns=tuple(renamed.get(c, c) for c in i.index.columns)) for i in indexes]
        named = zip(indexes, columns, strict=True)
        self.names.table(place).indexes = [replace(known, index=index) for known, index in named]

    def fill_value(self, column: Column, fill: ColumnFill | None) -> str | None:
        if isinstance(fill, LiteralFill):
            return f"CAST({self.value(column.core, fill.value)} AS {column.sql})"
        return f"({fill.postgresql})" if isinstance(fill, ExpressionFill) else None
