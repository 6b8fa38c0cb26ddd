"""What applying migrations would cost and risk: rows, bytes, locks, dependents, workers, and rules with ids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import data_operations as data
from . import definition, drafting, due, journal, project, revising, scheme
from . import operations as ops
from .due import Pipeline
from .environment import Environment
from .model import TableName
from .scheme import Group

if TYPE_CHECKING:
    import datajoint as dj

#: Rows from which writing a table anew, or locking it, is worth a word.
MANY = 100_000


@dataclass(frozen=True)
class Touched:
    """A table that is there and will be changed; ``size`` in bytes with its indexes, as the server estimates it."""

    table: TableName
    rows: int
    size: int
    dependents: int
    workers: int
    rewritten: bool
    lock: str


@dataclass(frozen=True)
class Warned:
    """A rule that speaks; ``docs/migrations.md`` has a paragraph on each id."""

    id: str
    text: str
    silenced: str = ""


@dataclass(frozen=True)
class Cost:
    """What one group of migrations does."""

    group: Group
    tables: tuple[Touched, ...]
    rules: tuple[Warned, ...]

    @property
    def title(self) -> str:
        return ", ".join(revision.title for revision in self.group.revisions)

    @property
    def sql(self) -> str:
        """The statements, one after the other."""
        lines = [f"-- {self.title}"]
        for entry in self.group.entries:
            lines += [f"-- {entry.words}", entry.text.rstrip(";") + ";"]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "migrations": [
                {"schema": r.schema, "version": r.version, "previous": r.follows, "name": r.slug, "words": r.words}
                for r in self.group.revisions
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
                for f in self.group.findings
            ],
            "rules": [{"id": r.id, "text": r.text, "silenced": r.silenced} for r in self.rules],
        }


def survey(
    connection: dj.Connection,
    environment: Environment,
    schemas: Iterable[str] = (),
    to: str | None = None,
    *,
    said: drafting.Said | None = None,
) -> list[Cost]:
    """What `migrate` would do, in its order; changes nothing."""
    pipeline = due.read(connection, environment)
    wanted = due.due(pipeline, schemas, to)
    return [_cost(pipeline, group) for group in (drafting.groups(pipeline, wanted, said=said) if wanted else [])]


def survey_draft(
    connection: dj.Connection,
    environment: Environment,
    schemas: Iterable[str],
    said: drafting.Said,
    ask: drafting.Ask | None,
) -> list[Cost]:
    """What `migrate --draft` would do; changes nothing."""
    drafting.refuse_prod(environment)
    pipeline = due.read(connection, environment)
    code = revising.code_tables(project.current())
    operations = drafting.changes(pipeline, code, schemas, said, ask)
    return [_cost(pipeline, drafting.group(pipeline, operations))] if operations else []


def _cost(pipeline: Pipeline, group: Group) -> Cost:
    scheme.count(pipeline.connection, group)
    tables = tuple(_touched(pipeline, group))
    return Cost(group, tables, tuple(_rules(pipeline, group, tables)))


def _touched(pipeline: Pipeline, group: Group) -> Iterable[Touched]:
    connection, quote = pipeline.connection, pipeline.connection.adapter.quote_identifier
    back: dict[TableName, TableName] = {}
    for origins in group.origins:
        back |= {new: old for new, old in origins.tables.items() if new not in back}
    sizes, jobs = _sizes(pipeline), _reserved(pipeline)
    for name in dict.fromkeys(table for step in group.steps for table in step.tables):
        old = back.get(name, name)
        if old not in pipeline.tables:
            continue
        place = (pipeline.databases[old.schema], old.table)
        estimate, size = sizes.get(place, (0, 0))
        if estimate < 1_000_000:
            sql = f"SELECT COUNT(*) FROM {quote(place[0])}.{quote(place[1])}"
            estimate = int(connection.query(sql, args=None).fetchone()[0])
        steps = [step for step in group.steps if name in step.tables]
        locks = {step.lock for step in steps}
        yield Touched(
            name,
            estimate,
            size,
            len(_below(pipeline, old)),
            jobs.get(place, 0),
            any(step.rewrites for step in steps),
            next(lock for lock in ("all", "writes", "brief") if lock in locks),
        )


def _below(pipeline: Pipeline, name: TableName) -> set[TableName]:
    """Every table that refers to a table, directly or by way of others."""
    found, waiting = set[TableName](), [name]
    while waiting:
        parent = waiting.pop()
        for table in pipeline.tables.values():
            if table.name not in found and any(key.parent == parent for key in table.foreign_keys):
                found.add(table.name)
                waiting.append(table.name)
    return found


def _sizes(pipeline: Pipeline) -> dict[tuple[str, str], tuple[int, int]]:
    """Rows and bytes of every table, as the server estimates them, with one query."""
    names = tuple(pipeline.databases.values())
    marks = ", ".join(["%s"] * len(names))
    if pipeline.connection.adapter.backend == "mysql":
        query = (
            "SELECT table_schema, table_name, COALESCE(table_rows, 0), COALESCE(data_length + index_length, 0) "
            f"FROM information_schema.tables WHERE table_schema IN ({marks})"
        )
    else:
        query = (
            "SELECT n.nspname, c.relname, GREATEST(c.reltuples, 0)::bigint, pg_total_relation_size(c.oid) "
            "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            f"WHERE c.relkind IN ('r', 'p') AND n.nspname IN ({marks})"
        )
    rows = pipeline.connection.query(query, names).fetchall()
    return {(database, table): (int(count), int(size)) for database, table, count, size in rows}


def _reserved(pipeline: Pipeline) -> dict[tuple[str, str], int]:
    """How many jobs workers hold of each table."""
    quote, held = pipeline.connection.adapter.quote_identifier, {}
    for database, table in _sizes(pipeline):
        if table.startswith("~~"):
            sql = f"SELECT COUNT(*) FROM {quote(database)}.{quote(table)} WHERE status = 'reserved'"
            if count := int(pipeline.connection.query(sql, args=None).fetchone()[0]):
                held[database, table[2:]] = count
    names = {(pipeline.databases[n.schema], n.table.lstrip("_")): n for n in pipeline.tables}
    return {
        (pipeline.databases[names[place].schema], names[place].table): count
        for place, count in held.items()
        if place in names
    }


def _rules(pipeline: Pipeline, group: Group, tables: tuple[Touched, ...]) -> Iterable[Warned]:
    silence: dict[str, str] = {}

    def warned(id_: str, text: str) -> Warned:
        return Warned(id_, text, silence.get(id_, ""))

    for schema in group.schemas if group.instead is not None else ():
        record = pipeline.records.get(schema)
        if record is not None and record.kind == journal.DRAFT:
            yield warned("draft", f"{schema} is a draft; what only the draft has goes out of sight.")
    for revision, operation in group.operations():
        silence = dict(revision.silence)  # what another file of the group does is not for this one to silence
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
    silence = {id_: why for revision in group.revisions for id_, why in revision.silence.items()}
    for table in tables:
        title = definition.title(table.table)
        if table.rewritten and table.rows >= MANY:
            yield warned("rewrites-table", f"{title} is written anew with its {table.rows:,} rows; that takes a while.")
        if table.lock != "brief" and table.rows >= MANY:
            who = "everybody" if table.lock == "all" else "whoever writes"
            yield warned("locks-table", f"{title} has {table.rows:,} rows, and {who} has to wait meanwhile.")
        if table.workers:
            yield warned("running-workers", f"Workers hold {table.workers} jobs of {title}; stop them first.")
    for finding in group.findings:
        if finding.loses:
            yield warned("data-loss", f"{finding.table} has {finding.count} {finding.words}.")
    own = project.current()
    for name in group.schemas:
        if name not in own.versions:
            yield warned("schema-gone", f"The code has no schema {name} any more; its tables are put aside.")
