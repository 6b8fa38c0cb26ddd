"""Whether a value comes back from another form as it was, types included; what JSON makes of values on either server.

Knows plain Python values, and NumPy's where they are given; no table and no connection.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

#: How deep MySQL takes a document.
_DEEP = 100

#: The whole numbers that MySQL keeps in JSON; others become floats.
_WHOLE = -(2**63), 2**64 - 1


def difference(one: Any, other: Any) -> str:
    """Tell what of a value another one is not, in words; empty where both are the same, types included."""
    if type(one) is not type(other):
        return f"{_called(one)} would come back as {_called(other)}"
    if isinstance(one, float):
        same = struct.pack("d", one) == struct.pack("d", other) or (math.isnan(one) and math.isnan(other))
        return "" if same else f"{one!r} would come back as {other!r}"
    if isinstance(one, Mapping):
        return _of_pairs(one, other)
    if isinstance(one, (list, tuple)):
        if len(one) != len(other):
            return f"{len(one)} values would come back as {len(other)}"
        return next(filter(None, map(difference, one, other)), "")
    if hasattr(one, "dtype"):
        return _of_arrays(one, other)
    return "" if _equal(one, other) else f"{_called(one)} would come back as another"


def _called(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1] in 'aeiou' else 'a'} {name}"


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # what cannot be compared is not known to be the same
        return False


def _of_pairs(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> str:
    kinds = {(type(key), key) for key in one}
    for key in other:
        if (type(key), key) not in kinds:
            return f"the key {key!r} was none before"
    if len(one) != len(other):
        return f"{len(one)} keys would come back as {len(other)}"
    return next(filter(None, (difference(one[key], other[key]) for key in one)), "")


def _of_arrays(one: Any, other: Any) -> str:
    if one.dtype != other.dtype or one.shape != other.shape:
        return f"an array of {one.dtype} {one.shape} would come back as one of {other.dtype} {other.shape}"
    if one.dtype.hasobject:
        return difference(one.tolist(), other.tolist())
    return "" if one.tobytes() == other.tobytes() else "an array would come back with other numbers"


def plain(value: Any) -> Any:
    """Give a value with lists and plain numbers in place of NumPy's arrays of numbers and its numbers.

    Each number is the same; which type of NumPy's it had is gone. A value in which there are none is returned itself.
    """
    if hasattr(value, "dtype"):
        numbers = value.dtype.kind in "biuf" and value.dtype.itemsize <= 8 and value.size
        return value.tolist() if numbers else value
    if isinstance(value, dict):
        found: Any = {key: plain(part) for key, part in value.items()}
        same = all(found[key] is part for key, part in value.items())
    elif type(value) is list:
        found = [plain(part) for part in value]
        same = all(one is other for one, other in zip(value, found, strict=True))
    else:
        return value
    return value if same else found


def from_json(value: Any, *, mysql: bool) -> Any:
    """Give what a server's JSON gives back for a value.

    Raises
    ------
    ValueError, TypeError
        If it takes none such.
    """

    def refuse(value: Any) -> Any:
        raise TypeError(f"JSON has no {type(value).__name__}")

    if isinstance(value, str) and not mysql:
        raise ValueError("DataJoint does not read a text alone from JSON of PostgreSQL")  # 2.3.5
    for text in _texts(value):
        text.encode()
        if not mysql and "\0" in text:
            raise ValueError("PostgreSQL takes no text with a zero character")
    if mysql and _depth(value) > _DEEP:
        raise ValueError(f"It is more than {_DEEP} values deep")
    text = json.dumps(value, default=refuse, allow_nan=False)
    return json.loads(text, parse_int=_whole) if mysql else json.loads(text, parse_float=_numeric)


def _whole(text: str) -> int | float:
    return int(text) if _WHOLE[0] <= int(text) <= _WHOLE[1] else float(text)


def _numeric(text: str) -> int | float:
    """Give what PostgreSQL has for a number that is no whole one: decimal digits, without a sign before zero."""
    number = Decimal(text)
    if "e" in text.lower() and number == number.to_integral_value():
        return int(number)
    return float(text) + 0.0 if number else 0.0


def _within(value: Any) -> Iterator[Any]:
    """Give what a list or mapping holds."""
    if isinstance(value, Mapping):
        yield from value
        yield from value.values()
    elif isinstance(value, (list, tuple)):
        yield from value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for part in _within(value):
        yield from _texts(part)


def _depth(value: Any) -> int:
    return 1 + max(map(_depth, _within(value)), default=0)
