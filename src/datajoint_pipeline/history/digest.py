"""Digests of migration files: how it is seen that a file was edited after a database had it.

A digest changes with what a migration does and not with how its file is laid out. The journal records it with every
migration, so one that is computed differently by a later release would make every applied file "edited".

Version 2, which is recorded, is taken of a canonical text: the name of each operation's class, and those of its fields
that differ from their defaults, by name. A field may be added where it has a default, and fields may be reordered; a
default never changes. A field with ``repr=False`` says how an operation is carried out, not what it does, and does not
count. Version 1 is what releases up to 0.5.4 recorded; it is computed to be compared with what they left, and never
recorded. A file with Python counts as a whole in both.

This module knows operations as dataclasses and source as text; it knows neither files nor databases.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import re
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from ..operations.lines import Line, RunPython, RunSQL
from ..schema.values import Sql

#: What a digest of version 2 begins with; one of version 1 is 64 hexadecimal digits and nothing else.
PREFIX = "2:"


def digest(lines: Iterable[Line], source: str) -> str:
    """Give the digest of a migration file: ``2:`` and 64 hexadecimal digits.

    Parameters
    ----------
    lines : iterable of Line
        The operations of the file, in order.
    source : str
        Its text, which counts where Python is among the operations.
    """
    lines = list(lines)
    text = "\n".join(map(canonical, lines))
    if any(isinstance(line, RunPython) for line in lines):
        text += "\n" + canonical(ast.parse(source))
    return PREFIX + _sha256(text)


def frame(lines: Iterable[Line]) -> str:
    """Give the digest of a migration file as it is whatever the lab's own statements and Python in it are."""
    return PREFIX + _sha256(
        "\n".join(type(x).__name__ if isinstance(x, (RunSQL, RunPython)) else canonical(x) for x in lines)
    )


def canonical(value: object) -> str:
    """Give the text of a value that stays the same when its class gains a field with a default.

    Lists and tuples are the same, and so are dictionaries whose keys stand in another order. A syntax tree is written
    without positions, and without what is empty, so that the Python version that reads it does not matter.
    """
    if isinstance(value, ast.AST):
        parts = {name: part for name, part in ast.iter_fields(value) if part not in (None, []) and name != "kind"}
        if isinstance(value, ast.JoinedStr):  # Python 3.12 puts empty text between the parts of some
            parts["values"] = [part for part in value.values if getattr(part, "value", None) != ""]
        return type(value).__name__ + canonical(parts)
    if is_dataclass(value) and not isinstance(value, type):
        counted = ((f, getattr(value, f.name)) for f in fields(value) if f.repr and f.compare)
        return type(value).__name__ + canonical({f.name: part for f, part in counted if not _is_default(f, part)})
    if isinstance(value, Mapping):
        return "{" + ", ".join(sorted(f"{canonical(key)}: {canonical(part)}" for key, part in value.items())) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(canonical, value)) + "]"
    if value is None or type(value) in (bool, int, float, str):
        return json.dumps(value)
    return type(value).__name__ + json.dumps(re.sub(r" at 0x[0-9a-f]+", "", repr(value)))


def _is_default(field: Field[Any], value: object) -> bool:
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    return default is not MISSING and canonical(value) == canonical(default)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# --- Version 1 ---------------------------------------------------------------------------------------------------

#: The fields of each operation that releases 0.4.0 to 0.5.4 wrote, in their order. This never changes.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "CreateTable": ("definition",),
    "DropTable": ("table",),
    "RenameTable": ("table", "to"),
    "ChangeTier": ("table", "tier"),
    "ChangeComment": ("table", "comment"),
    "AddAttribute": ("table", "definition", "after", "fill"),
    "DropAttribute": ("table", "attribute"),
    "RenameAttribute": ("table", "old", "new"),
    "AlterAttribute": ("table", "definition", "fill", "using"),
    "OrderAttributes": ("table", "order"),
    "ChangePrimaryKey": ("table", "key"),
    "AddForeignKey": ("table", "key", "missing"),
    "DropForeignKey": ("table", "key"),
    "AddIndex": ("table", "index"),
    "DropIndex": ("table", "index"),
    "InsertRows": ("table", "rows"),
    "RebuildTable": ("table", "values"),
    "RunSQL": ("words", "mysql", "postgresql", "check", "back"),
    "RunPython": ("words", "check", "run"),
    "Decide": ("text",),
    "Sql": ("mysql", "postgresql"),
}

#: Release 0.3 had no ``missing``.
_FIELDS_0_3: Mapping[str, tuple[str, ...]] = {**_FIELDS, "AddForeignKey": ("table", "key")}


class _Later(Exception):
    """An operation says something that no release with version 1 knew."""


def digests_v1(lines: Iterable[Line], source: str) -> tuple[str, ...]:
    """Give the digests that releases up to 0.5.4 recorded for a file; none where they could not have read it."""
    lines, found = list(lines), []
    for known in (_FIELDS, _FIELDS_0_3):
        try:
            text = "\n".join(_repr(line, known) for line in lines)
        except _Later:
            continue
        if any(isinstance(line, RunPython) for line in lines):
            text = re.sub(r" at 0x[0-9a-f]+", "", re.sub(r"<function \w+[^>]*>", "", text))
            skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
            tokens = tokenize.generate_tokens(io.StringIO(source).readline)
            text += "".join(token.string for token in tokens if token.type not in skipped)
        found.append(_sha256(text))
    return tuple(dict.fromkeys(found))


def frame_v1(lines: Iterable[Line]) -> str:
    """Give the frame that releases 0.5.0 to 0.5.4 recorded for a file; empty where they could not have read it."""
    own = (RunSQL, RunPython)
    try:
        return _sha256(
            "\n".join(type(line).__name__ if isinstance(line, own) else _repr(line, _FIELDS) for line in lines)
        )
    except _Later:
        return ""


def _repr(value: object, known: Mapping[str, tuple[str, ...]]) -> str:
    """Give ``repr(value)`` as it was when these were the fields."""
    name = type(value).__name__
    if isinstance(value, (Line, Sql)) and is_dataclass(value) and name in known:
        later = [f for f in fields(value) if f.repr and f.name not in known[name]]
        if any(not _is_default(f, getattr(value, f.name)) for f in later):
            raise _Later
        return f"{name}({', '.join(f'{f}={_repr(getattr(value, f), known)}' for f in known[name])})"
    if type(value) is dict:
        return "{" + ", ".join(f"{_repr(key, known)}: {_repr(part, known)}" for key, part in value.items()) + "}"
    if type(value) is list:
        return "[" + ", ".join(_repr(part, known) for part in value) + "]"
    if type(value) is tuple:
        return "(" + ", ".join(_repr(part, known) for part in value) + ("," if len(value) == 1 else "") + ")"
    return repr(value)
