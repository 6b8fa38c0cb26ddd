"""`restore`: puts back what a backup of migrate or purge holds."""

from __future__ import annotations

from pathlib import Path

from ..executor import restore as restoring
from ..executor.archive import Manifest
from ..executor.restore import Restored
from ..planner.target import Warn
from ..project.environments import Environment, require_explicit
from ..project.pipeline import Pipeline


def restore(
    pipeline: Pipeline,
    environment: Environment,
    path: Path,
    *,
    overwrite: bool = False,
    dry_run: bool = False,
    warn: Warn = lambda text: None,
) -> tuple[Manifest, list[Restored]]:
    """Put values back; see :func:`datajoint_pipeline.executor.restore.restore` for the parameters."""
    if not dry_run:
        require_explicit(pipeline.project, environment, "restore")
    return restoring.restore(pipeline.target(environment, warn=warn), path, overwrite=overwrite, dry_run=dry_run)
