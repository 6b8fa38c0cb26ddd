"""Tables for a terminal of any width, and for a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from .visible import visible


def table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """Give a table without lines; the columns that are named in ``right`` have numbers."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold", justify="right" if column in right else "left")
    return made


def show(console: Console, table: Table) -> None:
    """Print a table as :func:`fitted` gives it."""
    console.print(fitted(console, table), soft_wrap=not console.is_terminal)


def fitted(console: Console, table: Table) -> RenderableType:
    """Give a table as it fits where it goes to.

    Where a terminal is too narrow for its words, each row becomes a list of its own. What goes elsewhere keeps a line a
    row, which people grep, however long, and has no spaces at its ends.
    """
    if not console.is_terminal:
        return Text("\n".join(_lines(table)))
    whole = table.__rich_measure__(console, console.options.update_width(10_000)).minimum
    if whole <= console.width:
        _keep_words(table, console.width)
        return table
    names = [str(column.header) for column in table.columns]
    rows = list[RenderableType]()
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        row = Table.grid(padding=(0, 2))
        row.add_column(style="bold", no_wrap=True)
        row.add_column(overflow="fold")
        for name, cell in zip(names, cells, strict=True):
            if cell not in ("", "-"):
                row.add_row(name, cell)
        rows += [row, ""]
    return Group(*rows)


def _lines(table: Table) -> Iterator[str]:
    columns = [[_plain(cell).plain for cell in (column.header, *column.cells)] for column in table.columns]
    widths = [max(map(cell_len, column)) for column in columns]
    for cells in zip_longest(*columns, fillvalue=""):
        padded = []
        for column, cell, width in zip(table.columns, cells, widths, strict=True):
            spaces = " " * (width - cell_len(cell))
            padded.append(spaces + cell if column.justify == "right" else cell + spaces)
        yield "  ".join(padded).rstrip()


def _keep_words(table: Table, width: int) -> None:
    """Give columns widths at which no word is broken: Rich makes all of them narrower alike, whatever is in them."""
    cells = [[_plain(cell) for cell in (column.header, *column.cells)] for column in table.columns]
    words = [max(cell_len(word) for text in column for word in text.plain.split() or [""]) for column in cells]
    wanted = [max(text.cell_len for text in column) - least for column, least in zip(cells, words, strict=True)]
    spare = width - sum(words) - 2 * (len(words) - 1)  # two spaces stand between columns
    for number in sorted(range(len(words)), key=wanted.__getitem__):
        more = min(spare, wanted[number])
        table.columns[number].width, spare = words[number] + more, spare - more


def _plain(cell: RenderableType) -> Text:
    return Text.from_markup(visible(str(cell)))
