"""Values that only DataJoint can convert: those of an attribute that gets another codec, or gets or loses one.

The attribute stays while another one beside it takes the values, row by row, as DataJoint fetches and stores them; then
the new one takes the name, and the old one is put aside like whatever is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..differences import operations as ops
from ..differences.operations import Operation, Tables
from ..differences.origins import trace
from ..errors import ExitCode, PipelineError
from ..servers import trouble
from ..tables.model import Table, TableName
from ..tables.terms import shorten, unused

if TYPE_CHECKING:
    import datajoint as dj

#: Rows that are converted in one transaction.
BATCH = 200

_HEADS = (b"mYm\0", b"dj0\0", b"ZL123\0")


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


def changes_codec(before: str, after: str) -> bool:
    """Whether a value is written otherwise under the one type than under the other. Where an object is, it says itself:
    another store is none of that."""
    if not (before.startswith("<") or after.startswith("<")):
        return False
    if before == f"{after[1:-1]}, stored as longblob":
        return False  # DataJoint 0.14 named a codec without brackets, and wrote the same bytes
    old, new = (type_.rstrip(">").partition("@") for type_ in (before, after))
    return (old[0], old[1]) != (new[0], new[1])


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


def written(sql: str, *, mysql: bool) -> str:
    """A condition: these bytes are not what ``<blob>`` writes."""
    head = f"HEX(LEFT({sql}, 4))" if mysql else f"UPPER(encode(substr({sql}, 1, 4), 'hex'))"
    marks = ", ".join(repr(mark[:4].hex().upper()) for mark in _HEADS)
    return f"({head} NOT IN ({marks}) OR OCTET_LENGTH({sql}) <= 4)"


# --- Row by row ------------------------------------------------------------------------------------------------------


def run(connection: dj.Connection, place: tuple[str, str], source: str, target: str, type_: str) -> bool:
    """Convert one batch of rows to a type; whether any are left.

    Raises
    ------
    PipelineError
        If a value cannot be stored as the new type has it.
    """
    import datajoint as dj

    quote = connection.adapter.quote_identifier
    table = dj.FreeTable(connection, ".".join(map(quote, place)))
    waiting = table & f"{quote(target)} IS NULL" & f"{quote(source)} IS NOT NULL"
    keys = waiting.keys(limit=BATCH)
    for key in keys:
        value = (table & key).fetch1(source)
        try:
            table.update1({**key, target: _plain(value, type_)})
        except PipelineError:
            raise
        except Exception as error:
            if trouble.of(error):
                raise  # the value is not to blame
            raise _unstorable(place, source, key, " ".join(str(error).split())) from error
    return len(keys) == BATCH


def unstorable(connection: dj.Connection, place: tuple[str, str], source: str, type_: str) -> int:
    """How many values of an attribute a type without a codec cannot hold; all of them are looked at."""
    import datajoint as dj

    if type_.startswith("<"):
        return 0
    table = dj.FreeTable(connection, ".".join(map(connection.adapter.quote_identifier, place)))
    keys = (table & f"{connection.adapter.quote_identifier(source)} IS NOT NULL").keys()
    return sum(not _holds(type_, (table & key).fetch1(source)) for key in keys)


def _holds(type_: str, value: Any) -> bool:
    try:
        value = _plain(value, type_)
    except (TypeError, ValueError):
        return False
    if type_ == "bytes":
        return isinstance(value, bytes)
    return type_.startswith("json") or (
        not isinstance(value, (list, tuple, dict, set)) and not hasattr(value, "tolist")
    )


def _plain(value: Any, type_: str) -> Any:
    """A value as the new type takes it."""
    if isinstance(value, memoryview):
        value = bytes(value)
    if type_.startswith("<blob") and isinstance(value, bytes) and value.startswith(_HEADS):
        import datajoint as dj

        with suppress(Exception):  # bytes that begin like a blob and are none
            return dj.get_codec("blob").decode(value)
    if type_.startswith("json"):
        return json.loads(json.dumps(value, default=_json))
    return value


def _json(value: Any) -> Any:
    for name in ("tolist", "isoformat"):
        if hasattr(value, name):
            return getattr(value, name)()
    raise TypeError(f"JSON has no {type(value).__name__}")


def _unstorable(place: tuple[str, str], source: str, key: dict[str, Any], why: str) -> PipelineError:
    return PipelineError(
        f"A value of {source} in {'.'.join(place)} cannot be converted, that of {key}.",
        f"{why.rstrip('.')}. Every value is still there.",
        "Correct that row, then run migrate again.",
        exit_code=ExitCode.INTERRUPTED,
    )
