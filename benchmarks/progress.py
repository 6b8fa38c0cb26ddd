"""What `progress` costs: seconds and statements for many schemas and tables, and for tables with many rows.

    uv run benchmarks/progress.py
    uv run benchmarks/progress.py --backend mysql --schemas 50 --tables 10 --rows 100000

In each schema one table is Manual and the others are computed from it. The tables are counted by `monitor`, in one
process that is connected, as a worker, a page and `alert` do; beside it stands DataJoint's own `progress()` of every
table, in the same run. Then one schema gets many rows. The exit code says whether it took less than two seconds and two
statements a schema, but for the few that read the catalogue and the locks.
"""

from __future__ import annotations

import os.path
import sys

# The tests' modules first; this folder last, for its copy.py is not the library's.
sys.path.append(sys.path.pop(0))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))

import argparse
import json
import shutil
from pathlib import Path

from conftest import Project, Server
from servers import BACKENDS, started

PREFIX = "pr_"

#: Beside two a schema: the catalogue, the locks of workers.
OTHERS = 20

MEASURE = """
import json, sys, time
from my_pipeline import pipeline
from datajoint_pipeline.monitor import progress
environment = pipeline.select()
connection = pipeline.connect(environment)
asked, query = [0], connection.query
def counted(*arguments, **options):
    asked[0] += 1
    return query(*arguments, **options)
connection.query = counted
best, statements, own = 1e9, 0, 0
for _ in range(3):
    asked[0], begun, busy = 0, time.perf_counter(), time.process_time()
    found = progress.read(pipeline, environment)
    if time.perf_counter() - begun < best:
        best, statements, own = time.perf_counter() - begun, asked[0], time.process_time() - busy
result = {"tables": len(found.tables), "seconds": best, "statements": statements, "own": own,
          "keys": sum(table.total for table in found.tables)}
if sys.argv[1] == "peer":
    import importlib
    from datajoint_pipeline.internals import job_tables
    classes = []
    for schema in pipeline.project.versions:
        modules = pipeline.import_schema(schema)
        classes += job_tables.auto_populated(modules, environment.database(schema))
    asked[0], begun = 0, time.perf_counter()
    total = 0
    for table in classes:
        total += table().progress()[1]
        table.jobs.progress()
    result |= {"peer": time.perf_counter() - begun, "peer_statements": asked[0], "peer_keys": total}
print(json.dumps(result))
"""


def main() -> None:
    """Measure and print a few lines for each server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=[*BACKENDS, "both"], default="both")
    parser.add_argument("--schemas", type=int, default=50, metavar="N")
    parser.add_argument("--tables", type=int, default=10, metavar="N", help="in each schema, a Manual one among them")
    parser.add_argument("--rows", type=int, default=100_000, metavar="N", help="of each table of one schema, at last")
    options = parser.parse_args()
    slow = False
    with started(options.backend) as (folder, servers):
        for server in servers.values():
            project = Project(Path(shutil.copytree(folder / "my_pipeline", folder / f"lab-{server.backend}")))
            names = [f"{PREFIX}s{number:02}" for number in range(options.schemas)]
            server.drop(*names)
            try:
                slow |= measure(project, server, options)
            finally:
                server.drop(*names)
    sys.exit(slow)


def measure(project: Project, server: Server, options: argparse.Namespace) -> bool:
    """Make the pipeline and measure; tell whether it took too long."""
    lay(project, server, options.schemas, options.tables)
    done = project.run("--env", "prod", "init", timeout=3600)
    assert done.code == 0, done.err
    fill(server, 0, 20)
    found = read(project, "peer")
    assert found["keys"] == found["peer_keys"] > 0, found
    print(f"\n{BACKENDS[server.backend]}: {options.schemas} schemas, {found['tables']} tables that are computed")
    print(f"  {found['seconds']:6.2f} s, {found['statements']:5} statements, {found['own']:.2f} s of processor time")
    times = found["peer"] / found["seconds"]
    print(f"  {found['peer']:6.2f} s, {found['peer_statements']:5} statements by DataJoint itself: {times:.0f} times")
    fill(server, 20, options.rows)
    large = read(project, "alone")
    print(f"  {large['seconds']:6.2f} s with {options.rows:,} keys for each table of one schema")
    return found["seconds"] > 2 or found["statements"] > 2 * options.schemas + OTHERS


def lay(project: Project, server: Server, schemas: int, tables: int) -> None:
    """Give a project modules with many tables."""
    project.clear()
    names = [f"s{number:02}" for number in range(schemas)]
    for name in names:
        text = "import datajoint as dj\nfrom . import open_schema\n"
        text += f'schema = open_schema("{name}")\n' + table("Root", "Manual", "root : int32")
        for number in range(1, tables):
            above = f"T{number - 1}" if number > 1 and number % 2 == 0 else "Root"
            text += table(f"T{number}", "Computed", f"-> {above}\n    ---\n    value : float64")
            text += '\n    def make(self, key):\n        self.insert1({**key, "value": 1.0})\n'
        project.write(project.module(name), text)
    versions = ", ".join(f'"{name}": "1.0.0"' for name in names)
    project.write(project.module("version"), f'__version__ = "0.1.0"\nSCHEMA_VERSIONS = {{{versions}}}\n')
    project.replace(project.module("__init__"), 'prefix=""', f'prefix="{PREFIX}"')
    project.environment |= {**server.variables, "MY_PIPELINE_ENV": "prod", "DJ_LOG_LEVEL": "ERROR"}
    project.environment |= {"MY_PIPELINE_UNGUARDED": "1", "DJ_USE_TLS": "false"}


def table(name: str, tier: str, definition: str) -> str:
    """A class of a table, as a module has it."""
    return f'\n@schema\nclass {name}(dj.{tier}):\n    definition = """\n    {definition}\n    """\n'


def fill(server: Server, first: int, end: int) -> None:
    """Enter rows into the Manual table of the first schema."""
    mark = "`" if server.backend == "mysql" else '"'
    for start in range(first, end, 5000):
        rows = ", ".join(f"({number})" for number in range(start, min(start + 5000, end)))
        server.execute(f"INSERT INTO {mark}{PREFIX}s00{mark}.{mark}root{mark} (root) VALUES {rows}")


def read(project: Project, what: str) -> dict[str, float]:
    """Measure in a process of its own."""
    done = project.python("-c", MEASURE, what, timeout=3600)
    assert done.code == 0, done.err
    found: dict[str, float] = json.loads(done.out.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
