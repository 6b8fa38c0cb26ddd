"""The report in small repositories as labs have them: each style of package, of schema names, of Elements, of scripts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from adopting import found, readiness, write

OPEN = "import datajoint as dj\n\nschema = dj.schema({})\n"
TABLE = '\n\n@{schema}\nclass {name}(dj.Manual):\n    definition = """\n    {lines}\n    """\n'


def table(name: str, *lines: str, schema: str = "schema") -> str:
    return TABLE.format(name=name, lines="\n    ".join(lines), schema=schema)


def module(database: str, *tables: str, head: str = "") -> str:
    return head + OPEN.format(database) + "".join(tables)


def says(folder: Path, *rules: str) -> list[tuple[str, int, str]]:
    return [(row["path"], row["line"], row["do"]) for row in found(folder) if row["rule"] in rules]


def names(folder: Path, *rules: str) -> list[str]:
    return [row["what"] for row in found(folder) if row["rule"] in rules]


def converted(folder: Path, path: str) -> dict[str, Any]:
    """What ``--convert`` writes into version.py."""
    done = readiness(folder, "--convert", "--write")
    assert f"wrote {path}\n" in done.stdout, done.stdout
    namespace: dict[str, Any] = {}
    exec((folder / path).read_text(encoding="utf-8"), namespace)
    return namespace


A = table("Subject", "subject : int32")

# --- Names of schemas --------------------------------------------------------------------------------------------------


def test_names_are_read_from_constants_texts_and_simple_functions(tmp_path: Path) -> None:
    helper = 'PREFIX = "lab_"\n\n\ndef schema_name(name, kind=""):\n    """Give a name."""\n    end = kind + name\n    return f"{PREFIX}{end}"\n'
    files = {
        "lab/__init__.py": "",
        "lab/names.py": helper,
        "lab/a.py": module('schema_name("ingest")', A, head="from .names import schema_name\n"),
        "lab/b.py": module('names.schema_name("b", kind="raw_")', A, head="from lab import names\n"),
        "lab/c.py": module("NAME", A, head="from .names import PREFIX\n\nNAME = PREFIX + 'see'\n"),
        "lab/d.py": module("'%s_dee' % dj.config['custom']['database.prefix']", A),
        "lab/e.py": module("dj.config['custom']['database.prefix']", A),
        "lab/tools.py": "import datajoint as dj\n\n\ndef another(name):\n    return dj.schema(name)\n",
    }
    folder = write(tmp_path, files)
    advice = {path: do for path, _, do in says(folder, "dj-schema", "schema-name")}
    assert [
        f'"{name}"' in advice[f"lab/{path}.py"]
        for path, name in zip("abcde", ("lab_ingest", "lab_raw_b", "lab_see", "dee", "e"), strict=True)
    ] == [True] * 5
    assert [path for path, _, _ in says(folder, "schema-name")] == ["lab/e.py"]
    assert "lab/tools.py" not in {row["path"] for row in found(folder) if row["group"] == "schemas"}
    assert list(converted(folder, "lab/version.py")["SCHEMA_VERSIONS"]) == [
        "lab_ingest",
        "lab_raw_b",
        "lab_see",
        "dee",
        "e",
    ]


def test_a_helper_that_may_give_something_else_and_a_common_prefix(tmp_path: Path) -> None:
    """As where a configuration may name each database, and names begin alike otherwise."""
    helper = (
        "import os\n\n\ndef database_of(part):\n    if part in os.environ:\n        return os.environ[part]\n"
        "    base = 'odor_v2_'\n    return base + part\n"
    )
    head = "from lab import database_of\n"
    files = {"lab/__init__.py": helper} | {
        f"lab/{path}.py": module(f"database_of('{name}')", A, head=head)
        for path, name in (("lab", "lab"), ("ephys", "ephys"), ("ingest/lab", "lab_ingest"))
    }
    folder = write(tmp_path, files)
    assert names(folder, "schema-name", "several-schemas", "same-table") == []
    assert 'prefix="odor_v2_"' in says(folder, "init-lines")[0][2]
    assert list(converted(folder, "lab/version.py")["SCHEMA_VERSIONS"]) == ["ephys", "lab_ingest", "lab"]
    virtual = 'import datajoint as dj\n\nold = dj.create_virtual_module("old", "old_lab")\n'
    text = virtual + head + "\nschema = dj.schema(database_of('shadow'))\n" + table("New", "-> old.Table")
    (folder / "lab/shadow.py").write_text(text, encoding="utf-8")
    assert [(path, line) for path, line, _ in says(folder, "virtual-module", "missing-import")] == [
        ("lab/shadow.py", 3)
    ]


def test_databases_that_do_not_follow_are_mapped(tmp_path: Path) -> None:
    files = {
        "dj_local_conf.json": '{"custom": {"database.prefix": "u19_"}}',
        "lab/__init__.py": "",
        "lab/sheet.py": module('"U19_Sheet"', A),
        "lab/rat.py": module('"ratdata"', A),
        "lab/ephys.py": module('"u19_ephys"', A),
    }
    folder = write(tmp_path, files)
    assert "u19_sheet" in next(do for path, _, do in says(folder, "dj-schema") if path == "lab/sheet.py")
    version = converted(folder, "lab/version.py")
    assert list(version["SCHEMA_VERSIONS"]) == ["ephys", "ratdata", "u19_sheet"]
    assert version["SCHEMA_DATABASES"] == {"ratdata": "ratdata", "u19_sheet": "U19_Sheet"}
    assert says(folder, "version-lines") == []
    (folder / "lab/version.py").write_text(
        'SCHEMA_VERSIONS = {"ephys": "1.0.0", "ratdata": "1.0.0", "u19_sheet": "1.0.0"}\n'
    )
    [(_, _, do)] = says(folder, "version-lines")
    assert '"u19_sheet": "U19_Sheet",' in do and "SCHEMA_DATABASES" in do


def test_schemas_are_told_by_their_decorators(tmp_path: Path) -> None:
    """Two schemas in a module, one schema in two modules, one that an __init__ opens; in folders of any depth."""
    two = (
        "import datajoint as dj\n\nshared = dj.schema('shared')\nschema = dj.schema('own')\n"
        + table("One", "one : int32", schema="shared")
        + table("Two", "-> One", schema="schema")
    )
    files = {
        "src/lab/__init__.py": "",
        "src/lab/two.py": two,
        "src/lab/more.py": "import datajoint as dj\n\nfrom .two import One, shared\n"
        + table("Three", "-> One", schema="shared"),
        "src/lab/parts/__init__.py": OPEN.format('"parts"'),
        "src/lab/parts/deep/four.py": "import datajoint as dj\n\nfrom .. import schema\nfrom lab import two\n"
        + table("Four", "-> two.Two"),
    }
    folder = write(tmp_path, files)
    assert [(path, line, do.partition(",")[0]) for path, line, do in says(folder, "dj-schema")] == [
        ("src/lab/parts/__init__.py", 3, 'Write schema = open_schema("parts")'),
        ("src/lab/two.py", 3, 'Write shared = open_schema("shared")'),
        ("src/lab/two.py", 4, 'Write schema = open_schema("own")'),
    ]
    wrong = ("several-schemas", "schema-elsewhere", "same-table", "missing-import", "unused-import", "no-package")
    assert says(folder, *wrong) == []
    assert list(converted(folder, "src/lab/version.py")["SCHEMA_VERSIONS"]) == ["shared", "own", "parts"]


@pytest.mark.parametrize(
    "style", ["from lab import b", "import lab.b as b", "from lab.b import Child", "from . import b"]
)
def test_versions_stand_in_the_order_of_foreign_keys(tmp_path: Path, style: str) -> None:
    target = "Child" if "Child" in style else "b.Child"
    files = {
        "lab/__init__.py": "",
        "lab/a.py": module('"a"', table("Grand", f"-> {target}"), head=f"{style}\n"),
        "lab/b.py": module('"b"', table("Child", "-> c.Parent"), head="from lab import c\n"),
        "lab/c.py": module('"c"', table("Parent", "parent : int32")),
    }
    folder = write(tmp_path, files)
    assert list(converted(folder, "lab/version.py")["SCHEMA_VERSIONS"]) == ["c", "b", "a"]
    assert names(folder, "version-order") == []
    (folder / "lab/version.py").write_text('SCHEMA_VERSIONS = {"b": "1.0.0", "a": "1.0.0", "c": "1.0.0"}\n')
    assert names(folder, "version-order") == [
        "SCHEMA_VERSIONS names schemas above those that they depend on: b above c."
    ]
    assert says(folder, "version-order")[0][2] == "Write them in this order: c, b, a."


# --- Elements ----------------------------------------------------------------------------------------------------------

ELEMENT = """import datajoint as dj

schema = dj.schema()


def activate(schema_name, *, create_schema=True, linking_module=None):
    schema.activate(schema_name, create_schema=create_schema, add_objects=linking_module.__dict__)
"""


def test_a_module_in_the_style_of_elements_gets_one_piece_of_advice(tmp_path: Path) -> None:
    element = ELEMENT + table("Probe", "-> Subject", "probe : int32")
    files = {"lab/__init__.py": "", "lab/subject.py": module('"subject"', A), "lab/probe.py": element}
    folder = write(tmp_path, files)
    readiness(folder, "--convert-types", "--write")
    assert (folder / "lab/probe.py").read_text() == element.replace("dj.schema()", "dj.Schema()")
    mine = [row for row in found(folder) if row["path"] == "lab/probe.py" and not row["note"]]
    assert [(row["line"], row["rule"]) for row in mine] == [(3, "schema-activate")]
    assert 'pipeline.activate(probe, "probe", linking_module=__name__)' in mine[0]["do"]
    linking = (
        "from . import probe\nfrom .subject import Subject\n\nprobe.activate('lab_probes', linking_module=__name__)\n"
    )
    (folder / "lab/use.py").write_text(linking, encoding="utf-8")
    rows = [(row["path"], row["line"], row["rule"]) for row in found(folder) if row["group"] == "schemas"]
    assert rows == [("lab/subject.py", 3, "dj-schema"), ("lab/use.py", 4, "schema-activate")]
    advice = {path: do for path, _, do in says(folder, "schema-activate")}
    assert 'pipeline.activate(probe, "lab_probes", linking_module=__name__)' in advice["lab/use.py"]
    (folder / "dj_local_conf.json").write_text('{"custom": {"database.prefix": "lab_"}}', encoding="utf-8")
    assert 'pipeline.activate(probe, "probes", ' in says(folder, "schema-activate")[0][2]
    (folder / "dj_local_conf.json").unlink()
    done = linking.replace("from . import probe", "from . import pipeline, probe").replace(
        "probe.activate('lab_", "pipeline.activate(probe, '"
    )
    (folder / "lab/use.py").write_text(done, encoding="utf-8")
    assert names(folder, "schema-activate", "missing-import", "schema-name", "schema-elsewhere") == []
    assert list(converted(folder, "lab/version.py")["SCHEMA_VERSIONS"]) == ["subject", "probes"]


def test_elements_of_other_packages_can_be_kept(tmp_path: Path) -> None:
    linking = "import datajoint as dj\nfrom element_lab import lab\nfrom element_animal import subject\n\nlab.activate(dj.config['custom']['p'] + 'lab')\nsubject.activate('x_subject', linking_module=__name__)\n"
    own = module('"ephys"', table("Probe", "-> subject.Subject"), head="from .chain import subject\n")
    files = {
        "lab/__init__.py": "",
        "lab/chain.py": linking + table("Rig", "rig : int32", schema="lab.schema"),
        "lab/ephys.py": own,
    }
    folder = write(tmp_path, files)
    assert [(line, do.partition(", with")[0]) for _, line, do in says(folder, "schema-activate")] == [
        (5, 'Keep it, and write pipeline.activate(lab, "lab")'),
        (6, 'Keep it, and write pipeline.activate(subject, "x_subject", linking_module=__name__)'),
    ]
    assert names(folder, "missing-import", "schema-elsewhere") == []
    assert list(converted(folder, "lab/version.py")["SCHEMA_VERSIONS"]) == ["lab", "x_subject", "ephys"]


# --- Where the package stands ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "source"),
    [("python/pipeline", "python"), ("dj_pipeline/ours", "dj_pipeline"), ("code/a/b/lab", "code/a/b")],
)
def test_a_package_is_found_in_any_folder_and_can_stay(tmp_path: Path, folder: str, source: str) -> None:
    lab = write(tmp_path, {f"{folder}/__init__.py": "", f"{folder}/subject.py": module('"subject"', A)})
    rows = found(lab)
    assert not [row for row in rows if "git mv" in row["do"] or row["rule"] in ("no-package", "taken-name")]
    assert [row["do"] for row in rows if row["rule"] == "flat-layout" and row["note"]] == [
        f"Answer source_folder={source} when the template is copied."
    ]
    assert {row["path"] for row in rows if row["rule"] in ("init-lines", "no-version")} == {
        f"{folder}/__init__.py",
        f"{folder}/version.py",
    }
    project = next(row["do"] for row in rows if row["rule"] == "no-pyproject")
    assert f'module-root = "{source}"' in project and f'module-name = "{folder.rpartition("/")[2]}"' in project
    assert readiness(lab, "--convert", "--write").stdout == f"wrote {folder}/version.py\n"


SCRIPTS = {
    "subject.py": module('"subject"', A),
    "session.py": module('"session"', table("Session", "-> subject.Subject"), head="import subject\n"),
    "run.py": "import session\nfrom subject import Subject\n\nSubject.fetch(order_by='KEY')\n",
}


def test_scripts_at_the_root_become_a_package_and_their_imports_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "x", {**SCRIPTS, "src/x/__main__.py": "", "src/my_pipeline/session.py": "# theirs\n"})
    [(_, _, do)] = says(folder, "no-package")
    lines = do.splitlines()
    assert lines[0] == "mkdir -p src/my_pipeline && git mv -k subject.py src/my_pipeline/"
    assert "already: session.py" in lines[1]
    assert [line.strip() for line in lines[3:]] == [
        "run.py:1: from my_pipeline import session",
        "run.py:2: from my_pipeline import subject",
        "session.py:1: from my_pipeline import subject",
    ]
    before = (folder / "src/my_pipeline/session.py").read_text()
    subprocess.run(lines[0], shell=True, cwd=folder, check=True)
    assert (folder / "src/my_pipeline/session.py").read_text() == before and (
        folder / "src/my_pipeline/subject.py"
    ).is_file()


def test_scripts_that_the_template_was_copied_over_keep_their_recipe(tmp_path: Path) -> None:
    answers = "package_name: lab\nproject_name: lab\nschema_prefix: ''\ndefault_environment: local\nexisting: true\n"
    files = {
        **SCRIPTS,
        ".copier-answers.yml": answers,
        "src/lab/__main__.py": "def main(): ...\n",
        "src/lab/migrations/README.md": "",
    }
    folder = write(tmp_path, files)
    [(_, _, do)] = says(folder, "no-package")
    assert do.startswith("mkdir -p src/lab && git mv -k session.py subject.py src/lab/")
    assert list(converted(folder, "src/lab/version.py")["SCHEMA_VERSIONS"]) == ["subject", "session"]


def test_a_conversion_that_finds_no_schema_says_so(tmp_path: Path) -> None:
    folder = write(tmp_path, {"lab/__init__.py": "", "lab/plot.py": "import datajoint as dj\n"})
    done = readiness(folder, "--convert", "--write", "--package", "lab")
    assert done.returncode == 3
    assert "left: lab/version.py is not written: no module of lab opens a schema." in done.stdout


def test_a_wrong_answer_is_corrected_with_its_folder(tmp_path: Path) -> None:
    answers = (
        "package_name: wrong\nproject_name: wrong\nschema_prefix: ''\ndefault_environment: local\nexisting: true\n"
    )
    folder = write(
        tmp_path,
        {
            ".copier-answers.yml": answers,
            "python/right/__init__.py": "",
            "python/right/subject.py": module('"subject"', A),
        },
    )
    [(_, _, do)] = says(folder, "no-package")
    assert "--data package_name=right --data source_folder=python" in do


def test_names_that_the_template_refuses_are_not_proposed(tmp_path: Path) -> None:
    for name in ("a", "U19"):
        folder = write(
            tmp_path / f"lab_{name}", {f"{name}/__init__.py": "", f"{name}/subject.py": module('"subject"', A)}
        )
        assert f"{name} is no name that a package of the template can have." in names(folder, "taken-name")
    (tmp_path / "x").mkdir()
    folder = write(tmp_path / "x", {"subject.py": module('"subject"', A), "setup.py": 'setup(name="y")\n'})
    assert "src/my_pipeline" in says(folder, "no-package")[0][2]


# --- Files beside the package ------------------------------------------------------------------------------------------


def notebook(*cells: str) -> str:
    code = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    return json.dumps({"cells": [{"cell_type": "markdown", "source": ["# Title"]}, *code]})


def test_scripts_and_notebooks_are_read_and_keep_nobody_from_being_ready(tmp_path: Path) -> None:
    cells = ("%matplotlib inline\nimport datajoint as dj", "dj.ERD(1)\n!ls\nx = (", "\n\ndj.ERD(2)")
    files = {
        "lab/__init__.py": "",
        "lab/subject.py": module('"subject"', A),
        "notebooks/a.ipynb": notebook(*cells),
        "notebooks/broken.ipynb": '{"cells": "import datajoint"}',
        "scripts/run.py": "from lab import subject\n\nsubject.Subject.delete(safemode=False)\n",
        "scripts/plain.py": "import lab.nothing\n\nx.delete(safemode=False)\n",
        "scripts/old.py": "import datajoint\nprint 'two'\n",
        "matlab/+lab/Subject.m": "%{\nsubject : int\n%}\nclassdef Subject < dj.Manual\nend\n",
        "other/tables.py": module('"other"', A),
    }
    folder = write(tmp_path, files)
    rows = [(row["path"], row["line"], row["rule"], row["note"]) for row in found(folder) if row["group"] == "calls"]
    assert rows == [
        ("notebooks/a.ipynb cell 4", 3, "renamed-name", True),
        ("scripts/run.py", 3, "removed-argument", True),
    ]
    document = json.loads(readiness(folder, "--json").stdout)
    assert document["not_looked_at"] == [
        "matlab/+lab/Subject.m",
        "notebooks/broken.ipynb",
        "other/tables.py",
        "scripts/old.py",
    ]
    shown = readiness(folder).stdout
    assert "4 files use DataJoint and were not looked at: matlab/+lab/Subject.m, notebooks/broken.ipynb," in shown


# --- What is looked for ------------------------------------------------------------------------------------------------


def test_names_that_datajoint_lacks_are_found_by_asking_it(tmp_path: Path) -> None:
    head = (
        "import datajoint as dj\nfrom datajoint.jobs import key_hash\nfrom datajoint.schemas import Schema\n"
        "from datajoint.utils import get_master, to_camel_case\nimport datajoint.blob\nfrom datajoint.errors import DataJointError\n"
        "from datajoint.hash import key_hash as more\ndj.blob.bypass_serialization = True\ndj.errors.LostConnectionError\ndj.Diagram\ndj.kill\n"
    )
    folder = write(tmp_path, {"lab/__init__.py": "", "lab/a.py": head + module('"a"', A)})
    rows = [(row["line"], row["what"]) for row in found(folder) if row["rule"] in ("renamed-name", "legacy-import")]
    assert rows == [
        (2, "DataJoint 2 has no dj.jobs.key_hash."),
        (3, "DataJoint 2 has no dj.schemas.Schema."),
        (4, "DataJoint 2 has no dj.utils.get_master."),
        (7, "DataJoint 2 has no module datajoint.hash."),
        (8, "DataJoint 2 has no dj.blob.bypass_serialization."),
        (11, "DataJoint 2 has no dj.kill."),
    ]


def test_joins_of_tables_that_only_share_a_name_are_found(tmp_path: Path) -> None:
    tables = (
        A,
        table("Session", "-> Subject", "session : int32", "---", "date : date", "note : varchar(9)"),
        table("Weight", "-> Subject", "---", "date : date", "weight : float32"),
        table("Rig", "rig : int32", "session : int32"),
        table("Copy", "-> Session.proj(first='session')", "---", "-> [nullable] Rig"),
    )
    code = (
        "\n\nSession * Weight\nSession * Subject\nSession & 'a=1' & Weight\nSession.proj() * Weight\nRig() * Session\n"
        "Copy * Session\nSession * Session\nRig - Copy\n"
    )
    folder = write(tmp_path, {"lab/__init__.py": "", "lab/a.py": module('"a"', *tables) + code})
    start = len((module('"a"', *tables) + "\n\n").splitlines())
    rows = [
        (line - start, what.partition(" no foreign")[0])
        for (_, line, _), what in zip(says(folder, "join-names"), names(folder, "join-names"), strict=True)
    ]
    assert rows == [
        (1, "Session and Weight both have date, which"),
        (3, "Session and Weight both have date, which"),
        (5, "Rig and Session both have session, which"),
        (6, "Copy and Session both have session, which"),
    ]


def test_keys_that_are_too_long_under_utf8mb4_are_found(tmp_path: Path) -> None:
    tables = (
        table("Path", "path : varchar(512)"),
        table(
            "Name", "name : varchar(255)", "---", "other : varchar(767)", "unique index(other, name)", "index (other)"
        ),
        table("Both", "-> Path", "-> Name"),
        table("Fits", "a : varchar(512)", "b : char(255)"),
    )
    folder = write(tmp_path, {"lab/__init__.py": "", "lab/a.py": module('"a"', *tables)})
    assert names(folder, "long-key") == [
        "An index of Name takes 4088 bytes under utf8mb4; MySQL takes 3072.",
    ]
    files = {
        "lab/__init__.py": "",
        "lab/a.py": module('"a"', tables[0], table("More", "-> Path", "more : varchar(257)")),
    }
    folder = write(tmp_path / "other", files)
    assert names(folder, "long-key") == ["The primary key of More takes 3076 bytes under utf8mb4; MySQL takes 3072."]


def test_what_is_in_order_is_not_spoken_of(tmp_path: Path) -> None:
    """Names of authors, imports that code or a class body uses, a module that imports itself, a setting that is made."""
    use = "from . import a, b, c\nfrom lab import use\n"
    tables = (
        '\n\n@schema\nclass Sum(dj.Computed):\n    definition = """\n    -> b.B\n    sum : int32\n    """\n    key_source = b.B & a.Subject\n'
        "\n    def make(self, key):\n        c.C.insert1(key)\n"
    )
    files = {
        "setup.py": "setup(name='datajoint', author='DataJoint', author_email='x@y.z', packages=['datajoint'], keywords='datajoint')\n",
        "datajoint.json": '{"jobs": {"allow_new_pk_fields_in_computed_tables": true}}',
        "lab/__init__.py": "",
        "lab/a.py": module('"a"', A),
        "lab/b.py": module('"b"', table("B", "b : int32")),
        "lab/c.py": module('"c"', table("C", "c : int32")),
        "lab/use.py": module('"use"', tables, head=use),
    }
    folder = write(tmp_path, files)
    assert names(folder, "datajoint-pin", "unused-import", "import-cycle", "native-key") == []
    (folder / "datajoint.json").unlink()
    (folder / "lab/c.py").write_text(files["lab/c.py"].replace("import datajoint", "from . import a\nimport datajoint"))
    assert names(folder, "unused-import") == ["a is imported, and neither a foreign key nor the code needs it."]
    assert len(names(folder, "native-key")) == 1


def test_lines_of_gitignore_that_swallow_the_template_are_found(tmp_path: Path) -> None:
    ignored = "*.pyc\n*.json\n/docs/\nDockerfile\n*.txt\nscratch*\n.secrets/\n.local/\nbackups/\n"
    folder = write(tmp_path, {".gitignore": ignored, "lab/__init__.py": "", "lab/a.py": module('"a"', A)})
    rows = says(folder, "ignored-file")
    assert [(path, line) for path, line, _ in rows] == [(".gitignore", line) for line in (2, 3, 4, 5)]
    added = [line.strip() for _, _, do in rows for line in do.splitlines()[1:]]
    assert any(line.endswith("lab/migrations/*/*.txt") for line in added), added
    assert "!/datajoint.json" in added and "!/docs/" in added and "!/deploy/Dockerfile" in added
    (folder / ".gitignore").write_text(ignored + "\n".join(added) + "\n", encoding="utf-8")
    assert says(folder, "ignored-file", "ignore-lines") == []


def test_a_lab_with_setup_py_alone_gets_all_that_a_project_needs(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        {"setup.py": 'setup(name="lab", version="2.1")\n', "lab/__init__.py": "", "lab/a.py": module('"a"', A)},
    )
    [(_, _, do)] = says(folder, "no-pyproject")
    (folder / "pyproject.toml").write_text(
        "\n".join(line[4:] for line in do.splitlines()[1:-1]) + "\n", encoding="utf-8"
    )
    (folder / "setup.py").unlink()
    assert [row["what"] for row in found(folder) if row["group"] == "packaging"] == [
        "The command lab and python -m lab have nothing to run."
    ]
    text = (folder / "pyproject.toml").read_text()
    assert 'dev = ["datajoint-pipeline[local]", "pytest>=8"]' in text and 'version = "2.1"' in text


# --- The report itself -------------------------------------------------------------------------------------------------


def test_the_sum_comes_first_then_three_things_then_a_few_of_each_kind(tmp_path: Path) -> None:
    many = [table(f"T{number}", f"t{number} : int unsigned", "---", "x : longblob") for number in range(9)]
    folder = write(tmp_path, {"lab/__init__.py": "", "lab/a.py": module('"a"', *many)})
    lines = readiness(folder).stdout.splitlines()
    assert lines[0] == "The package lab in lab/:" and lines[1].startswith("  25 to do in 6 files, and 1 to be known.")
    assert "  types            18   blob-type 9, integer-type 9" in lines
    first = lines.index("Do first:")
    assert first < 15 and [line[:5] for line in lines[first + 1 : first + 5]] == ["  1. ", "  2. ", "  3. ", ""]
    assert "--convert:" in lines[first + 1] and "18 types and calls in 1 file" in lines[first + 2]
    assert (
        sum(": blob-type: " in line for line in lines) == 3
        and "  ... and 6 more of blob-type; --all shows them." in lines
    )
    everything = readiness(folder, "--all").stdout
    assert everything.count(": blob-type: ") == 9 and "more of" not in everything
    document = json.loads(readiness(folder, "--json").stdout)
    assert document["counts"]["types"] == {"blob-type": 9, "integer-type": 9} and len(document["first"]) == 3


def test_a_module_in_the_place_of_the_pipeline_is_renamed_but_where_the_pipeline_is_meant(tmp_path: Path) -> None:
    files = {
        "lab/__init__.py": "",
        "lab/__main__.py": "from . import pipeline\n",
        "lab/pipeline.py": module('"lab"', A),
        "lab/plots.py": "from . import pipeline\n",
    }
    ((path, _, do),) = says(write(tmp_path, files), "taken-name")
    assert path == "lab/pipeline.py" and "lab/plots.py:1" in do and "__main__" not in do
