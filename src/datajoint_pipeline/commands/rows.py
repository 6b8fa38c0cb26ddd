"""`log --rows`: who did what with the rows of one table, when, and from which commit, by all records that there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .. import server_errors
from ..dialects import auditing, catalog
from ..errors import ExitCode, PipelineError
from ..internals import hidden_rows, job_tables
from ..journal import audit
from ..operations.origins import resolved
from ..project.environments import Environment
from ..project.pipeline import Pipeline
from ..schema import definition
from ..schema.model import Table, TableName

if TYPE_CHECKING:
    import datajoint as dj

#: The records that there may be, and what each tells.
RECORDS = {
    "_prov": "who entered a row, by DataJoint's client",
    "_job": "when a row was computed, and from which commit",
    "~audit": "every insert, update and delete, by the server",
}

THERE, ABSENT, DENIED = "there", "absent", "denied"


@dataclass(frozen=True)
class Event:
    """Something that was done with a row.

    Parameters
    ----------
    at : datetime or None
        When, in UTC without time zone; of ``_job`` by the clock of the machine that computed.
    who : str
        The account; empty where the record does not tell.
    operation : str
        ``insert``, ``compute``, ``update``, ``delete``, ``truncate`` or ``rename``.
    commit : str
        The short git commit; empty where the record does not tell.
    record : str
        One of :data:`RECORDS`.
    key : dict
        The row's primary key, as far as the record has it.
    more : dict
        What else the record tells.
    """

    at: datetime | None
    who: str
    operation: str
    commit: str
    record: str
    key: dict[str, Any]
    more: dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """What is known of the rows of a table: which records there are, and what they tell, the newest last."""

    table: TableName
    records: dict[str, str]
    events: list[Event]


def rows(pipeline: Pipeline, environment: Environment, text: str, key: Iterable[str] = (), limit: int = 50) -> Rows:
    """Read the records of the rows of a table together.

    Parameters
    ----------
    pipeline, environment : Pipeline, Environment
        Where.
    text : str
        The table, as the code names it: ``subject.Subject``.
    key : iterable of str
        Values of attributes of the primary key, each as ``attribute=value``.
    limit : int
        How many events at most; the newest.

    Raises
    ------
    PipelineError
        If there is no such table, or no such attribute in its primary key.
    """
    target = pipeline.target(environment)
    connection = target.connection
    tables = {t.name: t for shape in catalog.read(connection, target.databases).values() for t in shape}
    table = tables[find(tables, text)]
    types = {name: resolved(tables, table.name, name) for name in table.primary_key}
    given = dict(part_of_key(part, table) for part in key)
    place = (target.database(table.name.schema), table.name.table)
    events = [
        Event(told.at, told.who, "insert" if column == hidden_rows.ENTERED else "compute", told.commit, record, *rest)
        for column, told in hidden_rows.read(connection, place, table.attribute, types, given, limit)
        for record, rest in [("_prov" if column == hidden_rows.ENTERED else "_job", (told.key, told.more))]
    ]
    records = {
        "_prov": THERE if hidden_rows.ENTERED in table.attribute else ABSENT,
        "_job": THERE if hidden_rows.STARTED in table.attribute else ABSENT,
    }
    records["~audit"], audited = _audited(connection, place, given, limit)
    for entry in audited:
        row = entry.new or entry.old
        named = {name: row[name] for name in table.primary_key if name in row}
        more = {side: value for side, value in (("old", entry.old), ("new", entry.new)) if value}
        events.append(Event(entry.at, entry.login, entry.operation, "", "~audit", named, more))
    # The computing machine's clock and the others' are set side by side as they are.
    events.sort(key=lambda event: event.at or datetime.min)
    return Rows(table.name, records, events[-limit:])


def _audited(
    connection: dj.Connection, place: tuple[str, str], given: dict[str, str], limit: int
) -> tuple[str, list[audit.Entry]]:
    """Tell whether there is an audit of a schema that has the table, and give its entries."""
    if (place[0], auditing.TABLE) not in job_tables.every_table(connection, (place[0],)):
        return ABSENT, []
    try:
        found = audit.read(connection, place, given, limit)
    except Exception as error:
        if server_errors.of(error) is server_errors.ACCESS:
            return DENIED, []
        raise
    return THERE, found


def find(tables: dict[TableName, Table], text: str) -> TableName:
    """Find a table by what a person calls it.

    Raises
    ------
    PipelineError
        If there is none, or there are several.
    """
    found = definition.Titles(tables).everywhere(text)
    if len(found) == 1:
        return found[0]
    raise PipelineError(
        f"There is no table {text} in the database." if not found else f"{text} may be one of several tables.",
        f"It has {_several(sorted(map(str, found or tables)))}.",
        "Name the class with its schema: subject.Subject.",
        exit_code=ExitCode.USAGE,
    )


def _several(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}" if names else "no tables"


def part_of_key(text: str, table: Table) -> tuple[str, str]:
    """Read ``attribute=value`` of the primary key of a table.

    Raises
    ------
    PipelineError
        If it is not of that form, or there is no such attribute.
    """
    name, sign, value = text.partition("=")
    if sign and name.strip() in table.primary_key:
        return name.strip(), value.strip()
    raise PipelineError(
        f"{text!r} is not part of a key of {table.name}.",
        f"Its primary key is ({', '.join(table.primary_key)}).",
        f"Say --key {table.primary_key[0]}=VALUE, once for each attribute.",
        exit_code=ExitCode.USAGE,
    )
