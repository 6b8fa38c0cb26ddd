"""`revise`: compares the code with the snapshots, asks what it cannot know, and writes migrations."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import disk
from ..ddl import parents
from ..diff import answering, changes, unused
from ..diff.questions import Answers, Question
from ..errors import PipelineError
from ..history import asked, baselines, chain, migration_files, revisions, splitting, writing
from ..history.files import Files
from ..history.migration_files import History
from ..history.revisions import Revision
from ..operations import structure as ops
from ..operations.data import InsertRows
from ..operations.rendering import string
from ..operations.state import LineContext
from ..operations.structure import Tables
from ..operations.topology import dangling, dependency_order
from ..planner.drafts import Answer, Ask
from ..project.environments import Environment
from ..project.pipeline import Pipeline
from ..schema import definition
from ..schema.model import Schema, Table, TableName
from . import undo_revise


@dataclass
class Revised:
    """The files that `revise` wrote, and what is still open.

    Parameters
    ----------
    migrations : list of NewMigration
        The migrations, in the order in which they will be applied.
    questions : list of Question
        Those that are still open: the files have a placeholder for each.
    baselines : list of str
        Schemas whose first snapshot was written.
    notes : list of str
        Answers that nothing needed, and lines of definitions that DataJoint passes over.
    """

    migrations: list[writing.NewMigration]
    questions: list[Question]
    baselines: list[str]
    notes: list[str]


def _no_answers(before: Tables, after: Tables) -> Answers:
    return Answers()


def revise(
    pipeline: Pipeline,
    schemas: Iterable[str],
    message: str,
    *,
    bump: str | None = None,
    answer: Answer = _no_answers,
    ask: Ask | None = None,
) -> Revised:
    """Write a migration and a snapshot for each schema that differs from its snapshot, and raise its version.

    Parameters
    ----------
    pipeline : Pipeline
        The project.
    schemas : iterable of str
        The schemas to look at; all where there is none.
    message : str
        What the change is for; it names the files.
    bump : str, optional
        ``major``, ``minor`` or ``patch``; otherwise proposed from what changes.
    answer : callable
        Gives the answers that are known already, from the tables before and after.
    ask : callable, optional
        Asks a person; None from it leaves the question open, in the file.

    Raises
    ------
    PipelineError
        If a schema is not known, or the others do not fit what these would become.
    """
    pipeline.project.require_editable()
    undo_revise.end(pipeline)
    files = pipeline.project.files
    found, revision = _composed(pipeline, files, tuple(schemas), message, bump, answer, ask)
    if revision.after:
        written = revision.texts_after(files)
        revisions.note(pipeline.project.backups, files, revision)
        revisions.write(written)
    return found


def again(
    pipeline: Pipeline,
    environment: Environment,
    schemas: Collection[str] = (),
    message: str | None = None,
    *,
    bump: str | None = None,
    answer: Answer = _no_answers,
    ask: Ask | None = None,
) -> Revised:
    """Take back what the last `revise` wrote (:func:`undo_revise.undo`) and write it anew, with other answers.

    Schemas and message are those of then, where none are given; the other parameters are those of :func:`revise`. Where
    it fails, the files are what they were: it is composed on a copy of them, and they are written when all is known.
    """
    project, revision = pipeline.project, undo_revise.found(pipeline, environment, schemas)
    files, chosen = project.files, tuple(schemas) or revision.chosen
    with revisions.without(files, revision, project.backups) as apart:
        found, new = _composed(pipeline, apart, chosen, message or revision.message, bump, answer, ask)
        new = new.moved(apart, files)
    for migration in found.migrations:
        assert migration.path is not None
        migration.path = files.folder / migration.path.relative_to(apart.folder)
    undo_revise.replacing(pipeline, revision, new).write()
    return found


def _composed(
    pipeline: Pipeline,
    files: Files,
    schemas: tuple[str, ...],
    message: str,
    bump: str | None,
    answer: Answer,
    ask: Ask | None,
) -> tuple[Revised, Revision]:
    """Compose what is to be written; only the first snapshots of schemas are written by then."""
    asked.refuse(files, schemas)
    chosen = list(schemas) or migration_files.schemas(files)
    histories = migration_files.read(files)
    _refuse_problems(files, histories)
    code = pipeline.read_code()
    after = code.tables(files.versions)
    before = migration_files.tables_of(history.latest for history in histories.values())
    after = {n: t for n, t in after.items() if n.schema in chosen}
    after |= {n: t for n, t in before.items() if n.schema not in chosen}
    if wrong := dangling(after, histories):
        raise PipelineError(
            f"{', '.join(chosen)} cannot be revised alone.", wrong[0], "Name the other schema too, or none for all."
        )
    given = answer(before, after)
    found, _ = answering.answered(before, after, given, ask)
    notes = [*unused.notes(given, before, found.operations), *(f"{what} {why}" for what, why in code.ignored)]
    fresh = [name for name in files.versions if name in chosen and histories[name].latest is None]
    if fresh:
        settled = _settled(fresh, before, after, found.operations)
        baselines.write(files, settled, fresh)
        histories, before = migration_files.read(files), {**before, **settled}
        made = [op for op in found.operations if not isinstance(op, ops.CreateTable) or op.table not in settled]
        found = replace(found, operations=made)
    found = replace(found, operations=_with_contents(found.operations, before, after, code.contents))
    migrations = splitting.split(histories, before, found, bump)
    _refuse_untaken(histories, migrations, before)
    texts = _compose(files, histories, migrations, before, found, after, message)
    revision = _revision(files, message, schemas, migrations, fresh, texts)
    return Revised(migrations, found.questions, fresh, notes), revision


def _with_contents(
    operations: list[ops.Operation], before: Tables, after: Tables, contents: Mapping[TableName, list[dict[str, Any]]]
) -> list[ops.Operation]:
    """Insert the contents of new Lookup tables that existing rows come to refer to, before the foreign keys.

    DataJoint would insert them when the module is imported, which is too late, and leaves rows alone that are there by
    then.
    """
    wanted = [op.key.parent for op in operations if isinstance(op, ops.AddForeignKey) and op.missing is not None]
    for name in wanted:  # grows while it is walked
        more = [key.parent for key in after[name].foreign_keys] if name in after else []
        wanted += [parent for parent in more if parent not in wanted and parent not in before]
    order = [name for name in dependency_order(after.values()) if name in wanted and name in contents]
    rows = [InsertRows(name, tuple(tuple(row.items()) for row in contents[name])) for name in order]
    first = next((n for n, op in enumerate(operations) if isinstance(op, ops.AddForeignKey)), len(operations))
    return [*operations[:first], *rows, *operations[first:]]


def _refuse_untaken(
    histories: Mapping[str, History], migrations: Iterable[writing.NewMigration], before: Tables
) -> None:
    """Refuse values that `migrate` could not take from another table, which plans what belongs together as one."""
    now, together = before, list[ops.Operation]()
    for new in migrations:
        together += new.operations
        after = ops.apply(together, now)
        if not dangling(after, histories):
            parents.refuse_untaken(now, together)
            now, together = after, []


def _settled(
    fresh: list[str], before: Tables, after: Tables, operations: list[ops.Operation]
) -> dict[TableName, Table]:
    """Give the tables of schemas without a history that belong to their first snapshot: all that neither come from
    another schema nor refer to a table that does, or that is new or another one in a schema with a history.
    """
    made = {op.table for op in operations if isinstance(op, ops.CreateTable)}
    settled = {name: table for name, table in after.items() if name.schema in fresh and name in made}
    known = {name.schema for name in (*before, *after)}
    while True:
        waiting = {
            name
            for name, table in settled.items()
            for key in table.foreign_keys
            if key.parent.schema in known
            and (
                (parent := settled.get(key.parent, before.get(key.parent))) is None
                or parent.primary_key != key.parent_attributes
            )
        }
        if not waiting:
            return settled
        settled = {name: table for name, table in settled.items() if name not in waiting}


def _refuse_problems(files: Files, histories: Mapping[str, History]) -> None:
    for name, history in histories.items():
        for id_, sentence, do in chain.problems(history, files.versions.get(name)):
            if id_ not in ("open-question", "no-snapshot"):
                raise PipelineError(sentence, "A migration can only follow a complete history.", do)


# --- Files -------------------------------------------------------------------------------------------------------


def _compose(
    files: Files,
    histories: Mapping[str, History],
    migrations: list[writing.NewMigration],
    before: Tables,
    found: changes.Changes,
    after: Tables,
    message: str,
) -> dict[Path, str]:
    """Compose every file, and see that what they say leads to the code."""
    open_fills = {(q.table, q.subject) for q in found.questions if q.kind == "fill"}
    tables: Tables = before
    later = definition.titles_of(after)
    for new in migrations:
        new.lines = _decisions(found.questions, new, tables)
        for operation in new.operations:
            asked = (operation.table, _attribute(operation)) in open_fills
            new.lines.append(operation.render(LineContext(tables, new.schema, later), ask=asked))
            tables = operation.apply(tables)
    if changes.difference(tables, after).operations:
        raise PipelineError(
            "The change is too tangled for one migration.",
            "The changes of the schemas to each other's tables cannot be put in an order.",
            "Change the code in two steps, with a revise after each.",
        )
    titles = definition.titles_of(tables)
    texts: dict[Path, str] = {}
    for new in migrations:
        folder, latest = histories[new.schema].folder, histories[new.schema].latest
        assert latest is not None
        if not histories[new.schema].migrations:
            texts[folder / f"{latest.version}.txt"] = disk.text(latest.path)
        new.path = folder / f"{new.version}_{writing.slug(message)}.py"
        texts[new.path] = writing.file_text(files, new, message)
        texts[folder / migration_files.LATEST] = writing.snapshot_text(
            files, Schema.of(new.schema, tables), new.version, titles
        )
    return texts


def _revision(
    files: Files,
    message: str,
    schemas: tuple[str, ...],
    migrations: list[writing.NewMigration],
    fresh: list[str],
    texts: Mapping[Path, str],
) -> Revision:
    """Give what is to be known of this `revise`; the first snapshots of schemas are written by now."""
    first = [files.folder / name / migration_files.LATEST for name in fresh]
    after = {**{path: disk.text(path) for path in first}, **texts}
    before = {path: None if path in first else revisions.read(path) for path in after}
    versions = {name: (files.versions[name], files.versions[name]) for name in fresh}
    versions |= {new.schema: (new.previous, new.version) for new in migrations}
    return Revision(message, schemas, versions, before, after)


def _attribute(operation: ops.Operation) -> str:
    match operation:
        case ops.AddAttribute(attribute=attribute) | ops.AlterAttribute(after=attribute):
            return attribute.name
    return ""


def _decisions(questions: list[Question], new: writing.NewMigration, tables: Tables) -> list[str]:
    """Write placeholders for what only a person knows; ``tables`` are those before the migration."""
    lines = []
    asked = {question.table for question in questions}
    classes = {(name.schema, name.title) for name in asked}  # which may have had another tier, and so another table
    names = {*tables, *(key.parent for table in tables.values() for key in table.foreign_keys)}
    titles = definition.Titles([*(name for name in names if (name.schema, name.title) not in classes), *asked])
    for question in questions:
        if question.table.schema != new.schema or question.kind == "fill":
            continue
        name = titles.of(question.table, new.schema)
        name_now = question.candidates[0]
        then = f"run revise --again --rename-table {name}={name_now}"
        if question.kind == "rename":
            then = (
                f"put RenameAttribute('{name}', '{question.subject}', '{name_now}') in the place of the lines that "
                "drop the one and add the other"
            )
        words = question.words(lambda table: titles.of(table, new.schema))
        text = f"{words} Then {then}. If it is gone, delete this line."
        lines.append(f"Decide(\n    {string(text)}\n)")
    return lines
