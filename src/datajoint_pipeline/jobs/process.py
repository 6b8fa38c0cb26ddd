"""The process that computes, seen from the one that watches it: its events, its memory, how it ended."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from .classes import in_words
from .orders import NOW, STOP, Settings

#: Seconds between two looks at its memory.
_LOOK = 0.3


class Process:
    """A process that computes.

    Parameters
    ----------
    package : str
        Import name of the project's package.
    folder : Path
        The project's.
    settings : Settings
        What it is told.
    """

    def __init__(self, package: str, folder: Path, settings: Settings) -> None:
        program = "datajoint_pipeline.jobs.child"
        self._process = subprocess.Popen(
            [sys.executable, "-m", program, package, settings.as_text()],
            cwd=folder if folder.is_dir() else None,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C reaches the process that watches, which says what is to be done.
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._orders, self._events = self._process.stdin, self._process.stdout
        os.set_blocking(self._events.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._events, selectors.EVENT_READ)
        self._rest, self._looked = b"", 0.0
        self.began = time.monotonic()
        #: The most memory that it and what it started took, in bytes.
        self.peak = 0
        #: Whether it has ended.
        self.ended = False

    @property
    def pid(self) -> int:
        """Give its number on this machine."""
        return self._process.pid

    def events(self, seconds: float) -> Iterator[dict[str, Any]]:
        """Give what it says within some seconds, at once where it says something, and see whether it has ended."""
        self._selector.select(seconds)
        ended = self._has_ended()
        try:
            while chunk := os.read(self._events.fileno(), 1 << 16):
                self._rest += chunk
        except BlockingIOError:
            pass
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            yield json.loads(line)
        self.ended = ended

    def memory(self) -> int:
        """Give how many bytes it and what it started take now."""
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return 0
        self._looked = now
        total = 0
        try:
            own = psutil.Process(self.pid)
            for process in (own, *own.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
        except psutil.Error:
            return 0
        self.peak = max(self.peak, total)
        return total

    def stop(self) -> None:
        """Have it claim nothing more."""
        self._say(STOP)

    def stop_now(self) -> None:
        """Have it roll back what it computes, and end."""
        self._say(NOW)

    def _say(self, order: str) -> None:
        with suppress(OSError):  # it may have ended
            self._orders.write(f"{order}\n".encode())
            self._orders.flush()

    def kill(self) -> None:
        """End it at once, and what it started."""
        with suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of a process that has ended, and end what it left behind."""
        self.kill()
        self._selector.close()
        self._events.close()
        with suppress(OSError):
            self._orders.close()

    @property
    def code(self) -> int:
        """Give what it ended with: an exit code, or the number of a signal below zero."""
        return int(self._process.returncode or 0)

    @property
    def how(self) -> str:
        """Say how it ended: ``killed by signal 9, peak 61 GB``."""
        end = f"killed by signal {-self.code}" if self.code < 0 else f"ended with code {self.code}"
        return f"{end}, peak {in_words(self.peak)}"

    def _has_ended(self) -> bool:
        if self._process.returncode is None:
            try:
                pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            except ChildProcessError:
                self._process.returncode = 0
                return True
            if pid:
                unit = 1 if sys.platform == "darwin" else 1024
                self.peak = max(self.peak, usage.ru_maxrss * unit)
                self._process.returncode = os.waitstatus_to_exitcode(status)
        return self._process.returncode is not None
