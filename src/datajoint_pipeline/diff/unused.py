"""Finds answers that nobody asked for: what they were meant for would otherwise happen without them, unnoticed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..errors import ExitCode, PipelineError
from ..operations.origins import Origins
from ..operations.structure import (
    AddAttribute,
    AddForeignKey,
    AlterAttribute,
    DropAttribute,
    Operation,
    RenameAttribute,
    Tables,
    trace,
)
from ..schema.model import TableName
from ..schema.values import Fill
from .questions import Answers

#: How many things that can be answered a refusal names.
_NAMED = 8


def notes(given: Answers, before: Tables, operations: Sequence[Operation]) -> list[str]:
    """Say which answers are in none of the operations.

    Parameters
    ----------
    given : Answers
        What a person said.
    before : mapping of TableName to Table
        The tables before.
    operations : sequence of Operation
        What was found with these answers.

    Returns
    -------
    list of str
        A sentence for each value, removal or insertion that nothing needs: what it was meant for may be misspelt, or
        needs no answer.

    Raises
    ------
    PipelineError
        If a rename is in none of them: then something would be dropped that was to be kept.
    """
    _, origins = trace(before, operations)
    found = list[str]()
    for option, text in _unused(given, before, operations, origins):
        known = list(dict.fromkeys(_answerable(option, before, operations, origins)))
        more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
        what = f"{option} {text} answers no question"
        why = (
            f"What {option} can answer here: {', '.join(known[:_NAMED])}{more}."
            if known
            else f"No change that was found can be answered by {option}."
        )
        if option.startswith("--rename"):
            do = "Correct the option, or leave it out; nothing was changed."
            raise PipelineError(f"{what}.", why, do, exit_code=ExitCode.USAGE)
        found.append(f"{what}, and was left out. {why}")
    return found


def _unused(
    given: Answers, before: Tables, operations: Sequence[Operation], origins: Origins
) -> Iterator[tuple[str, str]]:
    """Give each option that is in no operation, and what it names."""
    for old, new in given.tables.items():
        if old == new or origins.tables.get(new) != old:
            yield "--rename-table", f"{old}={new}"
    for (name, was), now in given.attributes.items():
        if was == now or origins.attributes.get(name, {}).get(now) != was:
            yield "--rename", f"{name}.{was}={now}"
    for (name, attribute), fill in given.fills.items():
        if not any(_has_fill(operation, name, attribute, fill, before) for operation in operations):
            yield "--fill", f"{name}.{attribute}"
    for name, dropped in sorted(given.drops, key=str):
        kept = origins.tables.values() if dropped is None else origins.attributes.get(name, {}).values()
        if (name if dropped is None else dropped) in kept:
            yield "--drop", f"{name}.{dropped}" if dropped else str(name)
    for name in sorted(given.inserts, key=str):
        if not any(_inserts(operation, name) for operation in operations):
            yield "--insert", str(name)


def _has_fill(operation: Operation, name: TableName, attribute: str, fill: Fill, before: Tables) -> bool:
    match operation:
        case AddAttribute(table=table, attribute=will) | AlterAttribute(table=table, after=will):
            return (table, will.name, operation.fill) == (name, attribute, fill)
        case AddForeignKey(key=key, missing=missing, also=also):
            given = fill if fill.value is None else fill.value
            return (attribute, given) in (missing or ()) and (name in (key.parent, *also) or name not in before)
    return False


def _inserts(operation: Operation, name: TableName) -> bool:
    return (
        isinstance(operation, AddForeignKey)
        and operation.missing is not None
        and name in (operation.key.parent, *operation.also)
    )


def _answerable(option: str, before: Tables, operations: Iterable[Operation], origins: Origins) -> Iterator[str]:
    """Give what an option of that name could answer, as it would be written."""
    if option in ("--rename-table", "--drop"):
        yield from (str(old) for old in sorted(before, key=str) if origins.tables.get(old) != old)
    for operation in operations:
        match option, operation:
            case "--fill", AddAttribute(table=name, attribute=will):
                yield f"{name}.{will.name}"
            case "--fill", AlterAttribute(table=name, before=was, after=will) if was.nullable and not will.nullable:
                yield f"{name}.{will.name}"
            case "--fill", AddForeignKey(key=key, missing=missing) if missing:
                yield from (f"{key.parent}.{attribute}" for attribute, _ in missing)
            case "--rename", RenameAttribute(table=name, old=old):
                yield f"{name}.{old}"
            case "--rename" | "--drop", DropAttribute(table=name, attribute=attribute):
                yield f"{name}.{attribute}"
            case "--insert", AddForeignKey(key=key) if key.parent in before:
                yield str(key.parent)
