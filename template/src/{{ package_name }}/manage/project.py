"""What a project says of itself: its package, its folder, its schemas and their versions. Knows no database."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

from packaging.version import InvalidVersion, Version

from .errors import PipelineError

#: DataJoint's own configuration file; the folder that holds it is the project's.
CONFIG_FILE = "datajoint.json"


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
        The environment that is meant when nothing is said.
    versions : dict
        Version of each schema, in dependency order, as ``version.py`` has them.
    """

    package: str
    command: str
    directory: Path
    root: Path
    prefix: str
    default_environment: str
    versions: dict[str, str]

    def variable(self, name: str) -> str:
        """Name of an environment variable of this project, such as ``MY_PIPELINE_ENV``."""
        return f"{self.package.upper()}_{name}"

    @property
    def local_directory(self) -> Path:
        """The folder of the embedded server and of the stores of ``local``."""
        return self.root / ".local"


@cache
def current() -> Project:
    """The project that this management code is part of.

    Raises
    ------
    PipelineError
        If ``SCHEMA_VERSIONS`` is not a dictionary of versions.
    """
    package = import_module(__package__.rpartition(".")[0])
    directory = Path(str(package.__file__)).resolve().parent
    versions: dict[str, str] = package.SCHEMA_VERSIONS
    check_versions(versions)
    return Project(
        package=package.__name__,
        command=package.COMMAND,
        directory=directory,
        root=_root(directory),
        prefix=package.SCHEMA_PREFIX,
        default_environment=package.DEFAULT_ENVIRONMENT,
        versions=dict(versions),
    )


def _root(directory: Path) -> Path:
    # An editable install knows its project; a wheel belongs to the one whose configuration is nearest.
    for folder in (*directory.parents[:2], Path.cwd(), *Path.cwd().parents):
        if (folder / CONFIG_FILE).is_file():
            return folder
    return Path.cwd()


def check_versions(versions: object) -> None:
    """Raise where ``SCHEMA_VERSIONS`` is not what it should be."""
    do = 'Write it in version.py as SCHEMA_VERSIONS = {"subject": "1.0.0", ...}, parents before children.'
    if not isinstance(versions, dict):
        raise PipelineError("SCHEMA_VERSIONS is not a dictionary.", f"It is of type {type(versions).__name__}.", do)
    for name, version in versions.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise PipelineError(f"SCHEMA_VERSIONS names {name!r}.", "That is not the name of a module.", do)
        try:
            Version(version)
        except (InvalidVersion, TypeError):
            raise PipelineError(f"SCHEMA_VERSIONS gives {name} no version.", f"{version!r} is not one.", do) from None


@cache
def code_commit(root: Path) -> str:
    """The git commit of a folder, ``+`` behind it where files differ from it; empty outside a repository."""
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"],
            cwd=root,
            env={name: value for name, value in os.environ.items() if not name.startswith("DJ_")},
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return commit.stdout.strip() if commit.returncode == 0 else ""
