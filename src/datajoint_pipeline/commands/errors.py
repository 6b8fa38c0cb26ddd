"""`errors`: the jobs that failed, in groups that have one cause each; have them tried again, or left out."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import ExitCode, PipelineError
from ..monitor import errors
from ..monitor.errors import Group
from ..project.environments import Environment, require_explicit
from ..project.pipeline import Pipeline


def read(
    pipeline: Pipeline,
    environment: Environment,
    *,
    table: str | None = None,
    key: Iterable[str] = (),
    group: str | None = None,
    ignored: bool = False,
) -> list[Group]:
    """Find the failed jobs in groups, the largest first.

    Parameters
    ----------
    pipeline, environment : Pipeline, Environment
        Where.
    table : str, optional
        Only those of one table: ``ephys.Recording``.
    key : iterable of str
        With ``table``: only those with these values in their key, each as ``attribute=value``.
    group : str, optional
        Only one group: its id, or how that begins.
    ignored : bool
        Whether jobs are meant that somebody had left out, instead of those that failed.

    Raises
    ------
    PipelineError
        If there is no such table, attribute or group.
    """
    status = errors.IGNORED if ignored else errors.FAILED
    found = errors.read(pipeline, environment, table=table, key=key, status=status)
    if group is None:
        return found
    chosen = [one for one in found if one.id.startswith(group.lower())]
    if len(chosen) == 1:
        return chosen
    raise PipelineError(
        f"There is no group {group} of failed jobs." if not chosen else f"{group} begins the id of several groups.",
        f"There are {', '.join(one.id for one in chosen or found)}." if found else "No job has failed.",
        "Take an id from the first column of the command errors." if found else "Leave --group out.",
        exit_code=ExitCode.USAGE,
    )


def change(pipeline: Pipeline, environment: Environment, groups: Iterable[Group], action: str) -> int:
    """Have jobs tried again (``retry``), or left out (``ignore``); tell how many were.

    Raises
    ------
    PipelineError
        If the account may not, or ``prod`` was not named on the very command.
    """
    require_explicit(pipeline.project, environment, f"errors --{action}")
    target = pipeline.target(environment)
    failures = [failure for group in groups for failure in group.failures]
    return errors.change(target.connection, target.databases, failures, action)
