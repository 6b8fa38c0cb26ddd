"""Names for what a server keeps: short enough for it, and free."""

from __future__ import annotations

from collections.abc import Iterator


def shorten(name: str, size: int = 63) -> str:
    """Cut a name to a number of bytes, without cutting a character in two."""
    return name.encode()[:size].decode(errors="ignore")


def unused(name: str, taken: set[str], size: int = 63) -> str:
    """Give the name, with ``_2``, ``_3``, … behind it where it is taken."""
    return next(candidate for candidate in _candidates(name, size) if candidate not in taken)


def _candidates(name: str, size: int) -> Iterator[str]:
    yield shorten(name, size)
    number = 2
    while True:
        suffix = f"_{number}"
        yield shorten(name, size - len(suffix)) + suffix
        number += 1
