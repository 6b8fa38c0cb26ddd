"""`access policy`: rights in object stores, printed or written into files."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ..access.policies.needs import ROLES
from ..access.policies.servers import SERVERS
from .access import access
from .common import Options, common, example
from .visible import echo


@access.command("policy", **example("my-pipeline --env prod access policy --server ceph --output policies"))
@click.option("--store", metavar="NAME", default="", help="Only this store.")
@click.option("--role", type=click.Choice(ROLES), help="Only this role.")
@click.option("--server", type=click.Choice(list(SERVERS)), help="What the store is on; s3 means Amazon.")
@click.option(
    "--output",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write them to files in this folder.",
)
@common
def access_policy(options: Options, store: str, role: str | None, server: str | None, output: Path | None) -> None:
    """Write policies for object stores; change nothing there.

    They say what each role may do in the stores. Give them to the person who runs the stores.
    """
    from ..commands import policy

    environment = options.select()
    found = policy.policies(options.pipeline, environment, store=store, role=role or "", server=server or "")
    paths = policy.save(found, output) if output else []
    if options.json:
        files = {"files": [os.path.relpath(path) for path in paths]} if output else {}
        options.print_json({"environment": environment.name, "stores": [one.as_dict() for one in found], **files})
        return
    for one in found:
        echo(f"The store {one.store.name}, on {one.server.title}:", bold=True)
        for note in one.notes:
            echo(f"  {note}")
        if one.secrets:
            echo(f"  Keys are read from {', '.join(f'.secrets/{name}' for name in one.secrets)}.")
        for written in [] if output else one.policies:
            echo(f"\n{written.name} ({written.form}{f' for {written.role}' if written.role else ''})")
            click.echo(written.text)  # to the last character, as somebody else is to use it
    for path in paths:
        echo(f"wrote {os.path.relpath(path)}")
