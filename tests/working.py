"""A pipeline whose jobs do what their rows say, and workers on it under the operator's account of ``access.toml``."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import granted
from conftest import Project, Server
from daemons import Mysqld, Postmaster

SCHEMAS = ("work", "after")

MODULES = {
    "work": '''
import contextlib, os, pathlib, signal, time
import datajoint as dj
from . import open_schema
schema = open_schema("work")
RUNS = pathlib.Path(os.environ["RUNS"]) if os.environ.get("RUNS") else None


def act(connection, table, item, task):
    """Do what a row says; each beginning is a line in a file."""
    word, _, value = task.partition(" ")
    before = 0
    if RUNS:
        if word in ("kill", "end", "deadlock") and RUNS.exists():
            before = sum(line.split()[:2] == [table, str(item)] for line in RUNS.read_text().splitlines())
        with RUNS.open("a") as file:
            file.write(f"{table} {item} {os.getpid()}\\n")
    match word:
        case "sleep":
            time.sleep(float(value))
        case "wait":
            while not RUNS.with_name("go").exists():
                time.sleep(0.05)
        case "exit":
            raise SystemExit(value)
        case "cancel":
            import asyncio
            raise asyncio.CancelledError
        case "long":
            raise ValueError("x\\n" * int(value))
        case "skip":
            return True
        case "fail":
            raise ValueError(f"item {item} is no good \\0\\udc80" if value else f"item {item} is no good")
        case "memory":
            kept = bytearray(int(value) << 20)
            kept[::4096] = b"x" * len(kept[::4096])
            time.sleep(20)
        case "exhausted" if os.environ.get("CLASS") != "large":
            raise MemoryError
        case "kill" if before < int(value):
            os.kill(os.getpid(), signal.SIGKILL)
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "end" if before < int(value):  # of the session, as if somebody else ended it
            (mine,) = connection.query(
                "SELECT CONNECTION_ID()" if connection.adapter.backend == "mysql" else "SELECT pg_backend_pid()"
            ).fetchone()
            with contextlib.suppress(Exception):
                connection.query(f"KILL {mine}" if connection.adapter.backend == "mysql" else f"SELECT pg_terminate_backend({mine})")
        case "deadlock" if before < int(value):
            import pymysql
            raise pymysql.err.OperationalError(1213, "Deadlock found when trying to get lock")


@schema
class Item(dj.Manual):
    definition = """
    item : int32
    ---
    task = "" : varchar(64)
    """


@schema
class Plain(dj.Computed):
    definition = """
    -> Item
    ---
    value : int32
    """

    def make(self, key):
        if act(self.connection, "Plain", key["item"], (Item & key).fetch1("task")):
            return
        self.insert1({**key, "value": 2 * key["item"]})


@schema
class Parts(dj.Computed):
    definition = """
    -> Item
    ---
    value : int32
    """

    @property
    def key_source(self):
        return Item & "item < 0"

    def make_fetch(self, key):
        return ((Item & key).fetch1("task"),)

    def make_compute(self, key, task):
        assert not self.connection.in_transaction
        act(self.connection, "Parts", key["item"], task)
        return (3 * key["item"],)

    def make_insert(self, key, value):
        self.insert1({**key, "value": value})
''',
    "after": '''
import datajoint as dj
from . import open_schema, work
schema = open_schema("after")


@schema
class Sum(dj.Computed):
    definition = """
    -> work.Plain
    ---
    value : int32
    """

    def make(self, key):
        self.insert1({**key, "value": (work.Plain & key).fetch1("value") + 1})
''',
}

ACCESS = """\
[people.admin]
login = "{0}admin"
roles = {{ dev = "admin", prod = "admin" }}

[services.worker]
login = "{0}worker"
roles.prod = "operator"
"""


class Lab:
    """A project on a server with its accounts."""

    def __init__(self, project: Project, server: Server, prefix: str) -> None:
        self.project, self.server, self.prefix = project, server, prefix
        self.runs = project.folder / "runs.txt"
        self.operator: dict[str, str] = {}

    def lay(self, **modules: str) -> None:
        """Make the project's files, its schemas and its accounts."""
        own = self.project
        own.clear()
        shutil.rmtree(own.folder / "src" / own.package / "migrations", ignore_errors=True)
        for name, text in {**MODULES, **modules}.items():
            own.write(own.module(name), text)
        versions = ", ".join(f'"{name}": "1.0.0"' for name in SCHEMAS)
        own.write(own.module("version"), f'__version__ = "0.1.0"\nSCHEMA_VERSIONS = {{{versions}}}\n')
        own.replace(own.module("__init__"), 'prefix=""', f'prefix="{self.prefix}"')
        own.write("access.toml", ACCESS.format(self.prefix))
        own.environment |= {**self.server.variables, "MY_PIPELINE_ENV": "prod", "DJ_LOG_LEVEL": "ERROR"}
        own.environment |= {"DJ_USE_TLS": "false", "RUNS": str(self.runs)}
        self.forget()
        for command in (("init",), ("access", "apply")):
            done = own.run("--env", "prod", *command)
            assert done.code == 0, done.out + done.err
        login = f"{self.prefix}worker"
        self.operator = {"DJ_USER": login, "DJ_PASS": own.read(f".secrets/accounts/{quote(login, safe='')}").strip()}

    def forget(self) -> None:
        """Take schemas and accounts away."""
        self.server.drop(*(f"{self.prefix}{name}" for name in SCHEMAS))
        granted.forget(self.server, self.prefix)

    def empty(self) -> None:
        """Take every row and job away."""
        for place in ("after}.{q}__sum{q}", "work}.{q}__plain{q}", "work}.{q}__parts{q}", "work}.{q}item{q}"):
            self.sql(f"DELETE FROM {{{place}")
        for place in ("after}.{q}~~sum{q}", "work}.{q}~~plain{q}", "work}.{q}~~parts{q}"):
            self.sql(f"DELETE FROM {{{place}")
        for name in ("runs.txt", "go", "workers.toml"):
            (self.project.folder / name).unlink(missing_ok=True)

    def go(self) -> None:
        """Let jobs end that wait for it."""
        self.project.write("go", "")

    def insert(self, *tasks: str, first: int = 1) -> None:
        """Add a row for each task."""
        rows = ", ".join(f"({first + number}, '{task}')" for number, task in enumerate(tasks))
        self.sql(f"INSERT INTO {{work}}.{{q}}item{{q}} (item, task) VALUES {rows}")

    def items(self, table: str) -> list[int]:
        """The items of a table that are computed."""
        schema, name = {"Plain": ("work", "plain"), "Parts": ("work", "parts"), "Sum": ("after", "sum")}[table]
        return [row[0] for row in self.sql(f"SELECT item FROM {{{schema}}}.{{q}}__{name}{{q}} ORDER BY item")]

    def jobs(self, table: str = "Plain") -> dict[int, tuple[str, str]]:
        """The state and the message of a table's jobs by item."""
        schema = "after" if table == "Sum" else "work"
        rows = self.sql(f"SELECT item, status, error_message FROM {{{schema}}}.{{q}}~~{table.lower()}{{q}}")
        return {item: (status, message) for item, status, message in rows}

    def begun(self) -> list[tuple[str, int]]:
        """Which jobs were begun, in order: the table and the item."""
        lines = self.runs.read_text().splitlines() if self.runs.exists() else []
        return [(line.split()[0], int(line.split()[1])) for line in lines]

    def worker(self, *options: str, **variables: str) -> Running:
        """Start a worker under the operator's account."""
        return Running(self, ["worker", "--json", *options], **variables)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement; ``{work}`` is the name of that schema."""
        mark = "`" if self.server.backend == "mysql" else '"'
        names = {name: f"{mark}{self.prefix}{name}{mark}" for name in SCHEMAS}
        return self.server.execute(statement.format(**names, q=mark))


class Running:
    """A worker, and what it says."""

    def __init__(self, lab: Lab, arguments: Sequence[str], **variables: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.said: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", lab.project.package, "--env", "prod", *arguments],
            cwd=lab.project.folder,
            env=lab.project.variables(**lab.operator, **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.said.append(line.rstrip())
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                self.events.append(event)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def children(self) -> list[int]:
        """The processes that compute, in the order in which they were started."""
        return [event["pid"] for event in self.events if event["event"] == "start"]

    def seen(self, name: str) -> list[dict[str, Any]]:
        """The events of a name so far."""
        return [event for event in self.events if event.get("event") == name]

    @property
    def computing(self) -> bool:
        """Whether its process has imported the pipeline."""
        last = [event["event"] for event in self.events if event["event"] in ("start", "ready")]
        return last[-1:] == ["ready"]

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def end(self, seconds: float = 300) -> int:
        """Wait for its end; the exit code."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError("\n".join(self.said)) from None
        self._reader.join(10)
        return code

    @cached_property
    def answer(self) -> Any:
        """The document that it printed."""
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.read())


@contextmanager
def made(project: Project, server: Server, prefix: str, **modules: str) -> Iterator[Lab]:
    """A lab, with other modules where some are given, whose schemas and accounts are gone afterwards."""
    lab = Lab(project, server, prefix)
    lab.lay(**modules)
    try:
        yield lab
    finally:
        lab.forget()


def until(condition: Callable[[], Any], seconds: float = 120) -> Any:
    """Wait for something; what it gives."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "this did not come about"
        time.sleep(0.05)
    return found


def alive(pid: int) -> bool:
    """Whether there is such a process, which has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@contextmanager
def own_server(backend: str, folder: Path, render: Callable[..., Path]) -> Iterator[tuple[Server, Mysqld | Postmaster]]:
    """A server that may be killed and started again."""
    daemon: Mysqld | Postmaster
    if backend == "mysql":
        (folder / "data").mkdir()
        daemon = Mysqld(folder / "data")
    else:
        daemon = Postmaster(Project(render(folder / "server")))
    daemon.start()
    who = ("admin", "admin-secret") if backend == "mysql" else ("postgres", "admin-secret")
    try:
        yield Server(backend, "127.0.0.1", daemon.port, *who), daemon
    finally:
        daemon.stop()


@dataclass
class Storm:
    """What came of workers that were killed again and again.

    Parameters
    ----------
    problems : list of str
        What was not as it should be.
    begun : int
        How often a job was begun.
    kills : Counter
        How many workers and how many processes that compute were killed.
    seconds : float
        How long it took.
    """

    problems: list[str]
    begun: int
    kills: Counter[str]
    seconds: float


def storm(lab: Lab, daemon: Mysqld | Postmaster, *, workers: int, jobs: int, kills: int, seed: int) -> Storm:
    """Kill workers at random while they compute, and the server once; whoever is killed is replaced."""
    random_ = random.Random(seed)
    lab.empty()
    tasks = ["fail" if number % (jobs // 5) == 1 else "sleep 0.4" for number in range(jobs)]
    lab.insert(*tasks)
    began, killed = time.monotonic(), Counter[str]()
    options = ("--pause", "1", "--tables", "work.Plain")
    running = [lab.worker(*options) for _ in range(workers)]
    until(lab.begun, 300)
    for number in range(kills):
        time.sleep(random_.uniform(0.2, 1.5))
        if number == kills // 2:
            daemon.kill()
            time.sleep(1)
            daemon.start()
        busy = [worker for worker in running if worker.computing] or running
        victim = random_.choice(busy)
        if random_.random() < 0.5 and victim.children and alive(victim.children[-1]):
            os.kill(victim.children[-1], signal.SIGKILL)
            killed["process"] += 1
        else:
            victim.signal(signal.SIGKILL)
            killed["worker"] += 1
        running = [worker if worker.running else lab.worker(*options) for worker in running]
    done = jobs - tasks.count("fail")
    problems = []
    try:
        until(lambda: len(lab.items("Plain")) == done and "reserved" not in str(lab.jobs()), 60 + 0.2 * jobs)
    except AssertionError:
        problems.append(f"{len(lab.items('Plain'))} of {done} are done")
    seconds = time.monotonic() - began
    for worker in running:
        worker.signal(signal.SIGTERM)
    for worker in running:
        # One that had just been started does not listen yet.
        killed_last = [-signal.SIGKILL] if worker is victim else []
        if worker.end() not in (128 + signal.SIGTERM, -signal.SIGTERM, *killed_last):
            problems.append(f"a worker ended otherwise: {worker.said[-3:]}")
    states = {item: state for item, (state, _) in lab.jobs().items()}
    wrong = {item: lab.jobs()[item] for item, state in states.items() if state != "error" or tasks[item - 1] != "fail"}
    if wrong:
        problems.append(f"jobs are left: {dict(list(wrong.items())[:5])}")
    if len(states) - len(wrong) != tasks.count("fail"):
        problems.append(f"{len(states) - len(wrong)} errors instead of {tasks.count('fail')}")
    return Storm(problems, len(lab.begun()), killed, seconds)
