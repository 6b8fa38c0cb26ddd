"""What each `revise` wrote on this machine, so that it can be taken back: the text of every file before it and after.

A file that is as it was written was edited by nobody. The record is made before the first file is written and forgotten
once the last is back, so that what was broken off in between can be taken back, too. It is not committed: another
machine does not have it, and takes nothing back.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from .. import disk
from . import version_file, writing
from .files import Files

#: Its name in the folder of the backups.
FILE = "revise.json"

#: The folder beside it that has a copy of the files, while `revise --again` composes others.
COPY = "revise-again"

#: How many are kept; what came before is committed or applied by then.
_KEPT = 10

#: Of each file its text, None where there is none.
Texts = Mapping[Path, str | None]


@dataclass(frozen=True)
class Revision:
    """What one `revise` wrote.

    Parameters
    ----------
    message : str
        What it was for.
    chosen : tuple of str
        The schemas that it was to look at; empty for all.
    versions : dict
        The version before and after, of each schema that it wrote.
    before, after : mapping
        The snapshots and migrations that it wrote.
    """

    message: str
    chosen: tuple[str, ...]
    versions: Mapping[str, tuple[str, str]]
    before: Texts
    after: Texts

    @property
    def made(self) -> list[Path]:
        """Give the files that were not there before."""
        return [path for path, text in self.before.items() if text is None]

    def migration(self, schema: str) -> Path | None:
        """Give the migration file of a schema; None where only its first snapshot was written."""
        return next((path for path in self.made if path.parent.name == schema and path.suffix == ".py"), None)

    def remains(self, files: Files) -> bool:
        """Say whether anything of it is there; a migration that got another number since is another file."""
        found = {path: read(path) for path in self.after}
        migrations = [path for path in self.made if path.suffix == ".py"]
        if any(found[path] is not None for path in migrations):
            return True
        if migrations and any(text not in (self.before[path], self.after[path]) for path, text in found.items()):
            return False  # the files are those of another branch
        versions = any(files.versions.get(name) == after != before for name, (before, after) in self.versions.items())
        return versions or any(found[path] == there != self.before[path] for path, there in self.after.items())

    def edited(self, files: Files) -> Path | None:
        """Give a file that is neither as it was written nor as it was before.

        Of ``version.py`` only the versions of its schemas count.
        """
        if any(name in files.versions and files.versions[name] not in pair for name, pair in self.versions.items()):
            return files.version_file
        return next((p for p in self.after if read(p) not in (self.before[p], self.after[p])), None)

    def moved(self, there: Files, here: Files) -> Revision:
        """Give the same of other files."""

        def texts(found: Texts) -> dict[Path, str | None]:
            return {here.version_file.parent / p.relative_to(there.version_file.parent): t for p, t in found.items()}

        return replace(self, before=texts(self.before), after=texts(self.after))

    def texts_after(self, files: Files) -> Texts:
        """Give the files to write."""
        return {**self.after, **versioned(files, {name: after for name, (_, after) in self.versions.items()})}

    def texts_before(self, files: Files) -> Texts:
        """Give the files as they were before, in an order in which `check` sees at each that the next is missing."""
        first = dict(sorted(self.before.items(), key=lambda item: item[1] is None))
        return {**first, **versioned(files, {name: before for name, (before, _) in self.versions.items()})}


def versioned(files: Files, versions: Mapping[str, str]) -> Texts:
    """Give ``version.py`` with other versions of schemas; every other byte of it stays as it is."""
    source = disk.text(files.version_file)
    for name, version in versions.items():
        if name in files.versions:
            source = version_file.replace(source, name, version)
    return {files.version_file: source}


@contextmanager
def without(files: Files, revision: Revision, folder: Path) -> Iterator[Files]:
    """Give a copy of the files, as they were before a `revise`, while this holds; ``folder`` is that of the backups."""
    package, copy = files.version_file.parent, folder / COPY
    shutil.rmtree(copy, ignore_errors=True)  # which somebody was killed over
    apart = replace(
        files,
        folder=copy / files.folder.relative_to(package),
        version_file=copy / files.version_file.name,
        versions={**files.versions, **{name: before for name, (before, _) in revision.versions.items()}},
    )
    try:
        shutil.copytree(files.folder, apart.folder, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(files.version_file, apart.version_file)
        write(revision.moved(files, apart).texts_before(apart))
        yield apart
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def read(path: Path) -> str | None:
    """Read a file; None where there is none."""
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


def write(texts: Texts) -> Texts:
    """Write files, or remove those that have no text, in their order; give what was there."""
    before = {path: read(path) for path in texts}
    for path, wanted in texts.items():
        if wanted is None:
            path.unlink(missing_ok=True)
        elif wanted != before[path]:
            writing.put(path, wanted)
    return before


# --- The record ------------------------------------------------------------------------------------------------------


def note(folder: Path, files: Files, revision: Revision) -> None:
    """Write down what a `revise` is about to write; ``folder`` is that of the backups."""
    _put(folder, files, [*_read(folder, files), revision][-_KEPT:])


def replaced(folder: Path, files: Files, old: Revision, new: Revision) -> str:
    """Give the text of the record in which one `revise` stands in the place of another."""
    others = [other for other in _read(folder, files) if other != old]
    return _text(files, [*others, *([new] if new.after else [])][-_KEPT:])


def forget(folder: Path, files: Files, revision: Revision) -> None:
    """Remove what was written down of a `revise`."""
    _put(folder, files, [other for other in _read(folder, files) if other != revision])


def last(folder: Path, files: Files, schemas: Collection[str] = ()) -> Revision | None:
    """Give the last of which anything is there, of those that wrote one of the schemas where any are named."""
    for revision in reversed(list(_read(folder, files))):
        if revision.remains(files) and (not schemas or not revision.versions.keys().isdisjoint(schemas)):
            return revision
    return None


def _put(folder: Path, files: Files, revisions: list[Revision]) -> None:
    writing.put(folder / FILE, _text(files, revisions))


def _text(files: Files, revisions: list[Revision]) -> str:
    package = files.version_file.parent

    def plain(texts: Texts) -> dict[str, str | None]:
        return {path.relative_to(package).as_posix(): text for path, text in texts.items()}

    rows = [{**vars(r), "before": plain(r.before), "after": plain(r.after)} for r in revisions]
    return json.dumps(rows, ensure_ascii=False, indent=1)


def _read(folder: Path, files: Files) -> Iterator[Revision]:
    package = files.version_file.parent

    def texts(plain: Mapping[str, str | None]) -> dict[Path, str | None]:
        return {package / path: text for path, text in plain.items()}

    with suppress(OSError, ValueError, LookupError):  # where it was lost or damaged, nothing is known
        for row in json.loads((folder / FILE).read_text(encoding="utf-8")):
            versions = {name: (before, after) for name, (before, after) in row["versions"].items()}
            yield Revision(row["message"], tuple(row["chosen"]), versions, texts(row["before"]), texts(row["after"]))
