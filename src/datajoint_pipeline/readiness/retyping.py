"""What ``--convert-types`` changes: definitions and calls that have one right form."""

from __future__ import annotations

from . import calls, definitions, rewriting
from .changes import Change, Plan
from .notebooks import Notebook
from .source import Module

#: What some editors put at the beginning of a file.
_MARK = "\ufeff"


def plan(modules: list[Module]) -> Plan:
    """Return the changes of these files; notebooks are left, as their outputs belong to their code."""
    found = Plan([], [])
    known = definitions.codecs(modules)
    for module in modules:
        if isinstance(module, Notebook):
            continue
        before = module.path.read_bytes().decode()
        text = before.removeprefix(_MARK)
        after = before[: len(before) - len(text)] + _converted(module, text, known)
        if after != before:
            found.changes.append(Change(module.path, module.shown, before, after))
    return found


def _converted(module: Module, text: str, known: frozenset[str]) -> str:
    instead = {
        row.number: (row.text, fault.instead)
        for definition in module.definitions
        for row in definition.rows
        if definition.text is not None
        and (fault := definitions.fault_of(module, definition, row, known)) is not None
        and fault.instead
    }
    # Calls first: their columns are those of the file as it was read, and they leave every line where it is.
    edited = rewriting.apply(text, calls.edits(module))
    return rewriting.definitions(rewriting.read_again(module, edited), edited, instead) if instead else edited
