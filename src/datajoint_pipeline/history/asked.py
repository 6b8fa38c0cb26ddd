"""Refuse schemas and versions that somebody asks for and that there are not, before anything else is done."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from packaging.version import InvalidVersion, Version

from ..errors import ExitCode, PipelineError
from ..nearest import did_you_mean
from . import migration_files
from .files import Files
from .migration_files import History


def refuse(files: Files, schemas: Collection[str], to: str | None = None) -> None:
    """Refuse a command line with a schema that the project has not, or a version that the one schema has not.

    Parameters
    ----------
    files : Files
        The versions and migrations of the project.
    schemas : collection of str
        The schemas that are named; none for all.
    to : str, optional
        The version that is named.

    Raises
    ------
    PipelineError
        If there is no such; it names the nearest.
    """
    refuse_schemas(schemas, migration_files.schemas(files))
    if to is None:
        return
    if len(schemas) != 1:
        raise PipelineError("--to needs one schema.", "Each has versions of its own.", f"Run migrate SCHEMA --to {to}.")
    (name,) = schemas
    refuse_version(migration_files.read(files)[name], to)


def refuse_schemas(names: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a name that is no schema's.

    Raises
    ------
    PipelineError
        If there is one; it names the schema that is called most like it.
    """
    schemas = list(known)
    for name in names:
        if name not in schemas:
            raise PipelineError(
                f"There is no schema {name}.",
                f"The project has {', '.join(schemas)}.",
                _nearest(name, schemas) or "Correct the name.",
                exit_code=ExitCode.USAGE,
            )


def refuse_version(history: History, to: str) -> None:
    """Refuse a version that a schema has not.

    Raises
    ------
    PipelineError
        If it has none such; it names the nearest.
    """
    known = versions(history)
    try:
        there = Version(to) in map(Version, known)
    except InvalidVersion:
        there = False
    if not there:
        do = _nearest(to, known) or "Correct --to."
        if not known:
            has, do = "It has no snapshot yet, and so no version.", f"Run revise {history.schema}, which writes it."
        else:
            has = f"It has {', '.join(known)}."
        raise PipelineError(f"{history.schema} has no version {to}.", has, do)


def versions(history: History) -> list[str]:
    """Give the versions that the files of a schema lead to, and the one that they start from."""
    oldest = [history.oldest.version] if history.oldest is not None else []
    return [*oldest, *(migration.version for migration in history.migrations)]


def _nearest(name: str, known: list[str]) -> str:
    asked = did_you_mean(name, known)
    return f"{asked}Correct the name." if asked else ""
