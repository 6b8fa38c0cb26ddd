"""`status`: where every schema stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..dialects import owners
from ..errors import PipelineError
from ..planner import drift, due
from ..planner.status import SchemaStatus, State
from ..planner.target import DEV, PROD
from ..project import environments, sites
from ..project.environments import Environment
from ..project.pipeline import Pipeline


def status(pipeline: Pipeline, environment: Environment) -> list[SchemaStatus]:
    """Give, for each schema, the version in the code and in the database, what was changed behind its back, and what is
    still to be put back.
    """
    target = pipeline.target(environment)
    found = due.noted(target, drift.read(target))
    for number, s in enumerate(found):
        if s.state is State.UNREADABLE and (text := owners.uninherited(target.connection, s.database)):
            found[number] = replace(s, advice=(text,))
    return found


def every(pipeline: Pipeline) -> Iterator[tuple[Environment, str, list[SchemaStatus] | PipelineError]]:
    """Give where every schema stands on ``dev``, on ``prod`` and in each environment of ``environments.toml``.

    Each comes with the kind of its server, or with the reason why it cannot be told.
    """
    for name in (DEV, PROD, *sites.read(pipeline.project)):
        other = pipeline.beside()
        environment = environments.find(pipeline.project, name)
        try:
            found = status(other, other.select(name))
            yield environment, other.connect(environment).adapter.backend, found
        except PipelineError as error:
            yield environment, "", error
