"""`access policy`, and `doctor` about stores: from a project's files to texts, and a store's word on its keys."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import object_servers
import policies
import pytest
from conftest import Project, Server
from living import filled, is_sentence, ok

LIFE = '''"""What lives here."""

import datajoint as dj

from . import open_schema

schema = open_schema("life")


@schema
class Animal(dj.Manual):
    definition = """
    animal_id : int32
    ---
    photo = null : <attach@main>
    raw = null : <filepath@main>
    """
'''

WORK = '''"""What is made of it."""

import datajoint as dj

from . import life, open_schema

schema = open_schema("work")


@schema
class Scan(dj.Manual):
    definition = """
    -> life.Animal
    ---
    frames = null : <npy@main>
    notes = null : <blob@other>
    """
'''

ACCESS = """
[people.ada]
roles = { dev = "developer" }
[people.bob]
roles = { prod = "analyst" }
[services.rig]
roles = { dev = "operator", prod = "operator" }
[exceptions.analyst]
schemas = ["work"]
[stores.other]
account = "rig"
"""

STORES = {
    "main": {"protocol": "s3", "endpoint": "127.0.0.1:9", "bucket": "lab", "location": "dj", "secure": False},
    "other": {"protocol": "file", "location": "/data/dj"},
}


@pytest.fixture
def own(project: Project) -> Project:
    """A project with two stores and people."""
    project.clear()
    project.write(project.module("life"), LIFE)
    project.write(project.module("work"), WORK)
    versions = '__version__ = "0.1.0"\n\nSCHEMA_VERSIONS = {"life": "1.0.0", "work": "1.0.0"}\n'
    project.write(project.module("version"), versions)
    project.write("access.toml", ACCESS)
    put_stores(project, STORES)
    return project


def put_stores(project: Project, stores: dict[str, Any]) -> None:
    project.write("datajoint.json", json.dumps(json.loads(project.read("datajoint.json")) | {"stores": stores}))


def written(project: Project, *arguments: str, env: str = "prod") -> dict[str, Any]:
    answer = ok(project, "--env", env, "access", "policy", "--json", *arguments).json
    assert answer["environment"] == env
    return {store["name"]: store for store in answer["stores"]}


def test_policies_follow_from_the_file_and_the_graph(own: Project) -> None:
    """No server is asked, of the database or of the store."""
    stores = written(own)
    main, other = stores["main"], stores["other"]
    assert main["server"] == "Amazon S3" and main["account"] == "person"
    found = {policy["role"]: policy["policy"] for policy in main["policies"] if policy["form"] == "identity"}
    # Ada is a viewer of production; nobody is admin there.
    assert list(found) == ["viewer", "analyst", "operator", "collector"]
    puts = {role: sections(document, "s3:PutObject") for role, document in found.items()}
    assert puts["viewer"] == [] and puts["analyst"] == ["dj/_hash/work/*", "dj/_schema/work/*"]
    assert puts["operator"] == [f"dj/{part}/{name}/*" for name in ("life", "work") for part in ("_hash", "_schema")]
    assert sections(found["analyst"], "s3:GetObject") == [
        f"dj/{part}/{name}/*" for name in ("life", "work") for part in ("_hash", "_schema")
    ]
    (bucket,) = (policy["policy"] for policy in main["policies"] if policy["form"] == "bucket")
    arns = {arn for statement in bucket["Statement"] for arn in statement["Principal"]["AWS"]}
    assert "arn:aws:iam::<account>:role/my_pipeline_prod_analyst" in arns
    # No place for files is set, so nothing is said of them; a shared account is what the strongest needs.
    assert any("filepath_prefix" in note for note in main["notes"])
    assert other["account"] == "rig" and any("account of rig" in note for note in other["notes"])
    (commands,) = other["policies"]
    assert "my_pipeline_prod_operator:rwX" in commands["policy"] and "viewer" not in commands["policy"]
    assert "/data/dj/_hash/work" in commands["policy"] and "life" not in commands["policy"]


def sections(document: dict[str, Any], action: str) -> list[str]:
    found = [resource for s in document["Statement"] if action in s["Action"] for resource in s["Resource"]]
    return [resource.removeprefix("arn:aws:s3:::lab/") for resource in found]


def test_dev_has_other_names_and_one_role_can_be_asked_for(own: Project) -> None:
    (policy,) = written(own, "--store", "main", "--role", "developer", "--server", "minio", env="dev")["main"][
        "policies"
    ]
    assert policy["name"] == "main_developer.json"
    assert sections(policy["policy"], "s3:PutObject")[0] == "dj/_hash/dev_life/*"


def test_policies_of_dev_are_about_branches_too(own: Project) -> None:
    for env, there in (("dev", True), ("prod", False)):
        for server in ((), ("--store", "main", "--server", "ceph")):
            assert ("_branches/" in json.dumps(written(own, *server, env=env))) == there
    refused = ok(own, "--env", "branch", "--branch", "feature", "access", "policy", code=1)
    is_sentence(refused)
    assert "--env dev access policy" in refused.err


def test_another_site_has_policies_for_its_own_stores(own: Project) -> None:
    own.write("access.toml", ACCESS + '[people.eve]\nroles = { munich = "viewer" }\n')
    site = '[munich]\nhost = "127.0.0.1"\nport = 9\nprefix = "munich_"\n'
    own.write("environments.toml", site)
    refused = ok(own, "--env", "munich", "access", "policy", code=1)
    is_sentence(refused)
    assert "munich has no store of that name" in refused.err
    own.write("environments.toml", site + '[munich.stores.main]\nprotocol = "file"\nlocation = "/data/munich"\n')
    main = written(own, env="munich")["main"]
    text = main["policies"][0]["policy"]
    assert "/data/munich/_hash/munich_life" in text and "_munich_viewer" in text and "_branches" not in text


def test_each_server_is_told_in_its_words(own: Project) -> None:
    text = json.dumps(written(own, "--store", "main", "--server", "ceph"))
    assert "arn:aws:iam:::user/bob" in text and "arn:aws:iam:::user/my_pipeline_prod_collector" in text
    assert '"AWS": ["bob"]' in json.dumps(written(own, "--store", "main", "--server", "versitygw"))
    for protocol, place in (("gcs", "bucket"), ("azure", "container")):
        put_stores(own, {"main": {"protocol": protocol, place: "lab", "location": "dj"}, "other": STORES["other"]})
        assert written(own, "--store", "main")["main"]["policies"]


def test_policies_are_written_into_files_for_who_runs_the_store(own: Project, tmp_path: Path) -> None:
    done = ok(own, "--env", "prod", "access", "policy", "--output", str(tmp_path / "out"))
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        *("main_analyst.json", "main_bucket.json", "main_collector.json", "main_operator.json", "main_viewer.json"),
        "other.sh",
    ]
    assert json.loads((tmp_path / "out" / "main_viewer.json").read_text())["Version"] == "2012-10-17"
    assert "main_viewer.json" in done.out and ".secrets/stores.main.access_key" in done.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--env", "local", "access", "policy"),
        ("--env", "prod", "access", "policy", "--store", "mian"),
        ("--env", "prod", "access", "policy", "--store", "other", "--server", "ceph"),
    ],
)
def test_what_cannot_be_told_is_refused_in_words(own: Project, arguments: tuple[str, ...]) -> None:
    is_sentence(own.run(*arguments))


def test_a_store_that_is_divided_otherwise_is_refused(own: Project) -> None:
    put_stores(own, {**STORES, "main": {**STORES["main"], "partition_pattern": "{animal_id}"}})
    is_sentence(own.run("--env", "prod", "access", "policy"))


# --- doctor ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def objects() -> Iterator[object_servers.ObjectServer]:
    with object_servers.moto() as server:
        yield server


def test_doctor_tries_the_keys_of_a_store(
    own: Project, postgresql: Server, objects: object_servers.ObjectServer, tmp_path: Path
) -> None:
    """The keys are handed over by `secrets`, in files that DataJoint reads and nobody else may."""
    endpoint = objects.endpoint.removeprefix("http://")
    place = tmp_path / "dj"
    place.mkdir()
    stores = {"main": {**STORES["main"], "endpoint": endpoint}, "other": {"protocol": "file", "location": str(place)}}
    put_stores(own, stores)
    account = objects.account("ada")
    for name, value in (("access_key", account.key), ("secret_key", account.secret)):
        ok(own, "secrets", f"stores.main.{name}", stdin=value + "\n")
        file = own.folder / ".secrets" / f"stores.main.{name}"
        assert file.read_text().strip() == value and stat.S_IMODE(file.stat().st_mode) == 0o600
    postgresql.execute(f"CREATE ROLE rig LOGIN SUPERUSER PASSWORD '{postgresql.password}'")
    with filled(postgresql, own, "pass"):
        names = ("viewer", "developer")
        given = {role: written(own, "--store", "main", "--role", role, env="dev")["main"] for role in names}
        documents = {
            role: [p["policy"] for p in one["policies"] if p["form"] == "identity"] for role, one in given.items()
        }

        def said() -> tuple[list[str], list[str]]:
            report = own.run("doctor", "--json").json
            problems = [p["what"] for p in report["problems"] if p["id"].startswith(("store", "no-store"))]
            return problems, [fact for fact in report["facts"] if fact.startswith("The store main")]

        assert said() == (
            [
                "The store main does not let this account list "
                "dj/_hash/dev_life/, dj/_schema/dev_life/, dj/_hash/dev_work/, dj/_schema/dev_work/."
            ],
            [],
        )
        place.rmdir()
        assert "The store other cannot be used." in said()[0]
        place.mkdir()
        objects.give(account, documents["viewer"])
        assert said() == ([], ["The store main allows what the role viewer needs."])
        own.environment["DJ_USER"] = "rig"
        problems, _ = said()
        assert len(problems) == 1 and "does not let this account write dj/_hash/dev_life/" in problems[0]
        objects.give(account, documents["developer"])
        assert said() == ([], ["The store main allows what the role operator needs."])
        assert "Contents" not in objects.client("s3").list_objects_v2(Bucket=policies.BUCKET)  # and leaves nothing
        objects.give(account, [])
        put_stores(own, {**stores, "main": STORES["main"]})  # whose port nobody listens at
        assert said()[0] == ["The store main cannot be reached."]
    postgresql.execute("DROP ROLE rig")
