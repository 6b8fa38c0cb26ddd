"""Make up rows for tables that have none, so that `check` can see what migrations do to rows. PostgreSQL only.

They follow from types and keys alone: few, unlike each other, null where that may be, and such that every constraint
holds. Values are plain (``1``, the first of January), so that most conversions that a migration asks for go through.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import server_errors
from ..internals.codecs import blob
from ..operations.structure import Tables
from ..operations.topology import dependency_order
from ..quoting import quoter
from ..schema.model import ForeignKey, Table, TableName

if TYPE_CHECKING:
    import datajoint as dj

#: Rows a table; the last has null wherever that may be.
ROWS = 3


class SampleColumn(NamedTuple):
    """A column as PostgreSQL has it; ``labels`` of an enum."""

    name: str
    required: bool
    type: str
    labels: list[str]


Values = dict[str, Any]


def fill(
    connection: dj.Connection,
    databases: Mapping[str, str],
    tables: Tables,
    contents: Mapping[TableName, list[Values]],
) -> list[TableName]:
    """Put rows into every table that has none, parents first.

    Parameters
    ----------
    connection : datajoint.Connection
        To a PostgreSQL whose content nobody needs.
    databases : mapping
        Name on the server of each schema.
    tables : mapping of TableName to Table
        Every table that is there.
    contents : mapping of TableName to list of dict
        Rows that tables have in truth, by their names now; they need no others.

    Returns
    -------
    list of TableName
        Tables for which no row could be made up: the first of them has a type that this module does not know.
    """
    columns = _columns(connection, databases.values())
    without = []
    for name in dependency_order(tables.values()):
        place = databases[name.schema], name.table
        if count(connection, *place):
            continue
        made = any([_insert_if_it_fits(connection, place, values) for values in contents.get(name, ())])
        for values in () if made else _rows(connection, databases, tables[name], columns.get(place, [])):
            made = _insert(connection, place, values) or made
        if not made:
            without.append(name)
    return without


def put(
    connection: dj.Connection, databases: Mapping[str, str], tables: Tables, name: TableName, values: Values
) -> bool:
    """Put a row with some values into a table, and rows that it refers to; tell whether there was none like it."""
    table, place = tables[name], (databases[name.schema], name.table)
    row = dict(values)
    if _first(connection, place, [*row], row) is not None:
        return False
    columns = _columns(connection, [place[0]]).get(place, [])
    required = {column.name for column in columns if column.required}
    for key in table.foreign_keys:
        if key.parent not in tables or not (required | set(row)) & set(key.attributes):
            continue
        known = {t: row[a] for a, t in zip(key.attributes, key.parent_attributes, strict=True) if a in row}
        above = databases[key.parent.schema], key.parent.table
        if known and key.parent != name:
            put(connection, databases, tables, key.parent, known)
        found = _first(connection, above, key.parent_attributes, known)
        row |= dict(zip(key.attributes, found or (), strict=False))
    number = count(connection, *place)
    for column in columns:
        if column.name not in row:
            row[column.name] = _made_up(table, column, number, null=not column.required)
    return _insert_if_it_fits(connection, place, row)


def with_rest(
    connection: dj.Connection, database: str, table: str, values: Values, rest: Mapping[str, str]
) -> list[Values]:
    """Give some values together with others of the rows of a table; ``rest`` has its attributes by their new names."""
    quote = quoter(connection)
    listed = ", ".join(map(quote, rest.values()))
    sql = f"SELECT DISTINCT {listed} FROM {_full(connection, database, table)}"
    return [{**values, **dict(zip(rest, row, strict=True))} for row in connection.query(sql, args=None).fetchall()]


def _first(
    connection: dj.Connection, place: tuple[str, str], attributes: Iterable[str], values: Values
) -> tuple[Any, ...] | None:
    """Give attributes of the first row of a table with some values; None where there is none."""
    quote = quoter(connection)
    listed = ", ".join(map(quote, attributes)).replace("%", "%%")
    where = "".join(f" AND {quote(name)} = %s".replace("%", "%%").replace("%%s", "%s") for name in values)
    full = _full(connection, *place).replace("%", "%%")
    sql = f"SELECT {listed} FROM {full} WHERE TRUE{where} ORDER BY {listed} LIMIT 1"
    found: tuple[Any, ...] | None = connection.query(sql, tuple(values.values())).fetchone()
    return found


def count(connection: dj.Connection, database: str, table: str) -> int:
    """Count the rows of a table."""
    sql = f"SELECT COUNT(*) FROM {_full(connection, database, table)}"
    return int(connection.query(sql, args=None).fetchone()[0])


def empty(connection: dj.Connection, databases: Mapping[str, str], names: Iterable[TableName]) -> None:
    """Delete every row of some tables, and of those that refer to them."""
    listed = ", ".join(_full(connection, databases[name.schema], name.table) for name in names)
    if listed:
        connection.query(f"TRUNCATE {listed} CASCADE", args=None)


def _full(connection: dj.Connection, database: str, table: str) -> str:
    quote = quoter(connection)
    return f"{quote(database)}.{quote(table)}"


def _columns(connection: dj.Connection, databases: Iterable[str]) -> dict[tuple[str, str], list[SampleColumn]]:
    names = tuple(databases)
    sql = f"""
        SELECT n.nspname, c.relname, a.attname, a.attnotnull, format_type(t.oid, a.atttypmod),
            ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder)
        FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind = 'r'
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_type t ON t.oid = a.atttypid
        WHERE n.nspname IN ({", ".join(["%s"] * len(names))}) ORDER BY c.oid, a.attnum"""
    found: dict[tuple[str, str], list[SampleColumn]] = {}
    for database, table, name, required, type_, labels in connection.query(sql, names).fetchall():
        found.setdefault((database, table), []).append(SampleColumn(name, required, type_, list(labels)))
    return found


def _rows(
    connection: dj.Connection, databases: Mapping[str, str], table: Table, columns: list[SampleColumn]
) -> Iterator[Values]:
    """Make up rows for a table, by what its parents have; none where a parent that it needs has none."""
    parents = [_parent_rows(connection, databases, key) for key in table.foreign_keys]
    required = {column.name for column in columns if column.required}
    for number in range(ROWS):
        null = number == ROWS - 1
        values: Values = {}
        for key, rows in zip(table.foreign_keys, parents, strict=True):
            # The row of the same number goes first, so that what keys have in common is the same.
            turned = rows[number % len(rows) :] + rows[: number % len(rows)] if rows else []
            found = next((row for row in turned if all(values.get(n, v) == v for n, v in row.items())), None)
            if found is None and required & set(key.attributes):
                break
            nothing = dict.fromkeys(name for name in key.attributes if name not in required | set(values))
            values |= nothing if found is None or (null and nothing) else found
        else:
            for column in columns:
                if column.name not in values:
                    hidden = column.name.startswith("_")
                    values[column.name] = _made_up(table, column, number, null=null or hidden)
            if not any(values[name] is None for name in required):
                yield values


def _parent_rows(connection: dj.Connection, databases: Mapping[str, str], key: ForeignKey) -> list[Values]:
    """Give what the attributes of a foreign key may be: rows of the parent."""
    quote = quoter(connection)
    listed = ", ".join(map(quote, key.parent_attributes))
    full = _full(connection, databases.get(key.parent.schema, key.parent.schema), key.parent.table)
    rows = connection.query(f"SELECT {listed} FROM {full} ORDER BY {listed} LIMIT {ROWS}", args=None).fetchall()
    return [dict(zip(key.attributes, row, strict=True)) for row in rows]


#: The codecs of DataJoint. In a row, all of them write JSON with the place of an object, where they use a store.
_KNOWN_CODECS = ("blob", "attach", "filepath", "hash", "npy", "object")


def _made_up(table: Table, column: SampleColumn, number: int, *, null: bool) -> Any:
    """Make up a value of an attribute; None where it may be null, or where only its codec knows what it writes."""
    attribute = table.attribute.get(column.name)
    codec, _, store = (attribute.type if attribute else "").strip("<>").partition("@")
    if attribute is None or not attribute.type.startswith("<"):
        return _value(column, number, null=null)
    if codec not in _KNOWN_CODECS or (null and not column.required):
        return None
    if column.type.startswith("json"):  # of an object that is not there; who reads it is told so
        place = {"path": f"made_up_{number + 1}", "hash": "made_up", "size": 1, "is_dir": False, "store": store or None}
        return json.dumps(place)
    return b"made_up.txt\0" + str(number + 1).encode() if codec == "attach" else _value(column, number, null=False)


def _value(column: SampleColumn, number: int, *, null: bool) -> Any:
    """Make up a value; None where it may be null, or where the type is not known."""
    if null and not column.required:
        return None
    if column.labels:
        return column.labels[number % len(column.labels)]
    head, _, size = column.type.partition("(")
    match head.split(" ")[0]:
        case "smallint" | "integer" | "bigint" | "real" | "double" | "text" | "character" | "json" | "jsonb":
            return str(number + 1)
        case "numeric":
            digits, _, scale = size.rstrip(")").partition(",")
            fraction = bool(digits) and digits == scale  # no place for a whole number
            return f"{number + 1}e-{scale}" if fraction else str(number + 1)
        case "boolean":
            return bool(number % 2)
        case "date" | "timestamp":
            return f"2020-01-{number + 1:02}"
        case "time":
            return f"{number + 1:02}:00:00"
        case "uuid":
            return str(uuid.UUID(int=number + 1))
        case "bytea":
            return blob(number + 1)
    return None


def _insert_if_it_fits(connection: dj.Connection, place: tuple[str, str], values: Values) -> bool:
    """Insert a row that was written for the table as the code has it now; tell whether the table takes it."""
    try:
        return _insert(connection, place, values)
    except Exception as error:
        if server_errors.of(error):
            raise
        return False


def _insert(connection: dj.Connection, place: tuple[str, str], values: Values) -> bool:
    """Insert a row; tell whether there was none like it."""
    quote = quoter(connection)
    listed = ", ".join(quote(name) for name in values).replace("%", "%%")
    marks = ", ".join(["%s"] * len(values))
    full = _full(connection, *place).replace("%", "%%")
    sql = f"INSERT INTO {full} ({listed}) VALUES ({marks}) ON CONFLICT DO NOTHING RETURNING 1"
    return connection.query(sql, tuple(values.values())).fetchone() is not None
