"""The commands that show how the work stands: words for people, no logic."""

from __future__ import annotations

import click

from .common import Options, common, example, program


@program.command(**example("my-pipeline --env prod progress --watch"))
@click.option("--watch", is_flag=True, help="Count again and again, until Ctrl-C.")
@click.option("--every", default=10.0, show_default=True, metavar="SECONDS", help="With --watch: how often.")
@common
def progress(options: Options, watch: bool, every: float) -> None:
    """Show of each table how much is done, who works on it, what failed, and how long the rest may take."""
    from ..commands import progress as command
    from . import monitoring

    if watch and options.json:
        raise click.UsageError("--watch is for a terminal; leave it out with --json.")
    environment = options.select()
    if watch:
        count = command.watcher(options.pipeline, environment)
        monitoring.watch(count, every)
        return
    found = command.read(options.pipeline, environment)
    if options.json:
        options.print_json(found.as_dict())
    else:
        monitoring.progress(found)
