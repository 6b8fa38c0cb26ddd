"""`demo`: the pipeline at work, for whoever sees it for the first time."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .common import Options, common, example, program
from .visible import echo

if TYPE_CHECKING:
    from ..commands.demo import Sample


@program.command(**example("my-pipeline --env local demo"))
@common
def demo(options: Options) -> None:
    """See a new pipeline at work on its sample data.

    Inserts the rows that a new project comes with, computes them, and shows what came out. On local only.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from ..commands import demo, page
    from .console import console

    environment = options.select()
    shown = console(file=sys.stderr)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task("Importing the tables", total=demo.STEPS)

        def report(name: str, number: int) -> None:
            bar.update(task, description=f"Filling {name}" if name else "Done", completed=number)

        found = demo.demo(options.pipeline, environment, report)
    written = page.write(options.pipeline, environment, os.path.relpath(demo.page_of(options.pipeline)))
    if options.json:
        rows = {"table": found.table, "rows": found.rows, "page": str(written)}
        options.print_json(
            {"environment": environment.name, "entered": found.entered, "computed": found.computed, **rows}
        )
    else:
        _show(options, found, written)


def _show(options: Options, found: Sample, page: Path) -> None:
    """Print what came in and what came out, and what one may do next."""
    from rich.markup import escape
    from rich.table import Table

    from .console import console

    screen = console()
    for word, counts in (("Entered", found.entered), ("Computed", found.computed)):
        new = [f"{name} ({count})" for name, count in counts.items() if count]
        if new:
            screen.print(f"{word} rows of {', '.join(new)}.")
    if not any((*found.entered.values(), *found.computed.values())):
        screen.print("The sample was entered and computed before; nothing was changed.")
    screen.print(f"\n[bold]{escape(found.table)}[/]: {escape(found.heading)}")
    table = Table()
    for name, comment in found.columns.items():
        table.add_column(f"{escape(name)}\n[dim]{escape(comment)}[/]")
    for row in found.rows:
        table.add_row(*(escape(_text(value)) for value in row.values()))
    screen.print(table)
    name = options.pipeline.project.program
    echo(f"How the pipeline stands, as a page for a browser: {page}")
    echo(f"Next: {name} status, and docs/getting-started.md, which says how to change a table.")


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
