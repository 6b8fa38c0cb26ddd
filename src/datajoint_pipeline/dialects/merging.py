"""What values become that a conversion may make equal, for a key or a unique index to be asked before it is done."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..schema.notation import is_text
from .conversions import integer_bits, kind_of, real_kind
from .steps import Column

if TYPE_CHECKING:
    from .base import Dialect


def becomes(dialect: Dialect, column: str, was: Column, will: Column) -> str:
    """Give what a column has once it has another type, as far as that may be equal for values that differ now.

    The column itself where no two values become one. The expression fails for no value: what a type cannot hold is
    counted by itself, and need not be right here.

    Parameters
    ----------
    dialect : Dialect
        The server's.
    column : str
        The column, as a statement names it.
    was, will : Column
        Its type before and after.
    """
    old, new = was.core, will.core
    if old == new:
        return column
    if is_text(new):
        plain = is_text(old) and not old.startswith("enum")
        return _shortened(column if plain else dialect.text_of(column, old), old, new)
    if is_text(old):
        return dialect.read(column, old, new)
    real = real_kind(old)
    if real and integer_bits(new):
        return dialect.rounded(column, real, 0)
    if real and real_kind(new) == "decimal":
        places = re.search(r",\s*(\d+)\)", new)
        return dialect.rounded(column, real, int(places[1]) if places else 0)
    if real in ("double", "decimal") and real_kind(new) == "single":
        return dialect.single(column)
    if kind_of(old) == "moment" and new == "date":
        return dialect.day(column)
    if kind_of(old) == kind_of(new) and kind_of(new) in ("moment", "clock") and _fraction(new) < _fraction(old):
        return dialect.to_fraction(column, new, _fraction(new))
    return column


def _shortened(text: str, old: str, new: str) -> str:
    """Give a text as far as its type holds it."""
    length, before = _length(new), _length(old) if is_text(old) else 0
    return f"LEFT({text}, {length})" if length and (not before or before > length) else text


def _length(core: str) -> int:
    found = re.search(r"char\((\d+)\)", core)
    return int(found[1]) if found else 0


def _fraction(core: str) -> int:
    found = re.search(r"\((\d)\)", core)
    return int(found[1]) if found else 0
