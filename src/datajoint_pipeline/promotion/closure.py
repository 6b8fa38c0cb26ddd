"""Chosen rows of some tables, and every row that they refer to, directly or by way of others.

Rows are known by their keys, which are held in memory; a table's other values only pass through. Foreign keys are those
of the server, also where they lead to another key than the primary one, to the table itself, or hold no value. One that
leads out of the schemas, or to a hidden table, is not followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from typing import TYPE_CHECKING

from ..dialects import catalog
from ..dialects.introspection import CatalogTables, Reference
from ..errors import PipelineError
from ..operations.topology import dependency_order
from ..schema.model import ForeignKey, Table, TableName
from .raw import BATCH, RawTable, Row, batches

if TYPE_CHECKING:
    import datajoint as dj


#: Rows that are read first of a table, as nobody knows yet how large they are, and the bytes that are to be in memory
#: at a time.
_FIRST, _MEMORY = 8, 16 << 20


class Database:
    """The tables of some schemas on a server, as it tells of them; no hidden ones.

    Parameters
    ----------
    connection : datajoint.Connection
        Where.
    databases : mapping
        Name on the server of each schema.
    """

    def __init__(self, connection: dj.Connection, databases: Mapping[str, str]) -> None:
        self.connection, self.databases = connection, dict(databases)
        found = catalog.find(connection, databases).tables
        schemas = {database: schema for schema, database in databases.items()}
        self.tables = {
            TableName(schemas[place[0]], place[1]): RawTable(connection, place, table)
            for place, table in found.items()
            if place[0] in schemas and place[1] and not place[1].startswith("~")
        }
        self.references = {name: list(self._references(found, name)) for name in self.tables}

    def _references(self, found: CatalogTables, name: TableName) -> Iterator[tuple[TableName, Reference]]:
        schemas = {database: schema for schema, database in self.databases.items()}
        for reference in found[self.databases[name.schema], name.table].references:
            database, table = reference.parent
            parent = TableName(schemas.get(database, ""), table)
            if parent in self.tables:
                yield parent, reference

    def in_order(self) -> list[TableName]:
        """Give the tables, parents before children.

        Raises
        ------
        PipelineError
            If tables refer to each other in a circle.
        """
        models = [
            Table(name, (), (), tuple(ForeignKey((), parent, ()) for parent, _ in references))
            for name, references in self.references.items()
        ]
        return dependency_order(models)


class Closure:
    """Keys of rows that are chosen, by table, in the order in which the rows can be inserted once it is closed.

    Parameters
    ----------
    database : Database
        Where the rows are.
    """

    def __init__(self, database: Database) -> None:
        self.database, self.order = database, database.in_order()
        self.keys: dict[TableName, dict[Row, None]] = {name: {} for name in self.order}

    def add(self, name: TableName, keys: Iterable[Row]) -> None:
        """Choose rows of a table by their keys."""
        self.keys[name] |= dict.fromkeys(keys)

    def close(self) -> None:
        """Choose every row that a chosen row refers to.

        Raises
        ------
        PipelineError
            If rows of a table refer to each other in a circle: none of them can be inserted first.
        """
        for name in reversed(self.order):
            self._close_itself(name)
            for parent, reference in self.database.references[name]:
                if parent != name:
                    for rows in batches(self.keys[name]):
                        self.add(parent, self._referred(name, parent, reference, rows))

    def _referred(self, name: TableName, parent: TableName, reference: Reference, rows: list[Row]) -> list[Row]:
        """Give the keys of the rows of a parent that some rows refer to by one foreign key."""
        child, above = self.database.tables[name], self.database.tables[parent]
        values = child.read(reference.attributes, child.primary_key, rows, distinct=True)
        complete = [row for row in values if None not in row]
        return above.read(above.primary_key, reference.parent_attributes, complete) if complete else []

    def _close_itself(self, name: TableName) -> None:
        """Choose what rows refer to within their own table, and put that before them."""
        own = [reference for parent, reference in self.database.references[name] if parent == name]
        if not own:
            return
        above: dict[Row, set[Row]] = {}
        waiting = list(self.keys[name])
        while waiting:
            above |= {row: set() for row in waiting}
            for reference in own:
                for rows in batches(waiting):
                    for row, key in self._pairs(name, reference, rows):
                        above[row] |= {key} - {row}
            waiting = list({key for row in waiting for key in above[row]} - above.keys())
        try:
            order = list(TopologicalSorter({row: sorted(above[row], key=repr) for row in above}).static_order())
        except CycleError as error:
            circle = " → ".join("(" + ", ".join(map(str, row)) + ")" for row in error.args[1])
            raise PipelineError(
                f"Rows of {name} refer to each other in a circle.",
                f"{circle}: none of them can be inserted before the others. Nothing was changed.",
                "Leave these rows out, or break the circle.",
            ) from None
        self.keys[name] = dict.fromkeys(order)

    def _pairs(self, name: TableName, reference: Reference, rows: list[Row]) -> Iterator[tuple[Row, Row]]:
        """Give the keys of rows, each with that of the row of the same table that it refers to."""
        table = self.database.tables[name]
        key, width = table.primary_key, len(table.primary_key)
        referring = table.read((*key, *reference.attributes), key, rows)
        values = list({row[width:] for row in referring if None not in row[width:]})
        above = table.read((*key, *reference.parent_attributes), reference.parent_attributes, values)
        known = {row[width:]: row[:width] for row in above}
        for row in referring:
            if None in row[width:]:
                continue
            if row[width:] in known:
                yield row[:width], known[row[width:]]
            else:  # a server may take two texts for the same, such as those in small and capital letters
                yield from ((row[:width], found) for found in self._referred(name, name, reference, [row[:width]]))

    def rows(self, name: TableName, columns: tuple[str, ...]) -> Iterator[list[tuple[Row, Row]]]:
        """Give the chosen rows of a table in batches, in their order: of each its key and some columns."""
        table, waiting = self.database.tables[name], iter(self.keys[name])
        width, number = len(table.primary_key), _FIRST
        while keys := list(islice(waiting, number)):
            found = {row[:width]: row for row in table.read((*table.primary_key, *columns), table.primary_key, keys)}
            size = sum(len(value) for row in found.values() for value in row if value is not None)
            yield [(key, found[key][width:]) for key in keys if key in found]
            number = max(1, min(BATCH, 2 * number, _MEMORY * len(keys) // max(size, 1)))
