"""Every place at which a migration can be broken off, on real servers.

    uv run benchmarks/crash.py
    uv run benchmarks/crash.py --backend mysql --every 10
    uv run benchmarks/crash.py --backend mysql --back
    uv run benchmarks/crash.py --command along
    uv run benchmarks/crash.py --two --command purge

Migrations that use every operation run through a proxy that knows statements. For each statement that writes,
before the server gets it, while it runs and after it was answered, the runner is killed, the server is killed and
started again, or the connection is cut; then `migrate` runs again. What that ends in has to be what an undisturbed run
ends in: tables as the server describes them, every row, the journal, every step, and `status`. With `--back` the run is
taken back by `rollback --interrupted` where it can be, which is broken off as well in half of the cases; then all has
to be what it was before. `--command` names another that is broken off, such as `along`, which is `rollback --along` of
a key that changed in both schemas. With `--two`, two runners go on at once: one has to end it, the other may decline in
words.
"""

from __future__ import annotations

import os.path
import sys

# The tests' modules first; this folder last, for its copy.py is not the library's.
sys.path.append(sys.path.pop(0))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))

import argparse
import json
import multiprocessing
import random
import shutil
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import crashing
from crashing import COMMANDS, FAULTS, WHEN, Case
from servers import BACKENDS, render


def main() -> None:
    """Play the cases and print a table for each server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=[*BACKENDS, "both"], default="both")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each Nth case")
    parser.add_argument("--back", action="store_true", help="take back what was broken off")
    parser.add_argument("--command", choices=COMMANDS, help="break off this instead of migrate")
    parser.add_argument("--two", action="store_true", help="let two runners go on at once")
    parser.add_argument("--rows", type=int, default=2000, metavar="N", help="in the tables that change")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="servers at a time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there")
    options = parser.parse_args()
    found = []
    for backend in BACKENDS if options.backend == "both" else [options.backend]:
        if backend == "mysql" and shutil.which("mysqld") is None:
            print("No MySQL: there is no mysqld on PATH.", file=sys.stderr)
            continue
        tasks = [(backend, number, options) for number in range(options.jobs)]
        with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
            cases = [case for part in pool.map(play, tasks) for case in part]
        tell(BACKENDS[backend], cases)
        found += cases
    if options.json:
        options.json.write_text(json.dumps([asdict(case) for case in found], indent=1), encoding="utf-8")
    sys.exit(any(case.problems for case in found))


def play(task: tuple[str, int, argparse.Namespace]) -> list[Case]:
    """One worker's share of the cases, on a server of its own."""
    backend, mine, options = task
    chance, cases = random.Random(mine), list[Case]()
    with crashing.ground(backend, render, rows=options.rows) as ground:
        if options.command:
            ground.play_command(options.command)
        every = [(point, when, what) for point in ground.points() for when in WHEN for what in FAULTS]
        random.Random(0).shuffle(every)  # lest each Nth case be of one kind
        share = every[:: options.every][mine :: options.jobs]
        for number, (point, when, what) in enumerate(share, 1):
            if options.back:
                second = chance.randrange(20, 120) if number % 2 else None
                cases.append(ground.take_back(point, when, what, chance.random(), second))
            else:
                play = ground.play_with_two if options.two else ground.play
                cases.append(play(point, when, what, share=chance.random()))
            if number % 50 == 0 or cases[-1].problems:
                said = cases[-1].problems[0][:300] if cases[-1].problems else ""
                print(f"{backend} {number}/{len(share)} {said}", file=sys.stderr)
    return cases


def tell(title: str, cases: list[Case]) -> None:
    """A row for each fault, a column for each moment."""
    print(f"\n{title}: {len(cases)} cases at {len({case.number for case in cases})} statements")
    print(f"  {'':12}" + "".join(f"{when:>32}" for when in WHEN))
    for what in FAULTS:
        words = []
        for when in WHEN:
            mine = [case for case in cases if (case.what, case.when) == (what, when)]
            right = sum(not case.problems for case in mine)
            hit = f", {sum(case.running for case in mine)} running" if when == "while" else ""
            words.append(f"{right} of {len(mine)} right{hit}")
        print(f"  {what:12}" + "".join(f"{text:>32}" for text in words))
    if back := sum(case.back for case in cases):
        print(f"  {back} were taken back; the others had done nothing, or have no way back")
    problems = Counter(problem for case in cases for problem in case.problems)
    for problem, count in problems.most_common(20):
        print(f"  {count} x {problem[:300]}")


if __name__ == "__main__":
    main()
