"""The environments of a project: which database a command works on.

``local`` is the embedded PostgreSQL of the project; ``dev`` and ``prod`` are the server that DataJoint's own
configuration names, and so is ``branch``: ``dev`` for one git branch (:mod:`branches`). ``environments.toml`` may name
more (:mod:`sites`). ``test`` is what the tests and ``check`` work in: on the embedded server a database of its own, on
a real one schemas of their own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..errors import PipelineError
from ..planner.target import BRANCH, DEV, LOCAL, PROD
from . import branches, settings, sites
from .project import Project
from .sites import Site

#: Environments that a person names; ``test`` is for tests.
NAMES = (LOCAL, DEV, BRANCH, PROD)


@dataclass(frozen=True)
class Environment:
    """A database that the pipeline lives in.

    Parameters
    ----------
    name : str
        ``local``, ``dev``, ``branch``, ``prod``, ``test``, or one that ``environments.toml`` names.
    prefix : str
        What stands before every schema's name on the server.
    embedded : bool
        Whether the server is the project's own.
    catalog : str
        Database of the embedded server; empty elsewhere.
    explicit : bool
        Whether a person named the environment on the very command, which changing a guarded one asks for.
    databases : mapping
        Name on the server of each schema that does not have the prefix and its own name there.
    branch : str
        The git branch; empty but for ``branch``.
    site : Site, optional
        What ``environments.toml`` says of it.
    """

    name: str
    prefix: str
    embedded: bool
    catalog: str = ""
    explicit: bool = False
    databases: Mapping[str, str] = field(default_factory=dict, hash=False)
    branch: str = ""
    site: Site | None = None

    @property
    def guarded(self) -> bool:
        """Whether changing it has to be said in words, and it knows no drafts."""
        return self.name == PROD if self.site is None else self.site.explicit

    def database(self, schema: str) -> str:
        """Name of a schema on the server."""
        return self.databases.get(schema, self.prefix + schema)


def find(
    project: Project, name: str | None = None, *, explicit: bool = False, branch: str | None = None
) -> Environment:
    """Give an environment of a project; without a name, the one that is meant by default.

    ``branch`` names the git branch of ``branch``, otherwise ``<PACKAGE>_BRANCH`` or the one that is checked out.

    Raises
    ------
    PipelineError
        If there is no such environment, or no such branch.
    """
    asked = name or os.environ.get(project.variable("ENV"))
    name = asked or project.default_environment
    match name:
        case "local":
            return _make(project, name, "", "pipeline", explicit)
        case "dev":
            return _make(project, name, "dev_", "", explicit)
        case "branch":
            found = branches.name_of(project, branch)
            return _make(project, name, branches.prefix(project, found), "", explicit, found)
        case "prod":
            return _make(project, name, "", "", explicit)
        case "test":
            token = os.environ.get(project.variable("TEST_ID"), "run")
            catalog = "" if os.environ.get("DJ_HOST") else f"test_{token}"
            return _make(project, name, f"test_{token}_", catalog, explicit)
    named = sites.read(project)
    if name in named:
        return replace(_make(project, name, named[name].prefix, "", explicit), site=named[name])
    source = f"--env or {project.variable('ENV')}" if asked else "default_environment in the package's __init__.py"
    raise PipelineError(
        f"There is no environment {name!r}.",
        f"It was named by {source}; there are {', '.join([*NAMES, *named])}.",
        f"Run for example {project.program} --env local status.",
    )


def others(project: Project, environment: Environment) -> str:
    """Say how scripts and notebooks get to the lab's database, where nobody chose the environment and it is another;
    nothing where no server is named.
    """
    variable = project.variable("ENV")
    if environment.guarded or environment.explicit or os.environ.get(variable):
        return ""
    if environment.embedded and not settings.names_server(project):
        return ""
    return f"{environment.name} was used by default; the lab's database is that of prod: set {variable}=prod."


def _make(project: Project, name: str, before: str, catalog: str, explicit: bool, branch: str = "") -> Environment:
    """Make an environment that has some letters before every name; on the embedded server where there is a catalog.

    That one is the project's own, so names that schemas have on the lab's server mean nothing there; DataJoint finds no
    tables behind some of them on PostgreSQL.
    """
    databases = {} if catalog else {schema: before + name for schema, name in project.databases.items()}
    return Environment(name, before + project.prefix, bool(catalog), catalog, explicit, databases, branch=branch)


def require_explicit(project: Project, environment: Environment, action: str) -> None:
    """Refuse to change ``prod``, or another guarded environment, unless the command itself names it."""
    name = environment.name
    if environment.guarded and not environment.explicit:
        raise PipelineError(
            f"{action} changes {name}, and this command does not say --env {name}.",
            f"{name} was meant by {project.variable('ENV')} or by default, which is easily forgotten.",
            f"If {name} is what you mean: {project.program} --env {name} {action}",
        )
