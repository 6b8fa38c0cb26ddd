"""Lines of definitions that DataJoint 2.3 does not take, by its own compiler, and types that other servers lack.

Core types (``int32``, ``varchar(20)``, ``<blob>``) are the same on MySQL and PostgreSQL; a native one is handed to the
server as it stands, and the embedded PostgreSQL, where ``check`` and ``local`` work, knows few of MySQL's.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from ..internals import definitions as datajoint
from . import types
from .findings import Finding
from .source import HOLE, Definition, Module, Row

#: What a refusal says of a comment whose percent signs are not doubled.
_PERCENT = "percent sign"

#: What one says of a default that not every server reads.
_DEFAULT = "The default "

#: `(new, names) -> [nullable] Table(old, names)  # comment`, which DataJoint took before it had proj.
_OLD_KEY = re.compile(
    r"\((?P<new>[\w\s,]+)\)\s*->\s*(?P<options>\[[^\]]*\]\s*)?(?P<table>[A-Za-z_][\w.]*)\s*"
    r"(?:\((?P<old>[\w\s,]*)\)\s*)?(?P<comment>#.*)?"
)


@dataclass(frozen=True)
class Fault:
    """What is wrong with a line of a definition: rule, sentence, what to do, and the line as it is to be, if sure."""

    rule: str
    what: str
    do: str
    instead: str = ""


def check(modules: Iterable[Module]) -> Iterator[Finding]:
    """Yield everything in definitions that DataJoint 2.3 or the embedded server takes no more."""
    modules = list(modules)
    known = codecs(modules)
    for module in modules:
        allowed = _native_keys_allowed(module)
        for definition in module.definitions:
            if definition.missing:
                what = f"{definition.table} has no definition in the code; DataJoint cannot declare it."
                do = "Write it; describe() of the table gives it as the database has it, by dj.VirtualModule."
                yield Finding(module.shown, definition.line, "no-definition", what, do)
            elif not definition.rows or any(HOLE in row.text for row in definition.rows):
                what = f"The definition of {definition.table} is put together by code, and not all of it was read."
                do = "Look at its types yourself; the page Adopting of the template has the table."
                yield Finding(module.shown, definition.line, "computed-definition", what, do, note=True)
            for row in definition.rows:
                if fault := fault_of(module, definition, row, known):
                    where = f"{definition.table}.{row.name}" if row.name else definition.table
                    yield Finding(
                        *(module.shown, row.number, fault.rule, f"{where} {fault.what}", fault.do),
                        sure=bool(fault.instead) and definition.text is not None and module.shows(row),
                    )
                if not allowed and (why := _own_key(definition, row)):
                    yield Finding(module.shown, row.number, "native-key", *why)


def fault_of(module: Module, definition: Definition, row: Row, known: Collection[str]) -> Fault | None:
    """Return what is wrong with a line of a definition, None where it can stay."""
    if HOLE in row.text or row.text.startswith("#"):
        return _comment(definition, row)
    if row.text.startswith("___"):
        return Fault("refused-definition", "is divided by ___.", "Write ---.", "---" + row.text.lstrip("_"))
    if old := _OLD_KEY.fullmatch(row.text):
        return _renamed(module, old)
    reason = datajoint.refusal(row.text, in_key=row.in_key, codecs=known)
    attribute = datajoint.attribute(row.text)
    if attribute is None or (datajoint.is_core(attribute.type) and not reason):
        return _refused(row, reason) if reason else None
    found = _advice(row, attribute.type, known)
    if found is None:
        return _refused(row, reason) if reason else None
    instead = _replaced(row.text, attribute.type, found.new) if found.new else ""
    again = datajoint.refusal(instead, in_key=row.in_key, codecs=known) if instead else ""
    if again and (mended := _mended(instead, again)):
        instead = mended
        again = datajoint.refusal(instead, in_key=row.in_key, codecs=known)
    what, do = f"is of the type {attribute.type}.", found.do
    if again:  # it is wrong in another way, too
        return Fault(found.rule, what, f"{do} Besides: {again}")
    return Fault(found.rule, what, do, instead if found.sure else "")


def _advice(row: Row, type_: str, known: Collection[str]) -> types.Advice | None:
    spelled = types.canonical(type_)
    if datajoint.is_core(type_) and spelled != type_:
        line = _replaced(row.text, type_, spelled)
        again = datajoint.refusal(line, in_key=row.in_key, codecs=known)
        if not again or _mended(line, again):
            return types.Advice("type-spelling", spelled, f"Write {spelled}; DataJoint 2 takes no other spelling.")
    found = types.advice(type_)
    return None if found and found.new == type_ else found


def _refused(row: Row, reason: str) -> Fault:
    what = f"has a line that DataJoint 2 refuses: {row.text}"
    return Fault("refused-definition", what, reason, _mended(row.text, reason))


def _mended(line: str, reason: str) -> str:
    """Return a line without what it is refused for, where that has one right form; empty otherwise."""
    if _PERCENT in reason:
        return _doubled(line)
    attribute = datajoint.attribute(line)
    if _DEFAULT not in reason or attribute is None:
        return ""
    text = attribute.default.strip("'\"").lower()
    values = {"true": "1", "false": "0"} if attribute.type.lower() == "bool" else {}
    with suppress(ValueError, OverflowError):
        values[text] = str(int(float(text))) if float(text).is_integer() else ""
    new = values.get(text, "")
    return re.sub(r"(=\s*)" + re.escape(attribute.default), lambda match: match[1] + new, line, count=1) if new else ""


def _renamed(module: Module, match: re.Match[str]) -> Fault:
    """Return a foreign key of before ``proj`` as it is written now; one new name alone means a table's only key."""
    new, old = _split(match["new"]), _split(match["old"] or "")
    if not old and len(new) == 1:
        old = _key(module, match["table"])
    names = old if len(old) == len(new) else ["..."] * len(new)
    renamed = ", ".join(f"{one}='{other}'" for one, other in zip(new, names, strict=True) if one != other)
    table = f"{match['table']}.proj({renamed})" if renamed else match["table"]
    comment = f"  {match['comment']}" if match["comment"] else ""
    line = f"-> {match['options'] or ''}{table}{comment}"
    what = f"has a foreign key as DataJoint wrote them before 0.12: {match[0]}"
    if "..." in names:
        return Fault("refused-definition", what, f"Write {line}, with the attribute of its key that is meant.")
    return Fault("refused-definition", what, f"Write {line}", line)


def modern(module: Module, line: str) -> str:
    """Return a line of a definition with its foreign key as DataJoint 2 reads it, others as they are."""
    old = _OLD_KEY.fullmatch(line)
    return _renamed(module, old).instead or line if old else line


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _key(module: Module, table: str, depth: int = 5) -> list[str]:
    """Return the names of a table's key where the code shows all of them, and nothing otherwise."""
    other, name = module.resolve(table)
    place = module.others.get(other) if other else module
    found = [one for one in place.definitions if one.table == name] if place is not None else []
    if place is None or len(found) != 1 or found[0].text is None or not depth:
        return []
    names = list[str]()
    for row in found[0].rows:
        if row.in_key and row.target:
            above = _key(place, row.target, depth - 1) if ".proj" not in row.text and "(" not in row.text else []
            if not above:
                return []
            names += above
        elif row.in_key and row.name and not row.text.startswith("#"):
            names.append(row.name)
    return list(dict.fromkeys(names))


def _doubled(line: str) -> str:
    """Return a line whose comment has every percent sign twice."""
    attribute = datajoint.attribute(line)
    if attribute is None or not line.endswith(attribute.comment):
        return ""
    return line[: len(line) - len(attribute.comment)] + re.sub("%%?", "%%", attribute.comment)


def _comment(definition: Definition, row: Row) -> Fault | None:
    first = definition.rows[0] is row and definition.text is not None
    if first and row.text.startswith("#") and row.text[1:].strip().startswith(":"):
        return Fault("refused-definition", "has a comment that begins with a colon.", "Write it without.")
    return None


def _replaced(line: str, old: str, new: str) -> str:
    """Return a line of a definition with another type, and everything else as it was."""
    return re.sub(rf"(:\s*){re.escape(old)}(?=\s*(?:#|$))", lambda match: match[1] + new, line, count=1)


def _own_key(definition: Definition, row: Row) -> tuple[str, str] | None:
    if not row.in_key or not row.name or row.target or definition.tier not in ("Imported", "Computed"):
        return None
    if datajoint.attribute(row.text) is None:
        return None
    what = (
        f"{definition.table}.{row.name} is a key of its own in a table that populate fills, which DataJoint 2 "
        "declines to declare."
    )
    do = (
        'Move it into a part table, or put "allow_new_pk_fields_in_computed_tables": true into "jobs" of '
        "datajoint.json."
    )
    return what, do


def _native_keys_allowed(module: Module) -> bool:
    """Return whether ``datajoint.json`` allows keys of their own to tables that populate fills."""
    name = "allow_new_pk_fields_in_computed_tables"
    for folder in module.path.parents:
        config = folder / "datajoint.json"
        if config.is_file():
            try:
                settings = json.loads(config.read_text(encoding="utf-8", errors="replace"))
            except ValueError:
                return False
            jobs = settings.get("jobs") if isinstance(settings, dict) else None
            nested = jobs.get(name) if isinstance(jobs, dict) else None
            return isinstance(settings, dict) and (nested is True or settings.get(f"jobs.{name}") is True)
    return False


def codecs(modules: Iterable[Module]) -> frozenset[str]:
    """Return the names of the codecs that the code defines."""
    return frozenset(name for module in modules for name in _codecs(module))


def _codecs(module: Module) -> Iterator[str]:
    for node in module.nodes:
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("Codec") for base in node.bases):
            for inner in node.body:
                named = isinstance(inner, ast.Assign) and any(getattr(t, "id", "") == "name" for t in inner.targets)
                if named and isinstance(value := getattr(inner, "value", None), ast.Constant):
                    yield str(value.value)
