"""``workers.toml``: what it says, and its mistakes, a sentence each with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Project

from datajoint_pipeline.errors import PipelineError
from datajoint_pipeline.jobs import classes
from datajoint_pipeline.jobs.classes import Retries, WorkerClass, Workers, parse, read

SCHEMAS = ("subject", "ephys", "analysis")
TABLES = ("ephys.Recording", "ephys.Sorting", "analysis.Result")

GOOD = """\
[classes.small]
memory = "4 GB"
time = "1h30m"
tables = ["*"]

[classes.large]
cpu = 8
memory = "64GB"
gpu = 1
grace = "2m"
workers = 3
tables = [
    "ephys.*",  # ephys.Sorting is not among them
    "analysis.Result",
]

[classes.night]
tables = ["ephys.Sorting"]

[priorities]
"ephys.*" = 1
"ephys.Sorting" = 9

[retries]
attempts = 3
wait = "10s"
"""


def mistakes(text: str) -> list[tuple[int, str]]:
    return [(mistake.line, mistake.text) for mistake in parse(text, schemas=SCHEMAS, tables=TABLES)[1]]


def test_a_good_file_is_read() -> None:
    workers, wrong = parse(GOOD, schemas=SCHEMAS, tables=TABLES)
    assert not wrong
    assert workers.classes == (
        WorkerClass("small", memory=4 << 30, time=5400, tables=("*",)),
        WorkerClass(
            "large", cpu=8, memory=64 << 30, gpu=1, grace=120, workers=3, tables=("ephys.*", "analysis.Result")
        ),
        WorkerClass("night", tables=("ephys.Sorting",)),
    )
    assert [one.line for one in workers.classes] == [1, 6, 17]
    assert workers.retries == Retries(attempts=3, wait=10, kills=3)


@pytest.mark.parametrize(
    ("table", "name", "priority"),
    [
        ("ephys.Recording", "large", 1),
        ("ephys.Sorting", "night", 9),
        ("analysis.Result", "large", 5),
        ("analysis.Other", "small", 5),
    ],
)
def test_the_closest_pattern_of_a_table_counts(table: str, name: str, priority: int) -> None:
    workers, _ = parse(GOOD, schemas=SCHEMAS)
    assert (workers.class_of(table).name, workers.priority(table)) == (name, priority)


def test_what_no_class_names_belongs_to_the_smallest() -> None:
    workers, _ = parse('[classes.a]\ntables = ["ephys.*"]\n[classes.b]\ntables = ["subject.*"]', schemas=SCHEMAS)
    assert workers.class_of("analysis.Result").name == "a"


def test_larger_classes_follow_in_the_order_of_the_file() -> None:
    workers, _ = parse(GOOD, schemas=SCHEMAS)
    following = [workers.larger(name) for name in ("small", "large", "night", "gone")]
    assert [one and one.name for one in following] == ["large", "night", None, None]


def test_without_a_file_one_class_computes_everything(tmp_path: Path) -> None:
    workers = read(tmp_path / "workers.toml", schemas=SCHEMAS)
    assert workers == Workers() and workers.names == ("default",)
    assert workers.class_of("ephys.Recording").memory is None


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("[classes.small\n", 1, "this is no TOML"),
        ("[classes.small]\nmemory = 4\n", 2, "classes.small.memory has to be a text in quotes, not 4."),
        ('[classes.small]\nmemory = "much"\n', 2, 'write for example "16 GB", not "much".'),
        ('[classes.small]\ntime = "soon"\n', 2, 'write for example "90s" or "3h50m", not "soon".'),
        ("[classes.small]\n\ncpu = 0\n", 3, "classes.small.cpu has to be 1 or more, not 0."),
        ("[classes.small]\ncpus = 2\n", 2, "classes.small.cpus is not known here; did you mean cpu?"),
        ("[class.small]\ncpu = 2\n", 1, "class is not known here; did you mean classes?"),
        ("[classes.Small]\n", 1, "Small cannot name a class"),
        ('[classes.a]\ntables = ["ephys"]\n', 2, "ephys is not a table; write ephys.Recording"),
        ('[classes.a]\ntables = [\n  "ephsy.*",\n]\n', 3, "there is no schema ephsy; did you mean ephys?"),
        (
            '[classes.a]\ntables = ["ephys.Record"]\n',
            2,
            "there is no table ephys.Record that is computed; did you mean",
        ),
        ('[classes.a]\ntables = ["*"]\n[classes.b]\ntables = ["*"]\n', 4, "* of the class b is of the class a, too"),
        ('[classes.a]\ntables = ["*", "*"]\n', 2, "* of the class a is twice in it"),
        ('[classes.a]\nmemory = "8GB"\n[classes.b]\nmemory = "4GB"\n', 4, "b has less memory than a"),
        ('[priorities]\n"ephys.*" = 200\n', 2, "has to be between 0 and 100, not 200."),
        ('[priorities]\n"ephys.*" = "1"\n', 2, 'has to be a whole number, not "1".'),
        ('[retries]\nwait = "a while"\n', 2, "retries.wait is not a time"),
        ("[retries]\nattempts = 0\n", 2, "retries.attempts has to be 1 or more, not 0."),
        ("retries = 3\n", 1, "retries has to be a table, not 3."),
        ('[classes]\nsmall = "much"\n', 2, 'classes.small has to be a table, not "much".'),
    ],
)
def test_a_mistake_is_a_sentence_with_its_line(text: str, line: int, sentence: str) -> None:
    (found,) = mistakes(text)
    assert found[0] == line and sentence in found[1]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "workers.toml"
    path.write_text('[classes.a]\ncpus = 2\ntime = "soon"\ntables = ["ephsy.*"]\n', encoding="utf-8")
    with pytest.raises(PipelineError) as refused:
        read(path, schemas=SCHEMAS)
    assert refused.value.what == "workers.toml has 3 mistakes; nothing was changed."
    assert [line.split(":")[0] for line in refused.value.why.splitlines()] == [
        f"workers.toml, line {number}" for number in (2, 3, 4)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("3h50m", 13800), ("1d", 86400), ("1.5s", 1.5), ("2 m", 120), ("", None), ("90", None), ("m", None)],
)
def test_times(text: str, expected: float | None) -> None:
    assert classes.seconds(text) == expected


@pytest.mark.parametrize(
    ("count", "words"), [(61 << 30, "61 GB"), (3 << 29, "1.5 GB"), (900 << 20, "900 MB"), (100, "0 kB")]
)
def test_sizes_in_words(count: int, words: str) -> None:
    assert classes.in_words(count) == words


def test_the_file_of_the_template_says_nothing_and_its_examples_are_right(default_folder: Path) -> None:
    text = Project(default_folder).read("workers.toml")
    names = ("subject", "session", "ephys", "imaging", "analysis")
    assert parse(text, schemas=names) == (Workers(), [])
    workers, wrong = parse(text.replace("#:", ""), schemas=names)
    assert not wrong and workers.names == ("small", "large")
    assert workers.class_of("analysis.MultiModalAnalysis").name == "large" and workers.retries == Retries()
