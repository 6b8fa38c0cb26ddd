"""Files of a project that are broken, unreadable or something else than they should be: three sentences each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Project
from living import in_words, lay, ok, put_back

MIGRATION = "src/my_pipeline/migrations/life/1.1.0_moods.py"
SNAPSHOT = "src/my_pipeline/migrations/life/snapshot.txt"
OLDEST = "src/my_pipeline/migrations/life/1.0.0.txt"
MODULE = "src/my_pipeline/life.py"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Iterator[Project]:
    """A project with one migration that is pending on ``local``."""
    own = Project(render(tmp_path_factory.mktemp("broken") / "my_pipeline"))
    lay(own)
    ok(own, "--env", "local", "init")
    own.replace(own.module("life"), "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    ok(own, "revise", "-m", "moods")
    own.write("backups/none.zip", "This is no backup.")
    yield own
    own.run("local", "stop")


LOOP, FOLDER = "a link to itself", "a folder"


def spoil(path: Path, content: bytes | str) -> None:
    path.unlink()
    if content == FOLDER:
        path.mkdir()
    elif content == LOOP:  # which the administrator cannot read either
        path.symlink_to(path.name)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content)


#: File, its content, what is said of it, and the commands that say it.
BROKEN = [
    (MIGRATION, b"# \xff\n", "UTF-8", "revise -m x|migrate"),
    (MIGRATION, "x = 1\x00\n", "is not Python", "migrate"),
    (MIGRATION, FOLDER, "life/1.1.0_moods.py cannot be opened", "revise -m x"),
    (MIGRATION, LOOP, "not a file of this package", "migrate"),
    (MIGRATION, "raise KeyError('x')\n", "Line 1: KeyError: 'x'", "migrate"),
    (MIGRATION, "operations = 5\n", "is not an operation", "migrate"),
    (MIGRATION, "follows = 5\noperations = []\n", "follows 5", "migrate"),
    (SNAPSHOT, b"version 1.1.0\n\xff", "UTF-8", "status|diff"),
    (SNAPSHOT, FOLDER, "life/snapshot.txt cannot be opened", "revise -m x"),
    (OLDEST, LOOP, "life/1.0.0.txt cannot be opened", "migrate"),
    (MODULE, b"# \xff\n", "life.py", "revise -m x"),
    (MODULE, FOLDER, "life.py cannot be opened", "revise -m x|check"),
    ("datajoint.json", "[1]", "datajoint.json", "status"),
    ("datajoint.json", '{"database": {"port": "abc"}}', "database.port", "status"),
    ("datajoint.json", '{"database": 5}', "database", "--env dev status"),
    ("datajoint.json", '{"stores": 5}', "stores", "status"),
    ("datajoint.json", FOLDER, "datajoint.json cannot be read", "status"),
]


@pytest.mark.parametrize(("file", "content", "said", "commands"), BROKEN)
def test_a_broken_file_is_three_sentences(
    lab: Project, file: str, content: bytes | str, said: str, commands: str
) -> None:
    path = lab.folder / file
    before = path.read_bytes()
    try:
        spoil(path, content)
        for command in commands.split("|"):
            environment = () if command.startswith(("revise", "check", "--env")) else ("--env", "local")
            result = lab.run(*environment, *command.split())
            assert result.code == 1 and in_words(result.err), (command, result)
            assert said in result.err, (command, result.err)
    finally:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        path.write_bytes(before)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("DJ_PORT", "abc"), ("DJ_BACKEND", "oracle"), ("DJ_STORES", "{"), ("DJ_CREATE_TABLES", "si")],
)
def test_a_wrong_variable_is_three_sentences(lab: Project, variable: str, value: str) -> None:
    result = lab.run("--env", "local", "status", **{variable: value})
    assert result.code == 1 and in_words(result.err) and variable in result.err, result


def test_what_is_no_backup_is_three_sentences(lab: Project) -> None:
    for file in ("backups/none.zip", "backups", "nothing.zip", MODULE):
        result = lab.run("--env", "local", "restore", file)
        assert result.code == 1 and in_words(result.err), (file, result)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('<<<<<<< main\nSCHEMA_VERSIONS = {"life": "1.0.0"}\n', "Line 1: invalid syntax"),
        ("raise KeyError('x')\n", "Line 1: KeyError: 'x'"),
        ("import nothing_of_this_name\n", "No module named 'nothing_of_this_name'"),
        ("SCHEMA_VERSIONS = 5\n__version__ = '1'\n", "SCHEMA_VERSIONS is not a dictionary"),
    ],
)
def test_versions_that_cannot_be_imported_are_three_sentences(lab: Project, text: str, said: str) -> None:
    """Though the package is imported before the command line is."""
    with put_back(lab.folder / "src"):
        lab.write(lab.module("version"), text)
        command = [sys.executable, "-m", "my_pipeline", "--env", "local", "status"]
        result = subprocess.run(
            command, cwd=lab.folder, env={**os.environ, **lab.variables()}, capture_output=True, text=True, check=False
        )
        assert result.returncode == 1 and in_words(result.stderr) and said in result.stderr, result
