#!/usr/bin/env python3
"""What this code has to say differently for DataJoint 2.3 and for this project, line by line.

Reads the files of the package and runs none of them; needs Python 3.10 and nothing else. The exit code is 0 when
nothing is left to do, 3 when something is, 2 when the program was not called as it should be.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import calls
import converting
import definitions
import layout
import schemas
from findings import GROUPS, Finding, Refusal
from layout import Project
from reading import Module, read

READY, USAGE, LEFT = 0, 2, 3


def project_at(root: Path) -> Project:
    """The project whose folder this is, by ``adoption/project.json``."""
    path = Path(__file__).resolve().parent / "project.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        names = ("package", "project", "command", "prefix", "environment")
        package, name, command, prefix, environment = (str(told[key]) for key in names)
    except (OSError, ValueError, KeyError, TypeError) as error:
        do = "Take the file back from version control."
        raise Refusal("adoption/project.json cannot be read.", f"{error}.", do) from None
    own = Project(root, package, name, command, prefix, environment, told)
    # Until the package says its prefix, the old configuration knows it better than the question's default.
    own.prefix = _prefix(own) or (converting.prefix_of(converting.read(root) or {}) if not prefix else "")
    return own


def _prefix(project: Project) -> str:
    """The prefix as the package says it, or as it was answered."""
    path = project.folder / "__init__.py"
    try:
        tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    except (SyntaxError, ValueError):
        return project.prefix
    for node in tree.body:
        said = isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "SCHEMA_PREFIX" for t in node.targets)
        if said and isinstance(value := getattr(node, "value", None), ast.Constant):
            return str(value.value)
    return project.prefix


def report(project: Project, more: Iterable[Path] = ()) -> list[Finding]:
    """Everything that was found, in the order of paths and lines."""
    top, every, found = layout.files(project)
    own = schemas.names(top, project.prefix)
    found += layout.check(project, top, every, own)
    found += schemas.check(top, project.prefix)
    found += definitions.check(every)
    found += calls.check([*every, *_others(project, more)])
    found += converting.check(project)
    return sorted(dict.fromkeys(found))


def _others(project: Project, more: Iterable[Path]) -> list[Module]:
    """Files beside the package that are to be looked at, too: scripts, notebooks saved as Python."""
    modules = []
    for path in more:
        if not path.exists():
            raise Refusal(f"There is no {path}.", "It was named as a file or folder to look at.", "Correct the name.")
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            try:
                modules.append(read(file, file.resolve().relative_to(project.root).as_posix(), project.package))
            except (SyntaxError, ValueError):
                continue
    return modules


def show(found: list[Finding]) -> None:
    """Print a report, group by group."""
    for group in GROUPS:
        for notes in (False, True):
            mine = [finding for finding in found if finding.group == group and finding.note == notes]
            if mine:
                print(f"\n{group}{', to be known' if notes else ''}")
            for finding in mine:
                print(f"  {finding.path}:{finding.line}: {finding.rule}: {finding.what}")
                for line in finding.do.split("\n"):
                    print(f"      {line}")
    left = sum(not finding.note for finding in found)
    print(f"\n{left} to do." if left else "\nReady. Next: the command check, then adopt; adoption/README.md says how.")


def main(arguments: list[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="adoption/readiness.py", description=__doc__.split("\n")[0])
    parser.add_argument("paths", nargs="*", type=Path, help="files and folders beside the package to look at, too")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.add_argument("--convert", action="store_true", help="write what can be derived from dj_local_conf.json")
    options = parser.parse_args(arguments)
    try:
        project = project_at(Path(__file__).resolve().parent.parent)
        if options.convert:
            top, _, _ = layout.files(project)
            told = list(converting.convert(project, schemas.names(top, project.prefix)))
            if options.json:
                print(json.dumps({"convert": told}, indent=2))
            else:
                print("\n".join(told or ["Nothing was to be written."]))
            return READY
        found = report(project, options.paths)
    except Refusal as refusal:
        print(f"Error: {refusal.lines[0]}", *(f"  {line}" for line in refusal.lines[1:]), sep="\n", file=sys.stderr)
        return USAGE
    left = any(not finding.note for finding in found)
    if options.json:
        rows = [{**vars(finding), "group": finding.group} for finding in found]
        print(json.dumps({"ready": not left, "findings": rows}, indent=2))
    else:
        show(found)
    return LEFT if left else READY


if __name__ == "__main__":
    sys.exit(main())
