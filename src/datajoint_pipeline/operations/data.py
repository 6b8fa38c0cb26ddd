"""Operations that change rows and not the tables; and :class:`Online`, which changes a table while others use it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..errors import PipelineError
from ..schema.model import Table, TableName
from ..schema.values import Sql
from .structure import AddForeignKey, AddIndex, Operation, Tables

#: What a row may have: null, or what a definition could write as a default; lists and dictionaries are for ``<blob>``.
Value = str | int | float | bool | None | list[Any] | dict[str, Any]


@dataclass(frozen=True)
class InsertRows(Operation):
    """Give a table rows, those whose primary key it does not have yet."""

    rows: tuple[tuple[tuple[str, Value], ...], ...]

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        for row in self.rows:
            names = [name for name, _ in row]
            unknown = [name for name in names if name not in table.attribute]
            lacking = [name for name in table.primary_key if name not in names]
            if unknown or lacking:
                raise self.refusal(f"it has no attribute {unknown[0]}" if unknown else f"a row has no {lacking[0]}")
        return dict(tables)

    def inverse(self, tables: Tables) -> Operation:
        return InsertRows(self.table, ())


@dataclass(frozen=True)
class RebuildTable(Operation):
    """Compute attributes of a table anew, by an expression over the row each."""

    values: tuple[tuple[str, Sql], ...]

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        unknown = [name for name, _ in self.values if name not in self.found(tables).attribute]
        if unknown:
            raise self.refusal(f"it has no attribute {unknown[0]}")
        return dict(tables)

    def inverse(self, tables: Tables) -> Operation:
        raise _no_way_back(f"The values of {self.table} were computed anew.")


@dataclass(frozen=True)
class RunSQL(Operation):
    """Run statements of the lab's own; ``check`` is a query that gives a true value once that is done."""

    sql: Sql
    check: Sql | None
    words: str
    back: Sql | None = None

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        return dict(tables)

    def inverse(self, tables: Tables) -> Operation:
        if self.back is None:
            raise _no_way_back(f"{self.words} has no statements that lead back.")
        return RunSQL(self.table, self.back, None, f"undo: {self.words}", self.sql)


@dataclass(frozen=True)
class RunPython(Operation):
    """Run Python of the lab's own in batches, until ``check`` says that it is done."""

    words: str
    check: Callable[..., bool] = field(compare=False)
    run: Callable[..., bool] = field(compare=False)

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        return dict(tables)

    def inverse(self, tables: Tables) -> Operation:
        raise _no_way_back(f"{self.words} was done in Python.")


@dataclass(frozen=True)
class Online(Operation):
    """Add an index or a foreign key while others go on reading and writing the table."""

    operation: AddIndex | AddForeignKey

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        return self.operation.apply(tables)

    def inverse(self, tables: Tables) -> Operation:
        return self.operation.inverse(tables)


def _no_way_back(why: str) -> PipelineError:
    return PipelineError("There is no way back.", why, "Write a migration that leads where you want to be.")
