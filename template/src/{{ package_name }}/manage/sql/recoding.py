"""Values that only DataJoint can convert: those of an attribute that gets another codec, or gets or loses one.

The attribute stays while another one beside it takes the values, row by row, as DataJoint fetches and stores them; then
the new one takes the name, and the old one is put aside like whatever is dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
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
        with _downloads(connection):
            try:
                table.update1({**key, target: _converted(table, key, source, type_)})
            except Exception as error:
                if trouble.of(error):
                    raise  # the value is not to blame
                raise _unstorable(place, source, key, _reason(error)) from error
    return len(keys) == BATCH


def unstorable(connection: dj.Connection, place: tuple[str, str], source: str, type_: str) -> tuple[int, str]:
    """How many values of an attribute another type cannot hold, and why the first of them; each is looked at."""
    import datajoint as dj

    table = dj.FreeTable(connection, ".".join(map(connection.adapter.quote_identifier, place)))
    codec = table.heading.attributes[source].codec
    if codec is not None and type_.startswith((f"<{codec.name}>", f"<{codec.name}@")):
        return 0, ""  # kept in another place
    keys = (table & f"{connection.adapter.quote_identifier(source)} IS NOT NULL").keys()
    count, why = 0, ""
    for key in keys:
        with _downloads(connection):
            try:
                _try(connection, type_, _converted(table, key, source, type_))
            except Exception as error:
                if trouble.of(error):
                    raise
                count, why = count + 1, why or _reason(error)
    return count, why


@contextmanager
def _downloads(connection: dj.Connection) -> Iterator[None]:
    """A folder for a file that DataJoint fetches. It has it alone, and so keeps its name."""
    with TemporaryDirectory(prefix="datajoint-") as folder, connection._config.override(download_path=folder):
        yield


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def _try(connection: dj.Connection, type_: str, value: Any) -> None:
    """Raise where a type cannot hold a value, as far as that can be told without storing it."""
    import datajoint as dj

    if match := re.fullmatch(r"<(\w+)(?:@(.*))?>", type_):
        codec = dj.get_codec(match[1])
        codec.validate(value)
        if match[1] in ("blob", "attach", "filepath"):  # which write nothing themselves
            codec.encode(value, key={"_config": connection._config}, store_name=match[2] or None)
        if match[1] == "object" and isinstance(value, str) and not Path(value).exists():
            raise ValueError(f"There is no file {value}")
    elif isinstance(value, bytes) != bool(re.search("bytes|blob|binary", type_)) or (
        not type_.startswith("json") and (isinstance(value, (list, tuple, dict, set)) or hasattr(value, "tolist"))
    ):
        raise ValueError(f"It is {type(value).__name__}")


def _converted(table: dj.FreeTable, key: dict[str, Any], source: str, type_: str) -> Any:
    """The value of a row as the new type takes it: of a file or an object what is in it, but for a type for files."""
    import datajoint as dj
    from datajoint.objectref import ObjectRef

    value, codec = (table & key).fetch1(source), table.heading.attributes[source].codec
    if hasattr(value, "load"):  # an array that is fetched when it is asked for
        value = value.load()
    elif isinstance(value, ObjectRef):
        data = value.read()
        value = (Path(value.path).suffix, data) if type_.startswith("<object") else data
    elif codec is not None and codec.name == "attach" and not type_.startswith(("<attach", "<object")):
        value = Path(value).read_bytes()
    elif isinstance(value, memoryview):
        value = bytes(value)
    if type_.startswith("<blob") and isinstance(value, bytes) and value.startswith(_HEADS):
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
