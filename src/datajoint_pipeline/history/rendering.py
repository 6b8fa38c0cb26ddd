"""Operations as lines of a migration file; :mod:`operations.lines` reads them back."""

from __future__ import annotations

from collections.abc import Sequence

from ..operations import data
from ..operations import structure as ops
from ..operations.structure import Tables
from ..schema import definition, values
from ..schema.model import TIERS, TableName, table_name


def render(
    operation: ops.Operation, tables: Tables, schema: str, later: definition.More = None, *, ask: bool = False
) -> str:
    """Render an operation as a line of a migration file.

    Parameters
    ----------
    operation : Operation
        What is to be done.
    tables : mapping of TableName to Table
        The tables before it.
    schema : str
        In whose migration it stands.
    later : definition.Titles, optional
        Names of the tables that are still to come.
    ask : bool
        Whether the value for existing rows is still to be given.
    """
    titles = definition.titles_of(tables, later)
    names = [titles.of(operation.table, schema)]
    more: list[str] = []
    match operation:
        case ops.CreateTable(definition=table):
            titles.add(table.name)
            return f'CreateTable("""\n{_escaped(definition.write_table(table, titles))}\n""")'
        case ops.RenameTable(table=old, to=new):
            if (old.schema, definition.title(old)) == (
                new.schema,
                definition.title(new),
            ) and "__" not in old.table.lstrip("_#"):
                tier = next(tier for prefix, tier in TIERS.items() if new.table.startswith(prefix))
                return _call("ChangeTier", [names[0], tier], [])
            names.append(_new_name(operation, tables, schema))
        case ops.ChangeComment(after=comment):
            names.append(comment)
        case ops.AddAttribute(attribute=attribute, after=after, fill=fill):
            names.append(definition.write_attribute(attribute))
            more = [f"after={string(after)}", *_filling(fill, ask, titles, schema)]
        case ops.AlterAttribute(after=attribute, fill=fill, using=using):
            names.append(definition.write_attribute(attribute))
            more = [*_filling(fill, ask, titles, schema), *([f"using={using!r}"] if using else [])]
        case ops.DropAttribute(attribute=attribute_name):
            names.append(attribute_name)
        case ops.RenameAttribute(old=old_name, new=new_name):
            names += [old_name, new_name]
        case ops.OrderAttributes(order=listed) | ops.ChangePrimaryKey(after=listed):
            more = [f"[{', '.join(map(string, listed))}]"]
        case ops.AddForeignKey(key=key, missing=missing):
            names.append(definition.write_foreign_key(key, titles, schema))
            if missing is not None:
                given = (f"{string(name)}: {'ASK' if value is None else string(value)}" for name, value in missing)
                more = ["missing={" + ", ".join(given) + "}"]
        case ops.DropForeignKey(key=key):
            names.append(definition.write_foreign_key(key, titles, schema))
        case data.InsertRows(rows=rows):
            more = ["[" + "".join(f"\n        {dict(row)!r}," for row in rows) + "\n    ]"]
        case ops.AddIndex(index=index) | ops.DropIndex(index=index):
            names.append(definition.write_index(index))
        case _:
            pass
    return _call(type(operation).__name__, names, more)


def _new_name(operation: ops.RenameTable, tables: Tables, schema: str) -> str:
    """Give the new name of a table as :class:`RenameTable` reads it."""
    old, new = tables[operation.table], operation.to
    own = definition.title(new)
    master = None if "__" not in new.table.lstrip("_#") else new.table[: -len(new.table.rpartition("__")[2]) - 2]
    tier = "Part" if master is not None else old.tier
    clear = tier == old.tier and table_name(tier, own.rpartition(".")[2], master) == new.table
    known = master is None or TableName(new.schema, master) in tables
    name = own if clear and known else new.table
    return name if new.schema == schema else f"{new.schema}.{name}"


def _call(function: str, arguments: Sequence[str], more: Sequence[str]) -> str:
    parts = [*map(string, arguments), *more]
    line = f"{function}({', '.join(parts)})"
    if len(line) + 5 <= 120:
        return line
    inside = "".join(f"    {part},\n" for part in parts)
    return f"{function}(\n{inside})"


def string(value: str | None) -> str:
    if value is None:
        return "None"
    quoted = repr(value)
    plain = quoted.startswith("'") and '"' not in value
    return f'"{quoted[1:-1]}"' if plain else quoted


def _escaped(block: str) -> str:
    return block.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')


def _filling(fill: values.Fill | None, ask: bool, titles: definition.Titles, schema: str) -> list[str]:
    if fill is None and not ask:
        return []
    return [f"fill={values.write(None if ask else fill, lambda name: titles.of(name, schema), string)}"]
