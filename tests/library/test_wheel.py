"""The library as it is published: a wheel that installs into an empty environment and works there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from adopted_pipelines import LEGACY
from adopting import write
from conftest import ROOT

pytestmark = pytest.mark.skipif(shutil.which("uv") is None, reason="uv builds the wheel and makes the environment")


def run(*command: str | Path, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {n: v for n, v in os.environ.items() if not n.startswith(("DJ_", "VIRTUAL_ENV", "PYTHON", "MY_PIPELINE"))}
    return subprocess.run(
        list(map(str, command)), cwd=folder, env=clean | variables, capture_output=True, text=True, timeout=600
    )


def test_a_wheel_works_in_an_empty_environment(tmp_path: Path, render: Callable[..., Path]) -> None:
    source = tmp_path / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / part, source / part)
    built = run("uv", "build", "--quiet", "--wheel", "--out-dir", tmp_path / "dist", source, folder=tmp_path)
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "datajoint_pipeline/py.typed" in names and "datajoint_pipeline/commands/starter/module.txt" in names
    python = tmp_path / "venv" / "bin" / "python"
    assert run("uv", "venv", "--quiet", "--python", sys.executable, tmp_path / "venv", folder=tmp_path).returncode == 0
    installed = run("uv", "pip", "install", "--quiet", "--python", python, f"{wheel}[local]", folder=tmp_path)
    assert installed.returncode == 0, installed.stderr
    help_ = run(python.with_name("datajoint-pipeline"), "readiness", "--help", folder=tmp_path)
    assert help_.returncode == 0 and "readiness" in help_.stdout, help_.stderr
    # The report needs what the library brings and nothing of the lab's, whose modules would stop it.
    lab = write(tmp_path / "lab", {**LEGACY, "odours/trap.py": "raise SystemExit\n", "datajoint.json": "{"})
    report = run(python.with_name("datajoint-pipeline"), "readiness", "--json", folder=lab)
    assert report.returncode == 3 and report.stderr == "", report.stderr
    assert json.loads(report.stdout)["counts"]["types"]["integer-type"] == 9
    project = render(tmp_path / "my_pipeline")
    package = {"PYTHONPATH": str(project / "src")}
    try:
        for command in (["--env", "local", "init"], ["add-schema", "behaviour", "--depends", "session"], ["check"]):
            done = run(python, "-m", "my_pipeline", *command, folder=project, **package)
            assert done.returncode == 0, done.stdout + done.stderr
        # Installed without -e, as on a machine that only runs the pipeline: nothing is written into it.
        done = run("uv", "pip", "install", "--quiet", "--no-deps", "--python", python, project, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        for command in (["add-schema", "video"], ["revise", "all", "-m", "Change"], ["renumber", "session"]):
            refused = run(python, "-m", "my_pipeline", *command, folder=tmp_path)
            assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 3), refused.stderr
            assert "is installed in" in refused.stderr and "nothing was written" in refused.stderr
    finally:
        run(python, "-m", "my_pipeline", "local", "stop", folder=project, **package)
