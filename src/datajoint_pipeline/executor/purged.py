"""Keep a rollback from making anew what `purge` deleted, where a backup has it: `restore` has to come first."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.version import Version

from .. import journal
from ..ddl.build import SOFT_DELETED_TABLE, is_table
from ..errors import PipelineError
from ..planner import coming_back
from ..planner.deployment import Deployment
from ..planner.plan import Group, counted
from ..schema.model import TableName, decode
from . import archive
from .archive import Archive, Part


def refuse(deployment: Deployment, group: Group, again: str) -> None:
    """Refuse a rollback after which a backup could not be put back any more; ``again`` is the command as it was given.

    Raises
    ------
    PipelineError
        If a file has rows or values of what it would make anew.
    """
    if not group.anew:
        return
    databases = {name: deployment.databases[name] for name in deployment.records}
    purges = [record for record in journal.history(deployment.connection, databases) if record.kind == "purge"]
    for path in sorted(deployment.target.backups.glob("*.zip"), reverse=True) if purges else ():
        try:
            with archive.reading(path) as file:
                found = list(_had(deployment, group, file, purges))
        except PipelineError:
            continue  # which is no backup, or damaged
        if found:
            (name, attribute), part = found[0]
            title = f"{name}{f'.{attribute}' if attribute else ''}"
            more = f" It is one of {len(found)} that the file has." if len(found) > 1 else ""
            raise PipelineError(
                f"{title} was deleted by purge and would be made anew, without its earlier contents.",
                f"backups/{path.name} has {counted(part.rows, 'rows')} of it. Once it is made anew, they cannot be "
                f"put back.{more} Nothing was changed.",
                f"First run restore {path.name}, then run {again}. If nobody needs what it held, move the file to "
                "another folder.",
            )


def _had(
    deployment: Deployment, group: Group, file: Archive, purges: list[journal.Record]
) -> Iterator[tuple[tuple[TableName, str], Part]]:
    """Give what a rollback makes anew and a file has; ``purges`` are those that the databases have had."""
    manifest, target = file.manifest, deployment.target
    same = manifest.package == target.name and manifest.environment == target.environment
    if not same or manifest.backend != deployment.connection.adapter.backend or manifest.kind != "purge":
        return
    if not any(purge.schema == manifest.schema and purge.id > manifest.run for purge in purges):
        return  # the database was made anew since
    for name, attribute in sorted(group.anew, key=str):
        for part in manifest.parts:
            if part.schema == name.schema and _is_of(part, name, attribute, group):
                yield (name, attribute), part


def _is_of(part: Part, name: TableName, attribute: str, group: Group) -> bool:
    """Tell whether a part of a file is what a table, or an attribute of it, was."""
    wanted = group.after[name]
    if not attribute:
        columns = [column.name for column in part.columns]
        of_table = part.whole and coming_back.is_of(part.table, name.table, SOFT_DELETED_TABLE)
        return of_table and is_table(columns, wanted)
    if part.whole or part.table != name.table:
        return False
    (was,) = decode(part.model)
    return any(
        coming_back.is_of(column.name, attribute)
        and column.name in was.attribute
        and coming_back.fits(was.attribute[column.name], wanted.attribute[attribute])
        for column in part.lost
    )


def refuse_made_anew(deployment: Deployment, file: Archive, part: Part, missing: list[str]) -> None:
    """Refuse to put back what a rollback has made anew since: soft-deleted beside that, no rollback would find it.

    Parameters
    ----------
    deployment : Deployment
        Where.
    file : Archive
        The file of a `purge`.
    part : Part
        A part of it.
    missing : list of str
        The columns of it that are not there.

    Raises
    ------
    PipelineError
        If there is anything of that.
    """
    version = file.manifest.schemas.get(part.schema, {}).get("version", "")
    had = deployment.applied.get(part.schema)
    if not missing or not version or had is None or Version(had.version) >= Version(version):
        return
    tables = [name for name in deployment.tables if name.schema == part.schema]
    if part.whole:
        found = [str(n) for n in tables if coming_back.is_of(part.table, n.table, SOFT_DELETED_TABLE)]
    else:
        name = TableName(part.schema, part.table)
        there = deployment.tables[name].attribute if name in tables else {}
        found = [f"{name}.{a}" for a in there for column in missing if coming_back.is_of(column, a)]
    if found:
        raise PipelineError(
            f"{found[0]} was made anew by a rollback after purge had deleted it.",
            "What is put back now would stay soft-deleted beside it, and no rollback would bring it back. Nothing was "
            "changed.",
            f"First run migrate {part.schema} --to {version}, then run restore --overwrite {file.path.name}, then run "
            f"rollback {part.schema} --to {had.version}.",
        )
