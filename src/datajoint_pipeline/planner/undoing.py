"""Plan the way back from an interrupted run of MySQL: to the tables as the run found them.

Only where nothing is gone. What the run added goes, what it changed becomes what it was; what it dropped, and values
that it wrote over, it cannot have back. PostgreSQL undoes a migration as a whole, but for what it adds while others
go on working (:func:`way_back_online`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..dialects import constraints
from ..dialects.introspection import Place
from ..dialects.mysql.effects import Renamed
from ..dialects.mysql.reversal import Reversal, is_job_table
from ..errors import ExitCode, PipelineError
from ..operations.state import SOFT_DELETED_ATTRIBUTE
from .deployment import Deployment
from .plan import Group
from .steps import OnlineStatements, PlannedStep, Recoding, UserPython, UserSQL, of_step


@dataclass
class WayBack:
    """The way back.

    Parameters
    ----------
    steps : list of PlannedStep
        What is run.
    questions : list of (str, str)
        Queries that must count nothing before the first of them, each with what it counts, for people.
    hindrance : str
        What of the run has no way back, in words; empty where there is one.
    jobs : list of Place
        The tables of jobs that go, as far as they are there.
    kept : list of str
        What rows keep that the run gave them, where nobody sees it, in a sentence each.
    """

    steps: list[PlannedStep] = field(default_factory=list)
    questions: list[tuple[str, str]] = field(default_factory=list)
    hindrance: str = ""
    jobs: list[Place] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def offer(self, command: str) -> str:
        """Say whether the run can be taken back, and how."""
        if self.hindrance:
            return f"It cannot be taken back: {self.hindrance}."
        return f"Or take back what it did: {command} rollback --interrupted."

    def require(self, command: str) -> None:
        """Refuse a way that there is not; ``command`` goes on with the run.

        Raises
        ------
        PipelineError
            If there is none.
        """
        if self.hindrance:
            raise PipelineError(
                "There is no way back from the interrupted run; nothing was changed.",
                f"{self.hindrance}.",
                f"Correct what stopped it, then run {command}, which goes on from there.",
                exit_code=ExitCode.INTERRUPTED,
            )


def way_back(deployment: Deployment, group: Group, done: int, *, begun: bool = False) -> WayBack:
    """Plan the way back from the first steps of a group.

    Parameters
    ----------
    deployment : Deployment
        What was there before the group.
    group : Group
        The group.
    done : int
        How many of its steps are done.
    begun : bool
        Whether the next one was begun, and nobody knows how far it came.
    """
    found, own, lossy = WayBack(), list[Sequence[UserSQL]](), {attribute for _, attribute in group.inputs.lossy}
    dialect = deployment.dialect(constraints.names(deployment.catalogue), group.before, group.after)
    # Between the lab's own statements, each part is taken back by itself.
    parts = [Reversal(dialect, deployment.catalogue.tables)]
    number = 0
    while number < done:
        step = group.steps[number]
        number += 1
        why = ""
        if isinstance(step, UserSQL):
            number += step.of - 1
            if step.back is None:
                why = f"it ran the lab's own statements, and the file has none that undo them ({step.words})"
            elif number > done:
                why = f"it ran some of the lab's own statements and not all ({step.words})"
            else:
                own.append(_undone(step))
                parts.append(Reversal(dialect, parts[-1].now))
        elif isinstance(step, UserPython):
            why = f"it ran the lab's own Python ({step.words})"
        elif isinstance(step, Recoding) or step.fresh:
            pass  # what it wrote is in a column that goes
        elif step.places and all(map(is_job_table, step.places)):
            parts[-1].follow_jobs(step.places)
        elif step.adds_rows:
            pass  # which stay, as those that somebody else put in meanwhile do
        elif step.changes_rows and not all(map(parts[-1].is_new, step.places[:1])):
            if hidden := _only_hidden(step):
                found.kept.append(
                    f"Rows of {'.'.join(step.places[0])} that were added since the rollback keep what the run gave "
                    f"them in the hidden column {hidden}; the next migrate uses it."
                )
            else:
                why = f"it gave rows values in place of others ({step.words})"
        else:
            moved = _moved_audited(step, parts[-1])
            lost = moved or parts[-1].follow(step.effects)
            why = f"it {lost}" if lost else ""
        found.hindrance = found.hindrance or why
    if begun:
        step = group.steps[done]
        if isinstance(step, (UserSQL, UserPython)):
            found.hindrance = f"nobody knows whether the lab's own statements ran ({step.words})"
        # Tables of jobs are not compared, so one that the step may have made goes if it is there.
        parts[-1].follow_jobs(p for p in step.places if is_job_table(p) and p not in deployment.catalogue.tables)
    if found.hindrance:
        return found
    for part in reversed(parts):
        found.jobs += part.jobs
        for table, column, loss, named in part.losses():
            if column.rpartition(".")[2] in lossy:
                found.hindrance = f"it was allowed to change values of {column}"
            sql = f"SELECT COUNT(*), {named} FROM {table} WHERE {loss.condition}"
            found.questions.append((sql, f"values of {column} that {loss.words}"))
        if part is parts[-1]:  # what is there now
            found.questions += part.questions()
        found.steps += [replace(of_step(step, dialect), words=f"take back: {step.words}") for step in part.steps()]
        found.steps += own.pop() if own else ()
    return found


def way_back_online(group: Group) -> list[PlannedStep] | None:
    """Give what drops all that a group adds beside writers, however much of it is there; None where it does more."""
    steps = [step for step in group.steps if isinstance(step, OnlineStatements) and step.back is not None]
    if len(steps) < len(group.steps):
        return None
    return [
        replace(step, words=f"take back: {step.words}", statements=step.back or (), check="", back=None)
        for step in reversed(steps)
        if step.back
    ]


#: An update of rows that have nothing in a soft-deleted column.
_HIDDEN = re.compile(
    rf"UPDATE .+ SET (?:`[^`]+`[.])?`({SOFT_DELETED_ATTRIBUTE}[^`]+)` = .+ WHERE (?:`[^`]+`[.])?`\1` IS NULL", re.DOTALL
)


def _only_hidden(step: PlannedStep) -> str:
    """Give the soft-deleted column that a step fills where it is null, if that is all that it does; it comes back."""
    found = {match[1] if (match := _HIDDEN.fullmatch(sql)) else "" for sql in step.statements}
    return found.pop() if len(found) == 1 else ""


def _moved_audited(step: PlannedStep, part: Reversal) -> str:
    """Say that a step moved an audited table to another schema, where its triggers could not go along."""
    for effect in step.effects:
        if isinstance(effect, Renamed) and effect.old[0] != effect.new[0]:
            there = part.now.get(effect.old)
            if there is not None and there.audited:
                return f"moved {'.'.join(effect.old)}, whose rows are audited, to another schema"
    return ""


def _undone(step: UserSQL) -> list[UserSQL]:
    """Give the steps that undo the lab's own statements."""
    back, words = step.back or (), re.sub(r" \(\d+ of \d+\)$", "", step.words)
    return [
        UserSQL(words=f"take back: {words}", statements=(statement,), part=part, of=len(back))
        for part, statement in enumerate(back, 1)
    ]
