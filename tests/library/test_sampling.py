"""What CI plays of the slow proofs: a sample that leaves out no value, the same every time, and less than all."""

from __future__ import annotations

import pytest
from sampling import left_out

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

@pytest.mark.one_server
def test_first(server):
    pass

@pytest.mark.one_server
@pytest.mark.parametrize("edit", ["a", "b"])
def test_second(server, edit):
    pass

@pytest.mark.one_server
@pytest.mark.parametrize("server", ["mysql"])
def test_mysql_alone(server):
    pass

@pytest.mark.parametrize("edit", ["a", "b"])
def test_all(server, edit):
    pass

def test_plain():
    pass
"""


def played(items: list[pytest.Item]) -> list[str]:
    without = left_out(items)
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
        *("test_all[mysql-a]", "test_all[mysql-b]", "test_all[postgresql-a]", "test_all[postgresql-b]", "test_plain"),
    ]


def test_what_is_asked_for_by_name_is_played(pytester: pytest.Pytester) -> None:
    items = [item for item in pytester.getitems(CASES) if item.name == "test_edits[postgresql-c]"]
    assert played(items) == ["test_edits[postgresql-c]"]
