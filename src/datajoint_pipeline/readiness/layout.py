"""Check where the modules of the package stand, and what they are called."""

from __future__ import annotations

from collections.abc import Iterator

from .findings import Finding
from .project import Project, Reading, is_package_name, packages, using_datajoint

#: Names that the package or the library needs, or that would hide something; modules of a lab cannot have them.
_TAKEN = ("manage", "migrations", "open_schema", "initialize", "schema", "schemas", "dj", "datajoint", "numpy")


def check(project: Project, reading: Reading) -> Iterator[Finding]:
    """Yield what has to stand elsewhere or be called otherwise."""
    if not any(module.definitions for module in reading.modules):
        yield _none(project)
    if project.is_scattered:
        yield _scattered(project, reading)
    else:
        yield from _place(project)
    yield from _taken(project, reading)


def _none(project: Project) -> Finding:
    others = packages(project.root)
    do = "Say which package it is, by --package NAME."
    if others and project.copied:
        where = project.shown(others[0].parent)
        do = (
            f"The schemas are in {project.shown(others[0])}/. Once everything is committed: uvx copier update "
            f"--defaults --data package_name={others[0].name} --data source_folder={where}"
        )
    elif others:
        do = f"Say which package it is: --package {project.shown(others[0])}"
    elif using := using_datajoint(project.root):
        do += f" DataJoint is used in {', '.join(using[:5])}."
    return Finding(project.shown(project.folder), 1, "no-package", f"{project.package} declares no table.", do)


def _scattered(project: Project, reading: Reading) -> Finding:
    """Return how modules at the root become a package, and which imports of them change."""
    names = [module.path.name for module in reading.modules if module.definitions or module.name in _needed(reading)]
    what = "The tables stand at the root of the repository, in no package."
    home = project.shown(project.home)
    free = [name for name in names if not (project.home / name).exists()]
    do = f"mkdir -p {home} && git mv -k {' '.join(free)} {home}/"
    if stuck := [name for name in names if name not in free]:
        do += f"\nIn {home}/ there are already: {', '.join(stuck)}; put together by hand what is in both."
    moved = {name.removesuffix(".py") for name in names}
    lines = [
        f"{place}: from {project.package} import {name}" for name in sorted(moved) for place in importers(reading, name)
    ]
    return Finding(names[0] if names else home, 1, "no-package", what, "\n".join([do, *_listed(lines)]))


def _needed(reading: Reading) -> set[str]:
    """Return the modules that those with tables import."""
    return {other for module in reading.modules if module.definitions for other in module.imports}


def _listed(lines: list[str]) -> list[str]:
    return ["These imports change:", *(f"    {line}" for line in lines)] if lines else []


def importers(reading: Reading, name: str) -> list[str]:
    """Return the places, as path and line, that import a module of the package."""
    return [
        f"{module.shown}:{module.imports[name]}"
        for module in (*reading.modules, *reading.beside)
        if name in module.imports
    ]


def _place(project: Project) -> Iterator[Finding]:
    where = project.shown(project.folder)
    source = project.shown(project.folder.parent)
    if project.copied and project.folder != project.home:
        home = project.shown(project.home)
        what = f"The package stands in {where}/, and what comes with a project looks for it in {home}/."
        do = f"git mv -k {where}/* {home}/"
        if not project.home.exists():
            do = f"mkdir -p {home} && {do}"
        do += f"\nor answer where it is: uvx copier update --defaults --data source_folder={source}"
        yield Finding(where, 1, "flat-layout", what, do)
    elif not project.copied and source != "src":
        what = f"The package stands in {where}/, where it can stay."
        do = f"Answer source_folder={source} when the template is copied."
        yield Finding(where, 1, "flat-layout", what, do, note=True)
    if not is_package_name(project.package):
        what = f"{project.package} is no name that a package of the template can have."
        do = "Call it by 2 to 40 small letters, digits and single _, a letter first, and change its imports."
        yield Finding(where, 1, "taken-name", what, do)


def _taken(project: Project, reading: Reading) -> Iterator[Finding]:
    taken = (*_TAKEN, *(() if project.has_manage else ("pipeline",)))
    for module in reading.modules:
        if module.name in taken and not module.is_package:
            what = f"The name {module.name} is taken: the package, the library or DataJoint has it for something else."
            main = f"{project.shown(project.home)}/__main__.py"  # which means the pipeline, as the template has it
            places = [place for place in importers(reading, module.name) if place.partition(":")[0] != main]
            do = f"Give the module another name{', also where it is imported: ' if places else ''}{', '.join(places)}."
            yield Finding(module.shown, 1, "taken-name", what, do)
    for name in ("manage", "migrations"):
        folder = project.folder / name
        ours = project.folder == project.home and (project.copied or project.has_manage)
        if folder.is_dir() and not ours:
            what = f"The package has a folder {name}/, and the library means something else by it."
            yield Finding(project.shown(project.folder), 1, "taken-name", what, "Give the folder another name.")
