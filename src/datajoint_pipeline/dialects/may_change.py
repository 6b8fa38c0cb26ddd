"""Which rights an account of MySQL lacks for statements that are still to run, so that none is refused half-way.

PostgreSQL runs them in one transaction, as the owner of the tables, who lacks none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from .. import server_errors
from ..quoting import quote

if TYPE_CHECKING:
    import datajoint as dj

#: What asks for a right: a statement that fails in any case, for want of the right or else of the table, or by a
#: column that is there twice. What the grants say would have to be worked out of roles and patterns.
_ASKING = {
    "ALTER": "ALTER TABLE {0} ADD COLUMN a int",
    "CREATE": "CREATE TABLE {0} (a int, a int)",
    "DELETE": "DELETE FROM {0}",
    "DROP": "DROP TABLE {0}",
    "INDEX": "CREATE INDEX a ON {0} (a)",
    "INSERT": "INSERT INTO {0} VALUES (1)",
    "REFERENCES": "CREATE TABLE {0} (a int, a int, FOREIGN KEY (a) REFERENCES {0} (a))",
    "UPDATE": "UPDATE {0} SET a = 1",
}

#: A table that there never is.
_ABSENT = "~may_change"

#: What a statement begins with, and the rights that it needs on the databases that it names.
_NEEDED = (
    (r"ALTER TABLE", ("ALTER",)),
    (r"RENAME TABLE", ("ALTER", "DROP", "CREATE", "INSERT")),
    (r"CREATE TABLE", ("CREATE",)),
    (r"DROP TABLE", ("DROP",)),
    (r"(?:CREATE|DROP)\b[^`]*\bINDEX", ("INDEX",)),
    (r"INSERT|REPLACE", ("INSERT",)),
    (r"UPDATE", ("UPDATE",)),
    (r"DELETE", ("DELETE",)),
)

_NAME = r"`((?:[^`]|``)+)`\.`"


#: What it takes to record a run.
_RECORDING = ("CREATE", "INSERT", "UPDATE")


def lacking(connection: dj.Connection, statements: Iterable[str], recorded: Iterable[str]) -> list[str]:
    """Find the rights that the account lacks for statements, each with its database: ``DROP on dev_lab``.

    An account with rights on single tables of a database is not asked about that one.

    Parameters
    ----------
    connection : datajoint.Connection
        The account's.
    statements : iterable of str
        What is to be run.
    recorded : iterable of str
        The databases whose journals are written.
    """
    wanted = {(database, right) for database in recorded for right in _RECORDING}
    wanted |= {pair for statement in statements for pair in _needed(statement)}
    by_table = {
        database
        for (database,) in connection.query(
            "SELECT table_schema FROM information_schema.table_privileges UNION "
            "SELECT table_schema FROM information_schema.role_table_grants",
            args=None,
            reconnect=False,
        )
    }
    found = [pair for pair in sorted(wanted) if pair[0] not in by_table and _denied(connection, *pair)]
    return [f"{right} on {database}" for database, right in found]


def _needed(statement: str) -> Iterator[tuple[str, str]]:
    """Give the databases that a statement changes, each with a right that it needs there."""
    target, *parents = re.split(r"\bREFERENCES (?=`)", statement)
    for begin, rights in _NEEDED:
        if re.match(begin, statement):
            names = re.findall(_NAME, target)
            # A statement on rows changes those of the table that it names first, and reads the others.
            for database in names if begin == "RENAME TABLE" else names[:1]:
                yield from ((database, right) for right in rights)
            yield from ((name, "REFERENCES") for parent in parents for name in re.findall(f"^{_NAME}", parent))


def _denied(connection: dj.Connection, database: str, right: str) -> bool:
    table = f"{quote('mysql', database)}.{quote('mysql', _ABSENT)}"
    try:
        # Whoever reads along in the server's log need not wonder.
        asking = f"/* asks for a right, and fails */ {_ASKING[right].format(table)}"
        connection.query(asking, args=None, reconnect=False)
    except Exception as error:
        found = server_errors.of(error)
        if found is server_errors.LOST:
            raise
        return found is server_errors.ACCESS
    return False
