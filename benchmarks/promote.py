"""How well a rehearsal tells how long a promotion takes, in a database with many rows.

    uv run benchmarks/promote.py
    uv run benchmarks/promote.py --backend mysql --rows 1000000

A table of ``prod`` has many rows and is promoted three times: values get another type, an index is made, and an
attribute is added. Each is rehearsed on a sample and run, taken back and promoted again, a few times. What counts is
the middle ratio of a prediction to the time that it took right after.
"""

from __future__ import annotations

import os.path
import sys

# The tests' modules first; this folder last, for its copy.py is not the library's.
sys.path.append(sys.path.pop(0))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))

import argparse
import shutil
from contextlib import closing
from pathlib import Path
from statistics import median

from conftest import Project, Server, git
from living import lay, ok
from servers import BACKENDS, started

#: What is changed in the module, by what is said of it.
CHANGES = {
    "values get another type": ("grams : float64", "grams : decimal(9,3)"),
    "an index is made": ("decimal(9,3)  # on that day", "decimal(9,3)  # on that day\n    index (day)"),
    "an attribute is added": ("    index (day)", '    scale = "old" : varchar(8)\n    index (day)'),
}

#: Seconds that are as good as none: so long takes what a command does beside its steps, more or less.
MOMENT = 0.5


def main() -> None:
    """Promote on each server and print a line for each change."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=[*BACKENDS, "both"], default="both")
    parser.add_argument("--rows", type=int, default=100_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="How often each change is promoted.")
    options = parser.parse_args()
    wrong = 0
    with started(options.backend) as (folder, servers):
        for backend, server in servers.items():
            place = Path(shutil.copytree(folder / "my_pipeline", folder / f"{backend}_project"))
            project = Project(place, environment={**server.variables, "MY_PIPELINE_ENV": "dev"})
            server.drop("dev_work", "dev_life", "work", "life")
            try:
                wrong += play(project, server, options)
            finally:
                project.run("local", "stop")
                server.drop("dev_work", "dev_life", "work", "life")
    sys.exit(bool(wrong))


def play(project: Project, server: Server, options: argparse.Namespace) -> int:
    """Promote each change; how many took over twice as long as predicted, or under half, and by more than a moment."""
    lay(project)
    for environment in ("dev", "prod"):
        ok(project, "--env", environment, "init")
    fill(server, options.rows)
    git(project.folder, "init", "--quiet", "--initial-branch=main")
    print(f"\n{BACKENDS[server.backend]}, {options.rows:,} rows", flush=True)
    wrong = 0
    for words, (old, new) in CHANGES.items():
        project.replace(project.module("life"), old, new)
        ok(project, "revise", "life", "-m", words)
        ok(project, "migrate")
        git(project.folder, "add", "--all")
        git(project.folder, "commit", "--quiet", "--message", words)
        version = ok(project, "--env", "prod", "status", "--json", code=3).json["schemas"][0]["database_version"]
        pairs = []
        for number in range(options.rounds):
            if number:
                ok(project, "--env", "prod", "rollback", "life", "--to", version, timeout=900)
            done = ok(project, "promote", "--to", "prod", "--json", "--yes", timeout=900).json
            pairs.append((done["rehearsal"]["predicted"], done["seconds"]))
        predicted, took = (median(values) for values in zip(*pairs, strict=True))
        ratio = median(one / other for one, other in pairs)
        wrong += not 0.5 <= ratio <= 2 and abs(predicted - took) > MOMENT
        print(f"  {words:26} predicted {predicted:6.2f} s, took {took:6.2f} s: {ratio:5.2f} times", flush=True)
    return wrong


def fill(server: Server, rows: int, each: int = 1000) -> None:
    """Put rows into the table of prod."""
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO life.animal (animal_id, name) VALUES (0, 'the first')")
        animals = -(-rows // each)
        for animal in range(1, animals + 1):
            cursor.execute(f"INSERT INTO life.animal (animal_id, name) VALUES ({animal}, 'one more')")
            start = "DATE '2020-01-01'"
            days = ", ".join(
                f"({animal}, {start} + INTERVAL {n} DAY, {n / 4})"
                if server.backend == "mysql"
                else f"({animal}, {start} + {n}, {n / 4})"
                for n in range(each)
            )
            cursor.execute(f"INSERT INTO life.weight (animal_id, day, grams) VALUES {days}")


if __name__ == "__main__":
    main()
