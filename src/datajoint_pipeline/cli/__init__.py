"""The command line: words for people, no logic."""

from .main import run

__all__ = ["run"]
