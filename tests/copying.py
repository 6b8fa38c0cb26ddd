"""Copier's command line, as a person types it, in forks of a process that has what Copier imports loaded."""

from __future__ import annotations

import atexit
import os
import subprocess
from functools import cache
from pathlib import Path

import pytest
from zygote import Zygote


@cache
def _warm() -> Zygote:
    """One warm process for all commands of this test process."""
    started = Zygote("copier")
    atexit.register(started.close)
    return started


def copier_command(
    folder: Path, *arguments: str, timeout: float = 300, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m copier *arguments`` in a folder; its standard input is empty, its outputs are captured."""
    words = ["-m", "copier", *arguments]
    code, out, err = _warm().run(words, folder, os.environ | variables, None, timeout)
    return subprocess.CompletedProcess(words, code, out, err)


class _Migrations:
    """Stands in for :mod:`subprocess` in Copier in this process: a migration is forked from the warm process."""

    def run(self, command: list[str], *, env: dict[str, str], **_: object) -> subprocess.CompletedProcess[str]:
        code, out, err = _warm().run(command[1:], Path.cwd(), env, None, 300)
        os.write(1, out.encode())
        os.write(2, err.encode())
        return subprocess.CompletedProcess(command, code)


def migrations_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Copier, where it runs in this process, start the migrations of a template from the warm process."""
    monkeypatch.setattr("copier._main.subprocess", _Migrations())
