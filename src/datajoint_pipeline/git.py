"""What is asked of git about the repository that a folder is in."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

#: What makes git work in another repository than that of the folder; hooks and some editors set it.
_ELSEWHERE = frozenset(
    f"GIT_{name}"
    for name in (
        *("DIR", "WORK_TREE", "INDEX_FILE", "OBJECT_DIRECTORY", "ALTERNATE_OBJECT_DIRECTORIES"),
        *("COMMON_DIR", "PREFIX", "NAMESPACE", "SHALLOW_FILE"),
    )
)


def variables() -> dict[str, str]:
    """Give the environment for git and what starts it: no password of DataJoint's, and no other repository."""
    return {n: value for n, value in os.environ.items() if not n.startswith("DJ_") and n not in _ELSEWHERE}


def git(folder: Path, *arguments: str, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run git in a folder, whatever it answers, which is in English.

    Raises
    ------
    OSError
        If there is no git.
    subprocess.TimeoutExpired
        If it takes longer than ``timeout`` seconds.
    """
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=variables() | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def commit_with(path: Path) -> str:
    """Give a commit of any branch that has a file as it is now; empty where there is none, or no repository."""
    try:
        blob = git(path.parent, "hash-object", path.name).stdout.strip()
        asked = ("--all", "--max-count=1", "--format=%h", f"--find-object={blob}", "--", path.name)
        return git(path.parent, "log", *asked).stdout.strip()
    except OSError:
        return ""


def in_last_commit(folder: Path, name: str) -> bool:
    """Say whether the last commit has a file, ``name`` from a folder on; no where there is none, or no repository."""
    try:
        return git(folder, "cat-file", "-e", f"HEAD:./{name}").returncode == 0
    except OSError:
        return False


def uncommitted(folder: Path) -> bool:
    """Say whether a folder has files that are new or changed since the last commit; no where there is no repository."""
    try:
        return bool(git(folder, "status", "--porcelain", "--", ".").stdout.strip())
    except OSError:
        return False


def current_branch(folder: Path) -> str:
    """Give the branch that a folder is on; empty where it is on none, or in no repository, or there is no git."""
    try:
        return git(folder, "symbolic-ref", "--quiet", "--short", "HEAD").stdout.strip()
    except OSError:
        return ""


def main_branches(folder: Path) -> set[str]:
    """Give what the main branch may be called: ``main``, ``master``, and what the repository's origin says."""
    names = {"main", "master"}
    try:
        head = git(folder, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD").stdout.strip()
    except OSError:
        return names
    return names | {head.removeprefix("origin/")} - {""}


def local_branches(folder: Path) -> set[str] | None:
    """Give the branches of this clone; None where git cannot tell, as where cron does not find it."""
    try:
        found = git(folder, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads")
    except OSError:
        return None
    return None if found.returncode else set(found.stdout.split())


def origin_branches(folder: Path) -> set[str] | None:
    """Ask the repository that a clone is of for its branches; None where there is none, or it does not answer soon."""
    try:
        found = git(folder, "ls-remote", "--heads", "origin", timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if found.returncode:
        return None
    return {line.partition("\trefs/heads/")[2] for line in found.stdout.splitlines()}
