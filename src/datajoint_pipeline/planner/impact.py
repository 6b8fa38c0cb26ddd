"""Find the impact of migrations: rows, bytes, locks, dependents and workers, and the rules that warn. Reads only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .. import journal
from ..dialects import event_triggers, may_lock, owners, read_only
from ..operations.state import Tables
from ..quoting import quoter
from ..schema.model import TableName
from . import adoption, contents, counting, drafts, drift, due, losses, pending, plan, run_heads
from .deployment import Deployment
from .plan import Group, Lossy
from .steps import LockedStatements, PlannedStep, Recoding
from .target import Target

if TYPE_CHECKING:
    import datajoint as dj

#: Rows from which writing a table anew, or locking it, is worth a warning.
MANY = 100_000

#: A table in a lock, as the server quotes it.
_PLACE = re.compile("`([^`]+)`.`([^`]+)`")


@dataclass(frozen=True)
class AffectedTable:
    """A table that is there and will be changed.

    Parameters
    ----------
    table : TableName
        Its name after.
    rows : int
        How many it has.
    size : int
        Bytes with its indexes, as the server estimates them.
    dependents : int
        How many tables refer to it, directly or by way of others.
    workers : int
        How many jobs of it workers hold.
    rewritten : bool
        Whether the server writes it anew.
    lock : str
        Who has to wait meanwhile: ``all``, ``writes`` or, for a moment only, ``brief``.
    change : str
        How it is changed: ``in an instant``, ``in place`` or, row by row, ``copied``. The statements name what they
        need, and the server would refuse one that takes more.
    """

    table: TableName
    rows: int
    size: int
    dependents: int
    workers: int
    rewritten: bool
    lock: str
    change: str = ""


@dataclass(frozen=True)
class Notice:
    """What a rule warns of; ``docs/migrations.md`` has a paragraph on each id. ``silenced`` says why it is expected."""

    id: str
    text: str
    silenced: str = ""


@dataclass(frozen=True)
class Impact:
    """What one group of migrations does, and what that costs and risks.

    Parameters
    ----------
    group : Group
        The migrations, with their steps; only those that are left where ``done`` were done before an interruption.
    tables : tuple of AffectedTable
        The tables that it changes.
    rules : tuple of Notice
        What the rules warn of.
    locked : tuple of TableName
        On MySQL, the tables that nobody else can use from the first step that disturbs others to the last, by their
        names now.
    kept : tuple of str
        The tables, with their attributes, whose values are written to a file first.
    done : int
        How many steps come before those of the group; they are done.
    interrupted : bool
        Whether the steps are what is left of an interrupted run, of which none may be done.
    taken_back : bool
        Whether the steps are those back from an interrupted run of the group.
    """

    group: Group
    tables: tuple[AffectedTable, ...] = ()
    rules: tuple[Notice, ...] = ()
    locked: tuple[TableName, ...] = ()
    kept: tuple[str, ...] = ()
    done: int = 0
    interrupted: bool = False
    taken_back: bool = False

    @property
    def title(self) -> str:
        """Give the titles of the migrations; of a rollback, which version each schema goes back to."""
        if self.group.inputs.undone:
            return ", ".join(f"{migration.schema} back to {migration.version}" for migration in self.group.migrations)
        if self.taken_back:
            return f"What ran of {', '.join(migration.title for migration in self.group.migrations)} is taken back"
        return ", ".join(migration.title for migration in self.group.migrations)

    @property
    def sql(self) -> str:
        """Give the statements, one after the other."""
        lines, held = [f"-- {self.title}"], tuple[str, ...]()
        for step in self.group.steps:
            locks = step.locks if isinstance(step, LockedStatements) else ()
            if held and not locks:
                lines.append("UNLOCK TABLES;")
            lines.append(f"-- {step.words}")
            if locks and locks != held:
                lines.append(f"LOCK TABLES {', '.join(locks)};")
            lines += [statement.rstrip(";") + ";" for statement in step.statements]
            held = locks
        return "\n".join([*lines, "UNLOCK TABLES;"] if held else lines)

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {
            "migrations": [
                {"schema": r.schema, "version": r.version, "previous": r.follows, "name": r.slug, "words": r.words}
                for r in self.group.migrations
            ],
            "tables": [
                {
                    "table": str(t.table),
                    "rows": t.rows,
                    "bytes": t.size,
                    "dependents": t.dependents,
                    "workers": t.workers,
                    "rewritten": t.rewritten,
                    "lock": t.lock,
                    "change": t.change,
                }
                for t in self.tables
            ],
            "statements": [
                {
                    "kind": s.kind,
                    "words": s.words,
                    "sql": ";\n".join(s.script),
                    "rewrites": s.rewrites,
                    "lock": s.lock,
                    "algorithm": s.algorithm,
                }
                for s in self.group.steps
            ],
            "losses": [
                {
                    "table": str(v.table),
                    "kind": v.kind,
                    "attributes": v.attributes,
                    "count": v.count,
                    "words": v.words,
                }
                for v in self.group.violations
            ],
            "locked": [str(name) for name in self.locked],
            "done": self.done,
            "backup": self.kept,
            "rules": [{"id": r.id, "text": r.text, "silenced": r.silenced} for r in self.rules],
        }


def survey(
    target: Target,
    schemas: Iterable[str] = (),
    to: str | None = None,
    *,
    answer: drafts.Answer | None = None,
    allow_data_loss: bool = False,
) -> list[Impact]:
    """Find what `migrate` would do, in its order; change nothing."""
    deployment = Deployment.read(target)
    wanted = pending.pending_migrations(deployment, schemas, to)
    drift.refuse(deployment, wanted)
    if wanted:
        due.refuse(deployment)
    groups = drafts.groups(deployment, wanted, answer=answer) if wanted else []
    return _impacts(
        deployment,
        groups,
        lambda lossy: drafts.groups(deployment, wanted, answer=answer, lossy=lossy, one=True)[0],
        allow_data_loss=allow_data_loss,
    )


def survey_draft(
    target: Target,
    schemas: Iterable[str],
    answer: drafts.Answer,
    ask: drafts.Ask | None,
    *,
    allow_data_loss: bool = False,
) -> list[Impact]:
    """Find what `migrate --draft` would do; change nothing."""
    deployment = Deployment.read(target)
    code = target.code_tables()
    if drafts.is_done(deployment, code, schemas):
        return []
    draft = drafts.changes(deployment, code, schemas, answer, ask)
    groups = [drafts.group(deployment, draft)] if draft.operations else []
    return _impacts(
        deployment,
        groups,
        lambda lossy: drafts.group(deployment, draft, lossy),
        kind=journal.DRAFT,
        allow_data_loss=allow_data_loss,
    )


def survey_types(target: Target, schemas: Iterable[str]) -> list[Impact]:
    """Find what `adopt --types` would do; change no database."""
    deployment = Deployment.read(target)
    return _impacts(deployment, adoption.survey(deployment, schemas), kind="adopt")


def survey_back(deployment: Deployment, group: Group) -> list[Impact]:
    """Find what a rollback would do; change nothing."""
    return _impacts(deployment, [group], kind="rollback")


def rest(group: Group, done: int) -> Impact:
    """Give what is left of a group of which the first steps are done; its rows were asked before the first."""
    return Impact(replace(group, steps=group.steps[done:], violations=[]), done=done, interrupted=True)


def _impacts(
    deployment: Deployment,
    groups: list[Group],
    cutting: Callable[[Lossy], Group] | None = None,
    *,
    kind: str = "migrate",
    allow_data_loss: bool = False,
) -> list[Impact]:
    """Give what groups do in runs of a kind.

    ``cutting`` plans the first once more, such that values of some attributes may change, and ``allow_data_loss`` says
    that its steps are those.
    """
    contents.refuse_new(deployment, groups)
    if groups and (told := read_only.warning(deployment.connection)):
        deployment.target.warn(told)
    databases = [deployment.databases[s] for group in groups for s in group.schemas if s in deployment.databases]
    for database, owner in owners.of(deployment.connection, databases).items():
        if not owner.settable:
            deployment.target.warn(
                f"This account may not change {database}, which belongs to {owner.role}; it would be refused."
            )
    measured = _Measured(deployment, dict.fromkeys(old for group in groups for _, old in _changed(deployment, group)))
    impacts = []
    for group in groups:
        counting.count(deployment, group)
        if cutting is not None and group is groups[0]:
            cut = _count_cut(deployment, group, cutting)
            if allow_data_loss and cut is not None:
                group.steps = cut.steps
        run_heads.refuse_long(deployment, group, kind)
        tables = tuple(_affected(deployment, group, measured))
        rules, locked = tuple(_rules(deployment, group, tables)), tuple(_locked(deployment, group))
        impacts.append(Impact(group, tables, rules, locked, tuple(_kept(deployment, group))))
    return impacts


def _count_cut(deployment: Deployment, group: Group, cutting: Callable[[Lossy], Group]) -> Group | None:
    """Add what stands in the way of a group whose values are cut, as --allow-data-loss would have them, and give the
    group that cuts them; None where no value is cut.
    """
    lossy = frozenset((v.table, a) for v in group.violations if v.kind in losses.ALLOWED for a in v.attributes)
    if not lossy or any(v.blocks for v in group.violations):
        return None
    cut = cutting(lossy)
    counting.count(deployment, cut)
    group.violations += [v for v in cut.violations if v.blocks and v not in group.violations]
    return cut


def _kept(deployment: Deployment, group: Group) -> Iterator[str]:
    """Give the tables, with their attributes, whose values are written to a file first; a rollback loses none."""
    lossy = frozenset((v.table, a) for v in group.violations if v.kind in losses.ALLOWED for a in v.attributes)
    for loss in [] if group.inputs.undone else losses.of_group(group, lossy):
        if not group.first or losses.happens(deployment, loss):  # what others are still to make cannot be asked
            yield f"{loss.table.name} ({', '.join(loss.attributes)})"


def _locked(deployment: Deployment, group: Group) -> Iterator[TableName]:
    """Give the tables that are there and that a group locks from one statement to the next (MySQL)."""
    schemas = {database: name for name, database in deployment.databases.items()}
    locks = (lock for step in group.steps if isinstance(step, LockedStatements) for lock in step.locks)
    for database, table in dict.fromkeys(place for lock in locks for place in _PLACE.findall(lock)):
        shape = deployment.shapes.get(schemas.get(database, ""))  # the schema may still be to be made
        if shape is not None and table in shape.table:
            yield TableName(schemas[database], table)


def _changed(deployment: Deployment, group: Group) -> Iterator[tuple[TableName, TableName]]:
    """Give the tables that a group changes and that are there: the name of each after, and its name now."""
    old_names: dict[TableName, TableName] = {}
    for origins in group.origins:
        old_names |= {n: old for n, old in origins.tables.items() if n != old and n not in old_names}
    for name in dict.fromkeys(table for step in group.steps for table in step.tables):
        old = old_names.get(name, name)
        if old.schema in deployment.shapes and old.table in deployment.shapes[old.schema].table:
            yield name, old


def _affected(deployment: Deployment, group: Group, measured: _Measured) -> Iterator[AffectedTable]:
    """Give what a group does to each table that it changes."""
    for name, old in _changed(deployment, group):
        steps = [step for step in group.steps if name in step.tables]
        locks = {step.lock for step in steps}
        yield AffectedTable(
            name,
            measured.rows.get(old, 0),
            measured.sizes.get(old, 0),
            len(measured.dependents(old)),
            measured.jobs.get(old, 0),
            any(step.rewrites for step in steps),
            next(lock for lock in ("all", "writes", "brief") if lock in locks),
            _how(steps),
        )


def _how(steps: list[PlannedStep]) -> str:
    """Say how some steps change a table."""
    if any(step.rewrites for step in steps):
        return "copied"
    if any(isinstance(s, Recoding) or s.changes_rows or s.algorithm == "INPLACE" for s in steps):
        return "in place"
    return "in an instant"


def row_sizes(deployment: Deployment, names: Iterable[TableName]) -> dict[TableName, int]:
    """Give the bytes that a row of each table takes on average, as the server estimates them, with its indexes."""
    places = {(deployment.databases[name.schema], name.table): name for name in names}
    found = _estimates(deployment.connection, list(places)) if places else {}
    return {name: found[place][1] // found[place][0] for place, name in places.items() if found.get(place, (0, 0))[0]}


def _estimates(connection: dj.Connection, places: list[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, int]]:
    """Give rows and bytes of each table that is there, as the server estimates them."""
    marks = ", ".join(["(%s, %s)"] * len(places))
    if connection.adapter.backend == "mysql":
        query = (
            "SELECT table_schema, table_name, COALESCE(table_rows, 0), COALESCE(data_length + index_length, 0) "
            f"FROM information_schema.tables WHERE (table_schema, table_name) IN ({marks})"
        )
    else:
        query = (
            "SELECT n.nspname, c.relname, GREATEST(c.reltuples, 0)::bigint, pg_total_relation_size(c.oid) "
            "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            f"WHERE c.relkind IN ('r', 'p') AND (n.nspname, c.relname) IN ({marks})"
        )
    rows = connection.query(query, tuple(part for place in places for part in place)).fetchall()
    return {(database, table): (int(count), int(size)) for database, table, count, size in rows}


class _Measured:
    """What is measured of some tables as they are now: rows, bytes, jobs that workers hold, and what refers to them.

    Takes three queries, however many tables there are. All mappings are keyed by the tables' names now.
    """

    def __init__(self, deployment: Deployment, names: Iterable[TableName]) -> None:
        self._connection = deployment.connection
        places = {(deployment.databases[name.schema], name.table): name for name in names}
        queues = {(database, f"~~{table.lstrip('_')}"): name for (database, table), name in places.items()}
        estimates = _estimates(self._connection, [*places, *queues]) if places else {}
        self.sizes = {name: estimates[place][1] for place, name in places.items() if place in estimates}
        self.rows = {name: estimates[place][0] for place, name in places.items() if place in estimates}
        self.rows |= self._count({place: n for place, n in places.items() if self.rows.get(n, 0) < 1_000_000})
        self.jobs = self._count({place: n for place, n in queues.items() if place in estimates}, "status = 'reserved'")
        self._children: dict[TableName, list[TableName]] = {}
        for shape in deployment.shapes.values():
            for table in shape:
                for key in table.foreign_keys:
                    self._children.setdefault(key.parent, []).append(table.name)

    def dependents(self, name: TableName) -> set[TableName]:
        """Find every table that refers to a table, directly or by way of others."""
        found, waiting = set[TableName](), [name]
        while waiting:
            more = set(self._children.get(waiting.pop(), ())) - found
            found |= more
            waiting += more
        return found

    def _count(self, places: Mapping[tuple[str, str], TableName], condition: str = "TRUE") -> dict[TableName, int]:
        """Count the rows of some tables that fulfil a condition."""
        names, quote = list(places.values()), quoter(self._connection)
        parts = [
            f"SELECT {number}, COUNT(*) FROM {quote(database)}.{quote(table)} WHERE {condition}"
            for number, (database, table) in enumerate(places)
        ]
        rows = self._connection.query(" UNION ALL ".join(parts), args=None).fetchall() if parts else []
        return {names[number]: int(count) for number, count in rows}


def _rules(deployment: Deployment, group: Group, tables: tuple[AffectedTable, ...]) -> Iterable[Notice]:
    """Give what each rule warns of; a file's ``silence`` holds for its own operations."""
    silence: dict[str, str] = {}

    def notice(id_: str, text: str) -> Notice:
        return Notice(id_, text, silence.get(id_, ""))

    now: Tables = group.before
    for migration, operation in group.operations():
        silence = dict(migration.silence)  # what another file of the group does is not for this one to silence
        yield from (notice(id_, text) for id_, text in operation.notices(now))
        now = operation.apply(now)
    silence = {id_: why for migration in group.migrations for id_, why in migration.silence.items()}
    yield from (notice("stays-hidden", text) for text in group.left)
    for schema in group.schemas if group.instead is not None else ():
        record = deployment.records.get(schema)
        if record is not None and record.kind == journal.DRAFT:
            yield notice("draft", f"{schema} is a draft; what only the draft has goes out of sight.")
    for table in tables:
        title = table.table
        if table.rewritten and table.rows >= MANY:
            yield notice("rewrites-table", f"{title} is written anew with its {table.rows:,} rows; that takes a while.")
        if table.lock != "brief" and table.rows >= MANY:
            who = "everybody" if table.lock == "all" else "everybody who writes"
            yield notice("locks-table", f"{title} has {table.rows:,} rows, and {who} has to wait meanwhile.")
        if table.workers:
            yield notice(
                "running-workers", f"Workers hold {plan.counted(table.workers, 'jobs')} of {title}; stop them first."
            )
    databases = (deployment.databases[schema] for schema in group.locked)
    if denied := may_lock.denied(deployment.connection, databases):
        yield notice("may-not-lock", may_lock.warning(denied))
    sent = [event_triggers.Sent(text, step.rewrites) for step in group.steps for text in step.statements]
    if fired := event_triggers.firing(deployment.connection, sent):
        yield notice(
            "event-triggers",
            f"The server runs {', '.join(fired)} with these statements, which may refuse them or do more.",
        )
    for violation in group.violations:
        if violation.loses:
            yield notice("data-loss", f"{violation.table} has {violation.counted}.")
    for name in group.schemas:
        if name not in deployment.target.versions:
            kept = {table for origins in group.origins for table in origins.tables.values()}
            gone = any(table.schema == name and table not in kept for table in group.before)
            rest = "its tables are soft-deleted" if gone else "all of its tables are in other schemas from now on"
            yield notice("schema-gone", f"The code has no schema {name} any more; {rest}.")
