"""``alert`` tells people once what they have to know, and once that it is over; addresses are never shown."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import computing
import granted
import pytest
from conftest import Project, Server

from datajoint_pipeline.errors import PipelineError
from datajoint_pipeline.monitor import messages

PREFIX = "al_"

WORKERS = """
[classes.other]
tables = ["*"]
[classes.default]
tables = ["work.PerSubject"]
[alerts]
nobody = "1s"
"""

TROUBLES = {
    *("failures:work.Scan", "failures:work.Cells", "failures:work.Restricted", "memory:work.Restricted"),
    *("memory:work.PerCell", "nobody:work.Every", "still:work.PerSubject", "drift:subject", "behind:work"),
    "uncounted:work.Pair",
}


class Listener(ThreadingHTTPServer):
    """Takes what apprise sends as JSON, and signs of life."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.pings = 0
        self.answer = 200
        self.stall_after: int | None = None
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        return f"json://user:hush-Qx7Zk@127.0.0.1:{self.server_port}/alert"

    def take(self) -> list[dict[str, Any]]:
        taken, self.messages = self.messages, []
        return taken


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.answer == 200:
            self.server.messages.append(body)
        if self.server.stall_after is not None and len(self.server.messages) > self.server.stall_after:
            time.sleep(20)
        self._answer()

    def do_GET(self) -> None:
        self.server.pings += self.path == "/hush-ping"
        self._answer()

    def _answer(self) -> None:
        self.send_response(self.server.answer)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[Listener]:
    server = Listener()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def lab(server: Server, tmp_path: Path, render: Callable[..., Path], listener: Listener) -> Iterator[Project]:
    """A pipeline where all is done, and that has an address."""
    own = Project(render(tmp_path / "my_pipeline"))
    computing.lay(own, server, PREFIX)
    own.environment["XDG_STATE_HOME"] = str(tmp_path / "state")
    own.write("workers.toml", WORKERS)
    own.write(".secrets/alerts", f"# the lab's own\n{listener.address}\n")
    own.write(".secrets/ping", f"http://127.0.0.1:{listener.server_port}/hush-ping\n")
    names = [f"{PREFIX}{name}" for name in computing.SCHEMAS]
    server.drop(*names)
    done = own.run("--env", "prod", "init")
    assert done.code == 0, done.err
    computing.work(own, "Scan:subject_id <> 3", *computing.POPULATED[1:])
    server.execute(f"DELETE FROM {granted.quoted(server, f'{PREFIX}work', '~~scan')}")
    yield own
    server.drop(*names)


def alert(project: Project, *arguments: str, **who: str) -> Any:
    done = project.run("--env", "prod", "alert", "--json", *arguments, **who)
    assert "hush" not in done.out + done.err
    return {**done.json, "code": done.code, "err": done.err}


def ids(found: Any) -> set[str]:
    return {f"{one['rule']}:{one['subject']}" for one in found["alerts"]}


def test_ten_troubles_are_told_once_and_so_is_their_end(lab: Project, server: Server, listener: Listener) -> None:
    def work(name: str) -> str:
        return granted.quoted(server, f"{PREFIX}work", name)

    # Scan of subject 3 has not been tried yet, so its keys wait; everything else is done but for one key.
    server.execute(f"DELETE FROM {work('~~scan')}", f"DELETE FROM {work('__per_subject')} WHERE subject_id = 1")
    lab.write("workers.toml", WORKERS.replace("1s", "1h"))
    quiet = alert(lab)
    assert (quiet["code"], ids(quiet), listener.take(), listener.pings) == (0, set(), [], 1), quiet

    lab.write("workers.toml", WORKERS)
    texts = {name: lab.read(lab.module(name)) for name in ("work", "version")}
    computing.work(lab, "Scan")
    key, mark = "subject_id, method, status, priority, error_message", "VALUES (1, 'fast', %s, 5, '%s')"
    for table, status, words in (
        ("~~cells", "'error'", "ValueError: no cells"),
        ("~~restricted", "'error'", "MemoryError"),
    ):
        server.execute(f"INSERT INTO {work(table)} ({key}) {mark % (status, words)}")
    columns = "subject_id, method, cell, status, priority, error_message"
    note = "[class=other attempts=0 kills=0] took 61 GB of memory, more than the 32 GB of the class small"
    server.execute(
        f"INSERT INTO {work('~~per_cell')} ({columns}) VALUES (1, 'fast', 0, 'pending', 5, '{note}')",
        f"DELETE FROM {work('__every')} WHERE subject_id > 0",
        f"ALTER TABLE {granted.quoted(server, f'{PREFIX}subject', 'subject')} ADD COLUMN hand int",
        f"UPDATE {work('__per_subject')} SET _job_start_time = '2020-01-01 00:00:00'",
    )
    own = (
        'key_source = (subject.Subject.proj() * subject.Subject.proj(other_id="subject_id")) & "subject_id < other_id"'
    )
    lab.replace(lab.module("work"), own, "key_source = property(lambda self: 1 / 0)")
    lab.replace(lab.module("version"), '"work": "1.0.0"', '"work": "1.0.1"')
    with computing.living(lab) as (_, number):
        reserved = f"'reserved', 5, {number}, '2020-01-01 00:00:00', '2020-01-01 00:00:00'"
        server.execute(
            f"DELETE FROM {work('~~per_subject')}",
            f"INSERT INTO {work('~~per_subject')} (subject_id, status, priority, connection_id, created_time, "
            f"reserved_time) VALUES (1, {reserved})",
        )
        time.sleep(1.2)
        dry = alert(lab, "--dry-run")
        assert (ids(dry), dry["sent"], listener.take(), listener.pings) == (TROUBLES, 0, [], 1), dry
        found = alert(lab)
        assert (ids(found), found["code"], found["sent"]) == (TROUBLES, 4, 10), found
        messages = listener.take()
        assert len(messages) == 10 and {message["type"] for message in messages} == {"failure"}
        assert all(" --env prod " in message["message"] for message in messages)
        assert {len(message["title"].splitlines()) for message in messages} == {1}
        # A quiet hour: the same troubles, looked at again and again.
        (file,) = Path(lab.environment["XDG_STATE_HOME"]).rglob("alerts-prod-*.json")
        assert file.stat().st_mode & 0o777 == 0o600 and "hush" not in file.read_text()
        for _ in range(2):
            state = json.loads(file.read_text())
            for one in state["standing"].values():
                one["since"] -= 1800
            file.write_text(json.dumps({**state, "seen": {k: v - 1800 for k, v in state["seen"].items()}}))
            again = alert(lab)
            assert (ids(again), again["sent"], listener.take()) == (TROUBLES, 0, []), again
        assert listener.pings == 4

    for name, text in texts.items():
        lab.write(lab.module(name), text)
    server.execute(
        f"ALTER TABLE {granted.quoted(server, f'{PREFIX}subject', 'subject')} DROP COLUMN hand",
        *(f"DELETE FROM {work(f'~~{name}')}" for name in ("scan", "cells", "restricted", "per_cell", "per_subject")),
        f"INSERT INTO {work('_scan')} (subject_id, method, size) VALUES (3, 'fast', 1), (3, 'slow', 1)",
    )
    lab.write("workers.toml", WORKERS.replace("1s", "9h"))  # the hour before has made the rest of the keys wait
    computing.work(lab, "Every", "PerSubject")
    over = alert(lab)
    assert (over["code"], ids(over), len(over["recovered"])) == (0, set(), 10), over
    messages = listener.take()
    assert len(messages) == 10 and {message["type"] for message in messages} == {"success"}
    assert alert(lab)["sent"] == 0 and listener.take() == []


def test_what_was_interrupted_is_told_in_full_and_what_goes_on_is_not(
    lab: Project, server: Server, listener: Listener
) -> None:
    journal = granted.quoted(server, f"{PREFIX}work", "~migration")
    migrations = lab.folder / "src/my_pipeline/migrations/work"
    migrations.mkdir(parents=True, exist_ok=True)
    lab.write("workers.toml", "[alerts]\noff = ['nobody', 'still']\n")
    server.execute(
        f"UPDATE {journal} SET kind = 'rollback', status = 'running', previous_version = '1.1.0', os_user = 'ada', "
        "started_at = '2026-02-03 04:05:06', finished_at = NULL"
    )
    (migrations / "1.1.0_drop_notes.py").write_text("")
    other = server.connect()
    take = "SELECT GET_LOCK(%s, 0)" if server.backend == "mysql" else "SELECT pg_advisory_lock(hashtextextended(%s, 0))"
    other.cursor().execute(take, (f"pipeline:{PREFIX}my_pipeline",))
    going_on = alert(lab)
    other.close()
    assert ids(going_on) == set(), going_on
    found = alert(lab)
    (told,) = listener.take()
    (migrations / "1.1.0_drop_notes.py").unlink()
    assert ids(found) == {"behind:work"} and found["code"] == 6, found
    said = (
        "The rollback of work from 1.1.0 to 1.0.0 (1.1.0_drop_notes) was interrupted; ada began it on 2026-02-03 at "
        "04:05 UTC. Nothing else can change work until the next step below ends that."
    )
    again = "Next: python -m my_pipeline --env prod rollback work --to 1.0.0"
    assert said in told["title"] and again in told["message"], told


def test_what_was_not_taken_is_sent_again_and_what_was_is_not(lab: Project, listener: Listener, tmp_path: Path) -> None:
    computing.work(lab, "Scan")
    listener.answer = 500
    failed = alert(lab)
    assert failed["code"] == 1 and "address 1 of .secrets/alerts did not take" in failed["err"]
    assert listener.pings == 0  # whom nobody hears gives no sign of life
    listener.answer = 200
    (file,) = Path(lab.environment["XDG_STATE_HOME"]).rglob("alerts-prod-*.json")
    file.write_text("half a fi")  # as no kill of ours leaves it
    listener.stall_after = 0
    command = [sys.executable, "-m", "my_pipeline", "--env", "prod", "alert"]
    process = subprocess.Popen(command, cwd=lab.folder, env=lab.variables(), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not listener.messages and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    listener.stall_after = None
    assert len(listener.take()) == 1
    after = alert(lab)
    assert after["sent"] == len(listener.take()) == len(after["alerts"]) >= 1
    assert alert(lab)["sent"] == 0


def test_mistakes_are_named_without_showing_an_address(lab: Project, listener: Listener) -> None:
    lab.write("workers.toml", '[alerts]\nstill = "soon"\noff = ["nobdy"]\nfails = 1\n')
    done = lab.run("--env", "prod", "alert")
    assert done.code == 1
    for words in (
        "line 2: alerts.still is not a time",
        "line 3",
        "did you mean nobody",
        "line 4",
        "did you mean failures",
    ):
        assert words in done.err, done.err
    lab.write("workers.toml", '[alerts]\noff = ["nobody"]\n')
    assert alert(lab)["alerts"] == []
    lab.write(".secrets/alerts", "\nhush://hush:hush@\n")
    wrong = lab.run("--env", "prod", "alert")
    assert wrong.code == 1 and ".secrets/alerts, line 2" in wrong.err and "hush" not in wrong.err
    lab.write(".secrets/alerts", "")
    lab.write(".secrets/ping", "hush")
    assert lab.run("--env", "prod", "alert").code == 1
    lab.write(".secrets/ping", f"http://127.0.0.1:{listener.server_port}/hush-ping\n")
    told = lab.run("--env", "prod", "alert")
    assert told.code == 0 and "has no address" in told.out
    assert "ignored" not in lab.run("--env", "prod", "doctor").out


def test_without_apprise_a_dry_run_shows_what_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "alerts").write_text("json://here\njson://here\n", encoding="utf-8")
    assert messages.addresses(tmp_path, dry_run=True) == ["json://here"]
    with pytest.raises(PipelineError, match="No message can be sent"):
        messages.addresses(tmp_path)


def test_a_server_that_is_gone_is_told_and_the_switch_gets_no_sign(lab: Project, listener: Listener) -> None:
    gone = alert(lab, DJ_PORT="1")
    # Another port is another server, of which nothing is known yet.
    assert (gone["code"], ids(gone), gone["sent"], listener.pings) == (1, {"server:prod"}, 1, 0)
    assert "doctor" in listener.take()[0]["message"]
    assert alert(lab, DJ_PORT="1")["sent"] == 0
