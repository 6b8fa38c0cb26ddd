"""Finds what hangs on a table of MySQL that DataJoint does not know: foreign keys from elsewhere, triggers, views, ...

The server lets triggers, views, events and routines go on naming what is gone, and they fail when they are next used; a
foreign key from elsewhere, or a check constraint, makes it refuse a step. All are looked for before the first step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ...operations.base import named
from ...schema.compatibility import family
from ...schema.model import Table, TableName
from ..base import Dialect
from ..constraints import Place, index_changes
from ..dependents import converted, literals, ours, whole, words
from ..steps import Alteration, Change, ParentFill, Probe
from .alter import conversions, updated
from .auditing import OURS
from .texts import OF_THE_SERVER, literal


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
    yield from naming(dialect, before.name, gone, place)
    yield from _partitions(dialect, alteration, change)
    if altered := gone | {change.old[name] for name in change.retyped if name in change.old}:
        yield _histograms(dialect, before.name, altered)
    if place != (database, table) or alteration.renamed:
        yield from rights(dialect, before.name, set() if place != (database, table) else {*alteration.renamed})
    if given := updated(dialect, alteration, change):
        yield updating(dialect, before.name, given)
        present = {change.old[name] for name in given if name in change.old and change.was[name].nullable}
        some = len(present) == len(given) and not {*conversions(dialect, alteration, change)}
        where = " OR ".join(f"{dialect.quote(name)} IS NULL" for name in sorted(present)) if some else ""
        fills = (fill for name, fill in alteration.fills.items() if name in given)
        read = {fill.parent for fill in fills if isinstance(fill, ParentFill)}
        yield refusing(
            dialect, before, given, where, [name for name in read if dialect.place(name) in dialect.names.tables]
        )


def _histograms(dialect: Dialect, name: TableName, columns: set[str]) -> Probe:
    """Ask for the histograms of some columns, which the server drops where these get another name or type."""
    database, table = map(literal, dialect.place(name))
    sql = (
        "SELECT COUNT(*), GROUP_CONCAT(column_name ORDER BY column_name SEPARATOR ', ') "
        f"FROM information_schema.column_statistics WHERE schema_name = {database} AND table_name = {table} "
        f"AND column_name IN ({literals(dialect, columns)})"
    )
    return Probe("named", (), sql, "histograms that go: run ANALYZE TABLE ... UPDATE HISTOGRAM again")


def _partitions(dialect: Dialect, alteration: Alteration, change: Change) -> Iterator[Probe]:
    """Ask for partitions that the server lets nobody change so: by columns that go, get values of another kind, or are
    not in a key.
    """
    before, after = alteration.before, alteration.after
    retyped = {
        old for name, old in change.old.items() if family(change.was[name].core) != family(change.will[name].core)
    }
    if changed := change.gone | retyped:
        by_key = "TRUE" if changed & {*before.primary_key} else "FALSE"
        yield _divided(dialect, before.name, f"that go by {words(changed)}", changed, by_key)
    keys = [after.primary_key] if change.table.primary_key != after.primary_key else []
    keys += [tuple(named(index)) for index in index_changes(change.indexes, change.target)[1] if index.unique]
    for key in keys:
        inside = {change.old.get(name, name) for name in key}
        others = {attribute.name for attribute in before.attributes} - inside
        by_key = "FALSE" if {*before.primary_key} <= inside else "TRUE"
        if others:
            yield _divided(dialect, before.name, f"that go by more than the key ({', '.join(key)})", others, by_key)


def linking(dialect: Dialect, name: TableName) -> Probe:
    """Ask for partitions of a table, which the server lets have no foreign key and no other table refer to."""
    return _divided(
        dialect, name, "of a table that is to have a foreign key, or that another is to refer to", set(), "TRUE"
    )


def _divided(dialect: Dialect, name: TableName, what: str, columns: set[str], by_key: str) -> Probe:
    """Ask for the partitions of a table that go by one of some columns, or by any; ``by_key`` stands for the key."""
    database, table = map(literal, dialect.place(name))
    by = "COALESCE(CONCAT_WS(', ', NULLIF(partition_expression, ''), NULLIF(subpartition_expression, '')), '')"
    found = f"{by} REGEXP {_any(columns)}" if columns else "TRUE"
    sql = (
        f"SELECT COUNT(*), MAX(CONCAT(partition_method, ' (', {by}, ')')) FROM information_schema.partitions "
        f"WHERE table_schema = {database} AND table_name = {table} AND partition_name IS NOT NULL "
        f"AND ({found} OR ({by} = '' AND {by_key}))"
    )
    return Probe("object", tuple(sorted(columns)), sql, f"partitions {what}")


def updating(dialect: Dialect, name: TableName, given: set[str]) -> Probe:
    """Ask for the triggers that come with an update of a table; ``given`` is what rows get."""
    fires = f"{_triggers(*dialect.place(name))} AND event_manipulation = 'UPDATE'"
    # What gives values is run again under a lock, for rows that others wrote meanwhile.
    what = f"triggers that fire for each row, perhaps more than once, when {words(given)} is filled"
    return Probe("fires", (), fires, what)


def inserting(dialect: Dialect, name: TableName) -> Probe:
    """Ask for the triggers that come with rows that a migration puts into a table."""
    fires = f"{_triggers(*dialect.place(name))} AND event_manipulation = 'INSERT'"
    return Probe("fires", (), fires, "triggers that fire for each row that is put in")


def refusing(dialect: Dialect, table: Table, given: set[str], where: str = "", read: Iterable[TableName] = ()) -> Probe:
    """Try whether a trigger refuses an update that changes nothing, in a transaction that is taken back.

    The update also reads the tables ``read``, as the filling does: the server lets no trigger write what the statement
    reads that fires it. See :meth:`datajoint_pipeline.dialects.base.Dialect.firing` for the other parameters.
    """
    column = dialect.quote(table.primary_key[0] if table.primary_key else table.attributes[0].name)
    reads = [f"(SELECT COUNT(*) FROM (SELECT 1 FROM {dialect.full(name)} LIMIT 1) r) >= 0" for name in sorted(read)]
    conditions = [*([f"({where})"] if where else []), *reads]
    update = f"UPDATE {dialect.full(table.name)} SET {column} = {column}"
    update += f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return _refusing(dialect, table.name, "UPDATE", f"triggers that refuse what rows get in {words(given)}", [update])


def refusing_rows(dialect: Dialect, name: TableName, inserts: Iterable[str]) -> Probe:
    """Try whether a trigger refuses rows that a migration puts in; the last of some statements does so."""
    return _refusing(dialect, name, "INSERT", "triggers that refuse rows that the migration puts in", inserts)


#: Whether all tables of the server have transactions: what a trigger writes into another is not taken back.
_TRANSACTIONAL = (
    "NOT EXISTS (SELECT 1 FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND engine <> 'InnoDB' "
    f"AND table_schema NOT IN ({OF_THE_SERVER}))"
)


def _refusing(dialect: Dialect, name: TableName, event: str, what: str, statements: Iterable[str]) -> Probe:
    fires = f"{_triggers(*dialect.place(name))} AND event_manipulation = '{event}' AND {_TRANSACTIONAL}"
    trial = ("SET SESSION innodb_lock_wait_timeout = 3", "START TRANSACTION", *statements, "ROLLBACK")
    return Probe("object", (), fires, what, trial=trial)


def naming(dialect: Dialect, name: TableName, gone: set[str], to: Place) -> Iterator[Probe]:
    """Give the queries for what names what goes of a table: some columns, or its own name.

    Parameters
    ----------
    dialect : Dialect
        MySQL's.
    name : TableName
        The table, as it is called.
    gone : set of str
        Its columns that go, or get another name.
    to : tuple of str
        What it will be called.
    """
    database, table = dialect.place(name)
    if to[0] != database:
        yield Probe("object", (), _triggers(database, table), "triggers that cannot move to another schema")
        kept = (
            "SELECT COUNT(*), MAX(CONCAT(table_collation, ', not ', default_collation_name)) "
            "FROM information_schema.tables JOIN information_schema.schemata s "
            f"ON s.schema_name = {literal(to[0])} AND default_collation_name <> table_collation "
            f"WHERE table_schema = {literal(database)} AND table_name = {literal(table)}"
        )
        yield Probe("named", (), kept, "collation that it keeps, where its new schema has another")
    elif gone:
        named = f"{_triggers(database, table)} AND action_statement REGEXP {_any(gone)}"
        yield Probe("object", tuple(sorted(gone)), named, f"triggers that name {words(gone)}")
    if gone:
        checks = (
            "SELECT COUNT(*), GROUP_CONCAT(constraint_name ORDER BY constraint_name SEPARATOR ', ') "
            "FROM information_schema.check_constraints JOIN information_schema.table_constraints "
            f"USING (constraint_schema, constraint_name) WHERE table_schema = {literal(database)} "
            f"AND table_name = {literal(table)} AND check_clause REGEXP {_any(gone)}"
        )
        yield Probe("object", tuple(sorted(gone)), checks, f"check constraints that name {words(gone)}")
        generated = (
            "SELECT COUNT(*), GROUP_CONCAT(column_name ORDER BY column_name SEPARATOR ', ') "
            f"FROM information_schema.columns WHERE table_schema = {literal(database)} "
            f"AND table_name = {literal(table)} AND generation_expression REGEXP {_any(gone)}"
        )
        yield Probe("object", tuple(sorted(gone)), generated, f"generated columns that name {words(gone)}")
    moves = to != (database, table)
    if gone or moves:
        yield from _elsewhere(dialect, name, set() if moves else gone)


def _triggers(database: str, table: str) -> str:
    """Ask for the triggers of a table, apart from those that its audit has; these follow it."""
    return (
        "SELECT COUNT(*), GROUP_CONCAT(trigger_name ORDER BY trigger_name SEPARATOR ', ') "
        f"FROM information_schema.triggers WHERE event_object_schema = {literal(database)} "
        f"AND event_object_table = {literal(table)} AND NOT {OURS}"
    )


def of_deleted(dialect: Dialect, name: TableName, column: str) -> Iterator[Probe]:
    """Give the queries for what leads to a soft-deleted table, or a column of one, and what reads it."""
    columns = {column} if column else set[str]()
    yield _keys(dialect, name, columns)
    yield _views(dialect, name, columns)


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


def _views(dialect: Dialect, name: TableName, columns: set[str]) -> Probe:
    """Ask for the views that read a table, or some columns of it."""
    reads = (
        "SELECT COUNT(*), GROUP_CONCAT(table_schema, '.', table_name ORDER BY table_name SEPARATOR ', ') "
        f"FROM information_schema.views WHERE INSTR(view_definition, {literal(dialect.full(name))}) > 0"
    )
    if columns:
        reads += f" AND view_definition REGEXP {_any(columns)}"
    return Probe("object", tuple(sorted(columns)), reads, f"views that read {words(columns) or name}")


def _elsewhere(dialect: Dialect, name: TableName, columns: set[str]) -> Iterator[Probe]:
    """Ask for the views that read a table, and for triggers, events and routines elsewhere that name it.

    Where some of its columns go, they have to name one of these as well. Those of databases outside of the pipeline
    have to name the table together with its database: by itself the name is that of a table of theirs.
    """
    yield _views(dialect, name, columns)
    database, table = dialect.place(name)
    # A table's name is often a word of SQL in capital letters.
    here, anywhere = (literal(f"(?-i){expression}") for expression in (whole(table), _full(database, table)))
    other = f"NOT (event_object_schema = {literal(database)} AND event_object_table = {literal(table)}) AND NOT {OURS}"
    for kind, what, body, condition in (
        ("trigger", "triggers of other tables", "action_statement", other),
        ("event", "events", "event_definition", "TRUE"),
        ("routine", "routines", "routine_definition", "TRUE"),
    ):
        sql = (
            f"SELECT COUNT(*), GROUP_CONCAT({kind}_schema, '.', {kind}_name ORDER BY {kind}_name SEPARATOR ', ') "
            f"FROM information_schema.{kind}s WHERE {kind}_schema NOT IN ({OF_THE_SERVER}) "
            f"AND {body} REGEXP IF({kind}_schema IN ({ours(dialect, (database, table))}), {here}, {anywhere}) "
            f"AND {condition}"
        )
        if columns:
            sql += f" AND {body} REGEXP {_any(columns)}"
        yield Probe("object", tuple(sorted(columns)), sql, f"{what} that name {words(columns) or name}")


def rights(dialect: Dialect, name: TableName, columns: set[str]) -> Iterator[Probe]:
    """Ask for the accounts whose rights on a table, or on some of its columns, the server leaves under the old name.

    After the last step they are moved, as far as the account may see and give rights.
    """
    database, table = dialect.place(name)
    for kind in ("column",) if columns else ("table", "column"):
        sql = (
            "SELECT COUNT(DISTINCT grantee), GROUP_CONCAT(DISTINCT grantee ORDER BY grantee SEPARATOR ', ') "
            f"FROM information_schema.{kind}_privileges WHERE table_schema = {literal(database)} "
            f"AND table_name = {literal(table)}"
        )
        if columns:
            sql += f" AND column_name IN ({literals(dialect, columns)})"
        on = words(columns) or ("it" if kind == "table" else "its columns")
        moved = "migrate moves them, if your account may give rights"
        yield Probe("named", (), sql, f"accounts whose rights on {on} stay under the old name: {moved}")


def _full(database: str, table: str) -> str:
    """Give a regular expression for the name of a table with its database before it."""
    return rf"(^|[^A-Za-z0-9_$]){re.escape(database)}[`\"]?\s*\.\s*[`\"]?{re.escape(table)}([^A-Za-z0-9_#]|$)"


def _any(names: set[str]) -> str:
    """Give a regular expression for any of some columns as a word, in whatever case: the server knows none there.

    What is called, such as DATE(), is no column.
    """
    return literal(rf"(?i)\b({'|'.join(sorted(names))})\b(?!\s*\()")
