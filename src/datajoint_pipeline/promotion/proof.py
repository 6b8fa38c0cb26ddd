"""What has to hold before one database is given what another one has had: where each stands, and that the code is
committed.

A migration is proved by a database that is clean now and whose journal says that ``migrate`` ran it there, with the
digest that the file has now. That is more than a version: a database that was made at that version, or adopted, has it
without ever having seen the migration at work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from .. import journal
from ..dialects import owners
from ..diff.changes import difference
from ..errors import ExitCode, PipelineError
from ..git import git
from ..history import migration_files
from ..history.files import Files
from ..history.migration_files import Migration
from ..journal import steplog
from ..planner import applied, drift
from ..planner.status import SchemaStatus, State
from ..planner.target import Target

#: What the record of a run begins with, beside its options, that a promotion began.
PROVED = "(proved on "


@dataclass(frozen=True)
class ProvedMigration:
    """A migration as the journal of the database that proves it has it.

    Parameters
    ----------
    title : str
        Schema, version and what it is called.
    finished_at : datetime or None
        When it had run there, in UTC without time zone.
    commit : str
        The git commit of the code that ran it.
    """

    title: str
    finished_at: datetime | None
    commit: str


def fingerprint(files: Files, wanted: Iterable[Migration]) -> str:
    """Give 64 hexadecimal digits that are equal exactly when the migrations do the same and lead to the same tables."""
    latest = migration_files.latest(files)
    lines = [f"{m.schema} {m.version} {m.slug} {m.digest}" for m in wanted]
    lines += [f"{name} {latest[name].version} {latest[name].fingerprint}" for name in sorted(latest)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


# --- The code --------------------------------------------------------------------------------------------------------


def require_committed(directory: Path, program: str, files: Iterable[Path] = (), *, editable: bool) -> None:
    """Refuse code that is not committed: nobody could say later what was promoted.

    Parameters
    ----------
    directory : Path
        The package: modules, version.py and migrations.
    program : str
        What people type to run a command.
    files : iterable of Path
        Files that have to be known to git, though it may be told to ignore them.
    editable : bool
        Whether it is a working copy, and no installed wheel.
    """
    if not editable:
        return
    do = f"Commit the modules, version.py and migrations, then run {program} promote again."
    try:
        found = git(directory, "status", "--porcelain", "--untracked-files=all", "--", ".")
    except OSError:
        what, why = "Nobody can tell whether the code is committed.", "There is no git on this machine."
        raise PipelineError(what, why, f"Install git, then run {program} promote again.") from None
    if found.returncode != 0:
        if "not a git repository" in found.stderr:
            raise PipelineError("The code is not committed.", f"{directory} is in no git repository.", do)
        said = found.stderr.strip().split("\n")[0].removeprefix("fatal: ").rstrip(".")
        raise PipelineError(
            "git cannot tell whether the code is committed.",
            f"It says: {said}.",
            f"Run git status in {directory} and do what it says, then run {program} promote again.",
        )
    changed = [line[3:] for line in found.stdout.splitlines()]
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        why = f"Changed since the last commit: {', '.join(changed[:3])}{more}."
        raise PipelineError("The code is not committed.", why, do)
    known = git(directory, "ls-files", "-z", "--", ".").stdout.split("\0")
    ignored = sorted({path.relative_to(directory).as_posix() for path in files} - set(known))
    if ignored:
        why = f"git is told to ignore {ignored[0]}{f' and {len(ignored) - 1} more' if len(ignored) > 1 else ''}."
        raise PipelineError("The code is not committed.", why, f"Add it with git add --force. {do}")


def require_revised(target: Target) -> None:
    """Refuse code whose tables have changes that no migration has: they would not come along.

    Raises
    ------
    PipelineError
        For the first schema that has some.
    """
    if not target.files.editable:
        return
    latest = migration_files.latest(target.files)
    snapshots = migration_files.tables_of(latest.values())
    code = {name: table for name, table in target.code_tables().items() if name.schema in latest}
    for operation in difference(snapshots, code).operations:
        name = operation.table.schema
        raise PipelineError(
            f"The code of {name} has changes that no migration has.",
            f"They are not on any database, and would not be promoted: {operation.describe()}.",
            f'Run {target.program} revise {name} -m "what changed", migrate the database that is to prove it, and '
            "promote then.",
            exit_code=ExitCode.PENDING,
        )


# --- The database that proves it -------------------------------------------------------------------------------------


def require_clean(target: Target) -> None:
    """Refuse a database that proves nothing: it is behind, has drifted, is a draft, or in the middle of a change.

    Raises
    ------
    PipelineError
        For the first schema that is not as its migrations left it.
    """
    name = target.environment
    for s in _worst_first(drift.read(target)):
        again = f"Then run {target.program} promote again."
        if s.state is State.INTERRUPTED:
            raise PipelineError(
                f"{name} is in the middle of a change: {s.run or 'a run'} of {s.name} was interrupted.",
                "What its tables are is only known when that has ended, so it proves nothing yet.",
                f"Run {target.command} {s.way_on}. {again}",
                exit_code=ExitCode.INTERRUPTED,
            )
        if s.draft:
            raise PipelineError(
                f"{s.name} is a draft on {name}.",
                "A draft has no migration, and only a migration can be given to another database.",
                f'Run {target.program} revise {s.name} -m "what changed", then {target.command} migrate. {again}',
                exit_code=ExitCode.PENDING,
            )
        if s.state is State.DRIFTED:
            raise PipelineError(
                f"{s.name} on {name} is not as its migrations left it.",
                _first(s.drift),
                f"Put it right, and see {target.command} status. {again}",
                exit_code=ExitCode.DRIFT,
            )
        if s.state in (State.AHEAD, State.CONFLICT):
            raise PipelineError(
                f"{name} has {s.name} {s.database_version} from other code than this.",
                _first(s.drift) if s.drift else f"The code has {s.code_version}.",
                f"Pull or merge the code that {name} was migrated with. {again}",
                exit_code=ExitCode.CONFLICT,
            )
        if s.state in (State.BEHIND, State.ABSENT):
            has = f"has {s.name} {s.database_version}" if s.database_version else f"has no {s.name}"
            raise PipelineError(
                f"{name} {has}, and the code has {s.code_version}.",
                "What is promoted has to have run there first.",
                f"Run {target.command} {'migrate' if s.database_version else 'init'}. {again}",
                exit_code=ExitCode.PENDING,
            )
        if s.state is not State.CURRENT:
            raise _unreadable(target, s)


def require_proof(source: Target, wanted: Iterable[Migration]) -> list[ProvedMigration]:
    """Refuse a migration that never ran in the database that is to prove it; give what the journal says of each.

    Parameters
    ----------
    source : Target
        The database; it is clean.
    wanted : iterable of Migration
        What another database is to be given. Making a schema that is not there needs no proof.
    """
    connection, files = source.connection, source.files
    histories = migration_files.read(files)
    with_journal = journal.recorded(connection, {name: source.database(name) for name in histories})
    had = applied.read(connection, with_journal, histories)
    heads = steplog.heads(connection, with_journal)
    ran = [
        (record, str(heads.get((record.schema, record.id), {}).get("digest", "")))
        for record in journal.history(connection, with_journal)
        if record.kind == "migrate" and record.status == journal.DONE
    ]
    proved = []
    for migration in wanted:
        if migration.makes is not None:
            continue
        own = [r for r, digest in ran if r.schema == migration.schema and migration.has_digest(digest)]
        if not own or migration.schema not in had or migration not in had[migration.schema].done:
            follows = migration.follows or "an earlier version"
            raise PipelineError(
                f"{migration.title} was never tried on {source.environment}.",
                f"{source.environment} was made or adopted at that version or a later one, so the migration itself "
                "has not run there.",
                f"Run {source.command} rollback {migration.schema} --to {follows} and then {source.command} migrate, "
                f"or make {source.environment} anew from an earlier commit and migrate it.",
            )
        proved.append(ProvedMigration(migration.title, own[-1].finished_at, own[-1].code_commit))
    return proved


# --- The database that is to be given it -----------------------------------------------------------------------------


def begun_by_promotion(target: Target) -> bool:
    """Tell whether what was interrupted in a database is a promotion, which can be gone on with."""
    databases = target.databases
    surveys = journal.survey(target.connection, databases.values())
    with_journal = {n: d for n, d in databases.items() if d in surveys and surveys[d].journal}
    last: dict[str, journal.Record] = {}
    for record in journal.history(target.connection, with_journal, surveys):
        if record.status != journal.WITHDRAWN:
            last[record.schema] = record
    running = [record for record in last.values() if record.status != journal.DONE]
    return bool(running) and all(PROVED in record.options for record in running)


def require_ready(target: Target, *, begun: bool = False) -> list[SchemaStatus]:
    """Refuse a database that the plan is not for: it is ahead, has drifted, or is in the middle of a change; give where
    each schema stands. ``begun`` says that a promotion was interrupted there.

    Raises
    ------
    PipelineError
        For the first schema that is so.
    """
    name, found = target.environment, drift.read(target)
    for s in _worst_first(found):
        again = f"Then run {target.program} promote again."
        if s.state is State.INTERRUPTED:
            raise PipelineError(
                f"{name} is in the middle of a change: {s.run or 'a run'} of {s.name} was interrupted.",
                "A promotion began it." if begun else "A promotion did not begin it, so end it as it was begun.",
                f"Run {target.program} promote without --dry-run, which goes on with it."
                if begun
                else f"Run {target.command} {s.way_on}. {again}",
                exit_code=ExitCode.INTERRUPTED,
            )
        if s.draft or s.state is State.DRIFTED:
            raise PipelineError(
                f"{s.name} on {name} is not as its migrations left it.",
                _first(s.drift) or "It is a draft.",
                f"Put it right, and see {target.command} status. {again}",
                exit_code=ExitCode.DRIFT,
            )
        if s.state in (State.AHEAD, State.CONFLICT):
            raise PipelineError(
                f"{name} has {s.name} {s.database_version}, and the code has {s.code_version}.",
                _first(s.drift) or f"{name} was changed by newer code than this.",
                f"Pull the newer code. {again}",
                exit_code=ExitCode.CONFLICT,
            )
        if s.state is State.UNRECORDED:
            raise PipelineError(
                f"{name} holds tables of {s.name} and no record of a version.",
                "They were made by somebody else, or before this project recorded versions.",
                f"Run {target.command} adopt. {again}",
                exit_code=ExitCode.PENDING,
            )
        if s.state is State.UNREADABLE:
            raise _unreadable(target, s)
    return found


def _worst_first(found: Iterable[SchemaStatus]) -> list[SchemaStatus]:
    order = (State.INTERRUPTED, State.DRIFTED, State.AHEAD, State.CONFLICT, State.UNREADABLE, State.UNRECORDED)

    def place(s: SchemaStatus) -> int:
        return order.index(s.state) if s.state in order else len(order) + (not s.draft)

    return sorted(found, key=place)


def _first(texts: tuple[str, ...]) -> str:
    """Give the first differences; a reason that is one sentence long is read."""
    more = f" And {len(texts) - 3} more." if len(texts) > 3 else ""
    return " ".join(texts[:3]) + more


def _unreadable(target: Target, s: SchemaStatus) -> PipelineError:
    return PipelineError(
        f"This account may not read all of {s.database}.",
        "Where it stands is not known, so nothing can be said about it.",
        owners.asking(target.connection, s.database),
    )
