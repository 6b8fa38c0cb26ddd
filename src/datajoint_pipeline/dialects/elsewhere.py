"""Which databases of a server have some tables, whatever they are called; an account is told what it may see."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datajoint as dj


def databases_with(connection: dj.Connection, wanted: Mapping[str, Set[str]]) -> dict[str, list[str]]:
    """Find the databases that have all tables of a schema, by schema, with one query.

    Parameters
    ----------
    connection : Connection
        Where to look.
    wanted : mapping
        The names of the tables of each schema, as servers have them.
    """
    names = sorted({name for tables in wanted.values() for name in tables})
    if not names:
        return {}
    marks = ", ".join(["%s"] * len(names))
    query = f"SELECT table_schema, table_name FROM information_schema.tables WHERE table_name IN ({marks})"
    there: dict[str, set[str]] = {}
    for database, table in connection.query(query, tuple(names), reconnect=False).fetchall():
        there.setdefault(str(database), set()).add(str(table))
    found = {
        schema: sorted(d for d, have in there.items() if tables and tables <= have) for schema, tables in wanted.items()
    }
    return {schema: databases for schema, databases in found.items() if databases}
