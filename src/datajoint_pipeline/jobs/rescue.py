"""Jobs whose worker is gone are put back, by SQL alone: whoever does it need not run the lab's code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from .. import server_errors
from ..dialects import advisory_locks
from ..internals import job_tables
from ..internals.job_queue import LONGEST
from ..quoting import quoter, same
from . import failures, liveness, notes
from .classes import Workers
from .liveness import State

if TYPE_CHECKING:
    import datajoint as dj

#: Where a job stands: database and name of the job table, ``~~recording``.
Place = tuple[str, str]

#: What is known of the end of a worker that is gone.
_WITHOUT_A_WORD = "ended without a word"


@dataclass(frozen=True)
class Reserved:
    """A job that somebody has reserved.

    Parameters
    ----------
    place : (str, str)
        Database and name of its job table.
    name : str
        What people call its table, as far as its name on the server tells: ``ephys.Recording``.
    key : mapping
        Its key, as the driver gives it.
    connection_id, host, pid, user
        Who reserved it, as DataJoint writes it.
    note : str
        What ``error_message`` says.
    """

    place: Place
    name: str
    key: Mapping[str, Any]
    connection_id: int
    host: str
    pid: int
    user: str
    note: str


def places(connection: dj.Connection, databases: Mapping[str, str]) -> dict[Place, str]:
    """Give every job table of a pipeline, with what people call its table.

    Parameters
    ----------
    connection : datajoint.Connection
        A session.
    databases : mapping
        Name on the server of each schema.
    """
    schemas = {database: schema for schema, database in databases.items()}
    return {
        (database, table): f"{schemas[database]}.{_class_name(table)}"
        for database, table in sorted(job_tables.every_table(connection, tuple(schemas)))
        if table.startswith(job_tables.PREFIX)
    }


def _class_name(table: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in table.lstrip("~").split("_"))


def holders(connection: dj.Connection, tables: Iterable[Place]) -> dict[int, set[Place]]:
    """Find, with one statement, which workers have reserved jobs, and where; a plain ``populate`` is none."""
    quote = quoter(connection)
    parts, values = [], []
    for database, table in tables:
        parts.append(
            f"SELECT DISTINCT %s AS a, %s AS b, connection_id FROM {quote(database)}.{quote(table)} "
            f"WHERE status = 'reserved' AND connection_id >= {liveness.FIRST}"
        )
        values += [database, table]
    if not parts:
        return {}
    found: dict[int, set[Place]] = {}
    for database, table, number in connection.query(
        " UNION ALL ".join(parts), tuple(values), reconnect=False
    ).fetchall():
        found.setdefault(int(number), set()).add((str(database), str(table)))
    return found


def unreadable(connection: dj.Connection, tables: Iterable[Place]) -> dict[Place, str]:
    """Find the job tables that are none, as somebody made or changed them by hand, and why; a statement for each.

    Raises
    ------
    Exception
        What the driver raises of a lost session, a lock or a right.
    """
    found = {}
    for place in tables:
        try:
            holders(connection, [place])
        except Exception as error:
            if failures.is_passing(error) or failures.is_of_server(error):
                raise
            found[place] = server_errors.reason(error)
    return found


def reserved(connection: dj.Connection, tables: Mapping[Place, str], number: int | None = None) -> list[Reserved]:
    """Read the jobs that are reserved, or those of one worker, with a statement a table.

    Parameters
    ----------
    connection : datajoint.Connection
        A session.
    tables : mapping
        The job tables, from :func:`places`.
    number : int, optional
        The ``connection_id`` of whoever reserved them.
    """
    quote, found = quoter(connection), list[Reserved]()
    for place, name in tables.items():
        query = f"SELECT * FROM {quote(place[0])}.{quote(place[1])} WHERE status = 'reserved'"
        query += "" if number is None else f" AND connection_id = {number}"
        cursor = connection.query(query, args=None, as_dict=True, reconnect=False)
        for row in cursor.fetchall():
            key = {column: value for column, value in row.items() if column not in job_tables.COLUMNS}
            who = int(row["connection_id"]), str(row["host"]), int(row["pid"]), str(row["user"])
            found.append(Reserved(place, name, key, *who, str(row["error_message"] or "")))
    return found


def put_back(
    connection: dj.Connection,
    job: Reserved,
    workers: Workers,
    *,
    reason: str = "",
    larger: str = "",
    final: bool = False,
    longer: float = 0.0,
) -> str:
    """Have a job wait again, or fail where it took its worker with it too often.

    Parameters
    ----------
    connection : datajoint.Connection
        A session that may write the job table.
    job : Reserved
        The job.
    workers : Workers
        What ``workers.toml`` says.
    reason : str, optional
        How the job ended its worker; without it, the job has nothing to do with that.
    larger : str, optional
        The class that it is tried in next.
    final : bool
        Whether it is not tried again.
    longer : float, optional
        It stays as it is where it was reserved less than so many seconds ago.

    Returns
    -------
    str
        What became of it: ``pending`` or ``error``; empty where somebody else was first.
    """
    note, status, message = notes.read(job.note), "pending", job.note
    if larger:
        message = str(replace(note, class_name=larger, kills=0, text=reason))
    elif reason:
        note = replace(note, kills=note.kills + 1, text=reason)
        message = str(note)
        if final or note.kills >= workers.retries.kills:
            times = {1: "once", 2: "twice"}.get(note.kills, f"{note.kills} times")
            # Where memory ends, the system kills a process, or all that its machine gave to a worker.
            memory = reason.startswith("killed by signal 9,") or reason.endswith(_WITHOUT_A_WORD)
            guess = " (out of memory?)" if memory else ""
            status = "error"
            message = reason if final else f"Its worker was killed {times} while it ran{guess}: {reason}"
    quote = quoter(connection)
    where = " AND ".join(same(quote(column), value) for column, value in job.key.items())
    if longer:
        where += f" AND reserved_time < CURRENT_TIMESTAMP(3) - {connection.adapter.interval_expr(longer, 'second')}"
    moment = "scheduled_time" if status == "pending" else "completed_time"
    count = connection.query(
        f"UPDATE {quote(job.place[0])}.{quote(job.place[1])} SET status = %s, error_message = %s, "
        f"{moment} = CURRENT_TIMESTAMP(3) WHERE {where} AND status = 'reserved' AND connection_id = %s",
        (status, message[:LONGEST], *job.key.values(), job.connection_id),
        reconnect=False,
    ).rowcount
    return status if count else ""


def leave_to_others(
    connection: dj.Connection,
    tables: Mapping[Place, str],
    number: int,
    name: str,
    key: Mapping[str, Any],
    longer: float,
) -> None:
    """Have the jobs wait again that a worker has reserved behind the one that it computes.

    That one may have ended meanwhile. What its worker has reserved since was reserved less than ``longer`` seconds ago,
    and stays.

    Parameters
    ----------
    connection : datajoint.Connection
        A session that may write the job table.
    tables : mapping
        The job tables, from :func:`places`.
    number : int
        The ``connection_id`` of the worker.
    name, key : str, mapping
        The table and the key of the job that it computes, as it said them.
    longer : float
        For how many seconds they have been reserved, at least.
    """
    mine = {place: table for place, table in tables.items() if table.lower() == name.lower()}
    for job in reserved(connection, mine, number):
        if not is_it(job, name, key):
            put_back(connection, job, Workers(), longer=longer)


class Sweeper:
    """Finds workers that are gone, and puts their jobs back; one in a pipeline at a time.

    Parameters
    ----------
    pipeline : str
        What the pipeline's own lock is called (``Target.lock``).
    patience : float
        Seconds for which a worker has to be gone: after a restart of the server, those that live take their locks anew.
    """

    def __init__(self, pipeline: str, patience: float = 4.0) -> None:
        self._lock = f"pipeline-sweeper:{liveness.short(pipeline)}"
        self._patience = patience
        #: Workers that were gone when looked at, and when that was first.
        self._gone: dict[int, float] = {}
        self._on_duty = False

    def forget(self) -> None:
        """Begin anew, with another session."""
        self._gone, self._on_duty = {}, False

    def sweep(
        self, connection: dj.Connection, tables: Mapping[Place, str], workers: Workers, now: float
    ) -> list[tuple[Reserved, str]]:
        """Put back the jobs of workers that have been gone for long enough; give those, and what became of each.

        Raises
        ------
        Exception
            What the driver raises.
        """
        self._on_duty = self._on_duty or advisory_locks.take(connection, self._lock)
        if not self._on_duty:
            return []
        held = holders(connection, tables)
        dead = [number for number, state in liveness.states(connection, held).items() if state is State.DEAD]
        self._gone = {number: self._gone.get(number, now) for number in dead}
        done: list[tuple[Reserved, str]] = []
        for number in [number for number, since in self._gone.items() if now - since >= self._patience]:
            # It may have taken its lock anew between the two statements.
            if liveness.states(connection, [number])[number] is State.ALIVE:
                continue
            for job in reserved(connection, {place: tables[place] for place in held[number]}, number):
                reason = f"its worker on {job.host} {_WITHOUT_A_WORD}"
                if became := put_back(connection, job, workers, reason=reason):
                    done.append((job, became))
            del self._gone[number]
        return done


def is_it(job: Reserved, name: str, key: Mapping[str, Any]) -> bool:
    """Tell whether a job is the one with a key, by what its worker said of it as JSON."""
    if job.name.lower() != name.lower():
        return False
    return all(_said(job.key[column]) == _said(value) for column, value in key.items() if column in job.key)


def _said(value: Any) -> str:
    """Give a value of a key as text; MySQL keeps a UUID in bytes, and true as 1."""
    if isinstance(value, bytes) and len(value) == 16:
        return str(UUID(bytes=value))
    return str(int(value)) if isinstance(value, bool) else str(value)
