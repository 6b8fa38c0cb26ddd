"""The first snapshot of a schema is written by who makes its tables to stay, and these are those that it has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import Project, Server
from living import living as made
from living import ok, states


@pytest.fixture
def living(project: Project, mysql: Server) -> Iterator[Project]:
    with made(mysql, project) as own:
        yield own


def test_check_writes_none_so_that_a_table_can_still_move_there(living: Project, mysql: Server) -> None:
    life = living.read(living.module("life"))
    start = life.index("@schema\nclass Weight")
    living.write(living.module("life"), life[:start])
    head = '"""Health."""\n\nimport datajoint as dj\n\nfrom . import life, open_schema\n\nschema = open_schema("health")\n\n\n'
    living.write(living.module("health"), head + life[start:].replace("-> Animal", "-> life.Animal"))
    living.replace(living.module("version"), '"work"', '"health": "1.0.0",\n    "work"')
    ok(living, "check", code=1)
    assert not (living.folder / "src/my_pipeline/migrations/health").exists()
    ok(living, "revise", "-m", "health", "--rename-table", "life.Weight=health.Weight")
    ok(living, "migrate")
    assert {state for state, _ in states(living).values()} == {"current"}
    assert mysql.execute("SELECT COUNT(*) FROM dev_health.weight")[0][0] > 0


def test_code_that_was_not_revised_is_not_made(living: Project, mysql: Server) -> None:
    """Its tables would be recorded as a version that has others."""
    mysql.drop("work", "life")
    living.replace(living.module("life"), "    grams : float64", "    noisy = null : int16\n    grams : float64")
    try:
        refused = living.run("--env", "prod", "init")
        assert refused.code == 3 and "revise -m" in refused.err, refused.err
        assert mysql.execute("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'life'") == [(0,)]
        ok(living, "revise", "-m", "noise")
        ok(living, "--env", "prod", "init")
        assert "conflict" not in ok(living, "--env", "prod", "status").out
    finally:
        mysql.drop("work", "life")
