"""The process that computes: ``python -m datajoint_pipeline.jobs.child my_pipeline SETTINGS``.

It imports the lab's code and lives until it is told to end. It writes what it does to standard output, a line of JSON
each; what modules print goes to standard error. Another process watches it, holds the worker's lock and puts its jobs
back when it dies (:mod:`supervisor`).
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import IO, Any

from .. import journal, server_errors
from ..dialects import advisory_locks
from ..errors import ExitCode, PipelineError
from ..internals import job_queue, job_tables
from ..internals.connection import renew
from ..internals.job_queue import Job, JobQueue
from ..nearest import did_you_mean
from ..project.pipeline import Pipeline
from . import classes, failures, liveness, notes
from .orders import Orders, Settings, Stopped

#: Seconds of work that a worker claims at once, and how many jobs at most.
_AT_ONCE, _MOST = 0.5, 20

#: Seconds after which what is left of those is given back. The process that watches gives it back somewhat later if a
#: job does not end, so none of it may be begun after this.
_LATE = 2.0

#: How many jobs are looked at for each that is claimed, so that workers take different ones.
_WINDOW = 8

#: Seconds after which the version of the database is looked at again, and after which parents come first again.
_LOOK, _AGAIN = 5.0, 30.0

#: Seconds for which a server that went away is waited for.
_PATIENCE = 600.0

#: Seconds after which a table is tried again whose jobs could not be read.
_ASIDE = 300.0

#: What is wrong with a job that would otherwise come back for ever.
_NO_ROW = "make() ended without an error, and inserted no row of this key"
_NOT_FOUND = "DataJoint finds no key with these values: the server keeps others (a float is rounded)"

Send = Callable[..., None]


def main(package: str, text: str) -> None:
    """Work until there is an order to stop, or nothing left to do."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1) as output:
        os.dup2(2, 1)  # a module that prints, prints to standard error

        def send(event: str, **values: Any) -> None:
            output.write(json.dumps({"event": event, **values}, default=str) + "\n")

        orders = Orders(_orders())
        try:
            Worker(Pipeline.load(package), Settings.of_text(text), orders, send).run()
        except PipelineError as error:
            code, lost = int(error.exit_code), failures.is_lost(error)
            send("refused", what=error.what, why=error.why, do=error.do, code=code, lost=lost)
        except (Exception, SystemExit) as error:
            if found := server_errors.of(error):
                what, do = found.what, f"{found.do}, then start the worker again."
            else:
                traceback.print_exc()
                what, do = f"The worker's code failed: {type(error).__name__}.", "Correct it; the traceback is above."
            send(
                "refused", what=what, why=f"{server_errors.reason(error)}.", do=do, code=1, lost=failures.is_lost(error)
            )


def _orders() -> IO[str]:
    """Keep the orders for this process: what the lab's code starts has no part in them."""
    source = os.fdopen(os.dup(0), encoding="utf-8")
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    return source


class Worker:
    """Takes jobs, and has DataJoint compute them.

    Parameters
    ----------
    pipeline : Pipeline
        Whose tables.
    settings : Settings
        Which, and for how long.
    orders : Orders
        When to stop.
    send : callable
        Takes what happened: a name, and values by name.
    """

    def __init__(self, pipeline: Pipeline, settings: Settings, orders: Orders, send: Send) -> None:
        self._pipeline, self._settings, self._orders, self._send = pipeline, settings, orders, send
        self._environment = pipeline.select(settings.environment, explicit=True)
        self._connection = pipeline.connect(self._environment)
        project = pipeline.project
        self._workers = classes.read(project.root / classes.FILE, schemas=project.versions)
        self._end = None if settings.seconds is None else time.monotonic() + settings.seconds
        #: What a job of a table takes, by its name: the mean of those done here, and the median of those done before.
        self._means: dict[str, float] = {}
        self._medians: dict[str, tuple[float, float]] = {}
        #: When a table's jobs may be refreshed again, when they were, and when a job was last ended here.
        self._due: dict[str, float] = {}
        self._refreshed: dict[str, float] = {}
        self._last_done = 0.0
        self._looked = time.monotonic()
        self._late: set[str] = set()
        #: Tables that nothing can be computed of: why, and when they are tried again.
        self._aside: dict[str, tuple[str, float]] = {}
        #: Keys that DataJoint did not find when they were to be computed.
        self._missed: set[tuple[str, str]] = set()

    def run(self) -> None:
        """Work.

        Raises
        ------
        PipelineError
            If the code does not fit the database, or the server stays away.
        """
        self._version = job_queue.keep_version(self._connection)
        queues = self._open()
        self._user = self._connection.get_user()
        self._send("ready", tables=len(queues))
        lost: float | None = None
        changing = False
        while not self._orders.stopping:
            try:
                if changing:
                    self._await_change()
                    changing = False
                did = self._cycle(queues)
                lost = None
                self._look(always=not did)
                if not did and not self._wait(queues):
                    break
            except Stopped:
                break
            except Exception as error:
                if not changing and isinstance(error, PipelineError) and error.exit_code == ExitCode.INTERRUPTED:
                    changing = True
                    continue
                lost = lost or time.monotonic()
                self._recover(error, queues, lost)
        failed = {queue.name: count for queue in queues if (count := job_tables.failed(queue.table))}
        left_out = {name: why for name, (why, _) in self._aside.items()}
        self._send("end", failed=failed, late=sorted(self._late), left_out=left_out)

    def _await_change(self) -> None:
        """Wait for a migration that goes on, whose end alone tells whether this code still fits.

        Raises
        ------
        PipelineError
            If nobody is at it any more, or this code does not fit.
        """
        self._send("change")
        lock, seen = self._pipeline.target(self._environment).lock, time.monotonic()
        while not self._orders.stopping:
            if journal.is_held(self._connection, lock):
                seen = time.monotonic()
            try:
                self._look(always=True)
                return
            except PipelineError as error:
                if error.exit_code != ExitCode.INTERRUPTED or time.monotonic() - seen > _LOOK:
                    raise
            self._orders.wait(1.0)

    def _recover(self, error: Exception, queues: list[JobQueue], since: float) -> None:
        """Go on after a lost session or a deadlock: have a session, and let go of what could not be given back."""
        while True:
            if not failures.is_passing(error) or time.monotonic() - since > _PATIENCE:
                raise error
            try:
                if failures.is_lost(error):
                    self._reconnect(error, since)
                for queue in queues:
                    queue.release(self._settings.number)
            except PipelineError:
                raise
            except Exception as again:
                error = again
                self._orders.wait(0.2)
            else:
                return

    def _open(self) -> list[JobQueue]:
        """Import the pipeline, and give the jobs of the tables to compute: by priority, then parents first."""
        target = self._pipeline.target(self._environment)
        tables = {
            f"{schema}.{table.__qualname__}": table
            for schema, database in target.databases.items()
            for table in job_tables.auto_populated(self._pipeline.import_schema(schema), database)
        }
        mine = set(self._settings.classes)
        workers = self._workers
        every = mine >= set(workers.names)
        wanted = self._settings.tables
        _require_computed(wanted, tables)
        queues = []
        with job_queue.opening(self._connection):
            for name in job_tables.parents_first(tables):
                if wanted and name not in wanted and f"{name.partition('.')[0]}.*" not in wanted:
                    continue
                # A larger class also takes what ran out of memory in a smaller one.
                if not every and not any(self._may_reach(workers.class_of(name).name, one) for one in mine):
                    continue
                try:
                    queues.append(JobQueue(tables[name], name))
                except Exception as error:
                    if _no_queue(error):
                        self._send("skipped", table=name, why=server_errors.reason(error))
                        continue
                    if failures.is_passing(error) or failures.is_of_server(error):
                        raise
                    self._set_aside(name, error)
        return sorted(queues, key=lambda queue: workers.priority(queue.name))

    def _may_reach(self, of_table: str, of_worker: str) -> bool:
        names = self._workers.names
        return names.index(of_table) <= names.index(of_worker)

    # --- The round ---------------------------------------------------------------------------------------------------

    def _cycle(self, queues: list[JobQueue]) -> int:
        """Go through the tables once, or until parents are to come first again; give how often jobs were ended."""
        did, began = 0, time.monotonic()
        for queue in queues:
            condition = notes.condition(
                self._workers.class_of(queue.name).name, self._settings.classes, self._workers.names
            )
            while not self._orders.stopping:
                before = self._last_done
                count = self._try_some(queue, condition)
                did += self._last_done > before
                self._look()
                if not count:
                    break
                if time.monotonic() - began > _AGAIN:
                    return did
        if did:  # what was computed may be what others wait for
            soon = time.monotonic() + 1.0
            self._due = {name: min(due, soon) for name, due in self._due.items()}
        return did

    def _try_some(self, queue: JobQueue, condition: str) -> int:
        """Claim and compute some jobs, unless those of this table cannot be read: that holds up no other table."""
        if self._is_aside(queue):
            return 0
        try:
            count = self._some(queue, condition)
        except (Stopped, PipelineError):
            raise
        except Exception as error:
            if failures.is_passing(error):
                raise
            self._look(always=True)  # a migration takes tables away before its version stands in the record
            if failures.is_of_server(error):
                raise
            with suppress(Exception):  # it may be gone
                queue.release(self._settings.number)
            self._set_aside(queue.name, error)
            return 0
        self._aside.pop(queue.name, None)
        return count

    def _set_aside(self, name: str, error: Exception) -> None:
        """Leave a table out for some time, and say why, once."""
        why = _shortened(f"{type(error).__name__}: {server_errors.reason(error)}")
        if self._aside.get(name, ("",))[0] != why:
            self._send("skipped", table=name, why=why)
        self._aside[name] = why, time.monotonic() + _ASIDE

    def _is_aside(self, queue: JobQueue) -> bool:
        return time.monotonic() < self._aside.get(queue.name, ("", 0.0))[1]

    def _some(self, queue: JobQueue, condition: str) -> int:
        """Claim and compute some jobs of a table; give how many were ended."""
        if not self._can_end(queue):
            return 0
        jobs = self._claim(queue, condition)
        if not jobs and self._is_mine(queue) and self._refresh(queue):
            jobs = self._claim(queue, condition)
        if not jobs:
            return 0
        return self._compute(queue, jobs)

    def _is_mine(self, queue: JobQueue) -> bool:
        """Tell whether a table is of this worker's classes, and not only what another class could not compute."""
        return self._workers.class_of(queue.name).name in self._settings.classes

    def _claim(self, queue: JobQueue, condition: str) -> list[Job]:
        for _ in range(5):
            mean = self._means.get(queue.name)
            most = 1 if mean is None else max(1, min(_MOST, int(_AT_ONCE / max(mean, 1e-6))))
            jobs = queue.waiting(most * _WINDOW, condition)
            if not jobs:
                return []
            # Near the end of a queue there is something left for others.
            jobs = jobs[: max(1, min(most, -(-len(jobs) // _WINDOW)))]
            # What has taken a worker with it runs alone, so that no other job is blamed for it.
            alone = next((job for job in jobs if notes.read(job.note).kills), None)
            if alone is not None:
                jobs = [alone]
            try:
                taken = queue.claim(jobs, self._settings.number, self._user, self._version)
            except Exception as error:
                if failures.is_lost(error) or not failures.is_passing(error):
                    raise
                taken = []  # others were in the way
            if taken:
                return taken
        return []

    def _compute(self, queue: JobQueue, jobs: list[Job]) -> int:
        """Compute jobs that are reserved, and end each; what time does not suffice for is given back."""
        number, began = self._settings.number, time.monotonic()
        rows, failed, missed, ended = 0, 0, 0, list[Any]()
        left, computed = list(jobs), list[Any]()
        try:
            while left:
                late = time.monotonic() - began > _LATE
                if len(left) < len(jobs) and (late or self._orders.stopping):
                    break
                job = left.pop(0)
                started = time.monotonic()
                note = notes.read(job.note)
                cls = self._class_of(queue, note).name
                self._send("begin", table=queue.name, key=dict(job.key), cls=cls, behind=len(left))
                try:
                    outcome = self._orders.breakable(partial(queue.compute, job.key, Stopped))
                except Stopped:
                    left.insert(0, job)
                    renew(self._connection)
                    if queue.is_there(job.key):
                        ended.append(left.pop(0).key)
                    raise
                if outcome.error is not None and not self._settled(queue, job, outcome.error):
                    failed += self._failed(queue, job, note, outcome)
                elif outcome.error is None and not outcome.rows and not self._is_over(queue, job):
                    failed += self._fail(queue, job, _NOT_FOUND)
                    missed += 1
                else:
                    rows += outcome.rows
                    ended.append(job.key)
                    computed += [job.key] if outcome.rows else []
                    self._measure(queue, time.monotonic() - started)
                if left and (rows or failed):  # the next one may take this process with it
                    self._send("done", table=queue.name, done=rows, failed=failed)
                    rows, failed = 0, 0
            for key in queue.absent(computed):
                rows -= 1
                ended.remove(key)
                failed += self._fail(queue, Job(key, ""), _NO_ROW)
        finally:
            if left:
                queue.give_back([job.key for job in left], number)
            if ended:
                queue.complete(ended, number)
            self._send("done", table=queue.name, done=rows, failed=failed)
        ended_here = len(jobs) - len(left)
        if ended_here > missed:  # what is missed is no reason to look for more
            self._last_done = time.monotonic()
        return ended_here

    def _settled(self, queue: JobQueue, job: Job, error: BaseException) -> bool:
        """Tell whether a job is done in spite of an error: it came after the rows, or somebody else wrote them."""
        if failures.is_lost(error):
            self._reconnect(error, time.monotonic())
        return queue.is_there(job.key)

    def _is_over(self, queue: JobQueue, job: Job) -> bool:
        """Tell whether a job that DataJoint found nothing to do for is done, or its key gone.

        One that comes a second time is there for the refresh, and not for whoever looks for its values.
        """
        if queue.is_there(job.key):
            return True
        missed = queue.name, str(job.key)
        before = missed in self._missed
        self._missed.add(missed)
        return not before

    def _measure(self, queue: JobQueue, seconds: float) -> None:
        before = self._means.get(queue.name, seconds)
        self._means[queue.name] = 0.7 * before + 0.3 * seconds

    # --- Failures ----------------------------------------------------------------------------------------------------

    def _failed(self, queue: JobQueue, job: Job, note: notes.Note, outcome: job_queue.Computed) -> int:
        """Have a job that failed tried again, or mark it as failed; give how many failed for good."""
        error, number, retries = outcome.error, self._settings.number, self._workers.retries
        assert error is not None
        text = _shortened(_storable(_said(error)))
        try:
            self._look(always=True)  # code that does not fit any more fails in many ways, none of which is the job's
        except PipelineError:
            queue.give_back([job.key], number)
            raise
        said = {"table": queue.name, "key": dict(job.key), "error": text}
        if failures.is_memory(error) and (larger := self._workers.larger(self._class_of(queue, note).name)):
            note = replace(note, class_name=larger.name, kills=0, text=text)
            queue.give_back([job.key], number, note=str(note))
            self._send("moved", **said, cls=larger.name)
            return 0
        attempts = note.attempts + 1
        if failures.is_passing(error):
            if attempts < retries.attempts:
                wait = retries.wait * 2 ** (attempts - 1) * random.uniform(0.8, 1.2)
                note = replace(note, attempts=attempts, text=text)
                queue.give_back([job.key], number, note=str(note), wait=wait)
                self._send("retry", **said, attempt=attempts, most=retries.attempts, wait=round(wait, 1))
                return 0
            text = f"{text} (attempt {attempts} of {retries.attempts})"
        return self._fail(queue, job, text, _storable(outcome.stack))

    def _fail(self, queue: JobQueue, job: Job, text: str, stack: str = "") -> int:
        queue.fail(job.key, text, stack)
        self._send("error", table=queue.name, key=dict(job.key), error=text)
        return 1

    def _class_of(self, queue: JobQueue, note: notes.Note) -> classes.WorkerClass:
        return self._workers.find(note.class_name) or self._workers.class_of(queue.name)

    def _reconnect(self, error: BaseException, since: float) -> None:
        """Have a new session, as soon as the server gives one."""
        self._send("lost", error=server_errors.reason(error))
        pause = 0.2
        while True:
            try:
                renew(self._connection)
                return
            except Exception as again:
                if time.monotonic() - since > _PATIENCE or self._orders.stopping:
                    raise PipelineError(
                        "The connection to the server was lost.",
                        f"{server_errors.reason(again)}.",
                        "See that the server runs and can be reached, then start the worker again.",
                    ) from again
            self._orders.wait(pause)
            pause = min(2 * pause, 10.0)

    def _look(self, *, always: bool = False) -> None:
        """See that the database still has the version of the code."""
        now = time.monotonic()
        if always or now - self._looked > _LOOK:
            self._looked = now
            self._pipeline.require_fitting(self._environment)

    # --- Refreshing and waiting --------------------------------------------------------------------------------------

    def _refresh(self, queue: JobQueue) -> bool:
        """Bring a table's jobs up to date, unless that was done just now; tell whether there may be new ones.

        One worker does it at a time; the others wait for it.
        """
        now = time.monotonic()
        if now < self._due.get(queue.name, 0.0):
            return False
        name = f"pipeline-refresh:{liveness.short(f'{queue.database}.{queue.table_name}')}"
        if not advisory_locks.take(self._connection, name):
            for _ in range(100):
                self._orders.wait(0.1)
                if self._orders.stopping or not advisory_locks.held(self._connection, [name]):
                    return True
            return False
        try:
            added, removed = queue.refresh(self._workers.priority(queue.name))
        finally:
            advisory_locks.give(self._connection, name)
        took = time.monotonic() - now
        self._refreshed[queue.name] = now
        self._due[queue.name] = time.monotonic() + max(self._settings.pause, 10 * took)
        if added or removed:
            self._send("refreshed", table=queue.name, added=added, removed=removed)
        return bool(added)

    def _wait(self, queues: list[JobQueue]) -> bool:
        """Wait for more to do; tell whether there may be some."""
        if self._late and self._end is not None:
            return False
        if self._settings.once:
            queues = [queue for queue in queues if not self._is_aside(queue)]
            if any(self._refreshed.get(queue.name, 0.0) < self._last_done for queue in queues if self._is_mine(queue)):
                self._due = {}  # what was done last may be what a table waits for
                return True
            if not any(queue.due_in(600, self._condition(queue)) for queue in queues):
                return False
            self._send("idle")
            self._orders.wait(min(self._settings.pause, 5.0))
            return True
        self._send("idle")
        self._orders.wait(self._settings.pause)
        if self._end is not None and time.monotonic() >= self._end:
            return False
        self._due = {}
        return True

    def _condition(self, queue: JobQueue) -> str:
        every = self._workers
        return notes.condition(every.class_of(queue.name).name, self._settings.classes, every.names)

    def _can_end(self, queue: JobQueue) -> bool:
        """Tell whether a job of a table ends within the time that is left, as far as others tell."""
        if self._end is None:
            return True
        now = time.monotonic()
        known = self._medians.get(queue.name)
        if known is None or now - known[0] > 600:
            took = queue.durations()
            known = self._medians[queue.name] = now, statistics.median(took) if took else 0.0
        needed = max(known[1], self._means.get(queue.name, 0.0))
        if now + needed < self._end:
            return True
        if needed:
            self._late.add(queue.name)
        return False


def _said(error: BaseException) -> str:
    """Give the class of an error and its text, if it can say one."""
    try:
        text = str(error)
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _shortened(text: str) -> str:
    end = " ...truncated"
    most = job_queue.LONGEST - 50  # behind it may stand the attempts
    return text if len(text) <= most else text[: most - len(end)] + end


def _require_computed(wanted: Collection[str], tables: Collection[str]) -> None:
    for name in wanted:
        if name in tables or (name.endswith(".*") and any(table.startswith(name[:-1]) for table in tables)):
            continue
        meant = did_you_mean(name, tables)
        raise PipelineError(
            f"{name} has nothing that workers compute.",
            f"{meant}They compute Imported and Computed tables: {', '.join(sorted(tables)) or 'there is none'}.",
            "Name one of these, or a schema that has some, as ephys.*.",
            exit_code=ExitCode.USAGE,
        )


def _storable(text: str) -> str:
    """Give a text as both servers take it: PostgreSQL has no zero byte, and neither has halves of characters."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def _no_queue(error: Exception) -> bool:
    return type(error).__name__ == "DataJointError" and "no FK-derived primary key" in str(error)


if __name__ == "__main__":
    main(*sys.argv[1:3])
