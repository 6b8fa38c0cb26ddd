"""What attributes tables have and where these come from, as far as definitions show it: for joins and for long keys."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..internals import definitions as datajoint
from . import definitions
from .findings import Finding
from .schemas import Schemas
from .source import HOLE, Definition, Module

#: The longest key or index of InnoDB, in bytes; a character of utf8mb4 has four.
_LONGEST, _CHARACTER = 3072, 4

_SIZES = {"int8": 1, "int16": 2, "int32": 4, "int64": 8, "bool": 1, "uuid": 16, "date": 3, "datetime": 8, "enum": 2}


@dataclass(frozen=True)
class Attribute:
    """An attribute of a table: where it comes from (empty if it has no lineage), and its bytes in an index."""

    origin: str
    in_key: bool
    size: int


Heading = dict[str, Attribute]


class Headings:
    """The headings of a package's tables, by module and class; None for one that the code does not show whole."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self._places = {(m.name, d.table): (m, d) for m in schemas.modules.values() for d in m.definitions}
        self._known: dict[tuple[str, str], Heading | None] = {}

    def of(self, module: str, table: str) -> Heading | None:
        """Return the heading of a table."""
        place = (module, table)
        if place not in self._known:
            self._known[place] = None  # while it is made, so that a circle ends
            if place in self._places:
                self._known[place] = self._read(*self._places[place])
        return self._known[place]

    def _read(self, module: Module, definition: Definition) -> Heading | None:
        found: Heading = {}
        if definition.text is None or any(HOLE in row.text for row in definition.rows):
            return None
        for row in definition.rows:
            if row.target:
                parent = self._parent(module, definition, definitions.modern(module, row.text))
                if parent is None:
                    return None
                for name, attribute in parent.items():
                    found.setdefault(name, Attribute(attribute.origin, row.in_key, attribute.size))
            elif row.name and (line := datajoint.attribute(row.text)):
                origin = f"{module.name}.{definition.table}.{line.name}" if row.in_key else ""
                found.setdefault(line.name, Attribute(origin, row.in_key, _size(line.type)))
        return found

    def _parent(self, module: Module, definition: Definition, line: str) -> Heading | None:
        """Return the key of the table that a line of a foreign key refers to, with the names that it is given here."""
        text = re.sub(r"^->\s*(\[[^\]]*\])?\s*", "", line).partition("#")[0].strip()
        try:
            node = ast.parse(text, mode="eval").body
        except SyntaxError:
            return None
        renamed: dict[str, str] = {}
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Attribute) or node.func.attr != "proj":
                return None
            for word in node.keywords:
                if word.arg and isinstance(word.value, ast.Constant):
                    renamed[str(word.value.value)] = word.arg
            node = node.func.value
        other, table = self._schemas.resolve(module, ast.unparse(node))
        if table == "master":
            table = definition.table.partition(".")[0]
        heading = self.of(other or module.name, table)
        if heading is None:
            return None
        return {renamed.get(name, name): attribute for name, attribute in heading.items() if attribute.in_key}


def _size(type_: str) -> int:
    text = type_.lower().replace(" ", "")
    if match := re.fullmatch(r"(?:var)?char\((\d+)\)", text):
        return int(match[1]) * _CHARACTER
    return next((size for name, size in _SIZES.items() if text.startswith(name)), 8)


def check(schemas: Schemas, more: Iterable[Module] = ()) -> Iterator[Finding]:
    """Yield keys that are too long, and joins that DataJoint 2 refuses, in the package and in more files."""
    headings = Headings(schemas)
    for module in schemas.modules.values():
        for definition in module.definitions:
            yield from _long(module, definition, headings.of(module.name, definition.table))
    for module in (*schemas.modules.values(), *more):
        yield from _joins(module, headings)


def of_files(schemas: Schemas, modules: Iterable[Module]) -> Iterator[Finding]:
    """Yield joins that DataJoint 2 refuses, in files that use the package."""
    headings = Headings(schemas)
    for module in modules:
        yield from _joins(module, headings)


def _joins(module: Module, headings: Headings) -> Iterator[Finding]:
    for node in module.nodes:
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.BitAnd, ast.Sub)):
            yield from _joined(module, node, headings)


def _long(module: Module, definition: Definition, heading: Heading | None) -> Iterator[Finding]:
    if heading is None:
        return
    indexes = [("The primary key", definition.line, [name for name, a in heading.items() if a.in_key])]
    for row in definition.rows:
        if match := re.match(r"(?:unique\s+)?index\s*\(([\w\s,]+)\)", row.text, re.I):
            names = [name.strip() for name in match[1].split(",")]
            indexes.append(("An index", row.number, [name for name in names if name in heading]))
    for what, line, names in indexes:
        size = sum(heading[name].size for name in names)
        if size > _LONGEST:
            longest = max(names, key=lambda name: heading[name].size)
            text = f"{what} of {definition.table} takes {size} bytes under utf8mb4; MySQL takes {_LONGEST}."
            do = f"Make its texts shorter, {longest} above all, or key the table by a number or a hash."
            yield Finding(module.shown, line, "long-key", text, do)


def _joined(module: Module, node: ast.BinOp, headings: Headings) -> Iterator[Finding]:
    left, right = (_table(module, side, headings) for side in (node.left, node.right))
    if not left or not right:
        return
    (one, mine), (other, theirs) = left, right
    strange = [name for name in mine if name in theirs and _differ(mine[name].origin, theirs[name].origin)]
    if strange and one != other:
        names = ", ".join(strange)
        what = f"{one} and {other} both have {names}, which no foreign key connects; DataJoint 2 refuses to join them."
        do = "Rename it on one side by .proj(), or write .join(other, semantic_check=False) where values are to match."
        if not isinstance(node.op, ast.Mult):
            do = do.replace(".join(", ".restrict(")
        yield Finding(module.shown, node.lineno, "join-names", what, do)


def _differ(one: str, other: str) -> bool:
    return not one or not other or one != other


def _is_class(node: ast.AST) -> bool:
    return getattr(node, "attr", getattr(node, "id", ""))[:1].isupper()


def _table(module: Module, node: ast.AST, headings: Headings) -> tuple[str, Heading] | None:
    """Return name and heading of what is a table, or one that is only restricted; None for anything else."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.BitAnd, ast.Sub)):
        return _table(module, node.left, headings)
    if isinstance(node, ast.Call) and not node.args and not node.keywords and _is_class(node.func):
        return _table(module, node.func, headings)
    if not isinstance(node, (ast.Name, ast.Attribute)):
        return None
    text = ast.unparse(node)
    other, table = module.resolve(text)
    heading = headings.of(other or module.name, table)
    return (text, heading) if heading else None
