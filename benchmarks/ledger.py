"""Clients of the code of before that write all through a migration: how many of their writes are not in the result.

    uv run benchmarks/ledger.py
    uv run benchmarks/ledger.py --backend mysql --case codec --rounds 5

For each operation that changes values or keys, several clients insert, update, set to NULL, delete and change keys, one
of them with DataJoint's classes, another one populates with reservation. Every write that was told as saved
has to be in the result as if it had come before the first step. Late is what the code of before wrote, with the meaning
of before, when the tables were free again.
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

from conftest import Project
from ledger import CASES, EACH, OWNED, play, ready
from servers import BACKENDS, started


def main() -> None:
    """Play the operations and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=[*BACKENDS, "both"], default="both")
    parser.add_argument("--case", choices=CASES, action="append", help="only this operation")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--clients", type=int, default=4, metavar="N", help="with statements of their own")
    parser.add_argument("--rows", type=int, default=3000, metavar="N", help="that nobody writes")
    parser.add_argument("--pause", type=float, default=0.05, metavar="SECONDS", help="before each statement")
    options = parser.parse_args()
    if options.rows > OWNED * EACH:
        parser.error(f"--rows: there is room for {OWNED * EACH} rows that nobody writes")
    found: dict[tuple[str, str], Counter[str]] = {}
    with started(options.backend) as (folder, servers):
        for backend, server in servers.items():
            for name in options.case or CASES:
                counts = found.setdefault((name, BACKENDS[backend]), Counter())
                for _ in range(options.rounds):
                    own = Project(shutil.copytree(folder / "my_pipeline", folder / "own"))
                    with ready(server, own):
                        outcome = play(
                            server,
                            own,
                            CASES[name],
                            pause=options.pause,
                            clients=options.clients,
                            bulk=options.rows,
                            populate=True,
                        )
                    shutil.rmtree(own.folder)
                    counts.update(
                        saved=outcome.saved, refused=outcome.refused, late=outcome.late, wrong=len(outcome.wrong)
                    )
                    for text in [*outcome.wrong[:5], *(f"refused: {why}" for why in outcome.why)]:
                        print(f"{backend} {name}: {text}", file=sys.stderr)
    print(f"\n{'operation':10} {'server':12} {'saved':>8} {'refused':>8} {'late':>8} {'wrong':>8}")
    for (name, backend), counts in found.items():
        print(
            f"{name:10} {backend:12} {counts['saved']:8} {counts['refused']:8} {counts['late']:8} {counts['wrong']:8}"
        )
    sys.exit(any(counts["wrong"] for counts in found.values()))


if __name__ == "__main__":
    main()
