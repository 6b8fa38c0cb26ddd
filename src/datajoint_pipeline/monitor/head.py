"""The head of the page: five lines, each with a state, that say whether all is well and where it is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from ..jobs.classes import in_words
from ..planner.status import State as SchemaState
from .errors import Group
from .overview import Overview
from .progress import State


class Mark(IntEnum):
    """How something stands, from the best to the worst."""

    UNKNOWN = 0
    WELL = 1
    LOOK = 2
    WRONG = 3

    @property
    def word(self) -> str:
        """Give it in words, as colour alone tells not everybody."""
        return ("not known", "in order", "look at this", "wrong")[self]


@dataclass(frozen=True)
class Line:
    """One line of the head.

    Parameters
    ----------
    title : str
        What it is about.
    mark : Mark
        How that stands.
    facts : tuple of str
        What is said of it, a phrase each.
    link : str
        The part of the page that says more; empty for none.
    """

    title: str
    mark: Mark
    facts: tuple[str, ...]
    link: str = ""


@dataclass(frozen=True)
class Code:
    """The code that looks at the database.

    Parameters
    ----------
    commit : str
        Of the project, with ``+`` behind it where files differ from it; empty outside a repository.
    template : str
        Version of the template that the project was made from; empty where nobody knows.
    library : str
        Version of this library.
    """

    commit: str
    template: str
    library: str


#: A disk of which less is free is one to look at.
_FULL = 0.05


@dataclass(frozen=True)
class Store:
    """An object store: its name and protocol, and whether it answers; None where that was not tried.

    Of a folder, ``free`` and ``whole`` are the bytes of its disk; an object store does not tell them.
    """

    name: str
    protocol: str
    answers: bool | None
    free: int = 0
    whole: int = 0


_NOT_IN_ORDER = {
    SchemaState.ABSENT: Mark.LOOK,
    SchemaState.UNRECORDED: Mark.LOOK,
    SchemaState.BEHIND: Mark.LOOK,
    SchemaState.UNREADABLE: Mark.LOOK,
    SchemaState.AHEAD: Mark.WRONG,
    SchemaState.INTERRUPTED: Mark.WRONG,
    SchemaState.DRIFTED: Mark.WRONG,
    SchemaState.CONFLICT: Mark.WRONG,
}


def of_schema(state: SchemaState) -> Mark:
    """Give the mark of a schema's state."""
    return _NOT_IN_ORDER.get(state, Mark.WELL)


def code(overview: Overview, found: Code) -> Line:
    """Say which code looks at the database."""
    facts = [f"commit {found.commit[:10]}" if found.commit else "no git commit yet"]
    mark = Mark.WELL
    if found.commit.endswith("+"):
        facts[0] += ", and changes that are not committed"
        mark = Mark.LOOK
    versions = Counter(schema.code_version for schema in overview.schemas)
    if len(versions) == 1:
        facts.append(f"{_many(len(overview.schemas), 'schema')} at {next(iter(versions))}")
    else:
        facts.append(_many(len(overview.schemas), "schema"))
    facts += [f"template {found.template}" if found.template else "template not known", f"library {found.library}"]
    return Line("Code", mark, tuple(facts), "schemas")


def database(overview: Overview, server: str, rights: str) -> Line:
    """Say which server it is, and whether its schemas are those of the code; ``rights`` is empty where none lacks."""
    states = Counter(schema.state for schema in overview.schemas)
    facts = [server]
    facts += [f"{count} {state.value}" for state, count in states.items() if state is not SchemaState.CURRENT]
    if set(states) <= {SchemaState.CURRENT}:
        facts.append("every schema current")
    pending = sum(len(schema.pending) for schema in overview.schemas)
    facts += [f"{_many(pending, 'version')} to apply"] if pending else []
    drafts = sum(schema.draft for schema in overview.schemas)
    facts += [_many(drafts, "draft")] if drafts else []
    facts += [rights] if rights else []
    marks = [of_schema(state) for state in states] + [Mark.LOOK] * bool(drafts or rights)
    return Line("Database", max(marks, default=Mark.WELL), tuple(facts), "schemas")


def store(stores: Sequence[Store]) -> Line:
    """Say which object stores there are, and whether they answer."""
    if not stores:
        return Line("Object store", Mark.WELL, ("none: every value is in the database",))
    words = {True: "answers", False: "does not answer", None: "not tried"}
    facts = tuple(f"{one.name} ({one.protocol}) {words[one.answers]}{_free(one)}" for one in stores)
    if any(one.answers is False for one in stores):
        return Line("Object store", Mark.WRONG, facts)
    if any(one.whole and one.free < _FULL * one.whole for one in stores):
        return Line("Object store", Mark.LOOK, facts)
    return Line("Object store", Mark.UNKNOWN if any(one.answers is None for one in stores) else Mark.WELL, facts)


def _free(one: Store) -> str:
    return f", {in_words(one.free)} of {in_words(one.whole)} free" if one.whole else ""


def compute(overview: Overview) -> Line:
    """Say who works, and on how much."""
    progress = overview.progress
    classes = Counter(worker.class_name for worker in progress.workers)
    facts = [", ".join(f"{_many(count, 'worker')} of {name}" for name, count in classes.items()) or "no worker"]
    others = sum(one.jobs for one in progress.reserved if one.state == "unknown")
    facts += [f"{_many(others, 'job')} of others, such as a notebook"] if others else []
    running, waiting = sum(t.running for t in progress.tables), sum(t.pending or 0 for t in progress.tables)
    facts.append(f"{running:,} being computed, {waiting:,} to be computed" if running or waiting else "nothing to do")
    nobody = [str(table.table) for table in progress.tables if table.state is State.NOBODY or table.unattended]
    dead = sum(table.dead for table in progress.tables)
    facts += [f"nobody works on {_listed(nobody)}"] if nobody else []
    facts += [f"{_many(dead, 'job')} of workers that have died"] if dead else []
    return Line("Compute", Mark.LOOK if nobody or dead else Mark.WELL, tuple(facts), "workers")


def monitoring(overview: Overview, groups: Sequence[Group], alert: str) -> Line:
    """Say what failed, and which alert was the last."""
    failed = sum(len(group.failures) for group in groups)
    facts = [f"{_many(failed, 'job')} failed, for {_many(len(groups), 'cause')}" if groups else "no job has failed"]
    unknown = [str(table.table) for table in overview.progress.tables if table.problem]
    facts += [f"{_listed(unknown)} cannot be counted"] if unknown else []
    facts += [alert] if alert else []
    mark = Mark.WRONG if groups else Mark.LOOK if unknown else Mark.WELL
    return Line("Monitoring", mark, tuple(facts), f"why-{groups[0].id}" if groups else "errors")


def _many(count: int, one: str) -> str:
    return f"{count:,} {one if count == 1 else f'{one}s'}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
