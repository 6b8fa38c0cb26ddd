"""For the tests of a project: a pytest plugin with the fixture ``pipeline``, and tests that hold for every project.

The option ``datajoint_pipeline`` in pytest's configuration names the package::

    [tool.pytest.ini_options]
    datajoint_pipeline = "my_pipeline"
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import packages_distributions, version
from typing import Any

import pytest

from . import journal
from .embedded import server
from .planner import status
from .project import graph
from .project.environments import Environment
from .project.pipeline import Pipeline
from .quoting import quoted


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names the package."""
    parser.addini("datajoint_pipeline", "Package of the pipeline that is tested.", default="")


@pytest.fixture(scope="session")
def tested_pipeline(request: pytest.FixtureRequest) -> Pipeline:
    """Give the :class:`Pipeline` of the project; connects to nothing by itself."""
    package = str(request.config.getini("datajoint_pipeline"))
    if not package:
        raise pytest.UsageError('Which package is tested? Say datajoint_pipeline = "…" in [tool.pytest.ini_options].')
    return Pipeline.load(package)


@pytest.fixture(scope="session")
def pipeline(tested_pipeline: Pipeline) -> Iterator[Environment]:
    """Give a fresh database with every schema, empty but for the Lookup tables; import the modules within the tests
    that ask for it.
    """
    with fresh_pipeline(tested_pipeline) as environment:
        yield environment


@contextmanager
def fresh_pipeline(tested: Pipeline) -> Iterator[Environment]:
    """Make every schema in a place of its own and remove it at the end; nothing else on the server is touched.

    The place is a database of the embedded server, or schemas on a real one where ``DJ_HOST`` names it.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw")
    os.environ.setdefault(tested.project.variable("TEST_ID"), f"{os.getpid()}_{worker}")
    environment = tested.select("test")
    try:
        tested.initialize("test")
        yield environment
    finally:
        _remove(tested, environment)


def _remove(tested: Pipeline, environment: Environment) -> None:
    project, connection = tested.project, tested.connect(environment)
    if environment.embedded:
        connection.close()
        server.drop_database(server.start(project.local_directory), environment.catalog)
        return
    for database in journal.survey(connection, [environment.database(name) for name in project.versions]):
        # Children are not in dependency order across schemas for MySQL, whose check is of the session.
        mysql, name = connection.adapter.backend == "mysql", quoted(connection, database)
        if mysql:
            connection.query("SET FOREIGN_KEY_CHECKS = 0", args=None)
        connection.query(f"DROP SCHEMA IF EXISTS {name}{'' if mysql else ' CASCADE'}", args=None)


class PipelineContract:
    """What holds for every pipeline, whatever its tables are; a project's tests have a class that inherits it."""

    def test_graph_is_sound(self, tested_pipeline: Pipeline) -> None:
        """Check that imports mirror foreign keys, and that ``SCHEMA_VERSIONS`` is in their order."""
        project = tested_pipeline.project
        found = [f for f in graph.check(tested_pipeline.graph, project.versions) if not f.note]
        assert not found, "\n".join(f"{project.path_of(f.module)}:{f.line} {f.id}: {f.what} {f.do}" for f in found)

    def test_package_and_distribution_have_one_version(self, tested_pipeline: Pipeline) -> None:
        """Check that ``__version__`` is the version that is installed."""
        package = tested_pipeline.package
        for distribution in packages_distributions().get(package, ()):
            assert version(distribution) == import_module(package).__version__

    def test_every_table_is_declared(self, tested_pipeline: Pipeline, pipeline: Environment) -> None:
        """Check that every class of a schema's modules has its table, with a primary key."""
        import datajoint as dj

        for name in tested_pipeline.project.versions:
            tables: list[Any] = [
                table
                for module in tested_pipeline.import_schema(name)
                for table in vars(module).values()
                if isinstance(table, type) and issubclass(table, dj.Table) and table.__module__ == module.__name__
            ]
            assert tables, name
            for table in tables:
                assert table().is_declared, f"{table.__module__}.{table.__name__}"
                assert table.primary_key, f"{table.__module__}.{table.__name__}"

    def test_code_and_database_have_the_same_versions(self, tested_pipeline: Pipeline, pipeline: Environment) -> None:
        """Check that ``status`` finds every schema current."""
        found = status.read(tested_pipeline.target(pipeline))
        assert {schema.name: schema.database_version for schema in found} == tested_pipeline.project.versions
        assert {schema.state.value for schema in found} == {"current"}
