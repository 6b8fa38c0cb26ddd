"""Roll back to an earlier version, and purge what is soft-deleted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from .. import journal
from ..ddl.build import SOFT_DELETED_ATTRIBUTE, SOFT_DELETED_TABLE
from ..dialects import catalog, constraints
from ..dialects.base import Dialect
from ..errors import ExitCode, PipelineError
from ..planner import adoption, rollbacks, status
from ..planner.deployment import Deployment
from ..planner.losses import Loss
from ..planner.status import SchemaStatus
from ..planner.target import Target
from ..quoting import quoter
from ..schema.model import TableName
from . import apply, owners, resume, runs, stepping
from .backup import Backups

if TYPE_CHECKING:
    import datajoint as dj


def rollback(
    target: Target, schema: str, to: str, report: runs.Report = lambda words, number, of: None
) -> list[SchemaStatus]:
    """Take a schema back to an earlier version: what was dropped comes back, what was added is soft-deleted.

    Raises
    ------
    PipelineError
        If another schema requires what would go, or an operation has no inverse.
    """
    with apply.alone(target):
        resume.resume(target, report)
        deployment = Deployment.read(target)
        adoption.refuse_draft(deployment, schema)
        undone = rollbacks.undone(deployment, schema, to)
        if not undone:
            return status.read(target)
        apply.refuse_drift(deployment, undone)
        group = rollbacks.group(deployment, schema, to, undone)
        apply.judge(deployment, group, allow_data_loss=False)
        apply.apply(deployment, group, "rollback", report)
        return status.read(target)


@dataclass(frozen=True)
class Purged:
    """A table, or an attribute of one, that was soft-deleted, and how many values it held."""

    schema: str
    table: str
    attribute: str
    values: int


def purge(
    target: Target,
    chosen: Iterable[str] = (),
    *,
    allow_data_loss: bool = False,
    backups: Backups | None = None,
) -> list[Purged]:
    """Delete what is soft-deleted for good, after its values were written to a file; give what that was.

    Raises
    ------
    PipelineError
        If it holds values, and ``allow_data_loss`` is not given.
    """
    connection, chosen = target.connection, frozenset(chosen)
    with apply.alone(target):
        deployment = Deployment.read(target)
        names = constraints.names(deployment.catalogue)
        schemas = {database: name for name, database in deployment.databases.items()}
        found = [
            _soft_deleted(connection, schemas[database], database, table, column)
            for (database, table), named in sorted(names.tables.items())
            if database in schemas and (not chosen or schemas[database] in chosen)
            for column in ([""] if table.startswith(SOFT_DELETED_TABLE) else named.columns)
            if column.startswith(SOFT_DELETED_ATTRIBUTE) or not column
        ]
        apply.refuse_unfinished(deployment, {item.schema for item in found})
        places = {(deployment.databases[item.schema], item.table) for item in found}
        owners.require(connection, sorted({database for database, _ in places}), places)
        full = [item for item in found if item.values]
        if full and not allow_data_loss:
            first = full[0]
            raise PipelineError(
                f"{len(full)} columns or tables that are soft-deleted still hold values.",
                f"{first.schema}.{first.table} {first.attribute} holds {first.values}; nothing was deleted.",
                "If they may go for good, say purge --allow-data-loss.",
                exit_code=ExitCode.DATA_LOSS,
            )
        if full:
            (backups or Backups()).of_purge(deployment, list(_losses(deployment, full)))
        dialect = deployment.dialect(names, deployment.tables, deployment.tables)
        statements = [statement for item in found for statement in _deleting(dialect, item)]
        stepping.prepare(connection)
        _delete(deployment, statements, {item.schema for item in found}, chosen)
        return found


def _deleting(dialect: Dialect, item: Purged) -> list[str]:
    name = TableName(item.schema, item.table)
    if item.attribute:
        return [f"ALTER TABLE {dialect.full(name)} DROP COLUMN {dialect.quote(item.attribute)}"]
    return [step.sql for step in dialect.drop_table(name)]


def _delete(deployment: Deployment, statements: list[str], schemas: set[str], chosen: Collection[str]) -> None:
    """Delete, and record the shapes that are left.

    PostgreSQL does it as a whole. MySQL ends a transaction with each statement: the shapes that were recorded are taken
    back before the first, and a purge that was killed is gone on with by the next.
    """
    connection, databases = deployment.connection, deployment.databases
    as_a_whole = connection.adapter.backend == "postgresql"
    what = "Nothing was deleted." if as_a_whole else "Not everything was deleted yet."

    def restamp() -> None:
        for schema, shape in Deployment.read(deployment.target).shapes.items():
            record = deployment.records.get(schema)
            wanted = not chosen or schema in chosen
            if record is not None and (schema in schemas or (record.fingerprint is None and wanted)):
                journal.restamp(connection, databases[schema], shape.fingerprint)

    def delete() -> None:
        with stepping.transaction(connection):
            for statement in statements:
                stepping.send(connection, statement, what)
            restamp()

    if as_a_whole:
        stepping.patiently(connection, databases, delete)
        return
    for schema in schemas & deployment.records.keys():
        journal.restamp(connection, databases[schema], None)
    for statement in statements:
        stepping.patiently(connection, databases, partial(stepping.send, connection, statement, what))
    restamp()


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
