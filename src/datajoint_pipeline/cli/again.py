"""Commands of this program that are run again and again, each time in a process of its own.

A lost connection, or an update of the code, is forgotten with the process.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..project.environments import Environment
    from .common import Options

#: Seconds between two pages.
PAGE_EVERY = 300.0


def once(options: Options, environment: Environment, arguments: Sequence[str], *, quiet: bool = False) -> None:
    """Run a command of this program on the environment that was chosen, and wait for its end.

    Where it is quiet, Ctrl-C does not reach it either: whoever has it run says what is to be done.
    """
    where = ["--env", environment.name, *(["--branch", options.branch] if options.branch else [])]
    command = [sys.executable, "-m", options.pipeline.package, *where, *arguments]
    output = subprocess.DEVNULL if quiet else None
    subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=output, start_new_session=quiet)


def forever(options: Options, environment: Environment, arguments: Sequence[str], every: float) -> None:
    """Run a command of this program again and again, until a signal ends this process."""
    while True:
        once(options, environment, arguments)
        time.sleep(every)


@contextmanager
def page(options: Options, environment: Environment, file: str | None, every: float = PAGE_EVERY) -> Iterator[None]:
    """Have a page written now and then while this holds, and once more if it ends well; nothing without a file."""
    if file is None:
        yield
        return
    over = threading.Event()
    arguments = ["progress", "--html", file]

    def write() -> None:
        while not over.is_set():
            once(options, environment, arguments, quiet=True)
            over.wait(every)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        yield
    finally:
        over.set()
    writer.join()
    once(options, environment, arguments, quiet=True)
