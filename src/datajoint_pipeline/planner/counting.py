"""Count what the rows of a database say against a group of migrations, before any of it runs. Reads only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from .. import server_errors
from ..dialects import may_change
from ..dialects.constraints import Names
from ..dialects.mysql import index_words
from ..dialects.steps import Probe
from ..internals.codecs import unreadable, unstorable
from ..internals.connection import literals, longest_statement, refuse_long
from ..schema.model import TableName
from ..schema.notation import path_of
from .deployment import Deployment
from .plan import Group, Violation
from .steps import Recoding, UserSQL

if TYPE_CHECKING:
    import datajoint as dj


def count(deployment: Deployment, group: Group, *, trials: bool = True) -> None:
    """Count what the steps of a group would lose or be refused for, and add it to the group's violations.

    A probe of what an earlier group is still to make finds nothing. With ``trials``, expressions of the lab are tried,
    and those of indexes are refused that MySQL writes in other words than their definition.
    """
    connection = deployment.connection
    for table, probe in group.probes:
        if probe.trial:
            sure = trials and group.first and not probe.later and not probe.unsure
            named = _fires(connection, probe) if sure else None
            if named is not None and (failure := _tried(connection, probe.trial)):
                words = f"{probe.words} ({named}: {failure})" if named else f"{probe.words}: {failure}"
                group.violations.append(Violation(table, probe.kind, 1, words, probe.attributes))
            continue
        try:
            row = connection.query(probe.sql, args=None, reconnect=False).fetchone()
        except Exception as error:
            found = server_errors.of(error)
            if probe.kind == "jobs" and found is server_errors.ACCESS:
                continue  # whether it may change them is asked elsewhere
            if found or (group.first and not probe.later):
                raise
            continue
        words = probe.words
        if len(row) > 1:
            words += f" ({row[1]})"
        if row[0] and probe.example:
            words += _example(connection, probe.example)
        words += ", before the migration's own statements" * probe.unsure
        rows = probe.sql.removeprefix("SELECT COUNT(*) ") if probe.kind == "parent" else ""
        violation = Violation(table, probe.kind, int(row[0]), words, probe.attributes, probe.unsure, probe.lacks, rows)
        if row[0] and violation not in group.violations:
            group.violations.append(violation)
    for step in group.conversions:
        _count_unstorable(connection, group, step)
    if trials:
        group.violations += [*_reworded(deployment, group), *_lacking(deployment, group)]
    most = longest_statement(connection)
    for planned in group.steps:
        # The record has it as a value.
        size = max(literals(planned.text), *(len(statement.encode()) for statement in planned.statements), 0)
        refuse_long(size, most, f"To {planned.words}", "Divide it, or have")


def _reworded(deployment: Deployment, group: Group) -> Iterator[Violation]:
    """Give each expression of an index that a group brings and MySQL writes in other words."""
    if deployment.connection.adapter.backend != "mysql":
        return
    had = {column for table in group.before.values() for index in table.indexes for column in index.columns}
    for name, table in group.after.items():
        columns = {column for index in table.indexes for column in index.columns} - had
        new = sorted(column for column in columns if column.startswith("(") and not path_of(column))
        if not new:
            continue
        dialect = deployment.dialect(Names(), {}, group.after)
        among = list(dialect.columns(group.after, table).values())
        for given, wrote in index_words.written(deployment.connection, dialect.place(name), among, new).items():
            if wrote != given:
                yield Violation(name, "index", 1, f"index over {given} that the server writes as {wrote}", ())


def _lacking(deployment: Deployment, group: Group) -> Iterator[Violation]:
    """Give the rights that the account lacks for the steps of a group; what the lab's own need is not known."""
    if deployment.connection.adapter.backend != "mysql":
        return
    ours = (sql for step in group.steps if not isinstance(step, UserSQL) for sql in step.statements)
    recorded = [deployment.databases[schema] for schema in group.schemas if schema in deployment.databases]
    if found := may_change.lacking(deployment.connection, ours, recorded):
        words = f"rights that this account lacks: {', '.join(found)}"
        table = next((table for step in group.steps for table in step.tables), TableName(group.schemas[0], ""))
        yield Violation(table, "right", len(found), words, ())


def _fires(connection: dj.Connection, probe: Probe) -> str | None:
    """Give the names of what a trial is about, empty where it is about an expression; None where there is nothing."""
    if not probe.sql:
        return ""
    count, named = connection.query(probe.sql, args=None, reconnect=False).fetchone()
    return str(named) if count else None


def _tried(connection: dj.Connection, statements: tuple[str, ...]) -> str:
    """Run statements that leave nothing behind; give what the server refuses, or nothing."""
    *trial, end = statements
    try:
        for sql in trial:
            connection.query(sql, args=None, reconnect=False)
    except Exception as error:
        found = server_errors.of(error)
        if found in (server_errors.ACCESS, server_errors.READ_ONLY, server_errors.HELD):
            return ""  # then it cannot be tried
        if found:
            raise
        return server_errors.reason(error)
    finally:
        with suppress(Exception):
            connection.query(end, args=None, reconnect=False)
    return ""


#: Characters of a value that an example shows.
_SHOWN = 40


def _example(connection: dj.Connection, sql: str) -> str:
    """Give one of the rows that a probe counts: a key, and two values; the second is empty where there is none."""
    *key, least, most = (_shown(value) for value in connection.query(sql, args=None, reconnect=False).fetchone())
    both = f"{least} and {'nothing' if least == most else most}"
    return f": of ({', '.join(key)}), {both}" if key else f": {both}"


def _shown(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        value = bytes(value).decode(errors="backslashreplace")
    text = str(value)
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _count_unstorable(connection: dj.Connection, group: Group, step: Recoding) -> None:
    """Count values that another codec cannot hold."""
    what = step.conversion
    if lost := unreadable(connection, what.place, what.source, what.type):
        words = f"objects of {what.source} that cannot be copied: {'; '.join(why for _, why in lost)}"
        name = TableName(step.table.schema, what.place[1])
        group.violations.append(Violation(name, "stored", sum(count for count, _ in lost), words, (what.source,)))
    found = unstorable(connection, what.place, what.source, what.type, step.lost, what.before)
    name = TableName(step.table.schema, what.place[1])
    if found.values:
        words = f"values of {what.source} that {what.type} cannot hold ({found.why})"
        group.violations.append(Violation(name, "codec", found.values, words, (what.source,)))
    if found.arrays:
        words = f"values of {what.source} with NumPy's arrays or numbers, which become lists and plain numbers"
        group.violations.append(Violation(name, "named", found.arrays, words, (what.source,)))
