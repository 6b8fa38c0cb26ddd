"""What rows have in an attribute that a rollback has set aside, until the values of before are given back."""

from __future__ import annotations

from ..dialects.base import Dialect
from ..schema import compatibility, notation
from ..schema.model import Attribute, Table
from ..schema.values import Fill

#: By kind of type, what rows have where they must have something.
_STAND_INS = {
    "text": "",
    "int": "0",
    "real": "0",
    "bool": "0",
    "date": "2000-01-01",
    "datetime": "2000-01-01 00:00:00",
    "timestamp": "2000-01-01 00:00:00",
    "time": "00:00:00",
    "year": "2000",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "json": "null",
}


def can_be(table: Table, attribute: str) -> bool:
    """Tell whether rows of a table can have something in an attribute until their values are given back."""
    found = table.attribute[attribute]
    return found.nullable or found.type == "uuid" or not _unique(table, attribute)


def _unique(table: Table, attribute: str) -> bool:
    return any(index.unique and attribute in index.columns for index in table.indexes)


def fill(table: Table, name: str, after: Attribute) -> Fill | None:
    """Give what rows get in an attribute, called ``name`` in its table by now; nothing where it may be null."""
    if after.nullable:
        return None
    if after.type == "uuid" and _unique(table, name):
        return Fill(each="uuid")
    return Fill(after.default or of_type(after.type))


def of_type(type_: str) -> str:
    """Give what rows get in a required attribute of a type, as a definition writes it."""
    if type_.startswith("enum"):
        return notation.enum_values(type_)[0]
    word = type_.removeprefix("native ").partition("(")[0]
    return _STAND_INS.get(word, _STAND_INS.get(compatibility.family(word), ""))


def standing(table: Table, name: str) -> tuple[str | None, ...]:
    """Give what rows have in an attribute, null as None; nothing where each has something else."""
    found = fill(table, name, table.attribute[name])
    if found is None:
        return (None,)
    moving = found.each or found.value is None or found.value.upper().startswith("CURRENT_")
    return () if moving else (str(found.value),)


def condition(dialect: Dialect, column: str, stored: str, value: str | None) -> str:
    """Give the condition that a column has a value.

    Parameters
    ----------
    dialect : Dialect
        The server's.
    column : str
        The column, quoted.
    stored : str
        The server's type of it.
    value : str or None
        The value, as a definition writes it; None for null.
    """
    if value is None:
        return f"{column} IS NULL"
    literal = dialect.literal(value)
    if dialect.backend == "mysql":  # where a uuid is bytes
        return f"{column} = {f'UUID_TO_BIN({literal})' if stored == 'binary(16)' else literal}"
    cast = "" if stored.startswith("enum(") else f"::{stored}"
    return f"{column}::text = ({literal}{cast})::text"
