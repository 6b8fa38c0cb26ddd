"""The command line: words for people, no logic. Help and completion answer without importing datajoint."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import disk, git, server_errors
from ..errors import ExitCode, PipelineError, Stopped
from ..project import settings
from . import access, accounts, alert, branch, demo, deploy, docs, migrations, monitor, policy, promotion, worker
from .common import Options, common, complete_tables, example, leave, program, show_every, show_status, utc
from .visible import confirm, echo, tolerate

if TYPE_CHECKING:
    from ..project.pipeline import Pipeline

# Their commands are the program's too.
assert all((access, accounts, alert, branch, demo, deploy, docs, migrations, monitor, policy, promotion, worker))


@program.command(**example("my-pipeline --env local init"))
@common
def init(options: Options) -> None:
    """Make the schemas and tables, and record their versions."""
    from .progress import Progress

    environment = options.select()
    with Progress("Making") as progress:
        found = options.pipeline.initialize(options.environment, report=progress.name)
    project, done = options.pipeline.project, progress.done("schema")
    if done and git.uncommitted(project.files.folder):
        folder = os.path.relpath(project.files.folder, project.root)
        done += f"\nCommit {folder}: the snapshots there are what later changes are compared with."
    show_status(options, environment, found, done=done)


@program.command(**example("my-pipeline --env prod status --json"))
@click.option("--all", "every", is_flag=True, help="Show dev, prod and every environment of environments.toml.")
@common
def status(options: Options, every: bool) -> None:
    """Show where each schema stands: code, database, drift.

    For each schema it shows the version in the code and in the database, and what somebody changed by hand.
    """
    from ..commands import status

    if every:
        show_every(options)
        return
    environment = options.select()
    show_status(options, environment, status.status(options.pipeline, environment))


@program.command(**example("my-pipeline doctor"))
@common
def doctor(options: Options) -> None:
    """Show every setting, and what is ignored or wrong."""
    from ..commands import doctor as examination
    from . import render

    environment = options.select()
    report = examination.examine(options.pipeline, environment)
    if options.json:
        options.print_json(report.as_dict())
    else:
        problems = [replace(one, do=options.to_copy(one.do)) for one in report.problems]
        render.doctor(replace(report, problems=problems))
    leave(ExitCode.ERROR if report.problems else ExitCode.OK)


@program.command(**example("my-pipeline check"))
@common
def check(options: Options) -> None:
    """Check code and migrations, as CI does.

    Checks the graph, imports, versions, definitions and migrations. Touches no database of yours.
    """
    from ..commands import check as checking
    from . import render
    from .progress import Progress

    with Progress("Checking") as progress:
        findings = checking.check(options.pipeline, progress.name)
    if options.json:
        path_of = options.pipeline.project.path_of
        rows = [
            {**{name: value for name, value in vars(f).items() if name != "note"}, "path": path_of(f.module)}
            for f in findings
        ]
        notes = [row for row, finding in zip(rows, findings, strict=True) if finding.note]
        options.print_json({"findings": [row for row in rows if row not in notes], "notes": notes})
    else:
        render.findings(options.pipeline.project, [replace(one, do=options.to_copy(one.do)) for one in findings])
    leave(ExitCode.ERROR if any(not finding.note for finding in findings) else ExitCode.OK)


@program.command(**example("my-pipeline --env prod log --rows subject.Subject --key subject_id=7"))
@click.option(
    *("--rows", "table"),
    metavar="TABLE",
    help="Show who entered, changed or computed rows of this table.",
    shell_complete=complete_tables,
)
@click.option("--key", multiple=True, metavar="ATTRIBUTE=VALUE", help="With --rows: only rows with this key.")
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    help="With --rows: show at most this many.",
)
@common
def log(options: Options, table: str | None, key: tuple[str, ...], limit: int) -> None:
    """Show who changed what, when, and from which commit.

    Lists changes of schemas and of rights; with --rows, changes of a table's rows.
    """
    from ..commands import log
    from . import render

    if table is not None:
        _log_rows(options, table, key, limit)
        return
    if key:
        raise click.UsageError("--key goes with --rows TABLE.")
    environment = options.select()
    records, changes = log.log(options.pipeline, environment), log.access(options.pipeline, environment)
    if options.json:
        runs, rights = (
            [
                {**vars(r), "started_at": utc(r.started_at), "finished_at": utc(r.finished_at), "state": r.state}
                for r in found
            ]
            for found in (records, changes)
        )
        options.print_json({"environment": environment.name, "runs": runs, "access": rights})
    else:
        render.log(records, changes)


def _log_rows(options: Options, table: str, key: tuple[str, ...], limit: int) -> None:
    from ..commands import rows
    from . import render

    environment = options.select()
    found = rows.rows(options.pipeline, environment, table, key, limit)
    if options.json:
        # The clock of the machine that computed has a time zone that nobody recorded.
        events = [
            {**vars(e), "at": utc(e.at) if e.record != "_job" else e.at and e.at.isoformat()} for e in found.events
        ]
        document = {"environment": environment.name, "table": str(found.table), "records": found.records}
        options.print_json({**document, "rows": events})
    else:
        render.rows(found)


@program.command("add-schema", **example("my-pipeline add-schema behaviour --depends session"))
@click.argument("name")
@click.option(
    "--depends",
    metavar="SCHEMA…",
    multiple=True,
    help="Schemas that its table refers to; the first is in its primary key.",
)
@click.argument("more", nargs=-1, metavar="")
@common
def add_schema(options: Options, name: str, depends: tuple[str, ...], more: tuple[str, ...]) -> None:
    """Add a schema: its module, test and version.

    Its place in the graph is after the schemas that it depends on. The primary key of its table contains the key of
    the first of these; the table refers to each of the others.
    """
    from ..commands import add_schema

    project = options.pipeline.project
    parents = [parent for text in (*depends, *more) for parent in text.replace(",", " ").split()]
    added = add_schema.add_schema(project, name, parents)
    if options.json:
        options.print_json({"name": name, "files": [str(path) for path in added.files], "key": added.key or None})
    else:
        for path in added.files:
            echo(f"wrote {path}")
        if added.key:
            belongs = f"Each row of {added.table} belongs to one of {added.key}."
            echo(f"{belongs} If it only refers to one, move -> {added.key} below ---.")
        echo(f"Next: write the tables, then {project.program} check and {project.program} init.")
        if (project.root / "access.toml").is_file():
            apply = f"{project.program} access apply"
            if options.pipeline.config["database.backend"] == "mysql":
                echo(f"On a server with accounts, its administrator runs {apply} before init, and an admin after it.")
            else:
                echo(f"On a server with accounts, {apply} then gives them rights on it.")


@program.command(**example("my-pipeline secrets"))
@click.argument("names", nargs=-1, metavar="[NAME…]")
@common
def secrets(options: Options, names: tuple[str, ...]) -> None:
    """Ask for passwords, and keep them in .secrets/.

    What you type is not shown, and only you can read the files.
    """
    from ..project import credentials

    written = credentials.ask(options.pipeline.project, names)
    if options.json:
        options.print_json({"written": written})
    else:
        echo(f"wrote {', '.join(f'.secrets/{name}' for name in written)}" if written else "Nothing was changed.")


@program.group()
def local() -> None:
    """Start, stop, open or delete the embedded server."""


@local.command("start", **example("my-pipeline local start --port 5433"))
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Also listen on this port of 127.0.0.1, open to every user of this machine.",
)
@common
def local_start(options: Options, port: int | None) -> None:
    """Start the embedded server, or join the one that runs."""
    from ..embedded import server as servers

    server = servers.start(options.pipeline.project.local_directory, port=port)
    if options.json:
        options.print_json({"host": server.host, "port": server.port, "pid": server.pid, "user": servers.USER})
    else:
        echo(f"The embedded PostgreSQL runs: host={server.host} port={server.port} user={servers.USER}")


@local.command("stop", **example("my-pipeline local stop"))
@common
def local_stop(options: Options) -> None:
    """Stop the embedded server; its data stays."""
    from ..embedded import server as servers

    stopped = servers.stop(options.pipeline.project.local_directory)
    if options.json:
        options.print_json({"stopped": stopped})
    else:
        echo("The embedded PostgreSQL is stopped." if stopped else "No embedded PostgreSQL was running.")


@local.command("shell", **example("my-pipeline local shell"))
@common
def local_shell(options: Options) -> None:
    """Open psql on the embedded server."""
    from ..embedded import server as servers

    environment = options.pipeline.select("local")
    server = servers.start(options.pipeline.project.local_directory)
    servers.create_database(server, environment.catalog)
    command = servers.psql_command(server, environment.catalog)
    os.execvp(command[0], command)


@local.command("destroy", **example("my-pipeline local destroy --yes"))
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
def local_destroy(options: Options, yes: bool) -> None:
    """Delete the embedded server and every row in it."""
    from ..embedded import server as servers

    if not yes:
        if not sys.stdin.isatty():
            raise PipelineError(
                "Nothing was deleted.", "Deleting every row of local has to be confirmed.", "Run local destroy --yes."
            )
        confirm("Delete the embedded server and every row in it?")
    servers.destroy(options.pipeline.project.local_directory)
    if options.json:
        options.print_json({"destroyed": True})
    else:
        echo("The embedded PostgreSQL and its data are deleted.")


# --- Leaving ---------------------------------------------------------------------------------------------------


def run(pipeline: Pipeline, arguments: list[str] | None = None) -> None:
    """Run the command line of a project and leave with its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # DataJoint logs to standard output unless told otherwise before it is imported.
    os.environ.setdefault("DJ_LOG_STREAM", "stderr")
    settings.quiet()
    tolerate(sys.stdout, sys.stderr)
    options = Options(pipeline, sys.stdout)
    pipeline.limited = False
    _complete(options)
    # With --json, whatever a module or a library prints goes to standard error.
    with contextlib.redirect_stdout(sys.stderr) if "--json" in arguments else contextlib.nullcontext():
        code = _run(options, arguments)
    sys.exit(code)


def _complete(options: Options) -> None:
    """Answer a shell, and leave, where one asks for completions; a project that cannot be read completes nothing.

    The shell names a variable, and completes the command itself, not ``uv run``.
    """
    command = Path(sys.argv[0]).stem
    with contextlib.suppress(Exception):
        command = options.pipeline.project.command
    variable = f"_{command}_COMPLETE".replace("-", "_").upper()
    if variable in os.environ:
        with contextlib.suppress(Exception):
            program.main([], prog_name=command, complete_var=variable, standalone_mode=False, obj=options)
        sys.exit(0)


def _run(options: Options, arguments: list[str]) -> int:
    try:
        name = options.pipeline.project.program
        return int(program.main(arguments, prog_name=name, standalone_mode=False, obj=options) or 0)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.exceptions.Abort as abort:
        if isinstance(abort.__cause__, Stopped):
            return _say(options, abort.__cause__, arguments)
        echo("Stopped; nothing further was done.", err=True)
        return 130
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        echo(shown.getvalue().rstrip("\n"), err=True)
        if "--json" in arguments:
            _print_error(options, _refusal(error))
        return int(ExitCode.USAGE)
    except PipelineError as error:
        if "--debug" in arguments:
            raise
        return _say(options, error, arguments)
    except KeyboardInterrupt:
        echo("Stopped.", err=True)
        return 130
    except Exception as error:
        if "--debug" in arguments:
            raise
        what, do = (
            f"Something failed that should not: {type(error).__name__}.",
            "Run the command with --debug for more.",
        )
        if found := server_errors.of(error):
            what, do = found.what, f"{found.do}, then run the command again."
        elif isinstance(error, OSError) and (error.filename is not None or error.errno == errno.ENOSPC):
            return _say(options, disk.refusal(error), arguments)
        return _say(options, PipelineError(what, f"{server_errors.reason(error)}.", do), arguments)


def _say(options: Options, error: PipelineError | Stopped, arguments: list[str]) -> int:
    echo(f"Error: {error.what}", fg="red", err=True)
    for line in (error.why, options.to_copy(error.do)):
        if line:
            echo(f"  {line}".replace("\n", "\n  "), err=True)
    if "--json" in arguments:
        _print_error(options, error)
    return int(error.exit_code)


def _refusal(error: click.ClickException) -> PipelineError:
    """Give what is wrong with the words of a command line as a refusal; its usage is the reason."""
    context = getattr(error, "ctx", None)
    what = " ".join(error.format_message().split())
    if type(error).__name__ == "NoArgsIsHelpError":  # whose message is the whole help; before Click 8.2 there is none
        what = "No command was given."
    usage = context.get_usage() if context is not None else ""
    do = f"Run {context.command_path} --help." if context is not None else ""
    return PipelineError(what, " ".join(usage.split()), do, exit_code=ExitCode.USAGE)


def _print_error(options: Options, error: PipelineError | Stopped) -> None:
    document = {"what": error.what, "why": error.why, "do": error.do, "exit_code": int(error.exit_code)}
    options.print_json({"error": document})
