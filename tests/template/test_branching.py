"""`docs/branching.md` is played, block by block, in a repository and on a server: what it shows is what happens."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Project, Server, git

PROGRAM = "uv run my-pipeline "


def databases(server: Server) -> set[str]:
    names = {name for (name,) in server.execute("SELECT schema_name FROM information_schema.schemata")}
    return {name for name in names if re.fullmatch(r"(dev_.*)?(subject|session|ephys|imaging|analysis)", name)}


@pytest.fixture
def lab(server: Server, tmp_path: Path, render: Callable[..., Path]) -> Iterator[Project]:
    """The project as it is generated for a server, in a repository; dev and prod have its tables."""
    answers = {"backend": server.backend, "database_host": "db.example.org", "ci": "none"}
    own = Project(render(tmp_path / "my_pipeline", **answers))
    own.environment |= server.variables
    git(own.folder, "init", "--quiet", "--initial-branch=main")
    server.drop(*databases(server))
    for name in ("dev", "prod"):
        assert own.run("--env", name, "init").code == 0
    git(own.folder, "add", "--all")
    git(own.folder, "commit", "--quiet", "--message=Start")
    yield own
    server.drop(*databases(server))


def blocks(page: str) -> Iterator[tuple[str, str, str]]:
    """The language and the text of each block, and the table that the page named last."""
    table = ""
    for prose, language, text in re.findall(r"(.*?)```(\w+)\n(.*?)```", page, re.DOTALL):
        named = re.findall(r"In `ephys.py`,\s+`(\w+)`", prose)
        table = named[-1] if named else table
        yield language, text, table


def edit(own: Project, table: str, line: str) -> None:
    """Add a line to the end of a table's definition."""
    text = own.read("src/my_pipeline/ephys.py")
    found = re.search(rf"class {table}\(.*?definition = \"\"\".*?\n(?=\s*\"\"\")", text, re.DOTALL)
    assert found, table
    own.write("src/my_pipeline/ephys.py", text[: found.end()] + line + text[found.end() :])


def steps(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a block, and what it is to answer."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, answer = part.partition("\n")
        yield command, answer.splitlines()


def answer(own: Project, command: str) -> str:
    """Run a command; what it says."""
    if command.startswith(PROGRAM):
        done = own.run(*shlex.split(command.removeprefix(PROGRAM)))
        assert done.code in (0, 3) or "status" in command, f"{command}\n{done.out}\n{done.err}"
        return done.out.replace("python -m my_pipeline", "uv run my-pipeline")
    who = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false"]
    said = ""
    for one in command.split(" && "):
        words = shlex.split(one)
        ran = subprocess.run(["git", *who, *words[1:]], cwd=own.folder, capture_output=True, text=True)
        assert ran.returncode == 0 or "CONFLICT" in ran.stdout, f"{one}\n{ran.stdout}\n{ran.stderr}"
        said += ran.stdout
    return said


def matches(expected: str, said: str) -> bool:
    """Whether a line is as the page shows it; `…` stands for anything, and columns are as wide as what is in them."""
    plain = [" ".join(text.split()) for text in (expected, said)]
    return bool(re.fullmatch(re.escape(plain[0]).replace("…", ".*"), plain[1]))


def test_the_page_is_what_happens(lab: Project) -> None:
    page = lab.read("docs/branching.md")
    answered = 0
    for language, text, table in blocks(page):
        if language == "python":
            edit(lab, table, text)
            continue
        for command, expected in steps(text):
            said = answer(lab, command).splitlines()
            print("$", command, *said, sep="\n")
            position = 0
            for line in expected:
                if line == "…":
                    continue
                found = next((n for n, one in enumerate(said[position:], position) if matches(line, one)), None)
                assert found is not None, f"$ {command}\n{line!r} is not in\n" + "\n".join(said[position:])
                position, answered = found + 1, answered + 1
    assert answered > 10
    for name in ("dev", "prod"):
        found = lab.run("--env", name, "status", "--json").json["schemas"]
        assert {(s["state"], s["database_version"]) for s in found if s["name"] == "ephys"} == {("current", "1.2.1")}
