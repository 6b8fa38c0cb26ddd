"""`purge`: ends the time for which dropped tables and attributes are kept."""

from __future__ import annotations

from collections.abc import Collection

from ..executor import revert
from ..executor.backup import Backups
from ..executor.revert import Purged
from ..history import asked
from ..planner.target import Warn
from ..project.environments import Environment, require_explicit
from ..project.pipeline import Pipeline


def purge(
    pipeline: Pipeline,
    environment: Environment,
    schemas: Collection[str] = (),
    *,
    allow_data_loss: bool = False,
    dry_run: bool = False,
    backups: Backups | None = None,
    warn: Warn = lambda text: None,
) -> list[Purged]:
    """Delete what is soft-deleted; see :func:`datajoint_pipeline.executor.revert.purge` for the parameters."""
    if not dry_run:
        require_explicit(pipeline.project, environment, "purge")
    asked.refuse(pipeline.project.files, schemas)
    target = pipeline.target(environment, warn=warn)
    return revert.purge(target, schemas, allow_data_loss=allow_data_loss, dry_run=dry_run, backups=backups)
