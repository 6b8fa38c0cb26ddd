"""`status`: where every schema stands."""

from __future__ import annotations

from ..planner import drift
from ..planner.status import SchemaStatus
from ..project.environments import Environment
from ..project.pipeline import Pipeline


def status(pipeline: Pipeline, environment: Environment) -> list[SchemaStatus]:
    """Give, for each schema, the version in the code and in the database, and what was changed behind its back."""
    return drift.read(pipeline.target(environment))
