"""The process that watches: it holds the worker's lock, keeps limits, acts on signals, and puts jobs back.

It runs none of the lab's code, which may hold the interpreter for minutes, take all memory or break off.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import server_errors
from ..dialects import advisory_locks
from ..errors import ExitCode, PipelineError
from ..internals.connection import renew
from ..planner.target import Target
from . import failures, liveness, rescue
from .classes import Workers, in_words
from .orders import Settings
from .process import Process
from .rescue import Sweeper

if TYPE_CHECKING:
    from ..project.pipeline import Pipeline

#: Seconds between two looks at the lock and at workers that are gone; after which job tables are listed anew.
_LOOK, _LIST = 2.0, 60.0

#: Seconds after which jobs that wait for the end of another are left to other workers; more than ``child._LATE``.
_BEHIND = 4.0

#: Seconds between two lines that say how many jobs were done.
_TELL = 10.0

#: Seconds that a process has to give its jobs back once it is told to.
_GIVE_BACK = 10.0

#: How often a process may end before it has imported the pipeline.
_STARTS = 3

#: Seconds for which a server that went away is waited for.
_AWAY = 600.0

#: Seconds for which the lock may be gone: as long as another worker waits before it takes the jobs, and some.
_WITHOUT = 60.0

Log = Callable[..., None]


@dataclass
class Outcome:
    """What a worker did.

    Parameters
    ----------
    done, errors : int
        Keys that it computed, and that failed.
    failed : dict
        By table, how many keys are left that failed, whoever tried them; only tables that have any.
    left_out : dict
        By table, why nothing could be computed of it.
    signal : int, optional
        The signal that it was stopped with.
    """

    done: int = 0
    errors: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    signal: int | None = None


@dataclass
class _Current:
    """The job that is being computed."""

    table: str
    key: dict[str, Any]
    class_name: str
    since: float
    #: How many jobs are reserved with it and wait for its end.
    behind: int = 0


class Supervisor:
    """Watches a worker from its start to its end.

    Parameters
    ----------
    pipeline : Pipeline
        Whose tables.
    target : Target
        Its database; the session of its connection holds the locks.
    workers : Workers
        What ``workers.toml`` says.
    settings : Settings
        What the process that computes is told; its number is given here.
    log : callable
        Takes what happens: a name, a sentence, and values by name.
    grace : float, optional
        Seconds in which a worker that is asked to stop may finish its job; otherwise as its class says.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        target: Target,
        workers: Workers,
        settings: Settings,
        log: Log,
        grace: float | None = None,
    ) -> None:
        self._pipeline, self._target, self._workers = pipeline, target, workers
        self._settings, self._log = settings, log
        self._connection = target.connection
        mine = [one for one in workers.classes if one.name in settings.classes]
        self._name = mine[0].name if len(mine) < len(workers.classes) or len(mine) == 1 else liveness.ANY
        self._grace = max(one.grace for one in mine) if grace is None else grace
        self._sweeper = Sweeper(target.lock)
        self._places: dict[rescue.Place, str] = {}
        self._listed = self._looked = 0.0
        #: Whether a job table could not be read, and which of them were told.
        self._doubtful, self._told_places = False, set[rescue.Place]()
        self._outcome = Outcome()
        self._signals: list[int] = []
        #: Whether the pipeline was ever imported; why it was not the last time, and whether for want of a server.
        self._ready, self._lost = False, False
        #: Whether the process still imports it, and so has no job.
        self._importing = True
        self._refused: PipelineError | None = None
        #: What was done and failed of each table since that was last said, and when that was.
        self._counts: dict[str, tuple[int, int]] = {}
        self._told_counts = 0.0
        #: When what is computed is to be rolled back, and when the process is to be ended, once it was asked to stop.
        self._roll_back: float | None = None
        self._kill: float | None = None
        self._since_lock: float | None = None
        self._end = None if settings.seconds is None else time.monotonic() + settings.seconds

    def run(self) -> Outcome:
        """Work until there is a signal, or nothing left to do.

        Raises
        ------
        PipelineError
            If the code does not fit the database, or the lab's code cannot be imported.
        """
        self._take_locks()
        starts, away = 0, 0.0
        with self._listening():
            while True:
                process = Process(self._pipeline.package, self._pipeline.project.root, self._told())
                self._log("start", f"Process {process.pid} computes.", pid=process.pid)
                try:
                    useful, over = self._watch(process)
                finally:
                    process.kill()
                    process.close()
                if over or self._signals or self._roll_back is not None:
                    return self._outcome
                if self._refused is not None:
                    # A server that goes away while a worker works may come back.
                    away = away or time.monotonic()
                    if not self._ready or not self._lost or time.monotonic() - away > _AWAY:
                        raise self._refused
                    time.sleep(2.0)
                    continue
                away = 0.0
                starts = 0 if useful else starts + 1
                if starts >= _STARTS:
                    raise PipelineError(
                        "The worker's process ends before it has imported the pipeline.",
                        f"It {process.how}, {starts} times.",
                        "Import the pipeline's modules by hand to see why.",
                    )
                time.sleep(min(2.0**starts, 30.0) - 1.0)

    def _told(self) -> Settings:
        seconds = None if self._end is None else max(self._end - time.monotonic(), 0.0)
        return Settings(**{**vars(self._settings), "seconds": seconds})

    # --- Watching ----------------------------------------------------------------------------------------------------

    def _watch(self, process: Process) -> tuple[bool, bool]:
        """Watch a process until it ends; tell whether it could import the pipeline, and whether all is over."""
        current: _Current | None = None
        useful, over, why, larger, final = False, False, "", "", False
        self._refused, self._lost, self._importing = None, False, True
        while not process.ended:
            for event in process.events(0.2):
                match event:
                    case {"event": "begin", "table": table, "key": key, "cls": name, "behind": behind}:
                        current = _Current(table, key, name, time.monotonic(), behind)
                    case {"event": "done", "table": table, "done": done, "failed": failed}:
                        current = None
                        self._outcome.done += done
                        self._outcome.errors += failed
                        before = self._counts.get(table, (0, 0))
                        self._counts[table] = before[0] + done, before[1] + failed
                    case {"event": "idle"}:
                        self._tell_counts()
                    case {"event": "end", "failed": failed, "left_out": left_out}:
                        over, self._outcome.failed, self._outcome.left_out = True, failed, left_out
                    case {"event": "refused"}:
                        texts, self._lost = (event["what"], event["why"], event["do"]), event["lost"]
                        self._refused = PipelineError(*texts, exit_code=ExitCode(event["code"]))
                    case {"event": "ready"}:
                        self._ready = useful = True
                        self._importing = False
                self._tell(event)
            taken = process.memory()
            if current is not None and not why:
                why, larger, final = self._over_limit(current, taken)
                if why:
                    self._log("limit", f"{current.table} {current.key}: {why}.", table=current.table, key=current.key)
                    process.kill()
            if time.monotonic() - self._told_counts > _TELL:
                self._tell_counts()
            self._act(process)
            self._look_after(current)
        self._tell_counts()
        if current is not None and self._kill is None:
            larger = larger or self._needs_more(current, process)
            how = f"was {process.how}" if process.code < 0 else process.how
            self._log("died", f"The process {how}.", how=process.how, table=current.table, key=current.key)
            self._put_back(current, why or process.how, larger, final)
        else:
            self._put_back(None, "", "", False)
        return useful, over

    def _over_limit(self, current: _Current, taken: int) -> tuple[str, str, bool]:
        """Say which limit of its class a job is over, the class that it is tried in next, and whether there is none."""
        limits = self._workers.find(current.class_name)
        if limits is None:
            return "", "", False
        larger = self._workers.larger(limits.name)
        if limits.memory is not None and taken > limits.memory:
            why = (
                f"took {in_words(taken)} of memory, more than the {in_words(limits.memory)} of the class {limits.name}"
            )
            return why, larger.name if larger else "", larger is None
        if limits.time is not None and time.monotonic() - current.since > limits.time:
            longer = larger is not None and (larger.time is None or larger.time > limits.time)
            why = f"took longer than the {_time(limits.time)} of the class {limits.name}"
            return why, larger.name if larger and longer else "", not longer
        return "", "", False

    def _needs_more(self, current: _Current, process: Process) -> str:
        """Give the class to try a job in next whose process the kernel seems to have killed for its memory."""
        limits = self._workers.find(current.class_name)
        larger = self._workers.larger(current.class_name)
        near = limits is not None and limits.memory is not None and process.peak > 0.8 * limits.memory
        return larger.name if larger and near and process.code == -signal.SIGKILL else ""

    def _act(self, process: Process) -> None:
        """Do what signals and the time ask for."""
        now = time.monotonic()
        asked = len(self._signals)
        if self._end is not None and now > self._end and not asked:
            asked = 1
        if asked and self._roll_back is None:
            self._roll_back = now + self._grace
            process.stop()
            name = signal.Signals(self._signals[0]).name if self._signals else "The time is up"
            text = f"{name}: claims nothing more, and has {self._grace:.0f} s to finish."
            text += " A second signal ends it at once." if self._signals else ""
            self._log("stopping", text, grace=self._grace)
            if self._importing:
                process.kill()
        if self._kill is None and (asked > 1 or (self._roll_back is not None and now > self._roll_back)):
            self._kill = now + _GIVE_BACK
            process.stop_now()
            self._log("rolling-back", "Rolls back what it computes, and gives it back.")
        if self._kill is not None and now > self._kill:
            process.kill()

    # --- Jobs and locks ----------------------------------------------------------------------------------------------

    def _put_back(self, blamed: _Current | None, why: str, larger: str, final: bool) -> None:
        """Have the jobs wait again that the worker had reserved; what ended the process is noted with one of them."""
        deadline, gone = time.monotonic() + 300, 0
        while True:
            try:
                self._list(always=not self._places or bool(gone))
                for job in rescue.reserved(self._connection, self._places, self._settings.number):
                    mine = blamed is not None and rescue.is_it(job, blamed.table, blamed.key)
                    told = {"reason": why, "larger": larger, "final": final} if mine else {}
                    became = rescue.put_back(self._connection, job, self._workers, **told)  # type: ignore[arg-type]
                    if blamed is not None and mine:
                        self._outcome.errors += became == "error"
                        text = {"error": " failed for good", "pending": " waits again"}.get(became, "")
                        to = f", in the class {larger}" if larger and became == "pending" else ""
                        text = f"{blamed.table} {blamed.key}{text}{to}: {why}."
                        self._log("put-back", text, table=blamed.table, key=blamed.key, became=became)
                return
            except Exception as error:
                if failures.is_lost(error) and time.monotonic() < deadline:
                    self._regain()
                elif not failures.is_lost(error) and not failures.is_of_server(error) and gone < 5:
                    gone, self._doubtful = gone + 1, True  # as in _look_after
                    time.sleep(0.5 * gone)
                elif self._refused is not None:
                    return  # that says more; what is left is put back by whoever has the new tables, and rights to them
                else:
                    raise

    def _look_after(self, current: _Current | None) -> None:
        """See that the lock is held, and have jobs wait again whose worker is gone, or busy with another for long."""
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        try:
            self._list()
            if not advisory_locks.has(self._connection, liveness.lock_of(self._settings.number)):
                self._regain()
            if current is not None and current.behind and now - current.since > _BEHIND:
                number = self._settings.number
                rescue.leave_to_others(self._connection, self._places, number, current.table, current.key, _BEHIND)
                current.behind = 0
            for job, became in self._sweeper.sweep(self._connection, self._places, self._workers, now):
                said = "fails for good" if became == "error" else "waits again"
                text = f"{job.name} {dict(job.key)} {said}: its worker on {job.host} is gone."
                self._log("rescued", text, table=job.name, host=job.host, became=became)
            self._since_lock = None
        except Exception as error:
            if failures.is_lost(error):
                self._regain()
            elif failures.is_passing(error):
                return
            elif server_errors.of(error) is server_errors.ACCESS:
                raise
            else:  # a migration may have taken a job table away meanwhile
                self._listed, self._doubtful = 0.0, True

    def _list(self, *, always: bool = False) -> None:
        now = time.monotonic()
        if always or now - self._listed > _LIST or not self._listed:
            self._places = rescue.places(self._connection, self._target.databases)
            if self._doubtful:  # one that is none must not keep the others from being looked at
                for place, why in rescue.unreadable(self._connection, self._places).items():
                    del self._places[place]
                    if place not in self._told_places:
                        self._told_places.add(place)
                        self._log("unreadable", f"{'.'.join(place)} is no table of jobs: {why}.", table=place[1])
            self._listed = now

    def _take_locks(self) -> None:
        number = self._settings.number
        slot = liveness.take_slot(self._connection, self._target.lock, self._name)
        if not number:
            number = liveness.new_number(self._name, slot or 0)
            self._settings = Settings(**{**vars(self._settings), "number": number})
        if not advisory_locks.take(self._connection, liveness.lock_of(number)):
            raise PipelineError("This worker's lock is taken.", "Another session has it.", "Start the worker again.")

    def _regain(self) -> None:
        """Try to take the locks with a new session; where that fails for long, end once the jobs are done."""
        self._sweeper.forget()
        now = time.monotonic()
        first, self._since_lock = self._since_lock is None, self._since_lock or now
        try:
            renew(self._connection)
            self._take_locks()
        except Exception as error:
            if now - self._since_lock > _WITHOUT and not self._signals:
                self._log("without-lock", f"Cannot take its lock again ({server_errors.reason(error)}), and stops.")
                self._signals.append(signal.SIGTERM)
            elif first:
                self._log("away", f"Lost its session with the server, and tries again ({server_errors.reason(error)}).")
            time.sleep(0.5)
            return
        self._log("lock", "Lost its session with the server, and took its lock again.")

    # --- Signals and words -------------------------------------------------------------------------------------------

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Note SIGTERM and Ctrl-C for as long as this holds."""

        def note(number: int, _: object) -> None:
            self._signals.append(number)
            self._outcome.signal = self._outcome.signal or number

        before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _tell_counts(self) -> None:
        """Say how many jobs of each table were done since this was last said."""
        self._told_counts = time.monotonic()
        counts, self._counts = self._counts, {}
        for table, (done, failed) in counts.items():
            if done or failed:
                self._log("done", f"{table}: {done} done, {failed} failed", table=table, done=done, failed=failed)

    def _tell(self, event: dict[str, Any]) -> None:
        """Hand on what the process says, in words."""
        values = {name: value for name, value in event.items() if name != "event"}
        said = server_errors.in_one_line(str(event.get("error", "")))
        match event:
            case {"event": "error", "table": table, "key": key}:
                text = f"{table} {key}: {said}"
            case {
                "event": "retry",
                "table": table,
                "key": key,
                "wait": wait,
                "attempt": n,
                "most": most,
            }:
                text = f"{table} {key}: {said}; tried again in {wait:.0f} s (attempt {n} of {most} failed)"
            case {"event": "moved", "table": table, "key": key, "cls": name}:
                text = f"{table} {key}: {said}; tried again in the class {name}"
            case {"event": "refreshed", "table": table, "added": added, "removed": removed}:
                text = f"{table}: {added} new" + (f", {removed} gone" if removed else "")
            case {"event": "skipped", "table": table, "why": why}:
                text = f"{table} is left out: {why}."
            case {"event": "change"}:
                text = "The database is being changed: computes nothing until that has ended."
            case {"event": "lost", "error": error}:
                text = f"Lost its session with the server ({error}), and makes a new one."
            case {"event": "end", "late": [_, *_] as late}:
                text = f"Leaves {', '.join(late)}: no job of these would end in the time that is left."
            case {"event": "ready", "tables": count}:
                text = f"Computes {count} table{'s' if count != 1 else ''}."
            case _:
                return
        self._log(event["event"], text, **values)


def _time(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:g} s"
