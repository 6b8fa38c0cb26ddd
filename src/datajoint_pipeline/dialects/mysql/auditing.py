"""The audit of tables on MySQL: a trigger for each event, and what keeps everybody else from a table meanwhile.

A trigger of MySQL has the names of columns in it, so it must be made anew where these change, and nothing does so
together with the change. So before the triggers go, others come that refuse every write of whoever does not hold the
pipeline's lock, and these go when the new ones are there. Killed at any moment, a write is refused or recorded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from ...quoting import quote as quoted
from ...schema.naming import shorten
from ..auditing import BEGIN, COLUMNS, TABLE, recorded
from ..introspection import Place
from ..steps import Column, Step
from .texts import literal

if TYPE_CHECKING:
    import datajoint as dj

    from ...schema.model import TableName

EVENTS = ("insert", "update", "delete")

#: What the names of triggers begin with: of those that record, and of those that refuse.
_AUDIT, _HOLD = "~audit_", "~hold_"

_INTO = f"({', '.join(COLUMNS[1:])})"

#: The condition on ``information_schema.triggers`` that one is of this module. A name alone says nothing.
OURS = (
    f"(trigger_name REGEXP '^~(audit|hold)_(insert|update|delete)_' AND (LOCATE('`{TABLE}` {_INTO}', action_statement) "
    "> 0 OR LOCATE('BEGIN IF NOT (IS_USED_LOCK(', action_statement) = 1))"
)

#: What each trigger begins with. Everybody may set ``insert_id`` in a session, and the next entry would have it as its
#: number: after the highest there is, no entry could be written by anybody, and so no row.
_START = (
    "DECLARE moment char(36) DEFAULT UUID(); IF @@SESSION.insert_id <> 0 THEN SIGNAL SQLSTATE '45000' SET "
    "MESSAGE_TEXT = 'This table is audited; SET insert_id = 0 before you write to it.'; END IF;"
)

#: When an entry is written, in UTC: the time in a UUID, in tenths of microseconds since 1582. Everybody may set
#: ``timestamp`` in a session, and ``UTC_TIMESTAMP`` gives that.
_NOW = (
    "TIMESTAMP('1970-01-01') + INTERVAL (CAST(CONV(CONCAT(SUBSTR(moment, 16, 3), SUBSTR(moment, 10, 4), "
    "LEFT(moment, 8)), 16, 10) AS SIGNED) - 122192928000000000) DIV 10 MICROSECOND"
)

#: What the name of a table ends in while it moves to another schema.
_MOVING = "_moving"

_BINARY = re.compile(r"bytes|.*(blob|binary)|bit\b", re.IGNORECASE)


def _q(*names: str) -> str:
    return quoted("mysql", *names)


def audited(connection: dj.Connection, databases: Iterable[str]) -> set[Place]:
    """Find the tables that have triggers of this module."""
    marks = ", ".join(map(literal, databases))
    query = (
        "SELECT DISTINCT event_object_schema, event_object_table FROM information_schema.triggers "
        f"WHERE event_object_schema IN ({marks}) AND {OURS}"
    )
    return {(str(d), str(t)) for d, t in connection.query(query, args=None, reconnect=False).fetchall()}


def made(database: str) -> list[Step]:
    """Make the table of a schema where it is missing."""
    sql = (
        f"CREATE TABLE IF NOT EXISTS {_q(database, TABLE)} (id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, "
        "table_name varchar(64) NOT NULL, at datetime(6) NOT NULL, login varchar(320) NOT NULL, "
        "operation varchar(16) NOT NULL, old json, new json, KEY (table_name, id), KEY (operation)) "
        "ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    )
    return [Step(sql, (), f"make {TABLE} in {database}")]


def off(place: Place, name: TableName, lock: str) -> list[Step]:
    """Refuse the writes of others to a table, then take its triggers away.

    Parameters
    ----------
    place : Place
        Where the table is.
    name : TableName
        What it is called afterwards.
    lock : str
        What the pipeline's lock is called on the server.
    """
    steps = [_held(event, place, name, lock) for event in EVENTS]
    for event in EVENTS:
        sql = f"DROP TRIGGER IF EXISTS {_q(place[0], _named(_AUDIT, event, place))}"
        steps.append(Step(sql, (name,), f"take the audit of {name} ({event}) off while it is changed"))
    return steps


def on(place: Place, name: TableName, columns: Iterable[Column], held: Place) -> list[Step]:
    """Record what is done with the rows of a table, then let others write.

    Parameters
    ----------
    place : Place
        Where the table is.
    name : TableName
        What it is called.
    columns : iterable of Column
        Its columns.
    held : Place
        The place that it had when others were refused, in the same database.
    """
    known, steps = recorded(columns), list[Step]()
    for event in EVENTS:
        trigger, body = _named(_AUDIT, event, place), _body(event, place, known)
        sql = f"CREATE TRIGGER {_q(place[0], trigger)} AFTER {event.upper()} ON {_q(*place)} FOR EACH ROW {body}"
        done = _is_there(trigger, place, body)
        steps.append(Step(sql, (name,), f"audit {name} ({event})", done=done))
    for event in EVENTS:
        sql = f"DROP TRIGGER IF EXISTS {_q(held[0], _named(_HOLD, event, held))}"
        steps.append(Step(sql, (name,), f"let others write to {name} again ({event})"))
    return steps


def incomplete(place: Place, columns: Iterable[Column]) -> str:
    """Give a query that is true where a table has not just the triggers that it should have."""
    known = recorded(columns)
    right = [_is_there(_named(_AUDIT, event, place), place, _body(event, place, known)) for event in EVENTS]
    count = (
        f"(SELECT COUNT(*) FROM information_schema.triggers WHERE event_object_schema = {literal(place[0])} "
        f"AND event_object_table = {literal(place[1])} AND {OURS})"
    )
    return f"SELECT {count} <> {len(EVENTS)} OR {' + '.join(f'({query})' for query in right)} <> {len(EVENTS)}"


def triggers(place: Place) -> str:
    """Give a query for the names of the triggers of this module that a table has."""
    return (
        f"SELECT trigger_name FROM information_schema.triggers WHERE event_object_schema = {literal(place[0])} "
        f"AND event_object_table = {literal(place[1])} AND {OURS} ORDER BY trigger_name DESC"
    )


def removed(place: Place, trigger: str) -> str:
    """Give the statement that takes a trigger away."""
    return f"DROP TRIGGER IF EXISTS {_q(place[0], trigger)}"


def noted(what: str, name: TableName, place: Place, old: Place | None = None) -> list[Step]:
    """Record of a table that it got another name, or that its audit was begun or ended."""
    words = f"record that {name} is audited" if what == BEGIN else f"record that {name} is audited no more"
    if old is not None:
        words = f"record that {name} was {'.'.join(old)}"
    places = [place] if old is None or old[0] == place[0] else [place, old]
    return [
        Step(
            f"INSERT INTO {_q(where[0], TABLE)} {_INTO} VALUES ({literal(where[1])}, UTC_TIMESTAMP(6), USER(), "
            f"{literal(what)}, {_as_json(old) if old else 'NULL'}, {_as_json(place)})",
            (),
            words,
        )
        for where in places
    ]


def moving(step: Step, place: Place, to: Place, name: TableName, lock: str) -> list[Step]:
    """Give the steps for one that moves an audited table to another schema, where no trigger can go along.

    Nobody else knows the name that it has while there is none.
    """
    gone, come = ((database, shorten(table + _MOVING)) for database, table in (place, to))
    more = tuple(f"{_q(*there)} WRITE" for there in (place, gone, come, to)) if step.locks else ()

    def renamed(old: Place, new: Place) -> Step:
        sql, words = f"RENAME TABLE {_q(*old)} TO {_q(*new)}", f"move {name}: rename {'.'.join(old)} to {'.'.join(new)}"
        return replace(step, sql=sql, words=words, effects=(replace(step.effects[0], old=old, new=new),))

    dropped = [
        Step(removed(place, _named(_HOLD, event, place)), (name,), f"take what refuses writes off {'.'.join(gone)}")
        for event in EVENTS
    ]
    held = [_held(event, to, name, lock, on=come) for event in EVENTS]
    steps = [renamed(place, gone), *dropped, renamed(gone, come), *held, renamed(come, to)]
    locks = tuple(dict.fromkeys((*step.locks, *more)))
    return [replace(one, locks=locks, lock="all") if locks else one for one in steps]


def _held(event: str, place: Place, name: TableName, lock: str, on: Place | None = None) -> Step:
    """Make the trigger that refuses an event of whoever does not hold the pipeline's lock."""
    message = shorten(f"{name} is being migrated; write again when that has ended.", 120)
    head = f"BEGIN IF NOT (IS_USED_LOCK({literal(lock)}) <=> CONNECTION_ID()) THEN "
    body = f"{head}SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = {literal(message)}; END IF; END"
    trigger, there = _named(_HOLD, event, place), on or place
    sql = f"CREATE TRIGGER {_q(place[0], trigger)} BEFORE {event.upper()} ON {_q(*there)} FOR EACH ROW {body}"
    words = f"keep others from writing to {name} ({event}) until it is audited again"
    # Who is told what, a run that was killed may have said of the table by another name.
    done = _is_there(trigger, there, head, f"LEFT(action_statement, {len(head)})")
    return Step(sql, (name,), words, lock="writes", done=done)


def _named(kind: str, event: str, place: Place) -> str:
    """Give the name of a trigger: it is one of the schema, and takes 64 characters at most."""
    name = f"{kind}{event}_{place[1]}"
    if len(name) <= 64:
        return name

    return f"{name[:47]}_{sha256(place[1].encode()).hexdigest()[:16]}"


def _is_there(trigger: str, place: Place, body: str, compared: str = "action_statement") -> str:
    return (
        f"SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = {literal(place[0])} "
        f"AND trigger_name = {literal(trigger)} AND event_object_table = {literal(place[1])} "
        f"AND CAST({compared} AS BINARY) = CAST({literal(body)} AS BINARY)"
    )


def _body(event: str, place: Place, columns: list[Column]) -> str:
    """Give what a trigger does: it records a row before and after, and no update that changes nothing."""
    old = _row("OLD", columns) if event != "insert" else "NULL"
    new = _row("NEW", columns) if event != "delete" else "NULL"
    head = f"INSERT INTO {_q(place[0], TABLE)} {_INTO}"
    values = f"{literal(place[1])}, {_NOW}, USER(), {literal(event)}"
    if event != "update":
        return f"BEGIN {_START} {head} VALUES ({values}, {old}, {new}); END"
    # To JSON, 1 and 1.0 are the same; to whoever wrote it, they may not be.
    differ = "NOT (CAST(CAST(c.old AS CHAR) AS BINARY) <=> CAST(CAST(c.new AS CHAR) AS BINARY))"
    changed = f"SELECT {values}, c.old, c.new FROM (SELECT {old} AS old, {new} AS new) AS c WHERE {differ}"
    return f"BEGIN {_START} {head} {changed}; END"


def _row(which: str, columns: list[Column]) -> str:
    parts = [f"{literal(column.name)}, {_value(f'{which}.{_q(column.name)}', column)}" for column in columns]
    return f"JSON_OBJECT({', '.join(parts)})"


def _value(column: str, of: Column) -> str:
    if of.core == "uuid":
        return f"BIN_TO_UUID({column})"
    if _BINARY.match(of.sql) or _BINARY.match(of.core):
        short = f"JSON_OBJECT('bytes', LENGTH({column}), 'sha256', SHA2({column}, 256))"
        return f"IF({column} IS NULL, NULL, {short})"
    return column


def _as_json(place: Place) -> str:
    return f"JSON_OBJECT('database', {literal(place[0])}, 'table', {literal(place[1])})"
