"""What stands between a schema module and the database: code meets only the version it was written for.

Old code on a new database reads wrong columns, new code on an old one fails half-way through a `make`. So a process
asks once, with one query for the whole pipeline, and a schema whose code does not fit refuses in words.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import environment as environments
from . import project, status
from .errors import PipelineError
from .record import journal

if TYPE_CHECKING:
    import datajoint as dj

_known: dict[str, status.SchemaStatus] | None = None
_creating = False


@contextmanager
def creating() -> Iterator[None]:
    """While this holds, opening a schema makes what is missing instead of refusing; the runner's alone."""
    global _creating, _known
    _creating = True
    try:
        yield
    finally:
        _creating, _known = False, None


def open_schema(name: str) -> dj.Schema:
    """See :func:`manage.open_schema`."""
    import datajoint as dj

    environment = environments.select()
    connection = environments.connect(environment)
    database = environment.database(name)
    if _creating:
        return dj.Schema(database, connection=connection, create_tables=True)
    if not os.environ.get(project.current().variable("UNGUARDED")):
        require(connection, environment, name)
    return dj.Schema(database, connection=connection, create_schema=False)


def require(connection: dj.Connection, environment: environments.Environment, name: str) -> None:
    """Raise unless the database has the version of the schema that the code has."""
    global _known
    if _known is None:
        _known = _ask(connection, environment)
    own = project.current()
    if name not in own.versions:
        raise PipelineError(
            f"The schema {name} has no version.",
            "SCHEMA_VERSIONS in version.py does not name it.",
            f'Add "{name}": "1.0.0" below the schemas it depends on.',
        )
    found = _known[name]
    if found.state is status.State.CURRENT:
        return
    command = f"{own.command} --env {environment.name}"
    database = f"the database of {environment.name}"
    match found.state:
        case status.State.ABSENT:
            why = f"The code has version {found.code_version}; this account sees no schema {found.database}."
            do = f"Run {command} init to make it."
        case status.State.UNRECORDED:
            why = f"The code has version {found.code_version}; {found.database} holds tables and no version."
            do = f"Look at it with {command} status before you change anything."
        case status.State.INTERRUPTED:
            why = f"A change from {found.database_version or 'nothing'} to {found.code_version} began and did not end."
            do = f"Run {command} status, then the command again that was interrupted."
        case status.State.AHEAD:
            why = f"The code is older: it has version {found.code_version}, the database {found.database_version}."
            do = "Pull the newer code and restart this process."
        case _:
            what = "a draft after" if found.draft else "version"
            why = f"The database is older: it has {what} {found.database_version}, the code {found.code_version}."
            do = f"Run {command} migrate to bring the database to the code."
    raise PipelineError(
        f"The code of schema {name} does not fit {database}.", why, do, exit_code=status.EXIT_CODES[found.state]
    )


def _ask(connection: dj.Connection, environment: environments.Environment) -> dict[str, status.SchemaStatus]:
    import datajoint as dj

    versions = project.current().versions
    databases = {name: environment.database(name) for name in versions}
    try:
        # One query tells everything about a database in order, which is nearly always the case.
        records = journal.latest(connection, databases)
    except Exception as error:
        # DataJoint translates most of the drivers' errors, and hands on the others.
        driver = type(error).__module__.partition(".")[0] in ("pymysql", "psycopg2")
        if not driver and not isinstance(error, dj.DataJointError):
            raise
        return {found.name: found for found in status.read(connection, environment)}
    return {
        name: status.judge(name, database, versions[name], None, records.get(name))
        for name, database in databases.items()
    }
