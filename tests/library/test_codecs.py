"""Codecs of a lab's own: commands make columns and convert values by them, and import no schema module."""

from __future__ import annotations

import json
from typing import Any

from conftest import Project, Server
from living import filled, is_sentence, ok, states

CODECS = '''"""The lab's own codecs."""

import datajoint as dj


class Span:
    def __init__(self, first, last):
        self.first, self.last = first, last

    def __eq__(self, other):
        return isinstance(other, Span) and vars(self) == vars(other)


class SpanCodec(dj.Codec):
    name = "span"

    def get_dtype(self, is_store):
        return "json"

    def encode(self, value, *, key=None, store_name=None):
        return vars(value)

    def decode(self, stored, *, key=None):
        return Span(**stored)


class PairCodec(dj.Codec):
    name = "pair"

    def get_dtype(self, is_store):
        return "<blob>"

    def encode(self, value, *, key=None, store_name=None):
        return [value.first, value.last]

    def decode(self, stored, *, key=None):
        return Span(*stored)
'''

LIFE = '''"""What lives here."""

import datajoint as dj

from . import codecs, open_schema

schema = open_schema("life")


@schema
class Bout(dj.Manual):
    definition = """
    bout : varchar(16)
    ---
    frames = null : <span>
    """
'''

FILL = """
from my_pipeline import codecs, life
life.Bout.insert([("a", codecs.Span(1, 2)), ("b", codecs.Span(3, 4)), ("c", None)])
"""

SHOW = """
import json
from my_pipeline import life
print(json.dumps([[r["bout"], r["frames"] and vars(r["frames"])] for r in life.Bout.to_dicts(order_by="KEY")]))
"""

VALUES = [["a", {"first": 1, "last": 2}], ["b", {"first": 3, "last": 4}], ["c", None]]


def shown(project: Project) -> Any:
    result = project.python("-c", SHOW)
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_values_get_another_codec_of_the_lab_and_come_back(server: Server, project: Project) -> None:
    project.clear()
    life, codecs = project.module("life"), project.module("codecs")
    project.write(life, LIFE)
    project.write(codecs, CODECS)
    project.write(project.module("version"), '__version__ = "0.1.0"\n\nSCHEMA_VERSIONS = {"life": "1.0.0"}\n')
    with filled(server, project, FILL):
        assert shown(project) == VALUES
        version = project.read(project.module("version"))
        project.replace(life, "<span>", "<pair>")
        ok(project, "revise", "-m", "pairs")
        ok(project, "check")
        ok(project, "migrate")
        assert shown(project) == VALUES and states(project)["life"][0] == "current"
        # What the next type cannot hold is counted.
        after = project.read(project.module("version"))
        project.replace(life, "<pair>", "json")
        ok(project, "revise", "-m", "plain")
        assert "JSON has no Span" in ok(project, "migrate", "--dry-run", code=7).out
        ok(project, "revise", "--undo")
        project.replace(life, "frames = null : json", "frames = null : <pair>")
        assert project.read(project.module("version")) == after
        ok(project, "rollback", "life", "--to", "1.0.0")
        project.replace(life, "<pair>", "<span>")
        project.write(project.module("version"), version)
        assert shown(project) == VALUES
        # One that is gone is named, and a file that cannot be imported is, too.
        project.write(project.module("version"), after)
        project.replace(life, "<span>", "<pair>")
        for text, words in (
            (CODECS.replace('"span"', '"old"'), "codec is not known"),
            ("import nothing_there\n", "codecs.py cannot"),
        ):
            project.write(codecs, text)
            refused = project.run("migrate")
            is_sentence(refused)
            assert words in refused.err and "codecs.py" in refused.err, refused.err
        project.write(codecs, CODECS)
        ok(project, "migrate")
        assert shown(project) == VALUES
