"""Indexes and constraints of PostgreSQL: their names, which are unique in a schema, and their statements."""

from __future__ import annotations

import re

from ...schema.model import ForeignKey, Index, TableName
from ...schema.naming import unused
from ...schema.notation import path_of
from ..base import Dialect
from ..constraints import IndexName, index_changes
from ..steps import Step


def constraint(dialect: Dialect, name: str) -> str:
    """Name a constraint in a clause."""
    return f"CONSTRAINT {dialect.quote(name)}"


def constraint_name(dialect: Dialect, name: TableName, columns: tuple[str, ...], label: str) -> str:
    """Give the name that the server gives a constraint of a table, such as ``table_columns_fkey``."""
    database, table = dialect.place(name)
    middle = "".join(f"_{column}" for column in columns)
    longest = 63 - len(label) - 1
    while len(table.encode()) + len(middle.encode()) > longest:
        table, middle = (table[:-1], middle) if len(table) >= len(middle) else (table, middle[:-1])
    return unused(f"{table}{middle}_{label}", dialect.names.in_use(database))


def add(dialect: Dialect, name: TableName, index: Index) -> list[Step]:
    """Add an index to a table."""
    place = dialect.place(name)
    columns = "_".join(re.sub(r"\W+", "_", column) for column in index.columns)[:30]
    known = IndexName(unused(f"idx_{place[1]}_{columns}", dialect.names.in_use(place[0])), index)
    dialect.names.table(place).indexes.append(known)
    parts = ", ".join(_indexed(dialect, column) for column in index.columns)
    kind = "UNIQUE INDEX" if index.unique else "INDEX"
    sql = f"CREATE {kind} {dialect.quote(known.name)} ON {dialect.full(name)} ({parts})"
    return [Step(sql, (name,), f"add {kind.lower()} ({', '.join(index.columns)}) to {name}", lock="writes")]


def _indexed(dialect: Dialect, text: str) -> str:
    """Give a column, a path into JSON or an expression, as an index has it."""
    if path := path_of(text):
        parts = ", ".join(dialect.literal(part) for part in re.findall(r"[^.\[\]]+", path[1]))
        value = f"jsonb_extract_path_text({dialect.quote(path[0])}, {parts})"
        type_ = path[2].replace("signed", "bigint").replace("decimal", "numeric")
        return f"(({value})::{type_})" if type_ else f"({value})"
    if text.startswith("("):
        return text
    match = re.fullmatch(r"(\w+)( desc)?", text)
    return dialect.quote(match[1]) + (match[2] or "").upper() if match else dialect.quote(text)


def drop(dialect: Dialect, name: TableName, index: Index) -> list[Step]:
    """Drop an index of a table, if it is there."""
    place = dialect.place(name)
    indexes = dialect.names.table(place).indexes
    found = next((known for known in indexes if known.index == index), None)
    if found is None:
        return []
    indexes.remove(found)
    sql = f"DROP INDEX {'.'.join(map(dialect.quote, (place[0], found.name)))}"
    return [Step(sql, (name,), f"drop index ({', '.join(index.columns)}) of {name}")]


def reindex(dialect: Dialect, name: TableName, before: list[Index], after: list[Index]) -> list[Step]:
    """Make the indexes of one state of a table those of another."""
    dropped, added = index_changes(before, after)
    steps = [step for index in dropped for step in drop(dialect, name, index)]
    return steps + [step for index in added for step in add(dialect, name, index)]


def add_key(dialect: Dialect, name: TableName, key: ForeignKey) -> Step:
    """Add a foreign key to a table."""
    called = constraint_name(dialect, name, key.attributes, "fkey")
    dialect.names.table(dialect.place(name)).foreign_keys.append(dialect.key_name(key, called))
    sql = f"ALTER TABLE {dialect.full(name)} ADD {constraint(dialect, called)} {dialect.references(key)}"
    phrase = f"add foreign key ({', '.join(key.attributes)}) to {key.parent} in {name}"
    return Step(sql, (name,), phrase, lock="writes")
