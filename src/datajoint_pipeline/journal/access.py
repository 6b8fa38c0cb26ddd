"""Record each `access apply`, and what was done with an account: who, when, from which commit, which statements.

The table stands in the first schema of the pipeline that is there. No password is ever in a statement. Rows are added
and finished, never removed. Only this module knows the SQL of this table.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..internals.connection import login
from ..quoting import quoter
from .runs import DONE, RUNNING, now, os_user, protect

if TYPE_CHECKING:
    import datajoint as dj

TABLE = "~access"

#: Layout of this table; raised when its columns change.
_LAYOUT = 1


@dataclass(frozen=True)
class Applied:
    """An `access apply` in the record.

    Parameters
    ----------
    id : int
        Its number, from 1.
    status : str
        ``running`` until it has ended, then ``done``.
    started_at, finished_at : datetime
        UTC, without time zone; ``finished_at`` is None until it has ended.
    database_user, os_user, host, code_commit, software : str
        Who ran it, where, from which commit, with which versions.
    statements : tuple of (str, str)
        Each statement and its reason, in their order.
    done : int
        How many of them were run.
    """

    id: int
    status: str
    started_at: datetime
    finished_at: datetime | None
    database_user: str
    os_user: str
    host: str
    code_commit: str
    software: str
    statements: tuple[tuple[str, str], ...]
    done: int

    @property
    def state(self) -> str:
        """Give what became of it: ``done``; ``interrupted`` as long as it has not ended; ``refused`` by the server."""
        if self.status == RUNNING:
            return "interrupted"
        return "refused" if self.action and not self.done else self.status

    @property
    def action(self) -> str:
        """Give what was done with an account, ``access lock carol``; nothing for an `access apply`."""
        first = self.statements[0][0] if self.statements else ""
        return first if len(self.statements) == 1 and first.startswith("access ") else ""

    @property
    def words(self) -> str:
        """Say what it was: ``access apply, 12 statements``, ``access lock carol``."""
        if self.action:
            return self.action
        return f"access apply, {len(self.statements)} statement{'s' if len(self.statements) != 1 else ''}"


def place(connection: dj.Connection, databases: Mapping[str, str]) -> str:
    """Give the database that has the record, or is to have it: the first there is; empty where none is there."""
    names = list(databases.values())
    if not names:
        return ""
    marks = ", ".join(["%s"] * len(names))
    query = f"SELECT schema_name FROM information_schema.schemata WHERE schema_name IN ({marks})"
    if connection.adapter.backend == "postgresql":
        query = f"SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname IN ({marks})"
    there = {str(row[0]) for row in connection.query(query, tuple(names), reconnect=False).fetchall()}
    return next((name for name in names if name in there), "")


def _table(connection: dj.Connection, database: str) -> str:
    quote = quoter(connection)
    return f"{quote(database)}.{quote(TABLE)}"


def create(connection: dj.Connection, database: str) -> None:
    """Make the table in a database where it is missing."""
    mysql = connection.adapter.backend == "mysql"
    text, moment = "longtext" if mysql else "text", connection.adapter.core_type_to_sql("datetime(6)")
    connection.query(
        f"CREATE TABLE IF NOT EXISTS {_table(connection, database)} (id integer NOT NULL PRIMARY KEY, "
        f"layout integer NOT NULL, status varchar(16) NOT NULL, started_at {moment} NOT NULL, finished_at {moment}, "
        "database_user varchar(255) NOT NULL, os_user varchar(255) NOT NULL, host varchar(255) NOT NULL, "
        f"code_commit varchar(64) NOT NULL, software varchar(255) NOT NULL, statements {text} NOT NULL, "
        f"done integer NOT NULL){' CHARACTER SET utf8mb4' if mysql else ''}",
        args=None,
        reconnect=False,
    )
    protect(connection, database, TABLE)


def begin(
    connection: dj.Connection,
    database: str,
    *,
    statements: Sequence[tuple[str, str]],
    code_commit: str,
    software: str,
) -> int:
    """Record that statements are about to be run, each with its reason; give the number of the record."""
    table = _table(connection, database)
    query = f"SELECT COALESCE(MAX(id), 0) + 1 FROM {table}"
    number = int(connection.query(query, args=None, reconnect=False).fetchone()[0])
    values = {
        "id": number,
        "layout": _LAYOUT,
        "status": RUNNING,
        "started_at": now(),
        "finished_at": None,
        "database_user": login(connection),
        "os_user": os_user(),
        "host": platform.node(),
        "code_commit": code_commit,
        "software": software,
        "statements": json.dumps(list(map(list, statements)), ensure_ascii=False),
        "done": 0,
    }
    marks = ", ".join(["%s"] * len(values))
    sql = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"
    connection.query(sql, tuple(values.values()), reconnect=False)
    return number


def step(connection: dj.Connection, database: str, number: int, done: int) -> None:
    """Record how many of the statements were run."""
    connection.query(
        f"UPDATE {_table(connection, database)} SET done = %s WHERE id = %s", (done, number), reconnect=False
    )


def finish(connection: dj.Connection, database: str, number: int, done: int) -> None:
    """Record that all were run."""
    connection.query(
        f"UPDATE {_table(connection, database)} SET done = %s, status = %s, finished_at = %s WHERE id = %s",
        (done, DONE, now(), number),
        reconnect=False,
    )


def history(connection: dj.Connection, database: str) -> list[Applied]:
    """Read every `access apply`, oldest first; none where the table is not there."""
    query = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
    if not database or not connection.query(query, (database, TABLE), reconnect=False).fetchone()[0]:
        return []
    rows = connection.query(
        "SELECT id, status, started_at, finished_at, database_user, os_user, host, code_commit, software, statements, "
        f"done FROM {_table(connection, database)} ORDER BY id",
        args=None,
        reconnect=False,
    ).fetchall()
    found = []
    for *plain, statements, done in rows:
        every: list[Any] = [*plain, _statements(statements), done]
        found.append(Applied(*every))
    return found


def _statements(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((sql, reason) for sql, reason in json.loads(text))


def interrupted(connection: dj.Connection, database: str) -> list[Applied]:
    """Give those that did not end."""
    return [applied for applied in history(connection, database) if applied.status == RUNNING]
