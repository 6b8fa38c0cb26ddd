"""How long it takes to render a project and to get help from its command line, as ratios, and how much a project holds.

    uv run benchmarks/copy.py

`copier copy --defaults` of this template is held against a template with one file, which is what Copier itself costs.
So is a template of the files that come out, with no Jinja in them and one question: the least that so many files cost.
`my-pipeline --help` is held against `python -c "import datajoint"`, which is what a command would cost that imports it.
Files and lines are those of a default project: nothing of the library is among them.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS = 7


def main() -> None:
    """Print one line a figure."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        ours, minimal = folder / "ours", folder / "minimal"
        ours.mkdir()
        for part in ("copier.yml", "template", "src"):
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, ours / part, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
            else:
                shutil.copy(ROOT / part, ours / part)
        (minimal / "template").mkdir(parents=True)
        (minimal / "copier.yml").write_text("_subdirectory: template\nname: {type: str, default: x}\n")
        (minimal / "template" / "README.md.jinja").write_text("{{ name }}\n")
        for template in (ours, minimal):
            commit(template)
        render = [sys.executable, "-m", "copier", "copy", "--defaults", "--quiet", "--overwrite"]
        project = folder / "project"
        compare(
            "copier copy --defaults", [*render, str(ours), str(project)],
            "the same for a template with one file", [*render, str(minimal), str(folder / "one")],
        )  # fmt: skip
        plain = folder / "plain"
        shutil.copytree(project, plain / "template")
        (plain / "template" / ".copier-answers.yml").unlink()
        shutil.copy(minimal / "copier.yml", plain)
        commit(plain)
        compare(
            "as many files without Jinja", [*render, str(plain), str(folder / "files")],
            "the template with one file", [*render, str(minimal), str(folder / "one")],
        )  # fmt: skip
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(project / "src"), str(ROOT / "src")])}
        compare(
            "my-pipeline --help", [sys.executable, "-m", "my_pipeline", "--help"],
            'python -c "import datajoint"', [sys.executable, "-W", "ignore", "-c", "import datajoint"],
            variables,
        )  # fmt: skip
        files = [path for path in project.rglob("*") if path.is_file()]
        python = [path for path in files if path.suffix == ".py"]
        lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in python)
        print(f"a default project: {len(files)} files, {len(python)} of them Python with {lines} lines")


def commit(folder: Path) -> None:
    who = ["-c", "user.name=Benchmark", "-c", "user.email=benchmark@example.org"]
    for arguments in (["init", "--quiet"], ["add", "--all", "--force"], [*who, "commit", "--quiet", "--message=One"]):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    subprocess.run(["git", "gc", "--quiet"], cwd=folder, check=True)  # packed, as a clone from elsewhere is


def compare(name: str, ours: list[str], peer: str, theirs: list[str], variables: dict[str, str] | None = None) -> None:
    """Run both in turn, so that a drifting machine hits both, and print medians and their ratio pair by pair."""
    pairs = [(seconds(ours, variables), seconds(theirs, variables)) for _ in range(RUNS + 1)][1:]
    medians = [statistics.median(times) for times in zip(*pairs, strict=True)]
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{name}: {medians[0]:.2f} s; {peer}: {medians[1]:.2f} s; ratio {ratio:.2f} (median of {RUNS} pairs)")


def seconds(command: list[str], variables: dict[str, str] | None) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=variables)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
