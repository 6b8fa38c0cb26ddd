"""Read the keys of a table's rows, for a person who is asked which of them other rows are to refer to."""

from __future__ import annotations

from uuid import UUID

from ..quoting import quoter
from ..schema.model import TableName
from .target import Target

#: Whoever has more of them is not helped by a list.
_MOST = 1000


def read(target: Target, name: TableName, attribute: str) -> list[str] | None:
    """Give the values of an attribute that is a table's whole key, as a person writes them; None where there is no such
    table, or too many rows.
    """
    database, quote = target.database(name.schema), quoter(target.connection)
    there = (
        "SELECT COUNT(*) FROM information_schema.columns "
        "WHERE table_schema = %s AND table_name = %s AND column_name = %s"
    )
    if not target.connection.query(there, (database, name.table, attribute)).fetchone()[0]:
        return None
    column, table = quote(attribute), f"{quote(database)}.{quote(name.table)}"
    query = f"SELECT {column} FROM {table} ORDER BY {column} LIMIT {_MOST + 1}"
    values = [value for (value,) in target.connection.query(query, args=None).fetchall()]
    return [_text(value) for value in values] if len(values) <= _MOST else None


def _text(value: object) -> str:
    return str(UUID(bytes=value) if isinstance(value, bytes) and len(value) == 16 else value)
