"""The model of code and of databases: whatever DataJoint declares is read alike from code, MySQL and PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import corpus
import definitions
import pytest
from conftest import Project, Server
from sampling import whole

from datajoint_pipeline.schema import model, notation

#: Modules that only MySQL can declare.
MYSQL_ONLY = "_mysql"


def write_versions(project: Project, *names: str) -> None:
    entries = "".join(f'    "{name}": "1.0.0",\n' for name in names)
    project.write(project.module("version"), f'__version__ = "0.1.0"\nSCHEMA_VERSIONS = {{\n{entries}}}\n')


def taken() -> list[dict[str, Any]]:
    """The cases of the corpus that are played: in CI each third, for the evolutions play them, too."""
    return list(corpus.cases().values())[:: 1 if whole() else 3]


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Project:
    """A project with every definition of the tests and both states of every case of the corpus."""
    project = Project(render(tmp_path_factory.mktemp("pipeline") / "my_pipeline"))
    project.clear()
    modules, schemas = definitions.modules(), list(definitions.modules())
    for number, case in enumerate(taken()):
        for state in ("before", "after"):
            name = f"c{number}{state}" + ("" if "postgresql" in case["backends"] else MYSQL_ONLY)
            modules[name] = corpus.source(case[state], f"{name}_")
            schemas += [f"{name}_{schema}" for schema in corpus.schemas(case[state])]
    for name, text in modules.items():
        project.write(project.module(name), text)
    write_versions(project, *schemas)
    configuration = json.loads(project.read("datajoint.json"))
    configuration |= {"jobs": {"add_job_metadata": True}, "provenance": {"capture": True}}
    project.write("datajoint.json", json.dumps(configuration))
    project.environment |= {"MY_PIPELINE_TEST_ID": "model"}
    return project


Tables = dict[str, dict[str, Any]]


def by_name(schemas: list[dict[str, Any]]) -> Tables:
    return {f"{s['name']}.{table['name']['table']}": table for s in schemas for table in s["tables"]}


READ_CODE = ("-m", "datajoint_pipeline.project.read_code", "my_pipeline")


@pytest.fixture(scope="session")
def code(pipeline: Project) -> Tables:
    """The tables as the code has them, read where no server is."""
    result = pipeline.python(*READ_CODE, DJ_HOST="no.such.host", DJ_USER="nobody", DJ_PASS="nothing")
    assert result.code == 0, result.err
    return by_name(result.json["schemas"])


DECLARE = """
import importlib
from my_pipeline import pipeline
pipeline.connect(pipeline.select("test"))
with pipeline.declaring():
    for module in dict.fromkeys(pipeline.modules.values()):
        if BACKEND == "mysql" or MYSQL_ONLY not in module:
            importlib.import_module(f"my_pipeline.{module}")
"""

READ = """
import json
from datajoint_pipeline.dialects import catalog
from my_pipeline import pipeline
from datajoint_pipeline.schema import model
own, here = pipeline.project, pipeline.select("test")
connection = pipeline.connect(here)
databases = {name: here.database(name) for name in own.versions}
asked, query = [], connection.query
connection.query = lambda *args, **options: (asked.append(args), query(*args, **options))[1]
schemas = catalog.read(connection, databases)
several = len(asked)
again = catalog.read(connection, databases)
one = {name: databases[name] for name in list(databases)[:1]}
asked.clear()
alone = catalog.read(connection, one)
print(json.dumps({
    "schemas": [model.encode(schema) for schema in schemas.values()],
    "fingerprints": {name: schema.fingerprint for name, schema in schemas.items()},
    "same": again == schemas and all(alone[name] == schemas[name] for name in one),
    "queries": [several, len(asked)],
    "round trip": all(model.decode(model.encode(schema)) == schema for schema in schemas.values()),
}))
"""


@dataclass
class Declared:
    """What DataJoint declared on a server, and how to read it."""

    server: Server
    project: Project
    schemas: list[str]

    def read(self, **variables: str) -> Any:
        result = self.project.python("-c", READ, **self.server.variables | {"DJ_LOG_LEVEL": "ERROR"} | variables)
        assert result.code == 0, result.err
        return result.json


@pytest.fixture(scope="session", params=["mysql", "postgresql"])
def declared(request: pytest.FixtureRequest, pipeline: Project) -> Iterator[Declared]:
    """Everything declared by DataJoint itself on each server in turn."""
    server: Server = request.getfixturevalue(request.param)
    names = pipeline.python("-c", "import json, my_pipeline; print(json.dumps(list(my_pipeline.SCHEMA_VERSIONS)))").json
    databases = [f"test_model_{name}" for name in names]
    server.drop(*databases)
    try:
        script = f"BACKEND, MYSQL_ONLY = {server.backend!r}, {MYSQL_ONLY!r}\n{DECLARE}"
        result = pipeline.python("-c", script, timeout=300, **server.variables, DJ_LOG_LEVEL="ERROR")
        assert result.code == 0, result.err
        yield Declared(server, pipeline, names)
    finally:
        server.drop(*databases)


def differences(expected: Tables, found: Tables) -> dict[str, Any]:
    """Where two sets of tables differ: table, then field, then both values."""
    return {
        name: {
            field: (expected.get(name, {}).get(field), found.get(name, {}).get(field))
            for field in {**expected.get(name, {}), **found.get(name, {})}
            if expected.get(name, {}).get(field) != found.get(name, {}).get(field)
        }
        for name in sorted({*expected, *found})
        if expected.get(name) != found.get(name)
    }


def declarable(code: Tables, server: Server) -> Tables:
    return {name: table for name, table in code.items() if server.backend == "mysql" or MYSQL_ONLY not in name}


@pytest.mark.both_servers
def test_code_and_database_are_read_alike(code: Tables, declared: Declared) -> None:
    found = declared.read()
    assert differences(declarable(code, declared.server), by_name(found["schemas"])) == {}
    assert found["same"], "reading twice gives the same"
    assert found["round trip"]
    assert found["queries"][0] == found["queries"][1] <= 7, "however many schemas there are"


@pytest.mark.skipif(bool(corpus.MISSING), reason=corpus.MISSING)
def test_the_corpus_is_among_what_is_compared(code: Tables) -> None:
    assert sum(name.startswith("c") and name[1].isdigit() for name in code) > 10 * len(taken())


def test_an_account_that_may_only_select_reads_the_same(declared: Declared) -> None:
    server, databases = declared.server, [f"test_model_{name}" for name in declared.schemas]
    reader = {"DJ_USER": "model_reader", "DJ_PASS": "reader-secret"}
    if server.backend == "mysql":
        server.execute(
            "DROP USER IF EXISTS model_reader",
            "CREATE USER model_reader IDENTIFIED BY 'reader-secret'",
            *(f"GRANT SELECT ON `{database}`.* TO model_reader" for database in databases),
        )
    else:
        present = [f"test_model_{schema['name']}" for schema in declared.read()["schemas"]]
        server.execute(
            "CREATE ROLE model_reader LOGIN PASSWORD 'reader-secret'",
            *(f'GRANT USAGE ON SCHEMA "{database}" TO model_reader' for database in present),
            *(f'GRANT SELECT ON ALL TABLES IN SCHEMA "{database}" TO model_reader' for database in present),
        )
    try:
        assert declared.read(**reader)["schemas"] == declared.read()["schemas"]
    finally:
        if server.backend == "mysql":
            server.execute("DROP USER model_reader")
        else:
            server.execute("DROP OWNED BY model_reader", "DROP ROLE model_reader")


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("varchar( 32 )", "varchar(32)"),
        ("decimal(5, 2)", "decimal(5,2)"),
        ("decimal(5)", "numeric(5,0)"),
        ("NUMERIC ( 5,2 ) unsigned", "numeric(5,2) unsigned"),
        ("integer", "int"),
        ("INT(11)  unsigned", "int unsigned"),
        ("real", "double"),
        ("< blob@main >", "<blob@main>"),
        ("enum( 'a','b c' , \"d\")", "enum('a', 'b c', 'd')"),
        ("enum('it''s', 'a,b')", "enum('it''s', 'a,b')"),
    ],
)
def test_types_have_one_form(written: str, normal: str) -> None:
    assert notation.normal_type(written) == normal == notation.normal_type(normal)


@pytest.mark.parametrize(
    ("type_", "texts", "normal"),
    [
        ("int32", ("007", "7", "+7"), "7"),
        ("bool", ("1", "true", "TRUE"), "1"),
        ("decimal(5,2)", ("1", "1.00", "1.0"), "1.00"),
        ("float32", ("0.123456789", "0.12345679", "0.123457"), "0.123457"),
        ("float32", ("-10", "-10.0"), "-10"),
        ("float64", ("1e20", "1e+20"), "1e+20"),
        ("date", ("2000-1-2", "2000-01-02"), "2000-01-02"),
        ("datetime(3)", ("2000-01-01", "2000-01-01 00:00:00.000", "2000-01-01T00:00:00"), "2000-01-01 00:00:00"),
        ("datetime", ("CURRENT_TIMESTAMP", "current_timestamp()", "CURRENT_TIMESTAMP(0)"), "CURRENT_TIMESTAMP"),
        ("json", ('{"b": 1, "a": 2}', '{"a":2,"b":1}'), '{"a": 2, "b": 1}'),
        ("varchar(9)", ("007",), "007"),
        ("int32", ("nonsense",), "nonsense"),
    ],
)
def test_defaults_have_one_form(type_: str, texts: tuple[str, ...], normal: str) -> None:
    assert {notation.normal_default(type_, text) for text in texts} == {normal}


def test_comments_carry_types() -> None:
    assert notation.split_comment(":enum('a:b','c'):of a kind: this") == ("enum('a:b','c')", "of a kind: this")
    assert notation.split_comment(":<blob@main>:") == ("<blob@main>", "")
    assert notation.split_comment("12:30 o'clock") == ("", "12:30 o'clock")


def test_tables_know_tier_title_and_master() -> None:
    part = model.Table(model.TableName("s", "__spike_sorting__unit"), (), ())
    assert (part.tier, part.title, part.master.table) == ("Part", "SpikeSorting.Unit", "__spike_sorting")
    for tier in ("Manual", "Lookup", "Imported", "Computed"):
        name = model.table_name(tier, "RoiSet2")
        assert model.Table(model.TableName("s", name), (), ()).tier == tier
    assert model.table_name("Part", "Unit", "__spike_sorting") == "__spike_sorting__unit"


def test_equal_fingerprints_are_equal_schemas() -> None:
    def schema(**changes: Any) -> Any:
        attribute = model.Attribute(**{"name": "a", "type": "int32", **changes})
        return model.Schema("s", (model.Table(model.TableName("s", "t"), (attribute,), ("a",)),))

    assert schema().fingerprint == schema().fingerprint
    different = [{}, {"type": "int64"}, {"comment": "ü"}, {"default": ""}, {"nullable": True}, {"inherited": True}]
    assert len({schema(**change).fingerprint for change in different}) == len(different)


HEAD = """import datajoint as dj

from . import open_schema

schema = open_schema("lab")
other = dj.Schema("elsewhere")


@schema
class Mouse(dj.Manual):
    definition = '''
    mouse : int32
    '''
"""

TABLE = """

@schema
class Cage(dj.{tier}):
    definition = '''
    -> Mouse
    {line}
    '''
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Project:
    """A project with one module, which every test writes anew."""
    project = Project(render(tmp_path_factory.mktemp("lab") / "my_pipeline"))
    project.clear()
    write_versions(project, "lab")
    return project


def scratch(project: Project, source: str) -> Any:
    project.write(project.module("lab"), source)
    result = project.python(*READ_CODE, DJ_HOST="no.such.host")
    assert result.code == 0, result.err
    return result.json


@pytest.mark.parametrize(
    ("tier", "line", "words"),
    [
        ("Manual", "cage : int33", "Unsupported attribute type int33"),
        ("Manual", "-> Rat", "Rat could not be resolved"),
        ("Manual", "cage : enum('a' 'b')", "one comma"),
        ("Manual", "cage : enum('a',, 'b',)", "one comma"),
        ("Manual", "-> [nullable] Mouse.proj(father='mouse')", "cannot be nullable"),
        ("Manual", "cage : int32  # :new: cage", "must not start with a colon"),
        ("Manual", "cage : int32  # 90 % full", "percent sign"),
        ("Manual", "_cage : int32", "starts with an underscore"),
        ("Manual", "cage : <no_such_codec>", "not registered"),
        ("Manual", "cage : VARCHAR(12)", "Unknown core type"),
        ("Manual", "picture : <blob>", "not allowed in the primary key"),
        ("Manual", "index(mice)", "mice, which is not an attribute"),
    ],
)
def test_a_definition_that_datajoint_refuses(lab: Project, tier: str, line: str, words: str) -> None:
    what, why, do, _ = scratch(lab, HEAD + TABLE.format(tier=tier, line=line))["error"]
    assert what == "DataJoint refuses the definition of Cage."
    assert words in why and do
    assert "src/my_pipeline/lab.py, line 20" in why


@pytest.mark.parametrize(
    ("type_", "wide"),
    [
        ("uint8", "int16"),
        ("uint16", "int32"),
        ("UINT32", "int64"),
        ("uint64", "decimal(20,0)"),
        ("unsigned int16", "int32"),
        ("int16 unsigned", "int32"),
        ("uint", "int64"),
        ("unsigned", "int64"),
    ],
)
def test_a_type_without_a_sign_is_answered_by_one_that_holds_its_numbers(lab: Project, type_: str, wide: str) -> None:
    _, why, do, _ = scratch(lab, HEAD + TABLE.format(tier="Manual", line=f"cage : {type_}"))["error"]
    assert "Unsupported attribute type" in why
    assert do == f"Write {wide}, which holds every number of {type_}. Correct the definition."


@pytest.mark.parametrize(("line", "meant"), [("cage : itn32", "int32"), ("-> Mouce", "Mouse"), ("-> Rat", "")])
def test_a_misspelt_type_or_table_is_asked_about(lab: Project, line: str, meant: str) -> None:
    do = scratch(lab, HEAD + TABLE.format(tier="Manual", line=line))["error"][2]
    assert do == f"Did you mean {meant}? Correct the definition." if meant else "Did you mean" not in do


def test_a_line_that_datajoint_passes_over_is_named(lab: Project) -> None:
    """It takes the first of two lines; one that a foreign key brings may stand before it, and is no mistake."""
    twice = "weight : float32\n    ---\n    size : int16\n    weight : int16  # in kg\n    mouse : int32"
    found = scratch(lab, HEAD + TABLE.format(tier="Manual", line=twice))["ignored"]
    assert [what for what, _ in found] == [f"The definition of Cage has {name} twice." for name in ("weight", "mouse")]
    assert [why.partition(": ")[0] for _, why in found] == [f"src/my_pipeline/lab.py, line {n}" for n in (23, 24)]
    first = HEAD + TABLE.format(tier="Manual", line="cage : int32").replace(
        "-> Mouse\n", "mouse : int32\n    -> Mouse\n"
    )
    assert scratch(lab, first)["ignored"] == []
    check = lab.run("check", "--json")
    assert check.code == 0 or all(finding["id"] != "ignored" for finding in check.json["findings"])


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("print(len(Mouse()))", "lab.py, line 14 asks: SELECT count("),
        ("Mouse.insert1({'mouse': 1})", "lab.py, line 14 asks"),
        ("vendor = dj.VirtualModule('vendor', 'vendor_schema')", "lab.py, line 14 makes classes"),
        ("dj.conn(reset=True)", "lab.py, line 14 connects"),
        ("import no_such_package", "lab.py, line 14: No module named 'no_such_package'"),
        ("def broken(:\n    pass", "line 14"),
        ("raise SystemExit(0)", "lab.py, line 14"),
        ("import os; os._exit(3)", "It ended with code 3"),
        ("@schema\nclass Mouse(dj.Manual):\n    definition = 'rat : int32'", "lab.py, line 14"),
    ],
)
def test_a_module_that_cannot_be_read(lab: Project, source: str, words: str) -> None:
    lab.write(lab.module("lab"), HEAD + source)
    reader = (
        "from datajoint_pipeline import errors; from my_pipeline import pipeline\n"
        "try:\n    pipeline.read_code()\n"
        "except errors.PipelineError as error:\n    assert error.what and error.do\n    print(error)"
    )
    result = lab.python("-c", reader, DJ_HOST="no.such.host", DJ_USER="nobody", DJ_PASS="nothing")
    assert words in result.out, result.err + result.out


def test_what_modules_may_do(lab: Project) -> None:
    before = {path for path in lab.folder.rglob("*") if "__pycache__" not in path.parts}
    schemas = scratch(
        lab,
        HEAD
        + """
print("loading the lab")
late = dj.Schema()
same_connection = dj.Schema("third", connection=dj.conn())


@late
class Late(dj.Lookup):
    definition = "-> Mouse"

    @property
    def contents(self):
        raise AssertionError("contents are not for declaring")


late.activate("late")


@other
class Rat(dj.Manual):
    definition = "-> Mouse.proj(rat='mouse')"

assert Rat.primary_key == ["rat"]


@same_connection
class Cat(dj.Computed):
    definition = "-> Rat"

    def make(self, key):
        raise AssertionError("nothing is computed")
""",
    )["schemas"]
    assert [schema["name"] for schema in schemas] == ["lab", "elsewhere", "third", "late"]
    rat = by_name(schemas)["elsewhere.rat"]
    assert rat["foreign_keys"] == [
        {"attributes": ["rat"], "parent": {"schema": "lab", "table": "mouse"}, "parent_attributes": ["mouse"]}
    ]
    assert {path for path in lab.folder.rglob("*") if "__pycache__" not in path.parts} == before


DRIFT = """import datajoint as dj

from . import open_schema

schema = open_schema("lab")


@schema
class Parent(dj.Manual):
    definition = "parent : int32"


@schema
class Name(dj.Manual):
    definition = "name : varchar(8)"
"""

DRIFTING = """

@schema
class {name}(dj.Manual):
    definition = '''
    # drifts
    -> Parent
    id : int32
    ---
    a : int16  # note
    b = "x" : varchar(16)
    c = null : enum('m', 'n')
    -> [nullable] Name
    index(a, b)
    '''
"""

#: What is done behind the code's back, on MySQL and on PostgreSQL (empty: cannot be), and the words that show it.
MUTATIONS = [
    ("MODIFY a bigint NOT NULL COMMENT ':int16:note'", "ALTER a TYPE bigint", "int16, stored as bigint"),
    ("MODIFY a smallint NOT NULL COMMENT 'note'", "COMMENT ON COLUMN {t}.a IS 'note'", '"smallint"'),
    ("MODIFY a smallint NULL COMMENT ':int16:note'", "ALTER a DROP NOT NULL", '"nullable": true'),
    ("MODIFY a smallint NOT NULL COMMENT ':int16:new'", "COMMENT ON COLUMN {t}.a IS ':int16:new'", '"new"'),
    ("ALTER b SET DEFAULT 'y'", "ALTER b SET DEFAULT 'y'", '"default": "y"'),
    ("ALTER b DROP DEFAULT", "ALTER b DROP DEFAULT", '"default": null'),
    ("ADD extra int", "ADD extra int", '"extra"'),
    ("DROP c", "DROP c", '"attributes"'),
    ("RENAME COLUMN c TO d", "RENAME c TO d", '"d"'),
    ("DROP INDEX a", "DROP INDEX {s}.idx_{n}_a_b", '"indexes"'),
    ("ADD INDEX (b)", "CREATE INDEX ON {t} (b)", '["b"]'),
    ("ADD UNIQUE (b, a)", "ADD UNIQUE (b, a)", '["b", "a"]'),
    ("ADD INDEX (b DESC)", "CREATE INDEX ON {t} (b DESC)", '["b desc"]'),
    ("ADD INDEX ((lower(b)))", "CREATE INDEX ON {t} (lower(b))", '["(lower(b))"]'),
    ("ALTER INDEX a INVISIBLE", "CREATE INDEX ON {t} (a) WHERE a > 1", ("invisible", "where (a > 1)")),
    (
        "MODIFY c enum('m','n','o') COMMENT ':enum(\\'m\\', \\'n\\'):'",
        "ALTER c TYPE text",
        ("stored as enum('m', 'n', 'o')", "enum('m', 'n'), stored as text"),
    ),
    ("DROP FOREIGN KEY {n}_ibfk_2", "DROP CONSTRAINT {n}_name_fkey", '"foreign_keys"'),
    (
        "DROP FOREIGN KEY {n}_ibfk_2, ADD FOREIGN KEY (name) REFERENCES {s}.name (name) ON DELETE CASCADE",
        "DROP CONSTRAINT {n}_name_fkey, ADD FOREIGN KEY (name) REFERENCES {s}.name (name) ON DELETE CASCADE",
        "foreign key (name) is on update no action on delete cascade|foreign key (name) is on delete cascade",
    ),
    ("", "DROP INDEX {s}.idx_{n}_name", "no index for the foreign key (name)"),
    ("", "ALTER name TYPE varchar(20)", "stored as varchar(20)"),
    ("DROP PRIMARY KEY, ADD PRIMARY KEY (id, parent), ADD INDEX (parent)", "", '["id", "parent"]'),
    ("COMMENT = 'other'", "COMMENT ON TABLE {t} IS 'other'", '"other"'),
    ("MODIFY b varchar(16) COLLATE utf8mb4_bin DEFAULT 'x' COMMENT ':varchar(16):'", "", "collation utf8mb4_bin"),
    ("DEFAULT CHARSET latin1", "", "collation latin1_swedish_ci, where the database has"),
    ("", 'ALTER b TYPE varchar(16) COLLATE "C"', "collation C"),
    ("ADD g int AS (a + 1)", "ADD g int GENERATED ALWAYS AS (a + 1) STORED", "generated"),
    ("", "ADD CHECK (a > 1)", "check ((a > 1))"),
]


def test_drift_shows(server: Server, lab: Project) -> None:
    names = [f"Drift{number}" for number in range(len(MUTATIONS))]
    mysql = server.backend == "mysql"
    source = DRIFT + "".join(DRIFTING.format(name=name) for name in names)
    code = by_name(scratch(lab, source)["schemas"])
    lab.environment |= server.variables | {"MY_PIPELINE_TEST_ID": "drift"}
    database = "test_drift_lab"
    server.drop(database)
    try:
        result = lab.python("-c", f"BACKEND, MYSQL_ONLY = '', '{MYSQL_ONLY}'\n{DECLARE}", DJ_LOG_LEVEL="ERROR")
        assert result.code == 0, result.err
        for name, mutation in zip(names, MUTATIONS, strict=True):
            table = notation_name(name)
            statement = mutation[not mysql].format(t=f"{database}.{table}", s=database, n=table)
            if statement and not statement.startswith(("CREATE", "COMMENT ON", "DROP INDEX {s}", "DROP INDEX test")):
                statement = f"ALTER TABLE {database}.{table} {statement}"
            if statement:
                server.execute(statement)
        result = lab.python("-c", READ, DJ_LOG_LEVEL="ERROR")
        assert result.code == 0, result.err
        found = differences(code, by_name(result.json["schemas"]))
        for name, mutation in zip(names, MUTATIONS, strict=True):
            difference = json.dumps(found.pop(f"lab.{notation_name(name)}", {}))
            words = mutation[2] if isinstance(mutation[2], str) else mutation[2][not mysql]
            if mutation[not mysql]:
                assert any(word in difference for word in words.split("|")), (mutation[not mysql], difference)
            else:
                assert difference == "{}"
        assert not found, "and nothing else"
    finally:
        lab.environment.clear()
        server.drop(database)


def notation_name(name: str) -> str:
    return str(model.table_name("Manual", name))
