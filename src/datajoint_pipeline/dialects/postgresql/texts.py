"""Texts in statements for PostgreSQL."""

from __future__ import annotations


def literal(text: str) -> str:
    """Give a text as a literal."""
    return "'" + text.replace("'", "''") + "'"


def block(body: str) -> str:
    """Give an anonymous block (``DO``), between marks that do not occur in it."""
    mark, number = "$do$", 0
    while mark in body:
        mark, number = f"$do{number}$", number + 1
    return f"DO {mark} {body} {mark}"
