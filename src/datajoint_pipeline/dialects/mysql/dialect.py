"""The dialect of MySQL 8.0.29 and later, 8.4 and 9: each step is one statement, which is done or not done."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from ...errors import PipelineError
from ...internals.adapters import adapter
from ...operations.structure import Tables
from ...schema.model import ForeignKey, Index, Table, TableName
from ...schema.naming import shorten
from ...schema.notation import is_text, normal_default
from ..base import Dialect, Guards, no_guards, without
from ..conversions import Loss, real_kind
from ..steps import (
    Alteration,
    Change,
    Column,
    ColumnFill,
    ExpressionFill,
    LiteralFill,
    NewKey,
    Obstacles,
    Probe,
    Step,
    with_rows,
)
from . import (
    auditing,
    characters,
    collations,
    defaults,
    dependents,
    engines,
    indexes,
    jobs,
    limits,
    locking,
    orphans,
    texts,
    unreal,
    untaken,
)
from .alter import TableAlteration, conversions
from .clauses import COPY, INPLACE, Clauses, alter, definition, renaming
from .conversions import MySQLConversion, rounded_to_float
from .effects import Created, Dropped, ForeignKeyAdded, ForeignKeyDropped, Renamed, numbered


class MySQL(Dialect):
    """Statements for MySQL."""

    backend = "mysql"

    auditing = auditing

    #: EXP of more than 709 is out of range.
    failing = "SELECT IF(found = 0, 0, EXP(1000 + found)) FROM ({}) AS probe(found)"

    #: Beside the SQL mode, which DataJoint sets: rows left out, queries refused for their size, digits of a quotient,
    #: names of months, quoted names, what a COMMIT begins or ends, where new tables are, what is checked, and how texts
    #: are compared. Where ``autocommit`` is OFF, the server says at login that it is on, so the driver does not set it.
    exact = (
        "SET SESSION autocommit = 1, SESSION sql_select_limit = 18446744073709551615, SESSION sql_big_selects = 1, "
        "SESSION div_precision_increment = 4, SESSION lc_time_names = 'en_US', SESSION sql_quote_show_create = 1, "
        "SESSION sql_auto_is_null = 0, SESSION sql_safe_updates = 0, SESSION completion_type = NO_CHAIN, "
        "SESSION default_storage_engine = InnoDB, "
        "SESSION unique_checks = 1, SESSION foreign_key_checks = 1, SESSION collation_connection = utf8mb4_0900_ai_ci"
    )

    no_limit = ", SESSION max_execution_time = 0"

    #: A consistent snapshot, as backups need it, is to be had with this isolation alone. Days that there are not, as
    #: ``0000-00-00``, which servers of long ago took, stay where a table is copied; nothing else puts such a day in.
    #: And a key of 0 stays 0 where the server counts on.
    changing: Mapping[str, str | int] = {
        "sql_mode": "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,ONLY_FULL_GROUP_BY,"
        "NO_AUTO_VALUE_ON_ZERO",
        "time_zone": "+00:00",
        "transaction_isolation": "REPEATABLE-READ",
        "max_execution_time": 0,
        "wait_timeout": 28800,
    }

    #: Where it is off, a timestamp without a default gets the present moment, at every later change of its row too.
    restricted: Mapping[str, tuple[str | int, str, str]] = {
        "explicit_defaults_for_timestamp": (
            1,
            "A change of a table would put the present moment into its timestamps.",
            "Have it set to 1 at the server, as it is by default, or use an account with the right "
            "SESSION_VARIABLES_ADMIN.",
        ),
    }

    session = (
        "SET SESSION foreign_key_checks = 1",
        "SET SESSION lock_wait_timeout = %d",
        "SET SESSION innodb_lock_wait_timeout = %d",
    )

    small_letters = "SELECT @@lower_case_table_names"

    invents_values = True

    makes_first = True

    def literal(self, text: str) -> str:
        return texts.literal(text)

    def value(self, core: str, text: str) -> str:
        text = normal_default(core, text)
        if re.match(r"date|time", core) and text.upper().startswith("CURRENT_TIMESTAMP"):
            return text
        if core == "uuid":
            return f"X'{text.replace('-', '')}'"
        return text if text.startswith("(") and not is_text(core) else self.literal(text)

    def _sql_type(self, core: str, schema: str) -> str:
        if core.startswith("enum("):
            # Backslashes are doubled, as in any text.
            return core.replace("\\", "\\\\")
        try:
            return str(adapter("mysql").core_type_to_sql(core))
        except ValueError:
            return core.replace("jsonb", "json")

    def _inherited_type(self, core: str, schema: str) -> str:
        # Only one table counts on, and DataJoint declares no other so.
        return re.sub(r" *\bauto_increment\b", "", self._sql_type(core, schema), flags=re.IGNORECASE)

    def _comment(self, marker: str, comment: str, *, inherited: bool) -> str:
        if inherited and marker != "uuid":
            return comment
        return f":{marker}:{comment}" if marker else comment

    def conversion(self, column: str, was: Column, will: Column) -> str | None:
        text, enum = is_text(will.core), was.core.startswith("enum")
        if was.core == "uuid" and text:
            return f"BIN_TO_UUID({column})"
        if will.core == "uuid" and is_text(was.core):
            return f"UUID_TO_BIN({column})"
        if re.match(r"(datetime|timestamp)\([1-6]\)", was.core) and will.core == "date":
            return self.day(column)
        if real_kind(was.core) == "single" and (text or will.core == "json"):
            return self.text_of(column, was.core)
        if enum != will.core.startswith("enum") and not (text and is_text(was.core)):
            # Otherwise the server takes the number of a value for the value.
            return f"CAST({column} AS CHAR)"
        return None

    def losses(self, column: str, old: str, new: str, collation: str = "") -> Iterator[Loss]:
        return MySQLConversion(column, old, new, self.version, collation).losses()

    def read(self, column: str, old: str, new: str) -> str:
        return MySQLConversion(column, old, new, self.version).read

    def text_of(self, column: str, core: str) -> str:
        return MySQLConversion(column, core, core).as_text

    def day(self, column: str) -> str:
        # The cast has the last half second of a day in the next.
        return f"DATE({column})"

    def as_written(self, expression: str, type_: str) -> str:
        # To the collation of a column, texts may be equal that are not the same.
        if re.match(r"float|real|double", type_):
            expression = f"CAST(CAST({expression} AS DOUBLE) AS JSON)"  # texts lack digits, of a FLOAT all but six
        blob = re.match(r"<|bytes|.*(blob|binary)|uuid", type_)
        return expression if blob else f"CAST(CAST({expression} AS CHAR) AS BINARY)"

    def collated(self, expression: str, collation: str) -> str:
        name = texts.character_set(collation)
        return f"CONVERT({expression} USING {name}) COLLATE {collation}" if name else expression

    def single(self, column: str) -> str:
        return rounded_to_float(column)

    def typed(self, value: str, core: str) -> str:
        cast = {"float32": "FLOAT", "float64": "DOUBLE"}.get(core, core)
        return f"CAST({value} AS {cast})" if re.match(r"date|decimal|FLOAT|DOUBLE", cast) else value

    def unique_id(self, column: Column) -> str:
        return "UUID_TO_BIN(UUID())" if column.core == "uuid" else "UUID()"

    def fill_value(self, column: Column, fill: ColumnFill | None) -> str | None:
        if isinstance(fill, LiteralFill):
            return self.value(column.core, fill.value)
        return f"({fill.mysql})" if isinstance(fill, ExpressionFill) else None

    def one_each(self, key: Mapping[str, str], more: Mapping[str, str], source: str) -> str:
        group = [expression for expression in key.values() if expression.startswith("c.")]
        values = [f"ANY_VALUE({e})" if e.startswith("c.") else e for e in more.values()]
        end = f"\nGROUP BY {', '.join(group)}" if group else "\nLIMIT 1"
        return f"SELECT {', '.join([*key.values(), *values])}\n{source}{end}"

    # --- Tables ------------------------------------------------------------------------------------------------------

    def create_schema(self, name: str) -> list[Step]:
        database = self.databases.get(name, name)
        return [Step(f"CREATE DATABASE IF NOT EXISTS {self.quote(database)}", (), f"make the schema {name}")]

    def after_rows(self, rows: list[Step], steps: list[Step], child: TableName) -> list[Step]:
        full, parents = self.full(child), [self.full(parent) for step in rows for parent in step.tables]
        locks = [f"{parent} {how}" for parent in parents for how in ("WRITE", "AS p READ")]
        return with_rows(rows, steps, f"{full} WRITE", f"{full} AS c READ", *locks)

    def keep_out(
        self,
        steps: list[Step],
        before: Tables,
        after: Tables,
        valued: Mapping[TableName, set[TableName]],
        renamed: Mapping[TableName, TableName],
    ) -> list[Step]:
        return locking.keep_out(self, steps, [*before.values(), *after.values()], valued)

    def refuse_too_large(self, tables: Mapping[TableName, Table], table: Table) -> None:
        if not self.judges:
            return
        columns, width = self.columns(tables, table), limits.letter_bytes(self.names, self.place(table.name))
        keys = (table.primary_key, *(index.columns for index in self.expected(table)))
        limits.refuse_indexes(str(table.name), columns, keys, width)
        limits.refuse_row(str(table.name), columns.values(), width)
        self.refuse_foreign_keys(tables, table)

    def refuse_foreign_keys(self, tables: Mapping[TableName, Table], table: Table) -> None:
        before = self.before.get(table.name)
        new = {*table.foreign_keys} - {*(before.foreign_keys if before else ())}
        engines.refuse(self, sorted({key.parent for key in new}, key=str))
        collations.refuse(self, tables, table)

    def refuse_unmade(self, tables: Mapping[TableName, Table], table: Table) -> None:
        super().refuse_unmade(tables, table)
        columns = self.columns(tables, table).values()
        untaken.refuse(str(table.name), columns)
        untaken.refuse_comment(str(table.name), table.comment)
        characters.refuse(self, table.name, characters.of_definitions(columns))

    def lacks_characters(self, table: TableName) -> bool:
        return texts.character_set(self.names.collation(self.place(table))) not in ("", *texts.WHOLE)

    def lost_characters(self, table: TableName, text: str) -> str:
        return characters.lost(self, table, text)

    def refuse_characters(self, table: TableName, values: Iterable[tuple[str, str]], where: str = "") -> None:
        if self.judges:
            characters.refuse(self, table, values, where)

    def create_table(self, table: Table, *, foreign_keys: bool = True) -> list[Step]:
        if not foreign_keys:
            table = replace(table, foreign_keys=())
        known = self.names.table(self.place(table.name))
        columns = tuple(self.columns(self.after, table).values())
        if self.judges:
            self._refuse(table, columns)
        parts = [definition(self, column) for column in columns]
        parts.append(f"PRIMARY KEY ({self.listed(table.primary_key)})")
        for index in self.expected(table):
            known.indexes.append(indexes.named(index, known.indexes))
            parts.append(indexes.clause(self, known.indexes[-1]))
        for key in table.keys_in_order:
            known.foreign_keys.append(self.key_name(key, self._new_key_name(table.name)))
            parts.append(f"CONSTRAINT {self.quote(known.foreign_keys[-1].name)} {self.references(key)}")
        known.columns = [attribute.name for attribute in table.attributes]
        comment = f" COMMENT = {texts.noted(str(table.name), table.comment)}" if table.comment else ""
        body = ",\n  ".join(parts)
        sql = f"CREATE TABLE {self.full(table.name)} (\n  {body}\n) ENGINE = InnoDB{comment}"
        made = Created(
            self.place(table.name),
            columns,
            table.primary_key,
            tuple(known.indexes),
            tuple(known.foreign_keys),
            table.comment,
        )
        return [Step(sql, (table.name,), f"make {table.name}", open=True, effects=(made,))]

    def _refuse(self, table: Table, columns: tuple[Column, ...]) -> None:
        """Raise where the server would refuse a new table, or make another one."""
        untaken.refuse(str(table.name), columns)
        untaken.refuse_comment(str(table.name), table.comment)
        defaults.refuse(str(table.name), columns)
        collations.refuse_enums(self, table.name, columns)
        characters.refuse(self, table.name, characters.of_definitions(columns))

    def drop_table(self, name: TableName) -> list[Step]:
        self.names.tables.pop(self.place(name), None)
        effects = (Dropped(self.place(name)),)
        return [Step(f"DROP TABLE {self.full(name)}", (name,), f"drop {name}", effects=effects)]

    def rename_table(self, old: TableName, new: TableName) -> list[Step]:
        self.names.rename_table(self.place(old), self.place(new))
        known = self.names.table(self.place(new))
        keys = known.foreign_keys
        known.foreign_keys = [replace(key, name=numbered(key.name, old.table, new.table)) for key in keys]
        move = Renamed(self.place(old), self.place(new))
        return [Step(renaming(self, [move]), (new,), f"rename {old} to {new}", effects=(move,))]

    def change_key(self, old: TableName, new: TableName, key: NewKey, title: str) -> list[Step]:
        return jobs.change_key(self, old, new, key, title)

    def change_comment(self, name: TableName, comment: str) -> Step:
        (database, table), text = self.place(name), texts.literal(comment)
        there = f"table_schema = {self.literal(database)} AND table_name = {self.literal(table)}"
        done = f"SELECT COUNT(*) > 0 FROM information_schema.tables WHERE {there} AND table_comment = {text}"
        sql = f"ALTER TABLE {self.full(name)} COMMENT = {text}, ALGORITHM = INPLACE"
        return Step(sql, (name,), f"change the comment in {name}", done=done)

    # --- Indexes and foreign keys ------------------------------------------------------------------------------------

    def _key_names(self, name: TableName) -> set[str]:
        """Give the names of foreign keys that are taken in the database of a table."""
        tables = {place: found for place, found in self.names.tables.items() if place[0] == self.place(name)[0]}
        return {key.name for found in tables.values() for key in found.foreign_keys}

    def _new_key_name(self, name: TableName) -> str:
        """Give a foreign key the name that DataJoint's statement would lead the server to."""
        table, taken = name.table, self._key_names(name)
        numbers = (f"_ibfk_{number}" for number in range(1, len(taken) + 2))
        return next(n for n in (shorten(table, 64 - len(s)) + s for s in numbers) if n not in taken)

    def drop_foreign_key(self, table: Table, key: ForeignKey) -> list[Step]:
        place, rest = self.place(table.name), without(table, key)
        found = self.names.key(place, key.attributes, self.place(key.parent))
        clauses = Clauses()
        phrase = f"drop foreign key ({', '.join(key.attributes)}) to {key.parent}"
        # In place, InnoDB does not find every key of a table whose name it encodes, as it does those of Lookup tables.
        rank = INPLACE if re.fullmatch(r"\w+", table.name.table, re.ASCII) else COPY
        clauses.add(
            f"DROP FOREIGN KEY {self.quote(found.name)}", rank, phrase, ForeignKeyDropped(found.name, found.parent)
        )
        self.names.table(place).foreign_keys.remove(found)
        reindexed = indexes.reindex(self, table, replace(rest, foreign_keys=(*rest.foreign_keys, key)), rest)
        # Nobody may take a parent away, or put in a row without one, until there is a foreign key again.
        return [
            step.alone((), f"{self.full(table.name)} WRITE") for step in alter(self, table.name, clauses, reindexed)
        ]

    def add_foreign_key(self, table: Table, key: ForeignKey) -> list[Step]:
        rest = without(table, key)
        clauses = indexes.reindex(self, table, rest, replace(rest, foreign_keys=(*rest.foreign_keys, key)))
        freed = self.freed.get((table.name, key), "")
        name = freed if freed and freed not in self._key_names(table.name) else self._new_key_name(table.name)
        known = self.key_name(key, name)
        self.names.table(self.place(table.name)).foreign_keys.append(known)
        phrase = f"add foreign key ({', '.join(key.attributes)}) to {key.parent}"
        clauses.add(f"ADD CONSTRAINT {self.quote(name)} {self.references(key)}", COPY, phrase, ForeignKeyAdded(known))
        pairs = list(zip(key.parent_attributes, key.attributes, strict=True))
        lost = orphans.rows(self, table.name, key.parent, pairs, table.primary_key)
        return [replace(step, orphans=(lost,)) for step in alter(self, table.name, clauses)]

    def add_foreign_key_online(self, table: Table, key: ForeignKey) -> list[Step]:
        raise PipelineError(
            f"MySQL cannot add the foreign key ({', '.join(key.attributes)}) of {table.name} online.",
            "It holds every row against the parent's, and nobody may write to the table meanwhile.",
            "Take online=True off that line, and migrate when nobody works with the table.",
        )

    def add_index_online(self, table: Table, index: Index) -> list[Step]:
        clauses = Clauses()
        indexes.add(self, clauses, self.names.table(self.place(table.name)).indexes, index)
        return [replace(step, sql=f"{step.sql},\n  LOCK = NONE") for step in alter(self, table.name, clauses)]

    # --- Alterations -------------------------------------------------------------------------------------------------

    def keeps_column(
        self, before: Tables, old: tuple[TableName, str], after: Tables, new: tuple[TableName, str]
    ) -> bool:
        if super().keeps_column(before, old, after, new):
            return True
        # What DataJoint notes in the comment is nothing to the server; of a table out of sight, there is only its name.
        columns = [
            self.column(tables, table, table.attribute[name]).sql
            for tables, (place, name) in ((before, old), (after, new))
            if (table := tables.get(place)) is not None
        ]
        return len(columns) == 2 and columns[0] == columns[1]

    def obstacles(self, alteration: Alteration) -> Obstacles:
        change = self.change(alteration)
        moved = {change.old[name] for name in change.retyped | set(conversions(self, alteration, change))}
        changed = {*moved, *change.dropped, *change.kept}
        before = alteration.before
        return Obstacles(
            tuple(key for key in before.foreign_keys if changed & set(key.attributes)),
            change.table.primary_key != alteration.after.primary_key or bool(moved & set(before.primary_key)),
        )

    def firing(self, table: TableName, given: set[str], where: str = "") -> Iterator[Probe]:
        yield dependents.updating(self, table, given)
        yield dependents.refusing(self, self.before[table], given, where)

    def inserting(self, table: TableName, rows: Iterable[Step]) -> Iterator[Probe]:
        yield dependents.refusing_rows(self, table, [step.sql for step in rows])

    def copying(self, tables: Tables, table: Table) -> Iterator[Probe]:
        return unreal.days(self, tables, table)

    def putting_in(self, table: TableName) -> Iterator[Probe]:
        yield dependents.inserting(self, table)

    def renaming(self, table: TableName, to: TableName | None) -> Iterator[Probe]:
        hidden = self.place(table)[0], ""
        yield from dependents.naming(self, table, set(), self.place(to) if to else hidden)
        yield from dependents.rights(self, table, set()) if to else ()

    def linking(self, table: TableName) -> Iterator[Probe]:
        yield dependents.linking(self, table)

    def deleting(self, table: TableName, column: str) -> Iterator[Probe]:
        return dependents.of_deleted(self, table, column)

    def trial(self, alteration: Alteration, change: Change, name: str) -> tuple[str, ...]:
        (database, table), column = self.place(alteration.before.name), change.will[name]
        place = f"{self.quote(database)}.{self.quote(shorten(f'~try_{table}'))}"
        called = self.calling(alteration, change.renamed)
        of = change.old[name] if name in called.converts else ""
        expression = called.converts[name] if of else self.fill_value(column, called.fills[name])
        listed, full = self.quote(name), self.full(alteration.before.name)
        rows = f" WHERE {self.quote(of)} IS NOT NULL" if of else ""
        null = "NULL" if of or column.nullable else "NOT NULL"
        return (
            # A server may take no table without a key.
            f"CREATE TEMPORARY TABLE {place} ({listed} {column.sql} {null}, `~` bigint AUTO_INCREMENT PRIMARY KEY)",
            # Which would otherwise keep others from changing the rows that it reads.
            "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
            f"INSERT INTO {place} ({listed}) SELECT {expression} FROM {full}{rows}",
            f"DROP TEMPORARY TABLE IF EXISTS {place}",
        )

    def dependents(self, alteration: Alteration, change: Change) -> Iterator[Probe]:
        return dependents.probes(self, alteration, change)

    def alter_table(self, alteration: Alteration, guards: Guards = no_guards) -> list[Step]:
        renaming = alteration.before.name != alteration.after.name
        steps = self.rename_table(alteration.before.name, alteration.after.name) if renaming else []
        return steps + TableAlteration(self, alteration).steps(guards)
