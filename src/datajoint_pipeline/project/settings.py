"""DataJoint's configuration as it really takes effect: what is set, by whom, and what is ignored or wrong.

DataJoint keeps its meaning and precedence (environment variables, ``datajoint.json``, ``.secrets/``). Two things are
added: names for store credentials that its guides mention and its code does not read, and a refusal where DataJoint
would drop the rest of a broken file and go on with defaults.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import disk
from ..errors import PipelineError
from ..internals.configuration import configuration, fresh_configuration, ignores_files
from .project import CONFIG_FILE, Project

#: What DataJoint's own template writes where a credential should be, and what guides print.
PLACEHOLDERS = frozenset(
    {"your_username", "your_password", "your_user", "username", "password", "changeme", "change_me", "xxx", "todo"}
)

#: Settings whose environment variable loses to ``datajoint.json``, against DataJoint's documentation.
LOSING = {
    "database.use_tls": "DJ_USE_TLS",
    "safemode": "DJ_SAFEMODE",
    "jobs.auto_refresh": "DJ_JOBS_AUTO_REFRESH",
    "jobs.keep_completed": "DJ_JOBS_KEEP_COMPLETED",
    "jobs.stale_timeout": "DJ_JOBS_STALE_TIMEOUT",
    "jobs.default_priority": "DJ_JOBS_DEFAULT_PRIORITY",
    "jobs.version_method": "DJ_JOBS_VERSION_METHOD",
    "jobs.add_job_metadata": "DJ_JOBS_ADD_JOB_METADATA",
    "provenance.capture": "DJ_PROVENANCE_CAPTURE",
}

VARIABLES = {
    "database.host": "DJ_HOST",
    "database.port": "DJ_PORT",
    "database.user": "DJ_USER",
    "database.password": "DJ_PASS",
    "database.backend": "DJ_BACKEND",
    "database.name": "DJ_DATABASE_NAME",
    "database.create_tables": "DJ_CREATE_TABLES",
    "loglevel": "DJ_LOG_LEVEL",
}

_GROUPS = ("database", "connection", "display", "jobs", "provenance")
CREDENTIALS = ("access_key", "secret_key", "token", "account_key", "connection_string")


@dataclass(frozen=True)
class Setting:
    """A setting, its value as it is shown (credentials masked) and where it comes from."""

    name: str
    value: str
    source: str


@dataclass(frozen=True)
class Problem:
    """Something ignored or wrong. ``fatal`` problems stop every command that connects."""

    id: str
    what: str
    why: str
    do: str
    fatal: bool = False


#: Tells a process and those that it starts that this library keeps DataJoint quiet, and not a person.
_QUIET = "DATAJOINT_PIPELINE_QUIET"


def quiet() -> None:
    """Have DataJoint, once it is imported, say only what is wrong, unless the environment wants to hear more."""
    if "DJ_LOG_LEVEL" not in os.environ:
        os.environ["DJ_LOG_LEVEL"], os.environ[_QUIET] = "WARNING", "1"


def load(project: Project) -> Any:
    """Load DataJoint's configuration of a project; see :func:`configuration`.

    Raises
    ------
    PipelineError
        If ``datajoint.json`` is broken.
    """
    with warnings.catch_warnings():
        # What these warn of is reported in words, as a refusal or by `doctor`.
        warnings.filterwarnings("ignore", message="(?s)(No datajoint.json found|Failed to load config)")
        try:
            import datajoint
        except OSError as error:
            raise PipelineError(
                "A file of the configuration cannot be read.",
                f"{error.filename}: {error.strerror}.",
                "Give this account the right to read it, or set the value by an environment variable.",
            ) from None
        except ValueError as error:
            raise PipelineError(
                "DataJoint refuses its configuration.",
                " ".join(str(error).split()),
                "Correct the environment variable or the file that it names.",
            ) from None
    assert datajoint
    if not ignores_files():
        for problem in file_problems(project):
            if problem.fatal:
                raise PipelineError(problem.what, problem.why, problem.do)
    config = configuration(project.root / CONFIG_FILE, project.root / ".secrets")
    _add_store_credentials(project, config)
    return config


def _add_store_credentials(project: Project, config: Any) -> None:
    default = config.stores.get("default")
    for name, attribute, value, _ in extra_credentials(project, default):
        store = config.stores.get(name)
        if isinstance(store, dict):
            store.setdefault(attribute, value)


def extra_credentials(project: Project, default: str | None) -> Iterator[tuple[str, str, str, str]]:
    """Yield (store, attribute, value, source) for the names that DataJoint's guides mention and it does not read."""
    for variable, value in sorted(os.environ.items()):
        parts = variable.split("__")
        if len(parts) == 3 and parts[0] == "DJ_STORES" and value:
            yield parts[1].lower(), parts[2].lower(), value, f"environment variable {variable}"
    if default:
        for attribute in CREDENTIALS:
            path = project.root / ".secrets" / f"storage.{attribute}"
            if path.is_file() and (value := disk.text(path).strip()):
                yield default, attribute, value, f".secrets/{path.name}"


def _reason(error: Exception) -> str:
    """Give the first complaint of a pydantic error, without its preamble."""
    complaints = error.errors() if hasattr(error, "errors") else []
    return str(complaints[0]["msg"] if complaints else error)


def refuse_placeholders(project: Project, config: Any) -> None:
    """Raise where a credential is a placeholder that nobody replaced."""
    for problem in placeholder_problems(project, config):
        raise PipelineError(problem.what, problem.why, problem.do)


def placeholder_problems(project: Project, config: Any) -> Iterator[Problem]:
    for name in ("user", "password"):
        value = config[f"database.{name}"]
        if value and value.strip().lower() in PLACEHOLDERS:
            source = _source(project, f"database.{name}", flatten(read(project)[0]))
            yield Problem(
                "placeholder",
                f"The database {name} is a placeholder.",
                f"{source} still holds the word that a template put there.",
                f"Run {project.program} secrets to write the real one.",
            )


def read(project: Project) -> tuple[dict[str, Any], str]:
    """Read ``datajoint.json``; where it cannot be read, give no content and the reason."""
    path = project.root / CONFIG_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, ""
    except RecursionError:
        return {}, "it is nested more deeply than Python reads"
    except (OSError, ValueError) as error:
        return {}, str(error)
    return (content, "") if isinstance(content, dict) else ({}, "it is not a JSON object")


def flatten(content: dict[str, Any]) -> dict[str, Any]:
    """Give ``{"database": {"host": …}}`` as ``{"database.host": …}``; stores are left out."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if key == "stores" or key.startswith("stores."):
            continue
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": item for inner, item in value.items()}
        else:
            flat[key] = value
    return flat


def names_server(project: Project) -> bool:
    """Tell whether somebody has said which server ``dev`` and ``prod`` are on, or who uses it."""
    flat = {} if ignores_files() else flatten(read(project)[0])
    host = os.environ.get("DJ_HOST") or flat.get("database.host")
    user = os.environ.get("DJ_USER") or flat.get("database.user")
    return host not in (None, "", "localhost") or bool(user) or (project.root / ".secrets" / "database.user").is_file()


def file_problems(project: Project) -> Iterator[Problem]:
    content, broken = read(project)
    if broken:
        yield Problem(
            "broken-file",
            f"{CONFIG_FILE} cannot be read.",
            f"{broken}; DataJoint would go on with its defaults, on another server.",
            "Correct the file; python -m json.tool datajoint.json shows the place.",
            fatal=True,
        )
        return
    trial = fresh_configuration()
    stores = {"stores": content["stores"]} if "stores" in content else {}
    for key, value in {**flatten(content), **stores}.items():
        group, _, name = key.partition(".")
        known = hasattr(getattr(trial, group, None), name) if name else group in type(trial).model_fields
        if not known:
            yield Problem(
                "unknown-key",
                f"{CONFIG_FILE} sets {key}, which DataJoint does not know.",
                "Unknown settings are ignored without a word.",
                "Correct the name, or take it out.",
            )
            continue
        try:
            trial[key] = value
        except (ValueError, TypeError) as error:
            reason = _reason(error)
            yield Problem(
                "bad-value",
                f"{CONFIG_FILE} gives {key} a value that DataJoint refuses.",
                f"{reason}; it would drop the rest of the file and go on with defaults, on another server.",
                "Correct the value.",
                fatal=True,
            )


def _source(project: Project, key: str, flat: dict[str, Any]) -> str:
    if key == "loglevel" and _QUIET in os.environ:
        return "this command"
    variable = VARIABLES.get(key)
    if variable and os.environ.get(variable):
        return f"environment variable {variable}"
    losing = LOSING.get(key)
    if key in flat:
        return CONFIG_FILE
    if losing and losing in os.environ:
        return f"environment variable {losing}"
    if (project.root / ".secrets" / key).is_file():
        return f".secrets/{key}"
    return "DataJoint's default"


def sources(project: Project, config: Any) -> list[Setting]:
    """Give every setting with its value, credentials masked, and where it comes from."""
    flat = flatten(read(project)[0])
    found = []
    for group in _GROUPS:
        for name in type(getattr(config, group)).model_fields:
            key = f"{group}.{name}"
            value = config[key]
            shown = "(set)" if key == "database.password" and value else "" if value is None else str(value)
            found.append(Setting(key, shown, _source(project, key, flat)))
    for key in ("loglevel", "safemode", "query_cache", "download_path"):
        found.append(Setting(key, str(config[key]), _source(project, key, flat)))
    in_variable = bool(os.environ.get("DJ_STORES"))
    extra = {
        (store, name): source for store, name, _, source in extra_credentials(project, config.stores.get("default"))
    }
    in_file = read(project)[0].get("stores", {})
    for store, spec in config.stores.items():
        for name, value in spec.items() if isinstance(spec, dict) else [("", spec)]:
            key = f"stores.{store}" + (f".{name}" if name else "")
            # What is no store at all may be a key that was put in a wrong place.
            named = name or store in ("default", "filepath_default")
            shown = "(set)" if name in CREDENTIALS or not named else str(value)
            if in_variable:
                source = "environment variable DJ_STORES"
            elif not name or name in (in_file.get(store) or {}):
                source = CONFIG_FILE
            elif (project.root / ".secrets" / key).is_file():
                source = f".secrets/{key}"
            else:
                source = extra.get((store, name), "DataJoint's default")
            found.append(Setting(key, shown, source))
    return found
