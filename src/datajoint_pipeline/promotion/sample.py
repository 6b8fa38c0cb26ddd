"""Copy a sample of the rows of a pipeline from one place to another, closed under every foreign key.

Lookup tables come whole, of every other table some rows come, and with each row all that it refers to. Objects in
stores stay where they are: a row that refers to one goes on doing so. Only SELECT is needed where the rows come from.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..schema.model import Table, TableName
from .closure import Closure, Database
from .raw import RawTable, Row, at_one_moment

if TYPE_CHECKING:
    import datajoint as dj


@dataclass(frozen=True)
class Copied:
    """What became of the rows of one table: how many were chosen, and how many were not there yet and are now."""

    table: TableName
    chosen: int
    inserted: int


def copy(
    source: dj.Connection,
    databases: Mapping[str, str],
    target: dj.Connection,
    target_databases: Mapping[str, str],
    *,
    rows: int | Mapping[TableName, int],
    without: Container[TableName] = (),
    report: Callable[[TableName], None] = lambda table: None,
) -> list[Copied]:
    """Copy a sample of rows; what is there already stays as it is, so that doing it again adds nothing.

    Parameters
    ----------
    source, target : datajoint.Connection
        Where the rows come from and where they go; one connection may be both.
    databases, target_databases : mapping
        Name on either server of each schema. Tables and columns that only one of them has are left out, and so are
        hidden tables.
    rows : int or mapping of TableName to int
        Rows of each table that is no Lookup, half of them the first and half the last in the order of its key; more
        where rows of other tables refer to them. With 0, only Lookups come, and what they refer to.
    without : container of TableName
        Tables of which no row comes; what refers to them has to be among them.
    report : callable, optional
        Called with each table before its rows are copied.

    Returns
    -------
    list of Copied
        For each table that both have, parents before children.

    Raises
    ------
    PipelineError
        If tables, or rows of a table, refer to each other in a circle, or the server refuses a row. Then nothing is
        copied.
    """
    with at_one_moment(source, target):
        closure, to = Closure(Database(source, databases)), Database(target, target_databases)
        there = [name for name in closure.order if name in to.tables and name not in without]
        for name in there:
            most = rows if isinstance(rows, int) else rows.get(name, 0)
            closure.add(name, choose(closure.database.tables[name], name, most))
        closure.close()
        copied = []
        for name in there:
            report(name)
            copied.append(Copied(name, len(closure.keys[name]), insert(closure, name, to.tables[name])))
        return copied


def choose(table: RawTable, name: TableName, rows: int) -> list[Row]:
    """Give the keys of the rows of a table that a sample begins with."""
    if Table(name, (), ()).tier_of_rows == "Lookup":
        return table.keys()
    return table.ends(rows)


def insert(closure: Closure, name: TableName, to: RawTable) -> int:
    """Insert the chosen rows of a table that are not there yet; give how many."""
    columns, inserted = common(closure.database.tables[name], to), 0
    for batch in closure.rows(name, columns):
        there = set(to.read(to.primary_key, to.primary_key, [key for key, _ in batch]))
        inserted += to.insert(columns, [row for key, row in batch if key not in there])
    return inserted


def common(source: RawTable, to: RawTable) -> tuple[str, ...]:
    """Give the columns that both tables have and that can be written, hidden ones too."""
    return tuple(name for name in source.columns if name in to.columns)
