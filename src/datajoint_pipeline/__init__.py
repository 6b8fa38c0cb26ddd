"""Versions, schema migrations, environments and workers for DataJoint pipelines.

A project makes one :class:`Pipeline`. Importing this package imports nothing heavy and connects to nothing.
"""

from .errors import PipelineError
from .project import importing
from .project.pipeline import Pipeline

importing.watch()

__all__ = ["Pipeline", "PipelineError"]
