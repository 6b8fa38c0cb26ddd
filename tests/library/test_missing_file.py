"""A MySQL that does not find the file of a table, as after a crash in a rename: it is said what helps."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import Project, Server
from daemons import Mysqld
from living import is_sentence, ok, states
from living import living as made


def test_a_table_whose_file_is_not_found(project: Project, tmp_path: Path) -> None:
    if shutil.which("mysqld") is None:
        pytest.skip("no mysqld on PATH, and this server must be killed and started again")
    (tmp_path / "mysqld").mkdir()
    daemon = Mysqld(tmp_path / "mysqld")
    daemon.start()
    try:
        with made(Server("mysql", "127.0.0.1", daemon.port, "admin", "admin-secret"), project, anew=True) as living:
            life = living.module("life")
            living.replace(life, "    grams : float64  # on that day\n", "    grams : float32\n    note : varchar(8)\n")
            ok(living, "revise", "-m", "notes", "--fill", "Weight.note=none")
            before = states(living)
            files = [path for path in (tmp_path / "mysqld/data/dev_life").iterdir() if path.stem == "weight"]
            daemon.shut_down()
            for path in files:
                path.rename(tmp_path / path.name)
            daemon.start()
            for command in (["migrate"], ["migrate", "--dry-run"]):
                refused = living.run(*command)
                is_sentence(refused)
                assert "does not find the file of a table" in refused.err and "Restart the server" in refused.err
            daemon.shut_down()
            for path in files:
                (tmp_path / path.name).rename(path)
            daemon.start()
            assert states(living) == before
            ok(living, "migrate", "--allow-data-loss")
            assert states(living)["life"][0] == "current"
    finally:
        daemon.stop()
