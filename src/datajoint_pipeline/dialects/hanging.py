"""What hangs on tables that DataJoint does not know of: triggers, views, tables of others that refer to them."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from ..internals.connection import rows_of
from .introspection import Place
from .mysql.auditing import OURS as MYSQL_AUDIT
from .postgresql.auditing import OURS as POSTGRESQL_AUDIT

if TYPE_CHECKING:
    import datajoint as dj

#: Each has the tables three times, and in the last place the databases whose visible tables are the pipeline's own.
_MYSQL = f"""
SELECT CONCAT('trigger ', trigger_name, ' on ', event_object_schema, '.', event_object_table)
FROM information_schema.triggers WHERE (event_object_schema, event_object_table) IN ({{tables}}) AND NOT {MYSQL_AUDIT}
UNION SELECT CONCAT('view ', view_schema, '.', view_name)
FROM information_schema.view_table_usage WHERE (table_schema, table_name) IN ({{tables}})
UNION SELECT CONCAT('table ', table_schema, '.', table_name)
FROM information_schema.key_column_usage WHERE (referenced_table_schema, referenced_table_name) IN ({{tables}})
AND (LEFT(table_name, 1) = '~' OR table_schema NOT IN ({{databases}}))
"""

_POSTGRESQL = f"""
SELECT 'trigger ' || g.tgname || ' on ' || n.nspname || '.' || c.relname
FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT g.tgisinternal AND (n.nspname::text, c.relname::text) IN ({{tables}}) AND NOT {POSTGRESQL_AUDIT}
UNION SELECT 'view ' || vn.nspname || '.' || v.relname
FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite w ON d.classid = 'pg_catalog.pg_rewrite'::regclass
AND w.oid = d.objid JOIN pg_catalog.pg_class v ON v.oid = w.ev_class AND v.relkind IN ('v', 'm')
JOIN pg_catalog.pg_namespace vn ON vn.oid = v.relnamespace
JOIN pg_catalog.pg_class c ON d.refclassid = 'pg_catalog.pg_class'::regclass AND c.oid = d.refobjid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE (n.nspname::text, c.relname::text) IN ({{tables}})
UNION SELECT 'table ' || cn.nspname || '.' || child.relname
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class child ON child.oid = k.conrelid
JOIN pg_catalog.pg_namespace cn ON cn.oid = child.relnamespace
JOIN pg_catalog.pg_class c ON c.oid = k.confrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND (n.nspname::text, c.relname::text) IN ({{tables}})
AND (LEFT(child.relname, 1) = '~' OR cn.nspname NOT IN ({{databases}}))
"""


def on(connection: dj.Connection, places: Collection[Place], databases: Collection[str]) -> list[str]:
    """Name what hangs on some tables and is no table of the pipeline; triggers of the audit are left out.

    Parameters
    ----------
    connection : datajoint.Connection
        Where to look; an account is told what it may see.
    places : collection of (str, str)
        Database and table of each.
    databases : collection of str
        Those of the pipeline. What is hidden in them, as what was soft-deleted, is named.
    """
    if not places:
        return []
    query = (_MYSQL if connection.adapter.backend == "mysql" else _POSTGRESQL).replace("%", "%%")
    tables, own = ", ".join(["(%s, %s)"] * len(places)), ", ".join(["%s"] * len(databases))
    values = [part for place in places for part in place]
    found = rows_of(connection, query.format(tables=tables, databases=own), *values, *values, *values, *databases)
    return sorted(str(name) for (name,) in found)
