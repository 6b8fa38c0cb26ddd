"""Another primary key for DataJoint's tables of jobs."""

from __future__ import annotations

from dataclasses import replace

from ...schema.model import TableName
from ...schema.naming import shorten, unused
from ..base import Dialect
from ..steps import NewKey, Step
from .clauses import definition

#: What the name of a table of jobs ends in while it changes.
AWAY = "_away"


def change_key(dialect: Dialect, old: TableName, new: TableName, key: NewKey, title: str) -> list[Step]:
    """Give the steps; meanwhile the table has another name, so that no worker writes a job in between.

    Parameters and what they mean are those of :meth:`Dialect.change_key`. Each step can be repeated, and says itself
    whether it is done.
    """
    quote, taken = dialect.quote, {table for _, table in dialect.names.tables}
    away = TableName(old.schema, unused(shorten(old.table, 64 - len(AWAY)) + AWAY, taken))
    full, columns = dialect.full(away), {f"_key_{n}": column for n, column in enumerate(key.columns.values())}
    added, changed, previous = list[str](), list[str](), ""
    for name, column in columns.items():
        added.append(f"ADD COLUMN {definition(dialect, replace(column, name=name, nullable=True))}")
        where = f"AFTER {quote(previous)}" if previous else "FIRST"
        changed.append(f"CHANGE COLUMN {quote(name)} {definition(dialect, column)} {where}")
        previous = column.name
    joined = "".join(f" JOIN {table} ON {condition}" for table, condition in key.joins)
    given = [f"j.{quote(name)} = {value}" for name, value in zip(columns, key.values.values(), strict=True)]
    gone = [f"DROP COLUMN {quote(name)}" for name in key.dropped]
    clauses = ["DROP PRIMARY KEY", *gone, *changed, f"ADD PRIMARY KEY ({dialect.listed([*key.columns])})"]
    has, lacks, alter = dialect.has(away, "_key_0"), dialect.lacks(away, "_key_0"), f"ALTER TABLE {full}"
    (leave,) = dialect.rename_table(old, away)
    (back,) = dialect.rename_table(away, new)
    return [
        replace(leave, words=f"set the {title} aside", done=dialect.lacks(old)),
        Step(f"{alter} {', '.join(added)}", (away,), f"add the new key to the {title}", done=has),
        Step(f"UPDATE {full} AS j{joined} SET {', '.join(given)}", (away,), f"give the {title} their new key"),
        dialect.take_out_unkeyed(away, columns, title),
        Step(f"{alter} {', '.join(clauses)}", (away,), f"make it the key of the {title}", done=lacks),
        replace(back, words=f"put the {title} back", done=dialect.lacks(away)),
    ]
