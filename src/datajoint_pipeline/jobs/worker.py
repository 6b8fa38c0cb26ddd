"""Populate a pipeline, as one of any number of processes; DataJoint's job tables are the queue."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ..internals.job_tables import auto_populated
from ..planner import status
from ..project.environments import Environment, require_explicit
from ..project.pipeline import Pipeline


@dataclass
class Totals:
    """How many keys are done, and how many failed."""

    done: int = 0
    errors: int = 0


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
    for schema in status.read(pipeline.target(environment)):
        if schema.draft:
            report(f"{schema.database} is a draft; its tables may be others than those of this code.")
    modules = dict.fromkeys(pipeline.modules.values())
    tables = [table for name in modules for table in auto_populated(import_module(f"{pipeline.package}.{name}"))]
    totals = Totals()
    # Without a handler an idle worker that is a container's first process would never hear of SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("SIGTERM received"))
    report(f"Populating {len(tables)} tables of {environment.name}; Ctrl-C or SIGTERM ends it.")
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
            # An error of one key is kept in the table's job queue and must not end the worker.
            outcome = table.populate(reserve_jobs=True, suppress_errors=True)
            failed = len(outcome["error_list"])
            if outcome["success_count"] or failed:
                report(f"{table.__module__}.{table.__qualname__}: {outcome['success_count']} done, {failed} failed")
            done += outcome["success_count"]
            totals.errors += failed
        totals.done += done
        if once and not done:
            return
        if not done:
            time.sleep(pause)
