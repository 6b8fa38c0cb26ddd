"""Which defaults a column of MySQL takes, so that one it would refuse amid a migration is refused before."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal, InvalidOperation

from ...errors import PipelineError
from ...schema import notation
from ..conversions import integer_bits, integer_range
from ..steps import Column
from . import limits, texts

#: A day, or a moment, as far as it is written in the usual way; the server knows others.
_MOMENT = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?: (\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d{1,6})?)?)?", re.ASCII)

#: What a timestamp holds, in UTC, which the session of a migration is in.
_FIRST, _LAST = datetime(1970, 1, 1, 0, 0, 1), datetime(2038, 1, 19, 3, 14, 7)


def refuse(table: str, columns: Iterable[Column]) -> None:
    """Raise where the server would refuse the default of a column.

    Parameters
    ----------
    table : str
        For people.
    columns : iterable of Column
        Those that are new, or get another default or type.
    """
    for column in columns:
        if column.default is not None and (why := _unfit(column, column.default)):
            raise PipelineError(
                f"{column.name} of {table} cannot have the default {column.default}.",
                f"{why}; nothing was changed.",
                "Correct the default in the definition and in the migration that adds it.",
            )


def _unfit(column: Column, default: str) -> str | None:
    """Say why the server refuses a default; None where it takes it, or only it knows."""
    sql = column.sql
    kind, first, second = limits.parsed(sql)
    if not default.startswith("'"):
        now = re.fullmatch(r"CURRENT_TIMESTAMP(?:\((\d*)\))?", default, re.IGNORECASE)
        if now and kind in ("datetime", "timestamp") and int(now[1] or 0) != first:
            right = f"CURRENT_TIMESTAMP({first})" if first else "CURRENT_TIMESTAMP"
            return f"MySQL wants as many digits as {sql} has: {right}"
        if now and kind not in ("datetime", "timestamp"):
            return "MySQL takes it for datetime and timestamp only"
        return None
    text = texts.of_literal(default)
    if kind == "json" or re.fullmatch(r"\w*(blob|text)", kind):
        return f"On MySQL a {kind} can have none but null"
    if kind in ("varchar", "char"):
        return f"It has {len(text)} letters, and {sql} holds {first}" if len(text.rstrip()) > first else None
    if kind == "enum":
        # The server takes one that differs in case, and notes the other.
        return None if text in notation.enum_values(column.core) else "It is none of the values of the enum"
    try:
        if bits := integer_bits(kind):
            least, most = integer_range(bits, unsigned="unsigned" in sql.lower())
            return None if least <= round(_number(text)) <= most else f"{sql} holds {least} to {most}"
        if kind == "decimal":
            most = 10 ** ((first or 10) - second)
            return None if abs(round(_number(text), second)) < most else f"{sql} holds less than {most}"
        if kind in ("float", "double"):
            return None if _number(text).is_finite() else f"A {kind} of MySQL is a number"
        if kind in ("date", "datetime", "timestamp"):
            return _unfit_moment(kind, sql, text)
    except (InvalidOperation, ValueError, OverflowError):
        return f"It is no value of {sql}"
    return None


def _unfit_moment(kind: str, sql: str, text: str) -> str | None:
    """Say why the server refuses a date or a moment; a ``ValueError`` where there is no such day."""
    moment = _MOMENT.fullmatch(text)
    if moment is None:
        # The server reads a date in other ways, too, but none without digits.
        return None if re.search("[0-9]", text) else f"It is no value of {sql}"
    year, month, day, hour, minute, second = (int(part or 0) for part in moment.groups())
    if year == 0:
        return None  # which the server knows, and Python does not
    found = datetime(year, month, day, hour, minute, second)
    if kind == "timestamp" and not _FIRST <= found <= _LAST:
        return f"A timestamp holds {_FIRST} to {_LAST}"
    return None


def _number(text: str) -> Decimal:
    """Read a number as the server does, which knows no other digits than these."""
    if not text.isascii():
        raise ValueError(text)
    return Decimal(text)
