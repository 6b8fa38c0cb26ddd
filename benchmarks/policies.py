"""DataJoint at work in an object store under every role's policy, on a server that decides by it.

    uv run benchmarks/policies.py
    uv run benchmarks/policies.py --server moto

Every role does every operation with every codec in a schema of its own, in one above it and in a foreign one; once
under the policy of a user, once under the one policy of the bucket. What is allowed is told three times, by a table, by
an evaluator and by the server, and must be the same. Then each action is taken out of each policy: an operation must
break that it is there for.

Ceph's gateway is the server where it is installed (`apt-get install radosgw ceph-mon ceph-osd`), else moto, which knows
neither conditions nor who a bucket's policy names, so that lists of foreign names are allowed there.
"""

from __future__ import annotations

import os.path
import sys

# The tests' modules first; this folder last, for its copy.py is not the library's.
sys.path.append(sys.path.pop(0))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))

import argparse
import time

import object_servers
import policies
from policies import CELLS, Cell, Outcome
from servers import started

from datajoint_pipeline.access.policies.needs import ROLES


def main() -> None:
    """Play all of it, and print a few lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=["ceph", "moto"])
    parser.add_argument("--roles", nargs="+", choices=ROLES, default=[*ROLES])
    parser.add_argument("--mutations", action="store_true", help="only take actions out of policies")
    options = parser.parse_args()
    opened = {"ceph": object_servers.ceph, "moto": object_servers.moto, None: object_servers.started}[options.server]
    problems: list[str] = []
    with (
        opened() as server,
        started("postgresql") as (_, databases),
        policies.world(server, databases["postgresql"]) as world,
    ):
        begun = time.monotonic()
        cells = [cell for cell in CELLS if server.ceph or not policies.needs_conditions(cell)]
        traced = policies.traces(world, cells)
        accounts = {role: server.account(f"some-{role}") for role in options.roles}
        print(f"{type(server).__name__}: {len(cells)} cells for each of {len(options.roles)} roles")
        for role, account in accounts.items() if not options.mutations else ():
            server.give(account, policies.identity(role, server))
            told = policies.play(world, account, role, policies.identity(role, server), traced)
            problems += report("policy of a user", role, told)
            server.give(account, [])
        if server.ceph and not options.mutations:
            document = policies.bucket(accounts, server)
            server.give_bucket(document)
            for role, account in accounts.items():
                told = policies.play(world, account, role, [document], traced, account.principal)
                problems += report("policy of the bucket", role, told)
            server.give_bucket(None)
        for role, account in accounts.items():
            problems += mutate(world, account, role, traced)
        print(f"{time.monotonic() - begun:.0f} s, {len(problems)} disagreements")
    for problem in problems:
        print(problem)
    sys.exit(bool(problems))


def report(form: str, role: str, told: Outcome) -> list[str]:
    """Print a line of what a role did; the problems."""
    print(
        f"  {form}, {role}: {told.cells} cells, {told.done} done, {told.requests} requests, {len(told.problems)} wrong"
    )
    return [f"{form}: {problem}" for problem in told.problems]


def mutate(
    world: policies.World, account: object_servers.Account, role: str, traced: dict[Cell, list[policies.Request]]
) -> list[str]:
    """Take each action out of a role's policy; the problems."""
    problems = []
    for sid, action, documents in policies.without(policies.identity(role, world.server)):
        broken = policies.broken_by(world, account, role, documents, traced)
        print(f"  {role} without {action} of {sid}: {', '.join(broken.names) or 'nothing breaks'}", end="")
        print(f"; done all the same: {', '.join(broken.done)}" if broken.done else "")
        # Ceph answers whether the bucket is there to who may list it; tests/library/test_policies.py asks moto.
        needed = broken.names or (world.server.ceph and action == "s3:GetBucketLocation")
        problems += [] if needed else [f"{role}: {action} of {sid} is not needed"]
    return problems


if __name__ == "__main__":
    main()
