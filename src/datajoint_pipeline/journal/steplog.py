"""The record of every step of every migration, beside the journal and as hidden.

A plan is written down as a whole before its first step, so that whoever comes after a crash needs nothing else. Row 0
of a run is its head: what it makes of which schemas. Only this room knows the SQL of this table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..quoting import quoter
from .runs import close, now

if TYPE_CHECKING:
    import datajoint as dj

TABLE = "~migration_step"

PLANNED, RUNNING, DONE = "planned", "running", "done"


@dataclass(frozen=True)
class Entry:
    """One step of a run.

    Parameters
    ----------
    number : int
        From 1, in the order in which they run; 0 for the head.
    kind : str
        ``head``; ``sql``; ``own`` and ``python`` for what a migration file does itself; ``recode`` for values that
        DataJoint converts; ``locked`` for statements of MySQL that others may write nothing between; ``online`` for
        such that PostgreSQL runs outside of the migration's transaction, after it.
    state : str
        ``planned``, ``running`` or ``done``.
    words : str
        What it does.
    text : str
        The statement, or JSON: statements in ``run``, where there is one a query in ``check`` that tells whether they
        are done, and in ``more`` how many steps after this one are done with it; in ``locks`` what is locked, and in
        ``recode`` what DataJoint converts before them.
    tables : tuple of (str, str)
        Database and name of the tables whose shape it changes, as they are called afterwards.
    before : str
        What these tables were before it ran, as the server describes them; empty until it starts.
    """

    number: int
    kind: str
    state: str
    words: str
    text: str
    tables: tuple[tuple[str, str], ...] = ()
    before: str = ""

    @property
    def statements(self) -> list[str]:
        """What is sent; nothing of Python."""
        if self.kind in ("own", "online", "locked"):
            return list(json.loads(self.text)["run"])
        return [self.text] if self.kind == "sql" else []

    @property
    def script(self) -> list[str]:
        """What one would send by hand."""
        if self.kind != "locked":
            return self.statements
        return [f"LOCK TABLES {json.loads(self.text)['locks']}", *self.statements, "UNLOCK TABLES"]


def _table(connection: dj.Connection, database: str) -> str:
    quote = quoter(connection)
    return f"{quote(database)}.{quote(TABLE)}"


def create(connection: dj.Connection, database: str) -> None:
    """Make the table in a database where it is missing."""
    mysql = connection.adapter.backend == "mysql"
    text, moment = "longtext" if mysql else "text", connection.adapter.core_type_to_sql("datetime(6)")
    connection.query(
        f"CREATE TABLE IF NOT EXISTS {_table(connection, database)} (run integer NOT NULL, number integer NOT NULL, "
        f"kind varchar(16) NOT NULL, state varchar(16) NOT NULL, words {text} NOT NULL, statement {text} NOT NULL, "
        f"tables {text} NOT NULL, before_step {text} NOT NULL, started_at {moment}, finished_at {moment}, "
        f"PRIMARY KEY (run, number)){' CHARACTER SET utf8mb4' if mysql else ''}",
        args=None,
    )
    close(connection, database, TABLE)


def present(connection: dj.Connection, databases: Iterable[str]) -> set[str]:
    """The databases that have the table, with one query."""
    names = tuple(databases)
    marks = ", ".join(["%s"] * len(names))
    if connection.adapter.backend == "mysql":
        query = (
            f"SELECT table_schema FROM information_schema.tables WHERE table_name = %s AND table_schema IN ({marks})"
        )
    else:
        query = (
            "SELECT n.nspname FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid "
            f"WHERE c.relname = %s AND n.nspname IN ({marks})"
        )
    return {str(row[0]) for row in connection.query(query, (TABLE, *names)).fetchall()} if names else set()


def write(connection: dj.Connection, database: str, run: int, entries: Iterable[Entry]) -> None:
    """Write down the steps of a run."""
    sql = (
        f"INSERT INTO {_table(connection, database)} "
        "(run, number, kind, state, words, statement, tables, before_step) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
    )
    for e in entries:
        values = (run, e.number, e.kind, e.state, e.words, e.text, json.dumps(e.tables), e.before)
        connection.query(sql, values, reconnect=False)


def read(connection: dj.Connection, database: str, run: int) -> list[Entry]:
    """The steps of a run, without its head."""
    sql = (
        "SELECT number, kind, state, words, statement, tables, before_step "
        f"FROM {_table(connection, database)} WHERE run = %s AND number > 0 ORDER BY number"
    )
    rows = connection.query(sql, (run,)).fetchall()
    return [
        Entry(int(number), kind, state, words, text, tuple((d, t) for d, t in json.loads(tables)), before)
        for number, kind, state, words, text, tables, before in rows
    ]


def heads(connection: dj.Connection, databases: Mapping[str, str]) -> dict[tuple[str, int], dict[str, Any]]:
    """The heads of all runs, by schema and run, with one query for those that have the table."""
    known = present(connection, databases.values())
    parts, arguments = [], []
    for schema, database in databases.items():
        if database in known:
            parts.append(f"SELECT %s, run, statement FROM {_table(connection, database)} WHERE number = 0")
            arguments.append(schema)
    rows = connection.query(" UNION ALL ".join(parts), tuple(arguments)).fetchall() if parts else []
    return {(str(schema), int(run)): json.loads(text) for schema, run, text in rows}


def start(connection: dj.Connection, database: str, run: int, number: int, before: str) -> None:
    """Note that a step is about to run, and what is there before it."""
    sql = (
        f"UPDATE {_table(connection, database)} SET state = %s, before_step = %s, started_at = %s "
        "WHERE run = %s AND number = %s"
    )
    connection.query(sql, (RUNNING, before, now(), run, number), reconnect=False)


def finish(connection: dj.Connection, database: str, run: int, number: int) -> None:
    """Note that a step is done."""
    sql = f"UPDATE {_table(connection, database)} SET state = %s, finished_at = %s WHERE run = %s AND number = %s"
    connection.query(sql, (DONE, now(), run, number), reconnect=False)


def rewrite(
    connection: dj.Connection, database: str, run: int, entries: Iterable[Entry], head: Mapping[str, Any]
) -> None:
    """Put other steps in the place of those of a run, from the first that is given on, and another head."""
    steps, table = list(entries), _table(connection, database)
    connection.query(f"UPDATE {table} SET statement = %s WHERE run = %s AND number = 0", (json.dumps(head), run))
    if steps:
        connection.query(f"DELETE FROM {table} WHERE run = %s AND number >= %s", (run, steps[0].number))
        write(connection, database, run, steps)
