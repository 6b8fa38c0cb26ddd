"""Runs Python commands in forks of one warm process.

`import datajoint` spends most of its second or more on what it imports itself. The tests start hundreds of commands;
here each is a process of its own that imports datajoint and the project afresh, forked from one that has datajoint's
dependencies loaded and nothing else. As a program, this file reads one JSON request a line and answers one a line.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any


class Zygote:
    """The warm process, seen from the tests."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(
        self, arguments: list[str], folder: Path, variables: dict[str, str], stdin: str | None, timeout: float
    ) -> tuple[int, str, str]:
        """Run ``python *arguments``; exit code, standard output, standard error."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with tempfile.TemporaryDirectory() as scratch:
            (Path(scratch) / "stdin").write_text(stdin or "", encoding="utf-8")
            request = {
                "arguments": arguments,
                "folder": str(folder),
                "variables": variables,
                "scratch": scratch,
                "timeout": timeout,
            }
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
            out, err = ((Path(scratch) / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
        assert code != -signal.SIGALRM, f"{arguments} took longer than {timeout} s: {err}"
        return code, out, err

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


def _serve() -> None:
    for name in _imported_by("import datajoint, datajoint.adapters.postgres, click, rich.console, rich.table"):
        if not name.startswith("datajoint"):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(request)
        print(_wait(child, request["timeout"]), flush=True)


def _imported_by(code: str) -> list[str]:
    """The modules that a statement loads, found out in a fork."""
    before, (reading, writing) = set(sys.modules), os.pipe()
    if os.fork() == 0:
        with open(os.devnull, "w") as nothing, open(writing, "w") as answer:
            sys.stdout = sys.stderr = nothing
            exec(code, {})
            json.dump([name for name in sys.modules if name not in before], answer)
        os._exit(0)
    os.close(writing)
    with open(reading) as answer:
        found: list[str] = json.load(answer)
    os.wait()
    return found


def _wait(child: int, timeout: float) -> int:
    deadline = time.monotonic() + timeout
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -signal.SIGALRM
        time.sleep(0.005)


def _become(request: dict[str, Any]) -> None:
    """Turn this fork into ``python *arguments``; never returns."""
    scratch = Path(request["scratch"])
    os.setsid()
    for number, name, flags in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_WRONLY), (2, "stderr", os.O_WRONLY)):
        os.dup2(os.open(scratch / name, flags | os.O_CREAT, 0o600), number)
    sys.stdin = open(0, closefd=False, encoding="utf-8")  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, encoding="utf-8", buffering=1)  # noqa: SIM115
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["variables"])
    sys.dont_write_bytecode = True
    sys.path[:] = ["", *request["variables"].get("PYTHONPATH", "").split(os.pathsep), *sys.path[1:]]
    code = 0
    try:
        kind, word, *rest = request["arguments"]
        if kind == "-m":
            sys.argv = [word, *rest]
            runpy.run_module(word, run_name="__main__", alter_sys=True)
        else:
            assert kind == "-c", "the tests run modules and snippets"
            sys.argv = ["-c", *rest]
            exec(compile(word, "<snippet>", "exec"), {"__name__": "__main__"})
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve()
