"""Conditions for the values that another type cannot hold: those that a server would refuse, round, cut or mistake.

Whether values survive is a question to the data, not to the types: a column of whole numbers may well become an
``int32`` though it was a ``float64``. What is the same on both servers is here; :mod:`mysql.conversions` and
:mod:`postgresql.conversions` have the expressions.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ..schema import notation
from ..schema.notation import is_text


class Loss(NamedTuple):
    """Values that do not survive a conversion: kind (:class:`steps.Probe`), condition, words, whether the server is
    silent about it.

    The condition is never true of a null, which every type has.
    """

    kind: str
    condition: str
    words: str
    silent: bool


_BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64, "tinyint": 8, "smallint": 16, "mediumint": 24}
_BITS |= {"int": 32, "integer": 32, "bigint": 64}

#: What a float32 and a float64 take for more than zero: half of the least that they hold.
SMALLEST_SINGLE, SMALLEST_DOUBLE = "7.1e-46", "2.5e-324"

#: The largest float64.
LARGEST_DOUBLE = "1.7976931348623157e308"

_NUMBER = ("bool", "int", "real")

#: By kind of type, the kinds none of whose values it can become, though a server may convert them to something.
_NEVER = {
    **dict.fromkeys(_NUMBER, ("uuid", "moment", "clock", "bytes")),
    "moment": (*_NUMBER, "clock", "year", "uuid", "json", "bytes"),
    "clock": (*_NUMBER, "moment", "year", "uuid", "json", "bytes"),
    "year": ("bool", "moment", "clock", "uuid", "json", "bytes"),
    "uuid": (*_NUMBER, "moment", "clock", "year", "enum", "json"),
    "json": (*_NUMBER, "uuid", "moment", "clock", "year", "enum"),
    "bytes": (*_NUMBER, "uuid", "moment", "clock", "year", "enum", "json"),
}

#: How many bytes a native type holds.
_BYTES = {"tinytext": 2**8 - 1, "text": 2**16 - 1, "mediumtext": 2**24 - 1}
_BYTES |= {"tinyblob": 2**8 - 1, "blob": 2**16 - 1, "mediumblob": 2**24 - 1}

#: Spaces that both servers pass over around a number; not those that only regular expressions know, as U+00A0.
_SPACE = "[ \t\n\r]*"
_FLAG = f"^{_SPACE}[01]{_SPACE}$"
_WHOLE = f"^{_SPACE}[+-]?[0-9]+{_SPACE}$"
_DECIMAL = f"^{_SPACE}[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{{1,3}})?{_SPACE}$"
_FORM = "^([ \t\n\r]|[+]|-?0+[0-9]|-0+$)|[ \t\n\r]$"
_YEAR = f"^{_SPACE}(19(0[1-9]|[1-9][0-9])|20[0-9][0-9]|21([0-4][0-9]|5[0-5])){_SPACE}$"
#: What both servers take: MySQL takes braces only where there are all dashes.
_DASHED = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_UUID = f"^([0-9a-fA-F]{{32}}|{_DASHED}|[{{]{_DASHED}[}}])$"
_DAY = "([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_MOMENT = f"^{_DAY}([ T]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9][0-9]?[0-9]?[0-9]?[0-9]?[0-9]?)?)?)?$"


def kind_of(core: str) -> str:
    """Give the kind of values that a core or native type holds; empty for one that only a server knows."""
    if core.startswith("enum"):
        return "enum"
    if is_text(core):
        return "text"
    if core in ("bool", "uuid"):
        return core
    if integer_bits(core):
        return "int"
    if real_kind(core):
        return "real"
    kinds = {
        "date|timestamp": "moment",
        "time": "clock",
        "year": "year",
        "json": "json",
        ".*blob|.*binary|byte": "bytes",
    }
    return next((kind for pattern, kind in kinds.items() if re.match(pattern, core)), "")


def integer_bits(core: str) -> int:
    """Give the bits of a type of whole numbers; 0 for any other."""
    return _BITS.get(core.partition(" ")[0].partition("(")[0], 0)


def integer_range(bits: int, *, unsigned: bool) -> tuple[int, int]:
    """Give the least and the largest whole number of so many bits."""
    return (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def real_kind(core: str) -> str:
    """Give ``single``, ``double`` or ``decimal`` for a type of numbers with a fraction, nothing for any other."""
    if core in ("float32", "real"):
        return "single"
    if core in ("float64", "double", "double precision"):
        return "double"
    return "decimal" if re.match(r"decimal|numeric", core) else "single" if core == "float" else ""


def _scale(core: str) -> tuple[int, int]:
    """Give the digits of a decimal, and how many of them are behind the point."""
    found = re.search(r"\((\d+)(?:,\s*(\d+))?\)", core)
    return (int(found[1]), int(found[2] or 0)) if found else (10, 0)


@dataclass(frozen=True)
class Conversion(ABC):
    """A column that changes from one core type to another.

    Parameters
    ----------
    column : str
        The column, as a statement names it.
    old, new : str
        Core or native types.
    version : tuple of int
        The server's, empty where it is not known.
    """

    column: str
    old: str
    new: str
    version: tuple[int, ...] = ()

    # --- What either server has in its own way -----------------------------------------------------------------------

    #: How many digits of a second a type has that names none.
    default_fraction = ""

    #: The type of texts in a cast.
    text_type = ""

    #: The type of moments, to which a number of digits is added.
    moment_type = ""

    #: The last day of a moment, where there are later dates.
    latest_moment = ""

    #: The text of a time of day that the server takes.
    clock = ""

    #: Bits of the smallest integer type.
    smallest_integer = 8

    #: How many binary numbers next to the least and to the largest whole number of 64 bits the server does not take.
    spare = 0

    #: Whether texts and moments of native types have the limits of MySQL's.
    counts_bytes = False

    #: Whether a text becomes a value of an enum that a collation finds equal to it.
    takes_what_is_alike = False

    #: The largest number that a float32 takes.
    largest_single = ""

    #: Whether a decimal in JSON is a binary number.
    json_rounds_decimals = False

    @abstractmethod
    def literal(self, text: str) -> str:
        """Give a text as a literal."""

    @property
    @abstractmethod
    def as_text(self) -> str:
        """The column's values as texts."""

    @abstractmethod
    def matches(self, pattern: str) -> str:
        """Give the condition that the text of a value matches a regular expression."""

    @abstractmethod
    def is_none_of(self, values: Iterable[str]) -> str:
        """Give the condition that the text of a value is, to the last character, none of an enum's values."""

    @property
    def beyond(self) -> tuple[str, ...]:
        """The texts that the server writes for values of the new type that are no numbers, or no days: infinity."""
        return ()

    @property
    @abstractmethod
    def bytes_without_text(self) -> str:
        """The condition that bytes are no text."""

    @property
    @abstractmethod
    def text_of_bytes(self) -> str:
        """The text that bytes are; null where they are none."""

    @property
    @abstractmethod
    def valid_json(self) -> str:
        """The condition that a text is JSON; empty where the server cannot tell."""

    @abstractmethod
    def lost_in_json(self) -> Iterator[tuple[str, str]]:
        """Give the conditions that a text in JSON has what the server's JSON does not keep, with words for each."""

    @abstractmethod
    def number(self, text: str, *, binary: bool) -> str:
        """Give the number that a text says, for a target that is a binary number or not."""

    @abstractmethod
    def no_such_day(self, text: str) -> str:
        """Give the condition that a text of the form of a date names a day that the month does not have."""

    @abstractmethod
    def exact(self, c: str, old: str) -> str:
        """Give a number as a decimal without loss."""

    def lost_by_exact(self, c: str, old: str) -> str:
        """Give the condition that :meth:`exact` gives zero for a number that is not; empty where it never does."""
        return ""

    @abstractmethod
    def finite(self, c: str) -> str:
        """Give a condition to be added (``AND ...``) that excludes infinity, where the server has it."""

    def but_nan(self, c: str) -> str:
        """Give a condition to be added (``AND ...``) that excludes what is no number, where decimals have that."""
        return ""

    @abstractmethod
    def too_large(self, c: str) -> str:
        """Give the condition that a text says a number ``c`` that a float64 does not reach."""

    def not_in_json(self, c: str) -> str:
        """Give the condition that JSON has no such number; empty where it has all that the type holds."""
        return ""

    @abstractmethod
    def not_single(self, c: str) -> str:
        """Give the condition that a float32 does not hold a number exactly."""

    @abstractmethod
    def nearest(self, number: str) -> str:
        """Give, as a text, the binary number of the new type that is nearest to one; for no number it fails."""

    def written_alike(self, c: str) -> str:
        """Give the condition that the text says no other number than the binary one that is nearest to ``c``."""
        nearest, there = (self.number(text, binary=False) for text in (self.nearest(c), self.as_text))
        return f"{nearest} = {there}"

    @abstractmethod
    def through_double(self, c: str) -> str:
        """Give a decimal as it is after it was a float64."""

    # --- What is the same on both ------------------------------------------------------------------------------------

    def losses(self) -> Iterator[Loss]:
        """Tell which values do not survive."""
        was, will = kind_of(self.old), kind_of(self.new)
        if (self.old, will) == ("binary(16)", "uuid"):
            return  # how MySQL keeps a uuid
        if will in _NEVER.get(was, ()):
            yield Loss("value", f"{self.column} IS NOT NULL", f"cannot become {self.new}", True)
        elif was == "bytes" and will == "text":
            yield Loss("value", self.bytes_without_text, "are no text", False)
            yield from self._too_many_bytes(self.column)
            if size := notation.text_size(self.new):
                long = f"CHAR_LENGTH({self.text_of_bytes}) > {size}"
                yield Loss("value", long, f"are longer than {size} characters", False)
            yield from self._ends(self.text_of_bytes)
        elif will == "bytes":
            yield from self._too_many_bytes(self.column if was == "bytes" else self.as_text)
        elif will == "enum":
            yield from self._enum()
        elif was == "enum" and will != "text":
            yield from self._from_text(will)
        elif will == "text":
            yield from self._text()
        elif was == "text":
            yield from self._from_text(will)
        elif was == will and was in ("moment", "clock"):
            yield from self._moment(will)
        elif was == "year" and will in _NUMBER:
            yield from self._number(self.column, "int16")
        elif will == "year" and was in _NUMBER:
            yield Loss("range", f"NOT ({self.column} = 0 OR {self.column} BETWEEN 1901 AND 2155)", "are no year", True)
        elif was in _NUMBER and will in _NUMBER:
            yield from self._number(self.column, self.old)
        elif was in _NUMBER and will == "json":
            if unknown := self.not_in_json(self.column):
                yield Loss("value", unknown, "are no number that JSON knows", False)
            if self.json_rounds_decimals and real_kind(self.old) == "decimal":
                yield from self._double(self.column, self.old)
            yield from self._sign(self.column, self.old)

    @property
    def read(self) -> str:
        """What is equal for all texts that become the same value: ``07`` and ``7`` are two texts, and one number.

        The text itself where that is none of the type.
        """
        will, text, real = kind_of(self.new), self.as_text, real_kind(self.new)
        patterns = {"bool": _FLAG, "int": _WHOLE, "year": _YEAR, "real": _DECIMAL, "uuid": _UUID, "clock": self.clock}
        if will == "moment":
            known = f"CASE WHEN {self.matches(_MOMENT)} THEN NOT ({self.no_such_day(text)}) ELSE FALSE END"
        elif will in patterns:
            known = self.matches(patterns[will])
        else:
            return self.column
        if will == "uuid":
            value = f"LOWER(REPLACE(REPLACE(REPLACE({text}, '-', ''), '{{', ''), '}}', ''))"
        elif will in ("moment", "clock"):
            value = f"CAST(CAST({text} AS {self._moment_type(will)}) AS {self.text_type})"
        elif real in ("single", "double"):
            value = self.nearest(self.number(text, binary=True))
        else:
            places = _scale(self.new)[1] if real else 0
            value = f"CAST(ROUND(ROUND({self.number(text, binary=False)}, {places}), 30) AS {self.text_type})"
        return f"CASE WHEN {known} THEN {value} ELSE {text} END"

    @property
    def of_text(self) -> bool:
        """Whether the column holds texts."""
        return is_text(self.old)

    @property
    def _fraction(self) -> str:
        """How many digits of a second the new type has."""
        digits = re.search(r"\((\d)\)", self.new)
        return digits[1] if digits else self.default_fraction

    # Into texts, and from them.

    def _enum(self) -> Iterator[Loss]:
        values = notation.enum_values(self.new)
        if not set(notation.enum_values(self.old)) - set(values) and self.old.startswith("enum"):
            return
        silent = self.takes_what_is_alike
        yield Loss("value", self.is_none_of(values), f"are none of {', '.join(values)}", silent)

    def _text(self) -> Iterator[Loss]:
        size, text = re.search(r"\((\d+)\)", self.new), self.as_text
        before = notation.text_size(self.old)
        if size and not (before is not None and before <= int(size[1])):
            yield Loss("long", f"CHAR_LENGTH({text}) > {size[1]}", f"are longer than {size[1]} characters", False)
        yield from self._too_many_bytes(text)
        yield from self._ends(text)

    def _ends(self, text: str) -> Iterator[Loss]:
        """Tell which texts have an end that the new type does not keep."""
        if self.new.startswith("char(") and not self.old.startswith("char("):
            yield Loss("value", f"{text} LIKE '% '", "end with a space, which a char does not keep", True)

    def _too_many_bytes(self, value: str) -> Iterator[Loss]:
        """Tell which texts or bytes are longer than a native type holds, which on MySQL are counted in bytes."""
        most = _BYTES.get(self.new) if self.counts_bytes else None
        if most is not None and most < _BYTES.get(self.old, 2**32):
            yield Loss("value", f"LENGTH({value}) > {most}", f"are longer than {most} bytes", False)

    def _from_text(self, will: str) -> Iterator[Loss]:
        patterns = {"bool": _FLAG, "int": _WHOLE, "real": _DECIMAL, "uuid": _UUID}
        patterns |= {"clock": self.clock, "year": _YEAR}
        if will == "moment":
            yield from self._text_to_moment()
        elif will == "json":
            if self.valid_json:
                yield Loss("value", f"NOT {self.valid_json}", "are not JSON", False)
                for condition, words in self.lost_in_json():
                    condition = f"CASE WHEN {self.valid_json} THEN {condition} ELSE FALSE END"
                    yield Loss("rounding", condition, words, True)
        elif will in patterns:
            known = self.matches(patterns[will])
            yield Loss("value", f"NOT ({known}{self._or_beyond})", f"are no {self.new}", True)
            if will == "clock":
                lost = self.matches("[.]" + "[0-9]" * int(self._fraction) + "0*[1-9]")
                yield Loss("rounding", lost, "lose a part of the moment", True)
            if will in _NUMBER or will == "year":
                # ``007`` is mostly a name, whatever it is to a server.
                form = f"{self.matches(patterns[will])} AND {self.matches(_FORM)}"
                yield Loss("rounding", form, "have 0 or + in front, or spaces, which a number does not keep", True)
            if will in ("int", "real"):
                number = self.number(self.as_text, binary=real_kind(self.new) in ("single", "double"))
                number = f"CASE WHEN {self.matches(patterns[will])} THEN {number} END"
                yield from self._number(f"({number})", "decimal(65,30)")

    @property
    def _or_beyond(self) -> str:
        """The rest of a condition for texts that are :attr:`beyond`."""
        return f" OR {self.as_text} IN ({', '.join(map(self.literal, self.beyond))})" if self.beyond else ""

    def _text_to_moment(self) -> Iterator[Loss]:
        moment, wrong = self.matches(_MOMENT), self.no_such_day(self.as_text)
        lost = f"CASE WHEN {moment} THEN {wrong} ELSE NOT ({self.column} IS NULL{self._or_beyond}) END"
        yield Loss("value", lost, f"are no {self.new}", True)
        if self.new == "date":
            lost = f"{self.matches('[ T]')} AND NOT ({self.matches('[ T]00:00(:00([.]0+)?)?$')})"
        else:
            lost = self.matches("[.]" + "[0-9]" * int(self._fraction) + "0*[1-9]")
        yield Loss("rounding", f"{moment} AND {lost}", "lose a part of the moment", True)
        yield from self._outside(f"CASE WHEN {moment} AND NOT ({wrong}) THEN {self.as_text} END")

    # Moments.

    def _moment(self, kind: str) -> Iterator[Loss]:
        if self.old == "date" and self.latest_moment:
            late = f"{self.column} > {self.literal(self.latest_moment)} AND {self.column} <> 'infinity'"
            yield Loss("range", late, f"are after what {self.new} holds", False)
            return
        cast = f"CAST({self.column} AS {self._moment_type(kind)})"
        yield Loss("rounding", f"{self.column} <> {cast}", "lose a part of the moment", True)
        if self.counts_bytes:  # the last second of all cannot be rounded up
            yield Loss("range", f"{self.column} IS NOT NULL AND {cast} IS NULL", f"do not fit {self.new}", False)
        yield from self._outside(self.column)

    def _moment_type(self, kind: str) -> str:
        """Give the new type as a cast names it."""
        type_ = "TIME" if kind == "clock" else self.moment_type
        return "DATE" if self.new == "date" else f"{type_}({self._fraction})"

    def _outside(self, moment: str) -> Iterator[Loss]:
        """Tell which moments a native type of MySQL does not reach."""
        if self.counts_bytes and self.new.startswith("timestamp") and not self.old.startswith("timestamp"):
            moment = f"CAST({moment} AS DATETIME(6))"
            outside = f"{moment} < '1970-01-01 00:00:01' OR {moment} > '2038-01-19 03:14:07.499999'"
            outside = f"({outside} OR MONTH({moment}) = 0 OR DAYOFMONTH({moment}) = 0)"
            yield Loss("range", outside, f"are before or after what {self.new} holds", False)

    # Numbers: ``c`` is the column or the number that its text says, ``old`` the type of that.

    def _number(self, c: str, old: str) -> Iterator[Loss]:
        if old == "bool":
            return
        kind = real_kind(self.new)
        if kind in ("", "decimal"):
            yield from self._sign(c, old)
        if not kind:
            yield from self._whole(c, old)
        elif kind == "decimal":
            yield from self._decimal(c, old)
        elif kind == "single":
            yield from self._single(c, old)
        elif self.of_text or (real_kind(old) == "decimal" and _scale(old)[0] > 15):
            yield from self._double(c, old)
        elif integer_bits(old) > 32:
            yield Loss("rounding", f"({c} > {2**53} OR {c} < {-(2**53)})", _DIGITS.format("float64"), True)

    def _sign(self, c: str, old: str) -> Iterator[Loss]:
        """Tell which zeros lose their sign, which only a binary number has."""
        if real_kind(old) in ("single", "double"):
            negative = f"CAST({c} AS {self.text_type}) = '-0'"
        elif self.of_text and real_kind(self.new):  # and ``-0`` is told by its form
            negative = f"{c} = 0 AND {self.matches('^-.*[.eE]')}"
        else:
            return
        yield Loss("rounding", negative, f"are -0, whose sign {self.new} does not keep", True)

    def _whole(self, c: str, old: str) -> Iterator[Loss]:
        if self.new == "bool":
            yield Loss("range", f"{c} NOT IN (0, 1)", "are neither 0 nor 1", True)
            return
        bits, unsigned = max(integer_bits(self.new), self.smallest_integer), "unsigned" in self.new
        low, high = integer_range(bits, unsigned=unsigned)
        if bits == 64 and not self.of_text and real_kind(old) in ("single", "double"):
            # The binary number that is nearest to the largest is above it; the next ones are that far apart.
            step = (high + 1) // 2**53
            least, most = low + self.spare * step * (low < 0), high + 1 - step * (1 + self.spare)
            outside = f"NOT ({c} BETWEEN {least} AND {most})"
        else:
            outside = f"({c} < {low} OR {c} > {high})"
        if real_kind(old) and not self.of_text:
            yield Loss("rounding", _unless(outside, f"{c} <> ROUND({c})"), "would be rounded", True)
        if real_kind(old) or integer_bits(old) > bits or "unsigned" in old or unsigned:
            yield Loss("range", outside, f"do not fit {self.new}", False)

    def _decimal(self, c: str, old: str) -> Iterator[Loss]:
        digits, scale = _scale(self.new)
        exact, lost = self.exact(c, old), self.lost_by_exact(c, old)
        outside = f"(ABS(ROUND({exact}, {scale})) >= 1e{digits - scale}{self.but_nan(exact)})"
        rounded = f"{exact} <> ROUND({exact}, {scale})"
        rounded = _unless(outside, f"({rounded} OR ({lost}))" if lost else rounded)
        yield Loss("rounding", rounded, "would be rounded", True)
        yield Loss("range", outside, f"do not fit {self.new}", False)

    def _single(self, c: str, old: str) -> Iterator[Loss]:
        words = _DIGITS.format("float32")
        if not real_kind(old):
            if integer_bits(old) > 16:
                yield Loss("rounding", f"({c} > {2**24} OR {c} < {-(2**24)})", words, True)
            return
        if real_kind(old) == "single":
            return
        small = f"({c} <> 0 AND ABS({c}) < {SMALLEST_SINGLE}){self._vanished(c, old)}"
        outside = f"((ABS({c}) > {self.largest_single}{self.finite(c)}) OR {small})"
        yield Loss("range", outside, f"do not fit {self.new}", False)
        # The nearest number is what a text means.
        lost = self._lost_digits(c, 6) if self.of_text else self.not_single(c)
        yield Loss("rounding", _unless(outside, lost), words, True)

    def _vanished(self, c: str, old: str) -> str:
        """Give the rest of a condition for texts whose number is so small that the server takes it for zero."""
        lost = self.lost_by_exact(c, old) if self.of_text else ""
        return f" OR ({lost})" if lost else ""

    def _double(self, c: str, old: str) -> Iterator[Loss]:
        if not self.of_text:
            yield Loss("rounding", f"{c} <> {self.through_double(c)}", _DIGITS.format("float64"), True)
            return
        small = f"({c} <> 0 AND ABS({c}) < {SMALLEST_DOUBLE}){self._vanished(c, old)}"
        outside = f"(({self.too_large(c)}) OR {small})"
        yield Loss("range", outside, f"do not fit {self.new}", False)
        yield Loss("rounding", _unless(outside, self._lost_digits(c, 15)), _DIGITS.format("float64"), True)

    def _lost_digits(self, c: str, count: int) -> str:
        """Give the condition that a text has more digits than that, apart from zeros at its ends, and that the binary
        number ``c`` that it says is not written with the same."""
        same = self.written_alike(c)
        many = self.matches("^[^1-9]*[1-9]" + "[.]?[0-9]" * (count - 1) + "([.]?[0-9])*[.]?0*[.]?[1-9]")
        return f"{many} AND NOT ({same})"


def _unless(outside: str, condition: str) -> str:
    """Give a condition for values that another one does not count, and for which this one may fail."""
    return f"CASE WHEN {outside} THEN FALSE ELSE {condition} END"


#: What is lost of a text that becomes JSON; and what a text in JSON is without its strings.
REPEATED, REWRITTEN = "name a key twice, of which the last stays", "have numbers that JSON writes otherwise"
JSON_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'

#: Words for numbers that a binary one is only near to.
_DIGITS = "have more digits than a {} holds"
