"""What commands found, in tables and sentences for people."""

from __future__ import annotations

import heapq
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from . import tables
from .console import console as _console
from .progress import many
from .visible import echo, prompt, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..commands.branch import Difference
    from ..commands.revise import Revised
    from ..commands.rows import Rows
    from ..diff.questions import Answers, Question
    from ..errors import PipelineError
    from ..executor.archive import Manifest
    from ..executor.restore import Restored
    from ..executor.revert import Purged
    from ..findings import Finding
    from ..history.revisions import Revision
    from ..journal.access import Applied
    from ..journal.runs import Record
    from ..planner.comparison import Comparison
    from ..planner.impact import Impact
    from ..planner.plan import Violation
    from ..planner.status import SchemaStatus
    from ..project.doctor import Report
    from ..project.environments import Environment
    from ..project.project import Project
    from ..promotion.branches import Standing
    from ..promotion.named import Conflict, CopiedRows
    from ..schema.model import Table as Table_
    from ..schema.model import TableName
    from ..schema.values import Fill

#: How many keys are shown to choose from.
_SHOWN = 20

#: How MySQL is to change a table, which only who knows it wants to read.
_HOW = re.compile(r", (ALGORITHM|LOCK) = \w+")

_COLOURS = {"current": "green", "behind": "yellow", "absent": "yellow", "unrecorded": "yellow"}


def status(environment: Environment, backend: str, found: list[SchemaStatus]) -> None:
    """Print one line a schema, in dependency order."""
    server = "the embedded PostgreSQL" if environment.embedded else {"mysql": "MySQL"}.get(backend, "PostgreSQL")
    from ..planner.status import is_older_code, way_back

    console = _console()
    console.print(f"[bold]{environment.name}[/] on {server}")
    table = tables.table("schema", "on the server", "code", "database", "state", "")
    conflicts = dict[str, str]()
    for schema in found:
        colour = _COLOURS.get(schema.state.value, "red")
        pending = f"pending: {', '.join(schema.pending)}" if schema.pending else ""
        remark = _joined(*schema.drift, pending)
        if schema.unreadable:
            remark = _joined(remark, f"this account cannot read {', '.join(schema.unreadable)}")
        elif schema.state.value == "unreadable":
            remark = "this account has no right on this schema, and cannot tell whether it exists"
        if schema.state.value == "interrupted":
            has_way_back = backend == "mysql" and schema.run != "init" and not schema.taken_back
            back = f", {way_back(schema.run)} takes it back where it can" if has_way_back else ""
            what = "taking it back" if schema.taken_back else "it"
            remark = f"{schema.way_on} continues {what}{back}"
            if is_older_code(schema):
                remark = f"this code is older: with the code that has {schema.database_version}, {remark}"
        if schema.state.value == "ahead":
            remark = _joined(remark, f"this code is older: use the code that has {schema.database_version}")
        if schema.draft:
            remark = _joined(f"a draft after {schema.database_version}", remark)
        if schema.state.value == "conflict":  # which takes several sentences
            conflicts[schema.name], remark = remark, "see below"
        table.add_row(
            schema.name,
            schema.database,
            schema.code_version,
            schema.database_version or "-",
            f"[{colour}]{schema.state.value}[/]",
            escape(remark),
        )
    tables.show(console, table)
    for name, text in conflicts.items():
        echo(f"\n{name}: {text}")
    if conflicts:
        echo("docs/migrations.md, under Two branches, says what can be done.")
    for text in dict.fromkeys(text for schema in found for text in schema.advice):
        warning(text)


def _joined(*remarks: str) -> str:
    """Join remarks into one; some are sentences, which follow each other as such."""
    text = ""
    for remark in filter(None, remarks):
        if text.endswith(".") and remark[0].isupper():
            text += f" {remark}"
        else:
            text = f"{text.removesuffix('.')}; {remark}" if text else remark
    return text


def log(records: list[Record], changes: list[Applied]) -> None:
    """Print one line a run of a schema, or a change of rights and accounts, oldest first."""
    from ..journal.access import Applied

    console = _console()
    # Records stay in the order in which they ran, whatever the clocks said.
    both: list[list[Record | Applied]] = [[*records], [*changes]]
    every = list(heapq.merge(*both, key=lambda run: run.started_at))
    if not every:
        console.print("Nothing is recorded yet.")
        return
    table = tables.table("when (UTC)", "schema", "what", "from", "to", "state", "took", "who", "commit")
    for r in every:
        took = f"{(r.finished_at - r.started_at).total_seconds():.1f} s" if r.finished_at else "-"
        who = f"{r.os_user}@{r.host} as {r.database_user}"
        what = (
            ("-", escape(r.words), "-", "-")
            if isinstance(r, Applied)
            else (r.schema, f"{r.kind} {r.options}".rstrip(), r.previous_version or "-", r.version)
        )
        table.add_row(
            f"{r.started_at:%Y-%m-%d %H:%M:%S}",
            *what,
            r.state,
            took,
            escape(who),
            r.code_commit[:10] + ("+" if r.code_commit.endswith("+") else ""),
        )
    tables.show(console, table)


def rows(found: Rows) -> None:
    """Print one line an event, the newest last, then which records there are and which not."""
    from ..commands.rows import RECORDS

    console = _console()
    table = tables.table("when (UTC)", "what", "key", "who", "commit", "record")
    for event in found.events:
        when = f"{event.at:%Y-%m-%d %H:%M:%S}" if event.at else "-"
        key = ", ".join(f"{name}={value}" for name, value in event.key.items()) or _moved(event.more)
        parts = (when + " (its clock)" * (event.record == "_job"), event.operation, key, event.who, event.commit)
        table.add_row(*(escape(part) or "-" for part in parts), event.record)
    if found.events:
        tables.show(console, table)
    else:
        console.print(f"No record mentions these rows of {found.table}.")
    for name, state in found.records.items():
        words = {"there": "is there", "absent": "there is none", "denied": "this account may not read it"}[state]
        console.print(f"{name} ({RECORDS[name]}): {words}.")


def _moved(more: Mapping[str, Any]) -> str:
    places = [more[side] for side in ("old", "new") if isinstance(more.get(side), dict) and "table" in more[side]]
    return " -> ".join(f"{place.get('database')}.{place['table']}" for place in places)


def findings(project: Project, found: list[Finding]) -> None:
    """Print what `check` found: where, an id, a sentence and a fix."""
    console = _console()
    for finding in found:
        colour, word = ("cyan", "note: ") if finding.note else ("red", "")
        where = f"[{colour}]{escape(project.path_of(finding.module))}:{finding.line}[/]"
        console.print(f"{where} [bold]{finding.id}[/] {word}{escape(finding.what)}")
        console.print(f"  {escape(finding.do)}")
    if all(finding.note for finding in found):
        console.print("[green]Everything is in order.[/]")


def doctor(report: Report) -> None:
    """Print every setting with its source, then what the server says, then what is wrong."""
    console = _console()
    table = tables.table("setting", "value", "from")
    for setting in report.settings:
        style = "dim" if setting.source == "DataJoint's default" else ""
        table.add_row(setting.name, escape(setting.value), escape(setting.source), style=style)
    tables.show(console, table)
    console.print()
    for fact in report.facts:
        console.print(escape(fact))
    for problem in report.problems:
        console.print(f"[red]![/] [bold]{problem.id}[/] {escape(problem.what)}")
        console.print(f"  {escape(problem.why)}")
        console.print(f"  {escape(problem.do)}")
    if not report.problems:
        console.print("[green]Nothing is wrong.[/]")


def ask(
    question: Question,
    after: Mapping[TableName, Table_],
    *,
    keys: Callable[[tuple[TableName, str]], list[str] | None],
    draft: bool,
) -> Answers | None:
    """Ask a person on the terminal until the answer is one that can be; None where there is none.

    Parameters
    ----------
    question : Question
        What is asked.
    after : mapping of TableName to Table
        The tables afterwards.
    keys : callable
        Gives the values that rows may refer to, where they can be known.
    draft : bool
        Whether it is for a draft, for which nothing can be decided later.
    """
    import click

    from ..diff.questions import Answers

    name = str(question.table)
    if question.kind == "fill":
        return _ask_fill(question, after, keys(question.parent) if question.parent else None, draft=draft)
    subject = f"{name}.{question.subject}" if question.kind == "rename" else f"The table {name}"
    echo(f"{subject} is gone. Is it one of these under its new name?", err=True)
    for number, candidate in enumerate(question.candidates, 1):
        echo(f"  {number}  {candidate}", err=True)
    echo("  0  no, it is gone", err=True)
    numbers = {str(number): number for number in range(len(question.candidates) + 1)}
    numbers |= {candidate: number for number, candidate in enumerate(question.candidates, 1)}

    def chosen(text: str) -> int:
        if text.strip() not in numbers:
            some = " or ".join(map(str, range(1, len(question.candidates) + 1)))
            raise click.UsageError(f"Say the number before the new name, {some}, or 0 if it is gone.")
        return numbers[text.strip()]

    choice = prompt("Which number", chosen, err=True)
    if choice == 0:
        return Answers(drops=frozenset({(question.table, question.subject or None)}))
    if question.kind == "rename":
        return Answers(attributes={(question.table, question.subject): question.candidates[choice - 1]})
    return Answers(tables={question.table: question.tables[choice - 1]})


def _ask_fill(
    question: Question, after: Mapping[TableName, Table_], keys: list[str] | None, *, draft: bool
) -> Answers | None:
    """Ask which value existing rows get; ``keys`` are those that it may be one of."""
    import click

    from ..commands import answers
    from ..diff.questions import Answers
    from ..errors import PipelineError
    from ..operations.origins import resolved

    if question.codec:
        echo(question.advice.strip(), err=True)
    if keys is not None and question.parent is not None:
        listed = f"{', '.join(keys[:_SHOWN]) or 'none yet'}{', …' if len(keys) > _SHOWN else ''}"
        echo(f"Rows of {question.parent[0]}: {listed}", err=True)

    def read(text: str) -> Fill | None:
        if not text:
            return None
        try:
            return answers.fill(question, text, after, keys)
        except PipelineError as error:
            raise click.UsageError(f"{error.what} {error.why}") from None

    type_ = resolved(after, question.table, question.subject)
    nothing = "stop, and change nothing" if draft else "decide later"
    words = f"Which value do {question.rows()} get for {question.subject} ({type_})? (empty: {nothing})"
    value = prompt(words, read, err=True, default="", show_default=False)
    return Answers(fills={(question.table, question.subject): value}) if value else None


#: The option of `revise` that answers a question, and how its value is called.
_ANSWERS = {"fill": ("--fill", "VALUE"), "rename": ("--rename", "NEW"), "rename-table": ("--rename-table", "NEW")}


def revised(project: Project, found: Revised, given: str) -> None:
    """Print the files that `revise` wrote, and what is still open; ``given`` are the options with answers so far."""
    console = _console()
    for name in found.baselines:
        console.print(f"The first snapshot of [bold]{name}[/] is written, as version {project.versions[name]}.")
    for migration in found.migrations:
        where = migration.path.relative_to(project.root) if migration.path else ""
        console.print(f"[bold]{migration.schema}[/] {migration.previous} → [bold]{migration.version}[/]  {where}")
        for line in migration.lines:
            first, *rest = line.splitlines()
            if rest and first.endswith('("""'):  # a table, whose name is in its first line
                first += rest[0].partition("#")[0].strip()
            console.print(escape(f"    {first}{' …' if rest else ''}"))
    if not found.migrations and not found.baselines:
        console.print("The code is as the snapshots have it; there is nothing to write.")
    options = ""
    for question in found.questions:
        what = ".".join(filter(None, (str(question.table), question.subject)))
        option, value = _ANSWERS[question.kind]
        value = question.candidates[0] if len(question.candidates) == 1 else value
        answer = "" if question.codec else f" {option} {what}={value}"
        options += answer if answer not in options else ""
        gone = "" if question.kind == "fill" else f" If it is gone: --drop {what}"
        console.print(f"[yellow]Undecided[/]: {escape(question.words() + gone)}")
    if options:
        console.print("Decide it in the file, or with your answers in this:")
        console.print(escape(f"  {project.program} revise --again{given}{options}"))
    if found.migrations:
        console.print("Next, read the files. Then:")
        console.print(f"  {project.program} check")
        console.print(f"  {project.program} migrate --dry-run")
        console.print(f"If they are not right, this takes them back: {project.program} revise --undo")


def undone(project: Project, found: Revision, asked: list[str]) -> None:
    """Print what `revise --undo` took back."""
    console = _console()
    for name, (before, after) in found.versions.items():
        file = found.migration(name)
        if file is not None:
            console.print(f"[bold]{name}[/] {after} → [bold]{before}[/]  {file.relative_to(project.root)} is deleted")
        else:
            console.print(f"[bold]{name}[/] {before}  the first snapshot is deleted")
    if asked:
        listed = " or ".join(filter(None, (", ".join(asked[:-1]), asked[-1])))
        them = "It is" if len(found.versions) == 1 else "They are"
        console.print(f"{them} not applied to {listed}; other databases were not asked.")
    console.print(f'Next, correct the code. Then: {project.program} revise -m "{escape(found.message)}"')


def differences(found: list[Comparison]) -> None:
    """Print what differs of each schema."""
    console = _console()
    for one in found:
        version = one.version if one.proposed == one.version else f"{one.version} → {one.proposed}"
        state = "" if one.code or one.database else "  nothing changed"
        console.print(f"[bold]{one.name}[/] {version}[dim]{state}[/]")
        for text in one.code:
            console.print(f"  code      {escape(text)}")
        for text in one.questions:
            console.print(f"  [yellow]question[/]  {escape(text)}")
        for text in one.database:
            console.print(f"  database  {escape(text)}")
        for table, rows in one.rows.items():
            console.print(f"  [dim]rows      {escape(table)}: {rows:,}[/]")


def impact(
    environment: Environment,
    found: list[Impact],
    refused: Sequence[tuple[Violation, PipelineError]],
    *,
    short: bool,
    whole: bool = True,
    nothing: str = "",
) -> None:
    """Print what `migrate` would do; first, what stands in the way.

    Where ``short``, a statement has one line, and where this is the ``whole`` answer of a command, it says so in the
    end. Of a rollback ``nothing`` is given, which is said where there is nothing to do, instead of that nothing is
    pending.
    """
    console = _console()
    for _, error in refused:
        console.print(f"[red]It would be refused:[/] {escape(error.what)}\n  {escape(error.do)}")
    stands = [violation for violation, _ in refused]
    if not found:
        console.print(f"[green]{nothing or f'Nothing is pending on {environment.name}.'}[/]")
    for cost in found:
        console.print(f"[bold]{escape(cost.title)}[/]")
        if cost.interrupted:
            steps = "1 step is" if cost.done == 1 else f"{cost.done} steps are"
            left = "Still to be done:" if cost.group.steps else "It is only to be recorded that it has ended."
            console.print(f"It was interrupted: {steps} done of {cost.done + len(cost.group.steps)}. {left}")
        table = tables.table("table", "rows", "size", "dependent tables", "running jobs", "changed", "who has to wait")
        waits = {"brief": "nobody for long", "writes": "writers", "all": "everybody"}
        for t in cost.tables:
            table.add_row(
                escape(str(t.table)),
                f"{t.rows:,}",
                f"{t.size / 1024:,.0f} KiB",
                str(t.dependents),
                str(t.workers),
                t.change,
                waits[t.lock],
            )
        if cost.tables:
            tables.show(console, table)
        if cost.locked:
            names = ", ".join(map(str, cost.locked))
            console.print(f"While the tables change they are locked for everybody else: {escape(names)}.")
        for number, step in enumerate(cost.group.steps, cost.done + 1):
            console.print(f"{number:3}  {escape(step.words)}")
            for statement in step.statements:
                line = _HOW.sub("", " ".join(statement.split())) if short else statement
                console.print(f"     [dim]{escape(line)}[/]", no_wrap=short, overflow="ellipsis" if short else None)
        for finding in cost.group.violations:
            if finding not in stands:
                console.print(f"[yellow]![/] {escape(str(finding.table))}: {escape(finding.counted)}")
        asked = not cost.interrupted  # which was before the first step
        if asked and all(v.leaves_values for v in cost.group.violations):
            console.print("[green]No value would be lost.[/]")
        for kept in cost.kept:
            console.print(f"Written to backups/ before: {escape(kept)}")
        for rule in cost.rules:
            silenced = f" [dim](silenced: {escape(rule.silenced)})[/]" if rule.silenced else ""
            console.print(f"[yellow]{rule.id}:[/] {escape(rule.text)}{silenced}")
    if any(cost.interrupted for cost in found):
        first = "rollback first completes this run. What it then does" if nothing else "Other pending migrations"
        console.print(f"{first} can be shown when this is done.")
    if found and short and whole:
        console.print("Whole statements: the same with --sql instead of --dry-run.")
    if found and whole:
        console.print("Nothing was changed.")


def purged(found: list[Purged], took: str, *, dry_run: bool) -> None:
    """Print what `purge` deleted, or would delete."""
    console, done = _console(), "would be deleted" if dry_run else "deleted"
    for item in found:
        console.print(escape(f"{item.name}, {item.dropped}: {item.holds} {done}"))
    things = many(len(found), "column or table", "columns and tables")
    values = many(sum(item.values for item in found), "value")
    end = "Nothing was changed." if dry_run else f"{things} with {values} deleted in {took}."
    console.print(end if found else "Nothing is soft-deleted.")


def backup(path: Path, manifest: Manifest) -> None:
    """Print in one line where the values are that are about to be lost."""
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    rows = many(sum(part.rows for part in manifest.parts), "row")
    _console().print(f"What will be lost is kept in {escape(str(shown))} ({rows}); restore puts it back.")


def warning(text: str) -> None:
    """Print what may go wrong, where it is in nobody's way."""
    _console(file=sys.stderr).print(f"[yellow]Warning:[/] {escape(text)}")


def copied_rows(copied: list[CopiedRows], conflicts: list[Conflict], source: str, target: str) -> None:
    """Print what is copied of each table, then the rows that are there with other values."""
    console = _console()
    table = tables.table("table", "new rows", "there already", "")
    for one in copied:
        remark = "" if one.named else "the others refer to it"
        table.add_row(escape(str(one.table)), f"{one.inserted:,}", f"{one.same:,}", remark)
    if copied:
        tables.show(console, table)
    else:
        console.print("There are no such rows.")
    for found in conflicts[:_SHOWN]:
        key = ", ".join(f"{name}={value}" for name, value in found.key.items())
        values = "; ".join(
            f"{n} is {ours} on {source}, {theirs} on {target}" for n, (ours, theirs) in found.differs.items()
        )
        console.print(f"[red]Conflict:[/] {escape(f'{found.table} ({key}): {values}')}")
    if len(conflicts) > _SHOWN:
        console.print(f"And {len(conflicts) - _SHOWN:,} more.")
    if conflicts:
        console.print("Nothing was copied: a row that is there is never overwritten. Decide which value is right.")


def restored(found: list[Restored], took: str, *, dry_run: bool) -> None:
    """Print what `restore` put back."""
    from ..planner.retained import title

    console, done = _console(), "would be put back" if dry_run else "put back"
    for item in found:
        names = [title(item.schema, item.table, attribute) for attribute in item.attributes or ("",)]
        as_before = ", soft-deleted as before" if item.soft_deleted else ""
        words = [f"{item.restored:,} of {many(item.rows, 'row')} {done}{as_before}"]
        words += [f"{item.same:,} {'was' if item.same == 1 else 'were'} as in the file"] if item.same else []
        words += [f"{item.gone:,} no longer exist{'s' * (item.gone == 1)}"] if item.gone else []
        console.print(f"{escape(', '.join(names))}: {', '.join(words)}{', made again' if item.made else ''}")
    rows = f"{many(sum(item.restored for item in found), 'row')} of {many(len(found), 'table')}"
    console.print("Nothing was changed." if dry_run else f"{rows} put back in {took}.")


def branches(found: list[Standing]) -> None:
    """Print one line a branch that has schemas of its own."""
    console = _console()
    if not found:
        console.print("No branch has schemas on this server.")
        return
    table = tables.table("branch", "git branch", "made by", "made on (UTC)", "schemas", "size", "begin with", "")
    for one in found:
        mark = one.mark
        table.add_row(
            escape(visible(mark.branch)),
            {"there": "there", "gone": "[red]gone[/]"}.get(one.git, "not known here"),
            escape(visible(f"{mark.os_user} as {mark.database_user.partition('@')[0]}")),
            f"{mark.created_at:%Y-%m-%d}",
            str(len(one.databases)),
            f"{one.size / 1024:,.0f} KiB",
            escape(visible(mark.prefix)),
            {"making": "not completely made", "dropping": "not completely dropped"}.get(mark.status, ""),
        )
    tables.show(console, table)


def branch_versions(found: Difference) -> None:
    """Print which version each schema has in dev, in the branch's schemas and in the code, and the new files."""
    console = _console()
    table = tables.table("schema", "dev", "branch", "code")
    for name, dev, own, code in found.versions:
        table.add_row(escape(name), dev or "absent", own or "absent", f"[bold]{code}[/]" if dev != code else code)
    tables.show(console, table)
    for path in found.new:
        console.print(f"new file {escape(visible(path))}")
