"""Which account runs the embedded server, and with which rights: PostgreSQL refuses to run as root.

A plain user is that account. Root, as in a container, hands over to somebody else, who gets no more than reaching the
folder asks for; nobody's other folders are changed.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import PipelineError


@dataclass(frozen=True)
class Runner:
    """The account that runs the binaries: this process's or, under root, another one, since PostgreSQL refuses root."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()
    switch: bool = False

    def arguments(self, *command: str | Path) -> dict[str, Any]:
        """Give arguments for :mod:`subprocess`: no shell; a session of its own, so that Ctrl-C in a terminal does not
        reach the server; a working directory that is open to everybody; a locale without which macOS starts threads.
        """
        account: dict[str, Any] = {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switch else {}
        account |= {"cwd": "/", "umask": 0o077, "start_new_session": True, "stdin": subprocess.DEVNULL}
        return account | {"args": [*self.prefix, *map(str, command)], "env": _environment()}

    def can(self, *command: str | Path) -> bool:
        with suppress(OSError):  # the program itself may be out of reach
            return subprocess.run(**self.arguments(*command), capture_output=True).returncode == 0
        return False

    def own(self, *paths: Path) -> None:
        """Give the account what we made for it; what others made is never changed."""
        for path in paths if os.geteuid() == 0 else ():
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def _environment() -> dict[str, str]:
    """Give the environment of the server.

    It lives longer than this process, perhaps under another account, and must not get credentials of other servers.
    """
    known = ("PATH", "HOME", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return {name: os.environ[name] for name in known if name in os.environ} | {"LC_ALL": "C"}


def choose(directory: Path, binaries: Path, *, tcp: bool) -> Runner:
    """Choose ourselves or, for root, who owns the data or the project or is ``nobody``, with as few rights as do."""
    if os.geteuid() != 0:
        return Runner(os.geteuid(), os.getegid())
    import pwd

    uid = gid = 65534
    project, data = directory.parent.stat(), directory / "pg"
    with suppress(KeyError):
        uid, gid = pwd.getpwnam("nobody")[2:4]
        uid, gid = pwd.getpwuid(project.st_uid)[2:4] if project.st_uid else (uid, gid)
    if data.exists() and data.stat().st_uid:
        uid, gid = data.stat().st_uid, data.stat().st_gid
    plain = Runner(uid, gid, switch=True)
    # The capability to enter and read closed folders such as /root; access(2), by which PostgreSQL finds its files,
    # heeds it under no_setuid_fixup only. Never with TCP, where any account of the machine could make use of it.
    setpriv = ("setpriv", "--securebits=+no_setuid_fixup", f"--reuid={uid}", f"--regid={gid}", "--clear-groups")
    capable = Runner(uid, gid, (*setpriv, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"))
    for runner, give in ((plain, uid == project.st_uid), (plain if tcp else capable, False), (plain, True)):
        if give and directory.stat().st_uid == 0:
            runner.own(directory)
        if runner.can("test", "-x", directory) and runner.can("test", "-x", binaries / "postgres"):
            return runner
    why = "PostgreSQL refuses to run as root, and a folder above one of these is closed to other accounts"
    why += "; a server with a TCP port is never given the right to pass." if tcp else "."
    do = "Move the project and its environment to an open folder, or do not work as root."
    raise PipelineError(f"Account {uid}, which is to run the server, cannot reach {directory} or {binaries}.", why, do)
