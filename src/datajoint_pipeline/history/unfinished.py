"""Files that are written together: whoever is killed between two of them writes the rest when run again.

What is to be written is noted before the first file and forgotten after the last. The note is of one machine and is not
committed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import PipelineError
from . import revisions, writing
from .revisions import Texts


@dataclass(frozen=True)
class Rewriting:
    """What is to become of some files.

    Parameters
    ----------
    note : Path
        Where it is noted.
    root : Path
        The folder that has all of the files.
    before, after : mapping
        The text of each file; None where there is none. They are written in the order of ``after``.
    moved : mapping
        The new path of each file that gets another one, relative to the folder.
    """

    note: Path
    root: Path
    before: Texts
    after: Texts
    moved: Mapping[str, str]

    def write(self) -> None:
        """Note it, write every file, and forget it."""
        writing.put(self.note, json.dumps(self._plain(), ensure_ascii=False, indent=1))
        self.finish()

    def finish(self) -> None:
        """Write every file that is not written yet, and forget it."""
        revisions.write(self.after)
        self.note.unlink(missing_ok=True)

    def _plain(self) -> dict[str, object]:
        def plain(texts: Texts) -> dict[str, str | None]:
            return {path.relative_to(self.root).as_posix(): text for path, text in texts.items()}

        return {"before": plain(self.before), "after": plain(self.after), "moved": dict(self.moved)}


def left(note: Path, root: Path, again: str) -> Rewriting | None:
    """Give what was broken off; None where nothing was, or nothing of it is there any more.

    Parameters
    ----------
    note, root : Path
        As a :class:`Rewriting` has them.
    again : str
        The command that writes it.

    Raises
    ------
    PipelineError
        If part of it is written, and a file was changed since by somebody else.
    """
    found = None
    with suppress(OSError, ValueError, LookupError, TypeError):  # where it was lost or damaged, nothing is known
        row = json.loads(note.read_text(encoding="utf-8"))
        before, after = ({root / path: text for path, text in row[when].items()} for when in ("before", "after"))
        found = Rewriting(note, root, {path: before[path] for path in after}, after, dict(row["moved"]))
    if found is None:
        return None
    there = {path: revisions.read(path) for path in found.after}
    if not any(text == found.after[path] != found.before[path] for path, text in there.items()):
        note.unlink(missing_ok=True)
        return None
    for path, text in there.items():
        if text not in (found.before[path], found.after[path]):
            raise PipelineError(
                f"{again} was interrupted, and {path.relative_to(root)} was changed since.",
                "An interrupted command can only be completed with the files that it began with.",
                f"Take {path.relative_to(root)} back from version control and run {again} again; or take all of the "
                f"migrations back, and delete {note}.",
            )
    return found
