"""What a command says while it works and when it has ended: on a terminal a line that goes away, and then what was done."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Project, Server
from living import is_sentence, lay, living, ok
from proxy import Fault, Proxy
from rich.console import Console

from datajoint_pipeline.cli import tables


@pytest.fixture
def alive(mysql: Server, tmp_path: Path, render: Callable[..., Path]) -> Iterator[Project]:
    with living(mysql, Project(render(tmp_path / "my_pipeline"))) as own:
        yield own


def on_terminal(project: Project, *arguments: str, answer: str = "", asked: str = "", columns: int = 150) -> str:
    """Run a command on a terminal and give every character that it wrote there; type an answer when asked."""
    ours, theirs = pty.openpty()
    variables = {**project.variables(TERM="xterm", COLUMNS=str(columns)), **project.environment}
    command = [sys.executable, "-m", "my_pipeline", *arguments]
    process = subprocess.Popen(command, cwd=project.folder, env=variables, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written, deadline = "", time.monotonic() + 120
    while time.monotonic() < deadline and select.select([ours], [], [], 120)[0]:
        try:
            written += os.read(ours, 4096).decode(errors="replace")
        except OSError:  # the other end is closed
            break
        if answer and asked in written:
            time.sleep(0.5)  # in which a line that stayed would be written again
            os.write(ours, f"{answer}\n".encode())
            answer = ""
    os.close(ours)
    process.wait(30)
    return written


def screen(written: str) -> list[str]:
    """The lines that a terminal shows in the end."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[\d;?]*[A-Za-z]|[^\x1b]", written):
        match part:
            case "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            case "\r":
                column = 0
            case _ if part.startswith("\x1b"):
                if part.endswith("A"):
                    row -= int(part[2:-1] or 1)
                elif part == "\x1b[2K":
                    lines[row] = ""
            case _:
                lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + 1 :]
                column += 1
    return [line.rstrip() for line in lines if line.strip()]


def test_check_names_what_it_looks_at_and_leaves_no_line(project: Project) -> None:
    lay(project)
    written = on_terminal(project, "check")
    assert "Checking definitions of life, work" in written
    assert screen(written)[-1] == "Everything is in order." and "Checking" not in "".join(screen(written))
    assert "definitions" not in project.run("check").err


def test_a_question_stands_alone_on_its_line(alive: Project) -> None:
    alive.replace(alive.module("life"), "    grams : float64", "    mood : varchar(8)\n    grams : float64")
    question = (
        "Which value do existing rows of life.Weight get for mood (varchar(8))? (empty: stop, and change nothing): "
    )
    written = on_terminal(alive, "migrate", "--draft", answer="well", asked=question)
    shown = screen(written)
    assert f"{question}well" in shown and "Migrating" in written
    assert not [line for line in shown if "Migrating" in line], shown
    assert re.fullmatch(r"\d+ steps? done in [\d.]+ s\.", shown[-1])


def test_the_last_line_says_what_was_done(alive: Project) -> None:
    def last(*arguments: str) -> str:
        return ok(alive, *arguments).out.splitlines()[-1]

    assert last("migrate") == "There was nothing to do."
    alive.replace(alive.module("life"), "    colour = \"grey\" : enum('grey', 'white')\n", "")
    ok(alive, "revise", "-m", "no colours")
    assert re.fullmatch(r"1 step done in [\d.]+ s\.", last("migrate"))
    assert re.fullmatch(r"1 column or table with 2 values deleted in [\d.]+ s\.", last("purge", "--allow-data-loss"))
    (backup,) = (alive.folder / "backups").glob("*.zip")
    assert last("restore", str(backup), "--dry-run") == "Nothing was changed."
    assert re.fullmatch(r"2 rows of 1 table put back in [\d.]+ s\.", last("restore", str(backup)))
    assert re.fullmatch(
        r"1 step done in [\d.]+ s\.", ok(alive, "rollback", "life", "--to", "1.0.0").out.splitlines()[-1]
    )


def test_an_interrupted_run_that_had_nothing_but_its_end_left_is_named(alive: Project, mysql: Server) -> None:
    """Whichever command finishes it."""

    def broken_off(*arguments: str) -> None:
        proxy = Proxy("mysql", mysql.port)
        try:
            proxy.begin(Fault("UPDATE `dev_life`.`~migration` SET status", "before", lambda: None))
            is_sentence(alive.run(*arguments, DJ_PORT=str(proxy.port), DJ_USE_TLS="false"))
        finally:
            proxy.close()

    alive.replace(alive.module("life"), "    grams : float64", "    mood = null : varchar(8)\n    grams : float64")
    ok(alive, "revise", "-m", "moods")
    back = ("rollback", "life", "--to", "1.0.0")
    for command, kind, code in ((("migrate",), "migrate", 0), (back, "rollback", 0)):
        broken_off(*command)
        shown = ok(alive, *command, code=code).out.splitlines()
        assert shown[-2:] == [
            f"Went on with {kind} of life, which was interrupted after 1 of 1 steps.",
            "Nothing else was left to do.",
        ], shown
    broken_off("migrate")
    told = ok(alive, "migrate", "--json").json["resumed"]
    assert told == ["Went on with migrate of life, which was interrupted after 1 of 1 steps."]
    assert ok(alive, "migrate").out.splitlines()[-1] == "There was nothing to do."


def test_a_narrow_terminal_shows_every_word_whole(project: Project) -> None:
    """A row that does not fit becomes a list; where there is room, it stays a row."""
    narrow, wide = (
        re.sub(r"\x1b\[[\d;]*m", "", on_terminal(project, "--env", "local", "doctor", columns=columns))
        for columns in (60, 150)
    )
    setting = "jobs.allow_new_pk_fields_in_computed_tables"
    assert re.search(rf"setting +{setting}\s+value +False\s", narrow), narrow
    assert re.search(rf"{setting}\s+False\s+DataJoint's default", wide), wide


def test_a_terminal_gets_no_source_of_a_picture_and_is_asked_what_a_change_is_for(project: Project) -> None:
    shown = on_terminal(project, "diagram")
    assert "Error: A terminal cannot show a picture." in shown and "<svg" not in shown
    assert "<svg" in on_terminal(project, "diagram", "--format", "svg")
    question = "What is the change for?"
    shown = on_terminal(project, "revise", answer="the first", asked=question)
    assert question in shown and "The first snapshot of" in shown


def test_a_shell_completes_the_names_of_schemas(project: Project) -> None:
    words = {"COMP_WORDS": "my-pipeline revise s", "COMP_CWORD": "2", "_MY_PIPELINE_COMPLETE": "bash_complete"}
    assert project.run(**words).out.split() == ["plain,subject", "plain,session"]


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("rollback ephys --to ", ["1.0.0", "1.1.0"]),
        ("migrate ephys --to 1.1", ["1.1.0"]),
        ("rollback --to ", []),
        ("errors --table eph", ["ephys.Probe", "ephys.Recording"]),
        ("diagram --around session", ["session.Session"]),
        ("log --rows subject.", ["subject.Subject"]),
    ],
)
def test_a_shell_completes_versions_and_tables_from_the_files(project: Project, typed: str, names: list[str]) -> None:
    """Without DataJoint, which takes long to import; of a project that cannot be read it completes nothing."""
    for name in ("1.0.0.txt", "1.1.0_more.py", "snapshot.txt", "notes_of_mine.py"):
        project.write(f"src/my_pipeline/migrations/ephys/{name}", "no file that anybody could read")
    *words, last = f"my-pipeline {typed}".split(" ")
    variables = {"COMP_WORDS": " ".join([*words, last]), "COMP_CWORD": str(len(words))}
    variables |= {"_MY_PIPELINE_COMPLETE": "bash_complete", "PYTHONPATH": "src:broken"}
    project.write("broken/datajoint.py", "raise SystemExit('imported')\n")

    def completed() -> list[str]:
        command = [sys.executable, "-m", "my_pipeline"]
        done = subprocess.run(
            command, cwd=project.folder, env=project.variables(**variables), capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
        return [line.partition(",")[2] for line in done.stdout.split()]

    assert completed() == names
    project.write("src/my_pipeline/ephys.py", "def (")
    assert "--to" in typed or completed() == []


def test_a_shell_completes_what_is_renamed_or_dropped(project: Project) -> None:
    """From the snapshots, which still have what the code has no more."""
    ok(project, "revise", "-m", "start")
    project.replace(project.module("session"), "experimenter", "operator")

    def completed(*words: str) -> list[str]:
        typed = ["my-pipeline", "revise", *words]
        variables = {"COMP_WORDS": " ".join(typed), "COMP_CWORD": str(len(typed) - 1)}
        shown = project.run(**variables, _MY_PIPELINE_COMPLETE="bash_complete")
        assert (shown.code, shown.err) == (0, "")
        return [line.partition(",")[2] for line in shown.out.split()]

    assert completed("--rename", "Session.exp") == ["Session.experimenter"]
    assert completed("--drop", "session.Session.e") == ["session.Session.experimenter"]
    assert "Scan.fluorescence" in completed("--rename", "") and "_job" not in str(completed("--drop", ""))
    project.write("src/my_pipeline/migrations/session/snapshot.txt", "<<<<<<< ours\n")
    assert completed("--rename", "Session.exp") == []


def test_no_word_of_a_table_is_broken_where_all_have_room() -> None:
    """Of the columns, those of several words become narrower; a name stays whole at any width."""
    names = ("session.Session", "analysis.MultiModalAnalysis")
    cells = ("4", "in an instant", "everybody", "16 KiB")
    for width in range(60, 130):
        table = tables.table("table", "dependent tables", "changed", "who has to wait", "size")
        for name in names:
            table.add_row(name, *cells)
        shown = io.StringIO()
        tables.show(Console(width=width, file=shown, force_terminal=True, color_system=None), table)
        lines = shown.getvalue().splitlines()
        assert {word for cell in (*cells, *names) for word in cell.split()} <= {
            w for line in lines for w in line.split()
        }
        assert max(map(len, lines)) <= width, shown.getvalue()


def test_a_row_in_a_pipe_is_one_line_of_any_length() -> None:
    """It ends where its words end, and numbers stand below each other."""
    table = tables.table("table", "rows", "remark", right=("rows",))
    table.add_row("imaging.Scan", "1,200", f"[red]{'long ' * 60}[/]")
    table.add_row("été.Café\x1b", "7", "")
    shown = io.StringIO()
    tables.show(Console(width=80, file=shown), table)
    long = " ".join(["long"] * 60)
    assert shown.getvalue() == f"table            rows  remark\nimaging.Scan    1,200  {long}\nété.Café\\u001b      7\n"


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", "xterm")])
def test_an_error_is_red_for_who_wants_colours(project: Project, variable: str, value: str) -> None:
    """See https://no-color.org."""
    project.environment |= {variable: value}
    shown = on_terminal(project, "--env", "nowhere", "status")
    red = ["\x1b[31m", "\x1b[0m"] if value == "xterm" else []
    assert "Error: " in shown and re.findall(r"\x1b\[[\d;]*m", shown) == red, shown


def test_who_forgot_to_revise_is_told(server: Server, project: Project) -> None:
    """`migrate` compares versions, and finds nothing to do; `status` says so to a person, who looks at a terminal."""

    def shown() -> str:
        return " ".join(" ".join(screen(on_terminal(own, "status"))).split())

    with living(server, project) as own:
        assert "without a migration" not in ok(own, "migrate").out
        own.replace(own.module("life"), "  # on that day\n", "  # on that day\n    mood = null : varchar(8)\n")
        told = " ".join(ok(own, "migrate").out.split())
        assert (
            "There was nothing to do. The code of life has changes without a migration (see python -m my_pipeline diff)."
            in told
        )
        assert "Run python -m my_pipeline revise -m TEXT, or migrate --draft to try them." in told
        assert "The code of life has changes" in shown() and "has changes" not in ok(own, "status").out
        ok(own, "migrate", "--draft")
        assert "has changes" not in shown()
        ok(own, "revise", "-m", "mood")
        ok(own, "migrate")
        assert "has changes" not in ok(own, "migrate").out + shown()
