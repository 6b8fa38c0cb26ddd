"""Servers of other versions than those that come with the tests, as far as the machine has them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import crash_pipeline
import pytest
from conftest import Project, Server
from daemons import free_port
from living import ok, states

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


@contextmanager
def postgres(programs: Path) -> Iterator[Server]:
    """A server from a folder of programs; as root it runs as nobody."""
    folder, port = Path(tempfile.mkdtemp(prefix="postgres-")), free_port()
    who = {"user": "nobody"} if os.geteuid() == 0 else {}
    if who:
        shutil.chown(folder, "nobody")
    password = folder / "password"
    password.write_text("admin-secret")
    password.chmod(0o644)
    data = folder / "data"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8"],
        check=True, **who, **quiet,
    )  # fmt: skip
    options = ["-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", str(folder), "-c", "fsync=off"]
    process = subprocess.Popen([programs / "postgres", "-D", data, *options], **who, **quiet)
    server = Server("postgresql", "127.0.0.1", port, "postgres", "admin-secret")
    try:
        for _ in range(100):
            try:
                server.execute("SELECT 1")
                break
            except Exception:
                assert process.poll() is None
                time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder)


@pytest.mark.skipif(not PROGRAMS, reason="no PostgreSQL in /usr/lib/postgresql")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: f"postgresql-{path.parts[4]}")
def test_everything_there_and_back(program: Path, tmp_path: Path, render: Callable[..., Path]) -> None:
    own = Project(render(tmp_path / "my_pipeline"))
    with postgres(program.parent) as server:
        own.environment |= {**server.variables, "MY_PIPELINE_ENV": "dev", "DJ_LOG_LEVEL": "ERROR"}
        crash_pipeline.lay(own)
        ok(own, "init")
        crash_pipeline.fill(own, 12)
        ok(own, "status")
        crash_pipeline.evolve(own)
        ok(own, "migrate")
        assert states(own) == {"life": ("current", "2.0.0"), "work": ("current", "2.0.0")}
        ok(own, "rollback", "work", "--to", "1.0.0")
        ok(own, "migrate")
        assert ok(own, "diff").out.count("nothing changed") == 2
