"""What there is to do in a database: which migrations, in which groups, by which steps, and what they would cost.

Reads only. Migrations that no database can stand between, as when a primary key and what refers to it change in two
schemas, form one group; any other migration is a group of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from . import constraints, lineage, online, plan, steplog, trouble
from . import data_operations as data
from . import operations as ops
from .changes import dangling, difference
from .due import Pipeline, newest
from .errors import PipelineError
from .lowering import Lowering
from .model import Table, TableName
from .origins import Origins
from .revisions import Revision
from .step import Probe, Step

if TYPE_CHECKING:
    import datajoint as dj

Tables = dict[TableName, Table]


@dataclass(frozen=True)
class Finding:
    """Something that the data say against a step.

    Parameters
    ----------
    table : TableName
        Where, as it is called afterwards.
    kind : str
        See :class:`step.Probe`.
    count : int
        How many.
    words : str
        Of what.
    attributes : tuple of str
        Whose values.
    """

    table: TableName
    kind: str
    count: int
    words: str
    attributes: tuple[str, ...]

    @property
    def loses(self) -> bool:
        """Whether values would be changed or cut."""
        return self.kind in ("long", "rounding", "range", "value")

    @property
    def blocks(self) -> bool:
        """Whether the server would refuse."""
        return self.kind in ("null", "duplicate", "parent", "codec")


@dataclass
class Group:
    """Migrations that are applied together."""

    revisions: list[Revision]
    before: Tables
    after: Tables = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    entries: list[steplog.Entry] = field(default_factory=list)
    probes: list[tuple[TableName, Probe]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    origins: list[Origins] = field(default_factory=list)

    @property
    def schemas(self) -> list[str]:
        """The schemas that get another version, in order."""
        return list(dict.fromkeys(revision.schema for revision in self.revisions))


# --- In which groups, by which steps ---------------------------------------------------------------------------------


def groups(
    pipeline: Pipeline,
    wanted: list[Revision],
    *,
    lossy: frozenset[tuple[TableName, str]] = frozenset(),
) -> list[Group]:
    """The migrations in groups, each with its steps and what the data say against them.

    Raises
    ------
    PipelineError
        If a question is open, or the migrations do not lead from what is there to what the snapshots say.
    """
    _refuse_open_questions(wanted)
    names = constraints.read(pipeline.connection, pipeline.databases)
    now, found = pipeline.tables, list[Group]()
    current: Group | None = None
    operations: list[ops.Operation] = []
    for revision in wanted:
        current = current or Group([], now)
        more = revision.operations(now)
        current.revisions.append(revision)
        operations += more
        now = ops.apply(more, now)
        if not dangling(now):
            now = lower(pipeline, current, operations, names, lossy)
            found.append(current)
            current, operations = None, []
    if current is not None:
        raise PipelineError(
            f"{', '.join(current.schemas)} cannot be migrated alone.",
            dangling(now)[0],
            "Run migrate without naming schemas.",
        )
    _converge(pipeline, found, names, lossy)
    return found


def _refuse_open_questions(wanted: list[Revision]) -> None:
    for revision in wanted:
        for question in revision.questions:
            file = f"{revision.schema}/{revision.path.name}" if revision.path else revision.title
            raise PipelineError(f"{file} cannot run yet.", f"It is still to be decided: {question}", "Edit the file.")


def _converge(
    pipeline: Pipeline, found: list[Group], names: constraints.Names, lossy: frozenset[tuple[TableName, str]]
) -> None:
    """What migrations applied in another order than the files have leaves to be done: the order of attributes."""
    if not found:
        return
    last = found[-1]
    reached = {r.schema: r.version for group in found for r in group.revisions}
    targets = {
        table.name: table
        for schema, version in reached.items()
        if (latest := newest(pipeline, schema)) is not None and Version(latest.version) == Version(version)
        for table in latest.shape
    }
    if not targets:
        return
    after = {name: targets.get(name, table) for name, table in last.after.items()}
    after |= targets
    rest = difference(last.after, after)
    bad = [op for op in rest.operations if not isinstance(op, (ops.OrderAttributes, ops.ChangeComment))]
    if bad:
        first = bad[0]
        raise PipelineError(
            "The migrations do not lead to what the snapshots say.",
            f"{type(first).__name__} in {first.table} would still be left to do.",
            "Correct the migration that was edited, or make it anew with revise.",
        )
    if rest.operations:
        lower(pipeline, last, rest.operations, names, lossy, last.after)


def lower(
    pipeline: Pipeline,
    group: Group,
    operations: list[ops.Operation],
    names: constraints.Names,
    lossy: frozenset[tuple[TableName, str]],
    before: Tables | None = None,
    **options: Any,
) -> Tables:
    """Add the steps of some operations to a group."""
    now = group.before if before is None else before
    entries: list[steplog.Entry] = []
    late = [operation.operation for operation in operations if isinstance(operation, data.Online)]
    # An index comes when all else is there; a foreign key is there from the start, lest nobody knows a type by it.
    operations = [op.operation if isinstance(op, data.Online) else op for op in operations]
    operations = [op for op in operations if not (isinstance(op, ops.AddIndex) and op in late)]
    later = frozenset((op.table, op.key) for op in late if isinstance(op, ops.AddForeignKey))
    for own, part in _segments(operations):
        if own is not None:
            entries += _data_entries(pipeline, own, group)
            continue
        lowering = pipeline.lowering(names, now, ops.apply(part, now))
        built = plan.build(now, part, lowering, lossy=lossy, later=later, **options)
        steps = [*built.steps, *lineage.job_steps(now, built.after, built.origins, lowering)]
        group.steps += steps
        group.probes += built.probes
        group.origins.append(built.origins)
        entries += [_entry(step, lowering) for step in steps]
        now = built.after
    for operation in late:
        now = _add_online(pipeline, group, operation, names, now, entries)
    group.entries += entries
    group.after = now
    return now


def _entry(step: Step, lowering: Lowering) -> steplog.Entry:
    places = tuple(lowering.place(table) for table in step.tables)
    if not step.check:
        return steplog.Entry(0, "sql", steplog.PLANNED, step.words, step.sql, places)
    text = json.dumps({"check": step.check, "run": [*step.first, step.sql]})
    return steplog.Entry(0, "online", steplog.PLANNED, step.words, text, places)


def _add_online(
    pipeline: Pipeline,
    group: Group,
    operation: ops.AddIndex | ops.AddForeignKey,
    names: constraints.Names,
    now: Tables,
    entries: list[steplog.Entry],
) -> Tables:
    """Add the steps of what is added while others work; the tables afterwards."""
    if isinstance(operation, ops.AddIndex):
        after = operation.apply(now)
        # What stands against it is what would stand against it otherwise.
        group.probes += plan.build(now, [operation], pipeline.lowering(deepcopy(names), now, after)).probes
    else:
        after = now
    lowering, table = pipeline.lowering(names, now, after), now[operation.table]
    if isinstance(operation, ops.AddForeignKey):
        table = replace(table, foreign_keys=tuple(key for key in table.foreign_keys if key != operation.key))
        if table == now[operation.table] or operation.table not in group.before:
            return now  # made with its table
    steps = online.steps(lowering, table, operation)
    group.steps += steps
    entries += [_entry(step, lowering) for step in steps]
    return after


def _segments(operations: list[ops.Operation]) -> Iterator[tuple[ops.Operation | None, list[ops.Operation]]]:
    """Runs of operations on tables, and between them what a lab does itself."""
    part: list[ops.Operation] = []
    for operation in operations:
        if isinstance(operation, (data.RunSQL, data.RunPython)):
            if part:
                yield None, part
            yield operation, []
            part = []
        else:
            part.append(operation)
    if part:
        yield None, part


def _data_entries(pipeline: Pipeline, operation: ops.Operation, group: Group) -> Iterator[steplog.Entry]:
    quote = pipeline.connection.adapter.quote_identifier
    names = {schema: quote(database) for schema, database in pipeline.databases.items()}
    backend = pipeline.connection.adapter.backend
    if isinstance(operation, data.RunPython):
        revision = next(r for r in group.revisions if any(getattr(x, "run", 0) is operation.run for x in r.lines))
        index = next(i for i, line in enumerate(revision.lines) if getattr(line, "run", 0) is operation.run)
        text = json.dumps({"schema": revision.schema, "digest": revision.digest, "line": index})
        yield steplog.Entry(0, "python", steplog.PLANNED, operation.words, text)
        return
    assert isinstance(operation, data.RunSQL)

    def filled(text: str) -> str:
        for schema, database in names.items():
            text = text.replace("{" + schema + "}", database)
        return text

    text = filled(getattr(operation.sql, backend))
    check = filled(getattr(operation.check, backend)) if operation.check else ""
    statements = [part.strip().rstrip(";") for part in text.split(";\n") if part.strip().rstrip(";")]
    yield steplog.Entry(0, "own", steplog.PLANNED, operation.words, json.dumps({"check": check, "run": statements}))


# --- What the data say ---------------------------------------------------------------------------------------------


def count(connection: dj.Connection, group: Group) -> None:
    """Count what the steps of a group would lose or be refused for, as far as its tables are there now."""
    for table, probe in group.probes:
        number = _number(connection, probe.sql)
        if number:
            group.findings.append(Finding(table, probe.kind, number, probe.words, probe.attributes))


def _number(connection: dj.Connection, sql: str) -> int:
    """What a query counts; nothing where it speaks of what an earlier group is still to make."""
    import datajoint as dj

    try:
        row = connection.query(sql, args=None, reconnect=False).fetchone()
    except dj.DataJointError as error:
        if trouble.of(error):
            raise
        return 0
    return int(row[0] or 0)
