"""How the tables of a state depend on each other, and whether a database can have that state."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from ..errors import PipelineError
from ..schema.model import Table, TableName
from .state import Tables


def dangling(tables: Tables, schemas: Container[str]) -> list[str]:
    """Give a sentence for each foreign key of a state that leads nowhere; no database can have such a state.

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
    return sentences


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
    known = {table.name: table for table in tables}
    below: dict[TableName, list[TableName]] = {}
    for name in sorted(known, key=str):
        table = known[name]
        parents = {key.parent for key in table.foreign_keys} | ({table.master} if table.master else set())
        parents |= set((more or {}).get(name, ()))
        below[name] = sorted((parent for parent in parents if parent in known and parent != name), key=str)
    try:
        return list(TopologicalSorter(below).static_order())
    except CycleError as error:
        raise PipelineError(
            "Tables refer to each other in a circle.", " → ".join(map(str, error.args[1])), "Break the circle."
        ) from None
