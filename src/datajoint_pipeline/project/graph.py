"""The graph of schemas, from what the modules' sources say (:mod:`modules`).

Imports mirror foreign keys: a module imports exactly the schema modules that its definitions refer to, and refers only
to schemas that stand above its own in ``SCHEMA_VERSIONS``. What is not so is a :class:`Finding` with an id, and a
line ``# check: ignore ID`` in the module silences that id there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from ..errors import PipelineError
from ..findings import Finding
from ..nearest import nearest
from . import modules
from .modules import Module


@dataclass(frozen=True)
class Graph:
    """The schema modules of a package, and those that open a schema whose name cannot be read."""

    modules: Mapping[str, Module] = field(default_factory=dict)
    unread: Mapping[str, Module] = field(default_factory=dict)

    def modules_of(self, schema: str) -> tuple[str, ...]:
        """Find the modules that have tables of a schema; those that open it come first."""
        found = [module for module in self.modules.values() if schema in module.schemas]
        return tuple(module.name for module in sorted(found, key=lambda module: schema not in module.opened))

    def module_of(self, schema: str) -> str | None:
        """Find the module that opens a schema."""
        return next(iter(self.modules_of(schema)), None)

    def modules_by_schema(self, versions: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        """Give the modules of each schema, in the order of ``SCHEMA_VERSIONS``.

        Raises
        ------
        PipelineError
            If a schema has no module.
        """
        found = {}
        for schema in versions:
            names = self.modules_of(schema)
            if not names:
                raise PipelineError(
                    f"No module opens the schema {schema}.",
                    "SCHEMA_VERSIONS in version.py names it.",
                    f'Write {schema}.py with schema = open_schema("{schema}"), or take the name out of version.py.',
                )
            found[schema] = names
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
    found = modules.read(directory)
    return Graph(
        {name: module for name, module in found.items() if module.schemas},
        {name: module for name, module in found.items() if module.unread},
    )


def check(graph: Graph, versions: Mapping[str, str]) -> list[Finding]:
    """Hold imports, references and ``SCHEMA_VERSIONS`` against each other."""
    cycles = list(_check_cycles(graph, list(versions)))
    unread = [finding for module in graph.unread.values() for finding in _check_unread(module)]
    found = [*unread, *_check_versions(graph, versions), *cycles]
    for module in graph.modules.values():
        found += _check_module(graph, module, list(versions))
    if cycles:  # in which no order is right
        found = [finding for finding in found if finding.id != "order"]
    known = {**graph.unread, **graph.modules}
    return [f for f in found if f.module not in known or f.id not in known[f.module].ignored]


def _check_unread(module: Module) -> Iterator[Finding]:
    for line, filled in module.unread.items():
        what = f"{module.file} opens a schema whose name cannot be read without running it."
        do = 'Write the name as text, as in open_schema("session") or pipeline.activate(element, "session").'
        yield Finding("unread-schema", module.name, line, what, do, note=not filled)


def _check_versions(graph: Graph, versions: Mapping[str, str]) -> Iterator[Finding]:
    opened = {schema: module for module in graph.modules.values() for schema in module.schemas}
    for schema, module in opened.items():
        if schema not in versions:
            yield Finding(
                "no-version",
                module.name,
                1,
                f"The schema {schema} has no version.",
                f'Add "{schema}": "1.0.0" to SCHEMA_VERSIONS, below the schemas it depends on.',
            )
    for schema in versions:
        if schema not in opened and not any(any(module.unread.values()) for module in graph.unread.values()):
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
                f"Take the import of {imported} out of {graph.modules[importing].file}, with the foreign keys that "
                "need it; tables that both need go into a schema above them.",
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
    yield from _check_references(graph, module, {schema: position for position, schema in enumerate(order)})
    # Those that may be meant where a name is misspelt, which is said by then.
    unknown = [r.module for r in module.references if r.module and not r.imported and r.module not in graph.modules]
    meant = {nearest(name, graph.modules) for name in unknown}
    for other, line in module.imports.items():
        if other not in graph.modules or other in module.needed or other in meant:
            continue
        if other in module.used:
            what = f"{module.name} imports {other} for its code; no foreign key leads there."
            do = "Nothing, unless one is missing; the comment `# check: ignore import-without-key` hides this."
            yield Finding("import-without-key", module.name, line, what, do, note=True)
        elif module.composed:
            what = f"{module.name} imports {other}, and no foreign key that can be read here leads there."
            do = "Nothing, if a definition that code puts together has one; the comment "
            do += "`# check: ignore import-without-key` hides this."
            yield Finding("import-without-key", module.name, line, what, do, note=True)
        else:
            what = f"{module.name} imports {other}, and no foreign key leads there."
            do = f"Add the foreign key that is meant, or take the import of {other} out."
            yield Finding("unused-import", module.name, line, what, do)


def _check_references(graph: Graph, module: Module, rank: Mapping[str, int]) -> Iterator[Finding]:
    missing: set[str] = set()
    # Two schemas of one module may refer to each other: its tables are made as they stand there, in no other order.
    within = {
        (_schema_of(module, r.table.partition(".")[0]), _schema_of(module, r.target.partition(".")[0]))
        for r in module.references
        if r.module in (None, module.name)
    }
    for reference in module.references:
        other = reference.module or module.name
        if not reference.imported and other not in missing:
            missing.add(other)
            near = "" if other in graph.modules else nearest(other, graph.modules)
            do = f"Write `{module.import_of(other)}` at the top of {module.file}."
            yield Finding(
                "missing-import",
                module.name,
                reference.line,
                f"{reference.table} refers to {other}.{reference.target}, and {other} is not imported.",
                f"Did you mean {near}? Correct the name." if near else do,
            )
        if other not in graph.modules:
            continue
        there, table = graph.modules[other], reference.target.partition(".")[0]
        if other != module.name and table not in there.tables:
            near = nearest(table, there.tables)
            yield Finding(
                "unknown-table",
                module.name,
                reference.line,
                f"{reference.table} refers to {other}.{reference.target}, which {there.file} does not define.",
                f"Did you mean {other}.{near}? Correct the name." if near else "Correct the name of the table.",
            )
        above, own = _schema_of(there, table), _schema_of(module, reference.table.partition(".")[0])
        mutual = other == module.name and (above, own) in within
        if above in rank and own in rank and rank[above] > rank[own] and not mutual:
            yield Finding(
                "order",
                module.name,
                reference.line,
                f"{reference.table} refers to {other}.{reference.target}, which stands below it in SCHEMA_VERSIONS.",
                f"Move {above} above {own} in version.py.",
            )


def _schema_of(module: Module, table: str) -> str:
    """Give the schema of a table; nothing where nobody knows."""
    found = module.tables.get(table)
    return found or (module.schemas[0] if len(module.schemas) == 1 else "")
