"""Make the schemas and tables that are missing in a database, and record their versions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import TYPE_CHECKING

from .. import journal, server_errors
from ..dialects import catalog, choice, constraints
from ..errors import ExitCode, PipelineError
from ..history import baselines, chain, migration_files
from ..internals import job_tables, lineage
from ..internals.code import Code
from ..internals.connection import tolerating_known_types
from ..journal import steplog
from ..planner import applied, comparison, contents, drift, pending, status
from ..planner.status import SchemaStatus, State
from ..planner.target import TEST, Target
from . import apply, owners, stepping

if TYPE_CHECKING:
    import datajoint as dj

#: Given a schema, and what is to be called with the name of each schema before it is opened, imports the schema's
#: modules, which makes the tables that are missing; gives the modules.
Declare = Callable[[str, Callable[[str], None]], list[ModuleType]]


def initialize(target: Target, declare: Declare, report: Callable[[str], None] | None = None) -> list[SchemaStatus]:
    """Make the schemas and tables that are missing, parents first, and record their versions.

    On PostgreSQL all of it is one transaction. On MySQL, where every statement that defines a table commits, the
    journal says of a schema that it is being made until it is; after a crash the next call goes on from there.

    Parameters
    ----------
    target : Target
        Where.
    declare : callable
        Imports the modules of a schema, which makes the tables that are missing.
    report : callable, optional
        Called with the name of each schema that is being made.

    Returns
    -------
    list of SchemaStatus
        Where every schema stands afterwards.

    Raises
    ------
    PipelineError
        If there are tables without a record, another version than the code's, or a definition that DataJoint refuses.
    """
    connection = target.connection
    missing = _to_make(target, status.read(target))
    if not missing:
        return drift.read(target)
    code = _checked(target) if target.files.editable else None
    # What tests and `check` make lasts no longer than they do, and nothing is noted of it.
    noted = code if target.environment != TEST else None
    if noted is not None:
        baselines.refuse(target.files, noted.tables(target.versions))
        _refuse_unrevised(target, noted, [schema.name for schema in missing])
    with apply.alone(target):
        # What was read before the lock may have changed while waiting for it.
        missing = _to_make(target, status.read(target))
        names = constraints.read(connection, target.databases)
        _refuse(target, missing, names, code)
        with _one_transaction(connection):
            _make(target, missing, names, declare, report)
    if noted is not None:
        baselines.write(target.files, noted.tables(target.versions))
    return drift.read(target)


def _checked(target: Target) -> Code:
    """Read the code, and refuse what cannot be declared: on MySQL, what was made until then would stay."""
    code = target.read_code()
    for what, why in code.problems[target.connection.adapter.backend]:
        raise PipelineError(what, why, "Correct the definition.")
    return code


def _refuse_unrevised(target: Target, code: Code, missing: list[str]) -> None:
    """Refuse to make tables as no version has them: they would be recorded as the snapshot's, and be none."""
    found = comparison.unrevised(target.files, code.tables(target.versions))
    if changed := [name for name in found if name in missing]:
        raise PipelineError(
            f"The code of {changed[0]} differs from its snapshot, and no migration says how to get there.",
            "Its tables would be made as no version has them; nothing was made.",
            f'Run {target.program} revise -m "what changed" first, then the command again.',
            exit_code=ExitCode.PENDING,
        )


def _refuse(target: Target, missing: list[SchemaStatus], names: constraints.Names, code: Code | None) -> None:
    """Refuse what the server would refuse, or make otherwise, before anything is made."""
    if code is not None:
        tables = code.tables(target.versions)
    else:
        latest = (history.latest for history in migration_files.read(target.files).values())
        tables = {table.name: table for snapshot in latest if snapshot is not None for table in snapshot.shape}
    dialect = choice.make(target.connection, target.databases, {}, tables, names)
    new = {schema.name for schema in missing}
    for table in tables.values():
        if table.name.schema in new:
            dialect.refuse_unmade(tables, table)
    if code is not None:
        contents.refuse(dialect, tables, {n: rows for n, rows in code.contents.items() if n.schema in new})


def _to_make(target: Target, found: list[SchemaStatus]) -> list[SchemaStatus]:
    """Give the schemas that `init` has to make; refuse where it must not touch the database."""
    for schema in found:
        if schema.state is State.UNRECORDED:
            raise PipelineError(
                f"{schema.database} holds tables and no record of a version, so init leaves it alone.",
                "They were made by somebody else, or before this project recorded versions.",
                f"Run {target.command} adopt to record which version they are.",
                exit_code=ExitCode.PENDING,
            )
        if schema.state is State.UNREADABLE and schema.database_version is None:
            raise pending.unreadable(target.connection, schema.database, seen=bool(schema.unreadable))
        if schema.state is State.AHEAD or schema.state is State.CONFLICT:
            raise PipelineError(
                f"{schema.database} has version {schema.database_version}, the code only {schema.code_version}.",
                "The database was changed by newer code than this.",
                "Pull the newer code.",
                exit_code=ExitCode.CONFLICT,
            )
    versions = {s.name: s.database_version for s in found}
    for schema in found:
        if schema.state is State.ABSENT and any(versions.values()):
            chain.refuse_orphans(migration_files.read(target.files), schema.name, schema.database, versions)
    missing = [s for s in found if s.state is State.ABSENT or (s.state is State.INTERRUPTED and not s.database_version)]
    behind = [schema for schema in found if schema.state is State.BEHIND]
    if missing and behind:
        raise PipelineError(
            f"{behind[0].database} has version {behind[0].database_version}, the code {behind[0].code_version}.",
            f"{missing[0].name} would be made beside tables that its code does not know.",
            "Bring the database to the code first.",
            exit_code=ExitCode.PENDING,
        )
    return missing


def _make(
    target: Target,
    missing: list[SchemaStatus],
    names: constraints.Names,
    declare: Declare,
    report: Callable[[str], None] | None,
) -> None:
    """Make schemas one by one, and record their versions."""
    connection, numbers = target.connection, dict[str, int]()
    unmade = {schema.name: schema for schema in missing}

    def begin(name: str) -> None:
        """Have a schema and its record before its first table, also where a module opens two."""
        if (schema := unmade.pop(name, None)) is not None:
            _create_schema(target, schema.database, names.collations.get(schema.database, ""))
            numbers[schema.name] = _begun(target, schema)

    with owners.handing_over(connection, [schema.database for schema in missing]):
        for schema in missing:
            if report is not None:
                report(schema.name)
            begin(schema.name)
            declare(schema.name, begin)
            missing_jobs = job_tables.missing(connection, [schema.database])
            job_tables.make(connection, schema.database, missing_jobs.get(schema.database, []))
            # The last is done when all have their fingerprints, which follow from other schemas, too.
            if schema is not missing[-1]:
                journal.finish(connection, schema.database, numbers[schema.name])
    databases = target.databases
    shapes = catalog.read(connection, databases)
    # A table of an earlier call that was broken off may lack its origins.
    tables = {table.name: table for shape in shapes.values() for table in shape}
    lineage.repair(connection, databases, tables, only=numbers)
    histories = migration_files.read(target.files)
    records = journal.latest(connection, databases)
    made = {n: r for n, r in records.items() if n in numbers or (r.kind == "init" and r.fingerprint is None)}
    with owners.handing_over(connection, [databases[name] for name in made]):
        for name in made:
            steplog.create(connection, databases[name])
    with stepping.within(connection):
        for name, record in made.items():
            # A run that is not done has no head: init goes on with it.
            head = json.dumps(applied.included(histories[name], record.version))
            entry = steplog.Entry(0, "head", steplog.DONE, "init", head)
            steplog.write(connection, databases[name], record.id, [entry])
            journal.stamp(connection, databases[name], record.id, shapes[name].fingerprint)
        for schema in missing[-1:]:
            journal.finish(connection, schema.database, numbers[schema.name])


def _begun(target: Target, schema: SchemaStatus) -> int:
    """Record that a schema is being made, unless a call that was broken off did; give the number of the run."""
    connection = target.connection
    journal.create(connection, schema.database)
    found = journal.latest(connection, {schema.name: schema.database}).get(schema.name)
    if found is not None and found.version == schema.code_version:
        return found.id
    return journal.begin(
        connection,
        schema.database,
        kind="init",
        version=schema.code_version,
        previous_version=None,
        code_commit=target.commit(),
        software=target.software(),
    )


def _create_schema(target: Target, database: str, collation: str) -> None:
    """Make the database of a schema where it is missing."""
    connection = target.connection
    if database in journal.survey(connection, [database]):
        return
    try:
        owners.create_schema(connection, database, collation)
    except Exception as error:
        raise PipelineError(
            f"The schema {database} could not be made.",
            f"{server_errors.reason(error)}.",
            _leave_to_make(target),
        ) from error


def _leave_to_make(target: Target) -> str:
    """Say who may let this account make a schema. MySQL gives rights by exact name, so a new one is nobody's yet."""
    if target.connection.adapter.backend == "mysql":
        return (
            f"With access.toml, have the server's administrator run {target.command} access apply with this code, "
            "then run this command again. Without it, have somebody who may create schemas run this command."
        )
    return "Ask for the right to create schemas, or have somebody who has it run this command."


@contextmanager
def _one_transaction(connection: dj.Connection) -> Iterator[None]:
    """Hold a transaction on PostgreSQL; nothing on MySQL, which commits each statement that defines a table."""
    if connection.adapter.backend != "postgresql":
        yield
        return
    # DataJoint declines to declare a table within a transaction that it knows of; PostgreSQL has no such limit.
    connection.query("BEGIN", args=None, reconnect=False)
    try:
        with tolerating_known_types(connection):
            yield
    except BaseException:
        with suppress(Exception):  # the first error says why; a lost session undoes by itself
            connection.query("ROLLBACK", args=None, reconnect=False)
        raise
    answer = connection.query("COMMIT", args=None, reconnect=False)
    if getattr(answer, "statusmessage", "COMMIT") != "COMMIT":
        raise PipelineError(
            "Nothing was changed.",
            "A statement within the transaction had failed, so PostgreSQL undid all of it.",
            "Run the command again with --debug to see which.",
        )
