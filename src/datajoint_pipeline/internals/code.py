"""The tables as the code declares them, through DataJoint's own declaration and without a server.

A process of its own imports the schema modules while a stand-in takes the connection's place (:mod:`declaration`), so
that neither a database nor the tables of this process are touched. What it finds comes back as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ExitCode, PipelineError
from ..schema.model import Schema, Table, TableName, decode, encode
from .sources import Sources

if TYPE_CHECKING:
    from .declaration import Recording


class Code(dict[str, Schema]):
    """The schemas of the code.

    ``contents`` has the rows that their Lookup tables come with; ``problems``, by the backend, what would go wrong
    where DataJoint declares the tables: what, and why.
    """

    contents: Mapping[TableName, list[dict[str, Any]]]
    problems: Mapping[str, list[tuple[str, str]]]

    def tables(self, schemas: Iterable[str]) -> dict[TableName, Table]:
        """Every table of some schemas."""
        return {table.name: table for name in schemas if name in self for table in self[name]}


def read(sources: Sources, program: str) -> Code:
    """Have another process read the code; the same for every backend.

    Parameters
    ----------
    sources : Sources
        Whose code.
    program : str
        Module that, run with the name of the package, writes what :func:`write` writes.

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
        [sys.executable, "-m", program, sources.package],
        cwd=sources.root,
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
            "The process that reads the code broke off.", last, f"Import the modules of {sources.package} to see why."
        ) from None
    if "error" in answer:
        what, why, do, code = answer["error"]
        raise PipelineError(what, why, do, exit_code=ExitCode(code))
    found = Code({schema["name"]: decode(schema) for schema in answer["schemas"]})
    found.problems = answer["problems"]
    found.contents = {
        TableName(schema, table): rows
        for schema, tables in answer["contents"].items()
        for table, rows in tables.items()
    }
    return found


def document(recording: Recording) -> dict[str, Any]:
    """Give what was recorded as JSON has it."""
    schemas = [encode(schema) for schema in recording.schemas().values()]
    return {"schemas": schemas, "contents": recording.contents, "problems": recording.problems}


def refusal(error: PipelineError) -> dict[str, Any]:
    """Give an error as JSON has it."""
    return {"error": [error.what, error.why, error.do, int(error.exit_code)]}
