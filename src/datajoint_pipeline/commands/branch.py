"""`branch`: schemas of one's own for the git branch one is on: made from the code or from dev, compared, dropped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .. import git
from ..access import branches as rights
from ..access import model
from ..errors import PipelineError
from ..history import migration_files
from ..journal.branches import READY
from ..planner import drift, impact, judging
from ..planner.impact import Impact
from ..planner.plan import Violation
from ..planner.status import SchemaStatus
from ..planner.target import DEV, Warn
from ..project import branches as names
from ..project import environments
from ..project.environments import Environment
from ..project.pipeline import Pipeline
from ..promotion import branches
from ..promotion.branches import CODE, GONE, Dropped, Standing, Wanted
from . import access

#: Called with what is being done.
Report = Callable[[str], None]


@dataclass(frozen=True)
class Made:
    """A branch that was made.

    Parameters
    ----------
    statuses : list of SchemaStatus
        Where every schema stands.
    granted : int
        How many statements gave the roles of dev their rights.
    refused : tuple of str
        Statements of that kind that this account may not run.
    anew : bool
        Whether it was made now, and not before.
    """

    statuses: list[SchemaStatus]
    granted: int = 0
    refused: tuple[str, ...] = ()
    anew: bool = True


@dataclass(frozen=True)
class Difference:
    """What merging a branch does to dev.

    Parameters
    ----------
    branch : str
        The git branch.
    versions : list of (str, str or None, str or None, str)
        Of each schema its version in dev, in the branch's schemas and in the code.
    new : list of str
        Migration files that the main branch does not have, where that is known.
    impacts : list of Impact
        What `migrate` would do on dev, and what that costs there.
    refused : list of (Violation, PipelineError)
        What stands in the way.
    error : PipelineError or None
        Why it is not known what `migrate` would do.
    """

    branch: str
    versions: list[tuple[str, str | None, str | None, str]]
    new: list[str] = field(default_factory=list)
    impacts: list[Impact] = field(default_factory=list)
    refused: list[tuple[Violation, PipelineError]] = field(default_factory=list)
    error: PipelineError | None = None


def create(
    pipeline: Pipeline,
    environment: Environment,
    *,
    versions_of: str = CODE,
    rows: int = 0,
    exist_ok: bool = False,
    report: Report = lambda text: None,
    warn: Warn = lambda text: None,
) -> Made:
    """Make the schemas of a branch, and give the roles of dev their rights in them.

    Parameters
    ----------
    pipeline, environment
        Whose, and the branch.
    versions_of : str
        ``code``, or ``dev`` for the versions and the Lookup rows that dev has.
    rows : int
        How many rows of each table come from dev; with any, the versions do, too.
    exist_ok : bool
        Whether those that it has are left as they are, and no error.
    report, warn : callable, optional
        Called with what is being made, and with what is waited for.

    Raises
    ------
    PipelineError
        If it has its schemas, made by somebody else or with other options; or if dev is not in order where something
        is asked of it.
    """
    connection = pipeline.connect(_dev(pipeline))  # as nobody may use what is not made to its end
    mark = names.mark(connection, pipeline.project, environment.branch)
    wanted = Wanted(environment.branch, _prefix(pipeline, environment), versions_of, rows)
    if exist_ok and mark is not None and mark.status == READY:
        return Made(drift.read(pipeline.target(environment, warn=warn)), anew=False)
    return _create(pipeline, environment, wanted, report, warn)


def _create(pipeline: Pipeline, environment: Environment, wanted: Wanted, report: Report, warn: Warn) -> Made:
    target, dev = pipeline.target(environment, warn=warn), pipeline.target(_dev(pipeline), warn=warn)
    granted, refused = list[str](), list[str]()

    def give() -> None:
        for statement in _grants(pipeline, target.databases):
            try:
                target.connection.query(statement, args=None, reconnect=False)
                granted.append(statement)
            except Exception:  # whoever may not give rights still has a branch; an administrator gives them
                refused.append(statement)

    with pipeline.declaring() as declare:
        found, anew = branches.create(
            target, pipeline.project, wanted, declare, dev, pipeline.config, give=give, report=report
        )
    return Made(found, len(granted), tuple(refused), anew)


def _grants(pipeline: Pipeline, databases: dict[str, str]) -> list[str]:
    """Give the statements that give others their rights; none where nobody is named, or this may not look."""
    if not (pipeline.project.root / model.FILE).is_file():
        return []
    try:
        where = access.place(pipeline, _dev(pipeline))
        return [line.sql for line in rights.grants(where, databases)] if where.access.accounts else []
    except PipelineError:
        return []


def listed(pipeline: Pipeline) -> list[Standing]:
    """Give every branch of the project on the server, oldest first."""
    return branches.survey(pipeline.connect(_server(pipeline)), pipeline.project)


def gone(pipeline: Pipeline) -> list[Standing]:
    """Give those whose git branch is gone."""
    return [one for one in listed(pipeline) if one.git == GONE]


def drop(
    pipeline: Pipeline,
    branch: str,
    *,
    keep_objects: bool = False,
    missing_ok: bool = False,
    report: Report = lambda text: None,
    warn: Warn = lambda text: None,
) -> Dropped:
    """Drop the schemas of a branch, with the rights on them and its objects; see :func:`branches.drop`."""
    connection = pipeline.connect(_server(pipeline))
    return branches.drop(
        connection,
        pipeline.project,
        branch,
        pipeline.config,
        keep_objects=keep_objects,
        missing_ok=missing_ok,
        report=report,
        warn=warn,
    )


def reset(
    pipeline: Pipeline,
    environment: Environment,
    *,
    rows: int | None = None,
    report: Report = lambda text: None,
    warn: Warn = lambda text: None,
) -> Made:
    """Drop the schemas of a branch and make them anew, with what they were made with.

    ``rows`` is how many come from dev; as many as then where it is None.

    Raises
    ------
    PipelineError
        If there are none, or as :func:`create` and :func:`drop`.
    """
    connection, project = pipeline.connect(_dev(pipeline)), pipeline.project
    mark = names.mark(connection, project, environment.branch)
    if mark is None:
        raise PipelineError(
            f"The branch {environment.branch} has no schemas yet.",
            "There is nothing to reset.",
            f"Run {project.program} branch create.",
        )
    wanted = Wanted(
        environment.branch, _prefix(pipeline, environment), mark.versions_of, mark.sample if rows is None else rows
    )
    branches.drop(connection, project, environment.branch, pipeline.config, report=report, warn=warn)
    return _create(pipeline, environment, wanted, report, warn)


def diff(pipeline: Pipeline, environment: Environment, *, warn: Warn = lambda text: None) -> Difference:
    """Find what merging the branch would do to dev; changes nothing."""
    target, dev = pipeline.target(environment, warn=warn), pipeline.target(_dev(pipeline), warn=warn)
    here, there = ({s.name: s.database_version for s in drift.read(one)} for one in (target, dev))
    versions = [(name, there[name], here[name], code) for name, code in pipeline.project.versions.items()]
    found = Difference(environment.branch, versions, _new_files(pipeline))
    try:
        impacts = impact.survey(dev)
    except PipelineError as error:
        return Difference(found.branch, versions, found.new, error=error)
    refused = [pair for one in impacts for pair in judging.refusals(one.group, allow_data_loss=False)]
    return Difference(found.branch, versions, found.new, impacts, refused)


def _new_files(pipeline: Pipeline) -> list[str]:
    """Give the migration files that the main branch does not have, from the project's folder."""
    root = pipeline.project.root
    paths = sorted(
        migration.path
        for history in migration_files.read(pipeline.project.files).values()
        for migration in history.migrations
        if migration.path is not None
    )
    for main in (f"{where}{name}" for where in ("origin/", "") for name in sorted(git.main_branches(root))):
        try:
            tree = git.git(root, "ls-tree", "-r", "--name-only", "--full-tree", main)
            top = git.git(root, "rev-parse", "--show-toplevel").stdout.strip()
        except OSError:
            return []
        if tree.returncode == 0:
            known = {f"{top}/{line}" for line in tree.stdout.splitlines()}
            return [str(path.relative_to(root)) for path in paths if str(path) not in known]
    return []


def _prefix(pipeline: Pipeline, environment: Environment) -> str:
    return names.prefix(pipeline.project, environment.branch)


def _dev(pipeline: Pipeline) -> Environment:
    return environments.find(pipeline.project, DEV)


def _server(pipeline: Pipeline) -> Environment:
    """Choose the server of dev and of branches, whichever of these the process works on."""
    return pipeline.select(DEV, explicit=True)
