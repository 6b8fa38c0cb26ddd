"""The vocabulary of migration files: ``from datajoint_pipeline.migration import AddAttribute, ...``."""

from .operations.lines import *  # noqa: F403
from .operations.lines import __all__ as __all__
