"""What DataJoint keeps beside rows in hidden columns: who entered a row, and when one was computed and from which code.

It fetches none of these columns, so they are asked for by SQL.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ..quoting import quoter

if TYPE_CHECKING:
    import datajoint as dj

#: The hidden columns: of rows that came from outside, and of rows that were computed.
ENTERED, STARTED, VERSION = "_prov", "_job_start_time", "_job_version"


@dataclass(frozen=True)
class Told:
    """What a hidden column tells of one row.

    Parameters
    ----------
    at : datetime or None
        When; in UTC without time zone for ``_prov``, by the clock of the machine that computed for ``_job_``.
    who : str
        The account; empty where the column does not tell.
    commit : str
        The short git commit of the code; empty where the column does not tell.
    key : dict
        The row's primary key.
    more : dict
        What else it tells: ``source`` and ``context``.
    """

    at: datetime | None
    who: str
    commit: str
    key: dict[str, Any]
    more: dict[str, Any]


def condition(connection: dj.Connection, given: Mapping[str, str], types: Mapping[str, str]) -> tuple[str, list[str]]:
    """Give the condition that attributes have values as a person writes them, and its arguments.

    Parameters
    ----------
    connection : datajoint.Connection
        Whose server.
    given : mapping
        Values by attribute.
    types : mapping
        DataJoint's types by attribute.
    """
    quote, mysql = quoter(connection), connection.adapter.backend == "mysql"
    parts = []
    for name in given:
        text = f"CAST({quote(name)} AS {'CHAR' if mysql else 'text'})"
        if mysql and types.get(name) == "uuid":
            text = f"BIN_TO_UUID({quote(name)})"
        parts.append(f"{text} = %s")
    return " AND ".join(parts) or "TRUE", list(given.values())


def read(
    connection: dj.Connection,
    place: tuple[str, str],
    columns: Iterable[str],
    types: Mapping[str, str],
    given: Mapping[str, str],
    limit: int,
) -> Iterator[tuple[str, Told]]:
    """Read what the hidden columns of a table tell, of the last rows by the time in each of them.

    Parameters
    ----------
    connection : datajoint.Connection
        Where to read.
    place : (str, str)
        Database and table.
    columns : iterable of str
        Those of :data:`ENTERED` and :data:`STARTED` that the table has.
    types : mapping
        DataJoint's types by attribute of the primary key, in its order.
    given : mapping
        Values of attributes of the key, as a person writes them.
    limit : int
        How many rows of each.

    Yields
    ------
    (str, Told)
        The column, and what it tells of a row; the last comes first.
    """
    quote = quoter(connection)
    where, arguments = condition(connection, given, types)
    key = list(types)
    listed = "".join(f", {quote(name)}" for name in key)
    for column, tells in ((ENTERED, _entered), (STARTED, _computed)):
        if column not in columns:
            continue
        what = f"{quote(column)}, {quote(VERSION) if column == STARTED else 'NULL'}"
        order = quote(column) if column == STARTED else _time(connection, quote(column))
        query = (
            f"SELECT {what}{listed} FROM {quote(*place)} WHERE {quote(column)} IS NOT NULL AND {where} "
            f"ORDER BY {order} DESC LIMIT {limit}"
        )
        for value, version, *values in connection.query(query, tuple(arguments)).fetchall():
            named = {name: plain(one, types[name]) for name, one in zip(key, values, strict=True)}
            yield column, tells(value, version, named)


def _time(connection: dj.Connection, column: str) -> str:
    if connection.adapter.backend == "mysql":
        return f"JSON_UNQUOTE(JSON_EXTRACT({column}, '$.time'))"
    return f"{column}::jsonb ->> 'time'"


def _entered(value: Any, version: Any, key: dict[str, Any]) -> Told:
    found = document(value)
    agent = found.get("agent") if isinstance(found.get("agent"), dict) else {}
    who = "@".join(str(agent[part]) for part in ("user", "host") if agent and agent.get(part))
    more = {name: found[name] for name in ("source", "context") if found.get(name)}
    return Told(moment(found.get("time")), who, str(found.get("version") or ""), key, more)


def _computed(value: Any, version: Any, key: dict[str, Any]) -> Told:
    return Told(value if isinstance(value, datetime) else moment(value), "", str(version or ""), key, {})


def document(value: Any) -> dict[str, Any]:
    """Give a JSON document as the drivers return it; empty where it is none, as anybody may have written it."""
    try:
        found = json.loads(value) if isinstance(value, str | bytes) else value
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def moment(value: Any) -> datetime | None:
    """Give a moment in UTC without time zone; None where a text is none."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found.astimezone(timezone.utc).replace(tzinfo=None) if found.tzinfo else found


def plain(value: Any, type_: str) -> Any:
    """Give a value of a key as people and JSON have it."""
    if type_ == "uuid" and isinstance(value, bytes):
        return str(UUID(bytes=value))
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
