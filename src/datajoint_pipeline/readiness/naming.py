"""What can be known of a text in code without running it: constants, f-strings, and simple functions of the package."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from .source import Module, statements

#: A text, and whether that is all of it; otherwise it is its end.
Known = tuple[str, bool]

_UNKNOWN: Known = ("", False)


def known(module: Module, node: ast.AST | None, given: Mapping[str, Known] | None = None, depth: int = 8) -> Known:
    """Return what can be known of the text that an expression gives.

    Parameters
    ----------
    module : Module
        Where the expression stands.
    node : ast.AST or None
        The expression.
    given : mapping, optional
        Arguments of the function that it stands in.
    depth : int, optional
        How many names and calls are followed.
    """
    given = given or {}
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value, True
    if depth <= 0 or node is None:
        return _UNKNOWN
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = (known(module, part, given, depth) for part in (node.left, node.right))
        return _joined(left, right)
    if isinstance(node, ast.JoinedStr):
        text: Known = ("", True)
        for part in node.values:
            inner = part.value if isinstance(part, ast.FormattedValue) else part
            text = _joined(text, known(module, inner, given, depth - 1))
        return text
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return re.sub(r".*%\w", "", known(module, node.left, given, depth)[0]), False
    if isinstance(node, ast.Call):
        return _called(module, node, given, depth - 1)
    if isinstance(node, ast.Name) and node.id in given:
        return given[node.id]
    if isinstance(node, (ast.Name, ast.Attribute)):
        return _named(module, ast.unparse(node), depth - 1)
    return _UNKNOWN


def _joined(left: Known, right: Known) -> Known:
    return (left[0] + right[0], left[1]) if right[1] else right


def _named(module: Module, name: str, depth: int) -> Known:
    """Return what a constant of this module, or of one that it imports, holds."""
    values = [node for node in statements(module.tree.body) if isinstance(node, ast.Assign)]
    found = [node.value for node in values if any(getattr(target, "id", "") == name for target in node.targets)]
    if len(found) == 1:
        return known(module, found[0], {}, depth)
    place = _place(module, name)
    return _named(*place, depth - 1) if not found and place and depth > 0 else _UNKNOWN


def _place(module: Module, name: str) -> tuple[Module, str] | None:
    """Return the module of the package that a name is from, and its name there."""
    head, _, rest = name.partition(".")
    if head not in module.aliases:
        return None
    other, inner = module.aliases[head]
    inner = ".".join(filter(None, [inner, rest]))
    return (module.others[other], inner) if other in module.others and inner else None


def _called(module: Module, call: ast.Call, given: Mapping[str, Known], depth: int) -> Known:
    function = call.func
    if isinstance(function, ast.Attribute) and function.attr == "format":
        return re.sub(r".*\{[^}]*\}", "", known(module, function.value, given, depth)[0]), False
    name = ast.unparse(function)
    for _ in range(5):
        if name in module.functions:
            arguments = {word.arg: known(module, word.value, given, depth) for word in call.keywords if word.arg}
            places = [known(module, argument, given, depth) for argument in call.args]
            return _returned(module, module.functions[name], places, arguments, depth)
        if (place := _place(module, name)) is None:
            break
        module, name = place
    return _UNKNOWN


def _returned(
    module: Module, function: ast.FunctionDef, places: list[Known], arguments: Mapping[str, Known], depth: int
) -> Known:
    """Return what a function gives that does nothing but put a text together."""
    names = [argument.arg for argument in [*function.args.posonlyargs, *function.args.args]]
    defaults = dict(zip(reversed(names), reversed(function.args.defaults), strict=False))
    given = {name: known(module, value, {}, depth) for name, value in defaults.items()}
    given |= dict(zip(names, places, strict=False)) | dict(arguments)
    given = {name: given.get(name, _UNKNOWN) for name in names} | given
    body = [node for node in statements(function.body) if not isinstance(node, ast.Expr)]
    if not body or not isinstance(body[-1], ast.Return):
        return _UNKNOWN
    for node in body[:-1]:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            given[name] = _UNKNOWN if name in given else known(module, node.value, given, depth)
    text, whole = known(module, body[-1].value, given, depth)
    return text, whole and not any(isinstance(node, (ast.Return, ast.If, ast.Try)) for node in body[:-1])
