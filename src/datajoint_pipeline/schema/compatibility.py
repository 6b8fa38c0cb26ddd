"""Whether a column can take the values of another type, and what a cut or a rounding leaves of a value."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from decimal import Decimal, InvalidOperation

from . import notation

_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_TEXT = re.compile(r"(var)?char|(tiny|medium|long)?text")
_BLOB = re.compile(r"(tiny|medium|long)?blob|varbinary")


def takes(now: str, was: str) -> bool:
    """Whether a column of a server's type takes every value of another type; of a text the value itself decides."""
    if now == was or any(family.match(now) and family.match(was) for family in (_TEXT, _BLOB)):
        return True
    if now.startswith("enum") and was.startswith("enum"):
        return set(notation.enum_values(was)) <= set(notation.enum_values(now))
    (new, more), (old, less) = _divided(now), _divided(was)
    if {new, old} <= {"decimal", "numeric"} and len(more) == len(less) == 2:
        (p, s), (q, r) = more, less
        return s >= r and p - s >= q - r
    if new == old and re.match(r"time|datetime", new):
        # Where no digits are said, it depends on the server and the type how many there are.
        most = 0 if new == "datetime" else 6
        return (more or [0])[0] >= (less or [most])[0]
    (size_, *sign), (was_size, *was_sign) = new.split(), old.split()
    if size_ in _BITS and was_size in _BITS:
        signed = was_sign != sign
        return _BITS[size_] >= _BITS[was_size] + signed and ("unsigned" not in sign or not signed)
    return (old, new) in (("float", "double"), ("real", "double precision"))


def _divided(type_: str) -> tuple[str, list[int]]:
    """The words of a type, and its numbers."""
    return re.sub(r"\(.*?\)", "", type_).strip(), [int(digits) for digits in re.findall(r"\d+", type_)]


def left_of(now: object, kept: object, becomes: str) -> bool:
    """Whether a value is what a cut or a rounding to a type left of another."""
    if not becomes or not isinstance(now, str) or not isinstance(kept, str):
        return False
    if most := notation.text_size(becomes):
        return now.rstrip(" ") == kept[:most].rstrip(" ")
    type_, *digits = re.findall(r"[a-z]+\d*|\d+", becomes)
    with suppress(ValueError):
        moments = [datetime.fromisoformat(text) for text in (now, kept)]
        unit = 86400.0 if type_ == "date" else 10.0 ** -int((digits or [0])[0])
        return abs((moments[0] - moments[1]).total_seconds()) <= unit
    with suppress(InvalidOperation):
        one, other = Decimal(now), Decimal(kept)
        unit_ = abs(other) / 2**23 if "float" in type_ else Decimal(10) ** -int(digits[1] if len(digits) > 1 else 0)
        return abs(one - other) <= unit_
    return False
