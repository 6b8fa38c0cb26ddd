"""`deploy`: files for Slurm, Kubernetes or compose, made from ``workers.toml``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import ExitCode, PipelineError
from .common import Options, common, example, leave, program
from .visible import echo

if TYPE_CHECKING:
    from ..project.environments import Environment

#: As the layer below has them, which is not imported for help.
_ENGINES = ("slurm", "kubernetes", "compose")
_MODES = ("once", "always", "scaled")


@program.command(**example("my-pipeline --env prod deploy slurm --class large"))
@click.argument("engine", type=click.Choice(_ENGINES))
@click.option("--class", "worker_class", metavar="CLASS", default="", help="Only for workers of this class.")
@click.option(
    "--run",
    "mode",
    type=click.Choice(_MODES),
    help="On Kubernetes: once (a Job, until nothing is left to do), always (a Deployment), or scaled (a KEDA "
    "ScaledJob, as many as there is work for).",
)
@click.option("--image", metavar="NAME", default="", help="The container image, with its registry.")
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Write one file instead of those in deploy/; - prints it.",
)
@click.option("--force", is_flag=True, help="Overwrite files that somebody edited.")
@common
def deploy(
    options: Options, engine: str, worker_class: str, mode: str | None, image: str, out: str | None, force: bool
) -> None:
    """Write files that start workers on Slurm or Kubernetes.

    The workers are those of workers.toml; compose is for containers on one machine. The files are yours to edit.
    """
    from ..commands import deploy

    if mode and engine != "kubernetes":
        raise click.UsageError("--run is for kubernetes.")
    environment, project = options.select(), options.pipeline.project
    found = deploy.texts(
        options.pipeline, environment, engine, worker_class=worker_class, mode=mode or "once", image=image
    )
    if out is not None:
        if len(found) > 1 and engine == "slurm":
            raise PipelineError(
                "Nothing was written.",
                f"There are {len(found)} classes of workers, and each needs a script of its own.",
                "Name one with --class, or leave out --out.",
            )
        found = {os.path.basename(out): "---\n".join(found.values())}
        if out == "-":
            if options.json:
                options.print_json({"environment": environment.name, "text": found["-"]})
            else:
                click.echo(found["-"], nl=False)  # to the last character, as a program is to read it
            return
    folder = Path(out).parent if out is not None else project.root / deploy.FOLDER
    written = deploy.write(found, folder, force=force)
    kept = [one for one in written if one.state == "kept"]
    if options.json:
        files = [{"path": os.path.relpath(one.path), "state": one.state, "diff": one.diff or None} for one in written]
        options.print_json({"environment": environment.name, "files": files})
    else:
        for one in written:
            echo(f"{'wrote' if one.state == 'written' else one.state} {os.path.relpath(one.path)}")
        for one in kept:
            echo(f"\n{one.diff}", whole=True)
        if engine == "slurm" and out is None:
            _say_how_to_start(options, environment, [one.path.name for one in written])
    if kept:
        names = ", ".join(os.path.relpath(one.path) for one in kept)
        message = "somebody has edited it, so it was kept as it is"
        echo(f"{names}: {message}. --force overwrites it; the lines above show what would change.", err=True)
        leave(ExitCode.ERROR)


def _say_how_to_start(options: Options, environment: Environment, names: list[str]) -> None:
    """Say which script to give to Slurm; each is for every environment, and is told which one when it starts."""
    where = "dev" if environment.embedded else environment.name
    scripts = " and ".join(f"sbatch deploy/{name} {where}" for name in names)
    unless = f"; workers on other machines cannot reach {environment.name}" if environment.embedded else ""
    echo(f"Next, in the project's folder: {scripts}{unless}.")
    if (options.pipeline.project.root / "deploy" / "worker.sbatch").is_file():
        this = "this file" if len(names) == 1 else "these files"
        own = "deploy/worker.sbatch came with the project, for workers without classes"
        echo(f"{own}: use it, or {this}, not both.")
