"""What the data say against migrations is found before the first statement, also where it is a later one's."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from conftest import Project, Server
from living import is_sentence, ok, rows, states
from living import living as made

FOLDER = "src/my_pipeline/migrations"


@pytest.fixture
def living(project: Project, server: Server) -> Iterator[Project]:
    with made(server, project) as own:
        yield own


def test_what_a_later_migration_would_lose_stops_the_first(living: Project) -> None:
    life = living.module("life")
    living.replace(life, "    name : varchar(32)", "    nickname : varchar(32)")
    ok(living, "revise", "-m", "nicknames", "--rename", "Animal.name=nickname")
    living.replace(life, "    nickname : varchar(32)", "    nickname : varchar(2)")
    ok(living, "revise", "-m", "short")
    assert "2 values of name" in ok(living, "migrate", "--dry-run", code=7).out
    refused = ok(living, "migrate", code=7)
    assert "2 values of name that are longer than 2 characters" in refused.err
    assert states(living)["life"] == ("behind", "1.0.0")
    ok(living, "migrate", "--allow-data-loss")
    assert rows(living, "sorted(r['nickname'] for r in life.Animal.to_dicts())") == ["Ad", "Bo"]


def test_what_the_server_would_refuse_to_a_later_migration_stops_the_first(living: Project) -> None:
    work = living.module("work")
    living.replace(work, "    note = null : varchar(64)", "    remark = null : varchar(64)")
    ok(living, "revise", "-m", "remarks", "--rename", "Task.note=remark")
    assert living.python("-c", 'from my_pipeline import life\nlife.Animal.insert1((3, "Cid", "grey"))').code == 0
    living.replace(
        work, "    remark = null : varchar(64)\n", '    remark = "well" : varchar(64)\n    unique index (remark)\n'
    )
    ok(living, "revise", "-m", "each its own", "--fill", "Task.remark=well")
    refused = ok(living, "migrate", code=1)
    assert "work.Task has 1 value of (remark) that rows have in common" in refused.err
    assert states(living)["work"] == ("behind", "1.0.0")


@pytest.mark.both_servers
def test_a_table_that_an_earlier_migration_makes_has_no_rows(living: Project, server: Server) -> None:
    """Rows that are put into another table and refer to it are counted before the first step of the first migration."""
    living.write(
        living.module("place"),
        "import datajoint as dj\n\nfrom . import open_schema\n\nschema = open_schema('place')\n\n\n"
        "@schema\nclass Room(dj.Manual):\n    definition = 'room : varchar(8)'\n",
    )
    living.replace(living.module("version"), '"work":', '"place": "1.0.0",\n    "work":')
    work = living.module("work")
    living.replace(work, "import life, open_schema", "import life, open_schema, place")
    cage = (
        '@schema\nclass Cage(dj.Manual):\n    definition = """\n    cage : int32\n    ---\n    -> place.Room\n    """'
    )
    living.replace(work, "@schema\nclass Task", f"{cage}\n\n\n@schema\nclass Task")
    living.replace(work, "    note = null", "    -> Cage\n    note = null")
    fills = ("--fill", "work.Task.cage=1", "--fill", "work.Cage.room=attic")
    ok(living, "revise", "-m", "rooms", *fills)
    (path,) = (living.folder / FOLDER / "work").glob("*_rooms.py")
    text = path.read_text()
    assert text.count(', also=["place.Room"]') == 1, text
    path.write_text(text.replace(', also=["place.Room"]', ""))
    ok(living, "migrate", "--dry-run", code=1)
    refused = ok(living, "migrate", code=1)
    is_sentence(refused)
    said = " ".join(refused.err.split())
    assert "in no row of place.Room" in said and "nothing was changed" in said, said
    assert states(living)["place"][0] != "current"
    path.write_text(text)
    ok(living, "migrate", "--dry-run", code=3)
    ok(living, "migrate")
    assert server.execute("SELECT room FROM dev_place.room") == [("attic",)]


def test_a_value_for_all_is_counted_against_the_unique_index_that_is_there(living: Project) -> None:
    work = living.module("work")
    living.replace(work, "    note = null : varchar(64)\n", "    note = null : varchar(64)\n    unique index (note)\n")
    ok(living, "revise", "-m", "each its own")
    ok(living, "migrate")
    living.replace(work, "    note = null : varchar(64)\n", "    note : varchar(64)\n")
    ok(living, "revise", "-m", "always", "--fill", "Task.note=well")
    refused = ok(living, "migrate", code=1)
    assert "1 value of (note) that rows have in common" in refused.err and "nothing was changed" in refused.err


def test_what_a_statement_of_the_lab_puts_right_stands_against_nothing(living: Project) -> None:
    living.replace(living.module("work"), "    note = null : varchar(64)", "    note : varchar(64)")
    ok(living, "revise", "-m", "notes")
    path = next(path for path in (living.folder / FOLDER / "work").glob("*_notes.py")).relative_to(living.folder)
    text = living.read(str(path))
    assert "fill=ASK" in text
    sql = "UPDATE {work}.task SET note = 'none' WHERE note IS NULL"
    own = f'operations = [\n    RunSQL("say none", mysql="{sql}", postgresql="{sql}"),'
    text = text.replace("operations = [", own, 1).replace(", fill=ASK", "").replace("import ", "import RunSQL, ", 1)
    living.write(str(path), text)
    shown = ok(living, "migrate", "--dry-run", code=3).out
    assert "1 row without note, which is required from then on, before the migration's own statements" in shown
    ok(living, "migrate")
    assert rows(living, "[r['note'] for r in work.Task.to_dicts(order_by='animal_id')]") == ["well", "none"]


def test_a_number_for_each_row_is_none_of_a_set_of_words(living: Project) -> None:
    life = living.module("life")
    living.replace(life, "    grams : float64", "    mood : enum('good', 'bad')\n    grams : float64")
    ok(living, "revise", "-m", "moods")
    path = "src/my_pipeline/migrations/life/1.1.0_moods.py"
    living.write(path, living.read(path).replace("ASK", "NUMBER"))
    refused = ok(living, "migrate", code=1)
    assert "mood of life.Weight cannot be filled with number()." in refused.err
    assert states(living)["life"] == ("behind", "1.0.0")


OWN = """
    RunSQL("two", mysql="UPDATE {{life}}.weight SET grams = grams + 1;\\n{wrong}",
           postgresql="UPDATE {{life}}.weight SET grams = grams + 1;\\n{wrong}"),
    RunPython("one", lambda connection, databases: False, run),
"""

PYTHON = """
def run(connection, databases):
    table = ".".join(map(connection.adapter.quote_identifier, (databases["life"], "weight")))
    connection.query(f"UPDATE {table} SET grams = grams * 2")
    raise ValueError("wrong")
"""


def test_what_is_the_labs_own_and_fails_half_way_is_corrected_in_its_file(living: Project, server: Server) -> None:
    life = living.module("life")
    living.replace(life, "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    ok(living, "revise", "-m", "moods")
    path = f"{FOLDER}/life/1.1.0_moods.py"
    text = living.read(path).replace("import ", "import RunPython, RunSQL, ", 1)
    head, _, lines = text.partition("operations = [\n")
    own = OWN.format(wrong="UPDATE nowhere SET a = 1")
    living.write(path, f"{head}{PYTHON}\n\noperations = [\n{lines.rstrip().rstrip(']').rstrip()}{own}]\n")
    half = 6 if server.backend == "mysql" else 1
    refused = ok(living, "migrate", code=half)
    assert "two (2 of 2)" in refused.err and "Correct it in the migration, then run" in refused.err
    if half == 6:
        living.replace(path, "grams = grams + 1", "grams = grams + 2")
        refused = ok(living, "migrate", code=6)
        assert "that has already run was changed: two (1 of 2)." in refused.err
        living.replace(path, "grams = grams + 2", "grams = grams + 1")
    living.replace(path, "UPDATE nowhere SET a = 1", "UPDATE {life}.weight SET mood = 'calm'")
    refused = ok(living, "migrate", code=half)
    assert "one. wrong" in refused.err.replace("\n ", "") and "Traceback" not in refused.err
    living.replace(path, '    raise ValueError("wrong")\n', "")
    living.replace(path, "lambda connection, databases: False", "done")
    living.replace(path, "def run(", "def done(connection, databases):\n    return said\n\n\nsaid = []\n\n\ndef run(")
    living.replace(path, 'grams * 2")\n', 'grams * 2")\n    said.append(1)\n')
    ok(living, "migrate")
    assert rows(living, "[(r['grams'], r['mood']) for r in life.Weight.to_dicts(order_by='animal_id, day')]") == [
        [43.0, "calm"], [44.0, "calm"], [40.0, "calm"],
    ]  # fmt: skip
    assert states(living)["life"] == ("current", "1.1.0")
    assert not ok(living, "migrate").err


def test_an_index_that_mysql_would_not_take_stops_it_before_the_first_step(living: Project, server: Server) -> None:
    work = living.module("work")
    living.replace(work, "    task : varchar(16)", "    task : varchar(800)")
    ok(living, "revise", "-m", "longer")
    if server.backend == "postgresql":
        ok(living, "migrate")
        return
    refused = ok(living, "migrate", code=1)
    assert "An index over (animal_id, task) of work." in refused.err and "up to 3,204 bytes." in refused.err
    assert states(living)["work"] == ("behind", "1.0.0")


def test_a_schema_that_there_is_not_is_named_before_the_first_step(living: Project, server: Server) -> None:
    """And braces within a text are the text's."""
    living.replace(living.module("life"), "    grams : float64", "    mood = null : varchar(9)\n    grams : float64")
    ok(living, "revise", "-m", "mood")
    (path,) = (living.folder / "src/my_pipeline/migrations/life").glob("*_mood.py")
    text = path.read_text().replace("import ", "import RunSQL, ", 1).rstrip().removesuffix("]")
    for schema, code in (("schema", 1), ("life", 0)):
        sql = f"UPDATE {{{schema}}}.weight SET mood = '{{what}}.'"
        path.write_text(f'{text}    RunSQL("tell", mysql="{sql}", postgresql="{sql}"),\n]\n')
        result = ok(living, "migrate", code=code)
        if code:
            is_sentence(result)
            assert "{schema} in the RunSQL 'tell'" in result.err and "{life}" in result.err, result.err
            assert "{schema}" in living.run("check").out
    assert set(rows(living, "[r['mood'] for r in life.Weight.to_dicts()]")) == {"{what}."}


#: What somebody writes for a new ``grams : int32`` over ``grams : float64``, and what the server says of it.
EXPRESSIONS = [
    ("grms * 2", "grms"),
    ("concat(grams", "(syntax|SQL)"),
    ("1 / (grams - grams)", "(?i)division by (0|zero)"),
    ("grams * 1e300", "(?i)out of range"),
    ("concat('a', grams)", "(?i)incorrect integer|is of type integer|of type text"),
]


def test_an_expression_that_fails_is_tried_before_the_first_step(living: Project, server: Server) -> None:
    """The conversion of values, and values for a new attribute."""
    living.replace(living.module("life"), "    grams : float64", "    grams : int32")
    ok(living, "revise", "-m", "whole")
    (path,) = (living.folder / "src/my_pipeline/migrations/life").glob("*_whole.py")
    text = path.read_text().replace("import ", "import Sql, ", 1)

    def written(expression: str) -> None:
        sql = f"Sql(mysql={expression!r}, postgresql={expression!r})"
        path.write_text(text.replace('on that day"', f'on that day", using={sql}', 1))

    for expression, said in EXPRESSIONS:
        written(expression)
        dry, run = ok(living, "migrate", "--dry-run", code=1), ok(living, "migrate", code=1)
        is_sentence(run)
        for shown in (dry.out + dry.err, run.err):
            shown = " ".join(shown.split())
            assert "life.Weight has an expression for grams that fails" in shown and re.search(said, shown), shown
        assert states(living)["life"] == ("behind", "1.0.0")
    written("round(grams / 10)")
    ok(living, "migrate")
    assert rows(living, "sorted(r['grams'] for r in life.Weight.to_dicts())") == [2, 2, 2]
    assert ok(living, "status").code == 0


#: What is written of a new ``kilos : int32`` over ``grams : float64``, and what the server says of it.
RENAMED = [("klos / 1000", "klos"), ("kilos * 1e300", "(?i)out of range")]


@pytest.mark.parametrize("place", ["last", "first"])
def test_an_expression_calls_attributes_by_their_new_names(living: Project, server: Server, place: str) -> None:
    """It is tried before the first step, also where PostgreSQL builds the table anew for a new attribute before others."""
    life = living.module("life")
    new = {
        "last": ("    kilos : int32\n", "    pounds : float64\n"),
        "first": ("    pounds : float64\n", "    kilos : int32\n"),
    }
    living.replace(life, "    grams : float64  # on that day\n", "".join(new[place]))
    ok(living, "revise", "-m", "kilos", "--rename", "Weight.grams=kilos", "--fill", "Weight.pounds=0")
    (path,) = (living.folder / FOLDER / "life").glob("*_kilos.py")
    text = path.read_text().replace("import ", "import Sql, ", 1)

    def written(using: str, fill: str) -> None:
        sql = [f"Sql(mysql={words!r}, postgresql={words!r})" for words in (using, fill)]
        more = text.replace('"kilos : int32"', f'"kilos : int32", using={sql[0]}', 1)
        path.write_text(re.sub("fill=[^)]*", f"fill={sql[1]}", more, count=1))

    for using, said in RENAMED:
        for attribute, both in (("kilos", (using, "0")), ("pounds", ("kilos / 1000", using))):
            written(*both)
            if attribute == "pounds" and "1e300" in using:
                continue  # which a float64 holds
            for arguments in (("migrate", "--dry-run"), ("migrate",)):
                refused = ok(living, *arguments, code=1)
                shown = " ".join((refused.out + refused.err).split())
                assert f"life.Weight has an expression for {attribute} that fails" in shown, shown
                assert re.search(said, shown), shown
    assert states(living)["life"] == ("behind", "1.0.0")
    written("round(kilos / 10)", "2 * (animal_id + 1)")
    ok(living, "migrate")
    found = "sorted((r['kilos'], r['pounds']) for r in life.Weight.to_dicts())"
    assert rows(living, found) == [[2, 4.0], [2, 4.0], [2, 6.0]]
    assert ok(living, "status").code == 0


def test_an_expression_reads_what_the_same_migration_drops(living: Project) -> None:
    living.replace(living.module("life"), "    grams : float64  # on that day\n", "    kilos : float64\n")
    ok(living, "revise", "-m", "kilos", "--drop", "Weight.grams", "--fill", "Weight.kilos=0")
    (path,) = (living.folder / FOLDER / "life").glob("*_kilos.py")
    sql = "grams / 1000"
    text = re.sub("fill=[^)]*", f"fill=Sql(mysql={sql!r}, postgresql={sql!r})", path.read_text())
    path.write_text(text.replace("import ", "import Sql, ", 1))
    ok(living, "migrate")
    assert rows(living, "sorted(r['kilos'] for r in life.Weight.to_dicts())") == [0.019, 0.0205, 0.021]


def test_a_renamed_text_is_cut(living: Project) -> None:
    living.replace(living.module("life"), "    name : varchar(32)", "    nickname : varchar(2)")
    ok(living, "revise", "-m", "short", "--rename", "Animal.name=nickname")
    ok(living, "migrate", "--allow-data-loss")
    assert rows(living, "sorted(r['nickname'] for r in life.Animal.to_dicts())") == ["Ad", "Bo"]


#: An attribute, its type before and after, and two values that differ, of which the new type makes one.
ALIKE = {
    "a": ("varchar(9)", "varchar(3)", "'abcd'", "'abce'"),
    "b": ("decimal(5,2)", "decimal(4,1)", "1.11", "1.12"),
    "c": ("datetime(3)", "datetime", "'2026-01-01 00:00:00.123'", "'2026-01-01 00:00:00.124'"),
    "d": ("datetime", "date", "'2026-01-01 01:00:00'", "'2026-01-01 02:00:00'"),
    "e": ("float64", "float32", "0.1", "0.10000000000000002"),
    "f": ("float64", "int32", "1.25", "1.125"),
    "g": ("float32", "decimal(4,1)", "1.125", "1.0625"),
    "h": ("varchar(30)", "int32", "'07'", "'7'"),
}


def test_values_that_a_conversion_makes_equal_are_counted_where_each_may_be_there_once(
    living: Project, server: Server
) -> None:
    """Whether they may be cut or not; in a unique index, and in a key."""
    life = living.module("life")
    text = living.read(life)

    def lay(place: int) -> None:
        lines = "".join(f"    {name} : {types[place]}\n" for name, types in ALIKE.items())
        unique = "".join(f"    unique index ({name})\n" for name in ALIKE)
        spot = f'class Spot(dj.Manual):\n    definition = """\n    h : {ALIKE["h"][place]}\n    """\n'
        odd = f'class Odd(dj.Manual):\n    definition = """\n    odd : int32\n    ---\n{lines}{unique}    """\n'
        living.write(life, f"{text}\n\n@schema\n{odd}\n\n@schema\n{spot}")

    lay(0)
    ok(living, "revise", "-m", "odd")
    ok(living, "migrate")
    names = ", ".join(ALIKE)
    for row, place in ((1, 2), (2, 3)):
        values = ", ".join(types[place] for types in ALIKE.values())
        server.execute(
            f"INSERT INTO dev_life.odd (odd, {names}) VALUES ({row}, {values})",
            f"INSERT INTO dev_life.spot (h) VALUES ({ALIKE['h'][place]})",
        )
    lay(1)
    ok(living, "revise", "-m", "shorter")
    before = states(living)
    expected = {("life.Odd", name) for name in ALIKE} | {("life.Spot", "h")}
    for flags in ((), ("--allow-data-loss",)):
        shown = ok(living, "migrate", "--dry-run", "--json", *flags, code=1).json["groups"][0]["losses"]
        found = {(loss["table"], loss["attributes"][0]) for loss in shown if loss["kind"] == "duplicate"}
        assert found == expected, found ^ expected
        is_sentence(ok(living, "migrate", *flags, code=1))
        assert states(living) == before


@pytest.mark.parametrize("fails", ["by its rows", "as a step"])
def test_what_was_applied_before_a_refusal_is_named(living: Project, server: Server, fails: str) -> None:
    """All are judged before the first begins; only what the lab's own statements do to rows shows later."""
    first = "UPDATE {work}.task SET note = 'same'" if fails == "by its rows" else "UPDATE {work}.task SET note = note"
    second = (
        ""
        if fails == "by its rows"
        else "    RunSQL('two', mysql='UPDATE nowhere SET a = 1', postgresql='UPDATE nowhere SET a = 1'),\n"
    )
    for words, line, sql in (
        ("ones", "one = null : int32", f"    RunSQL('one', mysql={first!r}, postgresql={first!r}),\n"),
        ("uniques", "unique index (note)", second),
    ):
        living.replace(living.module("work"), "note = null : varchar(64)", f"note = null : varchar(64)\n    {line}")
        ok(living, "revise", "-m", words)
        path = next((living.folder / FOLDER / "work").glob(f"*_{words}.py"))
        text = path.read_text().replace("import ", "import RunSQL, ", 1).rstrip().removesuffix("]").rstrip()
        head, _, operations = text.partition("operations = [\n")
        path.write_text(f"{head}operations = [\n{sql}{operations}\n]\n")
    living.run("migrate", "--dry-run")
    refused = living.run("migrate")
    is_sentence(refused)
    said = " ".join(refused.err.split())
    assert "Before it, work 1.1.0 was applied; that stays." in said
    assert "othing was changed" not in said and "othing else was changed" in said
    assert states(living)["work"] == ("behind", "1.1.0")


@pytest.mark.parametrize("first", ["work.Task", "life.Animal"])
def test_two_refusals_have_one_exit_code(living: Project, first: str) -> None:
    """An error that no flag answers beside a loss that one does: dry run and migrate name it first, whichever comes first."""
    cut = ("life", "    name : varchar(32)", "    name : varchar(2)")
    one = ("life", "    grams : float64", "    grams : float64\n    unique index (grams)")
    other = ("work", "    note = null : varchar(64)\n", "    note : varchar(64)\n    unique index (note)\n")
    changes = [cut, one] if first == "life.Animal" else [cut, other]
    answers = () if first == "life.Animal" else ("--fill", "Task.note=well")
    for module, old, new in changes:
        living.replace(living.module(module), old, new)
    if first == "life.Animal":
        assert living.python("-c", WEIGH).code == 0
    ok(living, "revise", "-m", "two", *answers)
    before = states(living)
    shown = ok(living, "migrate", "--dry-run", "--json", code=1).json
    assert len(shown["refused"]) == 2
    refused = ok(living, "migrate", code=1)
    is_sentence(refused)
    assert "have in common" in refused.err and "There is one more like it" in refused.err
    assert states(living) == before


#: Two weights of one number.
WEIGH = """
from my_pipeline import life
key = dict(life.Weight.keys()[0])
life.Weight.insert1(dict(key, day="2031-01-01", grams=77.0))
life.Weight.insert1(dict(key, day="2031-01-02", grams=77.0))
"""
