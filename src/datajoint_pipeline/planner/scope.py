"""Find the tables that a change involves: all others are left out when it is planned."""

from __future__ import annotations

from ..operations import structure as ops
from ..operations.structure import Tables
from ..schema.model import Table, TableName


def of(before: Tables, after: Tables, operations: list[ops.Operation]) -> set[TableName]:
    """Find the tables that a change involves, by their names before and after.

    Those are the tables that differ or that operations name, those that refer to them, all below where a key differs,
    and above these whatever they have their attributes from.
    """
    found = {name for name, table in after.items() if before.get(name) is not table and before.get(name) != table}
    found |= before.keys() - after.keys()
    keys = {name for name in found if _referable(before.get(name)) != _referable(after.get(name))}
    found |= {operation.table for operation in operations}
    found |= {fill.of[0] for operation in operations if (fill := getattr(operation, "fill", None)) and fill.of}
    while below := _below(before, keys) - keys:
        keys |= below
    found |= keys | _below(before, found)
    for _ in range(2):  # what is put into a parent needs all attributes of that parent
        found |= _above((before, after), found)
    while above := _above((before, after), found, keys_alone=True) - found:
        found |= above
    return found


def _below(tables: Tables, names: set[TableName]) -> set[TableName]:
    """Give the tables that refer to some."""
    return {table.name for table in tables.values() for key in table.foreign_keys if key.parent in names}


def _above(states: tuple[Tables, ...], names: set[TableName], *, keys_alone: bool = False) -> set[TableName]:
    """Give the tables that some refer to; with ``keys_alone`` only by attributes of their primary keys."""
    return {
        key.parent
        for tables in states
        for table in (tables[name] for name in names if name in tables)
        for key in table.foreign_keys
        if not keys_alone or not set(table.primary_key).isdisjoint(key.attributes)
    }


def _referable(table: Table | None) -> object:
    """Give what tables that refer to a table have from it."""
    if table is None:
        return None
    keys = [key for key in table.foreign_keys if not set(table.primary_key).isdisjoint(key.attributes)]
    return table.primary_key, [table.attribute[name] for name in table.primary_key], keys
