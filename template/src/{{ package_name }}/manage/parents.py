"""Rows that foreign keys need: which have no row of the parent, and how the parent gets the rows that are missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from . import filling, probes
from .data_operations import Value
from .errors import PipelineError
from .lowering import Column, Lowering
from .model import ForeignKey, Table, TableName
from .operations import Tables
from .origins import Origins, resolved
from .probes import Side
from .step import Literal, Probe, Step


def orphans(
    lowering: Lowering,
    name: TableName,
    key: ForeignKey,
    origins: Origins,
    before: Tables,
    after: Tables,
    back: Mapping[TableName, TableName],
) -> list[tuple[TableName, Probe]]:
    """Counts rows that a new foreign key would find no parent for, as far as their values are known now; ``back`` has
    where tables are that come back from where they were put aside."""
    parent, pairs = origins.tables.get(key.parent) or back.get(key.parent), list[tuple[Side, Side]]()
    nothing = Side("", "", "")

    def side(alias: str, table: TableName, attribute: str) -> Side | None:
        old, fill = origins.attributes.get(table, {}).get(attribute), origins.fills.get((table, attribute))
        if (table, attribute) in origins.converts:
            return None
        if table in back:
            return Side(f"{alias}.{lowering.quote(attribute)}", resolved(after, table, attribute), attribute)
        if old is not None:
            type_ = resolved(before, origins.tables[table], old)
            return Side(f"{alias}.{lowering.quote(old)}", type_, old)
        value = fill.value if fill is not None else after[table].attribute[attribute].default
        if value is None:
            return None
        core = lowering.core(resolved(after, table, attribute), table)
        return Side(lowering.value(core, value), "", f"{attribute} = {value!r}")

    for attribute, their in zip(key.attributes, key.parent_attributes, strict=True):
        ours = side("c", name, attribute)
        theirs = side("p", key.parent, their) if parent is not None else nothing
        fill = origins.fills.get((name, attribute))
        if parent is None and fill is not None and ours is None:
            ours = Side("", "", attribute)  # some value, and there is no row that it could be of
        if ours is None or theirs is None:
            return []  # null, computed, or taken from a parent
        pairs.append((ours, theirs))
    found = probes.orphans(lowering, origins.tables[name], parent, str(key.parent), pairs)
    if (name, key) in origins.missing:
        found = replace(found, kind="missing", words=f"{found.words}, which gets one")
    return [(name, found)]


def inserted(
    lowering: Lowering, tables: Tables, name: TableName, rows: Iterable[Mapping[str, Value]]
) -> Iterator[Step]:
    """Steps that give a table rows, those that it does not have."""
    table = tables[name]
    for row in rows:
        columns = {a: lowering.column(tables, table, table.attribute[a]) for a in row}
        values = {a: _literal(lowering, tables, name, columns[a], value) for a, value in row.items()}
        key = {a: values.pop(a) for a in table.primary_key}
        yield Step(_insert_row(lowering, name, key, values), (name,), f"put a row into {name}")


def _literal(lowering: Lowering, tables: Tables, name: TableName, column: Column, value: Value) -> str:
    if value is None:
        return "NULL"
    type_ = resolved(tables, name, column.name)
    text = (
        json.dumps(value) if type_.startswith(("<", "json")) else str(int(value)) if value in (True, False) else value
    )
    found = filling.literal(lowering, type_, name, column.name, str(text))
    return lowering._fill(column, found) or "NULL"


def put_in(
    lowering: Lowering, name: TableName, key: ForeignKey, origins: Origins, before: Tables, after: Tables
) -> list[Step]:
    """Steps that put in the rows that a new foreign key finds missing, where the migration says that they may be.

    A row that is put in takes what the migration says, else what the row that needs it had under that name and has no
    more, else its default; so it is with the parents of a parent that is new itself.
    """
    given = origins.missing.get((name, key))
    if given is None or key.parent not in after:
        return []
    quote, old = lowering.quote, origins.tables[name]
    stay = set(origins.attributes.get(name, {}).values())
    leaving = {
        attribute.name: f"c.{quote(lowering.put_aside(name, attribute.name))}"
        for attribute in before[old].attributes
        if attribute.name not in stay and not attribute.hidden and lowering.put_aside(name, attribute.name)
    }
    known = {theirs: f"c.{quote(ours)}" for ours, theirs in zip(key.attributes, key.parent_attributes, strict=True)}
    types = {attribute: resolved(before, old, attribute) for attribute in leaving}
    making = _Making(lowering, name, dict(given), leaving, types, origins, after)
    return making.rows(after[key.parent], known)


class _Making:
    """The rows that the rows of one table need."""

    def __init__(
        self,
        lowering: Lowering,
        name: TableName,
        given: Mapping[str, str],
        leaving: Mapping[str, str],
        types: Mapping[str, str],
        origins: Origins,
        after: Tables,
    ) -> None:
        self._lower, self._name, self._given = lowering, name, given
        self._leaving, self._types = leaving, types
        self._origins, self._after = origins, after

    def rows(self, table: Table, known: Mapping[str, str]) -> list[Step]:
        """Steps for a table, those for the tables above it first; ``known`` has the values of its key over ``c``."""
        columns = {a.name: self._lower.column(self._after, table, a) for a in table.attributes if not a.hidden}
        more: dict[str, str] = {}
        for attribute in table.attributes:
            name = attribute.name
            if name in known or attribute.hidden:
                continue
            if name in self._given:
                more[name] = self._lower._fill(columns[name], Literal(self._given[name])) or ""
            elif self._types.get(name) == resolved(self._after, table.name, name):
                more[name] = self._leaving[name]
            elif not attribute.nullable and attribute.default is None:
                raise PipelineError(
                    f"{self._name} needs rows of {table.name} that nobody has entered.",
                    f"Nothing says what their {name} is.",
                    "Write it into missing={...} of that foreign key in the migration.",
                )
        values = {**known, **more}
        steps: list[Step] = []
        for key in table.foreign_keys:
            new = key.parent not in self._origins.tables and key.parent in self._after
            if new and set(key.attributes) <= set(values):
                above = {t: values[ours] for ours, t in zip(key.attributes, key.parent_attributes, strict=True)}
                steps += self.rows(self._after[key.parent], above)
        words = f"put rows into {table.name} that rows of {self._name} refer to"
        sql = _insert_missing(self._lower, table, self._lower.full(self._name), columns, known, more)
        return [*steps, Step(sql, (table.name,), words, lock="writes")]


def _insert_missing(
    lowering: Lowering,
    table: Table,
    source: str,
    columns: Mapping[str, Column],
    key: Mapping[str, str],
    more: Mapping[str, str],
) -> str:
    """A statement that gives a table the rows that rows of another one, as ``c``, refer to and that are not there.

    ``key`` has the expressions that tell rows apart, ``more`` those for other attributes.
    """
    full = lowering.full(table.name)
    known = {name: lowering.cast(columns[name], expression) for name, expression in key.items()}
    others = {name: lowering.cast(columns[name], expression) for name, expression in more.items()}
    there = " AND ".join(f"p.{lowering.quote(name)} = {expression}" for name, expression in known.items())
    conditions = [f"{expression} IS NOT NULL" for expression in known.values()]
    conditions.append(f"NOT EXISTS (SELECT 1 FROM {full} p WHERE {there})")
    rows = lowering.one_each(known, others, f"FROM {source} c\nWHERE {' AND '.join(conditions)}")
    return f"INSERT INTO {full} ({lowering.listed([*known, *others])})\n{rows}"


def _insert_row(lowering: Lowering, table: TableName, key: Mapping[str, str], more: Mapping[str, str]) -> str:
    """A statement that gives a table a row, where it has none with that key."""
    there = " AND ".join(f"p.{lowering.quote(name)} = {value}" for name, value in key.items())
    values, full = ", ".join([*key.values(), *more.values()]), lowering.full(table)
    where = f"WHERE NOT EXISTS (SELECT 1 FROM {full} p WHERE {there})"
    return f"INSERT INTO {full} ({lowering.listed([*key, *more])})\nSELECT {values} {where}"
