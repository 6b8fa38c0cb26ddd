"""A graph as Mermaid text, for pages that GitHub and GitLab show: the same notation, as far as Mermaid has it."""

from __future__ import annotations

import re
from itertools import groupby

from . import palette
from .graph import SCHEMA, Edge, Graph, Node

#: What Mermaid's defaults refuse (``maxTextSize``, ``maxEdges``).
LONGEST, MOST_EDGES = 50_000, 500

_SHAPES = {"Imported": ("([", "])"), "Computed": ("([", "])"), SCHEMA: ("[[", "]]")}


def write(graph: Graph) -> str:
    """Write a graph as Mermaid.

    A line is thick where the parent has one child at most, dotted where the reference is not in the primary key, and
    of another colour where it renames.

    Raises
    ------
    ValueError
        If Mermaid would refuse it.
    """
    names = _names(graph)
    tiers = {node.tier for node in graph.nodes}
    lines = ["flowchart LR"]
    for tier, (fill, stroke, text) in palette.LIGHT.items():
        if tier in tiers:
            lines.append(f"    classDef {tier} fill:{fill},stroke:{stroke},color:{text}")
    for number, (schema, nodes) in enumerate(groupby(graph.nodes, key=lambda node: node.name.schema)):
        within = list(nodes)
        if within[0].tier == SCHEMA:
            lines += [f"    {_node(names[within[0].name], within[0])}"]
            continue
        lines.append(f"    subgraph schema_{number}[{_quoted(schema)}]")
        lines += [f"        {_node(names[node.name], node)}" for node in within]
        lines.append("    end")
    lines += [f"    {names[edge.parent]} {_arrow(edge)} {names[edge.child]}" for edge in graph.edges]
    if renamed := [str(number) for number, edge in enumerate(graph.edges) if edge.renamed]:
        lines.append(f"    linkStyle {','.join(renamed)} stroke:{palette.GROUND[0][3]}")
    text = "\n".join(lines) + "\n"
    if len(text) > LONGEST or len(graph.edges) > MOST_EDGES:
        raise ValueError(f"{len(graph.nodes)} tables are more than Mermaid draws")
    return text


def _names(graph: Graph) -> dict[object, str]:
    """Give each node an identifier that Mermaid takes."""
    found: dict[object, str] = {}
    taken: set[str] = set()
    for node in graph.nodes:
        plain = "t_" + re.sub(r"\W", "_", str(node.name) if node.tier != SCHEMA else node.name.schema, flags=re.ASCII)
        name, number = plain, 2
        while name in taken:
            name, number = f"{plain}_{number}", number + 1
        taken.add(name)
        found[node.name] = name
    return found


def _node(name: str, node: Node) -> str:
    left, right = _SHAPES.get(node.tier, ("[", "]"))
    label = str(node.name).partition(".")[2] if node.master else node.label
    if node.tier == SCHEMA:
        label = f"{node.label} ({node.note})"
    return f"{name}{left}{_quoted(label)}{right}:::{node.tier}"


def _quoted(text: str) -> str:
    plain = re.sub(r"[^\w .()-]", lambda found: f"#{ord(found[0])};", text)
    return f'"{plain}"'


def _arrow(edge: Edge) -> str:
    return "==>" if edge.whole else "-->" if edge.primary else "-.->"
