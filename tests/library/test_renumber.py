"""`renumber` after a merge of two branches: whatever moment it is killed at, and whichever snapshot was kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Project
from living import in_words, lay, ok
from test_states import check_out

GRAMS = "    grams : float64"

#: Renumber, killed before the write of this number; what it does with files goes through these two.
KILLED = """
import os, sys
from pathlib import Path
from datajoint_pipeline.cli import run
from my_pipeline import pipeline

left = int(sys.argv[1])

def counted(function):
    def called(*arguments, **named):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return function(*arguments, **named)
    return called

os.replace, Path.unlink = counted(os.replace), counted(Path.unlink)
run(pipeline, ["renumber", "life"])
"""


def texts(own: Project) -> dict[Path, str]:
    package = own.folder / "src" / own.package
    return {path: path.read_text() for path in package.rglob("*") if path.suffix in (".py", ".txt")}


def revised(own: Project, message: str, old: str, new: str, *answers: str, module: str = "life") -> None:
    own.replace(own.module(module), old, new)
    ok(own, "revise", "-m", message, *answers)


@pytest.fixture
def laid(project: Project) -> Project:
    """Two schemas with their first snapshots; there is no server."""
    project.environment["MY_PIPELINE_ENV"] = "local"
    lay(project)
    ok(project, "revise", "-m", "start")
    return project


def history(own: Project) -> Path:
    return own.folder / "src" / own.package / "migrations/life"


def two_branches(own: Project) -> dict[Path, str]:
    """The files of a merge: one branch changed a schema once, the other twice, under the same words, and has a migration
    of another schema that requires the second; the snapshot and the version are those of the one.
    """
    package, main, life = own.folder / "src" / own.package, texts(own), own.folder / own.module("life")
    revised(own, "moods", GRAMS, f"    mood = null : varchar(8)\n{GRAMS}")
    one = check_out(package, main)
    for name in ("food", "tail"):
        revised(own, "change", GRAMS, f"    {name} = null : varchar(8)\n{GRAMS}")
    revised(own, "sizes", "    note = null", "    size = null : int8\n    note = null", module="work")
    sizes = package / "migrations/work/1.1.0_sizes.py"
    sizes.write_text(sizes.read_text().replace("requires = {}", 'requires = {"life": "1.2.0"}'))
    two = texts(own)
    check_out(package, {**two, **{path: text for path, text in one.items() if "life" in path.parts}})
    life.write_text(two[life].replace(GRAMS, f"    mood = null : varchar(8)\n{GRAMS}"))
    own.replace(own.module("version"), '"life": "1.2.0"', '"life": "1.1.0"')
    return texts(own)


def test_killed_at_any_write_and_run_again_it_ends_as_undisturbed(laid: Project) -> None:
    """Also where a file takes the name that another one gives up; and meanwhile `check` says what to do."""
    before, package = two_branches(laid), laid.folder / "src" / laid.package
    ok(laid, "renumber", "life")
    end = texts(laid)
    names = ["1.1.0_moods.py", "1.2.0_change.py", "1.3.0_change.py"]
    assert sorted(path.name for path in history(laid).glob("*.py")) == names
    assert "food" in end[history(laid) / names[1]] and "tail" in end[history(laid) / names[2]]
    assert '"life": "1.3.0"' in end[package / "migrations/work/1.1.0_sizes.py"]
    assert '"life": "1.3.0"' in end[package / "version.py"]
    ok(laid, "check")
    for write in range(20):
        check_out(package, before)
        killed = laid.python("-c", KILLED, str(write))
        if killed.code == 0:
            break
        assert killed.code == 9, killed.err
        if texts(laid) != end:
            assert "renumber life" in "".join(ok(laid, "check", code=1).out.split("\n")), write
        ok(laid, "renumber", "life")
        assert texts(laid) == end, write
        assert not [path for path in history(laid).rglob("*") if path.suffix not in (".py", ".txt", ".pyc", "")]
    assert write > 6
    assert texts(laid) == end and not list((laid.folder / "backups").glob("renumber*"))


def test_what_was_broken_off_is_not_ended_over_what_somebody_changed_since(laid: Project) -> None:
    before, package = two_branches(laid), laid.folder / "src" / laid.package
    assert laid.python("-c", KILLED, "4").code == 9
    change = history(laid) / "1.1.0_change.py"
    change.write_text(change.read_text().replace("food", "feed"))
    half = texts(laid)
    refused = ok(laid, "renumber", "life", code=1)
    assert in_words(refused.err) and "1.1.0_change.py was changed since" in refused.err, refused.err
    assert texts(laid) == half
    change.write_text(before[change])
    ok(laid, "renumber", "life")
    ok(laid, "check")
    # With all of the files taken back, what was broken off is forgotten.
    check_out(package, before)
    assert laid.python("-c", KILLED, "1").code == 9
    for path in (*history(laid).glob("*_change.py"), laid.folder / laid.module("life")):
        path.write_text(path.read_text().replace("food", "feed"))
    ok(laid, "renumber", "life")
    ok(laid, "check")


def test_the_snapshot_of_the_other_branch_is_a_way_where_that_is_said(laid: Project) -> None:
    """One branch renames what the other one changes: it has to come last."""
    package, main, life = laid.folder / "src" / laid.package, texts(laid), laid.folder / laid.module("life")
    revised(laid, "mass", GRAMS, "    mass : float64", "--rename", "Weight.grams=mass")
    one = check_out(package, main)
    revised(laid, "rounder", GRAMS, "    grams : float32")
    two = texts(laid)
    snapshot = history(laid) / "snapshot.txt"
    merged = {**two, **one, life: two[life].replace("grams :", "mass :")}
    check_out(package, merged)
    refused = ok(laid, "renumber", "life", code=1)
    assert in_words(refused.err) and texts(laid) == merged, refused.err
    assert "keep the snapshot.txt of the branch that 1.1.0_rounder.py is of" in refused.err, refused.err
    snapshot.write_text(two[snapshot])
    assert "2.0.0_mass.py follows another migration now.\nNext: " in ok(laid, "renumber", "life").out
    assert ok(laid, "renumber", "life").out == "The migrations of life are in order.\n"
    ok(laid, "check")


def test_where_neither_fits_behind_the_other_no_snapshot_is_proposed(laid: Project) -> None:
    package, main = laid.folder / "src" / laid.package, texts(laid)
    revised(laid, "mass", GRAMS, "    mass : float64", "--rename", "Weight.grams=mass")
    one = check_out(package, main)
    revised(laid, "heft", GRAMS, "    heft : float64", "--rename", "Weight.grams=heft")
    merged = {**texts(laid), **one}
    check_out(package, merged)
    refused = ok(laid, "renumber", "life", code=1)
    assert in_words(refused.err) and texts(laid) == merged
    assert "Correct 2.0.0_heft.py so that it fits after" in refused.err and "snapshot.txt" not in refused.err
