"""Where tables and sentences for people go."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from .. import wrapping
from .visible import visible


class _Console(Console):
    """A console that writes control characters out, whoever the text is from; colours are its own.

    It breaks sentences as :mod:`datajoint_pipeline.wrapping` does, and those of a pipe not at all.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        match objects:
            case (str(sentence),) if not options:
                super().print(self._broken(self.render_str(sentence)), soft_wrap=True)
            case _:
                super().print(*objects, **options)

    def _broken(self, text: Text) -> Text:
        columns = wrapping.width(self.file)
        if columns is None:
            return text
        lines = list[Text]()
        for line in text.split("\n", allow_blank=True):
            plain = line.plain
            before = Text(f"\n{' ' * wrapping.indent(plain, columns)}")
            lines.append(before.join(line[piece] for piece in wrapping.pieces(plain, columns)))
        return Text("\n").join(lines)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)


def console(**options: Any) -> Console:
    made = _Console(highlight=False, emoji=False, **options)  # the mark :date: is none
    if not made.is_terminal:
        made.width = 160  # a pipe has no width; nothing that a person greps for should be cut
    return made
