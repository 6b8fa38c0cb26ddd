"""Draw the README's pictures from a real run: a terminal, a page of the docs site, a diagram.

    uv run benchmarks/picture.py

Renders the template from this clone, gives it one schema more, runs the commands shown, and writes to .github/ what
they printed (terminal.svg), what `diagram` drew (diagram.svg) and what Chromium shows of a page (page.png). The page
needs Chromium, and zensical from a package index.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / ".github"
sys.path.append(str(ROOT / "tests"))

import browser  # noqa: E402

#: The columns of the terminal.
WIDTH = 112
COMMANDS = [
    ('$EDITOR src/my_pipeline/session.py  # a new line in the class: rig = "A" : varchar(16)', None),
    ('uv run my-pipeline revise session -m "add rig"', ["revise", "session", "-m", "add rig"]),
    ("uv run my-pipeline migrate session", ["migrate", "session"]),
]
LINE = '    """\n'

#: A schema that the diagram and the page show beside those of a new project.
BEHAVIOUR = '''"""Behaviour: what subjects were trained to do, and how well they did it."""

import datajoint as dj

from . import open_schema, session

schema = open_schema("behaviour")


@schema
class Task(dj.Lookup):
    definition = """
    # What a subject is trained to do
    task : varchar(32)  # name of the task
    ---
    task_notes = "" : varchar(1000)  # how it is trained
    """
    contents = [{"task": "two-choice"}, {"task": "go-no-go"}]


@schema
class Block(dj.Imported):
    definition = """
    # A part of a session with one task
    -> session.Session
    block : int32  # number within the session
    ---
    -> Task
    """

    class Trial(dj.Part):
        definition = """
        # One trial of a block
        -> master
        trial : int32  # number within the block
        ---
        correct : bool  # whether it was rewarded
        reaction_time = null : float64  # seconds from the cue; null without an answer
        """

    def make(self, key): ...


@schema
class Performance(dj.Computed):
    definition = """
    # How well a subject did in a block
    -> Block
    ---
    correct_rate : float64  # share of its trials
    """

    def make(self, key): ...
'''

#: The page, how many CSS pixels of it are shown, and from where; the PNG has twice as many.
PAGE, SIZE, SCROLLED = "pipeline/behaviour.html", (560, 362), 34


def main() -> None:
    """Run the commands and write the pictures."""
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "my_pipeline"
        subprocess.run(["copier", "copy", "--defaults", "--quiet", str(ROOT), str(folder)], check=True)
        try:
            run(folder, ["init"])
            for shown, arguments in COMMANDS:
                console.print(Text.assemble(("$ ", "bold green"), (shown, "bold")))
                if arguments is None:
                    add_line(folder / "src/my_pipeline/session.py")
                else:
                    console.print(Text.from_ansi(run(folder, arguments)))
        finally:
            run(folder, ["local", "stop"])
        picture = console.export_svg(title="my_pipeline", theme=MONOKAI)
        # No fonts from the network: the reader's own monospace does.
        picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL).replace("Fira Code", "monospace")
        (PICTURES / "terminal.svg").write_text(picture + "\n", encoding="utf-8")

        run(folder, ["add-schema", "behaviour", "--depends", "session"])
        (folder / "src/my_pipeline/behaviour.py").write_text(BEHAVIOUR, encoding="utf-8")
        run(folder, ["diagram", "--out", str(PICTURES / "diagram.svg")])
        run(folder, ["docs", "build"])
        subprocess.run(["uv", "tool", "run", "zensical", "build", "--strict"], cwd=folder, check=True)
        photograph(folder / "site" / PAGE, PICTURES / "page.png")


def add_line(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    before, after = text.split(LINE)
    module.write_text(f'{before}    rig = "A" : varchar(16)\n{LINE}{after}', encoding="utf-8")


def photograph(page: Path, picture: Path) -> None:
    """Write what Chromium shows of a page."""
    with browser.page() as chromium:
        width, height = SIZE
        chromium.look(width, height)
        chromium.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2, mobile=False
        )
        chromium.open(page)
        chromium.value(f"scrollTo(0, {SCROLLED})")
        time.sleep(1)  # its picture is a document of its own, whose end the page is not told
        found = chromium.send("Page.captureScreenshot", captureBeyondViewport=False)
    picture.write_bytes(base64.b64decode(found["data"]))


def run(folder: Path, arguments: list[str]) -> str:
    """Give what a command prints, as a terminal shows it."""
    variables = {**os.environ, "MY_PIPELINE_ENV": "local", "FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "USER": "ada"}
    variables |= {"LOGNAME": "ada", "UV_PYTHON_DOWNLOADS": "never"}
    command = ["uv", "run", "--quiet", "my-pipeline", *arguments]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)}\n{done.stdout}{done.stderr}")
    return done.stdout.rstrip()


if __name__ == "__main__":
    main()
