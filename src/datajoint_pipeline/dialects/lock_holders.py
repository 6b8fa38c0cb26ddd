"""Who holds tables that somebody waits for, asked of the server; it tells an account only what that may see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..quoting import quoted

if TYPE_CHECKING:
    import datajoint as dj

_MYSQL = """
SELECT m.object_schema, m.object_name, CONCAT(t.processlist_user, '@', t.processlist_host, ', session ',
    t.processlist_id), t.processlist_time, COALESCE(t.processlist_info, s.sql_text)
FROM performance_schema.metadata_locks m
JOIN performance_schema.threads t ON t.thread_id = m.owner_thread_id
LEFT JOIN performance_schema.events_statements_current s ON s.thread_id = m.owner_thread_id
WHERE m.object_type = 'TABLE' AND m.lock_status = 'GRANTED' AND t.processlist_id <> CONNECTION_ID()
    AND m.object_schema IN ({marks})
"""

_POSTGRESQL = """
SELECT n.nspname, c.relname, CONCAT(a.usename, COALESCE('@' || host(a.client_addr), ''), ', session ', a.pid),
    EXTRACT(EPOCH FROM clock_timestamp() - a.xact_start)::int, a.query
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_class c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_backend_pid()
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    AND n.nspname IN ({marks})
"""


def of(connection: dj.Connection, databases: Iterable[str], statement: str) -> str:
    """Who holds one of the tables that a statement names, in words; empty where that cannot be seen.

    Parameters
    ----------
    connection : datajoint.Connection
        A session that is in no failed transaction.
    databases : iterable of str
        Where the tables may be.
    statement : str
        What waited.
    """
    names, mysql = tuple(databases), connection.adapter.backend == "mysql"
    query = (_MYSQL if mysql else _POSTGRESQL).format(marks=", ".join(["%s"] * len(names)))
    try:
        rows = connection.query(query, names, reconnect=False).fetchall()
    except Exception:  # an account may have no rights on what tells it
        return ""
    # Whoever has had it for longest is to blame; others may have waited for their turn.
    for _, table, who, seconds, text in sorted(rows, key=lambda row: -int(row[3] or 0)):
        if quoted(connection, table) in statement:
            said = f", whose last statement is: {' '.join(str(text).split())[:120]}" if text else ""
            since = f" for {int(seconds)} s" if seconds is not None else ""
            return f"{table} is held by {who}{since}{said}"
    return ""
