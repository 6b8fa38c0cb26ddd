"""The process in which `check` applies migrations: ``python -m datajoint_pipeline.commands.replay my_pipeline``."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict

from ..executor.replay import replay
from ..project.pipeline import Pipeline


def main(package: str) -> None:
    """Write what was found in the environment ``test`` as one JSON document; nothing else gets to standard output."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answer:
        os.dup2(2, 1)  # a migration that prints, prints to standard error
        pipeline = Pipeline.load(package)
        found = replay(pipeline.target(pipeline.select("test")))
        json.dump([asdict(finding) for finding in found], answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
