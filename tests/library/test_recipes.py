"""The page of recipes: every edit is made, every command is run, and shows what the page says that it shows."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import documented
import pytest
from conftest import ROOT, Project, Server, git

RECIPES = documented.sections(ROOT / "docs" / "recipes.md")

#: What `demo` does, on another server.
SAMPLE = """
import datetime
from my_pipeline import subject, session, ephys, imaging, analysis

key = {"subject_id": "M001", "session_id": 1}
subject.Subject.insert1({"subject_id": "M001"})
session.Session.insert1({**key, "session_start": datetime.datetime(2026, 1, 2)})
for table in (ephys.Recording, imaging.Scan, analysis.MultiModalAnalysis):
    table.populate()
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Path:
    """A new project with its sample rows, in git, whose server is stopped."""
    folder = tmp_path_factory.mktemp("recipes") / "shown"
    project = Project(render(folder), environment={"MY_PIPELINE_ENV": "local"})
    for command in ("init", "demo"):
        result = project.run(command)
        assert result.code == 0, result.err
    project.run("local", "stop")
    save(folder)
    return folder


@pytest.fixture(params=["mysql", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


def save(folder: Path) -> None:
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=Start")


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_does_and_shows_what_it_says(title: str, shown: Path, tmp_path: Path) -> None:
    # cp, since the server's files may belong to another account.
    subprocess.run(["cp", "-a", shown, tmp_path / "own"], check=True)
    project = Project(tmp_path / "own", environment={"MY_PIPELINE_ENV": "local"})
    try:
        assert documented.played(RECIPES[title], project) == RECIPES[title]
    finally:
        project.run("local", "stop")


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_does_the_same_on_the_labs_server(
    title: str, server: Server, tmp_path: Path, render: Callable[..., Path]
) -> None:
    environment = {"MY_PIPELINE_ENV": "dev", **server.variables}
    project = Project(render(tmp_path / "own", backend=server.backend), environment=environment)
    (tmp_path / "store").mkdir()
    recipe = (
        RECIPES[title]
        .replace("/data/my_pipeline", str(tmp_path / "store"))
        .replace("backups/local-", "backups/dev-")
        .replace("--env local restore local-", "--env dev restore dev-")
    )
    databases = [f"dev_{schema}" for schema in ("analysis", "imaging", "ephys", "session", "subject")]
    server.drop(*databases)
    try:
        for arguments in (["-m", "my_pipeline", "init"], ["-c", SAMPLE]):
            result = project.python(*arguments)
            assert result.code == 0, result.err
        save(project.folder)
        assert anywhere(documented.played(recipe, project)) == anywhere(recipe)
    finally:
        server.drop(*databases)


def anywhere(recipe: str) -> str:
    """A recipe without what the page says is another on each server: names, numbers of steps, SQL."""
    text = re.sub(r"^(local|dev) on .*$", "dev on the lab's server", recipe, flags=re.MULTILINE)
    text = re.sub(r"\bdev_(?=\w)|\d+ steps? done| +\d+ KiB|(?<=not applied to ).*(?=; other)", "", text)
    text = re.sub(r"^(  \d+  .*|     .*|While the tables change they are locked .*)\n", "", text, flags=re.MULTILINE)
    return "\n".join(" ".join(line.split()) for line in text.splitlines())
