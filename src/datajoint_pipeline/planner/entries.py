"""Turn the steps of a plan into entries of the journal, which hold all that whoever goes on after a crash needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from ..ddl import recoding
from ..dialects.base import Dialect
from ..dialects.steps import Step
from ..history.migration_files import Migration
from ..internals import lineage
from ..journal import steplog
from ..operations import data
from ..operations import structure as ops
from ..operations.origins import Origins
from . import user_steps
from .deployment import Deployment


def of_step(
    step: Step, dialect: Dialect, recodes: Iterable[recoding.Recode] = (), origins: Origins | None = None
) -> steplog.Entry:
    """Make the entry of a statement on tables.

    Parameters
    ----------
    step : Step
        The statement.
    dialect : Dialect
        Which gives the tables' places on the server.
    recodes : iterable of Recode
        The values that were converted before it.
    origins : Origins, optional
        What the operations made of what.
    """
    places, payloads = tuple(dialect.place(table) for table in step.tables), list[dict[str, Any]]()
    for place, op in _replaced(step, recodes, origins, dialect) if origins else ():
        # DataJoint reads the lineage of a table that it converts values in.
        table, lineages = (".".join(map(dialect.quote, (place[0], name))) for name in (place[1], lineage.TABLE))
        step = step.alone((), f"{table} WRITE", f"{lineages} READ")
        payloads.append(_conversion(place, op))
    if step.locks:
        text = json.dumps(
            {
                "locks": ", ".join(step.locks),
                "run": [*step.first, step.sql],
                "recode": payloads,
                "orphans": step.orphans,
            }
        )
        return steplog.Entry(0, "locked", steplog.PLANNED, step.words, text, places)
    if not step.check:
        return steplog.Entry(0, "sql", steplog.PLANNED, step.words, step.sql, places)
    text = json.dumps({"check": step.check, "run": [*step.first, step.sql]})
    return steplog.Entry(0, "online", steplog.PLANNED, step.words, text, places)


def _replaced(
    step: Step, recodes: Iterable[recoding.Recode], origins: Origins, dialect: Dialect
) -> list[tuple[tuple[str, str], recoding.Recode]]:
    """Find the attributes that a step of MySQL replaces by those with converted values, and their tables' places after.

    Values that somebody wrote since the conversion are still to be converted, under the lock of that step.
    """
    if dialect.backend != "mysql" or not step.sql.startswith("ALTER TABLE"):
        return []
    names = {old: new for new, old in origins.tables.items()}
    return [
        (dialect.place(names[op.table]), op)
        for op in recodes
        if names.get(op.table) in step.tables
        and re.search(rf"(RENAME|CHANGE) COLUMN {re.escape(dialect.quote(op.source))} ", step.sql)
    ]


def _conversion(place: tuple[str, str], recode: recoding.Recode) -> dict[str, Any]:
    """Give the payload of values that DataJoint converts; ``place`` is where their table is by then."""
    return {"place": place, "source": recode.source, "target": recode.target, "type": recode.type, "mark": recode.mark}


def of_data(
    deployment: Deployment, operation: ops.Operation, migrations: Iterable[Migration]
) -> Iterator[steplog.Entry]:
    """Make the entries of an operation that changes rows by more than a statement on tables."""
    if isinstance(operation, recoding.Recode):
        name = operation.table
        payload = _conversion((deployment.databases[name.schema], name.table), operation)
        text = json.dumps({"schema": name.schema, **payload})
        words = f"convert the values of {operation.source} in {name} to {operation.type}"
        yield steplog.Entry(0, "recode", steplog.PLANNED, words, text)
    elif isinstance(operation, (data.RunPython, data.RunSQL)):
        yield from user_steps.entries(deployment.connection, deployment.databases, operation, migrations)
