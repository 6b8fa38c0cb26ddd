"""Hold a pipeline as a database has it, beside what is on disk of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from .. import journal
from ..dialects import catalog, choice, constraints
from ..dialects.base import Dialect
from ..dialects.introspection import Place
from ..history import migration_files
from ..history.migration_files import History
from ..operations.structure import Tables
from ..quoting import quoted
from ..schema.model import Schema, Table, TableName
from . import applied, taken_back
from .target import Target

if TYPE_CHECKING:
    import datajoint as dj


@dataclass
class Deployment:
    """A pipeline as a database has it at one moment, and what is on disk of it.

    Parameters
    ----------
    target : Target
        The database, and whose code it is.
    databases : dict
        Name on the server of each schema, of those too that only have a history.
    histories : dict
        Snapshots and migrations on disk, by schema.
    records : dict
        The last run, by schema; only of those that have a journal.
    surveys : dict
        What each database that exists holds, by its name on the server.
    shapes : dict
        The tables as they are, by schema.
    catalogue : Catalogue
        What the server's catalogue says of them.
    filled : frozenset, optional
        Where a run is planned once more: the attributes, by table, that had values to convert when it began.
    """

    target: Target
    databases: dict[str, str]
    histories: dict[str, History]
    records: dict[str, journal.Record]
    surveys: dict[str, journal.Survey]
    shapes: dict[str, Schema]
    catalogue: catalog.Catalogue
    filled: frozenset[tuple[TableName, str]] | None = None

    @classmethod
    def read(cls, target: Target) -> Deployment:
        """Read the files, the journals and the catalogue."""
        connection, histories = target.connection, migration_files.read(target.files)
        databases = {name: target.database(name) for name in histories}
        surveys = journal.survey(connection, databases.values())
        with_journal = {n: d for n, d in databases.items() if d in surveys and surveys[d].journal}
        records = journal.latest(connection, with_journal)
        catalogue = catalog.find(connection, databases)
        shapes = catalog.shapes(connection, databases, catalogue)
        return cls(target, databases, histories, records, surveys, shapes, catalogue)

    def reread(self, names: Iterable[str]) -> dict[str, Schema]:
        """Give the tables by schema, as they are now in some schemas and as they were read in the others."""
        databases = {name: self.databases[name] for name in names}
        tables = catalog.find(self.connection, databases).tables
        others = {place: table for place, table in self.catalogue.tables.items() if place[0] not in databases.values()}
        merged = catalog.Catalogue({**others, **tables})
        return catalog.shapes(self.connection, self.databases, merged)

    @property
    def connection(self) -> dj.Connection:
        """Give the session to work with."""
        return self.target.connection

    @cached_property
    def applied(self) -> dict[str, applied.Applied]:
        """Read which migrations each schema that has a record has had."""
        databases = {name: self.databases[name] for name in self.records}
        return applied.read(self.connection, databases, self.histories)

    @cached_property
    def columns(self) -> dict[Place, list[str]]:
        """Give the columns of every table of schemas that have a record, hidden ones too, by its place."""
        return taken_back.columns_of(self.catalogue.tables, {name: self.databases[name] for name in self.records})

    @cached_property
    def taken_back(self) -> taken_back.TakenBack:
        """Read what rollbacks took back."""
        databases = {name: self.databases[name] for name in self.records}
        return taken_back.read(self.connection, databases, self.histories, self.columns)

    @cached_property
    def tables(self) -> dict[TableName, Table]:
        """Give every table that is there, by its name now."""
        return {table.name: table for schema in self.shapes.values() for table in schema}

    def full(self, name: TableName) -> str:
        """Give a table's quoted name with its database, as statements have it."""
        return quoted(self.connection, self.databases[name.schema], name.table)

    def dialect(self, names: constraints.Names, before: Tables, after: Tables) -> Dialect:
        """Give what turns operations into statements of this server, from the tables before to those after."""
        made = choice.make(self.connection, self.databases, before, after, names)
        made.judges = self.filled is None
        return made
