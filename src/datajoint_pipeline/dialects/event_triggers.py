"""Event triggers of PostgreSQL: functions that run with statements of some kinds, whatever table these are about.

They may refuse them, or do more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from ..internals.connection import rows_of

if TYPE_CHECKING:
    import datajoint as dj

#: Those that run in a session of ours, with their kinds of statements, where not all.
_ENABLED = """
SELECT t.evtname::text, t.evtevent::text, array_to_string(t.evttags, ',') FROM pg_catalog.pg_event_trigger t
WHERE t.evtenabled IN ('O', 'A') AND t.evtevent <> 'login' ORDER BY t.evtname
"""

#: What a statement is, as the server calls it, also one within a block.
_KIND = re.compile(
    r"\b(CREATE|ALTER|DROP) (?:OR REPLACE |UNIQUE |TEMPORARY )*(MATERIALIZED VIEW|[A-Z]+)\b|\b(COMMENT|GRANT|REVOKE)\b"
)
_DROPS = re.compile(r"\bDROP\b")


class Sent(NamedTuple):
    """Text of a statement, and whether the server writes a table anew for it."""

    text: str
    rewrites: bool


def firing(connection: dj.Connection, statements: Iterable[Sent]) -> list[str]:
    """Name the event triggers that statements make run, each with its event.

    Parameters
    ----------
    connection : datajoint.Connection
        Where to look.
    statements : iterable of Sent
        What is to be run.
    """
    if connection.adapter.backend == "mysql":
        return []
    enabled = rows_of(connection, _ENABLED)
    events = _events(statements) if enabled else {}
    return [
        f"{name} ({event})"
        for name, event, kinds in enabled
        if (found := events.get(event)) and (kinds is None or not found.isdisjoint(kinds.split(",")))
    ]


def _events(statements: Iterable[Sent]) -> dict[str, set[str]]:
    """Give the kinds of statements by the event that they are."""
    events: dict[str, set[str]] = {}
    for statement in statements:
        text = statement.text.upper()
        kinds = {f"{verb} {what}" if verb else alone for verb, what, alone in _KIND.findall(text)}
        for event in ("ddl_command_start", "ddl_command_end"):
            events.setdefault(event, set()).update(kinds)
        if _DROPS.search(text):
            events.setdefault("sql_drop", set()).update(kinds)
        if statement.rewrites:
            events.setdefault("table_rewrite", set()).update(kinds & {"ALTER TABLE", "ALTER TYPE"})
    return events
