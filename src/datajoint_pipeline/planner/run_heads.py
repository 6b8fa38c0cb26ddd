"""What the record of a run says of it as a whole: the head of each of its migrations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .. import journal
from ..history.migration_files import Migration
from ..journal import steplog
from ..schema.model import Schema, encode
from . import applied, drafts, resuming
from .deployment import Deployment
from .plan import Group


def texts(deployment: Deployment, group: Group, kind: str, numbers: Sequence[int]) -> list[str]:
    """Give the heads of a run, that of the first migration with all that it leads to.

    Parameters
    ----------
    deployment : Deployment
        Where.
    group : Group
        What is run.
    kind : str
        The kind of the run in the journal.
    numbers : sequence of int
        Of the run, in each of the group's schemas.
    """
    members = [
        {**identity(deployment, group, migration, version), "run": number}
        for migration, (_, version), number in zip(
            group.migrations, versions(deployment, group, kind), numbers, strict=True
        )
    ]
    leader = {
        "members": members,
        "plan": resuming.record(deployment, group, kind),
        **result(deployment, group, kind),
    }
    led_by = led(group.migrations[0].schema, numbers[0])
    return [json.dumps({**led_by, **(leader if n == 0 else {}), **member}) for n, member in enumerate(members)]


def refuse_long(deployment: Deployment, group: Group, kind: str) -> None:
    """Raise where the server would not take the record of a run, which is still to be made.

    Raises
    ------
    PipelineError
        As :func:`datajoint_pipeline.journal.steplog.write`.
    """
    numbers = [0] * len(group.migrations)
    entries = [steplog.Entry(0, "head", steplog.DONE, "", text) for text in texts(deployment, group, kind, numbers)]
    entries += [replace(resuming.entry(step), number=number) for number, step in enumerate(group.steps, 1)]
    database = deployment.databases[group.migrations[0].schema]
    steplog.refuse_long_entries(deployment.connection, database, 0, entries)


def identity(deployment: Deployment, group: Group, migration: Migration, version: str) -> dict[str, Any]:
    """Give what the head of a run says for good of a migration that leads to a version: by it, later commands tell
    what a schema has had."""
    named = {key: getattr(migration, key) for key in ("schema", "slug", "digest", "frame")}
    history = deployment.histories[migration.schema]
    made = migration.included or (applied.included(history, version) if migration.makes is not None else {})
    back = group.inputs.undone.get(migration.schema)
    return {**named, **made, **({applied.UNDONE: list(back)} if back else {})}


def kind_of(migration: Migration, kind: str) -> str:
    """Give what the journal calls a migration of a run of some kind."""
    return "init" if migration.makes is not None else kind


def versions(deployment: Deployment, group: Group, kind: str) -> list[tuple[str | None, str]]:
    """Give the versions before and after each migration of a group.

    Where one comes out of order, that is the newest version up to which nothing is left.
    """
    now: dict[str, str | None] = {name: record.version for name, record in deployment.records.items()}
    had = dict(deployment.applied)
    found = []
    for migration in group.migrations:
        schema, version = migration.schema, migration.version
        if kind == "migrate" and migration.digest and schema in had:
            had[schema] = had[schema].after([migration])
            version = had[schema].version
        found.append((now.get(schema), version))
        now[schema] = version
    return found


def result(deployment: Deployment, group: Group, kind: str) -> dict[str, Any]:
    """Give what a run leads to, as its head has it."""
    shapes = shapes_after(deployment, group)
    schemas = [name for name in dict.fromkeys((*deployment.shapes, *shapes)) if name in deployment.databases]
    return {
        # Releases before 0.7 go on with what stands in these.
        "databases": {name: deployment.databases[name] for name in schemas},
        "after": [encode(shape) for shape in shapes.values()],
        **({"renamed": drafts.renamed(group)} if kind == journal.DRAFT else {}),
    }


def shapes_after(deployment: Deployment, group: Group) -> dict[str, Schema]:
    """Give the schemas that a group changes, as they are to be."""
    changed = {n.schema for n in {*group.before, *group.after} if group.before.get(n) is not group.after.get(n)}
    # What is soft-deleted may have moved to another schema.
    changed |= {n.schema for step in group.steps for n in step.tables} & deployment.records.keys()
    return {
        name: Schema(name, tuple(table for table in group.after.values() if table.name.schema == name))
        for name in (*group.schemas, *sorted(changed - {*group.schemas}))
    }


def led(schema: str, run: int) -> dict[str, Any]:
    """Give what the head of every member has: where the steps are."""
    return {"leader": {"schema": schema, "run": run}}
