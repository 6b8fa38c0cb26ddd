"""Writes migrations: compares the code with the snapshots, asks what it cannot know, puts down what is to be done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..declaring import scratch
from ..differences import changes
from ..differences import operations as ops
from ..differences.asking import Answers, Question
from ..differences.data_operations import InsertRows
from ..differences.topology import dangling, dependency_order
from ..errors import ExitCode, PipelineError
from ..files import chain, revisions, versionfile
from ..files.revisions import History
from ..project import Project
from ..tables import definition
from ..tables.model import Schema, Table, TableName
from . import apportioning, wording

Tables = Mapping[TableName, Table]


@dataclass
class Revised:
    """What `revise` did.

    Parameters
    ----------
    drafts : list of Draft
        The migrations, in the order in which they will be applied.
    questions : list of Question
        What stands in the files as a placeholder.
    baselines : list of str
        Schemas whose first snapshot was written.
    """

    drafts: list[wording.Draft]
    questions: list[Question]
    baselines: list[str]


def code_tables(own: Project, code: Mapping[str, Schema] | None = None) -> dict[TableName, Table]:
    """Every table of the code whose schema has a version."""
    code = scratch.read(own) if code is None else code
    return {table.name: table for name in own.versions if name in code for table in code[name]}


def write_baselines(own: Project, histories: Mapping[str, History], after: Tables, schemas: Iterable[str]) -> None:
    """Write the first snapshot of some schemas, of those that have none: these tables, at the version of the code."""
    titles = definition.titles_of(after)
    for name in [name for name in schemas if histories[name].latest is None]:
        path = revisions.folder(own) / name / revisions.LATEST
        wording.put(path, wording.snapshot_text(own, apportioning.shape_of(name, after), own.versions[name], titles))


def revise(
    own: Project,
    schemas: Iterable[str],
    message: str,
    *,
    bump: str | None = None,
    said: Callable[[Tables, Tables], Answers] = lambda before, after: Answers(),
    ask: Callable[[Question, Tables], Answers | None] | None = None,
) -> Revised:
    """Write a migration and a snapshot for each schema that differs from its snapshot, and raise its version.

    Parameters
    ----------
    own : Project
        The project.
    schemas : iterable of str
        The schemas to look at; all where there is none.
    message : str
        What the change is for; it names the files.
    bump : str, optional
        ``major``, ``minor`` or ``patch``; otherwise proposed from what changes.
    said : callable
        Given the tables before and after, what is known already.
    ask : callable, optional
        Asks a person; None from it leaves the question open, in the file.

    Raises
    ------
    PipelineError
        If a schema is not known, or the others do not fit what these would become.
    """
    chosen = list(schemas) or revisions.schemas(own)
    histories = revisions.read(own)
    _refuse_unknown(own, chosen, histories)
    _refuse_problems(own, histories)
    code = scratch.read(own)
    after = code_tables(own, code)
    before = revisions.tables_of(history.latest for history in histories.values())
    after = {n: t for n, t in after.items() if n.schema in chosen}
    after |= {n: t for n, t in before.items() if n.schema not in chosen}
    if wrong := dangling(after, histories):
        raise PipelineError(
            f"{', '.join(chosen)} cannot be revised alone.", wrong[0], "Name the other schema too, or none for all."
        )
    found = answered(before, after, said(before, after), ask)
    fresh = [name for name in own.versions if name in chosen and histories[name].latest is None]
    if fresh:
        settled = _settled(fresh, after, found.operations)
        write_baselines(own, histories, settled, fresh)
        histories, before = revisions.read(own), {**before, **settled}
        made = [op for op in found.operations if not isinstance(op, ops.CreateTable) or op.table not in settled]
        found = replace(found, operations=made)
    found = replace(found, operations=_with_contents(found.operations, before, after, code.contents))
    drafts = apportioning.drafts(histories, before, found, bump)
    _write(own, histories, drafts, before, found, after, message)
    return Revised(drafts, found.questions, fresh)


def _with_contents(
    operations: list[ops.Operation], before: Tables, after: Tables, contents: Mapping[TableName, list[dict[str, Any]]]
) -> list[ops.Operation]:
    """The operations; where existing rows come to refer to a new Lookup table, it gets what it comes with before them,
    for DataJoint puts that in when the module is imported, and leaves rows alone that are there by then."""
    wanted = [op.key.parent for op in operations if isinstance(op, ops.AddForeignKey) and op.missing is not None]
    for name in wanted:  # grows while it is walked
        more = [key.parent for key in after[name].foreign_keys] if name in after else []
        wanted += [parent for parent in more if parent not in wanted and parent not in before]
    order = [name for name in dependency_order(after.values()) if name in wanted and name in contents]
    rows = [InsertRows(name, tuple(tuple(row.items()) for row in contents[name])) for name in order]
    first = next((n for n, op in enumerate(operations) if isinstance(op, ops.AddForeignKey)), len(operations))
    return [*operations[:first], *rows, *operations[first:]]


def _settled(fresh: list[str], after: Tables, operations: list[ops.Operation]) -> dict[TableName, Table]:
    """The tables of schemas without a history that are there from the first: all that do not come from another schema,
    nor refer to one that does."""
    made = {op.table for op in operations if isinstance(op, ops.CreateTable)}
    settled = {name: table for name, table in after.items() if name.schema in fresh and name in made}
    while True:
        waiting = {
            name
            for name, table in settled.items()
            for key in table.foreign_keys
            if key.parent.schema in fresh and key.parent not in settled
        }
        if not waiting:
            return settled
        settled = {name: table for name, table in settled.items() if name not in waiting}


def _refuse_unknown(own: Project, chosen: list[str], histories: Mapping[str, History]) -> None:
    for name in chosen:
        if name not in histories:
            raise PipelineError(
                f"There is no schema {name}.",
                f"The project has {', '.join(own.versions)}.",
                "Correct the name.",
                exit_code=ExitCode.USAGE,
            )


def _refuse_problems(own: Project, histories: Mapping[str, History]) -> None:
    for name, history in histories.items():
        for id_, sentence, do in chain.problems(history, own.versions.get(name)):
            if id_ not in ("open-question", "no-snapshot"):
                raise PipelineError(sentence, "A migration can only follow a history that is whole.", do)


def answered(
    before: Tables, after: Tables, answers: Answers, ask: Callable[[Question, Tables], Answers | None] | None
) -> changes.Changes:
    """The difference once every question is answered or left open."""
    left: set[Question] = set()
    while True:
        found = changes.difference(before, after, answers)
        question = next((q for q in found.questions if q not in left), None)
        if question is None or ask is None:
            return found
        more = ask(question, before)
        if more is None:
            left.add(question)
        else:
            answers = merged(answers, more)


def merged(one: Answers, other: Answers) -> Answers:
    """All that was said; what was said last counts."""
    return Answers(
        {**one.tables, **other.tables},
        {**one.attributes, **other.attributes},
        {**one.fills, **other.fills},
        one.drops | other.drops,
        one.inserts | other.inserts,
    )


# --- Files -------------------------------------------------------------------------------------------------------


def _write(
    own: Project,
    histories: Mapping[str, History],
    drafts: list[wording.Draft],
    before: Tables,
    found: changes.Changes,
    after: Tables,
    message: str,
) -> None:
    """Compose every file, see that what they say leads to the code, and only then write them."""
    open_fills = {(q.table, q.subject) for q in found.questions if q.kind == "fill"}
    now: Tables = before
    later = definition.titles_of(after)
    for draft in drafts:
        draft.lines = _decisions(found.questions, draft, now)
        for operation in draft.operations:
            asked = (operation.table, _attribute(operation)) in open_fills
            draft.lines.append(wording.write(operation, now, draft.schema, later, ask=asked))
            now = operation.apply(now)
    if changes.difference(now, after).operations:
        raise PipelineError(
            "The change is too tangled for one migration.",
            "What the schemas do to each other's tables cannot be put in an order.",
            "Change the code in two steps, with a revise after each.",
        )
    versions = own.directory / "version.py"
    source = versions.read_text(encoding="utf-8")
    titles = definition.titles_of(now)
    files: dict[Path, str] = {}
    for draft in drafts:
        folder, latest = histories[draft.schema].folder, histories[draft.schema].latest
        assert latest is not None
        if not histories[draft.schema].revisions:
            files[folder / f"{latest.version}.txt"] = latest.path.read_text(encoding="utf-8")
        draft.path = folder / f"{draft.version}_{wording.slug(message)}.py"
        files[draft.path] = wording.file_text(own, draft, message)
        files[folder / revisions.LATEST] = wording.snapshot_text(
            own, apportioning.shape_of(draft.schema, now), draft.version, titles
        )
        if draft.schema in own.versions:
            source = versionfile.replace(source, draft.schema, draft.version)
    for path, text in files.items():
        wording.put(path, text)
    if drafts:
        wording.put(versions, source)


def _attribute(operation: ops.Operation) -> str:
    match operation:
        case ops.AddAttribute(attribute=attribute) | ops.AlterAttribute(after=attribute):
            return attribute.name
    return ""


def _decisions(questions: list[Question], draft: wording.Draft, now: Tables) -> list[str]:
    """Placeholders for what only a person knows."""
    lines = []
    titles = definition.titles_of({**now, **{q.table: Table(q.table, (), ()) for q in questions}})
    for question in questions:
        if question.table.schema != draft.schema or question.kind == "fill":
            continue
        name = titles.of(question.table, draft.schema)
        if question.kind == "rename":
            new = question.candidates[0]
            text = (
                f"Is {name}.{question.subject} now called {' or '.join(question.candidates)}? Then put "
                f"RenameAttribute('{name}', '{question.subject}', '{new}') in the place of the lines that drop the one "
                "and add the other. If it is gone, delete this line."
            )
        else:
            text = (
                f"Is the table {name} now called {' or '.join(question.candidates)}? Then make this anew with revise "
                f"--rename-table {name}={question.candidates[0]}. If it is gone, delete this line."
            )
        lines.append(f"Decide(\n    {wording.string(text)}\n)")
    return lines
