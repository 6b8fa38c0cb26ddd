"""Drafts, on both backends: tables brought to the code at once, and from there to what the migrations say."""

from __future__ import annotations

import re

import pytest
from conftest import Project, Server
from living import kill_while_it_waits, ok, rows, states
from test_migrate import living as living

assert living  # a fixture

NAME = "    name : varchar(32)  # what it is called\n"
GRAMS = "    grams : float64"


def life(project: Project, old: str, new: str) -> None:
    project.replace(project.module("life"), old, new)


def drafts(project: Project) -> set[str]:
    return {s["name"] for s in project.run("status", "--json").json["schemas"] if s.get("draft")}


def kinds(project: Project, schema: str) -> list[tuple[str, str]]:
    runs = project.run("log", "--json").json["runs"]
    return [(run["kind"], run["version"]) for run in runs if run["schema"] == schema]


def grams(project: Project) -> list[float]:
    found: list[float] = rows(project, "sorted(r['grams'] for r in life.Weight.to_dicts())")
    return found


def test_drafts_follow_each_other_and_the_migration_only_changes_the_record(living: Project) -> None:
    life(living, GRAMS, "    mood = null : varchar(8)\n" + GRAMS)
    shown = ok(living, "migrate", "--draft", "--dry-run", "--json", code=3).json["groups"]
    assert any("mood" in s["sql"] for s in shown[0]["statements"]) and states(living)["life"] == ("current", "1.0.0")
    assert not drafts(living)
    told = ok(living, "migrate", "--draft").out
    assert re.search(r"life\s+\S*life\s+1\.0\.0\s+1\.0\.0\s+current\s+a draft after 1\.0\.0", told), told
    assert (states(living)["life"], drafts(living)) == (("current", "1.0.0"), {"life"})
    rows(living, "life.Weight.insert1((2, '2026-01-05', 'well', 18.5))")

    life(living, NAME, "    nickname : varchar(40)\n")
    life(living, GRAMS, "    unit : varchar(4)\n" + GRAMS)
    refused = ok(living, "migrate", "--draft", code=1).err
    assert "Say --rename Animal.name=nickname, or --drop Animal.name." in refused
    refused = ok(living, "migrate", "--draft", "--rename", "Animal.name=nickname", code=1).err
    assert "--fill life.Weight.unit=VALUE." in refused and "Traceback" not in refused
    answers = "--rename", "Animal.name=nickname", "--fill", "Weight.unit=g"
    ok(living, "migrate", "--draft", *answers)
    assert ok(living, "migrate", "--draft").out.count("a draft after") == 1
    assert kinds(living, "life") == [("init", "1.0.0"), ("draft", "1.0.0"), ("draft", "1.0.0")]
    assert rows(living, "[r['mood'] for r in life.Weight.to_dicts()]").count("well") == 1
    assert "It is a draft" in ok(living, "diff", code=3).out

    ok(living, "revise", "-m", "moods", *answers)
    assert (states(living)["life"], drafts(living)) == (("behind", "1.0.0"), {"life"})
    refused = living.python("-c", "from my_pipeline import life")
    assert refused.code and "it has a draft after 1.0.0, the code 2.0.0" in refused.err
    assert "life 2.0.0 moods is pending" in ok(living, "migrate", "--draft", code=3).err
    planned = ok(living, "migrate", "--dry-run", "--json", code=3).json["groups"]
    assert planned[0]["statements"] == [] and [rule["id"] for rule in planned[0]["rules"]] == ["draft"]
    ok(living, "migrate")
    assert (states(living)["life"], drafts(living)) == (("current", "2.0.0"), set())
    assert kinds(living, "life")[-1] == ("migrate", "2.0.0")
    assert rows(living, "sorted(r['nickname'] for r in life.Animal.to_dicts())") == ["Ada", "Bob"]
    assert rows(living, "[r['unit'] for r in life.Weight.to_dicts()]") == ["g"] * 4
    assert grams(living) == [18.5, 19.0, 20.5, 21.0]
    ok(living, "check")
    ok(living, "migrate")
    ok(living, "rollback", "life", "--to", "1.0.0")


def test_migrations_replace_whatever_the_draft_made(living: Project) -> None:
    """The draft renamed twice, dropped, added and moved; the files rename otherwise and keep what it dropped."""
    task = living.read(living.module("work"))
    life(living, NAME, "    moniker : varchar(32)\n")
    life(living, "    colour = \"grey\" : enum('grey', 'white')\n", "")
    living.replace(living.module("work"), "    note = null : varchar(64)\n", "    rating = 3 : int32\n")
    ok(
        living,
        "migrate",
        "--draft",
        "--rename",
        "Animal.name=moniker",
        "--drop",
        "Animal.colour",
        "--drop",
        "Task.note",
    )
    assert drafts(living) == {"life", "work"}
    told = ok(living, "purge", "--dry-run").out
    assert re.search(r"^life\.Animal\.colour, dropped on \S+ by a draft of life: ", told, re.MULTILINE), told
    assert re.search(r"^work\.Task\.note, dropped on \S+ by a draft of work: ", told, re.MULTILINE), told
    life(living, "    moniker", "    label")
    for _ in "12":  # the second time there is nothing left to do, and nothing to be answered
        ok(living, "migrate", "--draft", "--rename", "Animal.moniker=label")
    ok(living, "migrate", "--draft", "--rename", "Animal.moniker=label", "--dry-run")
    rows(living, "[life.Animal.insert1((3, 'Cy')), work.Task.insert1((3, 'rest', 5))]")
    # What becomes of it: another name, the colour under another name too, and work as it was.
    life(living, "    label : varchar(32)\n", "    name2 : varchar(48)\n    tint = \"grey\" : enum('grey', 'white')\n")
    living.write(living.module("work"), task)
    ok(living, "revise", "-m", "names", "--rename", "Animal.name=name2", "--rename", "Animal.colour=tint")
    assert states(living) == {"life": ("behind", "1.0.0"), "work": ("behind", "1.0.0")}
    ok(living, "migrate")
    assert states(living) == {"life": ("current", "2.0.0"), "work": ("current", "1.0.0")}
    assert not drafts(living) and ok(living, "diff").out.count("nothing changed") == 2
    found = rows(living, "life.Animal.to_dicts(order_by='animal_id')")
    assert [(r["name2"], r["tint"]) for r in found] == [("Ada", "grey"), ("Bob", "white"), ("Cy", "grey")]
    found = rows(living, "work.Task.to_dicts(order_by='animal_id')")
    assert [r["note"] for r in found] == ["well", None, None]
    assert kinds(living, "work")[-2:] == [("draft", "1.0.0"), ("migrate", "1.0.0")]


def test_a_draft_is_ended_without_a_migration(living: Project) -> None:
    """The code goes back; so do tables and keys, with every row of before and since."""
    before = living.read(living.module("life")), living.read(living.module("work"))
    life(living, "    animal_id : int32  # its number", "    animal : int64  # its number")
    living.replace(living.module("work"), "    note = null : varchar(64)\n", "")
    ok(living, "migrate", "--draft", "--rename", "Animal.animal_id=animal", "--drop", "Task.note")
    assert drafts(living) == {"life", "work"}
    rows(living, "[life.Animal.insert1((7, 'Eve', 'white')), work.Task.insert1((7, 'run'))]")
    refused = ok(living, "rollback", "life", "--to", "1.0.0", code=3).err
    assert "migrate life --to 1.0.0" in refused
    assert "is a draft" in ok(living, "adopt", "--again", code=3).err
    alone = ok(living, "migrate", "life", "--to", "1.0.0", code=1).err
    assert "cannot be migrated alone" in alone
    for name, text in zip(("life", "work"), before, strict=True):
        living.write(living.module(name), text)
    ok(living, "migrate")
    assert states(living) == {"life": ("current", "1.0.0"), "work": ("current", "1.0.0")} and not drafts(living)
    assert rows(living, "[r['note'] for r in work.Task.to_dicts(order_by='animal_id')]") == ["well", None, None]
    assert rows(living, "[len(life.Animal * life.Weight * work.Task), len(work.Score())]") == [3, 2]
    assert ok(living, "diff").out.count("nothing changed") == 2


def test_rows_are_worked_on_where_the_file_says_so_though_the_draft_went_further(living: Project) -> None:
    life(living, GRAMS, "    mass = 0 : float64\n" + GRAMS)
    ok(living, "migrate", "--draft")
    rows(living, "life.Weight.insert1((2, '2026-01-05', 4.5, 18.5))")
    ok(living, "revise", "-m", "mass")
    path = "src/my_pipeline/migrations/life/1.1.0_mass.py"
    words = 'RunSQL("weigh", mysql="UPDATE {life}.weight SET mass = grams WHERE mass = 0", '
    words += "postgresql='UPDATE {life}.weight SET mass = grams WHERE mass = 0'),\n]"
    text = living.read(path).replace("import AddAttribute", "import AddAttribute, RunSQL")
    living.write(path, text.rstrip().removesuffix("]") + "    " + words + "\n")
    ok(living, "migrate")
    assert states(living)["life"] == ("current", "1.1.0") and not drafts(living)
    assert rows(living, "sorted(r['mass'] for r in life.Weight.to_dicts())") == [4.5, 19.0, 20.5, 21.0]


def test_tables_come_and_go_in_drafts(living: Project) -> None:
    weight = living.read(living.module("life")).partition("\n\n@schema\nclass Weight")
    living.write(living.module("life"), weight[0] + "\n")
    ok(living, "migrate", "--draft")
    assert "is not there" not in ok(living, "status").out
    living.write(living.module("life"), "".join(weight))
    ok(living, "migrate", "--draft")
    assert grams(living) == [19.0, 20.5, 21.0]
    note = '\n\n@schema\nclass Note(dj.Manual):\n    definition = """\n    -> Animal\n    ---\n    text : varchar(9)\n    """\n'
    living.write(living.module("life"), "".join(weight) + note)
    ok(living, "migrate", "--draft")
    rows(living, "life.Note.insert1((1, 'big'))")
    ok(living, "revise", "-m", "notes")
    ok(living, "migrate")
    assert rows(living, "life.Note.to_dicts()") == [{"animal_id": 1, "text": "big"}]
    assert states(living)["life"] == ("current", "1.1.0")


def test_what_only_a_draft_had_can_still_be_said(living: Project) -> None:
    life(living, GRAMS, "    mood = null : varchar(8)\n" + GRAMS)
    refused = ok(living, "migrate", "--rename", "Weight.mood=humour").out
    assert "current" in refused  # nothing is due, so nothing had to be said
    ok(living, "migrate", "--draft")
    rows(living, "life.Weight.insert1((2, '2026-01-05', 'well', 18.5))")
    life(living, "    mood", "    humour")
    ok(living, "revise", "-m", "humour")
    shown = ok(living, "migrate", "--dry-run", "--json", code=3).json["groups"][0]["rules"]
    assert {"draft", "drop-attribute"} == {rule["id"] for rule in shown}
    done = ok(living, "migrate", "--rename", "Weight.mood=humour", "--fill", "Weight.humour=x").err
    assert "--fill life.Weight.humour answers no question" in done, done
    assert rows(living, "[r['humour'] for r in life.Weight.to_dicts()]").count("well") == 1


def test_an_answer_that_a_draft_does_not_need_is_named(living: Project) -> None:
    """But not where the draft is there already."""
    draft = ("migrate", "--draft", "--fill", "Weight.unit=g")
    life(living, GRAMS, "    unit : varchar(8)\n" + GRAMS)
    for _ in range(2):
        ok(living, *draft)
    life(living, GRAMS, "    mood = null : varchar(8)\n" + GRAMS)
    for more, code in ((("--dry-run",), 3), ((), 0)):
        named = ok(living, *draft, *more, code=code).err
        assert "--fill life.Weight.unit answers no question" in named and "life.Weight.mood" in named, named


def test_prod_knows_no_drafts(living: Project) -> None:
    before = living.run("log", "--json").json
    for more in ((), ("--dry-run",)):
        refused = ok(living, "--env", "prod", "migrate", "--draft", *more, code=1).err
        assert "prod knows no drafts" in refused and "revise" in refused
    assert ok(living, "migrate", "--draft", "--to", "1.0.0", code=2).err
    assert living.run("log", "--json").json == before


def test_a_draft_of_other_code_is_behind_and_says_so(living: Project) -> None:
    """As a colleague's branch, whose versions are the same, sees it."""
    before = living.read(living.module("life"))
    life(living, GRAMS, "    mood = null : varchar(8)\n" + GRAMS)
    ok(living, "migrate", "--draft")
    drafted = living.read(living.module("life"))
    assert (states(living)["life"], ok(living, "status").code) == (("current", "1.0.0"), 0)
    living.write(living.module("life"), before)
    told = " ".join(ok(living, "status", code=3).out.split())
    assert "behind" in told and "a draft after 1.0.0; It comes from other code than this." in told, told
    found = ok(living, "status", "--json", code=3).json["schemas"][0]
    assert found["drift"][1:] == ["Weight has an attribute mood that the code does not have."]
    warned = living.python("-c", "from my_pipeline import life", DJ_LOG_LEVEL="WARNING").err
    assert "is a draft after 1.0.0; my-pipeline --env" in " ".join(warned.split()), warned
    living.write(living.module("life"), drafted)
    assert ok(living, "status").code == 0


def test_a_change_behind_a_drafts_back_is_drift(living: Project) -> None:
    life(living, GRAMS, "    mood = null : varchar(8)\n" + GRAMS)
    ok(living, "migrate", "--draft")
    program = "from my_pipeline import life\nlife.schema.connection.query('ALTER TABLE %s ADD COLUMN x int')"
    assert living.python("-c", program % "' + life.Weight().full_table_name + '").code == 0
    found = ok(living, "status", "--json", code=4).json["schemas"][0]
    assert (found["state"], found["drift"], found["draft"]) == ("drifted", ["It is not as the draft left it."], True)
    ok(living, "migrate", "--draft")
    assert states(living)["life"] == ("current", "1.0.0")


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
@pytest.mark.parametrize("again", [("--draft",), ()])
def test_a_draft_that_was_killed_is_gone_on_with(living: Project, mysql: Server, again: tuple[str, ...]) -> None:
    before = living.read(living.module("life"))
    life(living, "    colour = \"grey\" : enum('grey', 'white')\n", "    size = 1 : int32\n")
    life(living, GRAMS, "    mood = null : varchar(8)\n" + GRAMS)
    statement = "^(ALTER|LOCK) TABLE.*dev_life"
    kill_while_it_waits(living, mysql, statement, "migrate", "--draft", "--drop", "Animal.colour")
    assert states(living)["life"] == ("interrupted", "1.0.0")
    assert "migrate --draft continues it" in " ".join(ok(living, "status", code=6).out.split())
    if not again:
        living.write(living.module("life"), before)
    ok(living, "migrate", *again)
    assert (states(living)["life"], drafts(living)) == (("current", "1.0.0"), {"life"} if again else set())
    found = rows(living, "life.Animal.to_dicts(order_by='animal_id')")
    assert [r.get("size") or r["colour"] for r in found] == ([1, 1] if again else ["grey", "white"])
    assert grams(living) == [19.0, 20.5, 21.0]


def test_a_new_schema_that_refers_to_what_only_a_draft_has(living: Project, server: Server) -> None:
    """Its first snapshot would lead nowhere; `revise` writes what it refers to, and then it is made."""
    cage = '\n\n@schema\nclass Cage(dj.Manual):\n    definition = "cage : int32"\n'
    living.write(living.module("life"), living.read(living.module("life")) + cage)
    ok(living, "migrate", "--draft")
    ok(living, "add-schema", "visit", "--depends", "life")
    module = living.read(living.module("visit"))
    head = module[: module.index("@schema")]
    living.write(
        living.module("visit"),
        f'{head}@schema\nclass Visit(dj.Manual):\n    definition = """\n    -> life.Cage\n    visit : int32\n    """\n',
    )
    refused = ok(living, "init", code=1)
    assert "The first snapshot of visit cannot be written; nothing was changed." in refused.err
    assert "visit.Visit refers to life.Cage, which is not there. No migration makes it yet." in refused.err
    assert "visit" not in {name for name, (state, _) in states(living).items() if state == "current"}
    ok(living, "revise", "-m", "cages")
    ok(living, "check")
    ok(living, "migrate")
    assert {state for state, _ in states(living).values()} == {"current"}
    assert rows(living, "len(__import__('my_pipeline.visit').visit.Visit())") == 0


SUBJECT = '''

@schema
class Subject(dj.Manual):
    definition = """
    subject : int32
    ---
    species : varchar(64)  # common name
    weight = null : float64  # grams
    """
'''
SPECIES = '''

@schema
class Species(dj.Manual):
    definition = """
    species : varchar(64)  # common name
    """
'''


def split(project: Project, server: Server, *, draft: bool) -> str:
    """A table with rows gets a parent and another unit; gives the path of the file that says so."""
    life = project.module("life")
    text = project.read(life)
    project.write(life, text + SUBJECT)
    ok(project, "revise", "-m", "subjects")
    ok(project, "migrate")
    server.execute("INSERT INTO dev_life.subject (subject, species, weight) VALUES (1, 'mouse', 1500), (2, 'rat', 500)")
    after = SUBJECT.replace("species : varchar(64)  # common name", "-> Species").replace("# grams", "# kilograms")
    project.write(life, text + SPECIES + after)
    if draft:
        ok(project, "migrate", "--draft", "--insert", "Species")
    ok(project, "revise", "-m", "species", "--insert", "Species")
    return "src/my_pipeline/migrations/life/1.2.0_species.py"


def weights(project: Project) -> list[tuple[str, float]]:
    found = rows(project, "[(r['species'], r['weight']) for r in life.Subject.to_dicts(order_by='subject')]")
    return [(species, weight) for species, weight in found]


def test_values_are_computed_beside_a_split_that_was_drafted(living: Project, server: Server) -> None:
    path = split(living, server, draft=True)
    text = living.read(path).replace(
        'kilograms")', 'kilograms", using=Sql(mysql="weight / 1000", postgresql="weight / 1000"))'
    )
    living.write(path, text.replace("import AddForeignKey, AlterAttribute, CreateTable", "import *"))
    ok(living, "check")
    ok(living, "migrate", "--dry-run", code=3)
    ok(living, "migrate")
    assert states(living)["life"] == ("current", "1.2.0") and not drafts(living)
    assert weights(living) == [("mouse", 1.5), ("rat", 0.5)]
    assert rows(living, "sorted(r['species'] for r in life.Species.to_dicts())") == ["mouse", "rat"]
    ok(living, "check")
    ok(living, "rollback", "life", "--to", "1.1.0")
    ok(living, "migrate")


@pytest.mark.parametrize("draft", [False, True])
def test_rows_are_worked_on_in_the_middle_of_a_split(living: Project, server: Server, draft: bool) -> None:
    """Between the line that says what a foreign key brings, and the one that adds the key."""
    path = split(living, server, draft=draft)
    text = living.read(path)
    place = text.index("    AddForeignKey(")
    sql = '"UPDATE {life}.subject SET weight = weight / 1000"'
    words = f'    RunSQL("weigh", mysql={sql}, postgresql={sql}),\n'
    text = text[:place] + words + text[place:]
    living.write(path, text.replace("import AddForeignKey, AlterAttribute, CreateTable", "import *"))
    ok(living, "migrate", "--dry-run", code=3)
    ok(living, "migrate")
    assert states(living)["life"] == ("current", "1.2.0") and not drafts(living)
    assert weights(living) == [("mouse", 1.5), ("rat", 0.5)]
    ok(living, "check")
