"""Where the history of a project's schemas is on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Files:
    """The files that say which versions a project's schemas have had.

    Parameters
    ----------
    folder : Path
        Has a folder for each schema, with its migrations and snapshots.
    version_file : Path
        ``version.py``.
    versions : mapping
        ``SCHEMA_VERSIONS`` in it: version of each schema, in dependency order.
    program : str
        What people type to run a command, for the comments in files.
    editable : bool
        Whether they are the project's, to be written, and not those of an installed wheel.
    """

    folder: Path
    version_file: Path
    versions: Mapping[str, str]
    program: str
    editable: bool = True
