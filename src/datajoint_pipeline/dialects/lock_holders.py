"""Who holds the tables that a statement waits for. The server tells an account only what it may see."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import nullcontext
from typing import TYPE_CHECKING

from ..internals.connection import as_login
from ..quoting import quoted

if TYPE_CHECKING:
    import datajoint as dj

_QUERIES = {
    "mysql": """
SELECT m.object_schema, m.object_name, CONCAT(t.processlist_user, '@', t.processlist_host, ', session ',
    t.processlist_id), t.processlist_time, COALESCE(t.processlist_info, s.sql_text)
FROM performance_schema.metadata_locks m
JOIN performance_schema.threads t ON t.thread_id = m.owner_thread_id
LEFT JOIN performance_schema.events_statements_current s ON s.thread_id = m.owner_thread_id
WHERE m.object_type = 'TABLE' AND m.lock_status = 'GRANTED' AND t.processlist_id <> CONNECTION_ID()
    AND m.object_schema IN ({marks})
""",
    "postgresql": """
SELECT n.nspname, c.relname, CONCAT(a.usename, COALESCE('@' || host(a.client_addr), ''), ', session ', a.pid),
    EXTRACT(EPOCH FROM clock_timestamp() - a.xact_start)::int, a.query
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_class c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_backend_pid()
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    AND n.nspname IN ({marks})
""",
}


def of(connection: dj.Connection, databases: Iterable[str], statement: str) -> str:
    """Say who holds one of the tables that a statement names; empty where that cannot be seen.

    Parameters
    ----------
    connection : datajoint.Connection
        A session that is in no failed transaction.
    databases : iterable of str
        Where the tables may be.
    statement : str
        The statement that waited.
    """
    names = tuple(databases)
    query = _QUERIES[connection.adapter.backend].format(marks=", ".join(["%s"] * len(names)))
    try:
        # The account may see more of other sessions than the owner of the schemas, for whom it acts.
        with as_login(connection) if connection.adapter.backend == "postgresql" else nullcontext():
            rows = connection.query(query, names, reconnect=False).fetchall()
    except Exception:  # an account may have no rights on what tells it
        return ""
    mysql = connection.adapter.backend == "mysql"
    # Whoever has had it for longest is to blame; others may have waited for their turn.
    for _, table, who, seconds, text in sorted(rows, key=lambda row: -int(row[3] or 0)):
        if quoted(connection, table) in statement:
            last = f", whose last statement is: {without_literals(str(text), mysql=mysql)[:120]}" if text else ""
            since = f" for {int(seconds)} s" if seconds is not None else ""
            return f"{table} is held by {who}{since}{last}"
    return ""


def without_literals(text: str, *, mysql: bool) -> str:
    """Give a statement of somebody else in one line, with ``?`` for each of its values; they are nobody's business.

    The server may have cut it off in the middle of one. Where it has a backslash, what ends a value depends on the
    settings of that session, so the rest is left out from the first value on.
    """
    if "\\" in text:
        text = re.split(r"['\"$\\]", text)[0] + "…"
    return " ".join((_MYSQL if mysql else _POSTGRESQL).sub(_shown, text).split())


def _shown(found: re.Match[str]) -> str:
    return found["name"] or ("?" if found["value"] else " ")


_TEXT, _QUOTED, _TICKED = (f"{mark}(?:[^{mark}]|{mark}{mark})*(?:{mark}|\\Z)" for mark in "'\"`")
_NUMBER = r"(?<![\w$])(?:0x[0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+)\b"
_DOLLARS = r"\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z)"
_COMMENT = r"--[^\n]*|/\*.*?(?:\*/|\Z)"
_MYSQL = re.compile(
    rf"(?P<name>{_TICKED})|(?P<value>(?:\b[xXbBnN])?{_TEXT}|{_QUOTED}|{_NUMBER})|{_COMMENT}|\#[^\n]*", re.DOTALL
)
_POSTGRESQL = re.compile(
    rf"(?P<name>{_QUOTED})|(?P<value>(?:\b[eExXbBnN]|\b[uU]&)?{_TEXT}|{_DOLLARS}|{_NUMBER})|{_COMMENT}", re.DOTALL
)
