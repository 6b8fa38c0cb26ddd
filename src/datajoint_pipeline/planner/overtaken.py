"""Find migrations that a database was to have before others that it has had, and that no longer fit behind these.

So it is where two branches were merged of which one renames what the other names, in a database that has had the one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from packaging.version import Version

from ..errors import ExitCode, PipelineError
from ..history.migration_files import Migration
from ..operations import structure as ops
from ..operations.structure import Tables
from .applied import Applied
from .target import Target


def unfit(
    target: Target, had: Mapping[str, Applied], tables: Tables, wanted: Iterable[Migration]
) -> tuple[str, PipelineError] | None:
    """Try the migrations that a database has not had on its tables, where some come before others that it has had.

    Parameters
    ----------
    target : Target
        Where.
    had : mapping
        What each schema has had.
    tables : mapping of TableName to Table
        The tables that are there.
    wanted : iterable of Migration
        What is to be applied, in order.

    Returns
    -------
    tuple of str and PipelineError, or None
        The schema of the first that does not fit and was overtaken, and what to do about it; None where there is none.
    """
    wanted = list(wanted)
    if not any(_overtaking(had, migration) for migration in wanted):
        return None
    for migration in wanted:
        try:
            tables = ops.apply(migration.operations(tables), tables)
        except PipelineError as error:
            name, later = migration.schema, _overtaking(had, migration)
            if not later:
                return None  # which it would not do in any order
            listed, first = ", ".join(f"{m.version}_{m.slug}" for m in later), f"{migration.version}_{migration.slug}"
            return name, PipelineError(
                f"{target.database(name)} already has {listed}, and the earlier {first} does not fit after that.",
                f"{error.what} {error.why}",
                f"Run {target.command} rollback {name} --to {had[name].version}, and then {target.command} migrate, "
                "which applies all of them in their order.",
                exit_code=ExitCode.CONFLICT,
            )
    return None


def _overtaking(had: Mapping[str, Applied], migration: Migration) -> list[Migration]:
    """Give the later migrations of the same schema that the database has had."""
    found = had.get(migration.schema)
    if found is None or migration.makes is not None or not migration.digest:
        return []
    version = Version(migration.version)
    return [one for one in found.history.migrations if found.includes(one) and Version(one.version) > version]
