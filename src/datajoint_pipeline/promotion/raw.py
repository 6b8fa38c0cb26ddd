"""Rows as they are: read and written column by column, without decoding a value.

A value is the text that the server makes the same value of, and bytes where the column holds bytes, so blobs, codecs
and references to objects in stores go from one table to another byte for byte. Columns that are generated are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from .. import server_errors
from ..dialects.introspection import CatalogTable
from ..errors import PipelineError
from ..executor import stepping
from ..executor.archive import ArchivedColumn
from ..executor.backup import is_bytes, read_as
from ..internals.connection import literals, longest_statement
from ..quoting import quoted

if TYPE_CHECKING:
    import datajoint as dj

#: A value as the server writes it, bytes, or null.
Value = str | bytes | None

#: The values of some columns of a row, in their order.
Row = tuple[Value, ...]

#: Rows that are asked for, and written, with one statement; bytes of such a statement at most.
BATCH, SIZE = 200, 4 << 20

Item = TypeVar("Item")


def batches(items: Iterable[Item], size: int = BATCH) -> Iterator[list[Item]]:
    """Give items in lists of at most ``size``."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


class RawTable:
    """A table of one server, with what is read from it and written to it.

    Parameters
    ----------
    connection : datajoint.Connection
        Whose server.
    place : tuple of str
        Database and table there.
    found : CatalogTable
        What the server tells of it.
    """

    def __init__(self, connection: dj.Connection, place: tuple[str, str], found: CatalogTable) -> None:
        self.connection, self.place, self.found = connection, place, found
        self.full: str = quoted(connection, *place).replace("%", "%%")
        self.primary_key: tuple[str, ...] = found.primary_key
        self._stored = {column.name: column.stored for column in found.columns}
        #: The columns that can be written, in their order; hidden ones too.
        self.columns = tuple(column.name for column in found.columns if "generated" not in column.extra)
        self._identity = any("identity" in column.extra for column in found.columns)

    def read(
        self, columns: Sequence[str], among: Sequence[str], values: Sequence[Row], *, distinct: bool = False
    ) -> list[Row]:
        """Read some columns of the rows whose columns ``among`` have one of some combinations of values."""
        if not values:
            return []
        names = [self._name(name) for name in among]
        if len(names) == 1:
            condition = f"{names[0]} IN ({', '.join(['%s'] * len(values))})"
        else:
            one = f"({' AND '.join(f'{name} = %s' for name in names)})"
            condition = " OR ".join([one] * len(values))
        return self._rows(columns, f"WHERE {condition}", [v for row in values for v in row], distinct=distinct)

    def ends(self, number: int) -> list[Row]:
        """Read the keys of some of its rows, half of them the first and half the last in the order of the key."""
        found: dict[Row, None] = {}
        for limit, way in ((number - number // 2, "ASC"), (number // 2, "DESC")):
            order = ", ".join(f"{self._name(name)} {way}" for name in self.primary_key)
            if limit:
                found |= dict.fromkeys(self._rows(self.primary_key, f"ORDER BY {order} LIMIT {limit:d}"))
        return list(found)

    def keys(self, condition: str = "TRUE", arguments: Sequence[str] = ()) -> list[Row]:
        """Read the keys of all rows, in their order, or of those that fulfil a condition."""
        order = ", ".join(self._name(name) for name in self.primary_key)
        return self._rows(self.primary_key, f"WHERE {condition} ORDER BY {order}", arguments)

    def insert(self, columns: Sequence[str], rows: Iterable[Row]) -> int:
        """Insert rows, in their order; give how many.

        Raises
        ------
        PipelineError
            If the server refuses one.
        """
        listed, mark = ", ".join(map(self._name, columns)), f"({', '.join(['%s'] * len(columns))})"
        over = " OVERRIDING SYSTEM VALUE" if self._identity and self.connection.adapter.backend != "mysql" else ""
        begin, number = f"INSERT INTO {self.full} ({listed}){over} VALUES ", 0
        most = min(longest_statement(self.connection) // 2, SIZE)
        for batch in self._fitting(rows, most):
            sql = begin + ", ".join([mark] * len(batch))
            try:
                self.connection.query(sql, [value for row in batch for value in row], reconnect=False)
            except Exception as error:
                of_server = server_errors.of(error)
                mend = of_server.do if of_server else "Correct the rows, or leave them out"
                raise PipelineError(
                    f"Rows of {'.'.join(self.place)} cannot be inserted.",
                    f"{server_errors.reason(error)}. Nothing was changed.",
                    f"{mend}, then run the command again.",
                ) from error
            number += len(batch)
        return number

    def _fitting(self, rows: Iterable[Row], most: int) -> Iterator[list[Row]]:
        batch, size = list[Row](), 0
        for row in rows:
            length = literals(*row)
            if batch and (size + length > most or len(batch) == BATCH):
                yield batch
                batch, size = [], 0
            batch.append(row)
            size += length
        if batch:
            yield batch

    def _rows(
        self, columns: Sequence[str], rest: str, arguments: Sequence[Value] = (), *, distinct: bool = False
    ) -> list[Row]:
        listed = ", ".join(self._value(name) for name in columns)
        sql = f"SELECT {'DISTINCT ' * distinct}{listed} FROM {self.full} {rest}"
        found = self.connection.query(sql, list(arguments), reconnect=False).fetchall()
        return [tuple(_plain(value) for value in row) for row in found]

    def _name(self, name: str) -> str:
        return quoted(self.connection, name).replace("%", "%%")

    def _value(self, name: str) -> str:
        stored = self._stored[name]
        column = ArchivedColumn(name, stored, key=False, form="hex" if is_bytes(stored) else "text", lost=False)
        return read_as(self.connection, column).replace("%", "%%")


def _plain(value: str | bytes | bytearray | memoryview | None) -> Value:
    """Give a value of a driver such that it can be compared."""
    return bytes(value) if isinstance(value, (bytearray, memoryview)) else value


@contextmanager
def at_one_moment(*connections: dj.Connection) -> Iterator[None]:
    """Read everything as it is at one moment, and write all of it or nothing: one transaction on each session, whose
    settings change no value meanwhile."""
    with ExitStack() as stack:
        for connection in {id(connection): connection for connection in connections}.values():
            stack.enter_context(stepping.changing(connection))
            stack.enter_context(stepping.transaction(connection))
            if connection.adapter.backend == "postgresql":
                connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", args=None, reconnect=False)
        yield
