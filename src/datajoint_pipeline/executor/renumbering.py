"""Record the version of schemas that have had every migration, where these got other versions in a merge since."""

from __future__ import annotations

import json
from collections.abc import Collection

from packaging.version import Version

from .. import journal
from ..journal import steplog
from ..planner import applied
from ..planner.deployment import Deployment
from . import owners, stepping


def record(deployment: Deployment, chosen: Collection[str]) -> None:
    """Record the versions of some schemas, or of all, that the database has had more of than is recorded.

    Releases up to 0.8.1 left databases so.
    """
    connection, target = deployment.connection, deployment.target
    for name, last in deployment.records.items():
        had, database = deployment.applied[name], deployment.databases[name]
        if (chosen and name not in chosen) or had.left or Version(had.version) <= Version(last.version):
            continue
        with owners.handing_over(connection, [database]), stepping.transaction(connection):
            number = journal.begin(
                connection,
                database,
                kind="migrate",
                version=had.version,
                previous_version=last.version,
                code_commit=target.commit(),
                software=target.software(),
                fingerprint=last.fingerprint,
            )
            text = json.dumps({applied.RENUMBERED: True})
            entry = steplog.Entry(0, "head", steplog.DONE, applied.RENUMBERED, text)
            steplog.write(connection, database, number, [entry])
            journal.finish(connection, database, number)
