"""The page: how a pipeline stands, as one file that asks nothing of anybody, neither a server nor a network.

Whatever it shows was written by others, messages of errors among it: it is escaped, and the page runs no script but the
picture's own, by its digest.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jinja2
from markupsafe import Markup

from ..diagram import Dress, Node, draw, of_schemas, of_tables
from ..diagram.graph import SCHEMA
from ..schema.model import Table, TableName
from . import head
from .errors import Failure, Group
from .head import Code, Line, Mark, Store
from .overview import Overview
from .progress import State, TableProgress
from .words import span, spans

#: Bytes that a page has at most.
LARGEST = 300_000

#: With more tables than this, the picture is one of the schemas.
_DRAWN = 60

#: Causes, keys of each, and changes of schemas that are shown.
_CAUSES, _KEYS, _RUNS = 20, 10, 20

#: Characters of a traceback, and tables, as far as there is room for them.
_ROOM = ((8000, 500), (3000, 400), (1000, 300), (300, 200))

#: Class of each state, for the style sheet and the picture.
_STATES = {
    State.DONE: "done",
    State.RUNNING: "running",
    State.NOBODY: "nobody",
    State.ERRORS: "failed",
    State.WAITING: "waiting",
    None: "unknown",
}

#: From the mildest to the worst, for a schema that has tables of several.
_ORDER = ("done", "waiting", "running", "unknown", "nobody", "failed")

#: What the picture shows of a state, beside the shape and colour of the tier.
_PICTURE = "".join(
    f".djd .{name}>rect,.djd .{name}>ellipse,.djd .{name} use{{stroke:var(--{name});stroke-width:{width}}}"
    for name, width in (("done", 1.5), ("running", 3), ("nobody", 3), ("failed", 4), ("waiting", 1.5), ("unknown", 3))
)


@dataclass(frozen=True)
class Facts:
    """What a page says beside how far the tables are.

    Parameters
    ----------
    title : str
        The project's name.
    program : str
        What people type to run a command.
    file : str
        Where the page is written, as the command names it.
    code : Code
        The code that looks.
    server : str
        The server, in words.
    rights : str
        What ``access apply`` has to do; empty for nothing.
    stores : tuple of Store
        The object stores.
    alert : str
        The last alert, in words.
    """

    title: str
    program: str
    file: str
    code: Code
    server: str
    rights: str = ""
    stores: tuple[Store, ...] = ()
    alert: str = ""


@dataclass(frozen=True)
class _Row:
    """A table, as a row of the page shows it."""

    table: TableProgress
    state: str
    groups: tuple[Group, ...]

    @property
    def parts(self) -> list[tuple[str, float]]:
        """Give the parts of the bar, in percent of all keys."""
        one = self.table
        counts = (("done", one.done), ("running", one.running), ("failed", one.failed), ("ignored", one.ignored))
        return [(name, 100 * count / one.total) for name, count in counts if one.total and count]


def render(overview: Overview, groups: Sequence[Group], tables: Mapping[TableName, Table], facts: Facts) -> str:
    """Write the page.

    Parameters
    ----------
    overview : Overview
        Progress, versions, what was done to schemas.
    groups : sequence of Group
        The failed jobs by their causes, the largest first.
    tables : mapping
        Every table of the database, for the picture.
    facts : Facts
        What else it says.

    Returns
    -------
    str
        An HTML document of at most :data:`LARGEST` bytes, as far as the picture leaves room.
    """
    rows = [_Row(one, _state(one), _of_table(groups, one.table)) for one in overview.progress.tables]
    values: dict[str, Any] = {
        "overview": overview,
        "facts": facts,
        "lines": _lines(overview, groups, facts),
        "schemas": [(schema, head.of_schema(schema.state)) for schema in overview.schemas],
        "runs": overview.runs[:_RUNS],
        "more_runs": len(overview.runs) - _RUNS,
        "groups": groups[:_CAUSES],
        "more_groups": len(groups) - _CAUSES,
        "keys": _KEYS,
        "command": f"{facts.program} --env {overview.progress.environment}",
    }
    template = _environment().get_template("page.html.jinja")
    for traceback, most in _ROOM:
        shown = _worst(rows, most)
        picture = _picture(tables, overview, rows, {row.table.table for row in shown})
        values |= {"picture": Markup(picture), "script": _digest(picture), "traceback": traceback}
        text = template.render(**values, rows=shown, more_rows=len(rows) - len(shown))
        if len(text.encode()) <= LARGEST:
            break
    return text


def _lines(overview: Overview, groups: Sequence[Group], facts: Facts) -> list[Line]:
    return [
        head.code(overview, facts.code),
        head.database(overview, facts.server, facts.rights),
        head.store(facts.stores),
        head.compute(overview),
        head.monitoring(overview, groups, facts.alert),
    ]


def _of_table(groups: Sequence[Group], name: TableName) -> tuple[Group, ...]:
    """Give the causes for which jobs of a table failed, as far as the page shows them."""
    return tuple(group for group in groups[:_CAUSES] if str(name) in group.tables)


def _worst(rows: Sequence[_Row], most: int) -> list[_Row]:
    """Give so many rows, those first that a person has to look at, in the order in which they stand."""
    order = sorted(range(len(rows)), key=lambda number: -_ORDER.index(rows[number].state))
    return [rows[number] for number in sorted(order[:most])]


def _state(one: TableProgress) -> str:
    """Give the class of a table; where some keys failed, whatever the others do, a person is to see it."""
    return "failed" if one.failed else _STATES[one.state]


# --- The picture -----------------------------------------------------------------------------------------------------


def _picture(
    tables: Mapping[TableName, Table], overview: Overview, rows: Sequence[_Row], shown: Collection[TableName]
) -> str:
    """Draw the tables, or the schemas where there are many; nothing where there is no table.

    ``shown`` are the tables that have a row on the page, which a click may lead to.
    """
    if not tables:
        return ""
    by_table = {row.table.table: row for row in rows}
    by_schema: dict[str, _Row] = {}
    for row in rows:
        worst = by_schema.setdefault(row.table.table.schema, row)
        if _ORDER.index(row.state) > _ORDER.index(worst.state):
            by_schema[row.table.table.schema] = row

    def row_of(node: Node) -> _Row | None:
        return by_schema.get(node.name.schema) if node.tier == SCHEMA else by_table.get(node.name)

    def address(node: Node) -> str | None:
        row = row_of(node)
        if row is None:
            return None
        if row.groups:
            return f"#why-{row.groups[0].id}"
        return f"#t-{row.table.table}" if row.table.table in shown else "#progress"

    def dress(node: Node) -> Dress | None:
        row = row_of(node)
        return _dress(row, node) if row else None

    if len(tables) <= _DRAWN:
        graph = of_tables(tables, title="Tables and how far they are")
    else:
        graph = of_schemas(tables, [schema.name for schema in overview.schemas], title="Schemas and how far they are")
    return draw(graph, href=address, dress=dress, css=_PICTURE, wide=1000)


def _dress(row: _Row, node: Node) -> Dress:
    """Give the colour of a table, or of the table of a schema that stands worst, and what is said of it."""
    one = row.table
    hint = f"{one.table}: {_words(row)}"
    if node.tier == SCHEMA:
        return Dress(row.state, hint=f"{node.label}, {hint}")
    return Dress(row.state, note="" if one.total is None else f"{one.done:,} / {one.total:,}", hint=hint)


def _words(row: _Row) -> str:
    state = row.table.state.value if row.table.state else "not known"
    return (
        f"{row.table.failed:,} failed, {state}" if row.table.failed and row.table.state is not State.ERRORS else state
    )


def _digest(picture: str) -> str:
    """Give the digest by which a browser knows the picture's own script; nothing where there is none."""
    found = re.search(r"<script>(.*?)</script>", picture, re.DOTALL)
    if found is None:
        return ""
    return f"'sha256-{base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()}'"


# --- Words -----------------------------------------------------------------------------------------------------------


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("datajoint_pipeline.monitor"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "span": span,
        "spans": lambda both: spans(*both),
        "moment": moment,
        "words": _words,
        "last": _last,
        "number": "{:,}".format,
    }
    made.globals |= {"Mark": Mark, "key_of": key_of, "took": took}
    return made


def moment(at: datetime | None) -> str:
    """Give a moment of a server's clock."""
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else "not known"


def took(started: datetime, finished: datetime | None) -> str:
    """Give how long something took."""
    return span((finished - started) / timedelta(seconds=1)) if finished else "not finished"


def key_of(failure: Failure) -> str:
    """Give a job's key in words."""
    return ", ".join(f"{name}={value}" for name, value in failure.key.items())


def _last(text: str, most: int) -> str:
    """Give the end of a text, which is where a traceback says what happened."""
    return text if len(text) <= most else f"…{text[-most:]}"
