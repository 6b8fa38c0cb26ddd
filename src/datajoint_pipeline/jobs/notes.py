"""What a job that waits has in ``error_message``: how often it was tried, in which class, and what went wrong last.

DataJoint leaves that text of a job that waits or is reserved as it is, also where it refreshes the jobs. It goes with
the job: deleted by somebody, the job begins anew.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

#: DataJoint keeps so many characters.
_LONGEST = 2047
_NOTE = re.compile(
    r"\[class=(?P<name>[a-z0-9-]+) attempts=(?P<attempts>\d+) kills=(?P<kills>\d+)\] ?(?P<text>.*)", re.DOTALL
)


@dataclass(frozen=True)
class Note:
    """What is known of a job's earlier attempts.

    Parameters
    ----------
    class_name : str
        The class that it needs; empty for that of its table.
    attempts : int
        How often it failed.
    kills : int
        How often it took its worker with it.
    text : str
        What went wrong last.
    """

    class_name: str = ""
    attempts: int = 0
    kills: int = 0
    text: str = ""

    def __str__(self) -> str:
        return f"[class={self.class_name or '-'} attempts={self.attempts} kills={self.kills}] {self.text}"[:_LONGEST]


def read(message: str | None) -> Note:
    """Read the note of a job's ``error_message``; one that says nothing where it is none."""
    match = _NOTE.fullmatch(message or "")
    if match is None:
        return Note()
    name = match["name"] if match["name"] != "-" else ""
    return Note(name, int(match["attempts"]), int(match["kills"]), match["text"])


def condition(of_table: str, mine: Collection[str], every: Iterable[str]) -> str:
    """Give the condition on the jobs of a table that workers of some classes take, for DataJoint's ``&``.

    Parameters
    ----------
    of_table : str
        The class of the table.
    mine : collection of str
        The classes of a worker.
    every : iterable of str
        All classes.

    Returns
    -------
    str
        Empty where all jobs are meant.
    """
    others = [name for name in every if name not in mine]
    if not others:
        return ""
    if of_table in mine:
        return " AND ".join(f"error_message NOT LIKE '{_start(name)}'" for name in others)
    return "(" + " OR ".join(f"error_message LIKE '{_start(name)}'" for name in mine) + ")"


def _start(class_name: str) -> str:
    # DataJoint's conditions are formatted once more, and class names have no character of LIKE.
    return f"[class={class_name} %%"
