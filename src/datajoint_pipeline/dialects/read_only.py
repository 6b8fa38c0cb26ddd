"""Whether a server, or what is set for an account, lets a session change nothing: a migration would be refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import server_errors

if TYPE_CHECKING:
    import datajoint as dj

#: PostgreSQL's is also on where the server follows another one. ``read_only`` of MySQL holds for some accounts only.
_ASKED = {
    "mysql": "SELECT @@GLOBAL.super_read_only OR @@SESSION.transaction_read_only",
    "postgresql": "SELECT current_setting('transaction_read_only') = 'on'",
}


def warning(connection: dj.Connection) -> str:
    """Say that the session can change nothing, and what to do; nothing where it can."""
    (found,) = connection.query(_ASKED[connection.adapter.backend], args=None, reconnect=False).fetchone()
    return f"{server_errors.READ_ONLY.what} {server_errors.READ_ONLY.do}; nothing can be done before." if found else ""
