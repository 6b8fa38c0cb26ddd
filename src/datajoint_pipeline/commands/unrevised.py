"""Whether the code has changes that no migration has: what `status` and `migrate` compare are versions."""

from __future__ import annotations

from ..errors import PipelineError
from ..planner import comparison
from ..project.pipeline import Pipeline


def unrevised(pipeline: Pipeline) -> list[str]:
    """Name the schemas whose code differs from their snapshots; none if it cannot be read, which `check` explains."""
    project = pipeline.project
    try:
        return comparison.unrevised(project.files, pipeline.read_code().tables(project.versions))
    except PipelineError:
        return []
