"""How far the version of a schema rises with several changes of its tables: ``major``, ``minor`` or ``patch``."""

from __future__ import annotations

from collections.abc import Iterable

from packaging.version import Version

from ..operations.base import MAJOR as MAJOR
from ..operations.base import MINOR as MINOR
from ..operations.base import PATCH as PATCH


def worst(kinds: Iterable[str]) -> str:
    """Give the one of several bumps that counts."""
    return min(kinds, key=[MAJOR, MINOR, PATCH].index)


def raised(version: str, bump: str) -> str:
    """Give the next version."""
    major, minor, patch = (*Version(version).release, 0, 0)[:3]
    match bump:
        case "major":
            return f"{major + 1}.0.0"
        case "minor":
            return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + 1}"
