"""Writes migrations: compares the code with the snapshots, asks what it cannot know, puts down what is to be done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from . import chain, changes, definition, revisions, scratch, versionfile, wording
from . import operations as ops
from .changes import Answers, Question, dangling
from .errors import ExitCode, PipelineError
from .model import ForeignKey, Schema, Table, TableName
from .project import Project
from .revisions import History, Revision

Tables = Mapping[TableName, Table]

MAJOR, MINOR, PATCH = "major", "minor", "patch"


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


def write_baselines(own: Project, histories: Mapping[str, History], after: Tables) -> list[str]:
    """Write the first snapshot of every schema that has none: the code as it is, at the version that it has.

    Returns
    -------
    list of str
        The schemas.
    """
    missing = [name for name in own.versions if histories[name].latest is None]
    titles = definition.titles_of(after)
    for name in missing:
        path = revisions.folder(own) / name / revisions.LATEST
        wording.put(path, wording.snapshot_text(own, shape_of(name, after), own.versions[name], titles))
    return missing


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
    after = code_tables(own)
    baselines = write_baselines(own, histories, after)
    histories = revisions.read(own) if baselines else histories
    _refuse_problems(own, histories)
    before = revisions.tables_of(history.latest for history in histories.values())
    after = {n: t for n, t in after.items() if n.schema in chosen}
    after |= {n: t for n, t in before.items() if n.schema not in chosen}
    if wrong := dangling(after):
        raise PipelineError(
            f"{', '.join(chosen)} cannot be revised alone.", wrong[0], "Name the other schema too, or none for all."
        )
    found = answered(before, after, said(before, after), ask)
    drafts = _drafts(own, histories, before, after, found, bump)
    _write(own, histories, drafts, before, found, after, message)
    return Revised(drafts, found.questions, baselines)


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
            if id_ != "open-question":
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
    )


# --- What each schema gets -----------------------------------------------------------------------------------------


def shape_of(schema: str, tables: Tables) -> Schema:
    """The tables of a schema."""
    own = sorted((table for name, table in tables.items() if name.schema == schema), key=lambda t: t.name.table)
    return Schema(schema, tuple(own))


def _drafts(
    own: Project,
    histories: Mapping[str, History],
    before: Tables,
    after: Tables,
    found: changes.Changes,
    bump: str | None,
) -> list[wording.Draft]:
    reached = ops.apply(found.operations, before)
    order = list(histories)
    homes: dict[TableName, str] = {}
    drafts: dict[str, wording.Draft] = {}
    kinds: dict[str, set[str]] = {}
    for operation in found.operations:
        # What is done to a table that moves stands in one file, that of the schema it leaves.
        home = homes.get(operation.table, operation.table.schema)
        if isinstance(operation, ops.RenameTable):
            homes[operation.to] = home
            kinds.setdefault(operation.to.schema, set()).add(MAJOR)
        kinds.setdefault(home, set()).add(weight(operation))
        drafts.setdefault(home, wording.Draft(home, "", "")).operations.append(operation)
    for name in order:
        if name in kinds or shape_of(name, before) != shape_of(name, reached):
            drafts.setdefault(name, wording.Draft(name, "", ""))
    for name, draft in drafts.items():
        latest = histories[name].latest
        assert latest is not None
        draft.previous = latest.version
        draft.version = raised(latest.version, bump or worst(kinds.get(name, {PATCH})))
    parents = _parents(before, reached)
    for name, draft in drafts.items():
        draft.requires = {above: drafts[above].version for above in sorted(parents.get(name, ())) if above in drafts}
        draft.requires |= {
            parent: latest.version
            for parent in sorted({k.parent.schema for o in draft.operations for k in _keys(o)} - set(drafts) - {name})
            if parent in histories and (latest := histories[parent].latest) is not None
        }
    revs = [Revision(d.schema, d.version, d.previous, "", requires=d.requires) for d in drafts.values()]
    have = {name: history.latest.version if history.latest else None for name, history in histories.items()}
    return [drafts[revision.schema] for revision in chain.in_order(revs, have, order)]


def _parents(*states: Tables) -> dict[str, set[str]]:
    """The schemas that each schema refers to, in any of the states, as far as they lead in one direction."""
    found: dict[str, set[str]] = {}
    for state in reversed(states):
        for table in state.values():
            for key in table.foreign_keys:
                here, there = table.name.schema, key.parent.schema
                if here != there and here not in _above(found, there):
                    found.setdefault(here, set()).add(there)
    return found


def _above(found: Mapping[str, set[str]], schema: str) -> set[str]:
    reached, waiting = set[str](), [schema]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += found.get(name, ())
    return reached


def _keys(operation: ops.Operation) -> tuple[ForeignKey, ...]:
    match operation:
        case ops.CreateTable(definition=table):
            return table.foreign_keys
        case ops.AddForeignKey(key=key):
            return (key,)
    return ()


def weight(operation: ops.Operation) -> str:
    """What an operation does to those who read the tables: ``major`` where code that works may break, ``minor`` where
    there is more than before, ``patch`` where they see nothing of it."""
    match operation:
        case ops.ChangeComment() | ops.AddIndex() | ops.DropIndex() | ops.OrderAttributes():
            return PATCH
        case ops.CreateTable() | ops.AddAttribute() | ops.AddForeignKey() | ops.DropForeignKey():
            return MINOR
        case ops.AlterAttribute(before=before, after=after):
            if before.type == after.type or before.inherited or after.inherited:
                return PATCH if before.nullable == after.nullable else MINOR
            return MINOR if changes.family(before.type) == changes.family(after.type) else MAJOR
    return MAJOR


def worst(kinds: Iterable[str]) -> str:
    """The kind of change that counts, of several."""
    return min(kinds, key=[MAJOR, MINOR, PATCH].index)


def raised(version: str, bump: str) -> str:
    """The next version."""
    major, minor, patch = (*Version(version).release, 0, 0)[:3]
    match bump:
        case "major":
            return f"{major + 1}.0.0"
        case "minor":
            return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + 1}"


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
    for draft in drafts:
        draft.lines = _decisions(found.questions, draft, now)
        for operation in draft.operations:
            asked = (operation.table, _attribute(operation)) in open_fills
            draft.lines.append(wording.write(operation, now, draft.schema, ask=asked))
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
            own, shape_of(draft.schema, now), draft.version, titles
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
