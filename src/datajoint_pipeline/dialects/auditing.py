"""What the audit of tables is on either server: a hidden table in each schema, and the triggers that write to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from ..operations.structure import SOFT_DELETED_ATTRIBUTE
from ..schema.model import TableName
from .introspection import Place
from .steps import Column, Step

if TYPE_CHECKING:
    import datajoint as dj

#: The table of a schema that has what was done with the rows of its audited tables; of PostgreSQL also the function.
TABLE = "~audit"

#: Its columns: a number, the table, when (UTC), the account that logged in, what was done, the row before and after.
COLUMNS = ("id", "table_name", "at", "login", "operation", "old", "new")

#: What is recorded of a table itself: it got another name (its places before and afterwards are ``old`` and ``new``),
#: and its audit was begun or ended.
RENAME, BEGIN, END = "rename", "begin", "end"

#: The tiers whose tables are computed: their rows are told by ``_job_`` columns, and may come a thousand a second.
COMPUTED = ("Computed", "Imported")


class Statements(Protocol):
    """The statements of one server; both modules ``auditing`` are such."""

    def audited(self, connection: dj.Connection, databases: Iterable[str]) -> set[Place]:
        """Find the tables that have triggers of the audit, or those that stand in for them."""

    def made(self, database: str) -> list[Step]:
        """Make what a schema needs, where it is missing."""

    def off(self, place: Place, name: TableName, lock: str) -> list[Step]:
        """Take the triggers of a table away; nobody else writes to it from then on.

        Parameters
        ----------
        place : Place
            Where the table is.
        name : TableName
            What it is called afterwards.
        lock : str
            What the pipeline's lock is called on the server: who holds it may write.
        """

    def on(self, place: Place, name: TableName, columns: Iterable[Column], held: Place) -> list[Step]:
        """Put the triggers on a table, and let others write.

        Parameters
        ----------
        place : Place
            Where the table is.
        name : TableName
            What it is called.
        columns : iterable of Column
            Its columns.
        held : Place
            The place, in the same database, that it had when others were refused.
        """

    def moving(self, step: Step, place: Place, to: Place, name: TableName, lock: str) -> list[Step]:
        """Give the steps for one that moves an audited table from a place to one in another schema."""

    def noted(self, what: str, name: TableName, place: Place, old: Place | None = None) -> list[Step]:
        """Record of a table that it got another name, or that its audit was begun or ended."""

    def incomplete(self, place: Place, columns: Iterable[Column]) -> str:
        """Give a query that is true where a table has not just the triggers that it should have."""

    def triggers(self, place: Place) -> str:
        """Give a query for the names of the triggers of the audit that a table has."""

    def removed(self, place: Place, trigger: str) -> str:
        """Give the statement that takes a trigger away."""


def recorded(columns: Iterable[Column]) -> list[Column]:
    """Give the columns whose values are recorded: a soft-deleted one has none that anybody still writes."""
    return [column for column in columns if not column.name.startswith(SOFT_DELETED_ATTRIBUTE)]
