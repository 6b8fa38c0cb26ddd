"""Record every step of every run, in a hidden table beside the journal.

A plan is recorded as a whole before its first step. What is recorded says what was done and how far it came; nothing of
it is ever run. Row 0 of a run is its head: of which schemas it is, and what it was planned from. Only this module knows
the SQL of this table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..internals.connection import literals, longest_statement, refuse_long
from ..quoting import quoter, union_text
from .runs import now, protect

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
        ``head``; ``sql`` for a statement on tables; ``own`` and ``python`` for user steps; ``recode`` for values that
        DataJoint converts; ``locked`` for statements of MySQL between which nobody may write; ``online`` for
        statements that PostgreSQL runs after the migration's transaction.
    state : str
        ``planned``, ``running`` or ``done``.
    words : str
        What it does.
    text : str
        The statement, or JSON, for people: what the step was made to do.
    tables : tuple of (str, str)
        Database and name after of the tables whose shape it changes.
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
    protect(connection, database, TABLE)


def present(connection: dj.Connection, databases: Iterable[str]) -> set[str]:
    """Find the databases that have the table, with one query."""
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
    """Record the steps of a run.

    Raises
    ------
    PipelineError
        If the server does not take a statement of that length.
    """
    for sql, values in _statements(connection, database, run, entries):
        connection.query(sql, values, reconnect=False)


def refuse_long_entries(connection: dj.Connection, database: str, run: int, entries: Iterable[Entry]) -> None:
    """Raise as :func:`write` would for steps of a run; write nothing.

    Raises
    ------
    PipelineError
        If the server does not take a statement of that length.
    """
    for _ in _statements(connection, database, run, entries):
        pass


def _statements(
    connection: dj.Connection, database: str, run: int, entries: Iterable[Entry]
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Give the statement that records each step, with its values, if the server takes it."""
    most = longest_statement(connection)
    sql = (
        f"INSERT INTO {_table(connection, database)} "
        "(run, number, kind, state, words, statement, tables, before_step) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
    )
    for e in entries:
        values = (run, e.number, e.kind, e.state, e.words, e.text, json.dumps(e.tables), e.before)
        refuse_long(len(sql) + literals(*values), most, "The record of the run")
        yield sql, values


def read(connection: dj.Connection, database: str, run: int) -> list[Entry]:
    """Read the steps of a run, without its head."""
    sql = (
        "SELECT number, kind, state, words, statement, tables, before_step "
        f"FROM {_table(connection, database)} WHERE run = %s AND number > 0 ORDER BY number"
    )
    rows = connection.query(sql, (run,)).fetchall()
    return [
        _entry(int(number), kind, state, words, text, tables, before)
        for number, kind, state, words, text, tables, before in rows
    ]


def done(connection: dj.Connection, databases: Iterable[str]) -> list[tuple[str, int, Entry]]:
    """Read the steps of all runs that are done, of each run in their order; each with its database and run."""
    found = []
    for database in present(connection, databases):
        sql = (
            "SELECT run, number, kind, state, words, statement, tables "
            f"FROM {_table(connection, database)} WHERE number > 0 AND state = %s ORDER BY run, number"
        )
        for run, number, kind, state, words, text, tables in connection.query(sql, (DONE,)).fetchall():
            found.append((database, int(run), _entry(int(number), kind, state, words, text, tables)))
    return found


def heads(connection: dj.Connection, databases: Mapping[str, str]) -> dict[tuple[str, int], dict[str, Any]]:
    """Read the heads of all runs, by schema and run, with one query."""
    with_table = present(connection, databases.values())
    parts, arguments, statement = [], [], union_text(connection, "statement")
    for schema, database in databases.items():
        if database in with_table:
            parts.append(f"SELECT %s, run, {statement} FROM {_table(connection, database)} WHERE number = 0")
            arguments.append(schema)
    rows = connection.query(" UNION ALL ".join(parts), tuple(arguments)).fetchall() if parts else []
    return {(str(schema), int(run)): _object(found) for schema, run, found in rows}


def _entry(number: int, *texts: str | None) -> Entry:
    """Give a step as its row has it: kind, state, words, text, tables and before. A text that is missing is empty."""
    kind, state, words, text, tables, *before = (one or "" for one in texts)
    return Entry(number, kind, state, words, text, _places(tables), *before)


def _places(text: str) -> tuple[tuple[str, str], ...]:
    """Read the places of a step; what is none is left out, as anybody who may write there may have written it."""
    with suppress(ValueError, RecursionError):
        found = json.loads(text)
        pairs = [one for one in found if isinstance(one, list) and len(one) == 2] if isinstance(found, list) else []
        return tuple((str(database), str(table)) for database, table in pairs)
    return ()


def _object(text: str | None) -> dict[str, Any]:
    """Read an object of JSON; an empty one where the text is none, for anybody may have written it."""
    try:
        found = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def start(connection: dj.Connection, database: str, run: int, number: int, before: str) -> None:
    """Record that a step is about to run, and what its tables are before it."""
    sql = (
        f"UPDATE {_table(connection, database)} SET state = %s, before_step = %s, started_at = %s "
        "WHERE run = %s AND number = %s"
    )
    connection.query(sql, (RUNNING, before, now(), run, number), reconnect=False)


def take_back(connection: dj.Connection, database: str, run: int, number: int) -> None:
    """Record that a step that was about to run did nothing."""
    sql = f"UPDATE {_table(connection, database)} SET state = %s, started_at = NULL WHERE run = %s AND number = %s"
    connection.query(sql, (PLANNED, run, number), reconnect=False)


def finish(connection: dj.Connection, database: str, run: int, number: int) -> None:
    """Record that a step is done."""
    sql = f"UPDATE {_table(connection, database)} SET state = %s, finished_at = %s WHERE run = %s AND number = %s"
    connection.query(sql, (DONE, now(), run, number), reconnect=False)


def drop(connection: dj.Connection, database: str, run: int, first: int) -> None:
    """Take the steps of a run out of the record from a number on: they are not going to be run."""
    connection.query(f"DELETE FROM {_table(connection, database)} WHERE run = %s AND number >= %s", (run, first))


def rewrite(
    connection: dj.Connection, database: str, run: int, entries: Iterable[Entry], head: Mapping[str, Any]
) -> None:
    """Replace the steps of a run, from the first that is given on, and its head."""
    steps, table = list(entries), _table(connection, database)
    connection.query(f"UPDATE {table} SET statement = %s WHERE run = %s AND number = 0", (json.dumps(head), run))
    if steps:
        drop(connection, database, run, steps[0].number)
        write(connection, database, run, steps)
