"""Queries that count what an alteration would lose or be refused for, before its first step runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..dialects.base import Dialect
from ..dialects.merging import becomes
from ..dialects.steps import (
    Alteration,
    Change,
    Column,
    ExpressionFill,
    GeneratedFill,
    LiteralFill,
    ParentFill,
    Probe,
    Step,
)
from ..operations.structure import SOFT_DELETED_ATTRIBUTE
from ..schema.compatibility import family, is_bytes
from ..schema.model import TableName
from ..schema.notation import indexed, is_text


def probe(dialect: Dialect, alteration: Alteration) -> list[Probe]:
    """Give the queries for an alteration, over the table under its name before."""
    change = dialect.change(alteration)
    return list(_Probes(dialect, alteration, change).all())


class _Probes:
    """The queries for one alteration."""

    def __init__(self, dialect: Dialect, alteration: Alteration, change: Change) -> None:
        self.dialect, self.alteration, self.change = dialect, alteration, change
        self.full = dialect.full(alteration.before.name)
        self.collation = dialect.names.collation(dialect.place(alteration.before.name))

    def all(self) -> Iterator[Probe]:
        """Give every query."""
        yield from self._half()
        for name in (*self.change.dropped, *self.change.kept):
            yield self._count("dropped", name, f"{self.dialect.quote(name)} IS NOT NULL", f"values of {name} that go")
        for name, column in self.change.will.items():
            if name not in self.change.was:
                yield from self._new(name, column)
                continue
            old, fill = self.change.old[name], self.alteration.fills.get(name)
            if isinstance(fill, ParentFill):
                yield from self._taken(name, column, fill, f"c.{self.dialect.quote(old)} IS NULL")
            if self.change.was[name].nullable and not column.nullable and name not in self.alteration.fills:
                condition = f"{self.dialect.quote(old)} IS NULL"
                called = name if old.startswith(SOFT_DELETED_ATTRIBUTE) else old  # nobody knows what that is called
                yield self._count("null", old, condition, f"rows without {called}, which is required from then on")
            if name in self.alteration.converts:
                yield from self._tried(name, old)
                continue
            types = self.alteration.before.attribute[old].type, self.alteration.after.attribute[name].type
            # What a codec wrote is converted by itself (recoding), or stays as it is.
            coded = any(type_.startswith("<") for type_ in types) and not is_bytes(types[1])
            if self.change.was[name].core != column.core and not coded:
                core = self.change.was[name].core
                for loss in self.dialect.losses(self.dialect.quote(old), core, column.core, self.collation):
                    words = f"values of {old} that {loss.words}"
                    yield self._count(loss.kind, old, loss.condition, words, silent=loss.silent)
        yield from self._duplicates()
        yield from self._long_entries()
        yield from self.dialect.dependents(self.alteration, self.change)

    def _count(self, kind: str, name: str, condition: str, words: str, *, silent: bool = False) -> Probe:
        return Probe(kind, (name,), f"SELECT COUNT(*) FROM {self.full} WHERE {condition}", words, silent)

    def _tried(self, name: str, old: str) -> Iterator[Probe]:
        """Try an expression of the lab's on the rows."""
        if self.alteration.after.attribute[name].type.startswith("<"):
            return  # a codec has the last word
        if trial := self.dialect.trial(self.alteration, self.change, name):
            yield Probe("using", (old,), "", f"expression for {name} that fails", trial=trial)

    def _new(self, name: str, column: Column) -> Iterator[Probe]:
        """Count the rows that have no value for a new attribute."""
        fill = self.alteration.fills.get(name)
        if isinstance(fill, ExpressionFill):
            yield from self._tried(name, name)
        if fill is None and not column.nullable and column.default is None:
            sql, words = f"SELECT COUNT(*) FROM {self.full}", f"rows that have no value for {name}"
            yield Probe("null", (name,), sql, words, silent=self.dialect.invents_values, lacks="value")
        elif isinstance(fill, ParentFill):
            yield from self._taken(name, column, fill)

    def _taken(self, name: str, column: Column, fill: ParentFill, where: str = "") -> Iterator[Probe]:
        """Count the rows that find no value in another table, or one that their attribute cannot hold.

        Only those that fulfil a condition, if one is given. What the other table is still to get cannot be asked for.
        """
        theirs = fill.attribute[0]
        if not theirs or not all(was for was, _, _ in fill.pairs):
            return
        quote, parent = self.dialect.quote, self.dialect.full(fill.parent)
        on = " AND ".join(f"p.{quote(was)} = c.{quote(ours)}" for was, _, ours in fill.pairs)
        there, more = f"p.{quote(theirs)}", f" AND {where}" if where else ""
        if not column.nullable:
            found = f"(SELECT COUNT(*) FROM {parent} p WHERE {on} AND {there} IS NOT NULL)"
            sql = f"SELECT COUNT(*) FROM {self.full} c WHERE 1 <> {found}{more}"
            yield Probe("parent", (name,), sql, f"rows for which {fill.parent} has not exactly one {theirs}")
        before, after = self.dialect.before.get(fill.parent), self.dialect.after
        of = next((t for t in after.values() if fill.attribute[1] in t.attribute and t.name == fill.parent), None)
        cores = {
            self.dialect.column(tables, table, table.attribute[attribute]).core
            for tables, table, attribute in ((self.dialect.before, before, theirs), (after, of, fill.attribute[1]))
            if table is not None and attribute in table.attribute
        }
        if len(cores) != 1:
            return  # a conversion of the other table's has its own queries
        (core,) = cores
        same = not is_text(core) or self.dialect.names.collation(self.dialect.place(fill.parent)) == self.collation
        if core == column.core and same:
            return
        for loss in self.dialect.losses(there, core, column.core, self.collation):
            sql = f"SELECT COUNT(*) FROM {self.full} c JOIN {parent} p ON {on} WHERE ({loss.condition}){more}"
            words = f"values of {theirs} to be taken from {fill.parent} that {loss.words}"
            yield Probe("parent", (name,), sql, words, loss.silent)

    def _half(self) -> Iterator[Probe]:
        """Count the rows that referred to another one, and would no longer, as a part of the reference stays null."""
        had, has = (
            {(k.parent, k.attributes) for k in t.foreign_keys} for t in (self.alteration.before, self.alteration.after)
        )
        grown = {parent for parent, _ in had - has}
        for key in self.alteration.after.foreign_keys:
            empty = [name for name in key.attributes if self._stays_null(name)]
            there = [name for name in key.attributes if name in self.change.old and name not in empty]
            if key.parent not in grown or (key.parent, key.attributes) in had or not empty or not there:
                continue
            condition = " AND ".join(f"{self.dialect.quote(self.change.old[name])} IS NOT NULL" for name in there)
            words = f"rows whose reference ({', '.join(key.attributes)}) leads nowhere: {', '.join(empty)} is null"
            yield self._count("named", empty[0], condition, words)

    def _duplicates(self) -> Iterator[Probe]:
        """Count the values that a new key or unique index forbids."""
        unique = [i for i in self.change.target if i.unique]
        anew = {*self.alteration.fills, *self.alteration.converts, *filter(self._may_merge, self.change.retyped)}
        keys = [
            i.columns for i in unique if i not in self.change.indexes or {indexed(part)[0] for part in i.columns} & anew
        ]
        key = self.alteration.after.primary_key
        if self.change.table.primary_key != key or set(key) & self.change.retyped:
            keys.append(key)
        for parts in keys:
            columns = [indexed(part)[0] for part in parts]
            if any(self._stays_null(column) for column in columns):
                continue  # and nulls are not equal
            if any(column.startswith("(") for column in columns):
                continue
            values = [self._compared(*indexed(part)) for part in parts]
            if None in values:
                continue
            fills = self.alteration.fills
            old = [self.change.old[name] for name in columns if name in self.change.old and name not in fills]
            # A new attribute with one value for all makes no row differ from another.
            listed = ", ".join(f"{value} AS {self.dialect.quote(f'k{n}')}" for n, value in enumerate(values) if value)
            known = " AND ".join(f"{self.dialect.quote(name)} IS NOT NULL" for name in old) or "TRUE"
            inner = f"SELECT {listed or '1'} FROM {self.full} c WHERE {known}"
            names = [self.dialect.quote(f"k{n}") for n, value in enumerate(values) if value]
            group = f" GROUP BY {', '.join(names)}" if names else ""
            inner = f"SELECT COUNT(*) AS n FROM ({inner}) AS r{group} HAVING COUNT(*) > 1"
            sql = f"SELECT COUNT(*) FROM ({inner}) AS d"
            words = f"values of ({', '.join(parts)}) that rows have in common"
            # An expression that fails is told where it is tried.
            fails = bool(set(columns) & set(self.alteration.converts))
            yield Probe("duplicate", tuple(old), sql, words, later=fails)

    def _long_entries(self) -> Iterator[Probe]:
        """Count the rows that are too long for a new index or key, which the server says when it comes to them."""
        new = [index.columns for index in self.change.target if index not in self.change.indexes]
        if self.change.table.primary_key != self.alteration.after.primary_key:
            new.append(self.alteration.after.primary_key)
        for columns in new:
            # As they are stored, which may be compressed; what is new, or of another type, is short or not known yet.
            old = [self.change.old[name] for name in columns if name in self.change.old]
            condition = self.dialect.too_long_for_index(f"c.{self.dialect.quote(name)}" for name in old)
            if old and condition:
                sql = f"SELECT COUNT(*) FROM {self.full} c WHERE {condition}"
                most = f"{self.dialect.longest_entry:,} bytes"
                words = f"rows whose ({', '.join(columns)}) is too long for an index of {most}"
                yield Probe("entry", tuple(old), sql, words)

    def _stays_null(self, name: str) -> bool:
        """Tell whether an attribute is a new one that is null in every row."""
        column = self.change.will.get(name)
        if column is None or name in self.change.was or name in self.alteration.fills:
            return False
        return column.nullable and column.default is None

    def _may_merge(self, name: str) -> bool:
        """Tell whether two values of a column that is there may become one as it gets another type."""
        was, will = self.change.was.get(name), self.change.will[name]
        return was is not None and becomes(self.dialect, name, was, will) != name

    def _compared(self, column: str, letters: int) -> str | None:
        """Give what an index compares of :meth:`_future`, of a text perhaps only the first letters."""
        value = self._future(column)
        if value and letters:
            value = f"LEFT({value}, {letters})"
        return (
            self.dialect.collated(value, self.collation) if value and is_text(self.change.will[column].core) else value
        )

    def _future(self, column: str) -> str | None:
        """Give what a row ``c`` will have, by the name afterwards.

        Empty where all rows have the same, None where it cannot be known before the steps run.
        """
        fill = self.alteration.fills.get(column)
        if column in self.alteration.converts and fill is None:
            return f"({self.dialect.calling(self.alteration, self.change.renamed).converts[column]})"
        if column in self.change.old:
            value = f"c.{self.dialect.quote(self.change.old[column])}"
            was, will = self.change.was[column], self.change.will[column]
            if fill is None or not was.nullable:
                return becomes(self.dialect, value, was, will)
            # What is converted as well cannot be compared before it is.
            if not isinstance(fill, LiteralFill) or was.core != will.core:
                return None
            return f"COALESCE({value}, {self.dialect.typed(self.dialect.value(was.core, fill.value), was.core)})"
        match fill:
            case GeneratedFill():
                return None
            case ExpressionFill():
                called = self.dialect.calling(self.alteration, self.change.renamed)
                return self.dialect.fill_value(self.change.will[column], called.fills[column])
            case ParentFill():
                if not fill.attribute[0] or not all(was for was, _, _ in fill.pairs):
                    return None
                quote = self.dialect.quote
                on = " AND ".join(f"p.{quote(was)} = c.{quote(ours)}" for was, _, ours in fill.pairs)
                taken, parent = f"p.{quote(fill.attribute[0])}", self.dialect.full(fill.parent)
                return f"(SELECT {taken} FROM {parent} p WHERE {on} LIMIT 1)"
        return ""


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Parameters
    ----------
    sql : str
        The expression.
    type : str
        Of the column; empty for a value.
    words : str
        What it is, for people.
    made : bool
        Whether a row without a value gets one that is made up, such as a number.
    """

    sql: str
    type: str
    words: str
    made: bool = False


def orphans(
    dialect: Dialect,
    name: TableName,
    parent: TableName | None,
    called: str,
    pairs: list[tuple[Side, Side]],
    *,
    nulls: bool = False,
    source: str = "",
    put_in: Iterable[list[tuple[Side, Side]]] = (),
) -> Probe:
    """Count the rows that a new foreign key would find no parent for.

    Parameters
    ----------
    dialect : Dialect
        The server's.
    name, parent : TableName
        Both tables by their names before; no parent where it is still to be made, and so has no row.
    called : str
        The parent's name, for people.
    pairs : list
        Our sides, over the row ``c``, and the parent's, over ``p``.
    nulls : bool
        Whether rows without a value count: they have no parent either.
    source : str
        What stands for the parent's rows, where it is more than the table.
    put_in : iterable of list
        Of each row that the parent is given before, our sides and its own.
    """

    def equal(ours: Side, theirs: Side) -> str:
        if ours.type and theirs.type and is_text(ours.type) != is_text(theirs.type):
            return _equal_then(dialect, ours, theirs)
        # Texts are compared as texts, and so are enums of two types, and whatever the types do not tell.
        plain = {"int": "number", "real": "number", "moment": "moment"}
        kinds = {plain.get(family(side.type)) for side in (ours, theirs) if side.type}
        if len(kinds) == 1 and None not in kinds:
            one = {side.type for side in (ours, theirs)} == {"bool"}
            both = (dialect.as_number(s.sql) if s.type == "bool" and not one else s.sql for s in (theirs, ours))
            return " = ".join(both)
        return " = ".join(dialect.as_text(side.sql) if side.type else side.sql for side in (theirs, ours))

    known = [f"{ours.sql} IS NOT NULL" for ours, _ in pairs if ours.type and not (nulls or ours.made)]
    sql = f"SELECT COUNT(*) FROM {dialect.full(name)} c WHERE {' AND '.join(known) or 'TRUE'}"
    if parent is not None:
        on = " AND ".join(equal(ours, theirs) for ours, theirs in pairs)
        sql += f" AND NOT EXISTS (SELECT 1 FROM {source or dialect.full(parent)} p WHERE {on})"
    for row in put_in:
        sql += f" AND NOT ({' AND '.join(equal(ours, theirs) for ours, theirs in row)})"
    listed = ", ".join(ours.words for ours, _ in pairs)
    columns = tuple(ours.words for ours, _ in pairs if ours.type)
    return Probe("parent", columns, sql, f"rows whose ({listed}) is in no row of {called}", lacks="parent")


def _equal_then(dialect: Dialect, ours: Side, theirs: Side) -> str:
    """Give the condition that a column has a parent's value once it has the parent's type: one of texts and another.

    A server that compares them as they are finds ``7`` equal to ``07``, and 0 equal to any word.
    """
    if is_text(theirs.type):
        return f"{dialect.as_text(theirs.sql)} = {dialect.text_of(ours.sql, ours.type)}"
    text = dialect.text_of(theirs.sql, theirs.type)
    read = dialect.read(text, "varchar(255)", theirs.type), dialect.read(ours.sql, ours.type, theirs.type)
    return " = ".join(read)


def clashes(
    dialect: Dialect,
    name: TableName,
    parent: TableName | None,
    called: str,
    pairs: list[tuple[Side, Side]],
    columns: list[tuple[Side, Side]],
    source: str,
    put_in: Iterable[list[tuple[Side, Side]]] = (),
) -> Probe:
    """Count the values that inserted parents would share with other rows, where a unique index forbids it.

    Parameters are those of :func:`orphans`; ``columns`` are the sides of the index.
    """

    def listed(sides: list[Side]) -> str:
        texts = [dialect.as_text(side.sql) for side in sides]
        return ", ".join(f"{text} AS {dialect.quote(f'k{number}')}" for number, text in enumerate(texts))

    missing = orphans(dialect, name, parent, called, pairs, source=source, put_in=put_in).sql.partition(" FROM ")[2]
    ours = [side for side, _ in columns] + [side for side, _ in pairs]
    marks = ", ".join(dialect.quote(f"k{number}") for number in range(len(columns)))
    rows = f"SELECT {marks} FROM (SELECT DISTINCT {listed(ours)} FROM {missing}) AS m"
    if parent is not None:
        known = " AND ".join(f"{side.sql} IS NOT NULL" for _, side in columns if side.type) or "TRUE"
        theirs = listed([side for _, side in columns])
        rows += f" UNION ALL SELECT {theirs} FROM {source or dialect.full(parent)} p WHERE {known}"
    groups = f"SELECT COUNT(*) AS n FROM ({rows}) AS r GROUP BY {marks} HAVING COUNT(*) > 1"
    words = f"values of ({', '.join(side.words for _, side in columns)}) that rows of {called} would have in common"
    return Probe("duplicate", (), f"SELECT COUNT(*) FROM ({groups}) AS d", words)


def merges(
    dialect: Dialect,
    name: TableName,
    parent: TableName | None,
    called: str,
    pairs: list[tuple[Side, Side]],
    taken: Side,
    source: str,
    put_in: Iterable[list[tuple[Side, Side]]] = (),
) -> Probe:
    """Count the inserted parents that rows with different values would become.

    Parameters are those of :func:`orphans`; ``taken`` is what the parents take of the rows.
    """
    quote = dialect.quote
    missing = orphans(dialect, name, parent, called, pairs, source=source, put_in=put_in).sql.partition(" FROM ")[2]
    keys = [ours for ours, _ in pairs if ours.type]
    names = [quote(f"k{number}") for number in range(len(keys))]
    listed = [f"{dialect.as_text(key.sql)} AS {name}" for key, name in zip(keys, names, strict=True)]
    rows = f"SELECT {', '.join([*listed, f'{dialect.as_written(taken.sql, taken.type)} AS v'])} FROM {missing}"
    group = f" GROUP BY {', '.join(names)}" if names else ""
    groups = (
        f"SELECT {', '.join([*names, 'MIN(v) AS least', 'MAX(v) AS most'])} FROM ({rows}) AS r{group} "
        "HAVING MIN(v) <> MAX(v) OR (COUNT(v) > 0 AND COUNT(v) < COUNT(*))"
    )
    of = f" of ({', '.join(key.words for key in keys)})" if keys else ""
    words = f"values{of} whose rows have different values of {taken.words}, of which one row of {called} can have one"
    example = f"SELECT * FROM ({groups}) AS d LIMIT 1"
    return Probe("merge", (taken.words,), f"SELECT COUNT(*) FROM ({groups}) AS d", words, example=example)


def guards(dialect: Dialect, alteration: Alteration) -> list[Step]:
    """Give steps that fail where the server would change values without an error."""
    name = alteration.before.name
    old = {new: old for old, new in alteration.renamed.items()}
    lossy = {old.get(attribute, attribute) for attribute in alteration.lossy}
    return [
        Step(dialect.failing.format(found.sql), (name,), f"make sure that {name} has no {found.words}")
        for found in probe(dialect, alteration)
        if found.silent and not set(found.attributes) & lossy
    ]
