"""The command line: words for people, no logic. Help and completion answer without importing datajoint."""

from __future__ import annotations

import os
import sys

import click

from .errors import ExitCode, PipelineError
from .project import Project, current
from .servers import settings, trouble
from .terminal import cli_migrations
from .terminal.command import (
    Options,
    common,
    connected,
    example,
    leave,
    only_json_on_stdout,
    print_json,
    program,
    show_status,
    utc,
)

assert cli_migrations  # its commands are the program's too


@program.command(**example("my-pipeline --env local init"))
@common
def init(options: Options) -> None:
    """Make schemas and tables in an empty database and record their versions."""
    from . import environment as environments
    from .running import runner
    from .terminal import render

    environment = environments.select(options.environment, said=options.environment is not None)
    with render.spinner("Making") as report:
        found = runner.initialize(environment, report)
    show_status(options, environment, found)


@program.command(**example("my-pipeline --env prod status --json"))
@common
def status(options: Options) -> None:
    """Show, for each schema, the version in the code and in the database, and what was changed behind its back."""
    from . import status as statuses
    from .planning import drift

    environment, connection = connected(options)
    show_status(options, environment, drift.examine(connection, statuses.read(connection, environment)))


@program.command(**example("my-pipeline doctor"))
@common
def doctor(options: Options) -> None:
    """Show every setting, where it comes from, and what is ignored or wrong."""
    from . import doctor as examination
    from . import environment as environments
    from .terminal import render

    environment = environments.select(options.environment)
    report = examination.examine(environment)
    if options.json:
        print_json(report.as_dict())
    else:
        render.doctor(report)
    leave(ExitCode.ERROR if report.problems else ExitCode.OK)


@program.command(**example("my-pipeline check"))
@common
def check(options: Options) -> None:
    """Check graph, imports, versions, definitions and migrations, as CI does; touches no database of yours."""
    from . import checks
    from .terminal import render

    findings = checks.run(current())
    if options.json:
        rows = [{name: value for name, value in vars(f).items() if name != "note"} for f in findings]
        notes = [row for row, finding in zip(rows, findings, strict=True) if finding.note]
        print_json({"findings": [row for row in rows if row not in notes], "notes": notes})
    else:
        render.findings(findings)
    leave(ExitCode.ERROR if any(not finding.note for finding in findings) else ExitCode.OK)


@program.command(**example("my-pipeline --env prod log"))
@common
def log(options: Options) -> None:
    """Show who changed which schema, when, how long it took, and from which commit."""
    from .record import journal
    from .terminal import render

    environment, connection = connected(options)
    databases = {name: environment.database(name) for name in current().versions}
    found = journal.survey(connection, databases.values())
    readable = {name: database for name, database in databases.items() if database in found and found[database].journal}
    records = journal.history(connection, readable, found)
    if options.json:
        rows = [{**vars(r), "started_at": utc(r.started_at), "finished_at": utc(r.finished_at)} for r in records]
        print_json({"environment": environment.name, "runs": rows})
    else:
        render.log(records)


@program.command("add-schema", **example("my-pipeline add-schema behaviour --depends session"))
@click.argument("name")
@click.option("--depends", metavar="SCHEMA…", multiple=True, help="Schemas that its tables refer to.")
@click.argument("more", nargs=-1, metavar="")
@common
def add_schema(options: Options, name: str, depends: tuple[str, ...], more: tuple[str, ...]) -> None:
    """Add a schema: its module, its test and its version, in its place in the graph."""
    from .writing import scaffold

    parents = [parent for text in (*depends, *more) for parent in text.replace(",", " ").split()]
    written = scaffold.add_schema(current(), name, parents)
    if options.json:
        print_json({"name": name, "files": [str(path) for path in written]})
    else:
        for path in written:
            click.echo(f"wrote {path}")
        click.echo(f"Next: write the tables, then {current().command} check and {current().command} init.")


@program.command(**example("my-pipeline secrets"))
@click.argument("names", nargs=-1, metavar="[NAME…]")
@common
def secrets(options: Options, names: tuple[str, ...]) -> None:
    """Ask for credentials without showing them, and keep them in .secrets/ where only you can read them."""
    from .servers import credentials

    written = credentials.ask(current(), names)
    if options.json:
        print_json({"written": written})
    else:
        click.echo(f"wrote {', '.join(f'.secrets/{name}' for name in written)}" if written else "Nothing was changed.")


@program.command(**example("my-pipeline --env prod worker --once"))
@click.option("--once", is_flag=True, help="Stop when there is nothing left to do.")
@click.option("--pause", default=30.0, show_default=True, metavar="SECONDS", help="Wait between two rounds.")
@common
def worker(options: Options, once: bool, pause: float) -> None:
    """Populate every Imported and Computed table, sharing the work with other workers."""
    from . import environment as environments
    from . import worker as workers

    environment = environments.select(options.environment, said=options.environment is not None)
    totals = workers.run(environment, once=once, pause=pause, report=lambda line: click.echo(line, err=options.json))
    if options.json:
        print_json({"environment": environment.name, "done": totals.done, "errors": totals.errors})
    leave(ExitCode.ERROR if totals.errors else ExitCode.OK)


@program.group()
def local() -> None:
    """Start, stop, look into or destroy the embedded server in .local/."""


@local.command("start", **example("my-pipeline local start --port 5433"))
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Also listen at this port of 127.0.0.1, for every account of this machine.",
)
@common
def local_start(options: Options, port: int | None) -> None:
    """Start the embedded server, or join the one that runs."""
    from .servers import local as servers

    server = servers.start(current().local_directory, port=port)
    if options.json:
        print_json({"host": server.host, "port": server.port, "pid": server.pid, "user": servers.USER})
    else:
        click.echo(f"The embedded PostgreSQL runs: host={server.host} port={server.port} user={servers.USER}")


@local.command("stop", **example("my-pipeline local stop"))
@common
def local_stop(options: Options) -> None:
    """Stop the embedded server; its data stays."""
    from .servers import local as servers

    stopped = servers.stop(current().local_directory)
    if options.json:
        print_json({"stopped": stopped})
    else:
        click.echo("The embedded PostgreSQL is stopped." if stopped else "No embedded PostgreSQL was running.")


@local.command("shell", **example("my-pipeline local shell"))
@common
def local_shell(options: Options) -> None:
    """Open psql on the embedded server."""
    from . import environment as environments
    from .servers import local as servers

    environment = environments.select("local")
    server = servers.start(current().local_directory)
    servers.create_database(server, environment.catalog)
    command = servers.psql_command(server, environment.catalog)
    os.execvp(command[0], command)


@local.command("destroy", **example("my-pipeline local destroy --yes"))
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
def local_destroy(options: Options, yes: bool) -> None:
    """Delete the embedded server and every row in it."""
    from .servers import local as servers

    if not yes:
        if not sys.stdin.isatty():
            raise PipelineError(
                "Nothing was deleted.", "Deleting every row of local has to be confirmed.", "Say local destroy --yes."
            )
        click.confirm("Delete the embedded server and every row in it?", abort=True)
    servers.destroy(current().local_directory)
    if options.json:
        print_json({"destroyed": True})
    else:
        click.echo("The embedded PostgreSQL and its data are deleted.")


# --- Leaving ---------------------------------------------------------------------------------------------------


def _say(error: PipelineError, arguments: list[str]) -> int:
    click.secho(f"Error: {error.what}", fg="red", err=True)
    for line in (error.why, error.do):
        if line:
            click.echo(f"  {line}", err=True)
    if "--json" in arguments:
        document = {"what": error.what, "why": error.why, "do": error.do, "exit_code": int(error.exit_code)}
        print_json({"error": document})
    return int(error.exit_code)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # DataJoint logs to standard output unless told otherwise before it is imported.
    os.environ.setdefault("DJ_LOG_STREAM", "stderr")
    settings.quiet()
    sys.exit(_run(arguments))


def _run(arguments: list[str]) -> int:
    with only_json_on_stdout(arguments):
        try:
            own = current()
            _speak_of(own, program)
            return int(program.main(arguments, prog_name=own.command, standalone_mode=False) or 0)
        except click.exceptions.Exit as leaving:
            return leaving.exit_code
        except click.exceptions.Abort:
            click.echo("Stopped; nothing further was done.", err=True)
            return 130
        except click.ClickException as error:
            error.show()
            return int(ExitCode.USAGE)
        except PipelineError as error:
            if "--debug" in arguments:
                raise
            return _say(error, arguments)
        except KeyboardInterrupt:
            click.echo("Stopped.", err=True)
            return 130
        except Exception as error:
            if "--debug" in arguments:
                raise
            what, do = (
                f"Something failed that should not: {type(error).__name__}.",
                "Run the command with --debug for more.",
            )
            if found := trouble.of(error):
                what, do = found.what, f"{found.do}, then run the command again."
            return _say(PipelineError(what, f"{trouble.reason(error)}.", do), arguments)


def _speak_of(own: Project, group: click.Group) -> None:
    """Let the examples name the project's own command."""
    for command in group.commands.values():
        command.epilog = (command.epilog or "").replace("my-pipeline", own.command) or None
        if isinstance(command, click.Group):
            _speak_of(own, command)
