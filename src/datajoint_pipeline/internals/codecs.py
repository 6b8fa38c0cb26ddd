"""Values that only DataJoint can read and write: those of attributes with a codec."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import server_errors
from ..errors import ExitCode, PipelineError
from ..quoting import quoter
from .connection import downloads

if TYPE_CHECKING:
    import datajoint as dj

#: Rows that are converted in one transaction.
BATCH = 200

#: What bytes begin with that ``<blob>`` has written.
_HEADS = (b"mYm\0", b"dj0\0", b"ZL123\0")


def blob(value: Any) -> bytes:
    """Give what ``<blob>`` writes for a value."""
    from datajoint.blob import pack

    packed: bytes = pack(value)
    return packed


def not_a_blob(sql: str, *, mysql: bool) -> str:
    """Give the condition that bytes are not what ``<blob>`` stores."""
    head = f"HEX(LEFT({sql}, 4))" if mysql else f"UPPER(encode(substr({sql}, 1, 4), 'hex'))"
    marks = ", ".join(repr(mark[:4].hex().upper()) for mark in _HEADS)
    return f"({head} NOT IN ({marks}) OR OCTET_LENGTH({sql}) <= 4)"


def convert(connection: dj.Connection, place: tuple[str, str], source: str, target: str, type_: str) -> bool:
    """Convert one batch of rows to a type, and tell whether any may be left.

    Raises
    ------
    PipelineError
        If a value cannot be stored as the new type has it.
    """
    import datajoint as dj

    quote = quoter(connection)
    table = dj.FreeTable(connection, ".".join(map(quote, place)))
    waiting = table & f"{quote(target)} IS NULL" & f"{quote(source)} IS NOT NULL"
    keys = waiting.keys(limit=BATCH)
    for key in keys:
        with downloads(connection):
            try:
                table.update1({**key, target: _converted(table, key, source, type_)})
            except Exception as error:
                if server_errors.of(error):
                    raise  # the value is not to blame
                raise _unstorable(place, source, key, _reason(error)) from error
    return len(keys) == BATCH


def unstorable(connection: dj.Connection, place: tuple[str, str], source: str, type_: str) -> tuple[int, str]:
    """Count the values of an attribute that another type cannot hold, and say why of the first; each is looked at."""
    import datajoint as dj

    quote = quoter(connection)
    table = dj.FreeTable(connection, quote(*place))
    codec = table.heading.attributes[source].codec
    if codec is not None and type_.startswith((f"<{codec.name}>", f"<{codec.name}@")):
        return 0, ""  # kept in another place
    keys = (table & f"{quote(source)} IS NOT NULL").keys()
    count, why = 0, ""
    for key in keys:
        with downloads(connection):
            try:
                _try(connection, type_, _converted(table, key, source, type_))
            except Exception as error:
                if server_errors.of(error):
                    raise
                count, why = count + 1, why or _reason(error)
    return count, why


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
    """Give a value as the new type takes it: the content of a file or an object, except for a type for files."""
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
