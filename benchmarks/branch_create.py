"""Measure `branch create` of five schemas against plain `init` of the same in the same run, as commands of a project.

Run it with the server that ``DJ_HOST``, ``DJ_PORT``, ``DJ_USER``, ``DJ_PASS`` and ``DJ_BACKEND`` name, on the folder of
a project of the default graph that is a git repository on a branch:

    python benchmarks/branch_create.py /path/to/my_pipeline [ROUNDS]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path


def seconds(folder: Path, *arguments: str) -> tuple[float, float]:
    """How long a command takes, and how much of a processor, its start and the import of DataJoint included."""
    variables = {**os.environ, "PYTHONPATH": str(folder / "src")}
    begun, before = time.monotonic(), os.times()
    subprocess.run([sys.executable, "-m", "my_pipeline", *arguments], cwd=folder, env=variables, check=True,
                   capture_output=True)  # fmt: skip
    after = os.times()
    used = after.children_user - before.children_user + after.children_system - before.children_system
    return time.monotonic() - begun, used


def main(folder: Path, rounds: int) -> None:
    """Print the median of each and their ratio."""
    found: dict[str, list[tuple[float, float]]] = {
        "init": [],
        "status": [],
        "create": [],
        "create --rows 10": [],
        "drop": [],
    }
    for number in range(rounds):
        os.environ["MY_PIPELINE_TEST_ID"] = f"benchmark{os.getpid()}x{number}"
        found["init"].append(seconds(folder, "--env", "test", "init"))
        found["status"].append(seconds(folder, "--env", "test", "status"))
        for name in ("create", "create --rows 10"):
            found[name].append(seconds(folder, "branch", *name.split()))
            found["drop"].append(seconds(folder, "branch", "drop", "--yes"))
    medians = {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in found.items()}
    for name, (took, used) in medians.items():
        ratio = " and ".join(f"{a / b:4.2f}" for a, b in zip((took, used), medians["init"], strict=True))
        print(f"{name:18} {took:5.2f} s, {used:5.2f} s of the processor: {ratio} of init")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
