"""`promote`: gives one database the very plan that another one has had, once it is proved and rehearsed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..errors import ExitCode, PipelineError
from ..executor import apply, stepping
from ..executor.backup import Backups
from ..executor.resume import Tell
from ..executor.runs import Report
from ..planner import drift, impact, judging
from ..planner.impact import Impact
from ..planner.plan import Group
from ..planner.status import SchemaStatus
from ..planner.target import Warn
from ..project.environments import Environment
from ..project.pipeline import Pipeline
from ..promotion import proof, rehearsal
from ..promotion.proof import PROVED, ProvedMigration
from ..promotion.rehearsal import Rehearsal
from . import migrate

#: Characters of a reason that the journal takes beside the rest.
_REASON = 120


@dataclass(frozen=True)
class Promotion:
    """What is promoted, and what is known of it.

    Parameters
    ----------
    source, target : str
        The environment that proves it, and the one that gets it.
    fingerprint : str
        Of the plan.
    proved : list of ProvedMigration
        What the journal of the source says of each migration.
    impacts : list of Impact
        What it does in the target, and what that costs; nothing where there is nothing to promote.
    rehearsal : Rehearsal or None
        What the rehearsal showed; None where there was none.
    unrehearsed : str
        Why there was none.
    statuses : list of SchemaStatus
        Where every schema of the target stands afterwards.
    seconds : float
        How long the plan took in the target.
    """

    source: str
    target: str
    fingerprint: str
    proved: list[ProvedMigration]
    impacts: list[Impact]
    rehearsal: Rehearsal | None
    unrehearsed: str
    statuses: list[SchemaStatus]
    seconds: float = 0.0


def promote(
    pipeline: Pipeline,
    source: str,
    environment: Environment,
    *,
    dry_run: bool = False,
    unrehearsed: str = "",
    allow_data_loss: bool = False,
    backups: Backups | None = None,
    agree: Callable[[Promotion], None] = lambda found: None,
    rehearsing: Callable[[str], None] = lambda words: None,
    report: Report = lambda words, number, of: None,
    warn: Warn = lambda text: None,
    tell: Tell = lambda text: None,
) -> Promotion:
    """Bring an environment to the code by the migrations that another environment proves.

    Parameters
    ----------
    pipeline : Pipeline
        The project.
    source : str
        The environment that has had the migrations.
    environment : Environment
        The one that gets them, said in words on this command.
    dry_run : bool
        Whether to change nothing; the plan is rehearsed all the same.
    unrehearsed : str
        Why it is not to be rehearsed; it is where this is empty.
    allow_data_loss, backups, report, warn, tell
        As of :func:`datajoint_pipeline.executor.apply.migrate`.
    agree : callable, optional
        Called with what is going to be done, before anything is; what it raises stops there.
    rehearsing : callable, optional
        Called with what the rehearsal is at.

    Raises
    ------
    PipelineError
        If the code is not committed, the source proves nothing, the target is not one that the plan is for, the rows or
        the rehearsal say no, or a step fails.
    """
    project, backups = pipeline.project, backups or Backups()
    if source == environment.name:
        raise PipelineError(
            f"{source} cannot be promoted to itself.",
            "A promotion brings what ran on one environment to another.",
            f"Run for example {project.program} promote --from dev --to prod.",
            exit_code=ExitCode.USAGE,
        )
    migrations = [path for end in ("*.py", "*.txt") for path in project.files.folder.rglob(end)]
    proof.require_committed(project.directory, project.program, migrations, editable=project.files.editable)
    pipeline.require_made(environment, "promote")
    target = pipeline.target(environment, warn=warn)
    other = pipeline.beside()
    origin = other.target(other.select(source))
    proof.require_clean(origin)
    proof.require_revised(target)
    if (begun := proof.begun_by_promotion(target)) and not dry_run:
        apply.go_on(target, report, tell)
    proof.require_ready(target, begun=begun)
    with stepping.changing(target.connection):
        impacts = impact.survey(target)
    wanted = [migration for found in impacts for migration in found.group.migrations]
    promotion = Promotion(
        source,
        environment.name,
        proof.fingerprint(project.files, wanted),
        proof.require_proof(origin, wanted),
        impacts,
        None,
        unrehearsed,
        [],
    )
    if not wanted:
        return replace(promotion, statuses=drift.read(target))
    try:
        judging.refuse([found.group for found in impacts], allow_data_loss=allow_data_loss)
    except PipelineError:
        if dry_run:
            agree(replace(promotion, unrehearsed="it would be refused"))  # which shows all that stands in the way
        raise
    if not unrehearsed:
        done = rehearsal.rehearse(pipeline, target, impacts, allow_data_loss=allow_data_loss, report=rehearsing)
        promotion = replace(promotion, rehearsal=done)
    agree(promotion)
    if dry_run:
        return replace(promotion, statuses=drift.read(target))
    begin = time.perf_counter()
    try:
        statuses = apply.migrate(
            target,
            allow_data_loss=allow_data_loss,
            backups=backups,
            report=report,
            tell=tell,
            look=_Shown(impacts).require,
            note=_note(promotion),
        )
    except PipelineError as error:  # what is left then was shown and rehearsed by promote, and not by migrate
        error.do = error.do.replace(f"{target.command} migrate again", f"{project.program} promote again")
        raise
    seconds = time.perf_counter() - begin
    migrate.make_job_tables(target)
    return replace(promotion, statuses=statuses, seconds=seconds)


def _note(promotion: Promotion) -> str:
    """Give what the journal says of where the plan was proved."""
    how = f"not rehearsed: {promotion.unrehearsed[:_REASON]}" if promotion.unrehearsed else "rehearsed"
    return f"{PROVED}{promotion.source}, plan {promotion.fingerprint[:12]}, {how})"


class _Shown:
    """The plan that was shown, which is the one that runs."""

    def __init__(self, impacts: list[Impact]) -> None:
        self._left = [found.sql for found in impacts]

    def require(self, groups: list[Group]) -> None:
        """Refuse groups that are not, to the last character, those that come next.

        Raises
        ------
        PipelineError
            If one is another, because somebody changed the database meanwhile.
        """
        planned = [Impact(group).sql for group in groups]
        if planned != self._left[: len(planned)] or not planned:
            raise PipelineError(
                "The plan is no longer the one that was shown and rehearsed.",
                "Somebody changed the database or the code meanwhile. Nothing more was changed.",
                "Look at the new plan with --dry-run, then promote it.",
                exit_code=ExitCode.CONFLICT,
            )
        self._left = self._left[1:]
