"""A git branch's own schemas: made, found, dropped. Whenever any of it is broken off, the same command ends it.

A mark (:mod:`journal.branches`) is made before anything else and goes last. Whoever may write to a schema may have
written it, so nothing is done to a schema whose name the branch named there does not lead to.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import git, journal, server_errors
from ..dialects import branches as server
from ..dialects import constraints
from ..errors import PipelineError
from ..executor import apply, owners, stepping
from ..executor.initialize import Declare, initialize
from ..history.migration_files import Migration
from ..internals import stores
from ..internals.connection import login, one_session
from ..jobs import classes, liveness
from ..journal import branches as marks
from ..journal.branches import DROPPING, READY, Mark
from ..journal.runs import os_user
from ..planner import drift, plan
from ..planner.deployment import Deployment
from ..planner.plan import Group
from ..planner.status import SchemaStatus, State
from ..planner.target import Target
from ..project import branches as names
from ..project.project import Project
from . import sample

if TYPE_CHECKING:
    import datajoint as dj

#: Where a branch's versions come from.
CODE, DEV = "code", "dev"

#: Whether there is still a git branch, as far as can be told from here.
THERE, GONE, UNKNOWN = "there", "gone", "unknown"

#: A table that every schema has which this library made.
_OURS = frozenset((journal.TABLE, marks.TABLE))


@dataclass(frozen=True)
class Wanted:
    """What a branch is made with.

    Parameters
    ----------
    branch, prefix : str
        The git branch, and what stands before the names of its schemas.
    versions_of : str
        ``code`` or ``dev``: whose versions its tables have.
    rows : int
        How many rows of each table that is no Lookup come from dev.
    """

    branch: str
    prefix: str
    versions_of: str = CODE
    rows: int = 0

    @property
    def from_dev(self) -> bool:
        """Tell whether anything of it comes from dev."""
        return self.versions_of == DEV or self.rows > 0


@dataclass(frozen=True)
class Standing:
    """A branch on the server.

    Parameters
    ----------
    mark : Mark
        Whose it is.
    databases : tuple of str
        Its schemas.
    left : tuple of str
        Schemas whose names begin as its own, and that this library did not make.
    size : int
        Bytes of its tables, as the server estimates them.
    git : str
        Whether there is still a git branch: ``there``, ``gone`` or ``unknown``.
    """

    mark: Mark
    databases: tuple[str, ...]
    left: tuple[str, ...]
    size: int
    git: str = UNKNOWN


@dataclass(frozen=True)
class Dropped:
    """What became of a branch that was dropped.

    Parameters
    ----------
    branch : str
        The git branch.
    databases : tuple of str
        Its schemas.
    objects : dict
        How many objects were deleted, by store.
    left : tuple of str
        Schemas whose names begin as its own and that this library did not make: they stay.
    refused : tuple of str
        Statements that would take away rights on the schemas and that the account may not run.
    """

    branch: str
    databases: tuple[str, ...]
    objects: Mapping[str, int] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


# --- Finding -------------------------------------------------------------------------------------------------------


def every(connection: dj.Connection, project: Project) -> list[Mark]:
    """Give the marks of all branches of a project that this account may read, oldest first."""
    return [
        mark
        for mark in marks.find(connection, ("dev_",))
        if mark.pipeline == project.package and mark.prefix in names.prefixes(project, mark.branch)
    ]


def standing(connection: dj.Connection, mark: Mark) -> Standing:
    """Find what belongs to a branch; the git branch is not asked for."""
    ours, left = _beginning(connection, mark.prefix)
    size = sum(one.size for one in ours)
    return Standing(mark, tuple(one.database for one in ours), tuple(one.database for one in left), size)


def _beginning(connection: dj.Connection, prefix: str) -> tuple[list[server.Found], list[server.Found]]:
    """Find the schemas whose names begin as a branch's: what this library made or has nothing in it, and the rest."""
    found = server.beginning(connection, prefix, _OURS, marks.TABLE)
    ours = [one for one in found if one.marks or not one.things]
    return ours, [one for one in found if one not in ours]


def survey(connection: dj.Connection, project: Project) -> list[Standing]:
    """Find every branch of a project on the server, and whether its git branch is still there.

    A branch that was seen at origin and is there no more is gone; so is one that was made in this very folder, which
    had such a branch then and has it no more. Of others nobody can tell from here: they may be in somebody's clone, or
    were only named, as where CI has checked out a commit.
    """
    found = every(connection, project)
    if not found:
        return []
    local, origin = git.local_branches(project.root), git.origin_branches(project.root)
    here = (platform.node(), os_user(), str(project.root)[-marks.LONGEST :])

    def of_git(mark: Mark) -> str:
        if mark.branch in (local or ()) or mark.branch in (origin or ()):
            return THERE
        if (mark.host, mark.os_user, mark.folder) == here and not mark.origin_seen and local is not None:
            return GONE
        return GONE if mark.origin_seen and origin is not None else UNKNOWN

    for mark in found:
        if origin and mark.branch in origin and not mark.origin_seen and mark.database_user == login(connection):
            marks.saw_at_origin(connection, mark)
    every_one = [standing(connection, mark) for mark in found]
    return [Standing(s.mark, s.databases, s.left, s.size, of_git(s.mark)) for s in every_one]


# --- Making --------------------------------------------------------------------------------------------------------


def _is_asked_again(connection: dj.Connection, mark: Mark, wanted: Wanted) -> bool:
    """Tell whether whoever made a branch asks for the same: killed when only to say so was left, or asked twice."""
    maker = (mark.database_user, mark.os_user, mark.host) == (login(connection), os_user(), platform.node())
    return maker and (mark.versions_of, mark.sample) == (wanted.versions_of, wanted.rows)


def create(
    target: Target,
    project: Project,
    wanted: Wanted,
    declare: Declare,
    dev: Target,
    config: Any,
    *,
    give: Callable[[], None] = lambda: None,
    report: Callable[[str], None] = lambda text: None,
) -> tuple[list[SchemaStatus], bool]:
    """Make the schemas of a branch; anew where that was broken off, and not where the same was made before.

    Parameters
    ----------
    target : Target
        The branch's schemas.
    project : Project
        Whose.
    wanted : Wanted
        What it is made with.
    declare : callable
        Imports the modules of a schema, which makes the tables that are missing.
    dev : Target
        Where versions and rows come from; the same connection.
    config : datajoint.Config
        The stores; what is written to them from now on lies in the branch's place.
    give : callable, optional
        Gives others their rights; called when all else is made, so that a branch that is ready has them.
    report : callable, optional
        Called with what is being made.

    Returns
    -------
    statuses : list of SchemaStatus
        Where every schema stands afterwards.
    made : bool
        Whether they were made.

    Raises
    ------
    PipelineError
        If the branch has its schemas, made by somebody else or with other options, or dev is not in order where it is
        asked for something.
    """
    with ExitStack() as alone:
        alone.enter_context(_alone(target.connection, project, wanted.branch, target.warn))
        if wanted.from_dev:  # whose tables, and what their values mean, nobody changes from the first look on
            alone.enter_context(journal.lock(dev.connection, dev.lock, warn=target.warn))
        return _create(target, project, wanted, declare, dev, config, give, report)


@contextmanager
def _alone(connection: dj.Connection, project: Project, branch: str, warn: Callable[[str], None]) -> Iterator[None]:
    """Hold the locks of a branch, whichever prefix its schemas have. What a killed session is still at ends before.

    Marks are read within: what was there before may have gone while this waited.
    """
    with ExitStack() as stack:
        for prefix in dict.fromkeys(names.prefixes(project, branch)):
            stack.enter_context(journal.lock(connection, prefix + project.prefix + project.package, warn=warn))
        yield


def _create(
    target: Target,
    project: Project,
    wanted: Wanted,
    declare: Declare,
    dev: Target,
    config: Any,
    give: Callable[[], None],
    report: Callable[[str], None],
) -> tuple[list[SchemaStatus], bool]:
    connection = target.connection
    mark = names.mark(connection, project, wanted.branch)
    if mark is not None and mark.status == DROPPING:
        names.refuse_unfinished(mark, target.program)
    if mark is not None and mark.status == READY:
        if _is_asked_again(connection, mark, wanted):
            return drift.read(target), False
        raise PipelineError(
            f"The branch {wanted.branch} has its schemas already.",
            f"{mark.os_user} made them on {mark.created_at:%Y-%m-%d}.",
            f"Run {target.command} migrate to bring them to the code, or {target.program} branch reset to begin anew.",
        )
    source = _source(dev) if wanted.from_dev else None
    if mark is not None:  # which nobody has used, as it is not made to its end
        begun = standing(connection, mark)
        _refuse_needed(connection, wanted.branch, begun.databases)
        _drop_schemas(connection, begun)
    mark = _begin(target, project, wanted)
    stores.set_sections(config, mark.place)
    if source is not None:
        _make_as(target, source, report)
        with apply.alone(target):
            sample.copy(
                connection,
                source.databases,
                connection,
                {name: target.database(name) for name in source.databases},
                rows=wanted.rows,
                report=lambda table: report(str(table)),
            )
        made = drift.read(target)
    else:
        made = initialize(target, declare, report)
    give()
    marks.set_status(connection, mark, READY)
    return made, True


def _begin(target: Target, project: Project, wanted: Wanted) -> Mark:
    """Make the first schema of a branch with nothing but its mark in it; on PostgreSQL both at once."""
    connection, first = target.connection, target.database(next(iter(target.versions)))
    _refuse_taken(target, wanted)
    if len(wanted.branch) > marks.LONGEST:
        raise PipelineError(
            f"The name of the branch {wanted.branch[:40]}… is too long.",
            f"It has {len(wanted.branch)} letters, and the mark of its schemas takes {marks.LONGEST}.",
            "Rename the git branch (git branch -m).",
        )
    origin = git.origin_branches(project.root)
    with ExitStack() as stack:
        stack.enter_context(one_session(connection))
        stack.enter_context(owners.acting(connection, [first]))
        if connection.adapter.backend == "postgresql":
            stack.enter_context(stepping.transaction(connection))
        if first not in journal.survey(connection, [first]):
            collation = constraints.read(connection, target.databases).collations.get(first, "")
            try:
                owners.create_schema(connection, first, collation)
            except Exception as error:
                raise PipelineError(
                    f"The schema {first} could not be made.",
                    f"{server_errors.reason(error)}.",
                    "Have somebody who may create schemas run this command; with access.toml applied, developers of "
                    "dev may work in them then.",
                ) from error
        marks.begin(
            connection,
            first,
            pipeline=project.package,
            branch=wanted.branch,
            prefix=wanted.prefix,
            folder=str(project.root) if wanted.branch in (git.local_branches(project.root) or ()) else "",
            code_commit=target.commit(),
            software=target.software(),
            origin_seen=origin is not None and wanted.branch in origin,
            versions_of=wanted.versions_of,
            sample=wanted.rows,
        )
    mark = names.mark(connection, project, wanted.branch)
    assert mark is not None
    return mark


def _refuse_taken(target: Target, wanted: Wanted) -> None:
    """Refuse to make a branch among schemas that nobody marked as its own."""
    ours, left = _beginning(target.connection, wanted.prefix)
    if left:
        raise PipelineError(
            f"There is a schema {left[0].database} already, and nothing says that it is this branch's.",
            f"Its name begins like those of the branch, and it has {left[0].things} tables or routines. "
            "Nothing was changed.",
            "Find out whose it is and drop it by hand, or rename the git branch.",
        )
    if unmarked := [one.database for one in ours if one.things]:
        raise PipelineError(
            f"The branch {wanted.branch} has schemas already, and nobody knows whether they are complete.",
            f"{unmarked[0]} has tables of a pipeline, and the mark of the branch is gone. Nothing was changed.",
            f"Run {target.program} branch drop {wanted.branch}, which drops them, then branch create again.",
        )


def _source(dev: Target) -> Deployment:
    """Read dev; refuse to make a branch from what is not in order."""
    program, found = dev.program, drift.read(dev)
    for schema in found:
        if schema.state not in (State.CURRENT, State.BEHIND, State.AHEAD, State.ABSENT) or schema.draft:
            state = "a draft" if schema.draft else schema.state.value
            raise PipelineError(
                f"{schema.database} is {state}, so no branch can be made from it.",
                "A branch gets the tables that the versions of dev have, and these tables differ.",
                f"Run {program} --env dev status; or leave out --rows and --at dev.",
            )
    deployment = Deployment.read(dev)
    if not deployment.records:
        raise PipelineError(
            "There is nothing in dev to make a branch from.",
            "None of its schemas is there, or this account may not see them.",
            f"Run {program} --env dev init; or leave out --rows and --at dev.",
        )
    for name, had in deployment.applied.items():
        had.refuse_foreign()
        if had.version != had.newest:
            raise PipelineError(
                f"{deployment.databases[name]} has had {had.newest}, and not all that comes before it.",
                "So its tables match no version that a branch could have.",
                f"Run {program} --env dev migrate first; or leave out --rows and --at dev.",
            )
    return deployment


def _make_as(target: Target, source: Deployment, report: Callable[[str], None]) -> None:
    """Make schemas with the tables and the versions that others have, all at once."""
    with apply.alone(target):
        deployment = Deployment.read(target)
        missing = [n for n, r in source.records.items() if n in source.shapes and n not in deployment.records]
        making = [
            Migration(name, source.applied[name].version, None, "init", makes=drift.visible(source.shapes[name]))
            for name in source.histories
            if name in missing
        ]
        if not making:
            return
        report(", ".join(migration.schema for migration in making))
        group = Group(making, deployment.tables)
        operations = [operation for migration in making for operation in migration.operations(group.before)]
        plan.add_steps(deployment, group, operations, constraints.names(deployment.catalogue), frozenset())
        apply.apply(deployment, group, "init", lambda words, number, of: None)


# --- Dropping ------------------------------------------------------------------------------------------------------


def drop(
    connection: dj.Connection,
    project: Project,
    branch: str,
    config: Any,
    *,
    keep_objects: bool = False,
    missing_ok: bool = False,
    warn: Callable[[str], None] = lambda text: None,
    report: Callable[[str], None] = lambda text: None,
) -> Dropped:
    """Drop the schemas of a branch, the rights on them, and its objects in every store.

    Parameters
    ----------
    connection : datajoint.Connection
        Where.
    project : Project
        Whose.
    branch : str
        The git branch.
    config : datajoint.Config
        The stores.
    keep_objects : bool
        Whether objects stay in the stores.
    missing_ok : bool
        Whether it is no error that there are none. It is none either where git knows the branch: a drop that was
        killed when it had nothing left to do ends so when it is run again.
    warn, report : callable, optional
        Called with what is waited for, and with what goes.

    Raises
    ------
    PipelineError
        If there are none, something else needs them, a worker lives there, a store cannot be reached, or the account
        may not.
    """
    with _alone(connection, project, branch, warn), one_session(connection):
        mark = names.mark(connection, project, branch)
        if mark is None:
            known = missing_ok or _is_known(project, branch)
            return _clear(connection, branch, names.prefixes(project, branch), None if known else project.program)
        found = standing(connection, mark)
        _refuse_needed(connection, branch, found.databases)
        _refuse_workers(connection, project, mark)
        if not keep_objects:
            _refuse_unreachable(config, project.program, branch)
        marks.set_status(connection, mark, DROPPING)
        objects = {} if keep_objects else _remove_objects(config, mark, report)
        report(", ".join(found.databases))
        _drop_schemas(connection, found)
        if not keep_objects:  # what a plain populate, which nobody can see, wrote until its tables were gone
            late = _remove_objects(config, mark, report)
            objects = {name: objects.get(name, 0) + count for name, count in late.items()}
    refused = server.revoke(connection, mark.prefix)
    return Dropped(branch, found.databases, objects, found.left, tuple(refused))


def _is_known(project: Project, branch: str) -> bool:
    """Tell whether git knows the branch, whose name is then no slip."""
    return branch in {
        git.current_branch(project.root),
        *(git.local_branches(project.root) or ()),
        *(git.origin_branches(project.root) or ()),
    }


def _drop_schemas(connection: dj.Connection, found: Standing) -> None:
    with owners.acting(connection, found.databases):
        server.drop(connection, found.databases, found.mark.database)


def _clear(connection: dj.Connection, branch: str, beginnings: Iterable[str], program: str | None) -> Dropped:
    """Take away what has no mark: what a making or a drop that was broken off leaves, a schema with nothing in it and
    rights on none; and what this library made under the branch's own names, where somebody took the mark away.
    """
    dropped, left, refused = list[str](), list[str](), list[str]()
    for prefix in dict.fromkeys(beginnings):
        ours, others = _beginning(connection, prefix)
        if here := [one.database for one in ours]:
            _refuse_needed(connection, branch, here)
            with owners.acting(connection, here):
                server.drop(connection, here)
        dropped += here
        left += [one.database for one in others]
        refused += server.revoke(connection, prefix)
    if program is not None and not dropped and not refused:
        raise PipelineError(
            f"The branch {branch} has no schemas on this server.",
            "None is marked as its own, or this account may not see them; and git knows no such branch here.",
            f"{program} branch list shows every branch that has some.",
        )
    return Dropped(branch, tuple(dropped), left=tuple(left), refused=tuple(refused))


def _refuse_needed(connection: dj.Connection, branch: str, databases: Collection[str]) -> None:
    if others := server.outsiders(connection, databases):
        raise PipelineError(
            f"{', '.join(others)} need tables of the branch {branch}.",
            "They refer to tables of the branch and are not its own, so they would break. Nothing was changed.",
            "Drop these first, if nobody needs them.",
        )


def _refuse_workers(connection: dj.Connection, project: Project, mark: Mark) -> None:
    """Refuse where workers live: what they are at would reach the stores after their tables are gone."""
    configured: tuple[str, ...] = ()
    with suppress(PipelineError):  # mistakes in the file are for whoever starts workers
        configured = classes.read(project.root / classes.FILE, schemas=project.versions).names
    if found := liveness.living(connection, mark.prefix + project.prefix + project.package, configured):
        what = "1 worker computes" if len(found) == 1 else f"{len(found)} workers compute"
        raise PipelineError(
            f"{what} in the schemas of the branch {mark.branch}.",
            "What is written to a store while the schemas are dropped would stay there for ever. Nothing was changed.",
            "Stop the workers (Ctrl-C, scancel, docker stop), then run this again.",
        )


def _refuse_unreachable(config: Any, program: str, branch: str) -> None:
    for name in stores.names(config):
        if folder := stores.folder_missing(config, name):
            raise PipelineError(
                f"The store {name} is not here: there is no folder {folder}.",
                "What the branch wrote there would stay. Nothing was changed.",
                f"Run this where the store is, or say {program} branch drop {branch} --keep-objects.",
            )


def _remove_objects(config: Any, mark: Mark, report: Callable[[str], None]) -> dict[str, int]:
    """Delete what the branch wrote to each store; give how many objects that were."""
    found = {}
    for name in stores.names(config) if mark.place else ():
        report(f"objects in {name}")
        try:
            found[name] = stores.remove_below(config, name, mark.place)
        except Exception as error:  # those of file systems have no common base
            raise PipelineError(
                f"The objects of the branch {mark.branch} in the store {name} could not be deleted.",
                f"{type(error).__name__}: {' '.join(str(error).split())[:300]}.",
                "Check the store and its keys, then run this again; it goes on from there.",
            ) from error
    return found
