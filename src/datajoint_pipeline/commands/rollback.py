"""`rollback`: takes a schema back to an earlier version."""

from __future__ import annotations

from ..executor import revert, stepping, undo
from ..executor.resume import Tell
from ..executor.runs import Report
from ..history import asked
from ..planner.impact import Impact
from ..planner.status import SchemaStatus
from ..planner.target import Warn
from ..project.environments import Environment, require_explicit
from ..project.pipeline import Pipeline
from . import migrate


def rollback(
    pipeline: Pipeline,
    environment: Environment,
    schema: str,
    to: str,
    along: bool = False,
    report: Report = lambda words, number, of: None,
    warn: Warn = lambda text: None,
    tell: Tell = lambda text: None,
) -> list[SchemaStatus]:
    """Take a schema back, with ``along`` others too; see :func:`datajoint_pipeline.executor.revert.rollback`."""
    require_explicit(pipeline.project, environment, "rollback")
    asked.refuse(pipeline.project.files, [schema], to)
    target = pipeline.target(environment, warn=warn)
    found = revert.rollback(target, schema, to, along, report, tell)
    migrate.make_job_tables(target)
    return found


def plan(
    pipeline: Pipeline,
    environment: Environment,
    schema: str,
    to: str,
    along: bool = False,
    warn: Warn = lambda text: None,
) -> list[Impact]:
    """Give what :func:`rollback` would do, of an interrupted run what is left; change nothing."""
    asked.refuse(pipeline.project.files, [schema], to)
    target = pipeline.target(environment, warn=warn)
    with stepping.changing(target.connection):
        return revert.survey(target, schema, to, along)


def plan_interrupted(pipeline: Pipeline, environment: Environment, warn: Warn = lambda text: None) -> list[Impact]:
    """Give what :func:`interrupted` would do; change nothing."""
    target = pipeline.target(environment, warn=warn)
    with stepping.changing(target.connection):
        return undo.survey(target)


def interrupted(
    pipeline: Pipeline,
    environment: Environment,
    report: Report = lambda words, number, of: None,
    warn: Warn = lambda text: None,
) -> list[SchemaStatus]:
    """Take the run back that was interrupted; see :func:`datajoint_pipeline.executor.undo.undo`."""
    require_explicit(pipeline.project, environment, "rollback")
    target = pipeline.target(environment, warn=warn)
    found = undo.undo(target, report)
    migrate.make_job_tables(target)
    return found
