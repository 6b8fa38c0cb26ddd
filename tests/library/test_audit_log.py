"""`log --rows`: who entered and changed the rows of a table, when, and from which commit, by all records that there are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import Project, Server
from living import living as made
from living import ok


@pytest.fixture
def living(project: Project, server: Server) -> Iterator[Project]:
    with made(server, project) as own:
        yield own


def test_rows_tell_who_entered_them_and_when_they_were_computed(living: Project, server: Server) -> None:
    entered = ok(living, "log", "--rows", "life.Animal", "--json").json
    assert entered["table"] == "life.Animal"
    assert entered["records"] == {"_prov": "there", "_job": "absent", "~audit": "absent"}
    assert [row["key"] for row in entered["rows"]] == [{"animal_id": 1}, {"animal_id": 2}]
    for row in entered["rows"]:
        assert row["operation"] == "insert" and row["record"] == "_prov" and row["who"].startswith(server.user)
        assert row["at"].endswith("Z")

    computed = ok(living, "log", "--rows", "Score", "--key", "task=swim", "--json").json
    assert computed["records"] == {"_prov": "absent", "_job": "there", "~audit": "absent"}
    assert [row["key"] for row in computed["rows"]] == [{"animal_id": 2, "task": "swim"}]
    assert computed["rows"][0]["operation"] == "compute" and not computed["rows"][0]["who"]

    # The newest, and these last; keys are compared as text, so a word is no number.
    last = ok(living, "log", "--rows", "life.Weight", "--limit", "2", "--json").json["rows"]
    assert len(last) == 2
    one = ok(living, "log", "--rows", "life.Weight", "--key", "day=2026-01-01", "--key", "animal_id=2", "--json").json
    assert [row["key"] for row in one["rows"]] == [{"animal_id": 2, "day": "2026-01-01"}]
    assert not ok(living, "log", "--rows", "life.Animal", "--key", "animal_id=x", "--json").json["rows"]

    shown = " ".join(ok(living, "log", "--rows", "life.Animal").out.split())
    assert "animal_id=2" in shown and "~audit (every insert, update and delete, by the server): there is none" in shown


def test_a_table_without_records_says_so(living: Project, server: Server) -> None:
    server.execute("ALTER TABLE dev_life.animal DROP COLUMN _prov")
    shown = ok(living, "log", "--rows", "life.Animal").out
    assert "No record mentions these rows of life.Animal." in shown and shown.count("there is none") == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--rows", "life.Anmal"), "There is no table life.Anmal in the database."),
        (("--rows", "life.Animal", "--key", "name=Ada"), "'name=Ada' is not part of a key of life.Animal."),
    ],
)
def test_what_is_not_there_is_named(living: Project, arguments: tuple[str, ...], words: str) -> None:
    result = ok(living, "log", *arguments, code=2)
    assert result.err.startswith(f"Error: {words}") and len(result.err.strip().splitlines()) == 3, result.err
