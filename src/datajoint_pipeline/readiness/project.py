"""Find the pipeline of a repository: its package, names and prefix, from what the repository itself shows."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from ..errors import ExitCode, PipelineError
from . import answers, configuration, naming, notebooks
from .schemas import common_prefix, openings_of
from .source import LIBRARY_FOLDERS, Module, parse, read

#: Folders whose packages are looked for first, in this order.
_PLACES = ("src", ".", "python")

#: Folders that hold no package of the lab's, unless there is no other.
_NOT_PACKAGES = {
    *("adoption", "benchmarks", "bin", "config", "data", "deploy", "doc", "docs", "env", "examples", "images"),
    *("notebooks", "scripts", "test", "tests", "tools"),
}

#: Folders in which nothing is the lab's.
_SKIPPED = {"node_modules", "site-packages", "build", "dist", "venv", "__pycache__"}

#: Package names that the template takes.
_PACKAGE = re.compile(r"[a-z](_?[a-z0-9]){1,39}")

#: A table class of DataJoint for MATLAB.
_MATLAB = re.compile(r"^\s*classdef\b.*<.*\bdj\.\w+", re.MULTILINE)


@dataclass
class Project:
    """The pipeline of a repository.

    ``folder`` is where the modules are, ``home`` where the template has the package, or would have it. ``copied`` tells
    whether the template was copied over the repository.
    """

    root: Path
    package: str
    name: str
    command: str
    prefix: str
    environment: str
    folder: Path
    home: Path
    copied: bool = False
    #: Whether the prefix was said, and is not to be guessed.
    settled: bool = False

    @property
    def source_folder(self) -> str:
        """Return the folder that holds the package, as the template's question ``source_folder`` has it."""
        return self.shown(self.home.parent)

    @property
    def is_scattered(self) -> bool:
        """Return whether its modules stand at the root of the repository, where no package can be."""
        return self.folder == self.root

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
        return own if own.is_file() and not self.is_scattered else self.home / name

    def shown(self, path: Path) -> str:
        """Return a path as the report names it."""
        return path.relative_to(self.root).as_posix()


@dataclass
class Reading:
    """What was read of a repository.

    ``modules`` are those of the package, ``beside`` scripts and notebooks; ``broken`` has (path, line, reason) of each
    file of the package that is not Python; ``unseen`` are the files that use DataJoint and were not looked at.
    """

    modules: list[Module]
    beside: list[Module]
    broken: list[tuple[str, int, str]]
    unseen: list[str]


def find(root: Path, package: str | None = None) -> Project:
    """Return the pipeline of a repository.

    Parameters
    ----------
    root : Path
        The folder of the repository.
    package : str, optional
        The name of the package or its folder, where the repository does not show it.

    Raises
    ------
    PipelineError
        If no package is found, or several are, or a configuration cannot be read.
    """
    root = root.resolve()
    answered = answers.find(root)
    name = answered.get("project_name") or _distribution(root)
    wanted = package or answered.get("package_name") or ""
    if wanted and not all(part.isidentifier() for part in wanted.strip("/").split("/")):
        raise PipelineError(
            f"{wanted} is not the name of a package.",
            "A package is imported by its name, which is made of letters, digits and _.",
            "Give the name as it stands in import statements.",
            exit_code=ExitCode.USAGE,
        )
    folder = _folder(root, wanted.strip("/"), name)
    package = folder.name
    if folder == root:
        package = wanted or _proposed(name, root.name)
    name = name or package
    home = folder if folder != root else root / "src" / package
    if answered:
        package = answered.get("package_name") or package
        home = root / (answered.get("source_folder") or "src") / package
    command = re.sub(r"[_.]", "-", name.lower())
    project = Project(root, package, name, command, "", "", folder, home, bool(answered))
    former = configuration.read(root) or {}
    explicit = _explicit_prefix(project)
    project.prefix = (
        (answered.get("schema_prefix") or configuration.prefix_of(former)) if explicit is None else explicit
    )
    project.settled = bool(answered or project.prefix or explicit is not None)
    project.environment = answered.get("default_environment") or ("dev" if _names_server(root, former) else "local")
    return project


def _proposed(*names: str) -> str:
    """Return the first of these that the template takes for a package, in small letters."""
    plain = [re.sub(r"\W+", "_", name.lower()).strip("_") for name in names]
    return next((name for name in plain if _PACKAGE.fullmatch(name)), "my_pipeline")


def is_package_name(name: str) -> bool:
    """Return whether the template takes a name for a package."""
    return _PACKAGE.fullmatch(name) is not None


# --- The package -----------------------------------------------------------------------------------------------------


def _folder(root: Path, wanted: str, name: str) -> Path:
    """Return the folder of the package: the one that is named, or the one that holds schemas."""
    found = packages(root)
    if wanted:
        for folder in (*found, *(root / place / wanted for place in _PLACES)):
            shown = folder.relative_to(root).as_posix()
            if (folder in found and folder.name == wanted) or (shown == wanted and folder.is_dir()):
                return folder
        scattered = found == [root]
        return root if scattered else root / "src" / wanted.rpartition("/")[2]
    named = re.sub(r"[-.]", "_", name.lower())
    best = [folder for folder in found if folder.name == named] if len(found) > 1 else found
    if best:
        return best[0]
    if found:
        names = [folder.relative_to(root).as_posix() for folder in found]
        if (joined := _joined(found)) and (moved := [path.relative_to(root).as_posix() for path in joined]):
            home = f"src/{_proposed(name, root.name)}"
            raise PipelineError(
                f"Several packages hold schemas: {', '.join(names)}.",
                "They import each other, so they are one pipeline.",
                f"Put them into one package, then run this again: mkdir -p {home} && git mv {' '.join(moved)} {home}/",
                exit_code=ExitCode.USAGE,
            )
        raise PipelineError(
            f"Several packages hold schemas: {', '.join(names)}.",
            "The report is about one package, and neither answers of the template nor pyproject.toml say which.",
            f"Name it, as in --package {names[0]}.",
            exit_code=ExitCode.USAGE,
        )
    matlab = sum(_MATLAB.search(text_of(path)) is not None for path in files_in(root, "*.m"))
    if matlab and not using_datajoint(root):
        files = "1 file has" if matlab == 1 else f"{matlab} files have"
        raise PipelineError(
            f"No package that holds a schema was found in {root}.",
            f"{files} tables of DataJoint for MATLAB, and the library works with tables in Python.",
            "Write them as Python classes; describe() gives the definition of a table that a database has, by "
            "dj.VirtualModule.",
        )
    others = using_datajoint(root)
    where = f"DataJoint is used in {', '.join(others[:5])}" if others else "No file imports DataJoint"
    raise PipelineError(
        f"No package that holds a schema was found in {root}.",
        f"Packages are looked for in every folder. {where}.",
        "Name the folder of the repository, or its package by --package NAME.",
    )


def _joined(found: list[Path]) -> list[Path]:
    """Return folders that stand side by side and import each other, or modules beside them, with those modules.

    Nothing where one of them neither imports nor is imported.
    """
    place = found[0].parent
    if any(folder.parent != place for folder in found):
        return []
    links = {folder: _imported(folder) for folder in found}
    joined, left = set[Path](), [found[0]]
    beside = dict[Path, set[Path]]()
    while left:
        path = left.pop()
        joined.add(path)
        beside.setdefault(path, links.get(path) or _imported(path))
        importing = {folder for folder in found if path in links[folder]}
        left += [other for other in beside[path] | importing if other not in joined and other not in left]
    return sorted(joined, key=lambda path: (path.is_file(), path)) if joined >= set(found) else []


def _imported(path: Path) -> set[Path]:
    """Return the folders and files beside a folder or file that it imports by their names."""
    found = set[Path]()
    for file in files_in(path) if path.is_dir() else [path]:
        try:
            tree = parse(text_of(file))
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            names = [item.name for item in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in names:
                other = path.parent / name.partition(".")[0]
                found |= {one for one in (other, other.with_suffix(".py")) if name and one.exists() and one != path}
    return found


def packages(root: Path) -> list[Path]:
    """Return the packages of a repository that open schemas, of the most usual place in which there are any.

    Those with ``__init__.py`` come before others; the root itself stands for modules that are in no folder.
    """
    found = list(dict.fromkeys(_package_of(path, root) for path in files_in(root) if _holds_schema(path)))
    usual = [[f for f in found if f.parent == root / place and f.name not in _NOT_PACKAGES] for place in _PLACES]
    elsewhere = [f for f in found if f != root and not _NOT_PACKAGES & set(f.relative_to(root).parts)]
    scattered = [f for f in found if f == root]
    mine = next(filter(None, (*usual, elsewhere, scattered)), [])
    return [folder for folder in mine if (folder / "__init__.py").is_file()] or mine


def _package_of(path: Path, root: Path) -> Path:
    """Return the outermost package that a file belongs to; its folder where it belongs to none."""
    folder = path.parent
    while folder != root and ((folder.parent / "__init__.py").is_file() or folder.name in LIBRARY_FOLDERS):
        folder = folder.parent
    return folder if folder != root or path.parent == root else path.parent


def _holds_schema(path: Path) -> bool:
    text = text_of(path)
    if "datajoint" not in text and "open_schema" not in text:
        return False
    try:
        module = read(path, path.name)
    except SyntaxError:
        return False
    return bool(module.definitions) or bool(openings_of(module) and not module.classes)


def using_datajoint(root: Path) -> list[str]:
    """Return the folders with files that import DataJoint, as the report names them."""
    found = set()
    for path in files_in(root):
        parts = path.relative_to(root).parts
        if parts[0] not in ("tests", "notebooks") and "manage" not in parts and _imports_datajoint(text_of(path)):
            found.add(path.parent.relative_to(root).as_posix())
    return sorted(found)


def _imports_datajoint(text: str) -> bool:
    return re.search(r"^\s*(import|from) datajoint\b", text, re.MULTILINE) is not None


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
    path = project.folder / "__init__.py"
    try:
        tree = parse(text_of(path))
    except SyntaxError:
        return None
    module = Module(path, path.name, tree, "")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Pipeline":
            for keyword in node.keywords:
                if keyword.arg == "prefix":
                    text, whole = naming.known(module, keyword.value)
                    return text if whole else None
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "SCHEMA_PREFIX" for t in node.targets):
            text, whole = naming.known(module, node.value)
            return text if whole else None
    return None


def _names_server(root: Path, former: Mapping[str, object]) -> bool:
    """Tell whether the configuration of 0.14, or that of DataJoint 2, names a server."""
    named = [former.get("database.host"), configuration.current(root).get("host")]
    return any(host not in (None, "", "localhost", "127.0.0.1") for host in named)


def files(project: Project) -> Reading:
    """Read the package, and scripts and notebooks beside it; what all its databases begin with becomes the prefix."""
    reading = Reading([], [], [], [])
    others: dict[str, Module] = {}
    for path, name in _of_package(project):
        try:
            others[name] = read(path, project.shown(path), project.package, name, others)
        except SyntaxError as error:
            reading.broken.append((project.shown(path), error.lineno or 1, error.msg))
    reading.modules = [others[name] for name in others]
    if not project.settled:
        project.prefix = common_prefix(reading.modules)
    mine = {module.path for module in reading.modules} | {project.root / path for path, _, _ in reading.broken}
    for path in files_in(project.root, "*.py", "*.ipynb", "*.m"):
        if path not in mine and not _of_library(path, project):
            _read_beside(project, path, others, reading)
    return reading


def _of_package(project: Project) -> Iterator[tuple[Path, str]]:
    """Yield each file of the package and its name within it; of a whole repository only those at its top."""
    folders = dict.fromkeys((project.folder, project.home))
    names = set[str]()
    for folder in folders:
        paths = sorted(folder.glob("*.py")) if folder == project.root else files_in(folder)
        for path in paths:
            inside = path.relative_to(folder).with_suffix("").parts
            ours = inside[0] in LIBRARY_FOLDERS and folder == project.home
            if ours or not path.is_file():
                continue
            name = ".".join(inside[:-1] if inside[-1] == "__init__" else inside)
            if name not in names:
                names.add(name)
                yield path, name


def _of_library(path: Path, project: Project) -> bool:
    """Return whether a file is the library's or the template's."""
    if project.copied and path.is_relative_to(project.root / "deploy"):
        return True
    inside = path.relative_to(project.home).parts if path.is_relative_to(project.home) else ("",)
    return inside[0] in LIBRARY_FOLDERS


def _read_beside(project: Project, path: Path, others: dict[str, Module], reading: Reading) -> None:
    text = text_of(path)
    shown = project.shown(path)
    if path.suffix == ".m":
        if _MATLAB.search(text):
            reading.unseen.append(shown)
        return
    if "datajoint" not in text and project.package not in text:
        return
    try:
        module = notebooks.read(path, shown, project.package) if path.suffix == ".ipynb" else read(path, shown)
    except SyntaxError:
        reading.unseen.append(shown)
        return
    module.package, module.others, module.beside = project.package, others, True
    if not module.uses_datajoint:
        return
    if module.definitions and path.suffix == ".py" and not _NOT_PACKAGES & set(path.relative_to(project.root).parts):
        reading.unseen.append(shown)  # tables of another package
    else:
        reading.beside.append(module)


# --- Small things ----------------------------------------------------------------------------------------------------


def files_in(folder: Path, *patterns: str) -> list[Path]:
    """Return the files of a kind, Python by itself, in a folder and those within; none of tools and environments.

    Dangling links are left out, and pipes, which never end.
    """
    found = list[Path]()
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_foreign(Path(place, name)))
        kinds = patterns or ("*.py",)
        found += [Path(place, name) for name in names if any(fnmatch(name, kind) for kind in kinds)]
    return sorted(path for path in found if path.is_file())


def _is_foreign(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name in _SKIPPED or (folder / "pyvenv.cfg").is_file()


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


_VERSIONED = (("pyproject.toml", "setup.cfg", "setup.py"), ("version.py", "__init__.py"))


def version_of(project: Project) -> str:
    """Return the version that the project's own files give it."""
    folders = (project.root, project.folder)
    files = [folder / name for folder, names in zip(folders, _VERSIONED, strict=True) for name in names]
    for path in files:
        if match := re.search(r"""\b(?:__)?version(?:__)?\s*=\s*["']?(\d[\w.+-]*)""", text_of(path)):
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
