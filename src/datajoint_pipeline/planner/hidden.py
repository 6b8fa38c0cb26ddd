"""Find what tables are called that a run of MySQL hides by another name, for who only looks at them meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from .. import journal
from ..dialects.introspection import Place
from ..dialects.mysql import locking
from ..journal import steplog
from ..schema.model import TableName
from .target import Target


def own_names(target: Target, tables: Iterable[TableName]) -> dict[TableName, TableName]:
    """Give the tables' own names, by those that hide them.

    Parameters
    ----------
    target : Target
        Where.
    tables : iterable of TableName
        The tables that are there. Nothing is asked for where none is called as hidden ones are.
    """
    there = {(target.database(name.schema), name.table): name for name in tables}
    away = {place for place in there if locking.HIDDEN.fullmatch(place[1])}
    if not away:
        return {}
    recorded = journal.recorded(target.connection, target.databases)
    records = journal.latest(target.connection, recorded)
    running = {(name, record.id) for name, record in records.items() if record.status != journal.DONE}
    heads = steplog.heads(target.connection, recorded) if running else {}
    known = {place for run in running for place in _known(heads.get(run, {}), target)}
    found = dict[TableName, TableName]()
    for place in sorted(known - there.keys()):
        hidden = locking.other(place, known)
        if hidden in away:
            found[there[hidden]] = TableName(there[hidden].schema, place[1])
    return found


def _known(head: Mapping[str, Any], target: Target) -> Iterator[Place]:
    """Give the tables that a run found, and those that it leads to."""
    with suppress(LookupError, TypeError, ValueError, AttributeError):  # anybody may have written it
        for database, table, _ in head["plan"]["before"]:
            yield str(database), str(table)
        for schema in head["after"]:
            yield from ((target.database(schema["name"]), str(table["name"]["table"])) for table in schema["tables"])
