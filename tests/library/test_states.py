"""Every command that shows where schemas stand shows the same, with what was changed by other means, and leads on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Project, Server
from living import is_sentence, lay, living, ok, rows, states

GONE = "Animal lacks the attribute colour."


@pytest.fixture
def alive(project: Project, server: Server) -> Iterator[Project]:
    with living(server, project) as own:
        yield own


def by_hand(server: Server) -> None:
    """What a colleague does in a database tool."""
    server.execute("ALTER TABLE dev_life.animal DROP COLUMN colour")


def test_all_commands_show_the_same_state(alive: Project, server: Server) -> None:
    by_hand(server)
    for command in (("status",), ("migrate",), ("init",), ("migrate", "--dry-run"), ("purge",), ("status", "life")):
        shown = alive.run(*command)
        if command[0] == "purge":
            assert shown.code == 0  # which shows no state
        elif len(command) == 2 and command[1] == "life":
            assert shown.code == 2
        else:
            assert shown.code == 4 and GONE in shown.out and "drifted" in shown.out, (command, shown)
    for command in (("migrate", "--json"), ("init", "--json"), ("status", "--json")):
        (life, work) = ok(alive, *command, code=4).json["schemas"]
        assert (life["state"], life["drift"], work["state"]) == ("drifted", [GONE], "current")
    assert ok(alive, "migrate", "--dry-run", "--json", code=4).json["groups"] == []
    server.execute("ALTER TABLE dev_life.weight ADD COLUMN note int")
    shown = " ".join(alive.run("migrate").out.split())
    assert GONE in shown and "attribute note" in shown


def test_what_was_changed_by_hand_is_named_while_a_migration_is_pending(alive: Project, server: Server) -> None:
    """By status, the dry run and the refusal alike, each difference from the version that the database has."""
    life = alive.module("life")
    alive.replace(life, "    name : varchar(32)", "    nickname : varchar(32)")
    alive.replace(life, "    grams : float64  # on that day\n", "    how = null : varchar(8)\n")
    ok(alive, "revise", "-m", "names", "--rename", "Animal.name=nickname", "--drop", "Weight.grams")
    alive.replace(life, "    how = null : varchar(8)\n", "    how = null : varchar(9)\n")
    ok(alive, "revise", "-m", "longer")
    server.execute(
        "ALTER TABLE dev_life.animal ADD CONSTRAINT sound CHECK (animal_id > 0)",
        "CREATE INDEX by_day ON dev_life.weight (day)",
        "CREATE TABLE dev_life.stray (id int PRIMARY KEY)",
    )
    named = ("check (", "Weight has an index (day)", "Stray")
    shown = ok(alive, "status", code=4).out
    assert all(text in shown for text in named) and "1.0.0" in shown, shown
    assert states(alive)["life"] == ("drifted", "1.0.0")
    for command in (("migrate", "--dry-run"), ("migrate",), ("migrate", "--sql")):
        refused = ok(alive, *command, code=4)
        assert all(text in refused.err for text in named) and "undo that by hand" in refused.err, refused.err
        assert "nickname" not in refused.err and "Correct the migration" not in refused.err
    drop = "ALTER TABLE dev_life.animal DROP " + ("CHECK" if server.backend == "mysql" else "CONSTRAINT") + " sound"
    index = "DROP INDEX by_day ON dev_life.weight" if server.backend == "mysql" else "DROP INDEX dev_life.by_day"
    server.execute(drop, index, "DROP TABLE dev_life.stray")
    ok(alive, "migrate")
    assert states(alive)["life"][0] == "current"


def test_rollback_says_what_it_cannot(alive: Project, server: Server) -> None:
    alive.replace(alive.module("life"), "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    before = {path: path.read_text() for path in (alive.folder / "src/my_pipeline").rglob("*.py")}
    snapshot = alive.folder / "src/my_pipeline/migrations/life/snapshot.txt"
    before[snapshot] = snapshot.read_text()
    ok(alive, "revise", "-m", "moods")
    ok(alive, "migrate")
    assert "There is no schema lief." in (refused := ok(alive, "rollback", "lief", "--to", "1.0.0", code=2)).err
    assert "Did you mean life?" in refused.err
    # Also while a run is interrupted, which nobody goes on with by mistake.
    quote = "`" if server.backend == "mysql" else '"'
    journal = f"dev_life.{quote}~migration{quote}"
    server.execute(f"UPDATE {journal} SET status = 'running' WHERE version = '1.1.0'")
    named = ("purge", "adopt --again", "adopt --types --dry-run", "migrate", "migrate --dry-run", "migrate --draft")
    for command in (*named, "revise -m other", "revise --undo", "diff", "renumber"):
        refused = ok(alive, *command.split(), "lief", code=2)
        assert "There is no schema lief." in refused.err and "Did you mean life?" in refused.err, command
    for command in ("rollback life --to 0.9.0", "migrate life --to 0.9.0", "migrate --dry-run life --to 0.9.0"):
        assert "life has no version 0.9.0" in ok(alive, *command.split(), code=1).err
    assert "Did you mean 1.1.0?" in ok(alive, "rollback", "life", "--to", "1.1.9", code=1).err
    assert states(alive)["life"] == ("interrupted", "1.0.0")
    server.execute(f"UPDATE {journal} SET status = 'done'")
    assert ok(alive, "rollback", "life", "--to", "1.1.0").code == 0
    ok(alive, "rollback", "life", "--to", "1.0.0")
    assert "is not an earlier version" in ok(alive, "rollback", "life", "--to", "1.1.0", code=1).err
    ok(alive, "migrate")
    # A colleague with the code of before.
    (alive.folder / "src/my_pipeline/migrations/life/1.1.0_moods.py").unlink()
    for path, text in before.items():
        path.write_text(text)
    assert states(alive)["life"] == ("ahead", "1.1.0")
    refused = ok(alive, "rollback", "life", "--to", "1.0.0", code=5)
    assert "this code does not know it" in refused.err and "Use the code that has it" in refused.err


def test_diff_tells_what_is_pending_from_what_somebody_changed(alive: Project, server: Server) -> None:
    alive.replace(alive.module("life"), "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    ok(alive, "revise", "-m", "moods")

    def shown() -> list[str]:
        life = next(s for s in ok(alive, "diff", "--json").json["schemas"] if s["name"] == "life")
        found: list[str] = life["database"]
        return found

    pending = "The database has 1.0.0; 1.1.0 is pending. Run migrate."
    assert shown() == [pending]
    server.execute("ALTER TABLE dev_life.weight DROP COLUMN grams")
    assert shown() == ["Weight lacks the attribute grams.", pending]


def pending(alive: Project) -> list[str]:
    """The migrations that a dry run would apply, by their names."""
    shown = alive.run("migrate", "--dry-run", "--json")
    groups = shown.json["groups"]
    assert shown.code == (3 if groups else 0), (shown.out, shown.err)
    return [migration["name"] for group in groups for migration in group["migrations"]]


def check_out(package: Path, branch: dict[Path, str]) -> dict[Path, str]:
    """Let the files be those of a branch; give what they were."""
    found = {path: path.read_text() for path in package.rglob("*") if path.suffix in (".py", ".txt")}
    for path in found.keys() - branch.keys():
        path.unlink()
    for path, text in branch.items():
        path.write_text(text)
    return found


def test_branches_that_do_not_fit_one_after_the_other_stay_as_they_are(alive: Project) -> None:
    package, life, grams = alive.folder / "src/my_pipeline", alive.module("life"), "    grams : float64"
    main = check_out(package, {path: path.read_text() for path in package.rglob("*") if path.suffix in (".py", ".txt")})
    alive.replace(life, grams, "    mass : float64")
    ok(alive, "revise", "-m", "mass", "--rename", "Weight.grams=mass")
    one = check_out(package, main)
    alive.replace(life, grams, "    food = null : varchar(8)\n" + grams)
    ok(alive, "revise", "-m", "food")
    two = check_out(package, one)
    made = package / "migrations/life/1.1.0_food.py"
    made.write_text(two[made])
    made.write_text(
        made.read_text().replace("operations = [", 'operations = [\n    RenameAttribute("Weight", "grams", "heft"),')
    )
    made.write_text(made.read_text().replace("import ", "import RenameAttribute, ", 1))
    before = check_out(package, {**one, made: made.read_text()})
    refused = ok(alive, "renumber", "life", code=1)
    assert "nothing was changed" in refused.err and "Correct 1.1.0_food.py so that it fits" in refused.err, refused.err
    assert check_out(package, before) == before


def test_two_branches_that_changed_one_schema_both_arrive(alive: Project, server: Server) -> None:
    """Whichever half a database has had, though one of the two got another version when they were merged."""
    package, life, grams = alive.folder / "src/my_pipeline", alive.module("life"), "    grams : float64"
    main = {path: path.read_text() for path in package.rglob("*") if path.suffix in (".py", ".txt")}
    alive.replace(life, grams, "    mood = null : varchar(8)\n" + grams)
    ok(alive, "revise", "-m", "moods")
    one = check_out(package, main)
    alive.replace(life, grams, "    food = null : varchar(8)\n" + grams)
    ok(alive, "revise", "-m", "food")
    ok(alive, "migrate")
    # With the code of one branch, the database of the other is in conflict, and every command says so.
    other = check_out(package, one)
    assert states(alive)["life"] == ("conflict", "1.1.0")
    for command in (("status",), ("migrate",), ("migrate", "--dry-run"), ("rollback", "life", "--to", "1.0.0")):
        shown = ok(alive, *command, code=5)
        text = " ".join(f"{shown.out} {shown.err}".split())
        assert "has had 1.1.0_food of life, which this code does not have" in text, text
        assert "Merge that branch, or bring the file back." in text, text
    table, _, below = ok(alive, "status", code=5).out.partition("\n\n")
    assert "see below" in table and "has had" not in table and below.startswith("life: The database has had"), table
    assert "docs/migrations.md" in below
    # So what was written here last can be taken back, and what that database has had cannot: the same number says nothing.
    assert ok(alive, "revise", "--undo", "--json").json["message"] == "moods"
    check_out(package, other)
    assert "dev has life 1.1.0" in ok(alive, "revise", "--undo", code=5).err
    check_out(package, one)
    # The merge: both files, either snapshot, and the code of both.
    made = package / "migrations/life/1.1.0_food.py"
    made.write_text(other[made])
    alive.replace(life, "    mood", "    food = null : varchar(8)\n    mood")
    assert "renumber life" in ok(alive, "migrate", code=5).err
    snapshot = package / "migrations/life/snapshot.txt"
    text = snapshot.read_text()
    snapshot.write_text(f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> food\n")
    way = "git checkout --ours src/my_pipeline/migrations/life/snapshot.txt, or --theirs"
    assert way in ok(alive, "migrate", code=1).err
    snapshot.write_text(text)
    said = ok(alive, "renumber", "life").out.splitlines()
    assert said[0] == "src/my_pipeline/migrations/life/1.1.0_food.py is called 1.2.0_food.py now."
    assert "check, then git add src/my_pipeline/migrations/life" in said[1] and len(said) == 2
    ok(alive, "check")
    (found, _) = ok(alive, "status", "--json", code=3).json["schemas"]
    assert (found["state"], found["database_version"], found["pending"]) == ("behind", "1.1.0", ["1.1.0"])
    assert pending(alive) == ["moods"] and found["drift"] == ["It lacks 1.1.0_moods."]
    assert "It lacks 1.1.0_moods; pending: 1.1.0\n" in re.sub(" +", " ", ok(alive, "status", code=3).out)
    ok(alive, "migrate")
    assert states(alive)["life"] == ("current", "1.2.0") and pending(alive) == []
    assert rows(alive, "life.Weight().heading.names")[2:] == ["food", "mood", "grams"]
    # What the files have last goes back by itself and comes again, though this database had it first.
    ok(alive, "rollback", "life", "--to", "1.1.0")
    assert states(alive)["life"] == ("behind", "1.1.0") and pending(alive) == ["food"]
    ok(alive, "migrate")
    assert states(alive)["life"] == ("current", "1.2.0")
    # Releases up to 0.8.1 left such a database at the version of its own branch for good.
    quote = "`" if server.backend == "mysql" else '"'
    server.execute(f"UPDATE dev_life.{quote}~migration{quote} SET version = '1.1.0' WHERE version = '1.2.0'")
    for command in (("status",), ("migrate", "--dry-run")):
        assert "It has every migration up to 1.2.0" in " ".join(ok(alive, *command, code=3).out.split())
    ok(alive, "migrate")
    assert states(alive)["life"] == ("current", "1.2.0") and pending(alive) == []
    # A database that was made with the code of one branch, and not brought to it by its migration.
    merged = check_out(package, other)
    server.drop("dev_work", "dev_life")
    ok(alive, "init")
    check_out(package, one)
    assert states(alive)["life"] == ("conflict", "1.1.0")
    check_out(package, merged)
    assert states(alive)["life"] == ("behind", "1.1.0") and pending(alive) == ["moods"]
    ok(alive, "migrate")
    assert states(alive)["life"] == ("current", "1.2.0") and pending(alive) == []


def test_a_version_is_asked_of_a_schema_that_has_no_snapshot_yet(project: Project) -> None:
    lay(project)
    refused = ok(project, "migrate", "life", "--to", "1.0.0", MY_PIPELINE_ENV="local", code=1)
    is_sentence(refused)
    assert (
        "It has no snapshot yet, and so no version." in refused.err and " revise life, which writes it." in refused.err
    )


def test_one_half_of_a_merge_that_the_other_does_not_fit_behind_leads_back_and_forth(
    alive: Project, server: Server
) -> None:
    """One branch renames what the other one changes; status, the dry run and migrate all say how to get there."""
    package, life, grams = alive.folder / "src/my_pipeline", alive.module("life"), "    grams : float64"
    main = {path: path.read_text() for path in package.rglob("*") if path.suffix in (".py", ".txt")}
    alive.replace(life, grams, "    mass : float64")
    alive.replace(life, "class Animal", "class Beast")
    alive.replace(life, "-> Animal", "-> Beast")
    alive.replace(alive.module("work"), "life.Animal", "life.Beast")
    ok(alive, "revise", "-m", "mass", "--rename", "Weight.grams=mass", "--rename-table", "Animal=Beast")
    ok(alive, "migrate")
    one = check_out(package, main)
    alive.replace(life, grams, "    grams : float64  # at noon; was")
    alive.replace(life, "    name : varchar(32)", "    nickname = null : varchar(32)\n    name : varchar(32)")
    ok(alive, "revise", "-m", "noon")
    two = check_out(package, one)
    folder = package / "migrations/life"
    (noon,) = (path for path in two if path.name.endswith("_noon.py"))
    noon.write_text(two[noon])
    (folder / "snapshot.txt").write_text(two[folder / "snapshot.txt"])
    merged = two[package / "life.py"].replace("grams :", "mass :").replace("Animal", "Beast")
    (package / "life.py").write_text(merged)
    assert "2.0.0_mass.py follows another migration now." in ok(alive, "renumber", "life").out
    ok(alive, "check")
    words = ("dev_life already has 2.0.0_mass, and the earlier 1.1.0_noon does not fit after that.",
             "rollback life --to 1.0.0, and then")  # fmt: skip
    (found, _) = ok(alive, "status", "--json", code=5).json["schemas"]
    assert found["state"] == "conflict" and all(word in " ".join(found["drift"]) for word in words)
    for command in (("status",), ("migrate", "--dry-run"), ("migrate",), ("migrate", "--sql")):
        shown = ok(alive, *command, code=5)
        text = " ".join(f"{shown.out} {shown.err}".split())
        assert all(word in text for word in words), text
    refused = ok(alive, "rollback", "life", "--to", "1.0.0", code=1).err
    assert (
        "rollback life --to 1.0.0 --along, which also takes back work to 1.0.0." in refused
    )  # which names what the one half renamed
    ok(alive, "rollback", "work", "--to", "1.0.0")
    ok(alive, "rollback", "life", "--to", "1.0.0")
    ok(alive, "migrate")
    assert {state for state, _ in states(alive).values()} == {"current"}
    assert rows(alive, "sorted(r['mass'] for r in life.Weight.to_dicts())") == [19.0, 20.5, 21.0]


def test_a_line_that_cannot_be_applied_is_not_in_order(project: Project) -> None:
    """As somebody numbers it who does so by hand."""
    lay(project)
    project.environment["MY_PIPELINE_ENV"] = "local"
    ok(project, "revise", "-m", "start")
    life, grams, folder = (
        project.module("life"),
        "    grams : float64",
        project.folder / "src/my_pipeline/migrations/life",
    )
    project.replace(life, grams, "    mass : float64")
    ok(project, "revise", "-m", "mass", "--rename", "Weight.grams=mass")
    project.replace(life, "    mass : float64", "    food = null : varchar(8)\n    mass : float64")
    ok(project, "revise", "-m", "food")
    food = next(folder.glob("*_food.py"))
    food.write_text(food.read_text().replace("]\n", '    AlterAttribute("Weight", "grams : float32"),\n]\n'))
    food.write_text(food.read_text().replace("import AddAttribute", "import AddAttribute, AlterAttribute"))
    for command in ("check", "renumber life"):
        shown = ok(project, *command.split(), code=1)
        assert "grams" in shown.out + shown.err and "in order" not in shown.out, shown
