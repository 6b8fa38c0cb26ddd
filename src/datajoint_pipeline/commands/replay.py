"""The process in which `check` applies migrations: ``python -m datajoint_pipeline.commands.replay PACKAGE FILE``."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from ..executor.replay import replay
from ..internals.code import Code
from ..project.pipeline import Pipeline


def main(package: str, code: str) -> None:
    """Write what was found in the environment ``test`` as one JSON document; nothing else gets to standard output.

    The file ``code`` has what was read of the code, with the rows that Lookup tables come with.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answer:
        os.dup2(2, 1)  # a migration that prints, prints to standard error
        pipeline = Pipeline.load(package)
        known = Code.of(json.loads(Path(code).read_text(encoding="utf-8")))
        found = replay(pipeline.target(pipeline.select("test")), known.contents)
        json.dump([asdict(finding) for finding in found], answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
