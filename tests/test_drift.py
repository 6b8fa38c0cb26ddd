"""What is changed behind the engine's back is seen by `status`, and named in DataJoint's words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import Project, Server
from test_servers import SCHEMAS, drop

#: What somebody does on the server, on MySQL and on PostgreSQL, and what is said of it.
MUTATIONS = [
    (
        "ALTER TABLE `dev_subject`.`subject` DROP COLUMN `species`",
        'ALTER TABLE "dev_subject"."subject" DROP COLUMN "species"',
        "Subject lacks the attribute species.",
    ),
    (
        "ALTER TABLE `dev_session`.`session` ADD COLUMN `extra` int",
        'ALTER TABLE "dev_session"."session" ADD COLUMN "extra" int',
        "Session has an attribute extra that the code does not have.",
    ),
    (
        "CREATE INDEX `mine` ON `dev_session`.`session` (`experimenter`)",
        'CREATE INDEX "mine" ON "dev_session"."session" ("experimenter")',
        "Session has an index (experimenter) that the code does not have.",
    ),
    (
        "ALTER TABLE `dev_imaging`.`_scan` MODIFY `frame_rate` float NOT NULL COMMENT ':float64:frames per second'",
        'ALTER TABLE "dev_imaging"."_scan" ALTER "frame_rate" TYPE real',
        "Scan has `frame_rate : float64, stored as ",
    ),
    (
        "CREATE TABLE `dev_analysis`.`loose` (`a` int PRIMARY KEY)",
        'CREATE TABLE "dev_analysis"."loose" ("a" int PRIMARY KEY)',
        "Loose is a table that the code does not have.",
    ),
    (
        "ALTER TABLE `dev_ephys`.`#probe` COMMENT = 'other'",
        """COMMENT ON TABLE "dev_ephys"."#probe" IS 'other'""",
        "Probe says 'other' of itself instead of 'A kind of probe'.",
    ),
]


@pytest.fixture
def made(server: Server, project: Project) -> Iterator[Project]:
    project.environment |= server.variables
    assert project.run("init").code == 0
    yield project
    drop(server, *(f"dev_{name}" for name in reversed(SCHEMAS)))


def test_every_mutation_is_seen_and_named(made: Project, server: Server) -> None:
    assert made.run("status").code == 0
    for mysql, postgresql, said in MUTATIONS:
        server.execute(mysql if server.backend == "mysql" else postgresql)
        result = made.run("status", "--json")
        texts = [text for schema in result.json["schemas"] for text in schema["drift"]]
        assert result.code == 4, said
        assert any(text.startswith(said) for text in texts), (said, texts)
    assert {schema["state"] for schema in result.json["schemas"]} == {"drifted"}
    shown = made.run("status")
    assert "drifted" in shown.out and "lacks the attribute species" in shown.out
    # Code that finds its columns can go on; whoever mends the database is told by `status` what to mend.
    assert made.python("-c", "import my_pipeline.session").code == 0


def test_use_is_no_drift(made: Project) -> None:
    code = (
        "import datetime; from my_pipeline import ephys, session, subject\n"
        "subject.Subject.insert1({'subject_id': 'M001'})\n"
        "session.Session.insert1({'subject_id': 'M001', 'session_id': 1, 'session_start': datetime.datetime(2026, 1, 1)})\n"
        "ephys.Recording.populate(reserve_jobs=True)\n"
    )
    assert made.python("-c", code).code == 0
    assert made.run("status").code == 0
