"""`log`: who changed which schema, when, and from which commit."""

from __future__ import annotations

from .. import journal
from ..journal import Record
from ..project.environments import Environment
from ..project.pipeline import Pipeline


def log(pipeline: Pipeline, environment: Environment) -> list[Record]:
    """Give every run that the journals of the schemas hold, oldest first."""
    target = pipeline.target(environment)
    found = journal.survey(target.connection, target.databases.values())
    readable = {
        n: database for n, database in target.databases.items() if database in found and found[database].journal
    }
    return journal.history(target.connection, readable, found)
