"""Real evolutions of real pipelines, through `revise` and `migrate`: applied exactly, or refused with nothing changed.

A handful is played by default, all of the corpus where ``CORPUS_ALL`` is set; `benchmarks/evolution.py` counts them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import corpus
import evolution
import evolution_oracle as oracle
import pytest
from conftest import Server

#: What must come of a case, and what is told of it.
HANDFUL = {
    "element-animal-0.1.1-0.1.2-1": "applied",
}

CASES = list(corpus.cases()) if os.environ.get("CORPUS_ALL") else [name for name in HANDFUL if name in corpus.cases()]


@pytest.fixture(scope="session")
def stage_on(
    tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]
) -> Callable[[Server], evolution.Stage]:
    """A project for each server."""
    return evolution.stages(tmp_path_factory.mktemp("evolution"), render, "evolution_")


@pytest.mark.skipif(bool(corpus.MISSING), reason=corpus.MISSING)
@pytest.mark.parametrize("name", CASES)
def test_evolution(name: str, server: Server, stage_on: Callable[[Server], evolution.Stage]) -> None:
    if server.backend not in corpus.cases()[name]["backends"]:
        pytest.skip(f"DataJoint cannot declare it on {server.backend}")
    verdict = evolution.play(stage_on(server), name)
    assert not verdict.problems
    assert verdict.outcome in ("applied", "refused"), verdict.reason
    assert verdict.outcome == HANDFUL.get(name, verdict.outcome), verdict.reason


def test_the_judge_sees_values_that_are_lost() -> None:
    before = oracle.Rows(["a", "b"], [(1, "x"), (2, "y")])

    def lost(rows: list[tuple[object, ...]], *, more: bool = False) -> list[str]:
        return oracle.lost(before, oracle.Rows(["a", "c"], rows), {"a": "a", "b": "c"}, more=more)

    assert not lost([(2, "y"), (1, "x")])
    assert not lost([("1", "x"), ("2", "y")]), "an integer may become a text"
    assert not lost([(1, "x"), (2, "y"), (3, "z")], more=True)
    assert "3 rows instead of 2" in lost([(1, "x"), (2, "y"), (3, "z")])[0]
    assert "1 rows instead of 2" in lost([(1, "x")])[0]
    assert "b: x, y became x, x" in lost([(1, "x"), (2, "x")])
    assert "values of other rows side by side" in lost([(1, "y"), (2, "x")])[0]
    assert oracle.lost(before, oracle.Rows(["a"], [(1,), (2,)]), {"a": "a", "b": "b"}) == ["b is gone"]


def test_the_judge_sees_what_a_table_lacks() -> None:
    def table(**changes: object) -> oracle.Catalogue:
        column = {"name": "a", "type": "int", "nullable": False, "default": None, "comment": ""}
        found = oracle.Table("#t", "db", "", [oracle.Column(**{**column, **changes})], {("primary", ("a",))})
        return {("s", "t"): found}

    assert not oracle.differences(table(), table())
    assert not oracle.differences(table(default=None), table(default="NULL::character varying"))
    for change in ({"type": "bigint"}, {"nullable": True}, {"default": "0"}, {"comment": "b"}, {"name": "b"}):
        assert oracle.differences(table(), table(**change)), change
    assert oracle.differences(table(), {}) == ["s.t is missing"]
    assert oracle.differences({}, table()) == ["s.t should not be there"]
