"""`adopt`, killed at any statement and run again, ends as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from conftest import Project, Server
from living import living as made
from living import ok, states
from proxy import Fault, Proxy

LINEAGE = "SELECT table_name, attribute_name, lineage FROM {0}{1}{0}.{0}~lineage{0} ORDER BY 1, 2"


@pytest.fixture
def unknown(project: Project, server: Server) -> Iterator[Project]:
    """A pipeline whose tables nobody recorded."""
    with made(server, project) as own:
        forget(server)
        yield own


def mark(server: Server) -> str:
    return "`" if server.backend == "mysql" else '"'


def forget(server: Server) -> None:
    q = mark(server)
    names = ("~migration", "~migration_step", "~lineage")
    server.execute(*(f"DROP TABLE IF EXISTS {d}.{q}{n}{q}" for d in ("dev_life", "dev_work") for n in names))


def origins(server: Server) -> list[list[tuple[object, ...]]]:
    return [server.execute(LINEAGE.format(mark(server), database)) for database in ("dev_life", "dev_work")]


@pytest.mark.both_servers
def test_wherever_it_is_killed(unknown: Project, server: Server) -> None:
    proxy = Proxy(server.backend, server.port)
    direct = dict(unknown.environment)
    unknown.environment |= replace(server, port=proxy.port).variables | {"DJ_USE_TLS": "false"}
    try:
        proxy.begin()
        ok(unknown, "adopt")
        statements, wanted = list(proxy.statements), origins(server)
        assert all(wanted)
        writing = [n for n, text in enumerate(statements) if text.startswith(("INSERT", "UPDATE", "CREATE", "COMMIT"))]
        assert len(writing) > 4, statements
        for number in writing:
            forget(server)
            proxy.begin(Fault(number, "after", lambda: None))
            assert unknown.run("adopt").code, statements[number]
            proxy.begin()
            ok(unknown, "adopt")
            assert origins(server) == wanted, statements[number]
            assert {state for state, _ in states(unknown).values()} == {"current"}, statements[number]
    finally:
        proxy.close()
        unknown.environment.clear()
        unknown.environment |= direct


def test_what_earlier_releases_left_half_written(unknown: Project, server: Server) -> None:
    """A record without its head, of a run that changed nothing."""
    ok(unknown, "adopt")
    q = mark(server)
    server.execute(f"UPDATE dev_life.{q}~migration{q} SET status = 'running', finished_at = NULL, fingerprint = NULL")
    assert states(unknown)["life"][0] == "interrupted"
    ok(unknown, "adopt")
    assert {state for state, _ in states(unknown).values()} == {"current"}
