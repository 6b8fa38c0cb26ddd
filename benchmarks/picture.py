"""Draw the README's terminal picture from a real run.

    uv run benchmarks/picture.py

Renders the template from this clone, runs the commands shown, and writes what they printed to .github/terminal.svg.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = [
    ("uvx copier copy --defaults copier-datajoint my_pipeline && cd my_pipeline", None),
    ("uv run my-pipeline --env local init", ["init"]),
    ("uv run my-pipeline --env local demo", ["demo"]),
    ("uv run my-pipeline add-schema behaviour --depends session", ["add-schema", "behaviour", "--depends", "session"]),
    ("uv run my-pipeline --env local status", ["status"]),
]


def main() -> None:
    """Run the commands and write the picture."""
    console = Console(record=True, width=112, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "my_pipeline"
        subprocess.run(["copier", "copy", "--defaults", "--quiet", str(ROOT), str(folder)], check=True)
        git = ["git", "-c", "user.name=ada", "-c", "user.email=ada@example.org"]
        for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message=Start"]):
            subprocess.run([*git, *arguments], cwd=folder, check=True)
        try:
            for shown, arguments in COMMANDS:
                console.print(Text.assemble(("$ ", "bold green"), (shown, "bold")))
                if arguments:
                    console.print(Text.from_ansi(run(folder, arguments)))
        finally:
            run(folder, ["local", "stop"])
    picture = console.export_svg(title="my_pipeline", theme=MONOKAI)
    # No fonts from the network: the reader's own monospace does.
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL).replace("Fira Code", "monospace")
    (ROOT / ".github").mkdir(exist_ok=True)
    (ROOT / ".github" / "terminal.svg").write_text(picture + "\n", encoding="utf-8")


def run(folder: Path, arguments: list[str]) -> str:
    variables = {**os.environ, "MY_PIPELINE_ENV": "local", "FORCE_COLOR": "1", "COLUMNS": "110", "USER": "ada"}
    variables |= {"LOGNAME": "ada", "UV_PYTHON_DOWNLOADS": "never"}
    command = ["uv", "run", "--quiet", "my-pipeline", *arguments]
    return subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, check=False
    ).stdout.rstrip()


if __name__ == "__main__":
    main()
