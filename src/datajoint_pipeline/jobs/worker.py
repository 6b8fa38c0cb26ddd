"""Populate a pipeline, as one of any number of processes; DataJoint's job tables are the queue."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..internals import job_tables
from ..planner import status
from ..planner.plan import counted
from ..project.environments import Environment, require_explicit
from ..project.pipeline import Pipeline


@dataclass
class Totals:
    """How many keys are done, and how many failed.

    Parameters
    ----------
    done, errors : int
        Keys of this worker.
    failed : dict
        By table, how many keys are left that failed, whoever tried them; only tables that have any.
    """

    done: int = 0
    errors: int = 0
    failed: dict[str, int] = field(default_factory=dict)


def run(
    pipeline: Pipeline, environment: Environment, *, once: bool, pause: float, report: Callable[[str], None]
) -> Totals:
    """Populate every Imported and Computed table, parents first, again and again.

    Parameters
    ----------
    pipeline : Pipeline
        Whose tables.
    environment : Environment
        Where.
    once : bool
        Whether to stop after a round in which nothing was done.
    pause : float
        Seconds between two rounds that found nothing to do.
    report : callable
        Called with a line for each table in which something happened.

    Returns
    -------
    Totals
        What was done until it stopped.
    """
    require_explicit(pipeline.project, environment, "worker")
    target = pipeline.target(environment)
    for schema in status.read(target):
        if schema.draft:
            report(f"{schema.database} is a draft; its tables may be others than those of this code.")
    tables = [
        table
        for schema, database in target.databases.items()
        for table in job_tables.auto_populated(pipeline.import_schema(schema), database)
    ]
    totals = Totals()
    # Without a handler an idle worker that is a container's first process would never hear of SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("SIGTERM received"))
    report(f"Populating {counted(len(tables), 'tables')} of {environment.name}; Ctrl-C or SIGTERM ends it.")
    try:
        _populate(tables, totals, once=once, pause=pause, report=report)
    except SystemExit:  # DataJoint's own handler, within `populate`, ends that way too
        report("Stopped by SIGTERM; a key that was being computed is kept as an error of its job.")
        raise SystemExit(128 + signal.SIGTERM) from None
    return totals


def _populate(tables: list[Any], totals: Totals, *, once: bool, pause: float, report: Callable[[str], None]) -> None:
    """Populate table after table, and count in ``totals``."""
    while True:
        done = 0
        for table in tables:
            count, errors = job_tables.populate(table)
            for key, error in errors:
                report(f"{_name(table)} {key}: {error}")
            if count or errors:
                report(f"{_name(table)}: {count} done, {len(errors)} failed")
            done += count
            totals.errors += len(errors)
        totals.done += done
        if once and not done:
            break
        if not done:
            time.sleep(pause)
    totals.failed = {_name(table): count for table in tables if (count := job_tables.failed(table))}
    for name, count in totals.failed.items():
        keys = "1 key has" if count == 1 else f"{count} keys have"
        report(f"{name}: {keys} failed. {name}.jobs.errors says why, {name}.jobs.errors.delete() has them tried again.")


def _name(table: Any) -> str:
    """Give a table as the code calls it: ``ephys.Recording``."""
    return f"{table.__module__.rpartition('.')[2]}.{table.__qualname__}"
