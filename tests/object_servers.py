"""Servers of object stores that decide by policies, of the tests' own, on loopback.

Ceph's gateway keeps to all of a policy's language that is ours, for users and for buckets: whole cluster in memory, from
the system's packages `radosgw ceph-mon ceph-osd`. moto comes with the development dependencies; it knows no conditions
(5.2.5: any list is allowed to who may list anything), nor who a bucket's policy names.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemons import free_port

BUCKET = "lab"

#: Programs without which there is no Ceph.
CEPH = ("radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "ceph-authtool", "monmaptool", "ceph")


@dataclass(frozen=True)
class Account:
    """Keys of somebody at a server, and the name that a bucket's policy calls them by."""

    name: str
    key: str
    secret: str
    principal: str


@dataclass
class ObjectServer:
    """A server, who may do everything there, and whether it is Ceph, which knows conditions and who a bucket's policy names."""

    endpoint: str
    admin: Account
    ceph: bool
    policies: dict[str, list[str]] = field(default_factory=dict)

    def client(self, service: str, account: Account | None = None) -> Any:
        import boto3
        from botocore.config import Config

        who = account or self.admin
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            aws_access_key_id=who.key,
            aws_secret_access_key=who.secret,
            region_name="us-east-1",
            config=Config(retries={"max_attempts": 1}, parameter_validation=False),
        )

    def give(self, account: Account, documents: Sequence[dict[str, Any]]) -> None:
        """Let an account have these policies and no others."""
        iam = self.client("iam")
        for name in self.policies.pop(account.name, []):
            iam.delete_user_policy(UserName=account.name, PolicyName=name)
        self.policies[account.name] = [f"policy-{number}" for number, _ in enumerate(documents)]
        for name, document in zip(self.policies[account.name], documents, strict=True):
            iam.put_user_policy(UserName=account.name, PolicyName=name, PolicyDocument=json.dumps(document))

    def give_bucket(self, document: dict[str, Any] | None) -> None:
        """Let the bucket have this policy, or none."""
        s3 = self.client("s3")
        if document is None:
            s3.delete_bucket_policy(Bucket=BUCKET)
        else:
            s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(document))

    def account(self, name: str) -> Account:
        raise NotImplementedError


class Ceph(ObjectServer):
    """Ceph's object gateway."""

    configuration = ""

    def account(self, name: str) -> Account:
        """Make a user."""
        found = Account(name, f"KEY{name.upper()}", f"secret-of-{name}", f"arn:aws:iam:::user/{name}")
        make = ["user", "create", f"--uid={name}", f"--display-name={name}"]
        keys = [f"--access-key={found.key}", f"--secret={found.secret}"]
        caps = ["--caps=user-policy=*"] if name == "admin" else []
        run(["radosgw-admin", "-c", self.configuration, *make, *keys, *caps])
        return found


class Moto(ObjectServer):
    """moto's server, with its authorization switched on."""

    def account(self, name: str) -> Account:
        """Make a user; what is made before the first is not asked for rights."""
        iam = self.client("iam")
        arn = iam.create_user(UserName=name)["User"]["Arn"]
        keys = iam.create_access_key(UserName=name)["AccessKey"]
        return Account(name, keys["AccessKeyId"], keys["SecretAccessKey"], arn)


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60)


def answers(endpoint: str, patience: float = 60) -> None:
    """Wait until a server answers anything."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        with suppress(OSError):
            urllib.request.urlopen(endpoint, timeout=2).close()
            return
        time.sleep(0.1)
    raise AssertionError(f"{endpoint} does not answer")


@contextmanager
def process(command: list[str], log: Path, **more: Any) -> Iterator[None]:
    """A process for a while."""
    with log.open("w") as output:
        running = subprocess.Popen(command, stdout=output, stderr=output, **more)
        try:
            yield
        finally:
            running.terminate()
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


@contextmanager
def moto() -> Iterator[Moto]:
    """A moto server that asks for rights from the second account on."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    with tempfile.TemporaryDirectory(prefix="moto-") as folder:
        command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
        with process(command, Path(folder) / "log", env=environment):
            answers(f"{endpoint}/moto-api/")
            server = Moto(endpoint, Account("", "x", "x", ""), ceph=False)
            server.admin = server.account("admin")
            whatever = {"Effect": "Allow", "Action": "*", "Resource": "*"}
            server.give(server.admin, [{"Version": "2012-10-17", "Statement": [whatever]}])
            server.client("s3").create_bucket(Bucket=BUCKET)
            plain = {"Content-Type": "text/plain"}
            request = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", b"0", plain, method="POST")
            urllib.request.urlopen(request).close()
            yield server


@contextmanager
def ceph() -> Iterator[Ceph]:
    """A Ceph of a monitor, a disk in memory, and a gateway."""
    monitor, gateway = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="ceph-") as name, ExitStack() as stack:
        folder = Path(name)
        for part in ("mon", "osd", "run"):
            (folder / part).mkdir()
        cluster, disk = str(uuid.uuid4()), str(uuid.uuid4())
        configuration = folder / "ceph.conf"
        configuration.write_text(_CEPH.format(folder=folder, cluster=cluster, monitor=monitor, gateway=gateway))
        keyring, listing = str(folder / "keyring"), str(folder / "monmap")
        everything = [word for cap in ("mon", "osd", "mgr") for word in ("--cap", cap, "allow *")]
        run(["ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *"])
        for who in ("client.admin", "osd.0"):
            run(["ceph-authtool", keyring, "--gen-key", "-n", who, *everything])
        run(["monmaptool", "--create", "--add", "a", f"127.0.0.1:{monitor}", "--fsid", cluster, listing])
        use = ["-c", str(configuration)]
        run(["ceph-mon", *use, "-i", "a", "--mkfs", "--monmap", listing, "--keyring", keyring])
        stack.enter_context(process(["ceph-mon", *use, "-i", "a", "-f"], folder / "mon.out"))
        run(["ceph", *use, "osd", "new", disk, "0"])
        run(["ceph-osd", *use, "-i", "0", "--mkfs", "--osd-uuid", disk])
        stack.enter_context(process(["ceph-osd", *use, "-i", "0", "-f"], folder / "osd.out"))
        stack.enter_context(process(["radosgw", *use, "-n", "client.admin", "-f"], folder / "gateway.out"))
        endpoint = f"http://127.0.0.1:{gateway}"
        answers(endpoint)
        server = Ceph(endpoint, Account("", "", "", ""), ceph=True)
        server.configuration = str(configuration)
        server.admin = server.account("admin")
        server.client("s3").create_bucket(Bucket=BUCKET)
        yield server


_CEPH = """
[global]
fsid = {cluster}
mon host = 127.0.0.1:{monitor}
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = {folder}/keyring
run dir = {folder}/run
admin socket = {folder}/run/$name.$pid.asok
log file = {folder}/$name.log
mon data avail crit = 1
mon data avail warn = 1
mon allow pool size one = true
mon warn on pool no redundancy = false
mon max pg per osd = 1000
osd objectstore = memstore
memstore device bytes = 2147483648
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
rgw frontends = beast endpoint=127.0.0.1:{gateway}
rgw thread pool size = 16
[mon.a]
mon data = {folder}/mon
[osd.0]
osd data = {folder}/osd
"""


def started() -> Any:
    """The server that decides most here: Ceph where it is installed, else moto."""
    return ceph() if all(map(shutil.which, CEPH)) else moto()
