"""What the queries for what hangs on a table have in common; what each server can be asked is in its own folder."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .base import Dialect
from .constraints import Place
from .steps import Alteration, Change, LiteralFill


def converted(alteration: Alteration, change: Change) -> set[str]:
    """Give the names before of the columns that get another type, or values that an expression gives."""
    return {old for name, old in change.old.items() if name in change.retyped or name in alteration.converts}


def filled(alteration: Alteration, change: Change) -> set[str]:
    """Give the columns that rows are updated for; a new one with one value for all is made with it as its default.

    Of one that is there, only a null is filled.
    """
    return {
        name
        for name, fill in alteration.fills.items()
        if (change.was[name].nullable if name in change.was else not isinstance(fill, LiteralFill))
    }


def ours(dialect: Dialect, place: Place) -> str:
    """Give the databases of the pipeline, that of a table among them, as literals for ``IN``."""
    return literals(dialect, {place[0], *(database for database, _ in dialect.names.tables)})


def literals(dialect: Dialect, names: Iterable[str]) -> str:
    """Give names as literals for ``IN``."""
    return ", ".join(map(dialect.literal, sorted(names)))


def whole(table: str) -> str:
    """Give a regular expression for the name of a table as a word; ``#`` begins that of a Lookup table."""
    return rf"(^|[^A-Za-z0-9_#]){re.escape(table)}([^A-Za-z0-9_#]|$)"


def words(names: Iterable[str]) -> str:
    """Give names for people."""
    return ", ".join(sorted(names))
