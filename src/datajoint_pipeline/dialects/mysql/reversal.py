"""The way back from what statements made of tables of MySQL, where nothing that was there is gone.

Statements have effects (:mod:`effects`). Followed one by one, they tell which table and which column is which of
before, and so how each becomes again what it was. It takes no more statements than tables were changed, and four.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from ...errors import ExitCode, PipelineError
from ...internals.job_tables import PREFIX
from ...schema import notation
from ...schema.model import Index, TableName
from ..base import Dialect
from ..catalog import core_of
from ..constraints import IndexName, KeyName
from ..conversions import Loss
from ..introspection import CatalogColumn, CatalogTable, Place, Reference
from ..steps import Column, Step
from . import dependents, indexes, orphans, texts
from .clauses import definition, renaming
from .effects import (
    Altered,
    Clause,
    ColumnChanged,
    ColumnDropped,
    ColumnRenamed,
    CommentSet,
    Created,
    Dropped,
    Effect,
    ForeignKeyAdded,
    ForeignKeyDropped,
    IndexAdded,
    IndexDropped,
    PrimaryKeySet,
    Renamed,
    applied,
    is_same,
    named,
)
from .effects import places as touched
from .locking import other

Tables = Mapping[Place, CatalogTable]

#: How many rows are named that stand in the way.
_NAMED = 5

#: Defaults that are no literals.
_EXPRESSION = re.compile(r"\(.*\)$|CURRENT_TIMESTAMP", re.IGNORECASE | re.DOTALL)

#: What a foreign key may do, where DataJoint would have declared something else.
_ACTION = r"(?:cascade|restrict|no action|set null|set default)"
_RULE = re.compile(rf"is on update {_ACTION} on delete {_ACTION}")


def is_job_table(place: Place) -> bool:
    """Tell whether it is DataJoint's table of jobs, which is made anew where it is missing."""
    return place[1].startswith(PREFIX)


class Reversal:
    """What some statements made of tables, and the way back.

    Parameters
    ----------
    dialect : Dialect
        MySQL's, for names and literals.
    before : mapping of Place to CatalogTable
        The tables before the statements.
    """

    def __init__(self, dialect: Dialect, before: Tables) -> None:
        self._dialect, self._before, self._now = dialect, before, dict(before)
        #: By its name now, the name before of each table that was there; and of each column of it.
        self._tables = {place: place for place in before}
        self._columns = {p: {c.name: c.name for c in table.columns} for p, table in before.items()}
        self._jobs = set[Place]()
        #: By its name now, the name that a hidden table is to get again.
        self._hidden = dict[Place, Place]()

    @property
    def now(self) -> Tables:
        """Give the tables after the statements that were followed."""
        return self._now

    @property
    def jobs(self) -> list[Place]:
        """Give the tables of jobs that the statements changed, by the names that they had at any time."""
        return sorted(self._jobs)

    def is_new(self, place: Place) -> bool:
        """Tell whether the statements made a table."""
        return place in self._now and place not in self._tables

    @property
    def made(self) -> list[Place]:
        """Give the tables that the statements made."""
        return sorted(place for place in self._now if self.is_new(place))

    def follow(self, effects: Iterable[Effect]) -> str:
        """Take a statement as done; say what of it has no way back, with nothing where all of it has."""
        lost = ""
        for effect in effects:
            match effect:
                case Altered(place, clauses):
                    lost = lost or self._altered(place, clauses)
                case Dropped(place):
                    if self._tables.pop(place, None):
                        lost = lost or f"dropped {'.'.join(place)}"
                    self._columns.pop(place, None)
                case Renamed(old, new, hides):
                    if old in self._tables:
                        self._tables[new] = self._tables.pop(old)
                        self._columns[new] = self._columns.pop(old)
                    there = self._hidden.pop(old, old)
                    if hides:
                        self._hidden[new] = there
                case Created():
                    pass
        self._now = applied(self._now, effects)
        return lost

    def _altered(self, place: Place, clauses: Iterable[Clause]) -> str:
        names, lost, new = self._columns.get(place, {}), "", dict[str, str]()
        for clause in clauses:
            match clause:
                case ColumnDropped(name):
                    if names.pop(name, None):
                        lost = lost or f"dropped {name} of {'.'.join(place)}"
                case ColumnRenamed(old, name) | ColumnChanged(old, Column(name=name)):
                    if old in names:
                        new[name] = names.pop(old)
        names |= new
        return lost

    def follow_jobs(self, places: Iterable[Place]) -> None:
        """Take it that tables of jobs were changed, which then go."""
        self._jobs.update(places)

    # --- The way back --------------------------------------------------------------------------------------------

    def losses(self) -> Iterator[tuple[str, str, Loss, str]]:
        """Give the table, the column and the condition of values that the type of before would not hold.

        And an expression that names some of their rows.
        """
        for place, origin in self._tables.items():
            for column in self._now[place].columns if place[1] else ():
                was = self._was(place, column.name)
                if was is None or self._keeps_type(column, was):
                    continue
                quoted, collation = self._dialect.quote(column.name), self._dialect.names.collation(place)
                for loss in self._dialect.losses(quoted, _core(column), _core(was), collation):
                    yield self._full(place), f"{'.'.join(origin)}.{was.name}", loss, self._rows_named(place)

    def _rows_named(self, place: Place) -> str:
        """Give an expression that names some rows of a table by their keys."""
        binary = {column.name for column in self._now[place].columns if "binary" in _stored(column)}
        parts = []
        for name in self._now[place].primary_key:
            value = f"HEX({self._dialect.quote(name)})" if name in binary else self._dialect.quote(name)
            parts.append(f"CONCAT({self._dialect.literal(f'{name}=')}, {value})")
        if not parts:
            return "NULL"
        key = f"CONCAT_WS(', ', {', '.join(parts)})"
        return f"SUBSTRING_INDEX(GROUP_CONCAT({key} ORDER BY {key} SEPARATOR '; '), '; ', {_NAMED})"

    def questions(self) -> Iterator[tuple[str, str]]:
        """Give queries that count what the tables of before do not take, each with what it counts.

        Those that count what somebody else made, and not rows, also give its names.
        """
        called = {origin: place for place, origin in self._tables.items()}
        for place, origin in sorted(self._tables.items()):
            now, was = self._now[place], self._before[origin]
            if place[1] and now is not was:
                yield from self._rows_refused(place, origin)
                yield from self._orphans(place, origin, called)
                columns = self._columns[place]
                gone = {column.name for column in now.columns if columns.get(column.name) != column.name}
                for probe in dependents.naming(self._dialect, self._name(place), gone, origin):
                    of = f" of {self._title(origin)}" if probe.attributes else ""
                    yield probe.sql, f"{probe.words}{of}"
        for place in self.made:
            keys = dependents.keys_from_outside(self._dialect, place)
            sql = f"SELECT COUNT(DISTINCT table_schema, table_name, constraint_name) {keys}"
            yield sql, f"foreign keys from outside of the pipeline that lead to {self._title(place)}"
            for probe in dependents.naming(self._dialect, self._name(place), set(), (place[0], "")):
                yield probe.sql, probe.words

    def _rows_refused(self, place: Place, origin: Place) -> Iterator[tuple[str, str]]:
        """Count the rows of one table that lack a value, or have one in common."""
        now, was, quote = self._now[place], self._before[origin], self._dialect.quote
        full, title = self._full(place), self._title(origin)
        names = {old: name for name, old in self._columns[place].items()}
        present = {column.name: column for column in now.columns}
        for column in was.columns:
            if not column.nullable and column.name in names and present[names[column.name]].nullable:
                sql = f"SELECT COUNT(*) FROM {full} WHERE {quote(names[column.name])} IS NULL"
                yield sql, f"rows of {title} without {column.name}"
        unique = {tuple(index.columns) for index in now.indexes if index.unique} | {tuple(now.primary_key)}
        for columns in [was.primary_key, *(tuple(index.columns) for index in was.indexes if index.unique)]:
            key = tuple(names.get(column, "") for column in columns)
            if columns and all(key) and key not in unique:
                listed, known = self._dialect.listed(key), " AND ".join(f"{quote(name)} IS NOT NULL" for name in key)
                inner = f"SELECT 1 FROM {full} WHERE {known} GROUP BY {listed} HAVING COUNT(*) > 1"
                words = f"values of ({', '.join(columns)}) that rows of {title} have in common"
                yield f"SELECT COUNT(*) FROM ({inner}) AS d", words

    def _orphans(self, place: Place, origin: Place, called: Mapping[Place, Place]) -> Iterator[tuple[str, str]]:
        """Count the rows of one table that would refer to none, by the foreign keys that are to come back."""
        now, names = self._now[place], {old: name for name, old in self._columns[place].items()}
        there = {(r.attributes, r.parent, r.parent_attributes) for r in now.references}
        for reference in self._before[origin].references:
            above = called.get(reference.parent, reference.parent)
            back = {old: name for name, old in self._columns.get(above, {}).items()}
            ours = tuple(names.get(a, "") for a in reference.attributes)
            theirs = tuple(back.get(a, "") for a in reference.parent_attributes)
            if all(ours) and all(theirs) and (ours, above, theirs) not in there:
                pairs = zip(theirs, ours, strict=True)
                *_, lost = orphans.rows(self._dialect, self._name(place), self._name(above), pairs, now.primary_key)
                attributes, parent = ", ".join(reference.attributes), self._title(reference.parent)
                title = self._title(origin)
                yield f"SELECT COUNT(*) {lost}", f"rows of {title} whose ({attributes}) is in no row of {parent}"

    def steps(self) -> list[Step]:
        """Give the steps of the way back, under locks that keep others from writing until the last of them."""
        self._stay_hidden()
        was, called = dict(self._now), {origin: place for place, origin in self._tables.items()}
        made = [*self._made(), *self._shown()]
        places = {place for step in made for effect in step.effects for place in touched(effect)}
        joined = {p for p, t in was.items() if p in places or any(r.parent in places for r in t.references)}
        for tables in (was, self._before):
            joined |= {called.get(r.parent, r.parent) for p in places & tables.keys() for r in tables[p].references}
        locks = tuple(f"{self._full(place)} WRITE" for place in sorted(joined & was.keys()))
        return [replace(step, locks=locks, lock="all") for step in made]

    def _stay_hidden(self) -> None:
        """Have tables that are hidden be what they were under the names that hide them, and shown last."""
        self._hidden = {place: name for place, name in self._hidden.items() if place in self._tables}
        called = {place: place for place in self._hidden}
        for place, origin in sorted(self._tables.items()):
            # What was soft-deleted has its foreign keys again before it has its name.
            if place[1].startswith("~") and not origin[1].startswith("~") and self._before[origin].references:
                called[place] = other(origin, {*self._now, *self._before, *called.values()})
                self._hidden[called[place]] = origin
        self._before = applied(self._before, [Renamed(self._tables[p], name) for p, name in called.items()])
        self._tables |= called

    def _shown(self) -> Iterator[Step]:
        """Give hidden tables their names again."""
        if self._hidden:
            effects = [Renamed(place, name) for place, name in self._hidden.items()]
            words = f"show {', '.join(map(self._title, self._hidden))} again"
            yield self._step(renaming(self._dialect, effects), [*self._hidden], words, *effects)

    def _made(self) -> Iterator[Step]:
        yield from self._keys_dropped()
        for place in self.made:
            yield self._step(f"DROP TABLE {self._full(place)}", [place], f"drop {self._title(place)}", Dropped(place))
        for place in self.jobs:
            sql = f"DROP TABLE IF EXISTS {self._full(place)}"
            yield Step(sql, (), f"drop the jobs of {self._title(place)}", effects=(Dropped(place),))
        yield from self._renamed()
        for place in sorted(place for place in self._before if place[1] and place in self._now):
            yield from self._restored(place)
        yield from self._keys_added()

    def _step(self, sql: str, places: list[Place], words: str, *effects: Effect) -> Step:
        step = Step(sql, tuple(self._name(self._hidden.get(p, p)) for p in places), words, effects=effects)
        lost = self.follow(effects)
        assert not lost, lost
        return step

    def _keys_dropped(self) -> Iterator[Step]:
        """Drop the foreign keys that were not there, and those of columns and indexes that change."""
        for place, table in sorted(self._now.items(), key=_by_name):
            gone = [key for key in sorted(table.references) if not self._stays(place, key)]
            if gone:
                sql = ", ".join(f"DROP FOREIGN KEY {self._dialect.quote(key.name)}" for key in gone)
                # In place, InnoDB does not find every key of a table whose name it encodes, as those of Lookup tables.
                sql += "" if re.fullmatch(r"\w+", place[1], re.ASCII) else ", ALGORITHM = COPY"
                clauses = tuple(ForeignKeyDropped(key.name) for key in gone)
                words = f"drop foreign keys of {self._title(place)}"
                yield self._step(f"ALTER TABLE {self._full(place)} {sql}", [place], words, Altered(place, clauses))

    def _stays(self, place: Place, key: Reference) -> bool:
        origin, above = self._tables.get(place), self._tables.get(key.parent, key.parent)
        if origin is None or (key.parent not in self._tables and key.parent in self._now):
            return False
        same = (key.attributes, above, key.parent_attributes)
        found = [(r.attributes, r.parent, r.parent_attributes) for r in self._before[origin].references]
        return same in found and self._is_steady(place, key.attributes) and self._is_steady(key.parent, same[2])

    def _is_steady(self, place: Place, columns: tuple[str, ...]) -> bool:
        """Tell whether some columns of a table are as they were, with what a foreign key of them needs.

        That is the primary key, the indexes that begin with them, and that no column moves.
        """
        if place not in self._tables:
            return True  # of a database that is not ours
        now, was = self._now[place], self._before[self._tables[place]]
        if now is was:
            return True
        known, names = {column.name: column for column in was.columns}, self._columns[place]
        same = all(names.get(c.name) == c.name and is_same(c, known[c.name]) for c in now.columns if c.name in columns)
        stay = [names[column.name] for column in now.columns if column.name in names]
        order = stay == [column.name for column in was.columns if column.name in stay]
        needed = [
            sorted(
                (name, str(index))
                for name, index in zip(t.index_names, t.indexes, strict=True)
                if set(index.columns[: len(columns)]) == set(columns)
            )
            for t in (now, was)
        ]
        return same and order and now.primary_key == was.primary_key and needed[0] == needed[1]

    def _renamed(self) -> Iterator[Step]:
        """Give tables their names again."""
        wrong = {place: origin for place, origin in sorted(self._tables.items()) if place != origin}
        effects = list[Renamed]()
        while wrong:
            free = next((p for p, origin in wrong.items() if origin not in wrong), None)
            if free is None:  # two tables changed names
                free = next(iter(wrong))
                away = (free[0], f"{free[1][:58]}_back_")
                effects.append(Renamed(free, away))
                wrong[away] = wrong.pop(free)
            else:
                effects.append(Renamed(free, wrong.pop(free)))
        if effects:
            places = [effect.new for effect in effects]
            words = f"give {', '.join(self._title(place) for place in places)} their names again"
            yield self._step(renaming(self._dialect, effects), places, words, *effects)

    def _restored(self, place: Place) -> Iterator[Step]:
        """Change a table to what it was, apart from its foreign keys."""
        now, was = self._now[place], self._before[place]
        if now is was or not was.columns:
            return
        sql, clauses = list[str](), list[Clause]()

        def add(text: str, clause: Clause) -> None:
            sql.append(text)
            clauses.append(clause)

        quote, names = self._dialect.quote, self._columns[place]
        mapped = [
            (name, replace(index, columns=tuple(names.get(c, c) for c in index.columns)))
            for name, index in zip(now.index_names, now.indexes, strict=True)
        ]
        wanted = list(zip(was.index_names, was.indexes, strict=True))
        for name, index in mapped:
            if (name, index) not in wanted:
                add(f"DROP INDEX {quote(name)}", IndexDropped(name))
        key_changes = tuple(names.get(c, c) for c in now.primary_key) != was.primary_key
        if key_changes:
            add("DROP PRIMARY KEY", PrimaryKeySet(()))
        self._restore_columns(place, add)
        if key_changes:
            columns = self._dialect.listed(was.primary_key)
            add(f"ADD PRIMARY KEY ({columns})", PrimaryKeySet(was.primary_key))
        for name, index in wanted:
            if (name, index) not in mapped:
                known = IndexName(name, Index(tuple(index.columns), index.unique))
                add(f"ADD {indexes.clause(self._dialect, known)}", IndexAdded(known))
        if now.comment != was.comment:
            add(f"COMMENT = {texts.literal(was.comment)}", CommentSet(was.comment))
        if sql:
            text = f"ALTER TABLE {self._full(place)}\n  " + ",\n  ".join(sql)
            words = f"make {self._title(place)} what it was"
            yield self._step(text, [place], words, Altered(place, tuple(clauses)))

    def _restore_columns(self, place: Place, add: Callable[[str, Clause], None]) -> None:
        now, was, quote = self._now[place], self._before[place], self._dialect.quote
        names = self._columns[place]
        for column in now.columns:
            if column.name not in names:
                add(f"DROP COLUMN {quote(column.name)}", ColumnDropped(column.name))
        present = {names[column.name]: column for column in now.columns if column.name in names}
        moved = list(present) != [column.name for column in was.columns]
        previous = ""
        for column in was.columns:
            one = present[column.name]
            after = previous if moved else None
            where = "" if after is None else f" AFTER {quote(after)}" if after else " FIRST"
            if is_same(named(one, column.name), column) and not moved:
                if one.name != column.name:
                    text = f"RENAME COLUMN {quote(one.name)} TO {quote(column.name)}"
                    add(text, ColumnRenamed(one.name, column.name))
            else:
                declared = self._declared(column)
                text = f"CHANGE COLUMN {quote(one.name)} {definition(self._dialect, declared)}{where}"
                add(text, ColumnChanged(one.name, declared, after))
            previous = column.name

    def _declared(self, column: CatalogColumn | Column) -> Column:
        """Give a column as a statement declares it."""
        if isinstance(column, Column):
            return column
        if "generated" in column.extra:
            raise PipelineError(
                f"{column.name} cannot be made what it was.",
                f"It is {column.stored} {column.extra}, which is not of DataJoint's making.",
                "Go on with migrate, or make it what it was by hand.",
                exit_code=ExitCode.INTERRUPTED,
            )
        default = column.default
        if default is not None and not (_EXPRESSION.match(default) and not notation.is_text(column.stored)):
            binary = re.fullmatch(r"0x([0-9A-Fa-f]*)", default) if column.stored.startswith("binary") else None
            default = f"X'{binary[1]}'" if binary else self._dialect.literal(default)
        sql = f"{column.stored} {column.extra.replace('collation', 'COLLATE')}".rstrip()
        return Column(column.name, sql, _core(column), column.nullable, default, column.comment)

    def _keys_added(self) -> Iterator[Step]:
        """Add the foreign keys that were there."""
        for place, was in sorted(self._before.items(), key=_by_name):
            table = self._now.get(place)
            there = {(r.attributes, r.parent, r.parent_attributes) for r in table.references} if table else set()
            for key in sorted(was.references) if table is not None and table is not was else ():
                if (key.attributes, key.parent, key.parent_attributes) in there:
                    continue
                quote, listed = self._dialect.quote, self._dialect.listed
                if key.words and not _RULE.fullmatch(key.words):
                    raise ValueError(f"no foreign key {key.words!r}")  # somebody may have written it into the record
                rule = key.words.removeprefix("is ").upper() or "ON UPDATE CASCADE ON DELETE RESTRICT"
                texts_, clauses = list[str](), list[Clause]()
                # An index that the server once made for the key would be called after it, unless it is declared.
                for known in self._indexes(place):
                    if known.index == Index(key.attributes):
                        declared = indexes.clause(self._dialect, known)
                        texts_ += [f"DROP INDEX {quote(known.name)}", f"ADD {declared}"]
                        clauses += [IndexDropped(known.name), IndexAdded(known)]
                texts_.append(
                    f"ADD CONSTRAINT {quote(key.name)} FOREIGN KEY ({listed(key.attributes)}) REFERENCES "
                    f"{self._full(key.parent)} ({listed(key.parent_attributes)}) {rule}"
                )
                added = KeyName(key.name, key.attributes, key.parent, key.parent_attributes)
                sql = f"ALTER TABLE {self._full(place)}\n  " + ",\n  ".join(texts_)
                words = f"add foreign key ({', '.join(key.attributes)}) of {self._title(place)}"
                step = self._step(sql, [place], words, Altered(place, (*clauses, ForeignKeyAdded(added, key.words))))
                pairs = zip(key.parent_attributes, key.attributes, strict=True)
                *_, named_by, lost = orphans.rows(
                    self._dialect, self._name(place), self._name(key.parent), pairs, was.primary_key
                )
                yield replace(step, orphans=((self._title(place), self._title(key.parent), named_by, lost),))

    def _indexes(self, place: Place) -> list[IndexName]:
        """Give the indexes that a table has by now."""
        table = self._now[place]
        return [IndexName(name, index) for name, index in zip(table.index_names, table.indexes, strict=True)]

    # --- Names -----------------------------------------------------------------------------------------------------

    def _was(self, place: Place, column: str) -> CatalogColumn | Column | None:
        """Give the column of before that a column is; None for one that was added."""
        name = self._columns[place].get(column)
        return next((c for c in self._before[self._tables[place]].columns if c.name == name), None)

    def _keeps_type(self, one: CatalogColumn | Column, other: CatalogColumn | Column) -> bool:
        renamed = named(one, other.name)
        return is_same(renamed, other) or _stored(one) == _stored(other)

    def _name(self, place: Place) -> TableName:
        return self._dialect.at(place)

    def _title(self, place: Place) -> str:
        return str(self._name(self._hidden.get(place, place)))

    def _full(self, place: Place) -> str:
        return ".".join(map(self._dialect.quote, place))


def _by_name(pair: tuple[Place, CatalogTable]) -> Place:
    return pair[0]


def _stored(column: CatalogColumn | Column) -> str:
    return notation.normal_type(column.sql) if isinstance(column, Column) else column.stored


def _core(column: CatalogColumn | Column) -> str:
    """Give the core type that DataJoint noted of a column, or the server's."""
    if isinstance(column, Column):
        return column.core
    marker = notation.normal_type(notation.split_comment(column.comment)[0])
    return (core_of(marker) if marker else "") or column.stored
