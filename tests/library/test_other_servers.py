"""Servers of other versions than those that come with the tests, as far as the machine has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import crash_pipeline
import pytest
from conftest import Project, Server
from daemons import SYSTEM, SystemPostgres, open_folder
from living import ok, states


@contextmanager
def postgres(programs: Path) -> Iterator[Server]:
    """A server from a folder of programs."""
    with open_folder("postgres-") as folder:
        daemon = SystemPostgres(programs, folder)
        daemon.start()
        try:
            yield Server("postgresql", "127.0.0.1", daemon.port, "postgres", "admin-secret")
        finally:
            daemon.stop()


@pytest.mark.skipif(not SYSTEM, reason="no PostgreSQL in /usr/lib/postgresql")
@pytest.mark.parametrize("programs", SYSTEM, ids=lambda path: f"postgresql-{path.parts[4]}")
def test_everything_there_and_back(programs: Path, tmp_path: Path, render: Callable[..., Path]) -> None:
    own = Project(render(tmp_path / "my_pipeline"))
    with postgres(programs) as server:
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
