"""Texts in statements for MySQL."""

from __future__ import annotations

from ...errors import PipelineError
from ...internals import declaration_checks


def literal(text: str) -> str:
    """Give a text as a literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def of_literal(literal: str) -> str:
    """Give the text of a literal that :func:`literal` made."""
    return literal[1:-1].replace("''", "'").replace("\\\\", "\\")


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
