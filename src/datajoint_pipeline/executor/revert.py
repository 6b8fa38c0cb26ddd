"""Roll back to an earlier version, and purge what is soft-deleted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from .. import journal
from ..ddl.build import SOFT_DELETED_ATTRIBUTE, SOFT_DELETED_TABLE
from ..dialects import catalog, constraints
from ..dialects.base import Dialect
from ..errors import ExitCode, PipelineError
from ..history import asked
from ..internals import job_tables
from ..operations.state import Tables
from ..planner import adoption, counting, drift, due, impact, judging, retained, rollbacks
from ..planner.deployment import Deployment
from ..planner.impact import Impact
from ..planner.losses import Loss
from ..planner.plan import Group, counted
from ..planner.retained import Retained
from ..planner.status import SchemaStatus
from ..planner.target import Target
from ..quoting import quoter
from ..schema.model import TableName
from . import apply, aside, auditing, owners, purged, resume, runs, stepping
from .aside import Kept
from .backup import Backups
from .noting import Note

if TYPE_CHECKING:
    import datajoint as dj


def rollback(
    target: Target,
    schema: str,
    to: str,
    along: bool = False,
    report: runs.Report = lambda words, number, of: None,
    tell: resume.Tell = lambda text: None,
) -> list[SchemaStatus]:
    """Take a schema back to an earlier version: what was dropped comes back, what was added is soft-deleted.

    With ``along`` go the migrations of other schemas that require what goes. What was cut, and a backup has, is
    soft-deleted, too, for `restore` to put the whole values in its place.

    Raises
    ------
    PipelineError
        If another schema requires what would go, or an operation has no inverse.
    """
    with apply.alone(target):
        resume.resume(target, report, tell, _given_back_of)
        deployment = Deployment.read(target)
        auditing.heal(deployment)
        planned = _planned(deployment, schema, to, along=along)
        if planned is None:
            if found := aside.unfinished(deployment):
                for text in _given_back(target, found, deployment.tables):
                    target.warn(text)
                deployment = Deployment.read(target)
            due.refuse(deployment)
            return drift.read(target)
        group, found, advice = planned
        apply.judge(deployment, group, allow_data_loss=False)
        purged.refuse(deployment, group, _command(schema, to, along=along))
        apply.apply(deployment, group, "rollback", report)
        for table, attribute in sorted(group.inputs.unchanged, key=str):
            target.warn(
                f"The bytes of {attribute} in {table} are what they were, as the migration changed none. Newer values "
                "have the bytes that <blob> wrote: datajoint.blob.unpack reads them."
            )
        for text in [*_given_back(target, found, group.after), *advice]:
            target.warn(text)
        return drift.read(target)


def survey(target: Target, schema: str, to: str, along: bool = False) -> list[Impact]:
    """Find what :func:`rollback` would do; of a run that was interrupted, which it ends first, what is left.

    Changes nothing.

    Raises
    ------
    PipelineError
        As :func:`rollback`, but for rows that stand in the way, which are counted.
    """
    if (left := resume.survey(target)) is not None:
        return [left]
    deployment = Deployment.read(target)
    planned = _planned(deployment, schema, to, along=along)
    if planned is None:
        if found := aside.unfinished(deployment):
            target.warn(_to_come(found))
        else:
            due.refuse(deployment)
        return []
    group, found, advice = planned
    impacts = impact.survey_back(deployment, group)
    if not any(judging.refusals(group, allow_data_loss=False)):
        purged.refuse(deployment, group, _command(schema, to, along=along))
    if found:
        advice = [_to_come(found), *advice]
    for text in advice:
        target.warn(text)
    return impacts


def _given_back_of(run: runs.Run, began: resume.Interrupted) -> None:
    """Give back what a rollback had set aside that was interrupted, and has ended now."""
    found, unread = aside.again(run.deployment, run.group, began.head["plan"].get("files"))
    for text in [*_given_back(run.target, found, run.group.after), *unread]:
        run.target.warn(text)


def _to_come(found: Kept) -> str:
    return f"Values of before will be given back from {' and '.join(aside.files(found))}."


def _given_back(target: Target, found: Kept, tables: Tables) -> list[str]:
    """Give back what was set aside, and say so; where that fails, say why, and how it can be done."""
    try:
        return aside.give_back(target, found, tables)
    except PipelineError as error:
        return [f"{error.what} {error.why}", aside.advice(found, target.command, tables)]


def _planned(deployment: Deployment, schema: str, to: str, *, along: bool) -> tuple[Group, Kept, list[str]] | None:
    """Plan the way back, and say which values of before a backup has; None where nothing is to be undone."""
    adoption.refuse_draft(deployment, schema)
    undone = rollbacks.undone(deployment, schema, to, along=along)
    if not undone:
        return None
    for name in sorted({migration.schema for migration in undone} - {schema}):
        adoption.refuse_draft(deployment, name)
    drift.refuse(deployment, undone)
    group = rollbacks.group(deployment, schema, to, undone)
    counting.count(deployment, group)
    replaced = rollbacks.replaced(deployment, undone, group.after)
    with aside.searching(deployment, group) as search:
        found = aside.kept(search, replaced)
        advice, left, lost = aside.staying(search, replaced, found)
        aside.refuse_unread(search, found, lost)
    if found:
        group = rollbacks.group(deployment, schema, to, undone, frozenset(found))
    group.violations.clear()
    places = [aside.place(one.table, one.attribute) for one in found.values()]
    group.inputs.files = {"given": aside.files(found), "aside": places, "left": left, "lost": lost}
    return group, found, advice


def _command(schema: str, to: str, *, along: bool) -> str:
    return f"rollback {schema} --to {to}{' --along' * along}"


#: How many names a warning has.
_NAMED = 5


@dataclass(frozen=True)
class Purged:
    """A table, or an attribute of one, that was soft-deleted.

    Parameters
    ----------
    schema : str
        The schema's name in the code.
    table, attribute : str
        Their names on the server; no attribute where it is the whole table.
    values : int
        How many values it held; of a table, how many rows.
    name : str
        What the code called it: ``ephys.Recording.weight``.
    dropped_at : datetime or None
        When it was dropped, UTC, without time zone.
    dropped_by : str
        The migration that dropped it, ``ephys 1.1.0 drop_weight``, or what else did; empty where nobody recorded it.
    left_behind : bool
        Whether it is an empty table of jobs that a run left which was cut off, and was never dropped.
    """

    schema: str
    table: str
    attribute: str
    values: int
    name: str = ""
    dropped_at: datetime | None = None
    dropped_by: str = ""
    left_behind: bool = False

    @property
    def dropped(self) -> str:
        """Say when it was dropped, and by what; or what else it is."""
        if self.left_behind:
            return "left by a run that was cut off"
        if self.dropped_at is None:
            return "dropped by a release before 0.3"
        return f"dropped on {self.dropped_at:%Y-%m-%d} by {self.dropped_by}"

    @property
    def holds(self) -> str:
        """Say how much it held."""
        return counted(self.values, "values" if self.attribute else "rows")


def purge(
    target: Target,
    chosen: Iterable[str] = (),
    *,
    allow_data_loss: bool = False,
    dry_run: bool = False,
    backups: Backups | None = None,
) -> list[Purged]:
    """Delete what is soft-deleted for good, after its values were written to a file; give what that was.

    With ``dry_run`` nothing is deleted.

    Raises
    ------
    PipelineError
        If it holds values, and ``allow_data_loss`` is not given; or something hangs on it that DataJoint does not know.
    """
    connection, chosen = target.connection, frozenset(chosen)
    with apply.alone(target):
        deployment = Deployment.read(target)
        asked.refuse_schemas(sorted(chosen), deployment.databases)
        names = constraints.names(deployment.catalogue)
        schemas = {database: name for name, database in deployment.databases.items()}
        found = [
            _soft_deleted(connection, schemas[database], database, table, column)
            for (database, table), named in sorted(names.tables.items())
            if database in schemas and (not chosen or schemas[database] in chosen)
            for column in ([""] if table.startswith(SOFT_DELETED_TABLE) else named.columns)
            if column.startswith(SOFT_DELETED_ATTRIBUTE) or not column
        ]
        found = [*_recorded(deployment, found), *_left_behind(deployment, chosen)]
        apply.refuse_unfinished(deployment, {item.schema for item in found})
        places = {(deployment.databases[item.schema], item.table) for item in found}
        owners.require(connection, sorted({database for database, _ in places}), places)
        if dry_run:
            return found
        full = [item for item in found if item.values]
        if full and not allow_data_loss:
            raise _full(full)
        dialect = deployment.dialect(names, deployment.tables, deployment.tables)
        _refuse_dependents(connection, dialect, found)
        if full:
            (backups or Backups()).of_purge(deployment, list(_losses(deployment, full)))
        statements = [statement for item in found for statement in _deleting(dialect, item)]
        deleted = {item.schema for item in found}
        if statements:
            stepping.prepare(connection)
            options = apply.allowances(allow_data_loss, backups or Backups())
            _delete(deployment, statements, sorted(deleted), options)
        _end_what_was_killed(deployment, [n for n in deployment.records if n not in deleted and n in (chosen or {n})])
        return found


def _full(items: list[Purged]) -> PipelineError:
    """Refuse to delete values that nobody said may go."""
    one = len(items) == 1
    named = "; ".join(f"{item.name}, {item.dropped}: {item.holds}" for item in items[:_NAMED])
    more = f"; and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return PipelineError(
        f"What was dropped still holds values, in {counted(len(items), 'columns or tables')}. Nothing was deleted."
        if not one
        else f"{items[0].name} was dropped and still holds {items[0].holds}. Nothing was deleted.",
        f"rollback can bring back what purge has not deleted: {named}{more}.",
        "Run purge --dry-run to see all of it. If it may be lost for good, run purge --allow-data-loss.",
        exit_code=ExitCode.DATA_LOSS,
    )


def _recorded(deployment: Deployment, items: list[Purged]) -> list[Purged]:
    """Give those that a recorded run soft-deleted; name the others, which stay."""
    recorded = {name: database for name, database in deployment.databases.items() if name in deployment.records}
    known, ours, others = retained.read(deployment.connection, recorded), list[Purged](), list[str]()
    for item in items:
        place = deployment.databases[item.schema], item.table
        if known.has(place, item.attribute):
            ours.append(_told(deployment, known, item))
        else:
            others.append(f"{TableName(item.schema, item.table)} {item.attribute}".rstrip())
    if others:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        deployment.target.warn(
            f"Left as they are, because no recorded run soft-deleted them: {', '.join(others[:_NAMED])}{more}. "
            "Drop by hand what nobody needs."
        )
    return ours


def _left_behind(deployment: Deployment, chosen: Collection[str]) -> list[Purged]:
    """Give the empty tables of jobs whose tables are not there; one that has jobs stays.

    Up to 0.18.3, a run of MySQL that was killed when it had just made one, and was taken back, left it. While a run is
    interrupted, tables have other names.
    """
    connection = deployment.connection
    unfinished = any(record.status != journal.DONE for record in deployment.records.values())
    databases = {deployment.databases[n]: n for n in deployment.records if not chosen or n in chosen}
    if unfinished or not databases or connection.adapter.backend != "mysql":
        return []
    tables = job_tables.every_table(connection, tuple(databases))
    jobs = {(database, job_tables.PREFIX + table.lstrip("_")) for database, table in tables if table[:1] != "~"}
    found = []
    for database, table in sorted(tables - jobs):
        if table.startswith(job_tables.PREFIX) and job_tables.is_one(connection, database, table):
            item = _soft_deleted(connection, databases[database], database, table, "")
            name = str(TableName(item.schema, table))
            found += [replace(item, name=name, left_behind=True)] if not item.values else []
    return found


def _told(deployment: Deployment, known: Retained, item: Purged) -> Purged:
    """Add what the code called it, and when and by what it was dropped."""
    place = deployment.databases[item.schema], item.table
    item = replace(item, name=known.title(item.schema, place, item.attribute))
    run = known.run(place, item.attribute)
    if run is None:
        return item
    history = deployment.histories.get(run.schema)
    titles = {str(m.version): m.title for m in history.migrations} if history and run.kind == "migrate" else {}
    by = titles.get(run.version) or (
        f"a draft of {item.schema}" if run.kind == journal.DRAFT else f"{run.kind} of {run.schema} to {run.version}"
    )
    return replace(item, dropped_at=run.started_at, dropped_by=by)


def _refuse_dependents(connection: dj.Connection, dialect: Dialect, found: Iterable[Purged]) -> None:
    """Refuse to delete what something hangs on that DataJoint does not know."""
    for item in found:
        for probe in dialect.deleting(TableName(item.schema, item.table), item.attribute):
            count, named = connection.query(probe.sql, args=None, reconnect=False).fetchone()
            if count:
                what = item.name
                raise PipelineError(
                    f"{what} cannot be deleted: {counted(count, probe.words)} ({named}).",
                    "The server would refuse it, or what is named would fail from then on. Nothing was deleted.",
                    "Drop what is named, or have it read something else, then run the command again.",
                )


def _deleting(dialect: Dialect, item: Purged) -> list[str]:
    name = TableName(item.schema, item.table)
    if item.attribute:
        return [f"ALTER TABLE {dialect.full(name)} DROP COLUMN {dialect.quote(item.attribute)}"]
    return [step.sql for step in dialect.drop_table(name)]


def _delete(deployment: Deployment, statements: list[str], schemas: list[str], options: str) -> None:
    """Delete, and record it. PostgreSQL does it as a whole; killed on MySQL, it is gone on with by the next purge."""
    connection, databases, warn = deployment.connection, deployment.databases, deployment.target.warn

    def as_a_whole() -> None:
        with stepping.transaction(connection):
            note = Note.take(deployment, schemas, "purge", options)
            for statement in statements:
                stepping.send(connection, statement, "Nothing was deleted.")
            note.end()

    if connection.adapter.backend == "postgresql":
        stepping.patiently(connection, databases, as_a_whole, warn)
        return
    note = Note.take(deployment, schemas, "purge", options)
    for number, statement in enumerate(statements):
        what = "Not everything was deleted yet." if number else "Nothing was deleted."
        try:
            stepping.patiently(connection, databases, partial(stepping.send, connection, statement, what), warn)
        except stepping.Refused:
            if number == 0:
                note.withdraw()
            raise
    note.end()


def _end_what_was_killed(deployment: Deployment, schemas: Iterable[str]) -> None:
    """Record the shapes of schemas whose purge was killed after the last statement for them."""
    for name in schemas:
        record, shape = deployment.records[name], deployment.shapes.get(name)
        if record.fingerprint is None and shape is not None:
            database = deployment.databases[name]
            journal.stamp(deployment.connection, database, record.id, shape.fingerprint)
            if record.finished_at is None and record.status == journal.DONE:
                journal.finish(deployment.connection, database, record.id)


def _losses(deployment: Deployment, items: list[Purged]) -> Iterator[Loss]:
    """Give what is deleted, table by table."""
    columns: dict[TableName, list[str]] = {}
    for item in items:
        columns.setdefault(TableName(item.schema, item.table), []).append(item.attribute)
    for name, attributes in columns.items():
        if whole := "" in attributes:
            attributes = []
        table = catalog.table(deployment.connection, deployment.databases, deployment.catalogue, name)
        yield Loss(table, dict.fromkeys(attributes, ""), whole)


def _soft_deleted(connection: dj.Connection, schema: str, database: str, table: str, column: str) -> Purged:
    """Count the values of a soft-deleted column, or the rows of a soft-deleted table."""
    quote = quoter(connection)
    where = f" WHERE {quote(column)} IS NOT NULL" if column else ""
    sql = f"SELECT COUNT(*) FROM {quote(database)}.{quote(table)}{where}"
    return Purged(schema, table, column, int(connection.query(sql, args=None).fetchone()[0]))
