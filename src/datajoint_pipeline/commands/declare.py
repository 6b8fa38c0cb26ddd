"""The process in which `check` declares the tables: ``python -m datajoint_pipeline.commands.declare my_pipeline``."""

from __future__ import annotations

import json
import os
import sys

from ..errors import PipelineError
from ..project.pipeline import Pipeline


def main(package: str) -> None:
    """Make every table in the environment ``test``, and write what stands against it as one JSON document."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answer:
        os.dup2(2, 1)  # a module that prints, prints to standard error
        error = None
        try:
            Pipeline.load(package).initialize("test")
        except PipelineError as refused:
            error = {"what": refused.what, "why": refused.why, "do": refused.do}
        json.dump({"error": error}, answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
