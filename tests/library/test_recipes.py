"""The page of recipes: every edit is made, every command is run, and shows what the page says that it shows."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import documented
import pytest
from conftest import ROOT, Project, git

RECIPES = documented.sections(ROOT / "docs" / "recipes.md")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Path:
    """A new project with its sample rows, in git, whose server is stopped."""
    folder = tmp_path_factory.mktemp("recipes") / "shown"
    project = Project(render(folder), environment={"MY_PIPELINE_ENV": "local"})
    for command in ("init", "demo"):
        result = project.run(command)
        assert result.code == 0, result.err
    project.run("local", "stop")
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=Start")
    return folder


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_does_and_shows_what_it_says(title: str, shown: Path, tmp_path: Path) -> None:
    # cp, since the server's files may belong to another account.
    subprocess.run(["cp", "-a", shown, tmp_path / "own"], check=True)
    project = Project(tmp_path / "own", environment={"MY_PIPELINE_ENV": "local"})
    try:
        assert documented.played(RECIPES[title], project) == RECIPES[title]
    finally:
        project.run("local", "stop")
