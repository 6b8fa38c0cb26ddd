"""`demo` shows a new project at work, and refuses in words where a lab has made another pipeline of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Project
from living import is_sentence, ok

NONE = {"subject.Subject": 0, "session.Session": 0, "ephys.Recording": 0, "imaging.Scan": 0}
NONE |= {"analysis.MultiModalAnalysis": 0}


@contextmanager
def stopping(project: Project) -> Iterator[Project]:
    """A project whose embedded server, where one was started, is stopped at the end."""
    try:
        yield project
    finally:
        if (project.folder / ".local/pg").exists():
            project.run("local", "stop")


def refused(project: Project, *words: str) -> None:
    """The demo refuses in three lines that have some words."""
    result = project.run("--env", "local", "demo")
    is_sentence(result)
    assert "This pipeline is not the one that demo is for." in result.err
    for word in words:
        assert word in result.err, result.err


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Iterator[Project]:
    """A project of other names, whose values are in a store."""
    folder = tmp_path_factory.mktemp("demo") / "brain"
    answers = {"project_name": "Brain-Lab", "package_name": "brain", "schema_prefix": "lab_", "store": "file"}
    with stopping(Project(render(folder, backend="postgresql", **answers), "brain")) as project:
        ok(project, "--env", "local", "init")
        yield project


def test_sample_is_entered_once_and_shown_each_time(other: Project) -> None:
    first = ok(other, "--env", "local", "demo", "--json").json
    assert {**first["entered"], **first["computed"]} == dict.fromkeys(NONE, 1)
    (row,) = first["rows"]
    assert (row["subject_id"], row["session_id"], row["lag"]) == ("M001", 1, pytest.approx(0.4))
    assert row["correlation"] > 0.9
    again = ok(other, "--env", "local", "demo", "--json").json
    assert {**again["entered"], **again["computed"]} == NONE
    assert again["rows"] == first["rows"]
    assert again["page"] == ".local/progress.html"
    page = other.read(again["page"])
    assert "1 / 1" in page.partition('id="t-analysis.MultiModalAnalysis"')[2].partition("</div>")[0]
    shown = ok(other, "--env", "local", "demo").out
    assert ".local/progress.html" in shown
    assert "nothing was changed" in shown and "fluorescence follows firing" in shown and "0.4 " in shown


def test_rows_of_the_lab_stay_as_they_are(other: Project) -> None:
    """A second session of the lab's own is neither computed nor shown."""
    code = (
        "import datetime\nfrom brain import session, subject\n"
        "subject.Subject.insert1({'subject_id': 'M7'}, skip_duplicates=True)\n"
        "session.Session.insert1({'subject_id': 'M7', 'session_id': 1, 'session_start': datetime.datetime(2026, 5, 4)})"
    )
    assert other.python("-c", code, BRAIN_ENV="local").code == 0
    rows = ok(other, "--env", "local", "demo", "--json").json["rows"]
    assert [row["subject_id"] for row in rows] == ["M001"]


def test_other_environments_are_refused(other: Project) -> None:
    for name in ("dev", "prod"):
        result = other.run("--env", name, "demo")
        is_sentence(result)
        assert f"not on {name}" in result.err and "--env local demo" in result.err


def test_renamed_table_is_named(other: Project) -> None:
    other.replace(other.module("imaging"), "class Scan", "class Movie")
    other.replace(other.module("analysis"), "imaging.Scan", "imaging.Movie")
    try:
        refused(other, "imaging", "Scan")
    finally:
        other.replace(other.module("imaging"), "class Movie", "class Scan")
        other.replace(other.module("analysis"), "imaging.Movie", "imaging.Scan")


def test_error_of_a_make_is_a_sentence(other: Project) -> None:
    """Not a traceback: what stopped, what it said, and where to look."""
    ok(other, "--env", "local", "demo")
    delete = "from brain import imaging\nimaging.Scan.delete(prompt=False)"
    assert other.python("-c", delete, BRAIN_ENV="local").code == 0
    other.replace(
        other.module("imaging"), "times, cells = ", "raise ValueError('no \\x1b[31m light')\n        times, cells = "
    )
    try:
        result = other.run("--env", "local", "demo")
        is_sentence(result)
        assert "stopped at imaging.Scan" in result.err and "ValueError" in result.err
        assert "src/brain/imaging.py" in result.err and "\x1b" not in result.err
    finally:
        other.replace(other.module("imaging"), "raise ValueError('no \\x1b[31m light')\n        ", "")
    computed = ok(other, "--env", "local", "demo", "--json").json["computed"]
    assert computed == {"ephys.Recording": 0, "imaging.Scan": 1, "analysis.MultiModalAnalysis": 1}


def test_missing_sample_is_named(other: Project) -> None:
    sample = other.folder / "src/brain/utils/sample"
    sample.rename(sample.with_name("elsewhere"))
    try:
        refused(other, "There is no sample in src/brain/utils/sample.")
    finally:
        sample.with_name("elsewhere").rename(sample)


def test_other_graphs_are_refused_before_anything_is_started(tmp_path: Path, render: Callable[..., Path]) -> None:
    subset = [{"name": "subject"}, {"name": "session", "depends": ["subject"]}]
    unlike = [{"name": "subject"}, {"name": "rig", "depends": ["subject"]}]
    for number, schemas in enumerate((subset, unlike)):
        folder = render(tmp_path / str(number), schemas=json.dumps(schemas))
        with stopping(Project(folder)) as project:
            refused(project, "It has no schema")
            assert not (folder / ".local/pg").exists()
            for page in ("README.md", "docs/getting-started.md"):
                assert "demo" not in project.read(page)


def test_attribute_that_the_sample_lacks_is_named(project: Project) -> None:
    project.replace(project.module("session"), "    session_start", "    rig : varchar(8)\n    session_start")
    ok(project, "--env", "local", "init")
    refused(project, "session.Session asks for rig")
    code = "from my_pipeline import subject\nprint('rows:', len(subject.Subject()))"
    assert "rows: 0" in project.python("-c", code, MY_PIPELINE_ENV="local").out
