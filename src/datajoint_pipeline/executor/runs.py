"""Record what a group of migrations does, and carry it out step by step; :mod:`resume` goes on with what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial

from .. import journal
from ..diff import changes, questions
from ..errors import ExitCode, PipelineError, Stopped
from ..internals import lineage
from ..journal import steplog
from ..operations.base import Operation
from ..operations.structure import DropTable
from ..planner import drafts, drift, resuming, run_heads, undoing
from ..planner.deployment import Deployment
from ..planner.plan import Group
from ..planner.status import way_on
from ..planner.steps import OnlineStatements, PlannedStep, Recoding, UserPython, UserSQL
from ..planner.target import Target
from ..schema.model import Schema, TableName
from . import leftovers, owners, stepping
from .holding import Hold, Kept

Report = Callable[[str, int, int], None]

#: The command that takes an interrupted run back.
TAKE_BACK = "rollback --interrupted"

#: How many differences a refusal names.
_NAMED = 3


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
    command : str
        What runs the steps once more, where one fails.
    before : int
        How many of the steps were done before the way back, where it is being taken back.
    kept : Kept, optional
        What is kept in a file of the rows that it changes.
    """

    target: Target
    deployment: Deployment
    group: Group
    members: list[Member]
    entries: list[steplog.Entry]
    command: str = "migrate"
    before: int = 0
    known: leftovers.Known | None = None
    kept: Kept | None = None

    @property
    def databases(self) -> dict[str, str]:
        """Give the name on the server of each schema."""
        return self.deployment.databases

    @property
    def taken_back(self) -> bool:
        """Tell whether it is being taken back."""
        return self.command == TAKE_BACK

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

    def carry_out(self, report: Report, *, online: bool = True) -> None:
        """Run the steps that are not done; with ``online`` those, too, that PostgreSQL runs after the transaction."""
        leader = self.members[0]
        log = stepping.StepLog(self.databases[leader.schema], leader.run, len(self.entries), self.command, self.before)
        hold = Hold(self.target.connection, log.database, self.group.steps, self.kept)
        prepared = False
        if self.known is None and self.target.connection.adapter.backend == "mysql":
            self.known = self._know()
        single = self.target.connection.adapter.backend == "mysql"
        try:
            for number, step in enumerate(self.group.steps):
                later = isinstance(step, OnlineStatements)
                if self.entries[number].state != steplog.DONE and (online or not later):
                    if not prepared:
                        stepping.prepare(self.target.connection)
                    prepared = not later  # which has more patience
                    report(step.words, number + 1 - self.before, len(self.entries) - self.before)
                    with self._stoppable() if single or later else nullcontext():
                        self._carry_out(number, partial(stepping.run, self.target, self.databases, log, hold))
        finally:
            hold.release()

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """Have Ctrl-C say how far the run came, where what is done stays."""
        try:
            yield
        except Stopped:
            raise
        except KeyboardInterrupt as stopped:
            steps = zip(self.group.steps, self.entries, strict=True)
            left = [number for number, (_, entry) in enumerate(steps) if entry.state != steplog.DONE]
            done, of = len(self.entries) - len(left) - self.before, len(self.entries) - self.before
            what, more = "Stopped after the last step.", "What is left is to record that."
            back = ""
            if left:
                step = self.group.steps[left[0]]
                what = f"Stopped in step {left[0] + 1 - self.before} of {of}: {step.words}."
                more = "The server may still complete this one."
            if left and not self.taken_back and self.target.connection.adapter.backend == "mysql":
                way = undoing.way_back(self.deployment, self.group, left[0], begun=True)
                back = f" {way.offer(self.target.command)}"
            why = f"{done} of {of} steps are done and recorded. {more}"
            do = f"Run {self.target.command} {self.command} again; it goes on from there.{back}"
            raise Stopped(what, why, do) from stopped

    def _know(self) -> leftovers.Known:
        done = all(entry.state == steplog.DONE for entry in self.entries)
        return leftovers.know(self.target, self.databases, self.group, begun=done)

    def _carry_out(self, number: int, run: Callable[[PlannedStep, steplog.Entry], int]) -> None:
        """Run one step, and note those that are done with it."""
        connection, step, entry = self.target.connection, self.group.steps[number], self.entries[number]
        single = connection.adapter.backend == "mysql"
        try:
            # A transaction is tried again as a whole.
            alone = single or isinstance(step, OnlineStatements)
            if isinstance(step, OnlineStatements):
                stepping.name_holder(connection, self.databases, step, self.target.warn)
            work = partial(run, step, entry)
            last = stepping.patiently(connection, self.databases, work, self.target.warn) if alone else work()
        except stepping.Refused as refused:
            if number == 0 and single and not refused.batches:
                # Nothing has been changed, so there is nothing to go on with.
                withdraw(self.target, self.members)
            elif single and not self.taken_back:
                done = number + isinstance(step, UserPython)  # which says of no batch that it is not done
                refused.do += self._way_back(done)
            elif not single and not self.taken_back and undoing.way_back_online(self.group):
                refused.do += f" {undoing.WayBack().offer(self.target.command)}"
            raise
        self.entries[number:last] = [replace(entry, state=steplog.DONE) for entry in self.entries[number:last]]

    def _way_back(self, done: int) -> str:
        """Say how the steps that are done can be taken back; nothing where rows that others wrote stand in the way."""
        way = undoing.way_back(self.deployment, self.group, done)
        counts = (self.target.connection.query(sql, args=None, reconnect=False) for sql, _ in way.questions)
        with suppress(Exception):  # the refusal is what has to be told
            if any(count.fetchone()[0] for count in counts):
                return ""
        return f" {way.offer(self.target.command)}"

    def conclude(self) -> None:
        """Verify the result, bring DataJoint's table of lineage to it, and record that the run is done.

        Raises
        ------
        PipelineError
            If the tables are not what was planned.
        """
        connection, databases = self.target.connection, self.databases
        wanted = run_heads.shapes_after(self.deployment, self.group)
        names = [name for name in {**self.deployment.shapes, **wanted} if name in databases]
        # What the lab's own steps do elsewhere, nobody knows.
        own_steps = any(isinstance(step, (UserSQL, UserPython)) for step in self.group.steps)
        shapes = self.deployment.reread(names if own_steps else [name for name in names if name in wanted])
        left = left_to_do(shapes, wanted)
        if left and isinstance(left[0], DropTable):
            raise PipelineError(
                f"There is a table {left[0].table} that the code does not have.",
                "The migration's own statements made it, or somebody else while it ran. Everything else is done.",
                f"Drop it, or move it to another database, then run {self.target.command} {self.command} again, which "
                "ends it.",
                exit_code=ExitCode.INTERRUPTED,
            )
        if left:
            found = {name: shape for name, shape in shapes.items() if name in wanted}
            texts = [operation.deviation() for operation in left_to_do(wanted, found)]
            raise self._other_than_planned(texts or [f"{left[0].table} differs by {type(left[0]).__name__}."])
        tables = {table.name: table for shape in shapes.values() for table in shape}
        listed = {name: databases[name] for name in names}
        lineage.repair(connection, listed, tables, moved=self._moved(), turned=self._turned())
        if connection.adapter.backend == "mysql":
            leftovers.follow(self.target, databases, self.group, self.known or self._know())
        own = {member.schema for member in self.members}
        with stepping.within(connection):
            for member in self.members:
                place = databases[member.schema]
                journal.stamp(connection, place, member.run, shapes[member.schema].fingerprint)
                journal.finish(connection, place, member.run)
            for name in shapes.keys() & wanted.keys() - own:
                # Another schema's tables may have other columns now, though its version is the same. If it had drifted,
                # it stays so.
                record, before = self.deployment.records.get(name), self.deployment.shapes.get(name)
                if record is None or before is None or record.fingerprint in (None, before.fingerprint):
                    journal.restamp(connection, databases[name], shapes[name].fingerprint)
        drafts.forget(self.target)

    def _other_than_planned(self, texts: list[str]) -> PipelineError:
        """Give the refusal of tables that are not what was planned; each text says of one in what."""
        again = f"then run {self.target.command} {self.command} again"
        by_hand = f"undo that by hand, {again}, which ends it"
        if self.target.connection.adapter.backend == "postgresql":  # which has undone what is of the same transaction
            by_hand = f"undo that by hand, or correct the statement, {again}"
        back = ""
        if self.target.connection.adapter.backend == "mysql":
            back = f" {undoing.way_back(self.deployment, self.group, len(self.entries)).offer(self.target.command)}"
        more = f" And {len(texts) - _NAMED} more." if len(texts) > _NAMED else ""
        return PipelineError(
            "The database is not what the migration should have made of it.",
            " ".join(texts[:_NAMED]) + more,
            f"If somebody, or a statement of the lab's own, made it so: {by_hand}. If nobody did, report it with the "
            f"output of log and diff. Nothing is lost.{back}",
            exit_code=ExitCode.INTERRUPTED,
        )

    def _moved(self) -> dict[str, str]:
        """Give the places before of the tables that have another one afterwards."""
        names = self.group.names_before
        return {self._place(new): self._place(old) for new, (old, _) in names.items() if new != old}

    def _turned(self) -> set[str]:
        """Give the places afterwards of the tables whose foreign keys have another order than before."""
        found, names = set[str](), self.group.names_before
        for name, (was, attributes) in names.items():
            if (table := self.group.after.get(name)) is None:
                continue
            now = [
                (names.get(key.parent, (key.parent, {}))[0], [attributes.get(a) for a in key.attributes])
                for key in table.keys_in_order
            ]
            had = [(key.parent, [*key.attributes]) for key in self.group.before[was].keys_in_order]
            if [key for key in now if key in had] != [key for key in had if key in now]:
                found.add(self._place(name))
        return found

    def _place(self, name: TableName) -> str:
        return f"{self.databases.get(name.schema, name.schema)}.{name.table}"

    def finish(self, report: Report) -> None:
        """Run every step that is not done, and conclude."""
        connection = self.target.connection
        with self._stoppable():
            self.carry_out(report)
            with nullcontext() if connection.adapter.backend == "mysql" else stepping.transaction(connection):
                self.conclude()


def left_to_do(shapes: Mapping[str, Schema], wanted: Mapping[str, Schema]) -> list[Operation]:
    """Give the operations that are left to do where tables are not what was planned."""
    have = {t.name: t for name, shape in shapes.items() if name in wanted for t in drift.visible(shape)}
    want = {table.name: table for shape in wanted.values() for table in drift.visible(shape)}
    drops = frozenset((name, None) for name in have)
    return changes.difference(have, want, questions.Answers(drops=drops)).operations


def withdraw(target: Target, members: Iterable[Member]) -> None:
    """Record of a run that nothing of it was done."""
    for member in members:
        journal.withdraw(target.connection, target.database(member.schema), member.run)


# --- Recording -----------------------------------------------------------------------------------------------------


def make_records(deployment: Deployment, name: str) -> None:
    """Make what is missing of the database of a schema, its journal, and DataJoint's table of lineage."""
    connection, database = deployment.connection, deployment.databases[name]
    if database not in deployment.surveys:
        owners.create_schema(connection, database, deployment.catalogue.collations.get(database, ""))
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
    members = list[Member]()
    for migration, (previous, version) in zip(
        group.migrations, run_heads.versions(deployment, group, kind), strict=True
    ):
        number = journal.begin(
            connection,
            deployment.databases[migration.schema],
            kind=run_heads.kind_of(migration, kind),
            version=version,
            previous_version=previous,
            code_commit=commit,
            software=software,
            options=options,
        )
        members.append(Member(migration.schema, number))
    texts = run_heads.texts(deployment, group, kind, [member.run for member in members])
    for member, migration, text in zip(members, group.migrations, texts, strict=True):
        entry = steplog.Entry(0, "head", steplog.DONE, migration.slug, text)
        steplog.write(connection, deployment.databases[member.schema], member.run, [entry])
    entries = [replace(resuming.entry(step), number=number) for number, step in enumerate(group.steps, 1)]
    steplog.write(connection, deployment.databases[members[0].schema], members[0].run, entries)
    again = way_on(kind, members[0].schema, run_heads.versions(deployment, group, kind)[0][1])
    return Run(target, deployment, group, members, entries, again)
