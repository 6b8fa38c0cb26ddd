"""Go on with a run that was interrupted.

The record has what was done. What is still to be done is planned once more from files, code and library, and compared
with the record and the tables; nothing is run because it stands in a database. Whoever may write to the journal can so
have a run refused, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .. import journal
from ..errors import ExitCode, PipelineError
from ..history import migration_files
from ..journal import steplog
from ..operations.structure import AddIndex, AlterAttribute, DropForeignKey, DropIndex
from ..planner import applied, impact, resuming, run_heads, status, undoing
from ..planner.deployment import Deployment
from ..planner.impact import Impact
from ..planner.plan import Group
from ..planner.steps import OnlineStatements
from ..planner.target import Target
from ..schema.model import Schema
from . import owners, recovery, runs, stepping
from .backup import Backups, Keeping
from .runs import Member, Run

#: Is told of each run that was gone on with, in a sentence.
Tell = Callable[[str], None]

#: What the head of a run has that is being taken back: how many of its steps were done.
UNDO = "undo"

#: The states of steps, in the order in which they follow each other in a record.
_STATES = (steplog.DONE, steplog.RUNNING, steplog.PLANNED)


@dataclass(frozen=True)
class Interrupted:
    """A run that was interrupted, as the journal has it; ``records`` and ``heads`` are those of its members."""

    record: journal.Record
    head: dict[str, Any]
    members: list[Member]
    records: list[journal.Record]
    heads: list[dict[str, Any]]
    entries: list[steplog.Entry]

    @property
    def undo(self) -> int | None:
        """Give from how many done steps it is being taken back; None where it is not."""
        return self.head.get(UNDO)

    @property
    def without_change(self) -> str:
        """Say of a run that changed no table that it is ended so."""
        schemas = ", ".join(member.schema for member in self.members)
        return f"Ended {self.record.kind} of {schemas}, which was interrupted before it changed a table."


def resume(
    target: Target,
    report: runs.Report,
    tell: Tell = lambda text: None,
    ended: Callable[[Run, Interrupted], None] = lambda run, began: None,
) -> list[str]:
    """Go on with the runs that were interrupted; say which these were, and how far they had come.

    ``tell`` is called with the same sentences, each as soon as its run has ended, and ``ended`` with that run.

    Raises
    ------
    PipelineError
        If one cannot be gone on with, or a step of it fails.
    """
    found = list[str]()
    while (began := interrupted(target)) is not None:
        _refuse_taken_back(target, began)
        run = planned(target, began)
        if run is None or run.untouched:
            # Whatever is asked for now is planned from the start.
            runs.withdraw(target, began.members)
            if began.record.kind == "rollback":
                found.append(began.without_change)
                tell(found[-1])
        else:
            note(run, began)
            run.kept = _kept(run, began, tell)
            done, schemas = sum(e.state == steplog.DONE for e in run.entries), ", ".join(run.group.schemas)
            run.finish(report)
            kind = began.head["plan"]["kind"]
            far = f"which was interrupted after {done} of {len(run.group.steps)} steps"
            found.append(f"Went on with {kind} of {schemas}, {far}.")
            tell(found[-1])
            ended(run, began)
    return found


def _kept(run: Run, began: Interrupted, tell: Tell) -> Keeping | None:
    """Give what keeps the rows that a run is still to change: others may have written since it began."""
    kind = str(began.head["plan"]["kind"])
    if run.target.connection.adapter.backend != "mysql" or kind not in ("migrate", journal.DRAFT):
        return None
    leader, database = began.record, run.databases[began.record.schema]
    options = journal.options_of(run.target.connection, database, leader, run.deployment.surveys)
    backups = Backups("--no-backup" not in options, lambda path, manifest: tell(f"What it loses is in {path}."))
    return backups.of_group(run.deployment, run.group, run.group.inputs.lossy, kind, leader.id)


def _refuse_taken_back(target: Target, began: Interrupted) -> None:
    """Refuse to go on with a run that is being taken back."""
    if began.undo is None:
        return
    kind = began.head["plan"]["kind"]
    what = "An adoption is being taken back, and that was interrupted."
    raise PipelineError(
        what if kind == "adopt" else "An interrupted run is being taken back, and that was interrupted, too.",
        "Until that is done, it cannot continue.",
        f"Run {target.command} {status.way_back(kind)} once more.",
        exit_code=ExitCode.INTERRUPTED,
    )


def survey(target: Target, kind: str = "") -> Impact | None:
    """Find what is left to do of the first run that was interrupted; None where there is none to go on with.

    Where nothing of it was done, whatever is asked for is planned from the start. Of a run of the ``kind`` that is
    asked for, that is all of it. Changes nothing.

    Raises
    ------
    PipelineError
        If it cannot be gone on with, is being taken back, or is not interrupted but under way.
    """
    began = interrupted(target)
    if began is None:
        return None
    _refuse_taken_back(target, began)
    with journal.lock(target.connection, target.lock, timeout=0):
        run = planned(target, began)
        if run is None or run.untouched:
            if kind != began.head["plan"]["kind"]:
                return None
            _, group = _group(Deployment.read(target), began.head, began.entries, began.record.software)
            return impact.rest(group, 0)
    states = [entry.state for entry in run.entries]
    return impact.rest(run.group, next((n for n, state in enumerate(states) if state != steplog.DONE), len(states)))


def interrupted(target: Target) -> Interrupted | None:
    """Read the first run that was interrupted; None where there is none."""
    connection = target.connection
    databases = {name: target.database(name) for name in migration_files.schemas(target.files)}
    with_journal = journal.recorded(connection, databases)
    running = {n: r for n, r in journal.latest(connection, with_journal).items() if r.status != journal.DONE}
    heads = steplog.heads(connection, with_journal) if running else {}
    for name, found in running.items():
        if (name, found.id) not in heads and found.kind == "init":
            continue  # which goes on with it
        owners.require(connection, databases.values())
        return recorded(target, name, running, heads)
    return None


def recorded(
    target: Target, name: str, records: Mapping[str, journal.Record], heads: Mapping[tuple[str, int], dict[str, Any]]
) -> Interrupted:
    """Give the run that the record of a schema belongs to, as the journal has it.

    Parameters
    ----------
    target : Target
        Where.
    name : str
        The schema.
    records : mapping
        The records of all schemas that may be of that run.
    heads : mapping
        What :func:`datajoint_pipeline.journal.steplog.heads` gave.

    Raises
    ------
    PipelineError
        If no run of this version leaves such a record.
    """
    found = records[name]
    own = heads.get((name, found.id))
    if own is None:
        raise untrue(found, "It lacks the head, which says what to do.")
    try:
        leader = Member(str(own["leader"]["schema"]), int(own["leader"]["run"]))
        head = heads[leader.schema, leader.run]
        members = [Member(str(member["schema"]), int(member["run"])) for member in head["members"]]
        whole = leader == members[0] and all(records[m.schema].id == m.run for m in members)
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise untrue(found, f"It cannot be read ({type(error).__name__}).") from error
    if not whole:
        raise untrue(found, "It claims other runs as its own.")
    if "plan" not in head:
        raise untrue(found, "It has only statements, as before release 0.7; these are no longer run.")
    if not (isinstance(head["plan"], dict) and isinstance(head["plan"].get("kind"), str)):
        raise untrue(found, "It does not say what was planned.")
    entries = steplog.read(target.connection, target.database(leader.schema), leader.run)
    own_records = [records[member.schema] for member in members]
    own_heads = [heads.get((member.schema, member.run), {}) for member in members]
    return Interrupted(records[leader.schema], head, members, own_records, own_heads, entries)


def untrue(began: journal.Record, why: str) -> PipelineError:
    """Give the refusal of a record that no run of this version leaves."""
    return PipelineError(
        "This version cannot continue from the record of the interrupted run; nothing was run.",
        why,
        f"Continue with the versions that began it ({began.software or 'see log'}), then update. If it was this one, "
        "somebody changed the journal: ask those who may write to it.",
        exit_code=ExitCode.INTERRUPTED,
    )


def planned(target: Target, interrupted: Interrupted) -> Run | None:
    """Plan a run once more and compare it with its record and the tables; None where it did nothing. Reads only.

    Where it is being taken back, its steps are those that were done, and those of the way back.

    Raises
    ------
    PipelineError
        If its record is not that of this run, or the tables are not as it says.
    """
    try:
        return _planned(target, interrupted)
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError, AssertionError) as error:
        raise untrue(interrupted.record, f"It cannot be read ({type(error).__name__}).") from error


def _planned(target: Target, interrupted: Interrupted) -> Run | None:
    """Do what :func:`planned` says.

    User steps are as their files have them now, where they were corrected. PostgreSQL undoes user steps with the whole
    transaction, so there they have been run or were never recorded.
    """
    began, head, entries = interrupted.record, interrupted.head, interrupted.entries
    now = Deployment.read(target)
    if resuming.untouched(now, head["plan"], entries):
        return None
    deployment, group = _group(now, head, entries, began.software)
    same = _as_recorded(group, head)
    if [m.schema for m in group.migrations] != [m.schema for m in interrupted.members]:
        raise untrue(began, "It is of other schemas than its migrations.")
    kind = str(head["plan"]["kind"])
    if [run_heads.kind_of(migration, kind) for migration in group.migrations] != [r.kind for r in interrupted.records]:
        raise untrue(began, f"Its head says that it is one of {kind}, the journal another.")
    versions = run_heads.versions(deployment, group, kind)
    if [after for _, after in versions] != [record.version for record in interrupted.records]:
        raise untrue(began, "It leads to other versions than its migrations.")
    ended = began.status == journal.DONE  # the databases have the versions that it led to
    if not ended and [before for before, _ in versions] != [r.previous_version for r in interrupted.records]:
        raise untrue(began, "It begins with other versions than its migrations.")
    for number, (migration, (_, version)) in enumerate(zip(group.migrations, versions, strict=True)):
        wanted = run_heads.identity(deployment, group, migration, version)
        _require_identity(interrupted, number, json.loads(json.dumps(wanted)))
    result = json.loads(json.dumps(run_heads.result(deployment, group, kind)))
    if any(head.get(key) != value for key, value in result.items() if key != "databases"):
        raise untrue(began, "It leads to another result than its migrations.")
    if any(deployment.databases.get(name) != database for name, database in dict(head["databases"]).items()):
        raise untrue(began, "It is of other databases.")
    again = status.way_on(kind, interrupted.members[0].schema, began.version)
    if interrupted.undo is not None:
        done = int(interrupted.undo)
        if any(entry.state != steplog.DONE for entry in entries[:done]):
            raise untrue(began, "It is taken back from steps that were not done.")
        back = undoing.way_back(deployment, group, done)
        back.require(f"{target.command} {again}")
        group.steps[done:] = back.steps
    known = resuming.compared(group.steps, entries, not same, began.software)
    run = Run(target, deployment, group, interrupted.members, known, again)
    if target.connection.adapter.backend == "postgresql":
        _see_what_the_transaction_left(run, began, now)
    elif known[:1] and known[0].state != steplog.PLANNED:
        _see_what_is_done(run, began, now, head)
    return run


def _group(
    now: Deployment, head: Mapping[str, Any], entries: list[steplog.Entry], software: str
) -> tuple[Deployment, Group]:
    """Plan a run once more; say of what does not go together that the record has a part in it."""
    try:
        return resuming.planned(now, head, entries)
    except PipelineError as error:
        if error.exit_code == ExitCode.INTERRUPTED:
            raise  # which says of the files what is so
        raise PipelineError(
            "Files, code and the record of the interrupted run do not go together; nothing was run.",
            f"{error.what} {error.why}",
            resuming.by_what_began(software),
            exit_code=ExitCode.INTERRUPTED,
        ) from error


#: What the head of a member says of its migration beside what the file is found by; releases before wrote less.
_FOR_GOOD = ("schema", "base", applied.INCLUDED, applied.UNDONE)


def _require_identity(began: Interrupted, number: int, wanted: Mapping[str, Any]) -> None:
    """Refuse a head that says of a member what its migration is not: it would stand in the journal for good."""
    own, listed = began.heads[number], began.head["members"][number]
    other = [key for key in _FOR_GOOD for found in (own, listed) if key in found and found[key] != wanted.get(key)]
    if other or any(own.get(key) != listed.get(key) for key in ("slug", "digest", "frame")):
        raise untrue(began.record, "It names another migration than its file.")


def _as_recorded(group: Group, head: Mapping[str, Any]) -> bool:
    """Tell whether the files are as they were when the run began."""
    recorded = [str(member["digest"]) for member in head["members"]]
    return all(m.digest == d or m.has_digest(d) for m, d in zip(group.migrations, recorded, strict=True))


def note(run: Run, began: Interrupted) -> None:
    """Record what :func:`planned` found: that the step under way is done, and user steps that were corrected."""
    leader = run.members[0]
    for was, now in zip(began.entries, run.entries, strict=False):
        if (was.state, now.state) == (steplog.RUNNING, steplog.DONE):
            steplog.finish(run.target.connection, run.databases[leader.schema], leader.run, now.number)
    if not _as_recorded(run.group, began.head):
        _correct(run, began.head, began.entries)


def _see_what_the_transaction_left(run: Run, began: journal.Record, now: Deployment) -> None:
    """Have the steps of PostgreSQL run that come after the transaction; the record came with it, as all others did.

    Raises
    ------
    PipelineError
        If the tables are neither as the transaction left them nor as these steps make them.
    """
    if any(e.state != steplog.DONE for e in run.entries if e.kind != OnlineStatements.kind):
        raise untrue(began, "The tables are not as its steps leave them.")
    if odd := [*_odd(run, now.shapes, run_heads.shapes_after(run.deployment, run.group))]:
        raise PipelineError(
            "The tables are not as the interrupted run left them; nothing was run.",
            " ".join(odd[:3]),
            "Undo that by hand, then run the command again. Nothing is lost.",
            exit_code=ExitCode.INTERRUPTED,
        )
    # What is done of these, the server says: each has a query that asks it.
    for number, (step, entry) in enumerate(zip(run.group.steps, run.entries, strict=True)):
        if isinstance(step, OnlineStatements):
            done = entry.state != steplog.PLANNED and stepping.is_true(run.target.connection, step.check)
            run.entries[number] = replace(entry, state=steplog.DONE if done else steplog.RUNNING)


def _odd(run: Run, shapes: Mapping[str, Schema], wanted: Mapping[str, Schema]) -> Iterator[str]:
    """Say in what tables differ from those wanted that is not what the steps after the transaction are for."""
    found = runs.left_to_do(wanted, {name: shape for name, shape in shapes.items() if name in wanted})
    # Until a foreign key is there, its attributes have types of their own, and its index is one like any other.
    keys = [(operation.table, operation.key.attributes) for operation in found if isinstance(operation, DropForeignKey)]
    drops = any(isinstance(step, OnlineStatements) and step.back is None for step in run.group.steps)
    for operation in found:
        match operation:
            case DropIndex() | DropForeignKey():
                continue
            case AddIndex(index=index) if drops or index.columns[-1].endswith("invalid"):
                continue  # it is not built to its end
            case AddIndex(table=table, index=index) if (table, index.columns) in keys:
                continue
            case AlterAttribute(table=table) if any(
                table == name and operation.after.name in attributes for name, attributes in keys
            ):
                continue
        yield operation.deviation()


def _see_what_is_done(run: Run, began: journal.Record, now: Deployment, head: Mapping[str, Any]) -> None:
    """Take the step of MySQL that was under way for done, if the tables say so."""
    states = [entry.state for entry in run.entries]
    if states != sorted(states, key=_STATES.index) or states.count(steplog.RUNNING) > 1:
        raise untrue(began, "It says of steps that they are done, though steps before them are not.")
    before, present = run.deployment.catalogue.tables, now.catalogue.tables
    try:
        done = recovery.is_done(run.group.steps, run.entries, before, present)
    except PipelineError as error:
        if UNDO not in head:
            way = undoing.way_back(run.deployment, run.group, states.count(steplog.DONE))
            error.do += f" {way.offer(run.target.command)}"
        raise
    if done:
        number = states.index(steplog.RUNNING)
        run.entries[number] = replace(run.entries[number], state=steplog.DONE)


def _correct(run: Run, head: Mapping[str, Any], recorded: list[steplog.Entry]) -> None:
    """Record the user steps of a run as their files have them now."""
    pairs = zip(recorded, run.entries, strict=False)
    first = next((n for n, pair in enumerate(pairs) if pair[0] != pair[1]), min(len(recorded), len(run.entries)))
    heads = [
        {**member, "digest": migration.digest}
        for member, migration in zip(head["members"], run.group.migrations, strict=True)
    ]
    connection = run.target.connection
    with stepping.transaction(connection):
        for number, member in enumerate(run.members):
            now = (
                {**head, "members": heads} if number == 0 else run_heads.led(run.members[0].schema, run.members[0].run)
            )
            entries, own = run.entries[first:] if number == 0 else [], {**now, **heads[number]}
            steplog.rewrite(connection, run.databases[member.schema], member.run, entries, own)
