"""Plan the way back to an earlier version: what was dropped comes back, what was added is soft-deleted."""

from __future__ import annotations

from packaging.version import Version

from ..dialects import constraints
from ..errors import ExitCode, PipelineError
from ..history import asked, chain
from ..history.migration_files import Migration
from ..operations import structure as ops
from . import plan
from .deployment import Deployment
from .plan import Group


def undone(deployment: Deployment, schema: str, to: str) -> list[Migration]:
    """Give the migrations to undo.

    Raises
    ------
    PipelineError
        If there is no such version, or another schema requires what would go.
    """
    asked.refuse_schemas([schema], deployment.histories)
    history, record = deployment.histories[schema], deployment.records.get(schema)
    if record is None:
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
            "How to take it back stands in the migration that led there.",
            f"Use the code that has it (git checkout {commit[:10]}), and run rollback there."
            if commit
            else "Use the code that has it, and run rollback there.",
            exit_code=ExitCode.CONFLICT,
        )
    had = deployment.applied[schema]
    had.refuse_foreign()
    if Version(to) > Version(had.version):
        raise PipelineError(
            f"{schema} {to} is not behind it: the database has {had.version}.",
            "rollback goes back only.",
            f"To go there, say {deployment.target.command} migrate {schema} --to {to}.",
        )
    found = [r for r in history.migrations if Version(to) < Version(r.version) and had.includes(r)]
    gone = {r.version for r in found}
    for other in deployment.histories.values():
        theirs = deployment.applied.get(other.schema)
        for migration in other.migrations:
            applied = theirs is not None and theirs.includes(migration)
            if applied and other.schema != schema and migration.requires.get(schema) in gone:
                raise PipelineError(
                    f"{schema} cannot go back to {to} alone.",
                    f"{migration.title} requires {schema} {migration.requires[schema]}.",
                    f"First say rollback {other.schema} --to {migration.follows}.",
                )
    return found


def group(deployment: Deployment, schema: str, to: str, migrations: list[Migration]) -> Group:
    """Plan the steps that undo migrations.

    Raises
    ------
    PipelineError
        If an operation has no inverse.
    """
    inverse: list[ops.Operation] = []
    for migration, before, _ in chain.replay(deployment.histories, list(deployment.histories)):
        if migration in migrations:
            inverse = [*ops.inverse(migration.operations(before), before), *inverse]
    planned = Group([Migration(schema, to, migrations[-1].version, f"back_to_{to}")], deployment.tables)
    planned.inputs.undone = tuple(deployment.applied[schema].recorded(migrations))
    names = constraints.names(deployment.catalogue)
    plan.add_steps(deployment, planned, inverse, names, frozenset(), revive=True)
    return planned
