"""The management code has left the project: it is the library `datajoint-pipeline`, which pyproject.toml asks for.

The files of `src/<package>/manage/` go. Where you had edited some, you are told which, and `manage-edits.patch` keeps
what you did; files that you had added stay. Your own code is not rewritten: as it imports from `manage`, a short
`manage/__init__.py` hands it the library's names. `src/<package>/__main__.py` is new and yours; the command and
`python -m <package>` start there. The tests' database comes from the library, so `tests/conftest.py` goes unless you
had edited it. Run `uv sync` afterwards, or install the project again: what it depends on and how it starts is new.
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

import edits
from project import MigrationError, Project

PATCH = "manage-edits.patch"

#: What `manage` hands on: all that a lab's own files were told to import from it by the releases before.
HANDED_ON = {"initialize", "open_schema", "pipeline"} | {
    *("cli", "environment", "errors", "graph", "migration", "project", "status", "testing")
}

HAND_ON = '''\
"""Names of the library `datajoint-pipeline`, for code that imports them from here.

Until release 0.6 of the template this folder held the management code. What was written then imports from it and is not
rewritten, as a migration that has been applied must stay what it was. New projects have no such folder.

To do without it, have `__init__.py` say what it says in a new project: `from datajoint_pipeline import Pipeline`,
`pipeline = Pipeline(__name__)`, `open_schema = pipeline.open_schema`, `initialize = pipeline.initialize`. Let
`__main__.py` say `from . import pipeline`, and import from `datajoint_pipeline` itself elsewhere. Delete this folder
once nothing imports it. A migration with Python code of yours that has been applied keeps its import, as it must stay
what it was: with such a one, the folder stays too.
"""

from typing import TYPE_CHECKING, Any

from datajoint_pipeline.compatibility import hand_on

pipeline = hand_on(__name__)
open_schema = pipeline.open_schema
initialize = pipeline.initialize

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """`migration`, `testing`, `environment` and other modules that were here."""
'''

MAIN = '''\
"""The command `{command}`; `python -m {package}` is the same."""

from datajoint_pipeline.cli import run

from {source} import pipeline


def main() -> None:
    """Run the command line."""
    run(pipeline)


if __name__ == "__main__":
    main()
'''


def before(project: Project) -> None:
    """Keep what was edited, and take the management code away, while git still has both in reach."""
    manage = _manage(project)
    done = project.edits(manage)
    lost = {path: letter for path, letter in done.files.items() if letter != "A"}
    left = [path for path in project.files(f"{manage}/*") if done.files.get(path) != "A" and path != _hand_on(project)]
    if lost and left:  # else an update that stopped half-way has been here already
        patch = next(path for path in _numbered(PATCH) if not project.exists(path))
        words = {"D": "deleted"}
        listed = [f"{words.get(letter, 'edited'):8} {path}" for path, letter in lost.items()]
        project.write(patch, _header(project, manage, listed).encode(errors="backslashreplace") + done.patch)
        project.note("\n    ".join([f"{patch} keeps what you had done to files that are gone:", *listed]))
    project.drop(manage)
    project.drop("tests/conftest.py")
    _keep_dependencies_apart(project)


def after(project: Project) -> None:
    """Write what hands the names on and the command's start, and say what is left to do."""
    package, manage = project.answers["package_name"], _manage(project)
    if project.keep("tests/conftest.py"):
        project.note(
            "tests/conftest.py stays, since you had edited it. The library gives the fixture `pipeline` itself: take "
            "it out of the file, and delete the file if nothing of yours is left."
        )
    project.prune(manage)
    asked: list[tuple[str, int, str]] = []
    own = [path for path in project.files(f"{manage}/*") if path != _hand_on(project)]
    for path in own:
        project.note(f"{path} is a file of yours: it stays. The files it stood among are in the library now.")
    for path in project.naming("manage"):
        if path.endswith((".py", ".ipynb")) and not path.startswith(f"{manage}/"):
            asked += [(path, line, name) for line, name in _imports(project, path, package)]
    stays = HANDED_ON | {PurePosixPath(path).relative_to(manage).parts[0].removesuffix(".py") for path in own}
    for path, line, name in asked:
        if name not in stays:
            project.note(
                f"{path}:{line} imports manage.{name}, which is inside the library now and not handed on: see what you "
                "need of it in datajoint_pipeline."
            )
    if asked or own:
        project.write(_hand_on(project), HAND_ON)
    _write_main(project, ".manage" if asked or own else ".")
    _put_dependencies_back(project)
    for path, line in _runs(project, package):
        project.note(f"{path}:{line} runs `python -m {package}.manage`, which is now `python -m {package}`.")


def _manage(project: Project) -> str:
    return f"src/{project.answers['package_name']}/manage"


def _hand_on(project: Project) -> str:
    return f"{_manage(project)}/__init__.py"


def _numbered(name: str) -> Iterator[str]:
    """A name, and others like it for where there is one already."""
    stem, _, suffix = name.partition(".")
    yield name
    number = 2
    while True:
        yield f"{stem}-{number}.{suffix}"
        number += 1


def _header(project: Project, manage: str, listed: list[str]) -> str:
    """What the patch file says of itself; `git apply` passes over it."""
    lines = [
        f"Your edits of {manage}/, which release 0.6 of the template took away: its code is the library",
        "datajoint-pipeline now. Nothing reads this file. See whether you still need any of it, and delete it then.",
        "",
        *listed,
        "",
        f"`git apply` takes it, on the folder as release {project.version_from} of the template had made it. Commit",
        f"{project.head()} of this project has the folder with your edits in it.",
    ]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines) + "\n"


# --- Who imports it -------------------------------------------------------------------------------------------------


def _imports(project: Project, path: str, package: str) -> Iterator[tuple[int, str]]:
    """What a file asks of `manage`: the line, and the module or name."""
    try:
        text = project.read(path)
    except MigrationError:  # not text, so nothing that Python could import
        return
    if path.endswith(".py"):
        with contextlib.suppress(SyntaxError, ValueError):  # a Python that this one does not read
            yield from sorted(set(_imports_of(ast.parse(text), path, package)))
            return
    for number, line in enumerate(text.splitlines(), 1):
        for name in _named(line, package):
            yield number, name


def _named(text: str, package: str) -> Iterator[str]:
    """What a text calls by its full name."""
    for match in re.finditer(rf"\b{package}\.manage\b(?:\.(\w+))?|\bfrom\s+\.+manage\b(?:\.(\w+))?", text):
        yield match[1] or match[2] or "pipeline"


def _imports_of(tree: ast.Module, path: str, package: str) -> Iterator[tuple[int, str]]:
    own = [*PurePosixPath(path).parts[1:-1]] if path.startswith("src/") else []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Constant):
            named = _named(node.value, package) if isinstance(node.value, str) else ()
            yield from ((node.lineno, name) for name in named)
            continue
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            outer = own[: len(own) - node.level + 1] if node.level else []
            base = ".".join([*outer, *([node.module] if node.module else [])])
            names = [f"{base}.{each.name}" for each in node.names]
        for name in names:
            if f"{name}.".startswith(f"{package}.manage."):
                inner = name.split(".")[2:]
                yield getattr(node, "lineno", 0), inner[0] if inner and inner[0] != "*" else "pipeline"


def _runs(project: Project, package: str) -> Iterator[tuple[str, int]]:
    """The lines that run the command line by the module that it no longer is."""
    for path in project.naming(f"{package}.manage"):
        try:
            text = project.read(path)
        except MigrationError:  # not text
            continue
        for match in re.finditer(rf"-m['\",\s]+{package}\.manage\b", text):
            yield path, text.count("\n", 0, match.start()) + 1


def _write_main(project: Project, source: str) -> None:
    package = project.answers["package_name"]
    path = f"src/{package}/__main__.py"
    command = project.answers.get("project_name", package).lower().replace("_", "-")
    if not project.exists(path):
        project.write(path, MAIN.format(command=command, package=package, source=source))
    elif not re.search(r"^def main\(|\bimport .*\bmain\b", project.read(path), re.MULTILINE):
        project.note(f"{path} is yours, and the command `{command}` calls its function `main`, which it does not have.")


# --- pyproject.toml -------------------------------------------------------------------------------------------------
#
# Nearly every lab has added a dependency, and the template changes the lines beside it: that would be a conflict in
# every project. So lines that were only added to a list are kept apart while the template is rendered: as comments at
# the top of the file, where they also outlast an update that was killed and committed. Where there was a pipeline
# before the template, updates do not touch the file: it gets here, once, what the library needs.

_LISTS = {
    name: re.compile(rf"^({name} = \[\n)(.*?)^(?=\])", re.DOTALL | re.MULTILINE) for name in ("dependencies", "dev")
}
_APART = "# Lines of yours, which the update of the template puts back into their list at its end:\n"
_LINES_APART = re.compile(rf"^{re.escape(_APART)}((?:# (?:{'|'.join(_LISTS)})\|.*\n)*)", re.MULTILINE)


def _keep_dependencies_apart(project: Project) -> None:
    text = project.committed("pyproject.toml")
    if project.answers.get("existing") or text is None or _APART in text:
        return
    apart = ""
    for name, (made, lines) in _added(project).items():
        block = _LISTS[name].search(text)
        if block:
            text = text[: block.start(2)] + made + text[block.end(2) :]
            apart += "".join(f"# {name}|{line}" for line in lines)
    if apart:
        project.write("pyproject.toml", _APART + apart + text)


def _put_dependencies_back(project: Project) -> None:
    if project.answers.get("existing"):
        _adopt(project)
        return
    text = project.read("pyproject.toml") if project.exists("pyproject.toml") else ""
    apart = _LINES_APART.search(text)
    if not apart:
        return
    text = text[: apart.start()] + text[apart.end() :]
    for name, pattern in _LISTS.items():
        begin, block = f"# {name}|", pattern.search(text)
        lines = [line.removeprefix(begin) for line in apart[1].splitlines(keepends=True) if line.startswith(begin)]
        if lines and block:
            text = text[: block.end()] + "".join(lines) + text[block.end() :]
        elif lines:
            project.note(
                f"pyproject.toml has no list {name} any longer, which had these lines of yours:\n{''.join(lines)}"
            )
    project.write("pyproject.toml", text)


def _adopt(project: Project) -> None:
    """Give the pyproject.toml of a pipeline that was there before the template what it needs of the new one."""
    text, latest = project.committed("pyproject.toml"), project.latest("pyproject.toml")
    if text is None or latest is None:
        return
    if text == project.original("pyproject.toml"):  # the template made it, and nobody changed it
        project.write("pyproject.toml", latest)
        return
    package = project.answers["package_name"]
    requirement = re.search(r'"(datajoint-pipeline\b[^"]*==[^"]*)"', latest)
    source = re.search(r"^datajoint-pipeline = \{(.*)\}$", latest, re.MULTILINE)
    text = text.replace(f"{package}.manage.cli:main", f"{package}.__main__:main")
    try:
        if requirement:
            text = edits.toml_append(text, ("project", "dependencies"), requirement[1])
        if source:
            where = dict(re.findall(r'(\w+) = "([^"]*)"', source[1]))
            text = edits.toml_set(text, ("tool", "uv", "sources", "datajoint-pipeline"), where)
        text = edits.toml_set(text, ("tool", "pytest", "ini_options", "datajoint_pipeline"), package)
    except ValueError as error:
        what = requirement[1] if requirement else "datajoint-pipeline"
        project.note(f"pyproject.toml could not be edited ({error}): let it ask for {what}, as docs/updating.md says.")
        return
    project.write("pyproject.toml", text)
    project.note(
        "pyproject.toml is yours: it got the dependency datajoint-pipeline and where it comes from, and the package "
        "that tests are about. What the library needs, such as click, need not be named there any longer. Updates "
        "leave the file alone from now on; `check` says when the version there is another than the template's."
    )


def _added(project: Project) -> dict[str, tuple[str, list[str]]]:
    """The lists to which lines were added and nothing else: what the template had made of each, and the lines."""
    made, mine = project.original("pyproject.toml"), project.committed("pyproject.toml")
    found: dict[str, tuple[str, list[str]]] = {}
    for name, pattern in _LISTS.items():
        old, new = pattern.search(made or ""), pattern.search(mine or "")
        if not old or not new:
            continue
        expected, lines = old[2].splitlines(keepends=True), []
        for line in new[2].splitlines(keepends=True):
            if expected and line == expected[0]:
                expected.pop(0)
            else:
                lines.append(line)
        if lines and not expected:
            found[name] = (old[2], lines)
    return found
