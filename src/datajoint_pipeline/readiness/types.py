"""What types of DataJoint 0.14 and of MySQL are called in DataJoint 2.3, and which of them have one right form only.

Whether a type has to be different at all is DataJoint's own answer; here is what to write instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_WHOLE = re.compile(r"(?P<base>(?:tiny|small|medium|big)?int|integer)\b\s*(?:\((?P<size>\d+)\))?(?P<rest>.*)")
_SIGNED = {"tinyint": "int8", "smallint": "int16", "mediumint": "int32", "int": "int32", "bigint": "int64"}
_UNSIGNED = {"tinyint": "int16", "smallint": "int32", "mediumint": "int32", "int": "int64", "bigint": "int64"}
_STORED = re.compile(r"(?P<kind>blob|attach|filepath|external)@?(?P<store>[a-z][\-\w]*)?")
_BUILT_IN = ("blob", "attach", "hash", "object", "npy", "filepath")

#: What there is to say of objects in stores, of which 0.14 keeps the number in the row, and 2 a path and a checksum.
_OBJECTS = (
    "DataJoint 2 keeps objects otherwise; adopt --types copies those of 0.14 within their store, and the page "
    "Adopting of the template says more."
)


@dataclass(frozen=True)
class Advice:
    """What to write instead of a type: the rule that it breaks, the type now (empty where there is none), and why.

    It is ``sure`` where there is one right form, which a program may write.
    """

    rule: str
    new: str
    do: str
    sure: bool = True


def advice(type_: str) -> Advice | None:
    """Return what to write instead of a type; None where nothing is known of it."""
    text = " ".join(type_.lower().split())
    if re.fullmatch(r"(tiny|small|medium|long)?blob", text):
        do = "Write <blob>; the rows keep their bytes, and adopt --types notes it in the database."
        return Advice("blob-type", "<blob>", do)
    if text == "attach":
        return Advice("attach-type", "<attach>", "Write <attach>; the rows keep their bytes.")
    if "@" in text and (match := _STORED.fullmatch(text)):
        do = f"Write <{match['kind']}@{match['store']}>. {_OBJECTS}"
        return Advice("stored-type", f"<{text}>", do, sure=match["kind"] != "external")
    if text == "serial" or "auto_increment" in text:
        counted = _WHOLE.fullmatch(text.replace("auto_increment", "").strip())
        new = _whole(counted).new if counted else "int64"
        do = f"Write {new} and number the rows where they are inserted; only MySQL counts by itself."
        return Advice("auto-increment", new, do, sure=False)
    if match := _WHOLE.fullmatch(text):
        return _whole(match)
    if re.fullmatch(r"(float|double|real)( precision)?\s*(\(.*\))?( unsigned)?( zerofill)?", text):
        new = "float32" if text.startswith("float") else "float64"
        return Advice("float-type", new, f"Write {new}.")
    if text == "boolean":
        return Advice("bool-type", "bool", "Write bool; DataJoint 2 knows no boolean.")
    if re.match(r"(decimal|numeric|dec|fixed)\b", text):
        return _decimal(text)
    if re.fullmatch(r"(tiny|medium|long)text", text):
        return Advice("text-type", "text", "Write text, or varchar(N) for at most N characters.", sure=False)
    if re.fullmatch(r"year(\s*\(\d\))?", text):
        return Advice("year-type", "int16", "Write int16.")
    if re.fullmatch(r"<\w+>", text) and text[1:-1] not in _BUILT_IN:
        do = f'Write a class that inherits dj.Codec and has name = "{text[1:-1]}"; it takes the adapter\'s place.'
        return Advice("adapter-type", "", do, sure=False)
    return _seldom(text)


def canonical(type_: str) -> str:
    """Return a core type as DataJoint 2.3 spells it: small letters, no blank before the brackets, single quotes."""
    base, bracket, inner = type_.partition("(")
    name = base.strip().lower()
    if name == "enum":
        inner = re.sub(r"""\"([^"'\\]*)\"""", r"'\1'", inner)
    return f"{name}{bracket}{inner}"


def _whole(match: re.Match[str]) -> Advice:
    base = "int" if match["base"] == "integer" else match["base"]
    if base == "tinyint" and match["size"] == "1" and "unsigned" not in match["rest"]:
        return Advice("integer-type", "bool", "Write bool, or int8 where it counts.", sure=False)
    if "unsigned" not in match["rest"]:
        return Advice("integer-type", _SIGNED[base], f"Write {_SIGNED[base]}.")
    new = _UNSIGNED[base]
    more = " Values above 9223372036854775807 need decimal(20,0)." if base == "bigint" else ""
    do = f"Write {new}, which holds every value; DataJoint 2 has no unsigned numbers.{more}"
    return Advice("integer-type", new, do)


def _decimal(text: str) -> Advice:
    numbers = re.findall(r"\d+", text)
    new = f"decimal({(numbers or ['10'])[0]},{(numbers[1:] or ['0'])[0]})"
    return Advice("decimal-type", new, f"Write {new}.")


def _seldom(text: str) -> Advice | None:
    if text in ("varchar", "char", "string", "str"):
        return Advice("text-type", "", "Write varchar(N) for at most N characters.", sure=False)
    if re.fullmatch(r"(var)?binary\s*(\(\d+\))?", text):
        do = "Write uuid where it holds UUIDs, bytes for anything else."
        return Advice("blob-type", "", do, sure=False)
    if text.startswith("set"):
        return Advice("text-type", "", "Write varchar(N), json, or a part table with a row for each value.", sure=False)
    return None
