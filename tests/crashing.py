"""Migrations that are broken off, by a kill of the runner or of the server or by a cut connection, and gone on with."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import crash_pipeline
from conftest import Project, Result, Server
from daemons import Mysqld, Postmaster, open_folder
from living import in_words, ok
from proxy import Fault, Proxy
from resets import DATABASES, Reset, described, tables

WHEN = ("before", "while", "after")
FAULTS = ("runner", "server", "connection")

#: What takes an interrupted run back.
UNDO = ("rollback", "--interrupted")

#: Commands beside `migrate` that are broken off.
COMMANDS = {
    "init": ("init",),
    "purge": ("purge", "--allow-data-loss", "--no-backup"),
    "rollback": ("rollback", "work", "--to", "1.0.0"),
    "along": ("rollback", "life", "--to", "2.0.0", "--along"),
}

#: A command that says which process it is.
RUN = """
import os, sys
open(sys.argv.pop(1), "w").write(str(os.getpid()))
from datajoint_pipeline.cli import run; from my_pipeline import pipeline
run(pipeline, sys.argv[1:])
"""


@dataclass
class Ground:
    """A server that can be killed, a project that reaches it through a proxy, and what an undisturbed run makes."""

    server: Server
    daemon: Mysqld | Postmaster
    proxy: Proxy
    project: Project
    places: Reset
    statements: list[str] = field(default_factory=list)
    took: dict[int, float] = field(default_factory=dict)
    begun: dict[str, Any] = field(default_factory=dict)
    end: dict[str, Any] = field(default_factory=dict)
    command: tuple[str, ...] = ("migrate",)
    beside: Project | None = None

    def state(self) -> dict[str, Any]:
        """All that is there: tables as the server describes them, their rows, which version and by which steps."""
        found: dict[str, Any] = {}
        with closing(self.server.connect(dbname=self.places.catalogue)) as connection, connection.cursor() as cursor:
            for database in DATABASES:
                for table in tables(cursor, database):
                    if not table.startswith("~migration"):
                        found[f"{database}.{table}"] = described(self.server, cursor, database, table)
                quoted = [f"`{database}`.`~migration{end}`" for end in ("", "_step")]
                there = tables(cursor, database)
                if "~migration" not in there:
                    continue
                runs, steps = [q if self.server.backend == "mysql" else q.replace("`", '"') for q in quoted]
                cursor.execute(
                    "SELECT kind, status, version, previous_version, fingerprint, code_commit, software "
                    f"FROM {runs} WHERE status <> 'withdrawn' ORDER BY id"
                )
                found[f"{database} runs"], found[f"{database} steps"] = list(cursor.fetchall()), []
                if "~migration_step" not in there:
                    continue  # it comes with the first migration
                cursor.execute(
                    f"SELECT s.number, s.kind, s.state, s.words FROM {steps} s JOIN {runs} r ON r.id = s.run "
                    "WHERE r.status <> 'withdrawn' ORDER BY s.run, s.number"
                )
                found[f"{database} steps"] = list(cursor.fetchall())
        found["status"] = self.project.run("status", "--json").json["schemas"]
        return found

    def wrong(self, right: dict[str, Any]) -> list[str]:
        """What is not as an undisturbed run makes it, or as it was before."""
        now = self.state()
        if right is not self.end:
            right, now = plain(right), plain(now)
        return [
            f"{key}: {differing(now.get(key), right.get(key))}"
            for key in {**right, **now}
            if now.get(key) != right.get(key)
        ]

    def undisturbed(self) -> None:
        """Run the migrations once, and keep what they say and make."""
        self.places.reset()
        self.begun = self.state()
        self.proxy.begin()
        ok(self.project, *self.command)
        self.statements, self.took = list(self.proxy.statements), dict(self.proxy.took)
        self.end = self.state()

    def play_another(self, *command: str) -> None:
        """Break off another command from now on, which begins with what is there."""
        self.command = command
        self.places.keep()
        self.undisturbed()

    def play_command(self, name: str) -> None:
        """Break off, from now on, a command of :data:`COMMANDS`, with what there is to do for it."""
        if name == "init":
            self.places.empty()
        else:
            self.places.reset()
            ok(self.project, "migrate")
        if name == "along":  # the way back of a key that changed in both schemas
            crash_pipeline.evolve_key(self.project)
            self.project.warm_up()
            ok(self.project, "migrate")
        self.play_another(*COMMANDS[name])

    def points(self) -> list[int]:
        """The statements at which a fault is worth something: those that write, of a run that holds the lock."""
        last = next(n for n, text in enumerate(self.statements) if re.search("RELEASE_LOCK|pg_advisory_unlock", text))
        return [n for n, text in enumerate(self.statements[:last]) if not READS.match(text)]

    def play(self, number: int, when: str, what: str, share: float = 0.0) -> Case:
        """Let a fault happen at a statement, and go on afterwards.

        ``while`` it runs is after this share of the time that it took in an undisturbed run.
        """
        case = self._broken(number, when, what, share)
        if case.problems:
            return case
        again = self.project.run(*self.command)
        if again.code:
            case.problems.append(f"does not go on: {again.code} {again.err}")
            return case
        case.problems += self.wrong(self.end)
        return case

    def play_with_two(self, number: int, when: str, what: str, share: float = 0.0) -> Case:
        """Let a fault happen at a statement, and two runners go on at once: one ends it, the other may decline in words."""
        case = self._broken(number, when, what, share)
        if case.problems:
            return case
        if self.beside is None:
            self.beside = Project(self.project.folder, environment=dict(self.project.environment))
            self.beside.warm_up()
        with ThreadPoolExecutor(2) as pool:
            running = [pool.submit(own.run, *self.command) for own in (self.project, self.beside)]
            answers = [future.result() for future in running]
        if all(answer.code for answer in answers):
            case.problems.append(f"neither goes on: {' and '.join(answer.err for answer in answers)}")
        case.problems += [f"not a sentence: {a.code} {a.err}" for a in answers if a.code and not in_words(a.err)]
        if not case.problems:
            case.problems += self.wrong(self.end)
        return case

    def take_back(self, number: int, when: str, what: str, share: float = 0.0, second: int | None = None) -> Case:
        """Let a fault happen at a statement, and take back what was done; where there is no way back, go on.

        At the statement ``second`` of that, where it has so many, the same happens once more.
        """
        case = self._broken(number, when, what, share)
        if case.problems:
            return case
        if second is not None:
            self._strike(Fault(second, "before", lambda: None), what, UNDO)
        found = self.project.run(*UNDO)
        case.back = not found.code
        if found.code:
            if not (in_words(found.err) and re.search(r"no interrupted run|no way back|complete except", found.err)):
                case.problems.append(f"cannot be taken back: {found.code} {found.err}")
            found = self.project.run(*self.command)
        if found.code:
            case.problems.append(f"does not go on: {found.code} {found.err}")
        else:
            case.problems += self.wrong(self._before_work() if case.back else self.end)
        return case

    def _before_work(self) -> dict[str, Any]:
        """What is right where the last run was taken back: that of ``work``, or that of ``life`` before it."""
        done = self.state()["dev_life runs"] == self.end["dev_life runs"]
        right = {**self.begun, **({k: v for k, v in self.end.items() if k.startswith("dev_life")} if done else {})}
        gone = {k for k in self.begun if done and k.startswith("dev_life") and k not in self.end}
        return {key: value for key, value in right.items() if key not in gone}

    def _broken(self, number: int, when: str, what: str, share: float) -> Case:
        """Let a fault happen at a statement of the command."""
        self.places.reset()
        fault = Fault(number, when, lambda: None, share * self.took.get(number, 0.0))
        first = self._strike(fault, what, self.command)
        case = Case(self.server.backend, number, when, what, self.statements[number], fault.running)
        if not fault.struck.is_set():
            case.problems.append(f"the statement was never sent: {first.code} {first.err}")
        elif what != "runner" and first.code and not in_words(first.err):
            case.problems.append(f"not a sentence: {first.code} {first.err}")
        return case

    def _strike(self, fault: Fault, what: str, command: tuple[str, ...]) -> Result:
        """Run a command that a fault happens to."""
        pid = self.project.folder / "pid"
        pid.unlink(missing_ok=True)

        def strike() -> None:
            if what == "runner":
                os.kill(int(pid.read_text()), signal.SIGKILL)
            elif what == "server":
                self.daemon.kill()

        fault.strike = strike
        self.proxy.begin(fault)
        result = self.project.python("-c", RUN, str(pid), *command)
        # What happens while a statement runs may come after the command has ended.
        if fault.struck.wait(30 if command is self.command else 1) and what == "server":
            self.daemon.start()
        self.proxy.begin()
        return result


READS = re.compile(r"\s*(SELECT|SHOW|SET|START TRANSACTION|BEGIN)\b", re.IGNORECASE)


@dataclass
class Case:
    """A fault and what came of it."""

    backend: str
    number: int
    when: str
    what: str
    statement: str
    running: bool
    back: bool = False
    problems: list[str] = field(default_factory=list)


#: A server that is killed and not the machine keeps what it has written; without certificates nothing is encrypted.
DURABLE = ("--innodb-doublewrite=ON", "--innodb-flush-log-at-trx-commit=1", "--auto-generate-certs=OFF")


def plain(state: dict[str, Any]) -> dict[str, Any]:
    """What is there but for tables of jobs, which DataJoint makes anew, for ``status``, and for the order of indexes."""
    kept = {key: value for key, value in state.items() if key != "status" and ".~~" not in key}
    for key in [key for key in kept if "." in key]:
        words, rows = kept[key]
        kept[key] = sorted(line.rstrip(",") for text in words for line in text.splitlines()), rows
        if key.endswith("~lineage"):
            kept[key] = kept[key][0], [row for row in rows if "~~" not in row]
    return kept


def differing(one: Any, other: Any) -> str:
    """What two values do not have in common, as far as they are lists."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        return "; ".join(differing(a, b) for a, b in zip(one, other, strict=True) if a != b)
    return f"{one} instead of {other}"


@contextmanager
def ground(backend: str, render: Callable[[Path], Path], *, rows: int) -> Iterator[Ground]:
    """Make everything ready: a server of its own, a pipeline with so many animals, its migrations, and how they end.

    ``render`` puts a project where it is told to.
    """
    with open_folder("crash-") as folder:
        daemon: Mysqld | Postmaster
        if backend == "mysql":
            (folder / "server").mkdir()
            daemon, user, password = Mysqld(folder / "server", *DURABLE), "admin", "admin-secret"
        else:
            daemon = Postmaster(Project(render(folder / "server")))
            user, password = "postgres", "admin-secret"
        with _ready(daemon, backend, user, password, Project(render(folder / "my_pipeline")), rows) as made:
            yield made


@contextmanager
def _ready(
    daemon: Mysqld | Postmaster, backend: str, user: str, password: str, project: Project, rows: int
) -> Iterator[Ground]:
    daemon.start()
    proxy = Proxy(backend, daemon.port)
    try:
        server = Server(backend, "127.0.0.1", daemon.port, user, password)
        through = Server(backend, "127.0.0.1", proxy.port, user, password)
        quick = {"MY_PIPELINE_ENV": "dev", "DJ_LOG_LEVEL": "ERROR", "PYTHONHASHSEED": "0"}
        project.environment |= {**through.variables, **quick}
        places = Reset(server, "crashed")
        places.empty()
        project.environment |= places.variables
        crash_pipeline.lay(project)
        ok(project, "init")
        crash_pipeline.fill(project, rows)
        crash_pipeline.evolve(project)
        project.warm_up()
        made = Ground(server, daemon, proxy, project, places)
        places.keep()
        made.undisturbed()
        yield made
        if made.beside is not None and made.beside.warm is not None:
            made.beside.warm.close()
    finally:
        proxy.close()
        daemon.stop()
