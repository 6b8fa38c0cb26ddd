"""Adds an index or a foreign key while others go on working, where a line of a migration asks for it."""

from __future__ import annotations

from ..dialects.base import Dialect
from ..dialects.steps import Step
from ..operations.structure import AddForeignKey, AddIndex
from ..schema.model import Table


def steps(dialect: Dialect, table: Table, operation: AddIndex | AddForeignKey) -> list[Step]:
    """Give the steps of an operation.

    Parameters
    ----------
    dialect : Dialect
        The server's.
    table : Table
        As it is at that point.
    operation : AddIndex or AddForeignKey
        What is to be added.

    Raises
    ------
    PipelineError
        If the server cannot add it while others write.
    """
    if isinstance(operation, AddIndex):
        return dialect.add_index_online(table, operation.index)
    return dialect.add_foreign_key_online(table, operation.key)
