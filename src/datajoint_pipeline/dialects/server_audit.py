"""Whether a server keeps an audit log of its own, as far as an account can see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datajoint as dj

#: The plugins and components of MySQL, Percona and MariaDB, by how their names and those of their settings begin.
_MYSQL = (
    "SELECT plugin_name FROM information_schema.plugins WHERE plugin_status = 'ACTIVE' "
    "AND (plugin_name LIKE 'audit\\_log%' OR plugin_name LIKE 'server\\_audit%') "
    "UNION SELECT SUBSTRING_INDEX(variable_name, '.', 1) FROM performance_schema.global_variables "
    "WHERE variable_name LIKE 'audit\\_log\\_filter.%'"
)
_COMPONENTS = "SELECT component_urn FROM mysql.component WHERE component_urn LIKE '%audit\\_log%'"

#: What pgAudit logs can be seen by all, where it is loaded; which libraries are loaded by some.
_POSTGRESQL = (
    "SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN ('pgaudit.log', 'shared_preload_libraries')"
)


def told(connection: dj.Connection) -> str:
    """Say in a sentence whether the server's own audit log is on, or that this account cannot see it."""
    return (_of_mysql if connection.adapter.backend == "mysql" else _of_postgresql)(connection)


def _of_mysql(connection: dj.Connection) -> str:
    found, hidden = list[str](), False
    for query in (_MYSQL, _COMPONENTS):
        try:
            found += [str(name) for (name,) in connection.query(query, args=None, reconnect=False).fetchall()]
        except Exception:  # each needs a right of its own
            hidden = True
    if found:
        return f"The server has an audit log of its own: {', '.join(dict.fromkeys(found))}."
    if hidden:
        return "The server shows this account no audit log of its own; it may have one (docs/audit.md)."
    return "The server has no audit log of its own (docs/audit.md)."


def _of_postgresql(connection: dj.Connection) -> str:
    found = dict(connection.query(_POSTGRESQL, args=None, reconnect=False).fetchall())
    if "pgaudit.log" in found:
        logged = found["pgaudit.log"]
        return f"The server has an audit log of its own: pgAudit, with pgaudit.log = {logged}."
    if "shared_preload_libraries" not in found:
        return "The server shows this account no pgAudit; it may not see which libraries are loaded (docs/audit.md)."
    if "pgaudit" in found["shared_preload_libraries"]:
        return "The server has loaded pgAudit, and it is not set up in this database."
    return "The server has no audit log of its own: pgAudit is not loaded (docs/audit.md)."
