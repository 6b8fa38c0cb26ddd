"""Clients of the code of before that write all through a migration, and a ledger of what they were told is saved.

Each client owns a range of animals, so what it was told is in order for every row. After the migration, what the tables
must hold follows from the rows at first, the ledger, and what the migration makes of a row; a write that was refused is
in neither. As a program, this file is a client that writes as people do, with DataJoint.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from conftest import Project, Server

LIFE = '''"""What lives here."""

import datajoint as dj

from . import open_schema

schema = open_schema("life")


@schema
class Animal(dj.Manual):
    definition = """
    animal : int32
    ---
    name : varchar(32)
    colour = "grey" : enum('grey', 'white')
    """


@schema
class Weight(dj.Manual):
    definition = """
    # A weight
    -> Animal
    day : int32
    ---
    grams : float64
    """
'''

WORK = '''"""What is done here."""

import datajoint as dj

from . import life, open_schema

schema = open_schema("work")


@schema
class Task(dj.Manual):
    definition = """
    -> life.Animal
    task : int32
    ---
    note = null : varchar(64)
    room = null : int32
    data = null : <blob>
    """


@schema
class Score(dj.Computed):
    definition = """
    -> Task
    ---
    score : int32
    """

    def make(self, key):
        self.insert1(dict(key, score=key["task"]))
'''

VERSION = '__version__ = "0.1.0"\n\nSCHEMA_VERSIONS = {"life": "1.0.0", "work": "1.0.0"}\n'

#: What the tables are called, their keys, and what else they have.
TABLES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "Animal": ("life.animal", ("animal",), ("name", "colour")),
    "Weight": ("life.weight", ("animal", "day"), ("grams",)),
    "Task": ("work.task", ("animal", "task"), ("note", "room", "data")),
}

#: Animals of one client, and what each of them has at first.
OWNED, EACH = 1000, 3

Key = tuple[int, ...]
Row = dict[str, Any]
Rows = dict[str, dict[Key, Row]]


# --- What is migrated ------------------------------------------------------------------------------------------------


def _same(rows: Rows) -> Rows:
    return rows


def _each(table: str, change: Callable[[Row], Row]) -> Callable[[Rows], Rows]:
    """What a migration makes of rows, where it makes the same of each row of a table."""
    return lambda rows: {**rows, table: {key: change(row) for key, row in rows[table].items()}}


@dataclass(frozen=True)
class Case:
    """An operation that changes values or keys.

    Parameters
    ----------
    edits : tuple of (str, str, str)
        Module, what was there, what comes in its place.
    answers : tuple of str
        What `revise` is told.
    line : tuple of (str, str, str)
        In the migration of a schema: what stands there, and what a person makes of it.
    expected : callable
        Given the rows by the tables and attributes of before, those of after.
    more : mapping
        The attributes that tables have afterwards in addition.
    """

    edits: tuple[tuple[str, str, str], ...]
    answers: tuple[str, ...] = ()
    line: tuple[str, str, str] = ("", "", "")
    expected: Callable[[Rows], Rows] = _same
    more: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


ROOM = '@schema\nclass Room(dj.Manual):\n    definition = """\n    room : int32\n    """\n\n\n@schema\nclass Task('
THOUSANDTH = 'Sql(mysql="grams / 1000", postgresql="grams / 1000")'
FURTHER = 'Sql(mysql="room + 1000000", postgresql="room + 1000000")'


def _named_after(rows: Rows) -> Rows:
    tasks = {key: {**row, "name": rows["Animal"][key[:1]]["name"]} for key, row in rows["Task"].items()}
    return {**rows, "Task": tasks}


CASES: dict[str, Case] = {
    "codec": Case((("work", "    data = null : <blob>\n", "    data = null : json\n"),)),
    "using": Case(
        (("work", "    room = null : int32\n", "    room = null : int64\n"),),
        line=("work", 'null : int64"', f'null : int64", using={FURTHER}'),
        expected=_each("Task", lambda row: {**row, "room": row["room"] and row["room"] + 1_000_000}),
    ),
    "rebuild": Case(
        (("life", "    # A weight\n", "    # A weight in kilograms\n"),),
        line=("life", "\n]", f'\n    RebuildTable("Weight", {{"grams": {THOUSANDTH}}}),\n]'),
        expected=_each("Weight", lambda row: {**row, "grams": row["grams"] / 1000}),
    ),
    "fill": Case(
        (("work", "    note = null : varchar(64)\n", "    note : varchar(64)\n"),),
        ("--fill", "Task.note=well"),
        expected=_each("Task", lambda row: {**row, "note": "well" if row["note"] is None else row["note"]}),
    ),
    "type": Case(
        (("work", "    room = null : int32\n", "    room = null : varchar(12)\n"),),
        expected=_each("Task", lambda row: {**row, "room": None if row["room"] is None else str(row["room"])}),
    ),
    "key": Case(
        (("life", "    animal : int32\n    ---\n", "    animal : int32\n    herd : int16\n    ---\n"),),
        ("--fill", "life.Animal.herd=7"),
        expected=lambda rows: {t: {k: {**row, "herd": 7} for k, row in of.items()} for t, of in rows.items()},
        more={table: ("herd",) for table in TABLES},
    ),
    "split": Case(
        (("work", "@schema\nclass Task(", ROOM), ("work", "    room = null : int32\n", "    -> [nullable] Room\n")),
    ),
    "from": Case(
        (("work", "    note = null", "    name : varchar(32)\n    note = null"),),
        ("--fill", "work.Task.name=x"),
        line=("work", '"x"', 'From("life.Animal", "name")'),
        expected=_named_after,
        more={"Task": ("name",)},
    ),
    "together": Case(
        (
            ("work", "    task : int32\n    ---", "    task : int64\n    ---"),
            ("work", "    room = null : int32\n", "    room = null : int64\n"),
            ("work", "    data = null : <blob>\n", "    data = null : json\n"),
        ),
        line=("work", 'null : int64"', f'null : int64", using={FURTHER}'),
        expected=_each("Task", lambda row: {**row, "room": row["room"] and row["room"] + 1_000_000}),
    ),
    "rename": Case(
        (
            ("work", "    room = null", "    place = null"),
            ("work", "class Task(", "class Job("),
            ("work", "-> Task", "-> Job"),
        ),
        ("--rename", "work.Task.room=place", "--rename-table", "work.Task=work.Job"),
    ),
}


# --- Who writes ------------------------------------------------------------------------------------------------------


class Doer(Protocol):
    """How a client says to a server what is to be written."""

    def insert(self, table: str, row: Row) -> None: ...

    def update(self, table: str, key: Row, values: Row) -> None: ...

    def rekey(self, table: str, key: Row, name: str, value: int) -> None: ...

    def delete(self, table: str, key: Row) -> None: ...

    def close(self) -> None: ...


class Statements:
    """Statements as DataJoint sends them, on a connection of its own."""

    def __init__(self, server: Server, prefix: str = "dev_") -> None:
        from datajoint.blob import pack

        self._prefix = prefix

        self._pack, self._mark = pack, "`" if server.backend == "mysql" else '"'
        self._connection = server.connect()

    def close(self) -> None:
        self._connection.close()

    def insert(self, table: str, row: Row) -> None:
        names, values = ", ".join(map(self._quote, row)), ", ".join(["%s"] * len(row))
        self._send(f"INSERT INTO {self._full(table)}({names}) VALUES ({values})", self._stored(row))

    def update(self, table: str, key: Row, values: Row) -> None:
        assigned = ", ".join(f"{self._quote(name)}=%s" for name in values)
        self._send(f"UPDATE {self._full(table)} SET {assigned} WHERE {self._where(key)}", self._stored(values))

    def rekey(self, table: str, key: Row, name: str, value: int) -> None:
        self.update(table, key, {name: value})

    def delete(self, table: str, key: Row) -> None:
        tables = (
            ("Weight", "Score", "Task", "Animal")
            if table == "Animal"
            else ("Score", "Task")
            if table == "Task"
            else (table,)
        )
        self._send("BEGIN")
        try:
            for name in tables:
                self._send(f"DELETE FROM {self._full(name)} WHERE {self._where(key)}")
            self._send("COMMIT")
        except Exception:
            self._send("ROLLBACK")
            raise

    def _send(self, statement: str, values: list[Any] | None = None) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values)

    def _quote(self, name: str) -> str:
        return f"{self._mark}{name}{self._mark}"

    def _full(self, table: str) -> str:
        schema, name = ["work", "__score"] if table == "Score" else TABLES[table][0].split(".")
        return f"{self._quote(self._prefix + schema)}.{self._quote(name)}"

    def _where(self, key: Row) -> str:
        return " AND ".join(f"{self._quote(name)}={value}" for name, value in key.items())

    def _stored(self, row: Row) -> list[Any]:
        packed = {name: self._pack(value) for name, value in row.items() if name == "data" and value is not None}
        return list({**row, **packed}.values())


class Client:
    """Writes what comes to its mind, row by row, and keeps in mind what it was told is saved."""

    def __init__(
        self, number: int, doer: Doer, *, animals: int = 6, keys: bool = True, only: tuple[str, ...] = ()
    ) -> None:
        self.number, self.doer, self._random, self._keys = number, doer, random.Random(number), keys
        self._only = only
        self.rows: Rows = {table: {} for table in TABLES}
        self.saved, self.refused = Counter[str](), Counter[str]()
        self.why: dict[str, str] = {}
        #: The last writes of each row, and when they began: for whoever looks into a wrong one.
        self.last: dict[tuple[str, Key], list[tuple[float, str]]] = {}
        for animal in range(number * OWNED, number * OWNED + animals):
            self.rows["Animal"][animal,] = {"name": f"a{animal}", "colour": "grey"}
            for n in range(EACH):
                self.rows["Weight"][animal, n] = {"grams": 1000.0 * n}
                self.rows["Task"][animal, n] = {
                    "note": "n" if n else None,
                    "room": n or None,
                    "data": [n] if n else None,
                }

    def write(self) -> None:
        """Write once."""
        kinds = ["update"] * 5 + ["none"] * 3 + ["insert"] * 4 + ["delete"] * 2 + ["again"] * 3 + ["key"] * self._keys
        kind = self._random.choice(self._only or kinds)
        table = self._random.choice(["Task", "Task", "Task", "Weight", "Weight", "Animal"])
        keys = list(self.rows[table])
        if kind == "insert" or len(keys) < 3:
            self._insert(table)
            return
        key = self._random.choice(keys)
        if kind == "delete":
            self._delete(table, key)
        elif kind == "again" and table != "Animal":  # another row with the key of one that goes
            self._delete(table, key)
            self._insert(table, key)
        elif kind == "key":
            self._rekey(table, key)
        elif kind == "none":
            self._update("Task", self._random.choice(list(self.rows["Task"]) or [key]), none=True)
        else:
            self._update(table, key)

    def _values(self, table: str, *, none: bool = False) -> Row:
        n = self._random.randrange(1, 1000)
        if table == "Animal":
            return {"name": f"n{n}", "colour": self._random.choice(["grey", "white"])}
        if table == "Weight":
            return {"grams": 1000.0 * n}
        return {"note": None if none else f"n{n}", "room": None if none else n, "data": None if none else [n]}

    def _try(self, kind: str, places: list[tuple[str, Key]], write: Callable[[], None]) -> bool:
        began = time.time()
        try:
            write()
        except Exception as error:
            self.refused[kind] += 1
            self.why[kind] = f"{type(error).__name__}: {error}"[:200]
            said, done = self.why[kind], False
        else:
            self.saved[kind] += 1
            said, done = "saved", True
        for place in places:
            line = f"{began:.4f} to {time.time():.4f} {kind}: {said}"
            self.last[place] = [*self.last.get(place, [])[-5:], (began, line)]
        return done

    def _insert(self, table: str, again: Key | None = None) -> None:
        animals = list(self.rows["Animal"])
        if again is not None:
            key = again
        elif table == "Animal" or not animals:
            number = self._random.randrange(self.number * OWNED + 100, (self.number + 1) * OWNED)
            table, key = "Animal", (number,)
        else:
            key = (*self._random.choice(animals), self._random.randrange(100, 1_000_000))
        if key in self.rows[table]:
            return
        values = self._values(table, none=table == "Task" and self._random.random() < 0.2)
        row = {**self._named(table, key), **values}
        if self._try(f"insert {values}", [(table, key)], lambda: self.doer.insert(table, row)):
            self.rows[table][key] = values

    def _update(self, table: str, key: Key, *, none: bool = False) -> None:
        if key not in self.rows[table]:
            return
        values = self._values(table, none=none)
        name = self._random.choice(list(values))
        values = {name: values[name]}
        if self._try(
            f"update {values}", [(table, key)], lambda: self.doer.update(table, self._named(table, key), values)
        ):
            self.rows[table][key] = {**self.rows[table][key], **values}

    def _rekey(self, table: str, key: Key) -> None:
        name, new = TABLES[table][1][-1], self._random.randrange(100, 1_000_000)
        if table == "Animal":
            new = self._random.randrange(self.number * OWNED + 100, (self.number + 1) * OWNED)
        to = (*key[:-1], new)
        if to in self.rows[table]:
            return
        places = [(table, key), (table, to)]
        if self._try(f"key to {to}", places, lambda: self.doer.rekey(table, self._named(table, key), name, new)):
            self.rows[table][to] = self.rows[table].pop(key)
            if table == "Animal":
                for other in ("Weight", "Task"):
                    self.rows[other] = {
                        (new if k[0] == key[0] else k[0], *k[1:]): r for k, r in self.rows[other].items()
                    }

    def _delete(self, table: str, key: Key) -> None:
        if self._try("delete", [(table, key)], lambda: self.doer.delete(table, self._named(table, key))):
            for other in ("Animal", "Weight", "Task") if table == "Animal" else (table,):
                self.rows[other] = {k: row for k, row in self.rows[other].items() if k[: len(key)] != key}

    def _named(self, table: str, key: Key) -> Row:
        return dict(zip(TABLES[table][1], key, strict=True))


class People:
    """Writes as people do, with the tables' classes."""

    def __init__(self) -> None:
        from my_pipeline import life, work  # type: ignore[import-not-found]

        self._tables = {"Animal": life.Animal, "Weight": life.Weight, "Task": work.Task}

    def insert(self, table: str, row: Row) -> None:
        self._tables[table].insert1(row)

    def update(self, table: str, key: Row, values: Row) -> None:
        self._tables[table].update1({**key, **values})

    def rekey(self, table: str, key: Row, name: str, value: int) -> None:
        raise NotImplementedError("DataJoint has no word for it.")

    def delete(self, table: str, key: Row) -> None:
        (self._tables[table] & key).delete(prompt=False)

    def close(self) -> None:
        """The connection ends with the process."""


# --- Which command changes the database ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Command:
    """A command that changes the database while clients write.

    Parameters
    ----------
    arguments : tuple of str
        What is run.
    before : callable
        What is done before anybody has loaded the code or put in a row.
    after : callable
        What is done when the code of before is loaded.
    environment, prefix : str
        Whose database it changes, and what stands before the names there.
    """

    arguments: tuple[str, ...]
    before: Callable[[Server, Project, Case], None]
    after: Callable[[Server, Project, Case], None]
    environment: str = "dev"
    prefix: str = "dev_"


def _nothing(server: Server, own: Project, case: Case) -> None:
    """The project stays as it is."""


def _revised(server: Server, own: Project, case: Case) -> None:
    revise(own, case)


def _migrated(server: Server, own: Project, case: Case) -> None:
    revise(own, case)
    _ok(own, "migrate")


def _in_prod_too(server: Server, own: Project, case: Case) -> None:
    _ok(own, "--env", "prod", "init")


def _proved(server: Server, own: Project, case: Case) -> None:
    """Dev has had the migration, and it is committed."""
    from conftest import git

    _migrated(server, own, case)
    if not (own.folder / ".git").exists():
        git(own.folder, "init", "--quiet", "--initial-branch=main")
    git(own.folder, "add", "--all")
    git(own.folder, "commit", "--quiet", "--message=All")


def _never_recorded(server: Server, own: Project, case: Case) -> None:
    """The tables are somebody's from before the project, and its code has other types."""
    quote = "`" if server.backend == "mysql" else '"'
    tables = [f"dev_{schema}.{quote}~migration{end}{quote}" for schema in ("life", "work") for end in ("", "_step")]
    server.execute(*(f"DROP TABLE {table}" for table in tables))
    for path in (own.folder / "src/my_pipeline/migrations").rglob("*.*"):
        if path.parent.name in ("life", "work"):
            path.unlink()
    for module, old, new in case.edits:
        own.replace(own.module(module), old, new)


def _ok(own: Project, *arguments: str) -> None:
    answer = own.run(*arguments)
    assert answer.code == 0, answer.out + answer.err


MIGRATE = Command(("migrate",), _nothing, _revised)

#: The other commands, each with the cases that are played with it.
COMMANDS: dict[str, tuple[Command, tuple[str, ...]]] = {
    "promote": (
        Command(
            ("promote", "--from", "dev", "--to", "prod", "--yes", "--no-rehearsal", "a ledger"),
            _in_prod_too,
            _proved,
            "prod",
            "",
        ),
        ("using", "codec"),
    ),
    "adopt": (Command(("adopt", "--types"), _nothing, _never_recorded), ("type",)),
    "rollback": (Command(("rollback", "work", "--to", "1.0.0"), _migrated, _nothing), ("type",)),
}


# --- One migration -----------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What came of it.

    ``late`` counts rows that the code of before wrote, as it writes them, after the tables were let go of.
    """

    saved: int = 0
    refused: int = 0
    late: int = 0
    wrong: list[str] = field(default_factory=list)
    why: Counter[str] = field(default_factory=Counter)


#: How often the migration pauses before statements that are alike, of which a conversion has one a row.
_TIMES = 5


class Moments:
    """Is told each statement of the migration; gives clients time between them, and knows when it is over."""

    def __init__(self, *, mysql: bool, pause: float) -> None:
        self.over = threading.Event()
        self._mysql, self._pause = mysql, pause
        self._steps, self._done, self._began = 0, 0, False
        self._paused = Counter[str]()
        #: When the tables were let go of for the last time; those of jobs, which come after them, do not count.
        self.open, self._jobs = float("inf"), False

    def __call__(self, text: str) -> None:
        words = text.lstrip()[:4000].upper()
        if words.startswith("LOCK TABLES"):
            self._jobs = "`~~" in words
        if (words.startswith("UNLOCK TABLES") and not self._jobs) or (
            words.startswith("COMMIT") and self._began and not self._mysql
        ):
            self.open = time.time() if self._mysql else min(self.open, time.time())
        if "~MIGRATION_STEP" in words:
            self._steps += words.startswith("INSERT") and not re.search(r"VALUES \(\d+, 0,", words)
            if words.startswith("UPDATE"):
                self._began = True
                self._done += bool(re.search(r"SET STATE = 'DONE'", words))
                if self._mysql and self._done >= self._steps:
                    self.over.set()
        elif not self._mysql and words.startswith("COMMIT") and self._began:
            self._done = self._steps
        elif not self._mysql and self._began and self._done >= self._steps > 0:
            self.over.set()
        elif self._began and words.startswith(("UPDATE", "ALTER", "LOCK", "RENAME", "INSERT", "CREATE TABLE")):
            self._paused[words[:60]] += 1
            if self._paused[words[:60]] <= _TIMES:
                time.sleep(self._pause)


@contextmanager
def ready(server: Server, own: Project) -> Iterator[Project]:
    """A project with its tables, in ``dev``; they are gone at the end, and so are those of ``prod``."""
    lay(own)
    own.environment |= {**server.variables, "MY_PIPELINE_ENV": "dev", "DJ_LOG_LEVEL": "ERROR", "DJ_USE_TLS": "false"}
    databases = "dev_work", "dev_life", "work", "life"
    server.drop(*databases)
    try:
        _ok(own, "init")
        yield own
    finally:
        server.drop(*databases)


def lay(own: Project) -> None:
    """The pipeline as it is at the start."""
    own.clear()
    for name, text in (("life", LIFE), ("work", WORK), ("version", VERSION)):
        own.write(own.module(name), text)


def revise(own: Project, case: Case) -> None:
    """Write the migration of a case."""
    for module, old, new in case.edits:
        own.replace(own.module(module), old, new)
    answer = own.run("revise", "-m", "next", *case.answers)
    assert answer.code == 0, answer.err
    schema, old, new = case.line
    if schema:
        (path,) = (own.folder / f"src/my_pipeline/migrations/{schema}").glob("*_next.py")
        text = path.read_text(encoding="utf-8")
        assert old in text, text
        text = text.replace("import (", "import RebuildTable, Sql, From, (", 1)
        text = re.sub(r"import ([^(\n]*), \($", r"import (\n    \1,", text, count=1, flags=re.MULTILINE)
        text = re.sub(r"(pipeline\.migration import )(?!\()", r"\1RebuildTable, Sql, From, ", text, count=1)
        path.write_text(text[::-1].replace(old[::-1], new[::-1], 1)[::-1], encoding="utf-8")


class Old:
    """A process that has loaded the code of before, and works with DataJoint until it is told to stop."""

    def __init__(self, own: Project, what: str, **more: str) -> None:
        command = [sys.executable, "-B", __file__, what, str(own.folder / "src")]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=own.variables(**more))
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def tell(self, word: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{word}\n")
            self._process.stdin.flush()

    def told(self) -> Any:
        """What it kept in mind."""
        text = self._process.communicate()[0]
        assert self._process.returncode == 0, text
        return json.loads(text.splitlines()[-1])  # DataJoint's own words come before


def play(
    server: Server,
    own: Project,
    case: Case,
    *,
    pause: float,
    clients: int = 3,
    bulk: int = 300,
    populate: bool = False,
    command: Command = MIGRATE,
    broken_off: str = "",
    only: tuple[str, ...] = (),
) -> Outcome:
    """Migrate while clients write; what they were told, and what of it is not so. They write ``only`` these kinds, if any.

    Where it is ``broken_off``, the session is lost once a statement that begins so has been carried out; clients go on
    writing, and it is run again.
    """
    from proxy import Fault, Proxy

    command.before(server, own, case)
    writers = [Client(n + 1, Statements(server, command.prefix), only=only) for n in range(clients)]
    person = Client(clients + 1, Statements(server, command.prefix), keys=False)
    quiet = Client(0, Statements(server, command.prefix), animals=bulk // EACH)
    for client in (*writers, person, quiet):
        _put(client)
    whose = {"MY_PIPELINE_ENV": command.environment}
    olds = [Old(own, what, **whose) for what in (str(person.number), *["populate"] * populate)]
    command.after(server, own, case)
    proxy, moments = Proxy(server.backend, server.port), Moments(mysql=server.backend == "mysql", pause=pause)
    proxy.watch = moments

    def work(client: Client) -> None:
        while not moments.over.is_set():
            client.write()
            time.sleep(0.002)

    threads = [threading.Thread(target=work, args=(client,)) for client in writers]
    stopping = threading.Thread(target=lambda: (moments.over.wait(), [old.tell("stop") for old in olds]))
    direct = dict(own.environment)
    try:
        for thread in (*threads, stopping):
            thread.start()
        for old in olds:
            old.tell("go")
        own.environment |= replace(server, port=proxy.port).variables
        if broken_off:
            fault = Fault(broken_off, "after", lambda: None)
            proxy.begin(fault)
            assert own.run(*command.arguments, timeout=600).code, "it was to be broken off"
            assert fault.struck.is_set()
            time.sleep(3 * pause)
        answer = own.run(*command.arguments, timeout=600)
    finally:
        moments.over.set()
        for thread in (*threads, stopping):
            thread.join()
        proxy.close()
        own.environment.clear()
        own.environment |= direct
        told = [old.told() for old in olds]
        for client in (*writers, person, quiet):
            client.doer.close()
    _read(person, told[0])
    outcome = Outcome()
    if answer.code:
        outcome.wrong.append(f"{command.arguments[0]} ended with {answer.code}: {answer.err}")
    everybody = [*writers, person, quiet]
    for client in everybody:
        outcome.saved += client.saved.total()
        outcome.refused += client.refused.total()
        outcome.why.update(re.sub(r"\d+", "0", text)[:70] for text in client.why.values())
    if not answer.code:
        found = _differences(server, case, everybody, command)
        outcome.wrong += [text for began, text in found if began < moments.open]
        outcome.late = len(found) - len(outcome.wrong)
    for computed in told[1:]:
        outcome.saved += computed["saved"]
        outcome.refused += computed["refused"]
        outcome.wrong += [] if answer.code else _uncomputed(server, computed["saved"])
    return outcome


def _uncomputed(server: Server, saved: int) -> list[str]:
    """Compare the rows that were computed for tasks that nobody writes with how many it was told that there are."""
    mark = "`" if server.backend == "mysql" else '"'
    place = f"FROM {mark}dev_work{mark}.{mark}__score{mark} WHERE animal < {OWNED}"
    ((found, right),) = server.execute(f"SELECT COUNT(*), COALESCE(SUM(CASE WHEN score = task THEN 1 END), 0) {place}")
    # A call that fails in the middle does not tell what it computed before.
    return (
        [] if found == right >= saved else [f"{saved} rows were computed, {found} are there, {right} as they should be"]
    )


def _put(client: Client) -> None:
    """Put the rows that a client has at first into the tables."""
    for table, rows in client.rows.items():
        for key, row in rows.items():
            client.doer.insert(table, {**client._named(table, key), **row})


def _read(client: Client, told: Any) -> None:
    """Take over what a client in another process kept in mind."""
    client.rows = {table: {tuple(key): row for key, row in rows} for table, rows in told["rows"].items()}
    client.saved, client.refused = Counter(told["saved"]), Counter(told["refused"])
    client.why = told["why"]
    client.last = {(table, tuple(key)): [(began, line) for began, line in lines] for table, key, lines in told["last"]}


def _differences(server: Server, case: Case, clients: list[Client], command: Command) -> list[tuple[float, str]]:
    """Compare what the tables hold with what they have to; give when the last write of a wrong row began, and words."""
    rows: Rows = {table: {} for table in TABLES}
    for client in clients:
        for table in TABLES:
            rows[table] |= client.rows[table]
    back = command.arguments[0] == "rollback"
    found = _held(server, replace(case, answers=(), more={}) if back else case, command.prefix)
    wrong = []
    for table, expected in (rows if back else case.expected(rows)).items():
        for key in sorted(expected.keys() | found[table].keys()):
            want, have = expected.get(key), found[table].get(key)
            if want != have:
                places = [(table, key), ("Animal", key[:1])]
                writes = sorted(write for client in clients for place in places for write in client.last.get(place, []))
                lines = "".join(f"\n    {line}" for _, line in writes)
                saved = [began for began, line in writes if line.endswith(": saved")]
                wrong.append((saved[-1] if saved else 0.0, f"{table} {key} is {have}, not {want}{lines}"))
    return wrong


def _held(server: Server, case: Case, prefix: str) -> Rows:
    """Read what the tables hold afterwards, by the names of before."""
    mark = "`" if server.backend == "mysql" else '"'
    names = {"Task": "work.job", "room": "place"} if "--rename-table" in case.answers else {}
    result: Rows = {}
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        for table, (place, key, others) in TABLES.items():
            attributes = (*key, *others, *case.more.get(table, ()))
            schema, name = names.get(table, place).split(".")
            listed = ", ".join(f"{mark}{names.get(a, a)}{mark}" for a in attributes)
            cursor.execute(f"SELECT {listed} FROM {mark}{prefix}{schema}{mark}.{mark}{name}{mark}")
            result[table] = {
                tuple(row[: len(key)]): dict(zip(attributes[len(key) :], map(_meant, row[len(key) :]), strict=True))
                for row in cursor.fetchall()
            }
    return result


def _meant(value: Any) -> Any:
    """What a stored value means: a blob, or a list in JSON, is the list."""
    if isinstance(value, bytes | bytearray | memoryview):
        from datajoint.blob import unpack

        return [int(n) for n in unpack(bytes(value))]
    if isinstance(value, str) and value.startswith("["):
        return json.loads(value)
    return value


def main() -> None:
    """Write or compute with DataJoint until told to stop, then tell what was saved."""
    sys.path.insert(0, sys.argv[2])
    if sys.argv[1] == "populate":
        print(json.dumps(_compute()))
        return
    client = Client(int(sys.argv[1]), People(), keys=False)
    over = _started()
    while not over.is_set():
        client.write()
        time.sleep(0.002)
    told = {
        "rows": {table: list(rows.items()) for table, rows in client.rows.items()},
        "saved": client.saved,
        "refused": client.refused,
        "why": client.why,
        "last": [(table, key, lines) for (table, key), lines in client.last.items()],
    }
    print(json.dumps(told))


def _started() -> threading.Event:
    """Wait for the word to begin; what is set at the word to stop."""
    print("ready", flush=True)
    assert sys.stdin.readline() == "go\n"
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), over.set()), daemon=True).start()
    return over


def _compute() -> dict[str, int]:
    """Populate a few rows at a time, each reserved, for tasks that nobody writes."""
    from my_pipeline import work

    over, told = _started(), {"saved": 0, "refused": 0}
    while not over.is_set():
        try:
            done = work.Score.populate(f"animal < {OWNED}", reserve_jobs=True, max_calls=2, suppress_errors=True)
        except Exception:
            told["refused"] += 1
        else:
            told["saved"] += done["success_count"]
            told["refused"] += len(done["error_list"])
        time.sleep(0.02)
    return told


if __name__ == "__main__":
    main()
