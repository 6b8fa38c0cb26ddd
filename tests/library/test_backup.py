"""What migrate and purge would lose is written to a file before, and the file puts it back, on both backends."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Project, Server, small_disk
from living import is_sentence, living, ok, rows, states
from proxy import Fault, Proxy

#: A table with what values can be.
ODD = '''

@schema
class Odd(dj.Manual):
    definition = """
    odd_id : varchar(32)
    ---
    note = null : varchar(64)
    amount = 0 : decimal(10,4)
    moment = null : datetime(6)
    ratio = null : float64
    token = null : uuid
    payload = null : <blob>
    setting = null : json
    """
'''

FILL = r"""
import datetime, decimal, uuid
from my_pipeline import life
MYSQL = life.schema.connection.adapter.backend == "mysql"
NOTES = [None, "", "short", "line one\nline two\r\nthree", 'say "quotes", and commas', "\\N", "\\x41\\",
         "Übergröße 测量 🐭🐭🐭", "  spaces at both ends  ", "' OR 1=1; -- %s %% {0}", "a" * 64, "it\tis; tabbed"]
life.Odd.insert(
    dict(odd_id=f"{n:02}-é" + "x" * n, note=note, amount=decimal.Decimal("1234.5678") + n, ratio=0.1 + n / 3,
         moment=datetime.datetime(2026, 1, 2, 3, 4, 5, 123456 + n), token=uuid.UUID(int=n) if MYSQL else None,  # which DataJoint 2.3.5 cannot do there
         payload={"n": [n, b"\x00\xff"]},
         setting={"ключ": [n, None, "\u2028"]})
    for n, note in enumerate(NOTES)
)
"""

ALL = "sorted(life.Odd.to_dicts(), key=lambda r: r['odd_id'])"


@pytest.fixture
def odd(server: Server, project: Project) -> Iterator[Project]:
    """A pipeline with odd values, in ``dev``."""
    with living(server, project) as own:
        own.write(own.module("life"), own.read(own.module("life")) + ODD)
        ok(own, "revise", "-m", "odd things")
        ok(own, "migrate")
        filled = own.python("-c", FILL)
        assert filled.code == 0, filled.err
        yield own


def table(server: Server, name: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """The rows of a table as the driver tells them, null and empty apart, bytes as bytes."""
    quote = "`" if server.backend == "mysql" else '"'
    found = server.execute(f"SELECT {columns} FROM {quote}dev_life{quote}.{quote}{name}{quote}")
    return sorted((tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in found), key=repr)


def backups(project: Project) -> list[Path]:
    return sorted((project.folder / "backups").glob("*.zip"))


def leftovers(project: Project) -> list[str]:
    return sorted(path.name for path in (project.folder / "backups").glob(".*.part"))


def revise(project: Project, *changes: tuple[str, str], words: str = "smaller", said: tuple[str, ...] = ()) -> None:
    for old, new in changes:
        project.replace(project.module("life"), old, new)
    ok(project, "revise", "-m", words, *said)


SMALLER = (
    ("note = null : varchar(64)", "note = null : varchar(8)"),
    ("amount = 0 : decimal(10,4)", "amount = 0 : decimal(10,2)"),
    ("moment = null : datetime(6)", "moment = null : datetime"),
    ("ratio = null : float64", "ratio = null : float32"),
)


@pytest.mark.both_servers
def test_every_value_comes_back_after_it_was_cut(odd: Project, server: Server) -> None:
    before = table(server, "odd")
    revise(odd, *SMALLER)
    assert ok(odd, "migrate", code=7) and not backups(odd)
    told = ok(odd, "migrate", "--allow-data-loss").out
    (path,) = backups(odd)
    assert path.name.startswith("dev-life-migrate-") and f"backups/{path.name}" in told, told
    assert path.stat().st_mode & 0o077 == 0 and not leftovers(odd)
    assert table(server, "odd") != before
    refused = odd.run("restore", str(path))
    is_sentence(refused)
    assert "rollback life --to 1.1.0" in refused.err, refused.err
    ok(odd, "rollback", "life", "--to", "1.1.0")
    assert table(server, "odd") != before
    was = states(odd)
    shown = ok(odd, "restore", path.name, "--dry-run", "--json").json
    assert shown["dry_run"] and [t["rows"] for t in shown["tables"]] == [12], shown
    assert table(server, "odd") != before
    done = ok(odd, "restore", str(path), "--json").json
    assert table(server, "odd") == before
    assert done["tables"] == shown["tables"] and done["tables"][0]["restored"] == 12
    again = ok(odd, "restore", str(path), "--json").json
    assert (again["tables"][0]["restored"], again["tables"][0]["same"]) == (0, 12)
    assert states(odd) == was and ok(odd, "status", code=3)
    ok(odd, "migrate", "--allow-data-loss", "--no-backup")
    assert backups(odd) == [path]


@pytest.mark.parametrize("goes", ["renamed", "dropped"])
def test_values_do_not_come_back_into_another_attribute_of_that_name(odd: Project, server: Server, goes: str) -> None:
    before = table(server, "odd")
    revise(odd, ("note = null : varchar(64)", "note = null : varchar(8)"))
    ok(odd, "migrate", "--allow-data-loss")
    (path,) = backups(odd)
    if goes == "renamed":
        new = "    remark = null : varchar(8)\n    note = null : varchar(64)"
        revise(odd, ("    note = null : varchar(8)", new), words="remarks", said=("--rename", "Odd.note=remark"))
    else:
        revise(odd, ("    note = null : varchar(8)\n", ""), words="no notes", said=("--drop", "Odd.note"))
        ok(odd, "migrate")
        revise(odd, ("    amount = 0", "    note = null : varchar(64)\n    amount = 0"), words="notes of another kind")
    ok(odd, "migrate")
    for more in ((), ("--dry-run",), ("--overwrite",)):
        refused = odd.run("restore", path.name, *more)
        is_sentence(refused)
        assert "life.Odd.note is no longer the attribute" in refused.err, refused.err
        assert "rollback life --to 1.1.0" in refused.err
    assert set(table(server, "odd", "note")) == {(None,)}
    ok(odd, "rollback", "life", "--to", "1.1.0")
    ok(odd, "restore", path.name)
    columns = "odd_id, note, amount, ratio"
    assert table(server, "odd", columns) == sorted((tuple(row[n] for n in (0, 1, 2, 4)) for row in before), key=repr)


#: What is cut beside another name, in indexes, and where somebody wrote since.
TOKEN = '''

@schema
class Token(dj.Manual):
    definition = """
    token_id : int32
    ---
    u : uuid
    v = null : uuid
    w : datetime
    x : uuid
    unique index (x)
    index (v, w)
    """


@schema
class Coin(dj.Manual):
    definition = "coin : uuid"
'''
CUT = (
    ("    u : uuid", "    uu : varchar(10)"),
    ("    v = null : uuid", "    v = null : varchar(12)"),
    ("    w : datetime", "    w : date"),
    ("    x : uuid", "    x : varchar(12)"),
)


def test_what_was_cut_comes_back_under_its_old_name_and_in_indexes(odd: Project, server: Server) -> None:
    """And where somebody wrote a value, or put in a row, since the cut."""
    odd.write(odd.module("life"), odd.read(odd.module("life")) + TOKEN)
    ok(odd, "revise", "-m", "tokens")
    ok(odd, "migrate")

    def uid(number: int) -> str:
        return f"X'{number:08}{number:024}'" if server.backend == "mysql" else f"'{number:08}{number:024}'"

    for n in (1, 2, 3):
        values = f"{n}, {uid(n)}, {uid(n + 10)}, '2020-01-01 10:11:12', {uid(n + 20)}"
        server.execute(f"INSERT INTO dev_life.token (token_id, u, v, w, x) VALUES ({values})")
    columns = "token_id, u, v, w, x"
    before = table(server, "token", columns)
    revise(odd, *CUT, said=("--rename", "Token.u=uu"))
    ok(odd, "migrate", "--allow-data-loss")
    (path,) = backups(odd)
    server.execute(
        "UPDATE dev_life.token SET v = 'hand' WHERE token_id = 2",
        "INSERT INTO dev_life.token (token_id, uu, v, w, x) VALUES (4, 'new', NULL, '2020-01-02', 'new')",
    )
    is_sentence(odd.run("restore", str(path)))
    told = ok(odd, "rollback", "life", "--to", "1.2.0")
    said = " ".join((told.out + told.err).split())
    assert "life.Token.u, life.Token.v, life.Token.x have the values of before" in said, said
    assert "is soft-deleted, with 3 values written since, which no file has. So is" in said, said
    assert (
        f"life.Token.w keeps what the cut left. Get whole values back by python -m my_pipeline --env dev restore {path.name}."
        in said
    )
    assert [(row[0], *row[1:3], row[4]) for row in table(server, "token", columns) if row[0] != 4] == [
        (row[0], *row[1:3], row[4]) for row in before
    ]
    kept = "_dropped_uu, _dropped_v, _dropped_x"
    assert ("new", None, "new") in table(server, "token", kept) and "hand" in str(table(server, "token", kept))
    ok(odd, "restore", path.name, "--overwrite")
    assert [row for row in table(server, "token", columns) if row[0] != 4] == before
    assert states(odd)["life"] == ("behind", "1.2.0") and "drift" not in ok(odd, "status", code=3).out
    ok(odd, "migrate", "--allow-data-loss", "--no-backup")
    assert ok(odd, "status").code == 0

    # Nothing can stand in for a key: the refusal names a way, which works.
    server.execute(f"INSERT INTO dev_life.coin (coin) VALUES ({uid(1)})")
    revise(odd, ("coin : uuid", "coin : varchar(12)"))
    ok(odd, "migrate", "--allow-data-loss")
    refused = ok(odd, "rollback", "life", "--to", "1.2.0", code=7)
    is_sentence(refused)
    assert not any(word in refused.err for word in ("using=", "--dry-run", "--allow-data-loss")), refused.err
    revise(odd, ("coin : varchar(12)", "coin : varchar(36)"))
    ok(odd, "migrate")
    whole = "00000001-0000-0000-0000-000000000001"
    server.execute(f"UPDATE dev_life.coin SET coin = '{whole}'")
    ok(odd, "rollback", "life", "--to", "1.2.0")
    assert server.execute(f"SELECT COUNT(*) FROM dev_life.coin WHERE coin = {uid(1)}") == [(1,)]


def test_what_purge_deleted_comes_back(odd: Project, server: Server) -> None:
    before = table(server, "odd"), table(server, "weight", "animal_id, day, grams")
    odd.write(odd.module("life"), odd.read(odd.module("life")).replace(ODD, ""))
    revise(odd, ("    grams : float64  # on that day\n", ""), said=("--drop", "Odd", "--drop", "Weight.grams"))
    ok(odd, "migrate")
    assert not backups(odd)  # drops are soft
    columns = "day, _dropped_grams"
    kept, weights = table(server, "~dropped_odd"), table(server, "weight", columns)
    assert ok(odd, "purge", code=7) and not backups(odd)
    done = ok(odd, "purge", "--allow-data-loss", "--json").json
    (path,) = backups(odd)
    assert done["backups"] == [str(path)] and {p["values"] for p in done["purged"]} == {3, 12}
    assert states(odd)["life"] == ("current", "2.0.0") and len(table(server, "weight")[0]) == 3
    shown = ok(odd, "restore", str(path), "--dry-run", "--json").json
    assert len(table(server, "weight")[0]) == 3 and ok(odd, "status")
    assert sorted((t["table"], t["made"], t["rows"], t["restored"]) for t in shown["tables"]) == [
        ("weight", True, 3, 3),
        ("~dropped_odd", True, 12, 12),
    ]
    assert sorted(map(str, ok(odd, "restore", str(path), "--json").json["tables"])) == sorted(map(str, shown["tables"]))
    assert table(server, "~dropped_odd") == kept and table(server, "weight", columns) == weights
    assert states(odd)["life"] == ("current", "2.0.0") and ok(odd, "status")
    again = ok(odd, "restore", str(path), "--json").json["tables"]
    assert {(t["restored"], t["made"]) for t in again} == {(0, False)}
    ok(odd, "rollback", "life", "--to", "1.1.0")
    assert (table(server, "odd"), table(server, "weight", "animal_id, day, grams")) == before


def test_rules_in_place_of_what_is_put_back(project: Project, postgresql: Server) -> None:
    """Nothing would be put back, or into another table; a trigger that fires is named."""
    with living(postgresql, project) as odd:
        revise(odd, ("name : varchar(32)", "name : varchar(2)"))
        ok(odd, "migrate", "--allow-data-loss")
        (path,) = backups(odd)
        ok(odd, "rollback", "life", "--to", "1.0.0")
        postgresql.execute("CREATE RULE quiet AS ON UPDATE TO dev_life.animal DO INSTEAD NOTHING")
        refused = odd.run("restore", path.name)
        is_sentence(refused)
        assert "life.Animal has 1 rule that replaces what rows get in name (quiet)" in refused.err, refused.err
        postgresql.execute(
            "DROP RULE quiet ON dev_life.animal",
            "CREATE FUNCTION dev_life.same() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
            "CREATE TRIGGER same BEFORE UPDATE ON dev_life.animal FOR EACH ROW EXECUTE FUNCTION dev_life.same()",
        )
        told = " ".join(ok(odd, "restore", path.name).err.split())
        assert "life.Animal has 1 trigger that fires for each row when name is filled (trigger same)" in told, told
        assert ("Ada",) in postgresql.execute("SELECT name FROM dev_life.animal")


def test_what_was_written_since_stays_and_a_damaged_file_is_refused(odd: Project, server: Server) -> None:
    revise(odd, SMALLER[0])
    ok(odd, "migrate", "--allow-data-loss")
    (path,) = backups(odd)
    ok(odd, "rollback", "life", "--to", "1.1.0")
    edit = "UPDATE dev_life.odd SET note = 'by hand' WHERE odd_id LIKE '03%'"
    server.execute(edit, "DELETE FROM dev_life.odd WHERE odd_id LIKE '04%'")
    now = table(server, "odd")
    refused = odd.run("restore", str(path))
    is_sentence(refused)
    assert refused.code == 7 and "1 value of note" in refused.err and "--overwrite" in refused.err
    assert table(server, "odd") == now

    names = zipfile.ZipFile(path).namelist()
    assert names == ["life.odd.csv", "manifest.json", "SHA256SUMS"]
    manifest = json.loads(zipfile.ZipFile(path).read("manifest.json"))
    assert manifest["schemas"] == {"life": {"database": "dev_life", "version": "1.1.0"}} and manifest["run"] == 3
    assert [(c["name"], c["key"], c["lost"]) for c in manifest["parts"][0]["columns"]] == [
        ("odd_id", True, False),
        ("note", False, True),
    ]
    bad = path.with_name("bad.zip")
    whole = path.read_bytes()
    spoilt = [whole[: len(whole) // 2], b"", b"note", whole.replace(b"SHA256SUMS", b"SHA256SUMZ")]
    spoilt += [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in range(60, len(whole), 487)]
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(bad, "w") as new:
        for name in names:  # by somebody who knows how to write a zip
            new.writestr(name, old.read(name).replace(b"by", b"at").replace(b"short", b"long"))
    spoilt.append(bad.read_bytes())
    for content in spoilt:
        bad.write_bytes(content)
        refused = odd.run("restore", str(bad), "--overwrite")
        if refused.code:
            is_sentence(refused)
            assert "is damaged, or no backup" in refused.err, refused.err
        else:  # a bit that says nothing of the content
            server.execute(edit)
            now = table(server, "odd")
        assert table(server, "odd") == now
    for arguments, said in (
        (("restore", "nothing.zip"), "no file"),
        (("--env", "local", "restore", str(path)), "is of dev, and this command is for local"),
    ):
        refused = odd.run(*arguments)
        assert refused.code and said in refused.err and "Traceback" not in refused.err, refused.err
    refused = odd.run("restore", str(path), MY_PIPELINE_ENV="prod")
    assert refused.code == 1 and "does not say --env prod" in refused.err
    odd.run("local", "stop")

    done = ok(odd, "restore", str(path), "--overwrite").out
    assert "1 no longer exists" in done, done
    notes = [note for (note,) in table(server, "odd", "note")]
    assert "line one\nline two\r\nthree" in notes and "by hand" not in notes and len(notes) == 11


def test_what_is_written_while_restore_runs_stays(odd: Project, server: Server) -> None:
    """Also where it comes between the look at the rows and their values."""
    revise(odd, SMALLER[0])
    ok(odd, "migrate", "--allow-data-loss")
    ok(odd, "rollback", "life", "--to", "1.1.0")
    writer = threading.Thread(
        target=lambda: server.execute("UPDATE dev_life.odd SET note = 'meanwhile' WHERE odd_id LIKE '03%'")
    )

    def watch(statement: str) -> None:
        if re.match(r"UPDATE .dev_life.\..odd.", statement) and not writer.ident:
            writer.start()
            writer.join(2)

    proxy = Proxy(server.backend, server.port)
    proxy.watch = watch
    try:
        ok(odd, "restore", backups(odd)[0].name, DJ_PORT=str(proxy.port), DJ_USE_TLS="false")
    finally:
        proxy.close()
    assert writer.ident, "there was nothing to restore"
    writer.join(30)
    notes = [note for (note,) in table(server, "odd", "note")]
    assert "meanwhile" in notes and "a" * 64 in notes


def kept(project: Project) -> str:
    """All that the files of backups hold."""
    return "".join(zipfile.ZipFile(path).read("life.odd.csv").decode() for path in backups(project))


@pytest.mark.parametrize("server", ["mysql"], indirect=True)  # PostgreSQL locks the table before it is read
@pytest.mark.parametrize(("number", "name", "value"), [(0, "note", "b" * 64), (1, "amount", "7.7777")])
def test_what_is_written_after_the_backup_is_in_it_where_it_is_cut(
    odd: Project, server: Server, number: int, name: str, value: str
) -> None:
    """In a column that is copied, and in one that is changed in its place."""
    revise(odd, SMALLER[number])
    done: list[str] = []

    def watch(statement: str) -> None:
        if re.match(r"LOCK TABLES .dev_life.\..odd. WRITE|ALTER TABLE .dev_life.\..odd.", statement) and not done:
            done.append(statement)
            server.execute(f"UPDATE dev_life.odd SET {name} = '{value}' WHERE odd_id LIKE '03%'")

    proxy = Proxy(server.backend, server.port)
    proxy.watch = watch
    try:
        ok(odd, "migrate", "--allow-data-loss", DJ_PORT=str(proxy.port), DJ_USE_TLS="false")
    finally:
        proxy.close()
    assert done and {"b" * 8, "7.78"} & {str(found) for (found,) in table(server, "odd", name)}
    assert value in kept(odd)


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
def test_what_is_written_between_a_kill_and_the_rest_is_kept_where_it_is_cut(odd: Project, server: Server) -> None:
    revise(odd, SMALLER[0])
    proxy = Proxy(server.backend, server.port)
    try:
        proxy.begin(Fault("LOCK TABLES `dev_life`.`odd` WRITE", "before", lambda: None))
        is_sentence(odd.run("migrate", "--allow-data-loss", DJ_PORT=str(proxy.port), DJ_USE_TLS="false"))
    finally:
        proxy.close()
    server.execute(f"UPDATE dev_life.odd SET note = '{'b' * 64}' WHERE odd_id LIKE '03%'")
    ok(odd, "migrate")
    assert "b" * 8 in [note for (note,) in table(server, "odd", "note")]
    assert "b" * 64 in kept(odd)


NOTED = ("note = null : varchar(64)", "note : varchar(64)")


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "statement", ["LOCK TABLES `dev_life`.`odd` WRITE", "UPDATE `dev_life`", "ALTER TABLE `dev_life`"]
)
def test_what_had_no_value_is_kept_whenever_the_fill_is_killed(
    odd: Project, server: Server, statement: str, when: str
) -> None:
    """Also where somebody set a value to null after the file was written, or between the kill and the rest."""
    revise(odd, NOTED, words="noted", said=("--fill", "Odd.note=none"))
    proxy, done = Proxy(server.backend, server.port), list[str]()

    def watch(sent: str) -> None:
        if re.match(r"(LOCK TABLES|UPDATE|ALTER TABLE) .dev_life.", sent) and not done:
            done.append(sent)
            server.execute("UPDATE dev_life.odd SET note = NULL WHERE odd_id LIKE '03%'")

    proxy.watch = watch
    try:
        proxy.begin(Fault(statement, when, lambda: None))
        assert odd.run("migrate", DJ_PORT=str(proxy.port), DJ_USE_TLS="false").code
    finally:
        proxy.close()
    if odd.run("status").code == 6:
        ok(odd, "migrate")
    ok(odd, "rollback", "life", "--to", "1.1.0")
    for path in backups(odd):
        ok(odd, "restore", str(path), "--overwrite")
    assert [key[:2] for key, note in table(server, "odd", "odd_id, note") if note is None] == ["00", "03"]


def test_what_a_draft_cuts_comes_back(odd: Project, server: Server) -> None:
    before = table(server, "odd")
    odd.replace(odd.module("life"), *SMALLER[0])
    ok(odd, "migrate", "--draft", "--allow-data-loss")
    (path,) = backups(odd)
    assert path.name.startswith("dev-life-draft-") and table(server, "odd") != before
    refused = odd.run("restore", str(path))
    is_sentence(refused)
    assert "migrate --draft" in refused.err
    odd.replace(odd.module("life"), *reversed(SMALLER[0]))
    ok(odd, "migrate", "--draft")
    ok(odd, "restore", str(path))
    assert table(server, "odd") == before and backups(odd) == [path]


def tasks(server: Server) -> list[list[tuple[Any, ...]]]:
    quote = "`" if server.backend == "mysql" else '"'
    return [
        sorted(server.execute(f"SELECT animal_id, task, {more} FROM {quote}dev_work{quote}.{quote}{name}{quote}"))
        for name, more in (("task", "note"), ("__score", "score"))
    ]


def test_a_key_that_was_cut_comes_back_with_what_refers_to_it(odd: Project, server: Server) -> None:
    odd.replace(odd.module("work"), "task : varchar(16)", "task : varchar(2)")
    before = tasks(server)
    ok(odd, "revise", "-m", "short tasks")
    ok(odd, "migrate", "--allow-data-loss")
    (path,) = backups(odd)
    assert "sw" in [row[1] for row in tasks(server)[1]]
    ok(odd, "rollback", "work", "--to", "1.0.0")
    ok(odd, "restore", str(path))
    assert tasks(server) == before


def test_values_that_are_computed_anew_are_kept_and_what_loses_nothing_writes_no_file(odd: Project) -> None:
    revise(odd, ("note = null : varchar(64)", "note = null : varchar(80)"), words="wider")
    ok(odd, "migrate")
    before = rows(odd, ALL)
    revise(odd, ("note = null : varchar(80)", "note = null : varchar(81)"), words="louder")
    (file,) = (odd.folder / "src/my_pipeline/migrations/life").glob("*_louder.py")
    text = file.read_text()
    assert "varchar(81)" in text and "import AlterAttribute\n" in text
    text = text.replace("import AlterAttribute\n", "import AlterAttribute, Sql\n")
    file.write_text(
        text.replace('varchar(81)")', """varchar(81)", using=Sql(mysql="UPPER(note)", postgresql="UPPER(note)"))""")
    )
    shown = ok(odd, "migrate", "--dry-run", "--json", code=3).json["groups"]
    assert [group["backup"] for group in shown] == [["life.Odd (note)"]]
    assert "Written to backups/ before: life.Odd (note)" in ok(odd, "migrate", "--dry-run", code=3).out
    assert not backups(odd)
    told = ok(odd, "migrate", "--json").json
    (path,) = backups(odd)
    assert told["backups"] == [str(path)]
    assert rows(odd, ALL) != before
    refused = odd.run("restore", str(path))
    assert refused.code == 7 and "--overwrite" in refused.err
    ok(odd, "restore", str(path), "--overwrite")
    assert rows(odd, ALL) == before


@pytest.fixture
def disk() -> Iterator[Path]:
    with small_disk("256k") as disk:
        yield disk


def test_a_disk_that_would_not_hold_it(odd: Project, disk: Path) -> None:
    many = "life.Odd.insert([dict(odd_id=f'm{n}', note=f'{n}' * 10) for n in range(1000, 10000)])"
    rows(odd, f"[{many}, 1]")
    revise(odd, SMALLER[0])
    shutil.rmtree(odd.folder / "backups")
    (odd.folder / "backups").symlink_to(disk)
    was = states(odd)
    refused = odd.run("migrate", "--allow-data-loss")
    is_sentence(refused)
    assert "no room for the backup of life.Odd" in refused.err and "--no-backup" in refused.err, refused.err
    assert states(odd) == was and not list(disk.iterdir())
    # A limit that no estimate knows of is met in the middle of writing.
    (odd.folder / "backups").unlink()
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); "
        "from datajoint_pipeline.cli import run; from my_pipeline import pipeline; run(pipeline, ['migrate', '--allow-data-loss'])"
    )
    refused = odd.python("-c", code)
    is_sentence(refused)
    assert "could not be written" in refused.err, refused.err
    assert states(odd) == was and not backups(odd) and not leftovers(odd)
    ok(odd, "migrate", "--allow-data-loss")
    assert len(backups(odd)) == 1


MANY = {
    "mysql": (
        "SET SESSION cte_max_recursion_depth = 100000",
        "INSERT INTO dev_life.odd (odd_id, note) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
        "WHERE i < 80000) SELECT CONCAT('many ', i), CONCAT(UUID(), i) FROM n",
    ),
    "postgresql": (
        "INSERT INTO dev_life.odd (odd_id, note) SELECT 'many ' || i, md5(i::text) FROM generate_series(1, 80000) i",
    ),
}

#: The high-water mark of this very process, which ``ru_maxrss`` is not: that begins with the parent's.
MEASURED = (
    "import re, sys\nfrom pathlib import Path\nfrom datajoint_pipeline.cli import run; from my_pipeline import pipeline\n"
    "try:\n    run(pipeline, sys.argv[1:])\n"
    "finally:\n    print(re.search('VmHWM:\\\\s+([0-9]+)', Path('/proc/self/status').read_text())[1], file=sys.stderr)"
)


def measured(project: Project, *arguments: str) -> int:
    """The most memory that a command has had, in KiB."""
    command = [sys.executable, "-c", MEASURED, *arguments]
    done = subprocess.run(command, cwd=project.folder, env=project.variables(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stderr.split()[-1])


def test_many_rows_are_streamed_and_a_killed_backup_has_changed_nothing(odd: Project, server: Server) -> None:
    revise(odd, SMALLER[0])
    little = [measured(odd, "migrate", "--allow-data-loss")]
    (path,) = backups(odd)
    ok(odd, "rollback", "life", "--to", "1.1.0")
    little.append(measured(odd, "restore", str(path)))
    path.unlink()
    server.execute(*MANY[server.backend])
    before, was = table(server, "odd"), states(odd)

    command = [sys.executable, "-m", "my_pipeline", "migrate", "--allow-data-loss"]
    process = subprocess.Popen(command, cwd=odd.folder, env=odd.variables(), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not any((odd.folder / "backups" / name).stat().st_size for name in leftovers(odd)):
        assert process.poll() is None and time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert leftovers(odd) and not backups(odd)
    assert states(odd) == was and table(server, "odd") == before

    much = [measured(odd, "migrate", "--allow-data-loss")]
    (path,) = backups(odd)
    assert not leftovers(odd) and table(server, "odd") != before
    ok(odd, "rollback", "life", "--to", "1.1.0")
    much.append(measured(odd, "restore", str(path)))
    assert table(server, "odd") == before
    for small, large in zip(little, much, strict=True):
        assert large - small < 20_000, (little, much)


#: A backup that goes wrong in one way, without anybody noticing.
WRONG = {
    "a value is another": "archive._encoded = lambda v, good=archive._encoded: good(v).replace('say', 'sad')",
    "a null is empty": "archive._encoded = lambda v, good=archive._encoded: '' if v is None else good(v)",
    "a row is missing": """
good = archive.Writer.add
archive.Writer.add = lambda self, part, rows: good(self, part, list(rows)[:-1])
""",
    "the disk has another byte": r"""
good = os.fsync
def other(number):
    good(number)
    size = os.fstat(number).st_size
    if size > 500:
        byte = os.pread(number, 1, 200)
        os.pwrite(number, bytes([byte[0] ^ 1]), 200)
os.fsync = other
""",
    # As from an account whose settings get by us.
    "a text has not all digits": r"""
good = backup.rows
def rows(connection, *arguments):
    connection.query("SET extra_float_digits = 0")
    return good(connection, *arguments)
backup.rows = rows
""",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_backup_that_does_not_hold_the_values_loses_none(odd: Project, server: Server, wrong: str) -> None:
    if "digits" in wrong and server.backend == "mysql":
        return  # there no setting does that
    revise(odd, *SMALLER)
    before, was = table(server, "odd"), states(odd)
    program = "import os\nfrom datajoint_pipeline.executor import archive, backup\n" + WRONG[wrong]
    program += "\nfrom datajoint_pipeline.cli import run; from my_pipeline import pipeline\n"
    refused = odd.python("-c", program + "run(pipeline, ['migrate', '--allow-data-loss'])")
    is_sentence(refused)
    assert "othing was changed" in refused.err and "--no-backup" in refused.err, refused.err
    assert not backups(odd) and not leftovers(odd)
    assert table(server, "odd") == before and states(odd) == was
    odd.write(odd.module("life"), odd.read(odd.module("life")).partition("@schema\nclass Odd")[0])
    ok(odd, "migrate", "--allow-data-loss", "--no-backup")
    revise(odd, words="drop", said=("--drop", "Odd"))
    ok(odd, "migrate")
    before = table(server, "~dropped_odd")
    refused = odd.python("-c", program + "run(pipeline, ['purge', '--allow-data-loss'])")
    if "digits" not in wrong:  # what is left of them needs no more
        is_sentence(refused)
        assert table(server, "~dropped_odd") == before


def cents(odd: Project) -> None:
    """A migration that computes cents from what was there."""
    revise(odd, ("amount = 0 : decimal(10,4)", "amount = 0 : decimal(10,4)  # cents"), words="cents")
    (path,) = (odd.folder / "src/my_pipeline/migrations/life").glob("*_cents.py")
    given = '# cents", using=Sql(mysql="amount * 100", postgresql="amount * 100"))'
    text = path.read_text().replace('# cents")', given, 1)
    path.write_text(text.replace("import ", "import Sql, ", 1))


@pytest.mark.both_servers
def test_what_an_expression_replaced_comes_back_where_the_old_type_has_no_such_value(
    odd: Project, server: Server
) -> None:
    """`rollback` sets aside what the old enum does not know, and gives back what was there; as often as one likes."""
    before = table(server, "animal", "animal_id, colour")
    revise(odd, ("'grey', 'white'", "'any'"), ('"grey" : enum', '"any" : enum'))
    (path,) = (odd.folder / "src/my_pipeline/migrations/life").glob("*_smaller.py")
    text = path.read_text()
    assert ": enum('any')" in text
    sql = "Sql(mysql=\"'any'\", postgresql=\"'any'\")"
    text = text.replace("enum('any')\"", f"enum('any')\", using={sql}").replace("import ", "import Sql, ", 1)
    path.write_text(text)
    ok(odd, "migrate", "--allow-data-loss")
    (kept,) = backups(odd)
    server.execute("INSERT INTO dev_life.animal (animal_id, name, colour) VALUES (7, 'Eve', 'any')")
    server.execute("UPDATE dev_life.animal SET colour = 'any' WHERE animal_id = 1")  # which nobody can tell
    shown = " ".join(ok(odd, "rollback", "life", "--to", "1.1.0", "--dry-run", code=3).err.split())
    assert f"Values of before will be given back from {kept.name}." in shown, shown
    for _ in range(2):
        said = " ".join(ok(odd, "rollback", "life", "--to", "1.1.0").err.split())
        assert f"life.Animal.colour has the values of before, from {kept.name}." in said, said
        new = "1 value written since, which no file has (of computed ones, only those of rows that came since are counted)"
        assert (new in said) == (len(backups(odd)) == 1), said
        assert table(server, "animal", "animal_id, colour")[: len(before)] == before
        assert "drift" not in ok(odd, "status", code=3).out
        ok(odd, "migrate", "--allow-data-loss")
        kept = backups(odd)[-1]


def assert_named(odd: Project, *wanted: str) -> None:
    """`status` says what is still to be put back, and nothing where there is nothing."""
    told = ok(odd, "status", code=3).err
    assert all(text in " ".join(told.split()) for text in wanted) and bool(wanted) == ("Warning" in told), told
    (found,) = (s for s in ok(odd, "status", "--json", code=3).json["schemas"] if s["name"] == "life")
    assert len(found.get("advice", [])) == len(wanted), found
    assert all(text in said for text, said in zip(wanted, found.get("advice", []), strict=True)), found


@pytest.mark.both_servers
def test_what_is_given_back_after_a_rollback_is_not_computed_from_before_it_is_there(
    odd: Project, server: Server
) -> None:
    """Cut off in between, `migrate` says how; a value that somebody enters meanwhile stays."""
    before = table(server, "odd", "odd_id, amount, ratio")
    cents(odd)
    ok(odd, "migrate")
    (kept,) = backups(odd)
    proxy = Proxy(server.backend, server.port)
    try:
        proxy.begin(Fault("CREATE TEMPORARY TABLE", "before", lambda: None))
        lost = odd.run("rollback", "life", "--to", "1.1.0", DJ_PORT=str(proxy.port), DJ_USE_TLS="false")
    finally:
        proxy.close()
    assert "should not" not in lost.err and "Traceback" not in lost.err, lost.err
    assert states(odd)["life"] == ("behind", "1.1.0")
    assert {str(amount) for _, amount, _ in table(server, "odd", "odd_id, amount, ratio")} == {"0.0000"}
    assert_named(odd, f"dev restore {kept.name} --overwrite")
    for command in (("migrate", "--dry-run"), ("migrate",)):
        refused = odd.run(*command)
        is_sentence(refused)
        assert refused.code == 6 and f"restore {kept.name} --overwrite" in refused.err, refused.err
        assert "in-part" not in refused.err
    ok(odd, "restore", kept.name, "--overwrite")
    assert_named(odd)
    assert table(server, "odd", "odd_id, amount, ratio") == before
    ok(odd, "migrate")
    server.execute("INSERT INTO dev_life.odd (odd_id, amount) VALUES ('99-new', 500)")

    def enter(statement: str) -> None:
        if "CREATE TEMPORARY TABLE" in statement:
            server.execute("UPDATE dev_life.odd SET amount = 7 WHERE odd_id LIKE '03%'")

    proxy = Proxy(server.backend, server.port)
    proxy.watch = enter
    try:
        ok(odd, "rollback", "life", "--to", "1.1.0", DJ_PORT=str(proxy.port), DJ_USE_TLS="false")
    finally:
        proxy.close()
    found = {key[:2]: (str(amount), ratio) for key, amount, ratio in table(server, "odd", "odd_id, amount, ratio")}
    wanted = {k[:2]: ("7.0000" if k[:2] == "03" else str(a), ratio) for k, a, ratio in before}
    assert found == {**wanted, "99": ("0.0000", None)}
    again = " ".join(ok(odd, "migrate").err.split())
    assert "life.Odd.amount is made anew, as no file has what 1 row had before. The value from before the" in again


@pytest.mark.both_servers
def test_what_a_fill_or_an_expression_gave_stays_and_rollback_names_the_file(odd: Project, server: Server) -> None:
    """A rollback gives back no null and no number that a migration replaced: `restore` does, and both say so."""
    ok(odd, "rollback", "life", "--to", "1.0.0")
    ok(odd, "migrate")  # so that a later file has a run of two digits
    before = table(server, "odd", "odd_id, note, ratio, amount")
    revise(odd, ("note = null : varchar(64)", "note : varchar(64)"), words="noted", said=("--fill", "Odd.note=none"))
    cents(odd)
    (shown,) = ok(odd, "migrate", "--dry-run", "--json", "--to", "1.2.0", "life", code=3).json["groups"]
    assert shown["backup"] == ["life.Odd (note)"]
    ok(odd, "migrate", "life", "--to", "1.2.0", code=3)
    (filled,) = backups(odd)
    with zipfile.ZipFile(filled) as file:
        assert len(file.read("life.odd.csv").splitlines()) == 1 + sum(note is None for _, note, _, _ in before)
    ok(odd, "migrate")
    (computed,) = set(backups(odd)) - {filled}

    told = ok(odd, "rollback", "life", "--to", "1.1.0", "--dry-run", code=3)
    again = ok(odd, "rollback", "life", "--to", "1.1.0")
    for said in (" ".join((one.out + one.err).split()) for one in (told, again)):
        assert "life.Odd.note keeps the fill, which 1 row without a value got. Make it null again there by" in said
        assert f"restore {filled.name} --overwrite" in said and computed.name in said
    assert "life.Odd.amount has the values of before, from" in said, said
    assert table(server, "odd", "odd_id, note, ratio, amount") != before
    ok(odd, "restore", filled.name, "--overwrite")
    assert table(server, "odd", "odd_id, note, ratio, amount") == before

    # Where nothing is null there is nothing to keep; without a file, that is said.
    server.execute("UPDATE dev_life.odd SET note = 'x' WHERE note IS NULL")
    assert ok(odd, "migrate", "--dry-run", "--json", "--to", "1.2.0", "life", code=3).json["groups"][0]["backup"] == []
    ok(odd, "migrate", "life", "--to", "1.2.0", code=3)
    assert set(backups(odd)) == {filled, computed}
    ok(odd, "migrate", "--no-backup")
    computed.unlink()
    again = ok(odd, "rollback", "life", "--to", "1.2.0")
    said = " ".join((again.out + again.err).split())
    assert "life.Odd.amount keeps the values that the migration computed; no file in backups/ has" in said, said
    assert_named(odd, "left what a migration had computed of life.Odd.amount: migrate would compute from these")
    again = odd.run("migrate", "--dry-run")  # hundreds of hundreds are too much for the attribute
    shown = " ".join((again.out + again.err).split())
    assert "left what a migration had computed of life.Odd.amount: migrate would compute from these" in shown, shown


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
@pytest.mark.parametrize(
    ("statement", "when"),
    [
        ("ALTER TABLE `dev_life`", "before"),
        ("ALTER TABLE `dev_life`", "after"),
        ("CREATE TEMPORARY TABLE `dev_life`.`~restoring", "before"),
        ("UPDATE `dev_life`.`odd` t JOIN", "before"),
        ("UPDATE `dev_life`.`odd` t JOIN", "after"),
    ],
)
def test_a_rollback_that_was_cut_off_gives_back_when_it_is_run_again(
    odd: Project, server: Server, statement: str, when: str
) -> None:
    before = table(server, "odd", "odd_id, amount, ratio")
    cents(odd)
    ok(odd, "migrate")
    (kept,) = backups(odd)
    back = ("rollback", "life", "--to", "1.1.0")
    proxy, fault = Proxy(server.backend, server.port), Fault(statement, when, lambda: None)
    try:
        proxy.begin(fault)
        odd.run(*back, DJ_PORT=str(proxy.port), DJ_USE_TLS="false")
        assert fault.struck.is_set()
    finally:
        proxy.close()
    shown = odd.run(*back, "--dry-run")
    assert shown.code == 6 or "Values of before will be given back from" in shown.err, shown.err
    said = " ".join(ok(odd, *back).err.split())
    assert f"life.Odd.amount has the values of before, from {kept.name}." in said, said
    assert table(server, "odd", "odd_id, amount, ratio") == before
    ok(odd, "migrate")
    ok(odd, *back)
    assert table(server, "odd", "odd_id, amount, ratio") == before


@pytest.mark.both_servers
def test_what_a_file_does_not_give_back_is_named(odd: Project, server: Server) -> None:
    """Where it was damaged after it was found: as when the disk fails."""
    cents(odd)
    ok(odd, "migrate")
    (kept,) = backups(odd)
    whole, proxy = kept.read_bytes(), Proxy(server.backend, server.port)
    proxy.watch = lambda statement: kept.write_bytes(whole[:-9]) if "_dropped_amount" in statement else None
    try:
        said = ok(odd, "rollback", "life", "--to", "1.1.0", DJ_PORT=str(proxy.port), DJ_USE_TLS="false").err
    finally:
        proxy.close()
    said = " ".join(said.split())
    assert "is soft-deleted; the rows now have 0.0000 in amount, whatever they had." in said, said
    assert f"Get the values back by python -m my_pipeline --env dev restore {kept.name} --overwrite." in said, said
    refused = odd.run("migrate")
    assert refused.code == 6 and kept.name in refused.err, refused.err
    away = kept.rename(odd.folder / kept.name)
    assert_named(odd, f"life set values aside, and {kept.name}, with those of before, is not in backups/.")
    away.rename(kept)
    kept.write_bytes(whole)
    ok(odd, "restore", kept.name, "--overwrite")
    ok(odd, "migrate")


@pytest.mark.both_servers
def test_a_damaged_file_is_named_before_the_first_step(odd: Project, server: Server) -> None:
    """Where it may be the one that has the values; it is in nobody's way where another file has them all."""
    before = table(server, "odd", "odd_id, amount")
    cents(odd)
    ok(odd, "migrate")
    (kept,) = backups(odd)
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-9])
    for flags in (("--dry-run",), ()):
        refused = odd.run("rollback", "life", "--to", "1.1.0", *flags)
        is_sentence(refused)
        assert f"{kept.name} is damaged, or no backup." in refused.err, refused.err
        assert "It may have the values" in refused.err and "move it out of backups/" in refused.err, refused.err
        assert states(odd)["life"][0] == "current" and table(server, "odd", "odd_id, amount") != before
    other = kept.rename(kept.with_name("another.zip"))
    kept.write_bytes(whole)
    said = " ".join(ok(odd, "rollback", "life", "--to", "1.1.0").err.split())
    assert f"life.Odd.amount has the values of before, from {kept.name}." in said, said
    assert table(server, "odd", "odd_id, amount") == before and other.name not in said


def test_each_file_is_read_once_in_a_rollback(odd: Project) -> None:
    cents(odd)
    ok(odd, "migrate")
    (kept,) = backups(odd)
    counting = (
        "from datajoint_pipeline.executor import archive\n"
        "checked, archive._checked = archive._checked, lambda file: print('checked') or checked(file)\n"
        "from datajoint_pipeline.cli import run; from my_pipeline import pipeline\n"
        "run(pipeline, ['rollback', 'life', '--to', '1.1.0', '--dry-run'])"
    )
    shown = odd.python("-c", counting)
    assert f"given back from {kept.name}" in " ".join(shown.err.split()), shown.err
    assert shown.out.count("checked") == 1, shown.out


@pytest.mark.both_servers
def test_what_is_computed_and_then_renamed_by_the_next_migration(odd: Project, server: Server) -> None:
    """Both pending at once, and there and back again."""
    before = table(server, "odd", "odd_id, note")
    revise(odd, ("note = null : varchar(64)", "note = null : varchar(80)"), words="louder")
    (path,) = (odd.folder / "src/my_pipeline/migrations/life").glob("*_louder.py")
    given = """varchar(80)", using=Sql(mysql="CONCAT('Z', note)", postgresql="'Z' || note"))"""
    text = path.read_text().replace('varchar(80)")', given, 1)
    path.write_text(text.replace("import ", "import Sql, ", 1))
    revise(odd, ("note = null", "remark = null"), words="renamed", said=("--rename", "Odd.note=remark"))
    wanted = [(key, None if note is None else f"Z{note}") for key, note in before]
    for _ in range(2):
        ok(odd, "migrate")
        assert table(server, "odd", "odd_id, remark") == wanted
        ok(odd, "rollback", "life", "--to", "1.1.0")
        assert table(server, "odd", "odd_id, note") == before
    odd.replace(odd.module("life"), "    remark = null : varchar(80)\n", "")
    ok(odd, "revise", "-m", "gone", "--drop", "Odd.remark")
    ok(odd, "migrate")
    ok(odd, "rollback", "life", "--to", "1.1.0")
    assert table(server, "odd", "odd_id, note") == before


CODE = '''

@schema
class Code(dj.Manual):
    definition = """
    code_id : int32
    ---
    code : varchar(16)
    unique index (code)
    """
'''


@pytest.mark.both_servers
def test_what_nothing_can_stand_in_for_is_not_computed_twice(odd: Project, server: Server) -> None:
    """Values of a unique index stay when they are rolled back; `migrate` waits until the file is restored."""
    odd.write(odd.module("life"), odd.read(odd.module("life")) + CODE)
    ok(odd, "revise", "-m", "codes")
    ok(odd, "migrate")
    server.execute("INSERT INTO dev_life.code (code_id, code) VALUES (1, 'a'), (2, 'b')")
    revise(odd, ("    code : varchar(16)", "    code : varchar(20)"), words="zeds")
    (path,) = (odd.folder / "src/my_pipeline/migrations/life").glob("*_zeds.py")
    text = path.read_text().replace(
        'varchar(20)")', """varchar(20)", using=Sql(mysql="CONCAT('Z', code)", postgresql="'Z' || code"))""", 1
    )
    path.write_text(text.replace("import ", "import Sql, ", 1))
    ok(odd, "migrate")
    (kept,) = backups(odd)
    said = " ".join(ok(odd, "rollback", "life", "--to", "1.2.0").err.split())
    assert "life.Code.code keeps the values that the migration computed. Get those of before back by" in said, said
    for command in (("migrate", "--dry-run"), ("migrate",), ("rollback", "life", "--to", "1.2.0")):
        refused = odd.run(*command)
        is_sentence(refused)
        assert refused.code == 6 and f"restore {kept.name} --overwrite" in refused.err, refused.err
    assert_named(odd, f"dev restore {kept.name} --overwrite.")
    ok(odd, "restore", kept.name, "--overwrite")
    assert_named(odd)
    assert table(server, "code", "code") == [("a",), ("b",)]
    ok(odd, "migrate")
    assert table(server, "code", "code") == [("Za",), ("Zb",)]
    ok(odd, "rollback", "life", "--to", "1.2.0")
    for path in backups(odd):
        path.rename(odd.folder / path.name)
    ok(odd, "migrate")
    assert table(server, "code", "code") == [("ZZa",), ("ZZb",)]


def test_what_was_cut_is_named_where_a_codec_changed_in_another_table(odd: Project, server: Server) -> None:
    names = table(server, "animal", "name")
    revise(
        odd,
        ("    name : varchar(32)", "    name : varchar(1)"),
        ("    setting = null : json", "    setting = null : <blob>"),
    )
    ok(odd, "migrate", "--allow-data-loss")
    (path,) = backups(odd)
    for arguments, code in ((("--dry-run",), 3), ((), 0)):
        told = " ".join(ok(odd, "rollback", "life", "--to", "1.1.0", *arguments, code=code).err.split())
        assert "life.Animal.name keeps what the cut left. Get whole values back by" in told and path.name in told
    assert table(server, "animal", "name") != names
    ok(odd, "restore", path.name)
    assert table(server, "animal", "name") == names
