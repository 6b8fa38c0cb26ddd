"""Refuses to change a table that is not stored in InnoDB, as MyISAM was the usual one long ago, or to refer to one."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import PipelineError
from ...schema.model import TableName
from ..base import Dialect


def refuse(dialect: Dialect, names: Iterable[TableName]) -> None:
    """Raise where one of some tables, by their names at that point, is stored otherwise."""
    for name in names:
        database, table = dialect.place(name)
        known = dialect.names.tables.get((database, table))
        if known is not None and known.engine not in ("", "InnoDB"):
            raise PipelineError(
                f"{name} is stored in {known.engine}.",
                "It has no transactions and no foreign keys, and the server refuses what a migration asks for; nothing "
                "was changed.",
                f"Say ALTER TABLE {dialect.full(name)} ENGINE = InnoDB, then run the command again; if that names a "
                f"difference, run adopt --again {name.schema} before.",
            )
