"""The rules of `migrate --dry-run`: each is documented, speaks where it should, and can be silenced by its id alone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Project, Server
from living import VERSION, living, ok

from datajoint_pipeline.history.migration_files import RULES

#: A hundred thousand more animals, which weigh nothing.
MANY = {
    "mysql": (
        "SET SESSION cte_max_recursion_depth = 200000",
        "INSERT INTO dev_life.animal (animal_id, name) WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n "
        "WHERE i < 100010) SELECT i, 'x' FROM n",
    ),
    "postgresql": ("INSERT INTO dev_life.animal (animal_id, name) SELECT i, 'x' FROM generate_series(10, 100010) i",),
}

#: A worker that holds a job, and has yet to do it.
RESERVED = """
from my_pipeline import life, work
work.Task.insert1((2, "dig", None))
work.Score.jobs.refresh()
work.Score.jobs.reserve({"animal_id": 2, "task": "dig"})
"""

#: What happens to the code of the first schema. The second one goes.
CHANGES = [
    ("name : varchar(32)", "name : varchar(2)"),
    ("grams : float64", "weight : float64"),
    ("    colour = \"grey\" : enum('grey', 'white')\n", ""),
    ("    day : date\n    ---\n", "    ---\n    day : date\n"),
]


@pytest.fixture
def changed(server: Server, project: Project) -> Iterator[Project]:
    """A project with one migration that does everything that a rule speaks of."""
    with living(server, project) as own:
        held = own.python("-c", RESERVED)
        assert held.code == 0, held.err
        server.execute(*MANY[server.backend])
        for before, after in CHANGES:
            own.replace(own.module("life"), before, after)
        (own.folder / own.module("work")).unlink()
        own.write(own.module("version"), VERSION.replace("    \"work\": '1.0.0',  # and this one\n", ""))
        ok(own, "revise", "-m", "everything", "--rename", "Weight.grams=weight", "--drop", "Animal.colour")
        text = own.read(FILE)
        own.write(
            FILE,
            text.replace("import ", "import RunSQL, ", 1).replace(
                "operations = [", 'operations = [\n    RunSQL("look", mysql="SELECT 1", postgresql="SELECT 1"),', 1
            ),
        )
        yield own


FILE = "src/my_pipeline/migrations/life/2.0.0_everything.py"


def rules(project: Project, code: int = 7) -> dict[str, set[str]]:
    """For each id that speaks, the reasons why it is not to."""
    found: dict[str, set[str]] = {}
    for group in ok(project, "migrate", "--dry-run", "--json", code=code).json["groups"]:
        for rule in group["rules"]:
            found.setdefault(rule["id"], set()).add(rule["silenced"])
    return found


def test_every_rule_has_its_paragraph(default_folder: Path) -> None:
    text = (default_folder / "docs" / "migrations.md").read_text(encoding="utf-8").partition("## Rules")[2]
    told = [id_ for head in re.findall(r"^\*\*([\w, -]+)\.\*\* \S", text, re.M) for id_ in head.split(", ")]
    assert sorted(told) == sorted(RULES)


def test_every_rule_speaks_and_is_silenced_by_its_id_alone(changed: Project) -> None:
    spoken = set(RULES) - {
        "draft",
        "objects",
        "may-not-lock",
        "event-triggers",
        "stays-hidden",
    }  # which have tests of their own
    assert rules(changed) == {id_: {""} for id_ in spoken}
    files = sorted((changed.folder / "src/my_pipeline/migrations").glob("*/*.py"))
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    for id_ in spoken:
        for path, text in texts.items():
            path.write_text(f'{text}\nsilence = {{"{id_}": "agreed with [Ada]"}}\n', encoding="utf-8")
        found = rules(changed)
        assert found.pop(id_) == {"agreed with [Ada]"}
        assert all(reasons == {""} for reasons in found.values()), id_
    shown = ok(changed, "migrate", "--dry-run", code=7)
    assert "(silenced: agreed with [Ada])" in shown.out


def test_a_draft_is_told_and_silenced(server: Server, project: Project) -> None:
    with living(server, project) as own:
        own.replace(own.module("life"), "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
        ok(own, "migrate", "--draft")
        ok(own, "revise", "-m", "moods")
        assert rules(own, 3) == {"draft": {""}}
        path = "src/my_pipeline/migrations/life/1.1.0_moods.py"
        own.write(path, f'{own.read(path)}\nsilence = {{"draft": "it was mine"}}\n')
        assert rules(own, 3) == {"draft": {"it was mine"}}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('silence = {"drop-tables": "typo"}', "silences drop-tables, and there is no such rule"),
        ('silence = {"drop-table": ""}', "Expected is: silence = "),
        ('silence = ["drop-table"]', "Expected is: silence = "),
        ('requires = {"work": "one"}', "is not a version"),
        ('requires = "work"', "Expected is: requires = "),
    ],
)
def test_what_cannot_be_silenced_or_required_is_said(
    default_folder: Path, tmp_path: Path, line: str, said: str
) -> None:
    own = Project(Path(shutil.copytree(default_folder, tmp_path / "my_pipeline")))
    own.write("src/my_pipeline/migrations/subject/1.0.0_more.py", f"operations = []\n{line}\n")
    refused = own.run("revise", "-m", "next")
    assert refused.code == 1 and said in refused.err and "Traceback" not in refused.err


def test_what_datajoint_no_longer_writes_after_another_tier_is_named(server: Server, project: Project) -> None:
    """A computed table that becomes a Manual one takes rows, and keeps when those before were computed; and back."""
    with living(server, project) as own:
        work = own.module("work")
        own.replace(work, "class Score(dj.Computed)", "class Score(dj.Manual)")
        own.write(work, own.read(work).partition("    def make(")[0])
        ok(own, "revise", "-m", "by hand")
        shown = " ".join(ok(own, "migrate", "--dry-run", code=3).out.split())
        stay = "_job_start_time, _job_duration, _job_version"
        assert f"Score keeps {stay} with their values; DataJoint writes nothing more there." in shown, shown
        ok(own, "migrate")
        by_hand = "work.Task.insert1((1, 'dig', None)); work.Score.insert1((1, 'dig', 3))"
        assert own.python("-c", f"from my_pipeline import work; {by_hand}").code == 0
        timed = "SELECT COUNT(*) FROM dev_work.score WHERE _job_start_time IS NOT NULL"
        assert server.execute(timed) == [(2,)]
        assert "nothing changed" in ok(own, "diff").out and ok(own, "status").code == 0
