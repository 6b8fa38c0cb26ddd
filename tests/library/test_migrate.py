"""The story of a schema that changes, on both backends: revise, migrate, roll back, merge, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from conftest import Project, Server, git
from living import VERSION, lay, ok, put_back, rows, states
from living import living as made


@pytest.fixture
def living(project: Project, server: Server) -> Iterator[Project]:
    """A project with two schemas and rows, on either server."""
    with made(server, project) as own:
        yield own
    server.drop("dev_play")


LIBRARY = f"datajoint-pipeline {version('datajoint-pipeline')}"


def test_commit_is_that_of_the_project_whatever_git_is_told_elsewhere(living: Project, tmp_path: Path) -> None:
    for folder in (living.folder, tmp_path / "elsewhere"):
        folder.mkdir(exist_ok=True)
        git(folder, "init", "--quiet")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--allow-empty", f"--message={folder.name}")
    elsewhere = {"GIT_DIR": str(tmp_path / "elsewhere/.git"), "GIT_WORK_TREE": str(tmp_path / "elsewhere")}
    living.replace(living.module("life"), "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    ok(living, "revise", "-m", "moods")
    assert living.run("migrate", **elsewhere).code == 0
    runs = json.loads(ok(living, "log", "--json").out)["runs"]
    commit = git(living.folder, "rev-parse", "HEAD").strip()
    assert {r["code_commit"] for r in runs if r["kind"] == "migrate"} == {f"{commit}+"}


def test_every_run_names_the_version_of_the_library(living: Project) -> None:
    living.replace(living.module("life"), "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    ok(living, "revise", "-m", "moods")
    ok(living, "migrate")
    ok(living, "rollback", "life", "--to", "1.0.0")
    ok(living, "adopt", "--again", "life", code=3)
    ok(living, "migrate")
    living.replace(living.module("life"), "    grams : float64", "    unit = null : varchar(4)\n    grams : float64")
    ok(living, "migrate", "--draft")
    runs = ok(living, "log", "--json").json["runs"]
    assert {run["kind"] for run in runs} == {"init", "migrate", "rollback", "adopt", "draft"}
    assert [run["software"].split(", ")[1] for run in runs] == [LIBRARY] * len(runs)


def test_a_long_name_of_the_project_does_not_cut_off_the_version_of_the_library(living: Project) -> None:
    """The journal takes 255 characters."""
    program = """
from my_pipeline import pipeline
from datajoint_pipeline.project.provenance import software
for length in 8, 130, 200, 400:
    print(software(pipeline.connect(), "p" * length))
"""
    texts = [line for line in living.python("-c", program).out.splitlines() if line.startswith("p")]
    assert len(texts) == 4 and all(len(text) <= 255 for text in texts)
    for text in texts:
        project, *libraries, server = text.split(", ")
        assert project.startswith("pppppppp") and libraries[0] == LIBRARY
        assert server.startswith(("PostgreSQL ", "MySQL ")) and len(libraries) == 3


@pytest.mark.both_servers
def test_a_change_is_revised_reviewed_and_applied(living: Project) -> None:
    living.replace(
        living.module("life"), "    grams : float64", "    mood = null : varchar(8)  # of a :date:\n    grams : float64"
    )
    living.replace(living.module("life"), "    name : varchar(32)", "    nickname : varchar(40)")
    found = ok(living, "diff", "--json", code=3).json["schemas"]
    life = next(s for s in found if s["name"] == "life")
    assert life["proposed"] == "2.0.0"
    assert any("nickname" in text for text in life["questions"])
    assert "Weight: + mood = null : varchar(8)  # of a :date:" in life["code"]

    ok(living, "revise", "-m", "Moods and nicknames", "--rename", "Animal.name=nickname")
    folder = living.folder / "src/my_pipeline/migrations/life"
    assert sorted(path.name for path in folder.iterdir()) == [
        "1.0.0.txt",
        "2.0.0_moods_and_nicknames.py",
        "snapshot.txt",
    ]
    version = living.read(living.module("version"))
    assert version == VERSION.replace('"life": "1.0.0"', '"life": "2.0.0"')
    ok(living, "check")
    assert states(living)["life"] == ("behind", "1.0.0")
    shown = ok(living, "migrate", "--dry-run", "--json", code=3).json["groups"]
    assert [t["rows"] for t in shown[0]["tables"] if t["table"] == "life.Weight"] == [3]
    assert ":varchar(8):of a :date:" in ok(living, "migrate", "--dry-run", code=3).out  # which is no picture
    assert states(living)["life"] == ("behind", "1.0.0")

    ok(living, "migrate")
    assert states(living) == {"life": ("current", "2.0.0"), "work": ("current", "1.0.0")}
    assert rows(living, 'life.Animal.to_dicts(order_by="animal_id")')[0]["nickname"] == "Ada"
    assert rows(living, "[r['grams'] for r in life.Weight.to_dicts()]") == [20.5, 21.0, 19.0]
    assert rows(living, "len(life.Animal * work.Task * work.Score)") == 2
    ok(living, "revise", "-m", "again")
    assert len(list(folder.iterdir())) == 3
    ok(living, "migrate")
    assert ok(living, "diff").out.count("nothing changed") == 2


def test_what_was_dropped_comes_back_with_its_values_and_goes_with_purge(living: Project) -> None:
    living.replace(living.module("life"), "    name : varchar(32)  # what it is called\n", "")
    ok(living, "revise", "-m", "no names", "--drop", "Animal.name")
    ok(living, "migrate")
    assert "name" not in rows(living, "life.Animal().heading.names")
    ok(living, "rollback", "life", "--to", "1.0.0")
    assert states(living)["life"] == ("behind", "1.0.0")
    ok(living, "migrate")
    refused = ok(living, "purge", code=7)
    assert "2" in refused.err and "purge --allow-data-loss" in refused.err
    ok(living, "purge", "--allow-data-loss")
    assert states(living)["life"] == ("current", "2.0.0")


def test_a_primary_key_takes_everything_below_it_along(living: Project) -> None:
    living.replace(living.module("life"), "    animal_id : int32  # its number", "    animal : int64  # its number")
    ok(living, "revise", "-m", "wider key", "--rename", "Animal.animal_id=animal")
    ok(living, "migrate")
    assert states(living) == {"life": ("current", "2.0.0"), "work": ("current", "2.0.0")}
    assert rows(living, "sorted(r['animal'] for r in work.Score.to_dicts())") == [1, 2]
    assert rows(living, "len(life.Animal * life.Weight * work.Task)") == 3
    assert rows(living, "[(life.Animal & 'animal=1').delete(prompt=False), len(work.Score())][1]") == 1


#: A table whose foreign key has a name of its own.
FRIEND = """

@schema
class Friend(dj.Manual):
    definition = \"\"\"
    -> {}
    \"\"\"
"""


def test_foreign_keys_are_there_for_the_server_after_a_rename_beside_other_changes(living: Project) -> None:
    life, work, colour = living.module("life"), living.module("work"), "    colour = \"grey\" : enum('grey', 'white')\n"
    living.write(work, living.read(work) + FRIEND.format("life.Animal.proj(friend='animal_id')"))
    ok(living, "revise", "-m", "friends")
    ok(living, "migrate")
    living.replace(life, "    animal_id : int32  # its number", "    animal : int32  # its number")
    living.replace(life, colour, "")
    living.replace(life, "    name : varchar(32)", f"{colour}    name : varchar(32)")
    living.replace(work, "animal_id", "animal")
    ok(living, "revise", "-m", "order", "--rename", "Animal.animal_id=animal")
    ok(living, "migrate")
    living.replace(work, "-> life.Animal.proj(friend='animal')", "friend : int32")
    ok(living, "revise", "-m", "on their own")
    ok(living, "migrate")  # MySQL did not find the key that it was to drop
    assert rows(living, "len(work.Friend())") == 0


def test_a_placeholder_refuses_to_run(living: Project) -> None:
    living.replace(living.module("life"), "    grams : float64", "    unit : varchar(8)\n    grams : float64")
    found = ok(living, "revise", "-m", "units", "--json").json
    assert [q["kind"] for q in found["questions"]] == ["fill"]
    refused = ok(living, "migrate", code=1)
    assert "still to be decided" in refused.err
    assert any("open-question" in f["id"] for f in ok(living, "check", "--json", code=1).json["findings"])
    living.replace(f"src/my_pipeline/{'migrations/life/1.1.0_units.py'}", "fill=ASK", 'fill="g"')
    ok(living, "migrate")
    assert rows(living, "[r['unit'] for r in life.Weight.to_dicts()]") == ["g", "g", "g"]


def test_values_that_would_be_lost_are_counted_before_anything_runs(living: Project) -> None:
    living.replace(living.module("life"), "    name : varchar(32)", "    name : varchar(2)")
    ok(living, "revise", "-m", "short names")
    refused = ok(living, "migrate", code=7)
    assert "2 values of name" in refused.err and "--allow-data-loss" in refused.err
    assert states(living)["life"] == ("behind", "1.0.0")
    ok(living, "migrate", "--allow-data-loss")
    assert rows(living, "sorted(r['name'] for r in life.Animal.to_dicts())") == ["Ad", "Bo"]


#: Lets the record of the first migration be as release 0.5 wrote it: with digests of version 1.
RECORDED_BY_0_5 = """
from datajoint_pipeline.history import migration_files
from datajoint_pipeline.journal import steplog
from my_pipeline import pipeline

environment = pipeline.select()
connection = pipeline.connect(environment)
file = migration_files.read(pipeline.project.files)["life"].migrations[0]
version_1 = {"digest": file.digests_v1[0], "frame": file.frame_v1}
for (schema, run), head in steplog.heads(connection, {"life": environment.database("life")}).items():
    if head.get("digest"):
        members = [{**member, **version_1} for member in head["members"]]
        steplog.rewrite(connection, environment.database(schema), run, (), {**head, **version_1, "members": members})
"""


def test_an_edited_migration_is_found_out(living: Project) -> None:
    living.replace(living.module("life"), "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    ok(living, "revise", "-m", "moods")
    ok(living, "migrate")
    path = "src/my_pipeline/migrations/life/1.1.0_moods.py"
    text = living.read(path)
    living.write(path, text.replace('"""moods"""', '"""Moods, in one word."""\n\n# said by Ada'))
    ok(living, "migrate")
    recorded = living.python("-c", RECORDED_BY_0_5)
    assert recorded.code == 0, recorded.err
    assert states(living)["life"] == ("current", "1.1.0")
    ok(living, "migrate")
    living.write(path, text.replace("varchar(8)", "varchar(9)"))
    refused = ok(living, "migrate", code=5)
    assert "edited after it was applied" in refused.err


def test_a_migration_that_does_what_an_earlier_one_did_is_pending_too(living: Project) -> None:
    mood = ("    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    living.replace(living.module("life"), *mood)
    ok(living, "revise", "-m", "moods")
    living.replace(living.module("life"), *reversed(mood))
    ok(living, "revise", "-m", "no moods", "--drop", "Weight.mood")
    ok(living, "migrate")
    living.replace(living.module("life"), *mood)
    ok(living, "revise", "-m", "moods again")
    assert states(living)["life"] == ("behind", "2.0.0")
    ok(living, "migrate")
    assert states(living)["life"] == ("current", "2.1.0")
    assert "mood" in rows(living, "life.Weight().heading.names")


BAD = {
    "operations = [": "is not Python",
    "from datajoint_pipeline.migration import Explode\noperations = [Explode()]\n": "There is no operation Explode",
    "operations = ['drop everything']\n": "is not an operation",
    "x = 1\n": "has no list called operations",
    "from datajoint_pipeline.migration import DropTable\nfollows = '1.0.0'\noperations = [DropTable('Ghost')]\n": "no table Ghost",
    "follows = '0.9.0'\noperations = []\n": "follows 0.9.0",
    "follows = '1.0.0'\nrequires = {'work': '7.0.0'}\noperations = []\n": "requires work 7.0.0",
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Iterator[Project]:
    """The two schemas, made in ``local``."""
    own = Project(render(tmp_path_factory.mktemp("begun") / "my_pipeline"))
    lay(own)
    ok(own, "--env", "local", "init")
    yield own
    own.run("local", "stop")


@pytest.fixture
def own(begun: Project) -> Iterator[Project]:
    """That project, whose files are put back."""
    with put_back(begun.folder / "src"):
        yield begun


@pytest.mark.parametrize("text", BAD)
def test_a_bad_file_is_a_sentence(own: Project, text: str) -> None:
    own.write(own.module("version"), VERSION.replace('"life": "1.0.0"', '"life": "1.1.0"'))
    own.write("src/my_pipeline/migrations/life/1.1.0_bad.py", text)
    snapshot = own.read("src/my_pipeline/migrations/life/snapshot.txt")
    own.write("src/my_pipeline/migrations/life/1.0.0.txt", snapshot)
    own.write("src/my_pipeline/migrations/life/snapshot.txt", snapshot.replace("version 1.0.0", "version 1.1.0"))
    refused = own.run("revise", "-m", "next")
    refused = refused if refused.code else own.run("--env", "local", "migrate")
    assert refused.code in (1, 5), refused.out
    assert BAD[text] in refused.err
    assert "Traceback" not in refused.err and len(refused.err.strip().splitlines()) <= 3


def test_a_dry_run_shows_every_step(living: Project) -> None:
    """The lab's own statements and Python stand among the others, as they run."""
    life, path = living.module("life"), "src/my_pipeline/migrations/life/1.1.0_moods.py"
    living.replace(life, "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    ok(living, "revise", "-m", "moods")
    own = """    RunSQL("say it", mysql="UPDATE {life}.weight SET mood = 'well'", postgresql="UPDATE {life}.weight SET mood = 'well'"),
    RunPython("look", check=lambda connection, databases: True, run=lambda connection, databases: False),
]
"""
    living.write(path, living.read(path).replace("import ", "import RunPython, RunSQL, ", 1).replace("]\n", own, 1))
    (group,) = ok(living, "migrate", "--dry-run", "--json", code=3).json["groups"]
    steps = [(s["kind"], s["words"]) for s in group["statements"]]
    assert steps[-2:] == [("own", "say it"), ("python", "look")] and {kind for kind, _ in steps[:-2]} == {"sql"}
    text = ok(living, "migrate", "--dry-run", code=3).out
    assert "SET mood = 'well'" in text and "look" in text
    ok(living, "migrate")
    assert rows(living, "{r['mood'] for r in life.Weight.to_dicts()} == {'well'}")


def test_an_expression_for_the_other_server_alone_is_refused_before_the_first_step(living: Project) -> None:
    path = "src/my_pipeline/migrations/life/1.1.0_moods.py"
    living.replace(living.module("life"), "    grams : float64", "    mood : varchar(8)\n    grams : float64")
    ok(living, "revise", "-m", "moods", "--fill", "Weight.mood=well")
    backend = living.environment.get("DJ_BACKEND", "postgresql")
    other = {"mysql": "postgresql", "postgresql": "mysql"}[backend]
    text = (
        living.read(path).replace('fill="well"', f"fill=Sql({other}=\"'well'\")").replace("import ", "import Sql, ", 1)
    )
    living.write(path, text)
    for command in (("migrate", "--dry-run"), ("migrate",)):
        refused = ok(living, *command, code=1)
        assert f"An expression has no text for {backend}." in refused.err, refused.err
    assert states(living)["life"] == ("behind", "1.0.0")


def test_a_backslash_in_a_comment_is_what_a_fresh_declaration_has(project: Project, postgresql: Server) -> None:
    """PostgreSQL keeps it as it is written; MySQL reads it as the beginning of something else, as DataJoint sends it."""
    described = (
        "SELECT obj_description('dev_life.animal'::regclass), col_description('dev_life.animal'::regclass, attnum) "
        "FROM pg_attribute WHERE attrelid = 'dev_life.animal'::regclass AND attname = 'name'"
    )
    with made(postgresql, project) as own:
        life = own.module("life")
        own.replace(life, "# An animal", r"# from D:\\new\\table")
        own.replace(life, "# what it is called", r"# \\tau, C:\\\\x and a \"quote\"")
        ok(own, "revise", "-m", "paths")
        ok(own, "migrate")
        migrated = postgresql.execute(described)
        ok(own, "rollback", "life", "--to", "1.0.0")
        ok(own, "migrate")
        assert postgresql.execute(described) == migrated
        postgresql.drop("dev_work", "dev_life")
        ok(own, "init")
        assert postgresql.execute(described) == migrated and migrated[0][0] == r"from D:\new\table"
