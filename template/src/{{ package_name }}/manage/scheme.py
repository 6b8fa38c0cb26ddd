"""What there is to do in a database: which migrations, in which groups, by which steps, and what they would cost.

Reads only. Migrations that no database can stand between, as when a primary key and what refers to it change in two
schemas, form one group; any other migration is a group of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from . import constraints, lineage, plan, steplog
from . import data_operations as data
from . import operations as ops
from .changes import difference
from .due import Pipeline, newest
from .errors import PipelineError
from .model import Table, TableName
from .origins import Origins
from .revisions import Revision
from .step import Probe, Step
from .topology import dangling

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
    """Migrations that are applied together; ``instead`` is what is done for them where the tables are a draft."""

    revisions: list[Revision]
    before: Tables
    after: Tables = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    entries: list[steplog.Entry] = field(default_factory=list)
    probes: list[tuple[TableName, Probe]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    origins: list[Origins] = field(default_factory=list)
    first: bool = True
    instead: list[ops.Operation] | None = None

    @property
    def schemas(self) -> list[str]:
        """The schemas that get another version, in order."""
        return list(dict.fromkeys(revision.schema for revision in self.revisions))

    def operations(self) -> Iterator[tuple[Revision, ops.Operation]]:
        """What is done, one after the other, and in whose file it stands."""
        if self.instead is not None:
            yield from ((self.revisions[0], operation) for operation in self.instead)
            return
        now: ops.Tables = self.before
        for revision in self.revisions:
            for operation in revision.operations(now):
                yield revision, operation
                now = operation.apply(now)


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
    refuse_open_questions(wanted)
    names = constraints.read(pipeline.connection, pipeline.databases)
    now, found = pipeline.tables, list[Group]()
    current: Group | None = None
    operations: list[ops.Operation] = []
    for revision in wanted:
        current = current or Group([], now, first=not found)
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
    converge(pipeline, found, names, lossy)
    return found


def refuse_open_questions(wanted: list[Revision]) -> None:
    """Refuse where a person has still to decide."""
    for revision in wanted:
        for question in revision.questions:
            file = f"{revision.schema}/{revision.path.name}" if revision.path else revision.title
            raise PipelineError(f"{file} cannot run yet.", f"It is still to be decided: {question}", "Edit the file.")


def converge(
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
    for own, part in _segments(operations):
        if own is not None:
            entries += _data_entries(pipeline, own, group)
            continue
        lowering = pipeline.lowering(names, now, ops.apply(part, now))
        built = plan.build(now, part, lowering, lossy=lossy, **options)
        steps = [*built.steps, *lineage.job_steps(now, built.after, built.origins, lowering)]
        group.steps += steps
        group.probes += built.probes
        group.origins.append(built.origins)
        for step in steps:
            places = tuple(lowering.place(table) for table in step.tables)
            entries.append(steplog.Entry(0, "sql", steplog.PLANNED, step.words, step.sql, places))
        now = built.after
    group.entries += entries
    group.after = now
    return now


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
    import json

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
    """Count what the steps of a group would lose or be refused for; nothing where it speaks of what an earlier group is
    still to make."""
    import datajoint as dj

    for table, probe in group.probes:
        try:
            row = connection.query(probe.sql, args=None, reconnect=False).fetchone()
        except dj.errors.LostConnectionError:
            raise
        except Exception:
            if group.first:
                raise
            continue
        if row[0]:
            group.findings.append(Finding(table, probe.kind, int(row[0]), probe.words, probe.attributes))
