"""Rights on tables that are left behind where a table or a column is renamed or dropped.

They stay under the old name, and whoever makes something of that name later gives them away. PostgreSQL has rights go
with what they are on, so that what is soft-deleted could still be written to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .. import server_errors
from ..quoting import quote
from .rights import Place

if TYPE_CHECKING:
    import datajoint as dj

#: Rights on tables and columns in some databases that are not there.
_LEFT = """
SELECT p.user, p.host, p.db, p.table_name, '', p.table_priv FROM mysql.tables_priv p
LEFT JOIN information_schema.tables t ON t.table_schema = p.db AND t.table_name = p.table_name
WHERE p.db IN ({marks}) AND t.table_name IS NULL AND p.table_priv <> ''
UNION ALL
SELECT p.user, p.host, p.db, p.table_name, p.column_name, p.column_priv FROM mysql.columns_priv p
LEFT JOIN information_schema.columns c
    ON c.table_schema = p.db AND c.table_name = p.table_name AND c.column_name = p.column_name
WHERE p.db IN ({marks}) AND c.column_name IS NULL
"""

#: Rights on some tables and their columns.
_ON = """
SELECT p.user, p.host, p.db, p.table_name, '', p.table_priv FROM mysql.tables_priv p
WHERE (p.db, p.table_name) IN ({marks}) AND p.table_priv <> ''
UNION ALL
SELECT p.user, p.host, p.db, p.table_name, p.column_name, p.column_priv FROM mysql.columns_priv p
WHERE (p.db, p.table_name) IN ({marks}) AND p.column_priv <> ''
"""

#: Rights beyond reading, of others than the owner, on the tables of PostgreSQL whose names begin with something.
_WRITES = """
SELECT n.nspname, c.relname, a.name, a.privilege,
    CASE WHEN r.oid IS NULL THEN 'PUBLIC' ELSE quote_ident(r.rolname) END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT '' AS name, x.grantee, x.privilege_type AS privilege FROM aclexplode(c.relacl) x
    UNION ALL
    SELECT t.attname, x.grantee, x.privilege_type FROM pg_catalog.pg_attribute t
    CROSS JOIN LATERAL aclexplode(t.attacl) x WHERE t.attrelid = c.oid AND NOT t.attisdropped
) a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
WHERE n.nspname IN ({marks}) AND c.relkind IN ('r', 'p') AND starts_with(c.relname, %s)
    AND a.grantee <> c.relowner AND a.privilege <> 'SELECT' AND pg_has_role(c.relowner, 'USAGE')
"""

#: What a statement calls otherwise than the grant tables do.
_OPTION = {"GRANT": "GRANT OPTION"}


def find(connection: dj.Connection, databases: Collection[str]) -> list[tuple[Any, ...]]:
    """Find what is left behind in databases of MySQL: user, host, database, table, column and privileges of each.

    An account that may not see the rights of others finds nothing, nor does anybody where grants are kept otherwise.
    """
    if connection.adapter.backend != "mysql" or not databases:
        return []
    query = _LEFT.format(marks=", ".join(["%s"] * len(databases)))
    try:
        return list(connection.query(query, (*databases, *databases), reconnect=False).fetchall())
    except Exception as error:
        if server_errors.of(error) is server_errors.LOST:
            raise
        return []


def statements(
    found: Collection[tuple[Any, ...]],
    moved: Mapping[Place, Place],
    columns: Mapping[Place, Mapping[str, str]],
) -> Iterator[str]:
    """Give the statements that move what is left behind to the new names, and take away what has none.

    Parameters
    ----------
    found : collection
        What :func:`find` gave.
    moved : mapping
        By database and table before, those after.
    columns : mapping
        By database and table before, the names of columns after by those before.
    """
    for user, host, database, table, column, privileges in found:
        account, old = f"{quote('mysql', user)}@{quote('mysql', host)}", (database, table)
        new = moved.get(old, old)
        renamed = columns.get(old, {}).get(column, column)
        part = f" ({quote('mysql', column)})" if column else ""
        words = [word.upper() for word in privileges.split(",") if word]
        if (new, renamed) != (old, column):
            part_there = f" ({quote('mysql', renamed)})" if column else ""
            listed = ", ".join(f"{word}{part_there}" for word in words if word not in _OPTION) or "USAGE"
            option = " WITH GRANT OPTION" if "GRANT" in words else ""
            yield f"GRANT {listed} ON {quote('mysql', *new)} TO {account}{option}"
        for word in words:
            yield f"REVOKE {_OPTION.get(word, word)}{part} ON {quote('mysql', *old)} FROM {account}"


def rights(connection: dj.Connection, places: Collection[Place]) -> list[tuple[Any, ...]]:
    """Give what anybody has on some tables of MySQL and on their columns, as :func:`find` does."""
    if connection.adapter.backend != "mysql" or not places:
        return []
    marks = ", ".join(["(%s, %s)"] * len(places))
    values = [part for place in sorted(places) for part in place]
    try:
        cursor = connection.query(_ON.format(marks=marks), (*values, *values), reconnect=False)
    except Exception as error:
        if server_errors.of(error) is server_errors.LOST:
            raise
        return []
    return list(cursor.fetchall())


def exchanged(
    before: Collection[tuple[Any, ...]],
    now: Collection[tuple[Any, ...]],
    moved: Mapping[Place, Place],
    columns: Mapping[Place, Mapping[str, str]],
) -> Iterator[str]:
    """Give the statements that have rights follow tables where another one has the name that a table had.

    Parameters
    ----------
    before, now : collection
        What :func:`rights` gave of the places concerned, before the tables were renamed and now.
    moved, columns : mapping
        Where each table is now that was there before, by its place then; and the names of its columns now.
    """
    wanted = {
        (user, host, moved[db, table], columns.get((db, table), {}).get(column, column), word)
        for user, host, db, table, column, word in _words(before)
        if (db, table) in moved
    }
    there = {(user, host, (db, table), column, word) for user, host, db, table, column, word in _words(now)}
    for user, host, place, column, word in sorted(there - wanted):
        part = f" ({quote('mysql', column)})" if column else ""
        on, account = quote("mysql", *place), f"{quote('mysql', user)}@{quote('mysql', host)}"
        yield f"REVOKE {_OPTION.get(word, word)}{part} ON {on} FROM {account}"
    for user, host, place, column, word in sorted(wanted - there):
        part = f" ({quote('mysql', column)})" if column else ""
        on, account = quote("mysql", *place), f"{quote('mysql', user)}@{quote('mysql', host)}"
        passing = " WITH GRANT OPTION" if word in _OPTION else ""
        yield f"GRANT {'USAGE' if passing else word}{part} ON {on} TO {account}{passing}"


def _words(rows: Collection[tuple[Any, ...]]) -> Iterator[tuple[str, str, str, str, str, str]]:
    for *where, privileges in rows:
        user, host, database, table, column = map(str, where)
        for word in str(privileges).split(","):
            yield user, host, database, table, column, word.upper()


def closing(connection: dj.Connection, databases: Collection[str], beginning: str) -> list[str]:
    """Give the statements that leave others than the owner no right but to read the tables whose names begin with
    something, on PostgreSQL; on MySQL, rights stayed under the names of before.
    """
    if connection.adapter.backend != "postgresql" or not databases:
        return []
    query = _WRITES.format(marks=", ".join(["%s"] * len(databases)))
    rows = connection.query(query, (*databases, beginning), reconnect=False).fetchall()
    parts = {column: f" ({quote('postgresql', column)})" if column else "" for _, _, column, _, _ in rows}
    return [
        f"REVOKE {privilege}{parts[column]} ON {quote('postgresql', schema, table)} FROM {holder}"
        for schema, table, column, privilege, holder in rows
    ]
