"""`revise --undo`: takes back what the last `revise` wrote, where nobody else can have it yet."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

from .. import journal
from ..embedded import server
from ..errors import ExitCode, PipelineError
from ..git import commit_with
from ..history import chain, migration_files, revisions, unfinished
from ..history.asked import refuse_schemas
from ..history.migration_files import History
from ..history.revisions import Revision
from ..history.unfinished import Rewriting
from ..operations.topology import dangling
from ..planner import applied
from ..planner.target import BRANCH, DEV, LOCAL, PROD
from ..project import connection as connecting
from ..project import environments, settings
from ..project.environments import Environment
from ..project.pipeline import Pipeline

if TYPE_CHECKING:
    import datajoint as dj


def undo(pipeline: Pipeline, environment: Environment, schemas: Collection[str] = ()) -> Revision:
    """Take back what the last `revise` wrote: all schemas of it, as they belong together.

    Parameters
    ----------
    pipeline : Pipeline
        The project.
    environment : Environment
        Its databases are asked whether they have it; so is ``local`` where it was made.
    schemas : collection of str
        Where any are named, it is the last `revise` that wrote one of these.

    Raises
    ------
    PipelineError
        If it is edited, committed or applied, or another migration builds on it.
    """
    revision, files = found(pipeline, environment, schemas), pipeline.project.files
    there = revisions.write(revision.texts_before(files))
    try:
        revisions.forget(pipeline.project.backups, files, revision)
    except BaseException:
        revisions.write(there)
        raise
    return revision


def found(pipeline: Pipeline, environment: Environment, schemas: Collection[str] = ()) -> Revision:
    """Give what the last `revise` wrote, where it may be taken back; see :func:`undo`."""
    pipeline.project.require_editable()
    end(pipeline)
    revision = _last(pipeline, schemas)
    _refuse_edited(pipeline, revision)
    _refuse_committed(pipeline, revision)
    _refuse_foundation(pipeline, revision)
    _refuse_applied(pipeline, environment, revision)
    return revision


def replacing(pipeline: Pipeline, old: Revision, new: Revision) -> Rewriting:
    """Give the files that one `revise` writes in the place of another, with the record of them."""
    project = pipeline.project
    files, record = project.files, project.backups / revisions.FILE
    versions = {name: before for name, (before, _) in old.versions.items()}
    versions |= {name: after for name, (_, after) in new.versions.items()}
    after = {
        **{path: text for path, text in old.texts_before(files).items() if path not in new.after},
        **new.after,
        **revisions.versioned(files, versions),
        record: revisions.replaced(project.backups, files, old, new),
    }
    before = {path: revisions.read(path) for path in after}
    return Rewriting(_noted(pipeline), project.root, before, after, {})


def end(pipeline: Pipeline) -> None:
    """Write the rest of what `revise --again` was killed in the middle of.

    Raises
    ------
    PipelineError
        If there was any: the project was read with the versions of before.
    """
    project = pipeline.project
    begun = unfinished.left(_noted(pipeline), project.root, f"{project.program} revise --again")
    if begun is None:
        return
    record = project.backups / revisions.FILE
    whole = all(revisions.read(path) == text for path, text in begun.after.items() if path != record)
    begun.finish()
    if not whole:
        raise PipelineError(
            "A revise --again was interrupted while it wrote its files; now they are all written.",
            "This command began with the earlier versions, and did nothing else.",
            "Read the migration, then run the command again if it is still needed.",
        )


def _noted(pipeline: Pipeline) -> Path:
    return pipeline.project.backups / "revise-again.json"


def asked(pipeline: Pipeline, environment: Environment) -> list[Environment]:
    """Give the environments that are asked: those on the server of this one, the git branch's own among them, and
    ``local`` where it was made.
    """
    project = pipeline.project
    names = dict.fromkeys(() if environment.embedded else (DEV, PROD, LOCAL))
    found = [environment, *(environments.find(project, name) for name in names if name != environment.name)]
    if not (environment.embedded or environment.branch):
        with suppress(PipelineError):  # on main, and on none, there is no branch to be asked
            found.append(environments.find(project, BRANCH))
    made = server.made(project.local_directory)
    return [e for e in found if made or not e.embedded]


def _last(pipeline: Pipeline, schemas: Collection[str]) -> Revision:
    project = pipeline.project
    refuse_schemas(schemas, project.versions)
    revision = revisions.last(project.backups, project.files, schemas)
    if revision is None:
        raise PipelineError(
            f"There is no revise of {' or '.join(schemas) or 'this project'} to take back.",
            "Only the machine that ran revise knows what it wrote, until that is taken back.",
            "Get the earlier files back from version control.",
        )
    return revision


def _titles(revision: Revision) -> str:
    return " and ".join(f"{name} {after}" for name, (_, after) in revision.versions.items())


def _refuse_edited(pipeline: Pipeline, revision: Revision) -> None:
    project = pipeline.project
    if path := revision.edited(project.files):
        raise PipelineError(
            f"{path.relative_to(project.root)} is not as revise wrote it.",
            "It was edited, or another migration followed it; undoing it would lose that.",
            "Continue in the file, or undo by hand what revise wrote; git status lists it.",
        )


def _refuse_committed(pipeline: Pipeline, revision: Revision) -> None:
    project = pipeline.project
    for name in revision.versions:
        path = revision.migration(name) or project.files.folder / name / migration_files.LATEST
        if path.is_file() and (commit := commit_with(path)):
            raise PipelineError(
                f"{path.relative_to(project.root)} is committed.",
                f"Others may have it, from the commit {commit}.",
                "Change the code and run revise for the next version; or take the commit back first, if nobody has it.",
            )


def _refuse_foundation(pipeline: Pipeline, revision: Revision) -> None:
    """Refuse to take away what another migration builds on."""
    project, histories = pipeline.project, migration_files.read(pipeline.project.files)
    others = {name: _without(history, revision) for name, history in histories.items()}
    for history in others.values():
        for migration in history.migrations:
            needed = {**migration.requires, migration.schema: migration.follows}
            for name, (_, after) in revision.versions.items():
                if revision.migration(name) and needed.get(name) == after:
                    raise _foundation(project.program, revision, f"{migration.title} builds on it.", migration.schema)
    # It may also have made way, for a table that another migration drops.
    tables = migration_files.tables_of(history.oldest for history in others.values())
    try:
        for _, _, after_it in chain.replay(others, list(others)):
            tables = after_it
        wrong = dangling(tables, others)
    except PipelineError as error:
        wrong = [error.what]
    if wrong:
        raise _foundation(project.program, revision, f"Without it, {wrong[0]}", "")


def _without(history: History, revision: Revision) -> History:
    rest = [migration for migration in history.migrations if migration.path not in revision.made]
    if history.folder / migration_files.LATEST in revision.made:
        return History(history.schema, history.folder, migrations=rest)
    return replace(history, migrations=rest)


def _foundation(command: str, revision: Revision, why: str, schema: str) -> PipelineError:
    first = f"{command} revise --undo {schema}".rstrip()
    return PipelineError(f"{_titles(revision)} cannot be taken back alone.", why, f"First run {first}.")


# --- Databases -------------------------------------------------------------------------------------------------------


def _refuse_applied(pipeline: Pipeline, environment: Environment, revision: Revision) -> None:
    """Refuse where a database has it, of those that can be asked."""
    histories = migration_files.read(pipeline.project.files)
    for other in asked(pipeline, environment):
        try:
            connection = _connect(pipeline, environment, other)
        except PipelineError as error:
            if other.embedded != environment.embedded:
                continue  # nobody works on a ``local`` that does not start
            command = pipeline.project.program
            do = f"Run {command} doctor to see what is wrong, or ask local alone: {command} --env local revise --undo."
            what = f"Whether {other.name} has {_titles(revision)} is not known."
            raise PipelineError(what, f"{error.what} {error.why}", do) from error
        recorded = journal.recorded(connection, {name: other.database(name) for name in revision.versions})
        had = applied.read(connection, recorded, histories)
        for name, record in journal.latest(connection, recorded).items():
            if _has(had[name], record, revision):
                raise _applied(pipeline.project.program, other.name, revision, record)


def _has(had: applied.Applied, record: journal.Record, revision: Revision) -> bool:
    """Tell whether a database has a part of it: by what was recorded of its migration, whatever the number was then."""
    name = record.schema
    migration = next((m for m in had.history.migrations if m.path == revision.migration(name)), None)
    if migration is not None and record.status == journal.DONE:
        return had.includes(migration)
    return Version(record.version) >= Version(revision.versions[name][1])


def _connect(pipeline: Pipeline, environment: Environment, other: Environment) -> dj.Connection:
    """Connect to an environment that is asked; a pipeline itself has one connection."""
    if other.embedded == environment.embedded:
        return pipeline.connect(environment)
    return connecting.connect(pipeline.project, settings.load(pipeline.project), other)


def _applied(command: str, environment: str, revision: Revision, record: journal.Record) -> PipelineError:
    before = revision.versions[record.schema][0]
    back = f"first run {command} --env {environment} rollback {record.schema} --to {before}"
    return PipelineError(
        f"{_titles(revision)} cannot be taken back.",
        f"{environment} has {record.schema} {record.version}.",
        f"Change the code and run revise for the next version; or, where nobody works with it, {back}.",
        exit_code=ExitCode.CONFLICT,
    )
