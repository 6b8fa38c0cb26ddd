"""Runs the template migration of one release in a user's project; Copier calls it, before and after it renders.

    python hooks/run.py v0.5.0 .copier-answers.yml

A migration is a file in ``migrations/``: a docstring, which the user is shown, and at least one of

    MOVES = {"old/path": "new/path"}    files that the release calls otherwise; edits of a user go along, and
                                        {answer} in a path is what the question was answered with
    def before(project: Project) -> None    on the project as it was, before the new template is rendered
    def after(project: Project) -> None     on the project as the new template has left it

What a migration writes is held back until it has returned, so that one that fails has changed nothing by itself. The
environment that Copier gives its migrations says the stage and the versions. The standard library, ``packaging`` and
what Copier itself depends on are all that is there.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from packaging.version import Version
from project import MigrationError, Project

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


def main(arguments: list[str]) -> int:
    """Run the stage of a migration that Copier is at; the exit code says whether all is well."""
    if len(arguments) not in (1, 2) or "STAGE" not in os.environ:
        usage = "usage: python hooks/run.py VERSION [ANSWERS_FILE], with the environment of a migration of Copier"
        print(usage, file=sys.stderr)
        return 2
    version, stage = arguments[0], os.environ["STAGE"]
    project = Project(Path.cwd(), stage, os.environ["VERSION_FROM"], *arguments[1:])
    try:
        migration = load(version)
        tell(migration, version, stage)
        if stage == "before" and hasattr(migration, "before"):
            migration.before(project)
        if stage == "after":
            later = later_moves(version)
            for old, new in getattr(migration, "MOVES", {}).items():
                project.move(*(path.format_map(project.answers) for path in (old, later.get(new, new))))
            if hasattr(migration, "after"):
                migration.after(project)
        project.commit()
        if stage == "after" and version == reached()[-1]:
            project.forget()
    except Exception as error:  # whatever it is, the user has to be told how to get back
        return fail(project, version, error)
    for note in project.notes:
        print(f"{version}: {note}", file=sys.stderr)
    return 0


def load(version: str) -> ModuleType:
    """The migration file of a release, as a module."""
    path = MIGRATIONS / f"{version.replace('.', '_')}.py"
    spec = importlib.util.spec_from_file_location(f"migration_{path.stem}", path)
    if spec is None or spec.loader is None or not path.exists():
        raise MigrationError(f"The template has no migration for {version}.", f"{path.name} is missing.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def versions() -> list[str]:
    """The releases that have a migration, oldest first."""
    return sorted((path.stem.replace("_", ".") for path in MIGRATIONS.glob("v*.py")), key=Version)


def reached() -> list[str]:
    """The releases with a migration up to the one that is being updated to."""
    target = os.environ.get("VERSION_PEP440_TO")
    return [version for version in versions() if not target or Version(version) <= Version(target)]


def later_moves(version: str) -> dict[str, str]:
    """What later releases call the files that this one names, up to the one that is being updated to."""
    found: dict[str, str] = {}
    for later in reached():
        if Version(version) < Version(later):
            moves: dict[str, str] = getattr(load(later), "MOVES", {})
            found = {old: moves.get(new, new) for old, new in found.items()} | moves
    return found


def tell(migration: ModuleType, version: str, stage: str) -> None:
    """Say once what the migration is about."""
    if stage == "before":
        print(f"\n{version}: {(migration.__doc__ or '').strip()}\n", file=sys.stderr)


def fail(project: Project, version: str, error: Exception) -> int:
    """Say what happened and how to get back, and leave the version of the template as it was."""
    with contextlib.suppress(MigrationError):
        project.forget()
    if isinstance(error, MigrationError):
        what, why = error.what, error.why
    else:
        what, why = f"The migration of {version} failed.", f"{type(error).__name__}: {error}"
    print(f"\nError: {what}\nWhy: {why}", file=sys.stderr)
    if project.stage == "before" and not project.written:
        print(
            "Do: nothing of the project was changed. Once that is put right, run copier update again.", file=sys.stderr
        )
        return 1
    project.restore_answers()
    print(
        "Do: go back to where you were, put that right, and run copier update again. Nothing that git ignores is\n"
        "touched, and there was nothing uncommitted when the update began:\n\n"
        "    git reset --hard\n"
        "    git clean --force -d\n",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
