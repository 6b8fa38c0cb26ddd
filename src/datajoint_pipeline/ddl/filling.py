"""What existing rows get for attributes that they did not have, as servers are to be told it."""

from __future__ import annotations

import json
import re

from ..dialects.base import Dialect
from ..dialects.steps import ColumnFill, ExpressionFill, GeneratedFill, LiteralFill, ParentFill
from ..errors import PipelineError
from ..operations.origins import Origins, resolved
from ..operations.structure import Tables
from ..schema import notation
from ..schema.model import ForeignKey, TableName
from ..schema.values import Fill

#: Types whose attributes can have a value of their own in each row.
_EACH = {
    "number": r"(tiny|small|medium|big)?int|float|double|real|decimal|numeric|varchar|text",
    "uuid": r"uuid|varchar|char",
}


def lowered(
    fill: Fill, name: TableName, attribute: str, before: Tables, after: Tables, origins: Origins, dialect: Dialect
) -> ColumnFill:
    """A fill as the backends take it.

    Parameters
    ----------
    fill : Fill
        What a migration says.
    name, attribute : TableName, str
        Of what, by the names afterwards.
    before, after : mapping of TableName to Table
        The pipeline, its tables by their names afterwards.
    origins : Origins
        What becomes of what.
    dialect : Dialect
        The backend.

    Raises
    ------
    PipelineError
        If the value is none of that type, or nothing says where it is to come from.
    """
    type_ = resolved(after, name, attribute)
    if fill.sql is not None:
        return ExpressionFill(fill.sql.mysql, fill.sql.postgresql)
    if fill.each:
        core = dialect.core(type_, name)
        if not re.match(_EACH[fill.each], core):
            raise PipelineError(
                f"{attribute} of {name} cannot be filled with {fill.each}().",
                f"It is of type {type_}.",
                f"Give a value instead, in the migration: fill=... for {attribute}.",
            )
        return GeneratedFill(fill.each)
    if fill.of is not None:
        return _referred(fill.of, name, before, after, origins)
    if fill.parent:
        return _parent(name, attribute, before, after, origins)
    return literal(dialect, type_, name, attribute, fill.value or "")


def literal(dialect: Dialect, type_: str, name: TableName, attribute: str, value: str) -> LiteralFill | ExpressionFill:
    """A value of an attribute of a type, as a definition writes a default; for ``<blob>``, in JSON.

    Raises
    ------
    PipelineError
        If it is none of that type.
    """
    if type_ == "<blob>":
        return _blob(value)
    if type_.startswith("<"):
        raise PipelineError(
            f"{attribute} of {name} cannot be filled with a value.",
            f"What a {type_} holds is written by its codec.",
            "Let it be null, and insert the values with DataJoint.",
        )
    if not notation.holds(dialect.core(type_, name), value):
        raise PipelineError(
            f"{value!r} cannot be the value of {attribute} in {name}.",
            f"It is no {type_}.",
            f"Correct fill=... for {attribute} in the migration.",
        )
    return LiteralFill(value)


def _blob(text: str) -> ExpressionFill:
    """What ``<blob>`` writes for a value in JSON, or for the text where it is none."""
    import datajoint as dj

    try:
        value = json.loads(text)
    except ValueError:
        value = text
    written = dj.get_codec("blob").encode(value).hex()
    return ExpressionFill(f"X'{written}'", f"'\\x{written}'::bytea")


def _now(origins: Origins, table: TableName) -> dict[str, str]:
    """What attributes are called afterwards, by their names before."""
    return {was: now for now, was in origins.attributes.get(table, {}).items()}


def _parent(name: TableName, attribute: str, before: Tables, after: Tables, origins: Origins) -> ParentFill:
    """From the parent's row that the foreign key leads to of which the table has most, and has it in every row."""
    was, table = origins.attributes.get(name, {}), after[name]

    def told(key: ForeignKey) -> tuple[bool, bool, int, bool]:
        known = set(was) & set(key.attributes)
        always = not any(table.attribute[a].nullable for a in known)
        return bool(known), always, len(known), known <= set(table.primary_key)

    keys = [key for key in table.foreign_keys if attribute in key.attributes]
    key = max(keys, key=told, default=None)
    if key is None:
        raise PipelineError(
            f"{attribute} of {name} has no parent to take a value from.",
            "No foreign key brings it.",
            "Give a value instead.",
        )
    theirs = dict(zip(key.attributes, key.parent_attributes, strict=True))
    old = origins.attributes.get(key.parent, {})
    pairs = [(old.get(theirs[a], ""), theirs[a], was[a]) for a in key.attributes if a != attribute and a in was]
    if not pairs:
        raise PipelineError(
            f"{attribute} of {name} cannot be taken from {key.parent}.",
            "Nothing else in the table says which row of the parent belongs to a row.",
            "Give a value instead.",
        )
    taken = (old.get(theirs[attribute], ""), theirs[attribute])
    return ParentFill(key.parent, taken, tuple(pairs), _unique(key.parent, pairs, before, after))


def _referred(
    of: tuple[TableName, str], name: TableName, before: Tables, after: Tables, origins: Origins
) -> ParentFill:
    """From the row that a row referred to before."""
    parent, attribute = of
    key = next((key for key in before[name].foreign_keys if key.parent == parent), None)
    if key is None or parent not in after or attribute not in after[parent].attribute:
        why = f"{name} does not refer to {parent}." if key is None else f"{parent} has no attribute {attribute}."
        raise PipelineError(f"A value cannot be taken from {parent}.", why, "Correct From(...) in the migration.")
    now = _now(origins, parent)
    pairs = [(t, now.get(t, t), ours) for ours, t in zip(key.attributes, key.parent_attributes, strict=True)]
    taken = (origins.attributes.get(parent, {}).get(attribute, ""), attribute)
    return ParentFill(parent, taken, tuple(pairs), _unique(parent, pairs, before, after))


def _unique(parent: TableName, pairs: list[tuple[str, str, str]], before: Tables, after: Tables) -> bool:
    old, new = before.get(parent), after.get(parent)
    was = old is not None and set(old.primary_key) <= {pair[0] for pair in pairs}
    return was or (new is not None and old is None and set(new.primary_key) <= {pair[1] for pair in pairs})
