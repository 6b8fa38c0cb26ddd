"""Commands of pages, as they stand there: installing without uv or without a network, an update, an adoption."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import adopting
import pytest
from conftest import ROOT, git
from documented import commands
from test_day import every_schema_current, release, run
from test_story import shell

pytestmark = pytest.mark.skipif(shutil.which("uv") is None, reason="the pages ask for uv")

#: Who commits, where a page says so.
ME = {
    f"GIT_{who}_{what}": text
    for who in ("AUTHOR", "COMMITTER")
    for what, text in (("NAME", "Ada"), ("EMAIL", "ada@example.org"))
}


@pytest.fixture
def lab(tmp_path: Path, render: Callable[..., Path]) -> Iterator[Path]:
    """A project that was just copied; its server is stopped in the end."""
    folder = render(tmp_path / "my_pipeline")
    yield folder
    if (folder / ".venv").exists():
        shell(".venv/bin/my-pipeline local stop", folder)


def getting_started(lab: Path, title: str) -> list[str]:
    return commands(lab / "docs" / "getting-started.md", title)


def test_a_database_of_ones_own(lab: Path) -> None:
    start, work, demo, *_ = getting_started(lab, "A database of your own")
    run(start, lab, **ME)
    shown = run(work, lab)
    assert every_schema_current(shown, "1.0.0") and re.search(r"\d+ passed", shown)
    assert "M001" in run(demo, lab)
    (compile_all,) = getting_started(lab, "Slow commands")
    run(compile_all, lab)
    (library,) = (lab / ".venv").glob("lib/python*/site-packages/datajoint/__pycache__")
    assert list(library.glob("schemas.*.pyc"))


def test_pip_installs_a_project(lab: Path) -> None:
    (install,) = getting_started(lab, "With pip")
    assert every_schema_current(run(install, lab), "1.0.0")
    assert re.search(r"\d+ passed", run(".venv/bin/python -m pytest -q", lab))


def test_without_a_network_a_folder_of_wheels_is_enough(lab: Path, tmp_path: Path) -> None:
    collect, with_pip, with_uv = getting_started(lab, "Without a network")
    run("uv lock", lab)  # as the first command of a project has done
    run(collect, lab)
    shutil.rmtree(lab / ".venv", ignore_errors=True)
    nowhere = {"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1", "UV_OFFLINE": "1"}
    nowhere["UV_CACHE_DIR"] = str(tmp_path / "empty")  # what was fetched before is on another machine
    run(with_pip, lab, **nowhere)
    assert "Keep the pipeline" in run(".venv/bin/my-pipeline --help", lab, **nowhere)
    shutil.rmtree(lab / ".venv")
    assert every_schema_current(run(with_uv, lab, **nowhere), "1.0.0")
    git(lab, "init", "--quiet")
    git(lab, "add", "--all")
    assert not git(lab, "ls-files", "wheels")


@pytest.fixture
def newer(template: Path, lab: Path, tmp_path: Path) -> Path:
    """A project in a repository of its own, of a template that has had a release since."""
    git(tmp_path, "clone", "--quiet", str(template), "template")
    for path in (".copier-answers.yml", "pyproject.toml"):
        text = (lab / path).read_text(encoding="utf-8")
        (lab / path).write_text(text.replace(str(template), str(tmp_path / "template")), encoding="utf-8")
    git(lab, "init", "--quiet", "--initial-branch=main")
    git(lab, "add", "--all")
    git(lab, "commit", "--quiet", "--message=Start")
    release(tmp_path / "template", "v999.1.0")
    return lab


def updating(lab: Path, title: str) -> list[str]:
    return commands(lab / "docs" / "updating.md", title)


def test_an_update_step_by_step(newer: Path) -> None:
    by_hand, script = updating(newer, "Updating")
    shown = run(by_hand.replace("uvx copier check-update\n", "uvx copier check-update || test $? = 2\n"), newer, **ME)
    assert "+# of a newer template" in shown and re.search(r"\d+ passed", shown)
    assert "tag=v999.1.0" in (newer / "uv.lock").read_text(encoding="utf-8")
    assert (
        git(newer, "status", "--porcelain") == "" and git(newer, "log", "-1", "--format=%s") == "Update the template\n"
    )
    assert "up to date" in run(script, newer)
    (answer,) = updating(newer, "Other answers")
    run(answer, newer)
    assert "python_version: '3.12'" in git(newer, "diff", ".copier-answers.yml")


def test_an_update_that_meets_an_edit_is_shown_and_given_up(newer: Path) -> None:
    path = newer / "compose.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("services:\n", "# ours\nservices:\n"), encoding="utf-8")
    git(newer, "commit", "--quiet", "--all", "--message=Ours")
    (update,) = commands(ROOT / "docs" / "updating.md", "Updating a project")
    look, again, give_up = updating(newer, "Conflicts")
    run(update, newer)
    assert "before updating" in path.read_text(encoding="utf-8")
    found = shell(look, newer)
    assert found.returncode == 2 and "compose.yaml" in found.stdout and "conflict marker" in found.stdout
    run(give_up, newer)
    assert git(newer, "status", "--porcelain") == "" and "# ours" in path.read_text(encoding="utf-8")
    run(again, newer)
    assert (newer / "compose.yaml.rej").exists() and "# of a newer" in path.read_text(encoding="utf-8")
    run(give_up, newer)
    assert git(newer, "status", "--porcelain") == ""


def test_an_adoption_begins_with_two_commands(template: Path, tmp_path: Path) -> None:
    (block,) = commands(ROOT / "docs" / "adopting.md", "Adopting a pipeline that exists")
    report, copy = block.strip().splitlines()
    lab = adopting.write(tmp_path / "odours", adopting.LEGACY)
    address = "https://github.com/OWNER/copier-datajoint"
    reported = shell(report.replace(address, f"file://{template}"), lab)
    assert reported.returncode == 3 and re.search(r"^\s+\S+\.py:\d+", reported.stdout, re.MULTILINE), reported
    assert git(lab, "status", "--porcelain") == ""
    run(copy.replace(address, f"git+file://{template}").replace("copier copy", "copier copy --defaults"), lab)
    assert "docs/adopting.md" in git(lab, "status", "--porcelain", "--untracked-files=all")
    assert git(lab, "diff", "--stat") == ""
