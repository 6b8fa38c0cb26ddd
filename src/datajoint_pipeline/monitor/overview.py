"""What a page about a pipeline shows beside its progress: versions of schemas and what was last done to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from .. import journal
from ..journal import Record
from ..planner import drift
from ..planner.status import SchemaStatus
from ..project.environments import Environment
from ..project.pipeline import Pipeline
from . import progress
from .progress import Progress

#: Changes of schemas that are older than this are no news.
RECENT = timedelta(days=90)


@dataclass(frozen=True)
class Overview:
    """How a pipeline stands.

    Parameters
    ----------
    progress : Progress
        How far every table is, and which workers live.
    schemas : tuple of SchemaStatus
        The version of each schema in the code and in the database, drift included; in dependency order.
    runs : tuple of Record
        What was done to schemas in the last 90 days, the newest first.
    """

    progress: Progress
    schemas: tuple[SchemaStatus, ...]
    runs: tuple[Record, ...]


def read(pipeline: Pipeline, environment: Environment) -> Overview:
    """Find how a pipeline stands; an account that may only read is enough.

    Parameters
    ----------
    pipeline, environment : Pipeline, Environment
        Where.

    Raises
    ------
    PipelineError
        As :meth:`Pipeline.connect`.
    """
    target = pipeline.target(environment)
    survey = journal.survey(target.connection, target.databases.values())
    recorded = {
        name: database for name, database in target.databases.items() if database in survey and survey[database].journal
    }
    since = datetime.now(timezone.utc).replace(tzinfo=None) - RECENT
    runs = [run for run in journal.history(target.connection, recorded, survey) if run.started_at > since]
    runs.sort(key=lambda run: run.started_at, reverse=True)
    return Overview(progress.read(pipeline, environment), tuple(drift.read(target)), tuple(runs))
