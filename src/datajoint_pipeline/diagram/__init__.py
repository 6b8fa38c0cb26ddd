"""Pictures of tables and of what refers to what: SVG and Mermaid, in DataJoint's own notation, without any binary.

:func:`graph.of_tables`, :func:`graph.around` and :func:`graph.of_schemas` make a graph; :func:`svg.draw` and
:func:`mermaid.write` make text of it. The same graph gives the same bytes on every machine.
"""

from .graph import Edge, Graph, Node, around, of_schemas, of_tables
from .mermaid import write
from .svg import Dress, draw

__all__ = ["Dress", "Edge", "Graph", "Node", "around", "draw", "of_schemas", "of_tables", "write"]
