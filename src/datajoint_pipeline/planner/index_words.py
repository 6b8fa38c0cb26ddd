"""Refuses indexes over expressions that MySQL writes in other words than their definition, before they are made."""

from __future__ import annotations

from collections.abc import Iterator

from ..dialects.constraints import Names
from ..dialects.mysql import index_words
from ..schema.notation import path_of
from .deployment import Deployment
from .plan import Group, Violation


def violations(deployment: Deployment, group: Group) -> Iterator[Violation]:
    """Give each expression that a group brings, and how the server writes it."""
    if deployment.connection.adapter.backend != "mysql":
        return
    had = {column for table in group.before.values() for index in table.indexes for column in index.columns}
    for name, table in group.after.items():
        columns = {column for index in table.indexes for column in index.columns} - had
        new = sorted(column for column in columns if column.startswith("(") and not path_of(column))
        if not new:
            continue
        dialect = deployment.dialect(Names(), {}, group.after)
        among = list(dialect.columns(group.after, table).values())
        for given, wrote in index_words.written(deployment.connection, dialect.place(name), among, new).items():
            if wrote != given:
                yield Violation(name, "index", 1, f"index over {given} that the server writes as {wrote}", ())
