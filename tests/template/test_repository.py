"""The repository itself: its top level, its own Python, its history of releases."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from conftest import ROOT, git

TOP_LEVEL = {
    "copier.yml", "template", "hooks", "migrations", "src", "tests", "benchmarks", "docs", "README.md", "CHANGELOG.md",
    "CONTRIBUTING.md", "LICENSE", "pyproject.toml", "uv.lock", ".ci", ".github", ".gitignore",
}  # fmt: skip


def test_top_level_holds_what_it_should() -> None:
    found = {path.split("/")[0] for path in git(ROOT, "ls-files").split("\n") if path}
    assert found <= TOP_LEVEL


def test_own_python_is_clean() -> None:
    for command in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        found = subprocess.run(
            [sys.executable, "-m", "ruff", *command], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stdout + found.stderr


def test_types_of_the_library_are_sound(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "mypy", f"--cache-dir={tmp_path}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_release_has_its_section_in_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for version in re.findall(r"^Release v(\S+)$", git(ROOT, "log", "--format=%s"), re.MULTILINE):
        assert re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d{{2}}-\d{{2}}$", changelog, re.MULTILINE), version


def test_names_that_are_taken_stand_in_both_places_alike() -> None:
    """copier.yml refuses them at the question, `add-schema` later; no file can be read by both."""
    question = (ROOT / "copier.yml").read_text(encoding="utf-8")
    scaffold = ROOT / "src" / "datajoint_pipeline" / "commands" / "add_schema.py"
    listed = re.search(r"^taken_schema_names:.*?default: (.*?)$", question, re.DOTALL | re.MULTILINE)
    code = re.search(r'_TAKEN = frozenset\(\s*"""(.*?)"""', scaffold.read_text(encoding="utf-8"), re.DOTALL)
    assert listed and code
    assert {name for text in re.findall("'(.*?)'", listed[1]) for name in text.split()} == set(code[1].split())


def test_the_template_asks_for_the_library_of_its_own_version() -> None:
    project = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    question = (ROOT / "copier.yml").read_text(encoding="utf-8")
    asked = re.search(r'^library_version:.*?default: "(.*?)"', question, re.DOTALL | re.MULTILINE)
    assert project and asked and project[1] == asked[1]


def test_every_file_that_the_docs_name_is_there() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        text = page.read_text(encoding="utf-8")
        for path in re.findall(r"`((?:tests|benchmarks|template|src/datajoint_pipeline)/[\w./-]+)", text):
            assert (ROOT / path).exists(), f"{page.name}: {path}"
        for link in re.findall(r"(?:\]\(|src=\")(?!https?:)([^)#\"]+)", text):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_page_of_figures_says_what_each_benchmark_is_for() -> None:
    page = (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")
    assert not [path.name for path in (ROOT / "benchmarks").glob("*.py") if path.name not in page]


def test_the_readme_shows_a_terminal_a_page_and_a_diagram() -> None:
    """`uv run benchmarks/picture.py` draws them: small files, and the SVGs without anything from the network."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    drawn = set(re.findall(r'"([\w]+\.(?:svg|png))"', (ROOT / "benchmarks" / "picture.py").read_text(encoding="utf-8")))
    assert drawn == {"terminal.svg", "page.png", "diagram.svg"}
    for name in drawn:
        picture = ROOT / ".github" / name
        assert f".github/{name}" in readme and picture.stat().st_size < 100_000
        if picture.suffix == ".svg":
            assert not re.search(r"(?:href|src)=\"http|@import|url\(http", picture.read_text(encoding="utf-8"))
    alts = re.findall(r'<img [^>]*alt="([^"]+)"', readme) + re.findall(r"!\[([^\]]+)\]", readme)
    assert len(alts) == len(drawn), "whoever cannot see a picture reads what it shows"


def test_the_reference_says_what_docstrings_say() -> None:
    """Run `uv run docs/make_reference.py` after a docstring has changed."""
    script, page = ROOT / "docs" / "make_reference.py", ROOT / "docs" / "reference.md"
    before = page.read_text(encoding="utf-8")
    found = subprocess.run(
        [sys.executable, "-c", f"import runpy; print(runpy.run_path({str(script)!r})['text'](), end='')"],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert found.stdout == before
