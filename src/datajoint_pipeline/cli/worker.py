"""``worker``: compute what is missing, beside any number of other workers."""

from __future__ import annotations

import json
from typing import Any

import click

from ..errors import ExitCode
from . import again
from .common import Options, at_least_zero, common, example, leave, program
from .visible import echo, visible


def _seconds(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Read a time such as ``3h50m`` or ``90s``."""
    from ..jobs import classes

    seconds = None if value is None else classes.seconds(value)
    if value is not None and seconds is None:
        raise click.BadParameter(f"{value!r} is not a time: write for example 90s or 3h50m.", context, parameter)
    return seconds


@program.command(**example("my-pipeline --env prod worker --class large --for 3h50m"))
@click.option("--once", is_flag=True, help="Stop when there is nothing left to do.")
@click.option("--class", "class_name", metavar="CLASS", help="Compute only what workers.toml gives this class.")
@click.option("--tables", metavar="T,...", default="", help="Compute only these: ephys.Recording,imaging.*")
@click.option(
    "--for",
    "seconds",
    callback=_seconds,
    metavar="TIME",
    help="Stop after this time; begin no job that would take longer.",
)
@click.option(
    "--grace",
    callback=_seconds,
    metavar="TIME",
    help="How long a running job may still take after a request to stop.  [default: 60s]",
)
@click.option(
    *("--pause", "pause"),
    type=click.FloatRange(max=86_400),
    callback=at_least_zero,
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait this long between two rounds.",
)
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Write a page for a browser every five minutes, and at the end.",
)
@common
def worker(
    options: Options,
    once: bool,
    class_name: str | None,
    tables: str,
    seconds: float | None,
    grace: float | None,
    pause: float,
    html: str | None,
) -> None:
    """Compute what is missing, together with other workers.

    It computes every Imported and Computed table and shares the work with other workers.

    After the first SIGTERM or Ctrl-C it finishes its job, after the second one it ends at once; either way no job stays
    reserved. The exit code is 5 if the code is older than the database. With --json, each event is a line of JSON on
    standard error.
    """
    from ..jobs import worker as workers

    names = [name.strip() for name in tables.split(",") if name.strip()]
    if tables and not names:
        raise click.BadParameter("it names no table.", param_hint="--tables")

    def report(event: str, text: str, values: dict[str, Any]) -> None:
        if options.json:
            echo(visible(json.dumps(values, default=str)), err=True, whole=True)
        else:  # an event is a line, with what else its message has below it
            line = f"{values['time'][:19].replace('T', ' ')} {text.strip()}"
            echo(line.replace("\n", "\n    "), hang=4)

    environment = options.select()
    with again.page(options, environment, html):
        outcome = workers.run(
            options.pipeline,
            environment,
            once=once,
            pause=pause,
            report=report,
            class_name=class_name,
            tables=names,
            seconds=seconds,
            grace=grace,
        )
    if options.json:
        counts = {"done": outcome.done, "errors": outcome.errors, "failed": outcome.failed}
        options.print_json({"environment": environment.name, **counts, "left_out": outcome.left_out})
    if outcome.signal is not None:
        raise click.exceptions.Exit(128 + outcome.signal)
    leave(ExitCode.ERROR if outcome.errors or outcome.failed or outcome.left_out else ExitCode.OK)
