"""Find the pending migrations: those that a database has not had."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from packaging.version import Version

from .. import journal
from ..dialects import may_see, owners
from ..errors import ExitCode, PipelineError
from ..history import asked, chain, migration_files
from ..history.migration_files import Migration
from ..operations.lines import RenameTable
from . import overtaken, status
from .deployment import Deployment

if TYPE_CHECKING:
    import datajoint as dj


def pending_migrations(deployment: Deployment, chosen: Iterable[str] = (), to: str | None = None) -> list[Migration]:
    """Give the migrations that the database still needs, in the order in which they can be applied.

    Parameters
    ----------
    deployment : Deployment
        Where.
    chosen : iterable of str
        Schemas; all where there is none. What they require comes along.
    to : str, optional
        The version to stop at, for one schema.

    Raises
    ------
    PipelineError
        If the files are not in order, or the database is not one that they lead on from.
    """
    _refuse_problems(deployment)
    pending = by_schema(deployment)
    for name in _receiving(pending):
        # Tables that move here are still elsewhere, so this schema is made as it was before they came.
        history = deployment.histories[name]
        first = replace(making(deployment, name, history.oldest), requires={})  # what it refers to may wait for it
        pending[name] = [first, *history.migrations]
    have = {name: deployment.applied[name].version if name in deployment.records else None for name in pending}
    names = list(chosen) or list(pending)
    asked.refuse_schemas(names, pending)
    if to is None:
        wanted = [migration for name in names for migration in pending[name]]
    else:
        wanted = _up_to(deployment, names, to, pending, have)
    if len(names) < len(pending):
        _add_required(wanted, pending, have)
    reached = {name: deployment.applied[name].newest if name in deployment.records else None for name in pending}
    ordered = chain.in_order(wanted, reached, list(pending))
    if any(record.kind == journal.DRAFT for record in deployment.records.values()):
        return ordered  # they are tried on what the files have, not on the tables of a draft
    if (found := overtaken.unfit(deployment.target, deployment.applied, deployment.tables, ordered)) is not None:
        raise found[1]
    return ordered


def _up_to(
    deployment: Deployment,
    names: list[str],
    to: str,
    pending: Mapping[str, list[Migration]],
    have: Mapping[str, str | None],
) -> list[Migration]:
    """Give the pending migrations of the one schema up to a version.

    Raises
    ------
    PipelineError
        If there is not one schema, it has no such version, or the database is beyond it.
    """
    asked.refuse(deployment.target.files, names, to)
    now = have[names[0]]
    if now is not None and Version(to) < Version(now):
        raise PipelineError(
            f"The database has {names[0]} {now} already.",
            f"{to} is before that.",
            f"Run rollback {names[0]} --to {to}.",
        )
    return [migration for migration in pending[names[0]] if Version(migration.version) <= Version(to)]


def _add_required(
    wanted: list[Migration], pending: Mapping[str, list[Migration]], have: Mapping[str, str | None]
) -> None:
    """Add what the wanted migrations require."""
    for migration in wanted:  # grows while it is walked
        for schema, version in migration.requires.items():
            now = have.get(schema)
            if now is None or Version(now) < Version(version):
                more = [r for r in pending.get(schema, ()) if Version(r.version) <= Version(version) or r.makes]
                wanted += [r for r in more if r not in wanted]


def _refuse_problems(deployment: Deployment) -> None:
    for name, history in deployment.histories.items():
        for id_, sentence, do in chain.problems(history, deployment.target.versions.get(name)):
            if id_ != "open-question":
                code = ExitCode.CONFLICT if id_ == "duplicate-version" else ExitCode.ERROR
                raise PipelineError(sentence, "Nothing was changed.", do, exit_code=code)


def by_schema(deployment: Deployment, schemas: Iterable[str] | None = None) -> dict[str, list[Migration]]:
    """Give the migrations that the database has not had, by schema; of all schemas, or of some."""
    names = list(deployment.histories) if schemas is None else list(schemas)
    return {name: _of_schema(deployment, name) for name in names}


def _of_schema(deployment: Deployment, name: str) -> list[Migration]:
    """Give the migrations that one schema has not had.

    Parameters
    ----------
    deployment : Deployment
        Where.
    name : str
        The schema.

    Raises
    ------
    PipelineError
        If its database has no readable record, is in the middle of a change, or was changed by other migrations.
    """
    history = deployment.histories[name]
    record, database = deployment.records.get(name), deployment.databases[name]
    if record is None:
        if name not in deployment.target.versions:
            return []
        refuse_unreadable(deployment, name)
        if database in deployment.surveys and deployment.surveys[database].tables:
            raise PipelineError(
                f"{database} holds tables and no record of a version.",
                "They were made by somebody else, or before this project recorded versions.",
                f"Run {deployment.target.command} adopt to record which version they are.",
                exit_code=ExitCode.PENDING,
            )
        if database not in deployment.surveys:
            versions = {other: record.version for other, record in deployment.records.items()}
            chain.refuse_orphans(deployment.histories, name, database, versions)
        return [making(deployment, name, history.latest)]
    if record.status != journal.DONE:
        raise status.unfinished(deployment.target, deployment.records, name, f"It was to become {record.version}.")
    newest = history.latest.version if history.latest else record.version
    if Version(record.version) > Version(newest):
        raise PipelineError(
            f"{database} has version {record.version}, the code only {newest}.",
            "The database was changed by newer code than this.",
            "Pull the newer code.",
            exit_code=ExitCode.CONFLICT,
        )
    had = deployment.applied[name]
    had.refuse_foreign()
    return [as_drafted(name, record.version), *had.left] if record.kind == journal.DRAFT else had.left


def refuse_unreadable(deployment: Deployment, name: str) -> None:
    """Refuse a schema whose record this account may not read, or that it has no right on and that may be there."""
    connection, database = deployment.connection, deployment.databases[name]
    seen = database in deployment.surveys
    if deployment.surveys[database].unreadable if seen else may_see.hidden(connection, [database]):
        raise unreadable(connection, database, seen=seen)


def unreadable(connection: dj.Connection, database: str, *, seen: bool) -> PipelineError:
    """Say that an account may not read the record of a schema, which it may not even see."""
    why = "The record is in a table of that schema that it has no rights on."
    return PipelineError(
        f"This account may not read which version {database} has.",
        why if seen else "It has no right on that schema, and cannot tell whether it is there.",
        owners.asking(connection, database),
    )


def as_drafted(schema: str, version: str) -> Migration:
    """Give a migration that stands for what leads from a version to a draft after it, and from the draft back."""
    return Migration(schema, version, version, journal.DRAFT)


def making(deployment: Deployment, name: str, snapshot: migration_files.Snapshot | None) -> Migration:
    """Give the making of a schema that is not there, as a snapshot has it."""
    assert snapshot is not None
    parents = {key.parent.schema for table in snapshot.shape for key in table.foreign_keys} - {name}
    requires = {
        parent: above.version for parent in sorted(parents) if (above := newest(deployment, parent)) is not None
    }
    return Migration(name, snapshot.version, None, "init", requires=requires, makes=snapshot.shape, digest="")


def _receiving(pending: Mapping[str, list[Migration]]) -> list[str]:
    """Give the schemas that are not there and that tables of others move to."""
    moved = {
        line.to.partition(".")[0]
        for migrations in pending.values()
        for migration in migrations
        for line in migration.lines
        if isinstance(line, RenameTable)
    }
    return [name for name in pending if name in moved and pending[name] and pending[name][0].makes is not None]


def newest(deployment: Deployment, schema: str) -> migration_files.Snapshot | None:
    """Give the newest snapshot of a schema; None where it has none."""
    history = deployment.histories.get(schema)
    return history.latest if history is not None else None
