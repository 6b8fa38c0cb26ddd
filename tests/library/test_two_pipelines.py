"""Two projects in one interpreter: each has its own database, configuration, guard and environment."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Project, Server

#: Sample rows of `first` on its embedded server, other rows of `second` on a server; then what each of them has.
BOTH = """
import json
import datajoint as dj
import first, second

first.pipeline.select("local")
second.pipeline.select("dev")
first.initialize()
second.initialize()
from first import subject as ours, ephys as recordings
from second import subject as theirs
ours.Subject.insert1({"subject_id": "M001", "species": "mouse"})
theirs.Subject.insert1({"subject_id": "R007", "species": "rat"})
one, two = first.pipeline.connect(), second.pipeline.connect()
print("@@" + json.dumps({
    "rows": [ours.Subject.to_dicts(), theirs.Subject.to_dicts()],
    "servers": [one.adapter.backend, two.adapter.backend],
    "names": [ours.schema.database, theirs.schema.database],
    "apart": one is not two and one._config is not two._config,
    "own": [ours.Subject.connection is one, theirs.Subject.connection is two],
    "stores": [one._config.stores["main"]["location"], two._config.stores["main"]["location"]],
    "environments": [p.select().name for p in (first.pipeline, second.pipeline)],
    "datajoint": dj.conn() is one,
    "refused": [],
}, default=str))
"""


@pytest.fixture
def both(tmp_path: Path, render: Callable[..., Path], server: Server) -> Project:
    """Two projects with a folder as store, one beside the other; the second one's `dev` is a real server."""
    folders = {}
    for name in ("first", "second"):
        host = {"backend": server.backend, "database_host": server.host, "database_port": str(server.port)}
        store = {"store": "file", "store_location": str(tmp_path / f"store_of_{name}")}
        folders[name] = render(tmp_path / name, project_name=name, **host, **store)
        (tmp_path / f"store_of_{name}").mkdir()
    project = Project(folders["first"], "first")
    project.environment = {
        "PYTHONPATH": ":".join(str(folder / "src") for folder in folders.values()),
        "DJ_USER": server.user,
        "DJ_PASS": server.password,
    }
    return project


def test_two_pipelines_do_not_disturb_each_other(both: Project, server: Server) -> None:
    try:
        result = both.python("-c", BOTH)
        assert result.code == 0, result.err
        found = json.loads(result.out.partition("@@")[2])
        assert [[row["subject_id"] for row in rows] for rows in found["rows"]] == [["M001"], ["R007"]]
        assert found["servers"] == ["postgresql", server.backend]
        assert found["names"] == ["subject", "dev_subject"]
        assert found["apart"] and found["own"] == [True, True]
        ours, theirs = found["stores"]
        assert ours.endswith(".local/stores/pipeline/main") and theirs.endswith("store_of_second")
        assert found["environments"] == ["local", "dev"]
        assert found["datajoint"], "the first that connects is DataJoint's own connection"
    finally:
        both.run("local", "stop")
        server.drop(*(f"dev_{name}" for name in ("analysis", "imaging", "ephys", "session", "subject")))
