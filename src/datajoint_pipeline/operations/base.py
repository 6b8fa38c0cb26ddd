"""What an operation is: a class that holds everything of one kind of change.

What it does to the tables, its inverse, its sentences for people, how far it raises a version, its line in a migration
file, what it brings along, and what the dry run warns of. A new operation is a class here, its line in
:mod:`operations.lines`, and an example in the test of all of them.

An operation knows tables as plain values (:mod:`schema.model`) and nothing of databases. It states what is to be; how a
server gets there is for the layers above.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..errors import PipelineError
from ..schema import definition
from ..schema.model import ForeignKey, Index, Table, TableName
from .origins import Origins
from .state import LineContext, Tables

#: How far a version rises: where code that reads the tables may break, where it finds more than before, and where it
#: sees nothing of the change.
MAJOR, MINOR, PATCH = "major", "minor", "patch"


@dataclass(frozen=True)
class Operation(ABC):
    """A change of the tables; ``table`` is the one that it is about, by its name before the change."""

    table: TableName

    @abstractmethod
    def apply(self, tables: Tables) -> dict[TableName, Table]:
        """Give the tables after the operation; raise :class:`PipelineError` where it does not fit them."""

    @abstractmethod
    def inverse(self, tables: Tables) -> Operation:
        """Give the operation that undoes this one, given the tables before this one."""

    @abstractmethod
    def describe(self) -> str:
        """Say what it does, with the class of its table in front."""

    def deviation(self) -> str:
        """Say how a database differs from what it should be, where this operation would make the one of the other.

        What only changes rows never does.
        """
        return f"{self.title} differs by {type(self).__name__}."

    @abstractmethod
    def bump(self) -> str:
        """Say how far the version rises: ``major``, ``minor`` or ``patch``."""

    @abstractmethod
    def render(self, context: LineContext, *, ask: bool = False) -> str:
        """Render it as a line of a migration file, which :mod:`operations.lines` reads back.

        Parameters
        ----------
        context : LineContext
            The tables before it, and in whose migration it stands.
        ask : bool
            Whether the value for existing rows is still to be given.
        """

    def follow(self, origins: Origins, tables: Tables) -> None:
        """Note in ``origins`` what the operation does to names and values, given the tables before it.

        What is gone afterwards need not be noted.
        """
        return

    def notices(self, tables: Tables) -> Iterator[tuple[str, str]]:
        """Give what the dry run warns of, given the tables before: the id of a rule, and a sentence."""
        yield from ()

    @property
    def changes_rows(self) -> bool:
        """Say whether it computes values anew, or may, in a way that only the server or a lab's own code knows."""
        return False

    @property
    def title(self) -> str:
        """Give the class of its table."""
        return definition.title(self.table)

    def found(self, tables: Tables) -> Table:
        """Give its table; raise where there is none."""
        if self.table not in tables:
            raise self.refusal(f"there is no table {self.table}")
        return tables[self.table]

    def refuse_lacking(self, table: Table, attributes: Iterable[str]) -> None:
        """Refuse names that are no attributes of a table."""
        for name in attributes:
            if name not in table.attribute:
                raise self.refusal(f"it has no attribute {name}")

    def refusal(self, why: str) -> PipelineError:
        """Give the error for tables that the operation does not fit."""
        return PipelineError(
            f"{type(self).__name__} cannot be applied to {self.table}.",
            f"At this point {why}.",
            "The migration does not continue the one before it; make it anew with revise.",
        )


def with_table(tables: Tables, table: Table) -> dict[TableName, Table]:
    """Give the tables with one of them replaced or added."""
    return {**tables, table.name: table}


def sorted_keys(keys: Iterable[ForeignKey]) -> tuple[ForeignKey, ...]:
    """Sort foreign keys as a table has them."""
    return tuple(sorted(keys, key=lambda key: (key.parent.schema, key.parent.table, key.attributes)))


def sorted_indexes(indexes: Iterable[Index]) -> tuple[Index, ...]:
    """Sort indexes as a table has them."""
    return tuple(sorted(indexes, key=lambda index: (index.columns, index.unique)))


def named(index: Index) -> Iterator[str]:
    """Give the attributes that an index names as such, ``name`` or ``name(10)``; what an expression names only a server
    can tell.
    """
    for column in index.columns:
        if match := re.fullmatch(r"(\w+)(\(\d+\))?( desc)?", column):
            yield match[1]


def title_from(name: TableName, schema: str) -> str:
    """Give the class of a table, and its schema where it is another than that of the reader."""
    return definition.title(name) if name.schema == schema else f"{name.schema}.{definition.title(name)}"
