"""The report in a repository that has nothing of ours yet: what it finds by itself, what it refuses, what it may import."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import adopted_pipelines as pipelines
import pytest
import yaml
from adopting import KINDS, edit, found, readiness, write
from conftest import ROOT, git

from datajoint_pipeline.readiness import answers

SOURCE = ROOT / "src/datajoint_pipeline/readiness"


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, Path]:
    """Each kind of pipeline as it was, without the template."""
    return {kind: write(tmp_path / "lab" / kind, files) for kind, (files, _) in KINDS.items()}


def rules(rows: list[dict[str, Any]]) -> set[str]:
    return {row["rule"] for row in rows}


# --- Reading a repository of a lab -----------------------------------------------------------------------------------


def test_a_pipeline_of_0_14_is_reported_by_its_path_from_elsewhere(bare: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    rows = found(tmp_path / "elsewhere", bare["odours"])
    modules = [row for row in rows if row["path"].startswith("odours/") and not row["note"]]
    ours = ("init-lines", "no-version", "no-script")
    mine = [(row["path"], row["line"], row["rule"]) for row in modules if row["rule"] not in ours]
    assert sorted(mine) == sorted(pipelines.LEGACY_FINDINGS)
    says = {row["rule"]: row["do"] for row in rows}
    assert says["flat-layout"] == "Answer source_folder=. when the template is copied."
    assert 'name = "odours"\n' in says["no-pyproject"] and 'version = "0.7"' in says["no-pyproject"]
    assert 'odours = "odours.__main__:main"' in says["no-pyproject"] and '"datajoint-pipeline' in says["no-pyproject"]
    # The prefix and the server are those of dj_local_conf.json.
    given = 'prefix="odour_", default_environment="dev", command="odours", )'
    assert given in " ".join(says["init-lines"].split())
    assert list((tmp_path / "elsewhere").iterdir()) == [] and git(bare["odours"], "status", "--porcelain") == ""


def test_every_kind_is_found_without_a_word_about_it(bare: dict[str, Path]) -> None:
    shown = {kind: readiness(folder).stdout.partition("\n")[0] for kind, folder in bare.items()}
    assert shown == {
        "whisking": "The package whisking in src/whisking/:",
        "odours": "The package odours in odours/:",
        "workflow": "The package workflow_odours in workflow_odours/:",
    }
    assert "taken-name" in rules(found(bare["workflow"]))  # pipeline.py, whose name the package needs


def test_a_person_gets_ready_before_the_template_is_there(bare: dict[str, Path], tmp_path: Path) -> None:
    folder = bare["whisking"]
    edit(folder, pipelines.MODERN_EDITS)
    converted = readiness(tmp_path, "--convert", "--write", path=folder)
    assert converted.returncode == 0 and converted.stdout == "wrote src/whisking/version.py\n"
    report = readiness(tmp_path, path=folder)
    assert report.returncode == 0, report.stdout
    assert (
        "Ready. Next: copy the template here with --data existing=true --data project_name=whisking "
        "--data package_name=whisking, then " in report.stdout
    )
    assert "whisking check" in report.stdout
    document = json.loads(readiness(tmp_path, "--json", path=folder).stdout)
    assert document == {
        **{"package": "whisking", "ready": True, "source_folder": "src", "counts": {}, "first": []},
        **{"findings": [], "not_looked_at": []},
    }


def test_the_edits_of_the_report_make_a_flat_package_ready_where_it_is(bare: dict[str, Path]) -> None:
    folder = bare["odours"]
    assert readiness(folder, "--convert", "--write").returncode == 0
    project = next(row["do"] for row in found(folder) if row["rule"] == "no-pyproject")
    lines = [line[4:] for line in project.splitlines()[1:-1]]
    (folder / "pyproject.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    ignored = next(row["do"] for row in found(folder) if row["rule"] == "ignore-lines")
    (folder / "dj_local_conf.json").rename(folder / "away.json")  # its server stands in datajoint.json, too
    assert 'default_environment="dev"' in next(row["do"] for row in found(folder) if row["rule"] == "init-lines")
    (folder / "away.json").rename(folder / "dj_local_conf.json")
    (folder / ".gitignore").write_text("\n".join(line.strip() for line in ignored.splitlines()[1:]), encoding="utf-8")
    edit(folder, {path.removeprefix("src/"): pairs for path, pairs in pipelines.LEGACY_EDITS.items()})
    git(folder, "rm", "--quiet", "setup.py", "requirements.txt", "dj_local_conf.json")
    report = readiness(folder)
    assert report.returncode == 0, report.stdout
    assert "--data project_name=odours --data package_name=odours --data source_folder=." in report.stdout
    assert not (folder / "src").exists()


def test_a_new_configuration_is_the_one_of_the_template(bare: dict[str, Path], copied: dict[str, Path]) -> None:
    folder = bare["odours"]
    readiness(folder, "--convert", "--write")
    config = json.loads((folder / "datajoint.json").read_text())
    assert config["database"] == {"backend": "mysql", "host": "db.example.org", "port": 3307, "create_tables": False}
    template = json.loads((copied["whisking"] / "datajoint.json").read_text())
    assert {key: config[key] for key in template if key != "database"} == {
        key: value for key, value in template.items() if key != "database"
    }


@pytest.mark.parametrize("place", ["", "src/", "python/"])
def test_a_package_is_found_where_labs_keep_it(tmp_path: Path, place: str) -> None:
    files = {path.replace("src/", place): text for path, text in pipelines.MODERN.items()}
    noise = {"scripts/run.py": "import datajoint as dj\nschema = dj.Schema('a')\n", "tests/__init__.py": ""}
    folder = write(tmp_path, {**files, **noise})
    flat = next((row for row in found(folder) if row["rule"] == "flat-layout"), None)
    if place == "src/":
        assert flat is None
    else:
        source = place.rstrip("/") or "."
        assert flat is not None and flat["note"]
        assert flat["do"] == f"Answer source_folder={source} when the template is copied."


def test_of_several_packages_one_is_named(tmp_path: Path) -> None:
    one, other = pipelines.MODERN["src/whisking/mice.py"], pipelines.LEGACY["odours/colony.py"]
    packages = {"a/__init__.py": "", "a/mice.py": one, "b/__init__.py": "", "b/colony.py": other}
    folder = write(tmp_path, packages)
    refused = readiness(folder, "--json")
    assert refused.returncode == 2 and refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 3 and "Several packages hold schemas: a, b." in refused.stderr
    assert json.loads(readiness(folder, "--json", "--package", "b").stdout)["package"] == "b"
    (folder / "pyproject.toml").write_text('[project]\nauthors = [{ name = "A" }]\nname = "B"\n', encoding="utf-8")
    assert json.loads(readiness(folder, "--json").stdout)["package"] == "b"


def test_what_cannot_be_found_is_said_in_three_lines(tmp_path: Path) -> None:
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis/plot.py").write_text("import datajoint as dj\n", encoding="utf-8")
    refused = readiness(tmp_path)
    assert refused.returncode == 1 and refused.stdout == ""
    assert [line[:9] for line in refused.stderr.splitlines()] == ["Error: No", "  Package", "  Name th"]
    assert "DataJoint is used in analysis." in refused.stderr
    rows = json.loads(readiness(tmp_path, "--json", "--package", "mice").stdout)["findings"]
    missing = next(row for row in rows if row["rule"] == "no-package")
    assert "--package NAME" in missing["do"] and "analysis" in missing["do"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("nowhere",), "There is no nowhere."),
        (("README.md",), "README.md is no folder."),
        ((".", "nowhere"), "There is no nowhere."),
        ((".", "--package", "a-b"), "a-b is not the name of a package."),
    ],
)
def test_wrong_use_is_said_in_three_lines(bare: dict[str, Path], arguments: tuple[str, ...], why: str) -> None:
    path, *more = arguments
    refused = readiness(bare["odours"], *more, path=path)
    assert refused.returncode == 2 and refused.stdout == ""
    assert refused.stderr.startswith(f"Error: {why}\n") and len(refused.stderr.splitlines()) == 3


def test_files_outside_the_repository_are_looked_at_too(bare: dict[str, Path], tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import datajoint as dj\n\ndj.ERD\n", encoding="utf-8")
    rows = json.loads(readiness(bare["odours"], str(script), "--json").stdout)["findings"]
    assert {(str(script), 3, "renamed-name")} <= {(row["path"], row["line"], row["rule"]) for row in rows}


# --- Answers of the template -----------------------------------------------------------------------------------------

ANSWERS = {
    "_src_path": "https://example.org/a-template",
    "package_name": "odours",
    "project_name": "Odours-of_Mice",
    "schema_prefix": "smell_",
    "default_environment": "prod",
    "database_port": "3306",
    "description": "It's: a 'pipeline' # of \"odours\" that is described in more words than a line of YAML may have, twice: "
    "package_name: other",
    "existing": True,
    "author": "- Ä",
}


def test_answers_of_the_template_are_believed(bare: dict[str, Path]) -> None:
    folder = bare["odours"]
    written = yaml.dump(ANSWERS, indent=4, allow_unicode=True, default_flow_style=False)
    (folder / ".copier-answers.yml").write_text("_src_path: other\npackage_name: no\n", encoding="utf-8")
    (folder / ".copier-answers.dj.yml").write_text(f"# What this project answered.\n{written}", encoding="utf-8")
    says = {row["rule"]: row["do"] for row in found(folder)}
    given = 'prefix="smell_", default_environment="prod", command="odours-of-mice", )'
    assert given in " ".join(says["init-lines"].split())


@pytest.mark.parametrize(
    "value", ["lab_", "", "3306", "it's", 'a "b"', "a: b", "a # b", "# a", "ä", "null", "x'", "~", "on"]
)
@pytest.mark.parametrize("style", [None, "'", '"'])
def test_scalars_are_read_as_copier_writes_them(value: str, style: str | None) -> None:
    text = yaml.dump({"key": value, "other": [1]}, default_style=style, allow_unicode=True)
    assert answers.read(text.replace('"key"', "key").replace("'key'", "key"))["key"] == value


# --- What it says of the package, tests and dependencies -------------------------------------------------------------


def test_a_project_of_an_earlier_release_is_not_asked_for_a_pipeline(bare: dict[str, Path]) -> None:
    folder = bare["whisking"]
    edit(folder, pipelines.MODERN_EDITS)
    before = "from .manage import initialize, open_schema\nfrom .version import SCHEMA_VERSIONS, __version__\n"
    (folder / "src/whisking/__init__.py").write_text(f'{before}SCHEMA_PREFIX = "whisk_"\n', encoding="utf-8")
    (folder / "src/whisking/__main__.py").unlink()
    assert {"init-lines", "no-script"} <= rules(found(folder))
    write(folder, {"src/whisking/manage/__init__.py": "", "src/whisking/pipeline.py": ""})
    text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text(text.replace(".__main__:main", ".manage.cli:main"), encoding="utf-8")
    readiness(folder, "--convert", "--write")
    assert rules(found(folder)) == set()


def test_tests_have_a_database_by_whichever_file_pytest_reads(bare: dict[str, Path]) -> None:
    folder = bare["whisking"]
    for path, text, where in (
        ("pytest.ini", "[pytest]\n", "pytest.ini"),
        ("pytest.ini", "[pytest]\ndatajoint_pipeline = whisking\n", None),
        ("tests/conftest.py", "import pytest\n", "pyproject.toml"),
        ("tests/conftest.py", "@pytest.fixture\ndef pipeline():\n    ...\n", None),
    ):
        (folder / path).write_text(text, encoding="utf-8")
        mine = [row for row in found(folder) if row["rule"] == "test-fixture"]
        assert [row["path"] for row in mine] == ([where] if where else []), text
        if where is None:
            (folder / path).unlink()


def test_dependencies_are_asked_for_once(bare: dict[str, Path]) -> None:
    folder = bare["whisking"]
    pins = lambda: [row["what"] for row in found(folder) if row["rule"] == "datajoint-pin"]  # noqa: E731
    (folder / "setup.py").write_text('from setuptools import setup\n\nsetup(name="whisking", author="DataJoint")\n')
    assert pins() == ["DataJoint is asked for as `datajoint>=2.2`."]
    text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text(text.replace("datajoint>=2.2", "datajoint"), encoding="utf-8")
    assert pins() == ["DataJoint is asked for as `datajoint`."]
    own = '"datajoint-pipeline==0.6.0",\n    "datajoint"'
    (folder / "pyproject.toml").write_text(text.replace('"datajoint>=2.2"', own), encoding="utf-8")
    assert pins() == []


ORIGINS = [
    (None, '"datajoint-pipeline==9.8.7"', ""),
    (
        {
            "url": "https://user:secret@example.org/lab.git",
            "vcs_info": {"vcs": "git", "requested_revision": "v9.8.7", "commit_id": "c0ffee"},
        },
        '"datajoint-pipeline==9.8.7"',
        'datajoint-pipeline = { git = "https://example.org/lab.git", tag = "v9.8.7" }',
    ),
    (
        {
            "url": "https://example.org/lab.git",
            "vcs_info": {"vcs": "git", "requested_revision": "main", "commit_id": "c0ffee"},
        },
        '"datajoint-pipeline==9.8.7"',
        'datajoint-pipeline = { git = "https://example.org/lab.git", rev = "c0ffee" }',
    ),
    (
        {"url": "file:///a%20folder", "dir_info": {}},
        '"datajoint-pipeline==9.8.7"',
        'datajoint-pipeline = { path = "/a folder" }',
    ),
]


@pytest.mark.parametrize(("origin", "requirement", "source"), ORIGINS)
def test_the_release_that_runs_is_the_one_to_depend_on(
    bare: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    origin: dict[str, Any] | None,
    requirement: str,
    source: str,
) -> None:
    record = tmp_path / "site/datajoint_pipeline-9.8.7.dist-info"
    record.mkdir(parents=True)
    monkeypatch.syspath_prepend(record.parent)
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: datajoint-pipeline\nVersion: 9.8.7\n")
    if origin:
        (record / "direct_url.json").write_text(json.dumps(origin))
    asked = " ".join(row["do"] for row in found(bare["whisking"]) if row["rule"] == "dependency")
    assert requirement in asked and (source in asked if source else "tool.uv.sources" not in asked)
    assert "secret" not in asked


def test_modules_in_folders_of_the_package_stay_there(tmp_path: Path) -> None:
    mice, videos = pipelines.MODERN["src/whisking/mice.py"], pipelines.MODERN["src/whisking/videos.py"]
    videos = videos.replace("from . import mice", "from ..animals import mice")
    files = {"lab/animals/mice.py": mice, "lab/videos/high/speed.py": videos.replace("..animals", "...animals")}
    folder = write(tmp_path, {"lab/__init__.py": "", **files})
    assert "no-package" not in rules(found(folder)) and not any("git mv" in row["do"] for row in found(folder))
    says = {row["path"]: row["do"] for row in found(folder) if row["rule"] == "dj-schema"}
    assert "from .. import open_schema" in says["lab/animals/mice.py"]
    assert "from ... import open_schema" in says["lab/videos/high/speed.py"]
    assert readiness(folder, "--convert", "--write").stdout == "wrote lab/version.py\n"
    assert 'SCHEMA_VERSIONS = {\n    "mice": "1.0.0",\n    "videos"' in (folder / "lab/version.py").read_text()


def test_a_table_that_is_declared_twice_is_said(bare: dict[str, Path]) -> None:
    folder = bare["whisking"]
    write(folder, {"src/whisking/old/mice.py": pipelines.MODERN["src/whisking/mice.py"]})
    twice = [(row["path"], row["line"]) for row in found(folder) if row["rule"] == "same-table"]
    assert twice == [("src/whisking/old/mice.py", 9), ("src/whisking/old/mice.py", 17)]


# --- What it may import and how it speaks ----------------------------------------------------------------------------


def test_its_imports_are_the_standard_library_click_and_what_asks_datajoint() -> None:
    for path in SOURCE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                outside = {item.name.partition(".")[0] for item in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                outside = {(node.module or "").partition(".")[0]}
            elif isinstance(node, ast.ImportFrom) and node.level > 1:
                assert node.module in (None, "errors", "internals", "wrapping"), (path.name, node.lineno)
                continue
            else:
                continue
            assert outside <= {*sys.stdlib_module_names, "click"}, (path.name, node.lineno)


def test_the_command_imports_no_datajoint() -> None:
    program = "import sys; import datajoint_pipeline.readiness.command; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert not set(done.stdout.split()) & {"datajoint", "numpy", "pandas", "pymysql", "psycopg2", "rich"}


def test_help_has_an_example_and_options() -> None:
    for arguments in (("--help",), ("-h",)):
        done = readiness(ROOT, *arguments)
        assert done.returncode == 0 and re.search(
            r"^ +uvx --from .* datajoint-pipeline readiness \.$", done.stdout, re.M
        )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ["\0", "def (:\n", "é".encode("latin-1").decode("latin-1")])
def test_a_file_that_is_not_python_stops_nothing(bare: dict[str, Path], text: str) -> None:
    (bare["odours"] / "odours/broken.py").write_bytes(text.encode("latin-1"))
    assert ("odours/broken.py", "not-python") in {(row["path"], row["rule"]) for row in found(bare["odours"])}


def test_what_is_no_file_and_what_is_nested_too_deeply_stop_nothing(bare: dict[str, Path]) -> None:
    folder = bare["odours"] / "odours"
    (folder / "gone.py").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.py")
    (folder / "folder.py").mkdir()
    (folder / "deep.py").write_text("-" * 200_000 + "1\n", encoding="utf-8")
    (folder / "brackets.py").write_text("(" * 5_000, encoding="utf-8")
    rows = {(row["path"], row["rule"]) for row in found(bare["odours"])}
    assert {("odours/deep.py", "not-python"), ("odours/brackets.py", "not-python")} <= rows
    assert not {"odours/gone.py", "odours/pipe.py", "odours/folder.py"} & {path for path, _ in rows}


def test_a_file_that_cannot_be_written_is_said_in_three_lines(bare: dict[str, Path]) -> None:
    (bare["odours"] / ".secrets").write_text("", encoding="utf-8")
    refused = readiness(bare["odours"], "--convert", "--write")
    assert refused.returncode == 1 and len(refused.stderr.splitlines()) == 3 and ".secrets" in refused.stderr
