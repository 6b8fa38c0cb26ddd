"""Each kind of change with each thing that tables have and DataJoint does not know: right, or refused beforehand.

uv run benchmarks/oddities.py
uv run benchmarks/oddities.py --backend mysql --oddity view --change rename
"""

from __future__ import annotations

import os.path
import sys

# The tests' modules first; this folder last, for its copy.py is not the library's.
sys.path.append(sys.path.pop(0))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))

import argparse
import multiprocessing
import random
from concurrent.futures import ProcessPoolExecutor

import oddities
from oddities import CHANGES, ODDITIES, Pair
from servers import BACKENDS, render, started


def main() -> None:
    """Play the pairs and print a line for each oddity."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=[*BACKENDS, "both"], default="both")
    parser.add_argument("--oddity", action="append", help="only this one")
    parser.add_argument("--change", action="append", choices=CHANGES, help="only this one")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each Nth pair")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="servers at a time")
    parser.add_argument("--verbose", action="store_true", help="print what refusals say")
    options = parser.parse_args()
    problems = 0
    for backend in BACKENDS if options.backend == "both" else [options.backend]:
        with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
            found = [
                pair for part in pool.map(play, [(backend, n, options) for n in range(options.jobs)]) for pair in part
            ]
        tell(BACKENDS[backend], found)
        problems += sum(bool(pair.problems) for pair in found)
    sys.exit(bool(problems))


def play(task: tuple[str, int, argparse.Namespace]) -> list[Pair]:
    """One worker's share of the pairs, on a server of its own."""
    backend, mine, options = task
    found: list[Pair] = []
    with started(backend) as (folder, servers):
        if backend not in servers:
            return found
        with oddities.ground(servers[backend], render, folder) as ground:
            names = list(options.change or CHANGES)[mine :: options.jobs]
            pairs = [(change, oddity) for change in names for oddity in options.oddity or ODDITIES[backend]]
            random.Random(0).shuffle(pairs)
            for change, oddity in pairs[:: options.every]:
                found.append(ground.play(change, oddity))
                for problem in found[-1].problems:
                    print(f"{backend} {oddity} / {change}: {problem}", file=sys.stderr)
                if options.verbose and found[-1].refused:
                    print(f"{backend} {oddity} / {change}: {found[-1].refused}", file=sys.stderr)
    return found


def tell(title: str, pairs: list[Pair]) -> None:
    """A line for each oddity."""
    print(f"\n{title}: {len(pairs)} pairs with {len({pair.change for pair in pairs})} kinds of change")
    print(f"  {'':28} {'right':>6} {'refused':>8} {'wrong':>6}")
    for oddity in sorted({pair.oddity for pair in pairs}):
        mine = [pair for pair in pairs if pair.oddity == oddity]
        wrong = sum(bool(pair.problems) for pair in mine)
        refused = sum(bool(pair.refused) and not pair.problems for pair in mine)
        print(f"  {oddity:28} {len(mine) - wrong - refused:6} {refused:8} {wrong:6}")


if __name__ == "__main__":
    main()
