"""Template migrations: the runner, what a migration can do to a project, and how a user gets back where one fails.

The template here is a small one with the real ``hooks/``; tests/test_update.py has the real releases.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import copier
import pytest
import yaml
from conftest import ROOT, git
from copying import copier_command
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

COPIER_YML = """
_subdirectory: template
_answers_file: .copier-answers.yml
_migrations:
  - version: v2.0.0
    when: "{{ true }}"
    command: ["{{ _copier_python }}", "{{ _copier_conf.src_path }}/hooks/run.py", v2.0.0]
  - version: v3.0.0
    when: "{{ true }}"
    command: ["{{ _copier_python }}", "{{ _copier_conf.src_path }}/hooks/run.py", v3.0.0]
name: {type: str, default: lab}
"""

LINES = "".join(f"line {number}\n" for number in range(20))


class Template:
    """A template with one release after another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "hooks", folder / "hooks", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "copier.yml").write_text(COPIER_YML, encoding="utf-8")
        self.write("{{ _copier_conf.answers_file }}.jinja", "{{ _copier_answers | to_nice_yaml }}")
        self.write("name.txt.jinja", "{{ name }}\n")
        self.write("old.txt", LINES)
        self.write("spare.txt", "spare\n")
        git(folder, "init", "--quiet")
        self.release("v1.0.0")

    def write(self, path: str, text: str | None) -> None:
        place = self.folder / "template" / path
        if text is None:
            place.unlink()
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")

    def migration(self, version: str, text: str) -> None:
        (self.folder / "migrations").mkdir(exist_ok=True)
        path = self.folder / "migrations" / f"{version.replace('.', '_')}.py"
        path.write_text(f'"""What {version} does."""\n\n{text}', encoding="utf-8")

    def release(self, version: str) -> None:
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", "--allow-empty", f"--message={version}")
        git(self.folder, "tag", "--force", version)

    def project(self, folder: Path, subfolder: str = ".") -> Path:
        own = folder / subfolder
        copier.run_copy(str(self.folder), own, defaults=True, quiet=True, vcs_ref="v1.0.0")
        git(folder, "init", "--quiet")
        save(folder)
        return own


def save(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message=Mine")


def update(folder: Path, *arguments: str, trust: bool = True) -> subprocess.CompletedProcess[str]:
    return copier_command(folder, "update", "--defaults", *["--trust"] * trust, *arguments)


@pytest.fixture
def template(tmp_path: Path) -> Template:
    return Template(tmp_path / "template")


MOVED = 'MOVES = {"old.txt": "rooms/new.txt"}\n'


@pytest.fixture
def moved(template: Template) -> Template:
    """A template whose second release calls a file otherwise, and changes it."""
    template.write("old.txt", None)
    template.write("rooms/new.txt", LINES.replace("line 15\n", "line fifteen\n"))
    template.migration("v2.0.0", MOVED)
    template.release("v2.0.0")
    return template


def test_edits_go_along_with_a_file_that_is_called_otherwise(moved: Template, tmp_path: Path) -> None:
    folder = moved.project(tmp_path / "project")
    (folder / "old.txt").write_text(LINES.replace("line 2\n", "line two, mine\n"), encoding="utf-8")
    save(folder)
    done = update(folder)
    assert done.returncode == 0, done.stderr
    assert "What v2.0.0 does." in done.stderr
    text = (folder / "rooms/new.txt").read_text(encoding="utf-8")
    assert text == LINES.replace("line 2\n", "line two, mine\n").replace("line 15\n", "line fifteen\n")
    assert not (folder / "old.txt").exists()
    assert git(folder, "ls-files", "--unmerged") == ""


def test_what_meets_is_a_conflict_in_plain_sight(moved: Template, tmp_path: Path) -> None:
    folder = moved.project(tmp_path / "repository", "deep/project")
    (folder / "old.txt").write_text(LINES.replace("line 15\n", "line 15, mine\n"), encoding="utf-8")
    save(folder)
    done = update(folder)
    assert done.returncode == 0, done.stderr
    assert "a conflict" in done.stderr
    assert git(folder, "status", "--porcelain", "rooms/new.txt").startswith("UU deep/project/rooms/new.txt")
    text = (folder / "rooms/new.txt").read_text(encoding="utf-8")
    assert "<<<<<<< before updating\nline 15, mine\n" in text and "line fifteen\n>>>>>>> after updating" in text


def test_deleted_file_stays_deleted_under_its_new_name(moved: Template, tmp_path: Path) -> None:
    folder = moved.project(tmp_path / "project")
    (folder / "old.txt").unlink()
    save(folder)
    assert update(folder).returncode == 0
    assert not (folder / "rooms/new.txt").exists() and not (folder / "old.txt").exists()


def test_file_moved_by_two_releases_is_followed_to_its_end(moved: Template, tmp_path: Path) -> None:
    moved.write("rooms/new.txt", None)
    moved.write("last.txt", LINES)
    moved.migration("v3.0.0", 'MOVES = {"rooms/new.txt": "last.txt"}\n')
    moved.release("v3.0.0")
    folder = moved.project(tmp_path / "project")
    (folder / "old.txt").write_text(LINES + "mine\n", encoding="utf-8")
    save(folder)
    done = update(folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "last.txt").read_text(encoding="utf-8") == LINES + "mine\n"
    assert not (folder / "old.txt").exists() and not (folder / "rooms/new.txt").exists()


def test_answer_is_restructured_before_the_new_template_is_rendered(template: Template, tmp_path: Path) -> None:
    yml = template.folder / "copier.yml"
    yml.write_text(COPIER_YML.replace("name: {type: str, default: lab}", "title: {type: str}"), encoding="utf-8")
    template.write("name.txt.jinja", "{{ title }}\n")
    template.migration(
        "v2.0.0",
        "def before(project):\n"
        '    if "name" in project.answers:\n'
        '        project.set_answer("title", project.answers["name"].title())\n'
        '        project.remove_answer("name")\n',
    )
    template.release("v2.0.0")
    folder = template.project(tmp_path / "project")
    done = update(folder)
    assert done.returncode == 0, done.stderr
    answers = yaml.safe_load((folder / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert answers["title"] == "Lab" and "name" not in answers and answers["_commit"] == "v2.0.0"
    assert (folder / "name.txt").read_text(encoding="utf-8") == "Lab\n"


def test_file_that_was_edited_is_not_deleted(template: Template, tmp_path: Path) -> None:
    template.migration(
        "v2.0.0",
        "def before(project):\n    project.delete('spare.txt')\n    project.delete('old.txt')\n"
        "    project.write('name.txt', project.read('name.txt') + 'more\\n')\n",
    )
    template.release("v2.0.0")
    folder = template.project(tmp_path / "project")
    (folder / "spare.txt").write_text("mine\n", encoding="utf-8")
    save(folder)
    done = update(folder)
    assert done.returncode == 0, done.stderr
    assert "spare.txt is not needed any longer. It was edited" in done.stderr
    assert (folder / "spare.txt").read_text(encoding="utf-8") == "mine\n"
    assert not (folder / "old.txt").exists()
    assert (folder / "name.txt").read_text(encoding="utf-8") == "lab\nmore\n"


FOLDER = """
def before(project):
    edits = project.edits("code")
    project.note(str(sorted(edits.files.items())))
    if edits.patch:
        project.write("code.patch", edits.patch)
    project.drop("code")
    project.drop("old.txt")
    project.write("name.txt", "lab, mine\\n")


def after(project):
    project.note(f"kept: {project.keep('old.txt')}")
    project.prune("code")
"""


@pytest.fixture
def without_folder(template: Template) -> Template:
    """A template whose second release has no longer a folder and a file that the first had."""
    for name in ("a", "b", "c"):
        template.write(f"code/{name}.txt", LINES)
    template.release("v1.0.0")
    for path in ("code/a.txt", "code/b.txt", "code/c.txt", "old.txt"):
        template.write(path, None)
    template.migration("v2.0.0", FOLDER)
    template.release("v2.0.0")
    return template


def test_folder_goes_and_what_people_did_to_it_is_a_patch(without_folder: Template, tmp_path: Path) -> None:
    folder = without_folder.project(tmp_path / "repository", "deep/project")
    (folder / "code/a.txt").write_bytes(LINES.replace("line 2\n", "grün\r\n").encode("latin-1"))
    (folder / "code/b.txt").unlink()
    (folder / "code/mine ä.bin").write_bytes(bytes(range(256)))
    (folder / "old.txt").write_text("mine\n", encoding="utf-8")
    save(folder)
    (folder / "code/__pycache__").mkdir()
    before = {path.name: path.read_bytes() for path in (folder / "code").glob("*.*")}
    done = update(folder)
    assert done.returncode == 0, done.stderr
    assert "[('code/a.txt', 'M'), ('code/b.txt', 'D'), ('code/mine ä.bin', 'A')]" in done.stderr
    assert "kept: True" in done.stderr and (folder / "old.txt").read_text(encoding="utf-8") == "mine\n"
    assert [path.name for path in (folder / "code").iterdir()] == ["mine ä.bin"]
    assert (folder / "name.txt").read_text(encoding="utf-8") == "lab, mine\n"
    assert git(folder, "diff", "--cached", "--name-only") == "", "all of the update is in `git diff`"
    patch = shutil.move(folder / "code.patch", tmp_path)
    git(folder, "reset", "--quiet", "--hard", "HEAD")
    shutil.rmtree(folder / "code")
    copier.run_copy(str(without_folder.folder), folder, defaults=True, quiet=True, overwrite=True, vcs_ref="v1.0.0")
    git(folder, "apply", "--whitespace=nowarn", patch)
    assert {path.name: path.read_bytes() for path in (folder / "code").glob("*.*")} == before


def test_folder_that_nobody_edited_leaves_nothing(without_folder: Template, tmp_path: Path) -> None:
    folder = without_folder.project(tmp_path / "project")
    done = update(folder)
    assert done.returncode == 0 and "v2.0.0: []" in done.stderr and "kept: False" in done.stderr, done.stderr
    assert not (folder / "code").exists() and not (folder / "old.txt").exists()
    assert not (folder / "code.patch").exists()


def test_answers_may_be_in_a_file_of_another_name(template: Template, tmp_path: Path) -> None:
    """As they are beside the answers of another template."""
    yml = template.folder / "copier.yml"
    named = COPIER_YML.replace("v2.0.0]", 'v2.0.0, "{{ _copier_conf.answers_file }}"]')
    yml.write_text(named, encoding="utf-8")
    template.migration("v2.0.0", "def before(project):\n    project.set_answer('name', 'other')\n")
    template.release("v2.0.0")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / ".copier-answers.yml").write_text("_src_path: elsewhere\n", encoding="utf-8")
    name = ".copier-answers.ours.yml"
    copier.run_copy(str(template.folder), folder, defaults=True, quiet=True, vcs_ref="v1.0.0", answers_file=name)
    git(folder, "init", "--quiet")
    save(folder)
    done = update(folder, f"--answers-file={name}")
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load((folder / name).read_text(encoding="utf-8"))["name"] == "other"
    assert (folder / ".copier-answers.yml").read_text(encoding="utf-8") == "_src_path: elsewhere\n"


@pytest.mark.sampled
@pytest.mark.parametrize("stage", ["before", "after"])
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("project.write('name.txt', 'half')\n    raise RuntimeError('no luck')", "RuntimeError: no luck"),
        ("project.write('name.txt', 'half')\n    project.read('absent.txt')", "The project has no file absent.txt."),
        ("project.write('../outside.txt', 'x')", "../outside.txt does not lie in the project."),
        ("project.write('/tmp/outside.txt', 'x')", "/tmp/outside.txt does not lie in the project."),
        ("project.write('linked/x.txt', 'x')", "linked/x.txt does not lie in the project."),
        ("project.edit('name.txt', __import__('edits').json_set, ('a',), 1)", "name.txt cannot be edited."),
    ],
)
def test_failure_changes_nothing_and_says_how_to_get_back(
    template: Template, tmp_path: Path, stage: str, body: str, said: str
) -> None:
    template.write("name.txt.jinja", "{{ name }}, new\n")
    template.migration("v2.0.0", f"def {stage}(project):\n    {body}\n")
    template.release("v2.0.0")
    folder = template.project(tmp_path / "project")
    (tmp_path / "elsewhere").mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    save(folder)
    (folder / ".git/info/exclude").write_text("*.password\n", encoding="utf-8")
    (folder / "my.password").write_text("hush\n", encoding="utf-8")
    done = update(folder)
    assert done.returncode == 1
    assert said in done.stderr and "Traceback" not in done.stderr.partition("Error: ")[0]
    assert yaml.safe_load((folder / ".copier-answers.yml").read_text())["_commit"] == "v1.0.0"
    if stage == "before":
        assert git(folder, "status", "--porcelain") == ""
    for command in re.findall(r"^    (git .*)$", done.stderr, re.MULTILINE):
        git(folder, *command.split()[1:])
    assert git(folder, "status", "--porcelain") == ""
    assert (folder / "name.txt").read_text(encoding="utf-8") == "lab\n"
    assert (folder / "my.password").read_text(encoding="utf-8") == "hush\n"
    assert not list((tmp_path / "elsewhere").iterdir()) and not (tmp_path / "outside.txt").exists()
    template.migration("v2.0.0", "def after(project):\n    project.note('now it works')\n")
    template.release("v2.0.0")
    again = update(folder)
    assert again.returncode == 0 and "v2.0.0: now it works" in again.stderr, again.stderr
    assert (folder / "name.txt").read_text(encoding="utf-8") == "lab, new\n"


@pytest.mark.parametrize("code", [0, 1])
def test_template_of_before_is_rendered_once_and_not_kept(template: Template, tmp_path: Path, code: int) -> None:
    stage = "def {}(project):\n    project.note(f'It is in {{project._rendered}}.')\n"
    template.migration("v2.0.0", stage.format("before") + stage.format("after"))
    template.migration("v3.0.0", stage.format("before") + stage.format("after") + "    raise OSError\n" * code)
    template.release("v2.0.0")
    template.release("v3.0.0")
    folder = template.project(tmp_path / "project")
    left = folder / ".git/copier-datajoint/1/0123456789abcdef"
    left.mkdir(parents=True)
    (left / "name.txt").write_text("of an update that was killed\n", encoding="utf-8")
    done = update(folder)
    assert done.returncode == code, done.stderr
    places = re.findall(r"It is in (.*)\.$", done.stderr, re.MULTILINE)
    assert len(places) == 4 - code and len(set(places)) == 1
    assert not (folder / ".git/copier-datajoint").exists()


def test_update_is_taken_up_also_by_who_does_not_go_back(moved: Template, tmp_path: Path) -> None:
    moved.migration("v2.0.0", MOVED + "def after(project):\n    raise RuntimeError('no luck')\n")
    moved.release("v2.0.0")
    folder = moved.project(tmp_path / "project")
    (folder / "old.txt").write_text(LINES + "mine\n", encoding="utf-8")
    save(folder)
    assert update(folder).returncode == 1
    git(folder, "checkout", "HEAD", "--", "old.txt")
    save(folder)
    moved.migration("v2.0.0", MOVED)
    moved.release("v2.0.0")
    done = update(folder)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load((folder / ".copier-answers.yml").read_text())["_commit"] == "v2.0.0"


def test_trust_is_asked_for_across_a_migration_only(moved: Template, tmp_path: Path) -> None:
    copied = copier_command(tmp_path, "copy", "--defaults", str(moved.folder), str(tmp_path / "copy"))
    assert copied.returncode == 0, copied.stderr
    folder = moved.project(tmp_path / "project")
    assert update(folder, trust=False).returncode == 4
    assert git(folder, "status", "--porcelain") == ""
    assert update(folder).returncode == 0
    save(folder)
    moved.write("name.txt.jinja", "{{ name }} again\n")
    moved.release("v2.1.0")
    assert update(folder, trust=False).returncode == 0
    assert (folder / "name.txt").read_text(encoding="utf-8") == "lab again\n"


# --- The files -----------------------------------------------------------------------------------------------------


def entries() -> list[dict[str, object]]:
    return yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8")).get("_migrations", [])


def test_files_and_entries_agree() -> None:
    files = sorted((path.stem.replace("_", ".") for path in (ROOT / "migrations").glob("v*.py")), key=Version)
    listed = [entry["version"] for entry in entries()]
    assert listed == files
    for entry in entries():
        assert entry["command"] == [
            "{{ _copier_python }}",
            "{{ _copier_conf.src_path }}/hooks/run.py",
            entry["version"],
            "{{ _copier_conf.answers_file }}",
        ]
        assert entry["when"] == "{{ true }}"


@pytest.mark.parametrize("path", sorted((ROOT / "migrations").glob("v*.py")), ids=lambda path: path.stem)
def test_migration_is_of_a_release_and_says_what_it_does(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.match(r'"""\S', text), "a docstring, which the user is shown"
    assert re.search(r"^(MOVES\b.*=|def (before|after)\(project: Project\))", text, re.MULTILINE)
    version = path.stem.replace("_", ".")
    assert f"## [{version[1:]}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), "the release tells of it"


# --- Edits in place ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def edits() -> ModuleType:
    spec = importlib.util.spec_from_file_location("edits", ROOT / "hooks" / "edits.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOML = '''# top
a = 1 # one
"b c" = """x
# no comment ] """

[tool.ruff]  # head
line-length = 120  # wide
select = [
    "E", # errors
    "F",  # more
]
inline = {x = 1, y = ['[', 2]}

[[list]]
n = 1
[[list]]
n = 2
'''

JSON = '{\n  "a": 1,\n  "b": {\n    "c": [1, {"}": 2}], "d": null\n  },\n  "e": {}\n}\n'

YAML = """# head
a: 1  # one
b:
    # inner
    c: [1, 2]
    d: |
      text
    # after
# before e
e:
- x: 1
- y: 2
"f: g": "q: r"
"""

PATHS = {
    "toml": [("a",), ("new",), ("b c",), ("tool", "ruff", "line-length"), ("tool", "ruff", "x"), ("tool", "mypy", "y")],
    "json": [("a",), ("new",), ("b", "c"), ("b", "d"), ("b", "new"), ("b",), ("e", "f", "g")],
    "yaml": [("a",), ("new",), ("b", "c"), ("b", "d"), ("b", "new"), ("e",), ("f: g",), ("n", "m")],
}

READ: dict[str, tuple[str, Callable[[str], object]]] = {
    "toml": (TOML, tomllib.loads),
    "json": (JSON, json.loads),
    "yaml": (YAML, yaml.safe_load),
}


def value_at(document: object, path: tuple[str, ...]) -> object:
    for key in path:
        if not isinstance(document, dict) or key not in document:
            return KeyError
        document = document[key]
    return document


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind, paths in PATHS.items() for path in paths])
@pytest.mark.parametrize("value", ["x: \"y'", 2, True, ["a", 1], "ä\nö"], ids=repr)
def test_one_value_is_changed_and_nothing_else(
    edits: ModuleType, kind: str, path: tuple[str, ...], value: object
) -> None:
    text, read = READ[kind]
    changed = getattr(edits, f"{kind}_set")(text, path, value)
    document = read(changed)
    assert value_at(document, path) == value
    assert getattr(edits, f"{kind}_set")(changed, path, value) == changed
    for other in PATHS[kind]:
        if other[: len(path)] != path and path[: len(other)] != other:
            assert value_at(document, other) == value_at(read(text), other)
    for comment in re.findall(r"# [a-z ]+", text if kind != "json" else ""):
        assert comment in changed or comment in ("# no comment ", "# inner", "# after"), (
            "what stood in the value itself"
        )
    removed = getattr(edits, f"{kind}_remove")(changed, path)
    assert value_at(read(removed), path) is KeyError
    assert getattr(edits, f"{kind}_remove")(removed, path) == removed
    if value_at(read(text), path) is KeyError and len(path) == 1:
        assert removed == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = []", [9]),
        ("a = [1, 2]  # x", [1, 2, 9]),
        ("a = [1, 2,]", [1, 2, 9]),
        ("a = [\n  1 # one\n]  # x", [1, 9]),
        ("a = [\n  1, # one\n]  # x", [1, 9]),
        ("a = [\n]", [9]),
        ("a = [1, 9]", [1, 9]),
        ("b = 1", [9]),
    ],
)
def test_item_is_added_to_a_list(edits: ModuleType, text: str, expected: list[int]) -> None:
    changed = edits.toml_append(text, ("a",), 9)
    assert tomllib.loads(changed)["a"] == expected
    assert all(comment in changed for comment in re.findall(r"# \w+", text))


@pytest.mark.parametrize(
    ("name", "text"),
    [("toml_set", 'a = "x'), ("toml_set", "a = [1"), ("toml_set", "a"), ("json_set", "{"), ("yaml_set", "a: [")],
)
def test_text_that_cannot_be_read_is_refused(edits: ModuleType, name: str, text: str) -> None:
    with pytest.raises(ValueError):
        getattr(edits, name)(text, ("b",), 1)
