"""Values that only DataJoint can read and write: those of attributes with a codec."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import server_errors
from ..errors import ExitCode, PipelineError
from ..quoting import quoter
from ..schema import notation
from . import old_objects, plain_values, stores
from .connection import downloads, literals, longest_statement, refuse_long, whole_bytes
from .keys import restriction
from .old_objects import OldObjects, Stored, kind_of

if TYPE_CHECKING:
    import datajoint as dj

#: Rows that are converted in one transaction.
BATCH = 200

#: Bytes of values that are fetched at once.
_AT_ONCE = 4 << 20

#: More bytes than the words and names have of a statement that stores a value.
_AROUND = 4096

#: What the names of attributes begin with that say whether a row was converted.
MARK = "_converted_"

#: The mark of a converted row, whatever the session's time zone is; nobody changes a row at that time.
_CONVERTED = "FROM_UNIXTIME(31536001)"

#: What bytes begin with that ``<blob>`` has written.
_HEADS = (b"mYm\0", b"dj0\0", b"ZL123\0")


def blob(value: Any) -> bytes:
    """Give what ``<blob>`` writes for a value."""
    from datajoint.blob import pack

    packed: bytes = pack(value)
    return packed


def text_of_blob(value: Any) -> str:
    """Give a text that ``<blob>`` has written; empty where it is none, as anybody may have written it."""
    from datajoint.blob import unpack

    try:
        found = unpack(bytes(value)) if value is not None else ""
    except Exception:
        return ""
    return found if isinstance(found, str) else ""


def not_a_blob(sql: str, *, mysql: bool) -> str:
    """Give the condition that bytes are not what ``<blob>`` stores."""
    head = f"HEX(LEFT({sql}, 4))" if mysql else f"UPPER(encode(substr({sql}, 1, 4), 'hex'))"
    marks = ", ".join(repr(mark[:4].hex().upper()) for mark in _HEADS)
    return f"({head} NOT IN ({marks}) OR OCTET_LENGTH({sql}) <= 4)"


def convert(
    connection: dj.Connection,
    place: tuple[str, str],
    source: str,
    target: str,
    type_: str,
    *,
    mark: str = "",
    alone: bool = True,
    kept: tuple[str, str] | None = None,
) -> bool:
    """Convert one batch of rows to a type, and tell whether any may be left.

    Parameters
    ----------
    connection : Connection
        The session.
    place : tuple of str
        Database and name of the table.
    source, target, type_ : str
        The attribute whose values are converted, that which gets them, and its type.
    mark : str
        The hidden attribute that any change of a row sets to the time, where others write meanwhile (MySQL).
    alone : bool
        Whether nobody else writes at this moment. Otherwise rows that were changed since they were converted are left
        for later: who writes without a pause would be run after without an end.
    kept : tuple of (str, str), optional
        A hidden attribute with the values that those of ``source`` were made from, and the type of ``source``: where a
        value is still what was made of it, that one is taken.

    Raises
    ------
    PipelineError
        If a value cannot be stored as the new type has it.
    """
    import datajoint as dj

    quote = quoter(connection)
    table = dj.FreeTable(connection, ".".join(map(quote, place)))
    rows = _Marked(table, source, target, mark, alone) if mark else _Locked(table, source, target)
    waiting = rows.waiting()
    versions = {tuple(row.key.values()): row.version for row in waiting}
    old, left = _old_objects(table, source), {tuple(row.key.values()) for row in waiting}
    before = _Before(table, *kept) if kept else None
    for key, value in _fetched(table, waiting, source):
        if value is None:  # to its codec, whatever is stored
            left.discard(tuple(key.values()))
            continue
        taken: Any = before
        try:
            if before is not None and before.became(key, value):
                pass
            elif old is not None:
                taken = old.stored(value, type_)
            else:
                _try(connection, type_, taken := _as_taken(table, value, source, type_))
            if rows.store(key, versions[tuple(key.values())], taken):
                left.discard(tuple(key.values()))
        except Exception as error:
            if server_errors.of(error):
                raise  # the value is not to blame
            raise _unstorable(place, source, key, server_errors.in_one_line(str(error))) from error
    if alone and left and (lost := left & {tuple(row.key.values()) for row in rows.waiting()}):
        key = dict(zip(table.primary_key, min(lost), strict=True))
        raise PipelineError(
            f"A row of {'.'.join(place)} is not found by its key: {key}.",
            f"Its value of {source} cannot be converted. Every value is still there.",
            "Give the row another key, then run migrate again.",
            exit_code=ExitCode.INTERRUPTED,
        )
    if len(waiting) == BATCH:
        return True
    if alone:
        rows.clear()
    return False


class _Before:
    """The values from which those of an attribute were once made: what a migration soft-deleted that is taken back.

    They are exact, where a conversion there and back need not be: JSON has no arrays, and bytes have no file name.
    """

    def __init__(self, table: dj.FreeTable, name: str, was: str) -> None:
        import datajoint as dj

        #: How a statement names it.
        self.sql = quoter(table.connection)(name)
        self._table, self._name, self._was = dj.FreeTable(table.connection, table.full_table_name), name, was
        heading = self._table.heading
        hidden = heading.attributes and heading._attributes[name]  # which are there once the others are read
        heading._attributes[name] = hidden._replace(is_hidden=False)

    def became(self, key: dict[str, Any], value: Any) -> bool:
        """Tell whether a value is what a row's old one became; where that cannot be told, it is not."""
        if self._was.startswith(_OF_FILES):  # of which a value is where one was copied to
            return False
        try:
            with downloads(self._table.connection):
                (row,) = (self._table & restriction(self._table, key)).proj(self._name).to_dicts()
                if (old := row[self._name]) is None:
                    return False
                made = _as_taken(self._table, old, self._name, self._was)
                value = value.load() if hasattr(value, "load") else value
                return not plain_values.difference(made, value)
        except Exception as error:
            if server_errors.of(error):
                raise
            return False


#: What types begin with whose values are files.
_OF_FILES = ("<attach", "<filepath", "<object")


class _Waiting(NamedTuple):
    """A row whose value is to be converted: its key, about how many bytes the value takes, and the row's version."""

    key: dict[str, Any]
    size: int
    version: object = None


def _there(table: dj.FreeTable, source: str) -> str:
    """Give the condition that there is a value, which the null of JSON is not."""
    name, mysql = quoter(table.connection)(source), table.connection.adapter.backend == "mysql"
    if not table.heading.attributes[source].json:
        return f"{name} IS NOT NULL"
    # In small letters DataJoint would take the type for an attribute.
    null = f"JSON_TYPE({name}) = 'NULL'" if mysql else f"CAST({name} AS TEXT) = 'null'"
    return f"{name} IS NOT NULL AND NOT {null}"


def _size(table: dj.FreeTable, source: str) -> str:
    """Give the expression for about how many bytes a value takes."""
    mysql = table.connection.adapter.backend == "mysql"
    return f"{'LENGTH' if mysql else 'pg_column_size'}({quoter(table.connection)(source)})"


def _waiting(rows: dj.FreeTable, key: Iterable[str], source: str, version: str = "NULL", **more: Any) -> list[_Waiting]:
    names = {f"{source}_size": _size(rows, source), f"{source}_version": version}
    key = list(key)
    found = rows.proj(**names).to_dicts(**more)
    return [_Waiting({name: row[name] for name in key}, *(row[name] or 0 for name in names)) for row in found]


def _fetched(table: dj.FreeTable, waiting: Iterable[_Waiting], source: str) -> Iterator[tuple[dict[str, Any], Any]]:
    """Give keys and values of rows, several at once where they are small; none of rows that somebody deleted meanwhile.

    What is fetched as a file is there until the next is asked for.
    """
    attribute = table.heading.attributes[source]
    alone = attribute.store is not None or (attribute.codec is not None and attribute.codec.name != "blob")
    for rows in _divided(waiting, 1 if alone else BATCH):
        with downloads(table.connection):
            for row in _read(table, [waits.key for waits in rows], source):
                yield row, row.pop(source)


def _read(table: dj.FreeTable, keys: list[dict[str, Any]], source: str) -> list[dict[str, Any]]:
    """Read the keys and values of rows.

    Raises
    ------
    PipelineError
        If DataJoint cannot read a value.
    """
    attribute, rows = table.heading.attributes[source], table & [restriction(table, key) for key in keys]
    single = table.connection.adapter.backend == "mysql" and attribute.type.startswith("float")
    try:
        if single:  # whose digits the server does not give all
            exact = f"CAST({quoter(table.connection)(source)} AS DOUBLE)"
            found = rows.proj(**{f"{source}_exact": exact}).to_dicts()
            return [{source: plain_values.single(row.pop(f"{source}_exact")), **row} for row in found]
        with whole_bytes(table.connection):
            return list(rows.proj(source).to_dicts())
    except Exception as error:
        if server_errors.of(error) or isinstance(error, PipelineError):
            raise
        if len(keys) > 1:
            return [row for key in keys for row in _read(table, [key], source)]
        raise _unreadable(table, keys[0], source, server_errors.in_one_line(str(error)).rstrip(".")) from error


def _unreadable(table: dj.FreeTable, key: dict[str, Any], source: str, why: str) -> PipelineError:
    return PipelineError(
        f"DataJoint cannot read the value of {source} in {table.database}.{table.table_name}, that of {key}.",
        f"{why}. Every value is still there.",
        "Correct that row, or give the values in Python (RunPython) to another attribute.",
    )


def _divided(waiting: Iterable[_Waiting], most: int) -> Iterator[list[_Waiting]]:
    rows, size = list[_Waiting](), 0
    for row in waiting:
        if rows and (len(rows) >= most or size + row.size > _AT_ONCE):
            yield rows
            rows, size = [], 0
        rows.append(row)
        size += row.size
    if rows:
        yield rows


def _update(
    table: dj.FreeTable, key: dict[str, Any], target: str, value: Any, more: str = "", condition: str = ""
) -> bool:
    """Store a value of a row as DataJoint does, in one statement; ``more`` is set along, under one more condition.

    Tells whether there was such a row.
    """
    from datajoint.condition import make_condition

    place, stored = "%s", value.text if isinstance(value, Stored) else value
    if isinstance(value, _Before):  # which another row of that key has not
        place, stored, condition = value.sql.replace("%", "%%"), None, f"{condition} AND {value.sql} IS NOT NULL"
    elif not isinstance(value, Stored):
        _, place, stored = table._Table__make_placeholder(target, value)
    sql = (
        f"UPDATE {table.full_table_name} SET {quoter(table.connection)(target)} = {place}{more} "
        f"WHERE ({make_condition(table, restriction(table, key), set())}){condition}"
    )
    return bool(table.connection.query(sql, args=() if stored is None else (stored,), reconnect=False).rowcount)


class _Locked:
    """The rows of a table that nobody else writes: the new value says whether a row was converted."""

    def __init__(self, table: dj.FreeTable, source: str, target: str) -> None:
        self._table, self._source, self._target, quote = table, source, target, quoter(table.connection)
        self._rows = table & f"{quote(target)} IS NULL" & _there(table, source)

    def waiting(self) -> list[_Waiting]:
        """Give the rows that are to be converted."""
        return _waiting(self._rows, self._table.primary_key, self._source, limit=BATCH)

    def store(self, key: dict[str, Any], version: object, value: Any) -> bool:
        """Store the new value of a row, if the row is still of that version; tell whether it was."""
        return _update(self._table, key, self._target, value)

    def clear(self) -> None:
        """Take the new value from rows that have no old one any more; here there are none."""


class _Marked:
    """The rows of a table that others write meanwhile: their mark says whether a row was converted as it is now.

    An update by anybody sets the mark to the time, as the server does by itself where a statement does not assign it; a
    row that was inserted has none. The row that is read may be deleted, and another one inserted with its key: what is
    stored for the first is not meant for the second, unless that has the same value.
    """

    def __init__(self, table: dj.FreeTable, source: str, target: str, mark: str, alone: bool) -> None:
        self._table, self._target, self._alone = table, target, alone
        self._full, quote = table.full_table_name, quoter(table.connection)
        self._name, self._source, self._quoted, self._mark = source, quote(source), quote(target), quote(mark)
        # To assign the other marks keeps them: the row is not changed for them.
        hidden = table.heading.attributes and table.heading._attributes  # which are there once the others are read
        others = [name for name in hidden if name.startswith(MARK) and name != mark]
        self._others = "".join(f", {quote(name)} = {quote(name)}" for name in others)
        # As a text, a float of four bytes has not all of its digits.
        single = str(table.heading.attributes[source].type).startswith("float")
        value = f"CAST({self._source} AS DOUBLE)" if single else self._source
        self._version = f"CONCAT(COALESCE(UNIX_TIMESTAMP({self._mark}), 0), '_', SHA2({value}, 256))"

    def waiting(self) -> list[_Waiting]:
        """Give the rows that are to be converted."""
        rows = self._table & _there(self._table, self._name) & f"NOT ({self._mark} <=> {_CONVERTED})"
        if not self._alone:
            rows &= f"{self._quoted} IS NULL"
        return _waiting(rows, self._table.primary_key, self._name, self._version, limit=BATCH)

    def store(self, key: dict[str, Any], version: object, value: Any) -> bool:
        """Store the new value of a row, if the row is still of that version; tell whether it was."""
        more = f", {self._mark} = {_CONVERTED}{self._others}"
        same = f" AND {self._version} = '{version}'"
        return _update(self._table, key, self._target, value, more, same)

    def clear(self) -> None:
        """Take the new value from rows that have no old one any more."""
        sql = (
            f"UPDATE {self._full} SET {self._quoted} = NULL{self._others} "
            f"WHERE {self._source} IS NULL AND {self._quoted} IS NOT NULL"
        )
        self._table.connection.query(sql, args=None, reconnect=False)


class Unstorable(NamedTuple):
    """What another type cannot hold of an attribute.

    Parameters
    ----------
    values : int
        How many values it cannot hold at all.
    why : str
        Why the first of them.
    arrays : int
        How many it holds in another form: NumPy's arrays and numbers as lists and plain numbers.
    """

    values: int = 0
    why: str = ""
    arrays: int = 0


def unstorable(
    connection: dj.Connection,
    place: tuple[str, str],
    source: str,
    type_: str,
    lost: Callable[[str], str],
    kept: tuple[str, str] | None = None,
) -> Unstorable:
    """Count the values of an attribute that another type cannot hold; each is looked at.

    ``lost`` gives the characters of a text that the table cannot have; ``kept`` is what :func:`convert` has.

    Raises
    ------
    PipelineError
        If there are values for a store that cannot be used.
    """
    import datajoint as dj

    quote = quoter(connection)
    table = dj.FreeTable(connection, quote(*place))
    codec = table.heading.attributes[source].codec
    if _old_objects(table, source) is not None:
        return Unstorable()  # which are copied as they are; :func:`unreadable` looks at them
    if "@" in type_ and table & f"{quote(source)} IS NOT NULL":
        stores.refuse_unusable(connection._config, type_.partition("@")[2].rstrip(">"))
    if codec is not None and type_.startswith((f"<{codec.name}>", f"<{codec.name}@")):
        return Unstorable()  # kept in another place
    if codec is not None and codec.name == "blob" and table.heading.attributes[source].store is None:
        # DataJoint reads nothing of them, and says so with None.
        others = table & not_a_blob(quote(source), mysql=connection.adapter.backend == "mysql")
        for key in others.proj().to_dicts(limit=1):
            raise _unreadable(table, key, source, "It is not what <blob> writes")
    waiting = _waiting(table & _there(table, source), table.primary_key, source)
    count, why, arrays, most = 0, "", 0, longest_statement(connection)
    before = _Before(table, *kept) if kept else None
    for key, value in _fetched(table, waiting, source):
        if value is None or (before is not None and before.became(key, value)):
            continue
        stored = None
        try:
            taken = _as_taken(table, value, source, type_)
            stored = _try(connection, type_, taken)
            if notation.is_text(notation.normal_type(type_)) and (signs := lost(str(stored))):
                raise ValueError(f"The texts of that table do not have {signs}")
            value = value.load() if hasattr(value, "load") else value
            arrays += type_.startswith("json") and plain_values.plain(value) is not value
        except Exception as error:
            if server_errors.of(error):
                raise
            count, why = count + 1, why or server_errors.in_one_line(str(error))
        size = _AROUND + literals(stored, *key.values())
        refuse_long(size, most, f"The value of {source} in {'.'.join(place)}, that of {key},")
    return Unstorable(count, why, arrays)


def _try(connection: dj.Connection, type_: str, value: Any) -> object:
    """Raise where a type cannot hold a value, as far as that can be told without storing it; else give what is stored.

    Of what goes to a store, a row has little; another codec that writes by itself is not tried.
    """
    import datajoint as dj

    if match := re.fullmatch(r"<(\w+)(?:@(.*))?>", type_):
        codec = dj.get_codec(match[1])
        codec.validate(value)
        if match[1] in ("blob", "attach", "filepath"):  # which write nothing themselves
            stored: object = codec.encode(value, key={"_config": connection._config}, store_name=match[2] or None)
            if match[1] == "blob":
                _refuse_another(value, codec.decode(stored))
            return stored if match[2] is None else None
        if match[1] == "object" and isinstance(value, str) and not Path(value).exists():
            raise ValueError(f"There is no file {value}")
    elif type_.startswith("json"):
        _refuse_another(value, plain_values.from_json(value, mysql=connection.adapter.backend == "mysql"))
        return json.dumps(value)
    elif isinstance(value, bytes) != bool(re.search("bytes|blob|binary", type_)) or (
        isinstance(value, (list, tuple, dict, set)) or hasattr(value, "tolist")
    ):
        raise ValueError(f"It is {type(value).__name__}")
    else:
        plain_values.refuse_unheld(value, type_, mysql=connection.adapter.backend == "mysql")
        return value
    return None


def _refuse_another(value: Any, back: Any) -> None:
    """Raise where a value would come back as another one."""
    if why := plain_values.difference(value, back):
        raise ValueError(why)


def _old_objects(table: dj.FreeTable, source: str) -> OldObjects | None:
    """Give the objects whose numbers an attribute has, where DataJoint 0.14 made it."""
    kind = kind_of(table.heading.attributes[source].original_type or "")
    return OldObjects(table.connection, table.database, *kind) if kind else None


def unreadable(connection: dj.Connection, place: tuple[str, str], source: str, type_: str) -> list[tuple[int, str]]:
    """Find the objects of DataJoint 0.14 that an attribute has the numbers of and that cannot be copied for a type.

    Each is read. Gives how many cannot be copied for a reason, and the reason.
    """
    import datajoint as dj

    table = dj.FreeTable(connection, ".".join(map(quoter(connection), place)))
    kind = kind_of(table.heading.attributes[source].original_type or "")
    return old_objects.unreadable(connection, place, source, kind, type_) if kind else []


def _as_taken(table: dj.FreeTable, value: Any, source: str, type_: str) -> Any:
    """Give a value as a type takes it: the content of a file or an object, except for a type for files."""
    import datajoint as dj
    from datajoint.objectref import ObjectRef

    codec = table.heading.attributes[source].codec
    if hasattr(value, "load"):  # an array that is fetched when it is asked for
        value = value.load()
    elif isinstance(value, ObjectRef) and type_.startswith("<attach") and not value.is_dir:
        value = str(value.download(table.connection._config.download_path))
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
    return plain_values.plain(value) if type_.startswith("json") else value


def _unstorable(place: tuple[str, str], source: str, key: dict[str, Any], why: str) -> PipelineError:
    return PipelineError(
        f"A value of {source} in {'.'.join(place)} cannot be converted, that of {key}.",
        f"{why.rstrip('.')}. Every value is still there.",
        "Correct that row, or the store, then run migrate again.",
        exit_code=ExitCode.INTERRUPTED,
    )
