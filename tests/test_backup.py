"""What migrate and purge would lose is written to a file before, and the file puts it back, on both backends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Project, Server
from living import living, ok, rows, states
from test_bad_days import is_sentence

#: A table with what values can be.
ODD = '''

@schema
class Odd(dj.Manual):
    definition = """
    odd_id : varchar(32)
    ---
    note = null : varchar(64)
    amount = 0 : decimal(10,4)
    moment = null : datetime(6)
    ratio = null : float64
    token = null : uuid
    payload = null : <blob>
    setting = null : json
    """
'''

FILL = r"""
import datetime, decimal, uuid
from my_pipeline import life
MYSQL = life.schema.connection.adapter.backend == "mysql"
NOTES = [None, "", "short", "line one\nline two\r\nthree", 'say "quotes", and commas', "\\N", "\\x41\\",
         "Übergröße 测量 🐭🐭🐭", "  spaces at both ends  ", "' OR 1=1; -- %s %% {0}", "a" * 64, "it\tis; tabbed"]
life.Odd.insert(
    dict(odd_id=f"{n:02}-é" + "x" * n, note=note, amount=decimal.Decimal("1234.5678") + n, ratio=0.1 + n / 3,
         moment=datetime.datetime(2026, 1, 2, 3, 4, 5, 123456 + n), token=uuid.UUID(int=n) if MYSQL else None, payload={"n": [n, b"\x00\xff"]},
         setting={"ключ": [n, None, "\u2028"]})
    for n, note in enumerate(NOTES)
)
if not MYSQL:  # where DataJoint 2.3.5 cannot insert a uuid
    life.schema.connection.query("UPDATE dev_life.odd SET token = gen_random_uuid()")
"""

ALL = "sorted(life.Odd.to_dicts(), key=lambda r: r['odd_id'])"


@pytest.fixture
def odd(server: Server, project: Project) -> Iterator[Project]:
    """A pipeline with odd values, in ``dev``."""
    with living(server, project) as own:
        own.write(own.module("life"), own.read(own.module("life")) + ODD)
        ok(own, "revise", "-m", "odd things")
        ok(own, "migrate")
        filled = own.python("-c", FILL)
        assert filled.code == 0, filled.err
        yield own


def backups(project: Project) -> list[Path]:
    return sorted((project.folder / "backups").glob("*.zip"))


def leftovers(project: Project) -> list[str]:
    return sorted(path.name for path in (project.folder / "backups").glob(".*.part"))


def revise(project: Project, *changes: tuple[str, str], words: str = "smaller", said: tuple[str, ...] = ()) -> None:
    for old, new in changes:
        project.replace(project.module("life"), old, new)
    ok(project, "revise", "-m", words, *said)


SMALLER = (
    ("note = null : varchar(64)", "note = null : varchar(8)"),
    ("amount = 0 : decimal(10,4)", "amount = 0 : decimal(10,2)"),
    ("moment = null : datetime(6)", "moment = null : datetime"),
    ("ratio = null : float64", "ratio = null : float32"),
)


def test_every_value_comes_back_after_it_was_cut(odd: Project) -> None:
    before = rows(odd, ALL)
    revise(odd, *SMALLER)
    assert ok(odd, "migrate", code=7) and not backups(odd)
    told = ok(odd, "migrate", "--allow-data-loss").out
    (path,) = backups(odd)
    assert path.name.startswith("dev-life-migrate-") and f"backups/{path.name}" in told, told
    assert path.stat().st_mode & 0o077 == 0 and not leftovers(odd)
    assert rows(odd, ALL) != before
    refused = odd.run("restore", str(path))
    is_sentence(refused)
    assert "rollback life --to 1.1.0" in refused.err, refused.err
    ok(odd, "rollback", "life", "--to", "1.1.0")
    assert rows(odd, ALL) != before
    was = states(odd)
    shown = ok(odd, "restore", path.name, "--dry-run", "--json").json
    assert shown["dry_run"] and [t["rows"] for t in shown["tables"]] == [12], shown
    assert rows(odd, ALL) != before
    done = ok(odd, "restore", str(path), "--json").json
    assert rows(odd, ALL) == before
    assert done["tables"] == shown["tables"] and done["tables"][0]["restored"] == 12
    again = ok(odd, "restore", str(path), "--json").json
    assert (again["tables"][0]["restored"], again["tables"][0]["same"]) == (0, 12)
    assert states(odd) == was and ok(odd, "status", code=3)
    ok(odd, "migrate", "--allow-data-loss", "--no-backup")
    assert backups(odd) == [path]
