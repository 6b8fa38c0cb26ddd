"""Read what was done with the rows of an audited table, by all the names that the table has had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..dialects.auditing import COLUMNS, RENAME, TABLE
from ..internals.hidden_rows import document
from ..quoting import quoted

if TYPE_CHECKING:
    import datajoint as dj

#: Database and table.
Place = tuple[str, str]


@dataclass(frozen=True)
class Entry:
    """One thing that was done with a row, or with the name of the table.

    Parameters
    ----------
    id : int
        Its number in the schema.
    table : str
        The table's name on the server then.
    at : datetime
        When, in UTC without time zone.
    login : str
        The account that logged in.
    operation : str
        ``insert``, ``update``, ``delete``, ``truncate`` (PostgreSQL alone) or ``rename``.
    old, new : dict
        The row before and after, or the place; empty where there is none.
    """

    id: int
    table: str
    at: datetime
    login: str
    operation: str
    old: dict[str, Any]
    new: dict[str, Any]


def read(connection: dj.Connection, place: Place, given: Mapping[str, str], limit: int) -> list[Entry]:
    """Read the last entries of a table, the newest last.

    Parameters
    ----------
    connection : datajoint.Connection
        Where to read.
    place : (str, str)
        Database and name of the table now.
    given : mapping
        Values of attributes, as a person writes them; all rows where it is empty.
    limit : int
        How many entries.
    """
    found: list[Entry] = []
    for where, since, until in _spans(connection, place):
        found += _entries(connection, where, given, since, until, limit)
    return sorted(found, key=lambda entry: (entry.at, entry.id))[-limit:]


def _spans(connection: dj.Connection, place: Place) -> Iterator[tuple[Place, int, int | None]]:
    """Give the places that a table has had, the last first, each with the numbers between which it was there.

    The name may have been another table's before.
    """
    until: int | None = None
    while True:
        known = [one for one in _renames(connection, place[0]) if place in (one.old, one.new)]
        known = [one for one in known if until is None or one.id < until]
        last = max(known, key=lambda one: one.id, default=None)
        yield place, last.id if last else 0, until
        if last is None or last.new != place:
            return
        if last.old[0] == place[0]:
            until = last.id
        else:  # which the schema that it came from has recorded, too
            same = [one for one in _renames(connection, last.old[0]) if (one.old, one.new) == (last.old, last.new)]
            moment = last.at
            until = min(same, key=lambda one: abs(one.at - moment)).id if same else None
        place = last.old


@dataclass(frozen=True)
class _Rename:
    id: int
    at: datetime
    old: Place
    new: Place


def _renames(connection: dj.Connection, database: str) -> list[_Rename]:
    query = f"SELECT id, at, old, new FROM {quoted(connection, database, TABLE)} WHERE operation = '{RENAME}'"
    rows = connection.query(query, args=None).fetchall()
    return [_Rename(number, at, _place(document(old)), _place(document(new))) for number, at, old, new in rows]


def _place(found: Mapping[str, Any]) -> Place:
    return str(found.get("database", "")), str(found.get("table", ""))


def _entries(
    connection: dj.Connection,
    place: Place,
    given: Mapping[str, str],
    since: int,
    until: int | None,
    limit: int,
) -> list[Entry]:
    mysql = connection.adapter.backend == "mysql"
    parts, arguments = ["table_name = %s", "id >= %s"], list[Any]([place[1], since])
    if until is not None:
        parts.append("id < %s")
        arguments.append(until)
    for name, value in given.items():
        # A name goes into a path of MySQL in quotes of its own.
        path = '$."' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' if mysql else name
        get = "JSON_UNQUOTE(JSON_EXTRACT({}, %s))" if mysql else "{} ->> %s"
        spelled = _spellings(value)
        marks = ", ".join(["%s"] * len(spelled))
        either = " OR ".join(f"{get.format(column)} IN ({marks})" for column in ("old", "new"))
        parts.append(f"({either})")
        arguments += [path, *spelled] * 2
    query = (
        f"SELECT {', '.join(COLUMNS)} FROM {quoted(connection, place[0], TABLE)} "
        f"WHERE {' AND '.join(parts)} ORDER BY id DESC LIMIT {limit}"
    )
    rows = connection.query(query, tuple(arguments)).fetchall()
    return [Entry(i, t, at, login, what, document(old), document(new)) for i, t, at, login, what, old, new in rows]


def _spellings(value: str) -> list[str]:
    """Give how the servers' JSON may write a value that a person wrote."""
    return list(dict.fromkeys((value, value.replace(" ", "T", 1), f"{value}.000000", value.lower())))
