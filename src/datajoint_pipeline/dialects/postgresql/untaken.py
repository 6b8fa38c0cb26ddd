"""Which types PostgreSQL takes, by its manual's "Data Types", tried on the server; of some it makes others."""

from __future__ import annotations

from collections.abc import Iterable

from ...schema import notation
from .. import untaken
from ..steps import Column

#: Letters of a text, digits of a decimal and of a second's fraction, bytes of a value of an enum.
_LETTERS, _DIGITS, _FRACTION, _VALUE = 10_485_760, 1000, 6, 63


def refuse(table: str, columns: Iterable[Column]) -> None:
    """Raise where the server takes no column of such a type.

    Parameters
    ----------
    table : str
        For people.
    columns : iterable of Column
        Those that are new, or get another type.
    """
    untaken.refuse(table, columns, _why)


def _why(column: Column) -> str | None:
    """Say why the server takes no such column."""
    kind, first, _ = untaken.sizes(column.core)
    if kind in ("serial", "bigserial", "smallserial"):
        return "PostgreSQL makes a number with a default of it, as which DataJoint cannot declare it again"
    if kind in ("char", "varchar") and first is not None and not 0 < first <= _LETTERS:
        return f"PostgreSQL takes 1 to {_LETTERS:,} letters"
    if kind in ("decimal", "numeric") and first is not None and not 0 < first <= _DIGITS:
        return f"PostgreSQL takes 1 to {_DIGITS:,} digits"
    if kind in ("datetime", "timestamp", "time") and (first or 0) > _FRACTION:
        return f"PostgreSQL takes {_FRACTION} digits of a second's fraction"
    if kind == "enum":
        long = [value for value in notation.enum_values(column.core) if len(value.encode()) > _VALUE]
        return f"A value has {len(long[0].encode())} bytes, and PostgreSQL takes {_VALUE}" if long else None
    return None
