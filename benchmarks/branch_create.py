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


def seconds(folder: Path, *arguments: str) -> float:
    """How long a command takes, its start and the import of DataJoint included."""
    variables = {**os.environ, "PYTHONPATH": str(folder / "src")}
    begun = time.monotonic()
    subprocess.run([sys.executable, "-m", "my_pipeline", *arguments], cwd=folder, env=variables, check=True,
                   capture_output=True)  # fmt: skip
    return time.monotonic() - begun


def main(folder: Path, rounds: int) -> None:
    """Print the median of each and their ratio."""
    found: dict[str, list[float]] = {"init": [], "status": [], "create": [], "create --rows 10": [], "drop": []}
    for number in range(rounds):
        os.environ["MY_PIPELINE_TEST_ID"] = f"benchmark{os.getpid()}x{number}"
        found["init"].append(seconds(folder, "--env", "test", "init"))
        found["status"].append(seconds(folder, "--env", "test", "status"))
        for name in ("create", "create --rows 10"):
            found[name].append(seconds(folder, "branch", *name.split()))
            found["drop"].append(seconds(folder, "branch", "drop", "--yes"))
    for name, times in found.items():
        median = statistics.median(times)
        print(f"{name:18} {median:5.2f} s  {median / statistics.median(found['init']):4.2f} of init")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
