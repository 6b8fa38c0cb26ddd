"""Types and comments that a server takes for none, or for others, are refused before the first step, on both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import Project, Server
from living import is_sentence, lay, ok, put_back, states
from living import living as made


@pytest.fixture
def living(project: Project, server: Server) -> Iterator[Project]:
    with made(server, project) as own:
        yield own


#: By server, lines of a definition that it refuses, or has otherwise, and what the refusal says of it.
REFUSED = {
    "mysql": [
        ("tag = null : char(256)", "tag of life.{} cannot be char(256)", "255 letters"),
        ("part = null : decimal(66,2)", "part of life.{} cannot be decimal(66,2)", "65 digits"),
        ("part = null : decimal(5,10)", "part of life.{} cannot be decimal(5,10)", "no more than it has in all"),
        ("part = null : decimal(40,31)", "part of life.{} cannot be decimal(40,31)", "30 digits behind the point"),
        ("at = null : datetime(7)", "at of life.{} cannot be datetime(7)", "6 digits of a second's fraction"),
        (
            f"kind = null : enum('a', '{'b' * 256}')",
            "kind of life.{} cannot be an enum of such values",
            "has 256 letters",
        ),
        (f"size = null : int32  # {'c' * 1020}", "The comment of size in life.{} is too long", "MySQL takes 1,024"),
        (f"kind = null : enum({', '.join(repr('v' * 9 + str(n)) for n in range(99))})", "comment", "take fewer values"),
    ],
    "postgresql": [
        ("tag = null : varchar(0)", "tag of life.{} cannot be varchar(0)", "1 to 10,485,760 letters"),
        ("part = null : decimal(1001,2)", "part of life.{} cannot be decimal(1001,2)", "1 to 1,000 digits"),
        ("at = null : datetime(7)", "at of life.{} cannot be datetime(7)", "6 digits of a second's fraction"),
        (f"kind = null : enum('a', '{'ä' * 32}')", "kind of life.{} cannot be an enum of such values", "has 64 bytes"),
    ],
}

#: Lines that it takes.
TAKEN = {
    "mysql": [
        *(
            "tag = null : char(255)",
            "part = null : decimal(65,30)",
            "at = null : datetime(6)",
            "none = null : varchar(0)",
        ),
        *(f"kind = null : enum('a', '{'b' * 255}')", f"size = null : int32  # {'c' * 1016}"),
    ],
    "postgresql": [
        *("tag = null : char(300)", "part = null : decimal(1000,2)", "at = null : datetime(6)"),
        *(f"kind = null : enum('a', '{'ä' * 31}b')", f"size = null : int32  # {'c' * 2000}"),
    ],
}

TABLE = '\n\n@schema\nclass Early(dj.Manual):\n    definition = """\n    early : int32\n    ---\n    {}\n    """\n'


def test_what_a_server_does_not_take_stops_it_before_the_first_step(living: Project, server: Server) -> None:
    """In a table that is made, after which others would have been, and in one that is changed."""
    life = living.module("life")
    text = living.read(life)
    for number, (line, *said) in enumerate(REFUSED[server.backend]):
        with put_back(living.folder / "src"):
            grams = "    grams : float64"
            changed = number % 2
            living.write(life, text.replace(grams, f"    {line}\n{grams}") if changed else text + TABLE.format(line))
            ok(living, "revise", "-m", "another")
            for arguments in (("migrate", "--dry-run"), ("migrate",)):
                refused = ok(living, *arguments, code=1)
                is_sentence(refused)
                for words in said:
                    assert words.format("Weight" if changed else "Early") in refused.err, refused.err
            assert states(living)["life"] == ("behind", "1.0.0")
    living.write(life, text + TABLE.format("\n    ".join(TAKEN[server.backend])))
    ok(living, "revise", "-m", "another")
    ok(living, "migrate")
    assert states(living)["life"][0] == "current"


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
def test_the_comment_of_a_table(living: Project) -> None:
    living.replace(living.module("life"), "# An animal", f"# {'c' * 2049}")
    ok(living, "revise", "-m", "told")
    assert "The comment of life.Animal is too long" in ok(living, "migrate", code=1).err
    living.replace(living.module("life"), "c" * 2049, "c" * 2048)
    ok(living, "revise", "--again", "-m", "told")
    ok(living, "migrate")


#: A command as releases up to 0.14 had it, which did not ask.
UNASKED = """
from datajoint_pipeline.dialects.mysql import untaken
untaken.refuse = lambda *arguments: None
from datajoint_pipeline.cli import run; from my_pipeline import pipeline
run(pipeline, ["migrate"])
"""


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
def test_what_an_earlier_release_left_half_way_is_taken_back(living: Project) -> None:
    life = living.module("life")
    living.replace(life, "    name : varchar(32)", "    name : varchar(40)")
    living.replace(life, "    grams : float64", "    tag = null : char(256)\n    grams : float64")
    ok(living, "revise", "-m", "another")
    assert living.python("-c", UNASKED).code == 6
    assert "rollback --interrupted" in ok(living, "migrate", code=6).err
    ok(living, "rollback", "--interrupted")
    assert states(living)["life"] == ("behind", "1.0.0")


def test_init_makes_nothing_of_it(project: Project, server: Server) -> None:
    """Though DataJoint would, on PostgreSQL, with fewer digits."""
    project.environment |= {**server.variables, "MY_PIPELINE_ENV": "dev", "DJ_LOG_LEVEL": "ERROR"}
    lay(project)
    server.drop("dev_work", "dev_life")
    try:
        text = project.read(project.module("life"))
        project.write(project.module("life"), text + TABLE.format("at = null : datetime(7)"))
        refused = ok(project, "init", code=1)
        is_sentence(refused)
        assert "at of life.Early cannot be datetime(7)" in refused.err
        found = ok(project, "check", code=1)
        assert "cannot be datetime(7)" in found.out + found.err
        project.write(project.module("life"), text)
        ok(project, "init")
    finally:
        server.drop("dev_work", "dev_life")
