"""Configuration as DataJoint really reads it, what the project reads besides, and what `doctor` says of the rest."""

from __future__ import annotations

import json
import stat
from typing import Any

import pytest
from conftest import Project


@pytest.fixture
def configured(project: Project) -> Project:
    project.environment["MY_PIPELINE_ENV"] = "dev"
    return project


def edit(project: Project, **changes: Any) -> None:
    config = json.loads(project.read("datajoint.json"))
    for key, value in changes.items():
        group, _, name = key.partition("__")
        if name:
            config.setdefault(group, {})[name] = value
        else:
            config[group] = value
    project.write("datajoint.json", json.dumps(config))


def doctor(project: Project, **variables: str) -> dict[str, Any]:
    result = project.run("doctor", "--json", **variables)
    assert "Traceback" not in result.err
    report: dict[str, Any] = result.json
    assert result.code == (1 if report["problems"] else 0)
    return report


def problems(project: Project, **variables: str) -> set[str]:
    return {problem["id"] for problem in doctor(project, **variables)["problems"]} - {"no-connection"}


def setting(project: Project, name: str, **variables: str) -> tuple[str, str]:
    found = {s["name"]: (s["value"], s["source"]) for s in doctor(project, **variables)["settings"]}
    return found[name]


STORE = {"default": "main", "main": {"protocol": "s3", "endpoint": "s3.example.org", "bucket": "b", "location": "l"}}


def test_default_project_has_no_problem_but_its_server(configured: Project) -> None:
    assert problems(configured) == set()
    assert problems(configured, MY_PIPELINE_ENV="local") == set()


def test_who_has_run_doctor_is_not_told_to_run_it(configured: Project) -> None:
    found = doctor(configured, DJ_HOST="127.0.0.1", DJ_PORT="1", DJ_USER="u", DJ_PASS="p")["problems"]
    (advice,) = [problem["do"] for problem in found if problem["id"] == "no-connection"]
    assert "host and port in DJ_HOST and DJ_PORT are right, or" in advice and "doctor" not in advice


def test_every_setting_says_where_it_comes_from(configured: Project) -> None:
    assert setting(configured, "database.host") == ("localhost", "datajoint.json")
    assert setting(configured, "database.host", DJ_HOST="db") == ("db", "environment variable DJ_HOST")
    assert setting(configured, "jobs.version_method") == ("git", "datajoint.json")
    assert setting(configured, "provenance.capture") == ("True", "datajoint.json")
    assert setting(configured, "database.reconnect") == ("True", "DataJoint's default")
    configured.write(".secrets/database.user", "somebody\n")
    assert setting(configured, "database.user") == ("somebody", ".secrets/database.user")


def test_passwords_and_keys_are_masked(configured: Project) -> None:
    configured.write(".secrets/database.password", "hush-hush\n")
    configured.write(".secrets/stores.main.secret_key", "hush-key\n")
    edit(configured, stores=STORE)
    shown = configured.run("doctor")
    machine = configured.run("doctor", "--json")
    for text in (shown.out, shown.err, machine.out, machine.err):
        assert "hush" not in text
    assert setting(configured, "database.password") == ("(set)", ".secrets/database.password")
    assert setting(configured, "stores.main.secret_key") == ("(set)", ".secrets/stores.main.secret_key")


@pytest.mark.parametrize(
    ("changes", "variables", "expected"),
    [
        ({"loglevel": "info"}, {}, "broken-file"),
        ({"database__port": "many"}, {}, "broken-file"),
        ({"database__hots": "x"}, {}, "unknown-key"),
        ({"colour": "blue"}, {}, "unknown-key"),
        ({"safemode": False}, {"DJ_SAFEMODE": "true"}, "losing-variable"),
        ({"database__use_tls": None}, {"DJ_USE_TLS": "true"}, "losing-variable"),
        ({}, {"DJ_PASSWORD": "x"}, "ignored-variable"),
        ({"database__create_tables": True}, {}, "create-tables"),
        ({"stores": {**STORE, "default": "other"}}, {}, "undefined-store"),
        ({"stores": {"default": "main", "main": {"protocol": "s3", "location": "l"}}}, {}, "bad-store"),
        ({"stores": {"default": "main", "main": {**STORE["main"], "typo": 1}}}, {}, "bad-store"),  # type: ignore[dict-item]
        ({"stores.default": "main"}, {}, "dotted-default"),
    ],
)
def test_each_trap_is_named(
    configured: Project, changes: dict[str, Any], variables: dict[str, str], expected: str
) -> None:
    edit(configured, **changes)
    assert problems(configured, **variables) == {expected}


def test_store_that_a_definition_uses_and_nobody_defined_is_named(configured: Project) -> None:
    configured.replace(configured.module("imaging"), "fluorescence : <blob>", "fluorescence : <blob@raw>")
    assert problems(configured) == {"undefined-store"}
    folder = configured.folder / "data"
    folder.mkdir()  # doctor tries whether it can be used
    edit(configured, stores={"default": "raw", "raw": {"protocol": "file", "location": str(folder)}})
    assert problems(configured) == set()
    configured.replace(configured.module("imaging"), "<blob@raw>", "<blob@>")
    assert problems(configured) == set()
    edit(configured, stores={"raw": {"protocol": "file", "location": str(folder)}})
    assert problems(configured) == {"undefined-store"}


def test_port_of_mysql_for_postgresql_is_named(configured: Project) -> None:
    config = json.loads(configured.read("datajoint.json"))
    config["database"] = {"backend": "postgresql", "host": "localhost", "create_tables": False}
    configured.write("datajoint.json", json.dumps(config))
    assert problems(configured) == {"mysql-port"}


#: More brackets than Python's reader of JSON goes into.
DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000


@pytest.mark.parametrize("text", ["{", "[]", '{"database": {"port": "x"}}', '{"loglevel": "info"}', DEEP], ids=range(5))
def test_broken_file_stops_every_command_that_connects(configured: Project, text: str) -> None:
    configured.write("datajoint.json", text)
    result = configured.run("status", DJ_HOST="127.0.0.1", DJ_PORT="1", DJ_USER="u", DJ_PASS="p")
    assert result.code == 1
    assert "datajoint.json" in result.err and "Cannot connect" not in result.err
    assert len(result.err.splitlines()) == 3 and max(map(len, result.err.splitlines())) < 300


def test_secrets_that_datajoint_ignores_are_named(configured: Project) -> None:
    configured.write(".secrets/datajoint.json", "{}")
    (configured.folder / ".secrets/datajoint.json").chmod(0o600)
    assert problems(configured) == {"ignored-secret"}
    (configured.folder / ".secrets/datajoint.json").chmod(0o644)
    assert problems(configured) == {"ignored-secret", "open-secret"}


def test_placeholder_is_never_a_credential(configured: Project) -> None:
    configured.write(".secrets/database.user", "your_username\n")
    configured.write(".secrets/database.password", "your_password\n")
    for name in ("user", "password"):
        (configured.folder / f".secrets/database.{name}").chmod(0o600)
    assert problems(configured) == {"placeholder"}
    result = configured.run("status")
    assert result.code == 1 and "placeholder" in result.err and ".secrets/database.user" in result.err


@pytest.mark.parametrize("attribute", ["access_key", "secret_key"])
def test_names_of_the_guides_are_read_and_said(configured: Project, attribute: str) -> None:
    edit(configured, stores=STORE)
    other = {"access_key": "secret_key", "secret_key": "access_key"}[attribute]
    configured.write(f".secrets/stores.main.{other}", "from-datajoint\n")
    configured.write(f".secrets/storage.{attribute}", "from-guide\n")
    code = f"from my_pipeline import pipeline; print(pipeline.config.stores['main']['{attribute}'])"
    assert configured.python("-c", code).out.split()[-1] == "from-guide"
    assert setting(configured, f"stores.main.{attribute}")[1] == f".secrets/storage.{attribute}"
    variable = {f"DJ_STORES__MAIN__{attribute.upper()}": "from-variable"}
    assert configured.python("-c", code, **variable).out.split()[-1] == "from-variable"
    # DataJoint's own name stands above both.
    configured.write(f".secrets/stores.main.{attribute}", "from-datajoint\n")
    assert configured.python("-c", code, **variable).out.split()[-1] == "from-datajoint"


def test_configuration_is_found_from_any_working_directory(configured: Project, tmp_path: Any) -> None:
    edit(configured, database__host="db.example.org")
    configured.write(".secrets/database.user", "somebody\n")
    code = (
        "import os; os.chdir('/'); from my_pipeline import pipeline\n"
        "c = pipeline.config; print(c['database.host'], c['database.user'])"
    )
    assert configured.python("-c", code).out.split()[-2:] == ["db.example.org", "somebody"]
    assert configured.python("-c", code, DJ_HOST="other").out.split()[-2] == "other"


def test_secrets_are_written_for_their_owner_alone(configured: Project) -> None:
    result = configured.run("secrets", stdin="somebody\nhush hush\n")
    assert result.code == 0, result.err
    assert "hush" not in result.out + result.err
    assert configured.read(".secrets/database.user") == "somebody\n"
    assert configured.read(".secrets/database.password") == "hush hush\n"
    assert stat.S_IMODE((configured.folder / ".secrets").stat().st_mode) == 0o700
    for name in ("user", "password"):
        assert stat.S_IMODE((configured.folder / f".secrets/database.{name}").stat().st_mode) == 0o600
    # An empty answer leaves what is there.
    assert configured.run("secrets", stdin="\n\n").out.strip() == "Nothing was changed."
    assert configured.read(".secrets/database.user") == "somebody\n"


def test_secrets_refuses_a_name_that_datajoint_would_not_read(configured: Project) -> None:
    for name in ("storage.access_key", "../outside", "database.host", "stores.main"):
        result = configured.run("secrets", name, stdin="x\n")
        assert result.code == 1 and "DataJoint reads" in result.err.replace("It reads", "DataJoint reads"), name
    assert configured.run("secrets", "stores.main.access_key", stdin="x\n").code == 0
