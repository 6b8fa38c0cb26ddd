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
import generated_chains
import generated_edits
import generated_play
import pytest
from conftest import Project, Server
from sampling import whole

#: What is played here, so many at a time that a failure is near its seed and the tests are no longer than their names.
#: Of the pairs that were once applied wrongly, each server has every 32nd, and another one; with ``--whole``, all of
#: them on both, and four others. `benchmarks/generated.py` plays more.
SEEDS = {
    backend: [tuple(range(4)), tuple(generated.MENDED)] if whole() else [(first,), tuple(generated.MENDED[first::32])]
    for first, backend in enumerate(("mysql", "postgresql"))
}

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


@pytest.mark.parametrize(
    ("backend", "seeds"),
    [
        pytest.param(backend, seeds, id=f"{backend}-{seeds[0]}-{seeds[-1]}")
        for backend in SEEDS
        for seeds in SEEDS[backend]
    ],
)
def test_generated_pairs(
    backend: str, seeds: tuple[int, ...], request: pytest.FixtureRequest, stages_on: Callable[[Server], Stages]
) -> None:
    stages = stages_on(request.getfixturevalue(backend))

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


#: Chains that were once wrong: whose migrations were applied in another order than written, or could not come again.
CHAINS = (27, 42, 45, 51, 75) if whole() else (27,)


@pytest.mark.parametrize("backend", SEEDS)
def test_generated_chains(
    backend: str, request: pytest.FixtureRequest, tmp_path: Path, render: Callable[..., Path]
) -> None:
    """Three migrations at once end as one by one; `benchmarks/chains.py` plays more."""
    server = request.getfixturevalue(backend)
    places = [render(tmp_path / name / "my_pipeline") for name in "ab"]
    one, two = (evolution.Stage(Project(place), server, f"chain{number}_") for number, place in enumerate(places))
    for seed in CHAINS:
        outcome = generated_chains.play((one, two), seed)
        assert outcome.kind == "applied", generated_chains.told(outcome)


def test_a_seed_makes_one_pair() -> None:
    assert generated.pair(7) == generated.pair(7)
    assert generated.pair(7) != generated.pair(8)


def test_every_edit_is_made() -> None:
    missing = set(generated_edits.EDITS)
    for seed in range(300):
        if not missing:
            break
        made = set(generated.pair(seed)["edits"])
        assert made <= set(generated_edits.EDITS)
        missing -= made
    assert not missing
