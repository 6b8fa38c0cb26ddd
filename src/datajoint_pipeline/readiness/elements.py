"""Whether packages of DataJoint's own, such as Elements, are for DataJoint 2: by the release that is installed.

Its modules are read as those of the lab are, and not run. Where none is installed, nothing is known of it.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from . import calls, definitions
from .findings import Finding
from .project import Project, files_in, text_of
from .source import Module, read

_PACKAGES = ("element_", "datajoint_utilities", "djsciops", "djlabhub")

#: What fails with DataJoint 2, whoever uses it. The rest of what is found is for the lab to choose.
_FAILING = ("renamed-name", "removed-method", "legacy-import", "config-custom", "config-key", "refused-definition")

_PLACES = ("lib/python3*/site-packages", "Lib/site-packages")


def check(project: Project, modules: Iterable[Module]) -> Iterator[Finding]:
    """Yield each such package that is for DataJoint 0.14, and each of which that cannot be seen.

    Parameters
    ----------
    project : Project
        The pipeline, in whose environment the package is looked for.
    modules : iterable of Module
        The files that may import one.
    """
    used: dict[str, tuple[Module, int, set[str]]] = {}
    for module in modules:
        for line, name in _imports(module):
            used.setdefault(name.partition(".")[0], (module, line, set()))[2].add(name)
    folders = list(_folders(project.root))
    for head, (module, line, names) in used.items():
        folder = next((place / head for place in folders if (place / head / "__init__.py").is_file()), None)
        if folder is None:
            asked = _asked(project.root, head)
            what = f"Whether {head} is for DataJoint 2 cannot be seen: it is not installed here{asked}."
            where = f"{project.root.name}/.venv"
            do = f"Install the project into {where} and run this again, or look at the release yourself."
            yield Finding(module.shown, line, "legacy-package", what, do)
        elif wrong := _failing(folder, names):
            version = _version(folder)
            places = f"{len(wrong)} places" if len(wrong) > 1 else "1 place"
            first = f"{wrong[0].path}:{wrong[0].line}: {wrong[0].what}"
            what = f"{head}{version} is written for DataJoint 0.14 and fails with 2 at {places}, first {first}"
            do = "Take its tables into modules of your own, or use a release of it for DataJoint 2."
            yield Finding(module.shown, line, "legacy-package", what, do)


def _imports(module: Module) -> Iterator[tuple[int, str]]:
    """Yield line and full name of what is imported from such a package."""
    for node in module.nodes:
        if isinstance(node, ast.Import):
            names = [item.name for item in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{item.name}" for item in node.names]
        else:
            continue
        for name in names:
            head = name.partition(".")[0]
            if head != module.package and any(
                head == one or (one.endswith("_") and head.startswith(one)) for one in _PACKAGES
            ):
                yield node.lineno, name


def _folders(root: Path) -> Iterator[Path]:
    """Yield the folders of installed packages: those of the repository's own environment, then those of this one."""
    for name in (".venv", "venv", "env"):
        for place in _PLACES:
            yield from sorted((root / name).glob(place))
    yield from (Path(place) for place in sys.path if place.endswith("site-packages"))


def _failing(folder: Path, names: Iterable[str]) -> list[Finding]:
    """Return what fails in the modules that these names are from, and in those that they import."""
    others: dict[str, Module] = {}
    for path in files_in(folder):
        inside = path.relative_to(folder).with_suffix("").parts
        name = ".".join(inside[:-1] if inside[-1] == "__init__" else inside)
        try:
            others[name] = read(path, path.relative_to(folder.parent).as_posix(), folder.name, name, others)
        except SyntaxError:
            continue
    left, done = ["", *(part for name in names for part in _parts(name))], set[str]()
    while left:
        name = left.pop()
        if name in others and name not in done:
            done.add(name)
            left += [other for other in others[name].early_imports]
    chosen = [others[name] for name in sorted(done)]
    found = [*definitions.check(chosen), *calls.check(chosen)]
    return sorted(one for one in found if not one.note and (one.rule in _FAILING or one.rule.endswith("-type")))


def _parts(name: str) -> list[str]:
    """Return the modules that a dotted name may lead to, below its package."""
    parts = name.split(".")[1:]
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _version(folder: Path) -> str:
    """Return the version of an installed package after a blank, empty where nothing tells it."""
    found = sorted(folder.parent.glob(f"{folder.name}-*.dist-info"))
    return f" {found[0].name.removesuffix('.dist-info').rpartition('-')[2]}" if found else ""


def _asked(root: Path, head: str) -> str:
    """Return how the repository asks for a package, empty where it does not."""
    name = head.replace("_", "[-_.]")
    for path in [root / "pyproject.toml", *sorted(root.glob("requirements*.txt")), root / "setup.py"]:
        if match := re.search(rf"""(?:^|["'])\s*({name}\b(?!\])[^"'#;\n]*)""", text_of(path), re.I | re.M):
            return f", and {path.name} asks for {match[1].strip()}"
    return ""
