"""Who uses a database with DataJoint 0.14, as far as the server tells this account.

Sessions do not say which version they are of, so they are known by statements that no later version sends. The server
keeps the last ten of each session.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .. import server_errors
from ..quoting import quoter

if TYPE_CHECKING:
    import datajoint as dj

#: The table of jobs of 0.14, one a schema.
JOBS = "~jobs"

#: How 0.14 asks for a table, and for whether it is there.
_SENT = r"""^SHOW TABLE STATUS FROM `[^`]+` WHERE name="|^SHOW TABLES in `[^`]+` LIKE """ + '"'

_SESSIONS = """
SELECT DISTINCT CONCAT(t.processlist_user, '@', t.processlist_host, ', session ', t.processlist_id)
FROM performance_schema.threads t JOIN (
    SELECT thread_id, sql_text FROM performance_schema.events_statements_history
    UNION ALL SELECT thread_id, sql_text FROM performance_schema.events_statements_current
) s ON s.thread_id = t.thread_id
WHERE t.processlist_id <> CONNECTION_ID() AND REGEXP_LIKE(s.sql_text, %s, 'i') AND ({named})
"""


def sessions(connection: dj.Connection, databases: Mapping[str, str]) -> list[str]:
    """Name the sessions of 0.14 that asked for tables of some databases; none where that cannot be seen."""
    if connection.adapter.backend != "mysql" or not databases:
        return []
    named = " OR ".join(["INSTR(s.sql_text, %s)"] * len(databases))
    marks = [f"`{database}`" for database in databases.values()]
    try:
        rows = connection.query(_SESSIONS.format(named=named), (_SENT, *marks), reconnect=False).fetchall()
    except Exception as error:
        if not server_errors.of(error):
            raise
        return []  # an account may have no rights on what tells it
    return sorted(str(who) for (who,) in rows)


def workers(connection: dj.Connection, databases: Mapping[str, str]) -> dict[str, list[str]]:
    """Name who has reserved jobs in the tables of jobs of 0.14, by schema."""
    if connection.adapter.backend != "mysql" or not databases:
        return {}
    marks = ", ".join(["%s"] * len(databases))
    query = f"SELECT table_schema FROM information_schema.tables WHERE table_name = %s AND table_schema IN ({marks})"
    there = {str(name) for (name,) in connection.query(query, (JOBS, *databases.values()), reconnect=False).fetchall()}
    found = {}
    for schema, database in databases.items():
        if database in there:
            sql = (
                f"SELECT DISTINCT CONCAT(user, ', process ', pid, ' on ', host) FROM {quoter(connection)(database)}."
                f"{quoter(connection)(JOBS)} WHERE status = 'reserved'"
            )
            rows = connection.query(sql, args=None, reconnect=False).fetchall()
            found[schema] = sorted(str(who) for (who,) in rows)
    return {schema: who for schema, who in found.items() if who}
