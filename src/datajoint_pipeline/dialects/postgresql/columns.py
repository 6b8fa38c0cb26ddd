"""Columns of PostgreSQL in statements, and their comments."""

from __future__ import annotations

from ...schema.model import Table, TableName
from ...schema.naming import unused
from ...schema.notation import escape
from ..base import Dialect
from ..steps import Column, ParentFill, Step
from .indexes import constraint_name


def definition(dialect: Dialect, column: Column, constraint: str = "") -> str:
    """Give the definition of a column; ``constraint`` is the name for its ``NOT NULL``, which old servers forget."""
    if column.nullable:
        rest = "DEFAULT NULL"
    else:
        named = f"CONSTRAINT {dialect.quote(constraint)} " if constraint else ""
        rest = f"{named}NOT NULL" + (f" DEFAULT {column.default}" if column.default is not None else "")
    return f"{dialect.quote(column.name)} {column.sql} {rest}"


def make_table(
    dialect: Dialect, name: TableName, full: str, columns: list[Column], key: tuple[str, ...], constraint: str = ""
) -> Step:
    """Make a table without foreign keys and indexes.

    Parameters
    ----------
    dialect : Dialect
        PostgreSQL's; its names then have the columns.
    name : TableName
        The table that it is, or is to become.
    full : str
        Its name in the statement. With another one than its own, constraints are called as if it had its own already.
    columns : list of Column
        Its columns in their order.
    key : tuple of str
        Its primary key.
    constraint : str
        The name of the primary key; empty for that which the server gives it.
    """
    named = f"CONSTRAINT {dialect.quote(constraint)} " if constraint else ""
    called = dict[str, str]()
    if full != dialect.full(name):
        for column in columns:
            called[column.name] = unused(constraint_name(dialect, name, (column.name,), "not_null"), {*called.values()})
    parts = [definition(dialect, column, called.get(column.name, "")) for column in columns]
    body = ",\n  ".join([*parts, f"{named}PRIMARY KEY ({dialect.listed(key)})"])
    dialect.names.table(dialect.place(name)).columns = [column.name for column in columns]
    return Step(f"CREATE TABLE {full} (\n  {body}\n)", (name,), f"make {name}")


def comments(dialect: Dialect, table: Table, columns: list[Column]) -> list[Step]:
    """Give a new table and its columns their comments."""
    steps = [comment_on_table(dialect, table.name, table.comment)] if table.comment else []
    return steps + [comment_on_column(dialect, table.name, column) for column in columns if column.comment]


def comment_on_column(dialect: Dialect, name: TableName, column: Column) -> Step:
    """Set or remove the comment of a column."""
    on = f"COLUMN {dialect.full(name)}.{dialect.quote(column.name)}"
    text = dialect.literal(column.comment) if column.comment else "NULL"
    return Step(f"COMMENT ON {on} IS {text}", (name,), f"note what {column.name} is in {name}")


def comment_on_table(dialect: Dialect, name: TableName, comment: str) -> Step:
    """Set or remove the comment of a table."""
    text = dialect.literal(escape(comment)) if comment else "NULL"
    return Step(f"COMMENT ON TABLE {dialect.full(name)} IS {text}", (name,), f"change the comment in {name}")


def join_to_parent(
    dialect: Dialect, table: Table, fill: ParentFill, alias: str, pairs: list[tuple[str, str, str]]
) -> str:
    """Give the condition that joins a row of a table, as ``c``, to its parent's row, as ``alias``.

    Parameters
    ----------
    dialect : Dialect
        PostgreSQL's.
    table : Table
        The table before.
    fill : ParentFill
        What is taken from the parent, whose attributes may have another type by now.
    alias : str
        The parent's row.
    pairs : list of (str, str, str)
        The parent's attribute, and ours by its name before and as it is called at that point.
    """
    enums = dialect.names.table(dialect.place(fill.parent)).enums
    parts = []
    for theirs, was, ours in pairs:
        known = [(tables, tables.get(fill.parent), theirs) for tables in (dialect.before, dialect.after)]
        known.append((dialect.before, table, was))
        cores = {dialect.column(tables, t, t.attribute[a]).core for tables, t, a in known if t and a in t.attribute}
        left, right = f"{alias}.{dialect.quote(theirs)}", f"c.{dialect.quote(ours)}"
        as_text = theirs in enums or len(cores) > 1
        parts.append(f"{left}::text = {right}::text" if as_text else f"{left} = {right}")
    return " AND ".join(parts)
