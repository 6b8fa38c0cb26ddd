"""Servers of other versions than those that come with the tests, as far as the machine has them, and of other settings
that hold from their first day on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import crash_pipeline
import pytest
from conftest import Project, Server, private_mysql
from daemons import SYSTEM, SystemPostgres, open_folder
from living import is_sentence, ok, states


@contextmanager
def postgres(programs: Path) -> Iterator[Server]:
    """A server from a folder of programs."""
    with open_folder("postgres-") as folder:
        daemon = SystemPostgres(programs, folder)
        daemon.start()
        try:
            yield Server("postgresql", "127.0.0.1", daemon.port, "postgres", "admin-secret")
        finally:
            daemon.stop()


@pytest.mark.skipif(not SYSTEM, reason="no PostgreSQL in /usr/lib/postgresql")
@pytest.mark.parametrize("programs", SYSTEM, ids=lambda path: f"postgresql-{path.parts[4]}")
def test_everything_there_and_back(programs: Path, tmp_path: Path, render: Callable[..., Path]) -> None:
    own = Project(render(tmp_path / "my_pipeline"))
    with postgres(programs) as server:
        own.environment |= {**server.variables, "MY_PIPELINE_ENV": "dev", "DJ_LOG_LEVEL": "ERROR"}
        crash_pipeline.lay(own)
        ok(own, "init")
        crash_pipeline.fill(own, 12)
        ok(own, "status")
        crash_pipeline.evolve(own)
        ok(own, "migrate")
        assert states(own) == {"life": ("current", "2.0.0"), "work": ("current", "2.0.0")}
        ok(own, "rollback", "work", "--to", "1.0.0")
        ok(own, "migrate")
        assert ok(own, "diff").out.count("nothing changed") == 2


@pytest.mark.skipif(shutil.which("mysqld") is None, reason="no mysqld on PATH")
def test_a_server_that_has_names_in_small_letters(tmp_path: Path, project: Project) -> None:
    """There and back; a name that it would have in another spelling is refused."""
    with private_mysql(tmp_path, "--lower-case-table-names=1") as server:
        project.environment |= {**server.variables, "MY_PIPELINE_ENV": "dev", "DJ_LOG_LEVEL": "ERROR"}
        crash_pipeline.lay(project)
        ok(project, "init")
        crash_pipeline.fill(project, 12)
        crash_pipeline.evolve(project)
        ok(project, "migrate")
        ok(project, "rollback", "work", "--to", "1.0.0")
        ok(project, "migrate")
        ok(project, "purge", "--allow-data-loss")
        assert ok(project, "diff").out.count("nothing changed") == 2
        for path in (project.folder / "backups").glob("*-purge-*.zip"):
            ok(project, "restore", str(path))
        ok(project, "purge", "--allow-data-loss", "--no-backup")
        server.execute(*(f"DROP TABLE dev_{schema}.`~migration`" for schema in ("life", "work")))
        ok(project, "adopt")
        assert states(project) == {"life": ("current", "2.0.0"), "work": ("current", "2.0.0")}

        project.replace("src/my_pipeline/__init__.py", 'prefix=""', 'prefix="Lab_"')
        for command in ("init", "status", "migrate"):
            refused = ok(project, command, code=1)
            is_sentence(refused)
            assert "dev_Lab_life is called dev_lab_life" in refused.err and "lower_case_table_names" in refused.err
        assert server.execute("SHOW DATABASES LIKE 'dev_lab%'") == []
