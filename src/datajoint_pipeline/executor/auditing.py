"""Put right what an interrupted command left of the audit of tables, and refuse what could not keep it right."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from .. import journal, server_errors
from ..ddl import auditing as around
from ..dialects import catalog, constraints
from ..dialects.auditing import BEGIN, END, RENAME, TABLE
from ..dialects.base import Dialect
from ..dialects.constraints import Place
from ..dialects.steps import Step
from ..errors import PipelineError
from ..planner.deployment import Deployment
from ..planner.plan import Group
from ..quoting import quoter
from ..schema.model import Table, TableName
from . import stepping

if TYPE_CHECKING:
    import datajoint as dj


def heal(deployment: Deployment) -> list[TableName]:
    """Put right what an interrupted command left: audited tables get their triggers, and writers are let in again.

    Only where no run is interrupted, which would go on with it. Gives the tables that were put right.
    """
    if any(record.status != journal.DONE for record in deployment.records.values()):
        return []
    found = incomplete(deployment)
    for name in found:
        deployment.target.warn(f"The audit of {name} was not complete, as after an interrupted command; now it is.")
        made = catalog.auditing_of(deployment.connection).made(place_of(deployment, name)[0])
        run(deployment, [*made, *put_on(deployment, dialect_of(deployment), name)])
    return found


def audited(deployment: Deployment) -> list[TableName]:
    """Give the tables that have triggers of the audit, or those that stand in for them."""
    return [name for name in deployment.tables if deployment.catalogue.tables[place_of(deployment, name)].audited]


def incomplete(deployment: Deployment) -> list[TableName]:
    """Give the audited tables that have not just the triggers that they should have."""
    statements, found = catalog.auditing_of(deployment.connection), list[TableName]()
    names = audited(deployment)
    if not names:
        return []
    dialect = dialect_of(deployment)
    for name in names:
        columns = around.columns(dialect, deployment.tables, {}, deployment.tables[name])
        query = statements.incomplete(place_of(deployment, name), columns)
        if deployment.connection.query(query, args=None, reconnect=False).fetchone()[0]:
            found.append(name)
    return found


def hold(deployment: Deployment, places: Iterable[Place]) -> None:
    """Take the triggers off audited tables, and refuse the writes of others, until :func:`heal`."""
    statements, lock = catalog.auditing_of(deployment.connection), journal.called(deployment.target.lock)
    schemas = {database: schema for schema, database in deployment.databases.items()}
    for place in places:
        name = TableName(schemas.get(place[0], place[0]), place[1])
        steps = statements.off(place, name, lock)
        run(deployment, [*steps, *_others_off(deployment, place, name, steps)])


def require(deployment: Deployment, group: Group) -> None:
    """Refuse a group that needs triggers which this account may not make, before its first step.

    Raises
    ------
    PipelineError
        If it may not; the reason says which right or setting is missing.
    """
    with_audit = {database for database, table in deployment.catalogue.tables if table == TABLE}
    databases = {database for step in group.steps for database, _ in step.places} & with_audit
    refuse_without_right(deployment.connection, databases)


def refuse_without_right(
    connection: dj.Connection, databases: Iterable[str], left: str = "Nothing was changed."
) -> None:
    """Refuse where this account may not make triggers on MySQL, by making one that nothing fires.

    ``left`` says how things stand then.
    """
    if connection.adapter.backend != "mysql":
        return
    quote = quoter(connection)
    for database in sorted({*databases}):
        trial = quote(database, _TRIAL)
        make = f"CREATE TRIGGER {trial} BEFORE DELETE ON {quote(database, TABLE)} FOR EACH ROW SET @audit = 1"
        drop = f"DROP TRIGGER IF EXISTS {trial}"
        try:
            connection.query(drop, args=None, reconnect=False)
            connection.query(make, args=None, reconnect=False)
            connection.query(drop, args=None, reconnect=False)
        except Exception as error:
            number = error.args[0] if error.args else 0
            if number != 1419 and server_errors.of(error) is not server_errors.ACCESS:
                raise
            setting = (
                "The server writes a binary log, and lets only accounts with SUPER make triggers."
                if number == 1419
                else f"{server_errors.reason(error)}."
            )
            raise PipelineError(
                f"This account may not make triggers in {database}, which has audited tables. {left}",
                f"{setting} Without triggers, rows would be written without a record.",
                "Have log_bin_trust_function_creators switched on (SET PERSIST ... = ON), then run the command again."
                if number == 1419
                else f"Have TRIGGER on {database}.* granted to it, then run the command again.",
            ) from error


#: A trigger that is made to see whether it may be.
_TRIAL = "~audit_try"


def place_of(deployment: Deployment, name: TableName) -> Place:
    return deployment.databases.get(name.schema, name.schema), name.table


def dialect_of(deployment: Deployment) -> Dialect:
    names = constraints.names(deployment.catalogue)
    return deployment.dialect(names, deployment.tables, deployment.tables)


def triggers_of(deployment: Deployment, place: Place) -> Iterator[str]:
    query = catalog.auditing_of(deployment.connection).triggers(place)
    rows = deployment.connection.query(query, args=None, reconnect=False).fetchall()
    return (str(name) for (name,) in rows)


def were_audited(deployment: Deployment, database: str) -> set[str]:
    """Give the names that audited tables of a database have or had last, by what is recorded of them."""
    if (database, TABLE) not in deployment.catalogue.tables:
        return set()
    quote = quoter(deployment.connection)
    marks = ", ".join(["%s"] * len(_MARKS))
    query = (
        f"SELECT table_name, operation, old, new FROM {quote(database, TABLE)} WHERE operation IN ({marks}) ORDER BY id"
    )
    found = set[str]()
    for table, operation, *places in deployment.connection.query(query, _MARKS, reconnect=False).fetchall():
        old, new = (json.loads(place) if isinstance(place, str | bytes) else place or {} for place in places)
        found.discard(str(old.get("table") if operation == RENAME and old.get("database") == database else table))
        if operation != END and new.get("database") == database:
            found.add(str(table))
    return found


#: What is recorded of a table itself.
_MARKS = (BEGIN, RENAME, END)


def put_on_new(deployment: Deployment, dialect: Dialect, table: Table, place: Place) -> list[Step]:
    """Give the steps that put the triggers on a table that was just made."""
    columns = list(dialect.columns({**deployment.tables, table.name: table}, table).values())
    return catalog.auditing_of(deployment.connection).on(place, table.name, columns, place)


def put_on(deployment: Deployment, dialect: Dialect, name: TableName) -> list[Step]:
    """Give the steps that a table has just its triggers after, whatever it has of them."""
    place, statements = place_of(deployment, name), catalog.auditing_of(deployment.connection)
    lock = journal.called(deployment.target.lock)
    columns = around.columns(dialect, deployment.tables, {}, deployment.tables[name])
    steps = [*statements.off(place, name, lock), *statements.on(place, name, columns, place)]
    return [*steps, *_others_off(deployment, place, name, steps)]


def _others_off(deployment: Deployment, place: Place, name: TableName, steps: Iterable[Step]) -> list[Step]:
    """Give the steps that take off a table those of its triggers that some steps do not name, as of an earlier name."""
    statements, quote = catalog.auditing_of(deployment.connection), quoter(deployment.connection)
    named = [step.sql for step in steps]
    others = [trigger for trigger in triggers_of(deployment, place) if not any(quote(trigger) in sql for sql in named)]
    return [Step(statements.removed(place, trigger), (name,), f"take {trigger} off {name}") for trigger in others]


def run(deployment: Deployment, steps: Iterable[Step]) -> None:
    """Run steps of the audit, each of which may run again; on PostgreSQL as a whole."""
    connection, mysql = deployment.connection, deployment.connection.adapter.backend == "mysql"

    def one(step: Step) -> None:
        done = step.done and connection.query(step.done, args=None, reconnect=False).fetchone()[0]
        if not done:
            stepping.send(connection, step.sql, f"The audit could not be changed: {step.words}.")

    stepping.prepare(connection)
    if mysql:
        for step in steps:
            stepping.patiently(connection, deployment.databases, lambda step=step: one(step), deployment.target.warn)  # type: ignore[misc]
        return
    listed = list(steps)

    def whole() -> None:
        with stepping.transaction(connection):
            for step in listed:
                one(step)

    stepping.patiently(connection, deployment.databases, whole, deployment.target.warn)


def changed(deployment: Deployment, group: Group, done: int) -> list[Place]:
    """Give the audited tables that the first steps of a group changed, where they are by now."""
    touched = {place for step in group.steps[:done] for place in step.places}
    databases = {database for database, table in deployment.catalogue.tables if table == TABLE}
    if not databases & {database for database, _ in touched}:
        return []
    return sorted(catalog.auditing_of(deployment.connection).audited(deployment.connection, databases) & touched)
