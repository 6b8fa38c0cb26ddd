"""The guard between a schema module and the database: code meets only the version it was written for.

Old code on a new database reads wrong columns, new code on an old one fails half-way through a `make`. So a process
asks once, with one query for the whole pipeline, and a schema whose code does not fit refuses in words.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from .. import journal
from ..dialects import owners
from ..errors import PipelineError
from ..planner import status
from ..planner.status import SchemaStatus
from ..planner.target import Target

_LOG = logging.getLogger(__name__)


def require(target: Target, statuses: Mapping[str, SchemaStatus], name: str, *, others: str = "") -> None:
    """Raise unless the database has the version of the schema that the code has.

    Parameters
    ----------
    target : Target
        The database.
    statuses : mapping
        What :func:`survey` found.
    name : str
        The schema.
    others : str, optional
        How to get to another database, which may be the one that is meant where this has no such schema.
    """
    if name not in target.versions:
        raise PipelineError(
            f"The schema {name} has no version.",
            "SCHEMA_VERSIONS in version.py does not name it.",
            f'Add "{name}": "1.0.0" below the schemas it depends on.',
        )
    (found,) = status.with_hidden(target, [statuses[name]])
    if found.state is status.State.CURRENT:
        if found.draft:
            what = f"{found.database} is a draft after {found.database_version}"
            _LOG.warning("%s; %s status says whether it fits this code.", what, target.command)
        return
    if found.state is status.State.UNREADABLE and 0 < len(found.unreadable) < found.tables:
        # Some rights are given table by table; DataJoint says of the others that they are not defined.
        count = f"{len(found.unreadable)} of {found.tables} tables of {found.database}"
        _LOG.warning("This account cannot read %s; %s status names them.", count, target.command)
        return
    command = target.command
    database = f"the database of {target.environment}"
    match found.state:
        case status.State.ABSENT:
            why = f"The code has version {found.code_version}; there is no schema {found.database}."
            do = f"Run {command} init to make it." if not others else f"{others} {command} init makes one here."
        case status.State.UNRECORDED:
            why = f"The code has version {found.code_version}; {found.database} holds tables and no version."
            do = f"Look at it with {command} status before you change anything."
        case status.State.INTERRUPTED:
            why = f"A change of {found.database} from {found.database_version or 'nothing'} began and did not end."
            do = f"Run {command} status, then the command again that was interrupted."
        case status.State.AHEAD:
            why = f"The code is older: it has version {found.code_version}, the database {found.database_version}."
            do = "Pull the newer code and restart this process."
        case status.State.UNREADABLE:
            why = f"This account can read none of the tables of {found.database}."
            if not found.unreadable:
                why = f"This account has no right on {found.database}, and cannot tell whether it is there."
            do = owners.asking(target.connection, found.database)
        case _:
            what = "a draft after" if found.draft else "version"
            why = f"The database is older: it has {what} {found.database_version}, the code {found.code_version}."
            do = f"Run {command} migrate to bring the database to the code."
    raise PipelineError(
        f"The code of schema {name} does not fit {database}.", why, do, exit_code=status.EXIT_CODES[found.state]
    )


def survey(target: Target) -> dict[str, SchemaStatus]:
    """Find where every schema stands, in nearly every case with one query."""
    import datajoint as dj

    databases = target.databases
    try:
        # One query tells everything about a database in order, which is nearly always the case.
        records, found = journal.at_once(target.connection, databases)
    except Exception as error:
        # DataJoint translates most of the drivers' errors, and hands on the others.
        driver = type(error).__module__.partition(".")[0] in ("pymysql", "psycopg2")
        if not driver and not isinstance(error, dj.DataJointError):
            raise
        return {one.name: one for one in status.read(target)}
    return {
        name: status.judge(target.files, name, database, target.versions[name], found.get(name), records.get(name))
        for name, database in databases.items()
    }
