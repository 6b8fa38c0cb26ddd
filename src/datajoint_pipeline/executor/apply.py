"""Apply migrations: plan, record the plan, run it, verify the result; and go on with a run that was interrupted.

PostgreSQL runs a group of migrations as one transaction, and after it the steps that have to be outside of any. On
MySQL each step is one atomic statement. After a crash the database itself says whether a step ran: its table is either
as it was recorded before the step, or as the step leaves it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from .. import journal
from ..dialects import catalog, may_lock
from ..diff import changes, questions
from ..errors import ExitCode, PipelineError
from ..history import migration_files
from ..history.migration_files import Migration
from ..internals import lineage
from ..internals.connection import one_session
from ..journal import steplog
from ..planner import drafts, drift, pending, plan, status
from ..planner.deployment import Deployment
from ..planner.losses import ALLOWED
from ..planner.plan import Group
from ..planner.status import SchemaStatus
from ..planner.target import Target
from ..quoting import quoted
from ..schema.model import Schema, Table, TableName, decode, encode
from . import stepping
from .backup import Backups
from .holding import Hold

if TYPE_CHECKING:
    import datajoint as dj

Report = Callable[[str, int, int], None]
Warn = Callable[[str], None]

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
    report: Report = lambda words, number, of: None,
    warn: Warn = lambda text: None,
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
    warn : callable, optional
        Called before the first step with what may go wrong.

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
        resume(target, report)
        begun = False
        while True:
            deployment = Deployment.read(target)
            wanted = pending.pending_migrations(deployment, chosen, to)
            if not wanted:
                return status.read(target)
            refuse_drift(deployment, wanted)
            # Everything is judged before the first step, and then again each time what is next.
            groups = drafts.groups(deployment, wanted, answer=answer, one=begun)
            lossy = [judge(deployment, group, allow_data_loss=allow_data_loss) for group in groups]
            if lossy[0]:
                groups = drafts.groups(deployment, wanted, answer=answer, lossy=lossy[0], one=True)
            keep = backups.of_group(deployment, groups[0], lossy[0], "migrate")
            apply(deployment, groups[0], "migrate", report, keep, allowances(allow_data_loss, backups), warn)
            answer, begun = None, True


def draft(
    target: Target,
    chosen: Iterable[str] = (),
    *,
    answer: drafts.Answer = lambda before, after: questions.Answers(),
    ask: drafts.Ask | None = None,
    allow_data_loss: bool = False,
    backups: Backups | None = None,
    report: Report = lambda words, number, of: None,
    warn: Warn = lambda text: None,
) -> list[SchemaStatus]:
    """Bring the tables to the code without a migration, to try things out; :func:`migrate` replaces what this makes.

    Parameters
    ----------
    answer : callable, optional
        Given the tables before and after, the answers that are known beforehand.
    ask : callable, optional
        Given a question and the tables before, its answer; None where there is none.

    Other parameters and the errors are those of :func:`migrate`.
    """
    drafts.refuse_prod(target.environment, target.program)
    code, backups = target.code_tables(), backups or Backups()
    with alone(target):
        resume(target, report)
        deployment = Deployment.read(target)
        operations = drafts.changes(deployment, code, chosen, answer, ask)
        if operations:
            group = drafts.group(deployment, operations)
            if lossy := judge(deployment, group, allow_data_loss=allow_data_loss):
                group = drafts.group(deployment, operations, lossy)
            keep = backups.of_group(deployment, group, lossy, journal.DRAFT)
            apply(deployment, group, journal.DRAFT, report, keep, allowances(allow_data_loss, backups), warn)
        return status.read(target)


def judge(deployment: Deployment, group: Group, *, allow_data_loss: bool) -> frozenset[tuple[TableName, str]]:
    """Judge a group by its rows; give the attributes whose values may change, by their tables' names after.

    Raises
    ------
    PipelineError
        If the server would refuse a step, or values would be lost and may not.
    """
    plan.count(deployment.connection, group)
    title, lossy = group.migrations[0].title, set()
    drafted = all(migration.slug == journal.DRAFT for migration in group.migrations)
    fill = "say --fill" if drafted else "say in the migration what they are to get (fill=..., using=...)"
    using = "Say in the migration how the new values come about (using=...)"
    recode = "Correct them, or give the values in Python (RunPython) to another attribute"
    agree = "Correct these rows so that they agree, or say in missing={...} what all of them get"
    adopted = group.migrations[0].slug == migration_files.TYPES and group.migrations[0].path is None
    if adopted:
        fill, using = "give the attribute another type", "Give the attribute a type that holds them"
    for violation in group.violations:
        if violation.blocks:
            raise PipelineError(
                f"{title} cannot be applied: {violation.table} has {violation.count} {violation.words}.",
                "The server would refuse the change; nothing was changed.",
                f"Correct these rows, or {fill}.",
            )
        if violation.loses and not (allow_data_loss and violation.kind in ALLOWED):
            raise PipelineError(
                f"{violation.table} has {violation.count} {violation.words}.",
                f"{title} would lose them; nothing was changed.",
                {"codec": recode, "merge": agree}.get(violation.kind, using)
                + (", or say --allow-data-loss." if violation.kind in ALLOWED and not adopted else "."),
                exit_code=ExitCode.DATA_LOSS,
            )
        if violation.loses:
            lossy |= {(violation.table, attribute) for attribute in violation.attributes}
    return frozenset(lossy)


def refuse_unfinished(deployment: Deployment, schemas: Iterable[str]) -> None:
    """Refuse a schema in the middle of a change, whose tables are known only when that has ended."""
    for name in schemas:
        record = deployment.records.get(name)
        if record is not None and record.status != journal.DONE:
            raise PipelineError(
                f"{deployment.databases[name]} is in the middle of a change that {record.kind} began.",
                "What its tables are is only known when that has ended.",
                f"Run {deployment.target.command} migrate first.",
                exit_code=ExitCode.INTERRUPTED,
            )


def refuse_drift(deployment: Deployment, wanted: list[Migration]) -> None:
    """Refuse to change a schema that has drifted from what was recorded."""
    for name in dict.fromkeys(migration.schema for migration in wanted):
        record, shape = deployment.records.get(name), deployment.shapes.get(name)
        if record is None or shape is None or record.fingerprint in (None, shape.fingerprint):
            continue
        if record.kind == journal.DRAFT:
            continue  # which is replaced by what the files say, whatever it has become
        history = deployment.histories[name]
        expected = history.latest if history.latest and history.latest.version == record.version else None
        texts = drift.explain(expected.shape, shape) if expected is not None else ()
        raise PipelineError(
            f"{deployment.databases[name]} is not as {name} {record.version} was recorded.",
            texts[0] if texts else "Somebody changed its tables by other means.",
            f"Put it right, or record it as it is with adopt --again {name}.",
            exit_code=ExitCode.DRIFT,
        )


# --- One group -----------------------------------------------------------------------------------------------------


@contextmanager
def alone(target: Target) -> Iterator[None]:
    """Hold the pipeline's lock, on the session that runs the statements."""
    connection = target.connection
    with journal.lock(connection, target.lock), one_session(connection):
        stepping.upgrade_journals(connection, target.databases.values())
        yield


def allowances(allow_data_loss: bool, backups: Backups) -> str:
    """Give the options that let values be lost, as the journal keeps them."""
    return " ".join(["--allow-data-loss"] * allow_data_loss + ["--no-backup"] * (not backups.wanted))


def apply(
    deployment: Deployment,
    group: Group,
    kind: str,
    report: Report,
    keep: Callable[[], None] = lambda: None,
    options: str = "",
    warn: Warn = lambda text: None,
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
    keep : callable, optional
        Writes values to a file; called before the first change, on PostgreSQL in its transaction.
    options : str
        What :func:`allowances` gives.
    warn : callable, optional
        Called before the first step with what may go wrong.

    Raises
    ------
    PipelineError
        If a step fails, or the result is not what was planned.
    """
    connection = deployment.connection
    if connection.adapter.backend == "postgresql":
        online = any(entry.kind == "online" for entry in group.entries)

        def attempt() -> dict[str, Any]:
            with stepping.transaction(connection):
                keep()
                head = _record_plan(deployment, group, kind, options)
                _run(deployment.target, head, report, online=False)
                if not online:
                    _conclude(connection, head)
            return head

        head = stepping.patiently(connection, deployment.databases, attempt)
        if online:
            _continue(deployment.target, head, report)
    else:
        if denied := may_lock.denied(connection, (deployment.databases[schema] for schema in group.locked)):
            warn(may_lock.warning(denied))
            options = f"{options} {UNLOCKED}".strip()
        keep()
        for name in group.schemas:
            make_records(deployment, name)
        with stepping.transaction(connection):
            head = _record_plan(deployment, group, kind, options)
        _continue(deployment.target, head, report)


def make_records(deployment: Deployment, name: str) -> None:
    """Make what is missing of the database of a schema, its journal, and DataJoint's table of lineage."""
    connection, database = deployment.connection, deployment.databases[name]
    if database not in deployment.surveys:
        connection.query(f"CREATE SCHEMA {quoted(connection, database)}", args=None, reconnect=False)
    journal.create(connection, database)
    steplog.create(connection, database)
    lineage.create(connection, database)


def _record_plan(deployment: Deployment, group: Group, kind: str, options: str) -> dict[str, Any]:
    """Record the plan of a group; give its head, which holds everything that running it needs."""
    connection = deployment.connection
    if connection.adapter.backend == "postgresql":
        for name in group.schemas:
            make_records(deployment, name)
    commit, software = deployment.target.commit(), deployment.target.software()
    members: list[dict[str, Any]] = []
    versions: dict[str, str | None] = {name: record.version for name, record in deployment.records.items()}
    for migration in group.migrations:
        database, previous = deployment.databases[migration.schema], versions.get(migration.schema)
        number = journal.begin(
            connection,
            database,
            kind="init" if migration.makes is not None else kind,
            version=max(migration.version, (previous or "0") if kind == "migrate" else "0", key=Version),
            previous_version=previous,
            code_commit=commit,
            software=software,
            options=options,
        )
        versions[migration.schema] = migration.version
        identity = {key: getattr(migration, key) for key in ("schema", "slug", "digest", "frame")}
        members.append({**identity, "run": number})
    leader: dict[str, Any] = {"schema": members[0]["schema"], "run": members[0]["run"]}
    changed = {n.schema for n in {*group.before, *group.after} if group.before.get(n) is not group.after.get(n)}
    # What is soft-deleted may have moved to another schema.
    changed |= {n.schema for step in group.steps for n in step.tables} & deployment.records.keys()
    shapes: dict[str, list[Table]] = {name: [] for name in (*group.schemas, *sorted(changed - {*group.schemas}))}
    for table in group.after.values():
        if table.name.schema in shapes:
            shapes[table.name.schema].append(table)
    schemas = dict.fromkeys((*deployment.shapes, *shapes))
    head = {
        "leader": leader,
        "members": members,
        "databases": {name: deployment.databases[name] for name in schemas if name in deployment.databases},
        "after": [encode(Schema(name, tuple(tables))) for name, tables in shapes.items()],
        **({"renamed": drafts.renamed(group)} if kind == journal.DRAFT else {}),
    }
    for member in members:
        database = deployment.databases[member["schema"]]
        member_head = (
            {**head, **member}
            if member["run"] == leader["run"] and member["schema"] == leader["schema"]
            else {"leader": leader, **member}
        )
        entry = steplog.Entry(0, "head", steplog.DONE, member["slug"], json.dumps(member_head))
        steplog.write(connection, database, member["run"], [entry])
    entries = [replace(entry, number=number) for number, entry in enumerate(group.entries, 1)]
    steplog.write(connection, deployment.databases[leader["schema"]], leader["run"], entries)
    return head


def _continue(target: Target, head: Mapping[str, Any], report: Report) -> None:
    """Run every step that is not done, and conclude."""
    connection = target.connection
    _run(target, head, report)
    mysql = connection.adapter.backend == "mysql"
    with nullcontext() if mysql else stepping.transaction(connection):
        _conclude(connection, head)


def _run(target: Target, head: Mapping[str, Any], report: Report, *, online: bool = True) -> None:
    """Run the steps that are not done; with ``online`` those, too, that PostgreSQL runs after the transaction."""
    connection, databases, leader = target.connection, head["databases"], head["leader"]
    database = databases[leader["schema"]]
    entries = steplog.read(connection, database, leader["run"])
    prepared, last, single = False, 0, connection.adapter.backend == "mysql"
    hold = Hold(connection, database, entries)
    try:
        for entry in entries:
            if entry.number > last and entry.state != steplog.DONE and (online or entry.kind != "online"):
                if not prepared:
                    stepping.prepare(connection)
                prepared = entry.kind != "online"  # which has more patience
                report(entry.words, entry.number, len(entries))
                step = partial(stepping.run, target, databases, database, leader["run"], entry, len(entries), hold)
                try:
                    # A transaction is tried again as a whole.
                    last = (
                        stepping.patiently(connection, databases, step) if single or entry.kind == "online" else step()
                    )
                except stepping.Refused:
                    if entry.number == 1 and single:
                        for member in head["members"]:  # nothing has been changed, so there is nothing to go on with
                            journal.withdraw(connection, databases[member["schema"]], member["run"])
                    raise
    finally:
        hold.release()


def _conclude(connection: dj.Connection, head: Mapping[str, Any]) -> None:
    """Verify the result, bring DataJoint's table of lineage to it, and record that the run is done.

    Raises
    ------
    PipelineError
        If the tables are not what was planned.
    """
    databases = head["databases"]
    shapes = catalog.read(connection, databases)
    wanted = {data["name"]: decode(data) for data in head["after"]}
    _refuse_other_result({name: shape for name, shape in shapes.items() if name in wanted}, wanted)
    tables = {table.name: table for shape in shapes.values() for table in shape}
    lineage.repair(connection, databases, tables)
    with stepping.within(connection):
        for member in head["members"]:
            place = databases[member["schema"]]
            journal.stamp(connection, place, member["run"], shapes[member["schema"]].fingerprint)
            journal.finish(connection, place, member["run"])
        for name in shapes.keys() & wanted.keys() - {member["schema"] for member in head["members"]}:
            # Another schema's tables may have other columns now, though its version is the same.
            journal.restamp(connection, databases[name], shapes[name].fingerprint)


def _refuse_other_result(shapes: Mapping[str, Schema], wanted: Mapping[str, Schema]) -> None:
    """Refuse tables that are not what was planned, with the first operation that is left to do."""
    have = {table.name: table for shape in shapes.values() for table in drift.visible(shape)}
    want = {table.name: table for shape in wanted.values() for table in drift.visible(shape)}
    drops = frozenset((name, None) for name in have)
    left = changes.difference(have, want, questions.Answers(drops=drops)).operations
    if left:
        raise PipelineError(
            "The database is not what the migration was to make of it.",
            f"{type(left[0]).__name__} in {left[0].table} would still be left to do.",
            "Nothing is lost. Report it with the output of log and diff, and do not go on by hand.",
            exit_code=ExitCode.INTERRUPTED,
        )


def resume(target: Target, report: Report) -> bool:
    """Go on with runs that were interrupted; tell whether there was one."""
    connection = target.connection
    databases = {name: target.database(name) for name in migration_files.schemas(target.files)}
    surveys = journal.survey(connection, databases.values())
    with_journal = {n: d for n, d in databases.items() if d in surveys and surveys[d].journal}
    interrupted = {n: r for n, r in journal.latest(connection, with_journal).items() if r.status != journal.DONE}
    if not interrupted:
        return False
    heads = steplog.heads(connection, with_journal)
    for name, record in interrupted.items():
        head = heads.get((name, record.id))
        if head is None:
            continue  # init began it, and goes on with it
        leader = heads[head["leader"]["schema"], head["leader"]["run"]]
        _continue(target, stepping.corrected(target, leader), report)
        return resume(target, report)
    return False
