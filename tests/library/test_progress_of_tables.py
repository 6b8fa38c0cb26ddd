"""``progress`` counts what DataJoint would count, as any account that may read, and changes nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import computing
import granted
import pytest
from conftest import Project, Server
from prometheus_client.parser import text_string_to_metric_families

PREFIX = "mo_"


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def lab(server: Server, tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Iterator[Project]:
    """A pipeline at work: one subject fails, one key is left out, one is being computed by nobody knows whom."""
    own = Project(render(tmp_path_factory.mktemp("lab") / "my_pipeline"))
    computing.lay(own, server, PREFIX)
    names = [f"{PREFIX}{name}" for name in computing.SCHEMAS]
    server.drop(*names)
    done = own.run("--env", "prod", "init")
    assert done.code == 0, done.err
    computing.work(own, "Scan:subject_id < 4", "Cells:4", "Restricted:2", "PerSubject:1", "Pair:5", "PerCell:3")
    yield own
    server.drop(*names)


def tables(project: Project, *arguments: str, **who: str) -> dict[str, Any]:
    done = project.run("--env", "prod", "progress", "--json", *arguments, **who)
    assert done.code == 0, done.err
    return {table["table"]: table for table in done.json["tables"]}


def test_keys_are_those_that_datajoint_has(lab: Project) -> None:
    done = lab.python("-c", computing.BRUTE)
    assert done.code == 0, done.err
    expected = json.loads(done.out.splitlines()[-1])
    found = tables(lab)
    assert {name: [table["total"], table["done"]] for name, table in found.items()} == expected
    assert {name for name in found if found[name]["own_source"]} == {"work.Restricted", "work.PerSubject", "work.Pair"}
    order = list(found)
    assert order.index("work.Scan") < order.index("work.Cells") < order.index("work.Chosen")


def test_each_table_has_the_state_that_a_person_would_give_it(lab: Project, server: Server) -> None:
    queue = granted.quoted(server, f"{PREFIX}work", "~~scan")
    table = tables(lab)["work.Scan"]
    assert (table["failed"], table["pending"], table["state"]) == (2, 4, "nobody works on it")
    assert table["typical"] >= 0 and table["rate"] > 0 and table["left"] is None
    server.execute(f"UPDATE {queue} SET status = 'ignore' WHERE status = 'pending'")
    try:
        found = tables(lab)
        assert (found["work.Scan"]["ignored"], found["work.Scan"]["state"]) == (4, "only errors left")
        assert found["work.Cells"]["waiting"] == 2  # the two that failed; who is ignored never comes
        assert found["work.Chosen"]["total"] == 0 and found["work.Chosen"]["state"] == "done"  # a person has to choose
        server.execute(
            f"UPDATE {queue} SET status = 'reserved', host = 'far', reserved_time = created_time WHERE status = 'ignore'"
        )
        found = tables(lab)
        assert (found["work.Scan"]["unknown"], found["work.Scan"]["state"]) == (4, "running")
        assert found["work.Scan"]["left"][0] <= found["work.Scan"]["left"][1]
    finally:
        server.execute(f"UPDATE {queue} SET status = 'pending' WHERE status IN ('ignore', 'reserved')")


def test_who_holds_no_lock_any_more_is_dead_and_who_does_is_alive(lab: Project, server: Server) -> None:
    queue = granted.quoted(server, f"{PREFIX}work", "~~scan")
    with computing.living(lab) as (worker, number):
        server.execute(
            f"UPDATE {queue} SET status = 'reserved', host = 'far', pid = 7, connection_id = {number}, "
            "reserved_time = created_time WHERE status = 'pending'"
        )
        try:
            done = lab.run("--env", "prod", "progress", "--json").json
            found = {table["table"]: table for table in done["tables"]}
            assert (found["work.Scan"]["alive"], found["work.Scan"]["state"]) == (4, "running")
            assert found["work.Scan"]["left"] is not None and found["work.Scan"]["workers"] == 1
            assert found["work.Cells"]["state"] == "running"  # there is a worker for it
            ((one,),) = [done["workers"]]
            assert (one["class"], one["slot"], one["host"], one["tables"]) == ("default", 0, "far", ["work.Scan"])
            worker.kill(), worker.wait()
            found = tables(lab)
            assert (found["work.Scan"]["dead"], found["work.Scan"]["state"]) == (4, "nobody works on it")
            assert "4 jobs were reserved by workers that have died" in lab.run("--env", "prod", "progress").out
        finally:
            server.execute(f"UPDATE {queue} SET status = 'pending', connection_id = 0 WHERE status = 'reserved'")


def test_what_waits_for_a_larger_class_is_not_taken_for_work_of_this_one(lab: Project, server: Server) -> None:
    queue = granted.quoted(server, f"{PREFIX}work", "~~scan")
    moved = "'[class=large attempts=0 kills=0] took 5 GB of memory, more than the 4 GB of the class default'"
    lab.write(
        "workers.toml", '[classes.default]\ntables = ["*"]\n[classes.large]\n[classes.huge]\n[alerts]\nnobody = "0s"\n'
    )

    def counted(name: str) -> int:
        done = lab.run("--env", "prod", "progress", "--sql-pending", name)
        assert done.code == 0, done.err
        ((count,),) = server.execute(done.out)
        return int(count)

    before = counted("default")
    keys = server.execute(f"SELECT subject_id, method FROM {queue} WHERE status = 'pending' ORDER BY 1, 2")
    (subject, method), *_ = keys
    server.execute(
        f"UPDATE {queue} SET error_message = {moved} WHERE status = 'pending' AND subject_id = {subject} AND method = '{method}'"
    )
    try:
        assert [counted(name) for name in ("default", "large", "huge")] == [before - 1, 1, 0]
        found = tables(lab)["work.Scan"]
        assert (found["unattended"], found["state"]) == ({"large": 1, "default": 3}, "nobody works on it")
        with computing.living(lab):
            done = lab.run("--env", "prod", "progress")
            assert "work.Scan: 1 key needs a worker of the class large, and none is running." in done.out
            found = tables(lab)["work.Scan"]
            assert (found["unattended"], found["state"]) == ({"large": 1}, "running")
            told = lab.run("--env", "prod", "alert", "--dry-run").out
            assert "1 key of work.Scan waits, and no worker of the class large is running." in told
            assert "--env prod worker --class large" in told
            server.execute(f"UPDATE {queue} SET error_message = {moved} WHERE status = 'pending'")
            found = tables(lab)["work.Scan"]
            assert (found["unattended"], found["state"]) == ({"large": 4}, "nobody works on it")
    finally:
        server.execute(f"UPDATE {queue} SET error_message = '' WHERE status = 'pending'")
        (lab.folder / "workers.toml").unlink()


def test_one_query_tells_how_many_keys_a_class_of_workers_may_take(lab: Project, server: Server) -> None:
    lab.write(
        "workers.toml", '[classes.small]\ntables = ["*"]\n[classes.large]\ntables = ["work.Pair", "work.Restricted"]\n'
    )
    try:
        found = tables(lab)
        wanted = {"small": 0, "large": 0}
        for table in found.values():
            wanted[table["class"]] += table["pending"] + table["unknown"]
        assert wanted["large"] and wanted["small"] > wanted["large"]
        for name, number in wanted.items():
            done = lab.run("--env", "prod", "progress", "--sql-pending", name)
            assert done.code == 0 and len(done.out.splitlines()) == 1, done.err
            ((told,),) = server.execute(done.out)
            assert int(told) == number
        unknown = lab.run("--env", "prod", "progress", "--sql-pending", "huge")
        assert unknown.code == 2 and "small, large" in unknown.err
    finally:
        (lab.folder / "workers.toml").unlink()


def test_metrics_are_a_whole_file_that_prometheus_reads(lab: Project, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.prom"
    done = lab.run("--env", "prod", "progress", "--metrics", str(file), "--json")
    assert done.code == 0, done.err
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(file.read_text())
        for sample in family.samples
    }
    for table in done.json["tables"]:
        schema, _, name = table["table"].partition(".")
        assert samples["datajoint_keys_total", schema, name] == table["total"]
        assert samples["datajoint_keys_remaining", schema, name] == table["remaining"]
        assert samples["datajoint_jobs", schema, "failed", name] == table["failed"]
    assert time.time() - 300 < samples["datajoint_last_success_timestamp_seconds", "work", "Scan"] < time.time() + 1
    assert samples["datajoint_workers", "default"] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline.prom"]  # nothing is left beside it
    assert lab.run("--env", "prod", "progress", "--metrics", str(tmp_path / "no" / "x.prom")).code == 1


def test_nothing_is_declared_and_what_cannot_be_counted_is_said(lab: Project, server: Server) -> None:
    view = "table_name FROM information_schema.tables WHERE table_schema"
    query = f"SELECT {view} LIKE '{PREFIX}%' ORDER BY 1"
    server.execute(f"DROP TABLE {granted.quoted(server, f'{PREFIX}work', '~~every')}")
    before = server.execute(query)
    text = lab.read(lab.module("work"))
    lab.replace(lab.module("work"), "\"method LIKE 'f%'\"", '"no_such_column = 1"')
    try:
        found = tables(lab)
    finally:
        lab.write(lab.module("work"), text)
    assert server.execute(query) == before
    assert found["work.Restricted"]["state"] is None and "no_such_column" in found["work.Restricted"]["problem"]
    assert found["work.Every"]["pending"] == 36 and found["work.Scan"]["problem"] == ""


def test_a_person_reads_one_line_a_table(lab: Project) -> None:
    done = lab.run("--env", "prod", "progress", NO_COLOR="1", COLUMNS="60")
    assert done.code == 0, done.err
    (line,) = (line for line in done.out.splitlines() if line.startswith("work.Scan"))
    assert line.split() == ["work.Scan", "6/12", "50%", "2", *line.split()[4:5], "nobody", "works", "on", "it"]
    refused = lab.run("--env", "prod", "progress", "--watch", "--json")
    assert refused.code == 2


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudoterminals")
def test_a_narrow_terminal_has_whole_lines_and_watching_goes_on_until_it_is_ended(lab: Project) -> None:
    master, slave = os.openpty()
    command = [sys.executable, "-m", "my_pipeline", "--env", "prod", "progress", "--watch", "--every", "0.2"]
    environment = {**lab.variables(), "TERM": "xterm", "COLUMNS": "62", "NO_COLOR": "1"}
    text = ""
    with subprocess.Popen(command, cwd=lab.folder, env=environment, stdout=slave, stderr=slave) as process:
        os.close(slave)
        threading.Timer(100, process.kill).start()  # else a test that fails would go on for ever
        while text.count(" UTC") < 3:
            text += os.read(master, 4096).decode()
        process.send_signal(signal.SIGINT)
        while True:
            try:
                text += os.read(master, 4096).decode()
            except OSError:  # as Linux says that the other side is closed
                break
    os.close(master)
    assert process.returncode == 130
    shown = [re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", line).rstrip() for line in text.split("\r\n")]
    (line, *_) = [line for line in shown if line.startswith("work.Scan")]
    assert "6/12" in line and line.endswith("nobody works on it") and len(line) <= 62
    assert not re.search("\x1b\\[[0-9;]*[39][0-7]m", text), "a colour"


def test_a_viewer_sees_the_same(server: Server, tmp_path: Path, render: Callable[..., Path]) -> None:
    own = Project(render(tmp_path / "my_pipeline"))
    granted.lay(own, server, "pv_")
    granted.forget(server, "pv_")
    try:
        for command in (("init",), ("access", "apply")):
            assert own.run("--env", "prod", *command).code == 0
        granted.prepare(own, ["operator"])
        found = tables(own)
        who = granted.account(own, "viewer")
        assert tables(own, **who) == found
        own.replace(
            own.module("analysis"), "def make(", "key_source = ephys.Recording & \"note = ''\"\n\n    def make("
        )
        own_source = tables(own, **who)
        assert own_source["analysis.Result"]["own_source"] and own_source["analysis.Result"]["problem"] == ""
        assert own_source["analysis.Result"]["total"] == found["analysis.Result"]["total"] > 0
    finally:
        granted.forget(server, "pv_")
