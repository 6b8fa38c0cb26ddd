"""The command line: words for people, no logic. Help and completion answer without importing datajoint."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import click

from . import settings
from .errors import ExitCode, PipelineError, worst
from .project import Project, current


@dataclass
class Options:
    """What every command takes."""

    environment: str | None = None
    json: bool = False
    debug: bool = False


class _Program(click.Group):
    """Lists its commands in the order in which a person meets them, not in the alphabet's."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def _common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --env, --json and --debug, and hand over the merged :class:`Options` as first argument."""

    @click.option("--env", "environment", metavar="ENV", help="local, dev or prod.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @click.pass_context
    @functools.wraps(function)
    def command(context: click.Context, /, environment: str | None, as_json: bool, debug: bool, **rest: Any) -> Any:
        options = context.ensure_object(Options)
        options.environment = environment or options.environment
        options.json = options.json or as_json
        options.debug = options.debug or debug
        return function(options, **rest)

    return command


def _example(text: str) -> dict[str, Any]:
    return {"epilog": f"\b\nExample:\n  {text}"}


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--env", "environment", metavar="ENV", help="local, dev or prod; may also stand behind the command.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def program(context: click.Context, environment: str | None, as_json: bool, debug: bool) -> None:
    """Keep the pipeline's database and its code together."""
    context.obj = Options(environment, as_json, debug)


def _connected(options: Options) -> tuple[Any, Any]:
    """The chosen environment and the connection to it."""
    from . import environment as environments

    environment = environments.select(options.environment, said=options.environment is not None)
    return environment, environments.connect(environment)


@program.command(**_example("my-pipeline --env local init"))
@_common
def init(options: Options) -> None:
    """Make schemas and tables in an empty database and record their versions."""
    from . import environment as environments
    from . import render, runner

    environment = environments.select(options.environment, said=options.environment is not None)
    with render.spinner("Making") as report:
        found = runner.initialize(environment, report)
    _show_status(options, environment, found)


@program.command(**_example("my-pipeline --env prod status --json"))
@_common
def status(options: Options) -> None:
    """Show, for each schema, the version in the code and in the database, and what was changed behind its back."""
    from . import drift
    from . import status as statuses

    environment, connection = _connected(options)
    _show_status(options, environment, drift.examine(connection, statuses.read(connection, environment)))


def _show_status(options: Options, environment: Any, found: list[Any]) -> None:
    from . import environment as environments
    from . import render
    from .status import EXIT_CODES

    backend = environments.connect(environment).adapter.backend
    if options.json:
        schemas = [
            {
                "name": s.name,
                "database": s.database,
                "code_version": s.code_version,
                "database_version": s.database_version,
                "state": s.state.value,
                "pending": list(s.pending),
                "drift": list(s.drift),
            }
            for s in found
        ]
        _print_json({"environment": environment.name, "backend": backend, "schemas": schemas})
    else:
        render.status(environment, backend, found)
    _leave(worst([EXIT_CODES[s.state] for s in found]))


@program.command(**_example("my-pipeline doctor"))
@_common
def doctor(options: Options) -> None:
    """Show every setting, where it comes from, and what is ignored or wrong."""
    from . import doctor as examination
    from . import environment as environments
    from . import render

    environment = environments.select(options.environment)
    report = examination.examine(environment)
    if options.json:
        _print_json(report.as_dict())
    else:
        render.doctor(report)
    _leave(ExitCode.ERROR if report.problems else ExitCode.OK)


@program.command(**_example("my-pipeline check"))
@_common
def check(options: Options) -> None:
    """Check graph, imports, versions and definitions, as CI does; touches no database of yours."""
    from . import checks, render

    findings = checks.run(current())
    if options.json:
        _print_json({"findings": [vars(finding) for finding in findings]})
    else:
        render.findings(findings)
    _leave(ExitCode.ERROR if findings else ExitCode.OK)


@program.command(**_example("my-pipeline --env prod log"))
@_common
def log(options: Options) -> None:
    """Show who changed which schema, when, how long it took, and from which commit."""
    from . import journal, render

    environment, connection = _connected(options)
    databases = {name: environment.database(name) for name in current().versions}
    found = journal.survey(connection, databases.values())
    readable = {name: database for name, database in databases.items() if database in found and found[database].journal}
    records = journal.history(connection, readable)
    if options.json:
        rows = [{**vars(r), "started_at": _utc(r.started_at), "finished_at": _utc(r.finished_at)} for r in records]
        _print_json({"environment": environment.name, "runs": rows})
    else:
        render.log(records)


@program.command("add-schema", **_example("my-pipeline add-schema behaviour --depends session"))
@click.argument("name")
@click.option("--depends", metavar="SCHEMA…", multiple=True, help="Schemas that its tables refer to.")
@click.argument("more", nargs=-1, metavar="")
@_common
def add_schema(options: Options, name: str, depends: tuple[str, ...], more: tuple[str, ...]) -> None:
    """Add a schema: its module, its test and its version, in its place in the graph."""
    from . import scaffold

    parents = [parent for text in (*depends, *more) for parent in text.replace(",", " ").split()]
    written = scaffold.add_schema(current(), name, parents)
    if options.json:
        _print_json({"name": name, "files": [str(path) for path in written]})
    else:
        for path in written:
            click.echo(f"wrote {path}")
        click.echo(f"Next: write the tables, then {current().command} check and {current().command} init.")


@program.command(**_example("my-pipeline secrets"))
@click.argument("names", nargs=-1, metavar="[NAME…]")
@_common
def secrets(options: Options, names: tuple[str, ...]) -> None:
    """Ask for credentials without showing them, and keep them in .secrets/ where only you can read them."""
    from . import credentials

    written = credentials.ask(current(), names)
    if options.json:
        _print_json({"written": written})
    else:
        click.echo(f"wrote {', '.join(f'.secrets/{name}' for name in written)}" if written else "Nothing was changed.")


@program.command(**_example("my-pipeline --env prod worker --once"))
@click.option("--once", is_flag=True, help="Stop when there is nothing left to do.")
@click.option("--pause", default=30.0, show_default=True, metavar="SECONDS", help="Wait between two rounds.")
@_common
def worker(options: Options, once: bool, pause: float) -> None:
    """Populate every Imported and Computed table, sharing the work with other workers."""
    from . import environment as environments
    from . import worker as workers

    environment = environments.select(options.environment, said=options.environment is not None)
    totals = workers.run(environment, once=once, pause=pause, report=lambda line: click.echo(line, err=options.json))
    if options.json:
        _print_json({"environment": environment.name, "done": totals.done, "errors": totals.errors})
    _leave(ExitCode.ERROR if totals.errors else ExitCode.OK)


@program.group()
def local() -> None:
    """Start, stop, look into or destroy the embedded server in .local/."""


@local.command("start", **_example("my-pipeline local start --port 5433"))
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Also listen at this port of 127.0.0.1, for every account of this machine.",
)
@_common
def local_start(options: Options, port: int | None) -> None:
    """Start the embedded server, or join the one that runs."""
    from . import local as servers

    server = servers.start(current().local_directory, port=port)
    if options.json:
        _print_json({"host": server.host, "port": server.port, "pid": server.pid, "user": servers.USER})
    else:
        click.echo(f"The embedded PostgreSQL runs: host={server.host} port={server.port} user={servers.USER}")


@local.command("stop", **_example("my-pipeline local stop"))
@_common
def local_stop(options: Options) -> None:
    """Stop the embedded server; its data stays."""
    from . import local as servers

    stopped = servers.stop(current().local_directory)
    if options.json:
        _print_json({"stopped": stopped})
    else:
        click.echo("The embedded PostgreSQL is stopped." if stopped else "No embedded PostgreSQL was running.")


@local.command("shell", **_example("my-pipeline local shell"))
@_common
def local_shell(options: Options) -> None:
    """Open psql on the embedded server."""
    from . import environment as environments
    from . import local as servers

    environment = environments.select("local")
    server = servers.start(current().local_directory)
    servers.create_database(server, environment.catalog)
    command = servers.psql_command(server, environment.catalog)
    os.execvp(command[0], command)


@local.command("destroy", **_example("my-pipeline local destroy --yes"))
@click.option("--yes", is_flag=True, help="Do not ask.")
@_common
def local_destroy(options: Options, yes: bool) -> None:
    """Delete the embedded server and every row in it."""
    from . import local as servers

    if not yes:
        if not sys.stdin.isatty():
            raise PipelineError(
                "Nothing was deleted.", "Deleting every row of local has to be confirmed.", "Say local destroy --yes."
            )
        click.confirm("Delete the embedded server and every row in it?", abort=True)
    servers.destroy(current().local_directory)
    if options.json:
        _print_json({"destroyed": True})
    else:
        click.echo("The embedded PostgreSQL and its data are deleted.")


# --- Leaving ---------------------------------------------------------------------------------------------------


_output: Any = None


def _print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document, default=str, ensure_ascii=False, indent=2), file=_output or sys.stdout)


def _utc(moment: Any) -> str | None:
    return None if moment is None else f"{moment.isoformat()}Z"


def _leave(code: ExitCode) -> None:
    if code is not ExitCode.OK:
        raise click.exceptions.Exit(int(code))


@contextlib.contextmanager
def _only_json_on_stdout(arguments: list[str]) -> Iterator[None]:
    """With --json, send whatever a module or a library prints to standard error."""
    global _output
    if "--json" not in arguments:
        yield
        return
    _output = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        yield


def _say(error: PipelineError, arguments: list[str]) -> int:
    click.secho(f"Error: {error.what}", fg="red", err=True)
    for line in (error.why, error.do):
        if line:
            click.echo(f"  {line}", err=True)
    if "--json" in arguments:
        document = {"what": error.what, "why": error.why, "do": error.do, "exit_code": int(error.exit_code)}
        _print_json({"error": document})
    return int(error.exit_code)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # DataJoint logs to standard output unless told otherwise before it is imported.
    os.environ.setdefault("DJ_LOG_STREAM", "stderr")
    settings.quiet()
    sys.exit(_run(arguments))


def _run(arguments: list[str]) -> int:
    with _only_json_on_stdout(arguments):
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
            if type(error).__name__ == "AccessError":
                what, do = "This account may not do that.", "docs/access.md lists the rights that each command needs."
                return _say(PipelineError(what, " ".join(str(error).split()), do), arguments)
            text = " ".join(str(error.args[-1] if error.args else error).split())
            return _say(
                PipelineError(
                    f"Something failed that should not: {type(error).__name__}.",
                    text,
                    "Run the command with --debug for the traceback.",
                ),
                arguments,
            )


def _speak_of(own: Project, group: click.Group) -> None:
    """Let the examples name the project's own command."""
    for command in group.commands.values():
        command.epilog = (command.epilog or "").replace("my-pipeline", own.command) or None
        if isinstance(command, click.Group):
            _speak_of(own, command)
