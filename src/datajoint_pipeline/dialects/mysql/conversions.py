"""The expressions that tell on MySQL which values another type cannot hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ...schema import notation
from ..conversions import JSON_STRING, LARGEST_DOUBLE, REPEATED, REWRITTEN, Conversion, Loss, kind_of, real_kind
from . import texts

#: The largest FLOAT.
_LARGEST = "3.4028234663852886e38"


def _bits(number: str) -> str:
    """Give the power of two that makes a whole number of the bits that a FLOAT holds: 24, of the least fewer."""
    return f"POW(2, LEAST(149, 23 - FLOOR(LOG2(ABS({number})))))"


def rounded_to_float(number: str) -> str:
    """Give the number that a FLOAT holds of another one, if it holds it. The cast to FLOAT keeps more."""
    rounded = f"ROUND({number} * {_bits(number)}) / {_bits(number)}"
    return f"IF({number} = 0, 0, IF(ABS({number}) > {_LARGEST}, {number}, {rounded}))"


@dataclass(frozen=True)
class MySQLConversion(Conversion):
    """A column of MySQL that changes its type.

    Parameters
    ----------
    collation : str
        Of the texts of the table that is to hold the values, where there are others beside it.
    """

    collation: str = ""

    default_fraction = "0"
    text_type = "CHAR"
    moment_type = "DATETIME"
    largest_single = _LARGEST
    #: ``ALTER TABLE`` says of both of them that they are no INTEGER (MySQL 9.7).
    spare = 1
    json_rounds_decimals = True
    counts_bytes = True
    takes_what_is_alike = True
    clock = "^-?([0-9]{1,2}|[0-7][0-9]{2}|8[0-2][0-9]|83[0-7]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?$"

    def literal(self, text: str) -> str:
        return texts.literal(text)

    def losses(self) -> Iterator[Loss]:
        yield from super().losses()
        was, name = kind_of(self.old), texts.character_set(self.collation)
        if was == "enum" and self._takes_empty:
            words = "are none of the enum's, but the '' with index 0 that a session which was not strict wrote"
            yield Loss("value", f"{self.column} + 0 = 0", words, True)
        if not name or name in texts.WHOLE or kind_of(self.new) != "text":
            return
        if was in ("json", "text", "enum") or (was == "bytes" and name in texts.OF_THREE_BYTES):
            text = f"CONVERT({self.column if was == 'bytes' else self.as_text} USING utf8mb4)"
            lost = f"CAST(CONVERT(CONVERT({text} USING {name}) USING utf8mb4) AS BINARY) <> CAST({text} AS BINARY)"
            yield Loss("value", lost, f"have characters that {name}, in which its texts are, does not have", False)
        elif was == "bytes":  # which the server takes for texts in that set, without a word
            lost = f"CHAR_LENGTH(CONVERT({self.column} USING utf8mb4)) <> LENGTH({self.column})"
            yield Loss("value", lost, f"are more than ASCII, which would be read as {name}", True)

    @property
    def _takes_empty(self) -> bool:
        """Whether the new type has an empty value, which is another than none."""
        enum = kind_of(self.new) == "enum"
        return "" in notation.enum_values(self.new) if enum else kind_of(self.new) in ("text", "bytes")

    @property
    def as_text(self) -> str:
        if real_kind(self.old) == "single":
            # The server writes six digits of a FLOAT; where that is another number, all of them.
            text, full = f"CAST({self.column} AS CHAR)", f"CAST(CAST({self.column} AS DOUBLE) AS CHAR)"
            return f"IF({rounded_to_float(f'CAST({text} AS DOUBLE)')} = {self.column}, {text}, {full})"
        if real_kind(self.old) == "double":
            # Without a length, the server cuts it where it sorts or groups, perhaps amid the exponent.
            return f"CAST({self.column} AS CHAR(30))"
        return f"BIN_TO_UUID({self.column})" if self.old == "uuid" else f"CAST({self.column} AS CHAR)"

    def matches(self, pattern: str) -> str:
        text = self.as_text if self.old.startswith("enum") else self.column
        return f"{text} REGEXP '{pattern}'"

    def is_none_of(self, values: Iterable[str]) -> str:
        # The server keeps those of an enum without spaces at their end.
        listed = ", ".join(self.literal(value.rstrip(" ")) for value in values)
        return f"CAST({self.as_text} AS BINARY) NOT IN ({listed})"

    @property
    def bytes_without_text(self) -> str:
        return f"({self.column} IS NOT NULL AND {self.text_of_bytes} IS NULL)"

    @property
    def text_of_bytes(self) -> str:
        return f"CONVERT({self.column} USING utf8mb4)"

    @property
    def valid_json(self) -> str:
        return f"JSON_VALID({self.as_text})"

    def lost_in_json(self) -> Iterator[tuple[str, str]]:
        # Keys come back in another order: so what is counted is how many there are, and how often each digit occurs.
        def without(text: str) -> str:
            return f"REGEXP_REPLACE({text}, {self.literal(JSON_STRING)}, '')"

        def often(name: str, signs: str) -> str:
            counts = (f"LENGTH({name}) - LENGTH(REPLACE({name}, '{sign}', ''))" for sign in signs)
            return f"CONCAT_WS(',', {', '.join(counts)})"

        both = f"{without(self.as_text)} AS was, {without(f'CAST(CAST({self.as_text} AS JSON) AS CHAR)')} AS will"
        for signs, words in ((":", REPEATED), ("0123456789-.", REWRITTEN)):
            yield f"(SELECT {often('was', signs)} <> {often('will', signs)} FROM (SELECT {both}) AS documents)", words

    def number(self, text: str, *, binary: bool) -> str:
        return f"CAST({text} AS {'DOUBLE' if binary else 'DECIMAL(65,30)'})"

    def no_such_day(self, text: str) -> str:
        return f"CAST(LEFT({text}, 10) AS DATE) IS NULL"

    def exact(self, c: str, old: str) -> str:
        return c if real_kind(old) == "decimal" else f"CAST({c} AS DECIMAL(65,30))"

    def lost_by_exact(self, c: str, old: str) -> str:
        if real_kind(old) in ("single", "double"):
            return f"{c} <> 0 AND ABS({c}) < 1e-30"
        return f"{c} = 0 AND {self.matches('^[^eE]*[1-9]')}" if self.of_text else ""

    def finite(self, c: str) -> str:
        return ""

    def too_large(self, c: str) -> str:
        # The cast has the largest for what is larger, too.
        return f"ABS({c}) >= {LARGEST_DOUBLE} AND {self.nearest(c)} <> {self.as_text}"

    def not_single(self, c: str) -> str:
        # A float has 24 bits; the cast to FLOAT keeps more.
        return f"{c} <> 0 AND {c} * {_bits(c)} <> ROUND({c} * {_bits(c)})"

    def nearest(self, number: str) -> str:
        # Zero has a sign, which a key does not tell apart. As a text, a computed number lacks digits that JSON has.
        double = f"IF({number} = 0, 0, {number})"
        return f"CAST(CAST({rounded_to_float(number) if real_kind(self.new) == 'single' else double} AS JSON) AS CHAR)"

    def written_alike(self, c: str) -> str:
        # A decimal has all of 17 digits only between these; elsewhere, what counts is what the server itself writes.
        written = [self.nearest(c)]
        if real_kind(self.new) == "single":
            written.append(f"CAST({rounded_to_float(c)} AS CHAR)")
        same = f"{self.as_text} IN ({', '.join(written)})"
        return f"CASE WHEN ABS({c}) BETWEEN 1e-12 AND 1e30 THEN {super().written_alike(c)} ELSE {same} END"

    def through_double(self, c: str) -> str:
        return f"CAST(CAST({c} AS DOUBLE) AS DECIMAL(65,30))"
