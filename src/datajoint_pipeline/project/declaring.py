"""Has DataJoint itself declare the tables of a module."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from .. import server_errors
from ..errors import PipelineError


def declare(package: str, module: str, program: str) -> ModuleType:
    """Import a schema module while its tables may be made, and say in words what DataJoint refuses."""
    import datajoint as dj

    file = f"{module.replace('.', '/')}.py"
    try:
        return import_module(f"{package}.{module}")
    except dj.errors.AccessError as error:
        raise PipelineError(
            f"The tables of {file} could not be made.",
            f"{server_errors.reason(error)}.",
            "Ask for CREATE on the schema and REFERENCES on those above it; docs/access.md has the statements.",
        ) from error
    except Exception as error:
        if server_errors.of(error) is not None:
            raise  # it is not for the definition
        # DataJoint translates most of the drivers' errors, and hands on the others.
        driver = type(error).__module__.partition(".")[0] in ("pymysql", "psycopg2")
        if not driver and not isinstance(error, dj.DataJointError):
            raise
        reason = server_errors.reason(error) if driver else " ".join(str((*error.args, error)[0]).split()).rstrip(".")
        raise PipelineError(
            f"DataJoint refuses a definition in {file}.",
            f"{reason}.",
            f"Correct it and run {program} check.",
        ) from error
