"""What others wrote reaches a terminal as text: no escape sequence of theirs, and no value of a statement of theirs."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from conftest import Project, Server
from living import living, ok

from datajoint_pipeline.dialects.lock_holders import without_literals

#: Clears the screen, names the window, turns the direction of writing; the last two need no escape.
EVIL = "eve\x1b[2J\x1b]0;root\x07\u202e\x9b31m"

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


def test_names_from_the_journal_and_the_server_move_no_cursor(project: Project, server: Server) -> None:
    project.environment |= {"LOGNAME": EVIL}
    with living(server, project) as own:
        shown = ok(own, "log").out
        assert "eve\\u001b[2J\\u001b]0;root\\u0007\\u202e\\u009b31m@" in "".join(shown.split())
        assert not CONTROL.search(shown)
        listed = ok(own, "log", "--json").out
        assert not CONTROL.search(listed)
        assert {run["os_user"] for run in json.loads(listed)["runs"]} == {EVIL}
        quote = "`" if server.backend == "mysql" else '"'
        server.execute(f"ALTER TABLE dev_life.weight ADD COLUMN {quote}a\x1b[2Jb{quote} int")
        for command in (("status",), ("diff", "life"), ("migrate",)):
            done = own.run(*command)
            assert not CONTROL.search(done.out + done.err), (command, done.out, done.err)
        assert "a\\u001b[2Jb" in ok(own, "status", code=4).out


@pytest.mark.parametrize(
    ("text", "mysql", "postgresql"),
    [
        ("ALTER USER bob IDENTIFIED BY 'hunter2'", "ALTER USER bob IDENTIFIED BY ?", "ALTER USER bob IDENTIFIED BY ?"),
        ('SELECT a1, "b"  FROM `t2`\n WHERE n = 12.5e3', "SELECT a1, ? FROM `t2` WHERE n = ?", None),
        ('SELECT a1 FROM "t2" WHERE n = -7', "SELECT a1 FROM ? WHERE n = -?", 'SELECT a1 FROM "t2" WHERE n = -?'),
        ("UPDATE t SET a = 'it''s', b = X'AB' -- 'x", "UPDATE t SET a = ?, b = ?", "UPDATE t SET a = ?, b = ?"),
        ("UPDATE t SET a = 'cut off in the mid", "UPDATE t SET a = ?", "UPDATE t SET a = ?"),
        ("SELECT $q$hush$q$, $1, $$hush", None, "SELECT ?, $1, ?"),
        ("SELECT /* hush */ 1 # hush", "SELECT ?", None),
        ("SELECT 1, 'a\\', 'hush'", "SELECT ?, …", "SELECT ?, …"),
    ],
)
def test_statements_of_others_are_shown_without_their_values(
    text: str, mysql: str | None, postgresql: str | None
) -> None:
    for is_mysql, expected in ((True, mysql), (False, postgresql)):
        assert expected is None or without_literals(text, mysql=is_mysql) == expected


def test_what_a_terminal_cannot_show_is_replaced(project: Project, server: Server) -> None:
    """Characters of a lab in comments, names and values: commands do the same, and only the picture is poorer."""
    encoding = "cp1252" if server.backend == "mysql" else "latin-1:strict"
    with living(server, project) as own:
        own.replace(own.module("life"), "# An animal", "# An animal → 動物 ✓")
        own.replace(own.module("life"), "# on that day", "# on that day, in µg ± δ")
        variables = {**own.variables(), "PYTHONIOENCODING": encoding}

        def said(*arguments: str, code: int = 0) -> tuple[str, str]:
            command = [sys.executable, "-m", "my_pipeline", *arguments]
            done = subprocess.run(command, cwd=own.folder, env=variables, capture_output=True, check=False)
            out, err = (text.decode(encoding.partition(":")[0]) for text in (done.stdout, done.stderr))
            assert done.returncode == code and "Unicode" not in err, (arguments, out, err)
            return out, err

        assert "?" in said("diff", code=3)[0]
        said("revise", "-m", "longer")
        assert "?" in said("migrate", "--dry-run", code=3)[0]
        shown = json.loads(said("migrate", "--dry-run", "--json", code=3)[0])
        assert "動物" in json.dumps(shown, ensure_ascii=False)
        said("migrate")
        assert said("log")[0]
    assert "動物" in own.read("src/my_pipeline/migrations/life/snapshot.txt")
