"""How the work stands, as tables for a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.console import Group as Lines
from rich.live import Live
from rich.markup import escape

from ..monitor.words import spans
from . import tables
from .console import console as _console
from .visible import visible

if TYPE_CHECKING:
    from ..monitor.errors import Failure, Group
    from ..monitor.progress import Progress, TableProgress

_COLOURS = {
    "done": "green",
    "running": "cyan",
    "nobody works on it": "yellow",
    "only errors left": "red",
    "waiting for upstream": "dim",
}

#: The least width of a terminal, in characters, that a column is shown on.
_WIDTHS = {"running": 60, "failed": 0, "ignored": 60, "waiting": 90, "rate": 100, "time left": 76}


def progress(found: Progress) -> None:
    """Print one line a table, parents before children."""
    console = _console()
    console.print(_stand(found, console), soft_wrap=not console.is_terminal)


def watch(count: Callable[[], Progress], every: float) -> None:
    """Show it again and again, until Ctrl-C; what is no terminal gets it one below the other."""
    console = _console()
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            shown = _stand(count(), console)
            if console.is_terminal:
                live.update(shown, refresh=True)
            else:
                console.print(shown, soft_wrap=True)
            time.sleep(every)


def _stand(found: Progress, console: Console) -> RenderableType:
    title = f"[bold]{found.environment}[/] at {found.at:%Y-%m-%d %H:%M:%S} UTC"
    if not found.tables:
        return Lines(title, "There is no Imported or Computed table yet.")
    cells = [_cells(one) for one in found.tables]
    shown = [name for name, least in _WIDTHS.items() if console.width >= least and any(row[name] for row in cells)]
    table = tables.table("table", "done", *shown, "state", right=("done", *shown))
    for one, row in zip(found.tables, cells, strict=True):
        table.add_row(escape(str(one.table)), _done(one), *(row[name] for name in shown), _state(one))
    remarks = [f"[yellow]![/] {escape(visible(f'{one.table}: {one.problem}'))}" for one in found.tables if one.problem]
    for one in found.tables:
        for name, count in one.unattended.items():
            if name != one.class_name:
                need = "1 key needs" if count == 1 else f"{count:,} keys need"
                remarks.append(
                    f"[yellow]![/] {escape(f'{one.table}: {need} a worker of the class {name}, and none is running.')}"
                )
    dead = sum(one.dead for one in found.tables)
    if dead:
        jobs = "1 job was reserved by a worker that has died; the next worker takes it back"
        more = f"{dead} jobs were reserved by workers that have died; the next worker takes them back"
        remarks.append(f"[yellow]![/] {jobs if dead == 1 else more}.")
    return Lines(title, tables.fitted(console, table), *remarks)


def _done(one: TableProgress) -> str:
    if one.total is None or one.done is None:
        return "?"
    percent = f"{100 * one.done // one.total:3}%" if one.total else "   -"
    return f"{one.done:,}/{one.total:,} {percent}"


def _cells(one: TableProgress) -> dict[str, str]:
    running = str(one.alive or "") + (f" {one.unknown}?" if one.unknown else "") + (f" {one.dead}†" if one.dead else "")
    return {
        "running": running.strip(),
        "failed": f"[red]{one.failed:,}[/]" if one.failed else "",
        "ignored": f"{one.ignored:,}" if one.ignored else "",
        "waiting": f"{one.waiting:,}" if one.waiting else "",
        "rate": f"{one.rate:,.0f}/h" if one.rate else "",
        "time left": spans(*one.left) if one.left else "",
    }


def _state(one: TableProgress) -> str:
    if one.state is None:
        return "[yellow]unknown[/]"
    return f"[{_COLOURS[one.state.value]}]{one.state.value}[/]"


#: Keys of a group that are shown.
_SHOWN = 50


def errors(found: list[Group], command: str, *, whole: bool, traceback: bool, ignored: bool) -> None:
    """Print a paragraph a group; ``whole`` with every key; then what can be run next."""
    from ..monitor.errors import MOST

    console = _console()
    if not found:
        console.print("No job is left out." if ignored else "[green]No job has failed.[/]")
        return
    for group in found:
        newest = group.failures[0]
        number = f"[red]{len(group.failures):,}[/] {'job' if len(group.failures) == 1 else 'jobs'}"
        tables = [f"{name} ({count:,})" if len(group.tables) > 1 else name for name, count in group.tables.items()]
        console.print(f"[bold]{group.id}[/]  {number} of {escape(', '.join(tables))}")
        alike = len(group.failures) > 1 and group.message != " ".join(newest.message.split())
        cause = group.message if alike else newest.message
        console.print(f"  {_lines(': '.join(filter(None, (newest.error, cause))))}")
        if group.where:
            console.print(f"  in {escape(group.where)}")
        if alike:
            console.print(f"  last message: {_lines(newest.message)}")
        for failure in group.failures[: _SHOWN if whole else 1]:
            console.print(f"  {'' if whole else 'last: '}{escape(_failure(failure))}")
        if whole and len(group.failures) > _SHOWN:
            console.print(f"  and {len(group.failures) - _SHOWN:,} more; --json has them all")
        if traceback:
            console.print(escape("\n".join(f"    {line}" for line in (newest.traceback or "none").splitlines())))
    if any(count >= MOST for group in found for count in group.tables.values()):
        console.print(f"Of each table the newest {MOST:,} are read; there may be more.")
    chosen = found[0].id if len(found) == 1 else "ID"
    more = " --ignored" if ignored else ""
    if not traceback:
        console.print(f"To see why:   {command} errors{more} --group {chosen} --traceback")
    console.print(f"To try again: {command} errors{more} --group {chosen} --retry")
    if len(found) > 1:
        console.print("ID is what a group begins with; --all instead of --group tries all again.")


def _lines(said: str) -> str:
    return escape(visible(said).replace("\n", "\n    "))


def _failure(failure: Failure) -> str:
    key = ", ".join(f"{name}={value}" for name, value in failure.key.items())
    at = f"{failure.at:%Y-%m-%d %H:%M:%S} UTC" if failure.at else "at no known time"
    return f"{failure.table} {key}, {at}, on {failure.host or 'no known host'} by {failure.user or 'nobody known'}"
