"""A project as labs have it, from every release to the present: edited, with secrets, and with a database of its time."""

from __future__ import annotations

import compileall
import re
import shutil
from pathlib import Path

import pytest
from conftest import PRESENT, ROOT, Project, Result, Server, git
from sampling import whole
from upgrading import clone, commit, crosses, sample, save, start, update

ROWS = (
    "import datetime\n"
    "from my_pipeline import analysis, ephys, imaging, session, subject\n"
    "subject.Subject.insert1({'subject_id': 'M001', 'subject_notes': 'the first'})\n"
    "session.Session.insert1({'subject_id': 'M001', 'session_id': 1, 'session_start': datetime.datetime(2026, 1, 2)})\n"
    "for table in (ephys.Recording, imaging.Scan, analysis.MultiModalAnalysis):\n"
    "    table.populate()\n"
)

FETCH = (
    "from my_pipeline import analysis, ephys, session, subject\n"
    "for table in (subject.Subject, session.Session, ephys.Recording.Channel, analysis.MultiModalAnalysis):\n"
    "    print(table.to_dicts())\n"
    "print(ephys.Recording.fetch1('firing_rate').tolist())\n"
)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with its releases tagged, then the working tree."""
    folder = clone(tmp_path_factory.mktemp("history") / "copier-datajoint")
    commit(folder, PRESENT)
    return folder


class Earlier(Project):
    """A project of a release; of one before 0.6, it has its management code in itself."""

    @property
    def has_manage(self) -> bool:
        """Whether it is of a release before 0.6."""
        return (self.folder / "src" / self.package / "manage").is_dir()

    def run(self, *arguments: str, stdin: str | None = None, timeout: float = 120, **variables: str) -> Result:
        """Run the project's command line."""
        program = f"{self.package}.manage" if self.has_manage else self.package
        return self.python("-m", program, *arguments, stdin=stdin, timeout=timeout, **variables)


def living(history: Path, folder: Path, version: str, server: Server) -> Earlier:
    """A project of a release, to have tables and rows."""
    prefix = f"up{version[1:].replace('.', '')}_"
    answers = {"backend": server.backend, "schema_prefix": prefix, "default_environment": "dev"}
    start(history, folder, version, **answers)
    # Until 0.6 a command read 19,000 lines of the project's own, which would be compiled anew each time.
    compileall.compile_dir(folder / "src", quiet=2)
    return Earlier(folder, environment={**server.variables, "DJ_LOG_STREAM": "stderr"})


def updated(earlier: Project) -> Project:
    """The same project once it is on the library."""
    return Project(earlier.folder, environment=earlier.environment)


def edit(project: Earlier) -> dict[str, str]:
    """What people do to a project; the files that are theirs, with what they hold."""
    own = {
        "src/my_pipeline/subject.py": project.read("src/my_pipeline/subject.py") + "\n# ours\n",
        "docs/index.md": "# Our docs\n",
        "notes.txt": "ours\n",
        ".secrets/database.password": "hush-hush\n",
        ".secrets/stores.main.secret_key": "wJalrXUtnFEMI/K7MDENG\n",
        ".local/kept.txt": "rows\n",
    }
    for path, text in own.items():
        project.write(path, text)
    (project.folder / "docs/workers.md").unlink()
    (project.folder / "deploy/worker.sbatch").unlink()
    project.replace("pyproject.toml", "dependencies = [\n", 'dependencies = [\n    "scipy",\n')
    project.replace("compose.yaml", "services:\n", "# on our machine\nservices:\n")
    if project.has_manage:
        (settings,) = (project.folder / "src/my_pipeline/manage").rglob("settings.py")
        settings.write_text(settings.read_text(encoding="utf-8") + "\n\nOURS = True\n", encoding="utf-8")
    return own


def cases() -> list[tuple[str, str]]:
    """Releases on one server, in turn, and the first on both; in CI, every other one, from the last back.

    test_update.py brings the others to the present, with no database.
    """
    first, *later = sample()
    some = later if whole() else later[::-2]
    return [(first, "mysql"), (first, "postgresql"), *((v, ("postgresql", "mysql")[n % 2]) for n, v in enumerate(some))]


def layout(folder: Path) -> int:
    """Which journal the management code or the library in a folder writes."""
    texts = [path.read_text(encoding="utf-8") for path in folder.rglob("*.py")]
    (found,) = (int(number) for text in texts for number in re.findall(r"^LAYOUT = (\d+)$", text, re.MULTILINE))
    return found


@pytest.mark.parametrize(("version", "backend"), cases())
def test_project_with_a_database_comes_along(
    history: Path, tmp_path: Path, version: str, backend: str, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(backend)
    earlier = living(history, tmp_path / "my_pipeline", version, server)
    project: Project = earlier
    try:
        made = project.run("--env", "dev", "init")
        assert made.code == 0, made.err
        assert project.python("-c", ROWS).code == 0
        assert project.run("add-schema", "behaviour", "--depends", "session").code == 0
        before = project.python("-c", FETCH)
        assert before.code == 0 and "the first" in before.out, before.err
        own = edit(earlier)
        save(project.folder)
        old = Earlier(
            shutil.copytree(project.folder, tmp_path / "old"),
            environment={**server.variables, "DJ_LOG_STREAM": "stderr"},
        )
        done = update(project.folder, trust=crosses(version))
        assert done.returncode == 0, done.stderr
        assert git(project.folder, "ls-files", "--unmerged") == ""
        project = updated(earlier)
        for path, text in own.items():
            assert project.read(path) == text, path
        for path in ("docs/workers.md", "deploy/worker.sbatch"):
            assert not (project.folder / path).exists(), path
        assert '    "scipy",\n' in project.read("pyproject.toml")
        assert "# on our machine\n" in project.read("compose.yaml")
        if old.has_manage:
            assert "\n+OURS = True\n" in project.read("manage-edits.patch")
            assert [path.name for path in (project.folder / "src/my_pipeline/manage").glob("*.py")] == ["__init__.py"]
        assert '"behaviour": "1.0.0"' in project.read("src/my_pipeline/version.py")
        save(project.folder, "Update")

        # The database is that of before: it is read, and written to by `migrate` alone.
        stands = project.run("--env", "dev", "status", "--json")
        assert stands.code == 3, stands.out + stands.err
        assert {s["name"]: s["state"] for s in stands.json["schemas"]} == {
            **dict.fromkeys(("subject", "session", "ephys", "imaging", "analysis"), "current"),
            "behaviour": "absent",
        }
        assert project.run("--env", "dev", "log").code == 0
        assert earlier.run("--env", "dev", "status", "--json").json == stands.json
        assert project.python("-c", FETCH).out == before.out
        revised = project.run("revise", "--message", "behaviour")
        assert revised.code == 0, revised.err
        migrated = project.run("--env", "dev", "migrate")
        assert migrated.code == 0, migrated.err
        assert project.python("-c", FETCH).out == before.out
        assert project.run("--env", "dev", "status").code == 0
        runs = project.run("--env", "dev", "log", "--json").json["runs"]
        assert {run["schema"]: (run["kind"], run["options"]) for run in runs}["behaviour"] == ("init", "")
        # Who has not updated yet, and knows another journal, is refused in words, not misled.
        for command in ("status", "init") if old.has_manage and layout(old.folder) < layout(ROOT / "src") else ():
            refused = old.run("--env", "dev", command)
            assert refused.code == 5 and "newer version" in refused.err, refused.out + refused.err
        # The project is not installed here, and one of its tests asks how.
        tests = project.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not distribution", timeout=300)
        assert tests.code == 0, tests.out
    finally:
        server.drop(*(f"dev_up{version[1:].replace('.', '')}_{name}" for name in (*NAMES, "behaviour")))


NAMES = ("analysis", "imaging", "ephys", "session", "subject")


def test_what_lets_values_be_lost_stands_in_the_log(history: Path, tmp_path: Path, server: Server) -> None:
    """The journal has a column for it since v0.5.0; one of before gets it from the first command that changes tables."""
    project: Project = living(history, tmp_path / "my_pipeline", "v0.4.0", server)
    try:
        assert project.run("--env", "dev", "init").code == 0
        assert project.python("-c", ROWS).code == 0
        save(project.folder)
        assert update(project.folder, trust=True).returncode == 0
        project = updated(project)
        runs = project.run("--env", "dev", "log", "--json").json["runs"]
        assert {run["options"] for run in runs} == {""}
        project.replace(project.module("subject"), "varchar(1000)", "varchar(4)")
        assert project.run("revise", "subject", "--message", "short").code == 0
        assert project.run("--env", "dev", "migrate").code == 7
        said = project.run("--env", "dev", "migrate", "--allow-data-loss", "--no-backup")
        assert said.code == 0, said.err
        runs = project.run("--env", "dev", "log", "--json").json["runs"]
        assert [r["options"] for r in runs if r["kind"] == "migrate"] == ["--allow-data-loss --no-backup"]
        assert "migrate --allow-data-loss" in " ".join(project.run("--env", "dev", "log", COLUMNS="250").out.split())
    finally:
        server.drop(*(f"dev_up040_{name}" for name in NAMES))
