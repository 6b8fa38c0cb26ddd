"""Rehearse a plan: make the tables as a database has them, copy a sample of its rows, migrate there, and take the time.

For PostgreSQL it happens in a database of the embedded server. For MySQL it happens beside the real schemas, in schemas
with a prefix of their own, where the account may make any, and otherwise on a server that is started for it. Nothing
of the database itself is changed, and whatever happens, what was made is taken away: at the end, or by the next
rehearsal where a process was killed.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from .. import journal
from ..dialects import catalog, constraints, hanging, scratch
from ..embedded import server
from ..errors import ExitCode, PipelineError
from ..executor import apply
from ..executor.backup import Backups
from ..history.migration_files import Migration
from ..operations.lines import RunPython, RunSQL
from ..planner import drift, impact, plan
from ..planner.deployment import Deployment
from ..planner.impact import Impact
from ..planner.plan import Group
from ..planner.status import State
from ..planner.steps import LockedStatements, PlannedStep, Recoding, Statement
from ..planner.target import Target
from ..project.environments import Environment
from ..project.pipeline import Pipeline
from ..schema.model import TableName
from . import mysqld, prediction, sample
from .prediction import TimedStep

if TYPE_CHECKING:
    import datajoint as dj

#: The environment that a rehearsal is called, and its database on the embedded server.
NAME = "rehearsal"

#: Rows of each table of the first sample, and of each table that the plan changes of the second.
FEW, MORE = 100, 10_000

#: Bytes of the rows of a table that a sample begins with, as the server estimates them; one row comes in any case.
LARGE = 256 << 20

#: Seconds that a rehearsal waits for another one that has its place.
_PATIENCE = 120


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal showed.

    Parameters
    ----------
    place : str
        Where it was, in words.
    tables, rows : int
        How many tables had how many rows of the database in them.
    steps : int
        How many steps ran.
    seconds : float
        How long the plan took on the larger sample.
    predicted : float
        How many seconds the plan will take in the database itself, waiting for others apart.
    left_out : tuple of TableName
        Tables whose rows were not there: values of theirs would be written to a store.
    absent : tuple of str
        What hangs on the tables that the plan changes, and was not there.
    """

    place: str
    tables: int
    rows: int
    steps: int
    seconds: float
    predicted: float
    left_out: tuple[TableName, ...] = ()
    absent: tuple[str, ...] = ()


def rehearse(
    pipeline: Pipeline,
    target: Target,
    impacts: list[Impact],
    *,
    allow_data_loss: bool = False,
    report: Callable[[str], None] = lambda words: None,
) -> Rehearsal:
    """Run a plan on a copy of a database's tables with a sample of its rows.

    Parameters
    ----------
    pipeline : Pipeline
        The project.
    target : Target
        The database; only read.
    impacts : list of Impact
        The plan, as it was found for it.
    allow_data_loss : bool
        Whether values may be cut and rounded.
    report : callable, optional
        Called with what is being done.

    Raises
    ------
    PipelineError
        If the tables cannot be made as they are, or the plan fails on the sample.
    """
    there = Deployment.read(target)
    left_out = _writing_to_stores(there, impacts)
    changed, each = _rows(impacts), impact.row_sizes(there, there.tables)
    runs: list[prediction.Run] = []
    copied: list[sample.Copied] = []
    place = ""
    sizes = [FEW, MORE] if any(rows > FEW for rows in changed.values()) else [FEW]
    with journal.lock(target.connection, f"{NAME}:{target.lock}", timeout=0):
        for most in sizes:
            with _place(pipeline, target, impacts) as (place, stage):
                report(f"on {place}, with up to {most:,} rows a table")
                _make_tables(there, stage)
                old = {name for i in impacts for name in _old_names(i)}
                rows = {name: most if name in old else FEW for name in there.tables}
                rows = {name: max(1, min(number, LARGE // max(each.get(name, 0), 1))) for name, number in rows.items()}
                copied = sample.copy(
                    target.connection,
                    _databases(there),
                    stage.connection,
                    _databases(there, stage),
                    rows=rows,
                    without=left_out,
                )
                runs.append(_run(stage, impacts, allow_data_loss))
    last = runs[-1]
    return Rehearsal(
        place=place,
        tables=sum(one.chosen > 0 for one in copied),
        rows=sum(one.chosen for one in copied),
        steps=len(last.steps),
        seconds=last.seconds,
        predicted=prediction.predict(runs[0], last, changed),
        left_out=tuple(sorted(left_out)),
        absent=tuple(_absent(there, impacts)),
    )


def _absent(there: Deployment, impacts: list[Impact]) -> list[str]:
    """Name what hangs on the tables that a plan changes and is not rehearsed: whose statements these are, nobody knows.

    Beside the real schemas a trigger could write to them. Where the lab's own statements or Python run, that may be any
    table.
    """
    lines = [line for i in impacts for migration in i.group.migrations for line in migration.lines]
    anywhere = any(isinstance(line, (RunSQL, RunPython)) for line in lines)
    names = there.tables.keys() if anywhere else {name for i in impacts for name in _old_names(i)} & there.tables.keys()
    databases = _databases(there)
    places = sorted((databases[name.schema], name.table) for name in names)
    return hanging.on(there.connection, places, sorted(databases.values()))


def _rows(impacts: list[Impact]) -> dict[TableName, int]:
    """Give the rows of each table that a plan changes, by its name afterwards; the first group that has it counts."""
    return {t.table: t.rows for i in reversed(impacts) for t in i.tables}


def _databases(there: Deployment, stage: Target | None = None) -> dict[str, str]:
    """Give the name of each schema that is there, in the database or where it is rehearsed."""
    names = [name for name in there.databases if name in there.shapes]
    return {name: there.databases[name] if stage is None else stage.database(name) for name in names}


def _old_names(found: Impact) -> Iterator[TableName]:
    """Give the tables that a group changes, by their names before it."""
    names = dict[TableName, TableName]()
    for origins in found.group.origins:
        names |= {new: old for new, old in origins.tables.items() if new not in names}
    for t in found.tables:
        yield names.get(t.table, t.table)


def _writing_to_stores(there: Deployment, impacts: list[Impact]) -> set[TableName]:
    """Find the tables of which a plan would write values to a store, and whatever refers to them.

    A rehearsal writes nothing to a store, so their rows stay out of it.
    """
    found = set[TableName]()
    for step in (step for i in impacts for step in i.group.steps if isinstance(step, Recoding)):
        name, what = step.table, step.conversion
        attribute = there.tables[name].attribute.get(what.source) if name in there.tables else None
        if "@" in what.type or (attribute is not None and "@" in attribute.type):
            found.add(name)
    while more := {
        table.name
        for table in there.tables.values()
        if table.name not in found and any(key.parent in found for key in table.foreign_keys)
    }:
        found |= more
    return found


# --- Where -----------------------------------------------------------------------------------------------------------


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time rehearse in a project's folder, whatever database it is for: they would take the same
    place. The system frees the lock of one that is killed."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / f"{NAME}.lock", timeout=_PATIENCE):
            yield
    except Timeout:
        raise PipelineError(
            "Another rehearsal runs in this folder.",
            f"It has had {folder} for {_PATIENCE} s, and this one needs the same place. Nothing was changed.",
            "Wait until it has ended, then run the command again.",
        ) from None


@contextmanager
def _place(pipeline: Pipeline, target: Target, impacts: list[Impact]) -> Iterator[tuple[str, Target]]:
    """Give an empty place for a while, in words and to work on; what a killed rehearsal left is taken away first."""
    if target.connection.adapter.backend == "mysql":
        begin = _prefix(target)
        if not _named_by_hand(target, impacts) and _may_make(target, begin):
            with _beside(target, begin) as stage:
                yield "the same server, in schemas of its own", stage
        elif mysqld.program():
            with _alone(pipeline.project.local_directory), _apart(pipeline) as stage:
                yield "a MySQL of its own", stage
        elif named := _named_by_hand(target, impacts):
            raise PipelineError(
                f"The plan cannot be rehearsed on this server: a {named} itself.",
                "There it would change the real tables, and there is no mysqld on PATH to do it apart.",
                "Write {schema} in SQL and databases['schema'] in Python, or say --no-rehearsal and why.",
            )
        else:
            pattern = begin.replace("_", "\\_")
            raise PipelineError(
                "The plan cannot be rehearsed on this server.",
                f"This account may not make databases whose names begin with {begin}, and there is no mysqld on PATH.",
                f"Have it granted (GRANT ALL ON `{pattern}%`.*), or say --no-rehearsal and why.",
            )
    else:
        with _alone(pipeline.project.local_directory), _embedded(pipeline) as stage:
            yield "the embedded PostgreSQL", stage


@contextmanager
def _embedded(pipeline: Pipeline) -> Iterator[Target]:
    """Give a database of the project's own server; one that did not run is stopped again, unless somebody began to use
    it meanwhile."""
    folder = pipeline.project.local_directory
    ran = server.find(folder) is not None
    running = server.start(folder)
    stores = folder / "stores" / NAME
    connection: dj.Connection | None = None
    try:
        server.drop_database(running, NAME)
        own = pipeline.beside()
        environment = Environment(NAME, "", embedded=True, catalog=NAME)
        connection = own.connect(environment)
        yield own.target(environment)
    finally:
        with suppress(Exception):  # what went wrong before is to be seen, and the next rehearsal clears up
            if connection is not None:
                connection.close()
            server.drop_database(running, NAME)
            shutil.rmtree(stores, ignore_errors=True)
            if not ran and not server.busy(running):
                server.stop(folder)


def _prefix(target: Target) -> str:
    """Give what the names of the schemas of a rehearsal begin with, which is of this pipeline and prefix alone."""
    return f"{NAME}_{hashlib.sha256(target.lock.encode()).hexdigest()[:8]}_"


def _named_by_hand(target: Target, impacts: Iterable[Impact]) -> str:
    """Say which of the lab's own statements names which real table, otherwise than by the name that it is given for its
    schema.

    Run beside the real schemas, such a statement would change them.
    """
    texts = list[tuple[str, str]]()
    for migration in (migration for i in impacts for migration in i.group.migrations):
        texts += [("RunSQL", line.mysql) for line in migration.lines if isinstance(line, RunSQL)]
        if any(isinstance(line, RunPython) for line in migration.lines) and migration.path is not None:
            texts.append(("RunPython", migration.path.read_text(encoding="utf-8")))
    for database, table in catalog.find(target.connection, target.databases).tables if texts else ():
        name = rf"(?<![\w$.]){re.escape(database)}`?\s*\.\s*`?{re.escape(table)}(?![\w$])"
        for kind, text in texts:
            if table and re.search(name, text, re.IGNORECASE):
                return f"{kind} names {database}.{table}"
    return ""


def _may_make(target: Target, begin: str) -> bool:
    """Tell whether an account of MySQL may make schemas with such names, once what a killed rehearsal left is gone."""
    connection, trial = target.connection, f"{begin}_"
    scratch.drop(connection, scratch.find(connection, begin))
    if not scratch.may_make(connection, trial):
        return False
    scratch.drop(connection, [trial])
    return True


@contextmanager
def _beside(target: Target, begin: str) -> Iterator[Target]:
    """Give schemas of MySQL with names of their own, on the session of the real ones."""

    def called(schema: str) -> str:
        name = begin + schema
        return name if len(name) <= 64 else begin + hashlib.sha256(schema.encode()).hexdigest()[:12]

    try:
        yield replace(target, environment=NAME, prefix=begin, database_of=called)
    finally:
        with suppress(Exception):  # as above
            scratch.drop(target.connection, scratch.find(target.connection, begin))


@contextmanager
def _apart(pipeline: Pipeline) -> Iterator[Target]:
    """Give a MySQL that runs only for this."""
    with mysqld.running(pipeline.project.local_directory / "rehearsal-mysql") as (port, password):
        own = pipeline.beside()
        settings = {"host": "127.0.0.1", "port": port, "user": mysqld.USER, "password": password, "use_tls": None}
        for name, value in settings.items():
            own.config[f"database.{name}"] = value
        environment = Environment(NAME, "", embedded=False)
        connection = own.connect(environment)
        try:
            yield own.target(environment)
        finally:
            with suppress(Exception):  # as above
                connection.close()


# --- What ------------------------------------------------------------------------------------------------------------


def _make_tables(there: Deployment, stage: Target) -> None:
    """Make the schemas as a database has them, and record them with the versions and the migrations that it has had.

    A hotfix may have come before what the numbers of its version put first.
    """
    making = [
        Migration(name, record.version, None, "init", makes=there.shapes[name], included=there.applied[name].head)
        for name, record in there.records.items()
        if name in there.shapes
    ]
    if not making:
        return
    try:
        with apply.alone(stage):
            deployment = Deployment.read(stage)
            group = Group(making, deployment.tables)
            operations = [operation for migration in making for operation in migration.operations(group.before)]
            plan.add_steps(deployment, group, operations, constraints.names(deployment.catalogue), frozenset())
            apply.apply(deployment, group, "init", lambda words, number, of: None)
    except PipelineError as error:
        raise PipelineError(
            "The plan cannot be rehearsed: the tables cannot be made elsewhere as they are.",
            f"{error.what} {error.why} Nothing was changed.",
            "Put the tables right, or say --no-rehearsal and why.",
        ) from error


def _run(stage: Target, impacts: list[Impact], allow_data_loss: bool) -> prediction.Run:
    """Migrate what was made, and take the time of each step.

    Raises
    ------
    PipelineError
        If it fails, is another plan than that of the database, or does not end as it should.
    """
    found, clock = prediction.Run(), _Clock()
    try:
        same = impact.survey(stage)
        if _migrations(same) != _migrations(impacts):
            raise PipelineError(
                "Other migrations are left to run there.",
                "The database has had some of them in another order than that of their versions.",
            )
        found.rows = _rows(same)
        begin = time.perf_counter()
        apply.migrate(
            stage,
            allow_data_loss=allow_data_loss,
            backups=Backups(wanted=False),
            report=clock.step,
            look=clock.look,
        )
        found.seconds = time.perf_counter() - begin
        left = [s for s in drift.read(stage) if s.state is not State.CURRENT]
        if left:
            why = " ".join(left[0].drift) or f"It is {left[0].state.value}."
            raise PipelineError(f"{left[0].name} is afterwards not what the code has.", why)
    except PipelineError as error:
        raise PipelineError(
            f"The rehearsal failed. {error.what}",
            f"{error.why} That was on a sample of the rows; the database itself was not changed.".lstrip(),
            "Correct the migration or the rows, try it on dev, and promote again.",
            exit_code=ExitCode.DATA_LOSS if error.exit_code is ExitCode.DATA_LOSS else ExitCode.ERROR,
        ) from error
    found.steps = clock.ended()
    return found


def _migrations(impacts: Iterable[Impact]) -> list[tuple[str, str]]:
    """Give what tells one plan from another: title and digest of each migration."""
    return [(migration.title, migration.digest) for i in impacts for migration in i.group.migrations]


class _Clock:
    """Takes the time of each step, from its beginning to that of what comes next."""

    def __init__(self) -> None:
        self._steps: list[TimedStep] = []
        self._group: Group | None = None
        self._since = 0.0
        self._open = False

    def look(self, groups: list[Group]) -> None:
        """Take note of the group that comes next."""
        self._end()
        self._group = groups[0]

    def step(self, words: str, number: int, of: int) -> None:
        """Begin a step."""
        self._end()
        assert self._group is not None
        step = self._group.steps[number - 1] if number <= len(self._group.steps) else None
        if step is not None and step.words == words:
            self._steps.append(TimedStep(words, step.tables, 0.0, _instant(step)))
        else:  # values are cut, so the steps are others than those that were planned first
            self._steps.append(TimedStep(words, (), 0.0))
        self._since, self._open = time.perf_counter(), True

    def ended(self) -> list[TimedStep]:
        """Give the steps once all have ended."""
        self._end()
        return self._steps

    def _end(self) -> None:
        if self._open:
            self._steps[-1].seconds += time.perf_counter() - self._since
            self._open = False


def _instant(step: PlannedStep) -> bool:
    """Tell whether a step takes as long with many rows as with few."""
    if not isinstance(step, (Statement, LockedStatements)) or step.rewrites or step.changes_rows:
        return False
    converts = isinstance(step, LockedStatements) and bool(step.conversions)
    return step.lock == "brief" and step.algorithm in ("", "INSTANT") and not converts
