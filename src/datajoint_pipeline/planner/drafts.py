"""Drafts: tables brought to the code without a migration, for trying things out, and from there to what the files say.

A draft keeps its schema's version. The operations of a migration start from that version's snapshot and do not fit the
tables of a draft; so what replaces a draft is the difference between the tables as they are and as the migrations leave
them. What became of each table and attribute is known on both ways, the draft's and the files', so nothing is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from packaging.version import Version

from .. import journal
from ..dialects import constraints
from ..diff import answering
from ..diff.changes import difference
from ..diff.questions import Answers, Question
from ..errors import ExitCode, PipelineError
from ..history import chain, migration_files
from ..history.migration_files import Migration
from ..journal import steplog
from ..operations import data
from ..operations import structure as ops
from ..operations.origins import resolved, trace
from ..operations.topology import dangling
from ..schema import definition
from ..schema.model import Schema, Table, TableName
from ..schema.naming import shorten
from ..schema.values import Fill
from . import pending, plan
from .deployment import Deployment
from .plan import Group
from .target import PROD

Tables = Mapping[TableName, Table]
Answer = Callable[[Tables, Tables], Answers]
Ask = Callable[[Question, Tables], Answers | None]
Lossy = frozenset[tuple[TableName, str]]

#: Of a table, by its name before: its name afterwards, and the new names of its attributes.
Renamed = dict[TableName, tuple[TableName, dict[str, str]]]


def refuse_prod(environment: str, program: str) -> None:
    """Say that ``prod`` knows no drafts."""
    if environment == PROD:
        raise PipelineError(
            "prod knows no drafts.",
            "What it has become has to stand in a migration that somebody could read before.",
            f'Run {program} revise -m "what changed", then {program} --env prod migrate.',
        )


# --- To the code ---------------------------------------------------------------------------------------------------


def changes(
    deployment: Deployment, code: Tables, chosen: Iterable[str], answer: Answer, ask: Ask | None
) -> list[ops.Operation]:
    """What brings the tables of some schemas, or of all that are there, to the code.

    Raises
    ------
    PipelineError
        If migrations are pending, a question is left without an answer, or the schemas cannot be drafted alone.
    """
    names = _draftable(deployment, list(chosen))
    before = deployment.tables
    after = {name: table for name, table in code.items() if name.schema in names}
    after |= {name: table for name, table in before.items() if name.schema not in names}
    _refuse_missing(deployment, names, after)
    filled = {name for name in before if _has_rows(deployment, name)}

    def matters(question: Question) -> bool:
        return question.kind != "fill" or _needs_fill(before, after, filled, question)

    def put(question: Question, tables: Tables) -> Answers | None:
        return ask(question, tables) if ask is not None and matters(question) else None

    found = answering.answered(before, after, answer(before, after), put)
    for question in filter(matters, found.questions):
        raise PipelineError(*_unanswered(question))
    return [_filled(op) if isinstance(op, ops.AddAttribute) else op for op in found.operations]


def _draftable(deployment: Deployment, chosen: list[str]) -> list[str]:
    """The schemas that a draft may change."""
    target = deployment.target
    for name in chosen:
        if name not in target.versions:
            what, why = f"There is no schema {name}.", f"The project has {', '.join(target.versions)}."
            raise PipelineError(what, why, "Correct the name.", exit_code=ExitCode.USAGE)
        if name not in deployment.records:
            why = f"There is no record of a version of {name} on {target.environment}."
            do = f"Run {target.command} init to make it, or {target.command} adopt where it has tables."
            raise PipelineError("There is nothing to draft.", why, do, exit_code=ExitCode.PENDING)
    names = [name for name in target.versions if name in deployment.records and (not chosen or name in chosen)]
    for name in names:
        for id_, sentence, do in chain.problems(deployment.histories[name], target.versions[name]):
            if id_ != "open-question":
                raise PipelineError(sentence, "Nothing was changed.", do)
    for waiting in pending.waiting(deployment, names).values():
        for migration in waiting:
            if migration.digest:
                why = "A draft begins where the migrations end."
                raise PipelineError(
                    f"{migration.title} is pending.",
                    why,
                    f"Run {deployment.target.command} migrate.",
                    exit_code=ExitCode.PENDING,
                )
    return names


def _refuse_missing(deployment: Deployment, names: list[str], after: Tables) -> None:
    if wrong := dangling(after, deployment.databases):
        what = f"{', '.join(names)} cannot be drafted alone."
        raise PipelineError(what, wrong[0], "Name the other schema too, or none for all.")
    for table in after.values():
        for key in table.foreign_keys:
            if key.parent not in after and key.parent.schema in deployment.histories:
                what = f"{table.name} refers to {key.parent}, which is not there."
                why = f"A draft makes no schema, and {key.parent.schema} is none yet."
                raise PipelineError(
                    what, why, f"Run {deployment.target.command} init first.", exit_code=ExitCode.PENDING
                )


def _has_rows(deployment: Deployment, name: TableName) -> bool:
    return (
        deployment.connection.query(f"SELECT 1 FROM {deployment.full(name)} LIMIT 1", args=None).fetchone() is not None
    )


def _needs_fill(before: Tables, after: Tables, filled: set[TableName], question: Question) -> bool:
    """Whether rows want a value: not where there are none, nor where the attribute is there or comes back; whether it
    then has a value in every row is counted."""
    name, attribute = question.table, question.subject
    there = before.get(name)
    if there is None:
        return True  # renamed; its rows are those of another
    return attribute not in there.attribute and name in filled and _aside(before, name, after, name, attribute) is None


def _aside(
    before: Tables, there: TableName, after: Tables, name: TableName, attribute: str, called: str = ""
) -> str | None:
    """What an attribute is called that was put aside, if it is of the type that it is to have."""
    hidden = shorten(ops.SOFT_DELETED_ATTRIBUTE + (called or attribute))
    if hidden not in before[there].attribute:
        return None
    same = resolved(before, there, hidden) == resolved(after, name, attribute)
    return hidden if same or after[name].attribute[attribute].inherited else None


def _unanswered(question: Question) -> tuple[str, str, str]:
    name, why = definition.title(question.table), "A draft writes no file that the question could stand in."
    first = next(iter(question.candidates), "")
    match question.kind:
        case "fill":
            what = f"It is not known which value existing rows of {name} get for {question.subject}."
            return what, why, f"Say --fill {name}.{question.subject}=VALUE."
        case "rename":
            what = f"It is not known whether {name}.{question.subject} is called {first} now, or gone."
            do = f"Say --rename {name}.{question.subject}={first}, or --drop {name}.{question.subject}."
            return what, why, do
    what = f"It is not known whether the table {name} is called {first} now, or gone."
    return what, why, f"Say --rename-table {name}={first}, or --drop {name}."


def group(deployment: Deployment, operations: list[ops.Operation], lossy: Lossy = frozenset()) -> Group:
    """The steps of a draft. What was put aside under the name of something that comes, comes back."""
    after = ops.apply(operations, deployment.tables)
    changed = [n for n in deployment.target.versions if Schema.of(n, deployment.tables) != Schema.of(n, after)]
    marks = [pending.as_drafted(name, deployment.records[name].version) for name in changed]
    made = Group(marks, deployment.tables, instead=operations)
    names = constraints.names(deployment.catalogue)
    plan.lower(deployment, made, operations, names, lossy, revive=True)
    return made


# --- Back to the files ---------------------------------------------------------------------------------------------


def groups(
    deployment: Deployment,
    wanted: list[Migration],
    *,
    answer: Answer | None = None,
    lossy: Lossy = frozenset(),
    one: bool = False,
) -> list[Group]:
    """As :func:`scheme.groups`; where schemas are drafts, one group that replaces them and does everything else.

    Parameters
    ----------
    deployment : Deployment
        What is there.
    wanted : list of Migration
        What is due, in order.
    answer : callable, optional
        Given the tables before and after, what became of what the draft alone had.
    lossy : set
        Attributes whose values may change.
    one : bool
        Whether the first group is all that is asked for.

    Raises
    ------
    PipelineError
        If a question is open, or the migrations do not lead to what the snapshots say.
    """
    drafts = {name for name, record in deployment.records.items() if record.kind == journal.DRAFT}
    involved = {migration.schema for migration in wanted}
    if not drafts & involved:
        if answer is not None:
            what, why = "There is no draft that answers could be for.", "Migrations have their answers in their files."
            raise PipelineError(what, why, "Leave the answers out, or say --draft.", exit_code=ExitCode.USAGE)
        return plan.groups(deployment, wanted, lossy=lossy, one=one)
    plan.refuse_open_questions(wanted)
    start = _recorded(deployment, wanted)
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
    operations = _way(deployment, start, early, after, answer)
    done = [r for r in wanted if r.slug != journal.DRAFT or [r] == [w for w in wanted if w.schema == r.schema]]
    made = Group(done, before, instead=[*operations, *late])
    names = constraints.names(deployment.catalogue)
    now = plan.lower(deployment, made, operations, names, lossy, revive=True)
    if late:
        plan.lower(deployment, made, late, names, lossy, now, revive=True)
    plan.converge(deployment, [made], names, lossy)
    return [made]


def _recorded(deployment: Deployment, wanted: list[Migration]) -> dict[TableName, Table]:
    """The tables as the files have them at the recorded versions."""
    known = {name: deployment.histories[name] for name in deployment.records}
    now = migration_files.tables_of(history.oldest for history in known.values())
    have = {name: history.oldest.version for name, history in known.items() if history.oldest}
    ahead = {(migration.schema, migration.version) for migration in wanted}
    applied = [
        migration
        for name, history in known.items()
        for migration in history.migrations
        if (name, migration.version) not in ahead
        and Version(migration.version) <= Version(deployment.records[name].version)
    ]
    for migration in chain.in_order(applied, have, list(deployment.histories)):
        now = ops.apply(migration.operations(now), now)
    return now


def _halves(
    deployment: Deployment, start: Tables, wanted: list[Migration]
) -> tuple[list[ops.Operation], list[ops.Operation]]:
    """The operations that only say what the tables become, and from the first on that works on rows, the others.

    Rows have to be worked on between the very operations that the file has before and after that.
    """
    operations: list[ops.Operation] = []
    now, whole = dict(start), 0
    works = False
    for migration in wanted:
        for operation in migration.operations(now):
            works = works or _works_on_rows(operation)
            operations.append(operation)
            now = operation.apply(now)
            if not works and not dangling(now, deployment.databases):
                whole = len(operations)
    return (operations[:whole], operations[whole:]) if works else (operations, [])


def _works_on_rows(operation: ops.Operation) -> bool:
    if isinstance(operation, ops.AlterAttribute):
        return operation.using is not None
    return isinstance(operation, (data.RunSQL, data.RunPython, data.RebuildTable))


def _settled(deployment: Deployment, wanted: list[Migration], goal: Tables) -> dict[TableName, Table]:
    """The tables as the newest snapshot has them, of schemas that come to it: the order of attributes may differ."""
    reached = {migration.schema: migration.version for migration in wanted}
    latest = {name: pending.newest(deployment, name) for name in reached}
    there = {n: s for n, s in latest.items() if s is not None and Version(s.version) == Version(reached[n])}
    return {
        name: next((t for t in there[name.schema].shape if t.name == name), table) if name.schema in there else table
        for name, table in goal.items()
    }


def _way(
    deployment: Deployment, start: Tables, early: list[ops.Operation], after: Tables, answer: Answer | None
) -> list[ops.Operation]:
    """What leads from the tables of the draft to those of the files."""
    now: Tables = deployment.tables
    _, origins = trace(start, early)
    drafted = _drafted(deployment)
    tables: dict[TableName, TableName] = {}
    attributes: dict[tuple[TableName, str], str] = {}
    fills = dict(origins.fills)
    first: list[ops.Operation] = []
    for name, was in origins.tables.items():
        there, renamed = drafted.get(was, (was, {}))
        if there not in now or name not in after:
            continue
        if there != name:
            tables[there] = name
        for attribute, old in origins.attributes.get(name, {}).items():
            default = after[name].attribute[attribute].default if attribute in after[name].attribute else None
            if default is not None and not start[was].attribute[old].nullable:
                fills.setdefault((name, attribute), Fill(default))  # the draft let it be null, or dropped it
            called = renamed.get(old, old)
            if called in now[there].attribute:
                if called != attribute:
                    attributes[name, called] = attribute
            elif attribute != called and attribute not in now[there].attribute:
                # The draft dropped what the files rename.
                hidden = _aside(now, there, after, name, attribute, called)
                first += [ops.RenameAttribute(there, hidden, attribute)] if hidden else []
    now = ops.apply(first, now)
    gone = {(name, None) for name in now} | {(name, a) for name in after for a in _known(now, tables, name)}
    answers = Answers(tables, attributes, {}, frozenset(gone))
    if answer is not None:
        answers = answering.merged(answers, answer(now, after))
    found = difference(now, after, answers)
    filled = {name for name in after if name in deployment.tables and _has_rows(deployment, name)}
    for question in found.questions:
        known = (question.table, question.subject) in origins.fills
        if question.kind == "fill" and not known and _needs_fill(now, after, filled, question):
            raise PipelineError(*_unanswered(question))
    return first + [_filled(operation, fills) for operation in found.operations]


def _known(now: Tables, tables: Mapping[TableName, TableName], name: TableName) -> Iterator[str]:
    back = {new: old for old, new in tables.items()}
    there = now.get(back.get(name, name))
    yield from there.attribute if there is not None else ()


def _filled(
    operation: ops.Operation, fills: Mapping[tuple[TableName, str], Fill] = MappingProxyType({})
) -> ops.Operation:
    """An operation with what rows get that have no value; the default, where an attribute comes, or comes back."""
    match operation:
        case ops.AddAttribute(table=name, attribute=will, fill=None) if not will.nullable:
            default = Fill(will.default) if will.default is not None else None
            return replace(operation, fill=fills.get((name, will.name), default))
        case ops.AlterAttribute(table=name, before=was, after=will, fill=None) if was.nullable and not will.nullable:
            return replace(operation, fill=fills.get((name, will.name)))
    return operation


# --- What drafts have renamed ------------------------------------------------------------------------------------


def renamed(made: Group) -> list[Any]:
    """What a draft renames, for its record: each table whose name or attributes change."""
    rows = []
    for origins in made.origins:
        for name, was in origins.tables.items():
            attributes = {old: new for new, old in origins.attributes.get(name, {}).items() if new != old}
            if name != was or attributes:
                rows.append([was.schema, was.table, name.schema, name.table, attributes])
    return rows


def _drafted(deployment: Deployment) -> Renamed:
    """What has become, by drafts, of the tables and attributes of the recorded versions."""
    databases = {name: deployment.databases[name] for name in deployment.records}
    heads = steplog.heads(deployment.connection, databases)
    runs = journal.history(deployment.connection, databases)
    real = {run.schema: number for number, run in enumerate(runs) if run.kind != journal.DRAFT}
    found: Renamed = {}
    for number, run in enumerate(runs):
        rows = heads.get((run.schema, run.id), {}).get("renamed", ()) if run.status == journal.DONE else ()
        live = {there: was for was, (there, _) in found.items()}
        for schema, table, new_schema, new_table, attributes in rows:
            if number < real.get(schema, -1):
                continue  # what it renamed has been replaced since
            there = TableName(schema, table)
            was = live.get(there, there)
            known = found.get(was, (was, {}))[1]
            now = {old: attributes.get(name, name) for old, name in known.items()}
            now |= {old: name for old, name in attributes.items() if old not in known.values()}
            found[was] = TableName(new_schema, new_table), now
    return found
