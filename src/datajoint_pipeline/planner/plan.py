"""Plan migrations: in which groups, by which steps, and what the rows say against them. Reads only.

A group is applied as a whole. Migrations form one group where no database can be between them, as when a primary key
and what refers to it change in two schemas; any other migration is a group of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from packaging.version import Version

from .. import journal
from ..ddl import auditing, job_tables, online, parents, recoding
from ..ddl.build import build
from ..dialects import constraints
from ..dialects.base import Dialect
from ..dialects.steps import Probe
from ..diff.changes import difference
from ..diff.questions import Answers
from ..errors import PipelineError
from ..history import chain
from ..history.migration_files import Migration
from ..internals.codecs import not_a_blob
from ..operations import data
from ..operations import structure as ops
from ..operations.origins import Origins
from ..operations.topology import dangling
from ..quoting import quoter
from ..schema.compatibility import is_bytes
from ..schema.model import Schema, Table, TableName
from ..schema.values import Value
from . import between, references, scope
from .deployment import Deployment
from .pending import newest
from .returning import Returning
from .steps import LockedStatements, PlannedStep, Recoding, of_operation, of_step

#: Attributes whose values may change: the table's name after, and the attribute's name before or after.
Lossy = frozenset[tuple[TableName, str]]


#: Verbs of what is counted, for many and for one.
_ONE = {
    "are": "is",
    "have": "has",
    "lose": "loses",
    "do": "does",
    "name": "names",
    "read": "reads",
    "fire": "fires",
    "lead": "leads",
    "end": "ends",
    "refuse": "refuses",
    "go": "goes",
    "run": "runs",
    "replace": "replaces",
    "become": "becomes",
    "inherit": "inherits",
}


#: What is counted, where there is one of it.
_COUNTED = (
    "value|row|job|table|attribute|foreign key|check constraint|trigger|rule|view|event|routine|function|object|"
    "account|owner|right|histogram|partition|generated column|column|thing|publication"
)


def counted(count: int, words: str) -> str:
    """Give how many of what, for people."""
    if count != 1:
        return f"{count:,} {words}"
    words = re.sub(rf"^({_COUNTED})s\b", r"\1", words)
    for many, one in _ONE.items():
        words = re.sub(rf"\b(that|which) {many}\b", rf"\1 {one}", words, count=1)
    return f"1 {words}"


@dataclass(frozen=True)
class Violation:
    """Something that rows say against a step.

    Parameters
    ----------
    table : TableName
        The rows' table, by its name after.
    kind : str
        See :class:`datajoint_pipeline.dialects.steps.Probe`; ``right`` of those that the account lacks.
    count : int
        How many rows or values.
    words : str
        What they are, after the number.
    attributes : tuple of str
        Whose values.
    unsure : bool
        Whether user steps come first, which may put it right.
    lacks : str
        As the probe has it.
    rows : str
        Which rows they are, from FROM on, where they lack a parent.
    """

    table: TableName
    kind: str
    count: int
    words: str
    attributes: tuple[str, ...]
    unsure: bool = False
    lacks: str = ""
    rows: str = field(default="", compare=False)

    @property
    def counted(self) -> str:
        """Give how many of what, for people."""
        return counted(self.count, self.words)

    @property
    def loses(self) -> bool:
        """Tell whether values would be changed or cut."""
        return self.kind in ("long", "rounding", "range", "value", "codec", "merge")

    @property
    def blocks(self) -> bool:
        """Tell whether the server would refuse the step."""
        blocking = ("null", "duplicate", "parent", "object", "stored", "using", "index", "entry", "right")
        return self.kind in blocking and not self.unsure

    @property
    def leaves_values(self) -> bool:
        """Tell whether no value is lost, as far as that is known: what a trigger of the lab does is not."""
        return not (self.loses or self.blocks or self.unsure or self.kind == "fires")


#: By the name after of each table that was there before: its name before, and those of its attributes by those after.
NamesBefore = dict[TableName, tuple[TableName, dict[str, str]]]


@dataclass
class Inputs:
    """What a group was planned from beside files, code and catalogue: with it, it can be planned once more.

    Parameters
    ----------
    wanted : list of Migration
        What it came from, where that is more than its migrations: what replaces a draft has the draft, too.
    last : bool
        Whether the tables are to be as the snapshots say afterwards.
    lossy : frozenset
        Attributes whose values may change.
    answers : Answers, optional
        What a person answered, of a draft.
    drafted : tuple of str
        The schemas that a draft brings to the code.
    involved : set of TableName
        The tables that have a part in planning it, by their names before or afterwards.
    filled : set of (TableName, str)
        The attributes that have values to convert.
    undone : dict of str to tuple of str
        The digests, as recorded, of the migrations that a rollback takes back, by schema.
    aside : frozenset
        The attributes whose values a rollback sets aside: the table's name before, and the attribute's.
    files : dict of str to list of str
        The names of the backups that have the values of before: what is ``given`` back, and what is ``left``; with
        ``aside``, the attributes that get the former, and ``lost``, those of whose computed values no backup has any.
    unchanged : frozenset
        The attributes whose bytes a rollback leaves as they are, by the same names.
    """

    wanted: list[Migration] = field(default_factory=list)
    last: bool = True
    lossy: Lossy = frozenset()
    answers: Answers | None = None
    drafted: tuple[str, ...] = ()
    involved: set[TableName] = field(default_factory=set)
    filled: set[tuple[TableName, str]] = field(default_factory=set)
    undone: dict[str, tuple[str, ...]] = field(default_factory=dict)
    aside: frozenset[tuple[TableName, str]] = frozenset()
    files: dict[str, list[str]] = field(default_factory=dict)
    unchanged: frozenset[tuple[TableName, str]] = frozenset()


@dataclass
class Group:
    """Migrations that are applied together.

    Parameters
    ----------
    migrations : list of Migration
        In order.
    before, after : dict
        The tables before the first and after the last, by their names then.
    steps : list of PlannedStep
        Everything that is run: statements on tables, conversions of values and user steps.
    probes : list of (TableName, Probe)
        The queries that find violations, each with its table's name after.
    violations : list of Violation
        What :func:`datajoint_pipeline.planner.counting.count` found.
    origins : list of Origins
        What the operations make of what, a run of operations between user steps each.
    conversions : list of Recoding
        The conversions whose values are there already and can be looked at.
    inputs : Inputs
        What it was made from.
    first : bool
        Whether no other group comes before it.
    by_migration : list of (Migration, Operation)
        The operations, where they are known already.
    instead : list of Operation, optional
        What is done instead of the migrations' own operations: where the tables are a draft, or types are adopted.
    left : list of str
        What a rollback soft-deleted and does not come back though it is made anew, in a sentence each.
    anew : frozenset
        What a rollback makes anew, as nothing is there to come back: tables, and attributes of others by their table.
    """

    migrations: list[Migration]
    before: dict[TableName, Table]
    after: dict[TableName, Table] = field(default_factory=dict)
    steps: list[PlannedStep] = field(default_factory=list)
    probes: list[tuple[TableName, Probe]] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    origins: list[Origins] = field(default_factory=list)
    conversions: list[Recoding] = field(default_factory=list)
    inputs: Inputs = field(default_factory=Inputs)
    first: bool = True
    by_migration: list[tuple[Migration, ops.Operation]] = field(default_factory=list)
    instead: list[ops.Operation] | None = None
    left: list[str] = field(default_factory=list)
    anew: frozenset[tuple[TableName, str]] = frozenset()

    @property
    def schemas(self) -> list[str]:
        """Give the schemas of the migrations, in order."""
        return list(dict.fromkeys(migration.schema for migration in self.migrations))

    @cached_property
    def names_before(self) -> NamesBefore:
        """Give the names before the group of all tables and attributes that come from some; it has to be planned."""
        found: NamesBefore = {name: (name, {a: a for a in table.attribute}) for name, table in self.before.items()}
        for origins in self.origins:
            found = {
                name: (
                    found[old][0],
                    {a: found[old][1][b] for a, b in origins.attributes.get(name, {}).items() if b in found[old][1]},
                )
                for name, old in origins.tables.items()
                if old in found
            }
        return found

    @property
    def locked(self) -> list[str]:
        """Give the schemas whose tables nobody else may write between two statements (MySQL)."""
        return list(
            dict.fromkeys(
                name.schema for step in self.steps if isinstance(step, LockedStatements) for name in step.tables
            )
        )

    def operations(self) -> Iterator[tuple[Migration, ops.Operation]]:
        """Give the operations one after the other, each with the migration that it is of."""
        if self.instead is not None:
            yield from ((self.migrations[0], operation) for operation in self.instead)
            return
        if self.by_migration:
            yield from self.by_migration
            return
        now: ops.Tables = self.before
        for migration in self.migrations:
            for operation in migration.operations(now):
                yield migration, operation
                now = operation.apply(now)


# --- In which groups, by which steps ---------------------------------------------------------------------------------


def groups(
    deployment: Deployment,
    wanted: list[Migration],
    *,
    lossy: Lossy = frozenset(),
    one: bool = False,
    last: bool = True,
) -> list[Group]:
    """Plan migrations in groups, each with its steps and the probes of its rows.

    Parameters
    ----------
    deployment : Deployment
        What is there.
    wanted : list of Migration
        The pending migrations, in order.
    lossy : frozenset
        Attributes whose values may change.
    one : bool
        Whether only the first group is needed.
    last : bool
        Whether no others follow, so that the tables are then to be as the snapshots say.

    Raises
    ------
    PipelineError
        If a question is open, or the migrations do not lead from what is there to what the snapshots say.
    """
    refuse_open_questions(wanted)
    names = constraints.names(deployment.catalogue)
    now, found = deployment.tables, list[Group]()
    rows: dict[TableName, list[Mapping[str, Value]]] = {}
    absent = set[TableName]()
    returning = Returning(deployment)
    current: Group | None = None
    waiting = list(wanted)
    while waiting:
        migration = _next(deployment, waiting, now if current is not None else None)
        waiting.remove(migration)
        current = current or Group([], now, first=not found)
        more = returning.operations(migration, migration.operations(now))
        current.left += returning.told()
        current.migrations.append(migration)
        current.by_migration += [(migration, operation) for operation in more]
        now = ops.apply(more, now)
        if not dangling(now, deployment.databases):
            operations = [operation for _, operation in current.by_migration]
            now = add_steps(deployment, current, operations, names, lossy, earlier=dict(rows), absent=frozenset(absent))
            for origins in current.origins:
                rows |= {name: [*rows.get(name, ()), *more] for name, more in origins.rows.items()}
            absent = _without_rows(current, absent)
            current.inputs.last = last and not waiting
            found.append(current)
            current = None
            if one and waiting:
                return found
    if current is not None:
        raise PipelineError(
            f"{', '.join(current.schemas)} cannot be migrated alone.",
            dangling(now, deployment.databases)[0],
            "Run migrate without naming schemas.",
        )
    if last:
        converge(deployment, found, names, lossy)
    _foresee(deployment, found, lossy)
    return found


def _next(deployment: Deployment, waiting: list[Migration], now: ops.Tables | None) -> Migration:
    """Give the migration that is planned next: while references lead nowhere, the first that mends some.

    So nothing unrelated comes between two that can only be applied together: its own statements could not run there.
    ``now`` has the tables in the middle of a group; there are none where a group begins.
    """
    if now is None:
        return waiting[0]
    left = len(dangling(now, deployment.databases))
    for migration in waiting:
        if chain.may_come_first(migration, waiting):
            with suppress(PipelineError):  # it needs another one
                if len(dangling(ops.apply(migration.operations(now), now), deployment.databases)) < left:
                    return migration
    return waiting[0]


def _without_rows(group: Group, absent: set[TableName]) -> set[TableName]:
    """Give the tables that migrations are still to make up to a group and that have then no rows but those they name.

    ``absent`` has those of the groups before. Where a table gets rows by foreign keys, as one that comes back, or may
    get some by a statement of the lab's own, nothing is known of it.
    """
    if any(isinstance(operation, (data.RunSQL, data.RunPython)) for _, operation in group.operations()):
        return set()
    made, given = set(absent), set[TableName]()
    for origins in group.origins:
        made |= {name for name in group.after if name not in origins.tables and name not in group.before}
        made = {name for name in made if origins.tables.get(name, name) == name}
        given |= {*origins.hidden}
        for _, key in origins.missing:
            given |= {key.parent, *parents.above(group.after, key.parent)}
    return {name for name in made - given if name in group.after}


def _foresee(deployment: Deployment, found: list[Group], lossy: Lossy) -> None:
    """Give later groups probes of the tables as they are, where they change what an earlier group is still to change.

    For that, all of them are planned as one group.
    """
    start, later = deployment.tables, found[1:]
    if not any(g.before.get(table) is not start.get(table) for g in later for s in g.steps for table in s.tables):
        return
    whole = Group([r for group in found for r in group.migrations], start)
    whole.by_migration = [pair for group in found for pair in group.by_migration]
    try:
        add_steps(
            deployment, whole, [op for _, op in whole.by_migration], constraints.names(deployment.catalogue), lossy
        )
    except PipelineError:
        return  # what cannot be done as one is probed when it is next

    def last(table: TableName) -> Group:
        """Give the last group that changes a table; those before it have probes of it."""
        return next((g for g in reversed(found) if any(table in step.tables for step in g.steps)), found[-1])

    probed = {probe.sql for group in found for _, probe in group.probes}
    for table, probe in whole.probes:
        if probe.sql not in probed and (group := last(table)) is not found[0]:
            group.probes.append((table, probe))
    seen = [step for group in found for step in group.conversions]
    found[-1].conversions += [step for step in whole.conversions if step not in seen]


def refuse_open_questions(wanted: list[Migration]) -> None:
    """Refuse migrations in which a person has still to decide something."""
    for migration in wanted:
        for question, do in migration.questions:
            raise PipelineError(
                f"{_file(migration)} cannot run yet.", f"It is still to be decided: {question.rstrip('.')}.", do
            )


def converge(deployment: Deployment, found: list[Group], names: constraints.Names, lossy: Lossy) -> None:
    """Plan the order of attributes, which is left to do where migrations were applied in another order than the files'.

    Raises
    ------
    PipelineError
        If more is left to do than that.
    """
    if not found:
        return
    last = found[-1]
    by_schema: dict[str, list[Table]] = {}
    for table in last.after.values():
        by_schema.setdefault(table.name.schema, []).append(table)
    before, after = dict[TableName, Table](), dict[TableName, Table]()
    for schema, version in {r.schema: r.version for group in found for r in group.migrations}.items():
        latest = newest(deployment, schema)
        tables = sorted(by_schema.get(schema, ()), key=lambda table: table.name.table)
        if schema in deployment.records:
            done = [migration for group in found for migration in group.migrations if migration.schema == schema]
            version = deployment.applied[schema].after(done).version
        if latest is None or Version(latest.version) != Version(version):
            continue
        if not latest.is_like(Schema(schema, tuple(tables))):
            before |= {table.name: table for table in tables}
            after |= {table.name: table for table in (*tables, *latest.shape)}
    rest = difference(before, after)
    others = [op for op in rest.operations if not isinstance(op, (ops.OrderAttributes, ops.ChangeComment))]
    if others:
        first = others[0]
        raise PipelineError(
            "The migrations do not lead to what the snapshots say.",
            f"{type(first).__name__} in {first.table} would still be left to do.",
            "Correct the migration that was edited, or make it anew with revise.",
        )
    if rest.operations:
        add_steps(deployment, last, rest.operations, names, lossy, last.after)


def add_steps(
    deployment: Deployment,
    group: Group,
    operations: list[ops.Operation],
    names: constraints.Names,
    lossy: Lossy,
    before: dict[TableName, Table] | None = None,
    **options: Any,
) -> dict[TableName, Table]:
    """Add the steps of some operations to a group.

    Parameters
    ----------
    deployment : Deployment
        What is there.
    group : Group
        The group; its steps, probes, origins and tables after are added to.
    operations : list of Operation
        What is to be done.
    names : constraints.Names
        What constraints, indexes and columns are called on the server; changed as the steps will change it.
    lossy : frozenset
        Attributes whose values may change.
    before : dict, optional
        The tables before the operations; those before the group where there is none.
    **options
        See :func:`datajoint_pipeline.ddl.build.build`.

    Returns
    -------
    dict of TableName to Table
        The tables after the operations.
    """
    now = group.before if before is None else before
    group.inputs.lossy = lossy
    after_user_steps = False
    holds = partial(_holds_values, deployment, group)
    marked = deployment.connection.adapter.backend == "mysql"
    operations = recoding.expanded(operations, now, holds, marked=marked)
    steps: list[PlannedStep] = []
    late = [operation.operation for operation in operations if isinstance(operation, ops.Online)]
    # An index comes when all else is there; a foreign key is there from the start, for a type may follow from it alone.
    operations = [op.operation if isinstance(op, ops.Online) else op for op in operations]
    operations = [op for op in operations if not (isinstance(op, ops.AddIndex) and op in late)]
    operations = references.ordered(operations, now, deployment.databases)
    later = frozenset((op.table, op.key) for op in late if isinstance(op, ops.AddForeignKey))
    recodes = [op for op in operations if isinstance(op, recoding.Recode)]
    recoded = {op.source for op in recodes}
    types = between.Declared()

    def dialect_of(old: ops.Tables, new: ops.Tables) -> Dialect:
        made = deployment.dialect(names, old, new)
        made.between = types
        return made

    segments = list(_segments(operations))
    for number, (single, part) in enumerate(segments):
        if single is not None:
            own = list(of_operation(deployment, single, group.migrations))
            for step in own:
                steps.append(step)
                if isinstance(step, Recoding) and group.before.get(step.table) is deployment.tables.get(step.table):
                    group.conversions.append(step)  # whose values are there to be looked at
                    firing = dialect_of(group.before, now).firing(step.table, {step.conversion.source})
                    group.probes += [(step.table, probe) for probe in firing]
            if not (isinstance(single, recoding.Recode) or all(step.changes_rows for step in own)):
                dialect = dialect_of(now, now)
                steps += [of_step(step, dialect) for step in auditing.again(dialect, now)]
            after_user_steps = after_user_steps or not isinstance(single, recoding.Recode)
            continue
        after = ops.apply(part, now)
        if wrong := dangling(after, deployment.databases):
            raise PipelineError("The migration is incomplete.", wrong[0], _completed(group, segments[number + 1 :]))
        # What has nothing to do with the change takes no part in planning it.
        involved = scope.of(now, after, part)
        group.inputs.involved |= involved
        near = {name: table for name, table in now.items() if name in involved}
        types = between.found(now, after, part, [op for _, more in segments[number + 1 :] for op in more], types)
        dialect = dialect_of(near, {name: table for name, table in after.items() if name in involved})
        audited = auditing.found(names.tables)
        built = build(near, part, dialect, lossy=lossy, later=later, **options)
        lock = journal.called(deployment.target.lock)
        changing = auditing.around(built.steps, dialect, audited, near, built.after, lock)
        following, lost = job_tables.steps(near, built.after, built.origins, dialect)
        made = [*changing, *following]
        for table, probe in [*built.probes, *lost]:
            if probe.kind != "dropped" or not set(probe.attributes) & recoded:
                after_steps = probe.later or bool(steps or group.steps)
                group.probes.append((table, replace(probe, later=after_steps, unsure=after_user_steps)))
        group.origins.append(built.origins.beside(table for name, table in now.items() if name not in involved))
        steps += [of_step(step, dialect, recodes, built.origins) for step in made]
        now = {**{name: table for name, table in now.items() if name not in involved}, **built.after}
    for operation in late:
        now = _add_online(deployment, group, operation, names, now, steps)
    group.steps += steps
    group.after = now
    return now


def _completed(group: Group, rest: list[tuple[ops.Operation | None, list[ops.Operation]]]) -> str:
    """Say what to do where a reference leads nowhere before the rest of a group, in segments."""
    alone = next((single for single, _ in rest if isinstance(single, (data.RunSQL, data.RunPython))), None)
    if alone is None:
        return "Migrate the other schema together with it."
    return f"Move {alone.words!r} to the end of {_file(group.migrations[-1])}, or into a migration of its own after it."


def _file(migration: Migration) -> str:
    """Name the file of a migration, for people."""
    return f"{migration.schema}/{migration.path.name}" if migration.path else migration.title


def _holds_values(
    deployment: Deployment, group: Group, table: TableName, attribute: str, before: str, after: str
) -> bool:
    """Tell whether an attribute has values that another type writes otherwise, and note it of the group.

    Bytes may be what ``<blob>`` writes already. ``before`` and ``after`` are the types.
    """
    if deployment.filled is not None:
        return (table, attribute) in deployment.filled
    if (table, attribute) in group.inputs.unchanged:
        return False
    connection = deployment.connection
    quote, mysql = quoter(connection), connection.adapter.backend == "mysql"
    database = deployment.databases.get(table.schema, table.schema)
    if database not in deployment.surveys or table not in deployment.tables:
        return False
    condition = f"{quote(attribute)} IS NOT NULL"
    if after == "<blob>" and is_bytes(before):
        condition += f" AND {not_a_blob(quote(attribute), mysql=mysql)}"
    sql = f"SELECT 1 FROM {deployment.full(table)} WHERE {condition} LIMIT 1"
    if connection.query(sql, args=None, reconnect=False).fetchone() is None:
        return False
    group.inputs.filled.add((table, attribute))
    return True


def _add_online(
    deployment: Deployment,
    group: Group,
    operation: ops.AddIndex | ops.AddForeignKey,
    names: constraints.Names,
    now: dict[TableName, Table],
    steps: list[PlannedStep],
) -> dict[TableName, Table]:
    """Add the steps of an index or a foreign key that is added while others work; give the tables after."""
    if isinstance(operation, ops.AddIndex):
        after = operation.apply(now)
        # Rows have the same violations as where it is added at once.
        probes = build(now, [operation], deployment.dialect(deepcopy(names), now, after)).probes
        group.probes += [(table, replace(probe, later=True)) for table, probe in probes]
    else:
        after = now
    dialect, table_before = deployment.dialect(names, now, after), now[operation.table]
    if isinstance(operation, ops.AddForeignKey):
        others = tuple(key for key in table_before.foreign_keys if key != operation.key)
        table_before = replace(table_before, foreign_keys=others)
        if table_before == now[operation.table] or operation.table not in group.before:
            return now  # made with its table
    steps += [of_step(step, dialect) for step in online.steps(dialect, table_before, operation)]
    return after


def _segments(operations: list[ops.Operation]) -> Iterator[tuple[ops.Operation | None, list[ops.Operation]]]:
    """Give runs of operations on tables, and between them, alone, each user step or conversion of values.

    A run ends where a table takes the name of one that the run drops.
    """
    part, dropped = list[ops.Operation](), set[TableName]()
    for operation in operations:
        if isinstance(operation, ops.DropTable):
            dropped.add(operation.table)
        taken = operation.to if isinstance(operation, ops.RenameTable) else operation.table
        if isinstance(operation, (ops.CreateTable, ops.RenameTable)) and taken in dropped:
            yield None, part
            part, dropped = [], set()
        if isinstance(operation, references.ALONE):
            if part:
                yield None, part
            yield operation, []
            part = []
        else:
            part.append(operation)
    if part:
        yield None, part
