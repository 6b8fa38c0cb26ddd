"""Servers that a test can kill and start again."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Project

#: A private MySQL need not outlive a loss of power: it waits for no disk, and writes no log for replicas.
HASTY = ("--innodb-flush-log-at-trx-commit=2", "--innodb-doublewrite=OFF", "--skip-log-bin", "--mysqlx=OFF")

#: The variable that names the folder of what the processes of a test run make once.
SHARED = "MADE_ONCE"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def open_folder(prefix: str) -> Iterator[Path]:
    """A folder for a while that others may enter: as root, a server runs as an account that cannot enter pytest's own."""
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


class Mysqld:
    """A mysqld of the test's own, with its data in a folder."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.port = folder, free_port()
        self._program = shutil.which("mysqld") or ""
        who = [f"--user={os.environ.get('USER') or 'root'}"] if os.geteuid() == 0 else []
        # A socket path has little room, and the test folders' names are long.
        self._sockets = Path("/tmp") / f"mysql-{os.getpid()}-{self.port}"
        self._options = [*HASTY, *who, *options]
        self._log = (folder / "log").open("w")
        self._initialize(folder / "data", [*who, *options])

    def _initialize(self, data: Path, options: list[str]) -> None:
        """Make the data of an empty server; in a test run that is done once, and then copied."""
        made = data
        if SHARED in os.environ:
            made = Path(os.environ[SHARED]) / hashlib.sha256(repr(options).encode()).hexdigest()
        if not made.exists():
            half = Path(tempfile.mkdtemp(dir=made.parent)) / "data"
            command = [self._program, "--initialize-insecure", f"--datadir={half}", *options]
            subprocess.run(command, check=True, stdout=self._log, stderr=self._log, timeout=120)
            (half / "auto.cnf").unlink()  # which server it is, that each has its own of
            with suppress(OSError):  # another process was faster
                half.rename(made)
            shutil.rmtree(half.parent)
        if made != data:
            subprocess.run(["cp", "-a", str(made), str(data)], check=True)

    def start(self) -> None:
        """Start it and wait until it answers."""
        places = [f"--datadir={self.folder / 'data'}", f"--port={self.port}", "--bind-address=127.0.0.1"]
        places += [f"--socket={self._sockets}.sock", f"--pid-file={self.folder}/pid"]
        command = [self._program, *places, *self._options]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        self._wait()

    def kill(self) -> None:
        """Let it be gone at once."""
        self._process.kill()
        self._process.wait()

    def shut_down(self) -> None:
        """Let it put its files in order and end, as for a restart."""
        self._process.terminate()
        self._process.wait(60)

    def stop(self) -> None:
        """End it, and do not start it again: its data go, so it is not let put them in order for three seconds."""
        self.kill()
        for end in (".sock", ".sock.lock"):
            Path(f"{self._sockets}{end}").unlink(missing_ok=True)
        self._log.close()

    def _wait(self) -> None:
        import pymysql

        for _ in range(600):
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
            with suppress(pymysql.err.OperationalError):
                connection: Any = pymysql.connect(
                    host="127.0.0.1", port=self.port, user="root", password="", autocommit=True, ssl_disabled=True
                )
                with connection.cursor() as cursor:
                    # Another one may have taken the port meanwhile, and would be shared with whoever started it.
                    cursor.execute("SELECT @@datadir")
                    (found,) = cursor.fetchone()
                    assert Path(found) == self.folder / "data", f"The server at port {self.port} is that of {found}."
                    cursor.execute("CREATE USER IF NOT EXISTS admin@'%' IDENTIFIED BY 'admin-secret'")
                    cursor.execute("GRANT ALL ON *.* TO admin@'%' WITH GRANT OPTION")
                connection.close()
                return
            time.sleep(0.1)
        raise AssertionError(f"mysqld does not answer: {(self.folder / 'log').read_text()[-2000:]}")


class Postmaster:
    """The wheel's server of a project's own, listening on a port and asking for passwords."""

    def __init__(self, project: Project) -> None:
        self.project, self.port = project, free_port()

    def start(self) -> None:
        """Start it and wait until it answers."""
        import psycopg2

        started = self.project.run("local", "start", "--port", str(self.port), "--json")
        assert started.code == 0, started.err
        rules = self.project.folder / ".local" / "pg" / "pg_hba.conf"
        if "127.0.0.1/32 scram" in rules.read_text(encoding="utf-8"):
            return
        connection = psycopg2.connect(host=started.json["host"], port=self.port, user="postgres", dbname="postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SET scram_iterations = 1")  # its 4,096 take as long as all else of a connection
            cursor.execute("ALTER ROLE postgres PASSWORD 'admin-secret'")
            cursor.execute("ALTER SYSTEM SET fsync = off")  # it need not outlive a loss of power
            rules.write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n", encoding="utf-8")
            cursor.execute("SELECT pg_reload_conf()")
        connection.close()

    def kill(self) -> None:
        """Let the postmaster be gone at once; its children notice and end."""
        pid = int((self.project.folder / ".local" / "pg" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(pid, signal.SIGKILL)
        for child in [str(pid), *children]:
            with suppress(FileNotFoundError):
                while ") Z " not in Path(f"/proc/{child}/stat").read_text():
                    time.sleep(0.01)

    def stop(self) -> None:
        """End it."""
        self.project.run("local", "stop")


#: PostgreSQL of the system, by its folders of programs; the last is the newest.
SYSTEM = [path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))]


class SystemPostgres:
    """A PostgreSQL of the system's, with its data in a folder; as root it runs as nobody."""

    def __init__(self, programs: Path, folder: Path, **settings: object) -> None:
        self.folder, self.data, self.port = folder, folder / "data", free_port()
        self._account = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        self._programs = programs
        self._settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", **settings}
        self.own(folder)
        password = folder / "password"
        password.write_text("admin-secret", encoding="utf-8")
        password.chmod(0o644)
        command = [programs / "initdb", "-D", self.data, "-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8"]
        assert self._run([*command, f"--pwfile={password}", "--no-sync"], stdout=subprocess.DEVNULL).wait(60) == 0

    def own(self, path: Path) -> None:
        """Let a file be the server's."""
        if self._account:
            os.chown(path, 65534, 65534)

    def start(self) -> None:
        """Start it and wait until it answers."""
        import psycopg2

        settings = {**self._settings, "fsync": "off"}  # it need not outlive a loss of power
        command = [self._programs / "postgres", "-D", self.data]
        with (self.folder / "log").open("w") as log:
            more = [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
            self._process = self._run([*command, *more], stdout=log, stderr=log)
        for _ in range(100):
            with suppress(psycopg2.OperationalError):
                psycopg2.connect(
                    host="127.0.0.1", port=self.port, user="postgres", password="admin-secret", dbname="postgres"
                ).close()
                return
            assert self._process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.1)
        raise AssertionError(f"postgres does not answer: {(self.folder / 'log').read_text()}")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(30)

    def _run(self, command: list[Any], **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([str(word) for word in command], cwd="/", **self._account, **options)
