"""`log`: who changed which schema, or who may do what, when, and from which commit."""

from __future__ import annotations

from .. import journal, server_errors
from ..dialects import owners
from ..errors import PipelineError
from ..journal import Record
from ..journal import access as record
from ..journal.access import Applied
from ..project.environments import Environment
from ..project.pipeline import Pipeline


def log(pipeline: Pipeline, environment: Environment) -> list[Record]:
    """Give every run that the journals of the schemas hold, oldest first.

    Raises
    ------
    PipelineError
        If there are some, and this account may read none of them.
    """
    target = pipeline.target(environment)
    found = journal.survey(target.connection, target.databases.values())
    readable = {
        n: database for n, database in target.databases.items() if database in found and found[database].journal
    }
    closed = [database for database, survey in found.items() if survey.unreadable]
    if closed and not readable:
        raise PipelineError(
            f"This account may not read what was done to {', '.join(closed)}.",
            "The record is in a table of each schema that it has no rights on.",
            owners.asking(target.connection, closed[0]),
        )
    return journal.history(target.connection, readable, found)


def access(pipeline: Pipeline, environment: Environment) -> list[Applied]:
    """Give every recorded change of rights and accounts, oldest first; none where this account may not read it."""
    target = pipeline.target(environment)
    try:
        return record.history(target.connection, record.place(target.connection, target.databases))
    except Exception as error:
        if server_errors.of(error) is server_errors.ACCESS:
            return []
        raise
