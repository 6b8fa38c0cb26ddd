"""How long a plan takes in a database with many rows, from what it took on a sample of few and on one of more.

A step takes some time whatever there is, and some for each row of the tables that it changes. Two samples of different
size tell both. Waiting for others, and another machine, are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..schema.model import TableName


@dataclass
class TimedStep:
    """A step, the tables that it changes by their names afterwards, and the seconds that it took."""

    words: str
    tables: tuple[TableName, ...]
    seconds: float


@dataclass
class Run:
    """A plan as it ran on a sample.

    Parameters
    ----------
    rows : dict
        Rows that each table had, by its name after the plan.
    steps : list of TimedStep
        In their order.
    seconds : float
        All that it took, with what is between the steps.
    """

    rows: dict[TableName, int] = field(default_factory=dict)
    steps: list[TimedStep] = field(default_factory=list)
    seconds: float = 0.0


def predict(few: Run, more: Run, rows: Mapping[TableName, int]) -> float:
    """Give the seconds that the plan takes in a database with so many rows in each table.

    Parameters
    ----------
    few, more : Run
        The same plan on a smaller and on a larger sample; both may be the same one.
    rows : mapping of TableName to int
        Rows of each table there, by its name after the plan.
    """
    same = [step.words for step in few.steps] == [step.words for step in more.steps]
    pairs = zip(few.steps if same else more.steps, more.steps, strict=True)
    steps = sum(_of_step(first, second, few.rows, more.rows, rows) for first, second in pairs)
    # What is between the steps does not hang on rows; the first run was held up by what it had to load.
    between = max(more.seconds - sum(step.seconds for step in more.steps), 0.0)
    return steps + between


def _of_step(
    few: TimedStep,
    more: TimedStep,
    rows_few: Mapping[TableName, int],
    rows_more: Mapping[TableName, int],
    rows: Mapping[TableName, int],
) -> float:
    one, two, there = (_most(few.tables, found) for found in (rows_few, rows_more, rows))
    if there <= two:
        return more.seconds
    if two <= one:
        return more.seconds * (there / two if two else 1.0)
    # Where the larger sample took no longer, the time is not in the rows.
    return more.seconds + max(more.seconds - few.seconds, 0.0) / (two - one) * (there - two)


def _most(tables: Sequence[TableName], rows: Mapping[TableName, int]) -> int:
    return max((rows.get(name, 0) for name in tables), default=0)
