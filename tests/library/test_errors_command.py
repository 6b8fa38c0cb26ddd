"""``errors`` puts failures with one cause together, and has them tried again or left out for whoever may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import granted
import pytest
from conftest import Project, Server

from datajoint_pipeline.monitor import errors

PREFIX = "er_"

#: Fails in three ways: two for each of which the message has its particulars, one in a function of the module's own.
MAKE = """
def read(number):
    raise FileNotFoundError(2, "No such file or directory", f"/data/raw/{number}/x.dat")


def make(self, key):
    number = int(key["subject_id"].split()[-1])
    if number < 3:
        read(number)
    if number < 5:
        raise ValueError(f"no spikes in {key}, only {number} of 10,000\\nlook again \\x1b[31m")
    self.insert1(key)


Recording.make = make
"""

FAIL = """
from my_pipeline import ephys, session, subject
rows = [{"subject_id": f"it's {number}"} for number in range(7)]
subject.Subject.insert(rows), session.Session.insert(rows)
ephys.Recording.populate(reserve_jobs=True, suppress_errors=True)
"""


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def lab(server: Server, tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Iterator[Project]:
    """A pipeline where seven keys were tried and five have failed."""
    own = Project(render(tmp_path_factory.mktemp("lab") / "my_pipeline"))
    granted.lay(own, server, PREFIX)
    granted.forget(server, PREFIX)
    for command in (("init",), ("access", "apply")):
        done = own.run("--env", "prod", *command)
        assert done.code == 0, done.err
    own.write(own.module("ephys"), own.read(own.module("ephys")) + MAKE)
    done = own.python("-c", FAIL, DJ_LOG_LEVEL="CRITICAL")
    assert done.code == 0, done.err
    yield own
    granted.forget(server, PREFIX)


def test_failures_with_one_cause_stand_together(lab: Project) -> None:
    viewer = granted.account(lab, "viewer")
    done = lab.run("--env", "prod", "errors", "--json", **viewer)
    assert done.code == 0, done.err
    first, second = done.json["groups"]
    assert (first["count"], first["error"], first["tables"]) == (3, "FileNotFoundError", {"ephys.Recording": 3})
    assert first["where"].startswith("my_pipeline/ephys.py:") and first["where"].endswith(" in read")
    assert (second["count"], second["error"]) == (2, "ValueError") and "of # " in second["message"]
    job = first["jobs"][0]
    assert job["key"]["subject_id"].startswith("it's ") and job["host"] and job["user"] and job["at"].endswith("Z")
    assert "Traceback" in job["traceback"] and "x.dat" in job["traceback"]
    told = lab.run("--env", "prod", "errors", **viewer).out
    assert f"  FileNotFoundError: {first['message']}\n" in told and "'…'" in first["message"]
    assert f"\n  last message: {job['message']}\n" in told
    assert "errors --group ID --traceback\n" in told and "ID is what a group begins with" in told
    told = lab.run("--env", "prod", "errors", "--group", second["id"][:4], "--traceback", **viewer)
    assert told.code == 0 and "ValueError" in told.out and "FileNotFoundError" not in told.out
    assert "line" in told.out and "\x1b" not in told.out and "subject_id=it's 4" in told.out
    assert " of 10,000\n    look again" in told.out
    unknown = lab.run("--env", "prod", "errors", "--group", "zz", **viewer)
    assert unknown.code == 2 and first["id"] in unknown.err


def test_who_only_reads_is_refused_in_words_and_prod_has_to_be_named(lab: Project) -> None:
    refused = lab.run("--env", "prod", "errors", "--all", "--retry", **granted.account(lab, "viewer"))
    assert refused.code == 1 and "may not change jobs" in refused.err and "operator" in refused.err
    silent = lab.run("errors", "--all", "--retry", **granted.account(lab, "operator"))
    assert silent.code == 1 and "--env prod errors --retry" in silent.err
    for wrong in (["--retry"], ["--all", "--table", "ephys.Recording", "--retry"], ["--key", "subject_id=1"]):
        assert lab.run("--env", "prod", "errors", *wrong).code == 2
    bad = lab.run("--env", "prod", "errors", "--table", "session.Session")
    assert bad.code == 2 and "ephys.Recording" in bad.err and "Did you mean" not in bad.err
    bad = lab.run("--env", "prod", "errors", "--table", "ephys.Recodring")
    assert bad.code == 2 and "Did you mean ephys.Recording?" in bad.err
    assert lab.run("--env", "prod", "errors", "--table", "ephys.Recording", "--key", "note=1").code == 2
    both = lab.run("--env", "prod", "errors", "--table", "ephys.Recording", "--key=subject_id=1", "--key=subject_id=2")
    assert both.code == 2 and "--key says subject_id twice." in both.err


def test_an_operator_has_a_key_a_group_or_a_table_tried_again_or_left_out(lab: Project, server: Server) -> None:
    operator = granted.account(lab, "operator")
    queue = granted.quoted(server, f"{PREFIX}ephys", "~~recording")

    def states() -> dict[str, int]:
        rows = server.execute(f"SELECT status, COUNT(*) FROM {queue} GROUP BY status")
        return {str(status): int(count) for status, count in rows}

    def run(*arguments: str) -> int:
        done = lab.run("--env", "prod", "errors", *arguments, "--json", **operator)
        assert done.code == 0, done.err
        changed: int = done.json["changed"]
        return changed

    before = states()
    assert before["error"] == 5
    assert run("--table", "ephys.Recording", "--key", "subject_id=it's 3", "--ignore") == 1
    group = lab.run("--env", "prod", "errors", "--json").json["groups"][0]["id"]
    assert run("--group", group, "--retry") == 3
    assert states() == {"error": 1, "pending": 3, "ignore": 1}
    assert run("--ignored", "--all", "--retry") == 1
    assert run("--all", "--retry") == 1
    assert states() == {"pending": 5}
    with far_east(server):
        done = lab.python("-c", AGAIN, DJ_LOG_LEVEL="CRITICAL")
        assert done.code == 0 and states() == {"error": 5}
        told = lab.run("--env", "prod", "errors", "--json").json["groups"][0]["last"]
    ago = datetime.now(timezone.utc) - datetime.fromisoformat(told.replace("Z", "+00:00"))
    assert abs(ago) < timedelta(minutes=10)


AGAIN = """
from my_pipeline import ephys
ephys.Recording.populate(reserve_jobs=True, suppress_errors=True)
"""


@contextmanager
def far_east(server: Server) -> Iterator[None]:
    """Have a server whose clock shows five hours more than UTC."""
    if server.backend == "mysql":
        ((before,),) = server.execute("SELECT @@global.time_zone")
        there, back = "SET GLOBAL time_zone = '+05:00'", f"SET GLOBAL time_zone = '{before}'"
    else:
        there = "ALTER DATABASE postgres SET TimeZone = 'Asia/Karachi'"
        back = "ALTER DATABASE postgres RESET TimeZone"
    server.execute(there)
    try:
        yield
    finally:
        server.execute(back)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no file /a/b/c1.dat", "no file /a/x y"),
        ("{'subject_id': 3} failed", "{'subject_id': 12, 'session': 'a'} failed"),
        ("shape (3, 4) is not (5,)", "shape (30, 4) is not (7,)"),
        ("key 'it' missing", 'key "that" missing'),
        ("at 0x7f00aa after 1.5e-3 s", "at 0x1 after 12 s"),
        ("row 3f2504e0-4f89-11d3-9a0c-0305e82c3301", "row 00000000-4f89-11d3-9a0c-0305e82c3301"),
        ("no M002_1_ephys.csv in /raw/a", "no M012_130_ephys.csv in ~/raw"),
        ("no 2026-11-29.csv", "no 1999-1-9.csv"),
        ("of 10,000 rows", "of -3 rows"),
        ("it took C:\\data\\x.mat", "it took D:/other/y.mat"),
    ],
)
def test_messages_are_the_same_but_for_their_particulars(one: str, other: str) -> None:
    assert errors.blanked(one) == errors.blanked(other).removesuffix(" y")


@pytest.mark.parametrize(
    "folder",
    ["/lab/my_pipeline/src/my_pipeline", "/opt/lib/python3.11/site-packages/my_pipeline", "C:\\x\\my_pipeline"],
)
def test_the_place_is_in_the_package_and_not_in_what_stands_in_a_folder_of_its_name(folder: str) -> None:
    traceback = f"""Traceback (most recent call last):
  File "/lab/my_pipeline/.venv/lib/python3.11/site-packages/datajoint/autopopulate.py", line 697, in _populate1
    make(dict(key))
  File "{folder}/ephys.py", line 31, in make
    self.insert1(key)
  File "/lab/my_pipeline/.venv/lib/python3.11/site-packages/datajoint/connection.py", line 410, in _execute_query
    raise translate_query_error(err, query)
"""
    assert errors.innermost(traceback, "my_pipeline") == "my_pipeline/ephys.py:31 in make"


def test_a_name_of_a_file_can_be_read_without_its_particulars() -> None:
    said = "M002_1_ephys.csv of 2026-11-29 is in none of /data/raw, /data/more"
    assert errors.blanked(said) == "M#_#_ephys.csv of #-#-# is in none of …, …"


def test_messages_that_say_something_else_are_different() -> None:
    texts = ["no file /a", "no folder /a", "division by zero", "unknown key 'a'", "channel3 is not there", "x > 3"]
    assert len({errors.blanked(text) for text in texts}) == len(texts)
