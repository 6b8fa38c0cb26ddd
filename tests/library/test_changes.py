"""The difference of two states of a pipeline: applied, it gives the second; it asks what code cannot say, and no more."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import corpus
import pytest
from conftest import Project, zygote

from datajoint_pipeline.ddl import build
from datajoint_pipeline.diff import changes
from datajoint_pipeline.operations import structure
from datajoint_pipeline.schema import model

#: Two tables, one below the other, that the pairs change.
START = """
A(dj.Manual):
    a_id : int32
    ---
    weight = null : float32  # grams
    note = "" : varchar(100)
B(dj.Imported):
    -> A
    b_id : int32
    ---
    value : float64
"""


def edit(*changes: tuple[str, str]) -> str:
    text = START
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


#: What is changed, what it takes, in names of operations, and what is asked: (kind, subject, first candidate).
PAIRS: dict[str, tuple[str, list[str], list[tuple[str, str, str]]]] = {
    "nothing": (START, [], []),
    "add nullable": (edit(("    note", "    size = null : int32\n    note")), ["AddAttribute"], []),
    "add with default": (edit(("    note", "    size = 1 : int32\n    note")), ["AddAttribute"], []),
    "add required": (edit(("    note", "    size : int32\n    note")), ["AddAttribute"], [("fill", "size", "")]),
    "drop": (edit(("    weight = null : float32  # grams\n", "")), ["DropAttribute"], []),
    "rename": (
        edit(("weight", "mass")), ["AddAttribute", "DropAttribute"], [("rename", "weight", "mass")],
    ),
    "other kind in its place is no rename": (
        edit(("weight = null : float32  # grams", "weighed_on = null : date")), ["AddAttribute", "DropAttribute"], [],
    ),
    "type": (edit(("float32", "float64")), ["AlterAttribute"], []),
    "comment": (edit(("# grams", "# kilograms")), ["AlterAttribute"], []),
    "order": (
        edit(('    weight = null : float32  # grams\n    note = "" : varchar(100)', '    note = "" : varchar(100)\n    weight = null : float32  # grams')),
        ["OrderAttributes"], [],
    ),
    "tier": (edit(("A(dj.Manual)", "A(dj.Lookup)")), ["RenameTable"], []),
    "rename table": (edit(("B(dj.Imported)", "Better(dj.Imported)")), ["CreateTable", "DropTable"], [("rename-table", "", "s.Better")]),
    "index": (edit(("varchar(100)", "varchar(100)\n    unique index (note)")), ["AddIndex"], []),
    "foreign key dropped, attribute kept": (
        edit(("-> A\n    b_id", "a_id : int32\n    b_id")), ["AlterAttribute", "DropForeignKey"], [],
    ),
    "foreign key nullable": (
        edit(("value : float64", "value : float64\n    -> [nullable] A.proj(other='a_id')")), ["AddAttribute", "AddForeignKey"], [],
    ),
    "key retyped carries no question": (edit(("a_id : int32", "a_id : int64")), ["AlterAttribute"], []),
    "key attribute added": (
        edit(("a_id : int32", "a_id : int32\n    more : int32")),
        ["AddAttribute", "AddAttribute", "AddForeignKey", "ChangePrimaryKey", "ChangePrimaryKey", "DropForeignKey"],
        [("fill", "more", "")],
    ),
    "new table below": (
        START + "C(dj.Computed):\n    -> B\n    ---\n    result : float64\n", ["CreateTable"], [],
    ),
}  # fmt: skip


@pytest.fixture(scope="session")
def engine() -> SimpleNamespace:
    """The modules that know neither databases nor datajoint."""
    return SimpleNamespace(model=model, operations=structure, changes=changes, plan=build)


RECORD = (
    "import json, sys; from datajoint_pipeline.schema import model; from my_pipeline import pipeline; from datajoint_pipeline.project.read_code import record\n"
    "found = record(pipeline).schemas()\n"
    "sys.stdout.write('@@' + json.dumps([model.encode(schema) for schema in found.values()]))"
)


@pytest.fixture(scope="session")
def tables_of(
    engine: SimpleNamespace, default_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, list[str]], Any]:
    """The tables of a module's source, by name, as DataJoint would declare them."""
    folder = tmp_path_factory.mktemp("record")
    (folder / "src" / "my_pipeline").mkdir(parents=True)
    source = default_folder / "src" / "my_pipeline"
    (folder / "src" / "my_pipeline" / "__init__.py").write_text((source / "__init__.py").read_text())
    stores = {"default": "main", "main": {"protocol": "file", "location": "/nowhere"}}
    (folder / "datajoint.json").write_text(json.dumps({"database": {"create_tables": False}, "stores": stores}))
    project = Project(folder)

    def tables_of(module: str, schemas: list[str]) -> Any:
        versions = {name: "1.0.0" for name in schemas}
        project.write(project.module("version"), f"__version__ = '0'\nSCHEMA_VERSIONS = {versions!r}\n")
        project.write(project.module("tables"), module)
        code, out, err = zygote().run(["-c", RECORD], folder, project.variables(), None, 60)
        assert code == 0, err
        data = json.loads(out.partition("@@")[2])
        return {table.name: table for schema in data for table in engine.model.decode(schema)}

    return tables_of


def module(text: str) -> str:
    lines = ["import datajoint as dj", "from . import open_schema", "schema = open_schema('s')"]
    for line in text.strip("\n").splitlines():
        if not line.startswith(" "):
            lines += ['    """'] if lines[-1].startswith("    ") else []
            lines += ["@schema", f"class {line}", '    definition = """']
        else:
            lines.append(line)
    return "\n".join([*lines, '    """', ""])


def kinds(operations: list[Any]) -> list[str]:
    return sorted(type(operation).__name__ for operation in operations)


@pytest.fixture(scope="session")
def start(tables_of: Callable[[str, list[str]], Any]) -> Any:
    return tables_of(module(START), ["s"])


def agrees(engine: SimpleNamespace, before: Any, after: Any, answers: Any = None) -> Any:
    """The difference leads there, its inverse back, and there it finds nothing more to do."""
    found = engine.changes.difference(before, after, answers)
    there = engine.operations.apply(found.operations, before)
    assert there == after
    assert engine.operations.apply(engine.operations.inverse(found.operations, before), there) == before
    again = engine.changes.difference(after, after)
    assert not again.operations and not again.questions
    traced, _ = engine.plan.trace(before, found.operations)
    assert traced == after
    return found


@pytest.mark.parametrize("name", PAIRS)
def test_pair(engine: SimpleNamespace, tables_of: Callable[[str, list[str]], Any], start: Any, name: str) -> None:
    text, operations, questions = PAIRS[name]
    found = agrees(engine, start, tables_of(module(text), ["s"]))
    assert kinds(found.operations) == operations
    assert [(q.kind, q.subject, (*q.candidates, "")[0]) for q in found.questions] == questions


def test_what_is_split_off_is_made_before_its_source_goes(
    engine: SimpleNamespace, tables_of: Callable[[str, list[str]], Any], start: Any
) -> None:
    """A statement that copies has a place between the two; and the new table refers to the new key."""
    weight = "    weight = null : float32  # grams\n"
    text = edit((weight, ""), ("a_id : int32", "a_id : int32\n    more : int32"))
    text += f"C(dj.Manual):\n    -> A\n    ---\n{weight}"
    names = [type(operation).__name__ for operation in agrees(engine, start, tables_of(module(text), ["s"])).operations]
    keyed = max(number for number, name in enumerate(names) if name == "ChangePrimaryKey")
    assert keyed < names.index("CreateTable") < names.index("DropAttribute")


def test_answered_rename_of_an_attribute(
    engine: SimpleNamespace, tables_of: Callable[[str, list[str]], Any], start: Any
) -> None:
    a = engine.model.TableName("s", "a")
    after = tables_of(module(edit(("weight", "mass"))), ["s"])
    found = agrees(engine, start, after, engine.changes.Answers(attributes={(a, "weight"): "mass"}))
    assert kinds(found.operations) == ["RenameAttribute"] and not found.questions
    dropped = agrees(engine, start, after, engine.changes.Answers(drops=frozenset({(a, "weight")})))
    assert kinds(dropped.operations) == ["AddAttribute", "DropAttribute"] and not dropped.questions


def test_a_name_that_is_given_up_and_taken_again(
    engine: SimpleNamespace, tables_of: Callable[[str, list[str]], Any], start: Any
) -> None:
    a = engine.model.TableName("s", "a")
    again = tables_of(
        module(edit(("    weight = null : float32", "    note = null : float32"), ('note = "" : v', "text : v"))), ["s"]
    )
    both = engine.changes.Answers(attributes={(a, "weight"): "note", (a, "note"): "text"})
    found = agrees(engine, start, again, both)
    renamed = [(op.old, op.new) for op in found.operations if type(op).__name__ == "RenameAttribute"]
    assert renamed == [("note", "text"), ("weight", "note")]
    other = tables_of(module(edit(("    weight", "    weight = null : date\n    mass"))), ["s"])
    found = agrees(engine, start, other, engine.changes.Answers(attributes={(a, "weight"): "mass"}))
    assert kinds(found.operations) == ["AddAttribute", "RenameAttribute"] and not found.questions
    swapped = tables_of(
        module(
            edit(
                ("weight = null : float32  # grams", 'x = "" : varchar(100)'),
                ('note = "" : varchar(100)', "weight = null : float32  # grams"),
                ("x =", "note ="),
            )
        ),
        ["s"],
    )
    with pytest.raises(engine.changes.PipelineError, match="exchange their names"):
        engine.changes.difference(
            start, swapped, engine.changes.Answers(attributes={(a, "weight"): "note", (a, "note"): "weight"})
        )


def test_renamed_key_carries_the_tables_below_along(
    engine: SimpleNamespace, tables_of: Callable[[str, list[str]], Any], start: Any
) -> None:
    a = engine.model.TableName("s", "a")
    after = tables_of(module(edit(("a_id", "animal_id"))), ["s"])
    found = agrees(engine, start, after, engine.changes.Answers(attributes={(a, "a_id"): "animal_id"}))
    assert kinds(found.operations) == ["RenameAttribute", "RenameAttribute"] and not found.questions


def test_renamed_key_is_followed_where_another_foreign_key_brings_it(
    engine: SimpleNamespace, tables_of: Callable[[str, list[str]], Any]
) -> None:
    below = "C(dj.Manual):\n    -> B\n    c_id : int32\n"
    above = "A(dj.Manual):\n    a_id : int32\nB(dj.Manual):\n    -> A\n    b_id : int32\n"
    before = tables_of(module(above + below), ["s"])
    above = "A(dj.Manual):\n    animal_id : int32\nB(dj.Manual):\n    b_id : int32\n"
    after = tables_of(module(above + below + "    ---\n    -> A\n"), ["s"])
    a, b, c = (engine.model.TableName("s", table) for table in "abc")
    answers = engine.changes.Answers(attributes={(a, "a_id"): "animal_id"}, drops=frozenset({(b, "a_id")}))
    found = agrees(engine, before, after, answers)
    renamed = [(op.table, op.old, op.new) for op in found.operations if type(op).__name__ == "RenameAttribute"]
    assert (c, "a_id", "animal_id") in renamed and not found.questions


def test_which_foreign_key_is_which_is_asked_where_a_parent_has_several(
    engine: SimpleNamespace, tables_of: Callable[[str, list[str]], Any]
) -> None:
    """What is called as the parent calls it follows the parent, and so does what one answer leaves over."""
    a, c = (engine.model.TableName("s", table) for table in "ac")
    left, right = '    -> A.proj(left="{0}")\n', '    -> A.proj(right="{0}")\n'

    def pipeline(key: str, *lines: str) -> Any:
        above, below = f"A(dj.Manual):\n    {key} : int32\n", "C(dj.Manual):\n    c_id : int32\n    ---\n"
        return tables_of(module(above + below + "".join(line.format(key) for line in lines)), ["s"])

    def renamed(before: Any, after: Any, **answers: Any) -> tuple[list[Any], list[Any]]:
        found = agrees(engine, before, after, engine.changes.Answers(**answers))
        names = [(op.old, op.new) for op in found.operations if type(op).__name__ == "RenameAttribute"]
        return names, [(q.kind, q.subject, q.candidates) for q in found.questions]

    before = pipeline("a_id", left, right)
    after = pipeline("a_id", left.replace("left", "front"), right.replace("right", "back"))
    asked = [("rename", "left", ("front", "back")), ("rename", "right", ("front", "back"))]
    names, questions = renamed(before, after)
    assert not names and [q[:2] for q in questions] == [q[:2] for q in asked]
    assert all(set(q[2]) == {"front", "back"} for q in questions)
    names, questions = renamed(before, after, attributes={(c, "left"): "back"})
    assert sorted(names) == [("left", "back"), ("right", "front")] and not questions
    before = pipeline("a_id", "    -> A\n", left)
    names, questions = renamed(before, pipeline("animal", "    -> A\n"), attributes={(a, "a_id"): "animal"})
    assert names == [("a_id", "animal")] * 2 and not questions
    names, questions = renamed(
        pipeline("a_id", left), pipeline("a_id", *(line.replace("t=", "th=") for line in (left, right)))
    )
    assert not names and [q[:2] for q in questions] == [("rename", "left")]


def test_renamed_table_keeps_what_leads_to_it(
    engine: SimpleNamespace, tables_of: Callable[[str, list[str]], Any], start: Any
) -> None:
    old, new = engine.model.TableName("s", "a"), engine.model.TableName("s", "animal")
    after = tables_of(module(edit(("A(dj.Manual)", "Animal(dj.Manual)"), ("-> A", "-> Animal"))), ["s"])
    found = agrees(engine, start, after, engine.changes.Answers(tables={old: new}))
    assert kinds(found.operations) == ["RenameTable"] and not found.questions


def test_a_part_and_its_master_get_other_names_at_once(
    engine: SimpleNamespace, tables_of: Callable[[str, list[str]], Any]
) -> None:
    name = engine.model.TableName
    part = "    class Bit(dj.Part):\n        definition = '''\n        -> master\n        bit : int32\n        '''\n"
    before = module(START).replace("@schema\nclass B(", part + "@schema\nclass B(")
    after = before.replace("A(dj", "Animal(dj").replace("-> A", "-> Animal").replace("Bit(dj", "Piece(dj")
    answers = {name("s", "a"): name("s", "animal"), name("s", "a__bit"): name("s", "animal__piece")}
    start, end = tables_of(before, ["s"]), tables_of(after, ["s"])
    found = agrees(engine, start, end, engine.changes.Answers(tables=answers))
    assert kinds(found.operations) == ["RenameTable", "RenameTable"] and not found.questions
    assert found.operations[0].table == name("s", "a")


def test_operation_that_does_not_fit_refuses_in_words(engine: SimpleNamespace, start: Any) -> None:
    a = engine.model.TableName("s", "a")
    for operation in (
        engine.operations.DropAttribute(a, "nothing"),
        engine.operations.RenameAttribute(a, "weight", "note"),
        engine.operations.DropTable(engine.model.TableName("s", "nothing")),
        engine.operations.ChangePrimaryKey(a, ("weight",), ("note",)),
    ):
        with pytest.raises(Exception, match="cannot be applied") as refusal:
            operation.apply(start)
        assert type(refusal.value).__name__ == "PipelineError"


@pytest.mark.skipif(bool(corpus.MISSING), reason=corpus.MISSING)
def test_corpus_of_real_evolutions(engine: SimpleNamespace, tables_of: Callable[[str, list[str]], Any]) -> None:
    for case in corpus.cases().values():
        states = [(case[state], corpus.schemas(case[state])) for state in ("before", "after")]
        agrees(engine, *(tables_of(corpus.source(tables, ""), names) for tables, names in states))
