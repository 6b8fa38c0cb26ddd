"""The process in which `check` declares the tables: ``python -m datajoint_pipeline.commands.declare PACKAGE FILE``."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from ..dialects import choice
from ..errors import PipelineError
from ..executor.initialize import initialize
from ..internals.code import Code, of_mysql_alone
from ..project.pipeline import Pipeline


def main(package: str, code: str) -> None:
    """Make every table in the environment ``test``, and write what stands against it as one JSON document.

    The file ``code`` has what was read of the code, which takes a process of its own; it is not read again. In the
    answer, ``error`` says what the embedded server or DataJoint refuses, or is null; ``limits``, what the project's
    server would refuse by its own limits.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answer:
        os.dup2(2, 1)  # a module that prints, prints to standard error
        error, limits = None, []
        try:
            pipeline = Pipeline.load(package)
            known = Code.of(json.loads(Path(code).read_text(encoding="utf-8")))
            target = replace(pipeline.target(pipeline.select("test")), read_code=lambda: known)
            databases, tables = {schema: schema for schema in target.versions}, target.code_tables()
            if not of_mysql_alone(known.backend, tables.values()):
                with pipeline.declaring() as declare:
                    initialize(target, declare)
            for name, refused in choice.refusals(known.backend, databases, tables):
                limits.append((name.schema, refused.what, refused.why, refused.do))
        except PipelineError as refused:
            error = (refused.what, refused.why, refused.do)
        json.dump({"error": error, "limits": limits}, answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
