"""What statements of MySQL make of its tables, so that it can be told after a crash whether one of them ran.

Each statement that changes tables comes with its effect. Applied to the tables as they were read, it gives what the
server's catalogue says afterwards; :func:`differences` compares that with what it says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...schema import notation
from ...schema.model import Index
from .. import enum_values
from ..constraints import IndexName, KeyName
from ..introspection import CatalogColumn, CatalogTable, CatalogTables, Place, Reference
from ..steps import Column
from . import catalog

# --- Effects -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ColumnAdded:
    """``after`` is the column that it stands behind: empty for the first place, None for the last."""

    column: Column
    after: str | None


@dataclass(frozen=True)
class ColumnChanged:
    """A column is declared anew, under another name if need be; ``after`` None leaves it in its place."""

    old: str
    column: Column
    after: str | None = None


@dataclass(frozen=True)
class ColumnRenamed:
    """A column gets another name, also where keys and indexes have it."""

    old: str
    new: str


@dataclass(frozen=True)
class ColumnDropped:
    """A column goes, also from indexes."""

    name: str


@dataclass(frozen=True)
class DefaultSet:
    """A column gets a default, as SQL, or none."""

    name: str
    default: str | None


@dataclass(frozen=True)
class PrimaryKeySet:
    """The primary key is another one; empty while it is dropped."""

    columns: tuple[str, ...]


@dataclass(frozen=True)
class IndexAdded:
    """An index."""

    known: IndexName


@dataclass(frozen=True)
class IndexDropped:
    """An index goes."""

    name: str


@dataclass(frozen=True)
class ForeignKeyAdded:
    """A foreign key; ``words`` say what DataJoint would not have declared of it."""

    key: KeyName
    words: str = ""


@dataclass(frozen=True)
class ForeignKeyDropped:
    """A foreign key goes; ``parent`` is the table that it led to, where that is known."""

    name: str
    parent: Place | None = None


@dataclass(frozen=True)
class CommentSet:
    """The table gets another comment."""

    text: str


ColumnEffect = ColumnAdded | ColumnChanged | ColumnRenamed | ColumnDropped | DefaultSet
Clause = ColumnEffect | PrimaryKeySet | IndexAdded | IndexDropped | ForeignKeyAdded | ForeignKeyDropped | CommentSet


@dataclass(frozen=True)
class Altered:
    """The clauses of one ``ALTER TABLE``."""

    place: Place
    clauses: tuple[Clause, ...]


@dataclass(frozen=True)
class Created:
    """A new table."""

    place: Place
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    indexes: tuple[IndexName, ...]
    foreign_keys: tuple[KeyName, ...]
    comment: str


@dataclass(frozen=True)
class Dropped:
    """A table goes."""

    place: Place


@dataclass(frozen=True)
class Renamed:
    """A table gets another name or another database; ``hides`` says that it is one to be hidden by for a while."""

    old: Place
    new: Place
    hides: bool = False


Effect = Altered | Created | Dropped | Renamed


def places(effect: Effect) -> tuple[Place, ...]:
    """Give the tables that an effect is about, by their names before and after."""
    return (effect.old, effect.new) if isinstance(effect, Renamed) else (effect.place,)


# --- Applied -------------------------------------------------------------------------------------------------------


def applied(tables: Mapping[Place, CatalogTable], effects: Iterable[Effect]) -> CatalogTables:
    """Give the tables after some effects; those that were given stay as they are.

    A column that a statement declares stands there as :class:`Column`, since only the server knows how it shows it.
    """
    found = dict(tables)
    for effect in effects:
        match effect:
            case Altered(place, clauses):
                if place in found and found[place].columns:  # not the job tables, whose columns are not read
                    found[place] = _altered(found, place, clauses)
            case Created():
                found[effect.place] = CatalogTable(
                    effect.comment,
                    list(effect.columns),  # type: ignore[arg-type]
                    effect.primary_key,
                    [_reference(key) for key in effect.foreign_keys],
                    [known.index for known in effect.indexes],
                    index_names=[known.name for known in effect.indexes],
                )
            case Dropped(place):
                found.pop(place, None)
            case Renamed(old, new):
                _rename(found, old, new)
    return found


def _reference(key: KeyName, words: str = "") -> Reference:
    return Reference(key.name, key.attributes, key.parent, key.parent_attributes, words)


def _rename(tables: CatalogTables, old: Place, new: Place) -> None:
    table = tables.pop(old, None)
    if table is None:
        return
    named = [Reference(numbered(r.name, old[1], new[1]), *r[1:]) for r in table.references]
    tables[new] = replace(table, references=named)
    for place, other in tables.items():
        if any(reference.parent == old for reference in other.references):
            moved = [Reference(r.name, r.attributes, new, *r[3:]) if r.parent == old else r for r in other.references]
            tables[place] = replace(other, references=moved)


def numbered(name: str, table: str, new: str) -> str:
    """Give the name of a foreign key once its table has another one: the server changes those that it gave itself."""
    return re.sub(rf"{re.escape(table)}(_ibfk_\d+)", lambda match: new + match[1], name)


def _altered(tables: CatalogTables, place: Place, clauses: tuple[Clause, ...]) -> CatalogTable:
    table, names = tables[place], dict[str, str]()
    columns = _columns(table.columns, [clause for clause in clauses if isinstance(clause, ColumnEffect)])
    for clause in clauses:
        if isinstance(clause, (ColumnChanged, ColumnRenamed)):
            names[clause.old] = clause.new if isinstance(clause, ColumnRenamed) else clause.column.name
    dropped = {clause.name for clause in clauses if isinstance(clause, ColumnDropped)}

    def new(texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(names.get(text, text) for text in texts if text not in dropped)

    indexes = [
        (name, replace(index, columns=new(index.columns)))
        for name, index in zip(table.index_names, table.indexes, strict=True)
    ]
    indexes = [(name, index) for name, index in indexes if index.columns]
    references = [Reference(r.name, new(r.attributes), *r[2:]) for r in table.references]
    key, comment = new(table.primary_key), table.comment
    for clause in clauses:
        match clause:
            case PrimaryKeySet(found):
                key = found
            case IndexDropped(name):
                indexes = [pair for pair in indexes if pair[0] != name]
            case IndexAdded(known):
                indexes.append((known.name, known.index))
            case ForeignKeyDropped(name):
                references = [r for r in references if r.name != name]
            case ForeignKeyAdded(one, words):
                references.append(_reference(one, words))
            case CommentSet(text):
                comment = text
    for other, referring in tables.items():
        if names and other != place and any(r.parent == place for r in referring.references):
            led = [
                Reference(*r[:3], new(r.parent_attributes), r.words) if r.parent == place else r
                for r in referring.references
            ]
            tables[other] = replace(referring, references=led)
    return replace(
        table,
        comment=comment,
        columns=columns,
        primary_key=key,
        references=references,
        indexes=[index for _, index in indexes],
        index_names=[name for name, _ in indexes],
    )


def _columns(columns: list[CatalogColumn], effects: list[ColumnEffect]) -> list[CatalogColumn]:
    """Give the columns after a statement: those that stay keep their places, the others are put in one by one."""
    found: list[CatalogColumn | Column] = list(columns)
    by_name = {column.name: column for column in columns}
    for effect in effects:
        match effect:
            case ColumnDropped(name):
                found = [column for column in found if column.name != name or column is not by_name.get(name)]
            case ColumnRenamed(old, new):
                found = [named(column, new) if column is by_name.get(old) else column for column in found]
            case DefaultSet(name, default):
                found = [_with_default(column, default) if column.name == name else column for column in found]
            case ColumnChanged(old, column, None):
                found = [column if one is by_name.get(old) else one for one in found]
            case ColumnChanged(old):
                found = [one for one in found if one is not by_name.get(old)]
    for effect in effects:
        if isinstance(effect, ColumnAdded) or (isinstance(effect, ColumnChanged) and effect.after is not None):
            names = [column.name for column in found]
            place = len(found) if effect.after is None else names.index(effect.after) + 1 if effect.after else 0
            found.insert(place, effect.column)
    return found  # type: ignore[return-value]


def named(column: CatalogColumn | Column, name: str) -> CatalogColumn | Column:
    """Give a column under another name."""
    return replace(column, name=name) if isinstance(column, Column) else CatalogColumn(name, *column[1:])


def _with_default(column: CatalogColumn | Column, default: str | None) -> CatalogColumn | Column:
    if isinstance(column, Column):
        return replace(column, default=default)
    # The text is SQL from now on, as that of a declared column.
    return Column(column.name, column.stored, column.stored, column.nullable, default, column.comment)


#: What the names of those hidden tables begin with whose columns are read.
_READ = "~dropped_"

# --- Compared ------------------------------------------------------------------------------------------------------


def differences(
    expected: Mapping[Place, CatalogTable], found: Mapping[Place, CatalogTable], places: Iterable[Place]
) -> Iterator[str]:
    """Say in what some tables are not as expected, each difference in a sentence."""
    for place in places:
        if not place[1] or (place[1].startswith("~") and not place[1].startswith(_READ)):
            continue
        name, want, have = ".".join(place), expected.get(place), found.get(place)
        if want is None or have is None:
            if want is not have:
                yield f"{name} is {'not ' * (have is None)}there"
            continue
        names = [column.name for column in want.columns]
        if names != [column.name for column in have.columns]:
            yield f"{name} has the columns {', '.join(c.name for c in have.columns)}, not {', '.join(names)}"
            continue
        for one, other in zip(want.columns, have.columns, strict=True):
            if not is_same(one, other):
                yield f"{name}.{other.name} is {_shown(other)}, not {_shown(one)}"
        pairs: list[tuple[str, object, object]] = [
            ("primary key", want.primary_key, have.primary_key),
            ("foreign keys", sorted(map(_key, want.references)), sorted(map(_key, have.references))),
            ("indexes", sorted(map(_index, *_named_indexes(want))), sorted(map(_index, *_named_indexes(have)))),
            ("comment", want.comment, have.comment),
            ("peculiarities", sorted(want.deviations), sorted(have.deviations)),
        ]
        yield from (f"{name} has the {what} {_told(is_)}, not {_told(be)}" for what, be, is_ in pairs if be != is_)


def _told(found: object) -> str:
    """Give what a table has as people read it."""
    if isinstance(found, str):
        return repr(found)
    parts = [one if isinstance(one, str) else _part_told(*one) for one in found]  # type: ignore[attr-defined]
    return ", ".join(parts) or "none"


def _part_told(columns: str, *more: Any) -> str:
    """Give an index as :func:`_index` does, or a foreign key as :func:`_key` does, as people read it."""
    if len(more) == 2:
        unique, name = more
        return f"{'unique ' * unique}{name} ({columns})"
    parent, attributes, words = more
    return f"({columns}) to {parent} ({attributes}) {words}".rstrip()


def _named_indexes(table: CatalogTable) -> tuple[list[str], list[Index]]:
    return table.index_names, table.indexes


def _index(name: str, index: Index) -> tuple[str, bool, str]:
    return ", ".join(index.columns), index.unique, name


def _key(reference: Reference) -> tuple[str, ...]:
    return (
        ", ".join(reference.attributes),
        ".".join(reference.parent),
        ", ".join(reference.parent_attributes),
        reference.words,
    )


def is_same(expected: CatalogColumn | Column, found: CatalogColumn | Column) -> bool:
    """Tell whether a column is the expected one; either is as it was read or as a statement declares it."""
    if isinstance(found, Column):
        return expected == found if isinstance(expected, Column) else is_same(found, expected)
    if not isinstance(expected, Column):
        return expected == found
    stored = notation.normal_type(expected.sql)
    whole = f"{found.stored} {found.extra}".rstrip()
    same = stored in (whole, catalog.native(whole)) or catalog.fits(expected.core, whole)
    same = same or _with_question_marks(expected.core, whole)
    default = None if expected.nullable else expected.default
    return (
        same
        and (expected.name, expected.nullable, expected.comment) == (found.name, found.nullable, found.comment)
        and _same_default(expected.core, default, found.default)
    )


def _with_question_marks(core: str, stored: str) -> bool:
    """Tell whether an enum is what the server makes of one whose characters it lacks, as releases of before let it."""
    if not (core.startswith("enum(") and stored.startswith("enum(")):
        return False
    return enum_values.with_question_marks(notation.enum_values(core), notation.enum_values(stored))


def _same_default(core: str, expected: str | None, found: str | None) -> bool:
    if expected is None or found is None:
        return expected is found
    text = re.fullmatch(r"'((?:[^'\\]|''|\\.)*)'", expected, re.DOTALL)
    if text is None:
        return True  # an expression, which the server writes in its own words
    value = re.sub(r"''|\\(.)", lambda match: match[1] or "'", text[1], flags=re.DOTALL)
    return notation.normal_default(core, value) == notation.normal_default(core, found)


def _shown(column: CatalogColumn | Column) -> str:
    type_ = column.sql if isinstance(column, Column) else f"{column.stored} {column.extra}".rstrip()
    default = "" if column.default is None else f" default {column.default}"
    comment = f" comment {column.comment!r}" if column.comment else ""
    return f"{type_}{'' if column.nullable else ' not null'}{default}{comment}"
