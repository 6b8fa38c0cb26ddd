"""A MySQL of a project's own for a few minutes, from the ``mysqld`` on ``PATH``.

It listens on 127.0.0.1 alone and asks for a password that only this process knows. A server that a killed process left
is found by its folder, and ended.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import PipelineError

#: Seconds that it gets to start, and to end before it is killed.
_SECONDS = 120.0

#: It need not outlive a loss of power.
_HASTY = ("--innodb-flush-log-at-trx-commit=2", "--innodb-doublewrite=OFF", "--skip-log-bin", "--mysqlx=OFF")

#: The account that it has.
USER = "root"


def program() -> str:
    """Give the path of the server's program; empty where there is none."""
    return shutil.which("mysqld") or ""


@contextmanager
def running(folder: Path) -> Iterator[tuple[int, str]]:
    """Run a server with its data in a folder, which goes with it in the end; give its port and password.

    Raises
    ------
    PipelineError
        If it does not start.
    """
    clear(folder)
    folder.mkdir(parents=True, mode=0o700)
    password = secrets.token_urlsafe(18)
    script = folder / "init.sql"
    script.write_text(f"ALTER USER '{USER}'@'localhost' IDENTIFIED BY '{password}';\n", encoding="utf-8")
    script.chmod(0o600)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    common = [program(), *_without_settings(), f"--datadir={folder / 'data'}", f"--log-error={folder / 'log.err'}"]
    common += ["--user=root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    process: subprocess.Popen[bytes] | None = None
    try:
        made = subprocess.run(
            [*common, "--initialize-insecure"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
        if made.returncode:
            raise _refused(folder)
        places = [f"--port={port}", "--bind-address=127.0.0.1", f"--init-file={script}", f"--pid-file={folder / 'pid'}"]
        # A path of a socket has little room, and nobody needs one here.
        process = subprocess.Popen(
            [*common, *places, *_HASTY, "--socket=s"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _wait(process, folder, port)
        yield port, password
    finally:
        if process is not None:
            process.kill()  # its data go, so it is not let put them in order
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def clear(folder: Path) -> None:
    """End the server that a killed process left in a folder, and take the folder away."""
    with suppress(OSError, ValueError):
        pid = int((folder / "pid").read_text(encoding="utf-8"))
        shown = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
        if f"--datadir={folder / 'data'}" in shown.stdout:  # else the number is another program's by now
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def _without_settings() -> list[str]:
    """Give what keeps the settings of this machine's own server out; a script that stands for it may say it already."""
    tried = subprocess.run(
        [program(), "--no-defaults", "--validate-config"], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return [] if b"unknown option '--no-defaults'" in tried.stdout + tried.stderr else ["--no-defaults"]


def _wait(process: subprocess.Popen[bytes], folder: Path, port: int) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise _refused(folder)


def _refused(folder: Path) -> PipelineError:
    why = "It said nothing."
    with suppress(OSError):
        lines = (folder / "log.err").read_text(encoding="utf-8", errors="replace").splitlines()
        why = next((line for line in lines if "[ERROR]" in line), why)
    return PipelineError("The mysqld on PATH does not start.", why, "Correct that, or say --no-rehearsal and why.")
