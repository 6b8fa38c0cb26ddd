"""What of the slow proofs is played: all with ``--whole``, as before a release, and a sample otherwise, as in CI."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

#: A slow test has its turn at every so many commits.
TURNS = 4

#: Set for the processes of a run that was given ``--whole``.
WHOLE = "TESTS_WHOLE"

#: Set to a number for the processes of a run that plays the sample of all files.
TURN = "TESTS_TURN"


def whole() -> bool:
    """Whether all is to be played."""
    return bool(os.environ.get(WHOLE))


def left_out(items: list[pytest.Item], turn: int | None) -> list[pytest.Function]:
    """The cases that a sample does without; they are the same each time that it is this turn.

    Without a turn, slow ones are all played: somebody named what they want to see.
    """
    tests = [item for item in items if isinstance(item, pytest.Function)]
    cases = [test for test in tests if hasattr(test, "callspec")]
    without = [*_beside_a_sample(cases), *_on_the_other_server(cases)]
    slow = [test for test in tests if test.get_closest_marker("slow") and test not in without]
    return [*without, *(test for number, test in enumerate(slow) if turn is not None and (number - turn) % TURNS)]


def take_turn() -> None:
    """Settle whose turn it is among the slow tests, for all processes of a run: each commit up to this one is a turn."""
    command = ["git", "rev-list", "--count", "HEAD"]
    counted = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    os.environ[TURN] = str(int(counted.stdout or 0))


def turn() -> int | None:
    """Whose turn it is; None where tests were asked for by name."""
    return int(os.environ[TURN]) if TURN in os.environ else None


def _beside_a_sample(cases: list[pytest.Function]) -> list[pytest.Function]:
    """Of each test marked ``sampled``, what is not needed for each value of each parameter, and of each fixture with
    parameters, to be there at least once, as evenly as the order lets it."""
    tests: dict[tuple[str, str], list[pytest.Function]] = {}
    for case in cases:
        if case.get_closest_marker("sampled"):
            tests.setdefault((str(case.path), case.originalname), []).append(case)
    return [case for found in tests.values() for case in found if case not in _sample(found)]


def _on_the_other_server(cases: list[pytest.Function]) -> list[pytest.Function]:
    """The cases that have their turn on another server.

    A test that a fixture plays on each server is played on one of them, which take turns within a file, or on the one
    that its mark ``one_server`` names. It is played on both if it is marked ``both_servers``, or ``sampled``, which sees
    to it. A server that stands in the test's own ``parametrize`` is no more than a value, unless the test is marked
    ``one_server``.
    """
    files: dict[str, dict[str, list[pytest.Function]]] = {}
    without: list[pytest.Function] = []
    for case in cases:
        if case.get_closest_marker("both_servers") or case.get_closest_marker("sampled"):
            continue
        names = {name for name, value in case.callspec.params.items() if value in ("mysql", "postgresql")}
        mark = case.get_closest_marker("one_server")
        if not (names if mark else names - _values(case)):
            continue
        if mark and mark.args:
            without += [case] if mark.args[0] not in case.callspec.params.values() else []
        else:
            others = {name: value for name, value in case.callspec.params.items() if name not in names}
            files.setdefault(str(case.path), {}).setdefault(f"{case.originalname} {others!r}", []).append(case)
    turns = [pair for found in files.values() for pair in enumerate(found.values())]
    return [
        *without,
        *(case for turn, servers in turns for case in servers if case is not servers[turn % len(servers)]),
    ]


def _values(case: pytest.Function) -> set[str]:
    """Names of the parameters that the test itself gives values, and no fixture."""
    marks = [mark for mark in case.iter_markers("parametrize") if not mark.kwargs.get("indirect")]
    listed = [mark.args[0] if mark.args else mark.kwargs["argnames"] for mark in marks]
    return {name.strip() for names in listed for name in (names.split(",") if isinstance(names, str) else names)}


def _sample(cases: list[pytest.Function]) -> list[pytest.Function]:
    values = {case: {(name, repr(value)) for name, value in case.callspec.params.items()} for case in cases}
    played: Counter[tuple[str, str]] = Counter()
    taken: list[pytest.Function] = []
    while missing := set().union(*values.values()) - played.keys():

        def worth(case: pytest.Function, missing: set[tuple[str, str]] = missing) -> tuple[int, int]:
            """How many new values it brings, and how seldom its others were played."""
            return len(values[case] & missing), -sum(played[value] for value in values[case])

        best = max(cases, key=worth)  # the first of several
        taken.append(best)
        played.update(values[best])
    return taken
