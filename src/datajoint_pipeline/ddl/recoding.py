"""Values that only DataJoint can convert: those of an attribute that gets another codec, or gets or loses one.

The attribute stays while another one beside it takes the values, row by row, as DataJoint fetches and stores them; then
the new one takes the name, and the old one is put aside like whatever is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import PipelineError
from ..internals.codecs import changes_codec
from ..operations import structure as ops
from ..operations.origins import trace
from ..operations.structure import Operation, Tables
from ..schema.model import Table, TableName
from ..schema.naming import shorten, unused

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Recode(Operation):
    """Give an attribute the values that another one has, by DataJoint's own means."""

    source: str
    target: str
    type: str

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        return dict(tables)

    def inverse(self, tables: Tables) -> Operation:
        raise PipelineError("There is no way back.", f"{self.target} only stands in for {self.source}.", "")


def expanded(
    operations: Iterable[Operation], before: Tables, needed: Callable[[TableName, str, str, str], bool]
) -> list[Operation]:
    """The operations, with what converts values in front of them.

    Parameters
    ----------
    operations : iterable of Operation
        What is to be done.
    before : mapping of TableName to Table
        The tables before it.
    needed : callable
        Given a table, its attribute and the types before and afterwards: whether there are values to convert.
    """
    result, first = list(operations), list[Operation]()
    for (table, name), (number, operation, now) in reversed(_last(result, before).items()):
        was, will, old = operation.before, operation.after, before[table].attribute[name]
        if not changes_codec(old.type, will.type) or not needed(table, name, old.type, will.type):
            continue
        names = {attribute.name for known in (before[table], now[operation.table]) for attribute in known.attributes}
        beside = unused(shorten(f"recoded_{name}"), names)
        between = replace(will, name=beside, nullable=True, default=None)
        first.append(ops.AddAttribute(table, between, before[table].attributes[-1].name))
        first.append(Recode(table, name, beside, will.type))
        order = tuple(a.name for a in now[operation.table].attributes if not a.hidden)
        result[number : number + 1] = [
            ops.DropAttribute(operation.table, was.name),
            ops.RenameAttribute(operation.table, beside, was.name),
            ops.AlterAttribute(operation.table, replace(between, name=was.name), will, operation.fill),
            ops.OrderAttributes(operation.table, order),
        ]
    additions = [op for op in first if isinstance(op, ops.AddAttribute)]
    # Where several are added, each stands behind the one before it.
    last: dict[TableName, str] = {}
    for number, addition in enumerate(additions):
        additions[number] = replace(addition, after=last.get(addition.table, addition.after))
        last[addition.table] = addition.attribute.name
    return [*additions, *(op for op in first if isinstance(op, Recode)), *_in_order(result, last, first)]


def _last(
    operations: list[Operation], before: Tables
) -> dict[tuple[TableName, str], tuple[int, ops.AlterAttribute, dict[TableName, Table]]]:
    """The last operation that gives each attribute a codec or takes it, by the names before: its place, and the tables
    at that point. In between, values need no form of their own."""
    found: dict[tuple[TableName, str], tuple[int, ops.AlterAttribute, dict[TableName, Table]]] = {}
    for number, operation in enumerate(operations):
        if isinstance(operation, ops.AlterAttribute) and operation.using is None:
            was, will = operation.before, operation.after
            if changes_codec(was.type, will.type):
                now, origins = trace(before, operations[:number])
                table = origins.tables.get(operation.table)
                name = origins.attributes.get(operation.table, {}).get(was.name)
                if table is not None and name is not None:
                    found.pop((table, name), None)
                    found[table, name] = (number, operation, now)
    return found


def _in_order(operations: list[Operation], added: Iterable[TableName], first: list[Operation]) -> list[Operation]:
    """Operations that name every attribute of a table, with those that stand beside others for a while behind."""
    beside = {(op.table, op.target) for op in first if isinstance(op, Recode)}
    if not beside:
        return operations
    names = {name for _, name in beside}
    result = []
    left: dict[TableName, list[str]] = {}
    for table, name in sorted(beside, key=lambda pair: pair[1]):
        left.setdefault(table, []).append(name)
    homes = {table: table for table in added}
    for operation in operations:
        if isinstance(operation, ops.RenameTable) and operation.table in homes:
            homes[operation.to] = homes.pop(operation.table)
        home = homes.get(operation.table)
        if home is not None and isinstance(operation, ops.RenameAttribute) and operation.old in names:
            left[home].remove(operation.old)
        if home is not None and isinstance(operation, ops.OrderAttributes) and left[home]:
            operation = replace(operation, order=(*operation.order, *left[home]))
        result.append(operation)
    return result
