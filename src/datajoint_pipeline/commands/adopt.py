"""`adopt`: records the versions of a database that was there before the project, and takes that back."""

from __future__ import annotations

from collections.abc import Collection

from ..executor import adopt as adopting
from ..executor import resume, stepping, unadopt
from ..executor.runs import Report
from ..history import asked
from ..planner import impact
from ..planner.impact import Impact
from ..planner.target import Warn
from ..project.environments import Environment, require_explicit
from ..project.pipeline import Pipeline


def adopt(
    pipeline: Pipeline,
    environment: Environment,
    schemas: Collection[str] = (),
    *,
    again: bool = False,
    types: bool = False,
    report: Report = lambda words, number, of: None,
    warn: Warn = lambda text: None,
) -> adopting.Adopted:
    """Record versions; see :func:`datajoint_pipeline.executor.adopt.adopt` for the parameters."""
    require_explicit(pipeline.project, environment, "adopt")
    asked.refuse(pipeline.project.files, schemas)
    target = pipeline.target(environment, warn=warn)
    return adopting.adopt(target, schemas, again=again, types=types, report=report)


def plan_types(pipeline: Pipeline, environment: Environment, schemas: Collection[str] = ()) -> list[Impact]:
    """Give what ``types`` would do, or what is left of a run that was interrupted; change no database."""
    asked.refuse(pipeline.project.files, schemas)
    target = pipeline.target(environment)
    with stepping.changing(target.connection):
        if (left := resume.survey(target)) is not None:
            return [left]
        return impact.survey_types(target, schemas)


def undo(
    pipeline: Pipeline,
    environment: Environment,
    schemas: Collection[str] = (),
    *,
    report: Report = lambda words, number, of: None,
    warn: Warn = lambda text: None,
) -> unadopt.Undone:
    """Take adoptions back; see :func:`datajoint_pipeline.executor.unadopt.unadopt` for the parameters."""
    require_explicit(pipeline.project, environment, "adopt")
    return unadopt.unadopt(pipeline.target(environment, warn=warn), schemas, report)
