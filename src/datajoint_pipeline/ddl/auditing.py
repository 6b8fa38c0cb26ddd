"""Steps that keep the audit of tables right while these change: off before the first step, on after the last.

The steps of MySQL are single, so there, others are refused from the first to the last; on PostgreSQL all are one
transaction. What a migration itself writes to the rows of a table that it changes is told by its record alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..dialects.auditing import COMPUTED, RENAME
from ..dialects.base import Dialect
from ..dialects.constraints import Place, TableNames
from ..dialects.steps import ROWS, Column, Step
from ..errors import PipelineError
from ..operations.structure import Tables
from ..schema.model import Table, TableName


def found(dialect_names: Mapping[Place, TableNames]) -> dict[Place, TableNames]:
    """Give what is known of the audited tables, by their places now; it stays the same where they move."""
    return {place: known for place, known in dialect_names.items() if known.audited}


def around(
    steps: list[Step],
    dialect: Dialect,
    was: Mapping[Place, TableNames],
    before: Tables,
    after: Tables,
    lock: str,
) -> list[Step]:
    """Give steps with those around them that keep the audit of the tables right.

    Parameters
    ----------
    steps : list of Step
        What changes the tables; ``dialect`` made them.
    dialect : Dialect
        Which knows what is where afterwards.
    was : mapping of Place to TableNames
        What :func:`found` gave before they were made.
    before, after : mapping of TableName to Table
        The tables in both states.
    lock : str
        What the pipeline's lock is called on the server.

    Raises
    ------
    PipelineError
        If an audited table becomes one that is computed.
    """
    if not was:
        return steps
    will = {id(known): place for place, known in dialect.names.tables.items()}
    first, last, make = list[Step](), list[Step](), list[Step]()
    for place, known in sorted(was.items(), key=lambda pair: pair[0]):
        to = will.get(id(known))
        name = dialect.at(to or place)
        touched = any(name in step.tables and not ROWS.match(step.sql) for step in steps)
        if to is None or not (touched or to != place):
            continue
        own = after.get(name) or before.get(dialect.at(place)) or before.get(name)
        if own is None:
            continue  # soft-deleted before and after
        _refuse_computed(name, own)
        statements = dialect.auditing
        if to[0] != place[0]:
            make += statements.made(to[0])
            steps = [more for step in steps for more in _moved(step, dialect, place, to, name, lock)]
        first += statements.off(place, name, lock)
        if to != place:  # before anybody writes again
            last += statements.noted(RENAME, name, to, place)
        last += statements.on(to, name, columns(dialect, before, after, own), place if to[0] == place[0] else to)
    return [*make, *first, *steps, *last]


def again(dialect: Dialect, now: Tables) -> list[Step]:
    """Give steps that audited tables have their triggers after, whatever the lab's own statements did to these.

    Each is done already where they are there. ``now`` are the tables at that point.
    """
    steps = list[Step]()
    for place in sorted(found(dialect.names.tables)):
        name = dialect.at(place)
        if name in now:
            steps += dialect.auditing.on(place, name, columns(dialect, now, now, now[name]), place)
    return steps


def columns(dialect: Dialect, before: Tables, after: Tables, table: Table) -> list[Column]:
    """Give the columns of a table that is one of those before or afterwards."""
    tables = after if table.name in after else before
    return list(dialect.columns(tables, table).values())


def _refuse_computed(name: TableName, table: Table) -> None:
    if name == table.name and table.tier_of_rows in COMPUTED:
        raise PipelineError(
            f"{name} is audited, and would become {table.tier_of_rows}.",
            "Rows that are computed are not audited; nothing was changed.",
            "Take it out of [audit] in access.toml, run access apply, then run the command again.",
        )


def _moved(step: Step, dialect: Dialect, place: Place, to: Place, name: TableName, lock: str) -> list[Step]:
    """Give the steps for one that may be the move of an audited table to another schema."""
    renames = [(getattr(effect, "old", None), getattr(effect, "new", None)) for effect in step.effects]
    return dialect.auditing.moving(step, place, to, name, lock) if renames == [(place, to)] else [step]
