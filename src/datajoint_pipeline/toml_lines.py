"""Find the lines of a TOML file on which its keys and values stand, which no TOML reader of Python tells."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Lines", "Path", "tomllib"]

#: Where something stands in a document: names of tables and keys, numbers of items in arrays.
Path = tuple[str | int, ...]

_WORD = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEY = re.compile(rf"\s*({_WORD}(?:\s*\.\s*{_WORD})*)\s*=")
_HEADER = re.compile(rf"\s*\[\[?\s*({_WORD}(?:\s*\.\s*{_WORD})*)\s*\]")

#: What a value is made of, as far as its end is concerned.
_PIECE = re.compile(
    r'"""(?:[^\\]|\\.)*?"""' + r"|'''.*?'''" + r'|"(?:[^"\\\n]|\\.)*"' + r"|'[^'\n]*'|#[^\n]*|[\[{]|[\]}]|\n|.",
    re.DOTALL,
)


class Lines:
    """The lines of a document that is TOML.

    Parameters
    ----------
    text : str
        The document, which a TOML reader has read.
    """

    def __init__(self, text: str) -> None:
        #: The first and the last line of what stands under a path.
        self._spans: dict[Path, tuple[int, int]] = {}
        self._text = text.split("\n")
        for path, first, last in _entries(text):
            self._spans.setdefault(path, (first, last))

    def of(self, path: Path, value: Any = None) -> int:
        """Give the line on which a key stands, or an item of its array or inline table; 1 where it stands on none.

        Parameters
        ----------
        path : tuple
            The names that lead to it, and the numbers of items.
        value : object
            The item's own value or name, where the array is written over several lines.
        """
        for length in range(len(path), 0, -1):
            if path[:length] in self._spans:
                first, last = self._spans[path[:length]]
                words = {str(value), *map(str, path[length:])} if length < len(path) else set()
                for number in range(first, last + 1):
                    if any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", self._code(number)) for word in words if word):
                        return number
                return first
        return 1

    def _code(self, number: int) -> str:
        """Give a line without a comment that it ends with."""
        return "".join(piece for piece in _PIECE.findall(self._text[number - 1]) if not piece.startswith("#"))


def _entries(text: str) -> Iterator[tuple[Path, int, int]]:
    """Give the path of each table and key, with its first and last line."""
    table: Path = ()
    at = 0
    while at < len(text):
        line = text.count("\n", 0, at) + 1
        if header := _HEADER.match(text, at):
            table = _split(header[1])
            yield table, text.count("\n", 0, header.start(1)) + 1, line
            at = _line_end(text, header.end())
        elif key := _KEY.match(text, at):
            first = text.count("\n", 0, key.start(1)) + 1
            at = _value_end(text, key.end())
            path = (*table, *_split(key[1]))
            last = text.count("\n", 0, at - 1) + 1
            for length in range(len(table) + 1, len(path) + 1):
                yield path[:length], first, last
        else:
            at = _line_end(text, at)


def _split(words: str) -> Path:
    """Give the names of a dotted key."""
    found: list[str] = []
    inner: Any = tomllib.loads(f"{words} = 0")
    while isinstance(inner, dict):
        (name,) = inner
        found.append(name)
        inner = inner[name]
    return tuple(found)


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _value_end(text: str, at: int) -> int:
    """Give the place behind the line on which a value ends."""
    depth = 0
    for piece in _PIECE.finditer(text, at):
        depth += (piece[0] in "[{") - (piece[0] in "]}")
        if piece[0] == "\n" and not depth:
            return piece.end()
    return len(text) + 1
