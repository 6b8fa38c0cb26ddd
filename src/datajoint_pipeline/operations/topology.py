"""How the tables of a state depend on each other, and whether a database can have that state."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from ..errors import PipelineError
from ..schema.model import Table, TableName
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
    sentences = []
    for table in tables.values():
        for key in table.foreign_keys:
            parent = tables.get(key.parent)
            if parent is not None and parent.primary_key == key.parent_attributes:
                continue
            # No state has hidden tables, such as those in which DataJoint 0.14 lists the objects of a store.
            if parent is None and key.parent.schema in schemas and not key.parent.table.startswith("~"):
                sentences.append(f"{table.name} refers to {key.parent}, which is not there.")
            elif parent is not None:  # also one in another order, which MySQL refuses
                was, now = ", ".join(key.parent_attributes), ", ".join(parent.primary_key)
                sentences.append(f"{table.name} refers to ({was}) of {key.parent}, whose primary key is ({now}).")
    if sentences:
        return sentences
    try:
        TopologicalSorter(_parents(tables.values())).prepare()
    except CycleError as error:
        return [_circle(error)]
    return []


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
