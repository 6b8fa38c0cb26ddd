"""Names that projects of releases before 0.6 import from their package ``manage``, which was this library.

Nothing of the lab's is rewritten by an update: migration files that were applied say ``from
my_pipeline.manage.migration import …``, and ``__init__.py`` says ``from .manage import initialize, open_schema``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from . import errors, migration
from .project import graph
from .project.pipeline import Pipeline


def hand_on(name: str) -> Pipeline:
    """Make the names that a ``manage`` package had importable from it again.

    Parameters
    ----------
    name : str
        Of that package: ``__name__`` in its ``__init__.py``.

    Returns
    -------
    Pipeline
        That of the package around it, which says its versions, prefix, default environment and command itself.
    """
    pipeline = Pipeline(name.rpartition(".")[0])
    # `python -m my_pipeline.manage` finds its program there.
    sys.modules[name].__path__.append(str(Path(__file__).with_name("earlier")))
    _offer(name, "migration", migration)
    _offer(name, "errors", errors)
    _offer(name, "graph", graph)
    _offer(name, "project", _module(f"{name}.project", current=lambda: pipeline.project))
    _offer(name, "environment", _module(f"{name}.environment", select=pipeline.select, connect=pipeline.connect))
    _offer(name, "status", _Status(pipeline, f"{name}.status"))
    _offer(name, "testing", _Testing(pipeline, f"{name}.testing"))
    _offer(name, "cli", _CommandLine(pipeline, f"{name}.cli"))
    return pipeline


def _offer(name: str, part: str, module: ModuleType) -> None:
    sys.modules[f"{name}.{part}"] = module
    setattr(sys.modules[name], part, module)


def _module(name: str, **names: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(names)
    return module


class _Status(ModuleType):
    """``manage.status``; imports what it needs when it is asked."""

    def __init__(self, pipeline: Pipeline, name: str) -> None:
        super().__init__(name)
        self._pipeline = pipeline

    def read(self, connection: object, environment: Any) -> Any:
        """Find where every schema stands."""
        from .planner import status

        return status.read(self._pipeline.target(environment))


class _Testing(ModuleType):
    """``manage.testing``."""

    def __init__(self, pipeline: Pipeline, name: str) -> None:
        super().__init__(name)
        self._pipeline = pipeline

    def fresh_pipeline(self) -> Any:
        """Make every schema in a place of its own."""
        from .testing import fresh_pipeline

        return fresh_pipeline(self._pipeline)


class _CommandLine(ModuleType):
    """``manage.cli``."""

    def __init__(self, pipeline: Pipeline, name: str) -> None:
        super().__init__(name)
        self._pipeline = pipeline

    def main(self, arguments: list[str] | None = None) -> None:
        """Run the command line."""
        from .cli import run

        run(self._pipeline, arguments)
