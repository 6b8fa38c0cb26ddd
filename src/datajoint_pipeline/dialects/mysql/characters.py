"""Which characters the texts of a table of MySQL can have: those of old databases, in latin1 or utf8mb3, not all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...errors import PipelineError
from ...internals import declaration_checks
from ...schema import notation
from ...schema.model import TableName
from ..base import Dialect
from ..steps import Column
from . import texts


def lost(dialect: Dialect, table: TableName, text: str) -> str:
    """Give the characters of a text that a table cannot have, by the name that it has at that point."""
    name = texts.character_set(dialect.names.collation(dialect.place(table)))
    if name in texts.OF_THREE_BYTES:
        return declaration_checks.unknown(text)
    known = dialect.names.letters.get(name)
    return "" if known is None else "".join(dict.fromkeys(sign for sign in text if sign not in known))


def of_definitions(columns: Iterable[Column]) -> Iterator[tuple[str, str]]:
    """Give the texts that definitions of columns have, each with the column: values of enums, defaults."""
    for column in columns:
        for value in notation.enum_values(column.core) if column.core.startswith("enum(") else ():
            yield column.name, value
        if notation.is_text(column.core) and column.default is not None and column.default.startswith("'"):
            yield column.name, texts.of_literal(column.default)


def refuse(dialect: Dialect, table: TableName, values: Iterable[tuple[str, str]], where: str = "") -> None:
    """Raise where a table could not have a text: the server would write question marks, or refuse it amid a migration.

    Parameters
    ----------
    dialect : Dialect
        MySQL's.
    table : TableName
        The table, by the name that it has at that point.
    values : iterable of (str, str)
        The texts, each with the attribute.
    where : str
        Where they are written; if they are not in a definition and the migration that brings it.
    """
    for attribute, text in values:
        if signs := lost(dialect, table, text):
            database = dialect.place(table)[0]
            name = texts.character_set(dialect.names.collation(dialect.place(table)))
            # To convert tables is no advice: the server makes question marks of letters in their enums.
            fresh = all(place != database or other.startswith("~") for place, other in dialect.names.tables)
            raise PipelineError(
                f"{attribute} of {table} cannot have the value {text!r}.",
                f"The texts of that table are in {name}, which does not have {signs}; nothing was changed.",
                f"Write it otherwise, or give {database}, which has no tables yet, all characters: CREATE or ALTER "
                f"DATABASE `{database}` CHARACTER SET utf8mb4."
                if fresh
                else f"Write it otherwise, in {where or 'the definition and in the migration'}.",
            )
