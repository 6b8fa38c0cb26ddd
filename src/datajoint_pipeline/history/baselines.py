"""The first snapshot of a schema, which the chain of its versions begins with."""

from __future__ import annotations

import os.path
from collections.abc import Iterable

from ..errors import PipelineError
from ..git import in_last_commit
from ..operations.structure import Tables
from ..operations.topology import dangling
from ..schema import definition
from ..schema.model import Schema
from . import migration_files, writing
from .files import Files


def refuse(files: Files, tables: Tables, schemas: Iterable[str] | None = None) -> None:
    """Refuse first snapshots that must not be written; the parameters are those of :func:`write`.

    Raises
    ------
    PipelineError
        If there was a snapshot, or tables would refer to what no migration makes, as where only a draft has it.
    """
    histories = migration_files.read(files)
    fresh = [name for name in schemas or files.versions if histories[name].latest is None]
    for name in fresh:
        path = f"{name}/{migration_files.LATEST}"
        if in_last_commit(files.folder, path):
            raise PipelineError(
                f"The last commit has the snapshot of {name}, and it is not in the folder; nothing was written.",
                "Without it, nobody knows what changed since.",
                f"Get it back: git checkout -- {os.path.relpath(files.folder / path)}. "
                "If it should be gone, commit that first.",
            )
    state = migration_files.tables_of(history.latest for history in histories.values())
    state |= {name: table for name, table in tables.items() if name.schema in fresh}
    if wrong := [text for text in dangling(state, histories) if text.partition(".")[0] in fresh]:
        raise PipelineError(
            f"The first snapshot of {wrong[0].partition('.')[0]} cannot be written; nothing was changed.",
            f"{wrong[0]} No migration makes it yet.",
            'Run revise -m "what changed", which writes one, and then migrate.',
        )


def write(files: Files, tables: Tables, schemas: Iterable[str] | None = None) -> None:
    """Write the first snapshot of schemas that have none: these tables, at the version of the code.

    Parameters
    ----------
    files : Files
        Where.
    tables : mapping of TableName to Table
        Every table of the pipeline.
    schemas : iterable of str, optional
        The schemas to look at; all that have a version otherwise.

    Raises
    ------
    PipelineError
        As :func:`refuse`.
    """
    schemas = list(schemas or files.versions)
    refuse(files, tables, schemas)
    histories, titles = migration_files.read(files), definition.titles_of(tables)
    for name in [name for name in schemas if histories[name].latest is None]:
        path = files.folder / name / migration_files.LATEST
        writing.put(path, writing.snapshot_text(files, Schema.of(name, tables), files.versions[name], titles))
