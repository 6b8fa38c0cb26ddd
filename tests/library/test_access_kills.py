"""`access rotate`, `lock` and `remove` killed after each statement: the record has them, and again they end as ever."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import granted
import pytest
from conftest import Project, Server

PREFIX = "akl_"
LOGIN = "akl_'ana"

NOBODY = '[people.boss]\nlogin = "akl_boss"\nroles.prod = "admin"\n'
PEOPLE = f'{NOBODY}[people.ana]\nlogin = "{LOGIN}"\nroles.prod = "viewer"\n'

#: Does something with an account over and over, each time killed one statement later, and then once more undisturbed.
#: Prints what stood in the record at each death, and what came of the second time.
PROGRAM = r"""
import json, os, signal, sys
import datajoint as dj
import psycopg2
import datajoint_pipeline.cli.main  # what every child needs is imported once
from datajoint_pipeline.commands import access, accounts
from datajoint_pipeline.internals import connection as connections
from datajoint_pipeline.journal import access as record
from datajoint_pipeline.project import environments
from my_pipeline import pipeline

action, login = sys.argv[1], sys.argv[2]
nobody, people = json.loads(sys.argv[3])
environment = environments.find(pipeline.project, "prod", explicit=True)

def child(function):
    reading, writing = os.pipe()
    number = os.fork()
    if not number:
        code = 1
        try:
            os.write(writing, json.dumps(function()).encode())
            code = 0
        except BaseException as error:
            os.write(writing, json.dumps(f"{type(error).__name__}: {error}").encode())
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]), json.loads(text or "null")

def act():
    done = getattr(accounts, action)(pipeline, environment, login)
    return done if isinstance(done, (bool, int, type(None))) else done.sessions

def killed(after):
    seen = 0
    def counted(statement):
        nonlocal seen
        if statement.lstrip().split()[0].upper() not in ("SELECT", "SET", "RESET", "SHOW", "BEGIN"):
            seen += 1
            if seen == after:
                os.kill(os.getpid(), signal.SIGKILL)
    query = dj.Connection.query
    def dying(self, sql, *args, **options):
        found = query(self, sql, *args, **options)
        counted(sql)
        return found
    beside = connections.beside
    class Cursor(psycopg2.extensions.cursor):
        def execute(self, sql, *args):
            super().execute(sql, *args)
            counted(sql)
    def aside(*args):
        found = beside(*args)
        found.cursor_factory = Cursor
        return found
    def run():
        dj.Connection.query, connections.beside = dying, aside
        return act()
    return run

def history():
    connection = pipeline.connect(environment)
    database = record.place(connection, pipeline.target(environment).databases)
    return [(one.words, one.state) for one in record.history(connection, database)]

def laid():
    open("access.toml", "w").write(people)
    access.apply(pipeline, environment)
    if action == "remove":
        open("access.toml", "w").write(nobody)
        access.apply(pipeline, environment)
    elif action == "lock":
        accounts.unlock(pipeline, environment, login)
    else:
        accounts.discard(pipeline, environment, login)

found = []
for number in range(1, 30):
    code, why = child(laid)
    assert code == 0, why
    before = child(history)[1]
    code, came = child(killed(number))
    if code == 0:
        break
    assert code == -signal.SIGKILL, came
    left = child(history)[1][len(before):]
    # What is killed at the wrong time is also followed by something else.
    other = child(lambda: accounts.discard(pipeline, environment, login))[1] if action == "rotate" else None
    if other is not None and not isinstance(other, str):
        assert child(laid)[0] == 0
    again = child(act)
    states = [state for words, state in child(history)[1]]
    found.append({"left": left, "other": other, "again": again, "states": states})
print(json.dumps(found))
"""


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def lab(server: Server, tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Iterator[Project]:
    """A pipeline in production; commands are an admin's from here on, who has fewer rights than the server's."""
    own = Project(render(tmp_path_factory.mktemp("lab") / "my_pipeline"))
    granted.lay(own, server, PREFIX, PEOPLE)
    granted.forget(server, PREFIX)
    for command in (("init",), ("access", "apply")):
        done = own.run("--env", "prod", *command)
        assert done.code == 0, done.err
    own.environment |= {"DJ_USER": "akl_boss", "DJ_PASS": own.read(".secrets/accounts/akl_boss").strip()}
    yield own
    granted.forget(server, PREFIX)


def deaths(lab: Project, action: str) -> list[dict[str, Any]]:
    done = lab.python("-c", PROGRAM, action, LOGIN, json.dumps([NOBODY, PEOPLE]))
    assert done.code == 0, done.err[-3000:]
    found: list[dict[str, Any]] = json.loads(done.out.splitlines()[-1])
    return found


@pytest.mark.parametrize("action", ["rotate", "lock", "remove"])
def test_it_is_recorded_before_it_is_done_and_ends_when_it_is_said_again(
    lab: Project, server: Server, action: str
) -> None:
    found = deaths(lab, action)
    words = f"access {action} {LOGIN}"
    assert len(found) >= 3
    for number, one in enumerate(found):
        left = one["left"]
        assert left == [[words, "interrupted"]] or (not left and number < 2) or left == [[words, "done"]], one
        assert one["again"][0] == 0 or (left == [[words, "done"]]), one
        assert "interrupted" not in one["states"], one
    # The account is there before the first record, and something is changed only after it.
    assert any(one["left"] == [[words, "interrupted"]] for one in found)
    there = granted_accounts(server)
    assert (LOGIN in there) is (action != "remove")
    if action == "rotate":
        secret = lab.read(".secrets/accounts/akl_%27ana").strip()
        server.connect(LOGIN, secret).close()
        # Until it is said again, nobody makes the old password void while the new one may be nobody's.
        assert any(isinstance(one["other"], str) and "did not end" in one["other"] for one in found)
    checked = lab.run("--env", "prod", "access", "check")
    assert checked.code == 0, checked.out


def granted_accounts(server: Server) -> list[str]:
    query = "SELECT user FROM mysql.user" if server.backend == "mysql" else "SELECT rolname FROM pg_roles"
    return [str(row[0]) for row in server.execute(query)]
