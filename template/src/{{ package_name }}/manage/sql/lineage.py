"""What DataJoint keeps beside the tables: where each attribute comes from (``~lineage``) and the jobs (``~~…``).

Both follow from the model, so after a migration the rows are compared with it and only what is wrong is changed.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import TYPE_CHECKING

from ..differences.operations import Tables
from ..differences.origins import Origins, resolved
from ..differences.topology import dependency_order
from ..tables.model import ForeignKey, Table, TableName
from .lowering import Lowering
from .step import Step

if TYPE_CHECKING:
    import datajoint as dj

TABLE, JOBS = "~lineage", "~~"

#: What DataJoint has in every job table beside the key.
OF_JOBS = {"status", "priority", "created_time", "scheduled_time", "reserved_time", "completed_time", "duration"}
OF_JOBS |= {"error_message", "error_stack", "user", "host", "pid", "connection_id", "version"}

#: Table, attribute and origin.
Row = tuple[str, str, str]


def expected(
    tables: Tables, databases: Mapping[str, str], known: Mapping[tuple[str, str, str], str]
) -> dict[tuple[str, str], list[str]]:
    """What DataJoint may have noted as origins, by table (``ephys.recording``) and attribute, the likeliest first.

    Where several foreign keys bring an attribute, DataJoint notes the last that the definition has, and neither model
    nor server knows that order: the likeliest brings the attribute that stands farthest behind.

    Parameters
    ----------
    tables : mapping of TableName to Table
        Every table of the pipeline.
    databases : mapping
        Name on the server of each schema.
    known : mapping
        Origins in databases outside of the pipeline, by database, table and attribute.
    """
    rows: dict[tuple[str, str], list[str]] = {}
    for name in dependency_order(tables.values()):
        table, database = tables[name], databases.get(name.schema, name.schema)
        for attribute in table.attribute:
            origins = [
                origin
                for key in reversed(table.keys_in_order)
                if attribute in key.attributes
                for origin in _inherited(key, attribute, rows, databases, known)
            ]
            if not origins and attribute in table.primary_key:
                origins = [f"{database}.{name.table}.{attribute}"]
            if origins:
                rows[f"{database}.{name.table}", attribute] = origins
    return rows


def _inherited(
    key: ForeignKey,
    attribute: str,
    rows: Mapping[tuple[str, str], list[str]],
    databases: Mapping[str, str],
    known: Mapping[tuple[str, str, str], str],
) -> list[str]:
    """The origins of the parent's attribute."""
    theirs = key.parent_attributes[key.attributes.index(attribute)]
    place = (databases.get(key.parent.schema, key.parent.schema), key.parent.table, theirs)
    return rows.get((f"{place[0]}.{place[1]}", theirs)) or [known.get(place, ".".join(place))]


def job_keys(table: Table) -> tuple[str, ...]:
    """The attributes that tell the jobs of a table apart: those of its primary key that foreign keys bring."""
    return tuple(name for name in table.primary_key if any(name in key.attributes for key in table.foreign_keys))


def repair(
    connection: dj.Connection, databases: Mapping[str, str], tables: Tables, only: Container[str] | None = None
) -> int:
    """Make the origins in the databases right, and return how many rows were wrong.

    Only what differs is changed, so that it may be called again at any time. On MySQL it is one transaction.

    Parameters
    ----------
    connection : dj.Connection
        Where.
    databases : mapping
        Name on the server of every schema of the pipeline: any other that a foreign key names is another's.
    tables : mapping of TableName to Table
        Every table of the pipeline.
    only : container of str, optional
        The schemas whose origins may be changed.
    """
    outside = {key.parent.schema for t in tables.values() for key in t.foreign_keys if key.parent not in tables}
    places = {**databases, **{name: name for name in outside - set(databases)}}
    have, jobs, kept = _read(connection, places)
    # A schema that nobody recorded may have no table of origins, and DataJoint says so where it matters.
    own, mine = set(databases.values()), {d for n, d in databases.items() if d in kept and (only is None or n in only)}
    known = {
        (place.split(".", 1)[0], place.split(".", 1)[1], name): origin
        for place, name, origin in have
        if place.split(".", 1)[0] not in own
    }
    now = {(place, name): origin for place, name, origin in have}
    wanted = {
        (*where, now[where] if now.get(where) in origins else origins[0])
        for where, origins in expected(tables, databases, known).items()
    }
    for table in tables.values():
        database = databases.get(table.name.schema, table.name.schema)
        job = f"{database}.{JOBS}{table.name.table.lstrip('_')}"
        if job in jobs:
            wanted |= {(job, name, f"{job}.{name}") for name in job_keys(table)}
    have, wanted = ({row for row in rows if row[0].split(".", 1)[0] in mine} for rows in (have, wanted))
    gone, come = have - wanted, wanted - have
    if not gone and not come:
        return 0
    mysql = connection.adapter.backend == "mysql"
    if mysql:
        connection.query("START TRANSACTION", args=None, reconnect=False)
    for (place, name, origin), change in [*((row, "drop") for row in gone), *((row, "add") for row in come)]:
        database, bare = place.split(".", 1)
        full = f"{connection.adapter.quote_identifier(database)}.{connection.adapter.quote_identifier(TABLE)}"
        if change == "drop":
            sql = f"DELETE FROM {full} WHERE table_name = %s AND attribute_name = %s"
            connection.query(sql, (bare, name), reconnect=False)
        else:
            sql = f"INSERT INTO {full} (table_name, attribute_name, lineage) VALUES (%s, %s, %s)"
            connection.query(sql, (bare, name, origin), reconnect=False)
    if mysql:
        connection.query("COMMIT", args=None, reconnect=False)
    return len(gone) + len(come)


def create(connection: dj.Connection, database: str) -> None:
    """Make the table of origins as DataJoint does, where it is missing."""
    from datajoint.lineage import ensure_lineage_table

    ensure_lineage_table(connection, database)


def _read(connection: dj.Connection, databases: Mapping[str, str]) -> tuple[set[Row], set[str], set[str]]:
    """The rows of the databases, which job tables there are, and which databases have such rows; with two queries."""
    quote = connection.adapter.quote_identifier
    there = _tables(connection, tuple(dict.fromkeys(databases.values())))
    jobs = {f"{database}.{table}" for database, table in there if table.startswith(JOBS)}
    kept = {database for database, table in there if table == TABLE}
    parts = [
        f"SELECT '{database}', table_name, attribute_name, lineage FROM {quote(database)}.{quote(TABLE)}"
        for database in kept
    ]
    rows = connection.query(" UNION ALL ".join(parts), args=None).fetchall() if parts else []
    return {(f"{database}.{table}", name, origin) for database, table, name, origin in rows}, jobs, kept


def without_jobs(connection: dj.Connection, databases: Mapping[str, str]) -> set[str]:
    """The schemas that have an auto-populated table without a job table."""
    names = {database: schema for schema, database in databases.items()}
    tables = _tables(connection, tuple(names))
    return {
        names[database]
        for database, table in tables
        if table.startswith("_")
        and "__" not in table.lstrip("_")
        and (database, JOBS + table.lstrip("_")) not in tables
    }


def _tables(connection: dj.Connection, names: tuple[str, ...]) -> set[tuple[str, str]]:
    """Every table of some databases, hidden ones too."""
    marks = ", ".join(["%s"] * len(names))
    if connection.adapter.backend == "mysql":
        query = f"SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ({marks})"
    else:
        query = (
            "SELECT n.nspname, c.relname FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c "
            f"ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p') WHERE n.nspname IN ({marks})"
        )
    return {(str(database), str(table)) for database, table in connection.query(query, names).fetchall()}


def job_steps(before: Tables, after: Tables, origins: Origins, lowering: Lowering) -> Iterator[Step]:
    """Let the job tables follow their tables. Jobs are kept where they can still be told apart, by names that the job
    table has free; else it goes, and DataJoint makes it anew.

    To be called when everything else is lowered.
    """
    names = {old: new for new, old in origins.tables.items()}
    for old_name, old in before.items():
        job = TableName(old_name.schema, JOBS + old_name.table.lstrip("_"))
        if lowering.place(job) not in lowering.names.tables:
            continue
        new_name = names.get(old_name)
        new = None if new_name is None else after.get(new_name)
        if new_name is None or new is None or not new.tier.startswith(("Imported", "Computed")):
            yield from lowering.drop_table(job)
            continue
        was = origins.attributes.get(new_name, {})
        renamed = {old_attribute: name for name, old_attribute in was.items()}
        keys = tuple(renamed.get(name, "") for name in job_keys(old))
        types = [resolved(before, old_name, name) for name in job_keys(old)]
        taken = (OF_JOBS | {*job_keys(old)}) & {k for name, k in zip(job_keys(old), keys, strict=True) if k != name}
        if taken or set(keys) != set(job_keys(new)) or types != [resolved(after, new_name, name) for name in keys]:
            yield from lowering.drop_table(job)
            continue
        moved = TableName(new_name.schema, JOBS + new_name.table.lstrip("_"))
        if moved != job:
            yield from lowering.rename_table(job, moved)
        for name, key in zip(job_keys(old), keys, strict=True):
            if name != key:
                sql = (
                    f"ALTER TABLE {lowering.full(moved)} RENAME COLUMN {lowering.quote(name)} TO {lowering.quote(key)}"
                )
                yield Step(sql, (moved,), f"rename {name} to {key} in the jobs of {new_name}")
