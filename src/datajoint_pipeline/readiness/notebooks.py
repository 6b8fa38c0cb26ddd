"""Read the code of a notebook as if it were one file, and tell of a line of it in which cell it stands."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path

from .source import Module, parse

_MAGIC = re.compile(r"^(\s*)[%!?].*$|^(\s*).*\?$", re.MULTILINE)


@dataclass
class Notebook(Module):
    """A notebook: ``starts`` has the first line of each cell of code, ``numbers`` which cell of the notebook it is."""

    starts: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    def place(self, line: int) -> tuple[str, int]:
        """Return how a line's cell is called, and its number there."""
        index = bisect_right(self.starts, line) - 1
        return f"{self.shown} cell {self.numbers[index]}", line - self.starts[index] + 1


def read(path: Path, shown: str, package: str = "") -> Notebook:
    """Read a notebook; cells that are not Python count as empty.

    Raises
    ------
    SyntaxError
        If it is no notebook.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        cells = [cell for cell in content["cells"]]
        code = [(number, _text(cell)) for number, cell in enumerate(cells, 1) if cell.get("cell_type") == "code"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SyntaxError(str(error)) from None
    lines, starts, numbers = list[str](), [1], [1]
    if code:
        starts, numbers = [], []
    for number, text in code:
        starts.append(len(lines) + 1)
        numbers.append(number)
        lines += _readable(text).split("\n")
    text = "\n".join(lines)
    return Notebook(path, shown, parse(text), text, package=package, starts=starts, numbers=numbers)


def _text(cell: dict[str, object]) -> str:
    source = cell.get("source", "")
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def _readable(text: str) -> str:
    """Return a cell with its magic commands left out; empty lines where the rest is not Python."""
    plain = _MAGIC.sub(lambda match: f"{match[1] or match[2] or ''}pass", text)
    try:
        parse(plain)
    except SyntaxError:
        return "\n" * text.count("\n")
    return plain
