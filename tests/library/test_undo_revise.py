"""`revise --undo` and `--again`: what was just written is taken back, and nothing that anybody else may have."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import Project, Server, git
from living import LIFE, in_words, lay, living, ok, rows, states

from datajoint_pipeline.cli import render

NAME = "    name : varchar(32)  # what it is called\n"
NICKNAME = ("life", NAME, "    nickname : varchar(40)\n    moniker : varchar(40)\n")
GRAMS = "    grams : float64"
MOOD = ("life", GRAMS, "    mood = null : varchar(8)\n" + GRAMS)
UNIT = ("life", GRAMS, "    unit : varchar(4)\n" + GRAMS)
TASK_NOTE = ("work", "    note = null", "    rank = null : int32\n    note = null")
#: A key changes, and with it the tables of the other schema.
KEY = ("life", "    animal_id : int32  # its number", "    animal_id : int64  # its number\n    site = 1 : int16")

MIGRATIONS = "src/my_pipeline/migrations"


@pytest.fixture
def written(tmp_path: Path, render: Callable[..., Path]) -> Project:
    """Two schemas with their first snapshots; there is no server."""
    own = Project(render(tmp_path / "my_pipeline"), environment={"MY_PIPELINE_ENV": "local"})
    lay(own)
    ok(own, "revise", "-m", "start")
    return own


def edit(own: Project, change: tuple[str, str, str]) -> None:
    module, old, new = change
    own.replace(own.module(module), old, new)


def back(own: Project, change: tuple[str, str, str]) -> None:
    module, old, new = change
    own.replace(own.module(module), new, old)


def files(own: Project) -> dict[str, bytes]:
    """Everything that says which versions there are."""
    package = own.folder / "src/my_pipeline"
    paths = [package / "version.py", *(package / "migrations").rglob("[!.]*.*")]
    return {str(path.relative_to(package)): path.read_bytes() for path in paths}


def refused(own: Project, *arguments: str, code: int = 1) -> str:
    """What a command says that changes no file."""
    before = files(own)
    result = ok(own, *arguments, code=code)
    assert in_words(result.err), result.err
    assert files(own) == before
    return str(result.err)


def commit(own: Project, message: str) -> str:
    git(own.folder, "init", "--quiet")
    git(own.folder, "add", "--all")
    git(own.folder, "commit", "--quiet", f"--message={message}")
    return git(own.folder, "log", "-1", "--format=%h").strip()


@pytest.mark.parametrize(("names", "words"), [(["life"], "It is not"), (["life", "work"], "They are not")])
def test_one_file_and_several_are_spoken_of_as_such(
    names: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = SimpleNamespace(root=tmp_path, program="my-pipeline")
    found = SimpleNamespace(
        versions={name: ("1.0.0", "1.1.0") for name in names}, migration=lambda name: None, message="m"
    )
    render.undone(project, found, ["local"])  # type: ignore[arg-type]
    assert f"{words} applied to local; other databases were not asked." in " ".join(capsys.readouterr().out.split())


# --- What comes back -------------------------------------------------------------------------------------------------


def test_a_wrong_answer_is_taken_back_to_the_byte(written: Project) -> None:
    before = files(written)
    edit(written, NICKNAME)
    told = ok(written, "revise", "-m", "names", "--rename", "Animal.name=moniker", "--fill", "Animal.nickname=x").out
    assert "this takes them back: " in told and told.rstrip().endswith(" revise --undo")
    told = ok(written, "revise", "--undo").out
    assert "life 2.0.0 → 1.0.0" in told and "2.0.0_names.py is deleted" in told
    assert files(written) == before
    assert not (written.folder / ".local/pg").exists()  # no server is made to be asked
    ok(written, "revise", "-m", "names", "--rename", "Animal.name=nickname", "--fill", "Animal.moniker=x")
    assert "'name', 'nickname'" in written.read(f"{MIGRATIONS}/life/2.0.0_names.py").replace('"', "'")
    assert not [f for f in ok(written, "check", "--json").json["findings"]]


def test_one_after_the_other_is_taken_back_the_last_first(written: Project) -> None:
    """Of a schema where one is named; and in the end the first snapshots, with which it began."""
    first = files(written)
    edit(written, MOOD)
    ok(written, "revise", "-m", "moods")
    moods = files(written)
    edit(written, UNIT)
    ok(written, "revise", "-m", "units", "--fill", "Weight.unit=g")
    edit(written, TASK_NOTE)
    ok(written, "revise", "-m", "ranks")
    ranks = {name: content for name, content in files(written).items() if name.startswith("migrations/work")}
    undone = ok(written, "revise", "--undo", "life", "--json").json
    assert [(row["name"], row["version"], row["previous"]) for row in undone["undone"]] == [("life", "1.2.0", "1.1.0")]
    assert undone["undone"][0]["file"] == f"{MIGRATIONS}/life/1.2.0_units.py" and undone["message"] == "units"
    kept = {name: content for name, content in files(written).items() if name.startswith("migrations/work")}
    assert kept == ranks and "\"work\": '1.1.0',  # and this one" in written.read(written.module("version"))
    ok(written, "revise", "--undo")
    assert files(written) == moods
    ok(written, "revise", "--undo")
    assert files(written) == first
    told = ok(written, "revise", "--undo").out
    assert "the first snapshot is deleted" in told and not [n for n in files(written) if n.endswith(".txt")]
    assert "no revise of this project" in refused(written, "revise", "--undo")


def test_what_was_taken_back_by_hand_is_not_taken_for_the_last(written: Project) -> None:
    edit(written, MOOD)
    ok(written, "revise", "-m", "moods")
    commit(written, "Moods")
    edit(written, UNIT)
    ok(written, "revise", "-m", "units", "--fill", "Weight.unit=g")
    git(written.folder, "checkout", "--", ".")
    (written.folder / MIGRATIONS / "life/1.2.0_units.py").unlink()
    assert "1.1.0_moods.py is committed" in refused(written, "revise", "--undo")


def test_all_schemas_of_one_run_go_together_and_the_rest_is_in_order(written: Project) -> None:
    edit(written, MOOD)
    ok(written, "revise", "-m", "moods")
    before = files(written)
    edit(written, KEY)
    made = ok(written, "revise", "-m", "keys", "--json").json["schemas"]
    assert {row["name"] for row in made} == {"life", "work"}
    assert 'requires = {"life"' in written.read(f"{MIGRATIONS}/work/{made[1]['version']}_keys.py")
    written.replace(written.module("version"), '__version__ = "0.1.0"', '__version__ = "0.2.0"')
    undone = ok(written, "revise", "--undo", "work", "--json").json["undone"]
    assert {row["name"] for row in undone} == {"life", "work"}
    assert '__version__ = "0.2.0"' in written.read(written.module("version"))
    written.replace(written.module("version"), '__version__ = "0.2.0"', '__version__ = "0.1.0"')
    found = ok(written, "check", "--json", code=1).json["findings"]
    assert {finding["id"] for finding in found} == {"not-revised"}
    back(written, KEY)
    ok(written, "check")
    assert {n: c for n, c in files(written).items() if n != "version.py"} == {
        n: c for n, c in before.items() if n != "version.py"
    }


# --- What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "edited", ["a comment", "a decision", "a snapshot", "a version", "a migration that came since"]
)
def test_what_somebody_edited_is_not_taken_back(written: Project, edited: str) -> None:
    edit(written, UNIT)
    ok(written, "revise", "-m", "units")
    file, snapshot = f"{MIGRATIONS}/life/1.1.0_units.py", f"{MIGRATIONS}/life/snapshot.txt"
    match edited:
        case "a comment":
            written.write(file, written.read(file) + "# agreed with Ada\n")
        case "a decision":
            written.replace(file, "fill=ASK", 'fill="g"')
        case "a snapshot":
            written.replace(snapshot, "# An animal", "# an animal")
        case "a version":
            written.replace(written.module("version"), '"life": "1.1.0"', '"life": "1.1.1"')
        case _:
            written.write(f"{MIGRATIONS}/life/1.2.0_of_ada.py", 'follows = "1.1.0"\noperations = []\n')
            written.replace(snapshot, "version 1.1.0", "version 1.2.0")
            written.replace(written.module("version"), '"life": "1.1.0"', '"life": "1.2.0"')
    assert "is not as revise wrote it" in refused(written, "revise", "--undo")
    assert "is not as revise wrote it" in refused(written, "revise", "--again", "--fill", "Weight.unit=mg")


def test_what_is_committed_is_not_taken_back(written: Project) -> None:
    """On any branch; what was only staged, or committed and taken back, is nobody else's."""
    commit(written, "Begin")
    edit(written, MOOD)
    ok(written, "revise", "-m", "moods")
    made = commit(written, "Moods")
    told = refused(written, "revise", "--undo")
    assert "1.1.0_moods.py is committed" in told and made in told
    git(written.folder, "branch", "pushed")
    git(written.folder, "reset", "--quiet", "--soft", "HEAD~1")
    assert made in refused(written, "revise", "--undo")
    git(written.folder, "branch", "-D", "pushed")
    ok(written, "revise", "--undo")
    git(written.folder, "reset", "--quiet")
    back(written, MOOD)
    assert git(written.folder, "status", "--porcelain") == ""


def test_what_another_migration_builds_on_is_not_taken_back(written: Project) -> None:
    rig = LIFE.replace(
        "class Weight",
        'class Rig(dj.Lookup):\n    definition = """\n    rig : varchar(8)\n    """\n\n\n@schema\nclass Weight',
    )
    written.write(written.module("life"), rig)
    ok(written, "revise", "-m", "rigs")
    edit(written, ("work", "    note = null", "    -> [nullable] life.Rig\n    note = null"))
    ok(written, "revise", "work", "-m", "at rigs")
    told = refused(written, "revise", "--undo", "life")
    assert "work 1.1.0 at_rigs builds on it" in told and "First run python -m my_pipeline revise --undo work." in told
    ok(written, "revise", "--undo", "work")
    ok(written, "revise", "--undo", "life")


def test_what_made_way_for_another_migration_is_not_taken_back(written: Project) -> None:
    """Nothing requires it, and without it a foreign key would lead to a table that is gone."""
    rig = LIFE.replace(
        "class Weight",
        'class Rig(dj.Lookup):\n    definition = """\n    rig : varchar(8)\n    """\n\n\n@schema\nclass Weight',
    )
    written.write(written.module("life"), rig)
    key = ("work", "    note = null", "    -> [nullable] life.Rig\n    note = null")
    edit(written, key)
    ok(written, "revise", "-m", "rigs")
    back(written, key)
    ok(written, "revise", "-m", "no rigs at work", "--drop", "Task.rig")
    written.write(written.module("life"), LIFE)
    ok(written, "revise", "-m", "no rigs", "--drop", "Rig")
    told = refused(written, "revise", "--undo", "work")
    assert "Without it" in told and "life.Rig" in told and "First run python -m my_pipeline revise --undo." in told
    ok(written, "revise", "--undo")
    ok(written, "revise", "--undo")


def test_what_is_applied_is_not_taken_back(project: Project, server: Server) -> None:
    """After rollback it is, and another migration of the same version takes its place."""
    with living(server, project) as own:
        edit(own, MOOD)
        ok(own, "revise", "-m", "moods")
        ok(own, "migrate")
        told = refused(own, "revise", "--undo", code=5)
        assert "dev has life 1.1.0" in told and "python -m my_pipeline --env dev rollback life --to 1.0.0" in told
        assert "dev has life 1.1.0" in refused(own, "revise", "--again", "-m", "mood", code=5)
        ok(own, "rollback", "life", "--to", "1.0.0")
        told = ok(own, "revise", "--undo").out
        assert "not applied to dev or prod; other databases were not asked" in told
        own.replace(own.module("life"), "mood = null : varchar(8)", 'mood = "good" : varchar(9)')
        ok(own, "revise", "-m", "moods")
        ok(own, "migrate")
        assert states(own)["life"] == ("current", "1.1.0")
        assert rows(own, "[r['mood'] for r in life.Weight.to_dicts()]") == ["good"] * 3
        ok(own, "check")


def test_local_is_asked_as_well_and_a_server_that_does_not_answer_is_not_taken_for_one_that_has_nothing(
    project: Project, server: Server
) -> None:
    with living(server, project) as own:
        ok(own, "--env", "local", "init")
        edit(own, MOOD)
        ok(own, "revise", "-m", "moods")
        ok(own, "--env", "local", "migrate")
        ok(own, "local", "stop")
        assert "local has life 1.1.0" in refused(own, "revise", "--undo", code=5)
        ok(own, "--env", "local", "rollback", "life", "--to", "1.0.0")
        away = ok(own, "revise", "--undo", code=1, DJ_PORT="1")
        assert in_words(away.err) and "Whether dev has life 1.1.0 is not known" in away.err
        assert "--env local revise --undo" in away.err
        # Whoever has it all the same is ahead, and says so.
        ok(own, "migrate")
        ok(own, "--env", "local", "revise", "--undo")
        assert states(own)["life"] == ("ahead", "1.1.0")
        stopped = ok(own, "migrate", code=5)
        assert in_words(stopped.err) and "1.1.0" in stopped.err, stopped.err


# --- Broken off ------------------------------------------------------------------------------------------------------

#: Runs a command that dies at the n-th file that it writes or removes; says so by exit code 77.
DYING = """
import os, sys
from pathlib import Path
left = int(sys.argv[1])
def dying(function):
    def call(*arguments, **more):
        global left
        left -= 1
        if left < 0:
            os._exit(77)
        return function(*arguments, **more)
    return call
os.replace, Path.unlink = dying(os.replace), dying(Path.unlink)
from datajoint_pipeline.cli import run; from my_pipeline import pipeline
sys.exit(run(pipeline, sys.argv[2:]))
"""


def test_again_killed_at_any_write_leaves_the_old_one_or_is_ended_by_the_next_command(written: Project) -> None:
    edit(written, UNIT)
    ok(written, "revise", "-m", "units", "--fill", "Weight.unit=g")
    before = files(written)
    again = ["revise", "--again", "-m", "grams", "--bump", "major", "--fill", "Weight.unit=mg"]
    ok(written, *again)
    after = files(written)
    assert after.keys() - before.keys() == {"migrations/life/2.0.0_grams.py"}
    ok(written, "revise", "--again", "-m", "units", "--bump", "minor", "--fill", "Weight.unit=g")
    assert files(written) == before
    broken = 0
    for number in range(30):
        done = written.python("-c", DYING, str(number), *again)
        if done.code != 77:
            assert done.code == 0, done.err
            break
        if files(written) not in (before, after):
            told = ok(written, "revise", *([["--undo"], ["-m", "nothing"], again[1:]][broken % 3]), code=1).err
            assert in_words(told) and "now they are all written" in told and files(written) == after, told
            broken += 1
        if files(written) == after:
            ok(written, "revise", "--again", "-m", "units", "--bump", "minor", "--fill", "Weight.unit=g")
        assert files(written) == before
    assert broken >= 2 and files(written) == after
    assert [path.name for path in (written.folder / "backups").iterdir()] == ["revise.json"]


@pytest.mark.parametrize("command", ["revise", "undo"])
def test_killed_between_two_files_check_says_so_and_undo_ends_it(written: Project, command: str) -> None:
    edit(written, MOOD)
    ok(written, "revise", "-m", "moods")
    before = files(written)
    edit(written, KEY)
    ok(written, "revise", "-m", "keys")
    after = files(written)
    ends = {"revise": after, "undo": before}
    arguments = {"revise": ["revise", "-m", "keys"], "undo": ["revise", "--undo"]}[command]
    broken = 0
    for number in range(20):
        if files(written) == ends[command]:
            ok(written, *(["revise", "--undo"] if command == "revise" else ["revise", "-m", "keys"]))
        done = written.python("-c", DYING, str(number), *arguments)
        if done.code != 77:
            assert done.code == 0, done.err
            break
        if files(written) not in (before, after):
            found = {finding["id"] for finding in ok(written, "check", "--json", code=1).json["findings"]}
            assert found & {"version-gap", "version-mismatch"}, (number, found)
            broken += 1
            ok(written, "revise", "--undo")
            assert files(written) == before
    assert broken >= 4 and files(written) == ends[command]


# --- Again -----------------------------------------------------------------------------------------------------------


def test_again_writes_the_last_one_anew_with_other_answers(written: Project) -> None:
    edit(written, NICKNAME)
    edit(written, TASK_NOTE)
    told = ok(written, "revise", "life", "-m", "names").out
    assert re.search(
        r"Undecided: Is life.Animal.name now called \w+( or \w+)*\? If it is gone: --drop life.Animal.name$", told, re.M
    ), told
    assert "python -m my_pipeline revise --again --rename life.Animal.name=NEW" in told, told
    told = refused(written, "revise", "-m", "names", "--rename", "Animal.name=nickname", code=2)
    assert "revise --again" in told
    told = ok(written, "revise", "--again", "--rename", "Animal.name=nickname", "--fill", "Animal.moniker=x").out
    assert "life 1.0.0 → 2.0.0" in told and "work" not in told
    text = written.read(f"{MIGRATIONS}/life/2.0.0_names.py")
    assert "RenameAttribute" in text and "Decide" not in text and "ASK" not in text
    before = files(written)
    edit(written, MOOD)
    ok(written, "revise", "--again", "-m", "names and moods", "--rename", "Animal.name=moniker",
       "--fill", "Animal.nickname=x")  # fmt: skip
    assert not (written.folder / MIGRATIONS / "life/2.0.0_names.py").exists()
    assert "mood" in written.read(f"{MIGRATIONS}/life/2.0.0_names_and_moods.py")
    back(written, MOOD)
    ok(written, "revise", "--again", "-m", "names", "--rename", "Animal.name=nickname", "--fill", "Animal.moniker=x")
    assert files(written) == before
    ok(written, "revise", "--undo")
    assert not list((written.folder / MIGRATIONS).rglob("*.py"))


def test_again_that_fails_leaves_every_file_as_it_was(written: Project) -> None:
    edit(written, UNIT)
    ok(written, "revise", "-m", "units", "--fill", "Weight.unit=g")
    assert "There is no table Ghost" in refused(written, "revise", "--again", "--fill", "Ghost.unit=mg", code=2)
    written.replace(written.module("life"), "grams : float64", "grams : floating")
    refused(written, "revise", "--again")
    written.replace(written.module("life"), "grams : floating", "grams : float64")
    ok(written, "revise", "--again", "--fill", "Weight.unit=mg")
    assert '"mg"' in written.read(f"{MIGRATIONS}/life/1.1.0_units.py")


@pytest.mark.parametrize(
    "arguments",
    [["-m", "x", "--undo"], ["--undo", "--again"], ["--undo", "--rename", "A.b=c"], ["life"]],
)
def test_options_that_do_not_go_together_are_a_sentence(written: Project, arguments: list[str]) -> None:
    before = files(written)
    result = ok(written, "revise", *arguments, code=2)
    assert "Error: " in result.err and "Traceback" not in result.err
    assert files(written) == before
    assert "There is no schema lief" in refused(written, "revise", "--undo", "lief", code=2)


def test_a_record_that_was_damaged_or_deleted_takes_nothing_back(written: Project) -> None:
    for text in ("{", "[]", '[{"of": "another release"}]'):
        written.write("backups/revise.json", text)
        assert "Only the machine that ran revise" in refused(written, "revise", "--undo")


@pytest.mark.parametrize(
    ("rename", "why", "do"),
    [
        ("Animal.name=nickname", "The code still calls it name: --rename names a change", "in the class"),
        ("Animal.nothing=other", "life.Animal has no attribute other in the code; it has animal_id, ", "the class, or"),
        ("Animal.nothing=name", "life.Animal had no attribute nothing when it was last revised; it had ", "--again"),
        ("name=nickname", "It names no table: write it as Table.name.", "Correct --rename"),
    ],
)
def test_a_rename_that_does_not_fit_says_why(written: Project, rename: str, why: str, do: str) -> None:
    before = files(written)
    told = refused(written, "revise", "-m", "names", "--rename", rename, code=2)
    assert why in told and do in told
    assert files(written) == before


@pytest.mark.parametrize("table", ["Weight", "life.Weight", "life.weight"])
def test_a_table_whose_class_is_still_there_cannot_be_dropped(written: Project, table: str) -> None:
    edit(written, MOOD)
    before = files(written)
    told = refused(written, "revise", "-m", "gone", "--drop", table, code=2)
    assert "The class Weight of life is still in the code" in told and "Delete the class first" in told
    assert files(written) == before


@pytest.mark.parametrize(
    ("message", "name"),
    [("Größe für Mäuse", "grosse_fur_mause"), ("Œuvre d'Łódź: 2 Kanäle", "oeuvre_d_lodz_2_kanale"), ("体重", "change")],
)
def test_a_file_is_named_by_its_message_without_the_marks_of_letters(written: Project, message: str, name: str) -> None:
    edit(written, MOOD)
    done = written.run("revise", "-m", message)
    assert done.code == 0 and f"_{name}.py" in done.out, done
    (found,) = (written.folder / MIGRATIONS).glob(f"*/*_{name}.py")
    assert found.read_text(encoding="utf-8").startswith(f'"""{message}"""')


def test_a_snapshot_that_was_deleted_is_not_taken_for_one_that_never_was(written: Project) -> None:
    """The next one would have the change without a migration."""
    git(written.folder, "init", "--quiet")
    git(written.folder, "add", "--all")
    git(written.folder, "commit", "--quiet", "--message=Start")
    path = "src/my_pipeline/migrations/life/snapshot.txt"
    text = written.read(path)
    (written.folder / path).unlink()
    written.replace(written.module("life"), GRAMS, f"    mood = null : varchar(8)\n{GRAMS}")
    refused = ok(written, "revise", "-m", "mood", code=1)
    assert "The last commit has the snapshot of life, and it is not in the folder" in refused.err
    assert f"git checkout -- {path}" in refused.err and not (written.folder / path).exists()
    written.write(path, text)
    ok(written, "revise", "-m", "mood")
