"""Write what merging a branch does to dev as Markdown, for a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..planner.impact import AffectedTable, Impact
from .branch import Difference

_WAITS = {"brief": "nobody for long", "writes": "writers", "all": "everybody"}


def markdown(found: Difference) -> str:
    """Write a difference as Markdown that ends with a newline."""
    return "\n".join(_lines(found)).rstrip() + "\n"


def _lines(found: Difference) -> Iterator[str]:
    yield from (f"## Database changes of {_code(found.branch)}", "")
    yield from ("| schema | dev | branch | code |", "|---|---|---|---|")
    for name, dev, branch, code in found.versions:
        marked = f"**{_code(code)}**" if dev != code else _code(code)
        there, own = (_code(version) if version else "absent" for version in (dev, branch))
        yield f"| {_code(name)} | {there} | {own} | {marked} |"
    yield ""
    if behind := [name for name, _, branch, code in found.versions if branch not in (None, code)]:
        yield from (f"The branch's own {_listed(behind)} {_is(behind)} not at the code's version yet.", "")
    if found.new:
        yield from ("New migration files:", "", *(f"- {_code(path)}" for path in found.new), "")
    if found.error is not None:
        words = " ".join(filter(None, (found.error.what, found.error.why, found.error.do)))
        yield from (f"**What this does to dev is not known.** {_text(words)}", "")
        return
    for _, error in found.refused:
        yield from (f"**It would be refused:** {_text(error.what)} {_text(error.do)}", "")
    if not found.impacts:
        yield from ("Nothing is pending on dev.", "")
    for one in found.impacts:
        yield from _group(one)


def _group(found: Impact) -> Iterator[str]:
    yield from (f"### {_text(found.title)}", "")
    for migration, operation in found.group.operations():
        about = f"{migration.schema} {migration.version}"
        yield f"- {_code(about)}: {_text(operation.describe())}"
    yield ""
    if found.tables:
        yield from (
            "| table in dev | rows | size | dependent tables | changed | who has to wait |",
            "|---|--:|--:|--:|---|---|",
        )
        yield from map(_row, found.tables)
        yield ""
    told = [f"- {_code(str(v.table))}: {_text(v.counted)}" for v in found.group.violations]
    if all(v.leaves_values for v in found.group.violations):
        told.insert(0, "- No value would be lost.")
    told += [f"- Written to backups/ before: {_text(kept)}" for kept in found.kept]
    told += [f"- {_code(rule.id)} {_text(rule.text)}" for rule in found.rules if not rule.silenced]
    yield from (*told, "")
    yield from ("<details><summary>Statements on this server</summary>", "", *_fenced(found.sql), "", "</details>", "")


def _row(table: AffectedTable) -> str:
    size = f"{table.size / 1024:,.0f} KiB"
    cells = (_code(str(table.table)), f"{table.rows:,}", size, str(table.dependents), table.change, _WAITS[table.lock])
    return f"| {' | '.join(cells)} |"


def _fenced(text: str) -> Iterator[str]:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield from (f"{fence}sql", text, fence)


def _code(text: str) -> str:
    """Give a name as code, whatever characters it has."""
    plain = " ".join(re.sub(r"[`|\x00-\x1f\x7f]", " ", text).split())
    return f"`{plain}`"


def _text(text: str) -> str:
    """Give words such that Markdown takes none of them for more than words."""
    return re.sub(r"([\\`*_{}\[\]<>#|~@!])", r"\\\1", " ".join(text.split()))


def _listed(names: list[str]) -> str:
    return ", ".join(map(_code, names))


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
