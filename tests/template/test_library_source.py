"""Where a project's library comes from: what the template was copied from, named so that uv and pip find it there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from conftest import ROOT, git
from copier._jinja_ext import CopierTemplateLoader
from jinja2.sandbox import SandboxedEnvironment

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RELEASE = "v999.0.0"


def copy(source: Path | str, folder: Path, ref: str | None = None) -> dict[str, Any]:
    """Copy the template; what the project's pyproject.toml says of the library's source."""
    copier.run_copy(str(source), folder, defaults=True, quiet=True, vcs_ref=ref)
    return source_of(folder)


def source_of(folder: Path) -> dict[str, Any]:
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    found: dict[str, Any] = project["tool"]["uv"]["sources"]["datajoint-pipeline"]
    return found


def answers(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / ".copier-answers.yml").read_text(encoding="utf-8"))
    return found


def lock(folder: Path) -> str:
    """Have uv fetch the library and lock the project; what the lock file says of the source."""
    done = subprocess.run(["uv", "lock", "--quiet"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    packages = tomllib.loads((folder / "uv.lock").read_text(encoding="utf-8"))["package"]
    return str(next(package["source"] for package in packages if package["name"] == "datajoint-pipeline"))


@pytest.fixture
def clone(template: Path, tmp_path: Path) -> Path:
    """A clone of the template, in a folder with odd characters in its path."""
    git(tmp_path, "clone", "--quiet", str(template), "clone of ü 100%#1")
    return tmp_path / "clone of ü 100%#1"


def test_a_release_is_named_by_its_tag(clone: Path, tmp_path: Path) -> None:
    found = copy(clone, tmp_path / "project")
    address = f"file://{tmp_path}/clone%20of%20%C3%BC%20100%25%231"
    assert found == {"git": address, "tag": RELEASE}
    assert f"{address}?tag={RELEASE}#{git(clone, 'rev-parse', 'HEAD').strip()}" in lock(tmp_path / "project")


def test_a_commit_after_a_release_is_named_by_its_hash(clone: Path, tmp_path: Path) -> None:
    git(clone, "commit", "--quiet", "--allow-empty", "--message=Later")
    found = copy(clone, tmp_path / "project", ref="HEAD")
    assert found["rev"] == git(clone, "rev-parse", "HEAD").strip()
    assert found["rev"] in lock(tmp_path / "project")


def test_without_a_tag_a_commit_is_named_by_its_hash(clone: Path, tmp_path: Path) -> None:
    git(clone, "tag", "--delete", RELEASE)
    assert copy(clone, tmp_path / "project")["rev"] == git(clone, "rev-parse", "HEAD").strip()
    lock(tmp_path / "project")


def test_what_nobody_committed_is_named_by_its_folder(clone: Path, tmp_path: Path) -> None:
    (clone / "src" / "datajoint_pipeline" / "new.py").write_text("", encoding="utf-8")
    found = copy(clone, tmp_path / "project", ref="HEAD")
    assert found == {"path": str(clone)}
    assert str(clone.name) in lock(tmp_path / "project")
    # A release is what it was, whatever else is in the folder.
    assert copy(clone, tmp_path / "release", ref=RELEASE)["tag"] == RELEASE


def test_a_folder_that_is_no_repository_is_named_by_its_path(clone: Path, tmp_path: Path) -> None:
    shutil.rmtree(clone / ".git")
    assert copy(clone, tmp_path / "project") == {"path": str(clone)}
    lock(tmp_path / "project")


def test_in_a_shallow_clone_a_release_is_named_by_its_hash(template: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{template}", "shallow")
    with pytest.warns(match="shallow"):
        found = copy(tmp_path / "shallow", tmp_path / "project")
    assert found["rev"] == git(template, "rev-parse", "HEAD").strip()
    lock(tmp_path / "project")


def test_a_relative_path_is_recorded_as_an_absolute_one(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = copy(clone.name, tmp_path / "project")
    assert found["git"].startswith(f"file://{tmp_path}/clone")
    assert answers(tmp_path / "project")["_src_path"] == str(clone)


def test_an_address_of_a_folder_is_as_good_as_its_path(template: Path, tmp_path: Path) -> None:
    found = copy(f"git+file://{template}", tmp_path / "project")
    assert found == {"git": f"file://{template}", "tag": RELEASE}
    lock(tmp_path / "project")


def test_an_update_names_the_new_release_and_keeps_a_name_that_has_been_taken_since(
    clone: Path, tmp_path: Path
) -> None:
    questions = (clone / "copier.yml").read_text(encoding="utf-8")
    now = "else ' datajoint_pipeline pipeline'"
    assert now in questions
    (clone / "copier.yml").write_text(questions.replace(now, "else ''"), encoding="utf-8")
    git(clone, "commit", "--quiet", "--all", "--message=Earlier")
    git(clone, "tag", "v999.0.1")
    project = tmp_path / "project"
    copier.run_copy(str(clone), project, data={"schemas": [{"name": "pipeline"}]}, defaults=True, quiet=True)
    assert source_of(project)["tag"] == "v999.0.1"
    git(project, "init", "--quiet")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message=Start")
    (clone / "copier.yml").write_text(questions, encoding="utf-8")
    git(clone, "commit", "--quiet", "--all", "--message=Later")
    git(clone, "tag", "v999.0.2")
    copier.run_update(project, defaults=True, quiet=True, overwrite=True)
    assert source_of(project) == {"git": f"file://{tmp_path}/clone%20of%20%C3%BC%20100%25%231", "tag": "v999.0.2"}
    assert answers(project)["schemas"] == [{"name": "pipeline"}]
    assert git(project, "status", "--short", "src") == ""


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("gh:lab/template", "https://github.com/lab/template"),
        ("gl:lab/template.git", "https://gitlab.com/lab/template.git"),
        ("https://github.com/lab/template", "https://github.com/lab/template"),
        ("git+https://git.example.org/lab/template", "https://git.example.org/lab/template"),
        ("https://user:secret@git.example.org/lab/template.git", "https://git.example.org/lab/template.git"),
        ("git@github.com:lab/template.git", "ssh://git@github.com/lab/template.git"),
        ("me@server:repositories/template.git", "ssh://me@server/~/repositories/template.git"),
        ("me@server:/srv/template.git", "ssh://me@server/srv/template.git"),
        ("git+ssh://git@git.example.org:22/lab/template.git", "ssh://git@git.example.org:22/lab/template.git"),
    ],
)
def test_every_address_that_copier_takes_becomes_one_that_uv_and_pip_take(
    source: str, address: str, tmp_path: Path
) -> None:
    # Without the .git of this repository, in which the part would look for what Copier leaves in its clone.
    shutil.copytree(ROOT / "template" / "_parts", tmp_path / "template" / "_parts")
    environment = SandboxedEnvironment(
        loader=CopierTemplateLoader(tmp_path), extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"]
    )
    part = environment.from_string(
        "{% from 'template/_parts/library.jinja' import library, requirement with context %}"
        "{{ library.git }} {{ library.path }} {{ library.source }} {{ requirement }}"
    )
    said = part.render(_copier_answers={"_src_path": source, "_commit": "v1.2.3"}, _copier_conf={"vcs_ref_hash": "abc"})
    assert said == f"{address}  {source} git+{address}@v1.2.3"
