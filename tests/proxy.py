"""A proxy between a client and a server that knows statements, and lets something happen at one of them.

It speaks enough of both protocols to tell where a statement begins and where its answer ends, so faults come from
outside of what is tested. Connections are plain; a client that asks for TLS is told by the server that there is none.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass
class Fault:
    """What is to happen at a statement.

    Parameters
    ----------
    number : int or str
        At which statement, from 0, or the first that begins with these words.
    when : str
        ``before`` the server gets it, ``while`` it runs, or ``after`` it has been answered, of which the client never
        hears.
    strike : callable
        What happens; the connection is cut in any case.
    patience : float
        Seconds that ``while`` waits.
    running : bool
        Whether the server had not answered by then.
    struck : Event
        Set once it has happened.
    """

    number: int | str
    when: str
    strike: Callable[[], None]
    patience: float = 0.0
    running: bool = False
    struck: threading.Event = field(default_factory=threading.Event)


class Proxy:
    """Listens on a port of its own for clients of a server at another."""

    def __init__(self, backend: str, port: int) -> None:
        self.mysql, self._target = backend == "mysql", port
        self.statements: list[str] = []
        self.took: dict[int, float] = {}  # seconds until the first of each statement's answer
        self._fault: Fault | None = None
        #: Is told each statement before the server gets it.
        self.watch: Callable[[str], None] = lambda text: None
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def begin(self, fault: Fault | None = None) -> None:
        """Count statements from here on, and have a fault among them."""
        with self._lock:
            self.statements, self.took, self._fault = [], {}, fault

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            client.close()
            return
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = _Session(client, server, self.mysql, self._answered)
        threading.Thread(target=session.answers, daemon=True).start()
        try:
            for data, text in session.requests():
                if text is not None:
                    self.watch(text)
                number, fault = self._due(text) if text is not None else (None, None)
                if fault is None:
                    session.asked = number, time.monotonic()
                    server.sendall(data)
                else:
                    self._strike(fault, session, data)
                    return
        except OSError:
            pass
        finally:
            session.cut()

    def _due(self, text: str) -> tuple[int, Fault | None]:
        with self._lock:
            number = len(self.statements)
            self.statements.append(text)
            fault = self._fault
            if fault is None or fault.struck.is_set():
                return number, None
            due = text.startswith(fault.number) if isinstance(fault.number, str) else fault.number == number
            return number, fault if due else None

    def _answered(self, number: int, seconds: float) -> None:
        with self._lock:
            self.took.setdefault(number, seconds)

    def _strike(self, fault: Fault, session: _Session, data: bytes) -> None:
        if fault.when != "before":
            session.answered.clear()
            session.withheld = True
            session.server.sendall(data)
        if fault.when == "while":
            time.sleep(fault.patience)
        elif fault.when == "after":
            session.answered.wait(120)
        fault.running = fault.when == "while" and not session.answered.is_set()
        fault.strike()
        fault.struck.set()


class _Session:
    """One client's connection and the server's."""

    def __init__(
        self, client: socket.socket, server: socket.socket, mysql: bool, answered: Callable[[int, float], None]
    ) -> None:
        self.client, self.server, self._mysql, self._note = client, server, mysql, answered
        self.asked: tuple[int | None, float] = (None, 0.0)
        self.answered = threading.Event()
        self.withheld = False

    def cut(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def answers(self) -> None:
        """Pass on what the server says, unless it is withheld."""
        said = b""
        with suppress(OSError):
            while data := self.server.recv(1 << 16):
                if not self.withheld:
                    (number, since), self.asked = self.asked, (None, 0.0)
                    if number is not None:
                        self._note(number, time.monotonic() - since)
                    self.client.sendall(data)
                    continue
                said += data
                # MySQL's answer to a statement without rows is one packet; PostgreSQL's ends with a sign that it waits.
                if self._mysql or said[-6:-1] == b"Z\x00\x00\x00\x05":
                    self.answered.set()
        self.answered.set()
        with suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)

    def requests(self) -> Iterator[tuple[bytes, str | None]]:
        """What the client sends, message by message, with the text where it is a statement."""
        kept, greeting = b"", not self._mysql
        while data := self.client.recv(1 << 16):
            kept += data
            while True:
                if self._mysql:
                    size = 4 + int.from_bytes(kept[:3], "little") if len(kept) >= 4 else 1 << 62
                elif greeting:
                    size = int.from_bytes(kept[:4], "big") if len(kept) >= 4 else 1 << 62
                else:
                    size = 1 + int.from_bytes(kept[1:5], "big") if len(kept) >= 5 else 1 << 62
                if len(kept) < size:
                    break
                message, kept = kept[:size], kept[size:]
                text = None
                if self._mysql and message[3] == 0 and message[4:5] == b"\x03":
                    text = message[5:].decode(errors="replace")
                elif not self._mysql and not greeting and message[:1] == b"Q":
                    text = message[5:-1].decode(errors="replace")
                if greeting and struct.unpack("!I", message[4:8])[0] != 80877103:  # no request for TLS
                    greeting = False
                yield message, text
