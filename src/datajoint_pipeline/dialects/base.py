"""What lowering is on either server: the columns behind attributes, the indexes behind keys, and what an alteration
changes of them.

:mod:`mysql` and :mod:`postgresql` complete :class:`Dialect`. Its methods are to be called in the order in which their
steps will run, since each takes for granted what those before it did.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Mapping
from dataclasses import replace

from ..errors import PipelineError
from ..internals import declaration_checks
from ..operations.structure import SOFT_DELETED_ATTRIBUTE
from ..schema.model import Attribute, ForeignKey, Index, Table, TableName
from ..schema.naming import shorten, unused
from ..schema.values import Sql
from . import catalog
from .constraints import IndexName, KeyName, Names, Place
from .steps import Alteration, Change, Column, Obstacles, ParentFill, Step

Tables = Mapping[TableName, Table]

#: Types that DataJoint notes at the head of a column's comment.
_MARKED = re.compile(
    r"<.*|(int(8|16|32|64)|float(32|64)|bool|uuid|jsonb?|bytes|date|datetime(\(\d+\))?|(var)?char\(\d+\)"
    r"|decimal\(\d+,\d+\)|enum\(.*\))$",
    re.S,
)


#: Given a dialect and an alteration, the steps that fail where the server would change values without a word.
Guards = Callable[["Dialect", Alteration], list[Step]]


def no_guards(dialect: Dialect, alteration: Alteration) -> list[Step]:
    """Guard nothing: for alterations that change no value."""
    return []


class Dialect(ABC):
    """Turns what is to be into statements.

    Parameters
    ----------
    databases : mapping
        Name on the server of each schema in the code.
    before, after : mapping of TableName to Table
        Every table of the pipeline, to look up where inherited attributes come from.
    names : Names
        What :func:`constraints.read` found; followed from there on.
    version : tuple of int
        The server's.
    """

    def __init__(
        self,
        databases: Mapping[str, str],
        before: Tables,
        after: Tables,
        names: Names,
        version: tuple[int, ...] = (),
    ) -> None:
        self._databases, self._before, self._after = dict(databases), before, after
        self._names, self.version = names, version
        self._aside: dict[tuple[TableName, str], str] = {}
        self._moved: dict[TableName, TableName] = {}  # tables that have their new names already
        self.freed: dict[tuple[TableName, ForeignKey], str] = {}  # names of dropped foreign keys that come again

    @property
    def schemas(self) -> Container[str]:
        """The schemas of the pipeline."""
        return self._databases

    @property
    def names(self) -> Names:
        """The names of everything, as they are after the steps that were lowered so far."""
        return self._names

    def state(self, before: Tables, after: Tables) -> None:
        """Take these for the tables before and after, once tables have their new names."""
        self._before, self._after, self._moved = dict(before), dict(after), {}

    def words(self, sql: Sql) -> str:
        """An expression in this server's words."""
        text: str = getattr(sql, self.backend)
        if not text:
            raise PipelineError(
                f"There is an expression without its words for {self.backend}.", "", f"Add {self.backend}='...' to it."
            )
        return text

    # --- To be said by either server ---------------------------------------------------------------------------------

    #: ``mysql`` or ``postgresql``.
    backend = ""

    #: Statements for the session that runs the steps; ``%d`` is how many seconds it may wait for a lock.
    session: tuple[str, ...] = ()

    #: A query that fails where the one in it counts anything.
    failing = ""

    @abstractmethod
    def quote(self, name: str) -> str:
        """An identifier."""

    @abstractmethod
    def literal(self, text: str) -> str:
        """A text."""

    @abstractmethod
    def value(self, core: str, text: str) -> str:
        """A default or fill of a core type."""

    @abstractmethod
    def create_schema(self, name: str) -> list[Step]:
        """Make the database of a schema."""

    @abstractmethod
    def create_table(self, table: Table, *, foreign_keys: bool = True) -> list[Step]:
        """Make a table as DataJoint would; without its foreign keys where they are added later."""

    @abstractmethod
    def drop_table(self, name: TableName) -> list[Step]:
        """Take a table away with its rows; no foreign key may lead to it."""

    @abstractmethod
    def rename_table(self, old: TableName, new: TableName) -> list[Step]:
        """Rename a table or move it to another schema; foreign keys follow."""

    @abstractmethod
    def alter_table(self, alteration: Alteration, guards: Guards = no_guards) -> list[Step]:
        """Change a table, its own foreign keys aside; ``guards`` gives the steps that come first."""

    @abstractmethod
    def drop_foreign_key(self, table: Table, key: ForeignKey) -> list[Step]:
        """Drop a foreign key, and the index that only it needs; ``table`` is as it is at that point."""

    @abstractmethod
    def add_foreign_key(self, table: Table, key: ForeignKey) -> list[Step]:
        """Add a foreign key, and the index that it needs; ``table`` is as it is at that point."""

    @abstractmethod
    def obstacles(self, alteration: Alteration) -> Obstacles:
        """Foreign keys that must be dropped before the alteration is lowered."""

    @abstractmethod
    def _sql_type(self, core: str, schema: str) -> str:
        """A core or native type that was declared in a table of a schema."""

    @abstractmethod
    def _inherited_type(self, core: str, schema: str) -> str:
        """The type of a column that a foreign key brings, whose origin is in a schema."""

    @abstractmethod
    def _comment(self, marker: str, comment: str, *, inherited: bool) -> str:
        """What stands in the comment of a column."""

    @abstractmethod
    def _converts(self, column: str, was: Column, will: Column) -> str | None:
        """An expression for a value of another type, where the server's own conversion would be refused or wrong."""

    @abstractmethod
    def unique_id(self, column: Column) -> str:
        """An expression for a value that no other row has."""

    # --- Names -------------------------------------------------------------------------------------------------------

    def refuse_too_long(self, name: str) -> None:
        """Raise where the server would cut an identifier, which then might be another's, or refuse it half-way."""
        if declaration_checks.too_long(self.backend, name):
            unit = "characters" if self.backend == "mysql" else "bytes"
            raise PipelineError(
                f"The name {name} is too long.",
                f"The server takes {declaration_checks.LIMITS[self.backend]} {unit}.",
                "Choose a shorter one.",
            )

    def place(self, name: TableName) -> Place:
        """Database and table."""
        return self._databases.get(name.schema, name.schema), name.table

    def where(self, name: TableName) -> tuple[str, str]:
        """Database and table where a table of before is at that point."""
        return self.place(self._moved.get(name, name))

    def taken_up(self, table: Table) -> list[Step]:
        """Steps for a table that comes back from where it was put aside."""
        return []

    def after_rows(self, rows: list[Step], steps: list[Step], child: TableName) -> list[Step]:
        """Steps that rely on rows that were put in for those of a table, such that nobody writes any between."""
        return steps

    def refuse_too_large(self, tables: Tables, table: Table) -> None:
        """Raise where the server has no table with such columns or indexes, and would say so half-way."""
        return

    def as_text(self, expression: str) -> str:
        """An expression such that it can be compared with one of another type."""
        return expression

    def as_number(self, expression: str) -> str:
        """A ``bool`` such that it can be compared with a number."""
        return expression

    def full(self, name: TableName) -> str:
        """A table's name in a statement."""
        return ".".join(self.quote(part) for part in self.place(name))

    def listed(self, names: tuple[str, ...] | list[str]) -> str:
        """Identifiers, divided by commas."""
        return ", ".join(map(self.quote, names))

    def key_called(self, table: Table, key: ForeignKey) -> str:
        """What a foreign key is called."""
        return self._names.key(self.place(table.name), key.attributes, self.place(key.parent)).name

    def _key_name(self, key: ForeignKey, name: str) -> KeyName:
        return KeyName(name, key.attributes, self.place(key.parent), key.parent_attributes)

    def _references(self, key: ForeignKey) -> str:
        return (
            f"FOREIGN KEY ({self.listed(key.attributes)}) REFERENCES {self.full(key.parent)} "
            f"({self.listed(key.parent_attributes)}) ON UPDATE CASCADE ON DELETE RESTRICT"
        )

    # --- Columns -----------------------------------------------------------------------------------------------------

    def column(self, tables: Tables, table: Table, attribute: Attribute) -> Column:
        """The column of an attribute of a table."""
        origin, schema, inherited = self._origin(tables, table, attribute)
        type_, _, stored = origin.type.partition("stored as ")
        type_ = type_.removesuffix(", ")
        marker = type_ if _MARKED.match(type_) else ""
        core = stored or (self.core(type_, table.name) if marker else type_.removeprefix("native "))
        sql = (self._inherited_type if inherited else self._sql_type)(core, schema)
        default = None if attribute.default is None else self.value(core, attribute.default)
        comment = self._comment(marker and (origin.spelling or marker), origin.comment, inherited=inherited)
        return Column(attribute.name, sql, core, attribute.nullable, default, comment)

    def core(self, type_: str, table: TableName) -> str:
        """The core or native type that holds the values of a type."""
        core = catalog.core_of(type_)
        if not core:
            raise PipelineError(
                f"{table} has an attribute of the type {type_}, whose codec is not known here.",
                "What its column should be can only be told by the codec.",
                "Register the codec where the package is imported.",
            )
        return core

    def _origin(self, tables: Tables, table: Table, attribute: Attribute) -> tuple[Attribute, str, bool]:
        """The attribute that was declared in its own right, its schema, and whether that is another attribute."""
        inherited = False
        while attribute.inherited and not attribute.type:
            inherited = True
            own = tables.get(table.name, table)
            for key in (*table.foreign_keys, *own.foreign_keys):
                parent = tables.get(key.parent) or self._after.get(key.parent) or self._before.get(key.parent)
                if attribute.name not in key.attributes or parent is None or parent.name == table.name:
                    continue
                place = key.parent_attributes[key.attributes.index(attribute.name)]
                if place in parent.attribute:
                    table, attribute = parent, parent.attribute[place]
                    break
            else:
                raise PipelineError(
                    f"The type of {attribute.name} in {table.name} is not known.",
                    "A foreign key brings it, from a table that is not at hand.",
                    "Name the schema of that table in SCHEMA_VERSIONS.",
                )
        return attribute, table.name.schema, inherited

    def columns(self, tables: Tables, table: Table) -> dict[str, Column]:
        """The columns of a table by name."""
        return {attribute.name: self.column(tables, table, attribute) for attribute in table.attributes}

    # --- Indexes -----------------------------------------------------------------------------------------------------

    def expected(self, table: Table) -> list[Index]:
        """The indexes of a table as DataJoint makes them: those declared, and those that its foreign keys imply."""
        indexes = list(table.indexes)
        begins = [table.primary_key, *(index.columns for index in indexes)]
        for attributes in sorted({key.attributes for key in table.foreign_keys}, key=lambda a: (-len(a), a)):
            if not any(begin[: len(attributes)] == attributes for begin in begins):
                indexes.append(Index(attributes))
                begins.append(attributes)
        return indexes

    def _without(self, table: Table, key: ForeignKey) -> Table:
        return replace(table, foreign_keys=tuple(other for other in table.foreign_keys if other != key))

    # --- Alterations -------------------------------------------------------------------------------------------------

    def change(self, alteration: Alteration) -> Change:
        """An alteration, column by column."""
        before, after = alteration.before, alteration.after
        new = {**{a.name: a.name for a in before.attributes}, **alteration.renamed}
        kept = self.aside(alteration)
        stay = {new[a.name]: a.name for a in before.attributes if new[a.name] in after.attribute and a.name not in kept}

        def names(old: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(new.get(name, name) for name in old)

        table = replace(
            before,
            name=after.name,
            primary_key=names(before.primary_key),
            foreign_keys=tuple(replace(key, attributes=names(key.attributes)) for key in before.foreign_keys),
            indexes=tuple(replace(index, columns=names(index.columns)) for index in before.indexes),
        )
        was = {
            name: replace(self._as_is(before.name, self.column(self._before, before, before.attribute[old])), name=name)
            for name, old in stay.items()
        }
        will = self.columns(self._after, after)
        change = Change(
            table=table,
            after=after,
            was=was,
            will=will,
            old=stay,
            dropped=[a.name for a in before.attributes if a.name not in stay.values() and a.name not in kept],
            kept=kept,
            indexes=self.expected(table),
            target=self.expected(replace(after, foreign_keys=table.foreign_keys)),
        )
        change.retyped = {name for name, column in was.items() if column.sql != will[name].sql}
        return change

    def _as_is(self, name: TableName, column: Column) -> Column:
        """A column with the type that it really has, where the model does not tell."""
        return column

    def aside(self, alteration: Alteration) -> dict[str, str]:
        """What attributes are called that are put aside: ``_dropped_<name>``, short enough and not taken."""
        known = {name: self._aside.get((alteration.after.name, name), "") for name in alteration.kept}
        if all(known.values()):
            return known
        taken, names = {a.name for a in (*alteration.before.attributes, *alteration.after.attributes)}, {}
        taken |= set(self._names.table(self.place(alteration.before.name)).columns)
        for name in alteration.kept:
            names[name] = unused(shorten(SOFT_DELETED_ATTRIBUTE + name), taken)
            taken.add(names[name])
        return names

    def typed(self, value: str, core: str) -> str:
        """A value such that it stays of its type where it stands beside others, or for a column."""
        return value

    def put_aside(self, table: TableName, attribute: str) -> str:
        """What an attribute is called that was put aside; empty where it was not."""
        return self._aside.get((table, attribute), "")

    def cast(self, column: Column, expression: str) -> str:
        """An expression such that it can be put into a column."""
        return expression

    @abstractmethod
    def one_each(self, key: Mapping[str, str], more: Mapping[str, str], source: str) -> str:
        """A query for one row for each value of the key."""

    @abstractmethod
    def _fill(self, column: Column, fill: object) -> str | None:
        """A value for rows, where it is the same expression for all."""

    def from_parent(self, fill: ParentFill) -> tuple[str, list[tuple[str, str]]]:
        """The parent's attribute, and pairs of its and our attributes to join on: the parent's as they are called by
        now, ours by their names before."""
        columns = self._names.table(self.place(fill.parent)).columns

        def called(was: str, now: str) -> str:
            aside = self._aside.get((fill.parent, was))
            return aside or (now if now in columns or not was else was)

        return called(*fill.attribute), [(called(was, now), ours) for was, now, ours in fill.pairs]

    def _follow(self, change: Change, place: Place, indexes: list[IndexName]) -> None:
        """Take note of what an alteration makes of a table's names."""
        self._aside |= {(change.after.name, was): name for was, name in change.kept.items()}
        names = {old: new for new, old in change.old.items() if old != new} | change.kept
        self._names.rename_attributes(place, names)
        own = self._names.table(place)
        own.indexes = indexes
        own.columns = [*change.will, *change.kept.values()]
