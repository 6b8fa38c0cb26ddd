"""Bad answers are refused in one sentence at the question, and nothing is written."""

from __future__ import annotations

import json
import re
import shlex
from functools import partial
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from conftest import PRESENT
from copying import copier_command

HOSTILE: list[tuple[str, Any]] = [
    ("project_name", "../outside"),
    ("project_name", "/etc/passwd"),
    ("project_name", ""),
    ("project_name", "a"),
    ("project_name", "has space"),
    ("project_name", "line\nbreak"),
    ("project_name", "ends-with-"),
    ("project_name", "9lives"),
    ("project_name", "a" * 41),
    ("project_name", "quote\"'"),
    ("project_name", "{{ 7 * 7 }}"),
    ("project_name", "ünïcode"),
    ("project_name", "double__underscore"),
    ("project_name", "datajoint-pipeline"),
    ("project_name", "DataJoint_Pipeline"),
    ("package_name", "datajoint_pipeline"),
    ("package_name", "../../x"),
    ("package_name", "class"),
    ("package_name", "datajoint"),
    ("package_name", "json"),
    ("package_name", "Upper"),
    ("package_name", "with-dash"),
    ("package_name", "trailing\n"),
    ("description", "two\nlines"),
    ("description", "nul\x00byte"),
    ("description", ""),
    ("description", " blank before"),
    ("description", "x" * 201),
    ("description", "line\u2028separator"),
    ("author", "<script>"),
    ("author", "a\r\nb"),
    ("author_email", "no-at-sign"),
    ("author_email", "a@b.c\nBcc: x@y.z"),
    ("license", "GPL-2.0-only"),
    ("python_version", "2.7"),
    ("backend", "oracle"),
    ("database_host", "localhost:3306"),
    ("database_host", "http://db"),
    ("database_host", "db; DROP TABLE x"),
    ("database_host", "a..b"),
    ("database_port", 0),
    ("database_port", 65536),
    ("database_port", "many"),
    ("schema_prefix", "no_underscore_at_end"),
    ("schema_prefix", "lab`; DROP DATABASE mysql; -- _"),
    ("schema_prefix", "dev_"),
    ("schema_prefix", "test_x_"),
    ("schema_prefix", "a%_"),
    ("schema_prefix", "very_long_prefix_"),
    ("store", "ftp"),
    ("ci", "jenkins"),
    ("default_environment", "staging"),
    ("schemas", []),
    ("schemas", {}),
    ("schemas", "subject"),
    ("schemas", None),
    ("schemas", 42),
    ("schemas", ["subject"]),
    ("schemas", [{"depends": []}]),
    ("schemas", [{"name": 7}]),
    ("schemas", [{"name": True}]),
    ("schemas", [{"name": None}]),
    ("schemas", [{"name": ["subject"]}]),
    ("schemas", [{"name": "subject", "extra": 1}]),
    ("schemas", [{"name": "../subject"}]),
    ("schemas", [{"name": "Subject"}]),
    ("schemas", [{"name": "subject"}, {"name": "Subject"}]),
    ("schemas", [{"name": "sub ject"}]),
    ("schemas", [{"name": "sub`ject"}]),
    ("schemas", [{"name": "subject\n"}]),
    ("schemas", [{"name": "sübject"}]),
    ("schemas", [{"name": "a__b"}]),
    ("schemas", [{"name": "_hidden"}]),
    ("schemas", [{"name": "a" * 33}]),
    ("schemas", [{"name": "class"}]),
    ("schemas", [{"name": "match"}]),
    ("schemas", [{"name": "manage"}]),
    ("schemas", [{"name": "pipeline"}]),
    ("schemas", [{"name": "migrations"}]),
    ("schemas", [{"name": "version"}]),
    ("schemas", [{"name": "utils"}]),
    ("schemas", [{"name": "datajoint"}]),
    ("schemas", [{"name": "mysql"}]),
    ("schemas", [{"name": "information_schema"}]),
    ("schemas", [{"name": "public"}]),
    ("schemas", [{"name": "my_pipeline"}]),
    ("schemas", [{"name": "con"}]),
    ("schemas", [{"name": "test_x"}]),
    ("schemas", [{"name": "pg_x"}]),
    ("schemas", [{"name": "subject"}, {"name": "subject"}]),
    ("schemas", [{"name": "session", "depends": ["subject"]}]),
    ("schemas", [{"name": "session", "depends": ["subject"]}, {"name": "subject", "depends": ["session"]}]),
    ("schemas", [{"name": "subject", "depends": ["subject"]}]),
    ("schemas", [{"name": "subject", "depends": "subject"}]),
    ("schemas", [{"name": "subject"}, {"name": "session", "depends": ["subject", "subject"]}]),
    ("schemas", [{"name": "subject"}, {"name": "session", "depends": [["subject"]]}]),
    ("schemas", [{"name": "subject"}, {"name": "session", "depends": {"subject": 1}}]),
    ("schemas", [{"name": f"s{i}"} for i in range(201)]),
    ("schemas", [{"name": f"p{i}"} for i in range(31)] + [{"name": "c", "depends": [f"p{i}" for i in range(31)]}]),
]

HOSTILE_STORES: list[dict[str, Any]] = [
    {"store": "file", "store_location": "relative/path"},
    {"store": "file", "store_location": "/data/../etc"},
    {"store": "file", "store_location": '/data/"quote'},
    {"store": "s3", "store_location": "/absolute"},
    {"store": "s3", "store_endpoint": "https://s3.example.org/path"},
    {"store": "s3", "store_endpoint": "s3.example.org"},
    {"store": "s3", "store_bucket": "UPPER"},
    {"store": "s3", "store_bucket": "a"},
    {"store": "gcs", "store_bucket": "under_score"},
    {"store": "gcs", "store_project": "9project"},
    {"store": "azure", "store_container": "double--dash"},
]


def name_of(value: Any) -> str:
    return json.dumps(value)[:40]


@pytest.mark.parametrize(("question", "answer"), HOSTILE, ids=lambda value: name_of(value))
def test_bad_answer_is_refused_and_nothing_is_written(
    question: str, answer: Any, template: Path, tmp_path: Path
) -> None:
    target = tmp_path / "project"
    with pytest.raises((ValueError, TypeError)) as refusal:
        copier.run_copy(str(template), target, data={question: answer}, defaults=True, quiet=True, vcs_ref=PRESENT)
    assert question in str(refusal.value)
    assert not list(tmp_path.rglob("*")) or not target.exists() or not list(target.iterdir())


@pytest.mark.parametrize("answers", HOSTILE_STORES, ids=name_of)
def test_bad_store_is_refused(answers: dict[str, Any], template: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="store_"):
        copier.run_copy(str(template), tmp_path / "p", data=answers, defaults=True, quiet=True, vcs_ref=PRESENT)
    assert not (tmp_path / "p").exists() or not list((tmp_path / "p").iterdir())


@pytest.mark.parametrize("how", ["data", "data-file"])
def test_command_line_refuses_in_one_sentence(how: str, template: Path, tmp_path: Path) -> None:
    schemas = [{"name": "session", "depends": ["subject"]}]
    if how == "data":
        option = ["--data", f"schemas={json.dumps(schemas)}"]
    else:
        (tmp_path / "answers.yml").write_text(yaml.safe_dump({"schemas": schemas}), encoding="utf-8")
        option = ["--data-file", str(tmp_path / "answers.yml")]
    found = copier_command(tmp_path, "copy", "--defaults", f"--vcs-ref={PRESENT}", *option, str(template), "out")
    assert found.returncode != 0
    sentence = "The schema session depends on subject, which does not stand above it in the list."
    assert found.stderr.strip().splitlines()[-1].endswith(sentence)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def asked(monkeypatch: pytest.MonkeyPatch, template: Path, folder: Path, **data: Any) -> list[str]:
    """Copy as somebody does who takes every default; give the questions."""
    found = []

    def prompt(structure: list[dict[str, Any]], answers: dict[str, Any]) -> dict[str, Any]:
        question = structure[0]
        if question["when"](answers):
            found.append(question["name"])
            assert len(question["message"].splitlines()[0]) <= 76, "a terminal of 80 columns cuts it, after its mark"
        return answers

    monkeypatch.setattr("copier._main.unsafe_prompt", prompt)
    copier.run_copy(str(template), folder, data=data, quiet=True, vcs_ref=PRESENT)
    return found


def test_few_questions_are_asked(monkeypatch: pytest.MonkeyPatch, template: Path, tmp_path: Path) -> None:
    """The others have answers that a lab can live with, are asked on demand, and stand in the answers all the same."""
    ask = partial(asked, monkeypatch, template)
    few = ["project_name", "description", "author", "details", "backend", "database_host", "store", "ci"]
    assert ask(tmp_path / "few") == few
    own = ask(tmp_path / "own", database_host="db.example.org", store="file")
    assert own == [
        "project_name",
        "description",
        "author",
        "details",
        "backend",
        "database_port",
        "store_location",
        "ci",
    ]
    every = ask(tmp_path / "every", details=True, store="s3")
    assert set(every) > {"package_name", "license", "python_version", "schema_prefix", "default_environment", "schemas"}
    answers = [yaml.safe_load((tmp_path / each / ".copier-answers.yml").read_text()) for each in ("few", "every")]
    assert answers[0].keys() == answers[1].keys() - {"store_location", "store_endpoint", "store_bucket"}

    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "lab.py").write_text("")
    assert "existing" in ask(tmp_path / "there")


def test_a_refused_name_comes_with_one_that_is_taken(template: Path, tmp_path: Path) -> None:
    """At the beginning, since Copier cuts what stands behind it."""
    for given, offered in {
        "Eye Lab": "eye-lab", "9 lives!": "lives", "__x__y__": "x-y", "Mäuse straße": "mause-strasse", "λ": ""
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=rf": {f'Try {offered}: ' if offered else ''}2 to 40 letters"):
            copier.run_copy(
                str(template), tmp_path / "p", data={"project_name": given}, defaults=True, quiet=True, vcs_ref=PRESENT
            )
        if offered:
            copier.run_copy(
                str(template), tmp_path / offered, data={"project_name": offered}, defaults=True, quiet=True,
                vcs_ref=PRESENT,
            )  # fmt: skip


@pytest.mark.parametrize("name", ["ephys", "Imaging", "types", "migrations", "test"])
def test_a_project_may_be_called_as_a_schema_or_a_module_is(name: str, template: Path, tmp_path: Path) -> None:
    """Where its package cannot be, the package gets a longer name, unless a person gives another one."""
    run = partial(copier.run_copy, str(template), defaults=True, quiet=True, vcs_ref=PRESENT)
    run(tmp_path / "p", data={"project_name": name})
    package = f"{name.lower()}_pipeline"
    assert [path.name for path in (tmp_path / "p/src").iterdir()] == [package]
    assert yaml.safe_load((tmp_path / "p/.copier-answers.yml").read_text())["package_name"] == package
    assert f'{name.lower()} = "{package}.__main__:main"' in (tmp_path / "p/pyproject.toml").read_text()


def test_what_to_do_next_can_be_pasted_whatever_the_folder_is_called(template: Path, tmp_path: Path) -> None:
    for name in ("Ada's Mäuse video", "plain-1"):
        done = copier_command(
            tmp_path, "copy", "--defaults", f"--vcs-ref={PRESENT}", "--data=project_name=lab", str(template), name
        )
        assert done.returncode == 0, done.stderr
        (line,) = re.findall(r"^ *(cd .*)$", done.stderr, re.MULTILINE)
        assert shlex.split(line) == ["cd", name] and ("'" in line) == (name != "plain-1")
