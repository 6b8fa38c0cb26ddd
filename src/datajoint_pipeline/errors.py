"""Refusals in words, and the exit codes of the command line.

Every refusal has three sentences: what happened, why, and what to do. The command line prints them one below the
other and returns ``exit_code``; in a notebook they are the text of the exception.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command line; where several hold, the worst is returned (see :func:`worst`)."""

    OK = 0
    ERROR = 1
    USAGE = 2
    PENDING = 3
    DRIFT = 4
    CONFLICT = 5
    INTERRUPTED = 6
    DATA_LOSS = 7


#: From the worst to the mildest.
_SEVERITY = (ExitCode.CONFLICT, ExitCode.INTERRUPTED, ExitCode.DRIFT, ExitCode.DATA_LOSS, ExitCode.PENDING)


def worst(codes: list[ExitCode]) -> ExitCode:
    """Give the exit code to return where several things were found."""
    return next((code for code in _SEVERITY if code in codes), ExitCode.OK)


class PipelineError(Exception):
    """A refusal in words.

    Parameters
    ----------
    what, why, do : str
        One sentence each: what happened, the reason, and what to do about it.
    exit_code : ExitCode
        What the command line returns.
    """

    def __init__(self, what: str, why: str = "", do: str = "", *, exit_code: ExitCode = ExitCode.ERROR) -> None:
        super().__init__(what, why, do)
        self.what = what
        self.why = why
        self.do = do
        self.exit_code = exit_code

    def __str__(self) -> str:
        return "\n".join(sentence for sentence in (self.what, self.why, self.do) if sentence)


class Stopped(KeyboardInterrupt):
    """Ctrl-C while a database is changed, in words: what was done by then, and how to go on."""

    #: What shells give a command that Ctrl-C ended.
    exit_code = 130

    def __init__(self, what: str, why: str, do: str) -> None:
        super().__init__(what, why, do)
        self.what, self.why, self.do = what, why, do

    def __str__(self) -> str:
        return "\n".join((self.what, self.why, self.do))


def follow(error: PipelineError | Stopped, done: str) -> None:
    """Have an error say, in a sentence, what was done before that which did not happen."""
    for name in ("what", "why"):
        setattr(error, name, getattr(error, name).replace("othing was changed", "othing else was changed"))
    error.why = f"{error.why} {done}".lstrip()
