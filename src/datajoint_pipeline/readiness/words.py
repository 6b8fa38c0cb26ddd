"""How the report and the conversions are printed: words for people, and one document for programs."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ..wrapping import wrap
from .changes import Plan
from .findings import Finding

if TYPE_CHECKING:
    from .project import Project
    from .report import Report

#: How many findings of a kind are shown, unless all are asked for.
_EXAMPLES = 3


def _say(text: str) -> None:
    """Print a line, broken between words on a terminal."""
    click.echo(wrap(text, sys.stdout))


def document(project: Project, report: Report) -> dict[str, object]:
    """Return a report as a program reads it."""
    return {
        "package": project.package,
        "ready": not report.left,
        "source_folder": project.source_folder,
        "counts": report.counts,
        "first": report.first,
        "findings": [{**vars(finding), "group": finding.group} for finding in report.findings],
        "not_looked_at": report.unseen,
    }


def show(project: Project, report: Report, everything: bool) -> None:
    """Print a report: its sum, what to do first, then the findings by kind."""
    where = project.shown(project.folder)
    _say(
        f"The package {project.package} in {where}/:"
        if where != "."
        else f"The package {project.package}, not made yet:"
    )
    _show_sum(report, everything)
    for title, mine in report.grouped():
        _say(f"\n{title} ({len(mine)})")
        for rule, count in Counter(finding.rule for finding in mine).most_common():
            _show_rule(rule, [finding for finding in mine if finding.rule == rule], count, everything)
    if report.left:
        _say(f"\n{len(report.left)} to do.")
        return
    _say(f"\nReady. Next: {_copying(project)}{project.command} check, and {project.command} --env prod adopt.")


def _show_sum(report: Report, everything: bool) -> None:
    if report.left:
        files = len({finding.path for finding in report.left})
        known = len(report.findings) - len(report.left)
        more = f", and {known} to be known" if known else ""
        _say(f"  {len(report.left)} to do in {files} {'file' if files == 1 else 'files'}{more}.\n")
    for group, rules in report.counts.items():
        kinds = ", ".join(f"{rule} {count}" for rule, count in sorted(rules.items(), key=lambda pair: -pair[1]))
        _say(f"  {group:<13} {sum(rules.values()):>5}   {kinds}")
    if report.first:
        _say("\nDo first:")
        for number, step in enumerate(report.first, 1):
            _say(f"  {number}. {step}")
    if report.unseen:
        shown = report.unseen if everything else report.unseen[:5]
        rest = f" and {len(report.unseen) - len(shown)} more" if len(shown) < len(report.unseen) else ""
        one = len(report.unseen) == 1
        which = "1 file uses DataJoint and was" if one else f"{len(report.unseen)} files use DataJoint and were"
        _say(f"\n{which} not looked at: {', '.join(shown)}{rest}.")


def _show_rule(rule: str, found: list[Finding], count: int, everything: bool) -> None:
    shown = found if everything else found[:_EXAMPLES]
    for do, same in _by_advice(shown):
        for finding in same:
            _say(f"  {finding.path}:{finding.line}: {rule}: {finding.what}")
        sentence, *to_paste = do.split("\n")
        _say(f"      {sentence}")
        for line in to_paste:
            click.echo(f"      {line}".rstrip())
    if len(shown) < count:
        _say(f"  ... and {count - len(shown)} more of {rule}; --all shows them.")


def _by_advice(found: list[Finding]) -> Iterator[tuple[str, list[Finding]]]:
    """Yield findings of one kind by what there is to do about them, which is then said once."""
    advice: dict[str, list[Finding]] = {}
    for finding in found:
        advice.setdefault(finding.do, []).append(finding)
    yield from advice.items()


def _copying(project: Project) -> str:
    if project.copied:
        return ""
    data = ["existing=true", f"project_name={project.command}", f"package_name={project.package}"]
    if project.source_folder != "src":
        data.append(f"source_folder={project.source_folder}")
    return f"copy the template here with {' '.join(f'--data {one}' for one in data)}, then "


def show_plan(plan: Plan) -> None:
    """Print changes before any is made."""
    for change in plan.changes:
        click.echo(change.diff())


def show_written(plan: Plan, wrote: list[str], write: bool) -> None:
    """Print which files were written, and what is left to a person."""
    for name in wrote:
        _say(f"wrote {name}")
    for sentence in plan.left:
        _say(f"left: {sentence}")
    if not plan.changes:
        _say("Nothing was to be written.")
    elif not write:
        files = f"{len(plan.changes)} {'file' if len(plan.changes) == 1 else 'files'}"
        _say(f"Nothing was written: --write makes these changes in {files}. Commit before, so that git can undo them.")
