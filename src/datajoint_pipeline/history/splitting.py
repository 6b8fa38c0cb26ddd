"""Splits the operations of a whole pipeline into one migration a schema.

A file is read after those of the schemas above it, so what it says of a table of another schema must be true at that
point, though the operation was found in an order of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..diff import changes
from ..operations import structure as ops
from ..operations.structure import Tables
from ..schema.model import ForeignKey, Schema, TableName
from . import bumps, chain
from .migration_files import History, Migration
from .writing import NewMigration


def split(
    histories: Mapping[str, History], before: Tables, found: changes.Changes, bump: str | None = None
) -> list[NewMigration]:
    """Split changes into one migration for each schema, in the order in which they apply.

    Parameters
    ----------
    histories : mapping
        What is on disk, by schema.
    before : mapping of TableName to Table
        The newest snapshots.
    found : Changes
        What changed since.
    bump : str, optional
        How far versions rise; otherwise proposed from what changes.
    """
    reached = ops.apply(found.operations, before)
    order = list(histories)
    homes: dict[TableName, str] = {}
    result: dict[str, NewMigration] = {}
    kinds: dict[str, set[str]] = {}
    tables: Tables = before
    renames: list[tuple[str, ops.Operation, dict[TableName, TableName]]] = []
    for operation in found.operations:
        # What is done to a table that moves stands in one file, that of the schema it leaves.
        home = homes.get(operation.table, operation.table.schema)
        names: dict[TableName, TableName] = {}
        if isinstance(operation, ops.RenameTable):
            names = operation.names(tables)
            homes |= dict.fromkeys(names.values(), home)
            kinds.setdefault(operation.to.schema, set()).add(bumps.MAJOR)
        if isinstance(operation, (ops.RenameTable, ops.RenameAttribute)):
            renames.append((home, operation, names))
        tables = operation.apply(tables)
        kinds.setdefault(home, set()).add(operation.bump())
        result.setdefault(home, NewMigration(home, "", "")).operations.append(operation)
    for name in order:
        if name in kinds or Schema.of(name, before) != Schema.of(name, reached):
            result.setdefault(name, NewMigration(name, "", ""))
    for name, new in result.items():
        latest = histories[name].latest
        assert latest is not None
        new.previous = latest.version
        new.version = bumps.raised(latest.version, bump or bumps.worst(kinds.get(name, {bumps.PATCH})))
    parents = _parents(before, reached)
    for name, new in result.items():
        new.requires = {above: result[above].version for above in sorted(parents.get(name, ())) if above in result}
        new.requires |= {
            parent: newest.version
            for parent in sorted({k.parent.schema for o in new.operations for k in _keys(o)} - set(result) - {name})
            if parent in histories and (newest := histories[parent].latest) is not None
        }
        # Where a table moves to has to be there.
        places = {o.to.schema for o in new.operations if isinstance(o, ops.RenameTable)} - {name, *new.requires}
        new.requires |= {place: there.version for place in places if (there := histories[place].latest) is not None}
    migrations = [Migration(d.schema, d.version, d.previous, "", requires=d.requires) for d in result.values()]
    have = {name: history.latest.version if history.latest else None for name, history in histories.items()}
    ordered = [result[migration.schema] for migration in chain.in_order(migrations, have, order)]
    for number, new in enumerate(ordered):
        later = {other.schema for other in ordered[number + 1 :]}
        pending = [(operation, names) for home, operation, names in renames if home in later]
        new.operations = [_as_of_then(operation, pending) for operation in new.operations]
    return ordered


Renames = list[tuple[ops.Operation, dict[TableName, TableName]]]


def _as_of_then(operation: ops.Operation, pending: Renames) -> ops.Operation:
    """Give an operation for the moment at which some renames of other schemas are still pending: its foreign keys lead
    to the old names.
    """

    def then(key: ForeignKey) -> ForeignKey:
        for rename, names in reversed(pending):
            if isinstance(rename, ops.RenameAttribute) and rename.table == key.parent:
                theirs = tuple(rename.old if name == rename.new else name for name in key.parent_attributes)
                key = replace(key, parent_attributes=theirs)
            old = {new: old for old, new in names.items()}
            key = replace(key, parent=old.get(key.parent, key.parent))
        return key

    match operation:
        case ops.CreateTable(definition=table) if pending:
            keys = tuple(then(key) for key in table.foreign_keys)
            return replace(operation, definition=replace(table, foreign_keys=ops.sorted_keys(keys)))
        case ops.AddForeignKey(key=key) | ops.DropForeignKey(key=key) if pending:
            return replace(operation, key=then(key))
    return operation


def _parents(*states: Tables) -> dict[str, set[str]]:
    """Give the schemas that each schema refers to in any of the states, as far as they lead in one direction."""
    found: dict[str, set[str]] = {}
    for state in reversed(states):
        for table in state.values():
            for key in table.foreign_keys:
                here, there = table.name.schema, key.parent.schema
                if here != there and here not in _above(found, there):
                    found.setdefault(here, set()).add(there)
    return found


def _above(found: Mapping[str, set[str]], schema: str) -> set[str]:
    reached, waiting = set[str](), [schema]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += found.get(name, ())
    return reached


def _keys(operation: ops.Operation) -> tuple[ForeignKey, ...]:
    match operation:
        case ops.CreateTable(definition=table):
            return table.foreign_keys
        case ops.AddForeignKey(key=key):
            return (key,)
    return ()
