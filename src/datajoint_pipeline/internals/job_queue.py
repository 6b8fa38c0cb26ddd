"""The jobs of one table: taken several at a time, computed by DataJoint, and ended one way or another.

DataJoint's own reservation walks one list of keys in every worker, and adds keys to it one by one. Here some keys are
taken at random from a window with one statement, and added with one for many. DataJoint's ``populate`` computes.
"""

from __future__ import annotations

import logging
import os
import platform
import random
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..quoting import quoter
from . import job_tables
from .keys import restriction

if TYPE_CHECKING:
    import datajoint as dj

#: How many new keys one refresh adds, and how many a statement inserts.
_MOST, _CHUNK = 50_000, 1000

#: How much DataJoint keeps of the text of an error.
LONGEST = 2047

Key = Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """A job that waits or is reserved: its key, and what its ``error_message`` says of earlier attempts."""

    key: Key
    note: str


@dataclass(frozen=True)
class Computed:
    """What came of a job: rows, nothing because they were there already, or an error with its traceback."""

    rows: int = 0
    error: BaseException | None = None
    stack: str = ""


class JobQueue:
    """The jobs of a table.

    Parameters
    ----------
    table : type
        An Imported or Computed table; only from :func:`opened`.
    name : str
        What people call it.
    """

    def __init__(self, table: Any, name: str) -> None:
        self.name = name
        self._table = table()
        self._jobs = job_tables.of(self._table)
        self._connection: dj.Connection = self._table.connection
        self._keep = bool(self._connection._config.jobs.keep_completed)

    @property
    def table(self) -> Any:
        """Give the table."""
        return self._table

    @property
    def database(self) -> str:
        """Give the database that the table is in."""
        return str(self._table.database)

    @property
    def table_name(self) -> str:
        """Give the name of the table on the server."""
        return str(self._table.table_name)

    # --- Filling -----------------------------------------------------------------------------------------------------

    def refresh(self, priority: int) -> tuple[int, int]:
        """Add a job for each key that has none, and take away those whose keys are gone, as DataJoint's refresh does.

        It reads without locking what it reads, and locks only the rows that it writes: a long ``make`` of somebody else
        holds nothing up. At most 50,000 jobs are added at once.

        Returns
        -------
        tuple of int
            How many were added, and removed.
        """
        from datajoint.condition import Not

        source, target, jobs = self._source(), self._table.proj(), self._jobs
        new = (source - target).restrict(Not(jobs), semantic_check=False).proj()
        names = jobs.primary_key
        rows = {tuple(key[name] for name in names): key for key in new.keys(limit=_MOST)}
        added = [
            {**{name: key[name] for name in names}, "status": "pending", "priority": priority} for key in rows.values()
        ]
        for first in range(0, len(added), _CHUNK):
            jobs.insert(added[first : first + _CHUNK], skip_duplicates=True)
        gone = jobs.restrict(Not(self._source().proj()), semantic_check=False)
        config = self._connection._config.jobs
        ended = (gone & "status in ('success', 'error')").restrict(Not(target), semantic_check=False).keys()
        stale: list[Key] = []
        if config.stale_timeout > 0:
            age = jobs.adapter.interval_expr(config.stale_timeout, "second")
            stale = (gone & f"created_time < CURRENT_TIMESTAMP - {age}" & "status != 'ignore'").keys()
        removed = self._delete([*ended, *stale], "status != 'ignore'")
        if self._keep:
            again = jobs.completed.restrict(source, semantic_check=False).restrict(Not(target), semantic_check=False)
            for some in _chunks(again.keys()):
                self._update(some, "status='pending', scheduled_time=CURRENT_TIMESTAMP(3)", (), "status='success'")
        return len(added), removed

    def _source(self) -> Any:
        """Give the query of the keys to compute, as DataJoint does."""
        source = self._table.key_source
        return source() if isinstance(source, type) else source

    def _delete(self, keys: Sequence[Key], condition: str) -> int:
        count = 0
        for some in _chunks(keys):
            found = [self._found(key) for key in some]
            count += int((self._jobs & found & condition).delete_quick(get_count=True))
        return count

    def _found(self, key: Key) -> Any:
        return restriction(self._jobs, key)

    # --- Taking ------------------------------------------------------------------------------------------------------

    def waiting(self, limit: int, condition: str = "") -> list[Job]:
        """Read the first jobs that wait and are due, of one priority and in random order, then those after them."""
        query = self._jobs.pending & "scheduled_time <= CURRENT_TIMESTAMP(3)"
        if condition:
            query &= condition
        rows = query.proj("error_message", "priority", "scheduled_time").to_dicts(
            order_by="priority ASC, scheduled_time ASC", limit=limit
        )
        first = [row for row in rows if row["priority"] == rows[0]["priority"]]
        random.shuffle(first)
        names = self._jobs.primary_key
        return [
            Job({name: row[name] for name in names}, row["error_message"] or "")
            for row in [*first, *rows[len(first) :]]
        ]

    def due_in(self, seconds: int, condition: str = "") -> bool:
        """Tell whether a job waits that is due within some seconds."""
        due = self._jobs.adapter.interval_expr(seconds, "second")
        query = self._jobs.pending & f"scheduled_time <= CURRENT_TIMESTAMP(3) + {due}"
        return bool(len(query & condition if condition else query))

    def claim(self, jobs: Sequence[Job], number: int, user: str, version: str) -> list[Job]:
        """Reserve jobs as DataJoint's ``reserve`` does, all with one statement; give those that nobody else took.

        Parameters
        ----------
        jobs : sequence of Job
            What :meth:`waiting` gave.
        number : int
            Who reserves them; no two at the same time have the same one.
        user, version : str
            What DataJoint writes there.
        """
        columns = {
            "host": platform.node(),
            "pid": os.getpid(),
            "connection_id": number,
            "user": user,
            "version": version,
        }
        quote = quoter(self._connection)
        assigned = ", ".join(f"{quote(name)}=%s" for name in columns)
        count = self._update(
            [job.key for job in jobs],
            f"status='reserved', {assigned}, reserved_time=CURRENT_TIMESTAMP(3)",
            tuple(columns.values()),
            "status='pending' AND scheduled_time <= CURRENT_TIMESTAMP(3)",
        )
        if count == len(jobs):
            return list(jobs)
        mine = self._jobs.reserved & f"connection_id={number}" & [self._found(job.key) for job in jobs]
        there = {tuple(key.values()) for key in mine.keys()} if count else set()  # noqa: SIM118 - DataJoint's keys
        return [job for job in jobs if tuple(job.key.values()) in there]

    def _update(self, keys: Sequence[Key], assigned: str, values: tuple[Any, ...], condition: str) -> int:
        from datajoint.condition import make_condition

        where = make_condition(self._jobs, [self._found(key) for key in keys], set())
        query = f"UPDATE {self._jobs.full_table_name} SET {assigned} WHERE ({where}) AND {condition}"
        return int(self._connection.query(query, args=values).rowcount)

    # --- Computing ---------------------------------------------------------------------------------------------------

    def compute(self, key: Key, raised: type[BaseException] | tuple[()] = ()) -> Computed:
        """Have DataJoint compute a key that is reserved; an error is given, whatever it is, unless it is to be raised.

        A ``make`` may end with ``sys.exit``, or be cancelled: that is an error of its job, and not of its worker.
        """
        logger = logging.getLogger("datajoint")
        logger.addFilter(_not_of_a_key)
        try:
            # The job is ours already, so DataJoint need not look for it among those that wait.
            outcome = self._table.populate(self._found(key), suppress_errors=True, return_exception_objects=True)
        except raised:
            raise
        except BaseException as error:
            # What DataJoint does not expect it does not roll back; on PostgreSQL it cannot where a session is lost.
            if self._connection.in_transaction:
                with suppress(Exception):
                    self._connection.cancel_transaction()
            return Computed(error=error, stack=_stack(error))
        finally:
            logger.removeFilter(_not_of_a_key)
        for _, failure in outcome["error_list"]:
            return Computed(error=failure, stack=_stack(failure))
        return Computed(rows=outcome["success_count"])

    def is_there(self, key: Key) -> bool:
        """Tell whether the rows of a job are in the table: where a job is several keys, all of them."""
        if not len(self._table & self._found(key)):
            return False
        if len(self._jobs.primary_key) == len(self._table.primary_key):
            return True
        return not len((self._source() & self._found(key)) - self._table.proj())

    def absent(self, keys: Sequence[Key]) -> list[Key]:
        """Give the jobs of which no row is in the table, with one statement where there are none."""
        if not keys:
            return []
        rows = self._table & [self._found(key) for key in keys]
        there = len(rows) if len(self._jobs.primary_key) == len(self._table.primary_key) else 0
        return [key for key in keys if not len(self._table & self._found(key))] if there < len(keys) else []

    def durations(self) -> list[float]:
        """Give how many seconds the last rows took, at most 100 of them."""
        if "_job_duration" not in (self._table.heading._attributes or {}):
            return []
        query = (
            f"SELECT _job_duration FROM {self._table.full_table_name} WHERE _job_duration IS NOT NULL "
            "ORDER BY _job_start_time DESC LIMIT 100"
        )
        return [float(row[0]) for row in self._connection.query(query, args=None).fetchall()]

    # --- Ending ------------------------------------------------------------------------------------------------------

    def complete(self, keys: Sequence[Key], number: int) -> None:
        """End jobs whose rows are there."""
        if self._keep:
            for some in _chunks(keys):
                self._update(some, "status='success', completed_time=CURRENT_TIMESTAMP(3)", (), "TRUE")
            return
        self._delete(keys, f"status='reserved' AND connection_id={number}")

    def release(self, number: int) -> None:
        """Have all jobs wait again that one worker has reserved."""
        query = f"UPDATE {self._jobs.full_table_name} SET status='pending' WHERE status='reserved' AND connection_id=%s"
        self._connection.query(query, args=(number,))

    def fail(self, key: Key, message: str, stack: str) -> None:
        """Mark a job as failed, with its error, as DataJoint's ``error`` does, which does not find every key."""
        from datajoint.jobs import TRUNCATION_APPENDIX

        if len(message) > LONGEST:
            message = message[: LONGEST - len(TRUNCATION_APPENDIX)] + TRUNCATION_APPENDIX
        _, _, stored = self._jobs._Table__make_placeholder("error_stack", stack)
        set_ = "status='error', completed_time=CURRENT_TIMESTAMP(3), error_message=%s, error_stack=%s"
        self._update([key], set_, (message, stored), "TRUE")

    def give_back(self, keys: Sequence[Key], number: int, *, note: str | None = None, wait: float = 0.0) -> None:
        """Have jobs wait again, for some seconds at least, with a note or the one that they have."""
        due = self._jobs.adapter.interval_expr(round(wait, 3), "second")
        noted = "" if note is None else "error_message=%s, "
        values = () if note is None else (note,)
        for some in _chunks(keys):
            self._update(
                some,
                f"status='pending', {noted}scheduled_time=CURRENT_TIMESTAMP(3)" + (f" + {due}" if wait else ""),
                values,
                f"status='reserved' AND connection_id={number}",
            )


@contextmanager
def opening(connection: dj.Connection) -> Iterator[None]:
    """Read the foreign keys once for all queues that are made meanwhile, and not for each of them."""
    dependencies = connection.dependencies
    dependencies.load()
    dependencies.load = lambda *arguments, **options: None
    logger = logging.getLogger("datajoint")
    logger.addFilter(_not_of_a_queue)
    try:
        yield
    finally:
        logger.removeFilter(_not_of_a_queue)
        del dependencies.load


def keep_version(connection: dj.Connection) -> str:
    """Have DataJoint write the version that the code has now into all rows of this process, and give it.

    DataJoint asks git twice for each job, which takes longer than a short job, and names what was checked out meanwhile
    instead of what runs.
    """
    from datajoint import jobs

    version = str(jobs._get_job_version(connection._config))
    jobs._get_job_version = lambda config=None: version
    return version


def _chunks(keys: Iterable[Key]) -> Iterator[list[dict[str, Any]]]:
    rows = [dict(key) for key in keys]
    for first in range(0, len(rows), _CHUNK):
        yield rows[first : first + _CHUNK]


def _stack(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _not_of_a_key(record: logging.LogRecord) -> bool:
    return not (record.levelno == logging.ERROR and record.module == "autopopulate")


def _not_of_a_queue(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(("Native type ", "Ignoring non-FK primary key"))
