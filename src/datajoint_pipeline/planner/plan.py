"""What there is to do in a database: which migrations, in which groups, by which steps, and what they would cost.

Reads only. Migrations that no database can stand between, as when a primary key and what refers to it change in two
schemas, form one group; any other migration is a group of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from .. import server_errors
from ..ddl import job_tables, online, recoding
from ..ddl.build import build
from ..dialects import constraints
from ..dialects.steps import Probe, Step
from ..diff.changes import difference
from ..errors import PipelineError
from ..history.migration_files import Migration
from ..internals.codecs import not_a_blob, unstorable
from ..journal import steplog
from ..operations import data
from ..operations import structure as ops
from ..operations.origins import Origins
from ..operations.topology import dangling
from ..quoting import quoter
from ..schema.model import Schema, Table, TableName
from . import scope
from .deployment import Deployment
from .entries import of_data, of_step
from .pending import newest

if TYPE_CHECKING:
    import datajoint as dj

Tables = dict[TableName, Table]


@dataclass(frozen=True)
class Violation:
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
    unsure : bool
        Whether the lab's own statements come first, and may put it right.
    """

    table: TableName
    kind: str
    count: int
    words: str
    attributes: tuple[str, ...]
    unsure: bool = False

    @property
    def loses(self) -> bool:
        """Whether values would be changed or cut."""
        return self.kind in ("long", "rounding", "range", "value", "codec")

    @property
    def blocks(self) -> bool:
        """Whether the server would refuse."""
        return self.kind in ("null", "duplicate", "parent") and not self.unsure


@dataclass
class Group:
    """Migrations that are applied together; ``instead`` is what is done for them where the tables are a draft, and
    ``codecs`` are the conversions whose values can be looked at already."""

    migrations: list[Migration]
    before: Tables
    after: Tables = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    entries: list[steplog.Entry] = field(default_factory=list)
    probes: list[tuple[TableName, Probe]] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    origins: list[Origins] = field(default_factory=list)
    codecs: list[steplog.Entry] = field(default_factory=list)
    first: bool = True
    known: list[tuple[Migration, ops.Operation]] = field(default_factory=list)
    instead: list[ops.Operation] | None = None

    @property
    def schemas(self) -> list[str]:
        """The schemas that get another version, in order."""
        return list(dict.fromkeys(migration.schema for migration in self.migrations))

    def operations(self) -> Iterator[tuple[Migration, ops.Operation]]:
        """What is done, one after the other, and in whose file it stands."""
        if self.instead is not None:
            yield from ((self.migrations[0], operation) for operation in self.instead)
            return
        if self.known:
            yield from self.known
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
    lossy: frozenset[tuple[TableName, str]] = frozenset(),
    one: bool = False,
) -> list[Group]:
    """The migrations in groups, each with its steps and what the data say against them; the first alone, where asked.

    Raises
    ------
    PipelineError
        If a question is open, or the migrations do not lead from what is there to what the snapshots say.
    """
    refuse_open_questions(wanted)
    names = constraints.names(deployment.catalogue)
    now, found = deployment.tables, list[Group]()
    current: Group | None = None
    for migration in wanted:
        current = current or Group([], now, first=not found)
        more = migration.operations(now)
        current.migrations.append(migration)
        current.known += [(migration, operation) for operation in more]
        now = ops.apply(more, now)
        if not dangling(now, deployment.databases):
            now = lower(deployment, current, [operation for _, operation in current.known], names, lossy)
            found.append(current)
            current = None
            if one and migration is not wanted[-1]:
                return found
    if current is not None:
        raise PipelineError(
            f"{', '.join(current.schemas)} cannot be migrated alone.",
            dangling(now, deployment.databases)[0],
            "Run migrate without naming schemas.",
        )
    converge(deployment, found, names, lossy)
    _foresee(deployment, found, lossy)
    return found


def _foresee(deployment: Deployment, found: list[Group], lossy: frozenset[tuple[TableName, str]]) -> None:
    """Let later groups ask what the data say against them where they work on what an earlier one is still to change:
    all of them are planned as one, whose questions are to the tables as they are."""
    start, later = deployment.tables, found[1:]
    if not any(g.before.get(table) is not start.get(table) for g in later for s in g.steps for table in s.tables):
        return
    whole = Group([r for group in found for r in group.migrations], start)
    whole.known = [known for group in found for known in group.known]
    try:
        lower(deployment, whole, [op for _, op in whole.known], constraints.names(deployment.catalogue), lossy)
    except PipelineError:
        return  # what cannot be done as one is asked when it is next

    def owner(table: TableName) -> Group:
        """The last group that works on a table; those before it have asked."""
        return next((g for g in reversed(found) if any(table in step.tables for step in g.steps)), found[-1])

    asked = {probe.sql for group in found for _, probe in group.probes}
    for table, probe in whole.probes:
        if probe.sql not in asked and (group := owner(table)) is not found[0]:
            group.probes.append((table, probe))
    known = [entry for group in found for entry in group.codecs]
    found[-1].codecs += [entry for entry in whole.codecs if entry not in known]


def refuse_open_questions(wanted: list[Migration]) -> None:
    """Refuse where a person has still to decide."""
    for migration in wanted:
        for question in migration.questions:
            file = f"{migration.schema}/{migration.path.name}" if migration.path else migration.title
            raise PipelineError(f"{file} cannot run yet.", f"It is still to be decided: {question}", "Edit the file.")


def converge(
    deployment: Deployment, found: list[Group], names: constraints.Names, lossy: frozenset[tuple[TableName, str]]
) -> None:
    """What migrations applied in another order than the files have leaves to be done: the order of attributes."""
    if not found:
        return
    last = found[-1]
    there: dict[str, list[Table]] = {}
    for table in last.after.values():
        there.setdefault(table.name.schema, []).append(table)
    before, after = Tables(), Tables()
    for schema, version in {r.schema: r.version for group in found for r in group.migrations}.items():
        latest, tables = newest(deployment, schema), sorted(there.get(schema, ()), key=lambda table: table.name.table)
        if latest is None or Version(latest.version) != Version(version):
            continue
        if not latest.is_like(Schema(schema, tuple(tables))):
            before |= {table.name: table for table in tables}
            after |= {table.name: table for table in (*tables, *latest.shape)}
    rest = difference(before, after)
    bad = [op for op in rest.operations if not isinstance(op, (ops.OrderAttributes, ops.ChangeComment))]
    if bad:
        first = bad[0]
        raise PipelineError(
            "The migrations do not lead to what the snapshots say.",
            f"{type(first).__name__} in {first.table} would still be left to do.",
            "Correct the migration that was edited, or make it anew with revise.",
        )
    if rest.operations:
        lower(deployment, last, rest.operations, names, lossy, last.after)


def lower(
    deployment: Deployment,
    group: Group,
    operations: list[ops.Operation],
    names: constraints.Names,
    lossy: frozenset[tuple[TableName, str]],
    before: Tables | None = None,
    **options: Any,
) -> Tables:
    """Add the steps of some operations to a group."""
    now = group.before if before is None else before
    own_work = False
    operations = recoding.expanded(operations, now, lambda *what: _holds_values(deployment, *what))
    entries: list[steplog.Entry] = []
    late = [operation.operation for operation in operations if isinstance(operation, data.Online)]
    # An index comes when all else is there; a foreign key is there from the start, lest nobody knows a type by it.
    operations = [op.operation if isinstance(op, data.Online) else op for op in operations]
    operations = [op for op in operations if not (isinstance(op, ops.AddIndex) and op in late)]
    later = frozenset((op.table, op.key) for op in late if isinstance(op, ops.AddForeignKey))
    recodes = [op for op in operations if isinstance(op, recoding.Recode)]
    recoded = {op.source for op in recodes}
    for own, part in _segments(operations):
        if own is not None:
            entries += (more := list(of_data(deployment, own, group.migrations)))
            if isinstance(own, recoding.Recode) and group.before.get(own.table) is deployment.tables.get(own.table):
                group.codecs += more  # whose values are there to be looked at
            own_work = own_work or not isinstance(own, recoding.Recode)
            continue
        after = ops.apply(part, now)
        if wrong := dangling(after, deployment.databases):
            raise PipelineError("The migration is not whole.", wrong[0], "Migrate the other schema together with it.")
        # What has nothing to do with the change takes no part in planning it.
        near_by = scope.of(now, after, part)
        near = {name: table for name, table in now.items() if name in near_by}
        dialect = deployment.dialect(names, near, {name: table for name, table in after.items() if name in near_by})
        built = build(near, part, dialect, lossy=lossy, later=later, **options)
        steps = [*built.steps, *job_tables.steps(near, built.after, built.origins, dialect)]
        group.steps += steps
        for table, probe in built.probes:
            if probe.kind != "dropped" or not set(probe.attributes) & recoded:
                group.probes.append((table, replace(probe, later=bool(entries), unsure=own_work)))
        group.origins.append(built.origins)
        entries += [of_step(step, dialect, recodes, built.origins) for step in steps]
        now = {**{name: table for name, table in now.items() if name not in near_by}, **built.after}
    for operation in late:
        now = _add_online(deployment, group, operation, names, now, entries)
    group.entries += entries
    group.after = now
    return now


def _holds_values(deployment: Deployment, table: TableName, attribute: str, before: str, after: str) -> bool:
    """Whether an attribute has values that must be written otherwise; bytes may be what ``<blob>`` writes already."""
    connection = deployment.connection
    quote, mysql = quoter(connection), connection.adapter.backend == "mysql"
    database = deployment.databases.get(table.schema, table.schema)
    if database not in deployment.found or table not in deployment.tables:
        return False
    condition = f"{quote(attribute)} IS NOT NULL"
    if after == "<blob>" and not before.startswith("<") and re.search(r"blob|^bytes|bytea", before):
        condition += f" AND {not_a_blob(quote(attribute), mysql=mysql)}"
    sql = f"SELECT 1 FROM {deployment.full(table)} WHERE {condition} LIMIT 1"
    return connection.query(sql, args=None, reconnect=False).fetchone() is not None


def _add_online(
    deployment: Deployment,
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
        probes = build(now, [operation], deployment.dialect(deepcopy(names), now, after)).probes
        group.probes += [(table, replace(probe, later=True)) for table, probe in probes]
    else:
        after = now
    dialect, own = deployment.dialect(names, now, after), now[operation.table]
    if isinstance(operation, ops.AddForeignKey):
        own = replace(own, foreign_keys=tuple(key for key in own.foreign_keys if key != operation.key))
        if own == now[operation.table] or operation.table not in group.before:
            return now  # made with its table
    steps = online.steps(dialect, own, operation)
    group.steps += steps
    entries += [of_step(step, dialect) for step in steps]
    return after


def _segments(operations: list[ops.Operation]) -> Iterator[tuple[ops.Operation | None, list[ops.Operation]]]:
    """Runs of operations on tables, and between them what a lab does itself."""
    part: list[ops.Operation] = []
    for operation in operations:
        if isinstance(operation, (data.RunSQL, data.RunPython, recoding.Recode)):
            if part:
                yield None, part
            yield operation, []
            part = []
        else:
            part.append(operation)
    if part:
        yield None, part


# --- What the data say ---------------------------------------------------------------------------------------------


def count(connection: dj.Connection, group: Group) -> None:
    """Count what the steps of a group would lose or be refused for; nothing where it speaks of what an earlier group is
    still to make."""
    for table, probe in group.probes:
        try:
            row = connection.query(probe.sql, args=None, reconnect=False).fetchone()
        except Exception as error:
            if server_errors.of(error) or (group.first and not probe.later):
                raise
            continue
        words = probe.words + ", before the migration's own statements" * probe.unsure
        violation = Violation(table, probe.kind, int(row[0]), words, probe.attributes, probe.unsure)
        if row[0] and violation not in group.violations:
            group.violations.append(violation)
    for entry in group.codecs:
        _count_unstorable(connection, group, json.loads(entry.text))


def _count_unstorable(connection: dj.Connection, group: Group, told: dict[str, Any]) -> None:
    """Count values that another codec cannot hold."""
    (_, table), source, type_ = told["place"], told["source"], told["type"]
    found, why = unstorable(connection, tuple(told["place"]), source, type_)
    if found:
        words = f"values of {source} that {type_} cannot hold ({why})"
        group.violations.append(Violation(TableName(told["schema"], table), "codec", found, words, (source,)))
