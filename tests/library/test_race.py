"""Runners that begin at once apply everything once; who reads with the code of before reads right, or is refused."""

from __future__ import annotations

import racing
from crashing import Ground
from sampling import whole
from test_crash import ground as ground

#: Of `migrate` alone, before one of several commands; benchmarks/race.py plays many more.
ROUNDS = {"mysql": 2, "postgresql": 2} if whole() else {"mysql": 1, "postgresql": 0}

assert ground  # a fixture


def test_runners_that_begin_at_once(ground: Ground) -> None:
    with racing.race(ground, 8) as race:
        for commands in [[["migrate"]]] * ROUNDS[ground.server.backend] + [racing.MIX]:
            found = race.run(*commands)
            assert found.problems == [], commands
            assert found.codes[0] >= 8 / len(commands) - 1
