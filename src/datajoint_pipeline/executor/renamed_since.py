"""Tell whether what a backup has values of is still called so, or another attribute has its name by now."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from packaging.version import Version

from ..history import chain
from ..history.migration_files import Migration
from ..operations import structure as ops
from ..planner.deployment import Deployment
from ..schema.model import TableName
from .archive import Archive, Part


def taken_names(deployment: Deployment, file: Archive, part: Part) -> list[str]:
    """Give the columns of a part whose names in its table are those of others by now.

    Between the versions of the file and those of the database lie migrations that were applied since, or that a
    rollback has taken back. What a `purge` deleted has names of its own (:mod:`made_anew`).
    """
    if file.manifest.kind == "purge":
        return []
    versions = {
        name: Version(about["version"]) for name, about in file.manifest.schemas.items() if about.get("version")
    }
    if part.schema not in versions:
        return []

    def later(migration: Migration) -> bool:
        return migration.schema not in versions or Version(migration.version) > versions[migration.schema]

    def since(migration: Migration) -> bool:
        return _is_applied(deployment, migration) and later(migration)

    def back(migration: Migration) -> bool:
        return not _is_applied(deployment, migration) and not later(migration)

    table, columns = TableName(part.schema, part.table), [column.name for column in part.columns]
    taken = dict[str, None]()
    for lies_between in (since, back):
        taken |= dict.fromkeys(_others(deployment, lies_between, table, columns))
    return [*taken]


def _is_applied(deployment: Deployment, migration: Migration) -> bool:
    had = deployment.applied.get(migration.schema)
    return had is not None and had.includes(migration)


def _others(
    deployment: Deployment, lies_between: Callable[[Migration], bool], table: TableName, columns: list[str]
) -> Iterator[str]:
    """Follow columns through some migrations, and give those that another one has the name of in the end."""
    name, called, begun = table, dict[str, str | None](zip(columns, columns, strict=True)), False
    for migration, before, after in chain.replay(deployment.histories, list(deployment.histories)):
        begun = begun or (migration.schema == table.schema and lies_between(migration))
        if not begun or not lies_between(migration) or name not in before:
            continue
        _, origins = ops.trace(before, migration.operations(before))
        tables = {was: now for now, was in origins.tables.items()}
        if name not in tables:  # dropped, and what is called so is new
            yield from columns if table in after else ()
            return
        name = tables[name]
        names = {was: now for now, was in origins.attributes.get(name, {}).items()}
        called = {column: None if was is None else names.get(was) for column, was in called.items()}
    there = deployment.tables.get(table)
    if there is not None:
        yield from (c for c, now in called.items() if c in there.attribute and (now != c or name != table))
