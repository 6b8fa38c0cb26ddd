"""Copy the rows of named tables with what they refer to; what is there stays as it is.

A row whose key is there with other values is a conflict. Where there is one, nothing is copied: what refers to such a
row would get another meaning. Objects in stores belong to the database that made them, so tables with such values are
refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import PipelineError
from ..internals import hidden_rows
from ..operations.origins import resolved
from ..operations.structure import Tables
from ..schema.model import Table, TableName
from . import sample
from .closure import Closure, Database
from .raw import Row, Value, at_one_moment

if TYPE_CHECKING:
    import datajoint as dj

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
    dry_run : bool
        Whether to say only what would be done.

    Returns
    -------
    list of CopiedRows, list of Conflict
        What was copied, parents first, and what stood in the way: then nothing was.

    Raises
    ------
    PipelineError
        If a table is of another tier, differs between the two, or refers to objects in a store; or a row is refused.
    """
    for name in names:
        _refuse_tier(tables[name])
    try:
        with at_one_moment(source, target):
            closure, to = Closure(Database(source, databases)), Database(target, target_databases)
            named = _choose(closure, tables, names, given)
            closure.close()
            chosen = [name for name in closure.order if closure.keys[name]]
            for name in chosen:
                _refuse_other(tables, target_tables, name)
            copied, conflicts = list[CopiedRows](), list[Conflict]()
            for name in chosen:
                same, other = _compare(closure, to, name)
                conflicts += other
                new = len(closure.keys[name]) - same - len(other)
                copied.append(CopiedRows(name, name in named, new, same))
            if conflicts or dry_run:
                raise _Undone
            for name in chosen:
                sample.insert(closure, name, to.tables[name])
    except _Undone:
        pass
    return copied, conflicts


def _refuse_tier(table: Table) -> None:
    if table.tier_of_rows not in TIERS:
        raise PipelineError(
            f"{table.name} is {table.tier_of_rows}, and its rows are computed.",
            "Computed rows say from which code and machine they come, which a copy would not be true to.",
            "Name Lookup and Manual tables, and compute the rest there.",
        )


def _refuse_other(tables: Tables, target_tables: Tables, name: TableName) -> None:
    """Refuse a table that is not the same on both sides, or whose values are partly in a store."""
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
    stored = [a for a in tables[name].attribute if "@" in resolved(tables, name, a)]
    if stored:
        raise PipelineError(
            f"{name} has values in a store ({', '.join(stored)}).",
            "The objects belong to the environment that made them, and go with its rows. Nothing was changed.",
            "Insert these rows there from the files that they come from.",
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


def _of_masters(closure: Closure, tables: Tables, part: TableName, master: TableName, keys: Sequence[Row]) -> list[Row]:
    """Give the keys of the rows of a part table that belong to some rows of its master."""
    raw = closure.database.tables[part]
    key = next((key for key in tables[part].foreign_keys if key.parent == master), None)
    if key is None or not keys:
        return []
    order = [key.parent_attributes.index(a) for a in closure.database.tables[master].primary_key]
    attributes = [key.attributes[n] for n in order]
    return raw.read(raw.primary_key, attributes, keys)


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


def _shown(value: Value) -> str:
    """Give a value for people."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return value if len(value) <= 60 else f"{value[:57]}..."
