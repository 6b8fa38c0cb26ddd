"""A graph as SVG, in DataJoint's notation.

Shape and colour say the tier; a thick line means that a parent has one child at most, a dashed one that the reference
is not in the primary key, another colour that it renames.

It is readable at its own size and as a picture; opened alone or within a page, a pointer or the keyboard's focus shows
the path of a table, and a click opens it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from html import escape
from math import ceil
from pathlib import Path

from . import palette
from .graph import SCHEMA, Edge, Graph, Node
from .layout import Link, arrange

#: What shows the path of a table.
_SCRIPT = Path(__file__).with_name("path.js")

#: Pixels: height of a table and of a part, what a second line adds, around the picture, how far parts are indented.
TABLE, PART, NOTE, MARGIN, INDENT = 28, 24, 13, 16, 14

#: With more nodes than this, the picture says and draws less, or it would be too large to send: no schemas or comments,
#: straight lines, and shapes of few widths, each of which is there once.
DETAILED = 300

#: Widths of such shapes are multiples of this.
_STEP = 8

#: Class of the group of a tier.
_CLASS = {"Manual": "m", "Lookup": "l", "Imported": "i", "Computed": "c", "Part": "p", SCHEMA: "s"}

#: Variables of the colours that are of no tier.
_GROUND = ("bg", "shade", "line", "renamed")

#: Characters that are narrower, and wider, than others in the widest of the usual fonts: a text has to fit in any.
_NARROW, _WIDE = frozenset("fijlrtI.,:;|!'() "), frozenset("mwMW@%")


@dataclass(frozen=True)
class Dress:
    """What somebody adds to a node.

    Parameters
    ----------
    style : str
        Class of its group, for ``css``.
    note : str
        A second line, instead of the node's own.
    hint : str
        What a pointer shows, instead of the comment.
    """

    style: str = ""
    note: str = ""
    hint: str = ""


@dataclass(frozen=True)
class _Box:
    """A table, with the parts that stand below it: which nodes, how wide, and where each begins."""

    nodes: tuple[int, ...]
    tops: tuple[int, ...]
    heights: tuple[int, ...]
    width: int
    height: int


@dataclass
class _Stencils:
    """Shapes that many nodes have, each of which is in the picture once. The origin is where their text stands."""

    names: dict[tuple[bool, int, int], str] = field(default_factory=dict)
    shapes: list[str] = field(default_factory=list)

    def of(self, ellipse: bool, width: int, height: int) -> str:
        """Give the id of a shape, which is made where there is none yet."""
        if (ellipse, width, height) not in self.names:
            name = self.names[ellipse, width, height] = f"d{_digits(len(self.names))}"
            x, y = width // 2, height // 2
            self.shapes.append(
                f'<ellipse id="{name}" cy="-4" rx="{x}" ry="{y}"/>'
                if ellipse
                else f'<rect id="{name}" x="{-x}" y="{-y - 4}" width="{width}" height="{height}" rx="5"/>'
            )
        return self.names[ellipse, width, height]


def draw(
    graph: Graph,
    *,
    href: Callable[[Node], str | None] = lambda node: None,
    dress: Callable[[Node], Dress | None] = lambda node: None,
    css: str = "",
    wide: int = 1200,
) -> str:
    """Draw a graph.

    Parameters
    ----------
    graph : Graph
        What to show; nothing is left out of it.
    href : callable, optional
        Gives the address that a click on a node opens; None for none.
    dress : callable, optional
        Gives what is added to a node, such as the class of a state of its jobs.
    css : str, optional
        Rules for those classes, such as ``.djd .failed {stroke: red; stroke-width: 3}``; texts have no stroke.
    wide : int
        How wide the picture may become, in pixels, by tables side by side that have nothing to do with each other.

    Returns
    -------
    str
        An SVG document of one root element, to be written to a file or put into a page.
    """
    dresses = [dress(node) or Dress() for node in graph.nodes]
    plain = len(graph.nodes) > DETAILED
    notes = [given.note or ("" if plain else node.note) for node, given in zip(graph.nodes, dresses, strict=True)]
    boxes = _boxes(graph, notes, _STEP if plain else 1)
    stencils = _Stencils() if plain else None
    place = {node.name: number for number, node in enumerate(graph.nodes)}
    home = {number: index for index, box in enumerate(boxes) for number in box.nodes}
    middle = {n: top + height / 2 - box.height / 2 for box in boxes for n, top, height in _rows(box)}
    # That a part belongs to its master is seen from where it stands.
    edges = [edge for edge in graph.edges if graph.nodes[place[edge.child]].master != edge.parent]
    links = []
    for edge in edges:
        source, target = place[edge.parent], place[edge.child]
        links.append(Link(home[source], home[target], middle[source], middle[target]))
    layout = arrange([(box.width, box.height) for box in boxes], links, wide)

    shades, groups = list[tuple[int, int, int, int]](), dict[str, list[tuple[int, str]]]()
    for box, (left, top) in zip(boxes, layout.corners, strict=True):
        left, top = left + MARGIN, top + MARGIN
        if len(box.nodes) > 1:
            shades.append((left - 5, top - 5, box.width + 10, box.height + 10))
        for number, down, height in _rows(box):
            node = graph.nodes[number]
            indent = INDENT if node.master and len(box.nodes) > 1 else 0
            width = box.width - indent
            inner = _shape(node, notes[number], left + indent, top + down, width, height, stencils)
            text = _linked(href(node), dresses[number], ("" if plain else _title(node, dresses[number])) + inner)
            kind = _CLASS[node.tier] + (" o" if node.outside else "")
            groups.setdefault(kind, []).append((number, text))
    lines, pairs = dict[str, list[tuple[Edge, str]]](), []
    for edge, link, route in zip(edges, links, layout.routes, strict=True):
        points = [(x + MARGIN, y + MARGIN) for x, y in route]
        if link.source == link.target:
            points[0] = (points[-1][0], points[0][1])
        if graph.nodes[place[edge.child]].master is not None and len(boxes[link.target].nodes) > 1:
            points.append((points[-1][0] + INDENT, points[-1][1]))
        kind = "e" + (" w" if edge.whole else "") + ("" if edge.primary else " d") + (" r" if edge.renamed else "")
        path = _path(points, loop=link.source == link.target, straight=plain)
        lines.setdefault(kind, []).append((edge, f'<path d="{path}"/>'))
    shown = {number: index for index, (number, _) in enumerate(each for group in groups.values() for each in group)}
    for edge, _ in (each for group in lines.values() for each in group):
        pairs.append(f"{_digits(shown[place[edge.parent]])} {_digits(shown[place[edge.child]])}")
    for number, node in enumerate(graph.nodes):  # who goes to a part, comes from its master
        if node.master is not None:
            pairs.append(f"{_digits(shown[place[node.master]])} {_digits(shown[number])}")
    width, height = max(layout.width, 1) + 2 * MARGIN, max(layout.height, 1) + 2 * MARGIN
    script = _SCRIPT.read_text(encoding="utf-8").strip()
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="djd" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(graph.title)}">',
        f"<style>{_style()}{css}</style>",
        f'<rect class="bg" width="{width}" height="{height}"/>',
        *([f"<defs><style>.djd svg{{overflow:visible}}</style>{''.join(stencils.shapes)}</defs>"] if stencils else []),
        *([f'<g class="h">{_shades(shades, plain)}</g>'] if shades else []),
        *(_group(kind, (text for _, text in group)) for kind, group in lines.items()),
        *(_group(f"n {kind}", (text for _, text in group)) for kind, group in groups.items()),
        f"<script>{script.replace('$PAIRS', ' '.join(pairs))}</script>",
        "</svg>\n",
    ]
    return "\n".join(parts)


def _group(kind: str, texts: Iterable[str]) -> str:
    return "\n".join([f'<g class="{kind}">', *texts, "</g>"])


def _rows(box: _Box) -> Iterable[tuple[int, int, int]]:
    return zip(box.nodes, box.tops, box.heights, strict=True)


def _shades(places: list[tuple[int, int, int, int]], plain: bool) -> str:
    if plain:
        return f'<path d="{"".join(f"M{x} {y}h{width}v{height}h{-width}z" for x, y, width, height in places)}"/>'
    return "".join(_rect(*place) for place in places)


def _boxes(graph: Graph, notes: list[str], step: int) -> list[_Box]:
    """Put the parts below their masters; every other node has a box of its own. Widths are multiples of ``step``."""
    families: dict[object, list[int]] = {}
    for number, node in enumerate(graph.nodes):
        families.setdefault(node.master or node.name, []).append(number)
    found = []
    for family in families.values():
        family.sort(key=lambda number: graph.nodes[number].master is not None)
        tops, heights, y, width = [], [], 0, 0
        for number in family:
            node = graph.nodes[number]
            height = (PART if node.master else TABLE) + (NOTE if notes[number] else 0)
            tops.append(y)
            heights.append(height)
            y += height + 4
            width = max(width, _width(node, notes[number]) + (INDENT if node.master and len(family) > 1 else 0))
        width += -width % step
        found.append(_Box(tuple(family), tuple(tops), tuple(heights), width, y - 4))
    return found


def _width(node: Node, note: str) -> int:
    text = max(_long(node.label, 12), _long(note, 11))
    return ceil(text * 1.15 + 26 if _round(node) else text + 20)


def _long(text: str, size: int) -> float:
    """Give about how wide a text is, in pixels."""
    narrow = sum(character in _NARROW for character in text)
    wide = sum(character in _WIDE for character in text)
    capital = sum(character.isupper() for character in text)
    return size * (0.36 * narrow + 0.92 * wide + 0.62 * (len(text) - narrow - wide) + 0.08 * capital)


def _round(node: Node) -> bool:
    return node.tier in ("Imported", "Computed")


def _shape(node: Node, note: str, x: int, y: int, width: int, height: int, stencils: _Stencils | None = None) -> str:
    """Give a node's shape and text. Where there are ``stencils``, its shape is one of them."""
    middle, base = x + width // 2, y + height // 2 + (4 if not note else -2)
    if stencils is not None:
        more = f'<text class="t" y="{NOTE - 6}">{escape(note)}</text>' if note else ""
        up = ' y="-6"' if note else ""
        shape = f'<use href="#{stencils.of(_round(node), width, height)}"/>'
        text = f"<text{up}>{escape(node.label)}</text>{more}"
        return f'<svg x="{middle}" y="{y + height // 2 + 4}">{shape}{text}</svg>'
    if _round(node):
        shape = f'<ellipse cx="{middle}" cy="{y + height // 2}" rx="{width // 2}" ry="{height // 2}"/>'
    else:
        shape = _rect(x, y, width, height)
    more = f'<text class="t" x="{middle}" y="{base + NOTE}">{escape(note)}</text>' if note else ""
    return f'{shape}<text x="{middle}" y="{base}">{escape(node.label)}</text>{more}'


def _title(node: Node, dress: Dress) -> str:
    name = node.label if node.tier == SCHEMA else str(node.name)
    return f"<title>{escape(dress.hint or ': '.join(filter(None, (name, node.comment))))}</title>"


def _linked(href: str | None, dress: Dress, inner: str) -> str:
    if href is None and not dress.style and inner.startswith("<svg"):
        return inner
    style = f' class="{escape(dress.style)}"' if dress.style else ""
    return f"<g{style}>{inner}</g>" if href is None else f'<a{style} href="{escape(href)}">{inner}</a>'


def _rect(x: int, y: int, width: int, height: int) -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}"/>'


def _path(points: list[tuple[int, int]], *, loop: bool, straight: bool = False) -> str:
    """Write a line from point to point: level where it can be, else curved, or ``straight``."""
    (x, y), *rest = points
    start, words, level = f"M{x} {y}", list[str](), 0
    if loop:
        return f"{start}c-18 0-18 {rest[-1][1] - y} 0 {rest[-1][1] - y}"
    for number, (to_x, to_y) in enumerate(rest, 1):
        if abs(to_y - y) <= 3 and number < len(rest):
            to_y = y  # a step that small looks like a mistake
        across, down = to_x - x, to_y - y
        x, y = to_x, to_y
        if not down:
            level += across
            continue
        if level:
            words.append(f"h{level}")
            level = 0
        bend = across // 2 if across > 0 else 40
        words.append(
            f"l{across} {down}" if straight and across > 0 else f"c{bend} 0 {across - bend} {down} {across} {down}"
        )
    return start + "".join(words) + (f"h{level}" if level else "")


def _digits(number: int) -> str:
    """Write a number as the script reads it: base 36."""
    text = ""
    while True:
        number, last = divmod(number, 36)
        text = "0123456789abcdefghijklmnopqrstuvwxyz"[last] + text
        if not number:
            return text


def _style() -> str:
    def variables(tiers: dict[str, tuple[str, str, str]], ground: tuple[str, ...]) -> str:
        colours = [
            f"--{_CLASS[tier]}{part}:{colour}"
            for tier, triple in tiers.items()
            for part, colour in zip("fst", triple, strict=True)
        ]
        return ";".join([*colours, *(f"--{name}:{colour}" for name, colour in zip(_GROUND, ground, strict=True))])

    rules = [
        f".djd{{{variables(palette.LIGHT, palette.GROUND[0])};font:12px system-ui,sans-serif}}",
        f"@media(prefers-color-scheme:dark){{.djd{{{variables(palette.DARK, palette.GROUND[1])}}}}}",
        ".djd .bg{fill:var(--bg)}.djd .h{fill:var(--shade)}.djd .n rect,.djd .h rect{rx:5px}",
        ".djd text{text-anchor:middle;stroke:none;fill-opacity:1}.djd .t{font-size:11px}"
        ".djd a{cursor:pointer}.djd a:hover text,.djd a:focus text{text-decoration:underline}",
        ".djd .e{fill:none;stroke:var(--line);stroke-opacity:.7}.djd .w{stroke-width:2.2}"
        ".djd .d{stroke-dasharray:5 3}.djd .r{stroke:var(--renamed);stroke-opacity:1}",
        ".djd .o{fill-opacity:.45}",
        *(
            f".djd .{c}{{fill:var(--{c}f);stroke:var(--{c}s)}}.djd .{c} text{{fill:var(--{c}t)}}"
            for c in _CLASS.values()
        ),
        ".djd.on .n>*,.djd.on .e>*{opacity:.2}.djd.on .n>.on,.djd.on .e>.on{opacity:1}",
        "@media print{.djd.on .n>*,.djd.on .e>*{opacity:1}}",
    ]
    return "\n".join(rules)
