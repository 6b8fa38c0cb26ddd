"""What the tests share: the template as a repository, a rendered project, real servers. Slow things are made once."""

from __future__ import annotations

import atexit
import compileall
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import browser
import copier
import pytest
from compiled import FOLDER, keep_compiled
from daemons import SHARED, Mysqld, Postmaster, open_folder
from sampling import WHOLE, Noting, left_out, slow, take_turn, turn, whole
from zygote import Zygote

ROOT = Path(__file__).parent.parent

#: A version above every release, so that the working tree is what is copied and updated to.
PRESENT = "v999.0.0"

PARTS = ("copier.yml", "template", "docs", "hooks", "migrations", "src", "pyproject.toml", "README.md", "LICENSE")


def git(folder: Path, *arguments: str) -> str:
    """Run git as somebody, whatever the machine's settings are."""
    who = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", *who, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def terminal() -> dict[str, str]:
    """The environment of a person's terminal.

    With PYTHONDONTWRITEBYTECODE, usual in containers, each command in a project's own environment would compile
    DataJoint anew.
    """
    others = ("DJ_", "MY_PIPELINE", "VIRTUAL_ENV", "PYTEST_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(others)}


def copy_parts(folder: Path) -> None:
    """Copy what makes the template, as it stands in the working tree."""
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
        elif (ROOT / part).exists():
            shutil.copy(ROOT / part, folder / part)


#: Where Linux keeps files in memory.
MEMORY = Path("/dev/shm")


def roomy(folder: Path) -> bool:
    """Whether a folder has room for all that the tests write, several times, and programs may be started from it."""
    if not os.access(folder, os.W_OK):
        return False
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize > 2**33 and not disk.f_flag & os.ST_NOEXEC


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--whole", action="store_true", help="play all of the slow proofs, not the sample that CI plays")
    parser.addoption("--note-slow", action="store_true", help="note in tests/slow.txt which of these tests are slow")


def pytest_configure(config: pytest.Config) -> None:
    """Have temporary files in memory, where there is room and nobody named another place, and compile what is imported.

    Library and dependencies are compiled once: commands in tests write no bytecode, as files change faster than it tells.
    Ctrl-C reaches what the tests start, also where a shell runs them in the background and has them ignore it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for mark in (
        "sampled: CI plays as few cases as have each value of each parameter; --whole plays all",
        "one_server: CI plays it on the server that is named, or on one of those that it lists, in turn within a file",
        "every_commit: CI plays it at every commit, also if it is slow; slow ones take turns",
        "in_order: its tests begin with what those before them in the file left; where one is slow, they take turns together",
        "both_servers: CI plays it on both, where others that a fixture plays on each server take turns within a file",
    ):
        config.addinivalue_line("markers", mark)
    if not hasattr(config, "workerinput"):
        if config.getoption("whole"):
            os.environ[WHOLE] = "1"  # which the workers inherit
        elif config.args_source is pytest.Config.ArgsSource.TESTPATHS:
            take_turn()
        if config.getoption("note_slow"):
            config.pluginmanager.register(Noting())
        if "TMPDIR" not in os.environ and roomy(MEMORY):
            os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)  # which the workers inherit
        for variable in (FOLDER, SHARED):
            os.environ[variable] = tempfile.mkdtemp(prefix="once-")
            config.add_cleanup(lambda variable=variable: shutil.rmtree(os.environ.pop(variable)))
        for folder in (ROOT / "src", sysconfig.get_path("purelib")):
            compileall.compile_dir(folder, quiet=2, workers=0, rx=re.compile(r"[/\\](tests|mypyc?)[/\\]"))
    keep_compiled()


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are processors: a quarter of a worker's time is waiting for servers."""
    return (os.cpu_count() or 1) + 1


#: The files that take longest, longest first: whoever begins with one last is waited for.
LONGEST = (
    "test_worker",
    *("test_upgrade_to_library", "test_backup", "test_crash", "test_generated", "test_servers", "test_security"),
    *("test_upgrades", "test_update", "test_current", "test_day", "test_bad_days", "test_migrate", "test_story"),
    *("test_hooks", "test_render", "test_ledger", "test_drafts", "test_local_server", "test_rendered_files"),
)


@pytest.hookimpl(trylast=True)  # of what was asked for by name
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest; the option --no-loadscope-reorder hands files out in this order."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))
    if not whole():
        without = left_out(items, turn(), slow())
        items[:] = [item for item in items if item not in without]
        config.hook.pytest_deselected(items=without)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it stands in the working tree, committed and tagged in a repository of its own."""
    return commit_parts(tmp_path_factory.mktemp("template"))


def commit_parts(clone: Path) -> Path:
    """Make a folder a repository with the template as it stands in the working tree, and a tag; the folder."""
    copy_parts(clone)
    git(clone, "init", "--quiet", "--initial-branch=main")
    git(clone, "add", "--all", "--force")
    git(clone, "commit", "--quiet", "--message=Present")
    git(clone, "tag", PRESENT)
    return clone


@pytest.fixture(scope="session")
def render(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Render the template: ``render(folder, answer=value, …)`` returns the folder, which is a copy where the answers
    were given before."""
    rendered: dict[str, Path] = {}

    def render(folder: Path, **answers: Any) -> Path:
        known = json.dumps(answers, sort_keys=True)
        if known not in rendered:
            new = tmp_path_factory.mktemp("rendered") / "project"
            copier.run_copy(str(template), new, data=answers, defaults=True, quiet=True, vcs_ref=PRESENT)
            rendered[known] = new
        return Path(shutil.copytree(rendered[known], folder, symlinks=True, dirs_exist_ok=True))

    return render


@pytest.fixture(scope="session")
def copied(template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The template over each kind of pipeline that exists, for tests that only read, or that work on a copy."""
    import adopting  # which imports this file

    folder = tmp_path_factory.mktemp("copied")
    for kind, (files, answers) in adopting.KINDS.items():
        done = adopting.copy(template, adopting.write(folder / kind, files), **answers)
        assert done.returncode == 0, done.stderr
    return {kind: folder / kind for kind in adopting.KINDS}


@cache
def zygote() -> Zygote:
    """One warm process for all commands of this test process."""
    started = Zygote()
    atexit.register(started.close)
    return started


@dataclass
class Result:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Project:
    """A rendered project whose commands run with this interpreter, without installing it.

    To read the certificates of all authorities that a machine knows takes longer than most commands, so only with
    ``authorities`` they find them.
    """

    folder: Path
    package: str = "my_pipeline"
    environment: dict[str, str] = field(default_factory=dict)
    warm: Zygote | None = None
    authorities: bool = False

    def run(self, *arguments: str, stdin: str | None = None, timeout: float = 120, **variables: str) -> Result:
        """Run the project's command line."""
        return self.python("-m", self.package, *arguments, stdin=stdin, timeout=timeout, **variables)

    def python(self, *arguments: str, stdin: str | None = None, timeout: float = 120, **variables: str) -> Result:
        """Run Python with the project's package."""
        warm = self.warm or zygote()
        return Result(*warm.run(list(arguments), self.folder, self.variables(**variables), stdin, timeout))

    def warm_up(self) -> None:
        """Have a warm process of its own, for thousands of commands; the environment is what it is now."""
        self.warm = Zygote(self.package, self.folder, self.variables())
        atexit.register(self.warm.close)

    def variables(self, **more: str) -> dict[str, str]:
        """The environment of a process: nothing of DataJoint's from outside."""
        foreign = ("DJ_", "MY_PIPELINE", "UV_RUN")  # the last is who started the tests, whom messages would name
        clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        clean |= {"PYTHONPATH": str(self.folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        if not self.authorities:
            clean |= {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}
        return clean | self.environment | more

    def read(self, path: str) -> str:
        return (self.folder / path).read_text(encoding="utf-8")

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text, encoding="utf-8")

    def replace(self, path: str, old: str, new: str) -> None:
        text = self.read(path)
        assert old in text, f"{old!r} is not in {path}"
        self.write(path, text.replace(old, new))

    def clear(self) -> None:
        """Take away the schema modules that a project comes with."""
        for path in (self.folder / "src" / self.package).glob("*.py"):
            if path.stem not in ("__init__", "__main__", "version"):
                path.unlink()

    def module(self, name: str) -> str:
        return f"src/{self.package}/{name}.py"


@pytest.fixture
def project(tmp_path: Path, render: Callable[..., Path]) -> Iterator[Project]:
    """A fresh default project; its embedded server, where a test started it, is stopped at the end."""
    own = Project(render(tmp_path / "my_pipeline"))
    yield own
    if (own.folder / ".local/pg").exists():
        own.run("local", "stop")


@pytest.fixture(scope="module")
def chromium() -> Iterator[browser.Page]:
    """A browser's tab; a test that needs one is skipped where there is no Chromium."""
    if browser.program() is None:
        pytest.skip("no Chromium on PATH")
    with browser.page() as tab:
        yield tab


@pytest.fixture(scope="session")
def default_folder(tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Path:
    """The default project, for tests that only read it."""
    return render(tmp_path_factory.mktemp("default") / "my_pipeline")


@cache
def unchecked() -> ssl.SSLContext:
    """TLS without a look at the certificate, as the driver has it by default; but once, as it reads those of all
    authorities each time."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@dataclass(frozen=True)
class Server:
    """A real database server, as DataJoint's environment variables name it."""

    backend: str
    host: str
    port: int
    user: str
    password: str

    @property
    def variables(self) -> dict[str, str]:
        return {
            "DJ_BACKEND": self.backend,
            "DJ_HOST": self.host,
            "DJ_PORT": str(self.port),
            "DJ_USER": self.user,
            "DJ_PASS": self.password,
        }

    def execute(self, *statements: str, user: str | None = None, password: str | None = None) -> list[tuple[Any, ...]]:
        """Run statements, as the administrator unless told otherwise; the rows of the last one."""
        rows: list[tuple[Any, ...]] = []
        with closing(self.connect(user, password)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                rows = list(cursor.fetchall()) if cursor.description else []
        return rows

    def drop(self, *databases: str) -> None:
        """Take schemas away, whatever refers to them."""
        if self.backend == "mysql":
            self.execute("SET FOREIGN_KEY_CHECKS = 0", *(f"DROP DATABASE IF EXISTS `{name}`" for name in databases))
        else:
            self.execute(*(f'DROP SCHEMA IF EXISTS "{name}" CASCADE' for name in databases))

    def connect(
        self, user: str | None = None, password: str | None = None, autocommit: bool = True, dbname: str = ""
    ) -> Any:
        """A connection, of the administrator and with a transaction for each statement unless told otherwise."""
        who = (self.user, self.password) if user is None else (user, password or "")
        if self.backend == "mysql":
            import pymysql

            place = {"host": self.host, "port": self.port, "user": who[0], "password": who[1], "autocommit": autocommit}
            # The driver takes the server's word for it, which is wrong where it is off there.
            place["init_command"] = f"SET SESSION autocommit = {int(autocommit)}"
            try:
                return pymysql.connect(**place, ssl=unchecked())
            except pymysql.err.OperationalError as error:
                if "SSL is required" not in str(error):
                    raise
                return pymysql.connect(**place, ssl_disabled=True)
        import psycopg2

        connection = psycopg2.connect(
            host=self.host, port=self.port, user=who[0], password=who[1], dbname=dbname or "postgres"
        )
        connection.autocommit = autocommit
        return connection


@pytest.fixture(scope="session")
def mysql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """MySQL: the server that DJ_HOST names, else a private one from the mysqld on PATH, else the test is skipped."""
    if os.environ.get("DJ_HOST") and os.environ.get("DJ_BACKEND", "mysql") == "mysql":
        port = int(os.environ.get("DJ_PORT", "3306"))
        yield Server("mysql", os.environ["DJ_HOST"], port, os.environ["DJ_USER"], os.environ["DJ_PASS"])
        return
    if shutil.which("mysqld") is None:
        pytest.skip("no MySQL: neither does DJ_HOST name a server nor is there a mysqld on PATH")
    with private_mysql(tmp_path_factory.mktemp("mysql")) as server:
        yield server


@contextmanager
def private_mysql(folder: Path, *options: str) -> Iterator[Server]:
    """A mysqld of the test's own, with its data in a folder."""
    daemon = Mysqld(folder, *options)
    daemon.start()
    try:
        yield Server("mysql", "127.0.0.1", daemon.port, "admin", "admin-secret")
    finally:
        daemon.stop()


@pytest.fixture(scope="session")
def postgresql(render: Callable[..., Path]) -> Iterator[Server]:
    """PostgreSQL: the server that DJ_HOST names, else the wheel's, listening on a port and asking for passwords."""
    if os.environ.get("DJ_HOST") and os.environ.get("DJ_BACKEND") == "postgresql":
        port = int(os.environ.get("DJ_PORT", "5432"))
        yield Server("postgresql", os.environ["DJ_HOST"], port, os.environ["DJ_USER"], os.environ["DJ_PASS"])
        return
    with open_folder("postgresql-") as folder, private_postgresql(folder, render) as server:
        yield server


@contextmanager
def private_postgresql(folder: Path, render: Callable[..., Path]) -> Iterator[Server]:
    """The wheel's server, with its data in a folder, listening on a port and asking for passwords."""
    daemon = Postmaster(Project(render(folder / "server")))
    try:
        daemon.start()
        yield Server("postgresql", "127.0.0.1", daemon.port, "postgres", "admin-secret")
    finally:
        daemon.stop()


@contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """A disk of a size, as ``mount`` takes it; without the right to mount one, the test is skipped."""
    disk = Path(tempfile.mkdtemp(prefix="disk-"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", disk]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        disk.rmdir()
        pytest.skip(f"no small disk can be had here: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)
        disk.rmdir()


@pytest.fixture(params=["mysql", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each real server in turn."""
    found: Server = request.getfixturevalue(request.param)
    return found
