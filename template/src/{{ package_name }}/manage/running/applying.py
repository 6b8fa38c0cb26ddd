"""Applies migrations: plan, write down, run, see that it came true; and goes on where a run was broken off.

PostgreSQL runs a group of migrations as one transaction, and after it the steps that have to be outside of any. On
MySQL each step is one atomic statement; after a crash the database itself says whether it ran: a table is either as it
was noted before the step, or as the step leaves it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from .. import environment as environments
from .. import graph, project, status
from ..differences import asking, changes
from ..environment import Environment
from ..errors import ExitCode, PipelineError
from ..files import revisions
from ..files.revisions import Revision
from ..planning import drift, due, scheme
from ..planning.due import Pipeline
from ..planning.scheme import Group
from ..reading import catalog
from ..record import journal, steplog
from ..sql import lineage
from ..status import SchemaStatus, State
from ..tables.model import Schema, Table, TableName, decode, encode
from ..writing import revising
from . import drafting, runner, stepping
from .backup import ALLOWED, Backups

if TYPE_CHECKING:
    import datajoint as dj

Report = Callable[[str, int, int], None]


def migrate(
    environment: Environment,
    chosen: Iterable[str] = (),
    *,
    to: str | None = None,
    said: drafting.Said | None = None,
    allow_data_loss: bool = False,
    backups: Backups | None = None,
    report: Report = lambda words, number, of: None,
) -> list[SchemaStatus]:
    """Bring the database to the code, or one schema to a version; finish first what was interrupted.

    Parameters
    ----------
    environment : Environment
        Where.
    chosen : iterable of str
        Schemas; all where there is none.
    to : str, optional
        The version to stop at, for one schema.
    said : callable, optional
        What became of what only a draft had; see :func:`drafting.groups`.
    allow_data_loss : bool
        Whether values may be cut or rounded where a new type cannot hold them.
    backups : Backups, optional
        What is to become of values before they are lost; they are written to a file where nothing is said.
    report : callable
        Called with what a step does, its number and how many there are.

    Returns
    -------
    list of SchemaStatus
        Where every schema stands afterwards.

    Raises
    ------
    PipelineError
        If something stands against it; then nothing was changed, or what was is a step that is complete.
    """
    environments.require_said(environment, "migrate")
    chosen, files = list(chosen), backups or Backups()
    connection = environments.connect(environment)
    with alone(connection, environment):
        resume(connection, environment, report)
        begun = False
        while True:
            pipeline = due.read(connection, environment)
            wanted = due.due(pipeline, chosen, to)
            if not wanted:
                return status.read(connection, environment)
            refuse_drift(pipeline, wanted)
            # Everything is judged before the first step, and then again each time what is next.
            found = drafting.groups(pipeline, wanted, said=said, one=begun)
            lossy = [judge(pipeline, group, allow_data_loss=allow_data_loss) for group in found]
            if lossy[0]:
                found = drafting.groups(pipeline, wanted, said=said, lossy=lossy[0], one=True)
            keep = files.of_group(pipeline, found[0], lossy[0], "migrate")
            apply(pipeline, found[0], "migrate", report, keep, allowances(allow_data_loss, files))
            said, begun = None, True


def draft(
    environment: Environment,
    chosen: Iterable[str] = (),
    *,
    said: drafting.Said = lambda before, after: asking.Answers(),
    ask: drafting.Ask | None = None,
    allow_data_loss: bool = False,
    backups: Backups | None = None,
    report: Report = lambda words, number, of: None,
) -> list[SchemaStatus]:
    """Bring the tables to the code without a migration, for trying things out; ``said`` and ``ask`` answer what only a
    person knows. Other parameters and the errors are those of :func:`migrate`, which replaces what this makes."""
    drafting.refuse_prod(environment)
    connection = environments.connect(environment)
    code, files = revising.code_tables(project.current()), backups or Backups()
    with alone(connection, environment):
        resume(connection, environment, report)
        pipeline = due.read(connection, environment)
        operations = drafting.changes(pipeline, code, chosen, said, ask)
        if operations:
            group = drafting.group(pipeline, operations)
            if lossy := judge(pipeline, group, allow_data_loss=allow_data_loss):
                group = drafting.group(pipeline, operations, lossy)
            keep = files.of_group(pipeline, group, lossy, journal.DRAFT)
            apply(pipeline, group, journal.DRAFT, report, keep, allowances(allow_data_loss, files))
        return status.read(connection, environment)


def judge(pipeline: Pipeline, group: Group, *, allow_data_loss: bool) -> frozenset[tuple[TableName, str]]:
    """The attributes of a group whose values may change; raises where the data stand against it."""
    scheme.count(pipeline.connection, group)
    title, lossy = group.revisions[0].title, set()
    drafted = all(revision.slug == journal.DRAFT for revision in group.revisions)
    say = "say --fill" if drafted else "say in the migration what they are to get (fill=..., using=...)"
    using = "Say in the migration how the new values come about (using=...)"
    recode = "Correct them, or give the values in Python (RunPython) to another attribute"
    adopted = group.revisions[0].slug == revisions.TYPES and group.revisions[0].path is None
    if adopted:
        say, using = "give the attribute another type", "Give the attribute a type that holds them"
    for finding in group.findings:
        if finding.blocks:
            raise PipelineError(
                f"{title} cannot be applied: {finding.table} has {finding.count} {finding.words}.",
                "The server would refuse the change; nothing was changed.",
                f"Correct these rows, or {say}.",
            )
        if finding.loses and not (allow_data_loss and finding.kind in ALLOWED):
            raise PipelineError(
                f"{finding.table} has {finding.count} {finding.words}.",
                f"{title} would lose them; nothing was changed.",
                (recode if finding.kind == "codec" else using)
                + (", or say --allow-data-loss." if finding.kind in ALLOWED and not adopted else "."),
                exit_code=ExitCode.DATA_LOSS,
            )
        if finding.loses:
            lossy |= {(finding.table, attribute) for attribute in finding.attributes}
    return frozenset(lossy)


def refuse_drift(pipeline: Pipeline, wanted: list[Revision]) -> None:
    """Refuse to build on a schema that is not what was recorded."""
    for name in dict.fromkeys(revision.schema for revision in wanted):
        record, shape = pipeline.records.get(name), pipeline.shapes.get(name)
        if record is None or shape is None or record.fingerprint in (None, shape.fingerprint):
            continue
        if record.kind == journal.DRAFT:
            continue  # which is replaced by what the files say, whatever it has become
        history = pipeline.histories[name]
        expected = history.latest if history.latest and history.latest.version == record.version else None
        texts = drift.told(expected.shape, shape) if expected is not None else ()
        raise PipelineError(
            f"{pipeline.databases[name]} is not as {name} {record.version} was recorded.",
            texts[0] if texts else "Somebody changed its tables by other means.",
            f"Put it right, or record it as it is with adopt --again {name}.",
            exit_code=ExitCode.DRIFT,
        )


# --- One group -----------------------------------------------------------------------------------------------------


@contextmanager
def alone(connection: dj.Connection, environment: Environment) -> Iterator[None]:
    """Hold the pipeline's lock, on the session that runs the statements."""
    own = project.current()
    with journal.lock(connection, environment.prefix + own.package):
        before = connection._config["database.reconnect"]
        connection._config["database.reconnect"] = False  # a new session would not hold the lock
        try:
            stepping.upgrade_journals(connection, [environment.database(name) for name in own.versions])
            yield
        finally:
            connection._config["database.reconnect"] = before


def allowances(allow_data_loss: bool, backups: Backups) -> str:
    """What was said that lets values be lost, as the journal keeps it."""
    return " ".join(["--allow-data-loss"] * allow_data_loss + ["--no-backup"] * (not backups.wanted))


def apply(
    pipeline: Pipeline,
    group: Group,
    kind: str,
    report: Report,
    keep: Callable[[], None] = lambda: None,
    options: str = "",
) -> None:
    """Write a group down and run it; ``keep`` is called before the first change, on PostgreSQL in its transaction."""
    connection = pipeline.connection
    if connection.adapter.backend == "postgresql":
        late = any(entry.kind == "online" for entry in group.entries)

        def attempt() -> dict[str, Any]:
            with stepping.transaction(connection):
                keep()
                head = _write_down(pipeline, group, kind, options)
                _run(connection, head, report, late=False)
                if not late:
                    _conclude(connection, head)
            return head

        head = stepping.patiently(connection, pipeline.databases, attempt)
        if late:
            _go_on(connection, head, report)
    else:
        keep()
        for name in group.schemas:
            make_records(pipeline, name)
        with stepping.transaction(connection):
            head = _write_down(pipeline, group, kind, options)
        _go_on(connection, head, report)


def make_records(pipeline: Pipeline, name: str) -> None:
    """The database of a schema, its journal, and DataJoint's own table."""
    connection, database = pipeline.connection, pipeline.databases[name]
    if database not in pipeline.found:
        connection.query(connection.adapter.create_schema_sql(database), args=None, reconnect=False)
    journal.create(connection, database)
    steplog.create(connection, database)
    lineage.create(connection, database)


def _write_down(pipeline: Pipeline, group: Group, kind: str, options: str) -> dict[str, Any]:
    """Record the plan; returns its head, which tells everything that running it needs."""
    connection, own = pipeline.connection, project.current()
    if connection.adapter.backend == "postgresql":
        for name in group.schemas:
            make_records(pipeline, name)
    commit, versions = project.code_commit(own.root), runner.software(connection)
    members: list[dict[str, Any]] = []
    now: dict[str, str | None] = {name: record.version for name, record in pipeline.records.items()}
    for revision in group.revisions:
        database, had = pipeline.databases[revision.schema], now.get(revision.schema) or "0"
        number = journal.begin(
            connection,
            database,
            kind="init" if revision.makes is not None else kind,
            version=max(revision.version, had if kind == "migrate" else "0", key=Version),
            previous_version=now.get(revision.schema),
            code_commit=commit,
            software=versions,
            options=options,
        )
        now[revision.schema] = revision.version
        known = {key: getattr(revision, key) for key in ("schema", "slug", "digest", "frame")}
        members.append({**known, "run": number})
    leader: dict[str, Any] = {"schema": members[0]["schema"], "run": members[0]["run"]}
    changed = {n.schema for n in {*group.before, *group.after} if group.before.get(n) is not group.after.get(n)}
    # What was put aside may stand elsewhere now.
    changed |= {n.schema for step in group.steps for n in step.tables} & pipeline.records.keys()
    shapes: dict[str, list[Table]] = {name: [] for name in (*group.schemas, *sorted(changed - {*group.schemas}))}
    for table in group.after.values():
        if table.name.schema in shapes:
            shapes[table.name.schema].append(table)
    known = dict.fromkeys((*pipeline.shapes, *shapes))
    head = {
        "leader": leader,
        "members": members,
        "databases": {name: pipeline.databases[name] for name in known if name in pipeline.databases},
        "after": [encode(Schema(name, tuple(tables))) for name, tables in shapes.items()],
        **({"renamed": drafting.renamed(group)} if kind == journal.DRAFT else {}),
    }
    for member in members:
        database = pipeline.databases[member["schema"]]
        own_head = (
            {**head, **member}
            if member["run"] == leader["run"] and member["schema"] == leader["schema"]
            else {"leader": leader, **member}
        )
        entry = steplog.Entry(0, "head", steplog.DONE, member["slug"], json.dumps(own_head))
        steplog.write(connection, database, member["run"], [entry])
    entries = [replace(entry, number=number) for number, entry in enumerate(group.entries, 1)]
    steplog.write(connection, pipeline.databases[leader["schema"]], leader["run"], entries)
    return head


def _go_on(connection: dj.Connection, head: Mapping[str, Any], report: Report) -> None:
    """Run everything that is not done, and conclude."""
    _run(connection, head, report)
    mysql = connection.adapter.backend == "mysql"
    with nullcontext() if mysql else stepping.transaction(connection):
        _conclude(connection, head)


def _run(connection: dj.Connection, head: Mapping[str, Any], report: Report, *, late: bool = True) -> None:
    """Run the steps that are not done; without those that are for after the transaction, where there is one."""
    databases, leader = head["databases"], head["leader"]
    database = databases[leader["schema"]]
    entries = steplog.read(connection, database, leader["run"])
    prepared, last, apart = False, 0, connection.adapter.backend == "mysql"
    for entry in entries:
        if entry.number > last and entry.state != steplog.DONE and (late or entry.kind != "online"):
            if not prepared:
                stepping.prepare(connection)
            prepared = entry.kind != "online"  # which has more patience
            report(entry.words, entry.number, len(entries))
            step = partial(stepping.run, connection, databases, database, leader["run"], entry, len(entries))
            try:
                # A transaction is tried again as a whole.
                last = stepping.patiently(connection, databases, step) if apart or entry.kind == "online" else step()
            except stepping.Refused:
                if entry.number == 1 and apart:
                    for member in head["members"]:  # nothing has been changed, so nothing has to be gone on with
                        journal.withdraw(connection, databases[member["schema"]], member["run"])
                raise


def _conclude(connection: dj.Connection, head: Mapping[str, Any]) -> None:
    """Put right what DataJoint keeps beside the tables, see that it came true, and record that."""
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
    have = {table.name: table for shape in shapes.values() for table in drift.visible(shape)}
    want = {table.name: table for shape in wanted.values() for table in drift.visible(shape)}
    drops = frozenset((name, None) for name in have)
    left = changes.difference(have, want, asking.Answers(drops=drops)).operations
    if left:
        raise PipelineError(
            "The database is not what the migration was to make of it.",
            f"{type(left[0]).__name__} in {left[0].table} would still be left to do.",
            "Nothing is lost. Report it with the output of log and diff, and do not go on by hand.",
            exit_code=ExitCode.INTERRUPTED,
        )


def resume(connection: dj.Connection, environment: Environment, report: Report) -> bool:
    """Go on with a run that was broken off; whether there was one."""
    own = project.current()
    databases = {name: environment.database(name) for name in revisions.schemas(own)}
    found = journal.survey(connection, databases.values())
    known = {n: d for n, d in databases.items() if d in found and found[d].journal}
    broken = {n: r for n, r in journal.latest(connection, known).items() if r.status != journal.DONE}
    if not broken:
        return False
    heads = steplog.heads(connection, known)
    for name, record in broken.items():
        head = heads.get((name, record.id))
        if head is None:
            continue  # begun by init, which goes on with it
        leader = heads[head["leader"]["schema"], head["leader"]["run"]]
        _go_on(connection, stepping.corrected(connection, leader), report)
        return resume(connection, environment, report)
    return False


def make_job_tables(environment: Environment) -> None:
    """Let DataJoint make the job tables that are missing, where two workers would race for it and one may lack the
    right. That none can be made is no reason to fail: it tries again when it needs one."""
    own = project.current()
    connection = environments.connect(environment)
    stands = status.read(connection, environment)
    if any(stand.state is not State.CURRENT for stand in stands):
        return
    missing = lineage.without_jobs(connection, {stand.name: stand.database for stand in stands})
    modules = graph.read(own.directory).modules_in_order(own.versions) if missing else {}
    for name in [name for name in modules if name in missing]:
        with suppress(Exception):
            module = import_module(f"{own.package}.{modules[name]}")
            runner.make_job_tables(connection, environment.database(name), module)
