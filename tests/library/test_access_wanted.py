"""The rights that should be, worked out without a server."""

from __future__ import annotations

import pytest

from datajoint_pipeline.access import model
from datajoint_pipeline.access.names import Names, pipeline_name
from datajoint_pipeline.access.wanted import shown_by, wanted
from datajoint_pipeline.dialects.rights import (
    Acts,
    Default,
    Fact,
    FutureRight,
    Login,
    MakesRoles,
    Member,
    Right,
    Table,
    Tables,
    upstream,
)

DATABASES = {"subject": "lab_subject", "ephys": "lab_ephys", "analysis": "lab_analysis"}

PLAIN = Table(("id", "note"), ("id",))
MADE = Table(("id", "note", "_job_start_time", "_job_version"), ("id",))

TABLES = Tables(
    {
        ("lab_subject", "subject"): PLAIN,
        ("lab_subject", "#strain"): PLAIN,
        ("lab_ephys", "_recording"): MADE,
        ("lab_ephys", "_recording__channel"): PLAIN,
        ("lab_ephys", "~~recording"): PLAIN,
        ("lab_analysis", "__result"): MADE,
        ("lab_analysis", "note"): Table(("id", "n"), ("id", "n")),
        **{(database, table): PLAIN for database in DATABASES.values() for table in ("~lineage", "~migration")},
        ("lab_analysis", "~dropped_old"): PLAIN,
        ("facility", "rig"): PLAIN,
        ("building", "room"): PLAIN,
    },
    {
        (("lab_ephys", "_recording"), ("lab_subject", "subject")),
        (("lab_ephys", "_recording"), ("facility", "rig")),
        (("facility", "rig"), ("building", "room")),
        (("elsewhere", "x"), ("lab_subject", "subject")),
    },
)

FILE = """
[people.ana]
roles = { dev = "developer" }
[people.boss]
roles = { dev = "admin", prod = "admin" }
[people.dev_and_operator]
roles = { dev = "developer", prod = "operator" }
[people.chief]
roles.prod = "admin"
[services.worker]
roles.prod = "operator"
[exceptions.analyst]
schemas = ["analysis"]
[exceptions.operator]
delete_manual = ["analysis"]
"""


def facts(environment: str = "prod", *, owned: bool, there: frozenset[str] = frozenset()) -> dict[Fact, str]:
    access, mistakes = model.parse(FILE, backend="mysql", schemas=tuple(DATABASES))
    assert not mistakes
    names = Names("lab", environment, 63, owned)
    return wanted(access, names, DATABASES, TABLES, roles_there=there)


def of(found: dict[Fact, str], role: str, table: str, environment: str = "prod") -> set[str]:
    """What a role may do with a table beyond what it has as a viewer."""
    return {
        f"{fact.privilege} {fact.column}".strip()
        for fact in found
        if isinstance(fact, Right) and fact.holder == f"lab_{environment}_{role}" and fact.table == table
    }


@pytest.mark.parametrize("owned", [False, True])
def test_nobody_below_developer_writes_lineage_or_the_journal(owned: bool) -> None:
    found = facts(owned=owned)
    for role in ("viewer", "analyst", "operator", "developer"):
        for table in ("~lineage", "~migration", "~dropped_old"):
            assert of(found, role, table) <= {"SELECT"}
    writes = {"INSERT", "UPDATE", "DELETE", "DROP", "CREATE", "ALTER"}
    whole = [fact for fact in found if isinstance(fact, Right) and not fact.table and fact.privilege in writes]
    assert {fact.holder for fact in whole} <= {"lab_prod_admin", "lab_prod_owner"}


@pytest.mark.parametrize("owned", [False, True])
def test_an_operator_runs_the_pipeline(owned: bool) -> None:
    found = facts(owned=owned)
    assert of(found, "operator", "_recording") == {
        "INSERT", "DELETE", "UPDATE _job_start_time", "UPDATE _job_version",
    }  # fmt: skip
    assert of(found, "operator", "_recording__channel") == {"INSERT", "DELETE"}
    assert of(found, "operator", "~~recording") == {"INSERT", "UPDATE", "DELETE"}
    assert of(found, "operator", "subject") == {"INSERT"} and of(found, "operator", "#strain") == set()
    assert of(found, "operator", "note") == {"INSERT", "DELETE"}


@pytest.mark.parametrize("owned", [False, True])
def test_an_analyst_writes_to_the_schemas_that_are_named(owned: bool) -> None:
    found = facts(owned=owned)
    assert of(found, "analyst", "__result") == of(found, "analyst", "note") == {"INSERT", "UPDATE", "DELETE"}
    assert of(found, "analyst", "_recording") == of(found, "analyst", "subject") == set()


def test_whatever_is_upstream_is_read_however_far() -> None:
    assert upstream(TABLES, DATABASES.values()) == {"facility", "building"}
    mysql = {fact.database for fact in facts(owned=False) if isinstance(fact, Right) and fact.privilege == "SELECT"}
    assert mysql == {*DATABASES.values(), "facility", "building", "mysql", "performance_schema"}
    used = {fact.database for fact in facts(owned=True) if isinstance(fact, Right) and fact.privilege == "USAGE"}
    assert used == {*DATABASES.values(), "facility", "building"}


def test_a_reader_of_postgresql_may_refer_to_one_column_that_makes_no_key() -> None:
    found = facts(owned=True)
    assert of(found, "viewer", "subject") == {"SELECT", "REFERENCES note"}
    assert of(found, "viewer", "~~recording") == {"SELECT", "REFERENCES note"}
    assert of(found, "viewer", "note") == {"SELECT", "REFERENCES id"}
    assert of(found, "viewer", "~lineage") == {"SELECT"}
    assert not [fact for fact in found if isinstance(fact, Right) and fact.privilege == "REFERENCES" and not fact.column
                and fact.holder != "lab_prod_owner"]  # fmt: skip
    assert shown_by(Table(("only",), ("only",))) == "only" and shown_by(Table()) == ""


def test_people_only_have_roles() -> None:
    for owned in (False, True):
        found = facts(owned=owned)
        holders = {fact.holder for fact in found if isinstance(fact, Right | FutureRight)}
        assert all(holder.startswith("lab_prod_") for holder in holders)
        assert {fact.name for fact in found if isinstance(fact, Login)} == {
            "ana", "boss", "dev_and_operator", "chief", "worker",
        }  # fmt: skip
        assert Member("lab_prod_viewer", "ana") in found
    assert {fact.role for fact in facts(owned=False) if isinstance(fact, Default)} == {
        "lab_prod_viewer", "lab_prod_operator", "lab_prod_admin",
    }  # fmt: skip


def test_who_makes_tables_is_the_owner_unless_that_would_take_rights_away() -> None:
    dev = {fact for fact in facts("dev", owned=True) if isinstance(fact, Acts)}
    assert dev == {Acts("ana", "lab_dev_owner")}
    prod = {fact for fact in facts("prod", owned=True) if isinstance(fact, Acts)}
    assert prod == {Acts("chief", "lab_prod_owner")}
    assert {fact.login for fact in facts(owned=True) if isinstance(fact, MakesRoles)} == {"boss", "chief"}


def test_the_owner_of_dev_still_reads_prod() -> None:
    member = Member("lab_prod_viewer", "lab_dev_owner")
    assert member not in facts(owned=True) and member in facts(owned=True, there=frozenset({"lab_dev_owner"}))
    assert member not in facts("dev", owned=True)
    assert member in facts("dev", owned=True, there=frozenset({"lab_prod_viewer"}))


def test_a_developer_makes_tables_in_dev_alone() -> None:
    dev = {fact.privilege for fact in facts("dev", owned=False)
           if isinstance(fact, Right) and fact.holder == "lab_dev_developer" and not fact.table}  # fmt: skip
    assert {"CREATE", "DROP", "ALTER", "REFERENCES"} <= dev and "GRANT OPTION" not in dev
    prod = [fact for fact in facts(owned=False) if isinstance(fact, Right) and fact.holder == "lab_prod_developer"]
    assert prod == []
    assert Member("lab_dev_owner", "lab_dev_developer") in facts("dev", owned=True)
    assert Member("lab_prod_owner", "lab_prod_developer") not in facts(owned=True)


def test_every_right_has_a_reason_and_names_are_short_enough() -> None:
    assert all(facts(owned=owned).values() for owned in (False, True))
    long = Names("a_pipeline_with_a_very_long_name", "prod", 32, False)
    assert {len(name) <= 32 for name in long.marks} == {True} and len(long.marks) == 5
    other = Names("a_pipeline_with_a_very_long_nose", "prod", 32, False)
    assert not set(long.marks) & set(other.marks)
    assert pipeline_name("lab_pipeline", "lab_") == "lab_pipeline" and pipeline_name("my", "lab_") == "lab_my"
