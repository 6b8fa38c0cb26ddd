"""How a pipeline that exists is adopted from outside: the template copied over it, its report, a person's changes."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from adopted_pipelines import LEGACY, MODERN, WORKFLOW
from conftest import PRESENT, git
from copying import copier_command

from datajoint_pipeline.readiness.command import main

Before = dict[str, str]


def write(folder: Path, files: Before) -> Path:
    """A lab's repository as it was before."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=Before")
    return folder


def copy(template: Path, folder: Path, **answers: str) -> subprocess.CompletedProcess[str]:
    """Copy by the command line, without --trust, --overwrite or a terminal."""
    data = [f"--data={name}={value}" for name, value in {"existing": "true", **answers}.items()]
    return copier_command(folder, "copy", "--defaults", f"--vcs-ref={PRESENT}", *data, str(template), ".")


KINDS: dict[str, tuple[Before, dict[str, str]]] = {
    "whisking": (MODERN, {"project_name": "whisking", "schema_prefix": "whisk_"}),
    "odours": (LEGACY, {"project_name": "odours"}),
    "workflow": (WORKFLOW, {"project_name": "workflow-odours"}),
}


def fresh(copied: dict[str, Path], kind: str, place: Path) -> Path:
    shutil.copytree(copied[kind], place / kind)
    return place / kind


def readiness(folder: Path, *arguments: str, path: str | Path = ".") -> subprocess.CompletedProcess[str]:
    """Run the report as the console script does; in this process, as importing DataJoint takes seconds."""
    out, err = io.StringIO(), io.StringIO()
    words = ["readiness", str(path), *arguments]
    with chdir(folder), redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as left:
        main(words)
    return subprocess.CompletedProcess(words, int(str(left.value.code)), out.getvalue(), err.getvalue())


@contextmanager
def chdir(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def found(folder: Path, path: str | Path = ".") -> list[dict[str, Any]]:
    report = readiness(folder, "--json", path=path)
    assert report.returncode in (0, 3), report.stderr
    rows: list[dict[str, Any]] = json.loads(report.stdout)["findings"]
    return rows


def edit(folder: Path, edits: dict[str, list[tuple[str, str]]]) -> None:
    """Change code as a person does who reads the report; what replaces nothing is written where nothing stands."""
    for path, pairs in edits.items():
        (folder / path).touch()  # a file that is missing is added
        text = (folder / path).read_text(encoding="utf-8")
        for old, new in pairs:
            if not old:
                text = text or new
                continue
            assert old in text, (path, old)
            text = text.replace(old, new)
        (folder / path).write_text(text, encoding="utf-8")
