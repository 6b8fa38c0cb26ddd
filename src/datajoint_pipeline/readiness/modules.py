"""Check how modules open their schemas, and whether they can be imported in the order of their foreign keys."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator

from .. import syntax
from .findings import Finding
from .schemas import Opening, Schema, Schemas, openings_of
from .source import Module, statements


def check(schemas: Schemas, prefix: str, required: Collection[str] = (), scattered: bool = False) -> Iterator[Finding]:
    """Yield everything about schemas and imports that ``check`` would refuse.

    Other packages are ``required`` by the project. Of modules that are ``scattered``, and in no package yet, imports
    are told where it is said how they become one.
    """
    for schema in schemas:
        for opening in (schema.opening, *schema.again):
            yield from _opened(schema, opening, schemas, prefix)
    for (name, decorator), nodes in schemas.unknown.items():
        more = f" and {len(nodes) - 1} more are" if len(nodes) > 1 else " is"
        what = f"{nodes[0].name}{more} given to {decorator}, and the code does not show which schema that is."
        do = f'Have it opened where the module is imported: {decorator.partition("(")[0]} = open_schema("NAME").'
        yield Finding(schemas.modules[name].shown, nodes[0].lineno, "schema-elsewhere", what, do)
    yield from _activated(schemas)
    yield from _same(schemas)
    imported = _imported(schemas)
    for module in schemas.modules.values():
        yield from _unused(module, schemas)
        yield from _again(module)
        if module.name in imported:
            yield from _taken_from_database(module)
        if module.definitions and not any(schema.of_element and schema.opening.module is module for schema in schemas):
            yield from _imports(module, schemas)
        if module.name in schemas.holders:
            yield from _idle_imports(module, schemas)
        if not scattered:
            yield from _bare(module, required)
    yield from _circles(schemas)


def _opened(schema: Schema, opening: Opening, schemas: Schemas, prefix: str) -> Iterator[Finding]:
    module = opening.module
    if opening.kind == "element":
        return  # said where it is activated
    if schema.of_element:
        if any(call.own == module.name for call in schemas.activations):
            return  # said where it is activated
        what = "The schema is activated by whoever uses this module, and nothing in the package does."
        do = f'Write schema = open_schema("{schema.name}"), and from . import open_schema at the top.'
        if opening.activated:
            do = (
                f'Write {opening.variable} = open_schema("{schema.name}") and leave the function activate out; or keep '
                f"this module as it is, and write in another one: pipeline.activate({module.name.rpartition('.')[2]}, "
                f'"{schema.name}", linking_module=__name__).'
            )
        yield Finding(module.shown, opening.line, "schema-activate", what, do)
    elif opening.kind in ("dj", "deferred"):
        known = f' "{opening.name}"' if opening.whole else f" that ends with {opening.name}" if opening.name else ""
        what = f"The schema{known} is opened by DataJoint itself, whatever version its database has."
        do = f'Write {opening.variable} = open_schema("{schema.name}"), and {_import(module)} at the top.'
        if opening.kind == "deferred":
            do += f" Leave out line {opening.activated}, which activates it."
        if opening.name:
            yield Finding(module.shown, opening.line, "dj-schema", what, do)
        else:
            what = "DataJoint itself opens the schema, and what its database is called cannot be read from the code."
            do += (
                f" Where the database is not called {prefix}{schema.name}, say so in version.py: "
                f'SCHEMA_DATABASES = {{"{schema.name}": "..."}}.'
            )
            yield Finding(module.shown, opening.line, "schema-name", what, do)
    elif opening.variable and not _has(module, "open_schema"):
        do = f"Write {_import(module)} at the top."
        yield Finding(module.shown, opening.line, "schema-import", "open_schema is not imported.", do)


def _import(module: Module) -> str:
    depth = module.name.count(".") + (1 if not module.is_package or not module.name else 2)
    return f"from {'.' * depth} import open_schema"


def _of(module: Module, other: str) -> str:
    """Return the line that imports another module of the package."""
    return syntax.relative_import(module.name, module.is_package, other)


def _has(module: Module, name: str) -> bool:
    imported = (node for node in module.nodes if isinstance(node, ast.ImportFrom))
    return any(item.name == name for node in imported for item in node.names) or name in module.functions


def _activated(schemas: Schemas) -> Iterator[Finding]:
    for call in schemas.activations:
        if call.done:
            continue
        linked = f", linking_module={call.linked}" if call.linked else ""
        name = schemas.activated(call)
        what = f"{call.target} is an Element: its tables are declared here, whatever version its database has."
        do = f'Keep it, and write pipeline.activate({call.target}, "{name}"{linked}), with from . import pipeline.'
        if not call.own:
            do += " It has to be a release for DataJoint 2."
        yield Finding(call.module.shown, call.line, "schema-activate", what, do)


def _same(schemas: Schemas) -> Iterator[Finding]:
    """Yield tables that have the name of another one of their schema."""
    for schema in schemas:
        seen: dict[str, str] = {}
        for place, table in schema.tables:
            if table in seen and seen[table] != place:
                module = schemas.modules[place]
                line = next(node.lineno for node in module.classes if node.name == table)
                what = f"{table} of the schema {schema.name} is declared in {schemas.modules[seen[table]].shown}, too."
                do = "Keep one of them, or open another schema in this module."
                yield Finding(module.shown, line, "same-table", what, do)
            seen.setdefault(table, place)


def _unused(module: Module, schemas: Schemas) -> Iterator[Finding]:
    """Yield schemas that are opened in a module and have no table anywhere."""
    taken = {name for schema in schemas for name in schema.modules}
    for opening in openings_of(module):
        if (module.name, opening.variable) in schemas.places:
            continue
        if module.name in taken:
            what = f"No table is given to {opening.variable}, another schema that this module opens."
            do = f"Leave it out, or give it tables by @{opening.variable}."
            yield Finding(module.shown, opening.line, "several-schemas", what, do)
        else:
            what = f"{module.path.name} opens a schema and declares no table by it."
            do = "Open it in the module that has its tables; others import that module."
            yield Finding(module.shown, opening.line, "schema-elsewhere", what, do)


def _again(module: Module) -> Iterator[Finding]:
    """Yield a schema that is opened twice in a module under different names in the code."""
    seen: dict[str, Opening] = {}
    for opening in openings_of(module):
        if opening.name and opening.whole and opening.name in seen:
            what = f"The schema {opening.name} is opened again."
            yield Finding(module.shown, opening.line, "several-schemas", what, "Open it once.")
        seen[opening.name] = opening


def _imported(schemas: Schemas) -> set[str]:
    """Return the modules that are imported with those that have tables."""
    found, left = set[str](), sorted(schemas.holders)
    while left:
        name = left.pop()
        if name not in found and name in schemas.modules:
            found.add(name)
            left += schemas.modules[name].early_imports
    return found


def _taken_from_database(module: Module) -> Iterator[Finding]:
    """Yield what asks a database for its tables as soon as the module is imported."""
    for node in statements(module.tree.body):
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign, ast.Expr)) else None
        if not isinstance(value, ast.Call):
            continue
        method = getattr(value.func, "attr", "")
        virtual = module.dotted(value.func) in ("dj.VirtualModule", "dj.create_virtual_module", "dj.virtual_schema")
        if virtual or (method in ("make_classes", "spawn_missing_classes") and module.datajoint):
            what = "Tables are taken from a database when this module is imported; check has no such database."
            do = "Import the module that defines these tables; where there is none, take them in a function."
            yield Finding(module.shown, node.lineno, "virtual-module", what, do)


def _imports(module: Module, schemas: Schemas) -> Iterator[Finding]:
    for line, other in module.stars:
        if other not in schemas.holders:
            continue
        what = f"Everything is imported from {other}, so no foreign key tells where it leads."
        do = f"Write {_of(module, other)}, and -> {other.rpartition('.')[2]}.Table in definitions."
        yield Finding(module.shown, line, "star-import", what, do)
    missing: set[str] = set()
    for definition in module.definitions:
        for line, target in definition.references:
            other, table = schemas.resolve(module, target)
            head = target.partition(".")[0]
            imported = other in schemas.modules and (head in module.aliases or other != head)
            if not other or other == module.name or other in missing or imported:
                continue
            missing.add(other)
            what = f"{definition.table} refers to {other}.{table}, and {other} is not imported from this package."
            do = f"Have {other}.py in this package, with that table, then write from . import {other}."
            same = [name for name in schemas.modules if name.rpartition(".")[2] == other]
            if same:
                do = f"Write {_of(module, same[0])} at the top."
            yield Finding(module.shown, line, "missing-import", what, do)


def _idle_imports(module: Module, schemas: Schemas) -> Iterator[Finding]:
    """Yield imports of schema modules that neither a foreign key nor the code needs."""
    if "ignore unused-import" in module.text:
        return
    needed = {schemas.resolve(module, target)[0] for found in module.definitions for _, target in found.references}
    words = {node.id for node in module.nodes if isinstance(node, ast.Name)}
    words |= {target.partition(".")[0] for found in module.definitions for _, target in found.references}
    starred = {other for _, other in module.stars}
    used = {other for name, (other, _) in module.aliases.items() if name.partition(".")[0] in words}
    idle = dict.fromkeys(other for other, _ in module.aliases.values())
    for other in idle.keys() - used - needed - starred:
        if other in schemas.holders and other != module.name and not module.is_package:
            what = f"{other} is imported, and neither a foreign key nor the code needs it."
            yield Finding(module.shown, module.imports.get(other, 1), "unused-import", what, "Leave it out.")


def _bare(module: Module, required: Collection[str]) -> Iterator[Finding]:
    """Yield imports that find a module of the package only where its folder is on Python's path."""
    for node, other in module.bare_imports:
        if other.rpartition(".")[2].lower() in required:
            continue
        what = f"{other} is imported by its name alone, and stands in the package: an installed package finds no such."
        line = _of(module, other)
        name = other.rpartition(".")[2]
        if isinstance(node, ast.Import):
            calls = next((item.asname for item in node.names if item.name == name and item.asname), "")
            do = f"Write {line}{' as ' + calls if calls else ''}."
        else:
            given = ", ".join(item.name + (f" as {item.asname}" if item.asname else "") for item in node.names)
            base = line.replace(" import ", "" if line.split()[1].endswith(".") else ".")
            do = f"Write {base} import {given}."
        yield Finding(module.shown, node.lineno, "top-import", what, do)


def _circles(schemas: Schemas) -> Iterator[Finding]:
    own = {name: module for name, module in schemas.modules.items() if name in schemas.holders}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> Iterator[Finding]:
        if name in path:
            circle = " -> ".join([*path[path.index(name) :], name])
            what = f"Modules import each other in a circle: {circle}."
            do = "Move the tables that both need into a schema above them, which both import."
            yield Finding(own[path[-1]].shown, own[path[-1]].early_imports[name], "import-cycle", what, do)
        elif name not in done:
            for other in own[name].early_imports:
                if other in own and other != name:
                    yield from visit(other, (*path, name))
            done.add(name)

    for name in own:
        yield from visit(name, ())
