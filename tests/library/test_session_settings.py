"""What an administrator has set for an account or a server changes no value, no shape and no number of rows."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from accounts import made
from conftest import Project, Server, private_mysql
from living import filled, is_sentence, lay, living, ok, rows, states

PI = 3.141592653589793

#: Each of them changed a value, a shape or the number of rows that the session reads.
ROLE = {
    "extra_float_digits": "0",
    "quote_all_identifiers": "on",
    "bytea_output": "'escape'",
    "DateStyle": "'SQL, DMY'",
    "IntervalStyle": "'sql_standard'",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "TimeZone": "'Asia/Kathmandu'",
    "client_encoding": "'LATIN1'",
    "default_transaction_isolation": "'repeatable read'",
    "search_path": "dev_life, dev_work",
}
GLOBAL = {
    "sql_select_limit": ("1", "18446744073709551615"),
    "div_precision_increment": ("0", "4"),
    "sql_quote_show_create": ("0", "1"),
    "sql_safe_updates": ("1", "0"),
    "autocommit": ("0", "1"),
    "max_join_size": ("9", "DEFAULT"),  # with which sql_big_selects is 0
    "sql_auto_is_null": ("1", "0"),
    "sql_mode": ("'ANSI_QUOTES,PAD_CHAR_TO_FULL_LENGTH,NO_BACKSLASH_ESCAPES'", "DEFAULT"),
    "time_zone": ("'+05:45'", "DEFAULT"),
    "transaction_isolation": ("'READ-UNCOMMITTED'", "DEFAULT"),
    "default_storage_engine": ("MyISAM", "DEFAULT"),
    "unique_checks": ("0", "1"),
    "foreign_key_checks": ("0", "1"),
    "sql_require_primary_key": ("1", "0"),
    "character_set_client": ("latin1", "DEFAULT"),
    "character_set_results": ("NULL", "DEFAULT"),
    "collation_connection": ("latin1_bin", "DEFAULT"),
    "init_connect": ("'SET NAMES latin1, time_zone = ''-03:30'', collation_connection = cp1251_bin'", "''"),
}


@pytest.fixture
def set_up(server: Server) -> Iterator[Server]:
    """A server that gives every new session of an account other settings, as that account sees it."""
    with made(server, "dev_work", "dev_life") as make:
        account = make("odd", owns=True)
        plain = replace(server, user=account.name, password=account.password)
        if server.backend == "mysql":
            server.execute(*(f"SET GLOBAL {name} = {other}" for name, (other, _) in GLOBAL.items()))
            yield plain
            server.execute(*(f"SET GLOBAL {name} = {usual}" for name, (_, usual) in GLOBAL.items()))
        else:
            server.execute(*(f"ALTER ROLE {account.user} SET {name} = {value}" for name, value in ROLE.items()))
            yield plain


@pytest.mark.both_servers
def test_values_and_shapes_are_what_they_are_under_any_settings(project: Project, set_up: Server) -> None:
    grams = "[(r['animal_id'], r['grams']) for r in life.Weight.to_dicts(order_by='animal_id, day')]"
    with living(set_up, project, anew=True) as own:
        done = own.python("-c", f"from my_pipeline import life\nlife.Weight.insert1((2, '2026-02-01', {PI}))")
        assert done.code == 0, done.err
        assert {state for state, _ in states(own).values()} == {"current"}
        before = rows(own, grams)
        assert before[-1] == [2, PI] and len(before) == 4

        own.replace(own.module("life"), "grams : float64", "grams : varchar(32)")
        ok(own, "revise", "life", "-m", "as text")
        ok(own, "migrate")
        before = rows(own, grams)
        assert before[-1] == [2, str(PI)] and len(before) == 4

        # What is cut is in the backup, every row of it, and comes back.
        (_, version) = states(own)["life"]
        own.replace(own.module("life"), "grams : varchar(32)", "grams : varchar(4)")
        ok(own, "revise", "life", "-m", "short")
        ok(own, "migrate", "--allow-data-loss")
        assert rows(own, grams)[-1] == [2, str(PI)[:4]]
        (path,) = (own.folder / "backups").glob("*.zip")
        ok(own, "rollback", "life", "--to", str(version))
        ok(own, "restore", str(path))
        ((many, longest),) = set_up.execute("SELECT COUNT(*), MAX(CHAR_LENGTH(grams)) FROM dev_life.weight")
        assert (many, longest) == (4, len(str(PI)))
        assert states(own) == {"life": ("behind", version), "work": ("current", "1.0.0")}


@pytest.mark.parametrize("path", ['"$user", public', 'public, "$user"', '"$user"'])
def test_a_schema_called_like_an_account_changes_none_of_its_statements(
    project: Project, postgresql: Server, path: str
) -> None:
    count = "import sys; from my_pipeline import life; print(len(life.Animal & {'name': 'Ada'})); "
    show = "print(life.schema.connection.query('SHOW search_path').fetchone()[0])"
    with made(postgresql, "dev_work", "dev_life") as make:
        account = make("odd", owns=True)
        plain = replace(postgresql, user=account.name, password=account.password)
        with living(plain, project, anew=True) as own:
            planted = f"{account.user}.same"
            postgresql.execute(
                f"CREATE SCHEMA {account.user}",
                f"CREATE FUNCTION {planted}(varchar, varchar) RETURNS boolean LANGUAGE plpgsql AS "
                "'BEGIN RAISE EXCEPTION ''planted''; END'",
                f"CREATE OPERATOR {account.user}.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = {planted})",
                f"GRANT USAGE ON SCHEMA {account.user} TO PUBLIC",
                f"ALTER ROLE {account.user} SET search_path = {path}",
            )
            try:
                with pytest.raises(Exception, match="planted"):
                    plain.execute("SELECT 1 FROM dev_life.animal WHERE name = 'Ada'")
                done = own.python("-c", count + show)
                assert done.code == 0 and done.out.split()[0].isdigit(), done.err
                assert done.out.split()[1:] == (["public"] if "public" in path else []), done.out
            finally:
                postgresql.execute(f"DROP SCHEMA {account.user} CASCADE")


#: How long an administrator lets statements and sessions of an account take, by the server.
LIMITS = {
    "mysql": {"max_execution_time": ("400", "0"), "wait_timeout": ("1", "28800")},
    "postgresql": {
        "statement_timeout": ("'400ms'", ""),
        "idle_in_transaction_session_timeout": ("'400ms'", ""),
        "idle_session_timeout": ("'900ms'", ""),
    },
}


def given(server: Server, role: str, name: str, value: str) -> str:
    """The statement that gives new sessions of an account a setting, on MySQL those of everybody; none is the usual one."""
    if server.backend == "mysql":
        return f"SET GLOBAL {name} = {value}"
    return f"ALTER ROLE {role} SET {name} = {value}" if value else f"ALTER ROLE {role} RESET {name}"


SLOW = """    RunSQL(
        "take long",
        mysql="SELECT animal_id, SLEEP(0.4) FROM {life}.animal",
        postgresql="SELECT pg_sleep(0.9)",
    ),
    RunPython("think", thought, think),
]
"""

THINKING = """import time

done = []


def thought(connection, databases):
    return bool(done)


def think(connection, databases):
    time.sleep(1.5)
    done.append(True)
    return False


follows"""


def test_a_time_limit_of_an_account_does_not_stop_a_migration(project: Project, server: Server) -> None:
    limits = LIMITS[server.backend]
    with made(server, "dev_work", "dev_life") as make:
        account = make("hurried", owns=True)
        plain = replace(server, user=account.name, password=account.password)
        with living(plain, project, anew=True) as own:
            own.replace(own.module("life"), "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
            ok(own, "revise", "-m", "moods")
            path = "src/my_pipeline/migrations/life/1.1.0_moods.py"
            text = (
                own.read(path)
                .replace("import ", "import RunPython, RunSQL, ", 1)
                .replace("\nfollows", f"\n{THINKING}", 1)
            )
            own.write(path, text.rstrip().removesuffix("]") + SLOW)
            try:
                server.execute(*(given(server, account.user, name, value) for name, (value, _) in limits.items()))
                ok(own, "migrate", "--dry-run", code=3)
                ok(own, "migrate")
                # Nor does one that hardly a question takes, of the commands that only read.
                shortest = "1" if server.backend == "mysql" else "3"
                server.execute(given(server, account.user, next(iter(limits)), shortest))
                for command in ("status", "log", "diff", "progress", "status"):
                    ok(own, command)
            finally:
                server.execute(*(given(server, account.user, name, usual) for name, (_, usual) in limits.items()))
            assert states(own)["life"] == ("current", "1.1.0")


def test_what_a_commit_begins_or_ends_is_not_for_the_server_to_say(project: Project, mysql: Server) -> None:
    """CHAIN begins a transaction like the one before, of a backup one that only reads; RELEASE ends the session."""
    with living(mysql, project) as own:
        own.replace(own.module("life"), "    colour = \"grey\" : enum('grey', 'white')\n", "")
        ok(own, "revise", "-m", "less", "--drop", "Animal.colour")
        try:
            mysql.execute("SET GLOBAL completion_type = 'RELEASE'")
            ok(own, "migrate")
            mysql.execute("SET GLOBAL completion_type = 'CHAIN'")
            ok(own, "purge", "--allow-data-loss")
        finally:
            mysql.execute("SET GLOBAL completion_type = DEFAULT")
        assert states(own)["life"][0] == "current"
        assert not mysql.execute("SHOW COLUMNS FROM dev_life.animal LIKE '%colour'")


#: A moment of each kind, a text that needs Unicode, and, once ``ALTER``ed, a fill of each kind.
MOMENTS = '''"""What lives here."""

import datajoint as dj

from . import open_schema

schema = open_schema("life")


@schema
class Moment(dj.Manual):
    definition = """
    number : int32
    ---
    zoned : timestamp  # native, and of a zone on MySQL
    since = "2026-05-05 05:05:05" : timestamp
    plain : datetime
    day : varchar(32)
    text : varchar(32)
    """
'''
INSERTED = """
from my_pipeline import life
life.Moment.insert([
    (1, "2026-01-01", "2026-05-05", "2026-03-29 02:30:00", "2026-03-29", "Zażółć €"),
    (2, "2026-01-01", "2026-05-05", "2026-01-01 23:59:59", "2026-12-31", "naïve 日本"),
])
"""
ADDED = """    begun = "2026-03-29 02:30:00" : datetime
    made = CURRENT_TIMESTAMP : datetime
    text : varchar(32)
"""
LOOK = {
    "mysql": (
        "SELECT number, CAST(zoned AS CHAR), CAST(plain AS CHAR), CAST(day AS CHAR), HEX(text){more} FROM dev_life.moment "
        "ORDER BY number LIMIT 9",
        ", CAST(begun AS CHAR), ABS(TIMESTAMPDIFF(SECOND, made, UTC_TIMESTAMP())) < 300",
    ),
    "postgresql": (
        "SELECT number, zoned::text, plain::text, day::text, encode(convert_to(text, 'UTF8'), 'hex'){more} "
        "FROM dev_life.moment ORDER BY number LIMIT 9",
        ", begun::text, abs(extract(epoch FROM made - (now() AT TIME ZONE 'UTC'))) < 300",
    ),
}


@pytest.fixture(params=["usual", "odd"])
def either(request: pytest.FixtureRequest, server: Server) -> Server:
    """A server as it is, and one that gives every new session other settings."""
    return server if request.param == "usual" else request.getfixturevalue("set_up")  # type: ignore[no-any-return]


def test_moments_and_texts_are_what_they_are_in_any_zone_and_encoding(project: Project, either: Server) -> None:
    zone = "SET TIME_ZONE = '+00:00'" if either.backend == "mysql" else "SET TIME ZONE 'UTC'"
    look, more = LOOK[either.backend]

    def found(more: str = "") -> list[tuple[Any, ...]]:
        return either.execute(zone, look.format(more=more))

    lay(project)
    project.write(project.module("life"), MOMENTS)
    (project.folder / project.module("work")).unlink()
    project.write(project.module("version"), '__version__ = "0.1.0"\nSCHEMA_VERSIONS = {"life": "1.0.0"}\n')
    with filled(either, project, INSERTED):
        # What DataJoint puts there is of the session's zone.
        either.execute(zone, "UPDATE dev_life.moment SET zoned = plain WHERE number > 0")
        before = found()
        assert [bytes.fromhex(row[4]).decode() for row in before] == ["Zażółć €", "naïve 日本"]
        # A zone is taken away, a text becomes a day, and what is added is the same whoever adds it.
        project.replace(project.module("life"), "zoned : timestamp", "zoned : datetime")
        project.replace(project.module("life"), "day : varchar(32)", "day : date")
        project.replace(project.module("life"), "    text : varchar(32)\n", ADDED)
        ok(project, "revise", "-m", "moments")
        (path,) = (project.folder / "src/my_pipeline/migrations/life").glob("*_moments.py")
        using = 'using=Sql(mysql="CAST(day AS DATE)", postgresql="day::date")'
        text = path.read_text().replace('"day : date")', f'"day : date", {using})')
        path.write_text(text.replace("import ", "import Sql, ", 1))
        ok(project, "migrate")
        after = found(more)
        assert [row[:5] for row in after] == before
        assert {row[5:] for row in after} == {("2026-03-29 02:30:00", True)}
        assert states(project)["life"][0] == "current"
        # What is dropped comes back as it was.
        text = project.read(project.module("life"))
        project.write(project.module("life"), "\n".join(s for s in text.split("\n") if " zoned :" not in s))
        project.replace(project.module("life"), "text : varchar(32)", "text : varchar(3)")
        ok(project, "revise", "-m", "drop", "--drop", "Moment.zoned")
        ok(project, "migrate", "--allow-data-loss")
        path = max((project.folder / "backups").glob("*.zip"))
        ok(project, "rollback", "life", "--to", "2.0.0")
        ok(project, "restore", str(path))
        assert found(more) == after


#: Values that take half a statement each, and of which a value alone is longer than one.
TRACES = '''"""What lives here."""

import datajoint as dj

from . import open_schema

schema = open_schema("life")


@schema
class Trace(dj.Manual):
    definition = """
    number : int32
    ---
    raw = null : longblob
    more = null : json
    """
'''
TRACED = """
import os
from my_pipeline import life
life.Trace.insert([(n, os.urandom(500_000), {"a": str(n) * 500_000}) for n in range(4)])
life.Trace.insert([(8, os.urandom(1_500_000), None), (9, None, {"a": "9" * 1_500_000})])
"""

#: Columns of soft-deleted tables; what the catalogue says of five of these is longer than a statement, too.
WIDE = ", ".join(f"a{number} bool COMMENT '{'long ' * 200}'" for number in range(250))


@contextmanager
def narrow(mysql: Server) -> Iterator[None]:
    """Let new sessions send no more than one megabyte in a statement."""
    ((usual,),) = mysql.execute("SELECT @@GLOBAL.max_allowed_packet")
    mysql.execute(f"SET GLOBAL max_allowed_packet = {1 << 20}")
    try:
        yield
    finally:
        mysql.execute(f"SET GLOBAL max_allowed_packet = {usual}")


def test_a_small_max_allowed_packet_is_enough_or_named_before_the_first_step(project: Project, mysql: Server) -> None:
    lay(project)
    life = project.module("life")
    project.write(life, TRACES)
    project.write(project.module("work"), TRACES.replace('"life"', '"work"'))
    wide = [f"CREATE TABLE dev_work.`~dropped_wide{n}` (number int PRIMARY KEY, {WIDE})" for n in range(5)]
    values = "SELECT number, CRC32(raw), CRC32(more) FROM dev_life.trace ORDER BY number"

    def refused(*words: str) -> None:
        result = ok(project, "migrate", code=1)
        is_sentence(result)
        assert "max_allowed_packet" in result.err and all(word in result.err for word in words), result.err
        assert states(project)["life"][0] == "behind"

    with filled(mysql, project, TRACED), narrow(mysql):
        mysql.execute(*wide)
        assert {state for state, _ in states(project).values()} == {"current"}
        # A value that its codec makes longer than a statement.
        project.replace(life, "raw = null : longblob", "raw = null : <blob>")
        ok(project, "revise", "-m", "blobs")
        assert "max_allowed_packet" in ok(project, "migrate", "--dry-run", code=1).err
        refused("'number': 8")
        mysql.execute("DELETE FROM dev_life.trace WHERE number = 8")
        ok(project, "migrate")
        # A document of which the server would give nothing to a backup.
        project.replace(life, "    more = null : json\n", "    more = null : json\n    size = null : int32\n")
        ok(project, "revise", "-m", "less")
        (file,) = (project.folder / "src/my_pipeline/migrations/life").glob("*_less.py")
        text = file.read_text().replace("import ", "import RebuildTable, RunSQL, Sql, ", 1).rstrip().removesuffix("]")
        rebuild = """    RebuildTable("Trace", {"more": Sql(mysql="JSON_ARRAY(number)", postgresql="")}),\n"""
        file.write_text(f"{text}{rebuild}]\n")
        refused("more in life.Trace")
        mysql.execute("DELETE FROM dev_life.trace WHERE number = 9")
        # A statement of the lab's.
        long = f"""    RunSQL("say much", mysql="DO '" + "x" * {1 << 20} + "'", postgresql=""),\n"""
        file.write_text(f"{text}{long}{rebuild}]\n")
        assert "max_allowed_packet" in ok(project, "migrate", "--dry-run", code=1).err
        refused("To say much")
        file.write_text(f"{text}{rebuild}]\n")
        before = mysql.execute(values)
        ok(project, "migrate")
        assert mysql.execute(values) != before
        # What was kept is put back in statements that are short enough.
        (path,) = (project.folder / "backups").glob("*.zip")
        ok(project, "restore", str(path), "--overwrite")
        assert mysql.execute(values) == before


def test_a_record_that_the_server_would_not_take_is_named_by_the_dry_run_too(project: Project, mysql: Server) -> None:
    """It has the table as it was, with all its comments, and as it is to be."""
    lay(project)
    life = project.module("life")
    comment = "long " * 150
    wide = "\n".join(f"    a{number} = null : bool  # {comment}" for number in range(400))
    project.replace(life, "    name : varchar(32)", f"    name : varchar(32)\n{wide}")
    with filled(mysql, project, ""):
        ((usual,),) = mysql.execute("SELECT @@GLOBAL.max_allowed_packet")
        project.replace(life, "    name : varchar(32)", "    name : varchar(40)")
        ok(project, "revise", "-m", "longer")
        mysql.execute(f"SET GLOBAL max_allowed_packet = {400 << 10}")
        try:
            for flags in (("--dry-run",), ()):
                refused = ok(project, "migrate", *flags, code=1)
                is_sentence(refused)
                assert "The record of the run takes a statement of" in refused.err, refused.err
                assert states(project)["life"] == ("behind", "1.0.0")
        finally:
            mysql.execute(f"SET GLOBAL max_allowed_packet = {usual}")
        ok(project, "migrate")
        assert states(project)["life"][0] == "current"


@pytest.mark.parametrize("autocommit", ["ON", "OFF"])
def test_a_server_that_fills_timestamps_by_itself_changes_none(
    project: Project, tmp_path: Path, autocommit: str
) -> None:
    """That is how MySQL 5.7 began; who may not switch it off for a session is told.

    Nor may anybody while a transaction is open, as one always is where no statement ends its own.
    """
    if shutil.which("mysqld") is None:
        pytest.skip("no mysqld on PATH, and the setting is the server's")
    (tmp_path / "server").mkdir()
    with (
        private_mysql(
            tmp_path / "server", "--explicit-defaults-for-timestamp=OFF", f"--autocommit={autocommit}"
        ) as server,
        made(server, "dev_work", "dev_life") as make,
    ):
        lay(project)
        project.environment |= {**server.variables, "MY_PIPELINE_ENV": "dev", "DJ_LOG_LEVEL": "ERROR"}
        life = project.module("life")
        project.replace(life, "    name : varchar(32)", "    d : timestamp\n    name : varchar(32)")
        ok(project, "init")
        server.execute("INSERT INTO dev_life.animal (animal_id, d, name) VALUES (1, '2020-01-01', 'Ada')")
        project.replace(life, "    d : timestamp\n", "    d : timestamp  # when\n    w : int32\n")
        ok(project, "revise", "-m", "numbers", "--fill", "Animal.w=number()")
        done = project.run("migrate", **make("odd", owns=True).variables)
        if done.code:  # of some versions it needs a right
            is_sentence(done)
            assert "explicit_defaults_for_timestamp" in done.err and "SESSION_VARIABLES_ADMIN" in done.err
        ok(project, "migrate")
        assert [str(row[0]) for row in server.execute("SELECT d FROM dev_life.animal")] == ["2020-01-01 00:00:00"]
        ((_, text),) = server.execute("SHOW CREATE TABLE dev_life.animal")
        assert "ON UPDATE" not in text and ok(project, "status").code == 0


def test_a_role_whose_foreign_keys_are_not_checked_changes_nothing(postgresql: Server, project: Project) -> None:
    """It may not set that back; an administrator, who may, is not asked."""
    with made(postgresql, "dev_work", "dev_life") as make:
        account = make("odd", owns=True)
        plain = replace(postgresql, user=account.name, password=account.password)
        with living(plain, project, anew=True) as own:
            own.replace(own.module("life"), "  # on that day\n", "  # on that day\n    mood = null : varchar(8)\n")
            ok(own, "revise", "-m", "mood")
            postgresql.execute(f"ALTER ROLE {account.user} SET session_replication_role = replica")
            refused = own.run("migrate")
            is_sentence(refused)
            assert "session_replication_role" in refused.err and "RESET" in refused.err, refused.err
            assert states(own)["life"] == ("behind", "1.0.0")
            postgresql.execute(f"ALTER ROLE {account.user} RESET session_replication_role")
            ok(own, "migrate")
            postgresql.execute(f'ALTER ROLE "{postgresql.user}" SET session_replication_role = replica')
            try:
                ok(own, "rollback", "life", "--to", "1.0.0", **postgresql.variables)
            finally:
                postgresql.execute(f'ALTER ROLE "{postgresql.user}" RESET session_replication_role')


def test_a_backslash_is_stored_as_one_where_the_account_reads_it_as_an_escape(
    project: Project, postgresql: Server
) -> None:
    """The driver decides when it connects how to write it: blobs have backslashes in their hexadecimal form."""
    with made(postgresql, "dev_work", "dev_life") as make:
        account = make("odd", owns=True)
        plain = replace(postgresql, user=account.name, password=account.password)
        with living(plain, project, anew=True) as own:
            life = own.module("life")
            own.replace(life, "    name : varchar(32)", "    trace = null : <blob>\n    name : varchar(32)")
            ok(own, "revise", "-m", "trace")
            ok(own, "migrate")
            postgresql.execute(f"ALTER ROLE {account.user} SET standard_conforming_strings = off")
            text = "a\\b'c"
            put = f"from my_pipeline import life\nlife.Animal.insert1((7, [1, 'x'], {text!r}, 'grey'))"
            done = own.python("-c", put)
            assert done.code == 0, done.err
            own.replace(life, "    trace = null : <blob>", "    trace = null : json")
            ok(own, "revise", "-m", "plain")
            ok(own, "migrate")
            found = "[[r['name'], r['trace']] for r in (life.Animal & {'animal_id': 7}).to_dicts()]"
            assert rows(own, found) == [[text, [1, "x"]]]
            assert postgresql.execute("SELECT name FROM dev_life.animal WHERE animal_id = 7") == [(text,)]


def test_a_session_lasts_while_a_project_is_imported(project: Project, server: Server) -> None:
    """However soon the server ends those of an account that say nothing."""
    name, short, usual = (
        ("wait_timeout", "1", "28800") if server.backend == "mysql" else ("idle_session_timeout", "'1s'", "")
    )
    with made(server, "dev_work", "dev_life") as make:
        account = make("hurried", owns=True)
        lay(project)
        project.environment |= {
            **replace(server, user=account.name, password=account.password).variables,
            "MY_PIPELINE_ENV": "dev",
            "DJ_LOG_LEVEL": "ERROR",
        }
        project.replace(
            project.module("life"), "import datajoint", "import time\n\ntime.sleep(1.5)\n\nimport datajoint"
        )
        try:
            server.execute(given(server, account.user, name, short))
            command = [sys.executable, "-m", "my_pipeline", "init"]  # not of the warm process, which imports sooner
            made_all = subprocess.run(
                command, cwd=project.folder, env=project.variables(), capture_output=True, text=True
            )
            assert made_all.returncode == 0, made_all.stderr
        finally:
            server.execute(given(server, account.user, name, usual))
        assert {state for state, _ in states(project).values()} == {"current"}


def test_a_tablespace_of_an_account_moves_no_table(project: Project, postgresql: Server) -> None:
    """Not one that is built anew, and not its key."""
    where = (
        "SELECT c.relname::text, c.reltablespace::int FROM pg_class c "
        "WHERE c.relnamespace = 'dev_life'::regnamespace AND c.relname IN ('animal', 'animal_pkey') ORDER BY 1"
    )
    usual = [("animal", 0), ("animal_pkey", 0)]
    postgresql.execute("SET allow_in_place_tablespaces = on", "CREATE TABLESPACE elsewhere LOCATION ''")
    try:
        with made(postgresql, "dev_work", "dev_life") as make:
            account = make("odd", owns=True)
            plain = replace(postgresql, user=account.name, password=account.password)
            with living(plain, project, anew=True) as own:
                postgresql.execute(
                    f"GRANT CREATE ON TABLESPACE elsewhere TO {account.user}",
                    f"ALTER ROLE {account.user} SET default_tablespace = elsewhere",
                )
                assert postgresql.execute(where) == usual
                own.replace(
                    own.module("life"), "    name : varchar(32)", "    size = 0 : int32\n    name : varchar(32)"
                )
                ok(own, "revise", "-m", "sizes")
                ok(own, "migrate")
                assert postgresql.execute(where) == usual
                ok(own, "rollback", "life", "--to", "1.0.0")
                assert postgresql.execute(where) == usual
    finally:
        postgresql.execute("DROP TABLESPACE elsewhere")


def test_a_query_that_a_limit_stops_is_no_failed_connection(project: Project, postgresql: Server) -> None:
    """The server answered, so it is not its address that is wrong."""
    with made(postgresql, "dev_work", "dev_life") as make:
        account = make("odd", owns=True)
        plain = replace(postgresql, user=account.name, password=account.password)
        with living(plain, project, anew=True) as own:
            postgresql.execute(
                *(f"ALTER ROLE {account.user} SET {limit}" for limit in ("temp_file_limit = 0", "work_mem = 64"))
            )
            refused = own.run("migrate")
            is_sentence(refused)
            assert 'temporary file size exceeds "temp_file_limit"' in refused.err, refused.err
            assert "Cannot connect" not in refused.err and "host and port" not in refused.err, refused.err


def test_the_smallest_max_allowed_packet_is_named_by_every_command(project: Project, mysql: Server) -> None:
    """Also where the server gives no document of what it knows of a table, because that is longer."""
    with living(mysql, project) as own:
        more = "".join(
            f"    wide{n} = null : varchar(64)  # one of many attributes of this animal\n" for n in range(12)
        )
        own.replace(own.module("life"), "    colour = ", f"{more}    colour = ")
        ok(own, "revise", "-m", "wide")
        ok(own, "migrate")
        own.replace(own.module("life"), "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
        ok(own, "revise", "-m", "moods")
        mysql.execute("SET GLOBAL max_allowed_packet = 1024")
        try:
            for command in (("status",), ("diff",), ("log",), ("migrate", "--dry-run"), ("migrate",), ("init",)):
                done = own.run(*command)
                assert "should not" not in done.err, (command, done.err)
                if done.code not in (0, 3):
                    is_sentence(done)
                    assert "max_allowed_packet" in done.err, (command, done.err)
            assert own.run("migrate").code == 1
        finally:
            mysql.execute("SET GLOBAL max_allowed_packet = DEFAULT")
        ok(own, "migrate")
