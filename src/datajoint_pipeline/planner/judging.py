"""Judge a group of migrations by what its rows say: which violations refuse it, and what answers each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .. import journal
from ..errors import ExitCode, PipelineError, worst
from ..history import migration_files
from ..operations.state import SOFT_DELETED_ATTRIBUTE
from ..schema.model import TableName
from .losses import ALLOWED
from .plan import Group, Lossy, Violation

#: What to do about rows that stand in the way back; where their values are gone, there are none to correct.
_CORRECT = "Correct these rows, then run the command again."
_GONE = (
    "If purge deleted them, restore puts them back from the file in backups/ that it named; then run the command "
    "again. Otherwise write a migration that leads where you want to be."
)


def refusals(group: Group, *, allow_data_loss: bool) -> Iterator[tuple[Violation, PipelineError]]:
    """Give each violation that stands in the way, with the refusal that says what to do about it.

    Parameters
    ----------
    group : Group
        Whose violations are counted.
    allow_data_loss : bool
        Whether values may be cut or rounded where a new type cannot hold them.
    """
    title = group.migrations[0].title
    drafted = all(migration.slug == journal.DRAFT for migration in group.migrations)
    fill = "say --fill" if drafted else "say in the migration what they are to get (fill=..., using=...)"
    insert = (
        "say --insert"
        if drafted
        else "have the rows that they need inserted (missing={}, or run revise --again --insert TABLE)"
    )
    own = "number() or uuid()" if drafted else "NUMBER or UUID"
    using = "Say in the migration how the new values come about (using=...)"
    recode = "Correct them, or give the values in Python (RunPython) to another attribute"
    agree = "Correct these rows so that they agree, or say in missing={...} what all of them get"
    by_python = "Or go on from here, and give the values in Python (RunPython) to another attribute of that type."
    by_type = (
        "If their present type does not allow that, first give the attribute a type that holds both: change the "
        "code, then revise and migrate."
    )
    adopted = _adopts(group)
    back = bool(group.inputs.undone)
    if adopted:
        fill, using = "give the attribute another type", "Give the attribute a type that holds them"
    for violation in group.violations:
        if violation.kind == "object" and violation.blocks:
            yield (
                violation,
                PipelineError(
                    f"{title} cannot be applied: {violation.table} has {violation.counted}.",
                    "DataJoint does not know what is named: it would be lost, block or replace the change, or fail at "
                    "its next use. Nothing was changed.",
                    "Save its definition and drop it, run the command again, then create it anew so that it fits.",
                ),
            )
        elif violation.kind == "index":
            yield (
                violation,
                PipelineError(
                    f"{title} cannot be applied: {violation.table} has {violation.counted}.",
                    "Nobody could tell that the two are the same; nothing was changed.",
                    "Write it in the definition as the server does, "
                    + ("then run the command again." if drafted else "then run revise --again and migrate."),
                ),
            )
        elif violation.kind == "right":
            yield (
                violation,
                PipelineError(
                    f"{title} cannot be applied, for want of {violation.counted}.",
                    "The server would refuse a step in the middle; nothing was changed.",
                    "Ask for them (docs/access.md lists what is needed), then run the command again.",
                ),
            )
        elif violation.kind == "stored":
            yield (
                violation,
                PipelineError(
                    f"{title} cannot be applied: {violation.table} has {violation.counted}.",
                    "Each is read before the first step, and then copied; nothing was changed.",
                    "Check that datajoint.json names the store and that the objects are there, or delete the rows that "
                    "have lost theirs.",
                    exit_code=ExitCode.DATA_LOSS,
                ),
            )
        elif violation.kind == "using":
            yield (
                violation,
                PipelineError(
                    f"{title} cannot be applied: {violation.table} has an {violation.words}.",
                    "It was tried on the rows that are there; nothing was changed.",
                    "Correct it in the migration (using=..., fill=...), or the rows.",
                ),
            )
        elif violation.kind == "entry" and violation.blocks:
            yield (
                violation,
                PipelineError(
                    f"{title} cannot be applied: {violation.table} has {violation.counted}.",
                    "The server would refuse it, also compressed; nothing was changed.",
                    "Correct these rows, or take the attribute out of the key or index. To find equal values, an index "
                    "of their digest is enough: index ((md5(NAME))).",
                ),
            )
        elif violation.blocks and violation.lacks == "row":
            yield (
                violation,
                PipelineError(
                    f"{title} cannot be applied: {violation.table} has {violation.counted}.",
                    "Somebody wrote them while the server did not check foreign keys. It would refuse the change; "
                    "nothing was changed.",
                    "Insert the rows that they refer to, or delete these, then run the command again.",
                ),
            )
        elif violation.blocks:
            lacking = violation.lacks == "parent"
            more = f", or {insert}" if lacking else f", {own} for one of its own each"
            more = more if lacking or violation.kind == "duplicate" else ""
            if violation.lacks == "kept":
                more = ", or insert the row that they are to refer to"
                more += "" if drafted else " (at once, or by InsertRows in the migration)"
            answers = f"or {fill}{'' if adopted else more}"
            yield (
                violation,
                PipelineError(
                    f"{title} cannot be applied: {violation.table} has {violation.counted}.",
                    "The server would refuse the change; nothing was changed.",
                    _back(group, violation)
                    if back
                    else f"Correct these rows, {answers}.{'' if drafted else _kept(group, violation.table)}",
                ),
            )
        elif violation.loses and back:
            yield (
                violation,
                PipelineError(
                    f"{violation.table} has {violation.counted}.",
                    f"{title} would lose them, and no other value can replace them; nothing was changed.",
                    "Correct them so that the earlier type holds them, then run the command again. "
                    + (by_python if violation.kind == "codec" else by_type)
                    + " If a backup has the values of before, put its file into backups/ instead.",
                    exit_code=ExitCode.DATA_LOSS,
                ),
            )
        elif violation.loses and not (allow_data_loss and violation.kind in ALLOWED):
            error = PipelineError(
                f"{violation.table} has {violation.counted}.",
                f"{title} would lose them; nothing was changed.",
                {"codec": recode, "merge": agree}.get(violation.kind, using)
                + (", or say --allow-data-loss." if violation.kind in ALLOWED and not adopted else "."),
                exit_code=ExitCode.DATA_LOSS,
            )
            yield violation, error


def _back(group: Group, violation: Violation) -> str:
    """Say how to go on where the server would refuse a way back."""
    if violation.lacks == "value":
        return _GONE
    hidden = [name for name in violation.attributes if name.startswith(SOFT_DELETED_ATTRIBUTE)]
    if violation.kind == "null" and hidden:
        return (
            f"They were put in after it was dropped. Give them a value by SQL in the hidden column {hidden[0]} "
            f"(UPDATE ... SET {hidden[0]} = ... WHERE {hidden[0]} IS NULL), or delete them, then run the command again."
        )
    return _without_parents(group, violation) or _CORRECT


def _without_parents(group: Group, violation: Violation) -> str:
    """Say how to go on where rows of a table that comes back have lost their parents: nobody sees that table."""
    if not violation.rows or not any(violation.table in origins.hidden for origins in group.origins):
        return ""
    return (
        f"{violation.table} comes back as it was kept, and what these rows belong to was deleted since. Insert that "
        f"again, or delete them: DELETE {violation.rows}; then run the command again."
    )


def _kept(group: Group, table: TableName) -> str:
    """Say how to go on where values that come back stand in the way; nobody can correct them, as they are hidden."""
    for origins in group.origins:
        sources = origins.attributes.get(table, {})
        hidden = [n for n, was in sources.items() if was.startswith(SOFT_DELETED_ATTRIBUTE) and was != n]
        if hidden or table in origins.hidden:
            what = table if table in origins.hidden else " and ".join(f"{table}.{name}" for name in hidden)
            return (
                f" {what} comes back as rollback kept it. To begin without that, run purge {table.schema} "
                "--allow-data-loss, which writes it to a file and deletes it."
            )
    return ""


def _adopts(group: Group) -> bool:
    """Tell whether a group brings types of before to the code."""
    return group.migrations[0].slug == migration_files.TYPES and group.migrations[0].path is None


def exit_code(errors: Iterable[PipelineError]) -> ExitCode:
    """Give the exit code of refusals that hold at once: an error is none that a flag can answer."""
    codes = [error.exit_code for error in errors]
    return ExitCode.ERROR if ExitCode.ERROR in codes else worst(codes)


def refuse(groups: Iterable[Group], *, allow_data_loss: bool) -> None:
    """Refuse groups where something stands in the way of one.

    Raises
    ------
    PipelineError
        It names the first of those that the exit code is of, and how many more there are.
    """
    found = [(g, *pair) for g in groups for pair in refusals(g, allow_data_loss=allow_data_loss)]
    if not found:
        return
    code = exit_code(error for _, _, error in found)
    group, violation, first = next(one for one in found if one[2].exit_code == code)
    more = len(found) - 1
    if violation.kind == "stored":  # a person has to find all of these
        stored = [other for its, other, _ in found if its is group and other.kind == "stored"]
        lost = " ".join(f"{other.table} has {other.counted}." for other in stored)
        first.what, more = f"{group.migrations[0].title} cannot be applied: {lost}", len(found) - len(stored)
    if more and group.inputs.undone:  # few enough to be named at once
        first.why += "".join(f" {v.table} also has {v.counted}." for _, v, error in found if error is not first)
    elif more:
        others = "is one more" if more == 1 else f"are {more} more"
        command = "adopt --types" if _adopts(group) else "migrate"
        first.why += f" There {others} like it; {command} --dry-run names them."
    raise first


def lossy(group: Group) -> Lossy:
    """Give the attributes whose values may change, by their tables' names after, where nothing stands in the way."""
    return frozenset(
        (violation.table, attribute)
        for violation in group.violations
        if violation.loses
        for attribute in violation.attributes
    )
