"""Operations that change rows and not the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ..errors import PipelineError
from ..schema.model import Table, TableName
from ..schema.values import Sql, Value
from .base import MAJOR, PATCH, Operation
from .origins import Origins
from .rendering import call, string
from .state import LineContext, Tables


@dataclass(frozen=True)
class InsertRows(Operation):
    """Give a table rows, those whose primary key it does not have yet."""

    rows: tuple[tuple[tuple[str, Value], ...], ...]

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        table = self.found(tables)
        for row in self.rows:
            names = [name for name, _ in row]
            self.refuse_lacking(table, names)
            if lacking := [name for name in table.primary_key if name not in names]:
                raise self.refusal(f"a row has no {lacking[0]}")
        return dict(tables)

    def inverse(self, tables: Tables) -> Operation:
        return InsertRows(self.table, ())

    def describe(self) -> str:
        return f"{self.title}: + rows"

    def bump(self) -> str:
        return PATCH

    def render(self, context: LineContext, *, ask: bool = False) -> str:
        rows = "".join(f"\n        {dict(row)!r}," for row in self.rows)
        return call("InsertRows", [context.title(self.table)], [f"[{rows}\n    ]"])

    def follow(self, origins: Origins, tables: Tables) -> None:
        origins.rows.setdefault(self.table, []).extend(map(dict, self.rows))


@dataclass(frozen=True)
class RebuildTable(Operation):
    """Compute attributes of a table anew, by an expression over the row each."""

    values: tuple[tuple[str, Sql], ...]

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        self.refuse_lacking(self.found(tables), (name for name, _ in self.values))
        return dict(tables)

    def inverse(self, tables: Tables) -> Operation:
        raise _no_way_back(f"The values of {self.table} were computed anew.")

    def describe(self) -> str:
        return f"{self.title}: {', '.join(name for name, _ in self.values)} computed anew"

    def bump(self) -> str:
        return MAJOR

    def render(self, context: LineContext, *, ask: bool = False) -> str:
        values = ", ".join(f"{string(name)}: {sql!r}" for name, sql in self.values)
        return call("RebuildTable", [context.title(self.table)], ["{" + values + "}"])

    def follow(self, origins: Origins, tables: Tables) -> None:
        origins.converts |= {(self.table, attribute): sql for attribute, sql in self.values}

    @property
    def changes_rows(self) -> bool:
        return True


@dataclass(frozen=True)
class RunSQL(Operation):
    """Run statements of the lab's own; ``check`` is a query that gives a true value once that is done.

    They are about no table in particular, so ``table`` has only the schema.
    """

    sql: Sql
    check: Sql | None
    words: str
    back: Sql | None = None

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        return dict(tables)

    def inverse(self, tables: Tables) -> Operation:
        if self.back is None:
            raise _no_way_back(f"{self.words} has no statements that undo it.")
        return RunSQL(self.table, self.back, None, f"undo: {self.words}", self.sql)

    def describe(self) -> str:
        return f"{self.table.schema}: {self.words}"

    def bump(self) -> str:
        return MAJOR

    def render(self, context: LineContext, *, ask: bool = False) -> str:
        more = [f"{name}={string(text)}" for name in ("mysql", "postgresql") if (text := getattr(self.sql, name))]
        more += [f"{name}={sql!r}" for name, sql in (("check", self.check), ("back", self.back)) if sql is not None]
        return call("RunSQL", [self.words], more)

    def notices(self, tables: Tables) -> Iterator[tuple[str, str]]:
        if self.back is None:
            yield "no-way-back", f"{self.words}: rollback cannot undo it by itself."

    @property
    def changes_rows(self) -> bool:
        return True


@dataclass(frozen=True)
class RunPython(Operation):
    """Run Python of the lab's own in batches, until ``check`` says that it is done.

    It is about no table in particular, so ``table`` has only the schema.
    """

    words: str
    check: Callable[..., bool] = field(compare=False)
    run: Callable[..., bool] = field(compare=False)

    def apply(self, tables: Tables) -> dict[TableName, Table]:
        return dict(tables)

    def inverse(self, tables: Tables) -> Operation:
        raise _no_way_back(f"{self.words} was done in Python.")

    def describe(self) -> str:
        return f"{self.table.schema}: {self.words}"

    def bump(self) -> str:
        return MAJOR

    def render(self, context: LineContext, *, ask: bool = False) -> str:
        """Render it with the names of its functions, which the file has to define."""
        return call("RunPython", [self.words], [f"check={self.check.__name__}", f"run={self.run.__name__}"])

    def notices(self, tables: Tables) -> Iterator[tuple[str, str]]:
        yield "no-way-back", f"{self.words}: rollback cannot undo it by itself."

    @property
    def changes_rows(self) -> bool:
        return True


def _no_way_back(why: str) -> PipelineError:
    return PipelineError("There is no way back.", why, "Write a migration that leads where you want to be.")
