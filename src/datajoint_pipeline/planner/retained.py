"""Find what recorded runs soft-deleted. A name alone says nothing: anybody may have given it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import journal
from ..ddl.build import SOFT_DELETED_TABLE
from ..dialects import introspection
from ..dialects.introspection import Place
from ..dialects.mysql import locking
from ..journal import Record, steplog
from ..operations.state import SOFT_DELETED_ATTRIBUTE
from ..schema.model import TableName

if TYPE_CHECKING:
    import datajoint as dj

#: A database, and the number of a run in its journal.
Run = tuple[str, int]

#: In a recorded statement, a name as either server quotes it; and tables that get another one.
_COLUMN = re.compile(rf"""[`"]({SOFT_DELETED_ATTRIBUTE}[^`"]*)[`"]""")
_AWAY = re.compile(rf"""COLUMN [`"]([^`"]+)[`"] (?:TO )?[`"]({SOFT_DELETED_ATTRIBUTE}[^`"]*)[`"]""")
_BACK = re.compile(rf"""COLUMN [`"]({SOFT_DELETED_ATTRIBUTE}[^`"]*)[`"] (?:TO )?[`"](?!{SOFT_DELETED_ATTRIBUTE})""")
_MOVED = re.compile("`([^`]+)`[.]`([^`]+)` TO `([^`]+)`[.]`([^`]+)`")
_RENAMED = re.compile("""ALTER TABLE "([^"]+)"[.]"([^"]+)" (RENAME TO|SET SCHEMA) "([^"]+)"$""")


@dataclass(frozen=True)
class Retained:
    """What recorded runs soft-deleted.

    Parameters
    ----------
    names : dict
        By database and table, where they are by now, and a column, empty for the table itself: the database and the
        number of the run that did it.
    called : dict
        What a soft-deleted table was called before, by its place.
    attributes : dict
        What a soft-deleted column was called before, by the run that did it and its name now.
    runs : dict
        The runs, each by its database and number.
    untold : set of str
        Databases with runs of releases before 0.3, which recorded no steps: there, a name has to do.
    """

    names: dict[tuple[Place, str], Run]
    called: dict[Place, str]
    attributes: dict[tuple[Run, str], str]
    runs: dict[Run, Record]
    untold: set[str]

    def has(self, place: Place, column: str) -> bool:
        """Tell whether a run soft-deleted a column of a table, or the table itself."""
        return place[0] in self.untold or (place, column) in self.names

    def title(self, schema: str, place: Place, column: str) -> str:
        """Name a soft-deleted column, or table, as the code did when it was dropped."""
        run = self.names.get((place, column), ("", 0))
        return title(schema, self.called.get(place, place[1]), self.attributes.get((run, column), column))

    def run(self, place: Place, column: str) -> Record | None:
        """Give the run that soft-deleted it; None where releases before 0.3 did, which recorded no steps."""
        return self.runs.get(self.names.get((place, column), ("", 0)))


def is_soft_deleted(table: str, *columns: str) -> bool:
    """Tell whether a table, or one of its columns, has the name of what is soft-deleted."""
    return table.startswith(SOFT_DELETED_TABLE) or any(c.startswith(SOFT_DELETED_ATTRIBUTE) for c in columns)


def title(schema: str, table: str, column: str) -> str:
    """Name a column, or a table, as the code did before it was soft-deleted, as far as its name tells."""
    name = TableName(schema, table.removeprefix(SOFT_DELETED_TABLE))
    return ".".join(filter(None, (str(name), column.removeprefix(SOFT_DELETED_ATTRIBUTE))))


def leader(databases: Mapping[str, str], schema: str, number: int, head: Mapping[str, Any]) -> Run | None:
    """Give the run that has the steps of one, by its head; None where the head says nothing that can be read."""
    found = head.get("leader")
    first = found if isinstance(found, dict) else {"schema": schema, "run": number}
    database, run = databases.get(str(first.get("schema"))), first.get("run")
    return (database, run) if database is not None and isinstance(run, int) else None


def read(connection: dj.Connection, databases: Mapping[str, str], *, ended: bool = False) -> Retained:
    """Read from the journal what runs soft-deleted; ``databases`` has those of the schemas that have one.

    With ``ended``, what a run did that has not ended is left out.
    """
    runs = journal.history(connection, databases)
    open_ = {(databases[run.schema], run.id) for run in runs if ended and run.status != journal.DONE}
    heads = {(databases[schema], run): head for (schema, run), head in steplog.heads(connection, databases).items()}
    found, called = dict[Place, dict[str, Run]](), dict[Place, str]()
    attributes = dict[tuple[Run, str], str]()
    before, current, hidden = dict[Place, set[str]](), ("", 0), dict[Place, str]()
    order = {(databases[run.schema], run.id): number for number, run in enumerate(runs)}
    steps = steplog.done(connection, databases.values())
    for database, run, step in sorted(steps, key=lambda step: order.get(step[:2], -1)):
        if (database, run) in open_:
            continue
        if current != (database, run):
            before, current = _hidden(heads.get((database, run), {})), (database, run)
        for statement in _statements(step.text):
            for old, new in _moves(statement):
                # What comes back under its own name is soft-deleted no more.
                found[new] = found.get(new, {}) | found.pop(old, {})
                found[new].pop("", None)
                before[new] = before.get(new, set()) | before.pop(old, set())
                called.pop(old, None)
                if new[1].startswith(SOFT_DELETED_TABLE):
                    found[new][""], called[new] = (database, run), hidden.pop(old, old[1])
                elif (away := locking.HIDDEN.fullmatch(new[1])) and old[1].startswith(away[1]):
                    hidden[new] = old[1]
            back = set(_BACK.findall(statement))
            attributes |= {((database, run), hidden): name for name, hidden in _AWAY.findall(statement)}
            for place in step.tables:
                # What was there before the run somebody else made, or an earlier one.
                made = set(_COLUMN.findall(statement)) - before.get(place, set()) - back
                columns = found.setdefault(place, {})
                for column in back:
                    columns.pop(column, None)
                columns |= dict.fromkeys(made, (database, run))
    changed = [run for run in runs if run.kind in ("migrate", "rollback", journal.DRAFT) and run.status == journal.DONE]
    untold = {databases[run.schema] for run in changed if (databases[run.schema], run.id) not in heads}
    names = {(place, column): run for place, columns in found.items() for column, run in columns.items()}
    by_number = {(databases[run.schema], run.id): run for run in runs}
    return Retained(names, called, attributes, by_number, untold)


def _hidden(head: Mapping[str, Any]) -> dict[Place, set[str]]:
    """Give the columns of such names that tables had before a run, as its head has them.

    Releases before 0.7 noted none, and anybody may have written a head.
    """
    with suppress(LookupError, TypeError, ValueError, AttributeError):
        return {
            (database, table): {c.name for c in introspection.decode(encoded).columns if _COLUMN.match(f"`{c.name}`")}
            for database, table, encoded in head["plan"]["before"]
        }
    return {}


def _statements(text: str) -> list[str]:
    """Give the statements of a step, which its record has as they are or in JSON."""
    if not text.startswith("{"):
        return [text]
    try:
        found = json.loads(text).get("run")
    except (ValueError, RecursionError):
        return []
    # Anybody may have written it; of a head, ``run`` is a number.
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _moves(statement: str) -> list[tuple[Place, Place]]:
    """Give the places that tables leave in a statement, each with the new one."""
    if statement.startswith("RENAME TABLE"):
        return [((a, b), (c, d)) for a, b, c, d in _MOVED.findall(statement)]
    if found := _RENAMED.match(statement):
        database, table, how, name = found.groups()
        return [((database, table), (database, name) if how == "RENAME TO" else (name, table))]
    return []
