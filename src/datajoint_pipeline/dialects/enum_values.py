"""Refuses enums that a server takes for others, or refuses in the middle of a migration."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..errors import PipelineError
from ..schema import notation
from .steps import Column


def with_question_marks(wanted: tuple[str, ...], found: tuple[str, ...]) -> bool:
    """Tell whether the values of an enum are others with question marks in the place of characters."""
    if wanted == found or list(map(len, wanted)) != list(map(len, found)):
        return False
    return all(b in (a, "?") for one, other in zip(wanted, found, strict=True) for a, b in zip(one, other, strict=True))


def refuse(table: str, columns: Iterable[Column], same: Callable[[str], str], not_in: str = "") -> None:
    """Raise where an enum has a value twice, or one that cannot be.

    Parameters
    ----------
    table : str
        For people.
    columns : iterable of Column
        Those that are new, or get another type.
    same : callable
        Gives of a value what it has in common with those that the server takes for equal.
    not_in : str
        Signs that no value can have, as DataJoint would make another enum of them.
    """
    for column in columns:
        if not column.core.startswith("enum("):
            continue
        values, known = notation.enum_values(column.core), dict[str, str]()
        signs = " ".join(filter(str.isprintable, not_in))
        if wrong := [value for value in values if set(value) & set(not_in)]:
            raise PipelineError(
                f"{column.name} of {table} cannot have the value {wrong[0]!r}.",
                f"On this server, DataJoint changes a value with any of the signs {signs}; nothing was changed.",
                "Choose another value in the definition and in the migration that adds it.",
            )
        for value in values:
            if (other := known.setdefault(same(value), value)) is not value or values.count(value) > 1:
                raise PipelineError(
                    f"{column.name} of {table} cannot have both {other!r} and {value!r}.",
                    "The server treats them as the same value of the enum; nothing was changed.",
                    "Take one out of the definition and out of the migration that adds it.",
                )
