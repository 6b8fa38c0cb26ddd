"""Databases that DataJoint 0.14 made: their types and objects are brought to the code, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import adopted_database as adopted
import pytest
from conftest import Project, Server
from living import ok

pytestmark = pytest.mark.in_order


def tables(mysql: Server) -> dict[str, str]:
    """Every table that 0.14 knows, as the server describes it; numbers have no display widths any more."""
    found = {}
    for database in adopted.DATABASES.values():
        for (table,) in mysql.execute(f"SHOW TABLES FROM `{database}`"):
            if not table.startswith(("~migration", "~lineage")):
                ((_, text),) = mysql.execute(f"SHOW CREATE TABLE `{database}`.`{table}`")
                found[f"{database}.{table}"] = text.replace("tinyint(1)", "tinyint")
    return found


def rows(mysql: Server) -> dict[str, Any]:
    """Every row as the server has it, with what 0.14 lists of its stores."""
    names = [name for name in tables(mysql) if not name.endswith("~log")]
    return {n: sorted(map(str, mysql.execute(f"SELECT * FROM `{'`.`'.join(n.split('.', 1))}`"))) for n in names}


@dataclass
class Made:
    """What 0.14.10 made: the project that adopts it, every value as it fetched it, tables and rows as they were."""

    project: Project
    values: dict[str, Any]
    before: tuple[dict[str, str], dict[str, Any]]
    store: Path


@pytest.fixture(scope="module")
def made(mysql: Server, render: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("adopted")
    project = Project(render(folder / "my_pipeline", schema_prefix="lab_"), environment=mysql.variables)
    values = adopted.load(mysql, folder / "store")
    adopted.adapt(project, folder / "store")
    yield Made(project, values, (tables(mysql), rows(mysql)), folder / "store")
    mysql.drop(*adopted.DATABASES.values())


def shown(project: Project) -> Any:
    result = project.python("-c", adopted.SHOW, MY_PIPELINE_ENV="prod")
    assert result.code == 0, result.err
    return json.loads(result.out.strip().splitlines()[-1])


#: Run a command, and be gone before a step: the first after some words, or one of some words. Or at an object.
DYING = """
import os
import my_pipeline
from datajoint_pipeline import cli
from datajoint_pipeline.executor import stepping
from datajoint_pipeline.internals.old_objects import OldObjects
run, stored, done = stepping.run, OldObjects.stored, []
def dying(target, databases, log, hold, step, entry):
    if {words!r} in done[-1:]:
        os._exit(9)
    done.append(step.words.partition(",")[0])
    return run(target, databases, log, hold, step, entry)
def leaving(*arguments):
    found = stored(*arguments)
    done.append("object")
    if done.count("object") == {objects}:
        os._exit(9)
    return found
stepping.run, OldObjects.stored = dying, leaving
cli.run(my_pipeline.pipeline, ["--env", "prod", "adopt", *{arguments}])
"""


def killed(project: Project, *arguments: str, words: str = "", objects: int = 0) -> None:
    """Run ``adopt`` and kill it after a step that begins with some words, or when so many objects were copied."""
    died = project.python("-c", DYING.format(arguments=arguments, words=words, objects=objects))
    assert died.code == 9, died.out + died.err
    ok(project, "--env", "prod", "status", code=6)


def test_comments_change_with_the_foreign_keys_in_place(made: Made) -> None:
    shown = ok(made.project, "--env", "prod", "--json", "adopt", "--types", "colony", "--dry-run", code=3).json
    (group,) = shown["groups"]
    keys = [s["words"] for s in group["statements"] if "foreign key (" in s["words"]]
    # Those of numbers without sign, which get another type; what refers to a text has another comment alone.
    assert keys and all("subject_id" in words for words in keys), keys
    assert len(keys) == len(set(keys))
    (line,) = [s for s in group["statements"] if s["words"] == "change line, change note in colony.Line"]
    assert line["algorithm"] == "INSTANT"
    tables = {table["table"]: table["change"] for table in group["tables"]}
    assert (tables["colony.Line"], tables["colony.Subject"]) == ("in an instant", "copied")


def test_where_the_tables_are_is_said_and_all_differences(made: Made, mysql: Server) -> None:
    project = made.project
    dev = ok(project, "--env", "dev", "adopt", code=3)
    assert "Those of colony are in lab_colony. Those of rig are in lab_rig." in dev.err
    assert " --env prod adopt" in dev.err and "prefix=" not in dev.err
    project.replace(project.module("__init__"), 'prefix="lab_"', 'prefix="other_"')
    names = ("#line", "subject", "survey")
    copies = [f"CREATE TABLE dev_x_colony.`{name}` LIKE lab_colony.`{name}`" for name in names]
    mysql.execute("CREATE DATABASE dev_x_colony", *copies)  # somebody's, of no lab from before
    other = ok(project, "--env", "prod", "adopt", code=3)
    assert "There are no tables in other_colony, other_rig." in other.err and 'Say prefix="lab_"' in other.err
    mysql.drop("dev_x_colony")
    assert "dev_x" not in other.err
    # One is found by a name of its own, and refers to what is not there by this prefix.
    version = project.read(project.module("version"))
    project.write(project.module("version"), version + 'SCHEMA_DATABASES = {"rig": "lab_rig"}\n')
    project.replace(project.module("__init__"), 'prefix="other_"', 'prefix="lab"')
    for command in (["adopt"], ["adopt", "--types", "--dry-run"]):
        wrong = ok(project, "--env", "prod", *command, code=4).err
        assert "Error: There is no labcolony, but a lab_colony: is the prefix right?" in wrong
        assert 'Say prefix="lab_"' in wrong and "lab_rig matches no version" in wrong
    project.write(project.module("version"), version)
    project.replace(project.module("__init__"), 'prefix="lab"', 'prefix="lab_"')
    both = ok(project, "--env", "prod", "adopt", code=4)
    assert "lab_colony, lab_rig match no versions of theirs" in both.err
    lines = both.err.splitlines()
    assert "Only types and comments differ; adopt --types changes them to those of the code" in lines[0]
    assert [line.split()[0] for line in lines[2:4]] == ["colony:", "rig:"], lines
    assert all(len(line) < 500 and line.endswith(" more.") for line in lines[2:4]) and len(lines) == 5, lines
    assert "colony: Line has" in both.err and "rig: Session has" in both.err and "adopt --types --dry-run" in both.err


def test_objects_that_are_missing_are_all_named_before_the_first_step(made: Made, mysql: Server) -> None:
    folder = made.store.rename(made.store.with_name("away"))
    gone = ok(made.project, "--env", "prod", "adopt", "--types", code=7)
    assert "rig.Scan has 2 objects of frames that cannot be copied: the store raw cannot be reached" in gone.err
    made.store.mkdir()
    said = ok(made.project, "--env", "prod", "adopt", "--types", code=7).err
    lost = [path for path in folder.rglob("*") if path.is_file()]
    assert len(lost) >= 6 and all(path.name in said for path in lost)
    made.store.rmdir()
    folder.rename(made.store)
    one = next(path for path in lost if path.suffix == ".csv").relative_to(folder)
    text = (made.store / one).read_text()
    (made.store / one).write_text("Something else")
    changed = ok(made.project, "--env", "prod", "adopt", "--types", code=7)
    assert "is not what was stored" in changed.err and one.name in changed.err
    (made.store / one).write_text(text)
    assert (tables(mysql), rows(mysql)) == made.before


def test_killed_it_goes_on_or_back(made: Made, mysql: Server) -> None:
    project = made.project
    killed(project, "--types", words="change subject_id")
    ok(project, "--env", "prod", "adopt", "--undo")
    assert (tables(mysql), rows(mysql)) == made.before
    killed(project, "--types", objects=3)
    killed(project, "--types", words="change subject_id")  # the table with numbers of its own
    state = " ".join(ok(project, "--env", "prod", "status", code=6).out.split())
    assert "interrupted adopt --types continues it, adopt --undo takes it back" in state and "migrate" not in state
    left = ok(project, "--env", "prod", "--json", "adopt", "--types", "--dry-run", code=6).json["groups"]
    assert len(left) == 1 and left[0]["done"] and left[0]["statements"]
    told = ok(project, "--env", "prod", "adopt", "--types", "--dry-run", code=6).out
    assert f"It was interrupted: {left[0]['done']} steps are done of " in told
    done = ok(project, "--env", "prod", "adopt").out  # whose words alone would change no table
    assert "Went on with adopt of colony, rig, which was interrupted after " in done and " steps done in " in done
    count, wrong = adopted.differing(shown(project), made.values)
    assert not wrong and count > 100


def test_who_meets_the_empty_database_of_the_default_is_told_of_the_adopted_one(made: Made) -> None:
    project = made.project
    adopted = ok(project, "--env", "prod", "adopt").out
    assert "Scripts and notebooks work on local unless MY_PIPELINE_ENV=prod is set." in adopted
    for environment, said in (("", True), ("local", False)):
        refused = project.python("-c", "from my_pipeline import colony", MY_PIPELINE_ENV=environment).err
        assert "there is no schema lab_colony" in refused and "--env local init" in refused
        assert ("the lab's database is that of prod: set MY_PIPELINE_ENV=prod" in refused) is said
    project.run("local", "stop")


#: A row whose number 0.14 could not hold, and one whose object it would not know.
CAME = """
import numpy as np
from my_pipeline import colony
colony.Subject.insert1({"subject_id": -5, "line": "cre", "born": "2024-01-01"})
from my_pipeline import rig
rig.Session.insert1({"subject_id": 2, "session": 1, "protocol": [1]})
rig.Scan.insert1({"subject_id": 2, "session": 1, "frames": np.arange(3)})
"""


def test_what_came_since_keeps_an_adoption_from_being_taken_back(made: Made, mysql: Server) -> None:
    project = made.project
    mysql.execute("ALTER TABLE lab_rig.session ADD odd int")
    changed = ok(project, "--env", "prod", "adopt", "--undo", code=4)
    assert "lab_rig.session has the columns" in changed.err and "odd" in changed.err
    mysql.execute("ALTER TABLE lab_rig.session DROP odd")
    done = project.python("-c", CAME, MY_PIPELINE_ENV="prod")
    assert done.code == 0, done.err
    refused = ok(project, "--env", "prod", "adopt", "--undo", code=7)
    assert "1 value in stores came since" in refused.err and "rig.Scan subject_id=2, session=1 (frames)" in refused.err
    gone = "from my_pipeline import rig; (rig.Session & {'subject_id': 2}).delete(prompt=False)"
    assert project.python("-c", gone, MY_PIPELINE_ENV="prod").code == 0
    refused = ok(project, "--env", "prod", "adopt", "--undo", code=7)
    assert "lab_colony.subject.subject_id that does not fit int unsigned: subject_id=-5." in refused.err
    gone = "from my_pipeline import colony; (colony.Subject & 'subject_id = -5').delete(prompt=False)"
    assert project.python("-c", gone, MY_PIPELINE_ENV="prod").code == 0
    ok(project, "--env", "prod", "status")


def test_clients_and_workers_of_0_14_are_found(made: Made, mysql: Server) -> None:
    def found() -> dict[str, str]:
        problems = made.project.run("--env", "prod", "--json", "doctor").json["problems"]
        return {problem["id"]: problem["what"] for problem in problems}

    assert not {"older-client", "older-worker"} & found().keys()
    with closing(mysql.connect()) as session, session.cursor() as cursor:
        cursor.execute('SHOW TABLE STATUS FROM `lab_rig` WHERE name="scan"')  # as 0.14.10 asks for a table
        cursor.execute(
            "INSERT INTO `lab_rig`.`~jobs` (table_name, key_hash, status, user, host, pid) "
            "VALUES ('__mean', 'x', 'reserved', 'anna@lab', 'node7', 4711)"
        )
        problems = found()
        cursor.execute("DELETE FROM `lab_rig`.`~jobs`")
    assert "session" in problems["older-client"]
    assert "lab_rig: anna@lab, process 4711 on node7" in problems["older-worker"]


def test_taken_back_the_tables_are_what_they_were(made: Made, mysql: Server) -> None:
    killed(made.project, "--undo", words="take back: add foreign key (frames) of rig.Scan")
    state = " ".join(ok(made.project, "--env", "prod", "status", code=6).out.split())
    assert "interrupted adopt --undo continues taking it back" in state and "--types" not in state
    for words in (("--types",), ("--types", "--dry-run")):
        refused = ok(made.project, "--env", "prod", "adopt", *words, code=6).err
        assert "An adoption is being taken back, and that was interrupted." in refused and "--undo once more" in refused
    done = ok(made.project, "--env", "prod", "adopt", "--undo")
    assert "Copies of objects stay in the store raw" in done.out and "~lineage" in done.out
    assert (tables(mysql), rows(mysql)) == made.before
    again = ok(made.project, "--env", "prod", "adopt", "--undo", code=1)
    assert "There is no adoption to take back" in again.err
    for name in ("colony", "rig"):  # one by one, and both back
        ok(made.project, "--env", "prod", "adopt", "--types", name, code=3 if name == "colony" else 0)
    assert adopted.differing(shown(made.project), made.values)[1] == []
    away = made.store.rename(made.store.with_name("away"))
    assert "the store raw cannot be reached" in ok(made.project, "--env", "prod", "adopt", "--undo", code=7).err
    away.rename(made.store)
    ok(made.project, "--env", "prod", "adopt", "--undo")
    assert (tables(mysql), rows(mysql)) == made.before


def test_what_was_adopted_together_is_not_taken_back_without_the_schema_that_was_migrated(
    made: Made, mysql: Server
) -> None:
    project = made.project
    ok(project, "--env", "prod", "adopt", "--types")
    project.replace(project.module("rig"), "    protocol : <blob>", "    room=null : int16\n    protocol : <blob>")
    ok(project, "revise", "rig", "-m", "add room")
    edited = ok(project, "--env", "prod", "adopt", "--undo", code=4).err.splitlines()
    assert edited[0] == "Error: The adoption of colony, rig cannot be taken back; nothing was changed."
    assert edited[1].startswith("  The code has to be what it was then") and "lab_rig" in edited[1], edited
    ok(project, "--env", "prod", "migrate")
    for names in ([], ["colony"]):
        refused = ok(project, "--env", "prod", "adopt", "--undo", *names, code=1).err
        assert "The adoption of colony, rig cannot be taken back; nothing was changed." in refused
        assert "changed lab_rig was migrate to rig 1.1.0, not an adoption." in refused and "journal" not in refused
    assert "lab_rig was migrate, not an adoption" in ok(project, "--env", "prod", "adopt", "--undo", "rig", code=1).err
    ok(project, "--env", "prod", "status")


def test_objects_that_0_14_lists_are_not_unused_to_it(made: Made, mysql: Server) -> None:
    """It deletes what no foreign key refers to, files of ``filepath`` too, which DataJoint 2 still reads."""
    unused = "SELECT COUNT(*) FROM lab_rig.`~external_raw` WHERE hash NOT IN (SELECT hash FROM lab_rig.`~kept_raw`)"
    referring = (
        "SELECT table_name, column_name FROM information_schema.key_column_usage "
        "WHERE referenced_table_schema = 'lab_rig' AND referenced_table_name = '~external_raw'"
    )
    ok(made.project, "--env", "prod", "adopt", "--types")
    assert mysql.execute(referring) == [("~kept_raw", "hash")] and mysql.execute(unused) == [(0,)]
    assert adopted.differing(shown(made.project), made.values)[1] == []
    ok(made.project, "--env", "prod", "status")
    deleted = "from my_pipeline import colony; colony.Line.delete(prompt=False)"
    assert made.project.python("-c", deleted, MY_PIPELINE_ENV="prod").code == 0
