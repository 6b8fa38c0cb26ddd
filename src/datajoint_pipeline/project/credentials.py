"""Writes credentials where DataJoint reads them, so that only their owner can."""

from __future__ import annotations

import getpass
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

from ..errors import PipelineError
from ..wrapping import wrap
from . import settings
from .project import Project

_NAME = re.compile(r"database\.(user|password)|stores\.[A-Za-z0-9_-]+\.[a-z_]+")

#: Credentials that a store of a protocol takes.
BY_PROTOCOL = {"s3": ("access_key", "secret_key"), "gcs": ("token",), "azure": ("account_name", "account_key")}


def ask(project: Project, names: tuple[str, ...]) -> list[str]:
    """Ask for credentials, without echo on a terminal, and write those that were given.

    Parameters
    ----------
    project : Project
        Whose.
    names : tuple of str
        What to ask for; empty for all that the configuration has use for.

    Returns
    -------
    list of str
        Names of the files written in ``.secrets/``.

    Raises
    ------
    PipelineError
        If DataJoint would not read a file of such a name.
    """
    for name in names:
        if not _NAME.fullmatch(name):
            raise PipelineError(
                f"{name} is not a credential that DataJoint reads.",
                "It reads database.user, database.password and stores.<name>.<attribute>.",
                f"Run for example {project.program} secrets database.password.",
            )
    written = []
    for name in names or _wanted(project):
        value = _ask(project, name)
        if value is not None:
            write(project.root / ".secrets", name, value)
            written.append(name)
    return written


def _wanted(project: Project) -> list[str]:
    names = ["database.user", "database.password"]
    for store, spec in settings.load(project).stores.items():
        if isinstance(spec, dict):
            names += [f"stores.{store}.{name}" for name in BY_PROTOCOL.get(str(spec.get("protocol")), ())]
    return names


def _ask(project: Project, name: str) -> str | None:
    """Ask for a credential; None where it stays as it is."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip() or None
    # A server that was just installed may have an account without a password.
    none = name == "database.password" and not (project.root / ".secrets" / name).exists()
    empty = "it has none" if none else "leave as it is"
    question = wrap(f"{_words(project, name)} (empty: {empty}): ", sys.stdin)
    value = (input(question) if name == "database.user" else getpass.getpass(question)).strip()
    return value if value or none else None


def _words(project: Project, name: str) -> str:
    """Say what is asked for: whose password, of which server."""
    match name.split("."):
        case ["stores", store, attribute]:
            return f"{attribute} of the store {store}"
        case [_, attribute]:
            with suppress(PipelineError):  # where datajoint.json cannot be read
                config = settings.load(project)
                kind = {"mysql": "MySQL", "postgresql": "PostgreSQL"}[config["database.backend"]]
                return f"Your {attribute} on the {kind} server at {config['database.host']}"
    return name


def write(folder: Path, name: str, value: str) -> None:
    """Write one credential; the folder becomes its owner's alone, and the file is at no moment open to others."""
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    path, fresh = folder / name, folder / f".{name}.new"
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(value + "\n")
    fresh.replace(path)
