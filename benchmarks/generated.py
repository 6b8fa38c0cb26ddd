"""Generated pairs of pipelines through `revise`, `migrate` and `rollback`.

    uv run benchmarks/generated.py
    uv run benchmarks/generated.py --seed 41 97 --backend mysql
    uv run benchmarks/generated.py --mended

A seed makes tables, rows and up to five edits; each pair is declared by a project's `init`, filled, revised with the
answers of whoever made the edits, migrated, taken back and migrated again, on MySQL (the server that DJ_HOST names,
else one from the mysqld on PATH) and on PostgreSQL (the wheel's). What was applied is right if the database equals a
fresh declaration by DataJoint, if every surviving value is there, there and back, if planning again finds nothing,
and if DataJoint works on it as on fresh tables. A refusal is right if it changes nothing. With --seed all is told.
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
import shutil
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import evolution
import generated
import generated_play
from conftest import Project, Server
from generated_play import Outcome
from servers import BACKENDS, started


def main() -> None:
    """Play the pairs and print a table for each server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=[*BACKENDS, "both"], default="both")
    parser.add_argument("--pairs", type=int, default=2000, metavar="N", help="how many, of seeds 0 to N-1")
    parser.add_argument("--start", type=int, default=0, metavar="SEED", help="the first seed")
    parser.add_argument(
        "--seed", type=int, nargs="+", metavar="SEED", help="these alone, and all that there is to say of them"
    )
    parser.add_argument(
        "--mended", dest="seed", action="store_const", const=generated.MENDED, help="those that were once wrong"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="pairs at a time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there")
    options = parser.parse_args()
    outcomes = run(options)
    for backend, title in BACKENDS.items():
        mine = [outcome for outcome in outcomes if outcome.backend == backend]
        if mine and options.seed is None:
            print_outcomes(title, mine)
        elif mine:
            print(*map(generated_play.told, mine), sep="\n")
    if options.json:
        found = [asdict(outcome) | {"kind": outcome.kind} for outcome in outcomes]
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    sys.exit(any(outcome.kind == "broken" for outcome in outcomes))


def run(options: argparse.Namespace) -> list[Outcome]:
    """Play every pair on every server, several at a time."""
    seeds = range(options.start, options.start + options.pairs) if options.seed is None else options.seed
    with started(options.backend) as (folder, servers):
        tasks = [(backend, seed) for seed in seeds for backend in servers]
        context = multiprocessing.get_context("spawn")
        numbers = context.Queue()
        for number in range(options.jobs):
            numbers.put(number)
        outcomes = []
        with ProcessPoolExecutor(options.jobs, context, initializer=begin, initargs=(folder, servers, numbers)) as pool:
            try:
                for number, outcome in enumerate(pool.map(play, tasks), 1):
                    outcomes.append(outcome)
                    if outcome.kind == "broken" or number % 100 == 0:
                        done = f"{number}/{len(tasks)} {outcome.case} on {outcome.backend}: {outcome.kind}"
                        print(done, file=sys.stderr, flush=True)
            except KeyboardInterrupt:  # what there is until then
                pool.shutdown(wait=False, cancel_futures=True)
        return outcomes


# --- In a worker ---------------------------------------------------------------------------------------------------

_stages: dict[str, evolution.Stage] = {}


def begin(folder: Path, servers: dict[str, Server], numbers: Any) -> None:
    """Give this worker projects, warm processes and schemas of its own."""
    number = numbers.get()
    for backend, server in servers.items():
        own = folder / f"{backend}-{number}"
        shutil.copytree(folder / "my_pipeline", own)
        _stages[backend] = evolution.Stage(Project(own), server, f"g{os.getppid()}_{number}_")
        _stages[backend].project.warm_up()


def play(task: tuple[str, int]) -> Outcome:
    """One pair on one server."""
    backend, seed = task
    return generated_play.play(_stages[backend], seed)


# --- Words ---------------------------------------------------------------------------------------------------------


def print_outcomes(title: str, outcomes: list[Outcome]) -> None:
    """The counts, why pairs were refused and not taken back, and what is broken."""
    kinds = Counter(outcome.kind for outcome in outcomes)
    applied = [outcome for outcome in outcomes if outcome.kind == "applied"]
    print(f"\n{title}: {len(outcomes)} generated pairs, {sum(outcome.seconds for outcome in outcomes):.0f} s")
    print(f"  {kinds['applied']:4}  applied right")
    print(f"  {sum(not outcome.back for outcome in applied):4}    of these, taken back to the start")
    print_reasons([outcome.back for outcome in applied if outcome.back], "  not taken back")
    print(f"  {kinds['refused']:4}  refused with a reason, database unchanged")
    print_reasons([outcome.reason for outcome in outcomes if outcome.kind == "refused"], "  because")
    print(f"  {kinds['broken']:4}  broken")
    for outcome in outcomes:
        if outcome.kind == "broken":
            print(f"        seed {outcome.case}: {(outcome.problems or [outcome.reason])[0][:300]}")


def print_reasons(reasons: list[str], words: str) -> None:
    """Each reason, and how often it was given."""
    for reason, count in Counter(map(generated_play.plain, reasons)).most_common():
        print(f"  {count:4}  {words}: {reason[:150]}")


if __name__ == "__main__":
    main()
