"""What every command of the command line shares: its options, its connection, and how it leaves."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import click

from ..errors import ExitCode, worst

_ORDER = [
    *("init", "status", "diff", "revise", "check", "migrate", "rollback", "log", "adopt", "purge"),
    *("restore", "renumber", "add-schema", "doctor", "secrets", "worker", "local"),
]


@dataclass
class Options:
    """What every command takes."""

    environment: str | None = None
    json: bool = False
    debug: bool = False


class _Program(click.Group):
    """Lists its commands in the order in which a person meets them, not in the alphabet's."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.commands, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))


def common(function: Callable[..., Any]) -> Callable[..., Any]:
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


def example(text: str) -> dict[str, Any]:
    """The example at the end of a command's help."""
    return {"epilog": f"\b\nExample:\n  {text}"}


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--env", "environment", metavar="ENV", help="local, dev or prod; may also stand behind the command.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def program(context: click.Context, environment: str | None, as_json: bool, debug: bool) -> None:
    """Keep the pipeline's database and its code together."""
    context.obj = Options(environment, as_json, debug)


def connected(options: Options) -> tuple[Any, Any]:
    """The chosen environment and the connection to it."""
    from .. import environment as environments

    environment = environments.select(options.environment, said=options.environment is not None)
    return environment, environments.connect(environment)


def show_status(
    options: Options, environment: Any, found: list[Any], *, pending_is_fine: bool = False, **more: Any
) -> None:
    """Print where the schemas stand (with ``--json`` and more), and leave with the exit code of the worst."""
    from .. import environment as environments
    from ..status import EXIT_CODES
    from . import render

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
                **({"draft": True} if s.draft else {}),
            }
            for s in found
        ]
        print_json({"environment": environment.name, "backend": backend, "schemas": schemas, **more})
    else:
        render.status(environment, backend, found)
    code = worst([EXIT_CODES[s.state] for s in found])
    leave(ExitCode.OK if pending_is_fine and code is ExitCode.PENDING else code)


_output: Any = None


def print_json(document: dict[str, Any]) -> None:
    """Write the one document of ``--json``."""
    print(json.dumps(document, default=str, ensure_ascii=False, indent=2), file=_output or sys.stdout)


def utc(moment: Any) -> str | None:
    """A moment of the journal as JSON has it."""
    return None if moment is None else f"{moment.isoformat()}Z"


def leave(code: ExitCode) -> None:
    """End with an exit code, unless all is in order."""
    if code is not ExitCode.OK:
        raise click.exceptions.Exit(int(code))


@contextlib.contextmanager
def only_json_on_stdout(arguments: list[str]) -> Iterator[None]:
    """With --json, send whatever a module or a library prints to standard error."""
    global _output
    if "--json" not in arguments:
        yield
        return
    _output = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        yield
