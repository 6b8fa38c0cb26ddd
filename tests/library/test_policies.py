"""Policies of object stores: what they say, and what DataJoint can do under them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import datajoint.storage
import object_servers
import policies
import pytest
from azure_conditions import Condition
from conftest import Server
from living import in_words
from policies import CELLS, KINDS, World

from datajoint_pipeline.access.policies import azure, gcs, places, posix, s3
from datajoint_pipeline.access.policies.needs import COLLECTOR, ROLES, Needs, needs
from datajoint_pipeline.errors import PipelineError

SETTINGS = {"protocol": "s3", "bucket": "lab", "location": "dj", "hash_prefix": "_hash", "schema_prefix": "_schema"}


def store(**more: Any) -> places.Store:
    return places.store("main", {**SETTINGS, **more})


def refused(error: pytest.ExceptionInfo[PipelineError]) -> str:
    found = error.value
    assert in_words(f"Error: {found}") and found.why and found.do
    return str(found)


# --- What they say ---------------------------------------------------------------------------------------------------


def test_a_policy_names_schemas_and_never_a_pattern_of_them() -> None:
    """A name that begins like another's is not within it."""
    for role in ROLES:
        for statement in s3.statements(store(), needs(role, ["ephys"], ["session"])):
            prefixes = next(iter(statement.get("Condition", {"": {"s3:prefix": []}}).values()))["s3:prefix"]
            objects = [resource for resource in statement["Resource"] if resource != "arn:aws:s3:::lab"]
            for text in (*objects, *prefixes):
                assert re.search(r"dj/_(hash|schema)/(ephys|session)/\*$", text) and text.count("*") == 1, text
            assert not any("*" in action for action in statement["Action"])


def test_only_the_collector_deletes_and_it_reads_nothing() -> None:
    actions = {
        role: {action for s in s3.statements(store(), needs(role, ["ephys"])) for action in s["Action"]}
        for role in ROLES
    }
    assert actions.pop(COLLECTOR) == {"s3:DeleteObject", "s3:ListBucket"}
    assert not any("s3:DeleteObject" in found for found in actions.values())
    assert actions["viewer"] == {"s3:GetObject", "s3:ListBucket"}


def test_branches_of_dev_have_a_folder_and_who_drops_them_deletes_there() -> None:
    place = "arn:aws:s3:::lab/dj/_branches/*"

    def allowed(role: str, action: str) -> bool:
        found = s3.statements(store(location="dj"), needs(role, ["dev_a"], branches=True))
        return any(action in statement["Action"] and place in statement["Resource"] for statement in found)

    for role in ("viewer", "analyst", "operator", "developer", "admin"):
        assert allowed(role, "s3:GetObject")
        assert allowed(role, "s3:PutObject") == (role != "viewer")
        assert allowed(role, "s3:DeleteObject") == (role in ("developer", "admin"))
        listed = s3.statements(store(location="dj"), needs(role, ["dev_a"], branches=True))
        prefixes = [text for one in listed if "Condition" in one for text in one["Condition"].popitem()[1]["s3:prefix"]]
        assert prefixes.count("dj/_branches/*") == 1
    assert not any("_branches" in str(s) for s in s3.statements(store(), needs("admin", ["a"])))
    nowhere = s3.statements(store(location="dj"), needs("analyst", [], ["dev_a"], branches=True))
    assert not any("s3:PutObject" in s["Action"] for s in nowhere) and any(place in s["Resource"] for s in nowhere)


def test_files_that_rows_refer_to_are_read_where_they_have_a_place() -> None:
    needed = needs("viewer", ["ephys"], files=True)
    assert "arn:aws:s3:::lab/dj/raw/*" in s3.statements(store(filepath_prefix="raw"), needed)[0]["Resource"]
    assert not any("raw" in resource for resource in s3.statements(store(), needed)[0]["Resource"])


@pytest.mark.parametrize(
    ("settings", "section"),
    [
        ({}, "dj/_hash/ephys/"),
        ({"location": ""}, "_hash/ephys/"),
        ({"location": "a/b"}, "a/b/_hash/ephys/"),
        ({"hash_prefix": "/blobs/v1/"}, "dj/blobs/v1/ephys/"),
        ({"hash_prefix": "", "schema_prefix": ""}, "dj/ephys/"),
        ({"protocol": "file", "location": "/data/dj/"}, "/data/dj/_hash/ephys/"),
    ],
)
def test_a_section_is_where_the_settings_say(settings: dict[str, Any], section: str) -> None:
    assert store(**settings).sections("ephys")[0] == section


@pytest.mark.parametrize(
    "settings",
    [
        {"partition_pattern": "{subject_id}"},
        {"protocol": "webdav"},
        {"bucket": "lab*"},
        {"location": "dj/${aws:username}"},
        {"location": "dj'x"},
        {"schema_prefix": "a?b"},
    ],
)
def test_a_store_for_which_no_policy_can_be_told_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(PipelineError) as error:
        store(**settings)
    refused(error)


@pytest.mark.parametrize("name", ["ephys*", "o'brien", 'a"b', "a${b", "a/b", "_schema"])
def test_a_schema_whose_name_means_something_else_is_refused(name: str) -> None:
    with pytest.raises(PipelineError) as error:
        places.refuse_names(store(hash_prefix=""), [name])
    refused(error)


def test_a_policy_is_split_where_amazon_would_refuse_it_and_a_buckets_is_refused() -> None:
    many = needs("operator", [f"laboratory_of_somebody_{number:02}" for number in range(50)], ["common"])
    documents = s3.identity(store(), many)
    assert len(documents) > 1 and max(map(s3.size, documents)) <= s3.IDENTITY_LIMIT
    whole = {text for s in s3.statements(store(), many) for text in s["Resource"]}
    assert {text for d in documents for s in d["Statement"] for text in s["Resource"]} == whole
    with pytest.raises(PipelineError) as error:
        s3.bucket(store(), [many] * 2, {"operator": ["arn:aws:iam::1:role/a"]})
    assert "20,480" in refused(error)


# --- Google and Azure ------------------------------------------------------------------------------------------------

#: `resource.name.startsWith('…')`, or the beginning that a list asks for.
_OPERAND = re.compile(
    r"(?:(?P<name>resource\.name)|api\.getAttribute\('storage\.googleapis\.com/objectListPrefix', ''\))"
    r"\.startsWith\('(?P<begin>[^'\\]*)'\)"
)


def holds(expression: str, name: str = "", asked: str = "") -> bool:
    """Whether a condition of Google's holds for an object, or for a list."""
    full = f"projects/_/buckets/lab/objects/{name}" if name else "projects/_/buckets/lab"
    operands = [_OPERAND.fullmatch(part) for part in expression.split(" || ")]
    assert all(operands)
    return any((full if o["name"] else asked).startswith(o["begin"]) for o in operands if o)


@pytest.mark.parametrize("role", ROLES)
def test_google_is_told_the_same(role: str) -> None:
    needed = needs(role, ["ephys"], ["session"])
    bindings = gcs.bindings(store(protocol="gcs"), needed, "projects/p/roles/lab", ["group:a@example.org"])
    allowed: dict[str, list[str]] = {}
    for binding in bindings:
        use = binding["role"].rpartition("_")[2]
        for permission in gcs.PERMISSIONS[use]:
            allowed.setdefault(permission, []).append(binding["condition"]["expression"])

    def may(permission: str, database: str) -> bool:
        name = f"dj/_hash/{database}/ab"
        texts = allowed.get(permission, [])
        if permission.endswith("list"):
            return any(holds(text, asked=name) for text in texts)
        return any(holds(text, name) for text in texts)

    check_against(needed, lambda use, database: may(f"storage.objects.{use}", database))
    assert not any(holds(text) for texts in allowed.values() for text in texts)  # a list of everything


def check_against(needed: Needs, may: Any) -> None:
    """What may be done in the role's own schema, one above it, and one that is called like the first."""
    for database in ("ephys", "session", "ephys2"):
        reads = database in (*needed.read, *needed.write)
        collects = database in needed.collect
        assert may("get", database) == (reads or collects), database
        assert may("list", database) == (reads or collects), database
        assert may("create", database) == (database in needed.write), database
        assert may("delete", database) == collects, database


def test_google_takes_only_so_many_operators_and_bindings() -> None:
    place = store(protocol="gcs")
    found = gcs.bindings(place, needs("viewer", [f"s{n}" for n in range(50)]), "r", [])
    assert max(b["condition"]["expression"].count("||") for b in found) <= gcs.OPERATORS_LIMIT
    with pytest.raises(PipelineError) as error:
        gcs.bindings(place, needs("viewer", [f"s{n}" for n in range(61)]), "r", [])
    refused(error)


@pytest.mark.parametrize("role", ROLES)
def test_azure_is_told_the_same(role: str) -> None:
    needed = needs(role, ["ephys"], ["session"])
    conditions = azure.conditions(store(protocol="azure", container="lab"), needed)
    actions = {"get": azure.READ, "list": azure.READ, "create": azure.WRITE, "delete": azure.DELETE}

    def may(use: str, database: str) -> bool:
        place = {"prefix" if use == "list" else "path": f"dj/_schema/{database}/x"}
        return any(
            actions[use] in azure.ACTIONS[given]
            and Condition(text).holds(actions[use], "Blob.List" if use == "list" else "", name="lab", **place)
            for given, text in conditions.items()
        )

    check_against(needed, may)
    for text in conditions.values():
        assert not Condition(text).holds(azure.READ, "Blob.List", name="lab") or azure.READ not in text
        assert not Condition(text).holds(azure.WRITE, name="other", path="dj/_hash/ephys/x") or azure.WRITE not in text


def test_azure_takes_only_so_long_a_condition() -> None:
    with pytest.raises(PipelineError) as error:
        azure.conditions(store(protocol="azure", container="lab"), needs("viewer", [f"schema{n}" for n in range(40)]))
    refused(error)


# --- A folder --------------------------------------------------------------------------------------------------------

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setfacl"), reason="asks for root and setfacl")

GROUPS = {"viewer": 61001, "analyst": 61002, COLLECTOR: 61003, "stranger": 61009}


@pytest.fixture
def folder() -> Iterator[places.Store]:
    """A store in a folder with two schemas, of which analysts write one. Groups are numbers: no account is made."""
    with tempfile.TemporaryDirectory(prefix="store-") as name:
        Path(name).chmod(0o755)
        place = store(protocol="file", location=f"{name}/dj")
        analysts = needs("analyst", ["ephys"], ["session"])
        roles = [needs("viewer", ["ephys", "session"]), analysts, needs(COLLECTOR, ["ephys"])]
        commands = posix.commands(place, roles, {role.role: f"lab_{role.role}" for role in roles})
        text = "\n".join(["set -e", *(line for line in commands if not line.startswith("groupadd"))])
        for role, number in GROUPS.items():
            text = text.replace(f"g:lab_{role}:", f"g:{number}:")
        for _ in range(2):  # again changes nothing
            subprocess.run(["sh", "-c", text], check=True, timeout=60)
        yield place


def as_somebody(role: str, who: int, do: Callable[[], Any]) -> Any:
    """What comes of something in a process that has a role's group; its umask is the strictest."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        try:
            os.setgroups([GROUPS[role]])
            os.setgid(60000)
            os.setuid(who)
            os.umask(0o077)
            answer = json.dumps(do())
        except Exception as error:
            answer = json.dumps(f"{type(error).__name__}: {error}")
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answers:
        found = json.loads(answers.read())
    os.waitpid(child, 0)
    return found


@NEEDS_ROOT
def test_folders_are_open_to_the_roles_that_need_them(folder: places.Store) -> None:
    def may(role: str, who: int, database: str) -> Any:
        """Whether one can list and read, write, and delete in a schema's section."""
        section = Path(folder.sections(database)[0])
        old, new = section / "cd" / "old", section / "ab" / f"by-{who}"
        old.parent.mkdir(exist_ok=True)
        old.write_bytes(b"x")

        def one(do: Callable[[], object]) -> bool:
            try:
                do()
            except OSError:
                return False
            return True

        def tried() -> list[bool]:
            read = one(lambda: (os.listdir(section), old.read_bytes()))
            wrote = one(lambda: (new.parent.mkdir(exist_ok=True), new.write_bytes(b"x")))
            return [read, wrote, one(old.unlink)]

        return as_somebody(role, who, tried)

    assert may("analyst", 62002, "ephys") == [True, True, True]  # who writes can delete: folders know no better
    assert may("analyst", 62003, "ephys") == [True, True, True]  # in what a colleague made, too
    assert may("viewer", 62001, "ephys") == [True, False, False]
    assert may("viewer", 62001, "session") == [True, False, False]
    assert may("analyst", 62002, "session") == [True, False, False]
    assert may(COLLECTOR, 62004, "ephys") == [True, True, True]
    assert may(COLLECTOR, 62004, "session") == [False, False, False]
    assert may("stranger", 62009, "ephys") == [False, False, False]


@NEEDS_ROOT
def test_what_datajoint_writes_in_a_folder_can_be_read_by_others(folder: places.Store) -> None:
    """But for files of a folder that only their owner could read before."""
    backend = datajoint.storage.StorageBackend({"protocol": "file", "location": folder.location})
    for who, name in ((62002, "one"), (62003, "two")):
        as_somebody("analyst", who, partial(backend.put_buffer, name.encode(), f"_hash/ephys/ab/{name}"))

    def texts() -> list[str]:
        return [backend.get_buffer(f"_hash/ephys/ab/{name}").decode() for name in ("one", "two")]

    assert as_somebody("viewer", 62001, texts) == ["one", "two"]
    assert as_somebody("analyst", 62003, texts) == ["one", "two"]

    def put_folder() -> None:
        with tempfile.TemporaryDirectory(dir="/tmp") as name:
            for file, mode in (("open", 0o640), ("closed", 0o600)):
                Path(name, file).write_text("x")
                Path(name, file).chmod(mode)
            backend.put_folder(name, "_schema/ephys/scan/value_x")

    as_somebody("analyst", 62002, put_folder)
    place = Path(folder.location, "_schema/ephys/scan/value_x")
    assert as_somebody("viewer", 62001, lambda: [os.access(place / name, os.R_OK) for name in ("open", "closed")]) == [
        True,
        False,
    ]


def test_a_group_that_cannot_be_is_refused() -> None:
    with pytest.raises(PipelineError) as error:
        posix.commands(store(protocol="file"), [needs("viewer", ["a"])], {"viewer": "Łab viewer"})
    refused(error)


# --- At work ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def objects() -> Iterator[object_servers.ObjectServer]:
    with object_servers.moto() as server:
        yield server


@pytest.fixture(scope="module")
def world(objects: object_servers.ObjectServer, postgresql: Server) -> Iterator[World]:
    with policies.world(objects, postgresql) as found:
        yield found


@pytest.fixture(scope="module")
def traced(world: World) -> dict[policies.Cell, list[policies.Request]]:
    """What DataJoint asks for; benchmarks/policies.py plays all roles and kinds, on a server that knows conditions."""
    kept = [cell for cell in CELLS if cell.kind != "upstream" and not policies.needs_conditions(cell)]
    return policies.traces(world, [cell for cell in kept if cell.codec not in ("attach", "hash")])


def test_objects_lie_where_the_policies_say(world: World, traced: dict[policies.Cell, list[policies.Request]]) -> None:
    keys = [item["Key"] for item in world.server.client("s3").list_objects_v2(Bucket="lab")["Contents"]]
    sections = [section for database in KINDS.values() for section in policies.store().sections(database)]
    outside = [key for key in keys if not key.startswith((*sections, "dj/raw/"))]
    assert len(keys) > 20 and not outside


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_a_role_can_do_what_it_is_for_and_nothing_else(
    role: str, world: World, traced: dict[policies.Cell, list[policies.Request]]
) -> None:
    """Not the collector: moto (5.2.5) asks who deletes several objects for a right on the bucket, and for nothing else."""
    account = world.server.account(f"some-{role}")
    documents = policies.identity(role, world.server)
    world.server.give(account, documents)
    told = policies.play(world, account, role, documents, traced)
    assert not told.problems
    assert 0 < told.done < told.cells


@pytest.mark.parametrize("role", ["viewer", "operator", COLLECTOR])
def test_no_action_of_a_policy_is_there_for_nothing(
    role: str, world: World, traced: dict[policies.Cell, list[policies.Request]]
) -> None:
    """By the evaluator; the benchmark asks the server as well."""
    for sid, action, documents in policies.without(policies.identity(role, world.server)):
        broken = [
            cell
            for cell, trace in traced.items()
            if policies.wanted(role, cell) and not policies.predicted(documents, trace, ceph=False)
        ]
        assert broken, f"{action} of {sid}"
