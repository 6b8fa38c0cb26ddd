"""How far the version of a schema rises with a change of its tables: ``major``, ``minor`` or ``patch``."""

from __future__ import annotations

from collections.abc import Iterable

from packaging.version import Version

from ..diff import changes
from ..operations import structure as ops
from ..operations.data import InsertRows

MAJOR, MINOR, PATCH = "major", "minor", "patch"


def bump_of(operation: ops.Operation) -> str:
    """Say how far the version rises for an operation: ``major`` where code that reads the tables may break, ``minor``
    where it finds more than before, ``patch`` where it sees nothing of it.
    """
    match operation:
        case InsertRows() | ops.ChangeComment() | ops.AddIndex() | ops.DropIndex() | ops.OrderAttributes():
            return PATCH
        case ops.CreateTable() | ops.AddAttribute() | ops.AddForeignKey() | ops.DropForeignKey():
            return MINOR
        case ops.AlterAttribute(before=before, after=after):
            if before.type == after.type or before.inherited or after.inherited:
                return PATCH if before.nullable == after.nullable else MINOR
            return MINOR if changes.family(before.type) == changes.family(after.type) else MAJOR
    return MAJOR


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
