"""A pipeline that exists: the template is copied over it, its files stay, its code is reported on, its rows are adopted."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import adopted_pipelines as pipelines
import copier
import pytest
import yaml
from adopting import KINDS, copy, edit, found, fresh, readiness, write
from conftest import PRESENT, ROOT, Project, git
from copying import copier_command

from datajoint_pipeline.project.template import template_files
from datajoint_pipeline.readiness.findings import GROUP_OF

# --- Copying ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_that_was_there_is_kept(copied: dict[str, Path], kind: str) -> None:
    for path, text in KINDS[kind][0].items():
        assert (copied[kind] / path).read_bytes() == text.encode(), path
    assert git(copied[kind], "status", "--porcelain", "--untracked-files=no") == ""


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_comes_that_only_a_new_pipeline_needs(copied: dict[str, Path], kind: str) -> None:
    home = next((copied[kind] / "src").iterdir())
    had = {path for path in KINDS[kind][0] if path.startswith("src/")}
    came = {f"src/{home.name}/{path.name}" for path in home.iterdir()} - had
    assert came == {f"src/{home.name}/__main__.py"}
    tests = {path.name for path in (copied[kind] / "tests").glob("test_*.py")}
    assert tests <= {"test_pipeline.py", "test_mine.py"}
    assert not (copied[kind] / "adoption").exists() and (copied[kind] / "docs/adopting.md").is_file()
    answers = (copied[kind] / ".copier-answers.yml").read_text()
    assert "existing: true" in answers and "schemas" not in answers


def test_documents_are_whole(copied: dict[str, Path]) -> None:
    folder = copied["workflow"]
    navigation = yaml.safe_load((folder / "mkdocs.yml").read_text())["nav"]
    named = {page if isinstance(page, str) else next(iter(page.values())) for page in navigation}
    assert named == {path.name for path in (folder / "docs").iterdir()} and "adopting.md" in named
    pages = [folder / "README.md", *(folder / "docs").iterdir()]
    for path in [*pages, folder / "datajoint.json"]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?<!\$)\{\{|\{%|\{#", text), path
        assert text.endswith("\n") and not text.endswith("\n\n") and not re.search(r"[ \t]$", text, re.MULTILINE), path
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (path.parent / target).exists(), (path, target)
    assert "<!-- diagram -->" not in (folder / "README.md").read_text()


def test_an_ordinary_project_has_no_trace_of_it(default_folder: Path) -> None:
    assert not (default_folder / "adoption").exists() and not (default_folder / "docs/adopting.md").exists()
    assert "adopting.md" not in (default_folder / "mkdocs.yml").read_text()


def test_what_is_said_afterwards_fits(template: Path, tmp_path: Path) -> None:
    done = copy(template, write(tmp_path, pipelines.LEGACY), project_name="odours")
    assert "datajoint-pipeline readiness ." in done.stderr and "git init" not in done.stderr
    assert "There is no package src/odours." in done.stderr and "--data source_folder=FOLDER" in done.stderr
    done = copy(template, write(tmp_path / "flat", pipelines.LEGACY), project_name="odours", source_folder=".")
    assert done.returncode == 0 and "There is no package" not in done.stderr, done.stderr


def test_nothing_comes_that_harms_a_pipeline_that_is_not_converted(template: Path, tmp_path: Path) -> None:
    """No licence that nobody chose, no CI that must fail, no pyproject.toml that hides setup.py; what is kept is told."""
    folder = write(tmp_path, {**pipelines.LEGACY, "datajoint.json": "{}\n", "docs/index.md": "Mine.\n"})
    done = copy(template, folder, project_name="odours")
    assert done.returncode == 0 and "conflict" not in done.stderr, done.stderr
    assert not any((folder / name).exists() for name in ("pyproject.toml", "LICENSE", ".github", ".gitlab-ci.yml"))
    assert "Kept as they are: README.md, datajoint.json, docs/index.md.\n" in done.stderr
    assert "datajoint.json may not fit your answers" in done.stderr and "--ignored" in done.stderr
    assert "No pyproject.toml was written" in done.stderr
    answers = yaml.safe_load((folder / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert (answers["license"], answers["ci"], answers["source_folder"]) == ("none", "none", "src")
    assert not {"kept", "has_setup", "folder_here", "package_folder"} & answers.keys()


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_files_that_are_there_are_no_conflict_whichever_they_are(template: Path, tmp_path: Path, ci: str) -> None:
    for _ in range(2):
        done = copy(template, tmp_path, project_name="odours", ci=ci, license="MIT")
        assert done.returncode == 0 and "conflict" not in done.stderr, done.stderr
        for path in tmp_path.rglob("*"):
            if path.is_file() and path.name != ".copier-answers.yml":
                path.write_text("Mine.\n", encoding="utf-8")
    assert "LICENSE" in done.stderr and (tmp_path / "LICENSE").read_text(encoding="utf-8") == "Mine.\n"
    project = done.stderr.partition("Kept as they are: ")[2].partition(".\n")[0].split(", ")
    there = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert there - {*project} == {".copier-answers.yml"}


def test_schemas_are_not_answered_for_a_pipeline_that_exists(template: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="are read from its modules"):
        data = {"existing": True, "schemas": [{"name": "subject"}]}
        copier.run_copy(str(template), tmp_path / "p", data=data, defaults=True, quiet=True, vcs_ref=PRESENT)


def test_files_of_any_folder_are_kept_also_without_the_answer(template: Path, tmp_path: Path) -> None:
    write(tmp_path, {"README.md": "Mine.\n", "pyproject.toml": "# mine\n"})
    done = copy(template, tmp_path, existing="false")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "README.md").read_text() == "Mine.\n" and (tmp_path / "pyproject.toml").read_text() == "# mine\n"
    assert (tmp_path / "src/my_pipeline/subject.py").is_file()


def test_answers_of_another_template_are_kept(template: Path, tmp_path: Path) -> None:
    write(tmp_path, {".copier-answers.yml": "_src_path: elsewhere\n", **pipelines.LEGACY})
    words = ["copy", "--defaults", "--quiet", "--answers-file=.copier-answers.dj.yml"]
    more = ["--data=existing=true", "--data=project_name=odours", f"--vcs-ref={PRESENT}", str(template), "."]
    done = copier_command(tmp_path, *words, *more)
    assert done.returncode == 0
    assert (tmp_path / ".copier-answers.yml").read_text() == "_src_path: elsewhere\n"
    assert "existing: true" in (tmp_path / ".copier-answers.dj.yml").read_text()


@pytest.mark.parametrize("place", ["src", ".", "code/python"])
def test_an_update_merges_and_leaves_alone(template: Path, tmp_path: Path, place: str) -> None:
    """Wherever the package stands, its modules are the lab's."""
    earlier = tmp_path / "template"
    shutil.copytree(template, earlier)
    script = earlier / "template/deploy/update-template.sh"
    now = script.read_text(encoding="utf-8")
    script.write_text(f"{now}# Earlier.\n", encoding="utf-8")
    git(earlier, "commit", "--quiet", "--all", "--message=Earlier")
    git(earlier, "tag", "--force", PRESENT)
    home = f"{place}/whisking".removeprefix("./")
    files = {path.replace("src/whisking", home): text for path, text in pipelines.MODERN.items()}
    folder = write(tmp_path / "lab", files)
    assert copy(earlier, folder, **KINDS["whisking"][1], source_folder=place).returncode == 0
    came = {path.name for path in (folder / home).iterdir() if f"{home}/{path.name}" not in files}
    assert came == {"__main__.py"} and (place == "src" or not (folder / "src").exists())
    (folder / home / "migrations").mkdir()
    (folder / home / "migrations/README.md").write_text("Mine.\n", encoding="utf-8")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message=Adopted")
    script.write_text(now, encoding="utf-8")
    git(earlier, "commit", "--quiet", "--all", "--message=Later")
    git(earlier, "tag", "v999.0.1")
    done = copier_command(folder, "update", "--defaults", "--quiet", "--vcs-ref=v999.0.1")
    assert done.returncode == 0, done.stderr
    assert (folder / "deploy/update-template.sh").read_text(encoding="utf-8") == now
    for path, text in {**files, f"{home}/migrations/README.md": "Mine.\n"}.items():
        assert (folder / path).read_text(encoding="utf-8") == text, path
    assert not (folder / "adoption").exists() and not (folder / home / "version.py").exists()
    owned = {f"{home}/__main__.py", f"{home}/migrations/README.md", "tests/test_pipeline.py", "pyproject.toml"}
    assert owned.isdisjoint(template_files(folder))  # so that `check` says nothing of an edit


@pytest.mark.parametrize(
    ("place", "word"),
    [("../python", "within the project"), ("docs", "docs is a folder of"), ("", "within the project")],
)
def test_a_folder_that_cannot_hold_the_package_is_refused(
    template: Path, tmp_path: Path, place: str, word: str
) -> None:
    with pytest.raises(ValueError, match=word):
        data = {"existing": True, "project_name": "whisking", "source_folder": place}
        copier.run_copy(str(template), tmp_path / "p", data=data, defaults=True, quiet=True, vcs_ref=PRESENT)


def test_a_new_project_has_its_package_where_projects_have_it(template: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a pipeline that exists"):
        data = {"source_folder": "python"}
        copier.run_copy(str(template), tmp_path / "p", data=data, defaults=True, quiet=True, vcs_ref=PRESENT)


#: What the report is made of.
PARTS = sorted((ROOT / "src/datajoint_pipeline/readiness").glob("*.py"))

# --- The report --------------------------------------------------------------------------------------------------------


def test_report_names_each_line_of_a_pipeline_of_0_14(copied: dict[str, Path]) -> None:
    rows = found(copied["odours"])
    modules = [row for row in rows if row["path"].startswith("odours/") and not row["note"]]
    mine = [(r["path"], r["line"], r["rule"]) for r in modules if r["rule"] not in ("init-lines", "no-version")]
    assert sorted(mine) == sorted(pipelines.LEGACY_FINDINGS)
    assert {row["rule"] for row in rows} >= {
        *("flat-layout", "no-pyproject", "datajoint-pin", "init-lines", "no-version", "not-converted"),
        *("secret-committed", "fetch"),
    }
    says = {row["rule"]: row["do"] for row in rows}
    assert says["flat-layout"].splitlines() == [
        "git mv -k odours/* src/odours/",
        "or answer where it is: uvx copier update --defaults --data source_folder=.",
    ]
    given = " ".join(says["init-lines"].split())
    assert 'prefix="odour_", default_environment=' in given and 'command="odours"' in given
    assert "ODOURS_ENV=prod has them work on prod" in given


def test_report_in_words_has_path_line_rule_and_what_to_write(copied: dict[str, Path]) -> None:
    report = readiness(copied["odours"])
    assert report.returncode == 3
    place = "odours/sniffing.py:15: blob-type: Session.protocol is of the type longblob.\n"
    assert re.search(
        rf"^  {re.escape(place)}(  odours/.*: blob-type: .*\n)*      Write <blob>", report.stdout, re.MULTILINE
    )
    assert re.search(r"\n\d+ to do\.\n$", report.stdout)


def test_report_of_a_pipeline_of_elements(copied: dict[str, Path]) -> None:
    rows = {(row["path"], row["line"], row["rule"]) for row in found(copied["workflow"])}
    assert rows >= {
        ("workflow_odours/pipeline.py", 2, "legacy-package"),
        ("workflow_odours/pipeline.py", 5, "config-custom"),
        ("workflow_odours/pipeline.py", 7, "schema-activate"),
        ("workflow_odours/tracking.py", 5, "dj-schema"),
        ("workflow_odours/tracking.py", 12, "auto-increment"),
        ("workflow_odours/tracking.py", 12, "native-key"),
        ("workflow_odours/tracking.py", 14, "stored-type"),
        ("workflow_odours/tracking.py", 15, "adapter-type"),
        ("workflow_odours/version.py", 1, "version-lines"),
    }
    # One piece of advice for one schema, however it is opened.
    tracking = [(line, rule) for path, line, rule in rows if path.endswith("tracking.py") and "schema" in rule]
    assert tracking == [(5, "dj-schema")]
    says = {row["rule"]: row["do"] for row in found(copied["workflow"])}
    assert says["dj-schema"].endswith(
        'schema = open_schema("tracking"), and from . import open_schema at the top. Leave out line 19, which activates it.'
    )
    assert says["schema-activate"].startswith(
        'Keep it, and write pipeline.activate(subject, "subject", linking_module=__name__)'
    )


def test_report_is_empty_once_everything_is_done(copied: dict[str, Path], tmp_path: Path) -> None:
    folder = fresh(copied, "whisking", tmp_path)
    assert {row["rule"] for row in found(folder)} == {
        *("dj-schema", "init-lines", "no-version", "ignore-lines", "no-script", "dependency", "datajoint-pin"),
        "test-fixture",
    }
    assert readiness(folder, "--convert", "--write").stdout == "wrote src/whisking/version.py\n"
    edit(folder, pipelines.MODERN_EDITS)
    report = readiness(folder)
    assert report.returncode == 0, report.stdout
    assert "Ready." in report.stdout


def test_reading_runs_nothing(copied: dict[str, Path], tmp_path: Path) -> None:
    folder = fresh(copied, "odours", tmp_path)
    trap = "open('sprung', 'w').close()\nraise SystemExit\n"
    (folder / "odours/trap.py").write_text(trap, encoding="utf-8")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    readiness(folder)
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert before == after


ODD = '''"""What is seldom."""
import datajoint as d
from datajoint import ERD, Manual
from datajoint.fetch import key
from .colony import *

one = d.Schema("lab_one")
two = d.Schema("lab_two")
d.config["database.password"] = "hunter2-of-the-lab"
d.config["fetch_format"] = "frame"
with d.config(safemode=False):
    pass
d.config.save_local()
lab = d.create_virtual_module("lab", "lab")


@one
class A(Manual):
    definition = """
    a : int(11)  # not : a type
    # b : longblob
    ---
    c="x # y" : varchar(8)
    d : bigint unsigned
    e=null : decimal
    f : mediumtext
    g : year
    h : boolean
    i : filepath@raw
    unique index(c)
    """

    def size(self):
        return A().aggr(d.U("a").aggr(A, n="count(*)"), keep_all_rows=True)


@one
class B(Manual):
    definition = f"""
    {A} : int
    """


table = A._update("c", 1)
A().external["raw"]
one_schema = A.fetch("c", download_path=".", as_dict=True)
'''


def test_rules_that_are_seldom_met(copied: dict[str, Path], tmp_path: Path) -> None:
    folder = fresh(copied, "odours", tmp_path)
    (folder / "odours/odd.py").write_text(ODD, encoding="utf-8")
    (folder / "odours/broken.py").write_text("def (:\n", encoding="utf-8")
    (folder / "odours/manage.py").write_text("", encoding="utf-8")
    rows = found(folder)
    odd = {(row["line"], row["rule"]) for row in rows if row["path"] == "odours/odd.py"}
    assert odd >= {
        *{(3, "renamed-name"), (4, "legacy-import"), (5, "star-import"), (7, "dj-schema"), (8, "several-schemas")},
        *{(9, "secret-in-code"), (10, "config-key"), (11, "config-method"), (13, "removed-method")},
        *{(14, "renamed-name"), (20, "integer-type"), (24, "integer-type"), (25, "decimal-type"), (26, "text-type")},
        *{(27, "year-type"), (28, "bool-type"), (29, "stored-type"), (34, "removed-argument")},
        *{(39, "computed-definition"), (44, "removed-method"), (46, "fetch"), (46, "removed-argument")},
    }
    assert not {line for line, _ in odd} & {21, 23}  # a comment, and a type that is what it should be
    assert not any(row["line"] == 34 and row["rule"] == "aggr-rows" for row in rows if row["path"] == "odours/odd.py")
    assert {(row["path"], row["rule"]) for row in rows} >= {
        ("odours/broken.py", "not-python"),
        ("odours/manage.py", "taken-name"),
    }
    password = next(row for row in rows if row["rule"] == "secret-in-code")
    assert "hunter2" not in json.dumps(password)


def test_every_rule_is_explained(copied: dict[str, Path]) -> None:
    page = (copied["odours"] / "docs" / "adopting.md").read_text(encoding="utf-8")
    table = re.search(r"^\| rule \|.*\n\|.*\n((?:\|.*\n)+)", page, re.MULTILINE)
    assert table is not None
    explained = set(re.findall(r"^\| `([\w-]+)` \|", table[1], re.MULTILINE))
    listed = list(GROUP_OF)
    assert explained == set(listed)
    code = "".join(path.read_text() for path in PARTS if path.name != "findings.py")
    assert [rule for rule in listed if f'"{rule}"' not in code] == []


def test_its_types_are_sound(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--python-version=3.10", f"--cache-dir={tmp_path}", *PARTS]
    checked = subprocess.run(command, cwd=ROOT / "src", capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    for command in (["format", "--diff", "--quiet"], ["check", "--no-cache"]):
        clean = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *PARTS], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert clean.returncode == 0, clean.stdout


# --- Converting ----------------------------------------------------------------------------------------------------------


def test_conversion_writes_what_can_be_derived_and_no_more(copied: dict[str, Path], tmp_path: Path) -> None:
    folder = fresh(copied, "odours", tmp_path)
    done = readiness(folder, "--convert", "--write")
    assert done.returncode == 0, done.stderr
    wrote = re.findall(r"^wrote (.*)$", done.stdout, re.MULTILINE)
    assert wrote == [
        "datajoint.json",
        *(f".secrets/{name}" for name in ("database.user", "database.password")),
        *(f".secrets/stores.raw.{name}" for name in ("access_key", "secret_key")),
        "src/odours/version.py",
    ]
    for path, text in pipelines.LEGACY.items():
        assert (folder / path).read_text(encoding="utf-8") == text, path
    config = json.loads((folder / "datajoint.json").read_text())
    assert config["database"] == {
        "backend": "mysql", "host": "db.example.org", "port": 3307, "create_tables": False
    }  # fmt: skip
    assert config["stores"] == {
        "default": "raw",
        "raw": {"protocol": "s3", "endpoint": "s3.example.org:9000", "bucket": "lab", "location": "odour/raw"},
    }
    assert "hunter2" not in (folder / "datajoint.json").read_text() and "hunter2" not in done.stdout
    assert (folder / ".secrets/database.password").read_text() == "hunter2-of-the-lab\n"
    assert stat.S_IMODE((folder / ".secrets").stat().st_mode) == 0o700
    for name in ("database.user", "database.password", "stores.raw.secret_key"):
        assert stat.S_IMODE((folder / ".secrets" / name).stat().st_mode) == 0o600
    assert "password" not in git(folder, "status", "--porcelain", "--untracked-files=all")
    assert 'prefix="odour_"' in done.stdout and "custom.root_data_dir" in done.stdout
    assert "in the history of git" in done.stdout
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts}
    again = readiness(folder, "--convert", "--write")
    assert "wrote" not in again.stdout
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts}
    assert {k: v for k, v in after.items() if k.suffix != ".pyc"} == {
        k: v for k, v in before.items() if k.suffix != ".pyc"
    }


def test_a_committed_password_is_said_until_git_leaves_the_file_alone(copied: dict[str, Path], tmp_path: Path) -> None:
    folder = fresh(copied, "odours", tmp_path)
    rows = {row["rule"]: row["note"] for row in found(folder)}
    assert rows["secret-committed"] is False and rows["legacy-file"] is True
    git(folder, "rm", "--quiet", "--cached", "dj_local_conf.json")
    assert {row["rule"]: row["note"] for row in found(folder)}["secret-committed"] is True
    assert (folder / "dj_local_conf.json").is_file()


def test_conversion_overwrites_nothing_that_is_otherwise(copied: dict[str, Path], tmp_path: Path) -> None:
    folder = fresh(copied, "odours", tmp_path)
    (folder / ".secrets/database.password").write_text("another\n")
    (folder / ".gitignore").write_text("*.tmp\n")
    config = json.loads((folder / "datajoint.json").read_text())
    config["database"]["host"] = "other.example.org"
    (folder / "datajoint.json").write_text(json.dumps(config))
    done = readiness(folder, "--convert", "--write").stdout
    assert (folder / ".secrets/database.password").read_text() == "another\n"
    assert json.loads((folder / "datajoint.json").read_text())["database"]["host"] == "other.example.org"
    assert "left: .secrets/database.password holds another value" in done and "other.example.org" in done
    assert "database.user" not in git(folder, "status", "--porcelain", "--untracked-files=all")


def test_what_datajoint_reads_is_what_was_converted(copied: dict[str, Path], tmp_path: Path) -> None:
    folder = fresh(copied, "odours", tmp_path)
    readiness(folder, "--convert", "--write")
    code = (
        "import datajoint as dj, json; c = dj.config; spec = c.get_store_spec(); "
        "print(json.dumps([c['database.host'], c['database.port'], c['database.user'], c['database.password'], "
        "c['display.limit'], c['loglevel'], spec['bucket'], spec['access_key'], spec['secret_key']]))"
    )
    told = Project(folder, "odours").python("-c", code)
    assert told.code == 0, told.err
    assert json.loads(told.out.splitlines()[-1]) == [
        *("db.example.org", 3307, "anna", "hunter2-of-the-lab", 20, "WARNING", "lab", "lab-key", "lab-secret")
    ]


@pytest.mark.parametrize(
    ("text", "why"), [("{", "cannot be read"), ("[]", "no JSON object"), ('{"database.host": \xff}', "cannot be read")]
)
def test_broken_configuration_is_said_in_three_lines(
    copied: dict[str, Path], tmp_path: Path, text: str, why: str
) -> None:
    folder = fresh(copied, "odours", tmp_path)
    (folder / "dj_local_conf.json").write_bytes(text.encode("latin-1"))
    for arguments in ((), ("--convert",), ("--json",)):
        done = readiness(folder, *arguments)
        assert done.returncode == 1 and why in done.stderr and not done.stdout
        assert len(done.stderr.strip().splitlines()) == 3 and "Traceback" not in done.stderr


def test_usage(copied: dict[str, Path]) -> None:
    assert readiness(copied["odours"], "--nonsense").returncode == 2
    missing = readiness(copied["odours"], "nowhere")
    assert missing.returncode == 2 and "There is no nowhere." in missing.stderr
