"""Any name and any text that DataJoint accepts, through a whole life on both servers: it works, or is refused in words.

What is played follows from a seed. `NAMES=200 uv run pytest -n1 tests/test_names.py` plays more of them than CI does, and
`NAMES_FROM=17` begins elsewhere.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from conftest import Project, Result, Server

COUNT, FIRST = int(os.environ.get("NAMES", "2")), int(os.environ.get("NAMES_FROM", "1"))

#: Bytes that a server lets a name have.
LIMIT = {"mysql": 64, "postgresql": 63}

ATTRIBUTES = """
order select key group user index table from where primary default check values rank row system interval lead precision
a__b x1 end_ end desc asc null_ true_ constraint references offset limit grouping all unique schema database
""".split()  # noqa: SIM905
CLASSES = "Order Select Group User Key Index Table A X1Y2 MRI Where From Values System Rank Check Primary Desc".split()  # noqa: SIM905
SCHEMAS = "order_ select_ group user key index table where primary values rank system x ünïcode 神経 dropped".split()  # noqa: SIM905
PREFIXES = ("", "order_", "lab-1_", "L_", "a b_", "é_", "$x_", "x" * 16 + "_", "1_", "_", "#_")

#: What a person may write into a comment.
TEXTS = (
    "it's 100%%",
    "%%s %%(x)s %%d %%%%",
    '"quoted"',
    "`ticks` ``",
    "{schema} {x} {{x}} {}",
    "naïve → 神経 🧠",
    "'); DROP TABLE victim; --",
    "/* no */ -- no",
    "[red]x[/] [/]",
    "$1 $$ ? :name @x",
    "a\\b",
    "a\\nb \\' \\\" \\\\",
    "ends with \\",
    "null",
    "tab\there",
    "# twice",
    "<b>&amp;</b>",
    "\\%%\\_",
    "a -> b",
    "; ;",
)


def quoted(text: str) -> str:
    """A text as the default of an attribute."""
    return '"' + text + '"'


class Life:
    """What a project is in each of its states, as a seed has it."""

    def __init__(self, seed: int, backend: str) -> None:
        self.random, self.limit, self.backend = Random(seed), LIMIT[backend], backend
        self.prefix = self.random.choice(PREFIXES)
        self.schemas = self.random.sample(SCHEMAS, 2)
        names = [self._long(name, 1) for name in self.random.sample(ATTRIBUTES, 14)]
        self.key, self.plain, self.label, self.role, self.back, self.new, self.later, self.more = names[:8]
        # DataJoint reads proj(...) as Python, and its tables of jobs have a column that is called user.
        self.note, self.seen = [name for name in names[8:] if name not in ("from", "user")][:2]
        self.classes = [self._class(name) for name in self.random.sample(CLASSES, 6)]
        self.labels = self._labels()
        self.texts = self.random.sample(TEXTS, 10)

    def _long(self, name: str, chance: int) -> str:
        """A name, one in four as long as can be."""
        if self.random.randrange(4) >= chance:
            return name
        return (name + "_" + "abcdefghij" * 7)[: self.limit - self.random.choice([0, 0, 1, 2])]

    def _class(self, name: str) -> str:
        # Room for the prefix of a tier and for a part's master; MRI becomes m_r_i.
        return name + "a" * (self.random.choice([0, 0, 0, 10, 18]))

    def _labels(self) -> list[str]:
        pool = ["it''s", "a`b", "{x}", "神経", "a b", "a;b", "select", "a-b", "(a)", ":x", "[red]"]
        pool += ["100%%", "%%s", "a, b"] if self.backend == "mysql" else []
        return self.random.sample(pool, 3)

    def tame(self) -> None:
        """Begin with texts that DataJoint itself can declare on either server."""
        tame = [text for text in TEXTS if not set('"%🧠\\') & set(text)]
        self.texts[:7] = self.random.sample(tame, 7)

    def enum(self, count: int) -> str:
        return "enum(" + ", ".join(f"'{label}'" for label in self.labels[:count]) + ")"

    def modules(self, state: int) -> dict[str, str]:
        """The schemas' modules: 0 at the beginning, 1 with everything changed, 2 with something gone."""
        first, second = self.schemas
        one, part, two, made, three, renamed = self.classes
        t = self.texts
        if state == 0:
            main = [
                f"# {t[0]}",
                f"{self.key} : int32  # {t[1]}",
                "---",
                f"{self.plain} = {quoted(self._default(t[2]))} : varchar(255)  # {t[3]}",
                f"{self.label} : {self.enum(2)}  # {t[4]}",
                f"{self.note} = null : varchar(64)",
                f"index ({self.plain})",
            ]
        else:
            main = [
                f"# {t[5]}",
                f"{self.key} : int32  # {t[6]}",
                "---",
                f"{self.new} = {quoted(self._default(t[7]))} : varchar(255)  # {t[8]}",
                f"{self.label} : {self.enum(3)}  # {t[9]}",
                *([f"{self.note} = null : varchar(64)"] if state == 1 else []),
                f"{self.later} = {quoted(self._default(t[4]))} : varchar(64)  # {t[0]}",
                f"unique index ({self.key}, {self.new})",
                f"index ({self.later}, {self.label})",
            ]
        parts = ["-> master", f"{self.role} : {self.enum(2)}", "---", f"{self.more} = 1 : int32  # {t[2]}"]
        other = two if state == 0 else renamed
        lookup = [f"{self.back} : varchar(20)", *(["---", f"{self.seen} = null : datetime(3)"] if state else [])]
        computed = [
            f'-> {first}.{one}.proj({self.seen}="{self.key}")',
            "---",
            f'-> [nullable] {first}.{other}.proj({self.note}="{self.back}")',
            f"{self.plain} : float64  # {t[6]}",
        ]
        text = _class(one, "Manual", main, part=_class(part, "Part", parts, "    "))
        text += _class(other, "Lookup", lookup)
        if state == 1:
            text += _class(three, "Manual", [f"-> {one}", f"{self.later} : uuid", "---", f"index ({self.later})"])
        return {
            first: _module(first, text),
            second: _module(second, _class(made, "Computed", computed), imports=f", {first}"),
        }

    def _default(self, text: str) -> str:
        # DataJoint takes a default up to the next quote or colon, and its servers take a backslash their own ways.
        return re.sub(r'[:\\"\']', "", text)

    def answers(self) -> list[str]:
        one, _, two, *_, renamed = self.classes
        first = self.schemas[0]
        return ["--rename", f"{first}.{one}.{self.plain}={self.new}", "--rename-table", f"{first}.{two}={renamed}"]

    def goes(self) -> list[str]:
        one, *_, three, _ = self.classes
        first = self.schemas[0]
        return ["--drop", f"{first}.{one}.{self.note}", "--drop", f"{first}.{three}"]

    def rows(self) -> str:
        """A snippet that fills the tables and one that tells what is in them."""
        first, second = self.schemas
        one, part, two, made, *_ = self.classes
        labels = [label.replace("''", "'").replace("%%", "%") for label in self.labels]
        main = [{self.key: n, self.plain: t, self.label: labels[n % 2]} for n, t in enumerate(TEXTS)]
        return (
            f"from my_pipeline import {first}, {second}\n"
            f"{first}.{two}.insert([('a',), ({TEXTS[1]!r},)])\n"
            f"{first}.{one}.insert({main!r})\n"
            f"{first}.{one}.{part}.insert([{{{self.key!r}: 1, {self.role!r}: {labels[0]!r}}}])\n"
            f"{second}.{made}.populate(reserve_jobs=True)\n"
        )

    def told(self, state: int) -> str:
        first, second = self.schemas
        one, part, _, made, *_ = self.classes
        plain = self.new if state else self.plain
        # In the order of the key, whatever a server's order of texts is.
        return (
            f"import json; from my_pipeline import {first}, {second}\n"
            f"main = sorted((r[{self.key!r}], r[{plain!r}], r[{self.label!r}]) for r in {first}.{one}.to_dicts())\n"
            f"more = [r[{self.role!r}] for r in {first}.{one}.{part}.to_dicts()]\n"
            f"print('@@' + json.dumps([main, more, len({second}.{made}())]))"
        )


def _class(name: str, tier: str, definition: list[str], indent: str = "", part: str = "") -> str:
    text = f"{indent}@schema\n" if not indent else ""
    text += f"{indent}class {name}(dj.{tier}):\n{indent}    definition = {chr(10).join(definition)!r}\n"
    if tier == "Computed":
        attribute = definition[-1].partition(" ")[0]
        text += f"\n    def make(self, key):\n        self.insert1({{**key, {attribute!r}: 1.5}})\n"
    return text + (f"\n{part}" if part else "") + "\n\n"


def _module(name: str, text: str, imports: str = "") -> str:
    return f"import datajoint as dj\n\nfrom . import open_schema{imports}\n\nschema = open_schema({name!r})\n\n\n{text}"


class Stage:
    """A project and a server; what stands beside the project's schemas must stay as it is."""

    def __init__(self, project: Project, server: Server) -> None:
        self.project, self.server = project, server
        project.environment |= {**server.variables, "MY_PIPELINE_ENV": "dev", "DJ_LOG_LEVEL": "ERROR"}
        self.init = project.read("src/my_pipeline/__init__.py")
        self.quote: Callable[[str], str] = (
            (lambda n: f"`{n.replace('`', '``')}`") if server.backend == "mysql" else (lambda n: '"' + n + '"')
        )
        place = self.quote("dev")
        self.server.drop("dev")
        make = "DATABASE" if server.backend == "mysql" else "SCHEMA"
        server.execute(
            f"CREATE {make} {place}",
            *(f"CREATE TABLE {place}.{t} (a int)" for t in ("victim", "_dropped_", "order_")),
            f"INSERT INTO {place}.victim VALUES (1), (2)",
        )
        self.beside = self.others()
        project.warm_up()

    def there(self, *databases: str) -> set[str]:
        """Which of some schemas are on the server."""
        found = self.server.execute("SELECT schema_name FROM information_schema.schemata")
        return {name for (name,) in found} & set(databases)

    def others(self) -> Any:
        """Every table on the server, and the rows of the one that texts speak of."""
        tables = self.server.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema NOT IN "
            "('information_schema', 'performance_schema', 'mysql', 'sys', 'pg_catalog') ORDER BY 1, 2"
        )
        return tables, self.server.execute(f"SELECT a FROM {self.quote('dev')}.victim ORDER BY 1")

    def lay(self, life: Life, state: int, versions: dict[str, str] | None = None) -> None:
        own = self.project
        versions = versions or {}
        for name, text in life.modules(state).items():
            own.write(own.module(name), text)
        entries = {name: versions.get(name, "1.0.0") for name in life.schemas}
        own.write(own.module("version"), f'__version__ = "0.1.0"\n\nSCHEMA_VERSIONS = {entries!r}\n')

    def begin(self, life: Life) -> list[str]:
        own = self.project
        own.clear()
        prefix = f"    prefix={life.prefix!r},"
        own.write("src/my_pipeline/__init__.py", re.sub(r"^    prefix=.*$", lambda _: prefix, self.init, flags=re.M))
        for path in sorted((own.folder / "src/my_pipeline/migrations").rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        self.lay(life, 0)
        return [f"dev_{life.prefix}{name}" for name in reversed(life.schemas)]

    def versions(self) -> dict[str, str]:
        source = self.project.read(self.project.module("version"))
        found: dict[str, str] = eval(source.partition("SCHEMA_VERSIONS = ")[2])
        return found

    def states(self) -> list[tuple[str, list[str]]]:
        result = self.project.run("status", "--json")
        return [(s["state"], s["drift"]) for s in result.json["schemas"]]


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]
) -> Iterator[Stage]:
    server: Server = request.getfixturevalue(request.param)
    yield Stage(Project(render(tmp_path_factory.mktemp("names") / "my_pipeline")), server)
    server.drop("dev")


def refused(result: Result) -> None:
    """Three lines without anything that only a programmer understands; what is quoted of a definition may be anything."""
    lines = result.err.strip().splitlines()
    assert result.code == 1 and len(lines) == 3 and lines[0].startswith("Error: "), result.err
    assert not re.search(r"Traceback|should not|SQL syntax|LINE \d", result.err), result.err


def ok(stage: Stage, *arguments: str, code: int = 0) -> Result:
    result = stage.project.run(*arguments)
    assert result.code == code, f"{arguments}: {result.code}\n{result.out}\n{result.err}"
    return result


def rows(stage: Stage, life: Life, state: int) -> Any:
    result = stage.project.python("-c", life.told(state))
    assert result.code == 0, result.err
    return json.loads(result.out.partition("@@")[2])


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_any_name_lives_or_is_refused(stage: Stage, seed: int) -> None:
    life = Life(seed, stage.server.backend)
    databases = stage.begin(life)
    stage.server.drop(*databases)
    try:
        play(stage, life, databases)
    finally:
        stage.server.drop(*databases)
    assert stage.others() == stage.beside


def play(stage: Stage, life: Life, databases: list[str]) -> None:
    made = stage.project.run("init")
    if made.code:
        refused(made)
        assert not stage.there(*databases)
        if "cannot be the name of a schema" in made.err:
            return
        life.tame()
        stage.lay(life, 0)
        ok(stage, "init")
    assert stage.states() == [("current", []), ("current", [])]
    filled = stage.project.python("-c", life.rows())
    assert filled.code == 0, filled.err
    before = rows(stage, life, 0)
    assert before[2] == len(TEXTS) and sorted(r[1] for r in before[0]) == sorted(TEXTS)
    if stage.server.backend == "mysql":
        life.texts = [text.replace("🧠", "") for text in life.texts]
    stage.lay(life, 1, stage.versions())
    ok(stage, "revise", "-m", "more", *life.answers())
    ok(stage, "diff")
    ok(stage, "migrate", "--dry-run", code=3)
    ok(stage, "migrate")
    assert stage.states() == [("current", []), ("current", [])]
    assert rows(stage, life, 1) == before
    for name in reversed(life.schemas):
        if stage.versions()[name] != "1.0.0":
            ok(stage, "rollback", name, "--to", "1.0.0")
    ok(stage, "migrate")
    assert stage.states() == [("current", []), ("current", [])]
    assert rows(stage, life, 1) == before
    stage.lay(life, 2, stage.versions())
    ok(stage, "revise", "-m", "less", *life.goes())
    ok(stage, "migrate")
    assert stage.states() == [("current", []), ("current", [])]
    ok(stage, "purge", "--allow-data-loss")
    assert stage.states() == [("current", []), ("current", [])]
    assert rows(stage, life, 1) == before


ONE = """import datajoint as dj

from . import open_schema

schema = open_schema("{schema}")


@schema
class {name}(dj.{tier}):
    definition = {definition!r}

    def make(self, key):
        self.insert1(key)
"""


def lay_one(stage: Stage, definition: str, name: str = "Thing", tier: str = "Manual", prefix: str = "") -> None:
    life = Life(1, stage.server.backend)
    life.prefix = prefix
    stage.begin(life)
    stage.project.clear()
    stage.project.write(stage.project.module("x"), ONE.format(schema="x", name=name, tier=tier, definition=definition))
    stage.project.write(stage.project.module("version"), '__version__ = "0.1.0"\n\nSCHEMA_VERSIONS = {"x": "1.0.0"}\n')


#: What neither server can have, or DataJoint cannot declare there: definition, class, prefix, where, and what is said.
IMPOSSIBLE = [
    ("a : int32  # 100%", "Thing", "", "both", "percent"),
    ("a" * 65 + " : int32", "Thing", "", "both", "too long"),
    ("a" * 64 + " : int32", "Thing", "", "postgresql", "too long"),
    ("xmin : int32", "Thing", "", "postgresql", "every table of PostgreSQL"),
    ("a : int32\n---\nb : enum('x, y', 'z')", "Thing", "", "postgresql", "enum"),
    ("a : int32\n---\nb : enum('say \"x\"', 'z')", "Thing", "", "both", "enum"),
    ("a : int32\n---\nb : enum('100%%', 'z')", "Thing", "", "postgresql", "enum"),
    ("a : int32  # \\", "Thing", "", "mysql", "backslash"),
    ('a : int32  # \\", b int -- ', "Thing", "", "mysql", "backslash"),
    ('# a "word"\na : int32', "Thing", "", "mysql", '"'),
    ('a : int32\n---\nb = "\\" : varchar(9)', "Thing", "", "mysql", "backslash"),
    ('a : int32\n---\nb = "x\\y" : varchar(9)', "Thing", "", "mysql", "write it twice"),
    ("a : int32  # 🧠", "Thing", "", "mysql", "🧠"),
    ("a : int32\n---\nb = true : bool", "Thing", "", "mysql", "write b = 1"),
    ("a : int32\n---\nb = False : bool  # off", "Thing", "", "mysql", "write b = 0"),
    ("a : int32", "A" + "b" * 64, "", "both", "max length"),
    ("a : int32", "A" + "b" * 63, "", "postgresql", "too long"),
    *(("a : int32", "Thing", prefix, "both", "name of a schema") for prefix in ("a`b", 'a"b', "a'b", "a.b", "a%b", "a b", "a\\")),
    ("a : int32", "Thing", "p" * 61, "both", "at most"),
    ("a : int32", "Thing", "é" * 30, "postgresql", "at most 63 bytes"),
    ("a : int32", "Thing", "L_", "postgresql", "capital"),
]  # fmt: skip


def test_what_cannot_be_is_refused_before_anything_is_made(stage: Stage) -> None:
    for definition, name, prefix, where, said in IMPOSSIBLE:
        lay_one(stage, definition, name, prefix=prefix)
        result = stage.project.run("init")
        if where not in ("both", stage.server.backend):
            assert result.code == 0, (definition, name, prefix, result.err)
            assert stage.states() == [("current", [])], (definition, name, prefix)
            stage.server.drop(f"dev_{prefix}x")
            continue
        refused(result)
        assert said in result.err, (definition, result.err)
        assert stage.others() == stage.beside, (definition, name, prefix)
        assert not stage.there(f"dev_{prefix}x", f"dev_{prefix}x"[:63])


def test_longest_names_live_and_longer_ones_change_nothing(stage: Stage) -> None:
    limit = LIMIT[stage.server.backend]
    # A table, an attribute and the names that follow from both: an index, a primary key, what is soft-deleted.
    wide, table = "w" * limit, "A" + "b" * (limit - 1)
    try:
        lay_one(stage, f"{wide} : int32\n---\nb : int32\nindex ({wide}, b)", table)
        ok(stage, "init")
        changed = f"{wide} : int32\n---\nb : int32\n{'v' * limit} = 1 : int32\n{'u' * limit} = null : int32\nindex ({'v' * limit})"
        version = stage.versions()
        path = stage.project.module("x")
        stage.project.write(path, ONE.format(schema="x", name=table, tier="Manual", definition=changed))
        stage.project.write(
            stage.project.module("version"), f'__version__ = "0.1.0"\n\nSCHEMA_VERSIONS = {version!r}\n'
        )
        ok(stage, "revise", "-m", "more")
        ok(stage, "migrate")
        assert stage.states() == [("current", [])]
        ok(stage, "rollback", "x", "--to", "1.0.0")
        ok(stage, "migrate")
        fewer = changed.replace(f"{'u' * limit} = null : int32\n", "")
        stage.project.write(path, ONE.format(schema="x", name=table, tier="Manual", definition=fewer))
        ok(stage, "revise", "-m", "less", "--drop", f"x.{table}.{'u' * limit}")
        ok(stage, "migrate")
        assert stage.states() == [("current", [])]
        ok(stage, "purge", "--allow-data-loss")
        assert stage.states() == [("current", [])]
        longer = fewer.replace("\nindex (v", f"\n{'t' * (limit + 1)} = 1 : int32\nindex (v")
        stage.project.write(path, ONE.format(schema="x", name=table, tier="Manual", definition=longer))
        stage.project.run("revise", "-m", "longer")
        result = stage.project.run("migrate")
        refused(result)
        assert "too long" in result.err
        assert stage.states()[0][0] == "behind"
        stage.project.write(path, ONE.format(schema="x", name=table, tier="Manual", definition=fewer))
    finally:
        stage.server.drop("dev_x")
