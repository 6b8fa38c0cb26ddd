"""Has Ctrl-C end the statement that a session of PostgreSQL is at; its driver waits for the end otherwise."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datajoint as dj


@contextmanager
def interruptible(connection: dj.Connection) -> Iterator[None]:
    """Cancel what the session is at when Ctrl-C comes, which is then raised as always.

    Python tells this thread of it only when the driver returns. A thread beside it is told at once, by a pipe that the
    interpreter writes to; where that is somebody else's already, as in a notebook, nothing is done.
    """
    ours = threading.current_thread() is threading.main_thread() and os.name == "posix"
    if connection.adapter.backend != "postgresql" or not ours:
        yield
        return
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    before = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    if before != -1:
        signal.set_wakeup_fd(before)
        os.close(tell)
        os.close(told)
        yield
        return

    def listen() -> None:
        while number := os.read(told, 1):
            if number[0] == signal.SIGINT:
                with suppress(Exception):  # a session that is gone has nothing to end
                    connection._conn.cancel()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(-1)
        os.close(tell)
        listener.join()
        os.close(told)
