"""Runs Python commands in forks of one warm process.

`import datajoint` takes a second or more. The tests start thousands of commands; here each is a process of its own that
imports the project afresh, forked from one that has the library loaded. What DataJoint reads of a process when it is
imported, its configuration and where it logs to, it reads when a command imports it; until then, it is not to be seen
there. The processes that a command starts in turn, of modules of the library, are forked from it, too. Where thousands of
commands run in one project and on one server, the process is that project's alone, and has read the configuration. The data of an embedded server are
made by initdb once, and copied for every other project. As a program, this file reads one JSON request a line and answers
one a line.

Copier's commands have a warm process of their own, which has loaded what Copier imports. Each command imports Copier itself
afresh, as it keeps the environment and the folder that it was imported in; so do the migrations that it runs in turn.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

#: What imports datajoint when it is imported itself.
USES_DATAJOINT = ("datajoint_pipeline.internals.declaration",)

#: The warm process of Copier's commands, by the package that is imported afresh; and what keeps where it was imported, beside it.
COPIER, PLACED = "copier", ("plumbum",)

#: Bytes of a large page, and how Linux is asked for them.
LARGE, MADV_HUGEPAGE, MADV_COLLAPSE = 2**21, 14, 25

#: What starts a process of a module of the library.
STARTS = ("datajoint_pipeline.internals.code", "datajoint_pipeline.commands.check")


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
    if package == COPIER:
        importlib.import_module("copier.__main__")
        importlib.import_module("compiled").keep_compiled()  # not for the others: the library does without Jinja
    elif package:
        _load(package)
    else:
        sys.meta_path.insert(0, _Loaded())
        _load_library(skip=USES_DATAJOINT)
        assert "datajoint" not in sys.modules
    gc.collect()
    gc.freeze()  # what the forks share stays shared
    _collapse()
    with tempfile.TemporaryDirectory(prefix="cluster-") as folder:
        if package != COPIER:
            _Cluster(Path(folder)).stand_in()
        for line in sys.stdin:
            print(_run(json.loads(line), package), flush=True)


def _collapse() -> None:
    """Have the memory of this process in large pages, where Linux can: the table of its pages, which each fork copies and
    frees, is short then.
    """
    with contextlib.suppress(OSError):
        madvise = ctypes.CDLL(None).madvise
        for line in Path("/proc/self/maps").read_text().splitlines():
            place, rights, _, _, inode, *_ = line.split()
            start, end = (int(text, 16) for text in place.split("-"))
            if rights == "rw-p" and inode == "0" and end - start >= LARGE:
                for advice in (MADV_HUGEPAGE, MADV_COLLAPSE):
                    madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), advice)


class _Cluster:
    """Makes the data of an embedded server: the first time by initdb, then by copying what that made."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._server = folder, importlib.import_module("datajoint_pipeline.embedded.server")
        self._initdb = self._server._initdb

    def stand_in(self) -> None:
        self._server._initdb = self._make

    def _make(self, directory: Path, binaries: Path, runner: Any, claim: int) -> None:
        made = self._folder / str(runner.uid)  # PostgreSQL reads nothing that is another account's
        if not made.is_dir():
            self._initdb(directory, binaries, runner, claim)
            self._copy(directory / "pg", half := Path(tempfile.mkdtemp(dir=self._folder)) / "pg")
            with contextlib.suppress(OSError):  # another command was faster
                half.rename(made)
            return
        half = Path(tempfile.mkdtemp(prefix="pg.new-", dir=directory))
        try:
            self._copy(made, half / "pg")
            (half / "pg").rename(directory / "pg")
        finally:
            shutil.rmtree(half, ignore_errors=True)

    @staticmethod
    def _copy(old: Path, new: Path) -> None:
        subprocess.run(["cp", "-a", str(old), str(new)], check=True)


def _load(package: str) -> None:
    """Load datajoint and the library."""
    sys.path[:] = ["", *os.environ["PYTHONPATH"].split(os.pathsep), *sys.path[1:]]
    sys.dont_write_bytecode = True
    importlib.import_module("datajoint.adapters.postgres")
    _load_library()


def _load_library(skip: tuple[str, ...] = ()) -> None:
    """Load the library's modules, which read nothing of a process when they are imported."""
    library = importlib.import_module("datajoint_pipeline")
    folder = Path(library.__path__[0])
    for path in folder.rglob("[a-z]*.py"):
        name = ".".join([library.__name__, *path.relative_to(folder).with_suffix("").parts])
        if name not in skip:
            importlib.import_module(name)


def _forget(package: str) -> None:
    """Have everything of a package imported afresh, if there is one."""
    if not package:
        return
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]
    importlib.invalidate_caches()


class _Loaded(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Has DataJoint's modules loaded, and gives them to whoever imports them, with the configuration of the process."""

    def __init__(self) -> None:
        for name in ("click", "rich.console", "rich.table", "rich.progress"):
            importlib.import_module(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module("datajoint")
            self._with_datajoint = self._names()
            importlib.import_module("datajoint.adapters.postgres")
        self._modules = {name: sys.modules.pop(name) for name in self._names()}

    @staticmethod
    def _names() -> list[str]:
        return [name for name in sys.modules if name.partition(".")[0] == "datajoint"]

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in self._modules else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        if module is not self._modules["datajoint"]:
            return
        sys.modules.update({name: self._modules[name] for name in self._with_datajoint})
        logger = self._modules["datajoint.logging"].logger
        logger.handlers = []  # until it has the configuration, it logs as any other does
        logger.setLevel(0)
        settings, logging = (self._modules[f"datajoint.{name}"] for name in ("settings", "logging"))
        code = importlib.machinery.SourceFileLoader("datajoint.logging", str(logging.__file__)).get_code(
            "datajoint.logging"
        )
        kind, config = settings.Config, settings.config

        def again() -> Any:
            config.__init__()
            return config

        settings.Config = again
        assert settings._create_config() is config
        settings.Config = kind
        exec(code, vars(logging))


def _run(request: dict[str, Any], package: str) -> int:
    """Run a command in a fork, and meanwhile what it asks for in forks beside it; give its exit code."""
    here, there = socket.socketpair()
    child = os.fork()
    if child == 0:
        here.close()
        _become(request, package, there)
    there.close()
    deadline, asked = time.monotonic() + request["timeout"], b""
    with here:
        while not (done := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return -signal.SIGALRM
            if not select.select([here], [], [], 0.005)[0]:
                continue
            if not (more := here.recv(1 << 16)):  # it is about to end
                time.sleep(0.001)
                continue
            asked += more
            if asked.endswith(b"\n"):
                code = _run({"timeout": deadline - time.monotonic(), **json.loads(asked)}, package)
                asked = b""
                with contextlib.suppress(BrokenPipeError):  # whoever asked was killed
                    here.sendall(f"{code}\n".encode())
    return os.waitstatus_to_exitcode(done[1])


class _Starter:
    """Stands in for :mod:`subprocess` in a fork: what is to be started is forked from the warm process."""

    DEVNULL, CompletedProcess = subprocess.DEVNULL, subprocess.CompletedProcess

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def run(self, command: list[str], *, cwd: Path, env: dict[str, str], **_: object) -> Any:
        """Run ``python -m module …``; its standard input is empty, its outputs are captured."""
        assert command[:2] == [sys.executable, "-m"]
        with tempfile.TemporaryDirectory() as scratch:
            request = {"arguments": command[1:], "folder": str(cwd), "variables": dict(env), "scratch": scratch}
            self._line.sendall(json.dumps(request).encode() + b"\n")
            with self._line.makefile("r") as answers:
                code = int(answers.readline())
            out, err = ((Path(scratch) / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(command, code, out, err)


def _become(request: dict[str, Any], package: str, line: socket.socket) -> None:
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
    if package != COPIER:
        for name in STARTS:
            sys.modules[name].subprocess = _Starter(line)  # type: ignore[attr-defined]
    _play(request["arguments"], package)


def _play(arguments: list[str], package: str) -> None:
    """Be what ``python *arguments`` is, to the end; never returns."""
    code = 0
    try:
        for name in (package, *(PLACED if package == COPIER else ())):
            _forget(name)
        if package == COPIER:
            importlib.import_module("copier._main").subprocess = _Migrations()  # type: ignore[attr-defined]
        kind, *rest = arguments
        if kind == "-m":
            word, *rest = rest
            sys.argv = [word, *rest]
            sys.modules.pop(word, None)  # it is loaded in the warm process
            runpy.run_module(word, run_name="__main__", alter_sys=True)
        elif kind == "-c":
            word, *rest = rest
            sys.argv = ["-c", *rest]
            exec(compile(word, "<snippet>", "exec"), {"__name__": "__main__"})
        else:
            assert kind.endswith(".py"), "the tests run modules, snippets and files"
            sys.argv, sys.path[0] = arguments, str(Path(kind).parent)
            runpy.run_path(kind, run_name="__main__")
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class _Migrations:
    """Stands in for :mod:`subprocess` in Copier: a migration is run in a fork of Copier's process, its parent as ever."""

    def run(self, command: list[str] | str, *, env: dict[str, str], **more: Any) -> Any:
        """Run a command; what it says goes where Copier's own words go."""
        if isinstance(command, str) or command[0] != sys.executable or not command[1].endswith(".py"):
            return subprocess.run(command, env=env, **more)
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            os.environ.clear()
            os.environ.update(env)
            _play(command[1:], COPIER)
        return subprocess.CompletedProcess(command, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    _serve(*sys.argv[1:2] or [""])
