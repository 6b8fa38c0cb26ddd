"""The command that tells people what they have to know: words, no logic."""

from __future__ import annotations

import click

from ..errors import ExitCode, worst
from . import again
from .common import Options, at_least_zero, common, example, leave, program
from .visible import echo


@program.command(**example("my-pipeline --env prod alert"))
@click.option("--dry-run", is_flag=True, help="Show what is wrong; send nothing, and remember nothing.")
@click.option("--watch", is_flag=True, help="Check again and again, until Ctrl-C or SIGTERM.")
@click.option(
    "--every",
    callback=at_least_zero,
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="With --watch: how often.",
)
@click.option("--state", metavar="FILE", type=click.Path(dir_okay=False), help="File that remembers what was sent.")
@common
def alert(options: Options, dry_run: bool, watch: bool, every: float, state: str | None) -> None:
    """Tell people when something is wrong, and when it is over.

    Run it from cron or CI: each message is sent once.

    [alerts] in workers.toml says what is reported. .secrets/alerts has the addresses, one in each line.
    Exit code 3: something is wrong. 4: a schema has drifted. 1: a message could not be sent.
    """
    from ..commands import alert as command

    if watch and options.json:
        raise click.UsageError("--json prints one document, but --watch never ends; leave one of them out.")
    environment = options.select()
    if watch:
        more = [*(["--dry-run"] if dry_run else []), *(["--state", state] if state else [])]
        again.forever(options, environment, ["alert", *more], every)
    outcome = command.run(options.pipeline, environment, dry_run=dry_run, state=state)
    if options.json:
        options.print_json({"environment": environment.name, **outcome.as_dict()})
    else:
        for one in outcome.standing:
            echo(f"{'new: ' if one.id in outcome.new else ''}{one.what}", fg="red")
            echo(f"  {one.do}")
        for over in outcome.over:
            echo(f"over: {over.what}", fg="green")
        if not outcome.standing:
            echo("Nothing is wrong.")
        if not outcome.addresses:
            echo("No message was sent: .secrets/alerts has no address.")
        elif outcome.sent:
            echo("1 message sent." if outcome.sent == 1 else f"{outcome.sent} messages sent.")
    for problem in outcome.problems:
        echo(f"Error: {problem}; the next alert tries again.", fg="red", err=True)
    failed = bool(outcome.problems) or ExitCode.ERROR in outcome.exit_codes
    leave(ExitCode.ERROR if failed else worst(outcome.exit_codes))
