"""Cases as Python source: tables as a module of table classes, rows as a module that inserts them.

A case is JSON: tables with ``schema``, ``name``, ``tier``, ``definition`` and perhaps ``parts`` and ``contents``; rows as
pairs of a class (``Master.Part``) and its records. ``{"$uuid": …}``, ``{"$bytes": …}`` (hexadecimal), ``{"$array": …}``
and ``{"$str": …}`` stand for values that JSON has no word for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def module(tables: Iterable[Mapping[str, Any]], line: str) -> str:
    """A module of some tables; ``line`` opens a schema and has ``{name}`` where the schema's name is to be."""
    text = ["import os", "import uuid", "", "import datajoint as dj", "import numpy as np", ""]
    tables, names = list(tables), dict[str, str]()
    for table in tables:
        names.setdefault(table["schema"], "schema" if not names else f"schema_{len(names) + 1}")
    text += [f"{variable} = " + line.replace("{name}", name) for name, variable in names.items()]
    for table in tables:
        text += ["", "", f"@{names[table['schema']]}", _class(table)]
    return "\n".join(text) + "\n"


def _class(table: Mapping[str, Any], indent: str = "") -> str:
    text = [f"{indent}class {table['name']}(dj.{table['tier']}):", f'{indent}    definition = """']
    text += [f"{indent}    {line}" for line in table["definition"].splitlines()]
    text += [f'{indent}    """']
    if "contents" in table:
        text.append(f"{indent}    contents = {_literal(table['contents'])}")
    for part in table.get("parts", ()):
        text += ["", _class(part, indent + "    ")]
    if table["tier"] in ("Computed", "Imported"):
        text += ["", f"{indent}    def make(self, key):", f"{indent}        raise NotImplementedError"]
    return "\n".join(text)


def rows(found: Iterable[Sequence[Any]]) -> str:
    """A module whose ``fill(module)`` inserts rows, parents first."""
    text = ["from functools import reduce", "import uuid", "", "import numpy as np", "", "ROWS = ["]
    for path, records in found:
        text += [f"    ({path!r}, ["] + [f"        {_literal(record)}," for record in records] + ["    ]),"]
    text += ["]", "", "", "def fill(module):", "    for path, rows in ROWS:"]
    text += ['        reduce(getattr, path.split("."), module).insert(rows, allow_direct_insert=True)']
    return "\n".join(text) + "\n"


def _literal(value: Any) -> str:
    if isinstance(value, Mapping):
        match value:
            case {"$uuid": text}:
                return f"uuid.UUID({text!r})"
            case {"$bytes": text}:
                return f"bytes.fromhex({text!r})"
            case {"$array": items}:
                return f"np.array({items!r})"
            case {"$str": text}:
                return repr(text)
        return "{" + ", ".join(f"{name!r}: {_literal(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return repr(value)
