"""What `revise` and `migrate --draft` ask a person on a terminal, and what they say to an answer that cannot be."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest
from conftest import Project, Result
from living import in_words, ok, rows
from test_migrate import living as living
from test_progress import on_terminal as when_asked
from test_undo_revise import written as written

assert living and written  # fixtures

GRAMS = "    grams : float64"
RIG = '''

@schema
class Rig(dj.Manual):
    definition = """
    rig : varchar(8)
    """
'''


def on_terminal(own: Project, typed: str, *arguments: str) -> Result:
    """A command that a person at a terminal answers."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, typed.encode())
        command = [sys.executable, "-m", own.package, *arguments]
        done = subprocess.run(
            command, cwd=own.folder, env=own.variables(), stdin=theirs, capture_output=True, text=True, timeout=120
        )
    finally:
        os.close(ours)
        os.close(theirs)
    return Result(done.returncode, done.stdout, done.stderr)


def migration(own: Project) -> str:
    (path,) = (own.folder / "src/my_pipeline/migrations/life").glob("*_asked.py")
    return path.read_text(encoding="utf-8")


#: A type, an answer that it cannot hold, what is said to that, and one that it can.
VALUES = {
    "float32": ("1e39", "It is no float32, which holds a number up to 3.4e38.", "1.5"),
    "float64": ("?", "It is no float64, which holds a number up to 1.7e308.", "1e39"),
    "int8": ("300", "It is no int8, which holds a whole number from -128 to 127.", "3"),
    "<blob>": ("[1, 2", "It begins like JSON, but is not JSON.", "[1, 2]"),
    "decimal(4,2)": ("123.4", "It is no decimal(4,2), which holds a number from -99.99 to 99.99.", "12.34"),
    "varchar(3)": ("long", "It is no varchar(3), which holds at most 3 characters.", "abc"),
    "enum('a', 'b')": ("c", "It is no value of the enum, which holds a or b.", "b"),
    "bool": ("maybe", "It is no bool, which holds true or false.", "true"),
    "date": ("2026-02-30", "It is no date, which holds a day such as 2026-01-31.", "2026-02-28"),
    "uuid": ("number()", "It is of type uuid.", "uuid()"),
}


def test_a_value_that_the_type_cannot_hold_is_asked_for_again(written: Project) -> None:
    """Without a server; an option that says it is refused."""
    added = "".join(f"    more_{number} : {type_}\n" for number, type_ in enumerate(VALUES))
    written.replace(written.module("life"), GRAMS, f"{added}{GRAMS}")
    for number, (wrong, why, _) in enumerate(VALUES.values()):
        refused = ok(written, "revise", "-m", "asked", "--fill", f"Weight.more_{number}={wrong}", code=2)
        assert in_words(refused.err) and why in refused.err, refused.err
    typed = "".join(f"{wrong}\n{right}\n" for wrong, _, right in VALUES.values())
    done = on_terminal(written, typed, "revise", "-m", "asked")
    assert done.code == 0, done.err
    for number, (type_, (_, why, right)) in enumerate(VALUES.items()):
        assert f"more_{number} ({type_})" in done.err and why in done.err
        assert (f'fill="{right}"' if right != "uuid()" else "fill=UUID") in migration(written)


@pytest.mark.parametrize(
    ("type_", "said", "written_as"),
    [
        ("varchar(8)", '"A"', 'fill="A"'),
        ("varchar(8)", "'A B'", 'fill="A B"'),
        ("varchar(8)", "'\"A\"'", "fill='\"A\"'"),
        ("int32", '"5"', 'fill="5"'),
        ("enum('A','B')", '"B"', 'fill="B"'),
        ("json", '"A"', "fill='\"A\"'"),
        ("varchar(8)", '"', "fill='\"'"),
    ],
)
def test_quotes_around_a_value_are_those_of_a_definition(
    type_: str, said: str, written_as: str, written: Project
) -> None:
    written.replace(written.module("life"), GRAMS, f"    more : {type_}\n{GRAMS}")
    ok(written, "revise", "-m", "asked", "--fill", f"Weight.more={said}")
    assert written_as in migration(written), migration(written)


def test_a_key_that_no_row_of_the_parent_has_is_asked_for_again(living: Project) -> None:
    """The rows are those of the server, where there is one."""
    life = living.read(living.module("life"))
    living.write(living.module("life"), life.replace("\n\n@schema\nclass Weight", f"{RIG}\n\n@schema\nclass Weight"))
    ok(living, "revise", "-m", "rigs")
    ok(living, "migrate")
    rows(living, "life.Rig.insert([('A',), ('B',)])")
    living.replace(living.module("life"), GRAMS, f"    -> Rig\n{GRAMS}")
    for command in (["migrate", "--draft"], ["revise", "-m", "asked"]):
        done = on_terminal(living, "Z\nB\n", *command)
        assert done.code == 0, done.err
        assert "Rows of life.Rig: A, B" in done.err and "There is no such row in life.Rig." in done.err
    assert 'fill="B"' in migration(living)
    ok(living, "migrate")
    assert set(rows(living, "[r['rig'] for r in life.Weight.to_dicts()]")) == {"B"}


def test_without_a_server_any_key_is_taken(written: Project) -> None:
    life = written.read(written.module("life"))
    written.write(written.module("life"), life.replace("\n\n@schema\nclass Weight", f"{RIG}\n\n@schema\nclass Weight"))
    ok(written, "revise", "-m", "rigs")
    written.replace(written.module("life"), GRAMS, f"    -> Rig\n{GRAMS}")
    for environment in ("local", "dev"):
        done = on_terminal(written, "Z\n", "--env", environment, "revise", "-m", "asked")
        assert done.code == 0 and "Rows of" not in done.err and 'fill="Z"' in migration(written), done.err
        ok(written, "revise", "--undo")


def test_a_new_table_has_no_existing_rows_to_ask_about(written: Project) -> None:
    """It gets rows where those of others come to refer to it, and these need values."""
    life, new = written.module("life"), RIG.replace("varchar(8)\n", "varchar(8)\n    ---\n    colour : varchar(8)\n")
    written.write(life, written.read(life).replace("\n\n@schema\nclass Weight", f"{new}\n\n@schema\nclass Weight"))
    written.replace(life, GRAMS, f"    -> Rig\n{GRAMS}")
    rows_of = "new rows of {}Rig, made for those of {}Weight, get for colour"
    told = ok(written, "revise", "-m", "asked").out
    assert f"Which value do {rows_of.format('life.', 'life.')}?" in told and "existing rows of life.Rig" not in told
    assert rows_of.format("", "") in ok(written, "check", code=1).out
    ok(written, "revise", "--undo")
    done = on_terminal(written, "A\nred\n", "revise", "-m", "asked")
    assert f"Which value do {rows_of.format('life.', 'life.')} (varchar(8))?" in done.err, done.err
    assert 'missing={"colour": "red"}' in migration(written)


def test_what_leaves_the_key_of_a_parent_is_no_rename(written: Project) -> None:
    life = written.module("life")
    written.replace(
        life, "    animal_id : int32  # its number\n    ---\n", "    tag : int32\n    ---\n    animal_id : int32\n"
    )
    told = ok(written, "revise", "-m", "tags", "--fill", "Animal.tag=number()").out
    assert "Undecided" not in told and "RenameAttribute" not in told, told


def test_the_command_with_answers_has_those_that_were_given(written: Project) -> None:
    life = written.module("life")
    written.replace(life, GRAMS, f"    rig : varchar(8)\n{GRAMS}")
    written.replace(life, "    name : varchar(32)", "    nickname : varchar(32)")
    told = ok(written, "revise", "-m", "asked", "--fill", "Weight.rig=an A").out
    assert "revise --again --fill 'Weight.rig=an A' --rename life.Animal.name=nickname" in told, told
    ok(written, "revise", "--again", "--fill", "Weight.rig=an A", "--rename", "life.Animal.name=nickname")
    assert '"an A"' in migration(written)


def test_which_is_answered_by_a_number_or_the_name(written: Project) -> None:
    life = written.module("life")
    written.replace(life, "    name : varchar(32)", "    nickname : varchar(32)\n    moniker : varchar(32)")
    done = on_terminal(written, "yes\n7\nmoniker\nx\n", "revise", "-m", "asked")
    assert done.code == 0, done.err
    assert done.err.count("Say the number before the new name, 1 or 2, or 0 if it is gone.") == 2
    assert "is not a valid integer" not in done.err
    assert 'RenameAttribute("Animal", "name", "moniker")' in migration(written)


def test_a_draft_does_not_offer_to_decide_later(living: Project) -> None:
    living.replace(living.module("life"), GRAMS, f"    unit : varchar(4)\n{GRAMS}")
    stopped = on_terminal(living, "\n", "migrate", "--draft")
    assert stopped.code == 1 and "decide later" not in stopped.err and "empty: stop, and change nothing" in stopped.err
    assert "--fill life.Weight.unit=VALUE." in stopped.err
    done = on_terminal(living, "grams\ng\n", "migrate", "--draft")
    assert done.code == 0, done.err
    assert set(rows(living, "[r['unit'] for r in life.Weight.to_dicts()]")) == {"g"}
    offered = on_terminal(living, "\n", "revise", "-m", "asked")
    assert offered.code == 0 and "empty: decide later" in offered.err and "fill=ASK" in migration(living)


def test_an_option_that_answers_nothing_is_named_with_what_could_be_answered(written: Project) -> None:
    """Nothing happens as if it had not been said; a rename that is none is refused, and nothing is written."""
    life = written.module("life")
    before = written.read(life).replace("\n\n@schema\nclass Weight", f"{RIG}\n\n@schema\nclass Weight")
    written.write(life, before)
    ok(written, "revise", "-m", "rigs")
    written.write(life, before.replace(GRAMS, "    -> Rig\n    mass : float64"))
    files = sorted((written.folder / "src/my_pipeline/migrations").rglob("*"))
    rename = ("--rename", "Weight.grams=mass")
    for options, named, known in (
        (("--rename", "Weight.day=day"), "--rename life.Weight.day=day", "here: life.Weight.grams."),
        (("--rename-table", "Rig=Rig"), "--rename-table life.Rig=life.Rig", "No change that was found"),
    ):
        refused = ok(written, "revise", "-m", "changed", *options, code=2)
        assert in_words(refused.err), refused.err
        assert f"{named} answers no question." in refused.err and known in refused.err, refused.err
        assert sorted((written.folder / "src/my_pipeline/migrations").rglob("*")) == files
    for options, named, known in (
        (("--fill", "Weight.mass=1", *rename), "--fill life.Weight.mass", "--fill can answer here: life.Weight.rig."),
        (("--fill", "Animal.name=x"), "--fill life.Animal.name", "here: life.Weight.rig, life.Weight.mass."),
        (("--drop", "Weight.grams", *rename), "--drop life.Weight.grams", "No change that was found"),
        (("--drop", "Animal.name"), "--drop life.Animal.name", "--drop can answer here: life.Weight.grams."),
        (("--insert", "Animal"), "--insert life.Animal", "--insert can answer here: life.Rig."),
    ):
        (note,) = ok(written, "revise", "-m", "changed", *options, "--json").json["notes"]
        assert f"{named} answers no question, and was left out." in note and known in note, note
        ok(written, "revise", "--undo")
    ok(written, "revise", "-m", "changed", *rename, "--fill", "Weight.rig=A", "--insert", "Rig")


def test_secrets_says_whose_password_it_asks_for(project: Project) -> None:
    for attribute in ("user", "password"):
        empty = "it has none" if attribute == "password" else "leave as it is"
        question = f"Your {attribute} on the MySQL server at localhost (empty: {empty}): "
        shown = when_asked(project, "secrets", f"database.{attribute}", answer="hush", asked=question)
        assert f"wrote .secrets/database.{attribute}" in shown, shown
        assert project.read(f".secrets/database.{attribute}") == "hush\n"
    # Where there is one, it stays; where there is none, an account of a new server may have none.
    again, none = ("secrets", "database.password"), "wrote .secrets/database.password"
    asked = "Your password on the MySQL server at localhost (empty: leave as it is): "
    assert none not in when_asked(project, *again, answer=" ", asked=asked)
    assert project.read(".secrets/database.password") == "hush\n"
    (project.folder / ".secrets/database.password").unlink()
    refused = project.run("--env", "dev", "status")
    assert "No password is set for it." in refused.err, refused.err
    assert none in when_asked(project, *again, answer=" ", asked=asked.replace("leave as it is", "it has none"))
    assert "No password is set" not in project.run("--env", "dev", "status").err
    project.write("datajoint.json", "{")
    assert "database.user (empty: leave as it is): " in on_terminal(project, "\n", "secrets", "database.user").out


def test_what_only_a_codec_writes_has_no_value_that_could_be_said(written: Project) -> None:
    """Every place where it is asked for says what to do."""
    written.replace(written.module("life"), GRAMS, f"    trace : <attach>\n{GRAMS}")
    way = "Let it be null, and insert the values with DataJoint."
    told = ok(written, "revise", "-m", "asked").out
    assert f"get for trace? None can be said for a <attach>. {way}" in " ".join(told.split()) and "--fill" not in told
    ok(written, "revise", "--undo")
    assert way in ok(written, "revise", "-m", "asked", "--fill", "Weight.trace=[1]", code=2).err
    assert way in " ".join(ok(written, "diff", code=3).out.split())
    done = on_terminal(written, "\n", "revise", "-m", "asked")
    assert way in done.err and "decide later" in done.err, done.err


def test_what_datajoint_hides_is_no_new_name(written: Project) -> None:
    """A table that is computed from now on gets columns of DataJoint's own; what goes is none of them."""
    life = written.module("life")
    written.replace(life, "class Animal(dj.Manual)", "class Animal(dj.Imported)")
    written.replace(life, "    name : varchar(32)  # what it is called\n", "    nickname : varchar(32)\n")
    told = ok(written, "revise", "-m", "asked").out
    assert "Animal.name now called nickname?" in " ".join(told.split()), told
    asked = migration(written)
    assert "RenameAttribute('Animal', 'name', 'nickname')" in asked and "_animal" not in asked, asked
    ok(written, "revise", "--undo")
    refused = ok(written, "revise", "-m", "asked", "--rename", "Animal.name=_job_version", code=2).err
    assert "has no attribute _job_version in the code; it has animal_id, nickname, colour." in refused
