"""Read files of people, and say in three sentences why one cannot be read or written."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from .errors import PipelineError

_DO = "Correct it, or get it back from version control."


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
        why = f"It has to be UTF-8, and byte {error.start + 1} of it is not ({error.reason})."
        raise PipelineError(f"{_shown(path)} is no text that can be read.", why, _DO) from error
    except OSError as error:
        raise refusal(error, path) from error


def refusal(error: OSError, path: Path | None = None) -> PipelineError:
    """Give the refusal of a file that the system does not let be read or written."""
    name = _shown(path) if path is not None else str(error.filename)
    reason = (error.strerror or type(error).__name__).rstrip(".")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        what = "A file" if path is None and error.filename is None else name
        return PipelineError(f"{what} cannot be written.", f"{reason}.", "Make room on that disk.")
    if isinstance(error, PermissionError):
        return PipelineError(f"{name} cannot be opened.", f"{reason}.", "Give this account the right to it.")
    return PipelineError(f"{name} cannot be opened.", f"{reason}.", _DO)


def write(text: str, path: Path, mode: int | None = None) -> None:
    """Write a file for others to read, which is whole at each moment, with the rights ``mode`` where it is given.

    Raises
    ------
    PipelineError
        If it cannot be written; then nothing is left of it.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        fresh.write_text(text, encoding="utf-8")
        if mode is not None:
            fresh.chmod(mode)
        fresh.replace(path)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise unwritten(error, path) from None


def unwritten(error: OSError, path: Path) -> PipelineError:
    """Give the refusal of a file that is made for people, whatever file beside it could not be written."""
    reason = (error.strerror or type(error).__name__).rstrip(".")
    do = "Name another file, or give this account the right to write there."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        do = "Make room on that disk, or name another file."
    elif not path.parent.is_dir():
        reason = f"There is no folder {path.absolute().parent}"
        do = f"Make the folder {path.parent} first, or name another file."
    return PipelineError(f"{path} cannot be written.", f"{reason}.", do)


def _shown(path: Path) -> str:
    """Give a path as messages have it: a file of migrations with its schema."""
    return f"{path.parent.name}/{path.name}" if path.parent.parent.name == "migrations" else path.name
