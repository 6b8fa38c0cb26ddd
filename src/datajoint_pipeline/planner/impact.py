"""What applying migrations would cost and risk: rows, bytes, locks, dependents, workers, and rules with ids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import journal
from ..internals.codecs import changes_codec
from ..operations import data
from ..operations import structure as ops
from ..quoting import quoter
from ..schema import definition
from ..schema.model import Table, TableName
from . import adoption, drafts, losses, pending, plan
from .deployment import Deployment
from .plan import Group
from .target import Target

if TYPE_CHECKING:
    pass

#: Rows from which writing a table anew, or locking it, is worth a word.
MANY = 100_000


@dataclass(frozen=True)
class AffectedTable:
    """A table that is there and will be changed; ``size`` in bytes with its indexes, as the server estimates it."""

    table: TableName
    rows: int
    size: int
    dependents: int
    workers: int
    rewritten: bool
    lock: str


@dataclass(frozen=True)
class Notice:
    """A rule that speaks; ``docs/migrations.md`` has a paragraph on each id."""

    id: str
    text: str
    silenced: str = ""


@dataclass(frozen=True)
class Impact:
    """What one group of migrations does."""

    group: Group
    tables: tuple[AffectedTable, ...]
    rules: tuple[Notice, ...]

    @property
    def kept(self) -> list[str]:
        """The tables, and attributes of them, whose values are written to a file before."""
        lossy = {(f.table, a) for f in self.group.violations if f.kind in losses.ALLOWED for a in f.attributes}
        lost = losses.of_group(self.group, frozenset(lossy))
        return [
            f"{loss.table.name.schema}.{definition.title(loss.table.name)} ({', '.join(loss.attributes)})"
            for loss in lost
        ]

    @property
    def title(self) -> str:
        return ", ".join(migration.title for migration in self.group.migrations)

    @property
    def sql(self) -> str:
        """The statements, one after the other."""
        lines = [f"-- {self.title}"]
        for entry in self.group.entries:
            lines += [f"-- {entry.words}", *(statement.rstrip(";") + ";" for statement in entry.script)]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "migrations": [
                {"schema": r.schema, "version": r.version, "previous": r.follows, "name": r.slug, "words": r.words}
                for r in self.group.migrations
            ],
            "tables": [
                {
                    "table": f"{t.table.schema}.{definition.title(t.table)}",
                    "rows": t.rows,
                    "bytes": t.size,
                    "dependents": t.dependents,
                    "workers": t.workers,
                    "rewritten": t.rewritten,
                    "lock": t.lock,
                }
                for t in self.tables
            ],
            "statements": [
                {"words": s.words, "sql": s.sql, "rewrites": s.rewrites, "lock": s.lock, "algorithm": s.algorithm}
                for s in self.group.steps
            ],
            "losses": [
                {
                    "table": f"{f.table.schema}.{definition.title(f.table)}",
                    "kind": f.kind,
                    "attributes": f.attributes,
                    "count": f.count,
                    "words": f.words,
                }
                for f in self.group.violations
            ],
            "backup": self.kept,
            "rules": [{"id": r.id, "text": r.text, "silenced": r.silenced} for r in self.rules],
        }


def survey(
    target: Target,
    schemas: Iterable[str] = (),
    to: str | None = None,
    *,
    answer: drafts.Answer | None = None,
) -> list[Impact]:
    """What `migrate` would do, in its order; changes nothing."""
    deployment = Deployment.read(target)
    wanted = pending.pending_migrations(deployment, schemas, to)
    return _costs(deployment, drafts.groups(deployment, wanted, answer=answer) if wanted else [])


def survey_draft(
    target: Target,
    schemas: Iterable[str],
    answer: drafts.Answer,
    ask: drafts.Ask | None,
) -> list[Impact]:
    """What `migrate --draft` would do; changes nothing."""
    deployment = Deployment.read(target)
    code = target.code_tables()
    operations = drafts.changes(deployment, code, schemas, answer, ask)
    return _costs(deployment, [drafts.group(deployment, operations)] if operations else [])


def survey_types(target: Target, schemas: Iterable[str]) -> list[Impact]:
    """What `adopt --types` would do; changes no database."""
    deployment = Deployment.read(target)
    return _costs(deployment, adoption.survey(deployment, schemas))


def _costs(deployment: Deployment, groups: list[Group]) -> list[Impact]:
    here = _Here(deployment, dict.fromkeys(old for group in groups for _, old in _there(deployment, group)))
    costs = []
    for group in groups:
        plan.count(deployment.connection, group)
        tables = tuple(_touched(deployment, group, here))
        costs.append(Impact(group, tables, tuple(_rules(deployment, group, tables))))
    return costs


def _there(deployment: Deployment, group: Group) -> Iterator[tuple[TableName, TableName]]:
    """The tables that a group changes and that are there, by their names afterwards and now."""
    back: dict[TableName, TableName] = {}
    for origins in group.origins:
        back |= {new: old for new, old in origins.tables.items() if new not in back}
    for name in dict.fromkeys(table for step in group.steps for table in step.tables):
        old = back.get(name, name)
        if old.schema in deployment.shapes and old.table in deployment.shapes[old.schema].table:
            yield name, old


def _touched(deployment: Deployment, group: Group, here: _Here) -> Iterator[AffectedTable]:
    for name, old in _there(deployment, group):
        steps = [step for step in group.steps if name in step.tables]
        locks = {step.lock for step in steps}
        yield AffectedTable(
            name,
            here.rows.get(old, 0),
            here.sizes.get(old, 0),
            len(here.below(old)),
            here.jobs.get(old, 0),
            any(step.rewrites for step in steps),
            next(lock for lock in ("all", "writes", "brief") if lock in locks),
        )


class _Here:
    """Some tables as they are now: rows, bytes, how many jobs workers hold of them, and what refers to them.

    Asks the server three times, however many tables there are.
    """

    def __init__(self, deployment: Deployment, names: Iterable[TableName]) -> None:
        self._connection = deployment.connection
        places = {(deployment.databases[name.schema], name.table): name for name in names}
        queues = {(database, f"~~{table.lstrip('_')}"): name for (database, table), name in places.items()}
        known = self._estimates([*places, *queues]) if places else {}
        self.sizes = {name: known[place][1] for place, name in places.items() if place in known}
        self.rows = {name: known[place][0] for place, name in places.items() if place in known}
        self.rows |= self._count({place: n for place, n in places.items() if self.rows.get(n, 0) < 1_000_000})
        self.jobs = self._count({place: n for place, n in queues.items() if place in known}, "status = 'reserved'")
        self._children: dict[TableName, list[TableName]] = {}
        for shape in deployment.shapes.values():
            for table in shape:
                for key in table.foreign_keys:
                    self._children.setdefault(key.parent, []).append(table.name)

    def below(self, name: TableName) -> set[TableName]:
        """Every table that refers to a table, directly or by way of others."""
        found, waiting = set[TableName](), [name]
        while waiting:
            more = set(self._children.get(waiting.pop(), ())) - found
            found |= more
            waiting += more
        return found

    def _estimates(self, places: list[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, int]]:
        """Rows and bytes, as the server estimates them, of those of the tables that there are."""
        marks = ", ".join(["(%s, %s)"] * len(places))
        if self._connection.adapter.backend == "mysql":
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
        rows = self._connection.query(query, tuple(part for place in places for part in place)).fetchall()
        return {(database, table): (int(count), int(size)) for database, table, count, size in rows}

    def _count(self, places: Mapping[tuple[str, str], TableName], condition: str = "TRUE") -> dict[TableName, int]:
        """Rows of some tables."""
        names, quote = list(places.values()), quoter(self._connection)
        parts = [
            f"SELECT {number}, COUNT(*) FROM {quote(database)}.{quote(table)} WHERE {condition}"
            for number, (database, table) in enumerate(places)
        ]
        rows = self._connection.query(" UNION ALL ".join(parts), args=None).fetchall() if parts else []
        return {names[number]: int(count) for number, count in rows}


def _objects(operation: ops.Operation, tables: ops.Tables) -> Iterator[str]:
    """What DataJoint takes for garbage in a store: whatever no attribute that it sees in that schema refers to."""
    gone = set[str]()
    match operation:
        case ops.RenameTable(table=table, to=to) if to.schema != table.schema:
            for name in sorted(name for name in operation.names(tables) if _stored(tables[name])):
                title = definition.title(name)
                yield f"Objects of {title} stay with {table.schema}: collect garbage of both schemas at once, or never."
            return
        case ops.DropTable(table=table):
            gone = _stored(tables[table])
        case ops.DropAttribute(table=table, attribute=name):
            gone = _stored(tables[table]) & {name}
        case ops.AlterAttribute(table=table, before=was, after=will) if changes_codec(was.type, will.type):
            gone = _stored(tables[table]) & {was.name}
    for attribute in sorted(gone):
        own = f"{definition.title(operation.table)}.{attribute}"
        yield f"Objects of {own} are garbage to DataJoint: collect none before purge, for rollback needs them."


def _stored(table: Table) -> set[str]:
    """The attributes whose values are in an object store."""
    return {attribute.name for attribute in table.attributes if re.match(r"<\w+@", attribute.type)}


def _rules(deployment: Deployment, group: Group, tables: tuple[AffectedTable, ...]) -> Iterable[Notice]:
    silence: dict[str, str] = {}

    def warned(id_: str, text: str) -> Notice:
        return Notice(id_, text, silence.get(id_, ""))

    now: ops.Tables = group.before
    for migration, operation in group.operations():
        silence = dict(migration.silence)  # what another file of the group does is not for this one to silence
        yield from (warned("objects", text) for text in _objects(operation, now))
        now = operation.apply(now)
        name = definition.title(operation.table) if operation.table.table else ""
        match operation:
            case ops.DropTable():
                yield warned("drop-table", f"{name} goes out of sight; purge would delete its rows.")
            case ops.DropAttribute(attribute=attribute):
                yield warned("drop-attribute", f"{name}.{attribute} goes out of sight; purge would delete it.")
            case ops.RenameTable() | ops.RenameAttribute():
                yield warned("rename", f"Code that still says the old name of something in {name} will fail.")
            case ops.ChangePrimaryKey():
                yield warned("primary-key", f"The primary key of {name} changes, and with it every table below.")
            case data.RunSQL() | data.RunPython():
                yield warned("no-way-back", f"{operation.words}: rollback cannot undo it by itself.")
    silence = {id_: why for migration in group.migrations for id_, why in migration.silence.items()}
    for schema in group.schemas if group.instead is not None else ():
        record = deployment.records.get(schema)
        if record is not None and record.kind == journal.DRAFT:
            yield warned("draft", f"{schema} is a draft; what only the draft has goes out of sight.")
    for table in tables:
        title = definition.title(table.table)
        if table.rewritten and table.rows >= MANY:
            yield warned("rewrites-table", f"{title} is written anew with its {table.rows:,} rows; that takes a while.")
        if table.lock != "brief" and table.rows >= MANY:
            who = "everybody" if table.lock == "all" else "whoever writes"
            yield warned("locks-table", f"{title} has {table.rows:,} rows, and {who} has to wait meanwhile.")
        if table.workers:
            yield warned("running-workers", f"Workers hold {table.workers} jobs of {title}; stop them first.")
    for finding in group.violations:
        if finding.loses:
            yield warned("data-loss", f"{finding.table} has {finding.count} {finding.words}.")
    for name in group.schemas:
        if name not in deployment.target.versions:
            yield warned("schema-gone", f"The code has no schema {name} any more; its tables are put aside.")
