"""`copier update`: from every release, and from a changed template, to the present; what the lab wrote stays."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import copier
import pytest
from conftest import PARTS, PRESENT, ROOT, git

EARLIER = "v998.0.0"


def releases() -> dict[str, str]:
    """Commit of each release by its version, from the subjects `Release vX.Y.Z` on main."""
    log = git(ROOT, "log", "--format=%H %s")
    return {version: commit for commit, version in re.findall(r"^(\w+) Release (v\d+\.\d+\.\d+)$", log, re.MULTILINE)}


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with its releases tagged, then a template that differs, then the working tree."""
    folder = tmp_path_factory.mktemp("history") / "copier-datajoint"
    git(ROOT, "clone", "--quiet", "--no-local", str(ROOT), str(folder))
    for tag in git(folder, "tag").split():
        git(folder, "tag", "--delete", tag)
    for version, released in releases().items():
        git(folder, "tag", version, released)
    for part in PARTS:
        shutil.rmtree(folder / part, ignore_errors=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        elif (ROOT / part).exists():
            shutil.copy(ROOT / part, folder / part)
    manage = folder / "template" / "src" / "{{ package_name }}" / "manage"
    changes = [
        (manage / "errors.py", '"""What this package says', '"""In the earlier template, what this package says'),
        (folder / "template" / "_parts" / "subject.py", "free text", "earlier text"),
        (folder / "template" / "docs" / "index.md.jinja", "# ", "# Earlier "),
        (folder / "template" / "pyproject.toml.jinja", '"rich>=13",', '"rich>=12",'),
    ]
    for path, new, old in changes:
        text = path.read_text(encoding="utf-8")
        assert new in text, path
        path.write_text(text.replace(new, old, 1), encoding="utf-8")
    (manage / "dropped.py").write_text('"""Only in the earlier template."""\n', encoding="utf-8")
    commit(folder, EARLIER)
    for path, new, old in changes:
        path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    (manage / "dropped.py").unlink()
    commit(folder, PRESENT)
    return folder


def commit(folder: Path, tag: str) -> None:
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--allow-empty", f"--message={tag}")
    git(folder, "tag", tag)


def start(history: Path, folder: Path, version: str) -> Path:
    copier.run_copy(str(history), folder, defaults=True, quiet=True, vcs_ref=version)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=Start")
    return folder


def update(folder: Path) -> subprocess.CompletedProcess[str]:
    """By the command line, without --trust."""
    command = [sys.executable, "-m", "copier", "update", "--defaults", "--quiet", f"--vcs-ref={PRESENT}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def contents(folder: Path) -> dict[str, bytes]:
    tracked = git(folder, "ls-files", "--cached", "--others", "--exclude-standard").split("\n")
    return {path: (folder / path).read_bytes() for path in tracked if path and (folder / path).exists()}


#: What the lab owns from the moment it is generated.
OWNED = re.compile(r"README\.md|LICENSE|docs/.*|tests/test_.*|src/[^/]+/[^/]+\.py|src/[^/]+/(utils|migrations)/.*")


@pytest.mark.parametrize("version", [*releases(), EARLIER])
def test_untouched_project_equals_a_fresh_one_but_for_what_the_lab_owns(
    history: Path, tmp_path: Path, version: str
) -> None:
    old = start(history, tmp_path / "old", version)
    before = contents(old)
    result = update(old)
    assert result.returncode == 0, result.stderr
    fresh = contents(start(history, tmp_path / "fresh", PRESENT))
    after = contents(old)
    for path in {*before, *after, *fresh}:
        if OWNED.fullmatch(path):
            assert after.get(path) == before.get(path), path
        else:
            assert after.get(path) == fresh.get(path), path


def test_what_people_did_stays(history: Path, tmp_path: Path) -> None:
    folder = start(history, tmp_path / "project", EARLIER)
    (folder / "src/my_pipeline/subject.py").write_text("mine = True\n", encoding="utf-8")
    (folder / "src/my_pipeline/imaging.py").unlink()
    (folder / "tests/test_session.py").unlink()
    (folder / "src/my_pipeline/extra.py").write_text("extra = True\n", encoding="utf-8")
    project = (folder / "pyproject.toml").read_text(encoding="utf-8")
    added = project.replace("dependencies = [\n", 'dependencies = [\n    "scipy",\n', 1)
    (folder / "pyproject.toml").write_text(added, encoding="utf-8")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=Mine")
    (folder / ".secrets" / "database.password").write_text("hush\n", encoding="utf-8")
    (folder / ".local").mkdir()
    (folder / ".local" / "data").write_text("rows\n", encoding="utf-8")
    result = update(folder)
    assert result.returncode == 0, result.stderr
    assert git(folder, "ls-files", "--unmerged") == ""
    assert (folder / "src/my_pipeline/subject.py").read_text(encoding="utf-8") == "mine = True\n"
    assert not (folder / "src/my_pipeline/imaging.py").exists()
    assert not (folder / "tests/test_session.py").exists()
    assert (folder / "src/my_pipeline/extra.py").exists()
    assert "Earlier" in (folder / "docs/index.md").read_text(encoding="utf-8")
    assert "In the earlier template" not in (folder / "src/my_pipeline/manage/errors.py").read_text(encoding="utf-8")
    assert not (folder / "src/my_pipeline/manage/dropped.py").exists()
    merged = (folder / "pyproject.toml").read_text(encoding="utf-8")
    assert '"scipy",' in merged and '"rich>=13",' in merged
    assert (folder / ".secrets" / "database.password").read_text(encoding="utf-8") == "hush\n"
    assert (folder / ".local" / "data").read_text(encoding="utf-8") == "rows\n"


def test_conflict_is_in_plain_sight(history: Path, tmp_path: Path) -> None:
    folder = start(history, tmp_path / "project", EARLIER)
    errors = folder / "src/my_pipeline/manage/errors.py"
    text = errors.read_text(encoding="utf-8").replace("In the earlier template, what", "In my own words, what")
    errors.write_text(text, encoding="utf-8")
    git(folder, "commit", "--quiet", "--all", "--message=Mine")
    assert update(folder).returncode == 0
    assert "src/my_pipeline/manage/errors.py" in git(folder, "ls-files", "--unmerged")
    assert "<<<<<<<" in errors.read_text(encoding="utf-8") and "In my own words" in errors.read_text(encoding="utf-8")


def test_other_answer_brings_what_follows_from_it(history: Path, tmp_path: Path) -> None:
    folder = start(history, tmp_path / "project", PRESENT)
    copier.run_update(folder, data={"ci": "gitlab"}, defaults=True, quiet=True, overwrite=True, vcs_ref=PRESENT)
    assert (folder / ".gitlab-ci.yml").exists() and not (folder / ".github").exists()
