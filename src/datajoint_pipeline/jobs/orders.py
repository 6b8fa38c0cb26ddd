"""What a worker's two processes tell each other: settings and orders downwards, events upwards, a line of JSON each."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import IO, TypeVar

#: Claim nothing more, and end when the jobs that are claimed are done.
STOP = "stop"
#: Roll back what is being computed, and give it back.
NOW = "now"

#: What raises in the process that computes, once it is told :data:`NOW`. SIGTERM, which some send to all processes of a
#: worker, is the other process's to act on.
BREAK = signal.SIGUSR1


@dataclass(frozen=True)
class Settings:
    """What a process that computes is told when it starts.

    Parameters
    ----------
    environment : str
        Its name.
    number : int
        The worker's, which stands in jobs (:mod:`liveness`).
    classes : tuple of str
        Whose tables and jobs it computes.
    tables : tuple of str
        What it computes of these; all of them where it is empty.
    once : bool
        Whether it ends when there is nothing left to do.
    pause : float
        Seconds between two looks that found nothing to do.
    seconds : float, optional
        How long it has; it claims nothing that cannot end by then.
    """

    environment: str
    number: int
    classes: tuple[str, ...]
    tables: tuple[str, ...] = ()
    once: bool = False
    pause: float = 30.0
    seconds: float | None = None

    def as_text(self) -> str:
        """Give it as an argument of a command line."""
        return json.dumps(asdict(self))

    @staticmethod
    def of_text(text: str) -> Settings:
        """Read it from an argument of a command line."""
        values = json.loads(text)
        return Settings(**{**values, "classes": tuple(values["classes"]), "tables": tuple(values["tables"])})


Result = TypeVar("Result")


class Stopped(SystemExit):
    """A computation was broken off; DataJoint rolls it back and hands this on."""


class Orders:
    """The orders that come while a process computes.

    Parameters
    ----------
    source : file
        Where they come from; its end means that whoever gives them is gone, and then this process ends at once.
    """

    def __init__(self, source: IO[str]) -> None:
        self._stopping = False
        self._source = source
        self._change = threading.Event()
        self._breaking = False
        self._breakable = False
        die_with_parent()
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.signal(BREAK, self._break)
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def stopping(self) -> bool:
        """Whether nothing more is to be claimed; an order counts from its arrival, not from when it was read."""
        return self._stopping or bool(select.select([self._source], [], [], 0)[0])

    def _listen(self) -> None:
        for line in self._source:
            self._stopping = True
            self._breaking = self._breaking or line.strip() == NOW
            self._change.set()
            if self._breaking:
                os.kill(os.getpid(), BREAK)
        os._exit(1)

    def _break(self, *_: object) -> None:
        if self._breakable and self._breaking:
            self._breakable = False
            raise Stopped

    def breakable(self, function: Callable[[], Result]) -> Result:
        """Run a function that may be broken off.

        Raises
        ------
        Stopped
            If it was.
        """
        self._breakable = True
        try:
            if self._breaking:
                raise Stopped
            return function()
        finally:
            self._breakable = False

    def wait(self, seconds: float) -> None:
        """Wait for some seconds, or until an order comes."""
        if not self.stopping:
            self._change.wait(seconds)


def die_with_parent() -> None:
    """Have the kernel end this process with the one that started it, where it can: also if it is busy or stopped."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
