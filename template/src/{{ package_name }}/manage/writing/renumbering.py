"""After a merge of two branches that changed one schema: the second of two migrations gets the next version."""

from __future__ import annotations

import os
import re
from itertools import count
from pathlib import Path

from packaging.version import Version

from ..differences import operations as ops
from ..errors import PipelineError
from ..files import chain, revisions, versionfile
from ..files.revisions import History, Revision
from ..project import Project
from ..tables import definition
from . import apportioning, wording


def renumber(own: Project, schema: str) -> dict[Path, Path]:
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
    histories = revisions.read(own)
    history = histories.get(schema)
    if history is None or history.latest is None or history.oldest is None:
        raise PipelineError(f"There is no history of {schema}.", "It has no snapshot.", f"Run revise {schema}.")
    first = _kept(history, revisions.tables_of(h.oldest for h in histories.values()))
    second = [revision for revision in history.revisions if revision not in first]
    versions = [revision.version for revision in first]
    moved: dict[Path, Path] = {}
    previous = versions[-1] if versions else history.oldest.version
    for revision in second:
        assert revision.path is not None
        bump = _bump(revision)
        version = next(v for _ in count() if (v := apportioning.raised(previous, bump)) not in versions)
        path = revision.path.with_name(f"{version}_{revision.slug}.py")
        text = revision.path.read_text(encoding="utf-8")
        text = re.sub(r'^follows = ".*"$', f'follows = "{previous}"', text, count=1, flags=re.M)
        wording.put(revision.path, text)
        os.rename(revision.path, path)
        moved[revision.path] = path
        versions.append(version)
        previous = version
    if moved:
        _raise_requirements(
            histories, schema, {r.version: v for r, v in zip(second, versions[len(first) :], strict=True)}
        )
        _write_snapshot(own, schema, previous)
    return {old.relative_to(own.root): new.relative_to(own.root) for old, new in moved.items()}


def _bump(revision: Revision) -> str:
    old, new = ((*Version(text).release, 0, 0)[:3] for text in (revision.follows or "0", revision.version))
    return "major" if old[0] != new[0] else "minor" if old[1] != new[1] else "patch"


def _kept(history: History, start: revisions.Tables) -> list[Revision]:
    """The line of migrations that leads to the snapshot."""
    assert history.latest is not None and history.oldest is not None
    target = {table.name: table for table in history.latest.shape}

    def walk(version: str, now: revisions.Tables, line: list[Revision]) -> list[Revision] | None:
        mine = {name: table for name, table in now.items() if name.schema == history.schema}
        if Version(version) == Version(history.latest.version if history.latest else "0") and mine == target:
            return line
        for revision in history.revisions:
            if revision.follows == version and revision not in line:
                try:
                    after = ops.apply(revision.operations(now), now)
                except PipelineError:
                    continue
                if (found := walk(revision.version, after, [*line, revision])) is not None:
                    return found
        return None

    found = walk(history.oldest.version, start, [])
    if found is None:
        # The snapshot is of neither side, perhaps merged by hand: the first of each version stays.
        found = list({Version(r.version): r for r in reversed(history.revisions)}.values())[::-1]
    return found


def _raise_requirements(histories: dict[str, History], schema: str, moved: dict[str, str]) -> None:
    """Where a migration of another schema fits only after one that was moved, let it require that."""
    for history in histories.values():
        for revision in history.revisions:
            old = revision.requires.get(schema)
            if old in moved and revision.path is not None and revision.path.exists():
                text = revision.path.read_text(encoding="utf-8")
                wording.put(revision.path, text.replace(f'"{schema}": "{old}"', f'"{schema}": "{moved[old]}"', 1))


def _write_snapshot(own: Project, schema: str, version: str) -> None:
    histories = revisions.read(own)
    now = revisions.tables_of(h.oldest for h in histories.values())
    for _, _, after in chain.replay(histories, list(histories)):
        now = after
    shape = apportioning.shape_of(schema, now)
    text = wording.snapshot_text(own, shape, version, definition.titles_of(now))
    wording.put(histories[schema].folder / revisions.LATEST, text)
    path = own.directory / "version.py"
    wording.put(path, versionfile.replace(path.read_text(encoding="utf-8"), schema, version))
