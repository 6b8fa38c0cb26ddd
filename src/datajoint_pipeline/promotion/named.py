"""Copy the rows of named tables with what they refer to; what is there stays as it is.

A row whose key is there with other values is a conflict. Where there is one, nothing is copied: what refers to such a
row would get another meaning. Objects in stores belong to the database that made them, so tables with such values are
refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..dialects import choice
from ..dialects.constraints import Names
from ..errors import PipelineError
from ..internals import hidden_rows
from ..operations.origins import resolved
from ..operations.structure import Tables
from ..schema.model import Table, TableName
from . import sample
from .closure import Closure, Database
from .raw import Row, Value, at_one_moment, batches

if TYPE_CHECKING:
    import datajoint as dj

#: Types that are called the same on every server.
_CORE = re.compile(
    r"<|u?int(8|16|32|64)\b|float(32|64)\b|(bool|uuid|json|date|datetime|decimal|(var)?char|enum|bytes)\b"
)

#: Tiers of rows that people enter, and that can be copied by name.
TIERS = ("Lookup", "Manual")


@dataclass(frozen=True)
class CopiedRows:
    """What becomes of the rows of one table.

    Parameters
    ----------
    table : TableName
        The table.
    named : bool
        Whether somebody named it, or its master; the others have rows that these refer to.
    inserted, same : int
        Rows that are new, and rows that are there already with the same values.
    """

    table: TableName
    named: bool
    inserted: int
    same: int


@dataclass(frozen=True)
class Conflict:
    """A row that is there with other values: its key, and each attribute with the value that it has on either side."""

    table: TableName
    key: dict[str, str]
    differs: dict[str, tuple[str, str]]


class _Undone(Exception):
    """Leaves a transaction without its changes."""


def copy(
    source: dj.Connection,
    databases: Mapping[str, str],
    target: dj.Connection,
    target_databases: Mapping[str, str],
    tables: Tables,
    target_tables: Tables,
    names: Sequence[TableName],
    given: Mapping[str, str],
    *,
    apart: Mapping[TableName, str] | None = None,
    dry_run: bool = False,
) -> tuple[list[CopiedRows], list[Conflict]]:
    """Copy the rows of some tables, those of their parts, and what all of these refer to.

    Parameters
    ----------
    source, target : datajoint.Connection
        Where the rows come from and where they go; one connection may be both.
    databases, target_databases : mapping
        Name on either server of each schema.
    tables, target_tables : mapping of TableName to Table
        The tables on either side.
    names : sequence of TableName
        Tables of the tier Lookup or Manual.
    given : mapping
        Values of attributes of the primary key that rows of these are to have.
    apart : mapping of TableName to str, optional
        Tables, and schemas as tables without a name, whose values do not mean the same on both sides: each with why.
    dry_run : bool
        Whether to say only what would be done.

    Returns
    -------
    list of CopiedRows, list of Conflict
        What was copied, parents first, and what stood in the way: then nothing was.

    Raises
    ------
    PipelineError
        If a table is of another tier, differs between the two, or refers to objects in a store; if rows need computed
        ones that are not there; a rule would take their place; or a row is refused.
    """
    for name in names:
        _refuse_tier(tables[name])
    try:
        with at_one_moment(source, target):
            closure, to = Closure(Database(source, databases)), Database(target, target_databases)
            named = _choose(closure, tables, names, given)
            _close(closure, tables, to)
            chosen = [name for name in closure.order if closure.keys[name]]
            alike = source.adapter.backend == target.adapter.backend
            for name in chosen:
                _refuse_other(tables, target_tables, name, alike=alike)
                _refuse_apart(apart or {}, name)
            copied, conflicts = list[CopiedRows](), list[Conflict]()
            for name in chosen:
                same, other = _compare(closure, to, name)
                conflicts += other
                new = len(closure.keys[name]) - same - len(other)
                if new:
                    _refuse_computed(tables[name], new)
                copied.append(CopiedRows(name, name in named, new, same))
            for name in (one.table for one in copied if one.inserted):
                _refuse_rules(target, target_databases, target_tables, name)
            if conflicts or dry_run:
                raise _Undone
            for name in chosen:
                sample.insert(closure, name, to.tables[name])
                if alike:  # else the same value is another text, such as 1 and true
                    _require_same(closure, to, name)
    except _Undone:
        pass
    return copied, conflicts


def _refuse_rules(connection: dj.Connection, databases: Mapping[str, str], tables: Tables, name: TableName) -> None:
    """Refuse a table whose rules would put other rows in, or none."""
    dialect = choice.make(connection, databases, tables, tables, Names())
    for probe in dialect.putting_in(name):
        if probe.kind == "object":
            count, rules = connection.query(probe.sql, args=None, reconnect=False).fetchone()
            if count:
                raise PipelineError(
                    f"Rows cannot be copied into {name}: it has rules that replace them ({rules}).",
                    "They would go elsewhere, or nowhere. Nothing was changed.",
                    "Save their definition and drop them, run the command again, then create them anew.",
                )


def _refuse_tier(table: Table) -> None:
    if table.tier_of_rows not in TIERS:
        raise PipelineError(
            f"{table.name} is {table.tier_of_rows}, and its rows are computed.",
            "Computed rows say from which code and machine they come, which would be false for a copy.",
            "Name Lookup and Manual tables, and compute the rest there.",
        )


def _refuse_computed(table: Table, number: int) -> None:
    """Refuse rows that need computed ones: these would come without their parts, and count as done."""
    if table.tier_of_rows not in TIERS:
        needed = "1 row" if number == 1 else f"{number} rows"
        raise PipelineError(
            f"What is to be copied refers to {needed} of {table.name} that {'is' if number == 1 else 'are'} not there.",
            f"{table.name} is {table.tier_of_rows}: its rows are computed, and a copy would not be true to the code "
            "and the machine that they come from. Nothing was changed.",
            "Have them computed there first, or choose other rows with --key.",
        )


def _refuse_other(tables: Tables, target_tables: Tables, name: TableName, *, alike: bool) -> None:
    """Refuse a table that is not the same on both sides, or whose values are partly in a store.

    ``alike`` says that both servers call their own types the same.
    """
    if name not in target_tables:
        there: set[str] = set()
    else:
        there = {a.name for a in target_tables[name].attributes if not a.hidden}
    own = {a.name for a in tables[name].attributes if not a.hidden}
    if own != there:
        raise PipelineError(
            f"{name} is not the same table on both sides.",
            f"Only one of them has {', '.join(sorted(own ^ there))}. Nothing was changed.",
            "Promote the migrations first, then the rows.",
        )
    for attribute in sorted(own):
        here, beyond = (resolved(s, name, attribute).partition(", stored as ")[0] for s in (tables, target_tables))
        comparable = alike or (_CORE.match(here) and _CORE.match(beyond))
        if here != beyond and comparable:  # a server rounds numbers and times without a word
            raise PipelineError(
                f"{name} is not the same table on both sides.",
                f"{attribute} is {here} where the rows come from, and {beyond} where they go. Nothing was changed.",
                "Promote the migrations first, then the rows.",
            )
    if tables[name].primary_key != target_tables[name].primary_key:
        keys = [", ".join(side[name].primary_key) for side in (tables, target_tables)]
        raise PipelineError(
            f"{name} is not the same table on both sides.",
            f"Its key is ({keys[0]}) where the rows come from, and ({keys[1]}) where they go. Nothing was changed.",
            "Promote the migrations first, then the rows.",
        )
    stored = [a for a in tables[name].attribute if "@" in resolved(tables, name, a)]
    if stored:
        raise PipelineError(
            f"{name} has values in a store ({', '.join(stored)}).",
            "The objects belong to the environment that made them, and go with its rows. Nothing was changed.",
            "Insert these rows there from the files that they come from.",
        )


def _refuse_apart(apart: Mapping[TableName, str], name: TableName) -> None:
    """Refuse rows whose values would mean another thing where they go."""
    why = apart.get(name) or apart.get(TableName(name.schema, ""))
    if why is not None:
        raise PipelineError(
            f"The values of {name} do not mean the same on both sides.",
            f"{why} Nothing was changed.",
            "Bring both sides to one version, then promote the rows.",
        )


def _choose(closure: Closure, tables: Tables, names: Iterable[TableName], given: Mapping[str, str]) -> set[TableName]:
    """Choose the rows of the named tables and of their parts; give these tables."""
    connection, named = closure.database.connection, set[TableName]()
    for name in names:
        types = {a: resolved(tables, name, a) for a in tables[name].primary_key}
        own = {a: value for a, value in given.items() if a in types}
        condition, arguments = hidden_rows.condition(connection, own, types)
        keys = closure.database.tables[name].keys(condition, arguments)
        closure.add(name, keys)
        named.add(name)
        for part, table in tables.items():
            if table.master == name and part in closure.keys:
                closure.add(part, _of_masters(closure, tables, part, name, keys))
                named.add(part)
    return named


def _close(closure: Closure, tables: Tables, to: Database) -> None:
    """Choose what the chosen rows refer to and, of each master among it that is not there yet, the parts: a master
    without its parts would be another thing."""
    parts = [(table.master, part) for part, table in tables.items() if table.master in closure.keys]
    looked: dict[TableName, set[Row]] = {name: set() for name, _ in parts if name is not None}
    grown = True
    while grown:
        closure.close()
        grown = False
        for master, seen in looked.items():
            keys = [key for key in closure.keys[master] if key not in seen]
            seen |= set(keys)
            own, raw = closure.database.tables[master].primary_key, to.tables.get(master)
            comparable = raw is not None and set(own) <= set(raw.columns)  # else it is refused afterwards
            for some in batches(keys):
                there = set(raw.read(own, own, some)) if raw is not None and comparable else set()
                new = [key for key in some if key not in there]
                for part in [part for name, part in parts if name == master and part in closure.keys]:
                    before = len(closure.keys[part])
                    closure.add(part, _of_masters(closure, tables, part, master, new))
                    grown |= len(closure.keys[part]) > before


def _of_masters(closure: Closure, tables: Tables, part: TableName, master: TableName, keys: Sequence[Row]) -> list[Row]:
    """Give the keys of the rows of a part table that belong to some rows of its master."""
    raw = closure.database.tables[part]
    key = next((key for key in tables[part].foreign_keys if key.parent == master), None)
    if key is None or not keys:
        return []
    order = [key.parent_attributes.index(a) for a in closure.database.tables[master].primary_key]
    attributes = [key.attributes[n] for n in order]
    return [row for some in batches(keys) for row in raw.read(raw.primary_key, attributes, some)]


def _compare(closure: Closure, to: Database, name: TableName) -> tuple[int, list[Conflict]]:
    """Count the chosen rows of a table that are there with the same values, and give those with others."""
    there, own = to.tables[name], closure.database.tables[name]
    columns = tuple(c for c in sample.common(own, there) if not c.startswith("_"))
    width, same, conflicts = len(own.primary_key), 0, list[Conflict]()
    for batch in closure.rows(name, columns):
        read = there.read((*own.primary_key, *columns), own.primary_key, [key for key, _ in batch])
        found = {row[:width]: row[width:] for row in read}
        for key, values in batch:
            if key not in found:
                continue
            if found[key] == values:
                same += 1
                continue
            pairs = zip(columns, values, found[key], strict=True)
            differs = {c: (_shown(one), _shown(other)) for c, one, other in pairs if one != other}
            conflicts.append(Conflict(name, dict(zip(own.primary_key, map(_shown, key), strict=True)), differs))
    return same, conflicts


def _require_same(closure: Closure, to: Database, name: TableName) -> None:
    """Refuse rows that are others once they are inserted, as where a trigger changed them, or a column is narrower than
    its type says."""
    same, other = _compare(closure, to, name)
    if same == len(closure.keys[name]):
        return
    how = "Their keys differ there."
    if other:
        attribute, (copied, became) = next(iter(other[0].differs.items()))
        key = ", ".join(f"{part}={value}" for part, value in other[0].key.items())
        how = f"{attribute} of ({key}) is {copied}, and would become {became}."
    raise PipelineError(
        f"Rows of {name} would differ from those that were copied.",
        f"{how} Nothing was changed.",
        "Check the column's type there, and triggers, then run this again.",
    )


def _shown(value: Value) -> str:
    """Give a value for people."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return value if len(value) <= 60 else f"{value[:57]}..."
