"""The command line ``datajoint-pipeline``: words for people, no logic."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

import click

from ..errors import ExitCode, PipelineError
from ..wrapping import wrap
from . import conversion, project, report, retyping, schemas, words
from .changes import Plan

_EXAMPLES = """\b
Examples:
  uvx --from LIBRARY datajoint-pipeline readiness .
  uvx --from LIBRARY datajoint-pipeline readiness --convert .
  uvx --from LIBRARY datajoint-pipeline readiness --convert-types --write .
  uvx --from LIBRARY datajoint-pipeline readiness --all . ../scripts/

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
@click.option("--convert", is_flag=True, help="Show what can be derived from dj_local_conf.json and the modules.")
@click.option(
    "--convert-types", is_flag=True, help="Show how to change definitions and calls that have only one right form."
)
@click.option("--write", is_flag=True, help="Write what these two show, without asking.")
@click.option("--all", "everything", is_flag=True, help="Show every finding, not only a few of each kind.")
@click.option("--package", metavar="NAME", help="The package, if the repository does not show which it is.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def readiness(
    path: Path,
    more: tuple[Path, ...],
    convert: bool,
    convert_types: bool,
    write: bool,
    everything: bool,
    package: str | None,
    as_json: bool,
) -> None:
    """Report what a pipeline has to change for DataJoint 2.3 and this library.

    PATH is the folder of its repository. Its package, scripts and notebooks are read, but none of them is run. MORE
    are other files and folders to check, beside the package. With --convert or --convert-types the changes are shown,
    and written when you say so. Exit codes: 0 ready, 3 something is left to do, 2 usage, 1 an error.
    """
    _check_usage(path, more, write and not (convert or convert_types))
    with _without_configuration():
        found = project.find(path, package)
        reading = project.files(found)
        plans = []
        if convert:
            plans.append(conversion.plan(found, schemas.Schemas(reading.modules, found.prefix)))
        if convert_types:
            plans.append(retyping.plan([*reading.modules, *reading.beside]))
        if not plans:
            told = report.report(found, reading, more)
    if plans:
        _convert(Plan.of(plans), write, as_json)
        return
    if as_json:
        _print_json(words.document(found, told))
    else:
        words.show(found, told, everything)
    if told.left:
        raise click.exceptions.Exit(int(ExitCode.PENDING))


def _check_usage(path: Path, more: tuple[Path, ...], nothing_to_write: bool) -> None:
    for given in (path, *more):
        if not given.exists():
            what, why = f"There is no {given}.", "It was named as a file or folder to look at."
            raise PipelineError(what, why, "Correct the name.", exit_code=ExitCode.USAGE)
    if not path.is_dir():
        why = "The first path is the folder of the repository; files beside the package come after it."
        do = f"Write datajoint-pipeline readiness . {path}"
        raise PipelineError(f"{path} is no folder.", why, do, exit_code=ExitCode.USAGE)
    if nothing_to_write:
        why = "It writes what --convert and --convert-types show."
        raise PipelineError("--write stands alone.", why, "Add one of them, or both.", exit_code=ExitCode.USAGE)


@contextmanager
def _without_configuration() -> Iterator[None]:
    """Keep DataJoint, while it is imported, from reading the configuration of the folder that one is in."""
    name, before = "DJ_IGNORE_CONFIG_FILE", os.environ.get("DJ_IGNORE_CONFIG_FILE")
    os.environ[name] = "true"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _convert(plan: Plan, write: bool, as_json: bool) -> None:
    """Show changes, and write them where that was said, or is said now."""
    if not as_json and not write:
        words.show_plan(plan)
    asked = not as_json and not write and plan.changes and sys.stdin.isatty() and sys.stdout.isatty()
    if asked:
        write = click.confirm("Write this?", default=False)
    wrote = list(plan.write()) if write else []
    if as_json:
        diff = [change.diff() for change in plan.changes]
        lines = [*(f"wrote {name}" for name in wrote), *(f"left: {sentence}" for sentence in plan.left)]
        _print_json({"convert": lines, "wrote": wrote, "left": plan.left, "diff": diff})
    else:
        words.show_written(plan, wrote, write)
    if plan.short or (plan.changes and not write):
        raise click.exceptions.Exit(int(ExitCode.PENDING))


def _print_json(document: dict[str, object]) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


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
    lines = [f"Error: {error.what}", *(f"  {sentence}" for sentence in (error.why, error.do) if sentence)]
    click.echo(wrap("\n".join(lines), sys.stderr), err=True)
    return int(error.exit_code)


if __name__ == "__main__":
    main()
