"""Values that only DataJoint can convert: those of an attribute that gets another codec, or gets or loses one.

The attribute stays while another one beside it takes the values, row by row, as DataJoint fetches and stores them. Then
the new one takes the name, and the old one is soft-deleted like whatever is dropped.

Where others write meanwhile (MySQL), a hidden attribute says of each row whether it was converted as it is now: whoever
changes the row sets it to the time. That the new value is null says nothing: null may be what the row was converted to,
and a value may be of a row that was changed since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ..errors import PipelineError
from ..internals.codecs import MARK
from ..operations import structure as ops
from ..operations.base import MAJOR, Operation
from ..operations.state import LineContext, Tables
from ..operations.structure import trace
from ..schema.compatibility import changes_codec
from ..schema.model import Attribute, Table, TableName
from ..schema.naming import shorten, unused


@dataclass(frozen=True)
class Recode(Operation):
    """Give an attribute the values of another one, as DataJoint fetches and stores them.

    ``kept`` is a soft-deleted attribute from which the values were once made, of the type that they have now, ``was``.
    """

    source: str
    target: str
    type: str
    mark: str = ""
    kept: str = ""
    was: str = ""

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        return dict(tables)

    def inverse(self, tables: Tables) -> Operation:
        raise PipelineError("There is no way back.", f"{self.target} only stands in for {self.source}.", "")

    def describe(self) -> str:
        return f"{self.title}: the values of {self.source} are converted to {self.type}"

    def bump(self) -> str:
        return MAJOR

    def render(self, context: LineContext, *, ask: bool = False) -> str:
        raise NotImplementedError("A conversion stands in no file; it follows from the attribute that is altered.")


#: The type of what says whether a row was converted; any later change of the row, by anybody, changes it.
_MARK = "native timestamp(6) ON UPDATE CURRENT_TIMESTAMP(6)"


def expanded(
    operations: Iterable[Operation],
    before: Tables,
    needed: Callable[[TableName, str, str, str], bool],
    *,
    marked: bool = False,
) -> list[Operation]:
    """Give the operations, with those that convert values in front of them.

    Parameters
    ----------
    operations : iterable of Operation
        Those of the migration.
    before : mapping of TableName to Table
        The tables before it.
    needed : callable
        Given a table, its attribute and the types before and afterwards: whether there are values to convert.
    marked : bool
        Whether others write while values are converted, so that rows have to be marked.
    """
    result, first = list(operations), list[Operation]()
    for (table, name), (number, operation, tables) in reversed(_last(result, before).items()):
        was, will, old = operation.before, operation.after, before[table].attribute[name]
        if not changes_codec(old.type, will.type) or not needed(table, name, old.type, will.type):
            continue
        names = {attribute.name for known in (before[table], tables[operation.table]) for attribute in known.attributes}
        beside = unused(shorten(f"recoded_{name}"), names)
        between = replace(will, name=beside, nullable=True, default=None)
        first.append(ops.AddAttribute(table, between, before[table].attributes[-1].name))
        marks = [Attribute(unused(shorten(f"{MARK}{name}"), names), _MARK, nullable=True)] if marked else []
        first += [ops.AddAttribute(table, one, beside) for one in marks]
        mark = marks[0].name if marks else ""
        first.append(Recode(table, name, beside, will.type, mark, operation.kept, old.type if operation.kept else ""))
        order = tuple(a.name for a in tables[operation.table].attributes if not a.hidden)
        result[number : number + 1] = [
            *(ops.DropAttribute(operation.table, one.name) for one in marks),
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
    """Find the last operation that gives each attribute a codec or takes it, by table and attribute before.

    Each has its number, and the tables at that point. In between, values need no form of their own.
    """
    found: dict[tuple[TableName, str], tuple[int, ops.AlterAttribute, dict[TableName, Table]]] = {}
    for number, operation in enumerate(operations):
        if isinstance(operation, ops.AlterAttribute) and operation.using is None:
            was, will = operation.before, operation.after
            if changes_codec(was.type, will.type):
                tables, origins = trace(before, operations[:number])
                table = origins.tables.get(operation.table)
                name = origins.attributes.get(operation.table, {}).get(was.name)
                if table is not None and name is not None:
                    found.pop((table, name), None)
                    found[table, name] = (number, operation, tables)
    return found


def _in_order(operations: list[Operation], added: Iterable[TableName], first: list[Operation]) -> list[Operation]:
    """Add the attributes that stand beside others for a while to the operations that order a table's attributes."""
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
