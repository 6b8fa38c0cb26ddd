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
