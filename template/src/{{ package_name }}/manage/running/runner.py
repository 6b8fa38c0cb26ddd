"""The only room that changes a database."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .. import environment as environments
from .. import graph, guard, project, status
from ..declaring import scratch
from ..errors import ExitCode, PipelineError
from ..files import chain, revisions
from ..reading import catalog
from ..record import journal
from ..servers import trouble
from ..status import SchemaStatus, State
from ..writing import revising
from . import stepping

if TYPE_CHECKING:
    import datajoint as dj


def initialize(
    environment: environments.Environment, report: Callable[[str], None] | None = None
) -> list[SchemaStatus]:
    """Make the schemas and tables that are missing, parents first, and record their versions.

    On PostgreSQL all of it is one transaction. On MySQL, where every statement that defines a table commits, the
    journal says of a schema that it is being made until it is; after a crash the next call goes on from there.

    Parameters
    ----------
    environment : Environment
        Where.
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
    own = project.current()
    environments.require_said(environment, "init")
    modules = graph.read(own.directory).modules_in_order(own.versions)
    connection = environments.connect(environment)
    found = status.read(connection, environment)
    if not _to_make(found, environment):
        return found
    code = _judged(connection) if own.directory.is_relative_to(own.root) else None
    with journal.lock(connection, environment.prefix + own.package):
        stepping.upgrade_journals(connection, [environment.database(name) for name in own.versions])
        # What was read before the lock may have changed while waiting for it.
        missing = _to_make(status.read(connection, environment), environment)
        with _one_transaction(connection), guard.creating():
            _make(connection, environment, missing, modules, report)
    if code is not None:
        revising.write_baselines(own, revisions.read(own), revising.code_tables(own, code), own.versions)
    return status.read(connection, environment)


def _judged(connection: dj.Connection) -> scratch.Code:
    """The code, once nothing is known to go wrong with it: on MySQL, what was made until then would stay."""
    code = scratch.read(project.current())
    for what, why in code.hazards[connection.adapter.backend]:
        raise PipelineError(what, why, "Correct the definition.")
    return code


def _to_make(found: list[SchemaStatus], environment: environments.Environment) -> list[SchemaStatus]:
    """The schemas that `init` has to make; raises where it must not touch the database."""
    own = project.current()
    command = f"{own.command} --env {environment.name}"
    for schema in found:
        if schema.state is State.UNRECORDED:
            raise PipelineError(
                f"{schema.database} holds tables and no record of a version, so init leaves it alone.",
                "They were made by somebody else, or before this project recorded versions.",
                f"Run {command} adopt to record which version they are.",
                exit_code=ExitCode.PENDING,
            )
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
            chain.refuse_orphans(revisions.read(own), schema.name, schema.database, versions)
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
    connection: dj.Connection,
    environment: environments.Environment,
    missing: list[SchemaStatus],
    modules: dict[str, str],
    report: Callable[[str], None] | None,
) -> None:
    own = project.current()
    commit, versions = project.code_commit(own.root), software(connection)
    numbers: dict[str, int] = {}
    for schema in missing:
        if report is not None:
            report(schema.name)
        _create_schema(connection, schema.database)
        journal.create(connection, schema.database)
        number = journal.begin(
            connection,
            schema.database,
            kind="init",
            version=schema.code_version,
            previous_version=None,
            code_commit=commit,
            software=versions,
        )
        make_job_tables(connection, schema.database, _declare(modules[schema.name], own.package))
        journal.finish(connection, schema.database, number)
        numbers[schema.name] = number
    databases = {name: environment.database(name) for name in own.versions}
    for name, shape in catalog.read(connection, databases).items():
        if name in numbers:
            journal.stamp(connection, databases[name], numbers[name], shape.fingerprint)


def _create_schema(connection: dj.Connection, database: str) -> None:
    if database in journal.survey(connection, [database]):
        return
    try:
        connection.query(connection.adapter.create_schema_sql(database), args=None)
    except Exception as error:
        raise PipelineError(
            f"The schema {database} could not be made.",
            f"{trouble.reason(error)}.",
            "Ask for the right to create schemas, or have somebody who has it run this command.",
        ) from error


def auto_populated(module: ModuleType) -> Iterator[Any]:
    """The tables of a schema module that DataJoint populates, in the order in which they are written."""
    import datajoint as dj

    for table in vars(module).values():
        own = isinstance(table, type) and table.__module__ == module.__name__
        if own and issubclass(table, (dj.Imported, dj.Computed)):
            yield table


def make_job_tables(connection: dj.Connection, database: str, module: ModuleType) -> None:
    """Make the job tables of a schema that are missing.

    DataJoint makes one when it is first used, where two workers race and one may lack the right. It can make none for a
    table whose primary key is all its own.
    """
    import datajoint as dj

    # For each of them DataJoint would read the keys of all schemas anew; those of the table's own schema suffice.
    dependencies = connection.dependencies
    dependencies.load(schema_names={database})
    dependencies.load = lambda *arguments, **options: None
    # It takes the types of its keys from the server, and warns of them as if somebody had written them.
    said = logging.getLogger("datajoint")
    said.addFilter(_not_of_native_types)
    try:
        for table in auto_populated(module):
            with suppress(dj.DataJointError):
                _ = table.jobs
    finally:
        said.removeFilter(_not_of_native_types)
        del dependencies.load
        dependencies.clear()


def _not_of_native_types(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Native type ")


def _declare(module: str, package: str) -> ModuleType:
    """Import a schema module while the guard lets it make its tables: DataJoint itself declares them."""
    import datajoint as dj

    try:
        return import_module(f"{package}.{module}")
    except dj.errors.AccessError as error:
        raise PipelineError(
            f"The tables of {module}.py could not be made.",
            f"{trouble.reason(error)}.",
            "Ask for CREATE on the schema and REFERENCES on those above it; docs/access.md has the statements.",
        ) from error
    except Exception as error:
        # DataJoint translates most of the drivers' errors, and hands on the others.
        driver = type(error).__module__.partition(".")[0] in ("pymysql", "psycopg2")
        if not driver and not isinstance(error, dj.DataJointError):
            raise
        reason = trouble.reason(error) if driver else " ".join(str((*error.args, error)[0]).split()).rstrip(".")
        raise PipelineError(
            f"DataJoint refuses a definition in {module}.py.",
            f"{reason}.",
            f"Correct it and run {project.current().command} check.",
        ) from error


@contextmanager
def _one_transaction(connection: dj.Connection) -> Iterator[None]:
    if connection.adapter.backend != "postgresql":
        yield
        return
    # DataJoint declines to declare a table within a transaction that it knows of; PostgreSQL has no such limit.
    connection.query("BEGIN", args=None, reconnect=False)
    try:
        with _tolerating_known_types(connection):
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


@contextmanager
def _tolerating_known_types(connection: dj.Connection) -> Iterator[None]:
    # DataJoint creates an enum's type for each table that has the enum and ignores that it exists; within a transaction
    # an ignored error undoes everything, so the attempt gets a savepoint.
    query = connection.query

    def with_savepoint(sql: str, *args: Any, **options: Any) -> Any:
        if not sql.startswith("CREATE TYPE"):
            return query(sql, *args, **options)
        query("SAVEPOINT known_type")
        try:
            return query(sql, *args, **options)
        except Exception:
            query("ROLLBACK TO SAVEPOINT known_type")
            raise

    connection.query = with_savepoint
    try:
        yield
    finally:
        del connection.query


def software(connection: dj.Connection) -> str:
    """Versions of everything that shapes a declaration, for the journal."""
    own = project.current()
    server = connection.query("SELECT version()", args=None).fetchone()[0]
    kind = "MySQL" if connection.adapter.backend == "mysql" else "PostgreSQL"
    number = str(server).removeprefix("PostgreSQL ").split()[0]
    names = (own.package, "datajoint")
    packages = [f"{name} {_installed(name)}" for name in names]
    return ", ".join([*packages, f"Python {platform.python_version()}", f"{kind} {number}"])[:255]


def _installed(name: str) -> str:
    try:
        return installed_version(name)
    except PackageNotFoundError:
        return "?"
