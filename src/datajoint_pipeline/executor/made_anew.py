"""Find where the values of a purge belong by now: `migrate` may have made anew what a rollback took back before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from .. import journal
from ..ddl.build import SOFT_DELETED_ATTRIBUTE, SOFT_DELETED_TABLE, is_table
from ..errors import PipelineError
from ..history import chain
from ..history.migration_files import Migration
from ..journal import steplog
from ..operations import structure as ops
from ..planner import coming_back
from ..planner.applied import UNDONE
from ..planner.deployment import Deployment
from ..schema.model import TableName, decode
from .archive import Archive, ArchivedColumn, Part


@dataclass
class _Thing:
    """A table, or an attribute of one, that was made anew.

    Parameters
    ----------
    table : TableName
        The table as it is called now.
    attribute : str
        The attribute as it is called now; empty for the table itself.
    migration : Migration
        What makes it.
    called : set of str
        What it was called at any time since.
    """

    table: TableName
    attribute: str
    migration: Migration
    called: set[str] = field(default_factory=set)


def parts(deployment: Deployment, file: Archive) -> list[Part]:
    """Give the parts of a file by the names of what their values belong in.

    What `purge` deleted was soft-deleted. Where a rollback had done that, and `migrate` has come back since, the code
    shows the attribute or table again, without what it held.

    Raises
    ------
    PipelineError
        If that is not what it was then, so that the values have no place in it.
    """
    found = file.manifest.parts
    made = _made(deployment, file) if file.manifest.kind == "purge" else []
    return [_now(deployment, file, part, made) for part in found] if made else list(found)


def _now(deployment: Deployment, file: Archive, part: Part, made: list[_Thing]) -> Part:
    tables, place = deployment.catalogue.tables, (deployment.databases.get(part.schema, part.schema), part.table)
    (was,) = decode(part.model)
    if part.whole:
        if place in tables:
            return part  # soft-deleted again
        thing = _one_of(made, part.schema, part.table, SOFT_DELETED_TABLE)
        if thing is None:
            return part
        if not is_table([column.name for column in part.columns], deployment.tables[thing.table]):
            raise _changed(file, thing)
        return replace(part, table=thing.table.table)
    if place not in tables:
        return part
    there = {column.name for column in tables[place].columns}
    of_table = [thing for thing in made if thing.attribute and thing.table == TableName(part.schema, part.table)]

    def now(column: ArchivedColumn) -> ArchivedColumn:
        thing = None
        if column.lost and column.name not in there and column.name in was.attribute:
            thing = _one_of(of_table, part.schema, column.name, SOFT_DELETED_ATTRIBUTE)
        if thing is None:
            return column
        wanted = deployment.tables[thing.table].attribute[thing.attribute]
        if not coming_back.fits(was.attribute[column.name], wanted):
            raise _changed(file, thing)
        return replace(column, name=thing.attribute)

    return replace(part, columns=[now(column) for column in part.columns])


def _one_of(made: list[_Thing], schema: str, hidden: str, before: str) -> _Thing | None:
    """Find what something soft-deleted was."""
    table = before == SOFT_DELETED_TABLE
    for thing in made:
        fitting = thing.table.schema == schema and (not thing.attribute) == table
        if fitting and any(coming_back.is_of(hidden, name, before) for name in thing.called):
            return thing
    return None


def _changed(file: Archive, thing: _Thing) -> PipelineError:
    migration = thing.migration
    title = f"{thing.table}{f'.{thing.attribute}' if thing.attribute else ''}"
    return PipelineError(
        f"{title} was made anew by migrate after purge had deleted it, and is a different one now.",
        "What is put back would stay soft-deleted beside it, and nothing would bring it back. Nothing was changed.",
        f"First run rollback {migration.schema} --to {migration.version}, then run restore --overwrite "
        f"{file.path.name}, then run migrate.",
    )


def _made(deployment: Deployment, file: Archive) -> list[_Thing]:
    """Find what `migrate` has made since that a rollback had taken back before the file was written."""
    again, found = list(_again(deployment, file)), list[_Thing]()
    if not again:
        return []
    for migration, before, _ in chain.replay(deployment.histories, list(deployment.histories)):
        had = deployment.applied.get(migration.schema)
        after, origins = ops.trace(before, migration.operations(before))
        tables = {was: name for name, was in origins.tables.items()}
        for thing in found if had is not None else ():
            _follow(thing, tables, origins.attributes, stays=had is not None and had.includes(migration))
        if migration in again:
            new = [(name, "") for name in after if name not in origins.tables]
            for name, sources in origins.attributes.items():
                if name in origins.tables:
                    new += [(name, attribute) for attribute in after[name].attribute if attribute not in sources]
            found += [_Thing(name, a, migration, {a or name.table}) for name, a in new]
    return [thing for thing in found if _is_there(deployment, thing)]


def _follow(
    thing: _Thing, tables: dict[TableName, TableName], attributes: dict[TableName, dict[str, str]], *, stays: bool
) -> None:
    """Follow what was made through a migration; ``stays`` is whether the database has had that."""
    name = tables.get(thing.table, thing.table)
    names = {was: attribute for attribute, was in attributes.get(name, {}).items()}
    attribute = names.get(thing.attribute, thing.attribute) if thing.attribute else ""
    thing.called.add(attribute or name.table)
    if stays:
        thing.table, thing.attribute = name, attribute


def _is_there(deployment: Deployment, thing: _Thing) -> bool:
    table = deployment.tables.get(thing.table)
    return table is not None and (not thing.attribute or thing.attribute in table.attribute)


def _again(deployment: Deployment, file: Archive) -> Iterator[Migration]:
    """Give the migrations that were taken back before the file was written, and applied again after it."""
    databases = {name: deployment.databases[name] for name in deployment.records}
    moment = datetime.fromisoformat(file.manifest.moment.removesuffix("Z"))
    heads = steplog.heads(deployment.connection, databases)
    undone, since = set[tuple[str, str]](), set[tuple[str, str]]()
    for record in journal.history(deployment.connection, databases):
        head = heads.get((record.schema, record.id), {})
        if record.status != journal.DONE:
            continue
        if record.kind == "rollback" and record.started_at < moment and isinstance(head.get(UNDONE), list):
            undone |= {(record.schema, str(digest)) for digest in head[UNDONE]}
        if record.kind == "migrate" and record.started_at > moment:
            since.add((record.schema, str(head.get("digest"))))
    for name, had in deployment.applied.items():
        for migration in deployment.histories[name].migrations:
            digests = {(name, digest) for digest in (migration.digest, *migration.digests_v1)}
            if had.includes(migration) and digests & undone and digests & since:
                yield migration
