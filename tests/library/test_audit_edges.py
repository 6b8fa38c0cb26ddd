"""The audit of tables at its edges: parts, drafts, adoptions, restored values, names that are long, rights that lack."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from audited import audit, audited_now, entries, forget_people, person
from conftest import Project, Server, private_mysql
from living import is_sentence, ok
from living import living as made
from proxy import Fault, Proxy

PART = '''

@schema
class Litter(dj.Manual):
    definition = """
    -> Animal
    ---
    born : date
    """

    class Pup(dj.Part):
        definition = """
        -> master
        pup : int16
        ---
        weight = null : float64
        mark = null : uuid
        """
'''


@pytest.fixture
def living(project: Project, server: Server) -> Iterator[Project]:
    with made(server, project) as own:
        yield own
    forget_people(server)


def test_parts_and_children_whose_keys_change_are_audited_where_named(living: Project, server: Server) -> None:
    living.write(living.module("life"), living.read(living.module("life")) + PART)
    ok(living, "revise", "-m", "litters")
    ok(living, "migrate")
    audit(living, "life.litter__pup", "life.weight")
    mark = "'00000000-0000-0000-0000-000000000007'"
    server.execute(
        "INSERT INTO dev_life.litter (animal_id, born) VALUES (1, '2026-01-01')",
        "INSERT INTO dev_life.litter__pup (animal_id, pup, weight, mark) "
        f"VALUES (1, 1, 2.5, {f'UUID_TO_BIN({mark})' if server.backend == 'mysql' else mark})",
    )
    (entry,) = [e for e in entries(server) if e[2] == "insert"]
    assert entry[0] == "litter__pup" and entry[4]["mark"] == "00000000-0000-0000-0000-000000000007"

    # Every table below gets another key; the triggers of those that are audited follow.
    living.replace(living.module("life"), "animal_id : int32", "animal_id : int64")
    ok(living, "revise", "-m", "wider")
    ok(living, "migrate")
    living.replace(living.module("life"), "    animal_id : int64", "    number : int64")
    ok(living, "revise", "-m", "number", "--rename", "Animal.animal_id=number")
    ok(living, "migrate")
    assert audited_now(server) == [("dev_life", "litter__pup"), ("dev_life", "weight")]
    server.execute("UPDATE dev_life.weight SET grams = 1 WHERE number = 2", "DELETE FROM dev_life.litter__pup")
    assert [(e[0], e[2]) for e in entries(server)[-2:]] == [("weight", "update"), ("litter__pup", "delete")]


def test_drafts_adoption_and_restored_values_keep_the_audit(living: Project, server: Server) -> None:
    audit(living, "life.animal")
    living.replace(living.module("life"), "    name : varchar(32)", "    name : varchar(2)")
    ok(living, "migrate", "--draft", "--allow-data-loss")
    living.replace(living.module("life"), "    name : varchar(2)", "    name : varchar(32)")
    ok(living, "migrate", "--draft")
    assert audited_now(server) == [("dev_life", "animal")]
    (backup,) = sorted((living.folder / "backups").glob("*.zip"))
    before = len(entries(server))
    ok(living, "restore", str(backup), "--overwrite")
    assert [e[2] for e in entries(server)[before:]] == ["update"] * 2  # by whoever restored
    assert entries(server)[-1][1] == server.user and audited_now(server) == [("dev_life", "animal")]
    ok(living, "migrate", "life", "--to", "1.0.0")
    ok(living, "adopt", "--again")
    ok(living, "adopt", "--undo")
    server.execute("DELETE FROM dev_life.weight")
    assert audited_now(server) == [("dev_life", "animal")]


def test_a_table_that_was_purged_is_audited_again_once_it_is_restored(living: Project, server: Server) -> None:
    text = living.read(living.module("life"))
    living.write(living.module("life"), text + PART)
    ok(living, "revise", "-m", "litters")
    ok(living, "migrate")
    audit(living, "life.animal", "life.litter")
    server.execute("INSERT INTO dev_life.litter (animal_id, born) VALUES (1, '2026-01-01'), (2, '2026-01-02')")
    server.execute("INSERT INTO dev_life.litter__pup (animal_id, pup) VALUES (1, 7)")
    living.write(living.module("life"), text)
    ok(living, "revise", "-m", "no litters", "--drop", "Litter", "--drop", "Litter.Pup")
    ok(living, "migrate")
    ok(living, "purge", "--allow-data-loss")
    assert audited_now(server) == [("dev_life", "animal")]
    before = len(entries(server))
    (backup,) = sorted((living.folder / "backups").glob("*purge*.zip"))
    ok(living, "restore", str(backup), "--dry-run")
    assert audited_now(server) == [("dev_life", "animal")] and len(entries(server)) == before
    ok(living, "restore", str(backup))
    # What comes back is written down as what whoever restores it enters; a part that was not audited is not.
    assert [(e[0], e[1], e[2]) for e in entries(server)[before:]] == [("~dropped_litter", server.user, "insert")] * 2
    assert audited_now(server) == [("dev_life", "animal"), ("dev_life", "~dropped_litter")]
    ok(living, "rollback", "life", "--to", "1.1.0")
    assert audited_now(server) == [("dev_life", "animal"), ("dev_life", "litter")]
    assert len(server.execute("SELECT * FROM dev_life.litter")) == 2


def test_a_name_that_is_long_and_a_table_whose_triggers_were_taken_off(living: Project, server: Server) -> None:
    name = "A" + "b" * 55
    text = f'\n\n@schema\nclass {name}(dj.Manual):\n    definition = """\n    k : int32\n    ---\n    note = null : varchar(8)\n    """\n'
    living.write(living.module("life"), living.read(living.module("life")) + text)
    ok(living, "revise", "-m", "long")
    ok(living, "migrate")
    table = name.lower()
    audit(living, f"life.{table}", "life.animal")
    server.execute(f"INSERT INTO dev_life.{table} (k) VALUES (1)")
    assert entries(server)[-1][:3] == (table, server.user, "insert")
    living.replace(living.module("life"), "note = null : varchar(8)", "words = null : varchar(8)")
    ok(living, "revise", "-m", "words", "--rename", f"{name}.note=words")
    ok(living, "migrate")
    server.execute(f"UPDATE dev_life.{table} SET words = 'x'")
    assert entries(server)[-1][2] == "update"

    # Somebody who may took a part of it off: the next migrate sees and says it.
    gone = "DROP TRIGGER dev_life.`~audit_update_animal`"
    server.execute(gone if server.backend == "mysql" else 'DROP TRIGGER "~audit_truncate" ON dev_life.animal')
    healed = ok(living, "migrate")
    assert "The audit of life.Animal was not complete, as after an interrupted command; now it is." in healed.err
    assert audited_now(server) == [("dev_life", table), ("dev_life", "animal")]


def test_an_account_that_may_make_no_triggers_is_refused_before_the_first_step(project: Project, mysql: Server) -> None:
    with made(mysql, project) as living:
        audit(living, "life.animal")
        who = person(mysql, "runner", "dev_life", "dev_work")
        rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES, LOCK TABLES"
        mysql.execute(*(f"GRANT {rights} ON dev_{name}.* TO runner" for name in ("life", "work")))
        living.replace(living.module("life"), "    name : varchar(32)", "    title : varchar(32)")
        ok(living, "revise", "-m", "title", "--rename", "Animal.name=title")
        before = mysql.execute("SHOW CREATE TABLE dev_life.animal")
        own = {"DJ_USER": who[0], "DJ_PASS": who[1]}
        refused = ok(living, "migrate", code=1, **own)
        is_sentence(refused)
        assert "may not make triggers in dev_life" in refused.err and "TRIGGER on dev_life.*" in refused.err
        assert mysql.execute("SHOW CREATE TABLE dev_life.animal") == before
        mysql.execute(*(f"GRANT TRIGGER ON dev_{name}.* TO runner" for name in ("life", "work")))
        ok(living, "migrate", **own)
        assert audited_now(mysql) == [("dev_life", "animal")]
    forget_people(mysql)


def test_a_server_with_a_binary_log_that_trusts_nobody_is_named(project: Project, tmp_path: Path) -> None:
    if shutil.which("mysqld") is None:
        pytest.skip("no mysqld on PATH, and this server's settings must be those of the test")
    (tmp_path / "mysqld").mkdir()
    with private_mysql(tmp_path / "mysqld", "--log-bin=binlog") as server, made(server, project) as living:
        who = person(server, "runner", "dev_life", "dev_work")
        server.execute(*(f"GRANT ALL ON dev_{name}.* TO runner" for name in ("life", "work")))
        own = {"DJ_USER": who[0], "DJ_PASS": who[1]}
        living.environment |= own
        refused = audit(living, "life.animal", code=1)
        is_sentence(refused)
        assert "The server writes a binary log" in refused.err and "log_bin_trust_function_creators" in refused.err
        assert audited_now(server) == []
        server.execute("SET GLOBAL log_bin_trust_function_creators = ON")
        audit(living, "life.animal")
        server.execute("SET GLOBAL log_bin_trust_function_creators = OFF")
        living.replace(living.module("life"), "    name : varchar(32)", "    title : varchar(32)")
        ok(living, "revise", "-m", "title", "--rename", "Animal.name=title")
        before = server.execute("SHOW CREATE TABLE dev_life.animal")
        refused = ok(living, "migrate", code=1)
        is_sentence(refused)
        assert "Nothing was changed" in refused.err
        assert server.execute("SHOW CREATE TABLE dev_life.animal") == before
        assert audited_now(server) == [("dev_life", "animal")]


def test_doctor_says_whether_the_server_has_an_audit_log_of_its_own(living: Project, server: Server) -> None:
    def said(**account: str) -> str:
        (fact,) = [text for text in living.run("doctor", "--json", **account).json["facts"] if "docs/audit.md" in text]
        return str(fact)

    assert said().startswith("The server has no audit log of its own")
    name, password = person(server, "ada", "dev_life", "dev_work")
    assert "shows this account no" in said(DJ_USER=name, DJ_PASS=password)


def test_nothing_that_a_session_sets_changes_an_entry_or_keeps_others_from_writing(
    living: Project, server: Server
) -> None:
    audit(living, "life.animal", "life.weight")
    who = person(server, "eve", "dev_life")
    before = len(entries(server))
    change = "UPDATE dev_life.weight SET grams = {}"
    if server.backend == "postgresql":
        server.execute(
            "SET extra_float_digits = -15", change.format(20.25), change.format(20.75), user=who[0], password=who[1]
        )
        new = [e[4]["grams"] for e in entries(server)[before:] if e[2] == "update"]
        assert set(new) == {20.25, 20.75}
        return
    server.execute("SET timestamp = 1", change.format(20.25), user=who[0], password=who[1])
    server.execute("SET time_zone = '+09:00'", change.format(20.75), user=who[0], password=who[1])
    new = [e[4]["grams"] for e in entries(server)[before:] if e[2] == "update"]
    assert set(new) == {20.25, 20.75}
    ((off,),) = server.execute(
        "SELECT MAX(ABS(TIMESTAMPDIFF(SECOND, at, UTC_TIMESTAMP(6)))) FROM dev_life.`~audit` WHERE operation = 'update'"
    )
    assert off < 60
    for number in (9223372036854775807, 3):
        with pytest.raises(Exception, match="SET insert_id = 0"):
            server.execute(f"SET insert_id = {number}", change.format(1), user=who[0], password=who[1])
    server.execute(change.format(2), user=who[0], password=who[1])
    assert entries(server)[-1][4]["grams"] == 2 and entries(server)[-1][1] == "eve"


CUTS = {
    "renamed": (
        ("class Weight(", "class Mass("),
        ("--rename-table", "Weight=Mass"),
        (
            "CREATE TRIGGER `dev_life`.`~hold_delete",
            "DROP TRIGGER",
            "RENAME TABLE",
            "CREATE TRIGGER `dev_life`.`~audit",
        ),
    ),
    "moved": (
        ("@schema\nclass Weight(", ""),
        ("--rename-table", "life.Weight=work.Weight"),
        ("CREATE TRIGGER `dev_life`.`~hold_delete", "RENAME TABLE", "CREATE TRIGGER `dev_work`.`~hold_update"),
    ),
}


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
@pytest.mark.parametrize("change", CUTS)
def test_an_audited_table_that_gets_another_name_under_a_kill(living: Project, server: Server, change: str) -> None:
    """At any statement: the run goes on, or is taken back, and the table is audited and open again."""
    audit(living, "life.weight")
    (old, new), answers, statements = CUTS[change]
    life, work = living.module("life"), living.module("work")
    before, beside = living.read(life), living.read(work)
    if change == "moved":
        start = before.index(old)
        end = before.find("@schema", start + 1)
        part = before[start : end if end > 0 else len(before)]
        living.write(life, before.replace(part, ""))
        living.write(work, beside + "\n\n" + part.replace("-> Animal", "-> life.Animal"))
    else:
        living.write(life, before.replace(old, new))
    ok(living, "revise", "-m", "another name", *answers)
    for number, statement in enumerate(statements):
        proxy, fault = Proxy("mysql", server.port), Fault(statement, "after", lambda: None)
        try:
            proxy.begin(fault)
            assert living.run("migrate", DJ_PORT=str(proxy.port), DJ_USE_TLS="false").code, statement
            assert fault.struck.is_set(), statement
        finally:
            proxy.close()
        if living.run("status").code == 6:
            for word in ("apply", "plan", "check"):
                refused = living.run("access", word)
                assert refused.code == 6 and "in the middle of a change" in refused.err, refused.out
            told = living.run("diff").out
            assert "in the middle of a change that migrate began" in told and "_away" not in told, told
        if number % 2:
            undone = living.run("rollback", "--interrupted")
            assert undone.code == 0 or "There is no interrupted run" in undone.err, undone.err
        ok(living, "migrate")
        place = ("dev_work", "weight") if change == "moved" else ("dev_life", "mass")
        assert audited_now(server) == [place], statement
        server.execute(f"UPDATE {place[0]}.{place[1]} SET grams = grams + 1")
        held = "SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_name LIKE '~hold%'"
        assert server.execute(held) == [(0,)], statement
        ok(living, "rollback", "life", "--to", "1.0.0", *(["--along"] if change == "moved" else []))
        assert audited_now(server) == [("dev_life", "weight")], statement


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
@pytest.mark.parametrize("last", ["insert", "update", "delete"])
def test_writers_are_let_in_again_though_the_way_back_is_killed_at_its_end(
    living: Project, server: Server, last: str
) -> None:
    """The run is recorded as taken back by then; the same command, run again, ends it."""
    audit(living, "life.weight")
    living.replace(living.module("life"), "animal_id : int32", "animal_id : int64")
    ok(living, "revise", "-m", "wider")

    def killed(statement: str, when: str, *command: str) -> None:
        proxy = Proxy("mysql", server.port)
        try:
            proxy.begin(Fault(statement, when, lambda: None))
            assert living.run(*command, DJ_PORT=str(proxy.port), DJ_USE_TLS="false").code, statement
        finally:
            proxy.close()

    killed("CREATE TRIGGER `dev_life`.`~hold_delete", "after", "migrate")
    killed(f"DROP TRIGGER IF EXISTS `dev_life`.`~hold_{last}", "before", "rollback", "--interrupted")
    assert "interrupted" not in living.run("status").out
    ok(living, "rollback", "--interrupted")
    server.execute("UPDATE dev_life.weight SET grams = grams + 1", "DELETE FROM dev_life.weight LIMIT 1")
    assert audited_now(server) == [("dev_life", "weight")]
    again = living.run("rollback", "--interrupted")
    assert again.code == 1 and "There is no interrupted run to take back." in again.err
    ok(living, "migrate")
