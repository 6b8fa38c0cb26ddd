"""What a check found: one value a place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be: an id, where, a sentence, a fix. A ``note`` is only to be known."""

    id: str
    module: str
    line: int
    what: str
    do: str
    note: bool = False
