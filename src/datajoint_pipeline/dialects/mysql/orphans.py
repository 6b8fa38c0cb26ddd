"""Rows that have no parent, for the steps that fail where there are such."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...schema.model import TableName
from ..base import Dialect


def rows(
    dialect: Dialect, name: TableName, parent: TableName, pairs: Iterable[tuple[str, str]], key: Sequence[str]
) -> tuple[str, str, str, str]:
    """Give the rows of a table that have none of a parent, as a step has them; ``pairs`` joins theirs and ours."""
    columns = [(dialect.quote(theirs), dialect.quote(ours)) for theirs, ours in pairs]
    on = " AND ".join(f"p.{theirs} = c.{ours}" for theirs, ours in columns)
    known = " AND ".join(f"c.{ours} IS NOT NULL" for _, ours in columns)
    there = f"SELECT 1 FROM {dialect.full(parent)} p WHERE {on}"
    listed = ", ".join(f"c.{dialect.quote(attribute)}" for attribute in key)
    return str(name), str(parent), listed, f"FROM {dialect.full(name)} c WHERE {known} AND NOT EXISTS ({there})"
