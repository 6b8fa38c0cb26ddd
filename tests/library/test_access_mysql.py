"""What is particular to MySQL: ``partial_revokes``, and an ``apply`` that is killed in the middle."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import granted
import pytest
from conftest import Project, Server

PREFIX = "acs_"


@pytest.fixture
def lab(mysql: Server, tmp_path: Path, render: Callable[..., Path]) -> Iterator[Project]:
    own = Project(render(tmp_path / "my_pipeline"))
    granted.lay(own, mysql, PREFIX)
    granted.forget(mysql, PREFIX)
    done = own.run("--env", "prod", "init")
    assert "4 schemas done" in done.out, done.err
    yield own
    granted.forget(mysql, PREFIX)


def apply(lab: Project) -> list[dict[str, str]]:
    done = lab.run("--env", "prod", "access", "apply", "--json")
    assert done.code == 0, done.err
    found: list[dict[str, str]] = done.json["statements"]
    return found


def test_names_are_spelled_as_partial_revokes_asks_for(lab: Project, mysql: Server) -> None:
    ((before,),) = mysql.execute("SELECT @@GLOBAL.partial_revokes")
    worker = "SELECT COUNT(*) FROM acs_subject.subject"
    try:
        mysql.execute("SET GLOBAL partial_revokes = OFF")
        assert any(r"`acs\_subject`.*" in line["sql"] for line in apply(lab)) and apply(lab) == []
        account = granted.account(lab, "operator")
        mysql.execute("SET GLOBAL partial_revokes = ON", "FLUSH PRIVILEGES")
        changed = apply(lab)
        assert any("`acs_subject`.*" in line["sql"] and line["kind"] == "grant" for line in changed)
        assert any(r"`acs\_subject`.*" in line["sql"] and line["kind"] == "revoke" for line in changed)
        assert apply(lab) == [] and lab.run("--env", "prod", "access", "check").code == 0
        mysql.execute(worker, user=account["DJ_USER"], password=account["DJ_PASS"])
        mysql.execute("SET GLOBAL partial_revokes = OFF", "FLUSH PRIVILEGES")
        assert apply(lab) and apply(lab) == []
        mysql.execute(worker, user=account["DJ_USER"], password=account["DJ_PASS"])
    finally:
        mysql.execute(f"SET GLOBAL partial_revokes = {'ON' if before else 'OFF'}", "FLUSH PRIVILEGES")


@pytest.mark.parametrize("statements", [2, 8])
def test_an_apply_that_is_killed_is_completed_by_the_next(lab: Project, mysql: Server, statements: int) -> None:
    lab.write("access.toml", "")
    apply(lab)
    table = f"{PREFIX}subject.`~access`"
    # Each step is recorded slowly, so that the process is killed between two of them and not after the last.
    mysql.execute(f"CREATE TRIGGER {PREFIX}subject.slow BEFORE UPDATE ON {table} FOR EACH ROW DO SLEEP(0.2)")
    lab.write("access.toml", granted.ACCESS)
    command = [sys.executable, "-m", "my_pipeline", "--env", "prod", "access", "apply"]
    running = subprocess.Popen(
        command, cwd=lab.folder, env=lab.variables(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    last = f"SELECT status, done FROM {table} ORDER BY id DESC LIMIT 1"
    while time.monotonic() < deadline and running.poll() is None:
        ((status, done),) = mysql.execute(last)
        if status == "running" and done >= statements:
            break
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    ((status, done),) = mysql.execute(last)
    mysql.execute(f"DROP TRIGGER {PREFIX}subject.slow")
    assert status == "running" and done >= statements, "it was over before it was killed"
    again = lab.run("--env", "prod", "access", "apply")
    assert again.code == 0, again.err
    assert f"had ended after {done} of" in again.out or f"had ended after {done + 1} of" in again.out
    assert apply(lab) == []
    rows = mysql.execute(f"SELECT status FROM {table}")
    assert {status for (status,) in rows} == {"done"}
    for role in granted.LOGINS:
        account = granted.account(lab, role)
        mysql.execute("SELECT 1", user=account["DJ_USER"], password=account["DJ_PASS"])
