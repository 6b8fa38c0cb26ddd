"""Populate a pipeline, as one of any number of workers; DataJoint's job tables are the queue.

A worker is two processes: one computes (:mod:`child`), the other watches it (:mod:`supervisor`).
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from ..errors import ExitCode, PipelineError
from ..nearest import nearest
from ..planner import status
from ..planner.plan import counted
from ..project.environments import Environment, require_explicit
from ..project.pipeline import Pipeline
from . import classes
from .orders import Settings
from .supervisor import Outcome, Supervisor

#: Takes what happens: a name, a sentence, and values by name.
Report = Callable[[str, str, dict[str, Any]], None]


def run(
    pipeline: Pipeline,
    environment: Environment,
    *,
    once: bool,
    pause: float,
    report: Report,
    class_name: str | None = None,
    tables: Collection[str] = (),
    seconds: float | None = None,
    grace: float | None = None,
) -> Outcome:
    """Compute Imported and Computed tables, parents first, again and again.

    Parameters
    ----------
    pipeline : Pipeline
        Whose tables.
    environment : Environment
        Where.
    once : bool
        Whether to stop when there is nothing left to do.
    pause : float
        Seconds between two rounds that found nothing to do.
    report : callable
        Called with each event: its name, a sentence, and its values.
    class_name : str, optional
        The class of ``workers.toml`` to work for; otherwise all.
    tables : collection of str, optional
        What to compute, ``ephys.Recording`` or ``ephys.*``; otherwise all.
    seconds : float, optional
        How long to work; nothing is claimed that cannot end by then, as far as former jobs tell.
    grace : float, optional
        Seconds in which a job may end once the worker is asked to stop; otherwise as its class says.

    Returns
    -------
    Outcome
        What was done until it stopped.

    Raises
    ------
    PipelineError
        If ``workers.toml`` has mistakes, a class or a table is not there, or the code does not fit the database (then
        with exit code 5).
    """
    require_explicit(pipeline.project, environment, "worker")
    project = pipeline.project
    workers = classes.read(project.root / classes.FILE, schemas=project.versions)
    mine = workers.chosen(class_name)
    _require_schemas(tables, project.versions)
    target = pipeline.target(environment)

    def log(event: str, text: str, **values: Any) -> None:
        moment = datetime.now().astimezone().isoformat(timespec="seconds")
        report(event, text, {"time": moment, "event": event, "text": text, **values})

    for schema in status.read(target):
        if schema.draft:
            log("draft", f"{schema.database} is a draft; its tables may be others than those of this code.")
    of = f" for the class {class_name}" if class_name else ""
    names = counted(len(project.versions), "schemas")
    log("worker", f"Populating {names} of {environment.name}{of}; Ctrl-C or SIGTERM ends it.")
    settings = Settings(environment.name, 0, tuple(one.name for one in mine), tuple(tables), once, pause, seconds)
    outcome = Supervisor(pipeline, target, workers, settings, log, grace).run()
    for name, count in outcome.failed.items():
        keys = "1 key has" if count == 1 else f"{count} keys have"
        command = f"{project.program} --env {environment.name} errors --table {name}"
        log("failed", f"{name}: {keys} failed. To see why: {command}", table=name, count=count)
    counts = f"{outcome.done:,} done, {outcome.errors:,} failed"
    if outcome.signal is not None:
        name = signal.Signals(outcome.signal).name
        log("stopped", f"Stopped by {name}: {counts}; nothing is left reserved.")
    else:
        log("ended", f"Ended: {counts}.")
    return outcome


def _require_schemas(tables: Collection[str], schemas: Collection[str]) -> None:
    for table in tables:
        schema, dot, name = table.partition(".")
        if dot and name and schema in schemas:
            continue
        near = nearest(schema, schemas)
        raise PipelineError(
            f"{table} is not a table of this pipeline.",
            f"Did you mean {near}.{name or '*'}?" if near else "A table is named as ephys.Recording, or ephys.*.",
            "Name the schema and the class, several with commas between them.",
            exit_code=ExitCode.USAGE,
        )
