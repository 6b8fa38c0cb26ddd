"""Read a package from its syntax trees: nothing of it is imported or run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

#: Files of a package that are no schema modules, and folders that are not the lab's.
NOT_SCHEMAS = ("__init__", "__main__", "version", "conftest", "setup")
LIBRARY_FOLDERS = ("manage", "migrations")

_REFERENCE = re.compile(r"^\s*->\s*(?:\[[^\]]*\]\s*)?(?P<target>[A-Za-z_][\w.]*)")
_ATTRIBUTE = re.compile(r"""^\s*(?P<name>[a-z]\w*)\s*(?:=\s*(?P<default>"[^"]*"|'[^']*'|[^:#]*?)\s*)?:(?P<rest>.*)$""")
_TIERS = ("Manual", "Lookup", "Imported", "Computed", "Part")


@dataclass(frozen=True)
class Line:
    """An attribute as a definition has it, and where."""

    number: int
    name: str
    type: str
    in_key: bool


@dataclass(frozen=True)
class Definition:
    """The definition of a table class."""

    table: str
    tier: str
    line: int
    attributes: tuple[Line, ...]
    references: tuple[tuple[int, str], ...]
    readable: bool = True


@dataclass(frozen=True)
class Opening:
    """A call that gives a module its schema.

    ``kind`` is ``open_schema``, ``dj`` or ``activate``; ``name`` is what can be known of the schema's name, and
    ``whole`` whether that is all of it or what follows a prefix.
    """

    line: int
    kind: str
    name: str
    whole: bool


@dataclass
class Module:
    """A Python file of the package."""

    path: Path
    shown: str
    tree: ast.Module
    siblings: frozenset[str] = frozenset()
    package: str = ""
    aliases: dict[str, str] = field(default_factory=dict)  # what a name stands for: module or module.Class
    imports: dict[str, int] = field(default_factory=dict)  # line of each import of a sibling
    stars: list[tuple[int, str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return its name within the package."""
        return self.path.stem

    @cached_property
    def datajoint(self) -> dict[str, str]:
        """Return what stands for DataJoint in it: ``dj`` for the package itself, ``dj.Manual`` for a name of it."""
        found = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for item in node.names:
                    if item.name == "datajoint":
                        found[item.asname or "datajoint"] = "dj"
            elif isinstance(node, ast.ImportFrom) and node.module == "datajoint" and not node.level:
                found |= {item.asname or item.name: f"dj.{item.name}" for item in node.names}
        return found

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
        """Return the classes at its top level."""
        return [node for node in self.tree.body if isinstance(node, ast.ClassDef)]

    @cached_property
    def definitions(self) -> list[Definition]:
        """Return the definitions of its table classes, parts after their masters."""
        return [found for node in self.classes for found in _definitions(node)]

    @cached_property
    def openings(self) -> list[Opening]:
        """Return the calls that open schemas, in order."""
        return sorted(_openings(self), key=lambda opening: opening.line)

    @property
    def is_schema(self) -> bool:
        """Return whether it declares tables of a schema of its own."""
        decorated = any(node.decorator_list for node in self.classes)
        return any(opening.kind != "activate" for opening in self.openings) and (decorated or not self.classes)

    def resolve(self, reference: str) -> tuple[str, str]:
        """Return the sibling and the class that a reference leads to; no sibling where it stays in this file."""
        reference = re.sub(r"\.proj$", "", reference)
        parts = reference.split(".")
        for length in range(len(parts), 0, -1):
            known = self.aliases.get(".".join(parts[:length]))
            if known is not None:
                module, _, inner = known.partition(".")
                return module, ".".join([*filter(None, [inner]), *parts[length:]])
        if len(parts) > 1 and parts[0].islower() and parts[0] not in ("master", "self"):
            return parts[0], ".".join(parts[1:])
        return "", reference


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


def read(path: Path, shown: str, package: str = "", siblings: frozenset[str] = frozenset()) -> Module:
    """Read a file.

    Raises
    ------
    SyntaxError
        If it is not Python.
    """
    try:
        tree = parse(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SyntaxError(str(error)) from None
    except OSError as error:
        raise SyntaxError(error.strerror or str(error)) from None
    module = Module(path, shown, tree, siblings, package)
    for node in ast.walk(tree):
        for alias, target, line in _imported(node, package, siblings):
            if alias == "*":
                module.stars.append((line, target.partition(".")[0]))
            module.aliases[alias] = target
            module.imports.setdefault(target.partition(".")[0], line)
    return module


def _imported(node: ast.AST, package: str, siblings: frozenset[str]) -> Iterator[tuple[str, str, int]]:
    """Yield (name, what it stands for, line) for each import of a sibling."""
    if isinstance(node, ast.ImportFrom):
        inside = node.level == 1 or (node.level == 0 and package and (node.module or "").split(".")[0] == package)
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
            if package and head == package and rest.partition(".")[0] in siblings:
                yield item.asname or item.name, rest, node.lineno


# --- Definitions ---------------------------------------------------------------------------------------------------


def _definitions(node: ast.ClassDef, master: str = "") -> Iterator[Definition]:
    bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
    tier = next((base for base in bases if base in _TIERS), "")
    title = f"{master}.{node.name}" if master else node.name
    for inner in node.body:
        targets = inner.targets if isinstance(inner, ast.Assign) else [getattr(inner, "target", None)]
        if any(getattr(target, "id", "") == "definition" for target in targets):
            value = getattr(inner, "value", None)
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield _definition(title, tier, value.lineno, value.value)
            else:
                yield Definition(title, tier, inner.lineno, (), (), readable=False)
        elif isinstance(inner, ast.ClassDef):
            yield from _definitions(inner, title)


def _definition(title: str, tier: str, line: int, text: str) -> Definition:
    attributes, references, in_key = list[Line](), list[tuple[int, str]](), True
    for number, row in enumerate(text.split("\n"), line):
        plain = row.strip()
        if plain.startswith(("---", "___")):
            in_key = False
        elif match := _REFERENCE.match(row):
            references.append((number, match["target"]))
        elif not plain or plain.startswith("#") or re.match(r"(unique\s+)?index\b", plain, re.I):
            continue
        elif match := _ATTRIBUTE.match(row):
            attributes.append(Line(number, match["name"], _type(match["rest"]), in_key))
    return Definition(title, tier, line, tuple(attributes), tuple(references))


def _type(text: str) -> str:
    """Return a type without the comment behind it; ``#`` within quotes is none."""
    match = re.match(r"""(?:'[^']*'|"[^"]*"|[^#'"])*""", text)
    return (match[0] if match else text).strip()


# --- Schemas -------------------------------------------------------------------------------------------------------


def _openings(module: Module) -> Iterator[Opening]:
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        called = module.dotted(node.func)
        first = node.args[0] if node.args else None
        if called in ("dj.schema", "dj.Schema"):
            name, whole = known_text(module.tree, first) if first is not None else ("", False)
            yield Opening(node.lineno, "dj", name, whole)
        elif getattr(node.func, "id", getattr(node.func, "attr", "")) == "open_schema" and first is not None:
            name, whole = known_text(module.tree, first)
            yield Opening(node.lineno, "open_schema", name, whole)
        elif isinstance(node.func, ast.Attribute) and node.func.attr == "activate":
            name, whole = known_text(module.tree, first) if first is not None else ("", False)
            yield Opening(node.lineno, "activate", name, whole)


def known_text(tree: ast.Module, node: ast.AST | None, depth: int = 5) -> tuple[str, bool]:
    """Return what can be known of a text without running anything: its end, and whether that is all of it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value, True
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        (left, all_left), (right, all_right) = (known_text(tree, part, depth) for part in (node.left, node.right))
        return (left + right, True) if all_left and all_right else (right if all_right else "", False)
    if isinstance(node, ast.JoinedStr):
        end = ""
        for part in reversed(node.values):
            text, whole = known_text(tree, getattr(part, "value", part) if depth else None, depth - 1)
            if isinstance(part, ast.FormattedValue) and not whole:
                return end, False
            if isinstance(part, ast.Constant):
                text = str(part.value)
            end = text + end
        return end, True
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return re.sub(r".*%\w", "", known_text(tree, node.left, depth)[0]), False
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "format":
        text = known_text(tree, getattr(node.func, "value", None), depth)[0]
        return re.sub(r".*\{[^}]*\}", "", text), False
    if isinstance(node, ast.Name) and depth:
        for statement in tree.body:
            if isinstance(statement, ast.Assign) and any(getattr(t, "id", "") == node.id for t in statement.targets):
                return known_text(tree, statement.value, depth - 1)
    return "", False
