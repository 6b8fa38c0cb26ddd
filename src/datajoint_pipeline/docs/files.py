"""The pages on disk: which of them are ours, what the lab wrote into them, and which are out of date.

A page carries a mark with the digest of what was written, so that an edit by hand is seen. What the lab writes between
the notes of a page stays. Only files with the mark are ever written over or removed.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath

from .. import disk

#: The lab's part of a page, and of a README the part that is kept.
NOTES, DIAGRAM = ("<!-- notes -->", "<!-- end of notes -->"), ("<!-- diagram -->", "<!-- end of diagram -->")

#: Where the pages stand in the navigation of the docs site.
NAVIGATION = ("  # docs build: pages of the pipeline", "  # docs build: end")

_MARK = re.compile(r"<!-- Written by docs build \((\w+)\)\. .*-->\n\n")
_MARKED = (
    "<!-- Written by docs build ({digest}). Your own words go between the notes; the rest comes from the code. -->\n\n"
)
_PICTURE_MARK = "<!-- Written by docs build. -->\n"

_NO_NOTES = f"\n\n{NOTES[0]}\n{NOTES[1]}\n"


class State(Enum):
    """How a file differs from what it should be."""

    MISSING = "missing"
    OUTDATED = "out of date"
    EDITED = "edited by hand"
    FOREIGN = "not written by docs build"
    OBSOLETE = "of nothing that is there"


@dataclass(frozen=True)
class Stale:
    """A file that is not as it should be.

    Parameters
    ----------
    path : PurePosixPath
        Where it is, from the project's folder.
    state : State
        What is wrong.
    before, after : str
        What it is and what it should be; empty for none.
    """

    path: PurePosixPath
    state: State
    before: str
    after: str

    @property
    def blocked(self) -> bool:
        """Say whether writing it would lose what somebody wrote."""
        return self.state in (State.EDITED, State.FOREIGN)

    def diff(self) -> str:
        """Give the difference as text, a line each."""
        lines = difflib.unified_diff(
            self.before.splitlines(), self.after.splitlines(), f"{self.path}", f"{self.path} (docs build)", lineterm=""
        )
        return "\n".join(lines)


def is_ours(page: Path) -> bool:
    """Say whether there is such a page and `docs build` wrote it."""
    return page.is_file() and _MARK.match(disk.text(page)) is not None


def compare(root: Path, folder: PurePosixPath, wanted: Mapping[str, str]) -> list[Stale]:
    """Find which pages below a folder are not as they should be.

    Parameters
    ----------
    root : Path
        The project's folder.
    folder : PurePosixPath
        Where the pages are, from there.
    wanted : mapping of str to str
        The text of each page by its path below the folder, without mark and notes.

    Raises
    ------
    PipelineError
        If a file cannot be read.
    """
    found = []
    for name, text in wanted.items():
        path = root / folder / name
        there = disk.text(path) if path.is_file() else None
        after = _marked(name, text, _notes(there or ""))
        if there != after:
            state = State.MISSING if there is None else _state(name, there)
            found.append(Stale(folder / name, state, there or "", after))
    for path in sorted((root / folder).rglob("*")):
        name = path.relative_to(root / folder).as_posix()
        if path.suffix in (".md", ".svg") and path.is_file() and name not in wanted:
            there = disk.text(path)
            state = _state(name, there)
            if state is not State.FOREIGN:
                lost = state is State.EDITED or _notes(there) != _NO_NOTES
                found.append(Stale(folder / name, State.EDITED if lost else State.OBSOLETE, there, ""))
    return found


def between(root: Path, file: str, marks: tuple[str, str], inner: str) -> list[Stale]:
    """Compare what stands between two lines of a file of the lab's; nothing where it has no such lines."""
    path = root / file
    before = disk.text(path) if path.is_file() else ""
    start, end = (re.search(rf"^{re.escape(mark)}$", before, re.MULTILINE) for mark in marks)
    if start is None or end is None or end.start() < start.end():
        return []
    after = f"{before[: start.end()]}\n{inner}{before[end.start() :]}"
    return [Stale(PurePosixPath(file), State.OUTDATED, before, after)] if before != after else []


def write(root: Path, stale: Iterable[Stale]) -> None:
    """Write files as they should be, remove those of nothing, and folders that are empty then."""
    for one in stale:
        path = root / one.path
        try:
            if one.after:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(one.after, encoding="utf-8", newline="\n")
            else:
                path.unlink()
                if not any(path.parent.iterdir()):
                    path.parent.rmdir()
        except OSError as error:
            raise disk.refusal(error, path) from error


def _marked(name: str, text: str, notes: str) -> str:
    if name.endswith(".svg"):
        return text + _PICTURE_MARK
    head, _, rest = text.partition("\n\n")
    return _MARKED.format(digest=_digest(text)) + head + notes + "\n" + rest.rstrip() + "\n"


def _state(name: str, text: str) -> State:
    """Say whose a file is that is not as it should be."""
    if name.endswith(".svg"):
        return State.OUTDATED if text.endswith(_PICTURE_MARK) else State.FOREIGN
    mark = _MARK.match(text)
    if mark is None:
        return State.FOREIGN
    notes = _notes(text)
    plain = text[mark.end() :].replace(notes + "\n", "\n\n", 1)
    return State.OUTDATED if _digest(plain) == mark[1] else State.EDITED


def _notes(text: str) -> str:
    """Give the lab's part of a page with its marks."""
    found = re.search(rf"\n\n{re.escape(NOTES[0])}\n.*?{re.escape(NOTES[1])}\n", text, re.DOTALL)
    return found[0] if found else _NO_NOTES


def _digest(text: str) -> str:
    return hashlib.sha256(text.strip().encode()).hexdigest()[:16]
