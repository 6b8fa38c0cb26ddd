"""Find the types that attributes have between two steps of a migration file.

A line says that a foreign key brings an attribute, and another adds that key, or takes it away. What stands between
them, and is run there, finds a table whose definition tells no type.
"""

from __future__ import annotations

from ..operations import structure as ops
from ..operations.origins import declaring, without_key
from ..operations.structure import Tables
from ..schema.model import Attribute, Table, TableName

#: By table and attribute, the attribute that it has its type from, and the table of that.
Declared = dict[tuple[TableName, str], tuple[Attribute, Table]]


def found(
    before: Tables, after: Tables, part: list[ops.Operation], rest: list[ops.Operation], known: Declared
) -> Declared:
    """Find the types of attributes that no foreign key brings yet, or any more.

    An attribute keeps the type that it had. A new one gets that which it has in the end.

    Parameters
    ----------
    before, after : mapping of TableName to Table
        The tables before the next operations and after them.
    part, rest : list of Operation
        The next operations, and all that follow.
    known : dict
        What was found for the tables before.

    Returns
    -------
    dict
        By the names before the next operations and after them.
    """
    open_ = without_key(after)
    if not open_ and not known:
        return known
    result, (_, origins) = dict(known), ops.trace(before, part)
    for table, attribute in known:  # while its columns change, a table has its new name
        result |= {(new, attribute): known[table, attribute] for new, old in origins.tables.items() if old == table}
    for name, attribute in open_:
        old, was = origins.tables.get(name), origins.attributes.get(name, {}).get(attribute)
        if old is not None and was is not None:
            there = known.get((old, was)) or declaring(before, old, was)
        else:
            final, later = ops.trace(after, rest)
            new = next((new for new, table in later.tables.items() if table == name), name)
            called = {old: now for now, old in later.attributes.get(new, {}).items()}
            there = declaring(final, new, called.get(attribute, attribute))
        if there is not None:
            result[name, attribute] = there
    return result
