"""`renumber`: after a merge of two branches that changed one schema, gives the second migration the next version."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

from packaging.version import Version

from .. import disk
from ..errors import PipelineError
from ..history import asked, bumps, chain, migration_files, revisions, unfinished, version_file, writing
from ..history.files import Files
from ..history.migration_files import History, Migration
from ..history.unfinished import Rewriting
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
        New path of each file that has another one now, or follows another one, relative to the project.

    Raises
    ------
    PipelineError
        If the schema is not known, or the files lead to no state that fits.
    """
    pipeline.project.require_editable()
    files = pipeline.project.files
    asked.refuse(files, [schema])
    again = f"{pipeline.project.program} renumber {schema}"
    if (begun := unfinished.left(_noted(pipeline, schema), pipeline.project.root, again)) is not None:
        begun.finish()
        return _paths(begun.moved)
    histories = migration_files.read(files)
    history = histories[schema]
    if history.latest is None or history.oldest is None:
        raise PipelineError(f"There is no history of {schema}.", "It has no snapshot.", f"Run revise {schema}.")
    first = _kept(history, migration_files.tables_of(h.oldest for h in histories.values()))
    second = [migration for migration in history.migrations if migration not in first]
    versions = [migration.version for migration in first]
    previous = versions[-1] if versions else history.oldest.version
    line = _following(second, previous, versions)
    if not line:
        _refuse_broken(histories, schema)
        return {}
    raised = {m.version: n.version for m, n in zip(second, line, strict=True)}
    try:
        tables = _applied(histories, schema, [*first, *line], raised)
    except PipelineError as error:
        raise _refusal(histories, schema, first, second, error) from error
    rewriting = _rewriting(pipeline, files, histories, schema, line, raised, tables)
    rewriting.write()
    return _paths(rewriting.moved)


def _refuse_broken(histories: dict[str, History], schema: str) -> None:
    """Refuse to call a line in order that cannot be applied."""
    try:
        _applied(histories, schema, histories[schema].migrations, {})
    except PipelineError as error:
        raise PipelineError(
            f"The migrations of {schema} already form one line, but cannot be applied.",
            f"{error.what} {error.why}",
            "Correct that migration so that it fits after the others.",
        ) from error


def _following(second: Iterable[Migration], previous: str, taken: Iterable[str]) -> list[Migration]:
    """Give migrations as they follow a version, each with the next version that is free."""
    line, versions = list[Migration](), list(taken)
    for migration in second:
        bump = _bump(migration)
        version = next(v for _ in count() if (v := bumps.raised(previous, bump)) not in versions)
        line.append(replace(migration, version=version, follows=previous))
        versions.append(version)
        previous = version
    return line


def _rewriting(
    pipeline: Pipeline,
    files: Files,
    histories: dict[str, History],
    schema: str,
    line: list[Migration],
    raised: Mapping[str, str],
    tables: Tables,
) -> Rewriting:
    """Give every file that changes.

    The old ones go last: until all is written, two migrations lead to one version, and `check` says to run this again.
    """
    root, history = pipeline.project.root, histories[schema]
    required = _raised_requirements(histories, schema, raised)
    texts, moved = dict[Path, str](), dict[Path, Path]()
    for migration in reversed(line):
        assert migration.path is not None
        path = migration.path.with_name(f"{migration.version}_{migration.slug}.py")
        text = required.pop(migration.path, None) or disk.text(migration.path)
        texts[path] = re.sub(r'^follows = ".*"$', f'follows = "{migration.follows}"', text, count=1, flags=re.M)
        moved[migration.path] = path
    version = line[-1].version
    snapshot = writing.snapshot_text(files, Schema.of(schema, tables), version, definition.titles_of(tables))
    texts[history.folder / migration_files.LATEST] = snapshot
    texts[files.version_file] = version_file.replace(disk.text(files.version_file), schema, version)
    after: dict[Path, str | None] = {**required, **texts, **{path: None for path in moved if path not in texts}}
    before = {path: revisions.read(path) for path in after}
    relative = {
        str(old.relative_to(root)): str(new.relative_to(root))
        for old, new in sorted(moved.items())
        if before[new] != after[new]
    }
    return Rewriting(_noted(pipeline, schema), root, before, after, relative)


def _noted(pipeline: Pipeline, schema: str) -> Path:
    return pipeline.project.backups / f"renumber-{schema}.json"


def _paths(moved: Mapping[str, str]) -> dict[Path, Path]:
    return {Path(old): Path(new) for old, new in moved.items()}


def _refusal(
    histories: dict[str, History], schema: str, first: list[Migration], second: list[Migration], error: PipelineError
) -> PipelineError:
    """Say what to do where the second branch does not fit behind the first: whether the other way round does."""
    file = second[0].path.name if second[0].path else second[0].title
    do = f"Correct {file} so that it fits after the others, then run renumber {schema} again."
    common = next((n for n, m in enumerate(first, 1) if m.version == second[0].follows), 0)
    shared, rest = first[:common], first[common:]
    behind = _following(rest, second[-1].version, [m.version for m in (*shared, *second)])
    raised = {m.version: n.version for m, n in zip(rest, behind, strict=True)}
    with suppress(PipelineError):
        _applied(histories, schema, [*shared, *second, *behind], raised)
        do = (
            f"The other way round they fit: keep the {migration_files.LATEST} of the branch that {file} is of, "
            f"then run renumber {schema} again."
        )
    return PipelineError(
        f"The migrations of {schema} do not fit one after the other; nothing was changed.",
        f"Behind those that the snapshot is of: {error.what} {error.why}",
        do,
    )


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
    for _, _, after in chain.replay(tried, list(tried)):
        tables = after
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


def _raised_requirements(histories: Mapping[str, History], schema: str, moved: Mapping[str, str]) -> dict[Path, str]:
    """Give the migrations of other schemas that require one that is moved, such that they require the new version."""
    texts = {}
    for history in histories.values():
        for migration in history.migrations:
            old = migration.requires.get(schema, "")
            if old in moved and migration.path is not None:
                text = disk.text(migration.path)
                texts[migration.path] = text.replace(f'"{schema}": "{old}"', f'"{schema}": "{moved[old]}"', 1)
    return texts
