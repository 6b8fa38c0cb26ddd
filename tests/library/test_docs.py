"""Pages and pictures of a project: what they say, that they follow the code, and that nobody's words are lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import browser
import pytest
from conftest import Project

from datajoint_pipeline.docs import coverage, pages
from datajoint_pipeline.errors import PipelineError
from datajoint_pipeline.schema.model import Attribute, ForeignKey, Index, Table, TableName

PAGE = "docs/pipeline/ephys.md"


def files(project: Project) -> dict[str, str]:
    folder = project.folder / "docs/pipeline"
    return {p.relative_to(folder).as_posix(): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def stale(project: Project) -> dict[str, str]:
    result = project.run("docs", "check", "--json")
    found = {one["path"]: one["state"] for one in result.json["pages"]}
    assert result.code == (3 if found else 0)
    return found


def test_a_new_project_is_in_order_before_and_after_its_first_pages(project: Project) -> None:
    """Its README's picture comes from the template, byte for byte as `docs build` writes it."""
    project.write(
        "docs/pipeline/index.md", "# Ours\n"
    )  # which is no page of these, and blocks them when they are built
    first = project.run("docs", "check")
    assert (
        first.code == 0
        and "There are no pages of the pipeline yet" in first.out
        and "100 % of the 7 tables" in first.out
    )
    readme = project.read("README.md")
    assert project.run("docs", "build").code == 1 and project.read("docs/pipeline/index.md") == "# Ours\n"
    (project.folder / "docs/pipeline/index.md").unlink()
    assert "    t_ephys_Probe -.-> t_ephys_Recording\n" in readme
    built = project.run("docs", "build", "--json")
    assert built.code == 0 and f"{PAGE}" in built.json["written"] and "mkdocs.yml" in built.json["written"]
    assert project.read("README.md") == readme
    assert "    - ephys: pipeline/ephys.md\n" in project.read("mkdocs.yml")
    before = files(project)
    assert stale(project) == {} and "Every page is up to date" in project.run("docs", "build").out
    assert files(project) == before

    # What pages say, and that every link leads somewhere.
    text = before["ephys.md"]
    assert "# Schema ephys\n" in text and "Electrophysiology: probes" in text and "### Recording.Channel\n" in text
    assert (
        "| **`session_id`** | `int32` | number of the subject's visit; from [session.Session](session.md#session) |"
        in text
    )
    assert "- refers to [Probe](#probe) by `probe_type`, not in the primary key\n" in text
    assert "- referred to by [analysis.MultiModalAnalysis](analysis.md#multimodalanalysis)\n" in text
    for name, page in before.items():
        targets = re.findall(r"\]\(([^)]+)\)", page) if name.endswith(".md") else re.findall(r' href="([^"]+)"', page)
        for target in targets:
            path, _, anchor = target.partition("#")
            path = (Path(name).parent / path.replace(".html", ".md")).as_posix() if path else name
            path = path.replace("ephys/../", "") if "/../" in path else path
            other = before[Path(re.sub(r"\w+/\.\./", "", path)).as_posix()]
            headings = [re.sub(r"[^\w-]", "", h.lower()) for h in re.findall(r"^##+ (.*)$", other, re.MULTILINE)]
            assert not anchor or anchor in headings, (name, target)
    for name in before:
        if name.endswith(".svg"):
            ElementTree.fromstring(before[name])


@pytest.mark.parametrize("schemas", [6, 31])
def test_the_readme_of_any_graph_is_what_docs_build_writes(
    tmp_path: Path, render: Callable[..., Path], schemas: int
) -> None:
    """With starters among them that have lost their parents, and with more schemas than are drawn table by table."""
    graph = [
        {"name": "subject"},
        {"name": "imaging", "depends": ["subject"]},
        {"name": "session", "depends": ["subject"]},
    ]
    graph += [{"name": "ephys", "depends": ["session"]}]
    graph += [{"name": f"stage_{n}", "depends": ["ephys", "subject"][: 1 + n % 2]} for n in range(schemas - 4)]
    project = Project(render(tmp_path / "my_pipeline", schemas=graph))
    assert "mermaid" in project.read("README.md") and stale(project) == {}


def test_pages_follow_the_code_and_keep_what_the_lab_wrote(project: Project) -> None:
    project.run("docs", "build")
    project.replace(PAGE, "<!-- notes -->\n", "<!-- notes -->\nAsk Ada before you touch the rig.\n")
    project.write("docs/pipeline/own.md", "# Ours\n")
    assert stale(project) == {}

    # A comment, a new table, a schema that is gone.
    project.replace(project.module("ephys"), "# A kind of probe", "# A kind of probe, from the catalogue")
    extra = '\n\n@schema\nclass Rig(dj.Lookup):\n    definition = """\n    # A setup\n    rig : int32\n    """\n'
    extra += '\n\n@schema\nclass Arrival(dj.Manual):\n    definition = """\n    # When it came\n    -> Rig\n    """\n'
    project.write(project.module("session"), project.read(project.module("session")) + extra)
    (project.folder / project.module("analysis")).unlink()
    project.replace(project.module("version"), '    "analysis": "1.0.0",\n', "")
    found = stale(project)
    assert found["docs/pipeline/analysis.md"] == "of nothing that is there" and found["README.md"] == "out of date"
    assert found[PAGE] == found["docs/pipeline/session.md"] == found["mkdocs.yml"] == "out of date"
    assert "docs/pipeline/own.md" not in found and "docs/pipeline/imaging.md" in found  # analysis referred to it
    shown = project.run("docs", "check", "--diff")
    assert shown.code == 3 and "+| [Probe](#probe) | Lookup | A kind of probe, from the catalogue |\n" in shown.out

    built = project.run("docs", "build", "--json").json
    assert "docs/pipeline/analysis.md" in built["removed"] and not (project.folder / "docs/pipeline/analysis").exists()
    assert stale(project) == {} and "Ask Ada" in project.read(PAGE) and "Rig" in project.read("README.md")
    # What a table refers to is read before it.
    page = project.read("docs/pipeline/session.md")
    assert re.findall("^## (.*)$", page, re.M)[:3] == ["Rig", "Session", "Arrival"]
    assert project.read("docs/pipeline/own.md") == "# Ours\n" and "analysis" not in project.read("mkdocs.yml")


def test_pointing_at_a_table_shows_its_path_and_a_click_opens_it(project: Project, chromium: browser.Page) -> None:
    assert project.run("docs", "build").code == 0
    folder = project.folder / "docs/pipeline"
    for page in folder.glob("*.md"):  # a site makes one of each
        page.with_suffix(".html").write_text(f"<title>{page.stem}</title><h2 id=recording>Recording</h2>")
    chromium.look(1100)
    chromium.open(folder / "index.svg")
    lit = "[...document.querySelectorAll('.n>.on')].map(n=>n.querySelector('text').textContent).sort().join()"
    assert chromium.value(lit) == ""
    chromium.point("a[href='subject.html#subject']")
    assert chromium.value(lit) == "Channel,MultiModalAnalysis,Recording,Scan,Session,Subject"
    chromium.point("a[href='imaging.html#scan']")
    assert chromium.value(lit) == "MultiModalAnalysis,Scan,Session,Subject"
    assert chromium.value("document.querySelectorAll('.e>.on').length") == 3
    chromium.send("Input.dispatchMouseEvent", type="mouseMoved", x=3, y=3)  # the empty corner
    assert not chromium.value("document.documentElement.classList.contains('on')")

    chromium.click("a[href='ephys.html#recording']")
    chromium.until("location.href.endsWith('/ephys.html#recording') && document.title === 'ephys'")
    assert not chromium.complaints


def test_what_somebody_edited_is_said_and_kept(project: Project) -> None:
    project.run("docs", "build")
    project.replace(PAGE, "A kind of probe", "Our own words")
    (project.folder / "docs/pipeline/session.md").write_text("# Not ours\n")
    edited, page = project.read(PAGE), "docs/pipeline/session.md"
    assert stale(project) == {PAGE: "edited by hand", page: "not written by docs build"}
    refused = project.run("docs", "build")
    assert refused.code == 1 and "nothing was written" in refused.err and PAGE in refused.err and page in refused.err
    assert project.read(PAGE) == edited and project.read(page) == "# Not ours\n"
    assert project.run("docs", "build", "--overwrite").code == 0 and stale(project) == {}

    # Notes on a schema that goes are not thrown away with it.
    project.replace("docs/pipeline/analysis.md", "<!-- notes -->\n", "<!-- notes -->\nKeep me.\n")
    (project.folder / project.module("analysis")).unlink()
    project.replace(project.module("version"), '    "analysis": "1.0.0",\n', "")
    assert project.run("docs", "build").code == 1 and "Keep me." in project.read("docs/pipeline/analysis.md")


def test_the_labs_rules_on_comments(project: Project) -> None:
    counted = {one["rule"]: one for one in project.run("docs", "check", "--json").json["coverage"]}
    assert (counted["table-comments"]["percent"], counted["attribute-comments"]["percent"]) == (100, 100)
    for schema, comment in (("subject", "common name"), ("ephys", "name of the kind")):
        project.replace(project.module(schema), f"  # {comment}", "")
    counted = {one["rule"]: one for one in project.run("docs", "check", "--json").json["coverage"]}
    assert 50 < counted["attribute-comments"]["percent"] < 90
    assert "subject.Subject.species" in counted["attribute-comments"]["missing"]
    pyproject = project.read("pyproject.toml")
    project.write("pyproject.toml", f"{pyproject}\n[tool.datajoint-pipeline.docs]\nattribute-comments = 90\n")
    broken = project.run("docs", "check")
    assert broken.code == 3 and "the lab wants 90 %" in broken.out and "ephys.Probe.probe_type" in broken.out
    project.write("pyproject.toml", f"{pyproject}\n[tool.datajoint-pipeline.docs]\nattribute-comments = 50\n")
    assert project.run("docs", "check").code == 0
    project.write("pyproject.toml", f"{pyproject}\n[tool.datajoint-pipeline.docs]\ncomments = 50\n")
    refused = project.run("docs", "check")
    assert refused.code == 1 and "there is no such rule" in refused.err and "table-comments" in refused.err


def test_rules_are_percentages(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    assert coverage.read_rules(path) == {}
    for value in ("true", "101", '"all"'):
        path.write_text(f"[tool.datajoint-pipeline.docs]\ntable-comments = {value}\n")
        with pytest.raises(PipelineError, match="from 0 to 100"):
            coverage.read_rules(path)
    path.write_text("tool = 1\n")
    assert coverage.read_rules(path) == {}


def test_migrations_are_told_where_they_touched_a_table(project: Project) -> None:
    """Also where the table is called otherwise since."""
    project.run("revise", "-m", "begin")
    project.replace(
        project.module("imaging"), "frame_rate : float64", "depth = null : float64\n    frame_rate : float64"
    )
    assert project.run("revise", "-m", "note the depth").code == 0
    for file in ("imaging", "analysis"):
        project.write(project.module(file), project.read(project.module(file)).replace("Scan", "Movie"))
    assert project.run("revise", "-m", "call it a movie", "--rename-table", "imaging.Scan=Movie").code == 0
    project.run("docs", "build")
    text = project.read("docs/pipeline/imaging.md")
    assert "## Movie\n" in text and "## Versions and migrations\n" in text and "| 1.1.0 | note the depth |" in text
    section = text[text.index("## Movie") :]
    assert re.search(r"^- changed in 1\.1\.0: added depth = null", section, re.MULTILINE), section
    assert re.search(r"^- changed in 2\.0\.0: ", section, re.MULTILINE), section
    assert text.index("| 1.1.0 | note the depth |") < text.index("| 1.0.0 | the first version |")


def test_pictures_of_schemas_and_tables(project: Project) -> None:
    whole = project.run("diagram")
    assert whole.code == 0 and len(re.findall("<title>", whole.out)) == 7
    ElementTree.fromstring(whole.out)
    assert whole.out == project.run("diagram").out
    asked = project.run("diagram", "ephys", "--format", "mermaid")
    assert asked.out.startswith("flowchart LR\n") and "t_session_Session ==> t_ephys_Recording" in asked.out
    around = project.run("diagram", "--around", "session.Session", "--json").json
    assert around["tables"] == ["subject.Subject", "session.Session", "ephys.Recording", "imaging.Scan"]
    two = project.run("diagram", "--around", "Session", "--steps", "2", "--json").json["tables"]
    assert "analysis.MultiModalAnalysis" in two
    some = project.run("diagram", "subject", "ephys.Recording", "--json").json["tables"]
    assert some == ["subject.Subject", "ephys.Recording"]
    wrote = project.run("diagram", "--out", "map.mmd")
    assert wrote.out == "wrote map.mmd: 7 boxes\n" and project.read("map.mmd").startswith("flowchart")
    picture = project.run("diagram", "--out", "map.png")
    assert picture.code == 2 and "not written as .png" in picture.err and not (project.folder / "map.png").exists()
    unknown = project.run("diagram", "Nothing")
    assert unknown.code == 2 and "no schema and no table" in unknown.err
    assert project.run("diagram", "ephys", "--around", "Session").code == 2


HOSTILE = "<script>alert(1)</script> | `x` $y$ *z* [a](b) _c_ #d"


def test_words_of_people_are_words_in_a_page() -> None:
    name = TableName("index", "#odd|name`")
    table = Table(
        name,
        (
            Attribute("a", "enum('x|y', '`')", comment=HOSTILE),
            Attribute("b", "int32", nullable=True),
            Attribute("c_", "int32", default=""),
        ),
        ("a",),
        (ForeignKey(("b",), TableName("gone", "away"), ("b",)),),
        (Index(("b",), unique=True),),
        comment=HOSTILE,
    )
    source = pages.Source("p", {name: table}, {"index": "1.0.0"}, {"index": f"- {HOSTILE}\nsecond"})
    found = dict(pages.write(source))
    assert set(found) == {"index.md", "index.svg", "index_.md", "index_.svg", "index_/odd-name-.svg"}
    text = found["index_.md"]
    assert "<script>alert" not in text and "&#60;script&#62;" in text and "\n\\- " in text
    for line in text.splitlines():
        if line.startswith("| "):
            assert len(re.findall(r"(?<!\\)\|", line)) in (4, 5), line
    assert "<code>enum(&#x27;x&#124;y&#x27;, &#x27;&#96;&#x27;)</code>" in text and "- `unique index (b)`" in text
    assert "refers to `gone.Away` by `b`, not in the primary key, may be empty" in text
    assert "<script>alert" not in found["index_.svg"]
