"""Finds what hangs on a table of MySQL that DataJoint does not know: foreign keys from elsewhere, triggers and views.

The server lets triggers and views go on naming what is gone, and they fail when they are next used; a foreign key from
elsewhere makes it refuse a step. All of them are looked for before the first step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...schema.model import TableName
from ..base import Dialect
from ..steps import Alteration, Change, LiteralFill, Probe
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
    moved = {*change.retyped, *alteration.converts}
    changed = {*change.dropped, *change.kept, *(old for name, old in change.old.items() if name in moved)}
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
        ours = ", ".join(literal(name) for name in sorted({database, *(place[0] for place in dialect.names.tables)}))
        yield Probe(
            "object",
            tuple(sorted(changed)),
            "SELECT COUNT(DISTINCT table_schema, table_name, constraint_name), GROUP_CONCAT(DISTINCT "
            "constraint_name, ' of ', table_schema, '.', table_name ORDER BY constraint_name SEPARATOR ', ') "
            f"FROM information_schema.key_column_usage WHERE referenced_table_schema = {literal(database)} "
            f"AND referenced_table_name = {literal(table)} AND referenced_column_name IN ({_listed(changed)}) "
            f"AND (table_schema NOT IN ({ours}) OR (table_name LIKE '~%' AND table_name NOT LIKE '~dropped_%'))",
            f"foreign keys from outside of the pipeline that lead to {', '.join(sorted(changed))}",
        )
    on_table = (
        "SELECT COUNT(*), GROUP_CONCAT(trigger_name ORDER BY trigger_name SEPARATOR ', ') "
        f"FROM information_schema.triggers WHERE event_object_schema = {literal(database)} "
        f"AND event_object_table = {literal(table)}"
    )
    if place[0] != database:
        yield Probe("object", (), on_table, "triggers that cannot move to another schema")
    elif gone:
        named = f"{on_table} AND action_statement REGEXP {_any(gone)}"
        yield Probe("object", tuple(sorted(gone)), named, f"triggers that name {', '.join(sorted(gone))}")
    moves = place != (database, table)
    if gone or moves:
        yield _elsewhere(dialect, before.name, set() if moves else gone)
        yield _views(dialect, before.name, set() if moves else gone)
    # A new column with one value for all is made with it as its default.
    filled = {n for n, fill in alteration.fills.items() if n in change.was or not isinstance(fill, LiteralFill)}
    if filled := filled | {*alteration.converts}:
        fires = f"{on_table} AND event_manipulation = 'UPDATE'"
        yield Probe("named", (), fires, f"triggers that fire for each row when {', '.join(sorted(filled))} is filled")


def of_dropped(dialect: Dialect, name: TableName) -> Iterator[Probe]:
    """Give the queries for what names a table that is to be soft-deleted, and so gets another name."""
    yield _elsewhere(dialect, name, set())
    yield _views(dialect, name, set())


def _views(dialect: Dialect, name: TableName, columns: set[str]) -> Probe:
    """Ask for the views that read a table, or some columns of it."""
    reads = (
        "SELECT COUNT(*), GROUP_CONCAT(table_schema, '.', table_name ORDER BY table_name SEPARATOR ', ') "
        f"FROM information_schema.views WHERE INSTR(view_definition, {literal(dialect.full(name))}) > 0"
    )
    if columns:
        reads += f" AND view_definition REGEXP {_any(columns)}"
    what = ", ".join(sorted(columns)) or "it under its name of before"
    return Probe("object", tuple(sorted(columns)), reads, f"views that read {what}")


def _elsewhere(dialect: Dialect, name: TableName, columns: set[str]) -> Probe:
    """Ask for the triggers of other tables that name a table, and one of some columns if any."""
    database, table = dialect.place(name)
    ours = _listed({database, *(place[0] for place in dialect.names.tables)})
    sql = (
        "SELECT COUNT(*), GROUP_CONCAT(trigger_schema, '.', trigger_name ORDER BY trigger_name SEPARATOR ', ') "
        f"FROM information_schema.triggers WHERE trigger_schema IN ({ours}) "
        f"AND NOT (event_object_schema = {literal(database)} AND event_object_table = {literal(table)}) "
        # A table's name is often a word of SQL in capital letters.
        f"AND action_statement REGEXP {literal(rf'(?-i)(^|[^A-Za-z0-9_#]){re.escape(table)}([^A-Za-z0-9_#]|$)')}"
    )
    if columns:
        sql += f" AND action_statement REGEXP {_any(columns)}"
    what = ", ".join(sorted(columns)) or "it under its name of before"
    return Probe("object", tuple(sorted(columns)), sql, f"triggers of other tables that name {what}")


def _listed(names: set[str]) -> str:
    return ", ".join(literal(name) for name in sorted(names))


def _any(names: set[str]) -> str:
    """Give a regular expression for any of some names as a word."""
    return literal(rf"\b({'|'.join(sorted(names))})\b")
