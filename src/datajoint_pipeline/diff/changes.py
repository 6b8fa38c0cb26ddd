"""Compares two states of a pipeline: the difference as operations, and the questions that only a person can answer.

A table or attribute that goes while a like one comes may be a rename or two things that have nothing to do with each
other; one keeps the values, the other loses them. So that is asked, never assumed. What follows from an answer is not
asked again: a renamed key carries the tables below it along.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from ..errors import PipelineError
from ..operations.base import named
from ..operations.structure import (
    SOFT_DELETED_ATTRIBUTE,
    AddAttribute,
    AddForeignKey,
    AddIndex,
    AlterAttribute,
    ChangeComment,
    ChangePrimaryKey,
    CreateTable,
    DropAttribute,
    DropForeignKey,
    DropIndex,
    DropTable,
    Operation,
    OrderAttributes,
    RenameAttribute,
    RenameTable,
    Tables,
    apply,
)
from ..operations.topology import dependency_order
from ..schema.compatibility import family
from ..schema.model import Attribute, ForeignKey, Table, TableName
from .questions import Answers, Question, codec_of
from .questions import fill as fill_of
from .questions import missing as missing_rows
from .questions import origin as origin_of

#: What to do where names are exchanged.
EXCHANGE = (
    "Do it in two migrations: give one of them a temporary name in the code and revise, then the final one and revise."
)


@dataclass(frozen=True)
class Changes:
    """Operations in an order that is safe, and what is still to be asked."""

    operations: list[Operation]
    questions: list[Question]


def difference(before: Tables, after: Tables, answers: Answers | None = None) -> Changes:
    """Compare two states of a pipeline.

    Parameters
    ----------
    before, after : mapping of TableName to Table
        Every table of every schema.
    answers : Answers, optional
        What is known already.

    Returns
    -------
    Changes
        Applied to ``before``, the operations give ``after``. Nothing is proposed for equal things.
    """
    answers = answers or Answers()
    questions: list[Question] = []
    operations: list[Operation] = _table_renames(before, after, answers, questions)
    tables = apply(operations, before)
    target = {name: keeping_hidden(tables.get(name), table) for name, table in after.items()}
    common = [name for name in dependency_order(target.values()) if name in tables]

    renames = _attribute_renames(tables, target, common, answers, questions)
    operations += renames
    tables = renamed = apply(renames, tables)

    removals: list[Operation] = []
    for name in reversed(dependency_order(tables.values())):
        if name in target:  # those of a table that goes, go with it
            keeps = target[name].foreign_keys
            removals += [DropForeignKey(name, key) for key in tables[name].foreign_keys if key not in keeps]
    for name in common:
        removals += [DropIndex(name, i) for i in tables[name].indexes if i not in target[name].indexes]
    operations += removals
    tables = apply(removals, tables)

    alterations = [op for name in common for op in _within(tables[name], target, renamed, answers, questions)]
    made = [CreateTable(name, target[name]) for name in dependency_order(target.values()) if name not in tables]
    # What a new table is to have of an attribute that goes is copied by a statement between the two.
    making = {operation.table.schema for operation in made}
    early, late = list[Operation](), list[Operation]()
    for operation in alterations:
        waits = isinstance(operation, (DropAttribute, OrderAttributes)) and operation.table.schema in making
        (late if waits else early).append(operation)
    shaped = [*early, *made, *late]
    operations += shaped
    tables = apply(shaped, tables)

    additions: list[Operation] = []
    for name in common:
        additions += [AddIndex(name, i) for i in target[name].indexes if i not in tables[name].indexes]
        for key in target[name].foreign_keys:
            if key not in tables[name].foreign_keys:
                missing, also = missing_rows(renamed, target, name, key, answers, questions)
                additions.append(AddForeignKey(name, key, missing, also))
    gone = [name for name in reversed(dependency_order(tables.values())) if name not in target]
    additions += [DropTable(name) for name in gone]
    return Changes([*operations, *additions], questions)


def keeping_hidden(table: Table | None, target: Table) -> Table:
    """Give the target with the hidden attributes that the table has.

    Which of them DataJoint adds depends on its settings on the day of the declaration, and a later day is no reason to
    drop one. A soft-deleted attribute is never added.
    """
    present = {} if table is None else table.attribute
    key = () if table is None else table.primary_key
    shown = [a for a in target.attributes if a.name in present or not a.name.startswith(SOFT_DELETED_ATTRIBUTE)]
    extra = [a for a in present.values() if a.hidden and a.name not in target.attribute and a.name not in key]
    return replace(target, attributes=(*shown, *extra))


# --- Tables --------------------------------------------------------------------------------------------------------


def _table_renames(before: Tables, after: Tables, answers: Answers, questions: list[Question]) -> list[Operation]:
    """Give the renames that are answered or certain, ordered so that no name is taken twice; ask about the others."""
    pairs = {old: new for old, new in answers.tables.items() if old in before and new in after and old != new}
    gone = [before[name] for name in sorted(before, key=str) if name not in after and name not in pairs]
    come = [after[name] for name in sorted(after, key=str) if name not in before and name not in pairs.values()]
    for old in gone:
        # The same class in the same schema under another prefix has changed its tier and nothing else.
        for new in come:
            if (old.name.schema, old.title) == (new.name.schema, new.title) and new.name not in pairs.values():
                pairs[old.name] = new.name
    for old in gone:
        if old.name in pairs or (old.name, None) in answers.drops or (old.master and old.master in pairs):
            continue
        scores = {new.name: _table_score(old, new) for new in come if new.name not in pairs.values()}
        likely = sorted((n for n in scores if scores[n] >= 0.5), key=lambda n: (-scores[n], str(n)))
        if likely:
            spoken = tuple(f"{n.schema}.{after[n].title}" for n in likely)
            questions.append(Question("rename-table", old.name, "", spoken, tuple(likely)))
    return _in_free_order(before, pairs)


def _in_free_order(before: Tables, pairs: dict[TableName, TableName]) -> list[Operation]:
    operations: list[Operation] = []
    tables = dict(before)
    waiting = {old: new for old, new in pairs.items() if not _follows(before[old], pairs, new)}
    while waiting:
        # A part goes along with its master, before it gets a name of its own.
        free = sorted(
            (old for old, new in waiting.items() if new not in tables), key=lambda n: tables[n].master in waiting
        )
        if not free:
            names = ", ".join(f"{old} = {new}" for old, new in waiting.items())
            raise PipelineError("Tables exchange their names.", f"That cannot be done in one step: {names}.", EXCHANGE)
        operation = RenameTable(free[0], waiting.pop(free[0]))
        along = operation.names(tables)
        waiting = {along.get(old, old): new for old, new in waiting.items()}
        tables = operation.apply(tables)
        operations.append(operation)
    return operations


def _follows(part: Table, pairs: Mapping[TableName, TableName], new: TableName) -> bool:
    """Say whether a part gets its new name by the rename of its master alone."""
    master = pairs.get(part.master) if part.master else None
    if master is None or part.master is None:
        return False
    return new == TableName(master.schema, master.table + part.name.table.removeprefix(part.master.table))


def _table_score(old: Table, new: Table) -> float:
    """Say how likely a table is another one renamed, from 0 to 1, by the share of attributes in both."""
    ours = {(a.name, a.type) for a in old.attributes if not a.hidden}
    theirs = {(a.name, a.type) for a in new.attributes if not a.hidden}
    shared = len(ours & theirs) / max(len(ours | theirs), 1)
    own, other = (table.title.rpartition(".")[2] for table in (old, new))
    return 0.75 * shared + 0.25 * SequenceMatcher(None, own, other).ratio()


# --- Attributes ------------------------------------------------------------------------------------------------------


def _attribute_renames(
    before: Tables, after: Tables, common: list[TableName], answers: Answers, questions: list[Question]
) -> list[Operation]:
    """Give the renames of attributes that are answered, or implied by the foreign key that brings the attribute; ask
    about the others.
    """
    operations: list[Operation] = []
    renames: dict[TableName, dict[str, str]] = {}
    for name in common:
        old, new = before[name], after[name]
        gone = [a.name for a in old.attributes if a.name not in new.attribute]
        come = [a.name for a in new.attributes if a.name not in old.attribute]
        answered = {a: b for (table, a), b in answers.attributes.items() if table == name and a != b}
        answered = {a: b for a, b in answered.items() if a in old.attribute and b in new.attribute}
        dropped = {attribute for table, attribute in answers.drops if table == name and attribute is not None}
        vacant = sorted({b for b in answered.values() if b in old.attribute and b in dropped} - answered.keys())
        pairs = {a: b for a, b in answered.items() if b in come or b in answered or b in vacant}
        implied, unclear = _implied(old, new, renames, pairs, dropped)
        for old_name, new_name in (*implied, *_same_origin(name, gone, come, before, after, renames)):
            if old_name in gone and new_name in come and old_name not in pairs and new_name not in pairs.values():
                pairs[old_name] = new_name
        renames[name] = pairs
        operations += [*_vacated(old, new, vacant, pairs, before), *_free_renames(name, pairs)]
        come = [attribute for attribute in come if attribute not in pairs.values()]
        for attribute in gone:
            if (
                attribute not in pairs
                and (name, attribute) not in answers.drops
                and not old.attribute[attribute].hidden
                and (attribute in unclear or not _follows_parent(old, attribute, before, after))
            ):
                shown = [new_name for new_name in come if not new.attribute[new_name].hidden]
                may_be = [new_name for new_name in shown if new_name in unclear.get(attribute, shown)]
                likely = _likely(old, new, attribute, may_be)
                if likely:
                    questions.append(Question("rename", name, attribute, likely))
    return operations


def _vacated(
    old: Table, new: Table, vacant: list[str], pairs: Mapping[str, str], before: Tables
) -> Iterator[Operation]:
    """Give what drops attributes whose names others get.

    Raises
    ------
    PipelineError
        If other tables refer to one of them: their rows have its values, and would seem to refer to the other's.
    """
    if not vacant:
        return
    taking = {new_name: old_name for old_name, new_name in pairs.items()}
    key = tuple(taking[a] if a in vacant else a for a in old.primary_key if a not in vacant or a in new.primary_key)
    below = sorted(str(table.name) for table in before.values() for k in table.foreign_keys if k.parent == old.name)
    if key != old.primary_key:
        gone = next(a for a in old.primary_key if a in vacant)
        if below or not key:
            raise PipelineError(
                f"{taking[gone]} cannot take the place of {gone} in {old.name} at once.",
                f"{gone} is in the primary key"
                + (f", and {below[0]} refers to it." if below else ", and nothing else is."),
                f"Do it in two migrations: take {gone} out of the key and the code, revise and migrate, then rename.",
            )
    yield from (DropForeignKey(old.name, k) for k in old.foreign_keys if not set(vacant).isdisjoint(k.attributes))
    yield from (DropIndex(old.name, i) for i in old.indexes if not set(vacant).isdisjoint(named(i)))
    if key != old.primary_key:
        yield ChangePrimaryKey(old.name, old.primary_key, key)
    yield from (DropAttribute(old.name, attribute) for attribute in vacant)


def _free_renames(name: TableName, pairs: Mapping[str, str]) -> list[Operation]:
    """Order renames so that each new name is free."""
    operations, waiting = list[Operation](), dict(pairs)
    while waiting:
        free = next((old for old, new in waiting.items() if new not in waiting), None)
        if free is None:
            names = ", ".join(f"{old} = {new}" for old, new in waiting.items())
            raise PipelineError(
                f"Attributes of {name} exchange their names.",
                f"That cannot be done in one step: {names}.",
                EXCHANGE,
            )
        operations.append(RenameAttribute(name, free, waiting.pop(free)))
    return operations


def _same_origin(
    name: TableName,
    gone: list[str],
    come: list[str],
    before: Tables,
    after: Tables,
    renames: Mapping[TableName, Mapping[str, str]],
) -> list[tuple[str, str]]:
    """Pair the names of an attribute of one ancestor that another foreign key brings afterwards."""
    comes = Counter(origin_of(after, name, a) for a in come if after[name].attribute[a].inherited)
    goes = {a: origin_of(before, name, a) for a in gone if before[name].attribute[a].inherited}
    pairs = []
    for attribute, (there, old_name) in goes.items():
        origin = there, renames.get(there, {}).get(old_name, old_name)
        if comes[origin] == 1 and list(goes.values()).count((there, old_name)) == 1:
            pairs += [(attribute, a) for a in come if origin_of(after, name, a) == origin]
    return pairs


def _follows_parent(old: Table, attribute: str, before: Tables, after: Tables) -> bool:
    """Say whether an attribute goes because its parent's goes, or leaves the key: one answer holds for both."""
    above = [
        (key.parent, key.parent_attributes[key.attributes.index(attribute)])
        for key in old.foreign_keys
        if attribute in key.attributes and key.parent in before and key.parent in after
    ]
    return old.attribute[attribute].inherited and any(theirs not in after[p].primary_key for p, theirs in above)


def _implied(
    old: Table, new: Table, renames: Mapping[TableName, Mapping[str, str]], pairs: Mapping[str, str], dropped: set[str]
) -> tuple[list[tuple[str, str]], dict[str, list[str]]]:
    """Pair the names that foreign keys to the same attribute of the same parent give, before and after.

    Where a parent has several such keys that may be each other, also give the names that each attribute may have got.
    """
    left, olds = list(new.foreign_keys), [k for k in old.foreign_keys if dropped.isdisjoint(k.attributes)]
    found: list[tuple[str, str]] = []

    def alike(key: ForeignKey, other: ForeignKey) -> tuple[int, bool]:
        """Say how many names they share, and whether both use the parent's name, which may have changed by now."""
        shared = {pairs.get(attribute, attribute) for attribute in key.attributes} & set(other.attributes)
        return len(shared), all(k.attributes == k.parent_attributes for k in (key, other))

    def names(key: ForeignKey, other: ForeignKey) -> list[tuple[str, str]]:
        above, theirs = renames.get(key.parent, {}), dict(zip(other.parent_attributes, other.attributes, strict=True))
        both = zip(key.attributes, key.parent_attributes, strict=True)
        return [(a, theirs[b]) for a, parent in both if (b := above.get(parent, parent)) in theirs]

    while True:
        scores = {(k, o): alike(k, o) for k in olds for o in left if k.parent == o.parent}
        best = [
            pair
            for pair, score in scores.items()
            if not any(score <= s and pair != p and (pair[0] == p[0] or pair[1] == p[1]) for p, s in scores.items())
        ]
        if not best:
            break
        for key, other in best:
            found += [(a, b) for a, b in names(key, other) if a != b]
            olds.remove(key)
            left.remove(other)
    unclear: dict[str, list[str]] = {}
    for key, other in scores:
        for a, b in names(key, other):
            unclear.setdefault(a, []).append(b)
    return found, unclear


def _likely(old: Table, new: Table, gone: str, come: list[str]) -> tuple[str, ...]:
    """Give the names that an attribute may have got, the likeliest first."""
    scores = {name: _score(old, new, old.attribute[gone], new.attribute[name]) for name in come}
    return tuple(sorted((n for n in scores if scores[n] >= 0.3), key=lambda n: (-scores[n], n)))


def _score(old: Table, new: Table, gone: Attribute, come: Attribute) -> float:
    """Say how likely an attribute is another one renamed, from 0 to 1, by type, section, neighbours, comment, name."""
    if gone.inherited != come.inherited or family(gone.type) != family(come.type):
        return 0.0

    def neighbours(table: Table, name: str) -> set[str]:
        names = [attribute.name for attribute in table.attributes]
        place = names.index(name)
        return {*names[max(0, place - 1) : place], *names[place + 1 : place + 2]}

    shared = neighbours(old, gone.name) & neighbours(new, come.name)
    return (
        0.3 * (gone.type == come.type)
        + 0.2 * ((gone.name in old.primary_key) == (come.name in new.primary_key))
        + 0.1 * len(shared)
        + 0.15 * (bool(gone.comment) and gone.comment == come.comment)
        + 0.15 * SequenceMatcher(None, gone.name, come.name).ratio()
    )


def _within(
    before: Table, after: Tables, renamed: Tables, answers: Answers, questions: list[Question]
) -> list[Operation]:
    """Compare a table before and after, without foreign keys and indexes; ``renamed`` has all tables before, by the
    names afterwards, with their foreign keys.
    """
    name, target, operations = before.name, after[before.name], list[Operation]()
    if before.comment != target.comment:
        operations.append(ChangeComment(name, before.comment, target.comment))
    previous: str | None = None
    for attribute in target.attributes:
        old = before.attribute.get(attribute.name)
        if old is None:
            given = fill_of(name, attribute, after, renamed, answers, questions)
            operations.append(AddAttribute(name, attribute, previous, given))
        elif old != attribute:
            fill = answers.fills.get((name, attribute.name))
            if old.nullable and not attribute.nullable and attribute.default is None and fill is None:
                codec = codec_of(after, name, attribute.name)
                questions.append(Question("fill", name, attribute.name, codec=codec))
            operations.append(AlterAttribute(name, old, attribute, fill))
        # The place of a hidden attribute does not matter.
        previous = attribute.name if not attribute.hidden or not previous else previous
    if before.primary_key != target.primary_key:
        operations.append(ChangePrimaryKey(name, before.primary_key, target.primary_key))
    gone = [attribute.name for attribute in before.attributes if attribute.name not in target.attribute]
    operations += [DropAttribute(name, attribute) for attribute in gone]
    order = tuple(attribute.name for attribute in target.attributes if not attribute.hidden)
    result = apply(operations, {name: before})[name]
    if tuple(attribute.name for attribute in result.attributes if not attribute.hidden) != order:
        operations.append(OrderAttributes(name, order))
    return operations
