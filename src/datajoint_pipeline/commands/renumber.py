"""`renumber`: after a merge of two branches that changed one schema, gives the second migration the next version."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from itertools import count
from pathlib import Path

from packaging.version import Version

from .. import disk
from ..errors import PipelineError
from ..history import asked, bumps, chain, migration_files, version_file, writing
from ..history.files import Files
from ..history.migration_files import History, Migration
from ..operations import structure as ops
from ..operations.structure import Tables
from ..project.pipeline import Pipeline
from ..schema import definition
from ..schema.model import Schema


def renumber(pipeline: Pipeline, schema: str) -> dict[Path, Path]:
    """Bring the migrations of a schema into one line, and its snapshot and version after it.

    Those that lead to the snapshot that was kept in the merge stay as they are; the others follow them.

    Returns
    -------
    dict
        New path of each file that was renamed, relative to the project.

    Raises
    ------
    PipelineError
        If the schema is not known, or the files lead to no state that fits.
    """
    pipeline.project.require_editable()
    files = pipeline.project.files
    asked.refuse(files, [schema])
    histories = migration_files.read(files)
    history = histories[schema]
    if history.latest is None or history.oldest is None:
        raise PipelineError(f"There is no history of {schema}.", "It has no snapshot.", f"Run revise {schema}.")
    first = _kept(history, migration_files.tables_of(h.oldest for h in histories.values()))
    second = [migration for migration in history.migrations if migration not in first]
    versions = [migration.version for migration in first]
    previous = versions[-1] if versions else history.oldest.version
    line = list[Migration]()
    for migration in second:
        bump = _bump(migration)
        version = next(v for _ in count() if (v := bumps.raised(previous, bump)) not in versions)
        line.append(replace(migration, version=version, follows=previous))
        versions.append(version)
        previous = version
    if not line:
        return {}
    raised = {m.version: n.version for m, n in zip(second, line, strict=True)}
    tables = _applied(histories, schema, [*first, *line], raised)
    moved: dict[Path, Path] = {}
    for migration in line:
        assert migration.path is not None
        path = migration.path.with_name(f"{migration.version}_{migration.slug}.py")
        text = disk.text(migration.path)
        text = re.sub(r'^follows = ".*"$', f'follows = "{migration.follows}"', text, count=1, flags=re.M)
        writing.put(migration.path, text)
        os.rename(migration.path, path)
        moved[migration.path] = path
    _raise_requirements(histories, schema, raised)
    _write_snapshot(files, history, tables, previous)
    return {
        old.relative_to(pipeline.project.root): new.relative_to(pipeline.project.root) for old, new in moved.items()
    }


def _applied(histories: dict[str, History], schema: str, line: list[Migration], versions: dict[str, str]) -> Tables:
    """Give the tables that a line of migrations leads to, before any file is written.

    ``versions`` has the new versions of those that get one, by their old ones.

    Raises
    ------
    PipelineError
        If they cannot be applied one after the other.
    """
    tried = {name: replace(history, migrations=list(history.migrations)) for name, history in histories.items()}
    tried[schema].migrations = line
    for history in tried.values():
        for number, migration in enumerate(history.migrations):
            needs = migration.requires.get(schema)
            if needs in versions:
                requires = {**migration.requires, schema: versions[needs]}
                history.migrations[number] = replace(migration, requires=requires)
    tables: Tables = {}
    try:
        for _, _, after in chain.replay(tried, list(tried)):
            tables = after
    except PipelineError as error:
        raise PipelineError(
            f"The migrations of {schema} do not fit one after the other; nothing was changed.",
            f"Behind those that the snapshot is of: {error.what} {error.why}",
            f"Keep the snapshot of the other branch and run renumber {schema} again, or correct that migration.",
        ) from error
    return tables


def _bump(migration: Migration) -> str:
    old, new = ((*Version(text).release, 0, 0)[:3] for text in (migration.follows or "0", migration.version))
    return "major" if old[0] != new[0] else "minor" if old[1] != new[1] else "patch"


def _kept(history: History, start: Tables) -> list[Migration]:
    """Find the line of migrations that leads to the snapshot."""
    assert history.latest is not None and history.oldest is not None
    target = {table.name: table for table in history.latest.shape}

    def walk(version: str, tables: Tables, line: list[Migration]) -> list[Migration] | None:
        mine = {name: table for name, table in tables.items() if name.schema == history.schema}
        if Version(version) == Version(history.latest.version if history.latest else "0") and mine == target:
            return line
        for migration in history.migrations:
            if migration.follows == version and migration not in line:
                try:
                    after = ops.apply(migration.operations(tables), tables)
                except PipelineError:
                    continue
                if (found := walk(migration.version, after, [*line, migration])) is not None:
                    return found
        return None

    found = walk(history.oldest.version, start, [])
    if found is None:
        # The snapshot is of neither side, perhaps merged by hand: the first of each version stays.
        found = list({Version(m.version): m for m in reversed(history.migrations)}.values())[::-1]
    return found


def _raise_requirements(histories: dict[str, History], schema: str, moved: dict[str, str]) -> None:
    """Where a migration of another schema requires one that was moved, let it require the new version."""
    for history in histories.values():
        for migration in history.migrations:
            old = migration.requires.get(schema)
            if old in moved and migration.path is not None and migration.path.exists():
                text = disk.text(migration.path)
                writing.put(migration.path, text.replace(f'"{schema}": "{old}"', f'"{schema}": "{moved[old]}"', 1))


def _write_snapshot(files: Files, history: History, tables: Tables, version: str) -> None:
    text = writing.snapshot_text(files, Schema.of(history.schema, tables), version, definition.titles_of(tables))
    writing.put(history.folder / migration_files.LATEST, text)
    path = files.version_file
    writing.put(path, version_file.replace(disk.text(path), history.schema, version))
