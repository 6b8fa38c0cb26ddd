"""The process that reads a project's code: ``python -m datajoint_pipeline.project.read_code my_pipeline``."""

from __future__ import annotations

import json
import os
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import PipelineError
from ..internals import code
from . import graph
from .pipeline import Pipeline

if TYPE_CHECKING:
    from ..internals.declaration import Recording
    from ..internals.sources import Sources
    from .project import Project

#: What `check` finds that keeps modules from being imported, or definitions from being read.
_FATAL = ("missing-import", "cycle", "undecorated", "unknown-table")


def main(package: str) -> None:
    """Write the tables of a project, or why there are none, as one JSON document, alone on standard output."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answer:
        os.dup2(2, 1)  # a module that prints, prints to standard error
        try:
            pipeline = Pipeline.load(package)
            found = record(pipeline).code(pipeline.config["database.backend"]).document()
        except PipelineError as error:
            found = code.refusal(error)
        json.dump(found, answer)


def record(pipeline: Pipeline) -> Recording:
    """Import every module of a project with a stand-in for the connection; this process cannot connect afterwards."""
    from ..internals import declaration

    project = pipeline.project
    modules = pipeline.graph
    ordered = [name for names in pipeline.modules_by_schema.values() for name in names]
    recording = declaration.install(pipeline.config, project.sources, project.versions, project.database)
    opened = set[str]()

    def place(name: str) -> dict[str, Any]:
        opened.add(name)
        return recording.place(name)

    with pipeline.opening(place):
        for name in dict.fromkeys([*ordered, *modules.modules]):
            try:
                import_module(f"{project.package}.{name}")
            except (Exception, SystemExit) as error:
                if explained := _explained(project, modules, *_FATAL):
                    raise explained from error
                if isinstance(error, PipelineError):
                    raise
                raise PipelineError(
                    f"{modules.modules[name].file} cannot be imported.",
                    f"{_where(project.sources, error)}: {' '.join(str(error).split()) or type(error).__name__}",
                    f"Correct it, and try python -c 'import {project.package}.{name}'.",
                ) from error
    # Or their tables would be taken for dropped.
    unseen = ("undecorated", "no-version") if opened - {*project.versions} else ("undecorated",)
    if explained := _explained(project, modules, *unseen):
        raise explained
    return recording


def _explained(project: Project, modules: graph.Graph, *ids: str) -> PipelineError | None:
    """Give the first of some findings of `check`, in its words: it says more than what fails because of it."""
    for finding in graph.check(modules, project.versions):
        if finding.id in ids:
            return PipelineError(finding.what, f"{project.path_of(finding.module)}, line {finding.line}.", finding.do)
    return None


def _where(sources: Sources, error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return sources.place([(error.filename, error.lineno)])
    return sources.place([(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)])


if __name__ == "__main__":
    main(*sys.argv[1:])
