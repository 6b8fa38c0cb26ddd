"""Changes a table of MySQL in as few statements as can be, each of them with the cheapest algorithm that there is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from ...operations.structure import SOFT_DELETED_ATTRIBUTE
from ...schema import notation
from ...schema.model import TableName
from ...schema.naming import unused
from ..base import Dialect, Guards
from ..constraints import index_changes
from ..steps import Alteration, Change, Column, GeneratedFill, LiteralFill, ParentFill, Step, with_rows
from . import characters, collations, defaults, engines, indexes, orphans, untaken
from .clauses import COPY, INPLACE, INSTANT, REBUILD, Clauses, alter, definition
from .effects import (
    Clause,
    ColumnAdded,
    ColumnChanged,
    ColumnDropped,
    ColumnRenamed,
    CommentSet,
    DefaultSet,
    PrimaryKeySet,
)
from .limits import letter_bytes, refuse_parts, refuse_row
from .texts import noted


def conversions(dialect: Dialect, alteration: Alteration, change: Change) -> dict[str, str]:
    """Give expressions for values that the server would not convert by itself, by the names afterwards."""
    expressions = dict(alteration.converts)
    for name in change.retyped - set(expressions):
        was, will = change.was[name], change.will[name]
        expression = dialect.conversion(dialect.quote(change.old[name]), was, will)
        if expression is None and was.nullable and not will.nullable and name in alteration.fills:
            expression = dialect.quote(change.old[name])  # the old type need not hold what rows get
        if expression is not None:
            expressions[name] = expression
    return expressions


def constant(dialect: Dialect, alteration: Alteration, column: Column) -> str | None:
    """Give the value that a new column can be given as its default, so that no row is updated."""
    fill = alteration.fills.get(column.name)
    if isinstance(fill, LiteralFill) and not re.search(r"blob|text|json|^bytes", column.sql):
        return dialect.value(column.core, fill.value)
    return None


def updated(dialect: Dialect, alteration: Alteration, change: Change) -> set[str]:
    """Give the columns, by name afterwards, that rows are updated for; of one that is there, perhaps only its nulls."""
    found = set(conversions(dialect, alteration, change))
    for name in alteration.fills:
        is_new = name not in change.was
        if constant(dialect, alteration, change.will[name]) is None if is_new else change.was[name].nullable:
            found.add(name)
    return found


def _of_renamed(sql: str, quote: Callable[[str], str], names: Mapping[str, str]) -> str:
    """Give a clause on a column as it is once columns have other names."""
    for old, new in names.items():
        for word in ("CHANGE", "DROP"):
            if f"{sql} ".startswith(f"{word} COLUMN {quote(old)} "):
                return f"{word} COLUMN {quote(new)}{sql.removeprefix(f'{word} COLUMN {quote(old)}')}"
    return sql


def _renamed(made: Clause, names: Mapping[str, str]) -> Clause:
    """Give what a clause on a column makes once columns have other names."""
    match made:
        case ColumnChanged(old=old):
            return replace(made, old=names.get(old, old))
        case ColumnDropped(name=name):
            return replace(made, name=names.get(name, name))
    return made


class TableAlteration:
    """The steps of one alteration: guards, columns that need values first, the values, everything else, defaults.

    Parameters
    ----------
    dialect : Dialect
        MySQL's; its names follow the alteration.
    alteration : Alteration
        What changes. The table has its new name already, its columns have their old ones.
    """

    def __init__(self, dialect: Dialect, alteration: Alteration) -> None:
        self.dialect, self.name, self.place = dialect, alteration.after.name, dialect.place(alteration.after.name)
        self.change = dialect.change(replace(alteration, before=replace(alteration.before, name=self.name)))
        self.alteration = dialect.calling(alteration, self.change.renamed)
        self.converts = conversions(dialect, self.alteration, self.change)
        self.quote, self.full = dialect.quote, dialect.full(self.name)
        #: Columns of the table as they are in their order, by their names afterwards.
        new = {old: name for name, old in self.change.old.items()} | self.change.kept
        self.order = [new[a.name] for a in alteration.before.attributes if a.name in new]
        #: Columns that are added first: their names until then, by those afterwards.
        self.early: dict[str, str] = {}
        #: What updates call tables, as LOCK TABLES takes it.
        self.aliases: list[str] = []
        #: The rows that would get nothing of a parent where they need it.
        self.orphans: list[tuple[str, str, str, str]] = []

    def steps(self, guards: Guards) -> list[Step]:
        """Give the steps, those of ``guards`` first."""
        before = replace(self.alteration.before, name=self.name)
        first = guards(self.dialect, replace(self.alteration, before=before))
        # What the server would change without an error nobody may write between the count and the change.
        first[:1] = [step.alone((), f"{self.full} WRITE") for step in first[:1]]
        early, updates = self._early(), self._updates()
        if self.dialect.judges:
            self._refuse()
        rest = [*first, *self._main(updates)]
        if self.alteration.lossy:  # what rows lose is read once more when nobody can write
            rest[:1] = [step.alone((), f"{self.full} WRITE") for step in rest[:1]]
        return [*early, *updates, *rest]

    def _refuse(self) -> None:
        """Raise where the server would refuse columns, or make others of them."""
        engines.refuse(self.dialect, [self.name])
        self._refuse_too_large()
        was = {(c.name, c.sql, c.default) for c in self.change.was.values()}
        # What the server has by now, whoever made it, it took.
        fresh = [c for c in self.change.will.values() if (c.name, c.sql, c.default) not in was]
        untaken.refuse(str(self.name), [c for n, c in self.change.will.items() if c != self.change.was.get(n)])
        if self.alteration.after.comment != self.alteration.before.comment:
            untaken.refuse_comment(str(self.name), self.alteration.after.comment)
        defaults.refuse(str(self.name), fresh)
        collations.refuse_enums(self.dialect, self.name, fresh)
        characters.refuse(self.dialect, self.name, [*characters.of_definitions(fresh), *self._given()])

    def _given(self) -> Iterator[tuple[str, str]]:
        """Give the texts that rows get as a migration has them, each with its attribute."""
        for name, fill in self.alteration.fills.items():
            if isinstance(fill, LiteralFill) and notation.is_text(self.change.will[name].core):
                yield name, fill.value

    def _refuse_too_large(self) -> None:
        """Raise where what is soft-deleted, or stays while values are converted, leaves too little for the rest."""
        before, change = self.alteration.before, self.change
        dropped, retained = (
            [self.dialect.column(self.dialect.before, before, before.attribute[name]) for name in names]
            for names in (change.dropped, change.kept)
        )
        places = [replace(change.will[name], nullable=True) for name in self.early]
        width = letter_bytes(self.dialect.names, self.place)
        old_format = self.dialect.names.table(self.place).old_format
        if old_format:
            keys = [change.after.primary_key, *(index.columns for index in self.dialect.expected(change.after))]
            refuse_parts(str(self.name), change.will, keys, width)
        hidden = len(retained) + sum(name.startswith(SOFT_DELETED_ATTRIBUTE) for name in change.will)
        nullable = [replace(column, nullable=True) for column in retained]
        refuse_row(str(self.name), [*change.will.values(), *nullable], width, hidden, old_format)
        if places:
            together = [*change.was.values(), *dropped, *retained, *places]
            refuse_row(str(self.name), together, width, len(self.converts), old_format)

    def _constant(self, column: Column) -> str | None:
        return constant(self.dialect, self.alteration, column)

    def _early(self) -> list[Step]:
        """Add the columns that get values before everything else, nullable until then."""
        clauses, previous = Clauses(), ""
        for attribute in self.alteration.after.attributes:
            name, column = attribute.name, self.change.will[attribute.name]
            new = name not in self.change.was
            if name in self.converts or (new and name in self.alteration.fills and self._constant(column) is None):
                kept = self.change.kept
                taken = {*self.change.old.values(), *self.change.dropped, *kept, *kept.values()}
                self.early[name] = unused(f"_new_{name}" if name in taken else name, taken)
                where = f"AFTER {self.quote(previous)}" if previous else "FIRST"
                place_for = replace(column, name=self.early[name], nullable=True)
                added = ColumnAdded(place_for, previous)
                text = f"ADD COLUMN {definition(self.dialect, place_for)} {where}"
                clauses.add(text, INSTANT, f"add a place for {name}", added)
                if new:
                    place = self.order.index(self._new(previous)) + 1 if previous else 0
                    self.order.insert(place, name)
                previous = self.early[name]
            elif not new:
                previous = self.change.old[name]
        clauses.counted = True
        return [replace(step, open=True) for step in alter(self.dialect, self.name, clauses)]

    def _new(self, current: str) -> str:
        """Give the name afterwards of a column, by its present one."""
        names = {old: name for name, old in {**self.change.old, **self.early}.items()}
        return names[current]

    def _updates(self) -> list[Step]:
        """Give rows their values."""
        steps: list[Step] = []
        for name, column in self.change.will.items():
            fill = self.alteration.fills.get(name)
            if name in self.early:
                target, condition = self.early[name], ""
            elif name in self.change.was and fill and self.change.was[name].nullable:
                target = self.change.old[name]
                condition = f" WHERE {self.quote(target)} IS NULL"
            else:
                continue
            old = self.change.old.get(name, "")
            if isinstance(fill, ParentFill) and name not in self.converts:
                steps.append(self._from_parent(name, target, fill, condition))
                continue
            if isinstance(fill, GeneratedFill) and name not in self.converts:
                steps.append(self._each(name, target, column, fill, condition))
                continue
            value = self.dialect.fill_value(column, fill)
            if name in self.converts:
                if value is not None:
                    value = f"COALESCE({self.converts[name]}, {value})"
                else:  # a value that somebody sets to null after the first of these updates is null after the last one
                    value = f"IF({self.quote(old)} IS NULL, NULL, {self.converts[name]})"
            sql = f"UPDATE {self.full} SET {self.quote(target)} = {value}{condition}"
            steps.append(Step(sql, (self.name,), f"fill {name} in {self.name}", lock="writes", open=name in self.early))
        return steps

    def _from_parent(self, name: str, target: str, fill: ParentFill, condition: str) -> Step:
        theirs, pairs = self.dialect.from_parent(fill)
        ours, above = self._alias(self.name, "c"), self._alias(fill.parent, "p")
        on = " AND ".join(f"{above}.{self.quote(parent)} = {ours}.{self.quote(a)}" for parent, a in pairs)
        parent, value = self.dialect.full(fill.parent), f"{above}.{self.quote(theirs)}"
        condition = condition.replace("WHERE ", f"WHERE {ours}.")
        key = self.alteration.before.primary_key
        self.orphans.append(orphans.rows(self.dialect, self.name, fill.parent, pairs, key))
        self.aliases += [f"{self.full} AS {ours} WRITE", f"{parent} AS {above} READ"]
        column = f"{ours}.{self.quote(target)}"
        if fill.unique:
            sql = f"UPDATE {self.full} {ours} JOIN {parent} {above} ON {on} SET {column} = {value}{condition}"
        else:
            # A second row of the parent is an error here, not a choice.
            value = f"(SELECT {value} FROM {parent} {above} WHERE {on})"
            sql = f"UPDATE {self.full} {ours} SET {column} = {value}{condition}"
        words = f"fill {name} in {self.name} from {fill.parent}"
        return Step(sql, (self.name,), words, lock="writes", open=name in self.early)

    def _alias(self, table: TableName, letter: str) -> str:
        """Give what an update calls a table; of tables that are locked together, no two may have the same alias."""
        return self.quote(f"{letter}~{table.table}")

    def _each(self, name: str, target: str, column: Column, fill: GeneratedFill, condition: str) -> Step:
        sql = f"UPDATE {self.full} SET {self.quote(target)} = {self.dialect.unique_id(column)}{condition}"
        if fill.kind == "number":
            key = [self.quote(a) for a in self.alteration.before.primary_key]
            ours = self._alias(self.name, "c")
            first = self.dialect.numbered(column, self.quote(target), self.change.old.get(name, ""))
            number = f"{first}ROW_NUMBER() OVER (ORDER BY {', '.join(key)})"
            numbered = f"SELECT {', '.join(key)}, {number} AS `~` FROM {self.full}"
            on = " AND ".join(f"n.{a} = {ours}.{a}" for a in key)
            condition = condition.replace("WHERE ", f"WHERE {ours}.")
            self.aliases.append(f"{self.full} AS {ours} WRITE")
            place = f"{ours}.{self.quote(target)}"
            sql = f"UPDATE {self.full} {ours} JOIN ({numbered}) n ON {on} SET {place} = n.`~`{condition}"
        words = f"give each row of {self.name} its own {name}"
        return Step(sql, (self.name,), words, lock="writes", open=name in self.early)

    def _main(self, updates: list[Step]) -> list[Step]:
        """Do everything else, in one statement where it takes long."""
        after, columns = self.alteration.after, Clauses()
        drops, adds, together = self._index_clauses()
        late = Clauses()
        self._removals(columns)
        self._columns(columns, late)
        if after.comment != self.alteration.before.comment:
            comment = f"COMMENT = {noted(str(after.name), after.comment)}"
            adds.add(comment, INPLACE, "change the comment", CommentSet(after.comment))
        first = [*self._tightened(columns), *self._key_renames(columns, together)]
        if columns.rank >= REBUILD or together or not columns.sql:
            # The first of these steps gives columns other names than the updates have, or makes them required.
            steps = self._alone([*first, *alter(self.dialect, self.name, drops, columns, adds)], updates)
        else:
            # Columns alone take an instant or little more, and indexes do not write the table.
            steps = [step for group in (drops, columns, adds) for step in alter(self.dialect, self.name, group)]
            steps = first + steps
        return steps + alter(self.dialect, self.name, late)

    def _alone(self, steps: list[Step], updates: list[Step]) -> list[Step]:
        """Give steps such that rows that others wrote since the updates get their values before the first of them.

        Until then a worker with the code of before may give a row a value that would go with its column, or none.
        """
        found = with_rows(updates, steps, f"{self.full} WRITE", *self.aliases)
        return [replace(step, orphans=tuple(self.orphans)) for step in found[:1]] + found[1:]

    def _tightened(self, columns: Clauses) -> list[Step]:
        """Require the columns of foreign keys first that become required: that cannot go with a copy of the table."""
        clauses = Clauses()
        for name, old in self.change.old.items():
            was, will = self.change.was[name], self.change.will.get(name)
            required = will is not None and was.nullable and not will.nullable
            if columns.rank < COPY or not required or name in self.converts or not self._in_key(old):
                continue
            column = replace(was, name=old, nullable=False, default=None)
            text = f"CHANGE COLUMN {self.quote(old)} {definition(self.dialect, column)}"
            clauses.add(text, REBUILD, f"require {old}", ColumnChanged(old, column))
        return alter(self.dialect, self.name, clauses)

    def _key_renames(self, columns: Clauses, together: bool) -> list[Step]:
        """Rename the columns of foreign keys first.

        That cannot go with a change of the indexes that these keys need, nor with a table that is written anew, after
        which the server no longer finds the keys. ``columns`` then has the new names.
        """
        if columns.rank < REBUILD and not columns.counted and not together:
            return []
        old, kept = self.change.old, self.change.kept
        moves = {o: n for n, o in old.items() if o != n and self._in_key(o) and n not in self.converts}
        # What has one of these names by now gets its own, or one that is free until it goes.
        present, new = {*old.values(), *self.change.dropped, *kept}, {o: n for n, o in old.items()} | kept
        while taken := {*moves.values()} & present - moves.keys():
            for name in sorted(taken):
                free = {*present, *self.change.will, *kept.values(), *self.early.values(), *moves.values()}
                goes = name in self.change.dropped or new[name] in self.converts
                moves[name] = unused(f"_old_{name}", free) if goes else new[name]
        renames = Clauses()
        for name, will in moves.items():
            text = f"RENAME COLUMN {self.quote(name)} TO {self.quote(will)}"
            phrase = f"soft-delete {name}" if name in kept else f"rename {name} to {will}"
            renames.add(text, INPLACE, phrase, ColumnRenamed(name, will))
        rest = [
            (_of_renamed(sql, self.quote, moves), phrase, _renamed(made, moves))
            for sql, phrase, made in zip(columns.sql, columns.words, columns.effects, strict=True)
            if made not in renames.effects
        ]
        columns.sql = [sql for sql, _, _ in rest]
        columns.words = [phrase for _, phrase, _ in rest]
        columns.effects = [made for _, _, made in rest]
        return alter(self.dialect, self.name, renames)

    def _index_clauses(self) -> tuple[Clauses, Clauses, bool]:
        """Give the clauses that drop and add indexes and primary key, and whether both must be one statement."""
        drops, adds, change = Clauses(), Clauses(), self.change
        dropped, added = index_changes(change.indexes, change.target)
        for index in change.target:
            # The index of a column that gives way to a converted one would lose it.
            if index not in added and set(index.columns) & set(self.converts):
                dropped.append(index)
                added.append(index)
        # Names are those before until the columns are renamed, which is in the same statement or later.
        names = []
        for index in dropped:
            old = replace(index, columns=change.before(index.columns))
            names.append(self.dialect.names.index(self.place, old))
            indexes.drop(self.dialect, drops, names[-1], old.columns)
        new = {old: name for name, old in change.old.items()}
        left = [
            replace(known, index=replace(known.index, columns=tuple(new.get(c, c) for c in known.index.columns)))
            for known in self.dialect.names.table(self.place).indexes
            if known.name not in names
        ]
        for index in added:
            indexes.add(self.dialect, adds, left, index)
        key = self.alteration.after.primary_key
        if change.table.primary_key != key or set(key) & set(self.converts):
            drops.add("DROP PRIMARY KEY", REBUILD, "change the primary key", PrimaryKeySet(()))
            added_key = f"ADD PRIMARY KEY ({self.dialect.listed(key)})"
            adds.add(added_key, REBUILD, "change the primary key", PrimaryKeySet(key))
        self.dialect.follow(change, self.place, left)
        needed = [k.attributes for k in change.table.foreign_keys]
        needs_one = any(index.columns[: len(columns)] == columns for index in dropped for columns in needed)
        return drops, adds, needs_one or max(drops.rank, adds.rank) >= REBUILD

    def _removals(self, columns: Clauses) -> None:
        """Add the clauses for columns that are dropped, converted or soft-deleted."""
        before = self.alteration.before
        for name in self.change.dropped:
            columns.add(f"DROP COLUMN {self.quote(name)}", INSTANT, f"drop {name}", ColumnDropped(name))
            columns.counted = True
        for name in self.converts:
            old = self.change.old[name]
            columns.add(f"DROP COLUMN {self.quote(old)}", INSTANT, f"convert {name}", ColumnDropped(old))
            columns.counted = True
        for name, retained in self.change.kept.items():
            attribute = before.attribute[name]
            phrase = f"soft-delete {name}"
            if attribute.nullable:
                text = f"RENAME COLUMN {self.quote(name)} TO {self.quote(retained)}"
                columns.add(text, INSTANT, phrase, ColumnRenamed(name, retained))
            else:
                column = self.dialect.column(self.dialect.before, before, attribute)
                column = replace(column, name=retained, nullable=True)
                text = f"CHANGE COLUMN {self.quote(name)} {definition(self.dialect, column)}"
                columns.add(text, REBUILD, phrase, ColumnChanged(name, column))

    def _columns(self, clauses: Clauses, late: Clauses) -> None:
        """Add the clauses for columns that are added, moved, renamed or changed, in their order afterwards."""
        moved = self._moved()
        previous = ""
        for name, column in self.change.will.items():
            after: str | None = None
            if name in moved or (name not in self.change.was and name not in self.early):
                after = None if column.name.startswith("_") else previous
            if not name.startswith("_"):
                previous = name
            if name in self.converts:
                after = self._before_of(name) if after is None else after
                text = f"CHANGE COLUMN {self.quote(self.early[name])} {definition(self.dialect, column)}"
                changed = ColumnChanged(self.early[name], column, after)
                clauses.add(f"{text}{self._where(after)}", REBUILD, f"convert {name}", changed)
            elif name in self.early:
                if not column.nullable or after is not None or self.early[name] != name:
                    rank = REBUILD if after is not None or not column.nullable else INSTANT
                    text = f"CHANGE COLUMN {self.quote(self.early[name])} {definition(self.dialect, column)}"
                    changed = ColumnChanged(self.early[name], column, after)
                    clauses.add(f"{text}{self._where(after)}", rank, f"add {name}", changed)
            elif name not in self.change.was:
                self._add(clauses, late, name, column, after)
            else:
                self._modify(clauses, name, column, after)

    def _before_of(self, name: str) -> str:
        """Give the column that stands before another afterwards; empty for the first."""
        names = [n for n in self.change.will if not n.startswith("_")]
        return names[names.index(name) - 1] if name in names and names.index(name) else ""

    def _where(self, after: str | None) -> str:
        """Give the end of a clause that puts a column behind another one, or first where that is empty."""
        return "" if after is None else f" AFTER {self.quote(after)}" if after else " FIRST"

    def _add(self, clauses: Clauses, late: Clauses, name: str, column: Column, after: str | None) -> None:
        """Add a column, with the value for existing rows as its default where there is one."""
        constant = None if column.nullable and name not in self.alteration.fills else self._constant(column)
        shown = column
        if constant is not None and constant != column.default:
            shown = replace(column, default=constant, nullable=False)
            if column.nullable:
                text = f"MODIFY COLUMN {definition(self.dialect, column)}"
                late.add(text, REBUILD, f"let {name} be null", ColumnChanged(name, column))
            else:
                self._set_default(late, name, column)
        text = f"ADD COLUMN {definition(self.dialect, shown)}{self._where(after)}"
        clauses.add(text, INSTANT, f"add {name}", ColumnAdded(shown, after))
        clauses.counted = True

    def _set_default(self, clauses: Clauses, name: str, column: Column) -> None:
        default = "DROP DEFAULT" if column.default is None else f"SET DEFAULT {column.default}"
        text, effect = f"ALTER COLUMN {self.quote(name)} {default}", DefaultSet(name, column.default)
        clauses.add(text, INSTANT, f"change the default of {name}", effect)

    def _modify(self, clauses: Clauses, name: str, column: Column, after: str | None) -> None:
        """Change a column where anything of it is another afterwards."""
        was, old = self.change.was[name], self.change.old[name]
        if was == column and after is None:
            if old != name:
                renaming = f"RENAME COLUMN {self.quote(old)} TO {self.quote(name)}"
                rank = INPLACE if self._in_key(old) else INSTANT
                clauses.add(renaming, rank, f"rename {old} to {name}", ColumnRenamed(old, name))
            return
        phrase = f"change {name}" if old == name else f"rename {old} to {name}"
        rank = max(self._rank(was, column), REBUILD if after is not None else INSTANT)
        rank = max(rank, INPLACE) if old != name and self._in_key(old) else rank
        plain = replace(was, default=column.default) == column and after is None and old == name
        # A default that is computed leaves a mark in the catalogue, unless the whole column is declared anew.
        computed = any((c.default or "").upper().startswith(("CURRENT_TIMESTAMP", "(")) for c in (was, column))
        if plain and not computed:
            self._set_default(clauses, name, column)
        else:
            text = f"CHANGE COLUMN {self.quote(old)} {definition(self.dialect, column)}{self._where(after)}"
            clauses.add(text, rank, phrase, ColumnChanged(old, column, after))

    def _in_key(self, old: str) -> bool:
        """Tell whether a column, by its name before, belongs to a foreign key or is what one leads to."""
        tables = self.dialect.names.tables
        name = {was: new for new, was in self.change.old.items()}[old]  # names are followed already
        if any(name in key.attributes for key in tables[self.place].foreign_keys):
            return True
        keys = [key for table in tables.values() for key in table.foreign_keys]
        return any(key.parent == self.place and name in key.parent_attributes for key in keys)

    def _moved(self) -> set[str]:
        """Find the columns that must be put elsewhere: all but the longest run that is in order already."""
        visible = [name for name in self.change.will if not name.startswith("_")]
        place = {name: number for number, name in enumerate(visible)}
        standing = [name for name in self.order if name in place and name not in self.converts]
        # For each column, how long the longest run is that ends with it, and the run.
        runs: list[tuple[int, list[str]]] = [(0, [])]
        for name in standing:
            length, run = max(found for found in runs if not found[1] or place[found[1][-1]] < place[name])
            runs.append((length + 1, [*run, name]))
        return set(standing) - set(max(runs)[1])

    def _rank(self, was: Column, will: Column) -> int:
        """Give the algorithm that changing a column in its place needs."""
        rank = REBUILD if was.nullable != will.nullable else INSTANT
        if was.sql == will.sql:
            return rank
        old, new = (re.fullmatch(r"varchar\((\d+)\)", column.sql) for column in (was, will))
        if old and new and int(new[1]) >= int(old[1]):
            width = letter_bytes(self.dialect.names, self.place)
            if (int(old[1]) * width > 255) == (int(new[1]) * width > 255):
                return max(rank, INPLACE)
        if was.sql.startswith("enum(") and will.sql.startswith("enum("):
            values, more = notation.enum_values(was.sql), notation.enum_values(will.sql)
            if more[: len(values)] == values and (len(values) > 255) == (len(more) > 255):
                return rank
        return COPY
