"""Workers under the operator's account: killed, stopped, at limits, beside others; every job once, none stuck."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import working
from conftest import Project, Server
from working import Lab, until

PREFIX = "wk_"


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
    found = lab.look()
    assert found["plain"] == found["after"] == numbers(60)
    assert not any(found["jobs"].values())
    assert sorted(lab.begun()) == [("Plain", number) for number in numbers(60)]
    assert sum(worker.answer["done"] for worker in workers) == 120


def test_a_killed_process_is_told_of_and_its_job_done_by_the_next(lab: Lab) -> None:
    lab.insert("", "kill 1", "", "")
    worker = lab.worker("--once")
    assert worker.end() == 0, worker.said
    assert lab.look()["plain"] == numbers(4)
    (died,) = worker.seen("died")
    assert "killed by signal 9, peak" in died["text"] and len(worker.children) == 2
    assert worker.seen("put-back")[0]["became"] == "pending"
    assert sorted(lab.begun()) == [("Plain", 1), ("Plain", 2), ("Plain", 2), ("Plain", 3), ("Plain", 4)]


def test_a_job_that_always_kills_fails_in_words_after_three_times(lab: Lab) -> None:
    lab.insert("", "kill 99", "")
    worker = lab.worker("--once")
    assert worker.end() == 1, worker.said
    found = lab.look()
    assert found["plain"] == [1, 3] and lab.begun().count(("Plain", 2)) == 3
    (job,) = found["jobs"]["Plain"]
    assert job["status"] == "error"
    assert "killed 3 times while it ran (out of memory?): killed by signal 9" in job["error_message"]
    assert worker.answer["errors"] == 1 and worker.answer["failed"] == {"work.Plain": 1}


def test_jobs_of_a_worker_that_is_killed_run_again_elsewhere_in_seconds(lab: Lab) -> None:
    lab.insert("sleep 600")
    first = lab.worker()
    until(lambda: lab.begun() == [("Plain", 1)])
    lab.sql("UPDATE {work}.{q}item{q} SET task = ''")
    second = lab.worker("--pause", "1")
    until(lambda: second.seen("ready") or second.seen("start"))
    time.sleep(8)  # as long as its worker lives, a job is nobody else's
    assert lab.look()["jobs"]["Plain"][0]["status"] == "reserved"
    child, began = first.children[0], time.monotonic()
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: lab.look()["plain"] == [1])
    assert time.monotonic() - began < 15
    until(lambda: not working.alive(child), 5)
    (rescued,) = second.seen("rescued")
    assert "its worker on" in rescued["text"]
    second.signal(signal.SIGTERM)
    assert second.end() == 128 + signal.SIGTERM


def test_a_plain_populate_beside_them_is_left_alone(lab: Lab) -> None:
    lab.insert("sleep 12", *[""] * 20)
    from_notebook = "from my_pipeline import work; work.Plain.populate('item = 1', reserve_jobs=True)"
    import subprocess
    import sys

    notebook = subprocess.Popen(
        [sys.executable, "-c", from_notebook],
        cwd=lab.project.folder,
        env=lab.project.variables(**lab.operator),
    )
    until(lambda: ("Plain", 1) in lab.begun())
    worker = lab.worker("--once", "--tables", "work.Plain")
    assert worker.end() == 0, worker.said
    found = lab.look()
    assert [job["status"] for job in found["jobs"]["Plain"]] == ["reserved"] and found["plain"] == numbers(21)[1:]
    assert notebook.wait(60) == 0
    assert lab.look()["plain"] == numbers(21) and lab.begun().count(("Plain", 1)) == 1


def test_the_first_sigterm_lets_the_job_end(lab: Lab) -> None:
    lab.insert("sleep 3", "sleep 3", "sleep 3")
    worker = lab.worker()
    until(lab.begun)
    worker.signal(signal.SIGTERM)
    assert worker.end() == 128 + signal.SIGTERM, worker.said
    found = lab.look()
    assert len(found["plain"]) == len(lab.begun()) == 1
    assert [job["status"] for job in found["jobs"]["Plain"]] == ["pending"] * 2


@pytest.mark.parametrize("how", ["second signal", "end of grace"])
def test_a_job_that_is_broken_off_waits_again_without_blame(lab: Lab, how: str) -> None:
    lab.insert("sleep 600")
    worker = lab.worker("--grace", "2s" if how == "end of grace" else "300s")
    until(lab.begun)
    began = time.monotonic()
    worker.signal(signal.SIGTERM)
    if how == "second signal":
        until(lambda: worker.seen("stopping"))
        worker.signal(signal.SIGTERM)
    assert worker.end() == 128 + signal.SIGTERM, worker.said
    assert time.monotonic() - began < 10
    (job,) = lab.look()["jobs"]["Plain"]
    assert (job["status"], job["error_message"]) == ("pending", "")


def test_a_lost_session_is_made_anew_and_the_job_tried_again(lab: Lab) -> None:
    lab.project.write("workers.toml", '[retries]\nwait = "1s"\n')
    lab.insert("", "end 2", "")
    worker = lab.worker("--once")
    assert worker.end() == 0, worker.said
    assert lab.look()["plain"] == numbers(3) and len(worker.children) == 1
    assert [event["attempt"] for event in worker.seen("retry")] == [1, 2]
    assert lab.begun().count(("Plain", 2)) == 3


@pytest.mark.one_server
def test_retries_have_an_end_and_other_errors_have_none(lab: Lab) -> None:
    lab.project.write("workers.toml", '[retries]\nwait = "0.3s"\nattempts = 3\n')
    lab.insert("deadlock 99", "deadlock 1", "fail")
    worker = lab.worker("--once")
    assert worker.end() == 1, worker.said
    found = lab.look()
    assert found["plain"] == [2] and worker.answer["errors"] == 2
    messages = {job["item"]: job["error_message"] for job in found["jobs"]["Plain"]}
    assert "Deadlock found" in messages[1] and messages[1].endswith("(attempt 3 of 3)")
    assert messages[3] == "ValueError: item 3 is no good"
    assert lab.begun().count(("Plain", 3)) == 1 and lab.begun().count(("Plain", 1)) == 3


def test_an_error_after_the_rows_is_none(lab: Lab) -> None:
    """Rows that are there are done, whatever came after them; here somebody else wrote them while the job ran."""
    lab.insert("sleep 5")
    worker = lab.worker("--once", "--tables", "work.Plain")
    until(lab.begun)
    lab.sql("INSERT INTO {work}.{q}__plain{q} (item, value) VALUES (1, 2)")
    assert worker.end() == 0, worker.said
    found = lab.look()
    assert found["plain"] == [1] and not found["jobs"]["Plain"]


CLASSES = """\
[classes.small]
memory = "400 MB"
tables = ["*"]

[classes.large]
memory = "4 GB"
"""


def test_what_needs_more_memory_is_tried_in_the_next_class(lab: Lab) -> None:
    lab.project.write("workers.toml", CLASSES)
    lab.insert("memory 500", "exhausted", "")
    small = lab.worker("--once", "--class", "small", "--tables", "work.*")
    assert small.end() == 0, small.said
    assert "more than the 400 MB of the class small" in small.seen("limit")[0]["text"]
    found = lab.look()
    assert found["plain"] == [3]
    assert {job["error_message"].split()[0] for job in found["jobs"]["Plain"]} == {"[class=large"}
    lab.sql("UPDATE {work}.{q}item{q} SET task = 'exhausted'")
    large = lab.worker("--once", "--class", "large", CLASS="large")
    assert large.end() == 0, large.said
    assert lab.look()["plain"] == numbers(3)


@pytest.mark.one_server
def test_what_takes_too_long_is_ended_and_fails_where_no_class_has_more_time(lab: Lab) -> None:
    lab.project.write("workers.toml", '[classes.small]\ntime = "2s"\ntables = ["*"]\n')
    lab.insert("sleep 600", "")
    worker = lab.worker("--once")
    assert worker.end() == 1, worker.said
    found = lab.look()
    assert found["plain"] == [2]
    assert found["jobs"]["Plain"][0]["error_message"] == "took longer than the 2 s of the class small"


def test_a_migrated_database_stops_workers_in_words_and_new_code_goes_on(lab: Lab) -> None:
    lab.insert(*["sleep 1"] * 20)
    worker = lab.worker()
    until(lab.begun)
    # What a migration by newer code leaves in the record.
    lab.sql("UPDATE {work}.{q}~migration{q} SET version = '1.1.0' WHERE version = '1.0.0'")
    try:
        assert worker.end() == 5, worker.said
        said = " ".join(worker.said)
        assert "does not fit" in said and "The code is older" in said and "Traceback" not in said
        assert not [job for job in lab.look_by_sql("plain") if job == "reserved"]
        refused = lab.worker("--once")
        assert refused.end() == 5
    finally:
        lab.sql("UPDATE {work}.{q}~migration{q} SET version = '1.0.0' WHERE version = '1.1.0'")
    again = lab.worker("--once")
    assert again.end() == 0, again.said
    assert lab.look()["plain"] == numbers(20)


@pytest.mark.one_server
def test_with_little_time_nothing_is_begun_that_cannot_end(lab: Lab) -> None:
    lab.insert("sleep 6", "sleep 6", "")
    first = lab.worker("--once", "--tables", "work.Plain")
    assert first.end() == 0, first.said
    lab.insert("", "", first=10)
    short = lab.worker("--for", "3s")
    assert short.end() == 0, short.said
    assert any("no job of these would end" in event["text"] for event in short.seen("end"))
    assert lab.look()["plain"] == numbers(3)
    longer = lab.worker("--for", "20s", "--pause", "1")
    assert longer.end() == 0, longer.said
    assert lab.look()["plain"] == [1, 2, 3, 10, 11]


@pytest.mark.one_server
def test_three_part_makes_hold_no_transaction_while_they_compute(lab: Lab) -> None:
    lab.insert("", "sleep 1", "kill 1", first=-3)
    worker = lab.worker("--once", "--tables", "work.Parts")
    assert worker.end() == 0, worker.said
    assert lab.look()["parts"] == [-3, -2, -1]


@pytest.mark.one_server
def test_what_is_not_there_is_refused_before_anything_is_done(lab: Lab) -> None:
    for options, words in (
        (["--class", "huge"], "There is no class huge."),
        (["--tables", "wrok.Plain"], "Did you mean work.Plain?"),
        (["--for", "soon"], "'soon' is no time"),
    ):
        done = lab.project.run("worker", *options)
        assert done.code == 2 and words in done.err, done.err
