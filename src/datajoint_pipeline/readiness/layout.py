"""Check where the modules of the package stand, and what they are called."""

from __future__ import annotations

from collections.abc import Iterator

from .findings import Finding
from .project import Project, holds_package, using_datajoint
from .source import Module

#: Names that the package or the library needs, or that would hide something; modules of a lab cannot have them.
_TAKEN = ("manage", "migrations", "open_schema", "initialize", "schema", "schemas", "dj", "datajoint", "numpy")


def check(project: Project, every: list[Module]) -> Iterator[Finding]:
    """Yield what has to stand elsewhere or be called otherwise."""
    if not any(module.openings or module.definitions for module in every):
        others = using_datajoint(project.root)
        where = f" DataJoint is used in {', '.join(others[:5])}." if others else ""
        what = f"Neither src/{project.package} nor {project.package} holds a schema."
        do = f"Say which package it is, by --package NAME.{where}"
        if project.copied:
            do = (
                "Say which package it is: uvx copier update --data package_name=NAME, once everything is committed."
                f"{where}"
            )
        yield Finding("src", 1, "no-package", what, do)
    yield from _flat(project)
    yield from _sub_folders(project, every)
    taken = (*_TAKEN, *(() if project.has_manage else ("pipeline",)))
    for module in every:
        if module.path.parent in (project.home, project.elsewhere) and module.name in taken:
            what = f"The name {module.name} is taken: the package, the library or DataJoint has it for something else."
            yield Finding(module.shown, 1, "taken-name", what, "Give the module another name.")
    for name in ("manage", "migrations"):
        if (project.elsewhere / name).is_dir():
            what = f"The package has a folder {name}/, and the library means something else by it."
            yield Finding(project.shown(project.elsewhere), 1, "taken-name", what, "Give the folder another name.")


def _flat(project: Project) -> Iterator[Finding]:
    if holds_package(project.elsewhere):
        place = project.shown(project.elsewhere)
        what = f"The package stands in {place}/, and what comes with a project looks for it in src/{project.package}/."
        do = f"git mv -k {place}/* src/{project.package}/"
        if not project.home.exists():
            do = f"mkdir -p src/{project.package} && {do}"
        yield Finding(place, 1, "flat-layout", what, do)


def _sub_folders(project: Project, every: list[Module]) -> Iterator[Finding]:
    """Yield schema modules in folders of the package, each with a name that no other module has."""
    tops = (project.home, project.elsewhere)
    taken = {module.name for module in every if module.path.parent in tops}
    for module in every:
        folder = module.path.parent
        if folder in tops or not module.is_schema:
            continue
        name = folder.name if module.name == "__init__" else module.name
        if name in taken:
            name = f"{folder.name}_{name}"
        number = 2
        while name in taken:
            name, number = f"{name}_{number}", number + 1
        taken.add(name)
        what = f"A schema module stands in the folder {folder.name}/ of the package."
        # The package itself is moved first.
        top = next(place for place in tops if module.path.is_relative_to(place))
        moved = project.shown(project.home / module.path.relative_to(top))
        do = f"git mv {moved} src/{project.package}/{name}.py; schema modules stand side by side."
        yield Finding(module.shown, 1, "sub-folder", what, do)
