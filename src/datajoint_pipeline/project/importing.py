"""Say in three sentences why a project's package cannot be imported, also where that is all that a command does.

The package is imported before the command line has a chance to catch anything: by the console script, or by Python
itself for ``python -m``. Its first import is this library, which so can say what its other imports raise.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from types import TracebackType

from ..errors import PipelineError

_before = sys.excepthook


def refusal(package: str, error: BaseException) -> PipelineError:
    """Give the refusal of a package whose code raised an error while it was imported."""
    if isinstance(error, PipelineError):
        return error
    folder = package.rpartition(".")[2]
    places = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((Path(error.filename), error.lineno))
    path, line = next(((p, n) for p, n in reversed(places) if folder in p.parts), (Path("__init__.py"), 0))
    text = error.msg if isinstance(error, SyntaxError) else f"{type(error).__name__}: {error}"
    where = f"Line {line}: " if line else ""
    return PipelineError(
        f"{path.name} cannot be imported.",
        f"{where}{' '.join(text.split()).rstrip('.:')}.",
        f"Correct {path}.",
    )


def watch() -> None:
    """In a process that is a command, say what keeps a package from being imported."""
    if sys.argv[:1] == ["-m"] or Path(sys.argv[0] or ".").parent == Path(sys.executable).parent:
        sys.excepthook = _say


def end() -> None:
    """Leave it to others what they say of errors: the package has come to its pipeline."""
    if sys.excepthook is _say:
        sys.excepthook = _before


def _say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    package = _imported(trace)
    if not package or not isinstance(error, Exception) or "--debug" in sys.argv:
        _before(kind, error, trace)
        return
    found = refusal(package, error)
    print(f"Error: {found.what}\n  {found.why}\n  {found.do}", file=sys.stderr)
    if "--json" in sys.argv:
        print(json.dumps({"error": {"what": found.what, "why": found.why, "do": found.do, "exit_code": 1}}))


def _imported(trace: TracebackType | None) -> str:
    """Give the package that was being imported; nothing where none was."""
    files = [Path(frame.filename) for frame in traceback.extract_tb(trace) if frame.name == "<module>"]
    return next((path.parent.name for path in files if path.name == "__init__.py"), "")
