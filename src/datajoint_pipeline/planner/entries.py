"""How the steps of a plan are written down, so that whoever comes after a crash needs nothing else."""

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
    """A statement on tables; ``recodes`` are the values that were converted before it."""
    places, recode = tuple(dialect.place(table) for table in step.tables), list[dict[str, Any]]()
    for place, op in _ended(step, recodes, origins, dialect) if origins else ():
        # DataJoint reads the lineage of a table that it converts values in.
        table, lineages = (".".join(map(dialect.quote, (place[0], name))) for name in (place[1], lineage.TABLE))
        step = step.alone((), f"{table} WRITE", f"{lineages} READ")
        recode.append(_told(place, op))
    if step.locks:
        held = json.dumps({"locks": ", ".join(step.locks), "run": [*step.first, step.sql], "recode": recode})
        return steplog.Entry(0, "locked", steplog.PLANNED, step.words, held, places)
    if not step.check:
        return steplog.Entry(0, "sql", steplog.PLANNED, step.words, step.sql, places)
    text = json.dumps({"check": step.check, "run": [*step.first, step.sql]})
    return steplog.Entry(0, "online", steplog.PLANNED, step.words, text, places)


def _ended(
    step: Step, recodes: Iterable[recoding.Recode], origins: Origins, dialect: Dialect
) -> list[tuple[tuple[str, str], recoding.Recode]]:
    """The attributes that a step of MySQL takes from their place, and others next to them with converted values; by now
    their tables are called otherwise. Values that were written since are still to be converted."""
    if dialect.backend != "mysql" or not step.sql.startswith("ALTER TABLE"):
        return []
    names = {old: new for new, old in origins.tables.items()}
    return [
        (dialect.place(names[op.table]), op)
        for op in recodes
        if names.get(op.table) in step.tables
        and re.search(rf"(RENAME|CHANGE) COLUMN {re.escape(dialect.quote(op.source))} ", step.sql)
    ]


def _told(place: tuple[str, str], op: recoding.Recode) -> dict[str, Any]:
    """Values that DataJoint converts, in a table that is at a place by then."""
    return {"place": place, "source": op.source, "target": op.target, "type": op.type}


def of_data(
    deployment: Deployment, operation: ops.Operation, migrations: Iterable[Migration]
) -> Iterator[steplog.Entry]:
    """What changes rows by more than a statement on tables."""
    if isinstance(operation, recoding.Recode):
        name = operation.table
        told = _told((deployment.databases[name.schema], name.table), operation)
        text = json.dumps({"schema": name.schema, **told})
        words = f"convert the values of {operation.source} in {name} to {operation.type}"
        yield steplog.Entry(0, "recode", steplog.PLANNED, words, text)
    elif isinstance(operation, (data.RunPython, data.RunSQL)):
        yield from user_steps.entries(deployment.connection, deployment.databases, operation, migrations)
