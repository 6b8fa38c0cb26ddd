"""Fills: what stands for the values of rows in a migration file and on the command line, read and written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import notation
from .model import TableName

#: What a row may have: null, or what a definition could write as a default; lists and dictionaries are for ``<blob>``.
Value = str | int | float | bool | None | list[Any] | dict[str, Any]


@dataclass(frozen=True)
class Sql:
    """An expression, a query or statements, in the words of either server."""

    mysql: str = ""
    postgresql: str = ""

    def __post_init__(self) -> None:
        for text in (self.mysql, self.postgresql):
            if not isinstance(text, str):
                raise TypeError(f"{text!r} in Sql should be a text in quotes")


@dataclass(frozen=True)
class Fill:
    """The value that existing rows get for an attribute that they must have.

    Parameters
    ----------
    value : str, optional
        A literal, as a definition writes a default.
    parent : bool
        Whether they take it from the parent's row that a foreign key leads to.
    sql : Sql, optional
        An expression over the row.
    of : tuple of TableName and str, optional
        Whether they take it from the row of that table which they referred to before: its attribute.
    each : str
        Whether every row gets another: ``number`` counts them in the order of their key, ``uuid`` makes one up.
    """

    value: str | None = None
    parent: bool = False
    sql: Sql | None = None
    of: tuple[TableName, str] | None = None
    each: str = ""


#: Types whose attributes can have a value of their own in each row.
_EACH = {
    "number": r"(tiny|small|medium|big)?int|float|double|real|decimal|numeric|varchar|text",
    "uuid": r"uuid|varchar|char",
}


#: What to do about a required attribute whose codec alone writes values.
LET_BE_NULL = "Let it be null, and insert the values with DataJoint."


def needs_codec(type_: str) -> bool:
    """Tell whether values of a type are only written by its codec; those of ``<blob>`` can be said in JSON."""
    return type_.startswith("<") and type_ != "<blob>"


def objection(type_: str, fill: Fill) -> str:
    """Say why no row can get a fill for an attribute of a type; empty where nothing speaks against it."""
    if fill.each and not re.match(_EACH[fill.each], type_):
        return f"It is of type {type_}."
    if fill.value is None:
        return ""
    if type_ == "<blob>":
        return "It begins like JSON, but is not JSON." if _is_broken(fill.value) else ""
    if needs_codec(type_):
        return f"What a {type_} holds is written by its codec."
    kind = "value of the enum" if type_.startswith("enum(") else type_
    return "" if notation.holds(type_, fill.value) else f"It is no {kind}, which holds {notation.meaning(type_)}."


def _is_broken(text: str) -> bool:
    """Tell whether a text begins as a list, document or text in JSON does, and is none; other words are themselves."""
    if not text.lstrip().startswith(("[", "{", '"')):
        return False
    try:
        json.loads(text)
    except ValueError:
        return True
    return False


#: What inserted rows of a parent get, by attribute: a value, or that of an attribute of the row that needs them (None:
#: still to be decided); None where none may be inserted.
Missing = tuple[tuple[str, str | Fill | None], ...] | None


@dataclass(frozen=True)
class Word:
    """A name that stands for itself."""

    name: str

    def __repr__(self) -> str:
        return self.name


#: Stands where existing rows need a value that only a person knows; a migration with it refuses to run.
ASK = Word("ASK")

#: Existing rows get the value of the parent's row that a foreign key leads to.
PARENT = Word("PARENT")

#: Existing rows are numbered from 1, in the order of their primary key.
NUMBER = Word("NUMBER")

#: Each existing row gets a UUID that is made up.
UUID = Word("UUID")


@dataclass(frozen=True)
class From:
    """Existing rows get what the row of that table has which they referred to: ``From("Session", "session_uuid")``."""

    table: str
    attribute: str

    def __repr__(self) -> str:
        return f'From("{self.table}", "{self.attribute}")'


#: What existing rows get: a value as a definition writes a default, a word, an expression, or nothing.
Filling = str | Sql | Word | From | None


def fill(filling: Filling, find: Callable[[str], TableName]) -> Fill | None:
    """Read a fill as a migration file writes it; ``find`` gives the table that a name in the file means."""
    match filling:
        case None | Word("ASK"):
            return None
        case Word("PARENT"):
            return Fill(parent=True)
        case Word(name):
            return Fill(each=name.lower())
        case From(table, attribute):
            return Fill(of=(find(table), attribute))
        case Sql():
            return Fill(sql=filling)
        case value:
            return Fill(str(value))


def write(fill: Fill | None, call: Callable[[TableName], str], quote: Callable[[str], str]) -> str:
    """Write a fill as a migration file does; ``ASK`` where there is none."""
    if fill is None:
        return repr(ASK)
    if fill.parent:
        return repr(PARENT)
    if fill.each:
        return fill.each.upper()
    if fill.of is not None:
        return repr(From(call(fill.of[0]), fill.of[1]))
    return repr(fill.sql) if fill.sql is not None else quote(fill.value or "")


def parse(text: str, find: Callable[[str], TableName]) -> Fill:
    """Read a fill as the command line writes it: a value, ``parent()``, ``number()``, ``uuid()`` or
    ``from(Table.name)``.
    """
    match = re.fullmatch(r"(parent|number|uuid|from)\((.*)\)", text.strip())
    if match is None or (match[1] == "from") != bool(match[2].strip()):
        return Fill(text)
    if match[1] == "from":
        table, _, attribute = match[2].strip().rpartition(".")
        return Fill(of=(find(table), attribute))
    return Fill(parent=True) if match[1] == "parent" else Fill(each=match[1])
