"""Another primary key for DataJoint's tables of jobs.

The jobs go through a table of another name. They are copied, and nothing is renamed or altered: a server that is killed
while it renames the file of a table whose name it encodes, as those with a tilde, may not find it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ...internals.job_tables import comment
from ...schema.model import TableName
from ...schema.naming import shorten, unused
from ..base import Dialect
from ..steps import Clearing, NewKey, Step
from . import texts
from .clauses import definition

#: What the name ends in of the table that jobs go through.
AWAY = "_away"


def change_key(dialect: Dialect, old: TableName, new: TableName, key: NewKey, title: str) -> list[Step]:
    """Give the steps, each of which says itself whether it is done.

    Parameters and what they mean are those of :meth:`Dialect.change_key`.
    """
    quote, tables = dialect.quote, dialect.names.tables
    away = TableName(old.schema, unused(shorten(old.table, 64 - len(AWAY)) + AWAY, {table for _, table in tables}))
    there = away if old == new else new
    tables[dialect.place(new)] = tables.pop(dialect.place(old))
    full, source, listed = dialect.full(there), dialect.full(old), dialect.listed([*key.columns])
    columns = [definition(dialect, column) for column in key.columns.values()]
    others = ", ".join(f"j.{quote(name)}" for name in key.others)
    body = ", ".join([*columns, f"PRIMARY KEY ({listed})", f"INDEX ({', '.join(map(quote, key.index))})"])
    joined = "".join(f" JOIN {table} ON {condition}" for table, condition in key.joins)
    conditions = [f"{value} IS NOT NULL" for value in key.values.values()]
    conditions += [f"NOT ({key.doubtful})"] if key.doubtful else []
    # The server takes a comment from what is selected, by which DataJoint tells a uuid from 16 bytes, and a bool.
    named = {name for name, column in key.columns.items() if column.core in ("uuid", "bool")}
    itself = f" JOIN {key.table} AS t" if named else ""
    typed = ", ".join(
        f"{f't.{quote(name)}' if name in named else value} AS {quote(name)}" for name, value in key.values.items()
    )
    fits, into = " AND ".join(conditions), dialect.listed([*key.columns, *key.others])
    rows = f"SELECT {', '.join(key.values.values())}, {others} FROM {source} AS j{joined} WHERE {fits}"
    # A worker of before may write a job's end meanwhile; it is copied, or refused as there is no such table any more.
    locks = [f"{full} WRITE", f"{source} WRITE", f"{source} AS j READ", *(f"{table} READ" for table, _ in key.joins)]
    locks += [f"{source} AS o READ"] if key.doubtful else []
    put = f"INSERT INTO {full} ({into}) {rows}"
    made = [
        Step(
            f"CREATE TABLE {full} ({body}) ENGINE = InnoDB COMMENT = {texts.literal(comment(key.table))} "
            f"SELECT {typed}, {others} FROM {source} AS j{joined}{itself} WHERE FALSE",
            (there,),
            f"make a place for the {title} with their new key",
            done=dialect.has(there),
        ),
        Step(
            f"DROP TABLE {source}",
            (old,),
            f"put the {title} there, and drop the table that they were in",
            done=dialect.lacks(old),
        ).alone((f"DELETE FROM {full}", put), *locks),
    ]
    if there == new:
        return made
    # A worker of before makes the table with its old key where there is none. What it writes there is copied, too, but
    # that a job waits, which DataJoint says again; so it stays where it is in this one, and not where it is in that.
    other, same = _other_columns(dialect, old, away), _same(quote, key.columns)
    more = f"{put.replace('INSERT', 'REPLACE', 1)} AND j.{quote('status')} <> 'pending'"
    clearing = Clearing(other, (more, f"DROP TABLE {source}"), tuple(locks))
    left = f"LEFT JOIN {source} AS s ON {same} WHERE s.{quote(next(iter(key.columns)))} IS NULL"
    back = f"REPLACE INTO {source} SELECT j.* FROM {full} AS j {left} OR s.{quote('status')} = 'pending'"
    there_already = f"SELECT ({dialect.has(old)}) AND NOT ({other})"
    return [
        *made,
        Step(
            f"CREATE TABLE {source} LIKE {full}",
            (old,),
            f"make the table of the {title} anew",
            done=there_already,
            clearing=clearing,
        ),
        Step(back, (old,), f"put the {title} back"),
        Step(f"DROP TABLE {full}", (there,), f"drop what the {title} went through", done=dialect.lacks(there)),
    ]


def _same(quote: Callable[[str], str], columns: Iterable[str]) -> str:
    """Give the condition that two jobs, ``j`` and ``s``, are of the same key."""
    return " AND ".join(f"s.{quote(name)} = j.{quote(name)}" for name in columns)


def _other_columns(dialect: Dialect, name: TableName, like: TableName) -> str:
    """Give a query that is true where there is a table whose columns are not those of another."""
    (database, table), (_, other) = dialect.place(name), dialect.place(like)

    def columns(alias: str, table: str) -> str:
        where = f"{alias}.table_schema = {dialect.literal(database)} AND {alias}.table_name = {dialect.literal(table)}"
        return f"FROM information_schema.columns AS {alias} WHERE {where}"

    same = "f.column_name = w.column_name AND f.column_type = w.column_type"
    alike = f"SELECT COUNT(*) {columns('w', other)} AND EXISTS (SELECT 1 {columns('f', table)} AND {same})"
    both = [f"SELECT COUNT(*) {columns('c', one)}" for one in (table, other)]
    return f"SELECT ({dialect.has(name)}) AND (({alike}) <> ({both[0]}) OR ({alike}) <> ({both[1]}))"
