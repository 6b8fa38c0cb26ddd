"""Code of before that is at work while a command changes the database: what it was told is saved is there.

A transaction that is held open, a three-part ``make`` in the middle of its computing, and a client that writes on. The
ledger is about the values of a migration; this is about the commands, and about what is open while they run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Project, Server
from living import in_words, living, ok

#: Seconds for which a transaction is held open and a key is computed.
HELD = 4

WORKER = """
import datajoint as dj, json, sys, time
from my_pipeline import life, work
kind, held, told = sys.argv[1], float(sys.argv[2]), {"saved": [], "refused": []}
print("ready", flush=True)
sys.stdin.readline()

def attempt(what, write):
    try:
        write()
    except Exception as error:
        told["refused"].append([what, f"{type(error).__name__}: {error}"])
    else:
        told["saved"].append(what)

def transaction():
    with dj.conn().transaction:
        life.Animal.insert1(dict(animal_id=50, name="Cid"))
        life.Weight.insert1(dict(animal_id=50, day="2026-02-02", grams=5.0))
        work.Task.insert1(dict(animal_id=50, task="held"))
        time.sleep(held)

def populate():
    found = work.Score.populate("task = 'slow'", reserve_jobs=True, suppress_errors=True)
    if not found["success_count"]:
        raise RuntimeError(str(found["error_list"]))

if kind == "stream":
    end, number = time.time() + held, 0
    while time.time() < end:
        number += 1
        attempt(f"t{number}", lambda: work.Task.insert1(dict(animal_id=1, task=f"t{number}")))
        attempt("gone", lambda: (work.Task & dict(animal_id=1, task=f"t{number}") & "task LIKE '%5'").delete(prompt=False))
        time.sleep(0.05)
else:
    attempt(kind, transaction if kind == "transaction" else populate)
print(json.dumps(told))
"""

#: In the place of a ``make`` in one part.
THREE_PARTS = """    def make_fetch(self, key):
        return (len(key["task"]),)

    def make_compute(self, key, score):
        if key["task"] == "slow":
            import time

            time.sleep({held})
        return (score,)

    def make_insert(self, key, score):
        self.insert1(dict(key, score=score))
"""


@pytest.fixture
def alive(server: Server, tmp_path: Path, render: Callable[..., Path]) -> Iterator[Project]:
    with living(server, Project(render(tmp_path / "my_pipeline"))) as own:
        text = own.read(own.module("work"))
        own.write(own.module("work"), text[: text.index("    def make(")] + THREE_PARTS.format(held=HELD))
        added = own.python("-c", "from my_pipeline import work; work.Task.insert1(dict(animal_id=1, task='slow'))")
        assert added.code == 0, added.err
        yield own


def without_notes(project: Project) -> None:
    project.replace(project.module("work"), "    note = null : varchar(64)\n", "")
    ok(project, "revise", "-m", "no notes", "--drop", "Task.note")


def moved(project: Project) -> None:
    life = project.read(project.module("life"))
    weight = life[life.index("\n\n@schema\nclass Weight") :]
    project.write(project.module("life"), life.removesuffix(weight))
    text = project.read(project.module("work")) + weight.replace("-> Animal", "-> life.Animal")
    project.write(project.module("work"), text)
    ok(project, "revise", "-m", "weights", "--rename-table", "life.Weight=work.Weight")


def with_more(project: Project) -> None:
    project.replace(project.module("work"), "    note = null", "    extra = null : int32\n    note = null")


def applied(project: Project) -> None:
    without_notes(project)
    ok(project, "migrate")


def purged(project: Project) -> None:
    applied(project)
    ok(project, "purge", "--allow-data-loss")


def nothing(project: Project) -> None:
    """The tables stay as they are."""


#: What is done before the code of before is loaded, what after it, and the command.
COMMANDS: dict[str, tuple[Callable[[Project], None], Callable[[Project], None], tuple[str, ...]]] = {
    "dropped": (nothing, without_notes, ("migrate",)),
    "moved": (nothing, moved, ("migrate",)),
    "draft": (nothing, with_more, ("migrate", "--draft")),
    "adopt": (nothing, nothing, ("adopt", "--again")),
    "purge": (applied, nothing, ("purge", "--allow-data-loss", "--no-backup")),
    "restore": (purged, nothing, ("restore", "{backup}")),
    "rollback": (applied, nothing, ("rollback", "work", "--to", "1.0.0")),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_code_of_before_was_told_is_saved_is_there(alive: Project, server: Server, name: str) -> None:
    before, after, command = COMMANDS[name]
    before(alive)
    backup = next((str(path) for path in (alive.folder / "backups").glob("*.zip")), "")
    workers = {kind: begun(alive, kind) for kind in ("transaction", "make", "stream")}
    after(alive)
    for worker in workers.values():
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    time.sleep(1)
    began = time.monotonic()
    answer = alive.run(*(text.format(backup=backup) for text in command))
    assert time.monotonic() - began < HELD + 35
    told = {kind: ended(worker) for kind, worker in workers.items()}
    assert answer.code == 0 or in_words(answer.err), answer.err
    weight = "dev_work.weight" if name == "moved" and not answer.code else "dev_life.weight"
    for table in ("dev_life.animal", weight, "dev_work.task"):
        found = server.execute(f"SELECT COUNT(*) FROM {table} WHERE animal_id = 50")
        assert found == [(len(told["transaction"]["saved"]),)], (table, told["transaction"])
    assert server.execute("SELECT COUNT(*) FROM dev_work.__score WHERE task = 'slow'") == [
        (len(told["make"]["saved"]),)
    ]
    wanted = {task for task in told["stream"]["saved"] if not task.endswith("5")} - {"gone"}
    there = {task for (task,) in server.execute("SELECT task FROM dev_work.task WHERE task LIKE 't%'")}
    assert {task for task in there if not task.endswith("5")} == wanted, told["stream"]
    assert answer.code or told["transaction"]["saved"], "it was to wait"
    assert alive.run("status").code in (0, 3)


def begun(project: Project, kind: str) -> subprocess.Popen[str]:
    """A process that has loaded the code as it is now, and waits for the word to begin."""
    pipe, command = subprocess.PIPE, [sys.executable, "-B", "-c", WORKER, kind, str(HELD)]
    worker = subprocess.Popen(
        command,
        stdin=pipe,
        stdout=pipe,
        stderr=subprocess.STDOUT,
        text=True,
        env=project.variables(),
        cwd=project.folder,
    )
    assert worker.stdout is not None
    lines = list(iter(worker.stdout.readline, "ready\n") if worker.poll() is None else ())
    assert worker.poll() is None, lines
    return worker


def ended(worker: subprocess.Popen[str]) -> Any:
    """What a process was told, once it has ended by itself."""
    text = worker.communicate(timeout=90)[0]
    assert worker.returncode == 0, text
    return json.loads(text.splitlines()[-1])
