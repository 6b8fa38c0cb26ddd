"""What of the slow proofs is played: all with ``--whole``, as before a release, and a sample otherwise, as in CI."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

#: The tests that are slow, a line each; written by ``--note-slow``.
SLOW = Path(__file__).with_name("slow.txt")

#: From how many seconds on a test is slow, beside others on two cores.
LONG = 3.0

#: A slow test has its turn at every so many commits.
TURNS = 5

#: Set for the processes of a run that was given ``--whole``.
WHOLE = "TESTS_WHOLE"

#: Set to a number for the processes of a run that plays the sample of all files.
TURN = "TESTS_TURN"


def whole() -> bool:
    """Whether all is to be played."""
    return bool(os.environ.get(WHOLE))


def slow() -> set[str]:
    """The slow tests as pytest names them, without their parameters."""
    return set(SLOW.read_text(encoding="utf-8").splitlines())


class Noting:
    """Notes which tests are slow while they are played; where there are workers, their reports come to the first process."""

    def __init__(self) -> None:
        self.took: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up what a case takes, with its fixtures."""
        self.took[report.nodeid] = self.took.get(report.nodeid, 0) + report.duration

    def pytest_sessionfinish(self) -> None:
        """Write the list."""
        SLOW.write_text("".join(f"{name}\n" for name in noted(slow(), self.took)), encoding="utf-8")


def noted(known: Collection[str], took: Mapping[str, float]) -> list[str]:
    """The slow tests after a run, in which each case took some seconds; of tests that were not played, what is known
    stays, as long as their files have them."""
    tests: dict[str, float] = {}
    for case, seconds in took.items():
        name = case.partition("[")[0]
        tests[name] = max(tests.get(name, 0), seconds)
    others = [name for name in known if name not in tests and _is_there(*name.split("::"))]
    return sorted([*others, *(name for name, seconds in tests.items() if seconds >= LONG)])


def _is_there(file: str, name: str) -> bool:
    path = SLOW.parent.parent / file
    return path.exists() and f"def {name}(" in path.read_text(encoding="utf-8")


def left_out(items: list[pytest.Item], turn: int | None, slow: Collection[str]) -> list[pytest.Function]:
    """The cases that a sample does without; they are the same each time that it is this turn.

    Without a turn, slow ones are all played: somebody named what they want to see.
    """
    tests = [item for item in items if isinstance(item, pytest.Function)]
    cases = [test for test in tests if hasattr(test, "callspec")]
    without = [*_beside_a_sample(cases), *_on_the_other_server(cases)]
    if turn is None:
        return without
    played = [test for test in tests if test not in without and not test.get_closest_marker("every_commit")]
    units = [unit for unit in _units(played) if any(test.nodeid.partition("[")[0] in slow for test in unit)]
    return [*without, *(test for number, unit in enumerate(units) if (number - turn) % TURNS for test in unit)]


def _units(tests: list[pytest.Function]) -> list[list[pytest.Function]]:
    """What is played together or not at all: all tests of a file that is marked ``in_order``, or one test."""
    found: dict[object, list[pytest.Function]] = {}
    for test in tests:
        found.setdefault(test.path if test.get_closest_marker("in_order") else test, []).append(test)
    return [*found.values()]


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
