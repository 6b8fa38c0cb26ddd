"""`check` of a pipeline for MySQL that has types which only MySQL has: it says what it could not try, and fails for none."""

from __future__ import annotations

import pytest
from conftest import Project, Server
from living import living as made
from living import ok

TYPES = ("longblob", "tinyint unsigned", "mediumtext", "double", "year")


def notes(living: Project) -> list[dict[str, str]]:
    """What `check` says without failing."""
    answer = ok(living, "check", "--json").json
    assert not answer["findings"]
    return [note for note in answer["notes"] if note["id"] == "untried"]


@pytest.mark.parametrize("type_", TYPES)
def test_a_type_of_mysql_alone_is_a_note(project: Project, mysql: Server, type_: str) -> None:
    with made(mysql, project) as living:
        assert not notes(living)
        life = living.module("life")
        text = living.read(life)
        living.write(life, text.replace("    grams : float64", f"    raw = null : {type_}\n    grams : float64"))
        ok(living, "revise", "-m", "raw")
        ok(living, "migrate")
        (note,) = notes(living)
        assert f"life.Weight.raw has the type {type_}, which only MySQL has" in note["what"]
        assert "migrate --dry-run" in note["do"]
        # Also where it was there for a time.
        living.write(life, text)
        ok(living, "revise", "-m", "no raw", "--drop", "Weight.raw")
        assert not notes(living)


def test_what_mysql_would_refuse_is_still_found(project: Project, mysql: Server) -> None:
    with made(mysql, project) as living:
        living.replace(living.module("life"), "    grams : float64", "    raw = null : longblob\n    grams : float64")
        many = "".join(f"    c{number} : varchar(8000)\n" for number in range(9))
        living.replace(living.module("work"), "    score : int32\n", f"    score : int32\n{many}")
        found = ok(living, "check", "--json", code=1).json["findings"]
        assert any(one["id"] == "server" for one in found), found
