"""``workers.toml`` as values: classes of workers in order of size, the tables of each, priorities, retries.

The file is the lab's. Where there is none, one class ``default`` computes every table. Whatever is wrong is collected,
each mistake a sentence with its line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import ExitCode, PipelineError
from ..toml_lines import Lines, tomllib
from ..toml_mistakes import KINDS, Mistake, dotted, hint, lower, meant, no_toml, refusal, shown, text_of

#: The lab's file, in the project's folder.
FILE = "workers.toml"

#: The class of every table where the file names none.
DEFAULT = "default"

#: What DataJoint gives a job that has no other priority; lower ones come first.
PRIORITY = 5

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST_NAME = 30
_MEMORY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt])i?b?\s*", re.IGNORECASE)
_TIME = re.compile(
    r"\s*(?:(?P<d>\d+)\s*d)?\s*(?:(?P<h>\d+)\s*h)?\s*(?:(?P<m>\d+)\s*m(?:in)?)?\s*(?:(?P<s>\d+(?:\.\d+)?)\s*s)?\s*"
)
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


@dataclass(frozen=True)
class WorkerClass:
    """A class of workers: what each of them gets, and what it computes.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and hyphens, 30 at most: a name that Slurm and Kubernetes take.
    cpu, gpu : int
        Processors and graphics cards of a worker.
    memory : int, optional
        Bytes that a worker may take, with the processes that it starts; without it, there is no limit.
    time : float, optional
        Seconds that one job may take; without it, there is no limit.
    grace : float
        Seconds in which a worker that is asked to stop may finish its job.
    workers : int
        How many of them the files in ``deploy/`` start.
    tables : tuple of str
        What it computes: ``ephys.Recording``, ``ephys.*`` or ``*``.
    line : int
        Where it stands in the file.
    """

    name: str
    cpu: int = 1
    memory: int | None = None
    time: float | None = None
    gpu: int = 0
    grace: float = 60.0
    workers: int = 1
    tables: tuple[str, ...] = ()
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Retries:
    """How often a job is tried again that failed for no fault of its own.

    Parameters
    ----------
    attempts : int
        How often it is tried in all where a connection or a lock was lost.
    wait : float
        Seconds before the second attempt; twice as many before each further one.
    kills : int
        How often a job may take its worker with it before it counts as failed.
    """

    attempts: int = 5
    wait: float = 30.0
    kills: int = 3


#: What ``alert`` looks for.
RULES = ("failures", "still", "nobody", "memory", "drift", "behind")


@dataclass(frozen=True)
class Alerts:
    """What is worth a message.

    Parameters
    ----------
    failures : int
        More failed jobs of one table than these.
    still : float
        Seconds in which nothing moves in a table although workers of its class live.
    nobody : float
        Seconds in which keys of a table wait and no worker of its class lives.
    off : tuple of str
        Those of :data:`RULES` that nobody wants to hear of.
    """

    failures: int = 0
    still: float = 6 * 3600.0
    nobody: float = 1800.0
    off: tuple[str, ...] = ()


@dataclass(frozen=True)
class Workers:
    """What ``workers.toml`` says.

    Parameters
    ----------
    classes : tuple of WorkerClass
        From the smallest to the largest; there is always one.
    priorities : mapping
        By table or pattern; what has none has :data:`PRIORITY`. Lower ones come first.
    retries : Retries
        How often jobs are tried again.
    alerts : Alerts
        What is worth a message.
    """

    classes: tuple[WorkerClass, ...] = (WorkerClass(DEFAULT, tables=("*",)),)
    priorities: Mapping[str, int] = field(default_factory=dict)
    retries: Retries = field(default_factory=Retries)
    alerts: Alerts = field(default_factory=Alerts)

    @property
    def names(self) -> tuple[str, ...]:
        """Give the names of the classes, from the smallest to the largest."""
        return tuple(one.name for one in self.classes)

    def find(self, name: str) -> WorkerClass | None:
        """Give a class by its name."""
        return next((one for one in self.classes if one.name == name), None)

    def chosen(self, name: str | None) -> tuple[WorkerClass, ...]:
        """Give the class that a person named, or all.

        Raises
        ------
        PipelineError
            If there is no such class.
        """
        if not name:
            return self.classes
        if (found := self.find(name)) is None:
            raise PipelineError(
                f"There is no class {name} of workers.",
                f"{FILE} has {', '.join(self.names)}.",
                "Name one of these, or none for all.",
                exit_code=ExitCode.USAGE,
            )
        return (found,)

    def class_of(self, table: str) -> WorkerClass:
        """Give the class that computes a table, by its name ``ephys.Recording``.

        A name goes before ``ephys.*``, and that before ``*``; what no class names belongs to the first.
        """
        pattern = _nearest(table, [pattern for one in self.classes for pattern in one.tables])
        return next((one for one in self.classes if pattern in one.tables), self.classes[0])

    def larger(self, name: str) -> WorkerClass | None:
        """Give the class after one, where what was too large for that is tried."""
        place = self.names.index(name) + 1 if name in self.names else len(self.classes)
        return self.classes[place] if place < len(self.classes) else None

    def priority(self, table: str) -> int:
        """Give the priority of a table's jobs."""
        pattern = _nearest(table, list(self.priorities))
        return self.priorities[pattern] if pattern is not None else PRIORITY


def _nearest(table: str, patterns: Collection[str]) -> str | None:
    """Give which of some patterns is the closest to a table."""
    for pattern in (table, f"{table.partition('.')[0]}.*", "*"):
        if pattern in patterns:
            return pattern
    return None


# --- Units -----------------------------------------------------------------------------------------------------------


def size(text: str) -> int | None:
    """Give the bytes of ``16 GB``, as Slurm counts them: 1 GB is 1024 MB; None where it is no size."""
    match = _MEMORY.fullmatch(text)
    return int(float(match[1]) * 1024 ** ("kmgt".index(match[2].lower()) + 1)) if match else None


def seconds(text: str) -> float | None:
    """Give the seconds of ``3h50m``, ``90s`` or ``2d``; None where it is no such time."""
    match = _TIME.fullmatch(text)
    if match is None or not any(match.groups()):
        return None
    return sum(float(number) * _SECONDS[unit] for unit, number in match.groupdict().items() if number)


def in_words(count: int) -> str:
    """Give a number of bytes as people say it: ``61 GB``."""
    for power, unit in ((4, "TB"), (3, "GB"), (2, "MB")):
        if count >= 1024**power:
            value = count / 1024**power
            return f"{value:.1f} {unit}" if value < 10 and round(value, 1) != round(value) else f"{value:.0f} {unit}"
    return f"{count / 1024:.0f} kB"


# --- What the file may have ------------------------------------------------------------------------------------------


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Class(_Part):
    cpu: int = Field(default=1, ge=1)
    memory: str | None = None
    time: str | None = None
    gpu: int = Field(default=0, ge=0)
    grace: str = "60s"
    workers: int = Field(default=1, ge=1)
    tables: list[str] = Field(default_factory=list)


class _Retries(_Part):
    attempts: int = Field(default=5, ge=1)
    wait: str = "30s"
    kills: int = Field(default=3, ge=1)


class _Alerts(_Part):
    failures: int = Field(default=0, ge=0)
    still: str = "6h"
    nobody: str = "30m"
    off: list[str] = Field(default_factory=list)


class _File(_Part):
    classes: dict[str, _Class] = Field(default_factory=dict)
    priorities: dict[str, int] = Field(default_factory=dict)
    retries: _Retries = Field(default_factory=_Retries)
    alerts: _Alerts = Field(default_factory=_Alerts)


# --- Reading ---------------------------------------------------------------------------------------------------------


def read(path: Path, *, schemas: Collection[str], tables: Collection[str] | None = None) -> Workers:
    """Read and check ``workers.toml``.

    Parameters
    ----------
    path : Path
        The file, which need not be there.
    schemas : collection of str
        The names of the project's schemas.
    tables : collection of str, optional
        The names of every Imported and Computed table, ``ephys.Recording``; without it, names of tables are checked as
        far as their schema.

    Raises
    ------
    PipelineError
        With every mistake in it, a line each.
    """
    try:
        text = text_of(path)
    except FileNotFoundError:
        return Workers()
    workers, mistakes = parse(text, schemas=schemas, tables=tables)
    if mistakes:
        raise refusal(path, mistakes)
    return workers


def parse(
    text: str, *, schemas: Collection[str], tables: Collection[str] | None = None
) -> tuple[Workers, list[Mistake]]:
    """Give what a text of ``workers.toml`` says, and its mistakes by line; the parameters are those of :func:`read`."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return Workers(), [no_toml(text, error)]
    places = Lines(text)
    mistakes: list[Mistake] = []
    try:
        found = _File.model_validate(document)
    except ValidationError as error:
        # What can be said of the rest is said as well, so that nobody mends the file twice.
        mistakes += [_in_words(complaint, places) for complaint in error.errors()]
        for complaint in error.errors():
            _take_out(document, complaint["loc"])
        found = _File.model_validate(document)
    mistakes += _unit_mistakes(found, places)
    mistakes += _class_mistakes(found, places)
    mistakes += [
        Mistake(places.of(("alerts", "off", number), rule), f"alerts.off: there is no rule {rule}{hint(rule, RULES)}")
        for number, rule in enumerate(found.alerts.off)
        if rule not in RULES
    ]
    mistakes += _name_mistakes(found, places, schemas, tables)
    return _values(found, places), sorted(set(mistakes))


def _values(found: _File, places: Lines) -> Workers:
    classes = tuple(
        WorkerClass(
            name,
            cpu=one.cpu,
            memory=size(one.memory) if one.memory is not None else None,
            time=seconds(one.time) if one.time is not None else None,
            gpu=one.gpu,
            grace=seconds(one.grace) or 0.0,
            workers=one.workers,
            tables=tuple(one.tables),
            line=places.of(("classes", name)),
        )
        for name, one in found.classes.items()
    )
    retries = Retries(found.retries.attempts, seconds(found.retries.wait) or 0.0, found.retries.kills)
    alerts = Alerts(
        found.alerts.failures,
        seconds(found.alerts.still) or 0.0,
        seconds(found.alerts.nobody) or 0.0,
        tuple(found.alerts.off),
    )
    return Workers(classes or Workers().classes, dict(found.priorities), retries, alerts)


# --- Mistakes --------------------------------------------------------------------------------------------------------


def _take_out(document: dict[str, Any], path: tuple[Any, ...]) -> None:
    """Take what is wrong out of a document."""
    inner: Any = document
    for name in path[:-1]:
        if not isinstance(inner, dict) or not isinstance(inner.get(name), dict):
            break
        inner, path = inner[name], path[1:]
    if isinstance(inner, dict):
        inner.pop(path[0], None)


def _in_words(complaint: Any, places: Lines) -> Mistake:
    """Say in a sentence what pydantic complains of."""
    path, given, kind = complaint["loc"], complaint["input"], complaint["type"]
    line, where = places.of(path, given), dotted(path)
    if kind == "extra_forbidden":
        models: dict[object, type[BaseModel]] = {"retries": _Retries, "alerts": _Alerts, "classes": _Class}
        known = list((_File if len(path) == 1 else models[path[0]]).model_fields)
        return Mistake(line, f"{where} is not known here; {meant(str(path[-1]), known, 'there can be')}")
    if kind == "greater_than_equal":
        return Mistake(line, f"{where} has to be {complaint['ctx']['ge']} or more, not {given}.")
    wanted = KINDS.get(kind)
    return Mistake(
        line, f"{where} has to be {wanted}, not {shown(given)}." if wanted else f"{where}: {lower(complaint['msg'])}."
    )


def _unit_mistakes(found: _File, places: Lines) -> Iterator[Mistake]:
    times: list[tuple[tuple[str, ...], str | None]] = [(("retries", "wait"), found.retries.wait)]
    times += [(("alerts", "still"), found.alerts.still), (("alerts", "nobody"), found.alerts.nobody)]
    for name, one in found.classes.items():
        times += [(("classes", name, "time"), one.time), (("classes", name, "grace"), one.grace)]
        if one.memory is not None and not size(one.memory):
            place = ("classes", name, "memory")
            yield Mistake(
                places.of(place), f'{dotted(place)} is not a size: write for example "16 GB", not "{one.memory}".'
            )
    for path, text in times:
        if text is not None and seconds(text) is None:
            yield Mistake(
                places.of(path), f'{dotted(path)} is not a time: write for example "90s" or "3h50m", not "{text}".'
            )


def _class_mistakes(found: _File, places: Lines) -> Iterator[Mistake]:
    largest: tuple[str, int] | None = None
    for name, one in found.classes.items():
        line = places.of(("classes", name))
        if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
            yield Mistake(
                line,
                f"{name} cannot name a class: it takes lower-case letters, digits and hyphens, "
                f"{_LONGEST_NAME} at most, and begins with a letter.",
            )
        memory = size(one.memory) if one.memory is not None else None
        if memory and largest and memory < largest[1]:
            yield Mistake(
                places.of(("classes", name, "memory")),
                f"{name} has less memory than {largest[0]}, which stands before it; classes stand from the smallest to "
                "the largest, as what runs out of memory in one is tried in the next.",
            )
        if memory and (not largest or memory > largest[1]):
            largest = name, memory


def _name_mistakes(
    found: _File, places: Lines, schemas: Collection[str], tables: Collection[str] | None
) -> Iterator[Mistake]:
    taken: dict[str, str] = {}
    named: list[tuple[str, int]] = []
    for name, one in found.classes.items():
        for number, pattern in enumerate(one.tables):
            line = places.of(("classes", name, "tables", number), pattern)
            named.append((pattern, line))
            if pattern in taken:
                where = "twice in it" if taken[pattern] == name else f"of the class {taken[pattern]}, too"
                yield Mistake(line, f"{pattern} of the class {name} is {where}; a table has one class.")
            taken.setdefault(pattern, name)
    named += [(pattern, places.of(("priorities", pattern))) for pattern in found.priorities]
    for pattern, line in named:
        schema, dot, name = pattern.partition(".")
        if pattern == "*":
            continue
        if not dot or not name:
            yield Mistake(line, f"{pattern} is not a table; write ephys.Recording for one, ephys.* for a whole schema.")
        elif schema not in schemas:
            yield Mistake(line, f"there is no schema {schema}{hint(schema, schemas)}")
        elif tables is not None and name != "*" and pattern not in tables:
            yield Mistake(line, f"there is no table {pattern} that is computed{hint(pattern, tables)}")
    for pattern, priority in found.priorities.items():
        if not 0 <= priority <= 100:
            yield Mistake(
                places.of(("priorities", pattern)),
                f"the priority of {pattern} has to be between 0 and 100, not {priority}.",
            )
