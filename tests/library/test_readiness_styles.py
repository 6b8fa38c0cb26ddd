"""The report in styles that were found later, in public repositories: definitions by code, old foreign keys, folders."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from adopting import found, readiness, write

HEAD = "import datajoint as dj\n\nschema = dj.schema('lab_a')\n"


def package(text: str, **more: str) -> dict[str, str]:
    return {"lab/__init__.py": "", "lab/a.py": text, **{f"lab/{path}.py": text for path, text in more.items()}}


def told(folder: Path, *rules: str) -> list[tuple[str, int, str]]:
    return [(row["path"], row["line"], row["what"]) for row in found(folder) if row["rule"] in rules]


def advice(folder: Path, *rules: str) -> list[str]:
    return [row["do"] for row in found(folder) if row["rule"] in rules]


# --- Definitions -------------------------------------------------------------------------------------------------------


def test_a_table_whose_definition_stands_in_the_database_only_is_not_ready(tmp_path: Path) -> None:
    """``definition = ...``, as where MATLAB declared the table: DataJoint 2 cannot declare it for ``check``."""
    text = HEAD + "\n\n@schema\nclass A(dj.Manual):\n    definition = ...\n"
    folder = write(tmp_path, package(text))
    assert told(folder, "no-definition") == [
        ("lab/a.py", 8, "A has no definition in the code; DataJoint cannot declare it.")
    ]
    assert "describe()" in advice(folder, "no-definition")[0]
    assert told(folder, "computed-definition") == []


def test_an_empty_definition_is_told_of_a_table_and_not_of_what_tables_inherit(tmp_path: Path) -> None:
    base = "\n\nclass Base(dj.Lookup):\n    definition = ''\n"
    table = "\n\n@schema\nclass A(dj.Lookup):\n    definition = ''\n"
    folder = write(tmp_path, package(HEAD + base + table))
    assert [line for _, line, _ in told(folder, "no-definition", "computed-definition")] == [12]


def test_definitions_that_a_property_gives_are_read_and_converted(tmp_path: Path) -> None:
    by_return = (
        "\n\n@schema\nclass A(dj.Manual):\n    @property\n    def definition(self):\n"
        '        return """\n        a : int\n        """\n'
    )
    by_name = (
        "\n\n@schema\nclass B(dj.Manual):\n    @property\n    def definition(self):\n        text = '''\n"
        "        -> A\n        b : smallint\n        '''\n        return text\n"
    )
    filled = (
        "\n\n@schema\nclass C(dj.Manual):\n    @property\n    def definition(self):\n"
        '        return f"""\n        -> {self.other}\n        c : float\n        """\n'
    )
    by_code = "\n\n@schema\nclass D(dj.Manual):\n    @property\n    def definition(self):\n        return make()\n"
    folder = write(tmp_path, package(HEAD + by_return + by_name + filled + by_code))
    assert told(folder, "integer-type", "float-type") == [
        ("lab/a.py", 11, "A.a is of the type int."),
        ("lab/a.py", 21, "B.b is of the type smallint."),
        ("lab/a.py", 32, "C.c is of the type float."),
    ]
    assert [line for _, line, _ in told(folder, "computed-definition")] == [30, 40]
    readiness(folder, "--convert-types", "--write")
    text = (folder / "lab/a.py").read_text(encoding="utf-8")
    assert "a : int32" in text and "b : int16" in text and "c : float\n" in text


def test_foreign_keys_of_before_proj_are_written_anew(tmp_path: Path) -> None:
    """``(new) -> Table(old)`` is of DataJoint before 0.12; tables that exist kept working with it."""
    text = HEAD + (
        '\n\n@schema\nclass A(dj.Manual):\n    definition = """\n    a : int32\n    b : int32\n    """\n'
        '\n\n@schema\nclass One(dj.Manual):\n    definition = """\n    one : uuid\n    """\n'
        '\n\n@schema\nclass B(dj.Manual):\n    definition = """\n    (c, d) -> A(a, b)\n    ---\n'
        "    (e) -> [nullable] One  # why\n    (f) -> other.Thing\n"
        '    """\n'
    )
    folder = write(tmp_path, package(text))
    before = [do for do in advice(folder, "refused-definition")]
    assert "Write -> A.proj(c='a', d='b')" in before[0]
    assert "Write -> [nullable] One.proj(e='one')  # why" in before[1]
    assert "-> other.Thing.proj(f='...')" in before[2] and "the attribute of its key" in before[2]
    readiness(folder, "--convert-types", "--write")
    text = (folder / "lab/a.py").read_text(encoding="utf-8")
    assert "    -> A.proj(c='a', d='b')\n" in text and "    -> [nullable] One.proj(e='one')  # why\n" in text
    assert "    (f) -> other.Thing\n" in text


def test_defaults_are_those_that_every_server_reads(tmp_path: Path) -> None:
    """MySQL takes 1e3 for the default of a whole number, and PostgreSQL, where ``check`` works, does not."""
    lines = (
        *("a : int32", "---", "b = 1e3 : int  # rate", "c = 2. : int16", "d = true : bool", "e = -1 : int8"),
        *("f = 'x' : int32", 'g = "3" : int64', "h = null : int32", "i = '0000-00-00' : date", "j = 1e3 : float32"),
    )
    text = HEAD + '\n\n@schema\nclass A(dj.Manual):\n    definition = """\n    ' + "\n    ".join(lines) + '\n    """\n'
    folder = write(tmp_path, package(text))
    wrong = [what.partition(": ")[2].strip() for _, _, what in told(folder, "refused-definition")]
    assert wrong == ["c = 2. : int16", "d = true : bool", "f = 'x' : int32", "i = '0000-00-00' : date"]
    readiness(folder, "--convert-types", "--write")
    text = (folder / "lab/a.py").read_text(encoding="utf-8")
    assert "b = 1000 : int32  # rate\n" in text and "c = 2 : int16\n" in text and "d = 1 : bool\n" in text
    assert [what.partition(": ")[2] for _, _, what in told(folder, "refused-definition")] == wrong[2:]


# --- Schemas -----------------------------------------------------------------------------------------------------------


def test_a_table_with_a_second_decorator_is_of_its_schema(tmp_path: Path) -> None:
    text = (
        "from .tools import logged\n" + HEAD + "\n\n@schema\n@logged\nclass A(dj.Manual):\n"
        "    definition = 'a : int32'\n\n\n@logged\nclass B(dj.Manual):\n    definition = 'b : int32'\n"
    )
    folder = write(tmp_path, package(text, tools="def logged(cls):\n    return cls\n"))
    assert [line for _, line, _ in told(folder, "schema-elsewhere")] == [14]


def test_imports_that_are_told_can_be_written_from_a_folder(tmp_path: Path) -> None:
    table = "\n\n@schema\nclass {0}(dj.Manual):\n    definition = '''\n    {1}\n    '''\n"
    files = package(HEAD + table.format("A", "a : int32")) | {
        "lab/old/__init__.py": "",
        "lab/old/vis.py": HEAD + table.format("V", "v : int32"),
        "lab/old/pre.py": HEAD + table.format("P", "-> vis.V\n    -> a.A"),
        "lab/old/all.py": "from .vis import *\nfrom lab.a import *\n" + HEAD + table.format("Q", "-> V"),
    }
    folder = write(tmp_path, files)
    assert advice(folder, "missing-import") == [
        "Write from . import vis at the top.",
        "Write from .. import a at the top.",
    ]
    assert advice(folder, "star-import") == [
        "Write from . import vis, and -> vis.Table in definitions.",
        "Write from .. import a, and -> a.Table in definitions.",
    ]


# --- Layouts -----------------------------------------------------------------------------------------------------------


def test_packages_side_by_side_that_import_each_other_are_told_to_be_one(tmp_path: Path) -> None:
    """As in a repository that is put on the path as a whole: folders of tables, and modules beside them."""
    files = {
        "mains.py": HEAD + "\n\n@schema\nclass A(dj.Manual):\n    definition = 'a : int32'\n",
        "ephys/__init__.py": "",
        "ephys/tables.py": "from mains import A\n"
        + HEAD
        + "\n\n@schema\nclass E(dj.Manual):\n    definition = '-> A'\n",
        "events/__init__.py": "",
        "events/tables.py": "from mains import A\nfrom ephys.tables import E\nimport configs\n"
        + HEAD
        + "\n\n@schema\nclass F(dj.Manual):\n    definition = '-> E'\n",
        "plots.py": "import matplotlib\n",
        "configs.py": "FOLDER = '/data'\n",
    }
    folder = write(tmp_path / "VEI-lab", files)
    done = readiness(folder)
    assert done.returncode == 2
    assert "They import each other, so they are one pipeline." in done.stderr
    assert "mkdir -p src/vei_lab && git mv ephys events configs.py mains.py src/vei_lab/" in done.stderr
    (folder / "src/vei_lab").mkdir(parents=True)
    subprocess.run(["git", "mv", "ephys", "events", "configs.py", "mains.py", "src/vei_lab/"], cwd=folder, check=True)
    assert readiness(folder).returncode == 3
    assert {path for path, _, _ in told(folder, "dj-schema")} <= {f"src/vei_lab/{p}.py" for p in ("mains",)} | {
        "src/vei_lab/ephys/tables.py",
        "src/vei_lab/events/tables.py",
    }
    imports = told(folder, "top-import")
    assert [path for path, _, _ in imports] == [
        "src/vei_lab/ephys/tables.py",
        "src/vei_lab/events/tables.py",
        "src/vei_lab/events/tables.py",
        "src/vei_lab/events/tables.py",
    ]
    assert advice(folder, "top-import")[0] == "Write from ..mains import A."
    assert advice(folder, "top-import")[3] == "Write from .. import configs."


def test_a_package_of_the_name_of_a_module_is_meant_where_the_project_asks_for_it(tmp_path: Path) -> None:
    table = "\n\n@schema\nclass A(dj.Manual):\n    definition = 'a : int32'\n"
    files = package("import viewer\nimport queue\n" + HEAD + table, viewer=HEAD + table, queue=HEAD + table)
    folder = write(tmp_path, files)
    assert advice(folder, "top-import") == ["Write from . import viewer."]
    (folder / "requirements.txt").write_text("numpy\nviewer>=1\n", encoding="utf-8")
    assert advice(folder, "top-import") == []


def test_a_repository_for_matlab_alone_is_said_to_be_one(tmp_path: Path) -> None:
    files = {"+lab/Mouse.m": "%{\nmouse : int\n%}\nclassdef Mouse < dj.Manual\nend\n", "+lab/plot.m": "plot(1)\n"}
    done = readiness(write(tmp_path, files))
    assert done.returncode == 1
    assert "1 file has tables of DataJoint for MATLAB" in done.stderr and "No file imports" not in done.stderr


# --- Packaging ---------------------------------------------------------------------------------------------------------


def test_what_describes_the_package_is_found_beside_it(tmp_path: Path) -> None:
    files = {f"python/{path}": text for path, text in package(HEAD).items()}
    files["python/lab/a.py"] += "\n\n@schema\nclass A(dj.Manual):\n    definition = 'a : int32'\n"
    files["python/setup.py"] = "from setuptools import setup\n\nsetup(name='lab', install_requires=['numpy'])\n"
    folder = write(tmp_path, files)
    assert told(folder, "no-pyproject") == [
        ("pyproject.toml", 1, "The project is described by python/setup.py, and not by [project] in pyproject.toml.")
    ]


@pytest.mark.parametrize(("setup", "left"), [("setup()\n", 0), ("setuptools.setup()\n", 0), ("setup(name='lab')\n", 1)])
def test_a_setup_that_says_nothing_is_left_alone(tmp_path: Path, setup: str, left: int) -> None:
    files = package(HEAD + "\n\n@schema\nclass A(dj.Manual):\n    definition = 'a : int32'\n")
    files["pyproject.toml"] = '[project]\nname = "lab"\nversion = "1"\n'
    files["setup.py"] = "import setuptools\nfrom setuptools import setup\n\n" + setup
    assert len(told(write(tmp_path, files), "old-packaging")) == left


# --- Elements ----------------------------------------------------------------------------------------------------------

ELEMENT = "import datajoint as dj\n\nschema = dj.{0}()\n\n\n@schema\nclass Lab(dj.Lookup):\n    definition = '{1}'\n"
USING = "from element_lab import lab\nfrom element_lab.lab import Lab\n" + HEAD + "\n\nlab.activate('lab')\n"


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({}, "Whether element_lab is for DataJoint 2 cannot be seen: it is not installed here."),
        (
            {"requirements.txt": "numpy\nelement-lab==0.1.2  # old\n"},
            "Whether element_lab is for DataJoint 2 cannot be seen: it is not installed here, and requirements.txt asks "
            "for element-lab==0.1.2.",
        ),
        (
            {"element_lab/lab.py": ELEMENT.format("schema", "lab : int")},
            "element_lab 0.3.0 is written for DataJoint 0.14 and fails with 2 at 2 places, first element_lab/lab.py:3: "
            "DataJoint 2 has no dj.schema.",
        ),
        ({"element_lab/lab.py": ELEMENT.format("Schema", "lab : int32")}, ""),
        (
            {
                "element_lab/lab.py": ELEMENT.format("Schema", "lab : int32"),
                "element_lab/unused.py": "import datajoint as dj\n\ndj.ERD\n",
            },
            "",
        ),
    ],
)
def test_an_element_is_judged_by_the_release_that_is_installed(
    tmp_path: Path, files: dict[str, str], what: str
) -> None:
    folder = write(tmp_path, package(USING) | {p: t for p, t in files.items() if p == "requirements.txt"})
    place = folder / ".venv/lib/python3.12/site-packages"
    if any(path != "requirements.txt" for path in files):
        for path, text in {**files, "element_lab/__init__.py": "", "element_lab-0.3.0.dist-info/METADATA": ""}.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_text(text, encoding="utf-8")
    assert told(folder, "legacy-package") == ([("lab/a.py", 1, what)] if what else [])


def test_an_element_is_not_asked_whether_it_is_one(tmp_path: Path) -> None:
    files = {"element_lab/__init__.py": "", "element_lab/lab.py": ELEMENT.format("Schema", "lab : int32")}
    files["element_lab/more.py"] = "from element_lab import lab\n" + ELEMENT.format("Schema", "-> lab.Lab")
    assert told(write(tmp_path, files), "legacy-package") == []


def test_foreign_keys_of_before_proj_count_for_the_length_of_a_key(tmp_path: Path) -> None:
    table = '\n\n@schema\nclass {}(dj.Manual):\n    definition = """\n    {}\n    """\n'
    lines = "(one) -> A(a)\n    (two) -> A(a)\n    (three) -> A(a)\n    (four) -> A(a)"
    folder = write(tmp_path, package(HEAD + table.format("A", "a : varchar(255)") + table.format("B", lines)))
    assert [line for _, line, _ in told(folder, "long-key")] == [15]


def test_a_schema_that_several_modules_open_is_told_in_each(tmp_path: Path) -> None:
    table = "\n\n@schema\nclass {0}(dj.Manual):\n    definition = '{1}'\n"
    second = "from . import a\n" + HEAD + table.format("B", "-> a.A")
    folder = write(tmp_path, package(HEAD + table.format("A", "a : int32"), b=second))
    assert [path for path, _, _ in told(folder, "dj-schema")] == ["lab/a.py", "lab/b.py"]
    assert set(advice(folder, "dj-schema")) == {
        'Write schema = open_schema("lab_a"), and from . import open_schema at the top.'
    }


def test_an_import_is_idle_where_none_of_its_names_is_used(tmp_path: Path) -> None:
    table = "\n\n@schema\nclass {0}(dj.Manual):\n    definition = '{1} : int32'\n"
    head = HEAD.replace("lab_a", "lab_b")
    files = package(
        HEAD + table.format("A", "a") + table.format("B", "b"),
        b="from .a import A, B\n" + head + table.format("C", "c") + "\n\nprint(B)\n",
        c="from .a import A, B\n" + head.replace("lab_b", "lab_c") + table.format("D", "d"),
    )
    folder = write(tmp_path, files)
    assert [path for path, _, _ in told(folder, "unused-import")] == ["lab/c.py"]
