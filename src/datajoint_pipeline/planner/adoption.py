"""Find the version of tables that were there before this project, and plan what brings them to it.

Reads only, but for snapshots that are missing on disk. Knows no command line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from packaging.version import Version

from .. import journal
from ..dialects import constraints, elsewhere
from ..diff.changes import difference
from ..diff.questions import Answers
from ..errors import ExitCode, PipelineError
from ..history import asked, baselines, chain, migration_files
from ..history.migration_files import Migration
from ..internals import old_objects
from ..operations import structure as ops
from ..schema import notation
from ..schema.model import Schema, Table, TableName
from . import drift, plan
from .deployment import Deployment
from .plan import Group

#: How many databases a refusal names.
_NAMED = 5

#: How many differences of a schema it names.
_SHOWN = 3

#: What the names of databases begin with that no lab has from before.
_OWN = ("dev_", "test_")


def survey(deployment: Deployment, chosen: Iterable[str] = ()) -> list[Group]:
    """Plan what `adopt --types` would do to tables; write nothing but snapshots that are missing."""
    target = deployment.target
    baselines.write(target.files, target.code_tables())
    deployment.histories = migration_files.read(target.files)
    names = [name for name in adoptable(deployment, chosen, again=False) if version_of(deployment, name) is None]
    planned = group(deployment, names) if names else None
    return [planned] if planned is not None else []


def adoptable(deployment: Deployment, chosen: Iterable[str], again: bool) -> list[str]:
    """Give the schemas that have tables and no record, or with ``again`` all that have tables.

    Raises
    ------
    PipelineError
        If one of them is a draft.
    """
    chosen = list(chosen)
    asked.refuse_schemas(chosen, deployment.histories)
    names = [name for name in deployment.histories if name in deployment.shapes and (not chosen or name in chosen)]
    names = [n for n in names if deployment.shapes[n].tables and (again or n not in deployment.records)]
    for name in names:
        refuse_draft(deployment, name)
    return names


def refuse_draft(deployment: Deployment, schema: str) -> None:
    """Refuse a schema that is a draft: it has first to end."""
    record = deployment.records.get(schema)
    if record is not None and record.kind == journal.DRAFT:
        raise PipelineError(
            f"{deployment.databases[schema]} is a draft after {schema} {record.version}.",
            "Its tables belong to no version.",
            f"Run {deployment.target.command} migrate {schema} --to {record.version}, which ends the draft.",
            exit_code=ExitCode.PENDING,
        )


def version_of(deployment: Deployment, name: str) -> str | None:
    """Give the newest version whose shape a schema has; None where it has that of no version."""
    shape, shapes = drift.visible(deployment.shapes[name]), chain.shapes(deployment.histories, name)
    for version in sorted(shapes, key=Version, reverse=True):
        if not _remaining({t.name: t for t in shape}, {t.name: t for t in shapes[version]}):
            return version
    return None


def _remaining(found: Mapping[TableName, Table], expected: Mapping[TableName, Table]) -> list[ops.Operation]:
    """Give the operations that are left to do where nothing was renamed."""
    return difference(found, expected, Answers(drops=frozenset((name, None) for name in found))).operations


def refuse_elsewhere(deployment: Deployment, chosen: Iterable[str]) -> None:
    """Refuse to adopt where no schema is there or has a record, and other databases have the tables.

    Raises
    ------
    PipelineError
        If so; it names the databases.
    """
    chosen = list(chosen)
    wanted = [name for name in deployment.histories if not chosen or name in chosen]
    if deployment.records or any(_is_there(deployment, name) for name in wanted):
        return
    if found := _elsewhere(deployment, wanted):
        raise PipelineError(
            f"There are no tables in {', '.join(deployment.databases[name] for name in wanted)}.",
            _places(found),
            _called_as(deployment, found),
            exit_code=ExitCode.PENDING,
        )


def _is_there(deployment: Deployment, name: str) -> bool:
    return name in deployment.shapes and bool(deployment.shapes[name].tables)


def _elsewhere(deployment: Deployment, wanted: Iterable[str]) -> dict[str, list[str]]:
    """Find the databases that have the tables of some schemas, by schema."""
    latest = {name: history.latest for name in wanted if (history := deployment.histories[name]).latest is not None}
    tables = {name: {t.name.table for t in shot.shape} for name, shot in latest.items() if shot is not None}
    found = elsewhere.databases_with(deployment.connection, tables)
    return {name: kept for name, where in found.items() if (kept := [d for d in where if not d.startswith(_OWN)])}


def _places(found: Mapping[str, list[str]]) -> str:
    return " ".join(f"Those of {name} are in {', '.join(where[:_NAMED])}." for name, where in found.items())


def _called_as(deployment: Deployment, found: Mapping[str, list[str]]) -> str:
    """Say how the code gets to the databases that :func:`_elsewhere` found."""
    target = deployment.target
    ends = [
        {database.removesuffix(name) for database in where if database.endswith(name)} for name, where in found.items()
    ]
    common = set.intersection(*ends)
    if target.prefix.removeprefix("dev_") in common and target.environment != "prod":
        return f"The lab's databases are those of prod: run {target.program} --env prod adopt."
    if common:
        prefix, command = sorted(common)[0], f"{target.program} --env prod adopt"
        return f'Say prefix="{prefix}" in the package\'s __init__.py, then {command}.'
    return "Call the schema modules and the prefix in the package's __init__.py as the databases are called."


def _of_wrong_prefix(deployment: Deployment, error: PipelineError) -> PipelineError:
    """Say before anything else of a refusal that schemas which are not there have their tables in other databases.

    Some schemas may be there all the same, by a name of their own, and differ in what they refer to.
    """
    absent = [n for n in deployment.histories if n not in deployment.records and not _is_there(deployment, n)]
    if not absent or not (found := _elsewhere(deployment, absent)):
        return error
    (name, where), more = next(iter(found.items())), len(found) - 1
    others = f", and so for {more} more" if more else ""
    return PipelineError(
        f"There is no {deployment.databases[name]}, but a {where[0]}{others}: is the prefix right?",
        f"{_places(found)} {error.what}",
        _called_as(deployment, found),
        exit_code=error.exit_code,
    )


def refusal(deployment: Deployment, names: list[str], *, only_types: bool = False) -> PipelineError:
    """Give the error for schemas with the shapes of no version; ``only_types`` where only types and comments differ."""
    described = {name: _described(deployment, name, only_types=only_types) for name in names}
    first = "Change the code to what the database has."
    do = "Then adopt, and change it by a migration (diff shows the rest)."
    if only_types:
        command = f"{deployment.target.command} adopt --types"
        first = "Only types and comments differ; adopt --types changes them to those of the code."
        do = f"{command} --dry-run shows how, rows and all."
    elif any(old_objects.kind_of(a.type) for name in names for t in deployment.shapes[name] for a in t.attributes):
        do = "What DataJoint 0.14 had as blob@store is <blob@store> in the code, and so are attach and filepath. " + do
    one = len(names) == 1
    error = PipelineError(
        f"{', '.join(deployment.databases[name] for name in names)} "
        + (f"matches no version of {names[0]}. " if one else "match no versions of theirs. ")
        + first,
        "What differs:" + "".join(f"\n    {name}: {text}" for name, text in described.items()),
        do,
        exit_code=ExitCode.DRIFT,
    )
    return _of_wrong_prefix(deployment, error)


def _described(deployment: Deployment, name: str, *, only_types: bool) -> str:
    """Say in what a schema differs from its newest snapshot."""
    latest, shape = deployment.histories[name].latest, drift.visible(deployment.shapes[name])
    texts = drift.describe(latest.shape, shape) if latest else []
    if latest and not only_types:
        # What differs in more than types comes first: types alone would not stand in the way.
        found = {table.name: table for table in shape}
        of_types = [op for op in _remaining(found, {t.name: t for t in latest.shape}) if _changes_only_types(op)]
        retyped = sorted(ops.apply(of_types, found).values(), key=lambda table: table.name.table)
        first = drift.describe(latest.shape, Schema(name, tuple(retyped)))
        texts = [*first, *(text for text in texts if text not in first)]
    more = f" And {len(texts) - _SHOWN} more." if len(texts) > _SHOWN else ""
    return " ".join(texts[:_SHOWN]) + more or "There is no snapshot to compare it with."


# --- Types -----------------------------------------------------------------------------------------------------------


def group(deployment: Deployment, names: list[str]) -> Group:
    """Plan the steps that bring the tables of some schemas to their newest snapshots.

    Types and comments may be all that differs: what DataJoint 0.14 made has no types in its comments, and numbers
    without sign.

    Parameters
    ----------
    deployment : Deployment
        Where.
    names : list of str
        The schemas.

    Raises
    ------
    PipelineError
        If more differs.
    """
    planned, others = _retyping(deployment, names)
    if planned is None:
        raise refusal(deployment, others)
    plan.add_steps(deployment, planned, planned.instead or [], constraints.names(deployment.catalogue), frozenset())
    return planned


def only_types_differ(deployment: Deployment, names: list[str]) -> bool:
    """Tell whether some schemas differ from their newest snapshots in types and comments alone."""
    return _retyping(deployment, names)[0] is not None


def _retyping(deployment: Deployment, names: list[str]) -> tuple[Group | None, list[str]]:
    """Give a group without steps; or None, and the schemas that differ in more than types."""
    latest = {name: history.latest for name in names if (history := deployment.histories[name]).latest is not None}
    before = deployment.tables
    after = {n: t for n, t in before.items() if n.schema not in latest}
    after |= {table.name: table for snapshot in latest.values() if snapshot for table in snapshot.shape}
    operations = _remaining(before, after)
    others = {op.table.schema for op in operations if not _changes_only_types(op)} | {*names} - {*latest}
    if others:
        return None, sorted(others)
    markers = [
        Migration(name, snapshot.version, None, migration_files.TYPES) for name, snapshot in latest.items() if snapshot
    ]
    return Group(markers, before, instead=operations), []


def _changes_only_types(operation: ops.Operation) -> bool:
    """Tell whether an operation changes no more than a type or a comment."""
    if isinstance(operation, ops.ChangeComment):
        return True
    if isinstance(operation, ops.DropForeignKey):
        return operation.key.parent.table.startswith(old_objects.LIST)
    if not isinstance(operation, ops.AlterAttribute):
        return False
    was, will = operation.before, operation.after
    if old_objects.kind_of(was.type) is not None and not old_objects.converts(was.type, will.type):
        return False
    default = None if was.default is None else notation.normal_default(will.type, was.default)
    return (was.name, was.nullable, default) == (will.name, will.nullable, will.default)
