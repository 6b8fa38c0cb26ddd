"""Name the rows that have no parent where a step of MySQL fails for them, and the statement that takes them out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..planner.steps import LockedStatements, PlannedStep

if TYPE_CHECKING:
    import datajoint as dj

#: How many of the rows are shown.
_SHOWN = 3


def of(connection: dj.Connection, step: PlannedStep) -> tuple[str, str] | None:
    """Give what is wrong with the rows that a step needs parents for, and what to do; None where nothing is."""
    for child, parent, listed, source in step.orphans if isinstance(step, LockedStatements) else ():
        count = connection.query(f"SELECT COUNT(*) {source}", args=None, reconnect=False).fetchone()[0]
        if count:
            sql = f"SELECT {listed} {source} LIMIT {_SHOWN}"
            rows = connection.query(sql, args=None, reconnect=False).fetchall()
            keys = ", ".join(f"({', '.join(map(str, row))})" for row in rows) + ", …" * (count > _SHOWN)
            rows_of, have = ("row of", "has") if count == 1 else ("rows of", "have")
            listed = listed.replace("c.", "").replace("`", "")
            why = f"{count} {rows_of} {child} ({listed}) {have} no row of {parent}: {keys}"
            return why, f"Insert the rows of {parent} again, or delete these: DELETE {source}"
    return None
