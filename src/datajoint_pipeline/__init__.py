"""Versions, schema migrations, environments and workers for DataJoint pipelines.

A project makes one :class:`Pipeline`. Importing this package imports nothing heavy and connects to nothing.
"""

from .errors import PipelineError
from .project.pipeline import Pipeline

__all__ = ["Pipeline", "PipelineError"]
