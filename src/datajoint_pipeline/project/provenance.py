"""The commit and the versions of software that the journal records with a run."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING

from ..git import git

if TYPE_CHECKING:
    import datajoint as dj


def code_commit(root: Path) -> str:
    """Give the git commit of a folder, with ``+`` behind it where files differ from it; empty outside a repository."""
    try:
        commit = git(root, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+", timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return commit.stdout.strip() if commit.returncode == 0 else ""


#: Characters that the journal's column ``software`` takes.
_LENGTH = 255


def software(connection: dj.Connection, package: str) -> str:
    """Give the versions of everything that shapes a declaration: package, this library, DataJoint, Python, server.

    Where that is longer than the journal takes, the project's own part is cut, and never the library's version.
    """
    server = connection.query("SELECT version()", args=None).fetchone()[0]
    kind = "MySQL" if connection.adapter.backend == "mysql" else "PostgreSQL"
    number = str(server).removeprefix("PostgreSQL ").split()[0]
    libraries = [f"{name} {_installed(name)}" for name in ("datajoint-pipeline", "datajoint")]
    rest = ", ".join(["", *libraries, f"Python {platform.python_version()}", f"{kind} {number}"])
    return f"{package} {_installed(package)}"[: max(_LENGTH - len(rest), 0)] + rest[:_LENGTH]


def _installed(name: str) -> str:
    try:
        return installed_version(name)
    except PackageNotFoundError:
        return "?"
