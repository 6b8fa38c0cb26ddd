"""Which dialect the server of a connection speaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..errors import PipelineError
from ..internals.connection import postgresql_version
from ..operations.structure import Tables
from ..schema.model import TableName
from .accounts import Accounts
from .base import Dialect
from .constraints import Names
from .mysql.accounts import MySQLAccounts
from .mysql.dialect import MySQL
from .mysql.rights import MySQLRights
from .postgresql.accounts import PostgreSQLAccounts
from .postgresql.dialect import PostgreSQL
from .postgresql.rights import PostgreSQLRights
from .rights import Server

if TYPE_CHECKING:
    import datajoint as dj

_DIALECTS: dict[str, type[Dialect]] = {dialect.backend: dialect for dialect in (MySQL, PostgreSQL)}


def dialect_of(connection: dj.Connection) -> type[Dialect]:
    """Give the dialect of a connection's server."""
    return dialect_called(connection.adapter.backend)


def accounts_of(connection: dj.Connection) -> Accounts:
    """Give the accounts of a connection's server, as its account sees them."""
    return {"mysql": MySQLAccounts, "postgresql": PostgreSQLAccounts}[connection.adapter.backend](connection)


def rights_of(connection: dj.Connection) -> Server:
    """Give the rights on a connection's server, as its account sees them."""
    return {"mysql": MySQLRights, "postgresql": PostgreSQLRights}[connection.adapter.backend](connection)


def dialect_called(backend: str) -> type[Dialect]:
    """Give the dialect that ``mysql`` or ``postgresql`` is the name of."""
    return _DIALECTS[backend]


def refusals(backend: str, databases: Mapping[str, str], tables: Tables) -> Iterator[tuple[TableName, PipelineError]]:
    """Give what a server would refuse of tables that are made anew, by its own limits; no server is asked.

    Parameters
    ----------
    backend : str
        ``mysql`` or ``postgresql``.
    databases : mapping
        Name on the server of each schema.
    tables : mapping of TableName to Table
        Every table.
    """
    dialect = dialect_called(backend)(databases, {}, tables, Names())
    for name, table in tables.items():
        try:
            dialect.refuse_too_large(tables, table)
            dialect.create_table(table)
        except PipelineError as error:
            yield name, error


def make(
    connection: dj.Connection, databases: Mapping[str, str], before: Tables, after: Tables, names: Names
) -> Dialect:
    """Make the dialect that turns operations into statements for a connection's server.

    Parameters
    ----------
    connection : datajoint.Connection
        Whose server.
    databases : mapping
        Name on the server of each schema in the code.
    before, after : mapping of TableName to Table
        Every table of the pipeline before and after the operations.
    names : Names
        The names as they are in the databases.
    """
    version = (postgresql_version(connection),) if connection.adapter.backend == "postgresql" else ()
    return dialect_of(connection)(databases, before, after, names, version)
