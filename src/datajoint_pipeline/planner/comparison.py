"""Compare the code with the snapshots, and the database with them, in sentences; what `diff` shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..dialects import catalog
from ..diff import changes
from ..history import bumps, migration_files
from ..history.files import Files
from ..operations import structure as ops
from ..quoting import quoter
from ..schema import definition
from ..schema.model import Schema, Table, TableName
from . import drift
from .status import SchemaStatus, State
from .target import Target

if TYPE_CHECKING:
    import datajoint as dj


@dataclass(frozen=True)
class Comparison:
    """Tell what differs of one schema.

    Parameters
    ----------
    name : str
        The schema.
    version : str
        Of its snapshot.
    proposed : str
        The version that `revise` would give it; the same where nothing changed.
    code : tuple of str
        What the code has changed since the snapshot.
    questions : tuple of str
        What only a person can answer about that.
    database : tuple of str
        How the database differs from the snapshot.
    rows : dict
        How many rows each table that changes has, by its class.
    """

    name: str
    version: str
    proposed: str
    code: tuple[str, ...]
    questions: tuple[str, ...]
    database: tuple[str, ...]
    rows: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def unrevised(files: Files, code: Mapping[TableName, Table]) -> list[str]:
    """Name the schemas whose code differs from their snapshots."""
    return [one.name for one in compare(files, code, None) if one.code or one.questions]


def compare(
    files: Files, code: Mapping[TableName, Table], target: Target | None, schemas: Iterable[str] = ()
) -> list[Comparison]:
    """Compare code, snapshot and database of some schemas, or of all.

    Parameters
    ----------
    files : Files
        The snapshots.
    code : mapping of TableName to Table
        Every table of the code, by its name there.
    target : Target or None
        The database; without one, code and snapshot are compared.
    schemas : iterable of str
        The schemas; all where there is none.
    """
    connection = target.connection if target is not None else None
    histories = migration_files.read(files)
    snapshots = migration_files.tables_of(history.latest for history in histories.values())
    recorded = [name for name, history in histories.items() if history.latest is not None]
    before = {name: table for name, table in snapshots.items() if name.schema in recorded}
    found = changes.difference(before, {n: t for n, t in code.items() if n.schema in recorded})
    databases = {name: target.database(name) for name in histories} if target is not None else {}
    shapes = catalog.read(connection, databases) if target is not None else {}
    statuses = {s.name: s for s in drift.read(target)} if target is not None else {}
    results = []
    for name, history in histories.items():
        if schemas and name not in schemas:
            continue
        latest = history.latest
        if latest is None:
            there = connection is None or name in shapes
            texts = (f"It has no snapshot yet; {'revise' if there else 'init makes its tables, and'} writes it.",)
            results.append(Comparison(name, files.versions[name], files.versions[name], (), (), texts, {}))
            continue
        operations = [op for op in found.operations if name in (op.table.schema, _new_schema(op))]
        kinds = [op.bump() for op in operations]
        proposed = bumps.raised(latest.version, bumps.worst(kinds)) if kinds else latest.version
        differences = _of_database(latest.shape, statuses.get(name), shapes.get(name))
        if name not in shapes and connection is not None:
            differences.append("It is not there.")
        if latest.version != files.versions.get(name, latest.version):
            differences.insert(0, f"version.py says {files.versions[name]}, the snapshot {latest.version}.")
        results.append(
            Comparison(
                name,
                latest.version,
                proposed,
                tuple(op.describe() for op in operations),
                tuple(q.words(definition.title) for q in found.questions if q.table.schema == name),
                tuple(differences),
                _count_rows(connection, databases[name], operations, shapes.get(name))
                if connection is not None
                else {},
            )
        )
    return results


def _of_database(latest: Schema, found: SchemaStatus | None, shape: Schema | None) -> list[str]:
    """Say how the database differs from the snapshot; what is only pending is not for anybody to put right."""
    if shape is None:
        return []
    if found is not None and found.state in (State.BEHIND, State.DRIFTED) and not found.draft:
        versions = ", ".join(found.pending)
        verb = "are" if len(found.pending) > 1 else "is"
        pending = f"The database has {found.database_version}; {versions} {verb} pending. Run migrate."
        return [*found.drift, *([pending] if found.pending else [])]
    if found is not None and found.state is State.INTERRUPTED:
        what = f"It is in the middle of a change that {found.run} began; tables may have other names."
        return [f"{what} Run {found.way_on}."]
    draft = ["It is a draft; migrate makes it what the snapshot says."] if found is not None and found.draft else []
    return draft + drift.describe(latest, drift.visible(shape))


def _new_schema(operation: ops.Operation) -> str:
    """Give the schema that a table moves to, where it does."""
    return operation.to.schema if isinstance(operation, ops.RenameTable) else ""


def _count_rows(
    connection: dj.Connection, database: str, operations: list[ops.Operation], shape: Schema | None
) -> dict[str, int]:
    quote, rows = quoter(connection), dict[str, int]()
    for name in dict.fromkeys(op.table for op in operations):
        if shape is not None and name.table in shape.table:
            full = f"{quote(database)}.{quote(name.table)}"
            rows[definition.title(name)] = int(connection.query(f"SELECT COUNT(*) FROM {full}").fetchone()[0])
    return rows
