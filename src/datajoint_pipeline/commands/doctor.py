"""`doctor`: settings and server (:mod:`~datajoint_pipeline.project.doctor`), and what the stores allow this account."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..access import further, model
from ..access.policies import places, trial
from ..errors import PipelineError
from ..internals.stores import folder_missing, how_to_use, names, open_store
from ..project import doctor
from ..project.doctor import Report
from ..project.environments import Environment
from ..project.pipeline import Pipeline
from ..project.settings import Problem
from . import access as access_file
from . import policy


def examine(pipeline: Pipeline, environment: Environment) -> Report:
    """Look at the configuration, then try the server and the stores."""
    report = doctor.examine(pipeline, environment)
    if environment.embedded or any(problem.fatal for problem in report.problems):
        return report
    bad = any(problem.id in ("bad-store", "undefined-store") for problem in report.problems)
    facts: list[str] = []
    problems = [] if bad else list(_stores(pipeline, environment, facts))
    return replace(report, facts=[*report.facts, *facts], problems=[*report.problems, *problems])


def _stores(pipeline: Pipeline, environment: Environment, facts: list[str]) -> Iterator[Problem]:
    """Try each store that the pipeline uses, with this account's keys, as far as its role goes."""
    project = pipeline.project
    try:
        used = policy.uses(pipeline)
        access = access_file.read(pipeline, environment) if (project.root / model.FILE).is_file() else model.Access()
    except PipelineError as error:
        yield Problem("access-file", error.what, error.why, error.do)
        return
    roles = access.with_role(further.ENVIRONMENT if environment.branch else environment.name)
    role = roles.get(str(pipeline.config["database.user"]), "viewer")
    for name, use in used.items():
        try:
            store = policy.read_store(pipeline, name)
            places.refuse_names(store, map(environment.database, use.schemas))
        except PipelineError as error:
            yield Problem("no-policy", error.what, error.why, error.do)
            continue
        endpoint = str(pipeline.config.get_store_spec(name).get("endpoint", ""))
        if endpoint and not trial.reachable(endpoint):
            yield Problem(
                "no-store",
                f"The store {name} cannot be reached.",
                f"Nothing answers at {endpoint} within {trial.PATIENCE} seconds.",
                'Correct its endpoint in "stores" of datajoint.json, or ask who runs it.',
            )
            continue
        try:
            refused = list(
                trial.refusals(
                    open_store(pipeline.config, name), store, policy.needs_of(role, access, use, environment)
                )
            )
        except Exception as error:  # of any of the libraries that stores are opened with
            yield Problem(
                "no-store",
                f"The store {name} cannot be used.",
                f"{type(error).__name__}: {error}",
                how_to_use(pipeline.config, name),
            )
            continue
        if not refused:
            facts.append(f"The store {name} allows what the role {role} needs.")
        for what in ("list", "write"):
            if sections := [refusal.section for refusal in refused if refusal.what == what]:
                yield Problem(
                    "store-refuses",
                    f"The store {name} does not let this account {what} {', '.join(sections)}.",
                    f"Its keys are those of somebody else, or lack the policy of the role {role}.",
                    f"Give the person who runs the store what {project.program} --env {environment.name} access policy "
                    f"--store {name} --role {role} writes.",
                )
    for name in set(names(pipeline.config)) - used.keys():  # the first table that uses it would meet that
        if folder := folder_missing(pipeline.config, name):
            yield Problem(
                "no-store",
                f"The store {name} cannot be used.",
                f"There is no folder {folder} on this machine.",
                how_to_use(pipeline.config, name),
            )
