"""What a waiting job says of its earlier attempts, and which errors another attempt may mend."""

from __future__ import annotations

import pymysql
import pytest
from datajoint.errors import DataJointError, LostConnectionError

from datajoint_pipeline.jobs import failures, notes
from datajoint_pipeline.jobs.notes import Note


@pytest.mark.parametrize(
    "note", [Note(), Note("large", 2, 1, "MemoryError"), Note("", 4, 0, "a text\nof two lines, with ] and [class=x")]
)
def test_a_note_is_read_as_it_was_written(note: Note) -> None:
    assert notes.read(str(note)) == note


@pytest.mark.parametrize("text", [None, "", "ValueError: no good", "[class=", "[class=A attempts=1 kills=0] x"])
def test_other_texts_say_nothing_of_attempts(text: str | None) -> None:
    assert notes.read(text) == Note()


def test_a_note_fits_where_it_is_kept() -> None:
    assert len(str(Note(text="x" * 5000))) == 2047


def test_workers_of_a_class_leave_what_needs_another() -> None:
    every = ("small", "large")
    assert notes.condition("small", every, every) == ""
    assert notes.condition("small", ("small",), every) == "error_message NOT LIKE '[class=large %%'"
    assert notes.condition("small", ("large",), every) == "(error_message LIKE '[class=large %%')"


def raised(error: Exception, cause: Exception | None = None, context: Exception | None = None) -> Exception:
    """An error as it is once it was raised from another, or while another was dealt with."""
    try:
        if context is not None:
            try:
                raise context
            except Exception:
                raise error from cause
        raise error from cause
    except Exception as found:
        return found


MYSQL = pymysql.err.OperationalError


@pytest.mark.parametrize(
    ("error", "passing", "lost"),
    [
        *((MYSQL(number, "x"), True, number in (2006, 2013)) for number in (1205, 1213, 2006, 2013)),
        (MYSQL(1054, "Unknown column"), False, False),
        (LostConnectionError("gone"), True, True),
        (ConnectionResetError(), True, False),
        (TimeoutError(), True, False),
        (ValueError("1213"), False, False),
        (KeyError(1213), False, False),
        (raised(RuntimeError("no answer"), cause=ConnectionError()), True, False),
        # Whoever dealt with a lost connection and then found a fault has found a fault.
        (raised(ValueError("no good"), context=ConnectionError()), False, False),
        (raised(DataJointError("translated"), context=MYSQL(1213, "x")), True, False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, passing: bool, lost: bool) -> None:
    assert (failures.is_passing(error), failures.is_lost(error)) == (passing, lost)


def test_memory_of_a_machine_and_of_a_card() -> None:
    card = type("OutOfMemoryError", (RuntimeError,), {})
    assert failures.is_memory(MemoryError()) and failures.is_memory(card()) and not failures.is_memory(ValueError())
