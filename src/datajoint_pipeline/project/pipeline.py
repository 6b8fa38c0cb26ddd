"""The one object that ties a project to this library."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import PipelineError
from ..planner.target import Target, Warn
from . import environments, importing
from .environments import Environment
from .project import Project, describe, import_package

if TYPE_CHECKING:
    import datajoint as dj

    from ..internals.code import Code
    from ..planner.status import SchemaStatus


class Pipeline:
    """A project's package, versions, prefix, default environment and command, and its connection.

    Making one imports nothing heavy and connects to nothing. Two of them in one process share nothing.

    Parameters
    ----------
    package : str
        Import name of the project's package: ``__name__`` in its ``__init__.py``.
    versions : dict, optional
        Version of each schema, parents before children; otherwise ``SCHEMA_VERSIONS`` of the package.
    prefix : str, optional
        What stands before every schema's name on the server; otherwise ``SCHEMA_PREFIX`` of the package, or nothing.
    default_environment : str, optional
        ``local``, ``dev`` or ``prod``, meant when neither ``--env`` nor ``<PACKAGE>_ENV`` says another; otherwise
        ``DEFAULT_ENVIRONMENT`` of the package, or ``local``.
    command : str, optional
        The console script; otherwise ``COMMAND`` of the package, or its name with dashes.
    """

    def __init__(
        self,
        package: str,
        *,
        versions: Mapping[str, str] | None = None,
        prefix: str | None = None,
        default_environment: str | None = None,
        command: str | None = None,
    ) -> None:
        self.package = package
        self._describe = partial(
            describe,
            package,
            versions=versions,
            prefix=prefix,
            default_environment=default_environment,
            command=command,
        )
        self._environment: Environment | None = None
        self._connection: dj.Connection | None = None
        # Threads that come first at the same time get one connection, and one of them surveys the database.
        self._lock = threading.RLock()
        self._statuses: dict[str, SchemaStatus] | None = None
        self._opener: Callable[[str], dj.Schema] = self._open_guarded
        importing.end()

    @classmethod
    def load(cls, package: str) -> Pipeline:
        """Give the pipeline of a package by the package's name.

        Raises
        ------
        PipelineError
            If there is no such package, or it has none.
        """
        module = import_package(package)
        found = getattr(module, "pipeline", None)
        if not isinstance(found, Pipeline):
            # Projects of releases before 0.6 have theirs where this library was.
            found = getattr(getattr(module, "manage", None), "pipeline", None)
        if not isinstance(found, Pipeline):
            raise PipelineError(
                f"The package {package} has no pipeline.",
                "Its __init__.py makes no Pipeline.",
                "Write there: pipeline = Pipeline(__name__, versions=SCHEMA_VERSIONS).",
            )
        return found

    @cached_property
    def project(self) -> Project:
        """Describe the project, once.

        Raises
        ------
        PipelineError
            If the package is missing, or what describes it is not as above.
        """
        return self._describe()

    @cached_property
    def config(self) -> Any:
        """DataJoint's configuration for this pipeline.

        Raises
        ------
        PipelineError
            If ``datajoint.json`` is broken.
        """
        from . import settings

        return settings.load(self.project)

    # --- Where -------------------------------------------------------------------------------------------------------

    def select(self, name: str | None = None, *, explicit: bool = False) -> Environment:
        """Choose the environment of this pipeline; without a name, the one chosen before or meant by default.

        Raises
        ------
        PipelineError
            If there is no such environment, or the pipeline is already connected to another.
        """
        if name is None and self._environment is not None:
            return self._environment
        environment = environments.find(self.project, name, explicit=explicit)
        if (
            self._connection is not None
            and self._environment is not None
            and self._environment.name != environment.name
        ):
            raise PipelineError(
                f"This process works on {self._environment.name} and cannot change to {environment.name}.",
                "A pipeline has one connection a process, and its table classes are bound to it.",
                "Start a new process (in a notebook, restart the kernel) with "
                f"{self.project.variable('ENV')}={environment.name}.",
            )
        self._environment = environment
        return environment

    def connect(self, environment: Environment | None = None) -> dj.Connection:
        """Connect to the environment's server, once; the embedded one is started where it is needed.

        Raises
        ------
        PipelineError
            If the configuration is broken, the server cannot be reached or refuses, or TLS is asked for and not in
            force.
        """
        with self._lock:
            environment = environment or self.select()
            if self._connection is None:
                from .connection import connect

                self._connection = connect(self.project, self.config, environment)
            return self._connection

    def target(self, environment: Environment | None = None, *, warn: Warn = lambda text: None) -> Target:
        """Give what the commands work on: the database of an environment and the code that belongs to it.

        ``warn`` is called with what a person has to know before a change, or while something waits.

        Raises
        ------
        PipelineError
            As :meth:`connect`; or if the server would have a schema under another name.
        """
        from ..dialects.spelling import refuse_changed
        from .provenance import code_commit, software

        environment = environment or self.select()
        project, connection = self.project, self.connect(environment)
        target = Target(
            connection=connection,
            name=project.package,
            environment=environment.name,
            prefix=environment.prefix,
            files=project.files,
            backups=project.backups,
            program=project.program,
            commit=partial(code_commit, project.root),
            software=partial(software, connection, project.package),
            read_code=self.read_code,
            warn=warn,
        )
        refuse_changed(connection, target.databases.values())
        return target

    # --- Schemas -----------------------------------------------------------------------------------------------------

    def open_schema(self, name: str) -> dj.Schema:
        """Give the schema of a module, once the database is known to fit the code.

        Parameters
        ----------
        name : str
            The schema's name in ``SCHEMA_VERSIONS``; its name on the server follows from the environment.

        Returns
        -------
        datajoint.Schema
            An activated schema, to decorate table classes with.

        Raises
        ------
        PipelineError
            If the database cannot be reached, or has another version of the schema than the code.
        """
        return self._opener(name)

    def initialize(
        self, environment: str | None = None, *, report: Callable[[str], None] | None = None
    ) -> list[SchemaStatus]:
        """Make what is missing in an empty database and record the versions, as the command ``init`` does.

        Parameters
        ----------
        environment : str, optional
            ``local``, ``dev`` or ``prod``; otherwise the one that is meant by default.
        report : callable, optional
            Called with the name of each schema that is being made.

        Returns
        -------
        list of SchemaStatus
            Where every schema stands afterwards.

        Raises
        ------
        PipelineError
            If the database cannot be reached or holds tables that nobody recorded.
        """
        from ..executor.initialize import initialize

        chosen = self.select(environment, explicit=environment is not None)
        environments.require_explicit(self.project, chosen, "init")
        with self.declaring() as declare:
            return initialize(self.target(chosen), declare, report)

    @contextmanager
    def opening(self, opener: Callable[[str], dj.Schema]) -> Iterator[None]:
        """Let something else open schemas for a while; what is known of the database is asked again after it."""
        before, self._opener = self._opener, opener
        try:
            yield
        finally:
            self._opener, self._statuses = before, None

    @contextmanager
    def declaring(self) -> Iterator[Callable[[str], ModuleType]]:
        """Let importing a module make the tables that are missing, for as long as this holds; gives a function that
        imports a schema's module.
        """
        from .declaring import declare

        modules = self.modules
        with self.opening(self._open_and_make):
            yield lambda schema: declare(self.package, modules[schema], self.project.program)

    @property
    def modules(self) -> dict[str, str]:
        """Give the module of each schema, in dependency order."""
        from . import graph

        return graph.read(self.project.directory).modules_in_order(self.project.versions)

    def read_code(self) -> Code:
        """Read the tables as the code declares them, in a process of its own and without a server."""
        from ..internals import code

        return code.read(self.project.sources, "datajoint_pipeline.project.read_code")

    def _open_guarded(self, name: str) -> dj.Schema:
        import datajoint as dj

        from . import guard

        environment = self.select()
        connection = self.connect(environment)
        if not os.environ.get(self.project.variable("UNGUARDED")):
            target = self.target(environment)
            with self._lock:
                if self._statuses is None:
                    self._statuses = guard.survey(target)
                guard.require(target, self._statuses, name)
        return dj.Schema(environment.database(name), connection=connection, create_schema=False)

    def _open_and_make(self, name: str) -> dj.Schema:
        import datajoint as dj

        environment = self.select()
        return dj.Schema(environment.database(name), connection=self.connect(environment), create_tables=True)
