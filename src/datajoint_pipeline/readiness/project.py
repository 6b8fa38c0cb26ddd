"""Find the pipeline of a repository: its package, names and prefix, from what the repository itself shows."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import ExitCode, PipelineError
from . import answers, configuration
from .source import LIBRARY_FOLDERS, NOT_SCHEMAS, Module, known_text, parse, read

#: Folders whose packages are looked for, in this order; the first is where a package is to be.
_PLACES = ("src", ".", "python")

#: Folders that hold no package of the lab's.
_NOT_PACKAGES = {
    *("adoption", "benchmarks", "bin", "build", "conf", "config", "data", "deploy", "dist", "doc", "docs", "env"),
    *("examples", "images", "node_modules", "notebooks", "python", "scripts", "site-packages", "src", "test", "tests"),
    *("tools", "venv"),
}


@dataclass
class Project:
    """The pipeline of a repository.

    ``home`` is where the package is to be, ``folder`` where its modules are now. ``copied`` tells whether the template
    was copied over the repository.
    """

    root: Path
    package: str
    name: str
    command: str
    prefix: str
    environment: str
    copied: bool = False

    @property
    def home(self) -> Path:
        """Return the folder in which the package is to be."""
        return self.root / "src" / self.package

    @property
    def elsewhere(self) -> Path:
        """Return the folder outside ``src/`` that holds the package, or would hold it."""
        others = [self.root / place / self.package for place in _PLACES[1:]]
        return next((folder for folder in others if holds_package(folder)), others[0])

    @property
    def folder(self) -> Path:
        """Return the folder in which the modules are now."""
        return self.elsewhere if holds_package(self.elsewhere) and not modules_in(self.home) else self.home

    @property
    def version_file(self) -> Path:
        """Return the file of the versions."""
        return self.own_file("version.py")

    @property
    def has_manage(self) -> bool:
        """Return whether it keeps the folder ``manage/`` of a project that was made before release 0.6."""
        return (self.home / "manage" / "__init__.py").is_file()

    def own_file(self, name: str) -> Path:
        """Return a file of the package; one that is missing is to be made in its final place."""
        own = self.folder / name
        return own if own.is_file() else self.home / name

    def shown(self, path: Path) -> str:
        """Return a path as the report names it."""
        return path.relative_to(self.root).as_posix()


def modules_in(folder: Path) -> list[Path]:
    """Return the modules that stand directly in a folder and may hold a schema."""
    return [path for path in sorted(folder.glob("*.py")) if path.stem not in NOT_SCHEMAS and path.is_file()]


def holds_package(folder: Path) -> bool:
    """Return whether a folder is a package, or has modules of one."""
    return (folder / "__init__.py").is_file() or bool(modules_in(folder))


def find(root: Path, package: str | None = None) -> Project:
    """Return the pipeline of a repository.

    Parameters
    ----------
    root : Path
        The folder of the repository.
    package : str, optional
        The name of the package, where the repository does not show it.

    Raises
    ------
    PipelineError
        If no package is found, or several are, or a configuration cannot be read.
    """
    root = root.resolve()
    answered = answers.find(root)
    name = answered.get("project_name") or _distribution(root)
    package = package or answered.get("package_name") or _only_package(root, name)
    if not package.isidentifier():
        raise PipelineError(
            f"{package} is not the name of a package.",
            "A package is imported by its name, which is made of letters, digits and _.",
            "Give the name as it stands in import statements.",
            exit_code=ExitCode.USAGE,
        )
    name = name or package
    project = Project(root, package, name, re.sub(r"[_.]", "-", name.lower()), "", "", bool(answered))
    former = configuration.read(root) or {}
    explicit = _explicit_prefix(project)
    project.prefix = (
        (answered.get("schema_prefix") or configuration.prefix_of(former)) if explicit is None else explicit
    )
    project.environment = answered.get("default_environment") or ("dev" if _names_server(former) else "local")
    return project


# --- The package -----------------------------------------------------------------------------------------------------


def _only_package(root: Path, name: str) -> str:
    """Return the one package that holds schemas; of several, the one that the distribution is named after."""
    found = next(filter(None, (_packages(root / place) for place in _PLACES)), [])
    named = re.sub(r"[-.]", "_", name.lower())
    if len(found) == 1 or named in found:
        return found[0] if len(found) == 1 else named
    if found:
        raise PipelineError(
            f"Several packages hold schemas: {', '.join(found)}.",
            "The report is about one package, and neither answers of the template nor pyproject.toml say which.",
            f"Name it, as in --package {found[0]}.",
            exit_code=ExitCode.USAGE,
        )
    others = using_datajoint(root)
    where = f"DataJoint is used in {', '.join(others[:5])}" if others else "No file imports DataJoint"
    raise PipelineError(
        f"No package that holds a schema was found in {root}.",
        f"Packages are looked for in src/, beside it and in python/. {where}.",
        "Name the folder of the repository, or its package by --package NAME.",
    )


def _packages(folder: Path) -> list[str]:
    """Return the names of the packages in a folder that open schemas; those with ``__init__.py`` if there are any."""
    found = []
    for inner in sorted(folder.iterdir()) if folder.is_dir() else []:
        known = inner.name in _NOT_PACKAGES or not inner.name.isidentifier()
        if known or not inner.is_dir() or (inner / "pyvenv.cfg").is_file():
            continue
        if any(_holds_schema(path) for path in files_in(inner) if not _of_library(path, inner)):
            found.append(inner)
    importable = [inner.name for inner in found if (inner / "__init__.py").is_file()]
    return importable or [inner.name for inner in found]


def _of_library(path: Path, package: Path) -> bool:
    return path.relative_to(package).parts[0] in LIBRARY_FOLDERS


def _holds_schema(path: Path) -> bool:
    text = text_of(path)
    if "datajoint" not in text and "open_schema" not in text:
        return False
    try:
        module = read(path, path.name)
    except SyntaxError:
        return False
    return module.is_schema or bool(module.definitions)


def using_datajoint(root: Path) -> list[str]:
    """Return the folders with files that import DataJoint, as the report names them."""
    found = set()
    for path in files_in(root):
        parts = path.relative_to(root).parts
        if parts[0] in ("tests", "notebooks") or any(part.startswith(".") or part == "manage" for part in parts):
            continue
        if re.search(r"^\s*(import|from) datajoint\b", text_of(path), re.MULTILINE):
            found.add(path.parent.relative_to(root).as_posix())
    return sorted(found)


# --- What it declares ----------------------------------------------------------------------------------------------


def _distribution(root: Path) -> str:
    """Return the name of the distribution, empty where nothing tells it."""
    project = re.search(r"^\[project\](.*?)(?=^\[|\Z)", text_of(root / "pyproject.toml"), re.MULTILINE | re.DOTALL)
    places = (
        (project[1] if project else "", r"""^name\s*=\s*["']([\w.-]+)["']"""),
        (text_of(root / "setup.py"), r"""\bname\s*=\s*["']([\w.-]+)["']"""),
        (text_of(root / "setup.cfg"), r"^name\s*=\s*([\w.-]+)\s*$"),
    )
    for text, pattern in places:
        if match := re.search(pattern, text, re.MULTILINE):
            return match[1]
    return ""


def _explicit_prefix(project: Project) -> str | None:
    """Return the prefix that ``__init__.py`` gives, None where it gives none."""
    try:
        tree = parse(text_of(project.folder / "__init__.py"))
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Pipeline":
            for keyword in node.keywords:
                if keyword.arg == "prefix":
                    text, whole = known_text(tree, keyword.value)
                    return text if whole else None
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "SCHEMA_PREFIX" for t in node.targets):
            text, whole = known_text(tree, node.value)
            return text if whole else None
    return None


def _names_server(former: Mapping[str, object]) -> bool:
    return former.get("database.host") not in (None, "", "localhost", "127.0.0.1")


def files(project: Project) -> tuple[list[Module], list[Module], list[tuple[str, int, str]]]:
    """Read the package.

    Returns
    -------
    tuple
        The modules at its top level, every module, and (path, line, reason) of each file that is not Python.
    """
    top, every, unread = list[Module](), list[Module](), list[tuple[str, int, str]]()
    for folder in dict.fromkeys((project.home, project.folder, project.elsewhere)):
        siblings = frozenset(path.stem for path in modules_in(folder))
        for path in files_in(folder):
            inside = path.relative_to(folder).parts
            if inside[0] in LIBRARY_FOLDERS and folder == project.home:
                continue
            try:
                module = read(path, project.shown(path), project.package, siblings if len(inside) == 1 else frozenset())
            except SyntaxError as error:
                unread.append((project.shown(path), error.lineno or 1, error.msg))
                continue
            every.append(module)
            if len(inside) == 1 and path.stem not in NOT_SCHEMAS:
                top.append(module)
    return top, every, unread


# --- Small things ----------------------------------------------------------------------------------------------------


def files_in(folder: Path) -> list[Path]:
    """Return the Python files in a folder and in those within; no dangling links and no pipes, which never end."""
    return [path for path in sorted(folder.rglob("*.py")) if path.is_file()]


def text_of(path: Path) -> str:
    """Return the text of a file, empty where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    except OSError:
        return ""


def line_of(text: str, begin: str) -> int:
    """Return the number of the first line that begins so; 1 where there is none."""
    lines = text.splitlines()
    return next((number for number, line in enumerate(lines, 1) if line.strip().startswith(begin)), 1)


def version_of(project: Project) -> str:
    """Return the version that the project's own files give it."""
    names = (
        "pyproject.toml",
        "setup.cfg",
        "setup.py",
        f"{project.package}/version.py",
        f"{project.package}/__init__.py",
    )
    for name in names:
        if match := re.search(r"""\b(?:__)?version(?:__)?\s*=\s*["']?(\d[\w.+-]*)""", text_of(project.root / name)):
            return match[1]
    return "0.1.0"


def in_git(root: Path, name: str, *, now: bool = False) -> bool:
    """Return whether git has a file in its history, or with ``now`` whether it takes it into the next commit."""
    command = ["git", "ls-files", "--", name] if now else ["git", "log", "--oneline", "--all", "-n1", "--", name]
    try:
        found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return False
    return found.returncode == 0 and bool(found.stdout.strip())
