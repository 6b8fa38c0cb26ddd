"""The tables as the code declares them, through DataJoint's own declaration and without a server.

A process of its own imports the schema modules while a stand-in takes the connection's place (:mod:`declaration`), so
that neither a database nor the tables of this process are touched. Its answer comes back as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ExitCode, PipelineError
from ..schema import notation
from ..schema.model import Schema, Table, TableName, decode, encode
from ..schema.notation import enum_values
from .declaration_checks import NOT_IN_ENUMS
from .sources import Sources


class Code(dict[str, Schema]):
    """The schemas of the code, by name.

    Attributes
    ----------
    contents : mapping of TableName to list of dict
        The rows that Lookup tables come with.
    problems : mapping
        By backend, what would go wrong where DataJoint declares the tables: what, and why.
    ignored : list of (str, str)
        Lines of definitions that DataJoint passes over: what, and why.
    backend : str
        The backend that the project's configuration names.
    """

    contents: Mapping[TableName, list[dict[str, Any]]]
    problems: Mapping[str, list[tuple[str, str]]]
    ignored: list[tuple[str, str]]
    backend: str

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Code:
        """Give what :meth:`document` was made of."""
        code = cls({schema["name"]: decode(schema) for schema in document["schemas"]})
        code.problems, code.backend = document["problems"], document["backend"]
        code.ignored = [(what, why) for what, why in document["ignored"]]
        code.contents = {
            TableName(schema, table): rows
            for schema, tables in document["contents"].items()
            for table, rows in tables.items()
        }
        return code

    def document(self) -> dict[str, Any]:
        """Give all of it as JSON has it."""
        contents: dict[str, dict[str, Any]] = {}
        for name, rows in self.contents.items():
            contents.setdefault(name.schema, {})[name.table] = rows
        schemas = [encode(schema) for schema in self.values()]
        more = {"problems": self.problems, "ignored": self.ignored, "backend": self.backend}
        return {"schemas": schemas, "contents": contents, **more}

    def tables(self, schemas: Iterable[str]) -> dict[TableName, Table]:
        """Give every table of some schemas."""
        return {table.name: table for name in schemas if name in self for table in self[name]}


def of_mysql_alone(backend: str, tables: Iterable[Table]) -> tuple[TableName, str] | None:
    """Give the first table for MySQL, and what it has in words, that DataJoint cannot make on PostgreSQL."""
    if backend != "mysql":
        return None
    for table in tables:
        for attribute in table.attributes:
            if notation.is_of_mysql_alone(attribute.type):
                return table.name, f"{table.name}.{attribute.name} has the type {attribute.type}"
            if attribute.type.startswith("enum(") and {*NOT_IN_ENUMS} & {*"".join(enum_values(attribute.type))}:
                return table.name, f"{table.name}.{attribute.name} has the type {attribute.type}"
        for index in table.indexes:
            for column in index.columns:
                if column not in table.attribute:
                    return table.name, f"{table.name} has an index over {column}"
    return None


def read(sources: Sources, program: str) -> Code:
    """Have another process read the code. The answer is the same for every backend.

    Parameters
    ----------
    sources : Sources
        Whose code.
    program : str
        Module that, run with the name of the package, prints :meth:`Code.document` or :func:`refusal` as JSON.

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
        # That process connects to nothing, and refuses a module that does.
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
            "The process that reads the code stopped.", last, f"Import the modules of {sources.package} to see why."
        ) from None
    if "error" in answer:
        what, why, do, code = answer["error"]
        raise PipelineError(what, why, do, exit_code=ExitCode(code))
    return Code.of(answer)


def refusal(error: PipelineError) -> dict[str, Any]:
    """Give an error as JSON has it."""
    return {"error": [error.what, error.why, error.do, int(error.exit_code)]}
