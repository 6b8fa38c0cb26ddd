"""The graph of schemas, read from the modules' syntax trees: nothing is imported, no database is asked.

Imports mirror foreign keys: a module imports exactly the schema modules that its definitions refer to, and refers only
to schemas that stand above its own in ``SCHEMA_VERSIONS``. What is not so is a :class:`Finding` with an id, and a
line ``# check: ignore ID`` in the module silences that id there.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from .. import disk
from ..errors import PipelineError
from ..findings import Finding

#: Calls that give a module its schema.
_OPENERS = {"open_schema", "Schema", "schema"}

#: `-> [nullable, unique] session.Session.proj(...)  # comment`
_REFERENCE = re.compile(r"^\s*->\s*(?:\[[^\]]*\]\s*)?(?P<target>[A-Za-z_][\w.]*)")

#: `<blob@main>`, `<blob@>`
_STORE = re.compile(r":\s*<\w+@(\w*)>")

_IGNORE = re.compile(r"#\s*check:\s*ignore\s+(?P<ids>[\w\-, ]+)")

#: Classes of DataJoint that a table is made of.
_TIERS = {"Manual", "Lookup", "Imported", "Computed"}

#: Modules and folders of a package that are not schemas.
_NOT_SCHEMAS = {"__init__", "__main__", "version", "conftest"}


@dataclass(frozen=True)
class Reference:
    """A foreign key as a definition writes it: the module it leads to (None: the same) and where it stands."""

    module: str | None
    target: str
    table: str
    line: int


@dataclass(frozen=True)
class Module:
    """A schema module as its source shows it.

    Parameters
    ----------
    name : str
        Module name.
    path : Path
        Its file.
    schemas : tuple of str
        Names of the schemas that it opens.
    imports : dict
        Line of each import of another module of the package.
    tables : frozenset of str
        Names of the classes at its top level.
    references : tuple of Reference
        Foreign keys of its definitions.
    stores : frozenset of str
        Object stores that its definitions name; the empty name is the default's.
    undecorated : dict
        Line of each class that looks like a table and is given to no schema.
    ignored : frozenset of str
        Ids of findings that it silences.
    """

    name: str
    path: Path
    schemas: tuple[str, ...]
    imports: Mapping[str, int]
    tables: frozenset[str]
    references: tuple[Reference, ...]
    stores: frozenset[str]
    undecorated: Mapping[str, int]
    ignored: frozenset[str]


@dataclass(frozen=True)
class Graph:
    """The schema modules of a package."""

    modules: Mapping[str, Module] = field(default_factory=dict)

    def module_of(self, schema: str) -> str | None:
        """Find the module that opens a schema."""
        return next((module.name for module in self.modules.values() if schema in module.schemas), None)

    def parents(self, name: str) -> set[str]:
        """Give the modules that a module's foreign keys lead to."""
        return {r.module for r in self.modules[name].references if r.module is not None and r.module in self.modules}

    def modules_in_order(self, versions: Mapping[str, str]) -> dict[str, str]:
        """Give the module of each schema, in the order of ``SCHEMA_VERSIONS``.

        Raises
        ------
        PipelineError
            If a schema has no module.
        """
        found = {}
        for schema in versions:
            module = self.module_of(schema)
            if module is None:
                raise PipelineError(
                    f"No module opens the schema {schema}.",
                    "SCHEMA_VERSIONS in version.py names it.",
                    f'Write {schema}.py with schema = open_schema("{schema}"), or take the name out of version.py.',
                )
            found[schema] = module
        return found


def read(directory: Path) -> Graph:
    """Read the schema modules of a package.

    Parameters
    ----------
    directory : Path
        The package's folder.

    Raises
    ------
    PipelineError
        If a module is not Python.
    """
    names = {path.stem for path in directory.glob("*.py")} - _NOT_SCHEMAS
    modules = {}
    for name in sorted(names):
        module = _read_module(directory / f"{name}.py", directory.name, names)
        if module.schemas:
            modules[name] = module
    return Graph(modules)


def _read_module(path: Path, package: str, siblings: set[str]) -> Module:
    source = disk.text(path)
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", 0) or 0
        raise PipelineError(
            f"{path.name} is not Python.", f"{getattr(error, 'msg', error)} in line {line}.", "Correct it."
        ) from None
    imports: dict[str, int] = {}
    aliases: dict[str, str] = {}  # what a name in this module stands for: module or module.Class
    for node in ast.walk(tree):
        for alias, target, line in _imported(node, package, siblings):
            aliases[alias] = target
            imports.setdefault(target.partition(".")[0], line)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    lines = source.split("\n")
    definitions = "\n".join(line for node in classes for line in lines[node.lineno - 1 : node.end_lineno])
    undecorated = dict(_undecorated(tree, classes))
    schema = undecorated or not classes or any(c.decorator_list for c in classes)
    ignored = {i.strip() for match in _IGNORE.finditer(source) for i in match["ids"].split(",")}
    return Module(
        name=path.stem,
        path=path,
        schemas=tuple(dict.fromkeys(_opened(tree))) if schema else (),
        imports=imports,
        tables=frozenset(node.name for node in classes),
        references=tuple(reference for node in classes for reference in _references(node, aliases)),
        stores=frozenset(_STORE.findall(definitions)),
        undecorated=undecorated,
        ignored=frozenset(ignored),
    )


def _imported(node: ast.AST, package: str, siblings: set[str]) -> Iterator[tuple[str, str, int]]:
    """Yield (name, what it stands for, line) for each import of a sibling module."""
    if isinstance(node, ast.ImportFrom):
        inside = node.level == 1 or (node.level == 0 and (node.module or "").split(".")[0] == package)
        if not inside:
            return
        base = (node.module or "") if node.level else (node.module or "").partition(".")[2]
        for item in node.names:
            target = f"{base}.{item.name}" if base else item.name
            if target.partition(".")[0] in siblings:
                yield item.asname or item.name, target, node.lineno
    elif isinstance(node, ast.Import):
        for item in node.names:
            head, _, rest = item.name.partition(".")
            if head == package and rest.partition(".")[0] in siblings:
                yield item.asname or item.name, rest, node.lineno


def _opened(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            function, first = node.func, node.args[0]
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if name in _OPENERS and isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def _undecorated(tree: ast.Module, classes: list[ast.ClassDef]) -> Iterator[tuple[str, int]]:
    """Yield name and line of each class with a tier and a definition that no schema decorates.

    What another class is made of, or what is given to a function, may be meant so.
    """
    used = {base.id for node in classes for base in node.bases if isinstance(base, ast.Name)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    used |= {argument.id for call in calls for argument in call.args if isinstance(argument, ast.Name)}
    for node in classes:
        bases = {getattr(base, "attr", getattr(base, "id", "")) for base in node.bases}
        if bases & _TIERS and not node.decorator_list and node.name not in used and any(_definitions(node)):
            yield node.name, node.lineno


def _definitions(table: ast.ClassDef) -> Iterator[ast.Constant]:
    """Yield the text that a class has as its definition."""
    for node in table.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Constant):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(getattr(target, "id", "") == "definition" for target in targets):
                yield node.value


def _references(table: ast.ClassDef, aliases: Mapping[str, str], master: str = "") -> Iterator[Reference]:
    for node in table.body:
        if isinstance(node, ast.ClassDef):
            yield from _references(node, aliases, master=table.name)
    for definition in _definitions(table):
        for offset, text in enumerate(str(definition.value).splitlines()):
            if match := _REFERENCE.match(text):
                module, target = _resolve(match["target"], aliases)
                name = f"{master}.{table.name}" if master else table.name
                yield Reference(module, target, name, definition.lineno + offset)


def _resolve(reference: str, aliases: Mapping[str, str]) -> tuple[str | None, str]:
    """Find the module and the class that a reference leads to; module None where it stays inside its own."""
    reference = re.sub(r"\.proj$", "", reference)
    parts = reference.split(".")
    for length in range(len(parts), 0, -1):
        target = aliases.get(".".join(parts[:length]))
        if target is not None:
            module, _, inner = target.partition(".")
            return module, ".".join([*filter(None, [inner]), *parts[length:]])
    # An unknown small first word can only be a module that is not imported; tables are in CamelCase.
    if len(parts) > 1 and parts[0].islower() and parts[0] not in ("master", "self"):
        return parts[0], ".".join(parts[1:])
    return None, reference


def check(graph: Graph, versions: Mapping[str, str]) -> list[Finding]:
    """Hold imports, references and ``SCHEMA_VERSIONS`` against each other."""
    cycles = list(_check_cycles(graph, list(versions)))
    found = [*_check_versions(graph, versions), *cycles]
    for module in graph.modules.values():
        found += _check_module(graph, module, list(versions))
    if cycles:  # in which no order is right
        found = [finding for finding in found if finding.id != "order"]
    modules = graph.modules
    return [f for f in found if f.module not in modules or f.id not in modules[f.module].ignored]


def _check_versions(graph: Graph, versions: Mapping[str, str]) -> Iterator[Finding]:
    opened: dict[str, str] = {}
    for module in graph.modules.values():
        for schema in module.schemas:
            if schema in opened:
                yield Finding(
                    "two-modules",
                    module.name,
                    1,
                    f"The schema {schema} is opened in {opened[schema]}.py too.",
                    "Keep a schema's tables in one module.",
                )
            opened[schema] = module.name
            if schema not in versions:
                yield Finding(
                    "no-version",
                    module.name,
                    1,
                    f"The schema {schema} has no version.",
                    f'Add "{schema}": "1.0.0" to SCHEMA_VERSIONS, below the schemas it depends on.',
                )
    for schema in versions:
        if schema not in opened:
            yield Finding(
                "no-module",
                "version",
                1,
                f"SCHEMA_VERSIONS names {schema}, which no module opens.",
                f'Write {schema}.py with schema = open_schema("{schema}"), or take the name out.',
            )


def _check_cycles(graph: Graph, order: list[str]) -> Iterator[Finding]:
    """Find circles of imports; each is told at the import that goes against ``SCHEMA_VERSIONS``."""
    done: set[str] = set()

    def upwards(pair: tuple[str, str]) -> bool:
        low, high = (next((order.index(s) for s in graph.modules[m].schemas if s in order), 0) for m in pair)
        return low > high

    def visit(name: str, path: tuple[str, ...]) -> Iterator[Finding]:
        if name in path:
            circle = [*path[path.index(name) :], name]
            importing, imported = sorted(pairwise(circle), key=upwards)[0]
            yield Finding(
                "cycle",
                importing,
                graph.modules[importing].imports[imported],
                f"Modules import each other in a circle: {' → '.join(circle)}.",
                f"Take the import of {imported} out of {importing}.py, with the foreign keys that need it; tables that "
                "both need go into a schema above them.",
            )
        elif name not in done:
            for other in graph.modules[name].imports:
                if other in graph.modules:
                    yield from visit(other, (*path, name))
            done.add(name)

    for name in graph.modules:
        yield from visit(name, ())


def _check_module(graph: Graph, module: Module, order: list[str]) -> Iterator[Finding]:
    for table, line in module.undecorated.items():
        what = f"{table} is given to no schema, so DataJoint does not know it."
        yield Finding("undecorated", module.name, line, what, "Write @schema in the line above the class.")
    rank = {schema: position for position, schema in enumerate(order)}
    missing: set[str] = set()
    for reference in module.references:
        other = reference.module
        if other is None or other == module.name:
            continue
        if other not in module.imports and other not in missing:
            missing.add(other)
            yield Finding(
                "missing-import",
                module.name,
                reference.line,
                f"{reference.table} refers to {other}.{reference.target}, and {other} is not imported.",
                f"Write `from . import {other}` at the top of {module.name}.py.",
            )
        if other not in graph.modules:
            continue
        if reference.target.partition(".")[0] not in graph.modules[other].tables:
            yield Finding(
                "unknown-table",
                module.name,
                reference.line,
                f"{reference.table} refers to {other}.{reference.target}, which {other}.py does not define.",
                "Correct the name of the table.",
            )
        above = [rank[s] for s in graph.modules[other].schemas if s in rank]
        own = [rank[s] for s in module.schemas if s in rank]
        if above and own and max(above) > min(own):
            yield Finding(
                "order",
                module.name,
                reference.line,
                f"{reference.table} refers to {other}.{reference.target}, which stands below it in SCHEMA_VERSIONS.",
                f"Move {other} above {module.schemas[0]} in version.py.",
            )
    needed = {reference.module for reference in module.references}
    for other, line in module.imports.items():
        if other in graph.modules and other not in needed:
            yield Finding(
                "unused-import",
                module.name,
                line,
                f"{module.name} imports {other}, and no foreign key leads there.",
                f"Add the foreign key that is meant, or take the import of {other} out.",
            )
