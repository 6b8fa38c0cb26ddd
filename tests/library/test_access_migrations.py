"""Rights follow what migrations rename and end with what they drop, and commands say what is left to give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import granted
import pytest
from conftest import Project, Server
from living import ok

PREFIX = "acm_"


@pytest.fixture
def lab(server: Server, tmp_path: Path, render: Callable[..., Path]) -> Iterator[Project]:
    """A pipeline in production whose accounts have their rights."""
    own = Project(render(tmp_path / "my_pipeline"))
    granted.lay(own, server, PREFIX)
    granted.forget(server, PREFIX)
    ok(own, "revise", "-m", "begin")
    done = ok(own, "--env", "prod", "init")
    assert "access apply" in done.out
    ok(own, "--env", "prod", "access", "apply")
    yield own
    granted.forget(server, PREFIX)


def rights(server: Server, table: str) -> set[tuple[str, str]]:
    """Who has which right on a table of MySQL, or on columns of it."""
    query = (
        f"SELECT user, table_priv FROM mysql.tables_priv WHERE db = '{PREFIX}analysis' AND table_name = '{table}' "
        f"UNION SELECT user, CONCAT(column_name, ' ', column_priv) FROM mysql.columns_priv "
        f"WHERE db = '{PREFIX}analysis' AND table_name = '{table}'"
    )
    return {(str(user), str(words)) for user, words in server.execute(query)}


def test_rights_go_where_a_migration_takes_tables(lab: Project, server: Server) -> None:
    stranger = "acm_stranger"
    mysql = server.backend == "mysql"
    if mysql:
        server.execute(f"CREATE USER {stranger}")
        server.execute(f"GRANT SELECT, UPDATE (note) ON `{PREFIX}analysis`.`note` TO {stranger}")
    before = rights(server, "note") if mysql else set()
    module = lab.module("analysis")
    lab.replace(module, "class Note(dj.Manual)", "class Remark(dj.Manual)")
    text = lab.read(module)
    head, _, tail = text.partition("class Remark")
    lab.write(module, head + "class Remark" + tail.replace("note =", "words =", 1))
    ok(
        lab, "revise", "analysis", "-m", "rename", "--rename-table", "analysis.Note=Remark",
        "--rename", "analysis.Remark.note=words",
    )  # fmt: skip
    done = ok(lab, "--env", "prod", "migrate")
    if mysql:
        assert rights(server, "note") == set()
        after = {(who, words.replace("words", "note")) for who, words in rights(server, "remark")}
        assert after == before and len(before) > 3
    assert "access apply" not in done.out, done.out
    ok(lab, "--env", "prod", "access", "check", code=4 if mysql else 0)  # the stranger is named
    lab.replace(module, lab.read(module)[lab.read(module).index("@schema\nclass Remark") :], "")
    ok(lab, "revise", "analysis", "-m", "drop", "--drop", "analysis.Remark")
    ok(lab, "--env", "prod", "migrate")
    if mysql:
        assert rights(server, "remark") == set()
        server.execute(f"DROP USER {stranger}")
    ok(lab, "--env", "prod", "access", "check")
    ok(lab, "--env", "prod", "rollback", "analysis", "--to", "2.0.0")
    back = ok(lab, "--env", "prod", "access", "apply", "--json").json["statements"]
    assert back and all("remark" in statement["sql"] for statement in back)
    ok(lab, "--env", "prod", "access", "check")


def test_a_new_table_is_named_as_lacking_rights(lab: Project, server: Server) -> None:
    new = '\n\n@schema\nclass Mark(dj.Computed):\n    definition = """\n    -> Result\n    """\n\n    def make(self, key):\n        self.insert1(key)\n'
    lab.write(lab.module("analysis"), lab.read(lab.module("analysis")) + new)
    ok(lab, "revise", "analysis", "-m", "marks")
    done = ok(lab, "--env", "prod", "migrate")
    assert "Rights: " in done.out and "missing. Run" in done.out and "--env prod access apply" in done.out
    ok(lab, "--env", "prod", "access", "check", code=3)
    ok(lab, "--env", "prod", "access", "apply")
    ok(lab, "--env", "prod", "access", "check")
    viewer = lab.run("--env", "prod", "status", **granted.account(lab, "viewer"))
    assert "access" not in viewer.out


def test_everybody_is_told_who_makes_a_new_schema(lab: Project, server: Server) -> None:
    ok(lab, "--env", "dev", "init")
    ok(lab, "--env", "dev", "access", "apply")
    developer, mysql = granted.account(lab, "developer"), server.backend == "mysql"
    added = ok(lab, "add-schema", "behaviour", "--depends", "subject")
    assert ("administrator runs" in added.out and "before init" in added.out) == mysql, added.out
    if mysql:  # rights are on exact names, and who has none on a name can neither make nor give it
        for role in ("developer", "admin"):
            refused = lab.run("--env", "dev", "init", **granted.account(lab, role))
            assert refused.code == 1 and "administrator run" in refused.err, refused.err
            assert "--env dev access apply" in refused.err
        ok(lab, "--env", "dev", "access", "apply")
    done = ok(lab, "--env", "dev", "init", **developer)
    if mysql:
        assert "may not see" in done.out and "have an admin run" in done.out and "access plan" not in done.out, done.out
    else:
        assert "Rights: " in done.out
    ok(lab, "--env", "dev", "access", "apply", **granted.account(lab, "admin"))
    ok(lab, "--env", "dev", "access", "check")
    assert "may not see" not in ok(lab, "--env", "dev", "init", **granted.account(lab, "admin")).out
    assert "may not see" not in ok(lab, "--env", "dev", "init", **developer).out  # nothing was changed


def test_what_a_developer_renames_is_told_once_a_table(lab: Project, server: Server) -> None:
    if server.backend != "mysql":
        pytest.skip("rights of PostgreSQL go with the table")
    ok(lab, "--env", "dev", "init")
    ok(lab, "--env", "dev", "access", "apply")
    lab.replace(lab.module("analysis"), "class Result(", "class Outcome(")
    ok(lab, "revise", "analysis", "-m", "rename", "--rename-table", "analysis.Result=Outcome")
    done = ok(lab, "--env", "dev", "migrate", **granted.account(lab, "developer"))
    assert "have an admin run" in done.out, done.out
    found = lab.run("--env", "dev", "access", "check", "--json")
    assert found.code == 4
    reasons = [line["reason"] for line in found.json["unexpected"]]
    assert reasons and all(reason.count("is not there") == 1 for reason in reasons), reasons


@pytest.fixture
def strangers(mysql: Server, tmp_path: Path, render: Callable[..., Path]) -> Iterator[Project]:
    """Two tables of MySQL on which others than those of access.toml have rights; nothing can be seen of it elsewhere."""
    own = Project(render(tmp_path / "my_pipeline"))
    granted.lay(own, mysql, PREFIX, "")
    granted.forget(mysql, PREFIX)
    other = NOTE.replace("Note", "Other").replace("note", "words")
    own.write(own.module("analysis"), own.read(own.module("analysis")) + other)
    ok(own, "revise", "-m", "begin")
    ok(own, "--env", "prod", "init")
    drop = [f"DROP USER IF EXISTS {name}" for name in ("acm_first", "acm_second")]
    mysql.execute(
        *drop,
        *("CREATE USER acm_first", "CREATE USER acm_second"),
        f"GRANT SELECT, INSERT, UPDATE (note) ON `{PREFIX}analysis`.`note` TO acm_first",
        f"GRANT DELETE ON `{PREFIX}analysis`.`other` TO acm_second WITH GRANT OPTION",
    )
    yield own
    mysql.execute(*drop)
    granted.forget(mysql, PREFIX)


NOTE = '''

@schema
class Note(dj.Manual):
    definition = """
    -> session.Session
    ---
    note = "" : varchar(32)
    """
'''


def test_tables_that_exchange_their_names_keep_the_rights_of_others(strangers: Project, mysql: Server) -> None:
    module, note, other = strangers.module("analysis"), rights(mysql, "note"), rights(mysql, "other")
    for old, new in (("Note", "Between"), ("Other", "Note"), ("Between", "Other")):
        strangers.replace(module, f"class {old}(", f"class {new}(")
        ok(strangers, "revise", "analysis", "-m", f"{old} {new}", "--rename-table", f"analysis.{old}={new}")
    ok(strangers, "--env", "prod", "migrate")
    assert (rights(mysql, "other"), rights(mysql, "note")) == (note, other)
    assert len(note) == 2 and len(other) == 1


def test_a_new_table_has_not_the_rights_of_that_which_had_its_name(strangers: Project, mysql: Server) -> None:
    module, note, other = strangers.module("analysis"), rights(mysql, "note"), rights(mysql, "other")
    strangers.replace(module, "class Note(", "class Remark(")
    strangers.write(module, strangers.read(module) + NOTE.replace("note =", "text ="))
    ok(strangers, "revise", "analysis", "-m", "anew", "--rename-table", "analysis.Note=Remark")
    assert strangers.python("-c", KILLED).code in (-9, 137)
    ok(strangers, "--env", "prod", "migrate")
    assert (rights(mysql, "remark"), rights(mysql, "note"), rights(mysql, "other")) == (note, set(), other)


#: `migrate`, killed once a table has another name.
KILLED = """
import os, signal
import datajoint as dj
from datajoint_pipeline.cli import run
from my_pipeline import pipeline

seen, query = 0, dj.Connection.query
def counting(self, text, *arguments, **options):
    global seen
    if seen:
        os.kill(os.getpid(), signal.SIGKILL)
    seen += text.startswith("RENAME TABLE")
    return query(self, text, *arguments, **options)
dj.Connection.query = counting
run(pipeline, ["--env", "prod", "migrate"])
"""
