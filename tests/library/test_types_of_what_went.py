"""Attributes that a foreign key brought keep their type when the key goes, also before the next migration of the run."""

from __future__ import annotations

from conftest import Project, Server
from living import ok, rows, states
from test_migrate import living as living

assert living  # a fixture

SESSIONS = '''

@schema
class Ses(dj.Manual):
    definition = """
    sub : varchar(10)
    at : datetime
    ---
    note = "" : varchar(20)
    """


@schema
class Ins(dj.Manual):
    definition = """
    -> Ses
    n : int16
    """
'''


def test_two_changes_of_a_key_in_one_run(living: Project, server: Server) -> None:
    life = living.module("life")
    living.write(life, living.read(life) + SESSIONS)
    ok(living, "revise", "-m", "sessions")
    ok(living, "migrate")
    server.execute(
        "INSERT INTO dev_life.ses (sub, at) VALUES ('a', '2024-01-01 10:00:00'), ('b', '2024-01-02 10:00:00')",
        "INSERT INTO dev_life.ins (sub, at, n) VALUES ('a', '2024-01-01 10:00:00', 1), ('b', '2024-01-02 10:00:00', 2)",
    )
    living.replace(life, "    at : datetime\n    ---", "    sid : int32\n    ---\n    at : datetime")
    ok(living, "revise", "-m", "number", "--fill", "Ses.sid=number()", "--drop", "Ins.at")
    living.replace(life, "    n : int16\n", "    n : int16\n    cur : int32\n")
    ok(living, "revise", "-m", "currents", "--fill", "Ins.cur=1")
    ok(living, "migrate", "--dry-run", code=3)
    ok(living, "migrate")
    assert states(living)["life"][0] == "current"
    assert rows(living, "len(life.Ses * life.Ins)") == 2
    ok(living, "rollback", "life", "--to", "1.1.0")
    ok(living, "migrate", "--dry-run", code=3)
    ok(living, "migrate")
    ok(living, "check")
