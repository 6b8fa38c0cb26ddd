"""`diagram` and `docs`: words for people, no logic."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import ExitCode, PipelineError
from .common import Options, common, complete_schemas, complete_tables, example, leave, program
from .visible import echo

if TYPE_CHECKING:
    from ..commands.docs import Checked

#: How many names are listed.
_FEW = 20

#: What is written into a file, by the end of its name.
_FORMS = {".svg": "svg", ".mmd": "mermaid", ".mermaid": "mermaid"}


@program.command(**example("my-pipeline diagram --around ephys.Recording --steps 2 --out recording.svg"))
@click.argument("names", nargs=-1, metavar="[SCHEMA|TABLE …]", shell_complete=complete_schemas)
@click.option(
    "--format",
    "form",
    type=click.Choice(["svg", "mermaid"]),
    help="What to write; by default what FILE's ending says, or svg.",
)
@click.option(
    "--out", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write the picture to a file."
)
@click.option(
    "--around",
    metavar="TABLE",
    help="Draw one table, what it refers to and what refers to it.",
    shell_complete=complete_tables,
)
@click.option(
    "--steps",
    type=click.IntRange(0, 100),
    default=1,
    show_default=True,
    help="With --around: how many references away.",
)
@common
def diagram(
    options: Options, names: tuple[str, ...], form: str | None, out: Path | None, around: str | None, steps: int
) -> None:
    """Draw tables and what refers to what.

    Draws all tables, a schema, or what is around a table, in DataJoint's notation. Of a pipeline with more than 30
    tables it draws the schemas. Needs no server.
    """
    from ..commands import diagram as drawing

    if names and around is not None:
        raise click.UsageError("--around names the table; leave the other names out.")
    if out is None and form is None and not options.json and sys.stdout.isatty():
        raise PipelineError(
            "A terminal cannot show a picture.",
            "Neither --out nor --format was given.",
            f"Run {options.pipeline.project.program} diagram --out tables.svg, or print its text by --format svg.",
            exit_code=ExitCode.USAGE,
        )
    if out is not None and form is None and out.suffix not in ("", *_FORMS):
        raise PipelineError(
            f"A picture is not written as {out.suffix}.",
            "It is SVG, or Mermaid's text.",
            f"End the file's name in .svg or .mmd, or say --format; a browser shows {out.with_suffix('.svg').name}.",
            exit_code=ExitCode.USAGE,
        )
    shown = drawing.graph(options.pipeline, names, around, steps)
    form = form or (_FORMS.get(out.suffix, "svg") if out is not None else "svg")
    text = drawing.text(shown, form)
    if out is not None:
        drawing.save(out, text)
    if options.json:
        written = {"file": str(out)} if out is not None else {"text": text}
        options.print_json({"format": form, "tables": [str(node.name) for node in shown.nodes], **written})
    elif out is not None:
        echo(f"wrote {out}: {len(shown.nodes)} {'box' if len(shown.nodes) == 1 else 'boxes'}")
    else:
        click.echo(text, nl=False)  # to the last character, as a program is to read it


@program.group()
def docs() -> None:
    """Write pages about the tables, and check them."""


@docs.command("build", **example("my-pipeline docs build"))
@click.option("--overwrite", is_flag=True, help="Also write over pages that were edited by hand.")
@common
def docs_build(options: Options, overwrite: bool) -> None:
    """Write docs/pipeline/ and the README's diagram.

    docs/pipeline/ gets a page for each schema, with pictures. Commit them. Pages of schemas that are gone are removed.
    Each page has a place for notes of your own, which stay.
    """
    from ..commands import docs

    written = docs.build(options.pipeline, overwrite=overwrite)
    made = [one for one in written if one.after]
    removed = [one for one in written if not one.after]
    if options.json:
        paths = {"written": [str(one.path) for one in made], "removed": [str(one.path) for one in removed]}
        options.print_json(paths)
        return
    for one in made:
        echo(f"wrote {one.path}")
    for one in removed:
        echo(f"removed {one.path}")
    echo("Commit them with the code." if written else "Every page is up to date.")


@docs.command("check", **example("my-pipeline docs check --diff"))
@click.option("--diff", is_flag=True, help="Show what would change in each page.")
@common
def docs_check(options: Options, diff: bool) -> None:
    """Say which pages are out of date, as CI does.

    Also says what percentage of tables and attributes have a comment. To make it fail if too few have one, write in
    pyproject.toml, for example:

    \b
    [tool.datajoint-pipeline.docs]
    table-comments = 100
    attribute-comments = 80
    """
    from ..commands import docs

    found = docs.check(options.pipeline)
    if options.json:
        options.print_json(
            {
                "built": found.built,
                "pages": [
                    {"path": str(one.path), "state": one.state.value, **({"diff": one.diff()} if diff else {})}
                    for one in found.stale
                ],
                "coverage": [
                    {
                        "rule": one.rule,
                        "percent": round(one.percent, 1),
                        "required": one.required,
                        "missing": list(one.missing),
                    }
                    for one in found.coverage
                ],
            }
        )
    else:
        _show(options, found, diff=diff)
    leave(docs.exit_code(found))


def _show(options: Options, found: Checked, *, diff: bool) -> None:
    from ..docs.coverage import RULES

    command = f"{options.pipeline.project.program} docs build"
    for one in found.stale:
        echo(f"{one.path}: {one.state.value}")
        if diff and one.path.suffix != ".svg":
            echo(one.diff(), whole=True)
    for counted in found.coverage:
        rule = f"; the lab wants {counted.required:g} %" if counted.required else ""
        echo(f"{counted.percent:.0f} % of the {counted.total} {RULES[counted.rule]} have a comment{rule}.")
        if counted.missing:
            more = len(counted.missing) - _FEW
            names = ", ".join(counted.missing[:_FEW]) + (f" and {more} more" if more > 0 else "")
            echo(f"  without one: {names}")
    if found.stale:
        echo(f"Run {command}, and commit what it writes.")
    elif not found.built:
        echo(f"There are no pages of the pipeline yet: {command} writes them.")
    else:
        echo("Every page is up to date.")
