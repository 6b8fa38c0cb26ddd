"""The pipeline of ``test_migrate`` on a real server, for tests that break something."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from conftest import Project, Server
from test_migrate import FILL, LIFE, VERSION, WORK, ok
from test_model import clear
from test_servers import drop


@contextmanager
def living(server: Server, own: Project) -> Iterator[Project]:
    """Two schemas with rows in ``dev``; they are gone at the end."""
    clear(own)
    own.write(own.module("life"), LIFE)
    own.write(own.module("work"), WORK)
    own.write(own.module("version"), VERSION)
    own.environment |= {**server.variables, "MY_PIPELINE_ENV": "dev", "DJ_LOG_LEVEL": "ERROR"}
    drop(server, "dev_work", "dev_life")
    try:
        ok(own, "init")
        filled = own.python("-c", FILL)
        assert filled.code == 0, filled.err
        yield own
    finally:
        drop(server, "dev_work", "dev_life")
