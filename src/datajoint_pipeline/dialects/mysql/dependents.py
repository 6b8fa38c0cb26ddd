"""Finds what hangs on a table of MySQL that DataJoint does not know: foreign keys from elsewhere, triggers and views.

The server lets triggers and views go on naming what is gone, and they fail when they are next used; a foreign key from
elsewhere makes it refuse a step. All of them are looked for before the first step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...schema.model import TableName
from ..base import Dialect
from ..constraints import Place
from ..dependents import converted, filled, literals, ours, words
from ..steps import Alteration, Change, Probe
from .texts import literal


def probes(dialect: Dialect, alteration: Alteration, change: Change) -> Iterator[Probe]:
    """Give the queries for an alteration, each of which gives a number and names.

    Parameters
    ----------
    dialect : Dialect
        MySQL's.
    alteration : Alteration
        What changes, with the table's name before.
    change : Change
        The same, column by column.
    """
    before, after = alteration.before, alteration.after
    (database, table), place = dialect.place(before.name), dialect.place(after.name)
    gone = change.gone
    changed = {*change.dropped, *change.kept, *converted(alteration, change)}
    if change.table.primary_key != after.primary_key:
        changed |= {*before.primary_key}
    # A foreign key from elsewhere may lead to an index that goes, too.
    now = {old: name for name, old in change.old.items()}
    kept = [index.columns for index in change.target]
    known = dialect.names.tables.get((database, table))
    for index in known.indexes if known else ():
        if tuple(now.get(column, column) for column in index.index.columns) not in kept:
            changed |= {column for column in index.index.columns if column in before.attribute}
    if changed:
        yield _keys(dialect, before.name, changed)
    on_table = (
        "SELECT COUNT(*), GROUP_CONCAT(trigger_name ORDER BY trigger_name SEPARATOR ', ') "
        f"FROM information_schema.triggers WHERE event_object_schema = {literal(database)} "
        f"AND event_object_table = {literal(table)}"
    )
    if place[0] != database:
        yield Probe("object", (), on_table, "triggers that cannot move to another schema")
    elif gone:
        named = f"{on_table} AND action_statement REGEXP {_any(gone)}"
        yield Probe("object", tuple(sorted(gone)), named, f"triggers that name {words(gone)}")
    moves = place != (database, table)
    if gone or moves:
        yield _elsewhere(dialect, before.name, set() if moves else gone)
        yield _views(dialect, before.name, set() if moves else gone)
    if given := filled(alteration, change) | {*alteration.converts}:
        fires = f"{on_table} AND event_manipulation = 'UPDATE'"
        yield Probe("named", (), fires, f"triggers that fire for each row when {words(given)} is filled")


def of_deleted(dialect: Dialect, name: TableName, column: str) -> Iterator[Probe]:
    """Give the queries for what leads to a soft-deleted table, or a column of one, and what reads it."""
    columns = {column} if column else set[str]()
    yield _keys(dialect, name, columns)
    yield _views(dialect, name, columns, "it")


def _keys(dialect: Dialect, name: TableName, columns: set[str]) -> Probe:
    """Ask for the foreign keys of others that lead to a table, or to some columns of it."""
    sql = (
        "SELECT COUNT(DISTINCT table_schema, table_name, constraint_name), GROUP_CONCAT(DISTINCT "
        "constraint_name, ' of ', table_schema, '.', table_name ORDER BY constraint_name SEPARATOR ', ') "
        f"{keys_from_outside(dialect, dialect.place(name))}"
    )
    if columns:
        sql += f" AND referenced_column_name IN ({literals(dialect, columns)})"
    what = f"foreign keys from outside of the pipeline that lead to {words(columns) or 'it'}"
    return Probe("object", tuple(sorted(columns)), sql, what)


def keys_from_outside(dialect: Dialect, place: Place) -> str:
    """Give the rows of ``information_schema`` for the foreign keys that others have to a table of the pipeline."""
    database, table = map(literal, place)
    return (
        f"FROM information_schema.key_column_usage WHERE referenced_table_schema = {database} "
        f"AND referenced_table_name = {table} AND (table_schema NOT IN ({ours(dialect, place)}) "
        "OR (table_name LIKE '~%' AND table_name NOT LIKE '~dropped_%'))"
    )


def of_dropped(dialect: Dialect, name: TableName) -> Iterator[Probe]:
    """Give the queries for what names a table that is to be soft-deleted, and so gets another name."""
    yield _elsewhere(dialect, name, set())
    yield _views(dialect, name, set())


def _views(dialect: Dialect, name: TableName, columns: set[str], whole: str = "it under its name of before") -> Probe:
    """Ask for the views that read a table, or some columns of it; ``whole`` is what the table is called then."""
    reads = (
        "SELECT COUNT(*), GROUP_CONCAT(table_schema, '.', table_name ORDER BY table_name SEPARATOR ', ') "
        f"FROM information_schema.views WHERE INSTR(view_definition, {literal(dialect.full(name))}) > 0"
    )
    if columns:
        reads += f" AND view_definition REGEXP {_any(columns)}"
    return Probe("object", tuple(sorted(columns)), reads, f"views that read {words(columns) or whole}")


def _elsewhere(dialect: Dialect, name: TableName, columns: set[str]) -> Probe:
    """Ask for the triggers of other tables that name a table, and one of some columns if any."""
    database, table = dialect.place(name)
    sql = (
        "SELECT COUNT(*), GROUP_CONCAT(trigger_schema, '.', trigger_name ORDER BY trigger_name SEPARATOR ', ') "
        f"FROM information_schema.triggers WHERE trigger_schema IN ({ours(dialect, (database, table))}) "
        f"AND NOT (event_object_schema = {literal(database)} AND event_object_table = {literal(table)}) "
        # A table's name is often a word of SQL in capital letters.
        f"AND action_statement REGEXP {literal(rf'(?-i)(^|[^A-Za-z0-9_#]){re.escape(table)}([^A-Za-z0-9_#]|$)')}"
    )
    if columns:
        sql += f" AND action_statement REGEXP {_any(columns)}"
    what = words(columns) or "it under its name of before"
    return Probe("object", tuple(sorted(columns)), sql, f"triggers of other tables that name {what}")


def _any(names: set[str]) -> str:
    """Give a regular expression for any of some names as a word."""
    return literal(rf"\b({'|'.join(sorted(names))})\b")
