"""`add-schema`: adds a module, a test and a version. Nothing is written before everything was checked."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from pathlib import Path

from .. import disk
from ..errors import PipelineError
from ..history import version_file
from ..project import graph
from ..project.project import Project

_NAME = re.compile(r"[a-z](_?[a-z0-9])*")
#: Names that would hide modules of the package, names that a schema module uses, or a server's own schemas.
_TAKEN = frozenset(
    """
    manage migrations pipeline utils version schema schemas dj np datajoint datajoint_pipeline numpy open_schema
    initialize tests docs conftest public mysql sys information_schema performance_schema postgres con nul prn aux
    self master definition make key
    """.split()  # noqa: SIM905, a list of thirty quoted words is harder to read
)
_LINE = 120


@dataclass(frozen=True)
class Added:
    """A new schema.

    Parameters
    ----------
    files : list of Path
        The files written, relative to the project.
    table : str
        Its table, ``behaviour.Behaviour``.
    key : str
        The table that its primary key refers to, ``session.Session``; empty where it refers to none.
    """

    files: list[Path]
    table: str
    key: str


def add_schema(project: Project, name: str, depends: list[str]) -> Added:
    """Write module, test and version of a new schema.

    Parameters
    ----------
    project : Project
        Where.
    name : str
        Small letters, digits and single ``_``.
    depends : list of str
        Schemas that its table refers to. The first is part of its primary key, as what a row belongs to.

    Returns
    -------
    Added
        What was written.

    Raises
    ------
    PipelineError
        If the name is not usable, exists, a dependency is not known, or the project is an installed wheel.
    """
    project.require_editable()
    known = graph.read(project.directory)
    depends = list(dict.fromkeys(depends))
    _check_name(project, name)
    parents = [_main_table(known, parent) for parent in _known(project, known, depends)]
    starter = Path(__file__).parent / "starter"
    module = project.directory / f"{name}.py"
    test = project.root / "tests" / f"test_{name}.py"
    version = project.directory / "version.py"
    edited = version_file.add(disk.text(version), name, "1.0.0")
    words = _words(project, name, parents)
    files = {module: _fill(starter / "module.txt", words), version: edited}
    if test.parent.is_dir() and not test.exists():
        files[test] = _fill(starter / "test.txt", words)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    paths = [path.relative_to(project.root) if path.is_relative_to(project.root) else path for path in files]
    return Added(paths, f"{name}.{_camel(name)}", words["$belongs"].strip().removeprefix("-> "))


def _check_name(project: Project, name: str) -> None:
    do = "Choose another name; nothing was written."
    if not _NAME.fullmatch(name) or len(name) > 32:
        plain = re.sub("[^a-z0-9]+", "_", name.lower()).strip("_0123456789")[:32].rstrip("_")
        near = f"Try {plain}; nothing was written." if _NAME.fullmatch(plain) else do
        raise PipelineError(
            f"{name!r} cannot be the name of a schema.", "It is 1 to 32 small letters, digits and single _.", near
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise PipelineError(f"No schema can be called {name}.", "Python has a keyword of that name.", do)
    if name in _TAKEN or name == project.package:
        whose = "A library, a database server or the package itself has a module or a schema of that name."
        raise PipelineError(f"No schema can be called {name}.", whose, do)
    if name.startswith(("test_", "dev_", "pg_")):
        raise PipelineError(f"The name {name} begins with test_, dev_ or pg_.", "These mean something else.", do)
    if name in project.versions or (project.directory / f"{name}.py").exists():
        raise PipelineError(f"There is a schema or a module {name} already.", "Each has a name of its own.", do)


def _known(project: Project, known: graph.Graph, depends: list[str]) -> list[str]:
    for parent in depends:
        if parent not in project.versions or known.module_of(parent) is None:
            raise PipelineError(
                f"There is no schema {parent} to depend on.",
                f"The project has {', '.join(project.versions)}.",
                "Correct --depends; nothing was written.",
            )
    return depends


def _main_table(known: graph.Graph, schema: str) -> tuple[str, str]:
    """Choose the table of a schema to refer to, with its module: the one named like the schema, else the last of the
    first module, which others lead up to.
    """
    modules = [known.modules[name] for name in known.modules_of(schema)]
    tables = [(module.name, table) for module in modules for table, of in module.tables.items() if of == schema]
    if not tables:
        files = " and ".join(module.file for module in modules)
        raise PipelineError(
            f"The schema {schema} has no table to refer to.", f"{files} defines none.", "Write its tables first."
        )
    named = [(module, table) for module, table in tables if table == _camel(schema)]
    return named[0] if named else [pair for pair in tables if pair[0] == tables[0][0]][-1]


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _spaced(table: str) -> str:
    """Give the name of a table in words: ``multi modal analysis`` for MultiModalAnalysis."""
    return " ".join(word.lower() for word in re.findall(r"[A-Z]?[^A-Z.]+|[A-Z]+(?![a-z])", table)) or table


def _natural(name: str) -> list[tuple[str, int]]:
    """Give a sort key in which stage_2 stands before stage_10, as ruff orders imports."""
    return [(word, int(number or 0)) for word, number in re.findall(r"(\D*)(\d*)", name)]


def _import_line(package: str, names: list[str]) -> str:
    line = f"from .{package} import {', '.join(names)}"
    if len(line) > _LINE:
        line = f"from .{package} import (\n" + "".join(f"    {name},\n" for name in names) + ")"
    return line


def _words(project: Project, name: str, parents: list[tuple[str, str]]) -> dict[str, str]:
    called = {module: module.rpartition(".")[2] for module, _ in parents}
    for module in called:
        if list(called.values()).count(called[module]) > 1:  # of two packages
            called[module] = module.replace(".", "_")
    names: dict[str, list[str]] = {"": ["open_schema"]}
    for module, name_here in called.items():
        package, _, last = module.rpartition(".")
        names.setdefault(package, []).append(last if last == name_here else f"{last} as {name_here}")
    references = [f"    -> {called[module]}.{table}\n" for module, table in parents]
    lines = [_import_line(package, sorted(found, key=_natural)) for package, found in sorted(names.items())]
    return {
        "$package": project.package,
        "$schema": name,
        "$Table": _camel(name),
        "$Title": name.replace("_", " ").capitalize(),
        "$imports": "\n".join(lines),
        "$belongs": "".join(references[:1]),
        "$within": f"the {_spaced(parents[0][1])}" if parents else "the pipeline",
        "$references": "".join(references[1:]),
    }


def _fill(template: Path, words: dict[str, str]) -> str:
    text = template.read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace(word, value)
    return text
