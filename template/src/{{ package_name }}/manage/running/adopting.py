"""Records for what was there before, and the types of tables that an earlier DataJoint made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from packaging.version import Version

from .. import environment as environments
from .. import project
from .. import status as statuses
from ..differences import operations as ops
from ..differences.asking import Answers
from ..differences.changes import difference
from ..environment import Environment
from ..errors import ExitCode, PipelineError
from ..files import chain, revisions
from ..files.revisions import Revision
from ..planning import drift, due, scheme
from ..planning.due import Pipeline
from ..planning.scheme import Group
from ..reading import constraints
from ..record import journal
from ..sql import lineage
from ..status import SchemaStatus
from ..tables import notation
from ..tables.model import Attribute, Schema, Table, TableName
from ..writing import revising
from . import applying
from .runner import software

#: How many differences a refusal names.
_NAMED = 5


def adopt(
    environment: Environment,
    chosen: Iterable[str] = (),
    *,
    again: bool = False,
    types: bool = False,
    report: applying.Report = lambda words, number, of: None,
) -> list[SchemaStatus]:
    """Record the version of every schema that has tables and no record, where its shape is that of a version.

    Parameters
    ----------
    environment : Environment
        Where.
    chosen : iterable of str
        Schemas; all where there is none.
    again : bool
        Whether schemas with a record get another one, of what they are now.
    types : bool
        Whether tables that differ from the newest snapshot in types and comments alone are brought to it first.
    report : callable, optional
        Called with the words of each step of that.

    Raises
    ------
    PipelineError
        If a schema is like no version; then nothing was recorded.
    """
    environments.require_said(environment, "adopt")
    connection = environments.connect(environment)
    with applying.alone(connection, environment):
        applying.resume(connection, environment, report)
        _write_baselines()
        pipeline = due.read(connection, environment)
        names = _adoptable(pipeline, chosen, again)
        versions = {name: _version_of(pipeline, name) for name in names}
        like = {name: version for name, version in versions.items() if version is not None}
        unlike = [name for name in names if name not in like]
        made = group(pipeline, unlike) if unlike and types else None
        if made is not None:
            applying.judge(pipeline, made, allow_data_loss=False)
        elif unlike:
            raise _unlike(pipeline, unlike[0], retyped=group(pipeline, unlike, ask=True) is not None)
        _record(pipeline, like)
        if made is not None:
            applying.apply(pipeline, made, "adopt", report)
        return statuses.read(connection, environment)


def _record(pipeline: Pipeline, versions: Mapping[str, str]) -> None:
    """Record that schemas have these versions."""
    connection, own = pipeline.connection, project.current()
    for name, version in versions.items():
        applying.make_records(pipeline, name)
        record = pipeline.records.get(name)
        number = journal.begin(
            connection,
            pipeline.databases[name],
            kind="adopt",
            version=version,
            previous_version=record.version if record else None,
            code_commit=project.code_commit(own.root),
            software=software(connection),
        )
        journal.stamp(connection, pipeline.databases[name], number, pipeline.shapes[name].fingerprint)
        journal.finish(connection, pipeline.databases[name], number)
    if versions:
        lineage.repair(connection, pipeline.databases, pipeline.tables, only=versions)


def survey(pipeline: Pipeline, chosen: Iterable[str] = ()) -> list[Group]:
    """What `adopt --types` would do to tables; changes nothing but files that were missing."""
    _write_baselines()
    pipeline.histories = revisions.read(project.current())
    unlike = [name for name in _adoptable(pipeline, chosen, again=False) if _version_of(pipeline, name) is None]
    made = group(pipeline, unlike) if unlike else None
    return [made] if made is not None else []


def _write_baselines() -> None:
    own = project.current()
    revising.write_baselines(own, revisions.read(own), revising.code_tables(own), own.versions)


def _adoptable(pipeline: Pipeline, chosen: Iterable[str], again: bool) -> list[str]:
    chosen = list(chosen)
    names = [name for name in pipeline.histories if name in pipeline.shapes and (not chosen or name in chosen)]
    names = [n for n in names if pipeline.shapes[n].tables and (again or n not in pipeline.records)]
    for name in names:
        refuse_draft(pipeline, name)
    return names


def refuse_draft(pipeline: Pipeline, schema: str) -> None:
    """Say that a draft has first to end."""
    record = pipeline.records.get(schema)
    if record is not None and record.kind == journal.DRAFT:
        own = project.current()
        raise PipelineError(
            f"{pipeline.databases[schema]} is a draft after {schema} {record.version}.",
            "Its tables are those of no version.",
            f"Run {own.command} --env {pipeline.environment.name} migrate {schema} --to {record.version}, which ends "
            "the draft.",
            exit_code=ExitCode.PENDING,
        )


def _version_of(pipeline: Pipeline, name: str) -> str | None:
    """The version whose shape a schema has."""
    history, shape = pipeline.histories[name], drift.visible(pipeline.shapes[name])
    shapes = {history.latest.version: history.latest.shape} if history.latest else {}
    if history.oldest:
        shapes.setdefault(history.oldest.version, history.oldest.shape)
    for revision, _, after in chain.replay(pipeline.histories, list(pipeline.histories)):
        if revision.schema == name:
            tables = sorted((t for n, t in after.items() if n.schema == name), key=lambda t: t.name.table)
            shapes.setdefault(revision.version, Schema(name, tuple(tables)))
    for version in sorted(shapes, key=Version, reverse=True):
        if not _left({t.name: t for t in shape}, {t.name: t for t in shapes[version]}):
            return version
    return None


def _left(found: Mapping[TableName, Table], expected: Mapping[TableName, Table]) -> list[ops.Operation]:
    return difference(found, expected, Answers(drops=frozenset((name, None) for name in found))).operations


def _unlike(pipeline: Pipeline, name: str, *, retyped: bool = False) -> PipelineError:
    latest, shape = pipeline.histories[name].latest, drift.visible(pipeline.shapes[name])
    texts = drift.describe(latest.shape, shape) if latest else []
    if latest and not retyped:
        # What differs in more than types comes first: types alone would not stand in the way.
        found = {table.name: table for table in shape}
        typed = [op for op in _left(found, {t.name: t for t in latest.shape}) if _of_types(op)]
        rest = sorted(ops.apply(typed, found).values(), key=lambda table: table.name.table)
        first = drift.describe(latest.shape, Schema(name, tuple(rest)))
        texts = [*first, *(text for text in texts if text not in first)]
    more = f" And {len(texts) - _NAMED} more." if len(texts) > _NAMED else ""
    do = "Bring the code to what the database has (diff shows the rest), adopt, and change it by a migration then."
    if retyped:
        command = f"{project.current().command} --env {pipeline.environment.name} adopt --types"
        do = f"Only types and comments differ: {command} --dry-run shows how to bring them to the code, rows and all."
    elif any(_in_store_of_0_14(attribute) for table in shape for attribute in table.attributes):
        do = "Values in object stores are those of DataJoint 0.14; docs/adopting.md says what to do with them. " + do
    return PipelineError(
        f"{pipeline.databases[name]} has the shape of no version of {name}.",
        " ".join(texts[:_NAMED]) + more or "There is no snapshot to compare it with.",
        do,
        exit_code=ExitCode.DRIFT,
    )


# --- Types -----------------------------------------------------------------------------------------------------------


def group(pipeline: Pipeline, names: list[str], *, ask: bool = False) -> Group | None:
    """The steps that bring the tables of some schemas to their newest snapshots, where types and comments are all that
    differs: what DataJoint 0.14 made has no types in its comments, and numbers without sign.

    Parameters
    ----------
    pipeline : Pipeline
        Where.
    names : list of str
        The schemas.
    ask : bool
        Whether it is only asked if that is so; then None says that it is not.

    Raises
    ------
    PipelineError
        If more differs.
    """
    latest = {name: history.latest for name in names if (history := pipeline.histories[name]).latest is not None}
    before = pipeline.tables
    after = {n: t for n, t in before.items() if n.schema not in latest}
    after |= {table.name: table for snapshot in latest.values() if snapshot for table in snapshot.shape}
    operations = _left(before, after)
    other = next((op for op in operations if not _of_types(op)), None)
    if other is not None or len(latest) < len(names):
        if ask:
            return None
        raise _unlike(pipeline, other.table.schema if other is not None else names[0])
    marks = [Revision(name, snapshot.version, None, revisions.TYPES) for name, snapshot in latest.items() if snapshot]
    made = Group(marks, before, instead=operations)
    if not ask:
        scheme.lower(pipeline, made, operations, constraints.names(pipeline.catalogue), frozenset())
    return made


def _of_types(operation: ops.Operation) -> bool:
    """Whether an operation changes no more than a type or a comment."""
    if isinstance(operation, ops.ChangeComment):
        return True
    if not isinstance(operation, ops.AlterAttribute):
        return False
    was, will = operation.before, operation.after
    if _in_store_of_0_14(was):
        return False
    default = None if was.default is None else notation.normal_default(will.type, was.default)
    return (was.name, was.nullable, default) == (will.name, will.nullable, will.default)


def _in_store_of_0_14(attribute: Attribute) -> bool:
    """Whether an attribute holds numbers of objects that DataJoint 0.14 keeps in a store."""
    return re.match(r"(blob|attach|filepath)@[\w-]+, stored as ", attribute.type) is not None
