"""Find the values that a rollback may set aside, since a backup has them as they were before they were cut or replaced.

Without that, `rollback` could not give such values their old type again, or would leave kilohertz under a definition in
hertz, to be computed once more by the next `migrate`. Once they are set aside, those of before are given back. Where
that cannot be, it is said which backup has them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from packaging.version import Version

from .. import journal
from ..errors import PipelineError
from ..operations.state import Tables
from ..planner import due, stand_ins
from ..planner.deployment import Deployment
from ..planner.losses import Loss
from ..planner.plan import Group, counted
from ..planner.target import Target
from ..quoting import quoter
from ..schema import compatibility
from ..schema.model import Index, TableName, decode
from . import archive, backup, restore, stepping
from .archive import Archive, ArchivedColumn, Manifest, Part, Value


@dataclass(frozen=True)
class Backed:
    """What a file has of the values that a rollback sets aside.

    Parameters
    ----------
    path : Path
        The file.
    table, attribute : TableName and str
        What they are called after the rollback.
    newer : int
        How many values the file does not have, since somebody wrote them after the cut. Where an expression replaced
        them, those of rows that the file does not have: of the others nobody can tell.
    cut : bool
        Whether they were cut, and not replaced.
    """

    path: Path
    table: TableName
    attribute: str
    newer: int
    cut: bool


#: What a rollback may set aside, by a table and an attribute as they are called before it.
Kept = dict[tuple[TableName, str], Backed]


@dataclass
class Search:
    """The backups that may have what a rollback is to give back, each verified once, as soon as they are asked for.

    Parameters
    ----------
    deployment : Deployment
        Where.
    group : Group
        The rollback.
    stack : ExitStack
        Closes the files.
    unread : list of PipelineError
        What is wrong with the files in the folder that cannot be read.
    """

    deployment: Deployment
    group: Group
    stack: ExitStack
    unread: list[PipelineError] = field(default_factory=list)

    @cached_property
    def files(self) -> list[Archive]:
        """Those that match the rollback, the newest first."""
        found = list[Archive]()
        for path in _newest_first(self.deployment):
            with ExitStack() as one:
                try:
                    file = one.enter_context(archive.reading(path))
                except PipelineError as error:
                    self.unread.append(error)
                    continue
                if any(_matching(self.deployment, self.group, file)):
                    found.append(file)
                    self.stack.enter_context(one.pop_all())
        return found


@contextmanager
def searching(deployment: Deployment, group: Group) -> Iterator[Search]:
    """Search the backups for what a rollback is to give back; the files are closed at the end."""
    with ExitStack() as stack:
        yield Search(deployment, group, stack)


def refuse_unread(search: Search, found: Kept, lost: list[str]) -> None:
    """Raise where a file cannot be read, and may be the one that has what no other has.

    Parameters
    ----------
    search : Search
        After :func:`kept` and :func:`staying`.
    found : mapping
        What the rollback sets aside.
    lost : list of str
        The computed attributes that no file has values of.

    Raises
    ------
    PipelineError
        It names the file, and says what is wrong with it.
    """
    older = any(one.cut and one.newer for one in found.values())
    left = {(v.table, attribute) for v in search.group.violations if v.loses for attribute in v.attributes}
    if search.unread and (lost or older or left - {(one.table, name) for (_, name), one in found.items()}):
        error = search.unread[0]
        raise PipelineError(
            error.what,
            f"It may have the values that the rollback is to give back, and no other file has them all. {error.why}",
            f"{error.do} Or move it out of backups/, if it is not about these values. Then run the command again.",
        )


def kept(search: Search, replaced: list[Loss]) -> Kept:
    """Find which attributes a group would lose values of, or leave as computed, that a backup has as they were.

    Of several files, that is taken which lacks the fewest values; of those that lack as many, the newest. What a
    migration computed is only in a file that was written when it was applied last.

    Parameters
    ----------
    search : Search
        Of the rollback, counted.
    replaced : list of Loss
        What :func:`datajoint_pipeline.planner.rollbacks.replaced` gives for it.
    """
    deployment, group = search.deployment, search.group
    wanted = {(v.table, attribute) for v in group.violations if v.loses for attribute in v.attributes}
    computed = {(loss.table.name, attribute) for loss in replaced for attribute in {*loss.attributes} - loss.filled}
    latest = _since(deployment, group) if computed else {}
    found: Kept = {}
    for file in search.files if wanted or computed else ():
        of_last = file.manifest.run > latest.get(file.manifest.schema, 0)
        for name, column, part in _matching(deployment, group, file):
            now = {c.name: _now(group, name, c.name) for c in part.columns if c.key or c is column}
            one = now[column.name]
            if not all(now.values()) or one is None:
                continue
            if (name, one[1]) not in wanted and not (of_last and (name, column.name) in computed):
                continue
            if one in found and not found[one].newer:
                continue
            if _stands_alone(group, one, (name, column.name)) and _has_values(file, part, column):
                called = {was: there[1] for was, there in now.items() if there is not None}
                newer = _newer(deployment, file, part, column, one[0], called)
                if one not in found or newer < found[one].newer:
                    found[one] = Backed(file.path, name, column.name, newer, bool(column.becomes))
    return found


def _since(deployment: Deployment, group: Group) -> dict[str, int]:
    """Give the number of the last run of each schema after which it had no more than a rollback leaves it."""
    goals = {migration.schema: Version(migration.version) for migration in group.migrations}
    found = dict.fromkeys(goals, 0)
    for record in journal.history(deployment.connection, {name: deployment.databases[name] for name in goals}):
        if record.status == journal.DONE and record.version and Version(record.version) <= goals[record.schema]:
            found[record.schema] = max(found[record.schema], record.id)
    return found


def _newest_first(deployment: Deployment) -> list[Path]:
    """Give the backups, by the moment at the end of their names."""
    return sorted(deployment.target.backups.glob("*.zip"), key=lambda path: path.stem.rpartition("-")[2], reverse=True)


def _has_values(file: Archive, part: Part, column: ArchivedColumn) -> bool:
    """Tell whether a file has more of an attribute than where it was null."""
    place = part.columns.index(column)
    return any(row[place] is not None for row in file.rows(part))


def _now(group: Group, name: TableName, attribute: str) -> tuple[TableName, str] | None:
    """Give what an attribute is called before a group, with its table; None where it is not there yet."""
    old, names = group.names_before.get(name, (name, {}))
    return (old, names[attribute]) if attribute in names else None


def _stands_alone(group: Group, was: tuple[TableName, str], will: tuple[TableName, str]) -> bool:
    """Tell whether rows can have a stand-in for an attribute, called ``was`` before and ``will`` afterwards."""
    for tables, (name, attribute) in ((group.before, was), (group.after, will)):
        table = tables.get(name)
        if table is None or attribute not in table.attribute or attribute in table.primary_key:
            return False
        if any(attribute in key.attributes for key in table.foreign_keys):
            return False
        if any(attribute in column and attribute != column for i in table.indexes for column in _expressions(i)):
            return False
    return stand_ins.can_be(group.after[will[0]], will[1])


def _expressions(index: Index) -> Iterator[str]:
    return (column for column in index.columns if not column.isidentifier())


def _matching(deployment: Deployment, group: Group, file: Archive) -> Iterator[tuple[TableName, ArchivedColumn, Part]]:
    """Give the columns of a file that what the group undoes cut or replaced, and that get the type of then again."""
    manifest = file.manifest
    if not _of_here(deployment, manifest):
        return
    goals = {migration.schema: migration.version for migration in group.migrations}
    for part in manifest.parts:
        name, (was,) = TableName(part.schema, part.table), decode(part.model)
        version = manifest.schemas.get(part.schema, {}).get("version", "")
        if part.schema not in goals or name not in group.after or not version:
            continue
        if Version(version) < Version(goals[part.schema]):
            continue
        for column in part.lost:
            will = group.after[name].attribute.get(column.name)
            if will is not None and was.attribute[column.name].type == will.type:
                yield name, column, part


def _of_here(deployment: Deployment, manifest: Manifest) -> bool:
    """Tell whether a file was written when these schemas were migrated."""
    target = deployment.target
    same = manifest.package == target.name and manifest.environment == target.environment
    return same and manifest.backend == deployment.connection.adapter.backend and manifest.kind == "migrate"


def _newer(
    deployment: Deployment, file: Archive, part: Part, column: ArchivedColumn, table: TableName, called: dict[str, str]
) -> int:
    """Count the values that are not what the cut left of those that a file has for their rows.

    ``called`` has what the file's columns are called now, in ``table``.
    """
    connection, quote = deployment.connection, quoter(deployment.connection)
    there = {c.name: c for c in deployment.catalogue.tables[deployment.databases[table.schema], table.table].columns}
    keys = [n for n, c in enumerate(part.columns) if c.key]
    place = part.columns.index(column)
    had = {tuple(row[n] for n in keys): row[place] for row in file.rows(part)}
    stored, name = there[called[column.name]].stored, called[column.name]
    current = ArchivedColumn(name, stored, False, "hex" if backup.is_bytes(stored) else "text", True)
    read = [replace(part.columns[n], name=called[part.columns[n].name]) for n in keys]
    listed = ", ".join(backup.read_as(connection, c) for c in (*read, current))
    sql = f"SELECT {listed} FROM {deployment.full(table)} WHERE {quote(name)} IS NOT NULL"
    with stepping.transaction(connection):
        return sum(
            tuple(key) not in had
            if not column.becomes
            else not compatibility.left_of(value, _text(had.get(tuple(key)), column), column.becomes)
            for *key, value in backup.stream(connection, sql)
        )


def _text(value: Value, column: ArchivedColumn) -> Value:
    """Give a value of a file as it was before it was cut for a text."""
    return str(uuid.UUID(bytes=value)) if isinstance(value, bytes) and column.type == "binary(16)" else value


def files(found: Kept) -> list[str]:
    """Give the names of the files that have what is set aside."""
    return [*dict.fromkeys(one.path.name for one in found.values())]


def again(deployment: Deployment, group: Group, recorded: object) -> tuple[Kept, list[str]]:
    """Find what a rollback had set aside that was interrupted, in the files that it had found.

    Gives also, of each of these files that cannot be read by now, what is wrong with it and what to do.

    Parameters
    ----------
    deployment : Deployment
        What was there before it.
    group : Group
        The rollback, planned once more.
    recorded : object
        The files as the record has them, who ever wrote it. One that does not match the rollback is passed over.
    """
    given = recorded.get("given") if isinstance(recorded, dict) else None
    names, found = given if isinstance(given, list) else [], dict[tuple[TableName, str], Backed]()
    unread = list[str]()
    for path in _newest_first(deployment) if group.inputs.aside else ():
        if path.name not in names:
            continue
        try:
            with archive.reading(path) as file:
                for name, column, _ in _matching(deployment, group, file):
                    # What it sets aside is another attribute afterwards, with nothing that it came from.
                    if _now(group, name, column.name) is None and (name, column.name) not in found:
                        found[name, column.name] = Backed(path, name, column.name, 0, bool(column.becomes))
        except PipelineError as error:
            restore = f"{deployment.target.command} restore {path.name} --overwrite"
            unread.append(f"{error.what} {error.why} {error.do} Then get the values of before back by {restore}.")
    return found, unread


def unfinished(deployment: Deployment) -> Kept:
    """Find what the last rollback set aside and did not give back, since it was killed when all else was done.

    That is what its record names and what a file has that was written here, under the same name and with the same type.
    """
    found: Kept = {}
    for left in due.of(deployment):
        for path in [deployment.target.backups / name for name in left.given]:
            with suppress(PipelineError), archive.reading(path) as file:
                for part in file.manifest.parts if _of_here(deployment, file.manifest) else ():
                    table, (was,) = TableName(part.schema, part.table), decode(part.model)
                    now = deployment.tables[table].attribute if table in deployment.tables else {}
                    for column in part.lost:
                        same = column.name in now and now[column.name].type == was.attribute[column.name].type
                        if same and place(table, column.name) in left.aside:
                            found[table, column.name] = Backed(path, table, column.name, 0, bool(column.becomes))
    return found


def place(table: TableName, attribute: str) -> str:
    """Give what the record of a rollback calls an attribute that it sets aside."""
    return f"{table.schema}.{table.table}.{attribute}"


def give_back(target: Target, found: Kept, tables: Tables) -> list[str]:
    """Put the values of before in the place of what was set aside; say of which, and where there are newer ones.

    ``tables`` are those after the rollback.

    Raises
    ------
    PipelineError
        If a file cannot be restored; the values that it has can still be given back by `restore`.
    """
    said = list[str]()
    for path in dict.fromkeys(one.path for one in found.values()):
        places = [one for one in found.values() if one.path == path]
        # A value that somebody has entered meanwhile stays.
        chosen = {(b.table, b.attribute): stand_ins.standing(tables[b.table], b.attribute) for b in places}
        with archive.reading(path) as file:
            restore.put_back(target, file, overwrite=True, chosen=chosen)
        names = ", ".join(sorted(f"{table}.{attribute}" for table, attribute in chosen))
        text = f"{names} {'has' if len(chosen) == 1 else 'have'} the values of before, from {path.name}. What the "
        text += "migration made of them is soft-deleted"
        text += f", with {_written_since(places)}" if any(one.newer for one in places) else ""
        text += ". So is what somebody changed since."
        said.append(text)
    return said


def _written_since(places: list[Backed]) -> str:
    """Say how many values no file has, and which of them are counted."""
    computed = any(one.newer and not one.cut for one in places)
    of = " (of computed ones, only those of rows that came since are counted)" if computed else ""
    return f"{counted(sum(one.newer for one in places), 'values')} written since, which no file has{of}"


def advice(found: Kept, command: str, tables: Tables) -> str:
    """Say what was set aside, and how the values come back; ``tables`` are those after the rollback."""
    names = ", ".join(f"{table}.{attribute}" for table, attribute in sorted(found))
    places = sorted({(one.table, one.attribute) for one in found.values()}, key=str)
    shown = [
        f"{will.default or stand_ins.of_type(will.type) or 'an empty text'} in {name}"
        for table, name in places
        if not (will := tables[table].attribute[name]).nullable
    ]
    required = bool(shown)
    newer = any(one.newer for one in found.values())
    overwrite = " --overwrite" * required
    paths = dict.fromkeys(one.path.name for one in found.values())
    restore = " and ".join(f"{command} restore {path}{overwrite}" for path in paths)
    has = f"{', '.join(shown)}, whatever they had" if required else "nothing there"
    said = f"What was left of {names} is soft-deleted; the rows now have {has}. Get the values back by {restore}."
    if newer:
        said += f" Only in what is soft-deleted: {_written_since([*found.values()])}."
    return said


def staying(search: Search, replaced: list[Loss], found: Kept) -> tuple[list[str], list[str], list[str]]:
    """Say which values stay as the migrations that are undone gave them, and which backup has what was there before.

    Gives the sentences, and of what `migrate` would compute once more the names of the files with the values of before,
    and the attributes that no file has values of.

    Parameters
    ----------
    search : Search
        Of the rollback.
    replaced : list of Loss
        As for :func:`kept`.
    found : mapping
        What it sets aside.
    """
    deployment, group = search.deployment, search.group
    gone = {(one.table, one.attribute) for one in found.values()}
    wanted = {
        (loss.table.name, attribute): attribute in loss.filled
        for loss in replaced
        for attribute in loss.attributes
        if (loss.table.name, attribute) not in gone
    }
    retyped = {
        (name, attribute.name)
        for name, table in group.after.items()
        if table is not group.before.get(name)
        for attribute in table.attributes
        if (name, attribute.name) not in gone and _gets_another_type(group, name, attribute.name)
    }
    said, left, lost = list[str](), dict[str, None](), list[str]()
    latest = _since(deployment, group) if wanted else {}
    for file in search.files if wanted or retyped else ():
        of_last = file.manifest.run > latest.get(file.manifest.schema, 0)
        restore = f"{deployment.target.command} restore {file.path.name}"
        for name, column, part in _matching(deployment, group, file):
            one = name, column.name
            if column.becomes:
                if one in retyped and part.rows:
                    retyped.remove(one)
                    said.append(f"{name}.{column.name} keeps what the cut left. Get whole values back by {restore}.")
            elif one in wanted and of_last:
                if wanted.pop(one):
                    place = part.columns.index(column)
                    rows = counted(sum(row[place] is None for row in file.rows(part)), "rows")
                    what = f"the fill, which {rows} without a value got. Make it null again there"
                else:
                    what = "the values that the migration computed. Get those of before back"
                    left |= {file.path.name: None} if part.rows else {}
                over = f"{restore} --overwrite; values written since are overwritten"
                if part.rows:
                    said.append(f"{name}.{column.name} keeps {what} by {over}.")
    for (name, attribute), filled in wanted.items():
        now = _now(group, name, attribute)
        if not filled and now is not None and _any_value(deployment, *now):
            what = "the values that the migration computed; no file in backups/ has those of before"
            said.append(f"{name}.{attribute} keeps {what}. Do not migrate again: it would compute from these.")
            lost.append(f"{name}.{attribute}")
    return said, [*left], lost


def _gets_another_type(group: Group, name: TableName, attribute: str) -> bool:
    """Tell whether a rollback gives an attribute, by its names afterwards, another type."""
    now, will = _now(group, name, attribute), group.after[name].attribute[attribute]
    return now is not None and group.before[now[0]].attribute[now[1]].type != will.type


def _any_value(deployment: Deployment, table: TableName, attribute: str) -> bool:
    quote = quoter(deployment.connection)
    sql = f"SELECT 1 FROM {deployment.full(table)} WHERE {quote(attribute)} IS NOT NULL LIMIT 1"
    return deployment.connection.query(sql, args=None, reconnect=False).fetchone() is not None
