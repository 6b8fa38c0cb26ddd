"""Refuse to build on a rollback whose values of before are still in a file, where `migrate` would compute from others.

That is so where it was cut off after it had set values aside, and where it left those that `using` had computed since
nothing can stand in for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from .. import journal
from ..errors import ExitCode, PipelineError
from ..journal import steplog
from . import drift
from .deployment import Deployment
from .status import SchemaStatus, State
from .target import Target

#: The kinds of a schema's last run where a rollback may have left something.
_KINDS = ("rollback", "restore", "purge")


@dataclass(frozen=True)
class Left:
    """What the last rollback of a schema left that are not the values of before.

    Parameters
    ----------
    schema : str
        The schema.
    lost : tuple of str
        The attributes that have what a migration computed, and whose values of before no file has.
    gone : tuple of str
        The files with values of before that are not in `backups/`.
    files : tuple of str
        Those that are there and wait to be restored.
    given : tuple of str
        Of these, those that the rollback was to give back itself.
    aside : frozenset of str
        The attributes that it set aside for that, as its record calls them.
    """

    schema: str
    lost: tuple[str, ...]
    gone: tuple[str, ...]
    files: tuple[str, ...]
    given: tuple[str, ...]
    aside: frozenset[str]

    @property
    def warnings(self) -> list[str]:
        """Say what no file that is there gives back."""
        texts = []
        if self.lost:
            texts.append(
                f"A rollback of {self.schema} left what a migration had computed of {', '.join(self.lost)}: migrate "
                "would compute from these values once more."
            )
        if self.gone:
            texts.append(
                f"The rollback of {self.schema} set values aside, and {' and '.join(self.gone)}, with those of before, "
                "is not in backups/. Put it there and restore it, or see to these values by hand."
            )
        return texts

    def refusal(self, command: str) -> PipelineError:
        """Give the refusal to build on it, which names the files that are there."""
        return PipelineError(
            f"The rollback of {self.schema} left values that are not those of before, which are in a file.",
            "A migration would compute from them once more, so none is applied until they are back.",
            f"Run {' and '.join(f'{command} restore {one} --overwrite' for one in self.files)}. If what is there "
            "is to stay, move the file to another folder.",
            exit_code=ExitCode.INTERRUPTED,
        )


def refuse(deployment: Deployment) -> None:
    """Refuse where the last run of a schema, but for purges and restores, is such a rollback.

    Raises
    ------
    PipelineError
        If there is one; it names the file. Nothing is restored because the journal says so, which anybody may have
        written.
    """
    for run in deployment.records.values():
        if run.kind == "restore" and run.finished_at is None:
            database = deployment.databases[run.schema]
            raise drift.half_restored(deployment.target, database, run, deployment.surveys)
    for left in of(deployment):
        for text in left.warnings:
            deployment.target.warn(text)
        if left.files:
            raise left.refusal(deployment.target.command)


def of(deployment: Deployment) -> list[Left]:
    """Give what the last rollbacks left, as their records have it."""
    if not any(run.kind in _KINDS for run in deployment.records.values()):
        return []
    databases = {name: deployment.databases[name] for name in deployment.records}
    return list(_left(deployment.target, databases, deployment.surveys))


def noted(target: Target, statuses: list[SchemaStatus]) -> list[SchemaStatus]:
    """Say of schemas what :func:`refuse` says; those whose last run was no such one are not looked at."""
    ended = [s for s in statuses if s.last and s.state is not State.INTERRUPTED]
    if not any(s.last in _KINDS for s in ended):
        return statuses
    databases = {s.name: s.database for s in ended}
    surveys, found = journal.survey(target.connection, databases.values()), dict[str, list[str]]()
    for run in journal.latest(target.connection, databases).values():
        if run.kind == "restore" and run.finished_at is None:
            error = drift.half_restored(target, databases[run.schema], run, surveys)
            found.setdefault(run.schema, []).append(f"{error.what} {error.do}")
    for left in _left(target, databases, surveys):
        if left.schema in found:
            continue  # that comes first
        texts = found.setdefault(left.schema, left.warnings)
        if left.files:
            error = left.refusal(target.command)
            texts.append(f"{error.what} {error.do}")
    return [replace(s, advice=tuple(found.get(s.name, ()))) for s in statuses]


def _left(target: Target, databases: Mapping[str, str], surveys: Mapping[str, journal.Survey]) -> Iterator[Left]:
    """Find what the last rollbacks left that nothing has given back since; ``databases`` have a record."""
    there = {path.name for path in target.backups.glob("*.zip")}
    restored, rollbacks = _runs(journal.history(target.connection, databases, surveys))
    heads = steplog.heads(target.connection, {name: databases[name] for name in rollbacks})
    for name, number in rollbacks.items():
        plan = heads.get((name, number), {}).get("plan")
        files = plan.get("files") if isinstance(plan, dict) else None
        if not isinstance(files, dict):
            continue
        whole, some = restored[name]
        given = _names(files.get("given")) - whole - some
        due = (given | _names(files.get("left")) - whole) & there
        lost, gone, left, back = (
            tuple(sorted(names)) for names in (_names(files.get("lost")), given - there, due, given & there)
        )
        found = Left(name, lost, gone, left, back, frozenset(_names(files.get("aside"))))
        if found.lost or found.gone or found.files:
            yield found


def _runs(history: list[journal.Record]) -> tuple[dict[str, tuple[set[str], set[str]]], dict[str, int]]:
    """Give the number of the last run of each schema that is a rollback, and the files that were restored since, whole
    and in part: what it took along is restored in another schema.
    """
    restored, rollbacks = dict[str, tuple[set[str], set[str]]](), dict[str, int]()
    for run in history:
        if run.kind == "restore" and run.finished_at is not None:
            file, *options = run.options.split() or [""]
            for found in restored.values():
                found[drift.IN_PART in options].add(file)
        elif run.kind not in ("restore", "purge") and run.status == journal.DONE:
            rollbacks.pop(run.schema, None)
            if run.kind == "rollback":
                restored[run.schema], rollbacks[run.schema] = (set(), set()), run.id
    return restored, rollbacks


def _names(files: object) -> set[str]:
    return {one for one in files if isinstance(one, str)} if isinstance(files, list) else set()
