"""`migrate --dry-run`, as a person reads it: what stands in the way first, then what is done, in words and short."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Project, Server
from living import add_sql, living, ok, rows

#: What only who knows MySQL, or this library, understands.
ODD = ("INPLACE", "INSTANT", "COPY", "LOCK TABLES", "UNLOCK", "in their place", "turn away", "below it", "jobs held")


@pytest.fixture
def alive(server: Server, tmp_path: Path, render: Callable[..., Path]) -> Iterator[Project]:
    with living(server, Project(render(tmp_path / "my_pipeline"))) as own:
        yield own


def test_each_step_is_a_sentence_and_a_line_of_sql(alive: Project, server: Server) -> None:
    """The key of Score changes, so its jobs go; Weight gets values; statements are whole with --sql alone."""
    alive.replace(alive.module("life"), "    animal_id : int32", "    animal_id : int64")
    alive.replace(alive.module("life"), "    grams : float64", "    mood : varchar(16)\n    grams : float64")
    ok(alive, "revise", "-m", "moods", "--fill", "Weight.mood=well")
    shown = ok(alive, "migrate", "--dry-run", code=3).out
    (group,) = ok(alive, "migrate", "--dry-run", "--json", code=3).json["groups"]
    sql, words = ok(alive, "migrate", "--sql", code=3).out, [step["words"] for step in group["statements"]]
    assert not [word for word in ODD if word in shown] and "~~" not in "".join(words), shown
    assert "work.Score" in "".join(words) and not re.search(r"\b(life|work)\.[a-z_#]", " ".join(words)), words
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 160 and "ALTER TABLE" in shown
    for number, step in enumerate(words, 1):
        assert f"{number:3}  {step}" in lines
    statements = [
        text for step in group["statements"] for text in step["sql"].split(";\n") if "LOCK TABLES" not in text
    ]
    assert statements and all(f"{text.rstrip(';')};" in sql for text in statements)
    assert "--sql" in lines[-2] and lines[-1] == "Nothing was changed."
    if server.backend == "mysql":
        assert shown.count("locked") == 1, shown
        # One for the steps of the tables, by the names that these have while they are hidden, and one for the jobs.
        assert sql.count("UNLOCK TABLES;") == 2 and sql.count("\nLOCK TABLES") == 3
        assert group["locked"] == ["work.Score", "work.Task", "life.Weight", "life.Animal"]
        # Whoever runs the printed statements has the tables that the migration makes.
        server.execute(*[text for text in re.sub("--.*", "", sql).split(";\n") if text.strip()])
        ok(alive, "adopt", "--again")
        assert ok(alive, "diff").out.count("nothing changed") == 2
        assert server.execute("SELECT DISTINCT mood FROM dev_life.weight") == [("well",)]


def test_what_stands_in_the_way_comes_first_and_has_its_exit_code(alive: Project) -> None:
    alive.replace(alive.module("life"), "name : varchar(32)", "name : varchar(2)")
    ok(alive, "revise", "-m", "shorter")
    first, second, *_ = ok(alive, "migrate", "--dry-run", code=7).out.splitlines()
    assert first.startswith("It would be refused: ") and "2 values of name" in first and "--allow-data-loss" in second
    assert "refused" not in ok(alive, "migrate", "--dry-run", "--allow-data-loss", code=3).out


def test_with_the_option_that_lets_values_be_lost_it_shows_the_steps_that_are_run_with_it(alive: Project) -> None:
    assert alive.python("-c", "from my_pipeline import life; life.Weight.insert1((2, '2026-02-02', 1.26))").code == 0
    alive.replace(alive.module("life"), "    grams : float64", "    grams : decimal(4, 1)")
    ok(alive, "revise", "-m", "rounded")
    counts = [
        len(ok(alive, "migrate", "--dry-run", "--json", *more, code=code).json["groups"][0]["statements"])
        for more, code in (((), 7), (("--allow-data-loss",), 3))
    ]
    assert counts[0] > counts[1], "one makes sure that nothing is rounded"
    shown = ok(alive, "migrate", "--dry-run", "--allow-data-loss", code=3).out
    assert "make sure" not in shown and "1 value of grams that would be rounded" in " ".join(shown.split())
    said = " ".join(ok(alive, "migrate", "--allow-data-loss").out.split())
    assert f"{counts[1]} step{'s' * (counts[1] > 1)} done" in said, said


def test_of_an_interrupted_run_it_shows_what_is_left(
    mysql: Server, tmp_path: Path, render: Callable[..., Path]
) -> None:
    with living(mysql, Project(render(tmp_path / "my_pipeline"))) as own:
        own.replace(own.module("life"), "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
        ok(own, "revise", "-m", "moods")
        path = own.folder / "src/my_pipeline/migrations/life/1.1.0_moods.py"
        add_sql(path, "UPDATE dev_life.elsewhere SET mood = 'well'")
        assert "Step 2 of 2 failed" in ok(own, "migrate", code=6).err
        assert [r["state"] for r in ok(own, "log", "--json").json["runs"]] == ["done", "done", "interrupted"]
        ok(own, "rollback", "--interrupted")
        assert re.search(r"migrate +1\.0\.0 +1\.1\.0 +undone ", ok(own, "log").out)
        ok(own, "migrate", code=6)
        assert re.search(r"migrate +1\.0\.0 +1\.1\.0 +interrupted +- ", ok(own, "log").out)
        before = mysql.execute("SELECT * FROM dev_life.`~migration_step`"), ok(own, "log").out
        for _ in range(2):
            shown = ok(own, "migrate", "--dry-run", code=6)
            assert "1 step is done of 2" in shown.out and "  2  own" in shown.out and "add mood" not in shown.out
            assert "UPDATE dev_life.elsewhere" in shown.out and shown.err == ""
        (group,) = ok(own, "migrate", "--dry-run", "--json", code=6).json["groups"]
        assert (group["done"], [step["words"] for step in group["statements"]]) == (1, ["own"])
        assert "UPDATE dev_life.elsewhere" in ok(own, "migrate", "--sql", code=6).out
        # A correction is shown, and not yet recorded.
        path.write_text(path.read_text().replace("dev_life.elsewhere", "dev_life.weight"))
        assert "UPDATE dev_life.weight" in ok(own, "migrate", "--dry-run", code=6).out
        assert (mysql.execute("SELECT * FROM dev_life.`~migration_step`"), ok(own, "log").out) == before
        ok(own, "migrate")
        assert set(rows(own, "[r['mood'] for r in life.Weight.to_dicts()]")) == {"well"}


def test_a_rollback_shows_its_steps_and_what_goes_out_of_sight_and_changes_nothing(
    alive: Project, server: Server
) -> None:
    life = alive.module("life")
    alive.replace(life, "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    alive.replace(life, "    colour = \"grey\" : enum('grey', 'white')\n", "")
    ok(alive, "revise", "-m", "moods")
    ok(alive, "migrate")
    rows(alive, "[life.Weight.update1({**key, 'mood': 'well'}) for key in life.Weight.keys()]")
    back, before = ("rollback", "life", "--to", "1.0.0"), ok(alive, "log", "--json").json
    shown = ok(alive, *back, "--dry-run", code=3)
    assert shown.err == "" and shown.out.startswith("life back to 1.0.0\n") and "life.Weight" in shown.out
    assert "drop-attribute: Weight.mood goes out of sight; purge would delete it." in shown.out
    assert "backups/" not in shown.out and shown.out.splitlines()[-1] == "Nothing was changed."
    (group,) = ok(alive, *back, "--dry-run", "--json", code=3).json["groups"]
    words = [step["words"] for step in group["statements"]]
    assert all(f"{number:3}  {step}" in shown.out.splitlines() for number, step in enumerate(words, 1)) and words
    assert {table["table"] for table in group["tables"]} == {"life.Animal", "life.Weight"}
    assert [(found["kind"], found["attributes"], found["count"]) for found in group["losses"]] == [
        ("dropped", ["mood"], 3)
    ]
    sql = ok(alive, *back, "--sql", code=3).out
    assert all(text in sql for step in group["statements"] for text in step["sql"].split(";\n") if "LOCK" not in text)
    assert ok(alive, "log", "--json").json == before and ok(alive, "status")
    done = ok(alive, *back).out.splitlines()[-1]
    assert done.startswith(f"{len(words)} step{'s' * (len(words) > 1)} done in "), done
    assert "There was nothing to do." in ok(alive, *back, "--dry-run").out


def test_what_stands_in_the_way_of_a_rollback_is_named_with_its_exit_code(alive: Project) -> None:
    alive.replace(alive.module("life"), "name : varchar(32)", "name : varchar(64)")
    ok(alive, "revise", "-m", "longer")
    ok(alive, "migrate")
    alive.python("-c", "from my_pipeline import life; life.Animal.insert1((9, 40 * 'x', 'grey'))")
    back = ("rollback", "life", "--to", "1.0.0")
    shown = ok(alive, *back, "--dry-run", code=7).out
    assert shown.startswith("It would be refused: ") and "1 value of name" in shown
    (refused,) = ok(alive, *back, "--dry-run", "--json", code=7).json["refused"]
    assert refused["what"] in ok(alive, *back, code=7).err
    alive.replace(alive.module("work"), "note = null", "remark = null")
    ok(alive, "revise", "work", "-m", "remark", "--rename", "Task.note=remark")
    assert "is not an earlier version" in ok(alive, "rollback", "work", "--to", "2.0.0", "--dry-run", code=1).err
    assert ok(alive, "rollback", "life", "--dry-run", code=2).err


def test_the_way_back_from_an_interrupted_run_is_shown(
    mysql: Server, tmp_path: Path, render: Callable[..., Path]
) -> None:
    with living(mysql, Project(render(tmp_path / "my_pipeline"))) as own:
        back = ("rollback", "--interrupted", "--dry-run")
        assert "no interrupted run" in ok(own, *back, code=1).err
        own.replace(own.module("life"), "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
        ok(own, "revise", "-m", "moods")
        add_sql(own.folder / "src/my_pipeline/migrations/life/1.1.0_moods.py", "UPDATE dev_life.elsewhere SET mood = 1")
        ok(own, "migrate", code=6)
        before = mysql.execute("SELECT * FROM dev_life.`~migration_step`"), ok(own, "log").out
        shown = ok(own, *back, code=6).out
        assert "What ran of life 1.1.0 moods is taken back" in shown and "take back: " in shown, shown
        assert "DROP COLUMN `mood`" in ok(own, "rollback", "--interrupted", "--sql", code=6).out
        # A rollback to a version ends the run first.
        shown = ok(own, "rollback", "life", "--to", "1.0.0", "--dry-run", code=6).out
        assert "1 step is done of 2" in shown and "rollback first completes this run." in shown
        assert (mysql.execute("SELECT * FROM dev_life.`~migration_step`"), ok(own, "log").out) == before
        ok(own, *back[:-1])
        assert ok(own, "migrate", "--dry-run", code=3).out
