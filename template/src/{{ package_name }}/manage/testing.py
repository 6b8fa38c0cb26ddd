"""A database that lives as long as the tests: on the embedded server, or on a real one where ``DJ_HOST`` names it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from . import environment as environments
from . import project
from .record import journal
from .running import runner
from .servers import local


@contextmanager
def fresh_pipeline() -> Iterator[environments.Environment]:
    """Make every schema in a place of its own and remove it at the end; nothing else on the server is touched."""
    own = project.current()
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw")
    os.environ.setdefault(own.variable("TEST_ID"), f"{os.getpid()}_{worker}")
    environment = environments.select("test")
    try:
        runner.initialize(environment)
        yield environment
    finally:
        _remove(environment)


def _remove(environment: environments.Environment) -> None:
    own = project.current()
    connection = environments.connect(environment)
    if environment.embedded:
        connection.close()
        local.drop_database(local.start(own.local_directory), environment.catalog)
        return
    for database in journal.survey(connection, [environment.database(name) for name in own.versions]):
        # Children are not in dependency order across schemas for MySQL, whose check is of the session.
        if connection.adapter.backend == "mysql":
            connection.query("SET FOREIGN_KEY_CHECKS = 0", args=None)
        connection.query(connection.adapter.drop_schema_sql(database), args=None)
