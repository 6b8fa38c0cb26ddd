"""An audited table over all that migrations do to it while clients write, and what it costs to audit.

    uv run benchmarks/audit.py
    uv run benchmarks/audit.py --backend mysql --kills 40

Clients write by turns whatever the table is called, while migrations rename, convert, move, drop and bring it back, and
while runners are killed before one statement after the other of theirs. Every write that the server
took must have one entry with the client's login, and no other entry may be there. Then rows are inserted, many in a
statement and one by one, with the audit and without; and a table without it, in a schema that has it, beside one where
nobody ever audited anything.
"""

from __future__ import annotations

import os.path
import sys

# The tests' modules first; this folder last, for its copy.py is not the library's.
sys.path.append(sys.path.pop(0))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))

import argparse
import shutil
import time
from contextlib import ExitStack, closing
from pathlib import Path

import audited
from conftest import Project, Server
from living import living, ok
from servers import BACKENDS, started


def main() -> None:
    """Play all of it and print a few lines for each server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=[*BACKENDS, "both"], default="both")
    parser.add_argument("--clients", type=int, default=3, metavar="N")
    parser.add_argument(
        "--rounds", type=int, default=2, metavar="N", help="How often the tour is made; 0 for the cost alone."
    )
    parser.add_argument("--kills", type=int, default=14, metavar="N", help="At how many statements a runner is killed.")
    parser.add_argument("--rows", type=int, default=20_000, metavar="N")
    options = parser.parse_args()
    problems = 0
    with started(options.backend) as (folder, servers):
        for backend, server in servers.items():
            place = Path(shutil.copytree(folder / "my_pipeline", folder / f"{backend}_project"))
            with living(server, Project(place)) as project:
                audited.audit(project, "life.animal")
                print(f"\n{BACKENDS[backend]}", flush=True)
                if options.rounds:
                    taken, lost = play(project, server, options)
                    problems += bool(lost)
                    print(f"  {taken:6}  writes were taken over {options.rounds} tours, {lost} without their one entry")
                cost(project, server, options.rows)
    sys.exit(bool(problems))


def play(project: Project, server: Server, options: argparse.Namespace) -> tuple[int, int]:
    """Make the tour with clients at work; how many writes were taken, and how many entries are wrong."""
    names = [f"client{number}" for number in range(options.clients)]
    accounts = [audited.person(server, name, "dev_life", "dev_work") for name in names]
    audited.open_to(server, *names)
    back = [("rollback", name, "--to", "1.0.0") for name in ("work", "life")]
    with ExitStack() as stack:
        writers = [
            stack.enter_context(audited.Writer(server, account, audited.forms(), 1_000_000 * (number + 1)))
            for number, account in enumerate(accounts)
        ]
        audited.tour(project, server)
        for command in back:
            ok(project, *command)
        for _ in range(1, options.rounds):
            ok(project, "migrate")
            for command in back:
                ok(project, *command)
        for number in range(1, options.kills + 1):
            audited.killed(project, number, "migrate")
            ok(project, "migrate")
            audited.killed(project, number, *back[1])
            for command in back:
                ok(project, *command)
    wrong = 0
    for name, writer in zip(names, writers, strict=True):
        found = audited.told(server, name, audited.KEYS, "dev_life", "dev_work")
        wrong += sum(((found - writer.taken) + (writer.taken - found)).values()) + len(writer.strange)
    return sum(sum(writer.taken.values()) for writer in writers), wrong


def cost(project: Project, server: Server, rows: int) -> None:
    """Insert rows with the audit and without, and where nobody ever audited anything."""
    with closing(server.connect()) as connection, connection.cursor() as cursor:

        def seconds(place: str, many: int, each: int) -> float:
            cursor.execute(f"DELETE FROM {place}")
            begun = time.perf_counter()
            for first in range(0, many, each):
                values = ", ".join(f"({number}, 'a name')" for number in range(first, min(many, first + each)))
                cursor.execute(f"INSERT INTO {place} (animal_id, name) VALUES {values}")
            return time.perf_counter() - begun

        def compared(one: str, other: str, many: int, each: int, rounds: int = 5) -> float:
            took: dict[str, list[float]] = {one: [], other: []}
            for turn in range(2 * rounds):  # each comes first as often as the other
                for place in (one, other) if turn % 2 else (other, one):
                    took[place].append(seconds(place, many, each))
            return min(took[one]) / min(took[other])  # the fastest are the least disturbed

        for database in ("dev_life", "dev_never"):
            cursor.execute(f"CREATE {'DATABASE' if server.backend == 'mysql' else 'SCHEMA'} IF NOT EXISTS {database}")
            cursor.execute(f"CREATE TABLE {database}.plain (animal_id int PRIMARY KEY, name varchar(32), c varchar(8))")
        server.execute(*(f"DELETE FROM {place}" for place in ("dev_work.__score", "dev_work.task", "dev_life.weight")))
        audited.audit(project, "life.animal")
        bulk, single = (compared("dev_life.animal", "dev_life.plain", n, each) for n, each in ((rows, 1000), (2000, 1)))
        print(f"  {bulk:6.2f}  times as long with the audit: {rows:,} rows, a thousand a statement")
        print(f"  {single:6.2f}  times as long with the audit: 2,000 rows, one a statement")
        none = compared("dev_life.plain", "dev_never.plain", rows, 1000, 9)
        print(f"  {none:6.2f}  times as long without it, beside audited tables, as where nobody audited anything")
    server.drop("dev_never")


if __name__ == "__main__":
    main()
