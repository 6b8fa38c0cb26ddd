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


def left_out(items: list[pytest.Item]) -> list[pytest.Item]:
    """The cases of tests marked ``sampled`` that a sample does without.

    What is left has each value of each parameter of a test, and of each fixture with parameters, at least once, as evenly
    as its order lets it; it is the same every time.
    """
    tests: dict[tuple[str, str], list[pytest.Function]] = {}
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("sampled") and hasattr(item, "callspec"):
            tests.setdefault((str(item.path), item.originalname), []).append(item)
    return [item for cases in tests.values() for item in cases if item not in _sample(cases)]


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
