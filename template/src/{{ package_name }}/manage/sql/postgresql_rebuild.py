"""Builds a table of PostgreSQL anew: a new table, its rows copied in one statement, then the new one in the old one's
place, with its indexes, foreign keys, rights, owner and replica identity."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import PipelineError
from ..reading.constraints import KeyName
from .step import Alteration, Change, Column, Each, Expression, FromParent, Step

if TYPE_CHECKING:
    from .postgresql import PostgreSQL

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

    def __init__(self, lowering: PostgreSQL, alteration: Alteration, change: Change) -> None:
        self.lower, self.alteration, self.change = lowering, alteration, change
        self.name = alteration.after.name
        self.place = lowering.place(self.name)
        self.joins: list[str] = []
        self.inner: list[str] = []

    def steps(self) -> list[Step]:
        """The steps; foreign keys that lead here must be gone."""
        lower, name, quote = self.lower, self.name, self.lower.quote
        self._refuse_the_unknown()
        columns = [*self.change.will.values(), *self._aside()]
        full, bare = lower.full(name), "~rebuild"
        new = f"{quote(self.place[0])}.{quote(bare)}"
        own = lower._names.table(self.place)
        keys, old_key = list(own.foreign_keys), own.primary_key
        steps = lower._make(name, new, columns, self.alteration.after.primary_key)
        steps[0] = replace(steps[0], sql=steps[0].sql.replace("CONSTRAINT ? ", ""), words=f"make {name} anew")
        values = [self._value(column) for column in columns]
        inner = ", ".join(["*", *self.inner])
        source = f"(SELECT {inner} FROM {full}) c" if self.inner else f"{full} c"
        targets = lower.listed([column.name for column in columns])
        copy = f"INSERT INTO {new} ({targets})\nSELECT {', '.join(values)}\nFROM {source}{''.join(self.joins)}"
        steps.append(Step(copy, (name,), f"copy the rows of {name}", rewrites=True, lock="all"))
        rights = _RIGHTS.format(old=lower.literal(full), new=new.replace("'", "''"))
        steps.append(Step(rights, (name,), f"give the rights of {name} again"))
        steps.append(Step(f"DROP TABLE {full}", (name,), f"drop the old {name}", lock="all"))
        steps.append(Step(f"ALTER TABLE {new} RENAME TO {quote(self.place[1])}", (name,), f"put {name} in its place"))
        own.indexes, own.foreign_keys, own.primary_key = [], [], ""
        lower._follow(self.change, self.place, [])
        own.primary_key = old_key or lower._constraint_name(name, (), "pkey")
        key = f'ALTER INDEX {quote(self.place[0])}."~rebuild_pkey" RENAME TO {quote(own.primary_key)}'
        steps.append(Step(key, (name,), f"name the primary key of {name}"))
        for index in self.change.target:
            steps += lower._add_index(name, index)
        for known in keys:
            steps.append(self._again(known, full))
        steps += lower._comments(self.alteration.after, columns)
        return steps

    def _again(self, had: KeyName, full: str) -> Step:
        """A foreign key that the table had."""
        lower, renamed = self.lower, {old: new for new, old in self.change.old.items()}
        now = tuple(renamed.get(name, name) for name in had.attributes)
        keys = [key for key in self.change.table.foreign_keys if key.attributes == now]
        key = next(key for key in keys if lower.place(key.parent) == had.parent)
        # What the key leads to may be called otherwise by now.
        key = replace(key, parent_attributes=had.parent_attributes)
        # It is called after its columns.
        name = had.name if now == had.attributes else lower._constraint_name(self.name, now, "fkey")
        lower.names.table(self.place).foreign_keys.append(lower._key_name(key, name))
        sql = f"ALTER TABLE {full} ADD {lower._constraint(name)} {lower._references(key)}"
        return Step(sql, (self.name,), f"add foreign key ({', '.join(now)}) to {key.parent} in {self.name} again")

    def _refuse_the_unknown(self) -> None:
        """What the model does not know of would not be copied."""
        known = {attribute.name for attribute in self.alteration.before.attributes}
        unknown = [name for name in self.lower._names.table(self.place).columns if name not in known]
        if unknown:
            raise PipelineError(
                f"{self.name} cannot be built anew.",
                f"Its attributes {', '.join(unknown)} are not known to the migration and would be lost.",
                "Start from the table as the database has it.",
            )

    def _aside(self) -> list[Column]:
        before, lower = self.alteration.before, self.lower
        return [
            replace(lower.column(lower._before, before, before.attribute[old]), name=aside, nullable=True, default=None)
            for old, aside in self.change.kept.items()
        ]

    def _value(self, column: Column) -> str:
        """What a column of the new table gets, over the old one as ``c``."""
        quote, change, name = self.lower.quote, self.change, column.name
        aside = {new: old for old, new in change.kept.items()}
        if name in aside:
            return f"c.{quote(aside[name])}"
        fill, value = self.alteration.fills.get(name), ""
        if name in change.was:
            value = f"c.{quote(change.old[name])}"
            if name in self.alteration.converts:
                value = self._computed(self.alteration.converts[name])
            elif name in change.retyped:
                value = self.lower._converts(value, change.was[name], column) or value
            if fill is None or not change.was[name].nullable:
                return value
        if isinstance(fill, FromParent):
            filled = self._from_parent(fill)
        elif isinstance(fill, Each):
            key = ", ".join(f"c.{quote(a)}" for a in self.alteration.before.primary_key)
            filled = self.lower.unique_id(column) if fill.kind == "uuid" else f"row_number() OVER (ORDER BY {key})"
        elif isinstance(fill, Expression):
            filled = self._computed(fill.postgresql)
        elif fill is not None:
            filled = self.lower._fill(column, fill)
        else:
            filled = "NULL" if column.default is None or column.nullable else column.default
            filled = f"CAST({filled} AS {column.sql})"
        return f"COALESCE({value}, {filled})" if value else filled

    def _computed(self, expression: str) -> str:
        """An expression over the row is computed where only the row's names can be meant."""
        name = self.lower.quote(f"~{len(self.inner)}")
        self.inner.append(f"({expression}) AS {name}")
        return f"c.{name}"

    def _from_parent(self, fill: FromParent) -> str:
        lower, alias = self.lower, f"p{len(self.joins)}"
        theirs, pairs = lower.from_parent(fill)
        named = [(key, ours, ours) for key, ours in pairs]
        on = lower.joined(self.alteration.before, fill, alias, named)
        value, parent = f"{alias}.{lower.quote(theirs)}", lower.full(fill.parent)
        if not fill.unique:
            return f"(SELECT {value} FROM {parent} {alias} WHERE {on})"
        self.joins.append(f"\nLEFT JOIN {parent} {alias} ON {on}")
        return value
