"""Mark the schemas of a git branch as the branch's: whose they are, since when, where their objects are.

The mark stands in a hidden table of one of the schemas, is made before anything else in them, and goes last. Only what
has it is ever dropped. Anybody who may write there may have written it, so whoever reads a mark compares it with what
the branch's name leads to. Only this module knows the SQL of this table.
"""

from __future__ import annotations

import platform
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from .. import server_errors
from ..internals.connection import login, rows_of
from ..quoting import quoted
from .runs import now, os_user, protect

if TYPE_CHECKING:
    import datajoint as dj

TABLE = "~branch"

#: Layout of this table; raised when its columns change.
_LAYOUT = 1

#: Letters that each text of a mark may have.
LONGEST = 255

#: What a branch is at.
MAKING, READY, DROPPING = "making", "ready", "dropping"

_COLUMNS = (
    *("pipeline", "branch", "prefix", "token", "status", "created_at", "database_user", "os_user", "host", "folder"),
    *("code_commit", "software", "origin_seen", "versions_of", "sample"),
)

#: Random letters that are in the place of a branch's objects, so that no two branches ever have the same.
_TOKEN = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Mark:
    """The mark of a branch's schemas.

    Parameters
    ----------
    database : str
        The schema that it stands in.
    pipeline : str
        Import name of the package.
    branch : str
        The git branch.
    prefix : str
        What stands before the names of its schemas, the project's own prefix not counted.
    token : str
        Random letters in the place of its objects.
    status : str
        ``making``, ``ready`` or ``dropping``.
    created_at : datetime
        UTC, without time zone.
    database_user, os_user, host, folder, code_commit, software : str
        Who made it, where, from which commit, with which versions; no folder where that had no such git branch.
    origin_seen : bool
        Whether the repository that the clones are of is known to have had the git branch.
    versions_of : str
        What its versions were when it was made: those of the ``code``, or of ``dev``.
    sample : int
        How many rows of each table it was to get from dev.
    """

    database: str
    pipeline: str
    branch: str
    prefix: str
    token: str
    status: str
    created_at: datetime
    database_user: str
    os_user: str
    host: str
    folder: str
    code_commit: str
    software: str
    origin_seen: bool
    versions_of: str
    sample: int

    @property
    def place(self) -> str:
        """Give the beginning of the names of its objects within each store; empty where the mark was tampered with."""
        return f"_branches/{self.prefix}{self.token}" if _TOKEN.fullmatch(self.token) else ""


def begin(
    connection: dj.Connection,
    database: str,
    *,
    pipeline: str,
    branch: str,
    prefix: str,
    folder: str,
    code_commit: str,
    software: str,
    origin_seen: bool,
    versions_of: str,
    sample: int,
) -> None:
    """Mark a schema that is there as the first of a branch that is being made."""
    mysql = connection.adapter.backend == "mysql"
    moment, suffix = connection.adapter.core_type_to_sql("datetime(6)"), " CHARACTER SET utf8mb4" if mysql else ""
    texts = ", ".join(
        f"{name} varchar({LONGEST}) NOT NULL" for name in _COLUMNS if name not in ("created_at", *_NUMBERS)
    )
    numbers = ", ".join(f"{name} integer NOT NULL" for name in _NUMBERS)
    table = quoted(connection, database, TABLE)
    connection.query(
        f"CREATE TABLE IF NOT EXISTS {table} (id integer NOT NULL PRIMARY KEY, layout integer NOT NULL, {texts}, "
        f"created_at {moment} NOT NULL, {numbers}){suffix}",
        args=None,
        reconnect=False,
    )
    protect(connection, database, TABLE)
    values = {
        "id": 1,
        "layout": _LAYOUT,
        "pipeline": pipeline,
        "branch": branch,
        "prefix": prefix,
        "token": secrets.token_hex(8),
        "status": MAKING,
        "created_at": now(),
        "database_user": login(connection),
        "os_user": os_user(),
        "host": platform.node(),
        "folder": folder[-LONGEST:],
        "code_commit": code_commit,
        "software": software,
        "origin_seen": int(origin_seen),
        "versions_of": versions_of,
        "sample": sample,
    }
    marks = ", ".join(["%s"] * len(values))
    connection.query(
        f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()), reconnect=False
    )


_NUMBERS = ("origin_seen", "sample")


def set_status(connection: dj.Connection, mark: Mark, status: str) -> None:
    """Record what a branch is at."""
    _update(connection, mark, "status", status)


def saw_at_origin(connection: dj.Connection, mark: Mark) -> None:
    """Record that the repository that the clones are of has the git branch."""
    _update(connection, mark, "origin_seen", 1)


def _update(connection: dj.Connection, mark: Mark, column: str, value: object) -> None:
    table = quoted(connection, mark.database, TABLE)
    connection.query(f"UPDATE {table} SET {column} = %s WHERE id = 1", (value,), reconnect=False)


def find(connection: dj.Connection, prefixes: Iterable[str]) -> list[Mark]:
    """Read the marks that stand in schemas whose names begin with one of some prefixes, oldest first.

    What the account may not read counts as absent, and so does a table of that name that is no mark.
    """
    needed = ("id", *_COLUMNS)
    listed = ", ".join(["%s"] * len(needed))
    if connection.adapter.backend == "mysql":
        query = (
            "SELECT table_schema FROM information_schema.columns WHERE table_name = %s "
            f"AND column_name IN ({listed}) GROUP BY table_schema HAVING COUNT(*) = %s"
        )
    else:
        query = (
            "SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped "
            f"WHERE c.relname = %s AND a.attname IN ({listed}) AND c.relkind = 'r' "
            "AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') "
            "GROUP BY n.nspname HAVING COUNT(*) = %s"
        )
    beginnings = tuple(prefixes)
    found: list[Mark] = []
    for (name,) in rows_of(connection, query, TABLE, *needed, len(needed)):
        if not str(name).startswith(beginnings):
            continue
        try:
            found += _read(connection, str(name))
        except Exception:
            if (name,) in rows_of(connection, query, TABLE, *needed, len(needed)):
                raise  # it was not dropped since it was listed
    return sorted(found, key=lambda mark: (mark.created_at, mark.database))


def _read(connection: dj.Connection, database: str) -> Iterator[Mark]:
    """Read the mark of a schema, where this may and it is one."""
    columns = f"SELECT {', '.join(_COLUMNS)} FROM {quoted(connection, database, TABLE)} WHERE id = 1"
    try:
        rows = rows_of(connection, columns)
    except Exception as error:
        if server_errors.of(error) is server_errors.ACCESS:  # MySQL lists what one has any right on
            return
        raise
    for row in rows:
        given = dict(zip(_COLUMNS, row, strict=True))
        texts = [value for name, value in given.items() if name not in ("created_at", *_NUMBERS)]
        if isinstance(given["created_at"], datetime) and all(isinstance(text, str) for text in texts):
            yield Mark(database, **{**given, "origin_seen": bool(given["origin_seen"])})
