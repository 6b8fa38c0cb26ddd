"""Take an interrupted run back: make the tables what they were before it."""

from __future__ import annotations

from dataclasses import replace

from .. import journal
from ..dialects import catalog
from ..dialects.mysql import effects
from ..errors import ExitCode, PipelineError
from ..internals import lineage
from ..journal import steplog
from ..planner import drafts, drift, resuming, undoing
from ..planner.plan import counted
from ..planner.status import SchemaStatus
from ..planner.steps import UserPython, UserSQL
from ..planner.target import Target
from . import apply, resume, runs, stepping
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
            raise PipelineError(
                "There is no interrupted run to take back.", "Each that began has ended.", "Run status, or log."
            )
        run = resume.planned(target, began)
        if run is None or run.untouched:
            runs.withdraw(target, began.members)
            return drift.read(target)
        if target.connection.adapter.backend == "postgresql":
            raise PipelineError(
                "All of the interrupted run is there but what it adds online; nothing was changed.",
                "PostgreSQL ran the rest as a whole.",
                f"Run {target.command} migrate, which ends it, and then rollback to an earlier version.",
                exit_code=ExitCode.INTERRUPTED,
            )
        run.command, fresh = "rollback --interrupted", began.undo is None
        run.before = _begin(run, began) if began.undo is None else began.undo
        try:
            run.carry_out(report)
        except stepping.Refused:
            if fresh and run.entries[run.before].state != steplog.DONE:
                _leave(run, began)
            raise
        _conclude(run)
        return drift.read(target)


def _begin(run: Run, began: resume.Interrupted) -> int:
    """Record the steps of the way back in place of those that were not done; give how many were."""
    target, leader = run.target, run.members[0]
    done = sum(entry.state == steplog.DONE for entry in run.entries)
    try:
        back = undoing.way_back(run.deployment, run.group, done)
    except ValueError as error:
        raise resume.untrue(began.record, f"It cannot be read ({error}).") from error
    following = run.group.steps[done : done + 1] if run.entries[done:] else []
    if following and run.entries[done].state == steplog.RUNNING and isinstance(following[0], (UserSQL, UserPython)):
        back.hindrance = f"nobody knows whether the lab's own statements ran ({following[0].words})"
    back.require(target.command)
    for sql, words in back.questions:
        (count,) = target.connection.query(sql, args=None, reconnect=False).fetchone()
        if count:
            raise PipelineError(
                f"The interrupted run cannot be taken back: it would meet {counted(count, words)}.",
                "Somebody made them since; nothing was changed.",
                f"Correct them, or go on with {target.command} migrate.",
                exit_code=ExitCode.INTERRUPTED,
            )
    run.group.steps[done:] = back.steps
    fresh = [replace(resuming.entry(step), number=n) for n, step in enumerate(back.steps, done + 1)]
    run.entries[done:] = fresh
    head = {**began.head, resume.UNDO: done}
    with stepping.transaction(target.connection):
        steplog.drop(target.connection, run.databases[leader.schema], leader.run, done + 1)
        steplog.rewrite(target.connection, run.databases[leader.schema], leader.run, fresh, head)
    return done


def _leave(run: Run, began: resume.Interrupted) -> None:
    """Record the run as it was interrupted, for nothing of it was taken back."""
    connection, leader = run.target.connection, run.members[0]
    database, forward = run.databases[leader.schema], began.entries[run.before :]
    with stepping.transaction(connection):
        steplog.drop(connection, database, leader.run, run.before + 1)
        steplog.rewrite(connection, database, leader.run, forward, began.head)


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
            "Nothing of before is lost. Make that what it was, then run "
            f"{target.command} rollback --interrupted again, which ends it.",
            exit_code=ExitCode.INTERRUPTED,
        )
    shapes = catalog.read(target.connection, run.databases)
    lineage.repair(target.connection, run.databases, {table.name: table for s in shapes.values() for table in s})
    with stepping.transaction(target.connection):
        for member in run.members:
            journal.withdraw(target.connection, run.databases[member.schema], member.run)
    drafts.forget(target)
