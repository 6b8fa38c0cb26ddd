"""Text of servers, of other people and of the journal, as a terminal may have it."""

from __future__ import annotations

import os
import re
from io import TextIOWrapper
from typing import IO, Any

import click

#: What moves a terminal's cursor, changes its colours or its title, or turns the direction of writing. Ends of lines
#: and tabs are not among them, since texts of ours have them.
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """Give a text with its control characters written out, ``\\u001b`` for escape; JSON stays the same JSON."""
    return _COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def tolerate(*streams: IO[str]) -> None:
    """Have characters that a stream's encoding lacks replaced by question marks, instead of an error in the middle."""
    for stream in streams:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def echo(text: str, *, err: bool = False, **style: Any) -> None:
    """Print a line with its control characters written out; ``style`` is that of :func:`click.style`, whose colour is
    for who wants any.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        style.pop("fg", None)
    shown = visible(text)
    click.echo(click.style(shown, **style) if style else shown, err=err)
