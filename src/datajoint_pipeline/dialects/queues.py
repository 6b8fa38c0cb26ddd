"""Queries that count keys and jobs: of each schema one over what is to be computed, and one over its job tables.

A query that is made here has ``%`` doubled, since a ``key_source`` of DataJoint has it so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..quoting import quoter, same

if TYPE_CHECKING:
    import datajoint as dj

#: The newest rows whose times are read: of a table that gets several rows for a job, more.
SAMPLES, SAMPLES_OF_MANY = 50, 500


#: How the message of a job begins that another class of workers than its table's has to compute, and which one.
_CLASS = "[class="

#: What workers and Python write of a job that took more memory than there was.
_OUT_OF_MEMORY = ("out of memory", "of memory, more than", "MemoryError", "OutOfMemory", "killed by signal 9")


@dataclass(frozen=True)
class Source:
    """What is to be computed of one table.

    Parameters
    ----------
    place : (str, str)
        Database and name of the table.
    keys : str
        A query for its keys, with ``%`` doubled.
    shared : tuple of str
        Attributes that the keys and the primary key of the table have in common.
    jobs : tuple of str
        Attributes by which its jobs are told apart; none where it has no job table.
    several : bool
        Whether a job may make several rows.
    timed : bool
        Whether its rows have the hidden times of ``_job_``.
    called : str
        Its own name, where a run has it hidden by another one.
    """

    place: tuple[str, str]
    keys: str
    shared: tuple[str, ...]
    jobs: tuple[str, ...] = ()
    several: bool = False
    timed: bool = False
    called: str = ""

    @property
    def queue(self) -> tuple[str, str]:
        """Give the place of its job table."""
        database, name = self.place
        return database, "~~" + (self.called or name).lstrip("_")


def default_keys(connection: dj.Connection, parents: Sequence[tuple[tuple[str, str], dict[str, str]]]) -> str:
    """Give DataJoint's own query for keys: the join of the parents that the primary key refers to.

    Parameters
    ----------
    connection : datajoint.Connection
        Whose server.
    parents : sequence
        Database and table of each parent, and the parent's attribute of each attribute that refers to it.
    """
    quote = quoter(connection)
    known: set[str] = set()
    text = ""
    for number, (place, attributes) in enumerate(parents):
        listed = ", ".join(f"{quote(parent)} AS {quote(name)}" for name, parent in attributes.items())
        part = f"(SELECT {listed} FROM {quote(*place)}) AS {quote(f'p{number}')}"
        shared = [name for name in attributes if name in known]
        if not text:
            text = part
        elif shared:
            text += f" JOIN {part} USING ({', '.join(map(quote, shared))})"
        else:
            text += f" CROSS JOIN {part}"
        known |= set(attributes)
    return f"SELECT * FROM {text}".replace("%", "%%")


def counts(connection: dj.Connection, sources: Sequence[Source]) -> str:
    """Give the query for the position of each table, how many keys there are, and how many are still to be computed."""
    parts = []
    for number, source in enumerate(sources):
        missing = f"COALESCE(SUM(CASE WHEN {_not_in(connection, source.place, source.shared)} THEN 1 ELSE 0 END), 0)"
        parts.append(f"SELECT {number}, COUNT(*), {missing} FROM ({source.keys}) AS k")
    return " UNION ALL ".join(parts)


def waiting_for_a_worker(
    connection: dj.Connection, sources: Sequence[Source], others: Sequence[Source], mine: str, every: Sequence[str]
) -> str:
    """Give the query for one number: the keys that a worker of a class could compute, or is computing, now.

    Parameters
    ----------
    connection : datajoint.Connection
        Whose server.
    sources, others : sequence of Source
        The tables of the class, and those of smaller ones, whose jobs may have been moved to it.
    mine, every : str, sequence of str
        The class, and all there are.
    """
    quote, parts = quoter(connection), []
    status, scheduled, message = (f"t.{quote(name)}" for name in ("status", "scheduled_time", "error_message"))
    for source in sources:
        condition = _not_in(connection, source.place, source.shared)
        if source.jobs:
            moved = "".join(f" OR {message} LIKE '{_CLASS}{name} %'" for name in every if name != mine)
            left = f"({status} IN ('error', 'ignore') OR {scheduled} > {_now(connection)}{moved})"
            condition += f" AND {_not_in(connection, source.queue, source.jobs, left)}"
        parts.append(f"SELECT COUNT(*) AS n FROM ({source.keys}) AS k WHERE {condition}")
    for source in others:
        condition = f"{status} IN ('pending', 'reserved') AND {scheduled} <= {_now(connection)}"
        text = f"SELECT COUNT(*) AS n FROM {quote(*source.queue)} AS t WHERE {condition}"
        parts.append(f"{text} AND {message} LIKE '{_CLASS}{mine} %'".replace("%", "%%"))
    return f"SELECT COALESCE(SUM(n), 0) FROM ({' UNION ALL '.join(parts)}) AS every_table" if parts else "SELECT 0"


def jobs(connection: dj.Connection, sources: Sequence[Source]) -> str:
    """Give the query for the jobs of some tables, and for the times of the rows that were computed last.

    A row of its result is one of two. Either it has the position, a status, host, user, pid and connection id of
    whoever reserved the jobs, the number of jobs, how many of them are scheduled for later, how many are known to have
    run out of memory, the seconds since the first was reserved, and those since any of them changed. Of jobs that wait,
    the host is the class of workers that they were moved to. Or the position,
    ``times``, and instead of the host a JSON list of pairs of the moment at which a row was begun, by the clock that
    computed, and how many seconds it took.
    """
    mysql, quote = connection.adapter.backend == "mysql", quoter(connection)
    parts = []
    for number, source in enumerate(sources):
        if source.jobs:
            reserved = f"{quote('status')} = 'reserved'"
            start, message = len(_CLASS) + 1, quote("error_message")
            part = (
                f"SUBSTRING_INDEX(SUBSTRING({message}, {start}), ' ', 1)"
                if mysql
                else f"split_part(substr({message}, {start}), ' ', 1)"
            )
            moved = f"WHEN {quote('status')} = 'pending' AND {message} LIKE '{_CLASS}%' THEN {part} "
            holder = [
                f"CASE WHEN {reserved} THEN {quote(name)} {more}ELSE '' END"
                for name, more in (("host", moved), ("user", ""))
            ]
            ids = [f"CASE WHEN {reserved} THEN {quote(name)} ELSE 0 END" for name in ("pid", "connection_id")]
            grouped = [_text(mysql, quote("status")), *(_text(mysql, text) for text in holder), *ids]
            later = f"SUM(CASE WHEN {quote('scheduled_time')} > {_now(connection)} THEN 1 ELSE 0 END)"
            memory = " OR ".join(f"{quote('error_message')} LIKE '%{words}%'" for words in _OUT_OF_MEMORY)
            memory = f"SUM(CASE WHEN {memory} THEN 1 ELSE 0 END)"
            changed = ", ".join(
                f"COALESCE({quote(n)}, {quote('created_time')})" for n in ("reserved_time", "completed_time")
            )
            times = [f"MAX({_since(mysql, quote('reserved_time'))})", f"MIN({_since(mysql, f'GREATEST({changed})')})"]
            columns = ", ".join([*grouped, "COUNT(*)", later, memory, *times])
            by = ", ".join(str(position) for position in range(2, 7))
            parts.append(f"SELECT {number}, {columns} FROM {quote(*source.queue)} GROUP BY {by}")
        if source.timed:
            most = SAMPLES_OF_MANY if source.several else SAMPLES
            newest = (
                f"SELECT {quote('_job_start_time')} AS s, {quote('_job_duration')} AS d FROM {quote(*source.place)} "
                f"WHERE {quote('_job_start_time')} IS NOT NULL ORDER BY 1 DESC LIMIT {most}"
            )
            listed = (
                "JSON_ARRAYAGG(JSON_ARRAY(CAST(s AS CHAR), d))"
                if mysql
                else "json_agg(json_build_array(CAST(s AS text), d))"
            )
            columns = ", ".join([_text(mysql, "'times'"), _text(mysql, listed), _text(mysql, "''")])
            parts.append(f"SELECT {number}, {columns}, 0, 0, 0, 0, 0, 0.0, 0.0 FROM ({newest}) AS newest")
    return " UNION ALL ".join(part.replace("%", "%%") for part in parts)


def having(connection: dj.Connection, places: Sequence[tuple[str, str]]) -> str:
    """Give the query for the position of each job table and how many jobs of a status it has; a parameter for each."""
    quote = quoter(connection)
    parts = (
        f"SELECT {number}, COUNT(*) FROM {quote(*place)} WHERE {quote('status')} = ".replace("%", "%%") + "%s"
        for number, place in enumerate(places)
    )
    return " UNION ALL ".join(parts)


def failed(connection: dj.Connection, place: tuple[str, str], names: Sequence[str], condition: str, most: int) -> str:
    """Give the query for the newest jobs of a status: their key, message, stack, host, user, pid, connection id,
    version, and when they ended in UTC. The status is a parameter, before those of the condition.
    """
    quote = quoter(connection)
    told = ("error_message", "error_stack", "host", "user", "pid", "connection_id", "version")
    # DataJoint writes the server's time in the time zone of the session.
    if connection.adapter.backend == "mysql":
        ended = f"CONVERT_TZ({quote('completed_time')}, @@session.time_zone, '+00:00')"
    else:
        ended = f"{quote('completed_time')} AT TIME ZONE current_setting('TimeZone') AT TIME ZONE 'UTC'"
    listed = ", ".join([*map(quote, (*names, *told)), f"COALESCE({ended}, {quote('completed_time')})"])
    head = f"SELECT {listed} FROM {quote(*place)} WHERE {quote('status')} = ".replace("%", "%%")
    return f"{head}%s AND {condition} ORDER BY {quote('completed_time')} DESC LIMIT {most}"


def change(connection: dj.Connection, place: tuple[str, str], key: Mapping[str, object], *, retry: bool) -> str:
    """Give the statement that has one job tried again at once, or left out from now on; the status that it has and the
    values of its key, as the driver gave them, are parameters.
    """
    quote = quoter(connection)
    if retry:
        cleared = [f"{quote(name)} = ''" for name in ("error_message", "host", "user", "version")]
        cleared += [f"{quote(name)} = NULL" for name in ("error_stack", "reserved_time", "completed_time", "duration")]
        cleared += [f"{quote(name)} = 0" for name in ("pid", "connection_id")]
        values = ["'pending'", f"{quote('scheduled_time')} = CURRENT_TIMESTAMP(3)", *cleared]
    else:
        values = ["'ignore'"]
    status = quote("status")
    head = f"UPDATE {quote(*place)} SET {status} = {', '.join(values)} WHERE "
    conditions = (same(quote(name).replace("%", "%%"), value) for name, value in {"status": "", **key}.items())
    return head.replace("%", "%%") + " AND ".join(conditions)


def _not_in(connection: dj.Connection, place: tuple[str, str], shared: Sequence[str], more: str = "") -> str:
    quote = quoter(connection)
    same = [f"t.{quote(name)} = k.{quote(name)}" for name in shared]
    where = " AND ".join([*same, *filter(None, (more,))]) or "TRUE"
    return f"NOT EXISTS (SELECT 1 FROM {quote(*place)} AS t WHERE {where})".replace("%", "%%")


def _text(mysql: bool, value: str) -> str:
    """Give a value as text that UNION takes beside others, whatever the collations of the databases are."""
    return f"CONVERT({value} USING utf8mb4) COLLATE utf8mb4_bin" if mysql else f"CAST({value} AS text)"


def _now(connection: dj.Connection) -> str:
    return "CURRENT_TIMESTAMP(3)" if connection.adapter.backend == "mysql" else "LOCALTIMESTAMP(3)"


def _since(mysql: bool, moment: str) -> str:
    if mysql:
        return f"TIMESTAMPDIFF(MICROSECOND, {moment}, CURRENT_TIMESTAMP(3)) / 1000000.0"
    return f"CAST(EXTRACT(EPOCH FROM LOCALTIMESTAMP - {moment}) AS float8)"
