"""What a server has of schemas whose names begin alike, and how they go: all of them, with the rights on them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from .. import server_errors
from ..errors import PipelineError
from ..internals.connection import rows_of
from ..quoting import quoted

if TYPE_CHECKING:
    import datajoint as dj


@dataclass(frozen=True)
class Found:
    """A schema on a server.

    Parameters
    ----------
    database : str
        Its name.
    things : int
        How many tables, views, routines, events and types of its own it has, hidden ones too; those that tell nothing
        by themselves apart.
    size : int
        Bytes of its tables with their indexes, as the server estimates them.
    marks : frozenset of str
        Those of the tables asked for that it has.
    """

    database: str
    things: int
    size: int
    marks: frozenset[str]


def beginning(connection: dj.Connection, prefix: str, marks: Collection[str], nothing: str) -> list[Found]:
    """Find the schemas whose names begin with a prefix, and which of some tables each has.

    One that has but the table ``nothing`` has nothing.

    On MySQL an account sees those that it has a right on.
    """
    listed = ", ".join(["%s"] * len(marks))
    if connection.adapter.backend == "mysql":
        query = (
            "SELECT s.schema_name, COUNT(IF(t.table_name = %s, NULL, t.table_name)) "
            "+ (SELECT COUNT(*) FROM information_schema.routines r WHERE r.routine_schema = s.schema_name) "
            "+ (SELECT COUNT(*) FROM information_schema.events e WHERE e.event_schema = s.schema_name), "
            "COALESCE(SUM(t.data_length + t.index_length), 0), "
            f"GROUP_CONCAT(IF(t.table_name IN ({listed}), t.table_name, NULL)) "
            "FROM information_schema.schemata s LEFT JOIN information_schema.tables t "
            "ON t.table_schema = s.schema_name WHERE LEFT(s.schema_name, %s) = %s GROUP BY s.schema_name"
        )
    else:
        query = (
            "SELECT n.nspname, "
            "COUNT(c.oid) FILTER (WHERE c.relname <> %s) "
            "+ (SELECT COUNT(*) FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid) "
            "+ (SELECT COUNT(*) FROM pg_catalog.pg_type y "
            "WHERE y.typnamespace = n.oid AND y.typtype IN ('d', 'e', 'r')), "
            "COALESCE(SUM(pg_total_relation_size(c.oid)) FILTER (WHERE c.relkind IN ('r', 'm')), 0), "
            f"STRING_AGG(c.relname, ',') FILTER (WHERE c.relname IN ({listed})) "
            "FROM pg_catalog.pg_namespace n LEFT JOIN pg_catalog.pg_class c "
            "ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') "
            "WHERE LEFT(n.nspname, %s) = %s GROUP BY n.oid, n.nspname"
        )
    rows = rows_of(connection, query, nothing, *marks, len(prefix), prefix)
    return sorted(
        (
            Found(str(name), int(things), int(size), frozenset(filter(None, (there or "").split(","))))
            for name, things, size, there in rows
            if str(name).startswith(prefix)  # on MySQL small letters may be as good as capital ones
        ),
        key=lambda one: one.database,
    )


#: All that PostgreSQL drops along with some schemas: whatever depends on what goes, and a view with its rule.
_GOES_ALONG = """
WITH RECURSIVE needs (classid, objid, objsubid, byclass, byobj, bysub) AS (
  SELECT refclassid, refobjid, refobjsubid, classid, objid, objsubid FROM pg_catalog.pg_depend
  UNION ALL SELECT classid, objid, objsubid, refclassid, refobjid, refobjsubid FROM pg_catalog.pg_depend
  WHERE deptype = 'i' AND classid = 'pg_catalog.pg_rewrite'::regclass
), gone (classid, objid, objsubid) AS (
  SELECT 'pg_catalog.pg_namespace'::regclass::oid, oid, 0 FROM pg_catalog.pg_namespace WHERE nspname IN ({listed})
  UNION SELECT d.byclass, d.byobj, d.bysub FROM gone g
  JOIN needs d ON d.classid = g.classid AND d.objid = g.objid AND (g.objsubid = 0 OR d.objsubid = g.objsubid)
)
SELECT DISTINCT n.nspname || '.' || COALESCE(c.relname, t.typname, p.proname)
FROM gone g
LEFT JOIN pg_catalog.pg_constraint k ON g.classid = 'pg_catalog.pg_constraint'::regclass AND k.oid = g.objid
LEFT JOIN pg_catalog.pg_attrdef a ON g.classid = 'pg_catalog.pg_attrdef'::regclass AND a.oid = g.objid
LEFT JOIN pg_catalog.pg_rewrite w ON g.classid = 'pg_catalog.pg_rewrite'::regclass AND w.oid = g.objid
LEFT JOIN pg_catalog.pg_policy y ON g.classid = 'pg_catalog.pg_policy'::regclass AND y.oid = g.objid
LEFT JOIN pg_catalog.pg_trigger r
  ON g.classid = 'pg_catalog.pg_trigger'::regclass AND r.oid = g.objid AND NOT r.tgisinternal
LEFT JOIN pg_catalog.pg_class c ON c.oid = COALESCE(
  CASE WHEN g.classid = 'pg_catalog.pg_class'::regclass THEN g.objid END,
  NULLIF(k.conrelid, 0), a.adrelid, w.ev_class, y.polrelid, r.tgrelid)
LEFT JOIN pg_catalog.pg_type t
  ON g.classid = 'pg_catalog.pg_type'::regclass AND t.oid = g.objid AND t.typtype IN ('d', 'e', 'r')
LEFT JOIN pg_catalog.pg_proc p ON g.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = g.objid
JOIN pg_catalog.pg_namespace n ON n.oid = COALESCE(c.relnamespace, t.typnamespace, p.pronamespace)
WHERE n.nspname NOT IN ({listed}) AND n.nspname <> 'pg_toast'
"""


def outsiders(connection: dj.Connection, databases: Collection[str]) -> list[str]:
    """Give what is outside of some schemas and needs what is in them.

    On MySQL that is a table or a view. On PostgreSQL it is whatever would be dropped along, or lose a column, a
    default or a trigger: a table made by ``CREATE TABLE … AS SELECT`` has columns whose types, those of enums, are in
    the schemas.
    """
    listed = ", ".join(["%s"] * len(databases))
    if connection.adapter.backend == "mysql":
        query = (
            "SELECT DISTINCT CONCAT(table_schema, '.', table_name) FROM information_schema.key_column_usage "
            f"WHERE referenced_table_schema IN ({listed}) AND table_schema NOT IN ({listed}) UNION "
            "SELECT DISTINCT CONCAT(view_schema, '.', view_name) FROM information_schema.view_table_usage "
            f"WHERE table_schema IN ({listed}) AND view_schema NOT IN ({listed})"
        )
        return sorted(str(name) for (name,) in rows_of(connection, query, *(tuple(databases) * 4)))
    query = _GOES_ALONG.format(listed=listed)
    return sorted(str(name) for (name,) in rows_of(connection, query, *(tuple(databases) * 2)))


def drop(connection: dj.Connection, databases: Collection[str], last: str | None = None) -> None:
    """Drop schemas with all that is in them, one of them last if it is named; nothing outside of them goes with them.

    On PostgreSQL all go at once. On MySQL each goes by itself, children before parents.

    Raises
    ------
    PipelineError
        If the account may not.
    """
    if connection.adapter.backend == "mysql":
        rest, circle = _children_first(connection, databases)
        with _unchecked(connection) if circle else nullcontext():
            for name in sorted(rest, key=lambda name: name == last):
                _send(connection, f"DROP DATABASE IF EXISTS {quoted(connection, name)}", name)
        return
    listed = ", ".join(quoted(connection, name) for name in databases)
    _send(connection, f"DROP SCHEMA IF EXISTS {listed} CASCADE", ", ".join(databases))


def _send(connection: dj.Connection, statement: str, what: str) -> None:
    try:
        connection.query(statement, args=None, reconnect=False)
    except Exception as error:
        raise PipelineError(
            f"{what} could not be dropped.",
            f"{server_errors.reason(error)}.",
            "Ask for the right to drop it, or have somebody who has it run this command again; it goes on from there.",
        ) from error


def _children_first(connection: dj.Connection, databases: Collection[str]) -> tuple[list[str], bool]:
    """Order schemas of MySQL, those first that no other one refers to; say whether they refer to each other."""
    listed = ", ".join(["%s"] * len(databases))
    query = (
        "SELECT DISTINCT referenced_table_schema, table_schema FROM information_schema.key_column_usage "
        f"WHERE referenced_table_schema IN ({listed}) AND table_schema IN ({listed}) "
        "AND referenced_table_schema <> table_schema"
    )
    needs: dict[str, set[str]] = {name: set() for name in databases}
    for parent, child in rows_of(connection, query, *(tuple(databases) * 2)):
        needs[str(parent)].add(str(child))
    try:
        return list(TopologicalSorter(needs).static_order()), False
    except CycleError:
        return list(databases), True


@contextmanager
def _unchecked(connection: dj.Connection) -> Iterator[None]:
    """Have MySQL drop schemas that refer to each other in a circle, which it refuses in any order."""
    connection.query("SET SESSION foreign_key_checks = 0", args=None, reconnect=False)
    try:
        yield
    finally:
        with suppress(Exception):  # a lost session has its own settings no more
            connection.query("SET SESSION foreign_key_checks = 1", args=None, reconnect=False)


def revoke(connection: dj.Connection, prefix: str) -> list[str]:
    """Take away the rights that MySQL keeps on schemas that are gone and whose names begin with a prefix; give the
    statements that were refused.

    It keeps them for the next schema of the name, whoever makes it. On PostgreSQL they went with the schema. An account
    that may not see the rights of others takes away none.
    """
    refused = []
    for statement in _revoking(connection, prefix) if connection.adapter.backend == "mysql" else ():
        try:
            connection.query(statement, args=None, reconnect=False)
        except Exception:
            refused.append(statement)
    return refused


def _revoking(connection: dj.Connection, prefix: str) -> Iterator[str]:
    tables = {
        "db": "NULL, grant_priv = 'Y'",
        "tables_priv": "table_name, FIND_IN_SET('Grant', table_priv) > 0",
        "columns_priv": "table_name, 0",
    }
    parts = (
        f"SELECT user, host, db, {columns} FROM mysql.{name} "
        r"WHERE LEFT(REPLACE(db, '\\_', '_'), %s) = %s AND NOT EXISTS (SELECT * FROM information_schema.schemata s "
        r"WHERE s.schema_name = REPLACE(db, '\\_', '_'))"
        for name, columns in tables.items()
    )
    try:
        rows = rows_of(connection, " UNION ".join(parts), *((len(prefix), prefix) * 3))
    except Exception as error:
        if server_errors.of(error) is server_errors.LOST:
            raise
        return
    options: dict[tuple[str, str, str, str | None], bool] = {}
    for *place_and_holder, option in rows:
        user, host, database, table = place_and_holder
        options[user, host, database, table] = bool(option) or options.get((user, host, database, table), False)
    for (user, host, database, table), option in options.items():
        holder = "@".join(quoted(connection, part) for part in (user, host))
        place = f"{quoted(connection, database)}.{'*' if table is None else quoted(connection, table)}"
        yield f"REVOKE ALL PRIVILEGES ON {place} FROM {holder}"
        if option:
            yield f"REVOKE GRANT OPTION ON {place} FROM {holder}"
