"""Indexes of MySQL: their names, and the clauses that add and drop them."""

from __future__ import annotations

import re

from ...schema.model import Index, Table
from ...schema.naming import unused
from ...schema.notation import path_of
from ..base import Dialect
from ..constraints import IndexName, index_changes
from .clauses import INPLACE, Clauses
from .effects import IndexAdded, IndexDropped


def named(index: Index, others: list[IndexName]) -> IndexName:
    """Give an index the name that the server would give it beside others of its table."""
    match = re.match(r"\w+", index.columns[0])
    taken = {"primary", *(other.name.lower() for other in others)}
    return IndexName(unused((match[0] if match else "functional_index").lower(), taken), index)


def clause(dialect: Dialect, known: IndexName) -> str:
    """Give an index as CREATE TABLE has it."""
    columns = ", ".join(_indexed(dialect, column) for column in known.index.columns)
    return f"{'UNIQUE ' * known.index.unique}INDEX {dialect.quote(known.name)} ({columns})"


def _indexed(dialect: Dialect, text: str) -> str:
    """Give a column, a part of one, a path into JSON or an expression, as an index has it."""
    if path := path_of(text):
        name, inside, type_ = path
        inside = inside if inside.startswith("[") else f".{inside}"
        returning = f" returning {type_}" if type_ else ""
        return f"(json_value({dialect.quote(name)}, _utf8mb4{dialect.literal('$' + inside)}{returning}))"
    if text.startswith("("):
        return text
    if match := re.fullmatch(r"(\w+)(\(\d+\))?( desc)?", text):
        return dialect.quote(match[1]) + (match[2] or "") + (match[3] or "").upper()
    return dialect.quote(text)


def add(dialect: Dialect, clauses: Clauses, indexes: list[IndexName], index: Index) -> None:
    """Add an index to clauses, and to the indexes that the table has by then."""
    indexes.append(named(index, indexes))
    kind = "unique index" if index.unique else "index"
    phrase = f"add {kind} ({', '.join(index.columns)})"
    clauses.computed |= _is_computed(index.columns)
    clauses.add(f"ADD {clause(dialect, indexes[-1])}", INPLACE, phrase, IndexAdded(indexes[-1]))


def drop(dialect: Dialect, clauses: Clauses, name: str, columns: tuple[str, ...]) -> None:
    """Add to clauses that an index is dropped."""
    phrase = f"drop index ({', '.join(columns)})"
    clauses.computed |= _is_computed(columns)
    clauses.add(f"DROP INDEX {dialect.quote(name)}", INPLACE, phrase, IndexDropped(name))


def _is_computed(columns: tuple[str, ...]) -> bool:
    return any(column.startswith("(") for column in columns)


def reindex(dialect: Dialect, table: Table, before: Table, after: Table) -> Clauses:
    """Give clauses that make the indexes of one state of a table those of another."""
    place = dialect.place(table.name)
    clauses, known = Clauses(), dialect.names.table(place).indexes
    dropped, added = index_changes(dialect.expected(before), dialect.expected(after))
    for index in dropped:
        name = dialect.names.index(place, index)
        found = next(one for one in known if one.name == name)
        known.remove(found)
        drop(dialect, clauses, name, found.index.columns)
    for index in added:
        add(dialect, clauses, known, index)
    return clauses
