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


def size(type_: str) -> int:
    """How many characters a text of a type may have; 0 where the type says none."""
    found = re.fullmatch(r"(?:var)?char\((\d+)\)", type_)
    return int(found[1]) if found else 0


def takes(now: str, was: str) -> bool:
    """Whether a column of a server's type takes every value of another type; of a text the value itself decides."""
    if now == was or any(family.match(now) and family.match(was) for family in (_TEXT, _BLOB)):
        return True
    if now.startswith("enum") and was.startswith("enum"):
        return set(notation.enum_values(was)) <= set(notation.enum_values(now))
    (new, *more), (old, *less) = (re.findall(r"[a-z]+|\d+", type_) for type_ in (now, was))
    if new in _BITS and old in _BITS:
        signed = "unsigned" in less and "unsigned" not in more
        return _BITS[new] >= _BITS[old] + signed and ("unsigned" in more) <= ("unsigned" in less)
    if {new, old} <= {"decimal", "numeric"} and len(more) == len(less) == 2:
        (p, s), (q, r) = (tuple(map(int, digits)) for digits in (more, less))
        return s >= r and p - s >= q - r
    if new == old and new in ("datetime", "timestamp", "time"):
        most = 0 if "datetime" in (new, old) else 6  # what PostgreSQL has where nothing is said
        return int((more or [most])[0]) >= int((less or [most])[0])
    return (old, new) in (("float", "double"), ("real", "double"))


def left_of(now: object, kept: object, becomes: str) -> bool:
    """Whether a value is what a cut or a rounding to a type left of another."""
    if not becomes or not isinstance(now, str) or not isinstance(kept, str):
        return False
    if most := size(becomes):
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
