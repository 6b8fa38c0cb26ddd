"""Text on a terminal is broken between words, whichever way it gets there; elsewhere its lines stay what they are."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Project
from living import lay, ok
from test_progress import on_terminal

from datajoint_pipeline import wrapping
from datajoint_pipeline.cli import console

LONG = "    more : varchar(12)  # which nobody knows\n"


class Terminal(io.StringIO):
    """A terminal, for what is written to it."""

    def isatty(self) -> bool:
        return True


def lines(written: str) -> list[str]:
    """What was written, line by line, as a terminal of any width would show it."""
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", written)
    return [line.split("\r")[-1].rstrip() for line in plain.replace("\r\n", "\n").split("\n") if line.strip()]


#: A command, and what it is answered when it has written that.
SAID = {
    ("--env", "nowhere", "status"): ("", ""),
    ("rollback", "life"): ("", ""),
    ("local", "destroy"): ("n", "[y/N]: "),
    ("secrets", "database.user"): (" ", "as it is): "),  # which leaves it
}


@pytest.mark.parametrize("command", SAID)
def test_no_word_is_broken_at_the_edge_of_a_terminal(default_folder: Path, command: tuple[str, ...]) -> None:
    """What is said is that of a wide one, and only a command is longer than a line."""
    answer, asked = SAID[command]
    project = Project(default_folder)
    wide, narrow = (
        lines(on_terminal(project, *command, answer=answer, asked=asked, columns=columns)) for columns in (1000, 40)
    )
    assert " ".join(" ".join(narrow).split()) == " ".join(" ".join(wide).split())
    assert not [line for line in narrow if len(line) > 40 and "python -m" not in line], narrow
    assert len(narrow) > len(wide)


def test_a_question_about_rows_is_broken_between_words_and_so_is_what_is_said_to_an_answer(project: Project) -> None:
    lay(project)
    ok(project, "revise", "-m", "first")
    project.replace(project.module("life"), "    grams : float64", f"{LONG}    grams : float64")
    shown = lines(on_terminal(project, "revise", "-m", "x", answer="much too long\nok", asked="later): ", columns=40))
    assert shown[:2] == ["Which value do existing rows of", "life.Weight get for more (varchar(12))?"], shown
    assert "Error: 'much too long' cannot be the" in shown, shown


@pytest.mark.parametrize(
    ("line", "columns", "shown"),
    [
        ("short", 40, "short"),
        ("  a line that is not", 12, "  a line\n  that is\n  not"),
        ("a /very/long/path/to/a/file.zip of it", 12, "a\n/very/long/path/to/a/file.zip\nof it"),
        ("To see why:   all", 12, "To see why:\nall"),
        ("What is it? (y): ", 12, "What is it?\n(y): "),
        (
            "  Run tool --env prod migrate --dry-run, then look.",
            20,
            "  Run\n  tool --env prod migrate --dry-run,\n  then look.",
        ),
        ('do: uv run tool revise -m "add a weight" and go', 20, 'do:\nuv run tool revise -m "add a weight" and\ngo'),
        (
            "Say python -m my_tool access apply. Then stop here.",
            20,
            "Say\npython -m my_tool access apply.\nThen stop here.",
        ),
        ("動物の 名前 は", 10, "動物の\n名前 は"),
    ],
)
def test_a_command_and_a_long_word_stay_whole(
    monkeypatch: pytest.MonkeyPatch, line: str, columns: int, shown: str
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "argv", ["/bin/tool"])
    assert wrapping.wrap(line, Terminal()) == shown
    assert wrapping.wrap(line, io.StringIO()) == line
    for file, expected in ((Terminal(), shown), (io.StringIO(), line)):
        console.console(file=file, color_system=None).print(line)
        assert file.getvalue() == f"{expected}\n"


def test_what_goes_on_below_an_event_is_indented(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    told = wrapping.wrap("2026-11-29 10:00:00 a worker began its work", Terminal(), hang=4)
    assert told == "2026-11-29 10:00:00 a worker\n    began its work"


def test_colours_survive_the_end_of_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "12")
    screen: Any = Terminal()
    console.console(file=screen, color_system="standard", force_terminal=True).print("[bold]two words[/] more here")
    assert screen.getvalue() == "\x1b[1mtwo words\x1b[0m\nmore here\n"
