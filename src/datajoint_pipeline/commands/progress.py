"""`progress`: how far every table is, who works on it, and when it may be done."""

from __future__ import annotations

from collections.abc import Callable

from ..monitor import progress, sources
from ..monitor.progress import Progress
from ..project.environments import Environment
from ..project.pipeline import Pipeline


def read(pipeline: Pipeline, environment: Environment) -> Progress:
    """Find how the work on every table stands."""
    return progress.read(pipeline, environment)


def watcher(pipeline: Pipeline, environment: Environment) -> Callable[[], Progress]:
    """Give a function that counts anew each time, for the tables that are there now."""
    keys = sources.read(pipeline, environment)
    return lambda: progress.measure(pipeline, environment, keys)
