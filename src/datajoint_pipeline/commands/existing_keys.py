"""What can be known of the rows that others may refer to, while a person answers."""

from __future__ import annotations

from ..embedded import server
from ..errors import PipelineError
from ..planner import existing_keys
from ..project.environments import Environment
from ..project.pipeline import Pipeline
from ..schema.model import TableName


def read(pipeline: Pipeline, environment: Environment, parent: tuple[TableName, str]) -> list[str] | None:
    """Give the values that rows may refer to, in the database of an environment; None where they cannot be known."""
    if environment.embedded and not server.made(pipeline.project.local_directory):
        return None
    try:
        return existing_keys.read(pipeline.target(environment), *parent)
    except PipelineError:  # there is no server that answers, and none is needed
        return None
