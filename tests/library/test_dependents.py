"""What hangs on a table and DataJoint does not know is named before the first step, on both servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from accounts import made as accounts
from conftest import Project, Server
from living import is_sentence, ok, states
from living import living as made
from proxy import Proxy

pytestmark = pytest.mark.both_servers


@pytest.fixture
def living(project: Project, server: Server) -> Iterator[Project]:
    with made(server, project) as own:
        yield own
    server.drop("notes")


def revise(living: Project, old: str, new: str, *arguments: str) -> None:
    living.replace(living.module("life"), old, new)
    ok(living, "revise", "-m", "another", *arguments)


def refused(living: Project, *words: str) -> None:
    """Both the dry run and the migration name it, and nothing is changed."""
    for arguments in (("migrate", "--dry-run"), ("migrate",)):
        result = ok(living, *arguments, code=1)
        if "--dry-run" not in arguments:
            is_sentence(result)
        said = " ".join((result.out + result.err).split())
        assert all(word in said for word in words), said
    assert states(living)["life"] == ("behind", "1.0.0")


def make(server: Server, mysql: str, *postgresql: str) -> None:
    server.execute(*([mysql] if server.backend == "mysql" else postgresql))


FUNCTION = (
    "CREATE FUNCTION dev_life.loud() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN NEW.name = upper(NEW.name); RETURN NEW; END $$"
)
TRIGGER = "CREATE TRIGGER loud BEFORE UPDATE ON dev_life.animal FOR EACH ROW "


def loud(server: Server) -> None:
    """A trigger that names the attribute ``name``."""
    make(
        server,
        TRIGGER.replace(" loud", " dev_life.loud") + "SET NEW.name = UPPER(NEW.name)",
        FUNCTION,
        f"{TRIGGER} EXECUTE FUNCTION dev_life.loud()",
    )


def test_a_trigger_that_names_what_goes(living: Project, server: Server) -> None:
    loud(server)
    revise(living, "    name : varchar(32)", "    title : varchar(32)", "--rename", "Animal.name=title")
    refused(living, "1 trigger that names name", "loud")
    make(server, "DROP TRIGGER dev_life.loud", "DROP TRIGGER loud ON dev_life.animal")
    ok(living, "migrate")
    assert states(living)["life"][0] == "current"


def test_a_trigger_that_fires_where_values_are_filled_is_named(living: Project, server: Server) -> None:
    loud(server)
    revise(living, "    colour = ", "    size : int32\n    colour = ", "--fill", "Animal.size=number()")
    if server.backend == "postgresql":  # which builds the table anew, for the order of its attributes
        refused(living, "1 object that would be lost", "trigger loud")
        return
    shown = ok(living, "migrate", "--dry-run", code=3).out
    said = "1 trigger that fires for each row, perhaps more than once, when size is filled (loud)"
    assert said in " ".join(shown.split()) and "No value would be lost" not in shown
    ok(living, "migrate")
    assert server.execute("SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = 'dev_life'")


def test_triggers_that_fire_for_rows_that_a_migration_puts_in_are_named(living: Project, server: Server) -> None:
    """And on MySQL those of values that no column can have as its default."""
    on_insert = TRIGGER.replace("UPDATE", "INSERT")
    make(
        server,
        f"{on_insert.replace(' loud', ' dev_life.loud')}SET NEW.name = UPPER(NEW.name)",
        FUNCTION,
        f"{on_insert}EXECUTE FUNCTION dev_life.loud()",
    )
    make(server, "CREATE TRIGGER dev_life.told BEFORE UPDATE ON dev_life.weight FOR EACH ROW SET @told = 1")
    grams = "    grams : float64  # on that day\n"
    revise(living, grams, f"{grams}    setting : json\n", "--fill", 'Weight.setting={"a": 1}')
    (path,) = (living.folder / "src/my_pipeline/migrations/life").glob("*_another.py")
    text = path.read_text().replace("import ", "import InsertRows, ", 1)
    rows = '    InsertRows("Animal", [{"animal_id": 9, "name": "Eve"}]),\n]\n'
    path.write_text(text.rstrip().removesuffix("]") + rows)
    shown = " ".join(ok(living, "migrate", "--dry-run", code=3).out.split())
    assert "life.Animal: 1 trigger that fires for each row that is put in (" in shown, shown
    if server.backend == "mysql":
        assert "1 trigger that fires for each row, perhaps more than once, when setting is filled (told)" in shown
    ok(living, "migrate")
    assert server.execute("SELECT name FROM dev_life.animal WHERE animal_id = 9") == [("EVE",)]


FINAL = (
    "CREATE TRIGGER dev_life.final BEFORE UPDATE ON dev_life.weight FOR EACH ROW BEGIN "
    "IF OLD.grams > 20.5 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'weights are final'; END IF; END"
)


def test_a_trigger_that_refuses_what_rows_get(project: Project, mysql: Server) -> None:
    """It is tried before the first step; where one refuses later, there are both ways out."""
    with made(mysql, project) as living:
        mysql.execute(FINAL)
        revise(living, "    grams : float64", "    size : int32\n    grams : float64", "--fill", "Weight.size=number()")
        refused(living, "life.Weight has 1 trigger that refuses what rows get in size (final: weights are final)")
        mysql.execute("DROP TRIGGER dev_life.final")
        before = mysql.execute("SHOW CREATE TABLE dev_life.weight")

        # Rows that a migration puts in are tried, too.
        (path,) = (living.folder / "src/my_pipeline/migrations/life").glob("*_another.py")
        text = path.read_text()
        rows = '    InsertRows("Animal", [{"animal_id": 9, "name": "Eve"}]),\n]\n'
        path.write_text(text.replace("import ", "import InsertRows, ", 1).rstrip().removesuffix("]") + rows)
        closed = "BEFORE INSERT ON dev_life.animal FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'full house'"
        mysql.execute(f"CREATE TRIGGER dev_life.closed {closed}")
        refused(living, "life.Animal has 1 trigger that refuses rows that the migration puts in (closed: full house)")
        mysql.execute("DROP TRIGGER dev_life.closed")
        path.write_text(text)
        proxy, direct = Proxy("mysql", mysql.port), dict(living.environment)

        def late(text: str) -> None:
            if text.startswith("UPDATE `dev_life`.`weight`") and "`~`" in text:
                with suppress(Exception):  # for the second statement there is one
                    mysql.execute(FINAL)

        proxy.watch = late
        try:
            for way_out in (("rollback", "--interrupted"), ("migrate",)):
                living.environment |= {**replace(mysql, port=proxy.port).variables, "DJ_USE_TLS": "false"}
                stopped = ok(living, "migrate", code=6)
                living.environment.clear()
                living.environment |= direct
                is_sentence(stopped)
                assert "weights are final" in stopped.err and "rollback --interrupted" in stopped.err, stopped.err
                if way_out == ("migrate",):
                    mysql.execute("DROP TRIGGER dev_life.final")
                ok(living, *way_out)
                if way_out != ("migrate",):
                    mysql.execute("DROP TRIGGER dev_life.final")
                    assert mysql.execute("SHOW CREATE TABLE dev_life.weight") == before
        finally:
            proxy.close()
        assert states(living)["life"][0] == "current"


def test_a_trigger_that_writes_what_a_fill_reads(project: Project, mysql: Server) -> None:
    """MySQL lets no trigger write a table that the statement reads which fires it."""
    with made(mysql, project) as living:
        mysql.execute(
            "CREATE TRIGGER dev_life.back AFTER UPDATE ON dev_life.weight FOR EACH ROW "
            "UPDATE dev_life.animal SET name = TRIM(name) WHERE animal_id = NEW.animal_id"
        )
        name = "    name : varchar(32)  # what it is called\n"
        revise(living, f"    ---\n{name}", f"{name}    ---\n")
        refused(
            living, "life.Weight has 1 trigger that refuses what rows get in name (back: Can't update table 'animal'"
        )


def test_a_view_that_reads_what_changes(living: Project, server: Server) -> None:
    server.execute("CREATE VIEW dev_life.called AS SELECT animal_id, name FROM dev_life.animal")
    if server.backend == "mysql":
        revise(living, "    name : varchar(32)", "    title : varchar(32)", "--rename", "Animal.name=title")
        refused(living, "1 view that reads name", "dev_life.called")
    else:
        revise(living, "    name : varchar(32)", "    name : varchar(64)")
        refused(living, "1 object that reads name", "view dev_life.called")
    server.execute("DROP VIEW dev_life.called")
    ok(living, "migrate")


READS = {
    "policy": ("CREATE POLICY mine ON dev_life.animal USING (name IS NOT NULL)", "policy mine"),
    "trigger": ("CREATE TRIGGER loud BEFORE INSERT ON dev_life.animal FOR EACH ROW WHEN (NEW.name IS NULL) "
                "EXECUTE FUNCTION dev_life.nothing()", "trigger loud"),
    "rule": ("CREATE RULE none AS ON INSERT TO dev_life.animal WHERE NEW.name IS NULL DO INSTEAD NOTHING", "rule none"),
    "view": ("CREATE VIEW dev_life.called AS SELECT animal_id, name FROM dev_life.animal", "view dev_life.called"),
    "check": ("ALTER TABLE dev_life.animal ADD CONSTRAINT known CHECK (name IS NOT NULL)", "constraint known"),
}  # fmt: skip


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
@pytest.mark.parametrize("kind", READS)
def test_what_would_read_a_column_that_is_soft_deleted(living: Project, server: Server, kind: str) -> None:
    """It follows the new name of the column, which is null in each new row from then on."""
    made, named = READS[kind]
    nothing = "CREATE FUNCTION dev_life.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
    server.execute(nothing, made)
    if kind == "check":
        ok(living, "adopt", "--again", "life")
    living.replace(living.module("life"), "    name : varchar(32)  # what it is called\n", "")
    ok(living, "revise", "-m", "nameless", "--drop", "life.Animal.name")
    refused(living, "1 check constraint that names name" if kind == "check" else "1 object that reads name", named)
    if kind == "check":
        server.execute("ALTER TABLE dev_life.animal DROP CONSTRAINT known")
        ok(living, "adopt", "--again", "life", code=3)
        ok(living, "migrate")
        return
    server.execute(f"DROP {named}{'' if kind == 'view' else ' ON dev_life.animal'}")
    ok(living, "migrate")


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("TRIGGER dev_life.loud BEFORE INSERT ON dev_life.animal FOR EACH ROW SET NEW.NAME = 'x'", "trigger"),
        ("PROCEDURE dev_life.p() SELECT NAME FROM dev_life.animal", "routine"),
    ],
)
def test_what_names_a_column_in_capital_letters(living: Project, server: Server, body: str, kind: str) -> None:
    """MySQL knows none in the names of columns."""
    server.execute(f"CREATE {body}")
    revise(living, "    name : varchar(32)", "    title : varchar(32)", "--rename", "Animal.name=title")
    refused(living, f"1 {kind} that names name")
    server.execute(f"DROP {body.split('(')[0].partition(' BEFORE')[0]}")
    ok(living, "migrate")


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
def test_what_names_a_table_from_elsewhere(living: Project, server: Server) -> None:
    """A trigger of another table, where an attribute or the class gets another name; a view, where the table is dropped."""
    server.execute(
        "CREATE TRIGGER dev_life.weighed AFTER INSERT ON dev_life.weight FOR EACH ROW "
        "UPDATE dev_life.animal SET name = 'heavy' WHERE animal_id = NEW.animal_id AND 'Weight' <> 'WEIGHT'",
        "CREATE VIEW dev_life.grams AS SELECT grams FROM dev_life.weight",
    )
    life = living.module("life")
    text = living.read(life)
    revise(living, "    name : varchar(32)", "    title : varchar(32)", "--rename", "Animal.name=title")
    refused(living, "1 trigger of other tables that names name", "dev_life.weighed")
    server.execute("DROP TRIGGER dev_life.weighed")
    ok(living, "migrate")
    living.write(
        life, text.replace("    name : varchar(32)", "    title : varchar(32)").partition("@schema\nclass Weight")[0]
    )
    ok(living, "revise", "-m", "no weights", "--drop", "Weight")
    result = ok(living, "migrate", code=1)
    assert "1 view that reads life.Weight (dev_life.grams)" in " ".join(result.err.split())
    server.execute("DROP VIEW dev_life.grams")
    ok(living, "migrate")


ELSEWHERE = {
    "procedure": ("PROCEDURE notes.p() SELECT * FROM dev_life.animal WHERE name > ''", "1 routine that names name"),
    "quoted": ("PROCEDURE notes.p() SELECT name FROM `dev_life` . `animal`", "1 routine that names name"),
    "trigger": (
        "TRIGGER notes.t AFTER INSERT ON notes.log FOR EACH ROW INSERT INTO dev_life.animal (animal_id, name) "
        "VALUES (NEW.id, 'x')",
        "1 trigger of other tables that names name",
    ),
    "event": (
        "EVENT notes.e ON SCHEDULE EVERY 1 YEAR DISABLE DO UPDATE dev_life.animal SET name = ''",
        "1 event that names name",
    ),
}


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
@pytest.mark.parametrize("kind", ELSEWHERE)
def test_what_names_a_table_from_a_database_outside_of_the_pipeline(living: Project, server: Server, kind: str) -> None:
    """With the database before it; what is called the same there, or only begins so, is another table."""
    server.drop("notes")
    text, said = ELSEWHERE[kind]
    server.execute(
        "CREATE DATABASE notes",
        "CREATE TABLE notes.log (id int PRIMARY KEY)",
        "CREATE TABLE notes.animal (name int)",
        "CREATE PROCEDURE notes.own() SELECT name FROM animal, old_dev_life.animal a, dev_life.animals b",
        f"CREATE {text}",
    )
    revise(living, "    name : varchar(32)", "    title : varchar(32)", "--rename", "Animal.name=title")
    what, name = text.split("(")[0].split()[:2]
    refused(living, said, f"({name})")
    server.execute(f"DROP {what} {name}")
    ok(living, "migrate")


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
@pytest.mark.parametrize("source", ["DEV_LIFE.ANIMAL", "dev_life . Animal", '"dev_life".ANIMAL', "\nANIMAL a"])
def test_a_function_that_names_a_table_in_capital_letters(living: Project, server: Server, source: str) -> None:
    """The server folds them; a word of SQL in capital letters, and a name in quotes, are no such name."""
    server.execute(
        "CREATE FUNCTION dev_life.others() RETURNS bigint LANGUAGE plpgsql AS "
        "'BEGIN RETURN (SELECT COUNT(name) AS ANIMAL FROM dev_life.\"ANIMAL\", (SELECT 1 AS ANIMALS) x); END'",
        "CREATE FUNCTION dev_life.counts() RETURNS bigint LANGUAGE sql SET search_path = dev_life "
        f"AS 'SELECT COUNT(NAME) FROM {source}'",
    )
    revise(living, "    name : varchar(32)", "    title : varchar(32)", "--rename", "Animal.name=title")
    refused(living, "1 function that names name (dev_life.counts)")
    server.execute("DROP FUNCTION dev_life.counts()")
    ok(living, "migrate")


def test_what_names_a_table_that_gets_another_name(living: Project, server: Server) -> None:
    """Though nothing else of it changes."""
    body = "UPDATE dev_life.animal SET name = TRIM(name)"
    functions = f"CREATE FUNCTION dev_life.trims() RETURNS void LANGUAGE sql AS $$ {body} $$"
    if server.backend == "mysql":
        server.execute(
            "CREATE VIEW dev_life.called AS SELECT name FROM dev_life.animal",
            f"CREATE EVENT dev_life.trims ON SCHEDULE EVERY 1 YEAR DISABLE DO {body}",
            f"CREATE PROCEDURE dev_life.trims() {body}",
            "CREATE USER IF NOT EXISTS rodent",
            "GRANT SELECT ON dev_life.animal TO rodent",
        )
    else:
        server.execute(functions)
    living.replace(living.module("life"), "class Animal", "class Rodent")
    living.replace(living.module("life"), "-> Animal", "-> Rodent")
    living.replace(living.module("work"), "life.Animal", "life.Rodent")
    ok(living, "revise", "-m", "rodents", "--rename-table", "life.Animal=life.Rodent")
    if server.backend == "mysql":
        refused(living, "1 view that reads life.Animal")
        told = " ".join(ok(living, "migrate", "--dry-run", code=1).out.split())
        assert "1 event that names life.Animal" in told and "1 routine that names life.Animal" in told, told
        server.execute("DROP VIEW dev_life.called", "DROP EVENT dev_life.trims", "DROP PROCEDURE dev_life.trims")
        shown = " ".join(ok(living, "migrate", "--dry-run", code=3).out.split())
        moved = "migrate moves them, if your account may give rights"
        assert f"1 account whose rights on it stay under the old name: {moved} ('rodent'@'%')" in shown, shown
    else:
        refused(living, "1 function that names life.Animal", "dev_life.trims")
        server.execute("DROP FUNCTION dev_life.trims()")
    ok(living, "migrate")
    if server.backend == "mysql":
        granted = "SELECT table_name, table_priv FROM mysql.tables_priv WHERE user = 'rodent'"
        assert server.execute(granted) == [("rodent", "Select")]
    make(server, "DROP USER rodent")


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
@pytest.mark.parametrize("may", [True, False])
def test_rights_on_columns_follow_another_name(living: Project, server: Server, may: bool) -> None:
    """MySQL leaves them under the old one; an account that may not move them sees none, or says how to do it."""
    server.execute(
        "CREATE USER IF NOT EXISTS rodent",
        "GRANT SELECT (animal_id, name), UPDATE (name) ON dev_life.animal TO rodent",
    )
    granted = "SELECT column_name, column_priv FROM mysql.columns_priv WHERE user = 'rodent' ORDER BY 1"
    before = server.execute(granted)
    with accounts(server) as make_account:
        account = make_account("plain", owns=True)
        server.execute(f"GRANT SELECT ON mysql.* TO {account.user}")
        plain = {} if may else account.variables
        try:
            revise(living, "    name : varchar(32)", "    title : varchar(32)", "--rename", "Animal.name=title")
            shown = " ".join(ok(living, "migrate", "--dry-run", code=3, **plain).out.split())
            moved = "migrate moves them, if your account may give rights"
            assert f"1 account whose rights on name stay under the old name: {moved} ('rodent'@'%')" in shown, shown
            done = ok(living, "migrate", **plain)
            if may:
                expected = [(name.replace("name", "title"), rights) for name, rights in before]
                assert server.execute(granted) == expected
            else:
                assert server.execute(granted) == before and "GRANT SELECT (`title`)" in done.err, done.err
        finally:
            server.execute("DROP USER rodent")


def test_a_check_constraint_that_was_adopted(living: Project, server: Server) -> None:
    server.execute("ALTER TABLE dev_life.animal ADD CONSTRAINT named CHECK (name <> '')")
    assert ok(living, "status", code=4)
    ok(living, "adopt", "--again", "life")
    assert ok(living, "status").code == 0
    revise(living, "    name : varchar(32)", "    title : varchar(32)", "--rename", "Animal.name=title")
    if server.backend == "mysql":  # PostgreSQL has it follow
        refused(living, "1 check constraint that names name", "named")
        server.execute("ALTER TABLE dev_life.animal DROP CONSTRAINT named")
        ok(living, "adopt", "--again", "life", code=3)  # for a migration is pending
    ok(living, "migrate")
    assert states(living)["life"][0] == "current"


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_what_hangs_on_columns_goes_along_where_a_table_is_built_anew(living: Project, server: Server) -> None:
    """But for what depends on the table itself, and for check constraints that were adopted."""
    alter = "ALTER TABLE dev_life.animal "
    server.execute(
        f"{alter} ALTER name SET STATISTICS 500, ALTER name SET STORAGE EXTERNAL, ALTER name SET (n_distinct = 5)",
        f"{alter} ADD CONSTRAINT named CHECK (name <> '')",
        "CREATE FUNCTION dev_life.names() RETURNS SETOF varchar LANGUAGE sql "
        "BEGIN ATOMIC SELECT name FROM dev_life.animal; END",
    )
    ok(living, "adopt", "--again", "life")
    revise(living, "    colour = ", "    size = null : int32\n    colour = ")
    refused(living, "2 objects that would be lost", "constraint named", "function dev_life.names()")
    server.execute(f"{alter} DROP CONSTRAINT named", "DROP FUNCTION dev_life.names()")
    ok(living, "adopt", "--again", "life", code=3)
    called = (
        "SELECT conname FROM pg_constraint WHERE contype = 'n' AND conrelid = 'dev_life.animal'::regclass ORDER BY 1"
    )
    before = server.execute(called)  # none before PostgreSQL 18
    ok(living, "migrate")
    assert server.execute(called) == before
    options = "SELECT attstattarget, attstorage::text, attoptions::text FROM pg_attribute WHERE attname = 'name' AND "
    assert server.execute(f"{options} attrelid = 'dev_life.animal'::regclass") == [(500, "e", "{n_distinct=5}")]


def test_what_had_drifted_in_another_schema_stays_so(living: Project, server: Server) -> None:
    """Though the migration changes that schema's tables as well."""
    server.execute("ALTER TABLE dev_work.task ADD CONSTRAINT named CHECK (task <> '')")
    assert ok(living, "status", code=4)
    revise(living, "    animal_id : int32", "    animal_id : int64")
    living.run("migrate")
    assert states(living) == {"life": ("current", "1.1.0"), "work": ("drifted", "1.0.0")}


def test_a_view_that_reads_something_else_stands_in_no_way(living: Project, server: Server) -> None:
    server.execute("CREATE VIEW dev_life.numbers AS SELECT animal_id FROM dev_life.animal")
    revise(living, "    name : varchar(32)", "    name : varchar(64)")
    ok(living, "migrate")
    assert len(server.execute("SELECT * FROM dev_life.numbers")) == 2


def test_a_foreign_key_from_outside(living: Project, server: Server) -> None:
    server.drop("notes")
    make(server, "CREATE DATABASE notes", "CREATE SCHEMA notes")
    server.execute(
        "CREATE TABLE notes.note (animal_id int, FOREIGN KEY (animal_id) REFERENCES dev_life.animal (animal_id))"
    )
    if server.backend == "mysql":
        revise(living, "animal_id : int32", "animal_id : int64")
    else:
        revise(living, "    name : varchar(32)", "    size = 0 : int32\n    name : varchar(32)")
    refused(living, "foreign key from outside of the pipeline that leads to", "of notes.note")
    server.execute("DROP TABLE notes.note")
    ok(living, "migrate")


GREY = "    colour = \"grey\" : enum('grey', 'white')"


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_a_deferrable_primary_key_is_named_where_it_becomes_a_plain_one(living: Project, server: Server) -> None:
    alter = "ALTER TABLE dev_life.weight "
    server.execute(f"{alter} DROP CONSTRAINT weight_pkey", f"{alter} ADD PRIMARY KEY (animal_id, day) DEFERRABLE")
    ok(living, "adopt", "--again", "life", code=0)
    revise(living, "    grams : float64", "    size = null : int32\n    grams : float64")
    planned = " ".join(ok(living, "migrate", "--dry-run", code=3).out.split())
    assert "1 thing that is not kept (DEFERRABLE of primary key weight_pkey)" in planned, planned
    ok(living, "migrate")


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_what_a_table_that_is_built_anew_would_lose(living: Project, server: Server) -> None:
    """It is named; rights, also those of columns, and options go with it."""
    server.execute(
        "CREATE RULE quiet AS ON DELETE TO dev_life.animal WHERE OLD.animal_id < 0 DO INSTEAD NOTHING",
        "CREATE POLICY mine ON dev_life.animal USING (true)",
        "CREATE STATISTICS dev_life.together ON name, colour FROM dev_life.animal",
        "CREATE PUBLICATION told FOR TABLE dev_life.animal",
        "GRANT SELECT ON dev_life.animal TO PUBLIC",
        "GRANT REFERENCES (name) ON dev_life.animal TO PUBLIC",
        "ALTER TABLE dev_life.animal SET (fillfactor = 70, toast.autovacuum_enabled = false)",
        "COMMENT ON CONSTRAINT animal_pkey ON dev_life.animal IS 'the number'",
        "CREATE TABLE dev_work.kept (one dev_life.animal, many dev_life.animal[])",
    )
    try:
        revise(living, "    name : varchar(32)", "    size = 0 : int32\n    name : varchar(32)")
        refused(
            living, "4 objects that would be lost", "policy mine, publication told, rule quiet, statistics together"
        )
    finally:
        server.execute("DROP PUBLICATION told")
    server.execute(
        "DROP RULE quiet ON dev_life.animal", "DROP POLICY mine ON dev_life.animal", "DROP STATISTICS dev_life.together"
    )
    refused(living, "2 columns that have its rows as values", "dev_work.kept.many, column dev_work.kept.one")
    server.execute("DROP TABLE dev_work.kept")
    planned = " ".join(ok(living, "migrate", "--dry-run", code=3).out.split())
    assert "not kept" not in planned, planned
    ok(living, "migrate")
    commented = "SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conname = 'animal_pkey'"
    assert server.execute(commented) == [("the number",)]
    assert server.execute(
        "SELECT t.reloptions::text FROM pg_class c JOIN pg_class t ON t.oid = c.reltoastrelid "
        "WHERE c.oid = 'dev_life.animal'::regclass"
    ) == [("{autovacuum_enabled=false}",)]
    assert server.execute(
        "SELECT reloptions::text, (SELECT attacl::text FROM pg_attribute WHERE attrelid = c.oid AND attname = 'name') "
        "FROM pg_class c WHERE c.oid = 'dev_life.animal'::regclass"
    ) == [("{fillfactor=70}", "{=x/postgres}")]


def test_no_trigger_is_tried_that_may_write_what_is_not_taken_back(project: Project, mysql: Server) -> None:
    """A log that is MyISAM keeps what a trial writes."""
    mysql.drop("notes")
    with made(mysql, project) as living:
        mysql.execute(
            "CREATE DATABASE notes",
            "CREATE TABLE notes.told (id int AUTO_INCREMENT PRIMARY KEY) ENGINE = MyISAM",
            "CREATE TRIGGER dev_life.tells BEFORE UPDATE ON dev_life.animal "
            "FOR EACH ROW INSERT INTO notes.told VALUES (NULL)",
        )
        try:
            living.replace(living.module("life"), GREY, f"{GREY}\n    w : int32")
            ok(living, "revise", "-m", "numbers", "--fill", "Animal.w=number()")
            planned = " ".join(ok(living, "migrate", "--dry-run", code=3).out.split())
            assert "1 trigger that fires for each row" in planned, planned
            assert mysql.execute("SELECT COUNT(*) FROM notes.told") == [(0,)]
        finally:
            mysql.drop("notes")


def test_publications_that_stop_another_type_or_a_value_are_named(project: Project, postgresql: Server) -> None:
    """One that looks at the attribute, and one of updates of a table whose rows it could not name."""
    with made(postgresql, project) as living:
        try:
            postgresql.execute("CREATE PUBLICATION part FOR TABLE dev_life.animal WHERE (name <> 'x')")
            revise(living, "name : varchar(32)", "name : varchar(300)")
            refused(living, "1 object that reads name", "publication part")
            postgresql.execute("DROP PUBLICATION part", "CREATE PUBLICATION part FOR TABLE dev_life.animal")
            ok(living, "migrate")
            postgresql.execute("ALTER TABLE dev_life.animal REPLICA IDENTITY NOTHING")
            living.replace(living.module("life"), GREY, f"{GREY}\n    w : int32")
            ok(living, "revise", "-m", "numbers", "--fill", "Animal.w=number()")
            refused_there = " ".join(ok(living, "migrate", code=1).err.split())
            assert (
                "1 publication of its updates, for which it has no replica identity (publication part)" in refused_there
            )
            postgresql.execute("ALTER TABLE dev_life.animal REPLICA IDENTITY DEFAULT")
            ok(living, "migrate")
        finally:
            postgresql.execute("DROP PUBLICATION part")


def test_what_hangs_on_what_is_soft_deleted_is_named_before_purge_deletes_anything(
    living: Project, server: Server
) -> None:
    """A view of an attribute; a view of a table; a foreign key from outside."""
    server.drop("notes")
    make(server, "CREATE DATABASE notes", "CREATE SCHEMA notes")
    work, quote = living.module("work"), "`" if server.backend == "mysql" else '"'
    living.replace(living.module("life"), "    name : varchar(32)  # what it is called\n", "")
    living.write(work, living.read(work).partition("@schema\nclass Score")[0])
    ok(living, "revise", "-m", "less", "--drop", "life.Animal.name", "--drop", "work.Score")
    ok(living, "migrate")
    dropped = f"dev_work.{quote}~dropped___score{quote}"
    column = "int" if server.backend == "mysql" else "integer"
    key = f"animal_id {column}, task varchar(16), FOREIGN KEY (animal_id, task) REFERENCES {dropped} (animal_id, task)"
    hanging = [
        (
            "VIEW dev_life.called",
            "AS SELECT animal_id, _dropped_name FROM dev_life.animal",
            "life.Animal.name",
        ),
        ("VIEW notes.scores", f"AS SELECT score FROM {dropped}", "work.Score"),
        ("TABLE notes.note", f"({key})", "work.Score"),
    ]
    for what, rest, named in hanging:
        server.execute(f"CREATE {what} {rest}")
        refused = ok(living, "purge", "--allow-data-loss", code=1)
        is_sentence(refused)
        said = " ".join(refused.err.split())
        assert f"{named} cannot be deleted: 1 " in said and what.split()[1] in said and "Nothing was deleted" in said
        assert not list(living.folder.glob("backups/*.zip")) and not server.execute(
            f"SELECT 1 FROM {dropped} WHERE 1 = 0"
        )
        server.execute("SELECT _dropped_name FROM dev_life.animal", f"DROP {what}")
    ok(living, "purge", "--allow-data-loss")
    assert ok(living, "status").code == 0


def test_rows_of_a_table_that_inherits_get_values_of_their_own(project: Project, postgresql: Server) -> None:
    """They are rows of the table, too, and as far as the place goes the same ones; the dry run names that table."""
    with made(postgresql, project) as living:
        postgresql.execute(
            "CREATE SCHEMA notes",
            "CREATE TABLE notes.kids (k int) INHERITS (dev_life.weight)",
            "INSERT INTO notes.kids (animal_id, day, grams) VALUES (7, '2026-01-01', 1), (8, '2026-01-01', 2)",
        )
        try:
            said = "1 table that inherits from it, whose columns and rows change, too (notes.kids)"
            grams = "    grams : float64  # on that day\n"
            revise(living, "  # on that day\n", "  # at noon\n")
            assert "inherits" not in ok(living, "migrate", "--dry-run", code=3).out  # a comment is the table's alone
            ok(living, "migrate")
            grams = "    grams : float64  # at noon\n"
            revise(living, grams, f"{grams}    size : int32\n", "--fill", "Weight.size=number()")
            shown = " ".join(ok(living, "migrate", "--dry-run", code=3).out.split())
            assert said in shown, shown
            ok(living, "migrate")
            found = postgresql.execute("SELECT size FROM dev_life.weight ORDER BY animal_id, day")
            assert found == [(1,), (2,), (3,), (4,), (5,)]
        finally:
            postgresql.drop("notes")


def test_a_rule_that_runs_where_rows_get_values_is_named(project: Project, postgresql: Server) -> None:
    """And one that is carried out instead is refused: nothing would get a value, or the row that it needs."""
    also = "CREATE RULE also AS ON {} DO ALSO UPDATE dev_life.animal SET name = 'told' WHERE animal_id = 1"
    instead = "CREATE RULE quiet AS ON {} WHERE NEW.{} IS NOT NULL DO INSTEAD NOTHING"

    with made(postgresql, project) as living:

        def told(said: str) -> None:
            assert said in " ".join(ok(living, "migrate", "--dry-run", code=3).out.split())

        grams = "    grams : float64  # on that day\n"
        revise(living, grams, f"{grams}    size : int32\n", "--fill", "Weight.size=number()")
        postgresql.execute(
            "CREATE RULE idle AS ON DELETE TO dev_life.weight DO INSTEAD NOTHING",
            "CREATE RULE off AS ON UPDATE TO dev_life.weight DO INSTEAD NOTHING",
            "ALTER TABLE dev_life.weight DISABLE RULE off",
            instead.format("UPDATE TO dev_life.weight", "grams"),
        )
        refused(living, "life.Weight has 1 rule that replaces what rows get in size (quiet)")
        postgresql.execute("DROP RULE quiet ON dev_life.weight", also.format("UPDATE TO dev_life.weight"))
        told("1 rule that runs when rows get values in size (also)")
        ok(living, "migrate")
        assert postgresql.execute("SELECT name FROM dev_life.animal WHERE animal_id = 1") == [("told",)]

        # Rows that a migration puts in; the table is changed, too.
        living.replace(living.module("life"), "    # An animal\n", "    # An animal of the house\n")
        ok(living, "revise", "-m", "rows")
        (path,) = (living.folder / "src/my_pipeline/migrations/life").glob("*_rows.py")
        rows = '    InsertRows("Animal", [{"animal_id": 9, "name": "Eve"}]),\n]\n'
        text = path.read_text().replace("import ", "import InsertRows, ", 1)
        path.write_text(text.rstrip().removesuffix("]") + rows)
        postgresql.execute(instead.format("INSERT TO dev_life.animal", "name"))
        for arguments in (("migrate", "--dry-run"), ("migrate",)):
            result = ok(living, *arguments, code=1)
            said = " ".join((result.out + result.err).split())
            assert "life.Animal has 1 rule that replaces what is put in (quiet)" in said, said
        postgresql.execute("DROP RULE quiet ON dev_life.animal", also.format("INSERT TO dev_life.animal"))
        told("1 rule that runs when rows are put in (also)")
        ok(living, "migrate")
        assert postgresql.execute("SELECT name FROM dev_life.animal WHERE animal_id = 9") == [("Eve",)]


def test_a_rule_in_place_of_what_a_conversion_writes(project: Project, postgresql: Server) -> None:
    """It is DataJoint that converts, row by row."""
    with made(postgresql, project) as living:
        postgresql.execute("CREATE RULE quiet AS ON UPDATE TO dev_work.task DO INSTEAD NOTHING")
        living.replace(living.module("work"), "note = null : varchar(64)", "note = null : <blob>")
        ok(living, "revise", "-m", "blobs")
        result = ok(living, "migrate", code=1)
        is_sentence(result)
        assert "rule that replaces what rows get in note (quiet)" in " ".join(result.err.split()), result.err
        postgresql.execute("DROP RULE quiet ON dev_work.task")
        ok(living, "migrate")


ROOMS = '''

@schema
class Room(dj.Manual):
    definition = "room : varchar(8)"


@schema
class Rig(dj.Manual):
    definition = """
    rig : varchar(8)
    ---
    -> Room
    """
'''

SESSION = '''

@schema
class Session(dj.Manual):
    definition = """
    session : int32
    ---
    rig : varchar(8)
    room : varchar(8)
    """
'''


def test_a_trigger_that_refuses_rows_that_an_attribute_needs_as_a_foreign_key(project: Project, mysql: Server) -> None:
    """It is tried with what the rows will have; and where the run stops after they were put in, they stay."""
    with made(mysql, project) as living:
        life, work = living.module("life"), living.module("work")
        living.write(life, living.read(life) + ROOMS)
        living.write(work, living.read(work) + SESSION)
        ok(living, "revise", "-m", "rooms")
        ok(living, "migrate")
        mysql.execute("INSERT INTO dev_work.session (session, rig, room) VALUES (1, 'r1', 'R77'), (2, 'r2', 'R77')")
        before, text = mysql.execute("SHOW CREATE TABLE dev_work.session"), living.read(work)
        migrations = living.folder / "src/my_pipeline/migrations/work"
        for number, (room, option) in enumerate(
            (("    room : varchar(8)\n", "--fill Rig.room=R77"), ("", "--drop Session.room"))
        ):
            changed = text.replace("    rig : varchar(8)\n    room : varchar(8)\n", f"    -> life.Rig\n{room}")
            living.write(work, changed)
            ok(living, "revise", "-m", "rigs", "--insert", "Rig", "--insert", "Room", *option.split())
            for table, title in (("room", "Room"), ("rig", "Rig")):
                closed = (
                    f"BEFORE INSERT ON dev_life.{table} FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'shut'"
                )
                mysql.execute(f"CREATE TRIGGER dev_life.shut {closed}")
                for arguments in (("migrate", "--dry-run"), ("migrate",)):
                    said = ok(living, *arguments, code=1)
                    words = f"life.{title} has 1 trigger that refuses rows that the migration puts in (shut: shut)"
                    assert words in " ".join((said.out + said.err).split()), said.out + said.err
                mysql.execute("DROP TRIGGER dev_life.shut")
            assert states(living)["work"] == ("behind", "1.1.0") and not mysql.execute("SELECT * FROM dev_life.room")
            if number == 0:
                ok(living, "revise", "--undo")
        (path,) = migrations.glob("*_rigs.py")
        kept = path.read_text()
        broken = '    RunSQL("tell", mysql="UPDATE {work}.absent SET a = 1", postgresql=""),\n]\n'
        path.write_text(kept.replace("import ", "import RunSQL, ", 1).rstrip().removesuffix("]") + broken)
        assert "Or take back what it did" in ok(living, "migrate", code=6).err
        ok(living, "rollback", "--interrupted")
        assert mysql.execute("SHOW CREATE TABLE dev_work.session") == before
        assert mysql.execute("SELECT rig, room FROM dev_life.rig ORDER BY rig") == [("r1", "R77"), ("r2", "R77")]
        path.write_text(kept)
        ok(living, "migrate")
        assert ok(living, "status").code == 0


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_a_table_that_is_built_anew_gets_no_right_that_it_had_not(living: Project, server: Server) -> None:
    """Default privileges are for tables that somebody makes."""
    rights = "SELECT relacl::text FROM pg_class WHERE oid = 'dev_life.animal'::regclass"
    server.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA dev_life GRANT SELECT, DELETE ON TABLES TO PUBLIC")
    revise(living, "    name : varchar(32)", "    size = 0 : int32\n    name : varchar(32)")
    ok(living, "migrate")
    ((found,),) = server.execute(rights)
    assert found is None or "=r" not in found.replace("postgres=", ""), found


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
@pytest.mark.parametrize("line", ["    size = 0 : int32\n    name : varchar(32)", "    name : varchar(64)"])
def test_an_owner_that_loses_a_table_is_named(living: Project, server: Server, line: str) -> None:
    """What is in a schema belongs to its owner, whether a table is built anew or altered."""
    owner = "SELECT tableowner::text FROM pg_tables WHERE schemaname = 'dev_life' AND tablename = 'animal'"
    with accounts(server) as make_account:
        other = make_account("other")
        server.execute(f"ALTER TABLE dev_life.animal OWNER TO {other.user}")
        revise(living, "    name : varchar(32)", line)
        shown = " ".join(ok(living, "migrate", "--dry-run", code=3).out.split())
        said = "1 owner that loses it to the schema's owner, and may still read and write its rows"
        assert f"life.Animal: {said} ({other.name})" in shown and "life.Weight: 1 owner" not in shown, shown
        assert server.execute(owner) == [(other.name,)]
        ok(living, "migrate")
        assert server.execute(owner) == [(server.user,)]
        server.execute(f"GRANT USAGE ON SCHEMA dev_life TO {other.user}")
        other.execute("UPDATE dev_life.animal SET name = name")
        ok(living, "rollback", "life", "--to", "1.0.0")
        assert "owner that" not in ok(living, "migrate", "--dry-run", code=3).out


HISTOGRAMS = {
    "rename": ("    name : varchar(32)", "    title : varchar(32)", "--rename", "Animal.name=title"),
    "type": ("    name : varchar(32)", "    name : varchar(300)"),
    "drop": ("    name : varchar(32)  # what it is called\n", "", "--drop", "life.Animal.name"),
}


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
@pytest.mark.parametrize("change", HISTOGRAMS)
def test_histograms_that_go_are_named(living: Project, server: Server, change: str) -> None:
    """And nothing is said of those that stay."""
    left = "SELECT column_name FROM information_schema.column_statistics WHERE schema_name = 'dev_life' ORDER BY 1"
    server.execute("ANALYZE TABLE dev_life.animal UPDATE HISTOGRAM ON name, colour WITH 4 BUCKETS")
    assert server.execute(left) == [("colour",), ("name",)]
    revise(living, *HISTOGRAMS[change])
    shown = " ".join(ok(living, "migrate", "--dry-run", code=3).out.split())
    said = "1 histogram that goes: run ANALYZE TABLE ... UPDATE HISTOGRAM again (name)"
    assert f"life.Animal: {said}" in shown, shown
    ok(living, "migrate")
    assert server.execute(left) == [("colour",)]


#: What the primary key of a table has, and by what the table's rows are told apart.
_MARKS = (
    "SELECT i.indisclustered, i.indisreplident, x.reloptions::text, obj_description(x.oid, 'pg_class'), "
    "obj_description(k.oid, 'pg_constraint'), c.relreplident::text FROM pg_constraint k "
    "JOIN pg_index i ON i.indexrelid = k.conindid JOIN pg_class x ON x.oid = i.indexrelid "
    "JOIN pg_class c ON c.oid = k.conrelid WHERE k.contype = 'p' AND k.conrelid = 'dev_life.{}'::regclass"
)


def test_what_a_primary_key_has_is_what_the_one_in_its_place_has(project: Project, postgresql: Server) -> None:
    """With a key that grows where it is, with a child that is built anew for it, and back."""
    with made(postgresql, project) as living:
        for table in ("animal", "weight"):
            key = f"{table}_pkey"
            postgresql.execute(
                f"ALTER TABLE dev_life.{table} CLUSTER ON {key}",
                f"ALTER TABLE dev_life.{table} REPLICA IDENTITY USING INDEX {key}",
                f"ALTER INDEX dev_life.{key} SET (fillfactor = 70)",
                f"COMMENT ON INDEX dev_life.{key} IS 'an odd''s'",
                f"COMMENT ON CONSTRAINT {key} ON dev_life.{table} IS 'a \\ stroke'",
            )
        had = [(True, True, "{fillfactor=70}", "an odd's", "a \\ stroke", "i")]
        name = "    name : varchar(32)  # what it is called\n"
        revise(living, f"    ---\n{name}", f"{name}    ---\n")
        shown = " ".join(ok(living, "migrate", "--dry-run", code=3).out.split())
        assert "not kept" not in shown, shown
        ok(living, "migrate")
        assert postgresql.execute(_MARKS.format("animal")) == had
        assert postgresql.execute(_MARKS.format("weight")) == had
        ok(living, "rollback", "life", "--to", "1.0.0", "--along")
        assert postgresql.execute(_MARKS.format("animal")) == had
        assert postgresql.execute(_MARKS.format("weight")) == had


def test_a_replica_identity_that_goes_with_its_index_is_named(project: Project, postgresql: Server) -> None:
    with made(postgresql, project) as living:
        revise(living, "'white')\n", "'white')\n    unique index (name)\n")
        ok(living, "migrate")
        ((name,),) = postgresql.execute("SELECT relname FROM pg_class WHERE relname LIKE 'idx_animal_name%'")
        postgresql.execute(f"ALTER TABLE dev_life.animal REPLICA IDENTITY USING INDEX {name}")
        revise(living, "    unique index (name)\n", "")
        shown = " ".join(ok(living, "migrate", "--dry-run", code=3).out.split())
        assert f"life.Animal: 1 thing that is not kept (REPLICA IDENTITY USING INDEX {name})" in shown, shown


def test_event_triggers_that_run_with_a_migration_are_named(project: Project, postgresql: Server) -> None:
    """Those that are enabled, for the statements that there are: one that refuses takes the migration back."""
    refuses = "CREATE FUNCTION public.odd() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'closed'; END $$"
    names = ("ends", "dropped", "views", "idle")
    with made(postgresql, project) as living:
        revise(living, "    colour = ", "    size = null : int32\n    colour = ")  # which builds the table anew
        try:
            postgresql.execute(
                refuses,
                "CREATE EVENT TRIGGER views ON ddl_command_start WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION odd()",
                "CREATE EVENT TRIGGER idle ON ddl_command_start EXECUTE FUNCTION odd()",
                "ALTER EVENT TRIGGER idle DISABLE",
                "CREATE EVENT TRIGGER dropped ON sql_drop EXECUTE FUNCTION odd()",
                "CREATE EVENT TRIGGER ends ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION odd()",
            )
            shown = " ".join(ok(living, "migrate", "--dry-run", code=3).out.split())
            said = "event-triggers: The server runs dropped (sql_drop), ends (ddl_command_end) with these statements"
            assert said in shown, shown
            is_sentence(ok(living, "migrate", code=1))
            assert states(living)["life"] == ("behind", "1.0.0")
        finally:
            postgresql.execute(
                *(f"DROP EVENT TRIGGER IF EXISTS {name}" for name in names), "DROP FUNCTION public.odd()"
            )
        ok(living, "migrate")
