"""Real evolutions of real pipelines through `revise` and `migrate`, and through what else there is.

    uv run benchmarks/evolution.py
    uv run --with alembic benchmarks/evolution.py --peers

Each case is declared by a project's `init`, filled with rows, revised and migrated, on MySQL (the server that DJ_HOST
names, else one from the mysqld on PATH) and on PostgreSQL (the wheel's). What was applied is right if the database
equals a fresh declaration by DataJoint, down to keys, comments and lineage, if every surviving value is there, if a
second `revise` and `migrate` find nothing to do, and if DataJoint works on it as on fresh tables. The corpus is looked
for in the folder that CORPUS names, else in ../shared/corpus beside the repository.
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
from contextlib import ExitStack
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import corpus
import evolution
from conftest import Project, Server
from servers import BACKENDS, started


def main() -> None:
    """Play the cases and print a table for each server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=[*BACKENDS, "both"], default="both")
    parser.add_argument("--cases", default="*", metavar="GLOB[,GLOB]", help="only the cases of these names")
    parser.add_argument("--peers", action="store_true", help="also Table.alter() and Alembic's autogenerate")
    parser.add_argument("--peers-only", action="store_true", help="only those")
    parser.add_argument("--allow-data-loss", action="store_true", help="migrate with --allow-data-loss")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="cases at a time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there")
    options = parser.parse_args()
    if corpus.MISSING:
        sys.exit(corpus.MISSING)
    results, peers = run(options)
    for backend, title in BACKENDS.items():
        mine = [verdict for verdict in results if verdict["backend"] == backend]
        theirs = [peer for peer in peers if peer["backend"] == backend]
        if mine:
            print_verdicts(title, mine)
        if theirs:
            print_peers(title, theirs)
    if options.json:
        options.json.write_text(json.dumps({"results": results, "peers": peers}, indent=1), encoding="utf-8")


def run(options: argparse.Namespace) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Play every case on every server, several at a time."""
    with ExitStack() as stack:
        folder, servers = stack.enter_context(started(options.backend))
        tasks = [
            (backend, name)
            for name, case in corpus.cases().items()
            for backend in servers
            if backend in case["backends"] and any(fnmatch(name, glob) for glob in options.cases.split(","))
        ]
        context = multiprocessing.get_context("spawn")
        numbers = context.Queue()
        for number in range(options.jobs):
            numbers.put(number)
        pool = stack.enter_context(
            ProcessPoolExecutor(options.jobs, context, initializer=begin, initargs=(folder, servers, numbers, options))
        )
        results, peers = [], []
        for number, (verdict, others) in enumerate(pool.map(play, tasks), 1):
            results += [verdict] if verdict else []
            peers += others
            done = f"{verdict['outcome']}" if verdict else "done"
            print(f"{number}/{len(tasks)} {' on '.join(reversed(tasks[number - 1]))}: {done}", file=sys.stderr)
        return results, peers


# --- In a worker ---------------------------------------------------------------------------------------------------

_stages: dict[str, evolution.Stage] = {}
_options: argparse.Namespace


def begin(folder: Path, servers: dict[str, Server], numbers: Any, options: argparse.Namespace) -> None:
    """Give this worker projects and schemas of its own."""
    global _options
    _options = options
    number = numbers.get()
    for backend, server in servers.items():
        own = folder / f"{backend}-{number}"
        shutil.copytree(folder / "my_pipeline", own)
        _stages[backend] = evolution.Stage(Project(own), server, f"e{os.getppid()}_{number}_")


def play(task: tuple[str, str]) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """One case on one server."""
    backend, name = task
    verdict, peers = None, []
    if not _options.peers_only:
        found = evolution.play(_stages[backend], name, allow_data_loss=_options.allow_data_loss)
        verdict = asdict(found) | {"right": found.right, "asked": found.asked}
    if _options.peers or _options.peers_only:
        import evolution_peers

        peers = [asdict(peer) for peer in evolution_peers.play(_stages[backend], name)]
    return verdict, peers


# --- Words ---------------------------------------------------------------------------------------------------------


def print_verdicts(title: str, verdicts: list[dict[str, Any]]) -> None:
    """The counts, then what is broken, then what is refused."""
    asked = Counter(verdict["asked"] for verdict in verdicts if verdict["outcome"] == "applied")
    broken = [verdict for verdict in verdicts if not verdict["right"] and verdict["outcome"] != "refused"]
    refused = [verdict for verdict in verdicts if verdict["outcome"] == "refused"]
    print(f"\n{title}: revise and migrate, {len(verdicts)} cases")
    rows = [
        ("planned without a question", sum(verdict["planned"] for verdict in verdicts)),
        ("applied right", sum(verdict["right"] for verdict in verdicts)),
        *((f"  of what was applied, {words}", asked[key]) for key, words in evolution.ASKED.items()),
        ("refused with a reason, database unchanged", len(refused)),
        ("broken", len(broken)),
    ]
    for words, count in rows:
        print(f"  {count:4}  {words}")
    for verdict in broken:
        more = f" (and {len(verdict['problems']) - 1} more)" if len(verdict["problems"]) > 1 else ""
        print(f"  broken: {verdict['case']}: {(verdict['problems'] or [verdict['reason']])[0]}{more}")
    for verdict in refused:
        print(f"  refused: {verdict['case']}: {verdict['reason']}")


def print_peers(title: str, peers: list[dict[str, Any]]) -> None:
    """For each peer, cases that came out right, and what became of the tables."""
    import evolution_peers

    for peer, name in (("alter", "Table.alter()"), ("alembic", "Alembic's autogenerate")):
        mine = [found for found in peers if found["peer"] == peer]
        tables = Counter(outcome for found in mine for outcome in found["tables"].values())
        others = [outcome for found in mine for outcome in found["unchanged"].values()]
        print(f"\n{title}: {name}, {sum(found['right'] for found in mine)} of {len(mine)} cases right")
        for outcome in evolution_peers.OUTCOMES:
            print(f"  {tables[outcome]:4}  of {sum(tables.values())} tables that changed: {outcome}")
        print(f"  {sum(o != 'right' for o in others):4}  of {len(others)} other tables: not as they were")


if __name__ == "__main__":
    main()
