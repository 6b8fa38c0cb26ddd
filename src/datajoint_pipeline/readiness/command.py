"""The command line ``datajoint-pipeline``: words for people, no logic."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

import click

from ..errors import ExitCode, PipelineError
from . import conversion, project, report, schemas
from .findings import Finding

_EXAMPLES = """\b
Examples:
  uvx --from LIBRARY datajoint-pipeline readiness .
  uvx --from LIBRARY datajoint-pipeline readiness --convert .
  uvx --from LIBRARY datajoint-pipeline readiness . scripts/

\b
LIBRARY is the address that this library is installed from, such as git+https://example.org/copier-datajoint."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def program() -> None:
    """Look at a pipeline that does not use this library yet.

    A project that does has a command of its own, named after the project.
    """


@program.command(epilog=_EXAMPLES)
@click.argument("path", default=".", type=click.Path(path_type=Path))
@click.argument("more", nargs=-1, type=click.Path(path_type=Path))
@click.option("--convert", is_flag=True, help="Write what can be derived from dj_local_conf.json and the modules.")
@click.option("--package", metavar="NAME", help="The package, where the repository does not show which it is.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def readiness(path: Path, more: tuple[Path, ...], convert: bool, package: str | None, as_json: bool) -> None:
    """Report, line by line, what a pipeline has to change for DataJoint 2.3 and this library.

    PATH is the folder of its repository; MORE are files and folders beside the package to look at, too. The files are
    read and nothing of them is run. Exit codes: 0 ready, 3 something is left to do, 2 usage, 1 an error.
    """
    for given in (path, *more):
        if not given.exists():
            what, why = f"There is no {given}.", "It was named as a file or folder to look at."
            raise PipelineError(what, why, "Correct the name.", exit_code=ExitCode.USAGE)
    if not path.is_dir():
        why = "The first path is the folder of the repository; files beside the package come after it."
        do = f"Write datajoint-pipeline readiness . {path}"
        raise PipelineError(f"{path} is no folder.", why, do, exit_code=ExitCode.USAGE)
    found = project.find(path, package)
    if convert:
        _convert(found, as_json)
        return
    findings = report.findings(found, more)
    left = any(not finding.note for finding in findings)
    if as_json:
        rows = [{**vars(finding), "group": finding.group} for finding in findings]
        _print_json({"package": found.package, "ready": not left, "findings": rows})
    else:
        _show(found, findings)
    if left:
        raise click.exceptions.Exit(int(ExitCode.PENDING))


def _convert(found: project.Project, as_json: bool) -> None:
    top, _, _ = project.files(found)
    lines = list(conversion.convert(found, schemas.names(top, found.prefix)))
    if as_json:
        _print_json({"convert": lines})
    else:
        click.echo("\n".join(lines or ["Nothing was to be written."]))


def _print_json(document: dict[str, object]) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _show(found: project.Project, findings: list[Finding]) -> None:
    """Print a report, group by group."""
    click.echo(f"The package {found.package} in {found.shown(found.folder)}/:")
    for title, mine in report.grouped(findings):
        click.echo(f"\n{title}")
        for finding in mine:
            click.echo(f"  {finding.path}:{finding.line}: {finding.rule}: {finding.what}")
            for line in finding.do.split("\n"):
                click.echo(f"      {line}".rstrip())
    left = sum(not finding.note for finding in findings)
    if left:
        click.echo(f"\n{left} to do.")
        return
    first = "" if found.copied else "copy the template here with --data existing=true, then "
    click.echo(f"\nReady. Next: {first}{found.command} check, and {found.command} --env prod adopt.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may lack characters of the repository
    sys.exit(_run(list(sys.argv[1:] if arguments is None else arguments)))


def _run(arguments: list[str]) -> int:
    try:
        return int(program.main(arguments, prog_name="datajoint-pipeline", standalone_mode=False) or 0)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        error.show()
        return int(ExitCode.USAGE)
    except PipelineError as error:
        return _refuse(error)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        return 130
    except OSError as error:
        what = f"{error.filename or 'A file'} cannot be read or written."
        do = "Look at its permissions, then run the command again."
        return _refuse(PipelineError(what, f"{error.strerror or error}.", do))
    except Exception as error:
        what = f"Something failed that should not: {type(error).__name__}."
        do = "Report it with the file that it is about; nothing of the repository was changed by the report."
        return _refuse(PipelineError(what, f"{error}.", do))


def _refuse(error: PipelineError) -> int:
    """Say what, why and what to do, a line each."""
    click.echo(f"Error: {error.what}", err=True)
    for sentence in filter(None, (error.why, error.do)):
        click.echo(f"  {sentence}", err=True)
    return int(error.exit_code)


if __name__ == "__main__":
    main()
