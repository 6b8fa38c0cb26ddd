"""Whether an account of MySQL may keep others from tables for more than one statement. PostgreSQL asks for no right."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .. import server_errors
from ..internals import lineage
from ..quoting import quoter

if TYPE_CHECKING:
    import datajoint as dj


def denied(connection: dj.Connection, databases: Iterable[str]) -> list[str]:
    """Find the databases whose tables the account may not lock, by locking one that hardly anybody writes.

    It is let go of at once; what the grants say would have to be worked out of roles and patterns.
    """
    found, quote = list[str](), quoter(connection)
    for database in dict.fromkeys(databases):
        try:
            table = f"{quote(database)}.{quote(lineage.TABLE)}"
            connection.query(f"LOCK TABLES {table} READ", args=None, reconnect=False)
        except Exception as error:
            if server_errors.of(error) is server_errors.ACCESS:
                found.append(database)
            elif server_errors.of(error) is not None:
                raise
        else:
            connection.query("UNLOCK TABLES", args=None, reconnect=False)
    return found


def warning(databases: Iterable[str]) -> str:
    """Say what it means that the tables of databases cannot be locked, and what to do."""
    return (
        f"This account may not lock the tables of {', '.join(databases)} (LOCK TABLES). What others write between two "
        "steps may be lost, or stop the migration. Ask for the right, or stop everybody who writes."
    )
