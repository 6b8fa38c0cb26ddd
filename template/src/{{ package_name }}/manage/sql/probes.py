"""Queries that count what an alteration would lose or be refused for, before anything runs.

Whether values survive is a question to the data, not to the types: a column of whole numbers may well become an
``int32`` though it was a ``float64``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..differences.changes import family
from ..tables import notation
from ..tables.model import TableName
from ..tables.terms import is_text
from .lowering import Change, Column, Lowering
from .step import Alteration, Each, Expression, FromParent, Literal, Probe, Step

_BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64, "tinyint": 8, "smallint": 16, "mediumint": 24}
_BITS |= {"int": 32, "integer": 32, "bigint": 64}


def probe(lowering: Lowering, alteration: Alteration) -> list[Probe]:
    """The queries for an alteration, over the table under its name before."""
    change = lowering.change(alteration)
    return list(_Probes(lowering, alteration, change).all())


def _bits(core: str) -> int:
    return _BITS.get(core.partition(" ")[0].partition("(")[0], 0)


def _real(core: str) -> str:
    """``single``, ``double``, ``decimal`` or nothing."""
    if core in ("float32", "real"):
        return "single"
    if core in ("float64", "double", "double precision"):
        return "double"
    return "decimal" if re.match(r"decimal|numeric", core) else "single" if core == "float" else ""


class _Probes:
    def __init__(self, lowering: Lowering, alteration: Alteration, change: Change) -> None:
        self.lower, self.alteration, self.change = lowering, alteration, change
        self.full = lowering.full(alteration.before.name)
        self.mysql = bool(lowering.quote("x") == "`x`")

    def all(self) -> Iterator[Probe]:
        for name in (*self.change.dropped, *self.change.kept):
            yield self._count("dropped", name, f"{self.lower.quote(name)} IS NOT NULL", f"values of {name} that go")
        for name, column in self.change.will.items():
            if name not in self.change.was:
                yield from self._new(name, column)
                continue
            old = self.change.old[name]
            if self.change.was[name].nullable and not column.nullable and name not in self.alteration.fills:
                condition = f"{self.lower.quote(old)} IS NULL"
                yield self._count("null", old, condition, f"rows without {old}, which is required from then on")
            if name in self.alteration.converts:
                continue
            types = self.alteration.before.attribute[old].type, self.alteration.after.attribute[name].type
            # What a codec wrote is converted by itself (recoding), or stays as it is.
            coded = any(type_.startswith("<") for type_ in types)
            if self.change.was[name].core != column.core and not coded:
                for kind, condition, words, silent in self._type(old, self.change.was[name], column):
                    yield self._count(kind, old, condition, f"values of {old} that {words}", silent=silent)
        yield from self._duplicates()

    def _count(self, kind: str, name: str, condition: str, words: str, *, silent: bool = False) -> Probe:
        return Probe(kind, (name,), f"SELECT COUNT(*) FROM {self.full} WHERE {condition}", words, silent)

    def _new(self, name: str, column: Column) -> Iterator[Probe]:
        fill = self.alteration.fills.get(name)
        if fill is None and not column.nullable and column.default is None:
            words = f"rows that have no value for {name}"
            yield Probe("null", (name,), f"SELECT COUNT(*) FROM {self.full}", words, silent=self.mysql)
        elif isinstance(fill, FromParent) and not column.nullable:
            quote, parent = self.lower.quote, self.lower.full(fill.parent)
            # What the parent is still to get cannot be asked for.
            if fill.attribute[0] and all(was for was, _, _ in fill.pairs):
                on = " AND ".join(f"p.{quote(was)} = c.{quote(ours)}" for was, _, ours in fill.pairs)
                sql = f"SELECT COUNT(*) FROM {self.full} c WHERE 1 <> (SELECT COUNT(*) FROM {parent} p WHERE {on})"
                yield Probe(
                    "parent", (name,), sql, f"rows for which {fill.parent} has not exactly one {fill.attribute[0]}"
                )

    def _duplicates(self) -> Iterator[Probe]:
        unique = [index for index in self.change.target if index.unique]
        keys = [
            i.columns for i in unique if i not in self.change.indexes or set(i.columns) & set(self.alteration.fills)
        ]
        key = self.alteration.after.primary_key
        if self.change.table.primary_key != key or set(key) & self.change.retyped:
            keys.append(key)
        for columns in keys:
            values = [self._future(column) for column in columns]
            if any(column.startswith("(") for column in columns) or None in values:
                continue
            fills = self.alteration.fills
            old = [self.change.old[name] for name in columns if name in self.change.old and name not in fills]
            # A new attribute with one value for all makes no row differ from another.
            listed = ", ".join(f"{value} AS {self.lower.quote(f'k{n}')}" for n, value in enumerate(values) if value)
            known = " AND ".join(f"{self.lower.quote(name)} IS NOT NULL" for name in old) or "TRUE"
            inner = f"SELECT {listed or '1'} FROM {self.full} c WHERE {known}"
            names = [self.lower.quote(f"k{n}") for n, value in enumerate(values) if value]
            group = f" GROUP BY {', '.join(names)}" if names else ""
            inner = f"SELECT COUNT(*) AS n FROM ({inner}) AS r{group} HAVING COUNT(*) > 1"
            sql = f"SELECT COUNT(*) FROM ({inner}) AS d"
            yield Probe("duplicate", tuple(old), sql, f"values of ({', '.join(columns)}) that rows have in common")

    def _future(self, column: str) -> str | None:
        """What rows will have, over the row ``c``; empty where all have the same, None where that cannot be asked."""
        fill = self.alteration.fills.get(column)
        if column in self.change.old:
            own = f"c.{self.lower.quote(self.change.old[column])}"
            was, will = self.change.was[column], self.change.will[column]
            if fill is None or not was.nullable:
                return own
            # What is converted as well cannot be compared before it is.
            if not isinstance(fill, Literal) or was.core != will.core:
                return None
            return f"COALESCE({own}, {self.lower.value(was.core, fill.value)})"
        match fill:
            case Each():
                return None
            case Expression():
                return f"({fill.mysql if self.mysql else fill.postgresql})"
            case FromParent():
                if not fill.attribute[0] or not all(was for was, _, _ in fill.pairs):
                    return None
                quote = self.lower.quote
                on = " AND ".join(f"p.{quote(was)} = c.{quote(ours)}" for was, _, ours in fill.pairs)
                taken, parent = f"p.{quote(fill.attribute[0])}", self.lower.full(fill.parent)
                return f"(SELECT {taken} FROM {parent} p WHERE {on} LIMIT 1)"
        return ""

    def _type(self, name: str, was: Column, will: Column) -> Iterator[tuple[str, str, str, bool]]:
        c, old, new = self.lower.quote(name), was.core, will.core
        if new.startswith("enum"):
            yield from self._enum(c, old, new)
        elif is_text(new):
            yield from self._text(c, old, new)
        elif is_text(old):
            yield from self._from_text(c, new)
        elif _bits(new) or new == "bool":
            yield from self._integer(c, old, new)
        elif kind := _real(new):
            yield from self._float(c, old, new, kind)
        elif re.match(r"date|timestamp", new) and re.match(r"date|timestamp", old):
            if new == "date":
                cast = f"CAST({c} AS DATE)"
            else:
                digits = re.search(r"\((\d)\)", new)
                precision = digits[1] if digits else ("0" if self.mysql else "6")
                cast = f"CAST({c} AS {'DATETIME' if self.mysql else 'TIMESTAMP'}({precision}))"
            yield "rounding", f"{c} <> {cast}", "lose a part of the moment", True

    def _enum(self, c: str, old: str, new: str) -> Iterator[tuple[str, str, str, bool]]:
        values = notation.enum_values(new)
        if not set(notation.enum_values(old)) - set(values) and old.startswith("enum"):
            return
        text = f"CAST({c} AS CHAR)" if self.mysql else f"{c}::text"
        listed = ", ".join(map(self.lower.literal, values))
        yield "value", f"{text} NOT IN ({listed})", f"are none of {', '.join(values)}", False

    def _text(self, c: str, old: str, new: str) -> Iterator[tuple[str, str, str, bool]]:
        size = re.search(r"\((\d+)\)", new)
        text = f"CAST({c} AS CHAR)" if self.mysql else f"CAST({c} AS text)"
        if self.mysql and old == "uuid":
            text = f"BIN_TO_UUID({c})"
        before = notation.text_size(old)
        if size and not (before is not None and before <= int(size[1])):
            yield "long", f"CHAR_LENGTH({text}) > {size[1]}", f"are longer than {size[1]} characters", False
        if new.startswith("char(") and not old.startswith("char("):
            yield "value", f"{text} LIKE '% '", "end with a space, which a char does not keep", True

    def _from_text(self, c: str, new: str) -> Iterator[tuple[str, str, str, bool]]:
        pattern = ""
        if _bits(new) or new == "bool":
            pattern = "^[[:space:]]*[+-]?[0-9]+[[:space:]]*$"
        elif _real(new):
            pattern = "^[[:space:]]*[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?[[:space:]]*$"
        elif new == "uuid":
            pattern = "^[{]?[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}[}]?$"
        elif new == "json" and self.mysql:
            yield "value", f"NOT JSON_VALID({c})", "are not JSON", False
        if pattern:
            test = f"{c} NOT REGEXP '{pattern}'" if self.mysql else f"{c}::text !~ '{pattern}'"
            yield "value", test, f"are no {new}", True

    def _integer(self, c: str, old: str, new: str) -> Iterator[tuple[str, str, str, bool]]:
        if old == "bool" or not (_bits(old) or _real(old)):
            return
        if _real(old):
            yield "rounding", f"{c} <> ROUND({c})", "would be rounded", True
        if new == "bool":
            yield "range", f"{c} NOT IN (0, 1)", "are neither 0 nor 1", True
            return
        bits, unsigned = _bits(new), "unsigned" in new
        # PostgreSQL has nothing smaller than 16 bits.
        bits = bits if self.mysql else max(bits, 16)
        low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        if _real(old) or _bits(old) > bits or "unsigned" in old or unsigned:
            yield "range", f"({c} < {low} OR {c} > {high})", f"do not fit {new}", False

    def _float(self, c: str, old: str, new: str, kind: str) -> Iterator[tuple[str, str, str, bool]]:
        if kind == "decimal":
            found = re.search(r"\((\d+)(?:,\s*(\d+))?\)", new)
            digits, scale = (int(found[1]), int(found[2] or 0)) if found else (10, 0)
            exact = c if _real(old) == "decimal" or _bits(old) else f"CAST({c} AS DECIMAL(65,30))"
            if not self.mysql:
                exact = f"CAST({c} AS numeric)"
            yield "rounding", f"{exact} <> ROUND({exact}, {scale})", "would be rounded", True
            yield "range", f"ABS(ROUND({exact}, {scale})) >= 1e{digits - scale}", f"do not fit {new}", False
        elif kind == "single" and (_real(old) != "single") and (_bits(old) > 16 or _real(old)):
            exact = f"CAST({c} AS real) <> CAST({c} AS double precision)"
            if self.mysql:
                # A float has 24 bits; the cast to FLOAT keeps more.
                power = f"POW(2, LEAST(900, 23 - FLOOR(LOG2(ABS({c})))))"
                exact = f"{c} <> 0 AND {c} * {power} <> ROUND({c} * {power})"
            yield "rounding", exact, "have more digits than a float32 holds", True
        elif kind == "double" and _bits(old) > 32:
            yield "rounding", f"ABS({c}) > {2**53}", "have more digits than a float64 holds", True


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a column, or a value where ``type`` is empty; ``words`` for people. Where a row has no
    value, it may be ``made`` up."""

    sql: str
    type: str
    words: str
    made: bool = False


def orphans(
    lowering: Lowering,
    name: TableName,
    parent: TableName | None,
    called: str,
    pairs: list[tuple[Side, Side]],
    *,
    nulls: bool = False,
) -> Probe:
    """Counts rows that a new foreign key would find no parent for.

    Parameters
    ----------
    lowering : Lowering
        The backend.
    name, parent : TableName
        Both tables by their names before; no parent where it is still to be made, and so has no row.
    called : str
        What the parent is called, for people.
    pairs : list
        Our sides, over the row ``c``, and the parent's, over ``p``.
    nulls : bool
        Whether rows without a value count: they have no parent either.
    """

    def equal(ours: Side, theirs: Side) -> str:
        # Texts are compared as texts, and so are enums of two types, and whatever the types do not tell.
        plain = {"int": "number", "real": "number", "moment": "moment"}
        kinds = {plain.get(family(side.type)) for side in (ours, theirs) if side.type}
        if len(kinds) == 1 and None not in kinds:
            return f"{theirs.sql} = {ours.sql}"
        return " = ".join(lowering.as_text(side.sql) if side.type else side.sql for side in (theirs, ours))

    known = [f"{ours.sql} IS NOT NULL" for ours, _ in pairs if ours.type and not (nulls or ours.made)]
    sql = f"SELECT COUNT(*) FROM {lowering.full(name)} c WHERE {' AND '.join(known) or 'TRUE'}"
    if parent is not None:
        on = " AND ".join(equal(ours, theirs) for ours, theirs in pairs)
        sql += f" AND NOT EXISTS (SELECT 1 FROM {lowering.full(parent)} p WHERE {on})"
    listed = ", ".join(ours.words for ours, _ in pairs)
    columns = tuple(ours.words for ours, _ in pairs if ours.type)
    return Probe("parent", columns, sql, f"rows whose ({listed}) is in no row of {called}")


def clashes(
    lowering: Lowering,
    name: TableName,
    parent: TableName | None,
    called: str,
    pairs: list[tuple[Side, Side]],
    columns: list[tuple[Side, Side]],
) -> Probe:
    """Counts values that rows that are put in for others would share with other rows, where a unique index forbids it.

    Parameters are those of :func:`orphans`; ``columns`` are the sides of the index.
    """

    def listed(sides: list[Side]) -> str:
        texts = [lowering.as_text(side.sql) for side in sides]
        return ", ".join(f"{text} AS {lowering.quote(f'k{number}')}" for number, text in enumerate(texts))

    missing = orphans(lowering, name, parent, called, pairs).sql.partition(" FROM ")[2]
    ours = [side for side, _ in columns] + [side for side, _ in pairs]
    marks = ", ".join(lowering.quote(f"k{number}") for number in range(len(columns)))
    rows = f"SELECT {marks} FROM (SELECT DISTINCT {listed(ours)} FROM {missing}) AS m"
    if parent is not None:
        known = " AND ".join(f"{side.sql} IS NOT NULL" for _, side in columns if side.type) or "TRUE"
        theirs = listed([side for _, side in columns])
        rows += f" UNION ALL SELECT {theirs} FROM {lowering.full(parent)} p WHERE {known}"
    groups = f"SELECT COUNT(*) AS n FROM ({rows}) AS r GROUP BY {marks} HAVING COUNT(*) > 1"
    words = f"values of ({', '.join(side.words for _, side in columns)}) that rows of {called} would have in common"
    return Probe("duplicate", (), f"SELECT COUNT(*) FROM ({groups}) AS d", words)


def guards(lowering: Lowering, alteration: Alteration) -> list[Step]:
    """Steps that fail where the server would change values without a word."""
    name = alteration.before.name
    old = {new: old for old, new in alteration.renamed.items()}
    lossy = {old.get(attribute, attribute) for attribute in alteration.lossy}
    return [
        Step(lowering.failing.format(found.sql), (name,), f"make sure that {name} has no {found.words}")
        for found in probe(lowering, alteration)
        if found.silent and not set(found.attributes) & lossy
    ]
