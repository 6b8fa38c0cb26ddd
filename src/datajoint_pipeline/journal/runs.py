"""Record runs in the database: which version each schema has and how it came there; and hold the pipeline's lock.

Every schema holds its own journal, a hidden table beside DataJoint's ``~lineage``, so that grants and dumps of a schema
carry its history. Rows are added and finished, never removed. Only this module knows the SQL of that table.
"""

from __future__ import annotations

import getpass
import heapq
import platform
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from ..dialects.lock_holders import without_literals
from ..errors import ExitCode, PipelineError
from ..internals.connection import login, one_session
from ..quoting import quoter, union_text

if TYPE_CHECKING:
    import datajoint as dj

TABLE = "~migration"

#: Layout of the journal; raised when its columns change. A row says in which layout it was written. Layout 2 has the
#: column ``options``; commands that only read know both, and :func:`upgrade` brings the first to the second.
LAYOUT = 2

_OPTIONS = "options varchar(255) NOT NULL DEFAULT ''"

RUNNING, DONE, WITHDRAWN = "running", "done", "withdrawn"

#: The kind of a run that brought a schema to the code without a migration; its version stays the same.
DRAFT = "draft"

#: The columns that every layout has.
_COLUMNS = (
    "id",
    "layout",
    "kind",
    "status",
    "version",
    "previous_version",
    "fingerprint",
    "started_at",
    "finished_at",
    "database_user",
    "os_user",
    "host",
    "code_commit",
    "software",
)

#: Those that have no texts.
_PLAIN = ("id", "layout", "started_at", "finished_at")

#: Those that may be NULL.
_NULLABLE = ("previous_version", "fingerprint", "finished_at")


@dataclass(frozen=True)
class Record:
    """One run in the journal of a schema.

    Parameters
    ----------
    schema : str
        The schema's name in the code.
    id : int
        Number of the run within the schema, from 1.
    layout : int
        Layout of the journal that the row was written in.
    kind : str
        ``init``, ``adopt``, ``migrate``, ``rollback`` or ``draft``; ``purge`` and ``restore``, which lead to no other
        version and are ``done`` from the start.
    status : str
        ``running`` until the run has ended, then ``done``; ``withdrawn`` where nothing is left of it: its first
        step failed, or it was taken back.
    version, previous_version : str or None
        The schema's version after the run and before it; None where there was none.
    fingerprint : str or None
        Fingerprint of the schema's shape after the run; None where none was taken.
    started_at, finished_at : datetime
        UTC, without time zone; ``finished_at`` is None while running.
    database_user, os_user, host, code_commit, software : str
        Who ran it, where, from which commit, with which versions of project, library, DataJoint, Python and server.
    options : str
        Options of the command line that let values be lost, such as ``--allow-data-loss --no-backup``.
    """

    schema: str
    id: int
    layout: int
    kind: str
    status: str
    version: str
    previous_version: str | None
    fingerprint: str | None
    started_at: datetime
    finished_at: datetime | None
    database_user: str
    os_user: str
    host: str
    code_commit: str
    software: str
    options: str = ""

    @property
    def state(self) -> str:
        """Give what became of it: ``done``, ``undone``, or ``interrupted`` as long as it has not ended."""
        return {RUNNING: "interrupted", WITHDRAWN: "undone"}.get(self.status, self.status)


def now() -> datetime:
    """Give the moment in UTC without time zone, as the journal keeps it."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


def _table(connection: dj.Connection, database: str) -> str:
    quote = quoter(connection)
    return f"{quote(database)}.{quote(TABLE)}"


def create(connection: dj.Connection, database: str) -> None:
    """Make the journal of a schema where it is missing."""
    moment = connection.adapter.core_type_to_sql("datetime(6)")
    suffix = " CHARACTER SET utf8mb4" if connection.adapter.backend == "mysql" else ""
    connection.query(
        f"CREATE TABLE IF NOT EXISTS {_table(connection, database)} ("
        "id integer NOT NULL PRIMARY KEY, layout integer NOT NULL, kind varchar(16) NOT NULL, "
        "status varchar(16) NOT NULL, version varchar(64) NOT NULL, previous_version varchar(64), "
        f"fingerprint varchar(64), started_at {moment} NOT NULL, finished_at {moment}, "
        "database_user varchar(255) NOT NULL, os_user varchar(255) NOT NULL, host varchar(255) NOT NULL, "
        f"code_commit varchar(64) NOT NULL, software varchar(255) NOT NULL, {_OPTIONS}){suffix}",
        args=None,
    )
    protect(connection, database, TABLE)


def outdated(connection: dj.Connection, databases: Iterable[str]) -> list[str]:
    """Find the databases whose journal has the columns of an earlier layout."""
    found = survey(connection, databases)
    return [database for database, one in found.items() if one.journal and one.layout < LAYOUT]


def upgrade(connection: dj.Connection, database: str) -> None:
    """Bring a journal of an earlier release to this layout, in one statement that is done or not done."""
    sql = f"ALTER TABLE {_table(connection, database)} ADD COLUMN {_OPTIONS}"
    connection.query(sql, args=None, reconnect=False)


def protect(connection: dj.Connection, database: str, table: str) -> None:
    """Let only its owner write to a table of the journal, whatever rights others have on new tables.

    On MySQL rights come from patterns of databases, and cannot be revoked for one table.
    """
    if connection.adapter.backend != "postgresql":
        return
    others = (
        "SELECT DISTINCT CASE WHEN r.oid IS NULL THEN 'PUBLIC' ELSE quote_ident(r.rolname) END "
        "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "CROSS JOIN aclexplode(c.relacl) a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee "
        "WHERE n.nspname = %s AND c.relname = %s AND pg_has_role(c.relowner, 'USAGE') AND a.grantee <> c.relowner "
        "AND a.privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')"
    )
    quote = quoter(connection)
    for (role,) in connection.query(others, (database, table)).fetchall():
        full = f"{quote(database)}.{quote(table)}"
        connection.query(f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {full} FROM {role}", args=None)


@dataclass(frozen=True)
class Survey:
    """What a database holds.

    Parameters
    ----------
    tables : int
        How many tables that are not hidden.
    journal : bool
        Whether there is a journal that this account may read.
    unreadable : bool
        Whether there is one that it may not read.
    layout : int
        The layout of the journal's columns.
    closed : tuple of str
        The tables that are not hidden and that this account may not read. MySQL does not show it these.
    """

    tables: int
    journal: bool
    unreadable: bool = False
    layout: int = LAYOUT
    closed: tuple[str, ...] = ()


def recorded(connection: dj.Connection, databases: Mapping[str, str]) -> dict[str, str]:
    """Give those databases, by schema, that have a journal which may be read."""
    surveys = survey(connection, databases.values())
    return {name: d for name, d in databases.items() if d in surveys and surveys[d].journal}


def survey(connection: dj.Connection, databases: Iterable[str]) -> dict[str, Survey]:
    """Find which databases exist and what they hold, with one query. What the account may not see counts as absent."""
    names = tuple(databases)
    marks = ", ".join(["%s"] * len(names))
    if connection.adapter.backend == "mysql":
        query = (
            "SELECT s.schema_name, SUM(LEFT(t.table_name, 1) <> '~'), SUM(t.table_name = %s), 0, "
            "(SELECT COUNT(*) FROM information_schema.columns c WHERE c.table_schema = s.schema_name "
            "AND c.table_name = %s AND c.column_name = 'options'), NULL "
            "FROM information_schema.schemata s LEFT JOIN information_schema.tables t "
            f"ON t.table_schema = s.schema_name WHERE s.schema_name IN ({marks}) GROUP BY s.schema_name"
        )
        journals: tuple[str, ...] = (TABLE,) * 2
    else:
        # information_schema hides what an account has few rights on; pg_catalog does not.
        query = (
            "SELECT n.nspname, COUNT(c.oid) FILTER (WHERE LEFT(c.relname, 1) <> '~'), COUNT(c.oid) FILTER ("
            "WHERE c.relname = %s AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')), "
            "COUNT(c.oid) FILTER (WHERE c.relname = %s), COUNT(c.oid) FILTER (WHERE c.relname = %s AND "
            "EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'options')), "
            "ARRAY_AGG(c.relname::text ORDER BY c.relname) FILTER (WHERE LEFT(c.relname, 1) <> '~' AND NOT ("
            "has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))) "
            "FROM pg_catalog.pg_namespace n LEFT JOIN pg_catalog.pg_class c "
            f"ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p') WHERE n.nspname IN ({marks}) GROUP BY n.nspname"
        )
        journals = (TABLE,) * 3
    rows = connection.query(query, (*journals, *names)).fetchall()
    return {
        name: Survey(
            int(tables or 0), bool(readable), bool(exists) and not readable, 2 if options else 1, tuple(closed or ())
        )
        for name, tables, readable, exists, options, closed in rows
    }


#: The last run that was not withdrawn, or the last that is done.
_LAST = "WHERE id = (SELECT MAX(id) FROM {table} WHERE status <> 'withdrawn')"
_ENDED = "WHERE id = (SELECT MAX(id) FROM {table} WHERE status = 'done')"

#: The tables of PostgreSQL that are not hidden, each with whether this account may read it.
_READABLE = (
    "(SELECT JSONB_OBJECT_AGG(c.relname, has_table_privilege(c.oid, 'SELECT')) FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND LEFT(c.relname, 1) <> '~')"
)


def latest(connection: dj.Connection, databases: Mapping[str, str], *, ended: bool = False) -> dict[str, Record]:
    """Read the last run of each schema that was not withdrawn, with one query; with ``ended`` the last that is done.

    Parameters
    ----------
    connection : datajoint.Connection
        Where to read.
    databases : dict
        Name on the server of each schema; all of them must have a journal.

    Raises
    ------
    PipelineError
        If a journal was written by a newer version of the library.
    """
    condition = _ENDED if ended else _LAST
    return {record.schema: record for record, _ in _read(connection, databases, condition)}


def at_once(connection: dj.Connection, databases: Mapping[str, str]) -> tuple[dict[str, Record], dict[str, Survey]]:
    """Give what :func:`latest` gives, and by schema what may be read there, still with one query.

    The parameters and the errors are those of :func:`latest`. MySQL does not show what may not be read.
    """
    found = list(_read(connection, databases, _LAST, look=connection.adapter.backend == "postgresql"))
    surveys = {record.schema: Survey(len(tables), True, closed=_closed(tables)) for record, tables in found}
    return {record.schema: record for record, _ in found}, surveys


def _closed(tables: Mapping[str, bool]) -> tuple[str, ...]:
    return tuple(name for name, readable in tables.items() if not readable)


def history(
    connection: dj.Connection, databases: Mapping[str, str], found: Mapping[str, Survey] | None = None
) -> list[Record]:
    """Read every run of the schemas, in the order in which they ran.

    Within a schema that is the order of their numbers: the clocks of machines differ, and one may have been set back.
    ``found`` is what :func:`survey` gave; without it the runs have no ``options``, which not every layout has.
    """
    complete = {database for database, survey in (found or {}).items() if survey.layout >= 2}
    by_schema: dict[str, list[Record]] = {}
    for record, _ in _read(connection, databases, "", complete):
        by_schema.setdefault(record.schema, []).append(record)
    own = (sorted(records, key=lambda record: record.id) for records in by_schema.values())
    return list(heapq.merge(*own, key=lambda record: (record.started_at, record.schema)))


def options_of(connection: dj.Connection, database: str, record: Record, found: Mapping[str, Survey]) -> list[str]:
    """Read the options of one run, word by word; ``found`` is what :func:`survey` gave."""
    every = history(connection, {record.schema: database}, found)
    return next((one.options.split() for one in every if one.id == record.id), [])


def _read(
    connection: dj.Connection,
    databases: Mapping[str, str],
    condition: str,
    complete: Container[str] = (),
    *,
    look: bool = False,
) -> Iterator[tuple[Record, dict[str, bool]]]:
    """Read runs; with ``look`` each beside the tables of its schema, and whether the account may read them."""
    if not databases:
        return
    readable = _READABLE if look else "NULL"
    parts, arguments = [], []
    every = [name if name in _PLAIN else union_text(connection, name) for name in _COLUMNS]
    for schema, database in databases.items():
        table = _table(connection, database)
        last = union_text(connection, "options") if database in complete else "'' AS options"
        columns = ", ".join(["%s AS schema_name", *every, last, f"{readable} AS readable"])
        parts.append(f"SELECT {columns} FROM {table} {condition.format(table=table)}")
        arguments += [schema, database] if look else [schema]
    where = ", ".join(databases)
    try:
        rows = connection.query(" UNION ALL ".join(parts), tuple(arguments)).fetchall()
    except ValueError as error:  # PostgreSQL has years that Python has not
        raise unreadable(where, f"a run has a time that is none, {error}") from None
    for *row, tables in rows:
        record = Record(*row)
        if odd := _odd(record):
            raise unreadable(record.schema, f"run {record.id} has {odd}")
        if record.layout > LAYOUT:
            raise PipelineError(
                f"The journal of {record.schema} was written by a newer version of the library.",
                f"Its layout is {record.layout}; this version knows layouts up to {LAYOUT}.",
                "Use the newer code: pull the project, or run uvx copier update.",
                exit_code=ExitCode.CONFLICT,
            )
        yield record, tables or {}


def _odd(record: Record) -> str:
    """Name what a run cannot have; nothing where all is well. Anybody with rights there may have written it."""
    for name in _COLUMNS:
        if name not in _NULLABLE and getattr(record, name) is None:
            return f"no {name}"
    if not 0 < record.id < 2**31 - 1:
        return "a number that no run gets"
    for moment in (record.started_at, record.finished_at):
        if not isinstance(moment, datetime | None):  # MySQL's zero date
            return f"a time that is none, {moment}"
    for version in (record.version, record.previous_version):
        try:
            Version(version or "0")
        except InvalidVersion:
            return f"a version that is none, {version}"
    return ""


def unreadable(schemas: str, why: str, table: str = TABLE) -> PipelineError:
    """Give the refusal of a journal that has in a table what no command writes."""
    return PipelineError(
        f"The journal of {schemas} cannot be read: {why}.",
        f"No command writes that; somebody changed the table {table} by hand.",
        "Correct it there, or get that table back from a backup of the server.",
        exit_code=ExitCode.CONFLICT,
    )


def following(connection: dj.Connection, database: str) -> int:
    """Give the number that the next run of a schema will have."""
    query = f"SELECT COALESCE(MAX(id), 0) + 1 FROM {_table(connection, database)}"
    return int(connection.query(query, args=None).fetchone()[0])


def begin(
    connection: dj.Connection,
    database: str,
    *,
    kind: str,
    version: str,
    previous_version: str | None,
    code_commit: str,
    software: str,
    options: str = "",
    fingerprint: str | None = None,
    status: str = RUNNING,
) -> int:
    """Record a run that is under way; give its number."""
    table, number = _table(connection, database), following(connection, database)
    values = {
        "id": number,
        "layout": LAYOUT,
        "kind": kind,
        "status": status,
        "version": version,
        "previous_version": previous_version,
        "fingerprint": fingerprint,
        "started_at": now(),
        "finished_at": None,
        "database_user": login(connection),
        "os_user": os_user(),
        "host": platform.node(),
        "code_commit": code_commit,
        "software": software,
        "options": options,
    }
    marks = ", ".join(["%s"] * len(values))
    sql = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"
    connection.query(sql, tuple(values.values()), reconnect=False)
    return number


def finish(connection: dj.Connection, database: str, number: int) -> None:
    """Record that a run is done."""
    connection.query(
        f"UPDATE {_table(connection, database)} SET status = %s, finished_at = %s WHERE id = %s",
        (DONE, now(), number),
    )


def reopen(connection: dj.Connection, database: str, number: int) -> None:
    """Record that a run that was done is under way once more, as it is being taken back."""
    query = f"UPDATE {_table(connection, database)} SET status = %s WHERE id = %s"
    connection.query(query, (RUNNING, number), reconnect=False)


def withdraw(connection: dj.Connection, database: str, number: int) -> None:
    """Record that nothing is left of a run: it ended before anything was changed, or was taken back."""
    query = f"UPDATE {_table(connection, database)} SET status = %s, finished_at = %s WHERE id = %s"
    connection.query(query, (WITHDRAWN, now(), number), reconnect=False)


def stamp(connection: dj.Connection, database: str, number: int, fingerprint: str) -> None:
    """Record the fingerprint of the shape that a run led to."""
    query = f"UPDATE {_table(connection, database)} SET fingerprint = %s WHERE id = %s"
    connection.query(query, (fingerprint, number))


def restamp(connection: dj.Connection, database: str, fingerprint: str) -> None:
    """Record another fingerprint of the version that a schema has, if it has one."""
    table = _table(connection, database)
    sql = f"UPDATE {table} SET fingerprint = %s WHERE status = %s ORDER BY id DESC LIMIT 1"
    if connection.adapter.backend == "postgresql":
        last = f"SELECT MAX(id) FROM {table} WHERE status <> 'withdrawn'"
        sql = f"UPDATE {table} SET fingerprint = %s WHERE status = %s AND id = ({last})"
    connection.query(sql, (fingerprint, DONE), reconnect=False)


def os_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return "unknown"


def called(name: str) -> str:
    """Give what a pipeline's lock is called on the server, by its name."""
    return f"pipeline:{name}"[:64]


@contextmanager
def lock(
    connection: dj.Connection, name: str, *, timeout: float = 30.0, warn: Callable[[str], None] = lambda text: None
) -> Iterator[None]:
    """Hold the pipeline's lock on this very session, so that it ends with the session that changes tables.

    The lock is polled: a call that waits would queue behind, and in front of, statements of others.

    Parameters
    ----------
    connection : datajoint.Connection
        The session that will run the statements.
    name : str
        The lock's name.
    timeout : float
        Seconds to try.
    warn : callable, optional
        Called once, with who holds it, where it has to be waited for.

    Raises
    ------
    PipelineError
        If somebody else holds it for longer.
    """
    mysql = connection.adapter.backend == "mysql"
    key = called(name)
    take = "SELECT GET_LOCK(%s, 0)" if mysql else "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))::int"
    give = "SELECT RELEASE_LOCK(%s)" if mysql else "SELECT pg_advisory_unlock(hashtextextended(%s, 0))"
    deadline, warned = time.monotonic() + timeout, False
    while connection.query(take, (key,)).fetchone()[0] != 1:
        if time.monotonic() > deadline:
            raise PipelineError(
                "Somebody else is changing this pipeline's database.",
                f"The lock is held by {_holder(connection, key)}.",
                "Wait until that has ended and run the command again.",
            )
        if not warned:
            holder = _holder(connection, key)
            warn(
                f"Somebody else is changing this pipeline's database ({holder}). This waits for up to {timeout:.0f} s."
            )
            warned = True
        time.sleep(0.2)
    try:
        with one_session(connection):
            yield
    finally:
        with suppress(Exception):  # a lost session has let go by itself, and its error is to be seen
            connection.query(give, (key,), reconnect=False)


def is_held(connection: dj.Connection, name: str) -> bool:
    """Tell whether anybody holds a pipeline's lock: then a change of its database goes on."""
    if connection.adapter.backend == "mysql":
        query = "SELECT COUNT(IS_USED_LOCK(%s))"
    else:
        query = (
            "SELECT COUNT(*) FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.database = "
            "(SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) "
            "AND ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended(%s, 0)"
        )
    return bool(connection.query(query, (called(name),)).fetchone()[0])


def _holder(connection: dj.Connection, key: str) -> str:
    """Say who holds the lock."""
    if connection.adapter.backend == "mysql":
        query = (
            "SELECT CONCAT(user, '@', host, ', session ', id, ', for ', time, ' s at: '), COALESCE(info, command) "
            "FROM information_schema.processlist WHERE id = IS_USED_LOCK(%s)"
        )
    else:
        query = (
            "SELECT CONCAT(usename, COALESCE('@' || host(client_addr), ''), ', session ', a.pid, ' since ', "
            "to_char(backend_start, 'YYYY-MM-DD HH24:MI')), '' "
            "FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
            "WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname "
            "= current_database()) AND ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended(%s, 0)"
        )
    row = connection.query(query, (key,)).fetchone()
    if not row or not row[0]:
        return "a session that this account may not see"
    return f"{row[0]}{without_literals(str(row[1]), mysql=True)[:80]}"
