"""The same commands on real servers, MySQL and PostgreSQL, for an administrator and for accounts with few rights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import options
import pytest
from conftest import Project, Result, Server, git

SCHEMAS = ["subject", "session", "ephys", "imaging", "analysis"]

FILL = (
    "import datetime; from my_pipeline import analysis, ephys, imaging, session, subject\n"
    "subject.Subject.insert1({'subject_id': 'M001'}, skip_duplicates=True)\n"
    "session.Session.insert1({'subject_id': 'M001', 'session_id': 1, 'session_start': datetime.datetime(2026, 1, 1)}, skip_duplicates=True)\n"
    "[t.populate(display_progress=False) for t in (ephys.Recording, imaging.Scan, analysis.MultiModalAnalysis)]\n"
)
READ = "from my_pipeline import analysis; print(round(analysis.MultiModalAnalysis().fetch1('lag'), 1))"


@pytest.fixture
def on_server(server: Server, project: Project) -> Iterator[Project]:
    """A fresh project whose dev and prod are the server; its schemas are dropped at the end."""
    project.environment |= {**server.variables, "MY_PIPELINE_ENV": "dev"}
    yield project
    server.drop(*(f"{prefix}{name}" for prefix in ("dev_", "") for name in reversed(SCHEMAS)))


def states(project: Project, environment: str) -> dict[str, str]:
    status = project.run("--env", environment, "status", "--json")
    return {schema["name"]: schema["state"] for schema in status.json["schemas"]}


def test_dev_and_prod_live_side_by_side(on_server: Project, server: Server) -> None:
    assert on_server.run("init").code == 0
    assert set(states(on_server, "dev").values()) == {"current"}
    assert set(states(on_server, "prod").values()) == {"absent"}
    assert on_server.run("init", MY_PIPELINE_ENV="prod").code == 1
    assert on_server.run("--env", "prod", "init").code == 0
    assert set(states(on_server, "prod").values()) == {"current"}
    assert on_server.python("-c", FILL).code == 0
    assert on_server.python("-c", READ).out.split()[-1] == "0.4"
    empty = on_server.python(
        "-c", "from my_pipeline import subject; print(len(subject.Subject()))", MY_PIPELINE_ENV="prod"
    )
    assert empty.out.split()[-1] == "0"
    status = on_server.run("status", "--json")
    assert status.code == 0 and status.json["backend"] == server.backend
    assert [schema["database"] for schema in status.json["schemas"]] == [f"dev_{name}" for name in SCHEMAS]
    assert len(on_server.run("log", "--json").json["runs"]) == 5
    assert "The server is" in on_server.run("doctor").out


def test_audit_is_written_from_the_first_row(on_server: Project, server: Server) -> None:
    git(on_server.folder, "init", "--quiet")
    git(on_server.folder, "add", "--all")
    git(on_server.folder, "commit", "--quiet", "--message=Start")
    commit = git(on_server.folder, "rev-parse", "HEAD").strip()
    assert on_server.run("init").code == 0
    assert on_server.python("-c", FILL).code == 0
    quote = "`" if server.backend == "mysql" else '"'
    rows = server.execute(f"SELECT _prov FROM dev_subject.{quote}subject{quote}")
    record = rows[0][0] if isinstance(rows[0][0], dict) else json.loads(rows[0][0])
    assert record["agent"]["user"] == server.user and commit.startswith(record["version"])
    jobs = server.execute(
        f"SELECT _job_version, _job_start_time, _job_duration FROM dev_ephys.{quote}_recording{quote}"
    )
    assert commit.startswith(jobs[0][0]) and jobs[0][0] and jobs[0][1] and jobs[0][2] >= 0


def test_tables_made_by_hand_are_refused(on_server: Project, server: Server) -> None:
    quote = "`" if server.backend == "mysql" else '"'
    make = "DATABASE" if server.backend == "mysql" else "SCHEMA"
    server.execute(f"CREATE {make} dev_session", f"CREATE TABLE dev_session.{quote}mine{quote} (a int)")
    result = on_server.run("init")
    assert result.code == 3 and "dev_session holds tables" in result.err
    assert states(on_server, "dev") == {**dict.fromkeys(SCHEMAS, "absent"), "session": "unrecorded"}


def test_killed_init_is_completed_by_the_next(on_server: Project) -> None:
    # Killed while it waits inside a module, so that it dies half-way through on every machine; not while that is only
    # looked at, which a process of its own does.
    on_server.replace(on_server.module("imaging"), "import datajoint as dj", "import sys, time; import datajoint as dj")
    on_server.write(
        on_server.module("imaging"),
        on_server.read(on_server.module("imaging"))
        + "\n\nprint('half-way', flush=True)\ntime.sleep(0 if 'read_code' in sys.argv[0] else 60)\n",
    )
    command = [sys.executable, "-m", "my_pipeline", "init"]
    process = subprocess.Popen(
        command, cwd=on_server.folder, env=on_server.variables(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert "half-way" in process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = set(states(on_server, "dev").values())
    # One transaction on PostgreSQL; on MySQL every statement stays, and the journal says how far it came.
    assert found == (
        {"absent"} if on_server.environment["DJ_BACKEND"] == "postgresql" else {"current", "interrupted", "absent"}
    )
    on_server.replace(on_server.module("imaging"), "time.sleep(0 if 'read_code' in sys.argv[0] else 60)", "")
    result = on_server.run("init")
    assert result.code == 0, result.err
    assert on_server.python("-c", FILL + READ).out.split()[-1] == "0.4"


def test_two_inits_at_once_make_everything_once(on_server: Project) -> None:
    command = [sys.executable, "-m", "my_pipeline", "init"]
    both = [
        subprocess.Popen(
            command, cwd=on_server.folder, env=on_server.variables(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    assert [process.wait(120) for process in both] == [0, 0]
    assert len(on_server.run("log", "--json").json["runs"]) == 5


#: What somebody may be doing meanwhile, in several lines and with a value that is nobody's business.
STATEMENT = "SELECT SLEEP(30),\n  'a patient'"


def test_lock_names_who_holds_it(on_server: Project) -> None:
    holder = (
        "import time; from my_pipeline import pipeline as e; from datajoint_pipeline import journal as j\n"
        "where = e.select('dev'); c = e.connect(where)\n"
        "with j.lock(c, where.prefix + e.package): print('held', flush=True); "
        f"c.query({STATEMENT!r}) if c.adapter.backend == 'mysql' else time.sleep(30)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", holder],
        cwd=on_server.folder,
        env=on_server.variables(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        while "held" not in process.stdout.readline():
            assert process.poll() is None
        time.sleep(0.5)
        code = (
            "from my_pipeline import pipeline as e; from datajoint_pipeline import journal as j\n"
            "where = e.select('dev'); c = e.connect(where)\n"
            "with j.lock(c, where.prefix + e.package, timeout=0.5, warn=print): print('both')"
        )
        refused = on_server.python("-c", code)
    finally:
        process.kill()
        process.wait()
    assert refused.code == 1 and "both" not in refused.out
    assert on_server.environment["DJ_USER"] in refused.err and "session" in refused.err
    assert "patient" not in refused.out + refused.err
    if on_server.environment["DJ_BACKEND"] == "mysql":
        assert "at: SELECT SLEEP(?), ?" in refused.err and "at: SELECT SLEEP(?), ?). This waits" in refused.out


class Account:
    """An account with few rights on one server."""

    def __init__(self, server: Server, project: Project, name: str) -> None:
        self.server, self.project, self.name, self.password = server, project, name, f"{name}-word"

    def grant(self, rights: str, *databases: str) -> None:
        for database in databases:
            if self.server.backend == "mysql":
                pattern = database.replace("_", r"\_")
                self.server.execute(f"GRANT {rights} ON `{pattern}`.* TO '{self.name}'@'%'")
            else:
                self.server.execute(
                    f'GRANT USAGE{", CREATE" if "CREATE" in rights else ""} ON SCHEMA "{database}" TO {self.name}',
                    f'GRANT {rights.replace(", CREATE", "")}, REFERENCES ON ALL TABLES IN SCHEMA "{database}" TO {self.name}',
                )

    def run(self, *arguments: str) -> Result:
        return self.project.run(*arguments, DJ_USER=self.name, DJ_PASS=self.password)

    def python(self, code: str) -> Result:
        return self.project.python("-c", code, DJ_USER=self.name, DJ_PASS=self.password)


@pytest.fixture
def account(server: Server, on_server: Project) -> Iterator[Account]:
    own = Account(server, on_server, f"few_rights_{os.getpid()}")
    host = "@'%'" if server.backend == "mysql" else ""
    word = "IDENTIFIED BY" if server.backend == "mysql" else "PASSWORD"
    user = f"'{own.name}'{host}" if host else own.name
    server.execute(f"CREATE USER {user} {word} '{own.password}'")
    yield own
    if server.backend == "postgresql":
        server.execute(f"DROP OWNED BY {user} CASCADE")
    server.execute(f"DROP USER {user}")


DATABASES = [f"dev_{name}" for name in SCHEMAS]


def test_account_without_any_right_is_told_so(account: Account) -> None:
    refused = account.run("init")
    assert refused.code == 1 and "Traceback" not in refused.err
    assert "dev_subject could not be made" in refused.err
    assert set(states(account.project, "dev").values()) == {"absent"}


def test_reader_sees_status_and_rows_and_changes_nothing(account: Account) -> None:
    assert account.project.run("init").code == 0
    assert account.project.python("-c", FILL).code == 0
    account.grant("SELECT", *DATABASES)
    status = account.run("status", "--json")
    assert status.code == 0, status.err
    assert {schema["state"] for schema in status.json["schemas"]} == {"current"}
    assert account.run("log").code == 0
    read = account.python(READ)
    assert read.code == 0 and read.out.split()[-1] == "0.4", read.err
    refused = account.python("from my_pipeline import subject; subject.Subject.insert1({'subject_id': 'X'})")
    assert refused.code == 1 and "denied" in refused.err.lower()
    assert account.run("init").code == 0  # nothing is to be made, so nothing is tried


def test_reader_of_some_schemas_uses_these(account: Account) -> None:
    assert account.project.run("init").code == 0
    account.grant("SELECT", "dev_subject", "dev_session")
    used = account.python("from my_pipeline import session; print(len(session.Session()))")
    assert used.code == 0 and used.out.split()[-1] == "0", used.err
    refused = account.python("import my_pipeline.ephys")
    assert refused.code == 1 and "ephys" in refused.err.strip().splitlines()[-3]


def test_worker_account_populates(account: Account) -> None:
    assert account.project.run("init").code == 0
    fill = FILL.split("[t.populate")[0]
    assert account.project.python("-c", fill).code == 0
    account.grant("SELECT, INSERT, UPDATE, DELETE", *DATABASES)  # nothing to create: init made the job queues
    result = account.run("worker", "--once", "--json")
    assert result.code == 0, result.err
    assert result.json == {"environment": "dev", "done": 3, "errors": 0, "failed": {}, "left_out": {}}


def test_account_that_may_not_work_is_told_so_in_words(account: Account) -> None:
    assert account.project.run("init").code == 0
    assert account.project.python("-c", FILL.split("[t.populate")[0]).code == 0
    account.grant("SELECT", *DATABASES)
    refused = account.run("worker", "--once")
    assert refused.code == 1
    assert "may not" in refused.err and "docs/access.md" in refused.err and "Traceback" not in refused.err


def test_idle_worker_leaves_on_sigterm(on_server: Project) -> None:
    assert on_server.run("init").code == 0
    command = [sys.executable, "-m", "my_pipeline", "worker", "--pause", "60"]
    worker = subprocess.Popen(
        command, cwd=on_server.folder, env=on_server.variables(), stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None and "SIGTERM ends it" in worker.stdout.readline()
    time.sleep(1)  # past its first round, within its pause
    assert worker.poll() is None
    worker.terminate()
    assert worker.wait(10) == 128 + signal.SIGTERM
    assert "Stopped by SIGTERM" in worker.stdout.read()


def test_wrong_password_is_said_and_never_shown(server: Server, on_server: Project) -> None:
    for extra in ((), ("--debug",)):
        result = on_server.run("status", *extra, DJ_PASS="wrong-hush-word")
        assert result.code == 1
        assert "password" in result.err.lower() or "denied" in result.err.lower()
        assert "hush" not in result.out + result.err


@pytest.mark.parametrize("server", ["mysql"], indirect=True)  # PostgreSQL's driver sends UTF-8
@pytest.mark.parametrize("password", ["pä$$", "p€w"])
def test_a_password_that_the_driver_garbles_is_said(server: Server, on_server: Project, password: str) -> None:
    server.execute(
        "SET NAMES utf8mb4", "DROP USER IF EXISTS garbled@'%'", f"CREATE USER garbled@'%' IDENTIFIED BY '{password}'"
    )
    result = on_server.run("status", DJ_USER="garbled", DJ_PASS=password)
    server.execute("DROP USER garbled@'%'")
    assert result.code == 1 and "letters beyond ASCII" in result.err and "secrets" in result.err, result.err
    assert password not in result.err


@pytest.mark.sampled
@pytest.mark.parametrize("schemas", ["FORTY_SCHEMAS", "ODD_SCHEMAS", "MIXED_SCHEMAS"])
def test_any_graph_becomes_a_pipeline_whose_tests_pass(
    server: Server, render: Callable[..., Path], tmp_path: Path, schemas: str
) -> None:
    """Odd answers: a long prefix, a store, other names; on the server and, for its tests, in places of their own."""
    answers = {"project_name": "Odd-Lab", "package_name": "odd2_lab", "schema_prefix": "a2345678901234_", "store": "s3"}
    graph = getattr(options, schemas)
    project = Project(render(tmp_path / "odd", schemas=graph, **answers), "odd2_lab", dict(server.variables))
    # The worker's store is not there; values of these tables go to the folder that DJ_STORES names instead.
    store = {"default": "main", "main": {"protocol": "file", "location": str(tmp_path)}}
    project.environment["DJ_STORES"] = json.dumps(store)
    names = [f"{prefix}a2345678901234_{s['name']}" for prefix in ("dev_", "") for s in reversed(graph)]
    try:
        made = project.run("--env", "prod", "init", "--json")
        assert made.code == 0, made.err
        assert {s["database"] for s in made.json["schemas"]} == set(names[len(graph) :])
        tests = project.python(
            "-m", "pytest", "-q", "-p", "no:cacheprovider", timeout=300
        )  # fmt: skip
        assert tests.code == 0, tests.out + tests.err
    finally:
        server.drop(*names)


def test_own_tests_of_a_project_pass_on_a_real_server(server: Server, project: Project, tmp_path: Path) -> None:
    """`pytest` in a project uses the server that DJ_HOST names, in schemas of its own, and removes them."""
    project.environment |= server.variables
    schemas = "SELECT schema_name FROM information_schema.schemata ORDER BY 1"
    before = server.execute(schemas)
    result = project.python("-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert result.code == 0, result.out + result.err
    assert "passed" in result.out and "skipped" not in result.out
    assert server.execute(schemas) == before
    assert not (project.folder / ".local").exists()
