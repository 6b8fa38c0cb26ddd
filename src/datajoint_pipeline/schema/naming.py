"""Small words that both servers are told things in: names that are short enough and free, kinds of types."""

from __future__ import annotations

import re
from collections.abc import Iterator

from . import notation
from .model import TableName


def words(phrases: list[str], table: TableName) -> str:
    """What a step does: ``add weight, drop colour in ephys.recording``."""
    return f"{', '.join(dict.fromkeys(phrases)) or 'change'} in {table}"


def shorten(name: str, size: int = 63) -> str:
    """A name within a number of bytes, no character cut in two."""
    return name.encode()[:size].decode(errors="ignore")


def unused(name: str, taken: set[str], size: int = 63) -> str:
    """A name that is not taken, with ``_2``, ``_3``, … behind it where it must be."""
    return next(candidate for candidate in _candidates(name, size) if candidate not in taken)


def _candidates(name: str, size: int) -> Iterator[str]:
    yield shorten(name, size)
    number = 2
    while True:
        suffix = f"_{number}"
        yield shorten(name, size - len(suffix)) + suffix
        number += 1


def is_text(core: str) -> bool:
    """Whether a core or native type holds text."""
    return bool(re.match(r"(var)?char|(tiny|medium|long)?text|enum", core))


def path_of(column: str) -> tuple[str, str, str] | None:
    """Attribute, path and type of ``(document.a.b:char(20))``, an index over a value inside a JSON document."""
    match = re.fullmatch(r"\((\w+)\.([\w.*\[\]]+)(?::(.*))?\)", column) or re.fullmatch(
        r"\((\w+)(\[[\w.*\[\]]+)(?::(.*))?\)", column
    )
    return (match[1], match[2], match[3] or "") if match else None


def normal(core: str, text: str) -> str:
    """A value in the form of :func:`notation.normal_default`."""
    return notation.normal_default(core, text)
