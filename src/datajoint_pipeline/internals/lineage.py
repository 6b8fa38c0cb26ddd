"""What DataJoint keeps beside the tables: where each attribute comes from (``~lineage``) and the jobs (``~~…``).

Both follow from the model. After a migration the rows are compared with it, and only those that are wrong are changed.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING

from ..operations.structure import Tables
from ..operations.topology import dependency_order
from ..quoting import quoter, union_text
from ..schema.model import ForeignKey
from . import job_tables

if TYPE_CHECKING:
    import datajoint as dj

TABLE = "~lineage"

#: Table, attribute and origin.
Row = tuple[str, str, str]


def expected(
    tables: Tables, databases: Mapping[str, str], known: Mapping[tuple[str, str, str], str]
) -> dict[tuple[str, str], list[str]]:
    """Give what DataJoint may have noted as origins, by table (``ephys.recording``) and attribute, likeliest first.

    Where several foreign keys bring an attribute, DataJoint notes the last one of the definition, and neither model nor
    server knows that order. The likeliest is the one that brings the attribute that stands farthest behind.

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
    """Give the origins of the parent's attribute."""
    theirs = key.parent_attributes[key.attributes.index(attribute)]
    place = (databases.get(key.parent.schema, key.parent.schema), key.parent.table, theirs)
    return rows.get((f"{place[0]}.{place[1]}", theirs)) or [known.get(place, ".".join(place))]


def repair(
    connection: dj.Connection,
    databases: Mapping[str, str],
    tables: Tables,
    only: Container[str] | None = None,
    moved: Mapping[str, str] | None = None,
    turned: Container[str] = (),
) -> int:
    """Make the origins in the databases right, and return how many rows were wrong.

    Only what differs is changed, so that it may be called again at any time. On MySQL it is one transaction.

    Parameters
    ----------
    connection : dj.Connection
        Where.
    databases : mapping
        Name on the server of every schema of the pipeline; any other that a foreign key names is another pipeline's.
    tables : mapping of TableName to Table
        Every table of the pipeline.
    only : container of str, optional
        The schemas whose origins may be changed.
    moved : mapping, optional
        Of tables that have another name or place by now, that of before (``ephys.recording``). What is noted of them
        there tells which of several foreign keys an attribute comes from.
    turned : container of str, optional
        The tables whose foreign keys have another order than before, of which that tells nothing.
    """
    outside = {key.parent.schema for t in tables.values() for key in t.foreign_keys if key.parent not in tables}
    places = {**databases, **{name: name for name in outside - set(databases)}}
    present, jobs, with_table = _read(connection, places)
    pipeline = set(databases.values())
    # A schema that nobody recorded may have no table of origins, and DataJoint says so where it matters.
    changeable = {d for n, d in databases.items() if d in with_table and (only is None or n in only)}
    known = {
        (place.split(".", 1)[0], place.split(".", 1)[1], name): origin
        for place, name, origin in present
        if place.split(".", 1)[0] not in pipeline
    }
    noted = {(place, name): origin for place, name, origin in present}
    now = {old: new for new, old in (moved or {}).items()}
    for new, old in (moved or {}).items():
        for (place, name), origin in list(noted.items()):
            if place == old:
                noted.setdefault((new, name), origin)
    for where, origin in list(noted.items()):  # which may be in a table that moved
        above, _, attribute = origin.rpartition(".")
        noted[where] = f"{now.get(above, above)}.{attribute}"
    wanted = {
        (*where, noted[where] if noted.get(where) in origins and where[0] not in turned else origins[0])
        for where, origins in expected(tables, databases, known).items()
    }
    for table in tables.values():
        database = databases.get(table.name.schema, table.name.schema)
        job = f"{database}.{job_tables.PREFIX}{table.name.table.lstrip('_')}"
        if job in jobs:
            wanted |= {(job, name, f"{job}.{name}") for name in job_tables.key(table)}
    present, wanted = ({row for row in rows if row[0].split(".", 1)[0] in changeable} for rows in (present, wanted))
    wrong, missing = present - wanted, wanted - present
    if not wrong and not missing:
        return 0
    mysql, quote = connection.adapter.backend == "mysql", quoter(connection)
    if mysql:
        connection.query("START TRANSACTION", args=None, reconnect=False)
    for (place, name, origin), change in [*((row, "drop") for row in wrong), *((row, "add") for row in missing)]:
        database, bare = place.split(".", 1)
        full = quote(database, TABLE)
        if change == "drop":
            sql = f"DELETE FROM {full} WHERE table_name = %s AND attribute_name = %s"
            connection.query(sql, (bare, name), reconnect=False)
        else:
            sql = f"INSERT INTO {full} (table_name, attribute_name, lineage) VALUES (%s, %s, %s)"
            connection.query(sql, (bare, name, origin), reconnect=False)
    if mysql:
        connection.query("COMMIT", args=None, reconnect=False)
    return len(wrong) + len(missing)


def create(connection: dj.Connection, database: str) -> None:
    """Make the table of origins as DataJoint does, where it is missing."""
    from datajoint.lineage import ensure_lineage_table

    ensure_lineage_table(connection, database)


def _read(connection: dj.Connection, databases: Mapping[str, str]) -> tuple[set[Row], set[str], set[str]]:
    """Read with two queries the rows of the databases, the job tables, and the databases that have such rows."""
    quote = quoter(connection)
    tables = job_tables.every_table(connection, tuple(dict.fromkeys(databases.values())))
    jobs = {f"{database}.{table}" for database, table in tables if table.startswith(job_tables.PREFIX)}
    with_table = {database for database, table in tables if table == TABLE}
    listed = sorted(with_table)
    columns = ", ".join(union_text(connection, name) for name in ("table_name", "attribute_name", "lineage"))
    parts = [f"SELECT %s, {columns} FROM {quote(database, TABLE)}" for database in listed]
    rows = connection.query(" UNION ALL ".join(parts), tuple(listed)).fetchall() if parts else []
    return {(f"{database}.{table}", name, origin) for database, table, name, origin in rows}, jobs, with_table
