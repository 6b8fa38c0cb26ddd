"""Jobs that failed, in groups that have one cause each, and what can be done with them.

Two errors belong together where their class, their message without its particulars, and the innermost line of the
project's own code in their traceback are the same.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .. import server_errors
from ..dialects import catalog, queues
from ..errors import ExitCode, PipelineError
from ..internals import codecs, hidden_rows, job_tables
from ..nearest import did_you_mean
from ..operations.origins import resolved
from ..project.environments import Environment
from ..project.pipeline import Pipeline
from ..schema import definition
from ..schema.model import Table, TableName

if TYPE_CHECKING:
    import datajoint as dj

#: The newest failed jobs of a table that are read.
MOST = 10_000

FAILED, IGNORED = "error", "ignore"


@dataclass(frozen=True)
class Failure:
    """A job that failed.

    Parameters
    ----------
    table : TableName
        Whose.
    key : dict
        Its key, as people and JSON have it.
    error, message : str
        The class of the exception, and what it says.
    where : str
        The innermost line of the project's code in the traceback: ``my_pipeline/ephys.py:31 in make``; empty where
        there is none.
    traceback : str
        As Python printed it; empty where there is none.
    host, user : str
        Where it was computed, and by which account of the server.
    pid, connection_id : int
        The process, and its session on the server.
    version : str
        The git commit of the code, where DataJoint noted it.
    at : datetime or None
        When it failed, by the server's clock, in UTC.
    status : str
        :data:`FAILED` or :data:`IGNORED`.
    values : tuple
        The key as the driver gives it.
    """

    table: TableName
    key: dict[str, Any]
    error: str
    message: str
    where: str
    traceback: str
    host: str
    user: str
    pid: int
    connection_id: int
    version: str
    at: datetime | None
    status: str = FAILED
    values: tuple[Any, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Give it as ``--json`` has it."""
        known = {name: value for name, value in vars(self).items() if name not in ("values", "status")}
        return {**known, "table": str(self.table), "at": f"{self.at.isoformat()}Z" if self.at else None}


@dataclass(frozen=True)
class Group:
    """Failed jobs that have one cause.

    Parameters
    ----------
    id : str
        Eight hexadecimal digits, the same as long as the cause is.
    error, message : str
        The class of the exception, and the message without its particulars.
    where : str
        The innermost line of the project's code, as the newest has it.
    failures : tuple of Failure
        The newest first.
    """

    id: str
    error: str
    message: str
    where: str
    failures: tuple[Failure, ...]

    @property
    def tables(self) -> dict[str, int]:
        """How many failed of each table."""
        names = [str(failure.table) for failure in self.failures]
        return {name: names.count(name) for name in sorted(set(names))}

    def as_dict(self) -> dict[str, Any]:
        """Give it as ``--json`` has it."""
        moments = [f"{failure.at.isoformat()}Z" for failure in self.failures if failure.at]
        return {
            "id": self.id,
            "error": self.error,
            "message": self.message,
            "where": self.where,
            "count": len(self.failures),
            "tables": self.tables,
            "first": min(moments, default=None),
            "last": max(moments, default=None),
            "jobs": [failure.as_dict() for failure in self.failures],
        }


def read(
    pipeline: Pipeline,
    environment: Environment,
    *,
    table: str | None = None,
    key: Iterable[str] = (),
    status: str = FAILED,
) -> list[Group]:
    """Find the failed jobs in groups, the largest first; an account that may only read is enough.

    Parameters
    ----------
    pipeline, environment : Pipeline, Environment
        Where.
    table : str, optional
        Only those of one table, as the code names it: ``ephys.Recording``.
    key : iterable of str
        Values of attributes of the key, each as ``attribute=value``; with ``table``.
    status : str
        :data:`FAILED`, or :data:`IGNORED` for jobs that somebody had left out.

    Raises
    ------
    PipelineError
        If there is no such table, or no such attribute in its key.
    """
    target = pipeline.target(environment)
    connection, databases = target.connection, target.databases
    catalogue = catalog.find(connection, databases)
    tables = {t.name: t for shape in catalog.shapes(connection, databases, catalogue).values() for t in shape}
    queued = {
        (databases[name.schema], job_tables.PREFIX + name.table.lstrip("_")): name
        for name, one in tables.items()
        if one.tier in ("Imported", "Computed") and job_tables.key(one)
    }
    queued = {place: name for place, name in queued.items() if place in catalogue.tables}
    given: dict[str, str] = {}
    if table is not None:
        wanted = _found(tables, table)
        queued = {place: name for place, name in queued.items() if name == wanted}
        for part in key:
            name, value = _part(part, tables[wanted])
            if given.setdefault(name, value) != value:
                raise PipelineError(
                    f"--key says {name} twice.",
                    "A job has one value of each attribute.",
                    "Run the command once for each.",
                    exit_code=ExitCode.USAGE,
                )
    failures: list[Failure] = []
    for database in dict.fromkeys(database for database, _ in queued):
        places = [place for place in queued if place[0] == database]
        for place in places if given else _with(connection, places, status):
            failures += _read(connection, tables, tables[queued[place]], place, given, status, pipeline.package)
    return grouped(failures)


def grouped(failures: Iterable[Failure]) -> list[Group]:
    """Put failures that have one cause together, the largest group first."""
    found: dict[tuple[str, str, str], list[Failure]] = {}
    for failure in failures:
        cause = (failure.error, blanked(failure.message), re.sub(r":\d+", "", failure.where))
        found.setdefault(cause, []).append(failure)
    groups = []
    for cause, those in found.items():
        those.sort(key=lambda failure: failure.at or datetime.min, reverse=True)
        number = hashlib.blake2b("\0".join(cause).encode("utf-8", "replace"), digest_size=4).hexdigest()
        groups.append(Group(number, cause[0], cause[1], those[0].where, tuple(those)))
    return sorted(groups, key=lambda group: (-len(group.failures), group.id))


def change(connection: dj.Connection, databases: Mapping[str, str], failures: Sequence[Failure], action: str) -> int:
    """Have jobs tried again (``retry``), or left out (``ignore``); tell how many were.

    A job that somebody else has changed meanwhile is left as it is. All are changed, or none.

    Raises
    ------
    PipelineError
        If the account may not.
    """
    changed = 0
    try:
        with connection.transaction:
            for failure in failures:
                place = (databases[failure.table.schema], job_tables.PREFIX + failure.table.table.lstrip("_"))
                key = dict(zip(failure.key, failure.values, strict=True))
                query = queues.change(connection, place, key, retry=action == "retry")
                changed += connection.query(query, args=[failure.status, *failure.values]).rowcount
    except Exception as error:
        if server_errors.of(error) is not server_errors.ACCESS:
            raise
        raise PipelineError(
            "This account may not change jobs. Nothing was changed.",
            f"The server says: {server_errors.reason(error)}.",
            "Have an operator run it, or ask for the role operator in access.toml (docs/access.md).",
        ) from None
    return changed


# --- Reading ---------------------------------------------------------------------------------------------------------


def _with(connection: dj.Connection, places: Sequence[tuple[str, str]], status: str) -> list[tuple[str, str]]:
    """Find, with one query, which of some job tables have jobs of a status."""
    query = queues.having(connection, places)
    rows = connection.query(query, args=[status] * len(places)).fetchall()
    return [places[int(number)] for number, count in rows if count]


def _read(
    connection: dj.Connection,
    tables: Mapping[TableName, Table],
    table: Table,
    place: tuple[str, str],
    given: Mapping[str, str],
    status: str,
    package: str,
) -> list[Failure]:
    names = job_tables.key(table)
    types = {name: resolved(tables, table.name, name) for name in names}
    condition, arguments = hidden_rows.condition(connection, given, types)
    query = queues.failed(connection, place, names, condition, MOST)
    found = []
    for row in connection.query(query, args=[status, *arguments]).fetchall():
        values, (text, stack, host, user, pid, session, version, at) = row[: len(names)], row[len(names) :]
        error, message = split(str(text or ""))
        traceback = codecs.text_of_blob(stack)
        key = {name: hidden_rows.plain(value, types[name]) for name, value in zip(names, values, strict=True)}
        found.append(
            Failure(
                table.name,
                key,
                error,
                message,
                innermost(traceback, package),
                traceback,
                str(host),
                str(user),
                int(pid or 0),
                int(session or 0),
                str(version or ""),
                at,
                status,
                tuple(values),
            )
        )
    return found


def split(text: str) -> tuple[str, str]:
    """Give the class of an exception and its message, of what DataJoint writes: ``ValueError: no spikes``."""
    error, colon, message = text.partition(":")
    if re.fullmatch(r"\w+", error):
        return error, message.strip() if colon else ""
    return "", text.strip()


_PARTICULARS = [
    (re.compile(r"\{[^{}]*\}"), "{…}"),
    (re.compile(r"(?<!\w)(['\"`])(?:(?!\1).)*\1"), "'…'"),
    (re.compile(r"(?<![\w/])(?:[A-Za-z]:[\\/]|~?/|\w+://)[^\s,;:()]+"), "…"),
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "#"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b"), "#"),
    (re.compile(r"(?:(?<!\w)[-+])?\d+(?:,\d{3})*(?:\.\d+)?(?:[eE][-+]?\d+)?"), "#"),
]


def blanked(message: str) -> str:
    """Give a message without its particulars: keys, quoted texts, paths, numbers."""
    text = " ".join(message.split())
    for pattern, mark in _PARTICULARS:
        text = pattern.sub(mark, text)
    return text[:300]


_FRAME = re.compile(r'^\s*File "(?P<path>[^"\n]*)", line (?P<line>\d+), in (?P<function>[^\n]+)$', re.MULTILINE)


#: Folders that hold what is installed, and not the project's own code.
_OF_OTHERS = frozenset({"site-packages", "dist-packages", ".venv"})


def innermost(traceback: str, package: str) -> str:
    """Give the last line of a package's own code in a traceback, wherever the package was; empty where it has none."""
    for frame in reversed([*_FRAME.finditer(traceback)]):
        parts = re.split(r"[\\/]", frame["path"])
        if package in parts[:-1]:
            start = len(parts) - 1 - parts[::-1].index(package)
            if _OF_OTHERS.intersection(parts[start:]):  # the project's folder is called as its package is
                continue
            return f"{'/'.join(parts[start:])}:{frame['line']} in {frame['function'].strip()}"
    return ""


# --- What a person names ---------------------------------------------------------------------------------------------


def _found(tables: Mapping[TableName, Table], text: str) -> TableName:
    found = definition.Titles(tables).everywhere(text)
    if len(found) == 1 and tables[found[0]].tier in ("Imported", "Computed"):
        return found[0]
    populated = sorted(str(name) for name, table in tables.items() if table.tier in ("Imported", "Computed"))
    listed = ", ".join(populated[:8]) + (f" and {len(populated) - 8} more" if len(populated) > 8 else "")
    meant = did_you_mean(text, populated) if len(found) < 2 else ""
    raise PipelineError(
        f"{text} may be one of several tables." if len(found) > 1 else f"There is no table {text} that is computed.",
        f"{meant}There are {listed}." if populated else "The database has no Imported or Computed table.",
        "Name the class with its schema: ephys.Recording.",
        exit_code=ExitCode.USAGE,
    )


def _part(text: str, table: Table) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    names = job_tables.key(table)
    if sign and name.strip() in names:
        return name.strip(), value.strip()
    raise PipelineError(
        f"{text!r} is not part of a key of {table.name}.",
        f"Its jobs are identified by ({', '.join(names)}).",
        f"Say --key {names[0] if names else 'attribute'}=VALUE, once for each attribute.",
        exit_code=ExitCode.USAGE,
    )
