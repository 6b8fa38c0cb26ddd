"""Who holds the tables that a statement waits for. The server tells an account only what it may see."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from ..internals.connection import as_login
from ..quoting import quoted

if TYPE_CHECKING:
    import datajoint as dj


class Holder(NamedTuple):
    """Who holds a table, in words, and what helps where that is no session, which somebody could stop."""

    words: str
    do: str = ""


#: Sessions, each with the table that it holds, for how many seconds, and its last statement.
_SESSIONS = {
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

#: Transactions that were prepared for a commit in two phases, which have no session: the same, and what calls them. Of
#: MySQL, whose server does not say which of them has a lock: those whose session has ended, or the server since then;
#: and those whose session goes on without them.
_PREPARED = {
    "mysql": (
        """
SELECT m.object_schema, m.object_name, '', NULL, NULL
FROM performance_schema.metadata_locks m
LEFT JOIN performance_schema.threads t ON t.thread_id = m.owner_thread_id
WHERE m.object_type = 'TABLE' AND m.lock_status = 'GRANTED' AND t.processlist_id IS NULL
    AND m.object_schema IN ({marks})
""",
        """
SELECT d.object_schema, d.object_name, '', NULL, NULL
FROM information_schema.innodb_trx x
STRAIGHT_JOIN performance_schema.data_locks d ON d.engine_transaction_id = x.trx_id
WHERE x.trx_mysql_thread_id = 0 AND d.lock_type = 'TABLE' AND d.object_schema IN ({marks})
""",
    ),
    "postgresql": (
        """
SELECT n.nspname, c.relname, CONCAT(quote_literal(p.gid), ' of ', p.owner),
    EXTRACT(EPOCH FROM clock_timestamp() - p.prepared)::int, quote_literal(p.gid)
FROM pg_catalog.pg_prepared_xacts p
JOIN pg_catalog.pg_locks x ON x.pid IS NULL AND x.transactionid = p.transaction
JOIN pg_catalog.pg_locks l ON l.pid IS NULL AND l.virtualtransaction = x.virtualtransaction
JOIN pg_catalog.pg_class c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE l.locktype = 'relation' AND l.granted AND p.database = current_database() AND n.nspname IN ({marks})
""",
    ),
}

#: A table's schema and name, who holds it, for how many seconds, and the last statement, or what calls the transaction.
_Row = tuple[str, str, str, int | None, str | None]


def of(connection: dj.Connection, databases: Iterable[str], statement: str) -> Holder | None:
    """Say who holds one of the tables that a statement names; nothing where that cannot be seen.

    Parameters
    ----------
    connection : datajoint.Connection
        A session that is in no failed transaction.
    databases : iterable of str
        Where the tables may be.
    statement : str
        The statement that waited.
    """
    mysql, names = connection.adapter.backend == "mysql", tuple(databases)

    def ask(query: str) -> list[_Row]:
        rows = _rows(connection, query.format(marks=", ".join(["%s"] * len(names))), names)
        # Whoever has had it for longest is to blame; others may have waited for their turn.
        return sorted((r for r in rows if quoted(connection, r[1]) in statement), key=lambda row: -int(row[3] or 0))

    # Before the sessions, of which the one that has prepared it still seems to hold its tables.
    for query in _PREPARED[connection.adapter.backend]:
        for _, table, who, seconds, name in ask(query):
            if mysql:
                who, do = _branches(connection)
            else:
                who, do = f"prepared transaction {who}", f"End it by COMMIT PREPARED {name} or ROLLBACK PREPARED {name}"
            return Holder(f"{table} is held by {who}{_since(seconds)}", do)
    for _, table, who, seconds, text in ask(_SESSIONS[connection.adapter.backend]):
        last = f", whose last statement is: {without_literals(str(text), mysql=mysql)[:120]}" if text else ""
        return Holder(f"{table} is held by {who}{_since(seconds)}{last}")
    return None


def _since(seconds: int | None) -> str:
    return f" for {int(seconds)} s" if seconds is not None else ""


def _rows(connection: dj.Connection, query: str, names: tuple[str, ...]) -> list[Any]:
    """Give what a query tells the account; nothing where it has no rights on what it asks."""
    # It may see more of other sessions than the owner of the schemas, for whom it acts.
    with suppress(Exception), as_login(connection):
        return list(connection.query(query, names or None, reconnect=False).fetchall())
    return []


def _branches(connection: dj.Connection) -> tuple[str, str]:
    """Give what the prepared transactions of MySQL are called, and what ends them."""
    names = [_branch(*row) for row in _rows(connection, "XA RECOVER CONVERT XID", ())]
    match names:
        case []:
            return "a prepared transaction", "Have an admin end it by XA COMMIT or XA ROLLBACK (XA RECOVER lists it)"
        case [name]:
            return f"prepared transaction {name}", f"End it by XA COMMIT {name} or XA ROLLBACK {name}"
    return f"one of the prepared transactions {'; '.join(names)}", "End that one by XA COMMIT or XA ROLLBACK"


def _branch(form: int, first: int, second: int, data: str) -> str:
    """Give the name of a prepared transaction as XA COMMIT takes it."""
    raw = bytes.fromhex(data.removeprefix("0x"))
    parts = [
        f"'{part.decode()}'" if re.fullmatch(rb"[ -&(-\[\]-~]*", part) else f"X'{part.hex()}'"
        for part in (raw[:first], raw[first : first + second])
    ]
    return ", ".join([*parts, str(form)] if form != 1 else parts if second else parts[:1])


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
