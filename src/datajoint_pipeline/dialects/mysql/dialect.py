"""Lowers to MySQL 8.0.29 and later, 8.4 and 9: each step is one statement, done or not done."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from ...errors import PipelineError
from ...internals import declaration_checks
from ...internals.adapters import adapter
from ...schema.model import ForeignKey, Index, Table, TableName
from ...schema.naming import shorten, unused
from ...schema.notation import is_text, normal_default, path_of
from ..base import Dialect, Guards, no_guards
from ..constraints import IndexName, plan
from ..steps import Alteration, Change, Column, ExpressionFill, LiteralFill, Obstacles, Step, with_rows, words
from . import limits
from .alter import COPY, INPLACE, INSTANT, REBUILD, Altering, Clauses


class MySQL(Dialect):
    """Statements for MySQL."""

    backend = "mysql"

    #: EXP of more than 709 is out of range.
    failing = "SELECT IF(found = 0, 0, EXP(1000 + found)) FROM ({}) AS probe(found)"

    session = (
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
        "NO_ENGINE_SUBSTITUTION,ONLY_FULL_GROUP_BY'",
        "SET SESSION foreign_key_checks = 1",
        "SET SESSION lock_wait_timeout = %d",
        "SET SESSION innodb_lock_wait_timeout = %d",
    )

    def quote(self, name: str) -> str:
        self.refuse_too_long(name)
        return "`" + name.replace("`", "``") + "`"

    def literal(self, text: str) -> str:
        return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"

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
        return self._sql_type(core, schema)

    def _comment(self, marker: str, comment: str, *, inherited: bool) -> str:
        if inherited and marker != "uuid":
            return comment
        return f":{marker}:{comment}" if marker else comment

    def _converts(self, column: str, was: Column, will: Column) -> str | None:
        text, enum = is_text(will.core), was.core.startswith("enum")
        if was.core == "uuid" and text:
            return f"BIN_TO_UUID({column})"
        if will.core == "uuid" and is_text(was.core):
            return f"UUID_TO_BIN({column})"
        if enum != will.core.startswith("enum") and not (text and is_text(was.core)):
            # Otherwise the server takes the number of a value for the value.
            return f"CAST({column} AS CHAR)"
        return None

    def typed(self, value: str, core: str) -> str:
        cast = {"float32": "FLOAT", "float64": "DOUBLE"}.get(core, core)
        return f"CAST({value} AS {cast})" if re.match(r"date|decimal|FLOAT|DOUBLE", cast) else value

    def unique_id(self, column: Column) -> str:
        return "UUID_TO_BIN(UUID())" if column.core == "uuid" else "UUID()"

    def _fill(self, column: Column, fill: object) -> str | None:
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
        database = self._databases.get(name, name)
        return [Step(f"CREATE DATABASE IF NOT EXISTS {self.quote(database)}", (), f"make the schema {name}")]

    def width(self, database: str) -> int:
        """Bytes that a letter takes at most."""
        return 1 if database in self._names.narrow else 4

    def after_rows(self, rows: list[Step], steps: list[Step], child: TableName) -> list[Step]:
        full, parents = self.full(child), [self.full(parent) for step in rows for parent in step.tables]
        locks = [f"{parent} {how}" for parent in parents for how in ("WRITE", "AS p READ")]
        return with_rows(rows, steps, f"{full} WRITE", f"{full} AS c READ", *locks)

    def refuse_too_large(self, tables: Mapping[TableName, Table], table: Table) -> None:
        columns, width = self.columns(tables, table), self.width(self.place(table.name)[0])
        indexes = (table.primary_key, *(index.columns for index in self.expected(table)))
        limits.refuse_indexes(str(table.name), columns, indexes, width)
        limits.refuse_row(str(table.name), columns.values(), width)

    def create_table(self, table: Table, *, foreign_keys: bool = True) -> list[Step]:
        if not foreign_keys:
            table = replace(table, foreign_keys=())
        place = self.place(table.name)
        own = self._names.table(place)
        parts = [self._definition(column) for column in self.columns(self._after, table).values()]
        parts.append(f"PRIMARY KEY ({self.listed(table.primary_key)})")
        for index in self.expected(table):
            own.indexes.append(IndexName(self._index_name(index, own.indexes), index))
            parts.append(self._index(own.indexes[-1]))
        for key in table.keys_in_order:
            own.foreign_keys.append(self._key_name(key, self._new_key_name(table.name)))
            parts.append(f"CONSTRAINT {self.quote(own.foreign_keys[-1].name)} {self._references(key)}")
        own.columns = [attribute.name for attribute in table.attributes]
        comment = f" COMMENT = {self.noted(str(table.name), table.comment)}" if table.comment else ""
        body = ",\n  ".join(parts)
        sql = f"CREATE TABLE {self.full(table.name)} (\n  {body}\n) ENGINE = InnoDB{comment}"
        return [Step(sql, (table.name,), f"make {table.name}")]

    def drop_table(self, name: TableName) -> list[Step]:
        self._names.tables.pop(self.place(name), None)
        return [Step(f"DROP TABLE {self.full(name)}", (name,), f"drop {name}")]

    def rename_table(self, old: TableName, new: TableName) -> list[Step]:
        self._names.rename_table(self.place(old), self.place(new))
        own = self._names.table(self.place(new))
        # The server renames foreign keys that are called after the table.
        pattern = re.compile(rf"{re.escape(old.table)}(_ibfk_\d+)")
        own.foreign_keys = [replace(key, name=pattern.sub(rf"{new.table}\1", key.name)) for key in own.foreign_keys]
        return [Step(f"RENAME TABLE {self.full(old)} TO {self.full(new)}", (new,), f"rename {old} to {new}")]

    def _definition(self, column: Column, name: str | None = None) -> str:
        if column.nullable:
            rest = "NULL DEFAULT NULL"
        else:
            rest = "NOT NULL" + (f" DEFAULT {column.default}" if column.default is not None else "")
        self.noted(column.name, f"{column.sql}{column.default or ''}")
        comment = f" COMMENT {self.noted(column.name, column.comment)}" if column.comment else ""
        return f"{self.quote(name or column.name)} {column.sql} {rest}{comment}"

    def noted(self, what: str, text: str) -> str:
        """A text for the server's catalogue; raises where that would keep another."""
        if lost := declaration_checks.unknown(text):
            raise PipelineError(
                f"MySQL cannot keep {lost} in the definition of {what}.",
                "Its catalogue has characters of three bytes at most; it would note a question mark.",
                "Write it without that sign.",
            )
        return self.literal(text)

    # --- Indexes and foreign keys ------------------------------------------------------------------------------------

    def _index(self, known: IndexName) -> str:
        columns = ", ".join(map(self._indexed, known.index.columns))
        return f"{'UNIQUE ' * known.index.unique}INDEX {self.quote(known.name)} ({columns})"

    def _indexed(self, text: str) -> str:
        if path := path_of(text):
            name, inside, type_ = path
            inside = inside if inside.startswith("[") else f".{inside}"
            returning = f" returning {type_}" if type_ else ""
            return f"(json_value({self.quote(name)}, _utf8mb4{self.literal('$' + inside)}{returning}))"
        if text.startswith("("):
            return text
        if match := re.fullmatch(r"(\w+)(\(\d+\))?( desc)?", text):
            return self.quote(match[1]) + (match[2] or "") + (match[3] or "").upper()
        return self.quote(text)

    def _index_name(self, index: Index, others: list[IndexName]) -> str:
        match = re.match(r"\w+", index.columns[0])
        taken = {"primary", *(other.name.lower() for other in others)}
        return unused((match[0] if match else "functional_index").lower(), taken)

    def _key_names(self, name: TableName) -> set[str]:
        """Names of foreign keys that are taken in the database of a table."""
        tables = {place: found for place, found in self._names.tables.items() if place[0] == self.place(name)[0]}
        return {key.name for found in tables.values() for key in found.foreign_keys}

    def _new_key_name(self, name: TableName) -> str:
        table, taken = name.table, self._key_names(name)
        numbers = (f"_ibfk_{number}" for number in range(1, len(taken) + 2))
        return next(n for n in (shorten(table, 64 - len(s)) + s for s in numbers) if n not in taken)

    def _reindex(self, table: Table, before: Table, after: Table) -> Clauses:
        """Clauses that make the indexes of one state of a table those of another."""
        clauses, own = Clauses(), self._names.table(self.place(table.name))
        gone, come = plan(self.expected(before), self.expected(after))
        for index in gone:
            self._drop_index(clauses, own.indexes, self._names.index(self.place(table.name), index))
        for index in come:
            self._add_index(clauses, own.indexes, index)
        return clauses

    def _drop_index(self, clauses: Clauses, indexes: list[IndexName], name: str) -> None:
        found = next(known for known in indexes if known.name == name)
        indexes.remove(found)
        clauses.add(f"DROP INDEX {self.quote(name)}", INPLACE, f"drop index ({', '.join(found.index.columns)})")

    def _add_index(self, clauses: Clauses, indexes: list[IndexName], index: Index) -> None:
        indexes.append(IndexName(self._index_name(index, indexes), index))
        kind = "unique index" if index.unique else "index"
        clauses.add(f"ADD {self._index(indexes[-1])}", INPLACE, f"add {kind} ({', '.join(index.columns)})")

    def drop_foreign_key(self, table: Table, key: ForeignKey) -> list[Step]:
        place, without = self.place(table.name), self._without(table, key)
        found = self._names.key(place, key.attributes, self.place(key.parent))
        clauses = Clauses()
        phrase = f"drop foreign key ({', '.join(key.attributes)}) to {key.parent}"
        # In place, InnoDB does not find every key of a table whose name it encodes, as it does those of Lookup tables.
        rank = INPLACE if re.fullmatch(r"\w+", table.name.table, re.ASCII) else COPY
        clauses.add(f"DROP FOREIGN KEY {self.quote(found.name)}", rank, phrase)
        self._names.table(place).foreign_keys.remove(found)
        rest = self._reindex(table, replace(without, foreign_keys=(*without.foreign_keys, key)), without)
        return self._alter(table.name, clauses, rest)

    def add_foreign_key(self, table: Table, key: ForeignKey) -> list[Step]:
        without = self._without(table, key)
        clauses = self._reindex(table, without, replace(without, foreign_keys=(*without.foreign_keys, key)))
        freed = self.freed.get((table.name, key), "")
        name = freed if freed and freed not in self._key_names(table.name) else self._new_key_name(table.name)
        self._names.table(self.place(table.name)).foreign_keys.append(self._key_name(key, name))
        phrase = f"add foreign key ({', '.join(key.attributes)}) to {key.parent}"
        clauses.add(f"ADD CONSTRAINT {self.quote(name)} {self._references(key)}", COPY, phrase)
        return self._alter(table.name, clauses)

    def _alter(self, name: TableName, *groups: Clauses) -> list[Step]:
        """One step of groups of clauses; none of none."""
        sql = [clause for group in groups for clause in group.sql]
        if not sql:
            return []
        rank = max(group.rank for group in groups)
        if rank == INPLACE and any(group.counted for group in groups):
            rank = REBUILD  # what comes or goes is not instant then
        algorithm = ("INSTANT", "INPLACE", "INPLACE", "COPY")[rank]
        # The server takes INSTANT by itself, and another one where a table has had too many of them.
        if rank != INSTANT or not any(group.counted for group in groups):
            sql.append(f"ALGORITHM = {algorithm}")
        return [
            Step(
                f"ALTER TABLE {self.full(name)}\n  " + ",\n  ".join(sql),
                (name,),
                words([phrase for group in groups for phrase in group.words], name),
                rewrites=rank >= REBUILD,
                lock="writes" if rank == COPY else "brief",
                algorithm=algorithm,
            )
        ]

    # --- Alterations -------------------------------------------------------------------------------------------------

    def obstacles(self, alteration: Alteration) -> Obstacles:
        change = self.change(alteration)
        moved = {change.old[name] for name in change.retyped | set(self._conversions(alteration, change))}
        gone = {*moved, *change.dropped, *change.kept}
        before = alteration.before
        return Obstacles(
            tuple(key for key in before.foreign_keys if gone & set(key.attributes)),
            change.table.primary_key != alteration.after.primary_key or bool(moved & set(before.primary_key)),
        )

    def alter_table(self, alteration: Alteration, guards: Guards = no_guards) -> list[Step]:
        renaming = alteration.before.name != alteration.after.name
        steps = self.rename_table(alteration.before.name, alteration.after.name) if renaming else []
        return steps + Altering(self, alteration).steps(guards)

    def _conversions(self, alteration: Alteration, change: Change) -> dict[str, str]:
        """Expressions for values that the server would not convert by itself, by the names afterwards."""
        found = dict(alteration.converts)
        for name in change.retyped - set(found):
            was, will = change.was[name], change.will[name]
            expression = self._converts(self.quote(change.old[name]), was, will)
            if expression is None and was.nullable and not will.nullable and name in alteration.fills:
                expression = self.quote(change.old[name])  # the old type need not hold what rows get
            if expression is not None:
                found[name] = expression
        return found
