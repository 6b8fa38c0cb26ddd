"""`diff`: the code against the snapshots, and the database against them."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import PipelineError
from ..history import asked
from ..planner import comparison
from ..planner.comparison import Comparison
from ..project.environments import Environment
from ..project.pipeline import Pipeline


def diff(
    pipeline: Pipeline, environment: Environment, schemas: Iterable[str] = ()
) -> tuple[list[Comparison], PipelineError | None]:
    """Compare code, snapshots and database; where that cannot be reached, code and snapshots, and say why."""
    project, schemas = pipeline.project, list(schemas)
    asked.refuse(project.files, schemas)
    try:
        target = pipeline.target(environment)
    except PipelineError as error:
        code = pipeline.read_code().tables(project.versions)
        return comparison.compare(project.files, code, None, schemas), error
    return comparison.compare(project.files, target.code_tables(), target, schemas), None
