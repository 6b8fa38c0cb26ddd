"""The commands that show how the work stands: words for people, no logic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from . import again
from .common import Options, at_least_zero, common, complete_tables, example, program
from .visible import echo

if TYPE_CHECKING:
    from ..project.environments import Environment


@program.command(**example("my-pipeline --env prod progress --watch"))
@click.option("--watch", is_flag=True, help="Count again and again, until Ctrl-C.")
@click.option(
    "--every",
    type=float,
    callback=at_least_zero,
    metavar="SECONDS",
    help="With --watch: how often.  [default: 10; with --html 300]",
)
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Write a page for a browser, with errors and workers too.",
)
@click.option("--sql-pending", metavar="CLASS", help="Print the query that counts pending keys of a class, for KEDA.")
@click.option("--metrics", metavar="FILE", type=click.Path(dir_okay=False), help="Write a file for Prometheus.")
@common
def progress(
    options: Options, watch: bool, every: float | None, html: str | None, sql_pending: str | None, metrics: str | None
) -> None:
    """Show how far each table is computed, and who works on it.

    Also shows what failed, and how long the rest may take.
    """
    from ..commands import progress as command
    from . import monitoring

    if watch and options.json:
        raise click.UsageError("--watch is for a terminal; leave it out with --json.")
    environment = options.select()
    if html is not None:
        if watch:
            more = ["--metrics", metrics] if metrics else []
            seconds = again.PAGE_EVERY if every is None else every
            again.forever(options, environment, ["progress", "--html", html, *more], seconds)
        _page(options, environment, html)
        if metrics is not None:
            command.watcher(options.pipeline, environment, metrics)()
        return
    if sql_pending is not None:
        query = command.pending_query(options.pipeline, environment, sql_pending)
        if options.json:
            options.print_json({"environment": environment.name, "class": sql_pending, "query": query})
        else:
            click.echo(query)  # to the last character, as somebody else is to run it
        return
    count = command.watcher(options.pipeline, environment, metrics)
    if watch:
        monitoring.watch(count, 10.0 if every is None else every)
        return
    found = count()
    if options.json:
        options.print_json(found.as_dict())
    else:
        monitoring.progress(found)


def _page(options: Options, environment: Environment, file: str) -> None:
    from ..commands import page

    path = page.write(options.pipeline, environment, file)
    if options.json:
        options.print_json({"environment": environment.name, "page": str(path)})
    else:
        echo(f"wrote {path}; open it in a browser")


@program.command(**example('my-pipeline --env prod errors --table ephys.Recording --key "subject_id=3" --retry'))
@click.option(
    "--table", metavar="TABLE", help="Only jobs of this table: ephys.Recording.", shell_complete=complete_tables
)
@click.option("--key", multiple=True, metavar="ATTRIBUTE=VALUE", help="With --table: only jobs with this key.")
@click.option("--group", metavar="ID", help="Only this group, with every key.")
@click.option("--traceback", is_flag=True, help="Show the traceback of the newest job of each group.")
@click.option("--ignored", is_flag=True, help="Show ignored jobs instead of failed ones.")
@click.option("--retry", is_flag=True, help="Try the shown jobs again.")
@click.option("--ignore", is_flag=True, help="Ignore the shown jobs from now on.")
@click.option("--all", "every", is_flag=True, help="With --retry or --ignore: all jobs.")
@common
def errors(
    options: Options,
    table: str | None,
    key: tuple[str, ...],
    group: str | None,
    traceback: bool,
    ignored: bool,
    retry: bool,
    ignore: bool,
    every: bool,
) -> None:
    """Show failed jobs by cause, and try them again.

    Jobs that failed for the same reason are shown together. --retry and --ignore act on the jobs that are shown.
    """
    from ..commands import errors as command
    from . import monitoring

    if key and table is None:
        raise click.UsageError("--key goes with --table.")
    if (retry and ignore) or (ignore and ignored):
        raise click.UsageError("Say --retry, or --ignore for jobs that failed.")
    chosen = bool(table or group)
    if (retry or ignore) and chosen == every:
        raise click.UsageError("Say which jobs: --group, --table, --table with --key, or --all.")
    environment = options.select()
    found = command.read(options.pipeline, environment, table=table, key=key, group=group, ignored=ignored)
    changed = None
    if retry or ignore:
        changed = command.change(options.pipeline, environment, found, "retry" if retry else "ignore")
    if options.json:
        document = {"environment": environment.name, "groups": [one.as_dict() for one in found]}
        options.print_json(document if changed is None else {**document, "changed": changed})
        return
    command_line = f"{options.pipeline.project.program} --env {environment.name}"
    if changed is None:
        monitoring.errors(found, command_line, whole=bool(group), traceback=traceback, ignored=ignored)
        return
    jobs = "1 job is" if changed == 1 else f"{changed:,} jobs are"
    echo(f"{jobs} to be tried again." if retry else f"{jobs} left out: {command_line} errors --ignored shows them.")
