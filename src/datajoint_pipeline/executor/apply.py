"""Apply migrations: plan them, judge the plan by the rows, and run it (:mod:`runs`).

PostgreSQL runs a group of migrations as one transaction, and after it the steps that have to be outside of any. On
MySQL each step is one atomic statement, and after a crash the tables say which of them ran (:mod:`recovery`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from .. import journal
from ..dialects import may_lock
from ..dialects.owners import Owner
from ..diff import questions
from ..errors import PipelineError, Stopped, follow
from ..history import migration_files
from ..history.migration_files import Migration
from ..internals.connection import one_session
from ..internals.interrupting import interruptible
from ..planner import contents, counting, drafts, drift, due, judging, pending, status
from ..planner.deployment import Deployment
from ..planner.plan import Group
from ..planner.status import SchemaStatus
from ..planner.steps import OnlineStatements
from ..planner.target import Target
from ..schema.model import TableName
from . import auditing, leftovers, owners, renumbering, resume, runs, stepping
from .backup import Backups, Keeping

#: Is called with the groups of migrations that are about to be applied.
Look = Callable[[list[Group]], None]

#: What the record of a run says, beside its options, where others could write between two steps.
UNLOCKED = "(without LOCK TABLES)"


def migrate(
    target: Target,
    chosen: Iterable[str] = (),
    *,
    to: str | None = None,
    answer: drafts.Answer | None = None,
    allow_data_loss: bool = False,
    backups: Backups | None = None,
    report: runs.Report = lambda words, number, of: None,
    tell: resume.Tell = lambda text: None,
    look: Look = lambda groups: None,
    note: str = "",
) -> list[SchemaStatus]:
    """Bring the database to the code, or one schema to a version; finish first what was interrupted.

    Parameters
    ----------
    target : Target
        Where.
    chosen : iterable of str
        Schemas; all where there is none.
    to : str, optional
        The version to stop at, for one schema.
    answer : callable, optional
        What became of what only a draft had; see :func:`datajoint_pipeline.planner.drafts.groups`.
    allow_data_loss : bool
        Whether values may be cut or rounded where a new type cannot hold them.
    backups : Backups, optional
        The files that values are written to before they are lost; all are written where there is none.
    report : callable, optional
        Called with what a step does, its number and how many there are.
    tell : callable, optional
        Called with a sentence for each interrupted run that was gone on with.
    look : callable, optional
        Called with what is planned, before anything of it runs and again before each later group, then with that alone;
        what it raises stops there.
    note : str
        What the record says beside the options.

    Returns
    -------
    list of SchemaStatus
        Where every schema stands afterwards.

    Raises
    ------
    PipelineError
        If a migration cannot be applied, or a step fails. Every step that ran is complete, and recorded.
    """
    chosen, backups = list(chosen), backups or Backups()
    with alone(target):
        resumed, done = resume.resume(target, report, tell), list[Migration]()
        while True:
            with _following(target, resumed, done):
                deployment = Deployment.read(target)
                auditing.heal(deployment)
                wanted = pending.pending_migrations(deployment, chosen, to)
                if not wanted:
                    renumbering.record(deployment, chosen)
                    return drift.read(target)
                due.refuse(deployment)
                drift.refuse(deployment, wanted)
                # Everything is judged before the first step, and then again each time what is next.
                groups = drafts.groups(deployment, wanted, answer=answer, one=bool(done))
                contents.refuse_new(deployment, groups)
                look(groups)
                lossy = _judge_all(deployment, groups, allow_data_loss=allow_data_loss)
                if lossy[0]:
                    groups = drafts.groups(deployment, wanted, answer=answer, lossy=lossy[0], one=True)
                    judge(deployment, groups[0], allow_data_loss=allow_data_loss)  # by what is left of the values
                keep = backups.of_group(deployment, groups[0], lossy[0], "migrate")
                options = f"{allowances(allow_data_loss, backups)} {note}".strip()
                for text in groups[0].left:
                    target.warn(text)
                apply(deployment, groups[0], "migrate", report, keep, options)
                done += groups[0].migrations
            answer = None


@contextmanager
def _following(target: Target, resumed: Iterable[str], done: Iterable[Migration]) -> Iterator[None]:
    """Have a refusal, or Ctrl-C, say what was gone on with, in sentences, and which migrations were applied before."""
    texts, names = [*resumed], [f"{migration.schema} {migration.version}" for migration in done]
    if names:
        texts.append(f"Before it, {' and '.join(names)} {'was' if len(names) == 1 else 'were'} applied; that stays.")
    before = " ".join(texts)
    try:
        yield
    except (PipelineError, Stopped) as stopped:
        if before:
            follow(stopped, before)
        raise
    except KeyboardInterrupt as unknown:
        plain = Stopped("Stopped.", "Nothing was changed.", f"Run {target.command} migrate again.")
        if before:
            follow(plain, before)
        raise plain from unknown


def draft(
    target: Target,
    chosen: Iterable[str] = (),
    *,
    answer: drafts.Answer = lambda before, after: questions.Answers(),
    ask: drafts.Ask | None = None,
    allow_data_loss: bool = False,
    backups: Backups | None = None,
    report: runs.Report = lambda words, number, of: None,
    tell: resume.Tell = lambda text: None,
) -> list[SchemaStatus]:
    """Bring the tables to the code without a migration, to try things out; :func:`migrate` replaces what this makes.

    Parameters
    ----------
    answer : callable, optional
        Given the tables before and after, the answers that are known beforehand.
    ask : callable, optional
        Given a question and the tables after, its answer; None where there is none.

    Other parameters and the errors are those of :func:`migrate`.
    """
    drafts.refuse_prod(target.environment, target.program)
    code, backups = target.code_tables(), backups or Backups()
    with alone(target):
        resume.resume(target, report, tell)
        deployment = Deployment.read(target)
        auditing.heal(deployment)
        if drafts.is_done(deployment, code, chosen):
            return drift.read(target)  # what was answered was for what another run, or a draft before, has done
        found = drafts.changes(deployment, code, chosen, answer, ask)
        if found.operations:
            group = drafts.group(deployment, found)
            contents.refuse_new(deployment, [group])
            if lossy := judge(deployment, group, allow_data_loss=allow_data_loss):
                group = drafts.group(deployment, found, lossy)
                judge(deployment, group, allow_data_loss=allow_data_loss)
            keep = backups.of_group(deployment, group, lossy, journal.DRAFT)
            drafts.keep(target, code)
            apply(deployment, group, journal.DRAFT, report, keep, allowances(allow_data_loss, backups))
        return drift.read(target)


def go_on(target: Target, report: runs.Report, tell: resume.Tell) -> None:
    """Go on with what was interrupted, and do no more; the parameters and errors are those of :func:`migrate`."""
    with alone(target):
        resume.resume(target, report, tell)


def judge(deployment: Deployment, group: Group, *, allow_data_loss: bool) -> frozenset[tuple[TableName, str]]:
    """Judge a group by its rows; give the attributes whose values may change, by their tables' names after.

    Raises
    ------
    PipelineError
        If the server would refuse a step, or values would be lost and may not.
    """
    return _judge_all(deployment, [group], allow_data_loss=allow_data_loss)[0]


def _judge_all(
    deployment: Deployment, groups: list[Group], *, allow_data_loss: bool
) -> list[frozenset[tuple[TableName, str]]]:
    """Judge groups by their rows, all of them before any is refused: see :func:`judge`."""
    for group in groups:
        _owned(deployment, group)
        counting.count(deployment, group)
    judging.refuse(groups, allow_data_loss=allow_data_loss)
    return [judging.lossy(group) for group in groups]


def refuse_unfinished(deployment: Deployment, schemas: Iterable[str]) -> None:
    """Refuse a schema in the middle of a change, whose tables are known only when that has ended."""
    for name in schemas:
        record = deployment.records.get(name)
        if record is not None and record.status != journal.DONE:
            why = "The state of its tables is only known after that has ended."
            raise status.unfinished(deployment.target, deployment.records, name, why)


# --- One group -----------------------------------------------------------------------------------------------------


@contextmanager
def alone(target: Target) -> Iterator[None]:
    """Hold the pipeline's lock, on the session that runs the statements, and be the owner of the schemas."""
    connection, names = target.connection, {*target.versions, *migration_files.schemas(target.files)}
    databases = [target.database(name) for name in sorted(names)]
    with ExitStack() as stack:
        stack.enter_context(journal.lock(connection, target.lock, warn=target.warn))
        stack.enter_context(one_session(connection))
        stack.enter_context(interruptible(connection))
        stack.enter_context(stepping.changing(connection))
        stack.enter_context(owners.acting(connection, databases, target.warn))
        stepping.upgrade_journals(connection, target.databases.values())
        yield
        leftovers.clear(target, databases)


def allowances(allow_data_loss: bool, backups: Backups) -> str:
    """Give the options that let values be lost, as the journal keeps them."""
    return " ".join(["--allow-data-loss"] * allow_data_loss + ["--no-backup"] * (not backups.wanted))


def apply(
    deployment: Deployment,
    group: Group,
    kind: str,
    report: runs.Report,
    keep: Keeping | None = None,
    options: str = "",
) -> None:
    """Record the plan of a group and run it.

    Parameters
    ----------
    deployment : Deployment
        Where.
    group : Group
        What is run.
    kind : str
        The kind of the run in the journal.
    report : callable
        Called with what a step does, its number and how many there are.
    keep : Keeping, optional
        Writes values to a file; called before the first change, on PostgreSQL in its transaction.
    options : str
        What :func:`allowances` gives.

    Raises
    ------
    PipelineError
        If a step fails, or the result is not what was planned.
    """
    connection, owned = deployment.connection, _owned(deployment, group)
    auditing.require(deployment, group)
    for violation in group.violations:
        if violation.kind == "jobs":
            deployment.target.warn(f"{violation.table} has {violation.counted}.")
    if connection.adapter.backend == "postgresql":
        online = any(isinstance(step, OnlineStatements) for step in group.steps)

        def attempt() -> runs.Run:
            with stepping.transaction(connection):
                if keep is not None:
                    keep()
                run = _recorded(deployment, group, kind, options)
                run.carry_out(report, online=False)
                if not online:
                    run.conclude()
                owners.hand_over(connection, owned)
            return run

        run = stepping.patiently(connection, deployment.databases, attempt, deployment.target.warn)
        if online:
            run.finish(report)
    else:
        if denied := may_lock.denied(connection, (deployment.databases[schema] for schema in group.locked)):
            deployment.target.warn(may_lock.warning(denied))
            options = f"{options} {UNLOCKED}".strip()
        if keep is not None:
            keep()
        run = _recorded(deployment, group, kind, options)
        run.kept = keep
        run.finish(report)


def _owned(deployment: Deployment, group: Group) -> dict[str, Owner]:
    """Give the owners of the schemas that a group changes, once it is known that this session may."""
    names = {name for step in group.steps for name in step.tables}
    names |= {name for name in {*group.before, *group.after} if group.before.get(name) is not group.after.get(name)}
    places = {(deployment.databases.get(name.schema, name.schema), name.table) for name in names}
    databases = {deployment.databases[name] for name in group.schemas} | {database for database, _ in places}
    return owners.require(deployment.connection, sorted(databases), places)


def _recorded(deployment: Deployment, group: Group, kind: str, options: str) -> runs.Run:
    """Make the journals that are missing, and record a group, as a whole."""
    for name in group.schemas:
        runs.make_records(deployment, name)
    connection = deployment.connection
    # On PostgreSQL there is a transaction already, and MySQL ends one with each table that it makes.
    with stepping.within(connection):
        return runs.record(deployment, group, kind, options)
