"""`access`: who may do what on the server, from ``access.toml`` and the foreign keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from ..access import apply as applying
from ..access import model
from ..access.apply import Hand, Outcome, Where
from ..access.model import Access
from ..access.plan import AccessPlan
from ..dialects.rights import Unseen
from ..errors import PipelineError
from ..internals import stores
from ..planner.target import Warn
from ..project import credentials, settings, sites
from ..project.environments import Environment, require_explicit
from ..project.pipeline import Pipeline

#: The folder in ``.secrets/`` with the passwords of accounts that were made.
FOLDER = "accounts"


def plan(pipeline: Pipeline, environment: Environment) -> AccessPlan:
    """Compare the server with what is wanted; changes nothing.

    Raises
    ------
    PipelineError
        If ``access.toml`` has mistakes, the environment has no accounts, or this account may not see those of others.
    """
    return applying.plan(place(pipeline, environment))


def apply(
    pipeline: Pipeline,
    environment: Environment,
    *,
    show: Hand | None = None,
    report: Callable[[str], None] = lambda text: None,
    warn: Warn = lambda text: None,
) -> Outcome:
    """Bring the server to what is wanted, with a record.

    Parameters
    ----------
    pipeline, environment
        Where.
    show : callable, optional
        Called with the login and the password of each account that is made; without it, passwords are written to files
        (:func:`password_file`).
    report : callable, optional
        Called with each statement.
    warn : callable, optional
        Called with what is waited for.

    Raises
    ------
    PipelineError
        As :func:`plan`; or if a statement is refused.
    """
    require_explicit(pipeline.project, environment, "access apply")
    return applying.apply(place(pipeline, environment, warn), show or keeping(pipeline, environment), report)


def keeping(pipeline: Pipeline, environment: Environment) -> Hand:
    """Give what writes the password of an account to a file that only you can read."""

    def keep(login: str, password: str) -> None:
        path = password_file(pipeline, environment, login)
        for folder in reversed([*path.relative_to(pipeline.project.root).parents][:-1]):
            (pipeline.project.root / folder).mkdir(mode=0o700, exist_ok=True)
        credentials.write(path.parent, path.name, password)

    return keep


def refuse_unwritable(pipeline: Pipeline, environment: Environment) -> None:
    """Raise where no password could be written, before the server is told of a new one that would then be lost."""
    trial = " trial"  # no account's name begins so
    keeping(pipeline, environment)(trial, "x" * 64)
    password_file(pipeline, environment, trial).unlink()


def password_file(pipeline: Pipeline, environment: Environment, login: str) -> Path:
    """Give the file that an account's password is written to, whatever characters its name has.

    On another server than that of ``dev`` and ``prod``, somebody of the same login has another password.
    """
    folder = pipeline.project.root / ".secrets"
    if environment.site is not None:
        config = settings.load(pipeline.project)
        if sites.server(config, environment.site) != sites.server(config):
            folder /= environment.name
    return file_of(folder / FOLDER, login)


def file_of(folder: Path, login: str) -> Path:
    """Give an account's file in a folder.

    Where a file system does not tell capital letters from small ones, that of another account is not overwritten.
    """
    name = quote(login, safe="")
    there = [file.name for file in folder.iterdir()] if folder.is_dir() else []
    if name not in there and name.lower() in (other.lower() for other in there):
        name = "".join(f"%{ord(c):02X}" if c.isascii() and c.isalpha() else c for c in name)
    return folder / name


def remark(pipeline: Pipeline, environment: Environment, *, changed: bool = False) -> str:
    """Say what `access apply` has to do since tables were changed; nothing where that is nothing.

    Nor is anything said where nobody is named in ``access.toml``. Where this account may not see the rights of others,
    it is told who may only after a command that ``changed`` tables.
    """
    root = pipeline.project.root
    if environment.embedded or environment.branch or not (root / model.FILE).is_file():
        return ""
    command = f"{pipeline.project.program} --env {environment.name} access"
    try:
        where = place(pipeline, environment)
        asked = where.access.with_role(environment.name) if environment.site else where.access.accounts
        found = applying.plan(where) if asked else None
    except Unseen as error:
        return f"{error.what} New tables may lack rights: have an admin run {command} apply." if changed else ""
    except PipelineError as error:
        told = model.FILE in f"{error.what} {error.do}"
        return f"{error.what} See {command} plan." if told else ""
    except Exception:  # the command has done its work, and `access plan` says what is wrong with the server
        return ""
    if found is None or found.is_empty:
        return ""
    counts = [(len(found.grants), "missing"), (len(found.revokes), "to be revoked")]
    words = " and ".join(f"{count} {what}" for count, what in counts if count)
    rights = [f"Rights: {words}."] if words else []
    return " ".join([*rights, *found.audit.words, f"Run {command} apply."])


def place(pipeline: Pipeline, environment: Environment, warn: Warn = lambda text: None) -> Where:
    """Give the pipeline on a server, and what ``access.toml`` says."""
    refuse_embedded(pipeline, environment, "access plan")
    refuse_roleless(pipeline, environment, "access plan")
    pipeline.connect(environment)  # a server that does not answer is told before a mistake in the file
    access, project = read(pipeline, environment), pipeline.project
    site, config = environment.site, settings.load(project)  # without what was pointed elsewhere since
    server, database = sites.server(config, site), sites.database(config, site)
    known = dict.fromkeys(model.ENVIRONMENTS) | sites.read(project)
    return Where(
        pipeline.target(environment, warn=warn),
        access,
        project.package,
        project.prefix,
        beside=tuple(name for name, other in known.items() if sites.server(config, other) == server),
        drafts=site is not None and not site.explicit,
        sharing=tuple(name for name, other in known.items() if sites.database(config, other) == database),
    )


def refuse_embedded(pipeline: Pipeline, environment: Environment, command: str) -> None:
    """Raise for the embedded server; ``command`` is what works with another one."""
    if environment.embedded:
        raise PipelineError(
            f"{environment.name} has no accounts.",
            "It is the embedded server of this project, which only you can reach.",
            f"Say which server: {pipeline.project.program} --env prod {command}.",
        )


def refuse_roleless(pipeline: Pipeline, environment: Environment, command: str) -> None:
    """Raise for an environment that ``access.toml`` has no roles of; ``command`` is what works with another one."""
    if environment.site is None and environment.name not in model.ENVIRONMENTS:
        raise PipelineError(
            f"{environment.name} has no roles of its own.",
            "access.toml has roles of dev and of prod; those of dev have the same rights in branches.",
            f"Say which you mean: {pipeline.project.program} --env dev {command}.",
        )


def read(pipeline: Pipeline, environment: Environment) -> Access:
    """Read ``access.toml``; no server is asked.

    The stores of another environment may be others than those that the file speaks of.

    Raises
    ------
    PipelineError
        If there is none, or with every mistake in it.
    """
    return model.read(
        pipeline.project.root / model.FILE,
        backend=pipeline.config["database.backend"],
        schemas=tuple(pipeline.project.versions),
        stores=None if environment.site else stores.names(pipeline.config),
        environments=(*model.ENVIRONMENTS, *sites.read(pipeline.project)),
    )
