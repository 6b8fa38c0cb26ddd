"""Release 0.6, in which the management code leaves the project: what goes, what is kept of a lab's edits, what is told.

tests/test_upgrades.py has the databases of these projects.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import PRESENT, git
from copying import copier_command, migrations_of
from packaging.version import Version
from pytest_copie.plugin import Copie, Result
from sampling import whole
from upgrading import clone, commit, contents, releases, save, start, update

MANAGE = "src/my_pipeline/manage"

LEFT = {f"{MANAGE}/__init__.py"}

#: The first release, the last without folders in `manage/`, the first with them, and the last; all where they are asked
#: for, as test_upgrades.py and test_update.py take every release anyway.
SOME = ["v0.1.0", "v0.4.1", "v0.5.4"]
if whole():
    SOME = [release for release in releases() if Version(release) < Version("0.6")]
FIRST_AND_LAST = [SOME[0], SOME[-1]]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with its releases tagged, then the working tree."""
    folder = clone(tmp_path_factory.mktemp("history") / "copier-datajoint")
    commit(folder, PRESENT)
    return folder


@pytest.fixture
def make(history: Path, tmp_path: Path) -> Callable[..., Result]:
    """Make a project of a release, committed: ``make(version, answer=value, …)``, once from each in a test."""

    def make(version: str, **answers: object) -> Result:
        return Result(project_dir=start(history, tmp_path / version, version, **answers))

    return make


@pytest.fixture
def bring(copie: Copie, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[Result], str]:
    """Update a project to the present, which ends without a conflict; what the user is told, a line each."""
    migrations_of(monkeypatch)

    def bring(made: Result) -> str:
        save(folder_of(made))
        capfd.readouterr()
        done = copie.update(made, vcs_ref=PRESENT)
        said = capfd.readouterr().err
        assert done.exit_code == 0, said
        assert git(folder_of(made), "ls-files", "--unmerged") == ""
        assert git(folder_of(made), "diff", "--cached", "--name-only") == "", (
            "what a stage before staged is staged no more"
        )
        assert not list(folder_of(made).rglob("*.rej"))
        return said

    return bring


def folder_of(made: Result) -> Path:
    assert made.project_dir is not None
    return made.project_dir


def notes(said: str, version: str = "v0.6.0") -> list[str]:
    """What is told beside what the release does in every project."""
    return [
        block.strip() for block in said.split(f"{version}: ")[1:] if not block.startswith("The management code has")
    ]


def manage_of(folder: Path) -> set[str]:
    return {path for path in contents(folder) if path.startswith(f"{MANAGE}/")}


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


# --- A project that nobody edited ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", FIRST_AND_LAST)
def test_management_code_goes_but_for_what_hands_it_on(
    make: Callable[..., Result], bring: Callable[[Result], str], version: str
) -> None:
    made = make(version, default_environment="dev")
    folder = folder_of(made)
    (folder / MANAGE / "__pycache__").mkdir()
    (folder / MANAGE / "__pycache__/errors.cpython-311.pyc").write_bytes(b"\x00")
    before = contents(folder)
    said = bring(made)
    assert notes(said) == [] and notes(said, "v0.5.0")[1:] == []
    assert manage_of(folder) == LEFT
    assert [path.name for path in (folder / MANAGE).iterdir()] == ["__init__.py"]
    assert not list(folder.glob("*.patch")) and not (folder / "tests/conftest.py").exists()
    for path in (f"{MANAGE}/__init__.py", "src/my_pipeline/__main__.py"):
        ast.parse((folder / path).read_text(encoding="utf-8"))
    assert "from .manage import pipeline\n" in (folder / "src/my_pipeline/__main__.py").read_text(encoding="utf-8")
    assert (folder / "src/my_pipeline/__init__.py").read_bytes() == before["src/my_pipeline/__init__.py"]
    answers = yaml.safe_load((folder / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert answers["default_environment"] == "dev"
    assert "<<<<<<<" not in (folder / "pyproject.toml").read_text(encoding="utf-8")
    save(folder, "Update")
    after = contents(folder)
    assert notes(bring(made)) == []
    assert contents(folder) == after and git(folder, "status", "--porcelain") == ""


# --- Edits ---------------------------------------------------------------------------------------------------------


def edit(folder: Path) -> dict[str, bytes]:
    """Change files of `manage/`, one of them so that it is no text, add one and delete one; all that the folder holds."""
    manage = folder / MANAGE
    (settings,) = manage.rglob("settings.py")
    append(settings, "\n\nOURS = True\n")
    append(manage / "errors.py", "\n\n# grün\n")
    (manage / "guard.py").write_bytes(b"# Gr\xfcn\n")
    (manage / "status.py").write_bytes(b"\x00\x01\xff")
    (manage / "graph.py").unlink()
    (manage / "ours").mkdir()
    (manage / "ours/filter.py").write_text("from ..errors import PipelineError\n", encoding="utf-8")
    save(folder)
    return {path: content for path, content in contents(folder).items() if path.startswith(f"{MANAGE}/")}


@pytest.mark.parametrize("version", SOME)
def test_edits_are_kept_as_a_patch(
    history: Path, make: Callable[..., Result], bring: Callable[[Result], str], tmp_path: Path, version: str
) -> None:
    made = make(version)
    folder = folder_of(made)
    edited = edit(folder)
    for path in (".secrets/database.password", ".local/rows"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text("hush\n", encoding="utf-8")
    told = notes(bring(made))
    assert len(told) == 2
    assert told[0].startswith("manage-edits.patch keeps what you had done to files that are gone:")
    for line in ("edited   src/my_pipeline/manage/errors.py", "deleted  src/my_pipeline/manage/graph.py"):
        assert line in told[0]
    assert told[0].count("edited  ") == 4 and "settings.py" in told[0]
    assert told[1].startswith("src/my_pipeline/manage/ours/filter.py is a file of yours: it stays.")
    assert manage_of(folder) == LEFT | {f"{MANAGE}/ours/filter.py"}
    for path in (".secrets/database.password", ".local/rows"):
        assert (folder / path).read_text(encoding="utf-8") == "hush\n"
    patch = folder / "manage-edits.patch"
    assert patch.read_bytes().startswith(b"# Your edits of src/my_pipeline/manage/")
    old = start(history, tmp_path / "old", version)
    git(old, "apply", str(patch))
    assert {path: content for path, content in contents(old).items() if path.startswith(f"{MANAGE}/")} == edited
    save(folder, "Update")
    assert notes(bring(made)) == [] and git(folder, "status", "--porcelain") == ""


def test_patch_and_main_of_the_lab_are_not_written_over(
    make: Callable[..., Result], bring: Callable[[Result], str]
) -> None:
    made = make("v0.5.4")
    folder = folder_of(made)
    main = folder / "src/my_pipeline/__main__.py"
    main.write_text("print('ours')\n", encoding="utf-8")
    (folder / "manage-edits.patch").write_text("ours\n", encoding="utf-8")
    append(folder / MANAGE / "errors.py", "# ours\n")
    told = notes(bring(made))
    assert len(told) == 2
    assert told[0].startswith("manage-edits-2.patch keeps")
    assert "calls its function `main`" in told[1]
    assert (folder / "manage-edits.patch").read_text(encoding="utf-8") == "ours\n"
    assert main.read_text(encoding="utf-8") == "print('ours')\n"


def test_project_within_a_repository_and_rejects_instead_of_conflicts(history: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    folder = start(history, repository / "deep" / "lab", "v0.4.1")
    shutil.rmtree(folder / ".git")
    git(repository, "init", "--quiet")
    save(repository, "Start")
    append(folder / MANAGE / "journal.py", "# ours\n")
    append(folder / "tests/conftest.py", "# ours\n")
    save(repository)
    done = update(folder, "--conflict=rej", trust=True)
    assert done.returncode == 0, done.stderr
    assert not list(repository.rglob("*.rej")) and not list(repository.glob("*.patch"))
    assert manage_of(folder) == LEFT
    assert (folder / "tests/conftest.py").read_text(encoding="utf-8").endswith("# ours\n")
    patch = shutil.move(folder / "manage-edits.patch", tmp_path)
    save(repository, "Update")
    git(repository, "checkout", "--quiet", "HEAD~2")
    git(folder, "apply", str(patch))
    assert (folder / MANAGE / "journal.py").read_text(encoding="utf-8").endswith("# ours\n")


def test_update_that_failed_half_way_loses_nothing(history: Path, tmp_path: Path) -> None:
    """Also for who commits what is there and updates again, instead of going back as told."""
    template = tmp_path / "template"
    shutil.copytree(history, template)
    migration = template / "migrations/v0_6_0.py"
    whole = migration.read_text(encoding="utf-8")
    migration.write_text(
        whole.replace("    project.prune(manage)\n", "    raise RuntimeError('no luck')\n"), encoding="utf-8"
    )
    git(template, "commit", "--quiet", "--all", "--message=Broken")
    git(template, "tag", "--force", PRESENT)
    folder = start(template, tmp_path / "lab", "v0.4.1")
    append(folder / MANAGE / "errors.py", "# ours\n")
    path = folder / "pyproject.toml"
    ours = {"dependencies": '    "scipy",  # ours | filters\n', "dev": '    "ipython",\n'}
    for name, line in ours.items():
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(f"{name} = [\n", f"{name} = [\n{line}", 1), encoding="utf-8")
    save(folder)
    failed = update(folder, trust=True)
    assert failed.returncode == 1 and "RuntimeError: no luck" in failed.stderr and "git reset --hard" in failed.stderr
    save(folder, "Half")
    migration.write_text(whole, encoding="utf-8")
    git(template, "commit", "--quiet", "--all", "--message=Mended")
    git(template, "tag", "--force", PRESENT)
    done = update(folder, trust=True)
    assert done.returncode == 0, done.stderr
    assert manage_of(folder) == LEFT and (folder / "src/my_pipeline/__main__.py").exists()
    assert [path.name for path in folder.glob("*.patch")] == ["manage-edits.patch"]
    assert "+# ours\n" in (folder / "manage-edits.patch").read_text(encoding="utf-8")
    merged = path.read_text(encoding="utf-8")
    assert merged.startswith("[project]\n") and all(merged.count(f"{line}]\n") == 1 for line in ours.values())


# --- What imports it -----------------------------------------------------------------------------------------------


def test_imports_that_are_not_handed_on_are_named(make: Callable[..., Result], bring: Callable[[Result], str]) -> None:
    made = make("v0.4.1")
    folder = folder_of(made)
    (folder / "scripts").mkdir()
    lines = {
        "src/my_pipeline/utils/ours.py": "from ..manage import (\n    environment,\n    journal,\n)\n",
        "src/my_pipeline/manage/ours.py": "X = 1\n",
        "src/my_pipeline/own.py": "from .manage.ours import X\n",
        "src/my_pipeline/helpers.py": "from . import manage\nfrom .manage.migration import AddAttribute\n",
        "scripts/look.py": "import my_pipeline.manage.model\n\nX = 'my_pipeline.manage.runner'\n",
        "scripts/torn.py": "def (:\nfrom my_pipeline.manage.plan import Plan\n",
        "scripts/book.ipynb": '{"source": ["from my_pipeline.manage.render import table"]}\n',
        "scripts/night.sh": "python -m my_pipeline.manage --env prod status\n",
        "scripts/other.py": "from their_pipeline.manage import journal\nfrom .manage import journal\n",
    }
    for path, text in lines.items():
        (folder / path).write_text(text, encoding="utf-8")
    told = notes(bring(made))
    assert {line.partition(",")[0] for line in told} == {
        "src/my_pipeline/manage/ours.py is a file of yours: it stays. The files it stood among are in the library now.",
        "src/my_pipeline/utils/ours.py:1 imports manage.journal",
        "scripts/look.py:1 imports manage.model",
        "scripts/look.py:3 imports manage.runner",
        "scripts/torn.py:2 imports manage.plan",
        "scripts/book.ipynb:1 imports manage.render",
        "scripts/night.sh:1 runs `python -m my_pipeline.manage`",
    }
    for path, text in lines.items():
        assert (folder / path).read_text(encoding="utf-8") == text, path


def test_project_that_imports_nothing_of_it_has_no_such_folder(
    make: Callable[..., Result], bring: Callable[[Result], str]
) -> None:
    made = make("v0.5.4")
    folder = folder_of(made)
    for path in contents(folder).keys() - {"tests/conftest.py"} - manage_of(folder):
        if path.startswith(("src/", "tests/")) and ".manage" in (folder / path).read_text(encoding="utf-8"):
            (folder / path).write_text("from datajoint_pipeline import Pipeline\n", encoding="utf-8")
    assert notes(bring(made)) == []
    assert not (folder / MANAGE).exists()
    assert "from . import pipeline\n" in (folder / "src/my_pipeline/__main__.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("version", FIRST_AND_LAST)
def test_what_the_lab_added_and_edited_elsewhere_stays(
    make: Callable[..., Result], bring: Callable[[Result], str], version: str
) -> None:
    """All that needs neither a patch nor a conflict, in one update."""
    made = make(version)
    folder = folder_of(made)
    conftest, path = folder / "tests/conftest.py", folder / "pyproject.toml"
    append(conftest, "\n\n@pytest.fixture\ndef ours():\n    return 1\n")
    ours = {
        folder / MANAGE / "ours.py": "OURS = True\n",
        folder / "src/my_pipeline/__main__.py": "def main():\n    print('ours')\n",
        conftest: conftest.read_text(encoding="utf-8"),
    }
    for file, text in ours.items():
        file.write_text(text, encoding="utf-8")
    template = path.read_text(encoding="utf-8")
    text = template.replace("dependencies = [\n", 'dependencies = [\n    "scipy>=1.11",  # for filters\n', 1)
    text = text.replace('    "rich>=13",\n', '    "rich>=13",\n    # pictures\n    "matplotlib",\n', 1)
    text = text.replace('    "types-psutil",\n', '    "types-psutil",\n    "ipython",\n', 1)
    assert len(text) > len(template)
    path.write_text(text + "\n[tool.ours]\nx = 1\n", encoding="utf-8")
    told = notes(bring(made))
    assert len(told) == 2
    assert told[0].startswith("tests/conftest.py stays, since you had edited it.")
    assert told[1].startswith(f"{MANAGE}/ours.py is a file of yours: it stays.")
    assert manage_of(folder) == LEFT | {f"{MANAGE}/ours.py"}
    assert not list(folder.glob("*.patch"))
    assert {file: file.read_text(encoding="utf-8") for file in ours} == ours
    merged = path.read_text(encoding="utf-8")
    assert '    "scipy>=1.11",  # for filters\n    # pictures\n    "matplotlib",\n]\n' in merged
    assert '    "ipython",\n]\n' in merged and merged.endswith("\n[tool.ours]\nx = 1\n")
    assert "datajoint-pipeline" in merged and "types-psutil" not in merged and "rich>=13" not in merged
    fresh = merged.replace('    "scipy>=1.11",  # for filters\n    # pictures\n    "matplotlib",\n', "")
    fresh = fresh.replace('    "ipython",\n', "").removesuffix("\n[tool.ours]\nx = 1\n")
    other = make(PRESENT)
    assert fresh == (folder_of(other) / "pyproject.toml").read_text(encoding="utf-8")
    save(folder, "Update")
    assert notes(bring(made)) == []
    assert {file: file.read_text(encoding="utf-8") for file in ours} == ours


def test_lines_that_both_changed_are_a_conflict_in_plain_sight(history: Path, tmp_path: Path) -> None:
    folder = start(history, tmp_path / "lab", "v0.5.4")
    path = folder / "pyproject.toml"
    text = path.read_text(encoding="utf-8").replace('"rich>=13"', '"rich>=13.5"', 1)
    path.write_text(text.replace("dependencies = [\n", 'dependencies = [\n    "scipy",\n', 1), encoding="utf-8")
    save(folder)
    assert update(folder, trust=True).returncode == 0
    assert "pyproject.toml" in git(folder, "ls-files", "--unmerged")
    merged = path.read_text(encoding="utf-8")
    assert "<<<<<<< before updating" in merged and '"scipy"' in merged and '"rich>=13.5"' in merged


# --- A pipeline that the template was copied over ------------------------------------------------------------------


@pytest.mark.parametrize("folder_deleted", [True, False])
def test_adoption_goes_without_a_word(history: Path, tmp_path: Path, folder_deleted: bool) -> None:
    folder = tmp_path / "lab"
    package = folder / "src" / "my_pipeline"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from .manage import initialize, open_schema\n", encoding="utf-8")
    copied = ("copy", "--defaults", "--quiet", "--data=existing=true", "--vcs-ref=v0.5.4", str(history), str(folder))
    copier_command(tmp_path, *copied).check_returncode()
    assert (folder / "adoption/readiness.py").exists()
    git(folder, "init", "--quiet")
    if folder_deleted:
        shutil.rmtree(folder / "adoption")
    save(folder)
    done = update(folder, trust=True)
    assert done.returncode == 0, done.stderr
    assert git(folder, "ls-files", "--unmerged") == "" and notes(done.stderr) == []
    assert not (folder / "adoption").exists() and manage_of(folder) == LEFT
    assert (package / "__init__.py").read_text(encoding="utf-8") == "from .manage import initialize, open_schema\n"


OWN = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "whisk"  # as on our index
version = "2.1.0"
dependencies = ["datajoint[postgres]>=2.3.5,<2.4", "scipy"]

[project.scripts]
whisk = "my_pipeline.manage.cli:main"
"""


def test_pyproject_that_was_there_before_the_template_gets_the_library(history: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(OWN, encoding="utf-8")
    copied = ("copy", "--defaults", "--quiet", "--data=existing=true", "--vcs-ref=v0.5.4", str(history), str(folder))
    copier_command(tmp_path, *copied).check_returncode()
    git(folder, "init", "--quiet")
    save(folder)
    done = update(folder, trust=True)
    assert done.returncode == 0, done.stderr
    assert git(folder, "ls-files", "--unmerged") == ""
    (told,) = notes(done.stderr)
    assert told.startswith("pyproject.toml is yours: it got the dependency datajoint-pipeline")
    text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    (version,) = re.findall(r'"scipy", "datajoint-pipeline==([\d.]+)"\]\n', text)
    source = f'{{ git = "file://{history}", tag = "{PRESENT}" }}'
    expected = OWN.replace('"scipy"]', f'"scipy", "datajoint-pipeline=={version}"]')
    expected = expected.replace("my_pipeline.manage.cli:main", "my_pipeline.__main__:main")
    expected += f"\n[tool.uv.sources]\ndatajoint-pipeline = {source}\n"
    expected += '\n[tool.pytest.ini_options]\ndatajoint_pipeline = "my_pipeline"\n'
    assert text == expected
    save(folder, "Update")
    assert update(folder).returncode == 0 and git(folder, "status", "--porcelain") == ""
