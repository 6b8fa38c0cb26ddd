"""Shared by all commands of the command line: options, the environment, and the exit code."""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import click

from ..errors import ExitCode, PipelineError, worst
from .visible import echo, visible

if TYPE_CHECKING:
    from ..planner.status import SchemaStatus
    from ..project.environments import Environment
    from ..project.pipeline import Pipeline

#: The commands as help lists them, in the order in which a person meets them.
_SECTIONS = {
    "Begin": ("init", "demo", "doctor", "secrets", "local", "add-schema", "adopt"),
    "Change tables": (
        "status",
        "diff",
        "revise",
        "check",
        "migrate",
        "rollback",
        "log",
        "renumber",
        "purge",
        "restore",
    ),
    "Compute": ("worker", "progress", "errors", "alert", "deploy"),
    "Work together": ("promote", "branch", "access"),
    "Show": ("diagram", "docs"),
}


@dataclass
class Options:
    """The options of every command, the pipeline that it is for, and where its JSON goes."""

    pipeline: Pipeline
    output: TextIO
    environment: str | None = None
    branch: str | None = None
    json: bool = False
    debug: bool = False

    def select(self) -> Environment:
        """Choose the environment that was named, or the one that is meant by default."""
        if self.branch and self.environment is None:
            self.environment = "branch"
        if self.branch and self.environment != "branch":
            raise click.UsageError("--branch names the git branch of --env branch.")
        return self.pipeline.select(self.environment, explicit=self.environment is not None, branch=self.branch)

    def to_copy(self, text: str, environment: str | None = None) -> str:
        """Give a sentence with its commands as they are typed in this project; see :func:`to_copy`."""
        with suppress(PipelineError):  # where the project itself cannot be read
            return to_copy(text, self.pipeline.project.program, environment or self.environment, self.branch)
        return text

    def print_json(self, document: dict[str, Any]) -> None:
        """Write the one document of ``--json``; what it says to do can be copied, as in the text for people."""
        document = self._to_copy(document)
        plain = "utf" not in (self.output.encoding or "").lower()  # which a program reads as it is
        print(visible(json.dumps(document, default=str, ensure_ascii=plain, indent=2)), file=self.output)

    def _to_copy(self, found: Any) -> Any:
        match found:
            case dict():
                return {
                    key: self.to_copy(value) if key == "do" and isinstance(value, str) else self._to_copy(value)
                    for key, value in found.items()
                }
            case list() | tuple():
                return [self._to_copy(value) for value in found]
        return found


#: Commands that work on files, whatever database is meant.
_OF_FILES = frozenset({"add-schema", "check", "diagram", "docs", "local", "renumber", "revise", "secrets"})


def to_copy(text: str, called: str, environment: str | None = None, branch: str | None = None) -> str:
    """Give a sentence with its commands as they are typed here: ``Run migrate.`` with the program, and where it works.

    In a sentence, ``run`` stands before each command that can be pasted. One that is to be run again, or elsewhere,
    stays a word.

    Parameters
    ----------
    text : str
        The sentence.
    called : str
        How the program is called.
    environment : str, optional
        The environment that was named; none where it is the one that is meant by default.
    branch : str, optional
        The git branch that was named.
    """
    where = f"{called} --env {environment}" if environment else called
    where += f" --branch {branch}" if branch else ""

    def whole(found: re.Match[str]) -> str:
        return f"{found[1]} {called if found[2] in _OF_FILES else where} {found[2]}"

    names = "|".join(map(re.escape, program.commands))
    return re.sub(rf"(?<!uv )\b([Rr]un) ({names})(?![\w/-]|[.]\w| again| there)", whole, text)


class _Named:
    """A command whose examples name the program as it is called in this project."""

    epilog: str | None

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        original, self.epilog = self.epilog, (self.epilog or "").replace("my-pipeline", ctx.find_root().info_name or "")
        try:
            super().format_epilog(ctx, formatter)  # type: ignore[misc]
        finally:
            self.epilog = original


class Command(_Named, click.Command):
    """A command of the program."""


class Group(_Named, click.Group):
    """A group of commands."""

    command_class = Command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, each with its first sentence whole, over as many lines as it takes."""
        rows = [(name, command.get_short_help_str(limit=200)) for name, command in sorted(self.commands.items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class _Program(Group):
    """Lists its commands by what they are for, not in the alphabet's order."""

    group_class = Group

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for names in _SECTIONS.values() for name in names]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        widest = max(map(len, self.commands))
        for title, names in _SECTIONS.items():
            rows = [(f"{name:{widest}}", self.commands[name].get_short_help_str(limit=100)) for name in names]
            with formatter.section(title):
                formatter.write_dl(rows)


def _environments(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    return [name for name in ("local", "dev", "branch", "prod") if name.startswith(begun)]


def complete_schemas(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Give the names of the project's schemas, for a shell that completes."""
    options = context.find_object(Options)
    return [name for name in options.pipeline.project.versions if name.startswith(begun)] if options else []


def complete_tables(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Give the tables of the project's modules, ``ephys.Recording``, as their sources name them."""
    from ..project import graph

    options = context.find_object(Options)
    modules = graph.read(options.pipeline.project.directory).modules.values() if options else ()
    names = {f"{schema}.{table}" for module in modules for table, schema in module.tables.items() if schema}
    return sorted(name for name in names if name.startswith(begun))


def complete_attributes(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Give what code before a change had, as its newest snapshots name it: ``ephys.Recording.firing_rate``.

    The name of the schema may be left out, as in the options that take it.
    """
    from ..history import migration_files

    options = context.find_object(Options)
    names = set[str]()
    with suppress(PipelineError):  # of what cannot be read, nothing is completed
        for name, snapshot in migration_files.latest(options.pipeline.project.files).items() if options else ():
            for table in snapshot.shape:
                own = [f"{table.name.title}.{attribute.name}" for attribute in table.attributes if not attribute.hidden]
                names |= {*own, *(f"{name}.{one}" for one in own if begun)}
    return sorted(name for name in names if name.startswith(begun))


def complete_versions(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Give the versions of the one schema that stands before, by the names of its files."""
    from ..history import migration_files

    options = context.find_object(Options)
    # Click has not said which argument each word is: the option that stands last lacks its value.
    if options is None or len(context.args) != 1:
        return []
    found = migration_files.named_versions(options.pipeline.project.files, context.args[0])
    return [version for version in found if version.startswith(begun)]


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --env, --json and --debug, and hand over the merged :class:`Options` as first argument."""

    @click.option(
        *("--env", "environment"),
        metavar="ENV",
        help="local, dev, branch, prod, or a name in environments.toml.",
        shell_complete=_environments,
    )
    @click.option("--branch", metavar="NAME", help="With --env branch: the git branch, if you are not on it.")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @click.pass_context
    @functools.wraps(function)
    def command(
        context: click.Context,
        /,
        environment: str | None,
        branch: str | None,
        as_json: bool,
        debug: bool,
        **rest: Any,
    ) -> Any:
        options = context.find_object(Options)
        assert options is not None
        options.environment = environment or options.environment
        options.branch = branch or options.branch
        options.json = options.json or as_json
        options.debug = options.debug or debug
        return function(options, **rest)

    return command


def at_least_zero(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Refuse seconds below zero."""
    if value is not None and value < 0:
        raise click.BadParameter(f"{value:g} seconds is less than none.", context, parameter)
    return value


def example(text: str) -> dict[str, Any]:
    """Put an example at the end of a command's help."""
    return {"epilog": f"\b\nExample:\n  {text}"}


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    *("--env", "environment"),
    metavar="ENV",
    help="local, dev, branch, prod, or a name in environments.toml.",
    shell_complete=_environments,
)
@click.option("--branch", metavar="NAME", help="With --env branch: the git branch, if you are not on it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def program(context: click.Context, environment: str | None, branch: str | None, as_json: bool, debug: bool) -> None:
    """Keep the pipeline's database and its code together."""
    options = context.find_object(Options)
    assert options is not None
    options.environment, options.branch, options.json, options.debug = environment, branch, as_json, debug


def show_status(
    options: Options,
    environment: Environment,
    found: list[SchemaStatus],
    *,
    done: str = "",
    pending_is_fine: bool = False,
    **more: Any,
) -> None:
    """Print where the schemas stand (with ``--json`` and more) and what was done, and leave with the exit code of the
    worst.
    """
    from ..planner.status import EXIT_CODES
    from . import render
    from .progress import NOTHING

    backend = options.pipeline.connect(environment).adapter.backend
    rights = changed_rights(options, environment, changed=NOTHING not in done) if done else ""
    if options.json:
        more |= {"access": rights} if rights else {}
        schemas = [_as_dict(s) for s in found]
        options.print_json({"environment": environment.name, "backend": backend, "schemas": schemas, **more})
    else:
        render.status(environment, backend, found)
        for text in filter(None, (done, rights)):
            echo(text)
        # It takes a second, so only a person who looks, or who expected something to be done, is told.
        if NOTHING in done or (not done and sys.stdout.isatty()):
            _show_unrevised(options, environment, found)
    code = worst([EXIT_CODES[s.state] for s in found])
    leave(ExitCode.OK if pending_is_fine and code is ExitCode.PENDING else code)


def _show_unrevised(options: Options, environment: Environment, found: list[SchemaStatus]) -> None:
    """Say which schemas have changes in the code that no migration has."""
    from ..commands.unrevised import unrevised
    from ..planner.target import PROD

    shown = {one.name for one in found if not one.draft}
    names = [name for name in unrevised(options.pipeline) if name in shown]
    if names:
        program, drafts = options.pipeline.project.program, environment.name != PROD and not environment.guarded
        more = ", or migrate --draft to try them" if drafts else ""
        verb = "has" if len(names) == 1 else "have"
        echo(
            f"The code of {', '.join(names)} {verb} changes without a migration (see {program} diff). "
            f"Run {program} revise -m TEXT{more}.",
            fg="yellow",
        )


def show_every(options: Options) -> None:
    """Print where the schemas stand in every environment, and leave with the exit code of the worst."""
    from ..commands import status as states
    from ..planner.status import EXIT_CODES
    from . import render

    documents, codes = list[dict[str, Any]](), list[ExitCode]()
    for environment, backend, found in states.every(options.pipeline):
        if isinstance(found, PipelineError):
            codes.append(ExitCode.ERROR)
            error = {"what": found.what, "why": found.why, "do": options.to_copy(found.do, environment.name)}
            documents.append({"environment": environment.name, "error": error})
            if not options.json:
                echo(f"{environment.name}: {found.what} {found.why}", fg="red")
                echo(f"  {options.to_copy(found.do, environment.name)}")
            continue
        codes += [EXIT_CODES[s.state] for s in found]
        documents.append({"environment": environment.name, "backend": backend, "schemas": [_as_dict(s) for s in found]})
        if not options.json:
            render.status(environment, backend, found)
    if options.json:
        options.print_json({"environments": documents})
    leave(ExitCode.ERROR if ExitCode.ERROR in codes else worst(codes))


def _as_dict(s: SchemaStatus) -> dict[str, Any]:
    """Give where a schema stands as JSON has it."""
    return {
        "name": s.name,
        "database": s.database,
        "code_version": s.code_version,
        "database_version": s.database_version,
        "state": s.state.value,
        "pending": list(s.pending),
        "drift": list(s.drift),
        **({"draft": True} if s.draft else {}),
        **({"unreadable": list(s.unreadable)} if s.unreadable else {}),
        **({"advice": list(s.advice)} if s.advice else {}),
    }


def changed_rights(options: Options, environment: Environment, *, changed: bool = True) -> str:
    """Say what `access apply` still has to do, after a command that changes tables, and may have ``changed`` none."""
    from ..commands import access

    return access.remark(options.pipeline, environment, changed=changed)


def utc(moment: Any) -> str | None:
    """Give a moment of the journal as JSON has it."""
    return None if moment is None else f"{moment.isoformat()}Z"


def leave(code: ExitCode) -> None:
    """End with an exit code, unless all is in order."""
    if code is not ExitCode.OK:
        raise click.exceptions.Exit(int(code))
