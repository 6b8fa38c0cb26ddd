"""Text of servers, of other people and of the journal, as a terminal may have it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import IO, Any, TypeVar

import click

from ..wrapping import wrap

Answer = TypeVar("Answer")

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


def echo(text: str, *, err: bool = False, whole: bool = False, hang: int = 0, **style: Any) -> None:
    """Print a line with its control characters written out, broken between words on a terminal.

    Parameters
    ----------
    text : str
        The line.
    err : bool
        Whether it goes to standard error.
    whole : bool
        Whether it stays as it is on a terminal too, as what is copied from there does.
    hang : int
        How many columns what goes on is indented.
    **style
        That of :func:`click.style`, whose colour is for who wants any.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        style.pop("fg", None)
    shown = visible(text)
    if not whole:
        shown = wrap(shown, sys.stderr if err else sys.stdout, hang=hang)
    click.echo(click.style(shown, **style) if style else shown, err=err)


def prompt(question: str, read: Callable[[str], Answer], *, err: bool = False, **options: Any) -> Answer:
    """Ask a person until the answer can be read; ``options`` are those of :func:`click.prompt`.

    ``read`` raises :class:`click.UsageError` for an answer that cannot be.
    """
    stream = sys.stderr if err else sys.stdout

    def reading(text: str) -> Answer:
        try:
            return read(text)
        except click.UsageError as error:
            begin = "Error: "  # with which click says it
            raise click.UsageError(wrap(visible(f"{begin}{error.message}"), stream)[len(begin) :]) from None

    shown = wrap(visible(f"{question}: "), stream)
    answer: Answer = click.prompt(shown, prompt_suffix="", value_proc=reading, err=err, **options)
    return answer


def confirm(question: str, *, err: bool = False) -> None:
    """Ask a person for a yes, and stop everything without one."""
    shown = wrap(visible(f"{question} [y/N]: "), sys.stderr if err else sys.stdout)
    click.confirm(shown, prompt_suffix="", show_default=False, abort=True, err=err)
