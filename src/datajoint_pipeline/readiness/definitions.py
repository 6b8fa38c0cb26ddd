"""Types of DataJoint 0.14 in definitions, and what DataJoint 2.3 calls them.

Core types (``int32``, ``varchar(20)``, ``<blob>``) are the same on MySQL and PostgreSQL; a native one is handed to the
server as it stands, and the embedded PostgreSQL, where ``check`` and ``local`` work, knows few of MySQL's.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from .findings import Finding
from .source import Definition, Line, Module

_WHOLE = re.compile(r"(?P<base>(?:tiny|small|medium|big)?int|integer)\b\s*(?:\((?P<size>\d+)\))?(?P<rest>.*)")
_SIGNED = {"tinyint": "int8", "smallint": "int16", "mediumint": "int32", "int": "int32", "bigint": "int64"}
_UNSIGNED = {"tinyint": "int16", "smallint": "int32", "mediumint": "int32", "int": "int64", "bigint": "int64"}
_STORED = re.compile(r"(?P<kind>blob|attach|filepath)@(?P<store>[a-z][\-\w]*)")
_BUILT_IN = ("blob", "attach", "hash", "object", "npy", "filepath")

#: What there is to say of objects in stores, of which 0.14 keeps the number in the row, and 2 a path and a checksum.
_OBJECTS = (
    "DataJoint 2 keeps objects otherwise; adopt --types copies those of 0.14 within their store, and the page "
    "Adopting of the template says more."
)


def check(modules: Iterable[Module]) -> Iterator[Finding]:
    """Yield everything in definitions that DataJoint 2.3 or the embedded server takes no more."""
    modules = list(modules)
    codecs = {name for module in modules for name in _codecs(module)}
    for module in modules:
        for definition in module.definitions:
            if not definition.readable:
                what = f"The definition of {definition.table} is put together by code and was not read."
                do = "Look at its types yourself; the page Adopting of the template has the table."
                yield Finding(module.shown, definition.line, "computed-definition", what, do, note=True)
            for line in definition.attributes:
                yield from _check_line(module, definition, line, codecs)


def _check_line(module: Module, definition: Definition, line: Line, codecs: set[str]) -> Iterator[Finding]:
    where = f"{definition.table}.{line.name}"
    rule, new, more = modern(line.type)
    if rule == "adapter-type" and new in codecs:
        rule = ""
    if rule:
        yield Finding(module.shown, line.number, rule, f"{where} is of the type {line.type}.", more)
    if line.in_key and definition.tier in ("Imported", "Computed"):
        what = f"{where} is a key of its own in a table that populate fills, which DataJoint 2 declines to declare."
        do = (
            'Move it into a part table, or put "allow_new_pk_fields_in_computed_tables": true into "jobs" of '
            "datajoint.json."
        )
        yield Finding(module.shown, line.number, "native-key", what, do, note=_native_keys_allowed(module))


def _native_keys_allowed(module: Module) -> bool:
    """Return whether ``datajoint.json`` allows keys of their own to tables that populate fills."""
    for folder in module.path.parents:
        config = folder / "datajoint.json"
        if config.is_file():
            text = config.read_text(encoding="utf-8", errors="replace")
            return re.search(r'"(jobs\.)?allow_new_pk_fields_in_computed_tables"\s*:\s*true', text) is not None
    return False


def modern(type_: str) -> tuple[str, str, str]:
    """Return the rule that a type breaks (empty where none), what it is called now, and what to write."""
    text = " ".join(type_.lower().split())
    if re.fullmatch(r"(tiny|small|medium|long)?blob", text):
        return (
            "blob-type",
            "<blob>",
            "Write <blob>; the rows keep their bytes, and adopt --types notes it in the database.",
        )
    if text == "attach":
        return "attach-type", "<attach>", "Write <attach>; the rows keep their bytes."
    if match := _STORED.fullmatch(text):
        return "stored-type", f"<{text}>", f"Write <{match['kind']}@{match['store']}>. {_OBJECTS}"
    if text == "serial" or "auto_increment" in text:
        do = "Write int64 and number the rows where they are inserted; only MySQL counts by itself."
        return "auto-increment", "int64", do
    if match := _WHOLE.fullmatch(text):
        return _whole(match)
    if re.fullmatch(r"(float|double|real)( precision)?\s*(\(.*\))?( unsigned)?", text):
        new = "float32" if text.startswith("float") else "float64"
        return "float-type", new, f"Write {new}."
    if text == "boolean":
        return "bool-type", "bool", "Write bool; DataJoint 2 knows no boolean."
    if re.match(r"(decimal|numeric|dec|fixed)\b", text) and not re.fullmatch(r"decimal\s*\(\d+\s*,\s*\d+\)", text):
        numbers = re.findall(r"\d+", text)
        new = f"decimal({(numbers or ['10'])[0]},{(numbers[1:] or ['0'])[0]})"
        return "decimal-type", new, f"Write {new}."
    if re.fullmatch(r"(tiny|medium|long)text", text):
        return "text-type", "text", "Write text, or varchar(N) for at most N characters."
    if re.fullmatch(r"year(\(\d\))?", text):
        return "year-type", "int16", "Write int16."
    if re.fullmatch(r"<\w+>", text) and text[1:-1] not in _BUILT_IN:
        do = f'Write a class that inherits dj.Codec and has name = "{text[1:-1]}"; it takes the adapter\'s place.'
        return "adapter-type", text[1:-1], do
    return "", type_, ""


def _whole(match: re.Match[str]) -> tuple[str, str, str]:
    base = "int" if match["base"] == "integer" else match["base"]
    if base == "tinyint" and match["size"] == "1" and "unsigned" not in match["rest"]:
        return "integer-type", "bool", "Write bool, or int8 where it counts."
    if "unsigned" not in match["rest"]:
        return "integer-type", _SIGNED[base], f"Write {_SIGNED[base]}."
    new = _UNSIGNED[base]
    more = " Values above 9223372036854775807 need decimal(20,0)." if base == "bigint" else ""
    return "integer-type", new, f"Write {new}, which holds every value; DataJoint 2 has no unsigned numbers.{more}"


def _codecs(module: Module) -> Iterator[str]:
    """Yield the names of the codecs that a file defines."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("Codec") for base in node.bases):
            for inner in node.body:
                named = isinstance(inner, ast.Assign) and any(getattr(t, "id", "") == "name" for t in inner.targets)
                if named and isinstance(value := getattr(inner, "value", None), ast.Constant):
                    yield str(value.value)
