"""Find where every schema stands: the version in the code beside the version in the database. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any

from packaging.version import Version

from .. import journal
from ..dialects import may_see
from ..errors import ExitCode, PipelineError
from ..history import migration_files
from ..history.files import Files
from ..journal import steplog
from .target import Target


class State(str, Enum):
    """How the version of a schema in the database stands to that in the code."""

    ABSENT = "absent"
    UNRECORDED = "unrecorded"
    BEHIND = "behind"
    CURRENT = "current"
    AHEAD = "ahead"
    INTERRUPTED = "interrupted"
    DRIFTED = "drifted"
    CONFLICT = "conflict"
    UNREADABLE = "unreadable"


#: What the command line returns for a state.
EXIT_CODES = {
    State.ABSENT: ExitCode.PENDING,
    State.UNRECORDED: ExitCode.PENDING,
    State.BEHIND: ExitCode.PENDING,
    State.CURRENT: ExitCode.OK,
    State.AHEAD: ExitCode.CONFLICT,
    State.INTERRUPTED: ExitCode.INTERRUPTED,
    State.DRIFTED: ExitCode.DRIFT,
    State.CONFLICT: ExitCode.CONFLICT,
    State.UNREADABLE: ExitCode.PENDING,
}


def way_on(run: str, schema: str, version: str | None, *, taken_back: bool = False) -> str:
    """Give the command that goes on with an interrupted run.

    Parameters
    ----------
    run : str
        What the journal calls it.
    schema, version : str
        The schema that leads it, and the version that this was to have.
    taken_back : bool
        Whether it was being taken back.
    """
    if taken_back:
        return way_back(run)
    # `migrate` would end it as well, and then lead to the version that somebody wanted to leave.
    back = f"rollback {schema} --to {version}"
    # And after a draft's last step it would go on to what the files say.
    draft = f"migrate --{journal.DRAFT}"
    return {"adopt": "adopt --types", "init": "init", "rollback": back, journal.DRAFT: draft}.get(run, "migrate")


def way_back(run: str) -> str:
    """Give the command that takes an interrupted run back; that of ``init`` has no way back."""
    return "adopt --undo" if run == "adopt" else "rollback --interrupted"


@dataclass(frozen=True)
class SchemaStatus:
    """Where one schema stands.

    Parameters
    ----------
    name, database : str
        Its name in the code and on the server.
    code_version : str
        Version in ``SCHEMA_VERSIONS``.
    database_version : str or None
        Version in the journal; None where there is no record.
    state : State
        How they stand to each other.
    pending : tuple of str
        Versions still to be applied.
    drift : tuple of str
        Differences between the recorded shape and the database's (:mod:`datajoint_pipeline.planner.drift` finds them).
    fingerprint : str or None
        Of the shape, as it was recorded with the version; None where none was recorded.
    draft : bool
        Whether the schema was brought to the code without a migration since it had that version.
    unreadable : tuple of str
        The tables, or the journal, that this account may not read; none where it has no right on any.
    tables : int
        How many tables there are that are not hidden, as far as that was looked at.
    run : str
        What was interrupted, as the journal calls it; empty where nothing was.
    taken_back : bool
        Whether that was being taken back when it was interrupted.
    way_on : str
        The command that goes on with it.
    to : str or None
        The version that it leads to.
    files : tuple of str
        The migrations that it is of, as their files are called.
    began : datetime or None
        When it began, UTC, without time zone.
    by : str
        Who began it.
    last : str
        The kind of the last run, as the journal calls it; empty where nothing is recorded.
    advice : tuple of str
        What there is to be done, as sentences with the command: what a rollback or a `restore` left that is still to be
        put back (:mod:`datajoint_pipeline.planner.due` finds it), or whom to ask for rights.
    """

    name: str
    database: str
    code_version: str
    database_version: str | None
    state: State
    pending: tuple[str, ...] = field(default=())
    drift: tuple[str, ...] = field(default=())
    fingerprint: str | None = None
    draft: bool = False
    unreadable: tuple[str, ...] = ()
    tables: int = 0
    run: str = ""
    taken_back: bool = False
    way_on: str = ""
    to: str | None = None
    files: tuple[str, ...] = ()
    began: datetime | None = None
    by: str = ""
    last: str = ""
    advice: tuple[str, ...] = ()


def is_older_code(found: SchemaStatus) -> bool:
    """Tell whether the code lacks the version that a schema had when it was last complete."""
    return found.database_version is not None and Version(found.database_version) > Version(found.code_version)


def read(target: Target) -> list[SchemaStatus]:
    """Find where every schema stands, in dependency order; with two queries, however many schemas are there."""
    connection, databases = target.connection, target.databases
    found = journal.survey(connection, databases.values()) if databases else {}
    recorded = {name: database for name, database in databases.items() if database in found and found[database].journal}
    records = journal.latest(connection, recorded)
    statuses = [
        judge(target.files, name, databases[name], version, found.get(databases[name]), records.get(name))
        for name, version in target.versions.items()
    ]
    if any(s.state is State.INTERRUPTED for s in statuses):
        heads = steplog.heads(connection, recorded)
        statuses = [_with_head(s, records, heads) if s.state is State.INTERRUPTED else s for s in statuses]
    return with_hidden(target, statuses)


def _with_head(
    found: SchemaStatus, records: Mapping[str, journal.Record], heads: Mapping[tuple[str, int], Mapping[str, Any]]
) -> SchemaStatus:
    """Say of an interrupted run what its head says: which command it was, and whether it was being taken back."""
    run, taken_back, again = _of_head(records[found.name], records, heads)
    return replace(found, run=run, taken_back=taken_back, way_on=again)


def _of_head(
    record: journal.Record,
    records: Mapping[str, journal.Record],
    heads: Mapping[tuple[str, int], Mapping[str, Any]],
) -> tuple[str, bool, str]:
    """Give which command a run was, whether it was being taken back, and the command that goes on with it.

    A schema that a migration makes is recorded as one of ``init``, and ``migrate`` goes on with it.
    """
    head, leader = heads.get((record.schema, record.id), {}), record.schema
    with suppress(KeyError, TypeError, ValueError, OverflowError):  # anybody may have written it
        head = heads.get((str(head["leader"]["schema"]), int(head["leader"]["run"])), head)
        leader = str(head["leader"]["schema"])
    plan = head.get("plan")
    run = str(plan.get("kind", record.kind)) if isinstance(plan, dict) else record.kind
    taken_back = head.get("undo") is not None
    version = records[leader].version if leader in records else record.version
    return run, taken_back, way_on(run, leader, version, taken_back=taken_back)


def unfinished(target: Target, records: Mapping[str, journal.Record], name: str, why: str) -> PipelineError:
    """Give the refusal of a schema that is in the middle of a change.

    Parameters
    ----------
    target : Target
        Where.
    records : mapping
        The last runs, by schema.
    name : str
        The schema.
    why : str
        Why that is in the way, as a sentence.
    """
    heads = steplog.heads(target.connection, {other: target.database(other) for other in records})
    run, taken_back, again = _of_head(records[name], records, heads)
    back = "" if taken_back or run == "init" else f"; or on MySQL {way_back(run)}, where there is a way back"
    return PipelineError(
        f"{target.database(name)} is in the middle of a change that {run} began; nothing was changed.",
        why,
        f"First run {target.command} {again}, which {'takes it back' if taken_back else 'ends it'}{back}.",
        exit_code=ExitCode.INTERRUPTED,
    )


def with_hidden(target: Target, statuses: list[SchemaStatus]) -> list[SchemaStatus]:
    """Tell schemas that are absent from those that this account has no right on, and that may be there."""
    hidden = may_see.hidden(target.connection, (s.database for s in statuses if s.state is State.ABSENT))
    return [replace(s, state=State.UNREADABLE) if s.database in hidden else s for s in statuses]


def judge(
    files: Files,
    name: str,
    database: str,
    code_version: str,
    found: journal.Survey | None,
    record: journal.Record | None,
) -> SchemaStatus:
    """Judge one schema by what was found of it.

    Parameters
    ----------
    files : Files
        The migrations.
    name, database : str
        Its name in the code and on the server.
    code_version : str
        Version in ``SCHEMA_VERSIONS``.
    found : Survey or None
        What the database holds; None where there is none, or it was not looked at.
    record : Record or None
        The last run in its journal.
    """
    if record is None and found is not None and found.unreadable:
        return SchemaStatus(name, database, code_version, None, State.UNREADABLE, unreadable=(journal.TABLE,))
    if record is None:
        state = State.UNRECORDED if found is not None and found.tables else State.ABSENT
        return SchemaStatus(name, database, code_version, None, state)
    if record.status != journal.DONE:
        return SchemaStatus(
            name,
            database,
            code_version,
            record.previous_version,
            State.INTERRUPTED,
            run=record.kind,
            way_on=way_on(record.kind, name, record.version),
            to=record.version,
            files=migration_files.between(files, name, record.previous_version or "0", record.version),
            began=record.started_at,
            by=record.os_user,
            last=record.kind,
        )
    code, recorded = Version(code_version), Version(record.version)
    state = State.CURRENT if code == recorded else State.BEHIND if code > recorded else State.AHEAD
    pending = migration_files.pending(files, name, record.version) if state is State.BEHIND else ()
    closed = found.closed if found is not None else ()
    return SchemaStatus(
        name,
        database,
        code_version,
        record.version,
        State.UNREADABLE if closed and state is State.CURRENT else state,
        pending,
        fingerprint=record.fingerprint,
        draft=record.kind == journal.DRAFT,
        unreadable=closed,
        tables=found.tables if found is not None else 0,
        last=record.kind,
    )
