"""Hotfixes and features that cross, in real repositories and databases: every one arrives, with every row.

Main, feature and hotfix each change the schema ``life``; a merge collides in the snapshot, which side of it is kept
decides whose migration gets the next number, and `renumber` does the rest.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Project, Server, git
from living import FILL, in_words, lay, ok, rows, states
from sampling import whole

GRAMS = "    grams : float64"
MOOD, TAIL = "    mood = null : varchar(8)", "    tail = null : varchar(8)"
SNAPSHOT = "src/my_pipeline/migrations/life/snapshot.txt"

pytestmark = pytest.mark.skipif(not whole(), reason="CI plays what docs/branching.md says instead (test_branching)")


@pytest.fixture
def lab(server: Server, tmp_path: Path, render: Callable[..., Path]) -> Iterator[Project]:
    """A repository with the first versions on main; dev and prod have them, with rows."""
    own = Project(render(tmp_path / "my_pipeline"))
    own.environment |= {**server.variables, "MY_PIPELINE_ENV": "dev", "DJ_LOG_LEVEL": "ERROR"}
    lay(own)
    git(own.folder, "init", "--quiet", "--initial-branch=main")
    server.drop(*databases(server))
    try:
        ok(own, "init")
        ok(own, "revise", "-m", "start")
        ok(own, "--env", "prod", "init")
        for name in ("dev", "prod"):
            assert own.python("-c", FILL, MY_PIPELINE_ENV=name).code == 0
        commit(own, "Start")
        yield own
    finally:
        server.drop(*databases(server))


def databases(server: Server) -> set[str]:
    """Those of dev, prod and of branches."""
    listed = "SELECT schema_name FROM information_schema.schemata"
    return {name for (name,) in server.execute(listed) if name.startswith("dev_") or name in ("work", "life")}


def commit(own: Project, message: str) -> None:
    git(own.folder, "add", "--all")
    git(own.folder, "commit", "--quiet", f"--message={message}")


def change(own: Project, branch: str, start: str, *lines: str) -> None:
    """A branch that adds a line to Weight, with its migration."""
    git(own.folder, "switch", "--quiet", "-c", branch, start)
    for line in lines:
        own.replace(own.module("life"), GRAMS, f"{line}\n{GRAMS}")
        ok(own, "revise", "-m", line.split()[0])
    commit(own, branch)


def merge(own: Project, branch: str, keep: str, *lines: str) -> None:
    """Merge a branch: keep the snapshot and the version of one side, and write the lines of both into the code."""
    base = subprocess.run(
        ["git", "-c", "user.name=Tester", "-c", "user.email=t@example.org", "merge", "--quiet", branch],
        cwd=own.folder,
        capture_output=True,
        text=True,
    )
    assert base.returncode == 1 and "snapshot.txt" in base.stdout, base.stdout
    git(own.folder, "checkout", f"--{keep}", "--", SNAPSHOT, own.module("version"))
    git(own.folder, "checkout", "--ours", "--", own.module("life"))
    text = own.read(own.module("life"))
    for line in (MOOD, TAIL):
        text = text.replace(f"{line}\n", "")
    own.write(own.module("life"), text.replace(GRAMS, "\n".join((*lines, GRAMS))))


def versions(own: Project, env: str) -> dict[str, tuple[str, str | None]]:
    found = own.run("--env", env, "status", "--json").json
    return {s["name"]: (s["state"], s["database_version"]) for s in found["schemas"]}


def arrived(own: Project, *envs: str, version: str = "1.2.0") -> None:
    """Every environment gets there by `migrate` alone, and keeps its rows."""
    ok(own, "check")
    for env in envs:
        ok(own, "--env", env, "migrate")
        assert versions(own, env)["life"] == ("current", version), env
        found = own.python("-c", "from my_pipeline import life\nprint(len(life.Weight()))", MY_PIPELINE_ENV=env)
        assert found.out.strip() == "3", found.err
    same = ok(own, "--env", envs[0], "diff", "--json").json["schemas"]
    assert not [one for one in same if one.get("changes")], same


def files(own: Project) -> list[str]:
    return sorted(path.name for path in (own.folder / SNAPSHOT).parent.glob("*.py"))


@pytest.mark.parametrize("kept", ["ours", "theirs"])
def test_a_hotfix_is_merged_before_a_feature_that_dev_has(lab: Project, kept: str) -> None:
    change(lab, "feature", "main", MOOD)
    ok(lab, "migrate")  # to try it on dev
    change(lab, "hotfix", "main", TAIL)
    ok(lab, "--env", "prod", "migrate")
    git(lab.folder, "switch", "--quiet", "main")
    git(lab.folder, "merge", "--quiet", "--ff-only", "hotfix")
    assert versions(lab, "dev")["life"][0] == "conflict"
    git(lab.folder, "switch", "--quiet", "feature")
    # The line of the migration that comes last stands above, where it was written: before grams.
    merge(lab, "main", kept, *((MOOD, TAIL) if kept == "theirs" else (TAIL, MOOD)))
    assert "renumber life" in ok(lab, "check", code=1).out
    ok(lab, "renumber", "life")
    hotfix_first = kept == "theirs"
    assert files(lab) == (["1.1.0_tail.py", "1.2.0_mood.py"] if hotfix_first else ["1.1.0_mood.py", "1.2.0_tail.py"])
    commit(lab, "Merge")
    assert versions(lab, "dev")["life"][0] == versions(lab, "prod")["life"][0] == "behind"
    arrived(lab, "dev", "prod")


def test_a_hotfix_for_a_version_that_prod_has_and_dev_has_left(lab: Project) -> None:
    start = git(lab.folder, "rev-parse", "HEAD").strip()
    change(lab, "feature", "main", MOOD)
    git(lab.folder, "switch", "--quiet", "main")
    git(lab.folder, "merge", "--quiet", "--ff-only", "feature")
    ok(lab, "migrate")
    # The hotfix begins where prod is, is tried on schemas of its own, and goes to prod from its branch.
    git(lab.folder, "switch", "--quiet", "-c", "hotfix", start)
    ok(lab, "branch", "create")
    lab.replace(lab.module("life"), GRAMS, f"{TAIL}\n{GRAMS}")
    ok(lab, "revise", "-m", "tail", "--bump", "patch")
    commit(lab, "hotfix")
    ok(lab, "--env", "branch", "migrate")
    assert versions(lab, "branch")["life"] == ("current", "1.0.1")
    refused = ok(lab, "migrate", code=5)
    assert in_words(refused.err)
    ok(lab, "--env", "prod", "migrate")
    ok(lab, "branch", "drop", "--yes")
    git(lab.folder, "switch", "--quiet", "main")
    merge(lab, "hotfix", "ours", TAIL, MOOD)
    ok(lab, "renumber", "life")
    assert files(lab) == ["1.1.0_mood.py", "1.1.1_tail.py"]
    commit(lab, "Merge")
    arrived(lab, "dev", "prod", version="1.1.1")


@pytest.mark.parametrize("first", ["one", "two"])
def test_two_features_in_either_order(lab: Project, first: str) -> None:
    change(lab, "one", "main", MOOD)
    ok(lab, "branch", "create", "--at", "dev")
    ok(lab, "--env", "branch", "migrate")
    change(lab, "two", "main", TAIL)
    ok(lab, "branch", "create", "--rows", "2")
    ok(lab, "--env", "branch", "migrate")
    second = {"one": "two", "two": "one"}[first]
    git(lab.folder, "switch", "--quiet", "main")
    git(lab.folder, "merge", "--quiet", "--ff-only", first)
    ok(lab, "migrate")
    git(lab.folder, "switch", "--quiet", second)
    merge(lab, "main", "theirs", *((TAIL, MOOD) if first == "one" else (MOOD, TAIL)))
    ok(lab, "renumber", "life")
    commit(lab, "Merge")
    # The branch's own schemas have had the second alone.
    assert versions(lab, "branch")["life"][0] == "behind"
    ok(lab, "--env", "branch", "migrate")
    assert versions(lab, "branch")["life"] == ("current", "1.2.0")
    arrived(lab, "dev", "prod")
    for name in ("one", "two"):
        ok(lab, "branch", "drop", "--yes", name)


def test_a_feature_is_abandoned_after_dev_had_it(lab: Project) -> None:
    change(lab, "feature", "main", MOOD)
    ok(lab, "migrate")
    git(lab.folder, "switch", "--quiet", "main")
    state = versions(lab, "dev")["life"]
    assert state[0] == "ahead"
    git(lab.folder, "branch", "--quiet", "--delete", "--force", "feature")
    # The record says from which commit it came.
    last = ok(lab, "log", "--json").json["runs"][-1]
    git(lab.folder, "switch", "--quiet", "--detach", last["code_commit"].removesuffix("-dirty"))
    ok(lab, "rollback", "life", "--to", "1.0.0")
    git(lab.folder, "switch", "--quiet", "main")
    assert versions(lab, "dev")["life"] == ("current", "1.0.0")
    change(lab, "other", "main", TAIL)
    arrived(lab, "dev", "prod", version="1.1.0")
    assert rows(lab, "life.Weight.to_dicts()")[0]["tail"] is None
    assert states(lab)["work"][0] == "current"
