"""Workers and keys of every type: each is computed, or fails in words, and no table holds up the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import working
from conftest import Project, Server


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


ODD = """
import os, pathlib, signal
import datajoint as dj
from . import open_schema, work
schema = open_schema("after")


@schema
class Odd(dj.Manual):
    definition = '''
    name : varchar(40)
    moment : datetime(6)
    kind : enum('a', 'b c')
    size : float32
    flag = 0 : bool
    '''


@schema
class OddSum(dj.Computed):
    definition = '''
    -> Odd
    ---
    value : int32
    '''

    def make(self, key):
        killed = pathlib.Path(os.environ["RUNS"]).with_name("killed")
        if key["name"] == "always" or key["name"] == "once" and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if key["name"].startswith("fails"):
            raise ValueError("fails here")
        self.insert1({**key, "value": 1})


@schema
class Broken(dj.Computed):
    definition = '''
    -> work.Item
    ---
    value : int32
    '''

    @property
    def key_source(self):
        return work.Item & "no_such_attribute = 1"

    def make(self, key):
        self.insert1({**key, "value": 1})
"""


def test_keys_of_odd_types_are_done_and_a_table_without_any_holds_up_no_other(
    server: Server, tmp_path: Path, render: Callable[..., Path]
) -> None:
    with working.made(Project(render(tmp_path / "my_pipeline")), server, "wko_", after=ODD) as lab:
        lab.insert("", "")
        backslash = "'a\\\\b'" if server.backend == "mysql" else "'a\\b'"
        names = [backslash, "'it''s 50% {{1}} 🐁 żółw'", "'\"%s\" `x` ; --'"]
        for number, name in enumerate(names):
            for size in ("0.1", "0.5", "1e-30"):
                lab.sql(
                    "INSERT INTO {after}.{q}odd{q} (name, moment, kind, size) "
                    f"VALUES ({name}, '2026-01-0{number + 1} 00:00:00.123457', 'b c', {size})"
                )
        worker = lab.worker("--once")
        assert worker.end() == 1, worker.said
        assert lab.items("Plain") == [1, 2] and lab.sql("SELECT COUNT(*) FROM {after}.{q}__odd_sum{q}") == [(9,)]
        assert worker.answer["done"] == 11 and not worker.answer["failed"], worker.said
        assert list(worker.answer["left_out"]) == ["after.Broken"]
        assert "no_such_attribute" in worker.answer["left_out"]["after.Broken"]
        assert sum("no_such_attribute" in event["text"] for event in worker.seen("skipped")) == 1
        assert "Traceback" not in str(worker.said)
        # What the driver reads otherwise than the server has it (MySQL rounds it) ends as an error, and not never.
        lab.sql("DELETE FROM {after}.{q}__odd_sum{q}")
        lab.sql("DELETE FROM {after}.{q}odd{q}")
        lab.sql("INSERT INTO {after}.{q}odd{q} (name, moment, kind, size) VALUES ('', '2026-01-01', 'a', 16777217)")
        worker = lab.worker("--once", "--tables", "after.OddSum")
        code = worker.end()
        rows = lab.sql("SELECT COUNT(*) FROM {after}.{q}__odd_sum{q}")[0][0]
        jobs = lab.sql("SELECT status, error_message FROM {after}.{q}~~odd_sum{q}")
        if rows:
            assert code == 0 and not jobs
        else:
            assert code == 1 and [status for status, _ in jobs] == ["error"] and "finds no key" in jobs[0][1]
        # A worker that is told to compute what is not there says so.
        none = lab.worker("--tables", "after.OddSums")
        assert none.end() == 2 and none.answer["error"]["what"] == "after.OddSums has nothing that workers compute."
        # A type that the table of jobs has as well gets its values in another order.
        for edit in (("'a', 'b c'", "'a', 'b c'"), ("'a', 'b c'", "'b c', 'a'")):
            lab.project.replace(lab.project.module("after"), *edit)
            done = lab.project.run("revise", "-m", "next")
            assert done.code == 0, done.out + done.err
        done = lab.project.run("--env", "prod", "migrate")
        assert done.code == 0, done.out + done.err
        assert lab.project.run("--env", "prod", "status").code == 0


def test_a_job_with_a_float_and_a_bool_in_its_key_is_put_back_and_tried_again(
    server: Server, tmp_path: Path, render: Callable[..., Path]
) -> None:
    """A float of four bytes is no number of eight, and MySQL has 1 for true."""
    with working.made(Project(render(tmp_path / "my_pipeline")), server, "wkp_", after=ODD) as lab:
        lab.project.write("workers.toml", '[retries]\nwait = "0.1s"\n')
        for name in ("once", "always", "fails\\\\o/"):  # MySQL makes one of two
            lab.sql(
                "INSERT INTO {after}.{q}odd{q} (name, moment, kind, size, flag) "
                f"VALUES ('{name}', '2026-01-01 00:00:00.123457', 'a', 0.1, true)"
            )
        worker = lab.worker("--once", "--tables", "after.OddSum")
        assert worker.end() == 1, worker.said
        assert lab.sql("SELECT name FROM {after}.{q}__odd_sum{q}") == [("once",)]
        jobs = lab.sql("SELECT name, status, error_message FROM {after}.{q}~~odd_sum{q}")
        assert {job[0][:5]: job[1] for job in jobs} == {"alway": "error", "fails": "error"}, jobs
        assert "was killed 3 times" in " ".join(job[2] for job in jobs), jobs
        groups = lab.project.run("--env", "prod", "errors", "--json").json["groups"]
        where = [group["where"] for group in groups if "fails here" in group["message"]]
        assert len(where) == 1 and where[0].startswith("my_pipeline/after.py:"), groups
        done = lab.project.run("--env", "prod", "errors", "--retry", "--table", "after.OddSum", "--key", "size=0.1")
        assert done.code == 0, done.out + done.err
        assert sorted(status for (status,) in lab.sql("SELECT status FROM {after}.{q}~~odd_sum{q}")) == [
            "pending",
            "pending",
        ], done.out
