"""Pages whose commands are run: blocks of edits, and blocks of commands with what they show.

A block ``diff title="FILE"`` changes a file of the project: lines with ``-`` become those with ``+``; with nothing but
``+`` they come at its end. A block ``console`` holds commands after ``$``, each with its output.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from conftest import Project, git

#: The moment that is shown instead of any other in the name of a backup.
_MOMENT = "20270301T091500.000000Z"
#: The day that is shown for the one on which something was dropped.
_DAY = "2027-03-01"

_BLOCK = re.compile(r'^```(?P<kind>diff title="(?P<path>[^"]+)"|console)\n(?P<body>.*?)^```$', re.DOTALL | re.MULTILINE)


def sections(page: Path) -> dict[str, str]:
    """The parts of a page that begin with ``##``, by their titles."""
    parts = re.split(r"^(?=## )", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0].removeprefix("## "): part for part in parts}


def commands(page: Path, title: str) -> list[str]:
    """The blocks of commands below a title of any level, as a person copies them: indented, or after ``console``.

    What is typed into Python stands after ``>>>`` and is not among them.
    """
    _, found, below = page.read_text(encoding="utf-8").partition(f"# {title}\n")
    assert found, f"{page.name} has no {title}"
    below = "\n" + re.split(r"^#+ ", below, maxsplit=1, flags=re.MULTILINE)[0]
    blocks = re.findall(r"(?<=\n\n)(?: {4}.*\n)+|^```console\n(?:.*\n)*?```", below, re.MULTILINE)
    lines = [[line.removeprefix("    ") for line in block.splitlines()] for block in blocks]
    return ["\n".join(line for line in block if line[:3] not in ("```", ">>>")) for block in lines]


def played(text: str, project: Project) -> str:
    """Do in a project what a section says; give the section with what its commands really show."""

    def play(block: re.Match[str]) -> str:
        if block["path"]:
            _edit(project.folder / block["path"], block["body"])
            return block[0]
        commands = re.findall(r"^\$ (.*(?:\\\n.*)*)", block["body"], re.MULTILINE)
        return "```console\n" + "".join(f"$ {command}\n{_shown(command, project)}" for command in commands) + "```"

    return _BLOCK.sub(play, text)


def _edit(path: Path, body: str) -> None:
    lines = body.splitlines()
    old = "".join(f"{line[1:]}\n" for line in lines if line[:1] in (" ", "-", ""))
    new = "".join(f"{line[1:]}\n" for line in lines if line[:1] in (" ", "+", ""))
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if old.strip():
        assert text.count(old) == 1, f"{path.name} has this {text.count(old)} times:\n{old}"
    path.write_text(text.replace(old, new) if old.strip() else text + new, encoding="utf-8")


def _shown(command: str, project: Project) -> str:
    words = shlex.split(command.replace("\\\n", " "))
    if words[0] == "git":
        return git(project.folder, *words[1:])
    assert words[:3] == ["uv", "run", "my-pipeline"], command
    result = project.run(*(_real(word, project.folder) for word in words[3:]))
    text = (result.err + result.out).replace("python -m my_pipeline", "uv run my-pipeline")
    text = re.sub(r"\b\d+\.\d+ s\b", "0.1 s", text)
    text = re.sub(r"dropped on [\d-]+", f"dropped on {_DAY}", text)
    text = re.sub(r"\d{8}T\d{6}\.\d{6}Z", _MOMENT, text)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def _real(word: str, folder: Path) -> str:
    """The name of a backup as it is here."""
    if _MOMENT not in word:
        return word
    (path,) = folder.glob(word.replace(_MOMENT, "*"))
    return path.relative_to(folder).as_posix()
