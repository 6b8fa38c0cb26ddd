"""On MySQL the tables say, after an interruption, which step is done; tables that are neither stop the migration."""

from __future__ import annotations

from conftest import Project, Server
from living import is_sentence, kill_while_it_waits, ok, rows, states
from test_limits import living as living

assert living  # a fixture

#: A table that no foreign key joins to the others, so that it can be changed while somebody reads those.
ASIDE = '''

@schema
class Aside(dj.Manual):
    definition = """
    aside : int32
    ---
    what : varchar(9)
    """
'''

#: What somebody does by hand to a table, how it is undone, and what the refusal names.
BY_HAND = [
    (
        "ALTER TABLE dev_life.weight MODIFY grams double NOT NULL COMMENT ':float64:by hand'",
        "ALTER TABLE dev_life.weight MODIFY grams double NOT NULL COMMENT ':float64:on that day'",
        "dev_life.weight.grams is double not null comment",
    ),
    (
        "ALTER TABLE dev_life.weight ADD COLUMN note int",
        "ALTER TABLE dev_life.weight DROP COLUMN note",
        "dev_life.weight has the columns animal_id, day, grams, _prov, note",
    ),
    (
        "ALTER TABLE dev_life.aside MODIFY what varchar(50) NOT NULL COMMENT ':varchar(9):'",
        "ALTER TABLE dev_life.aside MODIFY what varchar(9) NOT NULL COMMENT ':varchar(9):'",
        "dev_life.aside.what is varchar(50) not null",
    ),
    (
        "ALTER TABLE dev_life.weight ADD COLUMN mood varchar(9) NULL COMMENT ':varchar(9):' AFTER day",
        "ALTER TABLE dev_life.weight DROP COLUMN mood",
        "dev_life.weight.mood is varchar(9)",
    ),
]


def kill_half_way(living: Project, mysql: Server, *arguments: str) -> None:
    """Change one table, and kill the runner while it waits for another."""
    life = living.module("life")
    living.write(life, living.read(life) + ASIDE)
    ok(living, "revise", "-m", "aside")
    ok(living, "migrate")
    living.replace(life, "    what : varchar(9)\n", "    what : varchar(9)\n    size = null : int32\n")
    living.replace(life, "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    if not arguments:
        ok(living, "revise", "-m", "more")
    kill_while_it_waits(living, mysql, "^ALTER TABLE.*weight", "migrate", *arguments)
    assert states(living)["life"] == ("interrupted", "1.1.0")


def test_a_table_that_somebody_changed_by_hand_is_named(living: Project, mysql: Server) -> None:
    kill_half_way(living, mysql)
    for change, undo, named in BY_HAND:
        mysql.execute(change)
        refused = living.run("migrate")
        is_sentence(refused)
        assert refused.code == 6 and named in refused.err and "nothing was run" in refused.err, refused.err
        mysql.execute(undo)
    ok(living, "migrate")
    assert states(living)["life"] == ("current", "1.2.0")
    assert rows(living, "sorted(r['grams'] for r in life.Weight.to_dicts())") == [19.0, 20.5, 21.0]


def test_a_step_that_somebody_did_by_hand_counts(living: Project, mysql: Server) -> None:
    kill_half_way(living, mysql)
    mysql.execute(
        "ALTER TABLE dev_life.weight ADD COLUMN mood varchar(8) NULL DEFAULT NULL COMMENT ':varchar(8):' AFTER day"
    )
    ok(living, "migrate")
    assert states(living)["life"] == ("current", "1.2.0") and ok(living, "status").code == 0


def test_a_draft_goes_on_by_the_code_as_it_was(living: Project, mysql: Server) -> None:
    life = living.module("life")
    before = living.read(life) + ASIDE
    kill_half_way(living, mysql, "--draft")
    living.write(life, before)
    ok(living, "migrate")  # ends the draft, and then goes back to what the files say
    assert states(living)["life"] == ("current", "1.1.0") and ok(living, "status").code == 0
    assert rows(living, "[len(life.Aside.heading.names), len(life.Weight.heading.names)]") == [2, 3]
    assert not list((living.folder / "backups").glob("*-draft.json"))
