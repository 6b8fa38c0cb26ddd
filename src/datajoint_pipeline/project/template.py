"""Which files that the template keeps up to date were edited: they are made anew, as they were, and compared."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from .. import disk
from ..findings import Finding
from ..git import git, variables
from .project import CONFIG_FILE, Project

ANSWERS = ".copier-answers.yml"

#: What the lab owns from the moment it is generated; an update touches none of it.
_OWNED = (
    r"README\.md|LICENSE|access\.toml|workers\.toml|docs/.*|tests/test_[^/]*\.py|{package}/[^/]+\.py|"
    r"{package}/(utils|migrations)/.*"
)

#: The same of a pipeline that was there before the template.
_ADOPTED = rf"pyproject\.toml|{_OWNED}"

#: Where `docs build` lists its pages, and between which lines.
_NAVIGATION = "mkdocs.yml"
_PAGES = re.compile(rb"(?s)(?<=  # docs build: pages of the pipeline\n).*(?=  # docs build: end\n)")

#: Seconds that making the files anew may take; the template may have to be fetched first.
_PATIENCE = 120


def answers(project: Project) -> dict[str, str]:
    """Read ``_commit`` and ``_src_path``: which version of which template the project was made from."""
    path = project.root / ANSWERS
    text = disk.text(path) if path.is_file() else ""
    lines = re.findall(r"^(_commit|_src_path): (.*(?:\n .*)*)$", text, re.MULTILINE)  # a long one goes on in the next
    return {name: " ".join(value.split()).strip("'\"") for name, value in lines}


def edited(project: Project) -> list[Finding]:
    """Give a note about files of the template that were edited, or about why nobody can tell; nothing where none was.

    The files are made once for each version of the template, and kept in ``.local/template/``.
    """
    known = answers(project)
    if len(known) < 2:  # copied from a folder without a history: there is no version to go back to
        return []
    path = project.root / ANSWERS
    made = project.local_directory / "template" / hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    try:
        if not made.is_dir():
            _make(made, path, known["_src_path"], known["_commit"])
    except (OSError, subprocess.SubprocessError) as error:
        why = str(getattr(error, "stderr", "") or error).strip().splitlines() or ["no message"]
        what = f"Whether files of the template were edited is not known: {why[-1]}"
        return [Finding("template-unknown", ANSWERS, 1, what, "Make sure that the template can be reached.", note=True)]
    changed = [path for path in template_files(made) if _differs(made / path, project.root / path)]
    if not changed:
        return []
    what = f"Files of the template were edited: {', '.join(changed)}."
    return [
        Finding("template-edited", ANSWERS, 1, what, "An update merges them; docs/updating.md says how.", note=True)
    ]


def _solve(path: str) -> str:
    """Say how a conflict in a file is solved."""
    if path.endswith("/snapshot.txt"):
        schema = PurePosixPath(path).parent.name
        return f"Take one side whole (git checkout --ours -- {path}, or --theirs), then run renumber {schema}."
    return "Keep what is right and delete the markers. After an update, docs/updating.md says which side is whose."


def conflicts(project: Project) -> list[Finding]:
    """Find where an update or a merge left a conflict that nobody has solved yet."""
    marks = ("-e", "^<<<<<<< ", "-e", "^>>>>>>> ")
    try:
        grep = git(project.root, "grep", "--no-index", "--exclude-standard", "-nI", *marks)
        listed = git(project.root, "ls-files", "--others", "--cached", "--exclude-standard", "*.rej")
    except OSError:  # no git, no update
        return []
    places = re.findall(r"^(.+?):(\d+):<<<<<<< ", grep.stdout, re.MULTILINE)
    what = "Two sides of a change meet here."
    found = [Finding("conflict", path, int(line), what, _solve(path)) for path, line in places]
    what = "What you changed did not fit the newer template."
    return found + [
        Finding("conflict", path, 1, what, "Take over what is right, and delete this file.")
        for path in listed.stdout.split("\n")
        if path
    ]


def _make(place: Path, answers: Path, source: str, commit: str) -> None:
    """Have Copier make the project anew; only a whole one gets its place."""
    copier = [sys.executable, "-m", "copier"] if find_spec("copier") else [shutil.which("uvx") or "uvx", "copier"]
    shutil.rmtree(place.parent, ignore_errors=True)
    place.parent.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
        folder = Path(scratch) / "project"
        options = ["--defaults", "--quiet", f"--data-file={answers}", f"--vcs-ref={commit}"]
        subprocess.run(
            [*copier, "copy", *options, source, str(folder)],
            env={**variables(), "GIT_TERMINAL_PROMPT": "0"},
            cwd=place.parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=_PATIENCE,
        )
        folder.rename(place)


def template_files(made: Path) -> list[str]:
    """Give the files of a project that the template keeps up to date."""
    labs = owned((made / ANSWERS).read_text(encoding="utf-8"))
    paths = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
    return [path for path in paths if path != ANSWERS and not labs.fullmatch(path)]


def owned(answers: str) -> re.Pattern[str]:
    """Give a pattern of the files that are the lab's, from the answers, which say where the package is."""
    given = dict(re.findall(r"^(existing|source_folder|package_name): ['\"]?(.*?)['\"]?$", answers, re.MULTILINE))
    folder = given.get("source_folder", "src")
    package = re.escape(given.get("package_name", "")) if folder == "." else f"{re.escape(folder)}/[^/]+"
    return re.compile((_ADOPTED if given.get("existing") == "true" else _OWNED).replace("{package}", package))


def _differs(made: Path, own: Path) -> bool:
    """Say whether a file was edited since it was made. One that was deleted does not count: an update leaves it so."""
    if not own.is_file() or own.read_bytes() == made.read_bytes():
        return False
    if own.name == _NAVIGATION and _PAGES.sub(b"", own.read_bytes()) == _PAGES.sub(b"", made.read_bytes()):
        return False
    return own.name != CONFIG_FILE or _given(made) != _given(own)


def _given(path: Path) -> Any:
    """Give what the template says in DataJoint's configuration; server and stores are for the lab to name."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        database = {"create_tables": document["database"].get("create_tables")}
    except (ValueError, KeyError, TypeError, AttributeError):
        return path.read_bytes()
    return {**document, "database": database, "stores": None}
