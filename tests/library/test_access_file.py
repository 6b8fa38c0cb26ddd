"""``access.toml``: what a lab may write, and that every mistake is a sentence with its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from datajoint_pipeline.access import model
from datajoint_pipeline.errors import PipelineError

SCHEMAS = ("subject", "session", "ephys", "analysis")
TABLES = {"subject.Subject": "Manual", "subject.Strain": "Lookup", "ephys.Recording": "Imported"}

GOOD = """\
# Who may do what.
[people.alice]
login = "alice"
roles = { dev = "developer", prod = "viewer" }

[people."Żółw O'Brien"]
login = "o'brien"
roles.prod = "analyst"

[services.worker]
login = "pipeline_worker"
roles = { prod = "operator" }

[exceptions.analyst]
schemas = [
    "analysis",  # theirs
]

[exceptions.operator]
delete_manual = ["session"]

[stores.main]
account = "person"

[stores.raw]
account = "worker"

[audit]
tables = ["subject.Subject"]

[others]
logins = ["backup"]
"""


def parse(text: str, backend: str = "mysql") -> tuple[model.Access, list[model.Mistake]]:
    return model.parse(text, backend=backend, schemas=SCHEMAS, tables=TABLES, stores=("main", "raw"))


def test_a_file_says_who_may_do_what() -> None:
    access, mistakes = parse(GOOD)
    assert not mistakes
    assert [(a.name, a.login, a.service, a.line) for a in access.accounts] == [
        ("alice", "alice", False, 2),
        ("Żółw O'Brien", "o'brien", False, 6),
        ("worker", "pipeline_worker", True, 10),
    ]
    assert access.with_role("prod") == {"alice": "viewer", "o'brien": "analyst", "pipeline_worker": "operator"}
    assert access.with_role("dev") == {"alice": "developer"}
    assert access.analyst_schemas == ("analysis",) and access.operator_deletes == ("session",)
    assert access.stores == {"main": "person", "raw": "worker"} and access.audited == ("subject.Subject",)
    assert access.others == ("backup",)


def test_a_developer_is_a_viewer_of_production_and_a_login_is_the_name_where_none_is_named() -> None:
    access, mistakes = parse('[people.bob]\nroles.dev = "developer"\n')
    assert not mistakes and access.with_role("prod") == {"bob": "viewer"}


def test_who_has_no_days_of_its_own_has_those_of_all() -> None:
    text = '[people.a]\nroles.prod = "viewer"\n[services.b]\npassword_days = 0\nroles.prod = "operator"\n'
    access, mistakes = parse(f"{text}[accounts]\npassword_days = 90\ntls = true\n")
    assert not mistakes and [a.password_days for a in access.accounts] == [90, 0] and access.tls is True
    access, mistakes = parse(text)
    assert not mistakes and [a.password_days for a in access.accounts] == [None, 0] and access.tls is None


def test_an_empty_file_gives_nobody_anything() -> None:
    assert parse("") == (model.Access(), [])


#: What is wrong, the line of it, and a word that the sentence has.
BAD = {
    "an unknown role": ('\n[people.a]\nroles = { prod = "reader" }', 3, "'reader' is not a role"),
    "a role that is misspelt": ('[people.a]\nroles.prod = "Viewer"', 2, "did you mean viewer?"),
    "an unknown environment": ('[people.a]\nroles = { production = "viewer" }', 2, "there are dev and prod"),
    "the environment local": ('[people.a]\nroles = { local = "viewer" }', 2, "local has no accounts"),
    "no roles": ('[people.a]\nlogin = "a"\n', 1, "people.a has no roles"),
    "an unknown key": ('[people.a]\nroles.prod = "viewer"\nlogn = "x"', 3, "did you mean login?"),
    "an unknown section": ('[peple.a]\nroles.prod = "viewer"', 1, "did you mean people"),
    "a role that is a number": ("[people.a]\nroles.prod = 1", 2, "is not a role"),
    "roles as a text": ('[people.a]\nroles = "viewer"', 2, 'has to be a table, not "viewer"'),
    "a login that is a number": ('[people.a]\nlogin = 12\nroles.prod = "viewer"', 2, "a text in quotes, not 12"),
    "people as a list": ("people = []\n", 1, "people has to be a table"),
    "a person as a text": ('[people]\na = "viewer"\n', 2, "has to be a table"),
    "a login twice": (
        '[people.a]\nlogin = "x"\nroles.prod = "viewer"\n[services.b]\nlogin = "x"\nroles.prod = "viewer"',
        5,
        "which a has in line 1",
    ),
    "a name twice": (
        '[people.a]\nroles.prod = "viewer"\n[services.a]\nlogin = "y"\nroles.prod = "viewer"',
        3,
        "is the name of a person in line 1",
    ),
    "a table twice": ('[people.a]\nroles.prod = "viewer"\n[people.a]\n', 3, "this is no TOML"),
    "a key twice": ('[people.a]\nroles.prod = "viewer"\nroles.prod = "admin"\n', 3, "this is no TOML"),
    "no end of a text": ('[people.a]\nlogin = "x\n', 2, "this is no TOML"),
    "no end of a list": ("[audit]\ntables = [\n", 2, "ends too early"),
    "a schema that is not there": (
        '[exceptions.analyst]\nschemas = [\n    "analysis",\n    "ephis",\n]\n',
        4,
        "did you mean ephys?",
    ),
    "a schema twice": ('[exceptions.operator]\ndelete_manual = ["ephys", "ephys"]', 2, "named twice"),
    "a schema as a text": ('[exceptions.operator]\ndelete_manual = "ephys"', 2, "a list in brackets"),
    "a list with a number": ('[exceptions.operator]\ndelete_manual = [\n  "ephys",\n  7,\n]', 4, "a text in quotes"),
    "an exception of another role": ("[exceptions.viewer]\n", 1, "exceptions.viewer is not known here"),
    "an analyst of no schema": ('[people.a]\nroles.prod = "analyst"', 2, "[exceptions.analyst]"),
    "an audited table that is not there": ('[audit]\ntables = ["subject.Subjet"]', 2, "did you mean subject.Subject"),
    "an audited table without a schema": ('[audit]\ntables = ["Subject"]', 2, "is not a table"),
    "an audited table of another tier": ('[audit]\ntables = ["ephys.Recording"]', 2, "is Imported"),
    "a store that is not there": ('[stores.man]\naccount = "person"', 1, "did you mean main"),
    "an unknown account of a store": ('[stores.main]\naccount = "wrker"', 2, "neither person nor a service"),
    "another's login": ('[people.a]\nroles.prod = "viewer"\n[others]\nlogins = ["a"]', 4, "is the login of a"),
    "a password for no days": ("[accounts]\npassword_days = -1", 2, "has to be 0 or more, not -1"),
    "a password for too long": ("[accounts]\npassword_days = 70000", 2, "65535 at most"),
    "half a day": ("[accounts]\npassword_days = 0.5", 2, "a whole number"),
    "days as a text": ('[people.a]\nroles.prod = "viewer"\npassword_days = "30"', 3, "a whole number"),
    "TLS as a number": ("[accounts]\ntls = 1", 2, "true or false"),
    "an unknown setting of accounts": ("[accounts]\npassword_day = 1", 2, "did you mean password_days"),
    "an empty login": ('[people.a]\nlogin = " "\nroles.prod = "viewer"', 2, "cannot name an account"),
    "a login that is too long": (f'[people.a]\nlogin = "{"x" * 33}"\nroles.prod = "viewer"', 2, "takes 32 at most"),
    "a login of the server": ('[people.root]\nroles.prod = "viewer"', 1, "keeps for itself"),
}


@pytest.mark.parametrize("text, line, words", BAD.values(), ids=BAD)
def test_a_mistake_is_a_sentence_with_its_line(text: str, line: int, words: str) -> None:
    (mistake,) = parse(text)[1]
    assert mistake.line == line and words in mistake.text
    assert mistake.text.endswith((".", "?")) and "?." not in mistake.text and "\n" not in mistake.text


def test_names_are_measured_as_the_server_does() -> None:
    text = f'[people.a]\nlogin = "{"ż" * 32}"\nroles.prod = "viewer"\n'
    assert not parse(text, "mysql")[1]
    emoji = '[people.a]\nlogin = "a\U0001f600"\nroles.prod = "viewer"\n'
    assert "takes in no name" in parse(emoji, "mysql")[1][0].text and not parse(emoji, "postgresql")[1]
    assert "64 bytes; PostgreSQL takes 63" in parse(text, "postgresql")[1][0].text
    assert "keeps for itself" in parse('[people.pg_x]\nroles.prod = "viewer"', "postgresql")[1][0].text


def test_one_mistake_is_spoken_of_as_one(tmp_path: Path) -> None:
    file = tmp_path / "access.toml"
    file.write_text('[people.a]\nroles.prod = "develper"\n')
    with pytest.raises(PipelineError) as refused:
        model.read(file, backend="mysql", schemas=SCHEMAS)
    assert refused.value.why.endswith("'develper' is not a role; did you mean developer?")
    assert refused.value.do == "Correct it, then run the command again."


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "access.toml"
    file.write_text(
        '[people.a]\nlogin = 1\n[people.b]\nroles.prod = "boss"\n[services.c]\nlogin = true\nroles.prod = "viewer"\n'
        '[stores.main]\naccount = "c"\n[exceptions.operator]\ndelete_manual = ["x"]\n[nonsense]\n'
    )
    with pytest.raises(PipelineError) as refused:
        model.read(file, backend="mysql", schemas=SCHEMAS)
    assert refused.value.what == "access.toml has 6 mistakes; nothing was changed."
    assert [line.split(":")[0] for line in refused.value.why.splitlines()] == [
        f"access.toml, line {number}" for number in (1, 2, 4, 6, 11, 12)
    ]


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "access.toml"
    with pytest.raises(PipelineError, match=r"There is no access\.toml"):
        model.read(file, backend="mysql", schemas=SCHEMAS)
    file.write_bytes(b"# one\n# \xff\n")
    with pytest.raises(PipelineError, match="line 2: it has a byte that is no UTF-8"):
        model.read(file, backend="mysql", schemas=SCHEMAS)


@pytest.mark.parametrize("answers", [{}, {"schema_prefix": "lab_", "backend": "postgresql", "store": "file"}])
def test_the_template_begins_with_nobody_and_its_examples_are_right(
    render: Callable[..., Path], tmp_path: Path, answers: dict[str, str]
) -> None:
    folder = render(tmp_path / "my_pipeline", **answers)
    text = (folder / "access.toml").read_text(encoding="utf-8")
    known = ("subject", "session", "ephys", "imaging", "analysis")
    assert model.parse(text, backend="mysql", schemas=known) == (model.Access(), [])
    examples, mistakes = model.parse(text.replace("#:", ""), backend="mysql", schemas=known, stores=("main",))
    assert not mistakes and len(examples.accounts) == 3
    assert {account.service for account in examples.accounts} == {False, True}
