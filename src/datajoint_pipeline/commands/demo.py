"""`demo`: the sample that a project comes with, entered and computed on `local`.

The tables are the lab's from the day the project is made, and so are the files of the sample. What is kept here is what
the template's default graph is, so that a project has no file for something that is run once; where the lab has renamed
or removed a part of it, this refuses in words.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import PipelineError
from ..project.environments import Environment
from ..project.pipeline import Pipeline

#: The tables of the default graph, parents before children, as ``schema.Class``.
ENTERED = ("subject.Subject", "session.Session")
COMPUTED = ("ephys.Recording", "imaging.Scan", "analysis.MultiModalAnalysis")

#: How many tables are filled.
STEPS = len(ENTERED) + len(COMPUTED)

#: What a file of the sample is of: its name ends with one of these.
_MODALITIES = ("ephys", "imaging")

#: When the sample was recorded, as far as anybody says.
_START = datetime.datetime(2026, 1, 2)

#: Types that a table on a terminal has no room for.
_LARGE = ("blob", "bytea", "json", "<")


@dataclass(frozen=True)
class Sample:
    """What the demo found or made.

    Parameters
    ----------
    entered, computed : dict
        By table, how many rows came in; those that were there before are not counted.
    table : str
        The last table, as the code calls it.
    heading : str
        What that table is for, in its own words.
    columns : dict
        Its attributes without large values, each with its comment.
    rows : list of dict
        Its rows of the sample, with these attributes.
    """

    entered: dict[str, int]
    computed: dict[str, int]
    table: str
    heading: str
    columns: dict[str, str]
    rows: list[dict[str, Any]]


def demo(
    pipeline: Pipeline, environment: Environment, report: Callable[[str, int], None] = lambda name, number: None
) -> Sample:
    """Enter the sample, compute what follows from it, and give the result; a second time changes nothing.

    Parameters
    ----------
    pipeline, environment
        Where: only on the embedded server.
    report : callable, optional
        Called with the name of each table before it is filled and its number, from 0 to :data:`STEPS`; at the end with
        an empty name.

    Raises
    ------
    PipelineError
        If the environment is another, the project has not the tables or the sample of the default graph, its schemas
        are not made, or a computation fails.
    """
    program = pipeline.project.program
    if not environment.embedded:
        raise PipelineError(
            f"demo works on local only, not on {environment.name}.",
            "Its rows are made up, and would mix with the lab's own.",
            f"Run {program} --env local demo.",
        )
    schemas = (name.partition(".")[0] for name in (*ENTERED, *COMPUTED))
    if missing := [schema for schema in schemas if schema not in pipeline.project.versions]:
        raise _not_default(pipeline, f"It has no schema {missing[0]}.")
    keys = _sample(pipeline)
    tables = _tables(pipeline)
    rows: dict[str, list[dict[str, Any]]] = {
        "subject.Subject": [{"subject_id": subject} for subject in sorted({subject for subject, _ in keys})],
        "session.Session": [{"subject_id": s, "session_id": n, "session_start": _START} for s, n in keys],
    }
    for name in ENTERED:
        _refuse_other_attributes(pipeline, name, tables[name], rows[name][0])
    sessions = [{"subject_id": subject, "session_id": number} for subject, number in keys]
    entered, computed = dict[str, int](), dict[str, int]()
    for number, name in enumerate(ENTERED):
        report(name, number)
        table = tables[name]()
        before = len(table)
        table.insert(rows[name], skip_duplicates=True)
        entered[name] = len(table) - before
    for number, name in enumerate(COMPUTED, len(ENTERED)):
        report(name, number)
        table = tables[name]()
        before = len(table & sessions)
        try:
            table.populate(sessions)
        except PipelineError:
            raise
        except Exception as error:  # whatever the lab's own `make` raises
            raise PipelineError(
                f"The demo stopped at {name}.",
                f"Its make raised {type(error).__name__}: {error}",
                f"Look at make in {_path(pipeline, name)}, then run demo again.",
            ) from error
        computed[name] = len(table & sessions) - before
    report("", STEPS)
    result = tables[COMPUTED[-1]]()
    small = {name: of.comment or "" for name, of in result.heading.attributes.items() if not _large(of)}
    found = (result & sessions).proj(*small).to_dicts(order_by="KEY")
    return Sample(entered, computed, COMPUTED[-1], _heading(result), small, found)


def page_of(pipeline: Pipeline) -> Path:
    """Give where the page is written that shows how the pipeline stands: in a folder that git ignores."""
    return pipeline.project.local_directory / "progress.html"


def _sample(pipeline: Pipeline) -> list[tuple[str, int]]:
    """Give subject and session of each recording in the sample that has a file of every modality."""
    folder = pipeline.project.directory / "utils" / "sample"
    found: dict[tuple[str, int], set[str]] = {}
    for path in sorted(folder.glob("*.csv")) if folder.is_dir() else ():
        subject, _, rest = path.stem.partition("_")
        number, _, modality = rest.partition("_")
        if subject and number.isdecimal():
            found.setdefault((subject, int(number)), set()).add(modality)
    keys = [key for key, modalities in found.items() if modalities >= set(_MODALITIES)]
    if not keys:
        raise _not_default(pipeline, f"There is no sample in {_shown(pipeline, folder)}.")
    return keys


def _tables(pipeline: Pipeline) -> dict[str, Any]:
    """Import the tables of the default graph."""
    wanted = [name.split(".") for name in (*ENTERED, *COMPUTED)]
    modules = {schema: pipeline.import_schema(schema) for schema, _ in wanted}
    tables = dict[str, Any]()
    for schema, name in wanted:
        found = [getattr(module, name) for module in modules[schema] if hasattr(module, name)]
        if not found:
            raise _not_default(pipeline, f"Its schema {schema} has no table {name}.")
        tables[f"{schema}.{name}"] = found[0]
    keys = {"subject.Subject": ["subject_id"]}
    for name, table in tables.items():
        expected = keys.get(name, ["subject_id", "session_id"])
        if list(table.primary_key) != expected:
            raise _not_default(pipeline, f"The key of {name} is {', '.join(table.primary_key)}.")
    return tables


def _refuse_other_attributes(pipeline: Pipeline, name: str, table: Any, row: dict[str, Any]) -> None:
    """Raise where a row of the sample lacks a value that the table asks for, or has one that it does not know."""
    attributes = table().heading.attributes
    needed = [a for a, of in attributes.items() if of.default is None and not of.nullable and not of.autoincrement]
    if wrong := [a for a in row if a not in attributes]:
        raise _not_default(pipeline, f"{name} has no attribute {wrong[0]}.")
    if wrong := [a for a in needed if a not in row]:
        raise _not_default(pipeline, f"{name} asks for {wrong[0]}, which the sample does not have.")


def _not_default(pipeline: Pipeline, why: str) -> PipelineError:
    return PipelineError(
        "This pipeline is not the one that demo is for.",
        why,
        "demo is for a new project with its first tables; yours computes with populate, or with "
        f"{pipeline.project.program} worker --once.",
    )


def _large(attribute: Any) -> bool:
    return bool(attribute.codec) or any(word in str(attribute.type).lower() for word in _LARGE)


def _heading(table: Any) -> str:
    return str(table.heading.table_status.get("comment", "") or "").strip()


def _path(pipeline: Pipeline, name: str) -> str:
    return pipeline.project.path_of(pipeline.modules[name.partition(".")[0]])


def _shown(pipeline: Pipeline, path: Path) -> str:
    root = pipeline.project.root
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
