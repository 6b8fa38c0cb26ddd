"""Type compatibility: whether a column takes the values of another type, and what a cut or a rounding leaves of one.

Also which types of definitions hold the same kind of values, and which store them in the same form.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import datetime
from decimal import Decimal, InvalidOperation

from . import notation
from .notation import NATIVE_BITS

_TEXT = re.compile(r"(var)?char|(tiny|medium|long)?text")
_BLOB = re.compile(r"(tiny|medium|long)?blob|varbinary")

_FAMILIES = (
    ("int", ("int", "tinyint", "smallint", "mediumint", "bigint", "bool", "serial")),
    ("real", ("float", "double", "decimal", "numeric")),
    ("text", ("char", "varchar", "enum", "tinytext", "text", "mediumtext", "longtext")),
    ("moment", ("date", "datetime", "timestamp", "time", "year")),
)


def takes(column: str, source: str) -> bool:
    """Say whether a column of a server type takes every value of another type; of a text, the value decides."""
    if column == source or any(family.match(column) and family.match(source) for family in (_TEXT, _BLOB)):
        return True
    if column.startswith("enum") and source.startswith("enum"):
        return set(notation.enum_values(source)) <= set(notation.enum_values(column))
    (new, more), (old, less) = _divided(column), _divided(source)
    if {new, old} <= {"decimal", "numeric"} and len(more) == len(less) == 2:
        (p, s), (q, r) = more, less
        return s >= r and p - s >= q - r
    if new == old and re.match(r"time|datetime", new):
        # Where no digits are given, it depends on the server and the type how many there are.
        most = 0 if new == "datetime" else 6
        return (more or [0])[0] >= (less or [most])[0]
    (size_, *sign), (was_size, *was_sign) = new.split(), old.split()
    if size_ in NATIVE_BITS and was_size in NATIVE_BITS:
        signed = was_sign != sign
        return NATIVE_BITS[size_] >= NATIVE_BITS[was_size] + signed and ("unsigned" not in sign or not signed)
    return (old, new) in (("float", "double"), ("real", "double precision"))


def may_take(type_: str, source: str) -> bool:
    """Say whether an attribute can take values of another type's as they are, as far as each of them fits."""
    if type_ == source:
        return True
    if type_.startswith("enum"):
        return source.startswith("enum") and set(notation.enum_values(source)) <= set(notation.enum_values(type_))
    will, was = (one.removeprefix("native ") for one in (type_, source))
    if (will == "bool") != (was == "bool"):
        return False  # PostgreSQL has a type of its own for it
    return (family(will), family(was)) in (
        *((kind, kind) for kind in ("int", "real", "text")),
        ("real", "int"),
        ("text", "int"),
    )


def _divided(type_: str) -> tuple[str, list[int]]:
    """Divide a type into its words and its numbers."""
    return re.sub(r"\(.*?\)", "", type_).strip(), [int(digits) for digits in re.findall(r"\d+", type_)]


def left_of(value: object, original: object, target: str) -> bool:
    """Say whether a value is what a cut or a rounding to a type left of another value."""
    if not target or not isinstance(value, str) or not isinstance(original, str):
        return False
    if target.startswith("json"):
        with suppress(ValueError):
            return bool(json.loads(value, parse_int=float) == json.loads(original, parse_int=float))
        return False
    if most := notation.text_size(target):
        return value.rstrip(" ") == original[:most].rstrip(" ")
    type_, *digits = re.findall(r"[a-z]+\d*|\d+", target)
    with suppress(ValueError):
        moments = [datetime.fromisoformat(text) for text in (value, original)]
        unit = 86400.0 if type_ == "date" else 10.0 ** -int((digits or [0])[0])
        return abs((moments[0] - moments[1]).total_seconds()) <= unit
    with suppress(InvalidOperation):
        one, other = Decimal(value), Decimal(original)
        unit_ = abs(other) / 2**23 if "float" in type_ else Decimal(10) ** -int(digits[1] if len(digits) > 1 else 0)
        return abs(one - other) <= unit_
    return False


def family(type_: str) -> str:
    """Give the kind of values that a type holds; a rename does not change it."""
    if type_.startswith("<"):
        return type_.partition("@")[0].rstrip(">")
    word = type_.partition("(")[0].split(",")[0].strip().rstrip("0123456789").split(" ")[0]
    return next((family for family, words in _FAMILIES if word in words), word)


def is_bytes(type_: str) -> bool:
    """Tell whether a type, without a codec, holds bytes that a codec may have written."""
    return not type_.startswith("<") and re.search(r"blob|^bytes|bytea", type_) is not None


def changes_codec(before: str, after: str) -> bool:
    """Tell whether a value is stored in another form under one type than under the other.

    Another store makes no difference: where an object is, its value says itself.
    """
    if not (before.startswith("<") or after.startswith("<")):
        return False
    if before == f"{after[1:-1]}, stored as longblob":
        return False  # DataJoint 0.14 named a codec without brackets, and wrote the same bytes
    old, new = (type_.rstrip(">").partition("@") for type_ in (before, after))
    return (old[0], old[1]) != (new[0], new[1])
