"""`diagram`: a picture of the pipeline, of a schema, or of a table and what is around it, from the code alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from .. import diagram, disk
from ..diagram import Graph
from ..errors import ExitCode, PipelineError
from ..project.pipeline import Pipeline
from ..schema import definition
from ..schema.model import Table, TableName


def graph(pipeline: Pipeline, names: Iterable[str] = (), around: str | None = None, steps: int = 1) -> Graph:
    """Give what is to be shown.

    Parameters
    ----------
    pipeline : Pipeline
        Whose code is read; no server is asked.
    names : iterable of str
        Schemas and tables; none for the whole pipeline, of which many tables are shown as their schemas.
    around : str, optional
        A table that is shown with what it refers to and what refers to it.
    steps : int
        How many foreign keys from there.

    Raises
    ------
    PipelineError
        If there is no such schema or table, or the code cannot be read.
    """
    versions = pipeline.project.versions
    tables = pipeline.read_code().tables(versions)
    asked = list(names)
    if around is not None:
        return diagram.around(tables, _table(tables, around), steps)
    if not asked:
        return diagram.overview(tables, versions, title=pipeline.project.package)
    if len(asked) == 1 and asked[0] in versions:
        return diagram.of_tables(tables, asked[0])
    shown: set[TableName] = set()
    for text in asked:
        shown |= {n for n in tables if n.schema == text} if text in versions else {_table(tables, text)}
    return diagram.of_tables({n: t for n, t in tables.items() if n in shown}, title=", ".join(asked))


def text(graph: Graph, form: str) -> str:
    """Write a picture as ``svg`` or ``mermaid``.

    Raises
    ------
    PipelineError
        If it is more than Mermaid draws.
    """
    if form == "svg":
        return diagram.draw(graph)
    try:
        return diagram.write(graph)
    except ValueError as error:
        do = "Name a schema, or a table with --around; or take --format svg."
        raise PipelineError("Mermaid would not draw this.", f"{error}.", do) from None


def save(path: Path, text: str) -> None:
    """Write a picture into a file.

    Raises
    ------
    PipelineError
        If it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise disk.refusal(error, path) from error


def _table(tables: Mapping[TableName, Table], text: str) -> TableName:
    found = definition.titles_of(tables).everywhere(text)
    found = [name for name in found if name in tables]
    if len(found) != 1:
        schemas = ", ".join(dict.fromkeys(name.schema for name in tables))
        raise PipelineError(
            f"{text} is {'several tables' if found else 'no schema and no table'} of this pipeline.",
            f"They are {', '.join(map(str, found))}." if found else f"Its schemas are {schemas or 'none'}.",
            "Write it as the code does, with its schema: session.Session.",
            exit_code=ExitCode.USAGE,
        )
    return found[0]
