"""What tables have beside what DataJoint makes, with each kind of change: right, or refused beforehand; a sample."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import oddities
import pytest
from conftest import Server
from oddities import CHANGES, ODDITIES, Ground

#: Kinds of change for each server, each with so many oddities; benchmarks/oddities.py has all of both.
KINDS, WITH = 2, 5


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def ground(
    request: pytest.FixtureRequest, render: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    server: Server = request.getfixturevalue(request.param)
    with oddities.ground(server, render, tmp_path_factory.mktemp("oddities")) as made:
        yield made


def test_a_change_of_what_labs_have_is_right_or_refused(ground: Ground) -> None:
    chance, pairs = random.Random(7), []
    for change in chance.sample(sorted(CHANGES), KINDS):
        chosen = chance.sample(sorted(ODDITIES[ground.server.backend]), WITH)
        pairs += [ground.play(change, oddity) for oddity in ["nothing", *chosen]]
    assert not [pair for pair in pairs if pair.problems]
    assert not [pair for pair in pairs if pair.oddity == "nothing" and pair.refused]
