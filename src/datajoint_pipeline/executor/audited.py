"""Have tables audited, or not.

A table is audited where it has the triggers: nobody need be asked which they are, and a migration keeps what it finds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .. import journal
from ..dialects import catalog
from ..dialects.auditing import BEGIN, COMPUTED, END, TABLE
from ..dialects.steps import Step
from ..errors import ExitCode, PipelineError
from ..planner.deployment import Deployment
from ..planner.target import Target
from ..schema.model import TableName
from . import apply, auditing, owners


@dataclass(frozen=True)
class Changes:
    """Which tables are to be audited from now on, which no more, and of which the audit is to be put right."""

    begun: list[TableName]
    ended: list[TableName]
    mended: list[TableName]


def changes(deployment: Deployment, tables: Iterable[TableName]) -> Changes:
    """Work out what is to be done for just some tables to be audited.

    Parameters
    ----------
    deployment : Deployment
        What is there.
    tables : iterable of TableName
        The tables.

    Raises
    ------
    PipelineError
        If there is no such table, or it is one that is computed.
    """
    wanted = sorted(dict.fromkeys(tables), key=str)
    for name in wanted:
        _refuse(deployment, name)
    have = {*auditing.audited(deployment)}
    mended = [name for name in auditing.incomplete(deployment) if name in wanted]
    return Changes([name for name in wanted if name not in have], sorted(have - {*wanted}, key=str), mended)


def _refuse(deployment: Deployment, name: TableName) -> None:
    table = deployment.tables.get(name)
    if table is None:
        raise PipelineError(
            f"{name} cannot be audited, for there is no such table.",
            "Only a table that is in the database can have triggers.",
            "Correct [audit] in access.toml, or run init or migrate first.",
            exit_code=ExitCode.USAGE,
        )
    if table.tier_of_rows in COMPUTED:
        raise PipelineError(
            f"{name} cannot be audited, for it is {table.tier_of_rows}.",
            "Its rows are computed: the _job_ columns say when and from which commit, and triggers are slow.",
            "Take it out of [audit] in access.toml; name the Manual tables that it is computed from.",
            exit_code=ExitCode.USAGE,
        )


def set_audit(target: Target, tables: Iterable[TableName]) -> Changes:
    """Have just some tables audited; give what was changed.

    Parameters
    ----------
    target : Target
        Where.
    tables : iterable of TableName
        The tables, by their schemas in the code and their names on the server.

    Raises
    ------
    PipelineError
        If a table cannot be audited, a schema is in the middle of a change, or this account may not make triggers. Then
        nothing was changed.
    """
    with apply.alone(target):
        deployment = Deployment.read(target)
        found = changes(deployment, tables)
        auditing.heal(deployment)
        begun = [*found.begun, *_unmarked(deployment, found)]
        every = [*begun, *found.ended, *found.mended]
        if not every:
            return found
        apply.refuse_unfinished(deployment, {name.schema for name in every})
        databases = sorted({deployment.databases[name.schema] for name in every})
        with owners.handing_over(target.connection, databases):
            dialect, statements = auditing.dialect_of(deployment), catalog.auditing_of(target.connection)
            auditing.run(
                deployment,
                [step for name in found.begun for step in statements.made(auditing.place_of(deployment, name)[0])],
            )
            for database in databases:
                journal.protect(target.connection, database, TABLE)
            auditing.refuse_without_right(
                target.connection,
                {auditing.place_of(deployment, name)[0] for name in found.begun},
                "No triggers were made.",  # rights were given before, by the same command
            )
            steps = list[Step]()
            for name in begun:
                place = auditing.place_of(deployment, name)
                put_on = auditing.put_on(deployment, dialect, name) if name in found.begun else []
                steps += [*put_on, *statements.noted(BEGIN, name, place)]
            for name in found.ended:
                place = auditing.place_of(deployment, name)
                steps += [*_taken_off(deployment, name), *statements.noted(END, name, place)]
            auditing.run(deployment, steps)
        return found


def _unmarked(deployment: Deployment, found: Changes) -> list[TableName]:
    """Give the tables that have their triggers, and of which no entry says since when, as who made them was killed."""
    names = [name for name in auditing.audited(deployment) if name not in found.ended]
    places = {name: auditing.place_of(deployment, name) for name in names}
    said = {database: auditing.were_audited(deployment, database) for database, _ in places.values()}
    return [name for name, (database, table) in places.items() if table not in said[database]]


def _taken_off(deployment: Deployment, name: TableName) -> list[Step]:
    place, statements = auditing.place_of(deployment, name), catalog.auditing_of(deployment.connection)
    found = auditing.triggers_of(deployment, place)
    return [Step(statements.removed(place, trigger), (name,), f"audit {name} no more") for trigger in found]
