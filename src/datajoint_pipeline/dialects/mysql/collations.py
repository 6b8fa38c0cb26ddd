"""What MySQL's collations make of texts: it takes no foreign key between two of them, and finds unlike values equal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping

from ...errors import PipelineError
from ...schema.model import ForeignKey, Table, TableName
from ...schema.notation import is_text
from .. import enum_values
from ..base import Dialect
from ..steps import Column


def refuse(dialect: Dialect, tables: Mapping[TableName, Table], table: Table) -> None:
    """Raise where a new foreign key of a table would lead to texts of another collation.

    Parameters
    ----------
    dialect : Dialect
        MySQL's.
    tables : mapping of TableName to Table
        Every table as it is to be.
    table : Table
        The one whose foreign keys are looked at.
    """
    here, before = dialect.place(table.name), dialect.before.get(table.name)
    had = set(before.foreign_keys) if before else set()
    for key in table.foreign_keys:
        ours, theirs = (dialect.names.collation(place) for place in (here, dialect.place(key.parent)))
        if ours == theirs or not ours or not theirs or not (texts := _texts(dialect, tables, table, key)):
            continue
        if before is not None and key in had and _texts(dialect, dialect.before, before, key):
            continue  # which somebody made so, without foreign_key_checks
        raise PipelineError(
            f"{table.name} cannot refer to {key.parent} by {texts[0]}.",
            f"Its texts have the collation {ours}, and those of {key.parent} {theirs}, which MySQL does not "
            "compare; nothing was changed.",
            _advice(dialect, here[0], dialect.place(key.parent)[0], ours, theirs),
        )


def refuse_enums(dialect: Dialect, table: TableName, columns: Iterable[Column]) -> None:
    """Raise where two values of an enum are one to the collation of their table."""
    collation = dialect.names.collation(dialect.place(table))

    def same(value: str) -> str:
        value = value.rstrip(" ")
        if collation.endswith("_ai_ci"):
            value = "".join(sign for sign in unicodedata.normalize("NFD", value) if not unicodedata.combining(sign))
        return value.casefold() if collation.endswith("_ci") else value

    enum_values.refuse(str(table), columns, same)


def _texts(dialect: Dialect, tables: Mapping[TableName, Table], table: Table, key: ForeignKey) -> list[str]:
    """Give the attributes of a foreign key that hold texts."""
    types = {name: dialect.origin(tables, table, table.attribute[name])[0].type for name in key.attributes}
    return [name for name, type_ in types.items() if is_text(type_.removeprefix("native "))]


def _advice(dialect: Dialect, here: str, there: str, ours: str, theirs: str) -> str:
    """Say which database to give the collation of the other; one without tables is quickly changed."""
    if all(database != here or table.startswith("~") for database, table in dialect.names.tables):
        return f"Give {here}, which has no tables yet, the other: CREATE or ALTER DATABASE `{here}` COLLATE {theirs}."
    return (
        f"With SET foreign_key_checks = 0, give {there} and each of its tables the other: ALTER DATABASE … "
        f"COLLATE {ours}, ALTER TABLE … CONVERT TO CHARACTER SET {ours.partition('_')[0]} COLLATE {ours}."
    )
