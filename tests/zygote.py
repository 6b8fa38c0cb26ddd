"""Runs Python commands in forks of one warm process.

`import datajoint` spends most of its second or more on what it imports itself. The tests start hundreds of commands;
here each is a process of its own that imports datajoint and the project afresh, forked from one that has datajoint's
dependencies and the library loaded and nothing else. Where thousands of commands run in one project and on one server,
the process is that project's alone: it has datajoint loaded, too, and what the lab owns is read afresh. As a program,
this file reads one JSON request a line and answers one a line.
"""

from __future__ import annotations

import contextlib
import gc
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
from types import SimpleNamespace
from typing import Any

#: What imports datajoint when it is imported itself.
USES_DATAJOINT = ("datajoint_pipeline.internals.declaration",)


class Zygote:
    """The warm process, seen from the tests."""

    def __init__(self, package: str = "", folder: Path | None = None, variables: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *([package] if package else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=variables,
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


def _serve(package: str) -> None:
    if package:
        _load(package)
    else:
        _load_dependencies()
        _load_library(skip=USES_DATAJOINT)
        assert "datajoint" not in sys.modules
    gc.collect()
    gc.freeze()  # what the forks share stays shared
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(request, package)
        print(_wait(child, request["timeout"]), flush=True)


def _load(package: str) -> None:
    """Load datajoint and the library; the process that reads a project's code becomes a fork of its own."""
    sys.path[:] = ["", *os.environ["PYTHONPATH"].split(os.pathsep), *sys.path[1:]]
    sys.dont_write_bytecode = True
    importlib.import_module("datajoint.adapters.postgres")
    _load_library()
    reader = importlib.import_module("datajoint_pipeline.project.read_code")
    code = importlib.import_module("datajoint_pipeline.internals.code")

    def read_code(*arguments: object, **options: object) -> SimpleNamespace:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(writing, 1)
            _forget(package)
            try:
                reader.main(package)
            finally:
                os._exit(0)
        os.close(writing)
        with open(reading, encoding="utf-8") as answer:
            text = answer.read()
        os.waitpid(child, 0)
        return SimpleNamespace(stdout=text, stderr="", returncode=0)

    code.subprocess = SimpleNamespace(run=read_code, DEVNULL=None)


def _load_library(skip: tuple[str, ...] = ()) -> None:
    """Load the library's modules, which read nothing of a process when they are imported."""
    library = importlib.import_module("datajoint_pipeline")
    folder = Path(library.__path__[0])
    for path in folder.rglob("[a-z]*.py"):
        name = ".".join([library.__name__, *path.relative_to(folder).with_suffix("").parts])
        if name not in skip:
            importlib.import_module(name)


def _forget(package: str) -> None:
    """Have everything of a package imported afresh."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]
    importlib.invalidate_caches()


def _load_dependencies() -> None:
    for name in _imported_by("import datajoint, datajoint.adapters.postgres, click, rich.console, rich.table"):
        if not name.startswith("datajoint"):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


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


def _become(request: dict[str, Any], package: str) -> None:
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
        if package:
            _forget(package)
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
    _serve(*sys.argv[1:2] or [""])
