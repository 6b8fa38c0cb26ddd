"""`progress`: how far every table is, who works on it, and when it may be done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import ExitCode, PipelineError
from ..monitor import metrics, progress, sources
from ..monitor.progress import Progress
from ..project.environments import Environment
from ..project.pipeline import Pipeline


def watcher(pipeline: Pipeline, environment: Environment, file: str | None = None) -> Callable[[], Progress]:
    """Give a function that counts anew each time, for the tables that are there now.

    Parameters
    ----------
    pipeline, environment : Pipeline, Environment
        Where.
    file : str, optional
        A file that gets it for Prometheus, each time.

    Raises
    ------
    PipelineError
        If such a file cannot be written.
    """
    if file is not None:
        metrics.require()
    keys = sources.read(pipeline, environment)

    def count() -> Progress:
        found = progress.measure(pipeline, environment, keys)
        if file is not None:
            metrics.write(found, Path(file))
        return found

    return count


def pending_query(pipeline: Pipeline, environment: Environment, class_name: str) -> str:
    """Give the query for one number: the keys that workers of a class could compute now, or are computing.

    Raises
    ------
    PipelineError
        If there is no such class, or the keys of one of its tables cannot be counted.
    """
    configured = progress.workers_file(pipeline)
    if configured.find(class_name) is None:
        raise PipelineError(
            f"There is no class {class_name} of workers.",
            f"workers.toml has {', '.join(configured.names)}.",
            "Name one of these, or add it there.",
            exit_code=ExitCode.USAGE,
        )
    keys = sources.read(pipeline, environment)
    mine = [one for one in keys if configured.class_of(str(one.table.name)).name == class_name]
    if unknown := [one for one in mine if one.source is None]:
        raise PipelineError(
            f"The keys of {unknown[0].table.name} cannot be counted.",
            f"{unknown[0].problem[:1].upper()}{unknown[0].problem[1:]}.",
            "Correct that first; otherwise workers would be missing for this table.",
        )
    return progress.pending_query(pipeline, environment, keys, class_name)
