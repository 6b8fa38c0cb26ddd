"""`copier update`: from every release, and from a changed template, to the present; what the lab wrote stays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from conftest import PRESENT, git
from options import matrix
from packaging.version import Version
from upgrading import OWNED, clone, commit, contents, crosses, sample, start, update

EARLIER = "v998.0.0"

#: What the update to 0.6 writes once, in the place of the management code; see tests of test_upgrade_to_library.py.
HANDED_ON = {"src/my_pipeline/__main__.py", "src/my_pipeline/manage/__init__.py"}

#: Pages that a project of an earlier release, or of other answers, does not have yet.
LATER_PAGES = {f"docs/{name}.md" for name in ("branching", "denied", "migrations", "monitoring", "recipes", "stores")}


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with its releases tagged, then a template that differs, then the working tree."""
    folder = clone(tmp_path_factory.mktemp("history") / "copier-datajoint")
    deploy = folder / "template" / "deploy"
    changes = [
        (deploy / "Dockerfile.jinja", "# A worker's image", "# In the earlier template, a worker's image"),
        (folder / "template" / "_parts" / "subject.py", "free text", "earlier text"),
        (folder / "template" / "docs" / "index.md.jinja", "# ", "# Earlier "),
        (folder / "docs" / "recipes.md", "# ", "# Earlier "),
        (folder / "template" / "access.toml.jinja", "# Who may do what", "# Earlier: who may do what"),
        (folder / "template" / "pyproject.toml.jinja", '"numpy>=1.26",', '"numpy>=1.25",'),
    ]
    for path, new, old in changes:
        text = path.read_text(encoding="utf-8")
        assert new in text, path
        path.write_text(text.replace(new, old, 1), encoding="utf-8")
    (deploy / "dropped.sh").write_text("# Only in the earlier template.\n", encoding="utf-8")
    commit(folder, EARLIER)
    for path, new, old in changes:
        path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    (deploy / "dropped.sh").unlink()
    commit(folder, PRESENT)
    return folder


@pytest.mark.parametrize("version", [*sample(), EARLIER])
def test_untouched_project_equals_a_fresh_one_but_for_what_the_lab_owns(
    history: Path, tmp_path: Path, version: str
) -> None:
    old = start(history, tmp_path / "old", version)
    before = contents(old)
    if crosses(version):
        refused = update(old)
        assert refused.returncode == 4 and "--trust" in refused.stderr
        assert contents(old) == before
    result = update(old, trust=crosses(version))
    assert result.returncode == 0, result.stderr
    assert git(old, "ls-files", "--unmerged") == ""
    told = {"default_environment": recorded(old)["default_environment"]}  # whose default is another one since v0.6.0
    fresh = contents(start(history, tmp_path / "fresh", PRESENT, **told))
    after = contents(old)
    handed_on = HANDED_ON if Version(version) < Version("0.6") else set()
    assert handed_on <= after.keys()
    for path in {*before, *after, *fresh} - handed_on:
        # The lab's as well, once it is there: a project of before gets one.
        once = path in ("access.toml", "workers.toml", *LATER_PAGES)
        if path in before if once else OWNED.fullmatch(path):
            assert after.get(path) == before.get(path), path
        else:
            assert after.get(path) == fresh.get(path), path
    assert pages(old) <= {path.removeprefix("docs/") for path in after if path.startswith("docs/")}


def test_page_that_a_project_did_not_have_comes_with_the_answer_that_asks_for_it(history: Path, tmp_path: Path) -> None:
    folder = start(history, tmp_path / "project", PRESENT)
    assert not (folder / "docs/stores.md").exists()
    copier.run_update(folder, data={"store": "s3"}, defaults=True, quiet=True, overwrite=True, vcs_ref=PRESENT)
    assert "stores.md" in pages(folder) and (folder / "docs/stores.md").is_file()


@pytest.mark.parametrize("mine", ["# Ours\n", None])
def test_page_that_the_lab_edited_or_deleted_stays_so(history: Path, tmp_path: Path, mine: str | None) -> None:
    folder = start(history, tmp_path / "project", EARLIER)
    page = folder / "docs/recipes.md"
    assert page.read_text(encoding="utf-8").startswith("# Earlier Recipes\n")
    page.unlink()
    if mine is not None:
        page.write_text(mine, encoding="utf-8")
    git(folder, "commit", "--quiet", "--all", "--message=mine")
    assert update(folder).returncode == 0
    assert (page.read_text(encoding="utf-8") if page.exists() else None) == mine
    assert not list(folder.glob("docs/*.rej"))


@pytest.mark.parametrize(
    ("name", "mine"),
    [("access.toml", '[people.ana]\nroles.prod = "viewer"\n'), ("workers.toml", "[classes.small]\ncpu = 2\n")],
)
def test_who_may_do_what_and_who_computes_what_is_the_labs(history: Path, tmp_path: Path, name: str, mine: str) -> None:
    """A changed template of such a file changes nothing in a project that has one."""
    folder = start(history, tmp_path / "project", EARLIER)
    (folder / name).write_text(mine, encoding="utf-8")
    git(folder, "add", name)
    git(folder, "commit", "--quiet", "--all", "--message=mine")
    assert update(folder).returncode == 0
    assert (folder / name).read_text(encoding="utf-8") == mine
    assert not list(folder.glob(f"{name}.*"))


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
    assert "In the earlier template" not in (folder / "deploy/Dockerfile").read_text(encoding="utf-8")
    assert not (folder / "deploy/dropped.sh").exists()
    merged = (folder / "pyproject.toml").read_text(encoding="utf-8")
    assert '"scipy",' in merged and '"numpy>=1.26",' in merged
    assert (folder / ".secrets" / "database.password").read_text(encoding="utf-8") == "hush\n"
    assert (folder / ".local" / "data").read_text(encoding="utf-8") == "rows\n"


def test_conflict_is_in_plain_sight(history: Path, tmp_path: Path) -> None:
    folder = start(history, tmp_path / "project", EARLIER)
    image = folder / "deploy/Dockerfile"
    text = image.read_text(encoding="utf-8").replace("In the earlier template, a worker", "In my own words, a worker")
    image.write_text(text, encoding="utf-8")
    git(folder, "commit", "--quiet", "--all", "--message=Mine")
    assert update(folder).returncode == 0
    assert "deploy/Dockerfile" in git(folder, "ls-files", "--unmerged")
    assert "<<<<<<<" in image.read_text(encoding="utf-8") and "In my own words" in image.read_text(encoding="utf-8")


def test_other_answer_brings_what_follows_from_it(history: Path, tmp_path: Path) -> None:
    folder = start(history, tmp_path / "project", PRESENT)
    copier.run_update(folder, data={"ci": "gitlab"}, defaults=True, quiet=True, overwrite=True, vcs_ref=PRESENT)
    assert (folder / ".gitlab-ci.yml").exists() and not (folder / ".github").exists()


@pytest.mark.parametrize("version", sample())
def test_answers_stay_what_they_were(history: Path, tmp_path: Path, version: str) -> None:
    """A validator that became stricter would put the default in the place of an answer, and say nothing."""
    questions = yaml.safe_load(git(history, "show", f"{version}:copier.yml"))
    for number, answers in enumerate(matrix()[sample().index(version) :: len(sample())]):
        if "store_secure" in questions and "store_endpoint" in answers:  # two answers until v0.5.0
            scheme, _, host = answers["store_endpoint"].partition("://")
            answers = {**answers, "store_endpoint": host, "store_secure": scheme == "https"}
        known = {name: value for name, value in answers.items() if takes(questions.get(name), value)}
        old = start(history, tmp_path / f"old{number}", version, **known)
        before = recorded(old)
        assert update(old, trust=crosses(version)).returncode == 0
        after = recorded(old)
        if "store_secure" in before:
            scheme = "https" if before.pop("store_secure") else "http"
            before["store_endpoint"] = f"{scheme}://{before['store_endpoint']}"
        told = {name: value for name, value in before.items() if not name.startswith("_")}
        assert told == {name: after.get(name) for name in told}
        fresh = start(history, tmp_path / f"fresh{number}", PRESENT, **{n: v for n, v in after.items() if n[0] != "_"})
        assert recorded(fresh) == after | {"_src_path": recorded(fresh)["_src_path"]}


def takes(question: Mapping[str, Any] | None, value: object) -> bool:
    """Tell whether a release asks that, and has the answer among its choices."""
    choices = question.get("choices") if question is not None else ()
    known = choices.values() if isinstance(choices, dict) else choices
    return question is not None and (isinstance(known, str) or not known or value in known)


def pages(folder: Path) -> set[str]:
    """The pages that the docs site of a project leads to."""
    navigation = yaml.safe_load((folder / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    return {page if isinstance(page, str) else next(iter(page.values())) for page in navigation}


def recorded(folder: Path) -> dict[str, object]:
    return yaml.safe_load((folder / ".copier-answers.yml").read_text(encoding="utf-8"))


def test_schema_that_is_taken_out_of_the_answers_keeps_its_module(history: Path, tmp_path: Path) -> None:
    folder = start(history, tmp_path / "project", EARLIER)
    before = contents(folder)
    copier.run_update(
        folder, data={"schemas": [{"name": "subject"}]}, defaults=True, quiet=True, overwrite=True, vcs_ref=PRESENT
    )
    after = contents(folder)
    assert [path for path in before if path not in after] == ["deploy/dropped.sh"]
    assert after["src/my_pipeline/imaging.py"] == before["src/my_pipeline/imaging.py"]
