"""Named locks of a session that block nobody: whoever asks sees whether one is held, without any right.

The server lets go of them when the session ends, however it ends. They are no use through a pooler that gives each
transaction another session.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datajoint as dj

#: How many locks MySQL is asked about in one statement.
_MOST = 500


def take(connection: dj.Connection, name: str) -> bool:
    """Take a lock for this very session, if nobody else has it; it does not wait."""
    query = {"mysql": "SELECT GET_LOCK(%s, 0)", "postgresql": "SELECT pg_try_advisory_lock(%s)::int"}
    return bool(
        connection.query(query[connection.adapter.backend], (_key(connection, name),), reconnect=False).fetchone()[0]
    )


def give(connection: dj.Connection, name: str) -> None:
    """Let go of a lock of this session."""
    query = {"mysql": "SELECT RELEASE_LOCK(%s)", "postgresql": "SELECT pg_advisory_unlock(%s)"}
    connection.query(query[connection.adapter.backend], (_key(connection, name),), reconnect=False)


def has(connection: dj.Connection, name: str) -> bool:
    """Tell whether this very session holds a lock.

    Raises
    ------
    Exception
        What the driver raises where the session is lost.
    """
    query = {
        "mysql": "SELECT COALESCE(IS_USED_LOCK(%s) = CONNECTION_ID(), 0)",
        "postgresql": f"SELECT COUNT(*) FROM pg_catalog.pg_locks WHERE {_GRANTED} AND {_NUMBER} = %s "
        "AND pid = pg_backend_pid()",
    }
    return bool(
        connection.query(query[connection.adapter.backend], (_key(connection, name),), reconnect=False).fetchone()[0]
    )


def held(connection: dj.Connection, names: Iterable[str]) -> set[str]:
    """Find which locks anybody holds, this session too."""
    asked = list(dict.fromkeys(names))
    if not asked:
        return set()
    if connection.adapter.backend == "postgresql":
        query = f"SELECT {_NUMBER} FROM pg_catalog.pg_locks WHERE {_GRANTED}"
        found = {row[0] for row in connection.query(query, args=None, reconnect=False).fetchall()}
        return {name for name in asked if _number(name) in found}
    there: set[str] = set()
    for first in range(0, len(asked), _MOST):
        some = asked[first : first + _MOST]
        query = f"SELECT {', '.join(['IS_USED_LOCK(%s)'] * len(some))}"
        row = connection.query(query, tuple(some), reconnect=False).fetchone()
        there |= {name for name, session in zip(some, row, strict=True) if session is not None}
    return there


#: The advisory locks of one number that are held in this database of PostgreSQL.
_GRANTED = (
    "locktype = 'advisory' AND granted AND objsubid = 1 AND database = (SELECT oid FROM pg_catalog.pg_database "
    "WHERE datname = current_database())"
)
_NUMBER = "((classid::bigint << 32) | objid::bigint)"


def _key(connection: dj.Connection, name: str) -> str | int:
    """Give what a server calls a lock: MySQL by a name of 64 characters at most, PostgreSQL by a number."""
    return name if connection.adapter.backend == "mysql" else _number(name)


def _number(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)
