"""Every operation that changes the tables, under one name; and what is done with several of them in order.

Applied in order to the tables of one snapshot, the operations of a migration give those of the next.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..schema.model import Table, TableName
from .attributes import AddAttribute, AlterAttribute, DropAttribute, OrderAttributes, RenameAttribute
from .base import Operation, sorted_keys
from .keys import AddForeignKey, AddIndex, ChangePrimaryKey, DropForeignKey, DropIndex, Online
from .origins import Origins
from .state import SOFT_DELETED_ATTRIBUTE, Tables
from .tables import ChangeComment, CreateTable, DropTable, RenameTable

__all__ = [
    "SOFT_DELETED_ATTRIBUTE",
    "AddAttribute",
    "AddForeignKey",
    "AddIndex",
    "AlterAttribute",
    "ChangeComment",
    "ChangePrimaryKey",
    "CreateTable",
    "DropAttribute",
    "DropForeignKey",
    "DropIndex",
    "DropTable",
    "Online",
    "Operation",
    "OrderAttributes",
    "RenameAttribute",
    "RenameTable",
    "Tables",
    "apply",
    "inverse",
    "sorted_keys",
    "trace",
]


def apply(operations: Iterable[Operation], tables: Tables) -> dict[TableName, Table]:
    """Give the tables after all operations, applied in order."""
    after = dict(tables)
    for operation in operations:
        after = operation.apply(after)
    return after


def inverse(operations: Iterable[Operation], tables: Tables) -> list[Operation]:
    """Give the operations that undo these, given the tables before the first."""
    back: list[Operation] = []
    for operation in operations:
        back.insert(0, operation.inverse(tables))
        tables = operation.apply(tables)
    return back


def trace(before: Tables, operations: Iterable[Operation]) -> tuple[dict[TableName, Table], Origins]:
    """Apply the operations and follow every table and attribute through them.

    Returns
    -------
    tables : dict
        The tables afterwards.
    origins : Origins
        Where they come from.
    """
    tables = dict(before)
    origins = Origins({name: name for name in before}, {n: {a: a for a in t.attribute} for n, t in before.items()})
    for operation in operations:
        after = operation.apply(tables)
        operation.follow(origins, tables)
        origins.forget(tables, after)
        tables = after
    return tables, origins
