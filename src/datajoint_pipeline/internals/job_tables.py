"""The job tables that DataJoint keeps beside the tables that it populates: ``~~<table>``."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..quoting import quoter
from ..schema.model import Table

if TYPE_CHECKING:
    import datajoint as dj

#: What the name of a job table begins with.
PREFIX = "~~"

#: What DataJoint has in every job table beside the key, in its order; and what its index is over.
COLUMNS = (
    *("status", "priority", "created_time", "scheduled_time", "reserved_time", "completed_time", "duration"),
    *("error_message", "error_stack", "user", "host", "pid", "connection_id", "version"),
)
INDEX = ("status", "priority", "scheduled_time")

#: Jobs that somebody would miss; DataJoint adds all others again.
MISSED = "status IN ('error', 'ignore')"


def comment(full: str) -> str:
    """Give the comment of the job table of a table, which is given as statements name it."""
    return f"Job queue for {full}"


def key(table: Table) -> tuple[str, ...]:
    """Give the attributes that tell the jobs of a table apart: those of its primary key that foreign keys bring."""
    return tuple(name for name in table.primary_key if any(name in key.attributes for key in table.foreign_keys))


def missing(connection: dj.Connection, databases: Iterable[str]) -> dict[str, list[str]]:
    """Find the auto-populated tables of some databases, by their names there, that have no job table."""
    tables, found = every_table(connection, tuple(databases)), dict[str, list[str]]()
    for database, table in sorted(tables):
        populated = table.startswith("_") and "__" not in table.lstrip("_")
        if populated and (database, PREFIX + table.lstrip("_")) not in tables:
            found.setdefault(database, []).append(table)
    return found


def is_one(connection: dj.Connection, database: str, table: str) -> bool:
    """Tell whether a table of MySQL has what DataJoint has in every job table; its name alone says nothing."""
    query = "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s"
    return {*COLUMNS} <= {str(name) for (name,) in connection.query(query, (database, table)).fetchall()}


def every_table(connection: dj.Connection, names: tuple[str, ...]) -> set[tuple[str, str]]:
    """Give every table of some databases, hidden ones too, as pairs of database and name."""
    marks = ", ".join(["%s"] * len(names))
    if connection.adapter.backend == "mysql":
        query = f"SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ({marks})"
    else:
        query = (
            "SELECT n.nspname, c.relname FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c "
            f"ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p') WHERE n.nspname IN ({marks})"
        )
    return {(str(database), str(table)) for database, table in connection.query(query, names).fetchall()}


def auto_populated(modules: Iterable[ModuleType], database: str) -> Iterator[Any]:
    """Give the tables of a database that DataJoint populates, in the order in which the modules declare them."""
    import datajoint as dj

    for module in modules:
        for table in vars(module).values():
            declared_here = isinstance(table, type) and table.__module__ == module.__name__
            if declared_here and issubclass(table, (dj.Imported, dj.Computed)) and table.database == database:
                yield table


def parents_first(tables: Mapping[str, Any]) -> list[str]:
    """Order tables so that none stands before one that it depends on, however far; otherwise in the order given.

    Parameters
    ----------
    tables : mapping
        Classes by name, of one connection whose foreign keys are loaded.
    """
    from graphlib import TopologicalSorter

    connection = next(iter(tables.values())).connection if tables else None
    if connection is None:
        return []
    names = {table.full_table_name: name for name, table in tables.items()}
    graph = connection.dependencies
    above: dict[str, list[str]] = {}
    for full, name in names.items():
        found, reached = [full], {full}
        while found:
            for parent in graph.predecessors(found.pop()) if full in graph else ():
                # A master's descendants also wait for its parts, which have no jobs of their own.
                if parent not in reached:
                    reached.add(parent)
                    found.append(parent)
        above[name] = [names[other] for other in reached if other in names and other != full]
    sorter = TopologicalSorter(above)
    sorter.prepare()
    ordered: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=list(above).index)
        ordered += ready
        sorter.done(*ready)
    return ordered


def failed(table: Any) -> int:
    """Count the keys of a table that failed, now or before, and that nobody tries again."""
    import datajoint as dj

    try:
        return len(of(table).errors)
    except dj.DataJointError:  # there is no queue, or the account may not read it
        return 0


def of(table: Any) -> Any:
    """Give the job table of an instance of a table, made where it is missing.

    DataJoint declares it with the types that the server names, and cannot read all of these: on PostgreSQL not those of
    an enum and of a moment. Such an attribute gets the very type of the table's.

    Raises
    ------
    datajoint.DataJointError
        If the table has no key that foreign keys bring, or the account may make no table.
    """
    from datajoint.jobs import Job

    if table._jobs is None:
        jobs = Job(table)
        if not jobs.is_declared:
            with _typed(jobs):
                jobs.declare()
        table._jobs = jobs
    return table._jobs


@contextmanager
def _typed(jobs: Any) -> Iterator[None]:
    """Let DataJoint declare a stand-in for each type that it cannot read, and the server make the type itself."""
    from datajoint.declare import match_type
    from datajoint.errors import DataJointError

    connection, table = jobs.connection, jobs.target
    stand_ins: dict[str, str] = {}
    for number, (name, given) in enumerate(jobs._get_fk_derived_pk_attrs()):
        try:
            match_type(given)
        except DataJointError:
            stand_in = f"varchar({60_000 + number})"
            jobs._definition = jobs._definition.replace(f" {name} : {given}\n", f" {name} : {stand_in}\n", 1)
            stand_ins[stand_in] = _type(connection, table.database, table.table_name, name)
    if not stand_ins:
        yield
        return
    before, run = vars(connection).get("query"), connection.query

    def query(statement: str, *arguments: Any, **options: Any) -> Any:
        for stand_in, real in stand_ins.items():
            statement = statement.replace(f":{stand_in}:", "").replace(stand_in, real)
        return run(statement, *arguments, **options)

    connection.query = query
    try:
        yield
    finally:
        if before is None:
            del connection.query
        else:  # somebody else looks at what is run
            connection.query = before


def _type(connection: dj.Connection, database: str, table: str, column: str) -> str:
    """Give the type of a column as the server takes it."""
    if connection.adapter.backend == "mysql":
        query = (
            "SELECT column_type FROM information_schema.columns "
            "WHERE table_schema = %s AND table_name = %s AND column_name = %s"
        )
    else:
        query = (
            "SELECT pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_namespace n "
            "JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid "
            "WHERE n.nspname = %s AND c.relname = %s AND a.attname = %s"
        )
    return str(connection.query(query, (database, table, column)).fetchone()[0])


def make(connection: dj.Connection, database: str, tables: Iterable[str]) -> None:
    """Make the job tables of some tables of a database, which have none; the tables' classes need not be known.

    DataJoint makes one when it is first used, where two workers race and one may lack the right. It can make none for a
    table whose primary key is all its own.
    """
    import datajoint as dj

    # For each of them DataJoint would read the keys of all schemas anew; those of the table's own schema suffice.
    dependencies, quote = connection.dependencies, quoter(connection)
    dependencies.load(schema_names={database})
    dependencies.load = lambda *arguments, **options: None
    # It takes the types of its keys from the server, and warns of them as if somebody had written them.
    logger = logging.getLogger("datajoint")
    logger.addFilter(_not_of_native_types)
    try:
        for name in tables:
            table = dj.FreeTable(connection, quote(database, name))
            table._jobs = None
            with suppress(dj.DataJointError):
                of(table)
    finally:
        logger.removeFilter(_not_of_native_types)
        del dependencies.load
        dependencies.clear()


def _not_of_native_types(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Native type ")
