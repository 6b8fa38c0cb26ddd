"""Measure `branch create` of five schemas against plain `init` of the same in the same run, as commands of a project.

    uv run benchmarks/branch_create.py
    uv run benchmarks/branch_create.py --backend mysql --rounds 10

Each command is a process of its own, and its start and the import of DataJoint are counted. What counts is the middle
of the rounds, beside that of `init`. A branch is made from the code, and with rows of ``dev``, in either order.
"""

from __future__ import annotations

import os.path
import sys

# The tests' modules first; this folder last, for its copy.py is not the library's.
sys.path.append(sys.path.pop(0))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))

import argparse
import os
import shutil
import subprocess
import time
from pathlib import Path
from statistics import median

from conftest import Project, Server, git
from servers import BACKENDS, started

#: What is measured beside `init`, by its name.
CREATED = {"create": (), "create --rows 10": ("--rows", "10")}


def main() -> None:
    """Measure on each server and print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=[*BACKENDS, "both"], default="both")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="How often each command is measured.")
    options = parser.parse_args()
    with started(options.backend) as (folder, servers):
        for backend, server in servers.items():
            place = Path(shutil.copytree(folder / "my_pipeline", folder / f"{backend}_project"))
            project = Project(place, environment={**server.variables, "MY_PIPELINE_ENV": "dev"})
            before = schemas(server)
            try:
                show(server, play(project, options.rounds))
            finally:
                server.drop(*sorted(schemas(server) - before))


def play(project: Project, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Measure each command; seconds and those of a processor, round by round."""
    seconds(project, "--env", "dev", "init")
    git(project.folder, "init", "--quiet", "--initial-branch=main")
    git(project.folder, "add", "--all")
    git(project.folder, "commit", "--quiet", "--message=Start")
    git(project.folder, "switch", "--quiet", "--create", "feature")
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ("init", "status", *CREATED, "drop")}
    for number in range(rounds):
        project.environment["MY_PIPELINE_TEST_ID"] = f"benchmark{os.getpid()}x{number}"
        for name in ("init", "status"):
            found[name].append(seconds(project, "--env", "test", name))
        for name in list(CREATED)[:: -1 if number % 2 else 1]:
            found[name].append(seconds(project, "branch", "create", *CREATED[name]))
            found["drop"].append(seconds(project, "branch", "drop", "--yes"))
    return found


def seconds(project: Project, *arguments: str) -> tuple[float, float]:
    """How long a command takes, and how much of a processor, its start and the import of DataJoint included."""
    variables = {n: v for n, v in project.variables().items() if n != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", project.package, *arguments]
    begun, before = time.monotonic(), os.times()
    done = subprocess.run(command, cwd=project.folder, env=variables, capture_output=True, text=True)
    after = os.times()
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
    used = after.children_user - before.children_user + after.children_system - before.children_system
    return time.monotonic() - begun, used


def show(server: Server, found: dict[str, list[tuple[float, float]]]) -> None:
    """Print the middle of each, and how many times as much it is as of `init`."""
    print(f"\n{BACKENDS[server.backend]}, five schemas", flush=True)
    medians = {name: [median(column) for column in zip(*rows, strict=True)] for name, rows in found.items()}
    for name, (took, used) in medians.items():
        times = " and ".join(f"{a / b:4.2f}" for a, b in zip((took, used), medians["init"], strict=True))
        print(f"  {name:18} {took:6.2f} s, {used:5.2f} s of the processor: {times} of init", flush=True)


def schemas(server: Server) -> set[str]:
    """The names of every schema that a server has."""
    return {name for (name,) in server.execute("SELECT schema_name FROM information_schema.schemata")}


if __name__ == "__main__":
    main()
