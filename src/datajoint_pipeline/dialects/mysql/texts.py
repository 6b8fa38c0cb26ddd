"""Texts in statements for MySQL."""

from __future__ import annotations

from ...errors import PipelineError
from ...internals import declaration_checks

#: Databases that every server has, as literals for ``IN``.
OF_THE_SERVER = "'mysql', 'sys', 'performance_schema', 'information_schema'"


def literal(text: str) -> str:
    """Give a text as a literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def of_literal(literal: str) -> str:
    """Give the text of a literal that :func:`literal` made."""
    return literal[1:-1].replace("''", "'").replace("\\\\", "\\")


#: Character sets that lack the characters of four bytes, such as emoji.
OF_THREE_BYTES = ("utf8", "utf8mb3", "ucs2")

#: Those that lack none.
WHOLE = ("utf8mb4", "utf16", "utf16le", "utf32", "gb18030")


def character_set(collation: str) -> str:
    """Give the character set of a collation."""
    return collation.partition("_")[0]


def noted(what: str, text: str) -> str:
    """Give a text for the server's catalogue as a literal.

    Parameters
    ----------
    what : str
        Whose text, for people.
    text : str
        The comment, type or default.

    Raises
    ------
    PipelineError
        If the catalogue cannot keep the text.
    """
    if lost := declaration_checks.unknown(text):
        raise PipelineError(
            f"MySQL cannot keep {lost} in the definition of {what}.",
            "Its catalogue has characters of three bytes at most; it would note a question mark.",
            "Write it without that sign.",
        )
    return literal(text)
