"""What `check` and other commands cost in processor time, as multiples of `python -c "import datajoint"`.

    uv run benchmarks/check.py

`check` of a default project that was copied and initialised, of the same with a migration, which is then tried on rows,
and of a pipeline of 105 definitions in 21 schemas; `status`, `diff` and `--help` of the default project. The time is
that of a command and all processes that it starts, user and system; what the embedded server does is not in it. Python
keeps its bytecode, as it does on a person's machine. In pairs, in turn, so that a drifting machine hits both.
"""

from __future__ import annotations

import os.path
import sys

# The tests' modules first; this folder last, for its copy.py is not the library's.
sys.path.append(sys.path.pop(0))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))

import argparse
import resource
import statistics
import subprocess
import tempfile
from pathlib import Path

import copier
import scale
from conftest import PRESENT, Project, commit_parts

#: Schemas and tables in each, of the pipeline of 105 definitions.
MANY = (21, 5)


def main() -> None:
    """Print one line a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, metavar="N", help="pairs of which the median is told")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as scratch:
        template = Path(scratch) / "template"
        template.mkdir()
        commit_parts(template)
        default, many = (Project(Path(scratch) / name) for name in ("default", "many"))
        for project in (default, many):
            copier.run_copy(str(template), project.folder, defaults=True, quiet=True, vcs_ref=PRESENT)
        scale.lay(many, *MANY)
        try:
            for project in (default, many):
                run(project, "init")
            compare(default, "check", "a default project", runs)
            for command in ("status", "diff", "--help"):
                compare(default, command, "a default project", runs)
            default.replace(default.module("subject"), "    ---\n", "    ---\n    cage = null : varchar(8)\n")
            run(default, "revise", "--message", "cage")
            compare(default, "check", "with a migration", runs)
            compare(many, "check", f"{MANY[0] * MANY[1]} definitions", runs)
        finally:
            for project in (default, many):
                run(project, "local", "stop")


def run(project: Project, *arguments: str) -> float:
    """Run a command of a project; give its seconds of processor time."""
    return seconds(["-m", project.package, *arguments], project)


def seconds(arguments: list[str], project: Project) -> float:
    """Give the processor time of Python and of all processes that it starts and waits for."""
    variables = {n: v for n, v in project.variables().items() if n not in ("PYTHONDONTWRITEBYTECODE", "SSL_CERT_FILE")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments], cwd=project.folder, env=variables, capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(project: Project, command: str, what: str, runs: int) -> None:
    """Run a command and the import in turn; print medians, and the ratio pair by pair."""
    pairs = [(run(project, command), seconds(["-c", "import datajoint"], project)) for _ in range(runs + 1)][1:]
    ours, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{command}, {what}: {ours:.2f} s; import datajoint: {theirs:.2f} s; ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
