"""Where tables and sentences for people go."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from .visible import visible


class _Console(Console):
    """A console that writes control characters out, whoever the text is from; colours are its own."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)


def console(**options: Any) -> Console:
    made = _Console(highlight=False, emoji=False, **options)  # the mark :date: is none
    if not made.is_terminal:
        made.width = 160  # a pipe has no width; nothing that a person greps for should be cut
    return made
