"""Conditions for the values that another type cannot hold: those that a server would refuse, round, cut or mistake.

Whether values survive is a question to the data, not to the types: a column of whole numbers may well become an
``int32`` though it was a ``float64``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ..dialects.base import Dialect
from ..schema import notation
from ..schema.notation import is_text


class Loss(NamedTuple):
    """Values that do not come through: kind (:class:`step.Probe`), condition, words, whether the server is silent."""

    kind: str
    condition: str
    words: str
    silent: bool


_BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64, "tinyint": 8, "smallint": 16, "mediumint": 24}
_BITS |= {"int": 32, "integer": 32, "bigint": 64}

#: What a float32 can hold, zero apart.
_LARGEST, _SMALLEST = "3.4028234663852886e38", "1.5e-45"

_NUMBER = ("bool", "int", "real")

#: Kinds of types no value of which is one of another kind, though a server may find one.
_NEVER = {
    **dict.fromkeys(_NUMBER, ("uuid", "moment", "bytes")),
    "moment": (*_NUMBER, "uuid", "json", "bytes"),
    "uuid": (*_NUMBER, "moment", "enum", "json"),
    "json": (*_NUMBER, "uuid", "moment", "enum"),
    "bytes": (*_NUMBER, "uuid", "moment", "enum", "json"),
}

_WHOLE = "^[[:space:]]*[+-]?[0-9]+[[:space:]]*$"
_DECIMAL = "^[[:space:]]*[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,3})?[[:space:]]*$"
_UUID = "^[{]?[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}[}]?$"
_DAY = "([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_MOMENT = f"^{_DAY}([ T]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9][0-9]?[0-9]?[0-9]?[0-9]?[0-9]?)?)?)?$"


def losses(dialect: Dialect, column: str, old: str, new: str) -> Iterator[Loss]:
    """What does not come through where a column changes from one core type to another.

    Parameters
    ----------
    dialect : Dialect
        The backend.
    column : str
        The column, as a statement names it.
    old, new : str
        Core or native types.
    """
    yield from _Conversion(dialect, column, old, new).losses()


def kind_of(core: str) -> str:
    """What kind of values a core or native type holds; empty for one that only a server knows."""
    if core.startswith("enum"):
        return "enum"
    if is_text(core):
        return "text"
    if core in ("bool", "uuid"):
        return core
    if _bits(core):
        return "int"
    if _real(core):
        return "real"
    kinds = {"date|timestamp": "moment", "json": "json", ".*blob|.*binary|byte": "bytes"}
    return next((kind for pattern, kind in kinds.items() if re.match(pattern, core)), "")


def _bits(core: str) -> int:
    return _BITS.get(core.partition(" ")[0].partition("(")[0], 0)


def _real(core: str) -> str:
    """``single``, ``double``, ``decimal`` or nothing."""
    if core in ("float32", "real"):
        return "single"
    if core in ("float64", "double", "double precision"):
        return "double"
    return "decimal" if re.match(r"decimal|numeric", core) else "single" if core == "float" else ""


def _scale(core: str) -> tuple[int, int]:
    """Digits of a decimal, and how many of them are behind the point."""
    found = re.search(r"\((\d+)(?:,\s*(\d+))?\)", core)
    return (int(found[1]), int(found[2] or 0)) if found else (10, 0)


@dataclass(frozen=True)
class _Conversion:
    dialect: Dialect
    column: str
    old: str
    new: str

    @property
    def mysql(self) -> bool:
        return self.dialect.backend == "mysql"

    def losses(self) -> Iterator[Loss]:
        was, will = kind_of(self.old), kind_of(self.new)
        if (self.old, will) == ("binary(16)", "uuid"):
            return  # how MySQL keeps a uuid
        if will in _NEVER.get(was, ()) or (was, will, self.mysql) == ("bytes", "text", False):
            yield Loss("value", f"{self.column} IS NOT NULL", f"cannot become {self.new}", True)
        elif was == "bytes" and will == "text":
            yield Loss("value", f"CONVERT({self.column} USING utf8mb4) IS NULL", "are no text", False)
        elif will == "enum":
            yield from self._enum()
        elif was == "enum" and will != "text":
            yield from self._from_text(will)
        elif will == "text":
            yield from self._text()
        elif was == "text":
            yield from self._from_text(will)
        elif was == "moment" == will:
            yield from self._moment()
        elif was in _NUMBER and will in _NUMBER:
            yield from self._number(self.column, self.old)
        elif was in _NUMBER and will == "json" and self.mysql and _real(self.old) == "decimal":
            yield from self._double(self.column)

    @property
    def _of_text(self) -> bool:
        return is_text(self.old)

    @property
    def _fraction(self) -> str:
        """How many digits of a second the new type has."""
        digits = re.search(r"\((\d)\)", self.new)
        return digits[1] if digits else ("0" if self.mysql else "6")

    @property
    def _as_text(self) -> str:
        if self.mysql and self.old == "uuid":
            return f"BIN_TO_UUID({self.column})"
        return f"CAST({self.column} AS {'CHAR' if self.mysql else 'text'})"

    def _matches(self, pattern: str) -> str:
        own = self._as_text if self.old.startswith("enum") or not self.mysql else self.column
        return f"{own} REGEXP '{pattern}'" if self.mysql else f"{own} ~ '{pattern}'"

    # --- Into texts, and from them -----------------------------------------------------------------------------------

    def _enum(self) -> Iterator[Loss]:
        values = notation.enum_values(self.new)
        if not set(notation.enum_values(self.old)) - set(values) and self.old.startswith("enum"):
            return
        listed = ", ".join(map(self.dialect.literal, values))
        yield Loss("value", f"{self._as_text} NOT IN ({listed})", f"are none of {', '.join(values)}", False)

    def _text(self) -> Iterator[Loss]:
        size, text = re.search(r"\((\d+)\)", self.new), self._as_text
        before = notation.text_size(self.old)
        if size and not (before is not None and before <= int(size[1])):
            yield Loss("long", f"CHAR_LENGTH({text}) > {size[1]}", f"are longer than {size[1]} characters", False)
        if self.new.startswith("char(") and not self.old.startswith("char("):
            yield Loss("value", f"{text} LIKE '% '", "end with a space, which a char does not keep", True)

    def _from_text(self, will: str) -> Iterator[Loss]:
        patterns = {"bool": "^[[:space:]]*[01][[:space:]]*$", "int": _WHOLE, "real": _DECIMAL, "uuid": _UUID}
        if will == "moment":
            yield from self._text_to_moment()
        elif will == "json":
            valid = "JSON_VALID({})" if self.mysql else "pg_input_is_valid({}, 'jsonb')"
            if self.mysql or self.dialect.version >= (16,):
                yield Loss("value", f"NOT {valid.format(self._as_text)}", "are not JSON", False)
        elif will in patterns:
            yield Loss("value", f"NOT ({self._matches(patterns[will])})", f"are no {self.new}", True)
            if will in ("int", "real"):
                near = "DOUBLE" if _real(self.new) in ("single", "double") else "DECIMAL(65,30)"
                number = f"CAST({self._as_text} AS {near if self.mysql else 'numeric'})"
                number = f"CASE WHEN {self._matches(patterns[will])} THEN {number} END"
                yield from self._number(f"({number})", "decimal(65,30)")

    def _text_to_moment(self) -> Iterator[Loss]:
        text = self._as_text
        if self.mysql:
            wrong = f"CAST(LEFT({text}, 10) AS DATE) IS NULL"
        else:
            month = f"make_date(substr({text}, 1, 4)::int, substr({text}, 6, 2)::int, 1)"
            last = f"EXTRACT(day FROM {month} + interval '1 month' - interval '1 day')"
            wrong = f"substr({text}, 9, 2)::int > {last}"
        moment = self._matches(_MOMENT)
        yield Loss("value", f"CASE WHEN {moment} THEN {wrong} ELSE TRUE END", f"are no {self.new}", True)
        if self.new == "date":
            lost = f"{self._matches('[ T]')} AND NOT ({self._matches('[ T]00:00(:00([.]0+)?)?$')})"
        else:
            lost = self._matches("[.]" + "[0-9]" * int(self._fraction) + "0*[1-9]")
        yield Loss("rounding", f"{moment} AND {lost}", "lose a part of the moment", True)

    # --- Moments -----------------------------------------------------------------------------------------------------

    def _moment(self) -> Iterator[Loss]:
        if self.new == "date":
            cast = f"CAST({self.column} AS DATE)"
        else:
            cast = f"CAST({self.column} AS {'DATETIME' if self.mysql else 'TIMESTAMP'}({self._fraction}))"
        yield Loss("rounding", f"{self.column} <> {cast}", "lose a part of the moment", True)

    # --- Numbers -----------------------------------------------------------------------------------------------------

    def _number(self, c: str, old: str) -> Iterator[Loss]:
        """Of ``c``, which is the column or the number that its text says."""
        if old == "bool":
            return
        kind = _real(self.new)
        if not kind:
            yield from self._whole(c, old)
        elif kind == "decimal":
            yield from self._decimal(c, old)
        elif kind == "single":
            yield from self._single(c, old)
        elif self._of_text or (_real(old) == "decimal" and _scale(old)[0] > 15):
            yield from self._double(c)
        elif _bits(old) > 32:
            yield Loss("rounding", f"({c} > {2**53} OR {c} < {-(2**53)})", _DIGITS.format("float64"), True)

    def _whole(self, c: str, old: str) -> Iterator[Loss]:
        if _real(old) and not self._of_text:
            yield Loss("rounding", f"{c} <> ROUND({c})", "would be rounded", True)
        if self.new == "bool":
            yield Loss("range", f"{c} NOT IN (0, 1)", "are neither 0 nor 1", True)
            return
        bits, unsigned = _bits(self.new), "unsigned" in self.new
        # PostgreSQL has nothing smaller than 16 bits.
        bits = bits if self.mysql else max(bits, 16)
        low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        if _real(old) or _bits(old) > bits or "unsigned" in old or unsigned:
            yield Loss("range", f"({c} < {low} OR {c} > {high})", f"do not fit {self.new}", False)

    def _decimal(self, c: str, old: str) -> Iterator[Loss]:
        digits, scale = _scale(self.new)
        exact = c if _real(old) == "decimal" else f"CAST({c} AS DECIMAL(65,30))"
        if not self.mysql:
            exact = f"CAST({c} AS numeric)"
        rounded = f"{exact} <> ROUND({exact}, {scale})"
        if self.mysql and _real(old) in ("single", "double"):
            rounded = f"({rounded} OR ({c} <> 0 AND ABS({c}) < 1e-30))"  # which the cast takes for nothing
        elif self.mysql and self._of_text:
            rounded = f"({rounded} OR ({c} = 0 AND {self._matches('^[^eE]*[1-9]')}))"
        yield Loss("rounding", rounded, "would be rounded", True)
        yield Loss("range", f"ABS(ROUND({exact}, {scale})) >= 1e{digits - scale}", f"do not fit {self.new}", False)

    def _single(self, c: str, old: str) -> Iterator[Loss]:
        words = _DIGITS.format("float32")
        if not _real(old):
            if _bits(old) > 16:
                yield Loss("rounding", f"({c} > {2**24} OR {c} < {-(2**24)})", words, True)
            return
        if _real(old) == "single":
            return
        # PostgreSQL casts nothing that is too large or too small, and knows infinity.
        finite = "" if self.mysql or self._of_text else f" AND ABS({c}) < 'Infinity'"
        outside = f"((ABS({c}) > {_LARGEST}{finite}) OR ({c} <> 0 AND ABS({c}) < {_SMALLEST}))"
        yield Loss("range", outside, f"do not fit {self.new}", False)
        if self._of_text:  # the nearest number is what a text means
            yield Loss("rounding", self._many_digits(6), words, True)
            return
        exact = f"CAST({c} AS real) <> CAST({c} AS double precision)"
        if self.mysql:
            # A float has 24 bits; the cast to FLOAT keeps more.
            power = f"POW(2, LEAST(900, 23 - FLOOR(LOG2(ABS({c})))))"
            exact = f"{c} <> 0 AND {c} * {power} <> ROUND({c} * {power})"
        yield Loss("rounding", f"CASE WHEN {outside} THEN FALSE ELSE {exact} END", words, True)

    def _double(self, c: str) -> Iterator[Loss]:
        if not self._of_text:
            there = f"CAST(CAST({c} AS DOUBLE) AS DECIMAL(65,30))" if self.mysql else f"{c}::double precision::numeric"
            yield Loss("rounding", f"{c} <> {there}", _DIGITS.format("float64"), True)
            return
        outside = f"(ABS({c}) >= 1.7976931348623157e308 OR ({c} <> 0 AND ABS({c}) < 1e-307))"
        yield Loss("range", outside, f"do not fit {self.new}", False)
        yield Loss("rounding", self._many_digits(15), _DIGITS.format("float64"), True)

    def _many_digits(self, count: int) -> str:
        """Whether a text has more digits than that, zeros at its ends apart."""
        return self._matches("^[^1-9]*[1-9]" + "[.]?[0-9]" * (count - 1) + "([.]?[0-9])*[.]?0*[.]?[1-9]")


#: Words for numbers that a binary one is only near to.
_DIGITS = "have more digits than a {} holds"
