"""Rows that foreign keys need: which have no row of the parent, and how the parent gets the missing rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import replace

from ..dialects.base import Dialect
from ..dialects.steps import Column, LiteralFill, ParentFill, Probe, Step
from ..errors import PipelineError
from ..operations.base import Operation
from ..operations.origins import Origins, resolved
from ..operations.structure import Tables, trace
from ..schema import compatibility
from ..schema.model import ForeignKey, Table, TableName
from ..schema.notation import is_text
from ..schema.values import Fill, From, Value
from . import filling, probes
from .probes import Side

#: How many attributes a sentence names.
_MANY = 3

#: What inserted rows get, by attribute: a value, or the attribute of the row that needs them.
Given = Mapping[str, str | Fill]


def orphans(
    dialect: Dialect,
    name: TableName,
    key: ForeignKey,
    origins: Origins,
    before: Tables,
    after: Tables,
    back: Mapping[TableName, TableName],
    absent: Container[TableName] = (),
) -> list[tuple[TableName, Probe]]:
    """Count the rows that a new foreign key would find no parent for, as far as their values are known beforehand.

    Where missing rows are inserted, those are counted too for which the inserted ones would find no parent. ``back``
    has the present names of soft-deleted tables that come back, by their names afterwards. Those ``absent`` are still
    to be made by other migrations before.
    """
    if name in absent:
        return []  # which has no rows
    known = after[name].attribute if name in back else origins.attributes.get(name, {})
    for attribute in (after[name].attribute[a] for a in key.attributes):
        if attribute.nullable and attribute.name not in known and (name, attribute.name) not in origins.fills:
            return []  # rows have nothing there, and refer to nothing
    rows = _FutureRows(dialect, origins, before, after, back, absent)
    ours = {theirs: rows.future(name, a) for a, theirs in zip(key.attributes, key.parent_attributes, strict=True)}
    given, also = origins.missing.get((name, key)), origins.also.get((name, key), frozenset())
    found = rows.compared(name, key.parent, ours, partly=True)
    if given is None or not found:
        return found
    if key.parent in after:
        found += rows.lacking(
            name, key.parent, ours, given, also, lambda above: _also_inserted(after[name], key, above, origins)
        )
    for parent, values in rows.getting(name, key.parent, ours, given, also):
        found += rows.clashing(name, parent, values, given)
        found += rows.merging(name, parent, values, given)
    return [
        (name, replace(found[0][1], kind="missing", words=f"{found[0][1].words}; what is missing there is put in")),
        *found[1:],
    ]


def _also_inserted(table: Table, key: ForeignKey, above: ForeignKey, origins: Origins) -> bool:
    """Tell whether the parents of inserted rows are inserted, too, by another foreign key of the same table."""
    ours = dict(zip(key.parent_attributes, key.attributes, strict=True))
    needed = {t: ours.get(a, "") for a, t in zip(above.attributes, above.parent_attributes, strict=True)}
    return any(
        other.parent == above.parent
        and (table.name, other) in origins.missing
        and dict(zip(other.parent_attributes, other.attributes, strict=True)) == needed
        for other in table.foreign_keys
    )


def above(tables: Tables, name: TableName) -> set[TableName]:
    """Give every table that one refers to, directly or by way of others."""
    found: set[TableName] = set()
    waiting = [name]
    while waiting:
        table = tables.get(waiting.pop())
        more = {key.parent for key in table.foreign_keys} - found if table is not None else set()
        found |= more
        waiting += more
    return found


def refuse_unknown(origins: Origins, after: Tables) -> None:
    """Refuse foreign keys that put in rows, where they name tables or attributes that none of these rows concerns.

    Raises
    ------
    PipelineError
        If there is such a name.
    """
    for (name, key), also in origins.also.items():
        higher = above(after, key.parent)
        for table in sorted(also - higher, key=str):
            raise PipelineError(
                f"{table} cannot get rows by the foreign key from {name} to {key.parent}.",
                f"`also` is for tables that {key.parent} refers to, directly or not, and {table} is none.",
                "Correct `also` in the migration, or leave that table out.",
            )
        known = {a for table in (key.parent, *higher) if table in after for a in after[table].attribute}
        for attribute, value in origins.missing[name, key].items():
            if isinstance(value, Fill) and (value.of is None or value.of[0] != name):
                raise PipelineError(
                    f"{attribute} of rows that are put into {key.parent} cannot come from there.",
                    f"They can take a value of the row of {name} that needs them, or one that is the same for all.",
                    _ways(key.parent, attribute, name, after),
                )
            if attribute not in known and key.parent in after:
                raise PipelineError(
                    f"{attribute} cannot be given to rows that are put into {key.parent}.",
                    f"Neither {key.parent} nor a table that it refers to has an attribute of that name.",
                    "Correct `missing` in the migration.",
                )


def unfound(
    dialect: Dialect, name: TableName, attribute: str, origins: Origins, before: Tables, after: Tables
) -> list[tuple[TableName, Probe]]:
    """Count the rows that are to take a value from a row of another table that will not be there.

    Only where the other table gets the value, or a part of its key, in the same migration: else the question is asked
    where the attribute is added.
    """
    fill = origins.fills[name, attribute]
    if not (fill.parent or fill.of) or after[name].attribute[attribute].nullable:
        return []
    names = {old: new for new, old in origins.tables.items()}
    found = filling.column_fill(fill, name, attribute, renamed(before, names), after, origins, dialect)
    if not isinstance(found, ParentFill) or (found.attribute[0] and all(was for was, _, _ in found.pairs)):
        return []  # which is asked where the attribute is added
    rows, above = _FutureRows(dialect, origins, before, after, {}), origins.tables.get(found.parent)
    sides = [(ours, theirs) for theirs, ours in rows.sides(name, found, "c", "p") if theirs is not None]
    if not sides:
        return []
    return [(name, probes.orphans(dialect, origins.tables[name], above, str(found.parent), sides, nulls=True))]


def refuse_untaken(before: Tables, operations: Iterable[Operation]) -> None:
    """Refuse values that are to be taken from another table and cannot be.

    Raises
    ------
    PipelineError
        If nothing says which row of it belongs to a row, or it has no such attribute, or one of another type.
    """
    after, origins = trace(before, operations)
    refuse_unknown(origins, after)
    for (name, key), given in origins.missing.items():
        for attribute, (old, _) in taken_of(before, origins, after, name, given, key.parent).items():
            for table in (key.parent, *above(after, key.parent)):
                if table in after and attribute in after[table].attribute:
                    type_ = resolved(before, origins.tables[name], old)
                    _refuse_other_type(after, table, attribute, name, old, type_)
    middle = renamed(before, {old: new for new, old in origins.tables.items()})
    for (name, attribute), fill in origins.fills.items():
        if (fill.parent or fill.of) and name in origins.tables and attribute in after[name].attribute:
            try:
                filling.taken(fill, name, attribute, middle, after, origins)
            except PipelineError as error:
                what = f"Rows of {name} cannot get {attribute} from another table."
                raise PipelineError(what, f"{error.what} {error.why}", error.do) from error


def ways(before: Tables, operations: Iterable[Operation], name: TableName, attribute: str) -> str:
    """Say in a sentence what rows of a table can get for an attribute, by the names after some operations."""
    after, origins = trace(before, operations)
    if name not in after or attribute not in after[name].attribute:
        return f"Say --fill {name}.{attribute}=VALUE."
    middle = renamed(before, {old: new for new, old in origins.tables.items()})
    return filling.ways(name, attribute, middle, after, origins)


#: What the number is called that a row of a parent will get.
_NUMBER = "~number"

#: Over how many tables a value may come, which is how long the alias of a row then is.
_FAR = 5


class _FutureRows:
    """What rows will have after the steps, as expressions over the tables as they are before."""

    def __init__(
        self,
        dialect: Dialect,
        origins: Origins,
        before: Tables,
        after: Tables,
        back: Mapping[TableName, TableName],
        absent: Container[TableName] = (),
    ) -> None:
        self._dialect, self._origins, self._before, self._after = dialect, origins, before, after
        self._back, self._absent = back, absent

    def future(self, table: TableName, attribute: str, row: str = "c") -> Side | None:
        """Give what a row of a table that is there will have, by names afterwards; None where it cannot be known."""
        if table in self._back:
            return Side(f"{row}.{self._dialect.quote(attribute)}", resolved(self._after, table, attribute), attribute)
        fill = self._origins.fills.get((table, attribute))
        old = self._origins.attributes.get(table, {}).get(attribute)
        if (table, attribute) in self._origins.converts or (fill is not None and fill.sql is not None):
            return None
        if old is not None:
            type_ = resolved(self._before, self._origins.tables[table], old)
            column = f"{row}.{self._dialect.quote(old)}"
            given = self.constant(table, attribute, fill.value) if fill is not None and fill.value is not None else None
            made = fill is not None and bool(fill.each)  # which is in no row that is there
            if given is not None:
                column = f"COALESCE({column}, {self._dialect.typed(given.sql, self._dialect.core(type_, table))})"
            return Side(column, type_, old, made)
        if fill is not None and fill.each:
            return Side("NULL", "", attribute)  # what is made up is in no row that is there
        if fill is not None and (fill.of is not None or fill.parent):
            return self._taken(table, attribute, fill, row)
        return self.constant(table, attribute, fill.value if fill is not None else None)

    def constant(self, table: TableName, attribute: str, value: str | None) -> Side | None:
        """Give a value, or the default where there is none; None where there is neither."""
        if value is None:
            value = self._after[table].attribute[attribute].default
        if value is None:
            return None
        core = self._dialect.core(resolved(self._after, table, attribute), table)
        return Side(self._dialect.value(core, value), "", f"{attribute} = {value!r}")

    def _taken(self, table: TableName, attribute: str, fill: Fill, row: str) -> Side | None:
        """Give what a row takes from another table, which may take it from a third."""
        names = {old: new for new, old in self._origins.tables.items()}
        before = renamed(self._before, names)
        found = filling.column_fill(fill, table, attribute, before, self._after, self._origins, self._dialect)
        above = self._origins.tables.get(found.parent) if isinstance(found, ParentFill) else None
        if not isinstance(found, ParentFill) or above is None or len(row) > _FAR:
            return None
        over = f"{row}q"
        value, on = self._side(found.parent, *found.attribute, over), list[str]()
        for theirs, ours in self.sides(table, found, row, over):
            if theirs is None:
                return None
            enum = theirs.type.startswith("enum")  # of one name may be two types
            on.append(" = ".join(self._dialect.as_text(side.sql) if enum else side.sql for side in (theirs, ours)))
        if value is None:
            return None
        type_ = resolved(self._after, table, attribute)
        taken = value.sql if value.type else self._dialect.typed(value.sql, self._dialect.core(type_, table))
        sql = f"(SELECT {taken} FROM {self._dialect.full(above)} {over} WHERE {' AND '.join(on)} LIMIT 1)"
        return Side(sql, type_, attribute)

    def sides(self, table: TableName, fill: ParentFill, row: str, over: str) -> list[tuple[Side | None, Side]]:
        """Give the sides that join a row to the row of another table that a value is taken from: theirs, and ours."""
        old, quote = self._origins.tables[table], self._dialect.quote
        return [
            (
                self._side(fill.parent, was, will, over),
                Side(f"{row}.{quote(ours)}", resolved(self._before, old, ours), ours),
            )
            for was, will, ours in fill.pairs
        ]

    def _side(self, table: TableName, was: str, will: str, row: str) -> Side | None:
        """Give an attribute of another table by its name before, or what it will be where it has none."""
        above = self._origins.tables.get(table)
        if not was or above is None:
            return self.future(table, will, row) if above is not None else Side("", "", "")
        return Side(f"{row}.{self._dialect.quote(was)}", resolved(self._before, above, was), was)

    def compared(
        self, name: TableName, parent: TableName, ours: Mapping[str, Side | None], *, partly: bool = False
    ) -> list[tuple[TableName, Probe]]:
        """Count the rows whose values are in no row of a table; ``ours`` is keyed by its attributes afterwards.

        Where some values cannot be known, ``partly`` counts the rows whose other values are in none already.
        """
        there, pairs = self._there(parent), list[tuple[Side, Side]]()
        put_in = self._put_in(parent, ours)
        for attribute, mine in ours.items():
            theirs = self._theirs(parent, attribute)
            if theirs is None or (mine is None and (there is not None or put_in)):
                if partly:
                    continue
                return []
            # Whatever the value is, there is no row that it could be of.
            pairs.append((mine or Side("", "", attribute), theirs))
        if not pairs:
            return []
        source = self._source(parent)
        here = self._back.get(name) or self._origins.tables[name]
        found = probes.orphans(self._dialect, here, there, str(parent), pairs, source=source, put_in=put_in)
        return [(name, found)]

    def _put_in(self, parent: TableName, ours: Mapping[str, Side | None]) -> list[list[tuple[Side, Side]]]:
        """Give, for each row that migrations put into a table before, our sides and those of the row."""
        rows = []
        for row in (*self._origins.earlier.get(parent, ()), *self._origins.rows.get(parent, ())):
            given = {a: self.constant(parent, a, filling.text(row[a])) for a in ours if row.get(a) is not None}
            known = [(mine, given[a]) for a, mine in ours.items() if mine is not None and given.get(a) is not None]
            rows.append([(mine, theirs) for mine, theirs in known if theirs is not None])
        return [row for row in rows if row]

    def clashing(
        self, name: TableName, parent: TableName, ours: Mapping[str, Side | None], given: Given
    ) -> list[tuple[TableName, Probe]]:
        """Count the values that inserted rows would share with others of a table, where a unique index forbids it."""

        along = self._along(name, parent, given)

        def sides(attribute: str) -> tuple[Side | None, Side | None]:
            value = given.get(attribute)
            mine = ours.get(attribute) or (
                along.get(attribute) if isinstance(value, Fill) else self.constant(parent, attribute, value)
            )
            return mine, self._theirs(parent, attribute)

        def known(attributes: Iterable[str]) -> list[tuple[Side, Side]]:
            found = [sides(attribute) for attribute in attributes]
            return [(mine, theirs) for mine, theirs in found if mine is not None and theirs is not None]

        pairs, table = known(ours), self._after[parent]
        source, put_in = self._source(parent), self._put_in(parent, ours)
        probed = []
        for index in table.indexes if len(pairs) == len(ours) else ():
            columns = known(c for c in index.columns if c in table.attribute)
            if index.unique and len(columns) == len(index.columns):
                old, there = self._origins.tables[name], self._there(parent)
                probed.append(
                    (
                        parent,
                        probes.clashes(self._dialect, old, there, str(parent), pairs, columns, source, put_in),
                    )
                )
        return probed

    def getting(
        self,
        name: TableName,
        parent: TableName,
        ours: Mapping[str, Side | None],
        given: Given,
        also: Container[TableName] = (),
    ) -> Iterator[tuple[TableName, Mapping[str, Side | None]]]:
        """Give each table that gets rows, parents' parents too, with the values of what is referred to."""
        yield parent, ours
        same = {a: value for a, value in given.items() if isinstance(value, str)}
        said = {a: self.constant(parent, a, value) for a, value in same.items() if a in self._after[parent].attribute}
        known = {**said, **self._along(name, parent, given), **ours}
        for key in self._after[parent].foreign_keys:
            gets = key.parent not in self._origins.tables or key.parent in also
            if gets and key.parent in self._after and key.parent != parent and set(key.attributes) <= set(known):
                above = {t: known[a] for a, t in zip(key.attributes, key.parent_attributes, strict=True)}
                yield from self.getting(name, key.parent, above, given, also)

    def merging(
        self, name: TableName, parent: TableName, ours: Mapping[str, Side | None], given: Given
    ) -> list[tuple[TableName, Probe]]:
        """Count the inserted rows that take an attribute of rows which differ in it."""
        pairs = [(mine, theirs) for a, mine in ours.items() if mine and (theirs := self._theirs(parent, a))]
        if len(pairs) < len(ours):
            return []
        old, there = self._origins.tables[name], self._there(parent)
        source, put_in = self._source(parent), self._put_in(parent, ours)
        return [
            (name, probes.merges(self._dialect, old, there, str(parent), pairs, side, source, put_in))
            for attribute, side in self._along(name, parent, given).items()
            if attribute not in ours
        ]

    def lacking(
        self,
        name: TableName,
        parent: TableName,
        ours: Mapping[str, Side | None],
        given: Given,
        also: Container[TableName],
        inserted: Callable[[ForeignKey], bool],
    ) -> list[tuple[TableName, Probe]]:
        """Count the rows whose inserted parents would themselves find no parent, those of parents' parents too that get
        rows as well: new ones, and those in ``also``.

        ``inserted`` tells of a foreign key of the parent whether rows are put in for it as well.
        """
        along, found = self._along(name, parent, given), list[tuple[TableName, Probe]]()

        def known(attribute: str) -> Side | None:
            value = given.get(attribute)
            constant = self.constant(parent, attribute, value if isinstance(value, str) else None)
            return ours.get(attribute) or along.get(attribute) or constant

        put_in = {k.parent for k in self._after[name].foreign_keys if (name, k) in self._origins.missing}
        for key in self._after[parent].foreign_keys:
            above = {t: known(a) for a, t in zip(key.attributes, key.parent_attributes, strict=True)}
            if key.parent == parent or inserted(key):
                continue
            there = self._there(key.parent) is not None or key.parent in self._absent
            if there and key.parent not in also:
                found += self.compared(name, key.parent, above)
            elif key.parent in self._after:
                found += self.lacking(name, key.parent, above, given, also, lambda further: further.parent in put_in)
        return found

    def _along(self, name: TableName, parent: TableName, given: Given) -> dict[str, Side]:
        """Give what inserted rows of a table take along of the rows that need them."""
        found = {
            a: Side(f"c.{self._dialect.quote(a)}", type_, a)
            for a, type_ in leaving(self._before, self._origins, name).items()
            if a not in given and takes(self._after, parent, a, type_)
        }
        for attribute, (old, _) in taken_of(self._before, self._origins, self._after, name, given, parent).items():
            if attribute in self._after[parent].attribute:
                type_ = resolved(self._before, self._origins.tables[name], old)
                _refuse_other_type(self._after, parent, attribute, name, old, type_)
                found[attribute] = Side(f"c.{self._dialect.quote(old)}", type_, old)
        return found

    def _there(self, parent: TableName) -> TableName | None:
        """Give a table's name before; None where it is still to be made."""
        if parent in self._absent:
            return None
        return self._origins.tables.get(parent) or self._back.get(parent)

    def _theirs(self, parent: TableName, attribute: str) -> Side | None:
        """Give what rows of a parent have, as ``p``; empty where the table is still to be made, None if not known."""
        there = self._there(parent)
        if there is None:
            return Side("", "", "")
        if parent in self._back:
            type_ = resolved(self._after, parent, attribute)
            return Side(f"p.{self._dialect.quote(attribute)}", type_, attribute)
        fill = self._origins.fills.get((parent, attribute))
        if fill is not None and fill.each and attribute in self._origins.attributes.get(parent, {}):
            return None  # some rows keep what they have
        if fill is not None and fill.each:
            # Nobody can have said which identifier is made up; numbers are counted.
            number = f"p.{self._dialect.quote(_NUMBER)}"
            type_ = resolved(self._after, parent, attribute)
            return Side(number if fill.each == "number" else "NULL", type_, attribute)
        return self.future(parent, attribute, "p")

    def _source(self, parent: TableName) -> str:
        """Give the rows of a parent with the numbers that they will get; empty where they get none."""
        numbered = any(name == parent and fill.each == "number" for (name, _), fill in self._origins.fills.items())
        there = self._origins.tables.get(parent)
        if not numbered or there is None:
            return ""
        quote = self._dialect.quote
        key = self._dialect.listed(self._before[there].primary_key)
        number = f"ROW_NUMBER() OVER (ORDER BY {key}) AS {quote(_NUMBER)}"
        return f"(SELECT t.*, {number} FROM {self._dialect.full(there)} t)"


def renamed(tables: Tables, names: Mapping[TableName, TableName]) -> dict[TableName, Table]:
    """Give tables, and the foreign keys that lead to them, by the names that ``names`` has of those before."""
    return {
        names.get(name, name): replace(
            table,
            name=names.get(name, name),
            foreign_keys=tuple(replace(k, parent=names.get(k.parent, k.parent)) for k in table.foreign_keys),
        )
        for name, table in tables.items()
    }


def insert_rows(
    dialect: Dialect, tables: Tables, name: TableName, rows: Iterable[Mapping[str, Value]]
) -> Iterator[Step]:
    """Make steps that insert rows into a table, those that it does not have."""
    table = tables[name]
    for row in rows:
        columns = {a: dialect.column(tables, table, table.attribute[a]) for a in row}
        values = {a: _value(dialect, tables, name, columns[a], value) for a, value in row.items()}
        key = {a: values.pop(a) for a in table.primary_key}
        yield Step(_insert_row(dialect, name, key, values), (name,), f"put a row into {name}")


def _value(dialect: Dialect, tables: Tables, name: TableName, column: Column, value: Value) -> str:
    """Give a value of a row of a migration as an expression."""
    if value is None:
        return "NULL"
    type_ = resolved(tables, name, column.name)
    text = json.dumps(value) if type_.startswith(("<", "json")) else filling.text(value)
    found = filling.literal(type_, name, column.name, text)
    if is_text(column.core):
        dialect.refuse_characters(name, [(column.name, text)])
    return dialect.fill_value(column, found) or "NULL"


def tried(
    dialect: Dialect, name: TableName, key: ForeignKey, origins: Origins, before: Tables, after: Tables
) -> list[Step]:
    """Give the steps of :func:`insert_missing` such that they can be tried before the table has changed.

    Where it cannot be known what its rows will have, the steps name that table among those that they are on.
    """
    old, quote, rows = origins.tables[name], dialect.quote, _FutureRows(dialect, origins, before, after, {})
    known = {attribute: rows.future(name, attribute, "r") for attribute in key.attributes}
    sides = {attribute: side for attribute, side in known.items() if side is not None}
    columns = {attribute: side.sql for attribute, side in sides.items()}
    for attribute in leaving(before, origins, name):
        if kept := dialect.retained_name(name, attribute):
            columns[kept] = f"r.{quote(attribute)}"
    for was, now in taken_of(before, origins, after, name, origins.missing.get((name, key), {}), key.parent).values():
        if now:
            columns.setdefault(now, f"r.{quote(was)}")
    listed = ", ".join(f"{expression} AS {quote(column)}" for column, expression in columns.items())
    source = f"(SELECT {listed} FROM {dialect.full(old)} r)"
    same = {a for a, side in sides.items() if not side.type or _same_form(side.type, resolved(after, name, a))}
    steps = insert_missing(dialect, name, key, origins, before, after, source)
    return steps if {*key.attributes} <= same else [replace(step, tables=(*step.tables, name)) for step in steps]


def _same_form(was: str, will: str) -> bool:
    """Tell whether values need no expression to become those of another type."""
    return was == will or ("enum" not in was + will and compatibility.family(was) == compatibility.family(will))


def insert_missing(
    dialect: Dialect,
    name: TableName,
    key: ForeignKey,
    origins: Origins,
    before: Tables,
    after: Tables,
    source: str = "",
) -> list[Step]:
    """Make steps that insert the rows that a new foreign key finds missing, where the migration says so.

    An inserted row takes what the migration says, else what the row that needs it had under that name and has no more,
    else its default. The same holds for the parents of a parent that is new itself. ``source`` is what the rows that
    need them are read from, if not the table itself.
    """
    given = origins.missing.get((name, key))
    if given is None or key.parent not in after:
        return []
    quote = dialect.quote
    types = leaving(before, origins, name)
    values = {a: f"c.{quote(kept)}" for a in types if (kept := dialect.retained_name(name, a))}
    known = {theirs: f"c.{quote(ours)}" for ours, theirs in zip(key.attributes, key.parent_attributes, strict=True)}
    source = source or dialect.full(name)
    taken = {
        attribute: f"c.{quote(now)}" if now else values.get(was, "NULL")
        for attribute, (was, now) in taken_of(before, origins, after, name, given, key.parent).items()
    }
    same = {attribute: value for attribute, value in given.items() if isinstance(value, str)}
    more = origins.also[name, key]
    missing = _MissingRows(dialect, name, source, same, taken, more, values, types, origins, after)
    return missing.steps(after[key.parent], known)


def leaving(before: Tables, origins: Origins, name: TableName) -> dict[str, str]:
    """Give the types of the attributes that a table has no more, by their names before."""
    old, stay = origins.tables[name], set(origins.attributes.get(name, {}).values())
    gone = (a for a in before[old].attributes if a.name not in stay and not a.hidden)
    return {attribute.name: resolved(before, old, attribute.name) for attribute in gone}


def taken_of(
    before: Tables, origins: Origins, after: Tables, name: TableName, given: Given, parent: TableName
) -> dict[str, tuple[str, str]]:
    """Give what inserted rows of ``parent`` take of an attribute that the migration names of the rows which need them.

    Returns
    -------
    dict
        By the attribute of the inserted rows, the name of the other before, and afterwards; empty where it goes.

    Raises
    ------
    PipelineError
        If the table has no such attribute.
    """
    found = {}
    for attribute, value in given.items():
        if isinstance(value, Fill) and value.of is not None:
            wanted, stay = value.of[1], origins.attributes.get(name, {})
            if wanted in stay:
                found[attribute] = stay[wanted], wanted
            elif wanted in leaving(before, origins, name):
                found[attribute] = wanted, ""
            else:
                raise PipelineError(
                    f"{attribute} of inserted rows cannot come from {name}.{wanted}.",
                    f"{name} had no attribute of that name before.",
                    _ways(parent, attribute, name, after),
                )
    return found


def _refuse_other_type(after: Tables, parent: TableName, attribute: str, name: TableName, old: str, type_: str) -> None:
    if not takes(after, parent, attribute, type_):
        raise PipelineError(
            f"{parent}.{attribute} cannot come from {name}.{old}.",
            f"The one is a {resolved(after, parent, attribute)}, the other a {type_}.",
            f"{_ways(parent, attribute, name, after)} Or change the type in a migration before.",
        )


def _ways(parent: TableName, attribute: str, name: TableName, after: Tables) -> str:
    """Say in a sentence what rows that are put into a table can get for an attribute; rows of ``name`` need them."""
    ours = [a.name for a in after[name].attributes if takes(after, parent, attribute, resolved(after, name, a.name))]
    ours = sorted(ours, key=lambda one: one != attribute)[:_MANY]
    said = "".join(f"--fill {parent}.{attribute}=from({name}.{one}) or " for one in ours)
    given = " or ".join([*(repr(From(str(name), one)) for one in ours), "a value"])
    return f'Say {said}--fill {parent}.{attribute}=VALUE; in a migration, missing={{"{attribute}": {given}}}.'


def takes(after: Tables, parent: TableName, attribute: str, type_: str) -> bool:
    """Tell whether inserted rows of a table take an attribute of the rows that need them, which has a type there."""
    known = after[parent].attribute.get(attribute) if parent in after else None
    return known is not None and not known.hidden and resolved(after, parent, attribute) == type_


class _MissingRows:
    """The rows that the rows of one table need."""

    def __init__(
        self,
        dialect: Dialect,
        name: TableName,
        source: str,
        given: Mapping[str, str],
        taken: Mapping[str, str],
        also: Container[TableName],
        values: Mapping[str, str],
        types: Mapping[str, str],
        origins: Origins,
        after: Tables,
    ) -> None:
        self._dialect, self._name, self._given, self._taken, self._also = dialect, name, given, taken, also
        self._source, self._values, self._types = source, values, types
        self._origins, self._after = origins, after

    def steps(self, table: Table, known: Mapping[str, str]) -> list[Step]:
        """Make the steps for a table, those for its parents first; ``known`` has the values of its key over ``c``."""
        columns = {a.name: self._dialect.column(self._after, table, a) for a in table.attributes if not a.hidden}
        more: dict[str, str] = {}
        for attribute in table.attributes:
            name = attribute.name
            if name in known or attribute.hidden:
                continue
            if name in self._given:
                if is_text(columns[name].core):
                    self._dialect.refuse_characters(table.name, [(name, self._given[name])])
                more[name] = self._dialect.fill_value(columns[name], LiteralFill(self._given[name])) or ""
            elif name in self._taken:
                more[name] = self._taken[name]
            elif name in self._values and takes(self._after, table.name, name, self._types[name]):
                more[name] = self._values[name]
            elif not attribute.nullable and attribute.default is None:
                raise PipelineError(
                    f"{self._name} needs rows of {table.name} that nobody has entered.",
                    f"Nothing says what their {name} is.",
                    _ways(table.name, name, self._name, self._after),
                )
        values = {**known, **more}
        steps: list[Step] = []
        for key in table.foreign_keys:
            put_in = key.parent not in self._origins.tables or key.parent in self._also
            if put_in and key.parent in self._after and set(key.attributes) <= set(values) and key.parent != table.name:
                above = {t: values[ours] for ours, t in zip(key.attributes, key.parent_attributes, strict=True)}
                steps += self.steps(self._after[key.parent], above)
        words = f"put rows into {table.name} that rows of {self._name} refer to"
        sql = _insert_missing(self._dialect, table, self._source, columns, known, more)
        return [*steps, Step(sql, (table.name,), words, lock="writes")]


def _insert_missing(
    dialect: Dialect,
    table: Table,
    source: str,
    columns: Mapping[str, Column],
    key: Mapping[str, str],
    more: Mapping[str, str],
) -> str:
    """Give the statement that inserts the rows that rows of another table, as ``c``, refer to and that are missing.

    ``key`` has the expressions that tell rows apart, ``more`` those for other attributes.
    """
    full = dialect.full(table.name)
    known = {name: dialect.cast(columns[name], expression) for name, expression in key.items()}
    others = {name: dialect.cast(columns[name], expression) for name, expression in more.items()}
    there = " AND ".join(f"p.{dialect.quote(name)} = {expression}" for name, expression in known.items())
    conditions = [f"{expression} IS NOT NULL" for expression in known.values()]
    conditions.append(f"NOT EXISTS (SELECT 1 FROM {full} p WHERE {there})")
    rows = dialect.one_each(known, others, f"FROM {source} c\nWHERE {' AND '.join(conditions)}")
    return f"INSERT INTO {full} ({dialect.listed([*known, *others])})\n{rows}"


def _insert_row(dialect: Dialect, table: TableName, key: Mapping[str, str], more: Mapping[str, str]) -> str:
    """Give the statement that inserts a row where there is none with that key."""
    there = " AND ".join(f"p.{dialect.quote(name)} = {value}" for name, value in key.items())
    values, full = ", ".join([*key.values(), *more.values()]), dialect.full(table)
    where = f"WHERE NOT EXISTS (SELECT 1 FROM {full} p WHERE {there})"
    return f"INSERT INTO {full} ({dialect.listed([*key, *more])})\nSELECT {values} {where}"
