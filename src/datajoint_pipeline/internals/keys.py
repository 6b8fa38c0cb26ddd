"""Restrictions by the key of a row, which also find what DataJoint's own do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..quoting import quoter

if TYPE_CHECKING:
    import datajoint as dj


def restriction(table: dj.Table, key: Mapping[str, Any]) -> Any:
    """Give what restricts a table to the row with a key.

    DataJoint compares a float of four bytes with a number of eight, and on PostgreSQL doubles backslashes in texts.
    """
    from datajoint.condition import AndList

    postgresql = table.connection.adapter.backend == "postgresql"
    quote, attributes = quoter(table.connection), table.heading
    hard: dict[str, str] = {}
    for name, value in key.items():
        if isinstance(value, float) and attributes[name].type in ("float", "real"):
            hard[name] = f"CAST({value!r} AS {'REAL' if postgresql else 'FLOAT'})"
        elif postgresql and isinstance(value, str) and "\\" in value:
            doubled = value.replace("\\", "\\\\").replace("'", "''")
            hard[name] = f"E'{doubled}'"
    if not hard:
        return dict(key)
    easy = {name: value for name, value in key.items() if name not in hard}
    # DataJoint looks for the attributes of a condition, and overlooks those in double quotes.
    return AndList([easy, *(f"{quote(name)} = {value} /* {name} */" for name, value in hard.items())])
