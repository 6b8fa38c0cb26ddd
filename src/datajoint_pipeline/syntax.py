"""What the source of a module says, without importing it: where imports lead, what a class has as its definition.

It knows no project: names of modules begin below their package, and ``__init__`` has the name of its folder.
"""

from __future__ import annotations

import ast


def relative_import(own: str, is_package: bool, other: str) -> str:
    """Return the line that imports a module of the same package.

    Parameters
    ----------
    own : str
        The module that imports, with dots below the package: ``acquisition.session``.
    is_package : bool
        Whether that is the ``__init__`` of a folder.
    other : str
        The module that is imported.
    """
    base = own.split(".") if is_package and own else own.split(".")[:-1]
    *above, name = other.split(".")
    shared = 0
    while shared < min(len(base), len(above)) and base[shared] == above[shared]:
        shared += 1
    return f"from {'.' * (1 + len(base) - shared)}{'.'.join(above[shared:])} import {name}"


def relative_base(node: ast.ImportFrom, own: str, is_package: bool) -> list[str] | None:
    """Return what ``from ..x`` names, below the package; None where it leads out of it.

    Parameters
    ----------
    node : ast.ImportFrom
        An import with dots.
    own, is_package
        The module that imports, as in :func:`relative_import`.
    """
    base = own.split(".") if own else []
    base = base if is_package else base[:-1]
    if node.level - 1 > len(base):
        return None
    return [*base[: len(base) - node.level + 1], *(node.module.split(".") if node.module else [])]


def assigned(node: ast.AST) -> list[str]:
    """Return the names that a statement gives a value."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def definition_of(table: ast.ClassDef) -> ast.AST | None:
    """Return what a class has as its definition: an expression, or the function where that has no one expression.

    A property named so counts, with what it returns. None where the class has neither.
    """
    found: ast.AST | None = None
    for node in table.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None and "definition" in assigned(node):
            found = node.value
        elif isinstance(node, ast.FunctionDef) and node.name == "definition":
            found = _returned(node)
    return found


def _returned(function: ast.FunctionDef) -> ast.AST:
    """Return the expression that a function gives back, the function itself where it may give several."""
    returns = [node for node in ast.walk(function) if isinstance(node, ast.Return)]
    if len(returns) != 1 or returns[0].value is None:
        return function
    value = returns[0].value
    if not isinstance(value, ast.Name):
        return value
    given = [node for node in ast.walk(function) if value.id in assigned(node)]
    one = given[0] if len(given) == 1 else None
    return one.value if isinstance(one, (ast.Assign, ast.AnnAssign)) and one.value is not None else function
