"""``progress --html``: one file that shows how a pipeline stands, in a browser that may ask nobody for anything."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from html import unescape
from itertools import cycle
from pathlib import Path
from typing import Any

import browser
import computing
import pytest
from conftest import Project, Server
from living import is_sentence

from datajoint_pipeline import disk
from datajoint_pipeline.journal.runs import Record
from datajoint_pipeline.monitor import head
from datajoint_pipeline.monitor.errors import Failure, grouped
from datajoint_pipeline.monitor.head import Code
from datajoint_pipeline.monitor.overview import Overview
from datajoint_pipeline.monitor.page import Facts, render
from datajoint_pipeline.monitor.progress import Progress, Reserved, State, TableProgress, Worker
from datajoint_pipeline.planner.status import SchemaStatus
from datajoint_pipeline.planner.status import State as SchemaState
from datajoint_pipeline.schema.model import Table, TableName

PREFIX = "page_"

#: What a page must show, and not do.
HOSTILE = (
    f"/raw/{'long' * 90}.dat"
    "</pre></details><script>document.title='taken'</script><img src=http://example.org/x onerror=document.title='taken'>"
)


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def lab(server: Server, tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Iterator[Project]:
    """A pipeline at work, of which jobs fail for two causes; what one of them says is made to break a page."""
    own = Project(render(tmp_path_factory.mktemp("lab") / "my_pipeline"))
    computing.lay(own, server, PREFIX)
    fails = f'        if key["subject_id"] == 1:\n            raise ValueError({HOSTILE!r})\n'
    own.replace(
        own.module("work"), '        self.insert1({**key, "size"', f'{fails}        self.insert1({{**key, "size"'
    )
    names = [f"{PREFIX}{name}" for name in computing.SCHEMAS]
    server.drop(*names)
    done = own.run("--env", "prod", "init")
    assert done.code == 0, done.err
    computing.work(own, "Scan:subject_id < 5", "Cells:4", "Restricted:2", "PerSubject:1", "Every")
    yield own
    server.drop(*names)


@pytest.fixture(scope="module")
def page(lab: Project) -> Path:
    done = lab.run("--env", "prod", "progress", "--html", "page.html")
    assert done.code == 0, done.err
    assert done.out.strip() == "wrote page.html; open it in a browser"
    return lab.folder / "page.html"


def errors(lab: Project) -> list[dict[str, Any]]:
    return list(lab.run("--env", "prod", "errors", "--json").json["groups"])


def test_page_says_what_the_commands_say(lab: Project, page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(text.encode()) < 100_000
    counted = lab.run("--env", "prod", "progress", "--json").json["tables"]
    for table in counted:
        row = text.partition(f'id="t-{table["table"]}"')[2].partition("</div>")[0]
        assert f"{table['done']} / {table['total']}" in row, table
    for group in errors(lab):
        assert f"errors --group {group['id']} --retry" in text
    for schema in computing.SCHEMAS:
        assert re.search(rf'id="s-{schema}"><td>{schema}</td><td>1.0.0</td><td>1.0.0</td>', text)
    assert len(list(lab.folder.glob(".page*"))) == 0  # nothing is left beside it


def test_head_has_a_line_for_each_thing_that_a_lab_answers_for(page: Path, chromium: browser.Page) -> None:
    chromium.look(1100)
    chromium.open(page)
    lines = chromium.value("[...document.querySelectorAll('.line')].map(e => e.innerText.split('\\n').join(' '))")
    words = {line.partition(" ")[0]: line for line in lines}
    assert list(words) == ["Code", "Database", "Object", "Compute", "Monitoring"]
    assert "2 schemas at 1.0.0" in words["Code"] and "in order" in words["Database"]
    assert "every schema current" in words["Database"] and "none" in words["Object"]
    assert "no worker" in words["Compute"] and "work.Scan" in words["Compute"]
    assert "wrong" in words["Monitoring"] and "4 jobs failed, for 2 causes" in words["Monitoring"]


def test_head_says_how_much_of_a_folders_disk_is_free(lab: Project, tmp_path: Path) -> None:
    before, file = lab.read("datajoint.json"), tmp_path / "page.html"
    stores = {"main": {"protocol": "file", "location": str(tmp_path)}}
    try:
        lab.write("datajoint.json", json.dumps({**json.loads(before), "stores": stores}))
        done = lab.run("--env", "prod", "progress", "--html", str(file))
        assert done.code == 0, done.err
    finally:
        lab.write("datajoint.json", before)
    assert re.search(
        r"main \(file\) answers, [0-9.]+ [kMGT]B of [0-9.]+ [kMGT]B free", file.read_text(encoding="utf-8")
    )
    nearly = head.store([head.Store("main", "file", True, free=2**30, whole=2**40)])
    assert nearly.mark is head.Mark.LOOK and nearly.facts == ("main (file) answers, 1 GB of 1 TB free",)


def test_page_asks_for_nothing_and_runs_nothing_that_others_wrote(page: Path, chromium: browser.Page) -> None:
    chromium.look(1100)
    chromium.complaints.clear()
    chromium.open(page)
    assert chromium.asked == [page.as_uri()] and not chromium.complaints
    assert chromium.value("document.title") == "my-pipeline, prod"
    assert chromium.value("document.images.length") == 0
    # The text is there, as text.
    assert "document.title='taken'" in chromium.value("document.querySelector('#errors + .card').textContent")
    # Even a script that found its way in would not run: the browser was told the only one that may.
    chromium.value(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 1'}))"
    )
    assert chromium.value("document.title") == "my-pipeline, prod"
    assert any("Content Security Policy" in text for text in chromium.complaints)


@pytest.mark.parametrize(
    "first", [".line:last-child", ".picture a.failed", "#t-work\\.Scan a"], ids=["head", "picture", "table"]
)
def test_cause_is_one_click_from_what_is_red(page: Path, lab: Project, chromium: browser.Page, first: str) -> None:
    chromium.look(1100)
    chromium.open(page)
    tracebacks = "[...document.querySelectorAll('details pre')].filter(e => e.checkVisibility()).map(e => e.innerText)"
    assert chromium.value(tracebacks) == []
    chromium.click(first)
    command, traceback = chromium.value(tracebacks)
    assert command == f"python -m my_pipeline --env prod errors --group {errors(lab)[0]['id']} --retry"
    assert "Traceback (most recent call last)" in traceback


def test_picture_shows_the_path_of_a_table(page: Path, chromium: browser.Page) -> None:
    """The script of the picture is the one that the page lets run."""
    chromium.look(1100)
    chromium.open(page)
    assert not chromium.value("document.querySelector('svg').classList.contains('on')")
    chromium.value("document.querySelector('.picture a.failed').dispatchEvent(new Event('mouseenter'))")
    assert chromium.value("document.querySelector('svg').classList.contains('on')")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1100])
def test_page_fits_and_can_be_read(page: Path, chromium: browser.Page, width: int, dark: bool, tmp_path: Path) -> None:
    chromium.look(width, dark=dark)
    chromium.open(page)
    chromium.value("for (const e of document.querySelectorAll('details')) e.open = true")
    assert chromium.value("document.documentElement.scrollWidth") <= width
    # Every text stands out from what is behind it (WCAG's 4.5), and none is smaller than 11 pixels.
    faint = chromium.value(CONTRAST)
    assert faint == []
    small = "[...document.querySelectorAll('body *')].filter(e => parseFloat(getComputedStyle(e).fontSize) < 11).length"
    assert chromium.value(small) == 0
    folder = Path(os.environ.get("PAGE_PICTURES", tmp_path))
    chromium.picture(folder / f"page-{width}-{'dark' if dark else 'light'}.png")


#: Texts of the page, outside of the picture, whose colour is too near to that of their ground.
CONTRAST = """(() => {
  const parts = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = e => { for (; e; e = e.parentElement) { const c = parts(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
  return [...document.querySelectorAll('body *:not(svg, svg *, style, script)')].filter(e => e.checkVisibility()
    && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => {
    const [a, b] = [light(parts(getComputedStyle(e).color)), light(ground(e))];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.className || e.tagName, e.textContent.slice(0, 40)];
  }).filter(([ratio]) => ratio < 4.5);
})()"""


def test_head_names_the_last_alert(lab: Project, tmp_path: Path) -> None:
    own = {"XDG_STATE_HOME": str(tmp_path)}

    def monitoring() -> str:
        assert lab.run("--env", "prod", "progress", "--html", "alerts.html", **own).code == 0
        return lab.read("alerts.html").partition("<b>Monitoring</b>")[2].partition("</a>")[0]

    assert "no alert is kept on this machine" in monitoring()
    assert lab.run("--env", "prod", "alert", **own).code == 3
    assert re.search(r"last alert \d{4}-\d\d-\d\d \d\d:\d\d UTC: ", monitoring())


def test_a_file_that_cannot_be_written_is_refused_in_words(lab: Project) -> None:
    done = lab.run("--env", "prod", "progress", "--html", "nowhere/page.html")
    is_sentence(done)
    assert "nowhere/page.html cannot be written." in done.err and "Make the folder nowhere first" in done.err
    assert "There is no folder" in done.err
    full = disk.unwritten(OSError(errno.ENOSPC, "No space left on device"), Path("web/page.html"))
    assert full.what == "web/page.html cannot be written." and full.do.startswith("Make room on that disk")


def test_watching_writes_the_page_again_and_again(lab: Project, tmp_path: Path) -> None:
    file, other, written = tmp_path / "page.html", tmp_path / "x.prom", set[int]()
    options = ["--watch", "--every", "0.1", "--html", str(file), "--metrics", str(other)]
    command = [sys.executable, "-m", "my_pipeline", "--env", "prod", "progress", *options]
    with subprocess.Popen(command, cwd=lab.folder, env=lab.variables(), stdout=subprocess.DEVNULL) as process:
        threading.Timer(100, process.kill).start()  # else a test that fails would go on for ever
        while len(written) < 2 and process.poll() is None:
            written |= {file.stat().st_mtime_ns} if file.exists() else set()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
    assert process.returncode == 130 and other.exists()


def large(tables: int, causes: int) -> str:
    """The page of a pipeline with many tables, of which many fail, each at great length."""
    names = [TableName(f"part{number // 20}", f"__of_many_tables_{number}") for number in range(tables)]
    found = tuple(
        TableProgress(name, "Computed", 1000, 1000 if number % 3 else 400, failed=number % 7, pending=50, state=state)
        for number, (name, state) in enumerate(zip(names, cycle(State), strict=False))
    )
    at = datetime(2026, 11, 1)
    failures = [
        Failure(
            names[number % tables], {"a": n}, f"E{number}", "m" * 300, "x.py:1", "line\n" * 4000, "h", "u", 1, 2, "", at
        )
        for number in range(causes)
        for n in range(30)
    ]
    held = (
        []
        if not tables
        else [
            Reserved(names[0], "node1", "worker@%", 11, 5, 1, 4000.0, "alive"),
            Reserved(names[1], "node2", "worker@%", 12, 6, 3, 90.0, "dead"),
            Reserved(names[2], "laptop", "<b>ada</b>@%", 13, 7, 1, 30.0, "unknown"),
        ]
    )
    workers = (Worker("small", 0, tuple(held[:1])), Worker("large", 0)) if tables else ()
    progress = Progress("prod", "mysql", at, found, tuple(held), workers)
    schemas = dict.fromkeys(name.schema for name in names)
    status = [SchemaStatus(name, name, "1.0.0", "1.0.0", SchemaState.CURRENT) for name in schemas]
    status[1:2] = [replace(one, state=SchemaState.DRIFTED, drift=("<i>weight</i> is gone",)) for one in status[1:2]]
    status[2:3] = [replace(one, state=SchemaState.BEHIND, pending=("1.1.0", "1.2.0")) for one in status[2:3]]
    run = Record("part0", 1, 1, "migrate", "running", "1.1.0", "1.0.0", None, at, None, "adm", "ada", "h", "c0ffee", "")
    shapes = {name: Table(name, (), ()) for name in names}
    facts = Facts("many", "many", "page.html", Code("", "", ""), "A server")
    return render(Overview(progress, tuple(status), (run,)), grouped(failures), shapes, facts)


@pytest.mark.parametrize(("tables", "causes"), [(0, 0), (60, 3), (100, 50), (700, 50)])
def test_page_of_a_large_pipeline_stays_small(tables: int, causes: int, tmp_path: Path) -> None:
    text = large(tables, causes)
    assert len(text.encode()) <= 300_000
    assert text.count("--retry") == min(causes, 20)
    folder = Path(os.environ.get("PAGE_PICTURES", tmp_path))
    (folder / f"large-{tables}.html").write_text(text, encoding="utf-8")


def test_page_shows_who_works_what_drifted_and_what_was_done() -> None:
    text = unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", large(60, 1).partition("</svg>")[2])))
    for words in (
        "small worker 1: part0.OfManyTables0 for 1 h 6 min, on node1 (process 11) as worker@%",
        "large worker 1: waits for work",
        "died 3 of part0.OfManyTables1, on node2 (process 12) as worker@%; the next worker takes them back",
        "not one of ours 1 of part0.OfManyTables2 for 30 s, on laptop (process 13) as <b>ada</b>@%",
        "drifted <i>weight</i> is gone",
        "behind to apply: 1.1.0, 1.2.0",
        "part0 migrate 1.0.0 to 1.1.0 interrupted not finished ada as adm c0ffee",
    ):
        assert words in text, words
    head = large(60, 1).partition('id="errors"')[0]
    assert "1 drifted" in head and "1 behind" in head and "2 versions to apply" in head and "<i>" not in head
