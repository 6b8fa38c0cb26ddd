"""Which types and comments MySQL takes, by its manual's "Data Types", tried on the server."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import PipelineError
from ...schema import notation
from .. import untaken
from ..steps import Column

#: Letters of a char and of a value of an enum, digits of a decimal and of those behind the point, of a second's
#: fraction; bits.
_CHAR, _VALUE, _DIGITS, _PLACES, _FRACTION, _BITS = 255, 255, 65, 30, 6, 64

#: Characters of the comment of a column, and of a table.
_COMMENT, _TABLE_COMMENT = 1024, 2048


def refuse(table: str, columns: Iterable[Column]) -> None:
    """Raise where the server takes no column of such a type, or none with so long a comment.

    Parameters
    ----------
    table : str
        For people.
    columns : iterable of Column
        Those that are new, or declared anew.
    """
    columns = list(columns)
    untaken.refuse(table, columns, _why)
    for column in columns:
        if len(column.comment) > _COMMENT:
            many = " or take fewer values" if column.core.startswith("enum(") else ""
            raise PipelineError(
                f"The comment of {column.name} in {table} is too long.",
                f"It has {len(column.comment):,} characters, with the type that DataJoint notes in it, and MySQL takes "
                f"{_COMMENT:,}; nothing was changed.",
                f"Write it shorter{many}, in the definition and in the migration.",
            )


def refuse_comment(table: str, comment: str) -> None:
    """Raise where the comment of a table is too long."""
    if len(comment) > _TABLE_COMMENT:
        raise PipelineError(
            f"The comment of {table} is too long.",
            f"It has {len(comment):,} characters, and MySQL takes {_TABLE_COMMENT:,}; nothing was changed.",
            "Write it shorter, in the definition and in the migration.",
        )


def _why(column: Column) -> str | None:
    """Say why the server takes no such column."""
    kind, first, second = untaken.sizes(column.sql)
    if kind in ("char", "binary") and (first or 0) > _CHAR:
        return f"MySQL takes {_CHAR} {'letters' if kind == 'char' else 'bytes'} of a {kind}"
    if kind in ("decimal", "numeric") and (first or 0) > _DIGITS:
        return f"MySQL takes {_DIGITS} digits of a decimal"
    if kind in ("decimal", "numeric") and (second or 0) > min(_PLACES, 10 if first is None else first):
        return f"MySQL takes {_PLACES} digits behind the point of a decimal, and no more than it has in all"
    if kind in ("datetime", "timestamp", "time") and (first or 0) > _FRACTION:
        return f"MySQL takes {_FRACTION} digits of a second's fraction"
    if kind == "bit" and not 0 < (1 if first is None else first) <= _BITS:
        return f"MySQL takes 1 to {_BITS} bits"
    if kind == "enum" and (long := [value for value in notation.enum_values(column.core) if len(value) > _VALUE]):
        return f"A value has {len(long[0])} letters, and MySQL takes {_VALUE}"
    return None
