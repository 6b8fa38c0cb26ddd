"""From operations to steps: which statements, in which order across tables, bring one state of the tables to another.

Operations say what becomes of what; the order of statements follows from the two states alone. Foreign keys that a
change disturbs are dropped first and added last, also where the tables they join are equal before and after: a key that
gets another type changes every table below it. This module knows no SQL.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from ..dialects.base import Dialect
from ..dialects.steps import Alteration, Obstacles, ParentFill, Probe, Step
from ..errors import PipelineError
from ..operations.origins import Origins, declared, resolved
from ..operations.structure import SOFT_DELETED_ATTRIBUTE as SOFT_DELETED_ATTRIBUTE
from ..operations.structure import Operation, Tables, trace
from ..operations.topology import dependency_order
from ..schema import notation
from ..schema.model import Attribute, ForeignKey, Table, TableName
from ..schema.naming import shorten, unused
from ..schema.values import Value
from . import filling, parents, probes

#: What stands before the name of a table that was soft-deleted.
SOFT_DELETED_TABLE = "~dropped_"


@dataclass(frozen=True)
class Plan:
    """How one state of the tables becomes another.

    Parameters
    ----------
    steps : list of Step
        The statements, in their order.
    after : dict
        The tables afterwards, with soft-deleted attributes.
    origins : Origins
        What each table and attribute was before.
    alterations : dict
        What changes within each table, by its name afterwards.
    dropped : list of TableName
        Tables that are dropped.
    probes : list of tuple of TableName and Probe
        What would be lost or refused, to be counted before the first step; the names are those afterwards.
    """

    steps: list[Step]
    after: dict[TableName, Table]
    origins: Origins
    alterations: dict[TableName, Alteration]
    dropped: list[TableName]
    probes: list[tuple[TableName, Probe]]


def build(
    before: Tables,
    operations: Iterable[Operation],
    dialect: Dialect,
    *,
    hard: bool = False,
    revive: bool = False,
    lossy: frozenset[tuple[TableName, str]] = frozenset(),
    later: frozenset[tuple[TableName, ForeignKey]] = frozenset(),
    earlier: Mapping[TableName, list[Mapping[str, Value]]] = MappingProxyType({}),
    absent: Collection[TableName] = (),
) -> Plan:
    """Make the steps that apply operations to the tables.

    Parameters
    ----------
    before : mapping of TableName to Table
        The tables as the database has them, hidden attributes included.
    operations : iterable of Operation
        What changes.
    dialect : Dialect
        The server's, made for the tables before and after.
    hard : bool
        Whether what is dropped is deleted for good instead of being soft-deleted.
    revive : bool
        Whether what is added comes back, if it was soft-deleted under its name. What comes back in any case is in the
        operations.
    lossy : frozenset
        Attributes whose values may change: the table afterwards, and the name before or afterwards.
    later : frozenset
        Foreign keys of tables that are there, which somebody else adds (:mod:`online`).
    earlier : mapping of TableName to list of mapping
        Rows that other migrations put in before.
    absent : collection of TableName
        Tables that other migrations are still to make before, and that have no rows then but those of ``earlier``.

    Raises
    ------
    PipelineError
        If the operations lead to no state that a database can have, or to one that no statement leads to.
    """
    after, origins = trace(before, operations)
    parents.refuse_unknown(origins, after)
    origins.earlier |= earlier
    if revive:
        _revive(before, after, origins)
    renamed = {old: new for new, old in origins.tables.items() if old != new}
    middle = parents.renamed(before, renamed)
    alterations = {
        name: alteration
        for name in _values_first(after, origins)
        if name in origins.tables
        and (alteration := _alteration(name, middle, after, origins, dialect, hard, lossy)) is not None
    }
    for name, table in after.items():
        if name in alterations or name not in origins.tables:
            dialect.refuse_too_large(after, table)
    # Until the first step has run, everything has the names before.
    as_is = {n: _as_is(alteration, before[origins.tables[n]], origins) for n, alteration in alterations.items()}
    probed = [(n, found) for n, alteration in as_is.items() for found in probes.probe(dialect, alteration)]
    for name, attribute in origins.fills:
        if name in as_is and attribute in after[name].attribute:
            probed += parents.unfound(dialect, name, attribute, origins, before, after)
    obstacles = {name: dialect.obstacles(alteration) for name, alteration in as_is.items()}
    kept = _undisturbed(middle, after, obstacles, renamed, origins, hard, dialect)
    present = {(name, _follow(name, key, origins)) for name, key in kept}
    undisturbed = frozenset(present)
    dropped = [name for name in reversed(dependency_order(middle.values())) if name not in origins.tables]
    created = [table for name, table in after.items() if name not in origins.tables]
    named: dict[TableName, TableName | None] = {name: None for name in dropped if not hard}
    named |= {old: name for old, name in renamed.items() if name not in alterations}
    probed += [(name or old, found) for old, name in named.items() for found in dialect.renaming(old, name)]
    back = dict(origins.hidden)
    if revive:
        back |= {table.name: old for table in created if (old := _retained(dialect, table))}
    # Somebody may have put rows in without what they refer to, while the server did not look.
    standing = dict[tuple[TableName, ForeignKey], list[tuple[TableName, Probe]]]()
    for name in dependency_order(after.values()):
        for key in after[name].foreign_keys if name in origins.tables or name in back else ():
            # Parents of a table that comes back may have gone meanwhile.
            fresh = name in back or key not in [_follow(name, k, origins) for k in middle[name].foreign_keys]
            if fresh or any((name, attribute) in origins.fills for attribute in key.attributes):
                found = parents.orphans(dialect, name, key, origins, before, after, back, absent)
                if not fresh:  # so that there is no operation to say it of what its parent is to get
                    found = [(n, replace(p, lacks="kept") if p.lacks == "parent" else p) for n, p in found]
                probed += found
            elif key.parent in origins.tables:  # of what is out of sight, nothing is known
                found = parents.orphans(dialect, name, key, origins, before, after, back, absent)
                standing[name, key] = [(n, replace(probe, lacks="row")) for n, probe in found]
    for name, table in after.items():
        had = [_follow(name, k, origins) for k in middle[name].foreign_keys] if name in origins.tables else []
        linked = {n for k in table.foreign_keys if k not in had for n in (name, k.parent) if n in origins.tables}
        probed += [(n, found) for n in sorted(linked, key=str) for found in dialect.linking(origins.tables[n])]
    words = {place: _ruled(dialect, *place, origins, middle) for place in standing if place not in undisturbed}
    probed += [(name, probe) for (name, _), found in words.items() for probe in found]
    steps: list[Step] = []
    soon = _independent(created, before, after, {*alterations, *renamed.values(), *back}) if dialect.makes_first else []
    for name in soon:
        steps += dialect.create_table(after[name])
    for name in reversed(dependency_order(before.values())):
        table, new = before[name], renamed.get(name, name)
        for key in before[name].foreign_keys:
            moved = replace(key, parent=renamed.get(key.parent, key.parent))
            if (new, moved) not in kept:
                # DataJoint shows foreign keys in the order of their names.
                if new == name:
                    dialect.freed[name, _follow(name, moved, origins)] = dialect.key_called(table, key)
                steps += dialect.drop_foreign_key(table, key)
                table = replace(table, foreign_keys=tuple(other for other in table.foreign_keys if other != key))
    for old, new in _in_free_order(renamed, set(before)):
        steps += dialect.rename_table(old, new)
    dialect.state(middle, after)
    for name, alteration in alterations.items():
        # At this point the table has those foreign keys alone that stay through it all.
        stay = tuple(key for key in middle[name].foreign_keys if (name, key) in kept)
        alteration = replace(alteration, before=replace(middle[name], foreign_keys=stay))
        retained = dialect.retained_names(alteration)
        steps += dialect.alter_table(alteration, probes.guards)
        after[name] = _with_retained(dialect, after[name], middle, retained)
    order = dependency_order(after.values())
    for name in order:
        if name not in origins.tables and name not in soon:
            steps += _created(dialect, after[name], back.get(name))
    inserts, changed = list[Step](), {*alterations, *renamed.values(), *(table.name for table in created)}
    for name in order:
        rows = list(parents.insert_rows(dialect, after, name, origins.rows.get(name, [])))
        probed += _inserted(dialect, rows, inserts, changed, origins)
        steps += rows
    for name in order:
        if name in origins.tables:
            for key in after[name].keys_in_order:
                if (name, key) not in present | later:
                    # Rows that are put in need their own parents first, which another of these keys may put in.
                    others = [k for k in after[name].foreign_keys if k != key and (name, k) not in present | later]
                    first = [k for k in others if k.parent in parents.above(after, key.parent)]
                    rows, tried = list[Step](), list[Step]()
                    for k in (*first, key):
                        made = parents.insert_missing(dialect, name, k, origins, before, after)
                        rows += made
                        tried += parents.tried(dialect, name, k, origins, before, after) if name in changed else made
                    probed += _inserted(dialect, tried, inserts, changed, origins)
                    stand = tuple(k for k in after[name].foreign_keys if (name, k) in present)
                    added = dialect.add_foreign_key(replace(after[name], foreign_keys=stand), key)
                    steps += [*rows, *dialect.after_rows(rows, added, name)]
                    present.add((name, key))
    for name in dropped:
        steps += dialect.drop_table(name) if hard else dialect.rename_table(name, retained_name(dialect, name))
    touched = {name for step in steps for name in step.tables}
    valued = {
        name: _sources(alteration, origins)
        for name, alteration in alterations.items()
        if name in touched and _gives_values(alteration)
    }
    steps = dialect.keep_out(steps, before, after, valued, renamed)
    checked = {name for step in steps if step.checks for name in step.tables}
    for (name, key), found in standing.items():
        if name in checked or (name, key) not in undisturbed:
            probed += found
    for name in sorted(checked & origins.tables.keys(), key=str):
        probed += [(name, found) for found in dialect.copying(before, before[origins.tables[name]])]
    return Plan(steps, after, origins, alterations, dropped, probed)


def _ruled(dialect: Dialect, name: TableName, key: ForeignKey, origins: Origins, before: Tables) -> list[Probe]:
    """Say what a foreign key that is made anew does not keep, such as what it does when a parent's row is deleted.

    ``key`` is as it is afterwards, and ``before`` has the tables before by their names afterwards.
    """
    for old in before[name].foreign_keys:
        if _follow(name, old, origins) == key:
            known = dialect.names.tables.get(dialect.place(origins.tables[name]))
            parent = dialect.place(origins.tables[key.parent]) if key.parent in origins.tables else None
            for one in known.foreign_keys if known else ():
                if one.words and (one.attributes, one.parent) == (old.attributes, parent):
                    text = f"({', '.join(one.attributes)}) {one.words}"
                    sql = f"SELECT 1, {dialect.literal(text)}"
                    return [Probe("named", (), sql, "foreign keys that become what DataJoint declares")]
    return []


def _values_first(after: Tables, origins: Origins) -> list[TableName]:
    """Order tables such that each comes after those that it takes values from."""
    sources: dict[TableName, set[TableName]] = {}
    for (name, _), fill in origins.fills.items():
        if fill.of is not None:
            sources.setdefault(name, set()).add(fill.of[0])
    if not any(name in parents.above(after, source) for name, found in sources.items() for source in found):
        return dependency_order(after.values(), sources)
    # A value comes along a foreign key that is turned round. Then only those keys count by which others come.
    taken = {place for place, fill in origins.fills.items() if fill.parent}
    tables = [
        replace(t, foreign_keys=tuple(k for k in t.foreign_keys if any((t.name, a) in taken for a in k.attributes)))
        for t in after.values()
    ]
    return dependency_order(tables, sources)


def _inserted(
    dialect: Dialect, rows: list[Step], before: list[Step], changed: Collection[TableName], origins: Origins
) -> list[tuple[TableName, Probe]]:
    """Give the queries for what refuses or replaces rows that are put in, after those of ``before``.

    These are added to that. Rows are tried only where no statement on the tables comes first, so that they can be put
    in at once.
    """
    before += rows
    tables = dict.fromkeys(name for step in rows for name in step.tables)
    there = [name for name in tables if name in origins.tables]
    found = [(name, probe) for name in there for probe in dialect.putting_in(origins.tables[name])]
    if not {name for step in before for name in step.tables} & set(changed):
        found += [(name, probe) for name in tables for probe in dialect.inserting(name, before)]
    return found


def _gives_values(alteration: Alteration) -> bool:
    """Tell whether the rows of a table get values.

    An attribute that takes the name of one that goes has its values in another form.
    """
    takes = not {*alteration.renamed.values()}.isdisjoint(alteration.before.attribute)
    return bool(alteration.converts or alteration.fills or takes)


def _sources(alteration: Alteration, origins: Origins) -> set[TableName]:
    """Give the tables that the values are taken from and that are there before, by their names afterwards."""
    parents = {fill.parent for fill in alteration.fills.values() if isinstance(fill, ParentFill)}
    return parents & origins.tables.keys()


def _independent(
    created: Iterable[Table], before: Tables, after: Tables, changed: Collection[TableName]
) -> list[TableName]:
    """Find the new tables that can be made before anything else; ``changed`` has the names of tables that change."""
    found: list[TableName] = []
    for name in dependency_order(after.values()):
        table = next((table for table in created if table.name == name), None)
        if table is not None and not {name} & {*before, *changed}:
            parents = {key.parent for key in table.foreign_keys} - {name, *found}
            if all(parent in before and parent in after and parent not in changed for parent in parents):
                found.append(name)
    return found


def retained_name(dialect: Dialect, name: TableName) -> TableName:
    """Give the name of a soft-deleted table: hidden from DataJoint, in its schema."""
    database = dialect.place(name)[0]
    taken = {table for place, table in dialect.names.tables if place == database}
    return TableName(name.schema, unused(shorten(SOFT_DELETED_TABLE + name.table), taken))


def _retained(dialect: Dialect, table: Table) -> TableName | None:
    """Find a soft-deleted table, if it is there and has the attributes that it should have."""
    old = TableName(table.name.schema, shorten(SOFT_DELETED_TABLE + table.name.table))
    known = dialect.names.tables.get(dialect.place(old))
    return old if known is not None and is_table(known.columns, table) else None


def is_table(columns: Iterable[str], table: Table) -> bool:
    """Tell whether the columns of a soft-deleted table are those of a table.

    Those that are hidden and that the table has not do not count: soft-deleted ones, or what somebody added by hand.
    """
    found, wanted = set(columns), {name for name in table.attribute if not name.startswith(SOFT_DELETED_ATTRIBUTE)}
    return wanted <= found and all(name.startswith("_") for name in found - wanted)


def _created(dialect: Dialect, table: Table, old: TableName | None) -> list[Step]:
    """Make a new table, or bring back the soft-deleted one, ``old``."""
    if old is None:
        return dialect.create_table(table)
    steps = [*dialect.rename_table(old, table.name), *dialect.restored_table(table)]
    keys = tuple(table.keys_in_order)
    for number, key in enumerate(keys):
        steps += dialect.add_foreign_key(replace(table, foreign_keys=keys[:number]), key)
    return steps


def _revive(before: Tables, after: dict[TableName, Table], origins: Origins) -> None:
    """Let attributes that are added be the soft-deleted ones of their name and type, where there are such."""
    for name, table in after.items():
        old = before.get(origins.tables.get(name, name))
        known = origins.attributes.get(name, {})
        for attribute in table.attributes if old is not None else ():
            hidden = shorten(SOFT_DELETED_ATTRIBUTE + attribute.name)
            there = old.attribute.get(hidden) if old is not None else None
            if attribute.name not in known and there is not None:
                declared = resolved(before, name, hidden) if there.inherited else there.type
                if attribute.inherited or declared == attribute.type:
                    known[attribute.name] = hidden
                    attributes = tuple(a for a in after[name].attributes if a.name != hidden)
                    after[name] = replace(after[name], attributes=attributes)


def _with_retained(dialect: Dialect, after: Table, before: Tables, names: Mapping[str, str]) -> Table:
    """Give a table afterwards with its soft-deleted attributes; ``names`` has their new names by those before."""
    table = before[after.name]
    # The key that brings an attribute goes; what comes next in the same run has to know its type all the same.
    kept = {new: dialect.without_key(before, table, table.attribute[old]) for old, new in names.items()}
    more = [replace(attribute, name=new, nullable=True, default=None) for new, attribute in kept.items()]
    return replace(after, attributes=(*after.attributes, *more)) if more else after


def _as_is(alteration: Alteration, before: Table, origins: Origins) -> Alteration:
    """Give an alteration with every table by its name before, as the probes need it."""
    fills = {
        name: replace(fill, parent=origins.tables.get(fill.parent, fill.parent))
        if isinstance(fill, ParentFill)
        else fill
        for name, fill in alteration.fills.items()
    }
    return replace(alteration, before=before, fills=fills)


def _in_free_order(renamed: Mapping[TableName, TableName], taken: set[TableName]) -> list[tuple[TableName, TableName]]:
    """Order renames such that each new name is free.

    Raises
    ------
    PipelineError
        If tables exchange their names, as several migrations can have them do that are planned as one.
    """
    waiting, order = dict(renamed), list[tuple[TableName, TableName]]()
    while waiting:
        old = next((old for old, new in waiting.items() if new not in taken), None)
        if old is None:
            names = ", ".join(f"{old} = {new}" for old, new in waiting.items())
            raise PipelineError(
                "Tables exchange their names.",
                f"That cannot be done in one step: {names}.",
                "First run migrate SCHEMA --to the version in between.",
            )
        order.append((old, waiting[old]))
        taken = (taken - {old}) | {waiting.pop(old)}
    return order


def _alteration(
    name: TableName,
    before: Tables,
    after: Tables,
    origins: Origins,
    dialect: Dialect,
    hard: bool,
    lossy: frozenset[tuple[TableName, str]],
) -> Alteration | None:
    """Give the change inside a table, apart from its foreign keys; None where there is none.

    ``before`` and ``after`` are keyed by the names afterwards.
    """
    old, new = before[name], after[name]
    was = origins.attributes.get(name, {})
    renamed = {old_name: new_name for new_name, old_name in was.items() if old_name != new_name}
    same = replace(old, foreign_keys=()) == replace(new, foreign_keys=()) and not renamed
    converts = {a: dialect.words(sql) for (table, a), sql in origins.converts.items() if table == name}
    may_change = [renamed.get(attribute, attribute) for table, attribute in lossy if table == name]
    for attribute in may_change:
        if attribute in new.attribute and attribute not in converts:
            converts |= _cut(dialect, before, old, was.get(attribute, ""), attribute, resolved(after, name, attribute))
    if same and not converts and not any(_declared_anew(name, a, before, after, origins) for a in new.attribute):
        return None
    fills = {
        attribute: filling.column_fill(fill, name, attribute, before, after, origins, dialect)
        for (table, attribute), fill in origins.fills.items()
        if table == name and attribute in new.attribute
    }
    stay = set(was.values())
    kept = tuple(a.name for a in old.attributes if a.name not in stay and not hard and not _of_datajoint(a))
    return Alteration(
        before=old,
        after=new,
        renamed=renamed,
        fills=fills,
        converts=converts,
        kept=kept,
        lossy=tuple(may_change),
    )


def _declared_anew(name: TableName, attribute: str, before: Tables, after: Tables, origins: Origins) -> bool:
    """Tell whether an attribute that is the same changes with the table that declares it.

    An enum has its type in the schema of that table.
    """
    was, will = declared(before, name, attribute), declared(after, name, attribute)
    moved = origins.tables.get(will[2], will[2]).schema != will[2].schema
    return was[:2] != will[:2] or (moved and will[0].startswith("enum"))


def _cut(dialect: Dialect, before: Tables, table: Table, old: str, attribute: str, type_: str) -> dict[str, str]:
    """Give the expression that cuts values to the beginning of their texts, by attribute; empty for what is no text.

    ``old`` is the attribute's name before, empty where it has none, and ``type_`` its type afterwards.
    """
    size = notation.text_size(type_)
    if size is None or not old:
        return {}
    core = dialect.column(before, table, table.attribute[old]).core
    return {attribute: f"LEFT({dialect.text_of(dialect.quote(attribute), core)}, {size})"}


def _of_datajoint(attribute: Attribute) -> bool:
    """Tell whether DataJoint itself added an attribute; nobody misses the values of those."""
    return attribute.hidden and not attribute.name.startswith(SOFT_DELETED_ATTRIBUTE)


def _follow(name: TableName, key: ForeignKey, origins: Origins) -> ForeignKey:
    """Give a foreign key by the names that its attributes have afterwards.

    One that is gone has the name of none, also where another has its name now.
    """

    def names(table: TableName, attributes: tuple[str, ...]) -> tuple[str, ...]:
        known = origins.attributes.get(table, {})
        new = {**{name: f"~{name}" for name in known}, **{was: name for name, was in known.items()}}
        return tuple(new.get(attribute, attribute) for attribute in attributes)

    return replace(
        key, attributes=names(name, key.attributes), parent_attributes=names(key.parent, key.parent_attributes)
    )


def _undisturbed(
    before: Tables,
    after: Tables,
    obstacles: Mapping[TableName, Obstacles],
    renamed: Mapping[TableName, TableName],
    origins: Origins,
    hard: bool,
    dialect: Dialect,
) -> set[tuple[TableName, ForeignKey]]:
    """Find the foreign keys, by their attributes before, that stay while everything else is done."""
    disturbed = {
        (name, replace(key, parent=renamed.get(key.parent, key.parent)))
        for name, found in obstacles.items()
        for key in found.own
    }
    closed = {name for name, found in obstacles.items() if found.incoming}
    kept = set()
    for name, table in before.items():
        for key in table.foreign_keys:
            followed = _follow(name, key, origins)
            dropped = name not in after
            # A soft-deleted table must not hold on to rows that others want to delete.
            if (dropped and not hard) or (not dropped and followed not in after[name].foreign_keys):
                continue
            if (
                (name, key) in disturbed
                or key.parent in closed
                or (key.parent in before and key.parent not in after and not dropped)
            ):
                continue
            if key.parent in after and _key_changes(key, followed, before, after, dialect):
                continue
            # Rows are put in after values are given, which may refer to them.
            if key.parent in origins.rows and any((name, a) in origins.fills for a in followed.attributes):
                continue
            pairs = zip(key.attributes, followed.attributes, strict=True)
            if dropped or all(dialect.keeps_column(before, (name, a), after, (name, b)) for a, b in pairs):
                kept.add((name, key))
    return kept


def _key_changes(key: ForeignKey, followed: ForeignKey, before: Tables, after: Tables, dialect: Dialect) -> bool:
    """Tell whether the primary key that a foreign key leads to is another one afterwards, or of other types."""
    old, new = before[key.parent], after[key.parent]
    names = dict(zip(key.parent_attributes, followed.parent_attributes, strict=True))
    if tuple(names.get(name, name) for name in old.primary_key) != new.primary_key:
        return True
    pairs = zip(key.parent_attributes, followed.parent_attributes, strict=True)
    return any(not dialect.keeps_column(before, (key.parent, a), after, (key.parent, b)) for a, b in pairs)
