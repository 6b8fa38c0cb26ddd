"""Databases that DataJoint 0.14 made: their types and objects are brought to the code, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import adopted_database as adopted
import pytest
from conftest import Project, Server
from living import ok


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


@pytest.fixture(scope="module")
def made(mysql: Server, render: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("adopted")
    project = Project(render(folder / "my_pipeline", schema_prefix="lab_"), environment=mysql.variables)
    values = adopted.load(mysql, folder / "store")
    adopted.adapt(project, folder / "store")
    yield Made(project, values, (tables(mysql), rows(mysql)))
    mysql.drop(*adopted.DATABASES.values())


def shown(project: Project) -> Any:
    result = project.python("-c", adopted.SHOW, MY_PIPELINE_ENV="prod")
    assert result.code == 0, result.err
    return json.loads(result.out.strip().splitlines()[-1])


#: Adopt types, and be gone before the first step after a table that has numbers of its own was changed.
DYING = """
import os
import my_pipeline
from datajoint_pipeline import cli
from datajoint_pipeline.executor import stepping
run, done = stepping.run, []
def dying(target, databases, log, hold, step, entry):
    if done and done[-1].rewrites and done[-1].tables[0].table == "subject":
        os._exit(9)
    done.append(step)
    return run(target, databases, log, hold, step, entry)
stepping.run = dying
cli.run(my_pipeline.pipeline, ["--env", "prod", "adopt", "--types"])
"""


def test_comments_change_with_the_foreign_keys_in_place(made: Made) -> None:
    shown = ok(made.project, "--env", "prod", "--json", "adopt", "--types", "colony", "--dry-run", code=3).json
    (group,) = shown["groups"]
    keys = [s["words"] for s in group["statements"] if "foreign key" in s["words"]]
    # Those of numbers without sign, which get another type; what refers to a text has another comment alone.
    assert keys and all("subject_id" in words for words in keys), keys
    assert len(keys) == len(set(keys))
    (line,) = [s for s in group["statements"] if s["words"] == "change line, change note in colony.Line"]
    assert line["algorithm"] == "INSTANT"
    tables = {table["table"]: table["change"] for table in group["tables"]}
    assert (tables["colony.Line"], tables["colony.Subject"]) == ("in an instant", "copied")


def test_killed_after_the_table_with_numbers_of_its_own_it_goes_back_and_on(made: Made, mysql: Server) -> None:
    project = made.project
    assert project.python("-c", DYING).code == 9
    ok(project, "--env", "prod", "status", code=6)
    ok(project, "--env", "prod", "adopt", "--undo")
    assert (tables(mysql), rows(mysql)) == made.before
    assert project.python("-c", DYING).code == 9
    ok(project, "--env", "prod", "adopt", "--types")
    count, wrong = adopted.differing(shown(project), made.values)
    assert not wrong and count > 100


#: A row whose object 0.14 would not know.
CAME = """
import numpy as np
from my_pipeline import rig
rig.Session.insert1({"subject_id": 2, "session": 1, "protocol": [1]})
rig.Scan.insert1({"subject_id": 2, "session": 1, "frames": np.arange(3)})
"""


def test_what_came_since_keeps_an_adoption_from_being_taken_back(made: Made) -> None:
    project = made.project
    done = project.python("-c", CAME, MY_PIPELINE_ENV="prod")
    assert done.code == 0, done.err
    refused = ok(project, "--env", "prod", "adopt", "--undo", code=7)
    assert "1 value in stores came since" in refused.err and "rig.Scan subject_id=2, session=1 (frames)" in refused.err
    gone = "from my_pipeline import rig; (rig.Session & {'subject_id': 2}).delete(prompt=False)"
    assert project.python("-c", gone, MY_PIPELINE_ENV="prod").code == 0
    ok(project, "--env", "prod", "status")


def test_taken_back_the_tables_are_what_they_were(made: Made, mysql: Server) -> None:
    done = ok(made.project, "--env", "prod", "adopt", "--undo")
    assert "Copies of objects stay in the store raw" in done.out and "~lineage" in done.out
    assert (tables(mysql), rows(mysql)) == made.before
    again = ok(made.project, "--env", "prod", "adopt", "--undo", code=1)
    assert "There is no adoption to take back" in again.err
    ok(made.project, "--env", "prod", "adopt", "--types")
    assert adopted.differing(shown(made.project), made.values)[1] == []
