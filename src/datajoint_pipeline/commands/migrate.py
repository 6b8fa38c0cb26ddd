"""`migrate`: brings a database to the code, by migrations or as a draft."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from .. import journal
from ..dialects import constraints
from ..executor import apply, owners, resume, stepping
from ..executor.backup import Backups
from ..executor.resume import Tell
from ..executor.runs import Report
from ..history import asked
from ..internals import job_tables
from ..internals.connection import one_session
from ..planner import drafts, impact, status
from ..planner.deployment import Deployment
from ..planner.drafts import Answer, Ask
from ..planner.impact import Impact
from ..planner.plan import counted
from ..planner.status import SchemaStatus, State
from ..planner.target import Target, Warn
from ..project.environments import Environment, require_explicit
from ..project.pipeline import Pipeline
from ..quoting import quoted


def migrate(
    pipeline: Pipeline,
    environment: Environment,
    schemas: Collection[str] = (),
    *,
    to: str | None = None,
    answer: Answer | None = None,
    allow_data_loss: bool = False,
    backups: Backups | None = None,
    report: Report = lambda words, number, of: None,
    warn: Warn = lambda text: None,
    tell: Tell = lambda text: None,
) -> list[SchemaStatus]:
    """Bring the database to the code; see :func:`datajoint_pipeline.executor.apply.migrate` for the parameters."""
    require_explicit(pipeline.project, environment, "migrate")
    asked.refuse(pipeline.project.files, schemas, to)
    pipeline.require_made(environment, "migrate")
    target = pipeline.target(environment, warn=warn)
    found = apply.migrate(
        target,
        schemas,
        to=to,
        answer=answer,
        allow_data_loss=allow_data_loss,
        backups=backups,
        report=report,
        tell=tell,
    )
    make_job_tables(target)
    return found


def draft(
    pipeline: Pipeline,
    environment: Environment,
    schemas: Collection[str] = (),
    *,
    answer: Answer,
    ask: Ask | None = None,
    allow_data_loss: bool = False,
    backups: Backups | None = None,
    report: Report = lambda words, number, of: None,
    warn: Warn = lambda text: None,
    tell: Tell = lambda text: None,
) -> list[SchemaStatus]:
    """Bring the tables to the code without a migration; see :func:`datajoint_pipeline.executor.apply.draft`."""
    drafts.refuse_prod(environment.name, pipeline.project.program, guarded=environment.guarded)
    asked.refuse(pipeline.project.files, schemas)
    pipeline.require_made(environment, "migrate")
    target = pipeline.target(environment, warn=warn)
    found = apply.draft(
        target,
        schemas,
        answer=answer,
        ask=ask,
        allow_data_loss=allow_data_loss,
        backups=backups,
        report=report,
        tell=tell,
    )
    make_job_tables(target)
    return found


def plan(
    pipeline: Pipeline,
    environment: Environment,
    schemas: Collection[str] = (),
    *,
    to: str | None = None,
    answer: Answer | None = None,
    allow_data_loss: bool = False,
    warn: Warn = lambda text: None,
) -> list[Impact]:
    """Give what :func:`migrate` would do, of an interrupted run what is left; change nothing."""
    asked.refuse(pipeline.project.files, schemas, to)
    pipeline.require_made(environment, "migrate")
    target = pipeline.target(environment, warn=warn)
    with stepping.changing(target.connection):
        if (left := resume.survey(target, "migrate")) is not None:
            return [left]
        return impact.survey(target, schemas, to, answer=answer, allow_data_loss=allow_data_loss)


def plan_draft(
    pipeline: Pipeline,
    environment: Environment,
    schemas: Collection[str],
    *,
    answer: Answer,
    ask: Ask | None = None,
    allow_data_loss: bool = False,
    warn: Warn = lambda text: None,
) -> list[Impact]:
    """Give what :func:`draft` would do, of an interrupted run what is left; change nothing."""
    drafts.refuse_prod(environment.name, pipeline.project.program, guarded=environment.guarded)
    asked.refuse(pipeline.project.files, schemas)
    pipeline.require_made(environment, "migrate")
    target = pipeline.target(environment, warn=warn)
    with stepping.changing(target.connection):
        if (left := resume.survey(target, journal.DRAFT)) is not None:
            return [left]
        return impact.survey_draft(target, schemas, answer, ask, allow_data_loss=allow_data_loss)


def make_job_tables(target: Target) -> None:
    """Let DataJoint make the job tables that are missing, where two workers would race for it and one may lack the
    right. That none can be made is no reason to fail: it tries again when it needs one."""
    with suppress(Exception):
        found = [one for one in status.read(target) if one.database_version and one.state is not State.INTERRUPTED]
        databases = [one.database for one in found]
        connection = target.connection
        alone = journal.lock(connection, target.lock, timeout=0)
        with suppress(Exception), alone, one_session(connection), owners.acting(connection, databases):
            _drop_outgrown(target)
        for database, tables in job_tables.missing(connection, databases).items():
            acting, own = owners.acting(connection, databases), owners.handing_over(connection, [database])
            with suppress(Exception), one_session(connection), acting, own:
                job_tables.make(connection, database, tables)


def _drop_outgrown(target: Target) -> None:
    """Drop job tables with another key than their tables have now: a worker of before may have made one right after a
    migration dropped it, and no worker of the code of now could use it."""
    deployment = Deployment.read(target)
    if any(record.status != journal.DONE for record in deployment.records.values()):
        return  # somebody is at it, or has to go on with it
    names, connection = constraints.names(deployment.catalogue).tables, target.connection
    for table in (table for schema in deployment.records for table in deployment.shapes.get(schema, ())):
        jobs = deployment.databases[table.name.schema], job_tables.PREFIX + table.name.table.lstrip("_")
        key = {*names[jobs].key} if jobs in names else set()
        if not table.tier.startswith(("Imported", "Computed")) or not key or key == {*job_tables.key(table)}:
            continue
        full = quoted(connection, *jobs)
        count = f"SELECT COUNT(*) FROM {full} WHERE {job_tables.MISSED}"
        (missed,) = connection.query(count, args=None, reconnect=False).fetchone()
        connection.query(f"DROP TABLE {full}", args=None, reconnect=False)
        if missed:
            words = f"{counted(missed, 'jobs')} with the status error or ignore"
            target.warn(f"{table.name} has lost {words}, which an earlier worker wrote with the old key.")
