"""Identifiers in SQL: the one place where a name becomes part of a statement.

DataJoint's own function does not double a quote within a name, so a name with one would end early and the rest of it
would be read as SQL. Values never go through here: they are parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datajoint as dj

_MARKS = {"mysql": "`", "postgresql": '"'}


def quote(backend: str, *names: str) -> str:
    """Quote an identifier, or several joined by dots, for a server.

    Parameters
    ----------
    backend : str
        ``mysql`` or ``postgresql``.
    names : str
        Database, table or column, from the outermost in.
    """
    mark = _MARKS[backend]
    return ".".join(f"{mark}{name.replace(mark, 2 * mark)}{mark}" for name in names)


def quoted(connection: dj.Connection, *names: str) -> str:
    """Quote an identifier, or several joined by dots, for the server of a connection."""
    return quote(connection.adapter.backend, *names)


def quoter(connection: dj.Connection) -> Callable[..., str]:
    """Give the function that quotes for the server of a connection."""
    backend: str = connection.adapter.backend
    return lambda *names: quote(backend, *names)


def same(column: str, value: object) -> str:
    """Give the condition that a quoted column has a value, which is its parameter.

    Drivers read a float of four bytes as one of eight, which no server finds again.
    """
    return f"ABS({column} - %s) <= 1e-6 * ABS({column})" if isinstance(value, float) else f"{column} = %s"


def union_text(connection: dj.Connection, name: str) -> str:
    """Give a column of texts as ``UNION`` takes it beside those of tables whose collation is another."""
    if connection.adapter.backend != "mysql":
        return name
    return f"CONVERT({name} USING utf8mb4) COLLATE utf8mb4_bin AS {name}"
