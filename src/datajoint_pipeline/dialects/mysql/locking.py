"""Which steps of MySQL nobody may write between, and whom they turn away.

There is no transaction around statements on tables. So from the first that disturbs others to the last, the tables are
locked, together with those that foreign keys join to them. Whoever waits for them meanwhile was asked by the code of
before; a value of his must not land in a column that has a new meaning. So where rows got values, the table has another
name for the instant in which they are let in, and the server refuses them.

A lock ends with its session. Where foreign keys are taken off meanwhile, code of before would go on without them if
that session was killed, and rows would lose their parents. So there the tables have the other name from the first step;
but for those that a trigger names which the steps fire.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from ...schema.model import Table, TableName
from ...schema.naming import shorten, unused
from ..base import Dialect
from ..introspection import Place
from ..steps import ROWS, Step
from .clauses import renaming
from .effects import Altered, Created, Dropped, Effect, ForeignKeyAdded, ForeignKeyDropped, Renamed, numbered

#: What the name of a table ends in meanwhile.
_AWAY = "_away"

#: Such a name, with its table's own unless that is long.
HIDDEN = re.compile(rf"(.+){_AWAY}(?:_\d+)?")

#: A name that is never made longer: those of foreign keys begin with it, and the server has a limit for them.
_SHORT = 40

#: A table with its database in a statement; or another name, or a text, which are to be passed over.
_TABLE = re.compile(
    r"(`(?:[^`]|``)+`\.`(?:[^`]|``)+`)|`(?:[^`]|``)+`|'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"", re.DOTALL
)


def keep_out(
    dialect: Dialect, steps: list[Step], states: Iterable[Table], valued: Mapping[TableName, set[TableName]]
) -> list[Step]:
    """Give steps such that nobody writes between the first that disturbs others and the last.

    Parameters
    ----------
    dialect : Dialect
        MySQL's, whose names are those after the steps.
    steps : list of Step
        The steps.
    states : iterable of Table
        The tables before and afterwards.
    valued : mapping of TableName to set of TableName
        Tables whose rows get values, each with those that these are taken from, by their names afterwards.
    """
    back = _coming_back([effect for step in steps for effect in step.effects])
    if not valued and not back and not any(step.locks for step in steps):
        return steps
    states = list(states)
    first = next(number for number, step in enumerate(steps) if not step.open)
    disturbed = {name for step in steps[first:] for name in step.tables}
    turned = {name for name in valued if name in disturbed}
    turned |= {source for name in turned for source in valued[name]}
    joined = disturbed | turned
    for table in states:
        parents = {key.parent for key in table.foreign_keys}
        joined |= parents if table.name in disturbed else set()
        joined |= {table.name} if parents & disturbed else set()
    named = [lock for step in steps[first:] for lock in step.locks]
    # A table that is renamed or soft-deleted is locked by the name that it has until then.
    moved = [effect.old for step in steps[first:] for effect in step.effects if isinstance(effect, Renamed)]
    named += [f"{'.'.join(map(dialect.quote, place))} WRITE" for place in moved]
    locks = tuple(dict.fromkeys([*named, *(f"{dialect.full(name)} WRITE" for name in sorted(joined))]))
    # The server makes no table under locks; others are let in for that.
    held = [s if s.sql.startswith("CREATE") else replace(s, locks=locks, lock="all") for s in steps[first:]]
    away = _Away(dialect, {dialect.place(table.name) for table in states})
    return [*steps[:first], *away.around(held, {dialect.place(name) for name in turned}, back, locks)]


class _Away:
    """Gives tables another name for a while.

    Parameters
    ----------
    dialect : Dialect
        MySQL's, whose names are those after all steps.
    taken : set of Place
        What tables are called before and afterwards.
    """

    def __init__(self, dialect: Dialect, taken: set[Place]) -> None:
        self._dialect, self._taken = dialect, taken | set(dialect.names.tables)
        #: By each name that a hidden table would have by then, the one that it has.
        self._names: dict[Place, Place] = {}

    def around(self, steps: list[Step], turned: set[Place], back: set[Place], locks: tuple[str, ...]) -> list[Step]:
        """Give steps with those that hide tables and show them again.

        Parameters
        ----------
        steps : list of Step
            What is done under locks.
        turned : set of Place
            Tables that are hidden at the end in any case, by their names afterwards.
        back : set of Place
            What :func:`_coming_back` gives.
        locks : tuple of str
            The locks, by the names that tables have without being hidden.
        """
        effects = [effect for step in steps for effect in step.effects]
        was, ours = _followed(effects), {*self._dialect.databases.values()}
        turned = {was.get(place, place) for place in turned}
        losing = {place for place in _without_keys(effects, was) if place[0] in ours}
        ends = {then: now for now, then in was.items()}
        now = turned | losing if losing or back else set[Place]()
        # Where no rows are changed meanwhile, no trigger fires but for others, who are turned away so.
        fires = bool(turned) or any(ROWS.match(sql) for step in steps for sql in (*step.first, step.sql))
        shown = {place for place in now if not self._may_hide(place, ends.get(place, place), fires=fires)}
        now -= shown
        self._names = {place: self._other(place) for place in sorted(now)}
        hidden, made = set(now), list[Step]()
        for step in steps:
            for effect in step.effects:
                match effect:
                    case Renamed(old, new) if old in hidden or (new in back and _is_dropped(old)):
                        hidden -= {old}
                        if not _is_dropped(new):
                            self._names.setdefault(new, self._other(new))
                            hidden |= {new}
                    case Created(place=place) if place in self._names:
                        hidden |= {place}
                    case Dropped(place):
                        hidden -= {place}
            exposed = shown & _losing_keys(step.effects)
            made.append(_warning(self._moved(step), {self._dialect.at(ends.get(p, p)) for p in exposed}))
        # The others have another name for the instant in which those who waited are let in.
        rest = {ends.get(place, place) for place in turned - now}
        until = "until the foreign keys are there again: who reads or writes meanwhile gets an error"
        waited = "for a moment, so that whoever waited to write gets an error"
        held = tuple(map(self._text, locks))
        self._names |= {place: self._other(place) for place in sorted(rest)}
        return [
            *self._hide({place: self._names[place] for place in sorted(now)}, until, locks, ends),
            *made,
            *self._hide({place: self._names[place] for place in sorted(rest)}, waited, held, {}),
            *self._show(sorted(hidden | rest)),
        ]

    def _hide(
        self, names: Mapping[Place, Place], words: str, locks: tuple[str, ...], ends: Mapping[Place, Place]
    ) -> list[Step]:
        """Give tables other names; ``ends`` has what some are called afterwards."""
        called = [ends.get(place, place) for place in names]
        tables = tuple(
            self._dialect.at(place if _is_dropped(end) else end) for place, end in zip(names, called, strict=True)
        )
        step = self._renaming(names, tables, f"hide {_listed(tables)} {words}", hides=True)
        return [replace(step, lock="all", locks=locks)] if names else []

    def _show(self, places: list[Place]) -> list[Step]:
        """Give tables the names that they have without being hidden."""
        tables, names = tuple(map(self._dialect.at, places)), {self._names[place]: place for place in places}
        return [self._renaming(names, tables, f"show {_listed(tables)} again")] if names else []

    def _renaming(
        self, names: Mapping[Place, Place], tables: tuple[TableName, ...], words: str, *, hides: bool = False
    ) -> Step:
        effects = tuple(Renamed(old, new, hides) for old, new in names.items())
        return Step(renaming(self._dialect, effects), tables, words, effects=effects)

    def _other(self, place: Place) -> Place:
        found = other(place, self._taken)
        self._taken.add(found)
        return found

    def _may_hide(self, place: Place, end: Place, *, fires: bool) -> bool:
        """Tell whether a table can have another name, whose triggers do not follow it into another schema.

        And whether no trigger names it that ``fires`` meanwhile, and would not find it.
        """
        known = self._dialect.names.tables.get(end)
        return known is None or not ((fires and known.in_triggers) or (known.audited and place[0] != end[0]))

    def _full(self, place: Place) -> str:
        return ".".join(map(self._dialect.quote, place))

    # --- What is done while they are hidden --------------------------------------------------------------------------

    def _moved(self, step: Step) -> Step:
        """Give a step for tables by their other names."""
        sql = self._text(step.sql)
        for effect in step.effects:
            for name, new in self._keys_renamed(effect).items():
                drop = "DROP FOREIGN KEY "
                sql = sql.replace(drop + self._dialect.quote(name), drop + self._dialect.quote(new))
        return replace(
            step,
            sql=sql,
            first=tuple(map(self._text, step.first)),
            locks=tuple(map(self._text, step.locks)),
            orphans=tuple((child, parent, key, self._text(source)) for child, parent, key, source in step.orphans),
            effects=tuple(map(self._effect, step.effects)),
        )

    def _text(self, text: str) -> str:
        full = {self._full(old): self._full(new) for old, new in self._names.items()}
        return _TABLE.sub(lambda match: full.get(match[1], match[0]), text)

    def _keys_renamed(self, effect: Effect) -> dict[str, str]:
        """Give the names of the foreign keys that are dropped which the server changed with that of the table."""
        if not isinstance(effect, Altered) or effect.place not in self._names:
            return {}
        names = [clause.name for clause in effect.clauses if isinstance(clause, ForeignKeyDropped)]
        return {name: numbered(name, effect.place[1], self._names[effect.place][1]) for name in names}

    def _effect(self, effect: Effect) -> Effect:
        names = self._names
        match effect:
            case Renamed(old, new):
                return Renamed(names.get(old, old), names.get(new, new), new in names)
            case Dropped(place):
                return Dropped(names.get(place, place))
            case Created(place):
                keys = tuple(replace(key, parent=names.get(key.parent, key.parent)) for key in effect.foreign_keys)
                return replace(effect, place=names.get(place, place), foreign_keys=keys)
            case Altered(place, clauses):
                renamed, changed = self._keys_renamed(effect), list(clauses)
                for number, clause in enumerate(clauses):
                    match clause:
                        case ForeignKeyDropped(name):
                            changed[number] = replace(clause, name=renamed.get(name, name))
                        case ForeignKeyAdded(key):
                            key = replace(key, parent=names.get(key.parent, key.parent))
                            changed[number] = replace(clause, key=key)
                return Altered(names.get(place, place), tuple(changed))


def _losing_keys(effects: Iterable[Effect]) -> set[Place]:
    """Give the tables that lose a foreign key, and those that it led to."""
    found = set[Place]()
    for effect in [effect for effect in effects if isinstance(effect, Altered)]:
        for clause in effect.clauses:
            if isinstance(clause, ForeignKeyDropped) and clause.parent is not None:
                found |= {effect.place, clause.parent}
    return found


def _warning(step: Step, tables: Collection[TableName]) -> Step:
    """Give a step that says of tables without foreign keys that they cannot be hidden from who writes to them."""
    if not tables:
        return step
    why = (
        f"triggers keep {_listed(tables)} from being hidden: if this is killed, run it again before others write there"
    )
    return replace(step, words=f"{step.words} ({why})")


def _followed(effects: Iterable[Effect]) -> dict[Place, Place]:
    """Give the names before of the tables that are renamed, by those afterwards."""
    was = dict[Place, Place]()
    for effect in effects:
        if isinstance(effect, Renamed):
            was[effect.new] = was.pop(effect.old, effect.old)
    return was


def _without_keys(effects: Iterable[Effect], was: Mapping[Place, Place]) -> set[Place]:
    """Find the tables that are without foreign keys for a while, and their parents, by their names before.

    What loses one for good needs it no more, unless it is soft-deleted, as it may come back.
    """
    gone, added = set[tuple[Place, Place]](), set[tuple[Place, Place]]()
    for effect in [effect for effect in effects if isinstance(effect, Altered)]:
        for clause in effect.clauses:
            if isinstance(clause, ForeignKeyDropped) and clause.parent is not None:
                gone.add((effect.place, clause.parent))
            elif isinstance(clause, ForeignKeyAdded):
                parent = clause.key.parent
                added.add((was.get(effect.place, effect.place), was.get(parent, parent)))
    changed = {child for child, _ in added} | {was[place] for place in was if _is_dropped(place)}
    children = {child for child, _ in gone} & changed
    return children | {parent for _, parent in gone & added}


def _coming_back(effects: list[Effect]) -> set[Place]:
    """Find the soft-deleted tables that come back and get foreign keys only then, by their names afterwards."""
    altered = [effect for effect in effects if isinstance(effect, Altered)]
    added = {e.place for e in altered if any(isinstance(clause, ForeignKeyAdded) for clause in e.clauses)}
    return {e.new for e in effects if isinstance(e, Renamed) and _is_dropped(e.old)} & added


def _is_dropped(place: Place) -> bool:
    return place[1].startswith("~")


def other(place: Place, taken: Iterable[Place]) -> Place:
    """Give a name to hide a table by, in its database; ``taken`` are those that it cannot be."""
    database, table = place
    size = max(_SHORT, len(table.encode()))
    used = {name for there, name in taken if there == database}
    return database, unused(shorten(table, size - len(_AWAY)) + _AWAY, used, size)


def _listed(tables: Iterable[TableName]) -> str:
    return ", ".join(map(str, sorted(tables)))
