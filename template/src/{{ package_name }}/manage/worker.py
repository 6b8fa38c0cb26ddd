"""Populates the pipeline, as one of any number of processes; DataJoint's reservations are the queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from . import environment as environments
from . import graph, project


@dataclass
class Totals:
    """Keys done and keys that failed."""

    done: int = 0
    errors: int = 0


def run(environment: environments.Environment, *, once: bool, pause: float, report: Callable[[str], None]) -> Totals:
    """Populate every Imported and Computed table, parents first, again and again.

    Parameters
    ----------
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
    environments.require_said(environment, "worker")
    environments.connect(environment)
    own = project.current()
    modules = dict.fromkeys(graph.read(own.directory).modules_in_order(own.versions).values())
    tables = [table for name in modules for table in _tables(import_module(f"{own.package}.{name}"))]
    totals = Totals()
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
            return totals
        if not done:
            time.sleep(pause)


def _tables(module: Any) -> Iterator[Any]:
    """The tables of a module that DataJoint populates, in the order in which they are written."""
    import datajoint as dj

    for table in vars(module).values():
        own = isinstance(table, type) and table.__module__ == module.__name__
        if own and issubclass(table, (dj.Imported, dj.Computed)):
            yield table
