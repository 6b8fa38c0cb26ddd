"""The migrations of all schemas in one line: whether any is missing, in which order they apply, what they lead to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from packaging.version import Version

from ..errors import ExitCode, PipelineError
from ..operations import structure as ops
from ..operations.lines import DropTable, RenameAttribute, RenameTable
from ..schema.model import Schema, Table, TableName
from .migration_files import History, Migration, tables_of


def problems(history: History, code_version: str | None) -> Iterator[tuple[str, str, str]]:
    """Find what is wrong in the chain of a schema's versions: for each problem an id, a sentence and what to do.

    Parameters
    ----------
    history : History
        Of the schema.
    code_version : str or None
        As SCHEMA_VERSIONS has it; None for a schema that is no longer there.
    """
    name = history.schema
    if history.latest is None or history.oldest is None:
        yield "no-snapshot", f"{name} has no snapshot.", f"Run revise {name}, which writes it."
        return
    previous = history.oldest.version
    for migration in history.migrations:
        file = f"{name}/{migration.path.name if migration.path else ''}"
        if Version(migration.version) == Version(previous):
            twice = "two migrations lead to" if migration.follows != previous else "it starts from"
            yield "duplicate-version", f"{file}: {twice} {migration.version}.", f"Run renumber {name}."
        elif migration.follows != previous:
            sentence = f"{file} follows {migration.follows}, and what comes before it is {previous}."
            yield "version-gap", sentence, f"Bring back the file that is missing, or run renumber {name}."
        for question, do in migration.questions:
            yield "open-question", f"{file}: it is still to be decided: {question}", do
        previous = migration.version
    if Version(history.latest.version) != Version(previous):
        sentence = f"The snapshot of {name} is of {history.latest.version}, the newest migration leads to {previous}."
        ahead = Version(history.latest.version) > Version(previous)
        do = "Bring back the migration that is missing, as git or whoever wrote it has it."
        yield "version-gap", sentence, do if ahead else f"Run renumber {name}."
    elif code_version is not None and Version(code_version) != Version(previous):
        sentence = f"SCHEMA_VERSIONS gives {name} {code_version}, its snapshot {previous}."
        yield "version-mismatch", sentence, f'Run revise {name}, or write "{name}": "{previous}" in version.py.'


def shapes(histories: Mapping[str, History], name: str) -> dict[str, Schema]:
    """Give the shape that a schema has at each of its versions, as far as snapshots and migrations tell."""
    history = histories[name]
    found = {snapshot.version: snapshot.shape for snapshot in (history.oldest, history.latest) if snapshot is not None}
    for migration, _, after in replay(histories, list(histories)):
        if migration.schema == name:
            tables = sorted((t for n, t in after.items() if n.schema == name), key=lambda t: t.name.table)
            found.setdefault(migration.version, Schema(name, tuple(tables)))
    return found


def refuse_orphans(
    histories: Mapping[str, History], gone: str, database: str, versions: Mapping[str, str | None]
) -> None:
    """Refuse to make a schema anew that is not there, while there are tables that refer to it.

    Parameters
    ----------
    histories : mapping
        Of all schemas.
    gone, database : str
        The schema, and its name on the server.
    versions : mapping
        The version that each schema has in the database.
    """
    for name, history in histories.items():
        latest, version = history.latest, versions.get(name)
        if name == gone or latest is None or version is None:
            continue
        # What refers to it at the oldest and at the newest version did so all the time.
        known = [latest] if Version(latest.version) == Version(version) else [latest, history.oldest or latest]
        if all(any(key.parent.schema == gone for t in s.shape for key in t.foreign_keys) for s in known):
            raise PipelineError(
                f"There is no {database} on the server, and tables of {name} refer to it.",
                "It was dropped or renamed, or this account may not see it.",
                f"Bring {database} back, from a backup if need be; where all rows are to be gone, drop {name}, too.",
                exit_code=ExitCode.DRIFT,
            )


def in_order(migrations: Iterable[Migration], have: Mapping[str, str | None], order: list[str]) -> list[Migration]:
    """Order migrations: each after what it follows and requires, otherwise parents before children.

    What a file requires is what there was when it was written. So a later version of that comes after it: it may take
    away what the file refers to.

    Parameters
    ----------
    migrations : iterable of Migration
        What is to be applied.
    have : mapping
        The newest version of which each schema has had something; None for one that is to be made.
    order : list of str
        The schemas, parents first.

    Raises
    ------
    PipelineError
        If a requirement cannot be met, or they require each other in a circle.
    """
    waiting = sorted(migrations, key=lambda m: (_place(order, m.schema), Version(m.version)))
    reached = dict(have)
    result: list[Migration] = []
    while waiting:
        possible = (m for m in waiting if _ready(m, waiting, reached))  # of which the first is nearly always that
        if (first := next(possible, None)) is None:
            raise _never_ready(waiting, reached)
        ready = next((m for m in chain((first,), possible) if not _overtakes(m, waiting, reached)), first)
        waiting.remove(ready)
        result.append(ready)
        # What comes out of order leaves the version of what was applied before.
        reached[ready.schema] = max(reached.get(ready.schema) or "0", ready.version, key=Version)
    return result


def may_come_first(migration: Migration, waiting: Iterable[Migration]) -> bool:
    """Tell whether a migration may be the first of some: none comes before it in its schema, is required by it, or was
    written for an earlier version of its schema.
    """
    schema, version = migration.schema, Version(migration.version)
    return not any(
        (one.schema == schema and Version(one.version) < version)
        or (one.schema in migration.requires and Version(one.version) <= Version(migration.requires[one.schema]))
        or (one.schema != schema and schema in one.requires and Version(one.requires[schema]) < version)
        or (one.schema != schema and names_what_goes(one, migration))
        for one in waiting
        if one is not migration
    )


def _place(order: list[str], schema: str) -> int:
    return order.index(schema) if schema in order else len(order)


def _ready(migration: Migration, waiting: list[Migration], reached: Mapping[str, str | None]) -> bool:
    earlier = any(r.schema == migration.schema and Version(r.version) < Version(migration.version) for r in waiting)
    return not earlier and not _unmet(migration, waiting, reached)


def _overtakes(migration: Migration, waiting: list[Migration], reached: Mapping[str, str | None]) -> bool:
    """Tell whether a migration would come before one that was written for an earlier version of its schema.

    One that cannot come first, since it needs this one in some way, is not overtaken.
    """
    schema, version = migration.schema, Version(migration.version)
    earlier = [
        m
        for m in waiting
        if m.schema != schema
        and ((schema in m.requires and Version(m.requires[schema]) < version) or names_what_goes(m, migration))
    ]
    if not earlier:
        return False
    left, then = [m for m in waiting if m.schema != schema], dict(reached)
    without = [*left, migration]
    while (able := next((m for m in left if _ready(m, without, then)), None)) is not None:
        if able in earlier:
            return True
        left.remove(able)
        without.remove(able)
        then[able.schema] = max(then.get(able.schema) or "0", able.version, key=Version)
    return False


def names_what_goes(other: Migration, migration: Migration) -> bool:
    """Tell whether a migration has a name in it that another one, of another schema, takes away.

    If it has the new name, too, it was written after that.
    """
    gone = list[tuple[str, str]]()
    for line in migration.lines:
        match line:
            case DropTable(table=table):
                gone.append((f"{migration.schema}.{table}", ""))
            case RenameTable(table=table, to=to):
                gone.append((f"{migration.schema}.{table}", to if "." in to else f"{migration.schema}.{to}"))
            case RenameAttribute(old=old, new=new):
                gone.append((old, new))
    text = " ".join(map(repr, other.lines)) if gone else ""
    return any(_has_word(text, old) and not (new and _has_word(text, new)) for old, new in gone)


def _has_word(text: str, word: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", text) is not None


def _unmet(migration: Migration, waiting: list[Migration], reached: Mapping[str, str | None]) -> list[tuple[str, str]]:
    def met(schema: str, version: str) -> bool:
        version_then = reached.get(schema)
        missing = any(m.schema == schema and Version(m.version) <= Version(version) for m in waiting)
        return version_then is not None and Version(version_then) >= Version(version) and not missing

    return [(schema, version) for schema, version in migration.requires.items() if not met(schema, version)]


def _never_ready(waiting: list[Migration], reached: Mapping[str, str | None]) -> PipelineError:
    for migration in waiting:
        for schema, version in _unmet(migration, waiting, reached):
            if not any(r.schema == schema and Version(r.version) >= Version(version) for r in waiting):
                has = f"has {reached[schema]}" if reached.get(schema) else "is not there"
                coming = [r.version for r in waiting if r.schema == schema]
                more = f" and would come to {coming[-1]}" if coming else ""
                return PipelineError(
                    f"{migration.title} cannot be applied.",
                    f"It requires {schema} {version}, and {schema} {has}{more}.",
                    f"Let migrate bring {schema} along, or correct requires in the file.",
                )
    circle = " and ".join(f"{r.title} requires {dict(r.requires)}" for r in waiting if r.requires)
    return PipelineError(
        "Migrations require each other in a circle.",
        f"{circle or waiting[0].title}.",
        "Correct requires in one of the files.",
    )


def replay(
    histories: Mapping[str, History], order: list[str]
) -> Iterator[tuple[Migration, dict[TableName, Table], dict[TableName, Table]]]:
    """Yield every migration in order, with the tables before and after it, starting at the oldest snapshots."""
    tables = tables_of(history.oldest for history in histories.values())
    have = {name: history.oldest.version for name, history in histories.items() if history.oldest}
    every = [migration for history in histories.values() for migration in history.migrations]
    for migration in in_order(every, have, order):
        before, tables = tables, ops.apply(migration.operations(tables), tables)
        yield migration, before, tables
