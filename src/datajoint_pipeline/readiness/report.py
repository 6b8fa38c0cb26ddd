"""Put the findings of all checks together, and say which come first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from . import (
    calls,
    conversion,
    definitions,
    elements,
    headings,
    layout,
    modules,
    notebooks,
    package,
    packaging,
    project,
)
from .findings import GROUPS, Finding
from .notebooks import Notebook
from .schemas import Schemas
from .source import Module, read


@dataclass(frozen=True)
class Report:
    """What was found, in the order of paths and lines, and the files that use DataJoint and were not looked at."""

    findings: list[Finding]
    unseen: list[str]

    @property
    def left(self) -> list[Finding]:
        """Return what is to be done."""
        return [finding for finding in self.findings if not finding.note]

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many findings there are to be done with, by group and rule."""
        found = Counter(finding.rule for finding in self.left)
        counts = {group: {rule: found[rule] for rule in rules if found[rule]} for group, rules in GROUPS.items()}
        return {group: rules for group, rules in counts.items() if rules}

    @property
    def first(self) -> list[str]:
        """Return the three things to do first."""
        return list(_first(self.left))[:3]

    def grouped(self) -> Iterator[tuple[str, list[Finding]]]:
        """Yield the findings of each group under its title, what is only to be known after what is to be done."""
        for notes in (False, True):
            for group in GROUPS:
                mine = [f for f in self.findings if f.group == group and f.note == notes]
                if mine:
                    yield f"{group}{', to be known' if notes else ''}", mine


def report(own: project.Project, reading: project.Reading, more: Iterable[Path] = ()) -> Report:
    """Return everything that was found.

    Parameters
    ----------
    own : Project
        The pipeline.
    reading : Reading
        What was read of its repository.
    more : iterable of Path
        Files and folders beside the package whose calls are looked at as those of the package are.
    """
    schemas = Schemas(reading.modules, own.prefix)
    named, unread = _named(own, reading, more)
    paths = {module.path.resolve() for module in named}
    beside = [module for module in reading.beside if module.path.resolve() not in paths]
    every = [*reading.modules, *named]
    found = [
        Finding(path, line, "not-python", f"It is not Python: {why}.", "Correct it.")
        for path, line, why in reading.broken
    ]
    found += layout.check(own, reading)
    found += packaging.check(own)
    found += package.check(own, schemas)
    found += modules.check(schemas, own.prefix, packaging.required(own), own.is_scattered)
    found += definitions.check(every)
    found += calls.check(every)
    found += headings.check(schemas, named)
    found += conversion.check(own)
    packages = list(elements.check(own, [*every, *beside]))
    found += (one for one in packages if one.path not in {module.shown for module in beside})
    found += _to_know(one for one in packages if one.path in {module.shown for module in beside})
    found += _to_know([*definitions.check(beside), *calls.check(beside), *headings.of_files(schemas, beside)])
    found = [_placed(finding, [*named, *beside]) for finding in found]
    return Report(sorted(dict.fromkeys(found)), sorted({*reading.unseen, *unread}))


def _named(own: project.Project, reading: project.Reading, more: Iterable[Path]) -> tuple[list[Module], list[str]]:
    """Read the files that were named, and return with them the names of those that cannot be read."""
    found, unread = list[Module](), list[str]()
    others = {module.name: module for module in reading.modules}
    mine = {module.path for module in reading.modules}
    for path in more:
        for file in project.files_in(path, "*.py", "*.ipynb") if path.is_dir() else [path]:
            full = file.resolve()
            shown = own.shown(full) if full.is_relative_to(own.root) else str(file)
            if full in mine:
                continue
            try:
                module = notebooks.read(full, shown) if full.suffix == ".ipynb" else read(full, shown)
            except SyntaxError:
                unread.append(shown)
                continue
            module.package, module.others, module.beside = own.package, others, True
            found.append(module)
    return found, unread


def _to_know(found: Iterable[Finding]) -> Iterator[Finding]:
    """Yield what scripts and notebooks have to say otherwise: it keeps nobody from adopting the tables."""
    for finding in found:
        yield finding if finding.rule == "secret-in-code" else replace(finding, note=True)


def _placed(finding: Finding, beside: list[Module]) -> Finding:
    """Return a finding of a notebook by its cell."""
    for module in beside:
        if isinstance(module, Notebook) and module.shown == finding.path:
            path, line = module.place(finding.line)
            return replace(finding, path=path, line=line, sure=False)
    return finding


# --- What to do first ------------------------------------------------------------------------------------------------


def _first(left: list[Finding]) -> Iterator[str]:
    """Yield what to do, the most urgent and the cheapest before the rest."""
    found = Counter(finding.rule for finding in left)
    if found["secret-committed"] or found["secret-in-code"]:
        yield "Change the passwords that stand in the code or in the history of git."
    if found["no-package"]:
        yield "Have the tables in a package; the first finding says how."
    if found["not-python"]:
        yield f"Correct the {_count(found['not-python'], 'file')} that cannot be read as Python."
    if found["not-converted"] or found["no-version"]:
        yield "Run this with --convert: it makes datajoint.json, .secrets/ and version.py, and shows them first."
    sure = [finding for finding in left if finding.sure]
    if sure:
        files = len({finding.path for finding in sure})
        what = f"{_count(len(sure), 'type or call', 'types and calls')} in {_count(files, 'file')}"
        yield f"Run this with --convert-types: it changes {what}, and shows them first."
    yield from _by_hand([finding for finding in left if not finding.sure])


def _by_hand(left: list[Finding]) -> Iterator[str]:
    found = Counter(finding.group for finding in left)
    for group, what in (
        ("packaging", "Have pyproject.toml say what the library needs"),
        ("package", "Put the lines of the pipeline into the package"),
        ("schemas", "Open the schemas by open_schema"),
        ("types", "Decide on the types that have no one form"),
        ("calls", "Change the calls that DataJoint 2 has no more"),
        ("configuration", "Take the settings of 0.14 out of the code"),
        ("layout", "Move or rename what cannot stay"),
    ):
        if found[group]:
            yield f"{what} ({_count(found[group], 'finding')} of {group} below)."


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
