"""Find what rollbacks took back, as the journal has it: which migrations, and what these runs soft-deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .. import journal
from ..dialects.introspection import CatalogTables, Place
from ..history import chain
from ..history.migration_files import History, Migration
from ..journal import steplog
from ..operations import structure as ops
from . import retained
from .applied import UNDONE
from .retained import Retained, Run

if TYPE_CHECKING:
    import datajoint as dj


@dataclass(frozen=True)
class TakenBack:
    """What rollbacks took back.

    Parameters
    ----------
    last : dict
        The last run that took a migration back, by its schema and digest.
    by_run : dict
        By a run, what it took back: schemas and digests.
    retained : Retained
        What runs that have ended soft-deleted.
    replayed : sequence of (Migration, tables, tables)
        Every migration of the files, in order, with the tables before and after it.
    """

    last: Mapping[tuple[str, str], Run] = field(default_factory=dict)
    by_run: Mapping[Run, set[tuple[str, str]]] = field(default_factory=dict)
    retained: Retained = field(default_factory=lambda: Retained({}, {}, {}, {}, set()))
    replayed: Sequence[tuple[Migration, ops.Tables, ops.Tables]] = ()


def read(
    connection: dj.Connection,
    databases: Mapping[str, str],
    histories: Mapping[str, History],
    columns: Mapping[Place, list[str]],
) -> TakenBack:
    """Read it from the journals; nothing where no table has anything that is soft-deleted.

    Parameters
    ----------
    connection : datajoint.Connection
        Where to read.
    databases : mapping
        Name on the server of each schema that has a journal.
    histories : mapping
        Snapshots and migrations on disk, by schema.
    columns : mapping
        What :func:`columns_of` gave.
    """
    if not any(retained.is_soft_deleted(table, *names) for (_, table), names in columns.items()):
        return TakenBack()
    last, by_run = dict[tuple[str, str], Run](), dict[Run, set[tuple[str, str]]]()
    heads = steplog.heads(connection, databases)
    for record in journal.history(connection, databases):
        head = heads.get((record.schema, record.id), {})
        run, undone = retained.leader(databases, record.schema, record.id, head), head.get(UNDONE)
        if record.kind != "rollback" or record.status != journal.DONE or run is None:
            continue
        for digest in undone if isinstance(undone, list) else ():
            last[record.schema, str(digest)] = run
            by_run.setdefault(run, set()).add((record.schema, str(digest)))
    if not by_run:
        return TakenBack()
    replayed = list(chain.replay(histories, list(histories)))
    return TakenBack(last, by_run, retained.read(connection, databases, ended=True), replayed)


def columns_of(tables: CatalogTables, databases: Mapping[str, str]) -> dict[Place, list[str]]:
    """Give the columns of every table of some databases, by its place."""
    return {
        place: [column.name for column in table.columns]
        for place, table in tables.items()
        if place[0] in databases.values()
    }
