"""No credential where others see it, no code but the package's, no record by anybody but who may make it."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from accounts import SECRET, Account, made
from conftest import Project, Result, Server, git
from daemons import free_port
from living import FILL, lay, ok

NAMES = ("dev_work", "dev_life")
RECORD = ("~migration", "~migration_step")


@pytest.fixture
def accounts(server: Server) -> Iterator[Callable[..., Account]]:
    with made(server, *NAMES) as make:
        yield make


@pytest.fixture
def own(server: Server, project: Project) -> Project:
    lay(project)
    project.environment |= {**server.variables, "MY_PIPELINE_ENV": "dev"}
    return project


# --- Credentials -------------------------------------------------------------------------------------------------


class Watch:
    """Looks, as long as it lasts, whether the password is in a command line, a process list or a child's environment."""

    def __init__(self, server: Server) -> None:
        self.server, self.found, self.looks = server, set[str](), 0
        self._over = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[Watch]:
        thread = threading.Thread(target=self._look)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    def _look(self) -> None:
        if self.server.backend == "mysql":
            query = "SELECT * FROM information_schema.processlist WHERE id <> CONNECTION_ID()"
        else:
            query = "SELECT * FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        with closing(self.server.connect()) as connection, connection.cursor() as cursor:
            while not self._over.is_set():
                cursor.execute(query)
                if SECRET in repr(cursor.fetchall()):
                    self.found.add("the server's process list")
                self._processes()
                self.looks += 1
                time.sleep(0.1)

    def _processes(self) -> None:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command, environment = self._process(folder)
            except OSError:
                continue
            if SECRET.encode() in command:
                self.found.add(f"the command line {command!r}")
            # The command itself was given it there; whom it starts has no need of it.
            if SECRET.encode() in environment and b"my_pipeline\0" not in command:
                self.found.add(f"the environment of {command!r}")

    @staticmethod
    def _process(folder: Path) -> tuple[bytes, bytes]:
        """The command line of a process and its environment; both of one program, where it becomes another meanwhile."""
        command, environment, before = b"", b"", None
        for _ in range(1000):
            environment = (folder / "environ").read_bytes()
            command = (folder / "cmdline").read_bytes()
            # A program that just starts has its environment a moment before its command line.
            if command == before and (command or not environment):
                break
            before = command
        return command, environment


def program(project: Project, *arguments: str, stdin: str = "", **variables: str) -> Result:
    """A command as a process of its own, as a person starts it."""
    command = [sys.executable, "-m", "my_pipeline", *arguments]
    environment = {k: v for k, v in project.variables(**variables).items() if v}
    done = subprocess.run(command, cwd=project.folder, env=environment, input=stdin, capture_output=True, text=True)
    return Result(done.returncode, done.stdout, done.stderr)


FILE, FAILS = "src/my_pipeline/migrations/life/1.1.0_moods.py", 'RunSQL("look", mysql="SELEC 1", postgresql="SELEC 1")'


@pytest.mark.sampled
@pytest.mark.parametrize("where", ["variable", "file"])
def test_password_is_nowhere_to_be_seen(
    own: Project, server: Server, accounts: Callable[..., Account], where: str
) -> None:
    account = accounts("hushed", owns=True)
    git(own.folder, "init", "--quiet")
    git(own.folder, "add", "--all")
    git(own.folder, "commit", "--quiet", "--message=Start")
    said: list[Result] = []

    def run(*arguments: str, code: int | None = 0, **more: Any) -> None:
        given = {"DJ_USER": account.name, "DJ_PASS": SECRET if where == "variable" else ""}
        result = program(own, *arguments, **{**given, **more})
        assert code is None or result.code == code, (arguments, result)
        said.append(result)

    with Watch(server).watching() as watch:
        if where == "file":
            run("secrets", stdin=f"{account.name}\n{SECRET}\n")
        run("init")
        run("doctor", code=None)
        if where == "variable":
            assert own.python("-c", FILL).code == 0
            own.replace(own.module("life"), "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
            run("revise", "-m", "moods")
            run("migrate", "--dry-run", "--json", code=None)
            good = own.read(FILE)
            own.write(FILE, good.replace("import ", "import RunSQL, ", 1).replace("= [", f"= [{FAILS},", 1))
            run("migrate", "--debug", code=1)
            assert "SELEC" in said[-1].err
            own.write(FILE, good)
            run("migrate")
            run("worker", "--once")
            run("check", "--debug", code=None)  # on the embedded server, which goes on running
            own.run("local", "stop")
        run("log", "--json")
        run("status", "--debug", code=1, DJ_PASS=f"{SECRET}-wrong")
        run("status", "--debug", code=1, DJ_HOST="127.0.0.1", DJ_PORT=str(free_port()))
        run("status", "--debug", code=1, DJ_USE_TLS="true")
        run("status", code=1, DJ_HOST="no.such.host.invalid")
    assert watch.looks > 20 and not watch.found
    for result in said:
        assert SECRET not in result.out + result.err
    quote = "`" if server.backend == "mysql" else '"'
    there = server.execute("SELECT table_schema, table_name FROM information_schema.tables")
    assert (NAMES[1], RECORD[0]) in there
    for database in NAMES:
        for table in RECORD:
            if (database, table) in there:
                recorded = server.execute(f"SELECT * FROM {database}.{quote}{table}{quote}")
                assert recorded and SECRET not in repr(recorded)
    kept = [path for path in own.folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert kept == ([own.folder / ".secrets/database.password"] if where == "file" else [])


BROKEN = (
    '{"main": {"secret_key": "SECRET"',
    '["SECRET"]',
    '{"main": "SECRET"}',
    '{"default": "main", "main": ["SECRET"]}',
    '{"default": "main", "main": {"protocol": "s3", "secret_key": "SECRET", "access_key": "SECRET"}}',
)


def test_keys_in_a_broken_variable_are_not_repeated(default_folder: Path) -> None:
    own = Project(default_folder, environment={"MY_PIPELINE_ENV": "dev"})
    for stores in BROKEN:
        for command in (["doctor"], ["doctor", "--json"], ["status", "--debug"]):
            result = own.run(*command, DJ_STORES=stores.replace("SECRET", SECRET))
            assert SECRET not in result.out + result.err, (stores, result)


# --- Migration files ---------------------------------------------------------------------------------------------

EVIL = "from pathlib import Path\nPath({!r}).write_text('ran')\nfrom datajoint_pipeline.migration import RunSQL\nfollows = '1.0.0'\noperations = []\n"


@pytest.fixture
def ready(own: Project, server: Server, accounts: Callable[..., Account]) -> Project:
    ok(own, "init")
    return own


def test_only_files_of_the_package_are_run(ready: Project, tmp_path: Path) -> None:
    mark, outside = tmp_path / "mark", tmp_path / "outside"
    evil = EVIL.format(str(mark))
    outside.mkdir()
    (outside / "1.1.0_x.py").write_text(evil, encoding="utf-8")
    folder = ready.folder / "src/my_pipeline/migrations"
    commands = (["status"], ["migrate"], ["migrate", "--dry-run"], ["revise", "-m", "x"], ["check"], ["diff"])
    # What is no migration, or of no schema, is not looked at.
    for place in (
        "life/__init__.py",
        "life/_helper.py",
        "life/1.1.0_x.pyc",
        "life/1.1.0_x.py.bak",
        "life/deeper/1.1.0_x.py",
    ):
        ready.write(f"src/my_pipeline/migrations/{place}", evil)
    for place in ("1.1.0_x.py", "nobody/1.1.0_x.py", "../1.1.0_x.py"):
        ready.write(f"src/my_pipeline/migrations/{place}", evil)
    for command in commands:
        ready.run(*command)
        assert not mark.exists(), command
    (ready.folder / "src/my_pipeline/1.1.0_x.py").unlink()
    # A link is no file of the package, whatever it leads to.
    link = folder / "life/1.1.0_x.py"
    link.symlink_to(outside / "1.1.0_x.py")
    for command in commands[1:]:
        result = ready.run(*command)
        assert not mark.exists(), command
        assert result.code == 1 and "not a file of this package" in " ".join((result.out + result.err).split())
    link.unlink()
    kept = folder / "work"
    kept.rename(outside / "work")
    (outside / "1.1.0_x.py").rename(outside / "work" / "1.1.0_x.py")
    kept.symlink_to(outside / "work")
    result = ready.run("migrate")
    assert result.code == 1 and "not a file of this package" in result.err and not mark.exists()


def test_schema_is_a_module_and_no_path(project: Project) -> None:
    for name in ("../outside", "..", "a/b", "a.b", "", "a b", "/tmp"):
        versions = f'SCHEMA_VERSIONS = {{"subject": "1.0.0", {name!r}: "1.0.0"}}'
        project.write(project.module("version"), f'__version__ = "0.1.0"\n\n{versions}\n')
        for command in (["status"], ["revise", "-m", "x"], ["migrate"]):
            result = project.run(*command)
            assert result.code == 1 and len(result.err.strip().splitlines()) == 3, result.err
            assert f"SCHEMA_VERSIONS names {name!r}." in result.err


# --- The record --------------------------------------------------------------------------------------------------


def forgeries(server: Server, database: str) -> list[str]:
    """Statements that would change what is recorded."""
    quote = "`" if server.backend == "mysql" else '"'
    found = []
    for table in RECORD:
        full = f"{database}.{quote}{table}{quote}"
        copied = "run" if table == "~migration_step" else "id"
        found += [f"INSERT INTO {full} SELECT * FROM {full}", f"UPDATE {full} SET {copied} = {copied} + 9"]
        found += [f"DELETE FROM {full}", f"TRUNCATE TABLE {full}", f"DROP TABLE {full}"]
    return found


def may_not_forge(account: Account, server: Server) -> None:
    there = server.execute("SELECT table_schema, table_name FROM information_schema.tables")
    for database in NAMES:
        for statement in forgeries(server, database):
            if "~migration_step" in statement and (database, "~migration_step") not in there:
                continue  # it comes with the first migration
            with pytest.raises(Exception, match=r"(?i)denied|permission|must be owner|not authorized"):
                account.execute(statement)


@pytest.fixture
def recorded(own: Project, server: Server, accounts: Callable[..., Account]) -> Project:
    """A pipeline with runs and steps in its record."""
    ok(own, "init")
    assert own.python("-c", FILL).code == 0
    own.replace(own.module("life"), "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    ok(own, "revise", "-m", "moods")
    ok(own, "migrate")
    return own


def grant(server: Server, account: Account, rights: str) -> None:
    for database in NAMES:
        if server.backend == "mysql":
            server.execute(f"GRANT {rights} ON `{database.replace('_', chr(92) + '_')}`.* TO {account.user}")
        else:
            server.execute(
                f"GRANT USAGE ON SCHEMA {database} TO {account.user}",
                f"GRANT {rights}, REFERENCES ON ALL TABLES IN SCHEMA {database} TO {account.user}",
            )


@pytest.mark.both_servers
def test_record_cannot_be_forged_without_rights_on_the_schema(
    recorded: Project, server: Server, accounts: Callable[..., Account]
) -> None:
    nobody, reader = accounts("nobody"), accounts("reader")
    grant(server, reader, "SELECT")
    before = recorded.run("log", "--json").json
    for account in (nobody, reader):
        may_not_forge(account, server)
    assert recorded.run("log", "--json").json == before
    assert recorded.run("log", **reader.variables).code == 0


def statements(folder: Path, heading: str) -> list[str]:
    """SQL that docs/access.md gives in the paragraph that begins with some words."""
    text = (folder / "docs/access.md").read_text(encoding="utf-8").partition(heading)[2]
    blocks = re.findall(r"(?:^    .*\n|^\n)+", text, re.M)
    block = next(b for b in blocks if b.strip())
    return [" ".join(s.split()) for s in re.split(r";$", block, flags=re.M) if s.strip()]


def test_worker_of_the_docs_cannot_forge_it_either(
    recorded: Project, server: Server, accounts: Callable[..., Account], render: Callable[..., Path], tmp_path: Path
) -> None:
    """The statements are those of docs/access.md, with this test's names in the place of the docs'."""
    worker = accounts("worker")
    schemas = [{"name": "life"}, {"name": "work", "depends": ["life"]}]
    docs = render(tmp_path / "docs", schemas=schemas, backend=server.backend)
    if server.backend == "mysql":
        grant(server, worker, "SELECT")
        asked = statements(docs, "**That cannot write the record**")
        assert len(asked) == 1
        for (statement,) in server.execute(asked[0].replace("'life', 'work'", "'dev_life', 'dev_work'")):
            server.execute(statement.replace("pipeline_worker", worker.user))
    else:
        asked = statements(docs, "For schemas that exist already")
        named = [s for s in asked if "pipeline_worker" in s] + statements(
            docs, "take back what that gives on the record"
        )
        assert len(named) == 5
        for statement in named[:-1]:
            text = re.sub(r"pipeline_reader, ", "", statement).replace("pipeline_worker", worker.user)
            server.execute(text.replace('"life"', '"dev_life"').replace('"work"', '"dev_work"'))
        for (statement,) in server.execute(named[-1].removesuffix("\\gexec")):
            server.execute(statement.replace("pipeline_worker", worker.user))
    may_not_forge(worker, server)
    own = recorded
    assert (
        own.python("-c", "from my_pipeline import work; work.Score.delete(prompt=False)", **worker.variables).code == 0
    )
    done = own.run("worker", "--once", "--json", **worker.variables)
    assert done.code == 0 and done.json["done"] == 2, done.err
    added = own.python(
        "-c", "from my_pipeline import life; life.Animal.insert1((9, 'Eve', 'grey'))", **worker.variables
    )
    assert added.code == 0, added.err


def test_default_privileges_do_not_open_the_record(project: Project, postgresql: Server) -> None:
    """PostgreSQL: whoever may write all tables to come, as the docs have it, may not write the record."""
    own = project
    lay(own)
    own.environment |= {**postgresql.variables, "MY_PIPELINE_ENV": "dev"}
    postgresql.drop(*NAMES)
    owner, worker = Account(postgresql, "maker"), Account(postgresql, "later")
    postgresql.execute(
        f"GRANT CREATE ON DATABASE postgres TO {owner.user}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner.user} GRANT USAGE ON SCHEMAS TO {worker.user}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner.user} GRANT SELECT, REFERENCES, INSERT, UPDATE, DELETE ON TABLES TO {worker.user}",
    )
    try:
        ok(own, "init", **owner.variables)
        filled = own.python("-c", FILL.replace("work.Score.populate()", ""), **worker.variables)
        assert filled.code == 0, filled.err
        own.replace(own.module("life"), "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
        ok(own, "revise", "-m", "moods", **owner.variables)
        ok(own, "migrate", **owner.variables)
        assert own.run("worker", "--once", **worker.variables).code == 0
        with pytest.raises(Exception, match="permission denied"):
            worker.execute('INSERT INTO dev_life."~migration" SELECT * FROM dev_life."~migration"')
        for statement in forgeries(postgresql, "dev_life"):
            with pytest.raises(Exception, match=r"permission denied|must be owner"):
                worker.execute(statement)
        ok(own, "status", **worker.variables)
    finally:
        postgresql.drop(*NAMES)
        worker.drop()
        owner.drop()
