"""A day with a project: every command of a lab's work with it, one after the other, with real edits and a real prod."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import Server, git, terminal
from sampling import whole
from test_story import shell

pytestmark = [
    pytest.mark.every_commit,
    pytest.mark.skipif(shutil.which("uv") is None, reason="the day begins with uv on PATH"),
]

SCHEMAS = ["subject", "session", "ephys", "imaging", "analysis"]

#: What the prod of the lab holds before the day: two sessions, and what is computed of one that has files.
YEARS = """
import datetime
from my_pipeline import analysis, ephys, imaging, session, subject
subject.Subject.insert([{"subject_id": "M001"}, {"subject_id": "M002"}])
session.Session.insert([
    {"subject_id": name, "session_id": 1, "session_start": datetime.datetime(2020, 1, 2)} for name in ("M001", "M002")
])
for table in (ephys.Recording, imaging.Scan, analysis.MultiModalAnalysis):
    table.populate({"subject_id": "M001"})
ephys.Recording.insert1(
    {"subject_id": "M002", "session_id": 1, "probe_type": "tetrode", "RATE": 5.0, "firing_rate": [1.0]},
    allow_direct_insert=True,
)
"""

ROWS = """
import json
from my_pipeline import analysis, ephys
rows = ephys.Recording.to_dicts(order_by="subject_id")
rows = [[r["subject_id"], r["RATE"], len(r["firing_rate"]), r["probe_type"]] for r in rows]
print(json.dumps([rows, len(ephys.Recording.Channel()), len(analysis.MultiModalAnalysis())]))
"""


def edit(folder: Path, path: str, *changes: tuple[str, str]) -> None:
    """What a person does in an editor."""
    text = (folder / path).read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, f"{old!r} is not in {path}"
        text = text.replace(old, new)
    (folder / path).write_text(text, encoding="utf-8")


def run(command: str, folder: Path, code: int = 0, **variables: str) -> str:
    """A command of the day; what it says on standard output."""
    done = shell(command, folder, **variables)
    assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def on_terminal(command: str, folder: Path, typed: str) -> str:
    """A command that a person at a terminal answers."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, typed.encode())
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=folder,
            env=terminal(),
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def rows(lab: Path, rate: str, server: dict[str, str]) -> Any:
    """What the tables hold, whatever the rate is called."""
    program = ROWS.replace("RATE", rate)
    return json.loads(
        run(f"uv run python - <<'EOF'\n{program}EOF", lab, MY_PIPELINE_ENV="prod", **server).splitlines()[-1]
    )


@pytest.fixture
def template_of_today(template: Path, tmp_path: Path) -> Path:
    """The template's repository, which gets a newer release later in the day."""
    git(tmp_path, "clone", "--quiet", str(template), "template")
    return tmp_path / "template"


def release(template: Path, tag: str) -> None:
    """Publish a newer template, in which something of a file is another that an update brings."""
    edit(template, "template/compose.yaml.jinja", ("services:\n", "# of a newer template\nservices:\n"))
    git(template, "commit", "--quiet", "--all", f"--message=Release {tag}")
    git(template, "tag", tag)


@pytest.fixture(params=["mysql", "postgresql"] if whole() else ["mysql"])
def prod(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A real server whose schemas are removed afterwards; the local one of the day is PostgreSQL anyway."""
    server: Server = request.getfixturevalue(request.param)
    yield server
    server.drop(*SCHEMAS)


@contextmanager
def reading(server: Server) -> Iterator[None]:
    """Somebody reads a table in a transaction of theirs, so that nobody can change it."""
    with closing(server.connect(autocommit=False)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM ephys._recording")
        yield


def changing(server: Server) -> int:
    """How many sessions are changing a table."""
    if server.backend == "mysql":
        query = "SELECT COUNT(*) FROM information_schema.processlist WHERE info REGEXP '^(ALTER|LOCK) TABLE'"
    else:
        query = "SELECT COUNT(*) FROM pg_stat_activity WHERE query ~ '^(ALTER|LOCK) TABLE' AND state = 'active'"
    return int(server.execute(query)[0][0])


def kill_in_the_middle(folder: Path, prod: Server) -> None:
    """Start the migration, and kill it while a step waits for somebody who reads the table."""
    command = ["uv", "run", "my-pipeline", "--env", "prod", "migrate"]
    with reading(prod):
        runner = subprocess.Popen(
            command, cwd=folder, env=terminal() | prod.variables, start_new_session=True, stderr=subprocess.DEVNULL
        )
        try:
            _until(lambda: changing(prod) > 0 or runner.poll() is not None)
            assert runner.poll() is None, "it was to wait for the reader"
        finally:
            if runner.poll() is None:
                os.killpg(runner.pid, signal.SIGKILL)
            runner.wait(30)
    _until(lambda: changing(prod) == 0)


def _until(condition: Callable[[], bool]) -> None:
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it does not happen within 30 seconds")


def every_schema_current(shown: str, ephys: str) -> bool:
    versions = {name: ephys if name == "ephys" else "1.0.0" for name in SCHEMAS}
    return all(re.search(rf"{n}\s+{n}\s+{v}\s+{v}\s+current", shown) for n, v in versions.items())


def test_a_day(template_of_today: Path, tmp_path: Path, prod: Server) -> None:
    server = prod.variables
    start = f"uvx copier copy --defaults {template_of_today} my_pipeline"
    shown = run(f"{start} && cd my_pipeline && uv run my-pipeline --env local init", tmp_path)
    assert every_schema_current(shown, "1.0.0"), shown
    lab = tmp_path / "my_pipeline"
    try:
        _the_day(lab, template_of_today, prod, server)
    finally:
        shell("uv run my-pipeline local stop", lab)


def _the_day(lab: Path, template: Path, prod: Server, server: dict[str, str]) -> None:
    git(lab, "init", "--quiet", "--initial-branch=main")
    git(lab, "add", "--all")
    git(lab, "commit", "--quiet", "--message=Start")
    # Before this day: a production database with rows.
    shown = run("uv run my-pipeline --env prod init", lab, **server)
    assert "Commit src" not in shown
    years = YEARS.replace("RATE", "recording_rate")
    run(f"uv run python - <<'EOF'\n{years}EOF", lab, MY_PIPELINE_ENV="prod", **server)
    before = rows(lab, "recording_rate", server)

    assert re.search(r"\d+ passed", run("uv run pytest", lab))

    git(lab, "switch", "--quiet", "--create=weight")
    edit(
        lab,
        "src/my_pipeline/ephys.py",
        ("from . import open_schema, session\n", "from . import open_schema, session, subject\n"),
        (
            "    recording_rate : float64",
            "    weight = null : float32  # of the animal, in g\n    sampling_rate : float64",
        ),
        ("    -> Probe\n", '    -> Probe\n    -> [nullable] subject.Subject.proj(littermate="subject_id")\n'),
        ('"recording_rate": rate', '"sampling_rate": rate'),
    )
    edit(lab, "src/my_pipeline/analysis.py", ('"recording_rate"', '"sampling_rate"'))
    edit(lab, "tests/test_ephys.py", ('"recording_rate"', '"sampling_rate"'))

    shown = run("uv run my-pipeline diff", lab, code=3)  # no server is at hand
    assert "+ weight = null : float32  # of the animal, in g" in shown
    assert (
        "Is Recording.recording_rate now called sampling_rate" in shown and "-> subject.Subject (littermate)" in shown
    )
    costs = run("uv run my-pipeline --env prod diff", lab, code=3, **server)
    assert re.search(r"rows\s+Recording: 2", costs), costs

    shown = on_terminal('uv run my-pipeline revise ephys -m "add weight"', lab, "1\n")
    version = "2.0.0"  # for a column has another name: code that reads the old one fails
    assert f"1.0.0 → {version}" in shown and "sampling_rate" in shown
    files = sorted(path.name for path in (lab / "src/my_pipeline/migrations/ephys").iterdir())
    assert files == ["1.0.0.txt", f"{version}_add_weight.py", "snapshot.txt"]
    assert f'"ephys": "{version}"' in (lab / "src/my_pipeline/version.py").read_text(encoding="utf-8")

    assert "Everything is in order." in run("uv run my-pipeline check", lab)

    run("git add --all && git -c user.name=Ada -c user.email=a@example.org commit -qm 'Weigh animals'", lab)
    run("git switch -q main && git -c user.name=Ada -c user.email=a@example.org merge -q weight", lab)
    commit = git(lab, "rev-parse", "HEAD").strip()

    shown = run("uv run my-pipeline --env prod migrate --dry-run", lab, code=3, **server)
    assert re.search(
        r"ephys\.Recording\s+2\s+[\d,]+ KiB\s+\d+\s+0\s+(copied|in place|in an instant|no)\s+(nobody for long|writers|everybody)",
        shown,
    )
    assert "ALTER TABLE" in shown and "No value would be lost." in shown and "Nothing was changed." in shown
    planned = json.loads(run("uv run my-pipeline --env prod migrate --dry-run --json", lab, code=3, **server))
    (group,) = planned["groups"]
    assert group["losses"] == []
    statements = [statement["sql"] for statement in group["statements"]]
    assert statements and all(f"  {statement['words']}\n" in shown for statement in group["statements"])
    whole = run("uv run my-pipeline --env prod migrate --sql", lab, code=3, **server)
    assert "--sql" in shown and all(
        f"{text.rstrip(';')};" in whole
        for statement in statements
        for text in statement.split(";\n")
        if "LOCK TABLES" not in text
    )

    refused = shell("uv run my-pipeline migrate", lab, MY_PIPELINE_ENV="prod", **server)
    assert refused.returncode == 1 and "--env prod migrate" in refused.stderr
    kill_in_the_middle(lab, prod)
    stands = json.loads(
        run("uv run my-pipeline --env prod status --json", lab, code=6 if prod.backend == "mysql" else 3, **server)
    )
    states = {s["name"]: s["state"] for s in stands["schemas"]}
    assert states["ephys"] == ("interrupted" if prod.backend == "mysql" else "behind")
    shown = run("uv run my-pipeline --env prod migrate", lab, **server)
    assert every_schema_current(shown, version), shown
    mark = "`" if prod.backend == "mysql" else '"'
    steps = f"SELECT statement FROM {mark}ephys{mark}.{mark}~migration_step{mark} WHERE number > 0 ORDER BY number"
    assert [row[0] for row in prod.execute(steps)] == statements  # what was shown is what was run

    shown = run("uv run my-pipeline --env prod status", lab, **server)
    assert every_schema_current(shown, version), shown
    assert rows(lab, "sampling_rate", server) == before
    runs = json.loads(run("uv run my-pipeline --env prod log --json", lab, **server))["runs"]
    assert [(r["kind"], r["version"], r["code_commit"]) for r in runs if r["schema"] == "ephys"][-1] == (
        "migrate",
        version,
        commit,
    )

    # Months later.
    release(template, "v999.1.0")
    run("uvx copier update --defaults", lab)
    assert git(lab, "ls-files", "--unmerged") == ""
    changed = git(lab, "status", "--porcelain").split()[1::2]
    assert sorted(changed) == [".copier-answers.yml", "compose.yaml", "pyproject.toml"]
    assert 'tag = "v999.1.0"' in (lab / "pyproject.toml").read_text(encoding="utf-8")
    run("uv lock", lab)
    assert "tag=v999.1.0" in (lab / "uv.lock").read_text(encoding="utf-8")
    assert every_schema_current(run("uv run my-pipeline --env prod status", lab, **server), version)
    assert "Everything is in order." in run("uv run my-pipeline check", lab)
