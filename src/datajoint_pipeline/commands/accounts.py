"""`access rotate`, `lock` and `remove`: what is done with an account that is there."""

from __future__ import annotations

from ..access import accounts
from ..access.apply import Hand
from ..dialects.accounts import Removal
from ..planner.target import Warn
from ..project.environments import Environment, require_explicit
from ..project.pipeline import Pipeline
from .access import keeping, place, refuse_unwritable


def rotate(
    pipeline: Pipeline,
    environment: Environment,
    login: str,
    *,
    show: Hand | None = None,
    warn: Warn = lambda text: None,
) -> bool:
    """Give an account a new password, written to its file or handed to ``show``.

    Returns
    -------
    bool
        Whether the old one is still valid, until :func:`discard`.
    """
    require_explicit(pipeline.project, environment, "access rotate")
    found = place(pipeline, environment, warn)
    if show is None:
        refuse_unwritable(pipeline, environment)
    return accounts.rotate(found, login, show or keeping(pipeline, environment))


def discard(pipeline: Pipeline, environment: Environment, login: str, *, warn: Warn = lambda text: None) -> bool:
    """Make the password of before the last rotation void; tell whether there was one."""
    require_explicit(pipeline.project, environment, "access rotate")
    return accounts.discard(place(pipeline, environment, warn), login)


def lock(pipeline: Pipeline, environment: Environment, login: str, *, warn: Warn = lambda text: None) -> int:
    """Let an account log in no more, and end its sessions; give how many these were."""
    require_explicit(pipeline.project, environment, "access lock")
    return accounts.lock(place(pipeline, environment, warn), login)


def unlock(pipeline: Pipeline, environment: Environment, login: str, *, warn: Warn = lambda text: None) -> None:
    """Let an account log in again."""
    require_explicit(pipeline.project, environment, "access lock")
    accounts.unlock(place(pipeline, environment, warn), login)


def remove(pipeline: Pipeline, environment: Environment, login: str, *, warn: Warn = lambda text: None) -> Removal:
    """Take away an account that is no longer in ``access.toml``, with its sessions and rights."""
    require_explicit(pipeline.project, environment, "access remove")
    return accounts.remove(place(pipeline, environment, warn), login)
