"""Where the code of a project is, for what people are told of its lines."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sources:
    """The package whose code declares the tables.

    Parameters
    ----------
    package : str
        Import name.
    directory : Path
        Folder of its modules.
    root : Path
        The project's folder, which paths are told from.
    """

    package: str
    directory: Path
    root: Path

    def place(self, frames: list[tuple[str, int | None]]) -> str:
        """Give file and line of the innermost of the frames that is the project's own."""
        for file, line in reversed(frames):
            if self.directory in Path(file).parents:
                return f"{os.path.relpath(file, self.root)}, line {line}"
        return self.package
