"""Who lives is told by locks that every account sees."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import datajoint as dj
import pytest
from accounts import Account
from conftest import Server
from datajoint.settings import Config

from datajoint_pipeline.jobs import liveness
from datajoint_pipeline.jobs.liveness import LiveWorker, State

PIPELINE = f"test_liveness_{os.getpid()}"


@contextmanager
def session(server: Server, user: str = "", password: str = "") -> Iterator[dj.Connection]:
    config = Config()
    config["database.backend"] = server.backend
    config["database.name"] = "postgres" if server.backend == "postgresql" else None
    who = (user, password) if user else (server.user, server.password)
    connection = dj.Connection(server.host, *who, server.port, use_tls=False, config_override=config)
    try:
        yield connection
    finally:
        if connection.is_connected:
            connection.close()


def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Servers let go of the locks of a session a moment after it closed."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def stranger(server: Server) -> Iterator[Account]:
    """An account without any right."""
    account = Account(server, "stranger")
    yield account
    account.drop()


def test_a_stranger_sees_who_lives_and_who_died(server: Server, stranger: Account) -> None:
    plain = 4711
    with session(server, stranger.name, stranger.password) as watcher:
        with session(server) as first, session(server) as second:
            slots = [liveness.take_slot(one, PIPELINE, "small") for one in (first, second)]
            assert slots == [0, 1]
            assert liveness.take_slot(second, PIPELINE, "large") == 0
            numbers = [liveness.new_number("small", slot) for slot in (0, 1)]
            for one, number in zip((first, second), numbers, strict=True):
                assert liveness.advisory_locks.take(one, liveness.lock_of(number))
            found = liveness.states(watcher, [*numbers, plain])
            assert found == {numbers[0]: State.ALIVE, numbers[1]: State.ALIVE, plain: State.UNKNOWN}
            there = liveness.living(watcher, PIPELINE, ["small", "large", "other"])
            assert there == [LiveWorker("large", 0), LiveWorker("small", 0), LiveWorker("small", 1)]
            assert [worker for worker in there if worker.reserved(numbers[1])] == [LiveWorker("small", 1)]
            assert not any(worker.reserved(plain) for worker in there)
            assert not liveness.advisory_locks.take(watcher, liveness.lock_of(numbers[0]))
            assert liveness.advisory_locks.has(first, liveness.lock_of(numbers[0]))
            assert not liveness.advisory_locks.has(second, liveness.lock_of(numbers[0]))
            second.close()
            until(lambda: liveness.states(watcher, numbers) == {numbers[0]: State.ALIVE, numbers[1]: State.DEAD})
            assert liveness.living(watcher, PIPELINE, ["small"]) == [LiveWorker("small", 0)]
            with session(server) as third:
                assert liveness.take_slot(third, PIPELINE, "small") == 1
        until(lambda: not liveness.living(watcher, PIPELINE, ["small", "large"]))


def test_no_two_workers_have_one_number() -> None:
    numbers = {liveness.new_number("small", slot) for slot in range(liveness.SLOTS)}
    assert len(numbers) == liveness.SLOTS
    assert all(liveness.is_worker(number) and number < 1 << 53 for number in numbers)
