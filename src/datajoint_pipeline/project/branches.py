"""The names that a git branch's own schemas have on a server: ``dev_<branch>_`` before what they are called otherwise.

A prefix is a function of the branch's name alone: a part of it that a person recognizes, and letters of a digest that
no two branches share. It stands in the names of schemas only, which both servers count apart from those of tables:
tables, parts, job tables (``~~``) and hidden tables are called as in ``dev``, so what fits there fits here.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

from .. import git
from ..errors import ExitCode, PipelineError
from ..journal import branches as marks
from ..journal.branches import Mark
from ..planner.target import BRANCH
from .project import Project

if TYPE_CHECKING:
    import datajoint as dj

#: Bytes that the name of a schema may have on both servers: MySQL takes 64 characters, PostgreSQL 63 bytes.
LONGEST = 63

#: Letters of a branch's name in its prefix, and of its digest. They are fixed, so that a new schema with a longer name
#: does not move those that are there.
_SLUG, _DIGEST = 16, 8


def name_of(project: Project, given: str | None = None) -> str:
    """Give the git branch that is meant: the one that was named, or the one that the project's folder is on.

    Raises
    ------
    PipelineError
        If there is none, or it is the main branch.
    """
    variable = project.variable("BRANCH")
    named = (given or os.environ.get(variable, "")).strip()
    name = named or git.current_branch(project.root)
    example = f"{project.program} --env {BRANCH} --branch my-feature status"
    if not name:
        raise PipelineError(
            "There is no git branch here.",
            f"{project.root} is in no git repository, or a commit and not a branch is checked out, as often in CI.",
            f"Check out a branch, or name it: {example}; or set {variable}.",
        )
    if name in git.main_branches(project.root):
        raise PipelineError(
            f"{name} is the main branch, and has no schemas of its own.",
            "What is merged belongs in dev and prod, which all share.",
            f"Make a branch (git switch -c my-feature), or say --env dev. To name another: {example}.",
        )
    return name


def prefix(project: Project, branch: str) -> str:
    """Give what stands before the names of a branch's schemas, the project's own prefix not counted.

    Raises
    ------
    PipelineError
        If a schema's name leaves no room for it.
    """
    longest = max((project.database(schema) for schema in project.versions), key=_size, default="")
    for found in prefixes(project, branch):
        if _size(found) + _size(longest) <= LONGEST:
            return found
    raise PipelineError(
        f"The schemas of the branch {branch} would have names that are too long.",
        f"{found}{longest} has {_size(found + longest)} bytes, and servers take {LONGEST}.",
        "Give that schema a shorter name in SCHEMA_DATABASES, or the project a shorter prefix.",
    )


def prefixes(project: Project, branch: str) -> tuple[str, str]:
    """Give the prefixes that a branch may have: with a part of its name, and without, where names are long."""
    digest = hashlib.sha256("\0".join((project.package, project.prefix, branch)).encode()).hexdigest()[:_DIGEST]
    slug = _slug(branch)
    if len(slug) > _SLUG:
        slug = _slug(branch.rpartition("/")[2])[:_SLUG].strip("_") or slug[:_SLUG].strip("_")
    return (f"dev_{slug}_{digest}_" if slug else f"dev_{digest}_"), f"dev_{digest}_"


def mark(connection: dj.Connection, project: Project, branch: str) -> Mark | None:
    """Give the mark of a branch's schemas; None where there is none that its name leads to.

    Raises
    ------
    PipelineError
        If the schemas are marked as another branch's.
    """
    beginnings = prefixes(project, branch)
    for found in marks.find(connection, beginnings):
        if (found.pipeline, found.branch) == (project.package, branch) and found.prefix in beginnings:
            return found
        raise PipelineError(
            f"{found.database} is marked as a schema of the branch {found.branch} of {found.pipeline}.",
            f"Its name begins as those of the branch {branch} do. Nothing was changed.",
            "Find out who made it; rename the git branch to work without it.",
        )
    return None


def refuse_unfinished(found: Mark, program: str) -> None:
    """Refuse to use a branch's schemas that are not made to their end, or on their way out."""
    if found.status == marks.MAKING:
        raise PipelineError(
            f"The schemas of the branch {found.branch} are not completely made.",
            "A branch create was interrupted, or is still running.",
            f"Run {program} branch create again, which makes them anew.",
            exit_code=ExitCode.INTERRUPTED,
        )
    if found.status == marks.DROPPING:
        raise PipelineError(
            f"The schemas of the branch {found.branch} are being dropped.",
            "A drop of them has not ended.",
            f"Run {program} branch drop {found.branch} again, then {program} branch create.",
            exit_code=ExitCode.INTERRUPTED,
        )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def _size(text: str) -> int:
    return len(text.encode())
