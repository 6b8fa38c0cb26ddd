"""Builds a table of PostgreSQL anew: a new table, its rows copied in one statement, then the new one in the old one's
place, with its indexes, foreign keys, rights, owner, options, those of its columns too, and replica identity."""

from __future__ import annotations

from dataclasses import replace

from ...errors import PipelineError
from ..base import Dialect
from ..constraints import KeyName
from ..steps import Alteration, Change, Column, ExpressionFill, GeneratedFill, ParentFill, Step
from . import indexes, primary_keys
from .columns import comments, join_to_parent, make_table
from .texts import block, literal

#: Gives a table the rights, owner, options and replica identity of another; ``old`` and ``new`` are literals of their
#: names, ``columns`` rows with those of each column before and afterwards. How a value is stored depends on its type.
#: Default privileges may have given the new one others.
_RIGHTS = """DECLARE r record; o text; BEGIN
  FOR r IN SELECT DISTINCT a.grantee FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.oid = {new}::regclass AND a.grantee <> c.relowner
  LOOP
    EXECUTE 'REVOKE ALL ON ' || {new} || ' FROM '
      || CASE r.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r.grantee)) END;
  END LOOP;
  FOR r IN
    SELECT a.*, '' AS part FROM pg_class c, aclexplode(c.relacl) a
      WHERE c.oid = {old}::regclass AND a.grantee <> c.relowner
    UNION ALL SELECT a.*, ' (' || quote_ident(n.will) || ')' FROM (VALUES {columns}) n (was, will)
      JOIN pg_attribute p ON p.attrelid = {old}::regclass AND p.attname = n.was, aclexplode(p.attacl) a
  LOOP
    EXECUTE 'GRANT ' || r.privilege_type || r.part || ' ON ' || {new} || ' TO '
      || CASE r.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r.grantee)) END
      || CASE WHEN r.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END;
  END LOOP;
  FOR r IN SELECT ' ALTER COLUMN ' || quote_ident(n.will) || ' SET ' AS change, p.attstattarget AS target, p.attoptions,
      CASE WHEN p.attstorage <> t.typstorage THEN p.attstorage END AS stored, p.attcompression AS compressed,
      u.typstorage <> 'p' AS long
    FROM (VALUES {columns}) n (was, will)
      JOIN pg_attribute p ON p.attrelid = {old}::regclass AND p.attname = n.was JOIN pg_type t ON t.oid = p.atttypid
      JOIN pg_attribute q ON q.attrelid = {new}::regclass AND q.attname = n.will JOIN pg_type u ON u.oid = q.atttypid
  LOOP
    IF r.target >= 0 THEN EXECUTE 'ALTER TABLE ' || {new} || r.change || 'STATISTICS ' || r.target; END IF;
    IF r.attoptions IS NOT NULL THEN
      EXECUTE 'ALTER TABLE ' || {new} || r.change || '(' || array_to_string(r.attoptions, ', ') || ')';
    END IF;
    IF r.long AND r.stored IS NOT NULL THEN
      EXECUTE 'ALTER TABLE ' || {new} || r.change || 'STORAGE '
        || CASE r.stored WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END;
    END IF;
    IF r.long AND r.compressed <> '' THEN
      EXECUTE 'ALTER TABLE ' || {new} || r.change || 'COMPRESSION '
        || CASE r.compressed WHEN 'l' THEN 'lz4' ELSE 'pglz' END;
    END IF;
  END LOOP;
  FOR r IN SELECT * FROM pg_class WHERE oid = {old}::regclass LOOP
    IF r.relreplident = 'f' THEN EXECUTE 'ALTER TABLE ' || {new} || ' REPLICA IDENTITY FULL'; END IF;
    IF r.reloptions IS NOT NULL THEN
      EXECUTE 'ALTER TABLE ' || {new} || ' SET (' || array_to_string(r.reloptions, ', ') || ')';
    END IF;
    FOR o IN SELECT option FROM pg_class s, unnest(s.reloptions) option WHERE s.oid = r.reltoastrelid LOOP
      EXECUTE 'ALTER TABLE ' || {new} || ' SET (toast.' || o || ')';
    END LOOP;
    IF pg_get_userbyid(r.relowner) <> current_user THEN
      EXECUTE 'ALTER TABLE ' || {new} || ' OWNER TO ' || quote_ident(pg_get_userbyid(r.relowner));
    END IF;
  END LOOP;
END"""


class Rebuild:
    """The steps for one table that is built anew.

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
        self.name = alteration.after.name
        self.place = dialect.place(self.name)
        #: Joins to parents, and expressions that are computed over the old rows, for the statement that copies them.
        self.joins: list[str] = []
        self.inner: list[str] = []

    def steps(self) -> list[Step]:
        """Give the steps; foreign keys that lead here must be dropped before."""
        dialect, name, quote = self.dialect, self.name, self.dialect.quote
        self._refuse_the_unknown()
        columns = [*self.change.will.values(), *self._retained()]
        full, bare = dialect.full(name), "~rebuild"
        new = f"{quote(self.place[0])}.{quote(bare)}"
        known = dialect.names.table(self.place)
        keys, old_key = list(known.foreign_keys), known.primary_key
        made = make_table(dialect, name, new, columns, self.alteration.after.primary_key)
        steps = [replace(made, words=f"make {name} anew")]
        values = [self._value(column) for column in columns]
        inner = ", ".join(["*", *self.inner])
        source = f"(SELECT {inner} FROM {full}) c" if self.inner else f"{full} c"
        targets = dialect.listed([column.name for column in columns])
        copy = f"INSERT INTO {new} ({targets})\nSELECT {', '.join(values)}\nFROM {source}{''.join(self.joins)}"
        steps.append(Step(copy, (name,), f"copy the rows of {name}", rewrites=True, lock="all"))
        named = {**{old: name for name, old in self.change.old.items()}, **self.change.kept}
        pairs = ", ".join(f"({literal(old)}, {literal(name)})" for old, name in named.items())
        rights = block(_RIGHTS.format(old=literal(full), new=literal(new), columns=pairs))
        steps.append(Step(rights, (name,), f"give the rights of {name} again"))
        steps.append(primary_keys.note(dialect, name, old_key))
        steps.append(Step(f"DROP TABLE {full}", (name,), f"drop the old {name}", lock="all"))
        steps.append(
            Step(f"ALTER TABLE {new} RENAME TO {quote(self.place[1])}", (name,), f"give the new one the name {name}")
        )
        known.indexes, known.foreign_keys, known.primary_key = [], [], ""
        dialect.follow(self.change, self.place, [])
        known.primary_key = old_key or indexes.constraint_name(dialect, name, (), "pkey")
        key = f'ALTER INDEX {quote(self.place[0])}."~rebuild_pkey" RENAME TO {quote(known.primary_key)}'
        steps.append(Step(key, (name,), f"name the primary key of {name}"))
        steps.append(primary_keys.give(name))
        for index in self.change.target:
            steps += indexes.add(dialect, name, index)
        for had in keys:
            steps.append(self._add_again(had, full))
        steps += comments(dialect, self.alteration.after, columns)
        return steps

    def _add_again(self, had: KeyName, full: str) -> Step:
        """Add a foreign key that the table had."""
        dialect, renamed = self.dialect, {old: new for new, old in self.change.old.items()}
        attributes = tuple(renamed.get(name, name) for name in had.attributes)
        keys = [key for key in self.change.table.foreign_keys if key.attributes == attributes]
        key = next(key for key in keys if dialect.place(key.parent) == had.parent)
        # The attributes that the key leads to may have other names by now.
        key = replace(key, parent_attributes=had.parent_attributes)
        name = had.name
        if attributes != had.attributes:  # it is called after its columns
            name = indexes.constraint_name(dialect, self.name, attributes, "fkey")
        dialect.names.table(self.place).foreign_keys.append(dialect.key_name(key, name))
        sql = f"ALTER TABLE {full} ADD {indexes.constraint(dialect, name)} {dialect.references(key)}"
        words = f"add foreign key ({', '.join(attributes)}) to {key.parent} in {self.name} again"
        return Step(sql, (self.name,), words)

    def _refuse_the_unknown(self) -> None:
        """Raise where the table has columns that the model does not know, which would not be copied."""
        known = {attribute.name for attribute in self.alteration.before.attributes}
        unknown = [name for name in self.dialect.names.table(self.place).columns if name not in known]
        if unknown:
            raise PipelineError(
                f"{self.name} cannot be built anew.",
                f"Its attributes {', '.join(unknown)} are not known to the migration and would be lost.",
                "Start from the table as the database has it.",
            )

    def _retained(self) -> list[Column]:
        """Give the columns of soft-deleted attributes."""
        before, dialect = self.alteration.before, self.dialect
        columns = {
            name: dialect.column(dialect.before, before, before.attribute[old])
            for old, name in self.change.kept.items()
        }
        return [replace(column, name=name, nullable=True, default=None) for name, column in columns.items()]

    def _value(self, column: Column) -> str:
        """Give what a column of the new table gets, over a row of the old one as ``c``."""
        quote, change, name = self.dialect.quote, self.change, column.name
        retained = {new: old for old, new in change.kept.items()}
        if name in retained:
            return f"c.{quote(retained[name])}"
        fill, value = self.alteration.fills.get(name), ""
        if name in change.was:
            value = f"c.{quote(change.old[name])}"
            if name in self.alteration.converts:
                value = self.dialect.cast(column, self._computed(self.alteration.converts[name]))
            elif name in change.retyped:
                value = self.dialect.conversion(value, change.was[name], column) or value
            if fill is None or not change.was[name].nullable:
                return value
        if isinstance(fill, ParentFill):
            filled = self.dialect.cast(column, self._from_parent(fill))
        elif isinstance(fill, GeneratedFill):
            key = ", ".join(f"c.{quote(a)}" for a in self.alteration.before.primary_key)
            after = self.dialect.numbered(column, value, change.old.get(name, ""))
            number = f"{after}row_number() OVER (ORDER BY {key})"
            filled = self.dialect.unique_id(column) if fill.kind == "uuid" else number
        elif isinstance(fill, ExpressionFill):
            filled = self.dialect.cast(column, self._computed(fill.postgresql))
        elif fill is not None:
            filled = self.dialect.fill_value(column, fill) or "NULL"
        else:
            filled = "NULL" if column.default is None or column.nullable else column.default
            filled = f"CAST({filled} AS {column.sql})"
        return f"COALESCE({value}, {filled})" if value else filled

    def _computed(self, expression: str) -> str:
        """Compute an expression over the row where only the row's names can be meant, and give the result's name."""
        name = self.dialect.quote(f"~{len(self.inner)}")
        self.inner.append(f"({expression}) AS {name}")
        return f"c.{name}"

    def _from_parent(self, fill: ParentFill) -> str:
        """Give what a row of the parent has."""
        dialect, alias = self.dialect, f"p{len(self.joins)}"
        theirs, pairs = dialect.from_parent(fill)
        named = [(key, ours, ours) for key, ours in pairs]
        on = join_to_parent(dialect, self.alteration.before, fill, alias, named)
        value, parent = f"{alias}.{dialect.quote(theirs)}", dialect.full(fill.parent)
        if not fill.unique:
            return f"(SELECT {value} FROM {parent} {alias} WHERE {on})"
        self.joins.append(f"\nLEFT JOIN {parent} {alias} ON {on}")
        return value
