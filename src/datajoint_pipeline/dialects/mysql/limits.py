"""How much a table of MySQL holds, so that what the server would refuse in the middle of a migration is refused before.

The sums are those of the manual's "Limits on Table Column Count and Row Size" and of InnoDB for pages of 16 kB,
tried on the server to the byte.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from ...errors import PipelineError
from ...schema import notation
from ..constraints import Names, Place
from ..steps import Column
from . import texts

#: Bytes of an index, and of a row: as the server counts it, and as InnoDB counts what of it has to be in one page.
KEY_BYTES, ROW_BYTES, PAGE_BYTES = 3072, 65_535, 8125

#: Bytes of a redundant row in one page, of which the server takes some more than this counts.
REDUNDANT_BYTES = 8117

#: Bytes of one column in an index of a table whose row format is COMPACT or REDUNDANT, as MySQL 5.6 made them.
PART_BYTES = 767

#: Of one table, not counting the primary key.
COLUMNS, INDEXES = 1017, 64

_BYTES = {
    **dict.fromkeys(("tinyint", "bool", "boolean", "year"), 1),
    **{"smallint": 2, "mediumint": 3, "int": 4, "integer": 4, "bigint": 8, "float": 4, "double": 8},
    **{"date": 3, "time": 3, "timestamp": 4, "datetime": 5, "tinyblob": 9, "tinytext": 9, "blob": 10, "text": 10},
    **{"mediumblob": 11, "mediumtext": 11, "longblob": 12, "longtext": 12, "json": 12},
}

#: Numbers of bytes in words.
_COUNT = {1: "one", 2: "two", 3: "three", 4: "four"}

#: What a page has of a value that is longer, which may be elsewhere: by the row format, where that is an old one.
_OUTSIDE = {"": 40, "compact": 788, "redundant": 788}


def letter_bytes(names: Names, place: Place) -> int:
    """Give the bytes that a letter takes at most in a table, or in a new one of that database."""
    return names.widths.get(texts.character_set(names.collation(place)), 4)


def parsed(sql: str) -> tuple[str, int, int]:
    """Give the name of a type and its two sizes, ``("decimal", 4, 2)``, with 0 for one that it has not."""
    match = re.match(r"(\w+)\s*(?:\((\d+)\s*(?:,\s*(\d+))?\))?", sql.lower())
    return (match[1], int(match[2] or 0), int(match[3] or 0)) if match else ("", 0, 0)


def size(sql: str, width: int) -> int:
    """Give the bytes that a value of a type takes at most.

    Parameters
    ----------
    sql : str
        The type, ``varchar(20)``.
    width : int
        Bytes of a letter.
    """
    kind, first, second = parsed(sql)
    if kind in ("varchar", "char"):
        return first * width
    if kind in ("varbinary", "binary"):
        return first
    if kind == "decimal":
        return _digits((first or 10) - second) + _digits(second)
    if kind == "enum":
        return 1 if len(notation.enum_values(sql)) < 256 else 2
    more = (first + 1) // 2 if kind in ("time", "timestamp", "datetime") else 0
    return _BYTES.get(kind, 8) + more


def _digits(count: int) -> int:
    """Give the bytes of so many decimal digits."""
    return count // 9 * 4 + (count % 9 + 1) // 2


def row(columns: Iterable[Column], width: int, old_format: str = "") -> tuple[int, int]:
    """Give the bytes of a row at most, as the server counts them and as InnoDB does.

    Parameters
    ----------
    columns : iterable of Column
        All of the row.
    width : int
        Bytes of a letter.
    old_format : str
        The row format, where it is ``compact`` or ``redundant``.
    """
    redundant, outside = old_format == "redundant", _OUTSIDE[old_format]
    # Where a redundant row has its columns, two bytes say for each, those of the transaction too.
    server, page, nullable = 0, 6 + 6 + 7 + 4 if redundant else 5 + 6 + 7, 0

    def anywhere(most: int) -> int:
        """Give what the page has of a value that may be elsewhere, with the bytes that say how long it is."""
        there = min(most, outside)
        return there + (0 if redundant else 1 if there < 256 else 2)

    for column in columns:
        kind = (re.match(r"[a-z]*", column.sql.lower()) or [""])[0]
        most = size(column.sql, width)
        server += most + (1 + (most > 255) if kind.startswith("var") else 0)
        if re.fullmatch(r"\w*(blob|text)|json", kind):
            page += anywhere(outside)
        elif kind.startswith("var") or (kind == "char" and width > 1 and not redundant):
            page += anywhere(most)
        else:
            page += most
        page += 2 * redundant
        nullable += column.nullable
    return server + (nullable + 7) // 8, page + (0 if redundant else (nullable + 7) // 8)


def refuse_indexes(table: str, columns: Mapping[str, Column], indexes: Collection[tuple[str, ...]], width: int) -> None:
    """Raise where a table would have too many indexes, primary key included, or one that is too long."""
    if len(indexes) > INDEXES + 1:
        raise PipelineError(
            f"{table} would have {len(indexes) - 1} indexes.",
            f"MySQL takes {INDEXES} of one table, those of foreign keys among them; nothing was changed.",
            "Declare fewer.",
        )
    whole = [name for names in indexes for name, letters in map(notation.indexed, names) if not letters]
    for name in dict.fromkeys(name for name in whole if name in columns):
        if re.fullmatch(r"\w*(blob|text)|json", kind := parsed(columns[name].sql)[0]):
            raise PipelineError(
                f"An index over ({name}) of {table} is over a {kind}.",
                "MySQL takes none over so long a value as a whole; nothing was changed.",
                "Give it a varchar, or leave the index out.",
            )
    for part in dict.fromkeys(part for parts in indexes for part in parts):
        name, letters = notation.indexed(part)
        kind, most, _ = parsed(columns[name].sql) if name in columns else ("", 0, 0)
        if name in columns and letters and (not re.search("char|text|blob|binary", kind) or 0 < most < letters):
            raise PipelineError(
                f"An index over ({part}) of {table} is over more letters than {name} has.",
                f"{name} is a {columns[name].sql}; MySQL would refuse it, and nothing was changed.",
                f"Have the index over {name}, or over fewer letters.",
            )
    for names in indexes:
        total = sum(_part(columns, part, width) for part in names)
        if total > KEY_BYTES:
            raise PipelineError(
                f"An index over ({', '.join(names)}) of {table} takes up to {total:,} bytes.",
                f"MySQL takes {KEY_BYTES:,}, and a letter has up to {_COUNT[width]}; nothing was changed.",
                "Make these texts shorter, or refer to them by a number or a hash.",
            )


def _part(columns: Mapping[str, Column], part: str, width: int) -> int:
    """Give the bytes that a part of an index takes at most; 0 for an expression."""
    name, letters = notation.indexed(part)
    if name not in columns or not letters:
        return size(columns[name].sql, width) if name in columns else 0
    return letters * (1 if re.search("blob|binary", columns[name].sql.lower()) else width)


def refuse_parts(table: str, columns: Mapping[str, Column], indexes: Iterable[tuple[str, ...]], width: int) -> None:
    """Raise where a column that is indexed, or in the key, would be too long for a table in an old row format."""
    for part in dict.fromkeys(part for parts in indexes for part in parts):
        name = notation.indexed(part)[0]
        if (total := _part(columns, part, width)) > PART_BYTES:
            raise PipelineError(
                f"{name} of {table}, which has an index, would take up to {total:,} bytes.",
                f"MySQL takes {PART_BYTES} in an index of a table in the row format of MySQL 5.6; nothing was changed.",
                "Give it the format of new tables, which writes it anew: ALTER TABLE … ROW_FORMAT=DYNAMIC.",
            )


def refuse_row(table: str, columns: Collection[Column], width: int, hidden: int = 0, old_format: str = "") -> None:
    """Raise where a row would be too long, or have too many columns.

    Parameters
    ----------
    table : str
        For people.
    columns : collection of Column
        All that are there at one time.
    width : int
        Bytes of a letter.
    hidden : int
        How many of them are soft-deleted, or are only there while values are converted.
    old_format : str
        The row format, where it is ``compact`` or ``redundant``.
    """
    note = f", {hidden} of them soft-deleted until purge, or there while values are converted" if hidden else ""
    if len(columns) > COLUMNS:
        raise PipelineError(
            f"{table} would have {len(columns):,} columns{note}.",
            f"MySQL takes {COLUMNS:,}; nothing was changed.",
            "Divide the table, or write it as rows of a part table.",
        )
    server, page = row(columns, width, old_format)
    in_page = REDUNDANT_BYTES if old_format == "redundant" else PAGE_BYTES
    if server > ROW_BYTES or page > in_page:
        total, most = (server, ROW_BYTES) if server > ROW_BYTES else (page, in_page)
        why = f"MySQL takes {most:,} for {len(columns):,} columns{note}, a letter being up to {width}"
        raise PipelineError(
            f"A row of {table} would take up to {total:,} bytes.",
            f"{why}; nothing was changed.",
            "Give the table the format of new ones, which writes it anew: ALTER TABLE … ROW_FORMAT=DYNAMIC."
            if old_format and server <= ROW_BYTES
            else "Make texts shorter, keep long ones as <blob> or in a store, or divide the table.",
        )
