"""Lines for a terminal, broken between words. What goes elsewhere keeps its lines: programs and ``grep`` read them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

#: What ends a command in a sentence.
_ENDS = (".", ",", ";", ":", ")")


def wrap(text: str, stream: IO[str], *, hang: int = 0) -> str:
    """Break lines that are too long for the terminal that a stream is; elsewhere give the text as it is.

    A command that can be pasted stays on one line, for the terminal itself to break, as does any long word: broken
    here, its first half would run when it is pasted.

    Parameters
    ----------
    text : str
        The text, which may have several lines.
    stream : text file
        Where it goes.
    hang : int
        How many columns what goes on is indented, besides its line's own.
    """
    columns = width(stream)
    if columns is None:
        return text
    return "\n".join(
        f"\n{' ' * indent(line, columns, hang)}".join(line[piece] for piece in pieces(line, columns, hang))
        for line in text.split("\n")
    )


def width(stream: IO[str]) -> int | None:
    """Give the columns of the terminal that a stream is; None where it is none."""
    try:
        if not stream.isatty():
            return None
        said = os.environ.get("COLUMNS", "")
        columns = int(said) if said.isdecimal() else os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):  # closed, or of a kind that has no width
        return None
    return columns or None


def pieces(line: str, columns: int, hang: int = 0) -> Iterator[slice]:
    """Give the parts of one line that come below each other; the space between them goes."""
    start = end = before = 0
    for word in _words(line) if _cells(line) > columns else ():
        if end > start and before + _cells(line[start : word.stop]) > columns:
            yield slice(start, end)
            start, before = word.start, indent(line, columns, hang)
        end = word.stop
    yield slice(start, len(line))


def indent(line: str, columns: int, hang: int = 0) -> int:
    """Give how many columns stand before the parts of a line that come below its first."""
    return min(len(line) - len(line.lstrip(" ")) + hang, columns // 2)


def _words(line: str) -> list[slice]:
    """Find the words of a line; a command that can be pasted is one."""
    words, found = [(one.group(), one.span()) for one in re.finditer(r"\S+", line)], list[slice]()
    texts, at = [text for text, _ in words], 0
    while at < len(words):
        last = _end_of_command(texts, at)
        found.append(slice(words[at][1][0], words[last][1][1]))
        at = last + 1
    return found


def _end_of_command(words: list[str], at: int) -> int:
    """Give the last word of the command that begins with a word; the word itself where none does.

    A sentence does not say where a command ends. Its options are part of it, and two words, which may be its name and
    what it is about.
    """
    last = _end_of_program(words, at)
    if last is None:
        return at
    left, number = 2, last + 1
    while number < len(words) and not words[number - 1].endswith(_ENDS):
        if words[number].startswith("-"):
            last = number
            if number + 1 < len(words) and not words[number].endswith(_ENDS):
                number = last = _end_of_value(words, number + 1)
        elif left:
            left, last = left - 1, number
        number += 1
    return last


def _end_of_program(words: list[str], at: int) -> int | None:
    """Give the last word of what starts a program; None where no program starts with that word."""
    name, first = Path(sys.argv[0] or "-").name, words[at].lstrip("(`'\"")
    if first == "uv" and words[at + 1 : at + 2] == ["run"] and at + 2 < len(words):
        return _end_of_program(words, at + 2) or at + 2
    if first == "python" and words[at + 1 : at + 2] == ["-m"] and at + 2 < len(words):
        return at + 2
    return at if first in (name, "uvx") else None


def _end_of_value(words: list[str], at: int) -> int:
    """Give the last word of an option's value, which may be several between quotation marks."""
    last = at
    while " ".join(words[at : last + 1]).count('"') % 2 and last + 1 < len(words):
        last += 1
    return last


def _cells(text: str) -> int:
    """Count the columns that a text takes: characters of East Asia take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
