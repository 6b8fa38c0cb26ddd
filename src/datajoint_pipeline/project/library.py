"""Whether template and library of a project belong together, and whether others can get the library."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from packaging.version import Version

from ..findings import Finding
from .project import Project
from .template import answers

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_NAME = "datajoint-pipeline"


def check(project: Project) -> Iterator[Finding]:
    """Note what does not fit: two versions, or an address that only this machine has."""
    installed = version(_NAME)
    release = re.match(r"v(\d+(?:\.\d+)+[a-z0-9]*)", answers(project).get("_commit", ""))
    if release and Version(release[1]) != Version(installed):
        what = f"The template of this project is {release[1]}, and the library that runs is {installed}."
        do = "Run copier update and uv sync; in a pyproject.toml that is your own, change the pin yourself."
        yield Finding("library-version", "pyproject.toml", 1, what, do, note=True)
    source = _source(project)
    place = source.get("path") or source.get("git", "")
    if source.get("path") or place.startswith(("file:", "/", ".", "~")):
        what = f"The library comes from {place}, a folder that other machines do not have."
        do = (
            "Before others, CI or a container work with this project, see 'Where the library comes from' in "
            "docs/getting-started.md."
        )
        yield Finding("library-address", "pyproject.toml", 1, what, do, note=True)


def _source(project: Project) -> dict[str, Any]:
    try:
        document = tomllib.loads((project.root / "pyproject.toml").read_text(encoding="utf-8"))
        source = document["tool"]["uv"]["sources"][_NAME]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return source if isinstance(source, dict) else {}
