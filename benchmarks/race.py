"""Eight runners that begin at once, many times, and a reader with the code of before.

    uv run benchmarks/race.py
    uv run benchmarks/race.py --backend mysql --rounds 20

Each round begins with the same tables. Every runner must end well or say who holds the lock, what all end in must be
what a single runner makes, each migration once, and what the reader gets must be the rows of before or none. In every
fourth round some of them say `init` or `rollback` instead, and may decline in words.
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

import crashing
import racing
from servers import BACKENDS, render


def main() -> None:
    """Play the rounds and print a few lines for each server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=[*BACKENDS, "both"], default="both")
    parser.add_argument("--rounds", type=int, default=200, metavar="N")
    parser.add_argument("--runners", type=int, default=8, metavar="N")
    options = parser.parse_args()
    problems = 0
    for backend in BACKENDS if options.backend == "both" else [options.backend]:
        if backend == "mysql" and shutil.which("mysqld") is None:
            print("No MySQL: there is no mysqld on PATH.", file=sys.stderr)
            continue
        problems += play(backend, options)
    sys.exit(bool(problems))


def play(backend: str, options: argparse.Namespace) -> int:
    """All rounds on a server; how many had a problem."""
    codes, others, read, problems = Counter[int](), Counter[int](), Counter[str](), list[str]()
    with crashing.ground(backend, render, rows=12) as ground, racing.race(ground, options.runners) as race:
        for number in range(options.rounds):
            mixed = number % 4 == 3
            found = race.run(*(racing.MIX if mixed else [["migrate"]]))
            (others if mixed else codes).update(found.codes)
            read += found.read
            problems += found.problems[:1]
            if found.problems or number % 20 == 19:
                print(f"{backend} {number + 1}/{options.rounds} {found.problems[:1]}", file=sys.stderr)
    print(f"\n{BACKENDS[backend]}: {options.runners} runners at once, {options.rounds} times")
    print(
        f"  {options.rounds - len(problems):6}  rounds that ended as a single runner does, each migration applied once"
    )
    print(f"  {codes[0]:6}  runners ended well, {sum(codes.values()) - codes[0]} said who holds the lock")
    print(f"  {others[0]:6}  of those with init and rollback among them, {sum(others.values()) - others[0]} declined")
    print(f"  {read['rows']:6}  times the reader got the right rows")
    for words, count in read.most_common():
        if words != "rows":
            print(f"  {count:6}  times it was told: {words}")
    for problem in problems[:10]:
        print(f"  {problem[:300]}")
    return len(problems)


if __name__ == "__main__":
    main()
