"""Finds enums whose values the server has in another order than their definition (PostgreSQL), or with question marks.

DataJoint calls a type after its values and takes what is there, so attributes with the same values share a type, in the
order of whoever came first. No difference of tables shows it: the type has the values that it should.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..schema import notation
from ..schema.model import TableName
from . import catalog, enum_values

if TYPE_CHECKING:
    import datajoint as dj


def other(connection: dj.Connection, databases: Mapping[str, str]) -> Iterator[tuple[TableName, str, tuple[str, ...]]]:
    """Give table and attribute of each, and its values as the server sorts them; not those that foreign keys bring."""
    if connection.adapter.backend != "postgresql" or not databases:
        return
    schemas = {database: schema for schema, database in databases.items()}
    for (database, name), table in sorted(catalog.find(connection, databases).tables.items()):
        for column in table.columns if not name.startswith("~") else ():
            declared = notation.normal_type(notation.split_comment(column.comment)[0])
            if column.name in table.enums and declared.startswith("enum("):
                wanted, stored = notation.enum_values(declared), notation.enum_values(column.stored)
                if wanted != stored and sorted(wanted) == sorted(stored):
                    yield TableName(schemas[database], name), column.name, stored


def questioned(
    connection: dj.Connection, databases: Mapping[str, str]
) -> Iterator[tuple[TableName, str, tuple[str, ...]]]:
    """Give table and attribute of each enum of MySQL that has question marks where its definition has other characters,
    and its values in the definition.

    The server made them, without an error, in a table whose texts lack these characters.
    """
    if connection.adapter.backend != "mysql" or not databases:
        return
    schemas = {database: schema for schema, database in databases.items()}
    for (database, name), table in sorted(catalog.find(connection, databases).tables.items()):
        for column in table.columns if not name.startswith("~") else ():
            declared = notation.normal_type(notation.split_comment(column.comment)[0])
            if declared.startswith("enum(") and column.stored.startswith("enum("):
                wanted = notation.enum_values(declared)
                if enum_values.with_question_marks(wanted, notation.enum_values(column.stored)):
                    yield TableName(schemas[database], name), column.name, wanted
