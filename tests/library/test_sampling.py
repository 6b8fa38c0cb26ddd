"""What CI plays of the slow proofs: a sample that leaves out no value, the same every time, and less than all."""

from __future__ import annotations

import pytest
from sampling import TURNS, left_out, noted

pytest_plugins = "pytester"
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnknownMarkWarning")  # registered in conftest.py

CASES = """
import pytest

@pytest.fixture(params=["mysql", "postgresql"])
def server(request):
    return request.param

@pytest.mark.sampled
@pytest.mark.parametrize("edit", ["a", "b", "c"])
def test_edits(server, edit):
    pass

def test_first(server):
    pass

@pytest.mark.parametrize("edit", ["a", "b"])
def test_second(server, edit):
    pass

@pytest.mark.parametrize("server", ["mysql"], indirect=True)
def test_mysql_alone(server):
    pass

@pytest.mark.one_server("postgresql")
def test_named(server):
    pass

@pytest.mark.one_server
@pytest.mark.parametrize(("backend", "edit"), [("mysql", "a"), ("postgresql", "a")])
def test_values_that_repeat_a_proof(backend, edit):
    pass

@pytest.mark.both_servers
@pytest.mark.parametrize("edit", ["a", "b"])
def test_all(server, edit):
    pass

@pytest.mark.parametrize("backend", ["mysql", "postgresql"])
def test_values(backend):
    pass

def test_plain():
    pass
"""

SLOW = """
import pytest

@pytest.fixture(params=["mysql", "postgresql"])
def server(request):
    return request.param

@pytest.mark.parametrize("edit", ["a", "b", "c"])
def test_edits(server, edit):
    pass

def test_alone():
    pass

@pytest.mark.every_commit
def test_first_of_all():
    pass

def test_plain():
    pass
"""


def played(items: list[pytest.Item], turn: int | None = None) -> list[str]:
    slow = {f"{item.path.name}::test_{name}" for item in items for name in ("edits", "alone", "first_of_all")}
    without = left_out(items, turn, slow)
    return [item.name for item in items if item not in without]


def test_a_sample_has_each_value_at_least_once(pytester: pytest.Pytester) -> None:
    found = played(pytester.getitems(CASES))
    assert [name for name in found if "edits" in name] == [
        *("test_edits[mysql-a]", "test_edits[mysql-c]", "test_edits[postgresql-b]")
    ]


def test_servers_take_turns_and_no_case_is_left_out(pytester: pytest.Pytester) -> None:
    found = played(pytester.getitems(CASES))
    assert [name for name in found if "edits" not in name] == [
        *("test_first[mysql]", "test_second[mysql-b]", "test_second[postgresql-a]", "test_mysql_alone[mysql]"),
        *("test_named[postgresql]", "test_values_that_repeat_a_proof[mysql-a]"),
        *("test_all[mysql-a]", "test_all[mysql-b]", "test_all[postgresql-a]", "test_all[postgresql-b]"),
        *("test_values[mysql]", "test_values[postgresql]", "test_plain"),
    ]


def test_slow_ones_take_turns_so_that_each_is_played_once_in_so_many_commits(pytester: pytest.Pytester) -> None:
    items = pytester.getitems(SLOW)
    found, always = [played(items, turn) for turn in range(7, 7 + TURNS)], ["test_first_of_all", "test_plain"]
    assert all(names[-2:] == always and len(names) <= 3 for names in found), found
    alone = ["test_alone", "test_edits[mysql-a]", "test_edits[mysql-c]", "test_edits[postgresql-b]"]
    assert sorted(name for names in found for name in names if name not in always) == alone
    assert played(items) == [*sorted(alone, key=played(items).index), *always]


def test_what_is_asked_for_by_name_is_played(pytester: pytest.Pytester) -> None:
    items = [item for item in pytester.getitems(CASES) if item.name == "test_edits[postgresql-c]"]
    assert played(items) == ["test_edits[postgresql-c]"]


def test_what_goes_in_order_takes_its_turn_together(pytester: pytest.Pytester) -> None:
    items = pytester.getitems(SLOW.replace("import pytest\n", "import pytest\n\npytestmark = pytest.mark.in_order\n"))
    whole = played(items)
    assert [played(items, turn) == whole for turn in range(TURNS)] == [True, *[False] * (TURNS - 1)]
    assert played(items, 1) == ["test_first_of_all"]


def test_slow_is_what_took_long_and_what_was_not_played_stays() -> None:
    here = "tests/library/test_sampling.py::test_"
    known = [f"{here}a_sample_has_each_value_at_least_once", f"{here}servers_take_turns_and_no_case_is_left_out"]
    gone = [f"{here}that_is_no_more", "tests/library/test_of_old.py::test_a"]
    took = {f"{here}servers_take_turns_and_no_case_is_left_out": 0.1, f"{here}new[a]": 2.9, f"{here}new[b]": 3.1}
    assert noted([*known, *gone], took) == [known[0], f"{here}new"]
