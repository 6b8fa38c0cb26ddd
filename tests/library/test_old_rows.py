"""What tables of ten years hold, and a server refuses where they are copied or joined anew: counted before the first step."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from conftest import Project, Server
from living import is_sentence, ok, put_back, states
from living import living as made

NUMBER, GRAMS = "    animal_id : int32  # its number\n", "    grams : float64  # on that day\n"


@pytest.fixture
def living(project: Project, server: Server) -> Iterator[Project]:
    with made(server, project) as own:
        yield own


def revise(living: Project, old: str, new: str, *answers: str) -> None:
    living.replace(living.module("life"), old, new)
    ok(living, "revise", "-m", "another", *answers)


def refused(living: Project, *words: str, code: int = 1) -> None:
    """The dry run and the migration say so, and nothing has changed."""
    before = states(living)
    dry, found = living.run("migrate", "--dry-run"), ok(living, "migrate", code=code)
    is_sentence(found)
    assert dry.code == code
    for word in words:
        assert word in " ".join(found.err.split()), found.err
        assert word in " ".join((dry.out + dry.err).split()), dry.out + dry.err
    assert states(living) == before and before["life"][0] == "behind"


def unchecked(server: Server, *statements: str) -> None:
    """Run statements while the server does not look at foreign keys."""
    mysql = server.backend == "mysql"
    off = "SET foreign_key_checks = 0" if mysql else "SET session_replication_role = replica"
    server.execute(off, *statements)


def test_rows_without_what_they_refer_to(living: Project, server: Server) -> None:
    """Behind a foreign key that is dropped and added again; on MySQL, also of a table that is copied."""
    unchecked(server, "INSERT INTO dev_life.weight (animal_id, day, grams) VALUES (77, '2020-01-01', 3)")
    said = "life.Weight has 1 row whose (animal_id) is in no row of life.Animal", "Insert the rows that they refer to"
    with put_back(living.folder / "src"):
        revise(living, NUMBER, NUMBER.replace("32", "64"))
        refused(living, *said)
    revise(living, GRAMS, GRAMS.replace("float64", "float32"))
    if server.backend == "mysql":
        refused(living, *said)
        server.execute("DELETE FROM dev_life.weight WHERE animal_id = 77")
    ok(living, "migrate")
    assert states(living)["life"][0] == "current"


def test_rows_without_what_they_refer_to_on_the_way_back(living: Project, server: Server) -> None:
    revise(living, NUMBER, NUMBER.replace("32", "64"))
    ok(living, "migrate")
    unchecked(server, "INSERT INTO dev_life.weight (animal_id, day, grams) VALUES (77, '2020-01-01', 3)")
    stopped = ok(living, "rollback", "life", "--to", "1.0.0", code=1)
    is_sentence(stopped)
    assert "life.Weight has 1 row whose (animal_id) is in no row of life.Animal" in stopped.err
    server.execute("DELETE FROM dev_life.weight WHERE animal_id = 77")
    ok(living, "rollback", "life", "--to", "1.0.0")


def test_what_a_foreign_key_does_otherwise_is_named(living: Project, server: Server) -> None:
    """It is made anew, and does it no more."""
    ((name,),) = server.execute(
        "SELECT constraint_name FROM information_schema.table_constraints WHERE table_schema = 'dev_life' "
        "AND table_name = 'weight' AND constraint_type = 'FOREIGN KEY'"
    )
    server.execute(
        f"ALTER TABLE dev_life.weight DROP CONSTRAINT {name}",
        "ALTER TABLE dev_life.weight ADD FOREIGN KEY (animal_id) REFERENCES dev_life.animal (animal_id) "
        "ON UPDATE CASCADE ON DELETE CASCADE",
    )
    ok(living, "adopt", "--again", "life")
    revise(living, NUMBER, NUMBER.replace("32", "64"))
    shown = " ".join(ok(living, "migrate", "--dry-run", code=3).out.split())
    becomes = "1 foreign key that becomes what DataJoint declares ((animal_id) is on update cascade on delete cascade)"
    assert f"life.Weight: {becomes}" in shown, shown
    ok(living, "migrate")


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
def test_days_that_there_are_not(living: Project, server: Server) -> None:
    """The server copies those with zeros and no others, whatever else is changed."""
    row = "INSERT INTO dev_life.weight (animal_id, day, grams) VALUES (2, '{}', 3)"
    server.execute("SET SESSION sql_mode = 'ALLOW_INVALID_DATES'", row.format("2021-02-30"), row.format("2020-02-29"))
    server.execute("SET SESSION sql_mode = ''", row.format("0000-00-00"))
    revise(living, GRAMS, GRAMS.replace("float64", "float32"))
    refused(living, "life.Weight has 1 value of day that names no day of the calendar")
    server.execute("DELETE FROM dev_life.weight WHERE DAYOFMONTH(day) = 30")
    ok(living, "migrate")
    assert states(living)["life"][0] == "current"


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
def test_a_row_of_an_old_format_is_full_sooner(living: Project, server: Server) -> None:
    server.execute("ALTER TABLE dev_life.weight ROW_FORMAT = COMPACT")
    blobs = "".join(f"    part{number} = null : <blob>\n" for number in range(11))
    revise(living, GRAMS, GRAMS + blobs)
    refused(living, "A row of life.Weight would take up to", "ROW_FORMAT=DYNAMIC")
    server.execute("ALTER TABLE dev_life.weight ROW_FORMAT = DYNAMIC")
    ok(living, "migrate")


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_numbers_that_json_does_not_know(living: Project, server: Server) -> None:
    server.execute("UPDATE dev_life.weight SET grams = 'Infinity' WHERE animal_id = 1")
    revise(living, GRAMS, GRAMS.replace("float64", "json"))
    refused(living, "of grams that", "JSON knows", code=7)
    server.execute("UPDATE dev_life.weight SET grams = 1 WHERE animal_id = 1")
    ok(living, "migrate")


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_infinity_that_became_a_text_comes_back(living: Project, server: Server) -> None:
    typed = GRAMS + "    score = null : decimal(8,2)\n    until = null : date\n    since = null : datetime\n"
    revise(living, GRAMS, typed)
    ok(living, "migrate")
    server.execute(
        "UPDATE dev_life.weight SET grams = '-Infinity', score = 'NaN', until = 'infinity', since = '-infinity' "
        "WHERE animal_id = 1 AND day = '2026-01-01'"
    )
    look = "SELECT animal_id, day::text, grams::text, score::text, until::text, since::text FROM dev_life.weight"
    before = server.execute(f"{look} ORDER BY 1, 2")
    texts = re.sub(r"(float64|decimal\(8,2\)|date\b|datetime)", "varchar(40)", typed)
    revise(living, typed, texts)
    ok(living, "migrate")
    assert server.execute(f"{look} ORDER BY 1, 2") == before
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert server.execute(f"{look} ORDER BY 1, 2") == before


SHELF = '\n\n@schema\nclass Shelf(dj.Manual):\n    definition = """\n    shelf : int32\n    ---\n{}    """\n'
BOOK = SHELF.replace("Shelf", "Book").replace("shelf : int32", "book : int32").format("    -> Shelf\n")


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
def test_a_table_that_is_stored_in_myisam(living: Project, server: Server) -> None:
    """It is neither changed nor referred to; the way out is one."""
    life = living.module("life")
    text = living.read(life)
    living.write(life, text + SHELF.format("    note = null : varchar(9)\n"))
    ok(living, "revise", "-m", "shelves")
    ok(living, "migrate")
    server.execute("INSERT INTO dev_life.shelf (shelf) VALUES (1)", "ALTER TABLE dev_life.shelf ENGINE = MyISAM")
    ok(living, "adopt", "--again", "life")
    for new in (
        SHELF.format("    size = 1 : int32\n    note = null : varchar(9)\n"),
        SHELF.format("    note = null : varchar(9)\n") + BOOK,
    ):
        with put_back(living.folder / "src"):
            living.write(life, text + new)
            ok(living, "revise", "-m", "another")
            refused(living, "life.Shelf is stored in MyISAM", "ENGINE = InnoDB", "adopt --again life")
    living.write(life, text + new)
    ok(living, "revise", "-m", "another")
    server.execute("ALTER TABLE dev_life.shelf ENGINE = InnoDB")
    ok(living, "adopt", "--again", "life", code=3)
    ok(living, "migrate")
    assert states(living)["life"][0] == "current"
