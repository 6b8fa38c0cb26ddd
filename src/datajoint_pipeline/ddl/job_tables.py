"""Steps that let DataJoint's job tables follow the tables that they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ..dialects.base import Dialect
from ..dialects.steps import Step
from ..internals.job_tables import COLUMNS, PREFIX, key
from ..operations.origins import Origins, resolved
from ..operations.structure import Tables
from ..schema.model import TableName


def steps(before: Tables, after: Tables, origins: Origins, dialect: Dialect) -> Iterator[Step]:
    """Let the job tables follow their tables; to be called when all other steps are made.

    Jobs are kept where they can still be told apart, by names that the job table has free. Otherwise the job table is
    dropped, and DataJoint makes it anew.
    """
    names = {old: new for new, old in origins.tables.items()}
    for old_name, old in before.items():
        job = TableName(old_name.schema, PREFIX + old_name.table.lstrip("_"))
        if dialect.place(job) not in dialect.names.tables:
            continue
        new_name = names.get(old_name)
        new = None if new_name is None else after.get(new_name)
        if new_name is None or new is None or not new.tier.startswith(("Imported", "Computed")):
            yield from _called(dialect.drop_table(job), dialect.lacks(job), f"drop the jobs of {old_name}")
            continue
        was = origins.attributes.get(new_name, {})
        renamed = {old_attribute: name for name, old_attribute in was.items()}
        keys = tuple(renamed.get(name, "") for name in key(old))
        types = [resolved(before, old_name, name) for name in key(old)]
        taken = (COLUMNS | {*key(old)}) & {k for name, k in zip(key(old), keys, strict=True) if k != name}
        if taken or set(keys) != set(key(new)) or types != [resolved(after, new_name, name) for name in keys]:
            words = f"drop the jobs of {new_name}; DataJoint makes them anew"
            yield from _called(dialect.drop_table(job), dialect.lacks(job), words)
            continue
        moved = TableName(new_name.schema, PREFIX + new_name.table.lstrip("_"))
        if moved != job:
            words = f"let the jobs of {old_name} follow to {new_name}"
            yield from _called(dialect.rename_table(job, moved), dialect.lacks(job), words)
        for name, new_key in zip(key(old), keys, strict=True):
            if name != new_key:
                columns = f"{dialect.quote(name)} TO {dialect.quote(new_key)}"
                sql = f"ALTER TABLE {dialect.full(moved)} RENAME COLUMN {columns}"
                done = dialect.lacks(moved, name)
                yield Step(sql, (moved,), f"rename {name} to {new_key} in the jobs of {new_name}", done=done)


def _called(steps: Iterable[Step], done: str, words: str) -> Iterator[Step]:
    """Give steps, of which the first is called so that it names the table whose jobs they are.

    It is not run where it is done: what becomes of a job table is no part of what is compared after an interruption.
    """
    first, *more = steps
    yield replace(first, words=words, done=done)
    yield from more
