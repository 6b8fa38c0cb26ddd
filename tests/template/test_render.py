"""What a rendered project is, whatever was answered: complete, clean by its own linters, free of template code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from options import OPTIONS, matrix

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MATRIX = matrix()


@pytest.fixture(scope="session", params=range(len(MATRIX)), ids=lambda i: f"answers{i}")
def rendered(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]
) -> tuple[Path, dict[str, Any]]:
    answers = MATRIX[request.param]
    return render(tmp_path_factory.mktemp("matrix") / "project", **answers), answers


def files(folder: Path) -> list[Path]:
    """What was rendered, without what Python compiles where it is not told otherwise."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in paths if "__pycache__" not in path.parts)


def test_matrix_holds_every_value() -> None:
    for name, values in OPTIONS.items():
        missing = [value for value in values if value is not None and value not in [row.get(name) for row in MATRIX]]
        assert not missing, name


def test_nothing_of_the_template_is_left(rendered: tuple[Path, dict[str, Any]]) -> None:
    folder, answers = rendered
    for path in files(folder):
        assert not re.search(r"[{}%|]|jinja", str(path)), path
        text = (folder / path).read_text(encoding="utf-8")
        said = [answers["description"], answers["author"]]
        if path.suffix == ".md":  # where punctuation is escaped
            text, said = text.replace("\\", ""), [answer.replace("\\", "") for answer in said]
        for answer in said:
            # What a person answered may look like Jinja; it stands as it is or as a JSON string.
            text = text.replace(answer, "").replace(json.dumps(answer, ensure_ascii=False)[1:-1], "")
            text = text.replace(json.dumps(answer)[1:-1], "").replace(answer.replace("'", "''"), "")
        found = re.search(r"(?<!\$)\{\{|\{%|\{#|[$]schema|[$]Title|[$]imports|[$]references", text)
        assert not found, f"{path}: {text[max(0, found.start() - 60) : found.end() + 60]!r}"


def test_files_end_with_one_newline(rendered: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = rendered
    for path in files(folder):
        text = (folder / path).read_bytes()
        assert not text or (text.endswith(b"\n") and not text.endswith(b"\n\n")), path
        assert b"\r" not in text, path


def test_configuration_is_valid_and_says_what_was_answered(rendered: tuple[Path, dict[str, Any]]) -> None:
    folder, answers = rendered
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == answers["project_name"]
    assert project["description"] == answers["description"]
    assert project["authors"][0]["name"] == answers["author"]
    assert project["requires-python"] == f">={answers['python_version']}"
    config = json.loads((folder / "datajoint.json").read_text(encoding="utf-8"))
    assert config["database"]["backend"] == answers["backend"]
    assert config["database"]["host"] == answers["database_host"]
    default_port = {"mysql": 3306, "postgresql": 5432}[answers["backend"]]
    assert config["database"]["port"] == answers.get("database_port", default_port)
    if answers["store"] == "none":
        assert "stores" not in config
    else:
        assert config["stores"]["main"]["protocol"] == answers["store"]
    recorded = yaml.safe_load((folder / ".copier-answers.yml").read_text(encoding="utf-8"))
    for name in ("project_name", "description", "author", "license", "backend", "store", "ci", "default_environment"):
        assert recorded[name] == answers[name], name


@pytest.mark.parametrize(("host", "environment"), [("localhost", "local"), ("db.example.org", "dev")])
def test_the_environment_is_local_until_a_server_is_named(
    render: Callable[..., Path], tmp_path: Path, host: str, environment: str
) -> None:
    folder = render(tmp_path, database_host=host)
    assert f'default_environment="{environment}"' in (folder / "src/my_pipeline/__init__.py").read_text()


def test_versions_stand_in_the_order_of_the_graph(rendered: tuple[Path, dict[str, Any]]) -> None:
    folder, answers = rendered
    package = next((folder / "src").iterdir())
    names = [s["name"] for s in answers.get("schemas", [])] or ["subject", "session", "ephys", "imaging", "analysis"]
    scope: dict[str, Any] = {}
    exec((package / "version.py").read_text(encoding="utf-8"), scope)
    assert list(scope["SCHEMA_VERSIONS"]) == names
    assert all((package / f"{name}.py").is_file() for name in names)
    assert all((folder / "tests" / f"test_{name}.py").is_file() for name in names)


def test_linters_have_nothing_to_say(rendered: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = rendered
    for command in (["format", "--diff", "--quiet"], ["check", "--output-format=concise", "--no-cache"]):
        found = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "."], cwd=folder, capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stdout + found.stderr


def test_graph_is_sound(rendered: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = rendered
    package = next((folder / "src").iterdir()).name
    code = (
        f"from {package} import pipeline; from datajoint_pipeline.project import graph; own = pipeline.project; "
        "found = graph.check(graph.read(own.directory), own.versions); print(found); assert not found"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=folder / "src", capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_types_are_sound_by_the_projects_own_settings(rendered: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = rendered
    found = mypy(folder, tmp_path.parent)  # one cache for all: the libraries take longest
    assert found.returncode == 0, found.stdout + found.stderr
    assert "no issues found" in found.stdout


#: What labs write: operators of classes, empty contents, libraries without types, functions without annotations.
LAB = '''
"""A lab's module."""

import datajoint as dj
import pandas as pd

from . import ephys, open_schema, session

schema = open_schema("lab")


@schema
class Setting(dj.Lookup):
    definition = """
    setting : varchar(32)
    """
    contents = []


@schema
class Result(dj.Computed):
    definition = """
    -> session.Session
    -> Setting
    ---
    value : float64
    """

    @property
    def key_source(self):
        return session.Session * Setting & ephys.Recording

    def make(self, key):
        nothing = None
        self.insert1({**key, "value": nothing.value})


def mean(key: dict) -> float:
    rows = (Result & key) - (Result & "value < 0")
    Result.populate(key)
    return pd.DataFrame(rows.to_dicts())["value"].mean()
'''.lstrip()

MIGRATION = '"""add weight"""\n\nrequires = {}\n\noperations = []\n'


def test_types_leave_a_labs_code_alone_and_find_what_is_wrong(render: Callable[..., Path], tmp_path: Path) -> None:
    folder = render(tmp_path / "project")
    package = folder / "src" / "my_pipeline"
    (package / "lab.py").write_text(LAB, encoding="utf-8")
    for schema in ("ephys", "imaging"):
        (package / "migrations" / schema).mkdir(parents=True)
        (package / "migrations" / schema / "1.1.0_add_weight.py").write_text(MIGRATION, encoding="utf-8")
    found = mypy(folder, tmp_path.parent)  # one cache for all: the libraries take longest
    assert found.returncode == 0, found.stdout + found.stderr
    (package / "lab.py").write_text(f"{LAB}\n\nwrong: int = mean({{}}) + len('x').real.nothing\n", encoding="utf-8")
    found = mypy(folder, tmp_path.parent)  # one cache for all: the libraries take longest
    assert found.returncode == 1 and "lab.py" in found.stdout, found.stdout + found.stderr


def mypy(folder: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", f"--cache-dir={cache / 'mypy'}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_project_holds_what_is_the_labs(rendered: tuple[Path, dict[str, Any]], default_folder: Path) -> None:
    folder, _ = rendered
    package = next((folder / "src").iterdir())
    assert not (package / "manage").exists() and not (folder / "adoption").exists()
    assert len(files(default_folder)) < 50
    python = [path for path in files(default_folder) if path.suffix == ".py"]
    assert sum(len((default_folder / path).read_text(encoding="utf-8").splitlines()) for path in python) < 500
