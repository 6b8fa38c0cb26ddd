"""The expressions that tell on PostgreSQL which values another type cannot hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..conversions import (
    JSON_STRING,
    LARGEST_DOUBLE,
    REPEATED,
    REWRITTEN,
    SMALLEST_DOUBLE,
    SMALLEST_SINGLE,
    Conversion,
    kind_of,
    real_kind,
)
from . import texts

#: The largest number that becomes a ``real``: as the server writes the largest of these.
_LARGEST = "3.4028235e38"


def held(number: str, *, single: bool) -> str:
    """Give the condition that the server casts a number that is not zero to a binary one, and does not refuse it."""
    low, high = (SMALLEST_SINGLE, _LARGEST) if single else (SMALLEST_DOUBLE, LARGEST_DOUBLE)
    return f"ABS({number}) BETWEEN {low} AND {high}"


def exactly(number: str, core: str) -> str:
    """Give a number of a type as a ``numeric``: the cast of the server takes 6 or 15 digits of a binary one."""
    return f"{number}::text::numeric" if real_kind(core) in ("single", "double") else f"{number}::numeric"


def of_bytes(column: str) -> str:
    """Give the text that bytes are; of others the server refuses it."""
    return f"convert_from({column}, 'UTF8')"


#: Bytes in UTF-8 without zeros, which no text here has, as hexadecimal digits (RFC 3629, section 4).
_MORE = "[89ab][0-9a-f]"
_UTF8 = (
    f"^(?:0[1-9a-f]|[1-7][0-9a-f]|(?:c[2-9a-f]|d[0-9a-f]){_MORE}|e0[ab][0-9a-f]{_MORE}|e[1-9abcef]{_MORE}{_MORE}|"
    f"ed[89][0-9a-f]{_MORE}|f0[9ab][0-9a-f]{_MORE}{_MORE}|f[123]{_MORE}{_MORE}{_MORE}|f48[0-9a-f]{_MORE}{_MORE})*$"
)


class PostgreSQLConversion(Conversion):
    """A column of PostgreSQL that changes its type."""

    default_fraction = "6"
    text_type = "text"
    moment_type = "TIMESTAMP"
    latest_moment = "294276-12-31"
    smallest_integer = 16
    largest_single = _LARGEST
    clock = "^([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?$"

    def literal(self, text: str) -> str:
        return texts.literal(text)

    @property
    def as_text(self) -> str:
        # A bool as a text is what MySQL has for it, and what becomes one again.
        return f"CAST({self.column}{'::integer' if self.old == 'bool' else ''} AS text)"

    def matches(self, pattern: str) -> str:
        return f"{self.as_text} ~ '{pattern}'"

    def is_none_of(self, values: Iterable[str]) -> str:
        return f"{self.as_text} NOT IN ({', '.join(map(self.literal, values))})"

    @property
    def beyond(self) -> tuple[str, ...]:
        if kind_of(self.new) == "moment":
            return "infinity", "-infinity"
        if not (real := real_kind(self.new)):
            return ()
        # A decimal has infinity since version 14, and only where it has no number of digits.
        bounded = real == "decimal" and ("(" in self.new or self.version < (14,))
        return ("NaN",) if bounded else ("NaN", "Infinity", "-Infinity")

    @property
    def bytes_without_text(self) -> str:
        return f"encode({self.column}, 'hex') !~ '{_UTF8}'"

    @property
    def text_of_bytes(self) -> str:
        return f"CASE WHEN NOT ({self.bytes_without_text}) THEN {of_bytes(self.column)} END"

    @property
    def valid_json(self) -> str:
        return f"pg_input_is_valid({self.as_text}, 'jsonb')" if self.version >= (16,) else ""

    def lost_in_json(self) -> Iterator[tuple[str, str]]:
        yield f"NOT ({self.as_text} IS JSON WITH UNIQUE KEYS)", REPEATED
        # Digits stay as they are, and zero has no sign.
        without = f"regexp_replace({self.as_text}, {self.literal(JSON_STRING)}, '', 'g')"
        yield f"{without} ~ '-0([.]0*)?([eE][+-]?[0-9]+)?([^0-9.]|$)'", REWRITTEN

    def number(self, text: str, *, binary: bool) -> str:
        return f"CAST({text} AS numeric)"

    def no_such_day(self, text: str) -> str:
        month = f"make_date(substr({text}, 1, 4)::int, substr({text}, 6, 2)::int, 1)"
        last = f"EXTRACT(day FROM {month} + interval '1 month' - interval '1 day')"
        return f"substr({text}, 9, 2)::int > {last}"

    def exact(self, c: str, old: str) -> str:
        return exactly(c, old)

    def finite(self, c: str) -> str:
        # The server casts nothing that is too large or too small, and knows infinity.
        return "" if self.of_text else f" AND ABS({c}) < 'Infinity'"

    def but_nan(self, c: str) -> str:
        return f" AND {c} <> 'NaN'"

    def too_large(self, c: str) -> str:
        return f"ABS({c}) > {LARGEST_DOUBLE}"

    def not_in_json(self, c: str) -> str:
        return f"{c} IN ('NaN', 'Infinity', '-Infinity')" if real_kind(self.old) else ""

    def not_single(self, c: str) -> str:
        return f"CAST({c} AS real) <> CAST({c} AS double precision)"

    def nearest(self, number: str) -> str:
        single = real_kind(self.new) == "single"
        type_ = "real" if single else "double precision"
        known = f"{number} = 0 OR {held(number, single=single)}"
        return f"CASE WHEN {known} THEN {number}::{type_}::text ELSE {number}::text END"

    def through_double(self, c: str) -> str:
        return exactly(f"{c}::double precision", "float64")
