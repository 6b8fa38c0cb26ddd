"""Types, defaults and index columns of DataJoint definitions, in the one form in which equal things are equal texts.

A definition, MySQL's catalogue and PostgreSQL's say the same thing differently: ``1`` is ``1.00`` and ``'1'::numeric``.
Here are the forms that they are compared in. This module knows neither databases nor tables.
"""

from __future__ import annotations

import ast
import json
import re
import struct
import uuid
from collections.abc import Iterable
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import cache

_QUOTED = re.compile(r"""'((?:[^']|'')*)'|"((?:[^"]|"")*)\"""")


@cache
def enum_values(text: str) -> tuple[str, ...]:
    """Read the values of ``enum('a', 'b')``; quotes within a value are doubled in the text."""
    return tuple(
        match[1].replace("''", "'") if match[1] is not None else match[2].replace('""', '"')
        for match in _QUOTED.finditer(text)
    )


def enum_type(values: Iterable[str]) -> str:
    """Write the enum of these values, in the normal form of :func:`normal_type`."""
    return "enum(" + ", ".join("'" + value.replace("'", "''") + "'" for value in values) + ")"


@cache
def normal_type(text: str) -> str:
    """Give a type as a definition writes it, in the one form in which equal types are equal texts.

    Synonyms of native types fall together where a server makes no difference: ``integer`` is ``int``, ``int(11)`` too,
    ``real`` is ``double``. A decimal that DataJoint takes for native, because of its spelling, is ``numeric``.
    """
    if text.lstrip().startswith("<"):
        return "".join(text.split())
    if re.match(r"\s*enum\s*\(", text, re.I):
        return enum_type(enum_values(text))
    text = re.sub(r"\s*([(,])\s*|\s+(?=\))", r"\1", " ".join(text.lower().split()))
    if match := re.fullmatch(r"((?:tiny|small|medium|big)?int)(?:eger)?(?:\(\d+\))?(.*)", text):
        return match[1] + match[2]
    if match := re.fullmatch(r"(decimal|numeric|dec|fixed)(?:\((\d+)(?:,(\d+))?\))?(.*)", text):
        core = match[1] == "decimal" and match[3] and not match[4]
        return text if core else f"numeric({match[2] or 10},{match[3] or 0}){match[4]}"
    if match := re.fullmatch(r"float\((\d+)\)", text):
        return "float" if int(match[1]) < 25 else "double"
    return "double" if text == "real" else text


_MOMENT = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T](\d{1,2}:\d\d)(:\d\d)?(\.\d+)?)?")


def normal_default(type_: str, text: str) -> str:
    """Give a default of an attribute of a type (in normal form), in the one form in which equal values are equal texts.

    Parameters
    ----------
    type_ : str
        As :func:`normal_type` gives it.
    text : str
        The value without quotes, or an expression.
    """
    head, scale = re.match(r"[a-z]*\d*", type_), re.search(r",(\d+)\)", type_)
    try:
        return _normal_value(head[0] if head else "", text, int(scale[1]) if scale else 0)
    except (ValueError, ArithmeticError):
        return text


def _normal_value(head: str, text: str, scale: int) -> str:
    match head:
        case "bool":
            return {"true": "1", "t": "1", "false": "0", "f": "0"}.get(text.lower(), text)
        case "int8" | "int16" | "int32" | "int64" | "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year":
            return str(int(Decimal(text).to_integral_value(ROUND_HALF_UP)))
        case "float32" | "float":
            # MySQL tells six digits of one.
            return f"{struct.unpack('f', struct.pack('f', float(text)))[0]:.6g}"
        case "float64" | "double":
            return repr(float(text)).removesuffix(".0")
        case "decimal" | "numeric":
            return f"{Decimal(text).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP):f}"
        case "date" | "datetime" | "timestamp":
            return _normal_moment(text, head == "date")
        case "time":
            return re.sub(r"^(\d\d:\d\d)$", r"\1:00", re.sub(r"(\.\d*?)0+$", r"\1", text).removesuffix("."))
        case "uuid":
            return str(uuid.UUID(text))
        case "json":
            return json.dumps(json.loads(text), sort_keys=True)
    return text


def _normal_moment(text: str, date: bool) -> str:
    if text.upper().startswith("CURRENT_TIMESTAMP"):
        return re.sub(r"\(0?\)", "", text.upper())
    match = _MOMENT.fullmatch(text)
    if match is None:
        return text
    day = f"{match[1]}-{int(match[2]):02}-{int(match[3]):02}"
    clock = (match[4] or "00:00").rjust(5, "0") + (match[5] or ":00") + (match[6] or "").rstrip("0").rstrip(".")
    return day if date else f"{day} {clock}"


_MARKER = re.compile(r""":(<[^>]*>|enum\s*\((?:'(?:[^']|'')*'|"[^"]*"|[^'")])*\)|[^:]+):(.*)""", re.S | re.I)


def split_comment(text: str) -> tuple[str, str]:
    """Split a column's comment into the type that is noted at its head (empty where none is) and the comment."""
    match = _MARKER.fullmatch(text)
    return (match[1], match[2]) if match else ("", text)


#: What MySQL takes some letters for behind a backslash; any other stands for itself.
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "Z": "\x1a", "0": "\0"}


def unescape(text: str) -> str:
    """Give a comment as MySQL reads it: DataJoint escapes double quotes, and on PostgreSQL they stay escaped."""
    return re.sub(r"\\([^%_])", lambda m: _ESCAPED.get(m[1], m[1]), text)


def escape(text: str) -> str:
    """Give a comment that MySQL would read so, which is what a definition has and PostgreSQL keeps: ``D:\\new``."""
    letters = {ord(character): f"\\{letter}" for letter, character in _ESCAPED.items()}
    return text.translate({ord("\\"): "\\\\", **letters})


def normal_expression(text: str) -> str:
    """Give the normal form of a column of an index that is not simply an attribute: ``(j.path:char(20))``,
    ``(lower(name))``, ``name(10)``.

    An expression loses what MySQL adds to it: quotes of names, character sets, parentheses that change nothing.
    """
    text = re.sub(r"\s+", " ", text.replace("\\'", "'").replace("`", "")).strip()
    text = re.sub(r"\b_utf8mb[34](?=')| charset utf8mb[34]\b", "", text)
    if match := re.fullmatch(r"\(json_value\((\w+), ?'\$\.(.*?)'(?: returning (.*))?\)\)", text, re.I):
        text = f"({match[1]}.{match[2]}:{match[3]})" if match[3] else f"({match[1]}.{match[2]})"
    if match := re.fullmatch(r"\((\w+\.[\w.*\[\]]+)(?::(.*))?\)", text):
        # char(512) is what MySQL takes where no type is given.
        return f"({match[1]})" if match[2] in (None, "char(512)") else f"({match[1]}:{normal_type(match[2])})"
    if not text.startswith("("):
        return re.sub(r"\s*([()])", r"\1", re.sub(r"\s+asc$", "", text, flags=re.I)).lower()
    try:
        return f"({ast.unparse(ast.parse(text.strip(), mode='eval'))})"
    except (SyntaxError, ValueError):
        return text


def declared_expression(text: str) -> str:
    """Give the normal form that an expression of a definition has once MySQL tells it: functions in small letters, and
    in parentheses what :func:`normal_expression` cannot read.
    """
    text = normal_expression(text)
    if path_of(text) or not text.startswith("("):
        return text
    small = "".join(part if part[:1] in "'\"" else part.lower() for part in re.split(r"""('[^']*'|"[^"]*")""", text))
    small = small.replace("!=", "<>")
    try:
        ast.parse(small, mode="eval")
    except SyntaxError:
        return normal_expression(small if re.match(r"\(\w+\(", small) else f"({small})")
    return normal_expression(small)


def inherits(marker: str, *, foreign: bool) -> bool:
    """Say whether an attribute is a parent's: a foreign key has it, and its comment notes no type.

    On MySQL the children of a ``uuid`` have its marker, so they cannot be told from attributes declared in their own
    right.
    """
    return foreign and marker in ("", "uuid")


#: How many bits whole numbers of a native type have, and those of any type.
NATIVE_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_BITS = NATIVE_BITS | {f"int{bits}": bits for bits in (8, 16, 32, 64)}

_WHOLE = re.compile(r"(tiny|small|medium|big)?int(eger)?\b|int(8|16|32|64)$|year")


def text_size(type_: str) -> int | None:
    """Give how many characters a text of a core or native type may have; None where the type does not limit it."""
    found = re.fullmatch(r"(?:var)?char\((\d+)\)", type_)
    return int(found[1]) if found else None


def limits(core: str) -> tuple[Decimal, Decimal] | None:
    """Give the least and the greatest number of a core or native type; None where they are not known."""
    name, _, unsigned = core.partition(" ")
    if name in _BITS:
        least = 0 if unsigned == "unsigned" else -(2 ** (_BITS[name] - 1))
        return Decimal(least), Decimal(least + 2 ** _BITS[name] - 1)
    if match := re.fullmatch(r"(?:decimal|numeric)\((\d+),(\d+)\)", core):
        most = (Decimal(10) ** int(match[1]) - 1).scaleb(-int(match[2]))
        return -most, most
    return None


def meaning(core: str) -> str:
    """Say which values a core or native type holds, as far as :func:`holds` knows; empty for one that holds any."""
    kind = "a whole number" if _WHOLE.match(core) else "a number"
    if bounds := limits(core):
        return f"{kind} from {bounds[0]} to {bounds[1]}"
    if core.startswith("enum("):
        *others, last = enum_values(core)
        return f"{', '.join(others)} or {last}" if others else last
    if (size := text_size(core)) is not None:
        return f"at most {size} characters"
    words = {
        _WHOLE.pattern: kind,
        "float(?!64)|real": f"{kind} up to 3.4e38",
        "float|double": f"{kind} up to 1.7e308",
        "decimal|numeric": kind,
        "bool": "true or false",
        "uuid": "a UUID such as 6f1c3a52-8d5e-4b0e-9c55-0a1b2c3d4e5f",
        "datetime|timestamp": "a moment such as 2026-01-31 12:30:00",
        "date": "a day such as 2026-01-31",
        "time": "a time such as 12:30:00",
        "json": "JSON",
    }
    return next((text for pattern, text in words.items() if re.match(pattern, core)), "")


def _most(core: str) -> Decimal:
    """Give the greatest number of a type that may have a fraction, as far as that follows from its name."""
    if re.match(r"decimal|numeric", core):
        return Decimal("Infinity")
    return Decimal("3.4028234663852886e38" if re.match(r"float(?!64)|real", core) else "1.7976931348623157e308")


def holds(core: str, text: str) -> bool:
    """Say whether a value, written as a default is, is one of a core or native type."""
    if text.startswith("(") or text.upper().startswith("CURRENT_TIMESTAMP"):
        return True
    try:
        if bounds := limits(core):
            number = Decimal(int(text) if _WHOLE.match(core) else normal_default(core, text))
            return bounds[0] <= number <= bounds[1]
        if _WHOLE.match(core):
            int(text)
        elif re.match(r"float|double|real|decimal|numeric", core):
            number = Decimal(text)
            return number.is_finite() and abs(number) <= _most(core)  # MySQL has no other
        elif core == "bool":
            return text.lower() in ("0", "1", "true", "false", "t", "f")
        elif core == "uuid":
            uuid.UUID(text)
        elif re.match(r"date|timestamp", core):
            match = _MOMENT.fullmatch(text)
            return match is not None and bool(date(*map(int, match.groups()[:3])))
        elif re.match(r"time(?!stamp)", core):
            return bool(re.fullmatch(r"-?\d{1,3}:\d\d(:\d\d(\.\d+)?)?", text))
        elif core.startswith("enum("):
            return text in enum_values(core)
        elif (size := text_size(core)) is not None:
            return len(text) <= size
        elif core.startswith("json"):
            json.loads(text)
    except (ValueError, ArithmeticError):
        return False
    return True


def is_number(core: str) -> bool:
    """Say whether a core or native type holds numbers; a ``bool`` is one."""
    return bool(_WHOLE.match(core) or re.match(r"bool|float|double|decimal|numeric", core))


_MYSQL_ALONE = re.compile(
    r"(tiny|medium)int\b|.*\b(unsigned|zerofill|auto_increment)\b|double\b(?! precision)|float\(\d+,|year\b|"
    r"(tiny|small|medium|long)?blob|(tiny|small|medium|long)text"
)


def is_of_mysql_alone(type_: str) -> bool:
    """Say whether a type is a native one that PostgreSQL does not have."""
    return bool(_MYSQL_ALONE.match(type_.lower()))


def is_text(core: str) -> bool:
    """Say whether a core or native type holds text."""
    return bool(re.match(r"(var)?char|(tiny|medium|long)?text|enum", core))


def indexed(part: str) -> tuple[str, int]:
    """Give the attribute that a part of an index is over, and how many letters of it, 0 for all: ``name(10) desc``.

    An expression is given as it is.
    """
    match = re.fullmatch(r"(\w+)(?:\((\d+)\))?(?: desc)?", part)
    return (match[1], int(match[2] or 0)) if match else (part, 0)


def path_of(column: str) -> tuple[str, str, str] | None:
    """Read attribute, path and type of ``(document.a.b:char(20))``, an index over a value inside a JSON document."""
    match = re.fullmatch(r"\((\w+)\.([\w.*\[\]]+)(?::(.*))?\)", column) or re.fullmatch(
        r"\((\w+)(\[[\w.*\[\]]+)(?::(.*))?\)", column
    )
    return (match[1], match[2], match[3] or "") if match else None
