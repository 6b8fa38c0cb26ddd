"""Write what has one right form: types in definitions, and calls of DataJoint that only have another name.

An edit replaces a few characters; everything else of a file stays byte for byte.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from .source import Module, parse

_NAMES = {"dj.ERD": "Diagram", "dj.Di": "Diagram", "dj.create_virtual_module": "VirtualModule", "dj.schema": "Schema"}
_METHODS = {"spawn_missing_classes": "make_classes"}
_ARGUMENTS = {("delete", "safemode"): "prompt", ("populate", "limit"): "max_calls"}
_PARTS = {("delete", "force_parts"): "ignore", ("delete", "force_masters"): "cascade"}


@dataclass(frozen=True, order=True)
class Edit:
    """Characters of a file to replace: line, first and last column in bytes, and what comes in their place."""

    line: int
    start: int
    end: int
    new: str


def edits_of(module: Module, node: ast.AST, rule: str) -> list[Edit]:
    """Return the edits by which a finding about a node is done with; none where a person has to choose."""
    if rule == "renamed-name":
        return list(_renamed(module, node))
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return []
    if rule == "removed-method":
        return list(_method(node.func))
    if rule == "removed-argument":
        edits = [edit for word in node.keywords for edit in _argument(node.func.attr, word)]
        return edits if len(edits) == sum(_is_removed(node.func.attr, word) for word in node.keywords) else []
    return list(_aggregation(node)) if rule == "aggr-rows" else []


def _renamed(module: Module, node: ast.AST) -> Iterator[Edit]:
    if not isinstance(node, ast.Attribute) or node.end_col_offset is None or node.end_lineno is None:
        return
    name = module.dotted(node)
    if name in _NAMES:
        yield Edit(node.end_lineno, node.end_col_offset - len(node.attr), node.end_col_offset, _NAMES[name])
    elif name == "dj.key" and node.lineno == node.end_lineno:
        yield Edit(node.lineno, node.col_offset, node.end_col_offset, '"KEY"')


def _method(function: ast.Attribute) -> Iterator[Edit]:
    if function.attr in _METHODS and function.end_lineno and function.end_col_offset:
        end = function.end_col_offset
        yield Edit(function.end_lineno, end - len(function.attr), end, _METHODS[function.attr])


def _is_removed(method: str, word: ast.keyword) -> bool:
    names = {("populate", "keys"), ("populate", "order"), ("delete", "force"), *_ARGUMENTS, *_PARTS}
    return (method, word.arg) in names or (method, word.arg) == ("aggr", "keep_all_rows") or word.arg == "download_path"


def _argument(method: str, word: ast.keyword) -> Iterator[Edit]:
    value = word.value.value if isinstance(word.value, ast.Constant) else None
    start = word.col_offset
    if (method, word.arg) in _ARGUMENTS:
        yield Edit(word.lineno, start, start + len(str(word.arg)), _ARGUMENTS[method, str(word.arg)])
    elif word.end_col_offset is None or word.lineno != word.end_lineno:
        return
    elif (method, word.arg) in _PARTS and value is True:
        yield Edit(word.lineno, start, word.end_col_offset, f'part_integrity="{_PARTS[method, str(word.arg)]}"')
    elif (method, word.arg) == ("aggr", "keep_all_rows") and isinstance(value, bool):
        yield Edit(word.lineno, start, word.end_col_offset, f"exclude_nonmatching={not value}")


def _aggregation(call: ast.Call) -> Iterator[Edit]:
    """Yield what keeps the rows of an aggregation as 0.14 had them."""
    parts: list[ast.expr] = [*call.args, *(word.value for word in call.keywords)]
    last = max(parts, key=lambda part: (part.end_lineno or 0, part.end_col_offset or 0), default=None)
    unpacked = any(word.arg is None for word in call.keywords)  # which may hold the argument already
    if last is not None and last.end_lineno and last.end_col_offset and not unpacked:
        yield Edit(last.end_lineno, last.end_col_offset, last.end_col_offset, ", exclude_nonmatching=True")


def apply(text: str, edits: Collection[Edit]) -> str:
    """Return a text with edits made, from the last to the first."""
    lines = text.split("\n")
    for edit in sorted(edits, reverse=True):
        line = lines[edit.line - 1].encode()
        lines[edit.line - 1] = (line[: edit.start] + edit.new.encode() + line[edit.end :]).decode()
    return "\n".join(lines)


def definitions(module: Module, text: str, instead: dict[int, tuple[str, str]]) -> str:
    """Return a file with lines of definitions replaced, where nothing else of what it says changes.

    Parameters
    ----------
    module : Module
        The file, as it was read.
    text : str
        Its text.
    instead : dict
        By the number of the line: what stands there, without blanks around it, and what comes in its place.
    """
    changed = _lines(text, instead)
    if _says(changed) == _expected(module, instead):
        return changed
    for number, pair in instead.items():  # one of them is not where it seems to be
        one = _lines(text, {number: pair})
        if _says(one) == _expected(read_again(module, text), {number: pair}):
            text = one
    return text


def read_again(module: Module, text: str) -> Module:
    """Return a module with another text."""
    return Module(module.path, module.shown, parse(text), text, module.name, module.package, module.others)


def _lines(text: str, instead: dict[int, tuple[str, str]]) -> str:
    lines = text.split("\n")
    for number, (old, new) in instead.items():
        if number <= len(lines) and lines[number - 1].count(old) == 1:
            lines[number - 1] = lines[number - 1].replace(old, new)
    return "\n".join(lines)


def _says(text: str) -> str:
    try:
        return ast.dump(parse(text))
    except SyntaxError:
        return ""


def _expected(module: Module, instead: dict[int, tuple[str, str]]) -> str:
    """Return the tree of a module whose definitions say something else in some lines."""
    before = {id(d.text): d.text.value for d in module.definitions if d.text is not None}
    constants = [d.text for d in module.definitions if d.text is not None]
    for constant in constants:
        lines = str(constant.value).split("\n")
        for number, (old, new) in instead.items():
            index = number - constant.lineno
            if 0 <= index < len(lines) and lines[index].strip() == old:
                lines[index] = lines[index].replace(old, new)
        constant.value = "\n".join(lines)
    try:
        return ast.dump(module.tree)
    finally:
        for constant in constants:
            constant.value = before[id(constant)]
