"""Staying current: what CI does once a week, what `check` says of edited files and conflicts, and docs/updating.md."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
from conftest import PRESENT, ROOT, Project, git, terminal
from upgrading import OWNED, clone, commit, contents, releases, save, start

from datajoint_pipeline.project import template

pytestmark = pytest.mark.skipif(shutil.which("uv") is None, reason="an update begins with uv on PATH")

EARLIER = "v998.0.0"


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A template, and one that is newer in three files."""
    folder = clone(tmp_path_factory.mktemp("history") / "copier-datajoint")
    compose = folder / "template" / "compose.yaml.jinja"
    text = compose.read_text(encoding="utf-8")
    compose.write_text(text.replace("services:\n", "# earlier\nservices:\n", 1), encoding="utf-8")
    commit(folder, EARLIER)
    compose.write_text(text, encoding="utf-8")
    commit(folder, PRESENT)
    return folder


@pytest.fixture
def project(history: Path, tmp_path: Path) -> Project:
    own = Project(start(history, tmp_path / "my_pipeline", EARLIER))
    git(own.folder, "config", "user.name", "Tester")
    git(own.folder, "config", "user.email", "tester@example.org")
    return own


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-uc", command], cwd=folder, env=terminal(), capture_output=True, text=True, timeout=600, check=False
    )


SCRIPT = "bash deploy/update-template.sh"


def test_newer_template_is_committed_to_a_branch(project: Project) -> None:
    began = git(project.folder, "branch", "--show-current")
    done = shell(SCRIPT, project.folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert git(project.folder, "branch", "--show-current") == "template-update\n" != began
    assert git(project.folder, "log", "-1", "--format=%s") == f"Update the template to {PRESENT}\n"
    assert git(project.folder, "status", "--porcelain") == ""
    assert "# earlier" not in project.read("compose.yaml")
    again = shell(SCRIPT, project.folder)
    assert again.returncode == 0 and again.stdout == "The template is up to date.\n", again.stderr


def test_conflict_fails_and_names_the_file(project: Project) -> None:
    project.replace("compose.yaml", "# earlier\n", "# ours\n")
    save(project.folder)
    done = shell(SCRIPT, project.folder)
    assert done.returncode == 1
    assert "What you changed and what the template changed meet in:\ncompose.yaml\n" in done.stderr


def test_template_out_of_reach_fails_in_words(project: Project) -> None:
    project.write(
        ".copier-answers.yml",
        re.sub(r"(?m)^_src_path: .*", "_src_path: /nowhere/at/all", project.read(".copier-answers.yml")),
    )
    save(project.folder)
    done = shell(SCRIPT, project.folder)
    assert done.returncode == 1 and "The template could not be asked" in done.stderr
    assert git(project.folder, "branch", "--show-current") != "template-update\n"


def test_update_across_a_migration_is_left_to_a_person(history: Path, tmp_path: Path) -> None:
    own = start(history, tmp_path / "my_pipeline", "v0.4.1")
    (own / "deploy" / "update-template.sh").write_text(
        (ROOT / "template" / "deploy" / "update-template.sh").read_text(encoding="utf-8"), encoding="utf-8"
    )
    save(own)
    done = shell(SCRIPT, own)
    assert done.returncode == 1 and "uvx copier update --defaults --trust" in done.stderr, done.stderr


#: The tests' template is a folder of this machine, and its tags are none of the library's versions.
OF_TESTS = {"library-version", "library-address"}


def notes(project: Project) -> list[dict[str, str]]:
    """What `check` notes, which finds nothing else."""
    done = project.run("check", "--json")
    assert done.code == 0 and done.json["findings"] == [], done.out + done.err
    found: list[dict[str, str]] = done.json["notes"]
    return found


def test_check_notes_a_library_of_another_version_or_of_this_machine_alone(project: Project) -> None:
    try:
        found = {note["id"]: note["what"] for note in notes(project)}
        assert found.keys() == OF_TESTS
        assert found["library-version"] == (
            f"The template of this project is 998.0.0, and the library that runs is {version('datajoint-pipeline')}."
        )
        assert found["library-address"].startswith("The library comes from file://")
        source = re.compile(r"^datajoint-pipeline = .*$", re.MULTILINE)
        remote = 'datajoint-pipeline = { git = "https://example.org/copier-datajoint", tag = "v0.6.0" }'
        project.write("pyproject.toml", source.sub(remote, project.read("pyproject.toml")))
        assert {note["id"] for note in notes(project)} == {"library-version", "template-edited"}
        project.write("pyproject.toml", source.sub("", project.read("pyproject.toml")))
        assert {note["id"] for note in notes(project)} == {"library-version", "template-edited"}
        answers = project.read(".copier-answers.yml").replace(EARLIER, f"v{version('datajoint-pipeline')}")
        project.write(".copier-answers.yml", answers)
        # Until the release of this version its template is nowhere; afterwards it tells what was edited above.
        released = f"v{version('datajoint-pipeline')}" in releases()
        assert {note["id"] for note in notes(project)} == {"template-edited" if released else "template-unknown"}
    finally:
        project.run("local", "stop")


def test_check_names_edited_files_of_the_template_as_a_note(project: Project) -> None:
    try:
        assert {note["id"] for note in notes(project)} == OF_TESTS
        project.replace("compose.yaml", "# earlier\n", "# ours\n")
        project.write("docs/index.md", "# Ours\n")
        # The server is the lab's to name, and so are its stores.
        config = json.loads(project.read("datajoint.json"))
        config["database"] |= {"host": "db.example.org", "port": 3307, "use_tls": True}
        project.write("datajoint.json", json.dumps(config | {"stores": {"default": "main"}}))
        project.write("src/my_pipeline/subject.py", project.read("src/my_pipeline/subject.py") + "\n# ours\n")
        (project.folder / "mkdocs.yml").unlink()
        with (project.folder / "deploy/worker.sbatch").open("a", encoding="utf-8") as file:
            file.write("# ours\n")
        edited = project.run("check")
        assert edited.code == 0, edited.out
        words = " ".join(edited.out.split())
        assert "note: Files of the template were edited: compose.yaml, deploy/worker.sbatch." in words
        assert {note["id"] for note in notes(project)} == {*OF_TESTS, "template-edited"}
        config["database"]["create_tables"] = True
        project.write("datajoint.json", json.dumps(config))
        (edits,) = [note["what"] for note in notes(project) if note["id"] == "template-edited"]
        assert edits == "Files of the template were edited: compose.yaml, datajoint.json, deploy/worker.sbatch."
        project.write(".copier-answers.yml", project.read(".copier-answers.yml").replace(EARLIER, "v0.0.99"))
        assert {note["id"] for note in notes(project)} == {*OF_TESTS, "template-unknown"}
    finally:
        project.run("local", "stop")


@pytest.mark.parametrize("path", ["pyproject.toml", "compose.yaml"])
def test_check_fails_on_what_is_left_of_a_conflict(project: Project, path: str) -> None:
    project.write(path, project.read(path) + "<<<<<<< before updating\na\n=======\nb\n>>>>>>> after updating\n")
    project.write("deploy/Dockerfile.rej", "hunk\n")
    done = project.run("check", "--json")
    assert done.code == 1
    assert {finding["module"] for finding in done.json["findings"]} == {path, "deploy/Dockerfile.rej"}


@pytest.mark.parametrize(
    ("place", "folders"), [("src", "src/*"), ("code/python", "code/python/*"), (".", "my_pipeline")]
)
def test_check_knows_what_an_update_leaves_alone(default_folder: Path, place: str, folders: str) -> None:
    """`copier.yml` says it to Copier, and the library to `check`; no file can be read by both."""
    text = (ROOT / "copier.yml").read_text(encoding="utf-8")
    left = re.findall(r"{% if _copier_operation == 'update' %}(.*?){% endif", text)
    adopted = re.findall(r"{% if existing and _copier_operation == 'update' %}(.*?){% endif", text)
    left = [pattern.replace("{{ package_folders }}", folders) for pattern in left]
    kept = re.findall(r"^  - (/\w+\.toml)$", text, re.MULTILINE)  # brought by an update where there is none
    assert kept == ["/access.toml", "/workers.toml"]
    answers = f"package_name: my_pipeline\nsource_folder: {place}\n"
    for path in contents_of(default_folder):
        here = path.replace("src/", f"{place}/".removeprefix("./"), 1) if path.startswith("src/") else path
        excluded = any(fits(here, pattern) for pattern in left)
        assert excluded == bool(OWNED.fullmatch(path)), here
        excluded = any(fits(here, pattern) for pattern in [*left, *kept])
        assert excluded == bool(template.owned(answers).fullmatch(here)), here
        excluded = any(fits(here, pattern) for pattern in [*left, *kept, *adopted])
        assert excluded == bool(template.owned(f"existing: true\n{answers}").fullmatch(here)), here


def contents_of(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def fits(path: str, pattern: str) -> bool:
    words = re.escape(pattern.lstrip("/")).replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    return re.fullmatch(words, path) is not None


# --- docs/updating.md ----------------------------------------------------------------------------------------------


def commands(text: str) -> list[str]:
    """What stands in the indented lines of a page."""
    return [line.partition("  #")[0].strip() for line in re.findall(r"^    (\S.*)$", text, re.MULTILINE)]


def test_every_command_of_the_page_does_what_it_says(history: Path, project: Project) -> None:
    left = commands(project.read("docs/updating.md"))
    folder = project.folder

    def run(command: str, code: int = 0) -> str:
        done = shell(command, folder)
        assert done.returncode == code, command + done.stdout + done.stderr
        if command in left:
            left.remove(command)
        return done.stdout + done.stderr

    try:
        assert "nothing to commit" in run("git status")
        assert "New template version available" in run("uvx copier check-update")
        run("uvx copier update --defaults")
        assert "-# earlier" in run("git diff")
        run("uv lock")
        assert f"tag={PRESENT}" in project.read("uv.lock")
        run("uv run my-pipeline check")
        assert "passed" in run("uv run pytest")
        run("git add --all")
        run('git commit --message "Update the template"')
        assert "The template is up to date." in run(SCRIPT)
        # A conflict, and the way back.
        git(folder, "switch", "--quiet", "--create", "ours", "HEAD~1")
        project.replace("compose.yaml", "# earlier\n", "# ours\n")
        save(folder)
        run("uvx copier update --defaults")
        assert "both modified:   compose.yaml" in run("git status")
        assert "leftover conflict marker" in run("git diff --check", 2)
        run("git reset --hard")
        run("git clean -d --force")
        assert git(folder, "status", "--porcelain") == "" and "# ours" in project.read("compose.yaml")
        run("uvx copier update --defaults --conflict rej")
        assert "# ours" in project.read("compose.yaml.rej") and "# ours" not in project.read("compose.yaml")
        git(folder, "reset", "--quiet", "--hard")
        git(folder, "clean", "--quiet", "-d", "--force")
        run("uvx copier update --defaults --data python_version=3.12", 0)
        assert '>=3.12"' in project.read("pyproject.toml")
        git(folder, "reset", "--quiet", "--hard")
        git(folder, "clean", "--quiet", "-d", "--force")
        run("uvx copier update --defaults --trust")
        assert not left, left
    finally:
        shell("uv run my-pipeline local stop", folder)
    assert contents(folder)
