"""Builds a table of PostgreSQL anew: a new table, its rows copied in one statement, then the new one in the old one's
place, with its indexes, foreign keys, rights, owner and replica identity."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...errors import PipelineError
from ..constraints import KeyName
from ..steps import Alteration, Change, Column, ExpressionFill, GeneratedFill, ParentFill, Step

if TYPE_CHECKING:
    from .dialect import PostgreSQL

_RIGHTS = """DO $do$ DECLARE r record; BEGIN
  FOR r IN SELECT a.*, c.relowner FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = {old}::regclass LOOP
    IF r.grantee <> r.relowner THEN
      EXECUTE 'GRANT ' || r.privilege_type || ' ON {new} TO '
        || CASE r.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r.grantee)) END
        || CASE WHEN r.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END;
    END IF;
  END LOOP;
  FOR r IN SELECT * FROM pg_class WHERE oid = {old}::regclass LOOP
    IF r.relreplident = 'f' THEN EXECUTE 'ALTER TABLE {new} REPLICA IDENTITY FULL'; END IF;
    IF pg_get_userbyid(r.relowner) <> current_user THEN
      EXECUTE 'ALTER TABLE {new} OWNER TO ' || quote_ident(pg_get_userbyid(r.relowner));
    END IF;
  END LOOP;
END $do$"""


class Rebuild:
    """One table that is built anew."""

    def __init__(self, dialect: PostgreSQL, alteration: Alteration, change: Change) -> None:
        self.dialect, self.alteration, self.change = dialect, alteration, change
        self.name = alteration.after.name
        self.place = dialect.place(self.name)
        self.joins: list[str] = []
        self.inner: list[str] = []

    def steps(self) -> list[Step]:
        """The steps; foreign keys that lead here must be gone."""
        dialect, name, quote = self.dialect, self.name, self.dialect.quote
        self._refuse_the_unknown()
        columns = [*self.change.will.values(), *self._aside()]
        full, bare = dialect.full(name), "~rebuild"
        new = f"{quote(self.place[0])}.{quote(bare)}"
        own = dialect._names.table(self.place)
        keys, old_key = list(own.foreign_keys), own.primary_key
        steps = dialect._make(name, new, columns, self.alteration.after.primary_key)
        steps[0] = replace(steps[0], sql=steps[0].sql.replace("CONSTRAINT ? ", ""), words=f"make {name} anew")
        values = [self._value(column) for column in columns]
        inner = ", ".join(["*", *self.inner])
        source = f"(SELECT {inner} FROM {full}) c" if self.inner else f"{full} c"
        targets = dialect.listed([column.name for column in columns])
        copy = f"INSERT INTO {new} ({targets})\nSELECT {', '.join(values)}\nFROM {source}{''.join(self.joins)}"
        steps.append(Step(copy, (name,), f"copy the rows of {name}", rewrites=True, lock="all"))
        rights = _RIGHTS.format(old=dialect.literal(full), new=new.replace("'", "''"))
        steps.append(Step(rights, (name,), f"give the rights of {name} again"))
        steps.append(Step(f"DROP TABLE {full}", (name,), f"drop the old {name}", lock="all"))
        steps.append(Step(f"ALTER TABLE {new} RENAME TO {quote(self.place[1])}", (name,), f"put {name} in its place"))
        own.indexes, own.foreign_keys, own.primary_key = [], [], ""
        dialect._follow(self.change, self.place, [])
        own.primary_key = old_key or dialect._constraint_name(name, (), "pkey")
        key = f'ALTER INDEX {quote(self.place[0])}."~rebuild_pkey" RENAME TO {quote(own.primary_key)}'
        steps.append(Step(key, (name,), f"name the primary key of {name}"))
        for index in self.change.target:
            steps += dialect._add_index(name, index)
        for known in keys:
            steps.append(self._again(known, full))
        steps += dialect._comments(self.alteration.after, columns)
        return steps

    def _again(self, had: KeyName, full: str) -> Step:
        """A foreign key that the table had."""
        dialect, renamed = self.dialect, {old: new for new, old in self.change.old.items()}
        now = tuple(renamed.get(name, name) for name in had.attributes)
        keys = [key for key in self.change.table.foreign_keys if key.attributes == now]
        key = next(key for key in keys if dialect.place(key.parent) == had.parent)
        # What the key leads to may be called otherwise by now.
        key = replace(key, parent_attributes=had.parent_attributes)
        # It is called after its columns.
        name = had.name if now == had.attributes else dialect._constraint_name(self.name, now, "fkey")
        dialect.names.table(self.place).foreign_keys.append(dialect._key_name(key, name))
        sql = f"ALTER TABLE {full} ADD {dialect._constraint(name)} {dialect._references(key)}"
        return Step(sql, (self.name,), f"add foreign key ({', '.join(now)}) to {key.parent} in {self.name} again")

    def _refuse_the_unknown(self) -> None:
        """What the model does not know of would not be copied."""
        known = {attribute.name for attribute in self.alteration.before.attributes}
        unknown = [name for name in self.dialect._names.table(self.place).columns if name not in known]
        if unknown:
            raise PipelineError(
                f"{self.name} cannot be built anew.",
                f"Its attributes {', '.join(unknown)} are not known to the migration and would be lost.",
                "Start from the table as the database has it.",
            )

    def _aside(self) -> list[Column]:
        before, dialect = self.alteration.before, self.dialect
        return [
            replace(
                dialect.column(dialect._before, before, before.attribute[old]), name=aside, nullable=True, default=None
            )
            for old, aside in self.change.kept.items()
        ]

    def _value(self, column: Column) -> str:
        """What a column of the new table gets, over the old one as ``c``."""
        quote, change, name = self.dialect.quote, self.change, column.name
        aside = {new: old for old, new in change.kept.items()}
        if name in aside:
            return f"c.{quote(aside[name])}"
        fill, value = self.alteration.fills.get(name), ""
        if name in change.was:
            value = f"c.{quote(change.old[name])}"
            if name in self.alteration.converts:
                value = self._computed(self.alteration.converts[name])
            elif name in change.retyped:
                value = self.dialect._converts(value, change.was[name], column) or value
            if fill is None or not change.was[name].nullable:
                return value
        if isinstance(fill, ParentFill):
            filled = self._from_parent(fill)
        elif isinstance(fill, GeneratedFill):
            key = ", ".join(f"c.{quote(a)}" for a in self.alteration.before.primary_key)
            filled = self.dialect.unique_id(column) if fill.kind == "uuid" else f"row_number() OVER (ORDER BY {key})"
        elif isinstance(fill, ExpressionFill):
            filled = self._computed(fill.postgresql)
        elif fill is not None:
            filled = self.dialect._fill(column, fill)
        else:
            filled = "NULL" if column.default is None or column.nullable else column.default
            filled = f"CAST({filled} AS {column.sql})"
        return f"COALESCE({value}, {filled})" if value else filled

    def _computed(self, expression: str) -> str:
        """An expression over the row is computed where only the row's names can be meant."""
        name = self.dialect.quote(f"~{len(self.inner)}")
        self.inner.append(f"({expression}) AS {name}")
        return f"c.{name}"

    def _from_parent(self, fill: ParentFill) -> str:
        dialect, alias = self.dialect, f"p{len(self.joins)}"
        theirs, pairs = dialect.from_parent(fill)
        named = [(key, ours, ours) for key, ours in pairs]
        on = dialect.joined(self.alteration.before, fill, alias, named)
        value, parent = f"{alias}.{dialect.quote(theirs)}", dialect.full(fill.parent)
        if not fill.unique:
            return f"(SELECT {value} FROM {parent} {alias} WHERE {on})"
        self.joins.append(f"\nLEFT JOIN {parent} {alias} ON {on}")
        return value
