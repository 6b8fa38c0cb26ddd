"""How the tables of a state depend on each other, and whether a database can have that state."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from ..errors import PipelineError
from ..schema.model import ForeignKey, Table, TableName
from .state import Tables


def dangling(tables: Tables, schemas: Container[str]) -> list[str]:
    """Give a sentence for each foreign key of a state that leads nowhere, or for those that lead in a circle.

    No pipeline can have such a state. Between the migrations of two schemas there may be one, as where two tables
    exchange their schemas while the foreign key between them is turned round.

    Parameters
    ----------
    tables : mapping of TableName to Table
        The state.
    schemas : container of str
        The schemas of the pipeline, also those without a table; what another one has may be referred to.
    """
    if found := leading_nowhere(tables, schemas):
        return [_nowhere(name, key, tables.get(key.parent)) for name, key in found]
    try:
        TopologicalSorter(_parents(tables.values())).prepare()
    except CycleError as error:
        return [_circle(error)]
    return []


def leading_nowhere(tables: Tables, schemas: Container[str]) -> list[tuple[TableName, ForeignKey]]:
    """Give the foreign keys of a state that lead nowhere, each with its table; the parameters are those of
    :func:`dangling`."""

    def leads(key: ForeignKey) -> bool:
        parent = tables.get(key.parent)
        if parent is not None:
            return parent.primary_key == key.parent_attributes  # MySQL refuses another order, too
        # No state has hidden tables, such as those in which DataJoint 0.14 lists the objects of a store.
        return key.parent.schema not in schemas or key.parent.table.startswith("~")

    return [(table.name, key) for table in tables.values() for key in table.foreign_keys if not leads(key)]


def _nowhere(name: TableName, key: ForeignKey, parent: Table | None) -> str:
    if parent is None:
        return f"{name} refers to {key.parent}, which is not there."
    was, now = ", ".join(key.parent_attributes), ", ".join(parent.primary_key)
    return f"{name} refers to ({was}) of {key.parent}, whose primary key is ({now})."


def dependency_order(
    tables: Iterable[Table], more: Mapping[TableName, Iterable[TableName]] | None = None
) -> list[TableName]:
    """Order tables: parents before children, masters before parts, what is in ``more`` before its table; otherwise by
    name.

    Raises
    ------
    PipelineError
        If tables refer to each other in a circle.
    """
    parents = _parents(tables)
    for name, others in (more or {}).items():
        parents[name] |= {other for other in others if other in parents} - {name}
    below = {name: sorted(parents[name], key=str) for name in sorted(parents, key=str)}
    try:
        return list(TopologicalSorter(below).static_order())
    except CycleError as error:
        raise PipelineError(
            "Tables refer to each other in a circle.",
            _circle(error),
            "Take one of these foreign keys out of the code, or out of the migration that adds it.",
        ) from None


def _parents(tables: Iterable[Table]) -> dict[TableName, set[TableName]]:
    """Give the tables that each has to come after."""
    known = {table.name: table for table in tables}
    found = dict[TableName, set[TableName]]()
    for name, table in known.items():
        found[name] = {other for other in table.above if other in known}
    return found


def _circle(error: CycleError) -> str:
    names: list[TableName] = error.args[1][:-1]
    start = names.index(min(names, key=str))
    others = [*names[start + 1 :], *names[: start + 1]]
    return f"{names[start]} is referred to by {', that by '.join(map(str, others))}."
