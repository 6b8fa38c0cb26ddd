"""Refuses types that a server does not take, or takes for others, before the first step of a migration."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from ..errors import PipelineError
from .steps import Column


def refuse(table: str, columns: Iterable[Column], why: Callable[[Column], str | None]) -> None:
    """Raise where a server takes no column of such a type.

    Parameters
    ----------
    table : str
        For people.
    columns : iterable of Column
        Those that are new, or get another type.
    why : callable
        Says of a column why the server does not take it; None where it does, or only it knows.
    """
    for column in columns:
        if reason := why(column):
            what = "an enum of such values" if column.core.startswith("enum") else column.core
            raise PipelineError(
                f"{column.name} of {table} cannot be {what}.",
                f"{reason}; nothing was changed.",
                "Choose another type in the definition and in the migration that brings it.",
            )


def sizes(type_: str) -> tuple[str, int | None, int | None]:
    """Give the name of a type and its two sizes, ``("decimal", 4, 2)``; None for one that it has not."""
    match = re.match(r"(\w+)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?", type_.lower())
    if match is None:
        return "", None, None
    first, second = (None if size is None else int(size) for size in match.groups()[1:])
    return match[1], first, second
