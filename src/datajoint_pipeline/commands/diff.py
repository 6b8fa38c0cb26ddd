"""`diff`: the code against the snapshots, and the database against them."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import PipelineError
from ..planner import comparison
from ..planner.comparison import Comparison
from ..project.environments import Environment
from ..project.pipeline import Pipeline


def diff(
    pipeline: Pipeline, environment: Environment, schemas: Iterable[str] = ()
) -> tuple[list[Comparison], PipelineError | None]:
    """Compare code, snapshots and database; where that cannot be reached, code and snapshots, and say why.

    Raises
    ------
    PipelineError
        If the database cannot be reached, and the code is as the snapshots have it.
    """
    project, schemas = pipeline.project, list(schemas)
    try:
        target = pipeline.target(environment)
    except PipelineError as error:
        found = comparison.compare(project.files, pipeline.read_code().tables(project.versions), None, schemas)
        if not any(one.code for one in found):
            raise
        return found, error
    return comparison.compare(project.files, target.code_tables(), target, schemas), None
