"""What a dialect is: the columns behind attributes, the indexes behind keys, and the statements that change them.

:class:`Dialect` is what other packages know of a server; ``mysql`` and ``postgresql`` complete it. Its methods must be
called in the order in which their steps run, because each takes for granted what the steps before it did.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from .. import quoting
from ..errors import PipelineError
from ..internals import declaration_checks
from ..operations.origins import resolved
from ..operations.structure import SOFT_DELETED_ATTRIBUTE
from ..schema.model import Attribute, ForeignKey, Index, Table, TableName
from ..schema.naming import shorten, unused
from ..schema.values import Sql
from . import auditing, catalog
from .constraints import IndexName, KeyName, Names, Place
from .conversions import Loss, kind_of
from .steps import Alteration, Change, Column, ColumnFill, ExpressionFill, NewKey, Obstacles, ParentFill, Probe, Step

Tables = Mapping[TableName, Table]

#: Types that DataJoint notes at the head of a column's comment.
_MARKED = re.compile(
    r"<.*|(int(8|16|32|64)|float(32|64)|bool|uuid|jsonb?|bytes|date|datetime(\(\d+\))?|(var)?char\(\d+\)"
    r"|decimal\(\d+,\d+\)|enum\(.*\))$",
    re.S,
)


#: Given a dialect and an alteration, the steps that fail where the server would change values without an error.
Guards = Callable[["Dialect", Alteration], list[Step]]


def no_guards(dialect: Dialect, alteration: Alteration) -> list[Step]:
    """Guard nothing: for alterations that change no value."""
    return []


class Dialect(ABC):
    """Turns changes of tables into the statements of one server.

    Parameters
    ----------
    databases : mapping
        Name on the server of each schema in the code.
    before, after : mapping of TableName to Table
        Every table of the pipeline before and after the steps, to look up where inherited attributes come from.
    names : Names
        What :func:`constraints.read` found; kept up to date with the steps made since.
    version : tuple of int
        The server's, empty where nothing depends on it.
    """

    #: ``mysql`` or ``postgresql``.
    backend = ""

    #: Statement for every session, so that nothing which an account or the server has set changes a value or a shape.
    exact = ""

    #: What is added to that for the session of a command: a statement takes as long as it takes, and so may a pause,
    #: such as the one to import a project.
    no_limit = ""

    #: What else a session is set to while it changes a pipeline or counts its rows: moments are in UTC, a statement
    #: sees what others wrote before it, and takes as long as it takes. People's own sessions are as they chose.
    changing: Mapping[str, str | int] = {}

    #: Settings that not every account may set for its session: the value that is needed, what another one does, and who
    #: can have it.
    restricted: Mapping[str, tuple[str | int, str, str]] = MappingProxyType({})

    #: Statements for the session that runs the steps; ``%d`` is how many seconds it may wait for a lock.
    session: tuple[str, ...] = ()

    #: A query that fails where the query put into it counts anything.
    failing = ""

    #: A query whether the server has the names of databases and tables in small letters, whatever they are made as.
    small_letters = ""

    #: Bytes of one entry of an index, where that depends on the row.
    longest_entry = 0

    #: Whether the server fills a required column that has neither a value nor a default with a value of its own choice.
    invents_values = False

    #: The statements of the audit.
    auditing: auditing.Statements

    #: Whether new tables are made before everything else where they can be: none can be made while tables are locked.
    makes_first = False

    def __init__(
        self,
        databases: Mapping[str, str],
        before: Tables,
        after: Tables,
        names: Names,
        version: tuple[int, ...] = (),
    ) -> None:
        #: Name on the server of each schema in the code.
        self.databases = dict(databases)
        #: Every table before the steps and after them.
        self.before, self.after = before, after
        #: The names of keys, indexes and enum types as they are after the steps made so far.
        self.names, self.version = names, version
        #: What attributes have their types from that no foreign key brings yet, or any more, and the table of that.
        self.between: Mapping[tuple[TableName, str], tuple[Attribute, Table]] = {}
        #: Whether definitions that the server would refuse are refused here. Of a run that began with an earlier
        #: release, which may have refused less, the steps are what they were: else nobody could take it back.
        self.judges = True
        #: Names of dropped foreign keys that are added again, by table afterwards and key.
        self.freed: dict[tuple[TableName, ForeignKey], str] = {}
        #: New names of the tables that are renamed already, by their names before.
        self.moved: dict[TableName, TableName] = {}
        self._retained: dict[tuple[TableName, str], str] = {}

    def state(self, before: Tables, after: Tables) -> None:
        """Take these for the tables before and after the steps, once tables have their new names."""
        self.before, self.after, self.moved = dict(before), dict(after), {}

    def words(self, sql: Sql) -> str:
        """Give an SQL expression as this server has it.

        Raises
        ------
        PipelineError
            If it was written for the other server alone.
        """
        text: str = getattr(sql, self.backend)
        if not text:
            raise PipelineError(
                f"An expression has no text for {self.backend}.", "", f"Add {self.backend}='...' to it."
            )
        return text

    # --- What either server has in its own way -----------------------------------------------------------------------

    @abstractmethod
    def literal(self, text: str) -> str:
        """Give a text as a literal."""

    @abstractmethod
    def value(self, core: str, text: str) -> str:
        """Give a value of a core type, which ``text`` has as a definition writes a default, as an expression."""

    @abstractmethod
    def create_schema(self, name: str) -> list[Step]:
        """Make the database of a schema."""

    @abstractmethod
    def create_table(self, table: Table, *, foreign_keys: bool = True) -> list[Step]:
        """Make a table as DataJoint would; without its foreign keys where they are added later."""

    @abstractmethod
    def drop_table(self, name: TableName) -> list[Step]:
        """Drop a table with its rows; no foreign key may lead to it."""

    @abstractmethod
    def rename_table(self, old: TableName, new: TableName) -> list[Step]:
        """Rename a table or move it to another schema; foreign keys follow."""

    @abstractmethod
    def change_key(self, old: TableName, new: TableName, key: NewKey, title: str) -> list[Step]:
        """Rename a table of jobs and give it another primary key; ``title`` says in words whose jobs they are.

        Rows that get none, or the same as others, go.
        """

    @abstractmethod
    def change_comment(self, name: TableName, comment: str) -> Step:
        """Give a table another comment, outside of what is compared of it."""

    def has(self, name: TableName, column: str = "") -> str:
        """Give a query that is true where there is such a table, or such a column of it."""
        return self.lacks(name, column).replace("COUNT(*) = 0", "COUNT(*) > 0", 1)

    def lacks(self, name: TableName, column: str = "") -> str:
        """Give a query that is true once there is no such table, or no such column of it."""
        values = zip(("table_schema", "table_name", "column_name"), (*self.place(name), column), strict=True)
        conditions = " AND ".join(f"{which} = {self.literal(value)}" for which, value in values if value)
        return f"SELECT COUNT(*) = 0 FROM information_schema.columns WHERE {conditions}"

    @abstractmethod
    def alter_table(self, alteration: Alteration, guards: Guards = no_guards) -> list[Step]:
        """Change a table apart from its own foreign keys; ``guards`` gives the steps that come first."""

    @abstractmethod
    def drop_foreign_key(self, table: Table, key: ForeignKey) -> list[Step]:
        """Drop a foreign key, and the index that only it needs; ``table`` is as it is at that point."""

    @abstractmethod
    def add_foreign_key(self, table: Table, key: ForeignKey) -> list[Step]:
        """Add a foreign key, and the index that it needs; ``table`` is as it is at that point."""

    @abstractmethod
    def add_foreign_key_online(self, table: Table, key: ForeignKey) -> list[Step]:
        """Add a foreign key while others go on writing to the table.

        Raises
        ------
        PipelineError
            If the server cannot.
        """

    @abstractmethod
    def add_index_online(self, table: Table, index: Index) -> list[Step]:
        """Add an index while others go on writing to the table."""

    @abstractmethod
    def obstacles(self, alteration: Alteration) -> Obstacles:
        """Tell which foreign keys must be dropped before an alteration."""

    def keeps_column(
        self, before: Tables, old: tuple[TableName, str], after: Tables, new: tuple[TableName, str]
    ) -> bool:
        """Tell whether a column stays for the server what it is, so that foreign keys that it is part of can stay.

        Parameters
        ----------
        before, after : mapping of TableName to Table
            The tables in both states.
        old, new : (TableName, str)
            The table of the column and its attribute, in either.
        """
        return resolved(before, *old) == resolved(after, *new)

    @abstractmethod
    def renaming(self, table: TableName, to: TableName | None) -> Iterator[Probe]:
        """Give the queries for what names a table that gets another name, or is soft-deleted, and would then fail."""

    def linking(self, table: TableName) -> Iterator[Probe]:
        """Give the queries for what keeps a table from getting a foreign key, and others from referring to it."""
        yield from ()

    @abstractmethod
    def deleting(self, table: TableName, column: str) -> Iterator[Probe]:
        """Give the queries for what hangs on a soft-deleted table, or on a column of one, and keeps it from going.

        Parameters
        ----------
        table : TableName
            As it is called now.
        column : str
            The column that is to go; empty for the whole table.
        """

    @abstractmethod
    def trial(self, alteration: Alteration, change: Change, name: str) -> tuple[str, ...]:
        """Give statements that compute what rows get by an expression of the lab's, and keep nothing of it.

        Parameters
        ----------
        alteration : Alteration
            What changes, with the table's name before.
        change : Change
            The same, column by column.
        name : str
            The column that is converted by the expression, or filled with it.
        """

    @abstractmethod
    def dependents(self, alteration: Alteration, change: Change) -> Iterator[Probe]:
        """Give the queries for what hangs on a table and DataJoint does not know: triggers, views and the like.

        Parameters
        ----------
        alteration : Alteration
            What changes, with the table's name before.
        change : Change
            The same, column by column.
        """

    def too_long_for_index(self, values: Iterable[str]) -> str:
        """Give the condition that an index cannot have a row with these values; empty where types alone tell that."""
        return ""

    @abstractmethod
    def conversion(self, column: str, was: Column, will: Column) -> str | None:
        """Give an expression for a value of another type, where the server's own conversion is refused or wrong."""

    @abstractmethod
    def losses(self, column: str, old: str, new: str, collation: str = "") -> Iterator[Loss]:
        """Tell which values do not survive where a column changes from one core type to another.

        Parameters
        ----------
        column : str
            The column, as a statement names it.
        old, new : str
            Core or native types.
        collation : str
            Of the texts of the table that is to hold them (MySQL).
        """

    @abstractmethod
    def read(self, column: str, old: str, new: str) -> str:
        """Give what a column of texts is read as where it becomes one of another type: equal for what becomes equal."""

    @abstractmethod
    def text_of(self, column: str, core: str) -> str:
        """Give the text that a value of a core or native type becomes where its column gets a type of texts."""

    @abstractmethod
    def unique_id(self, column: Column) -> str:
        """Give an expression for a value that no other row has."""

    def numbered(self, column: Column, value: str, was: str) -> str:
        """Give what goes before the number of a row that has none in a column, ``value``, called ``was`` before.

        Where it comes back, numbers of before are taken.
        """
        back = was.startswith(SOFT_DELETED_ATTRIBUTE) and "int" in column.core
        return f"COALESCE(MAX({value}) OVER (), 0) + " if back else ""

    @abstractmethod
    def one_each(self, key: Mapping[str, str], more: Mapping[str, str], source: str) -> str:
        """Give a query for one row for each value of the key."""

    @abstractmethod
    def fill_value(self, column: Column, fill: ColumnFill | None) -> str | None:
        """Give what rows get in a column, where it is the same expression for all; None where it is not."""

    @abstractmethod
    def _sql_type(self, core: str, schema: str) -> str:
        """Give the server's type for a core or native type that was declared in a table of a schema."""

    @abstractmethod
    def _inherited_type(self, core: str, schema: str) -> str:
        """Give the server's type for a column that a foreign key brings, whose origin is in a schema."""

    @abstractmethod
    def _comment(self, marker: str, comment: str, *, inherited: bool) -> str:
        """Give what stands in the comment of a column."""

    def firing(self, table: TableName, given: set[str], where: str = "") -> Iterator[Probe]:
        """Give the queries for what refuses or replaces that rows of a table, by its name now, get values.

        Parameters
        ----------
        table : TableName
            The table.
        given : set of str
            What they get, for people.
        where : str
            The condition of the rows that do; all where it is empty.
        """
        yield from ()

    def inserting(self, table: TableName, rows: Iterable[Step]) -> Iterator[Probe]:
        """Give the queries that try whether triggers of a table refuse rows; those that steps put in, one by one."""
        yield from ()

    def copying(self, tables: Tables, table: Table) -> Iterator[Probe]:
        """Give the queries for what a table, as it is before, holds and cannot be copied, though it stays as it is."""
        yield from ()

    def putting_in(self, table: TableName) -> Iterator[Probe]:
        """Give the queries for what the catalogue has that comes with rows put into a table, or in their place.

        The table is called as it is now.
        """
        yield from ()

    # --- What one of the servers needs -------------------------------------------------------------------------------

    def restored_table(self, table: Table) -> list[Step]:
        """Give the steps for a soft-deleted table that has come back under its name."""
        return []

    def after_rows(self, rows: list[Step], steps: list[Step], child: TableName) -> list[Step]:
        """Give steps that rely on rows inserted for those of ``child``, such that nobody writes any in between."""
        return steps

    @abstractmethod
    def keep_out(
        self,
        steps: list[Step],
        before: Tables,
        after: Tables,
        valued: Mapping[TableName, set[TableName]],
        renamed: Mapping[TableName, TableName],
    ) -> list[Step]:
        """Give steps such that nobody writes with the code of before from the first that disturbs others to the last.

        ``valued`` has the tables whose rows get values, each with those that they are taken from, and ``renamed`` the
        names afterwards of tables with another one.
        """

    def refuse_foreign_keys(self, tables: Tables, table: Table) -> None:
        """Raise where the server would refuse a foreign key that a table is to have beside those it has."""
        return

    def refuse_unmade(self, tables: Tables, table: Table) -> None:
        """Raise where the server would refuse a table that DataJoint is to make, or make another one."""
        self.refuse_foreign_keys(tables, table)

    def lacks_characters(self, table: TableName) -> bool:
        """Tell whether there are characters that a table, by its name at that point, cannot have in its texts."""
        return False

    def lost_characters(self, table: TableName, text: str) -> str:
        """Give the characters of a text that a table, by its name at that point, cannot have in its texts."""
        return ""

    def refuse_characters(self, table: TableName, values: Iterable[tuple[str, str]], where: str = "") -> None:
        """Raise where a table, by its name at that point, cannot have texts; each is given with its attribute.

        ``where`` says where they are written, if it is not a definition.
        """
        return

    def refuse_too_large(self, tables: Tables, table: Table) -> None:
        """Raise where the server would refuse such columns or indexes in the middle of the steps."""
        return

    def as_text(self, expression: str) -> str:
        """Give an expression such that it can be compared with one of another type."""
        return expression

    def as_written(self, expression: str, type_: str) -> str:
        """Give a column of a type such that two values are equal only where they are the same to the last character."""
        return self.as_text(expression)

    def collated(self, expression: str, collation: str) -> str:
        """Give a text such that it is compared as in a table with a collation."""
        return expression

    def as_number(self, expression: str) -> str:
        """Give a ``bool`` such that it can be compared with a number."""
        return expression

    def rounded(self, column: str, kind: str, places: int) -> str:
        """Give a number, ``single``, ``double`` or ``decimal``, with so many places behind the point."""
        return f"ROUND({column}, {places})"

    @abstractmethod
    def single(self, column: str) -> str:
        """Give a number as a float32 holds it."""

    def day(self, column: str) -> str:
        """Give the day of a moment."""
        return f"CAST({column} AS DATE)"

    def to_fraction(self, column: str, core: str, digits: int) -> str:
        """Give a moment, or a time of day, with so many digits of a second's fraction."""
        type_ = "TIME" if kind_of(core) == "clock" else "DATETIME"
        return f"CAST({column} AS {type_}({digits}))"

    def typed(self, value: str, core: str) -> str:
        """Give a value such that it keeps its type where it stands beside others, or in the place of a column."""
        return value

    def cast(self, column: Column, expression: str) -> str:
        """Give an expression such that it can be put into a column."""
        return expression

    # --- Names -------------------------------------------------------------------------------------------------------

    def quote(self, name: str) -> str:
        """Quote an identifier.

        Raises
        ------
        PipelineError
            If it is too long: the server would cut it, so that it might be another's, or refuse it in the middle.
        """
        declaration_checks.refuse_too_long(self.backend, name)
        return quoting.quote(self.backend, name)

    def place(self, name: TableName) -> Place:
        """Give the database and name on the server of a table."""
        return self.databases.get(name.schema, name.schema), name.table

    def at(self, place: Place) -> TableName:
        """Give the table that has a database and name on the server; it need not be there."""
        schemas = {database: schema for schema, database in self.databases.items()}
        return TableName(schemas.get(place[0], place[0]), place[1])

    def where(self, name: TableName) -> Place:
        """Give the database and name at that point of a table, by its name before."""
        return self.place(self.moved.get(name, name))

    def full(self, name: TableName) -> str:
        """Give a table's name as statements have it."""
        return ".".join(self.quote(part) for part in self.place(name))

    def listed(self, names: tuple[str, ...] | list[str]) -> str:
        """Give quoted identifiers, separated by commas."""
        return ", ".join(map(self.quote, names))

    def key_called(self, table: Table, key: ForeignKey) -> str:
        """Give the name of a foreign key on the server."""
        return self.names.key(self.place(table.name), key.attributes, self.place(key.parent)).name

    def key_name(self, key: ForeignKey, name: str) -> KeyName:
        """Give what :attr:`names` has of a foreign key of that name."""
        return KeyName(name, key.attributes, self.place(key.parent), key.parent_attributes)

    def references(self, key: ForeignKey) -> str:
        """Give the clause of a foreign key, as DataJoint declares it."""
        return (
            f"FOREIGN KEY ({self.listed(key.attributes)}) REFERENCES {self.full(key.parent)} "
            f"({self.listed(key.parent_attributes)}) ON UPDATE CASCADE ON DELETE RESTRICT"
        )

    # --- Columns -----------------------------------------------------------------------------------------------------

    def column(self, tables: Tables, table: Table, attribute: Attribute) -> Column:
        """Give the column of an attribute of a table."""
        origin, schema, inherited = self.origin(tables, table, attribute)
        type_, _, stored = origin.type.partition("stored as ")
        type_ = type_.removesuffix(", ")
        # What is stored otherwise than DataJoint would, a comment says the type of.
        marker = type_ if stored or _MARKED.match(type_) else ""
        core = stored or (self.core(type_, table.name) if marker else type_.removeprefix("native "))
        sql = (self._inherited_type if inherited else self._sql_type)(core, schema)
        default = None if attribute.default is None else self.value(core, attribute.default)
        comment = self._comment(marker and (origin.spelling or marker), origin.comment, inherited=inherited)
        return Column(attribute.name, sql, core, attribute.nullable, default, comment)

    def core(self, type_: str, table: TableName) -> str:
        """Give the core or native type that holds the values of a type.

        Raises
        ------
        PipelineError
            If it is a codec that this process does not know.
        """
        core = catalog.core_of(type_).removeprefix("native ")
        if not core:
            raise PipelineError(
                f"{table} has an attribute of the type {type_}, whose codec is not known here.",
                "Only the codec says what its column should be.",
                "Define the codec in codecs.py, in the folder of the schema modules: commands import that file.",
            )
        return core

    def origin(self, tables: Tables, table: Table, attribute: Attribute) -> tuple[Attribute, str, bool]:
        """Find the attribute that an attribute has its type from: it, its schema, and whether it is another one.

        Raises
        ------
        PipelineError
            If a foreign key brings it from a table that is not known.
        """
        found, whose = self._declared(tables, table, attribute)
        if found.inherited and not found.type:
            do = "Name the schema of that table in SCHEMA_VERSIONS."
            if found.name.startswith(SOFT_DELETED_ATTRIBUTE):
                do += " Or first run migrate SCHEMA --to the version that drops it."
            raise PipelineError(
                f"The type of {found.name} in {whose.name} is not known.",
                "It comes with a foreign key, from a table that is not known here.",
                do,
            )
        return found, whose.name.schema, attribute.inherited and not attribute.type

    def _declared(self, tables: Tables, table: Table, attribute: Attribute) -> tuple[Attribute, Table]:
        """Follow an attribute along foreign keys to where it is declared, or to the last table that is known."""
        while attribute.inherited and not attribute.type:
            same = tables.get(table.name, table)
            for key in (*table.foreign_keys, *same.foreign_keys):
                parent = tables.get(key.parent) or self.after.get(key.parent) or self.before.get(key.parent)
                if attribute.name not in key.attributes or parent is None or parent.name == table.name:
                    continue
                theirs = key.parent_attributes[key.attributes.index(attribute.name)]
                if theirs in parent.attribute:
                    table, attribute = parent, parent.attribute[theirs]
                    break
            else:
                return self.between.get((table.name, attribute.name), (attribute, table))
        return attribute, table

    def without_key(self, tables: Tables, table: Table, attribute: Attribute) -> Attribute:
        """Give an attribute as the server tells it when the foreign key that brings it has gone.

        It is as it was where the key leads to a table that is not known.
        """
        found, _ = self._declared(tables, table, attribute)
        if not attribute.inherited or (found.inherited and not found.type):
            return attribute
        return catalog.left_behind(self.backend, self.column(tables, table, attribute))

    def columns(self, tables: Tables, table: Table) -> dict[str, Column]:
        """Give the columns of a table by name."""
        return {attribute.name: self.column(tables, table, attribute) for attribute in table.attributes}

    # --- Indexes -----------------------------------------------------------------------------------------------------

    def expected(self, table: Table) -> list[Index]:
        """Give the indexes that DataJoint makes for a table: those declared, and those that foreign keys imply."""
        indexes = list(table.indexes)
        begins = [table.primary_key, *(index.columns for index in indexes)]
        for attributes in sorted({key.attributes for key in table.foreign_keys}, key=lambda a: (-len(a), a)):
            if not any(begin[: len(attributes)] == attributes for begin in begins):
                indexes.append(Index(attributes))
                begins.append(attributes)
        return indexes

    # --- Alterations -------------------------------------------------------------------------------------------------

    def change(self, alteration: Alteration) -> Change:
        """Work out an alteration column by column."""
        before, after = alteration.before, alteration.after
        new = {**{a.name: a.name for a in before.attributes}, **alteration.renamed}
        kept = self.retained_names(alteration)
        stay = {new[a.name]: a.name for a in before.attributes if new[a.name] in after.attribute and a.name not in kept}

        def names(old: tuple[str, ...]) -> tuple[str, ...]:
            # A key or an index of what is soft-deleted is none of the attribute that takes its name.
            return tuple(kept.get(name, new.get(name, name)) for name in old)

        table = replace(
            before,
            name=after.name,
            primary_key=names(before.primary_key),
            foreign_keys=tuple(replace(key, attributes=names(key.attributes)) for key in before.foreign_keys),
            indexes=tuple(replace(index, columns=names(index.columns)) for index in before.indexes),
        )
        was = {
            name: replace(self._as_is(before.name, self.column(self.before, before, before.attribute[old])), name=name)
            for name, old in stay.items()
        }
        will = {name: self._still(column, was.get(name)) for name, column in self.columns(self.after, after).items()}
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
        """Give a column with the type that it really has, where the model does not tell."""
        return column

    def _still(self, column: Column, was: Column | None) -> Column:
        """Give a column afterwards with the type that it has and keeps, where the model does not tell."""
        return column

    def follow(self, change: Change, place: Place, indexes: list[IndexName]) -> None:
        """Bring :attr:`names` up to date with an alteration."""
        self._retained |= {(change.after.name, was): name for was, name in change.kept.items()}
        renamed = {old: new for new, old in change.old.items() if old != new} | change.kept
        self.names.rename_attributes(place, renamed)
        table = self.names.table(place)
        table.indexes = indexes
        table.columns = [*change.will, *change.kept.values()]

    def calling(self, alteration: Alteration, columns: Mapping[str, str]) -> Alteration:
        """Give an alteration whose expressions may call columns of the row by other names, too.

        Parameters
        ----------
        alteration : Alteration
            What changes.
        columns : mapping
            What the table has the columns under, by those other names.
        """

        def over(expression: str) -> str:
            listed = [
                f"{self.quote(column)} AS {self.quote(name)}"
                for name, column in columns.items()
                if re.search(rf"\b{re.escape(name)}\b", expression, re.I)
            ]
            # What the inner query does not have is looked for in the row around it.
            return (
                f"(SELECT {expression} FROM (SELECT {', '.join(listed)}) AS {self.quote('~row')})"
                if listed
                else expression
            )

        fills = {
            name: replace(fill, mysql=over(fill.mysql), postgresql=over(fill.postgresql))
            if isinstance(fill, ExpressionFill)
            else fill
            for name, fill in alteration.fills.items()
        }
        return replace(alteration, fills=fills, converts={n: over(e) for n, e in alteration.converts.items()})

    # --- Soft-deleted attributes -------------------------------------------------------------------------------------

    def retained_names(self, alteration: Alteration) -> dict[str, str]:
        """Name the attributes that an alteration soft-deletes: ``_dropped_<name>``, short enough and not taken."""
        known = {name: self.retained_name(alteration.after.name, name) for name in alteration.kept}
        if all(known.values()):
            return known
        taken, names = {a.name for a in (*alteration.before.attributes, *alteration.after.attributes)}, {}
        taken |= set(self.names.table(self.place(alteration.before.name)).columns)
        for name in alteration.kept:
            names[name] = unused(shorten(SOFT_DELETED_ATTRIBUTE + name), taken)
            taken.add(names[name])
        return names

    def retained_name(self, table: TableName, attribute: str) -> str:
        """Give the name of an attribute since the steps made so far soft-deleted it; empty where they did not."""
        return self._retained.get((table, attribute), "")

    def from_parent(self, fill: ParentFill) -> tuple[str, list[tuple[str, str]]]:
        """Give the parent's attribute that a fill takes, and the pairs of its and our attributes to join on.

        The parent's are named as they are at that point, ours as before.
        """
        columns = self.names.table(self.place(fill.parent)).columns

        def called(was: str, will: str) -> str:
            retained = self.retained_name(fill.parent, was)
            return retained or (will if will in columns or not was else was)

        return called(*fill.attribute), [(called(was, will), ours) for was, will, ours in fill.pairs]


def without(table: Table, key: ForeignKey) -> Table:
    """Give a table without one of its foreign keys."""
    return replace(table, foreign_keys=tuple(other for other in table.foreign_keys if other != key))
