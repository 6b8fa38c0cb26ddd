"""Databases that a command makes for itself on a lab's server, and takes away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..quoting import quoted

if TYPE_CHECKING:
    import datajoint as dj

#: Numbers of MySQL's errors that say that an account may not make a database.
_DENIED = (1044, 1045, 1227, 1410)


def find(connection: dj.Connection, begin: str) -> list[str]:
    """Give the databases of MySQL whose names begin with some letters."""
    query = "SELECT schema_name FROM information_schema.schemata WHERE LEFT(schema_name, %s) = %s"
    return sorted(str(row[0]) for row in connection.query(query, (len(begin), begin), reconnect=False).fetchall())


def may_make(connection: dj.Connection, name: str) -> bool:
    """Tell whether the account of a session of MySQL may make a database, by making it; it is there afterwards."""
    try:
        connection.query(f"CREATE DATABASE {quoted(connection, name)}", args=None, reconnect=False)
    except Exception as error:
        # DataJoint hands some on as errors of its own.
        numbers = [getattr(one, "args", ())[:1] for one in (error, error.__cause__, error.__context__) if one]
        if any(number and number[0] in _DENIED for number in numbers) or "denied" in str(error).lower():
            return False
        raise
    return True


def drop(connection: dj.Connection, names: Iterable[str]) -> None:
    """Drop databases of MySQL with all that is in them, whatever refers to what."""
    connection.query("SET SESSION foreign_key_checks = 0", args=None, reconnect=False)
    try:
        for name in names:
            connection.query(f"DROP DATABASE IF EXISTS {quoted(connection, name)}", args=None, reconnect=False)
    finally:
        connection.query("SET SESSION foreign_key_checks = 1", args=None, reconnect=False)
