"""A pipeline as a database has it beside what is on disk of it, and which migrations it has not had."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from packaging.version import Version

from .. import migration, project
from ..environment import Environment
from ..errors import ExitCode, PipelineError
from ..files import chain, revisions
from ..files.revisions import History, Revision
from ..reading import catalog, constraints
from ..record import journal, steplog
from ..sql.lowering import Lowering
from ..tables.model import Schema, Table, TableName

if TYPE_CHECKING:
    import datajoint as dj

Tables = dict[TableName, Table]


@dataclass
class Pipeline:
    """A pipeline as a database has it, and what is on disk of it."""

    connection: dj.Connection
    environment: Environment
    databases: dict[str, str]
    histories: dict[str, History]
    records: dict[str, journal.Record]
    found: dict[str, journal.Survey]
    shapes: dict[str, Schema]
    catalogue: catalog.Catalogue

    @property
    def tables(self) -> Tables:
        """Every table that is there."""
        return {table.name: table for schema in self.shapes.values() for table in schema}

    def full(self, name: TableName) -> str:
        """A table as statements name it."""
        return ".".join(map(self.connection.adapter.quote_identifier, (self.databases[name.schema], name.table)))

    def lowering(self, names: constraints.Names, before: Tables, after: Tables) -> Lowering:
        """What turns operations into statements of this server."""
        if self.connection.adapter.backend == "mysql":
            from ..sql.mysql import MySQL

            return MySQL(self.databases, before, after, names)
        from ..sql.postgresql import PostgreSQL

        version = (self.connection._conn.server_version // 10_000,)
        return PostgreSQL(self.databases, before, after, names, version)


def read(connection: dj.Connection, environment: Environment) -> Pipeline:
    """Read the files, the journals and the catalogue."""
    own = project.current()
    histories = revisions.read(own)
    databases = {name: environment.database(name) for name in histories}
    found = journal.survey(connection, databases.values())
    with_journal = {n: d for n, d in databases.items() if d in found and found[d].journal}
    records = journal.latest(connection, with_journal)
    catalogue = catalog.find(connection, databases)
    shapes = catalog.shapes(connection, databases, catalogue)
    return Pipeline(connection, environment, databases, histories, records, found, shapes, catalogue)


# --- Which migrations ----------------------------------------------------------------------------------------------


def due(pipeline: Pipeline, chosen: Iterable[str] = (), to: str | None = None) -> list[Revision]:
    """The migrations that the database still needs, in the order in which they can be applied.

    Parameters
    ----------
    pipeline : Pipeline
        Where.
    chosen : iterable of str
        Schemas; all where there is none. What they require comes along.
    to : str, optional
        The version to stop at, for one schema.

    Raises
    ------
    PipelineError
        If the files are not in order, or the database is not one that they lead on from.
    """
    own = project.current()
    _refuse_problems(pipeline)
    waits = waiting(pipeline)
    for name in _receiving(waits):
        # Tables that move here are still elsewhere, so this schema is made as it was before they came.
        history = pipeline.histories[name]
        made = replace(_making(pipeline, name, history.oldest), requires={})  # what it refers to may wait for it
        waits[name] = [made, *history.revisions]
    have = {name: pipeline.records[name].version if name in pipeline.records else None for name in waits}
    names = list(chosen) or list(waits)
    unknown = [name for name in names if name not in waits]
    if unknown:
        raise PipelineError(
            f"There is no schema {unknown[0]}.",
            f"The project has {', '.join(own.versions)}.",
            "Correct the name.",
            exit_code=ExitCode.USAGE,
        )
    if to is None:
        wanted = [revision for name in names for revision in waits[name]]
    else:
        wanted = _up_to(pipeline, names, to, waits, have)
    if len(names) < len(waits):
        _with_required(wanted, waits, have)
    return chain.in_order(wanted, have, list(waits))


def _up_to(
    pipeline: Pipeline,
    names: list[str],
    to: str,
    waiting: Mapping[str, list[Revision]],
    have: Mapping[str, str | None],
) -> list[Revision]:
    if len(names) != 1:
        raise PipelineError("--to needs one schema.", "Each has versions of its own.", f"Say migrate SCHEMA --to {to}.")
    history, now = pipeline.histories[names[0]], have[names[0]]
    known = [s.version for s in (history.oldest,) if s is not None] + [r.version for r in history.revisions]
    if Version(to) not in map(Version, known):
        raise PipelineError(f"{names[0]} has no version {to}.", f"It has {', '.join(known)}.", "Correct --to.")
    if now is not None and Version(to) < Version(now):
        command = f"rollback {names[0]} --to {to}"
        raise PipelineError(f"The database has {names[0]} {now} already.", f"{to} is before that.", f"Say {command}.")
    return [revision for revision in waiting[names[0]] if Version(revision.version) <= Version(to)]


def _with_required(
    wanted: list[Revision], waiting: Mapping[str, list[Revision]], have: Mapping[str, str | None]
) -> None:
    """Add what the wanted migrations require."""
    for revision in wanted:  # grows while it is walked
        for schema, version in revision.requires.items():
            now = have.get(schema)
            if now is None or Version(now) < Version(version):
                more = [r for r in waiting.get(schema, ()) if Version(r.version) <= Version(version) or r.makes]
                wanted += [r for r in more if r not in wanted]


def _refuse_problems(pipeline: Pipeline) -> None:
    own = project.current()
    for name, history in pipeline.histories.items():
        for id_, sentence, do in chain.problems(history, own.versions.get(name)):
            if id_ != "open-question":
                code = ExitCode.CONFLICT if id_ == "duplicate-version" else ExitCode.ERROR
                raise PipelineError(sentence, "Nothing was changed.", do, exit_code=code)


Applied = list[tuple[str, str, str]]


def waiting(pipeline: Pipeline, schemas: Iterable[str] | None = None) -> dict[str, list[Revision]]:
    """The migrations that the database has not had, by schema."""
    names = list(pipeline.histories) if schemas is None else list(schemas)
    applied = _applied(pipeline, [name for name in names if name in pipeline.records])
    return {name: _waiting(pipeline, name, *applied.get(name, ("0", []))) for name in names}


def _waiting(pipeline: Pipeline, name: str, base: str, applied: Applied) -> list[Revision]:
    own, history = project.current(), pipeline.histories[name]
    record, database = pipeline.records.get(name), pipeline.databases[name]
    command = f"{own.command} --env {pipeline.environment.name}"
    if record is None:
        if name not in own.versions:
            return []
        if database in pipeline.found and pipeline.found[database].closed:
            raise PipelineError(
                f"This account may not read which version {database} has.",
                "The record is in a table of that schema that it has no rights on.",
                "Ask for the rights that docs/access.md lists.",
            )
        if database in pipeline.found and pipeline.found[database].tables:
            raise PipelineError(
                f"{database} holds tables and no record of a version.",
                "They were made by somebody else, or before this project recorded versions.",
                f"Run {command} adopt to record which version they are.",
                exit_code=ExitCode.PENDING,
            )
        if database not in pipeline.found:
            versions = {other: record.version for other, record in pipeline.records.items()}
            chain.refuse_orphans(pipeline.histories, name, database, versions)
        return [_making(pipeline, name, history.latest)]
    if record.status != journal.DONE:
        raise PipelineError(
            f"{database} is in the middle of a change that {record.kind} began.",
            f"It was to become {record.version}.",
            f"Run {command} {'migrate' if record.kind == journal.DRAFT else record.kind} again.",
            exit_code=ExitCode.INTERRUPTED,
        )
    newest = history.latest.version if history.latest else record.version
    if Version(record.version) > Version(newest):
        raise PipelineError(
            f"{database} has version {record.version}, the code only {newest}.",
            "The database was changed by newer code than this.",
            "Pull the newer code.",
            exit_code=ExitCode.CONFLICT,
        )
    _refuse_other_history(history, record.version, base, applied)
    digests = {digest for _, _, digest in applied}
    left = [r for r in history.revisions if Version(r.version) > Version(base) and r.digest not in digests]
    return [as_drafted(name, record.version), *left] if record.kind == journal.DRAFT else left


def as_drafted(schema: str, version: str) -> Revision:
    """What leads from a version to a draft after it, and from the draft back to the version."""
    return Revision(schema, version, version, journal.DRAFT)


def _making(pipeline: Pipeline, name: str, snapshot: revisions.Snapshot | None) -> Revision:
    """The making of a schema that is not there, as a snapshot has it."""
    assert snapshot is not None
    parents = {key.parent.schema for table in snapshot.shape for key in table.foreign_keys} - {name}
    requires = {parent: above.version for parent in sorted(parents) if (above := newest(pipeline, parent)) is not None}
    return Revision(name, snapshot.version, None, "init", requires=requires, makes=snapshot.shape, digest="")


def _receiving(waits: Mapping[str, list[Revision]]) -> list[str]:
    """The schemas that are not there and that tables of others move to."""
    moved = {
        line.to.partition(".")[0]
        for waiting in waits.values()
        for revision in waiting
        for line in revision.lines
        if isinstance(line, migration.RenameTable)
    }
    return [name for name in waits if name in moved and waits[name] and waits[name][0].makes is not None]


def newest(pipeline: Pipeline, schema: str) -> revisions.Snapshot | None:
    """The newest snapshot of a schema."""
    history = pipeline.histories.get(schema)
    return history.latest if history is not None else None


def _applied(pipeline: Pipeline, schemas: Iterable[str]) -> dict[str, tuple[str, Applied]]:
    """By schema, the version that its record begins with, and version, name and digest of every migration since."""
    databases = {name: pipeline.databases[name] for name in schemas}
    heads = steplog.heads(pipeline.connection, databases)
    found: dict[str, tuple[str, Applied]] = {}
    for record in journal.history(pipeline.connection, databases):
        base, applied = found.get(record.schema, ("0", []))
        head = heads.get((record.schema, record.id), {})
        match record.kind:
            case _ if record.status == journal.WITHDRAWN:
                pass
            case "migrate" if head.get("digest"):
                applied.append((record.version, head["slug"], head["digest"]))
            case "rollback":
                applied = [known for known in applied if Version(known[0]) <= Version(record.version)]
                base = min(base, record.version, key=Version)
            case "draft" | "migrate" if head.get("slug") == journal.DRAFT:
                pass  # the version stays what it was
            case _:
                base, applied = record.version, []
        found[record.schema] = base, applied
    return found


def _refuse_other_history(history: History, recorded: str, base: str, applied: Applied) -> None:
    """A database that was changed by migrations that are not these."""
    known = {revision.digest for revision in history.revisions}
    for version, slug, digest in applied:
        if digest in known:
            continue
        same = next((r for r in history.revisions if (r.version, r.slug) == (version, slug)), None)
        if same is not None:
            raise PipelineError(
                f"{same.path.name if same.path else same.title} was edited after it was applied.",
                f"{history.schema} {version} in the database came from other operations than the file has now.",
                "Take the file back from version control, and write a new migration for what is still to change.",
                exit_code=ExitCode.CONFLICT,
            )
        raise PipelineError(
            f"The database has had {version}_{slug} of {history.schema}, which this code does not have.",
            "It comes from another branch, or the file was deleted.",
            "Merge that branch, or bring the file back.",
            exit_code=ExitCode.CONFLICT,
        )
