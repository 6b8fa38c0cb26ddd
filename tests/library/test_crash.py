"""A migration that is broken off anywhere is gone on with, and ends as if nothing had happened; a sample of the places."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import crashing
import pytest
from crashing import FAULTS, WHEN, Ground
from sampling import whole

#: Cases of each server: each fault at each moment, and with ``--whole`` some of it again; benchmarks/crash.py has them all.
CASES = 12 if whole() else 9


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def ground(request: pytest.FixtureRequest, render: Callable[..., Path]) -> Iterator[Ground]:
    if request.param == "mysql" and shutil.which("mysqld") is None:
        pytest.skip("no mysqld on PATH, and a server that is killed must be one of the test's own")
    with crashing.ground(request.param, render, rows=12) as made:
        yield made


def test_a_connection_that_is_lost_is_not_the_fault_of_a_value(ground: Ground) -> None:
    converting = [
        n for n, text in enumerate(ground.statements) if re.match(r"UPDATE .*\brecoded_picture\b", text, re.S)
    ]
    assert ground.play(converting[0], "before", "connection").problems == []


def test_a_table_that_is_away_for_an_instant_comes_back(ground: Ground) -> None:
    away = [n for n, text in enumerate(ground.statements) if re.match(r"RENAME TABLE .*_away` TO", text, re.S)]
    assert away or ground.server.backend == "postgresql"
    for number in away[:2]:
        assert ground.play(number, "before", "runner").problems == []


def broken_off(ground: Ground, cases: int, runners: int = 1) -> list[str]:
    """What goes wrong where a command is broken off at some of its statements, and run again, by one or two."""
    chance = random.Random(4 * runners)
    points = ground.points()
    problems = []
    play = ground.play if runners == 1 else ground.play_with_two
    for number in range(cases):
        when, what = WHEN[number % 3], FAULTS[number // 3 % 3]
        case = play(chance.choice(points), when, what, share=chance.random())
        problems += [f"{when} {case.statement[:200]} ({what}): {problem}" for problem in case.problems]
    return problems


@pytest.mark.both_servers
def test_what_is_broken_off_is_gone_on_with(ground: Ground) -> None:
    assert len(ground.points()) > 50
    assert not broken_off(ground, CASES)


def test_two_that_go_on_at_once_end_it_as_one_does(ground: Ground) -> None:
    assert not broken_off(ground, CASES // 2, runners=2)


def test_what_is_broken_off_can_be_taken_back(ground: Ground) -> None:
    """Most of the statements are of a run with a way back; there, everything is as it was, or the refusal says why."""
    chance, points, cases = random.Random(5), ground.points(), []
    for number in range(CASES // 2 if ground.server.backend == "mysql" else 2):
        when, what = WHEN[number % 3], FAULTS[number // 3 % 3]
        second = chance.randrange(20, 80) if number % 2 else None
        cases.append(ground.take_back(chance.choice(points), when, what, chance.random(), second))
    assert not [case for case in cases if case.problems]
    assert any(case.back for case in cases) or ground.server.backend == "postgresql"


def test_rollback_is_gone_on_with(ground: Ground) -> None:
    ground.play_command("rollback")
    assert not broken_off(ground, CASES // 4)


def test_rollback_of_several_schemas_is_gone_on_with(ground: Ground) -> None:
    ground.play_command("along")
    versions = {schema["name"]: schema["database_version"] for schema in ground.end["status"]}
    assert versions == {"life": "2.0.0", "work": "2.0.0"}
    assert len(ground.points()) > 40
    assert not broken_off(ground, CASES // 2)


def test_purge_is_gone_on_with(ground: Ground) -> None:
    ground.play_command("purge")
    assert not broken_off(ground, CASES // 3)


def test_init_is_gone_on_with(ground: Ground) -> None:
    ground.play_command("init")
    assert not broken_off(ground, CASES // 3)
