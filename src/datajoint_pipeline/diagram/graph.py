"""Tables, or schemas, and their foreign keys as the nodes and edges of a picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..schema.model import ForeignKey, Index, Table, TableName

#: The tier of a node that stands for a schema.
SCHEMA = "Schema"


@dataclass(frozen=True)
class Node:
    """A table of the picture; or a schema.

    Parameters
    ----------
    name : TableName
        Of the table; of a schema ``TableName(schema, "")``.
    label : str
        What is written in it.
    tier : str
        ``Manual``, ``Lookup``, ``Imported``, ``Computed``, ``Part``, or ``Schema``.
    master : TableName or None
        The master of a part, where it is in the picture too.
    note : str
        A second, smaller line; empty for none.
    comment : str
        What a pointer shows that rests on it.
    outside : bool
        Whether it is shown only because something refers to it, or it to something.
    """

    name: TableName
    label: str
    tier: str
    master: TableName | None = None
    note: str = ""
    comment: str = ""
    outside: bool = False


@dataclass(frozen=True)
class Edge:
    """A foreign key; between schemas, one or more of them.

    Parameters
    ----------
    parent, child : TableName
        The nodes at its ends.
    primary : bool
        Whether all of its attributes are in the child's primary key.
    whole : bool
        Whether they are the child's whole primary key, so that a parent has one child at most.
    renamed : bool
        Whether an attribute has another name in the child.
    nullable, unique : bool
        Whether it may be empty, and whether two children may have the same parent.
    """

    parent: TableName
    child: TableName
    primary: bool = True
    whole: bool = False
    renamed: bool = False
    nullable: bool = False
    unique: bool = False


@dataclass(frozen=True)
class Graph:
    """What a picture shows. Nodes are in the order of the schemas and then of their names; edges in that of nodes."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    title: str = ""


def of_tables(
    tables: Mapping[TableName, Table], schema: str | None = None, *, neighbours: bool = True, title: str = ""
) -> Graph:
    """Give the graph of all tables, or of those of one schema.

    Parameters
    ----------
    tables : mapping of TableName to Table
        Every table that is known; schemas are shown in the order in which they first stand here.
    schema : str, optional
        Show only this one.
    neighbours : bool
        With ``schema``: also show the tables of others that refer to it, or that it refers to.
    title : str, optional
        What the picture is called; otherwise what it shows.
    """
    inside = [name for name in tables if schema is None or name.schema == schema]
    shown = set(inside)
    if schema is not None and neighbours:
        shown |= {end for parent, child in _pairs(tables) for end in (parent, child) if shown & {parent, child}}
    return _graph(tables, shown, title or schema or "Tables", inside=set(inside))


def around(tables: Mapping[TableName, Table], table: TableName, steps: int = 1, *, title: str = "") -> Graph:
    """Give the graph of a table and of those that are at most so many foreign keys away; parts come with a master.

    Parameters
    ----------
    tables : mapping of TableName to Table
        Every table that is known.
    table : TableName
        In the middle; one of them.
    steps : int
        How many foreign keys, up or down. From 0, which shows the table and its parts.
    """
    below: dict[TableName, list[TableName]] = {}
    above: dict[TableName, list[TableName]] = {}
    for parent, child in _pairs(tables):
        below.setdefault(parent, []).append(child)
        above.setdefault(child, []).append(parent)
    family = {table, tables[table].master or table}
    family |= {name for name, one in tables.items() if one.master == table}
    shown = set(family)
    for way in (above, below):  # and not up and down again, which would bring in everything that has a common parent
        edge = set(family)
        for _ in range(steps):
            edge = {far for near in edge for far in way.get(near, ())}
            shown |= edge
    return _graph(tables, shown, title or str(table), inside=family, here=table.schema)


def of_schemas(tables: Mapping[TableName, Table], schemas: Iterable[str], *, title: str = "") -> Graph:
    """Give the graph with a node for each schema, in the order given; its tables are counted."""
    order = list(schemas)
    counts = dict.fromkeys(order, 0)
    for name in tables:
        if name.schema in counts:
            counts[name.schema] += 1
    nodes = tuple(
        Node(TableName(schema, ""), schema, SCHEMA, note=f"{count} {'table' if count == 1 else 'tables'}")
        for schema, count in counts.items()
    )
    place = {schema: number for number, schema in enumerate(order)}
    pairs = {(p.schema, c.schema) for p, c in _pairs(tables) if p.schema != c.schema}
    known = sorted((p for p in pairs if p[0] in place and p[1] in place), key=lambda p: (place[p[0]], place[p[1]]))
    edges = tuple(Edge(TableName(parent, ""), TableName(child, "")) for parent, child in known)
    return Graph(nodes, edges, title or "Schemas")


def _pairs(tables: Mapping[TableName, Table]) -> Iterable[tuple[TableName, TableName]]:
    return ((key.parent, table.name) for table in tables.values() for key in table.foreign_keys)


def _graph(
    tables: Mapping[TableName, Table],
    shown: set[TableName],
    title: str,
    *,
    inside: set[TableName],
    here: str | None = None,
) -> Graph:
    schemas = list(dict.fromkeys(name.schema for name in tables))
    place = {schema: number for number, schema in enumerate(schemas)}
    # A table that another schema has and the code does not know is shown by the name that the server has for it.
    names = sorted(shown, key=lambda n: (place.get(n.schema, len(place)), n.schema, n.table.lstrip("_#"), n.table))
    several = len({name.schema for name in names if name in inside}) > 1
    home = None if several else next((name.schema for name in names if name in inside), here)
    nodes, edges = [], []
    for name in names:
        table = tables.get(name, Table(name, (), ()))
        whole = str(name).partition(".")[2]
        master = table.master if table.master in shown else None
        nodes.append(
            Node(
                name,
                label=whole.rpartition(".")[2] if master else whole,
                tier=table.tier,
                master=master,
                note="" if master or name.schema == home else name.schema,
                comment=table.comment,
                outside=name not in inside,
            )
        )
        edges += [_edge(table, key) for key in table.keys_in_order if key.parent in shown]
    # Of two neighbours, what binds them to each other is not what the picture is about.
    edges = [edge for edge in edges if {edge.parent, edge.child} & inside or here is not None]
    return Graph(tuple(nodes), tuple(edges), title)


def _edge(table: Table, key: ForeignKey) -> Edge:
    own = set(key.attributes)
    return Edge(
        key.parent,
        table.name,
        primary=own <= set(table.primary_key),
        whole=own == set(table.primary_key),
        renamed=key.attributes != key.parent_attributes,
        nullable=any(table.attribute[name].nullable for name in key.attributes if name in table.attribute),
        unique=own == set(table.primary_key) or Index(key.attributes, unique=True) in table.indexes,
    )
