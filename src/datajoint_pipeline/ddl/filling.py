"""What existing rows get for attributes that they did not have: from a migration's fill to that of a column."""

from __future__ import annotations

import json
from contextlib import suppress

from ..dialects.base import Dialect
from ..dialects.steps import ColumnFill, ExpressionFill, GeneratedFill, LiteralFill, ParentFill
from ..errors import PipelineError
from ..internals.codecs import blob
from ..operations.origins import Origins, resolved
from ..operations.structure import SOFT_DELETED_ATTRIBUTE, Tables
from ..schema import compatibility
from ..schema.model import ForeignKey, TableName
from ..schema.values import LET_BE_NULL, Fill, Value, needs_codec, objection, write


def column_fill(
    fill: Fill, name: TableName, attribute: str, before: Tables, after: Tables, origins: Origins, dialect: Dialect
) -> ColumnFill:
    """Give a fill as dialects take it.

    Parameters
    ----------
    fill : Fill
        What a migration says.
    name, attribute : TableName, str
        The attribute that is filled, by the names afterwards.
    before, after : mapping of TableName to Table
        Every table before and afterwards, both keyed by the name afterwards.
    origins : Origins
        What each table and attribute was before.
    dialect : Dialect
        The server's.

    Raises
    ------
    PipelineError
        If the value is none of that type, an expression is for the other server alone, or nothing says where the value
        comes from.
    """
    type_ = resolved(after, name, attribute)
    if fill.sql is not None:
        dialect.words(fill.sql)  # which there have to be
        return ExpressionFill(fill.sql.mysql, fill.sql.postgresql)
    if fill.each:
        if why := objection(dialect.core(type_, name), fill):
            what = f"{attribute} of {name} cannot be filled with {fill.each}()."
            raise PipelineError(what, why, ways(name, attribute, before, after, origins))
        return GeneratedFill(fill.each)
    if (found := taken(fill, name, attribute, before, after, origins)) is not None:
        return found
    if why := objection(type_, fill):
        what = f"{fill.value!r} cannot be the value of {attribute} in {name}."
        raise PipelineError(what, why, ways(name, attribute, before, after, origins))
    return literal(type_, name, attribute, fill.value or "")


#: How many attributes of other tables a sentence names.
_NAMED = 3


def ways(name: TableName, attribute: str, before: Tables, after: Tables, origins: Origins) -> str:
    """Say in a sentence what existing rows of a table can get for an attribute, as an option and in a migration.

    Parameters are those of :func:`column_fill`.
    """
    type_, found = resolved(after, name, attribute), list[tuple[str, Fill]]()
    referred = [key.parent for key in before[name].foreign_keys if key.parent in after] if name in before else []
    same = [
        (parent, other.name)
        for parent in dict.fromkeys(referred)
        for other in after[parent].attributes
        if not other.hidden and resolved(after, parent, other.name) == type_
    ]
    for place in sorted(same, key=lambda place: place[1] != attribute)[:_NAMED]:
        found.append((f"from({place[0]}.{place[1]})", Fill(of=place)))
    with suppress(PipelineError):
        _parent(name, attribute, before, after, origins)
        found.append(("parent()", Fill(parent=True)))
    # What is made up is no key of another table.
    for each in ("number", "uuid") if not after[name].attribute[attribute].inherited else ():
        if not type_.startswith("<") and not objection(type_, Fill(each=each)):
            found.append((f"{each}()", Fill(each=each)))
    options = [text for text, _ in found]
    written = [write(fill, str, repr) for _, fill in found]
    if type_ == "<blob>" or not type_.startswith("<"):
        options, written = [*options, "VALUE"], [*written, "a value"]
    if not options:
        return LET_BE_NULL
    said = " or ".join(f"--fill {name}.{attribute}={option}" for option in options)
    return f"Say {said}; in a migration, fill={', '.join(written)} or Sql(...)."


def taken(
    fill: Fill, name: TableName, attribute: str, before: Tables, after: Tables, origins: Origins
) -> ParentFill | None:
    """Give a fill that takes the value from another table; None where it is another one.

    Parameters and errors are those of :func:`column_fill`.
    """
    try:
        if fill.of is not None:
            return _referred(fill.of, name, attribute, before, after, origins)
        return _parent(name, attribute, before, after, origins) if fill.parent else None
    except PipelineError as error:
        error.do = ways(name, attribute, before, after, origins)
        raise


def text(value: Value) -> str:
    """Give a value of a row as a definition writes a default."""
    return str(int(value) if isinstance(value, bool) else value)


def literal(type_: str, name: TableName, attribute: str, value: str) -> LiteralFill | ExpressionFill:
    """Give the fill for a value of a type, as a definition writes a default; for ``<blob>``, in JSON.

    Raises
    ------
    PipelineError
        If it is none of that type.
    """
    if why := objection(type_, Fill(value)):
        do = f"Correct the value of {attribute} in the migration."
        if needs_codec(type_):
            do = LET_BE_NULL
        raise PipelineError(f"{value!r} cannot be the value of {attribute} in {name}.", why, do)
    return _blob(value) if type_ == "<blob>" else LiteralFill(value)


def _blob(text: str) -> ExpressionFill:
    """Give what ``<blob>`` stores for a value in JSON, or for the text where it is none."""
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    stored = blob(value).hex()
    return ExpressionFill(f"X'{stored}'", f"'\\x{stored}'::bytea")


def _names_after(origins: Origins, table: TableName) -> dict[str, str]:
    """Give the names of attributes afterwards, by their names before."""
    return {was: will for will, was in origins.attributes.get(table, {}).items()}


def _parent(name: TableName, attribute: str, before: Tables, after: Tables, origins: Origins) -> ParentFill:
    """Take a value from the parent's row.

    Of several foreign keys that bring the attribute, it is the one that most attributes are known of, in every row.
    """
    was, table = origins.attributes.get(name, {}), after[name]

    def known_of(key: ForeignKey) -> tuple[bool, bool, int, bool]:
        known = set(was) & set(key.attributes)
        always = not any(table.attribute[a].nullable for a in known)
        return bool(known), always, len(known), known <= set(table.primary_key)

    keys = [key for key in table.foreign_keys if attribute in key.attributes]
    key = max(keys, key=known_of, default=None)
    if key is None:
        raise PipelineError(
            f"{attribute} of {name} has no parent to take a value from.",
            "No foreign key brings it.",
            "",
        )
    theirs = dict(zip(key.attributes, key.parent_attributes, strict=True))
    old = origins.attributes.get(key.parent, {})
    pairs = [(old.get(theirs[a], ""), theirs[a], was[a]) for a in key.attributes if a != attribute and a in was]
    if not pairs:
        raise PipelineError(
            f"{attribute} of {name} cannot be taken from {key.parent}.",
            "Nothing else in the table says which row of the parent belongs to a row.",
            "",
        )
    was_called = old.get(theirs[attribute], "")
    if was_called.startswith(SOFT_DELETED_ATTRIBUTE) and (key.parent, theirs[attribute]) in origins.fills:
        was_called = ""  # rows of the parent may still have to get it
    taken = (was_called, theirs[attribute])
    return ParentFill(key.parent, taken, tuple(pairs), _unique(key.parent, pairs, before, after))


def _referred(
    of: tuple[TableName, str], name: TableName, ours: str, before: Tables, after: Tables, origins: Origins
) -> ParentFill:
    """Take a value for the attribute ``ours`` from the row that a row referred to before."""
    parent, attribute = of
    key = next((key for key in before[name].foreign_keys if key.parent == parent), None)
    if key is None or parent not in after or attribute not in after[parent].attribute:
        why = f"{name} does not refer to {parent}." if key is None else f"{parent} has no attribute {attribute}."
        raise PipelineError(f"A value cannot be taken from {parent}.", why, "")
    source, type_ = resolved(after, parent, attribute), resolved(after, name, ours)
    if not compatibility.may_take(type_, source):
        why = f"{parent}.{attribute} is of the type {source}, and {ours} of the type {type_}."
        raise PipelineError(f"{ours} of {name} cannot be taken from {parent}.{attribute}.", why, "")
    names = _names_after(origins, parent)
    pairs = [(t, names.get(t, t), ours) for ours, t in zip(key.attributes, key.parent_attributes, strict=True)]
    taken = (origins.attributes.get(parent, {}).get(attribute, ""), attribute)
    return ParentFill(parent, taken, tuple(pairs), _unique(parent, pairs, before, after))


def _unique(parent: TableName, pairs: list[tuple[str, str, str]], before: Tables, after: Tables) -> bool:
    """Tell whether no more than one row of a parent matches."""
    old, new = before.get(parent), after.get(parent)
    was = old is not None and set(old.primary_key) <= {pair[0] for pair in pairs}
    return was or (new is not None and old is None and set(new.primary_key) <= {pair[1] for pair in pairs})
