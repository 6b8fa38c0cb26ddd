"""Back to an earlier version, and the end of what was put aside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.version import Version

from .. import environment as environments
from .. import status
from ..differences import operations as ops
from ..environment import Environment
from ..errors import ExitCode, PipelineError
from ..files import chain
from ..files.revisions import Revision
from ..planning import due, scheme
from ..planning.due import Pipeline
from ..planning.scheme import Group
from ..reading import catalog, constraints
from ..record import journal
from ..sql.plan import ATTRIBUTE_ASIDE, TABLE_ASIDE
from ..status import SchemaStatus
from ..tables.model import TableName
from . import adopting, applying
from .backup import Backups, Loss

if TYPE_CHECKING:
    import datajoint as dj


def rollback(
    environment: Environment, schema: str, to: str, report: applying.Report = lambda words, number, of: None
) -> list[SchemaStatus]:
    """Take a schema back to an earlier version: what was dropped comes back, what was added is put aside.

    Raises
    ------
    PipelineError
        If another schema requires what would go, or a step has no way back.
    """
    environments.require_said(environment, "rollback")
    connection = environments.connect(environment)
    with applying.alone(connection, environment):
        applying.resume(connection, environment, report)
        pipeline = due.read(connection, environment)
        adopting.refuse_draft(pipeline, schema)
        undone = _undone(pipeline, schema, to)
        if not undone:
            return status.read(connection, environment)
        applying.refuse_drift(pipeline, undone)
        back: list[ops.Operation] = []
        for revision, before, _ in chain.replay(pipeline.histories, list(pipeline.histories)):
            if revision in undone:
                back = [*ops.inverse(revision.operations(before), before), *back]
        marker = Revision(schema, to, undone[-1].version, f"back_to_{to}")
        group = Group([marker], pipeline.tables)
        names = constraints.names(pipeline.catalogue)
        scheme.lower(pipeline, group, back, names, frozenset(), revive=True)
        applying.judge(pipeline, group, allow_data_loss=False)
        applying.apply(pipeline, group, "rollback", report)
        return status.read(connection, environment)


def _undone(pipeline: Pipeline, schema: str, to: str) -> list[Revision]:
    """The migrations to take back."""
    history, record = pipeline.histories.get(schema), pipeline.records.get(schema)
    if history is None or record is None:
        raise PipelineError(f"There is nothing of {schema} to take back.", "It has no record.", "Run status.")
    known = [history.oldest.version if history.oldest else "", *(r.version for r in history.revisions)]
    if to not in known:
        raise PipelineError(f"{schema} has no version {to}.", f"It has {', '.join(known)}.", "Correct --to.")
    undone = [r for r in history.revisions if Version(to) < Version(r.version) <= Version(record.version)]
    gone = {r.version for r in undone}
    for other in pipeline.histories.values():
        at = pipeline.records.get(other.schema)
        for revision in other.revisions:
            applied = at is not None and Version(revision.version) <= Version(at.version)
            if applied and other.schema != schema and revision.requires.get(schema) in gone:
                raise PipelineError(
                    f"{schema} cannot go back to {to} alone.",
                    f"{revision.title} requires {schema} {revision.requires[schema]}.",
                    f"First say rollback {other.schema} --to {revision.follows}.",
                )
    return undone


@dataclass(frozen=True)
class Purged:
    """Something that was put aside, and how many values it held."""

    schema: str
    table: str
    attribute: str
    values: int


def purge(
    environment: Environment,
    chosen: Iterable[str] = (),
    *,
    allow_data_loss: bool = False,
    backups: Backups | None = None,
) -> list[Purged]:
    """Delete what migrations put aside, after its values were written to a file; returns what that was.

    Raises
    ------
    PipelineError
        If it holds values and nobody said that they may go.
    """
    environments.require_said(environment, "purge")
    connection = environments.connect(environment)
    with applying.alone(connection, environment):
        pipeline = due.read(connection, environment)
        names = constraints.names(pipeline.catalogue)
        schemas = {database: name for name, database in pipeline.databases.items()}
        found = [
            _aside(connection, schemas[database], database, table, column)
            for (database, table), own in sorted(names.tables.items())
            if database in schemas and (not chosen or schemas[database] in chosen)
            for column in ([""] if table.startswith(TABLE_ASIDE) else own.columns)
            if column.startswith(ATTRIBUTE_ASIDE) or not column
        ]
        full = [item for item in found if item.values]
        if full and not allow_data_loss:
            first = full[0]
            raise PipelineError(
                f"{len(full)} columns or tables that were put aside still hold values.",
                f"{first.schema}.{first.table} {first.attribute} holds {first.values}; nothing was deleted.",
                "If they may go for good, say purge --allow-data-loss.",
                exit_code=ExitCode.DATA_LOSS,
            )
        if full:
            (backups or Backups()).of_purge(pipeline, list(_losses(pipeline, full)))
        lowering = pipeline.lowering(names, pipeline.tables, pipeline.tables)
        for item in found:
            name = TableName(item.schema, item.table)
            if item.attribute:
                sql = [f"ALTER TABLE {lowering.full(name)} DROP COLUMN {lowering.quote(item.attribute)}"]
            else:
                sql = [step.sql for step in lowering.drop_table(name)]
            for statement in sql:
                connection.query(statement, args=None, reconnect=False)
        for schema, shape in due.read(connection, environment).shapes.items():
            if schema in {item.schema for item in found} and schema in pipeline.records:
                journal.restamp(connection, pipeline.databases[schema], shape.fingerprint)
        return found


def _losses(pipeline: Pipeline, items: list[Purged]) -> Iterator[Loss]:
    columns: dict[TableName, list[str]] = {}
    for item in items:
        columns.setdefault(TableName(item.schema, item.table), []).append(item.attribute)
    for name, attributes in columns.items():
        if whole := "" in attributes:
            attributes = []
        table = catalog.table(pipeline.connection, pipeline.databases, pipeline.catalogue, name)
        yield Loss(table, dict.fromkeys(attributes, ""), whole)


def _aside(connection: dj.Connection, schema: str, database: str, table: str, column: str) -> Purged:
    quote = connection.adapter.quote_identifier
    where = f" WHERE {quote(column)} IS NOT NULL" if column else ""
    sql = f"SELECT COUNT(*) FROM {quote(database)}.{quote(table)}{where}"
    return Purged(schema, table, column, int(connection.query(sql, args=None).fetchone()[0]))
