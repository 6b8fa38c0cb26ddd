"""Find what has changed in a database since its version was recorded, and say it in DataJoint's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from packaging.version import Version

from .. import journal
from ..ddl.build import SOFT_DELETED_ATTRIBUTE
from ..dialects import catalog
from ..diff.changes import difference
from ..diff.questions import Answers
from ..errors import ExitCode, PipelineError
from ..history import chain, migration_files
from ..history.migration_files import History, Migration
from ..journal import steplog
from ..schema.model import Schema
from . import applied, overtaken, retained, status
from .deployment import Deployment
from .retained import Retained
from .status import SchemaStatus, State
from .target import Target

#: States in which the tables should be as they were recorded.
_AS_RECORDED = (State.CURRENT, State.UNREADABLE, State.BEHIND, State.CONFLICT)

#: What the journal has among the options of a restore that gave back only what its rollback had set aside.
IN_PART = "in-part"

#: How many differences a refusal names.
_NAMED = 8


def read(target: Target) -> list[SchemaStatus]:
    """Find where every schema stands, by its record and by its tables."""
    return examine(target, status.read(target))


def examine(target: Target, statuses: list[SchemaStatus]) -> list[SchemaStatus]:
    """Compare every schema with the fingerprint recorded with its version, and one that is current with its snapshot.

    Reads the catalogue and the journals, once for all schemas. What differs from the record has drifted. What had
    migrations that the code does not have is in conflict, and what has not had all that the code has is behind. What is
    as it was recorded, but not as the snapshot has it, comes from another migration of the same version. A draft that
    is not as the code has it is behind. What an interrupted run of another schema changes is interrupted with it.
    """
    shapes = catalog.read(target.connection, {s.name: s.database for s in statuses})
    statuses = _by_migrations(target, statuses, shapes)
    current = [s for s in statuses if s.state in _AS_RECORDED and s.name in shapes]
    drifted = {s.name for s in current if s.fingerprint not in (None, shapes[s.name].fingerprint)}
    with_others = _changed_by_others(target, statuses) if drifted else set()
    latest = migration_files.latest(target.files)
    conflicts = {
        name: texts
        for s in current
        if s.state is not State.BEHIND
        and not s.draft  # which is like no snapshot, and need not be
        and (name := s.name) not in drifted
        and name in latest
        and latest[name].version == s.database_version
        and not latest[name].is_like(shapes[name])
        and (texts := tuple(_differences(latest[name].shape, _declared(latest[name].shape, visible(shapes[name])))))
    }
    drafts = [s for s in current if s.draft and s.state is State.CURRENT and s.name not in drifted]
    others = _of_other_code(target, drafts, shapes)
    found = []
    for s in statuses:
        if s.name in drifted & with_others:
            other = next(other for other in statuses if other.state is State.INTERRUPTED)
            run, taken_back, way_on = other.run, other.taken_back, other.way_on
            s = replace(s, state=State.INTERRUPTED, pending=(), run=run, taken_back=taken_back, way_on=way_on)
        elif s.name in drifted:
            databases = {o.name: o.database for o in statuses if o.state in _AS_RECORDED and o.database_version}
            texts = (
                _explained(target, s, shapes[s.name], databases)
                if not s.draft
                else ("It is not as the draft left it.",)
            )
            s = replace(s, state=State.DRIFTED, drift=texts)
        elif s.name in conflicts:
            s = replace(s, state=State.CONFLICT, drift=(*s.drift, *conflicts[s.name]))
        elif s.name in others:
            s = replace(s, state=State.BEHIND, drift=others[s.name])
        found.append(s)
    return found


def _by_migrations(target: Target, statuses: list[SchemaStatus], shapes: Mapping[str, Schema]) -> list[SchemaStatus]:
    """Judge schemas by the migrations that they have had, where their versions alone do not tell."""
    databases = {s.name: s.database for s in statuses if s.state in _AS_RECORDED and s.database_version is not None}
    try:
        histories = migration_files.read(target.files)
    except PipelineError:
        return statuses  # check says what is wrong with the files
    had = applied.read(target.connection, databases, histories)
    statuses = [_by_its_migrations(s, had[s.name]) if s.name in had else s for s in statuses]
    unfit = _unfit(target, statuses, had, histories, shapes)
    if unfit is None:
        return statuses
    name, error = unfit
    return [
        replace(s, state=State.CONFLICT, drift=(error.what, error.do), pending=()) if s.name == name else s
        for s in statuses
    ]


def _unfit(
    target: Target,
    statuses: Iterable[SchemaStatus],
    had: Mapping[str, applied.Applied],
    histories: Mapping[str, History],
    shapes: Mapping[str, Schema],
) -> tuple[str, PipelineError] | None:
    """Find a schema that has had migrations behind which an earlier one does not fit any more."""
    behind = [s.name for s in statuses if s.state is State.BEHIND and s.name in had]
    if any(s.draft for s in statuses) or not behind:
        return None
    tables = {table.name: table for shape in shapes.values() for table in shape}
    left = [migration for name in behind for migration in had[name].left]
    try:
        wanted = chain.in_order(left, {name: found.newest for name, found in had.items()}, list(histories))
    except PipelineError:
        return None  # which migrate says
    return overtaken.unfit(target, had, tables, wanted)


def _by_its_migrations(s: SchemaStatus, had: applied.Applied) -> SchemaStatus:
    try:
        had.refuse_foreign()
    except PipelineError as error:
        return replace(s, state=State.CONFLICT, drift=(error.what, error.do), pending=())
    recorded = Version(s.database_version or "0")
    if left := had.left:
        # Its number alone would say that it has had these.
        texts = tuple(f"It lacks {m.version}_{m.slug}." for m in left if Version(m.version) <= recorded)
        behind = State.BEHIND if s.state is State.CURRENT else s.state
        return replace(s, state=behind, pending=tuple(m.version for m in left), drift=texts)
    if s.state is State.BEHIND and Version(had.version) > recorded:
        return replace(s, drift=(f"It has every migration up to {had.version}; migrate records that.",))
    return s


def _of_other_code(
    target: Target, drafts: Iterable[SchemaStatus], shapes: Mapping[str, Schema]
) -> dict[str, tuple[str, ...]]:
    """Say of drafts how they differ from the code, as that of another branch or one that was edited since."""
    if not (drafts := list(drafts)):
        return {}
    try:
        code = target.code_tables()
    except PipelineError:
        return {}  # code that cannot be read has no tables to compare with, and check says why
    texts = {s.name: describe(Schema.of(s.name, code), visible(shapes[s.name])) for s in drafts}
    return {name: ("It comes from other code than this.", *found) for name, found in texts.items() if found}


def _changed_by_others(target: Target, statuses: Iterable[SchemaStatus]) -> set[str]:
    """Find the schemas that the interrupted runs of others change, by the heads of these."""
    databases = {s.name: s.database for s in statuses if s.state is State.INTERRUPTED}
    heads = steplog.heads(target.connection, databases) if databases else {}
    last = {name: heads[name, run] for name, run in sorted(heads)}
    shapes = [shape for head in last.values() for shape in _list(head.get("after"))]
    return {str(shape.get("name")) for shape in shapes if isinstance(shape, dict)}


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []  # anybody may have written it


def _explained(target: Target, schema: SchemaStatus, found: Schema, databases: Mapping[str, str]) -> tuple[str, ...]:
    """Say how a schema that has drifted differs from the version that was recorded; ``databases`` have a record."""
    by_hand = _made_by_hand(retained.read(target.connection, databases), schema.database, found)
    if schema.name not in migration_files.schemas(target.files):
        return explain(target.read_code().get(schema.name), found, by_hand)
    histories = migration_files.read(target.files)
    had = applied.read(target.connection, {schema.name: schema.database}, histories)
    return explain(_recorded(histories, had, schema.name), found, by_hand)


def _recorded(histories: Mapping[str, History], had: Mapping[str, applied.Applied], name: str) -> Schema | None:
    """Give a schema as the files have it with the migrations that it has had; None where they do not tell."""
    found, history = had[name], histories[name]
    if found.foreign:
        return None
    if found.version == found.newest:
        return chain.shapes(histories, name).get(found.version)
    # One before the newest is missing, so it has been through other shapes than those of the versions.
    own = [migration for migration in history.migrations if found.includes(migration)]
    try:
        shapes = chain.shapes({**histories, name: replace(history, migrations=own, latest=None)}, name)
    except PipelineError:
        return None
    return shapes.get(own[-1].version) if own else None


def refuse(deployment: Deployment, wanted: Iterable[Migration]) -> None:
    """Refuse to change a schema that has drifted from what was recorded, or in which a `restore` did not end.

    Raises
    ------
    PipelineError
        If one of those that some migrations change has.
    """
    for name in dict.fromkeys(migration.schema for migration in wanted):
        record, shape = deployment.records.get(name), deployment.shapes.get(name)
        if record is not None and record.kind == "restore" and record.finished_at is None:
            raise half_restored(deployment.target, deployment.databases[name], record, deployment.surveys)
        if record is None or shape is None or record.fingerprint in (None, shape.fingerprint):
            continue
        if record.kind == journal.DRAFT or record.status != journal.DONE:
            continue  # which is replaced by what the files say, whatever it has become; or is gone on with
        databases = {n: database for n, database in deployment.databases.items() if n in deployment.records}
        known = retained.read(deployment.connection, databases)
        by_hand = _made_by_hand(known, databases[name], shape)
        texts = explain(_recorded(deployment.histories, deployment.applied, name), shape, by_hand)
        more = f" And {len(texts) - _NAMED} more." if len(texts) > _NAMED else ""
        latest = deployment.histories[name].latest
        adopt = latest is not None and latest.version == record.version
        raise PipelineError(
            f"{deployment.databases[name]} is not as {name} {record.version} was recorded.",
            " ".join(texts[:_NAMED]) + more,
            f"Put it right, or record it as it is: run adopt --again {name}."
            if adopt
            else "Somebody changed it without a migration: undo that by hand, then run the command again.",
            exit_code=ExitCode.DRIFT,
        )


def half_restored(
    target: Target, database: str, record: journal.Record, surveys: Mapping[str, journal.Survey]
) -> PipelineError:
    """Give the refusal of columns and tables that `restore` made and may not have filled: they would come back so."""
    options = journal.options_of(target.connection, database, record, surveys)
    what = " ".join(["restore", *(word for word in options if word != IN_PART)])
    return PipelineError(
        f"{database} has what an unfinished restore left.",
        f"Values may be missing, and would be missing for good. Nothing was changed; {record.os_user} began it on "
        f"{record.started_at:%Y-%m-%d at %H:%M} UTC.",
        f"First run {target.command} {what}, which ends it. If there is no such file any more, run {target.command} "
        f"purge {record.schema}.",
        exit_code=ExitCode.INTERRUPTED,
    )


def explain(expected: Schema | None, found: Schema, by_hand: Iterable[str] = ()) -> tuple[str, ...]:
    """Say how a schema that has drifted differs from what was recorded of it; ``by_hand`` are more such sentences."""
    texts = [] if expected is None else [*describe(expected, visible(found)), *_lacking(expected, found)]
    texts += by_hand
    return tuple(texts) or ("It is as the code has it now, and not as it was when its version was recorded.",)


def _made_by_hand(known: Retained, database: str, found: Schema) -> list[str]:
    """Name the attributes that are called as if they were soft-deleted, which no recorded run did."""
    return [
        f"{table.title} has a hidden attribute {attribute.name} that no migration made: drop it by hand."
        for table in found
        for attribute in table.attributes
        if attribute.name.startswith(SOFT_DELETED_ATTRIBUTE)
        and not known.has((database, table.name.table), attribute.name)
    ]


def visible(schema: Schema) -> Schema:
    """Give a schema without its soft-deleted attributes."""
    tables = []
    for table in schema:
        attributes = tuple(a for a in table.attributes if not a.name.startswith(SOFT_DELETED_ATTRIBUTE))
        tables.append(replace(table, attributes=attributes))
    return Schema(schema.name, tuple(tables))


def describe(expected: Schema, found: Schema) -> list[str]:
    """Describe each way in which a schema is not what it should be.

    Parameters
    ----------
    expected : Schema
        As it was recorded, or as the code has it.
    found : Schema
        As the database has it.

    Returns
    -------
    list of str
        One sentence a difference, which begins with the class of the table.
    """
    unusual = [(table, deviation) for table in found for deviation in table.deviations]
    return [
        *_differences(expected, found),
        *(f"{table.title} is not as DataJoint makes tables: {deviation}." for table, deviation in unusual),
    ]


def _differences(expected: Schema, found: Schema) -> list[str]:
    """Describe what a migration could change; what DataJoint would not have declared was adopted with the rest."""
    before = {table.name: table for table in expected}
    after = {table.name: table for table in found}
    # A table or attribute that is gone was dropped, and not renamed, whatever the names suggest.
    drops = frozenset((name, None) for name in before)
    return [operation.deviation() for operation in difference(before, after, Answers(drops=drops)).operations]


def _declared(expected: Schema, found: Schema) -> Schema:
    """Give a schema without the hidden attributes that it should not have: somebody adopted them with the rest."""
    tables = []
    for table in found:
        known = expected.table[table.name.table].attribute if table.name.table in expected.table else table.attribute
        tables.append(replace(table, attributes=tuple(a for a in table.attributes if not a.hidden or a.name in known)))
    return Schema(found.name, tuple(tables))


def _lacking(expected: Schema, found: Schema) -> list[str]:
    """Say which attributes are gone that DataJoint itself adds.

    Whether it adds them is a setting, so :func:`describe` takes their absence for no difference.
    """
    return [
        f"{table.title} lacks the hidden attribute {attribute.name}."
        for table in expected
        for attribute in table.attributes
        if attribute.hidden and table.name.table in found.table
        if attribute.name not in found.table[table.name.table].attribute
    ]
