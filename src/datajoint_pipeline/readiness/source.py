"""Read a package from its syntax trees: nothing of it is imported or run."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from .. import syntax

#: Files of a package that are no schema modules, and folders that are not the lab's.
NOT_SCHEMAS = ("__init__", "__main__", "version", "conftest", "setup")
LIBRARY_FOLDERS = ("manage", "migrations")

TIERS = ("Manual", "Lookup", "Imported", "Computed", "Part", "Entry", "Ingest", "Compute")

#: A foreign key; one of DataJoint before 0.12 has its new names in front.
_REFERENCE = re.compile(r"^(?:\([^)]*\)\s*)?->\s*(?:\[[^\]]*\]\s*)?(?P<target>[A-Za-z_][\w.]*)")
_NAME = re.compile(r"^(?P<name>[A-Za-z_]\w*)\s*(?=[:=])")

#: Stands in a text for what only running it would tell.
HOLE = "\N{OBJECT REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Row:
    """A line of a definition, without blanks around it, and where it stands."""

    number: int
    text: str
    in_key: bool

    @property
    def target(self) -> str:
        """Return what a foreign key refers to, empty for anything else."""
        match = _REFERENCE.match(self.text)
        return match["target"] if match else ""

    @property
    def name(self) -> str:
        """Return the name of an attribute, empty for anything else."""
        match = _NAME.match(self.text)
        return match["name"] if match else ""


@dataclass(frozen=True)
class Definition:
    """The definition of a table class.

    ``text`` is the constant that holds it, None where code puts it together; ``rows`` are its lines as far as they can
    be read. ``missing`` tells that the code has none, as where ``definition = ...`` leaves it to the database.
    """

    table: str
    tier: str
    line: int
    rows: tuple[Row, ...] = ()
    text: ast.Constant | None = None
    missing: bool = False

    @property
    def references(self) -> list[tuple[int, str]]:
        """Return line and target of each foreign key."""
        return [(row.number, row.target) for row in self.rows if row.target]


@dataclass
class Module:
    """A Python file, of the package or beside it.

    ``name`` is its name within the package, with dots; the package's own ``__init__`` has none. ``others`` are the
    modules of the package by that name, itself included.
    """

    path: Path
    shown: str
    tree: ast.Module
    text: str
    name: str = ""
    package: str = ""
    others: dict[str, Module] = field(default_factory=dict)
    #: Whether it stands beside the package: a script or a notebook.
    beside: bool = False

    @property
    def is_package(self) -> bool:
        """Return whether it is the ``__init__`` of a folder."""
        return self.path.stem == "__init__"

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Return everything in its syntax tree."""
        return list(ast.walk(self.tree))

    @cached_property
    def datajoint(self) -> dict[str, str]:
        """Return what stands for DataJoint in it: ``dj`` for the package itself, ``dj.Manual`` for a name of it."""
        found = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for item in node.names:
                    if item.name == "datajoint" or (item.name.startswith("datajoint.") and not item.asname):
                        found[item.asname or "datajoint"] = "dj"
                    elif item.name.startswith("datajoint."):
                        found[str(item.asname)] = f"dj.{item.name[10:]}"
            elif isinstance(node, ast.ImportFrom) and not node.level:
                head, _, rest = (node.module or "").partition(".")
                if head == "datajoint":
                    base = f"dj.{rest}." if rest else "dj."
                    found |= {item.asname or item.name: f"{base}{item.name}" for item in node.names}
        return found

    @cached_property
    def uses_datajoint(self) -> bool:
        """Return whether it imports DataJoint, or a module of the package, whose tables it then has."""
        return bool(self.datajoint or self.aliases)

    @cached_property
    def lines(self) -> list[str]:
        """Return its lines."""
        return self.text.split("\n")

    def shows(self, row: Row) -> bool:
        """Return whether a line of a definition stands in the file as it is, so that it can be replaced there."""
        return row.number <= len(self.lines) and self.lines[row.number - 1].count(row.text) == 1

    def dotted(self, node: ast.AST) -> str:
        """Return an expression as ``dj.Manual``, whatever the file calls DataJoint; empty for anything else."""
        if isinstance(node, ast.Name):
            return self.datajoint.get(node.id, "")
        if isinstance(node, ast.Attribute):
            inner = self.dotted(node.value)
            return f"{inner}.{node.attr}" if inner else ""
        return ""

    @cached_property
    def classes(self) -> list[ast.ClassDef]:
        """Return the classes at its top level, those below an ``if`` or ``try`` included."""
        return [node for node in statements(self.tree.body) if isinstance(node, ast.ClassDef)]

    @cached_property
    def functions(self) -> dict[str, ast.FunctionDef]:
        """Return the functions at its top level."""
        return {node.name: node for node in self.tree.body if isinstance(node, ast.FunctionDef)}

    @cached_property
    def assigned(self) -> set[str]:
        """Return the names that it gives values when it is imported."""
        targets = [t for node in statements(self.tree.body) if isinstance(node, ast.Assign) for t in node.targets]
        return {target.id for target in targets if isinstance(target, ast.Name)}

    @cached_property
    def definitions(self) -> list[Definition]:
        """Return the definitions of its table classes, parts after their masters."""
        return [found for node in self.classes for found in _definitions(node)]

    # --- Imports -----------------------------------------------------------------------------------------------------

    @cached_property
    def _imported(self) -> list[tuple[str, str, str, int]]:
        """Return (name here, module of the package, what of it, line) for each import of such a module."""
        return [found for node in self.nodes for found in self._imports_of(node)]

    @cached_property
    def aliases(self) -> dict[str, tuple[str, str]]:
        """Return what a name stands for: a module of the package and, perhaps, a name in it."""
        return {here: (module, inner) for here, module, inner, _ in self._imported if here != "*"}

    @cached_property
    def imports(self) -> dict[str, int]:
        """Return the line of the first import of each module of the package."""
        found: dict[str, int] = {}
        for _, module, _, line in self._imported:
            if module and module != self.name:
                found.setdefault(module, line)
        return found

    @cached_property
    def early_imports(self) -> dict[str, int]:
        """Return those imports that happen as soon as it is imported itself."""
        top = statements(self.tree.body)
        found = [one for node in top for one in self._imports_of(node)]
        return {module: line for _, module, _, line in reversed(found) if module and module != self.name}

    @cached_property
    def stars(self) -> list[tuple[int, str]]:
        """Return line and module of each import of everything."""
        return [(line, module) for here, module, _, line in self._imported if here == "*" and module]

    def _imports_of(self, node: ast.AST) -> Iterator[tuple[str, str, str, int]]:
        if isinstance(node, ast.ImportFrom):
            base = self._base(node)
            for item in node.names if base is not None else ():
                # `from . import x` in a sub-package may find a module or a name of its __init__.
                names = [*(base or []), *([] if item.name == "*" else [item.name])]
                if (found := self._known(names)) is not None:
                    yield ("*" if item.name == "*" else item.asname or item.name, *found, node.lineno)
        elif isinstance(node, ast.Import):
            for item in node.names:
                absolute = self._absolute(item.name.split("."))
                if absolute and (found := self._known(absolute)) is not None and not found[1]:
                    yield item.asname or item.name, *found, node.lineno

    def _base(self, node: ast.ImportFrom) -> list[str] | None:
        parts = node.module.split(".") if node.module else []
        if not node.level:
            return self._absolute(parts)
        return syntax.relative_base(node, self.name, self.is_package)

    def _absolute(self, parts: list[str]) -> list[str] | None:
        """Return a name within the package for one that begins with the package, or with a module beside this one.

        Beside are also those above its folder, as where the repository itself is on Python's path.
        """
        if self.package in parts:
            return parts[parts.index(self.package) + 1 :]
        if self.beside or not parts or not parts[0]:
            return None
        above = self.name.split(".")[:-1]
        for length in range(len(above), -1, -1):
            beside = ".".join([*above[:length], parts[0]])
            if beside != self.name and beside in self.others:
                return [*above[:length], *parts]
        return None

    @cached_property
    def bare_imports(self) -> list[tuple[ast.ImportFrom | ast.Import, str]]:
        """Return imports of the package's modules by their names alone, and the module of each.

        Python finds none of them once the package is installed. A name of the standard library, and a module that
        lacks what is imported from it, mean something else.
        """
        found = list[tuple[ast.ImportFrom | ast.Import, str]]()
        for node in self.nodes:
            if not isinstance(node, (ast.Import, ast.ImportFrom)):
                continue
            from_one = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            names = [item.name for item in node.names] if isinstance(node, ast.Import) else from_one
            for name in names:
                parts = name.split(".")
                within = self._absolute(parts) if self.package not in parts else None
                known = self._known(within) if within else None
                if known and known[0] and parts[0] not in sys.stdlib_module_names and self._has(node, known):
                    found.append((node, known[0]))
        return found

    def _has(self, node: ast.AST, known: tuple[str, str]) -> bool:
        """Return whether a module of the package has what is imported from it."""
        other = self.others[known[0]]
        if known[1] or not isinstance(node, ast.ImportFrom):
            return not known[1]
        there = {
            *other.assigned,
            *other.functions,
            *(one.name for one in other.classes),
            *other.aliases,
            *other.foreign,
        }
        inside = {item.name for item in node.names if f"{known[0]}.{item.name}" in self.others}
        return all(item.name == "*" or item.name in there | inside for item in node.names)

    def _known(self, names: list[str]) -> tuple[str, str] | None:
        for length in range(len(names), -1, -1):
            if (module := ".".join(names[:length])) in self.others:
                return module, ".".join(names[length:])
        return None

    def resolve(self, reference: str) -> tuple[str, str]:
        """Return the module and the class that a reference leads to; no module where it stays in this file.

        A small first word that nothing here explains can only be a module that is not imported.
        """
        parts = reference.removesuffix(".proj").split(".")
        for length in range(len(parts), 0, -1):
            if (known := self.aliases.get(".".join(parts[:length]))) is not None:
                return self._followed(known[0], ".".join([*filter(None, [known[1]]), *parts[length:]]))
        if len(parts) > 1 and parts[0].islower() and parts[0] not in ("master", "self", *self.foreign, *self.assigned):
            return parts[0], ".".join(parts[1:])
        if parts[0] not in {node.name for node in self.classes}:
            for _, star in self.stars:
                if star in self.others and parts[0] in {node.name for node in self.others[star].classes}:
                    return star, ".".join(parts)
        return "", ".".join(parts)

    def _followed(self, module: str, inner: str, depth: int = 5) -> tuple[str, str]:
        """Go on where a module only hands a name on that it has from another one."""
        other = self.others.get(module)
        head, _, rest = inner.partition(".")
        if other is None or not depth or head not in other.aliases:
            return module, inner
        further, name = other.aliases[head]
        return self._followed(further, ".".join(filter(None, [name, rest])), depth - 1)

    @cached_property
    def foreign(self) -> dict[str, str]:
        """Return the names that come from other packages, and what each is called there."""
        found = dict[str, str]()
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found |= {
                    (item.asname or item.name).partition(".")[0]: item.name
                    if item.asname
                    else item.name.partition(".")[0]
                    for item in node.names
                }
            elif isinstance(node, ast.ImportFrom):
                found |= {item.asname or item.name: f"{node.module or ''}.{item.name}" for item in node.names}
        return {name: source for name, source in found.items() if name not in self.aliases}


def statements(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return the statements that run when a module is imported, those below ``if``, ``try`` and ``with`` included."""
    found = list[ast.stmt]()
    for node in body:
        found.append(node)
        for inner in ("body", "orelse", "finalbody"):
            if isinstance(node, (ast.If, ast.Try, ast.With, ast.For, ast.While)):
                found += statements(getattr(node, inner, []))
        for handler in getattr(node, "handlers", []):
            found += statements(handler.body)
    return found


def parse(text: str) -> ast.Module:
    """Return the syntax tree of a text.

    Raises
    ------
    SyntaxError
        If it is not Python, or nested more deeply than Python can read.
    """
    try:
        return ast.parse(text)
    except (ValueError, RecursionError, MemoryError) as error:  # MemoryError is said of many brackets
        raise SyntaxError(str(error) or "too deeply nested") from None


def read(path: Path, shown: str, package: str = "", name: str = "", others: dict[str, Module] | None = None) -> Module:
    """Read a file.

    Raises
    ------
    SyntaxError
        If it is not Python.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SyntaxError(str(error)) from None
    except OSError as error:
        raise SyntaxError(error.strerror or str(error)) from None
    return Module(path, shown, parse(text), text, name, package, {} if others is None else others)


# --- Definitions ---------------------------------------------------------------------------------------------------


def _definitions(node: ast.ClassDef, master: str = "") -> Iterator[Definition]:
    bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
    tier = next((base for base in bases if base in TIERS), "")
    title = f"{master}.{node.name}" if master else node.name
    value = syntax.definition_of(node)
    if isinstance(value, ast.Constant) and (not isinstance(value.value, str) or not value.value.strip()):
        if master or node.decorator_list:  # what tables inherit may have none
            yield Definition(title, tier, value.lineno, missing=True)
    elif isinstance(value, ast.Constant):
        yield Definition(title, tier, value.lineno, tuple(_rows(value.lineno, str(value.value))), value)
    elif isinstance(value, ast.JoinedStr):
        text = "".join(str(getattr(part, "value", "")) if _plain(part) else HOLE for part in value.values)
        yield Definition(title, tier, value.lineno, tuple(_rows(value.lineno, text)))
    elif value is not None:
        yield Definition(title, tier, getattr(value, "lineno", node.lineno))
    for inner in node.body:
        if isinstance(inner, ast.ClassDef):
            yield from _definitions(inner, title)


def _plain(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant)


def _rows(first: int, text: str) -> Iterator[Row]:
    in_key = True
    for number, line in enumerate(text.split("\n"), first):
        plain = line.strip()
        if plain.startswith(("---", "___")):
            in_key = False
        if plain:
            yield Row(number, plain, in_key)
