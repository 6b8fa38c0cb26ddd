"""Put the findings of all checks together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from . import calls, conversion, definitions, layout, package, packaging, project, schemas
from .findings import GROUPS, Finding
from .source import Module, read


def findings(own: project.Project, more: Iterable[Path] = ()) -> list[Finding]:
    """Return everything that was found, in the order of paths and lines.

    Parameters
    ----------
    own : Project
        The pipeline.
    more : iterable of Path
        Files and folders beside the package whose calls are looked at, too: scripts, notebooks saved as Python.
    """
    top, every, unread = project.files(own)
    named = schemas.names(top, own.prefix)
    found = [
        Finding(path, line, "not-python", f"It is not Python: {why}.", "Correct it.") for path, line, why in unread
    ]
    found += layout.check(own, every)
    found += packaging.check(own)
    found += package.check(own, top, named)
    found += schemas.check(top, own.prefix)
    found += definitions.check(every)
    found += calls.check([*every, *_others(own, more)])
    found += conversion.check(own)
    return sorted(dict.fromkeys(found))


def grouped(found: list[Finding]) -> Iterator[tuple[str, list[Finding]]]:
    """Yield the findings of each group under its title, what is only to be known after what is to be done."""
    for group in GROUPS:
        for notes in (False, True):
            mine = [finding for finding in found if finding.group == group and finding.note == notes]
            if mine:
                yield f"{group}{', to be known' if notes else ''}", mine


def _others(own: project.Project, more: Iterable[Path]) -> Iterator[Module]:
    for path in more:
        for file in project.files_in(path) if path.is_dir() else [path]:
            full = file.resolve()
            shown = full.relative_to(own.root).as_posix() if full.is_relative_to(own.root) else str(file)
            try:
                yield read(file, shown, own.package)
            except SyntaxError:
                continue
