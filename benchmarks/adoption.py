"""A database that DataJoint 0.14.10 makes, adopted and taken back: which values are others, and what foreign keys cost.

    uv run benchmarks/adoption.py
    uv run benchmarks/adoption.py --rows 500000

0.14.10 runs in an environment of its own, which uv makes. It fills tables with values of all its types and of a store,
and tells every one. They are held against what DataJoint 2 fetches once the database is adopted, and against what
0.14.10 fetches when that was taken back. Then a table with many rows that refers to another gets other comments alone,
which is held against dropping the foreign key and adding it again.

    uv run benchmarks/adoption.py --write tests/adopted_database.json

keeps the database for the tests.
"""

from __future__ import annotations

import os.path
import sys

# The tests' modules first; this folder last, for its copy.py is not the library's.
sys.path.append(sys.path.pop(0))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))

import argparse
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import adopted_database as adopted
from conftest import Project, Server
from servers import render, started

#: What makes an environment for 0.14.10, which takes no newer Python.
OLD = (
    "uv",
    "run",
    "--quiet",
    "--no-project",
    "--python",
    "3.11",
    "--with",
    "datajoint==0.14.10",
    "python",
    "-W",
    "ignore",
)

#: Two tables, the second of which refers to the first, as 0.14 declares them and as the code has them.
LARGE = (
    "CREATE DATABASE lab_large",
    "CREATE TABLE lab_large.above (a int NOT NULL, PRIMARY KEY (a))",
    "CREATE TABLE lab_large.below (a int NOT NULL, b int NOT NULL, m longblob NOT NULL, PRIMARY KEY (a, b), "
    "CONSTRAINT below_ibfk_1 FOREIGN KEY (a) REFERENCES above (a) ON UPDATE CASCADE ON DELETE RESTRICT)",
    "SET SESSION cte_max_recursion_depth = 100000000",
    "INSERT INTO lab_large.above WITH RECURSIVE n AS (SELECT 0 a UNION ALL SELECT a + 1 FROM n WHERE a < 999) "
    "SELECT a FROM n",
)
ROWS = (
    "INSERT INTO lab_large.below WITH RECURSIVE n AS (SELECT 0 b UNION ALL SELECT b + 1 FROM n WHERE b + 1 < {rows}) "
    "SELECT b MOD 1000, b, CONCAT('mYm', CHAR(0), REPEAT('x', 200)) FROM n"
)
CODE = '''"""Many rows."""

import datajoint as dj

from . import open_schema

schema = open_schema("large")


@schema
class Above(dj.Manual):
    definition = """
    a : int32
    """


@schema
class Below(dj.Manual):
    definition = """
    -> Above
    b : int32
    ---
    m : <blob>
    """
'''


def main() -> None:
    """Make a database, adopt it, take that back, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000, metavar="N", help="in the table with the foreign key")
    parser.add_argument("--write", type=Path, metavar="FILE", help="keep what 0.14.10 made there, and end")
    options = parser.parse_args()
    with started("mysql") as (folder, servers):
        if not servers:
            sys.exit(1)
        server, store, stage = servers["mysql"], folder / "store", folder / "stage"
        for place in (store, stage):
            place.mkdir()
        server.drop(*adopted.DATABASES.values(), "lab_large")
        try:
            values = old(server, store, stage, adopted.MAKE)
            if options.write:
                text = json.dumps(adopted.dump(server, store, values), indent=1, ensure_ascii=False)
                options.write.write_text(f"{text}\n", encoding="utf-8")
                return
            project = Project(render(folder / "lab", schema_prefix="lab_"), environment=server.variables)
            adopted.adapt(project, store)
            run(project, "adopt", "--types")
            right = tell("adopted, fetched by DataJoint 2", values, fetched(project))
            run(project, "adopt", "--undo")
            right &= tell("taken back, fetched by 0.14.10", values, old(server, store, stage, adopted.READ))
            keys(project, server, options.rows)
        finally:
            server.drop(*adopted.DATABASES.values(), "lab_large")
    sys.exit(not right)


def old(server: Server, store: Path, stage: Path, what: str) -> dict[str, Any]:
    """Have 0.14.10 do something, and give every value as it fetched it."""
    where = (server.host, str(server.port), server.user, server.password, str(store), str(stage))
    command = [*OLD, "-c", adopted.PLAIN + adopted.LEGACY + what, *where]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=stage)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def run(project: Project, *arguments: str) -> float:
    """Run a command on prod; give how many seconds it took."""
    start = time.perf_counter()
    done = project.run("--env", "prod", *arguments)
    if done.code:
        sys.exit(done.out + done.err)
    return time.perf_counter() - start


def tell(what: str, values: dict[str, Any], found: dict[str, Any]) -> bool:
    """Print how many values differ, and which."""
    count, wrong = adopted.differing(found, values)
    print(f"{what}: {count} values, {len(wrong)} differ")
    for text in wrong:
        print(f"  {text}")
    return not wrong


def fetched(project: Project) -> dict[str, Any]:
    """Give every value as DataJoint 2 fetches it."""
    shown = project.python("-c", adopted.SHOW, MY_PIPELINE_ENV="prod")
    if shown.code:
        sys.exit(shown.err)
    found: dict[str, Any] = json.loads(shown.out.strip().splitlines()[-1])
    return found


def keys(project: Project, server: Server, rows: int) -> None:
    """Give a table with many rows other comments, and then do what that would take without its foreign key."""
    server.execute(*LARGE, ROWS.format(rows=rows))
    project.write(project.module("large"), CODE)
    project.write(project.module("version"), '__version__ = "0.1.0"\n\nSCHEMA_VERSIONS = {"large": "1.0.0"}\n')
    for module in adopted.DATABASES:
        (project.folder / project.module(module)).unlink()
    took = run(project, "adopt", "--types", "large")
    start = time.perf_counter()
    server.execute(
        "ALTER TABLE lab_large.below DROP FOREIGN KEY below_ibfk_1, ALGORITHM = INPLACE",
        "ALTER TABLE lab_large.below ADD CONSTRAINT below_ibfk_1 FOREIGN KEY (a) REFERENCES lab_large.above (a) "
        "ON UPDATE CASCADE ON DELETE RESTRICT, ALGORITHM = COPY",
    )
    again = time.perf_counter() - start
    print(f"{rows:,} rows with a foreign key: adopted in {took:.1f} s, the key alone again {again:.1f} s")


if __name__ == "__main__":
    main()
