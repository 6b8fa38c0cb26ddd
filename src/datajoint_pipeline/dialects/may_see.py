"""Whether an account of MySQL may see a database. PostgreSQL shows everybody which schemas there are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .. import server_errors
from ..quoting import quoter

if TYPE_CHECKING:
    import datajoint as dj


def hidden(connection: dj.Connection, databases: Iterable[str]) -> set[str]:
    """Find the databases that the account has no right on, so that they seem to be absent, whether they are or not.

    To whoever has a right, the server says that there is no such database.
    """
    found, quote = set[str](), quoter(connection)
    for database in databases if connection.adapter.backend == "mysql" else ():
        try:
            connection.query(f"SHOW TABLES FROM {quote(database)}", args=None, reconnect=False)
        except Exception as error:
            if server_errors.of(error) is server_errors.ACCESS:
                found.add(database)
    return found
