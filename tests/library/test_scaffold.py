"""`add-schema`: a module, a test and a version in their place; nothing written where something is wrong."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from conftest import Project


def files(project: Project) -> dict[str, bytes]:
    return {
        str(path.relative_to(project.folder)): path.read_bytes()
        for path in project.folder.rglob("*")
        if path.is_file() and ".local" not in path.parts
    }


def scope(project: Project) -> dict[str, str]:
    names: dict[str, dict[str, str]] = {}
    exec(project.read(project.module("version")), names)
    return names["SCHEMA_VERSIONS"]


def test_schema_is_added_in_its_place(project: Project) -> None:
    result = project.run("add-schema", "behaviour", "--depends", "session", "subject")
    assert result.code == 0, result.err
    assert list(scope(project)) == ["subject", "session", "ephys", "imaging", "analysis", "behaviour"]
    module = project.read(project.module("behaviour"))
    assert "from . import open_schema, session, subject" in module
    key, rest = module.split("---")
    assert (
        "-> session.Session\n    behaviour_id : int32  # number within the session" in key
        and "-> subject.Subject" in rest
    )
    assert "-> subject.Subject" not in key and "move -> session.Session below ---" in " ".join(result.out.split())
    assert (project.folder / "tests" / "test_behaviour.py").is_file()
    assert project.run("check").code == 0
    ruff = [sys.executable, "-m", "ruff"]
    assert subprocess.run([*ruff, "check", "."], cwd=project.folder, check=False).returncode == 0
    assert subprocess.run([*ruff, "format", "--check", "."], cwd=project.folder, check=False).returncode == 0


@pytest.mark.parametrize(("place", "code"), [("code/python/src", 0), (".venv/lib/python3/site-packages", 1)])
def test_schema_is_added_wherever_the_package_stands_but_where_it_is_installed(
    project: Project, place: str, code: int
) -> None:
    (project.folder / place).parent.mkdir(parents=True)
    (project.folder / "src").rename(project.folder / place)
    before = files(project)
    result = project.run("add-schema", "behaviour", "--depends", "session", PYTHONPATH=str(project.folder / place))
    assert result.code == code, result.out + result.err
    assert (f"{place}/my_pipeline/behaviour.py" in files(project)) == (code == 0)
    assert code == 0 or (files(project) == before and "is installed in" in result.err)


def test_parent_with_other_main_table(project: Project) -> None:
    assert project.run("add-schema", "report", "--depends", "analysis", "--depends", "ephys").code == 0
    module = project.read(project.module("report"))
    key, rest = module.split("---")
    assert "-> analysis.MultiModalAnalysis" in key and "# number within the multi modal analysis" in key
    assert "-> ephys.Recording" in rest


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["Behaviour"], "small letters"),
        (["be haviour"], "small letters"),
        (["../behaviour"], "small letters"),
        (["a" * 33], "small letters"),
        (["My Behaviour"], "Try my_behaviour"),
        (["class"], "keyword"),
        (["manage"], "the package itself"),
        (["numpy"], "library"),
        (["my_pipeline"], "the package itself"),
        (["test_it"], "begins with"),
        (["subject"], "already"),
        (["behaviour", "--depends", "nobody"], "no schema nobody"),
        (["behaviour", "--depends", "behaviour"], "no schema behaviour"),
    ],
)
def test_bad_schema_is_refused_and_nothing_is_written(project: Project, arguments: list[str], word: str) -> None:
    before = files(project)
    result = project.run("add-schema", *arguments)
    assert result.code == 1
    assert word in result.err and "Traceback" not in result.err and f"add-schema {arguments[0]}" not in result.err
    assert files(project) == before


@pytest.mark.parametrize(
    "versions",
    [
        'SCHEMA_VERSIONS = {\n    "subject": "1.0.0",  # a note\n    # the end\n}\n',
        'SCHEMA_VERSIONS = {\n    "subject": "1.0.0"\n}\n',
        'SCHEMA_VERSIONS = {"subject": "1.0.0"}\n',
        'SCHEMA_VERSIONS = {"subject": "1.0.0",}\n',
        'SCHEMA_VERSIONS: dict[str, str] = {"subject": "1.0.0"}  # ünï\nAFTER = "kept"\n',
        'ÜBER = "ü"; SCHEMA_VERSIONS = {\n    "subject": "1.0.0",\n    }\n',
    ],
)
def test_what_a_person_wrote_in_version_py_stays(project: Project, versions: str) -> None:
    for name in ("session", "ephys", "imaging", "analysis"):
        (project.folder / project.module(name)).unlink()
    text = f'"""Mine."""\n\n__version__ = "0.1.0"\n{versions}'
    project.write(project.module("version"), text)
    result = project.run("add-schema", "extra", "--depends", "subject")
    assert result.code == 0, result.err
    assert scope(project) == {"subject": "1.0.0", "extra": "1.0.0"}
    after = project.read(project.module("version"))
    ast.parse(after)
    for word in ("# a note", "# the end", "# ünï", 'AFTER = "kept"', '"""Mine."""'):
        assert (word in after) == (word in text)


def test_versions_written_another_way_are_left_alone(project: Project) -> None:
    project.write(project.module("version"), '__version__ = "0"\nSCHEMA_VERSIONS = dict(subject="1.0.0")\n')
    before = files(project)
    result = project.run("add-schema", "extra")
    assert result.code == 1 and "version.py" in result.err
    assert files(project) == before
