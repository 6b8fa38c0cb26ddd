"""Know what people type to run a command of a project: as this process was started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

#: uv says so to what it runs; what it installed is on nobody's ``PATH`` but its own.
_BY_UV = "UV_RUN_RECURSION_DEPTH"


def program(package: str, command: str) -> str:
    """Give what stands before the words of a command, ``uv run my-pipeline``.

    Parameters
    ----------
    package : str
        Import name of the project's package.
    command : str
        Name of its console script.
    """
    started = Path(sys.argv[0] or "")
    as_module = started.name == "__main__.py" and started.parent.name == package.rpartition(".")[2]
    name = f"python -m {package}" if as_module else command
    of_project = os.environ.get("VIRTUAL_ENV") == sys.prefix  # and not started by what uv runs, from elsewhere
    return f"uv run {name}" if os.environ.get(_BY_UV) and of_project else name
