"""Workers under the operator's account: killed, stopped, at limits, beside others; every job once, none stuck."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import working
from conftest import Project, Server
from daemons import open_folder
from working import Lab, until

PREFIX = "wk_"


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def laid(server: Server, tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Iterator[Lab]:
    project = Project(render(tmp_path_factory.mktemp("worker") / "my_pipeline"))
    with working.made(project, server, PREFIX) as lab:
        yield lab


@pytest.fixture
def lab(laid: Lab) -> Lab:
    laid.empty()
    return laid


def numbers(count: int) -> list[int]:
    return list(range(1, count + 1))


def test_workers_share_jobs_and_each_is_done_once(lab: Lab) -> None:
    lab.insert(*[""] * 60)
    workers = [lab.worker("--once"), lab.worker("--once")]
    assert [worker.end() for worker in workers] == [0, 0], workers[0].said + workers[1].said
    assert lab.items("Plain") == lab.items("Sum") == numbers(60)
    assert not lab.jobs("Plain") and not lab.jobs("Sum")
    assert sorted(lab.begun()) == [("Plain", number) for number in numbers(60)]
    assert sum(worker.answer["done"] for worker in workers) == 120


def test_every_job_ends_right_whatever_it_does_to_its_worker(lab: Lab) -> None:
    lab.project.write("workers.toml", '[retries]\nwait = "0.3s"\nattempts = 3\n')
    tasks = ["", "kill 1", "kill 99", "fail badly", "deadlock 1", "deadlock 99", "end 2", ""]
    lab.insert(*tasks, "exit 3", "cancel", "long 100000", "skip", "crash")
    worker = lab.worker("--once")
    assert worker.end() == 1, worker.said
    assert lab.items("Plain") == [1, 2, 5, 7, 8]
    jobs, begun = lab.jobs(), [item for _, item in lab.begun()]
    errors = dict.fromkeys((3, 4, 6, 9, 10, 11, 12, 13), "error")
    assert {item: state for item, (state, _) in jobs.items()} == errors
    assert "killed 3 times while it ran (out of memory?): killed by signal 9, peak" in jobs[3][1]
    assert jobs[13][1].startswith("Its worker was killed 3 times while it ran: killed by signal 11, peak")
    assert jobs[4][1] == "ValueError: item 4 is no good \\x00\\udc80"
    assert "Deadlock found" in jobs[6][1] and jobs[6][1].endswith("(attempt 3 of 3)")
    assert jobs[9][1] == "SystemExit: 3" and jobs[10][1] == "CancelledError"
    assert jobs[11][1].startswith("ValueError: x\nx\n") and jobs[11][1].endswith("...truncated")
    assert jobs[12][1] == "make() ended without an error, and inserted no row of this key"
    assert all(len(line) < 10_000 for line in worker.said)
    assert not any("\n" in event["text"] for event in worker.seen("error"))
    often = {1: 1, 2: 2, 3: 3, 4: 1, 5: 2, 6: 3, 7: 3, **dict.fromkeys(range(8, 13), 1), 13: 3}
    assert {item: begun.count(item) for item in numbers(13)} == often
    assert worker.answer["errors"] == 8 and worker.answer["failed"] == {"work.Plain": 8}
    assert len(worker.children) == 8
    # Keys are claimed in no order, so that workers do not meet: nor do the processes end in one.
    ends = sorted(re.search(r"by signal (\d+), peak", event["text"])[1] for event in worker.seen("died"))
    assert ends == sorted(["9"] * 4 + ["11"] * 3)
    assert "work.Plain {'item': 13} failed for good: killed by signal 11" in "".join(
        event["text"] for event in worker.seen("put-back")
    )
    assert sorted(event["attempt"] for event in worker.seen("retry")) == [1, 1, 1, 2, 2]


def test_jobs_of_a_worker_that_is_killed_run_again_elsewhere_in_seconds(
    lab: Lab, request: pytest.FixtureRequest
) -> None:
    lab.insert("wait")
    # What somebody made by hand is no table of jobs, and keeps none from being looked at.
    lab.sql("CREATE TABLE {work}.{q}~~ghost{q} (a int)")
    request.addfinalizer(lambda: lab.sql("DROP TABLE {work}.{q}~~ghost{q}"))
    if lab.server.backend == "postgresql":
        lab.sql("GRANT SELECT ON {work}.{q}~~ghost{q} TO PUBLIC")
    first = lab.worker()
    until(lab.begun)
    second = lab.worker("--pause", "1")
    until(lambda: second.seen("start"))
    time.sleep(8)  # as long as its worker lives, a job is nobody else's
    assert lab.jobs()[1][0] == "reserved" and len(lab.begun()) == 1
    child, began = first.children[0], time.monotonic()
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: len(lab.begun()) == 2)
    assert time.monotonic() - began < 15
    assert not working.alive(child)
    assert "its worker on" in second.seen("rescued")[0]["text"]
    assert len(second.seen("unreadable")) == 1 and "~~ghost is no table of jobs" in second.seen("unreadable")[0]["text"]
    lab.go()
    until(lambda: lab.items("Sum") == [1])
    second.signal(signal.SIGTERM)
    assert second.end() == 128 + signal.SIGTERM


def test_a_plain_populate_beside_them_is_left_alone(lab: Lab) -> None:
    lab.insert("wait", *[""] * 20)
    code = "from my_pipeline import work; work.Plain.populate('item = 1', reserve_jobs=True)"
    notebook = subprocess.Popen(
        [sys.executable, "-c", code], cwd=lab.project.folder, env=lab.project.variables(**lab.operator)
    )
    until(lab.begun)
    worker = lab.worker("--once", "--tables", "work.Plain")
    assert worker.end() == 0, worker.said
    time.sleep(1)
    assert lab.jobs() == {1: ("reserved", "")} and lab.items("Plain") == numbers(21)[1:]
    lab.go()
    assert notebook.wait(60) == 0
    assert lab.items("Plain") == numbers(21) and lab.begun().count(("Plain", 1)) == 1


def test_jobs_behind_one_that_takes_long_are_left_to_others(lab: Lab) -> None:
    lab.insert(*[""] * 30)
    worker = lab.worker("--pause", "1", "--tables", "work.Plain")
    until(lambda: lab.items("Plain") == numbers(30))  # short ones, so several are claimed at once
    lab.insert(*["wait"] * 40, first=31)
    until(lambda: len(lab.begun()) == 31)
    assert sum(status == "reserved" for status, _ in lab.jobs().values()) > 1
    until(lambda: sorted(lab.jobs().values()) == [("pending", "")] * 39 + [("reserved", "")])
    assert len(lab.begun()) == 31
    lab.go()
    until(lambda: lab.items("Plain") == numbers(70))
    assert sorted(item for _, item in lab.begun()) == numbers(70)
    worker.signal(signal.SIGTERM)
    assert worker.end() == 128 + signal.SIGTERM, worker.said
    assert not lab.jobs()


def test_the_first_sigterm_lets_the_job_end(lab: Lab) -> None:
    lab.insert("wait", "wait", "wait")
    worker = lab.worker("--grace", "300s")
    until(lab.begun)
    worker.signal(signal.SIGTERM)
    until(lambda: worker.seen("stopping"))
    lab.go()
    assert worker.end() == 128 + signal.SIGTERM, worker.said
    assert len(lab.items("Plain")) == len(lab.begun()) == 1
    assert list(lab.jobs().values()) == [("pending", "")] * 2


@pytest.mark.parametrize("how", ["second signal", "end of grace"])
def test_a_job_that_is_broken_off_waits_again_without_blame(lab: Lab, how: str) -> None:
    lab.insert("wait")
    worker = lab.worker("--grace", "1s" if how == "end of grace" else "300s")
    until(lab.begun)
    worker.signal(signal.SIGTERM)
    if how == "second signal":
        until(lambda: worker.seen("stopping"))
        worker.signal(signal.SIGTERM)
    assert worker.end(60) == 128 + signal.SIGTERM, worker.said
    assert lab.jobs() == {1: ("pending", "")} and not lab.items("Plain")


def test_rows_that_somebody_else_wrote_meanwhile_are_done(lab: Lab) -> None:
    lab.insert("wait")
    worker = lab.worker("--once", "--tables", "work.Plain")
    until(lab.begun)
    lab.sql("INSERT INTO {work}.{q}__plain{q} (item, value) VALUES (1, 2)")
    lab.go()
    assert worker.end() == 0, worker.said
    assert lab.items("Plain") == [1] and not lab.jobs()


def test_what_needs_more_memory_or_time_is_tried_in_the_next_class(lab: Lab) -> None:
    small = '[classes.small]\nmemory = "400 MB"\ntime = "6s"\ntables = ["*"]\n'
    lab.project.write("workers.toml", f'{small}[classes.large]\nmemory = "4 GB"\ntime = "6s"\n')
    lab.insert("memory 500", "exhausted", "", "sleep 600")
    worker = lab.worker("--once", "--class", "small", "--tables", "work.*")
    assert worker.end() == 1, worker.said
    assert any("more than the 400 MB of the class small" in event["text"] for event in worker.seen("limit"))
    jobs = lab.jobs()
    assert lab.items("Plain") == [3] and {jobs[item][0] for item in (1, 2)} == {"pending"}
    assert all(jobs[item][1].startswith("[class=large ") for item in (1, 2))
    # No class has more time.
    assert jobs[4] == ("error", "took longer than the 6 s of the class small")
    lab.sql("UPDATE {work}.{q}item{q} SET task = 'exhausted'")
    worker = lab.worker("--once", "--class", "large", "--tables", "work.Plain", CLASS="large")
    assert worker.end() == 1, worker.said
    assert lab.items("Plain") == [1, 2, 3]


def test_a_migrated_database_stops_workers_in_words_and_new_code_goes_on(lab: Lab) -> None:
    lab.insert("wait", *[""] * 20)
    worker = lab.worker("--pause", "1")
    until(lab.begun)
    # What a migration by newer code leaves in the record.
    lab.sql("UPDATE {work}.{q}~migration{q} SET version = '1.1.0' WHERE version = '1.0.0'")
    try:
        lab.go()
        assert worker.end() == 5, worker.said
        assert {"what", "why", "do", "exit_code"} == set(worker.answer["error"])
        assert "does not fit" in worker.answer["error"]["what"] and "The code is older" in worker.answer["error"]["why"]
        assert "reserved" not in {state for state, _ in lab.jobs().values()} and "Traceback" not in str(worker.said)
    finally:
        lab.sql("UPDATE {work}.{q}~migration{q} SET version = '1.0.0' WHERE version = '1.1.0'")
    again = lab.worker("--once", "--tables", "work.Plain")
    assert again.end() == 0, again.said
    assert lab.items("Plain") == numbers(21)


def test_a_migration_that_takes_a_table_away_stops_workers_in_words(lab: Lab) -> None:
    lab.insert("wait", first=-9)  # of a make of three parts: no transaction holds the table
    worker = lab.worker("--pause", "1", "--tables", "work.Parts")
    until(lab.begun)
    names = ("{q}~~parts{q}", "{q}~~other{q}"), ("{q}__parts{q}", "{q}__other{q}")
    to = "" if lab.server.backend == "postgresql" else "{work}."
    for old, new in names:
        lab.sql(f"ALTER TABLE {{work}}.{old} RENAME TO {to}{new}")
    lab.sql("UPDATE {work}.{q}~migration{q} SET version = '1.1.0' WHERE version = '1.0.0'")
    try:
        lab.go()
        assert worker.end() == 5, worker.said
        assert "The code is older" in worker.answer["error"]["why"] and "Traceback" not in str(worker.said)
    finally:
        lab.sql("UPDATE {work}.{q}~migration{q} SET version = '1.0.0' WHERE version = '1.1.0'")
        for old, new in names:
            lab.sql(f"ALTER TABLE {{work}}.{new} RENAME TO {to}{old}")


def test_workers_wait_for_the_end_of_a_migration_to_tell_whether_they_fit(
    server: Server, tmp_path: Path, render: Callable[..., Path]
) -> None:
    with working.made(Project(render(tmp_path / "my_pipeline")), server, "wkm_") as lab:
        own = lab.project
        assert own.run("revise", "-m", "first").code == 0
        worker = lab.worker("--pause", "1", "--tables", "work.Plain")
        until(lambda: worker.computing)
        own.replace(own.module("work"), "-> Item\n    ---\n", "-> Item\n    ---\n    more = null : int32\n")
        done = own.run("revise", "-m", "more")
        assert done.code == 0, done.out + done.err
        (file,) = (own.folder / "src" / own.package / "migrations" / "work").glob("*_more.py")
        text = file.read_text().replace("import AddAttribute", "import AddAttribute, RunSQL")
        slow = 'RunSQL("wait", mysql="DO SLEEP(12)", postgresql="SELECT pg_sleep(12)"),'
        file.write_text(text.replace("operations = [\n", f"operations = [\n    {slow}\n"))
        migrated = own.run("--env", "prod", "migrate")
        assert migrated.code == 0, migrated.out + migrated.err
        assert worker.end() == 5, worker.said
        told = [event["text"] for event in worker.seen("change")]
        # PostgreSQL shows nobody anything of a migration before its end, so there is nothing to wait for.
        assert server.backend == "postgresql" or "is being changed" in told[0], worker.said
        assert "The code is older" in worker.answer["error"]["why"]


def test_a_page_is_written_while_it_works_and_when_it_ends(lab: Lab, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    lab.insert("wait")
    worker = lab.worker("--once", "--html", str(page))
    until(page.exists)
    assert "0 / 1" in page.read_text(encoding="utf-8")
    lab.go()
    assert worker.end() == 0, worker.said
    assert "1 / 1" in page.read_text(encoding="utf-8") and worker.answer["done"] == 2
    assert list(tmp_path.iterdir()) == [page]


def test_with_little_time_nothing_is_begun_that_cannot_end(lab: Lab) -> None:
    lab.insert("", "", first=-9)
    first = lab.worker("--once", "--tables", "work.Parts")
    assert first.end() == 0, first.said
    assert lab.items("Parts") == [-9, -8]  # by a make of three parts, which holds no transaction while it computes
    lab.sql("UPDATE {work}.{q}__parts{q} SET _job_duration = 3000")
    lab.insert("", first=-7)
    short = lab.worker("--for", "10m")
    assert short.end() == 0, short.said
    assert "Leaves work.Parts: no job of these would end" in short.seen("end")[0]["text"]
    assert lab.items("Parts") == [-9, -8] and len(lab.items("Plain")) == 3


def test_what_is_not_there_is_refused_before_anything_is_done(lab: Lab) -> None:
    for options, words in (
        (["--class", "huge"], "There is no class huge of workers."),
        (["--tables", "wrok.Plain"], "Did you mean work.Plain?"),
        (["--for", "soon"], "'soon' is not a time"),
        (["--pause", "-1"], "-1 seconds is less than none."),
        (["--tables", "work.Plian"], "Did you mean work.Plain? They compute"),
        (["--tables", "work.Item,work.Plain"], "work.Item has nothing that workers compute."),
    ):
        done = lab.project.run("--env", "prod", "worker", *options)
        assert done.code == 2 and words in done.err, done.err


@pytest.mark.parametrize("backend", ["mysql", "postgresql"])
def test_killed_at_random_every_key_is_there_once(backend: str, tmp_path: Path, render: Callable[..., Path]) -> None:
    """A sample of ``benchmarks/workers.py storm``, with a server that is killed, too."""
    if backend == "mysql" and shutil.which("mysqld") is None:
        pytest.skip("no mysqld on PATH")
    with (
        open_folder("storm-") as folder,
        working.own_server(backend, folder, render) as (server, daemon),
        working.made(Project(render(tmp_path / "my_pipeline")), server, "wks_") as lab,
    ):
        found = working.storm(lab, daemon, workers=2, jobs=40, kills=4, seed=1)
    assert not found.problems, found


def test_what_was_done_and_failed_before_a_job_that_kills_the_process_is_counted(lab: Lab) -> None:
    """Jobs that take little time are claimed several at a time."""
    lab.insert(*[""] * 40, *["fail badly"] * 40, *["kill 1"] * 4)
    worker = lab.worker("--once")
    assert worker.end() == 1, worker.said
    assert (worker.answer["done"], worker.answer["errors"]) == (88, 40)
