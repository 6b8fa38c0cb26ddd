"""What real tables have beside what DataJoint makes: each with each kind of change is right, or refused beforehand.

A pipeline of two schemas is laid once for each server. For each pair its tables are put back, get something that
DataJoint does not know, and then a migration. It is right where every row is as without it, what was put there is still
there and works, and `status` says what it said. Refused is right where nothing was changed, in words, and by the dry run too.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import living
from conftest import Project, Server
from resets import DATABASES, Reset, described, tables


@dataclass(frozen=True)
class Change:
    """What is replaced in the modules, each (module, old, new), and the options of `revise`."""

    edits: tuple[tuple[str, str, str], ...]
    options: str = ""


@dataclass(frozen=True)
class Oddity:
    """Statements that make it, a query that counts it, and statements that work as long as it does.

    Where the count is another afterwards, the dry run has to say ``told``.
    """

    make: tuple[str, ...]
    count: str = ""
    use: tuple[str, ...] = ()
    told: str = ""


NAME = "    name : varchar(32)  # what it is called\n"
COLOUR = "    colour = \"grey\" : enum('grey', 'white')\n"


def of_life(old: str, new: str, options: str = "") -> Change:
    return Change((("life", old, new),), options)


CHANGES = {
    "add last": of_life(COLOUR, COLOUR + "    size = null : int32\n"),
    "add between": of_life(COLOUR, "    size = null : int32\n" + COLOUR),
    "add filled": of_life(COLOUR, COLOUR + "    size : int32\n", "--fill Animal.size=3"),
    "drop": of_life(NAME, "", "--drop Animal.name"),
    "rename": of_life("    name :", "    title :", "--rename Animal.name=title"),
    "longer": of_life("varchar(32)", "varchar(300)"),
    "shorter": of_life("varchar(32)", "varchar(16)"),
    "number": of_life("grams : float64", "grams : decimal(9,3)"),
    "text": of_life("grams : float64", "grams : varchar(30)", "--allow-data-loss"),
    "wider key": of_life("animal_id : int32", "animal_id : int64"),
    "key renamed": of_life("animal_id : int32", "animal : int32", "--rename Animal.animal_id=animal"),
    "key grows": of_life("    ---\n" + NAME, NAME + "    ---\n"),
    "enum": of_life("enum('grey', 'white')", "enum('grey', 'white', 'black')"),
    "may be null": of_life("    name :", "    name = null :"),
    "default": of_life('colour = "grey"', 'colour = "white"'),
    "comment": of_life("# what it is called", "# its name"),
    "order": of_life(NAME + COLOUR, COLOUR + NAME),
    "index": of_life(COLOUR, COLOUR + "    index (name)\n"),
    "unique index": of_life(COLOUR, COLOUR + "    unique index (name, colour)\n"),
    "table renamed": Change(
        (("life", "class Animal", "class Beast"), ("life", "-> Animal", "-> Beast"), ("work", "life.Animal", "life.Beast")),
        "--rename-table Animal=Beast",
    ),
    "tier": of_life("class Animal(dj.Manual)", "class Animal(dj.Lookup)", "--rename-table Animal=Animal"),
    "table dropped": of_life(living.LIFE[living.LIFE.index("\n\n@schema\nclass Weight") :], "\n", "--drop Weight"),
    "no foreign key": Change((("work", "    -> life.Animal\n", "    animal_id : int32\n"),)),
    "table added": of_life(
        "\n\n@schema\nclass Weight",
        '\n\n@schema\nclass Odd2(dj.Manual):\n    definition = """\n    -> Animal\n    """\n\n\n@schema\nclass Weight',
    ),
}  # fmt: skip

ANIMAL, WEIGHT = "dev_life.animal", "dev_life.weight"


def _mysql() -> dict[str, Oddity]:
    def named(view: str, name: str = "odd", column: str = "") -> str:
        column = column or f"{view.rstrip('s')}_name"
        return f"SELECT COUNT(*) FROM information_schema.{view} WHERE {column} = '{name}'"

    view, trigger, check = (
        named("views", column="table_name"),
        named("triggers"),
        named("table_constraints", column="constraint_name"),
    )
    index = "SELECT COUNT(DISTINCT index_name) FROM information_schema.statistics WHERE index_name = 'odd'"
    table = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'dev_life' AND "

    def altered(text: str, count: str = "") -> Oddity:
        return Oddity((f"ALTER TABLE {ANIMAL} {text}",), count)

    def with_format(name: str) -> Oddity:
        return altered(f"ROW_FORMAT = {name}", f"{table} create_options LIKE '%row_format={name}%'")

    return {
        "nothing": Oddity(()),
        "trigger": Oddity((f"CREATE TRIGGER dev_life.odd BEFORE UPDATE ON {ANIMAL} FOR EACH ROW SET NEW.name = TRIM(NEW.name)",), trigger),
        "trigger of a child": Oddity(
            (f"CREATE TRIGGER dev_life.odd AFTER UPDATE ON {WEIGHT} FOR EACH ROW UPDATE {ANIMAL} SET name = CONCAT(name, '') WHERE animal_id = NEW.animal_id",),
            trigger,
        ),
        "trigger that refuses": Oddity(
            (f"CREATE TRIGGER dev_life.odd BEFORE DELETE ON {ANIMAL} FOR EACH ROW SIGNAL SQLSTATE '45000'",), trigger
        ),
        "view": Oddity((f"CREATE VIEW dev_life.odd AS SELECT name FROM {ANIMAL}",), view, ("SELECT * FROM dev_life.odd",)),
        "view of all": Oddity((f"CREATE VIEW dev_life.odd AS SELECT * FROM {ANIMAL}",), view, ("SELECT * FROM dev_life.odd",)),
        "view elsewhere": Oddity(
            ("CREATE DATABASE notes", f"CREATE VIEW notes.odd AS SELECT a.name FROM {ANIMAL} a JOIN {WEIGHT} USING (animal_id)"),
            view,
            ("SELECT * FROM notes.odd",),
        ),
        "event": Oddity(
            (f"CREATE EVENT dev_life.odd ON SCHEDULE EVERY 1 YEAR DISABLE DO UPDATE {ANIMAL} SET name = TRIM(name)",),
            named("events"),
            ("EVENT",),
        ),
        "check": altered("ADD CONSTRAINT odd CHECK (name <> '' AND LENGTH(name) < 100)", check),
        "check of the key": altered("ADD CONSTRAINT odd CHECK (animal_id > 0)", check),
        "generated column": altered("ADD COLUMN odd varchar(400) AS (UPPER(name)) VIRTUAL"),
        "stored column": altered("ADD COLUMN odd varchar(400) AS (UPPER(name)) STORED"),
        "invisible column": altered("ADD COLUMN odd int NULL INVISIBLE"),
        "functional index": altered("ADD INDEX odd ((UPPER(name)))", index),
        "prefix index": altered("ADD INDEX odd (name(4))", index),
        "descending index": altered("ADD INDEX odd (name DESC)", index),
        "fulltext index": altered("ADD FULLTEXT INDEX odd (name)", index),
        "plain index": altered("ADD INDEX odd (name)", index),
        "unique index": altered("ADD UNIQUE INDEX odd (name)", index),
        "index of the key": Oddity((f"ALTER TABLE {WEIGHT} ADD INDEX odd (day, animal_id)",), index),
        "compact": with_format("COMPACT"),
        "redundant": with_format("REDUNDANT"),
        "compressed": with_format("COMPRESSED"),
        "latin1 column": altered("MODIFY name varchar(32) CHARACTER SET latin1 NOT NULL COMMENT ':varchar(32):what it is called'"),
        "latin1 table": altered("CONVERT TO CHARACTER SET latin1"),
        "binary collation": altered("CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", f"{table} table_collation = 'utf8mb4_bin'"),
        "latin1 database": Oddity(("ALTER DATABASE dev_life CHARACTER SET latin1",)),
        "options": altered("STATS_PERSISTENT = 1, MAX_ROWS = 1000", f"{table} create_options LIKE '%stats_persistent=1%'"),
        "auto increment": Oddity(
            (
                "SET foreign_key_checks = 0",
                f"ALTER TABLE {ANIMAL} MODIFY animal_id int NOT NULL AUTO_INCREMENT COMMENT ':int32:its number'",
            )
        ),
        "on update": altered("ADD COLUMN odd timestamp NULL ON UPDATE CURRENT_TIMESTAMP"),
        "default by hand": altered("ALTER COLUMN name SET DEFAULT 'x'"),
        "foreign key from elsewhere": Oddity(
            ("CREATE DATABASE notes", f"CREATE TABLE notes.note (a int, CONSTRAINT odd FOREIGN KEY (a) REFERENCES {ANIMAL} (animal_id))"),
            named("referential_constraints", column="constraint_name"),
        ),
        # Which goes where the declared one is added again: that says the same, and more.
        "second foreign key": Oddity(
            (f"ALTER TABLE {WEIGHT} ADD CONSTRAINT odd FOREIGN KEY (animal_id) REFERENCES {ANIMAL} (animal_id)",)
        ),
        "column rights": Oddity(
            ("CREATE USER IF NOT EXISTS odd", f"GRANT SELECT (animal_id, name) ON {ANIMAL} TO odd"),
            "SELECT COUNT(*) FROM information_schema.column_privileges WHERE grantee LIKE '''odd''%'",
        ),
        "rights": Oddity(
            ("CREATE USER IF NOT EXISTS odd", f"GRANT SELECT ON {ANIMAL} TO odd"),
            "SELECT COUNT(*) FROM information_schema.table_privileges WHERE grantee LIKE '''odd''%'",
        ),
        "own table": Oddity(("CREATE TABLE dev_life.odd (i int PRIMARY KEY)",), named("tables")),
        "rows of a reader": Oddity((f"INSERT INTO {ANIMAL} (animal_id, name) VALUES (9, 'Ümläut 猫')",)),
    }  # fmt: skip


def _postgresql() -> dict[str, Oddity]:
    #: The table, whatever a change calls it.
    table = "(SELECT oid FROM pg_class WHERE relname IN ('animal', 'beast', '#animal') AND relkind = 'r')"
    relation = "SELECT COUNT(*) FROM pg_class WHERE relname = 'odd'"
    options = f"SELECT COUNT(*) FROM pg_class WHERE oid = {table} AND "
    constraint = "SELECT COUNT(*) FROM pg_constraint WHERE conname = 'odd'"
    column = f"SELECT COUNT(*) FROM pg_attribute WHERE attrelid = {table} AND attname ~ 'name|title' AND "

    def altered(text: str, count: str = "") -> Oddity:
        return Oddity((f"ALTER TABLE {ANIMAL} {text}",), count)

    def trigger(when: str, table: str, body: str) -> Oddity:
        function = (
            f"CREATE FUNCTION dev_life.odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$"
        )
        return Oddity(
            (function, f"CREATE TRIGGER odd {when} ON {table} FOR EACH ROW EXECUTE FUNCTION dev_life.odd()"),
            "SELECT COUNT(*) FROM pg_trigger WHERE tgname = 'odd'",
        )

    def index(text: str) -> Oddity:
        return Oddity((f"CREATE {text.replace('INDEX', f'INDEX odd ON {ANIMAL}', 1)}",), relation)

    read = ("SELECT * FROM dev_life.odd",)
    return {
        "nothing": Oddity(()),
        "trigger": trigger("BEFORE UPDATE", ANIMAL, "NEW.name = TRIM(NEW.name);"),
        "trigger of a column": trigger("BEFORE UPDATE OF name", ANIMAL, ""),
        "trigger of a child": trigger("AFTER UPDATE", WEIGHT, f"UPDATE {ANIMAL} SET name = name || '' WHERE animal_id = NEW.animal_id;"),
        "view": Oddity((f"CREATE VIEW dev_life.odd AS SELECT name FROM {ANIMAL}",), relation, read),
        "view of all": Oddity((f"CREATE VIEW dev_life.odd AS SELECT * FROM {ANIMAL}",), relation, read),
        "view elsewhere": Oddity(
            ("CREATE SCHEMA notes", f"CREATE VIEW notes.odd AS SELECT a.name FROM {ANIMAL} a JOIN {WEIGHT} USING (animal_id)"),
            relation,
            ("SELECT * FROM notes.odd",),
        ),
        "materialized view": Oddity((f"CREATE MATERIALIZED VIEW dev_life.odd AS SELECT name FROM {ANIMAL}",), relation, ("REFRESH MATERIALIZED VIEW dev_life.odd",)),
        "rule": Oddity((f"CREATE RULE odd AS ON DELETE TO {ANIMAL} WHERE OLD.name = 'x' DO INSTEAD NOTHING",), "SELECT COUNT(*) FROM pg_rewrite WHERE rulename = 'odd'"),
        "policy": Oddity(
            (f"CREATE POLICY odd ON {ANIMAL} USING (name <> 'x')", f"ALTER TABLE {ANIMAL} ENABLE ROW LEVEL SECURITY"),
            f"SELECT COUNT(*) FROM pg_policy JOIN pg_class ON polrelid = pg_class.oid WHERE relrowsecurity AND polrelid = {table}",
        ),
        "publication": Oddity((f"CREATE PUBLICATION odd FOR TABLE {ANIMAL} (animal_id, name)",), "SELECT COUNT(*) FROM pg_publication_rel JOIN pg_publication p ON p.oid = prpubid WHERE pubname = 'odd'"),
        "statistics": Oddity((f"CREATE STATISTICS dev_life.odd ON name, colour FROM {ANIMAL}",), "SELECT COUNT(*) FROM pg_statistic_ext WHERE stxname = 'odd'"),
        "check": altered("ADD CONSTRAINT odd CHECK (name <> '' AND length(name) < 100)", constraint),
        "check of the key": altered("ADD CONSTRAINT odd CHECK (animal_id > 0)", constraint),
        "check not valid": altered("ADD CONSTRAINT odd CHECK (name <> 'x') NOT VALID", constraint),
        "generated column": altered("ADD COLUMN odd text GENERATED ALWAYS AS (upper(name)) STORED"),
        "expression index": index("INDEX (upper(name))"),
        "partial index": index("INDEX (name) WHERE name <> 'x'"),
        "covering index": index("INDEX (animal_id) INCLUDE (name)"),
        "plain index": index("INDEX (name)"),
        "unique index": index("UNIQUE INDEX (name)"),
        "exclusion": altered("ADD CONSTRAINT odd EXCLUDE (name WITH =)", constraint),
        "storage options": altered("SET (fillfactor = 70)", f"{options} reloptions::text LIKE '%fillfactor=70%'"),
        "replica identity": altered("REPLICA IDENTITY FULL", f"{options} relreplident = 'f'"),
        "unlogged": Oddity(("ALTER TABLE dev_work.__score SET UNLOGGED",), "SELECT COUNT(*) FROM pg_class WHERE relpersistence = 'u' AND relkind = 'r'"),
        "collation": altered('ALTER COLUMN name TYPE varchar(32) COLLATE "C"'),
        "statistics target": altered("ALTER COLUMN name SET STATISTICS 500", f"{column} attstattarget = 500"),
        "storage of a column": Oddity(
            (f"ALTER TABLE {ANIMAL} ALTER COLUMN name SET STORAGE EXTERNAL",),
            f"{column} attstorage = 'e'",
            told="STORAGE or COMPRESSION becomes the usual (name)",
        ),
        "child that inherits": Oddity((f"CREATE TABLE dev_life.odd () INHERITS ({ANIMAL})",), relation),
        "foreign key from elsewhere": Oddity(
            ("CREATE SCHEMA notes", f"CREATE TABLE notes.note (a int, CONSTRAINT odd FOREIGN KEY (a) REFERENCES {ANIMAL} (animal_id))"),
            constraint,
        ),
        "second foreign key": Oddity(
            (f"ALTER TABLE {WEIGHT} ADD CONSTRAINT odd FOREIGN KEY (animal_id) REFERENCES {ANIMAL} (animal_id)",)
        ),
        "rights": Oddity(
            (ROLE, f"GRANT SELECT ON {ANIMAL} TO odd"),
            "SELECT COUNT(*) FROM pg_class WHERE relacl::text LIKE '%odd=r/%'",
        ),
        "column rights": Oddity(
            (ROLE, f"GRANT SELECT (animal_id, name) ON {ANIMAL} TO odd"),
            "SELECT COUNT(*) FROM pg_attribute WHERE attacl::text LIKE '%odd=r/%' AND NOT attisdropped",
        ),
        "other owner": Oddity((ROLE, "ALTER TABLE dev_life.weight OWNER TO odd")),  # who gives it back to the schema's
        "default by hand": altered("ALTER COLUMN name SET DEFAULT 'x'"),
        "comment by hand": Oddity(("COMMENT ON INDEX dev_life.animal_pkey IS 'odd'",), "SELECT COUNT(*) FROM pg_description WHERE description = 'odd'"),
        "clustered": altered("CLUSTER ON animal_pkey", "SELECT COUNT(*) FROM pg_index WHERE indisclustered"),
        "own table": Oddity(("CREATE TABLE dev_life.odd (i int PRIMARY KEY)",), relation),
        "function": Oddity(
            (f"CREATE FUNCTION dev_life.odd() RETURNS SETOF varchar LANGUAGE sql BEGIN ATOMIC SELECT name FROM {ANIMAL}; END",),
            "SELECT COUNT(*) FROM pg_proc WHERE proname = 'odd'",
            ("SELECT dev_life.odd()",),
        ),
        "function of rows": Oddity(
            (f"CREATE FUNCTION dev_life.odd(a {ANIMAL}) RETURNS varchar LANGUAGE sql AS $$ SELECT a.name $$",),
            "SELECT COUNT(*) FROM pg_proc WHERE proname = 'odd'",
        ),
        "rows of a reader": Oddity((f"INSERT INTO {ANIMAL} (animal_id, name) VALUES (9, 'Ümläut 猫')",)),
    }  # fmt: skip


#: An account, which outlives the database.
ROLE = "DO $$ BEGIN CREATE ROLE odd; EXCEPTION WHEN duplicate_object THEN NULL; END $$"

ODDITIES = {"mysql": _mysql(), "postgresql": _postgresql()}


@dataclass
class Pair:
    """An oddity and a change, and what came of them."""

    backend: str
    oddity: str
    change: str
    refused: str = ""
    problems: list[str] = field(default_factory=list)


@dataclass
class Ground:
    """A server with the pipeline, and a project for each change, in which its migration is written."""

    server: Server
    places: Reset
    folder: Path
    project: Project
    _changed: dict[str, Project] = field(default_factory=dict)
    _rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def project_of(self, name: str) -> Project:
        """The project with a change, and its migration."""
        if name not in self._changed:
            change = CHANGES[name]
            own = Project(shutil.copytree(self.project.folder, self.folder / name.replace(" ", "_")))
            own.environment |= self.project.environment
            for module, old, new in change.edits:
                own.replace(own.module(module), old, new)
            living.ok(own, "revise", "-m", "odd", *change.options.replace("--allow-data-loss", "").split())
            self._changed[name] = own
        return self._changed[name]

    def play(self, name: str, oddity: str) -> Pair:
        """Make an oddity and then a change."""
        own, odd = self.project_of(name), ODDITIES[self.server.backend][oddity]
        if oddity != "nothing" and name not in self._rows:
            self.play(name, "nothing")
        allowed = ["--allow-data-loss"] if "--allow-data-loss" in CHANGES[name].options else []
        self._reset()
        self._execute(odd.make)
        pair = Pair(self.server.backend, oddity, name)
        if self.project.run("status").code == 4:
            self.project.run("adopt", "--again", "life")  # which records it as it is, where it can
        before, count, said = self._state(), self._count(odd), own.run("status").code
        shown, done = own.run("migrate", "--dry-run", *allowed), own.run("migrate", *allowed)
        if done.code and done.err.strip():
            pair.refused = done.err.strip()
            if not living.in_words(done.err):
                pair.problems.append(f"not in words: {done.err}")
            if shown.code in (0, 3):
                pair.problems.append(f"refused, and not by the dry run: {done.err}")
            pair.problems += [
                f"changed {key}: {before.get(key)}" for key, now in self._state().items() if before.get(key) != now
            ]
            if own.run("status").code == 6:
                pair.problems.append("interrupted")
            return pair
        if shown.code != 3:
            pair.problems.append(f"the dry run refuses: {shown.code} {shown.err}")
        if self._count(odd) != count and not (odd.told and odd.told in " ".join(shown.out.split())):
            pair.problems.append(f"{count} before, {self._count(odd)} afterwards")
        now = own.run("status")
        if now.code != (0 if said == 3 else said):
            pair.problems.append(f"status {said} before, {now.code} afterwards: {now.out}")
        rows = self._values(self._rows.get(name))
        if oddity == "nothing":
            self._rows[name] = rows
        elif oddity != "rows of a reader":
            pair.problems += [
                f"{key}: {rows[key]} instead of {self._rows[name][key]}"
                for key in rows
                if rows[key] != self._rows[name][key]
            ]
        try:
            self._execute((*self._touches(), *odd.use))
        except Exception as error:
            pair.problems.append(f"does not work any more: {error}")
        return pair

    def _reset(self) -> None:
        if self.server.backend == "mysql":
            self.server.execute("DROP DATABASE IF EXISTS notes", "DROP USER IF EXISTS odd")
        self.places.reset()

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        """Ask the database in which the pipeline is."""
        with closing(self.server.connect(dbname=self.places.catalogue)) as connection, connection.cursor() as cursor:
            yield cursor

    def _execute(self, statements: tuple[str, ...]) -> None:
        with self._cursor() as cursor:
            for statement in statements:
                if statement == "EVENT":
                    cursor.execute("SELECT event_definition FROM information_schema.events WHERE event_name = 'odd'")
                    statement = cursor.fetchone()[0]
                cursor.execute(statement)

    def _count(self, odd: Oddity) -> Any:
        if not odd.count:
            return None
        with self._cursor() as cursor:
            cursor.execute(odd.count)
            return cursor.fetchone()[0]

    def _state(self) -> dict[str, Any]:
        """Every table as the server describes it, and its rows; the journal apart, which says what was tried."""
        with self._cursor() as cursor:
            return {
                f"{database}.{table}": described(self.server, cursor, database, table)
                for database in DATABASES
                for table in self._tables(cursor, database)
            }

    def _values(self, like: dict[str, Any] | None) -> dict[str, Any]:
        """The rows by table, in the columns that they have without an oddity."""
        found = {}
        quote = "`" if self.server.backend == "mysql" else '"'
        with self._cursor() as cursor:
            for database in DATABASES:
                for table in self._tables(cursor, database):
                    key = f"{database}.{table}"
                    if like is not None and key not in like:
                        continue
                    full = f"{quote}{database}{quote}.{quote}{table}{quote}"
                    cursor.execute(f"SELECT * FROM {full} LIMIT 0")
                    columns = like[key][0] if like is not None else sorted(c[0] for c in cursor.description)
                    cursor.execute(f"SELECT {', '.join(f'{quote}{c}{quote}' for c in columns)} FROM {full}")
                    found[key] = columns, sorted(map(repr, cursor.fetchall()))
        return found

    def _tables(self, cursor: Any, database: str) -> list[str]:
        return [name for name in tables(cursor, database) if not name.startswith("~") and name != "odd"]

    def _touches(self) -> tuple[str, ...]:
        """Statements that write every row as it is, so that triggers fire."""
        quote, found = "`" if self.server.backend == "mysql" else '"', []
        with self._cursor() as cursor:
            for database in DATABASES:
                for table in self._tables(cursor, database):
                    full = f"{quote}{database}{quote}.{quote}{table}{quote}"
                    cursor.execute(f"SELECT * FROM {full} LIMIT 0")
                    columns = [f"{quote}{c[0]}{quote}" for c in cursor.description if c[0] != "odd"]
                    found.append(f"UPDATE {full} SET {', '.join(f'{c} = {c}' for c in columns)}")
        return tuple(found)


@contextmanager
def ground(server: Server, render: Callable[[Path], Path], folder: Path) -> Iterator[Ground]:
    """The pipeline with its rows on a server."""
    project, places = Project(render(folder / "begun")), Reset(server, "odd")
    living.lay(project)
    project.environment |= {**server.variables, **places.variables, "MY_PIPELINE_ENV": "dev", "DJ_LOG_LEVEL": "ERROR"}
    places.empty()
    try:
        living.ok(project, "init")
        done = project.python("-c", living.FILL)
        assert done.code == 0, done.err
        places.keep()
        yield Ground(server, places, folder, project)
    finally:
        places.gone()
