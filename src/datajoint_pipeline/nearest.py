"""What somebody probably meant who wrote a name that there is not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """Give the name that is spelt nearly like another; empty where none is."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Ask about the name that is spelt nearly like another, before a further sentence; empty where none is."""
    near = nearest(name, known)
    return f"Did you mean {near}? " if near else ""
