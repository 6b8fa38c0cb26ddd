"""The template with its history, and projects that are carried along it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import copier
import yaml
from conftest import PARTS, PRESENT, ROOT, copy_parts, git
from copying import copier_command
from packaging.version import Version
from sampling import whole


def releases() -> dict[str, str]:
    """Commit of each release by its version, oldest first, from the subjects `Release vX.Y.Z` on main."""
    log = git(ROOT, "log", "--reverse", "--format=%H %s")
    return {version: commit for commit, version in re.findall(r"^(\w+) Release (v\d+\.\d+\.\d+)$", log, re.MULTILINE)}


def sample() -> list[str]:
    """The first release and the last of every third minor version and of the two newest; all with ``--whole``."""
    every = list(releases())
    _, *older, second, newest = {version.rpartition(".")[0]: version for version in every}.values()
    return every if whole() else [every[0], *older[::-3][::-1], second, newest]


def clone(folder: Path) -> Path:
    """The repository with its releases tagged, and its template as in the working tree, not committed."""
    git(ROOT, "clone", "--quiet", "--no-local", str(ROOT), str(folder))
    for tag in git(folder, "tag").split():
        git(folder, "tag", "--delete", tag)
    for version, released in releases().items():
        git(folder, "tag", version, released)
    for part in PARTS:
        shutil.rmtree(folder / part, ignore_errors=True)
    copy_parts(folder)
    return folder


def commit(folder: Path, tag: str) -> None:
    """Commit everything and tag it."""
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--allow-empty", f"--message={tag}")
    git(folder, "tag", tag)


def start(history: Path, folder: Path, version: str, **answers: object) -> Path:
    """A project as it was copied from a version, committed; it is copied once from each, and with the same answers."""
    names = json.dumps([str(history), git(history, "rev-parse", version), answers], sort_keys=True)
    made = history.with_name("projects") / hashlib.sha256(names.encode()).hexdigest()
    if not made.exists():
        copier.run_copy(str(history), made, data=answers, defaults=True, quiet=True, vcs_ref=version)
        git(made, "init", "--quiet")
        save(made, "Start")
    return Path(shutil.copytree(made, folder, symlinks=True))


def save(folder: Path, message: str = "Mine") -> None:
    """Commit everything in a project."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", f"--message={message}")


def update(folder: Path, *arguments: str, trust: bool = False, to: str = PRESENT) -> subprocess.CompletedProcess[str]:
    """`copier update`, by the command line."""
    trusted = ["--trust"] if trust else []
    return copier_command(folder, "update", "--defaults", "--quiet", *trusted, f"--vcs-ref={to}", *arguments)


def crosses(version: str) -> bool:
    """Whether a release with a migration lies between a version and the present."""
    entries = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8")).get("_migrations", [])
    return any(Version(entry["version"]) > Version(version) for entry in entries)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that git does not ignore."""
    tracked = git(folder, "ls-files", "--cached", "--others", "--exclude-standard").split("\n")
    return {path: (folder / path).read_bytes() for path in tracked if path and (folder / path).exists()}


#: What the lab owns from the moment it is generated.
OWNED = re.compile(r"README\.md|LICENSE|docs/.*|tests/test_.*|src/[^/]+/[^/]+\.py|src/[^/]+/(utils|migrations)/.*")
