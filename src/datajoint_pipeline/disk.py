"""Read files of people, and say in three sentences why one cannot be read or written."""

from __future__ import annotations

from pathlib import Path

from .errors import PipelineError

_DO = "Put it right, or take it back from version control."


def text(path: Path) -> str:
    """Read a text file.

    Raises
    ------
    PipelineError
        If it cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        why = f"It is to be UTF-8, and byte {error.start + 1} of it is none ({error.reason})."
        raise PipelineError(f"{_shown(path)} is no text that can be read.", why, _DO) from error
    except OSError as error:
        raise refusal(error, path) from error


def refusal(error: OSError, path: Path | None = None) -> PipelineError:
    """Give the refusal of a file that the system does not let be read or written."""
    name = _shown(path) if path is not None else str(error.filename)
    reason = (error.strerror or type(error).__name__).rstrip(".")
    if isinstance(error, PermissionError):
        return PipelineError(f"{name} cannot be opened.", f"{reason}.", "Give this account the right to it.")
    return PipelineError(f"{name} cannot be opened.", f"{reason}.", _DO)


def unwritable(error: OSError, path: Path) -> PipelineError:
    """Give the refusal of a file that somebody has named and that cannot be written."""
    reason = (error.strerror or type(error).__name__).rstrip(".")
    folder = path.absolute().parent
    do = "Name another file, or give this account the right to write there."
    if not folder.is_dir():
        reason, do = f"There is no folder {folder}", "Make that folder, or name another file."
    return PipelineError(f"{path} cannot be written.", f"{reason}.", do)


def _shown(path: Path) -> str:
    """Give a path as messages have it: a file of migrations with its schema."""
    return f"{path.parent.name}/{path.name}" if path.parent.parent.name == "migrations" else path.name
