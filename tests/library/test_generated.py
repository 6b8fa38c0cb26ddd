"""Generated pairs of pipelines, on each server: applied exactly and taken back, or refused with nothing changed.

`benchmarks/generated.py` plays as many as one likes, and one of them by its seed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import evolution
import generated
import generated_edits
import generated_play
import pytest
from conftest import Project, Server

#: Pairs that were once applied wrongly, or refused too late.
MENDED = [
    (613, 911, 971, 1175, 1212, 1247, 1337, 1350),
    (1389, 1471, 1530, 1686, 1735, 1738, 1867, 1973),
    (1993, 1997, 2158, 2203, 2275, 2408, 2415, 2478),
    (4250, 4291, 4568, 4697, 4777, 4959, 4982, 5075),
    (5353, 5364, 5454, 5498, 5903, 4124, 4452, 4506),
]

#: What is played here, so many at a time that a failure is near its seed and the tests are no longer than their names.
SEEDS = [tuple(range(4)), *MENDED]

Stages = SimpleQueue[evolution.Stage]


@pytest.fixture(scope="module")
def stages_on(tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Callable[[Server], Stages]:
    """Projects for each server, one a processor, with a warm process each."""
    found: dict[str, Stages] = {}

    def stages_on(server: Server) -> Stages:
        if server.backend not in found:
            found[server.backend] = SimpleQueue()
            for number in range(os.cpu_count() or 1):
                project = Project(render(tmp_path_factory.mktemp("generated") / "my_pipeline"))
                found[server.backend].put(evolution.Stage(project, server, f"generated{number}_"))
                project.warm_up()
        return found[server.backend]

    return stages_on


@pytest.mark.parametrize("seeds", SEEDS, ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
def test_generated_pairs(seeds: tuple[int, ...], server: Server, stages_on: Callable[[Server], Stages]) -> None:
    stages = stages_on(server)

    def play(seed: int) -> generated_play.Outcome:
        stage = stages.get()
        try:
            return generated_play.play(stage, seed)
        finally:
            stages.put(stage)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        outcomes = list(pool.map(play, seeds))
    broken = [outcome for outcome in outcomes if outcome.kind == "broken"]
    assert not broken, "\n\n".join(map(generated_play.told, broken))


def test_a_seed_makes_one_pair() -> None:
    assert generated.pair(7) == generated.pair(7)
    assert generated.pair(7) != generated.pair(8)


def test_every_edit_is_made() -> None:
    made = {edit for seed in range(300) for edit in generated.pair(seed)["edits"]}
    assert made == set(generated_edits.EDITS)
