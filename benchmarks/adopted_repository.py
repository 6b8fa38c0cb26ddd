"""A lab's own repository, whose tables DataJoint 0.14.10 makes and fills, before and after somebody adopts it.

    uv run benchmarks/adopted_repository.py make REPOSITORY --modules lab.mice,lab.ephys --databases lab_mice,lab_ephys
    uv run benchmarks/adopted_repository.py compare PROJECT --modules lab.mice,lab.ephys
    uv run benchmarks/adopted_repository.py compare REPOSITORY --modules lab.mice,lab.ephys --undone

DJ_HOST, DJ_PORT, DJ_USER and DJ_PASS name the MySQL server. `make` drops the databases, declares the tables of the
modules and makes up rows: values of all types, at the ends of their ranges, NULL, letters of two bytes, blobs of many
kinds, objects in stores. It writes every value, as 0.14.10 fetches it, to --values. A person then adopts the
repository, as the page Adopting says. `compare` fetches from the project by DataJoint 2, on prod, or once the adoption
was taken back by 0.14.10, and says how many values differ. Packages that modules import and that are not installed
are named by --with for 0.14.10; nothing of them is needed to declare tables, so that small stand-ins on PYTHONPATH do.
"""

from __future__ import annotations

import os.path
import sys

# The tests' modules first; this folder last, for its copy.py is not the library's.
sys.path.append(sys.path.pop(0))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from adopted_database import PLAIN

#: Fetches every value of the tables of modules by DataJoint 2, as `legacy_rows.told` does by 0.14.
FETCH = f"""{PLAIN}
import importlib, sys, tempfile
import datajoint as dj
found = {{}}

def take(place):
    for value in list(vars(place).values()):
        if isinstance(value, type) and issubclass(value, dj.Table) and getattr(value, "database", None):
            name = value().full_table_name
            if name not in found:
                rows = value().to_dicts()
                pairs = [[{{n: plain(r[n]) for n in value().primary_key}}, {{n: plain(v) for n, v in r.items()}}] for r in rows]
                found[name] = sorted(pairs, key=lambda pair: json.dumps(pair[0], sort_keys=True))
                take(value)

with tempfile.TemporaryDirectory() as folder, dj.config.override(download_path=folder):
    for name in sys.argv[1].split(","):
        take(importlib.import_module(name))
print(json.dumps({{"values": found}}))
"""  # noqa: E501


def main() -> None:
    """Make a lab's database, or compare what is in one with what was made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("make", "compare"))
    parser.add_argument("folder", type=Path, help="that modules are imported from")
    parser.add_argument("--modules", required=True, metavar="A,B", help="with tables, parents first")
    parser.add_argument("--databases", default="", metavar="A,B", help="that their schemas open")
    parser.add_argument("--charset", default="latin1", help="of the databases, which had latin1 by default once")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings for 0.14 as JSON: stores, custom")
    parser.add_argument("--values", type=Path, default=Path("values.json"), metavar="FILE")
    parser.add_argument("--with", dest="more", action="append", default=[], metavar="PACKAGE", help="for 0.14.10")
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--undone", action="store_true", help="compare with what 0.14.10 fetches")
    options = parser.parse_args()
    if options.what == "make":
        found = old(options, "make")
        options.values.write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
        rows = sum(map(len, found["values"].values()))
        print(f"{len(found['values'])} tables, {rows} rows")
        for name, why in found["refused"].items():
            print(f"  {name} has none: {why or 'a parent has none'}")
        return
    made = json.loads(options.values.read_text(encoding="utf-8"))
    options.databases = options.databases or ",".join({name.split("`")[1] for name in made["values"]})
    sys.exit(not tell(made["values"], (old(options, "read") if options.undone else new(options))["values"]))


def old(options: argparse.Namespace, what: str) -> dict[str, Any]:
    """Have 0.14.10 make the database, or fetch from it."""
    config = {
        "database.host": os.environ["DJ_HOST"],
        "database.port": int(os.environ.get("DJ_PORT", "3306")),
        "database.user": os.environ["DJ_USER"],
        "database.password": os.environ["DJ_PASS"],
        "database.use_tls": False,
        "enable_python_native_blobs": True,
        "safemode": False,
        **(json.loads(options.config.read_text(encoding="utf-8")) if options.config else {}),
    }
    with tempfile.TemporaryDirectory() as folder:
        # Files of `filepath` are put into the store from its stage, and stay there.
        said = {
            **{"what": what, "plain": PLAIN, "config": config, "charset": options.charset, "seed": options.seed},
            **{"path": [str(options.folder.resolve())], "modules": options.modules.split(",")},
            **{"databases": options.databases.split(","), "stage": folder},
        }
        Path(folder, "said.json").write_text(json.dumps(said), encoding="utf-8")
        command = ["uv", "run", "--quiet", "--no-project", "--python", "3.11", "--with", "datajoint==0.14.10"]
        command += [part for package in options.more for part in ("--with", package)]
        script = str(Path(__file__).with_name("legacy_rows.py"))
        return run([*command, "python", "-W", "ignore", script, str(Path(folder, "said.json"))], Path(folder), {})


def new(options: argparse.Namespace) -> dict[str, Any]:
    """Fetch from prod by the project's own modules."""
    package = options.modules.split(",")[0].split(".")[0]
    environment = {f"{package.upper()}_ENV": "prod"}
    return run([sys.executable, "-W", "ignore", "-c", FETCH, options.modules], options.folder, environment)


def run(command: list[str], folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Run a program that prints one document in its last line."""
    path = os.pathsep.join(filter(None, [str(Path(folder).resolve()), os.environ.get("PYTHONPATH")]))
    variables = {name: value for name, value in os.environ.items() if not name.startswith("DJ_") or not environment}
    variables |= {"PYTHONPATH": path, "DJ_USE_TLS": "false", "DJ_LOG_STREAM": "stderr", **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=variables)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def tell(made: dict[str, Any], found: dict[str, Any]) -> bool:
    """Print how many values differ, and the first of them."""
    count, wrong = 0, list[str]()
    for table, rows in made.items():
        there = {json.dumps(key, sort_keys=True): row for key, row in found.get(table, [])}
        if len(there) != len(rows):
            wrong.append(f"{table} has {len(there)} rows, not {len(rows)}")
        for key, row in rows:
            other = there.get(json.dumps(key, sort_keys=True), {})
            count += len(row)
            wrong += [f"{table}.{n} is {other.get(n)!r}, not {v!r}" for n, v in row.items() if other.get(n, ...) != v]
    print(f"{len(made)} tables, {count} values, {len(wrong)} differ")
    for text in wrong[:20]:
        print(f"  {text}")
    return not wrong


if __name__ == "__main__":
    main()
