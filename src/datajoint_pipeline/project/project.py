"""A project's package, folder, schemas and versions. Knows no database."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from packaging.version import InvalidVersion, Version

from ..errors import PipelineError
from ..history.files import Files
from ..internals.sources import Sources

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
        The environment that is meant where neither a command nor a variable names one.
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
    def files(self) -> Files:
        """Give the place of the schemas' history on disk; an installed wheel is not edited."""
        return Files(
            self.directory / "migrations",
            self.directory / "version.py",
            self.versions,
            self.command,
            editable=self.directory.is_relative_to(self.root),
        )

    @property
    def sources(self) -> Sources:
        """Give the place of the code."""
        return Sources(self.package, self.directory, self.root)

    @property
    def local_directory(self) -> Path:
        """Give the folder of the embedded server and of the stores of ``local``."""
        return self.root / ".local"


def describe(
    package: str,
    *,
    versions: object = None,
    prefix: str | None = None,
    default_environment: str | None = None,
    command: str | None = None,
) -> Project:
    """Describe a project; what is None is read from its package (``SCHEMA_VERSIONS`` and so on).

    Raises
    ------
    PipelineError
        If the versions are not a dictionary of versions.
    """
    module = import_module(package)
    directory = Path(str(module.__file__)).resolve().parent
    checked = check_versions(module.SCHEMA_VERSIONS if versions is None else versions)
    return Project(
        package=package,
        command=command or str(getattr(module, "COMMAND", package.replace("_", "-"))),
        directory=directory,
        root=_root(directory),
        prefix=getattr(module, "SCHEMA_PREFIX", "") if prefix is None else prefix,
        default_environment=default_environment or str(getattr(module, "DEFAULT_ENVIRONMENT", "local")),
        versions=checked,
    )


def _root(directory: Path) -> Path:
    # An editable install knows its project; a wheel belongs to the one whose configuration is nearest.
    for folder in (*directory.parents[:2], Path.cwd(), *Path.cwd().parents):
        if (folder / CONFIG_FILE).is_file():
            return folder
    return Path.cwd()


def check_versions(versions: object) -> dict[str, str]:
    """Give ``SCHEMA_VERSIONS`` as it is; raise where ``SCHEMA_VERSIONS`` is not what it should be."""
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
    return dict(versions)
