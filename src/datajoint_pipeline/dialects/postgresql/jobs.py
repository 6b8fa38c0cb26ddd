"""Another primary key for DataJoint's tables of jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ...internals.job_tables import comment
from ...schema.model import TableName
from ..base import Dialect
from ..steps import NewKey, Step
from . import columns as in_words


def change_key(dialect: Dialect, old: TableName, new: TableName, key: NewKey, title: str) -> Iterator[Step]:
    """Give the steps, with the parameters of :meth:`Dialect.change_key`."""
    if old != new:
        for step in dialect.rename_table(old, new):
            yield replace(step, words=f"let the {title} follow")
    quote, full = dialect.quote, dialect.full(new)
    columns = {f"_key_{n}": column for n, column in enumerate(key.columns.values())}
    added = ", ".join(f"ADD COLUMN {quote(name)} {column.sql}" for name, column in columns.items())
    yield Step(f"ALTER TABLE {full} {added}", (new,), f"add the new key to the {title}")
    given = ", ".join(f"{quote(name)} = {value}" for name, value in zip(columns, key.values.values(), strict=True))
    source = f" FROM {', '.join(table for table, _ in key.joins)}" if key.joins else ""
    where = f" WHERE {' AND '.join(condition for _, condition in key.joins)}" if key.joins else ""
    yield Step(f"UPDATE {full} AS j SET {given}{source}{where}", (new,), f"give the {title} their new key")
    yield _take_out(dialect, new, columns, title)
    words = f"make it the key of the {title}"
    # The primary key goes with its columns.
    yield Step(f"ALTER TABLE {full} {', '.join(f'DROP COLUMN {quote(name)}' for name in key.dropped)}", (new,), words)
    for name, column in columns.items():
        yield Step(f"ALTER TABLE {full} RENAME COLUMN {quote(name)} TO {quote(column.name)}", (new,), words)
        if column.comment:
            yield replace(in_words.comment_on_column(dialect, new, column), words=words)
    required = ", ".join(f"ALTER COLUMN {quote(name)} SET NOT NULL" for name in key.columns)
    yield Step(f"ALTER TABLE {full} {required}, ADD PRIMARY KEY ({dialect.listed([*key.columns])})", (new,), words)
    yield replace(dialect.change_comment(new, comment(key.table)), words=f"say whose the {title} are")


def _take_out(dialect: Dialect, name: TableName, columns: Iterable[str], title: str) -> Step:
    """Take out the jobs that lack one of some columns, or have all of them in common with others."""
    full, listed = dialect.full(name), dialect.listed([*columns])
    same = f"SELECT {listed} FROM {full} GROUP BY {listed} HAVING COUNT(*) > 1"
    none = " OR ".join(f"{dialect.quote(column)} IS NULL" for column in columns)
    sql = f"DELETE FROM {full} WHERE {none} OR ({listed}) IN ({same})"
    return Step(sql, (name,), f"take out the {title} that no key is of, or one with others")
