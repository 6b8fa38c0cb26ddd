"""Plan drafts: tables brought to the code without a migration, to try things out, and from there to what the files say.

A draft keeps its schema's version. The operations of a migration start from that version's snapshot and do not fit the
tables of a draft. So what replaces a draft is the difference between the tables as they are and as the migrations leave
them. What became of each table and attribute is recorded of the draft and stands in the files, so there is no question.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from packaging.version import Version

from .. import journal
from ..ddl import parents
from ..dialects import constraints
from ..diff import answering, unused
from ..diff.changes import difference
from ..diff.questions import Answers, Question
from ..errors import ExitCode, PipelineError
from ..history import asked, chain, migration_files
from ..history.migration_files import Migration
from ..journal import steplog
from ..operations import structure as ops
from ..operations.origins import resolved, without_key
from ..operations.structure import Tables, trace
from ..operations.topology import dangling
from ..schema import definition
from ..schema.model import Schema, Table, TableName, decode, encode
from ..schema.naming import shorten
from ..schema.values import Fill
from . import pending, plan
from .deployment import Deployment
from .plan import Group, Lossy
from .target import BRANCH, PROD, Target

#: Given the tables before and after, what became of what.
Answer = Callable[[Tables, Tables], Answers]

#: Given a question and the tables after, its answer; None where there is none.
Ask = Callable[[Question, Tables], Answers | None]

#: By the name of a table before: its name after, and the names of its attributes after by those before.
Renamed = dict[TableName, tuple[TableName, dict[str, str]]]


def refuse_prod(environment: str, program: str, *, guarded: bool = False) -> None:
    """Refuse a draft on ``prod``, or on another environment that is ``guarded`` as prod is."""
    if environment == PROD or guarded:
        raise PipelineError(
            f"{environment} knows no drafts.",
            "Every change there has to be in a migration that somebody could read first.",
            f'Run {program} revise -m "what changed", then {program} --env {environment} migrate.',
        )


# --- The code of a draft ---------------------------------------------------------------------------------------------


def _kept_in(target: Target) -> Path:
    # Each git branch has tables of its own in the environment of that name.
    name = target.prefix.rstrip("_") if target.environment == BRANCH else target.environment
    return target.backups / f"{name}-draft.json"


def keep(target: Target, code: Tables) -> None:
    """Write down the tables of the code as a draft is about to have them.

    A draft that is interrupted is gone on with by these: whoever tries things out has edited the code by then.
    """
    names = dict.fromkeys(name.schema for name in code)
    target.backups.mkdir(parents=True, exist_ok=True)
    _kept_in(target).write_text(json.dumps([encode(Schema.of(name, code)) for name in names]), encoding="utf-8")


def kept(target: Target) -> dict[TableName, Table]:
    """Give the tables that :func:`keep` wrote; those of the code where there are none."""
    path = _kept_in(target)
    if not path.is_file():
        return target.code_tables()
    schemas = [decode(data) for data in json.loads(path.read_text(encoding="utf-8"))]
    return {table.name: table for schema in schemas for table in schema}


def forget(target: Target) -> None:
    """Remove what :func:`keep` wrote."""
    _kept_in(target).unlink(missing_ok=True)


# --- To the code ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draft:
    """What brings the tables of some schemas to the code.

    Parameters
    ----------
    schemas : tuple of str
        The schemas.
    answers : Answers
        What became of what.
    operations : list of Operation
        What is to be done.
    """

    schemas: tuple[str, ...]
    answers: Answers
    operations: list[ops.Operation]


def changes(deployment: Deployment, code: Tables, chosen: Iterable[str], answer: Answer, ask: Ask | None) -> Draft:
    """Find what brings the tables of some schemas, or of all that are there, to the code.

    Raises
    ------
    PipelineError
        If migrations are pending, a question is left without an answer, or the schemas cannot be drafted alone.
    """
    names = _draftable(deployment, list(chosen))
    before, after = deployment.tables, _drafted_tables(deployment, code, names)
    _refuse_missing(deployment, names, after)
    with_rows = {name for name in before if _has_rows(deployment, name)}

    def matters(question: Question) -> bool:
        return question.kind != "fill" or _needs_fill(before, after, with_rows, question)

    def ask_if_it_matters(question: Question, tables: Tables) -> Answers | None:
        return ask(question, tables) if ask is not None and matters(question) else None

    given = answer(before, after)
    found, answers = answering.answered(before, after, given, ask_if_it_matters)
    if found.operations:  # else the draft is there already, and its answers with it
        for note in unused.notes(given, before, found.operations):
            deployment.target.warn(note)
    for question in filter(matters, found.questions):
        raise PipelineError(*_unanswered(question, before, found.operations))
    return Draft(tuple(names), answers, _with_defaults(found.operations))


def is_done(deployment: Deployment, code: Tables, chosen: Iterable[str]) -> bool:
    """Tell whether the tables of some schemas, or of all that are there, are those of the code."""
    after = _drafted_tables(deployment, code, _draftable(deployment, list(chosen)))
    found = difference(deployment.tables, after, Answers())
    return not found.operations and not found.questions


def changes_again(deployment: Deployment, code: Tables, schemas: Iterable[str], answers: Answers) -> Draft:
    """Find what :func:`changes` found when a draft began, from the tables as they were then and the answers."""
    names = list(schemas)
    after = _drafted_tables(deployment, code, names)
    return Draft(tuple(names), answers, _with_defaults(difference(deployment.tables, after, answers).operations))


def _drafted_tables(deployment: Deployment, code: Tables, names: Container[str]) -> dict[TableName, Table]:
    """Give the tables after a draft of some schemas."""
    after = {name: table for name, table in code.items() if name.schema in names}
    return after | {name: table for name, table in deployment.tables.items() if name.schema not in names}


def _with_defaults(operations: Iterable[ops.Operation]) -> list[ops.Operation]:
    return [_with_fill(op) if isinstance(op, ops.AddAttribute) else op for op in operations]


def _draftable(deployment: Deployment, chosen: list[str]) -> list[str]:
    """Give the schemas that a draft may change."""
    target = deployment.target
    asked.refuse_schemas(chosen, target.versions)
    for name in chosen:
        if name not in deployment.records:
            why = f"There is no record of a version of {name} on {target.environment}."
            do = f"Run {target.command} init to make it, or {target.command} adopt where it has tables."
            raise PipelineError("There is nothing to draft.", why, do, exit_code=ExitCode.PENDING)
    names = [name for name in target.versions if name in deployment.records and (not chosen or name in chosen)]
    for name in names:
        for id_, sentence, do in chain.problems(deployment.histories[name], target.versions[name]):
            if id_ != "open-question":
                raise PipelineError(sentence, "Nothing was changed.", do)
    for migrations in pending.by_schema(deployment, names).values():
        for migration in migrations:
            if migration.digest:
                why = "A draft can only begin after the last migration."
                raise PipelineError(
                    f"{migration.title} is pending.",
                    why,
                    f"Run {deployment.target.command} migrate.",
                    exit_code=ExitCode.PENDING,
                )
    return names


def _refuse_missing(deployment: Deployment, names: list[str], after: Tables) -> None:
    """Refuse a draft after which a foreign key would lead nowhere."""
    if wrong := dangling(after, deployment.databases):
        what = f"{', '.join(names)} cannot be drafted alone."
        raise PipelineError(what, wrong[0], "Name the other schema too, or none for all.")
    for table in after.values():
        for key in table.foreign_keys:
            if key.parent not in after and key.parent.schema in deployment.histories:
                what = f"{table.name} refers to {key.parent}, which is not there."
                why = f"A draft makes no schema, and {key.parent.schema} does not exist yet."
                raise PipelineError(
                    what, why, f"Run {deployment.target.command} init first.", exit_code=ExitCode.PENDING
                )


def _has_rows(deployment: Deployment, name: TableName) -> bool:
    """Tell whether a table has rows, for which there may be a question; not where all have been answered."""
    return deployment.filled is None and (
        deployment.connection.query(f"SELECT 1 FROM {deployment.full(name)} LIMIT 1", args=None).fetchone() is not None
    )


def _needs_fill(before: Tables, after: Tables, with_rows: set[TableName], question: Question) -> bool:
    """Tell whether rows need a value for an attribute.

    They do not where there are none, nor where the attribute is there or comes back; whether it then has a value in
    every row is counted.
    """
    name, attribute = question.table, question.subject
    there = before.get(name)
    if there is None:
        return True  # renamed; its rows are those of another
    return (
        attribute not in there.attribute
        and name in with_rows
        and _soft_deleted(before, name, after, name, attribute) is None
    )


def _soft_deleted(
    before: Tables, old_name: TableName, after: Tables, name: TableName, attribute: str, old_attribute: str = ""
) -> str | None:
    """Give the name that an attribute has where it is soft-deleted; None where it is not, or not of the type that it is
    to have.

    Parameters
    ----------
    before, after : mapping of TableName to Table
        The tables as they are, and as they will be.
    old_name, name : TableName
        The attribute's table, as it is called before and after.
    attribute, old_attribute : str
        The attribute, as it is called after and, where that is another name, before.
    """
    hidden = shorten(ops.SOFT_DELETED_ATTRIBUTE + (old_attribute or attribute))
    if hidden not in before[old_name].attribute:
        return None
    same = resolved(before, old_name, hidden) == resolved(after, name, attribute)
    return hidden if same or after[name].attribute[attribute].inherited else None


def _unanswered(question: Question, before: Tables, operations: list[ops.Operation]) -> tuple[str, str, str]:
    """Say what is not known, why, and which option answers it.

    ``operations`` are those that were found, on the tables ``before``.
    """
    name, why = definition.title(question.table), "A draft writes no file, so the question has to be answered now."
    first = next(iter(question.candidates), "")
    match question.kind:
        case "fill":
            what = f"It is not known which value {question.rows(definition.title)} get for {question.subject}."
            do = parents.ways(before, operations, question.table, question.subject).partition("; in a migration")[0]
            put_in = f", with --insert {question.parent[0]} where it has no such row" if question.parent else ""
            return what, why, f"{do.rstrip('.')}{put_in}."
        case "rename":
            what = f"It is not known whether {name}.{question.subject} is called {first} now, or gone."
            do = f"Say --rename {name}.{question.subject}={first}, or --drop {name}.{question.subject}."
            return what, why, do
    what = f"It is not known whether the table {name} is called {first} now, or gone."
    return what, why, f"Say --rename-table {name}={first}, or --drop {name}."


def group(deployment: Deployment, draft: Draft, lossy: Lossy = frozenset()) -> Group:
    """Plan the steps of a draft. What is soft-deleted under the name of something that is added, comes back."""
    operations = draft.operations
    after = ops.apply(operations, deployment.tables)
    changed = [n for n in deployment.target.versions if Schema.of(n, deployment.tables) != Schema.of(n, after)]
    markers = [pending.as_drafted(name, deployment.records[name].version) for name in changed]
    planned = Group(markers, deployment.tables, instead=operations)
    planned.inputs.drafted, planned.inputs.answers = draft.schemas, draft.answers
    names = constraints.names(deployment.catalogue)
    plan.add_steps(deployment, planned, operations, names, lossy, revive=True)
    return planned


# --- Back to the files ---------------------------------------------------------------------------------------------


def groups(
    deployment: Deployment,
    wanted: list[Migration],
    *,
    answer: Answer | None = None,
    lossy: Lossy = frozenset(),
    one: bool = False,
    last: bool = True,
) -> list[Group]:
    """Plan the groups as :func:`plan.groups`; where schemas are drafts, one group that replaces them and does the rest.

    Parameters
    ----------
    deployment : Deployment
        What is there.
    wanted : list of Migration
        The pending migrations, in order.
    answer : callable, optional
        Given the tables before and after, what became of what the draft alone had.
    lossy : frozenset
        Attributes whose values may change, by the table's name after.
    one : bool
        Whether only the first group is needed.
    last : bool
        Whether no other migrations follow.

    Raises
    ------
    PipelineError
        If a question is open, or the migrations do not lead to what the snapshots say.
    """
    drafts = {name for name, record in deployment.records.items() if record.kind == journal.DRAFT}
    involved = {migration.schema for migration in wanted}
    if not drafts & involved:
        if answer is not None:
            what, why = "There is no draft that needs answers.", "Migrations have their answers in their files."
            raise PipelineError(what, why, "Leave the answers out, or say --draft.", exit_code=ExitCode.USAGE)
        return plan.groups(deployment, wanted, lossy=lossy, one=one, last=last)
    plan.refuse_open_questions(wanted)
    start = _recorded(deployment)
    early, late = _halves(deployment, start, wanted)
    goal, _ = trace(start, early)
    goal = _settled(deployment, wanted, goal) if not late else goal
    before = deployment.tables
    after = {name: table for name, table in before.items() if name.schema not in involved}
    for name, table in goal.items():
        if name.schema in involved or (name.schema not in drafts and start.get(name) != table):
            after[name] = table
    if wrong := dangling(after, deployment.databases):
        what = f"{', '.join(sorted(involved))} cannot be migrated alone."
        raise PipelineError(what, wrong[0], "Run migrate without naming schemas.")
    operations, answers = _replacing(deployment, start, early, after, answer)
    recorded = [r for r in wanted if r.slug != journal.DRAFT or [r] == [w for w in wanted if w.schema == r.schema]]
    planned = Group(recorded, before, instead=[*operations, *late])
    planned.inputs.wanted, planned.inputs.answers = wanted, answers
    names = constraints.names(deployment.catalogue)
    now = plan.add_steps(deployment, planned, operations, names, lossy, revive=True)
    if late:
        plan.add_steps(deployment, planned, late, names, lossy, now, revive=True)
    plan.converge(deployment, [planned], names, lossy)
    return [planned]


def _recorded(deployment: Deployment) -> dict[TableName, Table]:
    """Give the tables as the files have them at the recorded versions."""
    histories = {name: deployment.histories[name] for name in deployment.records}
    now = migration_files.tables_of(history.oldest for history in histories.values())
    versions = {name: history.oldest.version for name, history in histories.items() if history.oldest}
    applied = [
        migration
        for name, history in histories.items()
        for migration in history.migrations
        if deployment.applied[name].includes(migration)
    ]
    for migration in chain.in_order(applied, versions, list(deployment.histories)):
        now = ops.apply(migration.operations(now), now)
    return now


def _halves(
    deployment: Deployment, start: Tables, wanted: list[Migration]
) -> tuple[list[ops.Operation], list[ops.Operation]]:
    """Split the operations: those that only say what the tables become, and all from the first on that changes rows.

    Rows have to be changed between the very operations that stand before and after that in the file.
    """
    operations: list[ops.Operation] = []
    now, whole = dict(start), 0
    changes_rows = False
    for migration in wanted:
        for operation in migration.operations(now):
            changes_rows = changes_rows or operation.changes_rows
            operations.append(operation)
            now = operation.apply(now)
            # What a foreign key is to bring has no type before that is there.
            if not changes_rows and not dangling(now, deployment.databases) and not without_key(now):
                whole = len(operations)
    return (operations[:whole], operations[whole:]) if changes_rows else (operations, [])


def _settled(deployment: Deployment, wanted: list[Migration], goal: Tables) -> dict[TableName, Table]:
    """Give the tables after, as the newest snapshots have them where schemas come to those.

    The order of attributes may differ: migrations may have been applied in another order than the files have.
    """
    reached = {migration.schema: migration.version for migration in wanted}
    latest = {name: pending.newest(deployment, name) for name in reached}
    newest = {n: s for n, s in latest.items() if s is not None and Version(s.version) == Version(reached[n])}
    return {
        name: next((t for t in newest[name.schema].shape if t.name == name), table) if name.schema in newest else table
        for name, table in goal.items()
    }


def _replacing(
    deployment: Deployment, start: Tables, early: list[ops.Operation], after: Tables, answer: Answer | None
) -> tuple[list[ops.Operation], Answers | None]:
    """Give the operations that lead from the tables of the draft to those of the files, and the answers that it took.

    Parameters
    ----------
    deployment : Deployment
        The tables of the draft.
    start : mapping
        The tables at the recorded versions, as the files have them.
    early : list of Operation
        What the migrations do to these.
    after : mapping
        The tables that are wanted.
    answer : callable, optional
        What became of what the draft alone had.

    Raises
    ------
    PipelineError
        If a question is open.
    """
    now: Tables = deployment.tables
    _, origins = trace(start, early)
    drafted = _drafted(deployment)
    tables: dict[TableName, TableName] = {}
    attributes: dict[tuple[TableName, str], str] = {}
    fills = dict(origins.fills)
    first: list[ops.Operation] = []
    for name, recorded in origins.tables.items():
        current, renamed = drafted.get(recorded, (recorded, {}))
        if current not in now or name not in after:
            continue
        if current != name:
            tables[current] = name
        for attribute, old in origins.attributes.get(name, {}).items():
            default = after[name].attribute[attribute].default if attribute in after[name].attribute else None
            if default is not None and not start[recorded].attribute[old].nullable:
                fills.setdefault((name, attribute), Fill(default))  # the draft let it be null, or dropped it
            drafted_name = renamed.get(old, old)
            if drafted_name in now[current].attribute:
                if drafted_name != attribute:
                    attributes[name, drafted_name] = attribute
            elif attribute != drafted_name and attribute not in now[current].attribute:
                # The draft dropped what the files rename.
                hidden = _soft_deleted(now, current, after, name, attribute, drafted_name)
                first += [ops.RenameAttribute(current, hidden, attribute)] if hidden else []
    now = ops.apply(first, now)
    gone = {(name, None) for name in now} | {(name, a) for name in after for a in _attributes(now, tables, name)}
    given = None if answer is None else answer(now, after)
    answers = Answers(tables, attributes, {}, frozenset(gone))
    found = difference(now, after, answers if given is None else answering.merged(answers, given))
    if given is not None:
        for note in unused.notes(given, now, found.operations):
            deployment.target.warn(note)
    with_rows = {name for name in after if name in deployment.tables and _has_rows(deployment, name)}
    for question in found.questions:
        answered = (question.table, question.subject) in origins.fills
        if question.kind == "fill" and not answered and _needs_fill(now, after, with_rows, question):
            raise PipelineError(*_unanswered(question, now, found.operations))
    return first + [_with_fill(operation, fills) for operation in found.operations], given


def _attributes(now: Tables, renamed: Mapping[TableName, TableName], name: TableName) -> Iterator[str]:
    """Give the attributes that a table has now; ``name`` is its name after, ``renamed`` has that by the name now."""
    old_names = {new: old for old, new in renamed.items()}
    table = now.get(old_names.get(name, name))
    yield from table.attribute if table is not None else ()


def _with_fill(
    operation: ops.Operation, fills: Mapping[tuple[TableName, str], Fill] = MappingProxyType({})
) -> ops.Operation:
    """Give an operation with its fill: what rows without a value get, or the default of an attribute that is added."""
    match operation:
        case ops.AddAttribute(table=name, attribute=will, fill=None) if not will.nullable:
            default = Fill(will.default) if will.default is not None else None
            return replace(operation, fill=fills.get((name, will.name), default))
        case ops.AlterAttribute(table=name, before=was, after=will, fill=None) if was.nullable and not will.nullable:
            return replace(operation, fill=fills.get((name, will.name)))
    return operation


# --- What drafts have renamed ------------------------------------------------------------------------------------


def renamed(group: Group) -> list[Any]:
    """List what a draft renames, as its record has it: each table whose name or attributes change."""
    rows = []
    for origins in group.origins:
        for name, was in origins.tables.items():
            attributes = {old: new for new, old in origins.attributes.get(name, {}).items() if new != old}
            if name != was or attributes:
                rows.append([was.schema, was.table, name.schema, name.table, attributes])
    return rows


def _drafted(deployment: Deployment) -> Renamed:
    """Find what drafts have renamed since the recorded versions."""
    databases = {name: deployment.databases[name] for name in deployment.records}
    heads = steplog.heads(deployment.connection, databases)
    runs = journal.history(deployment.connection, databases)
    ended = [(number, run) for number, run in enumerate(runs) if run.status == journal.DONE]
    last_migration = {run.schema: number for number, run in ended if run.kind != journal.DRAFT}
    found: Renamed = {}
    for number, run in ended:
        rows = heads.get((run.schema, run.id), {}).get("renamed", [])
        if not _are_renames(rows):
            if number < last_migration.get(run.schema, -1):
                continue
            raise journal.unreadable(run.schema, f"run {run.id} does not say what it renamed", steplog.TABLE)
        recorded_names = {current: recorded for recorded, (current, _) in found.items()}
        for schema, table, new_schema, new_table, attributes in rows:
            if number < last_migration.get(schema, -1):
                continue  # what it renamed has been replaced since
            old = TableName(schema, table)
            recorded = recorded_names.get(old, old)
            earlier = found.get(recorded, (recorded, {}))[1]
            now = {old_name: attributes.get(name, name) for old_name, name in earlier.items()}
            now |= {old_name: name for old_name, name in attributes.items() if old_name not in earlier.values()}
            found[recorded] = TableName(new_schema, new_table), now
    return found


def _are_renames(rows: Any) -> bool:
    """Tell whether a head has what :func:`renamed` gives; anybody may have written it."""
    return isinstance(rows, list) and all(
        isinstance(row, list)
        and [type(part) for part in row] == [str, str, str, str, dict]
        and all(isinstance(name, str) for name in row[-1].values())
        for row in rows
    )
