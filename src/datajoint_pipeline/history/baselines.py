"""The first snapshot of a schema, which the chain of its versions begins with."""

from __future__ import annotations

from collections.abc import Iterable

from ..operations.structure import Tables
from ..schema import definition
from ..schema.model import Schema
from . import migration_files, writing
from .files import Files


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
    """
    histories, titles = migration_files.read(files), definition.titles_of(tables)
    for name in [name for name in schemas or files.versions if histories[name].latest is None]:
        path = files.folder / name / migration_files.LATEST
        writing.put(path, writing.snapshot_text(files, Schema.of(name, tables), files.versions[name], titles))
