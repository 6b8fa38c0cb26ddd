"""Compares two states and asks about what is not certain, until every question is answered or left open."""

from __future__ import annotations

from collections.abc import Callable

from ..operations.structure import Tables
from . import changes
from .questions import Answers, Question


def answered(
    before: Tables, after: Tables, answers: Answers, ask: Callable[[Question, Tables], Answers | None] | None
) -> tuple[changes.Changes, Answers]:
    """Compare two states until every question is answered or left open; give all answers, too.

    ``ask`` gets a question and the tables after, as both name tables as they are then.
    """
    left: set[Question] = set()
    while True:
        found = changes.difference(before, after, answers)
        question = next((q for q in found.questions if q not in left), None)
        if question is None or ask is None:
            return found, answers
        more = ask(question, after)
        if more is None:
            left.add(question)
        else:
            answers = merged(answers, more)


def merged(one: Answers, other: Answers) -> Answers:
    """Merge answers; where both answer a question, the later one counts."""
    return Answers(
        {**one.tables, **other.tables},
        {**one.attributes, **other.attributes},
        {**one.fills, **other.fills},
        one.drops | other.drops,
        one.inserts | other.inserts,
    )
