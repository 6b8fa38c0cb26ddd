"""Objects of DataJoint 0.14: it lists those of a store in ``~external_<store>`` and has their numbers in the rows.

The number is the MD5 sum of what DataJoint keeps of a value now under a name of the same sum. So an object is copied as
it is, and the number of a row tells what the row has afterwards. Files of ``filepath`` stay where they are.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from .. import server_errors
from ..quoting import quoter

if TYPE_CHECKING:
    import datajoint as dj

#: What 0.14 notes in the comment of such an attribute.
_MARKER = re.compile(r"(blob|attach|filepath)@([\w-]+)")

#: What the names of its lists of objects begin with.
LIST = "~external_"

#: What the names of the hidden tables begin with that refer to all that such a list has.
KEPT = "~kept_"

#: How 0.14 spreads objects over folders unless its settings say otherwise.
_FOLDERS = (2, 2)

#: Bytes that are read at once of a file that stays where it is.
_CHUNK = 2**22


class Stored(NamedTuple):
    """What a column is to hold, as it stands there."""

    text: str


class Unreadable(Exception):
    """An object cannot be read, or is not what was stored; in words."""


def kind_of(type_: str) -> tuple[str, str] | None:
    """Give codec and store of an attribute whose values are numbers of objects of 0.14; None for any other.

    Parameters
    ----------
    type_ : str
        What DataJoint 0.14 noted, or how the model writes such a type.
    """
    match = _MARKER.fullmatch(type_.removesuffix(", stored as binary(16)"))
    return (match[1], match[2]) if match else None


def converts(before: str, after: str) -> bool:
    """Tell whether a type holds what another of 0.14 has the numbers of."""
    kind = kind_of(before)
    return kind is not None and re.fullmatch(rf"<{kind[0]}@[\w-]*>", after) is not None


@dataclass
class OldObjects:
    """The objects of one attribute.

    Parameters
    ----------
    connection : Connection
        The session, whose settings have the stores.
    database : str
        Where the rows are, and the list of the objects.
    codec, store : str
        As :func:`kind_of` gives them.
    """

    connection: dj.Connection
    database: str
    codec: str
    store: str

    def __post_init__(self) -> None:
        self._known: dict[bytes, Mapping[str, Any]] = {}

    @property
    def _config(self) -> Any:
        return self.connection._config

    @cached_property
    def _backend(self) -> Any:
        return self._backend_of(self.store)

    def _backend_of(self, store: str | None) -> Any:
        from datajoint.hash_registry import get_store_backend

        if store is None and self.codec == "filepath":
            store = self._config.stores.get("filepath_default")
        return get_store_backend(store, config=self._config)

    def stored(self, number: bytes, type_: str) -> Stored:
        """Copy an object to where the codec of a type keeps it, read it back, and give what the column then holds.

        Raises
        ------
        Unreadable
            If it cannot be read, or what was read back is something else.
        """
        from datajoint.hash_registry import get_hash, put_hash

        to = _store_of(type_)
        if self.codec == "filepath":
            return Stored(json.dumps(self._reference(number, to)))
        content = self._content(number)
        found = put_hash(content, self.database, to, config=self._config)
        if get_hash(found, config=self._config) != content:
            raise Unreadable(f"{found['path']} is not what was written there")
        return Stored(json.dumps(found))

    def refused(self, numbers: list[bytes], type_: str = "") -> Iterator[tuple[int, str]]:
        """Give how many objects cannot be read, or copied for a type, for a reason that names them; each is read."""
        to = _store_of(type_) if type_ else self.store
        for name in dict.fromkeys((self.store, to)):
            try:
                backend = self._backend_of(name)
                # A bucket is asked, too, so that a server that does not answer is not waited for once an object.
                if not backend.exists("") and backend.protocol == "file":
                    raise Unreadable(f"there is no folder {backend._full_path('')}")
            except Exception as error:
                why = server_errors.in_one_line(str(error))
                yield len(numbers), f"the store {name or 'that is the default'} cannot be reached ({why})"
                return
        for number in numbers:
            try:
                if self.codec == "filepath":
                    self._look(number)
                    self._reference(number, to)
                else:
                    self._content(number)
            except Exception as error:
                if server_errors.of(error):
                    raise  # the object is not to blame
                yield 1, f"{UUID(bytes=number)}: {server_errors.in_one_line(str(error))}"

    def is_of(self, number: bytes, text: str) -> bool:
        """Tell whether a column still holds what :meth:`stored` gave of an object."""
        value = json.loads(text)
        if self.codec == "filepath":
            return bool(value.get("path") == self._listed(number)["filepath"])
        listed = self._listed(number)
        if self.codec == "blob" and listed["filepath"] is not None:
            number = hashlib.md5(self._content(number)).digest()  # its number is of another kind
        return bool(value.get("hash") == base64.b32encode(number).decode().rstrip("=").lower())

    def _listed(self, number: bytes) -> Mapping[str, Any]:
        """Give the row of an object in the list of 0.14."""
        quote = quoter(self.connection)
        sql = (
            f"SELECT size, attachment_name, filepath, contents_hash FROM {quote(self.database)}."
            f"{quote(LIST + self.store)} WHERE hash = %s"
        )
        if number not in self._known:
            row = self.connection.query(sql, (number,), as_dict=True, reconnect=False).fetchone()
            if row is None:
                raise Unreadable(f"{LIST}{self.store} does not list it")
            self._known[number] = dict(row)
        return self._known[number]

    def _content(self, number: bytes) -> bytes:
        """Read what the codec of now keeps of an object: a blob as it is, an attachment behind its name."""
        listed = self._listed(number)
        head = b""
        if self.codec == "attach":
            head = f"{listed['attachment_name']}\0".encode()
        paths = [*self._paths(number, listed)]
        path = next((path for path in paths if self._backend.exists(path)), None)
        if path is None:
            raise Unreadable(f"{self._backend._full_path(paths[0])} is missing")
        content: bytes = head + self._backend.get_buffer(path)
        foreign = self.codec == "blob" and listed["filepath"] is not None
        if not foreign and hashlib.md5(content).digest() != number:
            raise Unreadable(f"{self._backend._full_path(path)} is not what was stored")
        return content

    def _paths(self, number: bytes, listed: Mapping[str, Any]) -> Iterator[str]:
        """Give the places where an object may be."""
        name = number.hex()
        end = f".{listed['attachment_name']}" if self.codec == "attach" else ""
        own = tuple(self._backend.spec.get("subfolding") or ())
        for folders in dict.fromkeys((_FOLDERS, own, ())):
            parts, start = list[str](), 0
            for size in folders:
                parts.append(name[start : start + size])
                start += size
            yield "/".join([self.database, *parts, name + end])
        if self.codec == "blob" and listed["filepath"]:
            yield str(listed["filepath"])  # as 0.11 called it

    def _reference(self, number: bytes, store: str | None) -> dict[str, Any]:
        """Give what a column holds of a file that stays where it is."""
        from datajoint import get_codec

        path, context = str(self._listed(number)["filepath"]), {"_config": self._config}
        found: dict[str, Any] = get_codec("filepath").encode(path, key=context, store_name=store)
        return found

    def _look(self, number: bytes) -> None:
        """Read a file that stays where it is, and hold it against what was noted of it."""
        listed = self._listed(number)
        path, known = str(listed["filepath"]), listed["contents_hash"]
        full = self._backend._full_path(path)
        if not self._backend.exists(path):
            raise Unreadable(f"{full} is missing")
        if self._backend.size(path) != listed["size"]:
            raise Unreadable(f"{full} has another size than what was stored")
        if known is not None:
            digest = hashlib.md5()
            with self._backend.open(path) as file:
                while part := file.read(_CHUNK):
                    digest.update(part)
            if digest.digest() != known:
                raise Unreadable(f"{full} is not what was stored")


def _store_of(type_: str) -> str | None:
    """Give the store that a type names; None for the one that is the default."""
    return type_[1:-1].partition("@")[2] or None


def unreadable(
    connection: dj.Connection, place: tuple[str, str], column: str, kind: tuple[str, str], type_: str = ""
) -> list[tuple[int, str]]:
    """Find the objects that a column has the numbers of and that cannot be read, or copied; each is read.

    Gives how many cannot be for a reason, and the reason, which names them or their store.

    Parameters
    ----------
    connection : Connection
        The session.
    place : tuple of str
        Database and name of the table.
    column : str
        The column.
    kind : tuple of str
        As :func:`kind_of` gives it.
    type_ : str
        What they are to become, if anything.
    """
    quote = quoter(connection)
    sql = f"SELECT DISTINCT {quote(column)} FROM {quote(place[0])}.{quote(place[1])} WHERE {quote(column)} IS NOT NULL"
    numbers = sorted(number for (number,) in connection.query(sql, args=None, reconnect=False).fetchall())
    return list(OldObjects(connection, place[0], *kind).refused(numbers, type_)) if numbers else []


def keep(connection: dj.Connection, database: str) -> None:
    """Have clients of 0.14 see every object that a database lists as used, for they delete those that are not.

    0.14 takes an object for used where a table refers to it by a foreign key, and adopting drops those. A hidden table
    that refers to all of them has nothing else to do. It may be called again, and then adds what came since.
    """
    quote = quoter(connection)
    for name in _beginning(connection, database, LIST):
        listed = f"{quote(database)}.{quote(name)}"
        kept = f"{quote(database)}.{quote(KEPT + name.removeprefix(LIST))}"
        connection.query(
            f"CREATE TABLE IF NOT EXISTS {kept} ({quote('hash')} binary(16) NOT NULL COMMENT ':uuid:', "
            f"PRIMARY KEY ({quote('hash')}), FOREIGN KEY ({quote('hash')}) REFERENCES {listed} ({quote('hash')})) "
            "COMMENT 'keeps 0.14 from deleting objects'",
            args=None,
            reconnect=False,
        )
        connection.query(f"INSERT IGNORE INTO {kept} SELECT {quote('hash')} FROM {listed}", args=None, reconnect=False)


def let_go(connection: dj.Connection, database: str) -> None:
    """Take back what :func:`keep` did."""
    quote = quoter(connection)
    for name in _beginning(connection, database, KEPT):
        connection.query(f"DROP TABLE {quote(database)}.{quote(name)}", args=None, reconnect=False)


def _beginning(connection: dj.Connection, database: str, begin: str) -> list[str]:
    """Find the tables of a database whose names begin so."""
    sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s"
    rows = connection.query(sql, (database,), reconnect=False).fetchall()
    return sorted(str(name) for (name,) in rows if str(name).startswith(begin))


def since(
    connection: dj.Connection,
    place: tuple[str, str],
    key: tuple[str, ...],
    kept: str,
    current: str,
    kind: tuple[str, str],
) -> list[dict[str, Any]]:
    """Find the rows whose object is not the one that they had the number of.

    Parameters
    ----------
    connection : Connection
        The session.
    place : tuple of str
        Database and name of the table.
    key : tuple of str
        Its primary key.
    kept, current : str
        The columns with the numbers, and with what was made of them.
    kind : tuple of str
        As :func:`kind_of` gives it.
    """
    quote, old = quoter(connection), OldObjects(connection, place[0], *kind)
    columns = ", ".join(map(quote, (*key, kept, current)))
    sql = f"SELECT {columns} FROM {quote(place[0])}.{quote(place[1])}"
    found = []
    for *values, number, text in connection.query(sql, args=None, reconnect=False).fetchall():
        if (number is None) != (text is None) or (number is not None and not old.is_of(number, text)):
            found.append(dict(zip(key, values, strict=True)))
    return found
