"""The command line on the embedded server: what it says, what it returns, what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from conftest import Project, git

SCHEMAS = ["subject", "session", "ephys", "imaging", "analysis"]

#: Run SQL on the embedded server as its owner, from within the project.
SQL = (
    "import sys; from my_pipeline import pipeline as e; c = e.connect(e.select('local'))\n"
    "for s in sys.argv[1:]: r = c.query(s, args=None)\n"
    "print(r.fetchall() if r.description else '')"
)

#: Has a module tell in which process it is imported.
NOTED = "with open('imported', 'a') as noted:\n    print(os.getpid(), file=noted)"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Iterator[Project]:
    """A default project whose tables are made on `local`; tests here only read it."""
    own = Project(render(tmp_path_factory.mktemp("made") / "my_pipeline"), environment={"MY_PIPELINE_ENV": "local"})
    result = own.run("init")
    assert result.code == 0 and "WARNING" not in result.err, result.err
    yield own
    own.run("local", "stop")


@pytest.fixture
def fresh(project: Project) -> Project:
    """A project of one's own with a database of its own, not yet made."""
    project.environment["MY_PIPELINE_ENV"] = "local"
    return project


def test_init_says_what_to_commit(fresh: Project) -> None:
    git(fresh.folder, "init", "--quiet")
    git(fresh.folder, "add", "--all")
    git(fresh.folder, "commit", "--quiet", "--message=Start")
    made = fresh.run("init")
    assert "Commit src/my_pipeline/migrations: " in made.out, made.out
    git(fresh.folder, "add", "--all")
    git(fresh.folder, "commit", "--quiet", "--message=Snapshots")
    assert "Commit" not in fresh.run("init").out


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        (("--env", "local", "migrate", "--to", "1.0.0"), "--env local migrate SCHEMA --to 1.0.0."),
        (("migrate", "--to", "1.0.0"), "migrate SCHEMA --to 1.0.0."),
        (("--env", "local", "local", "destroy"), "local destroy --yes."),
    ],
)
def test_a_command_in_a_refusal_can_be_copied(made: Project, command: tuple[str, ...], typed: str) -> None:
    """It names the program, and the environment where one was named and a database is meant."""
    refused = made.run(*command)
    assert refused.code == 1 and refused.err.rstrip().endswith(f"  Run python -m my_pipeline {typed}"), refused.err


def states(project: Project) -> dict[str, str]:
    return {schema["name"]: schema["state"] for schema in project.run("status", "--json").json["schemas"]}


def test_status_shows_every_schema_current(made: Project) -> None:
    shown, machine = made.run("status"), made.run("--json", "status")
    assert (shown.code, machine.code) == (0, 0)
    assert all(name in shown.out for name in SCHEMAS) and shown.out.count("current") == 5
    document = machine.json
    assert (document["environment"], document["backend"]) == ("local", "postgresql")
    assert [schema["name"] for schema in document["schemas"]] == SCHEMAS
    assert document["schemas"][0] == {
        "name": "subject", "database": "subject", "code_version": "1.0.0", "database_version": "1.0.0",
        "state": "current", "pending": [], "drift": [],
    }  # fmt: skip


def test_init_again_does_nothing(made: Project) -> None:
    before = made.run("log", "--json").json["runs"]
    assert made.run("init").code == 0
    assert made.run("log", "--json").json["runs"] == before


def test_log_says_who_when_and_from_which_commit(made: Project) -> None:
    runs = made.run("log", "--json").json["runs"]
    assert [run["schema"] for run in runs] == SCHEMAS
    for run in runs:
        assert (run["kind"], run["status"], run["version"], run["previous_version"]) == ("init", "done", "1.0.0", None)
        assert run["os_user"] and run["host"] and run["database_user"] and "datajoint 2.3" in run["software"]
        assert run["started_at"] <= run["finished_at"]
    shown = made.run("log")
    assert shown.code == 0 and shown.out.count("init") == 5


def test_empty_database_is_absent_and_pending(fresh: Project) -> None:
    result = fresh.run("status", "--json")
    assert result.code == 3
    assert set(states(fresh).values()) == {"absent"}
    assert fresh.run("log").code == 0


def test_tables_without_a_record_are_refused_and_kept(fresh: Project) -> None:
    fresh.python(
        "-c", SQL, "CREATE SCHEMA session", "CREATE TABLE session.mine (a int)", "INSERT INTO session.mine VALUES (7)"
    )
    result = fresh.run("init")
    assert result.code == 3
    assert "session holds tables and no record" in result.err and "adopt" in result.err
    assert states(fresh) == {**dict.fromkeys(SCHEMAS, "absent"), "session": "unrecorded"}
    assert "7" in fresh.python("-c", SQL, "SELECT a FROM session.mine").out


def test_code_that_does_not_fit_is_refused_on_import_in_words(fresh: Project) -> None:
    absent = fresh.python("-c", "import my_pipeline.subject")
    assert absent.code == 1 and "my-pipeline --env local init" in absent.err
    assert fresh.run("init").code == 0
    assert fresh.python("-c", "import my_pipeline.analysis as a; assert a.MultiModalAnalysis.is_declared").code == 0
    fresh.replace(fresh.module("version"), '"ephys": "1.0.0"', '"ephys": "1.2.0"')
    behind = fresh.python("-c", "import my_pipeline.ephys")
    assert behind.code == 1
    assert "1.2.0" in behind.err and "1.0.0" in behind.err and "my-pipeline --env local" in behind.err
    assert states(fresh)["ephys"] == "behind" and fresh.run("status").code == 3
    assert fresh.run("status", "--json").json["schemas"][2]["pending"] == ["1.2.0"]
    fresh.replace(fresh.module("version"), '"ephys": "1.2.0"', '"ephys": "0.9.0"')
    ahead = fresh.python("-c", "import my_pipeline.ephys")
    assert ahead.code == 1 and "0.9.0" in ahead.err and "older" in ahead.err
    assert states(fresh)["ephys"] == "ahead" and fresh.run("status").code == 5
    assert fresh.run("init").code == 5
    # Schemas that fit can be used, and an emergency exit exists.
    assert fresh.python("-c", "import my_pipeline.session").code == 0
    assert fresh.python("-c", "import my_pipeline.ephys", MY_PIPELINE_UNGUARDED="1").code == 0


def test_guard_asks_once_with_one_query(made: Project) -> None:
    code = (
        "import datajoint as dj; from my_pipeline import pipeline as e\n"
        "c = e.connect(e.select()); query = c.query; asked = []\n"
        "c.query = lambda sql, *a, **k: (asked.append(sql), query(sql, *a, **k))[1]\n"
        "dj.Schema('subject', connection=c, create_schema=False); plain = len(asked)\n"
        "e.open_schema('subject'); more = len(asked) - 2 * plain\n"
        "import my_pipeline.analysis\n"
        "print(len([sql for sql in asked if '~migration' in sql]), more)"
    )
    asked, more = made.python("-c", code).out.splitlines()[-1].split()
    assert asked == "1" and more == "1"


def test_interrupted_init_is_said_and_completed(fresh: Project) -> None:
    assert fresh.run("init").code == 0
    fresh.python(
        "-c", SQL, "DROP SCHEMA analysis CASCADE", "CREATE SCHEMA analysis",
        'CREATE TABLE analysis."~migration" (LIKE subject."~migration" INCLUDING ALL)',
        'INSERT INTO analysis."~migration" SELECT * FROM subject."~migration"',
        "UPDATE analysis.\"~migration\" SET status = 'running', finished_at = NULL",
    )  # fmt: skip
    assert states(fresh)["analysis"] == "interrupted" and fresh.run("status").code == 6
    shown = " ".join(fresh.run("status").out.split())
    assert "interrupted init continues it" in shown and "migrate" not in shown and "rollback" not in shown
    refused = fresh.python("-c", "import my_pipeline.analysis")
    assert refused.code == 1 and "did not end" in refused.err
    assert fresh.run("init").code == 0
    assert states(fresh)["analysis"] == "current"


def test_failed_init_leaves_nothing_on_postgresql(fresh: Project) -> None:
    fresh.replace(fresh.module("analysis"), "lag : float64", "lag : flout64")
    result = fresh.run("init")
    assert result.code == 1
    assert "analysis.py" in result.err and "Traceback" not in result.err
    assert set(states(fresh).values()) == {"absent"}
    fresh.replace(fresh.module("analysis"), "lag : flout64", "lag : float64")
    assert fresh.run("init").code == 0


def test_two_tables_of_a_schema_may_share_an_enum(fresh: Project) -> None:
    fresh.replace(
        fresh.module("subject"),
        "    subject_notes",
        "    other = 'unknown' : enum('female', 'male', 'unknown')\n    subject_notes",
    )
    second = (
        fresh.read(fresh.module("subject")).replace("class Subject", "class Person").replace("subject_id", "person_id")
    )
    tables = second[second.index("@schema") :]
    fresh.write(fresh.module("subject"), fresh.read(fresh.module("subject")) + "\n\n" + tables)
    result = fresh.run("init")
    assert result.code == 0, result.err


def test_journal_of_a_newer_template_is_not_touched(fresh: Project) -> None:
    assert fresh.run("init").code == 0
    fresh.python("-c", SQL, 'UPDATE ephys."~migration" SET layout = 99')
    for command in (["status"], ["init"], ["log"]):
        result = fresh.run(*command)
        assert result.code == 5 and "newer" in result.err, command


def test_prod_must_be_said(made: Project) -> None:
    result = made.run("init", MY_PIPELINE_ENV="prod")
    assert result.code == 1
    assert "--env prod" in result.err


def test_unknown_environment_is_refused(made: Project) -> None:
    result = made.run("--env", "staging", "status")
    assert result.code == 1 and "local, dev, branch, prod" in result.err


def test_json_is_alone_on_standard_output(made: Project) -> None:
    module = made.folder / made.module("analysis")
    text = module.read_text(encoding="utf-8")
    try:
        module.write_text(text + "\nprint('a module that talks')\n", encoding="utf-8")
        result = made.run("worker", "--once", "--json")
    finally:
        module.write_text(text, encoding="utf-8")
    assert result.code == 0, result.err
    assert result.json == {"environment": "local", "done": 0, "errors": 0, "failed": {}, "left_out": {}}
    assert "a module that talks" in result.err


def test_errors_are_one_document_too_with_json(made: Project) -> None:
    result = made.run("--env", "staging", "status", "--json")
    assert result.json["error"]["what"] and result.json["error"]["do"]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("nonsense",), "No such command 'nonsense'."),
        (("revise", "--nonsense"), "No such option"),
        (("revise",), "Missing option"),
        (("log", "--limit", "many"), "Invalid value for '--limit'"),
        (("rollback",), "Say which schema, and --to which version"),
        (("local",), "No command was given."),
        ((), "Missing command."),
    ],
)
def test_mistakes_of_usage_are_one_document_too_with_json(made: Project, arguments: tuple[str, ...], what: str) -> None:
    result = made.run("--json", *arguments)
    error = result.json["error"]
    assert result.code == error["exit_code"] == 2 and "Usage:" in result.err
    assert error["what"].startswith(what) and error["why"].startswith("Usage: "), error
    assert error["do"].startswith("Run ") and error["do"].endswith("--help."), error


def test_unreachable_server_is_three_lines(made: Project) -> None:
    result = made.run("--env", "dev", "status", DJ_HOST="127.0.0.1", DJ_PORT="1", DJ_USER="u", DJ_PASS="hidden-word")
    assert result.code == 1
    assert len(result.err.strip().splitlines()) == 3
    assert "Cannot connect to the MySQL server at 127.0.0.1:1" in result.err
    debug = made.run(
        "--env", "dev", "status", "--debug", DJ_HOST="127.0.0.1", DJ_PORT="1", DJ_USER="u", DJ_PASS="hidden-word"
    )
    assert "Traceback" in debug.err and "hidden-word" not in debug.err + debug.out + result.err


def test_diff_without_a_server_compares_code_and_snapshots(fresh: Project) -> None:
    assert fresh.run("init").code == 0
    away = {"MY_PIPELINE_ENV": "dev", "DJ_HOST": "127.0.0.1", "DJ_PORT": "1", "DJ_USER": "u", "DJ_PASS": "p"}
    same = fresh.run("diff", **away)
    assert same.code == 0 and same.out.count("nothing changed") == 5
    assert "127.0.0.1:1" in same.err and "compares the code with the snapshots alone" in same.err
    fresh.replace(fresh.module("subject"), "    subject_notes", "    weight = null : float32\n    subject_notes")
    changed = fresh.run("diff", "--json", **away)
    assert changed.code == 3 and "127.0.0.1:1" in changed.json["unreachable"]
    assert [s["name"] for s in changed.json["schemas"] if s["code"]] == ["subject"]
    assert "unreachable" not in fresh.run("diff", "--json").json


def test_missing_credentials_say_which_command_writes_them(made: Project) -> None:
    result = made.run("--env", "dev", "status")
    assert result.code == 1 and "python -m my_pipeline secrets" in result.err


@pytest.mark.parametrize(
    "arguments", [["frobnicate"], ["status", "--nope"], ["add-schema"], ["local", "start", "--port", "0"]]
)
def test_wrong_usage_is_exit_code_2(made: Project, arguments: list[str]) -> None:
    result = made.run(*arguments)
    assert result.code == 2 and "Traceback" not in result.err


def test_every_command_has_help_with_an_example_and_without_datajoint(made: Project) -> None:
    listed = made.run("--help").out
    commands = ["init", "status", "doctor", "check", "log", "add-schema", "secrets", "worker"]
    for command in [*commands, "local start", "local stop", "local shell", "local destroy"]:
        assert command.split()[0] in listed
        text = made.run(*command.split(), "--help").out
        assert "--env" in text and "--json" in text and "python -m my_pipeline" in text.split("Example:")[1], command
    code = "import sys; from datajoint_pipeline.cli import run; from my_pipeline import pipeline; assert 'datajoint' not in sys.modules, 'datajoint'"
    assert made.python("-c", code).code == 0


def test_help_lists_every_command_once_and_whole(made: Project) -> None:
    from datajoint_pipeline.cli.common import program
    from datajoint_pipeline.cli.main import run

    assert run
    listed = re.findall(r"^  ([a-z][a-z-]+)  ", made.run("--help").out.partition("--help")[2], re.MULTILINE)
    assert sorted(listed) == sorted(program.commands)
    groups = {name: command for name, command in program.commands.items() if hasattr(command, "commands")}
    parts = {f"{name} {part}": each for name, group in groups.items() for part, each in group.commands.items()}
    assert "docs build" in parts
    for name, command in (program.commands | parts).items():
        summary = command.get_short_help_str(limit=200)
        assert len(summary) <= 62 and not summary.endswith("..."), f"{name}: {summary}"
        if isinstance(command, click.Group):
            assert "..." not in made.run(name, "--help").out.partition("Commands:")[2], name


def test_help_of_a_group_lists_its_commands_whole(made: Project) -> None:
    from click import Group

    from datajoint_pipeline.cli.common import program
    from datajoint_pipeline.cli.main import run

    assert run
    groups = {name: command for name, command in program.commands.items() if isinstance(command, Group)}
    assert len(groups) >= 4
    for name, group in groups.items():
        said = " ".join(made.run(name, "--help").out.split())
        for command in group.commands.values():
            assert command.get_short_help_str(limit=1000) in said, f"{name} {command.name}"


def test_check_of_the_default_project_finds_nothing(made: Project) -> None:
    result = made.run("check")
    assert result.code == 0, result.out + result.err
    databases = made.python("-c", SQL, "SELECT string_agg(datname, ' ') FROM pg_database").out
    assert "check" not in databases


def test_check_imports_datajoint_and_the_modules_in_two_processes(fresh: Project) -> None:
    """Each import of DataJoint costs more than all else that `check` does; and what the lab's modules do stays there."""
    fresh.write(fresh.module("subject"), fresh.read(fresh.module("subject")) + f"\n\nimport os\n{NOTED}\n")
    program = (
        "import os, sys; from datajoint_pipeline.cli import run; from my_pipeline import pipeline\n"
        "try:\n    run(pipeline, ['check'])\nexcept SystemExit as left:\n    assert not left.code\n"
        "assert 'datajoint' not in sys.modules and 'my_pipeline.subject' not in sys.modules\n"
        "print(os.getpid())"
    )
    done = fresh.python("-c", program)
    assert done.code == 0, done.out + done.err
    processes = fresh.read("imported").split()
    assert len(processes) == len({*processes, done.out.split()[-1]}) - 1 == 2


def test_check_names_the_definition_that_datajoint_refuses(fresh: Project) -> None:
    fresh.replace(fresh.module("imaging"), "frame_rate : float64", "frame_rate : flout64")
    result = fresh.run("check", "--json")
    assert result.code == 1
    (finding,) = result.json["findings"]
    line = fresh.read("src/my_pipeline/imaging.py").splitlines()[finding["line"] - 1]
    assert (finding["module"], finding["path"]) == ("imaging", "src/my_pipeline/imaging.py") and "flout64" in line


def test_check_needs_no_configured_server(fresh: Project) -> None:
    assert fresh.run("check", DJ_HOST="127.0.0.1", DJ_PORT="1", DJ_USER="u", DJ_PASS="p").code == 0


def test_initialize_from_a_notebook(fresh: Project) -> None:
    code = (
        "import my_pipeline; my_pipeline.initialize('local'); from my_pipeline import ephys; print(len(ephys.Probe()))"
    )
    result = fresh.python("-c", code)
    assert result.code == 0, result.err
    assert result.out.strip().endswith("3")


def test_worker_computes_the_sample_once_across_two_processes(fresh: Project) -> None:
    assert fresh.run("init").code == 0
    code = (
        "import datetime; from my_pipeline import session, subject\n"
        "subject.Subject.insert1({'subject_id': 'M001'})\n"
        "session.Session.insert({'subject_id': 'M001', 'session_id': i, 'session_start': datetime.datetime(2026, 1, i)} for i in (1, 2))"
    )
    assert fresh.python("-c", code).code == 0
    command = [sys.executable, "-m", "my_pipeline", "worker", "--once", "--json"]
    workers = [
        subprocess.Popen(
            command, cwd=fresh.folder, env=fresh.variables(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    answers = [json.loads(worker.communicate(timeout=120)[0]) for worker in workers]
    done = fresh.python(
        "-c",
        "from my_pipeline import analysis, ephys, imaging; print(len(ephys.Recording()), len(imaging.Scan()), len(analysis.MultiModalAnalysis()))",
    )
    assert done.out.split()[-3:] == ["1", "1", "1"]
    # The second session has no file: its failure is kept as a job's error and ends no worker.
    assert sum(answer["errors"] for answer in answers) == 2
    # The next one leaves those keys alone, and says so.
    left = fresh.run("worker", "--once", "--json")
    failed = {"ephys.Recording": 1, "imaging.Scan": 1}
    counts = {"environment": "local", "done": 0, "errors": 0, "failed": failed, "left_out": {}}
    assert (left.code, left.json) == (1, counts)
    assert (
        "ephys.Recording: 1 key has failed. To see why: " in left.err and "errors --table ephys.Recording" in left.err
    )
    assert fresh.python("-c", "from my_pipeline import ephys; ephys.Recording.jobs.errors.delete()").code == 0
    again = fresh.run("worker", "--once")
    assert again.code == 1 and re.search(
        r"^\S+ \S+ ephys\.Recording \{.*'session_id': 2.*\}: \w+Error", again.out, re.MULTILINE
    )
    assert "Error" not in again.err, again.err


def test_audit_columns_are_written(fresh: Project) -> None:
    assert fresh.run("init").code == 0
    code = (
        "import datetime; from my_pipeline import ephys, session, subject\n"
        "subject.Subject.insert1({'subject_id': 'M001'})\n"
        "session.Session.insert1({'subject_id': 'M001', 'session_id': 1, 'session_start': datetime.datetime(2026, 1, 1)})\n"
        "ephys.Recording.populate()"
    )
    assert fresh.python("-c", code).code == 0
    provenance = fresh.python("-c", SQL, "SELECT _prov->'agent'->>'user' FROM subject.subject").out
    assert "postgres" in provenance
    jobs = fresh.python("-c", SQL, "SELECT _job_start_time, _job_duration FROM ephys._recording").out
    assert "datetime" in jobs


def test_messages_name_the_command_as_it_was_started(made: Project) -> None:
    script = "import sys; sys.argv[0] = '/somewhere/my-pipeline'; from my_pipeline.__main__ import main; main()"
    by_uv = {"UV_RUN_RECURSION_DEPTH": "1"}
    cases = (
        (("-m", "my_pipeline"), {}, "python -m my_pipeline"),
        (("-c", script), {}, "my-pipeline"),
        (("-c", script), by_uv, "uv run my-pipeline"),
    )
    for start, more, started in cases:
        said = made.python(*start, "--env", "nowhere", "status", **more).err
        assert f"Run for example {started} --env local status." in said, said
        usage = made.python(*start, "migrate", "--help", **more).out
        assert usage.startswith(f"Usage: {started} migrate"), usage
