"""Which migrations touched which tables, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..history import chain
from ..history.migration_files import History
from ..operations.origins import Origins
from ..schema.model import TableName


@dataclass(frozen=True)
class Change:
    """What a migration does.

    Parameters
    ----------
    schema, version : str
        The schema that it belongs to, and the version that it makes of it.
    follows : str or None
        The version before; None where it makes the schema.
    words : str
        What it is for.
    done : tuple of (TableName, str)
        Each operation: the table that it is about, by the name that this has today, and what it does to it.
    """

    schema: str
    version: str
    follows: str | None
    words: str
    done: tuple[tuple[TableName, str], ...]


def changes(histories: Mapping[str, History]) -> list[Change]:
    """Give all migrations in the order in which they apply.

    Raises
    ------
    PipelineError
        If they do not fit each other.
    """
    done: list[list[tuple[TableName, str]]] = []
    found = []
    for migration, before, _ in chain.replay(histories, list(histories)):
        tables = dict(before)
        done.append([])
        for operation in migration.operations(before):
            done[-1].append((operation.table, operation.describe()))
            origins = Origins(tables={name: name for name in tables})
            operation.follow(origins, tables)
            if moved := {old: new for new, old in origins.tables.items() if new != old}:
                done = [[(moved.get(name, name), text) for name, text in lines] for lines in done]
            tables = operation.apply(tables)
        found.append(migration)
    return [
        Change(migration.schema, migration.version, migration.follows, migration.words, tuple(lines))
        for migration, lines in zip(found, done, strict=True)
    ]
