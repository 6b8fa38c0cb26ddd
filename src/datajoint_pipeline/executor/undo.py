"""Take an interrupted run back: make the tables what they were before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from .. import journal
from ..dialects import catalog
from ..dialects.introspection import Place
from ..dialects.mysql import effects
from ..dialects.mysql.jobs import AWAY
from ..errors import ExitCode, PipelineError
from ..internals import job_tables, lineage
from ..journal import steplog
from ..planner import drafts, drift, resuming, undoing
from ..planner.deployment import Deployment
from ..planner.impact import Impact
from ..planner.plan import counted
from ..planner.status import SchemaStatus
from ..planner.steps import PlannedStep
from ..planner.target import Target
from ..planner.undoing import WayBack
from ..quoting import quoted
from ..schema.model import TableName
from . import apply, auditing, resume, runs, stepping
from .runs import Run


def undo(target: Target, report: runs.Report = lambda words, number, of: None) -> list[SchemaStatus]:
    """Take the run back that was interrupted, and go on with it where that was interrupted, too.

    Raises
    ------
    PipelineError
        If there is none, or no way back.
    """
    with apply.alone(target):
        began = resume.interrupted(target)
        if began is None:
            # Killed at its very end, writers of audited tables are still kept out.
            if not auditing.heal(Deployment.read(target)):
                raise _nothing_interrupted()
            return drift.read(target)
        run = resume.planned(target, began)
        if run is None or run.untouched:
            runs.withdraw(target, began.members)
            target.warn(began.without_change)
            auditing.heal(Deployment.read(target))
            return drift.read(target)
        resume.note(run, began)
        if target.connection.adapter.backend == "postgresql":
            _drop(run, _online(run), report)
        else:
            take_back(run, began, report)
        return drift.read(target)


def survey(target: Target) -> list[Impact]:
    """Find what :func:`undo` would do; change nothing.

    Raises
    ------
    PipelineError
        As :func:`undo`, or if the run is not interrupted but under way.
    """
    began = resume.interrupted(target)
    if began is None:
        raise _nothing_interrupted()
    with journal.lock(target.connection, target.lock, timeout=0):
        run = resume.planned(target, began)
    if run is None or run.untouched:
        target.warn("The run was interrupted before it changed a table: it would be ended, and nothing undone.")
        return []
    steps = run.group.steps
    if target.connection.adapter.backend == "postgresql":
        steps = _online(run)
    elif began.undo is None:
        _, back = _way_back(run, began, ended=False)
        steps = back.steps
    else:
        steps = [s for s, e in zip(steps, run.entries, strict=True) if e.state != steplog.DONE]
    return [Impact(replace(run.group, steps=steps, violations=[]), taken_back=True)]


def _nothing_interrupted() -> PipelineError:
    return PipelineError("There is no interrupted run to take back.", "Each that began has ended.", "Run log.")


def _online(run: Run) -> list[PlannedStep]:
    """Give what takes a run of PostgreSQL back.

    Raises
    ------
    PipelineError
        If it did more than to add things beside writers.
    """
    steps = undoing.way_back_online(run.group)
    if steps is None:
        raise PipelineError(
            "The interrupted run is complete except for what it does online; nothing was changed.",
            "PostgreSQL ran the rest as a whole.",
            f"Run {run.target.command} migrate, which ends it, and then rollback to an earlier version. "
            "If rows prevent that, it names them: correct these first.",
            exit_code=ExitCode.INTERRUPTED,
        )
    return steps


def _drop(run: Run, steps: list[PlannedStep], report: runs.Report) -> None:
    """Drop what a run of PostgreSQL added online. Each drops what is there, if anything: nothing need be recorded."""
    connection = run.target.connection
    stepping.prepare(connection)
    for number, step in enumerate(steps, 1):
        report(step.words, number, len(steps))
        stepping.name_holder(connection, run.databases, step, run.target.warn)
        for sql in step.statements:
            work = partial(stepping.send, connection, sql, "The interrupted run is not yet taken back.")
            stepping.patiently(connection, run.databases, work, run.target.warn)
    _conclude(run)


def take_back(run: Run, began: resume.Interrupted, report: runs.Report) -> None:
    """Take back what a run of MySQL did, or what is left of that; the run may have ended, too.

    Raises
    ------
    PipelineError
        If there is no way back, or a step of it fails.
    """
    ended = began.record.status == journal.DONE
    if began.undo is None:
        _begin(run, began, ended=ended)
    else:
        run.before = began.undo
    run.command = runs.TAKE_BACK
    auditing.hold(run.deployment, auditing.changed(run.deployment, run.group, run.before))
    try:
        run.carry_out(report)
    except stepping.Refused:
        if began.undo is None and run.entries[run.before].state != steplog.DONE:
            # Nothing was taken back, so the run is what it was.
            _record(run, began.entries[run.before :], began.head)
            for member in run.members if ended else ():
                journal.finish(run.target.connection, run.databases[member.schema], member.run)
        raise
    _conclude(run)
    auditing.heal(Deployment.read(run.target))


def _begin(run: Run, began: resume.Interrupted, *, ended: bool) -> None:
    """Record the steps of the way back in place of those that were not done."""
    run.before, back = _way_back(run, began, ended=ended)
    _name_jobs(run.target, run.databases, back.jobs)
    run.group.steps[run.before :] = back.steps
    fresh = [replace(resuming.entry(step), number=n) for n, step in enumerate(back.steps, run.before + 1)]
    run.entries[run.before :] = fresh
    _record(run, fresh, {**began.head, resume.UNDO: run.before}, reopen=ended)


def _way_back(run: Run, began: resume.Interrupted, *, ended: bool) -> tuple[int, WayBack]:
    """Give how many steps were done, and the way back from there.

    Raises
    ------
    PipelineError
        If there is none.
    """
    target, done = run.target, sum(entry.state == steplog.DONE for entry in run.entries)
    begun = bool(run.entries[done:]) and run.entries[done].state == steplog.RUNNING
    try:
        back = undoing.way_back(run.deployment, run.group, done, begun=begun)
    except ValueError as error:
        raise resume.untrue(began.record, f"It cannot be read ({error}).") from error
    back.require(f"{target.command} {run.command}")
    for sql, words in back.questions:
        count, *names = target.connection.query(sql, args=None, reconnect=False).fetchone()
        if count:
            met = ": ".join((counted(count, words), *map(str, filter(None, names))))
            raise PipelineError(
                f"The {'adoption' if ended else 'interrupted run'} cannot be taken back: it would run into {met}.",
                "Somebody made them since; nothing was changed.",
                "Correct them, then run the command again."
                if ended
                else f"Correct them, or go on with {target.command} {run.command}.",
                exit_code=ExitCode.DATA_LOSS if ended else ExitCode.INTERRUPTED,
            )
    for text in back.kept:
        target.warn(text)
    return done, back


def _name_jobs(target: Target, databases: Mapping[str, str], places: list[Place]) -> None:
    """Say how many jobs go that nobody adds again; DataJoint makes their tables anew."""
    connection, schemas = target.connection, {database: schema for schema, database in databases.items()}
    there = job_tables.every_table(connection, tuple({database for database, _ in places})) if places else set()
    for database, table in (place for place in places if place in there):
        sql = f"SELECT COUNT(*) FROM {quoted(connection, database, table)} WHERE {job_tables.MISSED}"
        (count,) = connection.query(sql, args=None, reconnect=False).fetchone()
        if count:
            bare = table.removeprefix(job_tables.PREFIX).removesuffix(AWAY)
            words = f"{counted(count, 'jobs with the status error or ignore')} {'goes' if count == 1 else 'go'}"
            target.warn(f"{words} with the jobs of {TableName(schemas.get(database, database), bare)}.")


def _record(run: Run, entries: list[steplog.Entry], head: dict[str, Any], *, reopen: bool = False) -> None:
    """Record other steps in place of those after the first that are done, and another head."""
    connection, leader = run.target.connection, run.members[0]
    database = run.databases[leader.schema]
    with stepping.transaction(connection):
        steplog.drop(connection, database, leader.run, run.before + 1)
        steplog.rewrite(connection, database, leader.run, entries, head)
        for member in run.members if reopen else ():
            journal.reopen(connection, run.databases[member.schema], member.run)


def _conclude(run: Run) -> None:
    """Verify that the tables are what they were, and record that nothing is left of the run.

    Raises
    ------
    PipelineError
        If they are not.
    """
    target, before = run.target, run.deployment.catalogue.tables
    now = catalog.find(target.connection, run.databases).tables
    places = [place for step in run.group.steps for place in step.places]
    left = next(effects.differences(before, now, dict.fromkeys(places)), None)
    if left is not None:
        raise PipelineError(
            "The tables are not what they were before the run.",
            f"{left}.",
            "Nothing from before is lost. Change that back, then run "
            f"{target.command} rollback --interrupted again, which ends it.",
            exit_code=ExitCode.INTERRUPTED,
        )
    shapes = catalog.read(target.connection, run.databases)
    lineage.repair(target.connection, run.databases, {table.name: table for s in shapes.values() for table in s})
    with stepping.transaction(target.connection):
        for member in run.members:
            journal.withdraw(target.connection, run.databases[member.schema], member.run)
    drafts.forget(target)
