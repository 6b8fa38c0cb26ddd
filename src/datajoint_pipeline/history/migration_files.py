"""Reads migration files and snapshots from disk: one folder a schema, beside the modules.

``snapshot.txt`` says what the schema looks like at its newest version and is rewritten by every `revise`, so that two
branches that change one schema collide in it. ``<version>.txt`` is the snapshot that the oldest migration starts from.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

from packaging.version import InvalidVersion, Version

from .. import disk
from ..errors import PipelineError
from ..operations import structure as ops
from ..operations.lines import Line
from ..operations.state import LineContext
from ..schema import definition
from ..schema.model import Schema, Table, TableName
from . import digest
from .files import Files

LATEST = "snapshot.txt"

#: What a run of `adopt` is called that brings types to the code.
TYPES = "types"

_FILE = re.compile(r"(?P<version>\d[^_]*)_(?P<slug>\w+)\.py")

#: Ids of the rules that `migrate --dry-run` prints (:mod:`planner.impact`), and that a migration may silence.
RULES = (
    *("drop-table", "drop-attribute", "rename", "primary-key", "rewrites-table", "locks-table", "running-workers"),
    *("data-loss", "no-way-back", "schema-gone", "draft", "objects", "may-not-lock", "event-triggers"),
    "stays-hidden",
)


@dataclass(frozen=True)
class Migration:
    """A migration of one schema; or, with ``makes``, its creation.

    Parameters
    ----------
    schema, version : str
        What it makes of which schema.
    follows : str or None
        The version that it starts from; None where it makes the schema.
    slug : str
        What it is called, apart from the version.
    path : Path or None
        Its file.
    words : str
        What it is for.
    requires : dict
        Version that each of some other schemas must have.
    lines : tuple of migration.Line
        What it does.
    makes : Schema or None
        The tables, where it makes the schema.
    silence : dict
        Reason why a rule is not to speak, by the rule's id.
    digest : str
        Changes with what it does and not with how it is written (:mod:`digest`); empty where it has no file.
    frame : str
        The same, whatever the lab's own statements and Python in it are.
    digests_v1 : tuple of str
        The digests that releases up to 0.5.4 recorded for it.
    frame_v1 : str
        The frame that they recorded.
    later : definition.Titles, callable or None
        Names of the tables that are made after it.
    included : dict
        Where it makes the schema as a database has it, what that has had, as a head has it; empty where that is what
        leads to its version.
    """

    schema: str
    version: str
    follows: str | None
    slug: str
    path: Path | None = None
    words: str = ""
    requires: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()
    makes: Schema | None = None
    silence: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
    frame: str = ""
    digests_v1: tuple[str, ...] = ()
    frame_v1: str = ""
    later: definition.More = field(default=None, compare=False)
    included: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """``ephys 1.1.0 add_weight``."""
        return f"{self.schema} {self.version} {self.slug}"

    @property
    def module(self) -> str:
        """Give its file as a finding names it, from the package's folder and without ending."""
        return f"migrations/{self.schema}/{self.path.stem if self.path else self.version}"

    def has_digest(self, recorded: str) -> bool:
        """Say whether a digest that any release recorded is that of this file."""
        return bool(recorded) and recorded in (self.digest, *self.digests_v1)

    def has_frame(self, recorded: str | None) -> bool:
        """Say whether a frame that any release recorded is that of this file; releases before 0.5 recorded None."""
        return bool(recorded) and recorded in (self.frame, self.frame_v1)

    @property
    def questions(self) -> list[tuple[str, str]]:
        """Give what a person still has to decide, each with what to do about it."""
        return [(line.question, line.answer) for line in self.lines if line.question]

    @property
    def question_lines(self) -> list[int]:
        """Give the line of the file at which each question stands; 1 where that cannot be told."""
        tree = ast.parse(disk.text(self.path) if self.path else "")
        listed = [
            node.value.elts for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.List)
        ]
        nodes = next((nodes for nodes in listed if len(nodes) == len(self.lines)), None)
        numbers = [node.lineno for node in nodes] if nodes is not None else [1] * len(self.lines)
        return [number for number, line in zip(numbers, self.lines, strict=True) if line.question]

    def operations(self, before: Mapping[TableName, Table]) -> list[ops.Operation]:
        """Give its operations, for the tables before it.

        Raises
        ------
        PipelineError
            If a line does not fit the tables.
        """
        if self.makes is not None:
            return [ops.CreateTable(table.name, table) for table in self.makes]
        found = []
        tables = dict(before)
        for number, line in enumerate(self.lines, 1):
            try:
                operation = line.operation(LineContext(tables, self.schema, self.later))
                if operation is not None:
                    found.append(operation)
                    tables = operation.apply(tables)
            except PipelineError as error:
                where = f"{self.path.name if self.path else self.title}, operation {number} ({type(line).__name__})"
                raise PipelineError(f"{where}: {error.what}", error.why, error.do) from error
        return found


@dataclass(frozen=True)
class Snapshot:
    """The tables of a schema at a version; they are read when they are needed.

    Parameters
    ----------
    version : str
        The version.
    path : Path
        Its file.
    fingerprint : str
        Of the shape, as the file says it; empty where it does not.
    read : callable
        Gives the shape.
    """

    version: str
    path: Path
    fingerprint: str
    read: Callable[[], Schema] = field(compare=False, repr=False)

    @cached_property
    def shape(self) -> Schema:
        """Read the tables; raise :class:`PipelineError` where the file cannot be read."""
        return self.read()

    def is_like(self, shape: Schema) -> bool:
        """Say whether a schema is surely this one, without reading the tables of the file."""
        return self.fingerprint == shape.fingerprint


@dataclass
class History:
    """What is on disk of one schema; ``migrations`` in the order of their versions."""

    schema: str
    folder: Path
    oldest: Snapshot | None = None
    latest: Snapshot | None = None
    migrations: list[Migration] = field(default_factory=list)


def schemas(files: Files) -> list[str]:
    """List the schemas of ``SCHEMA_VERSIONS``, then those that only have a history."""
    kept = sorted(path.parent.name for path in files.folder.glob(f"*/{LATEST}"))
    return list(dict.fromkeys([*files.versions, *kept]))


def pending(files: Files, schema: str, recorded: str) -> tuple[str, ...]:
    """Give the versions above a recorded one, from the names of the files alone."""
    matches = (_FILE.fullmatch(path.name) for path in (files.folder / schema).glob("*.py"))
    versions = {match["version"] for match in matches if match} | {files.versions[schema]}
    above = [v for v in versions if Version(recorded) < _version(v, schema) <= Version(files.versions[schema])]
    return tuple(sorted(above, key=Version))


def named_versions(files: Files, schema: str) -> list[str]:
    """Give the versions of a schema, from the names of its files and ``SCHEMA_VERSIONS`` alone; what is none is left
    out.
    """
    folder, found = files.folder / schema, {files.versions.get(schema, "")}
    found |= {match["version"] for path in folder.glob("*.py") if (match := _FILE.fullmatch(path.name))}
    found |= {path.stem for path in folder.glob("*.txt")}
    known = dict[str, Version]()
    for text in found:
        with suppress(InvalidVersion):
            known[text] = Version(text)
    return sorted(known, key=known.__getitem__)


def between(files: Files, schema: str, one: str, other: str) -> tuple[str, ...]:
    """Give the migrations that lead from one version to another, or back, as their files are called; in their order."""
    try:
        low, high = sorted((Version(one), Version(other)))
    except InvalidVersion:  # anybody may have written them
        return ()
    found = [(path, _FILE.fullmatch(path.name)) for path in (files.folder / schema).glob("*.py")]
    named = [(_version(match["version"], schema), path.stem) for path, match in found if match]
    return tuple(name for version, name in sorted(named) if low < version <= high)


def _version(text: str, schema: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        raise PipelineError(
            f"{text!r} in the migrations of {schema} is not a version.",
            "The name of a migration file is <version>_<what it does>.py.",
            "Correct its name.",
        ) from None


# --- Reading -----------------------------------------------------------------------------------------------------


def read(files: Files) -> dict[str, History]:
    """Read everything that is on disk, by schema.

    Raises
    ------
    PipelineError
        If a file cannot be read.
    """
    found = {name: History(name, files.folder / name) for name in schemas(files)}
    texts: dict[Path, _SnapshotFile] = {}
    for history in found.values():
        for path in sorted(history.folder.glob("*.txt")):
            texts[path] = _read_snapshot_file(path, history.schema)
    new = {path: text for path, text in texts.items() if path.name == LATEST}
    old = {path: text for path, text in texts.items() if path not in new}
    titles = cache(lambda: _titles(new))
    begun = {text.schema for text in old.values()}
    first = {path: text for path, text in new.items() if text.schema not in begun}
    first_titles = cache(lambda: _titles({**first, **old}, titles))
    for path, text in new.items():
        found[text.schema].latest = found[text.schema].oldest = _snapshot(path, text, titles)
    for path, text in sorted(old.items(), key=lambda item: _version(item[1].version, item[1].schema), reverse=True):
        found[text.schema].oldest = _snapshot(path, text, first_titles)
    for history in found.values():
        paths = [path for path in history.folder.glob("*.py") if not path.name.startswith("_")]
        history.migrations = sorted(
            (_load(path, history.schema, titles) for path in paths), key=lambda m: Version(m.version)
        )
    return found


class _SnapshotFile(NamedTuple):
    """A snapshot's file."""

    schema: str
    version: str
    fingerprint: str
    body: str


def _titles(texts: Mapping[Path, _SnapshotFile], more: definition.More = None) -> definition.Titles:
    """Read the names of the tables of some snapshots."""
    titles = definition.Titles(more=more)
    for path, text in texts.items():
        with _speaking_of(path):
            definition.read_names(text.body, text.schema, titles)
    return titles


def _snapshot(path: Path, text: _SnapshotFile, titles: Callable[[], definition.Titles]) -> Snapshot:
    def read() -> Schema:
        with _speaking_of(path):
            tables = definition.read_tables(text.body, text.schema, titles())
        return Schema(text.schema, tuple(sorted(tables, key=lambda table: table.name.table)))

    return Snapshot(text.version, path, text.fingerprint, read)


def latest(files: Files) -> dict[str, Snapshot]:
    """Read the newest snapshot of every schema that has one."""
    paths = {name: files.folder / name / LATEST for name in schemas(files)}
    texts = {path: _read_snapshot_file(path, name) for name, path in paths.items() if path.is_file()}
    titles = cache(lambda: _titles(texts))
    return {text.schema: _snapshot(path, text, titles) for path, text in texts.items()}


class _speaking_of:
    """Names the file in what goes wrong while it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        name = f"{self._path.parent.name}/{self._path.name}"
        if isinstance(error, PipelineError) and not error.what.startswith(name):
            raise PipelineError(f"{name}: {error.what}", error.why, error.do) from error


def _relative(path: Path) -> str:
    """Give a path as it is typed in this folder."""
    return shlex.quote(Path(os.path.relpath(path)).as_posix())


def _read_snapshot_file(path: Path, schema: str) -> _SnapshotFile:
    text = disk.text(path)
    if re.search(r"^(<<<<<<<|=======$|>>>>>>>)", text, re.M):
        raise PipelineError(
            f"{path.parent.name}/{path.name} holds both sides of a conflict.",
            "Two branches changed this schema.",
            f"Keep either side whole (git checkout --ours {_relative(path)}, or --theirs), then run renumber "
            f"{path.parent.name}.",
        )
    if len(re.findall(r"^fingerprint ", text, re.M)) > 1:
        raise PipelineError(
            f"{path.parent.name}/{path.name} holds both sides of a merge: it has two fingerprints.",
            "A snapshot is one side or the other, never both put together.",
            f"Take one side whole (git checkout --ours {_relative(path)}, or --theirs), then run renumber "
            f"{path.parent.name}.",
        )
    match = re.search(r"^version (\S+)\n(?:fingerprint (.*)\n)?", text, re.M)
    if match is None:
        raise PipelineError(
            f"{path.parent.name}/{path.name} has no line with its version.",
            "It was edited, or written by something else than revise.",
            "Take it from version control.",
        )
    _version(match[1], path.parent.name)
    return _SnapshotFile(schema, match[1], (match[2] or "").strip(), text[match.end() :])


def _load(path: Path, schema: str, titles: definition.More) -> Migration:
    match = _FILE.fullmatch(path.name)
    name = f"{schema}/{path.name}"
    place = Path(os.path.realpath(path))
    if place != path or path.is_symlink():
        raise PipelineError(
            f"{name} is not a file of this package.",
            f"It leads to {place}, and what is run is what was reviewed and released with the package.",
            "Put the file itself there, or remove the link.",
        )
    if match is None:
        raise PipelineError(
            f"{name} is not the name of a migration.",
            "It is <version>_<what it does>.py, such as 1.1.0_add_weight.py.",
            "Rename it, or move it elsewhere.",
        )
    _version(match["version"], schema)
    source = disk.text(path)
    names = _run(source, path, name)
    given = names.get("operations") or ()
    lines = tuple(given) if isinstance(given, list | tuple) else (given,)
    wrong = next((line for line in lines if not isinstance(line, Line)), None)
    if wrong is not None or "operations" not in names:
        what = "has no list called operations" if wrong is None else f"has {wrong!r} among its operations"
        raise PipelineError(f"{name} {what}.", "That is not an operation on a table.", "Correct the file.")
    requires, silence = (_dictionary(names, what, name) for what in ("requires", "silence"))
    for version in requires.values():
        _version(version, schema)
    if unknown := [id_ for id_ in silence if id_ not in RULES]:
        raise PipelineError(
            f"{name} silences {unknown[0]}, and there is no such rule.",
            f"The rules are {', '.join(RULES)}.",
            "Correct the id; docs/migrations.md has a paragraph on each.",
        )
    return Migration(
        schema,
        match["version"],
        names.get("follows"),
        match["slug"],
        path,
        " ".join(str(names.get("__doc__") or "").split()),
        requires,
        lines,
        None,
        silence,
        digest.digest(lines, source),
        digest.frame(lines),
        digest.digests_v1(lines, source),
        digest.frame_v1(lines),
        titles,
    )


def _dictionary(names: Mapping[str, Any], what: str, name: str) -> dict[str, str]:
    """Read ``requires`` or ``silence`` of a file: a dictionary of texts."""
    found = names.get(what) or {}
    if not isinstance(found, dict) or not all(
        isinstance(text, str) and text for pair in found.items() for text in pair
    ):
        form = {"requires": '{"subject": "1.1.0"}', "silence": '{"rewrites-table": "the reason"}'}[what]
        raise PipelineError(f"{name} has {what} = {found!r}.", f"Expected is: {what} = {form}.", "Correct the file.")
    return found


def _run(source: str, path: Path, name: str) -> dict[str, Any]:
    do = "Correct the file; docs/migrations.md lists the operations."
    names: dict[str, Any] = {"__name__": f"migration_{path.stem}", "__file__": str(path)}
    try:
        code = compile(source, str(path), "exec")
    except (SyntaxError, ValueError) as error:  # up to Python 3.11.3 a null is no matter of syntax
        line = getattr(error, "lineno", None)
        where = f"Line {line}: " if line else ""
        raise PipelineError(f"{name} is not Python.", f"{where}{getattr(error, 'msg', error)}.", do) from error
    try:
        exec(code, names)
    except PipelineError as error:
        raise PipelineError(f"{name}: {error.what}", error.why, error.do) from error
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        text = " ".join(str(error).split())
        if " " not in text:  # as the key of a KeyError
            text = f"{type(error).__name__}: {text}"
        if isinstance(error, ImportError) and (missing := re.search(r"cannot import name '(\w+)'", text)):
            text = f"There is no operation {missing[1]}"
        raise PipelineError(f"{name} cannot be read.", f"Line {lines[-1] if lines else '?'}: {text}.", do) from error
    return names


def tables_of(snapshots: Iterable[Snapshot | None]) -> dict[TableName, Table]:
    """Give the tables of some snapshots by name."""
    return {table.name: table for snapshot in snapshots if snapshot is not None for table in snapshot.shape}
