"""What of the slow proofs is played: all with ``--whole``, as before a release, and a sample otherwise, as in CI."""

from __future__ import annotations

import os
from collections import Counter

import pytest

#: Set for the processes of a run that was given ``--whole``.
WHOLE = "TESTS_WHOLE"


def whole() -> bool:
    """Whether all is to be played."""
    return bool(os.environ.get(WHOLE))


def left_out(items: list[pytest.Item]) -> list[pytest.Function]:
    """The cases that a sample does without; they are the same every time."""
    cases = [item for item in items if isinstance(item, pytest.Function) and hasattr(item, "callspec")]
    return [*_beside_a_sample(cases), *_on_the_other_server(cases)]


def _beside_a_sample(cases: list[pytest.Function]) -> list[pytest.Function]:
    """Of each test marked ``sampled``, what is not needed for each value of each parameter, and of each fixture with
    parameters, to be there at least once, as evenly as the order lets it."""
    tests: dict[tuple[str, str], list[pytest.Function]] = {}
    for case in cases:
        if case.get_closest_marker("sampled"):
            tests.setdefault((str(case.path), case.originalname), []).append(case)
    return [case for found in tests.values() for case in found if case not in _sample(found)]


def _on_the_other_server(cases: list[pytest.Function]) -> list[pytest.Function]:
    """Of what is marked ``one_server``, the cases that have their turn on another server than that which it names, if
    it does."""
    files: dict[str, dict[str, list[pytest.Function]]] = {}
    without: list[pytest.Function] = []
    for case in cases:
        others = {name: value for name, value in case.callspec.params.items() if value not in ("mysql", "postgresql")}
        if (mark := case.get_closest_marker("one_server")) is None:
            continue
        if mark.args:
            without += [case] if mark.args[0] not in case.callspec.params.values() else []
        else:
            files.setdefault(str(case.path), {}).setdefault(f"{case.originalname} {others!r}", []).append(case)
    turns = [pair for found in files.values() for pair in enumerate(found.values())]
    return [
        *without,
        *(case for turn, servers in turns for case in servers if case is not servers[turn % len(servers)]),
    ]


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
