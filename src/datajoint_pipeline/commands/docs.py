"""`docs build` and `docs check`: the pages of the pipeline, and whether they say what the code does. Need no server."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .. import diagram, disk
from ..docs import changes, coverage, files, pages
from ..docs.coverage import Coverage
from ..docs.files import Stale
from ..errors import ExitCode, PipelineError
from ..history import migration_files
from ..project.pipeline import Pipeline
from ..schema.model import Table, TableName

#: Where the pages are, from the project's folder.
FOLDER = PurePosixPath("docs/pipeline")


@dataclass(frozen=True)
class Checked:
    """What `docs check` found: files that are not as they should be, whether there are pages, comments."""

    stale: list[Stale]
    built: bool
    coverage: tuple[Coverage, ...]


def build(pipeline: Pipeline, *, overwrite: bool = False) -> list[Stale]:
    """Write the pages, remove those of schemas that are gone, and give what was changed.

    Parameters
    ----------
    pipeline : Pipeline
        Whose code is read.
    overwrite : bool
        Also write over what was edited by hand, and remove notes on what is gone.

    Raises
    ------
    PipelineError
        If the code or the migrations cannot be read; or where something was edited by hand, before anything is written.
    """
    pipeline.project.require_editable()
    stale = _stale(pipeline, _tables(pipeline), pages_too=True)
    if not overwrite and (blocked := [one for one in stale if one.blocked]):
        raise PipelineError(
            f"{blocked[0].path} is {blocked[0].state.value}; nothing was written.",
            f"So {'is' if len(blocked) == 2 else 'are'} {', '.join(str(one.path) for one in blocked[1:])}."
            if blocked[1:]
            else "What you wrote there would be lost.",
            "Move your words between the notes of the page, or elsewhere. Then run docs build --overwrite.",
        )
    files.write(pipeline.project.root, stale)
    return stale


def check(pipeline: Pipeline) -> Checked:
    """Compare the pages with the code, and comments with the lab's rules.

    Where there are no pages yet, only the README's diagram is compared.

    Raises
    ------
    PipelineError
        If the code, the migrations, a page or the rules cannot be read.
    """
    root = pipeline.project.root
    rules = coverage.read_rules(root / "pyproject.toml")
    tables = _tables(pipeline)
    built = files.is_ours(root / FOLDER / "index.md")
    stale = _stale(pipeline, tables, pages_too=built)
    return Checked(stale, built, coverage.measure(tables.values(), rules))


def exit_code(checked: Checked) -> ExitCode:
    """Give what `docs check` returns."""
    return ExitCode.PENDING if checked.stale or any(one.broken for one in checked.coverage) else ExitCode.OK


def _tables(pipeline: Pipeline) -> dict[TableName, Table]:
    return pipeline.read_code().tables(pipeline.project.versions)


def _stale(pipeline: Pipeline, tables: Mapping[TableName, Table], *, pages_too: bool) -> list[Stale]:
    project = pipeline.project
    found = files.between(project.root, "README.md", files.DIAGRAM, _picture(pipeline, tables))
    if not pages_too:
        return found
    histories = migration_files.read(project.files)
    source = pages.Source(
        title=project.package,
        tables=tables,
        versions=project.versions,
        about=dict(_about(pipeline)),
        changes=changes.changes({name: one for name, one in histories.items() if one.latest is not None}),
    )
    wanted = dict(pages.write(source))
    found += files.between(project.root, "mkdocs.yml", files.NAVIGATION, pages.navigation(source, FOLDER.name))
    return files.compare(project.root, FOLDER, wanted) + found


def _picture(pipeline: Pipeline, tables: Mapping[TableName, Table]) -> str:
    """Give the README's picture; words where there are too many schemas for one."""
    try:
        text = diagram.write(diagram.overview(tables, pipeline.project.versions))
    except ValueError as error:
        return f"\nThere is no picture here: {error}.\n\n"
    return f"\n```mermaid\n{text}```\n\n"


def _about(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Give what the first module of each schema says of itself."""
    for schema, name in pipeline.modules.items():
        yield schema, _docstring(pipeline.graph.modules[name].path)


def _docstring(path: Path) -> str:
    text = ast.get_docstring(ast.parse(disk.text(path))) or ""
    return text.partition("\n\n")[0]
