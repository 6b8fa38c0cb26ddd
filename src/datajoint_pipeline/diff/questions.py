"""Questions that only a person can answer, their answers, and what follows from keys so that nobody is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..operations.origins import resolved
from ..operations.structure import Tables
from ..schema.model import Attribute, ForeignKey, Table, TableName
from ..schema.values import LET_BE_NULL, Fill, Missing, needs_codec


@dataclass(frozen=True)
class Answers:
    """What a person answered. Tables are named as they are afterwards.

    Parameters
    ----------
    tables : dict
        The name afterwards of each renamed or moved table, by its name before.
    attributes : dict
        The name afterwards of each renamed attribute, by table (afterwards) and its name before.
    fills : dict
        What existing rows get for an attribute, by table and attribute afterwards.
    drops : set
        Attributes, by table and name, and tables, with None for a name, that are gone for good.
    inserts : set
        Tables that may be given the rows that new foreign keys find missing in them.
    """

    tables: Mapping[TableName, TableName] = field(default_factory=dict)
    attributes: Mapping[tuple[TableName, str], str] = field(default_factory=dict)
    fills: Mapping[tuple[TableName, str], Fill] = field(default_factory=dict)
    drops: frozenset[tuple[TableName, str | None]] = frozenset()
    inserts: frozenset[TableName] = frozenset()


@dataclass(frozen=True)
class Question:
    """Something that cannot be known from the code.

    Parameters
    ----------
    kind : str
        ``rename``: is ``subject`` now called one of ``candidates``? ``rename-table``: the same of a table.
        ``fill``: which value do existing rows get for ``subject``?
    table : TableName
        The table, as it is afterwards; for ``rename-table`` the one that is gone.
    subject : str
        The attribute that is gone or required; empty for a table.
    candidates : tuple of str
        What it may be called now, the likeliest first.
    tables : tuple of TableName
        For ``rename-table``, the tables that the candidates are.
    parent : tuple of TableName and str, optional
        For ``fill``, the attribute of a table that has to have the value in one of its rows.
    needed_by : TableName, optional
        For ``fill``, where not rows that exist get the value, but those that are put in for rows of this table, which
        come to refer to them.
    codec : str
        For ``fill``, the type whose codec alone writes values, so that none can be said.
    """

    kind: str
    table: TableName
    subject: str
    candidates: tuple[str, ...] = ()
    tables: tuple[TableName, ...] = ()
    parent: tuple[TableName, str] | None = None
    needed_by: TableName | None = None
    codec: str = ""

    def rows(self, call: Callable[[TableName], str] = str) -> str:
        """Say which rows get the value that is asked for; ``call`` gives the name of a table for people."""
        if self.needed_by is None:
            return f"existing rows of {call(self.table)}"
        return f"new rows of {call(self.table)}, made for those of {call(self.needed_by)},"

    @property
    def advice(self) -> str:
        """Say what to do where no value can be said."""
        return f" None can be said for a {self.codec}. {LET_BE_NULL}" if self.codec else ""

    def words(self, call: Callable[[TableName], str] = str) -> str:
        """Ask it in a sentence; ``call`` gives the name of a table for people."""
        if self.kind == "fill":
            return f"Which value do {self.rows(call)} get for {self.subject}?{self.advice}"
        what = f"{call(self.table)}.{self.subject}" if self.kind == "rename" else f"the table {call(self.table)}"
        return f"Is {what} now called {' or '.join(self.candidates)}?"


def fill(
    name: TableName, attribute: Attribute, after: Tables, renamed: Tables, answers: Answers, questions: list[Question]
) -> Fill | None:
    """Say what existing rows get for a new attribute; ask where only a person knows.

    ``after`` has the tables afterwards, ``renamed`` those before by the names afterwards.
    """
    answer = answers.fills.get((name, attribute.name))
    if answer is not None:
        return answer
    # A nullable reference, too, leads to the row that it led to before: half of it null, it would lead nowhere.
    if any(_reaches(renamed[name], key, attribute.name, renamed) for key in after[name].foreign_keys):
        return Fill(parent=True)
    if attribute.nullable or attribute.default is not None:
        return None
    if (of := _referred(name, attribute, after, renamed)) is not None:
        return Fill(of=of)
    keys = [key for key in after[name].foreign_keys if key.attributes == (attribute.name,)]
    there = [key for key in keys if key.parent in renamed and key.parent not in answers.inserts]
    parent = next(((key.parent, key.parent_attributes[0]) for key in there), None)
    questions.append(Question("fill", name, attribute.name, parent=parent, codec=codec_of(after, name, attribute.name)))
    return None


def codec_of(tables: Tables, name: TableName, attribute: str) -> str:
    """Give the type of an attribute whose values a codec alone can write; empty for any other."""
    type_ = resolved(tables, name, attribute)
    return type_ if needs_codec(type_) else ""


def _reaches(table: Table, key: ForeignKey, attribute: str, before: Tables) -> bool:
    """Say whether the attributes of a foreign key that the table already has lead to one row of the parent, which has
    the value.
    """
    parent = before.get(key.parent)
    if attribute not in key.attributes or parent is None:
        return False
    pairs = zip(key.attributes, key.parent_attributes, strict=True)
    known = {theirs for ours, theirs in pairs if ours != attribute and ours in table.attribute}
    return bool(known) and set(parent.primary_key) <= known


def _referred(name: TableName, attribute: Attribute, after: Tables, renamed: Tables) -> tuple[TableName, str] | None:
    """Find the table that a row referred to, by a foreign key that goes, and that has the very same attribute: one of
    the same origin.
    """
    same = origin(after, name, attribute.name)
    found = {
        (key.parent, theirs.name)
        for key in renamed[name].foreign_keys
        if key not in after[name].foreign_keys and key.parent in after and attribute.inherited
        for theirs in after[key.parent].attributes
        if origin(after, key.parent, theirs.name) == same
    }
    named = {place for place in found if place[1] == attribute.name} or found
    return next(iter(named)) if len(named) == 1 else None


def origin(tables: Tables, name: TableName, attribute: str) -> tuple[TableName, str]:
    """Give the table and attribute that an attribute is inherited from in the end."""
    table = tables.get(name)
    if table is not None and attribute in table.attribute and table.attribute[attribute].inherited:
        for key in table.foreign_keys:
            if attribute in key.attributes and key.parent != name:
                return origin(tables, key.parent, key.parent_attributes[key.attributes.index(attribute)])
    return name, attribute


def missing(
    renamed: Tables, after: Tables, name: TableName, key: ForeignKey, answers: Answers, questions: list[Question]
) -> tuple[Missing, tuple[TableName, ...]]:
    """Say what rows of the parent get that may be inserted for rows that refer to none; and which tables above that are
    there get rows, too.

    That is allowed for a parent that is new itself, or that a person named. ``after`` and ``renamed`` are as for
    :func:`fill`.
    """

    def may_get(parent: TableName) -> bool:
        return parent in after and (parent not in renamed or parent in answers.inserts)

    if not may_get(key.parent):
        return None, ()
    ours = [after[name].attribute[attribute] for attribute in key.attributes]
    if any(a.nullable and a.name not in renamed[name].attribute and (name, a.name) not in answers.fills for a in ours):
        return None, ()  # rows have nothing there, and refer to nothing
    gone = [a.name for a in renamed[name].attributes if a.name not in after[name].attribute]
    leaving = {attribute: resolved(renamed, name, attribute) for attribute in gone}
    given: dict[str, str | Fill | None] = {}
    also: dict[TableName, None] = {}

    def leaves(table: Table, attribute: Attribute) -> bool:
        """Say whether the table that needs a row drops an attribute of the same name and type."""
        return leaving.get(attribute.name) == resolved(after, table.name, attribute.name)

    def ask(table: Table, known: set[str]) -> None:
        for attribute in table.attributes:
            answer = answers.fills.get((table.name, attribute.name))
            if attribute.name in known:
                continue
            if answer is not None and answer.value is not None:
                given[attribute.name] = answer.value
            elif answer is not None and answer.of is not None:
                given[attribute.name] = answer
            elif not (attribute.nullable or attribute.default is not None or leaves(table, attribute)):
                given[attribute.name] = None
                codec = codec_of(after, table.name, attribute.name)
                questions.append(Question("fill", table.name, attribute.name, needed_by=name, codec=codec))
        names = {*known, *given, *leaving}
        for above in table.foreign_keys:
            if may_get(above.parent) and above.parent != table.name and set(above.attributes) <= names:
                # One of another schema may have been made by the time, by a migration of its own.
                if above.parent in renamed or above.parent.schema != name.schema:
                    also[above.parent] = None
                ask(after[above.parent], set(above.parent_attributes))

    ask(after[key.parent], set(key.parent_attributes))
    return tuple(given.items()), tuple(also)
