"""Record what a group of migrations does, carry it out step by step, and go on with it after an interruption.

The record has what was done. What is still to be done is planned again from files, code and library, and compared with
the record; nothing is run because it stands in a database.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from .. import journal
from ..dialects import catalog
from ..diff import changes, questions
from ..errors import ExitCode, PipelineError
from ..history import migration_files
from ..internals import lineage
from ..journal import steplog
from ..operations.base import Operation
from ..operations.structure import AddForeignKey, AddIndex, DropIndex
from ..planner import drafts, drift, resuming
from ..planner.deployment import Deployment
from ..planner.plan import Group
from ..planner.steps import OnlineStatements, PlannedStep, Recoding, UserPython, UserSQL
from ..planner.target import Target
from ..schema.model import Schema, encode
from . import owners, recovery, stepping
from .holding import Hold

if TYPE_CHECKING:
    import datajoint as dj

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Member:
    """A migration of a run: its schema, and the number of its record there."""

    schema: str
    run: int


@dataclass
class Run:
    """A run: what it does, and how far it came.

    Parameters
    ----------
    target : Target
        Where.
    deployment : Deployment
        What was there before.
    group : Group
        What it does.
    members : list of Member
        Its migrations; the steps are recorded with the first of them.
    entries : list of Entry
        The steps as recorded, in the order of the group's.
    """

    target: Target
    deployment: Deployment
    group: Group
    members: list[Member]
    entries: list[steplog.Entry]

    @property
    def databases(self) -> dict[str, str]:
        """Give the name on the server of each schema."""
        return self.deployment.databases

    @property
    def untouched(self) -> bool:
        """Tell whether no step that it ended changed a table or ran what is the lab's; rows that it filled may stay so.

        Such a record may be anybody's, while nobody who may not change tables can make one of a run that has.
        """
        begun = [
            (step, entry)
            for step, entry in zip(self.group.steps, self.entries, strict=True)
            if entry.state != steplog.PLANNED
        ]
        own = (UserSQL, UserPython, Recoding, OnlineStatements)
        made = any(step.effects for step, entry in begun if entry.state == steplog.DONE)
        postgresql = self.target.connection.adapter.backend == "postgresql"
        return not begun or not (made or postgresql or any(isinstance(step, own) for step, _ in begun))

    def withdraw(self) -> None:
        """Record that nothing of it was done."""
        for member in self.members:
            journal.withdraw(self.target.connection, self.databases[member.schema], member.run)

    def carry_out(self, report: Report, *, online: bool = True) -> None:
        """Run the steps that are not done; with ``online`` those, too, that PostgreSQL runs after the transaction."""
        place = stepping.Place(self.databases[self.members[0].schema], self.members[0].run, len(self.entries))
        hold = Hold(self.target.connection, place.database, self.group.steps)
        prepared = False
        try:
            for number, step in enumerate(self.group.steps):
                later = isinstance(step, OnlineStatements)
                if self.entries[number].state != steplog.DONE and (online or not later):
                    if not prepared:
                        stepping.prepare(self.target.connection)
                    prepared = not later  # which has more patience
                    report(step.words, number + 1, len(self.entries))
                    self._carry_out(number, partial(stepping.run, self.target, self.databases, place, hold))
        finally:
            hold.release()

    def _carry_out(self, number: int, run: Callable[[PlannedStep, steplog.Entry], int]) -> None:
        """Run one step, and note those that are done with it."""
        connection, step, entry = self.target.connection, self.group.steps[number], self.entries[number]
        single = connection.adapter.backend == "mysql"
        try:
            # A transaction is tried again as a whole.
            alone = single or isinstance(step, OnlineStatements)
            work = partial(run, step, entry)
            last = stepping.patiently(connection, self.databases, work) if alone else work()
        except stepping.Refused:
            if number == 0 and single:
                self.withdraw()  # nothing has been changed, so there is nothing to go on with
            raise
        self.entries[number:last] = [replace(entry, state=steplog.DONE) for entry in self.entries[number:last]]

    def conclude(self) -> None:
        """Verify the result, bring DataJoint's table of lineage to it, and record that the run is done.

        Raises
        ------
        PipelineError
            If the tables are not what was planned.
        """
        connection, databases = self.target.connection, self.databases
        wanted = _shapes(self.deployment, self.group)
        names = [name for name in {**self.deployment.shapes, **wanted} if name in databases]
        shapes = catalog.read(connection, {name: databases[name] for name in names})
        left = _left(shapes, wanted)
        if left:
            raise PipelineError(
                "The database is not what the migration was to make of it.",
                f"{type(left[0]).__name__} in {left[0].table} would still be left to do.",
                "Nothing is lost. Report it with the output of log and diff, and do not go on by hand.",
                exit_code=ExitCode.INTERRUPTED,
            )
        tables = {table.name: table for shape in shapes.values() for table in shape}
        lineage.repair(connection, {name: databases[name] for name in names}, tables)
        own = {member.schema for member in self.members}
        with stepping.within(connection):
            for member in self.members:
                place = databases[member.schema]
                journal.stamp(connection, place, member.run, shapes[member.schema].fingerprint)
                journal.finish(connection, place, member.run)
            for name in shapes.keys() & wanted.keys() - own:
                # Another schema's tables may have other columns now, though its version is the same.
                journal.restamp(connection, databases[name], shapes[name].fingerprint)
        drafts.forget(self.target)

    def finish(self, report: Report) -> None:
        """Run every step that is not done, and conclude."""
        self.carry_out(report)
        connection = self.target.connection
        with nullcontext() if connection.adapter.backend == "mysql" else stepping.transaction(connection):
            self.conclude()


def _shapes(deployment: Deployment, group: Group) -> dict[str, Schema]:
    """Give the schemas that a group changes, as they are to be."""
    changed = {n.schema for n in {*group.before, *group.after} if group.before.get(n) is not group.after.get(n)}
    # What is soft-deleted may have moved to another schema.
    changed |= {n.schema for step in group.steps for n in step.tables} & deployment.records.keys()
    return {
        name: Schema(name, tuple(table for table in group.after.values() if table.name.schema == name))
        for name in (*group.schemas, *sorted(changed - {*group.schemas}))
    }


def _left(shapes: Mapping[str, Schema], wanted: Mapping[str, Schema]) -> list[Operation]:
    """Give the operations that are left to do where tables are not what was planned."""
    have = {t.name: t for name, shape in shapes.items() if name in wanted for t in drift.visible(shape)}
    want = {table.name: table for shape in wanted.values() for table in drift.visible(shape)}
    drops = frozenset((name, None) for name in have)
    return changes.difference(have, want, questions.Answers(drops=drops)).operations


# --- Recording -----------------------------------------------------------------------------------------------------


def make_records(deployment: Deployment, name: str) -> None:
    """Make what is missing of the database of a schema, its journal, and DataJoint's table of lineage."""
    connection, database = deployment.connection, deployment.databases[name]
    if database not in deployment.surveys:
        owners.create_schema(connection, database)
    journal.create(connection, database)
    steplog.create(connection, database)
    lineage.create(connection, database)


def record(deployment: Deployment, group: Group, kind: str, options: str) -> Run:
    """Record a group that is about to be run; its schemas have their journals.

    Parameters
    ----------
    deployment : Deployment
        Where.
    group : Group
        What is run.
    kind : str
        The kind of the run in the journal.
    options : str
        The options of the command line that let values be lost.
    """
    connection, target = deployment.connection, deployment.target
    commit, software = target.commit(), target.software()
    members, heads = list[Member](), list[dict[str, Any]]()
    versions: dict[str, str | None] = {name: record.version for name, record in deployment.records.items()}
    for migration in group.migrations:
        previous = versions.get(migration.schema)
        number = journal.begin(
            connection,
            deployment.databases[migration.schema],
            kind="init" if migration.makes is not None else kind,
            version=max(migration.version, (previous or "0") if kind == "migrate" else "0", key=Version),
            previous_version=previous,
            code_commit=commit,
            software=software,
            options=options,
        )
        versions[migration.schema] = migration.version
        members.append(Member(migration.schema, number))
        identity = {key: getattr(migration, key) for key in ("schema", "slug", "digest", "frame")}
        heads.append({**identity, "run": number})
    plan = resuming.record(deployment, group, kind)
    leader = {"members": heads, "plan": plan, **_result(deployment, group, kind)}
    for member, head in zip(members, heads, strict=True):
        text = json.dumps({**_led(members), **(leader if member is members[0] else {}), **head})
        entry = steplog.Entry(0, "head", steplog.DONE, head["slug"], text)
        steplog.write(connection, deployment.databases[member.schema], member.run, [entry])
    entries = [replace(resuming.entry(step), number=number) for number, step in enumerate(group.steps, 1)]
    steplog.write(connection, deployment.databases[members[0].schema], members[0].run, entries)
    return Run(target, deployment, group, members, entries)


def _result(deployment: Deployment, group: Group, kind: str) -> dict[str, Any]:
    """Give what a run leads to, as its head has it."""
    shapes = _shapes(deployment, group)
    schemas = [name for name in dict.fromkeys((*deployment.shapes, *shapes)) if name in deployment.databases]
    return {
        # Releases before 0.7 go on with what stands in these.
        "databases": {name: deployment.databases[name] for name in schemas},
        "after": [encode(shape) for shape in shapes.values()],
        **({"renamed": drafts.renamed(group)} if kind == journal.DRAFT else {}),
    }


def _led(members: list[Member]) -> dict[str, Any]:
    """Give what the head of every member has: where the steps are."""
    return {"leader": {"schema": members[0].schema, "run": members[0].run}}


# --- Going on ------------------------------------------------------------------------------------------------------


def resume(target: Target, report: Report) -> None:
    """Go on with the runs that were interrupted.

    Raises
    ------
    PipelineError
        If one cannot be gone on with, or a step of it fails.
    """
    while (run := _interrupted(target)) is not None:
        if run.untouched:
            run.withdraw()  # so whatever is asked for now is planned from the start
        else:
            run.finish(report)


def _interrupted(target: Target) -> Run | None:
    """Plan the first run once more that was interrupted; None where there is none."""
    connection = target.connection
    databases = {name: target.database(name) for name in migration_files.schemas(target.files)}
    surveys = journal.survey(connection, databases.values())
    with_journal = {n: d for n, d in databases.items() if d in surveys and surveys[d].journal}
    running = {n: r for n, r in journal.latest(connection, with_journal).items() if r.status != journal.DONE}
    heads = steplog.heads(connection, with_journal) if running else {}
    for name, found in running.items():
        head = heads.get((name, found.id))
        if head is None:
            continue  # init began it, and goes on with it
        try:
            leader = str(head["leader"]["schema"]), int(head["leader"]["run"])
            head = heads[leader]
            members = [Member(str(member["schema"]), int(member["run"])) for member in head["members"]]
            entries = steplog.read(connection, databases[leader[0]], leader[1])
            began = running[leader[0]]
            whole = Member(*leader) == members[0] and all(running[m.schema].id == m.run for m in members)
            if "plan" not in head:
                raise _untrue(began, "It has statements alone, as before release 0.7; they are not run any more.")
            if not whole:
                raise _untrue(began, "It says of other runs that they belong to it.")
            owners.require(connection, databases.values())
            now = Deployment.read(target)
            if resuming.untouched(now, head["plan"], entries):
                for member in members:
                    journal.withdraw(connection, databases[member.schema], member.run)
                return _interrupted(target)  # whatever is asked for now is planned from the start
            deployment, group = resuming.planned(now, head["plan"], entries)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, AssertionError) as error:
            raise _untrue(found, f"It cannot be read ({type(error).__name__}).") from error
        return _compared(Run(target, deployment, group, members, entries), head, began, now)
    return None


def _untrue(began: journal.Record, why: str) -> PipelineError:
    """Give the refusal of a record that no run of this version leaves."""
    return PipelineError(
        "The record of the interrupted run is none that this version can go on with; nothing was run.",
        why,
        f"Go on with the versions that began it ({began.software or 'see log'}), then update. If it was this one, "
        "somebody wrote to the journal: ask who may.",
        exit_code=ExitCode.INTERRUPTED,
    )


def _compared(run: Run, head: Mapping[str, Any], began: journal.Record, now: Deployment) -> Run:
    """Compare a run with its record and the tables, and record user steps as their files have them now.

    PostgreSQL undoes user steps with the whole transaction, so there they have been run or were never recorded.
    """
    connection, migrations = run.target.connection, run.group.migrations
    recorded = [str(member["digest"]) for member in head["members"]]
    same = [m.digest == d or m.has_digest(d) for m, d in zip(migrations, recorded, strict=False)]
    if [m.schema for m in migrations] != [m.schema for m in run.members]:
        raise _untrue(began, "It is of other schemas than its migrations.")
    result = json.loads(json.dumps(_result(run.deployment, run.group, str(head["plan"]["kind"]))))
    if any(head.get(key) != value for key, value in result.items() if key != "databases"):
        raise _untrue(began, "What it is to lead to is not what its migrations lead to.")
    if any(run.databases.get(name) != database for name, database in dict(head["databases"]).items()):
        raise _untrue(began, "It is of other databases.")
    entries = resuming.compared(run.group.steps, run.entries, not all(same), began.software)
    states = [entry.state for entry in entries]
    if connection.adapter.backend == "postgresql":
        # The record came with the transaction that ran all others.
        left = [type(op) for op in _left(now.shapes, _shapes(run.deployment, run.group))]
        others = any(e.state != steplog.DONE for e in entries if e.kind != OnlineStatements.kind)
        if others or not {*left} <= {AddIndex, DropIndex, AddForeignKey}:  # one that is not built to its end is odd
            raise _untrue(began, "The tables are not as its steps leave them.")
        # What is done of these, the server says: each has a query that asks it.
        entries = [replace(e, state=steplog.RUNNING) if e.kind == OnlineStatements.kind else e for e in entries]
    elif (
        states != sorted(states, key=[steplog.DONE, steplog.RUNNING, steplog.PLANNED].index)
        or states.count(steplog.RUNNING) > 1
    ):
        raise _untrue(began, "It says of steps that they are done, though steps before them are not.")
    elif states[:1] != [steplog.PLANNED]:
        before, present = run.deployment.catalogue.tables, now.catalogue.tables
        if recovery.is_done(run.group.steps, entries, before, present):
            number = states.index(steplog.RUNNING)
            entries[number] = replace(entries[number], state=steplog.DONE)
            leader = run.members[0]
            steplog.finish(connection, run.databases[leader.schema], leader.run, number + 1)
    if not all(same):
        _correct(run, head, entries, connection)
    return replace(run, entries=entries)


def _correct(run: Run, head: Mapping[str, Any], entries: list[steplog.Entry], connection: dj.Connection) -> None:
    """Record the user steps of a run as their files have them now."""
    pairs = zip(run.entries, entries, strict=False)
    first = next((n for n, pair in enumerate(pairs) if pair[0] != pair[1]), min(len(run.entries), len(entries)))
    heads = [
        {**member, "digest": migration.digest}
        for member, migration in zip(head["members"], run.group.migrations, strict=True)
    ]
    with stepping.transaction(connection):
        for number, member in enumerate(run.members):
            now = {**head, "members": heads} if number == 0 else _led(run.members)
            steplog.rewrite(
                connection,
                run.databases[member.schema],
                member.run,
                entries[first:] if number == 0 else (),
                {**now, **heads[number]},
            )
