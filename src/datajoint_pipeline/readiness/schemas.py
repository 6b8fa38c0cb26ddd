"""Which module opens which schema, and whether modules can be imported in the order of their foreign keys.

What is asked of a module is what the command ``check`` asks of it: one schema, opened by ``open_schema``, imports that
mirror foreign keys, and no circle.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from .findings import Finding
from .source import Module, Opening


def proposed(module: Module, opening: Opening, prefix: str) -> str:
    """Return the name that a schema is to have in the code."""
    name = opening.name
    if opening.kind != "open_schema" and opening.whole and prefix and name.startswith(prefix):
        name = name[len(prefix) :]
    name = re.sub(r"\W+", "_", name.lower()).strip("_")
    return name if name.isidentifier() else module.name


def called(module: Module, prefix: str) -> str:
    """Return the name that the schema of a module is to have; one that is activated later has it from there."""
    first = module.openings[0]
    named = next((opening for opening in module.openings if opening.name), first)
    return proposed(module, first if first.name else named, prefix)


def names(modules: Iterable[Module], prefix: str) -> dict[str, str]:
    """Return the module of each schema, parents before children."""
    own = {module.name: module for module in modules if module.is_schema}
    return {called(own[name], prefix): name for name in in_order(own)}


def parents(module: Module) -> set[str]:
    """Return the siblings that foreign keys of a module lead to."""
    found = {module.resolve(target)[0] for definition in module.definitions for _, target in definition.references}
    return found - {"", module.name}


def in_order(modules: Mapping[str, Module]) -> list[str]:
    """Return modules, parents before children; those of a circle at the end."""
    left, done = sorted(modules), list[str]()
    while left:
        free = [n for n in left if not (parents(modules[n]) | set(modules[n].imports)) & set(left) - {n}]
        done += free or left
        left = [name for name in left if name not in done]
    return done


def check(modules: Iterable[Module], prefix: str) -> Iterator[Finding]:
    """Yield everything about schemas and imports that ``check`` would refuse."""
    every = {module.name: module for module in modules}
    own = {name: module for name, module in every.items() if module.is_schema}
    opened: dict[str, str] = {}
    for module in own.values():
        yield from _openings(module, prefix)
        name = called(module, prefix)
        if name in opened:
            what = f"The schema {name} is opened in {opened[name]}.py too."
            do = "Keep the tables of a schema in one module."
            yield Finding(module.shown, module.openings[0].line, "two-modules", what, do)
        opened[name] = module.name
        yield from _imports(module, own)
    for module in every.values():
        yield from _elsewhere(module, own)
    yield from _circles(own)


def _openings(module: Module, prefix: str) -> Iterator[Finding]:
    first, *others = module.openings
    name = called(module, prefix)
    imported = any(target.rpartition(".")[2] == "open_schema" for target in module.aliases.values()) or any(
        "open_schema" in line for line in _import_lines(module)
    )
    if first.kind == "dj":
        known = f' "{first.name}"' if first.whole else f" that ends with {first.name}" if first.name else ""
        what = f"The schema{known} is opened by DataJoint itself, whatever version its database has."
        do = f'Write schema = open_schema("{name}"), and from . import open_schema at the top.'
        if first.whole and prefix and not first.name.startswith(prefix):
            do += f" Its database would be {prefix}{name}, for {prefix} is the prefix of this project: rename one."
        yield Finding(module.shown, first.line, "dj-schema", what, do)
    elif first.kind == "open_schema" and not imported:
        do = "Write from . import open_schema at the top."
        yield Finding(module.shown, first.line, "schema-import", "open_schema is not imported.", do)
    for other in others:
        if other.kind == "activate":
            what, do = "The schema is activated later.", f'Write schema = open_schema("{name}") and leave this out.'
            yield Finding(module.shown, other.line, "schema-activate", what, do)
        else:
            again = proposed(module, other, prefix)
            what = "This module opens another schema."
            do = f"Move its tables into a module of their own: {again}.py."
            if again == name:
                what, do = "The schema is opened again.", "Open it once; the environment says which database is meant."
            yield Finding(module.shown, other.line, "several-schemas", what, do)


def _import_lines(module: Module) -> list[str]:
    text = module.path.read_text(encoding="utf-8", errors="replace")
    return re.findall(r"^from\s+[.\w]+\s+import\s+(?:\([^)]*\)|.*)$", text, re.MULTILINE)


def _elsewhere(module: Module, own: Mapping[str, Module]) -> Iterator[Finding]:
    """Yield schemas that are opened in a module that declares no table of its own."""
    if module.name in own:
        return
    for opening in module.openings:
        if opening.kind != "activate":
            what = f"{module.name}.py opens a schema and declares no table by it."
            do = "Open it in the module that has its tables; others import that module."
            yield Finding(module.shown, opening.line, "schema-elsewhere", what, do)
        elif module.datajoint:
            what = "A schema of another package is activated here."
            do = "Take its tables into modules of your own, each with its open_schema."
            yield Finding(module.shown, opening.line, "schema-activate", what, do)


def _imports(module: Module, own: Mapping[str, Module]) -> Iterator[Finding]:
    for line, other in module.stars:
        what = f"Everything is imported from {other}, so no foreign key tells where it leads."
        do = f"Write from . import {other}, and -> {other}.Table in definitions."
        yield Finding(module.shown, line, "star-import", what, do)
    starred = {other for _, other in module.stars}
    missing: set[str] = set()
    for definition in module.definitions:
        for line, target in definition.references:
            other, table = module.resolve(target)
            if other and other != module.name and other not in module.imports and other not in missing:
                missing.add(other)
                what = f"{definition.table} refers to {other}.{table}, and {other} is not imported from this package."
                do = f"Write from . import {other} at the top."
                if other not in module.siblings:
                    do = f"Have {other}.py in this package, with that table, then write from . import {other}."
                yield Finding(module.shown, line, "missing-import", what, do)
            elif other in module.imports and other not in own and table not in module.siblings:
                what = f"{definition.table} refers to {table} by way of {other}.py, which opens no schema."
                do = "Import the schema module that has the table: from . import NAME, then -> NAME.Table."
                yield Finding(module.shown, line, "missing-import", what, do)
    needed = parents(module)
    for other, line in module.imports.items():
        if other in own and other not in needed and other not in starred and other != module.name:
            what = f"{other} is imported, and no foreign key leads there."
            do = "Leave it out; where the code needs it, write # check: ignore unused-import in the module."
            ignored = "ignore unused-import" in module.path.read_text(encoding="utf-8", errors="replace")
            if not ignored:
                yield Finding(module.shown, line, "unused-import", what, do)


def _circles(own: Mapping[str, Module]) -> Iterator[Finding]:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> Iterator[Finding]:
        if name in path:
            circle = " -> ".join([*path[path.index(name) :], name])
            what = f"Modules import each other in a circle: {circle}."
            do = "Move the tables that both need into a schema above them, which both import."
            yield Finding(own[path[-1]].shown, own[path[-1]].imports[name], "import-cycle", what, do)
        elif name not in done:
            for other in own[name].imports:
                if other in own and other != name:
                    yield from visit(other, (*path, name))
            done.add(name)

    for name in own:
        yield from visit(name, ())
