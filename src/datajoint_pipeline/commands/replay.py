"""The process in which `check` applies migrations: ``python -m datajoint_pipeline.commands.replay PACKAGE FILE``."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from ..executor.replay import replay
from ..project.pipeline import Pipeline
from ..schema.model import TableName


def main(package: str, contents: str) -> None:
    """Write what was found in the environment ``test`` as one JSON document; nothing else gets to standard output.

    The file ``contents`` has the rows that Lookup tables come with: schema, table, rows.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answer:
        os.dup2(2, 1)  # a migration that prints, prints to standard error
        pipeline = Pipeline.load(package)
        rows = json.loads(Path(contents).read_text(encoding="utf-8"))
        known = {TableName(schema, table): listed for schema, table, listed in rows}
        found = replay(pipeline.target(pipeline.select("test")), known)
        json.dump([asdict(finding) for finding in found], answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
