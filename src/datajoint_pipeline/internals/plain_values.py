"""Whether a value comes back from another form as it was, types included; what JSON makes of values on either server.

Knows plain Python values, and NumPy's where they are given; no table and no connection.
"""

from __future__ import annotations

import json
import math
import re
import struct
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Context, Decimal
from numbers import Integral, Real
from typing import Any

from ..schema import notation

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


def single(value: float | None) -> float | None:
    """Give the number that a float32 is written as, with as few digits as tell it from every other one."""
    import numpy as np

    return None if value is None else float(str(np.float32(value)))


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


#: Bytes of what MySQL's shorter types hold, and its moments and times of day.
_BYTES = {"tiny": 2**8 - 1, "": 2**16 - 1, "medium": 2**24 - 1}
_TIMESTAMP = datetime(1970, 1, 1, 0, 0, 1), datetime(2038, 1, 19, 3, 14, 7)
_LONGEST = timedelta(hours=838, minutes=59, seconds=59)


def refuse_unheld(value: Any, type_: str, *, mysql: bool) -> None:
    """Raise where a column of a core or native type would hold another value than one that DataJoint stores there.

    A server refuses some, and rounds, cuts or reads others as something else without a word.

    Raises
    ------
    ValueError
        With the reason.
    """
    core = notation.normal_type(type_)
    if notation.is_number(core):
        _refuse_number(value, core, mysql=mysql)
    elif isinstance(value, bytes):
        size, bytes_ = re.search(r"\((\d+)\)", core), re.fullmatch(r"(tiny|medium|)blob", core)
        most = int(size[1]) if size else _BYTES[bytes_[1]] if bytes_ else len(value)
        if len(value) > most or (core.startswith("binary") and len(value) < most):
            raise ValueError(f"It has {len(value)} bytes")
    elif notation.is_text(core):
        _refuse_text(value, core, mysql=mysql)
    elif core == "uuid":
        if not isinstance(value, uuid.UUID):
            raise _another_type(value)
        if not mysql:
            raise ValueError("DataJoint does not store a uuid in PostgreSQL")  # 2.3.5
    elif re.match(r"date|time", core):
        _refuse_moment(value, core, mysql=mysql)
    else:
        raise ValueError(f"Which values a column of {type_} holds is not known")


def _another_type(value: Any) -> ValueError:
    return ValueError(f"It is {type(value).__name__}")


def _refuse_number(value: Any, core: str, *, mysql: bool) -> None:
    if core == "bool" and not mysql and not isinstance(value, bool):
        raise _another_type(value)
    if isinstance(value, Integral):
        number = Decimal(int(value))
    elif isinstance(value, (Real, Decimal)) and re.match(r"float|double|decimal|numeric", core):
        number = Decimal(str(value))
    else:
        raise _another_type(value)
    if number.is_nan():
        raise ValueError("DataJoint stores NULL for a number that is none")
    limits = notation.limits("int16" if core == "int8" and not mysql else core)
    if re.match(r"float|double", core):
        _refuse_binary(number, core, mysql=mysql)
    elif number.is_infinite() or (limits and not limits[0] <= number <= limits[1]):
        raise ValueError(f"{number} is out of range")
    elif core == "year" and not (number == 0 or 1901 <= number <= 2155):
        raise ValueError(f"{number} is no year")
    elif core == "bool" and number not in (0, 1):
        raise ValueError(f"{number} is neither 0 nor 1")
    else:
        places = re.search(r",(\d+)\)", core)
        exact = Context(prec=400, Emax=999999, Emin=-999999)
        unit = Decimal(1).scaleb(-int(places[1]) if places else 0)
        if number.quantize(unit, context=exact) != number:
            raise ValueError(f"{number} would be rounded")


def _refuse_binary(number: Decimal, core: str, *, mysql: bool) -> None:
    if number.is_infinite():
        if mysql:
            raise ValueError("MySQL has no infinity")
        return
    stored = float(number)
    if core in ("float", "float32"):
        with suppress(OverflowError):  # which leaves more than it holds
            stored = struct.unpack("f", struct.pack("f", stored))[0]
        # Or it is what DataJoint reads of the float32 that it is nearest to.
        same = abs(stored) < 3.5e38 and float(number) in (stored, single(stored))
    else:
        same = Decimal(repr(stored)) == number or Decimal(stored) == number
    if not same:
        raise ValueError(f"{number} would be rounded")


def _refuse_text(value: Any, core: str, *, mysql: bool) -> None:
    if not isinstance(value, str):
        raise _another_type(value)
    size, bytes_ = notation.text_size(core), re.fullmatch(r"(tiny|medium|)text", core)
    if core.startswith("enum"):
        if value not in notation.enum_values(core):
            raise ValueError(f"{value!r} is none of its values")
    elif size is not None and len(value) > size:
        raise ValueError(f"It has {len(value)} characters")
    elif core.startswith("char") and value.endswith(" "):
        raise ValueError("It ends with a space, which a char does not keep")
    if "\0" in value and not mysql:
        raise ValueError("PostgreSQL takes no text with a zero character")
    if mysql and bytes_ and len(value.encode()) > _BYTES[bytes_[1]]:
        raise ValueError(f"It has {len(value.encode())} bytes")
    value.encode()


def _refuse_moment(value: Any, core: str, *, mysql: bool) -> None:
    kinds: dict[str, type] = {"date": date, "time": time}
    kind = kinds.get(re.sub(r"\(.*", "", core), datetime)
    if type(value) is timedelta and kind is time and mysql:
        if abs(value) > _LONGEST:
            raise ValueError(f"{value} is out of range")
        fraction = value.microseconds
    elif type(value) is not kind or getattr(value, "tzinfo", None) is not None:
        raise _another_type(value) if type(value) is not kind else ValueError("It has a time zone")
    else:
        fraction = getattr(value, "microsecond", 0)
    digits = re.search(r"\((\d)\)", core)
    if fraction % 10 ** (6 - (int(digits[1]) if digits else 0 if mysql else 6)):
        raise ValueError(f"{value} would be rounded")
    if mysql and core.startswith("timestamp") and not _TIMESTAMP[0] <= value <= _TIMESTAMP[1]:
        raise ValueError(f"{value} is out of range")


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
