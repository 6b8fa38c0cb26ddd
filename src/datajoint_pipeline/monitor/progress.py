"""How far every table that is populated is, who works on it, and when it may be done: values, read with two queries a
schema.

Nothing is declared and no job table is made; an account that may only read is enough.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import TYPE_CHECKING, Any

from .. import server_errors
from ..dialects import queues
from ..jobs import classes, liveness
from ..jobs.classes import Workers
from ..jobs.liveness import State as Life
from ..project.environments import Environment
from ..project.pipeline import Pipeline
from ..schema.model import TableName
from . import sources
from .sources import Keys

if TYPE_CHECKING:
    import datajoint as dj

#: Fewer computed keys than these say nothing about how long one takes.
FEWEST_SAMPLES = 5

#: The time over which the rate is counted.
RATE_OVER = timedelta(hours=1)


class State(str, Enum):
    """How the work on a table stands."""

    DONE = "done"
    RUNNING = "running"
    NOBODY = "nobody works on it"
    ERRORS = "only errors left"
    WAITING = "waiting for upstream"


@dataclass(frozen=True)
class Reserved:
    """Jobs of one table that one process has reserved.

    Parameters
    ----------
    table : TableName
        Whose.
    host, user : str
        Where the process is, and its account on the server.
    pid, connection_id : int
        Its process, and its session on the server.
    jobs : int
        How many.
    seconds : float
        Since the first of them was reserved.
    state : str
        ``alive``, ``dead``, or ``unknown`` where nobody can tell: a plain ``populate`` says nothing of itself.
    """

    table: TableName
    host: str
    user: str
    pid: int
    connection_id: int
    jobs: int
    seconds: float
    state: str

    def as_dict(self) -> dict[str, Any]:
        """Give it as ``--json`` has it."""
        return {**vars(self), "table": str(self.table)}


@dataclass(frozen=True)
class Worker:
    """A worker that lives.

    Parameters
    ----------
    class_name : str
        Its class in ``workers.toml``.
    slot : int
        Its place among the workers of its class, from 0.
    reserved : tuple of Reserved
        What it does; nothing while it is idle.
    """

    class_name: str
    slot: int
    reserved: tuple[Reserved, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Give it as ``--json`` has it."""
        return {
            "class": self.class_name,
            "slot": self.slot,
            "host": self.reserved[0].host if self.reserved else None,
            "pid": self.reserved[0].pid if self.reserved else None,
            "tables": [str(one.table) for one in self.reserved],
            "seconds": max((one.seconds for one in self.reserved), default=None),
        }


@dataclass(frozen=True)
class TableProgress:
    """How the work on one table stands.

    Parameters
    ----------
    table : TableName
        Which.
    tier : str
        ``Imported`` or ``Computed``.
    total, done : int or None
        Keys that it is to have by what is there now, and those that it has; None where they cannot be counted.
    alive, unknown, dead : int
        Jobs that are reserved, by what is known of who reserved them (:class:`Reserved`).
    failed, ignored : int
        Jobs that ended in an error, and that somebody had left out.
    pending : int or None
        Keys that are to be computed and that nobody has begun.
    later : int
        Of these, jobs that are to be tried again at a later time.
    memory : int
        Jobs, failed or to be tried again, that are known to have run out of memory.
    waiting : int
        Keys that tables upstream have still to make before all keys of this one are known. How many keys follow from
        each is not known before.
    state : State or None
        One of five; None where the keys cannot be counted.
    class_name : str
        The class of workers that computes it, in ``workers.toml``.
    workers : int
        Live workers of that class, and others that compute the table now.
    unattended : mapping
        By class of workers of which none lives, how many keys wait for one and could be computed now. It is the table's
        own class, or a larger one that jobs were moved to.
    rate : float or None
        Keys an hour, over the last hour; None under five samples.
    typical : float or None
        Median of the seconds that the last 50 keys took; None under five samples.
    left : (float, float) or None
        Seconds until the keys that are known now are done: from and to. None where nobody works, or under five samples.
    last_success : datetime or None
        When a key was last computed, in UTC, as far as the clock of the machine that computed is right.
    unchanged : float or None
        Seconds since anything happened to a job or a row; None where nothing is known to have happened.
    own_source : bool
        Whether its class has a ``key_source`` of its own.
    upstream : tuple of TableName
        The tables that it waits for.
    problem : str
        Why its keys or jobs cannot be counted; else empty.
    """

    table: TableName
    tier: str
    total: int | None = None
    done: int | None = None
    alive: int = 0
    unknown: int = 0
    dead: int = 0
    failed: int = 0
    ignored: int = 0
    pending: int | None = None
    later: int = 0
    memory: int = 0
    waiting: int = 0
    state: State | None = None
    class_name: str = ""
    workers: int = 0
    unattended: Mapping[str, int] = field(default_factory=dict)
    rate: float | None = None
    typical: float | None = None
    left: tuple[float, float] | None = None
    last_success: datetime | None = None
    unchanged: float | None = None
    own_source: bool = False
    upstream: tuple[TableName, ...] = ()
    problem: str = ""

    @property
    def remaining(self) -> int | None:
        """Keys that are there and not computed, those that failed and are ignored too."""
        return None if self.total is None or self.done is None else self.total - self.done

    @property
    def running(self) -> int:
        """Jobs that are reserved by somebody who is alive, or may be."""
        return self.alive + self.unknown

    def as_dict(self) -> dict[str, Any]:
        """Give it as ``--json`` has it."""
        return {
            **{name: value for name, value in vars(self).items() if name != "class_name"},
            "table": str(self.table),
            "class": self.class_name,
            "schema": self.table.schema,
            "remaining": self.remaining,
            "state": self.state.value if self.state else None,
            "left": list(self.left) if self.left else None,
            "last_success": self.last_success.strftime("%Y-%m-%dT%H:%M:%SZ") if self.last_success else None,
            "upstream": [str(name) for name in self.upstream],
        }


@dataclass(frozen=True)
class Progress:
    """How the work on a pipeline stands.

    Parameters
    ----------
    environment, backend : str
        Where.
    at : datetime
        When it was read, in UTC.
    tables : tuple of TableProgress
        Every Imported and Computed table that is there, parents before children.
    reserved : tuple of Reserved
        Who has reserved jobs, workers and others.
    workers : tuple of Worker
        The workers that live, idle ones too.
    """

    environment: str
    backend: str
    at: datetime
    tables: tuple[TableProgress, ...] = ()
    reserved: tuple[Reserved, ...] = ()
    workers: tuple[Worker, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Give it as ``--json`` has it."""
        return {
            "environment": self.environment,
            "backend": self.backend,
            "at": self.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "tables": [table.as_dict() for table in self.tables],
            "reserved": [reserved.as_dict() for reserved in self.reserved],
            "workers": [worker.as_dict() for worker in self.workers],
        }


def read(pipeline: Pipeline, environment: Environment) -> Progress:
    """Find how the work on every table stands.

    Parameters
    ----------
    pipeline, environment : Pipeline, Environment
        Where.

    Raises
    ------
    PipelineError
        As :meth:`Pipeline.connect`.
    """
    return measure(pipeline, environment, sources.read(pipeline, environment))


def measure(pipeline: Pipeline, environment: Environment, keys: Sequence[Keys]) -> Progress:
    """Count again for tables whose keys are known already (:func:`sources.read`), as ``--watch`` does."""
    connection = pipeline.connect(environment)
    found = {one.table.name: _Found(one) for one in keys}
    by_schema: dict[str, list[_Found]] = {}
    for name, one in found.items():
        by_schema.setdefault(name.schema, []).append(one)
    for those in by_schema.values():
        counted = [one for one in those if one.keys.source is not None]
        _ask(connection, queues.counts, counted, _Found.take_count)
        _ask(connection, queues.jobs, [one for one in counted if one.has_jobs], _Found.take_job)
    reserved = _judged(connection, found)
    configured = workers_file(pipeline)
    living = liveness.living(connection, pipeline.target(environment).lock, configured.names)
    names = configured.names
    here, tables = datetime.now(), dict[TableName, TableProgress]()
    for name, one in found.items():
        of_table = [r for r in reserved if r.table == name]
        others = {(r.host, r.pid) for r in of_table if r.state == Life.UNKNOWN.value}
        class_name = configured.class_of(str(name)).name
        alive = {other: sum(worker.class_name in (other, liveness.ANY) for worker in living) for other in names}
        alive[class_name] += len(others)
        tables[name] = _progress(one, of_table, tables, class_name, alive, here)
    return Progress(
        environment.name,
        str(connection.adapter.backend),
        datetime.now(timezone.utc).replace(tzinfo=None),
        tuple(tables.values()),
        tuple(reserved),
        tuple(
            Worker(one.class_name, one.slot, tuple(r for r in reserved if one.reserved(r.connection_id)))
            for one in living
        ),
    )


def workers_file(pipeline: Pipeline) -> Workers:
    """Read the project's ``workers.toml``.

    Raises
    ------
    PipelineError
        With every mistake in it, a line each.
    """
    return classes.read(pipeline.project.root / classes.FILE, schemas=pipeline.project.versions)


def pending_query(pipeline: Pipeline, environment: Environment, keys: Sequence[Keys], class_name: str) -> str:
    """Give the query for one number: the keys that workers of a class could compute now, or are computing.

    ``keys`` are those of all tables.
    """
    configured = workers_file(pipeline)
    names = configured.names
    own, others = list[queues.Source](), list[queues.Source]()
    for one in keys:
        if one.source is None:
            continue
        of_table = configured.class_of(str(one.table.name)).name
        if of_table == class_name:
            own.append(one.source)
        elif names.index(of_table) < names.index(class_name) and one.source.jobs:
            others.append(one.source)
    query = queues.waiting_for_a_worker(pipeline.connect(environment), own, others, class_name, names)
    return query.replace("%%", "%")


# --- What the server says ------------------------------------------------------------------------------------------


@dataclass
class _Found:
    """What was counted of one table."""

    keys: Keys
    total: int | None = None
    missing: int | None = None
    jobs: dict[str, int] = field(default_factory=dict)
    #: By the class of workers that jobs were moved to, those that wait, and those of them that wait for a later time.
    moved: dict[str, int] = field(default_factory=dict)
    later: dict[str, int] = field(default_factory=dict)
    memory: int = 0
    holders: list[tuple[str, str, int, int, int, float]] = field(default_factory=list)
    unchanged: list[float] = field(default_factory=list)
    samples: list[tuple[datetime, float]] = field(default_factory=list)
    problem: str = ""

    @property
    def has_jobs(self) -> bool:
        return self.keys.source is not None and bool(self.keys.source.jobs or self.keys.source.timed)

    def take_count(self, total: Any, missing: Any) -> None:
        self.total, self.missing = int(total), int(missing)

    def take_job(
        self,
        status: str,
        host: Any,
        user: Any,
        pid: Any,
        session: Any,
        jobs: Any,
        later: Any,
        memory: Any,
        oldest: Any,
        since: Any,
    ) -> None:
        if status == "times":
            self.samples = _samples(host)
            return
        self.jobs[status] = self.jobs.get(status, 0) + int(jobs)
        if since is not None:
            self.unchanged.append(max(0.0, float(since)))
        if status != "ignore":
            self.memory += int(memory)
        if status == "pending":
            self.moved[str(host)] = self.moved.get(str(host), 0) + int(jobs)
            self.later[str(host)] = self.later.get(str(host), 0) + int(later)
        if status == "reserved":
            self.holders.append((str(host), str(user), int(pid), int(session), int(jobs), float(oldest or 0)))


def _ask(
    connection: dj.Connection,
    query: Callable[[dj.Connection, Sequence[queues.Source]], str],
    those: Sequence[_Found],
    take: Callable[..., None],
) -> None:
    """Ask one query about some tables; where the server refuses it, about each alone, to know which it refuses."""
    if not those:
        return
    try:
        rows = connection.query(query(connection, [one.keys.source for one in those if one.keys.source])).fetchall()
    except Exception as error:
        if server_errors.of(error) is server_errors.LOST:
            raise
        if len(those) == 1:
            those[0].problem = those[0].problem or server_errors.reason(error)
            return
        for one in those:
            _ask(connection, query, [one], take)
        return
    for number, *values in rows:
        take(those[int(number)], *values)


def _samples(document: Any) -> list[tuple[datetime, float]]:
    """Read when the last keys were begun, and how long each took; a job that makes several rows counts once."""
    pairs = json.loads(document) if document else []
    known = {(str(start), float(seconds)) for start, seconds in pairs if start is not None and seconds is not None}
    found = sorted((datetime.fromisoformat(_six(start)), seconds) for start, seconds in known)
    return found[-queues.SAMPLES :]


def _six(moment: str) -> str:
    """Give a moment with six digits behind the point, as Python 3.10 wants them."""
    whole, _, part = moment.partition(".")
    return f"{whole}.{part:0<6}"


def _judged(connection: dj.Connection, found: Mapping[TableName, _Found]) -> list[Reserved]:
    states = liveness.states(connection, {holder[3] for one in found.values() for holder in one.holders})
    return [
        Reserved(name, host, user, pid, session, jobs, seconds, states[session].value)
        for name, one in found.items()
        for host, user, pid, session, jobs, seconds in sorted(one.holders)
    ]


# --- What follows from it ------------------------------------------------------------------------------------------


def _progress(
    found: _Found,
    reserved: Sequence[Reserved],
    above: Mapping[TableName, TableProgress],
    class_name: str,
    alive: Mapping[str, int],
    now: datetime,
) -> TableProgress:
    """Judge one table; ``above`` has those that were judged, its own upstream among them; ``now`` is local time.

    ``alive`` says how many workers live of each class.
    """
    keys = found.keys
    failed, ignored = found.jobs.get("error", 0), found.jobs.get("ignore", 0)
    held = {state: sum(r.jobs for r in reserved if r.state == state.value) for state in Life}
    ended = [start + timedelta(seconds=seconds) for start, seconds in found.samples]
    last = max(ended, default=None)
    known = TableProgress(
        keys.table.name,
        keys.table.tier,
        alive=held[Life.ALIVE],
        unknown=held[Life.UNKNOWN],
        dead=held[Life.DEAD],
        failed=failed,
        ignored=ignored,
        later=sum(found.later.values()),
        memory=found.memory,
        class_name=class_name,
        workers=alive[class_name],
        last_success=last.astimezone(timezone.utc).replace(tzinfo=None) if last else None,
        unchanged=min([*found.unchanged, *([max(0.0, (now - last).total_seconds())] if last else [])], default=None),
        own_source=keys.own,
        upstream=keys.upstream,
        problem=keys.problem or found.problem,
    )
    waiting = max((_awaited(above[name]) for name in keys.upstream if name in above), default=0)
    if found.total is None or found.missing is None:
        return replace(known, waiting=waiting)
    pending = max(0, found.missing - ignored - failed - sum(held.values()))
    counted = replace(known, total=found.total, done=found.total - found.missing, pending=pending, waiting=waiting)
    # What was moved to a class that workers.toml no longer has is computed by those of the table's own.
    moved = {name: count for name, count in found.moved.items() if name in alive and name != class_name}
    waiting_for = {**moved, class_name: max(0, pending + counted.dead - sum(moved.values()))}
    stuck = {name: count for name, count in waiting_for.items() if count and not alive[name]}
    own_later = counted.later - sum(found.later[name] for name in moved)
    later = {**found.later, class_name: own_later}
    unattended = {name: count - later.get(name, 0) for name, count in stuck.items() if count > later.get(name, 0)}
    state = _state(counted, sum(stuck.values()))
    times = _times(counted, found.samples, ended, reserved, now)
    return replace(counted, unattended=unattended, state=state, **times)


def _awaited(table: TableProgress) -> int:
    """Count the keys that a table has still to make, as far as they are known; an ignored one will never come."""
    return max(0, (table.remaining or 0) - table.ignored) + table.waiting


def _state(table: TableProgress, stuck: int) -> State:
    """Judge a table; ``stuck`` are those of its keys for which no worker lives."""
    if table.running:
        return State.RUNNING
    open_keys = (table.pending or 0) + table.dead
    if open_keys > 0 and table.remaining:
        return State.NOBODY if stuck >= open_keys else State.RUNNING
    if table.waiting:
        return State.WAITING
    return State.ERRORS if table.failed and table.remaining else State.DONE


def _times(
    table: TableProgress,
    samples: Sequence[tuple[datetime, float]],
    ended: Sequence[datetime],
    reserved: Sequence[Reserved],
    now: datetime,
) -> dict[str, Any]:
    """Give the rate, the typical time of a key, and the time that is left."""
    if len(samples) < FEWEST_SAMPLES:
        return {}
    window = min(RATE_OVER, max(now - samples[0][0], timedelta(seconds=1)))
    rate = sum(end > now - window for end in ended) / (window / timedelta(hours=1))
    low, typical, high = statistics.quantiles((seconds for _, seconds in samples), n=4)
    todo = (table.pending or 0) + table.running + table.dead
    left = None
    if table.workers and todo:
        # What takes longer than others did may take as long again.
        longest = max((one.seconds for one in reserved if one.state == Life.ALIVE.value), default=0.0)
        left = todo * max(0.0, low) / table.workers, max(todo * high / table.workers, longest)
    return {"rate": rate, "typical": typical, "left": left}
