"""`Pipeline` as a project makes it: what it takes, what it refuses in words, and what threads see of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import datajoint as dj
import pytest
from conftest import Project

from datajoint_pipeline import Pipeline, PipelineError
from datajoint_pipeline.project import elements

VERSIONS = 'SCHEMA_VERSIONS = {"subject": "1.0.0"}\n'


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Pipeline]]:
    """Make a package whose `__init__.py` has a text, and its pipeline with other arguments."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(text: str | None = VERSIONS, **arguments: object) -> Pipeline:
        (tmp_path / "some_lab").mkdir()
        if text is not None:
            (tmp_path / "some_lab" / "__init__.py").write_text(text, encoding="utf-8")
        return Pipeline("some_lab", **arguments)  # type: ignore[arg-type]

    yield make
    sys.modules.pop("some_lab", None)


@pytest.mark.parametrize(
    ("text", "arguments", "word"),
    [
        ("", {}, "has no SCHEMA_VERSIONS"),
        (None, {}, "has no __init__.py"),
        ("", {"versions": ["subject"]}, "is not a dictionary"),
        ("", {"versions": {"subject": 1.0}}, "gives subject no version"),
        (VERSIONS, {"prefix": 1}, "prefix of some_lab is not text"),
        (VERSIONS, {"default_environment": 3}, "default_environment of some_lab is not text"),
        (VERSIONS + "COMMAND = 1\n", {}, "command of some_lab is not text"),
        (VERSIONS, {"databases": ["subject"]}, "SCHEMA_DATABASES is not a dictionary"),
        (VERSIONS + 'SCHEMA_DATABASES = {"sheet": "U19_Sheet"}\n', {}, "SCHEMA_DATABASES names 'sheet'"),
        (VERSIONS, {"databases": {"subject": "a`b"}}, "no name that a server takes"),
        (
            'SCHEMA_VERSIONS = {"a": "1.0", "b": "1.0"}',
            {"prefix": "x_", "databases": {"b": "x_a"}},
            "two schemas one database",
        ),
    ],
)
def test_what_does_not_describe_a_pipeline_is_refused_in_words(
    package: Callable[..., Pipeline], text: str | None, arguments: dict[str, object], word: str
) -> None:
    with pytest.raises(PipelineError, match=word):
        package(text, **arguments).project  # noqa: B018, reading it is what fails


def test_a_default_environment_that_is_none_is_named_as_such(package: Callable[..., Pipeline]) -> None:
    with pytest.raises(PipelineError) as refused:
        package(default_environment="staging").select()
    assert "default_environment in the package's __init__.py" in str(refused.value)


def test_versions_are_any_mapping(package: Callable[..., Pipeline]) -> None:
    text = "import types\n" + VERSIONS + "SCHEMA_VERSIONS = types.MappingProxyType(SCHEMA_VERSIONS)\n"
    assert package(text).project.versions == {"subject": "1.0.0"}


def test_a_package_that_is_missing_is_named_and_its_own_errors_pass(package: Callable[..., Pipeline]) -> None:
    with pytest.raises(PipelineError, match="There is no package nobodys_lab"):
        Pipeline.load("nobodys_lab")
    package("import nobodys_module\n")
    with pytest.raises(ModuleNotFoundError, match="nobodys_module"):
        Pipeline.load("some_lab")


def test_what_cannot_be_activated_is_refused_in_words() -> None:
    element, place = ModuleType("element_lab"), {"schema_name": "lab", "connection": object()}
    with pytest.raises(PipelineError, match="which schema of element_lab"):
        elements.activate(element, place, None)
    schema = dj.Schema()
    schema.database = "other_lab"
    vars(element)["schema"] = schema
    with pytest.raises(PipelineError, match="activated for other_lab already"):
        elements.activate(element, place, None)


THREADS = """
import threading
from my_pipeline import pipeline

start, found = threading.Barrier(8), []

def work():
    start.wait()
    found.append(pipeline.connect())

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(found), len(set(map(id, found))))
"""


def test_threads_that_come_at_once_get_one_connection(project: Project) -> None:
    done = project.python("-c", THREADS)
    assert (done.code, done.out.splitlines()[-1:]) == (0, ["8 1"]), done.err


def test_connect_takes_the_name_of_an_environment(project: Project) -> None:
    program = "from my_pipeline import pipeline\nprint(pipeline.connect('local') is pipeline.connect())"
    done = project.python("-c", program)
    assert (done.code, done.out.splitlines()[-1:]) == (0, ["True"]), done.err
    wrong = project.python("-c", "from my_pipeline import pipeline\npipeline.connect('locale')")
    assert "PipelineError: There is no environment 'locale'." in wrong.err, wrong.err
