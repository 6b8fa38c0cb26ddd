"""Where boxes stand: columns from left to right, each table to the right of what it refers to.

Longest path for the columns, barycentres against crossings, and for the heights the nearest places to the neighbours'
that keep the order (isotonic regression). Only comparisons and basic arithmetic, so that every machine finds the same.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import fsum

#: Pixels between two boxes of a column, and between two lines that pass through it.
GAP, LANE = 14, 6

#: Pixels between columns, and between parts of the picture that have nothing to do with each other.
CHANNEL, APART = 56, 22

_SWEEPS, _PASSES = 10, 8


@dataclass(frozen=True)
class Link:
    """A line from a box to another: their numbers, and how far below their middles it leaves and arrives."""

    source: int
    target: int
    leaves: float = 0
    arrives: float = 0


@dataclass(frozen=True)
class Layout:
    """Upper left corners of boxes, points of lines (x and y by turns), and the size of the picture, in pixels."""

    corners: list[tuple[int, int]]
    routes: list[list[tuple[int, int]]]
    width: int
    height: int


@dataclass
class _Item:
    """A box, or the passage of lines through a column."""

    width: int
    height: int
    column: int = 0
    box: int | None = None
    left: list[tuple[int, float, float]] = field(default_factory=list)  # item, offset there, offset here
    right: list[tuple[int, float, float]] = field(default_factory=list)
    y: float = 0


def arrange(sizes: Sequence[tuple[int, int]], links: Sequence[Link], wide: int = 1200) -> Layout:
    """Place boxes.

    Parameters
    ----------
    sizes : sequence of (int, int)
        Width and height of each box, in pixels.
    links : sequence of Link
        From a box to one that should stand to its right. Where they run in a circle, some run back.
    wide : int
        How wide the picture may become by parts that stand side by side.
    """
    corners, routes = [(0, 0)] * len(sizes), [list[tuple[int, int]]() for _ in links]
    pieces = []
    for boxes in _components(len(sizes), links):
        number = {box: place for place, box in enumerate(boxes)}
        mine = [place for place, link in enumerate(links) if link.source in number]
        inner = [
            Link(number[links[m].source], number[links[m].target], links[m].leaves, links[m].arrives) for m in mine
        ]
        pieces.append((boxes, mine, _component([sizes[box] for box in boxes], inner)))
    wide = max([wide, *(piece.width for _, _, piece in pieces)])
    x = y = shelf = 0
    whole = 0
    for boxes, mine, piece in sorted(pieces, key=lambda p: -p[2].height):
        if x and x + piece.width > wide:
            x, y, shelf = 0, y + shelf + APART, 0
        for box, (a, b) in zip(boxes, piece.corners, strict=True):
            corners[box] = (a + x, b + y)
        for link, route in zip(mine, piece.routes, strict=True):
            routes[link] = [(a + x, b + y) for a, b in route]
        whole, shelf = max(whole, x + piece.width), max(shelf, piece.height)
        x += piece.width + APART
    return Layout(corners, routes, whole, y + shelf)


def _components(count: int, links: Iterable[Link]) -> list[list[int]]:
    near: dict[int, set[int]] = defaultdict(set)
    for link in links:
        near[link.source].add(link.target)
        near[link.target].add(link.source)
    seen: set[int] = set()
    found = []
    for start in range(count):
        if start not in seen:
            seen.add(start)
            reached, waiting = [start], [start]
            while waiting:
                new = [other for other in sorted(near[waiting.pop()]) if other not in seen]
                seen.update(new)
                reached += new
                waiting += new
            found.append(sorted(reached))
    return found


def _component(sizes: Sequence[tuple[int, int]], links: Sequence[Link]) -> Layout:
    columns = _columns(len(sizes), links)
    items = [_Item(width, height, columns[box], box) for box, (width, height) in enumerate(sizes)]
    chains = _chain(items, links)
    order = _order(items)
    _heights(items, order)
    widths = [max((items[i].width for i in column if items[i].box is not None), default=0) for column in order]
    lefts = [0]
    for width in widths:
        lefts.append(lefts[-1] + width + CHANNEL)
    top = min(item.y - item.height / 2 for item in items)
    corners = [(lefts[i.column], round(i.y - i.height / 2 - top)) for i in items if i.box is not None]
    routes = []
    for link, chain in zip(links, chains, strict=True):
        source, target = items[link.source], items[link.target]
        points = [(lefts[source.column] + source.width, source.y + link.leaves)]
        for passing in chain:
            item = items[passing]
            points += [(lefts[item.column], item.y), (lefts[item.column] + widths[item.column], item.y)]
        points.append((lefts[target.column], target.y + link.arrives))
        routes.append([(x, round(y - top)) for x, y in points])
    bottom = max(item.y + item.height / 2 for item in items)
    return Layout(corners, routes, lefts[-1] - CHANNEL, round(bottom - top))


def _columns(count: int, links: Sequence[Link]) -> list[int]:
    """Give each box its column: right of all that it depends on; one that is only depended on, beside the nearest."""
    below: list[set[int]] = [set() for _ in range(count)]
    above: list[set[int]] = [set() for _ in range(count)]
    for source, target in _without_circles(count, links):
        below[source].add(target)
        above[target].add(source)
    column, missing = [0] * count, [len(parents) for parents in above]
    ready = deque(box for box in range(count) if not missing[box])
    sequence = []
    while ready:
        sequence.append(box := ready.popleft())
        for child in sorted(below[box]):
            column[child] = max(column[child], column[box] + 1)
            missing[child] -= 1
            if not missing[child]:
                ready.append(child)
    for box in reversed(sequence):  # lines get shorter by it
        if below[box] and len(below[box]) > len(above[box]):
            column[box] = min(column[child] for child in below[box]) - 1
    return column


def _without_circles(count: int, links: Sequence[Link]) -> list[tuple[int, int]]:
    """Give the links as pairs, the other way round where they would close a circle."""
    out: list[list[int]] = [[] for _ in range(count)]
    for link in links:
        if link.source != link.target and link.target not in out[link.source]:
            out[link.source].append(link.target)
    state, pairs = [0] * count, []
    # Boxes on which nothing depends are no places to begin at: a circle would be cut where it is entered.
    targets = {target for each in out for target in each}
    for start in [*(box for box in range(count) if box not in targets), *range(count)]:
        stack = [(start, 0)] if not state[start] else []
        while stack:
            box, place = stack.pop()
            state[box] = 1
            if place == len(out[box]):
                state[box] = 2
                continue
            stack.append((box, place + 1))
            child = out[box][place]
            pairs.append((child, box) if state[child] == 1 else (box, child))
            if not state[child]:
                stack.append((child, 0))
    return pairs


def _chain(items: list[_Item], links: Sequence[Link]) -> list[list[int]]:
    """Add the passages of lines through the columns between their ends, and say which each line takes.

    Lines that leave a box at one place share a passage.
    """
    passages: dict[tuple[int, float, int], int] = {}
    chains = []
    for link in links:
        chain: list[int] = []
        here, leaves = link.source, link.leaves
        for column in range(items[link.source].column + 1, items[link.target].column):
            place = (link.source, link.leaves, column)
            if place not in passages:
                passages[place] = len(items)
                items.append(_Item(0, 0, column))
                _join(items, here, passages[place], leaves, 0)
            here, leaves = passages[place], 0
            chain.append(here)
        if items[link.source].column < items[link.target].column:
            _join(items, here, link.target, leaves, link.arrives)
        chains.append(chain)
    return chains


def _join(items: list[_Item], source: int, target: int, leaves: float, arrives: float) -> None:
    items[source].right.append((target, arrives, leaves))
    items[target].left.append((source, leaves, arrives))


def _order(items: list[_Item]) -> list[list[int]]:
    """Order each column so that few lines cross."""
    order: list[list[int]] = [[] for _ in range(max(item.column for item in items) + 1)]
    seen: set[int] = set()
    for start in [number for number, item in enumerate(items) if not item.left] + list(range(len(items))):
        waiting = [start]
        while waiting:
            number = waiting.pop()
            if number not in seen:
                seen.add(number)
                order[items[number].column].append(number)
                waiting += [other for other, _, _ in reversed(items[number].right)]
    best, fewest = [list(column) for column in order], _crossings(items, order)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        rightward = sweep % 2 == 0
        for column in range(1, len(order)) if rightward else range(len(order) - 2, -1, -1):
            beside = order[column - 1 if rightward else column + 1]
            place = {number: index for index, number in enumerate(beside)}
            wish = {}
            for index, number in enumerate(order[column]):
                ends = items[number].left if rightward else items[number].right
                found = [place[other] for other, _, _ in ends]
                wish[number] = fsum(found) / len(found) if found else index
            order[column].sort(key=wish.__getitem__)
        now = _crossings(items, order)
        if now < fewest:
            best, fewest = [list(column) for column in order], now
    return best


def _crossings(items: list[_Item], order: list[list[int]]) -> int:
    count = 0
    for column, beside in pairwise(order):
        place = {number: index for index, number in enumerate(beside)}
        passed: list[int] = []
        for number in column:
            ends = sorted(place[other] for other, _, _ in items[number].right)
            count += sum(len(passed) - bisect_right(passed, end) for end in ends)
            for end in ends:
                insort(passed, end)
    return count


def _heights(items: list[_Item], order: list[list[int]]) -> None:
    """Place each item as near to its neighbours as those above and below it let it."""
    for column in order:
        y = 0.0
        for number, offset in zip(column, _offsets(items, column), strict=True):
            items[number].y = y + offset
    for step in range(_PASSES):
        sides = "both" if step >= _PASSES - 2 else "left" if step % 2 == 0 else "right"
        for column in order if step % 2 == 0 else reversed(order):
            wishes, weights = [], []
            for number in column:
                item = items[number]
                ends = (item.left if sides != "right" else []) + (item.right if sides != "left" else [])
                ends = ends or item.left + item.right
                near = [items[other].y + there - here for other, there, here in ends]
                wishes.append(fsum(near) / len(near) if near else item.y)
                weights.append(1.0 if item.box is not None else 2.0)
            offsets = _offsets(items, column)
            wanted = [wish - offset for wish, offset in zip(wishes, offsets, strict=True)]
            for number, offset, y in zip(column, offsets, _rising(wanted, weights), strict=True):
                items[number].y = y + offset


def _offsets(items: list[_Item], column: list[int]) -> list[float]:
    """Give how far below the first each item of a column has to be, at least."""
    found, last = [0.0], None
    for number in column:
        item = items[number]
        if last is not None:
            gap = GAP if item.box is not None or last.box is not None else LANE
            found.append(found[-1] + (item.height + last.height) / 2 + gap)
        last = item
    return found


def _rising(wishes: list[float], weights: list[float]) -> list[float]:
    """Give the rising numbers that are nearest to those wished for, by least squares: neighbours are pooled."""
    pools: list[tuple[float, float, int]] = []  # mean, weight, count
    for wish, weight in zip(wishes, weights, strict=True):
        mean, total, count = wish, weight, 1
        while pools and pools[-1][0] > mean:
            other, more, others = pools.pop()
            mean = (mean * total + other * more) / (total + more)
            total, count = total + more, count + others
        pools.append((mean, total, count))
    return [mean for mean, _, count in pools for _ in range(count)]
