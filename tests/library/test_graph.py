"""The graph of schemas as `check` sees it: each fault has an id, a place, a sentence and a fix; nothing connects."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from conftest import Project

HEADER = "import datajoint as dj\n\nfrom . import open_schema{imports}\n\nschema = open_schema({name!r})\n"
TABLE = '\n\n@schema\nclass {table}(dj.Manual):\n    definition = """\n{lines}\n    """\n'


def write(project: Project, name: str, imports: str, table: str, *lines: str) -> None:
    body = "\n".join(f"    {line}" for line in lines)
    text = HEADER.format(imports=f", {imports}" if imports else "", name=name)
    project.write(project.module(name), text + TABLE.format(table=table, lines=body))


@pytest.fixture
def small(project: Project) -> Project:
    """a ← b ← c, in order."""
    for name in ("subject", "session", "ephys", "imaging", "analysis"):
        (project.folder / project.module(name)).unlink()
    write(project, "a", "", "A", "a_id : int32")
    write(project, "b", "a", "B", "b_id : int32", "---", "-> a.A")
    write(project, "c", "b", "C", "-> b.B", "c_id : int32")
    versions(project, "a", "b", "c")
    return project


def versions(project: Project, *names: str) -> None:
    entries = "".join(f'    "{name}": "1.0.0",\n' for name in names)
    text = f'__version__ = "0.1.0"\nSCHEMA_VERSIONS = {{\n{entries}}}\n'
    project.write(project.module("version"), text)


def ids(project: Project, kind: str = "error") -> list[tuple[str, str]]:
    code = (
        "import json; from datajoint_pipeline.project import graph; from my_pipeline import pipeline; own = pipeline.project; "
        "found = graph.check(graph.read(own.directory), own.versions); "
        f"print(json.dumps([(f.id, f.module) for f in found if f.what and f.do and f.line and f.note == {kind == 'note'}]))"
    )
    result = project.python("-c", code)
    assert result.code == 0, result.err
    return [(i, m) for i, m in json.loads(result.out)]


def test_sound_graph_has_no_findings(small: Project) -> None:
    assert ids(small) == []


def test_missing_import(small: Project) -> None:
    write(small, "c", "", "C", "-> b.B", "c_id : int32")
    assert ids(small) == [("missing-import", "c")]


def test_import_that_no_foreign_key_needs(small: Project) -> None:
    write(small, "c", "a, b", "C", "-> b.B", "c_id : int32")
    assert ids(small) == [("unused-import", "c")]


def test_reference_against_the_order(small: Project) -> None:
    versions(small, "b", "a", "c")
    assert ids(small) == [("order", "b")]


def test_cycle(small: Project) -> None:
    """It is told once, where the order of the versions says that the mistake is, and with nothing that contradicts it."""
    write(small, "a", "c", "A", "a_id : int32", "---", "-> [nullable] c.C")
    assert ids(small) == [("cycle", "a")]
    versions(small, "b", "c", "a")
    assert ids(small) == [("cycle", "b")]


@pytest.mark.parametrize(
    ("id_", "line"),
    [("missing-import", 11), ("cycle", 3), ("undecorated", 8), ("unknown-table", 11), ("no-version", 1)],
)
def test_check_and_diff_have_one_explanation(small: Project, id_: str, line: int) -> None:
    """The same sentence, the same line of the same file, the same fix; so has everything else that reads the code."""
    small.environment["MY_PIPELINE_ENV"] = "local"
    module, other = "c", "b"
    if id_ == "missing-import":
        write(small, "c", "", "C", "-> b.B", "c_id : int32")
    elif id_ == "cycle":
        module, other = "a", "c"
        write(small, "a", "c", "A", "a_id : int32", "---", "-> [nullable] c.C")
    elif id_ == "undecorated":
        module, other = "b", "B"
        small.replace(small.module("b"), "@schema\n", "")
    elif id_ == "no-version":  # as when a table was moved there, which would be taken for dropped
        other = module
        versions(small, "a", "b")
    else:
        write(small, "c", "b", "C", "-> b.Missing", "c_id : int32")
    (finding,) = small.run("check", "--json").json["findings"]
    assert (finding["id"], finding["module"], finding["line"]) == (id_, module, line) and other in finding["what"]
    for command in (["diff"], ["revise", "-m", "x"], ["init"]):
        refused = small.run(*command)
        first, second, third = refused.err.strip().splitlines()
        assert refused.code == 1 and first == f"Error: {finding['what']}"
        assert second.strip() == f"src/my_pipeline/{module}.py, line {line}." and third.strip() == finding["do"]
    small.run("local", "stop")


def test_a_table_that_nobody_refers_to_is_missed_too(small: Project) -> None:
    """A class that others are made of, or that is given to the schema by a call, is meant so."""
    small.replace(small.module("c"), "@schema\n", "")
    assert ids(small) == [("undecorated", "c")]
    text = small.read(small.module("c"))
    small.write(small.module("c"), f"{text}\n\n@schema\nclass D(C):\n    pass\n")
    assert ids(small) == []
    other = '@schema\nclass D(dj.Manual):\n    definition = "d : int32"\n\n\n'
    small.write(small.module("c"), text.replace("class C", f"{other}class C") + "\n\nschema(C)\n")
    assert ids(small) == []


def test_table_that_is_not_there(small: Project) -> None:
    write(small, "c", "b", "C", "-> b.Missing", "c_id : int32")
    assert ids(small) == [("unknown-table", "c")]


def test_a_misspelt_name_is_asked_about(small: Project) -> None:
    """Who writes bb for b needs neither a module bb nor to take out the import of b."""
    for reference, meant in (("bb.B", "Did you mean b?"), ("b.BB", "Did you mean b.B?")):
        write(small, "c", "b", "C", f"-> {reference}", "c_id : int32")
        (finding,) = small.run("check", "--json").json["findings"]
        assert finding["do"].startswith(meant), finding


def test_schema_without_version_and_version_without_schema(small: Project) -> None:
    versions(small, "a", "b", "d")
    assert sorted(ids(small)) == [("no-module", "version"), ("no-version", "c")]


def notes(project: Project) -> list[tuple[str, str]]:
    return ids(project, "note")


def test_a_schema_may_have_several_modules_and_a_module_several_schemas(small: Project) -> None:
    """Whether each opens it or takes it from another; a table belongs to the schema that its decorator names."""
    small.write(small.module("d"), TABLE.format(table="D", lines="    -> a.A").replace("@schema", "@a.schema"))
    small.replace(small.module("d"), "\n\n@", "import datajoint as dj\n\nfrom . import a\nfrom .c import *\n\n@")
    text = small.read(small.module("d"))
    extra = TABLE.format(table="E", lines="    -> C") + TABLE.format(table="F", lines="    -> E")
    small.write(small.module("d"), text + extra.replace("@schema", "@b_schema").replace("@b_schema", "@schema", 1))
    small.replace(small.module("d"), "\n\n@a", '\nb_schema = open_schema("b")\n\n@a')
    assert ids(small) == [("order", "d")]  # F is in b and refers to E, which is in c
    found = "p.modules_by_schema, p.modules, p.graph.modules['d'].tables"
    shown = small.python("-c", f"from my_pipeline import pipeline as p; print(repr(({found})))")
    by_schema, first, tables = ast.literal_eval(shown.out)
    assert by_schema == {"a": ("a", "d"), "b": ("b", "d"), "c": ("c", "d")}
    assert first == {"a": "a", "b": "b", "c": "c"} and tables == {"D": "a", "E": "c", "F": "b"}


def test_modules_of_packages_are_found_at_any_depth(small: Project) -> None:
    (small.folder / small.module("b")).unlink()
    definition = "    -> base.A\n    b_id : int32"
    text = HEADER.format(imports="", name="b").replace("from .", "from ...").replace("schema\n", "schema\nIMPORT\n", 1)
    text = text + TABLE.format(table="B", lines=definition)
    small.write(small.module("deep/down/b"), text.replace("IMPORT", "from ... import a as base"))
    small.write(small.module("deep/down/__init__"), "from .b import B\n")
    small.write(small.module("deep/broken"), "print 'of long ago'\n")
    small.write(small.module("deep/trial"), "import datajoint as dj\n\nschema = dj.Schema('trial')\n")
    small.replace(
        small.module("c"), "from . import open_schema, b", "from . import open_schema\nfrom .deep import down as b"
    )
    assert ids(small) == []
    small.write(small.module("deep/down/b"), text.replace("IMPORT", "").replace("base.A", "a.A"))
    assert ids(small) == [("missing-import", "deep.down.b")]
    shown = small.run("check").out
    assert "src/my_pipeline/deep/down/b.py:" in shown and "`from ... import a` at the top of deep/down/b.py" in shown


def test_import_that_code_uses_is_a_note(small: Project) -> None:
    write(small, "c", "a, b", "C", "-> b.B", "c_id : int32")
    small.write(
        small.module("c"), small.read(small.module("c")) + "\n    def count(self):\n        return len(a.A())\n"
    )
    assert ids(small) == [] and notes(small) == [("import-without-key", "c")]
    small.write(small.module("c"), small.read(small.module("c")) + "\n# check: ignore import-without-key\n")
    assert notes(small) == []


def test_schema_whose_name_cannot_be_read(small: Project) -> None:
    """It is an error where tables are given to it; names that the module itself says are read."""
    small.replace(small.module("c"), "open_schema('c')", "open_schema(C + f\"{''}\")")
    small.replace(small.module("c"), "\nschema =", "\nC = 'c'\nschema =")
    assert ids(small) == []
    small.replace(small.module("c"), "C = 'c'", "import os\nC = os.environ.get('C', 'c')")
    assert ids(small) == [("unread-schema", "c")]
    small.write(small.module("d"), "from . import open_schema\n\nimport os\nschema = open_schema(os.sep)\n")
    assert notes(small) == [("unread-schema", "d")]


@pytest.mark.parametrize(
    ("imports", "reference"),
    [
        ("from . import a", "-> a.A"),
        ("from .a import A", "-> A"),
        ("from . import a as first", "-> first.A"),
        ("import my_pipeline.a as first", "-> first.A"),
        ("from my_pipeline import a", "-> [nullable, unique] a.A.proj(other='a_id')  # renamed"),
        ("from my_pipeline.a import A as Base", "-> Base"),
    ],
)
def test_every_way_to_import_and_refer_is_understood(small: Project, imports: str, reference: str) -> None:
    write(small, "b", "", "B", "b_id : int32", "---", reference)
    small.replace(small.module("b"), "from . import open_schema\n", f"from . import open_schema\n{imports}\n")
    assert ids(small) == []


def test_foreign_keys_of_an_f_string_count_as_far_as_they_are_text(small: Project) -> None:
    body = (
        '\n\n@schema\nclass F(dj.Manual):\n    definition = f"""\n    -> a.A\n    {"-> b.B"}\n    f : int32\n    """\n'
    )
    path = small.module("c")
    small.write(path, small.read(path).replace("open_schema, b", "open_schema, a, b") + body)
    assert ids(small) == []
    small.write(path, small.read(path).replace("open_schema, a, b", "open_schema, b"))
    assert ids(small) == [("missing-import", "c")]


@pytest.mark.parametrize(
    "written", ['f"""{KEY}\n    n : int32\n    """', 'KEY + "n : int32"', '"K n : int32".replace("K", KEY)']
)
def test_an_import_may_be_needed_by_a_definition_that_code_puts_together(small: Project, written: str) -> None:
    write(small, "c", "a, b", "C", "-> b.B", "c_id : int32")
    body = f'\n\nKEY = "-> a.A\\n"\n\n\n@schema\nclass N(dj.Manual):\n    definition = {written}\n'
    small.write(small.module("c"), small.read(small.module("c")) + body)
    assert (ids(small), ids(small, "note")) == ([], [("import-without-key", "c")])


def test_references_of_parts_count(small: Project) -> None:
    part = '\n    class Part(dj.Part):\n        definition = """\n        -> master\n        -> a.A\n        """\n'
    small.write(small.module("c"), small.read(small.module("c")).rstrip() + "\n" + part)
    assert ids(small) == [("missing-import", "c")]


def test_finding_can_be_silenced_by_its_id(small: Project) -> None:
    write(small, "c", "a, b", "C", "-> b.B", "c_id : int32")
    small.write(small.module("c"), small.read(small.module("c")) + "\n# check: ignore unused-import\n")
    assert ids(small) == []


def test_module_that_is_not_python_is_named(small: Project) -> None:
    small.write(small.module("b"), "def broken(:\n")
    result = small.run("check")
    assert result.code == 1
    assert "b.py is not Python" in result.err and "line 1" in result.err
    assert "Traceback" not in result.err


def test_findings_reach_the_command_line(small: Project) -> None:
    write(small, "c", "", "C", "-> b.B", "c_id : int32")
    shown, machine = small.run("check"), small.run("check", "--json")
    assert shown.code == machine.code == 1
    assert "missing-import" in shown.out and "from . import b" in shown.out
    assert [finding["id"] for finding in machine.json["findings"]] == ["missing-import"]


def test_graph_is_known_without_datajoint(small: Project) -> None:
    code = (
        "import sys; from datajoint_pipeline.project import graph; from my_pipeline import pipeline; own = pipeline.project; "
        "graph.check(graph.read(own.directory), own.versions); assert 'datajoint' not in sys.modules"
    )
    assert small.python("-c", code).code == 0


def test_importing_the_package_connects_to_nothing(small: Project, tmp_path: Path) -> None:
    code = "import sys, my_pipeline; assert 'datajoint' not in sys.modules and my_pipeline.SCHEMA_VERSIONS"
    assert small.python("-c", code, DJ_HOST="no.such.host").code == 0


def test_module_that_waits_to_be_activated_is_read_once_another_activates_it(small: Project) -> None:
    waiting = (
        HEADER.format(imports="", name="d")
        .replace("from . import open_schema\n", "")
        .replace("open_schema('d')", "dj.Schema()")
    )
    small.write(small.module("parts/d"), waiting + TABLE.format(table="D", lines="    -> elsewhere.Subject"))
    assert ids(small) == [] and notes(small) == [("unread-schema", "parts.d")]
    activate = "from . import a, pipeline\nfrom .parts import d as part\n\npipeline.activate(part, 'd', linking_module=__name__)\n"
    small.write(small.module("e"), activate)
    versions(small, "a", "b", "c", "d")
    assert ids(small) == [] and notes(small) == []
    shown = small.python("-c", "from my_pipeline import pipeline as p; print(p.modules_by_schema['d'])")
    assert ast.literal_eval(shown.out) == ("e", "parts.d")
    small.write(small.module("e"), activate + "\nThing = part.D\n")
    write(small, "c", "b, e", "C", "-> b.B", "-> e.Thing", "c_id : int32")
    assert ids(small) == [("order", "c")]
    versions(small, "a", "b", "d", "c")
    assert ids(small) == [] and notes(small) == []
    small.replace(small.module("e"), "part.D", "some.function().D")  # what that is, nobody knows without running it
    assert ids(small) == [] and notes(small) == []
    plain = activate.replace(
        "pipeline.activate(part, 'd'", "X = 'x'\npart.activate(X, X"
    )  # as Elements do it themselves
    small.write(small.module("e"), plain)
    assert ids(small) == [("no-module", "version")]
    small.write(small.module("e"), activate.replace("'d'", "d_name()"))
    assert ids(small) == [("unread-schema", "e")] and notes(small) == [("unread-schema", "parts.d")]
