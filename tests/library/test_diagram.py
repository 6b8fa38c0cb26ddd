"""Pictures of tables: what they say, that they are the same each time, and that nothing is drawn over anything else."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import browser
import pytest

from datajoint_pipeline import diagram
from datajoint_pipeline.diagram.layout import Link, arrange
from datajoint_pipeline.schema.model import Attribute, ForeignKey, Index, Table, TableName

SVG = "{http://www.w3.org/2000/svg}"


def table(name: str, key: str, *references: tuple[str, str, str], plain: str = "", unique: str = "") -> Table:
    """A table of ``schema.name_on_server``; references are (parent, attribute there, attribute here)."""
    keys = tuple(ForeignKey((here,), TableName(*parent.split(".")), (there,)) for parent, there, here in references)
    names = dict.fromkeys([*key.split(), *(here for _, _, here in references), *plain.split()])
    attributes = tuple(Attribute(a, "int32", nullable=a in plain.split()) for a in names)
    indexes = (Index((unique,), unique=True),) if unique else ()
    return Table(TableName(*name.split(".")), attributes, tuple(key.split()), keys, indexes, comment=f"<{name}> & more")


def pipeline(*tables: Table) -> dict[TableName, Table]:
    return {each.name: each for each in tables}


LAB = pipeline(
    table("lab.#rig", "rig"),
    table("lab.subject", "subject"),
    table(
        "lab.session", "subject session", ("lab.subject", "subject", "subject"), ("lab.#rig", "rig", "rig"), plain="rig"
    ),
    table("ephys._recording", "subject session", ("lab.session", "session", "session")),
    table("ephys._recording__channel", "subject session channel", ("ephys._recording", "session", "session")),
    table(
        "ephys.__quality",
        "subject",
        ("lab.subject", "subject", "subject"),
        ("lab.#rig", "rig", "other"),
        unique="other",
    ),
)


def name(text: str) -> TableName:
    return TableName(*text.split("."))


def elements(text: str, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(text).iter(SVG + tag))


def groups(text: str) -> Iterator[tuple[str, ElementTree.Element]]:
    for group in ElementTree.fromstring(text).iter(SVG + "g"):
        for node in group if "n" in group.get("class", "").split() else []:
            yield group.get("class", ""), node


def label(node: ElementTree.Element) -> str:
    found = node.find(SVG + "text")
    assert found is not None and found.text
    return found.text


def test_edges_say_what_the_foreign_keys_are() -> None:
    edges = {(str(e.parent), str(e.child)): e for e in diagram.of_tables(LAB).edges}
    inner = edges["lab.Subject", "lab.Session"]
    assert (inner.primary, inner.whole, inner.renamed, inner.nullable, inner.unique) == (
        True,
        False,
        False,
        False,
        False,
    )
    outer = edges["lab.Rig", "lab.Session"]
    assert (outer.primary, outer.whole, outer.nullable) == (False, False, True)
    assert edges["lab.Subject", "ephys.Quality"].whole and edges["lab.Subject", "ephys.Quality"].unique
    renamed = edges["lab.Rig", "ephys.Quality"]
    assert (renamed.renamed, renamed.unique, renamed.primary) == (True, True, False)


def test_tiers_have_datajoints_shapes_and_lines_its_strokes() -> None:
    text = diagram.draw(diagram.of_tables(LAB))
    shapes = {label(node): (kind.split()[1], [e.tag for e in node][1].removeprefix(SVG)) for kind, node in groups(text)}
    assert shapes == {
        "Rig": ("l", "rect"),
        "Subject": ("m", "rect"),
        "Session": ("m", "rect"),
        "Recording": ("i", "ellipse"),
        "Channel": ("p", "rect"),
        "Quality": ("c", "ellipse"),
    }
    lines = {g.get("class"): len(g) for g in elements(text, "g") if (g.get("class") or " ")[0] == "e"}
    assert lines == {"e": 2, "e d": 1, "e w": 1, "e d r": 1}  # that of the part is where it stands


def test_what_a_person_wrote_is_text() -> None:
    text = diagram.draw(diagram.of_tables(LAB), href=lambda node: f'x"{node.name}<&')
    assert elements(text, "title")[0].text == "lab.Rig: <lab.#rig> & more"
    assert elements(text, "a")[0].get("href") == 'x"lab.Rig<&'


def test_the_map_of_a_schema_has_its_neighbours_and_says_where_they_are_from() -> None:
    graph = diagram.of_tables(LAB, "ephys")
    assert [(n.label, n.note, n.outside) for n in graph.nodes] == [
        ("Rig", "lab", True),
        ("Session", "lab", True),
        ("Subject", "lab", True),
        ("Quality", "", False),
        ("Recording", "", False),
        ("Channel", "", False),
    ]
    assert ("lab.Subject", "lab.Session") not in [(str(e.parent), str(e.child)) for e in graph.edges]
    assert {n.name.schema for n in diagram.of_tables(LAB, "ephys", neighbours=False).nodes} == {"ephys"}


def test_the_surroundings_of_a_table_are_up_and_down_from_it() -> None:
    def shown(table: str, steps: int) -> set[str]:
        return {str(node.name) for node in diagram.around(LAB, name(table), steps).nodes}

    assert shown("lab.session", 0) == {"lab.Session"}
    assert shown("lab.session", 1) == {"lab.Session", "lab.Subject", "lab.Rig", "ephys.Recording"}
    assert shown("lab.session", 2) == shown("lab.session", 1) | {"ephys.Recording.Channel"}
    assert shown("ephys._recording__channel", 0) == {"ephys.Recording", "ephys.Recording.Channel"}


def test_schemas_are_shown_with_the_number_of_their_tables() -> None:
    graph = diagram.of_schemas(LAB, ["lab", "ephys"])
    assert [(n.label, n.note) for n in graph.nodes] == [("lab", "3 tables"), ("ephys", "3 tables")]
    assert [(e.parent.schema, e.child.schema) for e in graph.edges] == [("lab", "ephys")]
    assert "lab" in diagram.draw(graph)


def test_somebody_may_add_a_class_and_a_line_to_a_node() -> None:
    text = diagram.draw(
        diagram.of_tables(LAB),
        dress=lambda node: diagram.Dress("failed", "3 errors", "see them") if node.label == "Quality" else None,
        css=".djd .failed{stroke:red}",
    )
    (found,) = [node for _, node in groups(text) if node.get("class") == "failed"]
    assert [e.text for e in found if e.text] == ["see them", "Quality", "3 errors"]
    assert ".djd .failed{stroke:red}" in text


def test_the_same_tables_give_the_same_bytes_in_every_process() -> None:
    """Whatever the seed of hashes is."""
    code = "import test_diagram as t; print(t.hashlib.sha256(t.everything().encode()).hexdigest())"
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}
        found = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert found.stdout.strip() == hashlib.sha256(everything().encode()).hexdigest()


def everything() -> str:
    graphs = [
        diagram.of_tables(LAB),
        diagram.around(LAB, name("lab.session")),
        diagram.of_schemas(LAB, ["lab", "ephys"]),
    ]
    wide = pipeline(*(many(60)))
    return "".join(map(diagram.draw, [*graphs, diagram.of_tables(wide)])) + diagram.write(diagram.of_tables(wide))


def many(count: int) -> Iterator[Table]:
    """Tables that refer to what stands a few places before them."""
    for number in range(count):
        parents = (
            {number - step for step in (1 + number % 3, 2 + number % 7) if number >= step} if number % 5 else set()
        )
        references = [(f"s{p // 12}.t{p}", f"k{p}", f"k{p}") for p in sorted(parents)]
        yield table(f"s{number // 12}.t{number}", f"k{number}", *references)


@pytest.mark.parametrize("count", [7, 60, 200])
def test_no_box_stands_on_another(count: int) -> None:
    """Nor does one stand left of what it refers to, or beyond the edge."""
    tables = pipeline(*many(count))
    text = diagram.draw(diagram.of_tables(tables))
    box = {label(node): [int(node[1].get(at) or 0) for at in ("x", "y", "width", "height")] for _, node in groups(text)}
    assert len(box) == count
    for (x, y, w, h), (x2, y2, w2, h2) in combinations(box.values(), 2):
        assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
    for edge in diagram.of_tables(tables).edges:
        parent, child = box[edge.parent.title], box[edge.child.title]
        assert parent[0] + parent[2] < child[0]
    width, height = (int(ElementTree.fromstring(text).get(side) or 0) for side in ("width", "height"))
    assert all(min(x, y) > 0 and x + w < width and y + h < height for x, y, w, h in box.values())


def test_circles_and_references_to_oneself_are_drawn() -> None:
    """DataJoint declares none; an adopted database may have them, and a part may refer to what refers to its master."""
    tables = pipeline(
        table("s.a", "a", ("s.b", "b", "b")),
        table("s.b", "b", ("s.a", "a", "a"), ("s.b", "b", "other")),
        table("s.a__part", "a part", ("s.a", "a", "a"), ("s.b", "b", "b"), ("s.a__part", "part", "twin")),
        table("s.c", "c", ("gone.d", "d", "d")),
    )
    text = diagram.draw(diagram.of_tables(tables))
    assert len(elements(text, "path")) == 5  # all but that of the part, and the one to where nothing is
    assert len(elements(diagram.draw(diagram.of_tables(tables, "s")), "path")) == 6


def test_nothing_makes_an_empty_picture() -> None:
    ElementTree.fromstring(diagram.draw(diagram.of_tables({})))
    assert diagram.write(diagram.of_tables({})) == "flowchart LR\n"


def test_a_long_chain_is_no_deep_recursion() -> None:
    links = [Link(number, number + 1) for number in range(3000)]
    layout = arrange([(10, 10)] * 3001, links)
    assert layout.corners[-1][0] > layout.corners[0][0]


def test_mermaid_says_the_same() -> None:
    assert diagram.write(diagram.of_tables(LAB)).splitlines() == [
        "flowchart LR",
        "    classDef Manual fill:#E8F0E9,stroke:#3E7A52,color:#28513A",
        "    classDef Lookup fill:#F0F0F1,stroke:#808285,color:#5A5C5F",
        "    classDef Imported fill:#E0F4FC,stroke:#00A0DF,color:#00537A",
        "    classDef Computed fill:#FFEDE5,stroke:#FF5113,color:#B23200",
        "    classDef Part fill:#FFFFFF,stroke:#B9BBBE,color:#55585C",
        '    subgraph schema_0["lab"]',
        '        t_lab_Rig["Rig"]:::Lookup',
        '        t_lab_Session["Session"]:::Manual',
        '        t_lab_Subject["Subject"]:::Manual',
        "    end",
        '    subgraph schema_1["ephys"]',
        '        t_ephys_Quality(["Quality"]):::Computed',
        '        t_ephys_Recording(["Recording"]):::Imported',
        '        t_ephys_Recording_Channel["Recording.Channel"]:::Part',
        "    end",
        "    t_lab_Rig -.-> t_lab_Session",
        "    t_lab_Subject --> t_lab_Session",
        "    t_lab_Rig -.-> t_ephys_Quality",
        "    t_lab_Subject ==> t_ephys_Quality",
        "    t_lab_Session --> t_ephys_Recording",
        "    t_ephys_Recording --> t_ephys_Recording_Channel",
        "    linkStyle 2 stroke:#C77D3A",
    ]
    odd = pipeline(table('s.Odd "name"', "a"), table("s.odd__name", "a"), table("s.odd_name", "a"))
    names = re.findall(r"^ {8}(\w+)\[\"(.*)\"\]", diagram.write(diagram.of_tables(odd)), re.M)
    assert len({identifier for identifier, _ in names}) == 3 and "Odd #34;name#34;" in [text for _, text in names]


def test_mermaid_refuses_what_it_would_not_draw() -> None:
    with pytest.raises(ValueError, match="more than Mermaid draws"):
        diagram.write(diagram.of_tables(pipeline(*many(600))))


def test_a_picture_of_a_thousand_tables_can_be_sent() -> None:
    """Each shape is in it once, its lines are straight, and it says the name of every table."""
    tables = pipeline(*(replace(each, comment="what nobody reads there") for each in named(1000)))
    text = diagram.draw(diagram.of_tables(tables))
    assert len(text.encode()) <= 150_000
    shapes = {each.get("id"): each for each in elements(text, "defs")[0] if each.get("id")}
    nodes = [node for _, node in groups(text)]
    assert len(nodes) == 1000 and {label(node) for node in nodes} == {name.title for name in tables}
    for node in nodes:
        assert node.get("x") and node.get("y")
        assert [each.tag.removeprefix(SVG) for each in node] == ["use", "text"]
        assert (node[0].get("href") or "").removeprefix("#") in shapes
    assert len(shapes) < 60 and not any("c" in (each.get("d") or "") for each in elements(text, "path"))


def test_a_pointer_finds_its_way_in_a_picture_of_a_thousand_tables(chromium: browser.Page, tmp_path: Path) -> None:
    tables = pipeline(*named(1000))
    path = tmp_path / "tables.svg"
    path.write_text(diagram.draw(diagram.of_tables(tables), href=lambda node: f"#{node.name.title}"))
    chromium.look(1280)
    chromium.open(path)
    lit = "[...document.querySelectorAll('.n>.on')].map(n=>n.querySelector('text').textContent)"
    graph = diagram.of_tables(tables)
    for number in (0, 400, 999):
        wanted = list(tables)[number]
        chromium.point(f"a[href='#{wanted.title}']")
        assert sorted(chromium.value(lit)) == sorted(path_of(graph, wanted))
    chromium.click(f"a[href='#{wanted.title}']")
    chromium.until(f"location.hash === '#{wanted.title}'")
    assert not chromium.complaints


def path_of(graph: diagram.Graph, name: TableName) -> set[str]:
    """Give a table, what it refers to and what refers to it, over any number of tables."""
    found = {name}
    for near, far in (("parent", "child"), ("child", "parent")):
        waiting = {name}
        while waiting:
            waiting = {getattr(e, far) for e in graph.edges if getattr(e, near) in waiting} - found
            found |= waiting
    return {each.title for each in found}


def named(count: int) -> Iterator[Table]:
    """Tables of all tiers, with names as long as a lab's."""
    before: list[Table] = []
    for number in range(count):
        mark = ("", "#", "_", "__")[number % 4]
        parents = (
            {before[-1 - step] for step in (number % 7, number % 3 * 4) if step < len(before)} if number % 9 else ()
        )
        keys = sorted((str(each.name.schema), each.name.table, each.primary_key[-1]) for each in parents)
        references = [(f"{schema}.{parent}", key, key) for schema, parent, key in keys]
        before.append(table(f"schema{number // 12}.{mark}recording_session{number}", f"key{number}", *references))
    yield from before
