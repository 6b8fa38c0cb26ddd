"""Steps that let DataJoint's job tables follow the tables that they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from ..dialects.base import Dialect
from ..dialects.steps import Column, NewKey, Probe, Step
from ..internals.job_tables import COLUMNS, INDEX, MISSED, PREFIX, comment, key
from ..operations.origins import Origins, resolved
from ..operations.structure import Tables
from ..schema.model import ForeignKey, Table, TableName
from . import filling

_LOST = "jobs with the status error or ignore, which are lost"


def steps(
    before: Tables, after: Tables, origins: Origins, dialect: Dialect
) -> tuple[list[Step], list[tuple[TableName, Probe]]]:
    """Let the job tables follow their tables; to be called when all other steps are made.

    Jobs are kept where the new key of each is known. Otherwise the job table is dropped, and DataJoint makes it anew.

    Returns
    -------
    list of Step
        The steps.
    list of (TableName, Probe)
        Queries that count the jobs that are lost though somebody would miss them; the names are those afterwards.
    """
    names, made, lost = {old: new for new, old in origins.tables.items()}, list[Step](), list[tuple[TableName, Probe]]()
    for old_name, old in before.items():
        job = _of(old_name)
        known = dialect.names.tables.get(dialect.place(job))
        if known is None:
            continue
        # With another key than its table's, a job table is none: a release before this one left it so, or somebody.
        usable = not known.key or {*known.key} == {*key(old)}
        new_name = names.get(old_name)
        new = None if new_name is None else after.get(new_name)
        if new_name is None or new is None or not new.tier.startswith(("Imported", "Computed")):
            lost += [(old_name, _count(dialect, job, f"{_LOST} with the table"))] if usable else []
            made += _called(dialect.drop_table(job), dialect.lacks(job), f"drop the jobs of {old_name}")
            continue
        keys = _Keys.of(old, new, before, after, origins, dialect) if usable else None
        if keys is None:
            lost += [(new_name, _count(dialect, job, f"{_LOST}, as nothing tells their new key"))] if usable else []
            words = f"drop the jobs of {new_name}; DataJoint makes them anew"
            made += _called(dialect.drop_table(job), dialect.lacks(job), words)
        elif keys.only_names:
            made += _renamed(dialect, job, _of(new_name), keys.names, old_name, new_name)
        else:
            changed = keys.new_key(dialect, job, old, new)
            if changed.doubtful:
                words = f"{_LOST}, as no new key is theirs alone"
                lost.append((new_name, _count(dialect, job, words, changed.doubtful)))
            made += dialect.change_key(job, _of(new_name), changed, f"jobs of {new_name}")
    return made, lost


def _of(name: TableName) -> TableName:
    """Give the job table of a table."""
    return TableName(name.schema, PREFIX + name.table.lstrip("_"))


def _count(dialect: Dialect, job: TableName, words: str, condition: str = "TRUE") -> Probe:
    """Give the query for the jobs of a table, as ``j``, that fulfil a condition and are missed."""
    sql = f"SELECT COUNT(*) FROM {dialect.full(job)} AS j WHERE {MISSED} AND ({condition})"
    return Probe("jobs", (), sql, words)


def _renamed(
    dialect: Dialect,
    job: TableName,
    moved: TableName,
    names: Iterable[tuple[str, str]],
    old_name: TableName,
    new_name: TableName,
) -> Iterator[Step]:
    """Rename a job table and attributes of its key."""
    if moved != job:
        words = f"let the jobs of {old_name} follow to {new_name}"
        yield from _called(dialect.rename_table(job, moved), dialect.lacks(job), words)
    if old_name != new_name:
        noted = dialect.change_comment(moved, comment(dialect.full(new_name)))
        yield replace(noted, words=f"say that the jobs are those of {new_name}")
    for name, new in names:
        if name != new:
            sql = f"ALTER TABLE {dialect.full(moved)} RENAME COLUMN {dialect.quote(name)} TO {dialect.quote(new)}"
            words = f"rename {name} to {new} in the jobs of {new_name}"
            yield Step(sql, (moved,), words, done=dialect.lacks(moved, name))


def _called(steps: Iterable[Step], done: str, words: str) -> Iterator[Step]:
    """Give steps, of which the first is called so that it names the table whose jobs they are.

    It is not run where it is done: what becomes of a job table is no part of what is compared after an interruption.
    """
    first, *more = steps
    yield replace(first, words=words, done=done)
    yield from more


# --- Which new key is that of a job -----------------------------------------------------------------------------------


@dataclass
class _Keys:
    """How the key of a job follows from what it was.

    Parameters
    ----------
    names : list of (str, str)
        The attributes that stay, by their names before and afterwards.
    columns, values : dict
        By name afterwards, each column of the key, and the expression for it over the job, ``j``, and what it is joined
        to.
    joins : dict
        Alias of the row of another table, by that table and the foreign key that led there.
    conditions : dict
        Which row that is, by alias.
    telling : set of str
        The attributes of the key before which tell the new one.
    unfit : list of str
        Conditions of jobs, as ``j``, with values that the new key cannot hold.
    only_names : bool
        Whether nothing but names changes, one by one.
    """

    names: list[tuple[str, str]] = field(default_factory=list)
    columns: dict[str, Column] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    joins: dict[tuple[TableName, ForeignKey], str] = field(default_factory=dict)
    conditions: dict[str, str] = field(default_factory=dict)
    telling: set[str] = field(default_factory=set)
    unfit: list[str] = field(default_factory=list)
    only_names: bool = False

    @classmethod
    def of(
        cls, old: Table, new: Table, before: Tables, after: Tables, origins: Origins, dialect: Dialect
    ) -> _Keys | None:
        """Find it; None where nothing tells the new key, or there can be no job table for it.

        Parameters
        ----------
        old, new : Table
            The table before and afterwards.
        before, after : mapping of TableName to Table
            All tables by their names before and afterwards.
        origins : Origins
            What each was before.
        dialect : Dialect
            The server's.
        """
        names, found, same = key(new), cls(), True
        if not names or {*COLUMNS} & {*names}:
            return None
        finding = _Finding(old, new, before, after, origins, dialect, found)
        for name in names:
            found.columns[name] = dialect.column(after, new, new.attribute[name])
            was = origins.attributes.get(new.name, {}).get(name, "")
            if was not in key(old):
                same = False
                value = finding.elsewhere(name)
            else:
                same = same and resolved(before, old.name, was) == resolved(after, new.name, name)
                found.names.append((was, name))
                found.telling.add(was)
                value = None if (new.name, name) in origins.converts else finding.converted(was, found.columns[name])
            if value is None:
                return None
            found.values[name] = value
        swapped = {was for was, _ in found.names} & {now for was, now in found.names if was != now}
        found.only_names = same and {*key(old)} == {was for was, _ in found.names} and not swapped
        return found

    def new_key(self, dialect: Dialect, job: TableName, old: Table, new: Table) -> NewKey:
        """Give it as dialects take it, of a job table and its table before and afterwards."""
        joins = tuple((f"{dialect.full(t)} AS {alias}", self.conditions[alias]) for (t, _), alias in self.joins.items())
        doubtful, telling = list(self.unfit), [f"j.{dialect.quote(name)}" for name in key(old) if name in self.telling]
        if len(telling) < len(key(old)):
            # What other jobs have in common with it.
            same = [f"{one} = o.{one.removeprefix('j.')}" for one in telling]
            where = f" WHERE {' AND '.join(same)}" if same else ""
            doubtful.append(f"(SELECT COUNT(*) FROM {dialect.full(job)} AS o{where}) > 1")
        condition, table = " OR ".join(doubtful), dialect.full(new.name)
        return NewKey(key(old), self.columns, self.values, joins, condition, COLUMNS, INDEX, table)


@dataclass
class _Finding:
    """Finds the values of a job's new key; see :meth:`_Keys.of`."""

    old: Table
    new: Table
    before: Tables
    after: Tables
    origins: Origins
    dialect: Dialect
    found: _Keys

    def converted(self, was: str, will: Column) -> str:
        """Give an attribute of the job's key for a column: nothing, where that cannot hold it."""
        column, one = (
            f"j.{self.dialect.quote(was)}",
            self.dialect.column(self.before, self.old, self.old.attribute[was]),
        )
        if one.core == will.core:
            return self.dialect.cast(will, column)
        unfit = [f"({loss.condition})" for loss in self.dialect.losses(column, one.core, will.core)]
        self.found.unfit += [condition for condition in unfit if condition not in self.found.unfit]
        value = self.dialect.cast(will, self.dialect.conversion(column, one, will) or column)
        return f"CASE WHEN {' OR '.join(unfit)} THEN NULL ELSE {value} END" if unfit else value

    def elsewhere(self, attribute: str) -> str | None:
        """Give what a job gets for an attribute that its key did not have; None where nothing tells it."""
        fill, place = self.origins.fills.get((self.new.name, attribute)), (self.new.name, attribute)
        if fill is not None and fill.value is not None:
            type_ = resolved(self.after, *place)
            literal = filling.literal(type_, *place, fill.value)
            return self.dialect.fill_value(self.found.columns[attribute], literal)
        if fill is not None and fill.of is not None:
            return self._of_row(*fill.of, attribute)
        for one in self.new.foreign_keys:
            if attribute in one.attributes:
                theirs = one.parent_attributes[one.attributes.index(attribute)]
                if (value := self._of_row(one.parent, theirs, attribute)) is not None:
                    return value
        return None

    def _of_row(self, parent: TableName, theirs: str, attribute: str) -> str | None:
        """Give an attribute of the row that the job's key refers to, in a table by its name afterwards."""
        if parent not in self.after or theirs not in self.after[parent].attribute:
            return None
        for one in self.old.foreign_keys:
            if one.parent == self.origins.tables.get(parent) and {*one.attributes} <= {*key(self.old)}:
                alias = self.found.joins.get((parent, one)) or self._joined(parent, one)
                if alias:
                    self.found.telling |= {*one.attributes}
                    value = f"{alias}.{self.dialect.quote(theirs)}"
                    return self.dialect.cast(self.found.columns[attribute], value)
        return None

    def _joined(self, parent: TableName, one: ForeignKey) -> str:
        """Join the row that a job referred to by a foreign key; give its alias, empty where it cannot be found."""
        dialect, table = self.dialect, self.after[parent]
        names = {was: now for now, was in self.origins.attributes.get(parent, {}).items()}
        alias, parts = f"p{len(self.found.joins)}", list[str]()
        for ours, theirs in zip(one.attributes, one.parent_attributes, strict=True):
            now = names.get(theirs, "")
            if now and now in table.attribute and (parent, now) not in self.origins.converts:
                column = dialect.column(self.after, table, table.attribute[now])
                # An expression is not assigned here, but compared.
                value: str = dialect.typed(self.converted(ours, column), column.core)
            else:
                now, value = dialect.retained_name(parent, theirs), f"j.{dialect.quote(ours)}"
                column = dialect.column(self.before, self.old, self.old.attribute[ours])
            if not now:
                return ""
            sides = (f"{alias}.{dialect.quote(now)}", value)
            # Enums of one name may be of two types.
            parts.append(" = ".join(map(dialect.as_text, sides) if column.core.startswith("enum(") else sides))
        self.found.joins[parent, one] = alias
        self.found.conditions[alias] = " AND ".join(parts)
        return alias
