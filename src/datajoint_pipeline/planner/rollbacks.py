"""Plan the way back to an earlier version: what was dropped comes back, what was added is soft-deleted."""

from __future__ import annotations

from packaging.version import Version

from ..dialects import constraints
from ..errors import ExitCode, PipelineError
from ..history import asked, chain
from ..history.migration_files import Migration
from ..operations import structure as ops
from ..operations.topology import dangling
from ..schema.model import TableName
from . import coming_back, losses, pending, plan, stand_ins
from .deployment import Deployment
from .losses import Loss
from .plan import Group


def undone(deployment: Deployment, schema: str, to: str, *, along: bool = False) -> list[Migration]:
    """Give the migrations to undo; with ``along`` those of other schemas, too, that require what would go.

    Raises
    ------
    PipelineError
        If there is no such version, or another schema requires what would go.
    """
    asked.refuse_schemas([schema], deployment.histories)
    history, record = deployment.histories[schema], deployment.records.get(schema)
    if record is None:
        pending.refuse_unreadable(deployment, schema)
        raise PipelineError(
            f"There is nothing of {schema} to take back.",
            f"{deployment.databases[schema]} has no record of a version.",
            f"Run {deployment.target.command} status.",
        )
    asked.refuse_version(history, to)
    if record.version not in asked.versions(history):
        commit = record.code_commit.rstrip("+")
        raise PipelineError(
            f"{schema} has version {record.version} in the database, and this code does not know it.",
            "Only the migration that led there says how to take it back.",
            f"Use the code that has it (git checkout {commit[:10]}), and run rollback there."
            if commit
            else "Use the code that has it, and run rollback there.",
            exit_code=ExitCode.CONFLICT,
        )
    had = deployment.applied[schema]
    had.refuse_foreign()
    if Version(to) > Version(had.version):
        raise PipelineError(
            f"{schema} {to} is not an earlier version: the database has {had.version}.",
            "rollback only goes back.",
            f"To go there, say {deployment.target.command} migrate {schema} --to {to}.",
        )
    found = [r for r in history.migrations if Version(to) < Version(r.version) and had.includes(r)]
    own, first = list(found), _requiring(deployment, found) or _overtaking(deployment, found)
    requiring = first
    while requiring:
        found += requiring
        requiring = _requiring(deployment, found) or _overtaking(deployment, found)
    if first and not along:
        raise _not_alone(deployment, schema, to, own, found)
    return sorted(
        found, key=lambda migration: (migration.schema != schema, migration.schema, Version(migration.version))
    )


def _not_alone(
    deployment: Deployment, schema: str, to: str, own: list[Migration], found: list[Migration]
) -> PipelineError:
    """Refuse to take back a schema's ``own`` migrations alone, and say what goes back with them: all ``found``."""
    versions, together = {one.version for one in own}, _moved_together(deployment, own)
    others = [one for one in found if one.schema != schema]
    moved = next((one for one in others if (one.schema, one.version) in together), None)
    if moved is not None:
        why = f"A table moved between {schema} and {moved.schema}, and {moved.title} belongs to that."
    else:
        direct = [one for one in others if one.requires.get(schema) in versions] or others
        titles = list({one.schema: one.title for one in reversed(direct)}.values())[::-1]
        why = f"{_listed(titles)} {'requires' if len(titles) == 1 else 'require'} what would be taken back."
        if not _requiring(deployment, own):
            why = f"After {_listed(titles)}, migrate could not apply again what would be taken back."
    after = ops.apply([operation for _, operation in _inverse(deployment, found)], deployment.tables)
    do = _together(deployment, found) if dangling(after, deployment.databases) else ""
    return PipelineError(f"{schema} cannot go back to {to} alone.", why, do or _along(schema, to, found))


def _along(schema: str, to: str, found: list[Migration]) -> str:
    """Say how to take a schema back with what requires it, and name that: each schema, and the version it gets."""
    newest_first = sorted(found, key=lambda one: Version(one.version), reverse=True)
    goals = {one.schema: one.follows for one in newest_first if one.schema != schema}
    named = [f"{name} to {goals[name]}" for name in sorted(goals)]
    more = f", which also takes back {_listed(named)}" if named else ""
    return f"Run rollback {schema} --to {to} --along{more}."


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _requiring(deployment: Deployment, gone: list[Migration]) -> list[Migration]:
    """Find the migrations that the database has had and that cannot stay without some others."""
    versions = {(migration.schema, migration.version) for migration in gone}
    together = _moved_together(deployment, gone)
    oldest = {schema: min((Version(v) for s, v in versions if s == schema)) for schema, _ in versions}
    found = []
    for history in deployment.histories.values():
        if (had := deployment.applied.get(history.schema)) is None:
            continue
        for migration in history.migrations:
            after = history.schema in oldest and Version(migration.version) > oldest[history.schema]
            needs = any(
                other != history.schema and (other, version) in versions
                for other, version in migration.requires.items()
            )
            needs = needs or (migration.schema, migration.version) in together
            if had.includes(migration) and migration not in gone and (needs or after):
                found.append(migration)
    return found


def _overtaking(deployment: Deployment, gone: list[Migration]) -> list[Migration]:
    """Find the migrations of other schemas after which some cannot go, or could not come again.

    Such as that which took a table away to which another referred, or renamed it.
    """
    earliest: dict[str, Version] = {}
    for one in gone:
        for schema, version in one.requires.items():
            earliest[schema] = min(earliest.get(schema, Version(version)), Version(version))
    after = [
        migration
        for schema, had in deployment.applied.items()
        for migration in had.done
        if migration not in gone
        and (
            (schema in earliest and Version(migration.version) > earliest[schema])
            or any(one.schema != schema and chain.names_what_goes(one, migration) for one in gone)
        )
    ]
    if not after:
        return []
    have: dict[str, str | None] = {name: had.newest for name, had in deployment.applied.items()}
    for one in reversed(gone):
        have[one.schema] = min(have[one.schema] or "0", one.follows or "0", key=Version)
    try:
        back = [operation for _, operation in _inverse(deployment, gone)]
    except PipelineError:
        return []  # which is said where it is planned
    try:
        now = ops.apply(back, deployment.tables)
        if dangling(now, deployment.databases):
            return after
        for migration in chain.in_order(gone, have, list(deployment.histories)):
            now = ops.apply(migration.operations(now), now)
    except PipelineError:
        return after
    return []


def _moved_together(deployment: Deployment, gone: list[Migration]) -> set[tuple[str, str]]:
    """Find what goes with migrations because a table moved: schema and version of those that the same `revise` wrote.

    The operation stands in the schema that the table left. That of the schema where it went may have none, and need not
    require anything; it has the same slug.
    """
    every = [*chain.replay(deployment.histories, list(deployment.histories))]
    versions, found = {(migration.schema, migration.version) for migration in gone}, set[tuple[str, str]]()
    for number, (migration, before, _) in enumerate(every):
        renames = (op for op in migration.operations(before) if isinstance(op, ops.RenameTable))
        for place in {op.to.schema for op in renames} - {migration.schema}:
            alike = [
                (abs(number - other), one.version)
                for other, (one, _, _) in enumerate(every)
                if (one.schema, one.slug) == (place, migration.slug)
            ]
            if alike:
                sides = {(migration.schema, migration.version), (place, min(alike)[1])}
                found |= sides if sides & versions else set()
    return found


def group(
    deployment: Deployment,
    schema: str,
    to: str,
    migrations: list[Migration],
    aside: frozenset[tuple[TableName, str]] = frozenset(),
    *,
    kept: bool = True,
) -> Group:
    """Plan the steps that undo migrations.

    Parameters
    ----------
    deployment : Deployment
        Where.
    schema, to : str
        The schema, and the version that it goes back to.
    migrations : list of Migration
        Those to undo, of other schemas too.
    aside : frozenset
        Attributes, by the names of now, that are soft-deleted and added again instead of being converted: a backup has
        their values as they were.
    kept : bool
        As in :func:`datajoint_pipeline.planner.coming_back.found`.

    Raises
    ------
    PipelineError
        If an operation has no inverse, or other tables would refer to what is no longer there.
    """
    back = _inverse(deployment, migrations)
    after = ops.apply([operation for _, operation in back], deployment.tables)
    if wrong := dangling(after, deployment.databases):
        raise PipelineError(
            f"{schema} cannot go back to {to} alone; nothing was changed.",
            wrong[0],
            _together(deployment, migrations) or "No rollback leads there.",
        )
    inverse = coming_back.found(deployment, schema, to, back, kept=kept)
    goals = {migration.schema: migration.follows or to for migration in reversed(migrations)} | {schema: to}
    newest = {migration.schema: migration.version for migration in migrations}
    names_of = [schema, *(name for name in goals if name != schema)]
    planned = Group(
        [Migration(name, goals[name], newest[name], f"back_to_{goals[name]}") for name in names_of], deployment.tables
    )
    for name in names_of:
        of_schema = [migration for migration in migrations if migration.schema == name]
        planned.inputs.undone[name] = tuple(deployment.applied[name].recorded(of_schema))
    names = constraints.names(deployment.catalogue)
    planned.inputs.aside, planned.inputs.unchanged = aside, coming_back.unchanged(deployment, back)
    planned.anew = _anew(deployment.tables, inverse)
    inverse = _setting_aside(inverse, deployment.tables, aside)
    planned.by_migration = [(planned.migrations[0], operation) for operation in inverse]
    plan.add_steps(deployment, planned, inverse, names, frozenset())
    return planned


def _anew(before: ops.Tables, operations: list[ops.Operation]) -> frozenset[tuple[TableName, str]]:
    """Find the tables that operations make without rows, and the attributes of others without values."""
    after, origins = ops.trace(before, operations)
    found = {(name, "") for name in after if name not in origins.tables and name not in origins.hidden}
    for name, sources in origins.attributes.items():
        if name in origins.tables:
            found |= {(name, attribute) for attribute in after[name].attribute if attribute not in sources}
    return frozenset(found)


def _inverse(deployment: Deployment, migrations: list[Migration]) -> list[tuple[Migration, ops.Operation]]:
    """Give the operations that undo migrations, each with the one that it undoes."""
    back: list[tuple[Migration, ops.Operation]] = []
    for migration, before, _ in chain.replay(deployment.histories, list(deployment.histories)):
        if migration in migrations:
            back = [*((migration, op) for op in ops.inverse(migration.operations(before), before)), *back]
    return back


def _together(deployment: Deployment, migrations: list[Migration]) -> str:
    """Say how to go back together with the schemas that the migrations build on; empty where that leads nowhere."""
    waiting, seen = list(migrations), list[Migration]()
    while waiting:
        migration = waiting.pop(0)
        for name, version in migration.requires.items():
            had = deployment.applied.get(name)
            for below in had.done if had is not None else ():
                if below.version != version or below in seen or below.follows is None:
                    continue
                seen.append(below)
                waiting.append(below)
                found = undone(deployment, name, below.follows, along=True)
                after = ops.apply([operation for _, operation in _inverse(deployment, found)], deployment.tables)
                if not dangling(after, deployment.databases):
                    return _along(name, below.follows, found)
    return ""


def replaced(deployment: Deployment, undone: list[Migration], after: ops.Tables) -> list[Loss]:
    """Find the values that migrations computed anew, and the nulls that they filled, by the names before them.

    A rollback leaves them as they are. ``after`` has the tables after it.
    """
    now, operations = after, list[ops.Operation]()
    for migration, _, _ in chain.replay(deployment.histories, list(deployment.histories)):
        if migration in undone:
            more = migration.operations(now)
            now, operations = ops.apply(more, now), [*operations, *more]
    return losses.of_operations(after, operations)


def _setting_aside(
    operations: list[ops.Operation], before: ops.Tables, aside: frozenset[tuple[TableName, str]]
) -> list[ops.Operation]:
    """Give operations that soft-delete some attributes and add them again, where they would convert their values."""
    result = list(operations)
    for number in reversed(range(len(operations))):
        operation = operations[number]
        if not aside or not isinstance(operation, ops.AlterAttribute):
            continue
        tables, origins = ops.trace(before, operations[:number])
        old = origins.attributes.get(operation.table, {}).get(operation.before.name, "")
        if (origins.tables.get(operation.table), old) in aside:
            table, name, after = tables[operation.table], operation.before.name, operation.after
            names = [attribute.name for attribute in table.attributes]
            place = names.index(name)
            indexes = [index for index in table.indexes if name in index.columns]
            result[number : number + 1] = [
                *(ops.DropIndex(operation.table, index) for index in indexes),
                ops.DropAttribute(operation.table, name),
                ops.AddAttribute(
                    operation.table, after, names[place - 1] if place else None, stand_ins.fill(table, name, after)
                ),
                *(ops.AddIndex(operation.table, index) for index in indexes),
            ]
    return result
