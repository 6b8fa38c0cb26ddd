"""What a command is at, while it is, and what it did, when it has ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, TypeVar

from rich.markup import escape

from .console import console
from .visible import visible

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

#: What a command says that found nothing to do.
NOTHING = "There was nothing to do."


class Progress:
    """A line on a terminal that says what is being worked on, and goes in the end; elsewhere it is not shown.

    Parameters
    ----------
    word : str
        What is done, before the name of what it is done to.
    """

    def __init__(self, word: str) -> None:
        self._word, self._begun = word, time.monotonic()
        #: What was named; a step that is tried again counts once.
        self._named = dict[tuple[str, int, int], None]()
        #: What is to be said of runs that had been interrupted, and that it has gone on with.
        self.resumed = list[str]()
        shown = console(file=sys.stderr)
        self._status, self._width = shown.status(f"{word} …") if shown.is_terminal else None, shown.width

    def __enter__(self) -> Progress:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def name(self, name: str) -> None:
        """Say what is being worked on."""
        self._named[name, 0, 0] = None
        self._show(name)

    def rehearse(self, words: str) -> None:
        """Say what is being tried out, which counts for nothing that was done."""
        self._show(f"(rehearsal {words})")

    def step(self, words: str, number: int, of: int) -> None:
        """Say which step is being run, and of how many."""
        if not self._named:
            self._begun = (
                time.monotonic()
            )  # to plan and to look at the rows is no part of what is said to have been done
        self._named[words, number, of] = None
        self._show(f"{number} of {of}: {words}")

    def aside(self, function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        """Give a function that prints or asks, without the line under what it writes."""

        def quietly(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
            if self._status is None:
                return function(*arguments, **named)
            self._status.stop()
            asked = time.monotonic()
            try:
                return function(*arguments, **named)
            finally:
                self._begun += time.monotonic() - asked  # what a person thinks about is no time of ours
                self._status.start()

        return quietly

    @property
    def took(self) -> str:
        """Give the time since it began."""
        return f"{time.monotonic() - self._begun:.1f} s"

    def done(self, one: str = "step") -> str:
        """Say how many things were worked on; ``one`` is what one of them is called."""
        nothing = "Nothing else was left to do." if self.resumed else NOTHING
        done = f"{many(len(self._named), one)} done in {self.took}." if self._named else nothing
        return "\n".join([*self.resumed, done])

    def _show(self, text: str) -> None:
        if self._status is not None:
            from rich.text import Text

            # A second line would stay, or take one away that was printed, when the status goes and comes again.
            line = Text(visible(f"{self._word} {text} …"))
            line.truncate(max(self._width - 4, 8), overflow="ellipsis")
            self._status.update(escape(line.plain))


def many(count: int, one: str, more: str = "") -> str:
    """Give a number with what it counts: ``1 value``, ``2 values``."""
    return f"{count:,} {one if count == 1 else more or f'{one}s'}"
