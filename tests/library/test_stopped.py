"""Ctrl-C while a migration runs says what was done by then, and how to go on; both are true."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Project, Result, Server
from living import in_words, ok, states
from test_judging import FOLDER
from test_judging import living as living

assert living  # a fixture

#: A file that the second step makes, and waits for the end of.
PYTHON = """
def wait(connection, databases):
    import pathlib, time
    begun = pathlib.Path({place!r})
    begun.touch()
    while begun.exists():
        time.sleep(0.05)
    return False
"""


def revised(living: Project, words: str, step: str, more: str = "") -> Path:
    """A migration of two steps, the second of the lab's own."""
    living.replace(
        living.module("work"), "note = null : varchar(64)", f"note = null : varchar(64)\n    {words} = null : int32"
    )
    ok(living, "revise", "-m", words)
    path = next((living.folder / FOLDER / "work").glob(f"*_{words}.py"))
    text = path.read_text().replace("import ", "import RunPython, RunSQL, Sql, ", 1).rstrip().removesuffix("]").rstrip()
    path.write_text(f"{text}\n    {step},\n]\n{more}")
    return path


def stopped(living: Project, begun: Callable[[], object]) -> Result:
    """What `migrate` says where Ctrl-C comes once something is true."""
    command = [sys.executable, "-m", "my_pipeline", "migrate"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    runner = subprocess.Popen(command, cwd=living.folder, env=living.variables(), start_new_session=True, **pipes)
    try:
        deadline = time.monotonic() + 30
        while not begun() and runner.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(runner.pid, signal.SIGINT)
        out, err = runner.communicate(timeout=30)
    finally:
        if runner.poll() is None:
            os.killpg(runner.pid, signal.SIGKILL)
            runner.wait(30)
    return Result(runner.returncode, out, err)


def test_in_python_of_the_labs_own(living: Project, server: Server) -> None:
    """MySQL keeps the step that is done and PostgreSQL none; a migration before it stays on either."""
    begun = living.folder / "begun"
    revised(living, "before", "RunSQL('own', mysql='DO 1', postgresql='SELECT 1')")
    path = revised(living, "after", "RunPython('wait', check=done, run=wait)")
    functions = PYTHON.format(place=str(begun)) + "\n\ndef done(connection, databases):\n    return False\n"
    text = path.read_text()
    path.write_text(text.replace("operations = [", f"{functions}\n\noperations = [", 1))
    result = stopped(living, begun.exists)
    said = " ".join(result.err.split())
    assert result.code == 130 and in_words(result.err), result.err
    assert "Before it, work 1.1.0 was applied; that stays." in said
    if server.backend == "mysql":
        assert "Stopped in step 2 of 2: wait. 1 of 2 steps are done and recorded." in said
        assert "migrate again; it goes on from there." in said
        assert states(living)["work"] == ("interrupted", "1.1.0")
    else:
        assert "Stopped. Nothing else was changed." in said and "migrate again." in said
        assert states(living)["work"] == ("behind", "1.1.0")
    begun.unlink(missing_ok=True)
    path.write_text(path.read_text().replace("return False\n", "return True\n"))
    ok(living, "migrate")
    assert states(living)["work"] == ("current", "1.2.0")


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
def test_in_a_statement_that_the_server_goes_on_with(living: Project, server: Server) -> None:
    """As MySQL does; the next command waits for it. Whether one of the lab's own ran, nobody knows then."""
    revised(living, "slow", "RunSQL('slow', mysql='SELECT SLEEP(4)', back=Sql(mysql='DO 1'))")
    asked = "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'"
    result = stopped(living, lambda: server.execute(asked))
    said = " ".join(result.err.split())
    assert result.code == 130 and in_words(result.err), result.err
    assert "1 of 2 steps are done and recorded. The server may still complete this one." in said
    assert "It cannot be taken back: nobody knows whether the lab's own statements ran (slow)." in said
    assert server.execute(asked), "it is still at work"
    ok(living, "rollback", "--interrupted", code=6)
    ok(living, "migrate")
    assert states(living)["work"] == ("current", "1.1.0")


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
def test_while_it_waits_for_somebody(living: Project, server: Server) -> None:
    """Before anything of the step was done, which can be taken back."""
    revised(living, "slow", "RunSQL('other', postgresql='SELECT 1')")
    waiting = "SELECT id FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata%'"
    with closing(server.connect(autocommit=False)) as reader, reader.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM dev_work.task")
        result = stopped(living, lambda: server.execute(waiting))
    said = " ".join(result.err.split())
    assert result.code == 130 and in_words(result.err), result.err
    assert "Stopped in step 1 of 1: " in said and "0 of 1 steps are done and recorded." in said
    assert "Or take back what it did: " in said and said.endswith("rollback --interrupted.")
    ok(living, "rollback", "--interrupted")
    assert states(living)["work"] == ("behind", "1.0.0")


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_a_long_statement_of_postgresql_ends_at_once(living: Project, server: Server) -> None:
    """Its driver would wait for the end, without a word."""
    revised(living, "slow", "RunSQL('slow', postgresql='SELECT pg_sleep(60)')")
    asked = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
    begin = time.monotonic()
    result = stopped(living, lambda: server.execute(asked))
    said = " ".join(result.err.split())
    assert result.code == 130 and in_words(result.err), result.err
    assert "Stopped. Nothing was changed." in said
    assert time.monotonic() - begin < 45 and not server.execute(asked)
    assert states(living)["work"] == ("behind", "1.0.0")
