"""Tables and progress for a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from .doctor import Report
    from .environment import Environment
    from .graph import Finding
    from .journal import Record
    from .status import SchemaStatus

_COLOURS = {"current": "green", "behind": "yellow", "absent": "yellow", "unrecorded": "yellow"}


def _console(**options: Any) -> Console:
    console = Console(highlight=False, **options)
    if not console.is_terminal:
        console.width = 160  # a pipe has no width; nothing that a person greps for should be cut
    return console


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def status(environment: Environment, backend: str, found: list[SchemaStatus]) -> None:
    """One line a schema, in dependency order."""
    server = "the embedded PostgreSQL" if environment.embedded else {"mysql": "MySQL"}.get(backend, "PostgreSQL")
    console = _console()
    console.print(f"[bold]{environment.name}[/] on {server}")
    table = _table("schema", "on the server", "code", "database", "state", "")
    for schema in found:
        colour = _COLOURS.get(schema.state.value, "red")
        remark = f"pending: {', '.join(schema.pending)}" if schema.pending else "; ".join(schema.drift)
        table.add_row(
            schema.name,
            schema.database,
            schema.code_version,
            schema.database_version or "-",
            f"[{colour}]{schema.state.value}[/]",
            escape(remark),
        )
    console.print(table)


def log(records: list[Record]) -> None:
    """One line a run, oldest first."""
    console = _console()
    if not records:
        console.print("Nothing is recorded yet.")
        return
    table = _table("when (UTC)", "schema", "what", "from", "to", "took", "who", "commit")
    for r in records:
        took = f"{(r.finished_at - r.started_at).total_seconds():.1f} s" if r.finished_at else r.status
        who = f"{r.os_user}@{r.host} as {r.database_user}"
        table.add_row(
            f"{r.started_at:%Y-%m-%d %H:%M:%S}",
            r.schema,
            r.kind,
            r.previous_version or "-",
            r.version,
            took,
            escape(who),
            r.code_commit[:10] + ("+" if r.code_commit.endswith("+") else ""),
        )
    console.print(table)


def findings(found: list[Finding]) -> None:
    """What `check` found: where, an id, a sentence and a fix."""
    console = _console()
    if not found:
        console.print("[green]Everything is in order.[/]")
    for finding in found:
        console.print(f"[red]{finding.module}.py:{finding.line}[/] [bold]{finding.id}[/] {escape(finding.what)}")
        console.print(f"  {escape(finding.do)}")


def doctor(report: Report) -> None:
    """Every setting with its source, then what the server says, then what is wrong."""
    console = _console()
    table = _table("setting", "value", "from")
    for setting in report.settings:
        style = "dim" if setting.source == "DataJoint's default" else ""
        table.add_row(setting.name, escape(setting.value), escape(setting.source), style=style)
    console.print(table)
    console.print()
    for fact in report.facts:
        console.print(escape(fact))
    for problem in report.problems:
        console.print(f"[red]![/] [bold]{problem.id}[/] {escape(problem.what)}")
        console.print(f"  {escape(problem.why)}")
        console.print(f"  {escape(problem.do)}")
    if not report.problems:
        console.print("[green]Nothing is wrong.[/]")


@contextmanager
def spinner(word: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal which thing is being worked on; elsewhere nothing."""
    console = _console(file=sys.stderr)
    if not console.is_terminal:
        yield lambda name: None
        return
    with console.status(f"{word} …") as shown:
        yield lambda name: shown.update(f"{word} {name} …")
