"""Generated pairs of pipelines, on each server: applied exactly and taken back, or refused with nothing changed.

`benchmarks/generated.py` plays as many as one likes, and one of them by its seed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import evolution
import generated
import generated_play
import pytest
from conftest import Project, Server

#: What is played here, so many at a time that a failure is near its seed and the table of tests is no longer than it.
SEEDS = [range(start, start + 10) for start in range(0, 100, 10)]


@pytest.fixture(scope="module")
def stage_on(
    tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]
) -> Callable[[Server], evolution.Stage]:
    """A project for each server, with a warm process of its own."""
    stages: dict[str, evolution.Stage] = {}

    def stage_on(server: Server) -> evolution.Stage:
        if server.backend not in stages:
            project = Project(render(tmp_path_factory.mktemp("generated") / "my_pipeline"))
            stages[server.backend] = evolution.Stage(project, server, "generated_")
            project.warm_up()
        return stages[server.backend]

    return stage_on


@pytest.mark.parametrize("seeds", SEEDS, ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
def test_generated_pairs(seeds: range, server: Server, stage_on: Callable[[Server], evolution.Stage]) -> None:
    outcomes = [generated_play.play(stage_on(server), seed) for seed in seeds]
    broken = [outcome for outcome in outcomes if outcome.kind == "broken"]
    assert not broken, "\n\n".join(map(generated_play.told, broken))


def test_a_seed_makes_one_pair() -> None:
    assert generated.pair(7) == generated.pair(7)
    assert generated.pair(7) != generated.pair(8)


def test_every_edit_is_made() -> None:
    from generated_edits import EDITS

    made = {edit for seed in range(300) for edit in generated.pair(seed)["edits"]}
    assert made == set(EDITS)
