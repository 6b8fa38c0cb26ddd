"""Chains of three generated migrations: all at once, on a database that is behind, as one by one.

    uv run benchmarks/chains.py
    uv run benchmarks/chains.py --start 100 --chains 50 --backend mysql
    uv run benchmarks/chains.py --seed 27

A seed makes tables, rows and three times some edits; each time `revise` writes migrations. On one database they are
applied as they are written, on another one all at once in the end. Both have to be the same then; `check` has to be
satisfied, and everything has to go back to the start and come again. With --seed all is told.
"""

from __future__ import annotations

import os.path
import sys

# The tests' modules first; this folder last, for its copy.py is not the library's.
sys.path.append(sys.path.pop(0))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))

import argparse
import shutil
from collections import Counter

import generated_chains
import generated_play
from conftest import Project
from evolution import Stage
from servers import BACKENDS, started


def main() -> None:
    """Play the chains and print a few lines for each server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=[*BACKENDS, "both"], default="both")
    parser.add_argument("--chains", type=int, default=200, metavar="N", help="how many")
    parser.add_argument("--start", type=int, default=0, metavar="SEED", help="the first seed")
    parser.add_argument(
        "--seed", type=int, nargs="+", metavar="SEED", help="these alone, and all there is to say of them"
    )
    options = parser.parse_args()
    seeds, problems = options.seed or range(options.start, options.start + options.chains), 0
    with started(options.backend) as (folder, servers):
        for backend, server in servers.items():
            places = [shutil.copytree(folder / "my_pipeline", folder / f"{backend}-{name}") for name in "ab"]
            one, two = (Stage(Project(p), server, f"chain{n}_") for n, p in enumerate(places))
            for stage in (one, two):
                stage.project.warm_up()
            outcomes = []
            for seed in seeds:
                outcomes.append(generated_chains.play((one, two), seed))
                if options.seed or outcomes[-1].kind == "broken":
                    print(generated_chains.told(outcomes[-1]))
            kinds = Counter(outcome.kind for outcome in outcomes)
            print(f"{BACKENDS[backend]}: {dict(kinds)}")
            for words in ("reason", "back"):
                for reason, count in Counter(generated_play.plain(getattr(o, words)) for o in outcomes).most_common():
                    print(f"  {count:4}  {words}: {reason[:150]}" if reason else "", end="\n" * bool(reason))
            problems += kinds["broken"]
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
