"""How a line of a migration file is laid out; what stands in it is for each operation to say."""

from __future__ import annotations

from collections.abc import Iterable

from ..schema import values
from ..schema.values import Fill
from .state import LineContext

#: The longest line of a migration file, which indents each by four.
_WIDTH = 115


def call(function: str, arguments: Iterable[str], more: Iterable[str] = ()) -> str:
    """Render a call: texts that it quotes, then what is code already; on several lines where one is too long."""
    parts = [*map(string, arguments), *more]
    line = f"{function}({', '.join(parts)})"
    if len(line) <= _WIDTH:
        return line
    inside = "".join(f"    {part},\n" for part in parts)
    return f"{function}(\n{inside})"


def string(value: str | None) -> str:
    """Render a text, in double quotes where that needs no escape."""
    if value is None:
        return "None"
    quoted = repr(value)
    plain = quoted.startswith("'") and '"' not in value
    return f'"{quoted[1:-1]}"' if plain else quoted


def block(text: str) -> str:
    """Render a text of several lines."""
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'"""\n{escaped}\n"""'


def names(listed: Iterable[str]) -> str:
    """Render a list of names."""
    return f"[{', '.join(map(string, listed))}]"


def filling(fill: Fill | None, context: LineContext, *, ask: bool) -> list[str]:
    """Render what existing rows get; ``ASK`` where that is still to be given, nothing where they need nothing."""
    if fill is None and not ask:
        return []
    return [f"fill={values.write(None if ask else fill, context.title, string)}"]
