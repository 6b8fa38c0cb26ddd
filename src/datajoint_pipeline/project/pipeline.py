"""The one object that ties a project to this library."""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .. import git
from ..errors import PipelineError
from ..planner.target import Target, Warn
from . import branches, environments, importing
from .environments import Environment
from .project import Project, describe, import_package

if TYPE_CHECKING:
    import datajoint as dj

    from ..executor.initialize import Declare
    from ..internals.code import Code
    from ..planner.status import SchemaStatus
    from .graph import Graph


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
    databases : dict, optional
        Name on the server of each schema that does not have the prefix and its own name there; otherwise
        ``SCHEMA_DATABASES`` of the package or its ``version.py``, or none. What an environment puts before every name
        (``dev_``) stands before these too.
    """

    def __init__(
        self,
        package: str,
        *,
        versions: Mapping[str, str] | None = None,
        prefix: str | None = None,
        default_environment: str | None = None,
        command: str | None = None,
        databases: Mapping[str, str] | None = None,
    ) -> None:
        self.package = package
        self._describe = partial(
            describe,
            package,
            versions=versions,
            prefix=prefix,
            default_environment=default_environment,
            command=command,
            databases=databases,
        )
        #: Whether a session keeps the time limits of its account, as people's own do; those of commands do not.
        self.limited = True
        self._environment: Environment | None = None
        self._connection: dj.Connection | None = None
        # Threads that come first at the same time get one connection, and one of them surveys the database.
        self._lock = threading.RLock()
        self._statuses: dict[str, SchemaStatus] | None = None
        self._place: Callable[[str], dict[str, Any]] = self._guarded_place
        #: Modules of others that were activated, by schema.
        self._elements: dict[str, list[ModuleType]] = {}
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

    def beside(self) -> Pipeline:
        """Give the same pipeline with a connection of its own, for a command that works in two environments.

        Table classes stay with the pipeline that their modules were imported with.
        """
        other = Pipeline(self.package)
        other._describe, other.limited = self._describe, self.limited
        return other

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

    def select(self, name: str | None = None, *, explicit: bool = False, branch: str | None = None) -> Environment:
        """Choose the environment of this pipeline; without a name, the one chosen before or meant by default.

        ``branch`` names the git branch whose schemas ``branch`` are, otherwise the one that was chosen before,
        ``<PACKAGE>_BRANCH`` or the one that is checked out.

        Raises
        ------
        PipelineError
            If there is no such environment, or the pipeline is already connected to another.
        """
        before = self._environment
        if before is not None and (name is None or (before.branch and not branch and name == before.name)):
            return before
        environment = environments.find(self.project, name, explicit=explicit, branch=branch)
        if (
            self._connection is not None
            and before is not None
            and (before.name, before.prefix) != (environment.name, environment.prefix)
        ):
            raise PipelineError(
                f"This process works on {before.branch or before.name} and cannot change to "
                f"{environment.branch or environment.name}.",
                "A pipeline has one connection per process, and its table classes are bound to it.",
                "Start a new process (in a notebook, restart the kernel) with "
                f"{self.project.variable('ENV')}={environment.name}.",
            )
        self._environment = environment
        return environment

    def connect(self, environment: Environment | str | None = None) -> dj.Connection:
        """Connect to the environment's server, once; the embedded one is started where it is needed.

        Parameters
        ----------
        environment : str or Environment, optional
            Its name, or what :meth:`select` gave; otherwise the one that is meant by default.

        Returns
        -------
        datajoint.Connection
            The connection that this pipeline's tables use.

        Raises
        ------
        PipelineError
            If there is no such environment, the configuration is broken, the server cannot be reached or refuses, or
            TLS is asked for and not in force.
        """
        with self._lock:
            if environment is None or isinstance(environment, str):
                environment = self.select(environment, explicit=environment is not None)
            if self._connection is None:
                from .connection import connect

                self._connection = connect(self.project, self.config, environment, limited=self.limited)
            return self._connection

    def target(self, environment: Environment | None = None, *, warn: Warn = lambda text: None) -> Target:
        """Give what the commands work on: the database of an environment and the code that belongs to it.

        ``warn`` is called with what a person has to know before a change, or while something waits.

        Raises
        ------
        PipelineError
            As :meth:`connect`; if the server would have a schema under another name; or codecs.py cannot be imported.
        """
        from ..dialects.spelling import refuse_changed
        from .provenance import code_commit, software

        environment = environment or self.select()
        project, connection = self.project, self.connect(environment)
        self._import_codecs()
        target = Target(
            connection=connection,
            name=project.package,
            environment=environment.name,
            prefix=environment.prefix,
            database_of=environment.database,
            files=project.files,
            backups=project.backups,
            program=self._program(environment),
            commit=partial(code_commit, project.root),
            software=partial(software, connection, project.package),
            read_code=self.read_code,
            warn=warn,
        )
        refuse_changed(connection, target.databases.values())
        return target

    def _import_codecs(self) -> None:
        """Import the lab's own codecs: a command makes columns and converts values by them, and imports no schema."""
        name = f"{self.package}.codecs"
        if find_spec(name) is None or "codecs" in self.modules:
            return
        try:
            import_module(name)
        except Exception as error:
            raise importing.refusal(self.package, error) from error

    def _program(self, environment: Environment) -> str:
        """Give what people type before a command; it names the branch where the folder is not on it."""
        program, branch = self.project.program, environment.branch
        named = os.environ.get(self.project.variable("BRANCH"), "").strip()
        if branch and branch != (named or git.current_branch(self.project.root)):
            return f"{program} --branch {shlex.quote(branch)}"
        return program

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
        import datajoint as dj

        return dj.Schema(**self._place(name))

    def activate(
        self, element: ModuleType, schema: str, *, linking_module: str | ModuleType | None = None
    ) -> dj.Schema:
        """Activate a module whose schema is ``dj.Schema()``, such as an Element, as a schema of this pipeline.

        Call it where a module is imported: ``pipeline.activate(lab, "lab", linking_module=__name__)``. Of a module that
        activates several, call it for those first that the others refer to.

        Parameters
        ----------
        element : module
            The module; its own ``activate`` is called, where it has one.
        schema : str
            The schema's name in ``SCHEMA_VERSIONS``.
        linking_module : str or module, optional
            Where the element finds the tables that it refers to.

        Returns
        -------
        datajoint.Schema
            The module's schema, activated.

        Raises
        ------
        PipelineError
            As :meth:`open_schema`; or if the module has no such schema, or another pipeline activated it.
        """
        from . import elements

        activated = elements.activate(element, self._place(schema), linking_module)
        known = self._elements.setdefault(schema, [])
        if element not in known:
            known.append(element)
        return activated

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
        self.require_made(chosen, "init")
        with self.declaring() as declare:
            return initialize(self.target(chosen), declare, report)

    def require_made(self, environment: Environment, action: str) -> None:
        """Refuse to make anything in the name of a git branch whose schemas ``branch create`` has not made.

        Nothing would mark them as the branch's, and objects would lie among those of ``dev``.
        """
        if environment.branch and branches.mark(self.connect(environment), self.project, environment.branch) is None:
            raise PipelineError(
                f"The branch {environment.branch} has no schemas yet.",
                f"{action} works on the schemas of the branch, and makes none.",
                f"Run {self._program(environment)} branch create.",
            )

    @contextmanager
    def opening(self, place: Callable[[str], dict[str, Any]]) -> Iterator[None]:
        """Let something else say where schemas are, as arguments of ``datajoint.Schema``; what is known of the database
        is asked again afterwards.
        """
        before, self._place = self._place, place
        try:
            yield
        finally:
            self._place, self._statuses = before, None

    @contextmanager
    def declaring(self) -> Iterator[Declare]:
        """Let importing a module make the tables that are missing, for as long as this holds; gives a function that
        imports a schema's modules.
        """
        from .declaring import declare

        modules, begin = self.modules_by_schema, list[Callable[[str], None]]()

        def begun_place(name: str) -> dict[str, Any]:
            if begin:  # else a module is imported on its own
                begin[-1](name)
            environment = self.select()
            return {
                "schema_name": environment.database(name),
                "connection": self.connect(environment),
                "create_tables": True,
            }

        def declare_schema(schema: str, begin_schema: Callable[[str], None]) -> list[ModuleType]:
            begin.append(begin_schema)
            for module in modules[schema]:
                declare(self.package, module, self.project.program)
            return self.import_schema(schema)

        with self.opening(begun_place):
            yield declare_schema

    @cached_property
    def graph(self) -> Graph:
        """The schema modules of the package as their sources show them, read once.

        Raises
        ------
        PipelineError
            If a module is not Python.
        """
        from . import graph

        return graph.read(self.project.directory)

    @property
    def modules_by_schema(self) -> dict[str, tuple[str, ...]]:
        """Give the modules that have tables of each schema, in dependency order; of each the one that opens it first.

        Modules are named below the package, such as ``acquisition.session``.

        Raises
        ------
        PipelineError
            If a schema has no module.
        """
        return self.graph.modules_by_schema(self.project.versions)

    @property
    def modules(self) -> dict[str, str]:
        """Give the first module of each schema, in dependency order.

        Raises
        ------
        PipelineError
            If a schema has no module.
        """
        return {schema: names[0] for schema, names in self.modules_by_schema.items()}

    def import_schema(self, schema: str) -> list[ModuleType]:
        """Import every module that has tables of a schema, and give them with those that they activated for it.

        Raises
        ------
        PipelineError
            If the schema has no module, or its database is not what the code needs.
        """
        modules = [import_module(f"{self.package}.{name}") for name in self.modules_by_schema[schema]]
        return list(dict.fromkeys([*modules, *self._elements.get(schema, [])]))

    def read_code(self) -> Code:
        """Read the tables as the code declares them, in a process of its own and without a server."""
        from ..internals import code

        return code.read(self.project.sources, "datajoint_pipeline.project.read_code")

    def require_fitting(self, environment: Environment) -> None:
        """Raise unless the database still has the version of every schema that the code has; a query or a few.

        Of what only deserves a warning, whoever imported the modules was told.

        Raises
        ------
        PipelineError
            Of the first schema that does not fit.
        """
        from ..planner.status import State
        from . import guard

        if os.environ.get(self.project.variable("UNGUARDED")):
            return
        target = self.target(environment)
        statuses = guard.survey(target)
        for name in self.project.versions:
            if statuses[name].state is not State.CURRENT:
                guard.require(target, statuses, name)

    def _guarded_place(self, name: str) -> dict[str, Any]:
        from . import guard

        environment = self.select()
        connection = self.connect(environment)
        if not os.environ.get(self.project.variable("UNGUARDED")):
            target = self.target(environment)
            with self._lock:
                if self._statuses is None:
                    self._statuses = guard.survey(target)
                others = environments.others(self.project, environment)
                guard.require(target, self._statuses, name, others=others)
        return {"schema_name": environment.database(name), "connection": connection, "create_schema": False}
