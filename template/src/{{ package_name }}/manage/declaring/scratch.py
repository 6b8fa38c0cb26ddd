"""Reads the model from code, through DataJoint's own declaration, without a server.

A process of its own imports the schema modules while a stand-in takes the connection's place (:mod:`recorder`), so that
neither a database nor the tables of this process are touched. What it finds comes back as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .. import graph, project
from ..errors import ExitCode, PipelineError
from ..tables.model import Schema, TableName, decode, encode

if TYPE_CHECKING:
    from .recorder import Recording


class Code(dict[str, Schema]):
    """The schemas of the code; ``contents`` has the rows that their Lookup tables come with, ``hazards`` by the backend
    what would go wrong where DataJoint declares the tables: what, and why."""

    contents: Mapping[TableName, list[dict[str, Any]]]
    hazards: Mapping[str, list[tuple[str, str]]]


def read(own: project.Project) -> Code:
    """The schemas as the code has them, the same for every backend.

    Parameters
    ----------
    own : Project
        Whose code.

    Returns
    -------
    Code
        Of each schema that a module opens, those of ``SCHEMA_VERSIONS`` first and in its order.

    Raises
    ------
    PipelineError
        If DataJoint refuses a definition, a module cannot be imported, or importing it asks a database.
    """
    finished = subprocess.run(
        [sys.executable, "-m", f"{own.package}.manage.declaring.scratch"],
        cwd=own.root,
        # It connects to nothing, and says so of a module that does.
        env={name: "not told" if name == "DJ_PASS" else value for name, value in os.environ.items()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    try:
        answer = json.loads(finished.stdout)
    except ValueError:
        last = (finished.stderr.strip().splitlines() or [f"It ended with code {finished.returncode}."])[-1]
        raise PipelineError(
            "The process that reads the code broke off.", last, f"Import the modules of {own.package} to see why."
        ) from None
    if "error" in answer:
        what, why, do, code = answer["error"]
        raise PipelineError(what, why, do, exit_code=ExitCode(code))
    code = Code({schema["name"]: decode(schema) for schema in answer["schemas"]})
    code.hazards = answer["hazards"]
    code.contents = {
        TableName(schema, table): rows
        for schema, tables in answer["contents"].items()
        for table, rows in tables.items()
    }
    return code


def main() -> None:
    """Write this project's model, or why there is none, as one JSON document; nothing else gets to standard output."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answer:
        os.dup2(2, 1)  # a module that prints, prints to standard error
        try:
            found = record(project.current())
            document: dict[str, Any] = {"schemas": [encode(schema) for schema in found.schemas().values()]}
            document |= {"contents": found.contents, "hazards": found.hazards}
        except PipelineError as error:
            document = {"error": [error.what, error.why, error.do, int(error.exit_code)]}
        json.dump(document, answer)


def record(own: project.Project) -> Recording:
    """What :func:`read` reads, in this process, which cannot connect to anything afterwards."""
    from ..servers import settings
    from . import recorder

    modules = graph.read(own.directory)
    names = [*modules.modules_in_order(own.versions).values(), *modules.modules]
    recording = recorder.install(settings.load(own), own)
    for name in dict.fromkeys(names):
        try:
            import_module(f"{own.package}.{name}")
        except PipelineError:
            raise
        except (Exception, SystemExit) as error:
            raise PipelineError(
                f"{name}.py cannot be imported.",
                f"{_where(own, error)}: {' '.join(str(error).split()) or type(error).__name__}",
                f"Correct it, and try python -c 'import {own.package}.{name}'.",
            ) from error
    return recording


def _where(own: project.Project, error: BaseException) -> str:
    from .recorder import place

    if isinstance(error, SyntaxError) and error.filename:
        return place(own, [(error.filename, error.lineno)])
    return place(own, [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)])


if __name__ == "__main__":
    main()
