"""A project's package, folder, schemas and versions. Knows no database."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from packaging.version import InvalidVersion, Version

from ..errors import PipelineError
from ..history.files import Files
from ..internals.sources import Sources
from . import started

#: DataJoint's own configuration file; the folder that holds it is the project's.
CONFIG_FILE = "datajoint.json"

#: Folders that packages are installed into; Debian calls its own the second.
_INSTALLED = frozenset({"site-packages", "dist-packages"})

#: Names that both servers take, in quotes.
_DATABASE = re.compile(r"[\w$-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class Project:
    """A pipeline project.

    Parameters
    ----------
    package : str
        Import name of the package.
    command : str
        Name of the console script.
    directory : Path
        Folder of the package's modules.
    root : Path
        The project's folder, which holds ``datajoint.json``; the working directory for an installed wheel without one.
    prefix : str
        What stands before every schema's name on the server.
    default_environment : str
        The environment that is meant where neither a command nor a variable names one.
    versions : dict
        Version of each schema, in dependency order, as ``version.py`` has them.
    databases : dict
        Name on the server of each schema that does not have the prefix and its own name there.
    """

    package: str
    command: str
    directory: Path
    root: Path
    prefix: str
    default_environment: str
    versions: dict[str, str]
    databases: dict[str, str] = field(default_factory=dict)

    def database(self, schema: str) -> str:
        """Give the name of a schema on the server, but for what an environment puts before it."""
        return self.databases.get(schema, self.prefix + schema)

    @property
    def program(self) -> str:
        """Give what people type to run a command, as this process was started."""
        return started.program(self.package, self.command)

    def path_of(self, name: str) -> str:
        """Give the path, from the project's folder, of a file that a finding calls by its module, or its name."""
        module = self.directory.joinpath(*name.split("." if "/" not in name else "/"))  # a migration's has dots in it
        modules = (module.with_name(f"{module.name}.py"), module / "__init__.py")
        places = (self.root / name, self.directory / name, *modules)
        found = next((place for place in places if place.is_file()), None)
        return name if found is None else os.path.relpath(found, self.root)

    def module_of(self, path: Path) -> str:
        """Give the name of a module below the package by its file."""
        parts = Path(os.path.relpath(path, self.directory)).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def variable(self, name: str) -> str:
        """Name of an environment variable of this project, such as ``MY_PIPELINE_ENV``."""
        return f"{self.package.upper()}_{name}"

    @property
    def files(self) -> Files:
        """Give the place of the schemas' history on disk; an installed wheel is not edited, also where its environment
        stands in the project."""
        ours = self.root in self.directory.parents
        return Files(
            self.directory / "migrations",
            self.directory / "version.py",
            self.versions,
            self.command,
            editable=ours and _INSTALLED.isdisjoint(self.directory.relative_to(self.root).parts),
        )

    def require_editable(self) -> None:
        """Refuse to write into an installed wheel.

        Raises
        ------
        PipelineError
            If the package is one.
        """
        if not self.files.editable:
            raise PipelineError(
                f"{self.package} is installed in {self.directory.parent}, where it is not edited.",
                "The command writes into the project's own files; nothing was written.",
                "Run it in the project's folder, once uv sync was run there.",
            )

    @property
    def sources(self) -> Sources:
        """Give the place of the code."""
        return Sources(self.package, self.directory, self.root)

    @property
    def local_directory(self) -> Path:
        """Give the folder of the embedded server and of the stores of ``local``."""
        return self.root / ".local"

    @property
    def backups(self) -> Path:
        """Give the folder of what is kept before it is lost."""
        return self.root / "backups"


def describe(
    package: str,
    *,
    versions: object = None,
    prefix: str | None = None,
    default_environment: str | None = None,
    command: str | None = None,
    databases: object = None,
) -> Project:
    """Describe a project; what is None is read from its package (``SCHEMA_VERSIONS`` and so on).

    Raises
    ------
    PipelineError
        If there is no such package, the versions are not a dictionary of versions, the databases not one of names, or
        another value is not text.
    """
    module = import_package(package)
    if not module.__file__:
        raise PipelineError(
            f"The package {package} has no __init__.py.",
            f"Python takes the folder {package} for a namespace, or the name for a module of its own.",
            'Write __init__.py, and give Pipeline its package as "__name__" there.',
        )
    directory = Path(module.__file__).resolve().parent
    checked = check_versions(getattr(module, "SCHEMA_VERSIONS", None) if versions is None else versions)
    texts: dict[str, Any] = {
        "prefix": getattr(module, "SCHEMA_PREFIX", "") if prefix is None else prefix,
        "default_environment": default_environment or getattr(module, "DEFAULT_ENVIRONMENT", "local"),
        "command": command or getattr(module, "COMMAND", package.replace("_", "-")),
    }
    for name, text in texts.items():
        if not isinstance(text, str):
            do = f"Write it as in Pipeline(__name__, {name}='...')."
            raise PipelineError(f"The {name} of {package} is not text.", f"It is {text!r}.", do)
    project = Project(package=package, directory=directory, root=_root(directory), versions=checked, **texts)
    named = _named_databases(module) if databases is None else databases
    return replace(project, databases=_check_databases(project, named))


def _named_databases(package: ModuleType) -> object:
    """Give ``SCHEMA_DATABASES`` of a package or of its version.py, where there is one."""
    if hasattr(package, "SCHEMA_DATABASES"):
        return package.SCHEMA_DATABASES
    try:
        version = import_module(f"{package.__name__}.version")
    except ModuleNotFoundError as error:
        if error.name != f"{package.__name__}.version":
            raise
        return {}
    return getattr(version, "SCHEMA_DATABASES", {})


def import_package(package: str) -> ModuleType:
    """Import the package of a pipeline.

    Raises
    ------
    PipelineError
        If there is none of this name; what its own code raises passes.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package.split(".")[0] and error.name != package:  # something that the package imports
            raise
        do = "Install the project (uv sync), or correct the name."
        raise PipelineError(f"There is no package {package}.", f"{error}.", do) from None


def _root(directory: Path) -> Path:
    # An editable install knows its project; a wheel belongs to the one whose configuration is nearest.
    above = 4 if _INSTALLED.isdisjoint(directory.parts) else 2  # such as code/python/
    for folder in (*directory.parents[:above], Path.cwd(), *Path.cwd().parents):
        if (folder / CONFIG_FILE).is_file():
            return folder
    return Path.cwd()


def check_versions(versions: object) -> dict[str, str]:
    """Give ``SCHEMA_VERSIONS`` as it is; raise where ``SCHEMA_VERSIONS`` is not what it should be."""
    do = 'Write it in version.py as SCHEMA_VERSIONS = {"subject": "1.0.0", ...}, parents before children.'
    if versions is None:
        raise PipelineError("The package has no SCHEMA_VERSIONS.", "Neither does Pipeline get `versions`.", do)
    if not isinstance(versions, Mapping):
        raise PipelineError("SCHEMA_VERSIONS is not a dictionary.", f"It is of type {type(versions).__name__}.", do)
    for name, version in versions.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise PipelineError(f"SCHEMA_VERSIONS names {name!r}.", "That is not the name of a module.", do)
        try:
            Version(version)
        except (InvalidVersion, TypeError):
            raise PipelineError(f"SCHEMA_VERSIONS gives {name} no version.", f"{version!r} is not one.", do) from None
    return dict(versions)


def _check_databases(project: Project, databases: object) -> dict[str, str]:
    """Give ``SCHEMA_DATABASES`` as it is; raise where it is not what it should be."""
    do = 'Write it in version.py as SCHEMA_DATABASES = {"session": "Lab_Sessions"}: the schema, its name on the server.'
    if not isinstance(databases, Mapping):
        raise PipelineError("SCHEMA_DATABASES is not a dictionary.", f"It is of type {type(databases).__name__}.", do)
    for schema, database in databases.items():
        # One that left the code keeps the name that its migrations are about.
        if schema not in project.versions and not (project.directory / "migrations" / str(schema)).is_dir():
            raise PipelineError(f"SCHEMA_DATABASES names {schema!r}.", "SCHEMA_VERSIONS has no such schema.", do)
        if not isinstance(database, str) or not _DATABASE.fullmatch(database):
            why = f"{database!r} is not 1 to 64 letters, digits, _, $ and -."
            raise PipelineError(f"SCHEMA_DATABASES gives {schema} no name that a server takes.", why, do)
    found = {schema: databases.get(schema, project.prefix + schema) for schema in {**project.versions, **databases}}
    for schema, database in found.items():
        if other := next((name for name in found if name != schema and found[name] == database), None):
            why = f"{schema} and {other} would both be {database}."
            raise PipelineError("SCHEMA_DATABASES gives two schemas one database.", why, do)
    return dict(databases)
