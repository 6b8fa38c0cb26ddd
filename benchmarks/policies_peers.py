"""Our policies, decided by other people's evaluators: a simulator of AWS IAM, and a library for CEL, Google's language.

    uv run --with cel-python benchmarks/policies_peers.py

The simulator is an npm package (@cloud-copilot/iam-simulate, AGPL: a tool here, no part of anything), installed into a
folder that goes at the end. Each decision must be that of the tests' own evaluator, or follow from the role.
"""

from __future__ import annotations

import os.path
import sys

# The tests' modules first; this folder last, for its copy.py is not the library's.
sys.path.append(sys.path.pop(0))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import iam

from datajoint_pipeline.access.policies import gcs, places, s3
from datajoint_pipeline.access.policies.needs import COLLECTOR, ROLES, needs

SIMULATOR = "@cloud-copilot/iam-simulate@0.1.173"

#: The role's own schema, one above it, and one that is called like the first.
DATABASES = ("ephys", "session", "ephys2")

SETTINGS = {
    "bucket": "lab",
    "location": "dj",
    "hash_prefix": "_hash",
    "schema_prefix": "_schema",
    "filepath_prefix": "raw",
}

PROGRAM = """
import { runSimulation } from '@cloud-copilot/iam-simulate'
import fs from 'fs'
const decided = []
for (const asked of JSON.parse(fs.readFileSync('asked.json'))) {
  const answer = await runSimulation({
    request: {
      principal: 'arn:aws:iam::123456789012:user/somebody',
      action: asked.action,
      resource: { resource: asked.resource, accountId: '123456789012' },
      contextVariables: asked.keys,
    },
    identityPolicies: asked.documents.map((policy, number) => ({ name: `policy-${number}`, policy })),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
  }, {})
  if (answer.errors) throw new Error(JSON.stringify(answer.errors))
  decided.push((answer.overallResult ?? answer.analysis?.result) === 'Allowed')
}
fs.writeFileSync('decided.json', JSON.stringify(decided))
"""


def main() -> None:
    """Ask both, and print a line for each."""
    wrong = simulated() + google()
    sys.exit(bool(wrong))


def simulated() -> int:
    """Ask the simulator; how many decisions differ."""
    cases = list(asked())
    with tempfile.TemporaryDirectory(prefix="simulator-") as name:
        folder = Path(name)
        subprocess.run(["npm", "install", "--silent", "--no-fund", "--prefix", name, SIMULATOR], check=True)
        (folder / "asked.json").write_text(json.dumps([case for case, _ in cases]))
        (folder / "ask.mjs").write_text(PROGRAM)
        subprocess.run(["node", "ask.mjs"], cwd=folder, check=True)
        decided = json.loads((folder / "decided.json").read_text())
    wrong = [case for (case, ours), theirs in zip(cases, decided, strict=True) if ours != theirs]
    for case in wrong:
        print(case["action"], case["resource"], case["keys"])
    count = sum(ours for _, ours in cases)
    print(f"AWS simulator: {len(cases)} requests, {count} allowed, {len(wrong)} decided otherwise")
    return len(wrong)


def asked() -> Iterator[tuple[dict[str, Any], bool]]:
    """Requests under the policies of each role, and what the tests' evaluator says."""
    store = places.store("main", {"protocol": "s3", **SETTINGS})
    bucket = "arn:aws:s3:::lab"
    for role in ROLES:
        documents = s3.identity(store, needs(role, ["ephys"], ["session"], files=True))
        asks = [
            iam.Ask("s3:ListBucket", bucket),
            *(iam.Ask(action, bucket) for action in ("s3:GetBucketLocation", "s3:CreateBucket")),
            iam.Ask("s3:GetObject", f"{bucket}/dj/raw/file"),
        ]
        for section in (section for database in DATABASES for section in store.sections(database)):
            for action in ("GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload"):
                asks.append(iam.Ask(f"s3:{action}", f"{bucket}/{section}x"))
            for prefix in (section, f"{section}ab/", section.rstrip("/"), section.partition("/")[0]):
                asks.append(iam.Ask("s3:ListBucket", bucket, {"s3:prefix": prefix}))
        for ask in asks:
            case = {"action": ask.action, "resource": ask.resource, "keys": dict(ask.keys), "documents": documents}
            yield case, iam.allowed(documents, ask)


def google() -> int:
    """Ask a library for CEL; how many decisions are not those that follow from the role."""
    import celpy

    store, environment = places.store("main", {"protocol": "gcs", **SETTINGS}), celpy.Environment()
    attribute = {"getAttribute": lambda api, name, default: api.get(name, default)}
    count, wrong = 0, 0
    for role in ROLES:
        need = needs(role, ["ephys"], ["session"], files=True)
        programs: dict[str, list[Any]] = {}
        for binding in gcs.bindings(store, need, "lab", []):
            program = environment.program(environment.compile(binding["condition"]["expression"]), functions=attribute)
            for permission in gcs.PERMISSIONS[binding["role"].rpartition("_")[2]]:
                programs.setdefault(permission.rpartition(".")[2], []).append(program)

        def may(permission: str, name: str = "", listed: str | None = None, programs: Any = programs) -> bool:
            known = {} if listed is None else {"storage.googleapis.com/objectListPrefix": listed}
            resource = f"projects/_/buckets/lab{f'/objects/{name}' if name else ''}"
            given = {"resource": celpy.json_to_cel({"name": resource}), "api": celpy.json_to_cel(known)}
            return any(bool(program.evaluate(given)) for program in programs.get(permission, []))

        decided = [(may("list"), False), (may("get", "dj/raw/file"), role != COLLECTOR)]
        for database in DATABASES:
            reads = database in (*need.read, *need.write, *need.collect)
            for section in store.sections(database):
                decided += [
                    (may("get", f"{section}x"), reads),
                    (may("list", listed=section), reads),
                    (may("create", f"{section}x"), database in need.write),
                    (may("delete", f"{section}x"), database in need.collect),
                ]
        count += len(decided)
        wrong += sum(found != expected for found, expected in decided)
    print(f"CEL: {count} decisions, {wrong} wrong")
    return wrong


if __name__ == "__main__":
    main()
