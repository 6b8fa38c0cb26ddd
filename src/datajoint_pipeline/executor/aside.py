"""Find the values that a rollback may set aside, since a backup has them as they were before they were cut.

Without that, `rollback` could not give such values their old type again, and `restore` needs the old type first.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

from packaging.version import Version

from ..errors import PipelineError
from ..planner.deployment import Deployment
from ..planner.plan import Group
from ..quoting import quoter
from ..schema import compatibility
from ..schema.model import TableName, decode
from . import archive, backup, stepping
from .archive import Archive, ArchivedColumn, Part, Value

#: What a rollback may set aside: a table and an attribute, and the file that has the values.
Kept = dict[tuple[TableName, str], Path]


def kept(deployment: Deployment, group: Group, to: str) -> Kept:
    """Find which attributes a group would lose values of that a backup has, row by row.

    Parameters
    ----------
    deployment : Deployment
        Where.
    group : Group
        The rollback, counted.
    to : str
        The version that it leads to.
    """
    wanted = {
        (violation.table, attribute)
        for violation in group.violations
        if violation.loses
        for attribute in violation.attributes
        if _stands_alone(group, violation.table, attribute)
    }
    found: Kept = {}
    for path in sorted(deployment.target.backups.glob("*.zip"), reverse=True) if wanted else ():
        try:
            with archive.reading(path) as file:
                for name, column, part in _matching(deployment, group, file, to):
                    one = name, column.name
                    if one in wanted and one not in found and _has_all(deployment, file, part, column):
                        found[one] = path
        except PipelineError:
            continue  # which is no backup, or damaged
    return found


def _stands_alone(group: Group, name: TableName, attribute: str) -> bool:
    """Tell whether an attribute has its name before and after, and is in no key and no index."""
    tables = [state.get(name) for state in (group.before, group.after)]
    return all(
        table is not None
        and attribute in table.attribute
        and attribute not in table.primary_key
        and not any(attribute in key.attributes for key in table.foreign_keys)
        and not any(attribute in index.columns for index in table.indexes)
        for table in tables
    )


def _matching(
    deployment: Deployment, group: Group, file: Archive, to: str
) -> Iterator[tuple[TableName, ArchivedColumn, Part]]:
    """Give the columns of a file that were cut by what the group undoes, and had the type that they get again."""
    manifest, target = file.manifest, deployment.target
    same = manifest.package == target.name and manifest.environment == target.environment
    if not same or manifest.backend != deployment.connection.adapter.backend or manifest.kind != "migrate":
        return
    for part in manifest.parts:
        name, (was,) = TableName(part.schema, part.table), decode(part.model)
        version = manifest.schemas.get(part.schema, {}).get("version", "")
        if part.schema not in group.schemas or name not in group.after or not version or Version(version) < Version(to):
            continue
        for column in part.lost:
            will = group.after[name].attribute.get(column.name)
            if column.becomes and will is not None and was.attribute[column.name].type == will.type:
                yield name, column, part


def _has_all(deployment: Deployment, file: Archive, part: Part, column: ArchivedColumn) -> bool:
    """Tell whether each value of a column is what the cut left of the one that a file has for its row."""
    connection, quote = deployment.connection, quoter(deployment.connection)
    full = deployment.full(TableName(part.schema, part.table))
    there = {c.name: c for c in deployment.catalogue.tables[deployment.databases[part.schema], part.table].columns}
    keys = [n for n, c in enumerate(part.columns) if c.key]
    place = part.columns.index(column)
    had = {tuple(row[n] for n in keys): row[place] for row in file.rows(part)}
    stored = there[column.name].stored
    current = ArchivedColumn(column.name, stored, False, "hex" if backup.is_bytes(stored) else "text", True)
    listed = ", ".join(backup.read_as(connection, c) for c in (*(part.columns[n] for n in keys), current))
    with stepping.transaction(connection):
        for *key, value in backup.stream(
            connection, f"SELECT {listed} FROM {full} WHERE {quote(column.name)} IS NOT NULL"
        ):
            if not compatibility.left_of(value, _text(had.get(tuple(key)), column), column.becomes):
                return False
    return True


def _text(value: Value, column: ArchivedColumn) -> Value:
    """Give a value of a file as it was before it was cut for a text."""
    return str(uuid.UUID(bytes=value)) if isinstance(value, bytes) and column.type == "binary(16)" else value


def advice(found: Kept, command: str, group: Group) -> str:
    """Say what was set aside, and how the values come back."""
    names = ", ".join(f"{table}.{attribute}" for table, attribute in sorted(found))
    required = any(not group.after[table].attribute[attribute].nullable for table, attribute in found)
    paths = dict.fromkeys(path.name for path in found.values())
    restore = " and ".join(f"{command} restore {path}{' --overwrite' * required}" for path in paths)
    return f"What was left of {names} is soft-deleted; the values come back with {restore}."
