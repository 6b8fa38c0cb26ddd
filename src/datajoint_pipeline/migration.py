"""What migration files are written in."""

from .operations.lines import *  # noqa: F403
from .operations.lines import __all__ as __all__
