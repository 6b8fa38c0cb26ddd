"""What DataJoint takes of a definition, line by line: without a database, and without the code around it.

DataJoint's own compiler reads each line, for MySQL and for PostgreSQL. What a line refers to is not looked up, so a
foreign key is only asked for its form. All lines that are refused can be told at once; DataJoint stops at the first.
DataJoint is imported when a line is asked for.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

_INDEX = re.compile(r"(unique\s+)?index\s*\(.*\)\s*(#.*)?", re.I)
_OPTIONS = {"NULLABLE", "UNIQUE"}


@cache
def _compiler() -> Any:
    from datajoint import declare

    return declare


class Attribute(NamedTuple):
    """An attribute's line as DataJoint takes it apart."""

    name: str
    type: str
    default: str
    comment: str


@cache
def attribute(line: str) -> Attribute | None:
    """Take a line apart; None where DataJoint cannot.

    Parameters
    ----------
    line : str
        A line of a definition, without blanks around it.
    """
    try:
        found = _compiler().attribute_parser.parse_string(f"{line}#", parse_all=True)
    except Exception:  # whatever its grammar says
        return None
    given = {key: str(value).strip() for key, value in found.as_dict().items()}
    comment = given.get("comment", "").removesuffix("#").strip()
    return Attribute(given["name"], given["type"], given.get("default", ""), comment)


def is_core(type_: str) -> bool:
    """Tell whether a type is a core type or a codec: the same on every server, and noted in the database."""
    try:
        return bool(_compiler().match_type(type_) in _compiler().SPECIAL_TYPES)
    except Exception:
        return False


def refusal(line: str, *, in_key: bool = False, codecs: Collection[str] = ()) -> str:
    """Say in one sentence why DataJoint refuses a line of a definition; empty where it takes it.

    Parameters
    ----------
    line : str
        A line of a definition, without blanks around it.
    in_key : bool
        Whether it stands above ``---``.
    codecs : collection of str
        Names of codecs that the code around defines.
    """
    if not line or line.startswith(("#", "---")):
        return ""
    if _compiler().is_foreign_key(line):
        return _foreign_key(line, in_key)
    for name in codecs:
        line = re.sub(rf"<{re.escape(name)}(?=[@>])", "<blob", line)
    return _compiled(line, in_key)


@cache
def _compiled(line: str, in_key: bool) -> str:
    from datajoint.adapters.mysql import MySQLAdapter
    from datajoint.adapters.postgres import PostgreSQLAdapter

    with _silent():
        for adapter in (MySQLAdapter(), PostgreSQLAdapter()):
            try:
                _compile(line, in_key, adapter)
            except Exception as error:
                return _sentence(error)
    return ""


def _compile(line: str, in_key: bool, adapter: Any) -> None:
    if _INDEX.fullmatch(line):
        _compiler().compile_index(re.sub(r"\s*#.*$", "", line), [], adapter)
        return
    if line.startswith("_"):
        raise ValueError("A name that begins with _ is DataJoint's own.")
    _compiler().compile_attribute(line, in_key, [], {}, adapter)
    found = attribute(line)
    if found is not None and found.type.lower().startswith("enum") and '"' in found.type:
        raise ValueError("The values of an enum stand in single quotes; on MySQL, DataJoint cannot write others.")
    if found is not None and found.default:
        _check_default(found.type.lower(), found.default)
    for text in found or ():
        try:
            text % ()  # as the driver does with the whole statement
        except (TypeError, ValueError):
            raise ValueError("A percent sign must be written twice (%%).") from None


def _check_default(type_: str, default: str) -> None:
    """Refuse a default that one server reads as a value of the type and another does not: MySQL takes 1e3 for 1000."""
    text = default.strip("'\"")
    if text.upper() in ("NULL", "CURRENT_TIMESTAMP"):
        return
    if re.fullmatch(r"int(8|16|32|64)", type_) and not re.fullmatch(r"[+-]?\d+", text):
        raise ValueError(f"The default {default} is no whole number to PostgreSQL.")
    if type_ == "bool" and text not in ("0", "1"):
        raise ValueError(f"The default {default} is not 0 or 1, as both servers read a bool.")
    if type_.startswith("date") and text.startswith("0000-"):
        raise ValueError(f"The default {default} is no date.")


def _foreign_key(line: str, in_key: bool) -> str:
    try:
        found = _compiler().foreign_key_parser.parse_string(line)
    except Exception as error:
        return _sentence(error)
    options = {str(option).upper() for option in found.options}
    if options - _OPTIONS:
        return f"A foreign key has no option {', '.join(sorted(options - _OPTIONS)).lower()}."
    return "A foreign key of the primary key cannot be nullable." if in_key and "NULLABLE" in options else ""


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if text.startswith("Declaration error in position"):
        return (
            "DataJoint cannot read this line: it reads `name = default : type  # comment`, the name in small letters."
        )
    return text if text.endswith((".", ")", '"')) else f"{text}."


@contextmanager
def _silent() -> Iterator[None]:
    """Keep DataJoint's warnings about native types off the terminal, as the report has its own words for them."""
    logger = logging.getLogger("datajoint")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
