"""A database that was there before the project: its tables are held against the code, its versions recorded, its rows kept."""

from __future__ import annotations

import json
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import adopted_pipelines as pipelines
import adopted_tables as tables
import pytest
from adopting import edit, found, fresh, readiness, write
from conftest import Project, Server, git


@pytest.fixture
def legacy(copied: dict[str, Path], tmp_path: Path, mysql: Server) -> Iterator[Project]:
    """A database as 0.14 made it, with rows, and the code once a person has changed what was reported."""
    folder = fresh(copied, "odours", tmp_path)
    statements = ["odour_sniffing", "odour_colony"]
    mysql.execute(*(f"DROP DATABASE IF EXISTS `{name}`" for name in statements))
    mysql.execute(*tables.LEGACY_TABLES, *tables.LEGACY_ROWS)
    readiness(folder, "--convert", "--write")
    subprocess.run("git mv -k odours/* src/odours/", shell=True, cwd=folder, check=True)
    edit(folder, pipelines.LEGACY_EDITS)
    (whole,) = (row["do"] for row in found(folder) if row["rule"] == "no-pyproject")
    lines = [line for line in whole.splitlines() if not line or line.startswith("    ")]
    (folder / "pyproject.toml").write_text(textwrap.dedent("\n".join(lines)), encoding="utf-8")
    git(folder, "rm", "--quiet", "setup.py", "dj_local_conf.json")
    (folder / "requirements.txt").unlink()
    project = Project(folder, "odours", environment=mysql.variables)
    yield project
    project.run("local", "stop")
    mysql.execute(*(f"DROP DATABASE IF EXISTS `{name}`" for name in statements))


FETCH = """
import json
from odours import colony, sniffing
session = (sniffing.Session & {"subject_id": 7}).fetch1()
survey = colony.Survey.fetch1()
other = (sniffing.Session & {"subject_id": 4000000000}).fetch1()
print(json.dumps({
    "subjects": len(colony.Subject()), "weight": (colony.Subject & {"subject_id": 7}).fetch1("weight"),
    "flow": session["protocol"]["flow"].tolist(), "manual": open(session["manual"]).read(),
    "cost": str(session["cost"]), "practice": session["practice"], "none": other["manual"],
    "trace": sniffing.Trace.fetch1("flow").tolist(), "onsets": sniffing.Trace.Sniff.to_arrays("onset").tolist(),
    "notes": (colony.Subject & {"subject_id": 7}).fetch1("notes"),
    "survey": [str(survey[n]) for n in ("moment", "tag", "tiny", "small", "medium", "big", "huge", "flag", "ratio",
               "share", "code", "year", "clock", "tags", "story", "label")],
    "joined": len(colony.Subject * sniffing.Session * sniffing.Trace.Sniff),
}))
sniffing.Session.insert1({"subject_id": 7, "session": 3, "rig": "left", "protocol": {"flow": [1, 2]}})
sniffing.Trace.populate()
print(len(sniffing.Trace()))
"""


def test_a_database_of_0_14_is_adopted_with_its_rows(legacy: Project, mysql: Server) -> None:
    ready = readiness(legacy.folder)
    assert ready.returncode == 0, ready.stdout
    checked = legacy.run("check")
    assert checked.code == 0, checked.out + checked.err
    assert legacy.run("--env", "prod", "status").code == 3
    refused = legacy.run("--env", "prod", "adopt")
    assert refused.code == 4
    assert "has `subject_id : int unsigned  # number` instead of `subject_id : int64  # number`" in refused.err
    assert "adopt --types --dry-run" in refused.err
    shown = legacy.run("--env", "prod", "adopt", "--types", "--dry-run")
    assert shown.code == 3 and "Nothing was changed." in shown.out and "int unsigned" not in shown.out
    assert mysql.execute("SHOW TABLES FROM `odour_colony` LIKE '~mig%'") == []
    done = legacy.run("--env", "prod", "--json", "adopt", "--types")
    assert done.code == 0, done.out + done.err
    assert {s["name"]: s["state"] for s in done.json["schemas"]} == {"colony": "current", "sniffing": "current"}
    for again in ("adopt", "status", "migrate"):
        stands = legacy.run("--env", "prod", "--json", again)
        assert stands.code == 0, stands.out + stands.err
    told = legacy.python("-c", FETCH, ODOURS_ENV="prod")
    assert told.code == 0, told.err
    values, populated = told.out.strip().splitlines()[-2:]
    assert json.loads(values) == {
        "subjects": 2, "weight": 21.5, "flow": [0.5, -1.5, 2.25], "manual": "Sniff.", "cost": "12.50", "practice": 1,
        "none": None, "trace": [0.0, 1.0, 2.0, 3.0, 4.0], "onsets": [0.25, 0.5], "joined": 2,
        "notes": "Müller",
        "survey": [
            "2019-04-01 12:30:00", "00112233-4455-6677-8899-aabbccddeeff", "255", "65535", "-8388608",
            "-9223372036854775808", "9223372036854775807", "1", "0.1", "12.345", "abcd", "2019", "8:15:00",
            "{'a': [1, 2]}", "Once.", "[0. 1. 2. 3. 4.]",
        ],
    }  # fmt: skip
    assert populated == "3"
    bytes_now = mysql.execute("SELECT HEX(protocol) FROM `odour_sniffing`.`session` WHERE session = 2")
    assert bytes_now == [(tables.PROTOCOL.upper(),)]


def test_what_more_differs_is_listed_and_nothing_is_touched(legacy: Project, mysql: Server) -> None:
    mysql.execute(
        "ALTER TABLE `odour_colony`.`subject` ADD COLUMN cage int NOT NULL DEFAULT 0",
        "ALTER TABLE `odour_colony`.`subject` MODIFY notes varchar(200) NULL",
    )
    before = mysql.execute("SHOW CREATE TABLE `odour_colony`.`subject`")
    refused = legacy.run("--env", "prod", "adopt", "--types")
    assert refused.code == 4
    assert "has an attribute cage that the code does not have" in refused.err
    assert "Change the code to what the database has" in refused.err
    assert mysql.execute("SHOW CREATE TABLE `odour_colony`.`subject`") == before
    assert mysql.execute("SHOW TABLES FROM `odour_sniffing` LIKE '~mig%'") == []


@pytest.mark.parametrize("key", [True, False])
def test_objects_of_0_14_in_a_store_that_is_not_there_are_refused(legacy: Project, mysql: Server, key: bool) -> None:
    number = "82a4534fd4675dacfa195f4764014c40"
    mysql.execute(
        "CREATE TABLE `odour_colony`.`~external_raw` (`hash` binary(16) NOT NULL COMMENT ':uuid:', PRIMARY KEY (`hash`))",
        "ALTER TABLE `odour_colony`.`subject` ADD photo binary(16) DEFAULT NULL COMMENT ':blob@raw:'",
        f"INSERT INTO `odour_colony`.`~external_raw` VALUES (X'{number}')",
        f"UPDATE `odour_colony`.`subject` SET photo = X'{number}' WHERE subject_id = 7",
    )
    if key:
        mysql.execute(
            "ALTER TABLE `odour_colony`.`subject` ADD FOREIGN KEY (photo) REFERENCES `odour_colony`.`~external_raw` (hash) "
            "ON UPDATE RESTRICT ON DELETE RESTRICT"
        )
    before = "entered=CURRENT_TIMESTAMP : timestamp\n"
    settings = json.loads(legacy.read("datajoint.json"))
    settings["stores"] = {"raw": {"protocol": "file", "location": str(legacy.folder / "nowhere")}}
    legacy.write("datajoint.json", json.dumps(settings))
    for type_, answers in (("<blob>", ("blob@store is <blob@store>", 4)), ("<blob@raw>", ("cannot be reached", 7))):
        changed = f"entered=CURRENT_TIMESTAMP : timestamp\n    photo=null : {type_}\n"
        edit(legacy.folder, {"src/odours/colony.py": [(before, changed)]})
        for snapshot in (legacy.folder / "src/odours/migrations/colony").glob("*"):
            snapshot.unlink()
        refused = legacy.run("--env", "prod", "adopt", "--types")
        assert refused.code == answers[1], refused.out + refused.err
        assert answers[0] in refused.err and "photo" in refused.err
        before = changed
    assert mysql.execute("SHOW TABLES FROM `odour_colony` LIKE '~mig%'") == []


def test_values_that_a_type_cannot_hold_stop_it(legacy: Project, mysql: Server) -> None:
    mysql.execute("UPDATE `odour_sniffing`.`session` SET practice = 5 WHERE session = 2")
    mysql.execute("ALTER TABLE `odour_sniffing`.`session` MODIFY cost bigint unsigned NOT NULL DEFAULT 0")
    mysql.execute("UPDATE `odour_sniffing`.`session` SET cost = 18446744073709551615 WHERE session = 2")
    edit(legacy.folder, {"src/odours/sniffing.py": [("decimal(8,2)", "int64")]})
    refused = legacy.run("--env", "prod", "adopt", "--types")
    assert refused.code == 7, refused.err
    assert "Give the attribute a type that holds them" in refused.err
    assert mysql.execute("SELECT cost FROM `odour_sniffing`.`session` WHERE session = 2") == [(18446744073709551615,)]


@pytest.mark.parametrize("order", [("colony", "sniffing"), ("sniffing", "colony")])
def test_schemas_are_adopted_one_by_one(legacy: Project, order: tuple[str, str]) -> None:
    states = {"colony": "unrecorded", "sniffing": "unrecorded"}
    for name in order:
        done = legacy.run("--env", "prod", "--json", "adopt", "--types", name)
        states[name] = "current"
        assert done.code in (0, 3), done.out + done.err
        status = legacy.run("--env", "prod", "--json", "status").json
        assert {s["name"]: s["state"] for s in status["schemas"]} == states
    told = legacy.python("-c", FETCH, ODOURS_ENV="prod")
    assert told.code == 0, told.err


#: Adopt, and be gone in the middle of it.
DYING = """
import os
import odours
from datajoint_pipeline import cli
from datajoint_pipeline.executor import stepping
run, done = stepping.run, []
def dying(*arguments):
    done.append(1)
    if len(done) == 4:
        os._exit(9)
    return run(*arguments)
stepping.run = dying
cli.run(odours.pipeline, ["--env", "prod", "adopt", "--types"])
"""


def test_an_interrupted_adoption_is_gone_on_with(legacy: Project) -> None:
    assert legacy.python("-c", DYING).code == 9
    assert legacy.run("--env", "prod", "status").code == 6
    done = legacy.run("--env", "prod", "--json", "adopt", "--types")
    assert done.code == 0, done.out + done.err
    assert {s["state"] for s in done.json["schemas"]} == {"current"}
    told = legacy.python("-c", FETCH, ODOURS_ENV="prod")
    assert told.code == 0, told.err


def test_a_database_of_2_is_adopted_as_it_is(
    copied: dict[str, Path], tmp_path: Path, mysql: Server, template: Path
) -> None:
    mysql.execute("DROP DATABASE IF EXISTS whisk_videos", "DROP DATABASE IF EXISTS whisk_mice")
    before = Project(write(tmp_path / "before", pipelines.MODERN), "whisking", environment=mysql.variables)
    made = before.python(
        "-c",
        "import numpy as np\nfrom whisking import mice, videos\n"
        "mice.Mouse.insert1({'mouse': 1, 'strain': 'wild', 'weight': 20.5})\n"
        "videos.Video.insert1({'mouse': 1, 'video': 2, 'angles': np.array([1.0, 4.0])})\nvideos.Amplitude.populate()",
    )
    assert made.code == 0, made.err
    project = Project(fresh(copied, "whisking", tmp_path), "whisking", environment=mysql.variables)
    readiness(project.folder, "--convert", "--write")
    edit(project.folder, pipelines.MODERN_EDITS)
    try:
        checked = project.run("check")
        assert checked.code == 0, checked.out + checked.err
        adopted = project.run("--env", "prod", "--json", "adopt")
        assert adopted.code == 0, adopted.out + adopted.err
        assert {s["state"] for s in adopted.json["schemas"]} == {"current"}
        told = project.python(
            "-c", "from whisking import videos; print(videos.Amplitude.fetch1('amplitude'))", WHISKING_ENV="prod"
        )
        assert told.out.split()[-1] == "3.0", told.err
        mysql.execute("ALTER TABLE whisk_mice.mouse ADD COLUMN cage int")
        drifted = project.run("--env", "prod", "status")
        assert drifted.code == 4 and "has an attribute cage that the code does not have" in drifted.out
    finally:
        project.run("local", "stop")
        mysql.execute("DROP DATABASE IF EXISTS whisk_videos", "DROP DATABASE IF EXISTS whisk_mice")
